/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.c - what the scheduler knows of the target's threads.
 *
 * Comes in: thread ids. Goes out: CPU seconds. Reading a file that is kept open costs a tenth of
 * opening it, so files stay open, but only so many: the limit on descriptors belongs to the
 * process we live in.
 */
#include "attach/state.h"
#include "attach/process.h"
#include "src/base/error.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MAX_ 128

struct open_file {
    pid_t tid;
    int fd;
};

struct pyi_sched {
    const char *proc;
    pid_t pid;
    struct open_file files[OPEN_MAX_]; /* at tid modulo OPEN_MAX_; tid 0: free */
};

struct pyi_sched *pyi_sched_new(const char *proc, pid_t pid)
{
    struct pyi_sched *state = calloc(1, sizeof(*state));
    if (state) {
        state->proc = proc;
        state->pid = pid;
    }
    return state;
}

void pyi_sched_free(struct pyi_sched *state)
{
    if (!state)
        return;
    for (size_t i = 0; i < OPEN_MAX_; i++)
        if (state->files[i].tid)
            close(state->files[i].fd);
    free(state);
}

/* First number of schedstat: nanoseconds spent on a CPU. */
static double read_schedstat(int fd)
{
    char text[128];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return -1;
    text[n] = 0;
    char *end;
    unsigned long long nanoseconds = strtoull(text, &end, 10);
    return end == text ? -1 : (double)nanoseconds / 1e9;
}

static int open_schedstat(const struct pyi_sched *state, pid_t tid)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%d/task/%d/schedstat", state->proc, (int)state->pid, (int)tid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* For kernels without schedstat. */
static double read_stat(const struct pyi_sched *state, pid_t tid)
{
    struct pyi_process_stat stat;
    if (pyi_process_stat(state->proc, state->pid, tid, &stat, NULL) < 0)
        return -1;
    return stat.cpu;
}

double pyi_sched_thread_cpu(struct pyi_sched *state, pid_t tid)
{
    if (tid <= 0)
        return -1;
    struct open_file *file = &state->files[(unsigned)tid % OPEN_MAX_];
    if (file->tid == tid) {
        double seconds = read_schedstat(file->fd);
        if (seconds >= 0)
            return seconds;
        close(file->fd);
        file->tid = 0;
    }
    int fd = open_schedstat(state, tid);
    if (fd < 0)
        return read_stat(state, tid);
    double seconds = read_schedstat(fd);
    if (seconds < 0 || file->tid) {
        close(fd);
        return seconds >= 0 ? seconds : read_stat(state, tid);
    }
    *file = (struct open_file){tid, fd};
    return seconds;
}

double pyi_sched_process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec now;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
        return -1;
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
