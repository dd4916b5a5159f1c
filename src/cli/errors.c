/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors for people and for wrappers: one row per cause, advice as commands that can be pasted.
 *
 * A failure comes in as the library reports it (message, slug, detected cause); the exit status
 * and the advice come from the row. Nothing here finds out why something failed.
 *
 * Templates: {command} the command line as given; {command:OPTION} the same with OPTION put
 * first; {sudo} the same as root with our PATH; {child} the first process id in the note;
 * {command-child} the command line for that process; {command-pid} the command line with --pid
 * for a number that stands where none belongs; {start}
 * how to start the target's program under us; {pid}. A template whose fact is unknown is left out.
 */
#include "src/cli/errors.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <cJSON.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const struct pyi_error_row rows[] = {
    {.slug = "ptrace-uid", .status = PYI_EXIT_PERMISSION, .tries = {"{sudo}"}},
    {.slug = "ptrace-yama", .status = PYI_EXIT_PERMISSION,
     .tries = {"{sudo}", "echo 0 | sudo tee /proc/sys/kernel/yama/ptrace_scope   # until reboot"}},
    {.slug = "ptrace-yama-admin", .status = PYI_EXIT_PERMISSION,
     .tries = {"{sudo}", "sudo setcap cap_sys_ptrace+ep \"$(command -v pyinstrument)\""}},
    {.slug = "ptrace-yama-off", .status = PYI_EXIT_PERMISSION,
     .note = "starting the program with pyinstrument is refused too; set kernel.yama.ptrace_scope "
             "to 0 or 1 in the file below /etc/sysctl.d that sets it, and reboot",
     .tries = {"grep -rs ptrace_scope /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d"}},
    {.slug = "container-cap", .environment = "KUBERNETES_SERVICE_HOST", .status = PYI_EXIT_PERMISSION,
     .note = "the container's part of the pod needs:\n"
             "          securityContext:\n"
             "            capabilities:\n"
             "              add: [\"SYS_PTRACE\"]",
     .tries = {"kubectl debug --profile=sysadmin --target CONTAINER -it POD --image IMAGE"}},
    {.slug = "container-cap", .status = PYI_EXIT_PERMISSION,
     .note = "process ids on the host differ from those in the container",
     .tries = {"docker run --cap-add=SYS_PTRACE IMAGE", "sudo pyinstrument --pid HOST-PID   # on the host"}},
    {.slug = "container-seccomp", .status = PYI_EXIT_PERMISSION,
     .tries = {"docker run --cap-add=SYS_PTRACE --security-opt seccomp=unconfined IMAGE",
               "sudo pyinstrument --pid HOST-PID   # on the host"}},
    {.slug = "lsm", .status = PYI_EXIT_PERMISSION,
     .note = "the kernel log names the rule",
     .tries = {"sudo dmesg | grep -E 'apparmor=.DENIED|avc: +denied' | tail -3"}},
    /* Never below us (the owner of a namespace has all rights in it): beside or above. */
    {.slug = "userns", .status = PYI_EXIT_PERMISSION, .tries = {"{sudo}   # outside this user namespace"}},
    {.slug = "traced", .status = PYI_EXIT_PERMISSION,
     .note = "a process has room for one tracer; without --native and --blocking none is needed"},
    {.slug = "stop-refused", .status = PYI_EXIT_PERMISSION,
     .note = "reading is allowed, stopping is not; --native and --blocking need both"},
    {.slug = "not-dumpable", .status = PYI_EXIT_PERMISSION, .tries = {"{sudo}"}},
    {.slug = "no-process", .status = PYI_EXIT_NOTHING, .tries = {"{command-child}"}},
    {.slug = "hidden", .status = PYI_EXIT_PERMISSION, .tries = {"{sudo}"}},
    {.slug = "zombie", .status = PYI_EXIT_NOTHING},
    {.slug = "kernel-thread", .status = PYI_EXIT_TARGET},
    {.slug = "not-python", .status = PYI_EXIT_TARGET, .tries = {"{command-child}"}},
    {.slug = "python-not-ready", .status = PYI_EXIT_TARGET, .tries = {"{command:--wait=30}"}},
    {.slug = "python-unused", .status = PYI_EXIT_TARGET, .tries = {"{command-child}", "{command:--wait=30}"}},
    {.slug = "core-bad", .status = PYI_EXIT_FAILURE,
     .note = "gcore PID makes one of a process that goes on running"},
    {.slug = "core-no-file", .status = PYI_EXIT_TARGET,
     .tries = {"{command:--libpython=FILE}   # a copy of it, of the same name"}},
    {.slug = "core-no-python", .status = PYI_EXIT_TARGET,
     .tries = {"{command:--debug=attach}   # what was looked for"}},
    {.slug = "no-symbols", .status = PYI_EXIT_TARGET,
     .tries = {"{command:--debug=attach}   # what was looked for", "{command:--libpython=FILE}"}},
    {.slug = "version-old", .status = PYI_EXIT_TARGET,
     .note = "a profiler inside the program may still support that version"},
    {.slug = "version-new", .status = PYI_EXIT_TARGET,
     .note = "a newer pyinstrument may support it; --assume-version X.Y reads it as a known version, "
             "which is unsafe"},
    {.slug = "mode-version", .status = PYI_EXIT_TARGET, .tries = {"{command:--mode=wall}"}},
    {.slug = "not-cpython", .status = PYI_EXIT_TARGET},
    {.slug = "bits-32", .status = PYI_EXIT_TARGET, .note = "a 32-bit build can profile it"},
    {.slug = "arch", .status = PYI_EXIT_TARGET},
    {.slug = "jit", .status = PYI_EXIT_TARGET},
    {.slug = "target-exit", .status = PYI_EXIT_OK},
    {.slug = "target-signal", .status = PYI_EXIT_OK},
    {.slug = "target-exec", .status = PYI_EXIT_OK},
    {.slug = "no-samples", .status = PYI_EXIT_NOTHING},
    {.slug = "few-samples", .status = PYI_EXIT_OK},
    {.slug = "read-errors", .status = PYI_EXIT_OK},
    {.slug = "lagging", .status = PYI_EXIT_OK},
    {.slug = "script-missing", .status = PYI_EXIT_FAILURE},
    {.slug = "self-check-program", .status = PYI_EXIT_FAILURE, .tries = {"{command:--python=FILE}"}},
    {.slug = "script-exec", .status = PYI_EXIT_FAILURE, .tries = {"{command:--python=FILE}"}},
    {.slug = "output-exists", .status = PYI_EXIT_FAILURE},
    {.slug = "output-full", .status = PYI_EXIT_FAILURE},
    {.slug = "session-bad", .status = PYI_EXIT_FAILURE},
    {.slug = "renderer-unknown", .status = PYI_EXIT_FAILURE},
    {.slug = "render-failed", .status = PYI_EXIT_FAILURE},
    {.slug = "description-bad", .status = PYI_EXIT_FAILURE},
    {.slug = "usage", .status = PYI_EXIT_USAGE, .tries = {"{command-pid}", "pyinstrument --help"}},
};
/* clang-format on */

