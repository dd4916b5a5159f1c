/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * activity.h - what the interpreter's memory says of what its threads are doing.
 *
 * Who holds the global lock, whether the collector runs, whether an exception is active: all from
 * the round's own copy.
 */
#ifndef PYI_CPYTHON_ACTIVITY_H
#define PYI_CPYTHON_ACTIVITY_H

#include "attach/cpython/cpython.h"
#include "attach/cpython/threads.h"

/** Bytes of the record of a global lock that are read: struct _gil_runtime_state up to the number
 *  of switches (3.8-3.15, Include/internal/pycore_gil.h), counted from `last_holder` on. */
#define PYI_LOCK_SIZE 24

/** Adds what the windows of runtime and interpreters do not hold. Errors: NOMEM, LIMIT. */
int pyi_activity_plan(struct pyi_cpython *python, struct pyi_error *err) PYI_MUST_CHECK;
/** Takes the facts about interpreters out of the round's copy. What is not there is unknown. */
void pyi_activity_read(struct pyi_cpython *python);
/** The thread whose stack has just been sampled. */
void pyi_activity_of(struct pyi_cpython *python, struct pyi_tracked *thread,
                     struct pyi_activity *out);

#endif
