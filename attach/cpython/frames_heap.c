/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frames_heap.c - walks the frame objects of CPython 2.7 to 3.10 inside a local copy.
 *
 * In: a thread and the copy of the frame objects its last samples used. Out: the chain from
 * tstate.frame along f_back, top first. What is new is read page by page and remembered.
 */
#include "attach/cpython/frames.h"

#include "attach/cpython/object.h"
#include "src/base/error.h"
#include <string.h>

#define HEAP_WINDOW   512u
#define MAX_DEAD      16 /* frames of a chain that may have returned while it was copied */
#define ANCHOR_FRAMES 2  /* callers and callees that must be as they were */
#define REMEMBER      64 /* frames near the top whose callers are looked up in the last sample */

static int torn(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_TORN, "%s", what);
}

static int frame_bytes(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                       size_t length, uint8_t *into, struct pyi_error *err)
{
    if (!pyi_addr_plausible(address))
        return torn(err, "frame at an impossible address");
    struct pyi_view *view = &thread->view;
    size_t before = view->fetches;
    const uint8_t *bytes = pyi_view_find(view, address, length, NULL);
    if (bytes == NULL) {
        int rc = pyi_frames_fetch(python, thread, address, length, err);
        if (rc != 0)
            return rc;
        bytes = pyi_view_find(view, address, length, NULL);
        if (bytes == NULL)
            return pyi_error_set(err, PYI_E_FAULT, "frame not mapped");
    }
    bool fetched = view->fetches != before;
    bool noted =
        view->narrow
            ? pyi_places_heat(&thread->places, address, (uint32_t)length, python->round)
            : (!fetched && python->round % PYI_MARK_ROUNDS != 0) ||
                  pyi_places_use(&thread->places, address, (uint32_t)length, python->round);
    if (!noted)
        return pyi_error_nomem(err);
    memcpy(into, bytes, length);
    return 0;
}

/* f_executing (3.6 to 3.9) or f_state == 0, FRAME_EXECUTING (3.10, Include/cpython/frameobject.h).
 * 2.7 has neither, but clears f_stacktop while the evaluator holds it (Python/ceval.c). */
static bool executing(const struct pyi_layout *layout, const uint8_t *bytes)
{
    if (pyi_has_field(layout->frameobject_state))
        return bytes[layout->frameobject_state] == 0;
    if (!pyi_has_field(layout->frameobject_executing))
        return pyi_load_u64(bytes + layout->frameobject_stacktop) == 0;
    return bytes[layout->frameobject_executing] != 0;
}

/* A frame object by its type; a freed one still looks like one. */
static int check_object(struct pyi_cpython *python, const uint8_t *bytes, struct pyi_error *err)
{
    const struct pyi_class *type;
    pyi_addr at = pyi_load_u64(bytes + python->layout.object_type);
    int rc = pyi_classes_get(python, at, &type, err);
    if (rc != 0)
        return rc;
    return type->is_frame ? 0 : torn(err, "not a frame object");
}

/* The caller a frame object had in the last accepted sample, 0 unknown. */
static pyi_addr remembered_back(const struct pyi_tracked *thread, const struct pyi_frame *frame)
{
    for (size_t i = 0; i + 1 < thread->last_count && i < REMEMBER; i++)
        if (thread->last[i].address == frame->address && thread->last[i].code == frame->code)
            return thread->last[i + 1].address;
    return 0;
}

/* The frame returned between the reading of the thread state and of the frame: it was in the
 * stack when the thread state said so. Its link to the caller is cleared when it is freed
 * (frame_dealloc, Objects/frameobject.c), then the last sample may still know it. */
static int bring_back(struct pyi_tracked *thread, struct pyi_frame *frame, pyi_addr *back,
                      size_t *dead, struct pyi_error *err)
{
    if (++*dead > MAX_DEAD)
        return torn(err, "too many frames are not executing");
    if (*back == 0)
        *back = remembered_back(thread, frame);
    return *back != 0 ? 0 : torn(err, "a frame that returned has no caller");
}

/* Whether this frame and the one above it are as they were in the last sample, one calling the
 * other. What is below them is believed for some rounds, see join.c. */
static bool is_ground(struct pyi_tracked *thread, const struct pyi_frame *frame, pyi_addr back,
                      size_t *at, size_t *matched)
{
    size_t from = *at;
    while (from < thread->last_count && from < *at + REMEMBER &&
           thread->last[from].address != frame->address)
        from++;
    if (from + 1 >= thread->last_count || from >= *at + REMEMBER) {
        *matched = 0;
        return false;
    }
    const struct pyi_frame *then = &thread->last[from];
    bool same = then->code == frame->code && then->instruction == frame->instruction &&
                then->slot == frame->slot && then[1].address == back;
    *matched = !same ? 0 : from == *at ? *matched + 1 : 1;
    thread->join.at = from;
    *at = from + 1;
    return *matched >= ANCHOR_FRAMES;
}

int pyi_frames_walk_heap(struct pyi_cpython *python, struct pyi_tracked *thread, size_t state,
                         struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    size_t window = layout->frameobject_localsplus + 8;
    const uint8_t *start =
        pyi_copy_at(thread->view.copy, state, thread->address, python->state_window);
    if (start == NULL)
        return pyi_error_set(err, PYI_E_FAULT, "thread state not mapped");
    if (window > HEAP_WINDOW)
        return torn(err, "layout of frames makes no sense");
    pyi_addr address = pyi_load_u64(start + layout->tstate_frame), kept = 0;
    size_t steps = 0, renew = 8, dead = 0, at = 0, matched = 0;
    bool full = false;
    thread->frame_count = 0;
    thread->truncated = false;
    for (bool top = true; address != 0 && !full; top = false) {
        uint8_t bytes[HEAP_WINDOW];
        if (address == kept)
            return torn(err, "frames form a cycle");
        if (++steps >= renew) {
            kept = address;
            steps = 0;
            renew = renew * 2 + 8;
        }
        int rc = frame_bytes(python, thread, address, window, bytes, err);
        if (rc == 0)
            rc = check_object(python, bytes, err);
        if (rc != 0)
            return rc;
        struct pyi_frame frame = {
            .address = address,
            .code = pyi_load_u64(bytes + layout->frameobject_code),
            .instruction = pyi_load_i32(bytes + layout->frameobject_lasti),
            .slot = pyi_load_u64(bytes + layout->frameobject_localsplus),
        };
        address = pyi_load_u64(bytes + layout->frameobject_back);
        bool live = (int64_t)pyi_load_u64(bytes + layout->object_refcnt) > 0;
        if (!live || !executing(layout, bytes)) {
            /* A frame is entered before it is marked as executing. */
            if (top && live && frame.instruction < 0)
                continue;
            rc = bring_back(thread, &frame, &address, &dead, err);
            if (rc != 0)
                return rc;
        }
        if (!pyi_addr_plausible(frame.code))
            return torn(err, "frame without code");
        if (thread->view.narrow && is_ground(thread, &frame, address, &at, &matched))
            return 0;
        rc = pyi_frames_push(python, thread, &frame, &full, err);
        if (rc != 0)
            return rc;
    }
    if (thread->view.narrow)
        return torn(err, "nothing of the last stack stands");
    return 0;
}
