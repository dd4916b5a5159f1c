/* SPDX-License-Identifier: BSD-3-Clause */
/* diff.c - two trees laid over each other, and which differences are more than noise.
 *
 * In: two sessions. Out: one tree with both times at every call path, and one list of functions.
 * The stems of both are kept, so that paths begin at the thread whatever each session has trimmed.
 * A sample stands for weight = total / samples seconds; a frame seen in n samples is then uncertain
 * by sqrt(n) * weight = sqrt(seconds * weight), and a difference by the root of the summed squares.
 * Twice that would let one function in twenty of an unchanged program through, and a report has
 * hundreds of them: the factor grows until one report in twenty has a wrong one. */
#include <pyinstrument/diff.h>

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/text.h"
#include "src/tree/tree.h"
#include <math.h>
#include <stdlib.h>

enum { BASE, NOW, SIDES };

struct node {
    struct pyi_diff_frame frame; /* first, so that one is the other */
    struct node *last;
    uint32_t number;   /* dense, from 0 */
    uint32_t identity; /* what makes it the same function */
    double time[SIDES], own[SIDES];
};

struct function {
    struct pyi_diff_function row;
    double time[SIDES], own[SIDES];
    uint32_t open; /* calls of it that the walk is inside */
};

struct pyi_diff {
    enum pyi_diff_mode mode;
    struct pyi_tree *trees[SIDES];
    struct pyi_diff_side sides[SIDES];
    double deviations; /* that a difference must exceed */
    struct pyi_arena arena;
    struct pyi_intern identities;
    struct pyi_map children; /* number of parent << 32 | identity -> node */
    struct node *root;
    uint32_t nodes;
    struct function *functions; /* by identity, then in order of change */
    size_t function_count, function_capacity;
};

/* ---- what is the same function ---- */

/* "worker (4711)" of a process frame is "worker": the number differs from run to run. */
static struct pyi_text name_of(const struct pyi_frame *frame)
{
    struct pyi_text name = pyi_frame_function(frame);
    if (!pyi_text_equal(pyi_frame_file_path(frame), pyi_text("<process>")))
        return name;
    size_t end = name.length;
    while (end && name.data[end - 1] != '(')
        end--;
    if (end >= 2 && name.data[end - 2] == ' ')
        name.length = end - 2;
    return name;
}

/* UINT32_MAX on lack of memory. */
static uint32_t identity_of(struct pyi_diff *diff, const struct pyi_frame *frame,
                            struct pyi_strbuf *scratch)
{
    pyi_strbuf_reset(scratch);
    pyi_strbuf_text(scratch, name_of(frame));
    pyi_strbuf_char(scratch, '\0');
    pyi_strbuf_text(scratch, pyi_frame_short_path(frame));
    pyi_strbuf_char(scratch, '\0');
    pyi_strbuf_text(scratch, pyi_frame_class_name(frame));
    return scratch->failed ? UINT32_MAX
                           : pyi_intern_add(&diff->identities, scratch->data, scratch->length);
}

/* ---- laying one tree over the other ---- */

static struct node *child_of(struct pyi_diff *diff, struct node *parent, uint32_t identity)
{
    const uint64_t key = (uint64_t)parent->number << 32 | identity;
    uint64_t known;
    if (pyi_map_get(&diff->children, key, &known))
        return (struct node *)(uintptr_t)known;
    struct node *node = pyi_arena_alloc(&diff->arena, sizeof(*node));
    if (!node || diff->nodes == UINT32_MAX || !pyi_map_put(&diff->children, key, (uintptr_t)node))
        return NULL;
    node->number = diff->nodes++;
    node->identity = identity;
    node->frame.parent = &parent->frame;
    if (parent->last)
        parent->last->frame.next = &node->frame;
    else
        parent->frame.first = &node->frame;
    parent->last = node;
    return node;
}

