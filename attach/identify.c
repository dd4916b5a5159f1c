/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identify.c - which Python a found runtime is, and what a process is that has none.
 *
 * Comes in: a program file with a runtime. Goes out: version and flavour, from the debug-offsets
 * table (3.13+), Py_Version (3.11+), or version texts among the constants that agree with a
 * name. A version is never guessed: what stays ambiguous is refused.
 */
#include "attach/identify.h"
#include "attach/layout/layout.h"
#include "attach/process.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSTANTS_MAX ((uint64_t)64 << 20)
#define TEXTS_MAX     16
#define CHILDREN_SEEN 64

/* ---- names ---- */

/* A version the names of the file, the executable or the mapped extension modules agree on. */
static bool version_by_names(const struct pyi_runtime_search *search,
                             const struct pyi_elf_image *image, struct pyi_version_name *out)
{
    const struct pyi_mapped_file *file = &search->maps->files[image->file];
    if (pyi_version_from_name(pyi_maps_base_name(file->path), out) && out->major)
        return true;
    for (size_t i = 0; i < search->maps->file_count; i++) {
        /* .../lib/python3.9/lib-dynload/_json.cpython-39-x86_64-linux-gnu.so */
        const char *at = strstr(search->maps->files[i].path, "/lib-dynload/");
        const char *start = at;
        while (start && start > search->maps->files[i].path && start[-1] != '/')
            start--;
        char folder[32];
        if (!at || (size_t)(at - start) >= sizeof(folder))
            continue;
        memcpy(folder, start, (size_t)(at - start));
        folder[at - start] = 0;
        if (pyi_version_from_name(folder, out) && out->major)
            return true;
    }
    return false;
}

/* ---- texts ---- */

static size_t scan_constants(struct pyi_elf_image *image, int major, int minor, uint32_t *found)
{
    struct pyi_elf_section part;
    size_t count = 0;
    for (size_t i = 0; i < 8 && pyi_elf_constants(image->elf, i, &part); i++) {
        if (part.size == 0 || part.size > CONSTANTS_MAX)
            continue;
        char *bytes = malloc(part.size);
        if (bytes && pyi_elf_read(image->elf, part.address, bytes, part.size))
            count = pyi_version_scan(bytes, part.size, major, minor, found, count, TEXTS_MAX);
        free(bytes);
    }
    return count;
}

/* Py_GetVersion() (3.8-3.12, Python/getversion.c) fills a static buffer at start-up with
 * "X.Y.Z (branch, date) [compiler]"; it lies in the writable mappings of the file or the
 * anonymous one right behind them. True when exactly one of the candidates stands there. */
static bool confirm_by_buffer(const struct pyi_runtime_search *search,
                              const struct pyi_elf_image *image, const uint32_t *found,
                              size_t count, uint32_t *out)
{
    PYI_CLEANUP(pyi_cleanup_free) char *block = malloc(1 << 20);
    size_t hits = 0;
    uint64_t behind = 0;
    for (size_t i = 0; block && i < search->maps->count; i++) {
        const struct pyi_mapping *mapping = &search->maps->mappings[i];
        bool own = mapping->file == image->file || (mapping->start == behind && !mapping->inode);
        if (!own)
            continue;
        behind = mapping->end;
        if (!mapping->write)
            continue;
        uint64_t size = mapping->end - mapping->start;
        struct pyi_range range = {.address = mapping->start,
                                  .length = size < (1 << 20) ? size : (1 << 20),
                                  .into = block};
        if (pyi_memory_readv(search->memory, &range, 1, NULL) < 0)
            return false;
        for (size_t k = 0; k < count; k++) {
            char text[40], version[32];
            snprintf(text, sizeof(text), "%s (", pyi_version_format(found[k], version));
            if (memmem(block, range.got, text, strlen(text))) {
                hits++;
                *out = found[k];
            }
        }
    }
    return hits == 1;
}

static bool version_by_texts(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                             uint32_t *out)
{
    struct pyi_version_name name = {0};
    uint32_t found[TEXTS_MAX];
    bool named = version_by_names(search, image, &name);
    size_t count = scan_constants(image, name.major, name.minor, found);
    if (named && count == 1) {
        *out = found[0];
        return true;
    }
    return count > 0 && confirm_by_buffer(search, image, found, count, out);
}

/* ---- version ---- */

