/* SPDX-License-Identifier: BSD-3-Clause */
/* match.h - patterns in Python's syntax, matched as Python's `re` does.
 *
 * Known differences from Python (3.14), each covered by a test:
 *   - \N{NAME} and the flag a (ASCII classes) are refused;
 *   - \w, \d, \s and case folding follow PCRE2's Unicode tables; \s lacks U+001C..U+001F;
 *   - group names are ASCII and at most 32 characters, groups nest at most 250 deep, counted
 *     repeats go to 65,535, and the compiled pattern is bounded;
 *   - a reference to a group that is still open is not an error;
 *   - a match that takes too many steps ends with an error instead of hanging. */
#ifndef PYI_TREE_MATCH_H
#define PYI_TREE_MATCH_H

#include "src/base/text.h"
#include <pyinstrument/error.h>

struct pyi_pattern;

/* Errors: FORMAT (does not compile; Python's reason and position), LIMIT (longer than 64 KiB),
 * NOMEM. */
int pyi_pattern_new(struct pyi_text pattern, struct pyi_pattern **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
void pyi_pattern_free(struct pyi_pattern *pattern); /* NULL is fine */

enum pyi_match_mode { PYI_MATCH_START, PYI_MATCH_ANYWHERE }; /* re.match, re.search */
/* Errors: LIMIT (too many steps), NOMEM. */
int pyi_pattern_match(struct pyi_pattern *pattern, struct pyi_text subject,
                      enum pyi_match_mode mode, bool *out, struct pyi_error *err) PYI_MUST_CHECK;

/* pattern.c: the pattern in PCRE2's syntax, without its extensions. */
int pyi_pattern_translate(struct pyi_text pattern, struct pyi_strbuf *out,
                          struct pyi_error *err) PYI_MUST_CHECK;
/* Lone surrogates have no UTF-8 form PCRE2 accepts: pattern and subject hold them as the last
 * private-use characters. */
static inline uint32_t pyi_pattern_character(uint32_t code_point)
{
    bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    return surrogate ? code_point - 0xd800 + 0x10f800 : code_point;
}

#endif
