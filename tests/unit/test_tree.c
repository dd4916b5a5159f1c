/* SPDX-License-Identifier: BSD-3-Clause */
/* test_tree.c - building trees: open frames, stems, attributes, idle threads, depth, groups. */
#include <pyinstrument/frame.h>

#include "src/base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MAIN "MainThread\\u0000<thread>\\u00001"
#define WORK "worker\\u0000<thread>\\u00002"

static struct pyi_session *session_of(const char *stem, const char *records, const char *attach)
{
    struct pyi_strbuf json = {0};
    struct pyi_session *session;
    struct pyi_error err;
    pyi_strbuf_format(&json,
                      "{\"start_time\": 1, \"duration\": 1, \"sample_count\": 1, "
                      "\"start_call_stack\": [%s], \"target_description\": \"t\", \"cpu_time\": 0, "
                      "\"sys_path\": [], \"sys_prefixes\": [\"/usr\"], \"frame_records\": [%s]%s}",
                      stem, records, attach);
    if (pyi_session_from_json(json.data, json.length, &session, &err))
        fail_msg("%s", err.message);
    pyi_strbuf_deinit(&json);
    return session;
}

/* The tree as "name time(children)", children separated by blanks. */
static void describe(const struct pyi_frame *root, struct pyi_strbuf *out)
{
    for (const struct pyi_frame *f = root; f;) {
        pyi_strbuf_text(out, pyi_frame_function(f));
        pyi_strbuf_format(out, " %g", pyi_frame_time(f));
        const struct pyi_frame *next = pyi_frame_first_child(f);
        if (next)
            pyi_strbuf_char(out, '(');
        for (; !next && f != root; f = pyi_frame_parent(f)) {
            next = pyi_frame_next(f);
            pyi_strbuf_string(out, next ? " " : ")");
        }
        f = next;
    }
}

static void expect(const char *stem, const char *records, unsigned flags, const char *expected)
{
    struct pyi_session *session = session_of(stem, records, "");
    struct pyi_tree *tree;
    struct pyi_strbuf text = {0};
    assert_int_equal(pyi_tree_build(session, flags, &tree, NULL), 0);
    assert_int_equal(pyi_tree_check(tree, NULL), 0);
    if (pyi_tree_root(tree))
        describe(pyi_tree_root(tree), &text);
    assert_string_equal(pyi_strbuf_get(&text).data, expected);
    pyi_strbuf_deinit(&text);
    pyi_tree_free(tree);
    pyi_session_free(session);
}

static void test_build(void **state)
{
    expect("", "", 0, "");
    expect("", "[[], 1]", 0, "[self] 1");
    expect("", "[[], 1], [[], 2]", 0, "[root] 3([self] 1 [self] 2)");
    expect("", "[[\"a\"], 1], [[], 2]", 0, "[root] 3(a 1([self] 1) [self] 2)");
    expect("", "[[\"a\"], 1], [[\"a\"], 2]", 0, "a 3([self] 1 [self] 2)");
    expect("", "[[\"a\", \"b\"], 1], [[\"a\"], 2], [[\"a\", \"b\"], 4]", 0,
           "a 7(b 1([self] 1) [self] 2 b 4([self] 4))");
    /* other attributes, same code: the frame stays open */
    expect("", "[[\"a\\u0001l1\", \"b\"], 1], [[\"a\\u0001l2\", \"b\"], 2]", 0,
           "a 3(b 3([self] 1 [self] 2))");
    expect("", "[[\"a\", \"[await]\"], 1], [[\"a\", \"[await]\"], 2]", 0, "a 3([await] 3)");
}

static void test_stem(void **state)
{
    const char *one = "[[\"a\", \"b\", \"c\"], 1]";
    expect("", one, 0, "a 1(b 1(c 1([self] 1)))");
    expect("\"a\\u0001l3\", \"b\"", one, 0, "b 1(c 1([self] 1))");
    expect("\"a\", \"b\"", one, PYI_TREE_KEEP_STEM, "a 1(b 1(c 1([self] 1)))");
    expect("\"x\", \"b\"", one, 0, "a 1(b 1(c 1([self] 1)))");
    expect("\"a\", \"x\"", one, 0, "a 1(b 1(c 1([self] 1)))");
    expect("\"a\", \"b\"", "[[\"a\", \"b\"], 1], [[\"a\", \"x\"], 1]", 0,
           "a 2(b 1([self] 1) x 1([self] 1))");
    expect("\"a\", \"b\"", "[[\"a\", \"b\"], 1], [[\"a\"], 1]", 0, "a 2(b 1([self] 1) [self] 1)");
}

