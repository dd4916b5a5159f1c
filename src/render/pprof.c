/* SPDX-License-Identifier: BSD-3-Clause */
/* pprof.c - gzipped profile.proto for `go tool pprof` and what reads its format.
 *
 * In: a session's records. Out: one sample per distinct stack with its wall time in nanoseconds,
 * labelled with its thread; lines are those being executed. The few message types are written by
 * hand; field numbers are those of google/pprof's profile.proto. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/output.h"
#include "src/render/export.h"
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

/* ---- gzip between two sinks ---- */

struct gzip {
    z_stream stream;
    const struct pyi_sink *sink;
    unsigned char block[16384];
};

static int deflate_all(struct gzip *gzip, int flush, struct pyi_error *err)
{
    do {
        gzip->stream.next_out = gzip->block;
        gzip->stream.avail_out = sizeof(gzip->block);
        (void)deflate(&gzip->stream, flush);
        size_t length = sizeof(gzip->block) - gzip->stream.avail_out;
        int code = length ? gzip->sink->write(gzip->sink->context, gzip->block, length, err) : 0;
        if (code)
            return code;
    } while (!gzip->stream.avail_out);
    return 0;
}

static int write_gzip(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct gzip *gzip = context;
    const unsigned char *p = bytes;
    while (length) {
        size_t part = length < 1u << 30 ? length : 1u << 30;
        gzip->stream.next_in = (unsigned char *)p;
        gzip->stream.avail_in = (unsigned)part;
        int code = deflate_all(gzip, Z_NO_FLUSH, err);
        if (code)
            return code;
        p += part;
        length -= part;
    }
    return 0;
}

/* ---- protocol buffers ---- */

static void put_varint(struct pyi_strbuf *message, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        pyi_strbuf_char(message, (char)(value | 0x80));
    pyi_strbuf_char(message, (char)value);
}

static void put_integer(struct pyi_strbuf *message, int field, int64_t value)
{
    if (!value)
        return;
    put_varint(message, (uint64_t)field << 3);
    put_varint(message, (uint64_t)value);
}

static void put_bytes(struct pyi_strbuf *message, int field, struct pyi_text bytes)
{
    put_varint(message, (uint64_t)field << 3 | 2);
    put_varint(message, bytes.length);
    pyi_strbuf_text(message, bytes);
}

/* ---- the profile ---- */

enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_TIME = 9,
    PROFILE_DURATION = 10,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
};

struct sample {
    uint32_t stack;
    double seconds;
};

struct profile {
    const struct pyi_session *session;
    struct pyi_output output;
    struct pyi_intern strings, functions;
    struct pyi_map samples_by_stack, locations; /* frame number -> anything: written */
    struct sample *samples;
    size_t sample_count, sample_capacity;
    struct pyi_strbuf message, inner, scratch;
    bool failed;
};

static void profile_deinit(struct profile *profile)
{
    pyi_intern_deinit(&profile->strings);
    pyi_intern_deinit(&profile->functions);
    pyi_map_deinit(&profile->samples_by_stack);
    pyi_map_deinit(&profile->locations);
    free(profile->samples);
    pyi_strbuf_deinit(&profile->message);
    pyi_strbuf_deinit(&profile->inner);
    pyi_strbuf_deinit(&profile->scratch);
}

static int64_t string_of(struct profile *profile, struct pyi_text text)
{
    struct pyi_text safe = pyi_export_safe(text, &profile->scratch);
    uint32_t number = pyi_intern_add(&profile->strings, safe.data, safe.length);
    profile->failed = profile->failed || profile->scratch.failed || number == UINT32_MAX;
    return number;
}

static int64_t nanoseconds(double seconds)
{
    double value = round(seconds * 1e9);
    return fabs(value) < 9e18 ? (int64_t)value : 0;
}

static void flush_message(struct profile *profile, int field, const struct pyi_strbuf *message)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf head = {0};
    put_varint(&head, (uint64_t)field << 3 | 2);
    put_varint(&head, message->length);
    profile->failed = profile->failed || head.failed || message->failed;
    pyi_output_text(&profile->output, pyi_strbuf_get(&head));
    pyi_output_text(&profile->output, pyi_strbuf_get(message));
}

