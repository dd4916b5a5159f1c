/* SPDX-License-Identifier: BSD-3-Clause */
/* chrome.c - trace events for chrome://tracing, Perfetto and speedscope.
 *
 * In: a session. Out: JSON with a begin and an end event per frame, one lane per thread, in
 * microseconds after the session's start. The frames of one thread follow each other without
 * gaps, except where a recording says that a record begins later: there all of them end and begin
 * again. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/base/number.h"
#include "src/render/export.h"
#include <math.h>
#include <stdlib.h>

/* Sums of the same times in another order differ by less. */
#define SAME_TIME 1e-9

/* At `position` seconds of a lane's own time the clock shows `begin`. */
struct leap {
    double position, begin;
};

struct writer {
    struct pyi_output output;
    struct pyi_strbuf name, safe;
    struct pyi_lane lane;
    int64_t process;       /* named last */
    double clock;          /* seconds after the session's start */
    double position;       /* seconds of the lane so far */
    struct pyi_map begins; /* see pyi_export_begins() */
    const struct pyi_session *session;
    uint64_t cursor, record; /* the lane's next record; its index */
    struct leap *leaps;      /* of the lane */
    size_t leap_count, leap_capacity, next_leap;
    const struct pyi_frame **path; /* scratch */
    size_t path_capacity;
    bool started, failed;
};

