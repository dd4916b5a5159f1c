/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses the renderer, builds its options from the command line, and puts the result in its
 * place: standard output, or a file that appears whole or not at all.
 *
 * Whether the session was loaded or just recorded makes no difference here. */
#include "src/cli/report.h"
#include "src/base/error.h"
#include "src/base/invoker.h"
#include "src/base/output.h"
#include "src/base/text.h"
#include "src/cli/progress.h"
#include "src/cli/terminal.h"
#include "src/render/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pyinstrument/frame.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Name of the renderer by the rules of the command line: --html, -r, the outfile's ending, text. */
static int choose_renderer(const struct pyi_console *console, struct pyi_report *report)
{
    const struct pyi_options *options = console->options;
    const char *name = NULL;
    if (pyi_options_given(options, PYI_OPT_HTML))
        name = "html";
    else if (pyi_options_given(options, PYI_OPT_RENDERER))
        name = options->values[PYI_OPT_RENDERER];
    if (name)
        report->renderer = pyi_renderer_by_name(name);
    else if (report->outfile)
        report->renderer = pyi_renderer_by_path(report->outfile);
    if (!report->renderer && !name)
        report->renderer = pyi_renderer_by_name("text");
    if (report->renderer)
        return 0;
    struct pyi_strbuf known = {0};
    const struct pyi_renderer *row;
    for (size_t i = 0; (row = pyi_renderer_at(i)) != NULL; i++)
        pyi_strbuf_format(&known, "%s%s", i ? ", " : "", row->name);
    char safe[120];
    int status =
        pyi_failure_say(console, "renderer-unknown", "unknown renderer '%s'; there are: %s",
                        pyi_text_safe(pyi_text(name ? name : "text"), safe, sizeof(safe)),
                        pyi_strbuf_get(&known).data);
    pyi_strbuf_deinit(&known);
    return status;
}

/* Finds out now what would otherwise be found out after the recording. */
static int check_outfile(const struct pyi_console *console, const char *path)
{
    char safe[200];
    pyi_text_safe(pyi_text(path), safe, sizeof(safe));
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return pyi_failure_say(console, "output-exists", "cannot write %s: it is a directory",
                                   safe);
        if (access(path, W_OK) != 0)
            return pyi_failure_say(console, "output-exists", "cannot write %s: %s", safe,
                                   strerror(errno));
        /* Opening a pipe would wait for its reader. */
        if (!S_ISREG(info.st_mode))
            return 0;
    }
    struct pyi_error error = {0};
    struct pyi_file *file;
    if (pyi_file_create(path, &file, &error)) {
        const char *slash = strrchr(path, '/');
        char folder[200];
        if (error.os_errno == ENOENT && slash && slash > path)
            pyi_error_why(&error, "there is no folder %s",
                          pyi_text_safe((struct pyi_text){path, (size_t)(slash - path)}, folder,
                                        sizeof(folder)));
        return pyi_failure_print(console, &error, "output-exists");
    }
    pyi_file_abandon(file);
    return 0;
}

static bool takes(const struct pyi_renderer *renderer, const char *option)
{
    for (size_t i = 0; renderer->options[i]; i++) {
        if (strcmp(renderer->options[i], option) == 0)
            return true;
    }
    return false;
}

/* One of a pattern's two forms becomes processor_options.KEY; null where none was given. */
static int set_pattern(const struct pyi_options *options, struct pyi_render_options *out,
                       const char *key, enum pyi_option_id glob, enum pyi_option_id regex,
                       const char *otherwise, struct pyi_error *err)
{
    if (pyi_options_given(options, regex))
        otherwise = options->values[regex];
    if (!pyi_options_given(options, glob))
        return pyi_render_options_set_text(out, key, otherwise, err);
    struct pyi_strbuf translated = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&translated);
    int code = pyi_glob_to_regex(pyi_text(options->values[glob]), &sink, err);
    if (!code)
        code = translated.failed
                   ? pyi_error_nomem(err)
                   : pyi_render_options_set_text(out, key, pyi_strbuf_get(&translated).data, err);
    pyi_strbuf_deinit(&translated);
    return code;
}

static int set_patterns(const struct pyi_options *options, struct pyi_render_options *out,
                        struct pyi_error *err)
{
    int code = pyi_render_options_set(out, "processor_options", "{}", err);
    if (!code)
        code = set_pattern(options, out, "processor_options.hide_regex", PYI_OPT_HIDE,
                           PYI_OPT_HIDE_REGEX, NULL, err);
    if (!code)
        code = set_pattern(options, out, "processor_options.show_regex", PYI_OPT_SHOW,
                           PYI_OPT_SHOW_REGEX,
                           pyi_options_given(options, PYI_OPT_SHOW_ALL) ? ".*" : NULL, err);
    return code;
}

