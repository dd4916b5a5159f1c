/* SPDX-License-Identifier: BSD-3-Clause */
/* test_render_text.c - what the golden table cannot hold: hostile names, idle threads, options
 * and the table of formats. */
#include <pyinstrument.h>

#include "src/base/output.h"
#include "src/render/options.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct pyi_render_options *options_of(const char *key, const char *value)
{
    struct pyi_render_options *options;
    assert_int_equal(pyi_render_options_new(&options, NULL), 0);
    if (key)
        assert_int_equal(pyi_render_options_set(options, key, value, NULL), 0);
    return options;
}

static char *render(const char *name, const char *json, const char *key)
{
    struct pyi_session *session;
    struct pyi_error err;
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    struct pyi_render_options *options = options_of(key, NULL);
    if (pyi_session_from_json(json, strlen(json), &session, &err))
        fail_msg("%s", err.message);
    if (pyi_render(pyi_renderer_by_name(name), session, options, &sink, &err))
        fail_msg("%s", err.message);
    pyi_session_free(session);
    pyi_render_options_free(options);
    return pyi_strbuf_detach(&out);
}

#define SESSION(description, records, more)                                                        \
    "{\"start_time\": 0, \"duration\": 1, \"sample_count\": 1, \"start_call_stack\": [], "         \
    "\"target_description\": \"" description "\", \"cpu_time\": 0, \"sys_path\": [], "             \
    "\"sys_prefixes\": [], \"frame_records\": [" records "]" more "}"

static void test_hostile_names(void **state)
{
    char *text = render("text",
                        SESSION("one\\ntwo\\u001b[2J",
                                "[[\"f\\u001b]0;x\\u0007\\n\\u009b\\u007f\\u0000/a\\ndc80/"
                                "\\udc80\\udc9b\\ud800.py\\u00001\\u0001cK\\t\"], 1]",
                                ""),
                        NULL);
    assert_non_null(strstr(text, "\none\ntwo\\x1b[2J\n"));
    assert_non_null(strstr(text, "1.000 K\\x09.f\\x1b]0;x\\x07\\x0a\\x9b\\x7f  /a\\x0adc80/"
                                 "\x80\x9b?.py:1\n"));
    free(text);
}

static void test_ordinary_names_stay(void **state)
{
    char *text = render(
        "text",
        SESSION("\xc3\x85", "[[\"\xc2\xa0\xc3\xa9\xed\x95\x9c\\u0000/\xe2\x80\xae\"], 1]", ""),
        NULL);
    assert_non_null(strstr(text, "\n\xc3\x85\n"));
    assert_non_null(strstr(text, "1.000 \xc2\xa0\xc3\xa9\xed\x95\x9c  /\xe2\x80\xae\n"));
    free(text);
}

#define THREAD(index, idle)                                                                        \
    "{\"process\": 0, \"first\": " index ", \"records\": 1, \"idle\": " idle "}"
#define THREADS(list) ", \"attach\": {\"v\": 1, \"threads\": [" list "]}"
#define RECORDS       "[[\"m\\u0000<thread>\\u00001\"], 1], [[\"x\"], 1], [[\"y\"], 1]"

static void test_idle_line(void **state)
{
    const char *two = SESSION(
        "d", RECORDS, THREADS(THREAD("0", "true") "," THREAD("1", "true") "," THREAD("2", "true")));
    const char *one =
        SESSION("d", RECORDS,
                THREADS(THREAD("0", "true") "," THREAD("1", "false") "," THREAD("2", "true")));
    char *text = render("text", two, NULL);
    assert_non_null(
        strstr(text, "\n1.000 m  <thread>:1\n2 idle threads not shown, --idle shows them\n\n"));
    free(text);
    text = render("text", one, NULL);
    assert_non_null(strstr(text, "\n1 idle thread not shown, --idle shows it\n\n"));
    free(text);
    text = render("text", one, "idle");
    assert_null(strstr(text, "not shown"));
    assert_non_null(strstr(text, "3.000 [root]"));
    free(text);
    text = render("json", two, NULL); /* only text leaves them out */
    assert_non_null(strstr(text, "[root]"));
    free(text);
}

static void test_truth(void **state)
{
    static const struct {
        const char *value;
        bool expected;
    } values[] = {
        {NULL, true},        {"true", true}, {"false", false}, {"False", true},
        {"0", false},        {"0.0", false}, {"-0", false},    {"1", true},
        {"NaN", true},       {"", false},    {"\"\"", false},  {"null", false},
        {"[]", false},       {"{}", false},  {"[0]", true},    {"{\"a\": 0}", true},
        {" false ", false},  {"no", true},   {"1 2", true},    {"{\"a\":}", true},
        {"-Infinity", true},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct pyi_render_options *options = options_of("color", values[i].value);
        if (pyi_option_true(options, "color") != values[i].expected)
            fail_msg("%s", values[i].value);
        pyi_render_options_free(options);
    }
}

