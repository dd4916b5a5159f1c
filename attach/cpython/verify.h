/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verify.h - from a walked chain to an accepted stack, or to another attempt.
 */
#ifndef PYI_CPYTHON_VERIFY_H
#define PYI_CPYTHON_VERIFY_H

#include "attach/cpython/python.h"

/** Code entries of all frames of the walk, and what did not change since the last sample. Errors:
 *  TORN, FAULT, LIMIT, and fatal. */
int pyi_verify_codes(struct pyi_cpython *python, struct pyi_tracked *thread,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Structural checks of a walked chain whose code entries are known. Errors: TORN. */
int pyi_verify_chain(struct pyi_cpython *python, struct pyi_tracked *thread,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** One stack of one thread: attempts until one is accepted, then `out`. Only fatal errors; a stack
 *  that cannot be had is LOST. */
int pyi_verify_sample(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_stack *out,
                      struct pyi_error *err) PYI_MUST_CHECK;

#endif
