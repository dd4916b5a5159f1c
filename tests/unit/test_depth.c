/* SPDX-License-Identifier: BSD-3-Clause */
/* Static depth at calls, and where each kind of call keeps its callable. Code is spelled with the
 * numbers of the version it is for; expected depths were counted by hand. */
#include "attach/leaf/depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct expected {
    uint32_t first, at, operand;
    int depth, other;
};

static void expect(int minor, const uint8_t *code, size_t length, const uint8_t *handlers,
                   size_t handlers_length, const struct expected *wanted, size_t count)
{
    struct pyi_call_site *sites = NULL;
    struct pyi_error err = {0};
    size_t found = 0;
    assert_int_equal(
        pyi_call_sites(minor, code, length, handlers, handlers_length, false, &sites, &found, &err),
        0);
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sites[i].first, wanted[i].first);
        assert_int_equal(sites[i].at, wanted[i].at);
        assert_int_equal(sites[i].operand, wanted[i].operand);
        assert_int_equal(sites[i].depth, wanted[i].depth);
        assert_int_equal(sites[i].other, wanted[i].other);
    }
    free(sites);
}

/* time.sleep(0) in a loop: LOAD_GLOBAL, LOAD_METHOD, LOAD_CONST, CALL_METHOD 1, POP_TOP, jump. */
static void straight_line_of_3_8(void **state)
{
    const uint8_t code[] = {116, 0, 160, 1, 100, 1, 161, 1, 1, 0, 113, 0};
    const struct expected wanted[] = {{3, 3, 1, 3, -1}};
    expect(8, code, sizeof(code), NULL, 0, wanted, 1);
}

/* try: pass finally: f(): the body is entered with one value, or with six after an exception. */
static void finally_of_3_8_has_two_depths(void **state)
{
    const uint8_t code[] = {122, 4, 87, 0, 53, 0, 116, 0, 131, 0, 1, 0, 88, 0, 100, 0, 83, 0};
    const struct expected wanted[] = {{4, 4, 0, 2, 7}};
    expect(8, code, sizeof(code), NULL, 0, wanted, 1);
}

/* 3.10: GEN_START takes what send() put there. */
static void generator_of_3_10_starts_at_one(void **state)
{
    const uint8_t code[] = {129, 0, 116, 0, 131, 0, 1, 0, 100, 0, 83, 0};
    const struct expected wanted[] = {{2, 2, 0, 1, -1}};
    expect(10, code, sizeof(code), NULL, 0, wanted, 1);
}

/* 3.11: PRECALL and CALL both stand before the call, with inline caches that are no code. */
static void caches_of_3_11_are_skipped(void **state)
{
    const uint8_t code[] = {151, 0,   2,   0,   116, 0, 255, 255, 255, 255, 255, 255,
                            255, 255, 255, 255, 166, 0, 7,   7,   171, 0,   7,   7,
                            7,   7,   7,   7,   7,   7, 1,   0,   100, 0,   83,  0};
    const struct expected wanted[] = {{8, 8, 0, 2, -1}, {10, 10, 0, 2, -1}};
    expect(11, code, sizeof(code), NULL, 0, wanted, 2);
}

/* 3.12: a handler starts at the table's depth, plus the exception, plus the index when asked. */
static void handlers_of_3_12_come_from_the_table(void **state)
{
    const uint8_t code[] = {151, 0, 121, 0, 35, 0, 2, 0, 100, 0, 171, 0, 0, 0, 0, 0, 0, 0, 119, 0};
    const uint8_t table[] = {128, 1, 2, 1}; /* from 0, 1 unit, to 2, depth 0 with index */
    const struct expected wanted[] = {{5, 5, 0, 5, -1}};
    expect(12, code, sizeof(code), table, sizeof(table), wanted, 1);
}

static void prefixes_make_long_operands(void **state)
{
    const uint8_t code[] = {116, 0, 144, 1, 131, 2, 83, 0};
    struct pyi_call_site *sites = NULL;
    size_t count = 0;
    assert_int_equal(pyi_call_sites(9, code, sizeof(code), NULL, 0, false, &sites, &count, NULL),
                     0);
    assert_int_equal(count, 1);
    assert_int_equal(sites[0].operand, 258);
    assert_ptr_equal(pyi_call_site_at(sites, count, 1, true), &sites[0]);
    assert_null(pyi_call_site_at(sites, count, 1, false));
    assert_ptr_equal(pyi_call_site_at(sites, count, 2, false), &sites[0]);
    assert_null(pyi_call_site_at(sites, count, 0, true));
    assert_null(pyi_call_site_at(sites, count, 3, true));
    free(sites);
}

