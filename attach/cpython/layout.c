/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout.c - which offsets hold for the interpreter at hand.
 *
 * Comes in: the runtime's address, version word and build flavour. Goes out: one filled
 * struct pyi_layout and a line on where it came from. Must not know: how the offsets are used.
 * Up to 3.12 a generated row answers alone; from 3.13 on the table at the start of _PyRuntime
 * (3.13, pycore_debug_offsets.h) overrides the row, which then only supplies what it lacks.
 */
#include "attach/cpython/layout.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

static const struct pyi_layout layout_rows[] = {
#include "attach/cpython/layout_table.inc"
};

#define ROW_COUNT (sizeof(layout_rows) / sizeof(layout_rows[0]))

/* PY_VERSION_HEX, 3.x patchlevel.h: major, minor, micro, level (0xA alpha .. 0xF final) and
 * serial, from the high byte down. */
struct version {
    unsigned major, minor, micro, level, serial;
};

static struct version version_of(uint32_t hexversion)
{
    return (struct version){
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

int pyi_layout_read(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                    const char *assume, struct pyi_layout *out, char source[128],
                    struct pyi_error *err)
{
    const struct pyi_layout *row = pyi_layout_row(runtime->hexversion, runtime->free_threaded);
    if (!row) {
        char text[VERSION_TEXT];
        version_text(version_of(runtime->hexversion), runtime->free_threaded, text);
        pyi_error_set(err, PYI_E_VERSION, "Python %s is not supported", text);
        pyi_error_slug(err, "version-new");
        return PYI_E_VERSION;
    }
    *out = *row;
    snprintf(source, 128, "built-in row %u.%u.%u-%u.%u.%u", row->major, row->minor,
             row->micro_first, row->major, row->minor, row->micro_last);
    return 0;
}
