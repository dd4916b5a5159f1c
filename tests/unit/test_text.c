/* SPDX-License-Identifier: BSD-3-Clause */
/* test_text.c - strings, decoding, and names made safe to print. */
#include "src/base/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define TEXT(literal) ((struct pyi_text){literal, sizeof(literal) - 1})

static void assert_buffer(struct pyi_strbuf *buffer, struct pyi_text expected)
{
    assert_false(buffer->failed);
    assert_int_equal(buffer->length, expected.length);
    assert_memory_equal(pyi_strbuf_get(buffer).data, expected.data, expected.length + 1);
    pyi_strbuf_deinit(buffer);
}

static void splits(void **state)
{
    struct pyi_text text = TEXT("f\0/a.py\0"), part;
    assert_true(pyi_text_part(text, '\0', 0, &part) && pyi_text_equal(part, TEXT("f")));
    assert_true(pyi_text_part(text, '\0', 1, &part) && pyi_text_equal(part, TEXT("/a.py")));
    assert_true(pyi_text_part(text, '\0', 2, &part) && part.length == 0);
    assert_false(pyi_text_part(text, '\0', 3, &part));
    assert_true(pyi_text_part(TEXT(""), 'x', 0, &part) && part.length == 0);
    assert_true(pyi_text_starts_with(text, "f"));
    assert_false(pyi_text_starts_with(TEXT("f"), "fo"));
    assert_true(pyi_text_contains(text, "a.p"));
    assert_false(pyi_text_contains(text, "a.pp"));
}

static void builds(void **state)
{
    struct pyi_strbuf buffer = {0};
    assert_int_equal(pyi_strbuf_get(&buffer).length, 0);
    assert_non_null(pyi_strbuf_get(&buffer).data);
    pyi_strbuf_string(&buffer, "a");
    pyi_strbuf_format(&buffer, "%d-%s", 12, "b");
    pyi_strbuf_append(&buffer, "\0c", 2);
    pyi_strbuf_code_point(&buffer, 0x20ac);
    pyi_strbuf_code_point(&buffer, 0x1f600);
    pyi_strbuf_code_point(&buffer, 0xdc80);
    pyi_strbuf_code_point(&buffer, 0x110000);
    assert_buffer(&buffer, TEXT("a12-b\0c\xe2\x82\xac\xf0\x9f\x98\x80\xed\xb2\x80\xef\xbf\xbd"));
    char *empty = pyi_strbuf_detach(&buffer);
    assert_string_equal(empty, "");
    free(empty);
}

static void decodes_units(void **state)
{
    struct pyi_strbuf buffer = {0};
    pyi_strbuf_units(&buffer, "a\xe9", 2, 1);
    pyi_strbuf_units(&buffer, "\xac\x20\x80\xdc", 2, 2);
    pyi_strbuf_units(&buffer, "\x00\xf6\x01\x00\x00\x00\x11\x00", 2, 4);
    assert_buffer(&buffer, TEXT("a\xc3\xa9\xe2\x82\xac\xed\xb2\x80\xf0\x9f\x98\x80\xef\xbf\xbd"));
}

static void decodes_bytes(void **state)
{
    struct pyi_strbuf buffer = {0};
    struct pyi_text bytes = TEXT("/\xc3\xa9/\xff\xed\xb2\x80\xe2\x82");
    pyi_strbuf_os_bytes(&buffer, bytes.data, bytes.length);
    assert_buffer(&buffer, TEXT("/\xc3\xa9/\xed\xb3\xbf\xed\xb3\xad\xed\xb2\xb2\xed\xb2\x80"
                                "\xed\xb3\xa2\xed\xb2\x82"));
    assert_int_equal(pyi_text_utf8_length("ab\xc3", 3), 2);
    assert_int_equal(pyi_text_utf8_length("\xc0\x80", 2), 0);
    assert_int_equal(pyi_text_utf8_length("\xf4\x90\x80\x80", 4), 0);
    assert_int_equal(pyi_text_utf8_length("\xf4\x8f\xbf\xbf", 4), 4);
    assert_int_equal(pyi_text_utf8_length("\xed\xa0\x80", 3), 0);
}

static void steps(void **state)
{
    struct pyi_text text = TEXT("a\xed\xa0\x80\xff\xe2\x82");
    static const uint32_t expected[] = {'a', 0xd800, 0xdcff, 0xdce2, 0xdc82};
    size_t offset = 0;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pyi_text_next(text, &offset), expected[i]);
    assert_int_equal(offset, text.length);
}

