/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heading.c - the heading of a text report in short mode.
 *
 * The original takes it from an indented template and removes the margin that all lines have in
 * common. Where the description has several lines, that margin is smaller or larger than the
 * template's, and the same bytes come out only by the same rule. Knows nothing of terminals.
 */
#include "src/render/heading.h"

#include <string.h>

#define BRIEF_INDENT 20 /* of the original's template, whose common margin it takes away */

/* Takes the first line off; false when it was the last. */
static bool next_line(struct pyi_text *rest, struct pyi_text *line)
{
    const char *end = rest->length ? memchr(rest->data, '\n', rest->length) : NULL;
    *line = (struct pyi_text){rest->data, end ? (size_t)(end - rest->data) : rest->length};
    size_t used = line->length + (end ? 1 : 0);
    rest->data += used;
    rest->length -= used;
    return end != NULL;
}

static size_t count_leading(struct pyi_text line, const char *characters)
{
    size_t count = 0;
    while (count < line.length && line.data[count] && strchr(characters, line.data[count]))
        count++;
    return count;
}

static bool is_blank(struct pyi_text line)
{
    return count_leading(line, " \t\r\v\f") == line.length;
}

/* Blanks that all lines of the template begin with, once the description stands in it. */
static size_t common_margin(struct pyi_text description)
{
    size_t margin = BRIEF_INDENT;
    struct pyi_text line;
    bool more = next_line(&description, &line);
    while (more) {
        more = next_line(&description, &line);
        size_t blanks = count_leading(line, " ");
        if (!is_blank(line) && blanks < margin)
            margin = blanks;
    }
    return margin;
}

void pyi_heading_brief(struct pyi_text description, struct pyi_strbuf *out)
{
    static const char dots[] = "........................................";
    const size_t margin = common_margin(description);
    const int indent = (int)(BRIEF_INDENT - margin);
    pyi_strbuf_format(out, "\n%*spyinstrument %s\n%*s.\n%*s.  ", indent, "", dots, indent, "",
                      indent, "");
    struct pyi_text line;
    bool more = next_line(&description, &line);
    pyi_strbuf_text(out, line);
    while (more) {
        more = next_line(&description, &line);
        pyi_strbuf_char(out, '\n');
        if (!is_blank(line))
            pyi_strbuf_text(out, (struct pyi_text){line.data + margin, line.length - margin});
    }
    pyi_strbuf_format(out, "\n%*s.\n", indent, "");
}
