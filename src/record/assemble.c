/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * assemble.c - a recording becomes a session.
 *
 * In: a recorder's tracks. Out: records thread by thread (main thread first, then in order of
 * first sight), metadata, the `attach` object. The recorder's own session is filled in place at
 * the end, so a long recording is never held twice; a snapshot copies the stacks.
 */
#include "src/record/record.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <pyinstrument.h>
#include <stdlib.h>
#include <string.h>

struct assembly {
    struct pyi_recorder *recorder;
    struct pyi_session *session;
    uint32_t *stacks; /* recorder's stack -> session's; NULL when they are the same */
    uint32_t *folded; /* recorder's stack -> the one shown; NULL when they are the same */
    bool outline;     /* records go another way: nothing is said of them */
    const struct pyi_track **order;
    size_t count;
};

/* ---- which tracks, in which order ----------------------------------------------------------- */

static int order_tracks(struct assembly *assembly, struct pyi_error *err)
{
    struct pyi_recorder *recorder = assembly->recorder;
    assembly->order = calloc(recorder->track_count + 1, sizeof(*assembly->order));
    if (!assembly->order)
        return pyi_error_nomem(err);
    const struct pyi_track *first = NULL;
    for (size_t i = 0; i < recorder->track_count && !first; i++)
        if (recorder->tracks[i]->is_main && recorder->tracks[i]->lane.count)
            first = recorder->tracks[i];
    if (first)
        assembly->order[assembly->count++] = first;
    for (size_t i = 0; i < recorder->track_count; i++)
        if (recorder->tracks[i] != first && recorder->tracks[i]->lane.count)
            assembly->order[assembly->count++] = recorder->tracks[i];
    return 0;
}

/* ---- stacks --------------------------------------------------------------------------------- */

/* Copies the recorder's stacks: parents have lower numbers than their children. */
static int copy_stacks(struct assembly *assembly, struct pyi_error *err)
{
    const struct pyi_session *from = assembly->recorder->session;
    uint32_t top = assembly->recorder->ledger.top_stack;
    assembly->stacks = malloc(((size_t)top + 1) * sizeof(*assembly->stacks));
    if (!assembly->stacks)
        return pyi_error_nomem(err);
    assembly->stacks[PYI_STACK_ROOT] = PYI_STACK_ROOT;
    for (uint32_t stack = 1; stack <= top; stack++) {
        struct pyi_text info = pyi_session_frame_info(from, pyi_session_stack_frame(from, stack));
        uint32_t parent = assembly->stacks[pyi_session_stack_parent(from, stack)];
        uint32_t frame = 0;
        int code = pyi_session_intern_frame(assembly->session, info, &frame, err);
        if (!code)
            code = pyi_session_push_frame(assembly->session, parent, frame,
                                          &assembly->stacks[stack], err);
        if (code)
            return code;
    }
    return 0;
}

static uint32_t shown_stack(const struct assembly *assembly, uint32_t stack)
{
    return assembly->folded ? assembly->folded[stack] : stack;
}

/* What rests on a call without proof ends below it, under [truncated]. */
static int fold_stacks(struct assembly *assembly, struct pyi_error *err)
{
    struct pyi_recorder *recorder = assembly->recorder;
    struct pyi_ledger *ledger = &recorder->ledger;
    uint32_t top = ledger->top_stack;
    pyi_park_ask(&ledger->park, recorder->target, false);
    recorder->folded = pyi_recorder_folded(recorder);
    if (!ledger->park.parked)
        return 0;
    uint32_t *folded = assembly->folded = malloc(((size_t)top * 2 + 2) * sizeof(*folded));
    PYI_CLEANUP(pyi_cleanup_free) bool *cut = calloc((size_t)top + 1, sizeof(*cut));
    if (!folded || !cut)
        return pyi_error_nomem(err);
    folded[PYI_STACK_ROOT] = PYI_STACK_ROOT;
    for (uint32_t stack = 1; stack <= top; stack++) {
        uint32_t parent = pyi_session_stack_parent(recorder->session, stack);
        folded[stack] = cut[parent] ? folded[parent] : stack;
        cut[stack] = cut[parent] || pyi_park_doubts(&ledger->park, stack);
        if (!cut[stack] || cut[parent])
            continue;
        int code = pyi_session_push_frame(recorder->session, parent, ledger->truncated_frame,
                                          &folded[stack], err);
        if (code)
            return code;
        if (folded[stack] > ledger->top_stack)
            ledger->top_stack = folded[stack];
    }
    for (uint32_t stack = top + 1; stack <= ledger->top_stack; stack++)
        folded[stack] = stack;
    return 0;
}

