/* SPDX-License-Identifier: BSD-3-Clause */
/* test_merge.c - sessions of several processes as one. */
#include "src/base/text.h"
#include "src/record/follow/follow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct pyi_text bytes(const char *data, size_t length)
{
    return (struct pyi_text){data, length};
}
#define FRAME(literal) bytes(literal, sizeof(literal) - 1)

static uint32_t push(struct pyi_session *session, uint32_t parent, struct pyi_text info)
{
    uint32_t frame = 0, node = 0;
    assert_int_equal(pyi_session_intern_frame(session, info, &frame, NULL), 0);
    assert_int_equal(pyi_session_push_frame(session, parent, frame, &node, NULL), 0);
    return node;
}

static void add(struct pyi_session *session, uint32_t stack, double seconds)
{
    assert_int_equal(
        pyi_session_add_record(session, stack, (struct pyi_number){.value = seconds}, NULL), 0);
}

/* One thread with two records, and a jump; `pid` also tells the times apart. */
static struct pyi_session *make(int pid, const char *command, const char *note)
{
    struct pyi_session *session = NULL;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    uint32_t thread = push(session, PYI_STACK_ROOT,
                           FRAME("MainThread\0<thread>\0"
                                 "77"));
    uint32_t module = push(session, thread,
                           FRAME("<module>\0/a.py\0"
                                 "1"));
    add(session,
        push(session, module,
             FRAME("f\0/a.py\0"
                   "3\1l4")),
        0.5);
    add(session, module, pid / 10.0);
    const struct pyi_attach_jump jump = {1, 0.75};
    const struct pyi_attach_process process = {.pid = pid,
                                               .parent = 1,
                                               .command = pyi_text(command),
                                               .python = pyi_text("3.11.2"),
                                               .build = pyi_text("default"),
                                               .runtime = pyi_text(""),
                                               .root = pyi_text(""),
                                               .end = 2,
                                               .cpu = 1};
    const struct pyi_attach_thread row = {.name = pyi_text("MainThread"),
                                          .ident = 77,
                                          .start = 0.125,
                                          .records = 2,
                                          .samples = 5,
                                          .jumps = &jump,
                                          .jump_count = 1};
    const struct pyi_text notes[] = {pyi_text("the same"), pyi_text(note)};
    const struct pyi_attach attach = {.tool = pyi_text("1"),
                                      .mode = pyi_text("wall"),
                                      .processes = &process,
                                      .process_count = 1,
                                      .threads = &row,
                                      .thread_count = 1,
                                      .verified = 5,
                                      .notes = notes,
                                      .note_count = 2};
    assert_int_equal(pyi_session_set_attach(session, &attach, NULL), 0);
    pyi_session_set_number(session, PYI_SESSION_SAMPLE_COUNT, (struct pyi_number){5, 5, true});
    pyi_session_set_number(session, PYI_SESSION_CPU_TIME, (struct pyi_number){.value = 1});
    assert_int_equal(pyi_session_list_append(session, PYI_SESSION_SYS_PATH, pyi_text("/lib"), NULL),
                     0);
    assert_int_equal(
        pyi_session_list_append(session, PYI_SESSION_SYS_PATH, pyi_text(command), NULL), 0);
    assert_int_equal(pyi_session_list_append(session, PYI_SESSION_START_CALL_STACK,
                                             FRAME("MainThread\0<thread>\0"
                                                   "77"),
                                             NULL),
                     0);
    return session;
}

static struct pyi_text bottom_of(const struct pyi_session *session, uint32_t stack)
{
    while (pyi_session_stack_parent(session, stack) != PYI_STACK_ROOT)
        stack = pyi_session_stack_parent(session, stack);
    return pyi_session_frame_info(session, pyi_session_stack_frame(session, stack));
}

static void assert_text(struct pyi_text text, struct pyi_text expected)
{
    assert_int_equal(text.length, expected.length);
    assert_memory_equal(text.data, expected.data, expected.length);
}

static void test_two(void **state)
{
    struct pyi_session *merged = NULL;
    const struct pyi_part parts[] = {{make(10, "python a.py", "one"), 0},
                                     {make(20, "b\1\n", "other"), 1.5}};
    assert_int_equal(pyi_merge(parts, 2, true, &merged, NULL), 0);
    struct pyi_record records[5];
    uint64_t cursor = 0;
    size_t count = 0;
    while (pyi_session_next_record(merged, &cursor, &records[count]))
        count++;
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        /* Process by process, stacks as they were above the process. */
        assert_text(bottom_of(merged, records[i].stack),
                    i < 2 ? FRAME("python a.py (10)\0<process>\0"
                                  "10")
                          : FRAME("b\xef\xbf\xbd\n (20)\0<process>\0"
                                  "20"));
        assert_int_equal(pyi_session_stack_depth(merged, records[i].stack), i % 2 ? 3 : 4);
    }
    assert_true(records[3].seconds.value == 2.0);
    const struct pyi_attach *attach = pyi_session_attach(merged);
    assert_int_equal(attach->process_count, 2);
    assert_int_equal(attach->thread_count, 2);
    assert_true(attach->processes[1].start == 1.5 && attach->processes[1].end == 3.5);
    assert_int_equal(attach->threads[1].process, 1);
    assert_int_equal(attach->threads[1].first, 2);
    assert_true(attach->threads[1].start == 1.625);
    assert_true(attach->threads[1].jumps[0].seconds == 2.25);
    assert_int_equal(attach->threads[1].jumps[0].record, 1);
    assert_true(attach->threads[0].jumps[0].seconds == 0.75);
    assert_int_equal(attach->verified, 10);
    assert_int_equal(attach->note_count, 3);
    assert_true(pyi_session_number(merged, PYI_SESSION_CPU_TIME).value == 2);
    assert_int_equal(pyi_session_number(merged, PYI_SESSION_SAMPLE_COUNT).integer, 10);
    assert_int_equal(pyi_session_list_length(merged, PYI_SESSION_SYS_PATH), 3);
    assert_text(pyi_session_list_item(merged, PYI_SESSION_START_CALL_STACK, 0),
                FRAME("python a.py (10)\0<process>\0"
                      "10"));
    assert_int_equal(pyi_session_list_length(merged, PYI_SESSION_START_CALL_STACK), 2);
    pyi_session_free(merged);
    pyi_session_free(parts[0].session);
    pyi_session_free(parts[1].session);
}

static void test_one_without_a_level(void **state)
{
    struct pyi_session *merged = NULL;
    const struct pyi_part part = {make(10, "python a.py", "one"), 0.25};
    assert_int_equal(pyi_merge(&part, 1, false, &merged, NULL), 0);
    struct pyi_record record;
    uint64_t cursor = 0;
    assert_true(pyi_session_next_record(merged, &cursor, &record));
    assert_text(bottom_of(merged, record.stack), FRAME("MainThread\0<thread>\0"
                                                       "77"));
    assert_int_equal(pyi_session_list_length(merged, PYI_SESSION_START_CALL_STACK), 1);
    assert_true(pyi_session_attach(merged)->threads[0].start == 0.375);
    pyi_session_free(merged);
    pyi_session_free(part.session);
}

static void test_none(void **state)
{
    struct pyi_session *merged = NULL;
    assert_int_equal(pyi_merge(NULL, 0, true, &merged, NULL), 0);
    assert_int_equal(pyi_session_record_count(merged), 0);
    assert_null(pyi_session_attach(merged));
    pyi_session_free(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),
        cmocka_unit_test(test_one_without_a_level),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
