/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_state.c - states and names of waits, from a /proc made of files.
 */
#include "attach/state.h"
#include "attach/waits.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define PID 7

static char folder[] = "/tmp/pyi-state-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%d/%s", folder, PID, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void write_link(const char *name, const char *target)
{
    char path[PATH_MAX];
    write_file(name, "");
    snprintf(path, sizeof(path), "%s/%d/%s", folder, PID, name);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[PATH_MAX];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    int status = system(command);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    return status;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        enum pyi_syscall_kind kind;
        long number;
        uint64_t first, last;
    } rows[] = {
        {"running\n", PYI_SYSCALL_RUNNING, 0, 0, 0},
        {"202 0x7f00 0x80 0x0 0x0 0x0 0xffffffffffffffff 0x7ffd 0x7f01\n", PYI_SYSCALL_BLOCKED, 202,
         0x7f00, UINT64_MAX},
        {"0 0x3 0x1 0x2 0x3 0x4 0x5 0x7ffd 0x7f01\n", PYI_SYSCALL_BLOCKED, 0, 3, 5},
        {"-1 0x7ffd 0x7f01\n", PYI_SYSCALL_STALLED, 0, 0, 0},
        {"", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"\n", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"0\n", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"0 0x3", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"12x 0x3 0x1 0x2 0x3 0x4 0x5", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"-2 0x3 0x1 0x2 0x3 0x4 0x5", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"run", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
        {"0 a b c d e f", PYI_SYSCALL_BLOCKED, 0, 10, 15},
        {"0 - - - - - -", PYI_SYSCALL_UNKNOWN, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_syscall call;
        pyi_syscall_parse(rows[i].text, strlen(rows[i].text), &call);
        assert_int_equal(call.kind, rows[i].kind);
        if (call.kind != PYI_SYSCALL_BLOCKED)
            continue;
        assert_int_equal(call.number, rows[i].number);
        assert_int_equal(call.arguments[0], rows[i].first);
        assert_int_equal(call.arguments[5], rows[i].last);
    }
    /* Not ended by NUL, and far too long. */
    struct pyi_syscall call;
    pyi_syscall_parse("runningx", 7, &call);
    assert_int_equal(call.kind, PYI_SYSCALL_RUNNING);
    char *many = malloc(100000);
    memset(many, '1', 100000);
    pyi_syscall_parse(many, 100000, &call);
    assert_int_equal(call.kind, PYI_SYSCALL_UNKNOWN);
    free(many);
}

/* The numbers of this machine are those of its headers; no number has two names. */
static void test_table(void **state)
{
    static const struct {
        long number;
        const char *name;
    } known[] = {
        {SYS_read, "read"},
        {SYS_write, "write"},
        {SYS_futex, "futex"},
        {SYS_connect, "connect"},
        {SYS_recvfrom, "recv"},
        {SYS_sendto, "send"},
        {SYS_accept4, "accept"},
        {SYS_wait4, "wait4"},
        {SYS_waitid, "waitid"},
        {SYS_clock_nanosleep, "nanosleep"},
        {SYS_nanosleep, "nanosleep"},
        {SYS_epoll_pwait, "epoll_wait"},
        {SYS_ppoll, "poll"},
        {SYS_pselect6, "select"},
        {SYS_flock, "flock"},
        {SYS_fcntl, "fcntl"},
        {SYS_fsync, "fsync"},
        {SYS_openat, "openat"},
        {SYS_ioctl, "ioctl"},
        {SYS_getdents64, "getdents"},
        {SYS_splice, "splice"},
        {SYS_sendfile, "sendfile"},
        {SYS_pread64, "pread"},
        {SYS_preadv2, "preadv2"},
        {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
        {SYS_io_getevents, "io_getevents"},
        {SYS_msgrcv, "msgrcv"},
        {SYS_semtimedop, "semtimedop"},
        {SYS_getrandom, "getrandom"},
        {SYS_mq_timedreceive, "mq_receive"},
        {SYS_sync_file_range, "sync_file_range"},
        {SYS_clone, "clone"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_non_null(pyi_syscall_name(known[i].number));
        assert_string_equal(pyi_syscall_name(known[i].number), known[i].name);
    }
    assert_null(pyi_syscall_name(-1));
    assert_null(pyi_syscall_name(100000));
    const char *name, *other;
    long a, b, c, d;
    for (size_t i = 0; pyi_syscall_row(i, &name, &a, &b); i++) {
        assert_true(strlen(name) < 32);
        for (size_t j = 0; j < i; j++) {
            assert_true(pyi_syscall_row(j, &other, &c, &d));
            assert_true(a != c || a == -1);
            assert_true(b != d || b == -1);
        }
    }
}

static void test_waits_on(void **state)
{
    struct pyi_syscall call = {
        .kind = PYI_SYSCALL_BLOCKED, .number = SYS_futex, .arguments = {0x1000}};
    assert_true(pyi_syscall_waits_on(&call, 0x1000, 0x1001));
    assert_false(pyi_syscall_waits_on(&call, 0x1001, 0x2000));
    assert_false(pyi_syscall_waits_on(&call, 0xf00, 0x1000));
    call.number = SYS_read;
    assert_false(pyi_syscall_waits_on(&call, 0x1000, 0x1001));
    call = (struct pyi_syscall){.kind = PYI_SYSCALL_RUNNING, .arguments = {0x1000}};
    assert_false(pyi_syscall_waits_on(&call, 0x1000, 0x1001));
}

/* ---- names ---------------------------------------------------------------------------------- */

static void check_name(struct pyi_waits *waits, long number, uint64_t fd, const char *expected)
{
    struct pyi_syscall call = {
        .kind = PYI_SYSCALL_BLOCKED, .number = number, .arguments = {fd, 1, 2, 3, 4, 5}};
    pyi_waits_round(waits);
    const struct pyi_code *code = pyi_waits_name(waits, PID, &call);
    if (!expected) {
        assert_null(code);
        return;
    }
    assert_non_null(code);
    assert_string_equal(code->name.data, expected);
    assert_string_equal(code->filename.data, "<wait>");
    assert_int_equal(code->first_line, 0);
    assert_ptr_equal(pyi_waits_name(waits, PID, &call), code);
}

/* Words of addresses as this machine's kernel writes them. */
#define LOOPBACK (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "0100007F" : "7F000001")

static void make_tables(void)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
             "timeout inode\n"
             "   0: %s:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
             "101 1 0000000000000000 100 0 0 10 0\n"
             "   1: %s:C350 %s:1538 01 00000000:00000000 00:00000000 00000000     0        0 102 1 "
             "0000000000000000 20 4 30 10 -1\n"
             "   2: short line\n"
             "   3: %s:C351 ZZZZZZZZ:1538 01 0:0 0:0 0 0 0 103 1\n"
             "   4: %s:C352 %s 01 0:0 0:0 0 0 0 104 1\n",
             LOOPBACK, LOOPBACK, LOOPBACK, LOOPBACK, LOOPBACK, LOOPBACK);
    write_file("task/7/net/tcp", text);
    snprintf(text, sizeof(text),
             "heading\n"
             "   0: 000000000000000000000000%08X:1F91 00000000000000000000000000000000:0000 0A "
             "0:0 00:0 0 0 0 105 1\n"
             "   1: 0000000000000000%08X%s:0050 0000000000000000%08X%s:0051 01 0:0 00:0 0 0 0 106 "
             "1\n",
             htonl(1), htonl(0xffff), LOOPBACK, htonl(0xffff), LOOPBACK);
    write_file("task/7/net/tcp6", text);
    snprintf(text, sizeof(text),
             "heading\n   5: %s:0035 00000000:0000 07 0:0 00:0 0 0 0 107 2 0 0\n"
             "   6: 00000000:0000 00000000:0000 07 0:0 00:0 0 0 0 108 2 0 0\n",
             LOOPBACK);
    write_file("task/7/net/udp", text);
    write_file("task/7/net/unix",
               "Num       RefCount Protocol Flags    Type St Inode Path\n"
               "0000000000000000: 00000002 00000000 00010000 0001 01 109 /run/a b.sock\n"
               "0000000000000000: 00000003 00000000 00000000 0001 03 110\n"
               "0000000000000000: 00000003 00000000 00000000 0001 03 111 @evil\x1b[2J\n"
               "0000000000000000: bad\n");
}

static void test_sockets(void **state)
{
    static const struct {
        unsigned inode;
        long number;
        const char *name;
    } rows[] = {
        {101, SYS_accept, "[accept tcp 127.0.0.1:8080]"},
        {102, SYS_recvfrom, "[recv tcp 127.0.0.1:5432]"},
        {102, SYS_accept4, "[accept tcp 127.0.0.1:50000]"},
        {103, SYS_recvfrom, "[recv socket]"}, /* its line makes no sense */
        {104, SYS_recvfrom, "[recv socket]"},
        {105, SYS_accept, "[accept tcp [::1]:8081]"},
        {106, SYS_sendto, "[send tcp 127.0.0.1:81]"},
        {107, SYS_recvmsg, "[recvmsg udp 127.0.0.1:53]"},
        {108, SYS_recvmsg, "[recvmsg udp]"},
        {109, SYS_accept, "[accept unix /run/a b.sock]"},
        {110, SYS_read, "[read unix]"},
        {111, SYS_connect, "[connect unix @evil\\x1b[2J]"},
        {999, SYS_recvfrom, "[recv socket]"},
    };
    struct pyi_waits *waits = pyi_waits_new(folder, PID);
    make_tables();
    write_link("task/7/root", "/");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[64], link[64];
        snprintf(name, sizeof(name), "task/7/fd/%zu", i);
        snprintf(link, sizeof(link), "socket:[%u]", rows[i].inode);
        write_link(name, link);
        check_name(waits, rows[i].number, i, rows[i].name);
    }
    pyi_waits_free(waits);
}

