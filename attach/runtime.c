/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime.c - where the CPython runtime of a process is.
 *
 * Comes in: mappings and readable memory. Goes out: the address of _PyRuntime, the version and
 * the build's flavour. Cheap answers first: a symbol in a hash table, a section header; contents
 * are searched only where names say Python and no symbol answers. Must not know the
 * interpreter's structures beyond the first words of the debug-offsets table.
 */
#include "attach/runtime.h"
#include "attach/elf.h"
#include "attach/identify.h"
#include "attach/process.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 8    /* copies of a runtime in one process */
#define FILES_MAX 8192 /* mapped files looked at */
#define SCAN_MAX  ((uint64_t)64 << 20)

/* ---- one file ---- */

static const char *const names[PYI_NAMES] = {
    [PYI_NAME_RUNTIME] = "_PyRuntime",
    [PYI_NAME_HEAD] = "PyInterpreterState_Head",
    [PYI_NAME_VERSION] = "Py_Version",
    [PYI_NAME_CODE_TYPE] = "PyCode_Type",
    [PYI_NAME_TYPE_TYPE] = "PyType_Type",
    [PYI_NAME_REF_DEBUG] = "_Py_NegativeRefcount",
    [PYI_NAME_OLD_CURRENT] = "_PyThreadState_Current",
    [PYI_NAME_OLD_HEAD] = "interp_head",
};

uint64_t pyi_image_symbol(struct pyi_elf_image *image, enum pyi_name name)
{
    uint64_t value;
    if (pyi_elf_dynamic_symbol(image->elf, names[name], &value))
        return value + pyi_elf_bias(image->elf);
    return image->statics[name] ? image->statics[name] + pyi_elf_bias(image->elf) : 0;
}

static void load_statics(struct pyi_elf_image *image)
{
    if (!image->statics_loaded)
        pyi_elf_static_symbols(image->elf, names, image->statics, PYI_NAMES);
    image->statics_loaded = true;
}

static bool read_code(struct pyi_memory *memory, uint64_t address,
                      unsigned char code[PYI_HEAD_CODE])
{
    struct pyi_range range = {.address = address, .length = PYI_HEAD_CODE, .into = code};
    memset(code, 0, PYI_HEAD_CODE);
    return pyi_memory_readv(memory, &range, 1, NULL) == 0 && range.got >= 8;
}

static void decode_head(const struct pyi_runtime_search *search, struct pyi_elf_image *image)
{
    unsigned char code[PYI_HEAD_CODE];
    uint64_t function = pyi_image_symbol(image, PYI_NAME_HEAD), runtime;
    if (function && read_code(search->memory, function, code) &&
        pyi_runtime_decode_head(search->memory, function, code, &image->head, &runtime) &&
        !image->runtime && runtime) {
        image->runtime = runtime;
        image->how = "PyInterpreterState_Head";
    }
}

/* 3.13+: the cookie stands at the start of the runtime, which lies in initialised data. */
static uint64_t find_cookie(const struct pyi_runtime_search *search, uint32_t file)
{
    PYI_CLEANUP(pyi_cleanup_free) unsigned char *block = malloc(65536 + 16);
    for (size_t i = 0; block && i < search->maps->count; i++) {
        const struct pyi_mapping *mapping = &search->maps->mappings[i];
        if (mapping->file != file || !mapping->write || mapping->end - mapping->start > SCAN_MAX)
            continue;
        for (uint64_t at = mapping->start; at < mapping->end; at += 65536) {
            uint64_t left = mapping->end - at;
            struct pyi_range range = {
                .address = at, .length = left < 65552 ? left : 65552, .into = block};
            if (pyi_memory_readv(search->memory, &range, 1, NULL) < 0)
                return 0;
            for (size_t k = 0; k + 16 <= range.got; k += 8)
                if (memcmp(block + k, PYI_RUNTIME_COOKIE, 8) == 0 &&
                    pyi_version_plausible(pyi_load_u32(block + k + 8)))
                    return at + k;
        }
    }
    return 0;
}

