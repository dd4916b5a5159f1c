/* SPDX-License-Identifier: BSD-3-Clause */
/* render.c - the table of formats: lookup by name and by file name, checking, rendering.
 *
 * In: a row, a session, options. Out: bytes into a sink. A new format is one file with one row
 * and one line here. Also what several formats share: making a processed tree, start times. */
#include <pyinstrument/renderer.h>

#include "src/base/error.h"
#include "src/base/text.h"
#include "src/render/diff/diff.h"
#include "src/render/options.h"
#include "src/render/rows.h"
#include <math.h>
#include <strings.h>
#include <time.h>

static const struct pyi_renderer *const rows[] = {
    &pyi_renderer_text,       &pyi_renderer_html,       &pyi_renderer_json,
    &pyi_renderer_speedscope, &pyi_renderer_pyisession, &pyi_renderer_pstats,
    &pyi_renderer_collapsed,  &pyi_renderer_pprof,      &pyi_renderer_chrome,
    &pyi_renderer_gecko,      &pyi_renderer_flamegraph, &pyi_renderer_markdown,
    &pyi_renderer_pyirec,
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const struct pyi_renderer *pyi_renderer_at(size_t index)
{
    return index < ROWS ? rows[index] : NULL;
}

const struct pyi_renderer *pyi_renderer_by_name(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (!strcmp(rows[i]->name, name) || (rows[i]->alias && !strcmp(rows[i]->alias, name)))
            return rows[i];
    return NULL;
}

/* Dots a name begins with start no extension. */
static bool has_extension(const char *name)
{
    const char *stem = name + strspn(name, ".");
    return *stem && strchr(stem, '.');
}

const struct pyi_renderer *pyi_renderer_by_path(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const struct pyi_renderer *best = NULL;
    size_t length = strlen(name), best_length = 0;
    if (!has_extension(name))
        return NULL;
    for (size_t i = 0; i < ROWS; i++)
        for (const char *const *extension = rows[i]->extensions; *extension; extension++) {
            size_t size = strlen(*extension);
            if (size > best_length && size <= length &&
                !strcasecmp(name + length - size, *extension)) {
                best = rows[i];
                best_length = size;
            }
        }
    return best;
}

static bool takes(const struct pyi_renderer *renderer, const char *option)
{
    for (const char *const *name = renderer->options; *name; name++)
        if (!strcmp(*name, option))
            return true;
    return false;
}

int pyi_renderer_check(const struct pyi_renderer *renderer,
                       const struct pyi_render_options *options, struct pyi_error *err)
{
    /* Upstream's formats that add no options of their own name their base class. */
    unsigned kind = renderer->flags & (PYI_RENDERER_TREE | PYI_RENDERER_TEXT | PYI_RENDERER_OURS);
    bool plain = kind == PYI_RENDERER_TREE;
    const char *name;
    for (size_t i = 0; (name = pyi_option_name(options, i)); i++) {
        char safe[128];
        const bool compares = pyi_option_base(options) && !strcmp(name, "diff");
        if (!compares && !takes(renderer, name))
            return pyi_error_set(err, PYI_E_INVALID,
                                 "%s.__init__() got an unexpected keyword argument '%s'",
                                 plain ? "FrameRenderer" : renderer->class_name,
                                 pyi_text_safe(pyi_text(name), safe, sizeof(safe)));
    }
    if (pyi_option_base(options)) {
        if (!(renderer->flags & PYI_RENDERER_DIFF))
            return pyi_error_set(err, PYI_E_INVALID, "%s cannot compare sessions", renderer->name);
        int code = pyi_render_diff_check(options, err);
        if (code)
            return code;
    }
    return renderer->check ? renderer->check(options, err) : 0;
}

int pyi_render(const struct pyi_renderer *renderer, struct pyi_session *session,
               const struct pyi_render_options *options, const struct pyi_sink *sink,
               struct pyi_error *err)
{
    struct pyi_session *base = pyi_option_base(options);
    (void)pyi_session_paths_failed(session);
    if (base)
        (void)pyi_session_paths_failed(base);
    int code = renderer->render(session, options, sink, err);
    const bool failed =
        pyi_session_paths_failed(session) || (base && pyi_session_paths_failed(base));
    return !code && failed ? pyi_error_nomem(err) : code;
}

/* ---- shared by formats ---- */

void pyi_cleanup_tree(struct pyi_tree **tree)
{
    pyi_tree_free(*tree);
}

int pyi_render_tree(struct pyi_session *session, const struct pyi_render_options *options,
                    unsigned flags, enum pyi_processor_list list, struct pyi_tree **out,
                    struct pyi_error *err)
{
    struct pyi_processor_options processors;
    int code = pyi_option_processors(options, &processors, err);
    if (code)
        return code;
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    code = pyi_tree_build(session, flags, &tree, err);
    if (!code)
        code = pyi_tree_process_list(tree, list, &processors, err);
    if (code)
        return code;
    *out = tree;
    tree = NULL;
    return 0;
}

void pyi_render_start_time(const struct pyi_session *session, const char *format, char *out,
                           size_t size)
{
    double start = floor(pyi_session_number(session, PYI_SESSION_START_TIME).value);
    struct tm local;
    out[0] = '\0';
    if (!(fabs(start) < 1e15))
        return;
    time_t seconds = (time_t)start;
    if (!localtime_r(&seconds, &local) || !strftime(out, size, format, &local))
        out[0] = '\0';
}
