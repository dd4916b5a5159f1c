/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * linetable.h - from a code object's line table to lines.
 *
 * Pure bytes in, runs of equal line out. Knows nothing of processes or code objects.
 */
#ifndef PYI_CPYTHON_LINETABLE_H
#define PYI_CPYTHON_LINETABLE_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

enum pyi_linetable_format {
    PYI_LINETABLE_LNOTAB,    /* 3.6 to 3.9: co_lnotab, steps of (bytes, lines) */
    PYI_LINETABLE_RANGES,    /* 3.10: co_linetable, ranges of (bytes, lines) */
    PYI_LINETABLE_LOCATIONS, /* 3.11+: co_linetable, location entries */
    PYI_LINETABLE_UNSIGNED,  /* 2.7: co_lnotab, lines without sign */
};

/** From byte offset `start` up to the next run's start the line is `line`; 0: no line. */
struct pyi_line_run {
    uint32_t start;
    int32_t line;
};

/**
 * Decodes a whole table. `*runs` gets a heap array (free() it) ordered by strictly growing
 * start; the first run starts at 0 whenever there is any. Errors: FORMAT (malformed: a torn
 * read, when the bytes came from a live process), NOMEM.
 */
int pyi_linetable_decode(enum pyi_linetable_format format, const uint8_t *bytes, size_t length,
                         int32_t first_line, struct pyi_line_run **runs, size_t *count,
                         struct pyi_error *err) PYI_MUST_CHECK;

/** Line at a byte offset, `first_line` where the table has none (also before the first
 *  instruction, offset < 0). */
int32_t pyi_linetable_find(const struct pyi_line_run *runs, size_t count, int64_t offset,
                           int32_t first_line);

#endif
