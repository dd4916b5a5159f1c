/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.c - stacks of one thread become records.
 *
 * In: one stack, or nothing, per round. Out: records of whole nanoseconds. Knows nothing of
 * clocks, of other threads and of why a round came late.
 *
 * Where time goes. A delivered stack gets the time since the last delivered one: rounds in
 * between whose stack was lost are thereby shared out to the next stack that could be read. Only
 * when that is more than ten intervals too much (a lost stretch or a late recorder) nobody knows
 * what ran: if the stacks on both sides are the same one, it gets the time; otherwise the sample
 * keeps one interval and the rest goes to the frames common to both sides, under [unobserved].
 * A thread's first sample gets one round as well: threads shorter than a round are then counted
 * with their true time on average.
 */
#include "src/record/track.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define LATE_INTERVALS 10

/* ---- the ledger ------------------------------------------------------------------------------ */

static int intern_own_frame(struct pyi_session *session, const char *name, const char *path,
                            uint32_t *out, struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    pyi_frames_identifier(&text, pyi_text(name), pyi_text(path), 0);
    int code = text.failed ? pyi_error_nomem(err)
                           : pyi_session_intern_frame(session, pyi_strbuf_get(&text), out, err);
    pyi_strbuf_deinit(&text);
    return code;
}

int pyi_ledger_init(struct pyi_ledger *ledger, struct pyi_session *session, uint64_t interval,
                    struct pyi_error *err)
{
    uint32_t unobserved = 0, truncated = 0;
    int code = intern_own_frame(session, "[unobserved]", "<gap>", &unobserved, err);
    if (!code)
        code = intern_own_frame(session, "[truncated]", "<truncated>", &truncated, err);
    if (code)
        return code;
    *ledger = (struct pyi_ledger){
        .session = session,
        .interval = interval,
        .unobserved_frame = unobserved,
        .truncated_frame = truncated,
    };
    return 0;
}

void pyi_ledger_deinit(struct pyi_ledger *ledger)
{
    pyi_frames_deinit(&ledger->frames);
    pyi_park_deinit(&ledger->park);
}

static int push(struct pyi_ledger *ledger, uint32_t parent, uint32_t frame, uint32_t *out,
                struct pyi_error *err)
{
    uint32_t stack = 0;
    int code = pyi_session_push_frame(ledger->session, parent, frame, &stack, err);
    if (code)
        return code;
    if (stack > ledger->top_stack)
        ledger->top_stack = stack;
    *out = stack;
    return 0;
}

static int push_entry(struct pyi_ledger *ledger, uint32_t parent,
                      const struct pyi_stack_entry *entry, uint32_t *out, struct pyi_error *err)
{
    uint32_t frame = 0;
    int code = pyi_frames_get(&ledger->frames, ledger->session, ledger->target, entry, &frame, err);
    return code ? code : push(ledger, parent, frame, out, err);
}

/* Longer than a sample may answer for. */
static bool is_gap(const struct pyi_ledger *ledger, uint64_t time)
{
    return time > ledger->interval * (LATE_INTERVALS + 1); /* fits: intervals are <= 1e18 ns */
}

/* ---- records -------------------------------------------------------------------------------- */

static int add_record(struct pyi_track *track, uint32_t stack, enum pyi_state state, uint64_t time,
                      struct pyi_error *err)
{
    const struct pyi_lane_item item = {stack, state, time};
    return pyi_lane_add(&track->lane, &item) ? 0 : pyi_error_nomem(err);
}

/* `prefix`: the stack under which nobody knows what ran. */
static int add_unobserved(struct pyi_track *track, struct pyi_ledger *ledger, uint32_t prefix,
                          uint64_t time, struct pyi_error *err)
{
    uint32_t stack = 0;
    int code = push(ledger, prefix, ledger->unobserved_frame, &stack, err);
    if (!code)
        code = add_record(track, stack, PYI_STATE_UNKNOWN, time, err);
    if (!code)
        ledger->unobserved += time;
    return code;
}

int pyi_track_settle(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_error *err)
{
    uint64_t open = track->present - track->accounted;
    if (!open)
        return 0;
    int code;
    if (track->delivered && !is_gap(ledger, open)) {
        code = add_record(track, track->shown_stack, track->state, open, err);
    } else {
        code = add_unobserved(track, ledger, track->root, open, err);
    }
    if (!code)
        track->accounted = track->present;
    return code;
}