static void test_files(void **state)
{
    char path[300];
    struct pyi_waits *waits = pyi_waits_new(folder, PID);
    write_link("task/7/root", "/srv/jail");
    write_link("task/7/fd/1", "/var/log/x");
    write_link("task/7/fd/2", "pipe:[12]");
    write_link("task/7/fd/3", "anon_inode:[eventfd]");
    write_link("task/7/fd/4", "anon_inode:inotify");
    write_link("task/7/fd/5", "/tmp/a\nb\x1b]0;x\x07\xff (deleted)");
    write_link("task/7/fd/6", "/srv/jail/data");
    write_link("task/7/fd/7", "/srv/jailed");
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    write_link("task/7/fd/8", path);
    check_name(waits, SYS_read, 1, "[read /var/log/x]");
    check_name(waits, SYS_read, 2, "[read pipe]");
    check_name(waits, SYS_read, 3, "[read eventfd]");
    check_name(waits, SYS_read, 4, "[read inotify]");
    check_name(waits, SYS_write, 5, "[write /tmp/a\\x0ab\\x1b]0;x\\x07\\xff (deleted)]");
    check_name(waits, SYS_flock, 6, "[flock /data]");
    check_name(waits, SYS_read, 7, "[read /srv/jailed]");
    check_name(waits, SYS_read, 99, "[read]"); /* closed meanwhile */
    check_name(waits, SYS_read, UINT64_MAX, "[read]");
    check_name(waits, SYS_futex, 1, "[futex]");
    check_name(waits, SYS_clock_nanosleep, 1, "[nanosleep]");
    check_name(waits, 99999, 1, NULL);
    struct pyi_syscall call = {.kind = PYI_SYSCALL_BLOCKED, .number = SYS_read, .arguments = {8}};
    const struct pyi_code *code = pyi_waits_name(waits, PID, &call);
    assert_non_null(code);
    assert_true(code->name.length <= 200);
    assert_int_equal(code->name.data[code->name.length - 1], ']');
    pyi_waits_free(waits);
}

