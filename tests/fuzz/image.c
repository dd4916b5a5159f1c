/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.c - fuzz target: any bytes as a memory image.
 *
 * What opens must survive rounds (the second is predicted from the first), the questions about
 * variables and sys, and being closed; whatever comes out of a round must be within its own bounds.
 */
#include "attach/target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void take_variable(void *context, struct pyi_text name, struct pyi_text value)
{
    size_t *count = context;
    require(strlen(name.data) == name.length && strlen(value.data) == value.length);
    require(value.length < 8192 && ++*count <= 64);
}

static void look_inside(struct pyi_target *target, const struct pyi_round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct pyi_stack *stack = &round->stacks[i];
        struct pyi_thread_state state;
        pyi_target_states(target, &stack->thread, 1, &state);
        require(state.run == 0 && state.gil != PYI_GIL_WAITING); /* an image does not run */
        for (size_t k = 0; stack->status != PYI_STACK_LOST && k < stack->depth && k < 8; k++) {
            size_t count = 0;
            struct pyi_error err = {0};
            if (pyi_target_locals(target, stack->thread, k, take_variable, &count, &err) < 0)
                require(err.code < 0 && count == 0);
        }
    }
}

static void look_at(const struct pyi_target *target, const struct pyi_round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct pyi_stack *stack = &round->stacks[i];
        require(stack->thread && stack->thread->name.data);
        require(stack->common <= stack->depth || stack->status == PYI_STACK_LOST);
        for (size_t k = 0; stack->status != PYI_STACK_LOST && k < stack->depth; k++) {
            const struct pyi_stack_entry *entry = &stack->entries[k];
            require(entry->code && entry->code->name.data && entry->code->filename.data);
            require(entry->code->name.data[entry->code->name.length] == 0);
            if (entry->class_name)
                require(pyi_target_class_name(target, entry->class_name).data != NULL);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_target *target = NULL;
    struct pyi_error err = {0};
    struct pyi_target_options options = {.max_depth = 1000, .states = true, .exceptions = true};
    if (pyi_target_open_image_bytes(data, size, &options, &target, &err) < 0) {
        require(err.code < 0 && err.message[0]);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        struct pyi_round round = {0};
        if (pyi_target_round(target, &round, &err) == 0)
            look_at(target, &round);
        look_inside(target, &round);
    }
    const struct pyi_sysinfo *sysinfo;
    if (pyi_target_sysinfo(target, &sysinfo, &err) == 0)
        require(sysinfo->prefixes[0].data != NULL);
    pyi_target_close(target);
    return 0;
}
