/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json_reader.c - streaming JSON reader, the grammar of Python's json module.
 *
 * In: blocks of bytes from a descriptor or from memory. Out: one token after the other. A window
 * of the input is held, larger than that only while one token is; nesting is a bit per level.
 * Strings must be UTF-8 and control characters in them are errors, as in Python's strict mode.
 * Knows nothing of sessions.
 */
#include "src/base/json_reader.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW       ((size_t)256 * 1024)
#define DEPTH_LIMIT  10000
#define STRING_LIMIT ((size_t)1 << 30)

enum state {
    STATE_VALUE,      /* a value must follow */
    STATE_FIRST_ITEM, /* a value or ] */
    STATE_FIRST_KEY,  /* a key or } */
    STATE_COLON,      /* : and a value */
    STATE_AFTER,      /* , or the end of the container, or of the text */
    STATE_FAILED,
};

struct pyi_json_reader {
    int fd; /* -1: from memory */
    const char *memory;
    size_t memory_left;
    char *name;

    char *window;
    size_t capacity, end; /* of the window, of the bytes in it */
    size_t at;            /* next byte not yet consumed */
    size_t keep;          /* bytes from here on survive a refill; <= at */
    uint64_t base;        /* offset of window[0] in the input */
    bool ended;

    enum state state;
    size_t depth;
    uint64_t objects[DEPTH_LIMIT / 64 + 1]; /* bit set: that level is an object */

    uint64_t token_offset;
    size_t raw_begin, raw_length;
    bool lazy, escaped;
    struct pyi_strbuf decoded;
    struct pyi_text text;
    struct pyi_number number;
    char lead[16];
    size_t lead_length;
};

/* ---- life ---------------------------------------------------------------------------------- */

static int reader_new(const char *name, size_t window, struct pyi_json_reader **out,
                      struct pyi_error *err)
{
    struct pyi_json_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return pyi_error_nomem(err);
    reader->fd = -1;
    reader->name = strdup(name);
    reader->window = malloc(window);
    reader->capacity = window;
    reader->text = pyi_text("");
    if (!reader->name || !reader->window) {
        pyi_json_reader_close(reader);
        return pyi_error_nomem(err);
    }
    *out = reader;
    return 0;
}

int pyi_json_reader_open(int fd, const char *name, struct pyi_json_reader **out,
                         struct pyi_error *err)
{
    struct pyi_json_reader *reader;
    int code = reader_new(name, WINDOW, &reader, err);
    if (code)
        return code;
    reader->fd = fd;
    *out = reader;
    return 0;
}

int pyi_json_reader_open_memory(const void *bytes, size_t length, const char *name,
                                struct pyi_json_reader **out, struct pyi_error *err)
{
    struct pyi_json_reader *reader;
    int code = reader_new(name, length < WINDOW ? length + 1 : WINDOW, &reader, err);
    if (code)
        return code;
    reader->memory = bytes;
    reader->memory_left = length;
    *out = reader;
    return 0;
}

int pyi_json_reader_open_behind(const void *bytes, size_t length, int fd, const char *name,
                                struct pyi_json_reader **out, struct pyi_error *err)
{
    struct pyi_json_reader *reader;
    int code = reader_new(name, WINDOW, &reader, err);
    if (code)
        return code;
    reader->fd = fd;
    reader->memory = bytes;
    reader->memory_left = length;
    *out = reader;
    return 0;
}

void pyi_json_reader_close(struct pyi_json_reader *reader)
{
    if (!reader)
        return;
    free(reader->name);
    free(reader->window);
    pyi_strbuf_deinit(&reader->decoded);
    free(reader);
}

/* ---- input --------------------------------------------------------------------------------- */

static int fail(struct pyi_json_reader *reader, size_t at, const char *why, struct pyi_error *err)
{
    reader->state = STATE_FAILED;
    reader->token_offset = reader->base + at;
    int code = pyi_error_set(err, PYI_E_FORMAT, "%s: not JSON (error at byte %llu)", reader->name,
                             (unsigned long long)reader->token_offset);
    pyi_error_why(err, "%s", why);
    return code;
}