/* Two ways that disagree mean that the table or the bytes are wrong: no depth at all. */
static void conflicting_ways_give_no_depth(void **state)
{
    const uint8_t code[] = {116, 0, 114, 3, 116, 0, 116, 0, 131, 0, 83, 0};
    const struct expected wanted[] = {{4, 4, 0, -1, -1}};
    expect(10, code, sizeof(code), NULL, 0, wanted, 1);
}

static void unknown_code_is_refused(void **state)
{
    const uint8_t code[] = {200, 0};
    struct pyi_call_site *sites = NULL;
    size_t count = 0;
    struct pyi_error err = {0};
    assert_int_equal(pyi_call_sites(8, code, 2, NULL, 0, false, &sites, &count, &err),
                     PYI_E_FORMAT);
    assert_int_equal(pyi_call_sites(7, code, 2, NULL, 0, false, &sites, &count, &err),
                     PYI_E_FORMAT);
    assert_null(sites);
}

/* Whatever the bytes are: an answer or FORMAT, and every way through them ends. */
static void any_bytes_end(void **state)
{
    uint8_t code[512], table[64];
    uint64_t seed = 1;
    for (int round = 0; round < 4000; round++) {
        for (size_t i = 0; i < sizeof(code) + sizeof(table); i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint8_t byte = (uint8_t)(seed >> 56);
            if (i < sizeof(code))
                code[i] = i % 2 == 0 && round % 2 == 0 ? byte % 128 : byte;
            else
                table[i - sizeof(code)] = byte;
        }
        struct pyi_call_site *sites = NULL;
        size_t count = 0;
        int rc = pyi_call_sites(8 + round % 8, code, sizeof(code), table, sizeof(table), true,
                                &sites, &count, NULL);
        assert_true(rc == 0 || rc == PYI_E_FORMAT);
        for (size_t i = 0; i < count; i++)
            assert_true(sites[i].first <= sites[i].at && sites[i].at < sizeof(code) / 2);
        free(sites);
    }
}

static void find(int minor, uint8_t role, uint32_t operand, const uint64_t *stack, size_t depth,
                 uint64_t callable, uint64_t self)
{
    struct pyi_call_site site = {.role = role, .operand = operand};
    struct pyi_call call = pyi_call_find(minor, &site, (const uint8_t *)stack, depth);
    assert_int_equal(call.callable, callable);
    assert_int_equal(call.self, self);
}

static void callables_stand_where_each_version_keeps_them(void **state)
{
    const uint64_t function[] = {8, 0x1000, 0x2000, 0x2008};
    find(8, PYI_ROLE_CALL_FUNCTION, 2, function, 4, 0x1000, 0x2000);
    find(9, PYI_ROLE_CALL_FUNCTION_KW, 1, function, 4, 0x1000, 0x2000);
    find(10, PYI_ROLE_CALL_METHOD, 1, function, 4, 0x1000, 0x2000);
    const uint64_t plain[] = {8, 0, 0x1000, 0x2000};
    find(8, PYI_ROLE_CALL_METHOD, 1, plain, 4, 0x1000, 0x2000);
    find(11, PYI_ROLE_CALL, 1, plain, 4, 0x1000, 0x2000);
    find(12, PYI_ROLE_CALL, 1, function, 4, 0x1000, 0x2000);
    const uint64_t newer[] = {0x1000, 0, 0x2000, 0x3000};
    find(13, PYI_ROLE_CALL, 2, newer, 4, 0x1000, 0x2000);
    find(13, PYI_ROLE_CALL_KW, 1, newer, 4, 0x1000, 0x2000);
    const uint64_t tagged[] = {0x1001, 1, 0x2003, 0x3000};
    find(14, PYI_ROLE_CALL, 2, tagged, 4, 0x1000, 0); /* the first argument is a small integer */
    find(15, PYI_ROLE_CALL_EX, 0, tagged, 4, 0x1000, 0);
    find(13, PYI_ROLE_CALL_EX, 1, newer, 4, 0x1000, 0);
    find(12, PYI_ROLE_CALL_EX, 0, newer + 1, 2, 0, 0);
    find(8, PYI_ROLE_CALL_FUNCTION, 4000000000u, function, 4, 0, 0); /* below the stack */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straight_line_of_3_8),
        cmocka_unit_test(finally_of_3_8_has_two_depths),
        cmocka_unit_test(generator_of_3_10_starts_at_one),
        cmocka_unit_test(caches_of_3_11_are_skipped),
        cmocka_unit_test(handlers_of_3_12_come_from_the_table),
        cmocka_unit_test(prefixes_make_long_operands),
        cmocka_unit_test(conflicting_ways_give_no_depth),
        cmocka_unit_test(unknown_code_is_refused),
        cmocka_unit_test(any_bytes_end),
        cmocka_unit_test(callables_stand_where_each_version_keeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
