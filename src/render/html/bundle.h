/* SPDX-License-Identifier: BSD-3-Clause */
/* bundle.h - the page's program and style, made by scripts/embed.c from the files of the front end. */
#ifndef PYI_RENDER_HTML_BUNDLE_H
#define PYI_RENDER_HTML_BUNDLE_H

#include <stddef.h>

extern const unsigned char pyi_html_script[], pyi_html_style[];
extern const size_t pyi_html_script_size, pyi_html_style_size;
/* 'sha256-...' of each and of what the script unfolds, as a content security policy has them. */
extern const char pyi_html_script_hashes[], pyi_html_style_hashes[];

#endif