static void put_function(struct profile *profile, uint32_t number,
                         const struct pyi_export_info *info)
{
    struct pyi_strbuf *message = &profile->inner;
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf name = {0};
    if (info->class_name.length) {
        pyi_strbuf_text(&name, info->class_name);
        pyi_strbuf_char(&name, '.');
    }
    pyi_strbuf_text(&name, info->function);
    pyi_strbuf_reset(message);
    put_integer(message, 1, (int64_t)number + 1);
    put_integer(message, 2, string_of(profile, pyi_strbuf_get(&name)));
    put_integer(message, 3, string_of(profile, info->function));
    put_integer(message, 4, string_of(profile, info->path));
    put_integer(message, 5, info->first_line);
    profile->failed = profile->failed || name.failed;
    flush_message(profile, PROFILE_FUNCTION, message);
}

static uint32_t function_of(struct profile *profile, struct pyi_text identifier,
                            const struct pyi_export_info *info)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf key = {0};
    pyi_strbuf_text(&key, identifier);
    pyi_strbuf_char(&key, '\1');
    pyi_strbuf_text(&key, info->class_name);
    struct pyi_text text = pyi_strbuf_get(&key);
    size_t known = profile->functions.count;
    uint32_t number = pyi_intern_add(&profile->functions, text.data, text.length);
    profile->failed = profile->failed || key.failed || number == UINT32_MAX;
    if (number != UINT32_MAX && number >= known)
        put_function(profile, number, info);
    return number;
}

/* A location is a frame info string: code, class and line being executed. */
static void put_location(struct profile *profile, uint32_t frame)
{
    struct pyi_export_info info;
    struct pyi_text text = pyi_session_frame_info(profile->session, frame), identifier = text;
    uint64_t ignored;
    if (pyi_map_get(&profile->locations, frame, &ignored))
        return;
    profile->failed = profile->failed || !pyi_map_put(&profile->locations, frame, 1);
    pyi_export_split(text, &info);
    (void)pyi_text_part(text, '\1', 0, &identifier);
    uint32_t function = function_of(profile, identifier, &info);
    struct pyi_strbuf *line = &profile->inner, *message = &profile->message;
    pyi_strbuf_reset(line);
    put_integer(line, 1, (int64_t)function + 1);
    put_integer(line, 2, info.line ? info.line : info.first_line);
    pyi_strbuf_reset(message);
    put_integer(message, 1, (int64_t)frame + 1);
    put_bytes(message, 4, pyi_strbuf_get(line));
    flush_message(profile, PROFILE_LOCATION, message);
}

static void put_label(struct profile *profile, const char *key, struct pyi_text text,
                      int64_t number)
{
    struct pyi_strbuf *label = &profile->inner;
    int64_t key_string = string_of(profile, pyi_text(key));
    int64_t value = text.length ? string_of(profile, text) : 0;
    pyi_strbuf_reset(label);
    put_integer(label, 1, key_string);
    put_integer(label, 2, value);
    put_integer(label, 3, number);
    put_bytes(&profile->message, 3, pyi_strbuf_get(label));
}

static void put_labels(struct profile *profile, uint32_t lane)
{
    const struct pyi_session *session = profile->session;
    struct pyi_export_info info;
    pyi_export_split(pyi_session_frame_info(session, pyi_session_stack_frame(session, lane)),
                     &info);
    if (!pyi_text_equal(info.path, pyi_text("<thread>")))
        return;
    put_label(profile, "thread", info.function, 0);
    put_label(profile, "thread_id", pyi_text(""), info.first_line);
    uint32_t process = pyi_session_stack_parent(session, lane);
    if (process == PYI_STACK_ROOT)
        return;
    pyi_export_split(pyi_session_frame_info(session, pyi_session_stack_frame(session, process)),
                     &info);
    put_label(profile, "process", info.function, 0);
}

