/* SPDX-License-Identifier: BSD-3-Clause */
/* node.c - operations on frames: link, record, delete, combine.
 *
 * In and out: frames of one tree. Additions happen in the order upstream makes them, because the
 * last digit of every figure depends on it. Nothing here recurses. */
#include "src/tree/tree.h"

#include "src/base/text.h"

enum { FRAMES_PER_CHUNK = 512, VERSION_MASK = (1 << 30) - 1 };

struct pyi_frame *pyi_frame_new(struct pyi_tree *tree, const struct pyi_frame_info *info)
{
    if (!tree->fresh_count) {
        tree->fresh = pyi_arena_alloc(&tree->arena, FRAMES_PER_CHUNK * sizeof(*tree->fresh));
        if (!tree->fresh)
            return NULL;
        tree->fresh_count = FRAMES_PER_CHUNK;
    }
    struct pyi_frame *frame = tree->fresh;
    frame->info = info;
    if (info->repeats && !pyi_frame_own_attributes(frame))
        return NULL;
    tree->fresh++;
    tree->fresh_count--;
    return frame;
}

void pyi_frame_append(struct pyi_frame *parent, struct pyi_frame *child)
{
    child->parent = parent;
    child->next = NULL;
    if (!parent->first) {
        parent->first = child->previous = child;
        return;
    }
    child->previous = parent->first->previous;
    child->previous->next = child;
    parent->first->previous = child;
}

void pyi_frame_unlink(struct pyi_frame *frame)
{
    struct pyi_frame *parent = frame->parent;
    if (!parent)
        return;
    if (frame->next)
        frame->next->previous = frame->previous;
    else if (parent->first != frame)
        parent->first->previous = frame->previous;
    if (parent->first == frame)
        parent->first = frame->next;
    else
        frame->previous->next = frame->next;
    frame->parent = frame->next = frame->previous = NULL;
}

/* Puts all children of `frame` right behind it among its siblings. */
static void hoist_children(struct pyi_frame *frame)
{
    struct pyi_frame *parent = frame->parent, *first = frame->first;
    if (!first)
        return;
    struct pyi_frame *last = first->previous;
    for (struct pyi_frame *child = first; child; child = child->next)
        child->parent = parent;
    first->previous = frame;
    last->next = frame->next;
    if (frame->next)
        frame->next->previous = last;
    else
        parent->first->previous = last;
    frame->next = first;
    frame->first = NULL;
}

/* ---- attributes ---- */

enum { NOT_THERE = UINT32_MAX, SEARCHED = 32 };

static uint32_t find_attribute(const struct pyi_frame *frame, uint32_t text)
{
    const struct pyi_attributes *list = frame->attributes;
    if (!list)
        return NOT_THERE;
    uint64_t place;
    if (list->index)
        return pyi_map_get(&pyi_frame_tree(frame)->attribute_index,
                           (uint64_t)list->index << 32 | text, &place)
                   ? (uint32_t)place
                   : NOT_THERE;
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i].text == text)
            return i;
    return NOT_THERE;
}

static bool grow_attributes(struct pyi_frame *frame)
{
    struct pyi_attributes *old = frame->attributes;
    uint32_t capacity = old ? old->capacity * 2 : 2;
    struct pyi_attributes *list = NULL;
    if (capacity < UINT32_MAX / 2)
        list = pyi_arena_alloc(&pyi_frame_tree(frame)->arena,
                               sizeof(*list) + capacity * sizeof(list->items[0]));
    if (!list)
        return false;
    if (old)
        memcpy(list, old, sizeof(*old) + old->count * sizeof(old->items[0]));
    list->capacity = capacity;
    frame->attributes = list;
    return true;
}

/* Long lists (one line number per attribute in hostile files) are found through a map. */
static bool index_attribute(struct pyi_tree *tree, struct pyi_attributes *list, uint32_t place)
{
    if (list->index)
        return pyi_map_put(&tree->attribute_index,
                           (uint64_t)list->index << 32 | list->items[place].text, place);
    if (place < SEARCHED || tree->indexed_count == UINT32_MAX - 1)
        return true;
    uint64_t index = tree->indexed_count + 1;
    for (uint32_t i = 0; i <= place; i++)
        if (!pyi_map_put(&tree->attribute_index, index << 32 | list->items[i].text, i))
            return false;
    list->index = ++tree->indexed_count;
    return true;
}

/* Place of the attribute in the frame's own list, added when new; NOT_THERE: no memory. */
static uint32_t add_attribute(struct pyi_frame *frame, uint32_t text)
{
    uint32_t place = find_attribute(frame, text);
    if (place != NOT_THERE)
        return place;
    struct pyi_attributes *list = frame->attributes;
    if ((!list || list->count == list->capacity) && !grow_attributes(frame))
        return NOT_THERE;
    list = frame->attributes;
    place = list->count;
    list->items[place].text = text;
    list->items[place].seconds = 0;
    if (!index_attribute(pyi_frame_tree(frame), list, place))
        return NOT_THERE;
    list->count++;
    return place;
}

bool pyi_frame_own_attributes(struct pyi_frame *frame)
{
    if (frame->own_attributes)
        return true;
    const struct pyi_frame_info *info = frame->info;
    for (uint32_t i = 0; i < info->attribute_count; i++) {
        uint32_t place = add_attribute(frame, info->attributes[i]);
        if (place == NOT_THERE) {
            frame->attributes = NULL;
            return false;
        }
        frame->attributes->items[place].seconds = frame->time;
    }
    frame->own_attributes = 1;
    return true;
}

