/* SPDX-License-Identifier: BSD-3-Clause */
/* source.h - text of the functions that took time, read from the files they were compiled from. */
#ifndef PYI_RENDER_HTML_SOURCE_H
#define PYI_RENDER_HTML_SOURCE_H

#include "src/render/html/side.h"

/* Lines that follow each other. */
struct pyi_html_part {
    uint32_t first;
    size_t begin, length; /* of its text in `text` */
};

struct pyi_html_file {
    uint32_t function;  /* number of the first one of the file */
    const char *reason; /* why there is no text, NULL */
    bool stale;         /* changed after the recording had begun */
    size_t first_part, part_count;
};

struct pyi_html_sources {
    struct pyi_html_file *files;
    size_t file_count, file_capacity;
    struct pyi_html_part *parts;
    size_t part_count, part_capacity;
    struct pyi_strbuf text;
};

/* Functions with at least half a percent of the time; `all`: the libraries' too. Files that cannot
 * be read are listed with the reason. Errors: NOMEM. */
int pyi_html_sources_read(struct pyi_html_sources *sources, const struct pyi_html_side *side,
                          bool all, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_html_sources_deinit(struct pyi_html_sources *sources);
/* ',"source":{...}' */
void pyi_html_sources_put(const struct pyi_html_sources *sources, struct pyi_output *output);

#endif
