/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * debug_offsets.c - decodes _Py_DebugOffsets, the first member of _PyRuntimeState since 3.13.
 *
 * Comes in: the table's bytes and the minor version whose slots apply. Goes out: offsets, or the
 * first contradiction found. Must not know: where the bytes came from, what rows exist.
 * The table is an array of u64 grouped by structure, without its own length; each minor version
 * inserted members in the middle, so a field's slot depends on the version (3.13, 3.14, 3.15:
 * pycore_debug_offsets.h; 3.13: pycore_runtime.h).
 */
#include "attach/layout/debug_offsets.h"
#include "src/base/error.h"
#include <string.h>

/* Values that only lead to fields of struct pyi_layout after some arithmetic. */
struct raw {
    struct pyi_layout layout;
    uint32_t interp_gc, interp_gil, interp_gil_locked, interp_gil_holder;
    uint32_t gc_collecting, gc_frame;
};

enum slot_kind {
    OPENS,     /* size of a structure, which the following slots are members of */
    MEMBER,    /* never the first member of its structure */
    FIRST,     /* a member that may be at offset 0 */
    SOME_ONLY, /* 0 means that this build has no such member (thread-local bytecode) */
    PART,      /* size of the structure this one begins with */
};

struct slot {
    const char *name;
    uint16_t at[3]; /* position in bytes in the tables of 3.13, 3.14, 3.15; 0: not there */
    uint8_t width;  /* bytes that must fit at the offset, and its alignment */
    uint8_t kind;
    uint16_t into; /* offset in struct raw, INTO_NONE: only checked */
    bool moves;    /* may differ between patch releases or builds of one minor version */
};

#define INTO_NONE     UINT16_MAX
#define FIELD(member) .into = offsetof(struct raw, layout.member)
#define RAW(member)   .into = offsetof(struct raw, member)
#define UNUSED        .into = INTO_NONE
#define SLOT(name, a, b, c, width, kind, ...)                                                      \
    {                                                                                              \
        name, {a, b, c}, width, kind, __VA_ARGS__                                                  \
    }

