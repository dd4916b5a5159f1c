/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_layout.c - the built-in rows and the reader of a target's own debug offsets.
 *
 * Comes in: the compiled table and the recorded tables of fixtures/images (first bytes of
 * _PyRuntime of real interpreters). Must not know: processes; the memory read here is an array.
 */
#include "attach/layout/debug_offsets.h"
#include "attach/layout/layout.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TABLE_AT 0x7f0000001000u

/* ---- fields by name ---- */

static const struct field {
    const char *name;
    size_t at;
} fields[] = {
#define FIELD(name, structure, member) {#name, offsetof(struct pyi_layout, name)},
    PYI_LAYOUT_FIELDS(FIELD)
#undef FIELD
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t value_at(const struct pyi_layout *layout, size_t field)
{
    return *(const uint32_t *)((const char *)layout + fields[field].at);
}

static uint32_t value_of(const struct pyi_layout *layout, const char *name)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return value_at(layout, i);
    }
    fail_msg("no field %s", name);
    return 0;
}

#define PYTHON_2 2 /* a minor version that stands for 2.7: there is no 3.2 here */

static uint32_t hex(unsigned minor, unsigned micro)
{
    uint32_t version = minor == PYTHON_2 ? 2u << 24 | 7u << 16 : 3u << 24 | minor << 16;
    return version | micro << 8 | 0xf0;
}

static unsigned minor_of(const struct pyi_layout *row)
{
    return row->major == 2 ? PYTHON_2 : row->minor;
}

/* ---- a memory of bytes ---- */

struct bytes_memory {
    struct pyi_memory base;
    uint8_t bytes[PYI_DEBUG_OFFSETS_MAX];
    size_t length; /* readable from TABLE_AT on */
};

static int bytes_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                      struct pyi_error *err)
{
    struct bytes_memory *self = (struct bytes_memory *)memory;
    for (size_t i = 0; i < count; i++) {
        struct pyi_range *range = &ranges[i];
        range->got = 0;
        if (range->address < TABLE_AT || range->address - TABLE_AT > self->length)
            return 0;
        size_t start = range->address - TABLE_AT;
        size_t left = self->length - start;
        range->got = range->length < left ? range->length : left;
        memcpy(range->into, self->bytes + start, range->got);
        if (range->got < range->length)
            return 0;
    }
    return 0;
}

static void bytes_close(struct pyi_memory *memory)
{
}

static const struct pyi_memory_ops bytes_ops = {"bytes", bytes_read, bytes_close};

/* A recorded table; lines of hexadecimal digits, '#' starts a comment. */
static void load_table(struct bytes_memory *memory, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "fixtures/images/debug-offsets-%s.hex", name);
    FILE *stream = fopen(path, "r");
    if (!stream)
        fail_msg("cannot open %s: run from the top of the source tree", path);
    *memory = (struct bytes_memory){.base.ops = &bytes_ops};
    char line[256];
    while (fgets(line, sizeof(line), stream)) {
        unsigned byte;
        for (const char *at = line; line[0] != '#' && sscanf(at, "%2x", &byte) == 1; at += 2) {
            assert_true(memory->length < sizeof(memory->bytes));
            memory->bytes[memory->length++] = (uint8_t)byte;
        }
    }
    fclose(stream);
    assert_int_equal(memory->length, sizeof(memory->bytes));
}

