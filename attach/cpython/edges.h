/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * edges.h - which calls the program has been seen to make.
 */
#ifndef PYI_CPYTHON_EDGES_H
#define PYI_CPYTHON_EDGES_H

#include "attach/cpython/plan.h"
#include "src/base/hash.h"

struct pyi_cpython;
struct pyi_tracked;

/** One caller's instruction and a function that stood above it. */
struct pyi_edge {
    pyi_addr caller, callee;                 /* code objects ... */
    uint32_t caller_version, callee_version; /* ... as often as their addresses were used again */
    int64_t offset;                          /* of the instruction in the caller */
    uint32_t site, seen, next_try;
    uint8_t agreed;
    bool proven, from_c;
};

/** One caller's instruction. */
struct pyi_site {
    uint64_t seen; /* sightings of any callee, where the frames were not the last sample's */
    uint32_t callees;
    uint32_t cached; /* callees that stood in the cache of the call */
};

/** Zero-initialise. */
struct pyi_edges {
    struct pyi_map by_key, sites_by_key;
    struct pyi_edge *items;
    uint32_t forgotten; /* numbers up to here are of edges that are no longer known */
    struct pyi_site *sites;
    size_t count, capacity, site_count, site_capacity;
    struct pyi_copy copy;
};

#define PYI_EDGE_UNKNOWN UINT32_MAX /* never proven */

void pyi_edges_deinit(struct pyi_edges *edges);
/** Gives every frame of an accepted walk its `edge`: 0 where the call from the frame below is
 *  proven. Looks for proof where there is none, with one or two reads now and then. Only fatal
 *  errors. */
int pyi_edges_prove(struct pyi_cpython *python, struct pyi_tracked *thread,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** Whether an edge that was not proven once is so by now. */
bool pyi_edges_proven(const struct pyi_edges *edges, uint32_t edge);

#endif