static int limit(struct pyi_json_reader *reader, const char *what, struct pyi_error *err)
{
    reader->state = STATE_FAILED;
    return pyi_error_set(err, PYI_E_LIMIT, "%s: %s at byte %llu", reader->name, what,
                         (unsigned long long)(reader->base + reader->at));
}

/* Moves what is kept to the front of the window. */
static void compact(struct pyi_json_reader *reader)
{
    size_t gone = reader->keep;
    if (!gone)
        return;
    memmove(reader->window, reader->window + gone, reader->end - gone);
    reader->base += gone;
    reader->end -= gone;
    reader->at -= gone;
    reader->raw_begin -= reader->raw_begin < gone ? reader->raw_begin : gone;
    reader->keep = 0;
}

static int read_block(struct pyi_json_reader *reader, struct pyi_error *err)
{
    char *to = reader->window + reader->end;
    size_t room = reader->capacity - reader->end;
    if (reader->fd < 0 || reader->memory_left) {
        size_t length = reader->memory_left < room ? reader->memory_left : room;
        reader->ended = !length;
        if (!length)
            return 0;
        memcpy(to, reader->memory, length);
        reader->memory += length;
        reader->memory_left -= length;
        reader->end += length;
        return 0;
    }
    ssize_t got;
    do
        got = read(reader->fd, to, room);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        reader->state = STATE_FAILED;
        return pyi_error_os(err, errno, "cannot read %s", reader->name);
    }
    reader->end += (size_t)got;
    reader->ended = !got;
    return 0;
}

/* Makes `count` bytes from `at` on available, or as many as there are. */
static int fill(struct pyi_json_reader *reader, size_t count, struct pyi_error *err)
{
    while (reader->end - reader->at < count && !reader->ended) {
        compact(reader);
        size_t need = reader->at + count;
        if (need > STRING_LIMIT + WINDOW)
            return limit(reader, "a string longer than 1 GiB", err);
        if (need > reader->capacity &&
            !pyi_array_reserve(&reader->window, &reader->capacity, need, 1)) {
            reader->state = STATE_FAILED;
            return pyi_error_nomem(err);
        }
        int code = read_block(reader, err);
        if (code)
            return code;
    }
    return 0;
}

/* The next byte or -1 at the end of the input. */
static inline int peek(struct pyi_json_reader *reader, int *code, struct pyi_error *err)
{
    if (reader->at == reader->end) {
        *code = fill(reader, 1, err);
        if (*code || reader->at == reader->end)
            return -1;
    }
    return (unsigned char)reader->window[reader->at];
}

static void take_separator(struct pyi_json_reader *reader)
{
    if (reader->lead_length < sizeof(reader->lead))
        reader->lead[reader->lead_length++] = reader->window[reader->at];
    else
        reader->lead_length = SIZE_MAX;
    reader->at++;
    reader->keep = reader->at;
}

/* The next byte that is no blank, -1 at the end. */
static int peek_token(struct pyi_json_reader *reader, int *code, struct pyi_error *err)
{
    for (;;) {
        int byte = peek(reader, code, err);
        if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t')
            return byte;
        take_separator(reader);
    }
}

/* ---- strings ------------------------------------------------------------------------------- */

#define REPEAT(byte) (0x0101010101010101u * (byte))

/* Number of bytes at `at` that need no attention in a string: not `"`, `\`, control, >= 0x80.
 * The word test may stop early, never late. */
static size_t plain_length(const char *at, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, sizeof(word));
        uint64_t quote = word ^ REPEAT('"');
        uint64_t slash = word ^ REPEAT('\\');
        uint64_t special = (quote - REPEAT(1)) | (slash - REPEAT(1)) | (word - REPEAT(0x20)) | word;
        if (special & REPEAT(0x80))
            break;
    }
    for (; i < length; i++) {
        unsigned char byte = (unsigned char)at[i];
        if (byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x80)
            break;
    }
    return i;
}

