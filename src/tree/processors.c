/* SPDX-License-Identifier: BSD-3-Clause */
/* processors.c - the steps that turn a raw tree into a readable one, and every list of them.
 *
 * In: a tree and options. Out: the same tree, changed in place; the root may be another frame.
 * Steps visit frames in upstream's order, because sums and group numbers depend on it, and none
 * recurses. Which steps run for which report is written in the table of lists below, and
 * nowhere else. */
#include <pyinstrument/frame.h>

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/text.h"
#include "src/tree/match.h"
#include "src/tree/tree.h"
#include <stdlib.h>

void pyi_processor_options_init(struct pyi_processor_options *options)
{
    *options = (struct pyi_processor_options){
        .filter_threshold = 0.01, .hide_regex = pyi_text(""), .show_regex = pyi_text("")};
}

static struct pyi_frame *innermost_first(struct pyi_frame *frame)
{
    while (frame->first)
        frame = frame->first;
    return frame;
}

/* ---- removing single frames ---- */

/* Removes every frame but the root for which `wanted` says so; its children take its place.
 * Children go before their parent, so what a frame leaves behind has already been looked at. */
static void dissolve_frames(struct pyi_tree *tree, bool (*wanted)(const struct pyi_frame *frame),
                            bool only_first)
{
    struct pyi_frame *frame = innermost_first(tree->root);
    while (frame != tree->root) {
        struct pyi_frame *parent = frame->parent, *next = frame->next;
        if (wanted(frame)) {
            pyi_frame_delete(frame, PYI_REPLACE_WITH_CHILDREN);
            if (only_first)
                next = NULL;
        }
        frame = next ? innermost_first(next) : parent;
    }
}

static bool is_importlib(const struct pyi_frame *frame)
{
    return pyi_text_contains(pyi_frame_file_path(frame), "<frozen importlib._bootstrap");
}

/** Removes the import machinery; what it called moves up. */
static int remove_importlib(struct pyi_tree *tree, const struct pyi_processor_options *options,
                            struct pyi_error *err)
{
    dissolve_frames(tree, is_importlib, false);
    return 0;
}

/* The mark must be what the frame showed for the longest time among all `h` values. */
static bool is_tracebackhide(const struct pyi_frame *frame)
{
    struct pyi_text value;
    return pyi_frame_query(frame, 'h', &value) && pyi_text_equal(value, pyi_text("1"));
}

/** Removes frames that ask to be left out of tracebacks; what they called moves up. */
static int remove_tracebackhide(struct pyi_tree *tree, const struct pyi_processor_options *options,
                                struct pyi_error *err)
{
    dissolve_frames(tree, is_tracebackhide, false);
    return 0;
}

