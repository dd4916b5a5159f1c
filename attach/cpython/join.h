/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * join.h - what still stands of the last accepted stack, so that only the part above is walked.
 */
#ifndef PYI_CPYTHON_JOIN_H
#define PYI_CPYTHON_JOIN_H

#include "attach/cpython/plan.h"

struct pyi_cpython;
struct pyi_frame;
struct pyi_tracked;

#define PYI_JOIN_TAIL 2048

/** Of one thread. Zero-initialise. */
struct pyi_join {
    uint8_t *image; /* newest chunk of the data stack, as of the last accepted sample */
    size_t image_capacity, image_length;
    pyi_addr chunk;              /* whose image it is, 0 none */
    uint8_t tail[PYI_JOIN_TAIL]; /* end of the chunk below, as of the last accepted sample */
    pyi_addr tail_at;            /* where it begins, 0 none */
    size_t tail_length;
    pyi_addr lowest, lowest_older; /* lowest frames to be joined at lately, and before that */
    uint32_t next_age, next_whole; /* rounds: when `lowest` gets older; of the next whole read */
    uint32_t next_look;            /* round in which frames at rest are looked at as well */
    uint32_t misses, next_try;     /* in a row; after several, the round to try again */
    uint64_t generation;           /* of code objects, when the last stack was accepted */
    bool deep;                     /* what moves reaches below the newest chunk */
    size_t off_stack;              /* frames of the last stack that lie elsewhere */
    pyi_addr end, tail_end;        /* while walking: image and copy are equal below */
    size_t at;                     /* while walking: place in `last` */
};

void pyi_join_deinit(struct pyi_join *join);
/** Whether this round's copy need only hold what may have moved; `*from`: from which address of
 *  the newest chunk on. */
bool pyi_join_narrow(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr *from);
/** Where the part of the chunk below the newest begins that goes with a narrow copy from `from` on;
 *  `*length` 0: none does. */
pyi_addr pyi_join_tail(const struct pyi_tracked *thread, pyi_addr from, size_t *length);
/** One narrow copy: fills thread->frames with what is new and, last, the frame of the last stack it
 *  stands on, whose place there is `*at`. `*walked` false: the chain could not be walked, and the
 *  frame is the uppermost one that stands. Errors: TORN, FAULT, LIMIT (read the whole), fatal. */
int pyi_join_walk(struct pyi_cpython *python, struct pyi_tracked *thread, size_t *at, bool *walked,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** For the walk: whether the frame at an address still stands as it was. */
bool pyi_join_stands(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address);
/** The walk was accepted: keeps what the next one is compared with. */
int pyi_join_accept(struct pyi_cpython *python, struct pyi_tracked *thread, size_t at,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** The same for a walk of a whole copy, whose frames are in thread->frames. */
int pyi_join_accept_whole(struct pyi_cpython *python, struct pyi_tracked *thread,
                          struct pyi_error *err) PYI_MUST_CHECK;
/** Whether the thread states in this round's copy tell that the lists of interpreters and threads
 *  are as they were when they were last followed; then all of these count as seen. */
bool pyi_join_lists_stay(struct pyi_cpython *python);
/** A narrow copy did not do. */
void pyi_join_missed(struct pyi_cpython *python, struct pyi_tracked *thread);

#endif
