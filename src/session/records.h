/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * records.h - the records of a session in a compact encoding.
 *
 * A record is a variable-length number (7 bits per byte, lowest first, high bit: more follows)
 * of 4 * node + kind, then the seconds. Kind 0: the 8 bytes of a little-endian double; 1: a
 * variable-length number holding a signed integer folded to 0, -1, 1, -2, ...; 2: one holding
 * microseconds; 3: one holding nanoseconds. A number of nanoseconds N stands for the double
 * nearest to N / 1e9; only doubles that are exactly such a one are written as kind 2 or 3.
 * Nothing in it depends on a record before, so a run of bytes can be read by itself, from a file
 * as well. What a recorder writes takes three to five bytes.
 */
#ifndef PYI_SESSION_RECORDS_H
#define PYI_SESSION_RECORDS_H

#include <pyinstrument/session.h>

#define PYI_RECORDS_BLOCK 65536

struct pyi_records_block {
    unsigned char *bytes;
    size_t length, capacity; /* at most PYI_RECORDS_BLOCK */
};

struct pyi_records {
    struct pyi_records_block *blocks;
    size_t block_count, block_capacity;
    uint64_t count; /* records */
};

/* A variable-length number as it stands in records and in files; 10 bytes at most. */
#define PYI_VARINT_LONGEST 10
size_t pyi_varint_put(unsigned char *to, uint64_t value);
/* False when it does not end before `length` or has more than 64 bits. */
bool pyi_varint_get(const unsigned char *bytes, size_t length, size_t *at, uint64_t *out);

/* One record of whole nanoseconds, at most INT64_MAX; the length written. */
#define PYI_RECORD_LONGEST 15 /* 5 bytes of node and kind, at most 10 of seconds */
size_t pyi_record_put(unsigned char to[PYI_RECORD_LONGEST], uint32_t stack, uint64_t ns);

/* Zero-initialise. False: no memory. */
bool pyi_records_append(struct pyi_records *records, const struct pyi_record *record);
/* The same with whole nanoseconds. */
bool pyi_records_append_time(struct pyi_records *records, uint32_t stack, uint64_t ns);
/* `*cursor` is 0 first; false at the end. Appending in between is allowed. */
bool pyi_records_next(const struct pyi_records *records, uint64_t *cursor, struct pyi_record *out);
/* The same for records that were appended as nanoseconds; false also at any other. */
bool pyi_records_next_time(const struct pyi_records *records, uint64_t *cursor, uint32_t *stack,
                           uint64_t *ns);
/* The bytes from the cursor on that lie together; false at the end. */
bool pyi_records_next_bytes(const struct pyi_records *records, uint64_t *cursor,
                            const unsigned char **bytes, size_t *length);
/* One record of foreign bytes; false when they are none. */
bool pyi_records_parse(const unsigned char *bytes, size_t length, size_t *at,
                       struct pyi_record *out);
/* Moves the records of `from` behind those of `to`. False: no memory, nothing moved. */
bool pyi_records_join(struct pyi_records *to, struct pyi_records *from);
/* Bytes held. */
uint64_t pyi_records_memory(const struct pyi_records *records);
void pyi_records_deinit(struct pyi_records *records);

#endif
