/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyisession_write.c - writes upstream's session files, to the byte as Python would.
 *
 * In: a session. Out: one line of JSON. Every frame info is escaped once; the text of a stack is
 * made from that of the stack before, from their last common frame on.
 */
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/session/attach.h"
#include "src/session/session.h"
#include <stdlib.h>

struct step {
    size_t end;
    uint32_t node;
};

struct stack_writer {
    const struct pyi_stacks *stacks;
    struct pyi_strbuf escaped; /* all frame infos, quoted, one after the other */
    size_t *ends;              /* by frame: where it ends in `escaped` */
    struct pyi_strbuf body;    /* the stack written last, without brackets */
    struct step *steps;        /* its frames, outermost first */
    size_t step_count, step_capacity;
};

static void stack_writer_deinit(struct stack_writer *writer)
{
    pyi_strbuf_deinit(&writer->escaped);
    pyi_strbuf_deinit(&writer->body);
    free(writer->ends);
    free(writer->steps);
}

static int stack_writer_init(struct stack_writer *writer, const struct pyi_stacks *stacks,
                             struct pyi_error *err)
{
    *writer = (struct stack_writer){.stacks = stacks};
    writer->ends = calloc(stacks->infos.count + 1, sizeof(*writer->ends));
    if (!writer->ends)
        return pyi_error_nomem(err);
    struct pyi_sink sink = pyi_sink_strbuf(&writer->escaped);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    for (size_t i = 0; i < stacks->infos.count; i++) {
        pyi_json_write_ascii(&output, pyi_intern_text(&stacks->infos, (uint32_t)i));
        writer->ends[i] = output.total;
    }
    return pyi_output_finish(&output, err);
}

static struct pyi_text escaped_frame(const struct stack_writer *writer, uint32_t frame)
{
    size_t begin = frame ? writer->ends[frame - 1] : 0;
    return (struct pyi_text){writer->escaped.data + begin, writer->ends[frame] - begin};
}

/* Makes `body` the text of `stack`. False: no memory. */
static bool spell_stack(struct stack_writer *writer, uint32_t stack)
{
    const struct pyi_stack_node *nodes = writer->stacks->nodes;
    size_t depth = nodes[stack].depth;
    if (!pyi_array_reserve(&writer->steps, &writer->step_capacity, depth, sizeof(struct step)))
        return false;
    uint32_t node = stack;
    size_t common = depth;
    while (common && (common > writer->step_count || writer->steps[common - 1].node != node)) {
        writer->steps[common - 1].node = node;
        common--;
        node = nodes[node].parent;
    }
    writer->step_count = depth;
    writer->body.length = common ? writer->steps[common - 1].end : 0;
    for (size_t i = common; i < depth; i++) {
        if (i)
            pyi_strbuf_append(&writer->body, ", ", 2);
        pyi_strbuf_text(&writer->body, escaped_frame(writer, nodes[writer->steps[i].node].frame));
        writer->steps[i].end = writer->body.length;
    }
    return !writer->body.failed;
}

static int write_records(const struct pyi_session *session, struct pyi_output *output,
                         struct pyi_error *err)
{
    PYI_CLEANUP(stack_writer_deinit) struct stack_writer writer;
    int code = stack_writer_init(&writer, &session->stacks, err);
    if (code)
        return code;
    struct pyi_record record;
    uint64_t cursor = 0;
    pyi_output_char(output, '[');
    for (bool first = true; pyi_session_next_record(session, &cursor, &record); first = false) {
        if (!spell_stack(&writer, record.stack))
            return pyi_error_nomem(err);
        pyi_output_string(output, first ? "[[" : ", [[");
        pyi_output_text(output, pyi_strbuf_get(&writer.body));
        pyi_output_string(output, "], ");
        pyi_json_write_number(output, record.seconds);
        pyi_output_char(output, ']');
        if (output->code)
            break; /* reported by the caller's finish */
    }
    pyi_output_char(output, ']');
    return 0;
}

static void write_number(const struct pyi_session *session, struct pyi_output *output,
                         const char *key, enum pyi_session_number which)
{
    pyi_output_format(output, "\"%s\": ", key);
    pyi_json_write_number(output, pyi_session_number(session, which));
    pyi_output_string(output, ", ");
}

static void write_list(const struct pyi_session *session, struct pyi_output *output,
                       const char *key, enum pyi_session_list which)
{
    pyi_output_format(output, "\"%s\": [", key);
    for (size_t i = 0; i < pyi_session_list_length(session, which); i++) {
        pyi_output_string(output, i ? ", " : "");
        pyi_json_write_ascii(output, pyi_session_list_item(session, which, i));
    }
    pyi_output_char(output, ']');
}

static int write_mapping(const struct pyi_session *session, bool with_records,
                         struct pyi_output *output, struct pyi_error *err)
{
    pyi_output_char(output, '{');
    write_number(session, output, "start_time", PYI_SESSION_START_TIME);
    write_number(session, output, "duration", PYI_SESSION_DURATION);
    write_number(session, output, "min_interval", PYI_SESSION_MIN_INTERVAL);
    write_number(session, output, "max_interval", PYI_SESSION_MAX_INTERVAL);
    write_number(session, output, "sample_count", PYI_SESSION_SAMPLE_COUNT);
    write_list(session, output, "start_call_stack", PYI_SESSION_START_CALL_STACK);
    pyi_output_string(output, ", \"target_description\": ");
    pyi_json_write_ascii(output, pyi_session_target_description(session));
    pyi_output_string(output, ", ");
    write_number(session, output, "cpu_time", PYI_SESSION_CPU_TIME);
    write_list(session, output, "sys_path", PYI_SESSION_SYS_PATH);
    pyi_output_string(output, ", ");
    write_list(session, output, "sys_prefixes", PYI_SESSION_SYS_PREFIXES);
    int code = 0;
    if (with_records) {
        pyi_output_string(output, ", \"frame_records\": ");
        code = write_records(session, output, err);
    }
    if (!code && with_records && session->attach) {
        pyi_output_string(output, ", \"attach\": ");
        pyi_attach_write(output, session->attach);
    }
    pyi_output_char(output, '}');
    return code;
}

int pyi_session_to_json(const struct pyi_session *session, bool with_records,
                        const struct pyi_sink *sink, struct pyi_error *err)
{
    struct pyi_output output;
    pyi_output_init(&output, sink);
    int code = write_mapping(session, with_records, &output, err);
    int finished = pyi_output_finish(&output, code ? NULL : err);
    return code ? code : finished;
}

int pyi_session_save(const struct pyi_session *session, const char *path, struct pyi_error *err)
{
    struct pyi_file *file;
    int code = pyi_file_create(path, &file, err);
    if (code)
        return code;
    struct pyi_sink sink = pyi_file_sink(file);
    code = pyi_session_to_json(session, true, &sink, err);
    if (code) {
        pyi_file_abandon(file);
        return code;
    }
    return pyi_file_commit(file, err);
}
