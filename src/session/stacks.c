/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stacks.c - frame info strings, their parts and whole stacks as numbers.
 *
 * In: strings and (parent, frame) pairs. Out: dense numbers. A frame info is taken apart once,
 * when it is new. Knows nothing of records, times or files.
 */
#include "src/session/stacks.h"

#include "src/base/array.h"
#include "src/base/text.h"
#include <stdlib.h>

#define ATTRIBUTE_MARK '\x01'
#define FIRST_SLOTS    256

bool pyi_stacks_init(struct pyi_stacks *stacks)
{
    *stacks = (struct pyi_stacks){0};
    if (!pyi_array_reserve(&stacks->nodes, &stacks->node_capacity, 1, sizeof(*stacks->nodes)))
        return false;
    stacks->nodes[0] = (struct pyi_stack_node){0};
    stacks->node_count = 1;
    return true;
}

void pyi_stacks_deinit(struct pyi_stacks *stacks)
{
    pyi_intern_deinit(&stacks->infos);
    pyi_intern_deinit(&stacks->identifiers);
    pyi_intern_deinit(&stacks->attributes);
    free(stacks->frames);
    free(stacks->attribute_lists);
    free(stacks->nodes);
    free(stacks->slots);
    *stacks = (struct pyi_stacks){0};
}

/* ---- frames -------------------------------------------------------------------------------- */

struct pyi_text pyi_frame_info_identifier(struct pyi_text info)
{
    const char *mark = memchr(info.data, ATTRIBUTE_MARK, info.length);
    return (struct pyi_text){info.data, mark ? (size_t)(mark - info.data) : info.length};
}

static bool add_attribute(struct pyi_stacks *stacks, struct pyi_text text,
                          struct pyi_stack_frame *frame)
{
    uint32_t attribute = pyi_intern_add(&stacks->attributes, text.data, text.length);
    if (attribute == UINT32_MAX || stacks->attribute_list_count >= UINT32_MAX ||
        !pyi_array_reserve(&stacks->attribute_lists, &stacks->attribute_list_capacity,
                           stacks->attribute_list_count + 1, sizeof(*stacks->attribute_lists)))
        return false;
    stacks->attribute_lists[stacks->attribute_list_count++] = attribute;
    frame->attribute_count++;
    return true;
}

/* A mark with nothing at all behind it means no attributes; otherwise every part between marks
 * is one, the empty one too. */
static bool take_apart(struct pyi_stacks *stacks, struct pyi_text info,
                       struct pyi_stack_frame *frame)
{
    struct pyi_text identifier = pyi_frame_info_identifier(info);
    *frame = (struct pyi_stack_frame){.attributes = (uint32_t)stacks->attribute_list_count};
    frame->identifier = pyi_intern_add(&stacks->identifiers, identifier.data, identifier.length);
    if (frame->identifier == UINT32_MAX)
        return false;
    const char *at = identifier.data + identifier.length + 1;
    const char *end = info.data + info.length;
    while (at < end) {
        const char *mark = memchr(at, ATTRIBUTE_MARK, (size_t)(end - at));
        const char *stop = mark ? mark : end;
        if (!add_attribute(stacks, (struct pyi_text){at, (size_t)(stop - at)}, frame))
            return false;
        if (mark && mark + 1 == end)
            return add_attribute(stacks, pyi_text(""), frame);
        at = stop + 1;
    }
    return true;
}

uint32_t pyi_stacks_frame(struct pyi_stacks *stacks, struct pyi_text info)
{
    uint32_t known = pyi_intern_find(&stacks->infos, info.data, info.length);
    if (known != UINT32_MAX)
        return known;
    struct pyi_stack_frame frame;
    if (!pyi_array_reserve(&stacks->frames, &stacks->frame_capacity, stacks->infos.count + 1,
                           sizeof(*stacks->frames)) ||
        !take_apart(stacks, info, &frame))
        return UINT32_MAX;
    uint32_t number = pyi_intern_add(&stacks->infos, info.data, info.length);
    if (number != UINT32_MAX)
        stacks->frames[number] = frame;
    return number;
}

/* ---- trie ---------------------------------------------------------------------------------- */

static size_t slot_of(const struct pyi_stacks *stacks, const uint32_t *slots, size_t slot_count,
                      uint32_t parent, uint32_t frame)
{
    uint64_t key = (uint64_t)parent << 32 | frame;
    size_t mask = slot_count - 1;
    /* Fibonacci hashing: the high bits of the product depend on all bits of the key. */
    size_t slot = (key * 0x9e3779b97f4a7c15u ^ key >> 29) * 0xd6e8feb86659fd93u >> 32 & mask;
    while (slots[slot]) {
        const struct pyi_stack_node *node = &stacks->nodes[slots[slot]];
        if (node->parent == parent && node->frame == frame)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow_slots(struct pyi_stacks *stacks)
{
    size_t wanted = stacks->slot_count ? stacks->slot_count * 2 : FIRST_SLOTS;
    if (wanted > (size_t)1 << 32)
        return false;
    uint32_t *slots = calloc(wanted, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 1; i < stacks->node_count; i++) {
        const struct pyi_stack_node *node = &stacks->nodes[i];
        slots[slot_of(stacks, slots, wanted, node->parent, node->frame)] = (uint32_t)i;
    }
    free(stacks->slots);
    stacks->slots = slots;
    stacks->slot_count = wanted;
    return true;
}

uint32_t pyi_stacks_push(struct pyi_stacks *stacks, uint32_t parent, uint32_t frame)
{
    size_t slot = 0;
    if (stacks->slot_count) {
        slot = slot_of(stacks, stacks->slots, stacks->slot_count, parent, frame);
        if (stacks->slots[slot])
            return stacks->slots[slot];
    }
    if (stacks->node_count >= UINT32_MAX ||
        !pyi_array_reserve(&stacks->nodes, &stacks->node_capacity, stacks->node_count + 1,
                           sizeof(*stacks->nodes)))
        return UINT32_MAX;
    if (stacks->node_count >= stacks->slot_count / 2) {
        if (!grow_slots(stacks))
            return UINT32_MAX;
        slot = slot_of(stacks, stacks->slots, stacks->slot_count, parent, frame);
    }
    uint32_t number = (uint32_t)stacks->node_count++;
    uint32_t depth = stacks->nodes[parent].depth + 1;
    stacks->nodes[number] = (struct pyi_stack_node){parent, frame, depth};
    stacks->slots[slot] = number;
    return number;
}
