/* SPDX-License-Identifier: BSD-3-Clause */
/* report.h - from a session to a report in its place: which renderer, which options, where to. */
#ifndef PYI_CLI_REPORT_H
#define PYI_CLI_REPORT_H

#include "src/cli/errors.h"
#include <pyinstrument/recorder.h>
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>
#include <signal.h>

struct pyi_report {
    const struct pyi_renderer *renderer;
    struct pyi_render_options *options;
    struct pyi_session *base;                /* to compare with, NULL none */
    const char *outfile;                     /* NULL: standard output */
    const volatile sig_atomic_t *interrupts; /* writing is given up at the second; may be NULL */
    bool recorded; /* the session is nowhere else yet: it is kept when its report cannot be */
    bool progress; /* a line on stderr when writing takes long */
    bool compact;  /* under our own header: what follows goes to stderr */
};

/* Everything that can be wrong before a session exists: renderer, outfile, options. Returns 0, or
 * the exit status after the message was printed. */
int pyi_report_prepare(const struct pyi_console *console, struct pyi_report *out);
/* Renders and, for text without an outfile, stores the session and prints the hint. Returns 0 or
 * the exit status after the message was printed; without one PYI_EXIT_INTERRUPTED when writing was
 * given up, PYI_EXIT_PIPE when the reader of standard output has gone. */
int pyi_report_write(const struct pyi_console *console, const struct pyi_report *report,
                     struct pyi_session *session);
/* The same when the outfile was written while recording: says how that went. */
int pyi_report_streamed(const struct pyi_console *console, const struct pyi_report *report,
                        struct pyi_session *session, const struct pyi_recorder *recorder);
/* The report so far, of a recording that goes on: into the outfile, else the session into the
 * store. Failures are printed and change nothing. */
void pyi_report_interim(const struct pyi_console *console, const struct pyi_report *report,
                        struct pyi_session *session);
void pyi_report_deinit(struct pyi_report *report);

/* What --color and --no-color say: 1 on, 0 off, -1 nothing, so that the stream decides. */
int pyi_report_color_asked(const struct pyi_options *options);

#endif
