/* SPDX-License-Identifier: BSD-3-Clause */
/* test_render_exports.c - formats for other tools: exact folded stacks, well-formed JSON with
 * balanced events, a gzipped profile that adds up, and hostile names everywhere. */
#include <pyinstrument.h>

#include "src/base/json_reader.h"
#include "src/base/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#define SESSION(description, records)                                                              \
    "{\"start_time\": 0, \"duration\": 1, \"sample_count\": 1, \"start_call_stack\": [], "         \
    "\"target_description\": \"" description "\", \"cpu_time\": 0, \"sys_path\": [\"/p\"], "       \
    "\"sys_prefixes\": [], \"frame_records\": [" records "]}"
#define MAIN "\"MainThread\\u0000<thread>\\u00007\""
#define WORK "\"worker\\u0000<thread>\\u00008\""
#define F    "\"f\\u0000/p/a.py\\u00003\\u0001cK\\u0001l4\""
#define G    "\"g\\u0000/p/b.py\\u00009\""

static const char ordinary[] =
    SESSION("d", "[[" MAIN ", " F ", " G "], 0.5], [[" MAIN ", " F "], 0.25], [[" MAIN ", " F ", " G
                 "], 0.125], [[" WORK ", " G "], 1]");

/* Everything that means something to one of the formats, in every place a name can be. */
#define EVIL "</script><img src=x onerror=1>;|`]]>&\\\"'\\n    \\u001b\\u202e\\ud800\\udc80{}"
static const char hostile[] =
    SESSION(EVIL, "[[\"" EVIL "\\u0000<thread>\\u00007\", \"" EVIL "\\u0000/" EVIL
                  "\\u00001\\u0001c" EVIL "\"], 1], [[], 1], [[\"\"], 1], [[\"[await]\"], 1]");

static struct pyi_strbuf render(const char *name, const char *json)
{
    struct pyi_session *session;
    struct pyi_error err;
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    if (pyi_session_from_json(json, strlen(json), &session, &err))
        fail_msg("%s", err.message);
    if (pyi_render(pyi_renderer_by_name(name), session, NULL, &sink, &err))
        fail_msg("%s", err.message);
    pyi_session_free(session);
    return out;
}

static void test_collapsed(void **state)
{
    struct pyi_strbuf out = render("collapsed", ordinary);
    assert_string_equal(pyi_strbuf_get(&out).data,
                        "worker (<thread>:8);g (b.py:9) 1000000\n"
                        "MainThread (<thread>:7);K.f (a.py:3) 250000\n"
                        "MainThread (<thread>:7);K.f (a.py:3);g (b.py:9) 625000\n");
    pyi_strbuf_deinit(&out);
}

/* Reads to the end and counts how often a string value occurs. */
static size_t count_in_json(const struct pyi_strbuf *json, const char *value)
{
    struct pyi_json_reader *reader;
    enum pyi_json_token token;
    struct pyi_error err;
    size_t count = 0;
    assert_int_equal(pyi_json_reader_open_memory(json->data, json->length, "test", &reader, &err),
                     0);
    do {
        if (pyi_json_next(reader, &token, &err))
            fail_msg("%s", err.message);
        if (token == PYI_JSON_STRING)
            count += pyi_text_equal(pyi_json_text(reader), pyi_text(value));
    } while (token != PYI_JSON_END);
    pyi_json_reader_close(reader);
    return count;
}

static void test_json_formats(void **state)
{
    struct pyi_strbuf chrome = render("chrome", ordinary);
    assert_int_equal(count_in_json(&chrome, "B"), 6);
    assert_int_equal(count_in_json(&chrome, "E"), 6);
    assert_int_equal(count_in_json(&chrome, "thread_name"), 2);
    assert_int_equal(count_in_json(&chrome, "K.f"), 2); /* begin and end */
    pyi_strbuf_deinit(&chrome);
    struct pyi_strbuf gecko = render("gecko", ordinary);
    /* The first thread is there once more for readers of the older form. */
    assert_int_equal(count_in_json(&gecko, "K.f (/p/a.py:3)"), 2);
    assert_int_equal(count_in_json(&gecko, "g (/p/b.py:9)"), 3); /* in both threads */
    assert_int_equal(count_in_json(&gecko, "Firefox"), 1);
    pyi_strbuf_deinit(&gecko);
}

