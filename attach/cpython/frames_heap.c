/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frames_heap.c - walks the frame objects of CPython 3.8 to 3.10 inside a local copy.
 *
 * In: a thread and the copy of the frame objects its last samples used. Out: the chain from
 * tstate.frame along f_back, top first. What is new is read page by page and remembered.
 */
#include "attach/cpython/frames.h"

#include "attach/cpython/object.h"
#include "src/base/error.h"
#include <string.h>

#define HEAP_WINDOW 512u

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
    if ((view->fetches != before || python->round % PYI_MARK_ROUNDS == 0) &&
        !pyi_places_use(&thread->places, address, (uint32_t)length, python->round))
        return pyi_error_nomem(err);
    memcpy(into, bytes, length);
    return 0;
}

/* f_executing (3.8, 3.9) or f_state == 0, FRAME_EXECUTING (3.10, Include/cpython/frameobject.h). */
static bool executing(const struct pyi_layout *layout, const uint8_t *bytes)
{
    if (pyi_has_field(layout->frameobject_state))
        return bytes[layout->frameobject_state] == 0;
    return bytes[layout->frameobject_executing] != 0;
}

/* Type and reference count tell a live frame object from a freed one. */
static int check_object(struct pyi_cpython *python, const uint8_t *bytes, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_class *type;
    if ((int64_t)pyi_load_u64(bytes + layout->object_refcnt) <= 0)
        return torn(err, "frame object is free");
    pyi_addr at = pyi_load_u64(bytes + layout->object_type);
    int rc = pyi_classes_get(python, at, &type, err);
    if (rc != 0)
        return rc;
    return type->is_frame ? 0 : torn(err, "not a frame object");
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
    size_t steps = 0, renew = 8;
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
        if (!executing(layout, bytes)) {
            /* The top frame is entered before it is marked and unmarked before it is left. */
            if (!top)
                return torn(err, "a caller is not executing");
            continue;
        }
        if (!pyi_addr_plausible(frame.code))
            return torn(err, "frame without code");
        rc = pyi_frames_push(python, thread, &frame, &full, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