static void put_u64(struct bytes_memory *memory, size_t at, uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        memory->bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static struct pyi_runtime runtime_of(const struct bytes_memory *memory)
{
    return (struct pyi_runtime){
        .address = TABLE_AT,
        .hexversion = pyi_load_u32(memory->bytes + 8),
        .free_threaded = memory->bytes[16] != 0,
        .debug_offsets = true,
    };
}

static int read_layout(struct bytes_memory *memory, const struct pyi_runtime *runtime,
                       const char *assume, struct pyi_layout *out, struct pyi_error *err)
{
    char source[128] = "";
    int code = pyi_layout_read(&memory->base, runtime, assume, out, source, err);
    if (code == 0)
        assert_true(strlen(source) > 10);
    return code;
}

/* ---- the rows ---- */

static void rows_are_sorted_and_apart(void **state)
{
    size_t count = 0;
    for (; pyi_layout_row_at(count); count++) {
        const struct pyi_layout *row = pyi_layout_row_at(count);
        assert_true(row->major == 3 || (row->major == 2 && row->minor == 7));
        assert_true(row->micro_first <= row->micro_last);
        if (count == 0)
            continue;
        const struct pyi_layout *before = pyi_layout_row_at(count - 1);
        bool next_flavour = row->free_threaded && !before->free_threaded;
        bool next_minor =
            row->free_threaded == before->free_threaded && minor_of(row) > minor_of(before);
        bool next_micro = row->free_threaded == before->free_threaded &&
                          minor_of(row) == minor_of(before) &&
                          row->micro_first > before->micro_last;
        assert_true(next_flavour || next_minor || next_micro);
    }
    assert_true(count >= 13);
    assert_null(pyi_layout_row_at(SIZE_MAX));
}

/* Every release is found in exactly the row that says it holds for it. */
static void rows_are_found_by_version(void **state)
{
    for (unsigned minor = 0; minor <= 20; minor++) {
        for (unsigned micro = 0; micro <= 255; micro++) {
            for (int free_threaded = 0; free_threaded <= 1; free_threaded++) {
                const struct pyi_layout *expected = NULL;
                for (size_t i = 0; pyi_layout_row_at(i); i++) {
                    const struct pyi_layout *row = pyi_layout_row_at(i);
                    if (minor_of(row) == minor && row->free_threaded == free_threaded &&
                        row->micro_first <= micro && micro <= row->micro_last)
                        expected = row;
                }
                assert_ptr_equal(pyi_layout_row(hex(minor, micro), free_threaded), expected);
            }
        }
    }
}

static void supported_releases_have_a_row(void **state)
{
    static const struct {
        unsigned minor, last;
    } known[] = {{6, 15},  {7, 17},  {8, 20},  {9, 25},  {10, 21},
                 {11, 16}, {12, 14}, {13, 18}, {14, 10}, {15, 2}};
    for (size_t i = 0; i < COUNT(known); i++) {
        for (unsigned micro = 0; micro <= known[i].last; micro++)
            assert_non_null(pyi_layout_row(hex(known[i].minor, micro), false));
        assert_null(pyi_layout_row(hex(known[i].minor, known[i].last + 1), false));
    }
    for (unsigned micro = 1; micro <= 18; micro++)
        assert_non_null(pyi_layout_row(hex(PYTHON_2, micro), false));
    assert_null(pyi_layout_row(hex(PYTHON_2, 0), false)); /* 2.7.0 was not compared */
}

/* Which minor versions have a field; a range that is not listed has none of it. */
static const struct era {
    const char *name;
    unsigned first, last;
} eras[] = {
    {"runtime_interpreters_head", PYTHON_2, 15},
    {"runtime_interpreters_main", 7, 15},
    {"runtime_finalizing", 7, 15},
    {"runtime_tstate_current", 7, 11},
    {"runtime_main_thread", 7, 15},
    {"runtime_initialized", 7, 15},
    {"runtime_gil_last_holder", 7, 11},
    {"runtime_gil_locked", 7, 11},
    {"runtime_gc_collecting", 7, 8},
    {"interp_next", PYTHON_2, 15},
    {"interp_id", 7, 15},
    {"interp_threads_head", PYTHON_2, 15},
    {"interp_modules", PYTHON_2, 15},
    {"interp_sysdict", PYTHON_2, 15},
    {"interp_finalizing", 8, 15},
    {"interp_finalizing_tstate", 12, 15},
    {"interp_gc_collecting", 9, 15},
    {"interp_gc_frame", 15, 15},
    {"interp_ceval_gil", 12, 15},
    {"interp_code_generation", 14, 15},
    {"tstate_size", PYTHON_2, 15},
    {"tstate_next", PYTHON_2, 15},
    {"tstate_interp", PYTHON_2, 15},
    {"tstate_frame", PYTHON_2, 10},
    {"tstate_cframe", 10, 12},
    {"tstate_current_frame", 13, 15},
    {"tstate_base_frame", 15, 15},
    {"tstate_status", 12, 15},
    {"tstate_holds_gil", 14, 15},
    {"tstate_gil_requested", 15, 15},
    {"tstate_state", 13, 15},
    {"tstate_thread_id", PYTHON_2, 15},
    {"tstate_native_thread_id", 11, 15},
    {"tstate_current_exception", PYTHON_2, 15},
    {"tstate_exc_info", 7, 15},
    {"tstate_datastack_chunk", 11, 15},
    {"tstate_datastack_top", 11, 15},
    {"tstate_datastack_limit", 11, 15},
    {"cframe_current_frame", 11, 12},
    {"frameobject_back", PYTHON_2, 15},
    {"frameobject_code", PYTHON_2, 10},
    {"frameobject_lasti", PYTHON_2, 10},
    {"frameobject_valuestack", PYTHON_2, 10},
    {"frameobject_stacktop", PYTHON_2, 9},
    {"frameobject_stackdepth", 10, 10},
    {"frameobject_executing", 6, 9},
    {"frameobject_state", 10, 10},
    {"frameobject_localsplus", PYTHON_2, 10},
    {"iframe_size", 11, 15},
    {"iframe_code", 11, 15},
    {"iframe_previous", 11, 15},
    {"iframe_instr", 11, 15},
    {"iframe_stacktop", 11, 15},
    {"iframe_is_entry", 11, 11},
    {"iframe_return_offset", 12, 15},
    {"iframe_owner", 11, 15},
    {"iframe_localsplus", 11, 15},
    {"chunk_previous", 11, 15},
    {"chunk_size_field", 11, 15},
    {"chunk_top", 11, 15},
    {"chunk_data", 11, 15},
    {"code_size", PYTHON_2, 15},
    {"code_argcount", PYTHON_2, 15},
    {"code_nlocals", PYTHON_2, 15},
    {"code_nlocalsplus", 11, 15},
    {"code_framesize", 12, 15},
    {"code_flags", PYTHON_2, 15},
    {"code_firstlineno", PYTHON_2, 15},
    {"code_code", PYTHON_2, 10},
    {"code_varnames", PYTHON_2, 10},
    {"code_cellvars", PYTHON_2, 10},
    {"code_freevars", PYTHON_2, 10},
    {"code_localsplusnames", 11, 15},
    {"code_localspluskinds", 11, 15},
    {"code_filename", PYTHON_2, 15},
    {"code_name", PYTHON_2, 15},
    {"code_qualname", 11, 15},
    {"code_linetable", PYTHON_2, 15},
    {"code_firsttraceable", 11, 15},
    {"code_adaptive", 11, 15},
    {"ascii_size", 6, 15},
    {"ascii_length", 6, 15},
    {"ascii_state", 6, 15},
    {"compact_size", 6, 15},
    {"unicode_data", 6, 15},
    {"ascii_wstr", 6, 11},
    {"compact_wstr_length", 6, 11},
    {"bytes_data", PYTHON_2, 15},
    {"object_type", PYTHON_2, 15},
    {"var_size", PYTHON_2, 15},
    {"long_tag", PYTHON_2, 15},
    {"long_digits", PYTHON_2, 15},
    {"tuple_items", PYTHON_2, 15},
    {"list_items", PYTHON_2, 15},
    {"dict_used", PYTHON_2, 15},
    {"dict_keys", 6, 15},
    {"dict_values", 6, 15},
    {"keys_size", 6, 10},
    {"keys_log2_size", 11, 15},
    {"keys_log2_index_bytes", 11, 15},
    {"keys_kind", 11, 15},
    {"keys_nentries", 6, 15},
    {"keys_indices", 6, 15},
    {"dict_mask", PYTHON_2, PYTHON_2},
    {"dict_table", PYTHON_2, PYTHON_2},
    {"unicode_length", PYTHON_2, PYTHON_2},
    {"unicode_str", PYTHON_2, PYTHON_2},
    {"int_value", PYTHON_2, PYTHON_2},
    {"instance_class", PYTHON_2, PYTHON_2},
    {"oldclass_name", PYTHON_2, PYTHON_2},
    {"tstate_id", 7, 15},
    {"code_stacksize", PYTHON_2, 15},
    {"code_version", 12, 15},
    {"code_exceptiontable", 11, 15},
    {"code_monitoring", 12, 15},
    {"code_executors", 13, 15},
    {"monitoring_lines", 12, 15},
    {"executors_items", 13, 15},
    {"executor_vm_data", 13, 15},
    {"heaptype_qualname", 6, 15},
    {"cfunction_ml", PYTHON_2, 15},
    {"descr_type", PYTHON_2, 15},
    {"methoddescr_method", PYTHON_2, 15},
    {"values_values", 11, 15},
    {"values_valid", 13, 15},
    {"type_name", PYTHON_2, 15},
    {"type_basicsize", PYTHON_2, 15},
    {"type_flags", PYTHON_2, 15},
    {"type_dictoffset", PYTHON_2, 15},
    {"heaptype_cached_keys", 6, 15},
    {"gen_name", 6, 15},
    {"gen_iframe", 11, 15},
    {"gen_frame_state", 11, 15},
    {"cell_ref", PYTHON_2, 15},
    {"module_dict", PYTHON_2, 15},
    {"gil_last_holder", 7, 15},
    {"gil_locked", 7, 15},
};

static void rows_have_what_their_version_has(void **state)
{
    /* What the target's own table supplies may be missing from a row of 3.13 and later. */
    static const char *const from_table[] = {"tstate_size", "interp_sysdict", "interp_modules",
                                             "interp_code_generation"};
    for (size_t i = 0; pyi_layout_row_at(i); i++) {
        const struct pyi_layout *row = pyi_layout_row_at(i);
        for (size_t j = 0; j < COUNT(eras); j++) {
            bool expected = eras[j].first <= minor_of(row) && minor_of(row) <= eras[j].last;
            bool present = value_of(row, eras[j].name) != PYI_NO_FIELD;
            bool supplied = false;
            for (size_t k = 0; k < COUNT(from_table); k++)
                supplied |= row->free_threaded && strcmp(eras[j].name, from_table[k]) == 0;
            if (present != expected && !(expected && supplied))
                fail_msg("%u.%u.%u: %s is %s", row->major, row->minor, row->micro_first,
                         eras[j].name, present ? "there" : "missing");
        }
    }
}

/* Members lie inside their structure, which the row states the size of. */
static void rows_keep_members_inside(void **state)
{
    static const struct {
        const char *prefix, *size;
    } structures[] = {
        {"runtime_", "runtime_size"}, {"interp_", "interp_size"}, {"tstate_", "tstate_size"},
        {"iframe_", "iframe_size"},   {"object_", "object_size"}, {"ascii_", "ascii_size"},
        {"code_", "code_size"},
    };
    for (size_t i = 0; pyi_layout_row_at(i); i++) {
        const struct pyi_layout *row = pyi_layout_row_at(i);
        for (size_t j = 0; j < COUNT(fields); j++) {
            for (size_t k = 0; k < COUNT(structures); k++) {
                uint32_t size = value_of(row, structures[k].size), value = value_at(row, j);
                if (strncmp(fields[j].name, structures[k].prefix, strlen(structures[k].prefix)) ||
                    strcmp(fields[j].name, structures[k].size) == 0 || value == PYI_NO_FIELD ||
                    size == PYI_NO_FIELD)
                    continue;
                if (value >= size)
                    fail_msg("%u.%u.%u: %s is %u of %u", row->major, row->minor, row->micro_first,
                             fields[j].name, value, size);
            }
        }
    }
}

/* Facts known from elsewhere: the displacement in PyInterpreterState_Head's machine code (the
 * interpreter list), sys.getsizeof(""), tuple.__basicsize__ and the like of running builds. */
static const struct fact {
    unsigned minor, micro;
    const char *name;
    uint32_t value;
} facts[] = {
    {PYTHON_2, 18, "runtime_interpreters_head", 0},
    {PYTHON_2, 18, "bytes_data", 36}, /* sys.getsizeof("") - 1 */
    {PYTHON_2, 18, "frameobject_lasti", 120},
    {PYTHON_2, 18, "tstate_thread_id", 144},
    {6, 15, "runtime_interpreters_head", 0},
    {6, 15, "frameobject_executing", 132},
    {6, 15, "keys_indices", 40},
    {7, 0, "runtime_interpreters_head", 24},
    {7, 16, "runtime_interpreters_head", 24},
    /* What moved in patch releases: 3.7.4 by 88, and below 3.12.1, 3.13.13, 3.14.4, 3.14.5. */
    {7, 3, "runtime_tstate_current", 1392},
    {7, 4, "runtime_tstate_current", 1480},
    {7, 3, "runtime_gil_last_holder", 1184},
    {7, 4, "runtime_gil_last_holder", 1272},
    {7, 3, "runtime_gil_locked", 1192},
    {7, 4, "runtime_gil_locked", 1280},
    {7, 3, "runtime_gc_collecting", 544},
    {7, 4, "runtime_gc_collecting", 632},
    {7, 3, "runtime_finalizing", 8},
    {7, 4, "runtime_finalizing", 8},
    {8, 18, "runtime_interpreters_head", 32},
    {9, 2, "runtime_interpreters_head", 32},
    {10, 13, "runtime_interpreters_head", 32},
    {11, 2, "runtime_interpreters_head", 40},
    {12, 1, "runtime_interpreters_head", 40},
    {13, 0, "runtime_interpreters_head", 632},
    {14, 10, "runtime_interpreters_head", 808},
    {15, 2, "runtime_interpreters_head", 936},
    {8, 18, "runtime_tstate_current", 1368},
    {11, 7, "runtime_tstate_current", 576},
    {8, 18, "frameobject_lasti", 104},
    {10, 13, "frameobject_lasti", 96},
    {11, 7, "cframe_current_frame", 8},
    {12, 1, "cframe_current_frame", 0},
    {11, 7, "iframe_code", 32},
    {12, 1, "iframe_code", 0},
    {11, 7, "iframe_owner", 69},
    {13, 5, "iframe_owner", 70},
    {14, 10, "iframe_owner", 74},
    {11, 7, "code_adaptive", 184},
    {12, 1, "code_adaptive", 192},
    {13, 18, "code_adaptive", 200},
    {15, 2, "code_adaptive", 208},
    {11, 7, "ascii_size", 48},
    {12, 1, "ascii_size", 40},
    {13, 0, "tuple_items", 24},
    {14, 0, "tuple_items", 32},
    {12, 1, "values_values", 0},
    {13, 0, "values_values", 8},
    {13, 12, "tstate_size", 304},
    {13, 13, "tstate_size", 312},
    {14, 3, "tstate_size", 824},
    {14, 4, "tstate_size", 832},
    {14, 4, "interp_sysdict", 7648},
    {14, 5, "interp_sysdict", 7672},
    {14, 4, "interp_code_generation", 7968},
    {14, 5, "interp_code_generation", 7992},
    {9, 18, "heaptype_cached_keys", 864},
    {12, 1, "heaptype_cached_keys", 880},
    {12, 0, "interp_threads_main", PYI_NO_FIELD},
    {12, 1, "interp_threads_main", 383248},
    {14, 10, "tstate_state", 44},
    {15, 2, "tstate_state", 48},
};

static void rows_agree_with_known_facts(void **state)
{
    for (size_t i = 0; i < COUNT(facts); i++) {
        const struct pyi_layout *row = pyi_layout_row(hex(facts[i].minor, facts[i].micro), false);
        assert_non_null(row);
        uint32_t value = value_of(row, facts[i].name);
        if (value != facts[i].value)
            fail_msg("3.%u.%u: %s is %u, expected %u", facts[i].minor, facts[i].micro,
                     facts[i].name, value, facts[i].value);
    }
    const struct pyi_layout *free_threaded = pyi_layout_row(hex(14, 7), true);
    assert_int_equal(free_threaded->object_type, 24);
    assert_int_equal(free_threaded->iframe_tlbc_index, 72);
    assert_int_equal(free_threaded->object_refcnt, PYI_NO_FIELD);
}

/* ---- refusals ---- */

static void unknown_versions_are_refused_by_name(void **state)
{
    static const struct {
        uint32_t hexversion;
        const char *named, *slug;
    } cases[] = {
        {0x03050af0, "Python 3.5.10 ", "version-old"},
        {0x030000f0, "Python 3.0.0 ", "version-old"},
        {0x020700f0, "Python 2.7.0 ", "version-old"},
        {0x020609f0, "Python 2.6.9 ", "version-old"},
        {0x031000f0, "Python 3.16.0 ", "version-new"},
        {0x031000a1, "Python 3.16.0a1 ", "version-new"},
        {0x030c63f0, "Python 3.12.99 ", "version-new"},
        {0x030815f0, "Python 3.8.21 ", "version-new"},
        {0x030c00c2, "Python 3.12.0rc2 ", "version-new"},
        {0xffffffff, "Python 255.255.255", "version-new"},
        {0xdeadbeef, "Python 222.173.190", "version-new"},
        {0, "Python 0.0.0", "version-old"},
    };
    struct bytes_memory memory = {.base.ops = &bytes_ops};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pyi_runtime runtime = {.address = TABLE_AT, .hexversion = cases[i].hexversion};
        struct pyi_layout layout;
        memset(&layout, 0x55, sizeof(layout));
        struct pyi_layout before = layout;
        struct pyi_error err = {0};
        int code = read_layout(&memory, &runtime, NULL, &layout, &err);
        assert_int_equal(code, PYI_E_VERSION);
        assert_non_null(strstr(err.message, cases[i].named));
        assert_string_equal(err.slug, cases[i].slug);
        assert_memory_equal(&layout, &before, sizeof(layout));
        assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, NULL), PYI_E_VERSION);
    }
}

