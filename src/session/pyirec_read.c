/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyirec_read.c - reads our own session files, whole ones and what is left of others.
 *
 * In: bytes of anybody's making. Out: a session. First all blocks are looked at without being
 * understood, to find the last point at which the file is consistent; then the blocks before it
 * are read. Damage behind that point is no error, damage within (a block with the right checksum
 * that makes no sense) is.
 */
#include "src/session/pyirec.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/session/attach.h"
#include "src/session/session.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC_NAME_SIZE (PYI_PYIREC_MAGIC_SIZE - 1) /* without the version */
#define LONGEST_TIME    ((uint64_t)1 << 60)         /* ns of one record: 36 years */

struct source {
    int fd; /* -1: `bytes` is all there is */
    const unsigned char *bytes;
    size_t length;
};

struct block {
    size_t stored, size;
    unsigned char packing, flags;
    uint32_t sum;
    unsigned char header[PYI_PYIREC_HEADER_SIZE];
};

struct lane {
    uint64_t thread;
    struct pyi_lane lane;
};

struct loader {
    struct source source;
    const char *name;
    struct pyi_session *session;
    unsigned char *stored, *raw;
    size_t stored_capacity, raw_capacity;
    struct pyi_strbuf metadata, ends, order, doubts; /* as they were last */
    bool has_metadata, has_lanes;
    struct lane *lanes;
    size_t lane_count, lane_capacity;
    struct pyi_map by_thread;
    bool last;
};

/* Bytes of a section, taken from the front. */
struct span {
    const unsigned char *bytes;
    size_t length, at;
};

static bool take(struct span *span, uint64_t *out)
{
    return pyi_varint_get(span->bytes, span->length, &span->at, out);
}

static int bad(const struct loader *loader, const char *what, struct pyi_error *err)
{
    int code = pyi_error_set(err, PYI_E_FORMAT, "%s: not a session file (%s)", loader->name, what);
    pyi_error_slug(err, "session-bad");
    return code;
}

/* ---- blocks --------------------------------------------------------------------------------- */

/* As many bytes as there are. */
static int read_at(const struct loader *loader, uint64_t offset, void *to, size_t length,
                   size_t *got, struct pyi_error *err)
{
    const struct source *source = &loader->source;
    *got = 0;
    if (source->fd < 0) {
        if (offset < source->length)
            *got = source->length - offset < length ? source->length - (size_t)offset : length;
        if (*got)
            memcpy(to, source->bytes + offset, *got);
        return 0;
    }
    while (*got < length) {
        ssize_t part = pread(source->fd, (char *)to + *got, length - *got, (off_t)(offset + *got));
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return pyi_error_os(err, errno, "cannot read %s", loader->name);
        if (part == 0)
            break;
        *got += (size_t)part;
    }
    return 0;
}

static uint32_t get_u32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

/* The block at `offset` into `loader->stored`; `*whole` false when there is none. */
static int read_block(struct loader *loader, uint64_t offset, struct block *block, bool *whole,
                      struct pyi_error *err)
{
    size_t got;
    *whole = false;
    int code = read_at(loader, offset, block->header, sizeof(block->header), &got, err);
    if (code || got < sizeof(block->header))
        return code;
    block->stored = get_u32(block->header);
    block->size = get_u32(block->header + 4);
    block->packing = block->header[8];
    block->flags = block->header[9];
    block->sum = get_u32(block->header + 12);
    if (block->stored > PYI_PYIREC_LARGEST || block->size > PYI_PYIREC_LARGEST ||
        block->packing > PYI_PYIREC_DEFLATED ||
        (block->packing == PYI_PYIREC_STORED && block->stored != block->size))
        return 0;
    if (!pyi_array_reserve(&loader->stored, &loader->stored_capacity, block->stored + 1, 1))
        return pyi_error_nomem(err);
    code =
        read_at(loader, offset + sizeof(block->header), loader->stored, block->stored, &got, err);
    if (code || got < block->stored)
        return code;
    uLong sum = crc32(0, block->header, 12);
    *whole = crc32(sum, loader->stored, (uInt)block->stored) == block->sum;
    return 0;
}

