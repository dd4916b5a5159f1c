/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * debug_offsets.h - the offsets a CPython 3.13+ publishes about itself.
 *
 * Comes in: the first bytes of _PyRuntime. Goes out: the fields of struct pyi_layout that the
 * table holds. Must not know: memory, processes, built-in rows.
 */
#ifndef PYI_CPYTHON_DEBUG_OFFSETS_H
#define PYI_CPYTHON_DEBUG_OFFSETS_H

#include "attach/layout/layout.h"

#define PYI_DEBUG_OFFSETS_COOKIE "xdebugpy"
/* Cookie, version word, free-threaded word: the same in every version. */
#define PYI_DEBUG_OFFSETS_HEAD 24
/* The longest table known. */
#define PYI_DEBUG_OFFSETS_MAX 888

/** What a table says. Fields of `layout` that it does not hold are PYI_NO_FIELD. */
struct pyi_debug_offsets {
    struct pyi_layout layout;
    unsigned size; /* bytes of the table's shape */
    /* 3.15 before beta 4: PyThreadState has no last_profiled_frame_seq, so what follows it lies
     * 8 bytes lower than in the final releases. */
    bool early_thread_state;
};

/** Version word and free-threaded flag from the head. Errors: FORMAT. */
int pyi_debug_offsets_head(const uint8_t head[PYI_DEBUG_OFFSETS_HEAD], uint32_t *hexversion,
                           bool *free_threaded, struct pyi_error *err) PYI_MUST_CHECK;
/** Bytes to read for a minor version of Python 3; 0 when its table is not known. */
size_t pyi_debug_offsets_length(unsigned minor);
/**
 * Decodes a table with the slots of `minor` (13 to 15) and checks it against itself: sizes not
 * absurd, every member inside its structure and aligned, no two members in one place.
 * `length` is what pyi_debug_offsets_length() said. Errors: FORMAT, the first contradiction named.
 */
int pyi_debug_offsets_decode(const uint8_t *table, size_t length, unsigned minor,
                             struct pyi_debug_offsets *out, struct pyi_error *err) PYI_MUST_CHECK;
/**
 * Name of the first field where the table and a built-in row contradict each other, NULL when
 * there is none. Only structures that patch releases leave alone are compared: what the runtime
 * and the interpreter hold moves with build switches, and thread states grow at their end.
 */
const char *pyi_debug_offsets_conflict(const struct pyi_debug_offsets *table,
                                       const struct pyi_layout *row);
/** Puts every field the table holds into `layout`, which was a copy of a row. */
void pyi_debug_offsets_overlay(const struct pyi_debug_offsets *table, struct pyi_layout *layout);

#endif
