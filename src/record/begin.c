/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * begin.c - bringing a target into view: open it, wait for a program to start, follow exec.
 *
 * In: a process id. Out: an open target whose first round has been made. A launched program is
 * looked at in short steps from its exec on, because its module may be over within a
 * millisecond. What stacks mean is decided elsewhere.
 */
#include "src/record/record.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <limits.h>
#include <pyinstrument.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS                1000000ull
#define REFUSAL_PATIENCE  (50 * MS)  /* a refusal may come from an exec under way */
#define REPLACED_PATIENCE (500 * MS) /* a shell script may exec Python in a moment */
#define REPLACED_STEP     (64 * MS)  /* at most, between looks at what is no Python so far */
#define PATHS_TIME        (100 * MS) /* when to look at sys.path again; from then on ever less often */
#define COMMAND_LIMIT     200        /* characters of a command line */

/* ---- opening -------------------------------------------------------------------------------- */

static struct pyi_text keep_text(struct pyi_recorder *recorder, struct pyi_text text)
{
    const char *copy = pyi_arena_copy(&recorder->texts, text.data, text.length);
    return copy ? (struct pyi_text){copy, text.length} : pyi_text("");
}

/* The command line as a shell would need it, cut after COMMAND_LIMIT characters. */
static struct pyi_text command_text(struct pyi_recorder *recorder,
                                    const struct pyi_target_info *info)
{
    struct pyi_strbuf quoted = {0};
    for (size_t i = 0; i < info->argument_count; i++) {
        if (i)
            pyi_strbuf_char(&quoted, ' ');
        pyi_strbuf_shell_quote(&quoted, info->arguments[i]);
        if (quoted.length > 8 * COMMAND_LIMIT)
            break;
    }
    if (!info->argument_count)
        pyi_strbuf_text(&quoted, info->executable);
    struct pyi_text text = pyi_strbuf_get(&quoted);
    size_t end = 0, characters = 0, cut = 0;
    while (end < text.length && characters <= COMMAND_LIMIT) {
        if (characters == COMMAND_LIMIT - 3)
            cut = end;
        pyi_text_next(text, &end);
        characters++;
    }
    if (characters > COMMAND_LIMIT) {
        quoted.length = cut;
        pyi_strbuf_string(&quoted, "...");
    }
    text = keep_text(recorder, pyi_strbuf_get(&quoted));
    pyi_strbuf_deinit(&quoted);
    return text;
}

static int add_process(struct pyi_recorder *recorder, struct pyi_error *err)
{
    if (!pyi_array_reserve(&recorder->processes, &recorder->process_capacity,
                           recorder->process_count + 1, sizeof(*recorder->processes)))
        return pyi_error_nomem(err);
    const struct pyi_target_info *info = pyi_target_info(recorder->target);
    recorder->processes[recorder->process_count++] = (struct pyi_recorded_process){
        .command = command_text(recorder, info),
        .python = keep_text(recorder, info->version),
        .build = keep_text(recorder, info->build),
        .runtime = keep_text(recorder, info->found),
        .root = keep_text(recorder, info->root),
        .pid = info->pid,
        .parent = info->parent,
        .cpu_start = -1,
        .cpu_end = -1,
    };
    if (info->untested)
        pyi_recorder_note(recorder,
                          "reading %s builds of Python %d.%d was not tested on a real one",
                          info->build.data, info->major, info->minor);
    return 0;
}

/* 3.11 began to keep an exception in one place, as its value alone (Include/cpython/pystate.h:
 * struct _err_stackitem). */
static int check_mode(const struct pyi_recorder *recorder, struct pyi_error *err)
{
    const struct pyi_target_info *info = pyi_target_info(recorder->target);
    if (recorder->options.mode != PYI_MODE_EXCEPTION || info->major > 3 || info->minor >= 11)
        return 0;
    pyi_error_set(err, PYI_E_VERSION,
                  "process %d runs Python %s; samples can be selected by exception from 3.11 on",
                  (int)info->pid, info->version.data);
    if (err)
        pyi_error_slug(err, "mode-version");
    return PYI_E_VERSION;
}