/* clang-format off */
static const struct slot slots[] = {
    SLOT("runtime_state.size",               24,  24,  24, 0, OPENS,  FIELD(runtime_size), .moves = true),
    SLOT("runtime_state.finalizing",         32,  32,  32, 8, MEMBER, FIELD(runtime_finalizing), .moves = true),
    SLOT("runtime_state.interpreters_head",  40,  40,  40, 8, MEMBER, FIELD(runtime_interpreters_head), .moves = true),

    SLOT("interpreter_state.size",           48,  48,  48, 0, OPENS,  FIELD(interp_size), .moves = true),
    SLOT("interpreter_state.id",             56,  56,  56, 8, MEMBER, FIELD(interp_id), .moves = true),
    SLOT("interpreter_state.next",           64,  64,  64, 8, MEMBER, FIELD(interp_next), .moves = true),
    SLOT("interpreter_state.threads_head",   72,  72,  72, 8, MEMBER, FIELD(interp_threads_head), .moves = true),
    SLOT("interpreter_state.threads_main",    0,  80,  80, 8, MEMBER, FIELD(interp_threads_main), .moves = true),
    SLOT("interpreter_state.gc",             80,  88,  88, 8, MEMBER, RAW(interp_gc), .moves = true),
    SLOT("interpreter_state.imports_modules", 88, 96,  96, 8, MEMBER, FIELD(interp_modules), .moves = true),
    SLOT("interpreter_state.sysdict",        96, 104, 104, 8, MEMBER, FIELD(interp_sysdict), .moves = true),
    SLOT("interpreter_state.builtins",      104, 112, 112, 8, MEMBER, UNUSED, .moves = true),
    SLOT("interpreter_state.ceval_gil",     112, 120, 120, 8, MEMBER, FIELD(interp_ceval_gil), .moves = true),
    SLOT("interpreter_state.gil_runtime_state",        120, 128, 128, 8, MEMBER, RAW(interp_gil), .moves = true),
    SLOT("interpreter_state.gil_runtime_state_locked", 136, 144, 144, 4, MEMBER, RAW(interp_gil_locked), .moves = true),
    SLOT("interpreter_state.gil_runtime_state_holder", 144, 152, 152, 8, MEMBER, RAW(interp_gil_holder), .moves = true),
    SLOT("interpreter_state.code_object_generation",     0, 160, 160, 8, MEMBER, FIELD(interp_code_generation), .moves = true),

    SLOT("thread_state.size",              152, 176, 176, 0, OPENS,  FIELD(tstate_size), .moves = true),
    SLOT("thread_state.prev",              160, 184, 184, 8, FIRST,  UNUSED),
    SLOT("thread_state.next",              168, 192, 192, 8, MEMBER, FIELD(tstate_next)),
    SLOT("thread_state.interp",            176, 200, 200, 8, MEMBER, FIELD(tstate_interp)),
    SLOT("thread_state.current_frame",     184, 208, 208, 8, MEMBER, FIELD(tstate_current_frame)),
    SLOT("thread_state.base_frame",          0,   0, 216, 8, MEMBER, FIELD(tstate_base_frame)),
    SLOT("thread_state.last_profiled_frame", 0,   0, 224, 8, MEMBER, UNUSED),
    SLOT("thread_state.thread_id",         192, 216, 240, 8, MEMBER, FIELD(tstate_thread_id)),
    SLOT("thread_state.native_thread_id",  200, 224, 248, 8, MEMBER, FIELD(tstate_native_thread_id)),
    SLOT("thread_state.datastack_chunk",   208, 232, 256, 8, MEMBER, FIELD(tstate_datastack_chunk)),
    SLOT("thread_state.status",            216, 240, 264, 4, MEMBER, FIELD(tstate_status)),
    SLOT("thread_state.holds_gil",           0,   0, 272, 4, MEMBER, FIELD(tstate_holds_gil)),
    SLOT("thread_state.gil_requested",       0,   0, 280, 4, MEMBER, FIELD(tstate_gil_requested)),
    SLOT("thread_state.current_exception",   0,   0, 288, 8, MEMBER, FIELD(tstate_current_exception)),

    SLOT("interpreter_frame.size",         224, 248, 312, 0, OPENS,  FIELD(iframe_size)),
    SLOT("interpreter_frame.previous",     232, 256, 320, 8, MEMBER, FIELD(iframe_previous)),
    SLOT("interpreter_frame.executable",   240, 264, 328, 8, FIRST,  FIELD(iframe_code)),
    SLOT("interpreter_frame.instr_ptr",    248, 272, 336, 8, MEMBER, FIELD(iframe_instr)),
    SLOT("interpreter_frame.localsplus",   256, 280, 344, 8, MEMBER, FIELD(iframe_localsplus)),
    SLOT("interpreter_frame.owner",        264, 288, 352, 1, MEMBER, FIELD(iframe_owner)),
    SLOT("interpreter_frame.stackpointer",   0, 296, 360, 8, MEMBER, FIELD(iframe_stacktop)),
    SLOT("interpreter_frame.tlbc_index",     0, 304, 368, 4, SOME_ONLY, FIELD(iframe_tlbc_index)),

    SLOT("code_object.size",               272, 312, 376, 0, OPENS,  FIELD(code_size)),
    SLOT("code_object.filename",           280, 320, 384, 8, MEMBER, FIELD(code_filename)),
    SLOT("code_object.name",               288, 328, 392, 8, MEMBER, FIELD(code_name)),
    SLOT("code_object.qualname",           296, 336, 400, 8, MEMBER, FIELD(code_qualname)),
    SLOT("code_object.linetable",          304, 344, 408, 8, MEMBER, FIELD(code_linetable)),
    SLOT("code_object.firstlineno",        312, 352, 416, 4, MEMBER, FIELD(code_firstlineno)),
    SLOT("code_object.argcount",           320, 360, 424, 4, MEMBER, FIELD(code_argcount)),
    SLOT("code_object.localsplusnames",    328, 368, 432, 8, MEMBER, FIELD(code_localsplusnames)),
    SLOT("code_object.localspluskinds",    336, 376, 440, 8, MEMBER, FIELD(code_localspluskinds)),
    SLOT("code_object.co_code_adaptive",   344, 384, 448, 1, MEMBER, FIELD(code_adaptive)),
    SLOT("code_object.co_tlbc",              0, 392, 456, 8, SOME_ONLY, FIELD(code_tlbc)),

    SLOT("pyobject.size",                  352, 400, 464, 0, OPENS,  FIELD(object_size)),
    SLOT("pyobject.ob_type",               360, 408, 472, 8, MEMBER, FIELD(object_type)),

    SLOT("type_object.size",               368, 416, 480, 0, OPENS,  UNUSED),
    SLOT("type_object.tp_name",            376, 424, 488, 8, MEMBER, FIELD(type_name)),
    SLOT("type_object.tp_repr",            384, 432, 496, 8, MEMBER, UNUSED),
    SLOT("type_object.tp_flags",           392, 440, 504, 8, MEMBER, FIELD(type_flags)),
    SLOT("type_object.tp_basicsize",         0,   0, 512, 8, MEMBER, FIELD(type_basicsize)),
    SLOT("type_object.tp_dictoffset",        0,   0, 520, 8, MEMBER, FIELD(type_dictoffset)),
    SLOT("heap_type_object.size",            0,   0, 528, 0, OPENS,  UNUSED),
    SLOT("heap_type_object.ht_cached_keys",  0,   0, 536, 8, MEMBER, FIELD(heaptype_cached_keys)),

    SLOT("tuple_object.size",              400, 448, 544, 0, OPENS,  UNUSED),
    SLOT("tuple_object.ob_item",           408, 456, 552, 8, MEMBER, FIELD(tuple_items)),
    SLOT("tuple_object.ob_size",           416, 464, 560, 8, MEMBER, FIELD(var_size)),
    SLOT("list_object.size",               424, 472, 568, 0, OPENS,  UNUSED),
    SLOT("list_object.ob_item",            432, 480, 576, 8, MEMBER, FIELD(list_items)),
    SLOT("list_object.ob_size",            440, 488, 584, 8, MEMBER, FIELD(var_size)),
    SLOT("dict_object.size",               448, 528, 624, 0, OPENS,  UNUSED),
    SLOT("dict_object.ma_keys",            456, 536, 632, 8, MEMBER, FIELD(dict_keys)),
    SLOT("dict_object.ma_values",          464, 544, 640, 8, MEMBER, FIELD(dict_values)),
    SLOT("long_object.size",               488, 568, 664, 0, OPENS,  UNUSED),
    SLOT("long_object.lv_tag",             496, 576, 672, 8, MEMBER, FIELD(long_tag)),
    SLOT("long_object.ob_digit",           504, 584, 680, 4, MEMBER, FIELD(long_digits)),
    SLOT("bytes_object.size",              512, 592, 688, 0, OPENS,  UNUSED),
    SLOT("bytes_object.ob_size",           520, 600, 696, 8, MEMBER, FIELD(var_size)),
    SLOT("bytes_object.ob_sval",           528, 608, 704, 1, MEMBER, FIELD(bytes_data)),
    SLOT("unicode_object.size",            536, 616, 712, 0, OPENS,  UNUSED),
    SLOT("unicode_object.state",           544, 624, 720, 4, MEMBER, FIELD(ascii_state)),
    SLOT("unicode_object.length",          552, 632, 728, 8, MEMBER, FIELD(ascii_length)),
    SLOT("unicode_object.asciiobject_size",        560, 640, 736, 8, PART, FIELD(ascii_size)),
    SLOT("unicode_object.compactunicodeobject_size", 0,   0, 744, 8, PART, FIELD(compact_size)),

    SLOT("gc.size",                        568, 648, 752, 0, OPENS,  UNUSED, .moves = true),
    SLOT("gc.collecting",                  576, 656, 760, 4, MEMBER, RAW(gc_collecting), .moves = true),
    SLOT("gc.frame",                         0,   0, 768, 8, MEMBER, RAW(gc_frame), .moves = true),

    SLOT("gen_object.size",                  0, 664, 792, 0, OPENS,  UNUSED),
    SLOT("gen_object.gi_name",               0, 672, 800, 8, MEMBER, FIELD(gen_name)),
    SLOT("gen_object.gi_iframe",             0, 680, 808, 8, MEMBER, FIELD(gen_iframe)),
    SLOT("gen_object.gi_frame_state",        0, 688, 816, 1, MEMBER, FIELD(gen_frame_state)),
};
/* clang-format on */