/* PyType_Type's type pointer stands 16 bytes later when objects carry the tracing links. */
static void reference_tracing_is_refused(void **state)
{
    struct bytes_memory memory = {.base.ops = &bytes_ops, .length = 64};
    struct pyi_runtime runtime = {.hexversion = 0x030912f0, .type_type = TABLE_AT};
    struct pyi_layout layout;
    struct pyi_error err = {0};
    put_u64(&memory, 8, TABLE_AT);
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), 0);
    put_u64(&memory, 8, 1);
    put_u64(&memory, 24, TABLE_AT);
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_VERSION);
    assert_non_null(strstr(err.message, "reference tracing"));
    memory.length = 4; /* not readable: not a reason to refuse */
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), 0);
}

static void assumed_version_is_used(void **state)
{
    struct bytes_memory memory = {.base.ops = &bytes_ops};
    struct pyi_layout layout;
    struct pyi_error err = {0};
    struct pyi_runtime runtime = {.address = TABLE_AT, .hexversion = 0x030c63f0};
    assert_int_equal(read_layout(&memory, &runtime, "3.12", &layout, &err), 0);
    assert_int_equal(layout.code_adaptive, 192);
    assert_int_equal(layout.micro_last, 14);
    assert_int_equal(read_layout(&memory, &runtime, "3.8", &layout, &err), 0);
    assert_int_equal(layout.minor, 8);
    assert_int_equal(read_layout(&memory, &runtime, "3.5", &layout, &err), PYI_E_VERSION);
    assert_int_equal(read_layout(&memory, &runtime, "2.7", &layout, &err), 0);
    assert_int_equal(layout.major, 2);
    static const char *const bad[] = {"", "3", "3.", "3.x", "4.1", "3.12.1", "3.-1", "3.999"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(read_layout(&memory, &runtime, bad[i], &layout, &err), PYI_E_INVALID);

    /* A 3.16 that publishes the table of 3.15. */
    load_table(&memory, "3.15");
    put_u64(&memory, 8, 0x031000a1);
    runtime = runtime_of(&memory);
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_VERSION);
    assert_int_equal(read_layout(&memory, &runtime, "3.15", &layout, &err), 0);
    assert_int_equal(layout.tstate_base_frame, 80);
}

