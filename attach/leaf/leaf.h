/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * leaf.h - the C function the top frame of a thread is inside.
 */
#ifndef PYI_CPYTHON_LEAF_H
#define PYI_CPYTHON_LEAF_H

#include "attach/cpython/threads.h"

struct pyi_leaves;

/**
 * Names what the top frame of an accepted walk is calling. `*leaf` gets a record that is not a
 * code object of the target (name, file "<built-in>" or "<extended>", line 0), or NULL when the
 * frame is in no C function or that cannot be told. Only fatal errors.
 */
int pyi_leaf_find(struct pyi_cpython *python, struct pyi_tracked *thread,
                  const struct pyi_code **leaf, struct pyi_error *err) PYI_MUST_CHECK;
/** What is remembered; NULL is accepted. */
void pyi_leaves_free(struct pyi_leaves *leaves);

#endif
