/* SPDX-License-Identifier: BSD-3-Clause */
/* notes.h - what is to be said about a finished recording besides its report. */
#ifndef PYI_CLI_NOTES_H
#define PYI_CLI_NOTES_H

#include "src/cli/errors.h"
#include <pyinstrument/recorder.h>

struct pyi_recorded {
    struct pyi_tally tally;
    enum pyi_recording_end end;
    int detail;      /* exit status or signal, -1 unknown */
    double interval; /* seconds, as asked for */
    struct pyi_text became; /* PYI_END_EXEC: the new program; "" unknown */
    pid_t pid;
    bool launched;
    bool terminal; /* stderr is one */
};

/* How the target of an attach ended, if it did; then the line of counts. */
void pyi_notes_print(const struct pyi_console *console, const struct pyi_recorded *recorded);
/* Warnings with numbers and the remedy: nothing or little recorded, samples missed, reads failed,
 * stacks cut. */
void pyi_warnings_print(const struct pyi_console *console, const struct pyi_recorded *recorded);
/* The next rounder interval above `interval` seconds: 1, 2, 5, 10, ... */
double pyi_interval_above(double interval);

#endif
