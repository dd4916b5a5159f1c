/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * state.h - what the scheduler knows of the target's threads.
 */
#ifndef PYI_ATTACH_STATE_H
#define PYI_ATTACH_STATE_H

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

#endif
