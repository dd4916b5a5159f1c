/* SPDX-License-Identifier: BSD-3-Clause */
/* --dump: what every thread of a process is doing now, without stopping it.
 *
 * One look at all threads comes in. Text or JSON goes out, with --repeat only what has changed; what
 * could not be read consistently is marked as such. Every text of the target is made safe before
 * it is printed. */
#include "src/cli/commands.h"
#include "src/cli/report.h"
#include "src/cli/terminal.h"

#include "attach/attach.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/base/text.h"

#include <cJSON.h>
#include <errno.h>
#include <fnmatch.h>
#include <pyinstrument.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_SECONDS    0.1
#define COMMAND_LIMIT   200
#define FUNCTION_WIDEST 48 /* columns kept for function names */

/* What was printed of one thread. */
struct shown {
    struct pyi_strbuf text, before; /* in this look, in the last one */
    bool listed;                    /* printed before and not yet gone */
};

struct dump {
    const struct pyi_console *console;
    struct pyi_target *target;
    struct pyi_look *look;
    const struct pyi_look_thread *threads; /* of this look, by index */
    size_t count;
    struct shown *shown; /* by index */
    size_t shown_capacity;
    struct pyi_session *paths; /* only for short paths */
    double seconds;            /* it took to read */
    bool locals, reverse, full, json, color, unicode;
    bool failed; /* lack of memory while printing */
};

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* By name, kernel id, or "main", as in a recording. */
static bool selects(void *context, const struct pyi_thread *thread)
{
    const char *wanted = context;
    if (strcmp(wanted, "main") == 0)
        return thread->is_main;
    if (*wanted && strspn(wanted, "0123456789") == strlen(wanted) &&
        strtoll(wanted, NULL, 10) == (long long)thread->tid)
        return true;
    return fnmatch(wanted, thread->name.data, 0) == 0;
}

static int look_at_all(struct dump *dump, struct pyi_error *err)
{
    const double start = now_seconds();
    const size_t old = dump->shown_capacity;
    int code = pyi_look_again(dump->look, READ_SECONDS,
                              !dump->locals ? PYI_LOOK_NO_LOCALS
                              : dump->full  ? PYI_LOOK_LOCALS
                                            : PYI_LOOK_LOCALS_FOLDED,
                              &dump->threads, &dump->count, err);
    if (code < 0)
        return code;
    if (!pyi_array_reserve(&dump->shown, &dump->shown_capacity, dump->count + 1,
                           sizeof(*dump->shown)))
        return pyi_error_nomem(err);
    if (dump->shown_capacity > old)
        memset(dump->shown + old, 0, (dump->shown_capacity - old) * sizeof(*dump->shown));
    for (size_t i = 0; i < dump->count; i++) {
        struct shown *shown = &dump->shown[i];
        struct pyi_strbuf spare = shown->before;
        shown->before = shown->text;
        shown->text = spare;
        pyi_strbuf_reset(&shown->text);
    }
    dump->seconds = now_seconds() - start;
    return 0;
}