/* Where the file stops being consistent; 0 nowhere. */
static int find_end(struct loader *loader, uint64_t *end, struct pyi_error *err)
{
    uint64_t offset = PYI_PYIREC_MAGIC_SIZE;
    *end = 0;
    while (!loader->last) {
        struct block block;
        bool whole;
        int code = read_block(loader, offset, &block, &whole, err);
        if (code || !whole)
            return code;
        offset += sizeof(block.header) + block.stored;
        if (block.flags & PYI_PYIREC_COMPLETE)
            *end = offset;
        loader->last = (block.flags & PYI_PYIREC_COMPLETE) && (block.flags & PYI_PYIREC_LAST);
    }
    return 0;
}

static int unpack(struct loader *loader, const struct block *block, struct span *out,
                  struct pyi_error *err)
{
    *out = (struct span){loader->stored, block->stored, 0};
    if (block->packing == PYI_PYIREC_STORED)
        return 0;
    if (!pyi_array_reserve(&loader->raw, &loader->raw_capacity, block->size + 1, 1))
        return pyi_error_nomem(err);
    uLongf size = block->size;
    int result = uncompress(loader->raw, &size, loader->stored, block->stored);
    if (result == Z_MEM_ERROR)
        return pyi_error_nomem(err);
    if (result != Z_OK || size != block->size)
        return bad(loader, "a block cannot be unpacked", err);
    *out = (struct span){loader->raw, block->size, 0};
    return 0;
}

/* ---- sections ------------------------------------------------------------------------------- */

static int read_frames(struct loader *loader, struct span *span, struct pyi_error *err)
{
    struct pyi_stacks *stacks = &loader->session->stacks;
    while (span->at < span->length) {
        uint64_t length;
        if (!take(span, &length) || length > span->length - span->at)
            return bad(loader, "a frame is cut off", err);
        size_t known = stacks->infos.count;
        const struct pyi_text info = {(const char *)span->bytes + span->at, (size_t)length};
        uint32_t number = pyi_stacks_frame(stacks, info);
        if (number == UINT32_MAX)
            return pyi_error_nomem(err);
        if (number != known)
            return bad(loader, "a frame is there twice", err);
        span->at += (size_t)length;
    }
    return 0;
}

static int read_stacks(struct loader *loader, struct span *span, struct pyi_error *err)
{
    struct pyi_session *session = loader->session;
    while (span->at < span->length) {
        uint64_t back, frame;
        size_t known = session->stacks.node_count;
        if (!take(span, &back) || !take(span, &frame) || !back || back > known ||
            frame >= session->stacks.infos.count)
            return bad(loader, "a stack refers to what is not there", err);
        uint32_t number;
        int code = pyi_session_push_frame(session, (uint32_t)(known - back), (uint32_t)frame,
                                          &number, err);
        if (code)
            return code;
        if (number != known)
            return bad(loader, "a stack is there twice", err);
    }
    return 0;
}

static int read_records(struct loader *loader, struct span *span, struct pyi_error *err)
{
    struct pyi_session *session = loader->session;
    while (span->at < span->length) {
        struct pyi_record record;
        if (!pyi_records_parse(span->bytes, span->length, &span->at, &record) ||
            record.stack >= session->stacks.node_count)
            return bad(loader, "a record makes no sense", err);
        if (!pyi_records_append(&session->records, &record))
            return pyi_error_nomem(err);
    }
    return 0;
}

static struct pyi_lane *find_lane(struct loader *loader, uint64_t thread)
{
    uint64_t place;
    if (pyi_map_get(&loader->by_thread, thread, &place))
        return &loader->lanes[place].lane;
    if (!pyi_array_reserve(&loader->lanes, &loader->lane_capacity, loader->lane_count + 1,
                           sizeof(*loader->lanes)) ||
        !pyi_map_put(&loader->by_thread, thread, loader->lane_count))
        return NULL;
    loader->lanes[loader->lane_count] = (struct lane){.thread = thread};
    return &loader->lanes[loader->lane_count++].lane;
}

