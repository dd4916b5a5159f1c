/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * activity.c - the global lock, the collector and active exceptions.
 *
 * In: the round's copy. Out: per thread whether it holds the lock, whether it collects garbage,
 * whether an exception is active in it. The few words this takes lie in windows that are read
 * anyway, so it costs no call. Must not know what the scheduler thinks of a thread.
 */
#include "attach/cpython/activity.h"

#include "attach/cpython/object.h"
#include "attach/cpython/python.h"
#include "src/base/error.h"
#include <pthread.h>
#include <stdlib.h>

#define WINDOW_LIMIT 4096
#define LOCK_LIMIT   64
#define ITEMS_MAX    64 /* of a chain of handled exceptions that are looked at */

/* 3.11, Include/cpython/pystate.h: struct _err_stackitem is the exception, then the item below. */
#define ITEM_VALUE    0
#define ITEM_PREVIOUS 8
#define ITEM_SIZE     16

/* struct _gil_runtime_state, Include/internal/pycore_gil.h (3.8-3.15): behind `locked` the number
 * of switches, then what those who want the lock wait on, a condition and its mutex, and what a
 * thread that was told to give it up waits on until another has taken it, again two. */
#define SWITCHES_AT 8  /* from `locked` on */
#define WAIT_AT     16 /* the same */
#define WAIT_LENGTH (2 * (sizeof(pthread_cond_t) + sizeof(pthread_mutex_t)))

/* ---- the lock of an interpreter -------------------------------------------------------------- */

/* From the start of the record. */
static size_t lock_length(const struct pyi_layout *layout)
{
    return layout->gil_last_holder + PYI_LOCK_SIZE;
}

static bool lock_described(const struct pyi_layout *layout)
{
    return pyi_has_field(layout->gil_locked) && pyi_has_field(layout->gil_last_holder) &&
           layout->gil_locked == layout->gil_last_holder + 8 && lock_length(layout) <= LOCK_LIMIT;
}

/* Where the record is; 0 unknown. 3.12, Include/internal/pycore_interp.h: each interpreter points
 * to its own lock or to the one it shares. Before there is one, in the runtime. */
static pyi_addr find_lock(struct pyi_cpython *python, const struct pyi_interp *interp)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t record = 0;
    if (!lock_described(layout))
        return 0;
    if (pyi_has_field(layout->interp_ceval_gil)) {
        if (pyi_object_word(python, interp->address + layout->interp_ceval_gil, &record, NULL) != 0)
            return 0;
    } else if (pyi_has_field(layout->runtime_gil_last_holder)) {
        record =
            python->runtime.address + layout->runtime_gil_last_holder - layout->gil_last_holder;
    }
    return pyi_addr_plausible(record) ? record : 0;
}

/* An interpreter's own record lies a little behind what is read of it: one longer range costs less
 * than two. */
static void widen_window(struct pyi_cpython *python, const struct pyi_interp *interp)
{
    pyi_addr from = interp->address + python->interp_from;
    pyi_addr end = interp->lock + lock_length(&python->layout);
    if (interp->lock >= from && end - from <= WINDOW_LIMIT && end - from > python->interp_length)
        python->interp_length = end - from;
}

static bool in_windows(const struct pyi_cpython *python, const struct pyi_interp *interp)
{
    const struct pyi_threads *threads = &python->threads;
    size_t length = lock_length(&python->layout);
    pyi_addr runtime = python->runtime.address + python->layout.runtime_interpreters_head;
    pyi_addr own = interp->address + python->interp_from;
    return (threads->runtime_piece != PYI_NO_PIECE && interp->lock >= runtime &&
            interp->lock + length <= runtime + python->runtime_length) ||
           (interp->lock >= own && interp->lock + length <= own + python->interp_length);
}

int pyi_activity_plan(struct pyi_cpython *python, struct pyi_error *err)
{
    struct pyi_threads *threads = &python->threads;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < threads->interp_count; i++) {
        struct pyi_interp *interp = &threads->interps[i];
        interp->lock_piece = PYI_NO_PIECE;
        if (interp->piece == PYI_NO_PIECE || interp->lock == 0 || in_windows(python, interp))
            continue;
        for (size_t j = 0; j < i && interp->lock_piece == PYI_NO_PIECE; j++)
            if (threads->interps[j].lock == interp->lock)
                interp->lock_piece = threads->interps[j].lock_piece;
        if (interp->lock_piece == PYI_NO_PIECE)
            rc = pyi_copy_add(&python->copy, interp->lock, lock_length(&python->layout), 0,
                              &interp->lock_piece, err);
    }
    return rc;
}

