/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * look.c - looking without recording: what threads are doing now, which processes run Python.
 *
 * Comes in: an open target, or all of /proc. Goes out: run states with who holds the global lock;
 * one entry per process with Python and why it cannot be profiled. Names are asked before
 * symbols and symbols before memory, because most processes are none of ours.
 */
#include "attach/elf.h"
#include "attach/target.h"
#include "attach/version.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAX 200000
#define COMMAND_LIMIT 1000
#define MAPS_LIMIT    ((size_t)8 << 20)

/* ---- states of threads ---- */

static void state_of(const struct pyi_target *target, const struct pyi_thread *thread,
                     const struct pyi_gil_facts *before, struct pyi_thread_state *out)
{
    struct pyi_process_stat stat;
    struct pyi_syscall call;
    *out = (struct pyi_thread_state){.wait = pyi_text("")};
    if (thread->tid > 0 &&
        pyi_process_stat(target->proc, target->pid, thread->tid, &stat, NULL) == 0)
        out->run = stat.state;
    if (before->known)
        out->gil = before->holder ? PYI_GIL_HOLDER : PYI_GIL_OTHER;
    if (out->run != 'S' && out->run != 'D')
        return;
    pyi_sched_syscall(target->state, thread->tid, &call);
    if (call.kind == PYI_SYSCALL_RUNNING) {
        out->run = 'R';
        return;
    }
    if (out->gil == PYI_GIL_OTHER &&
        pyi_syscall_waits_on(&call, before->wait_from, before->wait_to)) {
        out->gil = PYI_GIL_WAITING;
        return;
    }
    const struct pyi_code *name = pyi_sched_wait_name(target->state, thread->tid, &call);
    if (name)
        out->wait = name->name;
}

void pyi_target_states(struct pyi_target *target, const struct pyi_thread *const *threads,
                       size_t count, struct pyi_thread_state *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (struct pyi_thread_state){.wait = pyi_text("")};
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_gil_facts *facts = calloc(2 * count + 1, sizeof(*facts));
    if (!facts)
        return;
    pyi_cpython_gil(target->python, threads, count, facts);
    for (size_t i = 0; i < count && target->image; i++)
        if (facts[i].known) /* of a moment that has passed the lock is all that is known */
            out[i].gil = facts[i].holder ? PYI_GIL_HOLDER : PYI_GIL_OTHER;
    if (target->image)
        return;
    for (size_t i = 0; i < count; i++)
        state_of(target, threads[i], &facts[i], &out[i]);
    /* Said of a thread only when it held the lock before and after its state was read. */
    pyi_cpython_gil(target->python, threads, count, facts + count);
    for (size_t i = 0; i < count; i++)
        if (out[i].gil == PYI_GIL_HOLDER && !facts[count + i].holder)
            out[i].gil = PYI_GIL_OTHER;
}

/* ---- one look at all threads ---- */

#define LOOK_LEAST   2   /* rounds */
#define LOCALS_CALLS 200 /* calls of one thread whose variables are read */

struct pyi_look {
    struct pyi_target *target;
    struct pyi_look_thread *threads; /* by index */
    size_t count, capacity;
    enum pyi_look_locals locals;
    struct pyi_arena texts; /* of the variables */
    bool failed;            /* lack of memory inside a callback */
};

struct pyi_look *pyi_look_new(struct pyi_target *target)
{
    struct pyi_look *look = calloc(1, sizeof(*look));
    if (look)
        look->target = target;
    return look;
}

void pyi_look_free(struct pyi_look *look)
{
    if (!look)
        return;
    for (size_t i = 0; i < look->count; i++) {
        free(look->threads[i].entries);
        free(look->threads[i].variables);
    }
    free(look->threads);
    pyi_arena_free(&look->texts);
    free(look);
}

static struct pyi_look_thread *look_thread(struct pyi_look *look, const struct pyi_thread *thread)
{
    if (!pyi_array_reserve(&look->threads, &look->capacity, (size_t)thread->index + 1,
                           sizeof(*look->threads)))
        return NULL;
    for (; look->count <= thread->index; look->count++)
        look->threads[look->count] = (struct pyi_look_thread){0};
    return &look->threads[thread->index];
}

