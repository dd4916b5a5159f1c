/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recorder.c - the recorder's life and its loop: deadline, round, tracks, again.
 *
 * In: a process id or a command. Out: a session, counts, and how it ended. The target is only
 * ever looked at through attach.h; nothing here knows what its memory looks like.
 */
#include <pyinstrument/recorder.h>

#include "src/record/record.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/record/ending.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MS              1000000ull
#define UPKEEP_TIME     (250 * MS) /* progress at most four times a second */
#define CPU_TIME        (10 * MS)  /* how old the process's CPU clock may be at its end */
#define THREAD_CPU_TIME (100 * MS) /* the same for threads, as long as they are few */
#define FEW_THREADS     64
#define STATUS_LOOKS    50
#define BLIND_TIME      (1000 * MS) /* a living target without readable interpreter */
/* Rounds in a row without the program's module that mean the program is over. */
#define OUTSIDE_ROUNDS     2
#define OUTSIDE_ROUNDS_ODD 5

/* ---- life ----------------------------------------------------------------------------------- */

void pyi_recorder_options_init(struct pyi_recorder_options *options)
{
    *options = (struct pyi_recorder_options){.interval = 0.001, .wait = 2};
}

static bool keep_string(struct pyi_recorder *recorder, const char **string)
{
    if (*string)
        *string = pyi_arena_copy(&recorder->texts, *string, strlen(*string));
    return *string != NULL;
}

static int copy_options(struct pyi_recorder *recorder, const struct pyi_recorder_options *options,
                        struct pyi_error *err)
{
    struct pyi_recorder_options *copy = &recorder->options;
    if (options)
        *copy = *options;
    else
        pyi_recorder_options_init(copy);
    const char **strings[] = {&copy->thread,         &copy->target_description, &copy->libpython,
                              &copy->assume_version, &copy->dump_image,         &copy->pyirec};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        if (*strings[i] && !keep_string(recorder, strings[i]))
            return pyi_error_nomem(err);
    return 0;
}

int pyi_recorder_new(const struct pyi_recorder_options *options, struct pyi_recorder **out,
                     struct pyi_error *err)
{
    struct pyi_recorder *recorder = calloc(1, sizeof(*recorder));
    if (!recorder)
        return pyi_error_nomem(err);
    pyi_clock_init(&recorder->clock);
    recorder->end_detail = -1;
    recorder->ending = -1;
    int code = copy_options(recorder, options, err);
    if (!code)
        code = pyi_session_new(&recorder->session, err);
    if (!code)
        code = pyi_ledger_init(&recorder->ledger, recorder->session,
                               pyi_pace_interval(recorder->options.interval), err);
    if (code) {
        pyi_recorder_free(recorder);
        return code;
    }
    recorder->ledger.aggregate = recorder->options.aggregate;
    recorder->asked_interval = recorder->ledger.interval;
    if (recorder->options.aggregate)
        pyi_recorder_note(recorder, "sums only: no order of time was kept");
    if (recorder->options.pyirec && recorder->options.aggregate)
        code = pyi_error_set(err, PYI_E_INVALID, "without a timeline nothing can be written early");
    if (code) {
        pyi_recorder_free(recorder);
        return code;
    }
    if (recorder->options.pyirec) {
        code = pyi_stream_open(recorder->options.pyirec, &recorder->stream, err);
        if (code) {
            pyi_recorder_free(recorder);
            return code;
        }
    }
    recorder->ledger.selective = recorder->options.mode != PYI_MODE_WALL;
    recorder->started = recorder->clock.now(&recorder->clock);
    recorder->start_time = recorder->clock.wall(&recorder->clock);
    *out = recorder;
    return 0;
}

static int describe_attached(struct pyi_recorder *recorder, struct pyi_error *err)
{
    const char *wanted = recorder->options.target_description;
    if (wanted)
        pyi_strbuf_string(&recorder->description, wanted);
    else if (recorder->process_count)
        pyi_strbuf_format(&recorder->description, "Process %d: %s", (int)recorder->pid,
                          recorder->processes[0].command.data);
    else
        pyi_strbuf_format(&recorder->description, "Process %d and its children",
                          (int)recorder->pid);
    return recorder->description.failed ? pyi_error_nomem(err) : 0;
}