/* 2.7 and 3.6 (Python/pystate.c): the list of interpreters is a variable of its own. */
static void find_old_head(struct pyi_elf_image *image)
{
    image->how = image->head ? "PyInterpreterState_Head" : ".symtab";
    if (image->head)
        return;
    load_statics(image);
    image->head = pyi_image_symbol(image, PYI_NAME_OLD_HEAD);
}

/* Everything this file can tell; true when it holds a runtime (or what Python 2 had instead). */
static bool examine(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                    bool thorough)
{
    struct pyi_elf_section section;
    image->how = ".dynsym";
    image->runtime = pyi_image_symbol(image, PYI_NAME_RUNTIME);
    if (!image->runtime && pyi_elf_section(image->elf, ".PyRuntime", &section)) {
        image->how = ".PyRuntime section";
        image->runtime = section.address + pyi_elf_bias(image->elf);
    }
    if (!image->runtime && thorough) {
        load_statics(image);
        image->how = ".symtab";
        image->runtime = pyi_image_symbol(image, PYI_NAME_RUNTIME);
    }
    if (image->runtime && !pyi_image_symbol(image, PYI_NAME_TYPE_TYPE))
        load_statics(image);
    decode_head(search, image);
    /* Section headers would have named it: only a file without them is searched. */
    if (!image->runtime && thorough && !pyi_elf_has_sections(image->elf)) {
        image->how = "cookie";
        image->runtime = find_cookie(search, image->file);
    }
    if (!image->runtime && pyi_image_symbol(image, PYI_NAME_OLD_CURRENT)) {
        find_old_head(image);
        image->old = true;
    }
    return image->runtime || image->old || (image->head && thorough);
}

/* ---- the files of a process, likeliest first ---- */

static bool is_executable_of(const struct pyi_runtime_search *search,
                             const struct pyi_mapped_file *file)
{
    struct pyi_strbuf link = {0};
    bool same = false;
    if (search->executable)
        return strcmp(search->executable, file->path) == 0;
    if (pyi_process_link(search->proc, search->pid, "exe", &link, NULL) == 0 && link.length) {
        size_t length = strlen(file->path);
        same = strncmp(link.data, file->path, length) == 0 &&
               (link.data[length] == 0 || strcmp(link.data + length, " (deleted)") == 0);
    }
    pyi_strbuf_deinit(&link);
    return same;
}

static bool matches_choice(const struct pyi_runtime_search *search,
                           const struct pyi_mapped_file *file)
{
    return strcmp(search->libpython, file->path) == 0 ||
           strcmp(pyi_maps_base_name(search->libpython), pyi_maps_base_name(file->path)) == 0;
}

/* 0: libpython or the named file, 1: executable, 2: any other program file, -1: not to be
 * looked at. */
static int rank(const struct pyi_runtime_search *search, const struct pyi_mapped_file *file,
                uint32_t executable)
{
    struct pyi_version_name name;
    if (file->path[0] != '/' && !file->deleted)
        return -1;
    if (search->libpython)
        return matches_choice(search, file) ? 0 : -1;
    if (pyi_version_from_name(pyi_maps_base_name(file->path), &name) && name.library)
        return 0;
    if (executable == (uint32_t)(file - search->maps->files))
        return 1;
    return file->execute ? 2 : -1;
}

