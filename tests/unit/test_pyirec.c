/* SPDX-License-Identifier: BSD-3-Clause */
/* test_pyirec.c - our own session files: there and back, cut off anywhere, damaged anywhere. */
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/session/pyirec.h"
#include "src/session/session.h"
#include "src/base/output.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct pyi_strbuf as_json(const struct pyi_session *session)
{
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    assert_int_equal(pyi_session_to_json(session, true, &sink, NULL), 0);
    return out;
}

static struct pyi_strbuf as_pyirec(const struct pyi_session *session)
{
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    struct pyi_error error = {0};
    if (pyi_session_to_pyirec(session, &sink, &error))
        fail_msg("%s", error.message);
    return out;
}

static void assert_same(const struct pyi_session *a, const struct pyi_session *b)
{
    struct pyi_strbuf first = as_json(a), second = as_json(b);
    if (!pyi_text_equal(pyi_strbuf_get(&first), pyi_strbuf_get(&second)))
        fail_msg("%s\n%s", first.data, second.data);
    pyi_strbuf_deinit(&first);
    pyi_strbuf_deinit(&second);
}

/* ---- there and back ------------------------------------------------------------------------- */

static void comes_back(const char *path)
{
    struct pyi_session *session, *again;
    if (pyi_session_load(path, &session, NULL))
        return; /* a fixture that is meant to be refused */
    struct pyi_strbuf file = as_pyirec(session);
    struct pyi_error error = {0};
    if (pyi_session_from_pyirec(file.data, file.length, &again, &error))
        fail_msg("%s: %s", path, error.message);
    assert_false(pyi_session_is_cut(again));
    assert_same(session, again);
    struct pyi_strbuf twice = as_pyirec(again);
    assert_int_equal(twice.length, file.length);
    assert_memory_equal(twice.data, file.data, file.length);
    pyi_strbuf_deinit(&twice);
    pyi_strbuf_deinit(&file);
    pyi_session_free(again);
    pyi_session_free(session);
}

static void all_sessions_come_back(void **state)
{
    glob_t found;
    size_t count = 0;
    assert_int_equal(glob("fixtures/sessions/*.pyisession", 0, NULL, &found), 0);
    assert_int_equal(
        glob("fixtures/sessions/*/*.pyisession", GLOB_APPEND, NULL, &found) & ~GLOB_NOMATCH, 0);
    for (size_t i = 0; i < found.gl_pathc; i++, count++)
        comes_back(found.gl_pathv[i]);
    assert_true(count >= 10);
    globfree(&found);
}

/* Larger than a block, and through files and pipes. */
static void large_ones_come_back(void **state)
{
    struct pyi_session *session, *again;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    uint64_t draw = 1;
    for (uint32_t i = 0; i < 400000; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        char text[40];
        int length = snprintf(text, sizeof(text), "f%u%c/p/a.py%c%u",
                              (unsigned)(draw >> 40) % 50000, 0, 0, 1u);
        uint32_t frame, stack;
        assert_int_equal(pyi_session_intern_frame(session, (struct pyi_text){text, (size_t)length},
                                                  &frame, NULL),
                         0);
        uint32_t parent = (uint32_t)(draw >> 20) % (uint32_t)session->stacks.node_count;
        assert_int_equal(pyi_session_push_frame(session, parent, frame, &stack, NULL), 0);
        assert_int_equal(pyi_session_add_record(
                             session, stack, pyi_number_double((double)(draw >> 44) / 1e9), NULL),
                         0);
    }
    char path[] = "/tmp/pyi-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pyi_session_save_pyirec(session, path, NULL), 0);
    assert_int_equal(pyi_session_load(path, &again, NULL), 0);
    assert_same(session, again);
    pyi_session_free(again);
    char command[80];
    snprintf(command, sizeof(command), "cat %s", path);
    FILE *pipe = popen(command, "r");
    int input = dup(STDIN_FILENO);
    dup2(fileno(pipe), STDIN_FILENO);
    int code = pyi_session_load("-", &again, NULL);
    dup2(input, STDIN_FILENO);
    close(input);
    pclose(pipe);
    unlink(path);
    assert_int_equal(code, 0);
    assert_same(session, again);
    pyi_session_free(again);
    pyi_session_free(session);
}

/* ---- what a recording writes ---------------------------------------------------------------- */

struct growing {
    struct pyi_session *session;
    struct pyi_pyirec_writer writer;
    struct pyi_strbuf file;
    struct pyi_sink sink;
    struct pyi_lane lanes[2];
    struct pyi_lane_cursor cursors[2];
    uint32_t roots[2], stacks[4];
    uint32_t truncated;
};

