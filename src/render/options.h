/* SPDX-License-Identifier: BSD-3-Clause */
/* options.h - how renderers read their options, and what they have in common. */
#ifndef PYI_RENDER_OPTIONS_H
#define PYI_RENDER_OPTIONS_H

#include <pyinstrument/frame.h>
#include <pyinstrument/renderer.h>

/* All of these accept options == NULL: nothing is set. */

/* Python's truth of the value; false when absent. The text "False" is true. */
bool pyi_option_true(const struct pyi_render_options *options, const char *key);
/* The value is this text. */
bool pyi_option_is(const struct pyi_render_options *options, const char *key, const char *text);
bool pyi_option_present(const struct pyi_render_options *options, const char *key);
/* Text value, NULL when absent or no text; borrowed until the options change. */
const char *pyi_option_text(const struct pyi_render_options *options, const char *key);
/* Number of a number, true or false; false when absent or anything else. */
bool pyi_option_number(const struct pyi_render_options *options, const char *key, double *out);
/* Name of the option at a place in the order of setting, NULL past the end. */
const char *pyi_option_name(const struct pyi_render_options *options, size_t index);

/* The session to compare with, NULL for none. */
struct pyi_session *pyi_option_base(const struct pyi_render_options *options);

/* show_all, timeline and processor_options as processors take them; the texts are borrowed from
 * `options`. Errors: FORMAT (a value of a type that cannot serve). */
int pyi_option_processors(const struct pyi_render_options *options,
                          struct pyi_processor_options *out, struct pyi_error *err) PYI_MUST_CHECK;

/* Builds a tree and runs a list of processors with these options. `flags`: PYI_TREE_*. */
int pyi_render_tree(struct pyi_session *session, const struct pyi_render_options *options,
                    unsigned flags, enum pyi_processor_list list, struct pyi_tree **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
void pyi_cleanup_tree(struct pyi_tree **tree);

/* Local time of the session's start in strftime's format; "" when it is no time. */
void pyi_render_start_time(const struct pyi_session *session, const char *format, char *out,
                           size_t size);

#endif
