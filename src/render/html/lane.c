/* SPDX-License-Identifier: BSD-3-Clause */
/* lane.c - the records of one thread as runs of equal stacks, packed.
 *
 * In: records one by one. Out: five columns of numbers. Times are counted on in microseconds from
 * the exact sum, so that what rounding takes from one run the next one gets. */
#include "src/render/html/side.h"

#include <math.h>

static void put(struct pyi_strbuf *column, uint64_t value)
{
    unsigned char bytes[PYI_HTML_VARINT];
    pyi_strbuf_append(column, bytes, pyi_html_varint(bytes, value));
}

static void put_state(struct pyi_html_lane *lane)
{
    if (lane->repeat.length) {
        put(&lane->state, lane->repeat.code);
        put(&lane->state, lane->repeat.length);
    }
    lane->repeat.length = 0;
}

/* Most lanes have no gap at all: the column begins, with the zeros of the runs so far, at the first. */
static void put_gap(struct pyi_html_lane *lane, uint64_t gap)
{
    for (uint64_t i = 0; gap && !lane->has_gap && i < lane->runs; i++)
        put(&lane->gap, 0);
    lane->has_gap = lane->has_gap || gap;
    if (lane->has_gap)
        put(&lane->gap, gap);
}

static bool close_run(struct pyi_html_lane *lane)
{
    if (lane->run.open) {
        int64_t step = (int64_t)lane->run.node - lane->run.last_node;
        put(&lane->node, step < 0 ? (uint64_t)-step * 2 - 1 : (uint64_t)step * 2);
        put(&lane->duration, lane->run.micro);
        put(&lane->count, lane->run.count);
        put_gap(lane, lane->run.gap);
        lane->run.last_node = lane->run.node;
        if (lane->run.state != lane->repeat.code)
            put_state(lane);
        lane->repeat.code = lane->run.state;
        lane->repeat.length++;
        lane->runs++;
        lane->samples += lane->run.count;
    }
    lane->run.open = false;
    return !lane->node.failed && !lane->duration.failed && !lane->count.failed &&
           !lane->gap.failed && !lane->state.failed;
}

/* State of the lane's next record. */
static unsigned next_state(struct pyi_html_lane *lane)
{
    const struct pyi_attach_thread *thread = lane->thread;
    while (thread && !lane->states_left && lane->states < thread->state_count)
        lane->states_left = thread->states[lane->states++].records;
    if (!lane->states_left)
        return PYI_STATE_UNKNOWN;
    lane->states_left--;
    return thread->states[lane->states - 1].code;
}

/* Time that nobody observed before the lane's next record. */
static uint64_t next_gap(struct pyi_html_lane *lane)
{
    const struct pyi_attach_thread *thread = lane->thread;
    uint64_t gap = 0;
    while (thread && lane->jump < thread->jump_count &&
           thread->jumps[lane->jump].record <= lane->record) {
        const struct pyi_attach_jump *jump = &thread->jumps[lane->jump++];
        double clock = (double)(lane->start + lane->skipped + gap + lane->written);
        double ahead = jump->seconds * 1e6 - clock;
        if (jump->record == lane->record && ahead >= 0.5 && ahead < 0x1p53)
            gap += (uint64_t)llround(ahead);
    }
    lane->skipped += gap;
    return gap;
}

/* Microseconds of a record. */
static uint64_t take_time(struct pyi_html_lane *lane, double seconds)
{
    if (isfinite(seconds) && seconds > 0)
        lane->seconds += seconds;
    double whole = fmin(lane->seconds * 1e6, 0x1p53);
    uint64_t now = (uint64_t)llround(whole), micro = now - lane->written;
    lane->written = now;
    return micro;
}

static uint64_t samples_of(const struct pyi_html_lane *lane, double seconds, double interval)
{
    double count = lane->counted && isfinite(seconds) ? round(seconds / interval) : 1;
    return count > 1 && count < 0x1p53 ? (uint64_t)count : 1;
}

bool pyi_html_lane_add(struct pyi_html_lane *lane, uint32_t node, double seconds, double interval)
{
    unsigned state = next_state(lane);
    uint64_t gap = next_gap(lane);
    lane->has_state = lane->has_state || state != PYI_STATE_UNKNOWN;
    if (!lane->run.open || gap || lane->run.node != node || lane->run.state != state) {
        if (!close_run(lane))
            return false;
        lane->run.open = true;
        lane->run.node = node;
        lane->run.state = state;
        lane->run.micro = lane->run.count = 0;
        lane->run.gap = gap;
    }
    lane->run.micro += take_time(lane, seconds);
    lane->run.count += samples_of(lane, seconds, interval);
    lane->record++;
    return true;
}

/* After the last record: the states still held back. */
bool pyi_html_lane_end(struct pyi_html_lane *lane)
{
    bool fine = close_run(lane);
    put_state(lane);
    return fine && !lane->state.failed;
}

void pyi_html_lane_deinit(struct pyi_html_lane *lane)
{
    pyi_strbuf_deinit(&lane->node);
    pyi_strbuf_deinit(&lane->duration);
    pyi_strbuf_deinit(&lane->count);
    pyi_strbuf_deinit(&lane->gap);
    pyi_strbuf_deinit(&lane->state);
}
