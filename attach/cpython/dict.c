/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * dict.c - dictionaries and instance attributes of another process, and what sys says of paths.
 *
 * In: the address of a dict or instance. Out: its live items, or the values of keys given by
 * text (string hashes differ per process, so keys are compared, not hashed). Covers combined
 * and split tables and values kept inside the instance. Of the dict of sys: the paths, argv and
 * prefixes; what is absent or of another type is left out.
 */
#include "attach/cpython/object.h"

#include "attach/cpython/cpython.h"
#include "attach/cpython/python.h"
#include "src/base/error.h"
#include <stdlib.h>

/* Where a keys object has its entries, Objects/dictobject.c and pycore_dict.h. */
struct keys_shape {
    pyi_addr entries;
    size_t count, stride, key_at, value_at;
};

static int torn(struct pyi_error *err)
{
    return pyi_error_set(err, PYI_E_TORN, "dict keys make no sense");
}

/* 3.8 to 3.10: index table of dk_size slots, then {hash, key, value} entries. */
static int shape_old(const struct pyi_layout *layout, pyi_addr keys, const uint8_t *header,
                     uint64_t most, struct keys_shape *out, struct pyi_error *err)
{
    uint64_t size = pyi_load_u64(header + layout->keys_size);
    uint64_t count = pyi_load_u64(header + layout->keys_nentries);
    if (size == 0 || (size & (size - 1)) != 0 || size > most * 2 || count > size)
        return torn(err);
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
        return torn(err);
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
        return torn(err);
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

/* ---- sys ------------------------------------------------------------------------------------- */

enum { WORD_PATH, WORD_ARGV, WORD_PREFIX, WORDS = WORD_PREFIX + 4 };
static const char *const sys_words[WORDS] = {"path",        "argv",        "prefix",
                                             "base_prefix", "exec_prefix", "base_exec_prefix"};

/* Empty when it cannot be had. */
static int read_str(struct pyi_cpython *python, pyi_addr object, struct pyi_text *out, bool *is_str,
                    struct pyi_error *err)
{
    const struct pyi_class *type;
    struct pyi_strbuf buffer = {0};
    *is_str = false;
    *out = pyi_text("");
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && type->flags & PYI_TYPE_IS_STR) {
        rc = pyi_object_str(python, object, 65536, &buffer, err);
        if (rc == 0) {
            *out = pyi_cpython_text(python, &buffer);
            *is_str = out->data != NULL;
            rc = *is_str ? 0 : pyi_error_nomem(err);
        }
    }
    pyi_strbuf_deinit(&buffer);
    return pyi_is_fatal(rc) ? rc : 0;
}

/* The str items of a list; other objects are legal there and skipped. */
static int read_list(struct pyi_cpython *python, pyi_addr object, const struct pyi_text **out,
                     size_t *count, struct pyi_error *err)
{
    const struct pyi_class *type;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *items = NULL;
    size_t found = 0;
    *count = 0;
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && !(type->flags & PYI_TYPE_IS_LIST))
        return 0;
    if (rc == 0)
        rc = pyi_object_list(python, object, PYI_MAX_LIST, &items, &found, err);
    if (rc != 0)
        return pyi_is_fatal(rc) ? rc : 0;
    struct pyi_text *texts = pyi_arena_alloc(&python->arena, (found + 1) * sizeof(*texts));
    if (texts == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < found; i++) {
        bool is_str;
        rc = read_str(python, items[i], &texts[*count], &is_str, err);
        if (rc != 0)
            return rc;
        *count += is_str;
    }
    *out = texts;
    return 0;
}

static int main_interpreter(struct pyi_cpython *python, pyi_addr *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint32_t field = pyi_has_field(layout->runtime_interpreters_main)
                         ? layout->runtime_interpreters_main
                         : layout->runtime_interpreters_head;
    return pyi_object_word(python, python->runtime.address + field, out, err);
}

/* The dict of sys has been seen torn only while the program assigns to it: a few more tries. */
static int find_words(struct pyi_cpython *python, pyi_addr values[WORDS], struct pyi_error *err)
{
    int rc = PYI_E_FAULT;
    for (int i = 0; i <= PYI_RETRIES && rc != 0 && (i == 0 || !pyi_is_fatal(rc)); i++) {
        pyi_addr interp;
        uint64_t dict;
        rc = main_interpreter(python, &interp, err);
        if (rc == 0)
            rc = pyi_object_word(python, interp + python->layout.interp_sysdict, &dict, err);
        if (rc == 0)
            rc = pyi_dict_find(python, dict, sys_words, WORDS, values, err);
    }
    return rc;
}

int pyi_cpython_sysinfo(struct pyi_cpython *python, const struct pyi_sysinfo **out,
                        struct pyi_error *err)
{
    if (python->sysinfo != NULL) {
        *out = python->sysinfo;
        return 0;
    }
    pyi_addr values[WORDS] = {0};
    struct pyi_sysinfo *info = pyi_arena_alloc(&python->arena, sizeof(*info));
    if (info == NULL)
        return pyi_error_nomem(err);
    int rc = find_words(python, values, err);
    if (pyi_is_fatal(rc))
        return rc;
    info->from_sys = rc == 0 && values[WORD_PREFIX] != 0;
    rc = read_list(python, values[WORD_PATH], &info->path, &info->path_count, err);
    if (rc == 0)
        rc = read_list(python, values[WORD_ARGV], &info->argv, &info->argv_count, err);
    for (int i = 0; rc == 0 && i < 4; i++) {
        bool is_str;
        rc = read_str(python, values[WORD_PREFIX + i], &info->prefixes[i], &is_str, err);
    }
    if (rc != 0)
        return rc;
    python->sysinfo = info;
    *out = info;
    return 0;
}
