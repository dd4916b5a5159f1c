/* SPDX-License-Identifier: BSD-3-Clause */
/* ending.h - how a process that is not our child ended. */
#ifndef PYI_RECORD_ENDING_H
#define PYI_RECORD_ENDING_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor that stands for the process whatever becomes of its number; -1 when the kernel has
 * none. Close-on-exec; close it with close(). */
int pyi_ending_watch(pid_t pid);
/* Whether it has ended and the kernel tells how: `*status` as waitpid() gives it. `fd` may be -1.
 */
bool pyi_ending_status(int fd, pid_t pid, int *status);

#endif
