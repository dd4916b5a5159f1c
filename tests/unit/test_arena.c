/* SPDX-License-Identifier: BSD-3-Clause */
/* test_arena.c - arenas and growing arrays. */
#include "src/base/arena.h"

#include "src/base/array.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct pyi_arena arena = {0};
    unsigned char *pieces[3000];
    size_t sizes[3000];
    for (size_t i = 0; i < 3000; i++) {
        sizes[i] = i % 97 == 0 ? 5000 + i : i % 61;
        pieces[i] = pyi_arena_alloc(&arena, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 251) + 1, sizes[i]);
    }
    for (size_t i = 0; i < 3000; i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], i % 251 + 1);
    }
    pyi_arena_free(&arena);
    assert_null(arena.head);
    assert_int_equal(arena.total, 0);
    pyi_arena_free(&arena);
}

static void copies_end_with_nul(void **state)
{
    struct pyi_arena arena = {0};
    char *copy = pyi_arena_copy(&arena, "a\0b", 3);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(pyi_arena_copy(&arena, NULL, 0), "");
    pyi_arena_free(&arena);
}

static void refuses_the_impossible(void **state)
{
    struct pyi_arena arena = {0};
    assert_null(pyi_arena_alloc(&arena, SIZE_MAX));
    assert_null(pyi_arena_alloc(&arena, SIZE_MAX / 2 + 1));
    assert_null(pyi_arena_copy(&arena, "", SIZE_MAX));
    assert_non_null(pyi_arena_alloc(&arena, 8));
    pyi_arena_free(&arena);
}

static void arrays_grow(void **state)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        assert_true(pyi_array_reserve(&items, &capacity, i + 1, sizeof(*items)));
        assert_true(capacity > i);
        items[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);
    uint32_t *before = items;
    assert_false(pyi_array_reserve(&items, &capacity, SIZE_MAX / 2, sizeof(*items)));
    assert_ptr_equal(items, before);
    assert_int_equal(items[9999], 9999);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(refuses_the_impossible),
        cmocka_unit_test(arrays_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
