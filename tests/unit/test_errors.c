/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: one row per cause, advice made from the real command line, JSON for wrappers, and the
 * templates of headlines. */
#include "src/base/error.h"
#include "src/base/text.h"
#include "src/cli/errors.h"
#include "src/cli/options/format_arguments.h"
#include "src/cli/interpreter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Prints a failure under a command line and returns the text. */
static char *printed(int argc, char **argv, const struct pyi_error *error, const char *fallback,
                     int *status)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    struct pyi_options options;
    assert_int_equal(pyi_options_parse(argc, argv, &options, NULL), 0);
    struct pyi_console console = {.options = &options, .stream = stream};
    *status = pyi_failure_print(&console, error, fallback);
    pyi_options_free(&options);
    fclose(stream);
    return text;
}

static struct pyi_error failure(int code, const char *slug, const char *message, const char *why,
                                const char *note)
{
    struct pyi_error error = {0};
    pyi_error_set(&error, code, "%s", message);
    pyi_error_slug(&error, slug);
    pyi_error_why(&error, "%s", why);
    pyi_error_note(&error, "%s", note);
    return error;
}

static void message_why_note_try(void **state)
{
    char *argv[] = {"pyinstrument", "-o", "my report.json", "--pid", "4353", NULL};
    struct pyi_error error =
        failure(PYI_E_NOTPYTHON, "not-python", "process 4353 (sleep) is not running Python", "",
                "children running Python: 4360 (python3 app.py)");
    int status;
    char *text = printed(5, argv, &error, NULL, &status);
    assert_int_equal(status, PYI_EXIT_TARGET);
    assert_string_equal(text, "pyinstrument: error: process 4353 (sleep) is not running Python\n"
                              "  note: children running Python: 4360 (python3 app.py)\n"
                              "  try:  pyinstrument -o 'my report.json' --pid 4360\n");
    free(text);
    error = failure(PYI_E_NOTPYTHON, "not-python", "no Python", "", "");
    text = printed(5, argv, &error, NULL, &status);
    assert_string_equal(text, "pyinstrument: error: no Python\n");
    free(text);
}

static void advice_for_permission(void **state)
{
    char *argv[] = {"pyinstrument", "--pid=999999999", "-d5", NULL};
    struct pyi_error error = failure(PYI_E_PERM, "ptrace-yama", "cannot read memory",
                                     "kernel.yama.ptrace_scope is 1", "");
    int status;
    char *text = printed(3, argv, &error, NULL, &status);
    assert_int_equal(status, PYI_EXIT_PERMISSION);
    assert_string_equal(text,
                        "pyinstrument: error: cannot read memory\n"
                        "  why:  kernel.yama.ptrace_scope is 1\n"
                        "  try:  sudo env \"PATH=$PATH\" pyinstrument --pid=999999999 -d5\n"
                        "   or:  echo 0 | sudo tee /proc/sys/kernel/yama/ptrace_scope   # until "
                        "reboot\n");
    free(text);
}

static void options_are_put_in_front(void **state)
{
    char *argv[] = {"pyinstrument", "-t", "script.py", "-x", NULL};
    struct pyi_error error =
        failure(PYI_E_OS, "script-exec", "cannot run python3: not found in PATH", "", "");
    int status;
    char *text = printed(4, argv, &error, NULL, &status);
    assert_int_equal(status, PYI_EXIT_FAILURE);
    assert_non_null(strstr(text, "  try:  pyinstrument --python=FILE -t script.py -x\n"));
    free(text);
}

static void json_for_wrappers(void **state)
{
    char *argv[] = {"pyinstrument", "--json-errors", "--pid", "1", NULL};
    struct pyi_error error =
        failure(PYI_E_PERM, "ptrace-uid", "cannot \"read\"", "other\tuser", "");
    int status;
    char *text = printed(4, argv, &error, NULL, &status);
    assert_string_equal(text, "{\"code\":\"ptrace-uid\",\"exit\":4,\"message\":\"cannot "
                              "\\\"read\\\"\",\"why\":\"other\\\\x09user\",\"try\":[\"sudo env "
                              "\\\"PATH=$PATH\\\" pyinstrument --json-errors --pid 1\"]}\n");
    free(text);
}