/* ---- coming, going, names ------------------------------------------------------------------- */

static int thread_root(struct pyi_ledger *ledger, struct pyi_text name, uint64_t ident,
                       uint32_t *out, struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    pyi_frames_thread(&text, name, ident);
    uint32_t frame = 0;
    int code = text.failed
                   ? pyi_error_nomem(err)
                   : pyi_session_intern_frame(ledger->session, pyi_strbuf_get(&text), &frame, err);
    pyi_strbuf_deinit(&text);
    return code ? code : push(ledger, PYI_STACK_ROOT, frame, out, err);
}

/* When a thread that was not there in the round `before` is taken to have begun. */
static uint64_t begin_of(const struct pyi_ledger *ledger, uint64_t before, uint64_t now)
{
    return is_gap(ledger, now - before) ? now - ledger->interval : before;
}

int pyi_track_init(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_text name,
                   uint64_t ident, uint64_t before, uint64_t now, struct pyi_error *err)
{
    uint32_t root = 0;
    int code = thread_root(ledger, name, ident, &root, err);
    if (code)
        return code;
    struct pyi_strbuf copy = {0};
    pyi_strbuf_text(&copy, name);
    if (copy.failed) {
        pyi_strbuf_deinit(&copy);
        return pyi_error_nomem(err);
    }
    uint64_t begin = begin_of(ledger, before, now);
    *track = (struct pyi_track){
        .name = copy,
        .ident = ident,
        .root = root,
        .shown_stack = root,
        .start = begin,
        .accounted = begin,
        .present = now,
        .cpu_start = -1,
        .cpu_end = -1,
        .lane = {.aggregated = ledger->aggregate},
    };
    return 0;
}

int pyi_track_restart(struct pyi_track *track, struct pyi_ledger *ledger, uint64_t now,
                      struct pyi_error *err)
{
    uint32_t root = 0;
    int code = thread_root(ledger, pyi_strbuf_get(&track->name), track->ident, &root, err);
    if (code)
        return code;
    pyi_lane_clear(&track->lane);
    track->root = track->shown_stack = root;
    track->depth = 0;
    track->delivered = false;
    track->start = track->accounted = track->present = now;
    track->samples = 0;
    track->cpu_start = track->cpu_end;
    return 0;
}

void pyi_track_deinit(struct pyi_track *track)
{
    pyi_strbuf_deinit(&track->name);
    pyi_strbuf_deinit(&track->source);
    free(track->levels);
    pyi_lane_deinit(&track->lane);
    *track = (struct pyi_track){0};
}

void pyi_track_detach(struct pyi_track *track)
{
    for (size_t i = 0; i < track->depth; i++)
        track->levels[i].code = NULL;
}

uint64_t pyi_track_memory(const struct pyi_track *track)
{
    return sizeof(*track) + track->name.capacity + track->source.capacity +
           track->level_capacity * sizeof(*track->levels) + pyi_lane_memory(&track->lane);
}

/* The same frames as `stack` above another thread frame. `path` is scratch. */
static int move_stack(struct pyi_ledger *ledger, uint32_t stack, uint32_t root, uint32_t **path,
                      size_t *capacity, uint32_t *out, struct pyi_error *err)
{
    size_t depth = pyi_session_stack_depth(ledger->session, stack);
    uint32_t from = stack;
    if (!pyi_array_reserve(path, capacity, depth, sizeof(**path)))
        return pyi_error_nomem(err);
    for (size_t i = depth; i-- > 0; stack = pyi_session_stack_parent(ledger->session, stack))
        (*path)[i] = pyi_session_stack_frame(ledger->session, stack);
    uint32_t moved = root;
    int code = 0;
    for (size_t i = 1; i < depth && !code; i++)
        code = push(ledger, moved, (*path)[i], &moved, err);
    if (code)
        return code;
    *out = moved;
    for (; depth > 1 && !code; depth--) {
        code = pyi_park_copy(&ledger->park, from, moved, err);
        from = pyi_session_stack_parent(ledger->session, from);
        moved = pyi_session_stack_parent(ledger->session, moved);
    }
    return code;
}

