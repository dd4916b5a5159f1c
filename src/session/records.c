/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * records.c - the records of a session in a compact encoding.
 *
 * In: records one by one. Out: the same, in order. Ten to twelve bytes each, in blocks that are
 * never moved. The encoding is described in records.h; what a node number means is not known.
 */
#include "src/session/records.h"

#include "src/base/array.h"
#include <stdlib.h>
#include <string.h>

enum kind { KIND_DOUBLE = 0, KIND_INTEGER = 1 };

#define LONGEST_RECORD 15 /* 5 bytes of node and kind, at most 10 of seconds */

static size_t put_varint(unsigned char *to, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        to[length++] = (unsigned char)(value | 0x80);
    to[length++] = (unsigned char)value;
    return length;
}

static size_t put_double(unsigned char *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(bits >> 8 * i);
    return 8;
}

static size_t encode(const struct pyi_record *record, unsigned char to[LONGEST_RECORD])
{
    const struct pyi_number *seconds = &record->seconds;
    enum kind kind = seconds->is_integer ? KIND_INTEGER : KIND_DOUBLE;
    size_t length = put_varint(to, (uint64_t)record->stack * 4 + kind);
    if (kind == KIND_DOUBLE)
        return length + put_double(to + length, seconds->value);
    uint64_t folded = (uint64_t)seconds->integer << 1 ^ (seconds->integer < 0 ? UINT64_MAX : 0);
    return length + put_varint(to + length, folded);
}

static bool add_block(struct pyi_records *records)
{
    if (!pyi_array_reserve(&records->blocks, &records->block_capacity, records->block_count + 1,
                           sizeof(*records->blocks)))
        return false;
    unsigned char *bytes = malloc(PYI_RECORDS_BLOCK);
    if (!bytes)
        return false;
    records->blocks[records->block_count++] = (struct pyi_records_block){bytes, 0};
    return true;
}

bool pyi_records_append(struct pyi_records *records, const struct pyi_record *record)
{
    unsigned char encoded[LONGEST_RECORD];
    size_t length = encode(record, encoded);
    struct pyi_records_block *last =
        records->block_count ? &records->blocks[records->block_count - 1] : NULL;
    if (!last || PYI_RECORDS_BLOCK - last->length < length) {
        if (!add_block(records))
            return false;
        last = &records->blocks[records->block_count - 1];
    }
    memcpy(last->bytes + last->length, encoded, length);
    last->length += length;
    records->count++;
    return true;
}

/* Bytes are ours when they were appended; bounds are kept all the same. */
static bool get_varint(const struct pyi_records_block *block, size_t *at, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < block->length; shift += 7) {
        unsigned char byte = block->bytes[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool get_double(const struct pyi_records_block *block, size_t *at, double *out)
{
    if (block->length - *at < 8)
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)block->bytes[*at + (size_t)i] << 8 * i;
    memcpy(out, &bits, sizeof(bits));
    *at += 8;
    return true;
}

static bool decode(const struct pyi_records_block *block, size_t *at, struct pyi_record *out)
{
    uint64_t head, folded;
    if (!get_varint(block, at, &head))
        return false;
    struct pyi_record record = {.stack = (uint32_t)(head >> 2)};
    if ((head & 3) == KIND_DOUBLE) {
        if (!get_double(block, at, &record.seconds.value))
            return false;
    } else {
        if ((head & 3) != KIND_INTEGER || !get_varint(block, at, &folded))
            return false;
        record.seconds.integer = (int64_t)(folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0));
        record.seconds.value = (double)record.seconds.integer;
        record.seconds.is_integer = true;
    }
    *out = record;
    return true;
}

bool pyi_records_next(const struct pyi_records *records, uint64_t *cursor, struct pyi_record *out)
{
    /* A block's number in the high bits, an offset of up to and with its size in the low. */
    uint64_t index = *cursor >> 17;
    size_t at = *cursor & 0x1ffff;
    if (index < records->block_count && at >= records->blocks[index].length &&
        index + 1 < records->block_count) {
        index++;
        at = 0;
    }
    if (index >= records->block_count || at >= records->blocks[index].length)
        return false;
    if (!decode(&records->blocks[index], &at, out))
        return false;
    *cursor = index << 17 | at;
    return true;
}

void pyi_records_deinit(struct pyi_records *records)
{
    for (size_t i = 0; i < records->block_count; i++)
        free(records->blocks[i].bytes);
    free(records->blocks);
    *records = (struct pyi_records){0};
}
