/* SPDX-License-Identifier: BSD-3-Clause */
/* json_reader.h - streaming JSON reader for session files.
 *
 * Pull interface: ask for the next token. Input comes in blocks from a file descriptor or from
 * memory; nothing but the current token is held. Depth is counted, never recursed, and bounded.
 * Accepts what Python's json module does: NaN, Infinity, lone surrogates, duplicate keys.
 * Strings come out in our encoding, "\u0000" included. */
#ifndef PYI_BASE_JSON_READER_H
#define PYI_BASE_JSON_READER_H

#include "src/base/text.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

enum pyi_json_token {
    PYI_JSON_END, /* after the top-level value and only blanks */
    PYI_JSON_OBJECT_BEGIN,
    PYI_JSON_OBJECT_END,
    PYI_JSON_ARRAY_BEGIN,
    PYI_JSON_ARRAY_END,
    PYI_JSON_KEY,    /* text */
    PYI_JSON_STRING, /* text */
    PYI_JSON_NUMBER, /* number */
    PYI_JSON_TRUE,
    PYI_JSON_FALSE,
    PYI_JSON_NULL,
};

struct pyi_json_reader;

/* Reads from `fd`, which stays the caller's. `name` appears in messages. */
int pyi_json_reader_open(int fd, const char *name, struct pyi_json_reader **out,
                         struct pyi_error *err) PYI_MUST_CHECK;
int pyi_json_reader_open_memory(const void *bytes, size_t length, const char *name,
                                struct pyi_json_reader **out, struct pyi_error *err) PYI_MUST_CHECK;
/* `length` bytes of memory first, then `fd` from where it stands. */
int pyi_json_reader_open_behind(const void *bytes, size_t length, int fd, const char *name,
                                struct pyi_json_reader **out, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_json_reader_close(struct pyi_json_reader *reader);

/* Next token. Errors: FORMAT with byte offset, OS, NOMEM, LIMIT (nesting deeper than 10,000 or
 * a string longer than 1 GiB). */
int pyi_json_next(struct pyi_json_reader *reader, enum pyi_json_token *token,
                  struct pyi_error *err) PYI_MUST_CHECK;
/* Of the current token; borrowed until the next call. */
struct pyi_text pyi_json_text(const struct pyi_json_reader *reader);
struct pyi_number pyi_json_number(const struct pyi_json_reader *reader);
/* Skips the rest of the value that `token` began (nothing for scalars); after a key its value. */
int pyi_json_skip(struct pyi_json_reader *reader, enum pyi_json_token token,
                  struct pyi_error *err) PYI_MUST_CHECK;
/* Number of containers that are open. */
size_t pyi_json_depth(const struct pyi_json_reader *reader);
/* Skips until no more than `depth` containers are open. */
int pyi_json_leave(struct pyi_json_reader *reader, size_t depth,
                   struct pyi_error *err) PYI_MUST_CHECK;
/* Byte offset of the current token; after a FORMAT error where the input stops being JSON. */
uint64_t pyi_json_offset(const struct pyi_json_reader *reader);

/* ---- for readers of millions of strings ---- */

/* While lazy, strings are checked but not decoded: pyi_json_text() has nothing for them and
 * pyi_json_raw() is what stands between the quotes. */
void pyi_json_set_lazy(struct pyi_json_reader *reader, bool lazy);
/* Between the quotes of the current string; not NUL-terminated, borrowed until the next call. */
struct pyi_text pyi_json_raw(const struct pyi_json_reader *reader);
/* Blanks and separators between the token before and the current one; length SIZE_MAX when they
 * were too many to be kept. */
struct pyi_text pyi_json_lead(const struct pyi_json_reader *reader);
/* Appends what a raw string means. */
void pyi_json_decode(struct pyi_strbuf *buffer, struct pyi_text raw);
/* How many of `bytes` come next in the input. */
int pyi_json_match(struct pyi_json_reader *reader, const void *bytes, size_t length, size_t *out,
                   struct pyi_error *err) PYI_MUST_CHECK;
/* Directly after an array began and the match was made: leaves out `length` matching bytes. They
 * must end behind an element of an array that this reader has read with the same bytes. */
void pyi_json_jump(struct pyi_json_reader *reader, size_t length);

#endif
