/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pyisession.c - session files: round trip to the byte, odd layouts, refusals.
 *
 * The files are those of fixtures/sessions/, written by CPython; run from the repository's root.
 */
#include "src/base/number.h"
#include "src/base/output.h"
#include "src/session/attach.h"
#include "src/session/session.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define FOLDER "fixtures/sessions/"

static void read_whole(const char *path, struct pyi_strbuf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing: run from the repository's root", path);
    char block[4096];
    for (size_t got; (got = fread(block, 1, sizeof(block), file));)
        pyi_strbuf_append(out, block, got);
    fclose(file);
}

static void spell(const struct pyi_session *session, struct pyi_strbuf *out)
{
    struct pyi_sink sink = pyi_sink_strbuf(out);
    assert_int_equal(pyi_session_to_json(session, true, &sink, NULL), 0);
}

static struct pyi_session *load(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), FOLDER "%s.pyisession", name);
    struct pyi_session *session;
    struct pyi_error err = {0};
    if (pyi_session_load(path, &session, &err))
        fail_msg("%s", err.message);
    return session;
}

static void comes_back_to_the_byte(void **state)
{
    static const char *const names[] = {"one",     "empty",       "empty_stacks", "numbers",
                                        "strings", "two_threads", "attach"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct pyi_strbuf written = {0}, original = {0};
        struct pyi_session *session = load(names[i]);
        spell(session, &written);
        char path[128];
        snprintf(path, sizeof(path), FOLDER "%s.pyisession", names[i]);
        read_whole(path, &original);
        assert_string_equal(written.data, original.data);
        pyi_strbuf_deinit(&written);
        pyi_strbuf_deinit(&original);
        pyi_session_free(session);
    }
}

static struct pyi_session *from_text(const char *json)
{
    struct pyi_session *session;
    struct pyi_error err = {0};
    if (pyi_session_from_json(json, strlen(json), &session, &err))
        fail_msg("%s", err.message);
    return session;
}

#define REST                                                                                       \
    "\"start_time\": 1, \"duration\": 2, \"sample_count\": 1, \"start_call_stack\": [], "          \
    "\"target_description\": \"t\", \"cpu_time\": 0.5"

static void assert_records(const struct pyi_session *session, const char *expected)
{
    struct pyi_strbuf written = {0};
    spell(session, &written);
    const char *found = strstr(written.data, "\"frame_records\": ");
    assert_non_null(found);
    assert_string_equal(found + 17, expected);
    pyi_strbuf_deinit(&written);
}

static void order_and_repetition_do_not_matter(void **state)
{
    struct pyi_session *session = load("odd_layout");
    assert_int_equal(pyi_session_number(session, PYI_SESSION_DURATION).integer, 7);
    struct pyi_number cpu = pyi_session_number(session, PYI_SESSION_CPU_TIME);
    assert_true(cpu.is_integer && cpu.integer == 0);
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_SYS_PREFIXES), 4);
    assert_int_equal(pyi_session_stacks(session)->infos.count, 2);
    assert_records(session,
                   "[[[\"x\\u0000y\\u00001\"], 2], [[\"x\\u0000y\\u00001\", \"z\"], 2.5]]}");
    pyi_session_free(session);
}

static void old_files_get_defaults(void **state)
{
    struct pyi_session *session = load("from_4_7");
    assert_true(pyi_session_number(session, PYI_SESSION_MIN_INTERVAL).value == 0.001);
    assert_true(pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value == 0.001);
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_SYS_PATH), 0);
    assert_int_equal(pyi_session_record_count(session), 1);
    pyi_session_free(session);
}

/* Stacks that share their beginning as bytes, as strings, or not as they seem. */
static void stacks_are_told_apart(void **state)
{
    const char *records = "[[[\"a\", \"b\", \"c\"], 1], [[\"a\", \"b\"], 1], [[\"a\", \"bc\"], 1], "
                          "[[\"a\", \"b\", \"c\", \"d\"], 1], [[], 1], [[\"a\"], 1], "
                          "[[\"ab\"], 1], [[\"a\\\"\", \"b\"], 1], [[\"a\\\"\"], 1]]}";
    char text[1024];
    snprintf(text, sizeof(text), "{%s, \"frame_records\": %s", REST, records);
    struct pyi_session *session = from_text(text);
    assert_records(session, records);
    assert_int_equal(pyi_session_stacks(session)->node_count, 9);
    pyi_session_free(session);
    /* The same strings spelled otherwise are the same stacks. */
    session =
        from_text("{" REST ", \"frame_records\":[[[\"\\u0061\",\"b\"],1],[[\"a\" ,\"b\"],1],\n"
                  "[[  \"a\",\"\\u0062\"]  ,1 ],[[\"a\",\"b\"],1.0]] }");
    assert_int_equal(pyi_session_stacks(session)->node_count, 3);
    assert_records(session,
                   "[[[\"a\", \"b\"], 1], [[\"a\", \"b\"], 1], [[\"a\", \"b\"], 1], [[\"a\", "
                   "\"b\"], 1.0]]}");
    pyi_session_free(session);
}