/* Number of equal calls that follow each other from `at` on. */
static size_t group_at(const struct dump *dump, const struct pyi_look_thread *look, size_t at)
{
    size_t count = 1;
    while (!dump->full && pyi_look_repeats(look, at + count - 1))
        count++;
    return count;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *words_of(const struct pyi_thread_state *state, char out[64])
{
    const char *run = "";
    switch (state->run) {
    case 'R':
        run = "on CPU";
        break;
    case 'S':
        run = "waiting";
        break;
    case 'D':
        run = "waiting in the kernel";
        break;
    case 'T':
    case 't':
        run = "stopped";
        break;
    default:
        break;
    }
    if (state->gil == PYI_GIL_WAITING)
        run = "waiting for the GIL";
    const bool holds = state->gil == PYI_GIL_HOLDER;
    snprintf(out, 64, "%s%s%s", run, *run && holds ? ", " : "", holds ? "holds the GIL" : "");
    return out;
}

/* The same with the system call and its file, as recordings name them. */
static void put_state(struct pyi_strbuf *out, const struct pyi_thread_state *state)
{
    char words[64];
    pyi_strbuf_string(out, words_of(state, words));
    if (state->wait.data && state->wait.length) {
        pyi_strbuf_char(out, ' ');
        pyi_strbuf_text(out, state->wait);
    }
}

static void put_safe(struct pyi_strbuf *out, struct pyi_text text)
{
    pyi_strbuf_safe(out, text, PYI_TEXT_STRICT);
}

static void put_blanks(struct pyi_strbuf *out, int count)
{
    for (; count > 0; count--)
        pyi_strbuf_char(out, ' ');
}

static void put_function(const struct dump *dump, const struct pyi_stack_entry *entry,
                         struct pyi_strbuf *out)
{
    if (entry->class_name) {
        put_safe(out, pyi_target_class_name(dump->target, entry->class_name));
        pyi_strbuf_char(out, '.');
    }
    put_safe(out, entry->code->name);
}

static void put_place(struct dump *dump, const struct pyi_stack_entry *entry,
                      struct pyi_strbuf *out)
{
    put_safe(out, pyi_session_shorten_path(dump->paths, entry->code->filename));
    if (entry->line > 0)
        pyi_strbuf_format(out, ":%d", (int)entry->line);
}

/* One call, or a folded recursion: "    name    file:line    xN". */
struct line {
    size_t first, count; /* entries */
    struct pyi_strbuf function, place;
};

static void lines_free(struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pyi_strbuf_deinit(&lines[i].function);
        pyi_strbuf_deinit(&lines[i].place);
    }
    free(lines);
}

static struct line *make_lines(struct dump *dump, const struct pyi_look_thread *look, size_t *count,
                               int *widest_function, int *widest_place)
{
    struct line *lines = NULL;
    size_t capacity = 0;
    *count = 0;
    *widest_function = *widest_place = 0;
    for (size_t at = 0; at < look->depth;) {
        if (!pyi_array_reserve(&lines, &capacity, *count + 1, sizeof(*lines)))
            break;
        struct line *line = &lines[(*count)++];
        *line = (struct line){.first = at, .count = group_at(dump, look, at)};
        put_function(dump, &look->entries[at], &line->function);
        put_place(dump, &look->entries[at], &line->place);
        int function = (int)pyi_text_columns(pyi_strbuf_get(&line->function));
        int place = (int)pyi_text_columns(pyi_strbuf_get(&line->place));
        if (function > *widest_function && function <= FUNCTION_WIDEST)
            *widest_function = function;
        if (place > *widest_place)
            *widest_place = place;
        at += line->count;
    }
    return lines;
}

static void put_variables(const struct dump *dump, const struct pyi_look_thread *look, size_t entry,
                          struct pyi_strbuf *out)
{
    for (size_t i = 0; i < look->variable_count; i++) {
        const struct pyi_look_variable *variable = &look->variables[i];
        if (variable->entry != entry)
            continue;
        pyi_strbuf_string(out, "        ");
        put_safe(out, variable->name);
        pyi_strbuf_string(out, " = ");
        put_safe(out, variable->value);
        pyi_strbuf_char(out, '\n');
    }
}

static void put_line(const struct dump *dump, const struct pyi_look_thread *look,
                     const struct line *line, int function, int place, struct pyi_strbuf *out)
{
    struct pyi_text name = pyi_strbuf_get(&line->function), where = pyi_strbuf_get(&line->place);
    pyi_strbuf_string(out, "    ");
    pyi_strbuf_text(out, name);
    put_blanks(out, function - (int)pyi_text_columns(name));
    pyi_strbuf_string(out, dump->color ? "    \x1b[2m" : "    ");
    pyi_strbuf_text(out, where);
    pyi_strbuf_string(out, dump->color ? "\x1b[0m" : "");
    if (line->count > 1) {
        put_blanks(out, place - (int)pyi_text_columns(where));
        pyi_strbuf_format(out, "    %s%zu", dump->unicode ? "\xc3\x97" : "x", line->count);
    }
    pyi_strbuf_char(out, '\n');
    put_variables(dump, look, line->first + line->count - 1, out);
}

