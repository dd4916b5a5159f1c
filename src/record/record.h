/* SPDX-License-Identifier: BSD-3-Clause */
/* record.h - the inside of a recorder, shared by the files of this folder.
 *
 * recorder.c drives; begin.c brings a target into view; rounds.c takes what one round delivered;
 * assemble.c makes the session. */
#ifndef PYI_RECORD_RECORD_H
#define PYI_RECORD_RECORD_H

#include "attach/attach.h"
#include "src/base/arena.h"
#include "src/record/clock.h"
#include "src/record/follow/follow.h"
#include "src/record/launch.h"
#include "src/record/stream.h"
#include "src/record/track.h"
#include <pyinstrument/recorder.h>

/* One image of the target: exec of another Python begins a new one. */
struct pyi_recorded_process {
    struct pyi_text command, python, build, runtime, root; /* in the recorder's arena */
    pid_t pid, parent;
    uint64_t start, end;       /* ns of the clock */
    double cpu_start, cpu_end; /* CPU clock in seconds, -1 unknown */
};

/* Search path and prefixes of the target as last read. */
struct pyi_recorded_paths {
    struct pyi_arena arena;
    struct pyi_text *path;
    size_t path_count;
    struct pyi_text prefixes[4];
    bool known, from_sys;
};

struct pyi_recorder {
    struct pyi_clock clock;
    struct pyi_recorder_options options; /* strings in `texts` */
    struct pyi_arena texts;
    struct pyi_strbuf description;

    /* the target */
    struct pyi_target *target;
    pid_t pid;
    int ending; /* descriptor that outlives the process, -1 none */
    bool launched;
    struct pyi_follow *follow; /* the other processes, of the first of several; else NULL */
    bool among;                /* one of several: nothing here may wait */
    struct pyi_child child;
    struct pyi_program program;
    unsigned outside_rounds; /* in a row in which the main thread was not in the program */
    uint64_t outside_since;
    uint64_t blind_since; /* the target is there but nothing can be read; 0: not so */

    /* the recording */
    struct pyi_pace pace;
    struct pyi_session *session; /* NULL once taken */
    struct pyi_ledger ledger;
    struct pyi_track **tracks; /* in order of first sight */
    size_t track_count, track_capacity;
    struct pyi_track **by_index; /* of the current target's threads, NULL for unknown ones */
    size_t by_index_count, by_index_capacity;
    uint64_t epoch; /* counts rounds that were not recorded */
    struct pyi_recorded_process *processes;
    size_t process_count, process_capacity;
    struct pyi_recorded_paths paths;
    struct pyi_text *notes;
    size_t note_count, note_capacity;
    struct pyi_stream *stream;     /* NULL: nothing is written while recording, or not any more */
    struct pyi_error stream_error; /* why not any more; code 0 when it went well or was not asked */
    double start_time;             /* Unix seconds */
    uint64_t started, last_round, ended;
    bool recording; /* the first round has been made */
    bool booked;    /* the books have been closed */
    enum pyi_recording_end end;
    int end_detail;
    struct pyi_text became; /* PYI_END_EXEC: path of the program, in `texts` */

    /* counts */
    uint64_t ticks, samples, verified, retried, truncated, lost;
    uint64_t unchecked; /* samples whose calls nobody tried to prove */
    uint64_t folded;    /* samples that lost frames without proof, as of the last assembly */
    uint64_t read_calls_start, read_calls; /* of the current target; of those before it */
    struct pyi_target_stats stops; /* only what is about stopping; of targets before the current */
    uint64_t asked_interval, slowest; /* ns; the longest that --max-cpu led to, 0 none */
    uint64_t budget_time, budget_cpu; /* when it was looked at last, and CPU until then */
    bool rolled;                      /* what follows is counted from the next round on */
    uint64_t cpu_mark, profiler_cpu;  /* own CPU time at the start; ns used since */
    uint64_t last_upkeep, last_cpu, last_thread_cpu, next_paths;
};

/* Rounds are dated in whole microseconds where samples are not closer than a hundred of them:
 * that halves what a record takes, and as each begins where the last ended nothing adds up. */
#define PYI_GRAIN_INTERVAL 100000 /* ns */
static inline uint64_t pyi_recorder_grain(const struct pyi_recorder *recorder, uint64_t ns)
{
    return recorder->ledger.interval >= PYI_GRAIN_INTERVAL ? ns - ns % 1000 : ns;
}

/* ---- recorder.c ---- */

/* A recorder without a target. Errors: NOMEM. */
int pyi_recorder_new(const struct pyi_recorder_options *options, struct pyi_recorder **out,
                     struct pyi_error *err) PYI_MUST_CHECK;
/* One round at `now`; may end the recording. Errors: as pyi_recorder_run(). */
int pyi_recorder_tick(struct pyi_recorder *recorder, uint64_t now,
                      struct pyi_error *err) PYI_MUST_CHECK;
