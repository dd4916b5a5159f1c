/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * process.c - what /proc says of a process.
 *
 * Comes in: a folder that stands for /proc and a process id. Goes out: facts. Must not know
 * Python, nor judge: why a read is refused is access.c's.
 */
#include "attach/process.h"
#include "src/base/array.h"
#include "src/base/error.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATUS_LIMIT   ((size_t)64 << 10)
#define TASKS_MAX      ((size_t)1 << 20)
#define PROCESSES_SEEN 200000 /* directory entries looked at when all of /proc is searched */

static void format_path(char out[PATH_MAX], const char *proc, pid_t pid, const char *name)
{
    if (pid > 0)
        snprintf(out, PATH_MAX, "%s/%d/%s", proc, (int)pid, name);
    else
        snprintf(out, PATH_MAX, "%s/self/%s", proc, name);
}

static int read_error(int os_errno, pid_t pid, const char *name, struct pyi_error *err)
{
    if (os_errno == ENOENT || os_errno == ESRCH) {
        pyi_error_set(err, PYI_E_GONE, "no process with PID %d", (int)pid);
        pyi_error_slug(err, "no-process");
        return PYI_E_GONE;
    }
    return pyi_error_os(err, os_errno, "cannot read %s of process %d", name, (int)pid);
}

static int read_path(const char *path, size_t limit, struct pyi_strbuf *out)
{
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    char block[16384];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        total += (size_t)n;
        if (total > limit)
            return EFBIG;
        pyi_strbuf_append(out, block, (size_t)n);
    }
    return out->failed ? ENOMEM : 0;
}

int pyi_process_read(const char *proc, pid_t pid, const char *name, size_t limit,
                     struct pyi_strbuf *out, struct pyi_error *err)
{
    char path[PATH_MAX];
    format_path(path, proc, pid, name);
    int os_errno = read_path(path, limit, out);
    if (os_errno == 0)
        return 0;
    if (os_errno == EFBIG)
        return pyi_error_set(err, PYI_E_LIMIT, "%s of process %d is larger than %zu bytes", name,
                             (int)pid, limit);
    return read_error(os_errno, pid, name, err);
}

int pyi_process_link(const char *proc, pid_t pid, const char *name, struct pyi_strbuf *out,
                     struct pyi_error *err)
{
    char path[PATH_MAX], target[PATH_MAX];
    format_path(path, proc, pid, name);
    ssize_t length = readlink(path, target, sizeof(target));
    if (length < 0)
        return read_error(errno, pid, name, err);
    pyi_strbuf_append(out, target, (size_t)length);
    return out->failed ? pyi_error_nomem(err) : 0;
}

/* ---- status ---- */

/* The rest of the line that begins with `key`, NUL-terminated in place of the line's end by
 * the caller's copy; NULL when there is none. */
static const char *status_field(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, key, length) == 0)
            return line + length + strspn(line + length, " \t");
    }
    return NULL;
}

static long long status_number(const char *text, const char *key, int base, long long otherwise)
{
    const char *at = status_field(text, key);
    if (!at || !isxdigit((unsigned char)*at))
        return otherwise;
    return (long long)strtoull(at, NULL, base);
}

static void status_pids(const char *text, struct pyi_process_status *out)
{
    const char *at = status_field(text, "NSpid:");
    out->inner = out->pid;
    out->depth = 1;
    if (!at)
        return;
    uint32_t depth = 0;
    while (isdigit((unsigned char)*at) && depth < 64) {
        char *end;
        out->inner = (pid_t)strtol(at, &end, 10);
        depth++;
        at = end + strspn(end, " \t");
    }
    out->depth = depth ? depth : 1;
}

static void status_name(const char *text, struct pyi_process_status *out)
{
    const char *at = status_field(text, "Name:");
    if (!at)
        return;
    struct pyi_strbuf name = {0};
    pyi_strbuf_os_bytes(&name, at, strcspn(at, "\n"));
    pyi_text_safe(pyi_strbuf_get(&name), out->name, sizeof(out->name));
    pyi_strbuf_deinit(&name);
}

