/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports saved sessions: --load (files, patterns, standard input; several become one session),
 * --load-prev (the store), and the list of the store. */
#include "src/cli/commands.h"
#include "src/base/error.h"
#include "src/base/json_reader.h"
#include "src/base/text.h"
#include "src/cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pyinstrument/session.h>
#include <string.h>
#include <unistd.h>

static void free_session(struct pyi_session **session)
{
    pyi_session_free(*session);
}

/* Adds one file's session to what was loaded so far. */
static int load_one(const struct pyi_console *console, const char *path, struct pyi_session **all,
                    struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    int code = pyi_session_load(path, &session, err);
    if (code)
        return code;
    if (pyi_session_is_cut(session)) {
        char safe[300];
        pyi_warning_print(console,
                          "%s lacks its end (the recorder was killed, or the disk was full); what "
                          "stands before is shown",
                          pyi_text_safe(pyi_text(path), safe, sizeof(safe)));
    }
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
static int load_word(const struct pyi_console *console, const char *word, struct pyi_session **all,
                     struct pyi_error *err)
{
    glob_t found = {0};
    if (strcmp(word, "-") == 0 || access(word, F_OK) == 0 || !strpbrk(word, "*?[") ||
        glob(word, 0, NULL, &found) != 0)
        return load_one(console, word, all, err);
    int code = PYI_OK;
    for (size_t i = 0; i < found.gl_pathc && !code; i++)
        code = load_one(console, found.gl_pathv[i], all, err);
    globfree(&found);
    return code;
}

struct stored {
    const char *id;
    bool found;
};

static void match_id(void *context, const char *id, const char *path)
{
    struct stored *stored = context;
    stored->found = stored->found || strcmp(stored->id, id) == 0;
}

/* What may have been meant by a name that no file has. */
static void explain(const char *word, struct pyi_error *error)
{
    struct stored stored = {.id = word};
    if (error->os_errno != ENOENT)
        return;
    (void)!pyi_store_list(match_id, &stored, NULL);
    if (stored.found)
        pyi_error_note(error, "a stored session has that name: pyinstrument --load-prev %s", word);
    else if (strpbrk(word, "*?["))
        pyi_error_note(error, "no file fits the pattern");
}

static int load_files(const struct pyi_console *console, struct pyi_session **out)
{
    const struct pyi_options *options = console->options;
    struct pyi_error error = {0};
    for (size_t i = 0; i < options->load_count; i++) {
        if (load_word(console, options->loads[i], out, &error)) {
            explain(options->loads[i], &error);
            return pyi_failure_print(console, &error, "session-bad");
        }
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
    char safe[200];
    fprintf(console->stream,
            "pyinstrument: Couldn't find a profile with identifier %s\n"
            "  try:  pyinstrument --list-prev -v\n",
            pyi_text_safe(pyi_text(id), safe, sizeof(safe)));
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

/* What a stored session says about itself before its records. */
struct summary {
    struct pyi_strbuf headline;
    double duration, samples;
};

static int read_summary(struct pyi_json_reader *reader, struct summary *out, struct pyi_error *err)
{
    enum pyi_json_token token;
    int code = pyi_json_next(reader, &token, err);
    while (!code) {
        code = pyi_json_next(reader, &token, err);
        if (code || token != PYI_JSON_KEY)
            break;
        struct pyi_text key = pyi_json_text(reader);
        double *number = pyi_text_equal(key, pyi_text("duration"))       ? &out->duration
                         : pyi_text_equal(key, pyi_text("sample_count")) ? &out->samples
                                                                         : NULL;
        const bool headline = pyi_text_equal(key, pyi_text("target_description"));
        if (pyi_text_equal(key, pyi_text("frame_records")))
            break;
        code = pyi_json_next(reader, &token, err);
        if (!code && number && token == PYI_JSON_NUMBER)
            *number = pyi_json_number(reader).value;
        else if (!code && headline && token == PYI_JSON_STRING)
            pyi_strbuf_safe(&out->headline, pyi_json_text(reader), PYI_TEXT_STRICT);
        else if (!code)
            code = pyi_json_skip(reader, token, err);
    }
    return code;
}

/* "2026-11-20T14-18-34     4.093 s      530 samples  Program: shop.py" */
static void print_summary(const char *id, const char *path)
{
    const size_t length = strlen(path), ending = strlen(".pyirec");
    struct pyi_session *session = NULL;
    char safe[300];
    if (length > ending && strcmp(path + length - ending, ".pyirec") == 0 &&
        pyi_session_load(path, &session, NULL) == PYI_OK) {
        printf("%s %9.3f s %8.0f samples  %s\n", id,
               pyi_session_number(session, PYI_SESSION_DURATION).value,
               pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).value,
               pyi_text_safe(pyi_session_target_description(session), safe, sizeof(safe)));
        pyi_session_free(session);
        return;
    }
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct pyi_json_reader *reader = NULL;
    struct summary summary = {0};
    if (fd < 0 || pyi_json_reader_open(fd, path, &reader, NULL) ||
        read_summary(reader, &summary, NULL))
        printf("%s  cannot be read\n", id);
    else
        printf("%s %9.3f s %8.0f samples  %s\n", id, summary.duration, summary.samples,
               pyi_strbuf_get(&summary.headline).data);
    pyi_json_reader_close(reader);
    pyi_strbuf_deinit(&summary.headline);
}

static void print_stored(void *context, const char *id, const char *path)
{
    const struct pyi_console *console = context;
    if (pyi_options_given(console->options, PYI_OPT_VERBOSE))
        print_summary(id, path);
    else
        printf("%s\n", id);
}

int pyi_command_list(const struct pyi_console *console)
{
    struct pyi_error error = {0};
    if (pyi_store_list(print_stored, (void *)console, &error))
        return pyi_failure_print(console, &error, "session-bad");
    return 0;
}
