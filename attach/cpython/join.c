/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * join.c - which part of the last accepted stack still stands, and whether the lists of threads do.
 *
 * In: the copy of the upper part of the data stack. Out: what of the last sample's frames is byte
 * for byte as it was, so that only what is above has to be walked, checked and named. A frame that
 * waits for its callee does not change, and frames are pushed one behind the other: where the bytes
 * are equal up to the end of a frame, that frame and all below it are the same. What lies further
 * below than what was copied is believed as long as at least two frames above it stand, and looked
 * at in full every few samples; where it was wrong, more is copied from then on. Must not judge
 * what it walks.
 */
#include "attach/cpython/join.h"

#include "attach/cpython/frames.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define PAGE          4096u
#define SLACK         768u        /* bytes read above the known top of the data stack */
#define ENTIRE        (2u * PAGE) /* a data stack up to this size is always copied from its start */
#define ANCHOR        1024u       /* bytes copied below the lowest frame that moved lately */
#define LARGEST_IMAGE (1u << 20)
#define WHOLE_ROUNDS  16  /* rounds a part that is not copied is believed, ... */
#define WHOLE_LATER   32  /* ... and as many when it was right the last time */
#define LOOK_ROUNDS   256 /* rounds what is known of frames at rest is believed */
#define AGE_ROUNDS    64  /* how long what moved once counts as moving: this to twice this */
#define MISSES        4   /* narrow copies in a row that did not do, ... */
#define PAUSE_ROUNDS  64  /* ... and rounds without them after that */
#define BLOCK         256

void pyi_join_deinit(struct pyi_join *join)
{
    free(join->image);
    *join = (struct pyi_join){0};
}

bool pyi_join_narrow(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr *from)
{
    const struct pyi_join *join = &thread->join;
    if (python->stopping != NULL)
        return false; /* what a stopped thread holds is read as a whole */
    if (python->heap_frames) {
        *from = 0;
        return thread->last_count > 0 && !thread->last_truncated && !thread->lost &&
               python->round < join->next_whole && python->round >= join->next_try;
    }
    if (!python->repair || thread->last_count == 0 || thread->last_truncated || thread->lost ||
        join->chunk == 0 || thread->chunk_count == 0 || join->chunk != thread->chunks[0].address ||
        join->deep || python->round < join->next_try)
        return false;
    *from = join->chunk;
    if (thread->chunks[0].used > ENTIRE) {
        pyi_addr low = join->lowest < join->lowest_older ? join->lowest : join->lowest_older;
        low = (low - ANCHOR) & ~(pyi_addr)(PAGE - 1);
        if (low > join->chunk && low < join->chunk + thread->chunks[0].used)
            *from = low;
    }
    bool entire = *from == join->chunk && thread->chunk_count == 1;
    return python->round < (entire ? join->next_look : join->next_whole);
}

void pyi_join_missed(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    struct pyi_join *join = &thread->join;
    if (++join->misses < MISSES)
        return;
    join->misses = 0;
    join->next_try = python->round + PAUSE_ROUNDS;
}

/* ---- walking --------------------------------------------------------------------------------- */

/* Bytes that are equal, rounded down to words. */
static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t length)
{
    size_t at = 0;
    while (length - at >= BLOCK && memcmp(a + at, b + at, BLOCK) == 0)
        at += BLOCK;
    while (length - at >= 8 && pyi_load_u64(a + at) == pyi_load_u64(b + at))
        at += 8;
    return at;
}

/* Whether frame `at` of the last stack is as it was, in what was copied. */
static bool stands(const struct pyi_cpython *python, const struct pyi_tracked *thread, size_t at)
{
    const struct pyi_join *join = &thread->join;
    const struct pyi_frame *frame = &thread->last[at];
    pyi_addr end = frame->address + python->layout.iframe_localsplus + 8;
    bool same = frame->chunk == 1 ? end <= join->end
                                  : frame->chunk == 2 && join->tail_end != 0 &&
                                        frame->address >= join->tail_at && end <= join->tail_end;
    return same && frame->clean && frame->entry->valid &&
           frame->entry->version == frame->entry_version;
}