/* Leaves out a list that begins with its length; `*list` is its elements, `numbers` each. */
static bool skip_list(struct span *span, unsigned numbers, struct span *list, uint64_t *count)
{
    uint64_t number;
    if (!take(span, count) || *count > span->length)
        return false;
    *list = *span;
    for (uint64_t i = 0; i < *count * numbers; i++)
        if (!take(span, &number))
            return false;
    return true;
}

/* The lists of a section of LANE, and where reading stands in them. */
struct portion {
    struct span jumps, runs;
    uint64_t jump_count, run_count;
    uint64_t jump_at, jump_begin; /* the next jump, UINT64_MAX none */
    uint64_t left;                /* records of the run */
    enum pyi_state state;
};

static bool next_jump(struct portion *portion)
{
    portion->jump_at = UINT64_MAX;
    if (!portion->jump_count)
        return true;
    portion->jump_count--;
    return take(&portion->jumps, &portion->jump_at) && take(&portion->jumps, &portion->jump_begin);
}

static bool next_run(struct portion *portion)
{
    uint64_t run;
    if (!portion->run_count || !take(&portion->runs, &run) || !(run >> 2))
        return false;
    portion->run_count--;
    portion->left = run >> 2;
    portion->state = (enum pyi_state)(run & 3);
    return true;
}

static bool read_item(const struct loader *loader, struct span *span, struct pyi_lane_item *out)
{
    /* Recorded time is in nanoseconds: the lowest bits of the first number say so. */
    size_t at = span->at;
    uint64_t head, time;
    if (!pyi_varint_get(span->bytes, span->length, &at, &head) || (head & 3) < 2 ||
        head >> 2 >= loader->session->stacks.node_count ||
        !pyi_varint_get(span->bytes, span->length, &at, &time) || !time)
        return false;
    uint64_t unit = (head & 3) == 2 ? 1000 : 1;
    if (time > LONGEST_TIME / unit)
        return false;
    span->at = at;
    out->stack = (uint32_t)(head >> 2);
    out->time = time * unit;
    return true;
}

static int read_lane(struct loader *loader, struct span *span, struct pyi_error *err)
{
    struct portion portion = {0};
    uint64_t thread;
    if (!take(span, &thread) || thread == UINT64_MAX ||
        !skip_list(span, 2, &portion.jumps, &portion.jump_count) ||
        !skip_list(span, 1, &portion.runs, &portion.run_count) || !next_jump(&portion))
        return bad(loader, "records of a thread are cut off", err);
    struct pyi_lane *lane = find_lane(loader, thread);
    if (!lane)
        return pyi_error_nomem(err);
    for (uint64_t i = 0; span->at < span->length; i++) {
        struct pyi_lane_item item;
        if ((!portion.left && !next_run(&portion)) || !read_item(loader, span, &item))
            return bad(loader, "a record makes no sense", err);
        portion.left--;
        item.state = portion.state;
        if (portion.jump_at == i) {
            if (!pyi_lane_jump(lane, portion.jump_begin))
                return pyi_error_nomem(err);
            if (!next_jump(&portion))
                return bad(loader, "records of a thread are cut off", err);
        }
        if (!pyi_lane_add(lane, &item))
            return pyi_error_nomem(err);
    }
    if (portion.left || portion.run_count || portion.jump_at != UINT64_MAX)
        return bad(loader, "records of a thread are missing", err);
    return 0;
}

static int keep(struct pyi_strbuf *to, const struct span *span, struct pyi_error *err)
{
    pyi_strbuf_append(to, span->bytes, span->length);
    return to->failed ? pyi_error_nomem(err) : 0;
}

static int replace(struct pyi_strbuf *to, const struct span *span, struct pyi_error *err)
{
    pyi_strbuf_reset(to);
    return keep(to, span, err);
}

static int read_section(struct loader *loader, uint64_t tag, struct span *span,
                        struct pyi_error *err)
{
    switch (tag) {
    case PYI_PYIREC_METADATA:
        loader->has_metadata = true;
        return replace(&loader->metadata, span, err);
    case PYI_PYIREC_MORE:
        return keep(&loader->metadata, span, err);
    case PYI_PYIREC_FRAMES:
        return read_frames(loader, span, err);
    case PYI_PYIREC_STACKS:
        return read_stacks(loader, span, err);
    case PYI_PYIREC_RECORDS:
        return read_records(loader, span, err);
    case PYI_PYIREC_LANE:
        return read_lane(loader, span, err);
    case PYI_PYIREC_ENDS:
        return replace(&loader->ends, span, err);
    case PYI_PYIREC_LANES:
        loader->has_lanes = true;
        return replace(&loader->order, span, err);
    case PYI_PYIREC_DOUBTS:
        return replace(&loader->doubts, span, err);
    default: /* of a later program, which says so when it cannot be left out */
        return 0;
    }
}

