/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * locals.c - the variables of one frame, as bounded text.
 *
 * In: a frame of the latest round. Out: names, and values as Python's repr() would begin them.
 * Nothing is called in the target and nothing is believed: every length, count and depth has its
 * bound, so cycles end, and what is no plain object is shown by its type and address. Values are
 * handed out only when the frame is still the same after they were read. Must not know stacks.
 */
#include "attach/cpython/cpython.h"

#include "attach/cpython/object.h"
#include "attach/cpython/python.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include <inttypes.h>
#include <stdlib.h>

#define VARIABLES_MAX 64   /* shown of one frame */
#define VALUE_BYTES   400  /* of one value's text, about */
#define STRING_UNITS  120  /* characters of a str, bytes of a bytes object */
#define ITEMS_SHOWN   8    /* of one container */
#define SCAN_ENTRIES  64   /* of a dict, to find that many */
#define SCAN_TABLE    1024 /* of a set */
#define DEPTH_MAX     3
#define OBJECTS_MAX   100 /* read for one value */
#define DIGITS_MAX    10  /* of 30 bits */
#define NAME_SHOWN    80

/* Kinds of variables, Include/internal/pycore_code.h (3.11+). */
enum { KIND_HIDDEN = 0x10, KIND_CELL = 0x40, KIND_FREE = 0x80 };
enum { CODE_OPTIMIZED = 1 }; /* CO_OPTIMIZED, Include/cpython/code.h: variables are slots */

/* ---- one value ------------------------------------------------------------------------------- */

/* A container that is being written. */
struct level {
    pyi_addr items[2 * ITEMS_SHOWN]; /* of a dict: key and value in turn */
    size_t count, next;
    uint64_t more; /* items that are not shown */
    const char *close;
    bool pairs, single_tuple;
};

struct writer {
    struct pyi_cpython *python;
    struct pyi_strbuf *out;
    size_t objects;
    struct level levels[DEPTH_MAX];
    size_t depth;
};

static void put(struct writer *writer, const char *text)
{
    pyi_strbuf_string(writer->out, text);
}

static void put_type(struct writer *writer, const struct pyi_class *type, pyi_addr object)
{
    struct pyi_text name = pyi_intern_text(&writer->python->classes.names, type->name - 1);
    if (name.length > NAME_SHOWN)
        name.length = NAME_SHOWN;
    put(writer, "<");
    pyi_strbuf_text(writer->out, name);
    pyi_strbuf_format(writer->out, " at 0x%" PRIx64 ">", object);
}

/* One character inside quotes. */
static void put_character(struct writer *writer, uint32_t c, char quote)
{
    struct pyi_strbuf *out = writer->out;
    if (c == (unsigned char)quote || c == '\\')
        pyi_strbuf_format(out, "\\%c", (int)c);
    else if (c == '\n' || c == '\r' || c == '\t')
        pyi_strbuf_format(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad)
        pyi_strbuf_format(out, "\\x%02x", c);
    else if ((c >= 0xd800 && c <= 0xdfff) || (c >= 0xfff0 && c <= 0xffff))
        pyi_strbuf_format(out, "\\u%04x", c);
    else
        pyi_strbuf_code_point(out, c);
}

static int put_str(struct writer *writer, pyi_addr object, const char *prefix,
                   struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    uint64_t length = 0;
    int rc = pyi_object_str_start(writer->python, object, STRING_UNITS, &text, &length, err);
    if (rc == 0) {
        struct pyi_text view = pyi_strbuf_get(&text);
        char quote = pyi_text_contains(view, "'") && !pyi_text_contains(view, "\"") ? '"' : '\'';
        pyi_strbuf_format(writer->out, "%s%c", prefix, quote);
        for (size_t at = 0; at < view.length;)
            put_character(writer, pyi_text_next(view, &at), quote);
        pyi_strbuf_char(writer->out, quote);
        if (length > STRING_UNITS)
            pyi_strbuf_format(writer->out, "... %" PRIu64 " more", length - STRING_UNITS);
    }
    pyi_strbuf_deinit(&text);
    return rc;
}