static bool is_ipython(const struct pyi_frame *frame)
{
    static const char *const places[] = {
        "IPython/core/interactiveshell.py",
        "IPython/terminal/interactiveshell.py",
        "IPython/core/async_helpers.py",
        "IPython/terminal/ipapp.py",
        "traitlets/config/application.py",
        "ipython/IPython/__init__.py",
        "ipykernel/zmqshell",
        "pyinstrument/magic/magic.py",
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (pyi_text_contains(pyi_frame_file_path(frame), places[i]))
            return true;
    return false;
}

/** Removes the notebook's own frames; after one the rest of its siblings are not looked at. */
static int strip_ipython(struct pyi_tree *tree, const struct pyi_processor_options *options,
                         struct pyi_error *err)
{
    dissolve_frames(tree, is_ipython, true);
    return 0;
}

/* ---- self time ---- */

/** Joins [self] frames that stand side by side into the first of them. */
static int merge_consecutive_self_time(struct pyi_tree *tree,
                                       const struct pyi_processor_options *options,
                                       struct pyi_error *err)
{
    for (struct pyi_frame *f = tree->root; f; f = pyi_frame_step(tree->root, f)) {
        struct pyi_frame *run = NULL, *next;
        for (struct pyi_frame *child = f->first; child; child = next) {
            next = child->next;
            if (!pyi_frame_is_self(child)) {
                run = NULL;
            } else if (!run) {
                run = child;
            } else {
                /* The attributes of the first stay what they were. */
                if (run->info->attribute_count && !pyi_frame_own_attributes(run))
                    return pyi_error_nomem(err);
                run->time += child->time;
                pyi_frame_unlink(child);
                pyi_group_leave(child);
            }
        }
    }
    return 0;
}

/** Removes a [self] that is its parent's only child: it says nothing. */
static int remove_unnecessary_self_time_nodes(struct pyi_tree *tree,
                                              const struct pyi_processor_options *options,
                                              struct pyi_error *err)
{
    for (struct pyi_frame *f = tree->root; f; f = pyi_frame_step(tree->root, f))
        if (f->first && !f->first->next && pyi_frame_is_self(f->first))
            pyi_frame_delete(f->first, PYI_REPLACE_WITH_NOTHING);
    return 0;
}

/* ---- aggregation ---- */

struct ranked {
    struct pyi_frame *frame;
    size_t place;
};

/* Longest first, equal ones in their order before. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->frame->time != y->frame->time)
        return x->frame->time < y->frame->time ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

static bool is_sorted(const struct pyi_frame *frame)
{
    for (const struct pyi_frame *child = frame->first; child && child->next; child = child->next)
        if (child->time < child->next->time)
            return false;
    return true;
}

static bool sort_children(struct pyi_frame *frame, struct ranked **scratch, size_t *capacity)
{
    if (is_sorted(frame))
        return true;
    size_t count = 0;
    for (struct pyi_frame *child = frame->first; child; child = child->next, count++) {
        if (!pyi_array_reserve(scratch, capacity, count + 1, sizeof(**scratch)))
            return false;
        (*scratch)[count] = (struct ranked){child, count};
    }
    qsort(*scratch, count, sizeof(**scratch), compare_ranked);
    frame->first = NULL;
    for (size_t i = 0; i < count; i++)
        pyi_frame_append(frame, (*scratch)[i].frame);
    return true;
}

static bool combine_children(struct pyi_frame *frame)
{
    struct pyi_frame *next;
    uint64_t epoch = ++pyi_frame_tree(frame)->epoch;
    for (struct pyi_frame *child = frame->first; child; child = next) {
        struct pyi_identifier *identifier = child->info->identifier;
        next = child->next;
        if (identifier->seen_epoch != epoch) {
            identifier->seen_epoch = epoch;
            identifier->seen = child;
        } else if (!pyi_frame_combine(child, identifier->seen)) {
            return false;
        }
    }
    return true;
}

/** Joins all calls of the same code by the same caller and puts the longest first. */
static int aggregate_repeated_calls(struct pyi_tree *tree,
                                    const struct pyi_processor_options *options,
                                    struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) struct ranked *scratch = NULL;
    size_t capacity = 0;
    for (struct pyi_frame *f = tree->root; f; f = pyi_frame_step(tree->root, f))
        if (!combine_children(f) || !sort_children(f, &scratch, &capacity))
            return pyi_error_nomem(err);
    return 0;
}

/* ---- small frames ---- */

/** Removes frames below a share of the root's time; their time stays in the parent. */
static int remove_irrelevant_nodes(struct pyi_tree *tree,
                                   const struct pyi_processor_options *options,
                                   struct pyi_error *err)
{
    double total = tree->root->time <= 0 ? 1e-44 : tree->root->time;
    for (struct pyi_frame *f = tree->root; f; f = pyi_frame_step(tree->root, f)) {
        struct pyi_frame *next;
        for (struct pyi_frame *child = f->first; child; child = next) {
            next = child->next;
            if (child->time / total < options->filter_threshold)
                pyi_frame_delete(child, PYI_REPLACE_WITH_NOTHING);
        }
    }
    return 0;
}

/* ---- the launcher's frames ---- */

static bool is_large_part(const struct pyi_frame *frame)
{
    if (!frame->parent)
        return true;
    return frame->parent->time != 0 && frame->time / frame->parent->time > 0.8;
}

/* Python's re.match of ".*pyinstrument[/\\]__main__.py": its dots take any character but a
 * newline, and no newline may come before. */
static bool is_launcher(const struct pyi_frame *frame)
{
    static const char head[] = "pyinstrument", middle[] = "__main__", tail[] = "py";
    enum { HEAD = sizeof(head) - 1, MIDDLE = sizeof(middle) - 1, TAIL = sizeof(tail) - 1 };
    struct pyi_text path = pyi_frame_file_path(frame);
    const char *newline = memchr(path.data, '\n', path.length);
    const char *end = newline ? newline : path.data + path.length;
    for (const char *p = path.data; end - p >= HEAD + 1 + MIDDLE + 1 + TAIL; p++) {
        const char *slash = p + HEAD, *name = slash + 1, *dot = name + MIDDLE;
        if (memcmp(p, head, HEAD) || (*slash != '/' && *slash != '\\') ||
            memcmp(name, middle, MIDDLE))
            continue;
        struct pyi_text rest = {dot, (size_t)(end - dot)};
        size_t after = 0;
        (void)pyi_text_next(rest, &after); /* the dot may be any one character */
        if (rest.length - after >= TAIL && !memcmp(dot + after, tail, TAIL))
            return true;
    }
    return false;
}

