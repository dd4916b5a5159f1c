/* SPDX-License-Identifier: BSD-3-Clause */
/* test_park.c - which stacks rest on a call without proof. */
#include "src/record/park.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Stands in for attach/: the edges a target has proven are the bits of a number. */
static uint64_t proven_edges;
static struct pyi_target *const target = (struct pyi_target *)&proven_edges;

bool pyi_target_edge_proven(const struct pyi_target *which, uint32_t edge)
{
    assert_ptr_equal(which, target);
    return edge < 64 && proven_edges >> edge & 1;
}

static void note(struct pyi_park *park, uint32_t stack, uint32_t edge)
{
    assert_int_equal(pyi_park_note(park, target, stack, edge, NULL), 0);
}

static void test_nothing_noted(void **state)
{
    struct pyi_park park = {0};
    assert_false(pyi_park_doubts(&park, 0));
    assert_false(pyi_park_doubts(&park, 4000000000u));
    pyi_park_ask(&park, target, true);
    pyi_park_deinit(&park);
}

static void test_proven_later(void **state)
{
    struct pyi_park park = {0};
    proven_edges = 0;
    note(&park, 7, 3);
    note(&park, 9, 4);
    assert_true(pyi_park_doubts(&park, 7));
    assert_false(pyi_park_doubts(&park, 8));
    proven_edges = 1 << 3;
    assert_true(pyi_park_doubts(&park, 7)); /* nobody asked yet */
    pyi_park_ask(&park, target, false);
    assert_false(pyi_park_doubts(&park, 7));
    assert_true(pyi_park_doubts(&park, 9));
    pyi_park_deinit(&park);
}

/* One proven sample is enough, before or after those without proof. */
static void test_any_sample_proves(void **state)
{
    struct pyi_park park = {0};
    proven_edges = 0;
    note(&park, 1, 5);
    note(&park, 1, 0);
    note(&park, 2, 0);
    note(&park, 2, 5);
    note(&park, 3, UINT32_MAX);
    note(&park, 3, 6);
    assert_false(pyi_park_doubts(&park, 1));
    assert_false(pyi_park_doubts(&park, 2));
    assert_true(pyi_park_doubts(&park, 3));
    /* Another call to the same stack does not make the first one forgotten. */
    note(&park, 4, 10);
    proven_edges = 1 << 10;
    note(&park, 4, 11);
    assert_false(pyi_park_doubts(&park, 4));
    pyi_park_deinit(&park);
}

/* The numbers of a target mean nothing once it is closed. */
static void test_last_asking(void **state)
{
    struct pyi_park park = {0};
    proven_edges = 1 << 2;
    note(&park, 1, 1);
    note(&park, 2, 2);
    pyi_park_ask(&park, target, true);
    proven_edges = UINT64_MAX;
    pyi_park_ask(&park, target, false);
    assert_true(pyi_park_doubts(&park, 1));
    assert_false(pyi_park_doubts(&park, 2));
    /* A new target may still show the stack with a proven call. */
    note(&park, 1, 0);
    assert_false(pyi_park_doubts(&park, 1));
    pyi_park_deinit(&park);
}

static void test_copy_and_count(void **state)
{
    struct pyi_park park = {0};
    proven_edges = 0;
    note(&park, 5, 1);
    note(&park, 6, 0);
    for (uint32_t stack = 4; stack < 7; stack++)
        assert_int_equal(pyi_park_copy(&park, stack, stack + 100, NULL), 0);
    assert_false(pyi_park_doubts(&park, 104));
    assert_true(pyi_park_doubts(&park, 105));
    assert_false(pyi_park_doubts(&park, 106));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pyi_park_count(&park, 5, NULL), 0);
    assert_int_equal(pyi_park_count(&park, 8, NULL), 0);
    uint64_t count = 0;
    assert_true(pyi_map_get(&park.samples, 5, &count));
    assert_int_equal(count, 3);
    assert_int_equal(park.sample_count, 4);
    pyi_park_deinit(&park);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_noted),     cmocka_unit_test(test_proven_later),
        cmocka_unit_test(test_any_sample_proves), cmocka_unit_test(test_last_asking),
        cmocka_unit_test(test_copy_and_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