/* Nodes of the frames from the root down to the one being visited. */
struct path {
    struct node **nodes;
    size_t capacity;
    struct pyi_strbuf scratch;
};

static void path_deinit(struct path *path)
{
    free(path->nodes);
    pyi_strbuf_deinit(&path->scratch);
}

/* The frame's node below that of its caller. [self] and [root] are no calls: their node is the
 * caller's. NULL on lack of memory. */
static struct node *place(struct pyi_diff *diff, const struct pyi_frame *frame, struct node *caller,
                          struct path *path)
{
    if (pyi_frame_is_self(frame) || frame->info->identifier->synthetic == PYI_SYNTHETIC_ROOT)
        return caller;
    uint32_t identity = identity_of(diff, frame, &path->scratch);
    return identity == UINT32_MAX ? NULL : child_of(diff, caller, identity);
}

static int lay(struct pyi_diff *diff, int side, struct pyi_error *err)
{
    PYI_CLEANUP(path_deinit) struct path path = {0};
    const struct pyi_frame *root = pyi_tree_root(diff->trees[side]);
    int64_t depth = 0;
    for (const struct pyi_frame *f = root; f; f = pyi_frame_walk(root, f, &depth)) {
        if (!pyi_array_reserve(&path.nodes, &path.capacity, (size_t)depth + 1, sizeof(*path.nodes)))
            return pyi_error_nomem(err);
        struct node *caller = depth ? path.nodes[depth - 1] : diff->root;
        struct node *node = place(diff, f, caller, &path);
        if (!node)
            return pyi_error_nomem(err);
        path.nodes[depth] = node;
        if (node == caller)
            continue;
        node->time[side] += pyi_frame_time(f);
        node->own[side] += pyi_frame_self_time(f);
        if (!node->frame.frame || side == NOW)
            node->frame.frame = f;
    }
    diff->sides[side].total = root ? pyi_frame_time(root) : 0;
    diff->root->time[side] = diff->sides[side].total;
    return 0;
}

/* ---- figures ---- */

/* At least two; more when so many are looked at that chance would pass some of them. */
static double deviations_for(size_t functions)
{
    double deviations = 2;
    while (deviations < 8 && erfc(deviations * M_SQRT1_2) * (double)functions > 0.05)
        deviations += 0.01;
    return deviations;
}

static struct pyi_diff_figures figures_of(const struct pyi_diff *diff, const double time[SIDES])
{
    double variance = 0, value[SIDES], all = 0;
    for (int i = 0; i < SIDES; i++) {
        const struct pyi_diff_side *side = &diff->sides[i];
        const double unit = diff->mode == PYI_DIFF_SHARE && side->total > 0 ? side->total : 1;
        const double weight = side->samples > 0 ? side->total / side->samples : 0;
        value[i] = time[i] / unit;
        all += side->total / unit;
        variance += fmax(time[i], 0) * weight / (unit * unit);
    }
    struct pyi_diff_figures out = {.base = time[BASE],
                                   .now = time[NOW],
                                   .delta = value[NOW] - value[BASE],
                                   .noise = diff->deviations * sqrt(variance)};
    /* What subtraction leaves of equal sums is no difference, however few samples there are. */
    if (fabs(out.delta) <= out.noise || fabs(out.delta) < 1e-9 * all)
        out.change = PYI_DIFF_QUIET;
    else if (!(time[BASE] > 0))
        out.change = PYI_DIFF_FRESH;
    else if (!(time[NOW] > 0))
        out.change = PYI_DIFF_GONE;
    else
        out.change = out.delta > 0 ? PYI_DIFF_MORE : PYI_DIFF_LESS;
    return out;
}