static const uint8_t *lock_bytes(const struct pyi_cpython *python, const struct pyi_interp *interp)
{
    const struct pyi_threads *threads = &python->threads;
    size_t length = lock_length(&python->layout);
    const size_t pieces[] = {interp->lock_piece, interp->piece, threads->runtime_piece};
    const uint8_t *found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof(pieces) / sizeof(*pieces); i++)
        found = pyi_copy_at(&python->copy, pieces[i], interp->lock, length);
    /* The main interpreter's lock serves others too. */
    for (size_t i = 0; found == NULL && i < threads->interp_count; i++)
        if (threads->interps[i].seen == python->round)
            found = pyi_copy_at(&python->copy, threads->interps[i].piece, interp->lock, length);
    return found;
}

/* Free-threaded builds, pycore_gil.h: the record begins with `enabled`, and nobody holds a lock that
 * is switched off. */
static bool is_off(const struct pyi_layout *layout, const uint8_t *bytes)
{
    return layout->free_threaded && pyi_load_i32(bytes) == 0;
}

static void read_lock(const struct pyi_cpython *python, struct pyi_interp *interp)
{
    const struct pyi_layout *layout = &python->layout;
    const uint8_t *bytes = interp->lock != 0 ? lock_bytes(python, interp) : NULL;
    interp->lock_known = bytes != NULL && !is_off(layout, bytes);
    interp->lock_holder = 0;
    if (!interp->lock_known)
        return;
    /* 3.8-3.15, Python/ceval_gil.h and ceval_gil.c: `last_holder` stays after the release, so
     * `locked` decides; it is -1 before the lock is made. The number grows when another thread than
     * the last takes the lock. */
    interp->lock_last = pyi_load_u64(bytes + layout->gil_last_holder);
    interp->lock_switches = pyi_load_u64(bytes + layout->gil_locked + SWITCHES_AT);
    if (pyi_load_i32(bytes + layout->gil_locked) == 1)
        interp->lock_holder = interp->lock_last;
}

/* ---- the collector --------------------------------------------------------------------------- */

/* 3.8: gc.collecting of the runtime (Include/internal/pycore_pymem.h); 3.9+: of the interpreter
 * (pycore_interp.h). 3.15 notes the frame in which the collection began. */
static void read_collector(const struct pyi_cpython *python, struct pyi_interp *interp)
{
    const struct pyi_layout *layout = &python->layout;
    const uint8_t *flag = NULL, *frame = NULL;
    if (pyi_has_field(layout->interp_gc_collecting))
        flag = pyi_copy_at(&python->copy, interp->piece,
                           interp->address + layout->interp_gc_collecting, 4);
    else if (pyi_has_field(layout->runtime_gc_collecting))
        flag = pyi_copy_at(&python->copy, python->threads.runtime_piece,
                           python->runtime.address + layout->runtime_gc_collecting, 4);
    if (pyi_has_field(layout->interp_gc_frame))
        frame =
            pyi_copy_at(&python->copy, interp->piece, interp->address + layout->interp_gc_frame, 8);
    interp->collecting = flag != NULL && pyi_load_i32(flag) == 1;
    interp->gc_frame = frame != NULL ? pyi_load_u64(frame) : 0;
}

void pyi_activity_read(struct pyi_cpython *python)
{
    struct pyi_threads *threads = &python->threads;
    for (size_t i = 0; i < threads->interp_count; i++) {
        struct pyi_interp *interp = &threads->interps[i];
        if (interp->seen != python->round)
            continue;
        /* One that was away may be another at the same address. */
        if (interp->lock == 0 || interp->lock_round + 1 != python->round) {
            interp->lock = find_lock(python, interp);
            if (interp->lock != 0)
                widen_window(python, interp);
        }
        interp->lock_round = python->round;
        read_lock(python, interp);
        read_collector(python, interp);
    }
}

/* With a lock it is the holder that collects. While a finalizer or a callback of the collector
 * runs, that is what the thread is doing; only 3.15 tells: the frame that began the collection is
 * then not the current one any more (Python/gc.c: gcstate->frame). */
