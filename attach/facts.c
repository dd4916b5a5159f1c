/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * facts.c - what only the operating system knows of the target's threads, for the decoders.
 *
 * Comes in: ids as the target sees them. Goes out: ids of our pid namespace, names. Task lists
 * are read again only when an id is not known, so that a round over known threads costs nothing.
 */
#include "attach/facts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DESCRIPTOR_SIZE 2048
#define OFFSETS_MAX     16
#define PID_LIMIT       (4 << 20) /* of Linux on 64-bit machines */

struct pyi_facts {
    const char *proc;
    pid_t pid;
    bool same_namespace;
    struct pyi_memory *memory;
    const struct pyi_image_facts *image;
    struct pyi_task *tasks; /* latest list */
    size_t task_count;
    struct timespec listed;
    /* Where struct pthread keeps the kernel's id, as far as the threads seen so far tell. */
    uint32_t offsets[OFFSETS_MAX];
    size_t offset_count;
};

struct pyi_facts *pyi_facts_new(const char *proc, const struct pyi_process_status *status,
                                struct pyi_memory *memory)
{
    struct pyi_facts *facts = calloc(1, sizeof(*facts));
    if (!facts)
        return NULL;
    facts->proc = proc;
    facts->pid = status->pid;
    facts->same_namespace = status->depth <= 1;
    facts->memory = memory;
    return facts;
}

struct pyi_facts *pyi_facts_new_image(const struct pyi_image_facts *image,
                                      struct pyi_memory *memory)
{
    struct pyi_facts *facts = calloc(1, sizeof(*facts));
    if (!facts)
        return NULL;
    facts->image = image;
    facts->memory = memory;
    facts->task_count = image->thread_count;
    facts->tasks = image->thread_count ? calloc(image->thread_count, sizeof(*facts->tasks)) : NULL;
    if (image->thread_count && !facts->tasks) {
        free(facts);
        return NULL;
    }
    for (size_t i = 0; i < image->thread_count; i++)
        facts->tasks[i] = (struct pyi_task){image->threads[i].tid, image->threads[i].inner};
    return facts;
}

void pyi_facts_free(struct pyi_facts *facts)
{
    if (!facts)
        return;
    free(facts->tasks);
    free(facts);
}

static const struct pyi_task *find_inner(const struct pyi_facts *facts, int64_t inner)
{
    for (size_t i = 0; i < facts->task_count; i++)
        if (facts->tasks[i].inner == inner)
            return &facts->tasks[i];
    return NULL;
}

/* At most once a millisecond, by a clock that shows milliseconds: an id that stays unknown must
 * not cost a listing per question. */
static bool list_again(struct pyi_facts *facts)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (facts->image || (facts->tasks && now.tv_sec == facts->listed.tv_sec &&
                         now.tv_nsec - facts->listed.tv_nsec < 1000000))
        return false;
    struct pyi_task *tasks = NULL;
    size_t count = 0;
    if (pyi_process_tasks(facts->proc, facts->pid, &tasks, &count, NULL) < 0)
        return false;
    free(facts->tasks);
    facts->tasks = tasks;
    facts->task_count = count;
    facts->listed = now;
    return true;
}

static pid_t outer_tid(void *context, int64_t inner)
{
    struct pyi_facts *facts = context;
    if (inner <= 0 || inner > INT32_MAX)
        return 0;
    if (facts->same_namespace)
        return (pid_t)inner;
    const struct pyi_task *task = find_inner(facts, inner);
    if (!task && list_again(facts))
        task = find_inner(facts, inner);
    return task ? task->tid : 0;
}

static bool comm(void *context, pid_t tid, struct pyi_strbuf *out)
{
    struct pyi_facts *facts = context;
    if (!facts->image)
        return pyi_process_comm(facts->proc, facts->pid, tid, out);
    for (size_t i = 0; i < facts->image->thread_count; i++) {
        if (facts->image->threads[i].tid == tid && facts->image->threads[i].name.length) {
            pyi_strbuf_text(out, facts->image->threads[i].name);
            return true;
        }
    }
    return false;
}

