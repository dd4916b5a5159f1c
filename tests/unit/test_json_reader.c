/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_json_reader.c - what is JSON and what its tokens are, as CPython 3.11's json module says.
 *
 * The table was made by asking json.loads(). Other tests move tokens over the end of the reader's
 * blocks byte by byte.
 */
#include "src/base/json_reader.h"

#include "src/base/json_writer.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct row {
    const char *json;
    size_t length;
    const char *tokens; /* each followed by a blank, keys with a k in front; NULL: refused */
};

static const struct row rows[] = {
    {"", 0, NULL},
    {" ", 1, NULL},
    {"\357\273\277{}", 5, NULL},
    {"[1,]", 4, NULL},
    {"{\"a\":1,}", 8, NULL},
    {"[,1]", 4, NULL},
    {"{,}", 3, NULL},
    {"[1 2]", 5, NULL},
    {"{\"a\" 1}", 7, NULL},
    {"{\"a\":}", 6, NULL},
    {"{a:1}", 5, NULL},
    {"{'a':1}", 7, NULL},
    {"01", 2, NULL},
    {"-", 1, NULL},
    {"-01", 3, NULL},
    {"1.", 2, NULL},
    {".5", 2, NULL},
    {"1e", 2, NULL},
    {"1e+", 3, NULL},
    {"+1", 2, NULL},
    {"0x1", 3, NULL},
    {"\"\000\"", 3, NULL},
    {"\"\037\"", 3, NULL},
    {"\"\177\"", 3, "\"\\u007f\" "},
    {"\"\\x\"", 4, NULL},
    {"\"\\u12\"", 6, NULL},
    {"\"\\u12g4\"", 8, NULL},
    {"\"\\u 123\"", 8, NULL},
    {"\"\\u+123\"", 8, NULL},
    {"\"\\ud800\"", 8, "\"\\ud800\" "},
    {"\"\\ud800\\u0041\"", 14, "\"\\ud800A\" "},
    {"\"\\udc00\\ud800\"", 14, "\"\\udc00\\ud800\" "},
    {"\"\\ud800\\ud800\\udc00\"", 20, "\"\\ud800\\ud800\\udc00\" "},
    {"\"abc", 4, NULL},
    {"\"", 1, NULL},
    {"nul", 3, NULL},
    {"nulll", 5, NULL},
    {"True", 4, NULL},
    {"NaN", 3, "NaN "},
    {"-NaN", 4, NULL},
    {"Infinity", 8, "Infinity "},
    {"-Infinity", 9, "-Infinity "},
    {"infinity", 8, NULL},
    {"-Inf", 4, NULL},
    {"[]]", 3, NULL},
    {"{}{}", 4, NULL},
    {"1 2", 3, NULL},
    {"\"\377\"", 3, NULL},
    {"\"\355\240\200\"", 5, NULL},
    {"\"\300\200\"", 4, NULL},
    {"\"\364\220\200\200\"", 6, NULL},
    {"\302\240[]", 4, NULL},
    {"[1]\000", 4, NULL},
    {"\014[]", 3, NULL},
    {"\013[]", 3, NULL},
    {"{\"a\":1,\"a\":2}", 13, "{ k\"a\" 1 k\"a\" 2 } "},
    {"{1:2}", 5, NULL},
    {"[1]//x", 6, NULL},
    {"\"\303\"", 3, NULL},
    {"[", 1, NULL},
    {"{", 1, NULL},
    {"{\"a\"", 4, NULL},
    {"{\"a\":", 5, NULL},
    {"{\"a\":1", 6, NULL},
    {"[1", 2, NULL},
    {"[1,", 3, NULL},
    {"\\u0031", 6, NULL},
    {"\"\011\"", 3, NULL},
    {"\"\\\012\"", 4, NULL},
    {"1_0", 3, NULL},
    {"--1", 3, NULL},
    {"1-", 2, NULL},
    {"1e5e5", 5, NULL},
    {"1.5.5", 5, NULL},
    {"-I", 2, NULL},
    {"-Infinit", 8, NULL},
    {"tru", 3, NULL},
    {"[true false]", 12, NULL},
    {"[nullnull]", 10, NULL},
    {"{\"a\": [1, 2.5, -3e-7, true, false, null], \"b\\u0000c\": \"x\\ud83d\\ude00\\udc80\\n\", "
     "\"n\": [NaN, Infinity, -Infinity]}",
     111,
     "{ k\"a\" [ 1 2.5 -3e-07 true false null ] k\"b\\u0000c\" \"x\\ud83d\\ude00\\udc80\\n\" "
     "k\"n\" [ NaN Infinity -Infinity ] } "},
    {"[[[[\"f\\u0000/a.py\\u00011\"], 0.0]], {}, [], \"\"]", 46,
     "[ [ [ [ \"f\\u0000/a.py\\u00011\" ] 0.0 ] ] { } [ ] \"\" ] "},
    {"\"\303\251\342\202\254\360\237\230\200 \\\"\\\\\\/\\b\\f\\n\\r\\t\"", 28,
     "\"\\u00e9\\u20ac\\ud83d\\ude00 \\\"\\\\/\\b\\f\\n\\r\\t\" "},
    {"  [ 1 , 2 ]\015\012\011", 14, "[ 1 2 ] "},
    {"-0", 2, "0 "},
    {"1E400", 5, "Infinity "},
    {"12345678901234567890123", 23, "1.2345678901234568e+22 "},
};

