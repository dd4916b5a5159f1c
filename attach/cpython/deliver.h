/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * deliver.h - the stack that is handed out.
 */
#ifndef PYI_CPYTHON_DELIVER_H
#define PYI_CPYTHON_DELIVER_H

#include "attach/cpython/python.h"

/** Hands out an accepted walk that was kept: writes the visible frames outermost first; those below
 *  the `fresh` topmost of thread->last were delivered before. Errors: NOMEM. */
int pyi_deliver(const struct pyi_cpython *python, struct pyi_tracked *thread, size_t fresh,
                struct pyi_stack *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Hands out an accepted walk, all of whose frames are in thread->frames, with the native frames around
 *  the Python ones. Errors: NOMEM. */
int pyi_deliver_mixed(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_stack *out,
                      struct pyi_error *err) PYI_MUST_CHECK;

#endif
