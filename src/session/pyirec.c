/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyirec.c - writes our own session files, in blocks, as the recording goes or all at once.
 *
 * In: a session, or parts of one that grows. Out: bytes into a sink, described in pyirec.h.
 * Knows nothing of files, time and threads that are watched.
 */
#include "src/session/pyirec.h"

#include "src/base/error.h"
#include "src/base/json_writer.h"
#include "src/session/attach.h"
#include "src/session/session.h"
#include <stdlib.h>
#include <zlib.h>

/* A block is written when it has grown to this; sections are closed at half of it. */
#define BLOCK_SIZE   ((size_t)1024 * 1024)
#define SECTION_SIZE (BLOCK_SIZE / 2)
#define LEVEL        6

static int write_bytes(struct pyi_pyirec_writer *writer, const void *bytes, size_t length,
                       struct pyi_error *err)
{
    return writer->sink->write(writer->sink->context, bytes, length, err);
}

int pyi_pyirec_begin(struct pyi_pyirec_writer *writer, const struct pyi_sink *sink,
                     struct pyi_error *err)
{
    *writer = (struct pyi_pyirec_writer){.sink = sink, .stack_end = 1};
    z_stream *deflater = calloc(1, sizeof(*deflater));
    if (!deflater || deflateInit(deflater, LEVEL) != Z_OK) {
        free(deflater);
        return pyi_error_nomem(err);
    }
    writer->deflater = deflater;
    int code = write_bytes(writer, PYI_PYIREC_MAGIC, PYI_PYIREC_MAGIC_SIZE, err);
    if (code)
        pyi_pyirec_deinit(writer);
    return code;
}

