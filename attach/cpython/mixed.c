/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * mixed.c - native frames among the Python frames of one stack.
 *
 * In: an accepted walk, and whoever can tell the native frames of that thread at that instant. Out:
 * entries between the runs of Python frames. Must not know how native stacks are unwound.
 */
#include "attach/cpython/mixed.h"

bool pyi_mixed_begins_run(const struct pyi_cpython *python, const struct pyi_tracked *thread,
                          size_t i)
{
    return python->heap_frames || thread->frames[i].from_c || i + 1 == thread->frame_count;
}

int pyi_mixed_find(const struct pyi_cpython *python, const struct pyi_tracked *thread,
                   struct pyi_native_parts *parts, struct pyi_error *err)
{
    size_t runs = thread->from_shim; /* a loop that has no frame yet, or none any more */
    *parts = (struct pyi_native_parts){0};
    /* Without Python frames the stack stays empty: that is how a thread is known to have none. */
    if (python->stopping == NULL || python->stopping->native == NULL || thread->frame_count == 0)
        return 0;
    for (size_t i = 0; i < thread->frame_count; i++)
        runs += pyi_mixed_begins_run(python, thread, i);
    return python->stopping->native(python->stopping->context, runs, parts, err);
}

int pyi_mixed_put(struct pyi_cpython *python, struct pyi_tracked *thread,
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
