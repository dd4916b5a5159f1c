/* SPDX-License-Identifier: BSD-3-Clause */
/* test_session.c - metadata, records, combining, resampling, `attach`, current prefixes. */
#include "src/session/session.h"

#include "src/base/number.h"
#include "src/base/output.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct pyi_session *new_session(void)
{
    struct pyi_session *session;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    return session;
}

static uint32_t push(struct pyi_session *session, uint32_t parent, const char *info)
{
    uint32_t frame, node;
    assert_int_equal(pyi_session_intern_frame(session, pyi_text(info), &frame, NULL), 0);
    assert_int_equal(pyi_session_push_frame(session, parent, frame, &node, NULL), 0);
    return node;
}

static void record(struct pyi_session *session, uint32_t stack, double seconds)
{
    assert_int_equal(pyi_session_add_record(session, stack, pyi_number_double(seconds), NULL), 0);
}

static void append(struct pyi_session *session, enum pyi_session_list which, const char *item)
{
    assert_int_equal(pyi_session_list_append(session, which, pyi_text(item), NULL), 0);
}

static void assert_json(const struct pyi_session *session, bool with_records, const char *expected)
{
    struct pyi_strbuf got = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    assert_int_equal(pyi_session_to_json(session, with_records, &sink, NULL), 0);
    assert_string_equal(got.data, expected);
    pyi_strbuf_deinit(&got);
}

static void begins_empty(void **state)
{
    struct pyi_session *session = new_session();
    assert_json(session, true,
                "{\"start_time\": 0, \"duration\": 0, \"min_interval\": 0.001, "
                "\"max_interval\": 0.001, \"sample_count\": 0, \"start_call_stack\": [], "
                "\"target_description\": \"\", \"cpu_time\": 0, \"sys_path\": [], "
                "\"sys_prefixes\": [], \"frame_records\": []}");
    assert_json(session, false,
                "{\"start_time\": 0, \"duration\": 0, \"min_interval\": 0.001, "
                "\"max_interval\": 0.001, \"sample_count\": 0, \"start_call_stack\": [], "
                "\"target_description\": \"\", \"cpu_time\": 0, \"sys_path\": [], "
                "\"sys_prefixes\": []}");
    assert_null(pyi_session_attach(session));
    assert_int_equal(pyi_session_list_item(session, PYI_SESSION_SYS_PATH, 5).length, 0);
    pyi_session_free(session);
    pyi_session_free(NULL);
}

static void refuses_unknown_numbers(void **state)
{
    struct pyi_session *session = new_session();
    uint32_t node = 77;
    assert_int_equal(pyi_session_push_frame(session, 0, 0, &node, NULL), PYI_E_INVALID);
    assert_int_equal(node, 77);
    push(session, 0, "f");
    assert_int_equal(pyi_session_push_frame(session, 2, 0, &node, NULL), PYI_E_INVALID);
    assert_int_equal(pyi_session_add_record(session, 2, pyi_number_integer(1), NULL),
                     PYI_E_INVALID);
    assert_int_equal(pyi_session_record_count(session), 0);
    pyi_session_free(session);
}

static struct pyi_session *example(double start, const char *suffix)
{
    struct pyi_session *session = new_session();
    char text[32];
    pyi_session_set_number(session, PYI_SESSION_START_TIME, pyi_number_double(start));
    pyi_session_set_number(session, PYI_SESSION_DURATION, pyi_number_double(start / 10));
    pyi_session_set_number(session, PYI_SESSION_SAMPLE_COUNT, pyi_number_integer(2));
    pyi_session_set_number(session, PYI_SESSION_MIN_INTERVAL, pyi_number_double(start / 100));
    pyi_session_set_number(session, PYI_SESSION_MAX_INTERVAL, pyi_number_double(start / 100));
    snprintf(text, sizeof(text), "Program: %s", suffix);
    assert_int_equal(pyi_session_set_target_description(session, pyi_text(text), NULL), 0);
    append(session, PYI_SESSION_START_CALL_STACK, suffix);
    append(session, PYI_SESSION_SYS_PATH, "/both");
    append(session, PYI_SESSION_SYS_PATH, suffix);
    append(session, PYI_SESSION_SYS_PREFIXES, "/usr");
    append(session, PYI_SESSION_SYS_PREFIXES, "/usr");
    append(session, PYI_SESSION_SYS_PREFIXES, suffix);
    uint32_t main = push(session, 0, "main");
    record(session, push(session, main, suffix), 0.5);
    record(session, main, 0.25);
    record(session, 0, 1);
    return session;
}