static uint32_t frame_of(struct pyi_session *session, const char *name)
{
    char text[60];
    int length = snprintf(text, sizeof(text), "%s%c/a.py%c1", name, 0, 0);
    uint32_t frame;
    assert_int_equal(
        pyi_session_intern_frame(session, (struct pyi_text){text, (size_t)length}, &frame, NULL),
        0);
    return frame;
}

static uint32_t push(struct pyi_session *session, uint32_t parent, const char *name)
{
    uint32_t stack;
    assert_int_equal(pyi_session_push_frame(session, parent, frame_of(session, name), &stack, NULL),
                     0);
    return stack;
}

static void add(struct growing *growing, int lane, uint32_t stack, enum pyi_state state,
                uint64_t time)
{
    const struct pyi_lane_item item = {stack, state, time};
    assert_true(pyi_lane_add(&growing->lanes[lane], &item));
}

static void grow_init(struct growing *growing)
{
    *growing = (struct growing){0};
    growing->sink = pyi_sink_strbuf(&growing->file);
    assert_int_equal(pyi_session_new(&growing->session, NULL), 0);
    struct pyi_session *session = growing->session;
    growing->truncated = frame_of(session, "[truncated]");
    growing->roots[0] = push(session, 0, "main");
    growing->roots[1] = push(session, 0, "worker");
    growing->stacks[0] = push(session, growing->roots[0], "f");
    growing->stacks[1] = push(session, growing->stacks[0], "g");
    growing->stacks[2] = push(session, growing->roots[1], "h");
    growing->stacks[3] = push(session, growing->stacks[0], "wrong");
    assert_int_equal(pyi_pyirec_begin(&growing->writer, &growing->sink, NULL), 0);
}

