/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject.c - the functions that --wrap puts before the library's own calls.
 *
 * In: what the test wants to fail. Out: the real answer or a failure of the kind the real
 * function has. Must not allocate by itself.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tests/fault/inject.h"

#include "attach/memory/memory_image.h"
#include "src/base/arena.h"
#include "src/base/error.h"
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

struct inject inject;
static void *place[24]; /* the calls that led to the latest refusal */
static int place_depth;

void inject_where(void)
{
    backtrace_symbols_fd(place, place_depth, STDERR_FILENO);
}

void inject_begin(uint64_t at, bool onwards)
{
    inject.on = true;
    inject.onwards = onwards;
    inject.fail_at = at;
    inject.count = inject.failed = 0;
}

void inject_end(void)
{
    inject.on = false;
}

static bool fails(void)
{
    if (!inject.on)
        return false;
    inject.count++;
    bool now = inject.count == inject.fail_at ||
               (inject.onwards && inject.fail_at && inject.count > inject.fail_at);
    if (now) {
        inject.failed++;
        place_depth = backtrace(place, sizeof(place) / sizeof(place[0]));
        errno = ENOMEM;
    }
    return now;
}

static void *taken(void *block)
{
    inject.live += block != NULL;
    return block;
}

/* ---- the C library --------------------------------------------------------------------------- */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t size)
{
    return fails() ? NULL : taken(__real_malloc(size));
}

WRAP(void *, calloc, size_t count, size_t size)
{
    return fails() ? NULL : taken(__real_calloc(count, size));
}

WRAP(void *, realloc, void *old, size_t size)
{
    if (fails())
        return NULL;
    void *block = __real_realloc(old, size);
    return old ? block : taken(block);
}

WRAP(void, free, void *block)
{
    inject.live -= block != NULL;
    __real_free(block);
}

WRAP(char *, strdup, const char *text)
{
    return fails() ? NULL : taken(__real_strdup(text));
}

WRAP(char *, strndup, const char *text, size_t length)
{
    return fails() ? NULL : taken(__real_strndup(text, length));
}

WRAP(char *, realpath, const char *path, char *into)
{
    if (fails())
        return NULL;
    char *path_found = __real_realpath(path, into);
    return into ? path_found : taken(path_found);
}

WRAP(char *, getcwd, char *into, size_t size)
{
    if (into)
        return __real_getcwd(into, size);
    return fails() ? NULL : taken(__real_getcwd(into, size));
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
    if (fails())
        return -1;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(out, format, arguments);
    va_end(arguments);
    if (length >= 0)
        (void)taken(*out);
    return length;
}

WRAP(FILE *, fopen, const char *path, const char *mode)
{
    return fails() ? NULL : __real_fopen(path, mode);
}

WRAP(DIR *, opendir, const char *path)
{
    return fails() ? NULL : __real_opendir(path);
}

/* ---- other libraries, and the arena ------------------------------------------------------------- */

WRAP(void *, pyi_arena_alloc, struct pyi_arena *arena, size_t size)
{
    return fails() ? NULL : __real_pyi_arena_alloc(arena, size);
}

WRAP(char *, pyi_arena_copy, struct pyi_arena *arena, const void *bytes, size_t length)
{
    return fails() ? NULL : __real_pyi_arena_copy(arena, bytes, length);
}

WRAP(pcre2_code *, pcre2_compile_8, PCRE2_SPTR pattern, PCRE2_SIZE length, uint32_t options,
     int *number, PCRE2_SIZE *offset, pcre2_compile_context *context)
{
    if (!fails())
        return __real_pcre2_compile_8(pattern, length, options, number, offset, context);
    *number = PCRE2_ERROR_HEAP_FAILED;
    return NULL;
}

WRAP(pcre2_compile_context *, pcre2_compile_context_create_8, pcre2_general_context *general)
{
    return fails() ? NULL : __real_pcre2_compile_context_create_8(general);
}

WRAP(pcre2_match_context *, pcre2_match_context_create_8, pcre2_general_context *general)
{
    return fails() ? NULL : __real_pcre2_match_context_create_8(general);
}

WRAP(pcre2_match_data *, pcre2_match_data_create_8, uint32_t size, pcre2_general_context *general)
{
    return fails() ? NULL : __real_pcre2_match_data_create_8(size, general);
}

WRAP(int, pcre2_match_8, const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length,
     PCRE2_SIZE start, uint32_t options, pcre2_match_data *data, pcre2_match_context *context)
{
    if (fails())
        return PCRE2_ERROR_NOMEMORY;
    return __real_pcre2_match_8(code, subject, length, start, options, data, context);
}

WRAP(int, deflateInit2_, z_streamp stream, int level, int method, int bits, int memory,
     int strategy, const char *version, int size)
{
    if (fails())
        return Z_MEM_ERROR;
    return __real_deflateInit2_(stream, level, method, bits, memory, strategy, version, size);
}

void inject_into_cjson(void)
{
    cJSON_Hooks hooks = {.malloc_fn = malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

/* ---- reads ------------------------------------------------------------------------------------- */

static const struct pyi_memory_ops *image_ops;

static void shorten(struct pyi_range *ranges, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        if (ranges[i].got > 0) {
            ranges[i].got /= 2;
            return;
        }
    }
}

static int faulty_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                       struct pyi_error *err)
{
    inject.reads++;
    bool fail =
        inject.read_fail_at && (inject.reads == inject.read_fail_at ||
                                (inject.read_onwards && inject.reads > inject.read_fail_at));
    if (!fail)
        return image_ops->read(memory, ranges, count, err);
    inject.reads_failed++;
    if (inject.read_fault == READ_FAULT)
        return 0;
    if (inject.read_fault == READ_GONE)
        return pyi_error_set(err, PYI_E_GONE, "the process has ended");
    int code = image_ops->read(memory, ranges, count, err);
    shorten(ranges, count);
    return code;
}

static void faulty_close(struct pyi_memory *memory)
{
    image_ops->close(memory);
}

static const struct pyi_memory_ops faulty_ops = {
    .name = "faulty",
    .read = faulty_read,
    .close = faulty_close,
};

WRAP(int, pyi_memory_open_image_bytes, const void *bytes, size_t length, struct pyi_memory **out,
     const struct pyi_image_facts **facts, struct pyi_error *err)
{
    int code = __real_pyi_memory_open_image_bytes(bytes, length, out, facts, err);
    if (code == 0) {
        image_ops = (*out)->ops;
        (*out)->ops = &faulty_ops;
    }
    return code;
}
