/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frames.c - walks the frames of CPython 3.11 and later inside a local copy.
 *
 * In: a thread, the copy of its thread state, data stack and other places its last sample used.
 * Out: the chain of frames as it stands there, top first. What the prediction missed is read and
 * remembered. Must not judge the chain beyond what walking needs: that is verify.c.
 */
#include "attach/cpython/frames.h"

#include "attach/cpython/object.h"
#include "attach/cpython/python2.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <string.h>

#define PAGE         4096u
#define SLACK        768u /* bytes read above the known top of the data stack */
#define TOP_FIRST    2048u
#define FRAME_WINDOW 256u
#define MAX_FETCHES  20000
#define CHECK_ROUNDS 4  /* rounds between two looks at code objects that are believed to stay */
#define HOT_ROUNDS   16 /* rounds for which a place that the moving part used is read each time */

/* Frame owners, Include/internal/pycore_frame.h (3.11) and pycore_interpframe_structs.h (3.14):
 * 0 thread, 1 generator, 2 frame object; 3 and 4 mark entries into the evaluator from C. */
enum { OWNER_GENERATOR = 1, OWNER_FRAME_OBJECT = 2, OWNER_C = 3, OWNER_LAST = 4 };

static int torn(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_TORN, "%s", what);
}

/* ---- plan ------------------------------------------------------------------------------------ */

static int plan_chunks(struct pyi_tracked *thread, struct pyi_copy *copy, struct pyi_error *err)
{
    thread->view.chunks = copy->count;
    for (size_t i = 0; i < thread->chunk_count; i++) {
        size_t used = thread->chunks[i].used;
        /* The part near the top is copied before the rest; below two pages one range is cheaper. */
        size_t first = i == 0 && used > 2 * PAGE ? used - PAGE - TOP_FIRST : 0;
        int rc = pyi_copy_add(copy, thread->chunks[i].address, used, first, NULL, err);
        if (rc != 0)
            return rc;
    }
    thread->view.chunk_count = thread->chunk_count;
    return 0;
}

/* The newest chunk from an address on, and when that is its start, the end of the one below. */
static int plan_top(struct pyi_tracked *thread, struct pyi_copy *copy, pyi_addr from,
                    struct pyi_error *err)
{
    struct pyi_view *view = &thread->view;
    const struct pyi_chunk *newest = &thread->chunks[0];
    size_t length;
    pyi_addr tail = pyi_join_tail(thread, from, &length);
    view->chunk_count = length > 0 ? 2 : 1;
    view->entire = from == newest->address && thread->chunk_count == 1;
    int rc =
        pyi_copy_add(copy, from, newest->used - (from - newest->address), 0, &view->chunks, err);
    return rc == 0 && length > 0 ? pyi_copy_add(copy, tail, length, 0, NULL, err) : rc;
}

/* A few code objects per sample are compared with what the cache holds. */
static int plan_checks(struct pyi_cpython *python, struct pyi_tracked *thread,
                       struct pyi_copy *copy, struct pyi_error *err)
{
    struct pyi_view *view = &thread->view;
    view->codes = copy->count;
    view->code_count = 0;
    /* While code objects come and go, those of the top frames are compared every time. */
    bool all = python->round < python->codes.cautious_until;
    bool told = pyi_has_field(python->layout.interp_code_generation);
    size_t wanted = all ? PYI_CHECKS_MAX : told || python->round % CHECK_ROUNDS != 0 ? 0 : 2;
    for (size_t i = 0; i < wanted && i < thread->last_count; i++) {
        size_t at = i == 0 || all ? i : thread->next_check++ % thread->last_count;
        struct pyi_code_entry *entry = thread->last[at].entry;
        int rc = pyi_copy_add(copy, entry->address, pyi_codes_window(python), 0, NULL, err);
        if (rc != 0)
            return rc;
        thread->checks[view->code_count++] = entry;
    }
    return 0;
}