static bool is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* At a backslash: checks the escape and consumes it. */
static int scan_escape(struct pyi_json_reader *reader, struct pyi_error *err)
{
    int code = fill(reader, 6, err);
    if (code)
        return code;
    const char *at = reader->window + reader->at;
    size_t left = reader->end - reader->at;
    if (left < 2)
        return fail(reader, reader->raw_begin - 1, "unterminated string", err);
    if (at[1] != 'u') {
        if (!at[1] || !strchr("\"\\/bfnrt", at[1]))
            return fail(reader, reader->at, "invalid escape", err);
        reader->at += 2;
        return 0;
    }
    for (size_t i = 2; i < 6; i++) {
        if (i >= left || !is_hex(at[i]))
            return fail(reader, reader->at + 1, "invalid unicode escape", err);
    }
    reader->at += 6;
    return 0;
}

/* Consumes up to and with the closing quote. */
static int scan_string(struct pyi_json_reader *reader, bool *wide, struct pyi_error *err)
{
    for (;;) {
        reader->at += plain_length(reader->window + reader->at, reader->end - reader->at);
        if (reader->at - reader->raw_begin > STRING_LIMIT)
            return limit(reader, "a string longer than 1 GiB", err);
        int code = 0;
        int byte = peek(reader, &code, err);
        if (code)
            return code;
        if (byte == '"')
            return 0;
        if (byte < 0)
            return fail(reader, reader->raw_begin - 1, "unterminated string", err);
        if (byte == '\\') {
            reader->escaped = true;
            code = scan_escape(reader, err);
            if (code)
                return code;
        } else if (byte >= 0x80) {
            *wide = true;
            reader->at++;
        } else if (byte < 0x20) {
            return fail(reader, reader->at, "control character in a string", err);
        }
    }
}

static int read_string(struct pyi_json_reader *reader, struct pyi_error *err)
{
    reader->at++;
    reader->raw_begin = reader->at;
    reader->escaped = false;
    bool wide = false;
    int code = scan_string(reader, &wide, err);
    if (code)
        return code;
    reader->raw_length = reader->at - reader->raw_begin;
    char *raw = reader->window + reader->raw_begin;
    if (wide) {
        size_t good = pyi_text_utf8_length(raw, reader->raw_length);
        if (good < reader->raw_length)
            return fail(reader, reader->raw_begin + good, "not UTF-8", err);
    }
    if (!reader->escaped) {
        raw[reader->raw_length] = '\0'; /* in place of the closing quote */
        reader->text = (struct pyi_text){raw, reader->raw_length};
    } else if (!reader->lazy) {
        pyi_strbuf_reset(&reader->decoded);
        pyi_json_decode(&reader->decoded, (struct pyi_text){raw, reader->raw_length});
        if (reader->decoded.failed) {
            reader->state = STATE_FAILED;
            return pyi_error_nomem(err);
        }
        reader->text = pyi_strbuf_get(&reader->decoded);
    } else {
        reader->text = pyi_text("");
    }
    reader->at++;
    return 0;
}

/* ---- scalars ------------------------------------------------------------------------------- */

static bool is_number_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' || byte == '+' ||
           byte == 'e' || byte == 'E';
}

static bool is_word_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '-';
}

/* Length of the run of bytes at `at` that belong together. */
static int run_length(struct pyi_json_reader *reader, bool (*belongs)(char), size_t *out,
                      struct pyi_error *err)
{
    size_t length = 0;
    for (;;) {
        while (reader->at + length < reader->end && belongs(reader->window[reader->at + length]))
            length++;
        if (reader->at + length < reader->end || reader->ended)
            break;
        int code = fill(reader, length + 1, err);
        if (code)
            return code;
    }
    *out = length;
    return 0;
}

static int read_number(struct pyi_json_reader *reader, struct pyi_error *err)
{
    size_t length;
    int code = run_length(reader, is_number_byte, &length, err);
    if (code)
        return code;
    struct pyi_text text = {reader->window + reader->at, length};
    if (!pyi_number_parse(text, &reader->number))
        return fail(reader, reader->at, "malformed number", err);
    reader->at += length;
    return 0;
}

