/* SPDX-License-Identifier: BSD-3-Clause */
/* json.c - the processed tree as one line of JSON.
 *
 * In: a session and options. Out: upstream's hand-made spelling: commas without blanks, six
 * decimals, strings raw but for what JSON forbids. Keys that follow "children" are written on
 * the way back up. */
#include "src/render/rows.h"

#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/render/diff/diff.h"
#include "src/render/options.h"
#include <errno.h>
#include <sys/random.h>

struct writer {
    struct pyi_output output;
    uint64_t seed[2]; /* group names are random, and new on every run */
};

static void put_key_text(struct pyi_output *output, const char *key, struct pyi_text text)
{
    pyi_output_string(output, key);
    pyi_json_write_raw(output, text);
}

static void put_key_fixed(struct pyi_output *output, const char *key, double value)
{
    pyi_output_string(output, key);
    pyi_json_write_fixed(output, value);
}

static void open_frame(struct pyi_output *output, const struct pyi_frame *frame)
{
    int64_t line = 0;
    (void)pyi_frame_line(frame, &line);
    put_key_text(output, "{\"function\": ", pyi_frame_function(frame));
    put_key_text(output, ",\"file_path_short\": ", pyi_frame_short_path(frame));
    put_key_text(output, ",\"file_path\": ", pyi_frame_file_path(frame));
    pyi_output_format(output, ",\"line_no\": %lld", (long long)line);
    put_key_fixed(output, ",\"time\": ", pyi_frame_time(frame));
    put_key_fixed(output, ",\"await_time\": ", pyi_frame_await_time(frame));
    pyi_output_string(output, ",\"is_application_code\": ");
    pyi_output_string(output, pyi_frame_is_application_code(frame) ? "true" : "false");
    pyi_output_string(output, ",\"children\": [");
}

/* Spreads all bits of the input over the output (an avalanche of multiplications). */
static uint64_t scatter(uint64_t value)
{
    value = (value ^ value >> 32) * 0xd6e8feb86659fd93u;
    value = (value ^ value >> 32) * 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

/* The form of a random UUID, version 4. */
static void put_group(struct writer *writer, const struct pyi_frame_group *group)
{
    uint64_t number = pyi_group_index(group);
    uint64_t high = scatter(writer->seed[0] + number), low = scatter(writer->seed[1] ^ high);
    high = (high & ~0xf000ull) | 0x4000;
    low = (low & ~(3ull << 62)) | 1ull << 63;
    pyi_output_format(&writer->output, ",\"group_id\": \"%08x-%04x-%04x-%04x-%012llx\"",
                      (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
                      (unsigned)(high & 0xffff), (unsigned)(low >> 48),
                      (unsigned long long)(low & 0xffffffffffff));
}

static void close_frame(struct writer *writer, const struct pyi_frame *frame)
{
    const struct pyi_frame_group *group = pyi_frame_group(frame);
    struct pyi_text class_name = pyi_frame_class_name(frame);
    pyi_output_char(&writer->output, ']');
    if (group)
        put_group(writer, group);
    if (class_name.length)
        put_key_text(&writer->output, ",\"class_name\": ", class_name);
    pyi_output_char(&writer->output, '}');
}

static void put_frames(struct writer *writer, const struct pyi_frame *root)
{
    const struct pyi_frame *frame = root;
    while (frame) {
        open_frame(&writer->output, frame);
        const struct pyi_frame *next = pyi_frame_first_child(frame);
        while (!next && frame) {
            close_frame(writer, frame);
            next = frame == root ? NULL : pyi_frame_next(frame);
            if (next)
                pyi_output_char(&writer->output, ',');
            else
                frame = frame == root ? NULL : pyi_frame_parent(frame);
        }
        frame = next;
    }
}

static int render_json(struct pyi_session *session, const struct pyi_render_options *options,
                       const struct pyi_sink *sink, struct pyi_error *err)
{
    if (pyi_option_base(options))
        return pyi_render_diff_json(session, options, sink, err);
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code = pyi_render_tree(session, options, 0, PYI_LIST_TEXT, &tree, err);
    if (code)
        return code;
    struct writer writer;
    if (getrandom(writer.seed, sizeof(writer.seed), 0) != sizeof(writer.seed))
        return pyi_error_os(err, errno, "random numbers");
    struct pyi_output *output = &writer.output;
    pyi_output_init(output, sink);
    put_key_fixed(output,
                  "{\"start_time\": ", pyi_session_number(session, PYI_SESSION_START_TIME).value);
    put_key_fixed(output,
                  ",\"duration\": ", pyi_session_number(session, PYI_SESSION_DURATION).value);
    struct pyi_number samples = pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT);
    if (samples.is_integer)
        pyi_output_format(output, ",\"sample_count\": %lld", (long long)samples.integer);
    else
        pyi_output_format(output, ",\"sample_count\": %.0f", __builtin_trunc(samples.value));
    put_key_text(output, ",\"target_description\": ", pyi_session_target_description(session));
    put_key_fixed(output,
                  ",\"cpu_time\": ", pyi_session_number(session, PYI_SESSION_CPU_TIME).value);
    pyi_output_string(output, ",\"root_frame\": ");
    if (pyi_tree_root(tree))
        put_frames(&writer, pyi_tree_root(tree));
    else
        pyi_output_string(output, "null");
    pyi_output_string(output, "}\n");
    return pyi_output_finish(output, err);
}

const struct pyi_renderer pyi_renderer_json = {
    .name = "json",
    .class_name = "JSONRenderer",
    .extensions = (const char *const[]){".json", NULL},
    .options = (const char *const[]){"show_all", "timeline", "processor_options", NULL},
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_DIFF,
    .render = render_json,
};
