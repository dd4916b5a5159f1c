/* SPDX-License-Identifier: BSD-3-Clause */
/* states.c - what threads were doing while they were sampled: running, waiting, waiting for the
 * GIL.
 *
 * In: a tree and the states column of its session's `attach`. Out: seconds per state, and which
 * frames spend their own time waiting. Sessions without that column have neither. */
#include "src/tree/tree.h"

#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

enum { STATES = PYI_STATE_GIL_WAIT + 1 };

/* Writes the state of each of a thread's records to its place. */
static void put_states(const struct pyi_attach_thread *thread, uint64_t count, unsigned char *codes)
{
    uint64_t next = thread->first;
    uint64_t end = next;
    if (next > count || __builtin_add_overflow(next, thread->records, &end) || end > count)
        return;
    for (size_t i = 0; i < thread->state_count; i++) {
        uint64_t length = thread->states[i].records;
        if (length > end - next)
            length = end - next;
        memset(codes + next, thread->states[i].code, length);
        next += length;
    }
}

/* The state of every record of the tree. False: no memory. */
static bool collect(const struct pyi_tree *tree, const struct pyi_attach *attach, uint64_t count,
                    unsigned char *codes)
{
    PYI_CLEANUP(pyi_map_deinit) struct pyi_map seen = {0};
    for (size_t i = 0; i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        uint64_t first;
        bool main = !pyi_map_get(&seen, thread->process, &first);
        if (main && !pyi_map_put(&seen, thread->process, i))
            return false;
        /* As in the tree: idle threads may have been left out, main threads never are. */
        if (main || !thread->idle || !tree->idle_count)
            put_states(thread, count, codes);
    }
    return true;
}

/* The identifier on top of a stack; NULL when the tree has no such frame. */
static struct pyi_identifier *top_of(const struct pyi_tree *tree, uint32_t stack)
{
    uint32_t frame = pyi_session_stack_frame(tree->session, stack);
    struct pyi_text text = pyi_info_identifier(pyi_session_frame_info(tree->session, frame));
    uint32_t number = pyi_intern_find(&tree->identifier_texts, text.data, text.length);
    return number < tree->identifier_capacity ? tree->identifiers[number] : NULL;
}

int pyi_tree_read_states(struct pyi_tree *tree, double seconds[4], struct pyi_error *err)
{
    const struct pyi_attach *attach = pyi_session_attach(tree->session);
    const uint64_t count = pyi_session_record_count(tree->session);
    double sums[STATES] = {0};
    PYI_CLEANUP(pyi_cleanup_free) unsigned char *codes = calloc(count + 1, 1);
    if (!codes || (attach && !collect(tree, attach, count, codes)))
        return pyi_error_nomem(err);
    struct pyi_record record;
    uint64_t cursor = 0;
    for (uint64_t i = 0; attach && pyi_session_next_record(tree->session, &cursor, &record); i++) {
        const double time = record.seconds.value;
        sums[codes[i]] += time;
        if (codes[i] == PYI_STATE_UNKNOWN || record.stack == PYI_STACK_ROOT)
            continue;
        struct pyi_identifier *identifier = top_of(tree, record.stack);
        if (!identifier)
            continue;
        identifier->observed += time;
        identifier->waiting += codes[i] == PYI_STATE_WAITING ? time : 0;
    }
    memcpy(seconds, sums, sizeof(sums));
    return 0;
}

bool pyi_frame_is_waiting(const struct pyi_frame *frame)
{
    if (frame->first)
        return false;
    if (pyi_frame_is_synthetic(frame))
        frame = frame->parent;
    const struct pyi_identifier *identifier = frame ? frame->info->identifier : NULL;
    return identifier && identifier->waiting > identifier->observed / 2;
}