int pyi_recorder_open_target(struct pyi_recorder *recorder, double wait, struct pyi_error *err)
{
    const struct pyi_target_options options = {
        .log = {recorder->options.log, recorder->options.context},
        .wait = wait,
        .libpython = recorder->options.libpython,
        .assume_version = recorder->options.assume_version,
        .c_labels = recorder->options.c_labels,
        .states = true,
        .waits = recorder->options.waits,
        .no_gc = recorder->options.no_gc,
        .exceptions = recorder->options.mode == PYI_MODE_EXCEPTION,
        .stop = recorder->options.stop,
        .tool = "pyinstrument " PYI_VERSION,
        .select = pyi_recorder_selects,
        .select_context = recorder,
    };
    int code = pyi_target_open(recorder->pid, &options, &recorder->target, err);
    if (code)
        return code;
    recorder->ledger.target = recorder->target;
    code = check_mode(recorder, err);
    if (!code)
        code = add_process(recorder, err);
    if (code)
        pyi_recorder_close_target(recorder);
    return code;
}

void pyi_recorder_close_target(struct pyi_recorder *recorder)
{
    if (!recorder->target)
        return;
    struct pyi_target_stats stats = {0};
    pyi_target_stats(recorder->target, &stats);
    if (recorder->recording)
        recorder->read_calls += stats.read_calls - recorder->read_calls_start;
    pyi_recorder_add_stops(&recorder->stops, &stats);
    pyi_park_ask(&recorder->ledger.park, recorder->target, true);
    for (size_t i = 0; i < recorder->track_count; i++)
        pyi_track_detach(recorder->tracks[i]);
    pyi_frames_reset(&recorder->ledger.frames);
    recorder->ledger.target = NULL;
    recorder->by_index_count = 0;
    recorder->program.module = recorder->program.candidate = NULL;
    pyi_target_close(recorder->target);
    recorder->target = NULL;
}

/* ---- paths ---------------------------------------------------------------------------------- */

static bool copy_paths(struct pyi_recorded_paths *into, const struct pyi_sysinfo *info)
{
    into->path = pyi_arena_alloc(&into->arena, (info->path_count + 1) * sizeof(*into->path));
    if (!into->path)
        return false;
    for (size_t i = 0; i < info->path_count; i++) {
        const char *copy = pyi_arena_copy(&into->arena, info->path[i].data, info->path[i].length);
        if (!copy)
            return false;
        into->path[into->path_count++] = (struct pyi_text){copy, info->path[i].length};
    }
    for (size_t i = 0; i < 4; i++) {
        struct pyi_text prefix = info->prefixes[i].data ? info->prefixes[i] : pyi_text("");
        const char *copy = pyi_arena_copy(&into->arena, prefix.data, prefix.length);
        if (!copy)
            return false;
        into->prefixes[i] = (struct pyi_text){copy, prefix.length};
    }
    into->from_sys = info->from_sys;
    into->known = true;
    return true;
}

/* An interpreter that shuts down empties its sys module. */
static bool is_better(const struct pyi_recorded_paths *old, const struct pyi_sysinfo *now)
{
    if (!old->known || !old->from_sys)
        return true;
    return now->from_sys && now->path_count > 0;
}

static void take_paths(struct pyi_recorder *recorder, const struct pyi_sysinfo *info)
{
    struct pyi_recorded_paths paths = {0};
    if (!is_better(&recorder->paths, info))
        return;
    if (!copy_paths(&paths, info)) {
        pyi_arena_free(&paths.arena);
        return;
    }
    pyi_arena_free(&recorder->paths.arena);
    recorder->paths = paths;
}

void pyi_recorder_read_paths(struct pyi_recorder *recorder, bool again)
{
    const struct pyi_sysinfo *info = NULL;
    if (!recorder->target)
        return;
    int code = again ? pyi_target_refresh_sysinfo(recorder->target, &info, NULL)
                     : pyi_target_sysinfo(recorder->target, &info, NULL);
    if (!code)
        take_paths(recorder, info);
}

/* ---- the first round ------------------------------------------------------------------------ */

static void begin_process(struct pyi_recorder *recorder, uint64_t now)
{
    struct pyi_recorded_process *process = &recorder->processes[recorder->process_count - 1];
    struct pyi_target_stats stats = {0};
    pyi_target_stats(recorder->target, &stats);
    recorder->read_calls_start = stats.read_calls;
    process->start = process->end = now;
    process->cpu_start = process->cpu_end = pyi_target_cpu(recorder->target);
    recorder->last_round = now;
    recorder->blind_since = 0;
    recorder->outside_rounds = 0;
}