void pyi_pyirec_deinit(struct pyi_pyirec_writer *writer)
{
    if (writer->deflater)
        deflateEnd(writer->deflater);
    free(writer->deflater);
    pyi_strbuf_deinit(&writer->block);
    pyi_strbuf_deinit(&writer->section);
    pyi_strbuf_deinit(&writer->packed);
    *writer = (struct pyi_pyirec_writer){0};
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void put_u32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

/* Packs the block into `packed`, behind room for its header; false when it does not get smaller. */
static int pack(struct pyi_pyirec_writer *writer, bool *smaller, struct pyi_error *err)
{
    static const unsigned char header[PYI_PYIREC_HEADER_SIZE];
    z_stream *deflater = writer->deflater;
    struct pyi_strbuf *packed = &writer->packed;
    pyi_strbuf_reset(packed);
    pyi_strbuf_append(packed, header, sizeof(header));
    pyi_strbuf_append(packed, writer->block.data, writer->block.length);
    if (packed->failed)
        return pyi_error_nomem(err);
    /* What fits into the room of the block itself is smaller. */
    deflater->next_in = (Bytef *)writer->block.data;
    deflater->avail_in = (uInt)writer->block.length;
    deflater->next_out = (Bytef *)packed->data + sizeof(header);
    deflater->avail_out = (uInt)writer->block.length;
    *smaller = deflate(deflater, Z_FINISH) == Z_STREAM_END;
    if (*smaller)
        packed->length = packed->length - deflater->avail_out;
    else
        memcpy(packed->data + sizeof(header), writer->block.data, writer->block.length);
    (void)!deflateReset(deflater);
    return 0;
}

int pyi_pyirec_flush(struct pyi_pyirec_writer *writer, unsigned flags, struct pyi_error *err)
{
    if (writer->block.failed)
        return pyi_error_nomem(err);
    if (writer->block.length > PYI_PYIREC_LARGEST)
        return pyi_error_set(err, PYI_E_LIMIT, "a part of the session is larger than %zu bytes",
                             PYI_PYIREC_LARGEST);
    bool smaller = false;
    int code = pack(writer, &smaller, err);
    if (code)
        return code;
    unsigned char *header = (unsigned char *)writer->packed.data;
    size_t stored = writer->packed.length - PYI_PYIREC_HEADER_SIZE;
    put_u32(header, (uint32_t)stored);
    put_u32(header + 4, (uint32_t)writer->block.length);
    header[8] = smaller ? PYI_PYIREC_DEFLATED : PYI_PYIREC_STORED;
    header[9] = (unsigned char)flags;
    header[10] = header[11] = 0;
    uLong sum = crc32(0, header, 12);
    sum = crc32(sum, header + PYI_PYIREC_HEADER_SIZE, (uInt)stored);
    put_u32(header + 12, (uint32_t)sum);
    pyi_strbuf_reset(&writer->block);
    return write_bytes(writer, writer->packed.data, writer->packed.length, err);
}

/* ---- sections ------------------------------------------------------------------------------- */

static void append_number(struct pyi_strbuf *to, uint64_t value)
{
    unsigned char bytes[PYI_VARINT_LONGEST];
    pyi_strbuf_append(to, bytes, pyi_varint_put(bytes, value));
}

void pyi_pyirec_number(struct pyi_pyirec_writer *writer, uint64_t value)
{
    append_number(&writer->section, value);
}

int pyi_pyirec_add(struct pyi_pyirec_writer *writer, enum pyi_pyirec_tag tag, struct pyi_error *err)
{
    struct pyi_strbuf *section = &writer->section, *block = &writer->block;
    /* What is too large for one block would not fit a small one either. */
    if (block->length && block->length + section->length > BLOCK_SIZE) {
        int code = pyi_pyirec_flush(writer, 0, err);
        if (code)
            return code;
    }
    append_number(block, (uint64_t)tag);
    append_number(block, section->length);
    pyi_strbuf_text(block, pyi_strbuf_get(section));
    bool failed = section->failed || block->failed;
    pyi_strbuf_reset(section);
    return failed ? pyi_error_nomem(err) : 0;
}

static int add_frames(struct pyi_pyirec_writer *writer, const struct pyi_stacks *stacks,
                      struct pyi_error *err)
{
    int code = 0;
    while (writer->frame_count < stacks->infos.count && !code) {
        while (writer->frame_count < stacks->infos.count && writer->section.length < SECTION_SIZE) {
            struct pyi_text info = pyi_intern_text(&stacks->infos, (uint32_t)writer->frame_count++);
            pyi_pyirec_number(writer, info.length);
            pyi_strbuf_text(&writer->section, info);
        }
        code = pyi_pyirec_add(writer, PYI_PYIREC_FRAMES, err);
    }
    return code;
}

int pyi_pyirec_add_stacks(struct pyi_pyirec_writer *writer, const struct pyi_session *session,
                          struct pyi_error *err)
{
    const struct pyi_stacks *stacks = pyi_session_stacks(session);
    int code = add_frames(writer, stacks, err);
    while (writer->stack_end < stacks->node_count && !code) {
        while (writer->stack_end < stacks->node_count && writer->section.length < SECTION_SIZE) {
            size_t number = writer->stack_end++;
            pyi_pyirec_number(writer, number - stacks->nodes[number].parent);
            pyi_pyirec_number(writer, stacks->nodes[number].frame);
        }
        code = pyi_pyirec_add(writer, PYI_PYIREC_STACKS, err);
    }
    return code;
}

int pyi_pyirec_add_metadata(struct pyi_pyirec_writer *writer, const struct pyi_session *session,
                            struct pyi_error *err)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf text = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&text);
    int code = pyi_session_to_json(session, false, &sink, err);
    if (code)
        return code;
    const struct pyi_attach *attach = pyi_session_attach(session);
    if (attach && !text.failed) {
        text.length--; /* the brace */
        struct pyi_output output;
        pyi_output_init(&output, &sink);
        pyi_output_string(&output, ", \"attach\": ");
        pyi_attach_write(&output, attach);
        pyi_output_char(&output, '}');
        code = pyi_output_finish(&output, err);
    }
    if (!code && text.failed)
        code = pyi_error_nomem(err);
    size_t at = 0;
    do {
        size_t length = text.length - at < SECTION_SIZE ? text.length - at : SECTION_SIZE;
        if (!code && length)
            pyi_strbuf_append(&writer->section, text.data + at, length);
        if (!code)
            code = pyi_pyirec_add(writer, at ? PYI_PYIREC_MORE : PYI_PYIREC_METADATA, err);
        at += length;
    } while (!code && at < text.length);
    return code;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

/* One section's worth of a lane. */
struct portion {
    struct pyi_strbuf jumps, runs, records;
    uint64_t jump_count, run_count, count;
    uint64_t run; /* records of the last run so far, not yet in `runs` */
    enum pyi_state state;
};

static void portion_deinit(struct portion *portion)
{
    pyi_strbuf_deinit(&portion->jumps);
    pyi_strbuf_deinit(&portion->runs);
    pyi_strbuf_deinit(&portion->records);
}

static void close_run(struct portion *portion)
{
    if (!portion->run)
        return;
    append_number(&portion->runs, portion->run * 4 + (uint64_t)portion->state);
    portion->run_count++;
    portion->run = 0;
}

