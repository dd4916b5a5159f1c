/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * object.c - str, bytes, int, tuple, list and dict of another process.
 *
 * In: an address that should be such an object. Out: its contents, bounded. The cold path: what
 * is read here is cached by those who ask. Must not know what the objects are for.
 */
#include "attach/cpython/object.h"

#include "attach/cpython/python2.h"
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
    if (python->minor == PYI_PYTHON_2)
        return pyi_python2_text(python, object, limit, length, out, err);
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

/* Where names have their text: behind the header of an ASCII str, or of a 2.7 str. */
static uint32_t text_start(const struct pyi_layout *layout)
{
    return pyi_has_field(layout->ascii_size) ? layout->ascii_size : layout->bytes_data;
}

/* Number of the word + 1 that the copied ASCII str equals. */
static uint8_t match_word(const struct pyi_layout *layout, const uint8_t *bytes, size_t got,
                          const char *const *words, size_t word_count)
{
    if (got < text_start(layout))
        return 0;
    if (!pyi_has_field(layout->ascii_size))
        return pyi_python2_match(layout, bytes, got, words, word_count);
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
    size_t size = text_start(&python->layout), longest = 0;
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
    if (python->minor == PYI_PYTHON_2) {
        const struct pyi_class *type;
        int code = pyi_object_class(python, object, &type, err);
        if (code != 0 || type->flags & PYI_TYPE_IS_OLD_INT)
            return code != 0 ? code : pyi_python2_int(python, object, out, err);
    }
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

/* ---- dict ------------------------------------------------------------------------------------
 * Its live items, or the values of keys given by text: string hashes differ per process, so keys
 * are compared, not hashed. Combined and split tables and values kept inside the instance. */

/* Where a keys object has its entries, Objects/dictobject.c and pycore_dict.h. */
struct keys_shape {
    pyi_addr entries;
    size_t count, stride, key_at, value_at;
};

static int torn_keys(struct pyi_error *err)
{
    return pyi_error_set(err, PYI_E_TORN, "dict keys make no sense");
}

/* 3.6 to 3.10: index table of dk_size slots, then {hash, key, value} entries. */
static int shape_old(const struct pyi_layout *layout, pyi_addr keys, const uint8_t *header,
                     uint64_t most, struct keys_shape *out, struct pyi_error *err)
{
    uint64_t size = pyi_load_u64(header + layout->keys_size);
    uint64_t count = pyi_load_u64(header + layout->keys_nentries);
    if (size == 0 || (size & (size - 1)) != 0 || size > most * 2 || count > size)
        return torn_keys(err);
    unsigned width = size <= 255 ? 1 : size <= 65535 ? 2 : 4;
    *out = (struct keys_shape){keys + layout->keys_indices + size * width, count, 24, 8, 16};
    return 0;
}

/* 3.11+: sizes as logarithms; kind 0 general entries, 1 str keys only, 2 split. */
static int shape_new(const struct pyi_layout *layout, pyi_addr keys, const uint8_t *header,
                     uint64_t most, struct keys_shape *out, struct pyi_error *err)
{
    uint8_t log2_bytes = header[layout->keys_log2_index_bytes];
    uint8_t kind = header[layout->keys_kind];
    uint64_t count = pyi_load_u64(header + layout->keys_nentries);
    if (log2_bytes > 40 || kind > 2 || count > most)
        return torn_keys(err);
    pyi_addr entries = keys + layout->keys_indices + (UINT64_C(1) << log2_bytes);
    *out = kind == 0 ? (struct keys_shape){entries, count, 24, 8, 16}
                     : (struct keys_shape){entries, count, 16, 0, 8};
    return 0;
}

static int read_shape(struct pyi_cpython *python, pyi_addr keys, uint64_t most,
                      struct keys_shape *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t header[64];
    if (layout->keys_indices > sizeof(header) || !pyi_addr_plausible(keys))
        return torn_keys(err);
    int rc = pyi_object_bytes(python, keys, header, layout->keys_indices, err);
    if (rc != 0)
        return rc;
    if (pyi_has_field(layout->keys_log2_index_bytes))
        return shape_new(layout, keys, header, most, out, err);
    return shape_old(layout, keys, header, most, out, err);
}

#define HUGE_DICT (UINT64_C(1) << 32) /* entries of a dict of which only the start is read */

/* Items of a keys object, of the first `limit` entries (0: of all); `values` is the array of a
 * split table or 0. */
static int keys_items(struct pyi_cpython *python, pyi_addr keys, pyi_addr values, size_t limit,
                      struct pyi_dict_item **items, size_t *count, struct pyi_error *err)
{
    struct keys_shape shape = {0};
    int rc = read_shape(python, keys, limit != 0 ? HUGE_DICT : PYI_MAX_DICT, &shape, err);
    if (rc != 0)
        return rc;
    if (limit != 0 && shape.count > limit)
        shape.count = limit;
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *entries = malloc(shape.count * shape.stride + 1);
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *split = malloc(shape.count * 8 + 1);
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_dict_item *list = malloc((shape.count + 1) * sizeof(*list));
    if (entries == NULL || split == NULL || list == NULL)
        return pyi_error_nomem(err);
    if (shape.count > 0)
        rc = pyi_object_bytes(python, shape.entries, entries, shape.count * shape.stride, err);
    if (rc == 0 && values != 0 && shape.count > 0)
        rc = pyi_object_bytes(python, values, split, shape.count * 8, err);
    if (rc != 0)
        return rc;
    size_t kept = 0;
    for (size_t i = 0; i < shape.count; i++) {
        const uint8_t *entry = entries + i * shape.stride;
        pyi_addr key = pyi_load_u64(entry + shape.key_at);
        pyi_addr value = pyi_load_u64(values != 0 ? split + 8 * i : entry + shape.value_at);
        if (key != 0 && value != 0)
            list[kept++] = (struct pyi_dict_item){key, value};
    }
    *items = list;
    *count = kept;
    list = NULL;
    return 0;
}

static int dict_items(struct pyi_cpython *python, pyi_addr dict, size_t limit,
                      struct pyi_dict_item **items, size_t *count, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t keys, values;
    if (!pyi_addr_plausible(dict))
        return pyi_error_set(err, PYI_E_TORN, "no dict");
    if (python->minor == PYI_PYTHON_2)
        return pyi_python2_dict(python, dict, limit, items, count, err);
    int rc = pyi_object_word(python, dict + layout->dict_keys, &keys, err);
    if (rc == 0)
        rc = pyi_object_word(python, dict + layout->dict_values, &values, err);
    if (rc != 0)
        return rc;
    if (values != 0 && pyi_has_field(layout->values_values))
        values += layout->values_values;
    return keys_items(python, keys, values, limit, items, count, err);
}

int pyi_dict_items(struct pyi_cpython *python, pyi_addr dict, struct pyi_dict_item **items,
                   size_t *count, struct pyi_error *err)
{
    return dict_items(python, dict, 0, items, count, err);
}

int pyi_dict_start(struct pyi_cpython *python, pyi_addr dict, size_t limit,
                   struct pyi_dict_item **items, size_t *count, struct pyi_error *err)
{
    return dict_items(python, dict, limit, items, count, err);
}

static int find_items(struct pyi_cpython *python, const struct pyi_dict_item *items, size_t count,
                      const char *const *words, size_t word_count, pyi_addr *values,
                      struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *keys = malloc((count + 1) * sizeof(*keys));
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *which = malloc(count + 1);
    if (keys == NULL || which == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        keys[i] = items[i].key;
    int rc = pyi_object_match(python, keys, count, words, word_count, which, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < word_count; i++)
        values[i] = 0;
    for (size_t i = 0; i < count; i++)
        if (which[i] != 0)
            values[which[i] - 1] = items[i].value;
    return 0;
}

int pyi_dict_find(struct pyi_cpython *python, pyi_addr dict, const char *const *words,
                  size_t word_count, pyi_addr *values, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_dict_item *items = NULL;
    size_t count = 0;
    int rc = pyi_dict_items(python, dict, &items, &count, err);
    if (rc != 0)
        return rc;
    return find_items(python, items, count, words, word_count, values, err);
}

/* Where an instance keeps its attributes: a dict, or values beside the type's shared keys. */
struct attributes {
    pyi_addr dict, values;
};

/* 3.11+: pointers in front of the object (Include/internal/pycore_object.h). */
static int locate_managed(struct pyi_cpython *python, pyi_addr object, const struct pyi_class *type,
                          struct attributes *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t word;
    int rc = pyi_object_word(python, object - (layout->free_threaded ? 8 : 24), &word, err);
    if (rc != 0)
        return rc;
    if (python->minor == 11) {
        /* Values at -32, dict at -24; one of them is set. */
        uint64_t values;
        rc = pyi_object_word(python, object - 32, &values, err);
        *out = (struct attributes){word, word == 0 && rc == 0 ? values : 0};
        return rc;
    }
    if (python->minor == 12) {
        /* One word; bit 0 tells values from dict, and the values begin one byte behind it. */
        *out = word & 1 ? (struct attributes){0, word + 1} : (struct attributes){word, 0};
        return 0;
    }
    if (word != 0 || !(type->flags & PYI_TYPE_INLINE)) {
        *out = (struct attributes){word, 0};
        return 0;
    }
    /* 3.13+: values inside the object, behind its C part, when they are valid. */
    pyi_addr at = object + type->basic_size;
    uint8_t valid;
    rc = pyi_object_bytes(python, at + layout->values_valid, &valid, 1, err);
    if (rc == 0)
        *out = (struct attributes){0, valid == 1 ? at + layout->values_values : 0};
    return rc;
}

static int locate_attributes(struct pyi_cpython *python, pyi_addr object,
                             const struct pyi_class *type, struct attributes *out,
                             struct pyi_error *err)
{
    *out = (struct attributes){0, 0};
    if (pyi_has_field(python->layout.heaptype_cached_keys) && python->minor >= 11 &&
        type->flags & PYI_TYPE_MANAGED)
        return locate_managed(python, object, type, out, err);
    if (type->dict_offset <= 0)
        return 0;
    return pyi_object_word(python, object + (uint64_t)type->dict_offset, &out->dict, err);
}

int pyi_object_attributes(struct pyi_cpython *python, pyi_addr object, const char *const *words,
                          size_t word_count, pyi_addr *values, struct pyi_error *err)
{
    const struct pyi_class *type;
    struct attributes where;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0)
        rc = locate_attributes(python, object, type, &where, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < word_count; i++)
        values[i] = 0;
    if (where.dict != 0)
        return pyi_dict_find(python, where.dict, words, word_count, values, err);
    if (where.values == 0)
        return 0;
    uint64_t keys;
    rc = pyi_object_word(python, type->address + python->layout.heaptype_cached_keys, &keys, err);
    if (rc != 0)
        return rc;
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_dict_item *items = NULL;
    size_t count = 0;
    rc = keys_items(python, keys, where.values, 0, &items, &count, err);
    if (rc != 0)
        return rc;
    return find_items(python, items, count, words, word_count, values, err);
}