static int read_word(struct pyi_json_reader *reader, enum pyi_json_token *token,
                     struct pyi_error *err)
{
    size_t length;
    int code = run_length(reader, is_word_byte, &length, err);
    if (code)
        return code;
    struct pyi_text text = {reader->window + reader->at, length};
    if (pyi_text_equal(text, pyi_text("true")))
        *token = PYI_JSON_TRUE;
    else if (pyi_text_equal(text, pyi_text("false")))
        *token = PYI_JSON_FALSE;
    else if (pyi_text_equal(text, pyi_text("null")))
        *token = PYI_JSON_NULL;
    else if (length && pyi_number_parse(text, &reader->number))
        *token = PYI_JSON_NUMBER;
    else
        return fail(reader, reader->at, "expected a value", err);
    reader->at += length;
    return 0;
}

/* ---- structure ----------------------------------------------------------------------------- */

static bool in_object(const struct pyi_json_reader *reader)
{
    size_t level = reader->depth - 1;
    return reader->objects[level / 64] >> level % 64 & 1;
}

static int open_container(struct pyi_json_reader *reader, bool object, struct pyi_error *err)
{
    if (reader->depth == DEPTH_LIMIT)
        return limit(reader, "nesting deeper than 10,000", err);
    uint64_t bit = (uint64_t)1 << reader->depth % 64;
    if (object)
        reader->objects[reader->depth / 64] |= bit;
    else
        reader->objects[reader->depth / 64] &= ~bit;
    reader->depth++;
    reader->at++;
    reader->state = object ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
    return 0;
}

static enum pyi_json_token close_container(struct pyi_json_reader *reader)
{
    bool object = in_object(reader);
    reader->token_offset = reader->base + reader->at;
    reader->depth--;
    reader->at++;
    reader->state = STATE_AFTER;
    return object ? PYI_JSON_OBJECT_END : PYI_JSON_ARRAY_END;
}

static int read_value(struct pyi_json_reader *reader, int byte, enum pyi_json_token *token,
                      struct pyi_error *err)
{
    reader->token_offset = reader->base + reader->at;
    reader->state = STATE_AFTER;
    if (byte == '"') {
        *token = PYI_JSON_STRING;
        return read_string(reader, err);
    }
    if (byte == '{' || byte == '[') {
        *token = byte == '{' ? PYI_JSON_OBJECT_BEGIN : PYI_JSON_ARRAY_BEGIN;
        return open_container(reader, byte == '{', err);
    }
    if (byte == '-') {
        int code = fill(reader, 2, err);
        if (code)
            return code;
        if (reader->end - reader->at >= 2 && reader->window[reader->at + 1] == 'I')
            return read_word(reader, token, err);
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        *token = PYI_JSON_NUMBER;
        return read_number(reader, err);
    }
    return read_word(reader, token, err);
}

static int read_key(struct pyi_json_reader *reader, int byte, enum pyi_json_token *token,
                    struct pyi_error *err)
{
    if (byte != '"')
        return fail(reader, reader->at, "expected a key in double quotes", err);
    reader->state = STATE_COLON;
    reader->token_offset = reader->base + reader->at;
    *token = PYI_JSON_KEY;
    return read_string(reader, err);
}

/* After a value: the end of its container, or the comma and what must follow it. */
static int read_after(struct pyi_json_reader *reader, int byte, enum pyi_json_token *token,
                      struct pyi_error *err)
{
    if (!reader->depth) {
        if (byte >= 0)
            return fail(reader, reader->at, "more text after the value", err);
        *token = PYI_JSON_END;
        return 0;
    }
    bool object = in_object(reader);
    if (byte == (object ? '}' : ']')) {
        *token = close_container(reader);
        return 0;
    }
    if (byte != ',')
        return fail(reader, reader->at, "expected a comma", err);
    take_separator(reader);
    int code = 0;
    byte = peek_token(reader, &code, err);
    if (code)
        return code;
    return object ? read_key(reader, byte, token, err) : read_value(reader, byte, token, err);
}

