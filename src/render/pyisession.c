/* SPDX-License-Identifier: BSD-3-Clause */
/* pyisession.c - the session itself, in upstream's JSON or in our own format.
 *
 * In: a session. Out: the bytes session files hold; no tree is built and no option has effect. */
#include "src/render/rows.h"

static int render_pyisession(struct pyi_session *session, const struct pyi_render_options *options,
                             const struct pyi_sink *sink, struct pyi_error *err)
{
    return pyi_session_to_json(session, true, sink, err);
}

const struct pyi_renderer pyi_renderer_pyisession = {
    .name = "pyisession",
    .alias = "session",
    .class_name = "SessionRenderer",
    .extensions = (const char *const[]){".pyisession", NULL},
    .options = (const char *const[]){"tree_format", NULL},
    .render = render_pyisession,
};

static int render_pyirec(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err)
{
    return pyi_session_to_pyirec(session, sink, err);
}

const struct pyi_renderer pyi_renderer_pyirec = {
    .name = "pyirec",
    .class_name = "RecordingRenderer",
    .extensions = (const char *const[]){".pyirec", NULL},
    .options = (const char *const[]){NULL},
    .flags = PYI_RENDERER_BINARY | PYI_RENDERER_OURS,
    .render = render_pyirec,
};
