/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * waits.h - names for the system calls in which threads wait.
 */
#ifndef PYI_ATTACH_WAITS_H
#define PYI_ATTACH_WAITS_H

#include "attach/attach.h"

/** What /proc/PID/task/TID/syscall says. */
enum pyi_syscall_kind {
    PYI_SYSCALL_UNKNOWN, /* unreadable, or nothing that is understood */
    PYI_SYSCALL_RUNNING, /* on a CPU or ready to be */
    PYI_SYSCALL_BLOCKED, /* in a system call */
    PYI_SYSCALL_STALLED, /* asleep outside of any: a page that is being fetched, a stop */
    PYI_SYSCALL_ASLEEP,  /* asleep, in a call or not: never the result of parsing */
};
struct pyi_syscall {
    enum pyi_syscall_kind kind;
    long number;
    uint64_t arguments[6];
};
/** Parses the file's text, which need not end in NUL. */
void pyi_syscall_parse(const char *text, size_t length, struct pyi_syscall *out);
/** Whether it sleeps on a futex. */
bool pyi_syscall_is_futex(const struct pyi_syscall *call);
/** Whether it does on one at an address of the range. */
bool pyi_syscall_waits_on(const struct pyi_syscall *call, uint64_t from, uint64_t to);
/** "read", "futex"; NULL for a number that is not in the table. */
const char *pyi_syscall_name(long number);
/** Row of the table of system calls (tests): false past the end. Numbers are those of x86-64 and
 *  of aarch64, -1 where a call does not exist. */
bool pyi_syscall_row(size_t index, const char **name, long *x86_64, long *aarch64);

struct pyi_waits;
/** Names of one target. NULL on lack of memory. `proc` is borrowed. */
struct pyi_waits *pyi_waits_new(const char *proc, pid_t pid);
void pyi_waits_free(struct pyi_waits *waits);
/** A round begins: what may be spent on files and sockets is there again. */
void pyi_waits_round(struct pyi_waits *waits);
/**
 * What a blocked thread waits in, "[recv tcp 10.0.0.5:5432]" in "<wait>"; safe to print, constant,
 * valid until free. NULL for a call that has no name, when nothing may be spent any more in this
 * round, and on lack of memory.
 */
const struct pyi_code *pyi_waits_name(struct pyi_waits *waits, pid_t tid,
                                      const struct pyi_syscall *call);

#endif
