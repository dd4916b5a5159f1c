/* SPDX-License-Identifier: BSD-3-Clause */
/* markdown.c - a summary for the step page of a CI system.
 *
 * In: a session and options. Out: a table of facts, the functions with the most self time, and
 * the text report's tree, folded, cut at a size such pages take. Names cannot break out of their
 * cells: everything Markdown or HTML would read is escaped. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/number.h"
#include "src/base/output.h"
#include "src/render/export.h"
#include <stdlib.h>

enum { ROWS_SHOWN = 20, TREE_BYTES = 60000 };

struct row {
    const struct pyi_frame *frame;
    double self;
    size_t place;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->self != y->self)
        return x->self < y->self ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Everything that is neither letter nor digit of ASCII goes out as a character reference, but for
 * what is harmless anywhere and makes the source readable. */
static void put_escaped(struct pyi_output *output, struct pyi_text text, struct pyi_strbuf *scratch)
{
    struct pyi_text safe = pyi_export_safe(text, scratch);
    for (size_t i = 0; i < safe.length; i++) {
        unsigned char c = (unsigned char)safe.data[i];
        bool plain = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                     (c >= 'a' && c <= 'z') || c == ' ' || c == '.' || c == '/' || c == ',';
        if (plain)
            pyi_output_char(output, (char)c);
        else
            pyi_output_format(output, "&#%d;", c);
    }
}

static bool collect_rows(const struct pyi_frame *root, struct pyi_intern *identifiers,
                         struct row **rows)
{
    size_t capacity = 0;
    for (const struct pyi_frame *f = root; f; f = pyi_frame_walk(root, f, NULL)) {
        if (pyi_frame_is_synthetic(f))
            continue;
        struct pyi_text identifier = pyi_frame_identifier(f);
        size_t known = identifiers->count;
        uint32_t number = pyi_intern_add(identifiers, identifier.data, identifier.length);
        if (number == UINT32_MAX ||
            !pyi_array_reserve(rows, &capacity, (size_t)number + 1, sizeof(**rows)))
            return false;
        if (number >= known)
            (*rows)[number] = (struct row){.frame = f, .place = number};
        (*rows)[number].self += pyi_frame_self_time(f);
    }
    return true;
}

static void put_row(struct pyi_output *output, const struct row *row, double total,
                    struct pyi_strbuf *name, struct pyi_strbuf *scratch)
{
    char seconds[340], share[340];
    pyi_number_fixed(row->self, 3, seconds);
    pyi_number_fixed(total > 0 ? row->self / total * 100 : 0, 1, share);
    pyi_output_format(output, "| %s | %s %% | ", seconds, share);
    pyi_strbuf_reset(name);
    pyi_export_function(row->frame, name);
    put_escaped(output, pyi_strbuf_get(name), scratch);
    pyi_output_string(output, " | ");
    put_escaped(output, pyi_frame_short_path(row->frame), scratch);
    int64_t line;
    if (pyi_frame_line(row->frame, &line) && line)
        pyi_output_format(output, "&#58;%lld", (long long)line);
    pyi_output_string(output, " |\n");
}

/* Residue of subtractions and what would print as nothing is not. */
static bool is_worth_a_row(double self, const struct pyi_frame *root)
{
    return self > 0 && self >= pyi_frame_time(root) * 0.0005;
}

static int put_functions(struct pyi_output *output, const struct pyi_frame *root,
                         struct pyi_error *err)
{
    struct pyi_intern identifiers = {0};
    struct row *rows = NULL;
    struct pyi_strbuf name = {0}, scratch = {0};
    bool fine = collect_rows(root, &identifiers, &rows);
    pyi_output_string(output, "| self, s | share | function | place |\n|--:|--:|:--|:--|\n");
    if (fine && identifiers.count)
        qsort(rows, identifiers.count, sizeof(*rows), compare_rows);
    for (size_t i = 0;
         fine && i < identifiers.count && i < ROWS_SHOWN && is_worth_a_row(rows[i].self, root); i++)
        put_row(output, &rows[i], pyi_frame_time(root), &name, &scratch);
    fine = fine && !name.failed && !scratch.failed;
    pyi_strbuf_deinit(&name);
    pyi_strbuf_deinit(&scratch);
    pyi_intern_deinit(&identifiers);
    free(rows);
    return fine ? 0 : pyi_error_nomem(err);
}

