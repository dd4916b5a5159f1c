/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * classes.c - names and flags of type objects, cached by address.
 *
 * In: an address that should be a type. Out: its bare name as a small number, and the flags the
 * decoders ask about. Types die and their addresses are used again, so entries are compared
 * with the target from time to time. Must not know which frame asked.
 */
#include "attach/cpython/classes.h"

#include "attach/cpython/object.h"
#include "src/base/error.h"

#define NAME_PIECE       128
#define KNOWN_LIMIT      (1 << 18) /* types remembered at once */
#define RECHECK_ROUNDS   512       /* rounds an entry is believed without a look */
#define CAUTIOUS_RECHECK 8         /* the same while the program is known to free types */
#define CAUTIOUS_ROUNDS  4096

void pyi_classes_deinit(struct pyi_classes *classes)
{
    pyi_map_deinit(&classes->by_address);
    pyi_intern_deinit(&classes->names);
    pyi_arena_free(&classes->arena);
    *classes = (struct pyi_classes){0};
}

static struct pyi_class *known(struct pyi_cpython *python, pyi_addr type)
{
    uint64_t value;
    if (!pyi_map_get(&python->classes.by_address, type, &value))
        return NULL;
    return (struct pyi_class *)(uintptr_t)value;
}

/* A NUL-terminated string, read piece by piece so that no page behind its end is needed. */
int pyi_classes_c_string(struct pyi_cpython *python, pyi_addr at, struct pyi_strbuf *out,
                         struct pyi_error *err)
{
    while (out->length < PYI_MAX_NAME) {
        uint8_t piece[NAME_PIECE];
        struct pyi_range range = {.address = at, .length = sizeof(piece), .into = piece};
        if (at < 65536)
            return pyi_error_set(err, PYI_E_TORN, "type has no name");
        int rc = pyi_memory_readv(python->memory, &range, 1, err);
        if (rc != 0)
            return rc;
        size_t length = strnlen((const char *)piece, range.got);
        pyi_strbuf_os_bytes(out, piece, length);
        if (out->failed)
            return pyi_error_nomem(err);
        if (length < range.got)
            return 0;
        if (range.got < sizeof(piece))
            return pyi_error_set(err, PYI_E_FAULT, "type name not mapped");
        at += sizeof(piece);
    }
    return pyi_error_set(err, PYI_E_LIMIT, "type name too long");
}

/* The interpreter's own callables, by the full name of their types. */
static uint8_t callable_of(struct pyi_text name, uint64_t flags)
{
    static const struct {
        const char *name;
        enum pyi_callable callable;
    } rows[] = {
        {"builtin_function_or_method", PYI_CALLABLE_BUILTIN},
        {"builtin_method", PYI_CALLABLE_BUILTIN},
        {"method_descriptor", PYI_CALLABLE_DESCRIPTOR},
        {"method", PYI_CALLABLE_METHOD},
        {"function", PYI_CALLABLE_FUNCTION},
        {"classmethod_descriptor", PYI_CALLABLE_CLASS_DESCRIPTOR},
        {"wrapper_descriptor", PYI_CALLABLE_SLOT},
        {"method-wrapper", PYI_CALLABLE_SLOT_WRAPPER},
        {"numpy.ufunc", PYI_CALLABLE_UFUNC},
    };
    if (pyi_text_equal(name, pyi_text("functools.partial")))
        return PYI_CALLABLE_PARTIAL;
    for (size_t i = 0; !(flags & PYI_TYPE_IS_HEAP) && i < sizeof(rows) / sizeof(*rows); i++)
        if (pyi_text_equal(name, pyi_text(rows[i].name)))
            return rows[i].callable;
    return PYI_CALLABLE_OTHER;
}

/* 2.7, Objects/classobject.c. */
static uint8_t old_kind_of(const struct pyi_cpython *python, struct pyi_text name, uint64_t flags)
{
    if (python->minor != PYI_PYTHON_2 || flags & PYI_TYPE_IS_HEAP)
        return PYI_OLD_NONE;
    if (pyi_text_equal(name, pyi_text("instance")))
        return PYI_OLD_INSTANCE;
    return pyi_text_equal(name, pyi_text("classobj")) ? PYI_OLD_CLASS : PYI_OLD_NONE;
}

