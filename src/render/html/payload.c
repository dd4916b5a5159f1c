/* SPDX-License-Identifier: BSD-3-Clause */
/* payload.c - the data of a page as one JSON object, version 1.
 *
 * In: a session, perhaps another one to compare it with. Out: JSON whose long parts are columns of
 * numbers. The same session and options give the same bytes. */
#include "src/render/html/payload.h"

#include "src/base/error.h"
#include "src/base/number.h"
#include <math.h>
#include <stdlib.h>

/* ---- names ---- */

/* The program's file or module, without what stands before and behind it: of "Program: a/b.py -x"
 * it is "b.py". */
static struct pyi_text program_of(const struct pyi_session *session)
{
    static const char word[] = "Program: ";
    struct pyi_text text = pyi_session_target_description(session);
    const char *end = text.data + text.length;
    if (pyi_text_starts_with(text, word)) {
        text = (struct pyi_text){text.data + strlen(word), text.length - strlen(word)};
        const char *blank = memchr(text.data, ' ', text.length);
        end = blank ? blank : end;
        text.length = (size_t)(end - text.data);
    }
    const char *slash = text.length ? memrchr(text.data, '/', text.length - 1) : NULL;
    if (slash)
        text = (struct pyi_text){slash + 1, (size_t)(end - slash) - 1};
    return text.length ? text : pyi_session_target_description(session);
}

/* Three significant digits, as upstream's page has them, and never an exponent. */
static void put_title(struct pyi_html_payload *payload)
{
    const struct pyi_html_summary *summary = &payload->side.summary;
    double total = payload->side.session && summary->root_depth
                       ? summary->total
                       : pyi_session_number(payload->side.session, PYI_SESSION_DURATION).value;
    char digits[340];
    int decimals = 2;
    if (!isfinite(total) || total < 0)
        total = 0;
    for (double edge = 1; edge > 1e-6 && total < edge && total > 0; edge /= 10)
        decimals++;
    if (total >= 9.995)
        decimals = total >= 99.95 ? 0 : 1;
    pyi_number_fixed(total, decimals, digits);
    pyi_strbuf_format(&payload->title, "%ss - ", digits);
    pyi_strbuf_text(&payload->title, program_of(payload->side.session));
    pyi_strbuf_string(&payload->title, " - pyinstrument");
}

static int name_things(struct pyi_html_payload *payload, struct pyi_error *err)
{
    struct pyi_session *session = payload->side.session;
    size_t count = pyi_session_list_length(session, PYI_SESSION_SYS_PREFIXES);
    payload->prefixes = calloc(count + 1, sizeof(*payload->prefixes));
    if (!payload->prefixes)
        return pyi_error_nomem(err);
    payload->program = pyi_html_string(&payload->tables, program_of(session));
    payload->command = pyi_html_string(&payload->tables, pyi_session_target_description(session));
    if (payload->base.session)
        payload->base_program =
            pyi_html_string(&payload->tables, program_of(payload->base.session));
    for (size_t i = 0; i < count; i++) {
        struct pyi_text prefix = pyi_session_list_item(session, PYI_SESSION_SYS_PREFIXES, i);
        uint32_t number = pyi_html_string(&payload->tables, prefix);
        bool known = false;
        for (size_t k = 0; k < payload->prefix_count; k++)
            known = known || payload->prefixes[k] == number;
        if (!known)
            payload->prefixes[payload->prefix_count++] = number;
    }
    put_title(payload);
    return payload->tables.failed || payload->title.failed ? pyi_error_nomem(err) : 0;
}

/* ---- gathering ---- */

int pyi_html_payload_init(struct pyi_html_payload *payload, struct pyi_session *session,
                          struct pyi_session *base, enum pyi_html_source_choice choice,
                          struct pyi_error *err)
{
    *payload = (struct pyi_html_payload){.choice = choice};
    if (!pyi_html_tables_init(&payload->tables))
        return pyi_error_nomem(err);
    payload->tables.shares = base != NULL;
    bool with_self = choice != PYI_HTML_SOURCE_NONE;
    int code = pyi_html_side_place(&payload->side, session, &payload->tables, err);
    /* Before the records are read, so that not everything is in memory at once. */
    if (!code)
        code = pyi_html_summary_text(&payload->side.summary, &payload->text, err);
    if (!code && base)
        code = pyi_html_side_place(&payload->base, base, &payload->tables, err);
    if (!code)
        code = pyi_html_side_read(&payload->side, with_self, err);
    if (!code && base)
        code = pyi_html_side_read(&payload->base, false, err);
    if (!code)
        code = name_things(payload, err);
    if (!code && with_self)
        code = pyi_html_sources_read(&payload->sources, &payload->side,
                                     choice == PYI_HTML_SOURCE_ALL, err);
    return code;
}