static void begin_time(struct pyi_recorder *recorder, uint64_t now)
{
    recorder->recording = true;
    recorder->started = now;
    recorder->start_time = recorder->clock.wall(&recorder->clock);
    recorder->cpu_mark = recorder->clock.cpu(&recorder->clock);
    recorder->last_upkeep = recorder->last_cpu = recorder->last_thread_cpu = now;
    pyi_pace_start(&recorder->pace, recorder->ledger.interval, now);
}

void pyi_recorder_begin_empty(struct pyi_recorder *recorder)
{
    uint64_t now = recorder->clock.now(&recorder->clock);
    begin_time(recorder, now);
    recorder->last_round = now;
    recorder->next_paths = UINT64_MAX;
}

/* `round` was made at `now`: time counts from here. After an exec it only goes on. */
static int begin_recording(struct pyi_recorder *recorder, const struct pyi_round *round,
                           uint64_t now, struct pyi_error *err)
{
    now = pyi_recorder_grain(recorder, now);
    begin_process(recorder, now);
    if (!recorder->recording)
        begin_time(recorder, now);
    int code = pyi_recorder_take_round(recorder, round, now, false, err);
    pyi_recorder_read_paths(recorder, false);
    recorder->next_paths = now + PATHS_TIME;
    if (!code && recorder->options.dump_image) {
        code = pyi_target_dump_image(recorder->target, recorder->options.dump_image, err);
        if (code == PYI_E_GONE)
            code = 0;
        recorder->options.dump_image = NULL;
        recorder->epoch++; /* it made a round that no track was told of */
    }
    return code;
}

int pyi_recorder_begin_attached(struct pyi_recorder *recorder, struct pyi_error *err)
{
    uint64_t now = recorder->clock.now(&recorder->clock);
    struct pyi_round round = {0};
    int code = pyi_target_round(recorder->target, &round, err);
    if (code && code != PYI_E_GONE)
        return code;
    if (code)
        round.count = 0; /* the next round meets the same and finds out how it went */
    return begin_recording(recorder, &round, now, err);
}

/* ---- a program that starts ------------------------------------------------------------------ */

/* Steps of looking at a starting program, by its age: it is worth some CPU while the module may
 * begin any moment, not while a slow start drags on. */
static uint64_t look_step(uint64_t age)
{
    if (age < 200 * MS)
        return MS / 2;
    return age < 2000 * MS ? MS : 5 * MS;
}

static bool is_over(struct pyi_recorder *recorder, uint64_t now)
{
    int status = 0;
    if (recorder->launched && pyi_child_ended(&recorder->child, &status)) {
        pyi_recorder_finish_exit(recorder, now);
        return true;
    }
    if (pyi_clock_stopped(&recorder->clock)) {
        pyi_recorder_finish(recorder, PYI_END_STOPPED, -1, now);
        return true;
    }
    double limit = recorder->options.duration;
    if (limit > 0 && (double)(now - recorder->started) / 1e9 >= limit) {
        pyi_recorder_finish(recorder, PYI_END_DURATION, -1, now);
        return true;
    }
    return false;
}

/* Seen of every Python for a moment after exec; the second when its program has another name. */
static bool may_be_starting(const char *slug)
{
    return strcmp(slug, "python-not-ready") == 0 || strcmp(slug, "python-unused") == 0;
}

static uint64_t patience(const struct pyi_recorder *recorder, int code, const char *slug)
{
    if (code == PYI_E_GONE)
        return REFUSAL_PATIENCE;
    if (code != PYI_E_NOTPYTHON)
        return REFUSAL_PATIENCE;
    if (may_be_starting(slug) && recorder->launched)
        return UINT64_MAX; /* nothing else to do but to wait: it is our own program */
    double wait = recorder->options.wait;
    return wait > 0 && wait < 1e9 ? (uint64_t)(wait * 1e9) : 0;
}

/* The same after an exec in mid-recording. A Python that starts up is looked at in short steps; a
 * program that is none costs a search of all its files each time. */
static uint64_t replaced_step(const char *slug, uint64_t age)
{
    if (may_be_starting(slug) || strcmp(slug, "no-symbols") == 0)
        return 2 * MS;
    uint64_t step = age < 2 * MS ? 2 * MS : age;
    return step < REPLACED_STEP ? step : REPLACED_STEP;
}

/* Tries to open the target until it is a Python or patience is over. 0 with `target` NULL: the
 * recording has ended meanwhile. */
