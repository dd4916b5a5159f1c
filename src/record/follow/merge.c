/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * merge.c - sessions of several processes become one, with a level for the process.
 *
 * In: one session for each process. Out: a session whose stacks begin with `command (PID)`, whose
 * records are those of one process after the other, and whose `attach` object names them all.
 * Knows nothing of how they were recorded.
 */
#include "src/record/follow/follow.h"

#include "src/base/error.h"
#include "src/base/text.h"
#include "src/record/frames.h"
#include "src/session/stacks.h"
#include <stdlib.h>

/* ---- stacks and records --------------------------------------------------------------------- */

static int process_frame(struct pyi_session *to, const struct pyi_session *from,
                         struct pyi_strbuf *info, uint32_t *frame, struct pyi_error *err)
{
    const struct pyi_attach *attach = pyi_session_attach(from);
    struct pyi_strbuf name = {0};
    int64_t pid = 0;
    if (attach && attach->process_count) {
        pid = attach->processes[0].pid;
        pyi_strbuf_text(&name, attach->processes[0].command);
    }
    pyi_strbuf_format(&name, " (%lld)", (long long)pid);
    pyi_frames_identifier(info, pyi_strbuf_get(&name), pyi_text("<process>"), pid);
    int code = name.failed || info->failed
                   ? pyi_error_nomem(err)
                   : pyi_session_intern_frame(to, pyi_strbuf_get(info), frame, err);
    pyi_strbuf_deinit(&name);
    return code;
}

/* All stacks of `from`, above `bottom`: parents have lower numbers than their children. */
static int copy_stacks(struct pyi_session *to, const struct pyi_session *from, uint32_t bottom,
                       uint32_t *nodes, struct pyi_error *err)
{
    const struct pyi_stacks *stacks = pyi_session_stacks(from);
    nodes[PYI_STACK_ROOT] = bottom;
    for (size_t node = 1; node < stacks->node_count; node++) {
        struct pyi_text info = pyi_session_frame_info(from, stacks->nodes[node].frame);
        uint32_t frame = 0;
        int code = pyi_session_intern_frame(to, info, &frame, err);
        if (!code)
            code = pyi_session_push_frame(to, nodes[stacks->nodes[node].parent], frame,
                                          &nodes[node], err);
        if (code)
            return code;
    }
    return 0;
}

/* `frame`: below all others, NULL none. */
static int copy_records(struct pyi_session *to, const struct pyi_session *from,
                        const uint32_t *frame, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free)
    uint32_t *nodes = calloc(pyi_session_stacks(from)->node_count, sizeof(*nodes));
    uint32_t bottom = PYI_STACK_ROOT;
    if (!nodes)
        return pyi_error_nomem(err);
    int code = frame ? pyi_session_push_frame(to, PYI_STACK_ROOT, *frame, &bottom, err) : 0;
    if (!code)
        code = copy_stacks(to, from, bottom, nodes, err);
    struct pyi_record record;
    for (uint64_t cursor = 0; !code && pyi_session_next_record(from, &cursor, &record);)
        code = pyi_session_add_record(to, nodes[record.stack], record.seconds, err);
    return code;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static bool contains(const struct pyi_session *session, enum pyi_session_list which,
                     struct pyi_text item)
{
    for (size_t i = 0; i < pyi_session_list_length(session, which); i++)
        if (pyi_text_equal(pyi_session_list_item(session, which, i), item))
            return true;
    return false;
}

static int add_list(struct pyi_session *to, const struct pyi_session *from,
                    enum pyi_session_list which, bool only_new, struct pyi_error *err)
{
    int code = 0;
    for (size_t i = 0; i < pyi_session_list_length(from, which) && !code; i++) {
        struct pyi_text item = pyi_session_list_item(from, which, i);
        if (!only_new || !contains(to, which, item))
            code = pyi_session_list_append(to, which, item, err);
    }
    return code;
}

static void add_sums(struct pyi_session *to, const struct pyi_session *from)
{
    static const enum pyi_session_number sums[] = {PYI_SESSION_SAMPLE_COUNT, PYI_SESSION_CPU_TIME};
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        struct pyi_number a = pyi_session_number(to, sums[i]);
        const struct pyi_number b = pyi_session_number(from, sums[i]);
        a.value += b.value;
        a.integer += b.integer;
        a.is_integer = a.is_integer && b.is_integer;
        pyi_session_set_number(to, sums[i], a);
    }
}

static int begin(struct pyi_session *to, const struct pyi_session *first, struct pyi_error *err)
{
    for (int i = 0; i < PYI_SESSION_NUMBERS; i++)
        pyi_session_set_number(to, (enum pyi_session_number)i,
                               pyi_session_number(first, (enum pyi_session_number)i));
    return pyi_session_set_target_description(to, pyi_session_target_description(first), err);
}

/* ---- attach --------------------------------------------------------------------------------- */

/* The joined object while it is put together; its texts are the parts'. */
struct joined {
    struct pyi_attach attach;
    struct pyi_attach_process *processes;
    struct pyi_attach_thread *threads;
    struct pyi_attach_jump *jumps;
    struct pyi_text *notes;
    size_t jump_count;
};