void pyi_html_payload_deinit(struct pyi_html_payload *payload)
{
    pyi_html_side_deinit(&payload->side);
    pyi_html_side_deinit(&payload->base);
    pyi_html_sources_deinit(&payload->sources);
    pyi_html_tables_deinit(&payload->tables);
    pyi_strbuf_deinit(&payload->title);
    pyi_strbuf_deinit(&payload->text);
    free(payload->prefixes);
    *payload = (struct pyi_html_payload){0};
}

/* ---- writing ---- */

static void put_number(struct pyi_output *output, const char *key, double value)
{
    pyi_output_format(output, ",\"%s\":", key);
    pyi_html_json_number(output, value);
}

static void put_text(struct pyi_output *output, const char *key, struct pyi_text text)
{
    pyi_output_format(output, ",\"%s\":", key);
    pyi_html_json_text(output, text);
}

static double number_of(const struct pyi_html_side *side, enum pyi_session_number which)
{
    return pyi_session_number(side->session, which).value;
}

/* What tells one page's numbering of nodes from another's. */
static uint32_t hash_of(const struct pyi_html_side *side)
{
    struct pyi_text command = pyi_session_target_description(side->session);
    uint64_t hash = pyi_hash_bytes(command.data, command.length);
    double start = number_of(side, PYI_SESSION_START_TIME);
    hash = hash * 31 + pyi_hash_bytes(&start, sizeof(start));
    for (size_t i = 0; i < side->lane_count; i++) {
        const struct pyi_html_lane *lane = &side->lanes[i];
        struct pyi_text node = pyi_strbuf_get(&lane->node), time = pyi_strbuf_get(&lane->duration);
        hash = hash * 31 + pyi_hash_bytes(node.data, node.length);
        hash = hash * 31 + pyi_hash_bytes(time.data, time.length);
    }
    return (uint32_t)(hash ^ hash >> 32);
}

static void put_notes(const struct pyi_html_payload *payload, struct pyi_output *output)
{
    const struct pyi_attach *attach = payload->side.attach;
    const char *separator = "";
    pyi_output_string(output, ",\"notes\":[");
    for (size_t i = 0; attach && i < attach->note_count; i++) {
        pyi_output_string(output, separator);
        pyi_html_json_text(output, attach->notes[i]);
        separator = ",";
    }
    if (payload->resampled) {
        pyi_output_string(output, separator);
        pyi_html_json_text(output, pyi_text(payload->resampled));
    }
    pyi_output_char(output, ']');
}

static void put_diff(const struct pyi_html_payload *payload, struct pyi_output *output)
{
    if (!payload->base.session) {
        pyi_output_string(output, ",\"diff\":null");
        return;
    }
    pyi_output_format(output, ",\"diff\":{\"program\":%u", payload->base_program);
    put_number(output, "start", number_of(&payload->base, PYI_SESSION_START_TIME));
    put_number(output, "duration", number_of(&payload->base, PYI_SESSION_DURATION));
    put_number(output, "samples", number_of(&payload->base, PYI_SESSION_SAMPLE_COUNT));
    pyi_output_format(output, ",\"mode\":\"%s\"}", payload->share ? "share" : "time");
}