/* The end of a flush: everything that replaces what was there before. */
static void flush(struct growing *growing, uint32_t main_root, bool doubt, unsigned flags)
{
    struct pyi_pyirec_writer *writer = &growing->writer;
    assert_int_equal(pyi_pyirec_add_stacks(writer, growing->session, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pyi_pyirec_add_lane(writer, 7 + i, &growing->lanes[i],
                                             &growing->cursors[i], 1000000, NULL),
                         0);
    for (unsigned i = 0; i < 2; i++)
        pyi_pyirec_end(writer, 7 + i, &growing->lanes[i], 1000000);
    assert_int_equal(pyi_pyirec_add(writer, PYI_PYIREC_ENDS, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        pyi_pyirec_number(writer, 7 + i);
        pyi_pyirec_number(writer, i ? growing->roots[1] : main_root);
    }
    assert_int_equal(pyi_pyirec_add(writer, PYI_PYIREC_LANES, NULL), 0);
    if (doubt) {
        pyi_pyirec_number(writer, growing->truncated);
        pyi_pyirec_number(writer, growing->stacks[3]);
    }
    assert_int_equal(pyi_pyirec_add(writer, PYI_PYIREC_DOUBTS, NULL), 0);
    const struct pyi_attach_process process = {.pid = 1,
                                               .command = pyi_text("python"),
                                               .python = pyi_text("3.13"),
                                               .build = pyi_text("default"),
                                               .runtime = pyi_text(""),
                                               .root = pyi_text("")};
    const struct pyi_attach_thread threads[2] = {{.name = pyi_text("main"), .ident = 1},
                                                 {.name = pyi_text("worker"), .ident = 2}};
    const struct pyi_attach attach = {.tool = pyi_text("t"),
                                      .mode = pyi_text("wall"),
                                      .processes = &process,
                                      .process_count = 1,
                                      .threads = threads,
                                      .thread_count = 2};
    assert_int_equal(pyi_session_set_attach(growing->session, &attach, NULL), 0);
    assert_int_equal(pyi_pyirec_add_metadata(writer, growing->session, NULL), 0);
    assert_int_equal(pyi_pyirec_flush(writer, PYI_PYIREC_COMPLETE | flags, NULL), 0);
}

static void grow_deinit(struct growing *growing)
{
    pyi_pyirec_deinit(&growing->writer);
    pyi_lane_deinit(&growing->lanes[0]);
    pyi_lane_deinit(&growing->lanes[1]);
    pyi_strbuf_deinit(&growing->file);
    pyi_session_free(growing->session);
}

/* "main f g=1.5 ..." */
static void assert_records(const struct pyi_session *session, const char *expected)
{
    struct pyi_strbuf text = {0};
    struct pyi_record record;
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        struct pyi_text names[8];
        uint32_t depth = pyi_session_stack_depth(session, record.stack), stack = record.stack;
        for (uint32_t i = depth; i-- > 0; stack = pyi_session_stack_parent(session, stack))
            names[i] = pyi_session_frame_info(session, pyi_session_stack_frame(session, stack));
        for (uint32_t i = 0; i < depth; i++)
            pyi_strbuf_format(&text, "%s ", names[i].data);
        pyi_strbuf_format(&text, "= %g\n", record.seconds.value * 1e3);
    }
    assert_string_equal(pyi_strbuf_get(&text).data, expected);
    pyi_strbuf_deinit(&text);
}

static struct pyi_session *read_back(const struct pyi_strbuf *file, size_t length)
{
    struct pyi_session *session;
    struct pyi_error error = {0};
    if (pyi_session_from_pyirec(file->data, length, &session, &error))
        fail_msg("%s", error.message);
    return session;
}

static void recordings_grow(void **state)
{
    struct growing growing;
    grow_init(&growing);
    uint32_t *stacks = growing.stacks;
    add(&growing, 0, stacks[0], PYI_STATE_RUNNING, 1000000);
    add(&growing, 0, stacks[1], PYI_STATE_RUNNING, 1000000);
    add(&growing, 1, stacks[2], PYI_STATE_WAITING, 2000000);
    flush(&growing, growing.roots[0], false, 0);
    size_t first = growing.file.length;
    /* what still grows is there, and goes on */
    struct pyi_session *session = read_back(&growing.file, first);
    assert_true(pyi_session_is_cut(session));
    assert_records(session, "main f = 1\nmain f g = 1\nworker h = 2\n");
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_START_CALL_STACK), 2);
    pyi_session_free(session);

    add(&growing, 0, stacks[1], PYI_STATE_RUNNING, 1500000);
    add(&growing, 0, stacks[1], PYI_STATE_WAITING, 500);
    add(&growing, 0, stacks[3], PYI_STATE_RUNNING, 1000000);
    assert_true(pyi_lane_jump(&growing.lanes[0], 9000000));
    add(&growing, 0, stacks[3], PYI_STATE_RUNNING, 250000);
    add(&growing, 1, stacks[2], PYI_STATE_WAITING, 3000000);
    flush(&growing, growing.roots[0], true, PYI_PYIREC_LAST);
    session = read_back(&growing.file, growing.file.length);
    assert_false(pyi_session_is_cut(session));
    assert_records(session, "main f = 1\nmain f g = 2.5\nmain f g = 0.0005\n"
                            "main f [truncated] = 1\nmain f [truncated] = 0.25\nworker h = 5\n");
    const struct pyi_attach *attach = pyi_session_attach(session);
    const struct pyi_attach_thread *thread = &attach->threads[0];
    assert_int_equal(thread->records, 5);
    assert_int_equal(thread->state_count, 3);
    assert_int_equal(thread->states[1].code, PYI_STATE_WAITING);
    assert_int_equal(thread->jump_count, 1);
    assert_int_equal(thread->jumps[0].record, 4);
    assert_float_equal(thread->jumps[0].seconds, 0.008, 0);
    assert_int_equal(attach->threads[1].first, 5);
    assert_int_equal(attach->threads[1].records, 1);
    pyi_session_free(session);

    /* Cut off anywhere: nothing, the first part, or all. */
    for (size_t length = 0; length < growing.file.length; length++) {
        int code = pyi_session_from_pyirec(growing.file.data, length, &session, NULL);
        assert_int_equal(code, length < first ? PYI_E_FORMAT : 0);
        if (code)
            continue;
        assert_true(pyi_session_is_cut(session));
        assert_records(session, "main f = 1\nmain f g = 1\nworker h = 2\n");
        pyi_session_free(session);
    }
    grow_deinit(&growing);
}

/* The thread's name came late, when records had been written under the stand-in. */
static void recordings_are_renamed(void **state)
{
    struct growing growing;
    grow_init(&growing);
    add(&growing, 0, growing.stacks[0], PYI_STATE_RUNNING, 1000000);
    add(&growing, 0, growing.stacks[1], PYI_STATE_RUNNING, 1000000);
    flush(&growing, growing.roots[0], false, 0);
    uint32_t root = push(growing.session, 0, "MainThread");
    uint32_t f = push(growing.session, root, "f"), g = push(growing.session, f, "g");
    uint32_t map[] = {0, 0, 0, f, g, 0, 0, 0};
    assert_int_equal(growing.stacks[0], 3);
    assert_int_equal(growing.stacks[1], 4);
    assert_true(pyi_lane_map(&growing.lanes[0], map));
    growing.cursors[0] = (struct pyi_lane_cursor){0};
    struct pyi_lane_item item; /* find the place again */
    assert_true(pyi_lane_next(&growing.lanes[0], &growing.cursors[0], &item, NULL));
    add(&growing, 0, f, PYI_STATE_RUNNING, 1000000);
    flush(&growing, root, false, PYI_PYIREC_LAST);
    struct pyi_session *session = read_back(&growing.file, growing.file.length);
    assert_records(session, "MainThread f = 1\nMainThread f g = 1\nMainThread f = 1\n");
    pyi_session_free(session);
    grow_deinit(&growing);
}

