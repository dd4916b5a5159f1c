/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verify.c - from a walked chain to the stack as it was copied: accept, cut, extend, or look again.
 *
 * In: a chain of frames from one copy. Out: the stack as attach.h describes it, or LOST after the
 * last attempt. The thread state that names the top is older than the copy of the stack; from 3.11
 * on the copied frames themselves say which of them was the top. What contradicts itself is torn:
 * an instruction outside its code, frames that do not join on the data stack. Whether the program
 * makes the calls that are left is the business of edges.c. Must not know how to walk a chain.
 */
#include "attach/cpython/verify.h"

#include "attach/cpython/frames.h"
#include "attach/cpython/deliver.h"
#include "attach/leaf/leaf.h"
#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <string.h>

#define MAX_CORRECTIONS 8 /* re-reads for wrong predictions in one sample */

#define MARKS_ENOUGH 32   /* moved samples after which the marks are judged ... */
#define MARKS_SHARE  4    /* one in so many must show the mark; 0.6 to 1 do where marks hold */
#define MARKS_MANY   1024 /* ... and after which older ones count half */
#define CHECK_MORE   32   /* code objects compared ahead of their time */
#define MAX_MORE     16   /* frames a stack grows by while it is copied */
#define MAX_PLACES   64   /* generators looked through for the callee of a frame */

/* Frame owners: see frames.c. */
enum { OWNER_GENERATOR = 1, OWNER_C = 3 };

static int torn(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_TORN, "%s", what);
}

/* ---- code ------------------------------------------------------------------------------------ */

static bool same_frame(const struct pyi_frame *a, const struct pyi_frame *b)
{
    return a->address == b->address && a->code == b->code && a->instruction == b->instruction &&
           a->slot == b->slot && a->copy == b->copy && a->owner == b->owner &&
           a->from_c == b->from_c;
}

/* Takes over from the last sample what holds still in frame `i`, counted from 1 at the outermost.
 * `*joined` while everything below holds still too. */
static void reuse_one(struct pyi_tracked *thread, struct pyi_frame *frame, size_t i, bool *joined)
{
    const struct pyi_frame *old =
        i <= thread->last_count ? &thread->last[thread->last_count - i] : NULL;
    frame->entry = NULL;
    frame->sure = false;
    if (old == NULL || !same_frame(frame, old) || !old->entry->valid ||
        old->entry->version != old->entry_version) {
        *joined = false;
        return;
    }
    frame->entry = old->entry;
    frame->entry_version = old->entry_version;
    frame->start = old->start;
    frame->line = old->line;
    frame->class_name = old->class_name;
    frame->hidden = old->hidden;
    frame->sure = *joined;
    frame->edge = old->edge;
}

