/* SPDX-License-Identifier: BSD-3-Clause */
/* --self-check: how right this profiler is on this machine, with this Python.
 *
 * Starts a program that knows the truth about itself, records it as any other process, compares.
 * The first half asks whether time goes where it was spent, the second whether calls are shown
 * that never happened. What was measured while the program hardly ran proves nothing, and is called so. */
#include "src/cli/commands.h"

#include "src/base/error.h"
#include "src/base/text.h"
#include "src/cli/interpreter.h"
#include "src/cli/truth/truth.h"

#include <cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pyinstrument.h>
#include <pyinstrument/recorder.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS        3
#define SHARE_INTERVAL 1e-3
#define STACK_INTERVAL 1e-4
#define HELLO_MILLIS   20000
#define END_MILLIS     20000
#define LOG_LIMIT      (64u << 20)

extern char **environ;

/* ---- the program ---------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int in, out;            /* our ends of its standard streams */
    struct pyi_strbuf text; /* what it wrote that was not yet looked at */
};

static int spawn(const char *python, const char *part, const int in[2], const int out[2],
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    char *const argv[] = {(char *)(uintptr_t)python, "-c", (char *)(uintptr_t)pyi_truth_program,
                          (char *)(uintptr_t)part, NULL};
    sigemptyset(&none);
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure)
        return failure;
    failure = posix_spawnattr_init(&attributes);
    if (!failure) {
        posix_spawnattr_setsigmask(&attributes, &none);
        /* A group of its own: ^C is for us, and the program ends with its input. */
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        failure = posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        if (!failure)
            failure = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        if (!failure)
            failure = posix_spawnp(pid, python, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

static void close_both(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static int child_start(struct child *child, const char *python, const char *part,
                       struct pyi_error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        int code = pyi_error_os(err, errno, "cannot make a pipe");
        close_both(in);
        return code;
    }
    int failure = spawn(python, part, in, out, &child->pid);
    if (failure) {
        close_both(in);
        close_both(out);
        child->pid = 0;
        int code = pyi_error_os(err, failure, "cannot start %s", python);
        pyi_error_slug(err, "script-exec");
        return code;
    }
    close(in[0]);
    close(out[1]);
    child->in = in[1];
    child->out = out[0];
    return 0;
}

static int64_t millis(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until there is a line, or with `line` false until the end. False when neither comes. */
static bool child_read(struct child *child, bool line, int timeout)
{
    const int64_t deadline = millis() + timeout;
    while (child->text.length < LOG_LIMIT && !child->text.failed) {
        if (line && child->text.length && memchr(child->text.data, '\n', child->text.length))
            return true;
        int64_t left = deadline - millis();
        struct pollfd waiting = {.fd = child->out, .events = POLLIN};
        int ready = left > 0 ? poll(&waiting, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        char bytes[16384];
        ssize_t got = ready > 0 ? read(child->out, bytes, sizeof(bytes)) : -1;
        if (got < 0 && ready > 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && !line;
        pyi_strbuf_append(&child->text, bytes, (size_t)got);
    }
    return false;
}

/* The program's first line: which Python it is. */
static int child_hello(struct child *child, const char *python, struct pyi_truth_hello *hello,
                       struct pyi_error *err)
{
    if (!child_read(child, true, HELLO_MILLIS)) {
        int code = pyi_error_set(err, PYI_E_NOTPYTHON,
                                 "%s did not run the program of the self-check", python);
        pyi_error_slug(err, "self-check-program");
        return code;
    }
    size_t length =
        (size_t)((char *)memchr(child->text.data, '\n', child->text.length) - child->text.data);
    if (!pyi_truth_is_hello((struct pyi_text){child->text.data, length}, hello)) {
        int code =
            pyi_error_set(err, PYI_E_NOTPYTHON,
                          "%s answered the program of the self-check with something else", python);
        pyi_error_slug(err, "self-check-program");
        return code;
    }
    memmove(child->text.data, child->text.data + length + 1, child->text.length - length - 1);
    child->text.length -= length + 1;
    return 0;
}

static void child_end(struct child *child)
{
    if (child->in >= 0)
        close(child->in);
    if (child->out >= 0)
        close(child->out);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL); /* ours, and not collected yet */
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    pyi_strbuf_deinit(&child->text);
    *child = (struct child){.in = -1, .out = -1};
}

/* ---- recording ------------------------------------------------------------------------------ */

/* What one half of the check found about the recording as such. */
struct half {
    struct pyi_tally tally;
    double cpu; /* CPU seconds per second that the program had */
};

struct findings {
    const char *python;
    struct pyi_truth_hello hello;
    struct half first, second;
    struct pyi_truth_shares shares;
    struct pyi_truth_stacks stacks;
};

static int record(pid_t pid, double seconds, double interval, struct half *half,
                  struct pyi_session **out, struct pyi_error *err)
{
    struct pyi_recorder_options options;
    struct pyi_recorder *recorder = NULL;
    struct pyi_session *session = NULL;
    pyi_recorder_options_init(&options);
    options.duration = seconds;
    options.interval = interval;
    int code = pyi_recorder_attach(pid, &options, &recorder, err);
    if (!code)
        code = pyi_recorder_run(recorder, err);
    if (!code)
        code = pyi_recorder_take_session(recorder, &session, err);
    if (!code) {
        pyi_recorder_tally(recorder, &half->tally);
        struct pyi_number used = pyi_session_number(session, PYI_SESSION_CPU_TIME);
        half->cpu =
            (used.is_integer ? (double)used.integer : used.value) / fmax(half->tally.elapsed, 1e-9);
    }
    if (!code && !half->tally.samples) {
        code = pyi_error_set(err, PYI_E_GONE, "no sample of process %d in %.2f s", (int)pid,
                             half->tally.elapsed);
        pyi_error_slug(err, "no-samples");
    }
    pyi_recorder_free(recorder);
    if (code)
        pyi_session_free(session);
    else
        *out = session;
    return code;
}

static int check_shares(struct child *child, double seconds, struct findings *found,
                        struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    int code = child_start(child, found->python, "shares", err);
    if (!code)
        code = child_hello(child, found->python, &found->hello, err);
    if (!code)
        code = record(child->pid, seconds, SHARE_INTERVAL, &found->first, &session, err);
    if (code)
        return code;
    close(child->in);
    child->in = -1;
    if (child_read(child, false, END_MILLIS)) {
        code = pyi_truth_compare(session, pyi_strbuf_get(&child->text), &found->shares, err);
    } else {
        code = pyi_error_set(err, PYI_E_OS, "the program of the self-check did not end");
        pyi_error_slug(err, "self-check-program");
    }
    pyi_session_free(session);
    return code;
}

static int check_stacks(struct child *child, double seconds, struct findings *found,
                        struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    struct pyi_truth_hello hello;
    int code = child_start(child, found->python, "stacks", err);
    if (!code)
        code = child_hello(child, found->python, &hello, err);
    if (!code)
        code = record(child->pid, seconds, STACK_INTERVAL, &found->second, &session, err);
    if (!code)
        pyi_truth_count(session, &found->stacks);
    pyi_session_free(session);
    return code;
}

/* ---- bounds --------------------------------------------------------------------------------- */

/* In the order of the manual. The CPU is last: it does not say that anything is wrong. */
enum { BOUND_SHARES, BOUND_IMPOSSIBLE, BOUND_LOST, BOUND_TRUNCATED, BOUND_CPU, BOUNDS };

struct bound {
    const char *name, *words;
    double value, limit;
    bool least; /* the value must not be below, else not above */
    bool exceeded;
};

/* From which minor version of Python 3 on; percent of the samples. Below 3.11 frames are
 * scattered objects, and what is read of them does not always fit together. */
static const struct {
    unsigned minor;
    double impossible, lost, truncated;
} limits[] = {{12, 0, 0.1, 2}, {11, 0.02, 0.1, 2}, {0, 0.1, 5, 2}};

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 0;
}

static void judge(const struct findings *found, struct bound out[BOUNDS])
{
    const struct pyi_tally *stacks = &found->second.tally;
    unsigned minor = found->hello.major >= 3 ? found->hello.minor : 0;
    size_t row = 0;
    while (limits[row].minor > minor)
        row++;
    /* Where nothing of the tree was seen nothing was shown to be possible. */
    uint64_t impossible = found->stacks.inside ? found->stacks.impossible : found->stacks.samples;
    double awake = fmax(1 - found->shares.asleep, 0.01);
    const struct bound bounds[BOUNDS] = {
        {"shares", "largest difference of a share of time, in percentage points",
         100 * found->shares.worst, 2, false, false},
        {"impossible", "samples with a call that never happened, in percent",
         percent(impossible, found->stacks.samples), limits[row].impossible, false, false},
        {"lost", "samples lost, in percent", percent(stacks->lost, stacks->samples + stacks->lost),
         limits[row].lost, false, false},
        {"truncated", "samples cut at a call without proof, in percent",
         percent(stacks->truncated, stacks->samples), limits[row].truncated, false, false},
        {"cpu", "part of the CPU it asked for that the program had",
         fmin(found->first.cpu / awake, found->second.cpu), 0.5, true, false},
    };
    for (size_t i = 0; i < BOUNDS; i++) {
        out[i] = bounds[i];
        out[i].exceeded = out[i].least ? out[i].value < out[i].limit : out[i].value > out[i].limit;
    }
}

/* "ok", "failed" or "inconclusive". An impossible call is wrong whatever else the machine does; a
 * share may be off because it left the profiler no processor at the right moments either. */
static const char *verdict(const struct bound bounds[BOUNDS])
{
    for (size_t i = 0; i < BOUND_CPU; i++)
        if (bounds[i].exceeded && !(i == BOUND_SHARES && bounds[BOUND_CPU].exceeded))
            return "failed";
    return bounds[BOUND_CPU].exceeded ? "inconclusive" : "ok";
}

/* ---- printing ------------------------------------------------------------------------------- */

static double cost(const struct half *half)
{
    return half->tally.profiler_cpu * 1e6 / (double)half->tally.samples;
}

static double of_core(const struct half *half)
{
    return half->tally.profiler_cpu / fmax(half->tally.elapsed, 1e-9);
}

static double reads(const struct half *half)
{
    return (double)half->tally.read_calls / (double)half->tally.samples;
}

static void print_text(const struct findings *found, const struct bound bounds[BOUNDS])
{
    const struct pyi_truth_shares *shares = &found->shares;
    const struct pyi_tally *tally = &found->second.tally;
    struct pyi_strbuf python = {0};
    pyi_strbuf_safe(&python, pyi_text(found->python), PYI_TEXT_STRICT);
    printf("pyinstrument %s, self-check with Python %u.%u.%u (%s, %s)\n\n", PYI_VERSION,
           found->hello.major, found->hello.minor, found->hello.micro, found->hello.build,
           pyi_strbuf_get(&python).data);
    pyi_strbuf_deinit(&python);
    printf("Where the time went, %.1f s at 1 kHz:\n  %-12s %9s %9s %11s\n",
           found->first.tally.elapsed, "phase", "logged", "recorded", "difference");
    for (size_t i = 0; i < shares->count; i++) {
        const struct pyi_truth_phase *phase = &shares->phases[i];
        double logged = 100 * phase->logged / shares->seconds;
        double recorded = 100 * phase->recorded / shares->seconds;
        printf("  %-12s %7.2f %% %7.2f %% %+11.2f\n", phase->name, logged, recorded,
               recorded - logged);
    }
    printf("  mean difference %.2f points; samples without any error would have %.2f\n",
           100 * shares->mean, 100 * shares->perfect_mean);
    if (shares->unobserved > 0)
        printf("  left out: %.2f s in which the profiler had no processor\n", shares->unobserved);
    printf("\n");
    printf("Which calls were made, %.1f s at 10 kHz, up to %u calls deep:\n", tally->elapsed,
           found->stacks.deepest);
    printf("  %llu samples: %llu impossible, %llu truncated (%.2f %%), %llu lost (%.2f %%)\n",
           (unsigned long long)tally->samples, (unsigned long long)found->stacks.impossible,
           (unsigned long long)tally->truncated, percent(tally->truncated, tally->samples),
           (unsigned long long)tally->lost, percent(tally->lost, tally->samples + tally->lost));
    if (found->stacks.first[0])
        printf("  the first impossible one: %s\n", found->stacks.first);
    printf("\nWhat it cost:\n"
           "  at  1 kHz %6.1f us of CPU per sample, %4.1f %% of a core, %.2f reads of memory\n"
           "  at 10 kHz %6.1f us of CPU per sample, %4.1f %% of a core, %.2f reads of memory\n",
           cost(&found->first), 100 * of_core(&found->first), reads(&found->first),
           cost(&found->second), 100 * of_core(&found->second), reads(&found->second));
    printf("  the program had %.2f and %.2f of a CPU, and asked for %.2f and 1.00\n\n",
           found->first.cpu, found->second.cpu, 1 - shares->asleep);
    const char *result = verdict(bounds);
    if (strcmp(result, "ok") == 0)
        printf("Within all bounds.\n");
    else if (strcmp(result, "failed") == 0)
        printf("NOT within bounds:\n");
    else
        printf("Inconclusive: the machine was too busy for the program to run.\n");
    for (size_t i = 0; i < BOUNDS; i++)
        if (bounds[i].exceeded)
            printf("  %s: %.3g, %s %g (%s)\n", bounds[i].name, bounds[i].value,
                   bounds[i].least ? "at least" : "at most", bounds[i].limit, bounds[i].words);
}

static void add_half(cJSON *object, const struct half *half, double asked)
{
    cJSON_AddNumberToObject(object, "seconds", half->tally.elapsed);
    cJSON_AddNumberToObject(object, "samples", (double)half->tally.samples);
    cJSON_AddNumberToObject(object, "verified", (double)half->tally.verified);
    cJSON_AddNumberToObject(object, "truncated", (double)half->tally.truncated);
    cJSON_AddNumberToObject(object, "lost", (double)half->tally.lost);
    cJSON_AddNumberToObject(object, "missed", (double)half->tally.missed);
    cJSON_AddNumberToObject(object, "us_per_sample", cost(half));
    cJSON_AddNumberToObject(object, "core", of_core(half));
    cJSON_AddNumberToObject(object, "reads_per_sample", reads(half));
    cJSON_AddNumberToObject(object, "program_cpu", half->cpu);
    cJSON_AddNumberToObject(object, "program_cpu_asked", asked);
}

static void print_json(const struct findings *found, const struct bound bounds[BOUNDS])
{
    char version[40];
    snprintf(version, sizeof(version), "%u.%u.%u", found->hello.major, found->hello.minor,
             found->hello.micro);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", PYI_VERSION);
    cJSON_AddItemToObject(root, "interpreter", pyi_command_json_text(pyi_text(found->python)));
    cJSON_AddStringToObject(root, "python", version);
    cJSON_AddStringToObject(root, "build", found->hello.build);
    cJSON_AddStringToObject(root, "result", verdict(bounds));
    cJSON *list = cJSON_AddArrayToObject(root, "bounds");
    for (size_t i = 0; i < BOUNDS; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", bounds[i].name);
        cJSON_AddNumberToObject(item, "value", bounds[i].value);
        cJSON_AddNumberToObject(item, bounds[i].least ? "at_least" : "at_most", bounds[i].limit);
        cJSON_AddBoolToObject(item, "met", !bounds[i].exceeded);
        cJSON_AddItemToArray(list, item);
    }
    cJSON *shares = cJSON_AddObjectToObject(root, "shares");
    add_half(shares, &found->first, 1 - found->shares.asleep);
    cJSON_AddNumberToObject(shares, "unobserved", found->shares.unobserved);
    cJSON_AddNumberToObject(shares, "mean_error", found->shares.mean);
    cJSON_AddNumberToObject(shares, "perfect_mean_error", found->shares.perfect_mean);
    cJSON *phases = cJSON_AddArrayToObject(shares, "phases");
    for (size_t i = 0; i < found->shares.count; i++) {
        const struct pyi_truth_phase *phase = &found->shares.phases[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToObject(item, "name", pyi_command_json_text(pyi_text(phase->name)));
        cJSON_AddNumberToObject(item, "logged", phase->logged);
        cJSON_AddNumberToObject(item, "recorded", phase->recorded);
        cJSON_AddItemToArray(phases, item);
    }
    cJSON *stacks = cJSON_AddObjectToObject(root, "stacks");
    add_half(stacks, &found->second, 1);
    cJSON_AddNumberToObject(stacks, "impossible", (double)found->stacks.impossible);
    cJSON_AddNumberToObject(stacks, "deepest", found->stacks.deepest);
    if (found->stacks.first[0])
        cJSON_AddItemToObject(stacks, "first_impossible",
                              pyi_command_json_text(pyi_text(found->stacks.first)));
    char *text = cJSON_Print(root);
    if (text)
        printf("%s\n", text);
    cJSON_free(text);
    cJSON_Delete(root);
}

int pyi_command_selfcheck(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const double seconds =
        pyi_options_given(options, PYI_OPT_DURATION) ? options->numbers[PYI_OPT_DURATION] : SECONDS;
    struct pyi_strbuf python = {0};
    struct findings found = {0};
    struct child child = {.in = -1, .out = -1};
    struct pyi_error error = {0};
    pyi_interpreter_choose(options, NULL, &python);
    int code = python.failed ? pyi_error_nomem(&error) : PYI_OK;
    found.python = pyi_strbuf_get(&python).data;
    if (!code)
        code = check_shares(&child, seconds, &found, &error);
    child_end(&child);
    if (!code)
        code = check_stacks(&child, seconds, &found, &error);
    child_end(&child);
    int status = PYI_EXIT_OK;
    if (code) {
        status = pyi_failure_print(console, &error, NULL);
    } else {
        struct bound bounds[BOUNDS];
        judge(&found, bounds);
        status = strcmp(verdict(bounds), "ok") == 0 ? PYI_EXIT_OK : PYI_EXIT_FAILURE;
        if (pyi_options_given(options, PYI_OPT_JSON))
            print_json(&found, bounds);
        else
            print_text(&found, bounds);
    }
    pyi_strbuf_deinit(&python);
    return status;
}