int pyi_frames_plan(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_copy *copy,
                    bool whole, struct pyi_error *err)
{
    struct pyi_view *view = &thread->view;
    *view = (struct pyi_view){.copy = copy,
                              .state_again = PYI_NO_PIECE,
                              .state_latest = PYI_NO_PIECE,
                              .hint = PYI_NO_PIECE};
    pyi_addr from = 0;
    view->narrow = whole && copy == &python->copy && pyi_join_narrow(python, thread, &from);
    size_t window = !view->narrow && thread->window > python->state_window ? thread->window
                                                                           : python->state_window;
    int rc = pyi_copy_add(copy, thread->address, window, 0, &view->state, err);
    if (rc != 0 || !whole)
        return rc;
    rc = !view->narrow || python->heap_frames ? plan_chunks(thread, copy, err)
                                              : plan_top(thread, copy, from, err);
    uint32_t since = !view->narrow                    ? 0
                     : python->round > HOT_ROUNDS + 1 ? python->round - HOT_ROUNDS
                                                      : 1;
    if (rc == 0)
        rc = pyi_places_plan(&thread->places, since, copy, &view->places, &view->place_count, err);
    if (rc == 0 && !view->narrow)
        rc = pyi_copy_add(copy, thread->address, python->state_window, 0, &view->state_again, err);
    /* Objects come and go: last, because an unmapped range ends the call. */
    if (rc == 0)
        rc = pyi_places_plan(&thread->objects, 0, copy, &view->objects, &view->object_count, err);
    if (rc == 0)
        rc = plan_checks(python, thread, copy, err);
    return rc;
}

int pyi_frames_fetch(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                     size_t length, struct pyi_error *err)
{
    struct pyi_view *view = &thread->view;
    if (view->fetches++ >= MAX_FETCHES)
        return pyi_error_set(err, PYI_E_LIMIT, "too many frames in unexpected places");
    /* Bytes inside a page cost nothing, and the next frame of the chain is often there. */
    pyi_addr begin = address & ~(pyi_addr)(PAGE - 1);
    pyi_addr end = (address + length + PAGE - 1) & ~(pyi_addr)(PAGE - 1);
    if (end < begin || length > PYI_MAX_CHUNK)
        return torn(err, "frame address wraps around");
    int rc = pyi_copy_add(view->copy, thread->address, python->state_window, 0, &view->state_latest,
                          err);
    if (rc == 0)
        rc = pyi_copy_add(view->copy, begin, end - begin, 0, NULL, err);
    if (rc == 0)
        rc = pyi_copy_read(view->copy, python->memory, err);
    return rc;
}

/* ---- data stack ------------------------------------------------------------------------------ */

static size_t round_up_page(pyi_addr base, size_t used)
{
    pyi_addr end = (base + used + PAGE - 1) & ~(pyi_addr)(PAGE - 1);
    return end - base;
}

/* Takes the newest chunk over from the thread state; true when the copy covers it. */
static bool cover_newest(struct pyi_tracked *thread, pyi_addr chunk, size_t size, size_t used,
                         uint32_t round)
{
    size_t at = 0;
    while (at < thread->chunk_count && thread->chunks[at].address != chunk)
        at++;
    if (at == thread->chunk_count) {
        if (thread->chunk_count > 0)
            thread->chunks[0].used = thread->chunks[0].size; /* its mark of the top is read next */
        memmove(thread->chunks + 1, thread->chunks, thread->chunk_count * sizeof(*thread->chunks));
        thread->chunks[0] = (struct pyi_chunk){.address = chunk};
        thread->chunk_count++;
    } else if (at > 0) {
        memmove(thread->chunks, thread->chunks + at,
                (thread->chunk_count - at) * sizeof(*thread->chunks));
        thread->chunk_count -= at;
    }
    struct pyi_chunk *newest = &thread->chunks[0];
    bool covered = at == 0 && newest->used >= used && thread->chunk_count > 0;
    size_t want = round_up_page(chunk, used + SLACK);
    if (want > size)
        want = size;
    newest->size = size;
    /* The top goes up and down: keep the larger span for a while. */
    if (want >= newest->used || round >= thread->chunk_decay || newest->used > size) {
        newest->used = want;
        thread->chunk_decay = round + 256;
    }
    return covered;
}

