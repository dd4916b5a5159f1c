/* SPDX-License-Identifier: BSD-3-Clause */
/* pattern.c - regular expressions from Python's syntax into PCRE2's.
 *
 * In: a pattern as Python 3.14's `re` reads it. Out: one that PCRE2 understands in the same way,
 * with everything refused that Python refuses and PCRE2 would take: verbs, recursion, \K, \Q,
 * POSIX classes. Literals are always written escaped, so nothing of the input reaches PCRE2
 * uninspected. Verbose mode is resolved here. */
#include "src/tree/match.h"

#include "src/base/error.h"

struct translator {
    struct pyi_text in;
    size_t at;      /* offset of the next code point */
    size_t last_at; /* offset of the last one */
    struct pyi_strbuf *out;
    struct pyi_strbuf verbose; /* one byte for each open group and one for the top level */
    size_t groups;             /* capturing groups opened so far */
    bool can_repeat, was_repeat, only_flags;
    struct pyi_error *err;
};

enum { END = -1 };

static int peek(const struct translator *t)
{
    size_t offset = t->at;
    return offset < t->in.length ? (int)pyi_text_next(t->in, &offset) : END;
}

static int next(struct translator *t)
{
    t->last_at = t->at;
    return t->at < t->in.length ? (int)pyi_text_next(t->in, &t->at) : END;
}

static bool accept(struct translator *t, int wanted)
{
    if (peek(t) != wanted)
        return false;
    (void)next(t);
    return true;
}

static int fail(struct translator *t, const char *what)
{
    return pyi_error_set(t->err, PYI_E_FORMAT, "%s at position %zu", what, t->last_at);
}