/* ---- the target's own table ---- */

static const char *const recorded[] = {"3.13.0", "3.13", "3.14", "3.15", "3.13t", "3.14t", "3.15t"};

/* The table and the row were made independently: what is in both must be equal. */
static void recorded_tables_agree_with_rows(void **state)
{
    for (size_t i = 0; i < COUNT(recorded); i++) {
        struct bytes_memory memory;
        load_table(&memory, recorded[i]);
        struct pyi_runtime runtime = runtime_of(&memory);
        struct pyi_layout layout;
        struct pyi_error err = {0};
        int code = read_layout(&memory, &runtime, NULL, &layout, &err);
        if (code != 0)
            fail_msg("%s: %s %s", recorded[i], err.message, err.why);
        const struct pyi_layout *row = pyi_layout_row(runtime.hexversion, runtime.free_threaded);
        assert_non_null(row);
        for (size_t j = 0; j < COUNT(fields); j++) {
            uint32_t known = value_at(row, j), said = value_at(&layout, j);
            if (known != PYI_NO_FIELD && said != known)
                fail_msg("%s: %s is %u, the row says %u", recorded[i], fields[j].name, said, known);
        }
        assert_int_not_equal(layout.interp_size, PYI_NO_FIELD);
        assert_int_not_equal(layout.interp_threads_main, PYI_NO_FIELD);
    }
}