uint64_t pyi_recorder_folded(const struct pyi_recorder *recorder)
{
    const struct pyi_park *park = &recorder->ledger.park;
    uint64_t count = 0;
    if (!recorder->session)
        return recorder->folded;
    for (size_t i = 0; i < park->samples.slot_count; i++) {
        if (park->samples.keys[i] == UINT64_MAX)
            continue;
        uint32_t stack = (uint32_t)park->samples.keys[i];
        while (stack != PYI_STACK_ROOT && !pyi_park_doubts(park, stack))
            stack = pyi_session_stack_parent(recorder->session, stack);
        if (stack != PYI_STACK_ROOT)
            count += park->samples.values[i];
    }
    return count;
}

/* In the recorder's own session, which is finished, the records are changed themselves. */
static int fold(struct assembly *assembly, struct pyi_error *err)
{
    struct pyi_recorder *recorder = assembly->recorder;
    int code = fold_stacks(assembly, err);
    if (code || !assembly->folded || assembly->session != recorder->session)
        return code;
    for (size_t i = 0; i < recorder->track_count && !code; i++)
        if (!pyi_lane_map(&recorder->tracks[i]->lane, assembly->folded))
            code = pyi_error_nomem(err);
    free(assembly->folded);
    assembly->folded = NULL;
    return code;
}

static int write_records(struct assembly *assembly, struct pyi_error *err)
{
    for (size_t i = 0; i < assembly->count; i++) {
        struct pyi_lane_cursor cursor = {0};
        struct pyi_lane_item item;
        while (pyi_lane_next(&assembly->order[i]->lane, &cursor, &item, NULL)) {
            uint32_t stack = shown_stack(assembly, item.stack);
            double seconds = (double)item.time / 1e9;
            int code = pyi_session_add_record(assembly->session,
                                              assembly->stacks ? assembly->stacks[stack] : stack,
                                              (struct pyi_number){.value = seconds}, err);
            if (code)
                return code;
        }
    }
    return 0;
}

/* ---- start_call_stack ----------------------------------------------------------------------- */

static struct pyi_text identifier_of(const struct pyi_session *session, uint32_t stack)
{
    struct pyi_text info = pyi_session_frame_info(session, pyi_session_stack_frame(session, stack));
    const char *mark = memchr(info.data, '\x01', info.length);
    if (mark)
        info.length = (size_t)(mark - info.data);
    return info;
}

/* The frames that all stacks of a track have in common, found with one visit to every stack:
 * `agree[stack]` is the number of its lowest frames that are the common ones of the first stack,
 * plus one; 0 unknown. */
struct common {
    const struct pyi_session *session;
    struct pyi_text *frames; /* identifiers of the first stack, outermost first */
    size_t depth;            /* how many of them all stacks so far have */
    uint32_t *agree;
};

static int common_begin(struct common *common, uint32_t stack, uint32_t top, struct pyi_error *err)
{
    common->depth = pyi_session_stack_depth(common->session, stack);
    common->frames = calloc(common->depth + 1, sizeof(*common->frames));
    common->agree = calloc((size_t)top + 1, sizeof(*common->agree));
    if (!common->frames || !common->agree)
        return pyi_error_nomem(err);
    for (size_t i = common->depth; i-- > 0;) {
        common->frames[i] = identifier_of(common->session, stack);
        stack = pyi_session_stack_parent(common->session, stack);
    }
    common->agree[PYI_STACK_ROOT] = 1;
    return 0;
}

static int common_add(struct common *common, uint32_t stack, uint32_t **path, size_t *capacity,
                      struct pyi_error *err)
{
    size_t length = 0;
    uint32_t at = stack;
    for (; !common->agree[at]; at = pyi_session_stack_parent(common->session, at)) {
        if (!pyi_array_reserve(path, capacity, length + 1, sizeof(**path)))
            return pyi_error_nomem(err);
        (*path)[length++] = at;
    }
    uint32_t depth = pyi_session_stack_depth(common->session, at);
    uint32_t agree = common->agree[at] - 1;
    while (length) {
        at = (*path)[--length];
        if (agree == depth && agree < common->depth &&
            pyi_text_equal(identifier_of(common->session, at), common->frames[agree]))
            agree++;
        depth++;
        common->agree[at] = agree + 1;
    }
    if (common->agree[stack] - 1 < common->depth)
        common->depth = common->agree[stack] - 1;
    return 0;
}