static void reuse_last(struct pyi_tracked *thread)
{
    bool joined = true;
    for (size_t i = 1; i <= thread->frame_count; i++)
        reuse_one(thread, &thread->frames[thread->frame_count - i], i, &joined);
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* The stack ends below frame `i`, because of `rc`: what was above had returned, or was not there
 * yet, when the frames below were copied. Where stacks are not mended, or nothing is left, that
 * is the failure `rc`. */
static int cut_at(const struct pyi_cpython *python, struct pyi_tracked *thread, size_t i, int rc)
{
    if (!python->repair || pyi_is_fatal(rc) || rc == PYI_E_LIMIT || i + 1 >= thread->frame_count)
        return rc;
    thread->frame_count -= i + 1;
    thread->from_shim = false; /* if there was one, it was above what is gone */
    memmove(thread->frames, thread->frames + i + 1, thread->frame_count * sizeof(*thread->frames));
    return 0;
}

/* Notes that an entry is to be compared with the target in the next read. */
static int queue_check(struct pyi_cpython *python, struct pyi_copy *copy,
                       struct pyi_code_entry *entry, size_t *queued, struct pyi_error *err)
{
    if (!pyi_array_reserve(&python->codes.pending, &python->codes.pending_capacity, *queued + 1,
                           sizeof(*python->codes.pending)))
        return pyi_error_nomem(err);
    python->codes.pending[(*queued)++] = entry;
    pyi_codes_fresh(python, entry); /* once per chain */
    return pyi_copy_add(copy, entry->address, pyi_codes_window(python), 0, NULL, err);
}

/* Code objects may have been freed and their addresses used again: compares the entries of this
 * chain that have not been looked at since, in one read, and with them a few whose time is near. */
static int check_stale(struct pyi_cpython *python, struct pyi_tracked *thread,
                       struct pyi_error *err)
{
    struct pyi_copy *copy = thread->view.copy;
    struct pyi_code_entry *entry;
    size_t window = pyi_codes_window(python), first = copy->count, queued = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < thread->frame_count; i++)
        if (pyi_codes_stale(python, thread->frames[i].entry))
            rc = queue_check(python, copy, thread->frames[i].entry, &queued, err);
    if (rc != 0 || queued == 0)
        return rc;
    for (int i = 0; rc == 0 && i < CHECK_MORE && (entry = pyi_codes_ageing(python)) != NULL; i++)
        rc = queue_check(python, copy, entry, &queued, err);
    if (rc == 0)
        rc = pyi_copy_read(copy, python->memory, err);
    for (size_t i = 0; i < queued; i++) {
        entry = python->codes.pending[i];
        const uint8_t *bytes =
            rc == 0 ? pyi_copy_at(copy, first + i, entry->address, window) : NULL;
        if (bytes != NULL)
            pyi_codes_check(python, entry, bytes);
        else
            entry->valid = false;
    }
    return rc;
}

