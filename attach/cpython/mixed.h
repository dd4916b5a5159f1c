/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * mixed.h - native frames among the Python frames of one stack.
 */
#ifndef PYI_CPYTHON_MIXED_H
#define PYI_CPYTHON_MIXED_H

#include "attach/cpython/python.h"

/** Whether frame `i` is the first (outermost) of a run: of the frames that one evaluation loop in C
 *  runs. Up to 3.10 each frame has a loop of its own. */
bool pyi_mixed_begins_run(const struct pyi_cpython *python, const struct pyi_tracked *thread,
                          size_t i);
/** The native frames around the Python ones; no parts when there are none. Errors: NOMEM. */
int pyi_mixed_find(const struct pyi_cpython *python, const struct pyi_tracked *thread,
                   struct pyi_native_parts *parts, struct pyi_error *err) PYI_MUST_CHECK;
/** Appends part `at`, if there is one, to thread->work, which has room. Errors: NOMEM. */
int pyi_mixed_put(struct pyi_cpython *python, struct pyi_tracked *thread,
                  const struct pyi_native_parts *parts, size_t at, size_t *depth,
                  struct pyi_error *err) PYI_MUST_CHECK;

#endif
