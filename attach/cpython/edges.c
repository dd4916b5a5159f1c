/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * edges.c - proof that the program makes the calls its stacks show.
 *
 * In: accepted stacks of 3.11 and later. Out: for every frame, whether the call from the frame
 * below is proven to happen. A stack that was copied while it changed can hold a pair that never
 * was; such pairs are rare and find no proof. Proof is (a) the callee's version in the inline
 * cache of the call, (b) two double reads that agree, (c) for calls through C and sites with
 * several callees: being seen often. Must not decide what happens to samples without proof.
 */
#include "attach/cpython/edges.h"

#include "attach/cpython/frames.h"
#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>

#define EDGE_LIMIT   (1u << 18)
#define BATCH        128 /* edges looked at in one sample */
#define AGREEMENTS   2
#define OFTEN        8   /* sightings ... */
#define OFTEN_SHARE  64  /* ... and this part of its call site's, ... */
#define OFTEN_MANY   256 /* ... where the interpreter calls several functions itself this part */
#define OFTEN_ALONE  32  /* sightings of the only callee of a call without a cache */
#define EVERY_TRY    4   /* sightings up to which proof is looked for each time */
#define FRAME_WINDOW 256
#define CACHE_BEFORE 8 /* bytes read before and behind the caller's instruction */
#define CACHE_WINDOW 16

/* 3.11: PyFunctionObject, Include/cpython/funcobject.h: func_code and func_version. */
enum { FUNCTION_CODE = 48, FUNCTION_VERSION = 128, OWNER_THREAD = 0 };

void pyi_edges_deinit(struct pyi_edges *edges)
{
    pyi_map_deinit(&edges->by_key);
    pyi_map_deinit(&edges->sites_by_key);
    pyi_copy_deinit(&edges->copy);
    free(edges->items);
    free(edges->sites);
    *edges = (struct pyi_edges){0};
}

