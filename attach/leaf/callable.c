/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * callable.c - names of C functions and other things that can be called.
 *
 * In: the first bytes of an object of the target and its type. Out: the label it gets, in words of
 * __qualname__. Must not know where the object was found.
 */
#include "attach/leaf/callable.h"

#include "attach/cpython/object.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define MAX_BASES  256 /* entries of a type's method resolution order */
#define UFUNC_NAME 40  /* bytes behind the header of a ufunc */

/* ---- names ----------------------------------------------------------------------------------- */

int pyi_leaf_label(struct pyi_cpython *python, struct pyi_text qualifier, struct pyi_text name,
                   const char *behind, bool ours, const struct pyi_code **out,
                   struct pyi_error *err)
{
    struct pyi_strbuf buffer = {0};
    if (qualifier.length > 0) {
        pyi_strbuf_text(&buffer, qualifier);
        pyi_strbuf_char(&buffer, '.');
    }
    pyi_strbuf_text(&buffer, name);
    pyi_strbuf_string(&buffer, behind);
    struct pyi_text text = buffer.failed ? (struct pyi_text){0} : pyi_cpython_text(python, &buffer);
    pyi_strbuf_deinit(&buffer);
    if (text.data == NULL)
        return pyi_error_nomem(err);
    return pyi_codes_share(python, text, ours ? python->leaves->extended : python->leaves->built_in,
                           0, false, out, err);
}

/* Name of a PyMethodDef; they are never freed before their functions. */
static int definition_name(struct pyi_cpython *python, pyi_addr definition, struct pyi_text *out,
                           struct pyi_error *err)
{
    struct pyi_leaves *leaves = python->leaves;
    struct pyi_strbuf name = {0};
    uint64_t number, at = 0;
    if (!pyi_map_get(&leaves->names, definition, &number)) {
        int rc = pyi_object_word(python, definition, &at, err);
        if (rc == 0)
            rc = pyi_classes_c_string(python, at, &name, err);
        if (rc == 0) {
            number = pyi_intern_add(&leaves->texts, name.data, name.length);
            if (number == UINT32_MAX || !pyi_map_put(&leaves->names, definition, number))
                rc = pyi_error_nomem(err);
        }
        pyi_strbuf_deinit(&name);
        if (rc != 0)
            return rc;
    }
    *out = pyi_intern_text(&leaves->texts, (uint32_t)number);
    return 0;
}

/* __qualname__ of a type: kept by types made at run time, else the last part of tp_name. */
int pyi_leaf_qualified(struct pyi_cpython *python, const struct pyi_class *type,
                       struct pyi_text *out, struct pyi_error *err)
{
    struct pyi_leaves *leaves = python->leaves;
    uint64_t value, at = 0;
    struct type_name *known = NULL;
    if (!(type->flags & PYI_TYPE_IS_HEAP)) {
        *out = pyi_cpython_class_name(python, pyi_class_number(type));
        return 0;
    }
    if (pyi_map_get(&leaves->types, type->address, &value))
        known = (struct type_name *)(uintptr_t)value;
    if (known == NULL || known->name_at != type->name_at || known->number != type->name) {
        struct pyi_strbuf name = {0};
        int rc =
            pyi_object_word(python, type->address + python->layout.heaptype_qualname, &at, err);
        if (rc == 0)
            rc = pyi_object_str(python, at, PYI_MAX_NAME, &name, err);
        uint32_t number =
            rc == 0 ? pyi_intern_add(&leaves->texts, name.data, name.length) : UINT32_MAX;
        pyi_strbuf_deinit(&name);
        if (rc != 0)
            return rc;
        if (known == NULL)
            known = pyi_arena_alloc(&leaves->code_arena, sizeof(*known));
        if (number == UINT32_MAX || known == NULL ||
            !pyi_map_put(&leaves->types, type->address, (uintptr_t)known))
            return pyi_error_nomem(err);
        *known =
            (struct type_name){type->name_at, type->name, pyi_intern_text(&leaves->texts, number)};
    }
    *out = known->text;
    return 0;
}