/* Python's re.match of ".*runpy.py", or the frozen module. */
static bool is_runpy(const struct pyi_frame *frame)
{
    static const char name[] = "runpy";
    struct pyi_text path = pyi_frame_file_path(frame);
    if (pyi_text_contains(path, "<frozen runpy>"))
        return true;
    const char *newline = memchr(path.data, '\n', path.length);
    const char *end = newline ? newline : path.data + path.length;
    for (const char *p = path.data; end - p >= 8; p++) {
        if (memcmp(p, name, 5))
            continue;
        struct pyi_text rest = {p + 5, (size_t)(end - p) - 5};
        size_t after = 0;
        (void)pyi_text_next(rest, &after);
        if (rest.length - after >= 2 && !memcmp(rest.data + after, "py", 2))
            return true;
    }
    return false;
}

static struct pyi_frame *longest_child(const struct pyi_frame *frame)
{
    struct pyi_frame *best = frame->first;
    for (struct pyi_frame *child = frame->first; child; child = child->next)
        if (child->time > best->time)
            best = child;
    return best;
}

/* The page follows the longest child and wants to see runpy; the reports take the first one. */
static void strip_launcher(struct pyi_tree *tree, bool page)
{
    struct pyi_frame *(*below)(const struct pyi_frame *) = longest_child;
    struct pyi_frame *frame = tree->root;
    if (!is_launcher(frame) || !frame->first)
        return;
    frame = page ? below(frame) : frame->first;
    if (!is_large_part(frame) || !pyi_text_contains(pyi_frame_file_path(frame), "<string>") ||
        !frame->first)
        return;
    frame = page ? below(frame) : frame->first;
    if (page && (!is_large_part(frame) || !is_runpy(frame) || !frame->first))
        return;
    while (is_large_part(frame) && is_runpy(frame) && frame->first)
        frame = page ? below(frame) : frame->first;
    pyi_frame_unlink(frame);
    tree->root = frame;
}

/** Removes the frames between pyinstrument's own main function and the program's code. */
static int remove_first_pyinstrument_frames(struct pyi_tree *tree,
                                            const struct pyi_processor_options *options,
                                            struct pyi_error *err)
{
    strip_launcher(tree, false);
    return 0;
}

/** The same as the page does it: along the longest child, and only when runpy is there. */
static int remove_first_pyinstrument_frames_page(struct pyi_tree *tree,
                                                 const struct pyi_processor_options *options,
                                                 struct pyi_error *err)
{
    strip_launcher(tree, true);
    return 0;
}

/* ---- groups ---- */

enum { UNDECIDED, SHOWN, HIDDEN, BY_ORIGIN };

struct hiding {
    const struct pyi_processor_options *options;
    enum pyi_match_mode mode;
    struct pyi_pattern *show, *hide; /* compiled when first needed: upstream fails no earlier */
};

static void hiding_deinit(struct hiding *hiding)
{
    pyi_pattern_free(hiding->show);
    pyi_pattern_free(hiding->hide);
}

static int matches(struct hiding *hiding, struct pyi_pattern **pattern, struct pyi_text source,
                   struct pyi_text path, bool *out, struct pyi_error *err)
{
    int code = *pattern ? 0 : pyi_pattern_new(source, pattern, err);
    return code ? code : pyi_pattern_match(*pattern, path, hiding->mode, out, err);
}

/* What the patterns say about a path; once per identifier. */
static int decide(struct hiding *hiding, struct pyi_identifier *identifier, struct pyi_error *err)
{
    const struct pyi_processor_options *options = hiding->options;
    bool match = false;
    int code = 0;
    if (options->has_show_regex)
        code = matches(hiding, &hiding->show, options->show_regex, identifier->path, &match, err);
    signed char verdict = SHOWN;
    if (!code && !match) {
        if (options->has_hide_regex)
            code =
                matches(hiding, &hiding->hide, options->hide_regex, identifier->path, &match, err);
        verdict = match ? HIDDEN : BY_ORIGIN;
    }
    if (!code)
        identifier->hidden = verdict;
    return code;
}