/* So many descriptors are looked at in a round, and no more; names that need none are free. */
static void test_links_are_limited(void **state)
{
    struct pyi_waits *waits = pyi_waits_new(folder, PID);
    struct pyi_syscall call = {.kind = PYI_SYSCALL_BLOCKED, .number = SYS_read, .arguments = {1}};
    int named = 0;
    write_link("task/7/root", "/");
    write_link("task/7/fd/1", "/x");
    pyi_waits_round(waits);
    while (named < 1000 && pyi_waits_name(waits, PID, &call))
        named++;
    assert_in_range(named, 1, 64);
    call.number = SYS_futex;
    assert_non_null(pyi_waits_name(waits, PID, &call));
    call.number = SYS_read;
    assert_null(pyi_waits_name(waits, PID, &call));
    pyi_waits_round(waits);
    assert_non_null(pyi_waits_name(waits, PID, &call));
    pyi_waits_free(waits);
}

/* Different names are limited as well: then the call alone is named. */
static void test_names_are_limited(void **state)
{
    struct pyi_waits *waits = pyi_waits_new(folder, PID);
    struct pyi_syscall call = {.kind = PYI_SYSCALL_BLOCKED, .number = SYS_futex, .arguments = {1}};
    write_link("task/7/root", "/");
    assert_non_null(pyi_waits_name(waits, PID, &call));
    call.number = SYS_read;
    call.arguments[0] = 77;
    assert_string_equal(pyi_waits_name(waits, PID, &call)->name.data, "[read]");
    call.arguments[0] = 1;
    for (int i = 0; i < 4200; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/f%d", i);
        write_link("task/7/fd/1", path);
        pyi_waits_round(waits);
        const struct pyi_code *code = pyi_waits_name(waits, PID, &call);
        assert_non_null(code);
        if (i > 4100)
            assert_string_equal(code->name.data, "[read]");
    }
    pyi_waits_free(waits);
}

