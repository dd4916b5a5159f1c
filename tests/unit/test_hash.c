/* SPDX-License-Identifier: BSD-3-Clause */
/* test_hash.c - interned strings and maps. */
#include "src/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void numbers_strings(void **state)
{
    struct pyi_intern intern = {0};
    char text[32];
    assert_int_equal(pyi_intern_find(&intern, "x", 1), UINT32_MAX);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 20000; i++) {
            int length = snprintf(text, sizeof(text), "frame %u of many", i);
            assert_int_equal(pyi_intern_add(&intern, text, (size_t)length), i);
        }
    }
    assert_int_equal(intern.count, 20000);
    for (uint32_t i = 0; i < 20000; i++) {
        int length = snprintf(text, sizeof(text), "frame %u of many", i);
        struct pyi_text kept = pyi_intern_text(&intern, i);
        assert_int_equal(kept.length, length);
        assert_memory_equal(kept.data, text, (size_t)length + 1);
        assert_int_equal(pyi_intern_find(&intern, text, (size_t)length), i);
    }
    assert_int_equal(pyi_intern_find(&intern, "frame", 5), UINT32_MAX);
    pyi_intern_deinit(&intern);
}

static void tells_bytes_apart(void **state)
{
    struct pyi_intern intern = {0};
    assert_int_equal(pyi_intern_add(&intern, "", 0), 0);
    assert_int_equal(pyi_intern_add(&intern, "\0", 1), 1);
    assert_int_equal(pyi_intern_add(&intern, "\0\0", 2), 2);
    assert_int_equal(pyi_intern_add(&intern, "a\0b", 3), 3);
    assert_int_equal(pyi_intern_add(&intern, "a\0c", 3), 4);
    assert_int_equal(pyi_intern_add(&intern, "", 0), 0);
    pyi_intern_deinit(&intern);
}

/* Every bit of the input must be able to change the low bits, which choose the slot. */
static void hash_depends_on_every_bit(void **state)
{
    for (size_t length = 1; length <= 40; length++) {
        unsigned char bytes[40] = {0};
        uint64_t plain = pyi_hash_bytes(bytes, length);
        assert_true(plain != pyi_hash_bytes(bytes, length - 1));
        for (size_t bit = 0; bit < length * 8; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_true((uint32_t)pyi_hash_bytes(bytes, length) != (uint32_t)plain);
            bytes[bit / 8] = 0;
        }
    }
}

static void maps_keys(void **state)
{
    struct pyi_map map = {0};
    uint64_t value = 7;
    assert_false(pyi_map_get(&map, 1, &value));
    for (uint64_t i = 0; i < 20000; i++)
        assert_true(pyi_map_put(&map, i << 12, i));
    assert_true(pyi_map_put(&map, 0, 99));
    assert_false(pyi_map_put(&map, UINT64_MAX, 1));
    assert_int_equal(map.count, 20000);
    for (uint64_t i = 0; i < 20000; i++) {
        assert_true(pyi_map_get(&map, i << 12, &value));
        assert_int_equal(value, i ? i : 99);
        assert_false(pyi_map_get(&map, (i << 12) + 1, &value));
    }
    assert_false(pyi_map_get(&map, UINT64_MAX, &value));
    size_t slots = map.slot_count;
    pyi_map_clear(&map);
    assert_int_equal(map.slot_count, slots);
    assert_false(pyi_map_get(&map, 0, &value));
    assert_true(pyi_map_put(&map, 5, 6) && pyi_map_get(&map, 5, &value));
    assert_int_equal(value, 6);
    pyi_map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_strings),
        cmocka_unit_test(tells_bytes_apart),
        cmocka_unit_test(hash_depends_on_every_bit),
        cmocka_unit_test(maps_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
