/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rounds.c - what one round delivered goes to the tracks of its threads.
 *
 * In: stacks as they stand in the target. Out: tracks, counts. Decides which threads are shown
 * and what a thread is called; knows nothing of deadlines.
 */
#include "src/record/record.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAIN_NAME "MainThread"

/* ---- names ---------------------------------------------------------------------------------- */

/* The kernel's name of a thread, into `out`. */
static struct pyi_text kernel_name(pid_t pid, pid_t tid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
    size_t length = 0;
    FILE *file = tid > 0 ? fopen(path, "re") : NULL;
    if (file) {
        length = fread(out, 1, size - 1, file);
        fclose(file);
    }
    while (length && out[length - 1] == '\n')
        length--;
    out[length] = '\0';
    return (struct pyi_text){out, length};
}

static bool begins_with(struct pyi_text text, struct pyi_text prefix)
{
    return prefix.length && text.length >= prefix.length &&
           memcmp(text.data, prefix.data, prefix.length) == 0;
}

/* Whether a name is only a stand-in, because `threading` did not (yet) know the thread. Names of
 * other interpreters' threads carry a number behind the name proper. */
static bool is_provisional(const struct pyi_recorder *recorder, const struct pyi_thread *thread)
{
    char fallback[40], comm[64];
    snprintf(fallback, sizeof(fallback), "Thread %llu", (unsigned long long)thread->ident);
    struct pyi_text kernel = kernel_name(recorder->pid, thread->tid, comm, sizeof(comm));
    if (thread->interpreter != 0)
        return begins_with(thread->name, pyi_text(fallback)) || begins_with(thread->name, kernel);
    return pyi_text_equal(thread->name, pyi_text(fallback)) || pyi_text_equal(thread->name, kernel);
}

/* A program that never imported `threading` has no names; its main thread would get this one. */
static struct pyi_text shown_name(const struct pyi_thread *thread, bool provisional)
{
    return thread->is_main && provisional ? pyi_text(MAIN_NAME) : thread->name;
}

/* ---- selection ------------------------------------------------------------------------------ */

static bool all_digits(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isdigit((unsigned char)*text))
            return false;
    return true;
}

static bool is_shown(const struct pyi_recorder *recorder, const struct pyi_thread *thread)
{
    const char *wanted = recorder->options.thread;
    if (!wanted)
        return true;
    if (strcmp(wanted, "main") == 0)
        return thread->is_main;
    if (all_digits(wanted) && strtoll(wanted, NULL, 10) == (long long)thread->tid)
        return true;
    struct pyi_text name = thread->name;
    if (thread->is_main && is_provisional(recorder, thread))
        name = pyi_text(MAIN_NAME);
    return fnmatch(wanted, name.data, 0) == 0;
}

bool pyi_recorder_selects(void *context, const struct pyi_thread *thread)
{
    const struct pyi_recorder *recorder = context;
    /* The main thread of a launched program tells when the program begins and ends. */
    return (recorder->launched && thread->is_main) || is_shown(recorder, thread);
}

/* ---- tracks --------------------------------------------------------------------------------- */

static int add_track(struct pyi_recorder *recorder, const struct pyi_thread *thread, uint64_t now,
                     struct pyi_track **out, struct pyi_error *err)
{
    if (!pyi_array_reserve(&recorder->tracks, &recorder->track_capacity, recorder->track_count + 1,
                           sizeof(struct pyi_track *)))
        return pyi_error_nomem(err);
    struct pyi_track *track = malloc(sizeof(*track));
    if (!track)
        return pyi_error_nomem(err);
    bool provisional = is_provisional(recorder, thread);
    int code = pyi_track_init(track, &recorder->ledger, shown_name(thread, provisional),
                              thread->ident, recorder->last_round, now, err);
    if (code) {
        free(track);
        return code;
    }
    pyi_strbuf_text(&track->source, thread->name);
    track->tid = thread->tid;
    track->is_main = thread->is_main;
    track->provisional = provisional;
    track->shown = is_shown(recorder, thread);
    track->process = (uint32_t)(recorder->process_count - 1);
    track->cpu_start = pyi_target_thread_cpu(recorder->target, thread);
    recorder->tracks[recorder->track_count++] = track;
    *out = track;
    return 0;
}

static int find_track(struct pyi_recorder *recorder, const struct pyi_thread *thread, uint64_t now,
                      struct pyi_track **out, struct pyi_error *err)
{
    size_t index = thread->index;
    if (index >= recorder->by_index_count) {
        if (!pyi_array_reserve(&recorder->by_index, &recorder->by_index_capacity, index + 1,
                               sizeof(struct pyi_track *)))
            return pyi_error_nomem(err);
        memset(recorder->by_index + recorder->by_index_count, 0,
               (index + 1 - recorder->by_index_count) * sizeof(struct pyi_track *));
        recorder->by_index_count = index + 1;
    }
    if (!recorder->by_index[index]) {
        int code = add_track(recorder, thread, now, &recorder->by_index[index], err);
        if (code)
            return code;
    }
    *out = recorder->by_index[index];
    return 0;
}