/* Python frames: without the C function that may be the last entry. */
static size_t python_depth(const struct pyi_stack_entry *entries, size_t depth)
{
    const struct pyi_code *top = depth > 0 ? entries[depth - 1].code : NULL;
    return top != NULL && top->first_line == 0 &&
                   (pyi_text_equal(top->filename, pyi_text("<built-in>")) ||
                    pyi_text_equal(top->filename, pyi_text("<extended>")))
               ? depth - 1
               : depth;
}

/* The same calls; only the innermost may be on another line, or in other C code, by now. */
static bool agrees(const struct pyi_look_thread *seen, const struct pyi_stack *stack)
{
    size_t depth = python_depth(stack->entries, stack->depth);
    if (!seen->read || python_depth(seen->entries, seen->depth) != depth)
        return false;
    for (size_t i = 0; i < depth; i++) {
        const struct pyi_stack_entry *a = &seen->entries[i], *b = &stack->entries[i];
        if (a->code != b->code || (a->line != b->line && i + 1 < depth))
            return false;
    }
    return true;
}

struct keeping {
    struct pyi_look *look;
    struct pyi_look_thread *seen;
    size_t entry;
};

static void keep_variable(void *context, struct pyi_text name, struct pyi_text value)
{
    const struct keeping *keeping = context;
    struct pyi_look_thread *seen = keeping->seen;
    char *name_copy = pyi_arena_copy(&keeping->look->texts, name.data, name.length);
    char *value_copy = pyi_arena_copy(&keeping->look->texts, value.data, value.length);
    if (!name_copy || !value_copy ||
        !pyi_array_reserve(&seen->variables, &seen->variable_capacity, seen->variable_count + 1,
                           sizeof(*seen->variables))) {
        keeping->look->failed = true;
        return;
    }
    seen->variables[seen->variable_count++] = (struct pyi_look_variable){
        keeping->entry, {name_copy, name.length}, {value_copy, value.length}};
}

/* From the innermost call outwards: what is wanted lies there. */
static int read_locals(struct pyi_look *look, struct pyi_look_thread *seen, struct pyi_error *err)
{
    size_t calls = 0;
    seen->variable_count = 0;
    for (size_t end = seen->depth; end > 0 && calls < LOCALS_CALLS; calls++) {
        struct keeping keeping = {look, seen, --end};
        int code = pyi_target_locals(look->target, seen->thread, end, keep_variable, &keeping, err);
        /* A C function at the top has none. */
        if (code < 0 && code != PYI_E_INVALID)
            return code;
        while (look->locals == PYI_LOOK_LOCALS_FOLDED && end > 0 && pyi_look_repeats(seen, end - 1))
            end--;
    }
    return 0;
}

static bool is_fatal(int code)
{
    return code == PYI_E_GONE || code == PYI_E_PERM || code == PYI_E_OS || code == PYI_E_NOMEM;
}

static int take_stack(struct pyi_look *look, const struct pyi_stack *stack, struct pyi_error *err)
{
    struct pyi_look_thread *seen = look_thread(look, stack->thread);
    if (!seen)
        return pyi_error_nomem(err);
    seen->thread = stack->thread;
    if (seen->consistent || stack->status == PYI_STACK_LOST)
        return 0;
    bool settled = stack->verified || agrees(seen, stack);
    if (!pyi_array_reserve(&seen->entries, &seen->capacity, stack->depth + 1,
                           sizeof(*seen->entries)))
        return pyi_error_nomem(err);
    if (stack->depth)
        memcpy(seen->entries, stack->entries, stack->depth * sizeof(*seen->entries));
    seen->depth = stack->depth;
    seen->truncated = stack->truncated;
    seen->read = true;
    if (settled && look->locals != PYI_LOOK_NO_LOCALS) {
        int code = read_locals(look, seen, err);
        if (is_fatal(code))
            return code;
        if (code < 0) {
            seen->variable_count = 0;
            return 0; /* the frames moved on: another round */
        }
    }
    seen->consistent = settled;
    return 0;
}

/* One round; `*pending` tells whether some thread is not consistent yet. */
static int look_round(struct pyi_look *look, bool *pending, struct pyi_error *err)
{
    struct pyi_round round = {0};
    int code = pyi_target_round(look->target, &round, err);
    for (size_t i = 0; code == 0 && i < round.count; i++)
        code = take_stack(look, &round.stacks[i], err);
    if (code == 0 && look->failed)
        code = pyi_error_nomem(err);
    *pending = false;
    for (size_t i = 0; i < look->count; i++) {
        struct pyi_look_thread *seen = &look->threads[i];
        /* Ended before it could be read. */
        if (seen->thread && !seen->thread->alive && !seen->consistent)
            seen->thread = NULL;
        *pending |= seen->thread && !seen->consistent;
    }
    return code;
}

