/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frames.h - walking one thread's frames inside a local copy.
 *
 * Errors of all: TORN (the chain contradicts itself), FAULT, LIMIT: read again; and fatal ones.
 */
#ifndef PYI_CPYTHON_FRAMES_H
#define PYI_CPYTHON_FRAMES_H

#include "attach/cpython/python.h"

/** Adds one thread's predicted memory to a copy and sets `thread->view`. */
int pyi_frames_plan(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_copy *copy,
                    bool whole, struct pyi_error *err) PYI_MUST_CHECK;
/** 3.11+: whether the copy covers the data stack as its thread state describes it. `*covered`
 *  false: the prediction was corrected, read again. */
int pyi_frames_cover(struct pyi_cpython *python, struct pyi_tracked *thread, bool *covered,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Fills thread->frames from the thread state in piece `state`. */
int pyi_frames_walk(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** The same for 3.8 to 3.10. */
int pyi_frames_walk_heap(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                         struct pyi_error *err) PYI_MUST_CHECK;
/** Reads a page around an address the prediction missed, and the thread state with it. */
int pyi_frames_fetch(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                     size_t length, struct pyi_error *err) PYI_MUST_CHECK;
/** 3.11+: decodes what the copy holds at an address, reading nothing. False when it is not there.
 */
bool pyi_frames_peek(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                     struct pyi_frame *out);
/** 3.11+: what a frame's first bytes say; chunk and address are not touched. */
void pyi_frames_decode(const struct pyi_cpython *python, const uint8_t *bytes,
                       struct pyi_frame *frame);
/** Appends a frame; LIMIT is not an error here: `*full` tells that the depth limit is reached. */
int pyi_frames_push(struct pyi_cpython *python, struct pyi_tracked *thread,
                    const struct pyi_frame *frame, bool *full,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** Class names of self and cls. */
int pyi_frames_classes(struct pyi_cpython *python, struct pyi_tracked *thread,
                       struct pyi_error *err) PYI_MUST_CHECK;

#endif