const struct pyi_error_row *pyi_error_row_at(size_t index)
{
    return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

const struct pyi_error_row *pyi_error_row_find(const char *slug)
{
    const struct pyi_error_row *row;
    for (size_t i = 0; slug && (row = pyi_error_row_at(i)) != NULL; i++) {
        if (strcmp(row->slug, slug) == 0 && (!row->environment || getenv(row->environment)))
            return row;
    }
    return NULL;
}

static const struct pyi_error_row *row_of(const struct pyi_error *error, const char *fallback)
{
    const struct pyi_error_row *row = error->slug[0] ? pyi_error_row_find(error->slug) : NULL;
    return row ? row : pyi_error_row_find(fallback);
}

int pyi_failure_status(const struct pyi_error *error, const char *fallback)
{
    const struct pyi_error_row *row = row_of(error, fallback);
    if (row)
        return row->status;
    switch (error->code) {
    case PYI_E_PERM:
        return PYI_EXIT_PERMISSION;
    case PYI_E_GONE:
        return PYI_EXIT_NOTHING;
    case PYI_E_VERSION:
    case PYI_E_NOTPYTHON:
        return PYI_EXIT_TARGET;
    default:
        return PYI_EXIT_FAILURE;
    }
}

/* ---- templates ------------------------------------------------------------------------------- */

static void quoted(struct pyi_strbuf *out, const char *word)
{
    if (out->length > 0 && out->data[out->length - 1] != ' ')
        pyi_strbuf_char(out, ' ');
    pyi_strbuf_shell_quote(out, pyi_text(word));
}

static bool targets_process(const struct pyi_options *options, enum pyi_option_id *which)
{
    if (pyi_options_given(options, PYI_OPT_PID))
        *which = PYI_OPT_PID;
    else if (pyi_options_given(options, PYI_OPT_DIAGNOSE))
        *which = PYI_OPT_DIAGNOSE;
    else
        return false;
    return true;
}

/* Whether the word at `index` of the command line gives the option that `first` ("--name=value") is
 * about; then `words` is how many words that takes. The last of equal options counts, so it has to
 * make way. */
static bool makes_way(const struct pyi_options *options, const char *first, int index, int *words)
{
    const size_t length = first ? strcspn(first, "=") : 0;
    for (int id = 0; length > 2 && id < PYI_OPTIONS; id++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)id);
        if (!row->name || strlen(row->name) != length - 2 ||
            memcmp(row->name, first + 2, length - 2) != 0)
            continue;
        if (!options->order[id] || options->position[id] != index)
            return false;
        const char *value = options->values[id];
        *words = value && index + 1 < options->argc && options->argv[index + 1] == value ? 2 : 1;
        return true;
    }
    return false;
}

