/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - what all memory back-ends have in common.
 *
 * Comes in: ranges of remote addresses. Goes out: bytes, counted and, when someone records,
 * shown to the tap. Must not know where the bytes come from.
 */
#include "attach/memory/memory.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"

#include <stdlib.h>
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

/* ---- pages ---- */

#define PAGE         4096u
#define PAGES_MAX    2048 /* 8 MiB; beyond that every read is made directly */
#define LOAD_AT_ONCE 256
#define LOAD_FAULTS  16 /* unmapped pages per load: each costs one more call */

struct pages {
    struct pyi_memory memory;
    struct pyi_memory *under;
    struct pyi_map slots; /* page address -> slot, ABSENT: not readable as a whole */
    uint8_t *bytes;
    size_t count, capacity;
};

#define ABSENT UINT64_MAX

/* Reads up to LOAD_AT_ONCE pages; `*done` gets how many are settled. */
static int load_vector(struct pages *pages, const pyi_addr *wanted, size_t count, size_t *done,
                       struct pyi_error *err)
{
    struct pyi_range ranges[LOAD_AT_ONCE];
    if (!pyi_array_reserve(&pages->bytes, &pages->capacity, (pages->count + count) * PAGE, 1))
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct pyi_range){
            .address = wanted[i], .length = PAGE, .into = pages->bytes + (pages->count + i) * PAGE};
    int code = pyi_memory_readv(pages->under, ranges, count, err);
    if (code < 0 && code != PYI_E_FAULT)
        return code;
    size_t whole = 0;
    while (whole < count && ranges[whole].got == PAGE)
        whole++;
    for (size_t i = 0; i < whole; i++)
        if (!pyi_map_put(&pages->slots, wanted[i], pages->count++))
            return pyi_error_nomem(err);
    if (whole < count && !pyi_map_put(&pages->slots, wanted[whole], ABSENT))
        return pyi_error_nomem(err);
    *done = whole < count ? whole + 1 : whole;
    return 0;
}

static int load_list(struct pages *pages, const pyi_addr *wanted, size_t count,
                     struct pyi_error *err)
{
    for (size_t i = 0, faults = 0; i < count && faults < LOAD_FAULTS;) {
        size_t done = 0, batch = count - i < LOAD_AT_ONCE ? count - i : LOAD_AT_ONCE;
        int code = load_vector(pages, wanted + i, batch, &done, err);
        if (code < 0)
            return code;
        uint64_t slot;
        faults += pyi_map_get(&pages->slots, wanted[i + done - 1], &slot) && slot == ABSENT;
        i += done;
    }
    return 0;
}

static int compare_addresses(const void *a, const void *b)
{
    const pyi_addr *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

int pyi_memory_load_pages(struct pyi_memory *memory, const pyi_addr *addresses, size_t count,
                          struct pyi_error *err)
{
    struct pages *pages = (struct pages *)memory;
    if (pages->under->tap || count == 0)
        return 0;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *wanted = malloc(count * sizeof(*wanted));
    if (!wanted)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        wanted[i] = addresses[i] & ~(pyi_addr)(PAGE - 1);
    qsort(wanted, count, sizeof(*wanted), compare_addresses);
    size_t kept = 0;
    uint64_t slot;
    for (size_t i = 0; i < count && pages->count + kept < PAGES_MAX; i++)
        if ((kept == 0 || wanted[i] != wanted[kept - 1]) &&
            !pyi_map_get(&pages->slots, wanted[i], &slot))
            wanted[kept++] = wanted[i];
    return load_list(pages, wanted, kept, err);
}

/* Local bytes of an address to the end of its page; NULL when the page cannot be had. */
static int find_page(struct pages *pages, pyi_addr address, const uint8_t **out,
                     struct pyi_error *err)
{
    pyi_addr page = address & ~(pyi_addr)(PAGE - 1);
    uint64_t slot;
    *out = NULL;
    if (!pyi_map_get(&pages->slots, page, &slot)) {
        int code = pyi_memory_load_pages(&pages->memory, &page, 1, err);
        if (code < 0)
            return code;
        if (!pyi_map_get(&pages->slots, page, &slot))
            return 0;
    }
    if (slot != ABSENT)
        *out = pages->bytes + slot * PAGE + (address - page);
    return 0;
}

static int read_range(struct pages *pages, struct pyi_range *range, struct pyi_error *err)
{
    while (range->got < range->length) {
        pyi_addr at = range->address + range->got;
        const uint8_t *bytes;
        int code = find_page(pages, at, &bytes, err);
        if (code < 0)
            return code;
        if (!bytes)
            return pyi_memory_readv(pages->under, range, 1, err);
        size_t length = PAGE - at % PAGE;
        if (length > range->length - range->got)
            length = range->length - range->got;
        memcpy((char *)range->into + range->got, bytes, length);
        range->got += length;
    }
    return 0;
}

static int pages_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                      struct pyi_error *err)
{
    struct pages *pages = (struct pages *)memory;
    if (pages->under->tap)
        return pyi_memory_readv(pages->under, ranges, count, err);
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *addresses = malloc(count * sizeof(*addresses));
    if (!addresses)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        addresses[i] = ranges[i].address;
    int code = count > 1 ? pyi_memory_load_pages(memory, addresses, count, err) : 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        code = read_range(pages, &ranges[i], err);
        if (ranges[i].got < ranges[i].length)
            break;
    }
    return code;
}

static void pages_close(struct pyi_memory *memory)
{
    struct pages *pages = (struct pages *)memory;
    pyi_map_deinit(&pages->slots);
    free(pages->bytes);
    free(pages);
}

static const struct pyi_memory_ops pages_ops = {
    .name = "pages",
    .read = pages_read,
    .close = pages_close,
};

struct pyi_memory *pyi_memory_new_pages(struct pyi_memory *under)
{
    struct pages *pages = calloc(1, sizeof(*pages));
    if (!pages)
        return NULL;
    pages->memory.ops = &pages_ops;
    pages->under = under;
    return &pages->memory;
}

void pyi_memory_forget_pages(struct pyi_memory *memory)
{
    struct pages *pages = (struct pages *)memory;
    pyi_map_clear(&pages->slots);
    pages->count = 0;
}