/* Reads the headers of chunks below `at` that are not known. */
static int learn_lower(struct pyi_cpython *python, struct pyi_tracked *thread, size_t at,
                       pyi_addr chunk, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    thread->chunk_count = at;
    while (chunk != 0) {
        uint8_t header[64];
        if (thread->chunk_count >= PYI_MAX_CHUNKS || !pyi_addr_plausible(chunk) ||
            layout->chunk_data > sizeof(header))
            return torn(err, "data stack makes no sense");
        int rc = pyi_object_bytes(python, chunk, header, layout->chunk_data, err);
        if (rc != 0)
            return rc;
        uint64_t size = pyi_load_u64(header + layout->chunk_size_field);
        uint64_t top = pyi_load_u64(header + layout->chunk_top);
        if (size < layout->chunk_data || size > PYI_MAX_CHUNK || top > size / 8)
            return torn(err, "data-stack chunk of absurd size");
        if (!pyi_array_reserve(&thread->chunks, &thread->chunk_capacity, thread->chunk_count + 2,
                               sizeof(*thread->chunks)))
            return pyi_error_nomem(err);
        size_t used = layout->chunk_data + top * 8;
        thread->chunks[thread->chunk_count++] =
            (struct pyi_chunk){chunk, size, used < size ? used : size};
        chunk = pyi_load_u64(header + layout->chunk_previous);
    }
    return 0;
}

/* The lower chunks must be linked as predicted, and each read up to its own mark. */
static int cover_lower(struct pyi_cpython *python, struct pyi_tracked *thread, bool *covered,
                       struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    for (size_t i = 0; i < thread->chunk_count; i++) {
        const uint8_t *header = pyi_copy_at(thread->view.copy, thread->view.chunks + i,
                                            thread->chunks[i].address, layout->chunk_data);
        if (header == NULL) {
            *covered = false;
            return learn_lower(python, thread, i, thread->chunks[i].address, err);
        }
        pyi_addr below = pyi_load_u64(header + layout->chunk_previous);
        uint64_t top = pyi_load_u64(header + layout->chunk_top);
        if (i > 0) {
            if (top > PYI_MAX_CHUNK / 8)
                return torn(err, "data stack makes no sense");
            size_t used = layout->chunk_data + top * 8;
            if (used > thread->chunks[i].size)
                used = thread->chunks[i].size;
            if (used > thread->chunks[i].used)
                *covered = false;
            thread->chunks[i].used = used;
        }
        pyi_addr known = i + 1 < thread->chunk_count ? thread->chunks[i + 1].address : 0;
        if (below != known) {
            *covered = false;
            return learn_lower(python, thread, i + 1, below, err);
        }
    }
    return 0;
}