int pyi_process_status(const char *proc, pid_t pid, struct pyi_process_status *out,
                       struct pyi_error *err)
{
    struct pyi_strbuf buffer = {0};
    int code = pyi_process_read(proc, pid, "status", STATUS_LIMIT, &buffer, err);
    if (code < 0) {
        pyi_strbuf_deinit(&buffer);
        return code;
    }
    const char *text = buffer.length ? buffer.data : "";
    struct pyi_process_status status = {.seccomp = -1};
    status.pid = (pid_t)status_number(text, "Pid:", 10, pid);
    status.parent = (pid_t)status_number(text, "PPid:", 10, 0);
    status.tracer = (pid_t)status_number(text, "TracerPid:", 10, 0);
    status.threads = (uint32_t)status_number(text, "Threads:", 10, 0);
    status.seccomp = (int)status_number(text, "Seccomp:", 10, -1);
    status.cap_effective = (uint64_t)status_number(text, "CapEff:", 16, 0);
    status.cap_permitted = (uint64_t)status_number(text, "CapPrm:", 16, 0);
    status.has_memory = status_field(text, "VmSize:") != NULL;
    status.kernel_thread = status_number(text, "Kthread:", 10, 0) == 1;
    const char *state = status_field(text, "State:");
    status.state = state ? *state : 0;
    const char *uid = status_field(text, "Uid:");
    unsigned real = 0, effective = 0, saved = 0;
    if (uid && sscanf(uid, "%u %u %u", &real, &effective, &saved) == 3) {
        status.uid = real;
        status.effective_uid = effective;
        status.saved_uid = saved;
    }
    status_pids(text, &status);
    status_name(text, &status);
    pyi_strbuf_deinit(&buffer);
    *out = status;
    return 0;
}

/* ---- stat ---- */

/* Field `number` (1-based, as proc(5) counts) of the text behind the command name. The name may
 * hold blanks and parentheses: fields are counted from the last ')'. */
static bool stat_field(const char *behind_name, int number, uint64_t *out)
{
    const char *at = behind_name;
    for (int field = 3; field < number; field++) {
        at = strchr(at, ' ');
        if (!at)
            return false;
        at++;
    }
    char *end;
    *out = strtoull(at, &end, 10);
    return end != at;
}

int pyi_process_stat(const char *proc, pid_t pid, pid_t tid, struct pyi_process_stat *out,
                     struct pyi_error *err)
{
    char name[64] = "stat";
    if (tid > 0)
        snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
    struct pyi_strbuf buffer = {0};
    int code = pyi_process_read(proc, pid, name, STATUS_LIMIT, &buffer, err);
    if (code == 0) {
        const char *at = buffer.length ? strrchr(buffer.data, ')') : NULL;
        uint64_t start, user, system, arguments = 0;
        if (at && at[1] == ' ' && stat_field(at + 2, 22, &start) && stat_field(at + 2, 14, &user) &&
            stat_field(at + 2, 15, &system)) {
            stat_field(at + 2, 48, &arguments);
            double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
            *out = (struct pyi_process_stat){.state = at[2],
                                             .start_ticks = start,
                                             .arg_start = arguments,
                                             .cpu = (double)(user + system) * tick};
        } else {
            code =
                pyi_error_set(err, PYI_E_FORMAT, "%s of process %d is malformed", name, (int)pid);
        }
    }
    pyi_strbuf_deinit(&buffer);
    return code;
}

double pyi_process_start_time(uint64_t start_ticks)
{
    struct timespec real, boot;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double booted =
        (double)(real.tv_sec - boot.tv_sec) + (double)(real.tv_nsec - boot.tv_nsec) / 1e9;
    return booted + (double)start_ticks / (double)sysconf(_SC_CLK_TCK);
}

/* ---- root, tasks, children ---- */

void pyi_process_root(const char *proc, pid_t pid, struct pyi_strbuf *out)
{
    char path[PATH_MAX];
    format_path(path, proc, pid, "root");
    struct stat theirs, ours;
    if (stat(path, &theirs) < 0 || stat("/", &ours) < 0)
        return;
    char their_space[64] = "", our_space[64] = "", space[PATH_MAX];
    format_path(space, proc, pid, "ns/mnt");
    ssize_t a = readlink(space, their_space, sizeof(their_space) - 1);
    format_path(space, proc, 0, "ns/mnt");
    ssize_t b = readlink(space, our_space, sizeof(our_space) - 1);
    /* The same directory in another mount namespace may show other mounts below it. */
    bool same_space = a <= 0 || b <= 0 || strcmp(their_space, our_space) == 0;
    if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino && same_space)
        return;
    pyi_strbuf_string(out, path);
}

