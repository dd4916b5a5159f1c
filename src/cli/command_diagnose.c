/* SPDX-License-Identifier: BSD-3-Clause */
/* --diagnose: every step that leads to a readable interpreter and a short trial recording, with
 * what was found, and for the step that failed the way out. The list is meant to be pasted into a bug report. */
#include "src/cli/commands.h"

#include "attach/attach.h"
#include "src/base/error.h"
#include "src/base/output.h"

#include <cJSON.h>
#include <pyinstrument.h>
#include <pyinstrument/recorder.h>
#include <stdlib.h>

#define TRIAL_SECONDS 1

static const char *const results[] = {"ok", "FAILED", "-"};
static const char *const json_results[] = {"passed", "failed", "not reached"};

static int bounded(int result)
{
    return result >= 0 && result <= 2 ? result : 2;
}

static void print_text(const struct pyi_console *console, pid_t pid,
                       const struct pyi_diagnosis *diagnosis)
{
    printf("pyinstrument %s, process %d\n", PYI_VERSION, (int)pid);
    for (size_t i = 0; i < diagnosis->count && i < PYI_CHECKS; i++) {
        const struct pyi_check *check = &diagnosis->checks[i];
        printf("  %-7s %-12s %s\n", results[bounded(check->result)], check->name,
               check->result == 2 ? "not reached" : check->detail);
    }
    const struct pyi_error *error = &diagnosis->error;
    if (error->code == PYI_OK) {
        printf("can be profiled: pyinstrument --pid %d\n", (int)pid);
        return;
    }
    printf("cannot be profiled (%s): %s\n", error->slug[0] ? error->slug : "other", error->message);
    if (error->why[0])
        printf("  why:  %s\n", error->why);
    char *note = pyi_failure_note(console, error, NULL);
    if (note)
        printf("  note: %s\n", note);
    free(note);
    pyi_failure_advice(console, error, stdout, "  ");
}

static cJSON *error_object(const struct pyi_console *console, const struct pyi_error *error)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "code", error->slug[0] ? error->slug : "other");
    cJSON_AddStringToObject(object, "message", error->message);
    if (error->why[0])
        cJSON_AddStringToObject(object, "why", error->why);
    char *note = pyi_failure_note(console, error, NULL);
    if (note)
        cJSON_AddStringToObject(object, "note", note);
    free(note);
    char *tries[2];
    size_t count = pyi_failure_tries(console, error, NULL, tries);
    cJSON *list = cJSON_AddArrayToObject(object, "try");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(tries[i]));
        free(tries[i]);
    }
    return object;
}

static void print_json(const struct pyi_console *console, pid_t pid,
                       const struct pyi_diagnosis *diagnosis, int status)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", PYI_VERSION);
    cJSON_AddNumberToObject(root, "pid", pid);
    cJSON_AddBoolToObject(root, "can_profile", status == 0);
    cJSON_AddNumberToObject(root, "exit", status);
    cJSON *checks = cJSON_AddArrayToObject(root, "checks");
    for (size_t i = 0; i < diagnosis->count && i < PYI_CHECKS; i++) {
        const struct pyi_check *check = &diagnosis->checks[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", check->name);
        cJSON_AddStringToObject(item, "result", json_results[bounded(check->result)]);
        cJSON_AddStringToObject(item, "detail", check->detail);
        cJSON_AddItemToArray(checks, item);
    }
    if (diagnosis->error.code)
        cJSON_AddItemToObject(root, "error", error_object(console, &diagnosis->error));
    char *text = cJSON_Print(root);
    if (text)
        printf("%s\n", text);
    cJSON_free(text);
    cJSON_Delete(root);
}

static void print_log(void *context, const char *domain, const char *line)
{
    fprintf(context, "pyinstrument: %s: %s\n", domain, line);
}

/* Records for a second and throws it away; `line` gets the counts. */
static int record_shortly(pid_t pid, const struct pyi_target_options *target,
                          struct pyi_strbuf *line, struct pyi_error *err)
{
    struct pyi_recorder_options options;
    struct pyi_recorder *recorder = NULL;
    struct pyi_sink sink = pyi_sink_strbuf(line);
    pyi_recorder_options_init(&options);
    options.duration = TRIAL_SECONDS;
    options.wait = target->wait;
    options.libpython = target->libpython;
    options.assume_version = target->assume_version;
    int code = pyi_recorder_attach(pid, &options, &recorder, err);
    if (!code)
        code = pyi_recorder_run(recorder, err);
    struct pyi_tally tally = {0};
    if (!code)
        pyi_recorder_tally(recorder, &tally);
    if (!code)
        code = pyi_tally_format(&tally, &sink, err);
    if (!code && tally.samples == 0) {
        code = pyi_error_set(err, PYI_E_GONE, "no sample of process %d in %.2f s", (int)pid,
                             tally.elapsed);
        pyi_error_slug(err, "no-samples");
    }
    pyi_recorder_free(recorder);
    return code;
}

static int try_recording(pid_t pid, const struct pyi_target_options *target,
                         struct pyi_diagnosis *diagnosis)
{
    const bool reached = diagnosis->error.code == PYI_OK;
    struct pyi_strbuf line = {0};
    int code = diagnosis->error.code;
    struct pyi_check *check = &diagnosis->checks[diagnosis->count];
    if (diagnosis->count >= PYI_CHECKS)
        return code;
    diagnosis->count++;
    *check = (struct pyi_check){.name = "trial", .result = 2};
    if (reached) {
        struct pyi_error error = {0};
        code = record_shortly(pid, target, &line, &error);
        if (code)
            diagnosis->error = error;
        check->result = code != PYI_OK;
        snprintf(check->detail, sizeof(check->detail), "%s",
                 code ? diagnosis->error.message : pyi_strbuf_get(&line).data);
    }
    pyi_strbuf_deinit(&line);
    return code;
}

int pyi_command_diagnose(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const pid_t pid = (pid_t)options->numbers[PYI_OPT_DIAGNOSE];
    struct pyi_target_options target = {
        .wait = pyi_options_given(options, PYI_OPT_WAIT) ? options->numbers[PYI_OPT_WAIT] : 2,
        .libpython = options->values[PYI_OPT_LIBPYTHON],
        .assume_version = options->values[PYI_OPT_ASSUME_VERSION],
        .tool = "pyinstrument " PYI_VERSION,
    };
    if (pyi_options_given(options, PYI_OPT_DEBUG)) {
        target.log.line = print_log;
        target.log.context = console->stream;
    }
    struct pyi_diagnosis diagnosis = {0};
    (void)pyi_target_diagnose(pid, &target, &diagnosis);
    int code = try_recording(pid, &target, &diagnosis);
    int status = code ? pyi_failure_status(&diagnosis.error, NULL) : PYI_EXIT_OK;
    if (pyi_options_given(options, PYI_OPT_JSON))
        print_json(console, pid, &diagnosis, status);
    else
        print_text(console, pid, &diagnosis);
    return status;
}