/* Type of an object, 0 when it cannot be read. */
int pyi_leaf_type_of(struct pyi_cpython *python, pyi_addr object, const struct pyi_class **out,
                     struct pyi_error *err)
{
    if (!pyi_addr_plausible(object))
        return pyi_error_set(err, PYI_E_TORN, "no object");
    return pyi_object_class(python, object, out, err);
}

/* Objects/methodobject.c, meth_get__qualname__: bare when bound to nothing or to a module, else
 * behind the type it is bound to. */
static int fill_builtin(struct pyi_cpython *python, struct pyi_known_callable *it,
                        const uint8_t *header, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    pyi_addr self = pyi_load_u64(header + layout->cfunction_self);
    struct pyi_text name, qualifier = {"", 0};
    const struct pyi_class *type = NULL;
    int rc = definition_name(python, pyi_load_u64(header + layout->cfunction_ml), &name, err);
    if (rc == 0 && self != 0)
        rc = pyi_leaf_type_of(python, self, &type, err);
    it->stable = self == 0 || (type != NULL && type->is_module);
    if (rc == 0 && !it->stable) {
        if (type->flags & PYI_TYPE_IS_TYPE)
            rc = pyi_classes_get(python, self, &type, err);
        if (rc == 0)
            rc = pyi_leaf_qualified(python, type, &qualifier, err);
    }
    return rc != 0 ? rc : pyi_leaf_label(python, qualifier, name, "", false, &it->label, err);
}

static int fill_descriptor(struct pyi_cpython *python, struct pyi_known_callable *it,
                           const uint8_t *header, bool ours, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_class *type;
    struct pyi_text qualifier;
    it->owner = pyi_load_u64(header + layout->descr_type);
    it->stable = true;
    int rc =
        definition_name(python, pyi_load_u64(header + layout->methoddescr_method), &it->name, err);
    if (rc == 0)
        rc = pyi_classes_get(python, it->owner, &type, err);
    if (rc == 0)
        rc = pyi_leaf_qualified(python, type, &qualifier, err);
    if (rc != 0)
        return rc;
    it->plain = !(type->flags & PYI_TYPE_IS_BASE);
    it->confirmed = it->plain ? UINT32_MAX : 0;
    return pyi_leaf_label(python, qualifier, it->name, "", ours, &it->label, err);
}

/* Slot wrappers keep their name as a str. */
static int fill_slot(struct pyi_cpython *python, struct pyi_known_callable *it,
                     const uint8_t *header, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_class *type;
    struct pyi_text qualifier;
    struct pyi_strbuf name = {0};
    it->stable = true;
    int rc = pyi_classes_get(python, pyi_load_u64(header + layout->descr_type), &type, err);
    if (rc == 0)
        rc = pyi_leaf_qualified(python, type, &qualifier, err);
    if (rc == 0)
        rc = pyi_object_str(python, pyi_load_u64(header + layout->descr_name), PYI_MAX_NAME, &name,
                            err);
    if (rc == 0)
        rc = pyi_leaf_label(python, qualifier, pyi_strbuf_get(&name), "", true, &it->label, err);
    pyi_strbuf_deinit(&name);
    return rc;
}

/* What a partial stands for, or the name a ufunc bears; empty when it cannot be told. */
static int inner_name(struct pyi_cpython *python, const struct pyi_known_callable *it,
                      const uint8_t *header, struct pyi_strbuf *out, struct pyi_error *err)
{
    const struct pyi_class *type;
    uint64_t at = 0;
    if (it->kind == PYI_CALLABLE_UFUNC) {
        /* numpy/ndarrayobject.h, public since 1.0: PyUFuncObject has four ints, two pointers and
         * two more ints before its name. */
        int rc = pyi_object_word(python, it->address + python->layout.object_size + UFUNC_NAME, &at,
                                 err);
        return rc == 0 ? pyi_classes_c_string(python, at, out, err) : rc;
    }
    /* Modules/_functoolsmodule.c: the function is the first member. */
    struct pyi_known_callable inner = {.address =
                                           pyi_load_u64(header + python->layout.object_size)};
    uint8_t bytes[PYI_CALLABLE_HEADER] = {0};
    int rc = pyi_object_bytes(python, inner.address, bytes, pyi_leaf_header(python), err);
    if (rc == 0)
        rc = pyi_leaf_type_of(python, inner.address, &type, err);
    if (rc != 0)
        return rc;
    if (type->flags & PYI_TYPE_IS_TYPE) {
        struct pyi_text name;
        rc = pyi_classes_get(python, inner.address, &type, err);
        if (rc == 0)
            rc = pyi_leaf_qualified(python, type, &name, err);
        if (rc == 0)
            pyi_strbuf_text(out, name);
        return rc;
    }
    if (type->callable == PYI_CALLABLE_BUILTIN)
        rc = fill_builtin(python, &inner, bytes, err);
    else if (type->callable == PYI_CALLABLE_DESCRIPTOR)
        rc = fill_descriptor(python, &inner, bytes, false, err);
    if (rc == 0 && inner.label != NULL)
        pyi_strbuf_text(out, inner.label->name);
    return rc;
}

