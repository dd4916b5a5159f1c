/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * callable.h - what stands where a callable stands, and its name. Only attach/leaf uses it.
 */
#ifndef PYI_LEAF_CALLABLE_H
#define PYI_LEAF_CALLABLE_H

#include "attach/cpython/classes.h"
#include "attach/cpython/python.h"
#include "attach/cpython/threads.h"
#include "src/base/arena.h"
#include "src/base/hash.h"

#define PYI_CALLABLE_HEADER 64u /* most bytes of a callable that tell what it is */

struct leaf_code;

/** One object found where a callable stands. */
struct pyi_known_callable {
    pyi_addr address;
    uint64_t words[3]; /* type and the two words behind it: what identifies it */
    uint32_t checked;  /* round */
    uint8_t kind;      /* enum pyi_callable */
    bool stable;       /* as good as immortal */
    bool plain;        /* method: its type has no subclasses, or none was seen yet */
    uint32_t confirmed;
    pyi_addr owner;       /* method: the type that defines it */
    pyi_addr heir;        /* a type that inherits it, the last one seen */
    struct pyi_text name; /* method: its bare name */
    const struct pyi_code *label;
    pyi_addr last_self;
    uint32_t last_round;
    const struct pyi_code *last_label;
};

/** A type's qualified name. */
struct type_name {
    pyi_addr name_at;
    uint32_t number;
    struct pyi_text text;
};

struct pyi_leaves {
    struct pyi_map codes;     /* address of struct pyi_code_entry -> struct leaf_code * */
    struct pyi_map callables; /* remote address -> struct pyi_known_callable * */
    struct pyi_map names;     /* PyMethodDef -> number of its name in `texts` */
    struct pyi_map types;     /* remote address -> struct type_name * */
    struct pyi_intern texts;
    struct leaf_code **list;
    size_t list_count, list_capacity;
    struct pyi_arena code_arena, callable_arena;
    struct pyi_text built_in, extended;
};

/** Whether names of our own are wanted. */
static inline bool pyi_leaf_extended(const struct pyi_cpython *python)
{
    return python->options.c_labels == PYI_C_LABELS_EXTENDED;
}

/** The object's header and four words: free-threaded builds have the larger headers. */
static inline uint32_t pyi_leaf_header(const struct pyi_cpython *python)
{
    uint32_t size = python->layout.object_size + 32;
    return size <= PYI_CALLABLE_HEADER ? size : PYI_CALLABLE_HEADER;
}

/** The record for QUALIFIER.NAME and what is put behind it; `ours`: upstream shows none here. */
int pyi_leaf_label(struct pyi_cpython *python, struct pyi_text qualifier, struct pyi_text name,
                   const char *behind, bool ours, const struct pyi_code **out,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** __qualname__ of a type. */
int pyi_leaf_qualified(struct pyi_cpython *python, const struct pyi_class *type,
                       struct pyi_text *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Type of an object. Errors: TORN, FAULT, and fatal. */
int pyi_leaf_type_of(struct pyi_cpython *python, pyi_addr object, const struct pyi_class **out,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Finds out kind and label of the object whose type and first bytes are given. Errors: TORN,
 *  FAULT, and fatal. */
int pyi_leaf_fill(struct pyi_cpython *python, struct pyi_known_callable *it,
                  const struct pyi_class *type, const uint8_t *header,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** Whether `type` is `base` or inherits from it. Errors: TORN, FAULT, and fatal. */
int pyi_leaf_inherits(struct pyi_cpython *python, const struct pyi_class *type, pyi_addr base,
                      bool *out, struct pyi_error *err) PYI_MUST_CHECK;

#endif
