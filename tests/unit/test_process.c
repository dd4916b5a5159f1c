/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_process.c - facts from a faked /proc, and from the real one about ourselves.
 */
#include "attach/process.h"
#include "attach/state.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

/* Writes a file below the faked /proc, making the folders on the way. */
static void put(const char *proc, const char *name, const char *contents)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", proc, name);
    for (char *at = path + strlen(proc) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        mkdir(path, 0700);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(contents, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_proc(void **state)
{
    char name[] = "/tmp/pyi-proc-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    *state = strdup(name);
    return *state ? 0 : -1;
}

static int drop_proc(void **state)
{
    char command[PATH_MAX];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    int status = system(command);
    free(*state);
    return status;
}

static void test_status(void **state)
{
    const char *proc = *state;
    put(proc, "70/status",
        "Name:\tpy) 1\\n\nState:\tS (sleeping)\nTgid:\t70\nPid:\t70\nPPid:\t3\nTracerPid:\t9\n"
        "Uid:\t1000\t1001\t1002\t1003\nNSpid:\t70\t12\t1\nVmSize:\t  100 kB\nThreads:\t4\n"
        "CapPrm:\t0000000000000000\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n");
    struct pyi_process_status status;
    assert_int_equal(pyi_process_status(proc, 70, &status, NULL), 0);
    assert_int_equal(status.pid, 70);
    assert_int_equal(status.parent, 3);
    assert_int_equal(status.inner, 1);
    assert_int_equal(status.depth, 3);
    assert_int_equal(status.uid, 1000);
    assert_int_equal(status.effective_uid, 1001);
    assert_int_equal(status.saved_uid, 1002);
    assert_int_equal(status.threads, 4);
    assert_int_equal(status.state, 'S');
    assert_int_equal(status.seccomp, 2);
    assert_int_equal(status.tracer, 9);
    assert_int_equal(status.cap_effective, 0xa80425fb);
    assert_true(status.has_memory);
    assert_false(status.kernel_thread);
    struct pyi_error err = {0};
    assert_int_equal(pyi_process_status(proc, 71, &status, &err), PYI_E_GONE);
    assert_string_equal(err.slug, "no-process");
    put(proc, "72/status", "");
    assert_int_equal(pyi_process_status(proc, 72, &status, NULL), 0);
    assert_int_equal(status.inner, 72);
}

static void test_stat_with_a_hostile_name(void **state)
{
    const char *proc = *state;
    put(proc, "70/stat",
        "70 (a) R 9 9 (b)) S 3 1 1 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 4321 5 6 7 8 9 10 11 "
        "12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 777 31\n");
    struct pyi_process_stat stat;
    assert_int_equal(pyi_process_stat(proc, 70, 0, &stat, NULL), 0);
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.start_ticks, 4321);
    assert_true(stat.cpu == 300.0 / (double)sysconf(_SC_CLK_TCK));
    put(proc, "71/stat", "71 (short) S 3 1");
    assert_int_equal(pyi_process_stat(proc, 71, 0, &stat, NULL), PYI_E_FORMAT);
    put(proc, "72/stat", "");
    assert_int_equal(pyi_process_stat(proc, 72, 0, &stat, NULL), PYI_E_FORMAT);
}

static void test_threads_across_namespaces(void **state)
{
    const char *proc = *state;
    put(proc, "70/status", "Pid:\t70\nNSpid:\t70\t1\n");
    put(proc, "70/task/70/status", "Pid:\t70\nNSpid:\t70\t1\n");
    put(proc, "70/task/75/status", "Pid:\t75\nNSpid:\t75\t6\n");
    put(proc, "70/task/75/comm", "wor\377ker\n");
    put(proc, "70/task/x/status", "");
    struct pyi_task *tasks = NULL;
    size_t count = 0;
    assert_int_equal(pyi_process_tasks(proc, 70, &tasks, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(tasks[0].tid, 70);
    assert_int_equal(tasks[0].inner, 1);
    assert_int_equal(tasks[1].tid, 75);
    assert_int_equal(tasks[1].inner, 6);
    free(tasks);
    struct pyi_strbuf name = {0};
    assert_true(pyi_process_comm(proc, 70, 75, &name));
    assert_string_equal(name.data, "wor\xed\xb3\xbfker");
    assert_false(pyi_process_comm(proc, 70, 70, &name));
    pyi_strbuf_deinit(&name);
    assert_int_equal(pyi_process_find_inner(proc, 1), 70);
    assert_int_equal(pyi_process_find_inner(proc, 6), 0);
    put(proc, "80/status", "Pid:\t80\nNSpid:\t80\t1\n");
    assert_int_equal(pyi_process_find_inner(proc, 1), 0);
}

static void test_children(void **state)
{
    const char *proc = *state;
    put(proc, "70/status", "Pid:\t70\n");
    put(proc, "70/task/70/children", "71 72 ");
    put(proc, "70/task/73/children", "74");
    pid_t *pids = NULL;
    size_t count = 0;
    assert_int_equal(pyi_process_children(proc, 70, &pids, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(pids[0] + pids[1] + pids[2], 71 + 72 + 74);
    free(pids);
    /* A kernel without these lists: every process is asked for its parent. */
    put(proc, "90/status", "Pid:\t90\n");
    put(proc, "90/task/90/comm", "x");
    put(proc, "91/status", "Pid:\t91\nPPid:\t90\n");
    assert_int_equal(pyi_process_children(proc, 90, &pids, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(pids[0], 91);
    free(pids);
}

static void test_command_is_quoted_and_cut(void **state)
{
    const char *proc = *state;
    char path[PATH_MAX];
    put(proc, "70/cmdline", "");
    snprintf(path, sizeof(path), "%s/70/cmdline", proc);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite("python3\0a b.py\0\0", 1, 16, file);
    fclose(file);
    struct pyi_strbuf text = {0};
    pyi_process_command(proc, 70, 100, &text);
    assert_string_equal(text.data, "python3 'a b.py' ''");
    pyi_strbuf_reset(&text);
    pyi_process_command(proc, 70, 9, &text);
    assert_int_equal(text.length, 9);
    pyi_strbuf_reset(&text);
    pyi_process_command(proc, 71, 9, &text);
    assert_int_equal(text.length, 0);
    pyi_strbuf_deinit(&text);
    struct pyi_strbuf raw = {0};
    assert_int_equal(pyi_process_read(proc, 70, "cmdline", 15, &raw, NULL), PYI_E_LIMIT);
    pyi_strbuf_deinit(&raw);
}

static void test_ourselves(void **state)
{
    struct pyi_process_status status;
    struct pyi_process_stat stat;
    assert_int_equal(pyi_process_status(PYI_PROC, 0, &status, NULL), 0);
    assert_int_equal(status.pid, getpid());
    assert_true(status.has_memory);
    assert_int_equal(pyi_process_stat(PYI_PROC, getpid(), 0, &stat, NULL), 0);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double age = (double)now.tv_sec - pyi_process_start_time(stat.start_ticks);
    assert_true(age > -2 && age < 3600);
    struct pyi_strbuf root = {0};
    pyi_process_root(PYI_PROC, getpid(), &root);
    assert_int_equal(root.length, 0);
    pyi_strbuf_deinit(&root);
}

static void test_cpu_seconds_grow(void **state)
{
    struct pyi_sched *sched = pyi_sched_new(PYI_PROC, getpid());
    assert_non_null(sched);
    pid_t tid = (pid_t)syscall(SYS_gettid);
    double before = pyi_sched_process_cpu(getpid());
    assert_true(before >= 0);
    while (pyi_sched_process_cpu(getpid()) < before + 0.03)
        ;
    double thread = pyi_sched_thread_cpu(sched, tid);
    assert_true(thread >= 0.01);
    assert_true(pyi_sched_thread_cpu(sched, tid) >= thread);
    assert_true(pyi_sched_thread_cpu(sched, 0) == -1);
    assert_true(pyi_sched_thread_cpu(sched, 0x7ffffff0) == -1);
    assert_true(pyi_sched_process_cpu(0x7ffffff0) == -1);
    pyi_sched_free(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, make_proc, drop_proc),
        cmocka_unit_test_setup_teardown(test_stat_with_a_hostile_name, make_proc, drop_proc),
        cmocka_unit_test_setup_teardown(test_threads_across_namespaces, make_proc, drop_proc),
        cmocka_unit_test_setup_teardown(test_children, make_proc, drop_proc),
        cmocka_unit_test_setup_teardown(test_command_is_quoted_and_cut, make_proc, drop_proc),
        cmocka_unit_test(test_ourselves),
        cmocka_unit_test(test_cpu_seconds_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
