/* SPDX-License-Identifier: BSD-3-Clause */
/* text.h - what the two files of the text report share. */
#ifndef PYI_RENDER_TEXT_H
#define PYI_RENDER_TEXT_H

#include "src/base/output.h"
#include <pyinstrument/session.h>

/* A name of the target. `strict`: also characters that reorder or hide text are spelled out. */
void pyi_text_put_name(struct pyi_output *output, struct pyi_text text, bool keep_newlines,
                       bool strict);
void pyi_text_dots(struct pyi_output *output, int count);

/* Upstream's header, that of its short mode, and ours. `states`: seconds by enum pyi_state. */
void pyi_text_header(struct pyi_output *output, const struct pyi_session *session);
void pyi_text_brief_header(struct pyi_output *output, const struct pyi_session *session);
void pyi_text_compact_header(struct pyi_output *output, const struct pyi_session *session,
                             const double states[4]);

#endif
