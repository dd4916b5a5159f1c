/* SPDX-License-Identifier: BSD-3-Clause */
/* file.h - reads a source file whose name a profiled program has chosen. */
#ifndef PYI_RENDER_HTML_FILE_H
#define PYI_RENDER_HTML_FILE_H

#include "src/base/text.h"

struct pyi_html_text {
    struct pyi_strbuf bytes;
    double modified; /* Unix seconds */
};

/* The file `path` below `root` ("" or "/": ours). Only regular files of at most 4 MiB that look like
 * Python: the name is the program's choice, and reports travel. NULL, or why it was not read, in
 * static words; lack of memory shows in `bytes.failed`. */
const char *pyi_html_file_read(struct pyi_text root, struct pyi_text path,
                               struct pyi_html_text *out);

#endif
