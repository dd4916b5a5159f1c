/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * native_state.h - what unwinding and merging share; private to attach/native/.
 */
#ifndef PYI_ATTACH_NATIVE_STATE_H
#define PYI_ATTACH_NATIVE_STATE_H

#include "attach/native/modules.h"
#include "attach/native/native.h"

struct unw_addr_space;

struct pyi_native {
    struct pyi_modules modules;
    struct unw_addr_space *space;
    uint32_t changes; /* of the modules, when libunwind's memory was last emptied */
    const struct pyi_module *table_module; /* whose table was read last */
    /* the copy */
    struct pyi_registers registers;
    uint64_t stack_at;
    uint8_t *stack;
    size_t stack_length;
    /* the result */
    struct pyi_native_frame *frames; /* innermost first */
    size_t frame_count, frame_capacity;
    struct pyi_native_frame *order; /* by part, outermost first */
    size_t *part_of, *ends;
    size_t order_capacity, part_of_capacity, ends_capacity;
};

/** Which part each of `count` frames (innermost first) belongs to, given which of them are
 *  evaluation loops: a number up to `runs`. Loops get SIZE_MAX. Pure; for merge.c and its test. */
void pyi_native_assign(const struct pyi_native_frame *frames, size_t count, bool complete,
                       size_t runs, size_t *part_of);

#endif
