/* SPDX-License-Identifier: BSD-3-Clause */
/* match.c - compiles and runs patterns, and turns globs into patterns.
 *
 * In: a regular expression in Python's syntax or a shell-style pattern, and paths. Out: match or
 * not, always within bounded time and memory. Knows nothing of frames. */
#include "src/tree/match.h"

#include "src/base/error.h"
#include "src/base/output.h"
#include <pyinstrument/frame.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MATCH_STEPS = 1000000,
    MATCH_DEPTH = 100000,
    MATCH_HEAP_KIB = 32768,
    PATTERN_BYTES = 65536,
};

struct pyi_pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    struct pyi_strbuf subject; /* scratch: the subject without lone surrogates */
    char source[128];          /* for messages */
};

static int compile(struct pyi_pattern *pattern, struct pyi_text text, struct pyi_error *err)
{
    int number;
    PCRE2_SIZE offset;
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf translated = {0};
    int code = pyi_pattern_translate(text, &translated, err);
    if (code)
        return pyi_error_prefix(err, code, "pattern %s", pattern->source);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return pyi_error_nomem(err);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    struct pyi_text ready = pyi_strbuf_get(&translated);
    pattern->code =
        pcre2_compile((PCRE2_SPTR)ready.data, ready.length,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &number, &offset, context);
    pcre2_compile_context_free(context);
    if (pattern->code)
        return 0;
    if (number == PCRE2_ERROR_HEAP_FAILED)
        return pyi_error_nomem(err);
    PCRE2_UCHAR reason[160];
    if (pcre2_get_error_message(number, reason, sizeof(reason)) < 0)
        memcpy(reason, "does not compile", sizeof("does not compile"));
    return pyi_error_set(err, PYI_E_FORMAT, "pattern %s: %s", pattern->source,
                         (const char *)reason);
}

int pyi_pattern_new(struct pyi_text text, struct pyi_pattern **out, struct pyi_error *err)
{
    if (text.length > PATTERN_BYTES)
        return pyi_error_set(err, PYI_E_LIMIT, "pattern is longer than %d bytes", PATTERN_BYTES);
    struct pyi_pattern *pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        return pyi_error_nomem(err);
    (void)pyi_text_safe(text, pattern->source, sizeof(pattern->source));
    int code = compile(pattern, text, err);
    if (!code) {
        pattern->data = pcre2_match_data_create(1, NULL);
        pattern->context = pcre2_match_context_create(NULL);
        if (!pattern->data || !pattern->context)
            code = pyi_error_nomem(err);
    }
    if (code) {
        pyi_pattern_free(pattern);
        return code;
    }
    pcre2_set_match_limit(pattern->context, MATCH_STEPS);
    pcre2_set_depth_limit(pattern->context, MATCH_DEPTH);
    pcre2_set_heap_limit(pattern->context, MATCH_HEAP_KIB);
    *out = pattern;
    return 0;
}

void pyi_pattern_free(struct pyi_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    pcre2_match_data_free(pattern->data);
    pcre2_match_context_free(pattern->context);
    pyi_strbuf_deinit(&pattern->subject);
    free(pattern);
}

static int run(const struct pyi_pattern *pattern, struct pyi_text subject, uint32_t options)
{
    return pcre2_match(pattern->code, (PCRE2_SPTR)subject.data, subject.length, 0, options,
                       pattern->data, pattern->context);
}

int pyi_pattern_match(struct pyi_pattern *pattern, struct pyi_text subject,
                      enum pyi_match_mode mode, bool *out, struct pyi_error *err)
{
    uint32_t options = mode == PYI_MATCH_START ? PCRE2_ANCHORED : 0;
    int result = run(pattern, subject, options);
    if (result <= PCRE2_ERROR_UTF8_ERR1 && result >= PCRE2_ERROR_UTF8_ERR21) {
        pyi_strbuf_reset(&pattern->subject);
        for (size_t offset = 0; offset < subject.length;)
            pyi_strbuf_code_point(&pattern->subject,
                                  pyi_pattern_character(pyi_text_next(subject, &offset)));
        if (pattern->subject.failed)
            return pyi_error_nomem(err);
        result = run(pattern, pyi_strbuf_get(&pattern->subject), options);
    }
    if (result == PCRE2_ERROR_NOMEMORY)
        return pyi_error_nomem(err);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        char path[128];
        return pyi_error_set(err, PYI_E_LIMIT, "pattern %s needs too many steps on %s",
                             pattern->source, pyi_text_safe(subject, path, sizeof(path)));
    }
    *out = result >= 0;
    return 0;
}