static int read_sections(struct loader *loader, struct span *block, struct pyi_error *err)
{
    while (block->at < block->length) {
        uint64_t tag, length;
        if (!take(block, &tag) || !take(block, &length) || length > block->length - block->at)
            return bad(loader, "a section is cut off", err);
        struct span span = {block->bytes + block->at, (size_t)length, 0};
        int code = read_section(loader, tag, &span, err);
        if (code)
            return code;
        block->at += (size_t)length;
    }
    return 0;
}

static int read_blocks(struct loader *loader, uint64_t end, struct pyi_error *err)
{
    for (uint64_t offset = PYI_PYIREC_MAGIC_SIZE; offset < end;) {
        struct block block;
        struct span span;
        bool whole;
        int code = read_block(loader, offset, &block, &whole, err);
        if (!code && !whole)
            code = bad(loader, "it changed while it was read", err);
        if (!code)
            code = unpack(loader, &block, &span, err);
        if (!code)
            code = read_sections(loader, &span, err);
        if (code)
            return code;
        offset += sizeof(block.header) + block.stored;
    }
    return 0;
}

/* ---- lanes become records ------------------------------------------------------------------- */

static struct span span_of(const struct pyi_strbuf *buffer)
{
    struct pyi_text text = pyi_strbuf_get(buffer);
    return (struct span){(const unsigned char *)text.data, text.length, 0};
}

/* The records that still grew. */
static int read_ends(struct loader *loader, struct pyi_error *err)
{
    struct span span = span_of(&loader->ends);
    while (span.at < span.length) {
        uint64_t thread, head, time, begin;
        if (!take(&span, &thread) || !take(&span, &head) || !take(&span, &time) ||
            !take(&span, &begin) || thread == UINT64_MAX || !time || time > LONGEST_TIME ||
            head >> 2 >= loader->session->stacks.node_count)
            return bad(loader, "the last record of a thread makes no sense", err);
        const struct pyi_lane_item item = {(uint32_t)(head >> 2), (enum pyi_state)(head & 3), time};
        struct pyi_lane *lane = find_lane(loader, thread);
        if (!lane || (begin && !pyi_lane_jump(lane, begin - 1)) || !pyi_lane_add(lane, &item))
            return pyi_error_nomem(err);
    }
    return 0;
}

/* What rests on a call that was never proven ends below it. */
static int fold(struct loader *loader, struct pyi_error *err)
{
    struct span span = span_of(&loader->doubts);
    struct pyi_session *session = loader->session;
    size_t count = session->stacks.node_count;
    uint64_t frame, step, stack = 0;
    if (!span.length)
        return 0;
    if (!take(&span, &frame) || frame >= session->stacks.infos.count)
        return bad(loader, "a stack refers to what is not there", err);
    PYI_CLEANUP(pyi_cleanup_free) uint32_t *folded = calloc(count, sizeof(*folded));
    PYI_CLEANUP(pyi_cleanup_free) bool *cut = calloc(count, sizeof(*cut));
    if (!folded || !cut)
        return pyi_error_nomem(err);
    while (span.at < span.length) {
        if (!take(&span, &step) || !step || step >= count - stack)
            return bad(loader, "a stack refers to what is not there", err);
        stack += step;
        cut[stack] = true;
    }
    int code = 0;
    for (size_t i = 1; i < count && !code; i++) {
        uint32_t parent = session->stacks.nodes[i].parent;
        folded[i] = cut[parent] ? folded[parent] : (uint32_t)i;
        if (cut[i] && !cut[parent])
            code = pyi_session_push_frame(session, parent, (uint32_t)frame, &folded[i], err);
        cut[i] |= cut[parent];
    }
    for (size_t i = 0; i < loader->lane_count && !code; i++)
        if (!pyi_lane_map(&loader->lanes[i].lane, folded))
            code = pyi_error_nomem(err);
    return code;
}