/* Values of one table, slot by slot as they were read by another program. */
static void recorded_table_is_decoded(void **state)
{
    struct bytes_memory memory;
    struct pyi_debug_offsets table;
    struct pyi_error err = {0};
    load_table(&memory, "3.15");
    assert_int_equal(pyi_debug_offsets_decode(memory.bytes, memory.length, 15, &table, &err), 0);
    assert_int_equal(table.size, 888);
    assert_false(table.early_thread_state);
    assert_int_equal(table.layout.runtime_size, 346568);
    assert_int_equal(table.layout.interp_size, 226240);
    assert_int_equal(table.layout.interp_gc_collecting, 7512);
    assert_int_equal(table.layout.interp_gc_frame, 7520);
    assert_int_equal(table.layout.tstate_native_thread_id, 184);
    assert_int_equal(table.layout.tstate_datastack_top, 264);
    assert_int_equal(table.layout.compact_size, 56);
    assert_int_equal(table.layout.gil_locked, 16);
    assert_int_equal(table.layout.iframe_tlbc_index, PYI_NO_FIELD);
    assert_int_equal(table.layout.code_nlocals, PYI_NO_FIELD);
    load_table(&memory, "3.13.0");
    assert_int_equal(pyi_debug_offsets_length(13), 584);
    assert_int_equal(pyi_debug_offsets_decode(memory.bytes, 584, 13, &table, &err), 0);
    assert_int_equal(table.layout.tstate_size, 304);
    assert_int_equal(table.layout.interp_threads_main, 7352);
    assert_int_equal(pyi_debug_offsets_decode(memory.bytes, 583, 13, &table, &err), PYI_E_FORMAT);
    assert_int_equal(pyi_debug_offsets_length(12), 0);
    assert_int_equal(pyi_debug_offsets_length(16), 0);
}

