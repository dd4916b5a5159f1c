/* SPDX-License-Identifier: BSD-3-Clause */
/* errors.h - everything the program says on stderr besides progress.
 *
 * A cause has a slug; a row per slug gives the exit status and the commands that help, filled in
 * from the real command line. */
#ifndef PYI_CLI_ERRORS_H
#define PYI_CLI_ERRORS_H

#include "src/cli/options/options.h"
#include <pyinstrument/error.h>
#include <stdio.h>

enum pyi_exit_status {
    PYI_EXIT_OK = 0,
    PYI_EXIT_FAILURE = 1,
    PYI_EXIT_USAGE = 2,
    PYI_EXIT_TARGET = 3,     /* cannot be profiled */
    PYI_EXIT_PERMISSION = 4, /* not allowed */
    PYI_EXIT_NOTHING = 5,    /* no such process, or no samples in an attach */
    PYI_EXIT_INTERRUPTED = 130,
    PYI_EXIT_PIPE = 141, /* nobody reads our output any more */
};

/* Where and how messages go. */
struct pyi_console {
    const struct pyi_options *options;
    FILE *stream;
    bool color;
};

/* Known cause of a failure. */
struct pyi_error_row {
    const char *slug;
    const char *environment; /* applies only when this variable is set; such rows come first */
    int status;
    const char *why, *note; /* when the failure itself brings none; templates */
    const char *tries[2];   /* commands, safest first; templates */
};

/* The row of a slug; NULL when there is none. */
const struct pyi_error_row *pyi_error_row_find(const char *slug);
/* All rows by number, for tests and the manual; NULL past the end. */
const struct pyi_error_row *pyi_error_row_at(size_t index);

/* Exit status of a failure: by its slug, else by `fallback` (a slug, may be NULL), else by code. */
int pyi_failure_status(const struct pyi_error *error, const char *fallback);
/* Prints a failure in full and returns its exit status. `fallback` as above. */
int pyi_failure_print(const struct pyi_console *console, const struct pyi_error *error,
                      const char *fallback);
/** What is known besides: the row's own note and the library's. Freed by the caller; NULL: none. */
char *pyi_failure_note(const struct pyi_console *console, const struct pyi_error *error,
                       const char *fallback);
/* Only the lines of advice ("  try: "), each behind `indent`; for --diagnose. */
void pyi_failure_advice(const struct pyi_console *console, const struct pyi_error *error,
                        FILE *stream, const char *indent);
/* The same as strings; at most two, to be freed by the caller. Returns the count. */
size_t pyi_failure_tries(const struct pyi_console *console, const struct pyi_error *error,
                         const char *slug, char *out[2]);
/* Usage line, empty line, error; returns the status 2. */
int pyi_usage_print(const struct pyi_console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A failure without further facts. */
int pyi_failure_say(const struct pyi_console *console, const char *slug, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One line "pyinstrument: warning: ..."; nothing under -q. */
void pyi_warning_print(const struct pyi_console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One line "pyinstrument: ..."; nothing under -q. */
void pyi_note_print(const struct pyi_console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
