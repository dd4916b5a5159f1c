/* SPDX-License-Identifier: BSD-3-Clause */
/* progress.h - the one line that shows a recording under way. */
#ifndef PYI_CLI_PROGRESS_H
#define PYI_CLI_PROGRESS_H

#include <pyinstrument/recorder.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct pyi_progress {
    FILE *stream;
    pid_t pid;
    bool terminal; /* redraw one line; else a full line every ten seconds */
    bool enabled;
    double from;    /* seconds after the start before anything is shown */
    double written; /* elapsed time of the latest full line */
    bool drawn;     /* the line is on the screen now */
    int width;      /* columns; 0: ask the terminal */
};

/* `when`: value of --progress or NULL. A launched program writes to the same terminal, and the
 * line would tear its output: there it is shown only when asked for, and not at once. */
void pyi_progress_init(struct pyi_progress *progress, FILE *stream, bool terminal, bool launched,
                       const char *when);
/* The text of the line, without cursor movement, cut at `width` columns (0: never). */
void pyi_progress_format(pid_t pid, const struct pyi_tally *tally, int width, char *out,
                         size_t size);
/* "186 842 samples, 3:07, 0.2 % missed" */
void pyi_progress_counts(const struct pyi_tally *tally, char *out, size_t size);
/* Shows a new state if it is time to. */
void pyi_progress_update(struct pyi_progress *progress, const struct pyi_tally *tally);
/* Takes the line off the screen. */
void pyi_progress_erase(struct pyi_progress *progress);

/* ---- writing a report ---- */

/* From now on a line "writing FILE" appears after a second, redrawn with the bytes written; one at
 * a time. Nothing when `enabled` is false. */
void pyi_writing_begin(bool enabled, const char *file);
/* So many bytes more were written. */
void pyi_writing_advance(size_t bytes);
/* Takes the line off the screen. */
void pyi_writing_end(void);

#endif
