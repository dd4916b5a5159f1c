/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_allocations.c - a scenario again and again, with its n-th allocation refused, until it
 * runs through without meeting the refusal; then the same with all allocations from the n-th on.
 *
 * Each time: NOMEM with a message, nothing left behind, or the very bytes of the undisturbed
 * run. A refusal that is swallowed and changes the answer is a failure.
 */
#include "tests/fault/inject.h"

#include "attach/target.h"
#include "src/base/output.h"
#include "src/base/text.h"
#include <pyinstrument/frame.h>
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fault/images.inc"

#define MANY 200000 /* more allocations than any scenario makes: a loop that never ends */

struct scenario {
    /** Writes what it found to `out`, which the test reads only when 0 is returned. */
    int (*run)(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err);
    const char *path;
    const struct pyi_renderer *renderer;
    const char *const *options; /* key, value, ..., NULL */
    const void *bytes;
    size_t length;
};

static int undisturbed(const struct scenario *scenario, struct pyi_strbuf *out)
{
    struct pyi_error err = {0};
    int code = scenario->run(scenario, out, &err);
    if (code)
        fail_msg("without a fault: %d %s", code, err.message);
    return code;
}

static void complain(uint64_t at, bool onwards, const char *what, long long number)
{
    inject_where();
    fail_msg("allocation %llu %s: %s (%lld)", (unsigned long long)at,
             onwards ? "and all later" : "only", what, number);
}

static void one(const struct scenario *scenario, uint64_t at, bool onwards, struct pyi_text whole)
{
    struct pyi_strbuf out = {0};
    struct pyi_error err = {0};
    int64_t live = inject.live;
    inject_begin(at, onwards);
    int code = scenario->run(scenario, &out, &err);
    inject_end();
    if (code == 0 && inject.failed && !pyi_text_equal(pyi_strbuf_get(&out), whole))
        complain(at, onwards, "another answer and no error", 0);
    if (code != 0 && (code != PYI_E_NOMEM || err.code != code || !err.message[0]))
        complain(at, onwards, "wrong code or record", code);
    pyi_strbuf_deinit(&out);
    if (inject.live != live)
        complain(at, onwards, "blocks left", inject.live - live);
}

static void every_allocation(const struct scenario *scenario)
{
    struct pyi_strbuf whole = {0};
    undisturbed(scenario, &whole);
    for (int onwards = 0; onwards < 2; onwards++) {
        uint64_t at = 0;
        do
            one(scenario, ++at, onwards, pyi_strbuf_get(&whole));
        while (inject.failed && at < MANY);
        print_message("# %llu allocations\n", (unsigned long long)at - 1);
        assert_true(at > 1); /* the wrapping works at all */
        assert_true(at < MANY);
    }
    pyi_strbuf_deinit(&whole);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static const char *const files[] = {
    "fixtures/sessions/two_threads.pyisession", "fixtures/sessions/attach.pyisession",
    "fixtures/sessions/strings.pyisession",     "fixtures/expected/groups.pyisession",
    "fixtures/expected/whole.pyisession",       "fixtures/expected/surrogates.pyisession",
};
#define FILES (sizeof(files) / sizeof(files[0]))

static void free_session(struct pyi_session **session)
{
    pyi_session_free(*session);
}
#define SESSION __attribute__((cleanup(free_session))) struct pyi_session *

static int write_out(const struct pyi_session *session, struct pyi_strbuf *out,
                     struct pyi_error *err)
{
    struct pyi_sink sink = pyi_sink_strbuf(out);
    return pyi_session_to_json(session, true, &sink, err);
}

static int load_and_write(const struct scenario *scenario, struct pyi_strbuf *out,
                          struct pyi_error *err)
{
    SESSION session = NULL;
    int code = pyi_session_load(scenario->path, &session, err);
    return code ? code : write_out(session, out, err);
}

static int combine(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    SESSION both = NULL;
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_session_combine(session, session, &both, err);
    return code ? code : write_out(both, out, err);
}

static int resample(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    SESSION coarse = NULL;
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_session_resample(session, 0.05, &coarse, err);
    return code ? code : write_out(coarse, out, err);
}

static int save(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    int code = pyi_session_load(scenario->path, &session, err);
    return code ? code : pyi_session_save(session, "saved.pyisession", err);
}

static void append_id(void *context, const char *id, const char *path)
{
    pyi_strbuf_string(context, id);
}

static int store(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    SESSION back = NULL;
    char id[32];
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_store_save(session, id, err);
    if (!code)
        code = pyi_store_load(id, &back, err);
    if (!code)
        code = pyi_store_list(append_id, out, err);
    if (!code && out->failed) {
        *err = (struct pyi_error){.code = PYI_E_NOMEM, .message = "out of memory in the test"};
        return PYI_E_NOMEM;
    }
    return code ? code : write_out(back, out, err);
}

static void over_files(int (*run)(const struct scenario *, struct pyi_strbuf *, struct pyi_error *))
{
    for (size_t i = 0; i < FILES; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", getenv("PYI_FIXTURES"), files[i]);
        every_allocation(&(struct scenario){.run = run, .path = path});
    }
}

static void loading_and_writing(void **state)
{
    over_files(load_and_write);
}

static int there_and_back(const struct scenario *scenario, struct pyi_strbuf *out,
                          struct pyi_error *err)
{
    SESSION session = NULL;
    SESSION back = NULL;
    struct pyi_strbuf file = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&file);
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_session_to_pyirec(session, &sink, err);
    if (!code && file.failed) {
        *err = (struct pyi_error){.code = PYI_E_NOMEM, .message = "out of memory in the test"};
        code = PYI_E_NOMEM;
    }
    if (!code)
        code = pyi_session_from_pyirec(file.data, file.length, &back, err);
    pyi_strbuf_deinit(&file);
    return code ? code : write_out(back, out, err);
}

