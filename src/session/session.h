/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - what a session consists of; only the files of this folder look inside.
 */
#ifndef PYI_SESSION_SESSION_H
#define PYI_SESSION_SESSION_H

#include "src/base/arena.h"
#include "src/base/text.h"
#include "src/session/records.h"
#include "src/session/stacks.h"
#include <pyinstrument/session.h>

struct pyi_text_list {
    struct pyi_text *items;
    size_t count, capacity;
};

/* Memo of short paths and what they are computed from; see paths.c. */
struct pyi_paths {
    struct pyi_intern known;  /* paths asked for */
    struct pyi_text *answers; /* by number in `known` */
    size_t answer_capacity;
    struct pyi_arena arena;   /* answers that are not the path itself, and the entries */
    struct pyi_text *entries; /* sys_path: absolute, normalised, one '/' before each piece */
    size_t entry_count;
    struct pyi_text directory; /* current directory, absolute; no data when there is none */
    bool ready;                /* entries and directory are known */
    bool failed;               /* memory ran out since pyi_session_paths_failed() was asked */
};

struct pyi_session {
    struct pyi_number numbers[PYI_SESSION_NUMBERS];
    struct pyi_strbuf target_description;
    struct pyi_text_list lists[PYI_SESSION_LISTS];
    struct pyi_arena texts; /* of the lists */
    struct pyi_stacks stacks;
    struct pyi_records records;
    struct pyi_attach *attach; /* in attach_arena, NULL when there is none */
    struct pyi_arena attach_arena;
    struct pyi_paths paths;
    bool cut; /* read from a file that lacks its end */
};

/* Empties a list. */
void pyi_session_list_clear(struct pyi_session *session, enum pyi_session_list which);
/* Forgets all records and stacks. */
int pyi_session_clear_records(struct pyi_session *session, struct pyi_error *err) PYI_MUST_CHECK;

/* paths.c; also forgets what was computed when sys_path changes. */
void pyi_paths_deinit(struct pyi_paths *paths);

#endif
