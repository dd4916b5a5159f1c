/* SPDX-License-Identifier: BSD-3-Clause */
/* summary.h - the default report of a session: which threads it shows, where its tree begins, how
 * much time it has, and its first rows as text. */
#ifndef PYI_RENDER_HTML_SUMMARY_H
#define PYI_RENDER_HTML_SUMMARY_H

#include "src/base/output.h"
#include <pyinstrument/session.h>

/* Records of one thread of `attach`. */
struct pyi_html_span {
    uint64_t first, end;
    uint32_t thread; /* its index in `attach` */
    bool idle;       /* left out of reports */
};

struct pyi_html_summary {
    const struct pyi_session *session;
    struct pyi_html_span *spans; /* by first record, empty ones left out */
    size_t span_count;
    size_t idle_count;
    struct pyi_session *added_up; /* time per stack, without idle threads and call lines */
    double total;                 /* seconds, idle threads left out */
    uint32_t root_depth;          /* of the tree's root in each of its stacks; 0: above them */
    bool single;                  /* all stacks begin with the same function */
};

int pyi_html_summary_init(struct pyi_html_summary *summary, const struct pyi_session *session,
                          struct pyi_error *err) PYI_MUST_CHECK;
void pyi_html_summary_deinit(struct pyi_html_summary *summary);

/* The span a record is in, NULL when in none. `*cursor` is 0 before record 0, records follow each
 * other. */
const struct pyi_html_span *pyi_html_span_of(const struct pyi_html_summary *summary, size_t *cursor,
                                             uint64_t record);

/* Header and first rows of the text report, for readers whose browser runs no script; not yet
 * escaped. To be called once: `added_up` is freed. */
int pyi_html_summary_text(struct pyi_html_summary *summary, struct pyi_strbuf *out,
                          struct pyi_error *err) PYI_MUST_CHECK;

#endif
