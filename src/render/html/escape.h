/* SPDX-License-Identifier: BSD-3-Clause */
/* escape.h - one function per context in which text or numbers stand in the page. */
#ifndef PYI_RENDER_HTML_ESCAPE_H
#define PYI_RENDER_HTML_ESCAPE_H

#include "src/base/output.h"
#include <pyinstrument/types.h>

/* A quoted JSON string inside a script element. What HTML gives a meaning to, controls and line
 * separators of JavaScript are \uXXXX; what is not Unicode (undecodable bytes, lone surrogates) is
 * U+FFFD. The parsed text is otherwise the same. */
void pyi_html_json_text(struct pyi_output *output, struct pyi_text text);
/* A number JSON knows: what is not finite is 0. */
void pyi_html_json_number(struct pyi_output *output, double value);
/* Text between tags. Controls other than the line feed and characters that hide or reorder their
 * neighbours are spelled out. */
void pyi_html_markup_text(struct pyi_output *output, struct pyi_text text);

/* A column of numbers: unsigned LEB128 in base64, in quotes. */
struct pyi_html_column {
    struct pyi_output *output;
    unsigned char bytes[3];
    size_t count;
};
void pyi_html_column_begin(struct pyi_html_column *column, struct pyi_output *output);
/* At most 2^53, which is what a reader in JavaScript can hold exactly; more is cut to that. */
void pyi_html_column_put(struct pyi_html_column *column, uint64_t value);
void pyi_html_column_bytes(struct pyi_html_column *column, struct pyi_text bytes);
void pyi_html_column_end(struct pyi_html_column *column);

/* Length of the LEB128 bytes of a number, with the same bound. */
#define PYI_HTML_VARINT 8
size_t pyi_html_varint(unsigned char to[PYI_HTML_VARINT], uint64_t value);

#endif