/* A table read with the slots of another minor version does not pass for one. */
static void tables_of_other_versions_do_not_fit(void **state)
{
    static const char *const names[] = {"3.13", "3.14", "3.15"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct bytes_memory memory;
        load_table(&memory, names[i]);
        for (unsigned minor = 13; minor <= 15; minor++) {
            struct pyi_debug_offsets table;
            int code = pyi_debug_offsets_decode(memory.bytes, pyi_debug_offsets_length(minor),
                                                minor, &table, NULL);
            assert_int_equal(code, minor == 13 + i ? 0 : PYI_E_FORMAT);
        }
    }
}

/* 3.15 beta 1: no last_profiled_frame_seq, neither its slot nor the member. */
static void early_table_of_3_15_is_recognised(void **state)
{
    struct bytes_memory memory;
    load_table(&memory, "3.15");
    memmove(memory.bytes + 232, memory.bytes + 240, 888 - 240);
    put_u64(&memory, 8, 0x030f00b1);
    static const size_t behind[] = {232, 240, 248, 280, 288}; /* thread_id .. exc_state */
    put_u64(&memory, 176, pyi_load_u64(memory.bytes + 176) - 8);
    for (size_t i = 0; i < COUNT(behind); i++)
        put_u64(&memory, behind[i], pyi_load_u64(memory.bytes + behind[i]) - 8);
    struct pyi_runtime runtime = runtime_of(&memory);
    struct pyi_layout layout;
    struct pyi_error err = {0};
    int code = read_layout(&memory, &runtime, NULL, &layout, &err);
    if (code != 0)
        fail_msg("%s %s", err.message, err.why);
    assert_int_equal(layout.tstate_thread_id, 168);
    assert_int_equal(layout.tstate_exc_info, 136);
    assert_int_equal(layout.tstate_datastack_top, 256);
    assert_int_equal(layout.tstate_state, 48);
    assert_int_equal(layout.code_adaptive, 208);
}

