/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * object.c - str, bytes, int, tuple and list of another process.
 *
 * In: an address that should be such an object. Out: its contents, bounded. The cold path: what
 * is read here is cached by those who ask. Must not know what the objects are for.
 */
#include "attach/cpython/object.h"

#include "src/base/error.h"
#include <stdlib.h>

#define MATCH_BATCH 64
#define MATCH_WORD  64

int pyi_object_bytes(struct pyi_cpython *python, pyi_addr address, void *into, size_t length,
                     struct pyi_error *err)
{
    if (address < 65536 || address >= UINT64_C(1) << 56)
        return pyi_error_set(err, PYI_E_TORN, "address 0x%llx cannot be an object",
                             (unsigned long long)address);
    return pyi_memory_read(python->memory, address, into, length, err);
}

int pyi_object_word(struct pyi_cpython *python, pyi_addr address, uint64_t *out,
                    struct pyi_error *err)
{
    uint8_t bytes[8];
    int rc = pyi_object_bytes(python, address, bytes, sizeof(bytes), err);
    if (rc == 0)
        *out = pyi_load_u64(bytes);
    return rc;
}

int pyi_object_class(struct pyi_cpython *python, pyi_addr object, const struct pyi_class **out,
                     struct pyi_error *err)
{
    uint64_t type;
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no object");
    int rc = pyi_object_word(python, object + python->layout.object_type, &type, err);
    if (rc != 0)
        return rc;
    return pyi_classes_get(python, type, out, err);
}

/* ---- str ------------------------------------------------------------------------------------- */

/* The state word of a str, Include/cpython/unicodeobject.h: interned 2 bits, kind 3, compact,
 * ascii, and up to 3.11 ready. Free-threaded 3.14+ gives `interned` a byte of its own. */
struct state_bits {
    unsigned kind;
    bool compact, ascii;
};

static struct state_bits decode_state(const struct pyi_layout *layout, uint32_t word)
{
    unsigned shift = layout->free_threaded && layout->minor >= 14 ? 8 : 2;
    return (struct state_bits){.kind = (word >> shift) & 7,
                               .compact = (word >> (shift + 3)) & 1,
                               .ascii = (word >> (shift + 4)) & 1};
}

int pyi_str_shape(const struct pyi_layout *layout, pyi_addr object,
                  const uint8_t header[PYI_STR_HEADER], struct pyi_str_shape *out,
                  struct pyi_error *err)
{
    struct state_bits state = decode_state(layout, pyi_load_u32(header + layout->ascii_state));
    struct pyi_str_shape shape = {.length = pyi_load_u64(header + layout->ascii_length),
                                  .width = state.kind};
    if (state.compact && state.ascii) {
        shape.data = object + layout->ascii_size;
    } else if (state.compact) {
        shape.data = object + layout->compact_size;
    } else if (state.kind != 0) {
        shape.data = pyi_load_u64(header + layout->unicode_data);
    } else if (pyi_has_field(layout->ascii_wstr) && layout->minor < 12) {
        /* Not ready, up to 3.11: wchar_t characters. */
        shape.width = 4;
        shape.data = pyi_load_u64(header + layout->ascii_wstr);
        shape.length = pyi_load_u64(header + layout->compact_wstr_length);
    }
    if ((shape.width != 1 && shape.width != 2 && shape.width != 4) ||
        (state.ascii && shape.width != 1) || (shape.length > 0 && shape.data < 65536) ||
        shape.length > INT64_MAX / 4)
        return pyi_error_set(err, PYI_E_TORN, "not a str");
    *out = shape;
    return 0;
}