/* Many records whose stacks change at every depth, so that they cross the reader's blocks. */
static void large_files_come_back(void **state)
{
    struct pyi_strbuf text = {0}, written = {0};
    pyi_strbuf_string(&text, "{\"start_time\": 1, \"duration\": 2, \"min_interval\": 0.001, "
                             "\"max_interval\": 0.001, \"sample_count\": 1, \"start_call_stack\": "
                             "[], \"target_description\": \"t\", \"cpu_time\": 0.5, \"sys_path\": "
                             "[], \"sys_prefixes\": [], \"frame_records\": [");
    unsigned seed = 1, stack[40] = {0};
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned depth = 1 + (seed >> 16) % 40;
        stack[(seed >> 8) % 40]++;
        pyi_strbuf_string(&text, i ? ", [[" : "[[");
        for (unsigned j = 0; j < depth; j++)
            pyi_strbuf_format(&text, "%s\"f%u\\u0000/a/\\u00e9.py\\u00001\"", j ? ", " : "",
                              j * 100 + stack[j] % 7);
        pyi_strbuf_format(&text, "], 0.00%d]", i + 1001);
        if (text.data[text.length - 2] == '0') { /* repr has no trailing zero */
            text.length--;
            text.data[text.length - 1] = ']';
            while (text.data[text.length - 2] == '0') {
                text.length--;
                text.data[text.length - 1] = ']';
            }
        }
    }
    pyi_strbuf_string(&text, "]}");
    struct pyi_session *session;
    assert_int_equal(pyi_session_from_json(text.data, text.length, &session, NULL), 0);
    assert_int_equal(pyi_session_record_count(session), 3000);
    spell(session, &written);
    assert_int_equal(written.length, text.length);
    assert_memory_equal(written.data, text.data, text.length);
    pyi_session_free(session);
    pyi_strbuf_deinit(&text);
    pyi_strbuf_deinit(&written);
}