/* A micro release newer than every row is read with its own table, as long as what the table
 * and the row both know is equal. */
static void newer_micro_releases_of_known_shape_are_read(void **state)
{
    struct bytes_memory memory;
    struct pyi_layout layout;
    struct pyi_error err = {0};
    load_table(&memory, "3.14");
    put_u64(&memory, 8, 0x030e63f0);
    put_u64(&memory, 104, 7664); /* sysdict */
    put_u64(&memory, 176, 840);  /* a thread state that grew at its end */
    struct pyi_runtime runtime = runtime_of(&memory);
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), 0);
    assert_int_equal(layout.interp_sysdict, 7664);
    assert_int_equal(layout.tstate_size, 840);
    assert_int_equal(layout.tstate_state, 44);

    put_u64(&memory, 352, 72); /* co_firstlineno */
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_VERSION);
    assert_string_equal(err.slug, "version-new");
    assert_non_null(strstr(err.message, "Python 3.14.99 "));
    assert_non_null(strstr(err.why, "code_object.firstlineno"));
}

static void contradictions_are_refused(void **state)
{
    struct bytes_memory memory;
    struct pyi_layout layout;
    struct pyi_error err = {0};
    load_table(&memory, "3.14");
    struct pyi_runtime runtime = runtime_of(&memory);
    runtime.hexversion = 0x030e09f0; /* the symbol Py_Version says something else */
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FORMAT);
    runtime.hexversion = 0; /* not known from elsewhere: the table's word counts */
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), 0);
    runtime = runtime_of(&memory);
    runtime.free_threaded = true;
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FORMAT);
    runtime = runtime_of(&memory);
    runtime.debug_offsets = false;
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FORMAT);
    runtime = runtime_of(&memory);
    memory.length = 500;
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FAULT);
    memory.length = 10;
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FAULT);
    load_table(&memory, "3.14");
    memory.bytes[0] = 'X';
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FORMAT);
    memset(memory.bytes + 8, 0xff, sizeof(memory.bytes) - 8);
    memory.bytes[0] = 'x';
    assert_int_equal(read_layout(&memory, &runtime, NULL, &layout, &err), PYI_E_FORMAT);
}