static int set_switch(struct pyi_render_options *out, const char *key, bool on,
                      struct pyi_error *err)
{
    return pyi_render_options_set(out, key, on ? "true" : "false", err);
}

/* Whether the last -p of that key has that value. */
static bool is_asked(const struct pyi_options *options, const char *key, const char *value)
{
    const size_t length = strlen(key);
    for (size_t i = options->render_option_count; i-- > 0;) {
        const char *text = options->render_options[i];
        if (strncmp(text, key, length) == 0 && (text[length] == '=' || text[length] == '\0'))
            return text[length] == '=' && strcmp(text + length + 1, value) == 0;
    }
    return false;
}

/* Colour as said on the command line: 1 on, 0 off, -1 left to us. */
int pyi_report_color_asked(const struct pyi_options *options)
{
    const unsigned *order = options->order;
    const char *when = options->values[PYI_OPT_COLOR];
    if (order[PYI_OPT_NO_COLOR] > order[PYI_OPT_COLOR])
        return 0;
    if (order[PYI_OPT_COLOR] == 0 || (when && strcmp(when, "auto") == 0))
        return -1;
    return !when || strcmp(when, "always") == 0;
}

/* What only a terminal gets: links, and under our own header lines that fit its width. */
static int set_terminal(const struct pyi_options *options, const struct pyi_report *report,
                        bool terminal, struct pyi_error *err)
{
    char columns[20];
    snprintf(columns, sizeof(columns), "%d", terminal ? pyi_terminal_width(STDOUT_FILENO) : 0);
    int code = terminal && report->compact
                   ? pyi_render_options_set(report->options, "width", columns, err)
                   : PYI_OK;
    if (!code && terminal && pyi_options_given(options, PYI_OPT_HYPERLINKS))
        code = set_switch(report->options, "hyperlinks", true, err);
    return code;
}

/* What was said last wins; nothing said: the stream and the locale decide. */
static int set_display(const struct pyi_options *options, const struct pyi_report *report,
                       struct pyi_error *err)
{
    const unsigned *order = options->order;
    const bool to_file = report->outfile != NULL;
    struct pyi_render_options *out = report->options;
    struct pyi_surroundings around = pyi_surroundings_of(STDOUT_FILENO);
    bool unicode = to_file || pyi_surroundings_unicode(&around);
    if (order[PYI_OPT_UNICODE] || order[PYI_OPT_NO_UNICODE])
        unicode = order[PYI_OPT_UNICODE] > order[PYI_OPT_NO_UNICODE];
    const bool ours = report->compact || is_asked(options, "colors", "terminal");
    const int asked = pyi_report_color_asked(options);
    const bool detected = !to_file && (ours ? pyi_surroundings_message_color(&around)
                                            : pyi_surroundings_report_color(&around));
    int code = set_switch(out, "unicode", unicode, err);
    if (!code)
        code = set_switch(out, "color", asked < 0 ? detected : asked, err);
    return code ? code : set_terminal(options, report, !to_file && around.terminal, err);
}

static int set_render_options(const struct pyi_options *options, struct pyi_error *err,
                              struct pyi_render_options *out)
{
    for (size_t i = 0; i < options->render_option_count; i++) {
        const char *text = options->render_options[i];
        const char *equals = strchr(text, '=');
        struct pyi_strbuf key = {0};
        pyi_strbuf_append(&key, text, equals ? (size_t)(equals - text) : strlen(text));
        int code = key.failed ? pyi_error_nomem(err)
                              : pyi_render_options_set(out, pyi_strbuf_get(&key).data,
                                                       equals ? equals + 1 : NULL, err);
        pyi_strbuf_deinit(&key);
        if (code)
            return code;
    }
    return PYI_OK;
}

static int build_options(const struct pyi_options *options, struct pyi_report *report,
                         struct pyi_error *err)
{
    int code = pyi_render_options_new(&report->options, err);
    if (!code && (report->renderer->flags & PYI_RENDERER_TREE))
        code = set_patterns(options, report->options, err);
    if (!code && (report->renderer->flags & PYI_RENDERER_TEXT))
        code = set_display(options, report, err);
    if (!code && pyi_options_given(options, PYI_OPT_TIMELINE))
        code = set_switch(report->options, "timeline", true, err);
    if (!code && pyi_options_given(options, PYI_OPT_SHOW_ALL))
        code = set_switch(report->options, "show_all", true, err);
    if (!code && pyi_options_given(options, PYI_OPT_IDLE) && takes(report->renderer, "idle"))
        code = set_switch(report->options, "idle", true, err);
    if (!code)
        code = set_render_options(options, err, report->options);
    /* Links are for eyes: none in a pipe or a file, even if asked for by name. */
    if (!code && takes(report->renderer, "hyperlinks") &&
        (report->outfile || isatty(STDOUT_FILENO) != 1))
        code = set_switch(report->options, "hyperlinks", false, err);
    return code;
}