#define SLOT_COUNT (sizeof(slots) / sizeof(slots[0]))
/* Free-threaded 3.15 has a runtime of 0.4 MB, the largest structure; the rest are below 16 KB. */
#define LARGEST_STRUCTURE (16u << 20)

/* The shapes known. 3.15 up to beta 3 lacks the slot of last_profiled_frame_seq at 232. */
static const struct shape {
    unsigned minor, size;
    uint16_t missing; /* slot that is not there yet, later ones lie 8 lower; 0: all there */
} shapes[] = {
    {13, 584, 0},
    {14, 760, 0},
    {15, 888, 0},
    {15, 880, 232},
};

#define SHAPE_COUNT (sizeof(shapes) / sizeof(shapes[0]))

int pyi_debug_offsets_head(const uint8_t head[PYI_DEBUG_OFFSETS_HEAD], uint32_t *hexversion,
                           bool *free_threaded, struct pyi_error *err)
{
    if (memcmp(head, PYI_DEBUG_OFFSETS_COOKIE, 8) != 0)
        return pyi_error_set(err, PYI_E_FORMAT, "no debug offsets at the start of _PyRuntime");
    uint64_t version = pyi_load_u64(head + 8);
    uint64_t flag = pyi_load_u64(head + 16);
    if (version > UINT32_MAX || flag > 1)
        return pyi_error_set(err, PYI_E_FORMAT,
                             "debug offsets: version %#llx, free-threaded %llu make no sense",
                             (unsigned long long)version, (unsigned long long)flag);
    *hexversion = (uint32_t)version;
    *free_threaded = flag != 0;
    return 0;
}

