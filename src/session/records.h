/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * records.h - the records of a session in a compact encoding.
 *
 * A record is a variable-length number (7 bits per byte, lowest first, high bit: more follows)
 * of 4 * node + kind, then the seconds: kind 0, the 8 bytes of a little-endian double; kind 1, a
 * variable-length number holding a signed integer folded to 0, -1, 1, -2, ... Nothing in it
 * depends on a record before, so a block of bytes can be read by itself, from a file as well.
 */
#ifndef PYI_SESSION_RECORDS_H
#define PYI_SESSION_RECORDS_H

#include <pyinstrument/session.h>

#define PYI_RECORDS_BLOCK 65536

struct pyi_records_block {
    unsigned char *bytes; /* PYI_RECORDS_BLOCK of them */
    size_t length;
};

struct pyi_records {
    struct pyi_records_block *blocks;
    size_t block_count, block_capacity;
    uint64_t count; /* records */
};

/* Zero-initialise. False: no memory. */
bool pyi_records_append(struct pyi_records *records, const struct pyi_record *record);
/* `*cursor` is 0 first; false at the end. Appending in between is allowed. */
bool pyi_records_next(const struct pyi_records *records, uint64_t *cursor, struct pyi_record *out);
void pyi_records_deinit(struct pyi_records *records);

#endif