/* A table without end of line, and one without end. */
static void test_hostile_tables(void **state)
{
    struct pyi_waits *waits = pyi_waits_new(folder, PID);
    char *text = malloc(9 << 20);
    memset(text, 'A', (9 << 20) - 1);
    text[(9 << 20) - 1] = '\0';
    write_file("task/7/net/tcp", text);
    size_t used = 0;
    for (int i = 0; used < (8 << 20); i++)
        used += (size_t)sprintf(text + used, "0: 2 0 0 1 1 %d /s%d\n", i + 1, i);
    write_file("task/7/net/unix", text);
    free(text);
    write_link("task/7/root", "/");
    write_link("task/7/fd/1", "socket:[4000]");
    write_link("task/7/fd/2", "socket:[99999999999999999999999]");
    write_link("task/7/fd/3", "socket:[");
    check_name(waits, SYS_read, 1, "[read unix /s3999]");
    check_name(waits, SYS_read, 2, "[read socket]");
    check_name(waits, SYS_read, 3, "[read socket]");
    pyi_waits_free(waits);
}

/* ---- states --------------------------------------------------------------------------------- */

#define THREADS 200
#define LOCK    UINT64_C(0x5000)

static struct pyi_thread threads[THREADS];
static struct pyi_stack stacks[THREADS];
static struct pyi_activity activities[THREADS];
static const struct pyi_code python_code = {
    .name = {"f", 1}, .filename = {"/a.py", 5}, .first_line = 1};
static const struct pyi_code c_code = {.name = {"recv", 4}, .filename = {"<built-in>", 10}};
static const struct pyi_stack_entry in_python[] = {{.code = &python_code, .line = 3}};
static const struct pyi_stack_entry in_c[] = {{.code = &python_code, .line = 3}, {.code = &c_code}};

static void set_call(pid_t tid, const char *text)
{
    char name[64];
    snprintf(name, sizeof(name), "task/%d/syscall", (int)tid);
    write_file(name, text);
}

static void prepare(size_t count, bool c)
{
    for (size_t i = 0; i < count; i++) {
        threads[i] = (struct pyi_thread){.index = (uint32_t)i, .tid = (pid_t)(100 + i)};
        stacks[i] = (struct pyi_stack){.thread = &threads[i],
                                       .status = PYI_STACK_NEW,
                                       .entries = c ? in_c : in_python,
                                       .depth = c ? 2 : 1};
        activities[i].stack = &stacks[i];
    }
}

static enum pyi_state state_after(struct pyi_sched *sched, struct pyi_activity activity,
                                  bool always)
{
    prepare(1, false);
    activity.stack = &stacks[0];
    pyi_sched_round(sched, &activity, 1, always);
    return stacks[0].state;
}

#define FUTEX_ON_LOCK                                                                              \
    (SYS_futex == 202 ? "202 0x5010 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n"                                 \
                      : "98 0x5010 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n")
#define FUTEX_ELSEWHERE                                                                            \
    (SYS_futex == 202 ? "202 0x9010 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n"                                 \
                      : "98 0x9010 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n")

