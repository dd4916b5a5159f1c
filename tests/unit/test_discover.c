/* SPDX-License-Identifier: BSD-3-Clause */
/* test_discover.c - children found in a folder that stands for /proc. */
#include "src/record/follow/discover.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull

static char proc[64];

static void write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", proc, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", proc, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

/* `group`: the process it is a thread of. */
static void make_process(int pid, int parent, int session, int group, const char *name)
{
    char path[100], text[300];
    snprintf(path, sizeof(path), "%d", pid);
    make_folder(path);
    snprintf(path, sizeof(path), "%d/stat", pid);
    snprintf(text, sizeof(text),
             "%d (%s) S %d %d %d 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 99 1\n", pid, name,
             parent, session, session, 100000 + pid);
    write_file(path, text);
    snprintf(path, sizeof(path), "%d/status", pid);
    snprintf(text, sizeof(text), "Name:\t%s\nUmask:\t0022\nState:\tS\nTgid:\t%d\nPid:\t%d\n", name,
             group, pid);
    write_file(path, text);
    snprintf(path, sizeof(path), "%d/task", pid);
    make_folder(path);
    snprintf(path, sizeof(path), "%d/task/%d", pid, pid);
    make_folder(path);
    snprintf(path, sizeof(path), "%d/task/%d/children", pid, pid);
    write_file(path, "");
}

static void set_newest(int pid)
{
    char text[100];
    snprintf(text, sizeof(text), "1.20 0.90 0.80 2/345 %d\n", pid);
    write_file("loadavg", text);
}

static int set_up(void **state)
{
    strcpy(proc, "/tmp/pyi-discover-XXXXXX");
    return mkdtemp(proc) ? 0 : -1;
}

static int unlink_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    return remove(path);
}