static int read_str(struct pyi_cpython *python, pyi_addr object, size_t limit, uint64_t *length,
                    struct pyi_strbuf *out, struct pyi_error *err)
{
    uint8_t bytes[PYI_STR_HEADER + 256];
    struct pyi_range range = {.address = object, .length = sizeof(bytes), .into = bytes};
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no str");
    int rc = pyi_memory_readv(python->memory, &range, 1, err);
    if (rc != 0)
        return rc;
    if (range.got < PYI_STR_HEADER) {
        /* A short str at the end of a mapping. */
        memset(bytes + range.got, 0, sizeof(bytes) - range.got);
        if (range.got < python->layout.ascii_size)
            return pyi_error_set(err, PYI_E_FAULT, "str not mapped");
    }
    struct pyi_str_shape shape;
    rc = pyi_str_shape(&python->layout, object, bytes, &shape, err);
    if (rc != 0)
        return rc;
    if (length != NULL)
        *length = shape.length;
    if (shape.length > limit && length == NULL)
        return pyi_error_set(err, PYI_E_LIMIT, "str of %llu characters",
                             (unsigned long long)shape.length);
    if (shape.length > limit)
        shape.length = limit;
    size_t size = shape.length * shape.width;
    if (shape.data >= object && shape.data - object + size <= range.got) {
        pyi_strbuf_units(out, bytes + (shape.data - object), shape.length, (int)shape.width);
        return out->failed ? pyi_error_nomem(err) : 0;
    }
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *units = malloc(size + 1);
    if (units == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_bytes(python, shape.data, units, size, err);
    if (rc != 0)
        return rc;
    pyi_strbuf_units(out, units, shape.length, (int)shape.width);
    return out->failed ? pyi_error_nomem(err) : 0;
}

int pyi_object_str(struct pyi_cpython *python, pyi_addr object, size_t limit,
                   struct pyi_strbuf *out, struct pyi_error *err)
{
    return read_str(python, object, limit, NULL, out, err);
}

int pyi_object_str_start(struct pyi_cpython *python, pyi_addr object, size_t limit,
                         struct pyi_strbuf *out, uint64_t *length, struct pyi_error *err)
{
    return read_str(python, object, limit, length, out, err);
}

/* Number of the word + 1 that the copied ASCII str equals. */
static uint8_t match_word(const struct pyi_layout *layout, const uint8_t *bytes, size_t got,
                          const char *const *words, size_t word_count)
{
    if (got < layout->ascii_size)
        return 0;
    struct state_bits state = decode_state(layout, pyi_load_u32(bytes + layout->ascii_state));
    uint64_t length = pyi_load_u64(bytes + layout->ascii_length);
    if (!state.compact || !state.ascii || length > got - layout->ascii_size)
        return 0;
    for (size_t i = 0; i < word_count; i++)
        if (strlen(words[i]) == length && memcmp(words[i], bytes + layout->ascii_size, length) == 0)
            return (uint8_t)(i + 1);
    return 0;
}

/* One batch. An unmapped object ends a vectored read, so the rest is asked for again. */
static int match_batch(struct pyi_cpython *python, const pyi_addr *objects, size_t count,
                       const char *const *words, size_t word_count, uint8_t *which,
                       struct pyi_error *err)
{
    uint8_t bytes[MATCH_BATCH][PYI_STR_HEADER + MATCH_WORD];
    struct pyi_range ranges[MATCH_BATCH];
    size_t size = python->layout.ascii_size, longest = 0;
    for (size_t i = 0; i < word_count; i++)
        if (strlen(words[i]) > longest)
            longest = strlen(words[i]);
    if (longest > MATCH_WORD || size > PYI_STR_HEADER)
        return pyi_error_set(err, PYI_E_INVALID, "word too long to look up");
    size += longest;
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct pyi_range){.address = objects[i], .length = size, .into = bytes[i]};
    for (size_t i = 0; i < count;) {
        int rc = pyi_memory_readv(python->memory, ranges + i, count - i, err);
        if (rc != 0 && rc != PYI_E_FAULT)
            return rc;
        while (i < count && ranges[i].got == size)
            i++;
        i += i < count;
    }
    for (size_t i = 0; i < count; i++)
        which[i] = match_word(&python->layout, bytes[i], ranges[i].got, words, word_count);
    return 0;
}

