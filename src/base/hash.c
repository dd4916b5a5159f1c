/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash.c - interned byte strings and maps from 64-bit keys.
 *
 * Both are open-addressed with linear probing and at most half full. The hash is multiply and
 * fold over 16 bytes at a time: a session file asks for one per stack element, so it has to
 * run at memory speed; it is no defence against chosen collisions, which only cost time.
 */
#include "src/base/hash.h"

#include "src/base/array.h"
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64

static inline uint64_t load64(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t pyi_hash_bytes(const void *bytes, size_t length)
{
    /* Odd constants with about half of their bits set; any such will do. */
    static const uint64_t k1 = 0x9e3779b97f4a7c15u, k2 = 0xc2b2ae3d27d4eb4fu,
                          k3 = 0xd6e8feb86659fd93u;
    const unsigned char *at = bytes;
    uint64_t hash = k3 ^ (length * k1);
    size_t left = length;
    for (; left >= 16; left -= 16, at += 16)
        hash = fold(load64(at) ^ k1 ^ hash, load64(at + 8) ^ k2);
    unsigned char tail[16] = {0};
    if (left)
        memcpy(tail, at, left);
    hash = fold(load64(tail) ^ k1 ^ hash, load64(tail + 8) ^ k2);
    return fold(hash ^ k2, k3);
}

/* ---- interned strings ---------------------------------------------------------------------- */

static uint32_t find_slot(const struct pyi_intern *intern, const void *bytes, size_t length,
                          uint64_t hash)
{
    size_t mask = intern->slot_count - 1;
    size_t slot = hash & mask;
    for (;; slot = (slot + 1) & mask) {
        uint32_t entry = intern->slots[slot];
        if (!entry)
            return (uint32_t)slot;
        if (intern->hashes[entry - 1] != hash)
            continue;
        const struct pyi_text *text = &intern->texts[entry - 1];
        if (text->length == length && (!length || memcmp(text->data, bytes, length) == 0))
            return (uint32_t)slot;
    }
}

static bool grow_slots(struct pyi_intern *intern)
{
    size_t wanted = intern->slot_count ? intern->slot_count * 2 : FIRST_SLOTS;
    /* Slot numbers and entries are 32 bits wide. */
    if (wanted > (size_t)1 << 31)
        return false;
    uint32_t *slots = calloc(wanted, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < intern->count; i++) {
        size_t slot = intern->hashes[i] & (wanted - 1);
        while (slots[slot])
            slot = (slot + 1) & (wanted - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(intern->slots);
    intern->slots = slots;
    intern->slot_count = wanted;
    return true;
}

uint32_t pyi_intern_find(const struct pyi_intern *intern, const void *bytes, size_t length)
{
    if (!intern->slot_count)
        return UINT32_MAX;
    uint32_t slot = find_slot(intern, bytes, length, pyi_hash_bytes(bytes, length));
    uint32_t entry = intern->slots[slot];
    return entry ? entry - 1 : UINT32_MAX;
}

uint32_t pyi_intern_add(struct pyi_intern *intern, const void *bytes, size_t length)
{
    uint64_t hash = pyi_hash_bytes(bytes, length);
    if (intern->slot_count) {
        uint32_t entry = intern->slots[find_slot(intern, bytes, length, hash)];
        if (entry)
            return entry - 1;
    }
    if (intern->count + 1 > intern->slot_count / 2 && !grow_slots(intern))
        return UINT32_MAX;
    if (!pyi_array_reserve(&intern->texts, &intern->capacity, intern->count + 1,
                           sizeof(*intern->texts)) ||
        !pyi_array_reserve(&intern->hashes, &intern->hash_capacity, intern->count + 1,
                           sizeof(*intern->hashes)))
        return UINT32_MAX;
    const char *copy = pyi_arena_copy(&intern->arena, bytes, length);
    if (!copy)
        return UINT32_MAX;
    uint32_t number = (uint32_t)intern->count++;
    intern->texts[number] = (struct pyi_text){copy, length};
    intern->hashes[number] = hash;
    intern->slots[find_slot(intern, bytes, length, hash)] = number + 1;
    return number;
}

void pyi_intern_deinit(struct pyi_intern *intern)
{
    pyi_arena_free(&intern->arena);
    free(intern->texts);
    free(intern->hashes);
    free(intern->slots);
    *intern = (struct pyi_intern){0};
}

/* ---- maps ---------------------------------------------------------------------------------- */

#define FREE_KEY UINT64_MAX

static inline size_t map_slot(const struct pyi_map *map, uint64_t key)
{
    size_t mask = map->slot_count - 1;
    size_t slot = fold(key ^ 0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u) & mask;
    while (map->keys[slot] != key && map->keys[slot] != FREE_KEY)
        slot = (slot + 1) & mask;
    return slot;
}

bool pyi_map_get(const struct pyi_map *map, uint64_t key, uint64_t *value)
{
    if (!map->count || key == FREE_KEY)
        return false;
    size_t slot = map_slot(map, key);
    if (map->keys[slot] == FREE_KEY)
        return false;
    *value = map->values[slot];
    return true;
}

static bool map_grow(struct pyi_map *map)
{
    size_t wanted = map->slot_count ? map->slot_count * 2 : FIRST_SLOTS;
    if (wanted > SIZE_MAX / 2 / sizeof(uint64_t))
        return false;
    uint64_t *keys = malloc(wanted * sizeof(*keys));
    uint64_t *values = malloc(wanted * sizeof(*values));
    if (!keys || !values) {
        free(keys);
        free(values);
        return false;
    }
    memset(keys, 0xff, wanted * sizeof(*keys));
    struct pyi_map grown = {keys, values, map->count, wanted};
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->keys[i] == FREE_KEY)
            continue;
        size_t slot = map_slot(&grown, map->keys[i]);
        keys[slot] = map->keys[i];
        values[slot] = map->values[i];
    }
    free(map->keys);
    free(map->values);
    *map = grown;
    return true;
}

bool pyi_map_put(struct pyi_map *map, uint64_t key, uint64_t value)
{
    if (key == FREE_KEY)
        return false;
    if (map->count + 1 > map->slot_count / 2 && !map_grow(map))
        return false;
    size_t slot = map_slot(map, key);
    if (map->keys[slot] == FREE_KEY) {
        map->keys[slot] = key;
        map->count++;
    }
    map->values[slot] = value;
    return true;
}

void pyi_map_clear(struct pyi_map *map)
{
    if (map->count)
        memset(map->keys, 0xff, map->slot_count * sizeof(*map->keys));
    map->count = 0;
}

void pyi_map_deinit(struct pyi_map *map)
{
    free(map->keys);
    free(map->values);
    *map = (struct pyi_map){0};
}