bool pyi_edges_proven(const struct pyi_edges *edges, uint32_t edge)
{
    return edge == 0 || (edge > edges->forgotten && edge - edges->forgotten <= edges->count &&
                         edges->items[edge - edges->forgotten - 1].proven);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* ---- the set --------------------------------------------------------------------------------- */

static int find_site(struct pyi_edges *edges, const struct pyi_edge *edge, uint32_t *out,
                     struct pyi_error *err)
{
    struct {
        pyi_addr caller;
        int64_t offset;
        uint64_t version;
    } identity = {edge->caller, edge->offset, edge->caller_version};
    uint64_t key = pyi_hash_bytes(&identity, sizeof(identity)) >> 1, value;
    if (pyi_map_get(&edges->sites_by_key, key, &value)) {
        *out = (uint32_t)value;
        return 0;
    }
    if (!pyi_array_reserve(&edges->sites, &edges->site_capacity, edges->site_count + 1,
                           sizeof(*edges->sites)) ||
        !pyi_map_put(&edges->sites_by_key, key, edges->site_count))
        return pyi_error_nomem(err);
    edges->sites[edges->site_count] = (struct pyi_site){0};
    *out = (uint32_t)edges->site_count++;
    return 0;
}

static bool same_edge(const struct pyi_edge *a, const struct pyi_edge *b)
{
    return a->caller == b->caller && a->callee == b->callee && a->offset == b->offset &&
           a->caller_version == b->caller_version && a->callee_version == b->callee_version &&
           a->from_c == b->from_c;
}

/* Place of the edge from `caller` to `callee`, added when new. */
static int find_edge(struct pyi_edges *edges, const struct pyi_frame *callee,
                     const struct pyi_frame *caller, uint32_t *out, struct pyi_error *err)
{
    struct pyi_edge fresh = {
        .caller = caller->code,
        .callee = callee->code,
        .caller_version = caller->entry_version,
        .callee_version = callee->entry_version,
        .offset = (int64_t)((uint64_t)caller->instruction - caller->start),
        .from_c = callee->from_c,
    };
    uint64_t key =
        mix(mix(mix(fresh.caller, fresh.callee), (uint64_t)fresh.offset << 1 | fresh.from_c),
            (uint64_t)fresh.caller_version << 32 | fresh.callee_version) >>
        1;
    uint64_t value;
    while (pyi_map_get(&edges->by_key, key, &value)) {
        if (same_edge(&edges->items[value], &fresh)) {
            *out = (uint32_t)value;
            return 0;
        }
        key = (key + 1) & (UINT64_MAX >> 1);
    }
    int rc = find_site(edges, &fresh, &fresh.site, err);
    if (rc != 0)
        return rc;
    if (!pyi_array_reserve(&edges->items, &edges->capacity, edges->count + 1,
                           sizeof(*edges->items)) ||
        !pyi_map_put(&edges->by_key, key, edges->count))
        return pyi_error_nomem(err);
    edges->sites[fresh.site].callees++;
    *out = (uint32_t)edges->count;
    edges->items[edges->count++] = fresh;
    return 0;
}

/* A program that makes code all the time makes edges all the time: begins anew. What was not proven
 * by now will count as such for ever. */
static void forget(struct pyi_edges *edges)
{
    edges->forgotten += (uint32_t)edges->count;
    edges->count = edges->site_count = 0;
    pyi_map_clear(&edges->by_key);
    pyi_map_clear(&edges->sites_by_key);
}

/* Another sample has it. True when it is time to look for proof. A copy can hold the same wrong
 * pair again and again (a generator freed while it is copied), but not as often as the right one
 * of the same call. */
static bool sight(struct pyi_edges *edges, struct pyi_edge *edge)
{
    struct pyi_site *site = &edges->sites[edge->site];
    uint64_t share = !edge->from_c && site->cached > 1 ? OFTEN_MANY : OFTEN_SHARE;
    edge->seen++;
    /* A call whose cache only ever held one function does call that one: what else is seen there
     * was left by an exception, and such a frame looks alive up to 3.12. */
    bool many = site->callees > 1 && site->cached != 1;
    if ((edge->from_c || many) && edge->seen >= OFTEN && (uint64_t)edge->seen * share >= site->seen)
        edge->proven = true;
    /* Calls that the interpreter does not specialise have no cache (3.13: with keywords). */
    if (site->callees == 1 && site->cached == 0 && edge->seen >= OFTEN_ALONE)
        edge->proven = true;
    return !edge->proven && edge->seen >= edge->next_try;
}

/* ---- inline caches --------------------------------------------------------------------------- */

/* Instructions whose inline cache holds the version of a Python function, as specialised by
 * Python/specialize.c: calls with exact, default, keyword arguments and of bound methods. */
static bool caches_version(int minor, uint8_t opcode)
{
    switch (minor) {
    case 11:
        return opcode == 23 || opcode == 24;
    case 12:
        return opcode == 23 || opcode == 24 || opcode == 28;
    case 13:
        return opcode == 163 || opcode == 164 || opcode == 177 || opcode == 178;
    case 14:
        return opcode == 144 || opcode == 145 || opcode == 150 || opcode == 152 || opcode == 161 ||
               opcode == 162;
    case 15:
        return opcode == 145 || opcode == 146 || opcode == 153 || opcode == 155 || opcode == 164 ||
               opcode == 165;
    }
    return false;
}

/* The version in the cache of the call a waiting frame stands on, 0 none. `window` begins
 * CACHE_BEFORE bytes before the frame's instruction: up to 3.12 that is the last word of the cache
 * {counter, version, version[, least arguments]}, later the call itself. */
static uint32_t cached_version(int minor, const uint8_t window[CACHE_WINDOW])
{
    size_t call = minor == 11 ? CACHE_BEFORE - 8 : minor == 12 ? CACHE_BEFORE - 6 : CACHE_BEFORE;
    return caches_version(minor, window[call]) ? (uint32_t)pyi_load_i32(window + call + 4) : 0;
}

/* ---- looking for proof ----------------------------------------------------------------------- */

/* What is read for one edge: pieces of the copy. */
struct inquiry {
    size_t frame; /* the callee's place in thread->frames */
    struct pyi_edge *edge;
    size_t cache, version, callee, caller;
    bool cached, still;
};

static int ask_frames(struct pyi_cpython *python, const struct pyi_tracked *thread,
                      struct inquiry *inquiry, struct pyi_error *err)
{
    struct pyi_copy *copy = &python->edges.copy;
    const struct pyi_frame *callee = &thread->frames[inquiry->frame];
    size_t window = python->layout.iframe_localsplus + 8;
    int rc = pyi_copy_add(copy, callee[1].address, window, 0, &inquiry->caller, err);
    return rc == 0 ? pyi_copy_add(copy, callee->address, window, 0, &inquiry->callee, err) : rc;
}

static int ask_cache(struct pyi_cpython *python, const struct pyi_tracked *thread,
                     struct inquiry *inquiry, struct pyi_error *err)
{
    struct pyi_copy *copy = &python->edges.copy;
    const struct pyi_frame *callee = &thread->frames[inquiry->frame];
    pyi_addr version = python->minor == 11 ? callee->function + FUNCTION_CODE
                                           : callee->code + python->layout.code_version;
    size_t length = python->minor == 11 ? FUNCTION_VERSION + 4 - FUNCTION_CODE : 4;
    inquiry->cached = !callee->from_c && callee->owner == OWNER_THREAD &&
                      (python->minor == 11 ? pyi_addr_plausible(callee->function)
                                           : pyi_has_field(python->layout.code_version));
    if (!inquiry->cached)
        return 0;
    int rc = pyi_copy_add(copy, (pyi_addr)callee[1].instruction - CACHE_BEFORE, CACHE_WINDOW, 0,
                          &inquiry->cache, err);
    return rc == 0 ? pyi_copy_add(copy, version, length, 0, &inquiry->version, err) : rc;
}

static bool cache_proves(struct pyi_cpython *python, const struct pyi_tracked *thread,
                         const struct inquiry *inquiry)
{
    const struct pyi_copy *copy = &python->edges.copy;
    const struct pyi_frame *callee = &thread->frames[inquiry->frame];
    if (!inquiry->cached)
        return false;
    const struct pyi_piece *where = &copy->pieces[inquiry->version];
    const uint8_t *window = pyi_copy_at(
        copy, inquiry->cache, (pyi_addr)callee[1].instruction - CACHE_BEFORE, CACHE_WINDOW);
    const uint8_t *version = pyi_copy_at(copy, inquiry->version, where->address, where->length);
    if (window == NULL || version == NULL)
        return false;
    if (python->minor == 11) {
        /* A function whose code was replaced keeps no version; one at a reused address has
         * another code. */
        if (pyi_load_u64(version) != callee->code)
            return false;
        version += FUNCTION_VERSION - FUNCTION_CODE;
    }
    uint32_t cached = cached_version(python->minor, window);
    return cached != 0 && cached == (uint32_t)pyi_load_i32(version);
}

/* Whether caller and callee stand in the copy as they did in the sample. */
static bool stands(struct pyi_cpython *python, const struct pyi_tracked *thread,
                   const struct inquiry *inquiry)
{
    const struct pyi_copy *copy = &python->edges.copy;
    const struct pyi_frame *callee = &thread->frames[inquiry->frame], *caller = callee + 1;
    size_t window = python->layout.iframe_localsplus + 8;
    const uint8_t *above = pyi_copy_at(copy, inquiry->callee, callee->address, window);
    const uint8_t *below = pyi_copy_at(copy, inquiry->caller, caller->address, window);
    struct pyi_frame now = {0}, then = {0};
    if (above == NULL || below == NULL)
        return false;
    pyi_frames_decode(python, above, &now);
    pyi_frames_decode(python, below, &then);
    return now.code == callee->code && now.previous == callee->previous &&
           now.owner == callee->owner && !(now.emptied && callee->entry->has_locals) &&
           then.code == caller->code && then.instruction == caller->instruction &&
           then.previous == caller->previous && (callee->from_c || !then.running);
}

/* One more read of the frames that stood still until now. Looks that follow each other at once
 * count one by one: code that runs only once (imports) is met in one sample and never again, and a
 * frame that had returned does not get here, it was cut off where it stands on its return. */
static int look_again(struct pyi_cpython *python, struct pyi_tracked *thread,
                      struct inquiry *inquiries, size_t count, bool *more, struct pyi_error *err)
{
    struct pyi_copy *copy = &python->edges.copy;
    int rc = 0;
    *more = false;
    pyi_copy_reset(copy);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (inquiries[i].still)
            rc = ask_frames(python, thread, &inquiries[i], err);
    if (rc == 0)
        rc = pyi_copy_read(copy, python->memory, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct inquiry *inquiry = &inquiries[i];
        if (!inquiry->still)
            continue;
        bool agreed = stands(python, thread, inquiry);
        if (agreed && ++inquiry->edge->agreed >= AGREEMENTS)
            inquiry->edge->proven = true;
        inquiry->still = agreed && !inquiry->edge->proven;
        *more |= inquiry->still;
    }
    return rc;
}

/* First read: caches and frames. Then those that stood still, again. */
static int inquire(struct pyi_cpython *python, struct pyi_tracked *thread,
                   struct inquiry *inquiries, size_t count, struct pyi_error *err)
{
    struct pyi_copy *copy = &python->edges.copy;
    bool more = false;
    int rc = 0;
    pyi_copy_reset(copy);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = ask_frames(python, thread, &inquiries[i], err);
        if (rc == 0)
            rc = ask_cache(python, thread, &inquiries[i], err);
    }
    if (rc == 0)
        rc = pyi_copy_read(copy, python->memory, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct inquiry *inquiry = &inquiries[i];
        if (!inquiry->edge->proven && cache_proves(python, thread, inquiry)) {
            inquiry->edge->proven = true;
            python->edges.sites[inquiry->edge->site].cached++;
        }
        inquiry->still = !inquiry->edge->proven && stands(python, thread, inquiry);
        more |= inquiry->still;
    }
    for (int look = 0; rc == 0 && more && look < AGREEMENTS; look++)
        rc = look_again(python, thread, inquiries, count, &more, err);
    return rc;
}