static void refuses_bad_files(void **state)
{
    static const struct {
        const char *name, *reason;
    } rows[] = {
        {"empty", "JSON error at byte 0"},
        {"cut", "JSON error at byte 390"},
        {"byte_order_mark", "JSON error at byte 0"},
        {"not_utf8", "JSON error at byte 257"},
        {"trailing_comma", "JSON error at byte 549"},
        {"list", "its top level is not an object"},
        {"from_4_6", "missing key 'target_description'"},
        {"frame_not_string", "'frame_records' is not a list of records"},
        {"duration_not_number", "'duration' is not a number"},
        {"attach_records", "thread 0 has records that do not exist"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[128], expected[300];
        snprintf(path, sizeof(path), FOLDER "bad/%s.pyisession", rows[i].name);
        snprintf(expected, sizeof(expected), "%s: not a session file (%s)", path, rows[i].reason);
        struct pyi_session *session = NULL;
        struct pyi_error err = {0};
        assert_int_equal(pyi_session_load(path, &session, &err), PYI_E_FORMAT);
        assert_null(session);
        assert_string_equal(err.message, expected);
        assert_string_equal(err.slug, "session-bad");
    }
    struct pyi_session *session = NULL;
    struct pyi_error err = {0};
    assert_int_equal(pyi_session_load(FOLDER "bad/newer.pyisession", &session, &err), PYI_E_FORMAT);
    assert_non_null(strstr(err.message, "written by pyinstrument 9.9 in a format newer"));
    assert_int_equal(pyi_session_load(FOLDER "absent", &session, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(pyi_session_load(FOLDER, &session, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, EISDIR);
    assert_int_equal(pyi_session_load(FOLDER "bad/cut.pyisession", &session, NULL), PYI_E_FORMAT);
    assert_null(session);
}

static void names_the_first_missing_key(void **state)
{
    static const char *const order[] = {"frame_records", "start_time",       "duration",
                                        "sample_count",  "start_call_stack", "target_description",
                                        "cpu_time"};
    static const char *const values[] = {"[]", "1", "1", "1", "[]", "\"\"", "1"};
    struct pyi_strbuf text = {0};
    pyi_strbuf_string(&text, "{\"x\": 0");
    for (size_t i = 0; i < 7; i++) {
        struct pyi_session *session;
        struct pyi_error err = {0};
        pyi_strbuf_char(&text, '}');
        assert_int_equal(pyi_session_from_json(text.data, text.length, &session, &err),
                         PYI_E_FORMAT);
        char expected[64];
        snprintf(expected, sizeof(expected), "missing key '%s'", order[i]);
        assert_non_null(strstr(err.message, expected));
        text.length--;
        pyi_strbuf_format(&text, ", \"%s\": %s", order[i], values[i]);
    }
    pyi_strbuf_char(&text, '}');
    pyi_session_free(from_text(text.data));
    pyi_strbuf_deinit(&text);
}

static void last_of_equal_keys_decides(void **state)
{
    struct pyi_session *session =
        from_text("{\"duration\": \"x\", \"sys_path\": 1, \"frame_records\": [[5]], \"attach\": "
                  "{\"ticks\": 5}, " REST ", \"frame_records\": [[[\"b\"], 1]], \"sys_path\": "
                  "[\"/p\"], \"attach\": null}");
    assert_records(session, "[[[\"b\"], 1]]}");
    assert_null(pyi_session_attach(session));
    pyi_session_free(session);
}

static void attach_skips_what_it_does_not_know(void **state)
{
    struct pyi_session *session = from_text(
        "{" REST ", \"frame_records\": [[[], 1], [[], 1]], \"attach\": {\"v\": 1, \"later\": [{}], "
        "\"tool\": 5, \"mode\": \"cpu\", \"ticks\": \"x\", \"verified\": -1, \"lost\": 1e30, "
        "\"missed\": 2.0, \"stopped\": 3, \"processes\": [7, {\"pid\": -5, \"x\": {}}], "
        "\"threads\": [{\"process\": 1, \"ident\": 1.5e19, \"idle\": 1, \"records\": 2, "
        "\"jumps\": [[1, 2, [3]], 4], \"states\": [[2, 9], [1, 3]]}, {\"jumps\": {}, \"name\": "
        "\"w\"}], \"notes\": [1, \"n\", null]}}");
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_non_null(attach);
    assert_int_equal(attach->tool.length, 0);
    assert_true(pyi_text_equal(attach->mode, pyi_text("cpu")));
    assert_int_equal(attach->ticks, 0);
    assert_int_equal(attach->verified, 0);
    assert_int_equal(attach->lost, 0);
    assert_int_equal(attach->missed, 2);
    assert_true(attach->stopped == 3);
    assert_int_equal(attach->process_count, 2);
    assert_int_equal(attach->processes[1].pid, -5);
    assert_int_equal(attach->processes[0].command.length, 0);
    assert_non_null(attach->processes[0].command.data);
    assert_int_equal(attach->thread_count, 2);
    assert_true(attach->threads[0].ident == UINT64_C(15000000000000000000));
    assert_false(attach->threads[0].idle);
    assert_int_equal(attach->threads[0].jump_count, 1);
    assert_true(attach->threads[0].jumps[0].seconds == 2);
    assert_int_equal(attach->threads[0].state_count, 2);
    assert_int_equal(attach->threads[0].states[0].code, PYI_STATE_UNKNOWN);
    assert_int_equal(attach->threads[0].states[1].code, PYI_STATE_GIL_WAIT);
    assert_true(pyi_text_equal(attach->threads[1].name, pyi_text("w")));
    assert_int_equal(attach->note_count, 1);
    pyi_session_free(session);
}

static void saves_to_a_file(void **state)
{
    char directory[] = "/tmp/pyi-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s.pyisession", directory);
    struct pyi_session *session = load("attach"), *again;
    assert_int_equal(pyi_session_save(session, path, NULL), 0);
    pyi_session_free(session);
    assert_int_equal(pyi_session_load(path, &again, NULL), 0);
    assert_int_equal(pyi_session_attach(again)->thread_count, 2);
    pyi_session_free(again);
    unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

static void reads_standard_input(void **state)
{
    int saved = dup(STDIN_FILENO);
    int fd = open(FOLDER "one.pyisession", O_RDONLY);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    struct pyi_session *session;
    assert_int_equal(pyi_session_load("-", &session, NULL), 0);
    assert_int_equal(pyi_session_record_count(session), 1);
    pyi_session_free(session);
    /* Now at the end of the file, and still open. */
    struct pyi_error err = {0};
    assert_int_equal(pyi_session_load("-", &session, &err), PYI_E_FORMAT);
    assert_string_equal(err.message, "standard input: not a session file (JSON error at byte 0)");
    dup2(saved, STDIN_FILENO);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_to_the_byte),
        cmocka_unit_test(order_and_repetition_do_not_matter),
        cmocka_unit_test(old_files_get_defaults),
        cmocka_unit_test(stacks_are_told_apart),
        cmocka_unit_test(large_files_come_back),
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(names_the_first_missing_key),
        cmocka_unit_test(last_of_equal_keys_decides),
        cmocka_unit_test(attach_skips_what_it_does_not_know),
        cmocka_unit_test(saves_to_a_file),
        cmocka_unit_test(reads_standard_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