bool pyi_frame_record(struct pyi_frame *frame, const struct pyi_frame_info *info, double seconds)
{
    if (!frame->own_attributes && info != frame->info &&
        (info->attribute_count || frame->info->attribute_count) && !pyi_frame_own_attributes(frame))
        return false;
    if (frame->own_attributes)
        for (uint32_t i = 0; i < info->attribute_count; i++) {
            uint32_t place = add_attribute(frame, info->attributes[i]);
            if (place == NOT_THERE)
                return false;
            frame->attributes->items[place].seconds += seconds;
        }
    frame->time += seconds;
    return true;
}

bool pyi_frame_query(const struct pyi_frame *frame, char marker, struct pyi_text *value)
{
    double best = 0;
    bool found = false;
    struct pyi_text text;
    double seconds;
    for (size_t i = 0; pyi_frame_attribute(frame, i, &text, &seconds); i++) {
        if (!text.length || text.data[0] != marker || (found && !(seconds > best)))
            continue;
        found = true;
        best = seconds;
        *value = (struct pyi_text){text.data + 1, text.length - 1};
    }
    return found;
}

/* ---- removing and joining ---- */

static void leave_groups(struct pyi_frame *frame)
{
    if (!pyi_frame_tree(frame)->group_count)
        return;
    for (struct pyi_frame *f = frame; f; f = pyi_frame_step(frame, f))
        pyi_group_leave(f);
}

void pyi_frame_delete(struct pyi_frame *frame, enum pyi_replacement replacement)
{
    struct pyi_frame *parent = frame->parent;
    if (replacement == PYI_REPLACE_WITH_CHILDREN)
        hoist_children(frame);
    else
        parent->absorbed += frame->time;
    parent->absorbed += frame->absorbed;
    pyi_frame_unlink(frame);
    leave_groups(frame);
}

static bool combine_attributes(struct pyi_frame *frame, struct pyi_frame *into)
{
    if (!frame->own_attributes && !into->own_attributes &&
        (frame->info == into->info ||
         (!frame->info->attribute_count && !into->info->attribute_count)))
        return true; /* both sums stay equal to the times */
    if (!pyi_frame_own_attributes(frame) || !pyi_frame_own_attributes(into))
        return false;
    /* All keys first, so that a failure leaves the sums alone. */
    const struct pyi_attributes *list = frame->attributes;
    uint32_t count = list ? list->count : 0;
    for (uint32_t i = 0; i < count; i++)
        if (add_attribute(into, list->items[i].text) == NOT_THERE)
            return false;
    for (uint32_t i = 0; i < count; i++)
        into->attributes->items[find_attribute(into, list->items[i].text)].seconds +=
            list->items[i].seconds;
    return true;
}

bool pyi_frame_combine(struct pyi_frame *frame, struct pyi_frame *into)
{
    if (!combine_attributes(frame, into))
        return false;
    into->absorbed += frame->absorbed;
    into->time += frame->time;
    if (frame->first) {
        struct pyi_frame *first = frame->first, *last = first->previous;
        for (struct pyi_frame *child = first; child; child = child->next)
            child->parent = into;
        if (into->first) {
            first->previous = into->first->previous;
            first->previous->next = first;
            into->first->previous = last;
        } else {
            into->first = first;
        }
        frame->first = NULL;
    }
    pyi_frame_unlink(frame);
    pyi_group_leave(frame);
    return true;
}

/* ---- walking ---- */

struct pyi_frame *pyi_frame_skip(const struct pyi_frame *root, const struct pyi_frame *frame)
{
    for (; frame && frame != root; frame = frame->parent)
        if (frame->next)
            return frame->next;
    return NULL;
}

void pyi_tree_changed(struct pyi_tree *tree)
{
    tree->version = (tree->version + 1) & VERSION_MASK;
    if (!tree->version) /* 0 is what a new frame says */
        tree->version = 1;
}

static double bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Await times are sums of sums, added child by child; only frames above an [await] have one, so
 * they are kept beside the frames. */
bool pyi_tree_update_await(struct pyi_tree *tree)
{
    if (!tree->has_await)
        return true;
    struct pyi_map *map = &tree->await_times;
    pyi_map_clear(map);
    struct pyi_frame *frame = tree->root;
    bool down = true;
    while (frame) {
        if (down) {
            if (frame->info->identifier->synthetic == PYI_SYNTHETIC_AWAIT && frame->time != 0 &&
                !pyi_map_put(map, (uintptr_t)frame, double_bits(frame->time)))
                return false;
            if (frame->first) {
                frame = frame->first;
                continue;
            }
        }
        uint64_t own, sum;
        if (frame == tree->root)
            break;
        if (pyi_map_get(map, (uintptr_t)frame, &own)) {
            double total = bits_double(own);
            if (pyi_map_get(map, (uintptr_t)frame->parent, &sum))
                total = bits_double(sum) + total;
            if (!pyi_map_put(map, (uintptr_t)frame->parent, double_bits(total)))
                return false;
        }
        down = frame->next != NULL;
        frame = frame->next ? frame->next : frame->parent;
    }
    return true;
}
