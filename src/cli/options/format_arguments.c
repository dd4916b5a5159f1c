/* SPDX-License-Identifier: BSD-3-Clause */
/* Python's str.format() for a template whose only field is the text `args`.
 *
 * Understood: {{ }}, {args}, !r !s !a, fill, alignment, width, precision, a single index. Not
 * understood: fields inside a format specification. Pure text in, text out. */
#include "src/cli/options/format_arguments.h"
#include "src/base/error.h"

#include <string.h>

enum { WIDEST = 10000 };

/* A replacement field taken apart; the parts point into the template. */
struct field {
    struct pyi_text name, spec;
    char conversion; /* 0 none */
};

static int bad(struct pyi_error *err, const char *what)
{
    pyi_error_set(err, PYI_E_INVALID, "--target-description: %s", what);
    pyi_error_slug(err, "description-bad");
    return PYI_E_INVALID;
}

static int bad_name(struct pyi_error *err, struct pyi_text name)
{
    char safe[120];
    if (name.length == 0 || strspn(name.data, "0123456789") >= name.length)
        pyi_error_set(err, PYI_E_INVALID,
                      "Empty placeholder in --target-description; use {args} for the arguments, "
                      "{{ and }} for braces");
    else
        pyi_error_set(err, PYI_E_INVALID,
                      "Unknown placeholder '%s' in --target-description; the only one is {args}",
                      pyi_text_safe(name, safe, sizeof(safe)));
    pyi_error_slug(err, "usage");
    return PYI_E_INVALID;
}

/* ---- conversions ----------------------------------------------------------------------------- */

/* What repr() escapes beyond ASCII controls: separators, format characters, surrogates, private
 * use and what is no character at all. The tail of assigned planes counts as printable. */
