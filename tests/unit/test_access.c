/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_access.c - one row per cause: a machine made of files, and the slug it must lead to.
 */
#include "attach/access.h"
#include "attach/process.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PTRACE_CAP "0000000000080000"
#define NO_CAPS    "0000000000000000"

struct machine {
    const char *slug;
    const char *why; /* a part of the explanation */
    long our_uid;    /* -1: the user who runs the test, who owns the files */
    long their_uid;  /* the same */
    const char *our_caps, *their_caps;
    const char *our_user_namespace, *their_user_namespace;
    const char *our_map, *their_map;
    const char *yama, *label;
    int seccomp;
    bool container, kubernetes;
};

static const struct machine machines[] = {
    {.slug = "ptrace-uid", .why = "you are", .our_uid = 1000, .their_uid = 33},
    {.slug = "ptrace-uid", .why = "without CAP_SYS_PTRACE", .our_uid = 0, .their_uid = 33},
    {.slug = "container-cap",
     .why = "no CAP_SYS_PTRACE",
     .our_uid = 0,
     .their_uid = 33,
     .container = true},
    {.slug = "container-cap", .our_uid = 0, .their_uid = 33, .kubernetes = true},
    {.slug = "container-cap",
     .our_uid = -1,
     .their_uid = -1,
     .their_caps = PTRACE_CAP,
     .container = true},
    {.slug = "ptrace-caps",
     .why = "capabilities",
     .our_uid = -1,
     .their_uid = -1,
     .their_caps = PTRACE_CAP},
    {.slug = "userns",
     .our_uid = 0,
     .their_uid = 33,
     .our_caps = PTRACE_CAP,
     .our_user_namespace = "user:[1]",
     .their_user_namespace = "user:[2]"},
    {.slug = "userns",
     .our_uid = 0,
     .their_uid = 33,
     .our_caps = PTRACE_CAP,
     .our_map = "0 100000 65536",
     .their_map = "0 0 4294967295"},
    /* The files belong to the user who runs the test, the process to another. */
    {.slug = "not-dumpable", .why = "dumpable", .our_uid = 123456, .their_uid = 123456},
    {.slug = "ptrace-yama", .why = "is 1", .our_uid = -1, .their_uid = -1, .yama = "1\n"},
    {.slug = "ptrace-yama-admin", .why = "is 2", .our_uid = -1, .their_uid = -1, .yama = "2\n"},
    {.slug = "ptrace-yama-off",
     .why = "is 3",
     .our_uid = 0,
     .their_uid = 33,
     .our_caps = PTRACE_CAP,
     .yama = "3\n"},
    {.slug = "container-seccomp",
     .why = "container's seccomp",
     .our_uid = 0,
     .their_uid = 33,
     .our_caps = PTRACE_CAP,
     .yama = "1\n",
     .seccomp = 2,
     .container = true},
    {.slug = "lsm",
     .why = "snap.x (enforce)",
     .our_uid = -1,
     .their_uid = -1,
     .yama = "0\n",
     .label = "snap.x (enforce)\n"},
    {.slug = "", .our_uid = -1, .their_uid = -1, .yama = "0\n", .label = "unconfined\n"},
    /* The user is looked at before Yama, Yama before seccomp. */
    {.slug = "ptrace-uid", .our_uid = 1000, .their_uid = 33, .yama = "3\n", .seccomp = 2},
    {.slug = "ptrace-yama", .our_uid = -1, .their_uid = -1, .yama = "1\n", .seccomp = 2},
};

static void put(const char *root, const char *name, const char *contents)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        mkdir(path, 0700);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(contents, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_link(const char *root, const char *name, const char *target)
{
    char path[PATH_MAX];
    put(root, name, "");
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(target, path), 0);
}

static void put_status(const char *root, const char *name, long uid, const char *caps, int seccomp)
{
    char text[512];
    unsigned id = uid < 0 ? (unsigned)getuid() : (unsigned)uid;
    snprintf(
        text, sizeof(text),
        "Name:\tpython3\nState:\tS\nPid:\t70\nUid:\t%u\t%u\t%u\t%u\nVmSize:\t1 kB\nCapPrm:\t%s\n"
        "CapEff:\t%s\nSeccomp:\t%d\n",
        id, id, id, id, caps ? caps : NO_CAPS, caps ? caps : NO_CAPS, seccomp);
    put(root, name, text);
}

static void build(const char *root, const struct machine *machine)
{
    put_status(root, "proc/70/status", machine->their_uid, machine->their_caps, 0);
    put_status(root, "proc/self/status", machine->our_uid, machine->our_caps, machine->seccomp);
    put(root, "proc/self/cgroup", "0::/user.slice\n");
    if (machine->our_user_namespace) {
        put_link(root, "proc/self/ns/user", machine->our_user_namespace);
        put_link(root, "proc/70/ns/user", machine->their_user_namespace);
    }
    if (machine->our_map) {
        put(root, "proc/self/uid_map", machine->our_map);
        put(root, "proc/70/uid_map", machine->their_map);
    }
    if (machine->yama)
        put(root, "yama", machine->yama);
    if (machine->label)
        put(root, "proc/self/attr/current", machine->label);
    if (machine->container)
        put(root, ".dockerenv", "");
}

static void check(const struct machine *machine, size_t number)
{
    char root[] = "/tmp/pyi-access-XXXXXX", proc[64], yama[64], command[96];
    assert_non_null(mkdtemp(root));
    build(root, machine);
    snprintf(proc, sizeof(proc), "%s/proc", root);
    snprintf(yama, sizeof(yama), "%s/yama", root);
    struct pyi_access_places places = {
        .proc = proc, .root = root, .yama = yama, .kubernetes = machine->kubernetes};
    struct pyi_access access;
    pyi_access_explain(&places, 70, &access);
    if (strcmp(access.slug, machine->slug) != 0)
        fail_msg("row %zu: \"%s\" (%s), not \"%s\"", number, access.slug, access.why,
                 machine->slug);
    if (machine->why && !strstr(access.why, machine->why))
        fail_msg("row %zu: \"%s\" does not say \"%s\"", number, access.why, machine->why);
    struct pyi_error err = {0};
    assert_int_equal(pyi_access_error(&places, 70, "process_vm_readv", EPERM, &err), PYI_E_PERM);
    assert_string_equal(err.slug, machine->slug);
    assert_int_equal(err.os_errno, EPERM);
    assert_non_null(strstr(err.message, "70"));
    assert_int_equal(pyi_access_error(&places, 71, "process_vm_readv", EPERM, &err), PYI_E_GONE);
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static void test_every_cause(void **state)
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++)
        check(&machines[i], i);
}

static void test_message_for_another_user(void **state)
{
    char root[] = "/tmp/pyi-access-XXXXXX", proc[64], command[96];
    assert_non_null(mkdtemp(root));
    build(root, &(struct machine){.our_uid = 4000000, .their_uid = 0});
    snprintf(proc, sizeof(proc), "%s/proc", root);
    struct pyi_access_places places = {.proc = proc, .root = root, .yama = "/nonexistent"};
    struct pyi_error err = {0};
    assert_int_equal(pyi_access_error(&places, 70, "/proc/PID/maps", EACCES, &err), PYI_E_PERM);
    assert_string_equal(err.message,
                        "cannot read process 70: it belongs to user \"root\" (0), you are 4000000");
    assert_string_equal(err.why, "");
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cause),
        cmocka_unit_test(test_message_for_another_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