/* Everything below the thread's own line. */
static void put_frames(struct dump *dump, const struct pyi_look_thread *look,
                       struct pyi_strbuf *out)
{
    size_t count;
    int function, place;
    if (!look->read)
        pyi_strbuf_string(out, "    (could not be read)\n");
    else if (look->depth == 0)
        pyi_strbuf_string(out, "    (no Python code)\n");
    struct line *lines = make_lines(dump, look, &count, &function, &place);
    if (look->truncated && dump->reverse)
        pyi_strbuf_string(out, "    [truncated]\n");
    for (size_t i = 0; i < count; i++)
        put_line(dump, look, &lines[dump->reverse ? i : count - 1 - i], function, place, out);
    if (look->truncated && !dump->reverse)
        pyi_strbuf_string(out, "    [truncated]\n");
    lines_free(lines, count);
}

/* "MainThread   4314   waiting" */
static void put_thread(const struct dump *dump, const struct pyi_look_thread *look, int width,
                       struct pyi_strbuf *out)
{
    char words[64];
    struct pyi_strbuf name = {0};
    put_safe(&name, look->thread->name);
    pyi_strbuf_string(out, dump->color ? "\x1b[1m" : "");
    pyi_strbuf_text(out, pyi_strbuf_get(&name));
    pyi_strbuf_string(out, dump->color ? "\x1b[0m" : "");
    put_blanks(out, width - (int)pyi_text_columns(pyi_strbuf_get(&name)));
    if (look->thread->tid > 0)
        pyi_strbuf_format(out, "   %d", (int)look->thread->tid);
    if (*words_of(&look->state, words)) {
        pyi_strbuf_string(out, "   ");
        put_state(out, &look->state);
    }
    if (look->read && !look->consistent)
        pyi_strbuf_string(out, "   (not consistent)");
    pyi_strbuf_char(out, '\n');
    pyi_strbuf_deinit(&name);
}