static bool printable(uint32_t c)
{
    static const uint32_t hidden[][2] = {
        {0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},     {0x378, 0x379},      {0x600, 0x605},
        {0x61c, 0x61c},   {0x6dd, 0x6dd},   {0x1680, 0x1680}, {0x180e, 0x180e},    {0x2000, 0x200f},
        {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff},    {0xfdd0, 0xfdef},
        {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        if (c >= hidden[i][0] && c <= hidden[i][1])
            return false;
    }
    return true;
}

static void repr_character(struct pyi_strbuf *out, uint32_t c, char quote, bool ascii)
{
    if (c == (uint32_t)quote || c == '\\')
        pyi_strbuf_format(out, "\\%c", (char)c);
    else if (c == '\n')
        pyi_strbuf_string(out, "\\n");
    else if (c == '\r')
        pyi_strbuf_string(out, "\\r");
    else if (c == '\t')
        pyi_strbuf_string(out, "\\t");
    else if (printable(c) && (c < 0x80 || !ascii))
        pyi_strbuf_code_point(out, c);
    else if (c < 0x100)
        pyi_strbuf_format(out, "\\x%02x", c);
    else if (c < 0x10000)
        pyi_strbuf_format(out, "\\u%04x", c);
    else
        pyi_strbuf_format(out, "\\U%08x", c);
}

static void repr(struct pyi_strbuf *out, struct pyi_text text, bool ascii)
{
    char quote = '\'';
    if (memchr(text.data, '\'', text.length) && !memchr(text.data, '"', text.length))
        quote = '"';
    pyi_strbuf_char(out, quote);
    for (size_t at = 0; at < text.length;)
        repr_character(out, pyi_text_next(text, &at), quote, ascii);
    pyi_strbuf_char(out, quote);
}

/* ---- format specification -------------------------------------------------------------------- */

struct layout {
    uint32_t fill;
    char align;
    long width, precision; /* -1: none */
};

static int number(struct pyi_text spec, size_t *at, long *out, struct pyi_error *err)
{
    if (*at >= spec.length || spec.data[*at] < '0' || spec.data[*at] > '9')
        return PYI_OK;
    *out = 0;
    for (; *at < spec.length && spec.data[*at] >= '0' && spec.data[*at] <= '9'; (*at)++) {
        *out = *out * 10 + (spec.data[*at] - '0');
        if (*out > WIDEST)
            return bad(err, "too wide");
    }
    return PYI_OK;
}

static bool is_align(char c)
{
    return c == '<' || c == '>' || c == '^';
}

static int read_layout(struct pyi_text spec, struct layout *out, struct pyi_error *err)
{
    *out = (struct layout){.fill = ' ', .align = '<', .width = -1, .precision = -1};
    size_t at = 0, second = 0;
    uint32_t first = spec.length > 0 ? pyi_text_next(spec, &second) : 0;
    if (second > 0 && second < spec.length && is_align(spec.data[second])) {
        out->fill = first;
        out->align = spec.data[second];
        at = second + 1;
    } else if (spec.length > 0 && is_align(spec.data[0])) {
        out->align = spec.data[0];
        at = 1;
    }
    if (at == 0 && spec.length > 0 && spec.data[0] == '0') {
        out->fill = '0';
        at = 1;
    }
    int code = number(spec, &at, &out->width, err);
    if (code)
        return code;
    if (at < spec.length && spec.data[at] == '.') {
        at++;
        code = number(spec, &at, &out->precision, err);
        if (code)
            return code;
        if (out->precision < 0)
            return bad(err, "format specifier missing precision");
    }
    if (at < spec.length && spec.data[at] == 's')
        at++;
    return at == spec.length ? PYI_OK : bad(err, "invalid format specifier");
}

static long characters(struct pyi_text text)
{
    long count = 0;
    for (size_t at = 0; at < text.length; count++)
        pyi_text_next(text, &at);
    return count;
}

static void fill(struct pyi_strbuf *out, uint32_t c, long count)
{
    for (; count > 0; count--)
        pyi_strbuf_code_point(out, c);
}

static int lay_out(struct pyi_text text, struct pyi_text spec, struct pyi_strbuf *out,
                   struct pyi_error *err)
{
    struct layout layout;
    int code = read_layout(spec, &layout, err);
    if (code)
        return code;
    if (layout.precision >= 0) {
        size_t end = 0;
        for (long i = 0; i < layout.precision && end < text.length; i++)
            pyi_text_next(text, &end);
        text.length = end;
    }
    long room = layout.width - characters(text);
    long before = room <= 0 || layout.align == '<' ? 0 : layout.align == '>' ? room : room / 2;
    fill(out, layout.fill, before);
    pyi_strbuf_text(out, text);
    fill(out, layout.fill, room - before);
    return PYI_OK;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* Takes apart what follows "{"; `*at` ends behind the closing brace. */
static int read_field(struct pyi_text template, size_t *at, struct field *out,
                      struct pyi_error *err)
{
    const char *start = template.data + *at, *end = template.data + template.length;
    const char *close = memchr(start, '}', (size_t)(end - start));
    const char *open = memchr(start, '{', (size_t)(end - start));
    if (!close)
        return bad(err, start == end ? "single '{'" : "expected '}' before the end");
    if (open && open < close)
        return bad(err, "'{' inside a placeholder is not supported");
    const char *colon = memchr(start, ':', (size_t)(close - start));
    const char *name_end = colon ? colon : close;
    const char *mark = memchr(start, '!', (size_t)(name_end - start));
    *out = (struct field){.name = {start, (size_t)((mark ? mark : name_end) - start)},
                          .spec = {name_end, 0}};
    if (colon)
        out->spec = (struct pyi_text){colon + 1, (size_t)(close - colon - 1)};
    if (mark) {
        if (name_end - mark != 2 || !strchr("rsa", mark[1]))
            return bad(err, "the conversion after '!' must be r, s or a");
        out->conversion = mark[1];
    }
    *at = (size_t)(close - template.data) + 1;
    return PYI_OK;
}

/* "[3]" behind the name picks one character. */
static int pick(struct pyi_text index, struct pyi_text *text, struct pyi_error *err)
{
    size_t at = 1;
    long wanted = -1;
    int code = number(index, &at, &wanted, err);
    if (code)
        return code;
    if (wanted < 0 || at + 1 != index.length || index.data[at] != ']')
        return bad(err, "string indices must be integers");
    size_t begin = 0, end = 0;
    for (long i = 0; i <= wanted; i++) {
        if (end >= text->length)
            return bad(err, "string index out of range");
        begin = end;
        pyi_text_next(*text, &end);
    }
    *text = (struct pyi_text){text->data + begin, end - begin};
    return PYI_OK;
}

static int write_field(const struct field *field, struct pyi_text args, struct pyi_strbuf *out,
                       struct pyi_error *err)
{
    size_t plain = 0;
    while (plain < field->name.length && field->name.data[plain] != '.' &&
           field->name.data[plain] != '[')
        plain++;
    struct pyi_text first = {field->name.data, plain};
    struct pyi_text rest = {field->name.data + plain, field->name.length - plain};
    if (!pyi_text_equal(first, pyi_text("args")))
        return bad_name(err, first);
    if (rest.length > 0 && rest.data[0] == '.')
        return bad(err, "the arguments are a text and have no attributes");
    int code = rest.length > 0 ? pick(rest, &args, err) : PYI_OK;
    if (code)
        return code;
    struct pyi_strbuf converted = {0};
    if (field->conversion == 'r' || field->conversion == 'a') {
        repr(&converted, args, field->conversion == 'a');
        args = pyi_strbuf_get(&converted);
    }
    code = lay_out(args, field->spec, out, err);
    if (!code && converted.failed)
        code = pyi_error_nomem(err);
    pyi_strbuf_deinit(&converted);
    return code;
}

int pyi_format_arguments(struct pyi_text template, struct pyi_text args, struct pyi_strbuf *out,
                         struct pyi_error *err)
{
    for (size_t at = 0; at < template.length;) {
        char c = template.data[at++];
        bool twice = at < template.length && template.data[at] == c;
        if ((c == '{' || c == '}') && twice) {
            pyi_strbuf_char(out, c);
            at++;
        } else if (c == '}') {
            return bad(err, "single '}'");
        } else if (c == '{') {
            struct field field;
            int code = read_field(template, &at, &field, err);
            if (!code)
                code = write_field(&field, args, out, err);
            if (code)
                return code;
        } else {
            pyi_strbuf_char(out, c);
        }
    }
    return out->failed ? pyi_error_nomem(err) : PYI_OK;
}
