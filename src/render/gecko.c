/* SPDX-License-Identifier: BSD-3-Clause */
/* gecko.c - a profile for profiler.firefox.com (Gecko profile format, version 24).
 *
 * In: a session's records. Out: JSON with one thread per lane, each with its own tables of
 * samples, stacks, frames and strings. The format knows points in time, not durations: a record
 * of many intervals becomes that many samples. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/json_writer.h"
#include "src/base/number.h"
#include "src/render/export.h"
#include <math.h>
#include <stdlib.h>

enum { SAMPLES_AT_MOST = 2000000, NO_STACK = UINT32_MAX };

struct sample {
    uint32_t lane, stack;
    uint64_t record; /* its index in the session */
    double seconds;
};

/* A row of a thread's stack table. */
struct stack_row {
    uint32_t prefix, frame; /* NO_STACK: outermost */
};

struct writer {
    const struct pyi_session *session;
    struct pyi_output output;
    double step;           /* seconds between samples */
    struct pyi_map lanes;  /* lane's trie node -> lane */
    struct pyi_map begins; /* see pyi_export_begins() */
    uint32_t *lane_nodes;
    size_t lane_count, lane_capacity;
    struct sample *samples; /* all records, sorted by lane when there are several */
    size_t sample_count, sample_capacity, next_sample;
    /* of the thread being written */
    struct pyi_map stack_rows, frame_rows; /* trie node, frame number -> row */
    struct stack_row *stacks;
    size_t stack_count, stack_capacity;
    uint32_t *frames; /* row -> frame number */
    size_t frame_count, frame_capacity;
    uint32_t *path; /* scratch */
    size_t path_capacity;
    struct pyi_strbuf text, safe;
    bool failed;
};

static void writer_deinit(struct writer *writer)
{
    pyi_map_deinit(&writer->lanes);
    pyi_map_deinit(&writer->begins);
    pyi_map_deinit(&writer->stack_rows);
    pyi_map_deinit(&writer->frame_rows);
    free(writer->lane_nodes);
    free(writer->samples);
    free(writer->stacks);
    free(writer->frames);
    free(writer->path);
    pyi_strbuf_deinit(&writer->text);
    pyi_strbuf_deinit(&writer->safe);
}

/* ---- collecting ---- */

static uint32_t lane_of(struct writer *writer, uint32_t stack)
{
    uint64_t lane;
    uint32_t node = stack ? pyi_export_lane_node(writer->session, stack) : PYI_STACK_ROOT;
    if (pyi_map_get(&writer->lanes, node, &lane))
        return (uint32_t)lane;
    if (!pyi_array_reserve(&writer->lane_nodes, &writer->lane_capacity, writer->lane_count + 1,
                           sizeof(*writer->lane_nodes)) ||
        !pyi_map_put(&writer->lanes, node, writer->lane_count))
        return NO_STACK;
    writer->lane_nodes[writer->lane_count] = node;
    return (uint32_t)writer->lane_count++;
}

static int collect(struct writer *writer, struct pyi_error *err)
{
    struct pyi_record record;
    uint64_t index = 0;
    double total = 0;
    if (!pyi_export_begins(writer->session, &writer->begins))
        return pyi_error_nomem(err);
    for (uint64_t cursor = 0; pyi_session_next_record(writer->session, &cursor, &record);) {
        uint32_t lane = lane_of(writer, record.stack);
        if (lane == NO_STACK ||
            !pyi_array_reserve(&writer->samples, &writer->sample_capacity, writer->sample_count + 1,
                               sizeof(*writer->samples)))
            return pyi_error_nomem(err);
        writer->samples[writer->sample_count++] =
            (struct sample){lane, record.stack, index++, record.seconds.value};
        total += fmax(record.seconds.value, 0);
    }
    double interval = pyi_session_number(writer->session, PYI_SESSION_MAX_INTERVAL).value;
    writer->step = fmax(interval > 0 ? interval : 0.001, total / SAMPLES_AT_MOST);
    return 0;
}

/* ---- tables of one thread ---- */

