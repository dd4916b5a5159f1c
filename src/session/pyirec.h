/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyirec.h - our own session file, .pyirec, written while recording; see pyirec(5).
 *
 * The file is eight bytes of magic, the last of which is the version, then blocks. A block:
 *     u32 length of what is stored    u32 length when unpacked    u8 packing    u8 flags    u16 0
 *     u32 CRC-32 of these 12 bytes and of what is stored          what is stored
 * all little-endian. Unpacked it is sections: tag, length, bytes; numbers are variable-length ones
 * as in records.h. Blocks up to one that is COMPLETE belong together: a reader takes what stands
 * before the last whole such block and nothing behind it. The block that is LAST ends the file.
 *
 * Frames and stacks are numbered in the order of their sections, as they are in the session, and
 * stand before what refers to them. METADATA, ENDS, LANES and DOUBTS replace those before them.
 */
#ifndef PYI_SESSION_PYIREC_H
#define PYI_SESSION_PYIREC_H

#include "src/base/text.h"
#include "src/session/lane.h"
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>

#define PYI_PYIREC_MAGIC       "\x93PYIREC\x01"
#define PYI_PYIREC_MAGIC_SIZE  8 /* with the version */
#define PYI_PYIREC_HEADER_SIZE 16
#define PYI_PYIREC_LARGEST     ((size_t)16 * 1024 * 1024) /* of a block, packed or not */

enum pyi_pyirec_packing { PYI_PYIREC_STORED = 0, PYI_PYIREC_DEFLATED = 1 };
enum pyi_pyirec_flags { PYI_PYIREC_COMPLETE = 1, PYI_PYIREC_LAST = 2 };

enum pyi_pyirec_tag {
    PYI_PYIREC_METADATA = 1, /* JSON as in a .pyisession, without frame_records */
    PYI_PYIREC_MORE = 9,     /* continues it */
    PYI_PYIREC_FRAMES = 2,   /* (length, frame info string)... */
    PYI_PYIREC_STACKS = 3,   /* (own number - parent's, frame)..., the first is 1 */
    PYI_PYIREC_RECORDS = 4,  /* records of the session in order */
    /* What a recording writes. Thread numbers are the recorder's. */
    PYI_PYIREC_LANE = 5,  /* thread, n, n * (record here, begin ns), m, m * run, records */
    PYI_PYIREC_ENDS = 6,  /* (thread, 4 * stack + state, ns, 1 + begin or 0)...: what still grows */
    PYI_PYIREC_LANES = 7, /* (thread, its lowest stack)... in the order of attach.threads */
    PYI_PYIREC_DOUBTS = 8, /* frame, (stack - the one before)...: unproven, end below in `frame` */
};

/* ---- writing --------------------------------------------------------------------------------- */

struct pyi_pyirec_writer {
    const struct pyi_sink *sink;
    struct pyi_strbuf block, section, packed;
    void *deflater;                /* z_stream */
    size_t frame_count, stack_end; /* written so far: frames, numbers below this */
};

/* Writes the magic. `sink` must live as long. Errors: NOMEM, the sink's. */
int pyi_pyirec_begin(struct pyi_pyirec_writer *writer, const struct pyi_sink *sink,
                     struct pyi_error *err) PYI_MUST_CHECK;
/* Frames and stacks that the session has and the file does not. */
int pyi_pyirec_add_stacks(struct pyi_pyirec_writer *writer, const struct pyi_session *session,
                          struct pyi_error *err) PYI_MUST_CHECK;
/* A section is put together in `writer->section`, with these, and then added. */
/* One of ENDS: the record of a lane that still grows; nothing when there is none. */
void pyi_pyirec_end(struct pyi_pyirec_writer *writer, uint64_t thread, const struct pyi_lane *lane,
                    uint64_t origin);
void pyi_pyirec_number(struct pyi_pyirec_writer *writer, uint64_t value);
int pyi_pyirec_add(struct pyi_pyirec_writer *writer, enum pyi_pyirec_tag tag,
                   struct pyi_error *err) PYI_MUST_CHECK;
/* Metadata and attach of a session. */
int pyi_pyirec_add_metadata(struct pyi_pyirec_writer *writer, const struct pyi_session *session,
                            struct pyi_error *err) PYI_MUST_CHECK;
/* The records of a lane from the cursor on, all but the one that still grows; the cursor follows.
 * Jumps are written as after `origin`. */
int pyi_pyirec_add_lane(struct pyi_pyirec_writer *writer, uint64_t thread,
                        const struct pyi_lane *lane, struct pyi_lane_cursor *cursor,
                        uint64_t origin, struct pyi_error *err) PYI_MUST_CHECK;
/* Writes the block; `flags` as above. */
int pyi_pyirec_flush(struct pyi_pyirec_writer *writer, unsigned flags,
                     struct pyi_error *err) PYI_MUST_CHECK;
void pyi_pyirec_deinit(struct pyi_pyirec_writer *writer);

/* ---- reading --------------------------------------------------------------------------------- */

/* Whether a file that begins so is ours, of any version. */
bool pyi_pyirec_is(const void *bytes, size_t length);
/* Reads `fd` from its beginning; when it cannot be sought in, `start` was read from it before. */
int pyi_pyirec_load(int fd, struct pyi_text start, const char *name, struct pyi_session **out,
                    struct pyi_error *err) PYI_MUST_CHECK;

/* pyirec_stacks.c: puts a lane's stacks on the lowest frame `root`. Errors: NOMEM, LIMIT. */
int pyi_pyirec_move_lane(struct pyi_session *session, struct pyi_lane *lane, uint32_t root,
                         struct pyi_error *err) PYI_MUST_CHECK;
/* start_call_stack: what all stacks of the first thread have in common. Errors: NOMEM. */
int pyi_pyirec_common_start(struct pyi_session *session, struct pyi_error *err) PYI_MUST_CHECK;

/* pyisession.c: a session without records from their JSON. What `attach` says of records is not
 * checked. */
int pyi_pyisession_metadata(const char *json, size_t length, struct pyi_session **out,
                            struct pyi_error *err) PYI_MUST_CHECK;

#endif