static void test_leaf_only(void **state)
{
    static const char *const leaves[] = {"[await]", "[self]", "[out-of-context]"};
    for (size_t i = 0; i < 3; i++) {
        char records[128];
        struct pyi_tree *tree;
        struct pyi_error err;
        snprintf(records, sizeof(records), "[[\"a\", \"%s\", \"b\"], 1]", leaves[i]);
        struct pyi_session *session = session_of("", records, "");
        assert_int_equal(pyi_tree_build(session, 0, &tree, &err), PYI_E_FORMAT);
        pyi_session_free(session);
    }
}

static void test_attributes(void **state)
{
    struct pyi_session *session =
        session_of("",
                   "[[\"a\\u0001cA\\u0001l1\"], 1], [[\"a\\u0001cB\"], 2], "
                   "[[\"a\\u0001cA\\u0001cA\"], 0.5], [[\"a\\u0001\"], 9]",
                   "");
    struct pyi_tree *tree;
    struct pyi_text text;
    double seconds;
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    const struct pyi_frame *a = pyi_tree_root(tree);
    assert_string_equal(pyi_frame_class_name(a).data, "A"); /* 2 and 2: the first one seen */
    assert_true(pyi_frame_attribute(a, 0, &text, &seconds));
    assert_string_equal(text.data, "cA");
    assert_true(seconds == 2);
    assert_true(pyi_frame_attribute(a, 1, &text, &seconds) && seconds == 1);
    assert_true(pyi_frame_attribute(a, 2, &text, &seconds) && seconds == 2);
    assert_false(pyi_frame_attribute(a, 3, &text, &seconds));
    pyi_tree_free(tree);
    pyi_session_free(session);
}

/* A frame with thousands of different attributes is found in, not searched. */
static void test_many_attributes(void **state)
{
    struct pyi_strbuf records = {0};
    for (int i = 0; i < 20000; i++)
        pyi_strbuf_format(&records, "%s[[\"a\\u0001l%d\"], 0.5], [[\"a\\u0001l1\"], 0.25]",
                          i ? ", " : "", i);
    struct pyi_session *session = session_of("", records.data, "");
    struct pyi_tree *tree;
    struct pyi_text text;
    double seconds;
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    assert_true(pyi_frame_attribute(pyi_tree_root(tree), 19999, &text, &seconds));
    assert_string_equal(text.data, "l19999");
    assert_true(seconds == 0.5);
    assert_true(pyi_frame_attribute(pyi_tree_root(tree), 1, &text, &seconds));
    assert_true(seconds == 5000.5);
    pyi_tree_free(tree);
    pyi_session_free(session);
    pyi_strbuf_deinit(&records);
}

static void test_names(void **state)
{
    struct pyi_session *session =
        session_of("",
                   "[[\"f\\u0000/a/b.py\\u0000-7\\u0000more\", \"g\\u0000\\u0000\", \"h\", "
                   "\"i\\u0000<string>\\u0000x\"], 1]",
                   "");
    struct pyi_tree *tree;
    int64_t line = 0, depth = 0;
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    const struct pyi_frame *f = pyi_tree_root(tree);
    assert_string_equal(pyi_frame_file_path(f).data, "/a/b.py");
    assert_true(pyi_frame_line(f, &line) && line == -7);
    assert_true(pyi_frame_is_application_code(f));
    const struct pyi_frame *g = pyi_frame_walk(f, f, &depth);
    assert_true(pyi_frame_has_path(g) && !pyi_frame_file_path(g).length);
    assert_false(pyi_frame_line(g, &line));
    assert_false(pyi_frame_is_application_code(g));
    const struct pyi_frame *h = pyi_frame_walk(f, g, &depth);
    assert_false(pyi_frame_has_path(h));
    const struct pyi_frame *i = pyi_frame_walk(f, h, &depth);
    assert_false(pyi_frame_line(i, &line));
    assert_false(pyi_frame_is_application_code(i)); /* as its parent */
    assert_int_equal(depth, 3);
    assert_non_null(pyi_frame_walk(f, i, &depth)); /* [self] */
    pyi_tree_free(tree);
    pyi_session_free(session);
}

static void test_await_time(void **state)
{
    struct pyi_session *session =
        session_of("",
                   "[[\"a\", \"b\", \"[await]\"], 0.25], [[\"a\", \"b\"], 8], "
                   "[[\"a\", \"c\", \"[await]\"], 1]",
                   "");
    struct pyi_tree *tree;
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    const struct pyi_frame *a = pyi_tree_root(tree);
    assert_true(pyi_frame_await_time(a) == 1.25);
    assert_true(pyi_frame_await_time(pyi_frame_first_child(a)) == 0.25);
    assert_true(pyi_frame_await_time(pyi_frame_last_child(a)) == 1);
    pyi_tree_free(tree);
    pyi_session_free(session);
}