static int check_patterns(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    if (pyi_options_given(options, PYI_OPT_HIDE) && pyi_options_given(options, PYI_OPT_HIDE_REGEX))
        return pyi_usage_print(console, "You can't specify both --hide and --hide-regex");
    int shows = pyi_options_given(options, PYI_OPT_SHOW) +
                pyi_options_given(options, PYI_OPT_SHOW_REGEX) +
                pyi_options_given(options, PYI_OPT_SHOW_ALL);
    if (shows > 1)
        return pyi_usage_print(console,
                               "You can only specify one of --show, --show-regex and --show-all");
    return 0;
}

/* Upstream's words, then what there is. */
static int refuse_options(const struct pyi_console *console, const struct pyi_renderer *renderer,
                          const struct pyi_error *error)
{
    struct pyi_strbuf known = {0};
    for (size_t i = 0; renderer->options[i]; i++)
        pyi_strbuf_format(&known, "%s%s", i ? ", " : "", renderer->options[i]);
    int status = pyi_usage_print(
        console, "Failed to create %s. Check your renderer options.\n%s\n%s takes: %s",
        renderer->class_name, error->message, renderer->name, pyi_strbuf_get(&known).data);
    pyi_strbuf_deinit(&known);
    return status;
}

/* Names of the formats that can compare, for the message that this one cannot. */
static int refuse_diff(const struct pyi_console *console, const struct pyi_renderer *renderer)
{
    struct pyi_strbuf able = {0};
    const struct pyi_renderer *row;
    for (size_t i = 0; (row = pyi_renderer_at(i)) != NULL; i++)
        if (row->flags & PYI_RENDERER_DIFF)
            pyi_strbuf_format(&able, "%s%s", able.length ? ", " : "", row->name);
    int status = pyi_usage_print(console, "%s cannot show a comparison; --diff goes with -r %s",
                                 renderer->name, pyi_strbuf_get(&able).data);
    pyi_strbuf_deinit(&able);
    return status;
}

/* The session of --diff: a file, else one of the store. */
static int load_base(const struct pyi_console *console, struct pyi_report *report)
{
    const char *name = console->options->values[PYI_OPT_DIFF];
    struct pyi_error error = {0}, ignored = {0};
    if (!pyi_options_given(console->options, PYI_OPT_DIFF))
        return 0;
    if (!(report->renderer->flags & PYI_RENDERER_DIFF))
        return refuse_diff(console, report->renderer);
    if (pyi_session_load(name, &report->base, &error) &&
        (error.os_errno != ENOENT || pyi_store_load(name, &report->base, &ignored)))
        return pyi_failure_print(console, &error, "session-bad");
    return 0;
}

int pyi_report_prepare(const struct pyi_console *console, struct pyi_report *out)
{
    const struct pyi_options *options = console->options;
    *out = (struct pyi_report){
        .outfile = options->values[PYI_OPT_OUTFILE],
        .compact = is_asked(options, "header", "compact"),
    };
    int status = choose_renderer(console, out);
    if (!status && out->outfile)
        status = check_outfile(console, out->outfile);
    if (!status)
        status = check_patterns(console);
    if (!status)
        status = load_base(console, out);
    if (status)
        return status;
    struct pyi_error error = {0};
    if (build_options(options, out, &error))
        return pyi_failure_print(console, &error, "render-failed");
    pyi_render_options_set_base(out->options, out->base);
    if (pyi_renderer_check(out->renderer, out->options, &error))
        return refuse_options(console, out->renderer, &error);
    if (strcmp(out->renderer->name, "html") == 0 &&
        (pyi_option_true(out->options, "show_all") || pyi_option_true(out->options, "timeline")))
        pyi_warning_print(console, "show_all and timeline are deprecated with html and have no "
                                   "effect: the page has them as views");
    if ((out->renderer->flags & PYI_RENDERER_BINARY) && !out->outfile && isatty(STDOUT_FILENO))
        return pyi_usage_print(console, "Can't write binary output to a terminal. Redirect to a "
                                        "file or use --outfile.");
    return 0;
}

