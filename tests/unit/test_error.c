/* SPDX-License-Identifier: BSD-3-Clause */
/* test_error.c - the record of a failure: codes, context, escaping, cutting. */
#include "src/base/error.h"

#include "src/base/log.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void fills_in(void **state)
{
    struct pyi_error err;
    memset(&err, 'x', sizeof(err));
    assert_int_equal(pyi_error_set(&err, PYI_E_TORN, "frame %d", 3), PYI_E_TORN);
    assert_int_equal(err.code, PYI_E_TORN);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.message, "frame 3");
    assert_string_equal(err.slug, "");
    assert_string_equal(err.why, "");
    assert_string_equal(err.note, "");
    pyi_error_slug(&err, "ptrace-yama");
    pyi_error_why(&err, "scope is %d", 1);
    pyi_error_note(&err, "child %d", 7);
    assert_int_equal(pyi_error_prefix(&err, err.code, "thread %d", 12), PYI_E_TORN);
    assert_string_equal(err.message, "thread 12: frame 3");
    assert_string_equal(err.slug, "ptrace-yama");
    assert_string_equal(err.why, "scope is 1");
    assert_string_equal(err.note, "child 7");
}

static void needs_no_record(void **state)
{
    assert_int_equal(pyi_error_set(NULL, PYI_E_LIMIT, "x"), PYI_E_LIMIT);
    assert_int_equal(pyi_error_os(NULL, EACCES, "x"), PYI_E_PERM);
    assert_int_equal(pyi_error_prefix(NULL, PYI_E_OS, "x"), PYI_E_OS);
    assert_int_equal(pyi_error_nomem(NULL), PYI_E_NOMEM);
    pyi_error_slug(NULL, "x");
    pyi_error_why(NULL, "x");
    pyi_error_note(NULL, "x");
}

static void sorts_errno(void **state)
{
    static const struct {
        int os_errno, code;
    } rows[] = {
        {ESRCH, PYI_E_GONE},   {EPERM, PYI_E_PERM},   {EACCES, PYI_E_PERM},
        {ENOMEM, PYI_E_NOMEM}, {EFAULT, PYI_E_FAULT}, {ENOENT, PYI_E_OS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_error err;
        assert_int_equal(pyi_error_os(&err, rows[i].os_errno, "open %s", "/x"), rows[i].code);
        assert_int_equal(err.os_errno, rows[i].os_errno);
        assert_memory_equal(err.message, "open /x: ", 9);
        assert_true(strlen(err.message) > 12);
    }
}

static void escapes_and_cuts(void **state)
{
    struct pyi_error err;
    pyi_error_set(&err, PYI_E_OS, "bad \x1b]0;owned\a \xff");
    assert_string_equal(err.message, "bad \\x1b]0;owned\\x07 \\xff");
    char longer[2000];
    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    pyi_error_set(&err, PYI_E_OS, "%s", longer);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_string_equal(err.message + sizeof(err.message) - 5, "y...");
    pyi_error_prefix(&err, PYI_E_OS, "outer");
    assert_memory_equal(err.message, "outer: yyy", 10);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    pyi_error_os(&err, EIO, "%s", longer);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    pyi_error_slug(&err, "a-slug-that-is-longer-than-its-array-is");
    assert_int_equal(strlen(err.slug), sizeof(err.slug) - 1);
}

static void names_codes(void **state)
{
    for (int code = PYI_E_INVALID; code <= 0; code++) {
        for (int other = PYI_E_INVALID; other < code; other++)
            assert_string_not_equal(pyi_error_name(code), pyi_error_name(other));
        assert_string_not_equal(pyi_error_name(code), pyi_error_name(1));
    }
    assert_string_equal(pyi_error_name(PYI_E_PERM), "permission denied");
}

static void cleans_up(void **state)
{
    char *text = malloc(1);
    pyi_cleanup_free(&text);
    assert_null(text);
    pyi_cleanup_free(&text);
    int fd = -1;
    pyi_cleanup_close(&fd);
    FILE *file = NULL;
    pyi_cleanup_fclose(&file);
    file = fopen("/dev/null", "re");
    errno = ERANGE;
    pyi_cleanup_fclose(&file);
    assert_null(file);
    assert_int_equal(errno, ERANGE);
}

static void take_line(void *context, const char *domain, const char *line)
{
    snprintf(context, 600, "%s|%s", domain, line);
}

static void logs_safe_lines(void **state)
{
    char got[600] = "";
    struct pyi_log log = {take_line, got};
    pyi_log(&log, "stack", "name %s", "\x1bx");
    assert_string_equal(got, "stack|name \\x1bx");
    pyi_log(&log, "stack", "%700d", 1);
    assert_int_equal(strlen(got), 6 + 511);
    pyi_log(&(struct pyi_log){0}, "stack", "x");
    pyi_log(NULL, "stack", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in),        cmocka_unit_test(needs_no_record),
        cmocka_unit_test(sorts_errno),     cmocka_unit_test(escapes_and_cuts),
        cmocka_unit_test(names_codes),     cmocka_unit_test(cleans_up),
        cmocka_unit_test(logs_safe_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
