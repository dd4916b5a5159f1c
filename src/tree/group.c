/* SPDX-License-Identifier: BSD-3-Clause */
/* group.c - frame groups: runs of library frames that a report may fold into one line.
 *
 * A frame is in at most one group. Leaving only clears the frame's number; the list of members is
 * tidied when somebody reads it, so that removing a large subtree stays linear. */
#include "src/tree/tree.h"

#include "src/base/array.h"
#include <stdlib.h>

struct pyi_frame_group *pyi_group_new(struct pyi_tree *tree)
{
    if (tree->group_count >= UINT32_MAX - 1 ||
        !pyi_array_reserve(&tree->groups, &tree->group_capacity, tree->group_count + 1,
                           sizeof(*tree->groups)))
        return NULL;
    struct pyi_frame_group *group = pyi_arena_alloc(&tree->arena, sizeof(*group));
    if (!group)
        return NULL;
    group->tree = tree;
    group->index = (uint32_t)tree->group_count;
    tree->groups[tree->group_count++] = group;
    return group;
}

static void tidy(struct pyi_frame_group *group)
{
    if (!group->stale)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++)
        if (group->members[i]->group == group->index + 1)
            group->members[kept++] = group->members[i];
    group->count = kept;
    group->stale = false;
}

bool pyi_group_add(struct pyi_frame_group *group, struct pyi_frame *frame)
{
    tidy(group);
    if (frame->group == group->index + 1)
        return true;
    if (!pyi_array_reserve(&group->members, &group->capacity, group->count + 1,
                           sizeof(*group->members)))
        return false;
    pyi_group_leave(frame);
    group->members[group->count++] = frame;
    group->live++;
    frame->group = group->index + 1;
    return true;
}

void pyi_group_dissolve(struct pyi_frame_group *group)
{
    tidy(group);
    for (size_t i = 0; i < group->count; i++)
        group->members[i]->group = 0;
    group->count = group->live = 0;
}

void pyi_group_leave(struct pyi_frame *frame)
{
    if (!frame->group)
        return;
    struct pyi_frame_group *group = pyi_frame_tree(frame)->groups[frame->group - 1];
    frame->group = 0;
    group->stale = true;
    group->live--;
    if (group->live == 1)
        pyi_group_dissolve(group);
}

void pyi_groups_free(struct pyi_tree *tree)
{
    for (size_t i = 0; i < tree->group_count; i++)
        free(tree->groups[i]->members);
    free(tree->groups);
}

/* ---- reading ---- */

/* The list is put in order behind a const pointer: its readable contents do not change. */
static const struct pyi_frame_group *in_order(const struct pyi_frame_group *group)
{
    tidy((struct pyi_frame_group *)group);
    return group;
}

const struct pyi_frame *pyi_group_root(const struct pyi_frame_group *group)
{
    return pyi_group_member(group, 0);
}

const struct pyi_frame *pyi_group_member(const struct pyi_frame_group *group, size_t index)
{
    in_order(group);
    return index < group->count ? group->members[index] : NULL;
}

size_t pyi_group_size(const struct pyi_frame_group *group)
{
    return group->live;
}

bool pyi_group_is_exit(const struct pyi_frame_group *group, const struct pyi_frame *frame)
{
    if (frame->group != group->index + 1)
        return false;
    for (const struct pyi_frame *child = frame->first; child; child = child->next)
        if (child->group != frame->group)
            return true;
    return false;
}

uint32_t pyi_group_index(const struct pyi_frame_group *group)
{
    return group->index;
}