static void test_idle(void **state)
{
    struct pyi_session *session = session_of(
        "\"" MAIN "\"",
        "[[\"" MAIN "\", \"a\"], 1], [[\"" WORK "\", \"b\"], 1], [[\"" WORK "\", \"c\"], 1]",
        ", \"attach\": {\"v\": 1, \"processes\": [{\"pid\": 7}], \"threads\": ["
        "{\"process\": 0, \"first\": 0, \"records\": 1, \"idle\": true},"
        "{\"process\": 0, \"first\": 1, \"records\": 2, \"idle\": true}]}");
    struct pyi_tree *tree;
    struct pyi_strbuf text = {0};
    assert_int_equal(pyi_tree_build(session, PYI_TREE_WITHOUT_IDLE, &tree, NULL), 0);
    assert_int_equal(pyi_tree_idle_count(tree), 1);
    describe(pyi_tree_root(tree), &text);
    assert_string_equal(text.data, "MainThread 1(a 1([self] 1))");
    pyi_tree_free(tree);
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    assert_int_equal(pyi_tree_idle_count(tree), 0);
    pyi_strbuf_reset(&text);
    describe(pyi_tree_root(tree), &text);
    assert_string_equal(text.data, "[root] 3(MainThread 1(a 1([self] 1)) "
                                   "worker 2(b 1([self] 1) c 1([self] 1)))");
    pyi_tree_free(tree);
    pyi_session_free(session);
    pyi_strbuf_deinit(&text);
}

static void test_deep(void **state)
{
    enum { DEPTH = 100000 };
    struct pyi_session *session;
    struct pyi_tree *tree;
    uint32_t frame, stack = PYI_STACK_ROOT;
    struct pyi_processor_options options;
    struct pyi_text info = {"f\0<string>\0001\1l5", 15};
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    assert_int_equal(pyi_session_intern_frame(session, info, &frame, NULL), 0);
    for (int i = 0; i < DEPTH; i++)
        assert_int_equal(pyi_session_push_frame(session, stack, frame, &stack, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            pyi_session_add_record(session, stack, (struct pyi_number){.value = 1}, NULL), 0);
    pyi_processor_options_init(&options);
    for (int list = 0; list <= PYI_LIST_NONE; list++) {
        assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
        assert_int_equal(pyi_tree_process_list(tree, list, &options, NULL), 0);
        assert_int_equal(pyi_tree_check(tree, NULL), 0);
        size_t application = 0;
        const struct pyi_frame *root = pyi_tree_root(tree);
        for (const struct pyi_frame *f = root; f; f = pyi_frame_walk(root, f, NULL))
            application += pyi_frame_is_application_code(f);
        assert_int_equal(application, DEPTH);
        pyi_tree_free(tree);
    }
    pyi_session_free(session);
}

static void test_group(void **state)
{
    struct pyi_session *session =
        session_of("",
                   "[[\"a\\u0000/a.py\\u00001\", \"l\\u0000/usr/l.py\\u00001\", "
                   "\"m\\u0000/usr/m.py\\u00001\", \"b\\u0000/b.py\\u00001\"], 1]",
                   "");
    struct pyi_tree *tree;
    struct pyi_processor_options options;
    pyi_processor_options_init(&options);
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    assert_int_equal(pyi_tree_process_list(tree, PYI_LIST_TEXT, &options, NULL), 0);
    const struct pyi_frame *a = pyi_tree_root(tree), *l = pyi_frame_first_child(a);
    const struct pyi_frame *m = pyi_frame_first_child(l), *b = pyi_frame_first_child(m);
    const struct pyi_frame_group *group = pyi_frame_group(l);
    assert_null(pyi_frame_group(a));
    assert_null(pyi_frame_group(b));
    assert_non_null(group);
    assert_ptr_equal(pyi_frame_group(m), group);
    assert_ptr_equal(pyi_group_root(group), l);
    assert_ptr_equal(pyi_group_member(group, 1), m);
    assert_null(pyi_group_member(group, 2));
    assert_int_equal(pyi_group_size(group), 2);
    assert_int_equal(pyi_group_index(group), 0);
    assert_false(pyi_group_is_exit(group, l));
    assert_true(pyi_group_is_exit(group, m));
    assert_false(pyi_group_is_exit(group, b));
    /* too small for the page */
    assert_int_equal(pyi_tree_process(tree, PYI_DROP_SMALL_GROUPS, &options, NULL), 0);
    assert_null(pyi_frame_group(l));
    assert_int_equal(pyi_tree_check(tree, NULL), 0);
    pyi_tree_free(tree);
    pyi_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_stem),
        cmocka_unit_test(test_leaf_only),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_many_attributes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_await_time),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
