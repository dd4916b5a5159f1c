/* SPDX-License-Identifier: BSD-3-Clause */
/* hash.h - interned byte strings and small maps from 64-bit keys. */
#ifndef PYI_BASE_HASH_H
#define PYI_BASE_HASH_H

#include "src/base/arena.h"
#include <pyinstrument/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t pyi_hash_bytes(const void *bytes, size_t length);

/* Byte strings numbered from 0 in order of first sight. Zero-initialise. */
struct pyi_intern {
    struct pyi_arena arena;
    struct pyi_text *texts; /* by number */
    uint64_t *hashes;
    uint32_t *slots; /* number + 1, 0 free */
    size_t count, capacity, hash_capacity, slot_count;
};

/* Number of the string, added when new; UINT32_MAX on lack of memory or too many. */
uint32_t pyi_intern_add(struct pyi_intern *intern, const void *bytes, size_t length);
/* Number of the string or UINT32_MAX. */
uint32_t pyi_intern_find(const struct pyi_intern *intern, const void *bytes, size_t length);
/* Borrowed until deinit; stable across later additions. */
static inline struct pyi_text pyi_intern_text(const struct pyi_intern *intern, uint32_t number)
{
    return intern->texts[number];
}
void pyi_intern_deinit(struct pyi_intern *intern);

/* uint64_t -> uint64_t, open addressing. Zero-initialise. Any key but UINT64_MAX. */
struct pyi_map {
    uint64_t *keys, *values;
    size_t count, slot_count;
};

bool pyi_map_get(const struct pyi_map *map, uint64_t key, uint64_t *value);
bool pyi_map_put(struct pyi_map *map, uint64_t key, uint64_t value); /* false: no memory */
void pyi_map_clear(struct pyi_map *map);                             /* keeps the slots */
void pyi_map_deinit(struct pyi_map *map);

#endif