static int open_patiently(struct pyi_recorder *recorder, uint64_t cap, struct pyi_error *err)
{
    struct pyi_clock *clock = &recorder->clock;
    uint64_t begin = clock->now(clock);
    for (;;) {
        struct pyi_error failure = {0};
        int code = pyi_recorder_open_target(recorder, 0, &failure);
        uint64_t now = clock->now(clock);
        if (!code)
            return 0;
        if (is_over(recorder, now))
            return 0;
        uint64_t most = patience(recorder, code, failure.slug);
        if (now - begin >= (most < cap ? most : cap) || code == PYI_E_NOMEM) {
            if (err)
                *err = failure;
            return code;
        }
        clock->wait(clock, now + (recorder->recording ? replaced_step(failure.slug, now - begin)
                                                      : look_step(now - begin)));
    }
}

/* Looks until the program's module is there and begins. 1: the target has gone. */
static int await_module(struct pyi_recorder *recorder, struct pyi_error *err)
{
    struct pyi_clock *clock = &recorder->clock;
    uint64_t begin = clock->now(clock);
    for (;;) {
        uint64_t now = clock->now(clock);
        struct pyi_round round = {0};
        int code = pyi_target_round(recorder->target, &round, err);
        if (code == PYI_E_GONE)
            return 1;
        if (code)
            return code;
        const struct pyi_stack *main_stack = pyi_round_main(&round);
        if (main_stack && main_stack->status != PYI_STACK_LOST && !main_stack->truncated &&
            pyi_program_find(&recorder->program, main_stack))
            return begin_recording(recorder, &round, now, err);
        if (is_over(recorder, now))
            return 0;
        clock->wait(clock, now + look_step(now - begin));
    }
}

int pyi_recorder_begin_launched(struct pyi_recorder *recorder, struct pyi_error *err)
{
    for (;;) {
        int code = 0;
        if (!recorder->target)
            code = open_patiently(recorder, UINT64_MAX, err);
        if (code || recorder->end != PYI_END_NONE)
            return code;
        code = await_module(recorder, err);
        if (code <= 0)
            return code;
        uint64_t now = recorder->clock.now(&recorder->clock);
        enum pyi_target_fate fate = pyi_target_fate(recorder->target);
        if (fate == PYI_FATE_ENDED || fate == PYI_FATE_FINALIZED) {
            pyi_recorder_finish_exit(recorder, now);
            return 0;
        }
        if (is_over(recorder, now))
            return 0;
        /* A launcher that is Python itself: its program is the one it becomes. */
        pyi_recorder_close_target(recorder);
        recorder->process_count--;
        recorder->program.kind = PYI_PROGRAM_UNKNOWN;
    }
}

/* ---- exec ----------------------------------------------------------------------------------- */

struct pyi_text pyi_recorder_program(struct pyi_recorder *recorder)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)recorder->pid);
    ssize_t length = readlink(link, path, sizeof(path));
    return keep_text(recorder, (struct pyi_text){path, length > 0 ? (size_t)length : 0});
}

static void note_replaced(struct pyi_recorder *recorder, struct pyi_text program, uint64_t when)
{
    char safe[512];
    pyi_recorder_note(recorder, "the process became %s after %.1f s",
                      program.length ? pyi_text_safe(program, safe, sizeof(safe))
                                     : "another program",
                      (double)(when - recorder->started) / 1e9);
}

int pyi_recorder_follow_exec(struct pyi_recorder *recorder, uint64_t when, struct pyi_error *err)
{
    recorder->processes[recorder->process_count - 1].end = when;
    pyi_recorder_count_cpu(recorder);
    pyi_recorder_close_target(recorder);
    struct pyi_error failure = {0};
    int code = open_patiently(recorder, REPLACED_PATIENCE, &failure);
    recorder->program.kind = PYI_PROGRAM_UNKNOWN;
    if (recorder->end != PYI_END_NONE) {
        recorder->ended = when;
        return 0;
    }
    if (code == PYI_E_GONE) {
        pyi_recorder_finish_exit(recorder, when);
        return 0;
    }
    struct pyi_text program = pyi_recorder_program(recorder);
    note_replaced(recorder, program, when);
    if (code == PYI_E_NOMEM)
        return pyi_error_nomem(err);
    if (code) {
        recorder->became = program;
        pyi_recorder_finish(recorder, PYI_END_EXEC, -1, when);
        return 0;
    }
    if (recorder->launched)
        return pyi_recorder_begin_launched(recorder, err);
    return pyi_recorder_begin_attached(recorder, err);
}