/* With children, a program that is no Python will do: a shell, or what unpacks the real one. */
static int open_attached(struct pyi_recorder *recorder, struct pyi_error *err)
{
    struct pyi_error failure = {0};
    int code = pyi_recorder_open_target(recorder, recorder->options.wait, &failure);
    if (recorder->options.subprocesses && code == PYI_E_NOTPYTHON &&
        strcmp(failure.slug, "not-python") == 0)
        return 0;
    if (code && err)
        *err = failure;
    return code;
}

int pyi_recorder_attach(pid_t pid, const struct pyi_recorder_options *options,
                        struct pyi_recorder **out, struct pyi_error *err)
{
    struct pyi_recorder *recorder = NULL;
    int code = pyi_recorder_new(options, &recorder, err);
    if (code)
        return code;
    recorder->pid = pid;
    recorder->ending = pyi_ending_watch(pid);
    code = open_attached(recorder, err);
    if (!code)
        code = describe_attached(recorder, err);
    if (!code && recorder->options.subprocesses)
        code = pyi_follow_new(recorder, err);
    if (code) {
        pyi_recorder_free(recorder);
        return code;
    }
    *out = recorder;
    return 0;
}

int pyi_recorder_add(struct pyi_recorder *recorder, pid_t pid, struct pyi_error *err)
{
    if (recorder->launched || recorder->recording)
        return pyi_error_set(err, PYI_E_INVALID, "too late to add process %d", (int)pid);
    int code = recorder->follow ? 0 : pyi_follow_new(recorder, err);
    return code ? code : pyi_follow_add(recorder, pid, err);
}

int pyi_recorder_launch(char *const argv[], int program_argument,
                        const struct pyi_recorder_options *options, struct pyi_recorder **out,
                        struct pyi_error *err)
{
    struct pyi_recorder *recorder = NULL;
    int code = pyi_recorder_new(options, &recorder, err);
    if (code)
        return code;
    recorder->launched = true;
    if (argv && argv[0])
        pyi_program_init(&recorder->program, argv, program_argument);
    if (recorder->program.script && !keep_string(recorder, &recorder->program.script))
        code = pyi_error_nomem(err);
    if (recorder->options.target_description)
        pyi_strbuf_string(&recorder->description, recorder->options.target_description);
    else if (argv && argv[0])
        pyi_program_describe(&recorder->description, argv, program_argument);
    if (recorder->description.failed)
        code = pyi_error_nomem(err);
    if (!code)
        code = pyi_child_start(&recorder->child, argv, err);
    if (code) {
        pyi_recorder_free(recorder);
        return code;
    }
    recorder->pid = recorder->child.pid;
    if (recorder->options.subprocesses && pyi_follow_new(recorder, NULL))
        pyi_recorder_note(recorder, "no memory to follow other processes");
    recorder->started = recorder->clock.now(&recorder->clock);
    *out = recorder;
    return 0;
}

void pyi_recorder_free(struct pyi_recorder *recorder)
{
    if (!recorder)
        return;
    pyi_follow_free(recorder->follow);
    pyi_recorder_close_target(recorder);
    pyi_cleanup_close(&recorder->ending);
    pyi_stream_close(recorder->stream);
    for (size_t i = 0; i < recorder->track_count; i++) {
        pyi_track_deinit(recorder->tracks[i]);
        free(recorder->tracks[i]);
    }
    free(recorder->tracks);
    free(recorder->by_index);
    free(recorder->processes);
    free(recorder->notes);
    pyi_ledger_deinit(&recorder->ledger);
    pyi_session_free(recorder->session);
    pyi_arena_free(&recorder->paths.arena);
    pyi_arena_free(&recorder->texts);
    pyi_strbuf_deinit(&recorder->description);
    free(recorder);
}

void pyi_recorder_note(struct pyi_recorder *recorder, const char *format, ...)
{
    struct pyi_strbuf text = {0};
    va_list arguments;
    va_start(arguments, format);
    pyi_strbuf_vformat(&text, format, arguments);
    va_end(arguments);
    const struct pyi_log log = {recorder->options.log, recorder->options.context};
    pyi_log(&log, "record", "%s", text.data ? text.data : "");
    const char *copy =
        text.failed ? NULL : pyi_arena_copy(&recorder->texts, text.data, text.length);
    if (copy && pyi_array_reserve(&recorder->notes, &recorder->note_capacity,
                                  recorder->note_count + 1, sizeof(*recorder->notes)))
        recorder->notes[recorder->note_count++] = (struct pyi_text){copy, text.length};
    pyi_strbuf_deinit(&text);
}

