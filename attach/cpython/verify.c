/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verify.c - structural checks: accept a walked chain, or look again.
 *
 * In: a chain of frames from one copy. Out: the stack as attach.h describes it, or LOST after the
 * last attempt. What a running program can tear apart is caught here: an instruction outside its
 * code, frames that do not join on the data stack. Proof of every single edge is not made yet, so
 * no stack is called verified. Must not know how the chain was found.
 */
#include "attach/cpython/verify.h"

#include "attach/cpython/frames.h"
#include "attach/cpython/leaf.h"
#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <string.h>

#define MAX_CORRECTIONS 8 /* re-reads for wrong predictions in one sample */

enum { OWNER_GENERATOR = 1 };

static int torn(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_TORN, "%s", what);
}

/* ---- code ------------------------------------------------------------------------------------ */

static bool same_frame(const struct pyi_frame *a, const struct pyi_frame *b)
{
    return a->address == b->address && a->code == b->code && a->instruction == b->instruction &&
           a->slot == b->slot && a->owner == b->owner && a->from_c == b->from_c;
}

/* Takes over from the last sample what holds still, counted from the outermost frame. */
static void reuse_last(struct pyi_tracked *thread)
{
    size_t n = thread->frame_count, m = thread->last_count;
    bool joined = true;
    for (size_t i = 1; i <= n; i++) {
        struct pyi_frame *frame = &thread->frames[n - i];
        const struct pyi_frame *old = i <= m ? &thread->last[m - i] : NULL;
        frame->entry = NULL;
        frame->sure = false;
        if (old == NULL || !same_frame(frame, old) || !old->entry->valid ||
            old->entry->version != old->entry_version) {
            joined = false;
            continue;
        }
        frame->entry = old->entry;
        frame->entry_version = old->entry_version;
        frame->line = old->line;
        frame->class_name = old->class_name;
        frame->hidden = old->hidden;
        frame->sure = joined;
    }
}

/* Code objects may have been freed and their addresses used again: compares the entries of this
 * chain that have not been looked at since, in one read. */
