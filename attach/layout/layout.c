/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout.c - which offsets hold for the interpreter at hand.
 *
 * Comes in: the runtime's address, version word and build flavour. Goes out: one filled
 * struct pyi_layout and a line on where it came from. Must not know: how the offsets are used.
 * Up to 3.12 a generated row answers alone; from 3.13 on the table at the start of _PyRuntime
 * (3.13, pycore_debug_offsets.h) overrides the row, which then only supplies what it lacks.
 */
#include "attach/layout/layout.h"
#include "attach/layout/debug_offsets.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

static const struct pyi_layout layout_rows[] = {
#include "attach/layout/layout_table.inc"
};

#define ROW_COUNT (sizeof(layout_rows) / sizeof(layout_rows[0]))

/* PY_VERSION_HEX, 3.x patchlevel.h: major, minor, micro, level (0xA alpha .. 0xF final) and
 * serial, from the high byte down. */
struct version {
    uint32_t hex;
    unsigned major, minor, micro, level, serial;
};

static struct version version_of(uint32_t hexversion)
{
    return (struct version){
        .hex = hexversion,
        .major = hexversion >> 24,
        .minor = hexversion >> 16 & 0xff,
        .micro = hexversion >> 8 & 0xff,
        .level = hexversion >> 4 & 0xf,
        .serial = hexversion & 0xf,
    };
}

#define VERSION_TEXT 32

static void version_text(struct version version, bool free_threaded, char out[VERSION_TEXT])
{
    static const char *const levels[16] = {[0xa] = "a", [0xb] = "b", [0xc] = "rc"};
    char suffix[8] = "";
    if (version.level != 0xf) {
        const char *level = levels[version.level] ? levels[version.level] : "?";
        snprintf(suffix, sizeof(suffix), "%s%u", level, version.serial);
    }
    snprintf(out, VERSION_TEXT, "%u.%u.%u%s%s", version.major, version.minor, version.micro, suffix,
             free_threaded ? "t" : "");
}

const struct pyi_layout *pyi_layout_row_at(size_t index)
{
    return index < ROW_COUNT ? &layout_rows[index] : NULL;
}

const struct pyi_layout *pyi_layout_row(uint32_t hexversion, bool free_threaded)
{
    struct version version = version_of(hexversion);
    /* Rows were measured on final releases; an alpha or a candidate may differ from them. */
    if (version.level != 0xf)
        return NULL;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct pyi_layout *row = &layout_rows[i];
        if (row->major == version.major && row->minor == version.minor &&
            row->free_threaded == free_threaded && row->micro_first <= version.micro &&
            version.micro <= row->micro_last)
            return row;
    }
    return NULL;
}

/* ---- refusals ---- */

/* Lowest and highest minor version of Python 3 that has a row, and the micro releases of one minor
 * version of any. */
struct coverage {
    unsigned minor_first, minor_last;
    const struct pyi_layout *oldest, *newest; /* of the minor asked for, NULL: none */
};

static struct coverage coverage_of(unsigned major, unsigned minor, bool free_threaded)
{
    struct coverage found = {.minor_first = UINT8_MAX};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct pyi_layout *row = &layout_rows[i];
        if (row->major == 3 && row->minor < found.minor_first)
            found.minor_first = row->minor;
        if (row->major == 3 && row->minor > found.minor_last)
            found.minor_last = row->minor;
        if (row->major != major || row->minor != minor || row->free_threaded != free_threaded)
            continue;
        if (!found.oldest || row->micro_first < found.oldest->micro_first)
            found.oldest = row;
        if (!found.newest || row->micro_last > found.newest->micro_last)
            found.newest = row;
    }
    return found;
}

/* PYI_E_VERSION with the version named. */
static int refuse(struct version version, bool free_threaded, struct pyi_error *err)
{
    char text[VERSION_TEXT];
    version_text(version, free_threaded, text);
    struct coverage known = coverage_of(version.major, version.minor, free_threaded);
    bool old = version.major < 3 || (version.major == 3 && version.minor < known.minor_first);
    if (!known.newest)
        pyi_error_set(err, PYI_E_VERSION, "Python %s is not supported; 2.7 and 3.%u to 3.%u are",
                      text, known.minor_first, known.minor_last);
    else
        pyi_error_set(
            err, PYI_E_VERSION, "Python %s is not supported; of %u.%u, %u.%u.%u to %u.%u.%u are",
            text, version.major, version.minor, version.major, version.minor,
            known.oldest->micro_first, version.major, version.minor, known.newest->micro_last);
    if (version.level != 0xf && known.newest)
        pyi_error_why(err, "it is a pre-release, and only final releases were measured");
    pyi_error_slug(err, old ? "version-old" : "version-new");
    return PYI_E_VERSION;
}

