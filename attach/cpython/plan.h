/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * plan.h - a local copy of chosen remote ranges, and the list of what to copy next.
 *
 * A copy is filled by as few system calls as can be; the decoders then walk inside it. What a
 * thread's last sample used is what its next one is predicted to use. Knows nothing of what the
 * bytes mean.
 */
#ifndef PYI_CPYTHON_PLAN_H
#define PYI_CPYTHON_PLAN_H

#include "attach/memory/memory.h"
#include <pyinstrument/error.h>

/** Bytes of one remote range. `first` splits the read: [first, length) is copied before the
 *  rest, because the top of a stack moves fastest. */
struct pyi_piece {
    pyi_addr address;
    size_t length, first, offset;
    bool complete; /* every byte arrived */
};

struct pyi_copy {
    struct pyi_piece *pieces;
    size_t count, capacity;
    size_t done; /* pieces before this one have been read or given up */
    uint8_t *bytes;
    size_t used, bytes_capacity;
    struct pyi_range *ranges;
    size_t *owners; /* piece of each range */
    size_t ranges_capacity, owners_capacity;
};

#define PYI_NO_PIECE SIZE_MAX

void pyi_copy_reset(struct pyi_copy *copy);
void pyi_copy_deinit(struct pyi_copy *copy);
/** Adds a range to be read; `*index` (may be NULL) gets its number. Errors: NOMEM, LIMIT (more
 *  than 512 MiB in one copy). */
int pyi_copy_add(struct pyi_copy *copy, pyi_addr address, size_t length, size_t first,
                 size_t *index, struct pyi_error *err) PYI_MUST_CHECK;
/** Reads all pieces added since the last read. A piece that is not mapped stays incomplete and
 *  is no error. Errors: GONE, PERM, OS, NOMEM. */
int pyi_copy_read(struct pyi_copy *copy, struct pyi_memory *memory,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** Local address of remote bytes inside piece `index`, NULL when they are not in it. Valid until
 *  the next pyi_copy_add(). */
const uint8_t *pyi_copy_at(const struct pyi_copy *copy, size_t index, pyi_addr address,
                           size_t length);

/** An address that recent samples looked at, outside the data stack. */
struct pyi_place {
    pyi_addr address;
    uint32_t length;
    uint32_t round; /* last round that used it ... */
    uint32_t hot;   /* ... and the last one that used it for the moving part of a stack */
};

/** Places of one thread, sorted by address unless `dirty`. Zero-initialise. */
struct pyi_places {
    struct pyi_place *items;
    size_t count, capacity;
    bool dirty;
};

void pyi_places_deinit(struct pyi_places *places);
/** Notes a use: marks the place or adds it. False on lack of memory. */
bool pyi_places_use(struct pyi_places *places, pyi_addr address, uint32_t length, uint32_t round);
/** Forgets what was not used since `oldest`, then sorts. */
void pyi_places_trim(struct pyi_places *places, uint32_t oldest);
/** The same for the moving part of a stack. */
bool pyi_places_heat(struct pyi_places *places, pyi_addr address, uint32_t length, uint32_t round);
/** Adds all places that were hot in round `since` or later (0: all) to the copy; neighbours less
 *  than a page apart become one piece, which costs less than two. `*first` and `*count` get the
 *  pieces, sorted by address. */
int pyi_places_plan(struct pyi_places *places, uint32_t since, struct pyi_copy *copy, size_t *first,
                    size_t *count, struct pyi_error *err) PYI_MUST_CHECK;

/** The part of a copy that belongs to one thread. Runs of pieces, by number. */
struct pyi_view {
    struct pyi_copy *copy;
    size_t state, state_again; /* the thread state, read first and last */
    bool narrow;               /* only what lies above the part of the last stack that stands */
    bool entire;               /* ... which is all of the data stack */
    size_t chunks, chunk_count;
    size_t places, place_count;
    size_t objects, object_count;
    size_t codes, code_count;
    size_t extras; /* pieces fetched during the walk, to the end of the copy */
    size_t state_latest;
    size_t fetches;
    size_t hint;
};

/** Local bytes of a frame-like thing: thread state, data stack, places, what was fetched. `*piece`
 *  (may be NULL) gets where. NULL when this view has no copy of them. */
const uint8_t *pyi_view_find(struct pyi_view *view, pyi_addr address, size_t length, size_t *piece);
/** Local bytes of an object header. */
const uint8_t *pyi_view_object(struct pyi_view *view, pyi_addr address, size_t length);

/** Plausible address of an aligned object. */
static inline bool pyi_addr_plausible(pyi_addr address)
{
    return address >= 65536 && address < (UINT64_C(1) << 56) && (address & 7) == 0;
}

#endif