/* The command line, with `first` put before the other options, and for another process when
 * `pid` is not NULL. */
static bool command_line(const struct pyi_options *options, const char *first, const char *pid,
                         struct pyi_strbuf *out)
{
    enum pyi_option_id which = PYI_OPT_PID;
    int word_at = -1;
    if (pid) {
        if (!targets_process(options, &which))
            return false;
        word_at = options->position[which];
    }
    quoted(out, options->argc > 0 ? options->argv[0] : "pyinstrument");
    if (first)
        quoted(out, first);
    for (int i = 1; i < options->argc; i++) {
        const char *word = options->argv[i];
        int words;
        if (makes_way(options, first, i, &words)) {
            i += words - 1;
            continue;
        }
        if (i != word_at) {
            quoted(out, word);
            continue;
        }
        /* "--pid 1" is two words, "--pid=1" one. */
        quoted(out, which == PYI_OPT_PID ? "--pid" : "--diagnose");
        quoted(out, pid);
        if (!strchr(word, '='))
            i++;
    }
    return true;
}

/* The first number in the note that comes after a colon: "children running Python: 4360 (...)". */
static bool child_of(const struct pyi_error *error, char out[16])
{
    const char *colon = strchr(error->note, ':');
    const char *digits = colon ? colon + 1 + strspn(colon + 1, " ") : NULL;
    size_t length = digits ? strspn(digits, "0123456789") : 0;
    if (length == 0 || length > 10)
        return false;
    snprintf(out, 16, "%.*s", (int)length, digits);
    return true;
}

/* "pyinstrument shop.py --port 1" for a process that is "python3 shop.py --port 1". */
static bool start_of(const struct pyi_options *options, struct pyi_strbuf *out)
{
    enum pyi_option_id which;
    if (!targets_process(options, &which) || pyi_options_given(options, PYI_OPT_DUMP))
        return false;
    char path[64], words[2048];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)options->numbers[which]);
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, words, sizeof(words) - 1) : -1;
    if (length <= 0 || words[length - 1] != '\0' || length == (ssize_t)sizeof(words) - 1)
        return false;
    const char *end = words + length;
    const char *slash = strrchr(words, '/');
    const char *script = words + strlen(words) + 1;
    if (strncmp(slash ? slash + 1 : words, "python", 6) != 0 || script >= end)
        return false;
    if (script[0] == '-' && strcmp(script, "-m") != 0 && strcmp(script, "-c") != 0)
        return false;
    quoted(out, options->argc > 0 ? options->argv[0] : "pyinstrument");
    for (const char *word = script; word < end; word += strlen(word) + 1)
        quoted(out, word);
    return true;
}

