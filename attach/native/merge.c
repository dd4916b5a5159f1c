/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * merge.c - where the Python frames belong among the native ones.
 *
 * In: a native stack in which the interpreter's evaluation loops are known, and how many runs of
 * Python frames there are. A run is what one loop executes: one frame up to 3.10, from 3.11 on a
 * frame entered from C and all that were called from it without leaving the loop. Out: the native
 * frames cut into parts between the runs.
 */
#include "attach/native/native.h"

#include "attach/native/native_state.h"
#include "src/base/array.h"
#include "src/base/error.h"

void pyi_native_assign(const struct pyi_native_frame *frames, size_t count, bool complete,
                       size_t runs, size_t *part_of)
{
    size_t loops = 0, passed = 0, part = runs;
    for (size_t i = 0; i < count; i++)
        loops += frames[i].function->loop;
    /* A whole stack is counted from its outermost end: a loop more than there are runs is one
     * that has not taken its first frame over yet, or has given its last one back. A stack that
     * was cut can only be counted from the top. */
    for (size_t i = 0; i < count; i++) {
        part_of[i] = part;
        if (!frames[i].function->loop)
            continue;
        part_of[i] = SIZE_MAX;
        passed++;
        size_t left = complete ? loops - passed : runs > passed ? runs - passed : 0;
        if (left < part)
            part = left;
    }
}

int pyi_native_merge(struct pyi_native *native, size_t runs, struct pyi_native_parts *out,
                     struct pyi_error *err)
{
    const struct pyi_native_frame *frames;
    size_t count, used = 0;
    bool complete;
    int code = pyi_native_unwind(native, &frames, &count, &complete, err);
    if (code < 0)
        return code;
    if (!pyi_array_reserve(&native->order, &native->order_capacity, count + 1,
                           sizeof(*native->order)) ||
        !pyi_array_reserve(&native->part_of, &native->part_of_capacity, count + 1,
                           sizeof(*native->part_of)) ||
        !pyi_array_reserve(&native->ends, &native->ends_capacity, runs + 1, sizeof(*native->ends)))
        return pyi_error_nomem(err);
    pyi_native_assign(frames, count, complete, runs, native->part_of);
    /* Parts grow towards the top, frames are listed from the top: one pass backwards. */
    size_t part = 0;
    for (size_t i = count; i-- > 0;) {
        if (native->part_of[i] == SIZE_MAX)
            continue;
        while (part < native->part_of[i])
            native->ends[part++] = used;
        native->order[used++] = frames[i];
    }
    while (part <= runs)
        native->ends[part++] = used;
    *out = (struct pyi_native_parts){native->order, native->ends, runs + 1};
    return 0;
}