static void test_values(void **state)
{
    struct pyi_render_options *options = options_of("a", "{\"b\": {\"c\": 1}, \"b\": {}}");
    struct pyi_processor_options processors;
    double number;
    assert_int_equal(pyi_render_options_set(options, "a.b.c", "{bad", NULL), 0);
    assert_int_equal(pyi_render_options_set(options, "x.y", "1", NULL), PYI_E_INVALID);
    assert_int_equal(pyi_render_options_set(options, "a.b.c.d", "1", NULL), PYI_E_INVALID);
    assert_int_equal(pyi_render_options_set(options, "time", "\"percent_of_total\"", NULL), 0);
    assert_true(pyi_option_is(options, "time", "percent_of_total"));
    assert_int_equal(pyi_render_options_set(options, "time", "percent_of_total", NULL), 0);
    assert_true(pyi_option_is(options, "time", "percent_of_total"));
    assert_int_equal(pyi_render_options_set(options, "n", "Infinity", NULL), 0);
    assert_true(pyi_option_number(options, "n", &number) && isinf(number));
    assert_string_equal(pyi_option_name(options, 0), "a");
    assert_string_equal(pyi_option_name(options, 1), "time");
    assert_null(pyi_option_name(options, 3));
    assert_int_equal(pyi_render_options_set_text(options, "t", "true", NULL), 0);
    assert_string_equal(pyi_option_text(options, "t"), "true");
    /* processor_options: a map, or nothing in Python's sense */
    static const char *const bad[] = {"3", "x", "[1]", "{\"filter_threshold\": null}",
                                      "{\"hide_regex\": 3}"};
    static const char *const good[] = {"{}", "0", "null", "", "{\"hide_regex\": null, \"z\": 1}"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(pyi_render_options_set(options, "processor_options", bad[i], NULL), 0);
        assert_int_equal(pyi_option_processors(options, &processors, NULL), PYI_E_FORMAT);
        assert_int_equal(pyi_render_options_set(options, "processor_options", good[i], NULL), 0);
        assert_int_equal(pyi_option_processors(options, &processors, NULL), 0);
        assert_false(processors.has_hide_regex);
        assert_true(processors.filter_threshold == 0.01);
    }
    pyi_render_options_free(options);
}

static void expect_refusal(const char *name, const char *key, const char *reason)
{
    struct pyi_error err = {0};
    struct pyi_render_options *options = options_of(key, NULL);
    assert_int_equal(pyi_renderer_check(pyi_renderer_by_name(name), options, &err), PYI_E_INVALID);
    assert_string_equal(err.message, reason);
    pyi_render_options_free(options);
}

static void test_check(void **state)
{
    struct pyi_error err = {0};
    expect_refusal("text", "foo",
                   "ConsoleRenderer.__init__() got an unexpected keyword argument 'foo'");
    expect_refusal("json", "flat",
                   "FrameRenderer.__init__() got an unexpected keyword argument 'flat'");
    expect_refusal("session", "show_all",
                   "SessionRenderer.__init__() got an unexpected keyword argument 'show_all'");
    struct pyi_render_options *options = options_of("flat", NULL);
    const struct pyi_renderer *text = pyi_renderer_by_name("text");
    assert_int_equal(pyi_renderer_check(text, options, &err), 0);
    assert_int_equal(pyi_render_options_set(options, "timeline", NULL, NULL), 0);
    assert_int_equal(pyi_renderer_check(text, options, &err), PYI_E_INVALID);
    assert_string_equal(err.message, "Cannot use timeline and flat options together.");
    pyi_render_options_free(options);
}

static void test_lookup(void **state)
{
    static const struct {
        const char *path, *name;
    } paths[] = {
        {"a.txt", "text"},
        {"x/a.TXT", "text"},
        {"a.json", "json"},
        {".json", NULL},
        {"x/..json", NULL},
        {"a.SpeedScope.json", "speedscope"},
        {".speedscope.json", "speedscope"},
        {"a.pyisession", "pyisession"},
        {"a.pstats", "pstats"},
        {"a", NULL},
        {"a.json/b", NULL},
        {"a.jsonx", NULL},
        {"json", NULL},
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct pyi_renderer *row = pyi_renderer_by_path(paths[i].path);
        if ((row ? strcmp(row->name, paths[i].name ? paths[i].name : "") : paths[i].name != NULL))
            fail_msg("%s", paths[i].path);
    }
    assert_ptr_equal(pyi_renderer_by_name("session"), pyi_renderer_by_name("pyisession"));
    assert_null(pyi_renderer_by_name("nothing"));
    for (size_t i = 0; pyi_renderer_at(i); i++)
        assert_ptr_equal(pyi_renderer_by_name(pyi_renderer_at(i)->name), pyi_renderer_at(i));
}

/* A sink that fails is reported, not ignored. */
static int refuse(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    return PYI_E_OS;
}

static void test_failing_sink(void **state)
{
    struct pyi_sink sink = {refuse, NULL};
    struct pyi_session *session;
    const char *json = SESSION("d", "[[\"f\"], 1]", "");
    assert_int_equal(pyi_session_from_json(json, strlen(json), &session, NULL), 0);
    for (size_t i = 0; pyi_renderer_at(i); i++)
        assert_int_equal(pyi_render(pyi_renderer_at(i), session, NULL, &sink, NULL), PYI_E_OS);
    pyi_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_ordinary_names_stay),
        cmocka_unit_test(test_idle_line),     cmocka_unit_test(test_truth),
        cmocka_unit_test(test_values),        cmocka_unit_test(test_check),
        cmocka_unit_test(test_lookup),        cmocka_unit_test(test_failing_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
