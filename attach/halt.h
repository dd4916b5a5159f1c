/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * halt.h - rounds in which each thread stands still while it is sampled.
 */
#ifndef PYI_ATTACH_HALT_H
#define PYI_ATTACH_HALT_H

#include "attach/attach.h"

struct pyi_halt;

/** For a target that is open, as its options say. Errors: PERM (slug traced: it has a tracer
 *  already, and there is room for one; ptrace-refused), GONE, NOMEM, OS. */
int pyi_halt_open(struct pyi_target *target, struct pyi_halt **out,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** NULL is accepted. */
void pyi_halt_close(struct pyi_halt *halt);
/** As pyi_cpython_round(). */
int pyi_halt_round(struct pyi_halt *halt, struct pyi_round *out,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** Adds its counts; NULL has none. */
void pyi_halt_stats(const struct pyi_halt *halt, struct pyi_target_stats *out);

#endif