static uint32_t frame_row(struct writer *writer, uint32_t frame)
{
    uint64_t row;
    if (pyi_map_get(&writer->frame_rows, frame, &row))
        return (uint32_t)row;
    if (!pyi_array_reserve(&writer->frames, &writer->frame_capacity, writer->frame_count + 1,
                           sizeof(*writer->frames)) ||
        !pyi_map_put(&writer->frame_rows, frame, writer->frame_count)) {
        writer->failed = true;
        return 0;
    }
    writer->frames[writer->frame_count] = frame;
    return (uint32_t)writer->frame_count++;
}

/* Row of a stack, made with all its prefixes when new. */
static uint32_t stack_row(struct writer *writer, uint32_t stack)
{
    const struct pyi_session *session = writer->session;
    uint32_t row = NO_STACK;
    uint64_t known;
    size_t depth = 0;
    for (uint32_t node = stack; node != PYI_STACK_ROOT;
         node = pyi_session_stack_parent(session, node)) {
        if (pyi_map_get(&writer->stack_rows, node, &known)) {
            row = (uint32_t)known;
            break;
        }
        if (!pyi_array_reserve(&writer->path, &writer->path_capacity, depth + 1,
                               sizeof(*writer->path))) {
            writer->failed = true;
            return NO_STACK;
        }
        writer->path[depth++] = node;
    }
    while (depth && !writer->failed) {
        uint32_t node = writer->path[--depth];
        uint32_t frame = frame_row(writer, pyi_session_stack_frame(session, node));
        if (!pyi_array_reserve(&writer->stacks, &writer->stack_capacity, writer->stack_count + 1,
                               sizeof(*writer->stacks)) ||
            !pyi_map_put(&writer->stack_rows, node, writer->stack_count)) {
            writer->failed = true;
            break;
        }
        writer->stacks[writer->stack_count] = (struct stack_row){row, frame};
        row = (uint32_t)writer->stack_count++;
    }
    return row;
}

static void put_optional(struct pyi_output *output, uint32_t number)
{
    if (number == NO_STACK)
        pyi_output_string(output, "null");
    else
        pyi_output_format(output, "%u", number);
}

static void put_sample(struct writer *writer, const char *separator, uint32_t row, double seconds)
{
    char digits[340];
    pyi_number_fixed(seconds * 1000, 6, digits);
    pyi_output_format(&writer->output, "%s[", separator);
    put_optional(&writer->output, row);
    pyi_output_format(&writer->output, ", %s, 0]", digits);
}

static void put_samples(struct writer *writer, uint32_t lane, double clock)
{
    bool first = true;
    pyi_output_string(&writer->output,
                      "\"samples\": {\"schema\": {\"stack\": 0, \"time\": 1, \"responsiveness\": "
                      "2}, \"data\": [");
    for (; writer->next_sample < writer->sample_count && !writer->failed; writer->next_sample++) {
        const struct sample *sample = &writer->samples[writer->next_sample];
        if (sample->lane != lane)
            break;
        uint32_t row = stack_row(writer, sample->stack);
        double begin;
        if (pyi_export_begin_of(&writer->begins, sample->record, &begin))
            clock = fmax(clock, begin);
        double count = fmin(fmax(round(sample->seconds / writer->step), 1), SAMPLES_AT_MOST);
        for (double at = 0; at < count && !writer->output.code; at++) {
            put_sample(writer, first ? "" : ", ", row, clock + at * sample->seconds / count);
            first = false;
        }
        clock += sample->seconds;
    }
    if (!first) /* nothing runs any more: otherwise the last sample would have no end */
        put_sample(writer, ", ", NO_STACK, clock);
    pyi_output_string(&writer->output, "]}");
}

static void put_stacks(struct writer *writer)
{
    struct pyi_output *output = &writer->output;
    pyi_output_string(output, ",\n\"stackTable\": {\"schema\": {\"prefix\": 0, \"frame\": 1}, "
                              "\"data\": [");
    for (size_t i = 0; i < writer->stack_count; i++) {
        pyi_output_string(output, i ? ", [" : "[");
        put_optional(output, writer->stacks[i].prefix);
        pyi_output_format(output, ", %u]", writer->stacks[i].frame);
    }
    pyi_output_string(output, "]}");
}