static void status_without_slug(void **state)
{
    static const struct {
        int code;
        const char *slug, *fallback;
        int status;
    } rows[] = {
        {PYI_E_PERM, "", NULL, 4},
        {PYI_E_PERM, "", "session-bad", 1},
        {PYI_E_PERM, "container-cap", "session-bad", 4},
        {PYI_E_GONE, "", NULL, 5},
        {PYI_E_GONE, "zombie", NULL, 5},
        {PYI_E_VERSION, "", NULL, 3},
        {PYI_E_NOTPYTHON, "something-new", NULL, 3},
        {PYI_E_OS, "", NULL, 1},
        {PYI_E_NOMEM, "", NULL, 1},
        {PYI_E_INVALID, "usage", NULL, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_error error = failure(rows[i].code, rows[i].slug, "x", "", "");
        assert_int_equal(pyi_failure_status(&error, rows[i].fallback), rows[i].status);
    }
}

static void rows_are_complete(void **state)
{
    const struct pyi_error_row *row;
    char *argv[] = {"pyinstrument", "--pid", "999999999", NULL};
    for (size_t i = 0; (row = pyi_error_row_at(i)) != NULL; i++) {
        assert_non_null(row->slug);
        assert_true(strlen(row->slug) < sizeof(((struct pyi_error *)0)->slug));
        struct pyi_error error = failure(PYI_E_OS, row->slug, "m", "", "");
        int status;
        char *text = printed(3, argv, &error, NULL, &status);
        /* No template key may be left over. */
        if (strchr(text, '{'))
            fail_msg("%s: %s", row->slug, text);
        free(text);
    }
    assert_null(pyi_error_row_find("no-such-slug"));
    assert_null(pyi_error_row_find(NULL));
}

/* ---- headlines ------------------------------------------------------------------------------- */

static void templates(void **state)
{
    static const struct {
        const char *template, *args, *expected; /* NULL: refused */
        const char *slug, *message;
    } rows[] = {
        {"Program: {args}", "a.py -x", "Program: a.py -x", NULL, NULL},
        {"{{{args}}} {{}}", "a", "{a} {}", NULL, NULL},
        {"{args!r}", "it's", "\"it's\"", NULL, NULL},
        {"{args!r}", "a\n'\"\\", "'a\\n\\'\"\\\\'", NULL, NULL},
        {"{args!a}", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "'\\xe4\\u20ac\\U0001f600'", NULL,
         NULL},
        {"{args!r}", "\xc3\xa4\xc2\xa0", "'\xc3\xa4\\xa0'", NULL, NULL},
        {"{args!s:>5}|", "ab", "   ab|", NULL, NULL},
        {"{args:>5}|{args:<5}|{args:^5}|", "ab", "   ab|ab   | ab  |", NULL, NULL},
        {"{args:*^6.3s}", "abcdef", "*abc**", NULL, NULL},
        {"{args:\xc3\xa4>3}", "x", "\xc3\xa4\xc3\xa4x", NULL, NULL},
        {"{args:05}", "x", "x0000", NULL, NULL},
        {"{args:.2}", "\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\xa4\xc3\xb6", NULL, NULL},
        {"{args[1]}", "abc", "b", NULL, NULL},
        {"", "x", "", NULL, NULL},
        {"{foo}", "x", NULL, "usage", "Unknown placeholder 'foo'"},
        {"{foo.bar!r:>3}", "x", NULL, "usage", "Unknown placeholder 'foo'"},
        {"{}", "x", NULL, "usage", "Empty placeholder"},
        {"{0}", "x", NULL, "usage", "Empty placeholder"},
        {"{:>4}", "x", NULL, "usage", "Empty placeholder"},
        {"{", "x", NULL, "description-bad", ""},
        {"}", "x", NULL, "description-bad", ""},
        {"{args", "x", NULL, "description-bad", ""},
        {"{args!", "x", NULL, "description-bad", ""},
        {"{args!x}", "x", NULL, "description-bad", ""},
        {"{args!}", "x", NULL, "description-bad", ""},
        {"{args.x}", "x", NULL, "description-bad", ""},
        {"{args[9]}", "x", NULL, "description-bad", ""},
        {"{args[x]}", "x", NULL, "description-bad", ""},
        {"{args:d}", "x", NULL, "description-bad", ""},
        {"{args:=5}", "x", NULL, "description-bad", ""},
        {"{args:.}", "x", NULL, "description-bad", ""},
        {"{args:99999999999}", "x", NULL, "description-bad", ""},
        {"{args:{args}}", "x", NULL, "description-bad", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_strbuf out = {0};
        struct pyi_error error = {0};
        int code =
            pyi_format_arguments(pyi_text(rows[i].template), pyi_text(rows[i].args), &out, &error);
        if (rows[i].expected) {
            if (code || strcmp(pyi_strbuf_get(&out).data, rows[i].expected) != 0)
                fail_msg("%s: %s %s", rows[i].template, pyi_strbuf_get(&out).data, error.message);
        } else {
            if (!code)
                fail_msg("%s: %s", rows[i].template, pyi_strbuf_get(&out).data);
            assert_string_equal(error.slug, rows[i].slug);
            assert_non_null(strstr(error.message, rows[i].message));
        }
        pyi_strbuf_deinit(&out);
    }
}

/* ---- first lines of scripts ------------------------------------------------------------------ */

static void first_lines(void **state)
{
    static const struct {
        const char *line, *python; /* NULL: none */
    } rows[] = {
        {"#!/usr/bin/env python3\nprint()\n", "python3"},
        {"#! /usr/bin/python3.11 -u\n", "/usr/bin/python3.11"},
        {"#!/usr/bin/python\r\n", "/usr/bin/python"},
        {"#!/usr/bin/env -S python3 -X dev\n", "python3"},
        {"#!/usr/bin/env A=b python\n", "python"},
        {"#!/opt/python", "/opt/python"},
        {"#!/bin/sh\n", NULL},
        {"#!/usr/bin/env bash\n", NULL},
        {"#!/usr/bin/env\n", NULL},
        {"#!\n", NULL},
        {"#!", NULL},
        {"", NULL},
        {"import python\n", NULL},
        {"#!/bin/pyth\n", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[64];
        bool found = pyi_shebang_python(pyi_text(rows[i].line), name, sizeof(name));
        if (found != (rows[i].python != NULL))
            fail_msg("row %zu", i);
        if (found)
            assert_string_equal(name, rows[i].python);
    }
    char tiny[4];
    assert_false(pyi_shebang_python(pyi_text("#!/usr/bin/python3\n"), tiny, sizeof(tiny)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_why_note_try),
        cmocka_unit_test(advice_for_permission),
        cmocka_unit_test(options_are_put_in_front),
        cmocka_unit_test(json_for_wrappers),
        cmocka_unit_test(status_without_slug),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(templates),
        cmocka_unit_test(first_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
