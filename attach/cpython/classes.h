/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * classes.h - type objects by address, remembered.
 */
#ifndef PYI_CPYTHON_CLASSES_H
#define PYI_CPYTHON_CLASSES_H

#include "attach/memory/memory.h"
#include "src/base/arena.h"
#include "src/base/hash.h"
#include "src/base/text.h"
#include <pyinstrument/error.h>

struct pyi_cpython;

/** What calling an instance of a type means for the name of a C function. */
enum pyi_callable {
    PYI_CALLABLE_OTHER,
    PYI_CALLABLE_BUILTIN,    /* builtin_function_or_method, builtin_method */
    PYI_CALLABLE_DESCRIPTOR, /* method_descriptor */
    PYI_CALLABLE_METHOD,     /* method: look at its function */
    PYI_CALLABLE_FUNCTION,   /* function: runs Python code */
    PYI_CALLABLE_CLASS_DESCRIPTOR,
    PYI_CALLABLE_SLOT,         /* wrapper_descriptor */
    PYI_CALLABLE_SLOT_WRAPPER, /* method-wrapper */
    PYI_CALLABLE_PARTIAL,
    PYI_CALLABLE_UFUNC, /* numpy's */
};

/** Python 2.7: what instances of a type are. */
enum pyi_old_kind {
    PYI_OLD_NONE,
    PYI_OLD_INSTANCE, /* `instance`: of an old-style class */
    PYI_OLD_CLASS,    /* `classobj`: such a class */
};

/** What is known of one type object. */
struct pyi_class {
    pyi_addr address;
    pyi_addr name_at;    /* tp_name */
    uint64_t flags;      /* tp_flags */
    uint64_t basic_size; /* tp_basicsize */
    int64_t dict_offset; /* tp_dictoffset */
    uint32_t name;       /* number of the bare name + 1 */
    bool is_cell, is_frame, is_code, is_module;
    uint8_t callable; /* enum pyi_callable */
    uint8_t old_kind; /* enum pyi_old_kind */
    bool old_style;   /* 2.7: not a type at all, but an old-style class; only its name is set */
    bool valid;       /* false: read again before use */
    uint32_t version; /* changes when another type is found at the address */
    uint32_t checked; /* round of the last full check */
};

/** Zero-initialise. */
struct pyi_classes {
    struct pyi_map by_address; /* struct pyi_class * as integer */
    struct pyi_intern names;
    struct pyi_arena arena;
    uint32_t cautious_until; /* round; another type was found at a known address */
};

void pyi_classes_deinit(struct pyi_classes *classes);
/** The type at an address, read when it is not known. Borrowed until close; its contents change
 *  when the address turns out to hold another type. Errors: TORN (no type), FAULT, and fatal. */
int pyi_classes_get(struct pyi_cpython *python, pyi_addr type, const struct pyi_class **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** The same for an old-style class of 2.7. */
int pyi_classes_old_style(struct pyi_cpython *python, pyi_addr class, const struct pyi_class **out,
                          struct pyi_error *err) PYI_MUST_CHECK;
/** Appends the NUL-terminated string at an address. Errors: TORN, FAULT, LIMIT, and fatal. */
int pyi_classes_c_string(struct pyi_cpython *python, pyi_addr at, struct pyi_strbuf *out,
                         struct pyi_error *err) PYI_MUST_CHECK;
/** Number of the type's bare name for stack entries. */
static inline uint32_t pyi_class_number(const struct pyi_class *type)
{
    return type->name;
}

#endif
