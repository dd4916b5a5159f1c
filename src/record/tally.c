/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tally.c - how well a recording went, in numbers and as one line of text.
 *
 * In: a recorder's counts. Out: struct pyi_tally, and the line the user reads at the end. Says
 * only what was counted: a sample is called verified only when edges are being proven.
 */
#include <pyinstrument/recorder.h>

#include "src/base/output.h"
#include "src/record/record.h"
#include <inttypes.h>
#include <stdio.h>

/* What the session keeps for one stack and one frame text: entries and their share of the hash
 * tables. An estimate; its own counts are not public. */
#define BYTES_PER_STACK 28
#define BYTES_PER_FRAME 160

static uint64_t memory_held(const struct pyi_recorder *recorder)
{
    uint64_t bytes = sizeof(*recorder) + recorder->texts.total + recorder->paths.arena.total +
                     recorder->track_capacity * sizeof(struct pyi_track *) +
                     (uint64_t)recorder->ledger.top_stack * BYTES_PER_STACK +
                     recorder->ledger.frames.lines.count * BYTES_PER_FRAME +
                     recorder->ledger.park.capacity * sizeof(uint32_t) +
                     recorder->ledger.park.samples.slot_count * 2 * sizeof(uint64_t);
    for (size_t i = 0; i < recorder->track_count; i++)
        bytes += pyi_track_memory(recorder->tracks[i]);
    return bytes;
}

static uint64_t read_calls(const struct pyi_recorder *recorder)
{
    struct pyi_target_stats stats = {0};
    if (recorder->recording && recorder->target)
        pyi_target_stats(recorder->target, &stats);
    uint64_t current = stats.read_calls > recorder->read_calls_start && recorder->recording
                           ? stats.read_calls - recorder->read_calls_start
                           : 0;
    return recorder->read_calls + current;
}

void pyi_recorder_add_stops(struct pyi_target_stats *sum, const struct pyi_target_stats *stats)
{
    sum->stops += stats->stops;
    sum->stopped += stats->stopped;
    sum->stopping_cpu += stats->stopping_cpu;
    sum->stop_late += stats->stop_late;
    sum->stop_traced += stats->stop_traced;
    sum->stop_refused += stats->stop_refused;
}

struct pyi_target_stats pyi_recorder_stops(const struct pyi_recorder *recorder)
{
    struct pyi_target_stats sum = recorder->stops, current = {0};
    if (recorder->target)
        pyi_target_stats(recorder->target, &current);
    pyi_recorder_add_stops(&sum, &current);
    return sum;
}

static double elapsed(const struct pyi_recorder *recorder)
{
    uint64_t until = recorder->ended;
    if (!until)
        until = recorder->last_round > recorder->last_upkeep ? recorder->last_round
                                                             : recorder->last_upkeep;
    return until > recorder->started ? (double)(until - recorder->started) / 1e9 : 0;
}

void pyi_recorder_tally_own(const struct pyi_recorder *recorder, struct pyi_tally *out)
{
    uint64_t folded = pyi_recorder_folded(recorder);
    uint64_t parked = recorder->ledger.park.sample_count;
    double limit = recorder->options.duration;
    const struct pyi_target_stats stops = pyi_recorder_stops(recorder);
    *out = (struct pyi_tally){
        .elapsed = elapsed(recorder),
        .limit = limit > 0 ? limit : 0,
        .ticks = recorder->ticks,
        .samples = recorder->samples,
        .verified = recorder->verified + parked - folded,
        .retried = recorder->retried,
        .truncated = recorder->truncated + folded,
        .lost = recorder->lost,
        .missed = recorder->pace.missed,
        .read_calls = read_calls(recorder),
        .slowest = (double)recorder->slowest / 1e9,
        .unobserved = (double)recorder->ledger.unobserved / 1e9,
        .stops = stops.stops,
        .stopped = stops.stopped,
        .profiler_cpu = (double)recorder->profiler_cpu / 1e9,
        .memory = memory_held(recorder),
        .threads = recorder->track_count,
        .processes = recorder->process_count > 0,
        .verifying = recorder->samples > 0 && recorder->unchecked == 0,
    };
}

void pyi_recorder_tally(const struct pyi_recorder *recorder, struct pyi_tally *out)
{
    pyi_recorder_tally_own(recorder, out);
    if (recorder->follow)
        pyi_follow_tally(recorder, out);
}

/* ---- the last line -------------------------------------------------------------------------- */

/* 1234567 -> "1,234,567" */
static void write_grouped(struct pyi_output *output, uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            pyi_output_char(output, ',');
        pyi_output_char(output, digits[i]);
    }
}

static void write_count(struct pyi_output *output, const char *before, uint64_t value,
                        const char *after)
{
    pyi_output_string(output, before);
    write_grouped(output, value);
    pyi_output_string(output, after);
}

int pyi_tally_format(const struct pyi_tally *tally, const struct pyi_sink *sink,
                     struct pyi_error *err)
{
    struct pyi_output output;
    pyi_output_init(&output, sink);
    write_count(&output, "", tally->samples, tally->samples == 1 ? " sample" : " samples");
    pyi_output_format(&output, " in %.2f s", tally->elapsed);
    if (tally->processes > 1)
        write_count(&output, " of ", tally->processes, " processes");
    pyi_output_string(&output, ": ");
    if (tally->verifying)
        write_count(&output, "", tally->verified, " verified");
    else
        write_count(&output, "", tally->samples, " checked");
    if (tally->retried)
        write_count(&output, " (", tally->retried, " on retry)");
    write_count(&output, ", ", tally->truncated, " truncated");
    write_count(&output, ", ", tally->lost, " lost");
    write_count(&output, ", ", tally->missed,
                tally->missed == 1 ? " tick missed" : " ticks missed");
    if (tally->unobserved > 0)
        pyi_output_format(&output, ", %.2f s unobserved", tally->unobserved);
    if (tally->stops) {
        write_count(&output, "; target stopped ", tally->stops,
                    tally->stops == 1 ? " time" : " times");
        pyi_output_format(&output, ", %.3f s in all", tally->stopped);
    } else {
        pyi_output_string(&output, "; target never stopped");
    }
    if (tally->slowest > 0 && tally->elapsed > 0)
        pyi_output_format(
            &output, "; held back to %.4g samples/s, at times one in %.3g s, by the CPU budget",
            (double)tally->ticks / tally->elapsed, tally->slowest);
    double share = tally->elapsed > 0 ? 100 * tally->profiler_cpu / tally->elapsed : 0;
    pyi_output_format(&output, "; profiler used %.1f %% of a core", share);
    return pyi_output_finish(&output, err);
}