/* Types, and objects whose type has tp_call. */
static int fill_other(struct pyi_cpython *python, struct pyi_known_callable *it,
                      const struct pyi_class *type, const uint8_t *header, struct pyi_error *err)
{
    struct pyi_text name;
    uint64_t call = 0;
    int rc = 0;
    if (type->flags & PYI_TYPE_IS_TYPE) {
        rc = pyi_classes_get(python, it->address, &type, err);
    } else {
        /* A finished call's result stands where its callable stood: not everything found there
         * can be called. */
        rc = pyi_object_word(python, type->address + python->layout.type_call, &call, err);
        if (rc != 0 || call == 0)
            return rc;
    }
    if (rc == 0)
        rc = pyi_leaf_qualified(python, type, &name, err);
    if (rc != 0)
        return rc;
    struct pyi_strbuf behind = {0}, inner = {0};
    if (it->kind == PYI_CALLABLE_PARTIAL || it->kind == PYI_CALLABLE_UFUNC)
        rc = inner_name(python, it, header, &inner, err);
    if (!pyi_is_fatal(rc)) {
        pyi_strbuf_char(&behind, '(');
        if (rc == 0)
            pyi_strbuf_text(&behind, pyi_strbuf_get(&inner));
        pyi_strbuf_char(&behind, ')');
        rc = behind.failed || inner.failed
                 ? pyi_error_nomem(err)
                 : pyi_leaf_label(python, (struct pyi_text){"", 0}, name,
                                  pyi_strbuf_get(&behind).data, true, &it->label, err);
    }
    pyi_strbuf_deinit(&behind);
    pyi_strbuf_deinit(&inner);
    return rc;
}

int pyi_leaf_fill(struct pyi_cpython *python, struct pyi_known_callable *it,
                  const struct pyi_class *type, const uint8_t *header, struct pyi_error *err)
{
    it->kind = type->callable;
    switch (it->kind) {
    case PYI_CALLABLE_BUILTIN:
        return fill_builtin(python, it, header, err);
    case PYI_CALLABLE_DESCRIPTOR:
        return fill_descriptor(python, it, header, false, err);
    case PYI_CALLABLE_FUNCTION:
        return 0;
    case PYI_CALLABLE_CLASS_DESCRIPTOR:
        return pyi_leaf_extended(python) ? fill_descriptor(python, it, header, true, err) : 0;
    case PYI_CALLABLE_SLOT:
        return pyi_leaf_extended(python) ? fill_slot(python, it, header, err) : 0;
    default:
        return pyi_leaf_extended(python) ? fill_other(python, it, type, header, err) : 0;
    }
}

int pyi_leaf_inherits(struct pyi_cpython *python, const struct pyi_class *type, pyi_addr base,
                      bool *out, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *bases = NULL;
    uint64_t order = 0;
    size_t count = 0;
    *out = false;
    /* Include/cpython/object.h, 3.8 to 3.15: six slots, tp_bases and then tp_mro follow. */
    pyi_addr at = type->address + python->layout.type_dictoffset + 56;
    int rc = pyi_object_word(python, at, &order, err);
    if (rc == 0)
        rc = pyi_object_tuple(python, order, MAX_BASES, &bases, &count, err);
    for (size_t i = 0; rc == 0 && i < count && !*out; i++)
        *out = bases[i] == base;
    return rc;
}