int pyi_verify_codes(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    reuse_last(thread);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = thread->frame_count; i-- > 0;) {
            struct pyi_frame *frame = &thread->frames[i];
            if (frame->entry != NULL && frame->entry->valid &&
                frame->entry->version == frame->entry_version)
                continue;
            int rc = pyi_codes_get(python, frame->code, &frame->entry, err);
            if (rc != 0) {
                rc = cut_at(python, thread, i, rc);
                if (rc != 0)
                    return rc;
                break;
            }
            frame->entry_version = frame->entry->version;
            frame->sure = false;
            frame->line = 0;
        }
        int rc = pass == 0 ? check_stale(python, thread, err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- structure ------------------------------------------------------------------------------- */

/* Up to 3.10: f_lasti is in bytes, in 3.10 in units of two. */
static int check_heap_frame(struct pyi_cpython *python, struct pyi_frame *frame,
                            struct pyi_error *err)
{
    int64_t offset = frame->instruction;
    if (python->minor == 10 && offset > 0)
        offset *= 2;
    if (offset < -1 || (uint64_t)(offset + 1) > frame->entry->length)
        return torn(err, "instruction outside its code");
    frame->hidden = false;
    frame->line = pyi_codes_line(frame->entry, offset);
    return 0;
}

static int check_frame(struct pyi_cpython *python, struct pyi_frame *frame, struct pyi_error *err)
{
    struct pyi_code_entry *entry = frame->entry;
    int rc = pyi_codes_start(python, entry, frame->copy, (pyi_addr)frame->instruction,
                             &frame->start, err);
    if (rc != 0)
        return rc;
    int64_t offset = (int64_t)((uint64_t)frame->instruction - frame->start);
    /* 3.11, 3.12: prev_instr stands one unit before the code until the first instruction. */
    int64_t least = python->minor <= 12 ? -2 : 0;
    if (offset < least || offset >= (int64_t)entry->length || offset % 2 != 0)
        return torn(err, "instruction outside its code");
    /* _PyFrame_IsIncomplete, Include/internal/pycore_frame.h. */
    frame->hidden = frame->owner != OWNER_GENERATOR && offset / 2 < entry->first_traceable;
    if (entry->code == NULL && !frame->hidden)
        return torn(err, "nameless code is executing");
    if (!frame->hidden)
        frame->line = pyi_codes_line(entry, offset);
    return 0;
}

/* Frames are allocated one behind the other on the data stack: a callee entered without C in
 * between begins exactly where its caller ends. Behind C code there may be a frame that is just
 * being built or taken down. */
static int check_edge(const struct pyi_frame *callee, const struct pyi_frame *caller,
                      struct pyi_error *err)
{
    if (callee->chunk == 0 || callee->chunk != caller->chunk)
        return 0;
    pyi_addr end = caller->address + 8 * (pyi_addr)caller->entry->frame_words;
    if (callee->from_c ? callee->address < end : callee->address != end)
        return torn(err, "frames do not join on the data stack");
    return 0;
}

/* 3.11-3.13: whether the frame had returned when it was copied; its bytes stay as they were. One
 * that is left by an exception stands anywhere and is not recognised here. */
static int check_popped(struct pyi_cpython *python, struct pyi_frame *frame, struct pyi_error *err)
{
    enum pyi_leaving leaving = PYI_LEAVING_NOT;
    frame->raises = false;
    if (python->minor > 13 || frame->running)
        return 0;
    if (frame->emptied && frame->entry->has_locals)
        return torn(err, "the frame returned");
    int rc =
        pyi_codes_leaving(python, frame->entry,
                          (int64_t)((uint64_t)frame->instruction - frame->start), &leaving, err);
    frame->raises = leaving == PYI_LEAVING_RAISES;
    return rc == 0 && leaving == PYI_LEAVING_RETURNS ? torn(err, "the frame returned") : rc;
}

/* One frame of 3.11+ upon its accepted caller, NULL for the outermost. */
static int check_one(struct pyi_cpython *python, struct pyi_frame *frame,
                     const struct pyi_frame *caller, struct pyi_error *err)
{
    int rc = frame->sure ? 0 : check_frame(python, frame, err);
    if (rc == 0 && caller != NULL)
        rc = check_edge(frame, caller, err);
    if (rc == 0 && python->repair)
        rc = check_popped(python, frame, err);
    return rc;
}

/* 3.11-3.13: a frame that waits for a Python function it called itself is never marked as running
 * and stands at no `raise`; and one that has not begun calls none (an internal trampoline never
 * begins). Such a frame was the top when it was copied, whatever links to it. */
static bool is_top(const struct pyi_frame *frame, const struct pyi_frame *callee)
{
    return !callee->from_c &&
           (frame->running || frame->raises || (frame->hidden && frame->entry->code != NULL));
}

/* Up to 3.10 a generator that is left has lost its link to the caller, so that a chain copied at
 * that moment ends there. One that C resumes with no frame below is believed the second time. */
static bool ends_early(const struct pyi_cpython *python, const struct pyi_tracked *thread)
{
    return python->heap_frames && !thread->view.narrow && !thread->lost && !thread->truncated &&
           thread->frame_count > 0 && thread->frames[thread->frame_count - 1].entry->is_generator;
}

int pyi_verify_chain(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    if (ends_early(python, thread))
        return torn(err, "the chain ends at a generator");
    for (size_t i = thread->frame_count; i-- > 0;) {
        struct pyi_frame *frame = &thread->frames[i];
        int rc = 0;
        if (!python->heap_frames)
            rc = check_one(python, frame, i + 1 < thread->frame_count ? frame + 1 : NULL, err);
        else if (!frame->sure)
            rc = check_heap_frame(python, frame, err);
        if (rc != 0)
            return cut_at(python, thread, i, rc);
        if (i > 0 && python->repair && is_top(frame, frame - 1))
            return cut_at(python, thread, i - 1, PYI_E_TORN);
    }
    return 0;
}

/* ---- extending ------------------------------------------------------------------------------- */

/* Whether a frame of the copy was called by `top`: directly, or from C code that `top` called;
 * then an entry record stands between them (3.12+; 3.11 marks the frame itself). */
static bool links_to(struct pyi_cpython *python, struct pyi_tracked *thread,
                     struct pyi_frame *frame, const struct pyi_frame *top)
{
    struct pyi_frame shim;
    if (frame->owner > OWNER_GENERATOR || !pyi_addr_plausible(frame->code))
        return false;
    if (frame->previous == top->address)
        return true;
    if (python->minor < 12 || !pyi_frames_peek(python, thread, frame->previous, &shim) ||
        shim.owner < OWNER_C || shim.previous != top->address)
        return false;
    frame->from_c = true;
    return true;
}

/* A frame that `top` called: where the next one on the data stack goes, at the start of the next
 * chunk, or one of the generators met before. `under`: the uppermost frame on the data stack. */
static bool find_callee(struct pyi_cpython *python, struct pyi_tracked *thread,
                        const struct pyi_frame *top, const struct pyi_frame *under,
                        struct pyi_frame *out)
{
    const struct pyi_places *places = &thread->places;
    size_t window = python->layout.iframe_localsplus + 8;
    if (under != NULL && under->entry != NULL) {
        pyi_addr slot = under->address + 8 * (pyi_addr)under->entry->frame_words;
        if (pyi_frames_peek(python, thread, slot, out) && links_to(python, thread, out, top))
            return true;
        if (under->chunk > 1 && under->chunk - 2 < thread->chunk_count) {
            slot = thread->chunks[under->chunk - 2].address + python->layout.chunk_data;
            if (pyi_frames_peek(python, thread, slot, out) && links_to(python, thread, out, top))
                return true;
        }
    }
    for (size_t i = 0; i < places->count && i < MAX_PLACES; i++)
        if (places->items[i].length >= window &&
            pyi_frames_peek(python, thread, places->items[i].address, out) &&
            out->owner == OWNER_GENERATOR && links_to(python, thread, out, top))
            return true;
    return false;
}

static const struct pyi_frame *on_data_stack(const struct pyi_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].chunk != 0)
            return &frames[i];
    return NULL;
}

