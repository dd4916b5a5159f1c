/* SPDX-License-Identifier: BSD-3-Clause */
/* test_paths.c - short paths: expected forms are those of upstream on CPython 3.11. */
#include "src/base/text.h"
#include <pyinstrument/session.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct pyi_session *session_of(const char *const *entries)
{
    struct pyi_session *session;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    for (; *entries; entries++)
        assert_int_equal(
            pyi_session_list_append(session, PYI_SESSION_SYS_PATH, pyi_text(*entries), NULL), 0);
    return session;
}

static void check(struct pyi_session *session, const char *path, const char *expected)
{
    for (int i = 0; i < 2; i++) {
        struct pyi_text got = pyi_session_shorten_path(session, pyi_text(path));
        if (!pyi_text_equal(got, pyi_text(expected)))
            fail_msg("%s became %.*s, not %s", path, (int)got.length, got.data, expected);
        assert_int_equal(got.data[got.length], '\0');
    }
}

static void takes_the_fewest_pieces(void **state)
{
    static const char *const entries[] = {"/home/u/proj", "/home/u", NULL};
    static const char *const rows[][2] = {
        {"/home/u/proj/pkg/b.py", "pkg/b.py"},
        {"/home/u/other/c.py", "other/c.py"},
        {"/home/x.py", "../x.py"},
        {"/x.py", "/x.py"},
        {"/home/u/proj", "."},
        {"/home/u/proj/sub/", "sub"},
        {"/home/u/proj//dbl.py", "dbl.py"},
        {"/home/u/proj/./a/../b/c.py", "b/c.py"},
        {"/../../home/u/proj/x/y.py", "x/y.py"},
        {"//home/u/proj/x.py", "x.py"},
        {"/home/u/project/x.py", "project/x.py"},
        {"C:\\w\\g.py", "C:\\w\\g.py"},
        {"main.py", "main.py"},
        {"<built-in>", "<built-in>"},
        {"", ""},
        {"<weird/thing>", "<weird/thing>"},
        {"/usr/lib/python3.11/json/encoder.py", "/usr/lib/python3.11/json/encoder.py"},
    };
    struct pyi_session *session = session_of(entries);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(session, rows[i][0], rows[i][1]);
    pyi_session_free(session);
}

static void first_of_equals_wins(void **state)
{
    static const char *const entries[] = {"/a/b/c", "/a/b/d", "/a/b/d/", NULL};
    struct pyi_session *session = session_of(entries);
    check(session, "/a/b/x/y/z.py", "../x/y/z.py");
    check(session, "/a/b/d/y/z.py", "y/z.py");
    pyi_session_free(session);
}

static void relative_entries_start_at_the_current_directory(void **state)
{
    char directory[] = "/tmp/pyi-test-XXXXXX", path[128], *old = getcwd(NULL, 0);
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    static const char *const entries[] = {"", "lib", NULL};
    struct pyi_session *session = session_of(entries);
    snprintf(path, sizeof(path), "%s/pkg/a.py", directory);
    check(session, path, "pkg/a.py");
    snprintf(path, sizeof(path), "%s/lib/q/a.py", directory);
    check(session, path, "q/a.py");
    check(session, "./e.py", "e.py");
    check(session, "lib/../lib/f.py", "f.py");
    pyi_session_free(session);
    /* A directory that is gone is no reason to fail. */
    session = session_of(entries);
    assert_int_equal(rmdir(directory), 0);
    check(session, "/a/b/c.py", "/a/b/c.py");
    check(session, "a/b/c.py", "a/b/c.py");
    pyi_session_free(session);
    assert_int_equal(chdir(old), 0);
    free(old);
}

static void new_entries_are_seen(void **state)
{
    static const char *const entries[] = {NULL};
    struct pyi_session *session = session_of(entries);
    check(session, "/p/q/r.py", "/p/q/r.py");
    assert_int_equal(pyi_session_list_append(session, PYI_SESSION_SYS_PATH, pyi_text("/p/q"), NULL),
                     0);
    check(session, "/p/q/r.py", "r.py");
    pyi_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_fewest_pieces),
        cmocka_unit_test(first_of_equals_wins),
        cmocka_unit_test(relative_entries_start_at_the_current_directory),
        cmocka_unit_test(new_entries_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