static int find_common(const struct assembly *assembly, struct common *common,
                       struct pyi_error *err)
{
    const struct pyi_track *track = assembly->order[0];
    uint32_t top = assembly->recorder->ledger.top_stack;
    uint32_t *path = NULL;
    size_t capacity = 0;
    struct pyi_lane_cursor cursor = {0};
    struct pyi_lane_item item;
    int code = 0;
    while (!code && pyi_lane_next(&track->lane, &cursor, &item, NULL)) {
        uint32_t stack = shown_stack(assembly, item.stack);
        if (cursor.index == 1)
            code = common_begin(common, stack, top, err);
        if (!code)
            code = common_add(common, stack, &path, &capacity, err);
    }
    free(path);
    return code;
}

/* A copy: the list must not borrow from the session it is put into. */
static int append_start(struct assembly *assembly, struct pyi_text frame, struct pyi_error *err)
{
    struct pyi_strbuf copy = {0};
    pyi_strbuf_text(&copy, frame);
    int code = copy.failed
                   ? pyi_error_nomem(err)
                   : pyi_session_list_append(assembly->session, PYI_SESSION_START_CALL_STACK,
                                             pyi_strbuf_get(&copy), err);
    pyi_strbuf_deinit(&copy);
    return code;
}

/* A C function, the collector or a wait is where time is spent, not where a report begins. */
static bool is_leaf(struct pyi_text identifier)
{
    const char *file = memchr(identifier.data, '\0', identifier.length);
    if (file == NULL)
        return false;
    struct pyi_text rest = {file + 1, identifier.length - (size_t)(file + 1 - identifier.data)};
    static const char *const paths[] = {"<built-in>", "<extended>", "<wait>", "<gc>"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (pyi_text_starts_with(rest, paths[i]))
            return true;
    return false;
}

static int write_start_stack(struct assembly *assembly, struct pyi_error *err)
{
    if (!assembly->count)
        return 0;
    const struct pyi_recorder *recorder = assembly->recorder;
    struct common common = {.session = recorder->session};
    int code = find_common(assembly, &common, err);
    size_t depth = common.depth;
    while (!code && depth > 0 && is_leaf(common.frames[depth - 1]))
        depth--;
    /* A launched program's report begins at its module, whatever all samples share above it. */
    if (recorder->launched && assembly->order[0]->is_main && depth > 2)
        depth = 2;
    for (size_t i = 0; i < depth && !code; i++)
        code = append_start(assembly, common.frames[i], err);
    free(common.frames);
    free(common.agree);
    return code;
}

/* ---- metadata ------------------------------------------------------------------------------- */

static double seconds_between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static uint64_t end_of(const struct pyi_recorder *recorder)
{
    return recorder->ended ? recorder->ended : recorder->last_round;
}

static double cpu_of(double start, double end)
{
    return start >= 0 && end > start ? end - start : 0;
}

static int write_lists(struct assembly *assembly, struct pyi_error *err)
{
    const struct pyi_recorded_paths *paths = &assembly->recorder->paths;
    int code = 0;
    for (size_t i = 0; i < paths->path_count && !code; i++)
        code =
            pyi_session_list_append(assembly->session, PYI_SESSION_SYS_PATH, paths->path[i], err);
    for (size_t i = 0; i < 4 && paths->known && !code; i++)
        code = pyi_session_list_append(assembly->session, PYI_SESSION_SYS_PREFIXES,
                                       paths->prefixes[i], err);
    return code;
}

static int write_metadata(struct assembly *assembly, struct pyi_error *err)
{
    const struct pyi_recorder *recorder = assembly->recorder;
    double cpu = 0;
    for (size_t i = 0; i < recorder->process_count; i++)
        cpu += cpu_of(recorder->processes[i].cpu_start, recorder->processes[i].cpu_end);
    const struct {
        enum pyi_session_number which;
        struct pyi_number value;
    } numbers[] = {
        {PYI_SESSION_START_TIME, {.value = recorder->start_time}},
        {PYI_SESSION_DURATION, {.value = seconds_between(recorder->started, end_of(recorder))}},
        {PYI_SESSION_MIN_INTERVAL, {.value = recorder->options.interval}},
        {PYI_SESSION_MAX_INTERVAL,
         {.value =
              recorder->slowest ? (double)recorder->slowest / 1e9 : recorder->options.interval}},
        {PYI_SESSION_SAMPLE_COUNT, {(double)recorder->samples, (int64_t)recorder->samples, true}},
        {PYI_SESSION_CPU_TIME, {.value = cpu}},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        pyi_session_set_number(assembly->session, numbers[i].which, numbers[i].value);
    int code = pyi_session_set_target_description(assembly->session,
                                                  pyi_strbuf_get(&recorder->description), err);
    return code ? code : write_lists(assembly, err);
}

/* ---- attach --------------------------------------------------------------------------------- */

/* CPU seconds that being stopped and going back to sleep may cost a thread, per stop. */
#define STOP_CPU 50e-6

/* Never ran and never changed. Without two looks at its clock nobody can say that it never ran. */
static bool is_idle(const struct assembly *assembly, const struct pyi_track *track)
{
    const double ours = assembly->recorder->options.stop == PYI_STOP_NEVER
                            ? 0
                            : STOP_CPU * (double)(track->samples + 1);
    if (track->is_main || !track->lane.count || track->cpu_start < 0 || track->cpu_end < 0 ||
        track->cpu_end - track->cpu_start > ours)
        return false;
    struct pyi_lane_cursor cursor = {0};
    struct pyi_lane_item item;
    uint32_t first = 0;
    while (pyi_lane_next(&track->lane, &cursor, &item, NULL)) {
        if (cursor.index == 1)
            first = item.stack;
        else if (item.stack != first)
            return false;
    }
    return true;
}

static size_t count_leaps(const struct assembly *assembly)
{
    size_t count = 0;
    for (size_t i = 0; i < assembly->count; i++)
        count += assembly->order[i]->lane.jump_count;
    return count;
}

static size_t count_states(const struct assembly *assembly)
{
    size_t count = 0;
    for (size_t i = 0; i < assembly->count; i++)
        count += assembly->order[i]->lane.run_count;
    return count;
}

/* `jumps` and `states` have room for those of all threads. */
static void describe_threads(const struct assembly *assembly, struct pyi_attach_thread *threads,
                             struct pyi_attach_jump *jumps, struct pyi_attach_state *states)
{
    const uint64_t started = assembly->recorder->started;
    uint64_t first = 0;
    for (size_t i = 0; i < assembly->count; i++) {
        const struct pyi_track *track = assembly->order[i];
        size_t jump_count = track->lane.jump_count - track->lane.parted;
        for (size_t j = 0; j < jump_count; j++)
            jumps[j] = (struct pyi_attach_jump){
                .record = track->lane.jumps[j].record,
                .seconds = seconds_between(started, track->lane.jumps[j].begin),
            };
        for (size_t j = 0; j < track->lane.run_count; j++)
            states[j] = (struct pyi_attach_state){
                .records = pyi_lane_run_records(track->lane.runs[j]),
                .code = pyi_lane_run_state(track->lane.runs[j]),
            };
        threads[i] = (struct pyi_attach_thread){
            .process = track->process,
            .name = pyi_strbuf_get(&track->name),
            .ident = track->ident,
            .tid = track->tid,
            .start = seconds_between(started, track->start),
            .first = assembly->outline ? 0 : first,
            .records = assembly->outline ? 0 : track->lane.count,
            .samples = track->samples,
            .idle = is_idle(assembly, track),
            .cpu = cpu_of(track->cpu_start, track->cpu_end),
            .jumps = jumps,
            .jump_count = assembly->outline ? 0 : jump_count,
            .states = states,
            .state_count = assembly->outline ? 0 : track->lane.run_count,
        };
        states += track->lane.run_count;
        jumps += jump_count;
        first += track->lane.count;
    }
}

static void describe_processes(const struct pyi_recorder *recorder,
                               struct pyi_attach_process *processes)
{
    for (size_t i = 0; i < recorder->process_count; i++) {
        const struct pyi_recorded_process *process = &recorder->processes[i];
        bool last = i + 1 == recorder->process_count;
        uint64_t end = last ? end_of(recorder) : process->end;
        processes[i] = (struct pyi_attach_process){
            .pid = process->pid,
            .parent = process->parent,
            .command = process->command,
            .python = process->python,
            .build = process->build,
            .runtime = process->runtime,
            .root = process->root,
            .start = seconds_between(recorder->started, process->start),
            .end = seconds_between(recorder->started, end),
            .cpu = cpu_of(process->cpu_start, process->cpu_end),
        };
    }
}

static int write_attach(struct assembly *assembly, struct pyi_error *err)
{
    static const char *const modes[] = {[PYI_MODE_WALL] = "wall",
                                        [PYI_MODE_CPU] = "cpu",
                                        [PYI_MODE_GIL] = "gil",
                                        [PYI_MODE_EXCEPTION] = "exception"};
    const struct pyi_recorder *recorder = assembly->recorder;
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_attach_thread *threads = calloc(assembly->count + 1, sizeof(*threads));
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_attach_process *processes = calloc(recorder->process_count + 1, sizeof(*processes));
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_attach_jump *jumps = calloc(count_leaps(assembly) + 1, sizeof(*jumps));
    PYI_CLEANUP(pyi_cleanup_free)
    struct pyi_attach_state *states = calloc(count_states(assembly) + 1, sizeof(*states));
    if (!threads || !processes || !jumps || !states)
        return pyi_error_nomem(err);
    describe_threads(assembly, threads, jumps, states);
    describe_processes(recorder, processes);
    const struct pyi_target_stats stops = pyi_recorder_stops(recorder);
    const struct pyi_attach attach = {
        .tool = pyi_text(PYI_VERSION),
        .mode = pyi_text(modes[recorder->options.mode]),
        .processes = processes,
        .process_count = recorder->process_count,
        .threads = threads,
        .thread_count = assembly->count,
        .ticks = recorder->ticks,
        .verified = recorder->verified + recorder->ledger.park.sample_count - recorder->folded,
        .retried = recorder->retried,
        .truncated = recorder->truncated + recorder->folded,
        .lost = recorder->lost,
        .missed = recorder->pace.missed,
        .unobserved = (double)recorder->ledger.unobserved / 1e9,
        .profiler_cpu = (double)recorder->profiler_cpu / 1e9,
        .stops = stops.stops,
        .stopped = stops.stopped,
        .notes = recorder->notes,
        .note_count = recorder->note_count,
    };
    return pyi_session_set_attach(assembly->session, &attach, err);
}

static int order_indices(const struct assembly *assembly, size_t **out, struct pyi_error *err)
{
    const struct pyi_recorder *recorder = assembly->recorder;
    size_t *order = calloc(assembly->count + 1, sizeof(*order));
    if (!order)
        return pyi_error_nomem(err);
    for (size_t i = 0, next = 0; i < assembly->count; i++, next++) {
        /* All but the first are in order of first sight. */
        if (i < 2)
            next = 0;
        while (recorder->tracks[next] != assembly->order[i])
            next++;
        order[i] = next;
    }
    *out = order;
    return 0;
}

int pyi_recorder_outline(struct pyi_recorder *recorder, struct pyi_session *session, bool ended,
                         size_t **order, size_t *count, struct pyi_error *err)
{
    struct assembly assembly = {.recorder = recorder, .session = session, .outline = true};
    int code = order_tracks(&assembly, err);
    if (!code)
        code = order_indices(&assembly, order, err);
    if (!code && ended)
        code = fold_stacks(&assembly, err);
    else if (!code)
        recorder->folded = pyi_recorder_folded(recorder);
    if (!code && ended)
        code = write_start_stack(&assembly, err);
    if (!code)
        code = write_metadata(&assembly, err);
    if (!code)
        code = write_attach(&assembly, err);
    *count = assembly.count;
    free(assembly.folded);
    free(assembly.order);
    return code;
}

int pyi_recorder_assemble(struct pyi_recorder *recorder, struct pyi_session *session,
                          struct pyi_error *err)
{
    struct assembly assembly = {.recorder = recorder, .session = session};
    int code = fold(&assembly, err);
    if (!code)
        code = order_tracks(&assembly, err);
    if (!code && session != recorder->session)
        code = copy_stacks(&assembly, err);
    if (!code)
        code = write_records(&assembly, err);
    if (!code)
        code = write_start_stack(&assembly, err);
    if (!code)
        code = write_metadata(&assembly, err);
    if (!code)
        code = write_attach(&assembly, err);
    free(assembly.stacks);
    free(assembly.folded);
    free(assembly.order);
    return code;
}