/* The stack as it was copied may go on above the frame the thread state named: calls made while
 * it was being copied. 3.11-3.13: only as far as a frame that is marked as running. */
static int extend(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    struct pyi_frame more[MAX_MORE];
    size_t count = 0, good = 0;
    bool joined = thread->frames[0].sure;
    const struct pyi_frame *top = &thread->frames[0];
    const struct pyi_frame *under = on_data_stack(thread->frames, thread->frame_count);
    while (count < MAX_MORE) {
        struct pyi_frame *next = &more[count];
        if (!find_callee(python, thread, top, under, next) || is_top(top, next))
            break;
        reuse_one(thread, next, thread->frame_count + count + 1, &joined);
        int rc = next->entry != NULL ? 0 : pyi_codes_get(python, next->code, &next->entry, err);
        if (rc == 0) {
            next->entry_version = next->entry->version;
            rc = pyi_codes_stale(python, next->entry) ? PYI_E_TORN
                                                      : check_one(python, next, top, err);
        }
        if (pyi_is_fatal(rc))
            return rc;
        if (rc != 0)
            break;
        top = next;
        if (next->chunk != 0)
            under = next;
        count++;
        if (next->running || python->minor > 13)
            good = count;
    }
    if (good == 0)
        return 0;
    if (!pyi_array_reserve(&thread->frames, &thread->frame_capacity, thread->frame_count + good,
                           sizeof(*thread->frames)))
        return pyi_error_nomem(err);
    memmove(thread->frames + good, thread->frames, thread->frame_count * sizeof(*thread->frames));
    for (size_t i = 0; i < good; i++)
        thread->frames[i] = more[good - 1 - i];
    thread->frame_count += good;
    thread->from_shim = false;
    return 0;
}

/* The chain the thread state named cannot be walked. The frames of the last sample may still be
 * there: as far as they are, they are the lower part of the stack as it was copied. */
