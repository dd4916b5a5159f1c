/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * object.h - reading single Python objects, with bounds.
 *
 * All functions: errors FAULT (not mapped), TORN (bytes that cannot be such an object), LIMIT,
 * and those after which reading ends (GONE, PERM, OS, NOMEM).
 */
#ifndef PYI_CPYTHON_OBJECT_H
#define PYI_CPYTHON_OBJECT_H

#include "attach/cpython/python.h"
#include "src/base/text.h"

/** Type flags, Include/object.h, the same in all versions. */
#define PYI_TYPE_IS_TYPE    (UINT64_C(1) << 31)
#define PYI_TYPE_IS_DICT    (UINT64_C(1) << 29)
#define PYI_TYPE_IS_STR     (UINT64_C(1) << 28)
#define PYI_TYPE_IS_BYTES   (UINT64_C(1) << 27)
#define PYI_TYPE_IS_TUPLE   (UINT64_C(1) << 26)
#define PYI_TYPE_IS_LIST    (UINT64_C(1) << 25)
#define PYI_TYPE_IS_INT     (UINT64_C(1) << 24)
#define PYI_TYPE_IS_OLD_INT (UINT64_C(1) << 23) /* 2.7: int, bit 24 is long there */
#define PYI_TYPE_IS_BASE    (UINT64_C(1) << 10) /* may be subclassed */
#define PYI_TYPE_IS_HEAP    (UINT64_C(1) << 9)  /* made at run time */
#define PYI_TYPE_MANAGED    (UINT64_C(1) << 4)  /* 3.11+ */
#define PYI_TYPE_INLINE     (UINT64_C(1) << 2)  /* 3.13+ */

/** What pyi_object_str() reads: str, and both kinds of strings of 2.7. */
static inline bool pyi_is_text(const struct pyi_cpython *python, const struct pyi_class *type)
{
    return (type->flags & PYI_TYPE_IS_STR) ||
           (python->minor == PYI_PYTHON_2 && type->flags & PYI_TYPE_IS_BYTES);
}

int pyi_object_bytes(struct pyi_cpython *python, pyi_addr address, void *into, size_t length,
                     struct pyi_error *err) PYI_MUST_CHECK;
int pyi_object_word(struct pyi_cpython *python, pyi_addr address, uint64_t *out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** What stands in the object's type. */
int pyi_object_class(struct pyi_cpython *python, pyi_addr object, const struct pyi_class **out,
                     struct pyi_error *err) PYI_MUST_CHECK;

/** Appends a str of any kind; more than `limit` characters are LIMIT. */
int pyi_object_str(struct pyi_cpython *python, pyi_addr object, size_t limit,
                   struct pyi_strbuf *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Appends its first characters, at most `limit`; `*length` gets how many it has. */
int pyi_object_str_start(struct pyi_cpython *python, pyi_addr object, size_t limit,
                         struct pyi_strbuf *out, uint64_t *length,
                         struct pyi_error *err) PYI_MUST_CHECK;
/** Where a str keeps its characters, from a copy of its header. Pure. */
struct pyi_str_shape {
    uint64_t length;
    unsigned width; /* bytes per character */
    pyi_addr data;
};
#define PYI_STR_HEADER 80 /* bytes that hold every kind's header */
int pyi_str_shape(const struct pyi_layout *layout, pyi_addr object,
                  const uint8_t header[PYI_STR_HEADER], struct pyi_str_shape *out,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** For each str object: 1 + number of the wanted ASCII word it equals, 0 when none. Objects that
 *  cannot be read match nothing. At most 255 words of at most 64 bytes. */
int pyi_object_match(struct pyi_cpython *python, const pyi_addr *objects, size_t count,
                     const char *const *words, size_t word_count, uint8_t *which,
                     struct pyi_error *err) PYI_MUST_CHECK;

/** Heap copy of a bytes object. */
int pyi_object_bytestring(struct pyi_cpython *python, pyi_addr object, size_t limit, uint8_t **out,
                          size_t *length, struct pyi_error *err) PYI_MUST_CHECK;
/** A non-negative int below 2^64. */
int pyi_object_int(struct pyi_cpython *python, pyi_addr object, uint64_t *out,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** Items of a tuple or list as a heap array. */
int pyi_object_tuple(struct pyi_cpython *python, pyi_addr object, size_t limit, pyi_addr **items,
                     size_t *count, struct pyi_error *err) PYI_MUST_CHECK;
int pyi_object_list(struct pyi_cpython *python, pyi_addr object, size_t limit, pyi_addr **items,
                    size_t *count, struct pyi_error *err) PYI_MUST_CHECK;

/* ---- dict ------------------------------------------------------------------------------------ */

struct pyi_dict_item {
    pyi_addr key, value;
};
/** Live items of a dict, combined or split, as a heap array. */
int pyi_dict_items(struct pyi_cpython *python, pyi_addr dict, struct pyi_dict_item **items,
                   size_t *count, struct pyi_error *err) PYI_MUST_CHECK;
/** The same of the first `limit` entries only, deleted ones included; for dicts of any size. */
int pyi_dict_start(struct pyi_cpython *python, pyi_addr dict, size_t limit,
                   struct pyi_dict_item **items, size_t *count,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** Values of keys by their text, 0 for those absent. */
int pyi_dict_find(struct pyi_cpython *python, pyi_addr dict, const char *const *words,
                  size_t word_count, pyi_addr *values, struct pyi_error *err) PYI_MUST_CHECK;
/** Instance attributes (not those of the class) by name, 0 for those absent. */
int pyi_object_attributes(struct pyi_cpython *python, pyi_addr object, const char *const *words,
                          size_t word_count, pyi_addr *values,
                          struct pyi_error *err) PYI_MUST_CHECK;

#endif