static void put_meta(const struct pyi_html_payload *payload, struct pyi_output *output)
{
    static const struct pyi_attach nothing = {.tool = {"", 0}};
    static const char *const choices[] = {"none", "app", "all"};
    const struct pyi_html_side *side = &payload->side;
    const struct pyi_attach *attach = side->attach ? side->attach : &nothing;
    bool states = false;
    for (size_t i = 0; i < side->lane_count; i++)
        states = states || side->lanes[i].has_state;
    pyi_output_format(output, "\"meta\":{\"program\":%u,\"command\":%u", payload->program,
                      payload->command);
    put_number(output, "start", number_of(side, PYI_SESSION_START_TIME));
    put_number(output, "duration", number_of(side, PYI_SESSION_DURATION));
    put_number(output, "interval_us", round(side->interval * 1e6));
    put_number(output, "samples", number_of(side, PYI_SESSION_SAMPLE_COUNT));
    put_number(output, "missed", (double)attach->missed);
    put_number(output, "lost", (double)attach->lost);
    put_number(output, "truncated", (double)attach->truncated);
    put_number(output, "unobserved", attach->unobserved);
    put_number(output, "cpu_time", number_of(side, PYI_SESSION_CPU_TIME));
    if (attach->process_count && attach->processes[0].python.length)
        put_text(output, "python", attach->processes[0].python);
    else
        pyi_output_string(output, ",\"python\":null");
    put_text(output, "tool", attach->tool);
    pyi_output_format(output, ",\"hash\":\"%08x\"", hash_of(side));
    put_number(output, "text_threshold", 0.01);
    put_notes(payload, output);
    pyi_output_string(output, ",\"sysprefixes\":[");
    for (size_t i = 0; i < payload->prefix_count; i++)
        pyi_output_format(output, "%s%u", i ? "," : "", payload->prefixes[i]);
    pyi_output_format(output, "],\"has_states\":%s,\"idle\":%zu,\"stem\":%u,\"source\":\"%s\"",
                      states ? "true" : "false", side->summary.idle_count, side->summary.root_depth,
                      choices[payload->choice]);
    put_text(output, "title", pyi_strbuf_get(&payload->title));
    put_diff(payload, output);
    pyi_output_char(output, '}');
}

static void put_column(struct pyi_output *output, const char *key, const struct pyi_strbuf *bytes)
{
    struct pyi_html_column column;
    pyi_output_format(output, ",\"%s\":", key);
    pyi_html_column_begin(&column, output);
    pyi_html_column_bytes(&column, pyi_strbuf_get(bytes));
    pyi_html_column_end(&column);
}

/* `process`: number of the side's first one among all. */
static void put_lane(struct pyi_output *output, const struct pyi_html_lane *lane, size_t process)
{
    uint64_t samples =
        lane->thread && lane->thread->samples ? lane->thread->samples : lane->samples;
    pyi_output_format(output, "{\"process\":%zu,\"ident\":\"%llu\",\"tid\":%lld,\"name\":%u",
                      process + lane->process, (unsigned long long)lane->ident,
                      (long long)lane->tid, lane->name);
    pyi_output_format(output, ",\"func\":%u,\"idle\":%s", lane->function,
                      lane->idle ? "true" : "false");
    put_number(output, "cpu", lane->cpu);
    pyi_output_format(output, ",\"start_us\":%llu,\"samples\":%llu,\"runs\":%llu",
                      (unsigned long long)lane->start, (unsigned long long)samples,
                      (unsigned long long)lane->runs);
    put_column(output, "node", &lane->node);
    put_column(output, "dur", &lane->duration);
    put_column(output, "count", &lane->count);
    if (lane->has_gap)
        put_column(output, "gap", &lane->gap);
    if (lane->has_state)
        put_column(output, "state", &lane->state);
    pyi_output_char(output, '}');
}

static void put_processes(struct pyi_output *output, const struct pyi_html_side *side,
                          const char *separator)
{
    for (size_t i = 0; i < side->process_count; i++) {
        const struct pyi_html_process *process = &side->processes[i];
        pyi_output_format(output, "%s{\"pid\":%lld,\"command\":%u,\"func\":%u}",
                          i ? "," : separator, (long long)process->pid, process->command,
                          process->function);
    }
}

static void put_lanes(struct pyi_output *output, const struct pyi_html_side *side, size_t process)
{
    for (size_t i = 0; i < side->lane_count; i++) {
        if (i)
            pyi_output_char(output, ',');
        put_lane(output, &side->lanes[i], process);
    }
}

void pyi_html_payload_put(const struct pyi_html_payload *payload, struct pyi_output *output)
{
    pyi_output_string(output, "{\"v\":1,");
    put_meta(payload, output);
    pyi_output_char(output, ',');
    pyi_html_tables_put(&payload->tables, output);
    pyi_output_string(output, ",\"processes\":[");
    put_processes(output, &payload->side, "");
    put_processes(output, &payload->base, ",");
    pyi_output_string(output, "],\"threads\":[");
    put_lanes(output, &payload->side, 0);
    pyi_output_char(output, ']');
    if (payload->base.session) {
        pyi_output_string(output, ",\"base\":[");
        put_lanes(output, &payload->base, payload->side.process_count);
        pyi_output_char(output, ']');
    }
    if (payload->choice != PYI_HTML_SOURCE_NONE)
        pyi_html_sources_put(&payload->sources, output);
    pyi_output_char(output, '}');
}
