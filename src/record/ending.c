/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ending.c - the exit status of somebody else's child.
 *
 * While it is a zombie, /proc/PID/stat has the status; once its parent has collected it, Linux
 * 6.15 and later keep it behind a pidfd that was open before. Where neither helps the status
 * stays unknown.
 */
#include "src/record/ending.h"

#include "src/base/error.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/pidfd.h of 6.15; older headers do not have it. */
struct pidfd_info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
#define INFO_EXIT     (UINT64_C(1) << 3)
#define INFO_GET      _IOWR(0xff, 11, struct pidfd_info)
#define STAT_STATE    1  /* fields of /proc/PID/stat behind the name, from 1 */
#define STAT_EXITCODE 50 /* the 52nd of all */

int pyi_ending_watch(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0); /* always close-on-exec */
}

static bool status_of_collected(int fd, int *status)
{
    struct pidfd_info info = {.mask = INFO_EXIT};
    if (fd < 0 || ioctl(fd, INFO_GET, &info) != 0 || !(info.mask & INFO_EXIT))
        return false;
    *status = info.exit_code;
    return true;
}

static bool status_of_zombie(pid_t pid, int *status)
{
    char path[32], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    PYI_CLEANUP(pyi_cleanup_fclose) FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof(line), file))
        return false;
    char *rest = strrchr(line, ')'); /* the name may hold blanks and parentheses */
    if (!rest)
        return false;
    rest++;
    char state = '?';
    for (int field = 1; field <= STAT_EXITCODE; field++) {
        rest += strspn(rest, " ");
        if (field == STAT_STATE)
            state = *rest;
        if (field < STAT_EXITCODE)
            rest += strcspn(rest, " ");
    }
    return state == 'Z' && sscanf(rest, "%d", status) == 1;
}

bool pyi_ending_status(int fd, pid_t pid, int *status)
{
    return status_of_collected(fd, status) || status_of_zombie(pid, status);
}