/* The states of all threads together, so that no two seem to hold one lock. */
static int look_states(struct pyi_look *look, struct pyi_error *err)
{
    size_t count = 0;
    PYI_CLEANUP(pyi_cleanup_free)
    const struct pyi_thread **threads = calloc(look->count + 1, sizeof(*threads));
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_thread_state *states = calloc(look->count + 1, sizeof(*states));
    if (!threads || !states)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < look->count; i++)
        if (look->threads[i].thread)
            threads[count++] = look->threads[i].thread;
    pyi_target_states(look->target, threads, count, states);
    for (size_t i = 0; i < count; i++)
        look->threads[threads[i]->index].state = states[i];
    return 0;
}

static double monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int pyi_look_again(struct pyi_look *look, double seconds, enum pyi_look_locals locals,
                   const struct pyi_look_thread **threads, size_t *count, struct pyi_error *err)
{
    const double deadline = monotonic_now() + seconds;
    bool pending = true;
    int code = 0;
    for (size_t i = 0; i < look->count; i++) {
        struct pyi_look_thread *seen = &look->threads[i];
        seen->thread = NULL;
        seen->read = seen->consistent = seen->truncated = false;
        seen->depth = seen->variable_count = 0;
    }
    pyi_arena_free(&look->texts);
    look->locals = locals;
    for (int i = 0; code == 0 && pending && (i < LOOK_LEAST || monotonic_now() < deadline); i++)
        code = look_round(look, &pending, err);
    if (code == 0)
        code = look_states(look, err);
    if (code < 0)
        return code;
    *threads = look->threads;
    *count = look->count;
    return 0;
}

/* ---- processes ---- */

struct processes {
    struct pyi_python_process *items;
    size_t count, capacity;
    struct pyi_map programs; /* device and inode, mixed -> 1 + whether its symbols are Python's */
};

/* What is known of a process before its memory is looked at. */
enum likeness { LIKE_NOTHING, LIKE_PYTHON, LIKE_HIDDEN };

static bool named_python(const char *path)
{
    struct pyi_version_name name;
    return pyi_version_from_name(pyi_maps_base_name(path), &name);
}

/* PyPy and others are named in the list as what cannot be profiled. */
static bool named_like_python(const char *path)
{
    return named_python(path) || strncmp(pyi_maps_base_name(path), "pypy", 4) == 0;
}

/* A file name of the mappings: the library, or an extension module of some Python. */
static bool mappings_name_python(pid_t pid)
{
    struct pyi_strbuf text = {0};
    bool found = pyi_process_read(PYI_PROC, pid, "maps", MAPS_LIMIT, &text, NULL) == 0 &&
                 text.length &&
                 (memmem(text.data, text.length, "/libpython", 10) ||
                  memmem(text.data, text.length, "/lib-dynload/", 13) ||
                  memmem(text.data, text.length, ".cpython-", 9));
    pyi_strbuf_deinit(&text);
    return found;
}

static bool symbols_are_python(int fd)
{
    struct pyi_elf *elf = NULL;
    struct pyi_elf_section section;
    uint64_t value;
    if (pyi_elf_open_fd(fd, &elf, NULL) < 0)
        return false;
    bool found = pyi_elf_dynamic_symbol(elf, "_PyRuntime", &value) ||
                 pyi_elf_dynamic_symbol(elf, "_PyThreadState_Current", &value) ||
                 pyi_elf_section(elf, ".PyRuntime", &section);
    pyi_elf_close(elf);
    return found;
}

