/* SPDX-License-Identifier: BSD-3-Clause */
/* speedscope.c - open and close events in time order, for speedscope.
 *
 * In: a session and options. Out: one line of JSON with Python's spelling. Events are written
 * while walking; the table of frames, numbered by first appearance, follows them. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/json_writer.h"
#include "src/base/number.h"
#include "src/render/options.h"
#include <stdlib.h>

struct writer {
    struct pyi_output output;
    struct pyi_intern identifiers;   /* number -> frames[] through `numbers` */
    struct pyi_intern keys;          /* function, path and line; number = speedscope's */
    const struct pyi_frame **frames; /* by key number: one that has the key */
    size_t frame_capacity;
    uint32_t *numbers;
    size_t number_capacity;
    double clock;
    bool started, failed;
};

static void writer_deinit(struct writer *writer)
{
    pyi_intern_deinit(&writer->identifiers);
    pyi_intern_deinit(&writer->keys);
    free(writer->frames);
    free(writer->numbers);
}

/* Identifiers that differ only in what no one reads are one frame. */
static uint32_t key_number(struct writer *writer, const struct pyi_frame *frame)
{
    struct pyi_strbuf key = {0};
    int64_t line;
    pyi_strbuf_text(&key, pyi_frame_function(frame));
    if (pyi_frame_has_path(frame)) {
        pyi_strbuf_char(&key, '\0');
        pyi_strbuf_text(&key, pyi_frame_file_path(frame));
    }
    if (pyi_frame_line(frame, &line)) {
        pyi_strbuf_char(&key, '\0');
        pyi_strbuf_format(&key, "%lld", (long long)line);
    }
    struct pyi_text text = pyi_strbuf_get(&key);
    size_t known = writer->keys.count;
    uint32_t number =
        key.failed ? UINT32_MAX : pyi_intern_add(&writer->keys, text.data, text.length);
    pyi_strbuf_deinit(&key);
    if (number == UINT32_MAX || number < known)
        return number;
    if (!pyi_array_reserve(&writer->frames, &writer->frame_capacity, (size_t)number + 1,
                           sizeof(*writer->frames)))
        return UINT32_MAX;
    writer->frames[number] = frame;
    return number;
}

static uint32_t frame_number(struct writer *writer, const struct pyi_frame *frame)
{
    struct pyi_text identifier = pyi_frame_identifier(frame);
    size_t known = writer->identifiers.count;
    uint32_t number = pyi_intern_add(&writer->identifiers, identifier.data, identifier.length);
    if (number == UINT32_MAX)
        return number;
    if (number >= known) {
        if (!pyi_array_reserve(&writer->numbers, &writer->number_capacity, (size_t)number + 1,
                               sizeof(*writer->numbers)))
            return UINT32_MAX;
        writer->numbers[number] = key_number(writer, frame);
    }
    return writer->numbers[number];
}

static void put_event(struct writer *writer, const struct pyi_frame *frame, char type)
{
    uint32_t number = frame_number(writer, frame);
    writer->failed = writer->failed || number == UINT32_MAX;
    pyi_output_string(&writer->output, writer->started ? ", {\"type\": \"" : "{\"type\": \"");
    pyi_output_char(&writer->output, type);
    pyi_output_string(&writer->output, "\", \"at\": ");
    pyi_json_write_number(&writer->output, pyi_number_double(writer->clock));
    pyi_output_format(&writer->output, ", \"frame\": %u}", number);
    writer->started = true;
}

static void put_close(struct writer *writer, const struct pyi_frame *frame)
{
    writer->clock += pyi_frame_absorbed_time(frame);
    if (pyi_frame_is_synthetic_leaf(frame))
        writer->clock += pyi_frame_time(frame);
    put_event(writer, frame, 'C');
}

static void put_events(struct writer *writer, const struct pyi_frame *root)
{
    const struct pyi_frame *frame = root;
    while (frame && !writer->failed) {
        put_event(writer, frame, 'O');
        const struct pyi_frame *next = pyi_frame_first_child(frame);
        while (!next && frame) {
            put_close(writer, frame);
            next = frame == root ? NULL : pyi_frame_next(frame);
            if (!next)
                frame = frame == root ? NULL : pyi_frame_parent(frame);
        }
        frame = next;
    }
}

static void put_frame(struct pyi_output *output, const struct pyi_frame *frame)
{
    int64_t line;
    pyi_output_string(output, "{\"name\": ");
    pyi_json_write_ascii(output, pyi_frame_function(frame));
    pyi_output_string(output, ", \"file\": ");
    if (pyi_frame_has_path(frame))
        pyi_json_write_ascii(output, pyi_frame_file_path(frame));
    else
        pyi_output_string(output, "null");
    pyi_output_string(output, ", \"line\": ");
    if (pyi_frame_line(frame, &line))
        pyi_output_format(output, "%lld}", (long long)line);
    else
        pyi_output_string(output, "null}");
}

static struct pyi_text profile_name(const struct pyi_session *session, struct pyi_strbuf *buffer)
{
    char start[64];
    pyi_render_start_time(session, "%Y-%m-%dT%H-%M-%S", start, sizeof(start));
    pyi_strbuf_string(buffer, "CPU profile for '");
    pyi_strbuf_text(buffer, pyi_session_target_description(session));
    pyi_strbuf_format(buffer, "' at %s", start);
    return pyi_strbuf_get(buffer);
}

static int render_speedscope(struct pyi_session *session, const struct pyi_render_options *options,
                             const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code = pyi_render_tree(session, options, 0, PYI_LIST_SPEEDSCOPE, &tree, err);
    if (code)
        return code;
    PYI_CLEANUP(writer_deinit) struct writer writer = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf buffer = {0};
    struct pyi_text name = profile_name(session, &buffer);
    struct pyi_output *output = &writer.output;
    pyi_output_init(output, sink);
    pyi_output_string(output, "{\"$schema\": \"https://www.speedscope.app/file-format-schema.json\""
                              ", \"name\": ");
    pyi_json_write_ascii(output, name);
    pyi_output_string(output, ", \"activeProfileIndex\": null, \"exporter\": \"pyinstrument\", "
                              "\"profiles\": [{\"type\": \"evented\", \"name\": ");
    pyi_json_write_ascii(output, name);
    pyi_output_string(output, ", \"unit\": \"seconds\", \"startValue\": 0.0, \"endValue\": ");
    pyi_json_write_number(output, pyi_session_number(session, PYI_SESSION_DURATION));
    pyi_output_string(output, ", \"events\": [");
    put_events(&writer, pyi_tree_root(tree));
    pyi_output_string(output, "]}], \"shared\": {\"frames\": [");
    for (size_t i = 0; i < writer.keys.count && !writer.failed; i++) {
        if (i)
            pyi_output_string(output, ", ");
        put_frame(output, writer.frames[i]);
    }
    pyi_output_string(output, "]}}\n");
    code = pyi_output_finish(output, err);
    return !code && (writer.failed || buffer.failed) ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_speedscope = {
    .name = "speedscope",
    .class_name = "SpeedscopeRenderer",
    .extensions = (const char *const[]){".speedscope.json", NULL},
    .options = (const char *const[]){"show_all", "timeline", "processor_options", NULL},
    .flags = PYI_RENDERER_TREE,
    .render = render_speedscope,
};
