/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * writers.c - fuzz target: any bytes as a session file, and if it is one, every report of it.
 *
 * The two binary formats are read back: what pstats says in marshal must be one whole value, what
 * pprof says must be whole messages whose numbers of strings, functions and locations exist. A page
 * must hold JSON, and no name may begin or end an element of it.
 */
#include "src/base/error.h"
#include "src/base/json_reader.h"
#include "src/base/text.h"
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

struct reader {
    const unsigned char *at, *end;
};

/* ---- marshal ----------------------------------------------------------------------------------- */

static uint64_t little(struct reader *reader, size_t bytes)
{
    uint64_t value = 0;
    require((size_t)(reader->end - reader->at) >= bytes);
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)*reader->at++ << 8 * i;
    return value;
}

static void skip(struct reader *reader, uint64_t bytes)
{
    require((uint64_t)(reader->end - reader->at) >= bytes);
    reader->at += bytes;
}

static void marshal_integer(struct reader *reader)
{
    uint64_t type = little(reader, 1);
    require(type == 'i' || type == 'l');
    int32_t digits = (int32_t)little(reader, 4);
    for (int64_t i = type == 'l' ? llabs(digits) : 0; i > 0; i--)
        require(little(reader, 2) < 0x8000);
}

static void marshal_text(struct reader *reader)
{
    require(little(reader, 1) == 'u');
    skip(reader, little(reader, 4));
}

static void marshal_tuple(struct reader *reader, uint64_t items)
{
    require(little(reader, 1) == ')' && little(reader, 1) == items);
}

static void marshal_key(struct reader *reader)
{
    marshal_tuple(reader, 3);
    marshal_text(reader);
    marshal_integer(reader);
    marshal_text(reader);
}

static void marshal_sums(struct reader *reader, uint64_t items)
{
    marshal_tuple(reader, items);
    for (int i = 0; i < 2; i++)
        marshal_integer(reader);
    for (int i = 0; i < 2; i++) {
        require(little(reader, 1) == 'g');
        (void)little(reader, 8);
    }
}

/* True when there is one more entry. */
static bool marshal_entry(struct reader *reader)
{
    require(reader->at < reader->end);
    return *reader->at != '0' || !++reader->at;
}

static void check_pstats(struct pyi_text report)
{
    const unsigned char *bytes = (const unsigned char *)report.data;
    struct reader reader = {bytes, bytes + report.length};
    require(little(&reader, 1) == '{');
    while (marshal_entry(&reader)) {
        marshal_key(&reader);
        marshal_sums(&reader, 5);
        require(little(&reader, 1) == '{');
        while (marshal_entry(&reader)) {
            marshal_key(&reader);
            marshal_sums(&reader, 4);
        }
    }
    require(reader.at == reader.end);
}

/* ---- protocol buffers ---------------------------------------------------------------------------- */

static uint64_t varint(struct reader *reader)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        require(shift < 64);
        uint64_t byte = little(reader, 1);
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

struct field {
    uint64_t number, value; /* value: of an integer */
    struct reader message;  /* of bytes */
};

static bool next_field(struct reader *reader, struct field *field)
{
    if (reader->at == reader->end)
        return false;
    uint64_t key = varint(reader);
    *field = (struct field){.number = key >> 3};
    require((key & 7) == 0 || (key & 7) == 2);
    uint64_t value = varint(reader);
    field->value = value;
    if ((key & 7) == 2) {
        field->message.at = reader->at;
        skip(reader, value);
        field->message.end = reader->at;
    }
    return true;
}

/* profile.proto: numbers of the fields of Profile, Sample, Function and Location. */
struct profile {
    uint64_t strings, functions, locations;
};

static void count_tables(struct reader reader, struct profile *profile)
{
    for (struct field field; next_field(&reader, &field);) {
        profile->strings += field.number == 6;
        profile->functions += field.number == 5;
        profile->locations += field.number == 4;
        if (field.number == 6 && profile->strings == 1)
            require(field.message.at == field.message.end);
    }
}

static void check_message(struct field outer, const struct profile *profile)
{
    for (struct field field; next_field(&outer.message, &field);) {
        if (outer.number == 5 && (field.number == 2 || field.number == 4)) /* name, file name */
            require(field.value < profile->strings);
        if (outer.number == 2 && field.number == 1) /* packed locations */
            while (field.message.at < field.message.end)
                (void)varint(&field.message);
        struct field line;
        if (outer.number == 4 && field.number == 4) /* line of a location */
            while (next_field(&field.message, &line))
                (void)line;
    }
}

