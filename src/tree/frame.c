/* SPDX-License-Identifier: BSD-3-Clause */
/* frame.c - read-only access to frames, and the check of a whole tree.
 *
 * In: a frame. Out: its figures and names, borrowed from tree and session. The only things
 * written are memos (short path, application code), which readers cannot tell from facts. */
#include <pyinstrument/frame.h>

#include "src/base/error.h"
#include "src/base/text.h"
#include "src/tree/tree.h"
#include <math.h>

const struct pyi_frame *pyi_tree_root(const struct pyi_tree *tree)
{
    return tree->root;
}

size_t pyi_tree_idle_count(const struct pyi_tree *tree)
{
    return tree->idle_count;
}

const struct pyi_frame *pyi_frame_parent(const struct pyi_frame *frame)
{
    return frame->parent;
}

const struct pyi_frame *pyi_frame_first_child(const struct pyi_frame *frame)
{
    return frame->first;
}

const struct pyi_frame *pyi_frame_last_child(const struct pyi_frame *frame)
{
    return frame->first ? frame->first->previous : NULL;
}

const struct pyi_frame *pyi_frame_next(const struct pyi_frame *frame)
{
    return frame->next;
}

const struct pyi_frame *pyi_frame_walk(const struct pyi_frame *root, const struct pyi_frame *frame,
                                       int64_t *depth)
{
    if (frame->first) {
        if (depth)
            ++*depth;
        return frame->first;
    }
    for (; frame != root; frame = frame->parent) {
        if (frame->next)
            return frame->next;
        if (depth)
            --*depth;
    }
    return NULL;
}

/* ---- figures ---- */

double pyi_frame_time(const struct pyi_frame *frame)
{
    return frame->time;
}

double pyi_frame_absorbed_time(const struct pyi_frame *frame)
{
    return frame->absorbed;
}

double pyi_frame_self_time(const struct pyi_frame *frame)
{
    double time = frame->time;
    for (const struct pyi_frame *child = frame->first; child; child = child->next)
        if (!pyi_frame_is_synthetic(child))
            time -= child->time;
    return time;
}

double pyi_frame_await_time(const struct pyi_frame *frame)
{
    uint64_t bits;
    double time = 0;
    if (pyi_map_get(&pyi_frame_tree(frame)->await_times, (uintptr_t)frame, &bits))
        memcpy(&time, &bits, sizeof(time));
    return time;
}

/* ---- names ---- */

struct pyi_text pyi_frame_identifier(const struct pyi_frame *frame)
{
    return frame->info->identifier->text;
}

struct pyi_text pyi_frame_function(const struct pyi_frame *frame)
{
    return frame->info->identifier->function;
}

struct pyi_text pyi_frame_file_path(const struct pyi_frame *frame)
{
    return frame->info->identifier->path;
}

bool pyi_frame_has_path(const struct pyi_frame *frame)
{
    return frame->info->identifier->has_path;
}

struct pyi_text pyi_frame_short_path(const struct pyi_frame *frame)
{
    while (pyi_frame_is_synthetic(frame) && frame->parent)
        frame = frame->parent;
    struct pyi_identifier *identifier = frame->info->identifier;
    if (!identifier->has_short_path) {
        if (identifier->path.length)
            identifier->short_path =
                pyi_session_shorten_path(identifier->tree->session, identifier->path);
        else
            identifier->short_path = pyi_text("");
        identifier->has_short_path = true;
    }
    return identifier->short_path;
}

bool pyi_frame_line(const struct pyi_frame *frame, int64_t *line)
{
    const struct pyi_identifier *identifier = frame->info->identifier;
    if (identifier->has_line)
        *line = identifier->line;
    return identifier->has_line;
}

struct pyi_text pyi_frame_class_name(const struct pyi_frame *frame)
{
    struct pyi_text name;
    return pyi_frame_query(frame, 'c', &name) ? name : pyi_text("");
}

bool pyi_frame_is_synthetic(const struct pyi_frame *frame)
{
    return frame->info->identifier->synthetic != PYI_SYNTHETIC_NONE;
}