/* The number a directory entry is, 0 when it is none. */
static pid_t entry_number(const struct dirent *entry)
{
    char *end;
    long number = strtol(entry->d_name, &end, 10);
    return *end == 0 && number > 0 && number <= INT_MAX ? (pid_t)number : 0;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int compare_tasks(const void *a, const void *b)
{
    const struct pyi_task *left = a, *right = b;
    return (left->tid > right->tid) - (left->tid < right->tid);
}

static pid_t task_inner(const char *proc, pid_t pid, pid_t tid)
{
    char name[64];
    snprintf(name, sizeof(name), "task/%d/status", (int)tid);
    struct pyi_strbuf buffer = {0};
    struct pyi_process_status status = {.pid = tid, .inner = 0};
    if (pyi_process_read(proc, pid, name, STATUS_LIMIT, &buffer, NULL) == 0 && buffer.length)
        status_pids(buffer.data, &status);
    pyi_strbuf_deinit(&buffer);
    return status.inner;
}

int pyi_process_tasks(const char *proc, pid_t pid, struct pyi_task **out, size_t *count,
                      struct pyi_error *err)
{
    struct pyi_process_status status;
    int code = pyi_process_status(proc, pid, &status, err);
    if (code < 0)
        return code;
    char path[PATH_MAX];
    format_path(path, proc, pid, "task");
    PYI_CLEANUP(close_directory) DIR *directory = opendir(path);
    if (!directory)
        return read_error(errno, pid, "task", err);
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_task *tasks = NULL;
    size_t capacity = 0, used = 0;
    for (struct dirent *entry; used < TASKS_MAX && (entry = readdir(directory));) {
        pid_t tid = entry_number(entry);
        if (!tid)
            continue;
        if (!pyi_array_reserve(&tasks, &capacity, used + 1, sizeof(*tasks)))
            return pyi_error_nomem(err);
        tasks[used].tid = tid;
        tasks[used++].inner = status.depth > 1 ? task_inner(proc, pid, tid) : tid;
    }
    if (used > 1)
        qsort(tasks, used, sizeof(*tasks), compare_tasks);
    *out = tasks;
    tasks = NULL;
    *count = used;
    return 0;
}

static bool thread_lives(const char *proc, pid_t pid, pid_t tid)
{
    struct pyi_process_stat stat;
    int code = pyi_process_stat(proc, pid, tid, &stat, NULL);
    /* Only that it is not there says so: that we have no descriptor left does not. */
    return code == 0 ? stat.state != 'Z' && stat.state != 'X' : code != PYI_E_GONE;
}

pid_t pyi_process_living_thread(const char *proc, pid_t pid)
{
    char path[PATH_MAX];
    if (thread_lives(proc, pid, 0))
        return pid;
    format_path(path, proc, pid, "task");
    PYI_CLEANUP(close_directory) DIR *directory = opendir(path);
    size_t seen = 0;
    for (struct dirent *entry; directory && seen < TASKS_MAX && (entry = readdir(directory));
         seen++) {
        pid_t tid = entry_number(entry);
        if (tid && tid != pid && thread_lives(proc, pid, tid))
            return tid;
    }
    return 0;
}

bool pyi_process_comm(const char *proc, pid_t pid, pid_t tid, struct pyi_strbuf *out)
{
    char name[64];
    snprintf(name, sizeof(name), "task/%d/comm", (int)tid);
    struct pyi_strbuf raw = {0};
    bool known = pyi_process_read(proc, pid, name, 4096, &raw, NULL) == 0 && raw.length > 0;
    if (known)
        pyi_strbuf_os_bytes(out, raw.data, raw.length - (raw.data[raw.length - 1] == '\n'));
    pyi_strbuf_deinit(&raw);
    return known;
}

struct pid_list {
    pid_t *pids;
    size_t count, capacity;
};

static bool pid_list_add(struct pid_list *list, pid_t pid)
{
    if (!pyi_array_reserve(&list->pids, &list->capacity, list->count + 1, sizeof(pid_t)))
        return false;
    list->pids[list->count++] = pid;
    return true;
}

/* Children as the kernel lists them per thread; false when it has no such file. */
static bool children_listed(const char *proc, pid_t pid, struct pid_list *list, bool *nomem)
{
    struct pyi_task *tasks = NULL;
    size_t count = 0;
    bool any = false;
    if (pyi_process_tasks(proc, pid, &tasks, &count, NULL) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof(name), "task/%d/children", (int)tasks[i].tid);
        struct pyi_strbuf text = {0};
        if (pyi_process_read(proc, pid, name, (size_t)1 << 20, &text, NULL) == 0) {
            any = true;
            for (char *at = text.data, *end; at && *at; at = end) {
                long child = strtol(at, &end, 10);
                if (end == at)
                    break;
                if (child > 0 && !pid_list_add(list, (pid_t)child))
                    *nomem = true;
            }
        }
        pyi_strbuf_deinit(&text);
    }
    free(tasks);
    return any;
}