bool pyi_join_stands(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address)
{
    struct pyi_join *join = &thread->join;
    uint32_t chunk = address >= join->chunk && address < join->end ? 1
                     : join->tail_end != 0 && address >= join->tail_at && address < join->tail_end
                         ? 2
                         : 0;
    if (chunk == 0)
        return false;
    /* Callers lie below their callees, so the place in the last stack only moves on. */
    size_t at = join->at;
    while (at < thread->last_count &&
           (thread->last[at].chunk < chunk ||
            (thread->last[at].chunk == chunk && thread->last[at].address > address)))
        at++;
    join->at = at;
    return at < thread->last_count && thread->last[at].chunk == chunk &&
           thread->last[at].address == address && stands(python, thread, at);
}

pyi_addr pyi_join_tail(const struct pyi_tracked *thread, pyi_addr from, size_t *length)
{
    *length = 0;
    if (thread->chunk_count < 2 || from != thread->chunks[0].address)
        return 0;
    const struct pyi_chunk *chunk = &thread->chunks[1];
    *length = chunk->used < PYI_JOIN_TAIL ? chunk->used : PYI_JOIN_TAIL;
    return chunk->address + chunk->used - *length;
}

/* The thread state must describe the chunk that was copied, and its top must be in the copy. */
static int check_state(struct pyi_cpython *python, struct pyi_tracked *thread,
                       const struct pyi_piece *piece, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_chunk *newest = &thread->chunks[0];
    const uint8_t *state =
        pyi_copy_at(thread->view.copy, thread->view.state, thread->address, python->state_window);
    if (state == NULL || !piece->complete)
        return pyi_error_set(err, PYI_E_FAULT, "thread state or data stack not mapped");
    pyi_addr chunk = pyi_load_u64(state + layout->tstate_datastack_chunk);
    pyi_addr top = pyi_load_u64(state + layout->tstate_datastack_top);
    pyi_addr limit = pyi_load_u64(state + layout->tstate_datastack_limit);
    if (chunk != newest->address || limit != chunk + newest->size || top <= chunk || top > limit)
        return pyi_error_set(err, PYI_E_TORN, "another chunk of the data stack");
    size_t want = ((top - chunk + SLACK + PAGE - 1) & ~(size_t)(PAGE - 1));
    if (want > newest->size)
        want = newest->size;
    /* The top goes up and down: keep the larger span for a while. */
    if (want >= newest->used || python->round >= thread->chunk_decay) {
        newest->used = want;
        thread->chunk_decay = python->round + 256;
    }
    return top <= piece->address + piece->length
               ? 0
               : pyi_error_set(err, PYI_E_TORN, "the data stack has grown");
}

/* Frames of generators below `at` are not part of the image. */
static bool others_stand(struct pyi_cpython *python, struct pyi_tracked *thread, size_t at)
{
    if (thread->join.off_stack == 0)
        return true;
    for (size_t i = at; i < thread->last_count; i++) {
        const struct pyi_frame *then = &thread->last[i];
        struct pyi_frame now;
        if (then->chunk != 0)
            continue;
        if (!pyi_frames_peek(python, thread, then->address, &now) || now.code != then->code ||
            now.instruction != then->instruction || now.previous != then->previous ||
            now.owner != then->owner || now.slot != then->slot)
            return false;
    }
    return true;
}

/* Whether one more frame below stands in what was copied. */
static bool is_anchored(const struct pyi_tracked *thread, size_t at, pyi_addr from)
{
    const struct pyi_join *join = &thread->join;
    for (size_t i = at + 1; i < thread->last_count; i++)
        if (thread->last[i].chunk != 0)
            return thread->last[i].chunk == 1 ? thread->last[i].address >= from
                                              : thread->last[i].chunk == 2 && join->tail_end != 0 &&
                                                    thread->last[i].address >= join->tail_at;
    return false;
}

