/* SPDX-License-Identifier: BSD-3-Clause */
/* diff.h - what the reports of a comparison share. */
#ifndef PYI_RENDER_DIFF_DIFF_H
#define PYI_RENDER_DIFF_DIFF_H

#include <pyinstrument/diff.h>
#include <pyinstrument/renderer.h>

/* The comparison the options ask for: -p diff=time or share, idle, show_all. */
int pyi_render_diff_new(struct pyi_session *session, const struct pyi_render_options *options,
                        struct pyi_diff **out, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_cleanup_diff(struct pyi_diff **diff);
/* Checks -p diff. Errors: INVALID. */
int pyi_render_diff_check(const struct pyi_render_options *options,
                          struct pyi_error *err) PYI_MUST_CHECK;

/* The first frame that is worth showing: paths that both sessions begin with are passed over. */
const struct pyi_diff_frame *pyi_diff_top(const struct pyi_diff *diff);
/* "more", "less", "new", "gone" or "". */
const char *pyi_diff_word(enum pyi_diff_change change);

/* The reports, in place of those of one session. */
int pyi_render_diff_text(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err) PYI_MUST_CHECK;
int pyi_render_diff_json(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err) PYI_MUST_CHECK;

#endif