static void writer_deinit(struct writer *writer)
{
    pyi_strbuf_deinit(&writer->name);
    pyi_strbuf_deinit(&writer->safe);
    pyi_map_deinit(&writer->begins);
    free(writer->leaps);
    free(writer->path);
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

/* ---- time ---- */

/* The lane's run of records: which of them do not begin where the one before them ended. */
static void find_leaps(struct writer *writer)
{
    struct pyi_text lane = pyi_frame_identifier(writer->lane.frame);
    struct pyi_record record;
    double position = 0;
    uint32_t inside = PYI_STACK_ROOT; /* the lane's node; a fork's first thread looks the same */
    writer->leap_count = writer->next_leap = 0;
    if (!writer->begins.count)
        return;
    for (uint64_t cursor = writer->cursor;
         pyi_session_next_record(writer->session, &cursor, &record) && !writer->failed;) {
        struct pyi_text identifier = pyi_text("");
        double begin;
        uint32_t node = PYI_STACK_ROOT;
        if (record.stack) {
            node = pyi_export_lane_node(writer->session, record.stack);
            uint32_t frame = pyi_session_stack_frame(writer->session, node);
            (void)pyi_text_part(pyi_session_frame_info(writer->session, frame), '\1', 0,
                                &identifier);
        }
        if (inside && node != inside)
            return;
        if (!inside && pyi_text_equal(identifier, lane))
            inside = node;
        writer->cursor = cursor;
        bool leaps = pyi_export_begin_of(&writer->begins, writer->record++, &begin);
        if (inside && leaps) {
            writer->failed = !pyi_array_reserve(&writer->leaps, &writer->leap_capacity,
                                                writer->leap_count + 1, sizeof(*writer->leaps));
            if (!writer->failed)
                writer->leaps[writer->leap_count++] = (struct leap){position, begin};
        }
        if (inside)
            position += record.seconds.value;
    }
}

/* Open frames are those from the lane's down to `top`. */
static void close_frames(struct writer *writer, const struct pyi_frame *top)
{
    for (const struct pyi_frame *frame = top;; frame = pyi_frame_parent(frame)) {
        if (is_drawn(frame))
            put_end(writer, frame);
        if (frame == writer->lane.frame)
            return;
    }
}

static void open_frames(struct writer *writer, const struct pyi_frame *top)
{
    size_t depth = 0;
    for (const struct pyi_frame *frame = top;; frame = pyi_frame_parent(frame)) {
        if (!pyi_array_reserve(&writer->path, &writer->path_capacity, depth + 1,
                               sizeof(*writer->path))) {
            writer->failed = true;
            return;
        }
        writer->path[depth++] = frame;
        if (frame == writer->lane.frame)
            break;
    }
    while (depth-- > 0)
        if (is_drawn(writer->path[depth]))
            put_begin(writer, writer->path[depth]);
}

/* The clock leaps if it is time to. `top` is the open frame on top, NULL when none is open. */
static void leap(struct writer *writer, const struct pyi_frame *top)
{
    while (writer->next_leap < writer->leap_count &&
           writer->leaps[writer->next_leap].position <= writer->position + SAME_TIME) {
        double begin = writer->leaps[writer->next_leap++].begin;
        if (begin <= writer->clock + SAME_TIME)
            continue;
        if (top)
            close_frames(writer, top);
        writer->clock = begin;
        if (top)
            open_frames(writer, top);
    }
}

/* `seconds` pass while `top` is the open frame on top. */
static void pass(struct writer *writer, const struct pyi_frame *top, double seconds)
{
    while (writer->next_leap < writer->leap_count && seconds > SAME_TIME) {
        leap(writer, top);
        if (writer->next_leap == writer->leap_count)
            break;
        double part = writer->leaps[writer->next_leap].position - writer->position;
        if (!(part < seconds - SAME_TIME))
            break;
        writer->position += part;
        writer->clock += part;
        seconds -= part;
    }
    writer->position += seconds;
    writer->clock += seconds;
}

/* ---- lanes ---- */

/* The name of the lane's process, before its first lane. */
static void put_process(struct writer *writer)
{
    if (!writer->lane.process_name.length || writer->lane.process == writer->process)
        return;
    writer->process = writer->lane.process;
    begin_event(writer, 'M', pyi_text("process_name"));
    pyi_output_string(&writer->output, ", \"args\": {\"name\": ");
    pyi_json_write_ascii(&writer->output,
                         pyi_export_safe(writer->lane.process_name, &writer->safe));
    pyi_output_string(&writer->output, "}}");
}

static void put_lane(struct writer *writer)
{
    const struct pyi_frame *root = writer->lane.frame;
    put_process(writer);
    begin_event(writer, 'M', pyi_text("thread_name"));
    pyi_output_string(&writer->output, ", \"args\": {\"name\": ");
    pyi_json_write_ascii(&writer->output, pyi_export_safe(writer->lane.name, &writer->safe));
    pyi_output_string(&writer->output, "}}");
    writer->clock = writer->lane.start;
    writer->position = 0;
    find_leaps(writer);
    for (const struct pyi_frame *frame = root; frame;) {
        leap(writer, frame == root ? NULL : pyi_frame_parent(frame));
        if (is_drawn(frame))
            put_begin(writer, frame);
        const struct pyi_frame *next = pyi_frame_first_child(frame);
        while (!next && frame) {
            pass(writer, frame, pyi_frame_absorbed_time(frame));
            if (pyi_frame_is_synthetic_leaf(frame))
                pass(writer, frame, pyi_frame_time(frame));
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
    PYI_CLEANUP(writer_deinit) struct writer writer = {.session = session};
    if (!pyi_export_begins(session, &writer.begins))
        return pyi_error_nomem(err);
    pyi_output_init(&writer.output, sink);
    pyi_output_string(&writer.output, "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"target\": ");
    pyi_json_write_ascii(&writer.output,
                         pyi_export_safe(pyi_session_target_description(session), &writer.safe));
    pyi_output_string(&writer.output, "}, \"traceEvents\": [");
    while (pyi_export_next_lane(session, tree, &writer.lane))
        put_lane(&writer);
    pyi_output_string(&writer.output, "\n]}\n");
    code = pyi_output_finish(&writer.output, err);
    bool failed = writer.failed || writer.name.failed || writer.safe.failed;
    return !code && failed ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_chrome = {
    .name = "chrome",
    .class_name = "ChromeRenderer",
    .extensions = (const char *const[]){".trace.json", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_chrome,
};
