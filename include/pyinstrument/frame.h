/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frame.h - call trees: built from a session, changed by processors, read by renderers.
 *
 * A tree is derived and disposable: every rendering builds its own, runs its processors and
 * frees it. All frames live in the tree's arena; processors unlink frames, nobody frees one.
 * Trees are walked by links, not by recursion: Python stacks are deeper than ours.
 *
 * Invariant after every processor, for a frame with children:
 *   time == sum of the children's times + absorbed time   (relative 1e-9)
 */
#ifndef PYINSTRUMENT_FRAME_H
#define PYINSTRUMENT_FRAME_H

#include <pyinstrument/error.h>
#include <pyinstrument/session.h>
#include <pyinstrument/types.h>

struct pyi_tree;
struct pyi_frame;
struct pyi_frame_group;

/** Which records a tree is built from. Zero is upstream's behaviour. */
enum pyi_tree_flags {
    PYI_TREE_KEEP_STEM = 1, /* do not trim the start call stack */
    PYI_TREE_WITHOUT_IDLE =
        2, /* leave out threads that `attach` marks idle, except the main thread */
};

/** One step of a renderer's processing; the meaning of each is documented in processors.c. */
enum pyi_processor {
    PYI_REMOVE_IMPORTLIB,
    PYI_REMOVE_TRACEBACKHIDE,
    PYI_MERGE_CONSECUTIVE_SELF_TIME,
    PYI_AGGREGATE_REPEATED_CALLS,
    PYI_REMOVE_IRRELEVANT_NODES,
    PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES,
    PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES,
    PYI_GROUP_LIBRARY_FRAMES,
    PYI_STRIP_IPYTHON_FRAMES,
    /* how the page does three things by itself */
    PYI_REMOVE_FIRST_PYINSTRUMENT_FRAMES_PAGE,
    PYI_GROUP_LIBRARY_FRAMES_PAGE,
    PYI_DROP_SMALL_GROUPS,
};

/** Which default list of processors a renderer uses. */
enum pyi_processor_list {
    PYI_LIST_TEXT,       /* text and json */
    PYI_LIST_PSTATS,     /* without grouping */
    PYI_LIST_SPEEDSCOPE, /* without aggregation and grouping */
    PYI_LIST_PAGE,       /* what the HTML page does by itself; its threshold is 0.001 */
    PYI_LIST_EXPORT,     /* nothing removed: self times joined, calls aggregated */
    PYI_LIST_NONE,
};

struct pyi_processor_options {
    double filter_threshold;    /* share of the root below which a frame is dropped; 0.01 */
    struct pyi_text hide_regex; /* Python re.match syntax; length 0 and has_hide false: none */
    struct pyi_text show_regex;
    bool has_hide_regex, has_show_regex;
    bool show_all; /* drop the hiding and removing steps */
    bool timeline; /* drop aggregation */
};

/** Defaults: threshold 0.01, no patterns, nothing dropped. */
PYI_API void pyi_processor_options_init(struct pyi_processor_options *options);

/**
 * Builds the tree of a session. `flags`: PYI_TREE_*. The session must outlive the tree.
 * A session without records gives a tree without root. Errors: NOMEM, LIMIT, FORMAT (a frame
 * follows a synthetic leaf).
 */
PYI_API int pyi_tree_build(struct pyi_session *session, unsigned flags, struct pyi_tree **out,
                           struct pyi_error *err) PYI_MUST_CHECK;
PYI_API void pyi_tree_free(struct pyi_tree *tree);
/** Number of idle threads that PYI_TREE_WITHOUT_IDLE left out. */
PYI_API size_t pyi_tree_idle_count(const struct pyi_tree *tree);

/** Runs one processor on the whole tree. Errors: NOMEM, FORMAT (a pattern does not compile). */
PYI_API int pyi_tree_process(struct pyi_tree *tree, enum pyi_processor step,
                             const struct pyi_processor_options *options,
                             struct pyi_error *err) PYI_MUST_CHECK;
/** Runs a renderer's list, less the steps that show_all and timeline drop. Errors as above. */
PYI_API int pyi_tree_process_list(struct pyi_tree *tree, enum pyi_processor_list list,
                                  const struct pyi_processor_options *options,
                                  struct pyi_error *err) PYI_MUST_CHECK;
/**
 * Python regular expression that matches exactly the paths a shell-style pattern does
 * (`*` also matches `/`). `sink` gets the text. Errors: NOMEM.
 */