static int compare_frames(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    const double dx = fabs(x->frame.total.delta), dy = fabs(y->frame.total.delta);
    if (dx != dy)
        return dx < dy ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

struct order {
    struct node **nodes;
    size_t capacity;
};

static bool sort_children(struct node *parent, struct order *order)
{
    size_t count = 0;
    for (const struct pyi_diff_frame *c = parent->frame.first; c; c = c->next) {
        if (!pyi_array_reserve(&order->nodes, &order->capacity, count + 1, sizeof(*order->nodes)))
            return false;
        order->nodes[count++] = (struct node *)c;
    }
    if (count < 2)
        return true;
    qsort(order->nodes, count, sizeof(*order->nodes), compare_frames);
    parent->frame.first = &order->nodes[0]->frame;
    for (size_t i = 0; i < count; i++)
        order->nodes[i]->frame.next = i + 1 < count ? &order->nodes[i + 1]->frame : NULL;
    return true;
}

/* Figures of all nodes; then everything above a change is stirred. */
static int judge(struct pyi_diff *diff, struct pyi_error *err)
{
    struct order order = {0};
    bool fine = true;
    diff->deviations = deviations_for(diff->identities.count);
    for (const struct pyi_diff_frame *f = &diff->root->frame; f; f = pyi_diff_walk(diff, f, NULL)) {
        struct node *node = (struct node *)f;
        node->frame.total = figures_of(diff, node->time);
        node->frame.self = figures_of(diff, node->own);
        if (node->frame.total.change == PYI_DIFF_QUIET && node->frame.self.change == PYI_DIFF_QUIET)
            continue;
        for (struct node *n = node; n && !n->frame.stirred; n = (struct node *)n->frame.parent)
            n->frame.stirred = true;
    }
    for (const struct pyi_diff_frame *f = &diff->root->frame; fine && f;
         f = pyi_diff_walk(diff, f, NULL))
        fine = sort_children((struct node *)f, &order);
    free(order.nodes);
    return fine ? 0 : pyi_error_nomem(err);
}

/* ---- functions ---- */

static int compare_functions(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    const double dx = fabs(x->row.self.delta), dy = fabs(y->row.self.delta);
    if (dx != dy)
        return dx < dy ? 1 : -1;
    return (x->row.self.now < y->row.self.now) - (x->row.self.now > y->row.self.now);
}

/* Successor in depth-first order; every frame that is left on the way closes its function. */
static const struct pyi_diff_frame *leave(struct pyi_diff *diff, const struct pyi_diff_frame *f)
{
    if (f->first)
        return f->first;
    for (; f && f != &diff->root->frame; f = f->parent) {
        diff->functions[((const struct node *)f)->identity].open--;
        if (f->next)
            return f->next;
    }
    return NULL;
}

static int add_functions(struct pyi_diff *diff, struct pyi_error *err)
{
    if (!pyi_array_reserve(&diff->functions, &diff->function_capacity, diff->identities.count + 1,
                           sizeof(*diff->functions)))
        return pyi_error_nomem(err);
    diff->function_count = diff->identities.count;
    memset(diff->functions, 0, (diff->function_count + 1) * sizeof(*diff->functions));
    for (const struct pyi_diff_frame *f = diff->root->frame.first; f; f = leave(diff, f)) {
        const struct node *node = (const struct node *)f;
        struct function *function = &diff->functions[node->identity];
        for (int i = 0; i < SIDES; i++) {
            function->own[i] += node->own[i];
            function->time[i] += function->open ? 0 : node->time[i];
        }
        function->open++;
        if (!function->row.frame || node->time[NOW] > 0)
            function->row.frame = f->frame;
    }
    for (size_t i = 0; i < diff->function_count; i++) {
        struct function *function = &diff->functions[i];
        function->row.total = figures_of(diff, function->time);
        function->row.self = figures_of(diff, function->own);
    }
    if (diff->function_count)
        qsort(diff->functions, diff->function_count, sizeof(*diff->functions), compare_functions);
    return 0;
}

/* ---- life ---- */

static const enum pyi_processor steps[] = {
    PYI_REMOVE_IMPORTLIB,
    PYI_REMOVE_TRACEBACKHIDE,
    PYI_MERGE_CONSECUTIVE_SELF_TIME,
    PYI_AGGREGATE_REPEATED_CALLS,
    PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES,
};

static int build(struct pyi_diff *diff, int side, struct pyi_session *session, unsigned flags,
                 const struct pyi_processor_options *options, struct pyi_error *err)
{
    int code = pyi_tree_build(session, flags | PYI_TREE_KEEP_STEM, &diff->trees[side], err);
    for (size_t i = 0; !code && i < sizeof(steps) / sizeof(*steps); i++)
        if (!options->show_all || i >= 2) /* the first two leave frames out */
            code = pyi_tree_process(diff->trees[side], steps[i], options, err);
    diff->sides[side].samples = pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).value;
    return code ? code : lay(diff, side, err);
}