static void own_files(void **state)
{
    over_files(there_and_back);
}

/* As a recorder wrote it: threads, names that came late, calls without proof. */
static void recorded_files(void **state)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/fixtures/corpus/pyirec/grown.pyirec", getenv("PYI_FIXTURES"));
    every_allocation(&(struct scenario){.run = load_and_write, .path = path});
}

static void combining(void **state)
{
    over_files(combine);
}

static void resampling(void **state)
{
    over_files(resample);
}

static void saving_leaves_no_half_file(void **state)
{
    over_files(save);
    size_t count = 0;
    DIR *here = opendir(".");
    for (struct dirent *entry; (entry = readdir(here));)
        count += entry->d_type == DT_REG;
    closedir(here);
    assert_int_equal(count, 1);
    assert_int_equal(unlink("saved.pyisession"), 0);
}

static void storing(void **state)
{
    over_files(store);
}

/* ---- reports --------------------------------------------------------------------------------- */

static int set_options(const char *const *pairs, struct pyi_render_options *options,
                       struct pyi_error *err)
{
    int code = 0;
    for (; !code && pairs && *pairs; pairs += 2)
        code = pyi_render_options_set(options, pairs[0], pairs[1], err);
    return code;
}

static void free_options(struct pyi_render_options **options)
{
    pyi_render_options_free(*options);
}

static int render(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    __attribute__((cleanup(free_options))) struct pyi_render_options *options = NULL;
    struct pyi_sink sink = pyi_sink_strbuf(out);
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_render_options_new(&options, err);
    if (!code)
        code = set_options(scenario->options, options, err);
    if (!code)
        code = pyi_renderer_check(scenario->renderer, options, err);
    return code ? code : pyi_render(scenario->renderer, session, options, &sink, err);
}

static void every_renderer(void **state)
{
    const struct pyi_renderer *renderer;
    for (size_t row = 0; (renderer = pyi_renderer_at(row)); row++) {
        for (size_t i = 0; i < FILES; i++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", getenv("PYI_FIXTURES"), files[i]);
            print_message("# %s of %s\n", renderer->name, files[i]);
            every_allocation(&(struct scenario){.run = render, .path = path, .renderer = renderer});
        }
    }
}

static const char *const filters[] = {
    "processor_options",
    "{\"hide_regex\": \".*lib(rar|s).*[0-9]*\", \"filter_threshold\": 0}",
    "processor_options.show_regex",
    ".*/proj/.*(?P<n>x)?",
    NULL,
};
static const char *const looks[] = {
    "unicode", "true", "color", "true", "time", "percent_of_total", "timeline", "true", NULL,
};
static const char *const flat[] = {"flat", "true", "flat_time", "self", "show_all", "true", NULL};

static void options_and_patterns(void **state)
{
    static const char *const *const sets[] = {filters, looks, flat};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        for (size_t k = 0; k < FILES; k++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", getenv("PYI_FIXTURES"), files[k]);
            every_allocation(&(struct scenario){.run = render,
                                                .path = path,
                                                .renderer = pyi_renderer_by_name("text"),
                                                .options = sets[i]});
        }
    }
}

/* The path's session compared with another one. */
static int compare(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    SESSION session = NULL;
    SESSION base = NULL;
    __attribute__((cleanup(free_options))) struct pyi_render_options *options = NULL;
    struct pyi_sink sink = pyi_sink_strbuf(out);
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", getenv("PYI_FIXTURES"), files[0]);
    int code = pyi_session_load(scenario->path, &session, err);
    if (!code)
        code = pyi_session_load(path, &base, err);
    if (!code)
        code = pyi_render_options_new(&options, err);
    if (code)
        return code;
    pyi_render_options_set_base(options, base);
    code = pyi_renderer_check(scenario->renderer, options, err);
    return code ? code : pyi_render(scenario->renderer, session, options, &sink, err);
}