PYI_API int pyi_glob_to_regex(struct pyi_text glob, const struct pyi_sink *sink,
                              struct pyi_error *err) PYI_MUST_CHECK;
/** Checks the invariant and all links; a violation is INVALID with the frame named. */
PYI_API int pyi_tree_check(const struct pyi_tree *tree, struct pyi_error *err) PYI_MUST_CHECK;

/* ---- reading; all pointers are borrowed until the tree is freed --------------------------- */

/** NULL when nothing was recorded or everything was removed. */
PYI_API const struct pyi_frame *pyi_tree_root(const struct pyi_tree *tree);
PYI_API const struct pyi_frame *pyi_frame_parent(const struct pyi_frame *frame);
PYI_API const struct pyi_frame *pyi_frame_first_child(const struct pyi_frame *frame);
PYI_API const struct pyi_frame *pyi_frame_last_child(const struct pyi_frame *frame);
PYI_API const struct pyi_frame *pyi_frame_next(const struct pyi_frame *frame);
/**
 * Next frame in depth-first order, parents before children, NULL at the end of `root`'s
 * subtree; `*depth` is counted up and down along the way when not NULL.
 */
PYI_API const struct pyi_frame *pyi_frame_walk(const struct pyi_frame *root,
                                               const struct pyi_frame *frame, int64_t *depth);

/** Seconds, children included. */
PYI_API double pyi_frame_time(const struct pyi_frame *frame);
/** Seconds of removed descendants that are still part of the frame's time. */
PYI_API double pyi_frame_absorbed_time(const struct pyi_frame *frame);
/** Time less the times of the real (not synthetic) children, subtracted in order. */
PYI_API double pyi_frame_self_time(const struct pyi_frame *frame);
PYI_API double pyi_frame_await_time(const struct pyi_frame *frame);

PYI_API struct pyi_text pyi_frame_identifier(const struct pyi_frame *frame);
PYI_API struct pyi_text pyi_frame_function(const struct pyi_frame *frame);
/** Empty text when there is none; `pyi_frame_has_path` tells none from empty. */
PYI_API struct pyi_text pyi_frame_file_path(const struct pyi_frame *frame);
PYI_API bool pyi_frame_has_path(const struct pyi_frame *frame);
/** Shortened path; the parent's for a synthetic frame; empty if there is none. */
PYI_API struct pyi_text pyi_frame_short_path(const struct pyi_frame *frame);
/** False when the identifier has no line; FORMAT problems (line is no number) also give false. */
PYI_API bool pyi_frame_line(const struct pyi_frame *frame, int64_t *line);
/** Empty text when there is none. */
PYI_API struct pyi_text pyi_frame_class_name(const struct pyi_frame *frame);
PYI_API bool pyi_frame_is_application_code(const struct pyi_frame *frame);
/** [await], [self], [out-of-context] or [root]. */
PYI_API bool pyi_frame_is_synthetic(const struct pyi_frame *frame);
/** The same without [root]. */
PYI_API bool pyi_frame_is_synthetic_leaf(const struct pyi_frame *frame);

/** Attributes in order of first sight: text (marker and data) and seconds. False at the end. */
PYI_API bool pyi_frame_attribute(const struct pyi_frame *frame, size_t index, struct pyi_text *text,
                                 double *seconds);

/**
 * Reads what threads were doing into the tree, once: `seconds` gets the time by enum pyi_state, all
 * of it unknown when the session does not say. Errors: NOMEM.
 */
PYI_API int pyi_tree_read_states(struct pyi_tree *tree, double seconds[4],
                                 struct pyi_error *err) PYI_MUST_CHECK;
/** After that: a leaf whose function spends most of its own time waiting. */
PYI_API bool pyi_frame_is_waiting(const struct pyi_frame *frame);

/** NULL when the frame is in no group. */
PYI_API const struct pyi_frame_group *pyi_frame_group(const struct pyi_frame *frame);
PYI_API const struct pyi_frame *pyi_group_root(const struct pyi_frame_group *group);
/** Members in order of addition; NULL past the end. */
PYI_API const struct pyi_frame *pyi_group_member(const struct pyi_frame_group *group, size_t index);
PYI_API size_t pyi_group_size(const struct pyi_frame_group *group);
/** Has at least one child that is not in the same group. */
PYI_API bool pyi_group_is_exit(const struct pyi_frame_group *group, const struct pyi_frame *frame);
/** Number of the group in the tree, from 0, in order of creation. */
PYI_API uint32_t pyi_group_index(const struct pyi_frame_group *group);

#endif
