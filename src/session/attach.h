/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attach.h - reading, writing, copying and joining the `attach` object of our session files.
 */
#ifndef PYI_SESSION_ATTACH_H
#define PYI_SESSION_ATTACH_H

#include "src/base/arena.h"
#include "src/base/json_reader.h"
#include "src/base/json_writer.h"
#include <pyinstrument/session.h>

/* Version of the object we write; files of later ones are refused. */
#define PYI_ATTACH_VERSION 1

/* Reads the object whose begin token was just read. Everything is allocated in `arena`.
 * `*version` is what the file says, 1 if it does not. Errors: those of the reader, NOMEM. */
int pyi_attach_read(struct pyi_json_reader *reader, struct pyi_arena *arena,
                    struct pyi_attach **out, int64_t *version,
                    struct pyi_error *err) PYI_MUST_CHECK;
/* Whether processes and records that threads refer to exist. Errors: FORMAT. */
int pyi_attach_check(const struct pyi_attach *attach, uint64_t record_count,
                     struct pyi_error *err) PYI_MUST_CHECK;
void pyi_attach_write(struct pyi_output *output, const struct pyi_attach *attach);

/* Deep copy; NULL on lack of memory. */
struct pyi_attach *pyi_attach_copy(struct pyi_arena *arena, const struct pyi_attach *attach);
/* Adds `later`'s processes, threads, notes and counts to `attach`, whose arena is given. Records
 * of `later` follow `records` others and began `seconds` later. False: no memory. */
bool pyi_attach_join(struct pyi_arena *arena, struct pyi_attach *attach,
                     const struct pyi_attach *later, uint64_t records, double seconds);

#endif
