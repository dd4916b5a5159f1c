/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyirec_stacks.c - what the stacks of a recording still need when it is read from its file.
 *
 * In: a session's stacks and the records of its threads. Out: records below the name that a
 * thread got late; the stack at which the report of a recording without its end begins. Knows
 * nothing of blocks and sections.
 */
#include "src/session/pyirec.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/session/session.h"
#include <stdlib.h>

/* A thread got its name late: its stacks are put on another lowest frame. */
static int move_stack(struct pyi_session *session, uint32_t stack, uint32_t root, uint32_t **path,
                      size_t *capacity, uint32_t *out, struct pyi_error *err)
{
    size_t depth = session->stacks.nodes[stack].depth;
    if (!pyi_array_reserve(path, capacity, depth + 1, sizeof(**path)))
        return pyi_error_nomem(err);
    for (size_t i = depth; i-- > 0; stack = session->stacks.nodes[stack].parent)
        (*path)[i] = session->stacks.nodes[stack].frame;
    *out = root;
    int code = 0;
    for (size_t i = 1; i < depth && !code; i++)
        code = pyi_session_push_frame(session, *out, (*path)[i], out, err);
    return code;
}

int pyi_pyirec_move_lane(struct pyi_session *session, struct pyi_lane *lane, uint32_t root,
                         struct pyi_error *err)
{
    size_t count = session->stacks.node_count;
    PYI_CLEANUP(pyi_cleanup_free) uint32_t *moved = calloc(count, sizeof(*moved));
    PYI_CLEANUP(pyi_cleanup_free) uint32_t *lowest = calloc(count, sizeof(*lowest));
    if (!moved || !lowest)
        return pyi_error_nomem(err);
    for (size_t i = 1; i < count; i++) {
        uint32_t parent = session->stacks.nodes[i].parent;
        lowest[i] = parent ? lowest[parent] : (uint32_t)i;
    }
    uint32_t *path = NULL;
    size_t capacity = 0;
    int code = 0;
    bool any = false;
    struct pyi_lane_cursor cursor = {0};
    struct pyi_lane_item item;
    while (!code && pyi_lane_next(lane, &cursor, &item, NULL)) {
        bool stays = !item.stack || lowest[item.stack] == root;
        any |= !stays;
        if (stays)
            moved[item.stack] = item.stack;
        else if (!moved[item.stack])
            code = move_stack(session, item.stack, root, &path, &capacity, &moved[item.stack], err);
    }
    free(path);
    if (!code && any && !pyi_lane_map(lane, moved))
        code = pyi_error_nomem(err);
    return code;
}

/* Where the report of a recording that was cut off begins: what all stacks of the first thread
 * have in common. */
int pyi_pyirec_common_start(struct pyi_session *session, struct pyi_error *err)
{
    const struct pyi_stacks *stacks = &session->stacks;
    const struct pyi_attach *attach = session->attach;
    uint64_t left = attach && attach->thread_count ? attach->threads[0].records : 0, cursor = 0;
    struct pyi_record record;
    PYI_CLEANUP(pyi_cleanup_free) bool *seen = calloc(stacks->node_count, sizeof(*seen));
    PYI_CLEANUP(pyi_cleanup_free) uint32_t *common = NULL;
    size_t depth = 0, capacity = 0;
    if (!seen)
        return pyi_error_nomem(err);
    for (bool first = true; left-- && pyi_session_next_record(session, &cursor, &record);
         first = false) {
        if (seen[record.stack])
            continue;
        seen[record.stack] = true;
        uint32_t stack = record.stack, height = stacks->nodes[stack].depth;
        if (first) {
            depth = height;
            if (!pyi_array_reserve(&common, &capacity, depth + 1, sizeof(*common)))
                return pyi_error_nomem(err);
        }
        depth = height < depth ? height : depth;
        for (; height; stack = stacks->nodes[stack].parent, height--) {
            uint32_t identifier = stacks->frames[stacks->nodes[stack].frame].identifier;
            if (first)
                common[height - 1] = identifier;
            else if (height <= depth && common[height - 1] != identifier)
                depth = height - 1;
        }
    }
    int code = 0;
    for (size_t i = 0; i < depth && !code; i++)
        code = pyi_session_list_append(session, PYI_SESSION_START_CALL_STACK,
                                       pyi_stacks_identifier(stacks, common[i]), err);
    return code;
}