static int is_hidden(struct hiding *hiding, const struct pyi_frame *frame, bool *out,
                     struct pyi_error *err)
{
    struct pyi_identifier *identifier = frame->info->identifier;
    int code = identifier->hidden == UNDECIDED ? decide(hiding, identifier, err) : 0;
    if (!code)
        *out = identifier->hidden == HIDDEN ||
               (identifier->hidden == BY_ORIGIN && !pyi_frame_is_application_code(frame));
    return code;
}

/* First frame at or after `frame` among its siblings that is hidden; NULL if none is. */
static int next_hidden(struct hiding *hiding, struct pyi_frame *frame, struct pyi_frame **out,
                       struct pyi_error *err)
{
    bool hidden = false;
    int code = 0;
    for (; !code && frame; frame = frame->next) {
        code = is_hidden(hiding, frame, &hidden, err);
        if (!code && hidden)
            break;
    }
    if (!code)
        *out = frame;
    return code;
}

/* Puts a frame and the hidden frames hanging together below it into a group, depth first. */
static int fill_group(struct hiding *hiding, struct pyi_frame_group *group, struct pyi_frame *root,
                      struct pyi_error *err)
{
    struct pyi_frame *frame = root;
    for (;;) {
        if (!pyi_group_add(group, frame))
            return pyi_error_nomem(err);
        struct pyi_frame *next;
        int code = next_hidden(hiding, frame->first, &next, err);
        for (; !code && !next && frame != root; frame = frame->parent)
            code = next_hidden(hiding, frame->next, &next, err);
        if (code || !next)
            return code;
        frame = next;
    }
}

static int consider_group(struct hiding *hiding, struct pyi_tree *tree, struct pyi_frame *frame,
                          struct pyi_error *err)
{
    bool hidden = false;
    int code = frame->group ? 0 : is_hidden(hiding, frame, &hidden, err);
    if (code || !hidden)
        return code;
    struct pyi_frame *child;
    code = next_hidden(hiding, frame->first, &child, err);
    if (code || !child)
        return code;
    struct pyi_frame_group *group = pyi_group_new(tree);
    return group ? fill_group(hiding, group, frame, err) : pyi_error_nomem(err);
}

static int group_frames(struct pyi_tree *tree, const struct pyi_processor_options *options,
                        enum pyi_match_mode mode, struct pyi_error *err)
{
    PYI_CLEANUP(hiding_deinit) struct hiding hiding = {.options = options, .mode = mode};
    for (size_t i = 0; i < tree->identifier_texts.count; i++)
        tree->identifiers[i]->hidden = UNDECIDED;
    int code = 0;
    struct pyi_frame *root = tree->root;
    for (struct pyi_frame *f = pyi_frame_step(root, root); f && !code; f = pyi_frame_step(root, f))
        code = consider_group(&hiding, tree, f, err);
    return code;
}

/** Puts runs of library frames, or of what the patterns name, into groups of two and more. */
static int group_library_frames(struct pyi_tree *tree, const struct pyi_processor_options *options,
                                struct pyi_error *err)
{
    return group_frames(tree, options, PYI_MATCH_START, err);
}

/** The same as the page does it: patterns may match anywhere in the path. */
static int group_library_frames_page(struct pyi_tree *tree,
                                     const struct pyi_processor_options *options,
                                     struct pyi_error *err)
{
    return group_frames(tree, options, PYI_MATCH_ANYWHERE, err);
}

/** Dissolves groups of fewer than three frames: folding them would save nothing on the page. */
static int drop_small_groups(struct pyi_tree *tree, const struct pyi_processor_options *options,
                             struct pyi_error *err)
{
    for (size_t i = 0; i < tree->group_count; i++)
        if (pyi_group_size(tree->groups[i]) < 3)
            pyi_group_dissolve(tree->groups[i]);
    return 0;
}

/* ---- tables ---- */

static int (*const steps[])(struct pyi_tree *tree, const struct pyi_processor_options *options,
                            struct pyi_error *err) = {
    [PYI_REMOVE_IMPORTLIB] = remove_importlib,
    [PYI_REMOVE_TRACEBACKHIDE] = remove_tracebackhide,
    [PYI_MERGE_CONSECUTIVE_SELF_TIME] = merge_consecutive_self_time,
    [PYI_AGGREGATE_REPEATED_CALLS] = aggregate_repeated_calls,
    [PYI_REMOVE_IRRELEVANT_NODES] = remove_irrelevant_nodes,
    [PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES] = remove_unnecessary_self_time_nodes,
    [PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES] = remove_first_pyinstrument_frames,
    [PYI_GROUP_LIBRARY_FRAMES] = group_library_frames,
    [PYI_STRIP_IPYTHON_FRAMES] = strip_ipython,
    [PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES_PAGE] = remove_first_pyinstrument_frames_page,
    [PYI_GROUP_LIBRARY_FRAMES_PAGE] = group_library_frames_page,
    [PYI_DROP_SMALL_GROUPS] = drop_small_groups,
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]), LIST_END = STEPS };

