/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lane.c - the records of one thread.
 *
 * In: stacks with state and time, one after the other. Out: records, neighbours with equal stack
 * and state as one. Knows nothing of clocks, targets or files.
 */
#include "src/session/lane.h"

#include "src/base/array.h"
#include <stdlib.h>

#define LONGEST_RUN (UINT32_MAX >> 2)

/* ---- adding --------------------------------------------------------------------------------- */

static bool add_state(struct pyi_lane *lane, enum pyi_state state)
{
    uint32_t *last = lane->run_count ? &lane->runs[lane->run_count - 1] : NULL;
    if (last && pyi_lane_run_state(*last) == state && pyi_lane_run_records(*last) < LONGEST_RUN) {
        *last += 4;
        return true;
    }
    if (!pyi_array_reserve(&lane->runs, &lane->run_capacity, lane->run_count + 1,
                           sizeof(*lane->runs)))
        return false;
    lane->runs[lane->run_count++] = 4 + (uint32_t)state;
    return true;
}

static bool add_item(struct pyi_lane *lane, const struct pyi_lane_item *item)
{
    uint64_t key = (uint64_t)item->stack * 4 + (uint64_t)item->state, place;
    if (pyi_map_get(&lane->places, key, &place)) {
        lane->items[place].time += item->time;
        return true;
    }
    if (!pyi_array_reserve(&lane->items, &lane->item_capacity, lane->count + 1,
                           sizeof(*lane->items)) ||
        !pyi_map_put(&lane->places, key, lane->count))
        return false;
    lane->items[lane->count] = *item;
    if (!add_state(lane, item->state)) {
        pyi_map_clear(&lane->places);
        for (uint64_t i = 0; i < lane->count; i++) /* slots are there: cannot fail */
            (void)pyi_map_put(&lane->places,
                              (uint64_t)lane->items[i].stack * 4 + (uint64_t)lane->items[i].state,
                              i);
        return false;
    }
    lane->count++;
    return true;
}

bool pyi_lane_add(struct pyi_lane *lane, const struct pyi_lane_item *item)
{
    if (!item->time)
        return true;
    if (lane->aggregated)
        return add_item(lane, item);
    struct pyi_lane_item *last = &lane->last;
    if (lane->count && !lane->parted && last->stack == item->stack && last->state == item->state &&
        last->time <= INT64_MAX - item->time) {
        last->time += item->time;
        return true;
    }
    /* Room for the state first: it is the last record's as soon as it is there. */
    if (!pyi_array_reserve(&lane->runs, &lane->run_capacity, lane->run_count + 1,
                           sizeof(*lane->runs)) ||
        (lane->count && !pyi_records_append_time(&lane->records, last->stack, last->time)) ||
        !add_state(lane, item->state))
        return false;
    lane->last = *item;
    lane->count++;
    lane->parted = false;
    return true;
}

bool pyi_lane_jump(struct pyi_lane *lane, uint64_t begin)
{
    if (!lane->count || lane->aggregated)
        return true;
    if (lane->parted) { /* nothing was recorded since the jump before */
        lane->jumps[lane->jump_count - 1].begin = begin;
        return true;
    }
    if (!pyi_array_reserve(&lane->jumps, &lane->jump_capacity, lane->jump_count + 1,
                           sizeof(*lane->jumps)))
        return false;
    lane->jumps[lane->jump_count++] = (struct pyi_lane_jump){lane->count, begin};
    lane->parted = true;
    return true;
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum pyi_state next_state(const struct pyi_lane *lane, struct pyi_lane_cursor *cursor)
{
    while (cursor->used >= pyi_lane_run_records(lane->runs[cursor->run])) {
        cursor->run++;
        cursor->used = 0;
    }
    cursor->used++;
    return pyi_lane_run_state(lane->runs[cursor->run]);
}

bool pyi_lane_next(const struct pyi_lane *lane, struct pyi_lane_cursor *cursor,
                   struct pyi_lane_item *out, const struct pyi_lane_jump **jump)
{
    if (cursor->index >= lane->count)
        return false;
    if (lane->aggregated)
        *out = lane->items[cursor->index];
    else if (cursor->index + 1 == lane->count)
        *out = lane->last;
    else if (!pyi_records_next_time(&lane->records, &cursor->at, &out->stack, &out->time))
        return false;
    out->state = next_state(lane, cursor);
    const struct pyi_lane_jump *found = NULL;
    if (cursor->jump < lane->jump_count && lane->jumps[cursor->jump].record == cursor->index)
        found = &lane->jumps[cursor->jump++];
    if (jump)
        *jump = found;
    cursor->index++;
    return true;
}

/* ---- as a whole ----------------------------------------------------------------------------- */

bool pyi_lane_map(struct pyi_lane *lane, const uint32_t *stacks)
{
    struct pyi_lane mapped = {.aggregated = lane->aggregated, .generation = lane->generation + 1};
    struct pyi_lane_cursor cursor = {0};
    struct pyi_lane_item item;
    const struct pyi_lane_jump *jump;
    while (pyi_lane_next(lane, &cursor, &item, &jump)) {
        item.stack = stacks[item.stack];
        if ((jump && !pyi_lane_jump(&mapped, jump->begin)) || !pyi_lane_add(&mapped, &item)) {
            pyi_lane_deinit(&mapped);
            return false;
        }
    }
    if (lane->parted && !pyi_lane_jump(&mapped, lane->jumps[lane->jump_count - 1].begin)) {
        pyi_lane_deinit(&mapped);
        return false;
    }
    pyi_lane_deinit(lane);
    *lane = mapped;
    return true;
}

void pyi_lane_clear(struct pyi_lane *lane)
{
    bool aggregated = lane->aggregated;
    pyi_lane_deinit(lane);
    lane->aggregated = aggregated;
}

void pyi_lane_deinit(struct pyi_lane *lane)
{
    pyi_records_deinit(&lane->records);
    free(lane->runs);
    free(lane->jumps);
    free(lane->items);
    pyi_map_deinit(&lane->places);
    *lane = (struct pyi_lane){0};
}

uint64_t pyi_lane_memory(const struct pyi_lane *lane)
{
    return pyi_records_memory(&lane->records) + lane->run_capacity * sizeof(*lane->runs) +
           lane->jump_capacity * sizeof(*lane->jumps) + lane->item_capacity * sizeof(*lane->items) +
           lane->places.slot_count * 2 * sizeof(uint64_t);
}
