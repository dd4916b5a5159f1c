/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * roll.c - one recording becomes several sessions, one after the other.
 *
 * In: a recorder between two rounds. Out: the session so far; the recorder begins anew with the
 * threads that are there, with empty tables, so that a recording that rolls does not grow.
 */
#include "src/record/record.h"

#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

static int new_ledger(struct pyi_recorder *recorder, struct pyi_ledger *ledger,
                      struct pyi_session **session, struct pyi_error *err)
{
    int code = pyi_session_new(session, err);
    if (!code)
        code = pyi_ledger_init(ledger, *session, recorder->ledger.interval, err);
    ledger->target = recorder->ledger.target;
    ledger->selective = recorder->ledger.selective;
    ledger->aggregate = recorder->ledger.aggregate;
    return code;
}

static void forget(struct pyi_recorder *recorder, struct pyi_track *track)
{
    for (size_t i = 0; i < recorder->by_index_count; i++)
        if (recorder->by_index[i] == track)
            recorder->by_index[i] = NULL;
    pyi_track_deinit(track);
    free(track);
}

/* Threads that have gone do not come back. One for which there is no memory now is found again in
 * the next round. */
static void restart_tracks(struct pyi_recorder *recorder)
{
    size_t kept = 0;
    for (size_t i = 0; i < recorder->track_count; i++) {
        struct pyi_track *track = recorder->tracks[i];
        if (track->present == recorder->last_round &&
            !pyi_track_restart(track, &recorder->ledger, recorder->last_round, NULL))
            recorder->tracks[kept++] = track;
        else
            forget(recorder, track);
    }
    recorder->track_count = kept;
}

/* Processes before the current one belong to the sessions before. */
static void drop_processes(struct pyi_recorder *recorder)
{
    if (!recorder->process_count)
        return;
    struct pyi_recorded_process *last = &recorder->processes[recorder->process_count - 1];
    last->cpu_start = last->cpu_end;
    recorder->processes[0] = *last;
    recorder->process_count = 1;
    for (size_t i = 0; i < recorder->track_count; i++)
        recorder->tracks[i]->process = 0;
}

static void clear_counts(struct pyi_recorder *recorder)
{
    const struct pyi_target_stats stops = pyi_recorder_stops(recorder);
    recorder->ticks = recorder->samples = recorder->verified = recorder->retried = 0;
    recorder->truncated = recorder->lost = recorder->unchecked = recorder->folded = 0;
    recorder->pace.missed = 0;
    recorder->slowest =
        recorder->pace.interval > recorder->asked_interval ? recorder->pace.interval : 0;
    recorder->read_calls = 0;
    /* So that their sum with the target's, which go on, is nothing. */
    recorder->stops.stops -= stops.stops;
    recorder->stops.stopped -= stops.stopped;
    recorder->stops.stopping_cpu -= stops.stopping_cpu;
    recorder->stops.stop_late -= stops.stop_late;
    recorder->stops.stop_traced -= stops.stop_traced;
    recorder->stops.stop_refused -= stops.stop_refused;
    struct pyi_target_stats stats = {0};
    if (recorder->target)
        pyi_target_stats(recorder->target, &stats);
    recorder->read_calls_start = stats.read_calls;
}

int pyi_recorder_roll(struct pyi_recorder *recorder, struct pyi_session **out,
                      struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    struct pyi_ledger ledger = {0};
    if (!recorder->session || recorder->options.pyirec)
        return pyi_error_set(err, PYI_E_INVALID, "this recording cannot be divided");
    int code = new_ledger(recorder, &ledger, &session, err);
    for (size_t i = 0; i < recorder->track_count && !code; i++)
        code = pyi_track_settle(recorder->tracks[i], &recorder->ledger, err);
    pyi_recorder_count_cpu(recorder);
    if (!code)
        code = pyi_recorder_assemble(recorder, recorder->session, err);
    if (code) {
        pyi_ledger_deinit(&ledger);
        pyi_session_free(session);
        return code;
    }
    *out = recorder->session;
    pyi_ledger_deinit(&recorder->ledger);
    recorder->ledger = ledger;
    recorder->session = session;
    restart_tracks(recorder);
    drop_processes(recorder);
    clear_counts(recorder);
    recorder->epoch++;
    recorder->rolled = true;
    return 0;
}

void pyi_recorder_begin_again(struct pyi_recorder *recorder, uint64_t now)
{
    now = pyi_recorder_grain(recorder, now);
    recorder->rolled = false;
    recorder->started = recorder->last_round = now;
    recorder->start_time = recorder->clock.wall(&recorder->clock);
    recorder->cpu_mark = recorder->clock.cpu(&recorder->clock);
    recorder->profiler_cpu = 0;
    recorder->budget_time = 0;
    if (recorder->process_count)
        recorder->processes[0].start = now;
    for (size_t i = 0; i < recorder->track_count; i++) {
        struct pyi_track *track = recorder->tracks[i];
        track->start = track->accounted = track->present = now;
    }
}