static void put_location(struct writer *writer, const struct pyi_export_info *info)
{
    struct pyi_strbuf *text = &writer->text;
    pyi_strbuf_reset(text);
    if (info->class_name.length) {
        pyi_strbuf_text(text, info->class_name);
        pyi_strbuf_char(text, '.');
    }
    pyi_strbuf_text(text, info->function);
    if (info->path.length) {
        pyi_strbuf_string(text, " (");
        pyi_strbuf_text(text, info->path);
        if (info->first_line)
            pyi_strbuf_format(text, ":%lld", (long long)info->first_line);
        pyi_strbuf_char(text, ')');
    }
    pyi_json_write_ascii(&writer->output, pyi_export_safe(pyi_strbuf_get(text), &writer->safe));
}

/* One string per frame: its row number is the string's number as well. */
static void put_frames(struct writer *writer)
{
    struct pyi_output *output = &writer->output;
    struct pyi_export_info info;
    pyi_output_string(output,
                      ",\n\"frameTable\": {\"schema\": {\"location\": 0, \"relevantForJS\": 1, "
                      "\"innerWindowID\": 2, \"implementation\": 3, \"line\": 4, \"column\": 5, "
                      "\"category\": 6, \"subcategory\": 7}, \"data\": [");
    for (size_t i = 0; i < writer->frame_count; i++) {
        pyi_export_split(pyi_session_frame_info(writer->session, writer->frames[i]), &info);
        pyi_output_format(output, "%s[%zu, false, 0, null, ", i ? ", " : "", i);
        if (info.line)
            pyi_output_format(output, "%lld, null, 0, 0]", (long long)info.line);
        else
            pyi_output_string(output, "null, null, 0, 0]");
    }
    pyi_output_string(output, "]},\n\"stringTable\": [");
    for (size_t i = 0; i < writer->frame_count; i++) {
        pyi_output_string(output, i ? ", " : "");
        pyi_export_split(pyi_session_frame_info(writer->session, writer->frames[i]), &info);
        put_location(writer, &info);
    }
    pyi_output_string(output, "]");
}

/* ---- threads ---- */

/* `of`: name of the process, "" when it is the only one. */
static void put_head(struct writer *writer, struct pyi_text name, struct pyi_text of,
                     int64_t process, int64_t thread, double start)
{
    char digits[340];
    pyi_number_fixed(start * 1000, 6, digits);
    pyi_output_string(&writer->output, "{\"name\": ");
    pyi_json_write_ascii(&writer->output, pyi_export_safe(name, &writer->safe));
    if (of.length) {
        pyi_output_string(&writer->output, ", \"processName\": ");
        pyi_json_write_ascii(&writer->output, pyi_export_safe(of, &writer->safe));
    }
    pyi_output_format(&writer->output,
                      ", \"pid\": %lld, \"tid\": %lld, \"processType\": \"default\", "
                      "\"registerTime\": %s, \"unregisterTime\": null, \"markers\": {\"schema\": "
                      "{\"name\": 0, \"startTime\": 1, \"endTime\": 2, \"phase\": 3, \"category\": "
                      "4, \"data\": 5}, \"data\": []},\n",
                      (long long)process, (long long)thread, digits);
}

static void put_thread(struct writer *writer, uint32_t lane)
{
    const struct pyi_session *session = writer->session;
    const struct pyi_attach *attach = pyi_session_attach(session);
    struct pyi_export_info info = {.function = pyi_text("all")};
    int64_t process = 1, thread = lane + 1;
    double start = 0;
    uint32_t node = writer->lane_nodes[lane];
    if (node)
        pyi_export_split(pyi_session_frame_info(session, pyi_session_stack_frame(session, node)),
                         &info);
    if (info.first_line)
        thread = info.first_line;
    struct pyi_export_info above = {.function = pyi_text("")};
    const uint32_t parent = node ? pyi_session_stack_parent(session, node) : PYI_STACK_ROOT;
    if (parent)
        pyi_export_split(pyi_session_frame_info(session, pyi_session_stack_frame(session, parent)),
                         &above);
    const struct pyi_attach_thread *known = pyi_export_thread(
        session, info.function, info.first_line, above.function, above.first_line);
    if (parent)
        process = above.first_line;
    if (known && known->process < attach->process_count)
        process = attach->processes[known->process].pid;
    if (known)
        start = known->start;
    pyi_map_clear(&writer->stack_rows);
    pyi_map_clear(&writer->frame_rows);
    writer->stack_count = writer->frame_count = 0;
    pyi_output_string(&writer->output, lane ? ",\n" : "\n");
    put_head(writer, info.function, above.function, process, thread, start);
    put_samples(writer, lane, start);
    put_stacks(writer);
    put_frames(writer);
    pyi_output_string(&writer->output, "}");
}