static int joined_init(struct joined *joined, const struct pyi_part *parts, size_t count,
                       struct pyi_error *err)
{
    size_t processes = 1, threads = 1, jumps = 1, notes = 1;
    for (size_t i = 0; i < count; i++) {
        const struct pyi_attach *attach = pyi_session_attach(parts[i].session);
        processes += attach ? attach->process_count : 0;
        threads += attach ? attach->thread_count : 0;
        notes += attach ? attach->note_count : 0;
        for (size_t j = 0; attach && j < attach->thread_count; j++)
            jumps += attach->threads[j].jump_count;
    }
    *joined = (struct joined){
        .processes = calloc(processes, sizeof(*joined->processes)),
        .threads = calloc(threads, sizeof(*joined->threads)),
        .jumps = calloc(jumps, sizeof(*joined->jumps)),
        .notes = calloc(notes, sizeof(*joined->notes)),
    };
    joined->attach.processes = joined->processes;
    joined->attach.threads = joined->threads;
    joined->attach.notes = joined->notes;
    return joined->processes && joined->threads && joined->jumps && joined->notes
               ? 0
               : pyi_error_nomem(err);
}

static void joined_deinit(struct joined *joined)
{
    free(joined->processes);
    free(joined->threads);
    free(joined->jumps);
    free(joined->notes);
}

static void join_thread(struct joined *joined, const struct pyi_attach_thread *thread,
                        uint64_t records, double offset)
{
    struct pyi_attach_jump *jumps = joined->jumps + joined->jump_count;
    for (size_t i = 0; i < thread->jump_count; i++)
        jumps[i] =
            (struct pyi_attach_jump){thread->jumps[i].record, thread->jumps[i].seconds + offset};
    joined->jump_count += thread->jump_count;
    struct pyi_attach_thread *copy = &joined->threads[joined->attach.thread_count++];
    *copy = *thread;
    copy->process += (uint32_t)joined->attach.process_count;
    copy->start += offset;
    copy->first += records;
    copy->jumps = jumps;
}

static void join_note(struct joined *joined, struct pyi_text note)
{
    for (size_t i = 0; i < joined->attach.note_count; i++)
        if (pyi_text_equal(joined->notes[i], note))
            return;
    joined->notes[joined->attach.note_count++] = note;
}

static void join(struct joined *joined, const struct pyi_attach *from, uint64_t records,
                 double offset)
{
    struct pyi_attach *to = &joined->attach;
    for (size_t i = 0; i < from->thread_count; i++)
        join_thread(joined, &from->threads[i], records, offset);
    for (size_t i = 0; i < from->process_count; i++) {
        struct pyi_attach_process *copy = &joined->processes[to->process_count++];
        *copy = from->processes[i];
        copy->start += offset;
        copy->end += offset;
    }
    for (size_t i = 0; i < from->note_count; i++)
        join_note(joined, from->notes[i]);
    to->ticks += from->ticks;
    to->verified += from->verified;
    to->retried += from->retried;
    to->truncated += from->truncated;
    to->lost += from->lost;
    to->missed += from->missed;
    to->stops += from->stops;
    to->unobserved += from->unobserved;
    to->profiler_cpu += from->profiler_cpu;
    to->stopped += from->stopped;
}

/* ---- all ------------------------------------------------------------------------------------ */

static int add_part(struct pyi_session *to, const struct pyi_part *part, bool first, bool level,
                    struct joined *joined, struct pyi_error *err)
{
    const struct pyi_session *from = part->session;
    const uint64_t records = pyi_session_record_count(to);
    struct pyi_strbuf info = {0};
    uint32_t frame = 0;
    int code = level ? process_frame(to, from, &info, &frame, err) : 0;
    if (!code && first && level)
        code =
            pyi_session_list_append(to, PYI_SESSION_START_CALL_STACK, pyi_strbuf_get(&info), err);
    if (!code && first)
        code = add_list(to, from, PYI_SESSION_START_CALL_STACK, false, err);
    pyi_strbuf_deinit(&info);
    if (!code)
        code = copy_records(to, from, level ? &frame : NULL, err);
    if (!code)
        code = add_list(to, from, PYI_SESSION_SYS_PATH, !first, err);
    if (!code)
        code = add_list(to, from, PYI_SESSION_SYS_PREFIXES, !first, err);
    if (!code && !first)
        add_sums(to, from);
    if (!code && pyi_session_attach(from))
        join(joined, pyi_session_attach(from), records, part->offset);
    return code;
}

int pyi_merge(const struct pyi_part *parts, size_t count, bool level, struct pyi_session **out,
              struct pyi_error *err)
{
    struct pyi_session *to = NULL;
    PYI_CLEANUP(joined_deinit) struct joined joined = {0};
    int code = pyi_session_new(&to, err);
    if (!code)
        code = joined_init(&joined, parts, count, err);
    if (!code && count)
        code = begin(to, parts[0].session, err);
    for (size_t i = 0; i < count && !code; i++)
        code = add_part(to, &parts[i], i == 0, level, &joined, err);
    const struct pyi_attach *first = code || !count ? NULL : pyi_session_attach(parts[0].session);
    if (first) {
        joined.attach.tool = first->tool;
        joined.attach.mode = first->mode;
        code = pyi_session_set_attach(to, &joined.attach, err);
    }
    if (code) {
        pyi_session_free(to);
        return code;
    }
    *out = to;
    return 0;
}
