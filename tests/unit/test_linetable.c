/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_linetable.c - line tables as CPython 2.7, 3.8, 3.10 and 3.12 compiled them, and broken ones.
 */
#include "attach/cpython/linetable.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* All three are of
 *     def f(a):
 *         x = [1,
 *              2]
 *         for i in x:
 *             try:
 *                 a(i,
 *                   x)
 *             finally:
 *                 pass
 *
 *         return a
 * with the answers of the interpreter that compiled it. */
struct answer {
    int64_t offset;
    int32_t line;
};

static void check(enum pyi_linetable_format format, const uint8_t *table, size_t length,
                  const struct answer *answers, size_t count)
{
    struct pyi_line_run *runs = NULL;
    size_t run_count = 0;
    assert_int_equal(pyi_linetable_decode(format, table, length, 1, &runs, &run_count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pyi_linetable_find(runs, run_count, answers[i].offset, 1),
                         answers[i].line);
    free(runs);
}

#define CHECK(format, table, answers)                                                              \
    check(format, table, sizeof(table), answers, sizeof(answers) / sizeof((answers)[0]))

static void test_lnotab(void **state)
{
    static const uint8_t table[] = {0, 1, 2, 1, 2, 255, 4, 2, 8, 1, 2, 1, 4, 1, 2, 255, 8, 3, 4, 2};
    static const struct answer answers[] = {{-1, 1}, {0, 2},   {2, 3},  {4, 2},  {6, 2},
                                            {8, 4},  {16, 5},  {18, 6}, {22, 7}, {24, 6},
                                            {32, 9}, {36, 11}, {38, 11}};
    CHECK(PYI_LINETABLE_LNOTAB, table, answers);
}

/* 2.7.18, with 200 empty lines ahead of the return: a step that 3.6 and later take for one back. */
static void test_unsigned_steps(void **state)
{
    static const uint8_t table[] = {0, 1, 3, 1, 9, 1, 13, 1, 3, 1, 6, 1, 11, 2, 5, 202};
    static const struct answer answers[] = {{-1, 1}, {0, 2},  {2, 2},    {3, 3},
                                            {12, 4}, {25, 5}, {28, 6},   {34, 7},
                                            {44, 7}, {45, 9}, {50, 211}, {53, 211}};
    CHECK(PYI_LINETABLE_UNSIGNED, table, answers);
    static const struct answer back[] = {{45, 9}, {50, 1}};
    CHECK(PYI_LINETABLE_LNOTAB, table, back);
}

static void test_ranges(void **state)
{
    static const uint8_t table[] = {2, 1, 2, 1, 4, 255, 8, 2, 2, 1, 4, 1, 2, 1, 6, 255, 4, 3, 4, 2};
    static const struct answer answers[] = {{-1, 1},  {0, 2},   {2, 3},  {4, 2},  {8, 4},
                                            {16, 5},  {18, 6},  {22, 7}, {24, 6}, {30, 9},
                                            {34, 11}, {36, 11}, {38, 1}};
    CHECK(PYI_LINETABLE_RANGES, table, answers);
}

static void test_locations(void **state)
{
    static const uint8_t table[] = {
        128, 0,   216, 9,  10,  216, 9,   10,  240, 3,   1,   9, 12, 128, 65,  224, 13,
        14,  242, 0,   5,  5,   17,  136, 1,   240, 2,   4,   9, 17, 217, 12,  13,  136,
        97,  216, 14,  15, 244, 3,   1,   13,  17,  240, 6,   0, 13, 17,  240, 11,  5,
        5,   17,  240, 14, 0,   12,  13,  128, 72,  248, 240, 5, 0,  13,  17,  250};
    static const struct answer answers[] = {
        {-2, 1}, {0, 1},  {2, 2},  {4, 3},  {6, 2},   {8, 2},  {10, 4}, {18, 4}, {20, 5}, {22, 6},
        {28, 7}, {30, 6}, {40, 9}, {42, 4}, {44, 11}, {48, 1}, {50, 9}, {52, 1}, {900, 1}};
    CHECK(PYI_LINETABLE_LOCATIONS, table, answers);
}

/* 3.10: a range of -128 has no line, and the running line survives it. */
static void test_no_line(void **state)
{
    static const uint8_t table[] = {2, 1, 2, 0x80, 2, 1, 0, 5, 2, 0};
    static const struct answer answers[] = {{0, 2}, {2, 1}, {4, 3}, {6, 8}};
    CHECK(PYI_LINETABLE_RANGES, table, answers);
}

/* Steps that do not fit one byte are split; only the last line of an offset counts. */
static void test_long_steps(void **state)
{
    static const uint8_t table[] = {255, 0, 45, 127, 0, 127, 2, 0x81};
    static const struct answer answers[] = {{0, 1}, {299, 1}, {300, 255}, {301, 255}, {302, 128}};
    CHECK(PYI_LINETABLE_LNOTAB, table, answers);
}

static void refuse(enum pyi_linetable_format format, const uint8_t *table, size_t length)
{
    struct pyi_line_run *runs = NULL;
    size_t count = 77;
    struct pyi_error err = {0};
    assert_int_equal(pyi_linetable_decode(format, table, length, 1, &runs, &count, &err),
                     PYI_E_FORMAT);
    assert_null(runs);
    assert_int_equal(count, 77);
}

static void test_malformed(void **state)
{
    static const uint8_t odd[] = {1, 1, 1};
    static const uint8_t no_head[] = {0x50};
    static const uint8_t ends[] = {0xe8}; /* svarint missing */
    static const uint8_t endless[] = {0xe8, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1};
    static const uint8_t head_inside[] = {0xd8, 0x80, 1}; /* bit 7 in a column */
    refuse(PYI_LINETABLE_UNSIGNED, odd, sizeof(odd));
    refuse(PYI_LINETABLE_LNOTAB, odd, sizeof(odd));
    refuse(PYI_LINETABLE_RANGES, odd, sizeof(odd));
    refuse(PYI_LINETABLE_LOCATIONS, no_head, sizeof(no_head));
    refuse(PYI_LINETABLE_LOCATIONS, ends, sizeof(ends));
    refuse(PYI_LINETABLE_LOCATIONS, endless, sizeof(endless));
    refuse(PYI_LINETABLE_LOCATIONS, head_inside, sizeof(head_inside));
}

static void test_empty(void **state)
{
    struct pyi_line_run *runs = NULL;
    size_t count = 0;
    for (int format = PYI_LINETABLE_LNOTAB; format <= PYI_LINETABLE_UNSIGNED; format++) {
        assert_int_equal(pyi_linetable_decode(format, NULL, 0, 9, &runs, &count, NULL), 0);
        assert_int_equal(pyi_linetable_find(runs, count, 0, 9), 9);
        free(runs);
    }
    assert_int_equal(pyi_linetable_find(NULL, 0, 4, 9), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lnotab),         cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_unsigned_steps), cmocka_unit_test(test_locations),
        cmocka_unit_test(test_no_line),        cmocka_unit_test(test_long_steps),
        cmocka_unit_test(test_malformed),      cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
