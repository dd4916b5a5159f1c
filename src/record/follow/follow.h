/* SPDX-License-Identifier: BSD-3-Clause */
/* follow.h - several processes in one recording: children, and targets named one by one.
 *
 * Every process is a recorder of its own, with its own target, tracks and session. One of them,
 * the first, is the caller's; its loop drives the others, and their sessions become one at the
 * end. A process that executes another Python begins a new recorder. */
#ifndef PYI_RECORD_FOLLOW_H
#define PYI_RECORD_FOLLOW_H

#include <pyinstrument/recorder.h>
#include <stdint.h>

struct pyi_follow;

/* Makes `first` the first of several. It is opened, or launched, or (a program that is no Python
 * but whose children are) has no target. Errors: NOMEM. */
int pyi_follow_new(struct pyi_recorder *first, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_follow_free(struct pyi_follow *follow); /* not the first; NULL is fine */
/* Opens one more process. Errors: as pyi_recorder_attach(). */
int pyi_follow_add(struct pyi_recorder *first, pid_t pid, struct pyi_error *err) PYI_MUST_CHECK;

/* Time has begun to count. Errors: as pyi_recorder_run(). */
int pyi_follow_begin(struct pyi_recorder *first, struct pyi_error *err) PYI_MUST_CHECK;
/* One round of every process, and a look for new ones. Ends the recording of `first` when all
 * have ended. Errors: as pyi_recorder_run(). */
int pyi_follow_tick(struct pyi_recorder *first, uint64_t now, struct pyi_error *err) PYI_MUST_CHECK;
/* When a tick from `begun` to `done` may be followed by the next one at the earliest. */
uint64_t pyi_follow_pause(const struct pyi_recorder *first, uint64_t begun, uint64_t done);
/* The others' upkeep. */
void pyi_follow_upkeep(struct pyi_recorder *first, uint64_t now);
/* The recording is over: the others end, too, and notes say what was left out. Errors: NOMEM. */
int pyi_follow_close(struct pyi_recorder *first, struct pyi_error *err) PYI_MUST_CHECK;

/* Turns what was counted of `first` into what was counted of all. */
void pyi_follow_tally(const struct pyi_recorder *first, struct pyi_tally *tally);

/* A session of everything so far; when `last`, nothing comes after it. Errors: NOMEM, LIMIT. */
int pyi_follow_session(struct pyi_recorder *first, bool last, struct pyi_session **out,
                       struct pyi_error *err) PYI_MUST_CHECK;
/* One for each process in which something was recorded, in place of the one of all. The array is
 * the caller's to free. Errors: NOMEM, LIMIT. */
int pyi_follow_sessions(struct pyi_recorder *first, struct pyi_session ***out, size_t *count,
                        struct pyi_error *err) PYI_MUST_CHECK;

/* ---- merge.c ---- */

struct pyi_part {
    struct pyi_session *session; /* of one process */
    double offset;               /* seconds from the start of the first part to its own */
};
/* One session of several, unchanged, processes in order; with `level` each stack gets its process's
 * frame at the bottom. Numbers that are no sums are those of the first. Errors: NOMEM, LIMIT. */
int pyi_merge(const struct pyi_part *parts, size_t count, bool level, struct pyi_session **out,
              struct pyi_error *err) PYI_MUST_CHECK;

#endif