static int walk_last(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    size_t kept = 0, n = thread->last_count;
    if (!pyi_array_reserve(&thread->frames, &thread->frame_capacity, n + 1,
                           sizeof(*thread->frames)))
        return pyi_error_nomem(err);
    for (; kept < n; kept++) {
        const struct pyi_frame *old = &thread->last[n - 1 - kept];
        struct pyi_frame *frame = &thread->frames[n - 1 - kept];
        if (!pyi_frames_peek(python, thread, old->address, frame) || frame->code != old->code ||
            frame->owner != old->owner)
            break;
        bool linked = kept > 0 && links_to(python, thread, frame, frame + 1);
        /* The record between them may be gone already; the frames themselves are not. */
        if (!linked && frame->previous != old->previous)
            break;
        if (!linked)
            frame->from_c = old->from_c;
    }
    if (kept == 0)
        return torn(err, "nothing is left of the last stack");
    memmove(thread->frames, thread->frames + (n - kept), kept * sizeof(*thread->frames));
    thread->frame_count = kept;
    thread->from_shim = false;
    thread->truncated = thread->last_truncated;
    return 0;
}

/* ---- one sample ------------------------------------------------------------------------------ */

/* Compares the few code objects the plan added. False when one is another by now. */
static bool apply_checks(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    struct pyi_view *view = &thread->view;
    bool good = true;
    for (size_t i = 0; i < view->code_count; i++) {
        struct pyi_code_entry *entry = thread->checks[i];
        const uint8_t *bytes =
            pyi_copy_at(view->copy, view->codes + i, entry->address, pyi_codes_window(python));
        if (bytes != NULL)
            pyi_codes_check(python, entry, bytes);
        good &= entry->valid;
    }
    view->code_count = 0;
    return good;
}

/* Accepts what was walked, as far as it holds. */
static int settle(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    int rc = pyi_verify_codes(python, thread, err);
    if (rc == 0)
        rc = pyi_verify_chain(python, thread, err);
    if (rc == 0 && python->repair && thread->frame_count > 0)
        rc = extend(python, thread, err);
    if (rc == 0)
        rc = pyi_frames_classes(python, thread, err);
    if (rc == 0 && python->repair)
        rc = pyi_edges_prove(python, thread, err);
    return rc;
}

static int walk_from(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                     struct pyi_error *err)
{
    int rc = python->heap_frames ? pyi_frames_walk_heap(python, thread, state, err)
                                 : pyi_frames_walk(python, thread, state, err);
    return rc == 0 ? settle(python, thread, err) : rc;
}

/* As walk_from(), from what the last sample found. 3.11-3.13: the top must say that it runs, else
 * frames may be missing above it; at the last attempt that is what the stack's top is marked as.
 */
static int walk_again(struct pyi_cpython *python, struct pyi_tracked *thread, bool last,
                      struct pyi_error *err)
{
    int rc = walk_last(python, thread, err);
    if (rc == 0)
        rc = settle(python, thread, err);
    if (rc != 0 || python->minor > 13 || thread->frames[0].running)
        return rc;
    if (!last)
        return torn(err, "the top of the stack was not found");
    thread->frames[0].edge = PYI_EDGE_UNKNOWN;
    return 0;
}

/* One copy, up to three walks. `*again`: the prediction was wrong and has been corrected. */
static int attempt(struct pyi_cpython *python, struct pyi_tracked *thread, bool last, bool *again,
                   struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_view *view = &thread->view;
    bool covered = true;
    const uint8_t *state =
        pyi_copy_at(view->copy, view->state, thread->address, python->state_window);
    *again = false;
    if (state == NULL) {
        thread->window = 0; /* perhaps all but the base frame behind it is there */
        return pyi_error_set(err, PYI_E_FAULT, "thread state not mapped");
    }
    if (pyi_load_u64(state + layout->tstate_interp) !=
        python->threads.interps[thread->interp].address)
        return torn(err, "thread state of another interpreter");
    apply_checks(python, thread);
    if (!python->heap_frames) {
        int rc = pyi_frames_cover(python, thread, &covered, err);
        if (rc != 0)
            return rc;
        if (!covered) {
            *again = true;
            return PYI_E_TORN;
        }
    }
    int rc = walk_from(python, thread, view->state, err);
    /* The target moved between the copies of thread state and stack: the state as it was after
     * the stack was copied fits in most of these cases. */
    if (rc != 0 && !pyi_is_fatal(rc) && view->state_again != PYI_NO_PIECE)
        rc = walk_from(python, thread, view->state_again, err);
    if (rc != 0 && !pyi_is_fatal(rc) && python->repair && thread->last_count > 0)
        rc = walk_again(python, thread, last, err);
    return rc;
}