void pyi_report_deinit(struct pyi_report *report)
{
    pyi_render_options_free(report->options);
    report->options = NULL;
    pyi_session_free(report->base);
    report->base = NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A sink that gives up once the user has asked twice, and counts. */
struct patience {
    struct pyi_sink inner;
    const struct pyi_report *report;
    size_t *lines;
};

static bool given_up(const struct pyi_report *report)
{
    return report->interrupts && *report->interrupts > 1;
}

static int write_patiently(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    const struct patience *patience = context;
    if (given_up(patience->report))
        return pyi_error_set(err, PYI_E_OS, "writing the report was interrupted");
    const char *end = (const char *)bytes + length;
    for (const char *p = bytes; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        ++*patience->lines;
    pyi_writing_advance(length);
    return patience->inner.write(patience->inner.context, bytes, length, err);
}

static int render_to(const struct pyi_report *report, struct pyi_session *session,
                     struct pyi_sink inner, size_t *lines, struct pyi_error *err)
{
    struct patience patience = {inner, report, lines};
    struct pyi_sink sink = {write_patiently, &patience};
    /* On the terminal the report itself would tear the line. */
    const bool shares = !report->outfile && isatty(STDOUT_FILENO) == 1;
    pyi_writing_begin(report->progress && !shares,
                      report->outfile ? report->outfile : "standard output");
    int code = pyi_render(report->renderer, session, report->options, &sink, err);
    pyi_writing_end();
    return code;
}

static int write_file(const struct pyi_report *report, struct pyi_session *session,
                      struct pyi_error *err)
{
    struct pyi_file *file;
    int code = pyi_file_create(report->outfile, &file, err);
    if (code)
        return code;
    size_t lines = 0;
    code = render_to(report, session, pyi_file_sink(file), &lines, err);
    if (code) {
        pyi_file_abandon(file);
        return code;
    }
    return pyi_file_commit(file, err);
}

static int write_stdout(const struct pyi_report *report, struct pyi_session *session, size_t *lines,
                        struct pyi_error *err)
{
    int fd = STDOUT_FILENO;
    fflush(stdout);
    return render_to(report, session, pyi_sink_fd(&fd), lines, err);
}

static bool is_page(const struct pyi_report *report)
{
    return strcmp(report->renderer->name, "html") == 0;
}

static void open_page(const struct pyi_console *console, const char *path, bool silent)
{
    struct pyi_error error = {0};
    if (pyi_browser_open(path, &error) && !silent)
        pyi_warning_print(console, "%s; the report is in %s", error.message, path);
}

/* A page is of no use to a terminal: it becomes a file that is kept, and a browser shows it. That
 * none is found is no failure, because the file's name is printed. */
static int write_page(const struct pyi_console *console, const struct pyi_report *report,
                      struct pyi_session *session, struct pyi_error *err)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    size_t lines = 0;
    if (!folder || !folder[0])
        folder = "/tmp";
    int length = snprintf(path, sizeof(path), "%s/pyinstrument-XXXXXX.html", folder);
    if (length < 0 || (size_t)length >= sizeof(path))
        return pyi_error_set(err, PYI_E_INVALID, "the name of the folder TMPDIR is too long");
    PYI_CLEANUP(pyi_cleanup_close) int fd = mkostemps(path, (int)strlen(".html"), O_CLOEXEC);
    if (fd < 0)
        return pyi_error_os(err, errno, "cannot create a file in %s", folder);
    pyi_guise_give(fd);
    int code = render_to(report, session, pyi_sink_fd(&fd), &lines, err);
    if (code) {
        unlink(path);
        return code;
    }
    open_page(console, path, true);
    printf("stdout is a terminal, so saved profile output to %s\n", path);
    fflush(stdout);
    return PYI_OK;
}

/* Under our own header: on stderr, for a reader at the terminal only. */
static void hint_aside(const struct pyi_console *console, const char *id, size_t lines)
{
    if (isatty(fileno(console->stream)) != 1)
        return;
    fprintf(console->stream, "saved as %s; pyinstrument --load-prev %s [options]\n", id, id);
    const int rows = pyi_terminal_rows(STDOUT_FILENO);
    if (rows > 0 && lines > (size_t)rows)
        fprintf(console->stream,
                "%zu lines; pyinstrument -p header=compact --color --load-prev %s | less -R\n",
                lines, id);
}

static void store_and_hint(const struct pyi_console *console, const struct pyi_report *report,
                           const struct pyi_session *session, size_t lines)
{
    struct pyi_error error = {0};
    char id[32];
    if (pyi_store_save(session, id, &error)) {
        pyi_warning_print(console, "the session could not be stored: %s", error.message);
        return;
    }
    if (pyi_options_given(console->options, PYI_OPT_QUIET))
        return;
    if (report->compact) {
        hint_aside(console, id, lines);
        return;
    }
    printf("To view this report with different options, run:\n"
           "    pyinstrument --load-prev %s [options]\n"
           "\n",
           id);
    fflush(stdout);
}

/* A comparison shows a recording without holding it. */
static void keep_compared(const struct pyi_console *console, const struct pyi_report *report,
                          const struct pyi_session *session)
{
    struct pyi_error error = {0};
    char id[32];
    if (pyi_store_save(session, id, &error))
        pyi_warning_print(console, "the session could not be stored: %s", error.message);
    else if (!pyi_options_given(console->options, PYI_OPT_QUIET))
        pyi_note_print(console, "the new session: pyinstrument --load-prev %s --diff %s", id,
                       console->options->values[PYI_OPT_DIFF]);
}

struct wanted {
    const char *id;
    char path[300];
};

static void find_path(void *context, const char *id, const char *path)
{
    struct wanted *wanted = context;
    if (strcmp(id, wanted->id) == 0)
        pyi_text_safe(pyi_text(path), wanted->path, sizeof(wanted->path));
}

/* A full disk must not cost the recording: the store, or else the folder for temporary files, may
 * be on another one. */
static void rescue(struct pyi_error *error, const struct pyi_session *session)
{
    char id[32];
    if (error->os_errno != ENOSPC && error->os_errno != EDQUOT && error->os_errno != EFBIG)
        return;
    pyi_error_slug(error, "output-full");
    if (pyi_store_save(session, id, NULL) == PYI_OK) {
        struct wanted wanted = {.id = id};
        (void)!pyi_store_list(find_path, &wanted, NULL);
        pyi_error_note(error, "the recording is kept in %s: pyinstrument --load-prev %s",
                       wanted.path, id);
        return;
    }
    const char *folder = getenv("TMPDIR");
    char path[300];
    snprintf(path, sizeof(path), "%s/pyinstrument-%d.pyisession", folder ? folder : "/tmp",
             (int)getpid());
    if (pyi_session_save(session, path, NULL) == PYI_OK)
        pyi_error_note(error, "the recording is kept: pyinstrument --load %s", path);
}

int pyi_report_write(const struct pyi_console *console, const struct pyi_report *report,
                     struct pyi_session *session)
{
    struct pyi_error error = {0};
    size_t lines = 0;
    int code = report->outfile ? write_file(report, session, &error)
               : is_page(report) && isatty(STDOUT_FILENO) == 1
                   ? write_page(console, report, session, &error)
                   : write_stdout(report, session, &lines, &error);
    if (code && given_up(report))
        return PYI_EXIT_INTERRUPTED;
    if (code && error.os_errno == EPIPE && !report->outfile) {
        char id[32];
        if (report->recorded)
            (void)!pyi_store_save(session, id, NULL);
        return PYI_EXIT_PIPE;
    }
    if (code) {
        rescue(&error, session);
        return pyi_failure_print(
            console, &error, report->outfile && error.os_errno ? "output-exists" : "render-failed");
    }
    if (strcmp(report->renderer->name, "text") == 0 && !report->outfile && !report->base)
        store_and_hint(console, report, session, lines);
    if (report->base && report->recorded)
        keep_compared(console, report, session);
    if (report->outfile && pyi_options_given(console->options, PYI_OPT_OPEN))
        open_page(console, report->outfile, false);
    return 0;
}

int pyi_report_streamed(const struct pyi_console *console, const struct pyi_report *report,
                        struct pyi_session *session, const struct pyi_recorder *recorder)
{
    struct pyi_error error = {0};
    if (!pyi_recorder_file(recorder, &error))
        return 0;
    rescue(&error, session);
    return pyi_failure_print(console, &error, "output-exists");
}

void pyi_report_interim(const struct pyi_console *console, const struct pyi_report *report,
                        struct pyi_session *session)
{
    struct pyi_error error = {0};
    char id[32];
    int code =
        report->outfile ? write_file(report, session, &error) : pyi_store_save(session, id, &error);
    if (code)
        pyi_warning_print(console, "no report so far: %s", error.message);
    else if (report->outfile)
        pyi_note_print(console, "%s has the report so far; recording goes on", report->outfile);
    else
        pyi_note_print(console, "the report so far: pyinstrument --load-prev %s; recording goes on",
                       id);
}
