/* SPDX-License-Identifier: BSD-3-Clause */
/* recording.h - one recording from start to end, shared by the command and its conclusion. */
#ifndef PYI_CLI_RECORDING_H
#define PYI_CLI_RECORDING_H

#include "src/cli/notes.h"
#include "src/cli/progress.h"
#include "src/cli/report.h"
#include "src/cli/rolling.h"
#include <pyinstrument/recorder.h>

/* One recording from start to end. */
struct pyi_recording {
    const struct pyi_console *console;
    struct pyi_report report;
    struct pyi_recorder_options options;
    struct pyi_strbuf description;
    struct pyi_recorder *recorder;
    struct pyi_progress progress;
    struct pyi_oom_watch memory;
    struct pyi_strbuf outfile; /* its name, with the signs in it replaced */
    struct pyi_rolling rolling;
    double loop;            /* seconds of a file, 0 only one */
    size_t rolled;          /* files written before the last */
    struct pyi_tally total; /* of those */
    bool launched, terminal;
    bool several; /* processes may be: %p, %t and %% in the outfile's name mean something */
};

/* Times the user asked to stop. */
extern volatile sig_atomic_t pyi_interrupts;

/* ---- conclude.c ---- */

/* Reports, counts, warnings. Returns our part of the exit status. */
int pyi_recording_conclude(struct pyi_recording *recording);
/* With --loop: the name of the file that this session goes into. */
void pyi_recording_name_outfile(struct pyi_recording *recording, const struct pyi_session *session);
/* A file of --loop was written. */
void pyi_recording_count_outfile(struct pyi_recording *recording);

/* The last line is about all files. */
void pyi_recording_add_tally(struct pyi_tally *sum, const struct pyi_tally *tally);
/* Words of --mode by enum pyi_mode. */
extern const char *const pyi_recording_modes[PYI_MODE_EXCEPTION + 1];

#endif