/* What the file's threads say of their records is left to the records themselves. */
static bool describe(struct pyi_session *session, struct pyi_attach_thread *thread,
                     const struct pyi_lane *lane)
{
    struct pyi_arena *arena = &session->attach_arena;
    struct pyi_attach_jump *jumps = pyi_arena_alloc(arena, (lane->jump_count + 1) * sizeof(*jumps));
    struct pyi_attach_state *states =
        pyi_arena_alloc(arena, (lane->run_count + 1) * sizeof(*states));
    if (!jumps || !states)
        return false;
    for (size_t i = 0; i < lane->jump_count; i++)
        jumps[i] =
            (struct pyi_attach_jump){lane->jumps[i].record, (double)lane->jumps[i].begin / 1e9};
    for (size_t i = 0; i < lane->run_count; i++)
        states[i] = (struct pyi_attach_state){pyi_lane_run_records(lane->runs[i]),
                                              pyi_lane_run_state(lane->runs[i])};
    thread->first = session->records.count;
    thread->records = lane->count;
    thread->jumps = jumps;
    thread->jump_count = lane->jump_count;
    thread->states = states;
    thread->state_count = lane->run_count;
    return true;
}

static int take_lane(struct loader *loader, struct pyi_lane *lane, struct pyi_attach_thread *thread,
                     struct pyi_error *err)
{
    struct pyi_session *session = loader->session;
    if (thread && !describe(session, thread, lane))
        return pyi_error_nomem(err);
    if (!pyi_records_join(&session->records, &lane->records) ||
        (lane->count &&
         !pyi_records_append_time(&session->records, lane->last.stack, lane->last.time)))
        return pyi_error_nomem(err);
    pyi_lane_deinit(lane); /* a second mention finds nothing */
    return 0;
}