/* ---- the end -------------------------------------------------------------------------------- */

void pyi_recorder_count_cpu(struct pyi_recorder *recorder)
{
    if (recorder->recording && recorder->end == PYI_END_NONE)
        recorder->profiler_cpu = recorder->clock.cpu(&recorder->clock) - recorder->cpu_mark +
                                 (uint64_t)(pyi_recorder_stops(recorder).stopping_cpu * 1e9);
}

void pyi_recorder_finish(struct pyi_recorder *recorder, enum pyi_recording_end end, int detail,
                         uint64_t when)
{
    /* After an exec a recording ends in retrospect: looking for another Python was no sampling. */
    if (end != PYI_END_EXEC)
        pyi_recorder_count_cpu(recorder);
    recorder->end = end;
    recorder->end_detail = detail;
    recorder->ended = when;
}

static void finish_status(struct pyi_recorder *recorder, int status)
{
    if (WIFSIGNALED(status)) {
        recorder->end = PYI_END_SIGNAL;
        recorder->end_detail = WTERMSIG(status);
    } else if (WIFEXITED(status)) {
        recorder->end = PYI_END_EXIT;
        recorder->end_detail = WEXITSTATUS(status);
    }
}

void pyi_recorder_finish_exit(struct pyi_recorder *recorder, uint64_t when)
{
    pyi_recorder_finish(recorder, PYI_END_EXIT, -1, when);
    int status = 0;
    if (recorder->launched) {
        if (pyi_child_ended(&recorder->child, &status))
            finish_status(recorder, status);
        return;
    }
    /* A process on its way out has no status yet; it is there within a moment. */
    struct pyi_clock *clock = &recorder->clock;
    const int looks = recorder->among ? 1 : STATUS_LOOKS;
    for (int i = 0; i < looks && !pyi_clock_stopped(clock); i++) {
        if (pyi_ending_status(recorder->ending, recorder->pid, &status)) {
            finish_status(recorder, status);
            return;
        }
        clock->wait(clock, clock->now(clock) + MS);
    }
}

