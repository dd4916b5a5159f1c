/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports saved sessions: --load (files, patterns, standard input; several become one session),
 * --load-prev (the store), and the list of the store. */
#include "src/cli/commands.h"
#include "src/cli/report.h"

#include <errno.h>
#include <glob.h>
#include <pyinstrument/session.h>
#include <string.h>
#include <unistd.h>

static void free_session(struct pyi_session **session)
{
    pyi_session_free(*session);
}

/* Adds one file's session to what was loaded so far. */
static int load_one(const char *path, struct pyi_session **all, struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    int code = pyi_session_load(path, &session, err);
    if (code)
        return code;
    if (!*all) {
        *all = session;
        return PYI_OK;
    }
    struct pyi_session *combined = NULL;
    code = pyi_session_combine(*all, session, &combined, err);
    pyi_session_free(session);
    if (code)
        return code;
    pyi_session_free(*all);
    *all = combined;
    return PYI_OK;
}

/* A word that names no file but matches some stands for all of them, in alphabetical order. */
static int load_word(const char *word, struct pyi_session **all, struct pyi_error *err)
{
    glob_t found = {0};
    if (strcmp(word, "-") == 0 || access(word, F_OK) == 0 || !strpbrk(word, "*?[") ||
        glob(word, 0, NULL, &found) != 0)
        return load_one(word, all, err);
    int code = PYI_OK;
    for (size_t i = 0; i < found.gl_pathc && !code; i++)
        code = load_one(found.gl_pathv[i], all, err);
    globfree(&found);
    return code;
}

static int load_files(const struct pyi_console *console, struct pyi_session **out)
{
    const struct pyi_options *options = console->options;
    struct pyi_error error = {0};
    for (size_t i = 0; i < options->load_count; i++) {
        if (load_word(options->loads[i], out, &error))
            return pyi_failure_print(console, &error, "session-bad");
    }
    return 0;
}

static int load_stored(const struct pyi_console *console, struct pyi_session **out)
{
    const char *id = console->options->values[PYI_OPT_LOAD_PREV];
    struct pyi_error error = {0};
    int code = pyi_store_load(id, out, &error);
    if (!code)
        return 0;
    if (error.os_errno != ENOENT || pyi_options_given(console->options, PYI_OPT_JSON_ERRORS))
        return pyi_failure_print(console, &error, "session-bad");
    /* Upstream's words, known to scripts. */
    fprintf(console->stream, "pyinstrument: Couldn't find a profile with identifier %s\n", id);
    return PYI_EXIT_FAILURE;
}

int pyi_command_load(const struct pyi_console *console)
{
    struct pyi_report report;
    int status = pyi_report_prepare(console, &report);
    if (!status) {
        __attribute__((cleanup(free_session))) struct pyi_session *session = NULL;
        status = pyi_options_given(console->options, PYI_OPT_LOAD) ? load_files(console, &session)
                                                                   : load_stored(console, &session);
        const char *when = console->options->values[PYI_OPT_PROGRESS];
        report.progress = isatty(STDERR_FILENO) == 1 && !(when && strcmp(when, "never") == 0) &&
                          !pyi_options_given(console->options, PYI_OPT_QUIET);
        if (!status)
            status = pyi_report_write(console, &report, session);
    }
    pyi_report_deinit(&report);
    return status;
}

static void print_id(void *context, const char *id, const char *path)
{
    printf("%s\n", id);
}

int pyi_command_list(const struct pyi_console *console)
{
    struct pyi_error error = {0};
    if (pyi_store_list(print_id, NULL, &error))
        return pyi_failure_print(console, &error, "session-bad");
    return 0;
}