/* ---- which version to go by ---- */

/* "X.Y", of Python 3 or 2.7. */
static int parse_assumed(const char *assume, unsigned *major, unsigned *minor,
                         struct pyi_error *err)
{
    char *end = NULL;
    unsigned long value = 0;
    if (strncmp(assume, "3.", 2) == 0 && assume[2] >= '0' && assume[2] <= '9')
        value = strtoul(assume + 2, &end, 10);
    bool two = strcmp(assume, "2.7") == 0;
    if (!two && (!end || *end != '\0' || value > UINT8_MAX))
        return pyi_error_set(err, PYI_E_INVALID, "the version to assume must be 3.N or 2.7");
    *major = two ? 2 : 3;
    *minor = two ? 7 : (unsigned)value;
    return 0;
}

/* The row that stands in for a version without one of its own: the same micro release of a
 * pre-release, else the newest of the minor version. */
static const struct pyi_layout *stand_in(struct version version, bool free_threaded)
{
    const struct pyi_layout *row = pyi_layout_row((version.hex & ~0xffu) | 0xf0, free_threaded);
    return row ? row : coverage_of(version.major, version.minor, free_threaded).newest;
}

static void describe(const struct pyi_layout *row, const char *table, bool exact, char source[128])
{
    char micro[24];
    snprintf(micro, sizeof(micro), "%u.%u.%u", row->major, row->minor, row->micro_first);
    snprintf(source, 128, "%s%sbuilt-in row %s%s-%u.%u.%u%s%s", table, *table ? " + " : "", micro,
             row->free_threaded ? "t" : "", row->major, row->minor, row->micro_last,
             row->free_threaded ? "t" : "", exact ? "" : " (standing in)");
}

/* ---- the target's own table ---- */

/* A 3.15 beta before the fourth: what follows last_profiled_frame_seq is 8 lower. */
static void shift_early_thread_state(struct pyi_layout *row)
{
    uint32_t *const behind[] = {
        &row->tstate_thread_id,       &row->tstate_native_thread_id, &row->tstate_current_exception,
        &row->tstate_exc_info,        &row->tstate_datastack_chunk,  &row->tstate_datastack_top,
        &row->tstate_datastack_limit,
    };
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++)
        *behind[i] -= 8;
}

static int read_table(struct pyi_memory *memory, const struct pyi_runtime *runtime, unsigned minor,
                      struct pyi_debug_offsets *out, struct pyi_error *err)
{
    uint8_t table[PYI_DEBUG_OFFSETS_MAX];
    size_t length = pyi_debug_offsets_length(minor);
    int code = pyi_memory_read(memory, runtime->address, table, length, err);
    if (code != 0)
        return pyi_error_prefix(err, code, "debug offsets");
    return pyi_debug_offsets_decode(table, length, minor, out, err);
}

/* What the target is, and what its offsets are taken from: the same unless the user assumes. */
struct decision {
    struct version actual, used;
};

/* 3.13 and later: the table decides, the row supplies what it lacks. */
static int read_debug_offsets(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                              const struct decision *decision, struct pyi_layout *out,
                              char source[128], struct pyi_error *err)
{
    bool free_threaded = runtime->free_threaded;
    const struct pyi_layout *exact = pyi_layout_row(decision->used.hex, free_threaded);
    const struct pyi_layout *row = exact ? exact : stand_in(decision->used, free_threaded);
    if (!row)
        return refuse(decision->actual, free_threaded, err);
    struct pyi_debug_offsets table;
    struct pyi_error reason = {0};
    int code = read_table(memory, runtime, decision->used.minor, &table, &reason);
    if (code == PYI_E_FORMAT && !exact) {
        refuse(decision->actual, free_threaded, err);
        pyi_error_why(err, "%s", reason.message);
        return PYI_E_VERSION;
    }
    if (code != 0) {
        if (err)
            *err = reason;
        return code;
    }
    struct pyi_layout layout = *row;
    if (table.early_thread_state)
        shift_early_thread_state(&layout);
    const char *conflict = pyi_debug_offsets_conflict(&table, &layout);
    if (conflict && exact)
        return pyi_error_set(err, PYI_E_FORMAT,
                             "debug offsets: %s is not where this release has it", conflict);
    if (conflict) {
        refuse(decision->actual, free_threaded, err);
        pyi_error_why(err, "its %s is not where the nearest known release has it", conflict);
        return PYI_E_VERSION;
    }
    pyi_debug_offsets_overlay(&table, &layout);
    char shape[48];
    snprintf(shape, sizeof(shape), "debug offsets 3.%u (%u bytes)", decision->used.minor,
             table.size);
    describe(row, shape, exact != NULL, source);
    *out = layout;
    return 0;
}

