/* SPDX-License-Identifier: BSD-3-Clause */
/* collapsed.c - folded stacks: one line per stack, frames joined by ';', microseconds behind.
 *
 * In: a session. Out: text for flamegraph.pl, speedscope, inferno and the like. Threads are the
 * outermost frames. Time that rounds to no microsecond is left out. */
#include "src/render/rows.h"

#include "src/base/error.h"
#include "src/base/output.h"
#include "src/render/export.h"
#include <math.h>

/* ';' and line ends would break the format, blanks at the end would look like the number. */
static void append_frame(struct pyi_strbuf *line, const struct pyi_frame *frame,
                         struct pyi_strbuf *scratch)
{
    pyi_strbuf_reset(scratch);
    pyi_export_name(frame, scratch);
    struct pyi_text name = pyi_strbuf_get(scratch);
    if (line->length)
        pyi_strbuf_char(line, ';');
    size_t start = line->length;
    pyi_strbuf_safe(line, name, PYI_TEXT_STRICT);
    for (size_t i = start; !line->failed && i < line->length; i++)
        if (line->data[i] == ';')
            line->data[i] = ':';
    if (line->length == start)
        pyi_strbuf_char(line, '?');
    line->failed = line->failed || scratch->failed;
}

/* Seconds spent in the frame itself: all that its kept children did not. */
static double own_time(const struct pyi_frame *frame)
{
    double time = pyi_frame_time(frame);
    const struct pyi_frame *child = pyi_frame_first_child(frame);
    for (; child; child = pyi_frame_next(child))
        if (!pyi_text_equal(pyi_frame_identifier(child), pyi_text("[self]")))
            time -= pyi_frame_time(child);
    return time;
}

static bool is_left_out(const struct pyi_frame *frame)
{
    return pyi_text_equal(pyi_frame_identifier(frame), pyi_text("[self]")) ||
           pyi_text_equal(pyi_frame_identifier(frame), pyi_text("[root]"));
}

static int put_stacks(struct pyi_output *output, const struct pyi_frame *root,
                      struct pyi_error *err)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf line = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf scratch = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf ends = {0}; /* line lengths of the levels */
    for (const struct pyi_frame *frame = root; frame && !line.failed && !ends.failed;) {
        size_t before = line.length;
        if (!is_left_out(frame) || (frame == root && !pyi_frame_first_child(frame))) {
            append_frame(&line, frame, &scratch);
            double micro = round(own_time(frame) * 1e6);
            if (micro >= 1 && micro < 1e18) {
                pyi_output_text(output, pyi_strbuf_get(&line));
                pyi_output_format(output, " %lld\n", (long long)micro);
            }
        }
        const struct pyi_frame *next = pyi_frame_first_child(frame);
        if (next) {
            pyi_strbuf_append(&ends, &before, sizeof(before));
        } else {
            line.length = before;
            for (; !next && frame != root; frame = pyi_frame_parent(frame)) {
                next = pyi_frame_next(frame);
                if (!next) { /* the parent is done as well */
                    ends.length -= sizeof(before);
                    memcpy(&line.length, ends.data + ends.length, sizeof(before));
                }
            }
        }
        frame = next;
    }
    return line.failed || ends.failed ? pyi_error_nomem(err) : 0;
}

static int render_collapsed(struct pyi_session *session, const struct pyi_render_options *options,
                            const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code = pyi_render_tree(session, options, PYI_TREE_KEEP_STEM, PYI_LIST_EXPORT, &tree, err);
    if (code)
        return code;
    struct pyi_output output;
    pyi_output_init(&output, sink);
    code = put_stacks(&output, pyi_tree_root(tree), err);
    int written = pyi_output_finish(&output, code ? NULL : err);
    return code ? code : written;
}

const struct pyi_renderer pyi_renderer_collapsed = {
    .name = "collapsed",
    .class_name = "CollapsedRenderer",
    .extensions = (const char *const[]){".collapsed", ".folded", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_collapsed,
};
