/* SPDX-License-Identifier: BSD-3-Clause */
/* payload.h - the data of a page: what is gathered, and how it is written. */
#ifndef PYI_RENDER_HTML_PAYLOAD_H
#define PYI_RENDER_HTML_PAYLOAD_H

#include "src/render/html/side.h"
#include "src/render/html/source.h"
#include "src/render/options.h"

enum pyi_html_source_choice { PYI_HTML_SOURCE_NONE, PYI_HTML_SOURCE_APP, PYI_HTML_SOURCE_ALL };

struct pyi_html_payload {
    struct pyi_html_tables tables;
    struct pyi_html_side side, base; /* base: session NULL when there is none */
    enum pyi_html_source_choice choice;
    struct pyi_html_sources sources;
    bool share;                    /* comparisons are of shares, not of times */
    const char *resampled;         /* what was done to the records, NULL nothing */
    struct pyi_strbuf title, text; /* text: what shows without scripts; neither is escaped */
    /* numbers of strings */
    uint32_t program, command, base_program;
    uint32_t *prefixes;
    size_t prefix_count;
};

/* Gathers everything; `base` may be NULL. Call deinit in any case. Errors: NOMEM. */
int pyi_html_payload_init(struct pyi_html_payload *payload, struct pyi_session *session,
                          struct pyi_session *base, enum pyi_html_source_choice choice,
                          struct pyi_error *err) PYI_MUST_CHECK;
void pyi_html_payload_deinit(struct pyi_html_payload *payload);
/* The JSON object. */
void pyi_html_payload_put(const struct pyi_html_payload *payload, struct pyi_output *output);

#endif
