/* SPDX-License-Identifier: BSD-3-Clause */
/* options.h - the command line: one table of options, the parser, and what is made from the table.
 *
 * Argument words come in, a struct pyi_options with the last value of every option goes out. The
 * table also makes the help pages, the OPTIONS section of the manual and the completions. What an
 * option does is not known here. */
#ifndef PYI_CLI_OPTIONS_H
#define PYI_CLI_OPTIONS_H

#include <pyinstrument/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* The order of option_table.inc. */
enum pyi_option_id {
    PYI_OPT_VERSION,
    PYI_OPT_HELP,
    PYI_OPT_LOAD,
    PYI_OPT_LOAD_PREV,
    PYI_OPT_MODULE,
    PYI_OPT_CODE,
    PYI_OPT_FROM_PATH,
    PYI_OPT_OUTFILE,
    PYI_OPT_RENDERER,
    PYI_OPT_RENDER_OPTION,
    PYI_OPT_HTML,
    PYI_OPT_TIMELINE,
    PYI_OPT_TARGET_DESCRIPTION,
    PYI_OPT_HIDE,
    PYI_OPT_HIDE_REGEX,
    PYI_OPT_SHOW,
    PYI_OPT_SHOW_REGEX,
    PYI_OPT_SHOW_ALL,
    PYI_OPT_UNICODE,
    PYI_OPT_NO_UNICODE,
    PYI_OPT_COLOR,
    PYI_OPT_NO_COLOR,
    PYI_OPT_INTERVAL,
    PYI_OPT_USE_TIMING_THREAD,
    /* ours */
    PYI_OPT_PID,
    PYI_OPT_SUBPROCESSES,
    PYI_OPT_PYTHON,
    PYI_OPT_LIST_PREV,
    PYI_OPT_DIAGNOSE,
    PYI_OPT_SELF_CHECK,
    PYI_OPT_DUMP,
    PYI_OPT_CORE,
    PYI_OPT_PS,
    PYI_OPT_DURATION,
    PYI_OPT_RATE,
    PYI_OPT_ALL_THREADS,
    PYI_OPT_THREAD,
    PYI_OPT_IDLE,
    PYI_OPT_WAIT,
    PYI_OPT_LIBPYTHON,
    PYI_OPT_ASSUME_VERSION,
    PYI_OPT_C_LABELS,
    PYI_OPT_MODE,
    PYI_OPT_GIL,
    PYI_OPT_WAITS,
    PYI_OPT_NO_GC,
    PYI_OPT_NATIVE,
    PYI_OPT_BLOCKING,
    PYI_OPT_NONBLOCKING,
    PYI_OPT_DUMP_IMAGE,
    PYI_OPT_AGGREGATE,
    PYI_OPT_LOOP,
    PYI_OPT_MAX_FILES,
    PYI_OPT_MAX_CPU,
    PYI_OPT_DIFF,
    PYI_OPT_JSON,
    PYI_OPT_LOCALS,
    PYI_OPT_REVERSE,
    PYI_OPT_FULL,
    PYI_OPT_REPEAT,
    PYI_OPT_EVERY,
    PYI_OPT_QUIET,
    PYI_OPT_VERBOSE,
    PYI_OPT_DEBUG,
    PYI_OPT_PROGRESS,
    PYI_OPT_OPEN,
    PYI_OPT_HYPERLINKS,
    PYI_OPT_JSON_ERRORS,
    PYI_OPT_HELP_ALL,
    PYI_OPT_COMPLETIONS,
    PYI_OPT_PRINT_MAN_OPTIONS,
    PYI_OPTIONS
};

enum pyi_option_group {
    PYI_GROUP_PROFILE,
    PYI_GROUP_SAMPLING,
    PYI_GROUP_OUTPUT,
    PYI_GROUP_FRAMES,
    PYI_GROUP_DISPLAY,
    PYI_GROUP_HELP,
    PYI_GROUPS
};

/* What the value must look like; checked while parsing. */
enum pyi_option_value {
    PYI_VALUE_NONE, /* a switch */
    PYI_VALUE_TEXT,
    PYI_VALUE_INTERVAL, /* seconds or with unit, any sign */
    PYI_VALUE_DURATION, /* seconds or with unit, above zero */
    PYI_VALUE_RATE,     /* hertz or with unit, above zero */
    PYI_VALUE_PID,
    PYI_VALUE_COUNT,   /* a whole number from 1 to a million */
    PYI_VALUE_SHARE,   /* percent, with or without the sign, above zero */
    PYI_VALUE_VERSION, /* X.Y */
    PYI_VALUE_WHEN,    /* always, never, auto */
    PYI_VALUE_SHELL,   /* bash, zsh, fish */
    PYI_VALUE_LABELS,  /* compatible, extended, none */
    PYI_VALUE_MODE,    /* wall, cpu, gil, exception */
};