size_t pyi_debug_offsets_length(unsigned minor)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        if (shapes[i].minor == minor)
            return shapes[i].size;
    }
    return 0;
}

/* Position of a slot in a table of this shape, 0 when it has none. */
static size_t slot_position(const struct slot *slot, const struct shape *shape)
{
    size_t at = slot->at[shape->minor - 13];
    if (shape->missing != 0 && at > shape->missing)
        return at - 8;
    return at;
}

static void raw_clear(struct raw *raw)
{
    /* PYI_NO_FIELD is all ones. */
    memset(raw, 0xff, sizeof(*raw));
    raw->layout.major = raw->layout.minor = 0;
    raw->layout.micro_first = raw->layout.micro_last = 0;
    raw->layout.free_threaded = false;
}

static uint32_t *raw_field(struct raw *raw, uint16_t into)
{
    return (uint32_t *)((char *)raw + into);
}

static int slot_check(const struct slot *slot, uint64_t value, uint64_t structure_size,
                      struct pyi_error *err)
{
    if (slot->kind == OPENS) {
        if (value >= 8 && value <= LARGEST_STRUCTURE && value % 8 == 0)
            return 0;
        return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: %s is %llu", slot->name,
                             (unsigned long long)value);
    }
    bool optional = slot->kind == FIRST || slot->kind == SOME_ONLY;
    if (value == 0 && !optional)
        return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: %s is 0", slot->name);
    uint64_t end = slot->kind == PART ? 0 : slot->width;
    if (value > structure_size || end > structure_size - value || value % slot->width != 0)
        return pyi_error_set(err, PYI_E_FORMAT,
                             "debug offsets: %s is %llu in a structure of %llu bytes", slot->name,
                             (unsigned long long)value, (unsigned long long)structure_size);
    return 0;
}

/* Two members of one structure in one place: a table of another shape, or a corrupt one. */
static int slot_check_unique(const struct shape *shape, const uint8_t *table, size_t index,
                             struct pyi_error *err)
{
    const struct slot *slot = &slots[index];
    if (slot->kind == OPENS || slot->kind == PART)
        return 0;
    uint64_t value = pyi_load_u64(table + slot_position(slot, shape));
    for (size_t i = index; i-- > 0 && slots[i].kind != OPENS;) {
        size_t at = slot_position(&slots[i], shape);
        bool absent = at == 0 || slot->kind == SOME_ONLY || slots[i].kind == SOME_ONLY;
        if (!absent && slots[i].kind != PART && pyi_load_u64(table + at) == value)
            return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: %s and %s are both %llu",
                                 slots[i].name, slot->name, (unsigned long long)value);
    }
    return 0;
}

/* Fills `raw` from a table of one shape. */
static int raw_decode(const struct shape *shape, const uint8_t *table, struct raw *raw,
                      struct pyi_error *err)
{
    uint64_t structure_size = 0;
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        const struct slot *slot = &slots[i];
        size_t at = slot_position(slot, shape);
        if (at == 0)
            continue;
        uint64_t value = pyi_load_u64(table + at);
        int code = slot_check(slot, value, structure_size, err);
        if (code == 0)
            code = slot_check_unique(shape, table, i, err);
        if (code != 0)
            return code;
        if (slot->kind == OPENS)
            structure_size = value;
        if (slot->into == INTO_NONE || (slot->kind == SOME_ONLY && value == 0))
            continue;
        uint32_t *field = raw_field(raw, slot->into);
        /* ob_size comes from tuple, list and bytes: one header, one place. */
        if (*field != PYI_NO_FIELD && *field != value)
            return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: %s is %llu, elsewhere %u",
                                 slot->name, (unsigned long long)value, *field);
        *field = (uint32_t)value;
    }
    return 0;
}

