/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * linetable.c - the line table formats of CPython 2.7 and 3.6 to 3.15.
 *
 * In: the bytes of co_lnotab or co_linetable. Out: runs of equal line. Every table is decoded
 * once per code object and then searched. Must not know where the bytes come from.
 */
#include "attach/cpython/linetable.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>

/* Lines are stored as C int in every version; more is a torn or hostile table. */
#define LINE_MAX_VALUE INT32_MAX

struct runs {
    struct pyi_line_run *items;
    size_t count, capacity;
};

static bool runs_put(struct runs *runs, uint64_t start, int64_t line)
{
    int32_t shown = line < 1 ? 0 : (int32_t)line;
    if (runs->count > 0) {
        struct pyi_line_run *last = &runs->items[runs->count - 1];
        if (last->start == start) {
            last->line = shown;
            return true;
        }
        if (last->line == shown)
            return true;
    }
    if (!pyi_array_reserve(&runs->items, &runs->capacity, runs->count + 1, sizeof(*runs->items)))
        return false;
    runs->items[runs->count++] = (struct pyi_line_run){(uint32_t)start, shown};
    return true;
}

static int malformed(struct pyi_error *err, size_t at)
{
    return pyi_error_set(err, PYI_E_FORMAT, "line table malformed at byte %zu", at);
}

static bool line_sane(int64_t line)
{
    return line >= -(int64_t)LINE_MAX_VALUE && line <= LINE_MAX_VALUE;
}

/* 2.7, 3.6 to 3.9, Objects/lnotab_notes.txt: a step in bytes, then the step in lines that holds
 * from there on; signed since 3.6. */
static int decode_lnotab(const uint8_t *bytes, size_t length, int32_t first_line, bool is_signed,
                         struct runs *runs, struct pyi_error *err)
{
    if (length % 2 != 0)
        return malformed(err, length);
    uint64_t offset = 0;
    int64_t line = first_line;
    if (!runs_put(runs, 0, line))
        return pyi_error_nomem(err);
    for (size_t i = 0; i < length; i += 2) {
        offset += bytes[i];
        line += is_signed ? (int8_t)bytes[i + 1] : bytes[i + 1];
        if (!line_sane(line) || offset > UINT32_MAX)
            return malformed(err, i);
        if (!runs_put(runs, offset, line))
            return pyi_error_nomem(err);
    }
    return 0;
}

/* 3.10, Objects/lnotab_notes.txt: a range's length in bytes and the line step taken before it;
 * -128 marks a range without a line and leaves the running line alone. */
static int decode_ranges(const uint8_t *bytes, size_t length, int32_t first_line, struct runs *runs,
                         struct pyi_error *err)
{
    if (length % 2 != 0)
        return malformed(err, length);
    uint64_t offset = 0;
    int64_t line = first_line;
    for (size_t i = 0; i < length; i += 2) {
        int8_t step = (int8_t)bytes[i + 1];
        if (step != -128)
            line += step;
        if (!line_sane(line) || offset > UINT32_MAX)
            return malformed(err, i);
        if (bytes[i] == 0)
            continue;
        if (!runs_put(runs, offset, step == -128 ? 0 : line))
            return pyi_error_nomem(err);
        offset += bytes[i];
    }
    return runs_put(runs, offset, 0) ? 0 : pyi_error_nomem(err);
}

struct reader {
    const uint8_t *bytes;
    size_t length, at;
};

/* A byte of an entry after its first one: those have bit 7 clear. */
static bool read_payload(struct reader *reader, uint8_t *out)
{
    if (reader->at >= reader->length || reader->bytes[reader->at] & 0x80)
        return false;
    *out = reader->bytes[reader->at++];
    return true;
}

static bool read_varint(struct reader *reader, uint32_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift <= 30; shift += 6) {
        uint8_t byte;
        if (!read_payload(reader, &byte))
            return false;
        value |= (uint64_t)(byte & 0x3f) << shift;
        if (!(byte & 0x40)) {
            *out = (uint32_t)value;
            return value <= UINT32_MAX;
        }
    }
    return false;
}

static bool read_svarint(struct reader *reader, int64_t *out)
{
    uint32_t value;
    if (!read_varint(reader, &value))
        return false;
    *out = value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
    return true;
}

/* The part of a location entry behind its first byte; adds the line step. */
static bool read_location(struct reader *reader, unsigned code, int64_t *line)
{
    uint8_t byte;
    uint32_t unused;
    int64_t step;
    switch (code) {
    case 15: /* no location */
        return true;
    case 14: /* long form: line, end line, column, end column */
        if (!read_svarint(reader, &step))
            return false;
        *line += step;
        return read_varint(reader, &unused) && read_varint(reader, &unused) &&
               read_varint(reader, &unused);
    case 13: /* no columns */
        if (!read_svarint(reader, &step))
            return false;
        *line += step;
        return true;
    case 10: /* one line form: a step of 0, 1 or 2 lines and two columns */
    case 11:
    case 12:
        *line += code - 10;
        return read_payload(reader, &byte) && read_payload(reader, &byte);
    default: /* short form: same line, columns packed */
        return read_payload(reader, &byte);
    }
}

/* 3.11+, Objects/locations.md. */
static int decode_locations(const uint8_t *bytes, size_t length, int32_t first_line,
                            struct runs *runs, struct pyi_error *err)
{
    struct reader reader = {bytes, length, 0};
    uint64_t offset = 0;
    int64_t line = first_line;
    while (reader.at < length) {
        size_t begin = reader.at;
        uint8_t head = bytes[reader.at++];
        if (!(head & 0x80))
            return malformed(err, begin);
        unsigned code = (head >> 3) & 15;
        if (!read_location(&reader, code, &line) || !line_sane(line))
            return malformed(err, begin);
        if (!runs_put(runs, offset, code == 15 ? 0 : line))
            return pyi_error_nomem(err);
        offset += ((head & 7) + 1) * 2u;
        if (offset > UINT32_MAX)
            return malformed(err, begin);
    }
    return runs_put(runs, offset, 0) ? 0 : pyi_error_nomem(err);
}

int pyi_linetable_decode(enum pyi_linetable_format format, const uint8_t *bytes, size_t length,
                         int32_t first_line, struct pyi_line_run **out, size_t *count,
                         struct pyi_error *err)
{
    struct runs runs = {0};
    int rc;
    if (format == PYI_LINETABLE_LNOTAB || format == PYI_LINETABLE_UNSIGNED)
        rc = decode_lnotab(bytes, length, first_line, format == PYI_LINETABLE_LNOTAB, &runs, err);
    else if (format == PYI_LINETABLE_RANGES)
        rc = decode_ranges(bytes, length, first_line, &runs, err);
    else
        rc = decode_locations(bytes, length, first_line, &runs, err);
    if (rc != 0) {
        free(runs.items);
        return rc;
    }
    *out = runs.items;
    *count = runs.count;
    return 0;
}

int32_t pyi_linetable_find(const struct pyi_line_run *runs, size_t count, int64_t offset,
                           int32_t first_line)
{
    if (count == 0 || offset < (int64_t)runs[0].start)
        return first_line;
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((int64_t)runs[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return runs[low].line > 0 ? runs[low].line : first_line;
}