static void put_command(const struct pyi_target_info *info, struct pyi_strbuf *out)
{
    for (size_t i = 0; i < info->argument_count && out->length < COMMAND_LIMIT; i++)
        pyi_strbuf_shell_quote(out, info->arguments[i]);
    if (out->length <= COMMAND_LIMIT)
        return;
    size_t cut = COMMAND_LIMIT;
    while (cut > 0 && ((unsigned char)out->data[cut] & 0xc0) == 0x80)
        cut--;
    out->length = cut;
    out->data[cut] = '\0';
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Main thread first, then by first sight; -1 at the end. */
static int next_shown(const struct dump *dump, int at)
{
    size_t main = 0;
    while (main < dump->count &&
           !(dump->threads[main].thread && dump->threads[main].thread->is_main))
        main++;
    if (at < 0 && main < dump->count)
        return (int)main;
    size_t next = at < 0 || (size_t)at == main ? 0 : (size_t)at + 1;
    for (; next < dump->count; next++)
        if (dump->threads[next].thread && next != main)
            return (int)next;
    return -1;
}

static size_t shown_count(const struct dump *dump, int *widest)
{
    size_t count = 0;
    *widest = 0;
    for (size_t i = 0; i < dump->count; i++) {
        if (!dump->threads[i].thread)
            continue;
        struct pyi_strbuf name = {0};
        put_safe(&name, dump->threads[i].thread->name);
        int width = (int)pyi_text_columns(pyi_strbuf_get(&name));
        *widest = width > *widest && width <= FUNCTION_WIDEST ? width : *widest;
        pyi_strbuf_deinit(&name);
        count++;
    }
    return count;
}

/* What a thread looks like, state included, to tell whether it has changed. */
static bool has_changed(struct dump *dump, const struct pyi_look_thread *look)
{
    struct shown *shown = &dump->shown[look->thread->index];
    put_frames(dump, look, &shown->text);
    put_state(&shown->text, &look->state);
    return !shown->listed ||
           !pyi_text_equal(pyi_strbuf_get(&shown->text), pyi_strbuf_get(&shown->before));
}

static void put_header(const struct dump *dump, size_t threads, struct pyi_strbuf *out)
{
    const struct pyi_target_info *info = pyi_target_info(dump->target);
    struct pyi_strbuf command = {0};
    put_command(info, &command);
    pyi_strbuf_format(out, "pid %d  ", (int)info->pid);
    put_safe(out, pyi_strbuf_get(&command));
    pyi_strbuf_string(out, "   Python ");
    pyi_strbuf_text(out, info->version);
    pyi_strbuf_format(out, "   %zu thread%s   %.1f ms to read\n", threads, threads == 1 ? "" : "s",
                      dump->seconds * 1e3);
    pyi_strbuf_deinit(&command);
}

static void print_text(struct dump *dump, bool first, double after)
{
    struct pyi_strbuf out = {0}, body = {0};
    int width;
    size_t threads = shown_count(dump, &width), changed = 0;
    for (int at = next_shown(dump, -1); at >= 0; at = next_shown(dump, at)) {
        const struct pyi_look_thread *look = &dump->threads[at];
        if (!has_changed(dump, look))
            continue;
        pyi_strbuf_char(&body, '\n');
        put_thread(dump, look, width, &body);
        put_frames(dump, look, &body);
        dump->shown[at].listed = true;
        changed++;
    }
    for (size_t i = 0; i < dump->count; i++) {
        if (!dump->shown[i].listed || dump->threads[i].thread)
            continue;
        pyi_strbuf_char(&body, '\n');
        put_safe(&body, pyi_target_thread(dump->target, (uint32_t)i)->name);
        pyi_strbuf_string(&body, "   has ended\n");
        dump->shown[i].listed = false;
    }
    if (first)
        put_header(dump, threads, &out);
    else
        pyi_strbuf_format(&out, "\nafter %.2f s: %zu of %zu threads changed\n", after, changed,
                          threads);
    pyi_strbuf_text(&out, pyi_strbuf_get(&body));
    dump->failed |= out.failed || body.failed;
    fwrite(pyi_strbuf_get(&out).data, 1, out.length, stdout);
    pyi_strbuf_deinit(&out);
    pyi_strbuf_deinit(&body);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

cJSON *pyi_command_json_text(struct pyi_text text)
{
    struct pyi_strbuf quoted = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&quoted);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    pyi_json_write_ascii(&output, text);
    cJSON *item = pyi_output_finish(&output, NULL) < 0 || quoted.failed
                      ? NULL
                      : cJSON_CreateRaw(pyi_strbuf_get(&quoted).data);
    pyi_strbuf_deinit(&quoted);
    return item;
}

static void add_text(cJSON *object, const char *key, struct pyi_text text)
{
    cJSON_AddItemToObject(object, key, pyi_command_json_text(text));
}

static void add_variables(const struct pyi_look_thread *look, size_t entry, cJSON *frame)
{
    cJSON *list = cJSON_AddArrayToObject(frame, "locals");
    for (size_t i = 0; i < look->variable_count; i++) {
        if (look->variables[i].entry != entry)
            continue;
        cJSON *item = cJSON_CreateObject();
        add_text(item, "name", look->variables[i].name);
        add_text(item, "value", look->variables[i].value);
        cJSON_AddItemToArray(list, item);
    }
}

static cJSON *frame_object(struct dump *dump, const struct pyi_look_thread *look, size_t first,
                           size_t count)
{
    const struct pyi_stack_entry *entry = &look->entries[first];
    cJSON *frame = cJSON_CreateObject();
    add_text(frame, "function", entry->code->name);
    if (entry->class_name)
        add_text(frame, "class", pyi_target_class_name(dump->target, entry->class_name));
    add_text(frame, "file", entry->code->filename);
    add_text(frame, "short_file", pyi_session_shorten_path(dump->paths, entry->code->filename));
    cJSON_AddNumberToObject(frame, "line", entry->line);
    cJSON_AddNumberToObject(frame, "first_line", entry->code->first_line);
    cJSON_AddNumberToObject(frame, "count", (double)count);
    if (dump->locals)
        add_variables(look, first + count - 1, frame);
    return frame;
}

static void add_frames(struct dump *dump, const struct pyi_look_thread *look, cJSON *thread)
{
    cJSON *frames = cJSON_AddArrayToObject(thread, "frames");
    if (dump->reverse) {
        for (size_t at = 0; at < look->depth;) {
            size_t count = group_at(dump, look, at);
            cJSON_AddItemToArray(frames, frame_object(dump, look, at, count));
            at += count;
        }
        return;
    }
    for (size_t end = look->depth; end > 0;) {
        size_t first = end - 1;
        while (!dump->full && first > 0 && pyi_look_repeats(look, first - 1))
            first--;
        cJSON_AddItemToArray(frames, frame_object(dump, look, first, end - first));
        end = first;
    }
}

static cJSON *thread_object(struct dump *dump, const struct pyi_look_thread *look)
{
    static const char *const gil[] = {[PYI_GIL_UNKNOWN] = NULL,
                                      [PYI_GIL_OTHER] = "other",
                                      [PYI_GIL_HOLDER] = "holder",
                                      [PYI_GIL_WAITING] = "waiting"};
    char words[64];
    cJSON *thread = cJSON_CreateObject();
    add_text(thread, "name", look->thread->name);
    if (look->thread->tid > 0)
        cJSON_AddNumberToObject(thread, "tid", look->thread->tid);
    cJSON_AddNumberToObject(thread, "ident", (double)look->thread->ident);
    cJSON_AddNumberToObject(thread, "interpreter", (double)look->thread->interpreter);
    cJSON_AddBoolToObject(thread, "main", look->thread->is_main);
    cJSON_AddStringToObject(thread, "state", words_of(&look->state, words));
    if (look->state.wait.data && look->state.wait.length)
        add_text(thread, "wait", look->state.wait);
    if (gil[look->state.gil])
        cJSON_AddStringToObject(thread, "gil", gil[look->state.gil]);
    cJSON_AddBoolToObject(thread, "read", look->read);
    cJSON_AddBoolToObject(thread, "consistent", look->consistent);
    cJSON_AddBoolToObject(thread, "truncated", look->truncated);
    add_frames(dump, look, thread);
    return thread;
}

static void add_ended(struct dump *dump, cJSON *root)
{
    cJSON *ended = cJSON_AddArrayToObject(root, "ended");
    for (size_t i = 0; i < dump->count; i++) {
        if (!dump->shown[i].listed || dump->threads[i].thread)
            continue;
        cJSON_AddItemToArray(
            ended, pyi_command_json_text(pyi_target_thread(dump->target, (uint32_t)i)->name));
        dump->shown[i].listed = false;
    }
}

static void print_json(struct dump *dump, bool first, bool repeated, double after)
{
    const struct pyi_target_info *info = pyi_target_info(dump->target);
    struct pyi_strbuf command = {0};
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "pid", info->pid);
    if (first) {
        put_command(info, &command);
        add_text(root, "command", pyi_strbuf_get(&command));
        add_text(root, "python", info->version);
        add_text(root, "build", info->build);
    }
    if (repeated)
        cJSON_AddNumberToObject(root, "after", after);
    cJSON_AddNumberToObject(root, "seconds", dump->seconds);
    cJSON *threads = cJSON_AddArrayToObject(root, "threads");
    for (int at = next_shown(dump, -1); at >= 0; at = next_shown(dump, at)) {
        const struct pyi_look_thread *look = &dump->threads[at];
        if (repeated && !has_changed(dump, look))
            continue;
        cJSON_AddItemToArray(threads, thread_object(dump, look));
        dump->shown[at].listed = true;
    }
    if (repeated)
        add_ended(dump, root);
    char *text = repeated ? cJSON_PrintUnformatted(root) : cJSON_Print(root);
    dump->failed |= !text || command.failed;
    if (text)
        printf("%s\n", text);
    cJSON_free(text);
    cJSON_Delete(root);
    pyi_strbuf_deinit(&command);
}

