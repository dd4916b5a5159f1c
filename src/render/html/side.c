/* SPDX-License-Identifier: BSD-3-Clause */
/* side.c - a session's records as threads with runs.
 *
 * In: a session. Out: its threads and processes, their runs packed while the records pass by once
 * to make the call paths and once to be counted. A thread is what `attach` says it is; in sessions
 * without that, what begins with the same thread's frame. */
#include "src/render/html/side.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <math.h>
#include <stdlib.h>

void pyi_html_side_deinit(struct pyi_html_side *side)
{
    pyi_html_summary_deinit(&side->summary);
    for (size_t i = 0; i < side->lane_count; i++)
        pyi_html_lane_deinit(&side->lanes[i]);
    free(side->lanes);
    free(side->places);
    free(side->infos);
    free(side->path);
    free(side->processes);
    free(side->self);
    pyi_map_deinit(&side->lane_numbers);
    *side = (struct pyi_html_side){0};
}

/* ---- processes ---- */

static struct pyi_html_process *add_process(struct pyi_html_side *side, int64_t pid,
                                            struct pyi_text command, uint32_t function)
{
    if (!pyi_array_reserve(&side->processes, &side->process_capacity, side->process_count + 1,
                           sizeof(*side->processes)))
        return NULL;
    struct pyi_html_process *process = &side->processes[side->process_count++];
    *process = (struct pyi_html_process){pid, pyi_html_string(side->tables, command), function};
    return process;
}

/* A process whose frame no stack has. */
static bool name_process(struct pyi_html_side *side, int64_t pid, struct pyi_text command)
{
    struct pyi_html_name name = {
        .name = command,
        .path = pyi_text("<process>"),
        .class_name = pyi_text(""),
        .shortened = pyi_text("<process>"),
        .line = pid > 0 ? (uint64_t)pid : 0,
        .kind = PYI_HTML_THREAD,
    };
    return add_process(side, pid, command, pyi_html_function(side->tables, &name)) != NULL;
}

static bool name_processes(struct pyi_html_side *side)
{
    const struct pyi_attach *attach = side->attach;
    bool fine = true;
    for (size_t i = 0; attach && i < attach->process_count && fine; i++)
        fine = name_process(side, attach->processes[i].pid, attach->processes[i].command);
    if (fine && !side->process_count)
        fine = name_process(side, 0, pyi_session_target_description(side->session));
    return fine;
}

/* The process of a stack by its outermost frame; `known` is what `attach` says. */
static bool process_of(struct pyi_html_side *side, uint32_t stack, const uint32_t *known,
                       uint32_t *out)
{
    uint32_t first = stack, function;
    struct pyi_text path;
    *out = known ? *known : 0;
    for (uint32_t at = stack; at; at = pyi_session_stack_parent(side->session, at))
        first = at;
    struct pyi_text info =
        first ? pyi_session_frame_info(side->session, pyi_session_stack_frame(side->session, first))
              : pyi_text("");
    if (!pyi_text_part(info, '\0', 1, &path) || !pyi_text_equal(path, pyi_text("<process>")))
        return true;
    function = pyi_html_frame_function(side, first, 0);
    if (side->tables->failed)
        return false;
    if (known) {
        side->processes[*known].function = function;
        return true;
    }
    for (size_t i = 0; i < side->process_count; i++) {
        *out = (uint32_t)i;
        if (side->processes[i].function == function)
            return true;
    }
    *out = (uint32_t)side->process_count;
    const struct pyi_html_function *row = &side->tables->functions[function];
    struct pyi_text name = pyi_intern_text(&side->tables->strings, row->name);
    return add_process(side, (int64_t)row->line, name, function) != NULL;
}

/* ---- threads ---- */

static struct pyi_html_lane *new_lane(struct pyi_html_side *side, uint64_t key)
{
    if (!pyi_array_reserve(&side->lanes, &side->lane_capacity, side->lane_count + 1,
                           sizeof(*side->lanes)) ||
        !pyi_map_put(&side->lane_numbers, key, side->lane_count))
        return NULL;
    struct pyi_html_lane *lane = &side->lanes[side->lane_count++];
    *lane = (struct pyi_html_lane){0};
    return lane;
}

static uint32_t thread_function(struct pyi_html_side *side, struct pyi_text thread, uint64_t ident,
                                unsigned flags)
{
    bool none = !thread.data;
    struct pyi_html_name name = {
        .name = none ? pyi_text("[root]") : thread,
        .path = none ? pyi_text("") : pyi_text("<thread>"),
        .class_name = pyi_text(""),
        .shortened = none ? pyi_text("") : pyi_text("<thread>"),
        .line = ident,
        .kind = none ? PYI_HTML_SYNTHETIC : PYI_HTML_THREAD,
        .flags = flags,
    };
    return pyi_html_function(side->tables, &name);
}