/* Opens and examines; a file that is no ELF or does not answer is passed over. */
static int try_file(const struct pyi_runtime_search *search, uint32_t index, bool thorough,
                    struct pyi_elf_image *image, bool *found, struct pyi_error *err)
{
    const struct pyi_mapped_file *file = &search->maps->files[index];
    struct pyi_error ignored;
    const char *how = NULL;
    *found = false;
    *image = (struct pyi_elf_image){.file = index};
    int code = pyi_elf_open_mapped(search->proc, search->pid, search->memory, search->maps, file,
                                   &image->elf, &how, &ignored);
    if (code == PYI_E_NOMEM)
        return pyi_error_nomem(err);
    if (code < 0) {
        pyi_log(&search->log, "attach", "%s: %s", file->path, ignored.message);
        return 0;
    }
    *found = examine(search, image, thorough);
    pyi_log(&search->log, "attach", "%s (read through %s): %s", file->path, how,
            *found ? image->how : "no runtime");
    if (!*found) {
        pyi_elf_close(image->elf);
        image->elf = NULL;
    }
    return 0;
}

/* True when the list of interpreters is not empty; an unknown head counts as empty. */
static bool has_interpreter(const struct pyi_runtime_search *search,
                            const struct pyi_elf_image *image)
{
    unsigned char bytes[48];
    uint64_t head = image->head;
    /* 3.13+ _Py_DebugOffsets (pycore_debug_offsets.h): runtime_state.interpreters_head at 40. */
    if (image->runtime &&
        pyi_memory_read(search->memory, image->runtime, bytes, sizeof(bytes), NULL) == 0 &&
        memcmp(bytes, PYI_RUNTIME_COOKIE, 8) == 0 && pyi_load_u64(bytes + 40) < ((uint64_t)1 << 24))
        head = image->runtime + pyi_load_u64(bytes + 40);
    return head && pyi_memory_read(search->memory, head, bytes, 8, NULL) == 0 &&
           pyi_load_u64(bytes) != 0;
}

struct finds {
    struct pyi_elf_image images[FOUND_MAX];
    size_t count;
};

static bool is_found(const struct finds *finds, uint32_t file)
{
    bool known = false;
    for (size_t i = 0; i < finds->count; i++)
        known |= finds->images[i].file == file;
    return known;
}

static int search_rank(const struct pyi_runtime_search *search, int wanted, bool thorough,
                       uint32_t executable, struct finds *finds, struct pyi_error *err)
{
    size_t files = search->maps->file_count < FILES_MAX ? search->maps->file_count : FILES_MAX;
    for (uint32_t i = 0; i < files && finds->count < FOUND_MAX; i++) {
        if (rank(search, &search->maps->files[i], executable) != wanted || is_found(finds, i))
            continue;
        bool found;
        int code = try_file(search, i, thorough, &finds->images[finds->count], &found, err);
        if (code < 0)
            return code;
        if (found && has_interpreter(search, &finds->images[finds->count])) {
            struct pyi_elf_image best = finds->images[finds->count];
            finds->images[finds->count] = finds->images[0];
            finds->images[0] = best;
            finds->count++;
            return 1;
        }
        finds->count += found;
    }
    return 0;
}

static uint32_t find_executable(const struct pyi_runtime_search *search)
{
    for (uint32_t i = 0; i < search->maps->file_count; i++)
        if (is_executable_of(search, &search->maps->files[i]))
            return i;
    return PYI_NO_FILE;
}

bool pyi_runtime_looks_like_python(const char *proc, pid_t pid, const struct pyi_maps *maps)
{
    struct pyi_version_name name;
    struct pyi_strbuf program = {0};
    pyi_process_program(proc, pid, &program);
    bool looks = program.length && pyi_version_from_name(program.data, &name);
    pyi_strbuf_deinit(&program);
    for (size_t i = 0; i < maps->file_count && !looks; i++) {
        const char *path = maps->files[i].path;
        looks = (pyi_version_from_name(pyi_maps_base_name(path), &name) &&
                 (name.library || maps->files[i].execute)) ||
                strstr(path, "/lib-dynload/");
    }
    return looks;
}

/* ---- the answer ---- */

/* The types' addresses: an executable that refers to them holds its own copies, which then are
 * the ones in use, so it is asked before the library. */