static bool *verbose(struct translator *t)
{
    return (bool *)&t->verbose.data[t->verbose.length - 1];
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_octal(int c)
{
    return c >= '0' && c <= '7';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(int c)
{
    return is_letter(c) || is_digit(c) || c == '_';
}

static int hex_value(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void put(struct translator *t, const char *text)
{
    pyi_strbuf_string(t->out, text);
}

static void put_literal(struct translator *t, int c)
{
    if (c < 0x20 || c == 0x7f)
        pyi_strbuf_format(t->out, "\\x{%x}", (unsigned)c);
    else if (c < 0x80 && !is_name(c))
        pyi_strbuf_format(t->out, "\\%c", c);
    else
        pyi_strbuf_code_point(t->out, pyi_pattern_character((uint32_t)c));
}

/* Marks what was just put as something a quantifier may follow, or not. */
static int item(struct translator *t, bool can_repeat)
{
    t->can_repeat = can_repeat;
    t->was_repeat = false;
    t->only_flags = false;
    return 0;
}

/* ---- escapes ---- */

/* Exactly `digits` hexadecimal digits. */
static int hex_escape(struct translator *t, int digits, int *out)
{
    int64_t value = 0;
    for (int i = 0; i < digits; i++) {
        int digit = hex_value(peek(t));
        if (digit < 0)
            return fail(t, "incomplete escape");
        (void)next(t);
        value = value * 16 + digit;
    }
    if (value > 0x10ffff)
        return fail(t, "bad escape");
    *out = (int)value;
    return 0;
}

/* Escapes that stand for one character, inside and outside of sets alike. `*out` is END when
 * `c` begins none of them. */
static int character_escape(struct translator *t, int c, int *out)
{
    static const char letters[] = "afnrtv", values[] = "\a\f\n\r\t\v";
    const char *known = is_letter(c) ? strchr(letters, c) : NULL;
    *out = END;
    if (known)
        *out = values[known - letters];
    else if (c == 'x')
        return hex_escape(t, 2, out);
    else if (c == 'u')
        return hex_escape(t, 4, out);
    else if (c == 'U')
        return hex_escape(t, 8, out);
    else if (c == 'N')
        return fail(t, "character names (\\N{...}) are not supported");
    else if (c == END)
        return fail(t, "bad escape (end of pattern)");
    else if (!is_letter(c) && !is_digit(c))
        *out = c;
    return 0;
}

static int octal_escape(struct translator *t, int first, int *out)
{
    int value = first - '0';
    for (int i = 0; i < 2 && is_octal(peek(t)); i++)
        value = value * 8 + next(t) - '0';
    if (value > 0377)
        return fail(t, "octal escape value outside of range 0-0o377");
    *out = value;
    return 0;
}

/* After a backslash and a digit 1 to 9: an octal number of three digits, else a group. */
static int number_escape(struct translator *t, int first)
{
    int value = first - '0';
    if (is_digit(peek(t))) {
        int second = next(t);
        if (is_octal(first) && is_octal(second) && is_octal(peek(t))) {
            value = (value * 8 + second - '0') * 8 + next(t) - '0';
            if (value > 0377)
                return fail(t, "octal escape value outside of range 0-0o377");
            put_literal(t, value);
            return item(t, true);
        }
        value = value * 10 + second - '0';
    }
    if ((size_t)value > t->groups)
        return fail(t, "invalid group reference");
    pyi_strbuf_format(t->out, "\\g{%d}", value);
    return item(t, true);
}

static int escape(struct translator *t)
{
    int c = next(t), value;
    if (c == 'A' || c == 'b' || c == 'B') {
        pyi_strbuf_format(t->out, "\\%c", c);
        return item(t, false);
    }
    if (c == 'Z' || c == 'z') { /* PCRE2's \Z also matches before a newline at the end */
        put(t, "\\z");
        return item(t, false);
    }
    if (c > 0 && c < 0x80 && strchr("dDsSwW", c)) {
        pyi_strbuf_format(t->out, "\\%c", c);
        return item(t, true);
    }
    if (is_digit(c) && c != '0')
        return number_escape(t, c);
    int code = c == '0' ? octal_escape(t, c, &value) : character_escape(t, c, &value);
    if (code)
        return code;
    if (value == END)
        return fail(t, "bad escape");
    put_literal(t, value);
    return item(t, true);
}

/* ---- sets ---- */

/* One member: a character in `*out`, or END with the class's letter in `*class`. */
static int set_member(struct translator *t, int *out, int *class)
{
    int c = next(t);
    *out = c;
    *class = 0;
    if (c == END)
        return fail(t, "unterminated character set");
    if (c != '\\')
        return 0;
    c = next(t);
    if (c > 0 && c < 0x80 && strchr("dDsSwW", c)) {
        *out = END;
        *class = c;
        return 0;
    }
    if (c == 'b') {
        *out = '\b';
        return 0;
    }
    int code = is_octal(c) ? octal_escape(t, c, out) : character_escape(t, c, out);
    return code || *out != END ? code : fail(t, "bad escape");
}

static int set_range(struct translator *t, int low, int class)
{
    int high, high_class;
    int code = set_member(t, &high, &high_class);
    if (code)
        return code;
    if (class || high_class || high < low)
        return fail(t, "bad character range");
    /* A range across the surrogates would change its meaning in their new place. */
    if (pyi_pattern_character((uint32_t)low) > pyi_pattern_character((uint32_t)high)) {
        put_literal(t, low);
        put(t, "-\\x{10ffff}");
        low = 0xe000;
    }
    put_literal(t, low);
    put(t, "-");
    put_literal(t, high);
    return 0;
}

static int set(struct translator *t)
{
    put(t, accept(t, '^') ? "[^" : "[");
    for (bool first = true;; first = false) {
        int c, class;
        if (!first && accept(t, ']'))
            break;
        int code = set_member(t, &c, &class);
        if (code)
            return code;
        size_t dash = t->at;
        if (accept(t, '-')) {
            if (peek(t) == END)
                return fail(t, "unterminated character set");
            if (peek(t) != ']') {
                code = set_range(t, c, class);
                if (code)
                    return code;
                continue;
            }
            t->at = dash; /* the last one of a set is a character */
        }
        if (class)
            pyi_strbuf_format(t->out, "\\%c", class);
        else
            put_literal(t, c);
    }
    put(t, "]");
    return item(t, true);
}

/* ---- repeats ---- */

/* Digits up to something else; false when there are none. Too large a number stays large. */
static bool number(struct translator *t, int64_t *out)
{
    if (!is_digit(peek(t)))
        return false;
    for (*out = 0; is_digit(peek(t));) {
        int digit = next(t) - '0';
        *out = *out > 100000000 ? *out : *out * 10 + digit;
    }
    return true;
}

/* "{m,n}" in any of its forms; false and nothing consumed when the brace is a character. */
static bool braces(struct translator *t, int64_t *low, int64_t *high)
{
    size_t start = t->at;
    *low = 0;
    *high = -1;
    if (peek(t) == '}')
        return false;
    bool has_low = number(t, low);
    if (accept(t, ','))
        (void)number(t, high);
    else if (has_low)
        *high = *low;
    else
        *high = -2;
    if (*high != -2 && accept(t, '}'))
        return true;
    t->at = start;
    return false;
}

static int repeat(struct translator *t, int c)
{
    int64_t low, high;
    size_t start = t->last_at;
    if (c == '{' && !braces(t, &low, &high)) {
        put_literal(t, c);
        return item(t, true);
    }
    t->last_at = start;
    if (t->was_repeat)
        return fail(t, "multiple repeat");
    if (!t->can_repeat)
        return fail(t, "nothing to repeat");
    if (c != '{')
        pyi_strbuf_char(t->out, (char)c);
    else if (high < 0)
        pyi_strbuf_format(t->out, "{%lld,}", (long long)low);
    else if (high < low)
        return fail(t, "min repeat greater than max repeat");
    else
        pyi_strbuf_format(t->out, "{%lld,%lld}", (long long)low, (long long)high);
    if (accept(t, '?'))
        put(t, "?");
    else if (accept(t, '+'))
        put(t, "+");
    (void)item(t, false);
    t->was_repeat = true;
    return 0;
}

/* ---- groups ---- */

static int open_group(struct translator *t, bool is_verbose)
{
    pyi_strbuf_char(&t->verbose, (char)is_verbose);
    return item(t, false);
}

/* A name or number up to `end`, which is consumed. */
static int group_name(struct translator *t, int end, struct pyi_text *name)
{
    size_t start = t->at;
    while (is_name(peek(t)))
        (void)next(t);
    *name = (struct pyi_text){t->in.data + start, t->at - start};
    if (!name->length)
        return fail(t, "missing group name");
    return accept(t, end) ? 0 : fail(t, "bad character in group name");
}

static int named_group(struct translator *t)
{
    struct pyi_text name;
    bool opens = accept(t, '<');
    if (!opens && !accept(t, '='))
        return fail(t, "unknown extension ?P");
    int code = group_name(t, opens ? '>' : ')', &name);
    if (code)
        return code;
    if (is_digit((unsigned char)name.data[0]))
        return fail(t, "bad character in group name");
    pyi_strbuf_format(t->out, opens ? "(?P<%.*s>" : "(?P=%.*s)", (int)name.length, name.data);
    if (!opens)
        return item(t, true);
    t->groups++;
    return open_group(t, *verbose(t));
}

static int conditional(struct translator *t)
{
    struct pyi_text name;
    int code = group_name(t, ')', &name);
    if (code)
        return code;
    bool digits = is_digit((unsigned char)name.data[0]);
    for (size_t i = 0; i < name.length; i++)
        if (is_digit((unsigned char)name.data[i]) < digits)
            return fail(t, "bad character in group name");
    if (digits && strspn(name.data, "0") >= name.length)
        return fail(t, "bad group number");
    pyi_strbuf_format(t->out, digits ? "(?(%.*s)" : "(?(<%.*s>)", (int)name.length, name.data);
    return open_group(t, *verbose(t));
}

/* "(?flags)" or "(?flags-flags:...)"; `c` is the first character behind "(?". */
static int flags(struct translator *t, int c)
{
    bool at_start = t->only_flags, off = false, is_verbose = *verbose(t);
    char set[8] = "", unset[8] = "";
    for (; c != ')' && c != ':'; c = next(t)) {
        if (c == '-' && !off) {
            off = true;
            continue;
        }
        if (c == 'x') {
            is_verbose = !off;
            continue;
        }
        if (c == 'u' && !off) /* what patterns are anyway */
            continue;
        char *list = off ? unset : set;
        if (c != 'i' && c != 'm' && c != 's')
            return fail(t, c == END ? "missing -, : or )" : "unknown flag");
        if (!strchr(list, c))
            list[strlen(list)] = (char)c;
    }
    if (c == ')' && off)
        return fail(t, "missing :");
    if (c == ')' && !at_start)
        return fail(t, "global flags not at the start of the expression");
    if (c == ')') {
        if (set[0])
            pyi_strbuf_format(t->out, "(?%s)", set);
        *verbose(t) = is_verbose;
        return 0;
    }
    pyi_strbuf_format(t->out, unset[0] ? "(?%s-%s:" : "(?%s:", set, unset);
    return open_group(t, is_verbose);
}

static int comment(struct translator *t)
{
    for (int c = next(t); c != ')'; c = next(t))
        if (c == END)
            return fail(t, "missing ), unterminated comment");
    return 0;
}

static int look_behind(struct translator *t)
{
    int c = next(t);
    if (c != '=' && c != '!')
        return fail(t, "unknown extension ?<");
    put(t, c == '=' ? "(?<=" : "(?<!");
    return open_group(t, *verbose(t));
}

static int group(struct translator *t)
{
    if (!accept(t, '?')) {
        put(t, "(");
        t->groups++;
        return open_group(t, *verbose(t));
    }
    int c = next(t);
    switch (c) {
    case ':':
    case '=':
    case '!':
    case '>':
        pyi_strbuf_format(t->out, "(?%c", c);
        return open_group(t, *verbose(t));
    case 'P':
        return named_group(t);
    case '#':
        return comment(t);
    case '<':
        return look_behind(t);
    case '(':
        return conditional(t);
    default:
        if (c == '-' || is_letter(c))
            return flags(t, c);
        return fail(t, c == END ? "unexpected end of pattern" : "unknown extension");
    }
}

static int close_group(struct translator *t)
{
    if (t->verbose.length < 2)
        return fail(t, "unbalanced parenthesis");
    t->verbose.length--;
    put(t, ")");
    return item(t, true);
}

/* ---- whole patterns ---- */

static int element(struct translator *t, int c)
{
    switch (c) {
    case '\\':
        return escape(t);
    case '[':
        return set(t);
    case '(':
        return group(t);
    case ')':
        return close_group(t);
    case '*':
    case '+':
    case '?':
    case '{':
        return repeat(t, c);
    case '.':
        put(t, ".");
        return item(t, true);
    case '|':
    case '^':
    case '$':
        pyi_strbuf_char(t->out, (char)c);
        return item(t, false);
    default:
        put_literal(t, c);
        return item(t, true);
    }
}

/* Blanks and comments of verbose mode; true when `c` was one. */
static bool skip_verbose(struct translator *t, int c)
{
    if (!*verbose(t) || c <= 0 || c >= 0x80 || !strchr(" \t\n\r\v\f#", c))
        return false;
    while (c == '#' && peek(t) != END && next(t) != '\n')
        ;
    return true;
}

int pyi_pattern_translate(struct pyi_text pattern, struct pyi_strbuf *out, struct pyi_error *err)
{
    struct translator t = {.in = pattern, .out = out, .only_flags = true, .err = err};
    pyi_strbuf_char(&t.verbose, 0);
    int code = 0;
    while (!code && t.at < pattern.length && !t.verbose.failed) {
        int c = next(&t);
        if (!skip_verbose(&t, c))
            code = element(&t, c);
    }
    if (!code && t.verbose.length > 1)
        code = fail(&t, "missing ), unterminated subpattern");
    if (!code && (out->failed || t.verbose.failed))
        code = pyi_error_nomem(err);
    pyi_strbuf_deinit(&t.verbose);
    return code;
}