static int check_stale(struct pyi_cpython *python, struct pyi_tracked *thread,
                       struct pyi_error *err)
{
    struct pyi_copy *copy = thread->view.copy;
    size_t window = pyi_codes_window(python), first = copy->count, queued = 0;
    for (size_t i = 0; i < thread->frame_count; i++) {
        struct pyi_code_entry *entry = thread->frames[i].entry;
        if (!pyi_codes_stale(python, entry))
            continue;
        if (!pyi_array_reserve(&python->codes.pending, &python->codes.pending_capacity, queued + 1,
                               sizeof(*python->codes.pending)))
            return pyi_error_nomem(err);
        python->codes.pending[queued++] = entry;
        pyi_codes_fresh(python, entry); /* once per chain */
        int rc = pyi_copy_add(copy, entry->address, window, 0, NULL, err);
        if (rc != 0)
            return rc;
    }
    if (queued == 0)
        return 0;
    int rc = pyi_copy_read(copy, python->memory, err);
    for (size_t i = 0; i < queued; i++) {
        struct pyi_code_entry *entry = python->codes.pending[i];
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
        for (size_t i = 0; i < thread->frame_count; i++) {
            struct pyi_frame *frame = &thread->frames[i];
            if (frame->entry != NULL && frame->entry->valid &&
                frame->entry->version == frame->entry_version)
                continue;
            int rc = pyi_codes_get(python, frame->code, &frame->entry, err);
            if (rc != 0)
                return rc;
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
    int64_t offset = (int64_t)((uint64_t)frame->instruction - entry->start);
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

int pyi_verify_chain(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_error *err)
{
    for (size_t i = 0; i < thread->frame_count; i++) {
        struct pyi_frame *frame = &thread->frames[i];
        int rc = 0;
        if (python->heap_frames)
            rc = frame->sure ? 0 : check_heap_frame(python, frame, err);
        else if (!frame->sure)
            rc = check_frame(python, frame, err);
        if (rc == 0 && i > 0 && !python->heap_frames)
            rc = check_edge(&thread->frames[i - 1], frame, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- one sample ------------------------------------------------------------------------------ */

/* Compares the few code objects the plan added. */
static void apply_checks(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    struct pyi_view *view = &thread->view;
    for (size_t i = 0; i < view->code_count; i++) {
        struct pyi_code_entry *entry = thread->checks[i];
        const uint8_t *bytes =
            pyi_copy_at(view->copy, view->codes + i, entry->address, pyi_codes_window(python));
        if (bytes != NULL)
            pyi_codes_check(python, entry, bytes);
    }
    view->code_count = 0;
}

static int walk_from(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                     struct pyi_error *err)
{
    int rc = python->heap_frames ? pyi_frames_walk_heap(python, thread, state, err)
                                 : pyi_frames_walk(python, thread, state, err);
    if (rc == 0)
        rc = pyi_verify_codes(python, thread, err);
    if (rc == 0)
        rc = pyi_verify_chain(python, thread, err);
    if (rc == 0)
        rc = pyi_frames_classes(python, thread, err);
    return rc;
}

/* One copy, up to two walks. `*again`: the prediction was wrong and has been corrected. */
static int attempt(struct pyi_cpython *python, struct pyi_tracked *thread, bool *again,
                   struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_view *view = &thread->view;
    bool covered = true;
    const uint8_t *state =
        pyi_copy_at(view->copy, view->state, thread->address, python->state_window);
    *again = false;
    if (state == NULL)
        return pyi_error_set(err, PYI_E_FAULT, "thread state not mapped");
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

/* Writes the visible frames outermost first and compares with the last delivered stack. */
static int deliver(struct pyi_tracked *thread, struct pyi_stack *out, struct pyi_error *err)
{
    size_t depth = 0;
    if (!pyi_array_reserve(&thread->work, &thread->work_capacity, thread->frame_count + 2,
                           sizeof(*thread->work)))
        return pyi_error_nomem(err);
    for (size_t i = thread->frame_count; i > 0; i--) {
        const struct pyi_frame *frame = &thread->frames[i - 1];
        if (!frame->hidden)
            thread->work[depth++] = (struct pyi_stack_entry){
                .code = frame->entry->code, .line = frame->line, .class_name = frame->class_name};
    }
    if (thread->leaf != NULL)
        thread->work[depth++] = (struct pyi_stack_entry){.code = thread->leaf};
    size_t common = 0;
    while (common < depth && common < thread->depth &&
           thread->work[common].code == thread->entries[common].code &&
           thread->work[common].line == thread->entries[common].line &&
           thread->work[common].class_name == thread->entries[common].class_name)
        common++;
    bool same = thread->delivered && !thread->lost && common == depth && common == thread->depth;
    struct pyi_stack_entry *old = thread->entries;
    size_t capacity = thread->entry_capacity;
    thread->entries = thread->work;
    thread->entry_capacity = thread->work_capacity;
    thread->work = old;
    thread->work_capacity = capacity;
    thread->depth = depth;
    thread->delivered = true;
    out->status = same ? PYI_STACK_SAME : PYI_STACK_NEW;
    out->entries = thread->entries;
    out->depth = depth;
    out->common = common;
    out->truncated = thread->truncated;
    return 0;
}

/* The accepted walk becomes what the next one is compared with. */
static void remember(struct pyi_cpython *python, struct pyi_tracked *thread)
{
    struct pyi_frame *frames = thread->last;
    size_t capacity = thread->last_capacity;
    thread->last = thread->frames;
    thread->last_count = thread->frame_count;
    thread->last_capacity = thread->frame_capacity;
    thread->frames = frames;
    thread->frame_capacity = capacity;
    if (python->round % PYI_MARK_ROUNDS == 0 && python->round > PYI_FORGET_ROUNDS) {
        pyi_places_trim(&thread->places, python->round - PYI_FORGET_ROUNDS);
        pyi_places_trim(&thread->objects, python->round - PYI_FORGET_ROUNDS);
    }
}

int pyi_verify_sample(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_stack *out,
                      struct pyi_error *err)
{
    int rc = PYI_E_TORN, corrections = 0;
    uint8_t attempts = 0;
    bool read = thread->planned, second = false;
    if (read)
        thread->view.extras = thread->view.copy->count;
    *out = (struct pyi_stack){.thread = &thread->shown, .status = PYI_STACK_LOST};
    while (rc != 0 && attempts <= PYI_RETRIES) {
        bool again = false;
        if (!read) {
            rc = read_again(python, thread, err);
            if (pyi_is_fatal(rc))
                return rc;
        }
        read = false;
        rc = attempt(python, thread, &again, err);
        if (pyi_is_fatal(rc))
            return rc;
        second |= again || thread->view.copy->count != thread->view.extras;
        if (!again || ++corrections > MAX_CORRECTIONS)
            attempts++;
    }
    python->mispredicted += second;
    out->attempts = attempts;
    if (rc == 0) {
        rc = pyi_leaf_find(python, thread, &thread->leaf, err);
        if (rc != 0)
            return rc;
        rc = deliver(thread, out, err);
        thread->lost = false;
        if (rc == 0)
            remember(python, thread);
        return rc;
    }
    thread->lost = true;
    return 0;
}