/* Offsets measured: glibc x86-64 (2.36-2.43), glibc aarch64, musl 1.2 x86-64. */
static const uint32_t usual_offsets[] = {720, 208, 48};

static const struct pyi_task *task_in(const struct pyi_facts *facts, const unsigned char *bytes,
                                      size_t length, uint32_t offset)
{
    return offset + 4 <= length ? find_inner(facts, pyi_load_i32(bytes + offset)) : NULL;
}

/* Keeps the offsets at which this descriptor, too, holds the id of one of the target's threads;
 * with none left, every such offset of this one. */
static void learn_offsets(struct pyi_facts *facts, const unsigned char *bytes, size_t length)
{
    size_t kept = 0;
    for (size_t i = 0; i < facts->offset_count; i++)
        if (task_in(facts, bytes, length, facts->offsets[i]))
            facts->offsets[kept++] = facts->offsets[i];
    facts->offset_count = kept;
    if (kept > 0)
        return;
    for (size_t i = 0; i < sizeof(usual_offsets) / sizeof(*usual_offsets); i++)
        if (task_in(facts, bytes, length, usual_offsets[i]))
            facts->offsets[facts->offset_count++] = usual_offsets[i];
    for (uint32_t at = 0; at + 4 <= length && facts->offset_count < OFFSETS_MAX; at += 4)
        if (task_in(facts, bytes, length, at))
            facts->offsets[facts->offset_count++] = at;
}

/* The id at an offset that all descriptors so far agree on. */
static pid_t known_id(const struct pyi_facts *facts, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < facts->offset_count; i++) {
        const struct pyi_task *task = task_in(facts, bytes, length, facts->offsets[i]);
        if (task)
            return task->tid;
    }
    return 0;
}

/* A thread that was too brief for the list: an offset that served others is believed. */
static pid_t unlisted_id(const struct pyi_facts *facts, const unsigned char *bytes, size_t length)
{
    uint32_t at = facts->offsets[0];
    int32_t id = facts->same_namespace && at + 4 <= length ? pyi_load_i32(bytes + at) : 0;
    return id > 0 && id <= PID_LIMIT ? id : 0;
}

/* Up to 3.10 there is only pthread_self(), the address of the C library's thread descriptor, and the
 * kernel's id is a number inside it. The id is read again on every call: the descriptor of an
 * ended thread serves the next one. What is known of descriptors is doubted last: one whose id
 * is in no list is that of a thread younger than the list. */
static pid_t tid_of_ident(void *context, uint64_t ident)
{
    struct pyi_facts *facts = context;
    unsigned char bytes[DESCRIPTOR_SIZE];
    struct pyi_range range = {.address = ident, .length = sizeof(bytes), .into = bytes};
    if (ident < 65536 || ident % 8 != 0 || pyi_memory_readv(facts->memory, &range, 1, NULL) < 0 ||
        range.got < 64)
        return 0;
    pid_t tid = known_id(facts, bytes, range.got);
    if (tid)
        return tid;
    bool listed = list_again(facts);
    tid = listed ? known_id(facts, bytes, range.got) : 0;
    if (!tid && facts->offset_count > 0)
        tid = unlisted_id(facts, bytes, range.got);
    if (tid || (!listed && facts->offset_count > 0))
        return tid;
    learn_offsets(facts, bytes, range.got);
    return known_id(facts, bytes, range.got);
}

struct pyi_thread_facts pyi_facts_functions(struct pyi_facts *facts)
{
    return (struct pyi_thread_facts){.context = facts,
                                     .outer_tid = outer_tid,
                                     .comm = comm,
                                     .tid_of_ident = tid_of_ident,
                                     .pid = facts->image ? facts->image->pid : facts->pid};
}