/* Thread by thread, in the order of `attach`. */
static int take_lanes(struct loader *loader, bool moving, struct pyi_error *err)
{
    struct span span = span_of(&loader->order);
    struct pyi_session *session = loader->session;
    struct pyi_attach *attach = session->attach;
    int code = 0;
    for (size_t i = 0; span.at < span.length && !code; i++) {
        uint64_t thread, root;
        if (!take(&span, &thread) || !take(&span, &root) || thread == UINT64_MAX ||
            root >= session->stacks.node_count || (attach && i >= attach->thread_count))
            return bad(loader, "a thread refers to what is not there", err);
        struct pyi_lane *lane = find_lane(loader, thread);
        if (!lane)
            return pyi_error_nomem(err);
        if (moving)
            code = root ? pyi_pyirec_move_lane(loader->session, lane, (uint32_t)root, err) : 0;
        else
            /* The threads are in our arena. */
            code = take_lane(loader, lane,
                             attach ? (struct pyi_attach_thread *)&attach->threads[i] : NULL, err);
    }
    return code;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The metadata's session takes the stacks and records over. */
static int join_metadata(struct loader *loader, struct pyi_error *err)
{
    struct pyi_session *metadata;
    struct pyi_error inner = {0};
    if (!loader->has_metadata)
        return bad(loader, "it says nothing of itself", err);
    struct pyi_text text = pyi_strbuf_get(&loader->metadata);
    int code = pyi_pyisession_metadata(text.data, text.length, &metadata, &inner);
    if (code == PYI_E_FORMAT)
        return bad(loader, inner.message, err);
    if (code) {
        if (err)
            *err = inner;
        return code;
    }
    struct pyi_stacks stacks = metadata->stacks;
    struct pyi_records records = metadata->records;
    metadata->stacks = loader->session->stacks;
    metadata->records = loader->session->records;
    loader->session->stacks = stacks;
    loader->session->records = records;
    pyi_session_free(loader->session);
    loader->session = metadata;
    return 0;
}

/* Records that are missing take what was said of them along. */
static int check(struct loader *loader, struct pyi_error *err)
{
    struct pyi_session *session = loader->session;
    struct pyi_error inner = {0};
    uint64_t count = pyi_session_record_count(session);
    if (!session->attach || !pyi_attach_check(session->attach, count, &inner))
        return 0;
    if (loader->last || loader->has_lanes)
        return bad(loader, inner.message, err);
    session->attach = NULL;
    return 0;
}

static int load(struct loader *loader, struct pyi_session **out, struct pyi_error *err)
{
    uint64_t end;
    int code = pyi_session_new(&loader->session, err);
    if (!code)
        code = find_end(loader, &end, err);
    if (!code && !end)
        code = bad(loader, "nothing in it is whole", err);
    if (!code)
        code = read_blocks(loader, end, err);
    if (!code)
        code = join_metadata(loader, err);
    if (!code)
        code = read_ends(loader, err);
    if (!code)
        code = take_lanes(loader, true, err);
    if (!code)
        code = fold(loader, err);
    if (!code)
        code = take_lanes(loader, false, err);
    if (!code)
        code = check(loader, err);
    if (!code && !loader->last && loader->has_lanes &&
        !loader->session->lists[PYI_SESSION_START_CALL_STACK].count)
        code = pyi_pyirec_common_start(loader->session, err);
    if (code) {
        pyi_session_free(loader->session);
    } else {
        loader->session->cut = !loader->last;
        *out = loader->session;
    }
    pyi_strbuf_deinit(&loader->metadata);
    pyi_strbuf_deinit(&loader->ends);
    pyi_strbuf_deinit(&loader->order);
    pyi_strbuf_deinit(&loader->doubts);
    for (size_t i = 0; i < loader->lane_count; i++)
        pyi_lane_deinit(&loader->lanes[i].lane);
    free(loader->lanes);
    pyi_map_deinit(&loader->by_thread);
    free(loader->stored);
    free(loader->raw);
    return code;
}

bool pyi_pyirec_is(const void *bytes, size_t length)
{
    return length >= PYI_PYIREC_MAGIC_SIZE && memcmp(bytes, PYI_PYIREC_MAGIC, MAGIC_NAME_SIZE) == 0;
}

static int check_version(const struct loader *loader, const char *magic, struct pyi_error *err)
{
    if (memcmp(magic, PYI_PYIREC_MAGIC, PYI_PYIREC_MAGIC_SIZE) == 0)
        return 0;
    int code = pyi_error_set(err, PYI_E_FORMAT,
                             "%s: written in version %d of the format, which "
                             "this program does not know",
                             loader->name, (unsigned char)magic[MAGIC_NAME_SIZE]);
    pyi_error_slug(err, "session-bad");
    return code;
}

int pyi_session_from_pyirec(const void *bytes, size_t length, struct pyi_session **out,
                            struct pyi_error *err)
{
    struct loader loader = {.source = {-1, bytes, length}, .name = "session"};
    if (!pyi_pyirec_is(bytes, length))
        return bad(&loader, "it does not begin like one", err);
    int code = check_version(&loader, bytes, err);
    return code ? code : load(&loader, out, err);
}

/* The rest of a pipe, behind what was read from it. */
static int read_pipe(const struct loader *loader, int fd, struct pyi_strbuf *out,
                     struct pyi_error *err)
{
    char part[65536];
    for (;;) {
        ssize_t got = read(fd, part, sizeof(part));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pyi_error_os(err, errno, "cannot read %s", loader->name);
        if (got == 0)
            return out->failed ? pyi_error_nomem(err) : 0;
        pyi_strbuf_append(out, part, (size_t)got);
    }
}

int pyi_pyirec_load(int fd, struct pyi_text start, const char *name, struct pyi_session **out,
                    struct pyi_error *err)
{
    struct loader loader = {.source = {.fd = fd}, .name = name};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf all = {0};
    int code = check_version(&loader, start.data, err);
    /* A file that standard input stands in the middle of is no different from a pipe. */
    if (!code && lseek(fd, 0, SEEK_CUR) != (off_t)start.length) {
        pyi_strbuf_text(&all, start);
        code = read_pipe(&loader, fd, &all, err);
        loader.source = (struct source){-1, (const unsigned char *)all.data, all.length};
    }
    return code ? code : load(&loader, out, err);
}