static void test_states(void **state)
{
    static const struct pyi_activity known = {
        .lock_known = true, .wait_from = LOCK, .wait_to = LOCK + 0x60};
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    struct pyi_activity holder = known, moved = known, asks = known, unknown = {0};
    holder.holds_lock = holder.moved = true;
    moved.moved = true;
    asks.asks_for_lock = true;
    /* The holder that moved, and who says himself that he waits, are not asked for. */
    assert_int_equal(state_after(sched, holder, false), PYI_STATE_RUNNING);
    assert_true(stacks[0].holds_gil);
    assert_int_equal(state_after(sched, asks, false), PYI_STATE_GIL_WAIT);
    assert_int_equal(pyi_sched_probes(sched), 0);
    /* Nothing to read: nothing is known. */
    assert_int_equal(state_after(sched, known, false), PYI_STATE_UNKNOWN);
    set_call(100, "running\n");
    assert_int_equal(state_after(sched, known, false), PYI_STATE_RUNNING);
    set_call(100, FUTEX_ON_LOCK);
    assert_int_equal(state_after(sched, known, false), PYI_STATE_GIL_WAIT);
    assert_int_equal(stacks[0].mark_count, 0);
    set_call(100, FUTEX_ELSEWHERE);
    assert_int_equal(state_after(sched, known, false), PYI_STATE_WAITING);
    assert_int_equal(stacks[0].mark_count, 1);
    assert_string_equal(stacks[0].marks[0]->name.data, "[futex]");
    /* Where the lock is not known a futex may be it, a page fault is not. */
    assert_int_equal(state_after(sched, unknown, false), PYI_STATE_UNKNOWN);
    set_call(100, "-1 0x1 0x2\n");
    assert_int_equal(state_after(sched, unknown, false), PYI_STATE_WAITING);
    assert_int_equal(stacks[0].mark_count, 0);
    set_call(100, "hello\n");
    assert_int_equal(state_after(sched, moved, false), PYI_STATE_UNKNOWN);
    pyi_sched_free(sched);
}

/* Woken but not given a CPU: who waited for the lock, stands where it stood and cannot have had
 * the lock since, still waits. */
static void test_woken_without_the_lock(void **state)
{
    struct pyi_activity it = {
        .lock_known = true, .wait_from = LOCK, .wait_to = LOCK + 0x60, .switches = 5};
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    set_call(100, FUTEX_ON_LOCK);
    assert_int_equal(state_after(sched, it, false), PYI_STATE_GIL_WAIT);
    set_call(100, "running\n");
    assert_int_equal(state_after(sched, it, false), PYI_STATE_GIL_WAIT);
    it.switches = 6;
    assert_int_equal(state_after(sched, it, false), PYI_STATE_GIL_WAIT);
    it.switches = 8; /* came and went */
    assert_int_equal(state_after(sched, it, false), PYI_STATE_RUNNING);
    set_call(100, FUTEX_ON_LOCK);
    assert_int_equal(state_after(sched, it, false), PYI_STATE_GIL_WAIT);
    set_call(100, "running\n");
    it.held_last = true;
    assert_int_equal(state_after(sched, it, false), PYI_STATE_RUNNING);
    it.held_last = false;
    set_call(100, FUTEX_ON_LOCK);
    assert_int_equal(state_after(sched, it, false), PYI_STATE_GIL_WAIT);
    set_call(100, "running\n");
    it.moved = true;
    assert_int_equal(state_after(sched, it, false), PYI_STATE_RUNNING);
    pyi_sched_free(sched);
}

/* A name stays for as long as the thread stays, and is looked up again when it moved. */
static void test_marks(void **state)
{
    struct pyi_activity it = {.lock_known = true, .collecting = true};
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    write_link("task/100/root", "/");
    write_link("task/100/fd/3", "/one");
    set_call(100, SYS_read == 0 ? "0 0x3 1 2 3 4 5\n" : "63 0x3 1 2 3 4 5\n");
    state_after(sched, it, false);
    assert_int_equal(stacks[0].mark_count, 2);
    assert_string_equal(stacks[0].marks[0]->name.data, "<GC>");
    assert_string_equal(stacks[0].marks[0]->filename.data, "<gc>");
    assert_string_equal(stacks[0].marks[1]->name.data, "[read /one]");
    write_link("task/100/fd/3", "/two");
    it.collecting = false;
    state_after(sched, it, false);
    assert_string_equal(stacks[0].marks[0]->name.data, "[read /one]");
    it.moved = true;
    state_after(sched, it, false);
    assert_string_equal(stacks[0].marks[0]->name.data, "[read /two]");
    /* Below a C function only when asked for. */
    prepare(1, true);
    activities[0] = it;
    activities[0].stack = &stacks[0];
    pyi_sched_round(sched, activities, 1, false);
    assert_int_equal(stacks[0].state, PYI_STATE_WAITING);
    assert_int_equal(stacks[0].mark_count, 0);
    prepare(1, true);
    activities[0] = it;
    activities[0].stack = &stacks[0];
    pyi_sched_round(sched, activities, 1, true);
    assert_int_equal(stacks[0].mark_count, 1);
    /* A lost stack has no state. */
    prepare(1, false);
    stacks[0].status = PYI_STACK_LOST;
    pyi_sched_round(sched, activities, 1, true);
    assert_int_equal(stacks[0].state, PYI_STATE_UNKNOWN);
    assert_int_equal(stacks[0].mark_count, 0);
    pyi_sched_free(sched);
}

