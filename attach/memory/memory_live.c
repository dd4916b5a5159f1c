/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_live.c - memory of a running process.
 *
 * Comes in: a process id. Goes out: bytes, gathered by one process_vm_readv per 1024 ranges. A
 * seccomp filter may refuse that call while /proc/PID/mem still opens (both ask the kernel for
 * the same right), so a refusal makes this back-end change over to the file by itself. Never
 * stops the target, never writes.
 */
#include "attach/memory/memory.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH IOV_MAX

struct live {
    struct pyi_memory memory;
    pid_t pid;
    int file; /* /proc/PID/mem once the call was refused, else -1 */
    struct iovec local[BATCH], remote[BATCH];
};

/* Hands `bytes` that arrived to the ranges, in order. True when all were filled. */
static bool distribute(struct pyi_range *ranges, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t take = bytes < ranges[i].length ? bytes : ranges[i].length;
        ranges[i].got = take;
        bytes -= take;
        if (take < ranges[i].length)
            return false;
    }
    return true;
}

static int gone(struct live *live, struct pyi_error *err)
{
    pyi_error_set(err, PYI_E_GONE, "process %d has ended", (int)live->pid);
    pyi_error_slug(err, "no-process");
    return PYI_E_GONE;
}

/* One range through the file; `*more` tells whether the next range is to be read. */
static int file_read_range(struct live *live, struct pyi_range *range, bool *more,
                           struct pyi_error *err)
{
    *more = false;
    while (range->got < range->length) {
        live->memory.calls++;
        ssize_t n = pread(live->file, (char *)range->into + range->got, range->length - range->got,
                          (off_t)(range->address + range->got));
        if (n > 0) {
            range->got += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        /* End of file means the address space behind the descriptor is no more. */
        if (n == 0 || errno == ESRCH)
            return gone(live, err);
        /* EIO: not mapped. EINVAL: an address no user mapping can have. */
        if (errno == EIO || errno == EFAULT || errno == EINVAL || errno == ENXIO)
            return 0;
        return pyi_error_os(err, errno, "cannot read memory of process %d", (int)live->pid);
    }
    *more = true;
    return 0;
}

static int file_read(struct live *live, struct pyi_range *ranges, size_t count,
                     struct pyi_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool more;
        int code = file_read_range(live, &ranges[i], &more, err);
        if (code < 0 || !more)
            return code;
    }
    return 0;
}

/* The call was refused with `reason`: the file, if it opens, else the refusal. */
static int change_to_file(struct live *live, int reason, struct pyi_error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)live->pid);
    live->file = open(path, O_RDONLY | O_CLOEXEC);
    if (live->file >= 0)
        return 0;
    if (errno == ENOENT || errno == ESRCH)
        return gone(live, err);
    return pyi_error_os(err, reason == ENOSYS ? errno : reason, "cannot read memory of process %d",
                        (int)live->pid);
}

static int live_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                     struct pyi_error *err)
{
    struct live *live = (struct live *)memory;
    while (count > 0 && live->file < 0) {
        size_t batch = count < BATCH ? count : BATCH, wanted = 0;
        for (size_t i = 0; i < batch; i++) {
            live->local[i] = (struct iovec){ranges[i].into, ranges[i].length};
            live->remote[i] =
                (struct iovec){(void *)(uintptr_t)ranges[i].address, ranges[i].length};
            wanted += ranges[i].length;
        }
        memory->calls++;
        ssize_t n = process_vm_readv(live->pid, live->local, batch, live->remote, batch, 0);
        if (n >= 0) {
            if (!distribute(ranges, batch, (size_t)n) || (size_t)n < wanted)
                return 0;
            ranges += batch;
            count -= batch;
        } else if (errno == EFAULT || errno == EINVAL) {
            return 0;
        } else if (errno == ESRCH) {
            return gone(live, err);
        } else if (errno == EPERM || errno == EACCES || errno == ENOSYS) {
            int code = change_to_file(live, errno, err);
            if (code < 0)
                return code;
        } else if (errno != EINTR) {
            return pyi_error_os(err, errno, "cannot read memory of process %d", (int)live->pid);
        }
    }
    return count > 0 ? file_read(live, ranges, count, err) : 0;
}

static void live_close(struct pyi_memory *memory)
{
    struct live *live = (struct live *)memory;
    if (live->file >= 0)
        close(live->file);
    free(live);
}

static const struct pyi_memory_ops live_ops = {
    .name = "live",
    .read = live_read,
    .close = live_close,
};

int pyi_memory_open_live(pid_t pid, struct pyi_memory **out, struct pyi_error *err)
{
    if (pid <= 0)
        return pyi_error_set(err, PYI_E_INVALID, "%d is not a process id", (int)pid);
    struct live *live = malloc(sizeof(*live));
    if (!live)
        return pyi_error_nomem(err);
    live->memory = (struct pyi_memory){.ops = &live_ops};
    live->pid = pid;
    live->file = -1;
    *out = &live->memory;
    return 0;
}

bool pyi_memory_live_by_file(const struct pyi_memory *memory)
{
    return memory && memory->ops == &live_ops && ((const struct live *)memory)->file >= 0;
}

void pyi_memory_live_thread(struct pyi_memory *memory, pid_t tid)
{
    struct live *live = (struct live *)memory;
    live->pid = tid;
}