/* The kernel's id may be found late: up to 3.10 only the Thread object has it. */
static void update_tid(struct pyi_recorder *recorder, struct pyi_track *track,
                       const struct pyi_thread *thread)
{
    track->tid = thread->tid;
    track->cpu_start = pyi_target_thread_cpu(recorder->target, thread);
    track->shown = is_shown(recorder, thread);
}

/* A stand-in gives way to the name that `threading` has by now; a real name stays. */
static int update_name(struct pyi_recorder *recorder, struct pyi_track *track,
                       const struct pyi_thread *thread, struct pyi_error *err)
{
    if (!track->provisional || pyi_text_equal(pyi_strbuf_get(&track->source), thread->name))
        return 0;
    bool provisional = is_provisional(recorder, thread);
    pyi_strbuf_reset(&track->source);
    pyi_strbuf_text(&track->source, thread->name);
    track->provisional = provisional;
    track->shown = is_shown(recorder, thread);
    return pyi_track_rename(track, &recorder->ledger, shown_name(thread, provisional), err);
}

/* ---- rounds --------------------------------------------------------------------------------- */

const struct pyi_stack *pyi_round_main(const struct pyi_round *round)
{
    for (size_t i = 0; i < round->count; i++)
        if (round->stacks[i].thread->is_main)
            return &round->stacks[i];
    return NULL;
}

/* Whether a call above the lowest `base` entries is not proven yet; `*any`: or below. */
static bool has_unproven(const struct pyi_stack *stack, size_t base, bool *any)
{
    bool found = false;
    *any = false;
    for (size_t i = 0; i < stack->depth && !stack->verified; i++) {
        *any |= stack->entries[i].edge != 0;
        found |= i >= base && stack->entries[i].edge != 0;
    }
    return found;
}

static int count_stack(struct pyi_recorder *recorder, struct pyi_track *track,
                       const struct pyi_stack *stack, size_t base, struct pyi_error *err)
{
    bool any = false, unproven = has_unproven(stack, base, &any);
    track->samples++;
    recorder->samples++;
    recorder->verified += stack->verified || (any && !unproven);
    recorder->unchecked += !stack->verified && !any;
    recorder->retried += stack->attempts > 1;
    recorder->truncated += stack->truncated;
    return unproven && track->depth
               ? pyi_park_count(&recorder->ledger.park, track->levels[track->depth - 1].stack, err)
               : 0;
}

/* Whether a sample is one of those asked for. What is not known is not. */
static bool is_wanted(enum pyi_mode mode, const struct pyi_stack *stack)
{
    switch (mode) {
    case PYI_MODE_WALL:
        break;
    case PYI_MODE_CPU:
        return stack->state == PYI_STATE_RUNNING;
    case PYI_MODE_GIL:
        return stack->holds_gil;
    case PYI_MODE_EXCEPTION:
        return stack->raising;
    }
    return true;
}

static int take_stack(struct pyi_recorder *recorder, const struct pyi_stack *stack, uint64_t now,
                      bool counted, struct pyi_error *err)
{
    struct pyi_track *track = NULL;
    int code = find_track(recorder, stack->thread, now, &track, err);
    if (code)
        return code;
    if (!track->tid && stack->thread->tid)
        update_tid(recorder, track, stack->thread);
    code = update_name(recorder, track, stack->thread, err);
    if (code || !track->shown)
        return code;
    if (stack->status != PYI_STACK_LOST && !is_wanted(recorder->options.mode, stack))
        return pyi_track_pass(track, &recorder->ledger, err);
    code = pyi_track_see(track, &recorder->ledger, recorder->last_round, now, err);
    if (code)
        return code;
    if (stack->status == PYI_STACK_LOST) {
        recorder->lost += counted;
        return 0;
    }
    size_t base = 0;
    if (recorder->launched && track->is_main && !stack->truncated &&
        pyi_program_find(&recorder->program, stack))
        base = recorder->program.base;
    code = pyi_track_deliver(track, &recorder->ledger, stack, base, recorder->epoch, now, err);
    if (!code && counted)
        code = count_stack(recorder, track, stack, base, err);
    return code;
}

/* A sign for those who watch us: from here on there is something to report. */
static void log_first_sample(const struct pyi_recorder *recorder)
{
    const struct pyi_log log = {recorder->options.log, recorder->options.context};
    pyi_log(&log, "record", "%s: first sample", recorder->launched ? "launched" : "attached");
}

int pyi_recorder_take_round(struct pyi_recorder *recorder, const struct pyi_round *round,
                            uint64_t now, bool counted, struct pyi_error *err)
{
    const bool first = !recorder->samples;
    for (size_t i = 0; i < round->count; i++) {
        int code = take_stack(recorder, &round->stacks[i], now, counted, err);
        if (code)
            return code;
    }
    recorder->last_round = now;
    if (first && recorder->samples)
        log_first_sample(recorder);
    return 0;
}

void pyi_recorder_read_thread_cpu(struct pyi_recorder *recorder)
{
    if (!recorder->target)
        return;
    for (size_t i = 0; i < recorder->by_index_count; i++) {
        struct pyi_track *track = recorder->by_index[i];
        const struct pyi_thread *thread = pyi_target_thread(recorder->target, (uint32_t)i);
        if (!track || !thread || !thread->alive)
            continue;
        double used = pyi_target_thread_cpu(recorder->target, thread);
        if (used >= 0)
            track->cpu_end = used;
    }
}