static const enum pyi_processor lists[][STEPS + 1] = {
    [PYI_LIST_TEXT] = {PYI_REMOVE_IMPORTLIB, PYI_REMOVE_TRACEBACKHIDE,
                       PYI_MERGE_CONSECUTIVE_SELF_TIME, PYI_AGGREGATE_REPEATED_CALLS,
                       PYI_REMOVE_IRRELEVANT_NODES, PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES,
                       PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES, PYI_GROUP_LIBRARY_FRAMES,
                       (enum pyi_processor)LIST_END},
    [PYI_LIST_PSTATS] = {PYI_REMOVE_IMPORTLIB, PYI_REMOVE_TRACEBACKHIDE,
                         PYI_MERGE_CONSECUTIVE_SELF_TIME, PYI_AGGREGATE_REPEATED_CALLS,
                         PYI_REMOVE_IRRELEVANT_NODES, PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES,
                         PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES, (enum pyi_processor)LIST_END},
    [PYI_LIST_SPEEDSCOPE] = {PYI_REMOVE_IMPORTLIB, PYI_REMOVE_TRACEBACKHIDE,
                             PYI_MERGE_CONSECUTIVE_SELF_TIME, PYI_REMOVE_IRRELEVANT_NODES,
                             PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES,
                             PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES, (enum pyi_processor)LIST_END},
    [PYI_LIST_PAGE] = {PYI_REMOVE_IMPORTLIB, PYI_REMOVE_TRACEBACKHIDE,
                       PYI_MERGE_CONSECUTIVE_SELF_TIME, PYI_AGGREGATE_REPEATED_CALLS,
                       PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES, PYI_REMOVE_IRRELEVANT_NODES,
                       PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES_PAGE, PYI_GROUP_LIBRARY_FRAMES_PAGE,
                       PYI_DROP_SMALL_GROUPS, (enum pyi_processor)LIST_END},
    [PYI_LIST_EXPORT] = {PYI_MERGE_CONSECUTIVE_SELF_TIME, PYI_AGGREGATE_REPEATED_CALLS,
                         (enum pyi_processor)LIST_END},
    [PYI_LIST_NONE] = {(enum pyi_processor)LIST_END},
};

int pyi_tree_process(struct pyi_tree *tree, enum pyi_processor step,
                     const struct pyi_processor_options *options, struct pyi_error *err)
{
    if ((unsigned)step >= STEPS)
        return pyi_error_set(err, PYI_E_INVALID, "no processor has the number %d", (int)step);
    if (!tree->root)
        return 0;
    pyi_tree_changed(tree);
    int code = steps[step](tree, options, err);
    pyi_tree_changed(tree);
    if (!code && !pyi_tree_update_await(tree))
        code = pyi_error_nomem(err);
    return code;
}

static bool is_dropped(enum pyi_processor step, const struct pyi_processor_options *options)
{
    switch (step) {
    case PYI_GROUP_LIBRARY_FRAMES:
    case PYI_GROUP_LIBRARY_FRAMES_PAGE:
    case PYI_REMOVE_IMPORTLIB:
    case PYI_REMOVE_IRRELEVANT_NODES:
    case PYI_REMOVE_TRACEBACKHIDE:
        return options->show_all;
    case PYI_AGGREGATE_REPEATED_CALLS:
        return options->timeline;
    default:
        return false;
    }
}

int pyi_tree_process_list(struct pyi_tree *tree, enum pyi_processor_list list,
                          const struct pyi_processor_options *options, struct pyi_error *err)
{
    if ((unsigned)list >= sizeof(lists) / sizeof(lists[0]))
        return pyi_error_set(err, PYI_E_INVALID, "no list of processors has the number %d",
                             (int)list);
    for (const enum pyi_processor *step = lists[list]; (int)*step != LIST_END; step++) {
        int code = is_dropped(*step, options) ? 0 : pyi_tree_process(tree, *step, options, err);
        if (code)
            return code;
    }
    return 0;
}
