/* SPDX-License-Identifier: BSD-3-Clause */
/* text.h - strings: building, comparing, decoding, and making hostile ones safe to print.
 *
 * Encoding inside the program: UTF-8 plus lone surrogates as three bytes each (see
 * struct pyi_text). */
#ifndef PYI_BASE_TEXT_H
#define PYI_BASE_TEXT_H

#include <pyinstrument/types.h>
#include <stdarg.h>
#include <string.h>

static inline struct pyi_text pyi_text(const char *nul_terminated)
{
    return (struct pyi_text){nul_terminated, strlen(nul_terminated)};
}
static inline bool pyi_text_equal(struct pyi_text a, struct pyi_text b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}
bool pyi_text_starts_with(struct pyi_text text, const char *prefix);
bool pyi_text_contains(struct pyi_text text, const char *part);
/* Part `index` of the text split at `separator`; false when there are fewer parts. The part is
 * not NUL-terminated in place. */
bool pyi_text_part(struct pyi_text text, char separator, size_t index, struct pyi_text *part);

/* A growing string. Zero-initialise. After a failed allocation `failed` is set, later appends
 * do nothing, and the caller checks once at the end. `data` may be NULL while empty. */
struct pyi_strbuf {
    char *data;
    size_t length, capacity;
    bool failed;
};
void pyi_strbuf_append(struct pyi_strbuf *buffer, const void *bytes, size_t length);
void pyi_strbuf_text(struct pyi_strbuf *buffer, struct pyi_text text);
void pyi_strbuf_string(struct pyi_strbuf *buffer, const char *nul_terminated);
void pyi_strbuf_char(struct pyi_strbuf *buffer, char byte);
void pyi_strbuf_format(struct pyi_strbuf *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pyi_strbuf_vformat(struct pyi_strbuf *buffer, const char *format, va_list arguments);
/* One code point (surrogates allowed), as one to four bytes. */
void pyi_strbuf_code_point(struct pyi_strbuf *buffer, uint32_t code_point);
void pyi_strbuf_reset(struct pyi_strbuf *buffer); /* length 0, keeps the memory */
void pyi_strbuf_deinit(struct pyi_strbuf *buffer);
/* The contents as text, "" while empty; borrowed until the next change. */
struct pyi_text pyi_strbuf_get(const struct pyi_strbuf *buffer);
/* Hands the NUL-terminated heap string over, the buffer is empty again. NULL on failure. */
char *pyi_strbuf_detach(struct pyi_strbuf *buffer);

/* Code points stored in units of 1 (Latin-1), 2 (UCS-2, lone surrogates kept) or 4 bytes,
 * little-endian, appended in our encoding. Values above U+10FFFF become U+FFFD. */
void pyi_strbuf_units(struct pyi_strbuf *buffer, const void *units, size_t count, int width);
/* Bytes of unknown encoding (paths, /proc): bytes that are not UTF-8 become U+DC80..U+DCFF, as
 * Python's surrogateescape does. */
void pyi_strbuf_os_bytes(struct pyi_strbuf *buffer, const void *bytes, size_t length);

/* Decodes one code point at `*offset` and advances; malformed bytes count one by one as
 * U+DC00 + byte. */
uint32_t pyi_text_next(struct pyi_text text, size_t *offset);

/* Number of leading bytes that are well-formed UTF-8, surrogates not allowed (what Python's
 * strict decoder accepts). A sequence cut off by the end does not count. */
size_t pyi_text_utf8_length(const void *bytes, size_t length);

/* How names of the target are shown. COMPATIBLE replaces only C0/C1 controls and undecodable
 * bytes; STRICT also bidirectional controls, zero-width and line/paragraph separators. Replaced
 * are shown as \x1b, \u202e, \xff. */
enum pyi_text_safety { PYI_TEXT_COMPATIBLE, PYI_TEXT_STRICT };
void pyi_strbuf_safe(struct pyi_strbuf *buffer, struct pyi_text text, enum pyi_text_safety safety);
/* Into a fixed array, NUL-terminated, cut between code points with "..." when too long;
 * returns `out`. For messages. */
char *pyi_text_safe(struct pyi_text text, char *out, size_t size);

/* Columns of a terminal that the text takes; wide characters take two, combining ones none. What
 * the locale does not know counts as one. */
size_t pyi_text_columns(struct pyi_text text);
/* The longest end of the text that takes no more than so many columns. */
struct pyi_text pyi_text_tail(struct pyi_text text, size_t columns);
/* Appends a path as it stands in a file: address, unusual bytes as %XX. */
void pyi_strbuf_address_path(struct pyi_strbuf *buffer, struct pyi_text path);

/* Appends one word of a command line as a shell would need it quoted, after a blank unless the
 * buffer is empty or ends with one. */
void pyi_strbuf_shell_quote(struct pyi_strbuf *buffer, struct pyi_text word);

#endif
