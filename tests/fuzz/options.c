/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - fuzz target: words of a command line.
 *
 * The input is split at newlines: key, value, key, value, and so on, set one after the other as -p
 * does; each value is also a pattern and a glob that is tried on paths. Afterwards every renderer
 * judges the options.
 */
#include "src/base/output.h"
#include "src/base/text.h"
#include "src/tree/match.h"
#include <pyinstrument/frame.h>
#include <pyinstrument/renderer.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void judge(int code, const struct pyi_error *err)
{
    require(code == 0 || (code < 0 && err->code == code && err->message[0]));
}

static void match(struct pyi_text text, bool must)
{
    static const char *const subjects[] = {
        "", "/usr/lib/python3.11/json/decoder.py", "<frozen importlib._bootstrap>",
        "caf\xc3\xa9\xed\xb2\x80", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa!"};
    struct pyi_pattern *pattern;
    struct pyi_error err = {0};
    int code = pyi_pattern_new(text, &pattern, &err);
    judge(code, &err);
    require(!must || !code);
    if (code)
        return;
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        bool found = false;
        judge(pyi_pattern_match(pattern, pyi_text(subjects[i]), PYI_MATCH_START, &found, &err),
              &err);
    }
    pyi_pattern_free(pattern);
}

static void match_glob(struct pyi_text glob)
{
    struct pyi_strbuf regex = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&regex);
    require(pyi_glob_to_regex(glob, &sink, NULL) == 0);
    /* A glob is always a pattern; only its length is bounded. */
    match(pyi_strbuf_get(&regex), glob.length < 1000);
    pyi_strbuf_deinit(&regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_strbuf words = {0};
    struct pyi_render_options *options;
    struct pyi_error err = {0};
    pyi_strbuf_append(&words, data, size);
    require(pyi_render_options_new(&options, NULL) == 0);
    char *rest = words.data, *key;
    while ((key = strsep(&rest, "\n"))) {
        char *value = strsep(&rest, "\n");
        judge(pyi_render_options_set(options, key, value, &err), &err);
        if (!value)
            break;
        judge(pyi_render_options_set_text(options, key, value, &err), &err);
        judge(pyi_render_options_set(options, key, value, &err), &err);
        match(pyi_text(value), false);
        match_glob(pyi_text(value));
    }
    const struct pyi_renderer *renderer;
    for (size_t i = 0; (renderer = pyi_renderer_at(i)); i++)
        judge(pyi_renderer_check(renderer, options, &err), &err);
    pyi_render_options_free(options);
    pyi_strbuf_deinit(&words);
    return 0;
}
