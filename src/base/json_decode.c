/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json_decode.c - what the escapes of a JSON string mean.
 *
 * In: the bytes between the quotes, already checked by json_reader.c. Out: text in our encoding;
 * two escapes that are a surrogate pair become one character, as in Python.
 */
#include "src/base/json_reader.h"

static uint32_t hex_value(char byte)
{
    return (uint32_t)(byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10);
}

static uint32_t hex4(const char *at)
{
    return hex_value(at[0]) << 12 | hex_value(at[1]) << 8 | hex_value(at[2]) << 4 |
           hex_value(at[3]);
}

static char unescape(char letter)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found = strchr(from, letter);
    return found ? to[found - from] : letter;
}

/* At "\u": appends the character, of two escapes if they are a surrogate pair. */
static size_t decode_unit(struct pyi_strbuf *buffer, struct pyi_text raw, size_t at)
{
    uint32_t unit = hex4(raw.data + at + 2);
    bool high = unit >= 0xd800 && unit <= 0xdbff;
    if (high && raw.length - at >= 12 && raw.data[at + 6] == '\\' && raw.data[at + 7] == 'u') {
        uint32_t low = hex4(raw.data + at + 8);
        if (low >= 0xdc00 && low <= 0xdfff) {
            pyi_strbuf_code_point(buffer, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return 12;
        }
    }
    pyi_strbuf_code_point(buffer, unit);
    return 6;
}

void pyi_json_decode(struct pyi_strbuf *buffer, struct pyi_text raw)
{
    size_t at = 0;
    while (at < raw.length) {
        const char *slash = memchr(raw.data + at, '\\', raw.length - at);
        size_t run = slash ? (size_t)(slash - raw.data) - at : raw.length - at;
        pyi_strbuf_append(buffer, raw.data + at, run);
        at += run;
        if (at == raw.length)
            return;
        if (raw.data[at + 1] == 'u') {
            at += decode_unit(buffer, raw, at);
        } else {
            pyi_strbuf_char(buffer, unescape(raw.data[at + 1]));
            at += 2;
        }
    }
}