static int put_bytes(struct writer *writer, pyi_addr object, struct pyi_error *err)
{
    const struct pyi_layout *layout = &writer->python->layout;
    uint8_t bytes[STRING_UNITS];
    uint64_t length;
    int rc = pyi_object_word(writer->python, object + layout->var_size, &length, err);
    size_t shown = length < STRING_UNITS ? length : STRING_UNITS;
    if (rc == 0 && length > INT64_MAX)
        rc = pyi_error_set(err, PYI_E_TORN, "bytes of negative size");
    if (rc == 0 && shown > 0)
        rc = pyi_object_bytes(writer->python, object + layout->bytes_data, bytes, shown, err);
    if (rc != 0)
        return rc;
    char quote = memchr(bytes, '\'', shown) && !memchr(bytes, '"', shown) ? '"' : '\'';
    pyi_strbuf_format(writer->out, "%s%c", writer->python->minor == PYI_PYTHON_2 ? "" : "b", quote);
    for (size_t i = 0; i < shown; i++) {
        if (bytes[i] >= 0x80)
            pyi_strbuf_format(writer->out, "\\x%02x", bytes[i]);
        else
            put_character(writer, bytes[i], quote);
    }
    pyi_strbuf_char(writer->out, quote);
    if (length > shown)
        pyi_strbuf_format(writer->out, "... %" PRIu64 " more", length - shown);
    return 0;
}

static int put_float(struct writer *writer, pyi_addr object, struct pyi_error *err)
{
    /* PyFloatObject, Include/floatobject.h and later cpython/floatobject.h: the value follows the
     * header. */
    uint64_t word;
    double value;
    char text[PYI_NUMBER_SIZE];
    int rc =
        pyi_object_word(writer->python, object + writer->python->layout.object_size, &word, err);
    if (rc != 0)
        return rc;
    memcpy(&value, &word, sizeof(value));
    size_t length = pyi_number_repr(value, text);
    pyi_strbuf_append(writer->out, text, length);
    return 0;
}

/* Digits of 30 bits to decimal, in groups of nine. */
static void put_digits(struct writer *writer, const uint32_t *digits, size_t count, bool negative)
{
    uint32_t groups[DIGITS_MAX + 2] = {0};
    size_t used = 1;
    for (size_t i = count; i > 0; i--) {
        uint64_t carry = digits[i - 1];
        for (size_t k = 0; k < used; k++) {
            uint64_t value = ((uint64_t)groups[k] << 30) + carry;
            groups[k] = (uint32_t)(value % 1000000000);
            carry = value / 1000000000;
        }
        for (; carry != 0 && used < DIGITS_MAX + 2; carry /= 1000000000)
            groups[used++] = (uint32_t)(carry % 1000000000);
    }
    pyi_strbuf_format(writer->out, "%s%" PRIu32, negative ? "-" : "", groups[used - 1]);
    for (size_t k = used - 1; k > 0; k--)
        pyi_strbuf_format(writer->out, "%09" PRIu32, groups[k - 1]);
}