/* ---- command --------------------------------------------------------------------------------- */

static void print_log(void *context, const char *domain, const char *line)
{
    fprintf(context, "pyinstrument: %s: %s\n", domain, line);
}

static int open_target(struct dump *dump, struct pyi_error *err)
{
    const struct pyi_options *options = dump->console->options;
    struct pyi_target_options target = {
        .wait = pyi_options_given(options, PYI_OPT_WAIT) ? options->numbers[PYI_OPT_WAIT] : 2,
        .libpython = options->values[PYI_OPT_LIBPYTHON],
        .assume_version = options->values[PYI_OPT_ASSUME_VERSION],
        .c_labels = pyi_command_c_labels(options),
        .select = options->values[PYI_OPT_THREAD] ? selects : NULL,
        .select_context = (void *)options->values[PYI_OPT_THREAD],
    };
    if (pyi_options_given(options, PYI_OPT_DEBUG)) {
        target.log.line = print_log;
        target.log.context = dump->console->stream;
    }
    const struct pyi_sysinfo *sys = NULL;
    const char *core = options->values[PYI_OPT_CORE];
    int code =
        core ? pyi_target_open_core(core, &target, &dump->target, err)
             : pyi_target_open((pid_t)options->numbers[PYI_OPT_PID], &target, &dump->target, err);
    if (code == 0 && !(dump->look = pyi_look_new(dump->target)))
        code = pyi_error_nomem(err);
    if (code == 0)
        code = pyi_session_new(&dump->paths, err);
    if (code == 0)
        code = pyi_target_sysinfo(dump->target, &sys, err);
    for (size_t i = 0; code == 0 && i < sys->path_count; i++)
        code = pyi_session_list_append(dump->paths, PYI_SESSION_SYS_PATH, sys->path[i], err);
    return code;
}