/* Frames from the innermost out; the thread and what is above it are labels. */
static void put_sample(struct profile *profile, const struct sample *sample)
{
    const struct pyi_session *session = profile->session;
    struct pyi_strbuf *ids = &profile->inner;
    uint32_t lane = sample->stack ? pyi_export_lane_node(session, sample->stack) : PYI_STACK_ROOT;
    uint32_t end = lane && lane != sample->stack ? lane : PYI_STACK_ROOT;
    for (uint32_t node = sample->stack; node != end; node = pyi_session_stack_parent(session, node))
        put_location(profile, pyi_session_stack_frame(session, node));
    pyi_strbuf_reset(ids);
    for (uint32_t node = sample->stack; node != end; node = pyi_session_stack_parent(session, node))
        put_varint(ids, (uint64_t)pyi_session_stack_frame(session, node) + 1);
    pyi_strbuf_reset(&profile->message);
    put_bytes(&profile->message, 1, pyi_strbuf_get(ids));
    pyi_strbuf_reset(ids);
    put_varint(ids, (uint64_t)nanoseconds(sample->seconds));
    put_bytes(&profile->message, 2, pyi_strbuf_get(ids));
    if (lane)
        put_labels(profile, lane);
    flush_message(profile, PROFILE_SAMPLE, &profile->message);
}

static int sum_samples(struct profile *profile, struct pyi_error *err)
{
    struct pyi_record record;
    for (uint64_t cursor = 0; pyi_session_next_record(profile->session, &cursor, &record);) {
        uint64_t index;
        if (pyi_map_get(&profile->samples_by_stack, record.stack, &index)) {
            profile->samples[index].seconds += record.seconds.value;
            continue;
        }
        if (!pyi_array_reserve(&profile->samples, &profile->sample_capacity,
                               profile->sample_count + 1, sizeof(*profile->samples)) ||
            !pyi_map_put(&profile->samples_by_stack, record.stack, profile->sample_count))
            return pyi_error_nomem(err);
        profile->samples[profile->sample_count++] =
            (struct sample){record.stack, record.seconds.value};
    }
    return 0;
}

static void put_wall_type(struct profile *profile, int field)
{
    struct pyi_strbuf *message = &profile->message;
    int64_t type = string_of(profile, pyi_text("wall"));
    int64_t unit = string_of(profile, pyi_text("nanoseconds"));
    pyi_strbuf_reset(message);
    put_integer(message, 1, type);
    put_integer(message, 2, unit);
    flush_message(profile, field, message);
}

static int64_t number_of(const struct profile *profile, enum pyi_session_number which)
{
    return nanoseconds(pyi_session_number(profile->session, which).value);
}

static void put_profile(struct profile *profile)
{
    (void)string_of(profile, pyi_text("")); /* number 0 must be the empty string */
    put_wall_type(profile, PROFILE_SAMPLE_TYPE);
    put_wall_type(profile, PROFILE_PERIOD_TYPE);
    for (size_t i = 0; i < profile->sample_count && !profile->failed; i++)
        put_sample(profile, &profile->samples[i]);
    struct pyi_strbuf *message = &profile->message;
    int64_t comment = string_of(profile, pyi_session_target_description(profile->session));
    pyi_strbuf_reset(message);
    for (size_t i = 0; i < profile->strings.count; i++)
        put_bytes(message, PROFILE_STRING, pyi_intern_text(&profile->strings, (uint32_t)i));
    put_integer(message, PROFILE_TIME, number_of(profile, PYI_SESSION_START_TIME));
    put_integer(message, PROFILE_DURATION, number_of(profile, PYI_SESSION_DURATION));
    put_integer(message, PROFILE_PERIOD, number_of(profile, PYI_SESSION_MAX_INTERVAL));
    put_integer(message, PROFILE_COMMENT, comment);
    profile->failed = profile->failed || message->failed;
    pyi_output_text(&profile->output, pyi_strbuf_get(message));
}

static int render_pprof(struct pyi_session *session, const struct pyi_render_options *options,
                        const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(profile_deinit) struct profile profile = {.session = session};
    struct gzip gzip = {.sink = sink};
    struct pyi_sink inner = {write_gzip, &gzip};
    int code = sum_samples(&profile, err);
    if (code)
        return code;
    if (deflateInit2(&gzip.stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return pyi_error_nomem(err);
    pyi_output_init(&profile.output, &inner);
    put_profile(&profile);
    code = pyi_output_finish(&profile.output, err);
    if (!code)
        code = deflate_all(&gzip, Z_FINISH, err);
    deflateEnd(&gzip.stream);
    return !code && profile.failed ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_pprof = {
    .name = "pprof",
    .class_name = "PprofRenderer",
    .extensions = (const char *const[]){".pprof", ".pb.gz", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_BINARY | PYI_RENDERER_OURS,
    .render = render_pprof,
};