static void combines_the_earlier_first(void **state)
{
    struct pyi_session *early = example(1, "a"), *late = example(2, "b"), *both;
    assert_int_equal(pyi_session_combine(late, early, &both, NULL), 0);
    pyi_session_free(early);
    pyi_session_free(late);
    assert_json(both, true,
                "{\"start_time\": 1.0, \"duration\": 0.30000000000000004, \"min_interval\": 0.01, "
                "\"max_interval\": 0.02, \"sample_count\": 4, \"start_call_stack\": [\"a\"], "
                "\"target_description\": \"Program: a\", \"cpu_time\": 0, "
                "\"sys_path\": [\"/both\", \"a\", \"b\"], \"sys_prefixes\": [\"/usr\", \"a\", "
                "\"b\"], \"frame_records\": [[[\"main\", \"a\"], 0.5], [[\"main\"], 0.25], "
                "[[], 1.0], [[\"main\", \"b\"], 0.5], [[\"main\"], 0.25], [[], 1.0]]}");
    pyi_session_free(both);
}

static void resamples_with_upstream_arithmetic(void **state)
{
    struct pyi_session *session = example(1, "a"), *result = NULL;
    assert_int_equal(pyi_session_resample(session, 0, &result, NULL), PYI_E_INVALID);
    assert_null(result);
    /* 0.5 | 0.75 -> 0.15 | 1.15 -> 0.55 (of doubles) */
    assert_int_equal(pyi_session_resample(session, 0.6, &result, NULL), 0);
    assert_json(result, true,
                "{\"start_time\": 1.0, \"duration\": 0.1, \"min_interval\": 0.6, "
                "\"max_interval\": 0.6, \"sample_count\": 2, \"start_call_stack\": [\"a\"], "
                "\"target_description\": \"Program: a\", \"cpu_time\": 0, \"sys_path\": "
                "[\"/both\", \"a\"], \"sys_prefixes\": [\"/usr\", \"/usr\", \"a\"], "
                "\"frame_records\": [[[\"main\"], 0.75], [[], 1.15]]}");
    pyi_session_free(result);
    pyi_session_free(session);
}

/* ---- attach -------------------------------------------------------------------------------- */

static const struct pyi_attach_jump jumps[] = {{1, 0.5}};
static const struct pyi_attach_state states[] = {{2, PYI_STATE_RUNNING}, {1, PYI_STATE_WAITING}};
static const struct pyi_attach_process processes[] = {{
    .pid = 12,
    .parent = 1,
    .command = {"python3 a.py", 12},
    .python = {"3.13.0", 6},
    .build = {"default", 7},
    .runtime = {"symbol", 6},
    .root = {"", 0},
    .end = 1.5,
    .cpu = 0.25,
}};
static const struct pyi_attach_thread threads[] = {{
    .name = {"MainThread", 10},
    .ident = UINT64_C(140000000000000),
    .tid = 12,
    .records = 3,
    .samples = 30,
    .idle = true,
    .jumps = jumps,
    .jump_count = 1,
    .states = states,
    .state_count = 2,
}};
static const struct pyi_text notes[] = {{"note", 4}};
static const struct pyi_attach attach = {
    .tool = {"0.1.0", 5},
    .mode = {"wall", 4},
    .processes = processes,
    .process_count = 1,
    .threads = threads,
    .thread_count = 1,
    .ticks = 30,
    .verified = 29,
    .lost = 1,
    .unobserved = 0.125,
    .notes = notes,
    .note_count = 1,
};

