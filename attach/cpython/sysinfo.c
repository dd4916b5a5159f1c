/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * sysinfo.c - what the sys module says about where code lives.
 *
 * In: the main interpreter. Out: sys.path, sys.argv and the four prefixes, read once; what is
 * absent or of another type is left out. Must not know files.
 */
#include "attach/cpython/cpython.h"

#include "attach/cpython/object.h"
#include "attach/cpython/python.h"
#include "src/base/error.h"
#include <stdlib.h>

enum { WORD_PATH, WORD_ARGV, WORD_PREFIX, WORDS = WORD_PREFIX + 4 };
static const char *const sys_words[WORDS] = {"path",        "argv",        "prefix",
                                             "base_prefix", "exec_prefix", "base_exec_prefix"};

/* Empty when it cannot be had. */
static int read_str(struct pyi_cpython *python, pyi_addr object, struct pyi_text *out, bool *is_str,
                    struct pyi_error *err)
{
    const struct pyi_class *type;
    struct pyi_strbuf buffer = {0};
    *is_str = false;
    *out = pyi_text("");
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && type->flags & PYI_TYPE_IS_STR) {
        rc = pyi_object_str(python, object, 65536, &buffer, err);
        if (rc == 0) {
            *out = pyi_cpython_text(python, &buffer);
            *is_str = out->data != NULL;
            rc = *is_str ? 0 : pyi_error_nomem(err);
        }
    }
    pyi_strbuf_deinit(&buffer);
    return pyi_is_fatal(rc) ? rc : 0;
}

/* The str items of a list; other objects are legal there and skipped. */
static int read_list(struct pyi_cpython *python, pyi_addr object, const struct pyi_text **out,
                     size_t *count, struct pyi_error *err)
{
    const struct pyi_class *type;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *items = NULL;
    size_t found = 0;
    *count = 0;
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && !(type->flags & PYI_TYPE_IS_LIST))
        return 0;
    if (rc == 0)
        rc = pyi_object_list(python, object, PYI_MAX_LIST, &items, &found, err);
    if (rc != 0)
        return pyi_is_fatal(rc) ? rc : 0;
    struct pyi_text *texts = pyi_arena_alloc(&python->arena, (found + 1) * sizeof(*texts));
    if (texts == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < found; i++) {
        bool is_str;
        rc = read_str(python, items[i], &texts[*count], &is_str, err);
        if (rc != 0)
            return rc;
        *count += is_str;
    }
    *out = texts;
    return 0;
}

static int main_interpreter(struct pyi_cpython *python, pyi_addr *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint32_t field = pyi_has_field(layout->runtime_interpreters_main)
                         ? layout->runtime_interpreters_main
                         : layout->runtime_interpreters_head;
    return pyi_object_word(python, python->runtime.address + field, out, err);
}

/* The dict of sys has been seen torn only while the program assigns to it: a few more tries. */
static int find_words(struct pyi_cpython *python, pyi_addr values[WORDS], struct pyi_error *err)
{
    int rc = PYI_E_FAULT;
    for (int i = 0; i <= PYI_RETRIES && rc != 0 && (i == 0 || !pyi_is_fatal(rc)); i++) {
        pyi_addr interp;
        uint64_t dict;
        rc = main_interpreter(python, &interp, err);
        if (rc == 0)
            rc = pyi_object_word(python, interp + python->layout.interp_sysdict, &dict, err);
        if (rc == 0)
            rc = pyi_dict_find(python, dict, sys_words, WORDS, values, err);
    }
    return rc;
}

int pyi_cpython_sysinfo(struct pyi_cpython *python, const struct pyi_sysinfo **out,
                        struct pyi_error *err)
{
    if (python->sysinfo != NULL) {
        *out = python->sysinfo;
        return 0;
    }
    pyi_addr values[WORDS] = {0};
    struct pyi_sysinfo *info = pyi_arena_alloc(&python->arena, sizeof(*info));
    if (info == NULL)
        return pyi_error_nomem(err);
    int rc = find_words(python, values, err);
    if (pyi_is_fatal(rc))
        return rc;
    info->from_sys = rc == 0 && values[WORD_PREFIX] != 0;
    rc = read_list(python, values[WORD_PATH], &info->path, &info->path_count, err);
    if (rc == 0)
        rc = read_list(python, values[WORD_ARGV], &info->argv, &info->argv_count, err);
    for (int i = 0; rc == 0 && i < 4; i++) {
        bool is_str;
        rc = read_str(python, values[WORD_PREFIX + i], &info->prefixes[i], &is_str, err);
    }
    if (rc != 0)
        return rc;
    python->sysinfo = info;
    *out = info;
    return 0;
}