static int tear_down(void **state)
{
    return nftw(proc, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the caller's side ---- */

struct family {
    pid_t members[100];
    size_t count;
    size_t told; /* calls of found() */
};

static bool is_member(void *context, pid_t pid)
{
    const struct family *family = context;
    for (size_t i = 0; i < family->count; i++)
        if (family->members[i] == pid)
            return true;
    return false;
}

static int found(void *context, pid_t pid, pid_t parent, struct pyi_error *err)
{
    struct family *family = context;
    family->told++;
    if (!is_member(family, pid))
        family->members[family->count++] = pid;
    return 0;
}

static pid_t member_at(void *context, size_t index)
{
    const struct family *family = context;
    return index < family->count ? family->members[index] : 0;
}

static void look(struct pyi_discovery *discovery, struct family *family, uint64_t now)
{
    const struct pyi_discovery_ask ask = {.is_parent = is_member,
                                          .is_session = is_member,
                                          .found = found,
                                          .parent_at = member_at,
                                          .context = family};
    assert_int_equal(pyi_discovery_look(discovery, &ask, now, NULL), 0);
}

static void test_line_of_a_process(void **state)
{
    struct pyi_seen seen;
    make_process(50, 7, 8, 50, "a ) (b) S 1");
    assert_true(pyi_seen_read(proc, 50, &seen));
    assert_int_equal(seen.parent, 7);
    assert_int_equal(seen.session, 8);
    assert_int_equal(seen.state, 'S');
    assert_int_equal(seen.start_ticks, 100050);
    assert_string_equal(seen.name, "a ) (b) S 1");
    assert_false(pyi_seen_read(proc, 51, &seen));
    make_folder("52");
    static const char *const broken[] = {"", "52", "52 (x", "52 (x) S 1 2", ")(", "52 (x) S a b c"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        write_file("52/stat", broken[i]);
        assert_false(pyi_seen_read(proc, 52, &seen));
    }
}

/* The first look lists children and theirs, without being told of anything new. */
static void test_children_that_are_there(void **state)
{
    struct family family = {.members = {10}, .count = 1};
    struct pyi_discovery discovery;
    make_process(10, 1, 10, 10, "sh");
    make_process(11, 10, 10, 11, "python");
    make_process(12, 11, 10, 12, "python");
    make_process(13, 1, 13, 13, "other");
    write_file("10/task/10/children", "11 ");
    write_file("11/task/11/children", "12 ");
    set_newest(13);
    pyi_discovery_init(&discovery, proc, 0);
    assert_true(pyi_discovery_due(&discovery, 0));
    look(&discovery, &family, 0);
    assert_int_equal(family.count, 3);
    assert_int_equal(family.members[2], 12);
    assert_false(pyi_discovery_due(&discovery, MS));
    assert_true(pyi_discovery_due(&discovery, 100 * MS));
    pyi_discovery_deinit(&discovery);
}

/* Numbers handed out since: children of ours, not their threads, not those of others; one whose
 * parent has gone is known by its session. */
static void test_new_numbers(void **state)
{
    struct family family = {.members = {10}, .count = 1};
    struct pyi_discovery discovery;
    make_process(10, 1, 10, 10, "python");
    set_newest(10);
    pyi_discovery_init(&discovery, proc, 0);
    look(&discovery, &family, 0);
    make_process(11, 10, 10, 11, "python");
    make_process(12, 10, 10, 11, "thread");
    make_process(13, 1, 9, 13, "other");
    make_process(14, 1, 11, 14, "orphan");
    set_newest(14);
    assert_true(pyi_discovery_due(&discovery, MS));
    look(&discovery, &family, MS);
    assert_int_equal(family.count, 3);
    assert_int_equal(family.members[1], 11);
    assert_int_equal(family.members[2], 14);
    assert_false(pyi_discovery_due(&discovery, MS));
    pyi_discovery_deinit(&discovery);
}

/* A number comes before its process can be seen. */
static void test_not_there_yet(void **state)
{
    struct family family = {.members = {10}, .count = 1};
    struct pyi_discovery discovery;
    make_process(10, 1, 10, 10, "python");
    set_newest(10);
    pyi_discovery_init(&discovery, proc, 0);
    look(&discovery, &family, 0);
    set_newest(12);
    look(&discovery, &family, MS);
    assert_int_equal(family.count, 1);
    make_process(12, 10, 10, 12, "python");
    assert_true(pyi_discovery_due(&discovery, 2 * MS));
    look(&discovery, &family, 2 * MS);
    assert_int_equal(family.members[1], 12);
    /* 11 is looked for once more, then forgotten. */
    look(&discovery, &family, 3 * MS);
    assert_false(pyi_discovery_due(&discovery, 4 * MS));
    pyi_discovery_deinit(&discovery);
}

/* Numbers begin again from below, or too many are new: the children are listed. */
static void test_numbers_wrap(void **state)
{
    struct family family = {.members = {3000}, .count = 1};
    struct pyi_discovery discovery;
    make_process(3000, 1, 10, 3000, "python");
    set_newest(32768);
    pyi_discovery_init(&discovery, proc, 0);
    look(&discovery, &family, 0);
    make_process(301, 3000, 10, 301, "python");
    write_file("3000/task/3000/children", "301 ");
    set_newest(301);
    assert_true(pyi_discovery_due(&discovery, MS));
    look(&discovery, &family, MS);
    assert_int_equal(family.members[1], 301);
    make_process(302, 3000, 10, 302, "python");
    write_file("3000/task/3000/children", "301 302 ");
    set_newest(20000);
    look(&discovery, &family, 2 * MS);
    assert_int_equal(family.members[2], 302);
    pyi_discovery_deinit(&discovery);
}

/* Without loadavg, or with one that makes no sense, children are listed more often. */
static void test_blind(void **state)
{
    static const char *const texts[] = {NULL, "", "0.1 0.2 0.3 1/2 x\n", "nothing\n"};
    make_process(10, 1, 10, 10, "python");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct family family = {.members = {10}, .count = 1};
        struct pyi_discovery discovery;
        write_file("10/task/10/children", "");
        if (texts[i])
            write_file("loadavg", texts[i]);
        pyi_discovery_init(&discovery, proc, 0);
        look(&discovery, &family, 0);
        write_file("10/task/10/children", "77 ");
        assert_false(pyi_discovery_due(&discovery, 4 * MS));
        assert_true(pyi_discovery_due(&discovery, 5 * MS));
        look(&discovery, &family, 5 * MS);
        assert_int_equal(family.count, 2);
        pyi_discovery_deinit(&discovery);
    }
}

static void test_budget(void **state)
{
    struct pyi_budget budget;
    pyi_budget_init(&budget, 10 * MS, 4, 0);
    assert_true(pyi_budget_allows(&budget, 0));
    pyi_budget_spend(&budget, 15 * MS); /* overdrawn by 5 ms, which take 20 to come back */
    assert_false(pyi_budget_allows(&budget, 10 * MS));
    assert_false(pyi_budget_allows(&budget, 20 * MS));
    assert_true(pyi_budget_allows(&budget, 21 * MS));
    assert_true(pyi_budget_allows(&budget, UINT64_MAX)); /* never more than a burst */
    pyi_budget_spend(&budget, 10 * MS);
    assert_false(pyi_budget_allows(&budget, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line_of_a_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_children_that_are_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_there_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blind, set_up, tear_down),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