static void put_meta(struct writer *writer)
{
    char start[340], interval[340];
    pyi_number_fixed(pyi_session_number(writer->session, PYI_SESSION_START_TIME).value * 1000, 3,
                     start);
    pyi_number_fixed(writer->step * 1000, 6, interval);
    pyi_output_format(&writer->output,
                      "{\"meta\": {\"version\": 24, \"startTime\": %s, \"shutdownTime\": null, "
                      "\"interval\": %s, \"processType\": 0, \"stackwalk\": 1, \"debug\": 0, "
                      "\"gcpoison\": 0, \"asyncstack\": 0, \"presymbolicated\": true, "
                      "\"markerSchema\": [], \"categories\": [{\"name\": \"Other\", \"color\": "
                      "\"grey\", \"subcategories\": [\"Other\"]}], \"product\": ",
                      start, interval);
    pyi_json_write_ascii(
        &writer->output,
        pyi_export_safe(pyi_session_target_description(writer->session), &writer->safe));
    pyi_output_string(&writer->output,
                      "},\n\"libs\": [], \"pausedRanges\": [], \"processes\": [], \"threads\": [");
}

/* Viewers that read Firefox's older developer-tools files (speedscope) look for these keys, which
 * profiler.firefox.com passes over, and show one thread: the main one once more. */
static void put_older_form(struct writer *writer)
{
    char duration[340];
    pyi_number_fixed(pyi_session_number(writer->session, PYI_SESSION_DURATION).value * 1000, 6,
                     duration);
    pyi_output_format(&writer->output,
                      ",\n\"systemHost\": {\"name\": \"Firefox\"}, \"duration\": %s, "
                      "\"profile\": {\"threads\": [",
                      duration);
    writer->next_sample = 0;
    put_thread(writer, 0);
    pyi_output_string(&writer->output, "\n]}");
}

static int compare_samples(const void *a, const void *b)
{
    const struct sample *x = *(const struct sample *const *)a,
                        *y = *(const struct sample *const *)b;
    if (x->lane != y->lane)
        return x->lane < y->lane ? -1 : 1;
    return (x > y) - (x < y);
}

/* With many threads every one of them would otherwise look at all records. */
static int sort_samples(struct writer *writer, struct pyi_error *err)
{
    if (writer->lane_count < 2)
        return 0;
    size_t count = writer->sample_count;
    PYI_CLEANUP(pyi_cleanup_free) const struct sample **order = calloc(count, sizeof(*order));
    struct sample *sorted = calloc(count, sizeof(*sorted));
    if (!order || !sorted) {
        free(sorted);
        return pyi_error_nomem(err);
    }
    for (size_t i = 0; i < count; i++)
        order[i] = &writer->samples[i];
    qsort(order, count, sizeof(*order), compare_samples);
    for (size_t i = 0; i < count; i++)
        sorted[i] = *order[i];
    free(writer->samples);
    writer->samples = sorted;
    writer->sample_capacity = count;
    return 0;
}

static int render_gecko(struct pyi_session *session, const struct pyi_render_options *options,
                        const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(writer_deinit) struct writer writer = {.session = session};
    int code = collect(&writer, err);
    if (!code)
        code = sort_samples(&writer, err);
    if (code)
        return code;
    pyi_output_init(&writer.output, sink);
    put_meta(&writer);
    for (uint32_t lane = 0; lane < writer.lane_count && !writer.failed; lane++)
        put_thread(&writer, lane);
    pyi_output_string(&writer.output, "\n]");
    if (writer.lane_count && !writer.failed)
        put_older_form(&writer);
    pyi_output_string(&writer.output, "}\n");
    code = pyi_output_finish(&writer.output, err);
    bool failed = writer.failed || writer.text.failed || writer.safe.failed;
    return !code && failed ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_gecko = {
    .name = "gecko",
    .class_name = "GeckoRenderer",
    .extensions = (const char *const[]){".gecko.json", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_gecko,
};