/* ---- the tree ---- */

/* Keeps the first bytes; then ends the rendering with a code nobody sees. */
static int write_beginning(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct pyi_strbuf *buffer = context;
    size_t room = TREE_BYTES - buffer->length;
    pyi_strbuf_append(buffer, bytes, length < room ? length : room);
    return length < room ? 0 : PYI_E_LIMIT;
}

static int render_beginning(struct pyi_session *session, const struct pyi_render_options *options,
                            struct pyi_strbuf *out, struct pyi_error *err)
{
    struct pyi_render_options *text_options;
    struct pyi_sink sink = {write_beginning, out};
    int code = pyi_render_options_new(&text_options, err);
    if (code)
        return code;
    code = pyi_render_options_set(text_options, "unicode", NULL, err);
    if (!code && pyi_option_true(options, "show_all"))
        code = pyi_render_options_set(text_options, "show_all", NULL, err);
    if (!code)
        code = pyi_renderer_text.render(session, text_options, &sink, err);
    pyi_render_options_free(text_options);
    return code == PYI_E_LIMIT && out->length == TREE_BYTES ? 0 : code;
}

/* As an indented block: names cannot end it, and nothing in it is read as markup. The preamble
 * is left out. */
static void put_tree(struct pyi_output *output, struct pyi_text text, struct pyi_strbuf *scratch)
{
    size_t line = 0;
    pyi_output_string(output, "\n<details><summary>Call tree</summary>\n\n");
    for (size_t at = 0; at < text.length; line++) {
        const char *start = text.data + at;
        const char *newline = memchr(start, '\n', text.length - at);
        if (!newline) {
            pyi_output_string(output, "    (cut here)\n");
            break;
        }
        size_t length = (size_t)(newline - start) + 1;
        if (line > 6 && length > 1) {
            pyi_output_string(output, "    ");
            pyi_output_text(output, pyi_export_safe((struct pyi_text){start, length - 1}, scratch));
            pyi_output_char(output, '\n');
        }
        at += length;
    }
    pyi_output_string(output, "\n</details>\n");
}

static void put_facts(struct pyi_output *output, const struct pyi_session *session,
                      struct pyi_strbuf *scratch)
{
    char start[64], duration[340], cpu[340], samples[PYI_NUMBER_SIZE];
    pyi_render_start_time(session, "%Y-%m-%d %H:%M:%S", start, sizeof(start));
    pyi_number_fixed(pyi_session_number(session, PYI_SESSION_DURATION).value, 3, duration);
    pyi_number_fixed(pyi_session_number(session, PYI_SESSION_CPU_TIME).value, 3, cpu);
    pyi_number_json(pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT), samples);
    pyi_output_string(output, "### ");
    put_escaped(output, pyi_session_target_description(session), scratch);
    pyi_output_format(output,
                      "\n\n| recorded | duration | CPU time | samples |\n|:--|--:|--:|--:|\n"
                      "| %s | %s s | %s s | %s |\n\n",
                      start, duration, cpu, samples);
}

/* The table has a tree of its own, freed before the text report builds the next. */
static int put_table(struct pyi_output *output, struct pyi_session *session,
                     const struct pyi_render_options *options, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code = pyi_render_tree(session, options, PYI_TREE_WITHOUT_IDLE, PYI_LIST_TEXT, &tree, err);
    if (code)
        return code;
    if (pyi_tree_root(tree))
        return put_functions(output, pyi_tree_root(tree), err);
    pyi_output_string(output, "No samples were recorded.\n");
    return 0;
}

static int render_markdown(struct pyi_session *session, const struct pyi_render_options *options,
                           const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf text = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf scratch = {0};
    struct pyi_output output;
    pyi_output_init(&output, sink);
    put_facts(&output, session, &scratch);
    int code = put_table(&output, session, options, err);
    if (!code)
        code = render_beginning(session, options, &text, err);
    if (!code)
        put_tree(&output, pyi_strbuf_get(&text), &scratch);
    int written = pyi_output_finish(&output, code ? NULL : err);
    if (!code && !written && (text.failed || scratch.failed))
        return pyi_error_nomem(err);
    return code ? code : written;
}

const struct pyi_renderer pyi_renderer_markdown = {
    .name = "markdown",
    .class_name = "MarkdownRenderer",
    .extensions = (const char *const[]){".md", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_markdown,
};
