/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json_writer.c - strings and numbers with the spelling of Python's json module.
 *
 * In: text in our encoding. Out: JSON through a pyi_output; failures are kept there. Structure
 * (commas, brackets) is written by the caller.
 */
#include "src/base/json_writer.h"

#include "src/base/number.h"

static const char hex[] = "0123456789abcdef";

static void write_unit(struct pyi_output *output, uint32_t unit)
{
    char escape[6] = {
        '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    pyi_output_bytes(output, escape, sizeof(escape));
}

/* The short escape of a character, 0 if it has none. */
static char short_escape(uint32_t code_point)
{
    switch (code_point) {
    case '"':
    case '\\':
        return (char)code_point;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\f':
        return 'f';
    case '\b':
        return 'b';
    default:
        return 0;
    }
}

static void write_escaped(struct pyi_output *output, uint32_t code_point)
{
    char letter = short_escape(code_point);
    if (letter) {
        char escape[2] = {'\\', letter};
        pyi_output_bytes(output, escape, sizeof(escape));
    } else if (code_point > 0xffff) {
        write_unit(output, 0xd800 + ((code_point - 0x10000) >> 10));
        write_unit(output, 0xdc00 + ((code_point - 0x10000) & 0x3ff));
    } else {
        write_unit(output, code_point);
    }
}

static size_t plain_run(struct pyi_text text, size_t at, bool ascii)
{
    size_t begin = at;
    for (; at < text.length; at++) {
        unsigned char byte = (unsigned char)text.data[at];
        if (byte < 0x20 || byte == '"' || byte == '\\' || (ascii && byte == 0x7f) || byte >= 0x80)
            break;
    }
    return at - begin;
}

void pyi_json_write_ascii(struct pyi_output *output, struct pyi_text text)
{
    pyi_output_char(output, '"');
    for (size_t at = 0; at < text.length;) {
        size_t run = plain_run(text, at, true);
        pyi_output_bytes(output, text.data + at, run);
        at += run;
        if (at < text.length)
            write_escaped(output, pyi_text_next(text, &at));
    }
    pyi_output_char(output, '"');
}

void pyi_json_write_raw(struct pyi_output *output, struct pyi_text text)
{
    pyi_output_char(output, '"');
    for (size_t at = 0; at < text.length;) {
        size_t run = plain_run(text, at, false);
        pyi_output_bytes(output, text.data + at, run);
        at += run;
        if (at == text.length)
            break;
        size_t begin = at;
        uint32_t code_point = pyi_text_next(text, &at);
        if (code_point >= 0xdc80 && code_point <= 0xdcff)
            pyi_output_char(output, (char)(code_point - 0xdc00));
        else if (code_point < 0x80 || (code_point >= 0xd800 && code_point <= 0xdfff))
            write_escaped(output, code_point); /* other surrogates have no bytes to stand for */
        else
            pyi_output_bytes(output, text.data + begin, at - begin);
    }
    pyi_output_char(output, '"');
}

void pyi_json_write_number(struct pyi_output *output, struct pyi_number number)
{
    char text[PYI_NUMBER_SIZE];
    pyi_output_bytes(output, text, pyi_number_json(number, text));
}

void pyi_json_write_fixed(struct pyi_output *output, double value)
{
    char text[340];
    pyi_output_bytes(output, text, pyi_number_fixed(value, 6, text));
}
