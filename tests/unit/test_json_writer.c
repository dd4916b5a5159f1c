/* SPDX-License-Identifier: BSD-3-Clause */
/* test_json_writer.c - strings in the spelling of json.dumps(), with and without ensure_ascii. */
#include "src/base/json_writer.h"

#include "src/base/number.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

typedef void writer(struct pyi_output *output, struct pyi_text text);

static void check(writer *write, struct pyi_text text, const char *expected)
{
    struct pyi_strbuf got = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    write(&output, text);
    assert_int_equal(output.total, strlen(expected));
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    assert_string_equal(got.data, expected);
    pyi_strbuf_deinit(&got);
}

#define TEXT(literal) ((struct pyi_text){literal, sizeof(literal) - 1})

static void escapes_ascii(void **state)
{
    check(pyi_json_write_ascii, TEXT(""), "\"\"");
    check(pyi_json_write_ascii, TEXT("f\0/a.py\0001\001l5"), "\"f\\u0000/a.py\\u00001\\u0001l5\"");
    check(pyi_json_write_ascii, TEXT("\"\\/\b\f\n\r\t\x1f ~\x7f"),
          "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f ~\\u007f\"");
    check(pyi_json_write_ascii, TEXT("\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"),
          "\"\\u0080\\u20ac\\ud83d\\ude00\\udbff\\udfff\"");
    check(pyi_json_write_ascii, TEXT("\xed\xb2\x80\xed\xa0\x80\xff"), "\"\\udc80\\ud800\\udcff\"");
}

static void leaves_raw(void **state)
{
    check(pyi_json_write_raw, TEXT("\"\\\n\x1f ~\x7f\xc3\xa9"),
          "\"\\\"\\\\\\n\\u001f ~\x7f\xc3\xa9\"");
    check(pyi_json_write_raw, TEXT("\xed\xb2\x80\xed\xb3\xbf\xed\xa0\x80"), "\"\x80\xff\\ud800\"");
}

static void writes_numbers(void **state)
{
    struct pyi_strbuf got = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    pyi_json_write_number(&output, pyi_number_integer(-5));
    pyi_output_char(&output, ' ');
    pyi_json_write_number(&output, pyi_number_double(1e-7));
    pyi_output_char(&output, ' ');
    pyi_json_write_fixed(&output, 0.1);
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    assert_string_equal(got.data, "-5 1e-07 0.100000");
    pyi_strbuf_deinit(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_ascii),
        cmocka_unit_test(leaves_raw),
        cmocka_unit_test(writes_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
