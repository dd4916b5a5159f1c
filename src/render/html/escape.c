/* SPDX-License-Identifier: BSD-3-Clause */
/* escape.c - text and numbers as they may stand in a page.
 *
 * In: names that the profiled program chose. Out: JSON inside a script element, text between tags,
 * columns of numbers. Nothing here can end the element it is written into, whatever the names. */
#include "src/render/html/escape.h"

#include "src/base/number.h"
#include <math.h>

/* ---- JSON ---- */

/* Characters that stand for themselves in JSON and in HTML. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\' && byte != '<' &&
           byte != '>' && byte != '&';
}

static void put_code_point(struct pyi_output *output, struct pyi_text bytes, uint32_t code_point)
{
    if (code_point == '"' || code_point == '\\') {
        pyi_output_char(output, '\\');
        pyi_output_char(output, (char)code_point);
    } else if (code_point < 0x80 || code_point == 0x2028 || code_point == 0x2029) {
        pyi_output_format(output, "\\u%04x", (unsigned)code_point);
    } else if (code_point >= 0xd800 && code_point <= 0xdfff) {
        pyi_output_string(output, "\xef\xbf\xbd");
    } else {
        pyi_output_text(output, bytes);
    }
}

void pyi_html_json_text(struct pyi_output *output, struct pyi_text text)
{
    pyi_output_char(output, '"');
    for (size_t at = 0; at < text.length;) {
        size_t begin = at;
        while (at < text.length && is_plain((unsigned char)text.data[at]))
            at++;
        pyi_output_bytes(output, text.data + begin, at - begin);
        begin = at;
        if (at == text.length)
            break;
        uint32_t code_point = pyi_text_next(text, &at);
        put_code_point(output, (struct pyi_text){text.data + begin, at - begin}, code_point);
    }
    pyi_output_char(output, '"');
}

void pyi_html_json_number(struct pyi_output *output, double value)
{
    char digits[PYI_NUMBER_SIZE];
    if (!isfinite(value))
        value = 0;
    if (value == floor(value) && fabs(value) < 1e15) /* an integer needs no ".0" */
        pyi_output_format(output, "%lld", (long long)value);
    else
        pyi_output_bytes(output, digits, pyi_number_repr(value, digits));
}

/* ---- markup ---- */

static void put_markup(struct pyi_output *output, struct pyi_text line)
{
    for (size_t at = 0; at < line.length; at++) {
        const char byte = line.data[at];
        if (byte == '<')
            pyi_output_string(output, "&lt;");
        else if (byte == '>')
            pyi_output_string(output, "&gt;");
        else if (byte == '&')
            pyi_output_string(output, "&amp;");
        else if (byte == '"')
            pyi_output_string(output, "&quot;");
        else if (byte == '\'')
            pyi_output_string(output, "&#39;");
        else
            pyi_output_char(output, byte);
    }
}

void pyi_html_markup_text(struct pyi_output *output, struct pyi_text text)
{
    struct pyi_strbuf safe = {0};
    for (const char *at = text.data, *end = text.data + text.length; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        pyi_strbuf_reset(&safe);
        pyi_strbuf_safe(&safe, (struct pyi_text){at, (size_t)((stop ? stop : end) - at)},
                        PYI_TEXT_STRICT);
        put_markup(output, pyi_strbuf_get(&safe));
        if (stop)
            pyi_output_char(output, '\n');
        at = stop ? stop + 1 : end;
    }
    if (safe.failed && !output->code) {
        output->code = PYI_E_NOMEM;
        output->error = (struct pyi_error){.code = PYI_E_NOMEM, .message = "out of memory"};
    }
    pyi_strbuf_deinit(&safe);
}

/* ---- columns ---- */

size_t pyi_html_varint(unsigned char to[PYI_HTML_VARINT], uint64_t value)
{
    const uint64_t most = UINT64_C(1) << 53;
    size_t length = 0;
    if (value > most)
        value = most;
    for (; value >= 0x80; value >>= 7)
        to[length++] = (unsigned char)(value | 0x80);
    to[length++] = (unsigned char)value;
    return length;
}

void pyi_html_column_begin(struct pyi_html_column *column, struct pyi_output *output)
{
    *column = (struct pyi_html_column){.output = output};
    pyi_output_char(output, '"');
}

static void flush(struct pyi_html_column *column)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = column->bytes;
    char four[4] = {letters[b[0] >> 2], letters[(b[0] & 3) << 4 | b[1] >> 4],
                    letters[(b[1] & 15) << 2 | b[2] >> 6], letters[b[2] & 63]};
    if (column->count < 3)
        four[3] = '=';
    if (column->count < 2)
        four[2] = '=';
    pyi_output_bytes(column->output, four, sizeof(four));
    column->count = 0;
}

void pyi_html_column_bytes(struct pyi_html_column *column, struct pyi_text bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        column->bytes[column->count++] = (unsigned char)bytes.data[i];
        if (column->count == sizeof(column->bytes))
            flush(column);
    }
}

void pyi_html_column_put(struct pyi_html_column *column, uint64_t value)
{
    unsigned char bytes[PYI_HTML_VARINT];
    size_t length = pyi_html_varint(bytes, value);
    pyi_html_column_bytes(column, (struct pyi_text){(const char *)bytes, length});
}

void pyi_html_column_end(struct pyi_html_column *column)
{
    if (column->count) {
        for (size_t i = column->count; i < sizeof(column->bytes); i++)
            column->bytes[i] = 0;
        flush(column);
    }
    pyi_output_char(column->output, '"');
}
