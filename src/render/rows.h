/* SPDX-License-Identifier: BSD-3-Clause */
/* rows.h - the row of each format; render.c lists them. */
#ifndef PYI_RENDER_ROWS_H
#define PYI_RENDER_ROWS_H

#include <pyinstrument/renderer.h>

extern const struct pyi_renderer pyi_renderer_text;
extern const struct pyi_renderer pyi_renderer_html;
extern const struct pyi_renderer pyi_renderer_json;
extern const struct pyi_renderer pyi_renderer_speedscope;
extern const struct pyi_renderer pyi_renderer_pyisession;
extern const struct pyi_renderer pyi_renderer_pyirec;
extern const struct pyi_renderer pyi_renderer_pstats;
extern const struct pyi_renderer pyi_renderer_collapsed;
extern const struct pyi_renderer pyi_renderer_pprof;
extern const struct pyi_renderer pyi_renderer_chrome;
extern const struct pyi_renderer pyi_renderer_gecko;
extern const struct pyi_renderer pyi_renderer_flamegraph;
extern const struct pyi_renderer pyi_renderer_markdown;

#endif