static int move_lane(struct pyi_track *track, struct pyi_ledger *ledger, uint32_t root,
                     uint32_t **path, size_t *capacity, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free)
    uint32_t *moved = calloc((size_t)ledger->top_stack + 1, sizeof(*moved));
    if (!moved)
        return pyi_error_nomem(err);
    struct pyi_lane_cursor cursor = {0};
    struct pyi_lane_item item;
    while (pyi_lane_next(&track->lane, &cursor, &item, NULL)) {
        if (moved[item.stack])
            continue;
        int code = move_stack(ledger, item.stack, root, path, capacity, &moved[item.stack], err);
        if (code)
            return code;
    }
    return pyi_lane_map(&track->lane, moved) ? 0 : pyi_error_nomem(err);
}

static int move_records(struct pyi_track *track, struct pyi_ledger *ledger, uint32_t root,
                        struct pyi_error *err)
{
    uint32_t *path = NULL;
    size_t capacity = 0;
    int code = track->lane.count ? move_lane(track, ledger, root, &path, &capacity, err) : 0;
    for (size_t i = 0; i < track->depth && !code; i++)
        code = move_stack(ledger, track->levels[i].stack, root, &path, &capacity,
                          &track->levels[i].stack, err);
    if (!code)
        code = move_stack(ledger, track->shown_stack, root, &path, &capacity, &track->shown_stack,
                          err);
    free(path);
    return code;
}

int pyi_track_rename(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_text name,
                     struct pyi_error *err)
{
    uint32_t root = 0;
    int code = thread_root(ledger, name, track->ident, &root, err);
    if (!code && root != track->root)
        code = move_records(track, ledger, root, err);
    if (code)
        return code;
    track->root = root;
    pyi_strbuf_reset(&track->name);
    pyi_strbuf_text(&track->name, name);
    return track->name.failed ? pyi_error_nomem(err) : 0;
}

/* The next record begins at `begin`, later than the last one ended. */
static int add_leap(struct pyi_track *track, uint64_t begin, struct pyi_error *err)
{
    if (!track->lane.count)
        track->start = begin;
    return pyi_lane_jump(&track->lane, begin) ? 0 : pyi_error_nomem(err);
}

int pyi_track_see(struct pyi_track *track, struct pyi_ledger *ledger, uint64_t before, uint64_t now,
                  struct pyi_error *err)
{
    if (track->present == before || track->present == now) {
        track->present = now;
        return 0;
    }
    int code = pyi_track_settle(track, ledger, err);
    if (code)
        return code;
    uint64_t begin = begin_of(ledger, before, now);
    if (!track->lane.count || begin > track->accounted) {
        code = add_leap(track, begin, err);
        if (code)
            return code;
    }
    track->accounted = begin;
    track->present = now;
    return 0;
}

/* ---- a delivered stack ---------------------------------------------------------------------- */

/* Where the new stack leaves the old one. */
struct parting {
    uint32_t prefix; /* stack of what both have in common */
    bool found;
};

/* The stacks differ at level `i`, above `parent`. A frame that only stands on another line is
 * still the same frame: it belongs to the common part, without a line. */
static int part_at(struct pyi_ledger *ledger, const struct pyi_track *track, size_t i,
                   uint32_t parent, const struct pyi_stack_entry *entry, struct parting *parting,
                   struct pyi_error *err)
{
    parting->found = true;
    parting->prefix = parent;
    const struct pyi_code *old = track->levels[i].code;
    if (!old || !pyi_code_same(old, entry->code))
        return 0;
    struct pyi_stack_entry unlined = *entry;
    unlined.line = 0;
    return push_entry(ledger, parent, &unlined, &parting->prefix, err);
}

/* Writes the new stack over the old one from level `from` on. `parting` NULL: not wanted. */
static int write_levels(struct pyi_track *track, struct pyi_ledger *ledger,
                        const struct pyi_stack_entry *entries, size_t depth, size_t from,
                        uint32_t bottom, struct parting *parting, struct pyi_error *err)
{
    if (!pyi_array_reserve(&track->levels, &track->level_capacity, depth, sizeof(*track->levels)))
        return pyi_error_nomem(err);
    uint32_t parent = from ? track->levels[from - 1].stack : bottom;
    for (size_t i = from; i < depth; i++) {
        uint32_t stack = 0;
        int code = push_entry(ledger, parent, &entries[i], &stack, err);
        if (!code)
            code = pyi_park_note(&ledger->park, ledger->target, stack, entries[i].edge, err);
        if (!code && parting && !parting->found && i < track->depth &&
            stack != track->levels[i].stack)
            code = part_at(ledger, track, i, parent, &entries[i], parting, err);
        if (code)
            return code;
        if (parting && !parting->found && i >= track->depth) {
            parting->found = true;
            parting->prefix = parent;
        }
        track->levels[i] = (struct pyi_level){entries[i].code, stack};
        parent = stack;
    }
    if (parting && !parting->found) {
        parting->found = true;
        parting->prefix = parent; /* the new stack is the lower part of the old one */
    }
    return 0;
}