/* ---- damage --------------------------------------------------------------------------------- */

/* A flipped bit is always noticed; nothing behind it is believed. */
static void damage_is_noticed(void **state)
{
    struct growing growing;
    grow_init(&growing);
    add(&growing, 0, growing.stacks[0], PYI_STATE_RUNNING, 1000000);
    flush(&growing, growing.roots[0], false, 0);
    size_t first = growing.file.length;
    add(&growing, 0, growing.stacks[1], PYI_STATE_RUNNING, 1000000);
    flush(&growing, growing.roots[0], false, PYI_PYIREC_LAST);
    for (size_t i = 0; i < growing.file.length * 8; i++) {
        struct pyi_session *session;
        growing.file.data[i / 8] ^= (char)(1 << i % 8);
        int code = pyi_session_from_pyirec(growing.file.data, growing.file.length, &session, NULL);
        assert_int_equal(code, i / 8 < first ? PYI_E_FORMAT : 0);
        if (!code) {
            assert_true(pyi_session_is_cut(session));
            assert_records(session, "main f = 1\n");
            pyi_session_free(session);
        }
        growing.file.data[i / 8] ^= (char)(1 << i % 8);
    }
    grow_deinit(&growing);
}

static void refuse(const char *section, size_t length, enum pyi_pyirec_tag tag, const char *why)
{
    struct growing growing;
    struct pyi_session *session;
    struct pyi_error error = {0};
    grow_init(&growing);
    assert_int_equal(pyi_pyirec_add_stacks(&growing.writer, growing.session, NULL), 0);
    pyi_strbuf_append(&growing.writer.section, section, length);
    assert_int_equal(pyi_pyirec_add(&growing.writer, tag, NULL), 0);
    flush(&growing, growing.roots[0], false, PYI_PYIREC_LAST);
    assert_int_equal(
        pyi_session_from_pyirec(growing.file.data, growing.file.length, &session, &error),
        PYI_E_FORMAT);
    assert_non_null(strstr(error.message, why));
    grow_deinit(&growing);
}
#define REFUSE(section, tag, why) refuse(section, sizeof(section) - 1, tag, why)

/* The right checksum over nonsense. */
static void nonsense_is_refused(void **state)
{
    REFUSE("\x05"
           "abc",
           PYI_PYIREC_FRAMES, "a frame is cut off");
    REFUSE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", PYI_PYIREC_FRAMES, "a frame is cut off");
    REFUSE("\x00\x00", PYI_PYIREC_STACKS, "a stack refers");
    REFUSE("\x08\x00", PYI_PYIREC_STACKS, "a stack refers");
    REFUSE("\x01\x63", PYI_PYIREC_STACKS, "a stack refers");
    REFUSE("\x07\x01", PYI_PYIREC_STACKS, "a stack is there twice");
    REFUSE("\xff\x7f\x01", PYI_PYIREC_RECORDS, "a record makes no sense");
    REFUSE("\x04\x01", PYI_PYIREC_RECORDS, "a record makes no sense");
    REFUSE("\x07\x00\x01\x05\xff\x7f\x01", PYI_PYIREC_LANE, "a record makes no sense");
    REFUSE("\x07\x00\x01\x05\x0e\x00", PYI_PYIREC_LANE, "a record makes no sense");
    REFUSE("\x07\x00\x01\x05", PYI_PYIREC_LANE, "records of a thread are missing");
    REFUSE("\x07\x00\x00\x0e\x01", PYI_PYIREC_LANE, "a record makes no sense");
    REFUSE("\x07\x01\x03\x01\x01\x05\x0e\x01", PYI_PYIREC_LANE, "records of a thread are missing");
    REFUSE("\x07\xff\xff\xff\xff\xff\xff\xff\xff\x7f", PYI_PYIREC_LANE, "cut off");
}

static void other_versions_are_refused(void **state)
{
    struct pyi_session *session;
    struct pyi_error error = {0};
    assert_int_equal(pyi_session_from_pyirec("\x93PYIREC\x02", 8, &session, &error), PYI_E_FORMAT);
    assert_non_null(strstr(error.message, "version 2"));
    assert_int_equal(pyi_session_from_pyirec("\x93PYIRE", 6, &session, &error), PYI_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sessions_come_back),
        cmocka_unit_test(large_ones_come_back),
        cmocka_unit_test(recordings_grow),
        cmocka_unit_test(recordings_are_renamed),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(other_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
