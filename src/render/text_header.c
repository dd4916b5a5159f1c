/* SPDX-License-Identifier: BSD-3-Clause */
/* text_header.c - what stands above a text report: upstream's drawn letters, the short mode's dots,
 * our compact lines; and how names of the target are written.
 *
 * In: a session. Out: lines. Knows nothing of trees. */
#include "src/render/text.h"

#include "src/base/error.h"
#include "src/base/number.h"
#include "src/render/options.h"
#include <pyinstrument.h>

/* ---- characters ---- */

static bool needs_care(struct pyi_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == 0x7f || byte == 0xc2 || byte == 0xed)
            return true;
    }
    return false;
}

/* A name of the target: controls visible, undecodable bytes of file names as they were, other
 * lone surrogates, which no encoding has, as '?'. */
void pyi_text_put_name(struct pyi_output *output, struct pyi_text text, bool keep_newlines,
                       bool strict)
{
    if (strict) {
        PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf safe = {0};
        pyi_strbuf_safe(&safe, text, PYI_TEXT_STRICT);
        pyi_output_text(output, pyi_strbuf_get(&safe));
        if (safe.failed && !output->code)
            output->code = pyi_error_nomem(&output->error);
        return;
    }
    if (!needs_care(text)) {
        pyi_output_text(output, text);
        return;
    }
    for (size_t offset = 0; offset < text.length;) {
        size_t start = offset;
        uint32_t c = pyi_text_next(text, &offset);
        bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
        if (control && !(c == '\n' && keep_newlines))
            pyi_output_format(output, "\\x%02x", c);
        else if (c >= 0xdc80 && c <= 0xdcff)
            pyi_output_char(output, (char)(c - 0xdc00));
        else if (c >= 0xd800 && c <= 0xdfff)
            pyi_output_char(output, '?');
        else
            pyi_output_bytes(output, text.data + start, offset - start);
    }
}

/* ---- header ---- */

static void put_padded(struct pyi_output *output, const char *text, size_t width)
{
    pyi_output_string(output, text);
    for (size_t length = strlen(text); length < width; length++)
        pyi_output_char(output, ' ');
}

static void put_fixed(struct pyi_output *output, const struct pyi_session *session,
                      enum pyi_session_number which, size_t width)
{
    char digits[340];
    pyi_number_fixed(pyi_session_number(session, which).value, 3, digits);
    put_padded(output, digits, width);
}

void pyi_text_header(struct pyi_output *output, const struct pyi_session *session)
{
    struct pyi_number samples = pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT);
    char start[32], count[PYI_NUMBER_SIZE];
    pyi_render_start_time(session, "%H:%M:%S", start, sizeof(start));
    if (samples.is_integer)
        pyi_number_json(samples, count);
    else
        pyi_number_repr(samples.value, count);
    pyi_output_string(output, "\n  _     ._   __/__   _ _  _  _ _/_   Recorded: ");
    put_padded(output, start, 9);
    pyi_output_format(output, " Samples:  %s\n", count);
    pyi_output_string(output, " /_//_/// /_\\ / //_// / //_'/ //     Duration: ");
    put_fixed(output, session, PYI_SESSION_DURATION, 9);
    pyi_output_string(output, " CPU time: ");
    put_fixed(output, session, PYI_SESSION_CPU_TIME, 0);
    pyi_output_format(output, "\n/   _/        %20s\n\n", "v" PYI_VERSION);
    pyi_text_put_name(output, pyi_session_target_description(session), true, false);
    pyi_output_string(output, "\n\n");
}

/* Which processes were recorded, as far as the session says. */
static void put_processes(struct pyi_output *output, const struct pyi_session *session)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    if (!attach || !attach->process_count)
        return;
    if (attach->process_count > 1) {
        pyi_output_format(output, "   %zu processes", attach->process_count);
        return;
    }
    pyi_output_string(output, "   Python ");
    pyi_text_put_name(output, attach->processes[0].python, false, true);
    pyi_output_format(output, ", pid %lld", (long long)attach->processes[0].pid);
}

static void put_states(struct pyi_output *output, const double states[4])
{
    static const char *const labels[] = {[PYI_STATE_RUNNING] = "on CPU",
                                         [PYI_STATE_WAITING] = "  waiting",
                                         [PYI_STATE_GIL_WAIT] = "  GIL wait"};
    double known =
        states[PYI_STATE_RUNNING] + states[PYI_STATE_WAITING] + states[PYI_STATE_GIL_WAIT];
    if (!(known > 0))
        return;
    for (int i = PYI_STATE_RUNNING; i <= PYI_STATE_GIL_WAIT; i++)
        pyi_output_format(output, "%s %.0f %%", labels[i], 100 * states[i] / known);
    pyi_output_char(output, '\n');
}

enum { COMPACT_WIDTH = 72 };

/* What was it, how long, how much of it on a processor. */
void pyi_text_compact_header(struct pyi_output *output, const struct pyi_session *session,
                             const double states[4])
{
    struct pyi_text description = pyi_session_target_description(session);
    double duration = pyi_session_number(session, PYI_SESSION_DURATION).value;
    double cpu = pyi_session_number(session, PYI_SESSION_CPU_TIME).value;
    double interval = pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value;
    char start[32], time[32];
    pyi_render_start_time(session, "%H:%M:%S", start, sizeof(start));
    pyi_text_put_name(output, description, false, true);
    size_t used = pyi_text_columns(description) + strlen(start);
    pyi_output_format(output, "%*s%s\n", used + 2 < COMPACT_WIDTH ? (int)(COMPACT_WIDTH - used) : 2,
                      "", start);
    put_fixed(output, session, PYI_SESSION_DURATION, 0);
    pyi_output_format(output, " s   %.0f samples at %s   CPU ",
                      pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).value,
                      pyi_number_seconds(interval, time));
    put_fixed(output, session, PYI_SESSION_CPU_TIME, 0);
    pyi_output_string(output, " s");
    if (duration > 0)
        pyi_output_format(output, " (%.0f %%)", 100 * cpu / duration);
    put_processes(output, session);
    pyi_output_char(output, '\n');
    put_states(output, states);
    pyi_output_char(output, '\n');
}

void pyi_text_dots(struct pyi_output *output, int count)
{
    while (count--)
        pyi_output_char(output, '.');
}

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

void pyi_text_brief_header(struct pyi_output *output, const struct pyi_session *session)
{
    struct pyi_text rest = pyi_session_target_description(session);
    const size_t margin = common_margin(rest), indent = BRIEF_INDENT - margin;
    pyi_output_format(output, "\n%*spyinstrument ", (int)indent, "");
    pyi_text_dots(output, 40);
    pyi_output_format(output, "\n%*s.\n%*s.  ", (int)indent, "", (int)indent, "");
    struct pyi_text line;
    bool more = next_line(&rest, &line);
    pyi_text_put_name(output, line, false, false);
    while (more) {
        more = next_line(&rest, &line);
        pyi_output_char(output, '\n');
        if (!is_blank(line))
            pyi_text_put_name(output, (struct pyi_text){line.data + margin, line.length - margin},
                              false, false);
    }
    pyi_output_format(output, "\n%*s.\n", (int)indent, "");
}
