/* SPDX-License-Identifier: BSD-3-Clause */
/* arena.h - memory that is freed all at once. */
#ifndef PYI_BASE_ARENA_H
#define PYI_BASE_ARENA_H

#include <stddef.h>

struct pyi_arena_block;
struct pyi_arena {
    struct pyi_arena_block *head; /* newest block; zero-initialise the struct */
    size_t used, total;           /* bytes in the newest block, bytes in all blocks */
};

/* Zeroed, 16-byte aligned, lives until pyi_arena_free(); NULL on lack of memory. */
void *pyi_arena_alloc(struct pyi_arena *arena, size_t size);
/* Copy of `length` bytes with a NUL behind. */
char *pyi_arena_copy(struct pyi_arena *arena, const void *bytes, size_t length);
void pyi_arena_free(struct pyi_arena *arena);

#endif