static int refuse_version(const struct pyi_runtime_search *search, uint32_t hexversion,
                          struct pyi_error *err)
{
    char version[32];
    int major = PYI_VERSION_MAJOR_OF(hexversion), minor = PYI_VERSION_MINOR_OF(hexversion);
    bool old = major < 3 ? major < 2 || minor < 7 : major == 3 && minor < PYI_RUNTIME_OLDEST;
    if (major == 2 && minor == 7)
        return 0;
    if (!old && (search->assume_version || (major == 3 && minor <= PYI_RUNTIME_NEWEST)))
        return 0;
    pyi_error_set(err, PYI_E_VERSION, "process %d runs Python %s; %s supports " PYI_RUNTIME_RANGE,
                  (int)search->pid, pyi_version_format(hexversion, version),
                  search->tool ? search->tool : "this program");
    pyi_error_slug(err, old ? "version-old" : "version-new");
    return PYI_E_VERSION;
}

static bool version_assumed(const struct pyi_runtime_search *search, uint32_t *out)
{
    int major, minor;
    char rest;
    if (!search->assume_version ||
        sscanf(search->assume_version, "%d.%d%c", &major, &minor, &rest) != 2 || minor < 0 ||
        minor > 255 || (major != 3 && !(major == 2 && minor == 7)))
        return false;
    *out = (uint32_t)major << 24 | (uint32_t)minor << 16 | 0xf0;
    return true;
}

/* The first words of _Py_DebugOffsets (3.13+, pycore_debug_offsets.h): cookie, version,
 * free-threaded flag. */
static void read_table(const struct pyi_runtime_search *search, struct pyi_runtime *runtime)
{
    unsigned char bytes[24];
    if (!runtime->address ||
        pyi_memory_read(search->memory, runtime->address, bytes, sizeof(bytes), NULL) < 0 ||
        memcmp(bytes, PYI_RUNTIME_COOKIE, 8) != 0)
        return;
    runtime->debug_offsets = true;
    runtime->hexversion = pyi_load_u32(bytes + 8);
    runtime->free_threaded = pyi_load_u64(bytes + 16) != 0;
}

static void read_version_symbol(const struct pyi_runtime_search *search,
                                struct pyi_elf_image *image, struct pyi_runtime *runtime)
{
    unsigned char bytes[4];
    uint64_t address = pyi_image_symbol(image, PYI_NAME_VERSION);
    if (address && pyi_memory_read(search->memory, address, bytes, sizeof(bytes), NULL) == 0)
        runtime->hexversion = pyi_load_u32(bytes);
}

static int unknown_version(const struct pyi_runtime_search *search, struct pyi_error *err)
{
    pyi_error_set(err, PYI_E_NOTPYTHON,
                  "process %d runs Python, but its exact version could not be determined",
                  (int)search->pid);
    pyi_error_slug(err, "no-symbols");
    return PYI_E_NOTPYTHON;
}

int pyi_identify_version(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                         struct pyi_runtime *runtime, struct pyi_error *err)
{
    struct pyi_version_name name;
    const char *base = pyi_maps_base_name(search->maps->files[image->file].path);
    if (pyi_version_from_name(base, &name))
        runtime->debug |= name.debug;
    read_table(search, runtime);
    if (!runtime->hexversion)
        read_version_symbol(search, image, runtime);
    if (!pyi_version_plausible(runtime->hexversion) &&
        !version_by_texts(search, image, &runtime->hexversion) &&
        !version_assumed(search, &runtime->hexversion))
        return unknown_version(search, err);
    int code = refuse_version(search, runtime->hexversion, err);
    if (code < 0)
        return code;
    if (!runtime->address && image->head) {
        const struct pyi_layout *row = pyi_layout_row(runtime->hexversion, runtime->free_threaded);
        if (!row || row->runtime_interpreters_head == PYI_NO_FIELD)
            return unknown_version(search, err);
        runtime->address = image->head - row->runtime_interpreters_head;
        read_table(search, runtime);
    }
    return 0;
}

/* ---- processes without a CPython ---- */

static void safe_program(const struct pyi_runtime_search *search, char out[256])
{
    struct pyi_strbuf raw = {0}, text = {0};
    if (pyi_process_link(search->proc, search->pid, "exe", &raw, NULL) == 0)
        pyi_strbuf_os_bytes(&text, raw.data, raw.length);
    pyi_text_safe(pyi_strbuf_get(&text), out, 256);
    pyi_strbuf_deinit(&raw);
    pyi_strbuf_deinit(&text);
}

