/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * deliver.c - from an accepted walk to the stack that is handed out, native frames in their places.
 *
 * In: an accepted walk, and, when asked, whoever can tell the native frames of that thread at that
 * instant. Out: entries, and how many of them are those of the last stack. Must not know how native
 * stacks are unwound.
 */
#include "attach/cpython/deliver.h"

#include "attach/cpython/code.h"
#include "src/base/array.h"
#include "src/base/error.h"

int pyi_deliver(const struct pyi_cpython *python, struct pyi_tracked *thread, size_t fresh,
                struct pyi_stack *out, struct pyi_error *err)
{
    const struct pyi_frame *ground = fresh < thread->last_count ? &thread->last[fresh] : NULL;
    size_t depth = ground != NULL ? ground->shown : 0, common = depth, old = thread->depth;
    uint32_t edge = ground != NULL ? ground->owed : 0;
    bool clean = ground == NULL || ground->clean, equal = true;
    if (!pyi_array_reserve(&thread->entries, &thread->entry_capacity, depth + fresh + 2,
                           sizeof(*thread->entries)))
        return pyi_error_nomem(err);
    out->verified = (python->repair || python->stopping != NULL) && clean;
    for (size_t i = fresh + (thread->leaf != NULL); i > 0; i--) {
        struct pyi_stack_entry entry = {.code = thread->leaf};
        if (i > (thread->leaf != NULL)) {
            struct pyi_frame *frame = &thread->last[i - 1 - (thread->leaf != NULL)];
            if (edge == 0)
                edge = frame->edge; /* of a frame that is not shown: counts for the next one */
            clean &= frame->edge == 0;
            frame->clean = clean;
            frame->shown = (uint32_t)(depth + !frame->hidden);
            frame->owed = frame->hidden ? edge : 0;
            if (frame->hidden)
                continue;
            out->verified &= edge == 0;
            entry = (struct pyi_stack_entry){.code = frame->entry->code,
                                             .line = frame->line,
                                             .class_name = frame->class_name,
                                             .edge = edge};
            edge = 0;
        }
        struct pyi_stack_entry *then = &thread->entries[depth];
        equal &= depth < old && then->code == entry.code && then->line == entry.line &&
                 then->class_name == entry.class_name;
        common += equal && common == depth && then->edge == entry.edge;
        *then = entry;
        depth++;
    }
    bool same = thread->delivered && !thread->lost && equal && depth == old;
    thread->depth = depth;
    thread->delivered = true;
    out->status = same ? PYI_STACK_SAME : PYI_STACK_NEW;
    out->entries = thread->entries;
    out->depth = depth;
    out->common = common;
    out->truncated = thread->truncated;
    return 0;
}

/* ---- native frames --------------------------------------------------------------------------- */

/* Whether frame `i` is the first (outermost) of a run: of the frames that one evaluation loop in C
 * runs. Up to 3.10 each frame has a loop of its own. */
static bool begins_run(const struct pyi_cpython *python, const struct pyi_tracked *thread, size_t i)
{
    return python->heap_frames || thread->frames[i].from_c || i + 1 == thread->frame_count;
}

static int find_parts(const struct pyi_cpython *python, const struct pyi_tracked *thread,
                      struct pyi_native_parts *parts, struct pyi_error *err)
{
    size_t runs = thread->from_shim; /* a loop that has no frame yet, or none any more */
    *parts = (struct pyi_native_parts){0};
    /* Without Python frames the stack stays empty: that is how a thread is known to have none. */
    if (python->stopping == NULL || python->stopping->native == NULL || thread->frame_count == 0)
        return 0;
    for (size_t i = 0; i < thread->frame_count; i++)
        runs += begins_run(python, thread, i);
    return python->stopping->native(python->stopping->context, runs, parts, err);
}

static int put_part(struct pyi_cpython *python, struct pyi_tracked *thread,
                    const struct pyi_native_parts *parts, size_t at, size_t *depth,
                    struct pyi_error *err)
{
    if (at >= parts->count)
        return 0;
    for (size_t i = at > 0 ? parts->ends[at - 1] : 0; i < parts->ends[at]; i++) {
        struct pyi_function *function = parts->frames[i].function;
        int rc = 0;
        if (function->code == NULL)
            rc = pyi_codes_share(python, function->name, function->path, 0, false, &function->code,
                                 err);
        if (rc != 0)
            return rc;
        thread->work[(*depth)++] = (struct pyi_stack_entry){.code = function->code, .native = true};
    }
    return 0;
}

/* Room for all, outermost first, native frames in their places. */
static int put_all(struct pyi_cpython *python, struct pyi_tracked *thread,
                   const struct pyi_native_parts *parts, size_t *depth, struct pyi_stack *out,
                   struct pyi_error *err)
{
    size_t run = 0;
    uint32_t edge = 0;
    int rc = 0;
    for (size_t i = thread->frame_count; rc == 0 && i > 0; i--) {
        const struct pyi_frame *frame = &thread->frames[i - 1];
        if (parts->count > 0 && begins_run(python, thread, i - 1))
            rc = put_part(python, thread, parts, run++, depth, err);
        if (edge == 0)
            edge = frame->edge; /* of a frame that is not shown: counts for the next one */
        if (rc != 0 || frame->hidden)
            continue;
        out->verified &= edge == 0;
        thread->work[(*depth)++] = (struct pyi_stack_entry){.code = frame->entry->code,
                                                            .line = frame->line,
                                                            .class_name = frame->class_name,
                                                            .edge = edge};
        edge = 0;
    }
    for (; rc == 0 && run < parts->count; run++)
        rc = put_part(python, thread, parts, run, depth, err);
    return rc;
}

static bool equal_entries(const struct pyi_stack_entry *a, const struct pyi_stack_entry *b)
{
    return a->code == b->code && a->line == b->line && a->class_name == b->class_name &&
           a->native == b->native;
}

int pyi_deliver_mixed(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_stack *out,
                      struct pyi_error *err)
{
    struct pyi_native_parts parts;
    size_t depth = 0, common = 0, equal = 0;
    int rc = find_parts(python, thread, &parts, err);
    size_t native = parts.count > 0 ? parts.ends[parts.count - 1] : 0;
    if (rc != 0)
        return rc;
    if (!pyi_array_reserve(&thread->work, &thread->work_capacity, thread->frame_count + native + 2,
                           sizeof(*thread->work)))
        return pyi_error_nomem(err);
    out->verified = true; /* as far as edges do not object: the thread stood still */
    rc = put_all(python, thread, &parts, &depth, out, err);
    if (rc != 0)
        return rc;
    for (; equal < depth && equal < thread->depth &&
           equal_entries(&thread->work[equal], &thread->entries[equal]);
         equal++)
        common += common == equal && thread->work[equal].edge == thread->entries[equal].edge;
    bool same = thread->delivered && !thread->lost && equal == depth && equal == thread->depth;
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