int pyi_object_match(struct pyi_cpython *python, const pyi_addr *objects, size_t count,
                     const char *const *words, size_t word_count, uint8_t *which,
                     struct pyi_error *err)
{
    for (size_t i = 0; i < count; i += MATCH_BATCH) {
        size_t batch = count - i < MATCH_BATCH ? count - i : MATCH_BATCH;
        int rc = match_batch(python, objects + i, batch, words, word_count, which + i, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- bytes, int, tuple, list ---------------------------------------------------------------- */

int pyi_object_bytestring(struct pyi_cpython *python, pyi_addr object, size_t limit, uint8_t **out,
                          size_t *length, struct pyi_error *err)
{
    uint64_t size;
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no bytes object");
    int rc = pyi_object_word(python, object + python->layout.var_size, &size, err);
    if (rc != 0)
        return rc;
    if (size > limit)
        return pyi_error_set(err, PYI_E_LIMIT, "bytes object of %llu bytes",
                             (unsigned long long)size);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return pyi_error_nomem(err);
    if (size > 0)
        rc = pyi_object_bytes(python, object + python->layout.bytes_data, bytes, size, err);
    if (rc != 0) {
        free(bytes);
        return rc;
    }
    *out = bytes;
    *length = size;
    return 0;
}

int pyi_object_int(struct pyi_cpython *python, pyi_addr object, uint64_t *out,
                   struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t bytes[64];
    size_t size = layout->long_digits + 12;
    if (!pyi_addr_plausible(object) || size > sizeof(bytes))
        return pyi_error_set(err, PYI_E_TORN, "no int");
    struct pyi_range range = {.address = object, .length = size, .into = bytes};
    int rc = pyi_memory_readv(python->memory, &range, 1, err);
    if (rc != 0)
        return rc;
    if (range.got < layout->long_digits)
        return pyi_error_set(err, PYI_E_FAULT, "int not mapped");
    memset(bytes + range.got, 0, sizeof(bytes) - range.got);
    uint64_t tag = pyi_load_u64(bytes + layout->long_tag);
    uint64_t digits = tag;
    bool negative = (int64_t)tag < 0;
    /* 3.12+: count above three bits, sign in the low two (Include/internal/pycore_long.h). */
    if (python->minor >= 12) {
        digits = (tag & 3) == 1 ? 0 : tag >> 3;
        negative = (tag & 3) == 2;
    }
    if (negative || digits > 3)
        return pyi_error_set(err, PYI_E_LIMIT, "int out of range");
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        uint64_t digit = pyi_load_u32(bytes + layout->long_digits + 4 * i);
        if (digit >> 30 != 0 || (i == 2 && digit > 15))
            return pyi_error_set(err, PYI_E_LIMIT, "int out of range");
        value |= digit << (30 * i);
    }
    *out = value;
    return 0;
}

static int read_items(struct pyi_cpython *python, pyi_addr at, uint64_t size, size_t limit,
                      pyi_addr **items, size_t *count, struct pyi_error *err)
{
    if (size > limit)
        return pyi_error_set(err, PYI_E_LIMIT, "%llu items", (unsigned long long)size);
    pyi_addr *list = malloc((size + 1) * sizeof(*list));
    if (list == NULL)
        return pyi_error_nomem(err);
    int rc = size > 0 ? pyi_object_bytes(python, at, list, size * sizeof(*list), err) : 0;
    if (rc != 0) {
        free(list);
        return rc;
    }
    *items = list;
    *count = size;
    return 0;
}

int pyi_object_tuple(struct pyi_cpython *python, pyi_addr object, size_t limit, pyi_addr **items,
                     size_t *count, struct pyi_error *err)
{
    uint64_t size;
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no tuple");
    int rc = pyi_object_word(python, object + python->layout.var_size, &size, err);
    if (rc != 0)
        return rc;
    return read_items(python, object + python->layout.tuple_items, size, limit, items, count, err);
}

int pyi_object_list(struct pyi_cpython *python, pyi_addr object, size_t limit, pyi_addr **items,
                    size_t *count, struct pyi_error *err)
{
    uint64_t size, at;
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no list");
    int rc = pyi_object_word(python, object + python->layout.var_size, &size, err);
    if (rc == 0)
        rc = pyi_object_word(python, object + python->layout.list_items, &at, err);
    if (rc != 0)
        return rc;
    return read_items(python, at, size, limit, items, count, err);
}
