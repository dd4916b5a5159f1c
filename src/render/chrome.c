/* SPDX-License-Identifier: BSD-3-Clause */
/* chrome.c - trace events for chrome://tracing, Perfetto and speedscope.
 *
 * In: a session. Out: JSON with a begin and an end event per frame, one lane per thread, in
 * microseconds after the session's start. The frames of one thread follow each other without
 * gaps from the thread's first record on. */
#include "src/render/rows.h"

#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/base/number.h"
#include "src/render/export.h"

struct writer {
    struct pyi_output output;
    struct pyi_strbuf name, safe;
    struct pyi_lane lane;
    double clock; /* seconds after the session's start */
    bool started;
};

static void writer_deinit(struct writer *writer)
{
    pyi_strbuf_deinit(&writer->name);
    pyi_strbuf_deinit(&writer->safe);
}

static void put_time(struct writer *writer)
{
    char digits[340];
    pyi_number_fixed(writer->clock * 1e6, 3, digits);
    pyi_output_string(&writer->output, ", \"ts\": ");
    pyi_output_string(&writer->output, digits);
}

static void begin_event(struct writer *writer, char phase, struct pyi_text name)
{
    pyi_output_string(&writer->output, writer->started ? ",\n" : "\n");
    pyi_output_format(&writer->output,
                      "{\"ph\": \"%c\", \"pid\": %lld, \"tid\": %lld, \"name\": ", phase,
                      (long long)writer->lane.process, (long long)writer->lane.thread);
    pyi_json_write_ascii(&writer->output, name);
    writer->started = true;
}

static struct pyi_text name_of(struct writer *writer, const struct pyi_frame *frame)
{
    pyi_strbuf_reset(&writer->name);
    pyi_export_function(frame, &writer->name);
    return pyi_export_safe(pyi_strbuf_get(&writer->name), &writer->safe);
}

static void put_begin(struct writer *writer, const struct pyi_frame *frame)
{
    int64_t line = 0;
    begin_event(writer, 'B', name_of(writer, frame));
    put_time(writer);
    pyi_output_string(&writer->output, ", \"cat\": \"python\", \"args\": {\"file\": ");
    pyi_json_write_ascii(&writer->output,
                         pyi_export_safe(pyi_frame_file_path(frame), &writer->safe));
    (void)pyi_frame_line(frame, &line);
    pyi_output_format(&writer->output, ", \"line\": %lld}}", (long long)line);
}

static void put_end(struct writer *writer, const struct pyi_frame *frame)
{
    begin_event(writer, 'E', name_of(writer, frame));
    put_time(writer);
    pyi_output_char(&writer->output, '}');
}

/* [self] is where the clock runs, but nothing to show. */
static bool is_drawn(const struct pyi_frame *frame)
{
    return !pyi_text_equal(pyi_frame_identifier(frame), pyi_text("[self]"));
}

static void put_lane(struct writer *writer)
{
    const struct pyi_frame *root = writer->lane.frame;
    begin_event(writer, 'M', pyi_text("thread_name"));
    pyi_output_string(&writer->output, ", \"args\": {\"name\": ");
    pyi_json_write_ascii(&writer->output, pyi_export_safe(writer->lane.name, &writer->safe));
    pyi_output_string(&writer->output, "}}");
    writer->clock = writer->lane.start;
    for (const struct pyi_frame *frame = root; frame;) {
        if (is_drawn(frame))
            put_begin(writer, frame);
        const struct pyi_frame *next = pyi_frame_first_child(frame);
        while (!next && frame) {
            writer->clock += pyi_frame_absorbed_time(frame);
            if (pyi_frame_is_synthetic_leaf(frame))
                writer->clock += pyi_frame_time(frame);
            if (is_drawn(frame))
                put_end(writer, frame);
            next = frame == root ? NULL : pyi_frame_next(frame);
            if (!next)
                frame = frame == root ? NULL : pyi_frame_parent(frame);
        }
        frame = next;
    }
}

static int render_chrome(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code = pyi_export_timeline(session, &tree, err);
    if (code)
        return code;
    PYI_CLEANUP(writer_deinit) struct writer writer = {0};
    pyi_output_init(&writer.output, sink);
    pyi_output_string(&writer.output, "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"target\": ");
    pyi_json_write_ascii(&writer.output,
                         pyi_export_safe(pyi_session_target_description(session), &writer.safe));
    pyi_output_string(&writer.output, "}, \"traceEvents\": [");
    while (pyi_export_next_lane(session, tree, &writer.lane))
        put_lane(&writer);
    pyi_output_string(&writer.output, "\n]}\n");
    code = pyi_output_finish(&writer.output, err);
    return !code && (writer.name.failed || writer.safe.failed) ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_chrome = {
    .name = "chrome",
    .class_name = "ChromeRenderer",
    .extensions = (const char *const[]){".trace.json", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_chrome,
};
