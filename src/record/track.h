/* SPDX-License-Identifier: BSD-3-Clause */
/* track.h - what was recorded of one thread.
 *
 * A track turns the stacks of successive ticks into records {stack, time}. Time is counted in
 * whole nanoseconds and never lost: at any moment the sum of a track's records plus `present -
 * accounted` is exactly the time the thread was watched. */
#ifndef PYI_RECORD_TRACK_H
#define PYI_RECORD_TRACK_H

#include "attach/attach.h"
#include "src/record/frames.h"
#include "src/record/park.h"
#include "src/session/lane.h"
#include <pyinstrument/session.h>

/* What the tracks of a recording share. */
struct pyi_ledger {
    struct pyi_session *session; /* frames and stacks; it gets its records at the very end */
    struct pyi_frames frames;
    struct pyi_park park;
    const struct pyi_target *target;
    uint64_t interval;   /* ns */
    uint64_t unobserved; /* ns given to [unobserved] so far, all tracks */
    uint32_t unobserved_frame, truncated_frame;
    bool aggregate;     /* no timeline is kept */
    bool selective;     /* not all samples are wanted: unobserved time is left out */
    uint32_t top_stack; /* highest stack number handed out */
};

/* Interns the frames of ours. Errors: NOMEM. */
int pyi_ledger_init(struct pyi_ledger *ledger, struct pyi_session *session, uint64_t interval,
                    struct pyi_error *err) PYI_MUST_CHECK;
void pyi_ledger_deinit(struct pyi_ledger *ledger); /* not the session */

/* One frame of the last delivered stack. */
struct pyi_level {
    const struct pyi_code *code; /* dangles once its target is closed: see pyi_track_detach() */
    uint32_t stack;
};

struct pyi_track {
    /* who */
    struct pyi_strbuf name;
    struct pyi_strbuf source; /* the name as the target gave it, while it is provisional */
    uint64_t ident;
    pid_t tid;
    bool is_main;
    bool provisional; /* the name is not from `threading`: a better one may replace it */
    bool shown;       /* selected by the user; others are only looked at */
    uint32_t process; /* index of its process */
    uint32_t root;    /* stack that is just the thread frame */
    /* the last delivered stack */
    struct pyi_level *levels;
    size_t level_capacity, depth;
    size_t base;          /* entries of the target's stack below levels[0] that are not shown */
    uint32_t shown_stack; /* that of the levels, and what the target marked above them */
    enum pyi_state state;
    bool delivered, truncated;
    uint64_t epoch; /* of the recorder, when it was delivered */
    /* what was recorded */
    struct pyi_lane lane; /* jumps in ns of the clock */
    uint64_t start;       /* when the first record begins, ns of the clock */
    uint64_t accounted;   /* up to here time has been given to records */
    uint64_t present;     /* the latest round that saw the thread */
    uint64_t samples;
    double cpu_start, cpu_end; /* thread CPU clock, seconds; -1 not read (again) */
};

/* A thread first seen at `now`; the round before was at `before`. Errors: NOMEM, LIMIT. */
int pyi_track_init(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_text name,
                   uint64_t ident, uint64_t before, uint64_t now,
                   struct pyi_error *err) PYI_MUST_CHECK;
void pyi_track_deinit(struct pyi_track *track);

/* Gives the thread another name, in what is recorded already too. Errors: NOMEM, LIMIT. */
int pyi_track_rename(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_text name,
                     struct pyi_error *err) PYI_MUST_CHECK;

/* The thread was seen in the round at `now`; `before` is the time of the round before. Comes
 * ahead of the next two. Closes what was open when the thread had been away. */
int pyi_track_see(struct pyi_track *track, struct pyi_ledger *ledger, uint64_t before, uint64_t now,
                  struct pyi_error *err) PYI_MUST_CHECK;
/* Its stack was delivered: the lowest `base` entries are left out. `epoch` differs from the
 * track's when the target delivered stacks in between that the track was not told of. */
int pyi_track_deliver(struct pyi_track *track, struct pyi_ledger *ledger,
                      const struct pyi_stack *stack, size_t base, uint64_t epoch, uint64_t now,
                      struct pyi_error *err) PYI_MUST_CHECK;
/* The thread was there, but what it did is not wanted: instead of pyi_track_see(). Its time is
 * left out from the last round on. */
int pyi_track_pass(struct pyi_track *track, struct pyi_ledger *ledger,
                   struct pyi_error *err) PYI_MUST_CHECK;
/* Gives time that no stack was delivered for to where it belongs best; at the end. */
int pyi_track_settle(struct pyi_track *track, struct pyi_ledger *ledger,
                     struct pyi_error *err) PYI_MUST_CHECK;
/* Begins anew at `now`, in a ledger that is new as well: nothing is recorded, and the next stack
 * is not compared with the last. Errors: NOMEM, LIMIT. */
int pyi_track_restart(struct pyi_track *track, struct pyi_ledger *ledger, uint64_t now,
                      struct pyi_error *err) PYI_MUST_CHECK;
/* The target is closed: forget everything that points into it. */
void pyi_track_detach(struct pyi_track *track);

/* Bytes held. */
uint64_t pyi_track_memory(const struct pyi_track *track);

#endif