static void write_token(struct pyi_output *output, const struct pyi_json_reader *reader,
                        enum pyi_json_token token)
{
    static const char *const fixed[] = {
        [PYI_JSON_OBJECT_BEGIN] = "{", [PYI_JSON_OBJECT_END] = "}", [PYI_JSON_ARRAY_BEGIN] = "[",
        [PYI_JSON_ARRAY_END] = "]",    [PYI_JSON_TRUE] = "true",    [PYI_JSON_FALSE] = "false",
        [PYI_JSON_NULL] = "null",      [PYI_JSON_KEY] = "k",
    };
    if (token < sizeof(fixed) / sizeof(fixed[0]) && fixed[token])
        pyi_output_string(output, fixed[token]);
    if (token == PYI_JSON_KEY || token == PYI_JSON_STRING) {
        struct pyi_text text = pyi_json_text(reader);
        assert_int_equal(text.data[text.length], '\0');
        pyi_json_write_ascii(output, text);
    }
    if (token == PYI_JSON_NUMBER)
        pyi_json_write_number(output, pyi_json_number(reader));
    pyi_output_char(output, ' ');
}

/* The tokens as a heap string, NULL when refused. Takes over the reader. */
static char *spell_tokens(struct pyi_json_reader *reader)
{
    struct pyi_strbuf text = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&text);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    enum pyi_json_token token;
    int code;
    while (!(code = pyi_json_next(reader, &token, NULL)) && token != PYI_JSON_END)
        write_token(&output, reader, token);
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    pyi_json_reader_close(reader);
    if (!code)
        return pyi_strbuf_detach(&text);
    assert_int_equal(code, PYI_E_FORMAT);
    pyi_strbuf_deinit(&text);
    return NULL;
}

static void check_row(const struct row *row, char *tokens)
{
    if (!row->tokens && tokens)
        fail_msg("%s was accepted: %s", row->json, tokens);
    if (row->tokens && !tokens)
        fail_msg("%s was refused", row->json);
    if (row->tokens)
        assert_string_equal(tokens, row->tokens);
    free(tokens);
}

static void accepts_what_python_accepts(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_json_reader *reader;
        assert_int_equal(
            pyi_json_reader_open_memory(rows[i].json, rows[i].length, "row", &reader, NULL), 0);
        check_row(&rows[i], spell_tokens(reader));
    }
}

static struct pyi_json_reader *open_text(const char *json)
{
    struct pyi_json_reader *reader;
    assert_int_equal(pyi_json_reader_open_memory(json, strlen(json), "row", &reader, NULL), 0);
    return reader;
}

/* Blanks move each row over the end of the first block, byte by byte. */
static void tokens_across_blocks(void **state)
{
    const char *json = "{\"k\\u0000\": [\"\\ud83d\\ude00\", \"\303\251 text\", -12.5e-3, true]}";
    const char *expected =
        "{ k\"k\\u0000\" [ \"\\ud83d\\ude00\" \"\\u00e9 text\" -0.0125 true ] } ";
    size_t length = strlen(json), block = 256 * 1024;
    char *input = malloc(block + length + 1);
    assert_non_null(input);
    for (size_t before = block - length - 1; before <= block; before++) {
        memset(input, ' ', block);
        memcpy(input + before, json, length + 1);
        char *tokens = spell_tokens(open_text(input));
        assert_non_null(tokens);
        assert_string_equal(tokens, expected);
        free(tokens);
    }
    free(input);
}