/* A narrow copy: what is new is checked upon the frame it stands on. `*again`: read the whole. */
static int attempt_narrow(struct pyi_cpython *python, struct pyi_tracked *thread, size_t *at,
                          bool *again, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_view *view = &thread->view;
    const uint8_t *state =
        pyi_copy_at(view->copy, view->state, thread->address, python->state_window);
    int rc = PYI_E_TORN;
    bool walked = true;
    *again = true;
    bool good = apply_checks(python, thread);
    if (good && state != NULL &&
        pyi_load_u64(state + layout->tstate_interp) ==
            python->threads.interps[thread->interp].address)
        rc = pyi_join_walk(python, thread, at, &walked, err);
    if (rc == 0) {
        size_t count = thread->last_count;
        uint32_t edge = thread->last[*at].edge;
        thread->last_count = *at + 1; /* both stacks end at the frame that stands */
        rc = settle(python, thread, err);
        thread->last_count = count;
        if (rc == 0)
            thread->frames[thread->frame_count - 1].edge = edge;
        /* See walk_again(). */
        if (rc == 0 && !walked && python->minor <= 13 && !thread->frames[0].running)
            rc = torn(err, "the top of the stack was not found");
    }
    if (rc == 0)
        *again = false;
    else if (!pyi_is_fatal(rc))
        pyi_join_missed(python, thread);
    return rc;
}

static int read_again(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    pyi_copy_reset(&python->again);
    int rc = pyi_frames_plan(python, thread, &python->again, true, err);
    if (rc == 0)
        rc = pyi_copy_read(&python->again, python->memory, err);
    thread->view.extras = python->again.count;
    return rc;
}

static bool shows_native(const struct pyi_cpython *python)
{
    return python->stopping != NULL && python->stopping->native != NULL;
}

/* Whether the marks hold in this build of the interpreter, watched all the time: where they do not,
 * stacks are only checked. A frame that holds still says nothing new. */
static void watch_marks(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    struct pyi_frame above;
    const struct pyi_frame *top = &thread->frames[0];
    if (!python->repair || thread->frame_count == 0 || top->sure)
        return;
    bool held = top->running;
    if (python->minor > 13) {
        if (top->chunk == 0 ||
            !pyi_frames_peek(python, thread, top->address + 8 * (pyi_addr)top->entry->frame_words,
                             &above))
            return;
        held = above.code == 0;
    }
    python->marks_seen++;
    python->marks_held += held;
    if (python->marks_seen < MARKS_ENOUGH)
        return;
    python->repair = MARKS_SHARE * python->marks_held >= python->marks_seen;
    if (python->marks_seen >= MARKS_MANY) {
        python->marks_seen /= 2;
        python->marks_held /= 2;
    }
}

/* Forgets places that no sample used for long. */
static void trim_places(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    if (python->round % PYI_MARK_ROUNDS != 0 || python->round <= PYI_KEEP_ROUNDS)
        return;
    bool narrow = thread->view.narrow;
    pyi_places_trim(&thread->places,
                    python->round - (narrow ? PYI_KEEP_ROUNDS : PYI_FORGET_ROUNDS));
    pyi_places_trim(&thread->objects, python->round - PYI_FORGET_ROUNDS);
}

/* Whether the thread stands elsewhere than at its last sample: `fresh` frames are new or were looked at
 * again, in the places of `gone` ones. */