/* How far the images still hold. */
static void compare(struct pyi_tracked *thread)
{
    struct pyi_join *join = &thread->join;
    const struct pyi_view *view = &thread->view;
    const struct pyi_piece *piece = &view->copy->pieces[view->chunks];
    const uint8_t *bytes = view->copy->bytes + piece->offset;
    size_t skip = piece->address - join->chunk;
    size_t both = join->image_length > skip ? join->image_length - skip : 0;
    if (both > piece->length)
        both = piece->length;
    join->end = piece->address + (both > 0 ? equal_bytes(join->image + skip, bytes, both) : 0);
    join->tail_end = 0;
    if (view->chunk_count < 2)
        return;
    const struct pyi_piece *tail = piece + 1;
    size_t equal = 0;
    if (tail->complete && tail->address == join->tail_at && tail->length == join->tail_length)
        equal = equal_bytes(join->tail, view->copy->bytes + tail->offset, tail->length);
    join->tail_end = tail->address + equal;
    if (equal + 8 <= tail->length) /* something below the newest chunk is not what it was */
        join->end = piece->address;
}

/* Up to 3.10: frame objects are scattered; see frames_heap.c. */
static int walk_heap(struct pyi_cpython *python, struct pyi_tracked *thread, size_t *at,
                     struct pyi_error *err)
{
    bool full = false;
    thread->join.at = 0;
    int rc = pyi_frames_walk_heap(python, thread, thread->view.state, err);
    if (rc == 0)
        rc = pyi_frames_push(python, thread, &thread->last[thread->join.at], &full, err);
    if (rc == 0 && (full || thread->frame_count + thread->last_count > python->max_depth))
        return pyi_error_set(err, PYI_E_LIMIT, "stack is too deep");
    *at = thread->join.at;
    return rc;
}

int pyi_join_walk(struct pyi_cpython *python, struct pyi_tracked *thread, size_t *at, bool *walked,
                  struct pyi_error *err)
{
    if (python->heap_frames)
        return walk_heap(python, thread, at, err);
    struct pyi_join *join = &thread->join;
    const struct pyi_view *view = &thread->view;
    pyi_addr from = view->copy->pieces[view->chunks].address;
    /* Freed code objects may be at the addresses of those that stand: all are compared then. */
    if (join->generation != python->generation)
        return pyi_error_set(err, PYI_E_TORN, "code objects were freed");
    int rc = check_state(python, thread, &view->copy->pieces[view->chunks], err);
    if (rc != 0)
        return rc;
    compare(thread);
    join->at = 0;
    rc = pyi_frames_walk(python, thread, view->state, err);
    *walked = rc == 0;
    if (pyi_is_fatal(rc))
        return rc;
    if (rc != 0) {
        /* The record of an entry from C is overwritten, or a generator was left: what is above may
         * be found from below. */
        thread->frame_count = 0;
        thread->from_shim = false;
        for (join->at = 0; join->at < thread->last_count; join->at++)
            if (stands(python, thread, join->at))
                break;
    }
    if (join->at >= thread->last_count || (!view->entire && !is_anchored(thread, join->at, from)) ||
        !others_stand(python, thread, join->at))
        return pyi_error_set(err, PYI_E_TORN, "too little of the last stack stands");
    bool full = false;
    rc = pyi_frames_push(python, thread, &thread->last[join->at], &full, err);
    if (rc == 0 && (full || thread->frame_count + thread->last_count > python->max_depth))
        return pyi_error_set(err, PYI_E_LIMIT, "stack is too deep");
    *at = join->at;
    return rc;
}

/* ---- accepting ------------------------------------------------------------------------------- */

/* `count` frames upon those of the last stack from `at` on. */
static bool keep_frames(struct pyi_tracked *thread, size_t count, size_t at)
{
    size_t standing = thread->last_count - at;
    if (count + standing > thread->room_capacity) {
        size_t capacity = (count + standing) * 2 + 32;
        struct pyi_frame *room = calloc(capacity, sizeof(*room));
        if (room == NULL)
            return false;
        if (standing > 0)
            memcpy(room + capacity - standing, thread->last + at, standing * sizeof(*room));
        free(thread->room);
        thread->room = room;
        thread->room_capacity = capacity;
    }
    thread->last_count = count + standing;
    thread->last = thread->room + thread->room_capacity - thread->last_count;
    if (count > 0)
        memcpy(thread->last, thread->frames, count * sizeof(*thread->frames));
    return true;
}

