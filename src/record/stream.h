/* SPDX-License-Identifier: BSD-3-Clause */
/* stream.h - a recording that is written to a .pyirec file while it is made. */
#ifndef PYI_RECORD_STREAM_H
#define PYI_RECORD_STREAM_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

struct pyi_recorder;
struct pyi_stream;

/* Makes PATH.part, or PATH.part-2 and so on when there is one already. Errors: OS, NOMEM. */
int pyi_stream_open(const char *path, struct pyi_stream **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/* Whether there is enough to write since the last time, or it is long ago. */
bool pyi_stream_due(const struct pyi_stream *stream, const struct pyi_recorder *recorder,
                    uint64_t now);
/* Writes what is new. Errors: OS, NOMEM, LIMIT; what was written before can be read. */
int pyi_stream_flush(struct pyi_stream *stream, struct pyi_recorder *recorder, uint64_t now,
                     struct pyi_error *err) PYI_MUST_CHECK;
/* The recording has ended: writes the rest and gives the file its name. */
int pyi_stream_finish(struct pyi_stream *stream, struct pyi_recorder *recorder,
                      struct pyi_error *err) PYI_MUST_CHECK;
/* A file that was not finished stays under its other name unless nothing is in it. NULL is fine. */
void pyi_stream_close(struct pyi_stream *stream);

#endif