static void reads_a_pipe(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const char json[] = "[1, \"two\"]";
    assert_int_equal(write(ends[1], json, sizeof(json) - 1), (int)sizeof(json) - 1);
    close(ends[1]);
    struct pyi_json_reader *reader;
    assert_int_equal(pyi_json_reader_open(ends[0], "pipe", &reader, NULL), 0);
    char *tokens = spell_tokens(reader);
    assert_string_equal(tokens, "[ 1 \"two\" ] ");
    free(tokens);
    close(ends[0]);
}

static void names_the_byte(void **state)
{
    static const struct {
        const char *json;
        unsigned long long byte;
    } wrong[] = {{"", 0}, {"[1,]", 3}, {"{\"a\" 1}", 5}, {"[\"a\tb\"]", 3}, {"{} x", 3}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct pyi_json_reader *reader = open_text(wrong[i].json);
        struct pyi_error err = {0};
        enum pyi_json_token token;
        while (pyi_json_next(reader, &token, &err) == 0)
            assert_int_not_equal(token, PYI_JSON_END);
        assert_int_equal(err.code, PYI_E_FORMAT);
        assert_int_equal(pyi_json_offset(reader), wrong[i].byte);
        assert_true(err.why[0]);
        pyi_json_reader_close(reader);
    }
}

static void bounds_nesting(void **state)
{
    for (size_t depth = 10000; depth <= 10001; depth++) {
        char *json = malloc(2 * depth + 1);
        assert_non_null(json);
        memset(json, '[', depth);
        memset(json + depth, ']', depth);
        json[2 * depth] = '\0';
        struct pyi_json_reader *reader = open_text(json);
        enum pyi_json_token token = PYI_JSON_NULL;
        int code = 0;
        while (!code && token != PYI_JSON_END)
            code = pyi_json_next(reader, &token, NULL);
        assert_int_equal(code, depth > 10000 ? PYI_E_LIMIT : 0);
        pyi_json_reader_close(reader);
        free(json);
    }
}

static void skips_values(void **state)
{
    struct pyi_json_reader *reader =
        open_text("{\"a\": {\"x\": [1, {}]}, \"b\": 5, \"c\": \"\\n\"}");
    enum pyi_json_token token;
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
        assert_int_equal(token, PYI_JSON_KEY);
        assert_int_equal(pyi_json_skip(reader, token, NULL), 0);
        assert_int_equal(pyi_json_depth(reader), 1);
    }
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    assert_true(pyi_text_equal(pyi_json_text(reader), pyi_text("c")));
    assert_int_equal(pyi_json_leave(reader, 0, NULL), 0);
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    assert_int_equal(token, PYI_JSON_END);
    pyi_json_reader_close(reader);
}

static void jumps_over_known_bytes(void **state)
{
    const char *known = "\"a\\u0000\", \"b\"";
    struct pyi_json_reader *reader = open_text("[\"a\\u0000\", \"b\", \"c\"]");
    pyi_json_set_lazy(reader, true);
    enum pyi_json_token token;
    size_t matched;
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    assert_int_equal(pyi_json_match(reader, known, strlen(known), &matched, NULL), 0);
    assert_int_equal(matched, strlen(known));
    pyi_json_jump(reader, matched);
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    assert_int_equal(token, PYI_JSON_STRING);
    assert_true(pyi_text_equal(pyi_json_lead(reader), pyi_text(", ")));
    assert_int_equal(pyi_json_raw(reader).length, 1);
    assert_memory_equal(pyi_json_raw(reader).data, "c", 1);
    assert_int_equal(pyi_json_next(reader, &token, NULL), 0);
    assert_int_equal(token, PYI_JSON_ARRAY_END);
    pyi_json_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_python_accepts),
        cmocka_unit_test(tokens_across_blocks),
        cmocka_unit_test(reads_a_pipe),
        cmocka_unit_test(names_the_byte),
        cmocka_unit_test(bounds_nesting),
        cmocka_unit_test(skips_values),
        cmocka_unit_test(jumps_over_known_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