/* Keeps the end of the chunk below as piece `at` of the copy has it, if it has all of it. */
static void keep_tail(struct pyi_tracked *thread, const struct pyi_copy *copy, size_t at)
{
    struct pyi_join *join = &thread->join;
    size_t length;
    pyi_addr from = pyi_join_tail(thread, thread->chunks[0].address, &length);
    const uint8_t *bytes = length > 0 ? pyi_copy_at(copy, at, from, length) : NULL;
    join->tail_at = bytes != NULL ? from : 0;
    join->tail_length = bytes != NULL ? length : 0;
    if (bytes != NULL)
        memcpy(join->tail, bytes, length);
}

/* Notes how far down the stack moves. `address` 0: below the newest chunk. */
static void note_lowest(struct pyi_cpython *python, struct pyi_join *join, pyi_addr address)
{
    if (python->round >= join->next_age) {
        join->next_age = python->round + AGE_ROUNDS;
        join->lowest_older = join->lowest;
        join->lowest = address;
        join->deep = false;
    }
    if (address < join->lowest)
        join->lowest = address;
}

/* The image from `from` on is that of the copy. */
static bool keep_image(struct pyi_join *join, const struct pyi_copy *copy,
                       const struct pyi_piece *piece, pyi_addr from)
{
    size_t length = piece->address + piece->length - join->chunk, skip = from - join->chunk;
    if (!pyi_array_reserve(&join->image, &join->image_capacity, length, 1))
        return false;
    memcpy(join->image + skip, copy->bytes + piece->offset + (from - piece->address),
           length - skip);
    join->image_length = length;
    return true;
}

int pyi_join_accept(struct pyi_cpython *python, struct pyi_tracked *thread, size_t at,
                    struct pyi_error *err)
{
    struct pyi_join *join = &thread->join;
    const struct pyi_copy *copy = thread->view.copy;
    size_t count = thread->frame_count - 1;
    if (python->heap_frames) {
        join->misses = 0;
        return keep_frames(thread, count, at) ? 0 : pyi_error_nomem(err);
    }
    pyi_addr ground = thread->last[at].chunk == 1 ? thread->last[at].address : join->chunk;
    if (join->off_stack > 0)
        for (size_t i = 0; i < at; i++)
            join->off_stack -= thread->last[i].chunk == 0;
    for (size_t i = 0; i < count; i++)
        join->off_stack += thread->frames[i].chunk == 0;
    if (!keep_frames(thread, count, at) ||
        !keep_image(join, copy, &copy->pieces[thread->view.chunks], join->end))
        return pyi_error_nomem(err);
    if (thread->view.chunk_count > 1 && join->tail_end < join->tail_at + join->tail_length)
        keep_tail(thread, copy, thread->view.chunks + 1);
    join->misses = 0;
    note_lowest(python, join, ground);
    return 0;
}