/* The command line, with a bare number in place of a script, or behind -p, as --pid. */
static bool command_pid(const struct pyi_options *options, struct pyi_strbuf *out)
{
    const char *pid = pyi_options_mistaken_pid(options);
    if (!pid)
        return false;
    const bool script = options->program_count > 0 && pid == options->program[0];
    quoted(out, options->argc > 0 ? options->argv[0] : "pyinstrument");
    for (int i = 1; script && options->argv + i < options->program; i++)
        quoted(out, options->argv[i]);
    quoted(out, "--pid");
    quoted(out, pid);
    return true;
}

static bool expand_key(const struct pyi_options *options, const struct pyi_error *error,
                       const char *key, struct pyi_strbuf *out)
{
    enum pyi_option_id which;
    char child[16];
    if (strcmp(key, "command") == 0)
        return command_line(options, NULL, NULL, out);
    if (strncmp(key, "command:", 8) == 0)
        return command_line(options, key + 8, NULL, out);
    if (strcmp(key, "command-child") == 0)
        return child_of(error, child) && command_line(options, NULL, child, out);
    if (strcmp(key, "command-pid") == 0)
        return command_pid(options, out);
    if (strcmp(key, "sudo") == 0) {
        pyi_strbuf_string(out, "sudo env \"PATH=$PATH\" ");
        return command_line(options, NULL, NULL, out);
    }
    if (strcmp(key, "start") == 0)
        return start_of(options, out);
    if (strcmp(key, "pid") == 0 && targets_process(options, &which)) {
        pyi_strbuf_format(out, "%d", (int)options->numbers[which]);
        return true;
    }
    return false;
}

/* NULL when the template is NULL, needs an unknown fact, or memory is short. */
static char *expand(const struct pyi_options *options, const struct pyi_error *error,
                    const char *template)
{
    if (!template)
        return NULL;
    struct pyi_strbuf out = {0};
    while (*template) {
        size_t plain = strcspn(template, "{");
        size_t length = strcspn(template + plain, "}");
        char key[64];
        pyi_strbuf_append(&out, template, plain);
        template += plain;
        if (*template == '\0')
            break;
        snprintf(key, sizeof(key), "%.*s", (int)(length - 1), template + 1);
        if (!expand_key(options, error, key, &out)) {
            pyi_strbuf_deinit(&out);
            return NULL;
        }
        template += length + 1;
    }
    return pyi_strbuf_detach(&out);
}

size_t pyi_failure_tries(const struct pyi_console *console, const struct pyi_error *error,
                         const char *fallback, char *out[2])
{
    const struct pyi_error_row *row = row_of(error, fallback);
    size_t count = 0;
    for (size_t i = 0; row && i < 2; i++) {
        char *text = expand(console->options, error, row->tries[i]);
        if (text)
            out[count++] = text;
    }
    /* To be the parent is the safest way of all, where there is a command to show. */
    if (row && strcmp(row->slug, "ptrace-yama") == 0) {
        char *start = expand(console->options, error, "{start}");
        if (start && count == 2) {
            free(out[1]);
            out[1] = out[0];
            out[0] = start;
        } else {
            free(start);
        }
    }
    return count;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_label(const struct pyi_console *console, const char *label, const char *color)
{
    if (console->color)
        fprintf(console->stream, "pyinstrument: \x1b[%sm%s:\x1b[0m ", color, label);
    else
        fprintf(console->stream, "pyinstrument: %s: ", label);
}

static void print_json(const struct pyi_console *console, const struct pyi_error *error,
                       const char *fallback, const char *why, const char *note, int status)
{
    const struct pyi_error_row *row = row_of(error, fallback);
    const char *slug = error->slug[0] ? error->slug : row ? row->slug : "other";
    char *tries[2];
    size_t count = pyi_failure_tries(console, error, fallback, tries);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "code", slug);
    cJSON_AddNumberToObject(object, "exit", status);
    cJSON_AddStringToObject(object, "message", error->message);
    if (why)
        cJSON_AddStringToObject(object, "why", why);
    if (note)
        cJSON_AddStringToObject(object, "note", note);
    cJSON *list = cJSON_AddArrayToObject(object, "try");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(tries[i]));
        free(tries[i]);
    }
    char *text = cJSON_PrintUnformatted(object);
    if (text)
        fprintf(console->stream, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(object);
}

