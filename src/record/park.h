/* SPDX-License-Identifier: BSD-3-Clause */
/* park.h - stacks with a call that nobody has proven yet.
 *
 * A sample counts at once. The stacks (nodes of the session's trie) whose last call is not proven
 * are parked; a later sample may prove them, or the target may know more by the end. What is never
 * proven is folded: its samples go to the deepest proven stack below, under [truncated]. */
#ifndef PYI_RECORD_PARK_H
#define PYI_RECORD_PARK_H

#include "attach/attach.h"
#include "src/base/hash.h"
#include <pyinstrument/error.h>

/* Zero-initialise. */
struct pyi_park {
    uint32_t *states; /* by stack: see park.c */
    size_t count, capacity;
    size_t parked;          /* stacks that were ever parked */
    struct pyi_map samples; /* stack -> samples with a call not proven at the time */
    uint64_t sample_count;  /* sum of these */
};

/* The last call of `stack` is proven (`edge` 0) or rests on `edge` of the target. Errors: NOMEM. */
int pyi_park_note(struct pyi_park *park, const struct pyi_target *target, uint32_t stack,
                  uint32_t edge, struct pyi_error *err) PYI_MUST_CHECK;
/* `to` is the same stack under another thread frame. Errors: NOMEM. */
int pyi_park_copy(struct pyi_park *park, uint32_t from, uint32_t to,
                  struct pyi_error *err) PYI_MUST_CHECK;
/* A sample of `stack` was counted with a call not proven yet. Errors: NOMEM. */
int pyi_park_count(struct pyi_park *park, uint32_t stack, struct pyi_error *err) PYI_MUST_CHECK;
/* Asks the target about all parked stacks. `last`: it is about to be closed, what is not proven
 * now never will be. */
void pyi_park_ask(struct pyi_park *park, const struct pyi_target *target, bool last);
/* Whether the last call of `stack` has no proof, as of the last asking. */
bool pyi_park_doubts(const struct pyi_park *park, uint32_t stack);
void pyi_park_deinit(struct pyi_park *park);

#endif