static int read_colon(struct pyi_json_reader *reader, int byte, enum pyi_json_token *token,
                      struct pyi_error *err)
{
    if (byte != ':')
        return fail(reader, reader->at, "expected a colon", err);
    take_separator(reader);
    int code = 0;
    byte = peek_token(reader, &code, err);
    return code ? code : read_value(reader, byte, token, err);
}

int pyi_json_next(struct pyi_json_reader *reader, enum pyi_json_token *token, struct pyi_error *err)
{
    if (reader->state == STATE_FAILED)
        return pyi_error_set(err, PYI_E_INVALID, "%s: read on after an error", reader->name);
    reader->keep = reader->at;
    reader->lead_length = 0;
    int code = 0;
    int byte = peek_token(reader, &code, err);
    if (code)
        return code;
    reader->keep = reader->at;
    switch (reader->state) {
    case STATE_FIRST_ITEM:
    case STATE_FIRST_KEY:
        if (byte == (reader->state == STATE_FIRST_KEY ? '}' : ']')) {
            *token = close_container(reader);
            break;
        }
        code = reader->state == STATE_FIRST_KEY ? read_key(reader, byte, token, err)
                                                : read_value(reader, byte, token, err);
        break;
    case STATE_COLON:
        code = read_colon(reader, byte, token, err);
        break;
    case STATE_AFTER:
        code = read_after(reader, byte, token, err);
        break;
    default:
        code = read_value(reader, byte, token, err);
    }
    return code;
}

struct pyi_text pyi_json_text(const struct pyi_json_reader *reader)
{
    return reader->text;
}

struct pyi_number pyi_json_number(const struct pyi_json_reader *reader)
{
    return reader->number;
}

uint64_t pyi_json_offset(const struct pyi_json_reader *reader)
{
    return reader->token_offset;
}

size_t pyi_json_depth(const struct pyi_json_reader *reader)
{
    return reader->depth;
}

int pyi_json_leave(struct pyi_json_reader *reader, size_t depth, struct pyi_error *err)
{
    bool lazy = reader->lazy;
    reader->lazy = true;
    int code = 0;
    while (!code && reader->depth > depth) {
        enum pyi_json_token token;
        code = pyi_json_next(reader, &token, err);
    }
    reader->lazy = lazy;
    return code;
}

int pyi_json_skip(struct pyi_json_reader *reader, enum pyi_json_token token, struct pyi_error *err)
{
    if (token == PYI_JSON_KEY) {
        int code = pyi_json_next(reader, &token, err);
        if (code)
            return code;
    }
    if (token != PYI_JSON_OBJECT_BEGIN && token != PYI_JSON_ARRAY_BEGIN)
        return 0;
    return pyi_json_leave(reader, reader->depth - 1, err);
}

/* ---- many strings -------------------------------------------------------------------------- */

void pyi_json_set_lazy(struct pyi_json_reader *reader, bool lazy)
{
    reader->lazy = lazy;
}

struct pyi_text pyi_json_raw(const struct pyi_json_reader *reader)
{
    return (struct pyi_text){reader->window + reader->raw_begin, reader->raw_length};
}

struct pyi_text pyi_json_lead(const struct pyi_json_reader *reader)
{
    return (struct pyi_text){reader->lead, reader->lead_length};
}

static size_t common_prefix(const char *a, const char *b, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        if (x != y)
            break;
    }
    while (i < length && a[i] == b[i])
        i++;
    return i;
}

int pyi_json_match(struct pyi_json_reader *reader, const void *bytes, size_t length, size_t *out,
                   struct pyi_error *err)
{
    reader->keep = reader->at;
    int code = fill(reader, length, err);
    if (code)
        return code;
    size_t left = reader->end - reader->at;
    *out = common_prefix(reader->window + reader->at, bytes, left < length ? left : length);
    return 0;
}

void pyi_json_jump(struct pyi_json_reader *reader, size_t length)
{
    if (!length)
        return;
    reader->at += length;
    reader->keep = reader->at;
    reader->state = STATE_AFTER;
}
