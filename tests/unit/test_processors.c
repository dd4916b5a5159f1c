/* SPDX-License-Identifier: BSD-3-Clause */
/* test_processors.c - the page's list against fixtures/processors (an independent model wrote
 * them), and the tree's invariant after every single step on every golden session. Run from the
 * top of the repository. */
#include <pyinstrument/frame.h>

#include "src/base/text.h"
#include <cjson/cJSON.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct pyi_session *load(const char *name)
{
    char path[512];
    struct pyi_session *session;
    struct pyi_error err;
    snprintf(path, sizeof(path), "fixtures/expected/%s", name);
    if (pyi_session_load(path, &session, &err))
        fail_msg("%s: %s", path, err.message);
    return session;
}

static struct pyi_tree *build(struct pyi_session *session)
{
    struct pyi_tree *tree;
    assert_int_equal(pyi_tree_build(session, 0, &tree, NULL), 0);
    assert_int_equal(pyi_tree_check(tree, NULL), 0);
    return tree;
}

/* ---- fixtures ---- */

static const cJSON *item(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *value)
{
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void check_frame(const struct pyi_frame *frame, const cJSON *expected)
{
    const struct pyi_frame_group *group = pyi_frame_group(frame);
    struct pyi_text function = pyi_frame_function(frame);
    int64_t line = 0;
    assert_string_equal(function.data, text_of(item(expected, "function")));
    assert_string_equal(pyi_frame_file_path(frame).data, text_of(item(expected, "path")));
    assert_int_equal(pyi_frame_line(frame, &line), cJSON_IsNumber(item(expected, "line")));
    if (cJSON_IsNumber(item(expected, "line")))
        assert_true((double)line == item(expected, "line")->valuedouble);
    assert_true(pyi_frame_time(frame) == item(expected, "time")->valuedouble);
    assert_true(pyi_frame_absorbed_time(frame) == item(expected, "absorbed")->valuedouble);
    assert_string_equal(pyi_frame_class_name(frame).data, text_of(item(expected, "class")));
    assert_int_equal(group != NULL, !cJSON_IsNull(item(expected, "group")));
}

/* Both trees in step; a child more or fewer on one side is a difference. */
static void check_tree(const struct pyi_frame *frame, const cJSON *expected, int depth)
{
    const cJSON *child = item(expected, "children")->child;
    assert_true(depth < 200);
    check_frame(frame, expected);
    for (frame = pyi_frame_first_child(frame); frame && child;
         frame = pyi_frame_next(frame), child = child->next)
        check_tree(frame, child, depth + 1);
    assert_null(frame);
    assert_null(child);
}

static void read_options(const cJSON *given, struct pyi_processor_options *options)
{
    pyi_processor_options_init(options);
    options->filter_threshold = item(given, "filter_threshold")->valuedouble;
    options->show_all = item(given, "show_all") != NULL;
    options->has_hide_regex = item(given, "hide_regex") != NULL;
    options->has_show_regex = item(given, "show_regex") != NULL;
    options->hide_regex = pyi_text(text_of(item(given, "hide_regex")));
    options->show_regex = pyi_text(text_of(item(given, "show_regex")));
}

static void run_fixture(const char *path)
{
    struct pyi_strbuf text = {0};
    char block[4096];
    size_t got;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((got = fread(block, 1, sizeof(block), file)))
        pyi_strbuf_append(&text, block, got);
    fclose(file);
    cJSON *fixture = cJSON_Parse(pyi_strbuf_get(&text).data);
    assert_non_null(fixture);
    struct pyi_session *session = load(text_of(item(fixture, "session")));
    for (const cJSON *c = item(fixture, "cases")->child; c; c = c->next) {
        struct pyi_processor_options options;
        struct pyi_tree *tree = build(session);
        read_options(item(c, "options"), &options);
        assert_int_equal(pyi_tree_process_list(tree, PYI_LIST_PAGE, &options, NULL), 0);
        if (cJSON_IsNull(item(c, "tree")))
            assert_null(pyi_tree_root(tree));
        else
            check_tree(pyi_tree_root(tree), item(c, "tree"), 0);
        pyi_tree_free(tree);
    }
    pyi_session_free(session);
    cJSON_Delete(fixture);
    pyi_strbuf_deinit(&text);
}

static void test_page_list(void **state)
{
    glob_t found;
    assert_int_equal(glob("fixtures/processors/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 16);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        /* The model writes lone surrogates as escapes, which cJSON does not take. */
        if (!strstr(found.gl_pathv[i], "surrogates"))
            run_fixture(found.gl_pathv[i]);
    }
    globfree(&found);
}

/* ---- the invariant ---- */

static void test_invariant(void **state)
{
    glob_t found;
    struct pyi_processor_options options;
    pyi_processor_options_init(&options);
    options.filter_threshold = 0.1;
    assert_int_equal(glob("fixtures/expected/*.pyisession", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct pyi_session *session = load(strrchr(found.gl_pathv[i], '/') + 1);
        /* Every step first, and every step after every other. */
        for (int first = 0; first <= PYI_DROP_SMALL_GROUPS; first++)
            for (int second = 0; second <= PYI_DROP_SMALL_GROUPS; second++) {
                struct pyi_error err = {0};
                struct pyi_tree *tree = build(session);
                assert_int_equal(pyi_tree_process(tree, first, &options, NULL), 0);
                if (pyi_tree_check(tree, &err))
                    fail_msg("%s, %d: %s", found.gl_pathv[i], first, err.message);
                assert_int_equal(pyi_tree_process(tree, second, &options, NULL), 0);
                /* Upstream counts absorbed time twice when a frame that has absorbed a lone [self]
                 * is itself dropped; only the page runs the steps in that order. */
                bool twice = first == PYI_REMOVE_UNNECESSARY_SELF_TIME_NODES &&
                             second == PYI_REMOVE_IRRELEVANT_NODES;
                if (!twice && pyi_tree_check(tree, &err))
                    fail_msg("%s, %d then %d: %s", found.gl_pathv[i], first, second, err.message);
                pyi_tree_free(tree);
            }
        pyi_session_free(session);
    }
    globfree(&found);
}

static void test_bad_pattern(void **state)
{
    struct pyi_processor_options options;
    struct pyi_error err = {0};
    struct pyi_session *session = load("worked.pyisession");
    struct pyi_tree *tree = build(session);
    pyi_processor_options_init(&options);
    options.has_hide_regex = true;
    options.hide_regex = pyi_text("(");
    assert_int_equal(pyi_tree_process(tree, PYI_GROUP_LIBRARY_FRAMES, &options, &err),
                     PYI_E_FORMAT);
    /* A show pattern that matches everything keeps the other from being looked at. */
    options.has_show_regex = true;
    options.show_regex = pyi_text("");
    assert_int_equal(pyi_tree_process(tree, PYI_GROUP_LIBRARY_FRAMES, &options, &err), 0);
    assert_int_equal(pyi_tree_process(tree, (enum pyi_processor)99, &options, &err), PYI_E_INVALID);
    pyi_tree_free(tree);
    pyi_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_list),
        cmocka_unit_test(test_invariant),
        cmocka_unit_test(test_bad_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
