/* SPDX-License-Identifier: BSD-3-Clause */
/* relatives.h - the inside of a recording of several processes, shared by follow.c and gather.c. */
#ifndef PYI_RECORD_RELATIVES_H
#define PYI_RECORD_RELATIVES_H

#include "src/record/follow/discover.h"
#include "src/record/record.h"

#define PYI_REFUSALS_NOTED 5    /* refused children that get a note of their own */
#define PYI_PAST_LIMIT     4096 /* processes that ended, remembered for what lives in their sessions */

enum pyi_stage {
    PYI_STAGE_WAITING,  /* new, or it became another program */
    PYI_STAGE_RECORDED, /* has a target */
    PYI_STAGE_OTHER,    /* lives, but is not (any more) to be recorded */
    PYI_STAGE_GONE,
};

struct pyi_relative {
    pid_t pid, parent;
    uint64_t start_ticks;
    enum pyi_stage stage;
    bool named;           /* by the user */
    bool replaced;        /* it was recorded as another program before */
    uint64_t since, next; /* first seen; when to look again, unless it is recorded */
    uint64_t program;     /* what its program's path hashes to, when it was looked at in vain */
    struct pyi_recorder *recorder; /* the first's is the caller's */
};

/* A process whose recording is complete. */
struct pyi_finished {
    struct pyi_session *session;
    uint64_t started;
    pid_t pid;
};

struct pyi_follow {
    struct pyi_recorder *first;
    struct pyi_relative **living; /* in order of appearance */
    size_t count, capacity;
    struct pyi_finished *finished; /* in order of appearance once all have ended */
    size_t finished_count, finished_capacity;
    pid_t past[PYI_PAST_LIMIT]; /* a ring */
    size_t past_count;
    struct pyi_discovery discovery;
    bool discovers;
    size_t recorded; /* processes with a target now, the first included */
    size_t target_limit;
    struct pyi_budget opening;
    uint64_t tick_cost; /* ns, smoothed */
    uint64_t ticks, began, latest, ended;
    struct pyi_tally over; /* sums of finished processes */
    double stopping_cpu;   /* of these, seconds */
    size_t unverified;     /* of these, how many with samples that nobody tried to prove */
    uint64_t first_ended;
    bool first_over;
    enum pyi_recording_end end; /* of the first process, whatever became of it last */
    int end_detail;
    /* for notes */
    size_t brief;    /* ended before anything could be recorded */
    size_t others;   /* not Python */
    size_t crowded;  /* too many at once */
    size_t refusals; /* Python, but not to be read */
    size_t cut;      /* running when the launched program ended */
    char other_names[200];
    bool truncated_names;
};

/* Adds to the sums of finished processes. */
void pyi_follow_count(struct pyi_follow *follow, const struct pyi_recorder *recorder);
/* What the session should say of processes that were left out. */
void pyi_follow_write_notes(const struct pyi_follow *follow);

#endif