static int fill(struct pyi_cpython *python, struct pyi_class *type, const uint8_t *window,
                struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_strbuf name = {0};
    pyi_addr name_at = pyi_load_u64(window + layout->type_name);
    int rc = pyi_classes_c_string(python, name_at, &name, err);
    struct pyi_text text = pyi_strbuf_get(&name);
    if (rc == 0 && text.length == 0)
        rc = pyi_error_set(err, PYI_E_TORN, "type has an empty name");
    if (rc != 0) {
        pyi_strbuf_deinit(&name);
        return rc;
    }
    /* Types made in C are called "module.Name"; only the last part is the class name. */
    const char *dot = memrchr(text.data, '.', text.length);
    size_t skip = dot != NULL ? (size_t)(dot - text.data) + 1 : 0;
    uint32_t number = pyi_intern_add(&python->classes.names, text.data + skip, text.length - skip);
    *type = (struct pyi_class){
        .address = type->address,
        .name_at = name_at,
        .flags = pyi_load_u64(window + layout->type_flags),
        .basic_size = pyi_load_u64(window + layout->type_basicsize),
        .name = number + 1,
        .is_cell = pyi_text_equal(text, pyi_text("cell")),
        .is_frame = pyi_text_equal(text, pyi_text("frame")),
        .is_code = pyi_text_equal(text, pyi_text("code")),
        .is_module = pyi_text_equal(text, pyi_text("module")),
        .callable = callable_of(text, pyi_load_u64(window + layout->type_flags)),
        .old_kind = old_kind_of(python, text, pyi_load_u64(window + layout->type_flags)),
        .checked = python->round,
    };
    pyi_strbuf_deinit(&name);
    return number == UINT32_MAX ? pyi_error_nomem(err) : 0;
}

/* PyClassObject, 2.7, Include/classobject.h: all that is wanted of it is cl_name, a str. */
static int load_old_style(struct pyi_cpython *python, struct pyi_class *class,
                          struct pyi_error *err)
{
    struct pyi_strbuf name = {0};
    uint64_t name_at;
    int rc = pyi_object_word(python, class->address + python->layout.oldclass_name, &name_at, err);
    if (rc == 0)
        rc = pyi_object_str(python, name_at, PYI_MAX_NAME, &name, err);
    uint32_t number = rc == 0 ? pyi_intern_add(&python->classes.names, name.data, name.length) : 0;
    pyi_strbuf_deinit(&name);
    if (rc != 0)
        return rc;
    if (number == UINT32_MAX)
        return pyi_error_nomem(err);
    *class = (struct pyi_class){.address = class->address,
                                .name_at = name_at,
                                .name = number + 1,
                                .old_style = true,
                                .checked = python->round};
    return 0;
}

/* Reads the type anew into `type`, which keeps its place in memory. */
static int load(struct pyi_cpython *python, struct pyi_class *type, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t window[512];
    size_t size = layout->type_dictoffset + 8;
    if (type->old_style)
        return load_old_style(python, type, err);
    if (size > sizeof(window) || layout->type_flags + 8 > size)
        return pyi_error_set(err, PYI_E_FORMAT, "layout of types makes no sense");
    int rc = pyi_object_bytes(python, type->address, window, size, err);
    if (rc != 0)
        return rc;
    struct pyi_class old = *type;
    rc = fill(python, type, window, err);
    if (rc != 0) {
        *type = old;
        return rc;
    }
    type->dict_offset = (int64_t)pyi_load_u64(window + layout->type_dictoffset);
    if (old.name != 0 && old.name != type->name)
        python->classes.cautious_until = python->round + CAUTIOUS_ROUNDS;
    return 0;
}

static int get(struct pyi_cpython *python, pyi_addr address, bool old_style,
               const struct pyi_class **out, struct pyi_error *err)
{
    struct pyi_classes *classes = &python->classes;
    struct pyi_class *type = known(python, address);
    uint32_t believed = python->round < classes->cautious_until ? CAUTIOUS_RECHECK : RECHECK_ROUNDS;
    if (type != NULL && type->old_style == old_style && python->round - type->checked < believed) {
        *out = type;
        return 0;
    }
    if (!pyi_addr_plausible(address))
        return pyi_error_set(err, PYI_E_TORN, "no type object");
    struct pyi_class fresh = {.address = address, .old_style = old_style};
    if (type == NULL) {
        if (classes->by_address.count >= KNOWN_LIMIT)
            return pyi_error_set(err, PYI_E_LIMIT, "too many types");
        int rc = load(python, &fresh, err);
        if (rc != 0)
            return rc;
        type = pyi_arena_alloc(&classes->arena, sizeof(*type));
        if (type == NULL)
            return pyi_error_nomem(err);
        *type = fresh;
        if (!pyi_map_put(&classes->by_address, address, (uintptr_t)type))
            return pyi_error_nomem(err);
    } else {
        type->old_style = old_style;
        int rc = load(python, type, err);
        if (rc != 0)
            return rc;
    }
    *out = type;
    return 0;
}

int pyi_classes_get(struct pyi_cpython *python, pyi_addr address, const struct pyi_class **out,
                    struct pyi_error *err)
{
    return get(python, address, false, out, err);
}

int pyi_classes_old_style(struct pyi_cpython *python, pyi_addr class, const struct pyi_class **out,
                          struct pyi_error *err)
{
    return get(python, class, true, out, err);
}
