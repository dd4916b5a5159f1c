/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gather.c - what several processes add up to: counts, notes, sessions.
 *
 * In: recorders that are done or still at work. Out: one session of all, or one for each. Changes
 * nothing about who is recorded.
 */
#include "src/record/follow/relatives.h"

#include "src/base/error.h"
#include <stdlib.h>

/* ---- counts --------------------------------------------------------------------------------- */

static void add_counts(struct pyi_tally *sum, const struct pyi_tally *own)
{
    sum->samples += own->samples;
    sum->verified += own->verified;
    sum->retried += own->retried;
    sum->truncated += own->truncated;
    sum->lost += own->lost;
    sum->read_calls += own->read_calls;
    sum->stops += own->stops;
    sum->stopped += own->stopped;
    sum->unobserved += own->unobserved;
    sum->memory += own->memory;
    sum->threads += own->threads;
}

void pyi_follow_count(struct pyi_follow *follow, const struct pyi_recorder *recorder)
{
    struct pyi_tally own;
    pyi_recorder_tally_own(recorder, &own);
    add_counts(&follow->over, &own);
    follow->over.processes++;
    follow->stopping_cpu += pyi_recorder_stops(recorder).stopping_cpu;
    follow->unverified += !own.verifying;
}

void pyi_follow_tally(const struct pyi_recorder *first, struct pyi_tally *tally)
{
    const struct pyi_follow *follow = first->follow;
    const uint64_t until = follow->ended ? follow->ended : follow->latest;
    bool verifying = !follow->unverified && (tally->verifying || !tally->samples);
    tally->processes = follow->over.processes + (first->samples || first->target);
    for (size_t i = 0; i < follow->count; i++) {
        const struct pyi_relative *relative = follow->living[i];
        struct pyi_tally own;
        if (relative->stage != PYI_STAGE_RECORDED || relative->recorder == first)
            continue;
        pyi_recorder_tally_own(relative->recorder, &own);
        add_counts(tally, &own);
        tally->processes++;
        tally->profiler_cpu += pyi_recorder_stops(relative->recorder).stopping_cpu;
        verifying &= own.verifying || !own.samples;
    }
    add_counts(tally, &follow->over);
    tally->profiler_cpu += follow->stopping_cpu;
    tally->ticks = follow->ticks;
    tally->verifying = verifying && tally->samples > 0;
    tally->elapsed = until > follow->began ? (double)(until - follow->began) / 1e9 : 0;
}

void pyi_follow_write_notes(const struct pyi_follow *follow)
{
    struct pyi_recorder *first = follow->first;
    if (follow->others)
        pyi_recorder_note(first, "%zu child %s not Python: %s%s", follow->others,
                          follow->others == 1 ? "process was" : "processes were",
                          follow->other_names, follow->truncated_names ? ", ..." : "");
    if (follow->brief)
        pyi_recorder_note(first, "%zu child %s ended before anything could be recorded",
                          follow->brief, follow->brief == 1 ? "process" : "processes");
    if (follow->crowded)
        pyi_recorder_note(first, "%zu child %s not recorded: more than %zu at the same time",
                          follow->crowded, follow->crowded == 1 ? "process was" : "processes were",
                          follow->target_limit);
    if (follow->refusals > PYI_REFUSALS_NOTED)
        pyi_recorder_note(first, "%zu more child processes were not recorded",
                          follow->refusals - PYI_REFUSALS_NOTED);
    if (follow->cut)
        pyi_recorder_note(first, "%zu child %s still running when the program ended", follow->cut,
                          follow->cut == 1 ? "process was" : "processes were");
}

/* ---- sessions ------------------------------------------------------------------------------- */

/* Sessions on their way into one. */
struct gathered {
    struct pyi_part *parts;
    bool *ours; /* to be freed */
    pid_t *pids;
    size_t count;
};

static void gathered_deinit(struct gathered *gathered)
{
    for (size_t i = 0; i < gathered->count; i++)
        if (gathered->ours[i])
            pyi_session_free(gathered->parts[i].session);
    free(gathered->parts);
    free(gathered->ours);
    free(gathered->pids);
}

static void put(struct gathered *gathered, struct pyi_session *session, double offset, bool ours,
                pid_t pid)
{
    gathered->parts[gathered->count] = (struct pyi_part){session, offset > 0 ? offset : 0};
    gathered->ours[gathered->count] = ours;
    gathered->pids[gathered->count++] = pid;
}

static double offset_of(const struct pyi_follow *follow, uint64_t started)
{
    return ((double)started - (double)follow->first->started) / 1e9;
}

/* `last`: sessions are handed over, there will be no other. */
static int gather(struct pyi_follow *follow, bool last, struct gathered *gathered,
                  struct pyi_error *err)
{
    struct pyi_recorder *first = follow->first;
    const size_t most = follow->finished_count + follow->count + 1;
    gathered->parts = calloc(most, sizeof(*gathered->parts));
    gathered->ours = calloc(most, sizeof(*gathered->ours));
    gathered->pids = calloc(most, sizeof(*gathered->pids));
    if (!gathered->parts || !gathered->ours || !gathered->pids)
        return pyi_error_nomem(err);
    struct pyi_session *session = NULL;
    int code = 0;
    /* Without samples it is left out, unless nobody has any. */
    if (first->samples || (!follow->finished_count && (last || follow->count == 1))) {
        code = last ? pyi_recorder_take_own(first, &session, err)
                    : pyi_recorder_snapshot_own(first, &session, err);
        if (!code)
            put(gathered, session, 0, true, first->pid);
    }
    for (size_t i = 0; i < follow->finished_count && !code; i++) {
        put(gathered, follow->finished[i].session, offset_of(follow, follow->finished[i].started),
            last, follow->finished[i].pid);
        if (last)
            follow->finished[i].session = NULL;
    }
    for (size_t i = 0; i < follow->count && !code && !last; i++) {
        const struct pyi_relative *relative = follow->living[i];
        if (relative->stage != PYI_STAGE_RECORDED || relative->recorder == first ||
            !relative->recorder->samples)
            continue;
        code = pyi_recorder_snapshot_own(relative->recorder, &session, err);
        if (!code)
            put(gathered, session, offset_of(follow, relative->recorder->started), true,
                relative->pid);
    }
    return code;
}