int pyi_frames_cover(struct pyi_cpython *python, struct pyi_tracked *thread, bool *covered,
                     struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const uint8_t *state =
        pyi_copy_at(thread->view.copy, thread->view.state, thread->address, python->state_window);
    *covered = true;
    if (state == NULL)
        return pyi_error_set(err, PYI_E_FAULT, "thread state not mapped");
    pyi_addr chunk = pyi_load_u64(state + layout->tstate_datastack_chunk);
    pyi_addr top = pyi_load_u64(state + layout->tstate_datastack_top);
    pyi_addr limit = pyi_load_u64(state + layout->tstate_datastack_limit);
    if (chunk == 0) {
        thread->chunk_count = 0; /* no Python code ran in this thread yet */
        return 0;
    }
    if (!pyi_addr_plausible(chunk) || limit < chunk + layout->chunk_data ||
        limit - chunk > PYI_MAX_CHUNK || top < chunk + layout->chunk_data || top > limit)
        return torn(err, "data stack makes no sense");
    if (!pyi_array_reserve(&thread->chunks, &thread->chunk_capacity, thread->chunk_count + 2,
                           sizeof(*thread->chunks)))
        return pyi_error_nomem(err);
    if (!cover_newest(thread, chunk, limit - chunk, top - chunk, python->round)) {
        /* The pieces no longer correspond to the chunks: whatever lies below a new chunk shows
         * itself in the next copy. */
        *covered = false;
        return 0;
    }
    return cover_lower(python, thread, covered, err);
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* Bytes of a frame or C-stack record; read now when the prediction did not have them. */
static int frame_bytes(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                       size_t length, uint8_t *into, uint32_t *chunk, struct pyi_error *err)
{
    struct pyi_view *view = &thread->view;
    size_t piece = 0;
    if (!pyi_addr_plausible(address))
        return torn(err, "frame at an impossible address");
    const uint8_t *bytes = pyi_view_find(view, address, length, &piece);
    if (bytes == NULL) {
        for (size_t i = 0; i < thread->chunk_count; i++)
            if (address >= thread->chunks[i].address &&
                address - thread->chunks[i].address < thread->chunks[i].size)
                return torn(err, "frame above the top of the data stack");
        int rc = pyi_frames_fetch(python, thread, address, length, err);
        if (rc != 0)
            return rc;
        bytes = pyi_view_find(view, address, length, &piece);
        if (bytes == NULL)
            return pyi_error_set(err, PYI_E_FAULT, "frame not mapped");
        if (address >= thread->address && address - thread->address < PAGE)
            thread->window = address - thread->address + length; /* 3.15: the base frame */
        else if (!pyi_places_use(&thread->places, address, (uint32_t)length, python->round))
            return pyi_error_nomem(err);
    }
    memcpy(into, bytes, length);
    bool inside = piece >= view->chunks && piece - view->chunks < view->chunk_count;
    if (!inside && piece != view->state) {
        if (view->narrow
                ? !pyi_places_heat(&thread->places, address, (uint32_t)length, python->round)
                : python->round % PYI_MARK_ROUNDS == 0 &&
                      !pyi_places_use(&thread->places, address, (uint32_t)length, python->round))
            return pyi_error_nomem(err);
    }
    *chunk = inside ? (uint32_t)(piece - view->chunks) + 1 : 0;
    return 0;
}

int pyi_frames_push(struct pyi_cpython *python, struct pyi_tracked *thread,
                    const struct pyi_frame *frame, bool *full, struct pyi_error *err)
{
    *full = thread->frame_count >= python->max_depth;
    if (*full) {
        thread->truncated = true;
        return 0;
    }
    if (!pyi_array_reserve(&thread->frames, &thread->frame_capacity, thread->frame_count + 1,
                           sizeof(*thread->frames)))
        return pyi_error_nomem(err);
    thread->frames[thread->frame_count++] = *frame;
    return 0;
}

/* Address of the top frame: in the thread state (3.13+) or behind a record on the C stack. */
static int find_head(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                     pyi_addr *head, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const uint8_t *bytes =
        pyi_copy_at(thread->view.copy, state, thread->address, python->state_window);
    if (bytes == NULL)
        return pyi_error_set(err, PYI_E_FAULT, "thread state not mapped");
    if (pyi_has_field(layout->tstate_current_frame)) {
        *head = pyi_load_u64(bytes + layout->tstate_current_frame);
        return 0;
    }
    /* 3.11, 3.12, Include/cpython/pystate.h: cframe lives in the evaluator's C frame. */
    pyi_addr record = pyi_load_u64(bytes + layout->tstate_cframe);
    uint8_t cframe[32];
    uint32_t chunk;
    size_t length = layout->cframe_current_frame + 8;
    if (length > sizeof(cframe))
        return torn(err, "layout of the C-stack record makes no sense");
    int rc = frame_bytes(python, thread, record, length, cframe, &chunk, err);
    if (rc == 0)
        *head = pyi_load_u64(cframe + layout->cframe_current_frame);
    return rc;
}

/* Brent's test for cycles: one address is kept, and renewed at doubling distances. */
struct cycle {
    pyi_addr kept;
    size_t steps, limit;
};

static bool cycle_seen(struct cycle *cycle, pyi_addr address)
{
    if (address == cycle->kept)
        return true;
    if (++cycle->steps >= cycle->limit) {
        cycle->kept = address;
        cycle->steps = 0;
        cycle->limit = cycle->limit * 2 + 8;
    }
    return false;
}

static pyi_addr first_local(const struct pyi_cpython *python, const uint8_t *bytes)
{
    uint64_t reference = pyi_load_u64(bytes + python->layout.iframe_localsplus);
    /* 3.14+, Include/internal/pycore_stackref.h: tag 3 is an integer, the value 1 is null. */
    if (python->minor >= 14 && (reference & 3) == 3)
        return 0;
    reference &= python->reference_mask;
    return pyi_addr_plausible(reference) ? reference : 0;
}

void pyi_frames_decode(const struct pyi_cpython *python, const uint8_t *bytes,
                       struct pyi_frame *frame)
{
    const struct pyi_layout *layout = &python->layout;
    frame->owner = bytes[layout->iframe_owner];
    frame->code = pyi_load_u64(bytes + layout->iframe_code) & python->reference_mask;
    frame->instruction = (int64_t)pyi_load_u64(bytes + layout->iframe_instr);
    frame->copy = pyi_has_field(layout->iframe_tlbc_index)
                      ? pyi_load_i32(bytes + layout->iframe_tlbc_index)
                      : 0;
    frame->slot = first_local(python, bytes);
    frame->from_c = pyi_has_field(layout->iframe_is_entry) && bytes[layout->iframe_is_entry] != 0;
    frame->previous = pyi_load_u64(bytes + layout->iframe_previous);
    /* 3.11-3.13, pycore_frame.h: the int `stacktop` is -1 while the evaluator holds the stack
     * pointer itself; 3.13 zeroes it when the frame is cleared (Python/frame.c). */
    int32_t top = python->minor <= 13 ? pyi_load_i32(bytes + layout->iframe_stacktop) : 1;
    frame->running = top == -1;
    frame->emptied = python->minor == 13 && top == 0;
    frame->function = python->minor == 11 ? pyi_load_u64(bytes) : 0; /* f_func comes first */
}

bool pyi_frames_peek(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                     struct pyi_frame *out)
{
    const struct pyi_view *view = &thread->view;
    size_t window = python->layout.iframe_localsplus + 8, piece = 0;
    if (!pyi_addr_plausible(address))
        return false;
    const uint8_t *bytes = pyi_view_find(&thread->view, address, window, &piece);
    if (bytes == NULL)
        return false;
    *out = (struct pyi_frame){.address = address};
    pyi_frames_decode(python, bytes, out);
    if (piece >= view->chunks && piece - view->chunks < view->chunk_count)
        out->chunk = (uint32_t)(piece - view->chunks) + 1;
    return true;
}

/* The outermost frame on the data stack stands where the stack begins: behind one word that keeps
 * the first chunk from being freed (push_chunk(), Python/pystate.c). A generator that was left
 * while its chain was copied has lost its link and ends it too early. */
static bool reaches_bottom(struct pyi_cpython *python, const struct pyi_tracked *thread,
                           size_t state)
{
    const struct pyi_layout *layout = &python->layout;
    if (thread->chunk_count == 0)
        return true;
    pyi_addr first = thread->chunks[thread->chunk_count - 1].address + layout->chunk_data + 8;
    for (size_t i = thread->frame_count; i-- > 0;)
        if (thread->frames[i].chunk != 0)
            return thread->frames[i].address <= first;
    const uint8_t *bytes =
        pyi_copy_at(thread->view.copy, state, thread->address, python->state_window);
    return bytes != NULL && pyi_load_u64(bytes + layout->tstate_datastack_top) <= first;
}

/* The last thing reached must be where every complete chain ends. */
static int check_end(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                     pyi_addr last, uint8_t owner, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    if (last == 0)
        return 0; /* no frames at all */
    if (pyi_has_field(layout->tstate_base_frame)) {
        const uint8_t *bytes =
            pyi_copy_at(thread->view.copy, state, thread->address, python->state_window);
        if (bytes == NULL || pyi_load_u64(bytes + layout->tstate_base_frame) != last)
            return torn(err, "chain does not reach the base frame");
        return 0;
    }
    if (!reaches_bottom(python, thread, state))
        return torn(err, "chain does not reach the bottom of the data stack");
    bool entry = python->minor >= 12
                     ? owner >= OWNER_C
                     : thread->frame_count > 0 && thread->frames[thread->frame_count - 1].from_c;
    return entry ? 0 : torn(err, "chain does not end at an entry from C");
}

/* When something was read during the walk, the stack must not have moved meanwhile. */
static int check_still(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                       struct pyi_error *err)
{
    const struct pyi_view *view = &thread->view;
    if (view->state_latest == PYI_NO_PIECE)
        return 0;
    const struct pyi_layout *layout = &python->layout;
    uint32_t head = pyi_has_field(layout->tstate_current_frame) ? layout->tstate_current_frame
                                                                : layout->tstate_cframe;
    const uint8_t *then = pyi_copy_at(view->copy, state, thread->address, python->state_window);
    const uint8_t *now =
        pyi_copy_at(view->copy, view->state_latest, thread->address, python->state_window);
    if (then == NULL || now == NULL || memcmp(then + head, now + head, 8) != 0 ||
        memcmp(then + layout->tstate_datastack_chunk, now + layout->tstate_datastack_chunk, 16) !=
            0)
        return torn(err, "the stack moved while more of it was read");
    return 0;
}

int pyi_frames_walk(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                    struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    size_t window = layout->iframe_localsplus + 8;
    struct cycle cycle = {.limit = 8};
    pyi_addr address = 0, last = 0;
    struct pyi_frame frame = {0};
    bool full = false;
    thread->frame_count = 0;
    thread->truncated = thread->from_shim = false;
    if (window > FRAME_WINDOW)
        return torn(err, "layout of frames makes no sense");
    int rc = find_head(python, thread, state, &address, err);
    while (rc == 0 && address != 0 && !full) {
        uint8_t bytes[FRAME_WINDOW];
        if (thread->view.narrow && pyi_join_stands(python, thread, address))
            return check_still(python, thread, state, err);
        if (cycle_seen(&cycle, address))
            return torn(err, "frames form a cycle");
        rc = frame_bytes(python, thread, address, window, bytes, &frame.chunk, err);
        if (rc != 0)
            return rc;
        frame.address = last = address;
        pyi_frames_decode(python, bytes, &frame);
        address = frame.previous;
        if (frame.owner > OWNER_LAST || frame.owner == OWNER_FRAME_OBJECT)
            return torn(err, "frame of an impossible owner");
        if (frame.owner >= OWNER_C) {
            if (thread->frame_count > 0)
                thread->frames[thread->frame_count - 1].from_c = true;
            else
                thread->from_shim = true;
            continue;
        }
        if (frame.code == 0 && python->minor >= 14) {
            /* 3.14+, Python/frame.c: a frame that returned has lost its code. It was the top, or
             * below it, when the thread state was copied; the stack now begins under it. */
            thread->frame_count = 0;
            thread->from_shim = false;
            continue;
        }
        if (!pyi_addr_plausible(frame.code))
            return torn(err, "frame without code");
        rc = pyi_frames_push(python, thread, &frame, &full, err);
    }
    if (rc == 0 && thread->view.narrow)
        return torn(err, "nothing of the last stack stands");
    if (rc == 0 && !full)
        rc = check_end(python, thread, state, last, frame.owner, err);
    if (rc == 0)
        rc = check_still(python, thread, state, err);
    return rc;
}

/* ---- class names ----------------------------------------------------------------------------- */

/* Header of an object: from the copy, or noted to be read (`*missing`). */
static int object_header(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr object,
                         const uint8_t **header, size_t *missing, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    size_t length =
        layout->cell_ref + 8 > layout->object_size ? layout->cell_ref + 8 : layout->object_size;
    *header = pyi_view_object(&thread->view, object, length);
    if (*header != NULL && python->round % PYI_MARK_ROUNDS != 0)
        return 0;
    if (!pyi_places_use(&thread->objects, object, (uint32_t)length, python->round))
        return pyi_error_nomem(err);
    if (*header != NULL)
        return 0;
    ++*missing;
    return pyi_copy_add(thread->view.copy, object, length, 0, NULL, err);
}

/* Up to 3.10 the slot of a captured parameter is null and its cell stands behind the locals. */
static int cell_of_frame(struct pyi_cpython *python, struct pyi_tracked *thread,
                         const struct pyi_frame *frame, pyi_addr *cell, struct pyi_error *err)
{
    size_t offset = python->layout.frameobject_localsplus + 8 * (size_t)frame->entry->cell_slot;
    const uint8_t *bytes = pyi_view_find(&thread->view, frame->address + offset, 8, NULL);
    if (bytes == NULL) {
        if (!pyi_places_use(&thread->places, frame->address, (uint32_t)offset + 8, python->round))
            return pyi_error_nomem(err);
        int rc = pyi_frames_fetch(python, thread, frame->address + offset, 8, err);
        if (rc != 0)
            return rc;
        bytes = pyi_view_find(&thread->view, frame->address + offset, 8, NULL);
    }
    if (bytes == NULL)
        return pyi_error_set(err, PYI_E_FAULT, "cell not mapped");
    *cell = pyi_load_u64(bytes);
    return 0;
}

/* The class name of one frame; unchanged and `*missing` raised when something must be read. */
static int class_of(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_frame *frame,
                    size_t *missing, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_class *type;
    const uint8_t *header;
    pyi_addr object = frame->slot;
    bool may_be_cell = frame->entry->first_is_cell;
    frame->class_name = 0;
    if (object == 0 && frame->entry->cell_slot >= 0) {
        int rc = cell_of_frame(python, thread, frame, &object, err);
        if (rc != 0)
            return rc;
        may_be_cell = true;
    }
    for (;;) {
        if (object == 0)
            return 0;
        if (!pyi_addr_plausible(object))
            return torn(err, "first local is no object");
        size_t before = *missing;
        int rc = object_header(python, thread, object, &header, missing, err);
        if (rc != 0 || *missing != before)
            return rc;
        pyi_addr next = pyi_load_u64(header + layout->cell_ref);
        rc = pyi_classes_get(python, pyi_load_u64(header + layout->object_type), &type, err);
        if (rc != 0)
            return rc;
        if (!may_be_cell || !type->is_cell)
            break;
        may_be_cell = false;
        object = next;
    }
    bool cls = frame->entry->first_local == PYI_FIRST_CLS;
    if (type->old_kind != PYI_OLD_NONE) {
        int rc = pyi_python2_class(python, object, cls, &type, err);
        if (rc != 0)
            return rc;
    }
    if (cls && !type->old_style) {
        if (!(type->flags & PYI_TYPE_IS_TYPE))
            return 0;
        int rc = pyi_classes_get(python, object, &type, err);
        if (rc != 0)
            return rc;
    }
    frame->class_name = pyi_class_number(type);
    return 0;
}

int pyi_frames_classes(struct pyi_cpython *python, struct pyi_tracked *thread,
                       struct pyi_error *err)
{
    /* Pass by pass: a captured self needs its cell before its object. */
    for (int pass = 0; pass < 3; pass++) {
        size_t missing = 0;
        for (size_t i = 0; i < thread->frame_count; i++) {
            struct pyi_frame *frame = &thread->frames[i];
            if (frame->hidden || frame->entry->first_local == PYI_FIRST_OTHER)
                continue;
            /* An unchanged frame still holds the object it held: looked at now and then. */
            if (frame->sure && python->round < thread->join.next_look)
                continue;
            int rc = class_of(python, thread, frame, &missing, err);
            if (rc != 0)
                return rc;
        }
        if (missing == 0)
            return 0;
        int rc = pyi_copy_read(thread->view.copy, python->memory, err);
        if (rc != 0)
            return rc;
    }
    return torn(err, "objects of first locals cannot be read");
}