/* Fields that follow from others. In 3.13 to 3.15 `main` stands right behind `head`
 * (pycore_runtime.h, pycore_interp.h), and the three words of the data stack are neighbours
 * (cpython/pystate.h). */
static int raw_derive(struct raw *raw, struct pyi_error *err)
{
    struct pyi_layout *layout = &raw->layout;
    layout->runtime_interpreters_main = layout->runtime_interpreters_head + 8;
    if (layout->interp_threads_main == PYI_NO_FIELD)
        layout->interp_threads_main = layout->interp_threads_head + 8;
    layout->tstate_datastack_top = layout->tstate_datastack_chunk + 8;
    layout->tstate_datastack_limit = layout->tstate_datastack_chunk + 16;
    if (layout->tstate_datastack_limit + 8 > layout->tstate_size)
        return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: data stack at %u of %u bytes",
                             layout->tstate_datastack_chunk, layout->tstate_size);
    layout->interp_gc_collecting = raw->interp_gc + raw->gc_collecting;
    if (raw->gc_frame != PYI_NO_FIELD)
        layout->interp_gc_frame = raw->interp_gc + raw->gc_frame;
    if (layout->interp_gc_collecting + 8 > layout->interp_size)
        return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: collector at %u of %u bytes",
                             raw->interp_gc, layout->interp_size);
    /* The record behind the pointer ceval.gil has the layout of the embedded one. */
    layout->gil_last_holder = raw->interp_gil_holder - raw->interp_gil;
    layout->gil_locked = raw->interp_gil_locked - raw->interp_gil;
    if (layout->gil_last_holder > 64 || layout->gil_locked > 64)
        return pyi_error_set(err, PYI_E_FORMAT, "debug offsets: GIL record at %u, holder at %u",
                             raw->interp_gil, raw->interp_gil_holder);
    if (layout->compact_size != PYI_NO_FIELD)
        layout->unicode_data = layout->compact_size;
    return 0;
}

int pyi_debug_offsets_decode(const uint8_t *table, size_t length, unsigned minor,
                             struct pyi_debug_offsets *out, struct pyi_error *err)
{
    int first_failure = 0;
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        const struct shape *shape = &shapes[i];
        if (shape->minor != minor || shape->size > length)
            continue;
        struct raw raw;
        raw_clear(&raw);
        /* The usual shape comes first: its complaint is the one to report. */
        struct pyi_error *report = first_failure == 0 ? err : NULL;
        int code = raw_decode(shape, table, &raw, report);
        if (code == 0)
            code = raw_derive(&raw, report);
        if (code == 0) {
            out->layout = raw.layout;
            out->size = shape->size;
            out->early_thread_state = shape->missing != 0;
            return 0;
        }
        first_failure = first_failure == 0 ? code : first_failure;
    }
    if (first_failure != 0)
        return first_failure;
    return pyi_error_set(err, PYI_E_FORMAT,
                         "debug offsets: no table of %zu bytes is known for 3.%u", length, minor);
}

/* Where the fields are inside struct pyi_layout. */
static const uint16_t layout_fields[] = {
#define LAYOUT_FIELD(name, structure, member) offsetof(struct pyi_layout, name),
    PYI_LAYOUT_FIELDS(LAYOUT_FIELD)
#undef LAYOUT_FIELD
};

#define FIELD_COUNT (sizeof(layout_fields) / sizeof(layout_fields[0]))

static uint32_t layout_value(const struct pyi_layout *layout, uint16_t at)
{
    return *(const uint32_t *)((const char *)layout + at);
}

const char *pyi_debug_offsets_conflict(const struct pyi_debug_offsets *table,
                                       const struct pyi_layout *row)
{
    _Static_assert(offsetof(struct raw, layout) == 0, "a field has one offset in both");
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        uint16_t into = slots[i].into;
        if (slots[i].moves || into >= sizeof(struct pyi_layout))
            continue;
        uint32_t said = layout_value(&table->layout, into);
        uint32_t known = layout_value(row, into);
        if (said != PYI_NO_FIELD && said != known)
            return slots[i].name;
    }
    return NULL;
}

void pyi_debug_offsets_overlay(const struct pyi_debug_offsets *table, struct pyi_layout *layout)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        uint32_t value = layout_value(&table->layout, layout_fields[i]);
        if (value != PYI_NO_FIELD)
            *(uint32_t *)((char *)layout + layout_fields[i]) = value;
    }
}