/* Every word of every table replaced: refused, or the answer stays inside the structures. What
 * the row of that very release knows about objects cannot change at all. */
static void corrupt_words_are_refused_or_harmless(void **state)
{
    static const uint64_t values[] = {0,         UINT64_MAX,         1, 3, 1u << 20, 1ull << 32,
                                      INT64_MAX, 0x8000000000000000, 72};
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(recorded); i++) {
        struct bytes_memory memory;
        load_table(&memory, recorded[i]);
        struct pyi_runtime runtime = runtime_of(&memory);
        struct pyi_layout good, layout;
        assert_int_equal(read_layout(&memory, &runtime, NULL, &good, NULL), 0);
        for (size_t at = 0; at < sizeof(memory.bytes); at += 8) {
            uint64_t original = pyi_load_u64(memory.bytes + at);
            for (size_t j = 0; j < COUNT(values); j++) {
                put_u64(&memory, at, values[j]);
                int code = read_layout(&memory, &runtime, NULL, &layout, NULL);
                if (code != 0) {
                    assert_true(code == PYI_E_FORMAT || code == PYI_E_VERSION);
                    refused++;
                    continue;
                }
                assert_memory_equal((char *)&layout + offsetof(struct pyi_layout, iframe_size),
                                    (char *)&good + offsetof(struct pyi_layout, iframe_size),
                                    offsetof(struct pyi_layout, gil_last_holder) -
                                        offsetof(struct pyi_layout, iframe_size));
                assert_true(layout.interp_next + 8 <= layout.interp_size);
                assert_true(layout.interp_gc_collecting + 4 <= layout.interp_size);
                assert_true(layout.tstate_datastack_limit + 8 <= layout.tstate_size);
                assert_true(layout.runtime_interpreters_main + 8 <= layout.runtime_size);
                assert_true(layout.gil_locked <= 64 && layout.gil_last_holder <= 64);
            }
            put_u64(&memory, at, original);
        }
    }
    assert_true(refused > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_apart),
        cmocka_unit_test(rows_are_found_by_version),
        cmocka_unit_test(supported_releases_have_a_row),
        cmocka_unit_test(rows_have_what_their_version_has),
        cmocka_unit_test(rows_keep_members_inside),
        cmocka_unit_test(rows_agree_with_known_facts),
        cmocka_unit_test(unknown_versions_are_refused_by_name),
        cmocka_unit_test(reference_tracing_is_refused),
        cmocka_unit_test(assumed_version_is_used),
        cmocka_unit_test(recorded_tables_agree_with_rows),
        cmocka_unit_test(recorded_table_is_decoded),
        cmocka_unit_test(tables_of_other_versions_do_not_fit),
        cmocka_unit_test(early_table_of_3_15_is_recognised),
        cmocka_unit_test(newer_micro_releases_of_known_shape_are_read),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(corrupt_words_are_refused_or_harmless),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
