/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * process.h - what /proc says of a process.
 *
 * Every function takes the folder that stands for /proc, so that tests can offer a faked one.
 * Texts are in the program's encoding (undecodable bytes as lone surrogates).
 */
#ifndef PYI_ATTACH_PROCESS_H
#define PYI_ATTACH_PROCESS_H

#include "src/base/text.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <sys/types.h>

#define PYI_PROC "/proc"

/** /proc/PID/status, and whether there is a program behind it. */
struct pyi_process_status {
    pid_t pid, parent;
    pid_t inner;    /* the id the process itself sees (last number of NSpid) */
    uint32_t depth; /* numbers in NSpid: 1 in our own pid namespace */
    uid_t uid, effective_uid, saved_uid;
    uint32_t threads;
    char state; /* R S D T t Z X I, 0 unknown */
    bool kernel_thread;
    bool has_memory;
    int seccomp; /* 0 none, 1 strict, 2 filter, -1 unknown */
    pid_t tracer;
    uint64_t cap_effective, cap_permitted;
    char name[64]; /* command name, safe to print */
};

/** `pid` 0 is ourselves. Errors: GONE (no such process), OS. */
int pyi_process_status(const char *proc, pid_t pid, struct pyi_process_status *out,
                       struct pyi_error *err) PYI_MUST_CHECK;

/** What tells one life of a pid from another. */
struct pyi_process_stat {
    char state;
    uint64_t start_ticks; /* since boot; the same until the process ends */
    uint64_t arg_start;   /* where its arguments lie; changes with exec, 0 hidden */
    double cpu;           /* user + system seconds, in steps of a clock tick */
};
/** /proc/PID/stat, or of one thread when `tid` is not 0. Errors: GONE, OS, FORMAT. */
int pyi_process_stat(const char *proc, pid_t pid, pid_t tid, struct pyi_process_stat *out,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Unix seconds of a start time in ticks. */
double pyi_process_start_time(uint64_t start_ticks);

/** Contents of /proc/PID/NAME ("0" pid: self), raw. Errors: GONE, PERM, OS, LIMIT (more than
 * `limit`). */
int pyi_process_read(const char *proc, pid_t pid, const char *name, size_t limit,
                     struct pyi_strbuf *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Target of the link /proc/PID/NAME, raw bytes. Errors: as above. */
int pyi_process_link(const char *proc, pid_t pid, const char *name, struct pyi_strbuf *out,
                     struct pyi_error *err) PYI_MUST_CHECK;

/** "" when the process sees our file system, else "/proc/PID/root". */
void pyi_process_root(const char *proc, pid_t pid, struct pyi_strbuf *out);

/** One thread: its id here and the id it sees itself. */
struct pyi_task {
    pid_t tid, inner;
};
/** All threads, sorted by tid; `*out` is the caller's to free. Errors: GONE, OS, NOMEM. */
int pyi_process_tasks(const char *proc, pid_t pid, struct pyi_task **out, size_t *count,
                      struct pyi_error *err) PYI_MUST_CHECK;
/** A thread through which the process's memory can be had: the first one (whose id is `pid`)
 *  unless it has ended, else any other that lives; 0 when the whole process has ended. A process
 *  whose first thread has ended looks like a zombie while others run, for good or, when another
 *  thread calls exec, for a moment. */
pid_t pyi_process_living_thread(const char *proc, pid_t pid);
/** The kernel's name of a thread, false when it is gone. */
bool pyi_process_comm(const char *proc, pid_t pid, pid_t tid, struct pyi_strbuf *out);

/** Direct children; `*out` is the caller's to free. What cannot be read is no child. */
int pyi_process_children(const char *proc, pid_t pid, pid_t **out, size_t *count,
                         struct pyi_error *err) PYI_MUST_CHECK;
/** The one process whose own namespace calls it `inner`; 0 when there is none or several. */
pid_t pyi_process_find_inner(const char *proc, pid_t inner);

/** Base name of the executable, "" when hidden. */
void pyi_process_program(const char *proc, pid_t pid, struct pyi_strbuf *out);
/** Arguments joined as a shell would need them, cut at `limit` bytes, "" when hidden. */
void pyi_process_command(const char *proc, pid_t pid, size_t limit, struct pyi_strbuf *out);

#endif
