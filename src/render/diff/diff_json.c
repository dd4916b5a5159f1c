/* SPDX-License-Identifier: BSD-3-Clause */
/* diff_json.c - a comparison for programs, and what its reports have in common.
 *
 * In: two sessions. Out: one object, see pyinstrument(1). Nothing is left out of the tree. */
#include "src/render/diff/diff.h"

#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/render/options.h"

void pyi_cleanup_diff(struct pyi_diff **diff)
{
    pyi_diff_free(*diff);
}

int pyi_render_diff_check(const struct pyi_render_options *options, struct pyi_error *err)
{
    if (!pyi_option_present(options, "diff") || pyi_option_is(options, "diff", "time") ||
        pyi_option_is(options, "diff", "share"))
        return 0;
    return pyi_error_set(err, PYI_E_INVALID, "diff must be time or share");
}

int pyi_render_diff_new(struct pyi_session *session, const struct pyi_render_options *options,
                        struct pyi_diff **out, struct pyi_error *err)
{
    struct pyi_session *base = pyi_option_base(options);
    struct pyi_processor_options processors;
    int code = pyi_option_processors(options, &processors, err);
    if (code)
        return code;
    enum pyi_diff_mode mode = pyi_option_is(options, "diff", "time") ? PYI_DIFF_TIME
                              : pyi_option_is(options, "diff", "share")
                                  ? PYI_DIFF_SHARE
                                  : pyi_diff_default_mode(base, session);
    return pyi_diff_new(base, session, mode,
                        pyi_option_true(options, "idle") ? 0 : PYI_TREE_WITHOUT_IDLE, &processors,
                        out, err);
}

const struct pyi_diff_frame *pyi_diff_top(const struct pyi_diff *diff)
{
    const struct pyi_diff_frame *top = pyi_diff_root(diff), *root = top;
    while (top->first && !top->first->next && !(top->self.base > 0) && !(top->self.now > 0))
        top = top->first;
    /* The outermost call is shown even when it is the only one, unless it is a thread. */
    return top != root && !top->first && top->parent != root ? top->parent : top;
}

const char *pyi_diff_word(enum pyi_diff_change change)
{
    static const char *const words[] = {[PYI_DIFF_QUIET] = "",
                                        [PYI_DIFF_MORE] = "more",
                                        [PYI_DIFF_LESS] = "less",
                                        [PYI_DIFF_FRESH] = "new",
                                        [PYI_DIFF_GONE] = "gone"};
    return words[change];
}

/* ---- the object ---- */

static void put_number(struct pyi_output *output, const char *key, double value)
{
    pyi_output_format(output, "\"%s\": ", key);
    pyi_json_write_number(output, pyi_number_double(value));
    pyi_output_string(output, ", ");
}

static void put_figures(struct pyi_output *output, const char *key,
                        const struct pyi_diff_figures *figures)
{
    pyi_output_format(output, "\"%s\": {", key);
    put_number(output, "base", figures->base);
    put_number(output, "new", figures->now);
    put_number(output, "delta", figures->delta);
    put_number(output, "noise", figures->noise);
    pyi_output_format(output, "\"change\": \"%s\"}", pyi_diff_word(figures->change));
}

/* Name, place and figures; the object stays open. */
static void put_entry(struct pyi_output *output, const struct pyi_frame *frame,
                      const struct pyi_diff_figures *total, const struct pyi_diff_figures *self)
{
    int64_t line;
    pyi_output_string(output, "{\"function\": ");
    pyi_json_write_ascii(output, frame ? pyi_frame_function(frame) : pyi_text("[all]"));
    if (frame && pyi_frame_class_name(frame).length) {
        pyi_output_string(output, ", \"class_name\": ");
        pyi_json_write_ascii(output, pyi_frame_class_name(frame));
    }
    if (frame && pyi_frame_file_path(frame).length) {
        pyi_output_string(output, ", \"file_path\": ");
        pyi_json_write_ascii(output, pyi_frame_file_path(frame));
        pyi_output_string(output, ", \"file_path_short\": ");
        pyi_json_write_ascii(output, pyi_frame_short_path(frame));
    }
    if (frame && pyi_frame_line(frame, &line))
        pyi_output_format(output, ", \"line_no\": %lld", (long long)line);
    pyi_output_string(output, ", ");
    put_figures(output, "total", total);
    pyi_output_string(output, ", ");
    put_figures(output, "self", self);
}

static void put_side(struct pyi_output *output, const char *key, const struct pyi_session *session,
                     struct pyi_diff_side side)
{
    pyi_output_format(output, "\"%s\": {\"target_description\": ", key);
    pyi_json_write_ascii(output, pyi_session_target_description(session));
    pyi_output_string(output, ", ");
    put_number(output, "start_time", pyi_session_number(session, PYI_SESSION_START_TIME).value);
    put_number(output, "duration", pyi_session_number(session, PYI_SESSION_DURATION).value);
    put_number(output, "total", side.total);
    pyi_output_string(output, "\"samples\": ");
    pyi_json_write_number(output, pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT));
    pyi_output_string(output, "},\n");
}

static void put_tree(struct pyi_output *output, const struct pyi_diff *diff)
{
    int64_t depth = 0, open = 0; /* frames whose children are being listed */
    for (const struct pyi_diff_frame *f = pyi_diff_root(diff); f && !output->code;
         f = pyi_diff_walk(diff, f, &depth)) {
        const bool first = depth > open || !f->parent;
        for (; open > depth; open--)
            pyi_output_string(output, "]}");
        if (!first)
            pyi_output_string(output, "]}, ");
        open = depth;
        put_entry(output, f->frame, &f->total, &f->self);
        pyi_output_string(output, ", \"children\": [");
    }
    for (; open >= 0; open--)
        pyi_output_string(output, "]}");
}

int pyi_render_diff_json(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_diff) struct pyi_diff *diff = NULL;
    int code = pyi_render_diff_new(session, options, &diff, err);
    if (code)
        return code;
    struct pyi_output output;
    pyi_output_init(&output, sink);
    pyi_output_format(&output, "{\"compared\": \"%s\",\n",
                      pyi_diff_mode(diff) == PYI_DIFF_SHARE ? "share" : "time");
    put_side(&output, "base", pyi_option_base(options), pyi_diff_base_side(diff));
    put_side(&output, "new", session, pyi_diff_new_side(diff));
    pyi_output_string(&output, "\"functions\": [");
    const struct pyi_diff_function *function;
    for (size_t i = 0; (function = pyi_diff_function(diff, i)) && !output.code; i++) {
        pyi_output_string(&output, i ? ",\n" : "\n");
        put_entry(&output, function->frame, &function->total, &function->self);
        pyi_output_char(&output, '}');
    }
    pyi_output_string(&output, "],\n\"tree\": ");
    put_tree(&output, diff);
    pyi_output_string(&output, "}\n");
    return pyi_output_finish(&output, err);
}
