/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lane.h - what was recorded of one thread: records, their states, and where time was left out.
 *
 * Two kinds. With a timeline every change of stack or state begins a record; all but the last,
 * which still grows, are kept in the encoding of records.h. Without one (`aggregated`) there is
 * one record for each stack and state, so that it does not grow with time.
 */
#ifndef PYI_SESSION_LANE_H
#define PYI_SESSION_LANE_H

#include "src/base/hash.h"
#include "src/session/records.h"

/* `record` begins at `begin` (ns, from where the owner likes), not where the one before it ended. */
struct pyi_lane_jump {
    uint64_t record, begin;
};

struct pyi_lane_item {
    uint32_t stack;
    enum pyi_state state;
    uint64_t time; /* ns */
};

struct pyi_lane {
    bool aggregated;
    bool parted;                /* the next record must not join the last: time was left out */
    struct pyi_lane_item last;  /* when `count` */
    struct pyi_records records; /* all but the last */
    uint64_t count;             /* records, the last included */
    uint32_t generation;        /* changes when the records are written anew */
    uint32_t *runs;             /* 4 * records in a row + state, the last record included */
    size_t run_count, run_capacity;
    struct pyi_lane_jump *jumps;
    size_t jump_count, jump_capacity;
    /* aggregated */
    struct pyi_lane_item *items; /* `count` of them, in order of first sight */
    size_t item_capacity;
    struct pyi_map places; /* 4 * stack + state -> index in items */
};

/* Zero-initialise, set `aggregated` before the first record. False: no memory. */
bool pyi_lane_add(struct pyi_lane *lane, const struct pyi_lane_item *item);
/* The record to come begins at `begin`. Without effect before the first one or when aggregated. */
bool pyi_lane_jump(struct pyi_lane *lane, uint64_t begin);
/* `stacks[i]` stands for stack i from now on; records that become equal are joined. On lack of
 * memory nothing is changed. */
bool pyi_lane_map(struct pyi_lane *lane, const uint32_t *stacks);
void pyi_lane_clear(struct pyi_lane *lane); /* as after initialising; keeps `aggregated` */
void pyi_lane_deinit(struct pyi_lane *lane);
/* Bytes held. */
uint64_t pyi_lane_memory(const struct pyi_lane *lane);

static inline uint32_t pyi_lane_run_records(uint32_t run)
{
    return run >> 2;
}
static inline enum pyi_state pyi_lane_run_state(uint32_t run)
{
    return (enum pyi_state)(run & 3);
}

/* Visits all records in order; zero-initialise. Nothing may be added meanwhile. */
struct pyi_lane_cursor {
    uint64_t at, index;
    size_t run, jump;
    uint32_t used;
};
/* `*jump` (may be NULL): the jump that the record begins with, else NULL. False at the end. */
bool pyi_lane_next(const struct pyi_lane *lane, struct pyi_lane_cursor *cursor,
                   struct pyi_lane_item *out, const struct pyi_lane_jump **jump);

#endif