/* Names a new lane after its frame, if its stacks have one. */
static bool name_lane(struct pyi_html_side *side, struct pyi_html_lane *lane, uint32_t stack,
                      uint32_t frame, const struct pyi_html_span *span)
{
    const struct pyi_attach_thread *thread = span ? &side->attach->threads[span->thread] : NULL;
    unsigned flags = span && span->idle ? PYI_HTML_IS_IDLE : 0;
    uint32_t process = thread && thread->process < side->process_count ? thread->process : 0;
    if (frame)
        lane->function = pyi_html_frame_function(side, frame, flags);
    else
        lane->function = thread_function(side, thread ? thread->name : (struct pyi_text){NULL, 0},
                                         thread ? thread->ident : 0, flags);
    if (side->tables->failed || !process_of(side, stack, thread ? &process : NULL, &lane->process))
        return false;
    const struct pyi_html_function *row = &side->tables->functions[lane->function];
    lane->name = row->name;
    lane->ident = row->line;
    lane->counted = thread != NULL;
    if (!thread)
        return true;
    lane->thread = thread;
    lane->idle = span->idle;
    lane->name = pyi_html_string(side->tables, thread->name);
    lane->ident = thread->ident;
    lane->tid = thread->tid;
    lane->cpu = thread->cpu;
    if (thread->start > 0 && thread->start < 0x1p53 / 1e6)
        lane->start = (uint64_t)llround(thread->start * 1e6);
    return true;
}

/* The lane of a record: NULL on lack of memory. */
static struct pyi_html_lane *lane_of(struct pyi_html_side *side, uint32_t stack, uint32_t frame,
                                     const struct pyi_html_span *span)
{
    /* Threads of `attach`, then frames, which are many at most when their attributes differ. */
    uint64_t key = span ? UINT64_C(1) << 32 | span->thread : frame, number;
    if (pyi_map_get(&side->lane_numbers, key, &number))
        return &side->lanes[number];
    struct pyi_html_lane *lane;
    if (!span && frame) {
        uint32_t function = pyi_html_frame_function(side, frame, 0);
        key = UINT64_C(2) << 32 | function;
        if (pyi_map_get(&side->lane_numbers, key, &number)) {
            bool put = pyi_map_put(&side->lane_numbers, frame, number);
            return put ? &side->lanes[number] : NULL;
        }
        lane = new_lane(side, key);
        if (!lane || !pyi_map_put(&side->lane_numbers, frame, side->lane_count - 1))
            return NULL;
    } else {
        lane = new_lane(side, key);
    }
    return lane && name_lane(side, lane, stack, frame, span) ? lane : NULL;
}

/* ---- records ---- */

int pyi_html_side_place(struct pyi_html_side *side, struct pyi_session *session,
                        struct pyi_html_tables *tables, struct pyi_error *err)
{
    double interval = pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value;
    *side = (struct pyi_html_side){
        .session = session,
        .attach = pyi_session_attach(session),
        .tables = tables,
        .interval = interval > 0 && isfinite(interval) ? interval : 0.001,
    };
    int code = pyi_html_summary_init(&side->summary, session, err);
    if (code)
        return code;
    struct pyi_record record;
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        uint32_t node, frame;
        if (!pyi_html_place(side, record.stack, &node, &frame))
            return pyi_error_nomem(err);
    }
    return tables->failed || !name_processes(side) ? pyi_error_nomem(err) : 0;
}

int pyi_html_side_read(struct pyi_html_side *side, bool with_self, struct pyi_error *err)
{
    struct pyi_record record;
    uint64_t cursor = 0;
    size_t at = 0;
    /* All nodes are known by now: as many as there are, and no room to grow. */
    if (with_self && side->tables->node_count) {
        side->self = calloc(side->tables->node_count, sizeof(*side->self));
        if (!side->self)
            return pyi_error_nomem(err);
        side->self_count = side->tables->node_count;
    }
    for (uint64_t i = 0; pyi_session_next_record(side->session, &cursor, &record); i++) {
        const struct pyi_html_span *span = pyi_html_span_of(&side->summary, &at, i);
        uint32_t node, frame;
        if (!pyi_html_place(side, record.stack, &node, &frame))
            return pyi_error_nomem(err);
        struct pyi_html_lane *lane = lane_of(side, record.stack, frame, span);
        double seconds = record.seconds.value;
        if (!lane || !pyi_html_lane_add(lane, node, seconds, side->interval))
            return pyi_error_nomem(err);
        if (!lane->idle && node < side->self_count)
            side->self[node] += isfinite(seconds) ? seconds : 0;
    }
    for (size_t i = 0; i < side->lane_count; i++)
        if (!pyi_html_lane_end(&side->lanes[i]))
            return pyi_error_nomem(err);
    return side->tables->failed ? pyi_error_nomem(err) : 0;
}
