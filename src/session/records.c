/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * records.c - the records of a session in a compact encoding.
 *
 * In: records one by one. Out: the same, in order, three to twelve bytes each. The encoding is
 * described in records.h; what a node number means is not known.
 */
#include "src/session/records.h"

#include "src/base/array.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_DOUBLE = 0, KIND_INTEGER = 1, KIND_MICROSECONDS = 2, KIND_NANOSECONDS = 3 };

#define FIRST_CAPACITY 256
#define NS_PER_SECOND  1e9
#define NS_PER_US      1000u

size_t pyi_varint_put(unsigned char *to, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        to[length++] = (unsigned char)(value | 0x80);
    to[length++] = (unsigned char)value;
    return length;
}

bool pyi_varint_get(const unsigned char *bytes, size_t length, size_t *at, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < length; shift += 7) {
        unsigned char byte = bytes[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* ---- encoding ------------------------------------------------------------------------------- */

static size_t put_double(unsigned char *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(bits >> 8 * i);
    return 8;
}

size_t pyi_record_put(unsigned char to[PYI_RECORD_LONGEST], uint32_t stack, uint64_t ns)
{
    bool whole = ns % NS_PER_US == 0;
    enum kind kind = whole ? KIND_MICROSECONDS : KIND_NANOSECONDS;
    size_t length = pyi_varint_put(to, (uint64_t)stack * 4 + kind);
    return length + pyi_varint_put(to + length, whole ? ns / NS_PER_US : ns);
}

/* Whether the double is one that nanoseconds stand for; minus zero is not. */
static bool is_time(double seconds, uint64_t *ns)
{
    if (!(seconds >= 0 && seconds < 1e9) || signbit(seconds))
        return false;
    double rounded = nearbyint(seconds * NS_PER_SECOND);
    *ns = (uint64_t)rounded;
    double back = (double)*ns / NS_PER_SECOND;
    return memcmp(&back, &seconds, sizeof(back)) == 0;
}

static size_t encode(const struct pyi_record *record, unsigned char to[PYI_RECORD_LONGEST])
{
    const struct pyi_number *seconds = &record->seconds;
    uint64_t ns;
    if (!seconds->is_integer && is_time(seconds->value, &ns))
        return pyi_record_put(to, record->stack, ns);
    enum kind kind = seconds->is_integer ? KIND_INTEGER : KIND_DOUBLE;
    size_t length = pyi_varint_put(to, (uint64_t)record->stack * 4 + kind);
    if (kind == KIND_DOUBLE)
        return length + put_double(to + length, seconds->value);
    uint64_t folded = (uint64_t)seconds->integer << 1 ^ (seconds->integer < 0 ? UINT64_MAX : 0);
    return length + pyi_varint_put(to + length, folded);
}

static bool add_block(struct pyi_records *records)
{
    if (!pyi_array_reserve(&records->blocks, &records->block_capacity, records->block_count + 1,
                           sizeof(*records->blocks)))
        return false;
    /* The first is small: a recording may have thousands of threads. */
    size_t capacity = records->block_count ? PYI_RECORDS_BLOCK : FIRST_CAPACITY;
    unsigned char *bytes = malloc(capacity);
    if (!bytes)
        return false;
    records->blocks[records->block_count++] = (struct pyi_records_block){bytes, 0, capacity};
    return true;
}

static bool grow_block(struct pyi_records_block *block)
{
    unsigned char *bytes = realloc(block->bytes, block->capacity * 2);
    if (!bytes)
        return false;
    block->bytes = bytes;
    block->capacity *= 2;
    return true;
}

static bool append(struct pyi_records *records, const unsigned char *encoded, size_t length)
{
    struct pyi_records_block *last =
        records->block_count ? &records->blocks[records->block_count - 1] : NULL;
    while (!last || last->capacity - last->length < length) {
        bool grows = last && last->capacity * 2 <= PYI_RECORDS_BLOCK;
        if (grows ? !grow_block(last) : !add_block(records))
            return false;
        last = &records->blocks[records->block_count - 1];
    }
    memcpy(last->bytes + last->length, encoded, length);
    last->length += length;
    records->count++;
    return true;
}

bool pyi_records_append(struct pyi_records *records, const struct pyi_record *record)
{
    unsigned char encoded[PYI_RECORD_LONGEST];
    return append(records, encoded, encode(record, encoded));
}

bool pyi_records_append_time(struct pyi_records *records, uint32_t stack, uint64_t ns)
{
    unsigned char encoded[PYI_RECORD_LONGEST];
    return append(records, encoded, pyi_record_put(encoded, stack, ns));
}

/* ---- decoding ------------------------------------------------------------------------------- */

static bool get_double(const unsigned char *bytes, size_t length, size_t *at, double *out)
{
    if (length - *at < 8)
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)bytes[*at + (size_t)i] << 8 * i;
    memcpy(out, &bits, sizeof(bits));
    *at += 8;
    return true;
}

struct decoded {
    uint32_t stack;
    enum kind kind;
    uint64_t number; /* nanoseconds, or the folded integer */
    double seconds;
};

static bool decode(const unsigned char *bytes, size_t length, size_t *at, struct decoded *out)
{
    uint64_t head;
    if (!pyi_varint_get(bytes, length, at, &head) || head >> 2 > UINT32_MAX)
        return false;
    out->stack = (uint32_t)(head >> 2);
    out->kind = (enum kind)(head & 3);
    if (out->kind == KIND_DOUBLE)
        return get_double(bytes, length, at, &out->seconds);
    if (!pyi_varint_get(bytes, length, at, &out->number))
        return false;
    if (out->kind == KIND_INTEGER)
        return true;
    uint64_t limit = out->kind == KIND_MICROSECONDS ? INT64_MAX / NS_PER_US : INT64_MAX;
    if (out->number > limit)
        return false;
    if (out->kind == KIND_MICROSECONDS)
        out->number *= NS_PER_US;
    return true;
}

bool pyi_records_parse(const unsigned char *bytes, size_t length, size_t *at,
                       struct pyi_record *out)
{
    struct decoded item;
    if (!decode(bytes, length, at, &item))
        return false;
    struct pyi_record record = {.stack = item.stack};
    if (item.kind == KIND_DOUBLE) {
        record.seconds.value = item.seconds;
    } else if (item.kind == KIND_INTEGER) {
        record.seconds.integer = (int64_t)(item.number >> 1 ^ (item.number & 1 ? UINT64_MAX : 0));
        record.seconds.value = (double)record.seconds.integer;
        record.seconds.is_integer = true;
    } else {
        record.seconds.value = (double)item.number / NS_PER_SECOND;
    }
    *out = record;
    return true;
}

/* A cursor has a block's number in the high bits, an offset of up to and with its size in the low.
 */
#define OFFSET_BITS 17

/* Where the cursor stands; NULL at the end. */
static const struct pyi_records_block *find(const struct pyi_records *records, uint64_t *cursor,
                                            size_t *at)
{
    uint64_t index = *cursor >> OFFSET_BITS;
    *at = *cursor & ((1u << OFFSET_BITS) - 1);
    while (index + 1 < records->block_count && *at >= records->blocks[index].length) {
        index++;
        *at = 0;
    }
    if (index >= records->block_count || *at >= records->blocks[index].length)
        return NULL;
    *cursor = index << OFFSET_BITS | *at;
    return &records->blocks[index];
}

static void move_to(uint64_t *cursor, size_t at)
{
    *cursor = *cursor >> OFFSET_BITS << OFFSET_BITS | at;
}

bool pyi_records_next(const struct pyi_records *records, uint64_t *cursor, struct pyi_record *out)
{
    size_t at;
    const struct pyi_records_block *block = find(records, cursor, &at);
    if (!block || !pyi_records_parse(block->bytes, block->length, &at, out))
        return false;
    move_to(cursor, at);
    return true;
}

bool pyi_records_next_time(const struct pyi_records *records, uint64_t *cursor, uint32_t *stack,
                           uint64_t *ns)
{
    size_t at;
    struct decoded item;
    const struct pyi_records_block *block = find(records, cursor, &at);
    if (!block || !decode(block->bytes, block->length, &at, &item) || item.kind < KIND_MICROSECONDS)
        return false;
    move_to(cursor, at);
    *stack = item.stack;
    *ns = item.number;
    return true;
}

bool pyi_records_next_bytes(const struct pyi_records *records, uint64_t *cursor,
                            const unsigned char **bytes, size_t *length)
{
    size_t at;
    const struct pyi_records_block *block = find(records, cursor, &at);
    if (!block)
        return false;
    *bytes = block->bytes + at;
    *length = block->length - at;
    move_to(cursor, block->length);
    return true;
}

/* ---- whole streams -------------------------------------------------------------------------- */

bool pyi_records_join(struct pyi_records *to, struct pyi_records *from)
{
    if (!pyi_array_reserve(&to->blocks, &to->block_capacity, to->block_count + from->block_count,
                           sizeof(*to->blocks)))
        return false;
    if (from->block_count)
        memcpy(to->blocks + to->block_count, from->blocks, from->block_count * sizeof(*to->blocks));
    to->block_count += from->block_count;
    to->count += from->count;
    free(from->blocks);
    *from = (struct pyi_records){0};
    return true;
}

uint64_t pyi_records_memory(const struct pyi_records *records)
{
    uint64_t bytes = records->block_capacity * sizeof(*records->blocks);
    for (size_t i = 0; i < records->block_count; i++)
        bytes += records->blocks[i].capacity;
    return bytes;
}

void pyi_records_deinit(struct pyi_records *records)
{
    for (size_t i = 0; i < records->block_count; i++)
        free(records->blocks[i].bytes);
    free(records->blocks);
    *records = (struct pyi_records){0};
}
