/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * stop.h - stopping one thread of the target for a moment.
 *
 * A thread is stopped with PTRACE_SEIZE and PTRACE_INTERRUPT, looked at, and let go with
 * PTRACE_DETACH, so that between two looks nobody traces it and signals reach it as ever. The
 * kernel ties a tracee to the thread that seized it and lets it go, running as before, when that
 * thread ends, however it ends. So all of this happens in a thread of our own: one that does not
 * stop in time (asleep in the kernel, frozen) is freed by ending that thread, and a profiler that
 * is killed leaves nothing behind.
 */
#ifndef PYI_ATTACH_STOP_H
#define PYI_ATTACH_STOP_H

#include <pyinstrument/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct pyi_stopper;

#define PYI_STOP_DEADLINE 0.020 /* seconds a thread has to stop */

enum pyi_stop_result {
    PYI_STOP_DONE,
    PYI_STOP_ENDED,   /* no such thread (any more) */
    PYI_STOP_LATE,    /* it did not stop before the deadline */
    PYI_STOP_TRACED,  /* another process traces it */
    PYI_STOP_REFUSED, /* not allowed, or the machine said something else */
    PYI_STOP_RESULTS
};

struct pyi_stop_counts {
    uint64_t results[PYI_STOP_RESULTS]; /* by outcome */
    double stopped; /* seconds from the request to the release, all stops that were DONE */
    double cpu;     /* seconds of CPU the stopping threads used */
};

/** General registers of a stopped thread as the kernel gives them (NT_PRSTATUS). */
struct pyi_registers {
    struct user_regs_struct kernel;
};

/** `deadline` in seconds, 0: the standard one. NULL on lack of memory. */
struct pyi_stopper *pyi_stopper_new(double deadline);
/** Lets everything go; NULL is accepted. */
void pyi_stopper_free(struct pyi_stopper *stopper);
/** Calls `work` in the thread that may stop others and waits for it; returns what it returned.
 *  Errors besides: NOMEM, OS (no thread can be started). */
int pyi_stopper_run(struct pyi_stopper *stopper, int (*work)(void *context, struct pyi_error *err),
                    void *context, struct pyi_error *err) PYI_MUST_CHECK;

/** Inside `work` only. One thread at a time; `registers` may be NULL. `pid` is its process. */
enum pyi_stop_result pyi_stop_thread(struct pyi_stopper *stopper, pid_t pid, pid_t tid,
                                     struct pyi_registers *registers);
/** Lets the stopped thread go on; without one it does nothing. */
void pyi_stop_resume(struct pyi_stopper *stopper);

void pyi_stopper_counts(const struct pyi_stopper *stopper, struct pyi_stop_counts *out);

#endif
