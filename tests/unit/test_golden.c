/* SPDX-License-Identifier: BSD-3-Clause */
/* test_golden.c - every line of fixtures/expected/golden.tsv: a session rendered here gives the
 * bytes pyinstrument 5.1.3 gave (tests/golden/answers.py wrote them). Masked are the line with
 * the version and the random names of groups. Run from the top of the repository. */
#include <pyinstrument.h>

#include "src/base/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define FOLDER "fixtures/expected/"

static void read_file(const char *name, struct pyi_strbuf *out)
{
    char path[512], block[4096];
    size_t got;
    snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    while ((got = fread(block, 1, sizeof(block), file)))
        pyi_strbuf_append(out, block, got);
    fclose(file);
}

/* Names of groups become the number of their first appearance. */
static void mask_groups(struct pyi_strbuf *text)
{
    static const char key[] = "\"group_id\": \"";
    char names[64][37];
    size_t count = 0;
    if (!text->data)
        return;
    for (char *p = text->data; (p = strstr(p, key)); p += 36) {
        size_t i;
        p += sizeof(key) - 1;
        for (i = 0; i < count && memcmp(names[i], p, 36); i++)
            ;
        assert_true(i < 64);
        if (i == count)
            memcpy(names[count++], p, 36);
        char number[37];
        snprintf(number, sizeof(number), "%036zu", i);
        memcpy(p, number, 36);
    }
}

static void mask_version(struct pyi_strbuf *text)
{
    char *line = text->data ? strstr(text->data, "\n/   _/  ") : NULL;
    if (!line || line - text->data > 200)
        return;
    char *end = strchr(line + 1, '\n');
    memset(line + 1, '~', (size_t)(end - line) - 1);
}

static void set_options(const struct pyi_renderer *renderer, char **fields,
                        struct pyi_render_options *options)
{
    if (renderer->flags & PYI_RENDERER_TREE)
        assert_int_equal(pyi_render_options_set(options, "processor_options",
                                                "{\"hide_regex\": null, \"show_regex\": null}",
                                                NULL),
                         0);
    if (renderer->flags & PYI_RENDERER_TEXT)
        assert_int_equal(pyi_render_options_set(options, "unicode", NULL, NULL), 0);
    for (char *field; (field = strsep(fields, "\t"));) {
        char *value = strchr(field, '=');
        *value++ = '\0';
        assert_int_equal(pyi_render_options_set(options, field, value, NULL), 0);
    }
    assert_int_equal(pyi_renderer_check(renderer, options, NULL), 0);
}

static void run_line(char *line)
{
    char shown[512], path[512];
    snprintf(shown, sizeof(shown), "%s", line);
    char *session_name = strsep(&line, "\t"), *name = strsep(&line, "\t");
    char *expected_name = strsep(&line, "\t");
    snprintf(path, sizeof(path), FOLDER "%s", session_name);
    struct pyi_error err = {0};
    struct pyi_session *session;
    struct pyi_render_options *options;
    struct pyi_strbuf got = {0}, expected = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    if (pyi_session_load(path, &session, &err))
        fail_msg("%s: %s", path, err.message);
    const struct pyi_renderer *renderer = pyi_renderer_by_name(name);
    assert_non_null(renderer);
    assert_int_equal(pyi_render_options_new(&options, &err), 0);
    set_options(renderer, &line, options);
    if (pyi_render(renderer, session, options, &sink, &err))
        fail_msg("%s: %s", shown, err.message);
    read_file(expected_name, &expected);
    mask_groups(&got);
    mask_groups(&expected);
    mask_version(&got);
    mask_version(&expected);
    if (!pyi_text_equal(pyi_strbuf_get(&got), pyi_strbuf_get(&expected)))
        fail_msg("%s\n---- expected\n%s\n---- got\n%s\n", shown, pyi_strbuf_get(&expected).data,
                 pyi_strbuf_get(&got).data);
    pyi_strbuf_deinit(&got);
    pyi_strbuf_deinit(&expected);
    pyi_render_options_free(options);
    pyi_session_free(session);
}

static void test_golden(void **state)
{
    struct pyi_strbuf table = {0};
    size_t lines = 0;
    setenv("TZ", "UTC", 1);
    read_file("golden.tsv", &table);
    char *rest = table.data;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line) {
            run_line(line);
            lines++;
        }
    assert_true(lines > 300);
    pyi_strbuf_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