/* PyPy and GraalPy by the names of their executables and libraries. */
static const char *other_implementation(const struct pyi_runtime_search *search)
{
    struct pyi_strbuf program = {0};
    pyi_process_program(search->proc, search->pid, &program);
    const char *found = NULL;
    if (program.length && strncmp(program.data, "pypy", 4) == 0)
        found = "PyPy";
    else if (program.length && strncmp(program.data, "graalpy", 7) == 0)
        found = "GraalPy";
    else if (program.length && strncmp(program.data, "micropython", 11) == 0)
        found = "MicroPython";
    pyi_strbuf_deinit(&program);
    for (size_t i = 0; i < search->maps->file_count && !found; i++) {
        const char *base = pyi_maps_base_name(search->maps->files[i].path);
        if (strncmp(base, "libpypy", 7) == 0)
            found = "PyPy";
        else if (strncmp(base, "libpythonvm", 11) == 0)
            found = "GraalPy";
    }
    return found;
}

/* A library that is merely mapped does not count, which the names cannot tell. */
static bool runs_python(const char *proc, pid_t pid)
{
    struct pyi_maps maps = {0};
    struct pyi_memory *memory = NULL;
    struct pyi_runtime runtime = {0};
    bool runs = false;
    if (pyi_maps_read(proc, pid, &maps, NULL) == 0 &&
        pyi_memory_open_live(pid, &memory, NULL) == 0) {
        struct pyi_runtime_search search = {
            .proc = proc, .pid = pid, .memory = memory, .maps = &maps, .brief = true};
        int code = pyi_runtime_find(&search, &runtime, NULL);
        runs = code == 0
                   ? runtime.running
                   : code != PYI_E_NOTPYTHON && pyi_runtime_looks_like_python(proc, pid, &maps);
    }
    pyi_memory_close(memory);
    pyi_maps_deinit(&maps);
    return runs;
}

void pyi_identify_children(const char *proc, pid_t pid, struct pyi_error *err)
{
    pid_t queue[CHILDREN_SEEN] = {pid};
    size_t count = 1;
    struct pyi_strbuf note = {0};
    for (size_t at = 0; at < count; at++) {
        pid_t *children = NULL;
        size_t found = 0;
        if (pyi_process_children(proc, queue[at], &children, &found, NULL) < 0)
            break;
        for (size_t i = 0; i < found && count < CHILDREN_SEEN; i++)
            queue[count++] = children[i];
        free(children);
        if (at > 0 && note.length < 200 && runs_python(proc, queue[at])) {
            struct pyi_strbuf command = {0};
            char safe[80];
            pyi_process_command(proc, queue[at], 60, &command);
            pyi_strbuf_format(&note, "%s%d (%s)", note.length ? ", " : "", (int)queue[at],
                              pyi_text_safe(pyi_strbuf_get(&command), safe, sizeof(safe)));
            pyi_strbuf_deinit(&command);
        }
    }
    if (note.length && !note.failed)
        pyi_error_note(err, "children running Python: %s", note.data);
    pyi_strbuf_deinit(&note);
}

static void say_not_python(const struct pyi_runtime_search *search, const char *program,
                           struct pyi_error *err)
{
    struct pyi_process_status status = {0};
    if (pyi_process_status(search->proc, search->pid, &status, NULL) < 0)
        status.name[0] = 0;
    pyi_error_set(err, PYI_E_NOTPYTHON, "process %d (%s, %s) is not running Python",
                  (int)search->pid, status.name, program);
    pyi_error_slug(err, "not-python");
    if (!search->brief)
        pyi_identify_children(search->proc, search->pid, err);
}

int pyi_identify_nothing(const struct pyi_runtime_search *search, struct pyi_error *err)
{
    char program[256];
    safe_program(search, program);
    const char *other = other_implementation(search);
    if (other) {
        pyi_error_set(err, PYI_E_NOTPYTHON, "process %d runs %s; only CPython is supported",
                      (int)search->pid, other);
        pyi_error_slug(err, "not-cpython");
    } else if (search->libpython) {
        pyi_error_set(err, PYI_E_NOTPYTHON, "process %d has no Python runtime in %s",
                      (int)search->pid, search->libpython);
        pyi_error_slug(err, "no-symbols");
    } else if (pyi_runtime_looks_like_python(search->proc, search->pid, search->maps)) {
        pyi_error_set(err, PYI_E_NOTPYTHON,
                      "process %d runs Python, but its runtime structure was not found (stripped "
                      "binary %s)",
                      (int)search->pid, program);
        pyi_error_slug(err, "no-symbols");
    } else {
        say_not_python(search, program, err);
    }
    return PYI_E_NOTPYTHON;
}