/* The target could not be read any more, at `now`. */
static int handle_gone(struct pyi_recorder *recorder, uint64_t now, struct pyi_error *err)
{
    uint64_t when = recorder->outside_rounds ? recorder->outside_since : now;
    switch (pyi_target_fate(recorder->target)) {
    case PYI_FATE_EXEC:
        if (recorder->among) {
            pyi_recorder_finish(recorder, PYI_END_EXEC, -1, now);
            return 0;
        }
        return pyi_recorder_follow_exec(recorder, now, err);
    case PYI_FATE_FINALIZED:
        if (!recorder->launched && !recorder->among)
            pyi_recorder_note(recorder, "the interpreter was finalized");
        pyi_recorder_finish_exit(recorder, when);
        return 0;
    case PYI_FATE_ENDED:
        pyi_recorder_finish_exit(recorder, when);
        return 0;
    case PYI_FATE_ALIVE:
        break;
    }
    recorder->epoch++;
    if (!recorder->blind_since)
        recorder->blind_since = now;
    if (now - recorder->blind_since > BLIND_TIME) {
        pyi_recorder_note(recorder, "the interpreter could not be found any more");
        pyi_recorder_finish_exit(recorder, recorder->blind_since);
    }
    return 0;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

/* Whether the main thread of a launched program has left the program. Code that switches stacks
 * below Python (greenlets) leaves the module without the program being over. */
static bool is_outside(struct pyi_recorder *recorder, const struct pyi_round *round)
{
    const struct pyi_stack *stack = pyi_round_main(round);
    if (stack && (stack->status == PYI_STACK_LOST || stack->truncated ||
                  pyi_program_find(&recorder->program, stack)))
        return false;
    return (stack && pyi_program_is_shutdown(stack)) || !pyi_program_switches_stacks(recorder->pid);
}

/* How many such rounds in a row are believed: a stack with other frames may be torn. */
static unsigned rounds_believed(const struct pyi_round *round)
{
    const struct pyi_stack *stack = pyi_round_main(round);
    bool clear = !stack || !stack->depth || pyi_program_is_shutdown(stack);
    return clear ? OUTSIDE_ROUNDS : OUTSIDE_ROUNDS_ODD;
}

int pyi_recorder_tick(struct pyi_recorder *recorder, uint64_t now, struct pyi_error *err)
{
    struct pyi_round round = {0};
    int code = pyi_target_round(recorder->target, &round, err);
    if (code == PYI_E_GONE)
        return handle_gone(recorder, now, err);
    if (code)
        return code;
    recorder->blind_since = 0;
    recorder->ticks++;
    if (recorder->launched && is_outside(recorder, &round)) {
        recorder->epoch++;
        if (!recorder->outside_rounds++)
            recorder->outside_since = now;
        if (recorder->outside_rounds >= rounds_believed(&round))
            pyi_recorder_finish_exit(recorder, recorder->outside_since);
        return 0;
    }
    recorder->outside_rounds = 0;
    return pyi_recorder_take_round(recorder, &round, now, true, err);
}

static void read_cpu(struct pyi_recorder *recorder, uint64_t now)
{
    recorder->last_cpu = now;
    double used = recorder->target ? pyi_target_cpu(recorder->target) : -1;
    if (used >= 0)
        recorder->processes[recorder->process_count - 1].cpu_end = used;
}

/* Samples less often while the recorder itself takes more than it may. */
static void keep_budget(struct pyi_recorder *recorder, uint64_t now)
{
    if (!(recorder->options.max_cpu > 0) || now <= recorder->budget_time)
        return;
    uint64_t cpu = recorder->clock.cpu(&recorder->clock);
    double used = (double)(cpu - recorder->budget_cpu) / (double)(now - recorder->budget_time);
    bool known = recorder->budget_time > 0;
    recorder->budget_time = now;
    recorder->budget_cpu = cpu;
    if (!known)
        return;
    uint64_t interval = pyi_pace_adapt(recorder->pace.interval, recorder->asked_interval, used,
                                       recorder->options.max_cpu);
    recorder->pace.interval = recorder->ledger.interval = interval;
    if (interval > recorder->asked_interval && interval > recorder->slowest)
        recorder->slowest = interval;
}

/* Gives up writing while recording; what is in memory is all there. */
static void end_stream(struct pyi_recorder *recorder, const struct pyi_error *reason)
{
    if (reason->code)
        recorder->stream_error = *reason;
    pyi_stream_close(recorder->stream);
    recorder->stream = NULL;
}

static void write_stream(struct pyi_recorder *recorder, uint64_t now)
{
    struct pyi_error error = {0};
    if (!recorder->stream || !pyi_stream_due(recorder->stream, recorder, now))
        return;
    if (pyi_stream_flush(recorder->stream, recorder, now, &error)) {
        pyi_recorder_note(recorder, "nothing more was written from %.1f s on: %s",
                          (double)(now - recorder->started) / 1e9, error.message);
        end_stream(recorder, &error);
    }
}

void pyi_recorder_upkeep(struct pyi_recorder *recorder, uint64_t now)
{
    if (recorder->follow)
        pyi_follow_upkeep(recorder, now);
    if (now - recorder->last_cpu >= CPU_TIME)
        read_cpu(recorder, now);
    if (now - recorder->last_thread_cpu >=
        THREAD_CPU_TIME * (1 + recorder->by_index_count / FEW_THREADS)) {
        recorder->last_thread_cpu = now;
        pyi_recorder_read_thread_cpu(recorder);
    }
    if (now >= recorder->next_paths) {
        recorder->next_paths = now + 2 * (now - recorder->started);
        pyi_recorder_read_paths(recorder, true);
    }
    if (now - recorder->last_upkeep < UPKEEP_TIME)
        return;
    recorder->last_upkeep = now;
    keep_budget(recorder, now);
    write_stream(recorder, now);
    if (!recorder->options.progress)
        return;
    pyi_recorder_count_cpu(recorder);
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    recorder->options.progress(recorder->options.context, &tally);
}

/* Returns at the deadline or when stopped; longer waits are interrupted for upkeep. */
static void wait_until(struct pyi_recorder *recorder, uint64_t deadline)
{
    struct pyi_clock *clock = &recorder->clock;
    uint64_t now = clock->now(clock);
    while (now < deadline && !pyi_clock_stopped(clock)) {
        uint64_t until = deadline - now > UPKEEP_TIME ? now + UPKEEP_TIME : deadline;
        clock->wait(clock, until);
        now = clock->now(clock);
        if (until < deadline)
            pyi_recorder_upkeep(recorder, now);
    }
}

static int loop(struct pyi_recorder *recorder, struct pyi_error *err)
{
    struct pyi_clock *clock = &recorder->clock;
    uint64_t limit = UINT64_MAX;
    if (recorder->options.duration > 0)
        limit = recorder->started + pyi_pace_interval(recorder->options.duration);
    while (recorder->end == PYI_END_NONE) {
        wait_until(recorder, recorder->pace.next < limit ? recorder->pace.next : limit);
        bool stopped = pyi_clock_stopped(clock);
        uint64_t exact = clock->now(clock), now = pyi_recorder_grain(recorder, exact);
        int code = recorder->follow ? pyi_follow_tick(recorder, now, err)
                                    : pyi_recorder_tick(recorder, now, err);
        if (code)
            return code;
        if (recorder->end != PYI_END_NONE)
            break;
        if (stopped || exact >= limit) {
            pyi_recorder_finish(recorder, stopped ? PYI_END_STOPPED : PYI_END_DURATION, -1, now);
            break;
        }
        pyi_recorder_upkeep(recorder, now);
        if (recorder->rolled)
            pyi_recorder_begin_again(recorder, clock->now(clock));
        const uint64_t done = clock->now(clock);
        pyi_pace_advance(&recorder->pace,
                         recorder->follow ? pyi_follow_pause(recorder, exact, done) : done);
    }
    return 0;
}

/* Threads that could not be stopped: their samples are lost. */
static void note_stops(struct pyi_recorder *recorder)
{
    const struct pyi_target_stats stops = pyi_recorder_stops(recorder);
    if (stops.stop_late)
        pyi_recorder_note(recorder,
                          "a thread did not stop in time and was left alone %llu times: it was "
                          "frozen, or asleep in the kernel",
                          (unsigned long long)stops.stop_late);
    if (stops.stop_traced)
        pyi_recorder_note(recorder, "another tracer was there %llu times",
                          (unsigned long long)stops.stop_traced);
    if (stops.stop_refused)
        pyi_recorder_note(recorder, "a thread could not be stopped %llu times",
                          (unsigned long long)stops.stop_refused);
}

/* Last looks at the target, while it is there. */
void pyi_recorder_close_books(struct pyi_recorder *recorder)
{
    uint64_t now = recorder->clock.now(&recorder->clock);
    if (!recorder->ended)
        recorder->ended = now;
    pyi_recorder_count_cpu(recorder);
    if (!recorder->booked)
        note_stops(recorder);
    recorder->booked = true;
    if (recorder->recording) {
        read_cpu(recorder, now);
        pyi_recorder_read_thread_cpu(recorder);
        pyi_recorder_read_paths(recorder, true);
    }
    if (recorder->process_count)
        recorder->processes[recorder->process_count - 1].end = recorder->ended;
}

static int begin(struct pyi_recorder *recorder, struct pyi_error *err)
{
    int code = 0;
    if (recorder->launched)
        code = pyi_recorder_begin_launched(recorder, err);
    else if (recorder->target)
        code = pyi_recorder_begin_attached(recorder, err);
    else
        pyi_recorder_begin_empty(recorder);
    if (!code && recorder->follow && recorder->recording)
        code = pyi_follow_begin(recorder, err);
    return code;
}

int pyi_recorder_run(struct pyi_recorder *recorder, struct pyi_error *err)
{
    if (recorder->end != PYI_END_NONE)
        return 0;
    unsigned long slack = pyi_clock_sharpen();
    int code = 0;
    if (!recorder->recording)
        code = begin(recorder, err);
    if (!code && recorder->recording)
        code = loop(recorder, err);
    if (recorder->launched && recorder->end == PYI_END_STOPPED) {
        int status = 0;
        if (pyi_child_ended(&recorder->child, &status))
            finish_status(recorder, status);
    }
    if (recorder->follow && pyi_follow_close(recorder, NULL) && !code)
        code = pyi_error_nomem(err);
    pyi_recorder_close_books(recorder);
    pyi_clock_blunt(slack);
    return code;
}

void pyi_recorder_stop(struct pyi_recorder *recorder)
{
    pyi_clock_stop(&recorder->clock);
}

int pyi_recorder_wait(struct pyi_recorder *recorder, int *status, struct pyi_error *err)
{
    if (!recorder->launched)
        return pyi_error_set(err, PYI_E_INVALID, "process %d was not started here",
                             (int)recorder->pid);
    int value = 0;
    int code = pyi_child_wait(&recorder->child, &value, err);
    if (code)
        return code;
    if (recorder->end == PYI_END_EXIT && recorder->end_detail < 0)
        finish_status(recorder, value);
    *status = value;
    return 0;
}

/* ---- answers -------------------------------------------------------------------------------- */

enum pyi_recording_end pyi_recorder_end(const struct pyi_recorder *recorder, int *detail)
{
    if (detail)
        *detail = recorder->end_detail;
    return recorder->end;
}

int pyi_recorder_file(const struct pyi_recorder *recorder, struct pyi_error *err)
{
    if (recorder->stream_error.code && err)
        *err = recorder->stream_error;
    return recorder->stream_error.code;
}

struct pyi_text pyi_recorder_became(const struct pyi_recorder *recorder)
{
    return recorder->became.data ? recorder->became : pyi_text("");
}

pid_t pyi_recorder_pid(const struct pyi_recorder *recorder)
{
    return recorder->pid;
}

int pyi_recorder_take_own(struct pyi_recorder *recorder, struct pyi_session **out,
                          struct pyi_error *err)
{
    if (!recorder->session)
        return pyi_error_set(err, PYI_E_INVALID, "the session was taken already");
    for (size_t i = 0; i < recorder->track_count; i++) {
        int code = pyi_track_settle(recorder->tracks[i], &recorder->ledger, err);
        if (code)
            return code;
    }
    if (recorder->stream) {
        struct pyi_error error = {0};
        (void)!pyi_stream_finish(recorder->stream, recorder, &error);
        end_stream(recorder, &error);
    }
    int code = pyi_recorder_assemble(recorder, recorder->session, err);
    if (code)
        return code;
    *out = recorder->session;
    recorder->session = NULL;
    return 0;
}

int pyi_recorder_snapshot_own(struct pyi_recorder *recorder, struct pyi_session **out,
                              struct pyi_error *err)
{
    if (!recorder->session)
        return pyi_error_set(err, PYI_E_INVALID, "the session was taken already");
    struct pyi_session *copy = NULL;
    int code = pyi_session_new(&copy, err);
    if (!code)
        code = pyi_recorder_assemble(recorder, copy, err);
    if (code) {
        pyi_session_free(copy);
        return code;
    }
    *out = copy;
    return 0;
}

int pyi_recorder_take_session(struct pyi_recorder *recorder, struct pyi_session **out,
                              struct pyi_error *err)
{
    return recorder->follow ? pyi_follow_session(recorder, true, out, err)
                            : pyi_recorder_take_own(recorder, out, err);
}

int pyi_recorder_snapshot(struct pyi_recorder *recorder, struct pyi_session **out,
                          struct pyi_error *err)
{
    return recorder->follow ? pyi_follow_session(recorder, false, out, err)
                            : pyi_recorder_snapshot_own(recorder, out, err);
}

int pyi_recorder_take_sessions(struct pyi_recorder *recorder, struct pyi_session ***out,
                               size_t *count, struct pyi_error *err)
{
    if (recorder->follow)
        return pyi_follow_sessions(recorder, out, count, err);
    struct pyi_session **list = calloc(1, sizeof(*list));
    int code = list ? pyi_recorder_take_own(recorder, list, err) : pyi_error_nomem(err);
    if (code) {
        free(list);
        return code;
    }
    *out = list;
    *count = 1;
    return 0;
}