void pyi_diff_free(struct pyi_diff *diff)
{
    if (!diff)
        return;
    for (int i = 0; i < SIDES; i++)
        pyi_tree_free(diff->trees[i]);
    pyi_intern_deinit(&diff->identities);
    pyi_map_deinit(&diff->children);
    pyi_arena_free(&diff->arena);
    free(diff->functions);
    free(diff);
}

int pyi_diff_new(struct pyi_session *base, struct pyi_session *now, enum pyi_diff_mode mode,
                 unsigned flags, const struct pyi_processor_options *options, struct pyi_diff **out,
                 struct pyi_error *err)
{
    struct pyi_processor_options defaults;
    pyi_processor_options_init(&defaults);
    struct pyi_diff *diff = calloc(1, sizeof(*diff));
    if (!diff)
        return pyi_error_nomem(err);
    diff->mode = mode;
    diff->root = pyi_arena_alloc(&diff->arena, sizeof(*diff->root));
    int code = diff->root ? 0 : pyi_error_nomem(err);
    diff->nodes = 1;
    options = options ? options : &defaults;
    if (!code)
        code = build(diff, BASE, base, flags, options, err);
    if (!code)
        code = build(diff, NOW, now, flags, options, err);
    if (!code)
        code = judge(diff, err);
    if (!code)
        code = add_functions(diff, err);
    if (code) {
        pyi_diff_free(diff);
        return code;
    }
    *out = diff;
    return 0;
}

/* ---- reading ---- */

const struct pyi_diff_frame *pyi_diff_root(const struct pyi_diff *diff)
{
    return &diff->root->frame;
}

const struct pyi_diff_function *pyi_diff_function(const struct pyi_diff *diff, size_t index)
{
    return index < diff->function_count ? &diff->functions[index].row : NULL;
}

enum pyi_diff_mode pyi_diff_mode(const struct pyi_diff *diff)
{
    return diff->mode;
}

struct pyi_diff_side pyi_diff_base_side(const struct pyi_diff *diff)
{
    return diff->sides[BASE];
}

struct pyi_diff_side pyi_diff_new_side(const struct pyi_diff *diff)
{
    return diff->sides[NOW];
}

const struct pyi_diff_frame *pyi_diff_walk(const struct pyi_diff *diff,
                                           const struct pyi_diff_frame *frame, int64_t *depth)
{
    if (frame->first) {
        if (depth)
            ++*depth;
        return frame->first;
    }
    for (; frame != &diff->root->frame; frame = frame->parent) {
        if (frame->next)
            return frame->next;
        if (depth)
            --*depth;
    }
    return NULL;
}

enum pyi_diff_mode pyi_diff_default_mode(const struct pyi_session *base,
                                         const struct pyi_session *now)
{
    /* An attached recording begins and ends where somebody chose, a launched one does not. */
    const struct pyi_text a = pyi_session_target_description(base),
                          b = pyi_session_target_description(now);
    return pyi_text_starts_with(a, "Process ") || pyi_text_starts_with(b, "Process ")
               ? PYI_DIFF_SHARE
               : PYI_DIFF_TIME;
}