/* ---- globs ---- */

static void put_literal(struct pyi_output *output, uint32_t c)
{
    struct pyi_strbuf bytes = {0};
    bool word = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                (c >= 'a' && c <= 'z') || c == '_';
    if (!word)
        pyi_output_char(output, '\\');
    pyi_strbuf_code_point(&bytes, c);
    if (bytes.failed)
        output->code = output->code ? output->code : pyi_error_nomem(&output->error);
    pyi_output_text(output, pyi_strbuf_get(&bytes));
    pyi_strbuf_deinit(&bytes);
}

/* Offset of the ']' that ends the set whose contents begin at `start`; 0 when there is none. A
 * ']' right at the beginning, or behind '!', belongs to the set. */
static size_t set_end(struct pyi_text glob, size_t start)
{
    size_t at = start;
    if (at < glob.length && glob.data[at] == '!')
        at++;
    if (at < glob.length && glob.data[at] == ']')
        at++;
    const char *end = at < glob.length ? memchr(glob.data + at, ']', glob.length - at) : NULL;
    return end ? (size_t)(end - glob.data) : 0;
}

/* One member or range; ranges that run backwards are empty. Returns whether it put anything. */
static bool put_set_item(struct pyi_output *output, struct pyi_text set, size_t *offset)
{
    uint32_t low = pyi_text_next(set, offset);
    if (*offset + 1 >= set.length || set.data[*offset] != '-') {
        put_literal(output, low);
        return true;
    }
    size_t ahead = *offset + 1;
    uint32_t high = pyi_text_next(set, &ahead);
    *offset = ahead;
    if (high < low)
        return false;
    put_literal(output, low);
    pyi_output_char(output, '-');
    put_literal(output, high);
    return true;
}

static bool has_items(struct pyi_text set)
{
    for (size_t offset = 0; offset < set.length;) {
        uint32_t low = pyi_text_next(set, &offset);
        if (offset + 1 >= set.length || set.data[offset] != '-')
            return true;
        offset++;
        if (pyi_text_next(set, &offset) >= low)
            return true;
    }
    return false;
}

static void put_set(struct pyi_output *output, struct pyi_text set)
{
    bool negated = set.length && set.data[0] == '!';
    if (negated)
        set = (struct pyi_text){set.data + 1, set.length - 1};
    if (!has_items(set)) { /* nothing is in an empty set, everything outside it */
        pyi_output_string(output, negated ? "." : "(?!)");
        return;
    }
    pyi_output_string(output, negated ? "[^" : "[");
    for (size_t offset = 0; offset < set.length;)
        (void)put_set_item(output, set, &offset);
    pyi_output_char(output, ']');
}

/* Puts the item at `at`, which is not a star; returns where the next one begins. `output` NULL:
 * only skips. */
static size_t put_item(struct pyi_output *output, struct pyi_text glob, size_t at)
{
    size_t end = glob.data[at] == '[' ? set_end(glob, at + 1) : 0;
    if (end) {
        if (output)
            put_set(output, (struct pyi_text){glob.data + at + 1, end - at - 1});
        return end + 1;
    }
    bool any = glob.data[at] == '?';
    uint32_t c = pyi_text_next(glob, &at);
    if (output && any)
        pyi_output_char(output, '.');
    else if (output)
        put_literal(output, c);
    return at;
}

static size_t last_star(struct pyi_text glob)
{
    size_t last = SIZE_MAX;
    for (size_t at = 0; at < glob.length;) {
        if (glob.data[at] == '*')
            last = at++;
        else
            at = put_item(NULL, glob, at);
    }
    return last;
}

/* Once the part between two stars has matched, the second star can absorb whatever is left: such
 * parts are atomic, so that many stars do not take exponential time. */
int pyi_glob_to_regex(struct pyi_text glob, const struct pyi_sink *sink, struct pyi_error *err)
{
    struct pyi_output output;
    pyi_output_init(&output, sink);
    pyi_output_string(&output, "(?s:");
    size_t last = last_star(glob);
    bool open = false;
    for (size_t at = 0; at < glob.length;) {
        if (glob.data[at] != '*') {
            at = put_item(&output, glob, at);
            continue;
        }
        while (at < last && glob.data[at + 1] == '*')
            at++;
        if (open)
            pyi_output_char(&output, ')');
        open = at != last;
        pyi_output_string(&output, open ? "(?>.*?" : ".*");
        at++;
    }
    pyi_output_string(&output, ")\\Z");
    return pyi_output_finish(&output, err);
}
