/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * renderer.h - reports: one const row per format, options by name, output to a sink.
 */
#ifndef PYINSTRUMENT_RENDERER_H
#define PYINSTRUMENT_RENDERER_H

#include <pyinstrument/error.h>
#include <pyinstrument/session.h>
#include <pyinstrument/types.h>

/**
 * Where bytes go. `write` takes all of them or fails with a code (OS mostly) and fills `err`.
 */
struct pyi_sink {
    int (*write)(void *context, const void *bytes, size_t length, struct pyi_error *err);
    void *context;
};

/**
 * Options of a rendering, in the form of the command line's -p: a map from key to a JSON value.
 * Opaque; created empty.
 */
struct pyi_render_options;

PYI_API int pyi_render_options_new(struct pyi_render_options **out,
                                   struct pyi_error *err) PYI_MUST_CHECK;
PYI_API void pyi_render_options_free(struct pyi_render_options *options);
/**
 * Sets one option. `value` is JSON text, or any other text, taken as a string; NULL means true.
 * `key` may be a dotted path; all but its last part must already be maps.
 * Errors: INVALID (no such parent), NOMEM.
 */
PYI_API int pyi_render_options_set(struct pyi_render_options *options, const char *key,
                                   const char *value, struct pyi_error *err) PYI_MUST_CHECK;
/** Sets a text without looking at it as JSON; NULL value means null. Errors as above. */
PYI_API int pyi_render_options_set_text(struct pyi_render_options *options, const char *key,
                                        const char *value, struct pyi_error *err) PYI_MUST_CHECK;

/**
 * The session that reports compare with, NULL for none; borrowed until the options are freed. Only
 * for renderers with PYI_RENDERER_DIFF.
 */
PYI_API void pyi_render_options_set_base(struct pyi_render_options *options,
                                         struct pyi_session *base);

enum pyi_renderer_flags {
    PYI_RENDERER_BINARY = 1, /* refuses a terminal */
    PYI_RENDERER_TREE = 2,   /* builds a call tree: takes processor_options, show_all, timeline */
    PYI_RENDERER_TEXT = 4,   /* takes unicode and color from the terminal */
    PYI_RENDERER_OURS = 8,   /* not a format of upstream's */
    PYI_RENDERER_DIFF = 16,  /* can compare with another session */
};

struct pyi_renderer {
    const char *name;              /* as in -r */
    const char *alias;             /* old name or NULL */
    const char *class_name;        /* upstream's class, for its exact error text */
    const char *const *extensions; /* lower case with leading dot, NULL-terminated */
    const char *const *options;    /* option names it takes, NULL-terminated */
    unsigned flags;
    /** Validates options without rendering. Errors: INVALID, message = upstream's reason. */
    int (*check)(const struct pyi_render_options *options, struct pyi_error *err);
    /** The session is only changed in its memo of short paths. */
    int (*render)(struct pyi_session *session, const struct pyi_render_options *options,
                  const struct pyi_sink *sink, struct pyi_error *err);
};

/** Row number `index`, NULL past the last. */
PYI_API const struct pyi_renderer *pyi_renderer_at(size_t index);
/** By -r name or alias; NULL when unknown. */
PYI_API const struct pyi_renderer *pyi_renderer_by_name(const char *name);
/** By file name, longest extension first, case-insensitive; NULL when none fits. */
PYI_API const struct pyi_renderer *pyi_renderer_by_path(const char *path);
/** Checks names and values of options against a row. Errors: INVALID. */
PYI_API int pyi_renderer_check(const struct pyi_renderer *renderer,
                               const struct pyi_render_options *options,
                               struct pyi_error *err) PYI_MUST_CHECK;
/** Renders. Errors: FORMAT (pattern, option value), NOMEM, whatever the sink returned. */
PYI_API int pyi_render(const struct pyi_renderer *renderer, struct pyi_session *session,
                       const struct pyi_render_options *options, const struct pyi_sink *sink,
                       struct pyi_error *err) PYI_MUST_CHECK;

#endif