/* Whose recording it is; a launched program has a name of its own. */
static int describe(const struct pyi_recorder *first, size_t processes, struct pyi_session *session,
                    struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    pyi_strbuf_text(&text, pyi_strbuf_get(&first->description));
    if (!first->launched && !first->options.target_description && processes > 1)
        pyi_strbuf_format(&text, " and %zu more", processes - 1);
    int code = text.failed
                   ? pyi_error_nomem(err)
                   : pyi_session_set_target_description(session, pyi_strbuf_get(&text), err);
    pyi_strbuf_deinit(&text);
    return code;
}

/* What only the recording as a whole knows. */
static int finish_session(const struct pyi_follow *follow, struct pyi_session *session,
                          struct pyi_error *err)
{
    struct pyi_recorder *first = follow->first;
    struct pyi_tally tally;
    pyi_recorder_tally(first, &tally);
    pyi_session_set_number(session, PYI_SESSION_START_TIME,
                           (struct pyi_number){.value = first->start_time});
    pyi_session_set_number(session, PYI_SESSION_DURATION,
                           (struct pyi_number){.value = tally.elapsed});
    int code = describe(first, tally.processes, session, err);
    const struct pyi_attach *old = pyi_session_attach(session);
    if (code || !old)
        return code;
    /* Notes of the first are those of the whole; they are among the parts' unless it was left out. */
    struct pyi_attach attach = *old;
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_text *notes = calloc(old->note_count + first->note_count + 1, sizeof(*notes));
    if (!notes)
        return pyi_error_nomem(err);
    for (attach.note_count = 0; attach.note_count < old->note_count; attach.note_count++)
        notes[attach.note_count] = old->notes[attach.note_count];
    if (!first->samples)
        for (size_t i = 0; i < first->note_count; i++)
            notes[attach.note_count++] = first->notes[i];
    attach.notes = notes;
    attach.ticks = follow->ticks;
    attach.missed = first->pace.missed;
    attach.profiler_cpu = tally.profiler_cpu;
    return pyi_session_set_attach(session, &attach, err);
}

int pyi_follow_session(struct pyi_recorder *first, bool last, struct pyi_session **out,
                       struct pyi_error *err)
{
    struct pyi_follow *follow = first->follow;
    PYI_CLEANUP(gathered_deinit) struct gathered gathered = {0};
    struct pyi_session *session = NULL;
    if (!first->session)
        return pyi_error_set(err, PYI_E_INVALID, "the session was taken already");
    int code = gather(follow, last, &gathered, err);
    if (code)
        return code;
    if (gathered.count == 1 && gathered.ours[0] && gathered.pids[0] == first->pid &&
        first->samples) {
        *out = gathered.parts[0].session;
        gathered.ours[0] = false;
        return 0;
    }
    code = pyi_merge(gathered.parts, gathered.count, gathered.count > 1, &session, err);
    if (!code)
        code = finish_session(follow, session, err);
    if (code) {
        pyi_session_free(session);
        return code;
    }
    *out = session;
    return 0;
}

/* One process may have been several programs, one after the other. */
static int session_of(struct gathered *gathered, size_t begin, struct pyi_session **out,
                      struct pyi_error *err)
{
    const pid_t pid = gathered->pids[begin];
    struct gathered same = {.parts = calloc(gathered->count, sizeof(*same.parts))};
    if (!same.parts)
        return pyi_error_nomem(err);
    for (size_t i = begin; i < gathered->count; i++) {
        if (gathered->pids[i] != pid)
            continue;
        gathered->pids[i] = 0;
        same.parts[same.count++] = gathered->parts[i];
    }
    int code = 0;
    if (same.count == 1) {
        *out = gathered->parts[begin].session;
        gathered->ours[begin] = false;
    } else {
        for (size_t i = same.count; i-- > 0;)
            same.parts[i].offset -= same.parts[0].offset;
        const struct pyi_part *end = &same.parts[same.count - 1];
        code = pyi_merge(same.parts, same.count, true, out, err);
        if (!code)
            pyi_session_set_number(
                *out, PYI_SESSION_DURATION,
                (struct pyi_number){
                    .value = end->offset +
                             pyi_session_number(end->session, PYI_SESSION_DURATION).value});
    }
    free(same.parts);
    return code;
}

int pyi_follow_sessions(struct pyi_recorder *first, struct pyi_session ***out, size_t *count,
                        struct pyi_error *err)
{
    PYI_CLEANUP(gathered_deinit) struct gathered gathered = {0};
    if (!first->session)
        return pyi_error_set(err, PYI_E_INVALID, "the session was taken already");
    int code = gather(first->follow, true, &gathered, err);
    if (code)
        return code;
    struct pyi_session **list = calloc(gathered.count + 1, sizeof(struct pyi_session *));
    size_t length = 0;
    if (!list)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < gathered.count && !code; i++) {
        if (gathered.pids[i] == 0)
            continue;
        code = session_of(&gathered, i, &list[length], err);
        length += !code;
    }
    if (code) {
        while (length)
            pyi_session_free(list[--length]);
        free(list);
        return code;
    }
    *out = list;
    *count = length;
    return 0;
}
