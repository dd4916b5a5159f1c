/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text.c - strings: building, comparing, decoding, and making hostile ones safe to print.
 *
 * Everything is bytes in our encoding (UTF-8 plus lone surrogates as three bytes); nothing
 * depends on the locale. Malformed bytes are never an error: they count as U+DC00 + byte.
 */
#include "src/base/text.h"

#include "src/base/array.h"
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

bool pyi_text_starts_with(struct pyi_text text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

bool pyi_text_contains(struct pyi_text text, const char *part)
{
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

bool pyi_text_part(struct pyi_text text, char separator, size_t index, struct pyi_text *part)
{
    const char *at = text.data;
    const char *end = text.data + text.length;
    for (;;) {
        const char *stop = memchr(at, separator, (size_t)(end - at));
        if (index == 0) {
            *part = (struct pyi_text){at, (size_t)((stop ? stop : end) - at)};
            return true;
        }
        if (!stop)
            return false;
        at = stop + 1;
        index--;
    }
}

/* ---- growing strings ----------------------------------------------------------------------- */

/* Room for `more` bytes and the NUL. */
static bool make_room(struct pyi_strbuf *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (more >= SIZE_MAX / 2 - buffer->length ||
        !pyi_array_reserve(&buffer->data, &buffer->capacity, buffer->length + more + 1, 1)) {
        buffer->failed = true;
        return false;
    }
    return true;
}

void pyi_strbuf_append(struct pyi_strbuf *buffer, const void *bytes, size_t length)
{
    if (!make_room(buffer, length))
        return;
    if (length)
        memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void pyi_strbuf_text(struct pyi_strbuf *buffer, struct pyi_text text)
{
    pyi_strbuf_append(buffer, text.data, text.length);
}

void pyi_strbuf_string(struct pyi_strbuf *buffer, const char *nul_terminated)
{
    pyi_strbuf_append(buffer, nul_terminated, strlen(nul_terminated));
}

void pyi_strbuf_char(struct pyi_strbuf *buffer, char byte)
{
    pyi_strbuf_append(buffer, &byte, 1);
}

void pyi_strbuf_vformat(struct pyi_strbuf *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        buffer->failed = true;
    else if (make_room(buffer, (size_t)length)) {
        vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
}

void pyi_strbuf_format(struct pyi_strbuf *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pyi_strbuf_vformat(buffer, format, arguments);
    va_end(arguments);
}

static size_t encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xc0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point > 0x10ffff)
        code_point = 0xfffd;
    if (code_point < 0x10000) {
        out[0] = (char)(0xe0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

void pyi_strbuf_code_point(struct pyi_strbuf *buffer, uint32_t code_point)
{
    char bytes[4];
    pyi_strbuf_append(buffer, bytes, encode(code_point, bytes));
}

void pyi_strbuf_reset(struct pyi_strbuf *buffer)
{
    buffer->length = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

void pyi_strbuf_deinit(struct pyi_strbuf *buffer)
{
    free(buffer->data);
    *buffer = (struct pyi_strbuf){0};
}

struct pyi_text pyi_strbuf_get(const struct pyi_strbuf *buffer)
{
    return (struct pyi_text){buffer->data ? buffer->data : "", buffer->length};
}

char *pyi_strbuf_detach(struct pyi_strbuf *buffer)
{
    if (!buffer->data)
        make_room(buffer, 0);
    char *data = NULL;
    if (!buffer->failed) {
        data = buffer->data;
        data[buffer->length] = '\0';
        buffer->data = NULL;
    }
    pyi_strbuf_deinit(buffer);
    return data;
}

void pyi_strbuf_units(struct pyi_strbuf *buffer, const void *units, size_t count, int width)
{
    const unsigned char *at = units;
    for (size_t i = 0; i < count && !buffer->failed; i++, at += width) {
        uint32_t code_point = at[0];
        if (width >= 2)
            code_point |= (uint32_t)at[1] << 8;
        if (width == 4)
            code_point |= (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        pyi_strbuf_code_point(buffer, code_point);
    }
}

/* ---- decoding ------------------------------------------------------------------------------ */

/* Length of the well-formed sequence at `at`, 0 if malformed. `surrogates`: accept U+D800..DFFF. */
static size_t sequence(const unsigned char *at, size_t left, bool surrogates, uint32_t *code_point)
{
    unsigned char first = at[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < length)
        return 0;
    uint32_t value = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < smallest[length] || value > 0x10ffff)
        return 0;
    if (!surrogates && value >= 0xd800 && value <= 0xdfff)
        return 0;
    *code_point = value;
    return length;
}

uint32_t pyi_text_next(struct pyi_text text, size_t *offset)
{
    const unsigned char *at = (const unsigned char *)text.data + *offset;
    uint32_t code_point;
    size_t length = sequence(at, text.length - *offset, true, &code_point);
    if (!length) {
        *offset += 1;
        return 0xdc00u + at[0];
    }
    *offset += length;
    return code_point;
}

size_t pyi_text_utf8_length(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    size_t good = 0;
    while (good < length) {
        uint32_t code_point;
        size_t step = sequence(at + good, length - good, false, &code_point);
        if (!step)
            break;
        good += step;
    }
    return good;
}

void pyi_strbuf_os_bytes(struct pyi_strbuf *buffer, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length) {
        size_t good = pyi_text_utf8_length(at, length);
        pyi_strbuf_append(buffer, at, good);
        at += good;
        length -= good;
        if (!length)
            break;
        pyi_strbuf_code_point(buffer, 0xdc00u + (unsigned char)*at);
        at++;
        length--;
    }
}

/* ---- hostile names ------------------------------------------------------------------------- */

struct range {
    uint32_t first, last;
};

/* Characters that print nothing, reorder their neighbours or end a line: Unicode's Cf, Zl, Zp
 * and the noncharacter-like specials that terminals treat in surprising ways. Sorted. */
static const struct range invisible[] = {
    {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x0600, 0x0605},   {0x061c, 0x061c},   {0x06dd, 0x06dd},
    {0x070f, 0x070f}, {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
    {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_invisible(uint32_t code_point)
{
    if (code_point < invisible[0].first)
        return false;
    for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++) {
        if (code_point <= invisible[i].last)
            return code_point >= invisible[i].first;
    }
    return false;
}

/* Spelling of one code point for a terminal; returns its length, at most 10. */
static size_t spell(uint32_t code_point, enum pyi_text_safety safety, char out[11])
{
    bool control = code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f);
    if (control)
        return (size_t)snprintf(out, 11, "\\x%02x", (unsigned)code_point);
    if (code_point >= 0xdc80 && code_point <= 0xdcff)
        return (size_t)snprintf(out, 11, "\\x%02x", (unsigned)code_point - 0xdc00);
    bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (surrogate || (safety == PYI_TEXT_STRICT && is_invisible(code_point)))
        return (size_t)snprintf(out, 11, code_point > 0xffff ? "\\U%08x" : "\\u%04x",
                                (unsigned)code_point);
    return encode(code_point, out);
}

void pyi_strbuf_safe(struct pyi_strbuf *buffer, struct pyi_text text, enum pyi_text_safety safety)
{
    size_t offset = 0;
    while (offset < text.length && !buffer->failed) {
        size_t plain = offset;
        while (plain < text.length && text.data[plain] >= 0x20 && text.data[plain] < 0x7f)
            plain++;
        pyi_strbuf_append(buffer, text.data + offset, plain - offset);
        offset = plain;
        if (offset == text.length)
            break;
        char spelled[11];
        size_t length = spell(pyi_text_next(text, &offset), safety, spelled);
        pyi_strbuf_append(buffer, spelled, length);
    }
}

char *pyi_text_safe(struct pyi_text text, char *out, size_t size)
{
    if (!size)
        return out;
    /* `cut` is the last end of a code point after which "..." still fits. */
    size_t used = 0, cut = 0;
    for (size_t offset = 0; offset < text.length;) {
        char spelled[11];
        size_t length = spell(pyi_text_next(text, &offset), PYI_TEXT_STRICT, spelled);
        if (length >= size - used) {
            used = cut;
            size_t dots = size - 1 - used < 3 ? size - 1 - used : 3;
            memcpy(out + used, "...", dots);
            used += dots;
            break;
        }
        memcpy(out + used, spelled, length);
        used += length;
        if (size > 3 && used <= size - 4)
            cut = used;
    }
    out[used] = '\0';
    return out;
}

static bool needs_no_quotes(unsigned char byte)
{
    return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (byte && strchr("@%+=:,./-_", byte));
}

void pyi_strbuf_shell_quote(struct pyi_strbuf *buffer, struct pyi_text word)
{
    if (buffer->length && buffer->data[buffer->length - 1] != ' ')
        pyi_strbuf_char(buffer, ' ');
    size_t plain = 0;
    while (plain < word.length && needs_no_quotes((unsigned char)word.data[plain]))
        plain++;
    if (word.length && plain == word.length) {
        pyi_strbuf_text(buffer, word);
        return;
    }
    pyi_strbuf_char(buffer, '\'');
    for (size_t i = 0; i < word.length; i++) {
        if (word.data[i] == '\'')
            pyi_strbuf_string(buffer, "'\"'\"'");
        else
            pyi_strbuf_char(buffer, word.data[i]);
    }
    pyi_strbuf_char(buffer, '\'');
}

static size_t columns_of(uint32_t code_point)
{
    int width = wcwidth((wchar_t)code_point);
    return width < 0 ? 1 : (size_t)width;
}

size_t pyi_text_columns(struct pyi_text text)
{
    size_t columns = 0;
    for (size_t offset = 0; offset < text.length;)
        columns += columns_of(pyi_text_next(text, &offset));
    return columns;
}

struct pyi_text pyi_text_tail(struct pyi_text text, size_t columns)
{
    size_t all = pyi_text_columns(text), offset = 0;
    while (all > columns && offset < text.length)
        all -= columns_of(pyi_text_next(text, &offset));
    return (struct pyi_text){text.data + offset, text.length - offset};
}

void pyi_strbuf_address_path(struct pyi_strbuf *buffer, struct pyi_text path)
{
    for (size_t offset = 0; offset < path.length;) {
        size_t start = offset;
        uint32_t c = pyi_text_next(path, &offset);
        /* An undecodable byte of a file name is that byte. */
        if (c >= 0xdc80 && c <= 0xdcff) {
            pyi_strbuf_format(buffer, "%%%02X", c - 0xdc00);
            continue;
        }
        for (; start < offset; start++) {
            unsigned char byte = (unsigned char)path.data[start];
            if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                (byte >= 'A' && byte <= 'Z') || (byte && strchr("/-_.~", byte)))
                pyi_strbuf_char(buffer, (char)byte);
            else
                pyi_strbuf_format(buffer, "%%%02X", byte);
        }
    }
}