static int put_int(struct writer *writer, pyi_addr object, bool is_bool, struct pyi_error *err)
{
    const struct pyi_layout *layout = &writer->python->layout;
    uint64_t tag;
    int rc = pyi_object_word(writer->python, object + layout->long_tag, &tag, err);
    if (rc != 0)
        return rc;
    bool negative = (int64_t)tag < 0;
    uint64_t count = negative ? 0 - tag : tag;
    /* 3.12+: count above three bits, sign in the low two (Include/internal/pycore_long.h). */
    if (writer->python->minor >= 12) {
        negative = (tag & 3) == 2;
        count = (tag & 3) == 1 ? 0 : tag >> 3;
    }
    if (count > UINT32_MAX)
        return pyi_error_set(err, PYI_E_TORN, "int of absurd size");
    if (count > DIGITS_MAX) {
        pyi_strbuf_format(writer->out, "<int of %" PRIu64 " bits>", count * 30);
        return 0;
    }
    uint32_t digits[DIGITS_MAX] = {0};
    if (count > 0)
        rc = pyi_object_bytes(writer->python, object + layout->long_digits, digits, count * 4, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (digits[i] >> 30 != 0)
            rc = pyi_error_set(err, PYI_E_TORN, "not a digit of an int");
    if (rc != 0)
        return rc;
    if (is_bool)
        put(writer, count > 0 ? "True" : "False");
    else
        put_digits(writer, digits, count, negative);
    return 0;
}

/* ---- containers ------------------------------------------------------------------------------ */

static int fill_sequence(struct pyi_cpython *python, pyi_addr object, bool list,
                         struct level *level, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t size, at = object + layout->tuple_items;
    int rc = pyi_object_word(python, object + layout->var_size, &size, err);
    if (rc == 0 && list)
        rc = pyi_object_word(python, object + layout->list_items, &at, err);
    if (rc != 0)
        return rc;
    if (size > INT64_MAX / 8)
        return pyi_error_set(err, PYI_E_TORN, "sequence of absurd size");
    level->count = size < ITEMS_SHOWN ? size : ITEMS_SHOWN;
    level->more = size - level->count;
    level->single_tuple = !list && size == 1;
    return level->count > 0 ? pyi_object_bytes(python, at, level->items, level->count * 8, err) : 0;
}

static int fill_dict(struct pyi_cpython *python, pyi_addr object, struct level *level,
                     struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_dict_item *items = NULL;
    size_t count = 0;
    uint64_t used;
    int rc = pyi_object_word(python, object + python->layout.dict_used, &used, err);
    if (rc == 0)
        rc = pyi_dict_start(python, object, SCAN_ENTRIES, &items, &count, err);
    if (rc != 0)
        return rc;
    if (count > ITEMS_SHOWN)
        count = ITEMS_SHOWN;
    for (size_t i = 0; i < count; i++) {
        level->items[level->count++] = items[i].key;
        level->items[level->count++] = items[i].value;
    }
    level->pairs = true;
    level->more = used > count && used < UINT64_C(1) << 40 ? used - count : 0;
    return 0;
}

/* PySetObject, Include/setobject.h, the same in 3.8 to 3.15: fill, used, mask, then a pointer to
 * mask + 1 entries {key, hash}; a deleted entry has hash -1, which no object has. */
static int fill_set(struct pyi_cpython *python, pyi_addr object, struct level *level,
                    struct pyi_error *err)
{
    uint8_t head[32], entries[SCAN_ENTRIES * 16];
    int rc = pyi_object_bytes(python, object + python->layout.object_size, head, sizeof(head), err);
    if (rc != 0)
        return rc;
    uint64_t used = pyi_load_u64(head + 8), mask = pyi_load_u64(head + 16);
    pyi_addr table = pyi_load_u64(head + 24);
    if (used > mask + 1 || mask >= UINT64_C(1) << 40 || (mask & (mask + 1)) != 0)
        return pyi_error_set(err, PYI_E_TORN, "set makes no sense");
    for (uint64_t at = 0;
         at <= mask && at < SCAN_TABLE && level->count < ITEMS_SHOWN && level->count < used;
         at += SCAN_ENTRIES) {
        uint64_t left = mask + 1 - at, take = left < SCAN_ENTRIES ? left : SCAN_ENTRIES;
        rc = pyi_object_bytes(python, table + at * 16, entries, take * 16, err);
        if (rc != 0)
            return rc;
        for (uint64_t i = 0; i < take && level->count < ITEMS_SHOWN; i++) {
            pyi_addr key = pyi_load_u64(entries + i * 16);
            if (key != 0 && (int64_t)pyi_load_u64(entries + i * 16 + 8) != -1)
                level->items[level->count++] = key;
        }
    }
    level->more = used > level->count ? used - level->count : 0;
    return 0;
}

enum container { NO_CONTAINER, TUPLE, LIST, DICT, SET, FROZENSET };
static const struct {
    const char *open, *close, *empty, *deep;
} shapes[] = {
    [TUPLE] = {"(", ")", "()", "(...)"},
    [LIST] = {"[", "]", "[]", "[...]"},
    [DICT] = {"{", "}", "{}", "{...}"},
    [SET] = {"{", "}", "set()", "{...}"},
    [FROZENSET] = {"frozenset({", "})", "frozenset()", "frozenset({...})"},
};

/* Writes the opening of a container; its items follow from the level it leaves. */
static int open_container(struct writer *writer, pyi_addr object, enum container kind,
                          struct pyi_error *err)
{
    struct level level = {.close = shapes[kind].close};
    int rc;
    if (kind == DICT)
        rc = fill_dict(writer->python, object, &level, err);
    else if (kind == SET || kind == FROZENSET)
        rc = fill_set(writer->python, object, &level, err);
    else
        rc = fill_sequence(writer->python, object, kind == LIST, &level, err);
    if (rc != 0)
        return rc;
    if (level.count == 0 && level.more == 0) {
        put(writer, shapes[kind].empty);
    } else if (writer->depth == DEPTH_MAX || writer->out->length > VALUE_BYTES) {
        put(writer, shapes[kind].deep);
    } else {
        put(writer, shapes[kind].open);
        writer->levels[writer->depth++] = level;
    }
    return 0;
}

/* ---- objects --------------------------------------------------------------------------------- */

static enum container container_of(const struct pyi_cpython *python, const struct pyi_class *type,
                                   struct pyi_text name)
{
    if (type->flags & PYI_TYPE_IS_TUPLE && pyi_text_equal(name, pyi_text("tuple")))
        return TUPLE;
    if (type->flags & PYI_TYPE_IS_LIST && pyi_text_equal(name, pyi_text("list")))
        return LIST;
    if (type->flags & PYI_TYPE_IS_DICT && pyi_text_equal(name, pyi_text("dict")))
        return DICT;
    /* Sets have no flag: the type made in C, which is not on the heap (bit 9). Those of 2.7 mark
     * deleted entries by an object, and are not looked into. */
    if (type->flags & (UINT64_C(1) << 9) || python->minor == PYI_PYTHON_2)
        return NO_CONTAINER;
    if (pyi_text_equal(name, pyi_text("set")))
        return SET;
    return pyi_text_equal(name, pyi_text("frozenset")) ? FROZENSET : NO_CONTAINER;
}

/* 2.7: str is bytes, text is unicode, and int is a C long. */
static int put_plain_old(struct writer *writer, pyi_addr object, const struct pyi_class *type,
                         struct pyi_text name, struct pyi_error *err)
{
    const struct pyi_layout *layout = &writer->python->layout;
    uint64_t value;
    if (type->flags & PYI_TYPE_IS_STR && pyi_text_equal(name, pyi_text("unicode")))
        return put_str(writer, object, "u", err);
    if (type->flags & PYI_TYPE_IS_BYTES && pyi_text_equal(name, pyi_text("str")))
        return put_bytes(writer, object, err);
    if (type->flags & PYI_TYPE_IS_OLD_INT) {
        int rc = pyi_object_word(writer->python, object + layout->int_value, &value, err);
        if (rc != 0)
            return rc;
        if (pyi_text_equal(name, pyi_text("int")))
            pyi_strbuf_format(writer->out, "%" PRId64, (int64_t)value);
        else if (pyi_text_equal(name, pyi_text("bool")))
            put(writer, value != 0 ? "True" : "False");
        else
            put_type(writer, type, object);
        return 0;
    }
    int rc = put_int(writer, object, false, err);
    if (rc == 0)
        put(writer, "L");
    return rc;
}

/* Subclasses may look different to Python than to us: only the plain types are read. */
static int put_plain(struct writer *writer, pyi_addr object, const struct pyi_class *type,
                     struct pyi_error *err)
{
    struct pyi_text name = pyi_intern_text(&writer->python->classes.names, type->name - 1);
    enum container kind = container_of(writer->python, type, name);
    bool heap_type = type->flags >> 9 & 1;
    if (kind != NO_CONTAINER)
        return open_container(writer, object, kind, err);
    if (writer->python->minor == PYI_PYTHON_2 &&
        (type->flags & (PYI_TYPE_IS_STR | PYI_TYPE_IS_BYTES | PYI_TYPE_IS_OLD_INT) ||
         pyi_text_equal(name, pyi_text("long"))))
        return put_plain_old(writer, object, type, name, err);
    if (type->flags & PYI_TYPE_IS_STR && pyi_text_equal(name, pyi_text("str")))
        return put_str(writer, object, "", err);
    if (type->flags & PYI_TYPE_IS_BYTES && pyi_text_equal(name, pyi_text("bytes")))
        return put_bytes(writer, object, err);
    if (type->flags & PYI_TYPE_IS_INT && pyi_text_equal(name, pyi_text("int")))
        return put_int(writer, object, false, err);
    if (type->flags & PYI_TYPE_IS_INT && pyi_text_equal(name, pyi_text("bool")))
        return put_int(writer, object, true, err);
    if (!heap_type && pyi_text_equal(name, pyi_text("float")))
        return put_float(writer, object, err);
    if (!heap_type && pyi_text_equal(name, pyi_text("NoneType")))
        put(writer, "None");
    else
        put_type(writer, type, object);
    return 0;
}

/* Only fatal errors: what cannot be read is written as such. */
static int put_object(struct writer *writer, pyi_addr object, struct pyi_error *err)
{
    const struct pyi_class *type;
    if (writer->objects++ >= OBJECTS_MAX) {
        put(writer, "...");
        return 0;
    }
    int rc = pyi_object_class(writer->python, object, &type, err);
    if (rc == 0)
        rc = put_plain(writer, object, type, err);
    if (rc != 0 && !pyi_is_fatal(rc)) {
        put(writer, "<unreadable>");
        rc = 0;
    }
    return rc;
}

/* Between two items, and behind the last. */
static void put_between(struct writer *writer, struct level *level)
{
    if (level->next < level->count && writer->out->length > VALUE_BYTES &&
        !(level->pairs && level->next % 2 != 0)) {
        level->more += (level->count - level->next) / (level->pairs ? 2 : 1);
        level->count = level->next;
    }
    if (level->next < level->count) {
        if (level->next > 0)
            put(writer, level->pairs && level->next % 2 != 0 ? ": " : ", ");
        return;
    }
    if (level->more > 0)
        pyi_strbuf_format(writer->out, "%s... %" PRIu64 " more", level->count > 0 ? ", " : "",
                          level->more);
    put(writer, level->single_tuple ? ",)" : level->close);
    writer->depth--;
}

static int put_value(struct writer *writer, pyi_addr object, struct pyi_error *err)
{
    int rc = put_object(writer, object, err);
    while (rc == 0 && writer->depth > 0) {
        struct level *level = &writer->levels[writer->depth - 1];
        size_t depth = writer->depth;
        put_between(writer, level);
        if (writer->depth == depth)
            rc = put_object(writer, level->items[level->next++], err);
    }
    return rc;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A frame's slots and the names that belong to them. */
struct variables {
    pyi_addr *names;
    size_t name_count;
    uint8_t *kinds; /* 3.11+; NULL before: names[i] from `first_cell` on live in cells */
    size_t first_cell;
    uint8_t *bytes; /* of the frame, from its start */
    size_t slots;   /* where its variables begin in `bytes` */
};

static void variables_deinit(struct variables *variables)
{
    free(variables->names);
    free(variables->kinds);
    free(variables->bytes);
}

static int names_new(struct pyi_cpython *python, pyi_addr code, struct variables *out,
                     struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t names, kinds;
    size_t kind_count = 0;
    int rc = pyi_object_word(python, code + layout->code_localsplusnames, &names, err);
    if (rc == 0)
        rc = pyi_object_word(python, code + layout->code_localspluskinds, &kinds, err);
    if (rc == 0)
        rc = pyi_object_tuple(python, names, PYI_MAX_LOCALS, &out->names, &out->name_count, err);
    if (rc == 0)
        rc = pyi_object_bytestring(python, kinds, PYI_MAX_LOCALS, &out->kinds, &kind_count, err);
    if (rc == 0 && kind_count < out->name_count)
        rc = pyi_error_set(err, PYI_E_TORN, "locals without kinds");
    return rc;
}

/* Up to 3.10: locals, then cells, then the cells of outer functions. */
static int names_old(struct pyi_cpython *python, pyi_addr code, struct variables *out,
                     struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const uint32_t fields[] = {layout->code_varnames, layout->code_cellvars, layout->code_freevars};
    out->names = calloc(3 * PYI_MAX_LOCALS, sizeof(*out->names));
    if (out->names == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < 3; i++) {
        PYI_CLEANUP(pyi_cleanup_free) pyi_addr *names = NULL;
        uint64_t tuple;
        size_t count = 0;
        int rc = pyi_object_word(python, code + fields[i], &tuple, err);
        if (rc == 0)
            rc = pyi_object_tuple(python, tuple, PYI_MAX_LOCALS, &names, &count, err);
        if (rc != 0)
            return rc;
        memcpy(out->names + out->name_count, names, count * sizeof(*names));
        out->name_count += count;
        if (i == 0)
            out->first_cell = count;
    }
    return 0;
}

/* Whether the bytes are still the frame of the stack. The top frame moves on inside its code. */
static bool is_same(const struct pyi_cpython *python, const struct pyi_frame *frame, bool top,
                    const uint8_t *bytes)
{
    const struct pyi_layout *layout = &python->layout;
    if (python->heap_frames)
        return pyi_load_u64(bytes + layout->frameobject_code) == frame->code &&
               (top || pyi_load_i32(bytes + layout->frameobject_lasti) == frame->instruction);
    return (pyi_load_u64(bytes + layout->iframe_code) & python->reference_mask) == frame->code &&
           (top || (int64_t)pyi_load_u64(bytes + layout->iframe_instr) == frame->instruction);
}

static int read_frame(struct pyi_cpython *python, const struct pyi_frame *frame, bool top,
                      uint8_t *bytes, size_t length, struct pyi_error *err)
{
    int rc = pyi_object_bytes(python, frame->address, bytes, length, err);
    if (rc == 0 && !is_same(python, frame, top, bytes))
        rc = pyi_error_set(err, PYI_E_TORN, "the frame has returned");
    return rc;
}

static int variables_read(struct pyi_cpython *python, const struct pyi_frame *frame, bool top,
                          struct variables *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t flags[4];
    int rc = pyi_object_bytes(python, frame->code + layout->code_flags, flags, sizeof(flags), err);
    /* Modules and class bodies keep their variables in a dict. */
    if (rc != 0 || !(pyi_load_u32(flags) & CODE_OPTIMIZED))
        return rc;
    rc = python->heap_frames ? names_old(python, frame->code, out, err)
                             : names_new(python, frame->code, out, err);
    if (rc != 0 || out->name_count == 0)
        return rc;
    out->slots = python->heap_frames ? layout->frameobject_localsplus : layout->iframe_localsplus;
    size_t length = out->slots + out->name_count * 8;
    out->bytes = malloc(length);
    if (out->bytes == NULL)
        return pyi_error_nomem(err);
    return read_frame(python, frame, top, out->bytes, length, err);
}

/* The object in a slot: 0 for none; `*small` for an integer that is kept in the slot itself. */
static pyi_addr slot_object(const struct pyi_cpython *python, const struct variables *variables,
                            size_t index, bool *small, int64_t *value)
{
    uint64_t word = pyi_load_u64(variables->bytes + variables->slots + 8 * index);
    /* 3.14+, Include/internal/pycore_stackref.h: tag 3 is an integer, the value 1 is null. */
    *small = python->minor >= 14 && (word & 3) == 3;
    *value = (int64_t)word >> 2;
    word &= python->reference_mask;
    return !*small && pyi_addr_plausible(word) ? word : 0;
}

static int open_cell(struct pyi_cpython *python, pyi_addr *object, struct pyi_error *err)
{
    const struct pyi_class *type;
    uint64_t inside;
    int rc = pyi_object_class(python, *object, &type, err);
    /* 3.11+: at the start of a function the slot may still hold the plain value. */
    if (rc != 0 || !type->is_cell)
        return rc;
    rc = pyi_object_word(python, *object + python->layout.cell_ref, &inside, err);
    if (rc == 0)
        *object = inside;
    return rc;
}

/* One variable as "NAME NUL VALUE NUL"; nothing when it has no value. */
static int put_variable(struct pyi_cpython *python, const struct variables *variables, size_t index,
                        struct pyi_strbuf *out, struct pyi_error *err)
{
    bool small, cell = variables->kinds != NULL
                           ? (variables->kinds[index] & (KIND_CELL | KIND_FREE)) != 0
                           : index >= variables->first_cell;
    int64_t value;
    pyi_addr object = slot_object(python, variables, index, &small, &value);
    if (variables->kinds != NULL && variables->kinds[index] & KIND_HIDDEN)
        return 0;
    if (cell && object != 0) {
        int rc = open_cell(python, &object, err);
        if (rc != 0)
            return pyi_is_fatal(rc) ? rc : 0;
    }
    if (object == 0 && !small)
        return 0;
    uint64_t length;
    size_t start = out->length;
    int rc = pyi_object_str_start(python, variables->names[index], NAME_SHOWN, out, &length, err);
    if (rc != 0) {
        out->length = start;
        return pyi_is_fatal(rc) ? rc : 0;
    }
    for (size_t i = start; i < out->length; i++)
        if (out->data[i] == 0)
            out->data[i] = '?';
    pyi_strbuf_char(out, 0);
    struct pyi_strbuf text = {0};
    struct writer writer = {.python = python, .out = &text};
    if (small)
        pyi_strbuf_format(&text, "%" PRId64, value);
    else
        rc = put_value(&writer, object, err);
    pyi_strbuf_text(out, pyi_strbuf_get(&text));
    pyi_strbuf_char(out, 0);
    if (rc == 0 && text.failed)
        rc = pyi_error_nomem(err);
    pyi_strbuf_deinit(&text);
    return rc;
}

/* The frame of a stack entry: the walk is top first and has frames that are not shown. */
static const struct pyi_frame *frame_of(const struct pyi_cpython *python, uint32_t thread,
                                        size_t entry, bool *top)
{
    if (thread >= python->threads.count)
        return NULL;
    const struct pyi_tracked *tracked = python->threads.items[thread];
    size_t seen = 0;
    for (size_t i = tracked->last_count; i > 0; i--) {
        if (tracked->last[i - 1].hidden)
            continue;
        if (seen++ == entry) {
            *top = i == 1;
            return &tracked->last[i - 1];
        }
    }
    return NULL;
}

static void hand_out(const struct pyi_strbuf *found, pyi_variable *each, void *context)
{
    for (size_t at = 0; at < found->length;) {
        struct pyi_text name = pyi_text(found->data + at);
        struct pyi_text value = pyi_text(name.data + name.length + 1);
        each(context, name, value);
        at += name.length + value.length + 2;
    }
}

int pyi_cpython_locals(struct pyi_cpython *python, uint32_t thread, size_t entry,
                       pyi_variable *each, void *context, struct pyi_error *err)
{
    bool top;
    const struct pyi_frame *frame = frame_of(python, thread, entry, &top);
    if (frame == NULL)
        return pyi_error_set(err, PYI_E_INVALID, "no such frame");
    PYI_CLEANUP(variables_deinit) struct variables variables = {0};
    struct pyi_strbuf found = {0};
    int rc = variables_read(python, frame, top, &variables, err);
    size_t count = variables.bytes != NULL ? variables.name_count : 0;
    for (size_t i = 0; rc == 0 && i < count && i < VARIABLES_MAX; i++)
        rc = put_variable(python, &variables, i, &found, err);
    if (rc == 0 && count > 0)
        rc = read_frame(python, frame, top, variables.bytes, variables.slots, err);
    if (rc == 0 && found.failed)
        rc = pyi_error_nomem(err);
    if (rc == 0)
        hand_out(&found, each, context);
    pyi_strbuf_deinit(&found);
    return rc;
}