/* Last looks at the target, while it is there. */
void pyi_recorder_close_books(struct pyi_recorder *recorder);
/* Called between ticks and while waiting: progress, CPU clocks. */
void pyi_recorder_upkeep(struct pyi_recorder *recorder, uint64_t now);
/* Brings `profiler_cpu` up to date; without effect once the recording has ended. */
void pyi_recorder_count_cpu(struct pyi_recorder *recorder);
/* A remark kept in the session; lack of memory drops it. */
void pyi_recorder_note(struct pyi_recorder *recorder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends the recording as of `when`. */
void pyi_recorder_finish(struct pyi_recorder *recorder, enum pyi_recording_end end, int detail,
                         uint64_t when);
/* The launched program or the attached process has ended: finds out how. */
void pyi_recorder_finish_exit(struct pyi_recorder *recorder, uint64_t when);
/* The same session as pyi_recorder_take_session() gives, of this process alone. */
int pyi_recorder_take_own(struct pyi_recorder *recorder, struct pyi_session **out,
                          struct pyi_error *err) PYI_MUST_CHECK;
int pyi_recorder_snapshot_own(struct pyi_recorder *recorder, struct pyi_session **out,
                              struct pyi_error *err) PYI_MUST_CHECK;

/* ---- tally.c ---- */

/* Of this process alone. */
void pyi_recorder_tally_own(const struct pyi_recorder *recorder, struct pyi_tally *out);

/* ---- roll.c ---- */

/* A new beginning at `now`, after pyi_recorder_roll(). */
void pyi_recorder_begin_again(struct pyi_recorder *recorder, uint64_t now);

/* ---- tally.c ---- */

/* Adds what `stats` says of stopping. */
void pyi_recorder_add_stops(struct pyi_target_stats *sum, const struct pyi_target_stats *stats);
/* The same of all targets so far. */
struct pyi_target_stats pyi_recorder_stops(const struct pyi_recorder *recorder);

/* ---- begin.c ---- */

/* Opens the target. Errors: as pyi_target_open(). */
int pyi_recorder_open_target(struct pyi_recorder *recorder, double wait,
                             struct pyi_error *err) PYI_MUST_CHECK;
void pyi_recorder_close_target(struct pyi_recorder *recorder);
/* Waits for the interpreter of a launched program, then for the program's own module, and makes
 * the first round. May end the recording instead. Errors: as pyi_recorder_run(). */
int pyi_recorder_begin_launched(struct pyi_recorder *recorder,
                                struct pyi_error *err) PYI_MUST_CHECK;
/* Makes the first round of an open target. */
int pyi_recorder_begin_attached(struct pyi_recorder *recorder,
                                struct pyi_error *err) PYI_MUST_CHECK;
/* Begins to count time without a target. */
void pyi_recorder_begin_empty(struct pyi_recorder *recorder);
/* Path of the program the target runs now, kept in `texts`; "" unknown. */
struct pyi_text pyi_recorder_program(struct pyi_recorder *recorder);
/* The target became another program at `when`: goes on with it or ends. */
int pyi_recorder_follow_exec(struct pyi_recorder *recorder, uint64_t when,
                             struct pyi_error *err) PYI_MUST_CHECK;
/* Reads sys.path and the prefixes; keeps what it has when that fails. `again`: they were read
 * before and may have changed. */
void pyi_recorder_read_paths(struct pyi_recorder *recorder, bool again);

/* ---- rounds.c ---- */

/* For struct pyi_target_options. */
bool pyi_recorder_selects(void *recorder, const struct pyi_thread *thread);
/* Takes the stacks of the round at `now`. `counted` false: a first look, its stacks are only
 * what later ones are compared with. Errors: NOMEM, LIMIT. */
int pyi_recorder_take_round(struct pyi_recorder *recorder, const struct pyi_round *round,
                            uint64_t now, bool counted, struct pyi_error *err) PYI_MUST_CHECK;
/* Reads the CPU clocks of all living threads. */
void pyi_recorder_read_thread_cpu(struct pyi_recorder *recorder);
/* The main thread's stack in a round, NULL when it is not there. */
const struct pyi_stack *pyi_round_main(const struct pyi_round *round);

/* ---- assemble.c ---- */

/* Samples whose stacks rest on a call without proof, as far as is known now. */
uint64_t pyi_recorder_folded(const struct pyi_recorder *recorder);

/* Fills `session` with metadata and `attach`, which says nothing of records; `order` gets the
 * indices of its threads' tracks (the caller's to free). Where the report begins is found out
 * when the recording has ended. Errors: NOMEM. */
int pyi_recorder_outline(struct pyi_recorder *recorder, struct pyi_session *session, bool ended,
                         size_t **order, size_t *count, struct pyi_error *err) PYI_MUST_CHECK;

/* Fills `session` with everything but the stacks' frames, which it already has when it is the
 * recorder's own. Errors: NOMEM. */
int pyi_recorder_assemble(struct pyi_recorder *recorder, struct pyi_session *session,
                          struct pyi_error *err) PYI_MUST_CHECK;

#endif