static void shows_hostile_names(void **state)
{
    struct pyi_text hostile = TEXT("a\x1b[2J\xc2\x9b\x7f\xe2\x80\xae\xe2\x80\x8b\xed\xb3\xbf\xff"
                                   "\xed\xa0\x80\xc3\xa9\n\0");
    struct pyi_strbuf buffer = {0};
    pyi_strbuf_safe(&buffer, hostile, PYI_TEXT_STRICT);
    assert_buffer(&buffer,
                  TEXT("a\\x1b[2J\\x9b\\x7f\\u202e\\u200b\\xff\\xff\\ud800\xc3\xa9\\x0a\\x00"));
    pyi_strbuf_safe(&buffer, hostile, PYI_TEXT_COMPATIBLE);
    assert_buffer(&buffer, TEXT("a\\x1b[2J\\x9b\\x7f\xe2\x80\xae\xe2\x80\x8b\\xff\\xff\\ud800"
                                "\xc3\xa9\\x0a\\x00"));
    pyi_strbuf_safe(&buffer, TEXT("\xf3\xa0\x81\x81"), PYI_TEXT_STRICT);
    assert_buffer(&buffer, TEXT("\\U000e0041"));
}

static void cuts_between_code_points(void **state)
{
    char out[8];
    assert_string_equal(pyi_text_safe(TEXT("1234567"), out, sizeof(out)), "1234567");
    assert_string_equal(pyi_text_safe(TEXT("12345678"), out, sizeof(out)), "1234...");
    assert_string_equal(pyi_text_safe(TEXT("123\xc3\xa9xyz"), out, sizeof(out)), "123...");
    assert_string_equal(pyi_text_safe(TEXT("12\xc3\xa9wxyz"), out, sizeof(out)), "12\xc3\xa9...");
    assert_string_equal(pyi_text_safe(TEXT("\x1b\x1b"), out, sizeof(out)), "\\x1b...");
    assert_string_equal(pyi_text_safe(TEXT("\xe2\x80\xae\xe2\x80\xae"), out, sizeof(out)), "...");
    assert_string_equal(pyi_text_safe(TEXT("abc"), out, 3), "..");
    assert_string_equal(pyi_text_safe(TEXT("abc"), out, 1), "");
}

static void quotes_words(void **state)
{
    struct pyi_strbuf buffer = {0};
    static const char *const words[] = {"python3", "-c", "print('x')", "", "a b", "/x/\xc3\xa9=1"};
    for (size_t i = 0; i < 6; i++)
        pyi_strbuf_shell_quote(&buffer, pyi_text(words[i]));
    assert_buffer(&buffer, TEXT("python3 -c 'print('\"'\"'x'\"'\"')' '' 'a b' /x/\xc3\xa9=1"));
}

static void counts_columns(void **state)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(pyi_text_columns(TEXT("")), 0);
    assert_int_equal(pyi_text_columns(TEXT("a\xc3\xa9")), 2);
    assert_int_equal(pyi_text_columns(TEXT("\xe4\xb8\x96\xe7\x95\x8c")), 4);
    assert_int_equal(pyi_text_columns(TEXT("e\xcc\x81")), 1);
    assert_int_equal(pyi_text_columns(TEXT("\x1b\xff")), 2);
    struct pyi_text text = TEXT("ab\xe4\xb8\x96z");
    assert_int_equal(pyi_text_tail(text, 9).length, text.length);
    assert_int_equal(pyi_text_tail(text, 3).length, 4);
    /* Half of a wide character is not shown. */
    assert_int_equal(pyi_text_tail(text, 2).length, 1);
    assert_int_equal(pyi_text_tail(text, 0).length, 0);
}

static void writes_addresses(void **state)
{
    struct pyi_strbuf buffer = {0};
    pyi_strbuf_address_path(&buffer, TEXT("/a b/%#?\xc3\xa9~.py"));
    assert_buffer(&buffer, TEXT("/a%20b/%25%23%3F%C3%A9~.py"));
    struct pyi_strbuf raw = {0};
    pyi_strbuf_os_bytes(&raw, "/\xff", 2);
    pyi_strbuf_address_path(&buffer, pyi_strbuf_get(&raw));
    assert_buffer(&buffer, TEXT("/%FF"));
    pyi_strbuf_deinit(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),         cmocka_unit_test(builds),
        cmocka_unit_test(decodes_units),  cmocka_unit_test(decodes_bytes),
        cmocka_unit_test(steps),          cmocka_unit_test(shows_hostile_names),
        cmocka_unit_test(counts_columns), cmocka_unit_test(writes_addresses),
        cmocka_unit_test(quotes_words),   cmocka_unit_test(cuts_between_code_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
