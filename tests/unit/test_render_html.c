/* SPDX-License-Identifier: BSD-3-Clause */
/* test_render_html.c - the page's parts: escaping per context, columns of numbers, tables, runs. */
#include <pyinstrument.h>

#include "src/base/output.h"
#include "src/render/html/bundle.h"
#include "src/render/html/side.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- escaping ---- */

typedef void put_text(struct pyi_output *output, struct pyi_text text);

static void expect_text(put_text *put, struct pyi_text text, const char *expected)
{
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    put(&output, text);
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    assert_string_equal(pyi_strbuf_get(&out).data, expected);
    pyi_strbuf_deinit(&out);
}

static void test_json_text(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"", "\"\""},
        {"plain text ~", "\"plain text ~\""},
        {"</script><!--", "\"\\u003c/script\\u003e\\u003c!--\""},
        {"a&b\"c\\d", "\"a\\u0026b\\\"c\\\\d\""},
        {"\t\n\r\x1b\x7f", "\"\\u0009\\u000a\\u000d\\u001b\\u007f\""},
        {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        /* lone surrogates, undecodable bytes, a sequence cut off */
        {"\xed\xa0\x80|\xed\xb2\x80", "\"\xef\xbf\xbd|\xef\xbf\xbd\""},
        {"\xff|\xc3", "\"\xef\xbf\xbd|\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_text(pyi_html_json_text, pyi_text(rows[i].text), rows[i].json);
    expect_text(pyi_html_json_text, (struct pyi_text){"a\0b", 3}, "\"a\\u0000b\"");
}

static void test_markup_text(void **state)
{
    expect_text(pyi_html_markup_text, pyi_text("<a href=\"x\">'&\n\xe2\x94\x94\n"),
                "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\n\xe2\x94\x94\n");
    expect_text(pyi_html_markup_text, pyi_text("\xe2\x80\xae|\x1b|\r|\xff|\t"),
                "\\u202e|\\x1b|\\x0d|\\xff|\\x09");
    expect_text(pyi_html_markup_text, (struct pyi_text){"a\0b", 3}, "a\\x00b");
}

static void test_json_number(void **state)
{
    static const struct {
        double value;
        const char *json;
    } rows[] = {
        {0, "0"},
        {-0.0, "0"},
        {5, "5"},
        {0.25, "0.25"},
        {1e-7, "1e-07"},
        {1e300, "1e+300"},
        {NAN, "0"},
        {INFINITY, "0"},
        {-INFINITY, "0"},
        {-3, "-3"},
        {1795184314.33, "1795184314.33"},
        {123456789012345, "123456789012345"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_strbuf out = {0};
        struct pyi_sink sink = pyi_sink_strbuf(&out);
        struct pyi_output output;
        pyi_output_init(&output, &sink);
        pyi_html_json_number(&output, rows[i].value);
        assert_int_equal(pyi_output_finish(&output, NULL), 0);
        assert_string_equal(pyi_strbuf_get(&out).data, rows[i].json);
        pyi_strbuf_deinit(&out);
    }
}

/* ---- columns ---- */

static void expect_column(const uint64_t *numbers, size_t count, const char *expected)
{
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    struct pyi_output output;
    struct pyi_html_column column;
    pyi_output_init(&output, &sink);
    pyi_html_column_begin(&column, &output);
    for (size_t i = 0; i < count; i++)
        pyi_html_column_put(&column, numbers[i]);
    pyi_html_column_end(&column);
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    assert_string_equal(pyi_strbuf_get(&out).data, expected);
    pyi_strbuf_deinit(&out);
}

static void test_columns(void **state)
{
    const uint64_t small[] = {0, 1, 127, 128, 300};
    expect_column(NULL, 0, "\"\"");
    expect_column(small, 1, "\"AA==\"");
    expect_column(small, 2, "\"AAE=\"");
    expect_column(small, 3, "\"AAF/\"");
    expect_column(small, 5, "\"AAF/gAGsAg==\""); /* 00 01 7f 80 01 ac 02 */
    /* 2^53 is the last number that counts; more is cut to it. */
    const uint64_t large[] = {UINT64_C(1) << 53}, larger[] = {UINT64_MAX};
    expect_column(large, 1, "\"gICAgICAgBA=\"");
    expect_column(larger, 1, "\"gICAgICAgBA=\"");
}

/* ---- tables ---- */

static void test_tables(void **state)
{
    struct pyi_html_tables tables;
    assert_true(pyi_html_tables_init(&tables));
    struct pyi_html_name name = {
        .name = pyi_text("f"),
        .path = pyi_text("/usr/lib/x.py"),
        .class_name = pyi_text(""),
        .shortened = pyi_text("x.py"),
        .line = 3,
    };
    assert_int_equal(pyi_html_function(&tables, &name), 0);
    assert_int_equal(pyi_html_function(&tables, &name), 0);
    name.class_name = pyi_text("K");
    assert_int_equal(pyi_html_function(&tables, &name), 1);
    name.path = pyi_text("<weird/thing>");
    assert_int_equal(pyi_html_function(&tables, &name), 2);
    const struct pyi_html_function *rows = tables.functions;
    assert_string_equal(pyi_intern_text(&tables.strings, rows[0].directory).data, "/usr/lib/");
    assert_string_equal(pyi_intern_text(&tables.strings, rows[0].base).data, "x.py");
    assert_int_equal(rows[0].base, rows[0].shortened);
    assert_int_equal(rows[2].directory, 0);
    assert_int_equal(rows[0].path, rows[1].path);
    /* Call paths are what the session's are, and one only if two sessions share them. */
    assert_int_equal(pyi_html_node(&tables, PYI_HTML_NONE, 0, 5), 0);
    assert_int_equal(pyi_html_node(&tables, PYI_HTML_NONE, 0, 5), 1);
    tables.shares = true;
    assert_int_equal(pyi_html_node(&tables, 1, 1, 5), 2);
    assert_int_equal(pyi_html_node(&tables, 1, 1, 5), 2);
    assert_int_equal(pyi_html_node(&tables, 0, 1, 5), 3);
    assert_int_equal(pyi_html_node(&tables, 1, 1, 6), 4);
    assert_int_equal(pyi_html_node(&tables, PYI_HTML_NONE, 1, 5), 5);
    assert_int_equal(pyi_html_node(&tables, PYI_HTML_NONE, 1, 5), 5);
    pyi_html_tables_deinit(&tables);
}

/* ---- runs ---- */

static void expect_bytes(const struct pyi_strbuf *column, const char *bytes, size_t length)
{
    assert_int_equal(column->length, length);
    assert_memory_equal(column->data, bytes, length);
}

static void test_runs(void **state)
{
    struct pyi_html_lane lane = {0};
    /* 3 x 1.4 us: 1, 1, 2 or 4 together, whichever way they are divided. */
    assert_true(pyi_html_lane_add(&lane, 7, 0.0000014, 0.001));
    assert_true(pyi_html_lane_add(&lane, 7, 0.0000014, 0.001));
    assert_true(pyi_html_lane_add(&lane, 4, 0.0000014, 0.001));
    assert_true(pyi_html_lane_add(&lane, 4, NAN, 0.001));
    assert_true(pyi_html_lane_add(&lane, 4, -1, 0.001));
    assert_true(pyi_html_lane_end(&lane));
    assert_int_equal(lane.runs, 2);
    expect_bytes(&lane.node, "\x0e\x05", 2); /* +7, -3 */
    expect_bytes(&lane.duration, "\x03\x01", 2);
    expect_bytes(&lane.count, "\x02\x03", 2);
    assert_false(lane.has_gap || lane.has_state);
    pyi_html_lane_deinit(&lane);
}

static void test_runs_of_a_thread(void **state)
{
    static const struct pyi_attach_state states[] = {
        {2, PYI_STATE_RUNNING}, {0, PYI_STATE_GIL_WAIT}, {1, PYI_STATE_WAITING}};
    static const struct pyi_attach_jump jumps[] = {{1, 0.5}, {2, 0.75}, {2, 0.25}, {9, 9}};
    const struct pyi_attach_thread thread = {
        .states = states, .state_count = 3, .jumps = jumps, .jump_count = 4};
    struct pyi_html_lane lane = {.thread = &thread, .counted = true};
    assert_true(pyi_html_lane_add(&lane, 0, 0.25, 0.1));
    assert_true(pyi_html_lane_add(&lane, 0, 0.25, 0.1));   /* 0.25 s later than it ended */
    assert_true(pyi_html_lane_add(&lane, 0, 0.0001, 0.1)); /* neither jump leads ahead; it waits */
    assert_true(pyi_html_lane_add(&lane, 0, 0.0001, 0.1)); /* no state is left */
    assert_true(pyi_html_lane_end(&lane));
    assert_int_equal(lane.runs, 4);
    expect_bytes(&lane.node, "\0\0\0\0", 4);
    expect_bytes(&lane.gap, "\0\x90\xa1\x0f\0\0", 6); /* 250,000 us */
    expect_bytes(&lane.count, "\x03\x03\x01\x01", 4);
    expect_bytes(&lane.state, "\x01\x02\x02\x01\0\x01", 6);
    assert_true(lane.has_gap && lane.has_state);
    pyi_html_lane_deinit(&lane);
}

/* ---- the row ---- */

static void test_row(void **state)
{
    const struct pyi_renderer *row = pyi_renderer_by_name("html");
    assert_non_null(row);
    assert_ptr_equal(pyi_renderer_by_path("a/b.HTM"), row);
    assert_ptr_equal(pyi_renderer_by_path("report.html"), row);
    assert_true(row->flags & PYI_RENDERER_DIFF);
    assert_true(pyi_html_script_size > 0 && pyi_html_style_size > 0);
    assert_int_equal(strlen(pyi_html_script_hashes), 2 * (strlen("'sha256-'") + 44) + 1);
    assert_int_equal(strlen(pyi_html_style_hashes), 2 * (strlen("'sha256-'") + 44) + 1);
    /* Nothing in them can end their element. */
    assert_null(memmem(pyi_html_script, pyi_html_script_size, "</script", 8));
    assert_null(memmem(pyi_html_script, pyi_html_script_size, "<!--", 4));
    assert_null(memmem(pyi_html_style, pyi_html_style_size, "</style", 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text),        cmocka_unit_test(test_markup_text),
        cmocka_unit_test(test_json_number),      cmocka_unit_test(test_columns),
        cmocka_unit_test(test_tables),           cmocka_unit_test(test_runs),
        cmocka_unit_test(test_runs_of_a_thread), cmocka_unit_test(test_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