static struct pyi_strbuf gunzip(const struct pyi_strbuf *packed)
{
    struct pyi_strbuf out = {0};
    unsigned char block[4096];
    z_stream stream = {.next_in = (unsigned char *)packed->data,
                       .avail_in = (unsigned)packed->length};
    int code;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    do {
        stream.next_out = block;
        stream.avail_out = sizeof(block);
        code = inflate(&stream, Z_NO_FLUSH);
        pyi_strbuf_append(&out, block, sizeof(block) - stream.avail_out);
    } while (code == Z_OK);
    assert_int_equal(code, Z_STREAM_END);
    inflateEnd(&stream);
    return out;
}

static uint64_t varint(const unsigned char **p, const unsigned char *end)
{
    uint64_t value = 0;
    for (int shift = 0; *p < end; shift += 7) {
        unsigned char byte = *(*p)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail_msg("a number has no end");
    return 0;
}

/* Nanoseconds of all samples; checks the framing of the outer two levels. */
static uint64_t sum_pprof(const struct pyi_strbuf *profile)
{
    const unsigned char *p = (unsigned char *)profile->data, *end = p + profile->length;
    uint64_t sum = 0;
    while (p < end) {
        uint64_t key = varint(&p, end), length = varint(&p, end);
        if ((key & 7) == 0)
            continue;
        assert_int_equal(key & 7, 2);
        assert_true(length <= (uint64_t)(end - p));
        const unsigned char *inner = p, *inner_end = p + length;
        while (key >> 3 == 2 && inner < inner_end) {
            uint64_t inner_key = varint(&inner, inner_end);
            uint64_t inner_length = varint(&inner, inner_end);
            assert_true(inner_length <= (uint64_t)(inner_end - inner));
            const unsigned char *value = inner;
            if (inner_key >> 3 == 2)
                sum += varint(&value, inner_end);
            inner += inner_length;
        }
        p = inner_end;
    }
    return sum;
}

static void test_pprof(void **state)
{
    struct pyi_strbuf packed = render("pprof", ordinary), profile = gunzip(&packed);
    assert_true(sum_pprof(&profile) == 1875000000);
    assert_non_null(memmem(profile.data, profile.length, "\003K.f", 4));
    assert_non_null(memmem(profile.data, profile.length, "MainThread", 10));
    pyi_strbuf_deinit(&packed);
    pyi_strbuf_deinit(&profile);
}

static bool has_bytes(const struct pyi_strbuf *text, const char *bytes)
{
    return memmem(text->data, text->length, bytes, strlen(bytes)) != NULL;
}

static void test_hostile(void **state)
{
    static const char *const formats[] = {"collapsed", "chrome", "gecko", "flamegraph", "markdown"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct pyi_strbuf out = render(formats[i], hostile);
        assert_false(has_bytes(&out, "\033"));
        assert_false(has_bytes(&out, "\xe2\x80\xae"));
        /* valid UTF-8 throughout */
        struct pyi_text text = pyi_strbuf_get(&out);
        for (size_t offset = 0; offset < text.length;) {
            uint32_t c = pyi_text_next(text, &offset);
            assert_true(c < 0xd800 || c > 0xdfff);
        }
        pyi_strbuf_deinit(&out);
    }
    struct pyi_strbuf svg = render("flamegraph", hostile);
    assert_false(has_bytes(&svg, "<img"));
    assert_false(has_bytes(&svg, "</script><"));
    pyi_strbuf_deinit(&svg);
    struct pyi_strbuf folded = render("collapsed", hostile);
    size_t lines = 0;
    for (size_t i = 0; i < folded.length; i++)
        lines += folded.data[i] == '\n';
    assert_int_equal(lines, 3); /* two stacks and [await]; empty stacks have no name */
    pyi_strbuf_deinit(&folded);
    struct pyi_strbuf json = render("chrome", hostile);
    assert_int_equal(count_in_json(&json, "B"), count_in_json(&json, "E"));
    pyi_strbuf_deinit(&json);
    json = render("gecko", hostile);
    (void)count_in_json(&json, "");
    pyi_strbuf_deinit(&json);
    struct pyi_strbuf markdown = render("markdown", hostile);
    /* Markup only inside the indented block, where it is text. */
    for (char *p = markdown.data; (p = strstr(p, "<img")); p++) {
        char *line = p;
        while (line > markdown.data && line[-1] != '\n')
            line--;
        assert_memory_equal(line, "    ", 4);
    }
    pyi_strbuf_deinit(&markdown);
}

static void test_empty(void **state)
{
    for (size_t i = 0; pyi_renderer_at(i); i++) {
        struct pyi_strbuf out = render(pyi_renderer_at(i)->name, SESSION("d", ""));
        assert_true(out.length || !strcmp(pyi_renderer_at(i)->name, "collapsed"));
        pyi_strbuf_deinit(&out);
    }
}

/* The main thread was away between its first two records and its last one, in the middle of f;
 * the other one began late. */
static const char jumping[] =
    "{\"start_time\": 0, \"duration\": 4, \"sample_count\": 1, \"start_call_stack\": [], "
    "\"target_description\": \"\", \"cpu_time\": 0, \"sys_path\": [], \"sys_prefixes\": [], "
    "\"frame_records\": [[[" MAIN ", " F ", " G "], 0.5], [[" MAIN ", " F "], 0.25], [[" MAIN ", " F
    "], 0.125], [[" WORK ", " G "], 1]], \"attach\": {\"threads\": [{\"name\": "
    "\"MainThread\", \"ident\": 7, \"first\": 0, \"records\": 3, \"start\": 0, \"jumps\": "
    "[[2, 3]]}, {\"name\": \"worker\", \"ident\": 8, \"first\": 3, \"records\": 1, "
    "\"start\": 2.5}]}}";

/* "B MainThread 0, ..." of all events with a time. */
static void list_events(const char *json, struct pyi_strbuf *out)
{
    for (const char *at = json; (at = strstr(at, "{\"ph\": \"")); at++) {
        const char *name = strstr(at, "\"name\": \"") + 9, *time = strstr(at, "\"ts\": ");
        const char *end = strchr(at, '\n');
        if (at[8] == 'M' || !time || (end && time > end))
            continue;
        pyi_strbuf_format(out, "%c %.*s %g, ", at[8], (int)strcspn(name, "\""), name,
                          strtod(time + 6, NULL) / 1e6);
    }
}

static void test_jumps(void **state)
{
    struct pyi_strbuf chrome = render("chrome", jumping), events = {0};
    list_events(pyi_strbuf_get(&chrome).data, &events);
    assert_string_equal(pyi_strbuf_get(&events).data,
                        "B MainThread 0, B K.f 0, B g 0, E g 0.5, E K.f 0.75, E MainThread 0.75, "
                        "B MainThread 3, B K.f 3, E K.f 3.125, E MainThread 3.125, "
                        "B worker 2.5, B g 2.5, E g 3.5, E worker 3.5, ");
    pyi_strbuf_deinit(&events);
    pyi_strbuf_deinit(&chrome);
    struct pyi_strbuf gecko = render("gecko", jumping);
    const char *text = pyi_strbuf_get(&gecko).data;
    assert_non_null(strstr(text, ", 0.000000, 0]"));
    assert_non_null(strstr(text, ", 749.000000, 0]"));
    assert_null(strstr(text, ", 751.000000, 0]"));
    assert_non_null(strstr(text, ", 3000.000000, 0]"));
    assert_non_null(strstr(text, "[[1, 2500.000000, 0]"));
    pyi_strbuf_deinit(&gecko);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collapsed), cmocka_unit_test(test_json_formats),
        cmocka_unit_test(test_pprof),     cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