void pyi_failure_advice(const struct pyi_console *console, const struct pyi_error *error,
                        FILE *stream, const char *indent)
{
    char *tries[2];
    size_t count = pyi_failure_tries(console, error, NULL, tries);
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "%s%s%s\n", indent, i == 0 ? "try:  " : " or:  ", tries[i]);
        free(tries[i]);
    }
}

char *pyi_failure_note(const struct pyi_console *console, const struct pyi_error *error,
                       const char *fallback)
{
    const struct pyi_error_row *row = row_of(error, fallback);
    char *own = expand(console->options, error, row ? row->note : NULL);
    if (own && error->note[0] && strcmp(own, error->note) != 0) {
        struct pyi_strbuf both = {0};
        pyi_strbuf_format(&both, "%s\n        %s", own, error->note);
        free(own);
        return pyi_strbuf_detach(&both);
    }
    return own ? own : error->note[0] ? strdup(error->note) : NULL;
}

int pyi_failure_print(const struct pyi_console *console, const struct pyi_error *error,
                      const char *fallback)
{
    const struct pyi_error_row *row = row_of(error, fallback);
    const int status = pyi_failure_status(error, fallback);
    char *own_why = expand(console->options, error, row && !error->why[0] ? row->why : NULL);
    char *note = pyi_failure_note(console, error, fallback);
    const char *why = error->why[0] ? error->why : own_why;
    fflush(stdout);
    if (pyi_options_given(console->options, PYI_OPT_JSON_ERRORS)) {
        print_json(console, error, fallback, why, note, status);
    } else {
        print_label(console, "error", "1;31");
        fprintf(console->stream, "%s\n",
                error->message[0] ? error->message : pyi_error_name(error->code));
        if (why)
            fprintf(console->stream, "  why:  %s\n", why);
        if (note)
            fprintf(console->stream, "  note: %s\n", note);
        char *tries[2];
        size_t count = pyi_failure_tries(console, error, fallback, tries);
        for (size_t i = 0; i < count; i++) {
            fprintf(console->stream, "%s%s\n", i == 0 ? "  try:  " : "   or:  ", tries[i]);
            free(tries[i]);
        }
    }
    free(own_why);
    free(note);
    return status;
}

static void vsay(struct pyi_error *error, int code, const char *slug, const char *format,
                 va_list arguments)
{
    *error = (struct pyi_error){.code = code};
    snprintf(error->slug, sizeof(error->slug), "%s", slug ? slug : "");
    vsnprintf(error->message, sizeof(error->message), format, arguments);
}

int pyi_usage_print(const struct pyi_console *console, const char *format, ...)
{
    struct pyi_error error;
    va_list arguments;
    va_start(arguments, format);
    vsay(&error, PYI_E_INVALID, "usage", format, arguments);
    va_end(arguments);
    if (!pyi_options_given(console->options, PYI_OPT_JSON_ERRORS))
        fprintf(console->stream, "%s\n\n", pyi_usage_line());
    return pyi_failure_print(console, &error, NULL);
}

int pyi_failure_say(const struct pyi_console *console, const char *slug, const char *format, ...)
{
    struct pyi_error error;
    va_list arguments;
    va_start(arguments, format);
    vsay(&error, PYI_E_OS, slug, format, arguments);
    va_end(arguments);
    return pyi_failure_print(console, &error, NULL);
}

void pyi_warning_print(const struct pyi_console *console, const char *format, ...)
{
    if (pyi_options_given(console->options, PYI_OPT_QUIET))
        return;
    va_list arguments;
    va_start(arguments, format);
    print_label(console, "warning", "1;33");
    vfprintf(console->stream, format, arguments);
    fputc('\n', console->stream);
    va_end(arguments);
}

void pyi_note_print(const struct pyi_console *console, const char *format, ...)
{
    if (pyi_options_given(console->options, PYI_OPT_QUIET))
        return;
    va_list arguments;
    va_start(arguments, format);
    fputs("pyinstrument: ", console->stream);
    vfprintf(console->stream, format, arguments);
    fputc('\n', console->stream);
    va_end(arguments);
}