static uint64_t type_address(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                             struct pyi_elf_image *program, enum pyi_name name)
{
    uint64_t address = program->elf ? pyi_image_symbol(program, name) : 0;
    return address ? address : pyi_image_symbol(image, name);
}

static bool type_is(const struct pyi_runtime_search *search, uint64_t object, uint64_t type)
{
    unsigned char head[32];
    return object && pyi_memory_read(search->memory, object, head, sizeof(head), NULL) == 0 &&
           (pyi_load_u64(head + 8) == type || pyi_load_u64(head + 24) == type);
}

static void find_types(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                       uint32_t executable, struct pyi_runtime *out)
{
    struct pyi_elf_image program = {.file = executable};
    const char *how;
    if (executable != PYI_NO_FILE && executable != image->file &&
        pyi_elf_open_mapped(search->proc, search->pid, search->memory, search->maps,
                            &search->maps->files[executable], &program.elf, &how, NULL) < 0)
        program.elf = NULL;
    uint64_t type = type_address(search, image, &program, PYI_NAME_TYPE_TYPE);
    uint64_t code = type_address(search, image, &program, PYI_NAME_CODE_TYPE);
    pyi_elf_close(program.elf);
    /* The type of types is itself: 16-byte object headers keep it at 8, 32-byte ones at 24. */
    out->type_type = type_is(search, type, type) ? type : 0;
    out->code_type = out->type_type && type_is(search, code, type) ? code : 0;
}

static void describe(const struct pyi_mapped_file *file, const char *how, struct pyi_runtime *out)
{
    char path[200];
    struct pyi_strbuf text = {0};
    pyi_strbuf_os_bytes(&text, file->path, strlen(file->path));
    pyi_text_safe(pyi_strbuf_get(&text), path, sizeof(path));
    pyi_strbuf_deinit(&text);
    snprintf(out->found, sizeof(out->found), "%s of %s%s", how, path,
             file->deleted ? " (deleted)" : "");
}

static int complete(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                    uint32_t executable, bool running, struct pyi_runtime *out,
                    struct pyi_error *err)
{
    struct pyi_runtime runtime = {.address = image->runtime, .running = running};
    runtime.debug = pyi_image_symbol(image, PYI_NAME_REF_DEBUG) != 0;
    if (image->old)
        runtime.current = pyi_image_symbol(image, PYI_NAME_OLD_CURRENT);
    describe(&search->maps->files[image->file], image->how, &runtime);
    int code = pyi_identify_version(search, image, &runtime, err);
    if (code < 0)
        return code;
    find_types(search, image, executable, &runtime);
    /* Nothing but the section's name was left before 3.13: where the list is, the files do not say. */
    runtime.running |= !image->head && !runtime.debug_offsets;
    *out = runtime;
    return 0;
}

int pyi_runtime_find(const struct pyi_runtime_search *search, struct pyi_runtime *out,
                     struct pyi_error *err)
{
    struct finds finds = {0};
    uint32_t executable = find_executable(search);
    int code = 0;
    /* All are asked until one has an interpreter: a library nobody started may lie beside a plugin
     * that brings its own. The executable comes before a library, because what it holds itself is
     * what it runs; but its symbols, which may be many, are searched only after the libraries. */
    static const struct {
        int rank;
        bool thorough;
    } order[] = {{1, false}, {0, true}, {1, true}, {2, false}};
    for (size_t i = 0; i < sizeof(order) / sizeof(*order) && code == 0; i++)
        code = search_rank(search, order[i].rank, order[i].thorough, executable, &finds, err);
    bool running = code == 1;
    if (code >= 0 && finds.count > 0)
        code = complete(search, &finds.images[0], executable, running, out, err);
    else if (code >= 0)
        code = pyi_identify_nothing(search, err);
    for (size_t i = 0; i < finds.count; i++)
        pyi_elf_close(finds.images[i].elf);
    return code;
}
