/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.c - a recording goes to its .pyirec file while it is made.
 *
 * In: a recorder between two rounds. Out: one group of blocks each time: new frames and stacks,
 * the records that no longer grow, then all that replaces what the file had before: records that
 * still grow, threads, calls without proof, metadata. The file has its name when it is complete;
 * until then it ends in .part and is readable as of the last flush, whatever happens to us.
 */
#include "src/record/stream.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/invoker.h"
#include "src/base/output.h"
#include "src/record/record.h"
#include "src/session/pyirec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLUSH_TIME 5000000000ull /* ns */
/* Packing this many takes no longer than a few rounds may be late. */
#define FLUSH_RECORDS 32768
#define MOST_PARTS    1000

struct place {
    struct pyi_lane_cursor cursor;
    uint32_t generation;
};

struct pyi_stream {
    char *path, *part;
    int fd;
    bool ours; /* made with our own rights, not those of the user behind sudo */
    bool written, finished;
    struct pyi_sink sink;
    struct pyi_pyirec_writer writer;
    struct place *places; /* by index of the recorder's tracks */
    size_t place_count, place_capacity;
    uint64_t last, records;
};

/* ---- the file ------------------------------------------------------------------------------- */

/* Never one that is there: it may be what is left of a recording, or one under way. */
static int open_part(struct pyi_stream *stream)
{
    for (int i = 1; i <= MOST_PARTS; i++) {
        free(stream->part);
        int length = i == 1 ? asprintf(&stream->part, "%s.part", stream->path)
                            : asprintf(&stream->part, "%s.part-%d", stream->path, i);
        if (length < 0) {
            stream->part = NULL;
            return ENOMEM;
        }
        stream->fd = open(stream->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
        if (stream->fd >= 0)
            return 0;
        if (errno != EEXIST)
            return errno;
    }
    return EEXIST;
}

static int create(struct pyi_stream *stream, struct pyi_error *err)
{
    struct stat old;
    struct pyi_guise guise = pyi_guise_on();
    int failure = open_part(stream);
    pyi_guise_off(&guise);
    if (guise.worn && (failure == EACCES || failure == EPERM || failure == EROFS)) {
        failure = open_part(stream);
        stream->ours = !failure;
        if (!failure)
            pyi_guise_give(stream->fd);
    }
    if (failure == ENOMEM)
        return pyi_error_nomem(err);
    if (failure)
        return pyi_error_os(err, failure, "cannot write %s.part", stream->path);
    if (stat(stream->path, &old) == 0)
        (void)!fchmod(stream->fd, old.st_mode & 0777);
    return 0;
}

int pyi_stream_open(const char *path, struct pyi_stream **out, struct pyi_error *err)
{
    struct pyi_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return pyi_error_nomem(err);
    stream->fd = -1;
    stream->path = strdup(path);
    int code = stream->path ? create(stream, err) : pyi_error_nomem(err);
    if (!code) {
        stream->sink = pyi_sink_fd(&stream->fd);
        code = pyi_pyirec_begin(&stream->writer, &stream->sink, err);
    }
    if (code) {
        pyi_stream_close(stream);
        return code;
    }
    *out = stream;
    return 0;
}

void pyi_stream_close(struct pyi_stream *stream)
{
    if (!stream)
        return;
    if (stream->fd >= 0 && !stream->written)
        unlink(stream->part);
    pyi_cleanup_close(&stream->fd);
    pyi_pyirec_deinit(&stream->writer);
    free(stream->places);
    free(stream->part);
    free(stream->path);
    free(stream);
}

/* ---- what goes into it ---------------------------------------------------------------------- */

static uint64_t count_records(const struct pyi_recorder *recorder)
{
    uint64_t count = 0;
    for (size_t i = 0; i < recorder->track_count; i++)
        count += recorder->tracks[i]->lane.count;
    return count;
}

bool pyi_stream_due(const struct pyi_stream *stream, const struct pyi_recorder *recorder,
                    uint64_t now)
{
    return !stream->written || now - stream->last >= FLUSH_TIME ||
           count_records(recorder) - stream->records >= FLUSH_RECORDS;
}

/* The lane was written anew since: the same place in other bytes. */
static void find_place(struct place *place, const struct pyi_lane *lane)
{
    struct pyi_lane_item item;
    uint64_t index = place->cursor.index;
    if (place->generation == lane->generation)
        return;
    *place = (struct place){.generation = lane->generation};
    while (place->cursor.index < index && pyi_lane_next(lane, &place->cursor, &item, NULL))
        ;
}

static int add_lanes(struct pyi_stream *stream, const struct pyi_recorder *recorder,
                     struct pyi_error *err)
{
    if (!pyi_array_reserve(&stream->places, &stream->place_capacity, recorder->track_count,
                           sizeof(*stream->places)))
        return pyi_error_nomem(err);
    for (; stream->place_count < recorder->track_count; stream->place_count++)
        stream->places[stream->place_count] = (struct place){0};
    int code = 0;
    for (size_t i = 0; i < recorder->track_count && !code; i++) {
        const struct pyi_lane *lane = &recorder->tracks[i]->lane;
        find_place(&stream->places[i], lane);
        code = pyi_pyirec_add_lane(&stream->writer, i, lane, &stream->places[i].cursor,
                                   recorder->started, err);
    }
    for (size_t i = 0; i < recorder->track_count && !code; i++)
        pyi_pyirec_end(&stream->writer, i, &recorder->tracks[i]->lane, recorder->started);
    return code ? code : pyi_pyirec_add(&stream->writer, PYI_PYIREC_ENDS, err);
}

static int add_doubts(struct pyi_stream *stream, struct pyi_recorder *recorder,
                      struct pyi_error *err)
{
    const struct pyi_ledger *ledger = &recorder->ledger;
    uint32_t before = 0;
    for (uint32_t stack = 1; ledger->park.parked && stack <= ledger->top_stack; stack++) {
        if (!pyi_park_doubts(&ledger->park, stack))
            continue;
        if (!before)
            pyi_pyirec_number(&stream->writer, ledger->truncated_frame);
        pyi_pyirec_number(&stream->writer, stack - before);
        before = stack;
    }
    return pyi_pyirec_add(&stream->writer, PYI_PYIREC_DOUBTS, err);
}

/* The threads in the order of the metadata. */
static int add_outline(struct pyi_stream *stream, struct pyi_recorder *recorder, bool last,
                       struct pyi_error *err)
{
    struct pyi_session *session = NULL;
    PYI_CLEANUP(pyi_cleanup_free) size_t *order = NULL;
    size_t count = 0;
    int code = pyi_session_new(&session, err);
    if (!code)
        code = pyi_recorder_outline(recorder, session, last, &order, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        pyi_pyirec_number(&stream->writer, order[i]);
        pyi_pyirec_number(&stream->writer, recorder->tracks[order[i]]->root);
    }
    if (!code)
        code = pyi_pyirec_add(&stream->writer, PYI_PYIREC_LANES, err);
    if (!code)
        code = pyi_pyirec_add_metadata(&stream->writer, session, err);
    pyi_session_free(session);
    return code;
}

static int add_all(struct pyi_stream *stream, struct pyi_recorder *recorder, bool last,
                   struct pyi_error *err)
{
    pyi_park_ask(&recorder->ledger.park, recorder->target, false);
    int code = pyi_pyirec_add_stacks(&stream->writer, recorder->session, err);
    if (!code)
        code = add_lanes(stream, recorder, err);
    if (!code)
        code = add_doubts(stream, recorder, err);
    if (!code)
        code = add_outline(stream, recorder, last, err);
    if (!code)
        code = pyi_pyirec_flush(&stream->writer, PYI_PYIREC_COMPLETE | (last ? PYI_PYIREC_LAST : 0),
                                err);
    stream->written |= !code;
    return code ? pyi_error_prefix(err, code, "%s", stream->part) : 0;
}

int pyi_stream_flush(struct pyi_stream *stream, struct pyi_recorder *recorder, uint64_t now,
                     struct pyi_error *err)
{
    stream->last = now;
    stream->records = count_records(recorder);
    return add_all(stream, recorder, false, err);
}

int pyi_stream_finish(struct pyi_stream *stream, struct pyi_recorder *recorder,
                      struct pyi_error *err)
{
    int code = add_all(stream, recorder, true, err);
    if (code)
        return code;
    int fd = stream->fd;
    stream->fd = -1;
    if (close(fd) != 0 && errno != EINTR)
        return pyi_error_os(err, errno, "cannot write %s", stream->part);
    struct pyi_guise guise = {.worn = false};
    if (!stream->ours)
        guise = pyi_guise_on();
    int failure = rename(stream->part, stream->path) == 0 ? 0 : errno;
    pyi_guise_off(&guise);
    if (failure)
        return pyi_error_os(err, failure, "cannot rename %s", stream->part);
    stream->finished = true;
    return 0;
}
