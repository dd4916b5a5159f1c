/* SPDX-License-Identifier: BSD-3-Clause */
/* test_store.c - the directory of recent sessions: names, pruning, listing, refusals. */
#include "src/base/number.h"
#include "src/base/text.h"
#include <pyinstrument/session.h>

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char home[64];
static char *reports;

static int make_home(void **state)
{
    snprintf(home, sizeof(home), "/tmp/pyi-test-XXXXXX");
    if (!mkdtemp(home) || asprintf(&reports, "%s/.local/share/pyinstrument/reports", home) < 0)
        return -1;
    setenv("HOME", home, 1);
    unsetenv("XDG_DATA_HOME");
    setenv("TZ", "JST-9", 1);
    tzset();
    return 0;
}

static void remove_one(void *context, const char *id, const char *path)
{
    unlink(path);
}

static int remove_home(void **state)
{
    if (pyi_store_list(remove_one, NULL, NULL))
        return -1;
    char *slash;
    for (rmdir(reports); (slash = strrchr(reports, '/')) > reports + strlen("/tmp");) {
        *slash = '\0';
        rmdir(reports);
    }
    free(reports);
    return access(home, F_OK) == 0 ? -1 : 0;
}

static int save_at(double start, char id[32], struct pyi_error *err)
{
    struct pyi_session *session;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    pyi_session_set_number(session, PYI_SESSION_START_TIME, pyi_number_double(start));
    int code = pyi_store_save(session, id, err);
    pyi_session_free(session);
    return code;
}

struct listing {
    size_t count;
    char first[32], last[32];
};

static void note(void *context, const char *id, const char *path)
{
    struct listing *listing = context;
    if (!listing->count++)
        snprintf(listing->first, sizeof(listing->first), "%s", id);
    snprintf(listing->last, sizeof(listing->last), "%s", id);
    assert_non_null(strstr(path, id));
}

static void saves_loads_and_prunes(void **state)
{
    struct listing listing = {0};
    assert_int_equal(pyi_store_list(note, &listing, NULL), 0);
    assert_int_equal(listing.count, 0);
    char id[32];
    for (int i = 0; i < 15; i++) {
        assert_int_equal(save_at(1700000000.9 + i, id, NULL), 0);
        listing.count = 0;
        assert_int_equal(pyi_store_list(note, &listing, NULL), 0);
        assert_int_equal(listing.count, i < 11 ? i + 1 : 11);
        assert_string_equal(listing.last, id);
    }
    assert_string_equal(id, "2023-11-15T07-13-34");
    assert_string_equal(listing.first, "2023-11-15T07-13-24");
    /* The same second again replaces. */
    assert_int_equal(save_at(1700000014.1, id, NULL), 0);
    struct pyi_session *session;
    assert_int_equal(pyi_store_load(id, &session, NULL), 0);
    assert_true(pyi_session_number(session, PYI_SESSION_START_TIME).value == 1700000014.1);
    pyi_session_free(session);
    struct pyi_error err = {0};
    assert_int_equal(pyi_store_load("2000-01-01T00-00-00", &session, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOENT);
}

static void other_files_are_left_alone(void **state)
{
    char id[32], *path;
    assert_int_equal(save_at(0, id, NULL), 0);
    assert_true(asprintf(&path, "%s/zz.txt", reports) > 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    for (int i = 1; i < 15; i++)
        assert_int_equal(save_at(i, id, NULL), 0);
    struct listing listing = {0};
    assert_int_equal(pyi_store_list(note, &listing, NULL), 0);
    assert_int_equal(listing.count, 11);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void follows_the_environment(void **state)
{
    char id[32], *elsewhere, *expected;
    assert_true(asprintf(&elsewhere, "%s/.local/share", home) > 0);
    setenv("XDG_DATA_HOME", elsewhere, 1);
    setenv("HOME", "/nonexistent", 1);
    assert_int_equal(save_at(0, id, NULL), 0);
    assert_true(asprintf(&expected, "%s/%s.pyisession", reports, id) > 0);
    assert_int_equal(access(expected, F_OK), 0);
    /* Empty means unset. */
    setenv("XDG_DATA_HOME", "", 1);
    setenv("HOME", home, 1);
    struct pyi_session *session;
    assert_int_equal(pyi_store_load(id, &session, NULL), 0);
    pyi_session_free(session);
    free(elsewhere);
    free(expected);
}

static void refuses_times_that_are_no_dates(void **state)
{
    static const double starts[] = {1e300, -1e300, (double)NAN, (double)INFINITY};
    char id[32] = "untouched";
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(save_at(starts[i], id, NULL), PYI_E_INVALID);
    assert_string_equal(id, "untouched");
}

static void says_why_it_cannot_save(void **state)
{
    char id[32], *blocker;
    assert_true(asprintf(&blocker, "%s/.local", home) > 0);
    FILE *file = fopen(blocker, "w");
    assert_non_null(file);
    fclose(file);
    struct pyi_error err = {0};
    assert_int_equal(save_at(0, id, &err), PYI_E_OS);
    assert_true(err.os_errno == EEXIST || err.os_errno == ENOTDIR);
    assert_non_null(strstr(err.message, blocker));
    unlink(blocker);
    free(blocker);
}

#define HOMED(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOMED(saves_loads_and_prunes),  HOMED(other_files_are_left_alone),
        HOMED(follows_the_environment), HOMED(refuses_times_that_are_no_dates),
        HOMED(says_why_it_cannot_save),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