int pyi_edges_prove(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    struct pyi_edges *edges = &python->edges;
    struct inquiry inquiries[BATCH];
    uint32_t due[BATCH];
    size_t count = 0, n = thread->frame_count;
    if (edges->count + n > EDGE_LIMIT)
        forget(edges);
    for (size_t i = 0; i + 1 < n; i++) {
        struct pyi_frame *frame = &thread->frames[i];
        if (frame->sure && frame->edge == 0)
            continue;
        uint32_t at = 0;
        int rc = find_edge(edges, frame, frame + 1, &at, err);
        if (rc != 0)
            return rc;
        struct pyi_edge *edge = &edges->items[at];
        edges->sites[edge->site].seen++;
        if (!edge->proven && sight(edges, edge) && count < BATCH) {
            edge->next_try = edge->seen < EVERY_TRY ? edge->seen + 1 : edge->seen + edge->seen / 2;
            due[count] = at;
            inquiries[count++] = (struct inquiry){.frame = i};
        }
        frame->edge = edge->proven ? 0 : edges->forgotten + at + 1;
    }
    if (n > 0)
        thread->frames[n - 1].edge = 0;
    for (size_t i = 0; i < count; i++)
        inquiries[i].edge = &edges->items[due[i]];
    int rc = count > 0 ? inquire(python, thread, inquiries, count, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (inquiries[i].edge->proven)
            thread->frames[inquiries[i].frame].edge = 0;
    return pyi_is_fatal(rc) ? rc : 0;
}