/* Each thread once; of many at rest a part in each round, and all of them in turn. */
static void test_probes_are_limited(void **state)
{
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    for (int i = 0; i < THREADS; i++) {
        set_call(100 + i, FUTEX_ELSEWHERE);
        activities[i] = (struct pyi_activity){.lock_known = true};
    }
    for (int round = 0; round < 5; round++) {
        uint64_t before = pyi_sched_probes(sched);
        prepare(THREADS, false);
        pyi_sched_round(sched, activities, THREADS, false);
        assert_true(pyi_sched_probes(sched) - before <= (round ? 64 : THREADS));
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(stacks[i].state, PYI_STATE_WAITING);
    }
    /* Asked for less and less often, but not never. */
    uint64_t before = pyi_sched_probes(sched);
    for (int round = 0; round < 160; round++) {
        prepare(10, false);
        pyi_sched_round(sched, activities, 10, false);
    }
    assert_in_range(pyi_sched_probes(sched) - before, 10 * 160 / 10, 10 * 160 / 6);
    for (int i = 0; i < THREADS; i++)
        set_call(100 + i, "running\n");
    for (int round = 0; round < 4 + 8 + 1; round++) {
        prepare(THREADS, false);
        pyi_sched_round(sched, activities, THREADS, false);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(stacks[i].state, PYI_STATE_RUNNING);
    pyi_sched_free(sched);
}

static size_t count_open(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 2048; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_descriptors_are_limited(void **state)
{
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    small = limit;
    small.rlim_cur = 120;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    size_t before = count_open();
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < THREADS; i++) {
        set_call(100 + i, "running\n");
        activities[i] = (struct pyi_activity){.lock_known = true};
    }
    for (int round = 0; round < 3; round++) {
        prepare(THREADS, false);
        pyi_sched_round(sched, activities, THREADS, false);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(stacks[i].state, PYI_STATE_RUNNING);
        assert_true(count_open() - before <= 30);
    }
    /* Those not used for long give way. */
    for (int round = 0; round < 100; round++) {
        prepare(THREADS, false);
        pyi_sched_round(sched, activities + 100, 100, false);
    }
    assert_true(count_open() - before <= 30);
    pyi_sched_free(sched);
    assert_int_equal(count_open(), before);
}

/* Kernels that do not say which call: asleep may be waiting for the lock. */
static void test_without_syscall_file(void **state)
{
    struct pyi_activity it = {.lock_known = true};
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    char line[400] = "100 (a) b) ";
    write_file("task/100/stat",
               strcat(line,
                      "R 1 1 1 0 -1 4194304 1 0 0 0 5 6 0 0 20 0 1 0 1000 0 0 0 0 0 0 0 0 0 0 "
                      "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"));
    assert_int_equal(state_after(sched, it, false), PYI_STATE_RUNNING);
    line[11] = 'S';
    write_file("task/100/stat", line);
    assert_int_equal(state_after(sched, it, false), PYI_STATE_UNKNOWN);
    it.holds_lock = true; /* but not moved */
    assert_int_equal(state_after(sched, it, false), PYI_STATE_WAITING);
    pyi_sched_free(sched);
}

static void test_thread_cpu(void **state)
{
    struct pyi_sched *sched = pyi_sched_new(folder, PID);
    write_file("task/100/schedstat", "1500000000 7 9\n");
    assert_float_equal(pyi_sched_thread_cpu(sched, 100), 1.5, 1e-9);
    write_file("task/100/schedstat", "2500000000 7 9\n");
    assert_float_equal(pyi_sched_thread_cpu(sched, 100), 2.5, 1e-9);
    assert_float_equal(pyi_sched_thread_cpu(sched, 101), -1, 0);
    assert_float_equal(pyi_sched_thread_cpu(sched, 0), -1, 0);
    write_file("task/102/schedstat", "no number\n");
    assert_float_equal(pyi_sched_thread_cpu(sched, 102), -1, 0);
    pyi_sched_free(sched);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parse),
        TEST(test_table),
        TEST(test_waits_on),
        TEST(test_sockets),
        TEST(test_files),
        TEST(test_links_are_limited),
        TEST(test_names_are_limited),
        TEST(test_hostile_tables),
        TEST(test_states),
        TEST(test_woken_without_the_lock),
        TEST(test_marks),
        TEST(test_probes_are_limited),
        TEST(test_descriptors_are_limited),
        TEST(test_without_syscall_file),
        TEST(test_thread_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