static bool collects(const struct pyi_cpython *python, const struct pyi_interp *interp,
                     const struct pyi_tracked *thread, const uint8_t *state)
{
    uint32_t field = python->layout.tstate_current_frame;
    if (!interp->collecting || interp->lock_holder != thread->address)
        return false;
    return interp->gc_frame == 0 || !pyi_has_field(field) ||
           pyi_load_u64(state + field) == interp->gc_frame;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

/* 3.11 and 3.12 leave None where no exception is handled. */
static bool is_none(struct pyi_cpython *python, pyi_addr object)
{
    const struct pyi_class *type;
    if (object == python->none && object != 0)
        return true;
    if (python->none != 0 || !pyi_addr_plausible(object) ||
        pyi_object_class(python, object, &type, NULL) != 0)
        return false;
    if (!pyi_text_equal(pyi_cpython_class_name(python, pyi_class_number(type)),
                        pyi_text("NoneType")))
        return false;
    python->none = object;
    return true;
}

/* One item of the chain, from the copy of the thread state when it lies there: only those of
 * generators lie elsewhere. */
static bool read_item(struct pyi_cpython *python, const struct pyi_view *view, pyi_addr at,
                      uint8_t into[ITEM_SIZE])
{
    const uint8_t *bytes = pyi_copy_at(view->copy, view->state, at, ITEM_SIZE);
    if (bytes != NULL) {
        memcpy(into, bytes, ITEM_SIZE);
        return true;
    }
    return pyi_addr_plausible(at) && pyi_object_bytes(python, at, into, ITEM_SIZE, NULL) == 0;
}

/* An exception on its way (3.12+ current_exception, 3.11 curexc_type), or one being handled: the
 * innermost item of exc_info that holds one, as sys.exc_info() finds it (3.11, Python/errors.c:
 * _PyErr_GetTopmostException()). */
static bool has_exception(struct pyi_cpython *python, const struct pyi_tracked *thread,
                          const uint8_t *state)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t item[ITEM_SIZE];
    if (!pyi_has_field(layout->tstate_current_exception) || !pyi_has_field(layout->tstate_exc_info))
        return false;
    if (pyi_load_u64(state + layout->tstate_current_exception) != 0)
        return true;
    pyi_addr at = pyi_load_u64(state + layout->tstate_exc_info);
    for (int i = 0; i < ITEMS_MAX && at != 0; i++) {
        if (!read_item(python, &thread->view, at, item))
            return false;
        pyi_addr value = pyi_load_u64(item + ITEM_VALUE);
        if (value != 0 && !is_none(python, value))
            return true;
        at = pyi_load_u64(item + ITEM_PREVIOUS);
    }
    return false;
}

/* ---- one thread ------------------------------------------------------------------------------ */

/* 3.15, Python/ceval_gil.c: take_gil() sets it for as long as it waits. */
static bool asks_for_lock(const struct pyi_cpython *python, const uint8_t *state)
{
    uint32_t field = python->layout.tstate_gil_requested;
    return pyi_has_field(field) && pyi_load_i32(state + field) == 1;
}

void pyi_activity_of(struct pyi_cpython *python, struct pyi_tracked *thread,
                     struct pyi_activity *out)
{
    const struct pyi_interp *interp = &python->threads.interps[thread->interp];
    const struct pyi_view *view = &thread->view;
    /* One that could not be stopped for its sample was not read at all. */
    const uint8_t *state = NULL;
    if (view->copy != NULL && !thread->lost)
        state = pyi_copy_at(view->copy, view->state, thread->address, python->state_window);
    *out = (struct pyi_activity){.moved = thread->moved, .lock_known = interp->lock_known};
    if (interp->lock_known) {
        out->holds_lock = interp->lock_holder == thread->address;
        out->held_last = interp->lock_last == thread->address;
        out->switches = interp->lock_switches;
        out->wait_from = interp->lock + python->layout.gil_locked + WAIT_AT;
        out->wait_to = out->wait_from + WAIT_LENGTH;
    }
    if (state == NULL)
        return;
    out->asks_for_lock = !out->holds_lock && asks_for_lock(python, state);
    out->collecting = !python->options.no_gc && collects(python, interp, thread, state);
    out->raising = python->options.exceptions && has_exception(python, thread, state);
}

const struct pyi_activity *pyi_cpython_activities(const struct pyi_cpython *python)
{
    return python->activities;
}

/* ---- asked for a few threads ----------------------------------------------------------------- */

void pyi_cpython_gil(struct pyi_cpython *python, const struct pyi_thread *const *threads,
                     size_t count, struct pyi_gil_facts *out)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_threads *all = &python->threads;
    uint8_t bytes[LOCK_LIMIT];
    pyi_addr lock = 0, holder = 0, current = 0;
    /* 2.7, 3.6, Python/pystate.c: who holds the lock; what others wait on is file-local. */
    const bool old = python->runtime.current != 0;
    const bool known = old && pyi_object_word(python, python->runtime.current, &current, NULL) == 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct pyi_gil_facts){0};
        if (threads[i]->index >= all->count)
            continue;
        const struct pyi_tracked *thread = all->items[threads[i]->index];
        if (old) {
            out[i].known = known;
            out[i].holder = known && current == thread->address;
            continue;
        }
        pyi_addr wanted = find_lock(python, &all->interps[thread->interp]);
        if (wanted == 0)
            continue;
        if (wanted != lock) {
            lock = 0;
            if (pyi_object_bytes(python, wanted, bytes, lock_length(layout), NULL) != 0 ||
                is_off(layout, bytes))
                continue;
            lock = wanted;
            holder = pyi_load_i32(bytes + layout->gil_locked) == 1
                         ? pyi_load_u64(bytes + layout->gil_last_holder)
                         : 0;
        }
        out[i].known = true;
        out[i].holder = holder == thread->address;
        out[i].wait_from = lock + layout->gil_locked + WAIT_AT;
        out[i].wait_to = out[i].wait_from + WAIT_LENGTH;
    }
}