/* The version word of the target's own table, which must agree with what is known already. */
static int read_table_version(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                              uint32_t *hexversion, struct pyi_error *err)
{
    uint8_t head[PYI_DEBUG_OFFSETS_HEAD];
    uint32_t said = 0;
    bool free_threaded = false;
    int code = pyi_memory_read(memory, runtime->address, head, sizeof(head), err);
    if (code != 0)
        return pyi_error_prefix(err, code, "debug offsets");
    code = pyi_debug_offsets_head(head, &said, &free_threaded, err);
    if (code != 0)
        return code;
    if (free_threaded != runtime->free_threaded || (*hexversion != 0 && *hexversion != said))
        return pyi_error_set(
            err, PYI_E_FORMAT, "debug offsets: version %#x%s, but the runtime is %#x%s", said,
            free_threaded ? "t" : "", *hexversion, runtime->free_threaded ? "t" : "");
    *hexversion = said;
    return 0;
}

static int decide_version(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                          const char *assume, struct decision *out, struct pyi_error *err)
{
    uint32_t hexversion = runtime->hexversion;
    int code = 0;
    if (runtime->debug_offsets)
        code = read_table_version(memory, runtime, &hexversion, err);
    if (code != 0)
        return code;
    out->actual = out->used = version_of(hexversion);
    if (!assume)
        return 0;
    unsigned major = 0, minor = 0;
    code = parse_assumed(assume, &major, &minor, err);
    if (code != 0)
        return code;
    if (out->actual.major != major || out->actual.minor != minor) /* its newest row */
        out->used = version_of(major << 24 | minor << 16 | 0xfff0);
    return 0;
}

/* Builds with reference tracing (debug builds up to 3.7, later a switch) have two links in front of
 * every object up to 3.12 (object.h,
 * _PyObject_HEAD_EXTRA). PyType_Type is its own type: where it says so tells the header's size. */
static int refuse_reference_tracing(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                                    const struct pyi_layout *row, struct pyi_error *err)
{
    uint8_t head[32];
    if (runtime->type_type == 0 ||
        pyi_memory_read(memory, runtime->type_type, head, sizeof(head), NULL) != 0)
        return 0; /* nothing to go by; every later read checks for itself */
    if (pyi_load_u64(head + row->object_type) == runtime->type_type ||
        pyi_load_u64(head + row->object_type + 16) != runtime->type_type)
        return 0;
    return pyi_error_set(err, PYI_E_VERSION,
                         "a Python %u.%u built with reference tracing is not supported", row->major,
                         row->minor);
}

int pyi_layout_read(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                    const char *assume, struct pyi_layout *out, char source[128],
                    struct pyi_error *err)
{
    struct decision decision;
    int code = decide_version(memory, runtime, assume, &decision, err);
    if (code != 0)
        return code;
    if (decision.used.major == 3 && pyi_debug_offsets_length(decision.used.minor) != 0) {
        if (!runtime->debug_offsets)
            return pyi_error_set(err, PYI_E_FORMAT, "Python 3.%u without debug offsets",
                                 decision.used.minor);
        return read_debug_offsets(memory, runtime, &decision, out, source, err);
    }
    const struct pyi_layout *exact = pyi_layout_row(decision.used.hex, runtime->free_threaded);
    const struct pyi_layout *row = exact;
    if (!row && assume)
        row = stand_in(decision.used, runtime->free_threaded);
    if (!row)
        return refuse(decision.actual, runtime->free_threaded, err);
    code = refuse_reference_tracing(memory, runtime, row, err);
    if (code != 0)
        return code;
    *out = *row;
    describe(row, "", exact != NULL, source);
    return 0;
}