/* What a shell should offer for the value. */
enum pyi_completion {
    PYI_COMPLETE_NOTHING,
    PYI_COMPLETE_FILE,
    PYI_COMPLETE_SESSION_FILE,
    PYI_COMPLETE_STORED,
    PYI_COMPLETE_PID,
    PYI_COMPLETE_RENDERER,
    PYI_COMPLETE_RENDER_OPTION,
    PYI_COMPLETE_WHEN,
    PYI_COMPLETE_SHELL,
    PYI_COMPLETE_LABELS,
    PYI_COMPLETE_MODE,
    PYI_COMPLETE_DOMAIN,
};

enum pyi_option_flags {
    PYI_OPTION_UPSTREAM = 1,   /* exists in pyinstrument, matched first by prefix */
    PYI_OPTION_COMMON = 2,     /* of ours, and on the short help page */
    PYI_OPTION_HIDDEN = 4,     /* works, is not shown */
    PYI_OPTION_REST = 8,       /* takes its value and every following word */
    PYI_OPTION_IMMEDIATE = 16, /* ends parsing at once: help, version */
    PYI_OPTION_OPTIONAL = 32   /* its value may be left out, and stands behind '=' only */
};

struct pyi_option {
    enum pyi_option_id id;
    const char *name;     /* long name without dashes, NULL if none */
    char letter;          /* short name, 0 if none */
    const char *argument; /* name of the value, NULL for a switch */
    enum pyi_option_value value;
    enum pyi_option_group group;
    const char *fallback; /* default as shown, NULL if none */
    const char *text;     /* one line, lower case, without a full stop */
    enum pyi_completion completion;
    unsigned flags;
};

/* A parsed command line. All strings are borrowed from argv. */
struct pyi_options {
    int argc;
    char *const *argv;
    const char *values[PYI_OPTIONS]; /* of the last occurrence */
    double numbers[PYI_OPTIONS];     /* seconds, hertz or pid where the option has one */
    unsigned order[PYI_OPTIONS];     /* 0: not given; else larger means later on the line */
    unsigned count[PYI_OPTIONS];     /* occurrences */
    int position[PYI_OPTIONS];       /* index in argv of the last occurrence's option word */
    const char **loads;              /* every --load, in order */
    size_t load_count;
    pid_t *pids; /* every --pid, in order, each once */
    size_t pid_count;
    const char **render_options; /* every -p, in order */
    size_t render_option_count;
    char *const *program; /* script and its arguments, or the arguments of -m or -c; may be NULL */
    int program_count;
    enum pyi_option_id immediate; /* help, help-all, version, ... or PYI_OPTIONS */
};

/* Row of an option; never NULL for a valid id. */
const struct pyi_option *pyi_option_at(enum pyi_option_id id);
const char *pyi_option_group_title(enum pyi_option_group group);
static inline bool pyi_options_given(const struct pyi_options *options, enum pyi_option_id id)
{
    return options->order[id] != 0;
}

/* Parses argv[1..]. `out` is usable (and must be freed) also after a failure: it holds what came
 * before the bad word. Errors: INVALID with slug "usage", NOMEM. */
int pyi_options_parse(int argc, char *const *argv, struct pyi_options *out,
                      struct pyi_error *err) PYI_MUST_CHECK;
void pyi_options_free(struct pyi_options *options);

/* Sampling interval asked for by -i or --rate, whichever came last; 0.001 when neither did. */
double pyi_options_interval(const struct pyi_options *options);

/* "30", "1.5s", "200ms", "100us", "5m", "1h" to seconds. False when it is none of these. */
bool pyi_seconds_parse(const char *text, double *seconds);
/* "100", "500hz", "1khz" to hertz. */
bool pyi_rate_parse(const char *text, double *hertz);

/* The first -p that is a bare number, or else the script when it is one and no file: most likely a
 * process id, as long as such a process lives. NULL when there is none. */
const char *pyi_options_mistaken_pid(const struct pyi_options *options);

/* Edit distance of two words; `limit` + 1 when it is more than `limit`. */
size_t pyi_word_distance(const char *a, const char *b, size_t limit);

/* ---- help.c ---- */

enum pyi_help_level { PYI_HELP_COMMON, PYI_HELP_ALL };
/* `width`: columns of the page, see pyi_help_width(). */
void pyi_help_print(FILE *stream, enum pyi_help_level level, int width);
/* COLUMNS, else the terminal's width, else 80; between 40 and 100. */
int pyi_help_width(int fd);
/* The first line of help and of every usage error, without newline. */
const char *pyi_usage_line(void);
/* mdoc source of the manual's list of options. */
void pyi_man_options_print(FILE *stream);

/* ---- completions.c ---- */

/* `shell`: bash, zsh or fish. */
void pyi_completions_print(FILE *stream, const char *shell);

#endif