static bool has_moved(const struct pyi_tracked *thread, size_t fresh, size_t gone)
{
    const struct pyi_frame *top = thread->frames, *then = thread->last;
    if (fresh != gone || fresh == 0)
        return fresh != gone;
    return top->address != then->address || top->code != then->code ||
           top->instruction != then->instruction;
}

/* An accepted walk becomes what the next one stands on, and is handed out. `at`: the part of the last
 * stack it stands on. */
static int keep(struct pyi_cpython *python, struct pyi_tracked *thread, size_t at,
                struct pyi_stack *out, struct pyi_error *err)
{
    bool narrow = thread->view.narrow;
    size_t fresh = thread->frame_count - narrow;
    thread->moved = has_moved(thread, fresh, narrow ? at : thread->last_count);
    int rc = narrow ? pyi_join_accept(python, thread, at, err)
                    : pyi_join_accept_whole(python, thread, err);
    if (rc != 0)
        return rc;
    thread->last_truncated = thread->truncated;
    rc = shows_native(python) ? pyi_deliver_mixed(python, thread, out, err)
                              : pyi_deliver(python, thread, fresh, out, err);
    thread->lost = false;
    trim_places(python, thread);
    return rc;
}

/* Attempts until a walk is accepted, with the C function on top of it. */
static int accept(struct pyi_cpython *python, struct pyi_tracked *thread, uint8_t *attempts,
                  size_t *at, struct pyi_error *err)
{
    int rc = PYI_E_TORN, corrections = 0;
    bool read = thread->planned, second = false;
    if (read)
        thread->view.extras = thread->view.copy->count;
    *attempts = 0;
    while (rc != 0 && *attempts <= PYI_RETRIES) {
        bool again = false;
        if (!read) {
            rc = read_again(python, thread, err);
            if (pyi_is_fatal(rc))
                return rc;
        }
        read = false;
        rc = thread->view.narrow ? attempt_narrow(python, thread, at, &again, err)
                                 : attempt(python, thread, *attempts == PYI_RETRIES, &again, err);
        if (pyi_is_fatal(rc))
            return rc;
        second |= again || thread->view.copy->count != thread->view.extras;
        if (!again || ++corrections > MAX_CORRECTIONS)
            ++*attempts;
    }
    python->mispredicted += second;
    if (rc != 0)
        return rc;
    watch_marks(python, thread);
    thread->leaf = NULL;
    return shows_native(python) ? 0 /* the native frames say it */
                                : pyi_leaf_find(python, thread, &thread->leaf, err);
}

/* The same while the thread stands still. What the structure of a moment did not allow, another
 * moment does. */
static int accept_stopped(struct pyi_cpython *python, struct pyi_tracked *thread, uint8_t *attempts,
                          size_t *at, struct pyi_error *err)
{
    const struct pyi_stopping *stopping = python->stopping;
    int rc = PYI_E_TORN;
    for (int i = 0; i <= PYI_RETRIES && rc != 0 && !pyi_is_fatal(rc); i++) {
        thread->planned = false;
        if (!stopping->stop(stopping->context, &thread->shown))
            return PYI_E_TORN;
        rc = accept(python, thread, attempts, at, err);
        stopping->resume(stopping->context);
        *attempts = (uint8_t)(i + 1);
    }
    return rc;
}

int pyi_verify_sample(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_stack *out,
                      struct pyi_error *err)
{
    uint8_t attempts = 0;
    size_t at = 0;
    *out = (struct pyi_stack){.thread = &thread->shown, .status = PYI_STACK_LOST};
    int rc = python->stopping != NULL ? accept_stopped(python, thread, &attempts, &at, err)
                                      : accept(python, thread, &attempts, &at, err);
    if (pyi_is_fatal(rc))
        return rc;
    out->attempts = attempts;
    if (rc == 0)
        return keep(python, thread, at, out, err);
    thread->lost = true;
    return 0;
}