static void attach_is_copied_and_joined(void **state)
{
    struct pyi_session *early = example(1, "a"), *late = example(3, "b"), *both;
    assert_int_equal(pyi_session_set_attach(early, &attach, NULL), 0);
    assert_int_equal(pyi_session_set_attach(early, pyi_session_attach(early), NULL), 0);
    assert_int_equal(pyi_session_set_attach(late, &attach, NULL), 0);
    assert_ptr_not_equal(pyi_session_attach(early)->threads, threads);
    assert_ptr_not_equal(pyi_session_attach(early)->threads[0].name.data, threads[0].name.data);
    assert_int_equal(pyi_session_combine(early, late, &both, NULL), 0);
    pyi_session_free(early);
    const struct pyi_attach *got = pyi_session_attach(both);
    assert_int_equal(got->process_count, 2);
    assert_int_equal(got->thread_count, 2);
    assert_int_equal(got->note_count, 2);
    assert_int_equal(got->ticks, 60);
    assert_int_equal(got->threads[1].process, 1);
    assert_int_equal(got->threads[1].first, 3);
    assert_true(got->threads[1].start == 2 && got->processes[1].end == 3.5);
    assert_true(got->threads[1].idle);
    assert_int_equal(got->threads[1].states[1].code, PYI_STATE_WAITING);
    assert_true(got->threads[0].jumps[0].seconds == 0.5);
    assert_true(got->threads[1].jumps[0].seconds == 2.5);
    pyi_session_free(both);
    /* Only the later one has any. */
    early = example(1, "a");
    assert_int_equal(pyi_session_combine(late, early, &both, NULL), 0);
    got = pyi_session_attach(both);
    assert_int_equal(got->threads[0].first, 3);
    assert_true(pyi_text_equal(got->mode, pyi_text("wall")));
    pyi_session_free(both);
    pyi_session_free(early);
    assert_int_equal(pyi_session_set_attach(late, NULL, NULL), 0);
    assert_null(pyi_session_attach(late));
    pyi_session_free(late);
}

/* ---- current prefixes ---------------------------------------------------------------------- */

static int make_script(const char *path, const char *body)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    fclose(file);
    return chmod(path, 0700);
}

static int ask(const char *body, struct pyi_strbuf *got, struct pyi_error *err)
{
    char directory[] = "/tmp/pyi-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/python", directory);
    assert_int_equal(make_script(path, body), 0);
    struct pyi_sink sink = pyi_sink_strbuf(got);
    int code = pyi_session_current_sys_prefixes(path, &sink, err);
    unlink(path);
    rmdir(directory);
    return code;
}

static void asks_an_interpreter(void **state)
{
    struct pyi_strbuf got = {0};
    struct pyi_error err = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    assert_int_equal(ask("printf '/a\\0/b\\0/\\377\\0/d'", &got, &err), 0);
    assert_int_equal(got.length, 13);
    assert_memory_equal(got.data, "/a\0/b\0/\xed\xb3\xbf\0/d", 13);
    pyi_strbuf_reset(&got);
    assert_int_equal(ask("printf '/a\\0/b\\0/c'", &got, &err), PYI_E_FORMAT);
    assert_int_equal(ask("printf '/a\\0/b\\0/c\\0/d'; exit 1", &got, &err), PYI_E_FORMAT);
    assert_int_equal(ask("cat /dev/zero", &got, &err), PYI_E_FORMAT);
    assert_int_equal(got.length, 0);
    assert_int_equal(pyi_session_current_sys_prefixes("/nowhere/python", &sink, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOENT);
    pyi_strbuf_deinit(&got);
}

static void asks_a_real_interpreter(void **state)
{
    if (access("/usr/bin/python3", X_OK) != 0) {
        print_message("/usr/bin/python3 is missing\n");
        skip();
    }
    struct pyi_strbuf got = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    assert_int_equal(pyi_session_current_sys_prefixes("/usr/bin/python3", &sink, NULL), 0);
    assert_memory_equal(got.data, "/usr\0/usr\0/usr\0/usr", 20);
    pyi_strbuf_deinit(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_empty),
        cmocka_unit_test(refuses_unknown_numbers),
        cmocka_unit_test(combines_the_earlier_first),
        cmocka_unit_test(resamples_with_upstream_arithmetic),
        cmocka_unit_test(attach_is_copied_and_joined),
        cmocka_unit_test(asks_an_interpreter),
        cmocka_unit_test(asks_a_real_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
