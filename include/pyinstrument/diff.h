/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * diff.h - two sessions side by side: what takes longer, what takes less, what is new or gone.
 *
 * Calls are matched from the outermost frame inwards by function, class and short path. Lines do
 * not count, since editing a file moves them; neither do thread idents and process numbers, which
 * differ from run to run. Two samplings of one program never agree exactly: a difference smaller
 * than two standard deviations of what sampling alone makes is called noise, and more than two
 * where many functions are compared.
 */
#ifndef PYINSTRUMENT_DIFF_H
#define PYINSTRUMENT_DIFF_H

#include <pyinstrument/error.h>
#include <pyinstrument/frame.h>
#include <pyinstrument/session.h>

struct pyi_diff;

/** What is compared. */
enum pyi_diff_mode {
    PYI_DIFF_TIME,  /* seconds: both programs did the same work from start to end */
    PYI_DIFF_SHARE, /* parts of each session's total time */
};

enum pyi_diff_change {
    PYI_DIFF_QUIET, /* within the noise */
    PYI_DIFF_MORE,
    PYI_DIFF_LESS,
    PYI_DIFF_FRESH, /* only in the new session */
    PYI_DIFF_GONE,  /* only in the base */
};

struct pyi_diff_figures {
    double base, now; /* seconds */
    double delta;     /* now - base: seconds, or a part of 1 when shares are compared */
    double noise;     /* |delta| below this says nothing; same unit */
    enum pyi_diff_change change;
};

/** One call path of either session. All pointers are borrowed until the diff is freed. */
struct pyi_diff_frame {
    const struct pyi_diff_frame *parent, *first, *next;
    const struct pyi_frame *frame; /* in the new session's tree if it is there, else in the base's;
                                      NULL for the frame above everything */
    struct pyi_diff_figures total, self;
    bool stirred; /* it or something below it is beyond the noise */
};

/** One function, all its calls together; recursion counts once in `total`. */
struct pyi_diff_function {
    const struct pyi_frame *frame; /* one of its frames */
    struct pyi_diff_figures total, self;
};

/** What was compared. */
struct pyi_diff_side {
    double total;   /* seconds of all frames */
    double samples; /* that they stand on */
};

/**
 * Compares two sessions, which must outlive the result. `options`: show_all keeps the frames that
 * reports leave out; may be NULL. `flags`: PYI_TREE_*. Children come in order of |delta|, largest
 * first. Errors: as pyi_tree_build() and pyi_tree_process().
 */
PYI_API int pyi_diff_new(struct pyi_session *base, struct pyi_session *now, enum pyi_diff_mode mode,
                         unsigned flags, const struct pyi_processor_options *options,
                         struct pyi_diff **out, struct pyi_error *err) PYI_MUST_CHECK;
PYI_API void pyi_diff_free(struct pyi_diff *diff);

/** The frame above everything; never NULL. Its `self` is nothing. */
PYI_API const struct pyi_diff_frame *pyi_diff_root(const struct pyi_diff *diff);
/** By |delta| of self time, largest first; NULL past the end. */
PYI_API const struct pyi_diff_function *pyi_diff_function(const struct pyi_diff *diff,
                                                          size_t index);
PYI_API enum pyi_diff_mode pyi_diff_mode(const struct pyi_diff *diff);
PYI_API struct pyi_diff_side pyi_diff_base_side(const struct pyi_diff *diff);
PYI_API struct pyi_diff_side pyi_diff_new_side(const struct pyi_diff *diff);
/** Next frame in depth-first order, NULL at the end; `*depth` counts along when not NULL. */
PYI_API const struct pyi_diff_frame *
pyi_diff_walk(const struct pyi_diff *diff, const struct pyi_diff_frame *frame, int64_t *depth);
/** Time when both sessions are of programs run from start to end, else shares. */
PYI_API enum pyi_diff_mode pyi_diff_default_mode(const struct pyi_session *base,
                                                 const struct pyi_session *now);

#endif