static size_t common_levels(const struct pyi_track *track, const struct pyi_stack *stack,
                            size_t base, size_t depth, uint64_t epoch)
{
    if (!track->delivered || track->epoch != epoch || track->base != base ||
        track->truncated != stack->truncated)
        return 0;
    size_t common = stack->common;
    common = common > base ? common - base : 0;
    if (common > track->depth)
        common = track->depth;
    return common < depth ? common : depth;
}

/* Pushes what the target marked above the stack. */
static int add_marks(struct pyi_ledger *ledger, const struct pyi_stack *stack, uint32_t *top,
                     struct pyi_error *err)
{
    int code = 0;
    for (size_t i = 0; i < stack->mark_count && !code; i++) {
        const struct pyi_stack_entry entry = {.code = stack->marks[i]};
        code = push_entry(ledger, *top, &entry, top, err);
    }
    return code;
}

/* The time since the last delivered stack goes to this one, or, if that is too long for a sample,
 * to what is known of it. */
static int account(struct pyi_track *track, struct pyi_ledger *ledger, uint32_t stack,
                   enum pyi_state state, const struct parting *parting, uint64_t now,
                   struct pyi_error *err)
{
    uint64_t time = now - track->accounted;
    int code = 0;
    bool same = track->delivered && stack == track->shown_stack;
    if (ledger->selective && is_gap(ledger, time) && !(same && state == track->state)) {
        /* Nobody knows whether that time was of the kind that is wanted. */
        code = add_leap(track, now - ledger->interval, err);
        time = ledger->interval;
    } else if (is_gap(ledger, time) && !same) {
        code = add_unobserved(track, ledger, parting->prefix, time - ledger->interval, err);
        time = ledger->interval;
    } else if (is_gap(ledger, time) && state != track->state) {
        /* It was there all the time, but when it fell asleep nobody saw. */
        code = add_record(track, stack, PYI_STATE_UNKNOWN, time - ledger->interval, err);
        time = ledger->interval;
    }
    return code ? code : add_record(track, stack, state, time, err);
}

int pyi_track_deliver(struct pyi_track *track, struct pyi_ledger *ledger,
                      const struct pyi_stack *stack, size_t base, uint64_t epoch, uint64_t now,
                      struct pyi_error *err)
{
    if (base > stack->depth)
        base = stack->depth;
    size_t depth = stack->depth - base;
    size_t from = common_levels(track, stack, base, depth, epoch);
    struct parting parting = {.prefix = track->root};
    bool gap = track->delivered && is_gap(ledger, now - track->accounted);
    bool written = from < depth || from != track->depth || !track->delivered;
    if (written) {
        uint32_t bottom = track->root;
        int code = 0;
        if (stack->truncated)
            code = push(ledger, track->root, ledger->truncated_frame, &bottom, err);
        if (!code)
            code = write_levels(track, ledger, stack->entries + base, depth, from, bottom,
                                gap ? &parting : NULL, err);
        if (code)
            return code;
    }
    track->depth = depth;
    uint32_t shown = depth ? track->levels[depth - 1].stack : track->root;
    if (!written)
        parting.prefix = shown; /* only what the target marked differs */
    if (track->truncated != stack->truncated)
        parting.prefix = track->root;
    int code = add_marks(ledger, stack, &shown, err);
    if (!code)
        code = account(track, ledger, shown, stack->state, &parting, now, err);
    if (code)
        return code;
    track->shown_stack = shown;
    track->state = stack->state;
    track->delivered = true;
    track->truncated = stack->truncated;
    track->base = base;
    track->epoch = epoch;
    track->accounted = now;
    return 0;
}

int pyi_track_pass(struct pyi_track *track, struct pyi_ledger *ledger, struct pyi_error *err)
{
    if (!track->delivered)
        track->accounted = track->present;
    /* What the target delivers next is compared with a stack that this track never saw. */
    track->epoch = UINT64_MAX;
    return pyi_track_settle(track, ledger, err);
}
