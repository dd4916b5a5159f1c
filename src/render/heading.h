/* SPDX-License-Identifier: BSD-3-Clause */
/* heading.h - the heading of a text report in short mode. */
#ifndef PYI_RENDER_HEADING_H
#define PYI_RENDER_HEADING_H

#include "src/base/text.h"

/** Appends the lines above the tree. The description is taken as it is: the caller makes it safe. */
void pyi_heading_brief(struct pyi_text description, struct pyi_strbuf *out);

#endif