static void sleep_until(double when)
{
    struct timespec time = {.tv_sec = (time_t)when};
    time.tv_nsec = (long)((when - (double)time.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
        ;
}

/* All looks. Once something was printed, the end of the process is no failure. */
static int run_looks(struct dump *dump, struct pyi_error *err)
{
    const struct pyi_options *options = dump->console->options;
    const bool repeated = pyi_options_given(options, PYI_OPT_REPEAT);
    const size_t times = repeated ? (size_t)options->numbers[PYI_OPT_REPEAT] : 1;
    const double every =
        pyi_options_given(options, PYI_OPT_EVERY) ? options->numbers[PYI_OPT_EVERY] : 1;
    const double start = now_seconds();
    for (size_t i = 0; i < times; i++) {
        if (i > 0)
            sleep_until(start + (double)i * every);
        const double after = i > 0 ? now_seconds() - start : 0;
        int code = look_at_all(dump, err);
        if (code == PYI_E_GONE && i > 0) {
            pyi_note_print(dump->console, "%s", err->message);
            return 0;
        }
        if (code < 0)
            return code;
        if (dump->json)
            print_json(dump, i == 0, repeated, after);
        else
            print_text(dump, i == 0, after);
        if (dump->failed)
            return pyi_error_nomem(err);
        if (fflush(stdout) != 0)
            return pyi_error_os(err, errno, "cannot write to standard output");
    }
    return 0;
}

static void dump_deinit(struct dump *dump)
{
    for (size_t i = 0; i < dump->shown_capacity; i++) {
        pyi_strbuf_deinit(&dump->shown[i].text);
        pyi_strbuf_deinit(&dump->shown[i].before);
    }
    free(dump->shown);
    pyi_look_free(dump->look);
    pyi_session_free(dump->paths);
    pyi_target_close(dump->target);
}

int pyi_command_dump(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    struct pyi_surroundings around = pyi_surroundings_of(STDOUT_FILENO);
    const int color = pyi_report_color_asked(options);
    const bool unicode_asked = pyi_options_given(options, PYI_OPT_UNICODE) ||
                               pyi_options_given(options, PYI_OPT_NO_UNICODE);
    struct dump dump = {
        .console = console,
        .locals = pyi_options_given(options, PYI_OPT_LOCALS),
        .reverse = pyi_options_given(options, PYI_OPT_REVERSE),
        .full = pyi_options_given(options, PYI_OPT_FULL),
        .json = pyi_options_given(options, PYI_OPT_JSON),
        .color = color < 0 ? pyi_surroundings_message_color(&around) : color,
        .unicode = unicode_asked
                       ? options->order[PYI_OPT_UNICODE] > options->order[PYI_OPT_NO_UNICODE]
                       : pyi_surroundings_unicode(&around),
    };
    struct pyi_error error = {0};
    int status = PYI_EXIT_OK, code = open_target(&dump, &error);
    if (code == 0)
        code = run_looks(&dump, &error);
    if (code < 0) {
        /* Ended before anything was seen of it: for us it is not there. */
        if (code == PYI_E_GONE && strncmp(error.slug, "target-", 7) == 0)
            pyi_error_slug(&error, "no-process");
        status = pyi_failure_print(console, &error, NULL);
    } else if (options->values[PYI_OPT_THREAD] && dump.count == 0) {
        status = pyi_failure_say(console, "no-samples", "no thread of process %d is called so",
                                 (int)pyi_target_info(dump.target)->pid);
    }
    dump_deinit(&dump);
    return status;
}