/* The program file itself, once per file: many processes run the same one. */
static bool program_has_symbols(struct processes *list, pid_t pid)
{
    char path[64];
    struct stat status;
    uint64_t known;
    snprintf(path, sizeof(path), "%s/%d/exe", PYI_PROC, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    if (fstat(fd, &status) < 0) {
        close(fd);
        return false;
    }
    struct {
        uint64_t device, inode;
    } identity = {status.st_dev, status.st_ino};
    uint64_t key = pyi_hash_bytes(&identity, sizeof(identity)) >> 1;
    if (pyi_map_get(&list->programs, key, &known)) {
        close(fd);
        return known == 2;
    }
    bool found = symbols_are_python(fd);
    /* Lack of memory only means that the file is asked again. */
    (void)pyi_map_put(&list->programs, key, 1 + found);
    return found;
}

/* The first word of the command line, which the process may have chosen freely. */
static bool claims_python(pid_t pid)
{
    struct pyi_strbuf words = {0};
    bool claims = pyi_process_read(PYI_PROC, pid, "cmdline", (size_t)4 << 20, &words, NULL) == 0 &&
                  words.length && named_like_python(words.data);
    pyi_strbuf_deinit(&words);
    return claims;
}

static enum likeness likeness_of(struct processes *list, pid_t pid)
{
    struct pyi_strbuf link = {0};
    enum likeness like = LIKE_NOTHING;
    int code = pyi_process_link(PYI_PROC, pid, "exe", &link, NULL);
    if (code == PYI_E_PERM)
        like = claims_python(pid) ? LIKE_HIDDEN : LIKE_NOTHING;
    else if (code == 0 && link.length &&
             (named_like_python(link.data) || mappings_name_python(pid) ||
              program_has_symbols(list, pid)))
        like = LIKE_PYTHON;
    pyi_strbuf_deinit(&link);
    return like;
}

/* Every step of opening up to the interpreter; nothing is kept open. */
static void try_to_open(pid_t pid, struct pyi_python_process *out)
{
    struct pyi_target *target = NULL;
    if (pyi_target_open(pid, NULL, &target, &out->error) < 0)
        return;
    struct pyi_text version = pyi_target_info(target)->version;
    snprintf(out->version, sizeof(out->version), "%.*s", (int)version.length, version.data);
    pyi_target_close(target);
}

static double age_of(const struct pyi_process_stat *stat)
{
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double age = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9 -
                 (double)stat->start_ticks / (double)sysconf(_SC_CLK_TCK);
    return age > 0 ? age : 0;
}

static int add_process(struct processes *list, pid_t pid, struct pyi_error *err)
{
    struct pyi_process_status status;
    struct pyi_process_stat stat;
    struct pyi_strbuf command = {0};
    if (likeness_of(list, pid) == LIKE_NOTHING ||
        pyi_process_status(PYI_PROC, pid, &status, NULL) < 0 ||
        pyi_process_stat(PYI_PROC, pid, 0, &stat, NULL) < 0)
        return 0;
    if (!pyi_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof(*list->items)))
        return pyi_error_nomem(err);
    struct pyi_python_process *entry = &list->items[list->count];
    *entry = (struct pyi_python_process){
        .pid = pid, .uid = status.effective_uid, .cpu = stat.cpu, .age = age_of(&stat)};
    try_to_open(pid, entry);
    if (entry->error.code == PYI_E_NOMEM)
        return pyi_error_nomem(err);
    /* It only looked so, or it is on its way out. */
    if (strcmp(entry->error.slug, "not-python") == 0 || entry->error.code == PYI_E_GONE)
        return 0;
    pyi_process_command(PYI_PROC, pid, COMMAND_LIMIT, &command);
    if (command.length == 0)
        pyi_strbuf_string(&command, status.name);
    entry->command = pyi_strbuf_detach(&command);
    if (!entry->command)
        return pyi_error_nomem(err);
    list->count++;
    return 0;
}

static int by_pid(const void *a, const void *b)
{
    const struct pyi_python_process *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

int pyi_processes_list(struct pyi_python_process **out, size_t *count, struct pyi_error *err)
{
    struct processes list = {0};
    int code = 0, seen = 0;
    DIR *directory = opendir(PYI_PROC);
    if (!directory)
        return pyi_error_os(err, errno, "cannot read " PYI_PROC);
    for (struct dirent *entry; code == 0 && seen < PROCESSES_MAX && (entry = readdir(directory));
         seen++) {
        char *end;
        long pid = isdigit((unsigned char)entry->d_name[0]) ? strtol(entry->d_name, &end, 10) : 0;
        if (pid > 0 && pid <= INT_MAX && *end == 0)
            code = add_process(&list, (pid_t)pid, err);
    }
    closedir(directory);
    pyi_map_deinit(&list.programs);
    if (code < 0) {
        pyi_processes_free(list.items, list.count);
        return code;
    }
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), by_pid);
    *out = list.items;
    *count = list.count;
    return 0;
}

void pyi_processes_free(struct pyi_python_process *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].command);
    free(list);
}
