/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c - memory that is freed all at once.
 *
 * Blocks grow from 4 KiB to 1 MiB; what does not fit a block gets one of its own behind the
 * newest, so that the room left there stays in use.
 */
#include "src/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   16
#define FIRST_BLOCK 4096
#define LAST_BLOCK  (1024 * 1024)

struct pyi_arena_block {
    struct pyi_arena_block *next;
    size_t size;
    /* Room begins here, aligned because malloc aligns the struct and its size is 16. */
    _Alignas(ALIGNMENT) unsigned char room[];
};

static size_t next_block_size(const struct pyi_arena *arena)
{
    if (!arena->head)
        return FIRST_BLOCK;
    size_t size = arena->total < LAST_BLOCK ? arena->total : LAST_BLOCK;
    return size < FIRST_BLOCK ? FIRST_BLOCK : size;
}

static struct pyi_arena_block *new_block(struct pyi_arena *arena, size_t size)
{
    struct pyi_arena_block *block = calloc(1, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    arena->total += size;
    return block;
}

void *pyi_arena_alloc(struct pyi_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t need = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (need == 0)
        need = ALIGNMENT;
    if (arena->head && arena->head->size - arena->used >= need) {
        void *room = arena->head->room + arena->used;
        arena->used += need;
        return room;
    }
    size_t block_size = next_block_size(arena);
    if (arena->head && need > block_size / 4) {
        struct pyi_arena_block *own = new_block(arena, need);
        if (!own)
            return NULL;
        own->next = arena->head->next;
        arena->head->next = own;
        return own->room;
    }
    struct pyi_arena_block *block = new_block(arena, need > block_size ? need : block_size);
    if (!block)
        return NULL;
    block->next = arena->head;
    arena->head = block;
    arena->used = need;
    return block->room;
}

char *pyi_arena_copy(struct pyi_arena *arena, const void *bytes, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = pyi_arena_alloc(arena, length + 1);
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void pyi_arena_free(struct pyi_arena *arena)
{
    struct pyi_arena_block *block = arena->head;
    while (block) {
        struct pyi_arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct pyi_arena){0};
}