static void inflate_all(struct pyi_text report, struct pyi_strbuf *out)
{
    unsigned char block[16384];
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)report.data,
                       .avail_in = (unsigned)report.length};
    require(inflateInit2(&stream, 15 + 16) == Z_OK);
    for (int status = Z_OK; status != Z_STREAM_END;) {
        stream.next_out = block;
        stream.avail_out = sizeof(block);
        status = inflate(&stream, Z_NO_FLUSH);
        require(status == Z_OK || status == Z_STREAM_END);
        pyi_strbuf_append(out, block, sizeof(block) - stream.avail_out);
    }
    require(stream.avail_in == 0);
    inflateEnd(&stream);
}

static void check_pprof(struct pyi_text report)
{
    struct pyi_strbuf bytes = {0};
    inflate_all(report, &bytes);
    struct profile profile = {0};
    const unsigned char *begin = (const unsigned char *)pyi_strbuf_get(&bytes).data;
    struct reader reader = {begin, begin + bytes.length};
    count_tables(reader, &profile);
    for (struct field field; next_field(&reader, &field);)
        if (field.number == 2 || field.number == 4 || field.number == 5)
            check_message(field, &profile);
    pyi_strbuf_deinit(&bytes);
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The text between the first occurrence of `begin` and the next one of `end`. */
static struct pyi_text between(struct pyi_text page, const char *begin, const char *end)
{
    const char *stop = page.data + page.length;
    const char *from = memmem(page.data, page.length, begin, strlen(begin));
    require(from != NULL);
    from += strlen(begin);
    const char *to = memmem(from, (size_t)(stop - from), end, strlen(end));
    require(to != NULL);
    return (struct pyi_text){from, (size_t)(to - from)};
}

static void check_json(struct pyi_text json)
{
    struct pyi_json_reader *reader;
    enum pyi_json_token token;
    /* The reader wants a NUL behind; the text is inside a larger one. */
    char *copy = strndup(json.data, json.length);
    require(copy && strlen(copy) == json.length);
    for (size_t i = 0; i < json.length; i++)
        require((unsigned char)copy[i] >= 0x20 && !strchr("<>&\x7f", copy[i]));
    require(pyi_text_utf8_length(copy, json.length) == json.length);
    require(pyi_json_reader_open_memory(copy, json.length, "page", &reader, NULL) == 0);
    do {
        require(pyi_json_next(reader, &token, NULL) == 0);
        /* What Python's reader takes, but a browser's does not. */
        require(token != PYI_JSON_NUMBER || isfinite(pyi_json_number(reader).value));
    } while (token != PYI_JSON_END);
    pyi_json_reader_close(reader);
    free(copy);
}

/* Whatever the names, the page has the elements it was given and no other: nothing that varies has
 * a '<'. Title, text and data stand in this order, each behind what cannot contain its begin tag. */
static void check_page(struct pyi_text page)
{
    static const char data[] = "<script type=\"application/json\" id=\"session\">";
    struct pyi_text text = between(page, "<pre id=\"static\">", "<");
    require(pyi_text_starts_with((struct pyi_text){text.data + text.length, 6}, "</pre>"));
    text = between(page, "<title>", "<");
    require(pyi_text_starts_with((struct pyi_text){text.data + text.length, 8}, "</title>"));
    check_json(between(page, data, "</script>"));
}

/* ---- all of them ----------------------------------------------------------------------------------- */

/* A disk of 1 MiB: formats that write one entry per tick are stopped there. */
static int write_some(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct pyi_strbuf *out = context;
    if (out->length + length > 1 << 20)
        return pyi_error_os(err, ENOSPC, "cannot write");
    pyi_strbuf_append(out, bytes, length);
    return 0;
}

static void render(struct pyi_session *session, const struct pyi_renderer *renderer)
{
    struct pyi_strbuf out = {0};
    struct pyi_error err = {0};
    struct pyi_sink sink = {write_some, &out};
    int code = pyi_render(renderer, session, NULL, &sink, &err);
    require(code == 0 || (code < 0 && err.code == code && err.message[0]));
    if (code == 0 && !strcmp(renderer->name, "pstats"))
        check_pstats(pyi_strbuf_get(&out));
    if (code == 0 && !strcmp(renderer->name, "pprof"))
        check_pprof(pyi_strbuf_get(&out));
    if (code == 0 && !strcmp(renderer->name, "html"))
        check_page(pyi_strbuf_get(&out));
    pyi_strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_session *session;
    const struct pyi_renderer *renderer;
    if (pyi_session_from_json((const char *)data, size, &session, NULL) != 0)
        return 0;
    for (size_t i = 0; (renderer = pyi_renderer_at(i)); i++)
        render(session, renderer);
    pyi_session_free(session);
    return 0;
}
