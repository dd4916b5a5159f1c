/* SPDX-License-Identifier: BSD-3-Clause */
/* frames.h - from code objects to the session's frame numbers.
 *
 * A frame info string is built once for every code object, class and line, and found again
 * through two small maps; the session interns the text. */
#ifndef PYI_RECORD_FRAMES_H
#define PYI_RECORD_FRAMES_H

#include "attach/attach.h"
#include "src/base/hash.h"
#include "src/base/text.h"
#include <pyinstrument/session.h>

struct pyi_frames {
    struct pyi_map functions; /* code number and class number -> function number */
    struct pyi_map lines;     /* function number and line -> frame number of the session */
    uint32_t function_count;
    struct pyi_strbuf scratch;
};

/* Frame number of one entry in the session; new ones are interned. `target` names classes.
 * Errors: NOMEM, LIMIT. */
int pyi_frames_get(struct pyi_frames *frames, struct pyi_session *session,
                   const struct pyi_target *target, const struct pyi_stack_entry *entry,
                   uint32_t *out, struct pyi_error *err) PYI_MUST_CHECK;
/* Forgets all code numbers: those of another target mean other code objects. */
void pyi_frames_reset(struct pyi_frames *frames);
void pyi_frames_deinit(struct pyi_frames *frames);

/* FUNCTION NUL PATH NUL LINE, appended. Bytes 0 and 1 in names of the target become U+FFFD: they
 * separate parts here. */
void pyi_frames_identifier(struct pyi_strbuf *buffer, struct pyi_text function,
                           struct pyi_text path, int64_t line);
/* The same for thread frames, whose last part does not fit a line number. */
void pyi_frames_thread(struct pyi_strbuf *buffer, struct pyi_text name, uint64_t ident);

/* Whether two code objects have the same identifier. */
bool pyi_code_same(const struct pyi_code *a, const struct pyi_code *b);

#endif
