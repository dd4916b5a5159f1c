/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * python2.c - the objects of Python 2.7 that 3 does not have, or has in another shape.
 *
 * In: addresses of str, unicode, int, dict and old-style instances. Out: what object.c gives for
 * their successors. Must not know what the objects are for.
 */
#include "attach/cpython/python2.h"

#include "src/base/error.h"
#include <stdlib.h>

#define SLOTS_PER_ITEM 8 /* of a table with many free slots, looked at for each item wanted */

/* ---- text ------------------------------------------------------------------------------------ */

/* The width is a build switch (Py_UNICODE_SIZE, 2.7, Include/unicodeobject.h); sys tells it. */
static int learn_width(struct pyi_cpython *python, struct pyi_error *err)
{
    static const char *const words[] = {"maxunicode"};
    pyi_addr interp, value = 0;
    uint64_t dict, most;
    int rc = pyi_cpython_main_interpreter(python, &interp, err);
    if (rc == 0)
        rc = pyi_object_word(python, interp + python->layout.interp_sysdict, &dict, err);
    if (rc == 0)
        rc = pyi_dict_find(python, dict, words, 1, &value, err);
    if (rc == 0)
        rc = pyi_object_int(python, value, &most, err);
    if (rc == 0)
        python->unicode_width = most == 0xffff ? 2 : 4;
    return rc;
}

/* Narrow builds keep what is beyond U+FFFF as two surrogates. */
static void put_narrow(struct pyi_strbuf *out, const uint8_t *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t c = units[2 * i] | (uint32_t)units[2 * i + 1] << 8;
        uint32_t low = i + 1 < count ? units[2 * i + 2] | (uint32_t)units[2 * i + 3] << 8 : 0;
        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        }
        pyi_strbuf_code_point(out, c);
    }
}

static int read_text(struct pyi_cpython *python, pyi_addr at, size_t count, unsigned width,
                     struct pyi_strbuf *out, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *units = malloc(count * width + 1);
    if (units == NULL)
        return pyi_error_nomem(err);
    int rc = count > 0 ? pyi_object_bytes(python, at, units, count * width, err) : 0;
    if (rc != 0)
        return rc;
    if (width == 1)
        pyi_strbuf_os_bytes(out, units, count);
    else if (width == 2)
        put_narrow(out, units, count);
    else
        pyi_strbuf_units(out, units, count, 4);
    return out->failed ? pyi_error_nomem(err) : 0;
}

int pyi_python2_text(struct pyi_cpython *python, pyi_addr object, size_t limit, uint64_t *length,
                     struct pyi_strbuf *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_class *type;
    uint64_t count, at = object + layout->bytes_data;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc != 0)
        return rc;
    bool unicode = (type->flags & PYI_TYPE_IS_STR) != 0;
    if (!pyi_is_text(python, type))
        return pyi_error_set(err, PYI_E_TORN, "not a str");
    rc = pyi_object_word(python, object + (unicode ? layout->unicode_length : layout->var_size),
                         &count, err);
    if (rc == 0 && unicode)
        rc = pyi_object_word(python, object + layout->unicode_str, &at, err);
    if (rc == 0 && unicode && python->unicode_width == 0)
        rc = learn_width(python, err);
    if (rc != 0)
        return rc;
    if (count > INT64_MAX / 4)
        return pyi_error_set(err, PYI_E_TORN, "not a str");
    if (length != NULL)
        *length = count;
    if (count > limit && length == NULL)
        return pyi_error_set(err, PYI_E_LIMIT, "str of %llu characters", (unsigned long long)count);
    return read_text(python, at, count < limit ? count : limit, unicode ? python->unicode_width : 1,
                     out, err);
}

uint8_t pyi_python2_match(const struct pyi_layout *layout, const uint8_t *bytes, size_t got,
                          const char *const *words, size_t word_count)
{
    uint64_t length = pyi_load_u64(bytes + layout->var_size);
    if (length > got - layout->bytes_data)
        return 0;
    for (size_t i = 0; i < word_count; i++)
        if (strlen(words[i]) == length && memcmp(words[i], bytes + layout->bytes_data, length) == 0)
            return (uint8_t)(i + 1);
    return 0;
}

/* ---- int, dict ------------------------------------------------------------------------------- */

int pyi_python2_int(struct pyi_cpython *python, pyi_addr object, uint64_t *out,
                    struct pyi_error *err)
{
    uint64_t value;
    int rc = pyi_object_word(python, object + python->layout.int_value, &value, err);
    if (rc == 0 && value > INT64_MAX)
        rc = pyi_error_set(err, PYI_E_LIMIT, "int out of range");
    if (rc == 0)
        *out = value;
    return rc;
}

/* 2.7, Include/dictobject.h: ma_mask + 1 slots {hash, key, value}; a deleted one has no value. */
int pyi_python2_dict(struct pyi_cpython *python, pyi_addr dict, size_t limit,
                     struct pyi_dict_item **items, size_t *count, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t mask, table;
    int rc = pyi_object_word(python, dict + layout->dict_mask, &mask, err);
    if (rc == 0)
        rc = pyi_object_word(python, dict + layout->dict_table, &table, err);
    if (rc != 0)
        return rc;
    size_t most = limit != 0 ? limit * SLOTS_PER_ITEM : 4 * (size_t)PYI_MAX_DICT;
    if ((mask & (mask + 1)) != 0 || mask > UINT64_C(1) << 40 || (limit == 0 && mask >= most))
        return pyi_error_set(err, PYI_E_TORN, "dict makes no sense");
    size_t slots = mask + 1 < most ? mask + 1 : most, kept = 0;
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *bytes = malloc(slots * 24);
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_dict_item *list = malloc(slots * sizeof(*list));
    if (bytes == NULL || list == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_bytes(python, table, bytes, slots * 24, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < slots && (limit == 0 || kept < limit); i++) {
        pyi_addr key = pyi_load_u64(bytes + 24 * i + 8), value = pyi_load_u64(bytes + 24 * i + 16);
        if (key != 0 && value != 0)
            list[kept++] = (struct pyi_dict_item){key, value};
    }
    *items = list;
    *count = kept;
    list = NULL;
    return 0;
}

/* ---- old-style classes ----------------------------------------------------------------------- */

int pyi_python2_class(struct pyi_cpython *python, pyi_addr object, bool cls,
                      const struct pyi_class **type, struct pyi_error *err)
{
    uint64_t class = object;
    int rc = 0;
    if ((*type)->old_kind != (cls ? PYI_OLD_CLASS : PYI_OLD_INSTANCE))
        return 0;
    if (!cls)
        rc = pyi_object_word(python, object + python->layout.instance_class, &class, err);
    return rc == 0 ? pyi_classes_old_style(python, class, type, err) : rc;
}