static void comparisons(void **state)
{
    const struct pyi_renderer *renderer;
    for (size_t row = 0; (renderer = pyi_renderer_at(row)); row++)
        for (size_t i = 0; i < FILES && (renderer->flags & PYI_RENDERER_DIFF); i++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", getenv("PYI_FIXTURES"), files[i]);
            print_message("# %s of %s compared\n", renderer->name, files[i]);
            every_allocation(
                &(struct scenario){.run = compare, .path = path, .renderer = renderer});
        }
}

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A page with the text of functions from a file that is there. */
static void source_text(void **state)
{
    static const char *const all[] = {"source", "all", NULL};
    char session[4096 * 3];
    char folder[4096];
    assert_non_null(getcwd(folder, sizeof(folder)));
    put_file("hot.py", "import os\n\ndef hot():\n    return 1\n\nhot()\n");
    snprintf(
        session, sizeof(session),
        "{\"start_time\": 0, \"duration\": 1, \"sample_count\": 1, \"start_call_stack\": [], "
        "\"target_description\": \"d\", \"cpu_time\": 0, \"sys_path\": [], \"sys_prefixes\": [], "
        "\"frame_records\": [[[\"<module>\\u0000%s/hot.py\\u00001\\u0001l6\", "
        "\"hot\\u0000%s/hot.py\\u00003\\u0001l4\"], 1]]}",
        folder, folder);
    put_file("hot.pyisession", session);
    every_allocation(&(struct scenario){.run = render,
                                        .path = "hot.pyisession",
                                        .renderer = pyi_renderer_by_name("html"),
                                        .options = all});
    assert_int_equal(unlink("hot.pyisession") | unlink("hot.py"), 0);
}

static int glob(const struct scenario *scenario, struct pyi_strbuf *out, struct pyi_error *err)
{
    struct pyi_sink sink = pyi_sink_strbuf(out);
    return pyi_glob_to_regex(pyi_text("*/[!a-c]?.py[]x]{1}"), &sink, err);
}

static void globs(void **state)
{
    every_allocation(&(struct scenario){.run = glob});
}

/* ---- targets --------------------------------------------------------------------------------- */

static int look(struct pyi_target *target, struct pyi_strbuf *out, struct pyi_error *err)
{
    const struct pyi_sysinfo *sysinfo;
    int code = 0;
    for (int i = 0; !code && i < 2; i++) {
        struct pyi_round round = {0};
        code = pyi_target_round(target, &round, err);
        if (!code)
            images_spell(target, &round, true, out);
    }
    if (!code)
        code = pyi_target_sysinfo(target, &sysinfo, err);
    if (code)
        return code;
    for (size_t i = 0; i < sysinfo->path_count; i++)
        pyi_strbuf_text(out, sysinfo->path[i]);
    for (size_t i = 0; i < 4; i++)
        pyi_strbuf_text(out, sysinfo->prefixes[i]);
    if (!out->failed)
        return 0;
    *err = (struct pyi_error){.code = PYI_E_NOMEM, .message = "out of memory in the test"};
    return PYI_E_NOMEM;
}

static int open_and_look(const struct scenario *scenario, struct pyi_strbuf *out,
                         struct pyi_error *err)
{
    struct pyi_target *target = NULL;
    int code = pyi_target_open_image_bytes(scenario->bytes, scenario->length, NULL, &target, err);
    if (!code)
        code = look(target, out, err);
    pyi_target_close(target);
    return code;
}

static int open_and_dump(const struct scenario *scenario, struct pyi_strbuf *out,
                         struct pyi_error *err)
{
    struct pyi_target *target = NULL;
    int code = pyi_target_open_image_bytes(scenario->bytes, scenario->length, NULL, &target, err);
    if (!code)
        code = pyi_target_dump_image(target, "dumped", err);
    pyi_target_close(target);
    return code;
}

static void one_image(void *context, const void *bytes, size_t length)
{
    every_allocation(&(struct scenario){.run = context, .bytes = bytes, .length = length});
}

static void targets(void **state)
{
    images_each(one_image, open_and_look);
}

static void dumps(void **state)
{
    images_each(one_image, open_and_dump);
    assert_int_equal(unlink("dumped"), 0);
}

/* ---- where it happens -------------------------------------------------------------------------- */

static char scratch[] = "/tmp/pyi-fault-XXXXXX";

static int enter_scratch(void **state)
{
    char *root = getcwd(NULL, 0);
    if (!root || setenv("PYI_FIXTURES", root, 1) || !mkdtemp(scratch) || chdir(scratch))
        return -1;
    free(root);
    setenv("XDG_DATA_HOME", scratch, 1);
    inject_into_cjson();
    return 0;
}

static void remove_one(void *context, const char *id, const char *path)
{
    unlink(path);
}

static int leave_scratch(void **state)
{
    if (pyi_store_list(remove_one, NULL, NULL))
        return -1;
    return rmdir("pyinstrument/reports") | rmdir("pyinstrument") | rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_and_writing),
        cmocka_unit_test(own_files),
        cmocka_unit_test(recorded_files),
        cmocka_unit_test(combining),
        cmocka_unit_test(resampling),
        cmocka_unit_test(saving_leaves_no_half_file),
        cmocka_unit_test(storing),
        cmocka_unit_test(globs),
        cmocka_unit_test(options_and_patterns),
        cmocka_unit_test(every_renderer),
        cmocka_unit_test(source_text),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(targets),
        cmocka_unit_test(dumps),
    };
    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
