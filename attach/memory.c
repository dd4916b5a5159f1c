/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - what all memory back-ends have in common.
 *
 * Comes in: ranges of remote addresses. Goes out: bytes, counted and, when someone records,
 * shown to the tap. Must not know where the bytes come from.
 */
#include "attach/memory.h"
#include "src/base/error.h"

#include <string.h>

/* No structure of an interpreter is larger; a torn length must not make us allocate or wait. */
#define RANGE_MAX ((size_t)1 << 30)

static bool range_is_sane(const struct pyi_range *range)
{
    return range->length <= RANGE_MAX && range->address <= UINT64_MAX - range->length;
}

int pyi_memory_readv(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                     struct pyi_error *err)
{
    size_t sane = 0;
    while (sane < count && range_is_sane(&ranges[sane]))
        ranges[sane++].got = 0;
    for (size_t i = sane; i < count; i++)
        ranges[i].got = 0;

    int code = sane > 0 ? memory->ops->read(memory, ranges, sane, err) : 0;
    for (size_t i = 0; i < sane; i++) {
        if (ranges[i].got == 0)
            continue;
        memory->bytes += ranges[i].got;
        if (memory->tap)
            memory->tap(memory->tap_context, ranges[i].address, ranges[i].into, ranges[i].got);
    }
    return code;
}

int pyi_memory_read(struct pyi_memory *memory, pyi_addr address, void *into, size_t length,
                    struct pyi_error *err)
{
    struct pyi_range range = {.address = address, .length = length, .into = into};
    int code = pyi_memory_readv(memory, &range, 1, err);
    if (code < 0)
        return code;
    if (range.got != length)
        return pyi_error_set(err, PYI_E_FAULT, "%zu bytes at 0x%llx are not readable", length,
                             (unsigned long long)address);
    return 0;
}

void pyi_memory_close(struct pyi_memory *memory)
{
    if (memory)
        memory->ops->close(memory);
}

/* The targets are little-endian as we are: a 64-bit reader reads only its own machine's
 * processes. memcpy because a local copy may start anywhere. */
uint64_t pyi_load_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

uint32_t pyi_load_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

int32_t pyi_load_i32(const void *at)
{
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}
