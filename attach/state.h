/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * state.h - what the scheduler knows of the target's threads.
 */
#ifndef PYI_ATTACH_STATE_H
#define PYI_ATTACH_STATE_H

#include "attach/cpython/cpython.h"
#include "attach/waits.h"
#include <pyinstrument/types.h>
#include <sys/types.h>

struct pyi_sched;

/** NULL on lack of memory. `proc` is borrowed. */
struct pyi_sched *pyi_sched_new(const char *proc, pid_t pid);
void pyi_sched_free(struct pyi_sched *state);

/** Seconds on a CPU, user and system, of one thread until now; -1 when unknown. */
double pyi_sched_thread_cpu(struct pyi_sched *state, pid_t tid);
/** The same of the whole process, ended threads included; -1 when it is gone. */
double pyi_sched_process_cpu(pid_t pid);

/** In which system call the thread is. One small read. */
void pyi_sched_syscall(struct pyi_sched *state, pid_t tid, struct pyi_syscall *out);
/** Name of such a call, see pyi_waits_name(). */
const struct pyi_code *pyi_sched_wait_name(struct pyi_sched *state, pid_t tid,
                                           const struct pyi_syscall *call);
/**
 * Completes the stacks of one round: state, lock, exception, marks. At most one read of /proc for
 * each thread that does not hold the lock or has not moved since the last round, none for others.
 * `always`: name system calls also where a C function is the last entry.
 */
void pyi_sched_round(struct pyi_sched *state, const struct pyi_activity *activities, size_t count,
                     bool always);
/** Reads of pyi_sched_round() so far. */
uint64_t pyi_sched_probes(const struct pyi_sched *state);

#endif
