/* SPDX-License-Identifier: BSD-3-Clause */
/* Native stacks without a process: merging at evaluation loops, symbols and their names. */
#include "attach/native/native_state.h"
#include "attach/native/symbols.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct pyi_function loop = {.loop = true}, plain;

/* `shape` innermost first: 'L' a loop, anything else is not. */
static void check(const char *shape, bool complete, size_t runs, const char *expected)
{
    struct pyi_native_frame frames[32] = {0};
    size_t part_of[32], count = strlen(shape);
    char made[32] = "";
    for (size_t i = 0; i < count; i++)
        frames[i] = (struct pyi_native_frame){.function = shape[i] == 'L' ? &loop : &plain};
    pyi_native_assign(frames, count, complete, runs, part_of);
    for (size_t i = 0; i < count; i++)
        made[i] = part_of[i] == SIZE_MAX ? '-' : (char)('0' + part_of[i]);
    assert_string_equal(made, expected);
}

static void test_assign(void **state)
{
    /* as many loops as runs */
    check("aLbcLd", true, 2, "2-11-0");
    check("aLbcLd", false, 2, "2-11-0");
    check("Lab", true, 1, "-00");
    check("ab", true, 0, "00");
    /* a loop more: it has no frame yet, what is above it belongs to what lies below */
    check("aLbLc", true, 1, "1-1-0");
    check("aLbLcLd", true, 2, "2-2-1-0");
    /* a loop less than runs: one was not recognised; the top stays at the top */
    check("aLb", true, 2, "2-0");
    check("ab", true, 1, "11");
    /* cut stacks are counted from the top */
    check("aLb", false, 3, "3-2");
    check("aLbLcL", false, 4, "4-3-2-");
    check("aLbLc", false, 1, "1-0-0");
}

static void named(const char *symbol, size_t limit, const char *expected)
{
    struct pyi_strbuf out = {0};
    pyi_symbol_name(symbol, limit, &out);
    assert_string_equal(pyi_strbuf_get(&out).data, expected);
    pyi_strbuf_deinit(&out);
}

static void test_names(void **state)
{
    named("list_sort", 100, "list_sort");
    named("list_sort.cold", 100, "list_sort");
    named("list_sort_impl.isra.0.cold", 100, "list_sort_impl");
    named("memcpy@@GLIBC_2.14", 100, "memcpy");
    named("go.main.run", 100, "go.main.run"); /* a dot alone is no mark */
    named("_ZN3foo3barEi", 100, "foo::bar");
    named("_ZN3foo3barIiEEvT_.part.3", 100, "foo::bar<int>");
    named("_Znonsense", 100, "_Znonsense");
    named("abcdefghij", 8, "abcde...");
    named("a\xff", 100, "a\xed\xb3\xbf");
}

static void test_tables(void **state)
{
    const char strings[] = "\0outer\0inner\0data\0";
    const Elf64_Sym table[] = {
        {0},
        {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x1000, 0x100},
        {7, ELF64_ST_INFO(STB_LOCAL, STT_FUNC), 0, 1, 0x1200, 0x10},
        {7, ELF64_ST_INFO(STB_WEAK, STT_FUNC), 0, 1, 0x1000, 0x100},  /* another name of outer */
        {13, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 1, 0x1300, 8}, /* no function */
        {9999, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x1400, 8}, /* name out of bounds */
        {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, SHN_UNDEF, 0x1500, 8},
    };
    struct pyi_symbols *symbols =
        pyi_symbols_from_tables(table, sizeof(table), strings, sizeof(strings));
    assert_non_null(symbols);
    assert_int_equal(pyi_symbols_count(symbols), 2);
    assert_null(pyi_symbols_at(symbols, 0xfff));
    assert_string_equal(pyi_symbols_at(symbols, 0x1000), "outer");
    assert_string_equal(pyi_symbols_at(symbols, 0x10ff), "outer");
    assert_null(pyi_symbols_at(symbols, 0x1100));
    assert_string_equal(pyi_symbols_at(symbols, 0x1205), "inner");
    assert_null(pyi_symbols_at(symbols, UINT64_MAX));
    assert_int_equal(pyi_symbols_find(symbols, "inner"), 0x1200);
    assert_int_equal(pyi_symbols_find(symbols, "data"), 0);
    pyi_symbols_free(symbols);
    /* strings without an end are not believed */
    symbols = pyi_symbols_from_tables(table, sizeof(table), "x", 1);
    assert_int_equal(pyi_symbols_count(symbols), 0);
    pyi_symbols_free(symbols);
    pyi_symbols_free(NULL);
}

/* An unwind table of two functions, as the linker sorts it, and what lies outside of it. */
static void test_extent(void **state)
{
    uint8_t copy[96] = {0};
    struct pyi_module module = {.copy = copy,
                                .copy_at = 0x10000,
                                .copy_length = 80,
                                .header = 0x10000,
                                .table = 0x1000c,
                                .table_count = 3};
    const int32_t table[] = {-0x8000, 40, -0x7000, 60, -0x6000, 4000};
    const uint32_t lengths[] = {0x100, 0x10};
    struct pyi_extent extent;
    memcpy(copy + 12, table, sizeof(table));
    memcpy(copy + 40 + 12, &lengths[0], 4);
    memcpy(copy + 60 + 12, &lengths[1], 4);
    assert_true(pyi_module_extent(&module, 0x8050, &extent));
    assert_int_equal(extent.from, 0x8000);
    assert_int_equal(extent.to, 0x8100);
    assert_true(pyi_module_extent(&module, 0x900f, &extent));
    assert_int_equal(extent.from, 0x9000);
    assert_false(pyi_module_extent(&module, 0x9010, &extent)); /* between functions */
    assert_false(pyi_module_extent(&module, 0x7fff, &extent));
    assert_false(pyi_module_extent(&module, 0xa001, &extent)); /* description outside the copy */
    module.table_count = 0;
    assert_false(pyi_module_extent(&module, 0x8050, &extent));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assign),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_extent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