static bool portion_add(struct portion *portion, const struct pyi_lane_item *item)
{
    unsigned char bytes[PYI_RECORD_LONGEST];
    if (portion->run && portion->state != item->state)
        close_run(portion);
    portion->state = item->state;
    portion->run++;
    portion->count++;
    pyi_strbuf_append(&portion->records, bytes, pyi_record_put(bytes, item->stack, item->time));
    return !portion->records.failed;
}

static int add_portion(struct pyi_pyirec_writer *writer, uint64_t thread, struct portion *portion,
                       struct pyi_error *err)
{
    close_run(portion);
    if (portion->jumps.failed || portion->runs.failed || portion->records.failed)
        return pyi_error_nomem(err);
    pyi_pyirec_number(writer, thread);
    pyi_pyirec_number(writer, portion->jump_count);
    pyi_strbuf_text(&writer->section, pyi_strbuf_get(&portion->jumps));
    pyi_pyirec_number(writer, portion->run_count);
    pyi_strbuf_text(&writer->section, pyi_strbuf_get(&portion->runs));
    pyi_strbuf_text(&writer->section, pyi_strbuf_get(&portion->records));
    return pyi_pyirec_add(writer, PYI_PYIREC_LANE, err);
}

int pyi_pyirec_add_lane(struct pyi_pyirec_writer *writer, uint64_t thread,
                        const struct pyi_lane *lane, struct pyi_lane_cursor *cursor,
                        uint64_t origin, struct pyi_error *err)
{
    int code = 0;
    while (!code && cursor->index + 1 < lane->count) {
        PYI_CLEANUP(portion_deinit) struct portion portion = {0};
        struct pyi_lane_item item;
        const struct pyi_lane_jump *jump;
        while (cursor->index + 1 < lane->count && portion.records.length < SECTION_SIZE &&
               pyi_lane_next(lane, cursor, &item, &jump)) {
            if (jump) {
                append_number(&portion.jumps, portion.count);
                append_number(&portion.jumps, jump->begin > origin ? jump->begin - origin : 0);
                portion.jump_count++;
            }
            if (!portion_add(&portion, &item))
                return pyi_error_nomem(err);
        }
        code = add_portion(writer, thread, &portion, err);
    }
    return code;
}

void pyi_pyirec_end(struct pyi_pyirec_writer *writer, uint64_t thread, const struct pyi_lane *lane,
                    uint64_t origin)
{
    if (!lane->count)
        return;
    const struct pyi_lane_item *last = &lane->last;
    uint64_t begin = 0;
    for (size_t i = lane->jump_count; i-- > 0 && lane->jumps[i].record + 1 >= lane->count;)
        if (lane->jumps[i].record + 1 == lane->count)
            begin = 1 + (lane->jumps[i].begin > origin ? lane->jumps[i].begin - origin : 0);
    pyi_pyirec_number(writer, thread);
    pyi_pyirec_number(writer, (uint64_t)last->stack * 4 + (uint64_t)last->state);
    pyi_pyirec_number(writer, last->time);
    pyi_pyirec_number(writer, begin);
}

/* ---- a whole session ------------------------------------------------------------------------ */

static int add_records(struct pyi_pyirec_writer *writer, const struct pyi_session *session,
                       struct pyi_error *err)
{
    const unsigned char *bytes;
    size_t length;
    uint64_t cursor = 0;
    int code = 0;
    while (!code && pyi_records_next_bytes(&session->records, &cursor, &bytes, &length)) {
        pyi_strbuf_append(&writer->section, bytes, length);
        code = pyi_pyirec_add(writer, PYI_PYIREC_RECORDS, err);
    }
    return code;
}

int pyi_session_to_pyirec(const struct pyi_session *session, const struct pyi_sink *sink,
                          struct pyi_error *err)
{
    struct pyi_pyirec_writer writer;
    int code = pyi_pyirec_begin(&writer, sink, err);
    if (code)
        return code;
    code = pyi_pyirec_add_metadata(&writer, session, err);
    if (!code)
        code = pyi_pyirec_add_stacks(&writer, session, err);
    if (!code)
        code = add_records(&writer, session, err);
    if (!code)
        code = pyi_pyirec_flush(&writer, PYI_PYIREC_COMPLETE | PYI_PYIREC_LAST, err);
    pyi_pyirec_deinit(&writer);
    return code;
}

int pyi_session_save_pyirec(const struct pyi_session *session, const char *path,
                            struct pyi_error *err)
{
    struct pyi_file *file;
    int code = pyi_file_create(path, &file, err);
    if (code)
        return code;
    struct pyi_sink sink = pyi_file_sink(file);
    code = pyi_session_to_pyirec(session, &sink, err);
    if (code) {
        pyi_file_abandon(file);
        return code;
    }
    return pyi_file_commit(file, err);
}
