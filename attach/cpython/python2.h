/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * python2.h - the objects of Python 2.7 that 3 does not have, or has in another shape.
 *
 * Called by object.c, classes.c and frames.c only; errors as in object.h.
 */
#ifndef PYI_CPYTHON_PYTHON2_H
#define PYI_CPYTHON_PYTHON2_H

#include "attach/cpython/object.h"

/** Appends a str (bytes, taken for UTF-8) or a unicode. With `length` NULL more than `limit`
 *  characters are LIMIT, else they are cut and `*length` tells how many there are. */
int pyi_python2_text(struct pyi_cpython *python, pyi_addr object, size_t limit, uint64_t *length,
                     struct pyi_strbuf *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Number of the word + 1 that a copied str equals, 0 for none. */
uint8_t pyi_python2_match(const struct pyi_layout *layout, const uint8_t *bytes, size_t got,
                          const char *const *words, size_t word_count);
/** A non-negative int; long has the shape of int in Python 3. */
int pyi_python2_int(struct pyi_cpython *python, pyi_addr object, uint64_t *out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** As pyi_dict_items(), of the first `limit` slots (0: of all). */
int pyi_python2_dict(struct pyi_cpython *python, pyi_addr dict, size_t limit,
                     struct pyi_dict_item **items, size_t *count,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Follows an instance of an old-style class to its class, and names old-style classes: `*type`
 *  is replaced by what `object` is an instance of (`self`), or is (`cls`). */
int pyi_python2_class(struct pyi_cpython *python, pyi_addr object, bool cls,
                      const struct pyi_class **type, struct pyi_error *err) PYI_MUST_CHECK;

#endif