int pyi_join_accept_whole(struct pyi_cpython *python, struct pyi_tracked *thread,
                          struct pyi_error *err)
{
    struct pyi_join *join = &thread->join;
    const struct pyi_view *view = &thread->view;
    bool known = thread->last_count > 0;
    pyi_addr lowest = 0, tail_from = 0;
    size_t tail_length = 0, anchored = 0, at_rest = 0;
    bool tail_stands = false;
    if (thread->chunk_count > 1)
        tail_from = pyi_join_tail(thread, thread->chunks[0].address, &tail_length);
    size_t window = python->layout.iframe_localsplus + 8;
    join->off_stack = 0;
    for (size_t i = thread->frame_count; i-- > 0;) {
        const struct pyi_frame *frame = &thread->frames[i];
        at_rest += frame->sure;
        if (frame->sure && frame->chunk == 1)
            lowest = frame->address;
        tail_stands |= frame->sure && frame->chunk == 2 && tail_length > 0 &&
                       frame->address >= tail_from && anchored++ > 0;
        if (frame->chunk != 0)
            continue;
        join->off_stack++;
        if (!python->heap_frames &&
            !pyi_places_heat(&thread->places, frame->address, (uint32_t)window, python->round))
            return pyi_error_nomem(err);
    }
    if (!keep_frames(thread, thread->frame_count, thread->last_count))
        return pyi_error_nomem(err);
    bool right = known && (python->heap_frames ? 2 * at_rest >= thread->frame_count
                                               : lowest != 0 || tail_stands);
    join->next_whole = python->round + (right ? WHOLE_LATER : WHOLE_ROUNDS);
    if (python->round >= join->next_look)
        join->next_look = python->round + LOOK_ROUNDS;
    if (python->heap_frames)
        return 0;
    join->chunk = 0;
    if (thread->chunk_count == 0 || view->chunk_count != thread->chunk_count)
        return 0;
    const struct pyi_piece *piece = &view->copy->pieces[view->chunks];
    if (!piece->complete || piece->address != thread->chunks[0].address ||
        piece->length > LARGEST_IMAGE)
        return 0;
    join->chunk = piece->address;
    if (!keep_image(join, view->copy, piece, piece->address))
        return pyi_error_nomem(err);
    join->generation = python->generation;
    if (thread->chunk_count > 1)
        keep_tail(thread, view->copy, view->chunks + 1);
    else
        join->tail_at = 0;
    if (!known)
        return 0;
    note_lowest(python, join, lowest != 0 ? lowest : join->chunk);
    join->deep |= lowest == 0 && thread->chunk_count > 1 && !tail_stands;
    return 0;
}

/* ---- lists of threads ------------------------------------------------------------------------ */

/* The code generations of all interpreters; false when one was not copied. */
static bool note_generation(struct pyi_cpython *python)
{
    uint64_t sum = 0;
    if (!pyi_has_field(python->layout.interp_code_generation))
        return true;
    for (size_t i = 0; i < python->threads.interp_count; i++) {
        const struct pyi_interp *interp = &python->threads.interps[i];
        if (interp->seen + 1 != python->round)
            continue;
        pyi_addr at = interp->address + python->layout.interp_code_generation;
        const uint8_t *bytes = pyi_copy_at(&python->copy, interp->piece, at, 8);
        if (bytes == NULL)
            return false;
        sum += pyi_load_u64(bytes);
    }
    pyi_codes_generation(python, sum);
    return true;
}

/* Whether the thread states alone tell that the lists are as they were: they are linked both ways
 * (`prev` stands before `next` in all of 3.8 to 3.15, Include/cpython/pystate.h), a new state comes
 * in before the first, and one that goes takes its neighbours' links with it. An interpreter
 * without threads, or a new one, waits for the next look at the lists. */
bool pyi_join_lists_stay(struct pyi_cpython *python)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_threads *threads = &python->threads;
    if (threads->listed || threads->found_count == 0 || layout->tstate_next < 8)
        return false;
    for (size_t i = 0; i < threads->found_count; i++) {
        const struct pyi_found *state = &threads->found[i], *before = state - 1,
                               *behind = state + 1;
        struct pyi_tracked *thread = state->thread;
        if (thread == NULL || !thread->planned || !thread->shown.alive)
            return false;
        const uint8_t *bytes =
            pyi_copy_at(&python->copy, thread->view.state, state->address, python->state_window);
        bool first = i == 0 || before->interp != state->interp;
        bool last = i + 1 == threads->found_count || behind->interp != state->interp;
        if (bytes == NULL ||
            pyi_load_u64(bytes + layout->tstate_interp) !=
                threads->interps[state->interp].address ||
            pyi_load_u64(bytes + layout->tstate_thread_id) != state->ident ||
            pyi_load_u64(bytes + layout->tstate_next - 8) != (first ? 0 : before->address) ||
            pyi_load_u64(bytes + layout->tstate_next) != (last ? 0 : behind->address))
            return false;
        if (state->unique != 0 && pyi_load_u64(bytes + layout->tstate_id) != state->unique)
            return false;
    }
    if (!note_generation(python))
        return false;
    for (size_t i = 0; i < threads->interp_count; i++)
        if (threads->interps[i].seen + 1 == python->round)
            threads->interps[i].seen = python->round;
    for (size_t i = 0; i < threads->found_count; i++)
        threads->found[i].thread->seen = python->round;
    return true;
}
