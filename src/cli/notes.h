/* SPDX-License-Identifier: BSD-3-Clause */
/* notes.h - what is to be said about a finished recording besides its report. */
#ifndef PYI_CLI_NOTES_H
#define PYI_CLI_NOTES_H

#include "src/cli/errors.h"
#include <pyinstrument/recorder.h>

struct pyi_recorded {
    struct pyi_tally tally;
    enum pyi_recording_end end;
    int detail;             /* exit status or signal, -1 unknown */
    double interval;        /* seconds, as asked for */
    const char *mode;       /* which samples were kept, NULL all */
    struct pyi_text became; /* PYI_END_EXEC: the new program; "" unknown */
    pid_t pid;
    bool launched;
    bool terminal;      /* stderr is one */
    bool out_of_memory; /* the kernel has ended something in its control group meanwhile */
};

/* How the target of an attach ended, if it did; then the line of counts. */
void pyi_notes_print(const struct pyi_console *console, const struct pyi_recorded *recorded);
/* Where the kernel counts the processes it ended for lack of memory, for the control group of one
 * process, and how many there were. */
struct pyi_oom_watch {
    char counter[600]; /* path; empty when unknown */
    long long kills;
};

/* To be called while the process lives. `proc` and `cgroup`: where these file systems are. */
void pyi_oom_watch(struct pyi_oom_watch *watch, const char *proc, const char *cgroup, pid_t pid);
/* Whether there are more by now; the process itself may be gone. */
bool pyi_oom_rose(const struct pyi_oom_watch *watch);
/* Warnings with numbers and the remedy: nothing or little recorded, samples missed, reads failed,
 * stacks cut. */
void pyi_warnings_print(const struct pyi_console *console, const struct pyi_recorded *recorded);
/* The next rounder interval above `interval` seconds: 1, 2, 5, 10, ... */
double pyi_interval_above(double interval);

#endif
