/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_images.c - recorded memory of interpreters that few machines have.
 *
 * Comes in: images of fixtures/corpus/image, and what their targets said of their own stacks when
 * they were recorded (fixtures/images/stacks-*.txt, both by scripts/images). These stand in where
 * no such interpreter is; where there is one, tests/live/ asks it.
 */
#include "attach/attach.h"
#include "attach/target.h"
#include "src/base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *read_file(const char *pattern, const char *name, size_t *length)
{
    char path[256];
    snprintf(path, sizeof(path), pattern, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s: run from the top of the source tree", path);
    char *bytes = malloc(4 << 20);
    assert_non_null(bytes);
    *length = fread(bytes, 1, (4 << 20) - 1, file);
    bytes[*length] = '\0';
    fclose(file);
    return bytes;
}

static bool is_c_function(const struct pyi_stack_entry *entry)
{
    return strcmp(entry->code->filename.data, "<built-in>") == 0;
}

/* Without the place where an interpreter happened to be installed. */
static const char *place_of(const struct pyi_stack_entry *entry)
{
    const char *path = entry->code->filename.data, *library = strstr(path, "/lib/python");
    return library ? library : path;
}

/* In the form of the target's own report. */
static void spell(const struct pyi_target *target, const struct pyi_stack *stack,
                  struct pyi_strbuf *out)
{
    pyi_strbuf_format(out, "%s\n", stack->thread->name.data);
    for (size_t i = 0; i < stack->depth; i++) {
        const struct pyi_stack_entry *entry = &stack->entries[i];
        struct pyi_text class = pyi_target_class_name(target, entry->class_name);
        if (!is_c_function(entry))
            pyi_strbuf_format(out, "  %s %s %d %s\n", place_of(entry), entry->code->name.data,
                              (int)entry->line, entry->class_name ? class.data : "-");
    }
}

/* Every thread the target told of is there, with the very frames it told. */
static void compare(const char *name, const char *version, const char *build)
{
    size_t length, told_length, seen = 0;
    char *bytes = read_file("fixtures/corpus/image/%s", name, &length);
    char *told = read_file("fixtures/images/stacks-%s.txt", name, &told_length);
    struct pyi_target *target = NULL;
    struct pyi_round round = {0};
    struct pyi_error err = {0};
    if (pyi_target_open_image_bytes(bytes, length, NULL, &target, &err) != 0 ||
        pyi_target_round(target, &round, &err) != 0)
        fail_msg("%s: %s", name, err.message);
    assert_string_equal(pyi_target_info(target)->version.data, version);
    assert_string_equal(pyi_target_info(target)->build.data, build);
    for (size_t i = 0; i < round.count; i++) {
        struct pyi_strbuf text = {0};
        const struct pyi_stack *stack = &round.stacks[i];
        assert_true(stack->depth > 0);
        assert_int_not_equal(stack->status, PYI_STACK_LOST);
        if (stack->thread->is_main) {
            assert_string_equal(stack->thread->name.data, "MainThread");
            assert_string_equal(stack->entries[0].code->name.data, "<module>");
            continue;
        }
        spell(target, stack, &text);
        if (!strstr(told, text.data))
            fail_msg("%s: not what the target said:\n%s", name, text.data);
        seen++;
        pyi_strbuf_deinit(&text);
    }
    assert_int_equal(seen, 2);
    assert_int_equal(round.count, 3);
    pyi_target_close(target);
    free(bytes);
    free(told);
}

static void python_2_7_narrow(void **state)
{
    compare("pyenv-2.7", "2.7.18", "default");
}

static void python_2_7_of_debian_wide(void **state)
{
    compare("old-2.7", "2.7.18", "default");
}

static void python_3_6(void **state)
{
    compare("pyenv-3.6", "3.6.15", "default");
}

static void python_3_7(void **state)
{
    compare("pyenv-3.7", "3.7.16", "default");
}

static void debug_build_of_3_11(void **state)
{
    compare("here-3.11d", "3.11.2", "debug");
}

static void free_threaded_build_of_3_13(void **state)
{
    compare("lab-3.13t", "3.13.5", "free-threaded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(python_2_7_narrow),   cmocka_unit_test(python_2_7_of_debian_wide),
        cmocka_unit_test(python_3_6),          cmocka_unit_test(python_3_7),
        cmocka_unit_test(debug_build_of_3_11), cmocka_unit_test(free_threaded_build_of_3_13),
    };
    return cmocka_run_group_tests_name("images", tests, NULL, NULL);
}
