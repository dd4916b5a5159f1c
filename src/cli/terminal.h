/* SPDX-License-Identifier: BSD-3-Clause */
/* terminal.h - what the environment says about colour, characters and width.
 *
 * Facts come in as a struct, so that every rule can be tested without a terminal. */
#ifndef PYI_CLI_TERMINAL_H
#define PYI_CLI_TERMINAL_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <stdbool.h>

/* What decides about one output stream. NULL: the variable is not set. */
struct pyi_surroundings {
    bool terminal;       /* the stream is one */
    const char *locale;  /* name of LC_CTYPE's locale after setlocale() */
    const char *codeset; /* nl_langinfo(CODESET) */
    const char *term, *no_color, *force_color, *clicolor_force;
    const char *python_io_encoding, *python_utf8, *python_coerce;
};

/* Looks at the stream and the environment. Borrowed strings, valid until they change. */
struct pyi_surroundings pyi_surroundings_of(int fd);
/* Box characters for the report: upstream's rule, by the encoding Python would use. */
bool pyi_surroundings_unicode(const struct pyi_surroundings *around);
/* Colour of the report: upstream's rule (a terminal or not) plus NO_COLOR and CLICOLOR_FORCE. */
bool pyi_surroundings_report_color(const struct pyi_surroundings *around);
/* Colour of our own messages: the same, and TERM=dumb means none. */
bool pyi_surroundings_message_color(const struct pyi_surroundings *around);
/* Rows of the terminal behind `fd`; 0 when there is none. */
int pyi_terminal_rows(int fd);
/* Shows a file in the web browser: the commands of BROWSER, else xdg-open. A browser that fails
 * within a moment is a failure; one that goes on is left alone. Errors: OS, NOMEM. */
int pyi_browser_open(const char *path, struct pyi_error *err) PYI_MUST_CHECK;
/* Columns of the terminal behind `fd`; 80 when there is none. */
int pyi_terminal_width(int fd);

#endif