static bool children_searched(const char *proc, pid_t pid, struct pid_list *list)
{
    PYI_CLEANUP(close_directory) DIR *directory = opendir(proc);
    if (!directory)
        return true;
    int seen = 0;
    for (struct dirent *entry; seen < PROCESSES_SEEN && (entry = readdir(directory)); seen++) {
        pid_t other = entry_number(entry);
        struct pyi_process_status status;
        if (other && pyi_process_status(proc, other, &status, NULL) == 0 && status.parent == pid &&
            !pid_list_add(list, other))
            return false;
    }
    return true;
}

int pyi_process_children(const char *proc, pid_t pid, pid_t **out, size_t *count,
                         struct pyi_error *err)
{
    struct pid_list list = {0};
    bool nomem = false;
    if (!children_listed(proc, pid, &list, &nomem))
        nomem = nomem || !children_searched(proc, pid, &list);
    if (nomem) {
        free(list.pids);
        return pyi_error_nomem(err);
    }
    *out = list.pids;
    *count = list.count;
    return 0;
}

pid_t pyi_process_find_inner(const char *proc, pid_t inner)
{
    PYI_CLEANUP(close_directory) DIR *directory = opendir(proc);
    pid_t found = 0;
    int seen = 0;
    for (struct dirent *entry; directory && seen < PROCESSES_SEEN && (entry = readdir(directory));
         seen++) {
        pid_t pid = entry_number(entry);
        struct pyi_process_status status;
        if (!pid || pyi_process_status(proc, pid, &status, NULL) < 0)
            continue;
        if (status.depth > 1 && status.inner == inner) {
            if (found)
                return 0;
            found = pid;
        }
    }
    return found;
}

/* ---- names ---- */

void pyi_process_program(const char *proc, pid_t pid, struct pyi_strbuf *out)
{
    struct pyi_strbuf raw = {0};
    if (pyi_process_link(proc, pid, "exe", &raw, NULL) == 0 && raw.length) {
        const char *slash = memrchr(raw.data, '/', raw.length);
        const char *base = slash ? slash + 1 : raw.data;
        pyi_strbuf_os_bytes(out, base, (size_t)(raw.data + raw.length - base));
    }
    pyi_strbuf_deinit(&raw);
}

void pyi_process_command(const char *proc, pid_t pid, size_t limit, struct pyi_strbuf *out)
{
    struct pyi_strbuf raw = {0};
    size_t start = out->length;
    if (pyi_process_read(proc, pid, "cmdline", (size_t)4 << 20, &raw, NULL) == 0) {
        for (size_t at = 0; at < raw.length && out->length - start < limit;) {
            struct pyi_strbuf word = {0};
            size_t length = strnlen(raw.data + at, raw.length - at);
            pyi_strbuf_os_bytes(&word, raw.data + at, length);
            if (at > 0)
                pyi_strbuf_char(out, ' ');
            pyi_strbuf_shell_quote(out, pyi_strbuf_get(&word));
            pyi_strbuf_deinit(&word);
            at += length + 1;
        }
    }
    pyi_strbuf_deinit(&raw);
    if (!out->failed && out->data && out->length > start + limit) {
        size_t cut = start + limit;
        while (cut > start && ((unsigned char)out->data[cut] & 0xc0) == 0x80)
            cut--;
        out->length = cut;
        out->data[cut] = 0;
    }
}