bool pyi_frame_is_synthetic_leaf(const struct pyi_frame *frame)
{
    return pyi_frame_is_synthetic(frame) &&
           frame->info->identifier->synthetic != PYI_SYNTHETIC_ROOT;
}

/* Code of <string> is what its caller is. Chains of it can be as deep as the tree, so every frame
 * on the way gets the answer written down. */
bool pyi_frame_is_application_code(const struct pyi_frame *frame)
{
    uint32_t version = pyi_frame_tree(frame)->version;
    const struct pyi_frame *top = frame;
    bool answer;
    for (;; top = top->parent) {
        enum pyi_origin origin = top->info->identifier->origin;
        if (origin != PYI_ORIGIN_AS_PARENT) {
            answer = origin == PYI_ORIGIN_APPLICATION;
            break;
        }
        if (top->application_version == version) {
            answer = top->application;
            break;
        }
        if (!top->parent) {
            answer = true;
            break;
        }
    }
    for (const struct pyi_frame *f = frame; f != top; f = f->parent) {
        struct pyi_frame *memo = (struct pyi_frame *)f;
        memo->application = answer;
        memo->application_version = version;
    }
    return answer;
}

bool pyi_frame_attribute(const struct pyi_frame *frame, size_t index, struct pyi_text *text,
                         double *seconds)
{
    uint32_t number;
    if (frame->own_attributes) {
        if (!frame->attributes || index >= frame->attributes->count)
            return false;
        number = frame->attributes->items[index].text;
        *seconds = frame->attributes->items[index].seconds;
    } else {
        if (index >= frame->info->attribute_count)
            return false;
        number = frame->info->attributes[index];
        *seconds = frame->time;
    }
    *text = pyi_intern_text(&pyi_frame_tree(frame)->attribute_texts, number);
    return true;
}

const struct pyi_frame_group *pyi_frame_group(const struct pyi_frame *frame)
{
    return frame->group ? pyi_frame_tree(frame)->groups[frame->group - 1] : NULL;
}

/* ---- checking ---- */

static int broken(const struct pyi_frame *frame, const char *what, struct pyi_error *err)
{
    char name[128];
    return pyi_error_set(err, PYI_E_INVALID, "frame %s: %s",
                         pyi_text_safe(pyi_frame_function(frame), name, sizeof(name)), what);
}

static int check_children(const struct pyi_frame *frame, struct pyi_error *err)
{
    double sum = 0;
    const struct pyi_frame *previous = NULL;
    for (const struct pyi_frame *child = frame->first; child; child = child->next) {
        if (child->parent != frame)
            return broken(child, "is not linked to its parent", err);
        if (previous && child->previous != previous)
            return broken(child, "is not linked to its left neighbour", err);
        sum += child->time;
        previous = child;
    }
    if (frame->first && frame->first->previous != previous)
        return broken(frame, "does not know its last child", err);
    sum += frame->absorbed;
    double tolerance = 1e-9 * fmax(fabs(sum), fabs(frame->time));
    if (frame->first && isfinite(sum) && fabs(sum - frame->time) > tolerance)
        return broken(frame, "time is not the sum of children and absorbed time", err);
    return 0;
}

static int check_group(const struct pyi_frame *frame, struct pyi_error *err)
{
    if (!frame->group)
        return 0;
    const struct pyi_tree *tree = pyi_frame_tree(frame);
    if (frame->group > tree->group_count)
        return broken(frame, "is in a group that does not exist", err);
    if (pyi_group_size(tree->groups[frame->group - 1]) < 2)
        return broken(frame, "is in a group of one", err);
    return 0;
}

int pyi_tree_check(const struct pyi_tree *tree, struct pyi_error *err)
{
    if (!tree->root)
        return 0;
    if (tree->root->parent || tree->root->next)
        return broken(tree->root, "is the root but has a parent or a sibling", err);
    for (const struct pyi_frame *f = tree->root; f; f = pyi_frame_step(tree->root, f)) {
        int code = check_children(f, err);
        if (!code)
            code = check_group(f, err);
        if (code)
            return code;
    }
    return 0;
}
