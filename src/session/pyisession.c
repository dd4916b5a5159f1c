/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyisession.c - reads upstream's session files.
 *
 * In: JSON as a stream. Out: a session. Keys may come in any order, the last of equal ones wins,
 * unknown ones are skipped. Stacks are interned while reading: the bytes of each stack are
 * compared with those of the stack before, what is equal is not looked at again, and each string
 * of the rest is found by one hash of its bytes as they stand in the file.
 */
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/json_reader.h"
#include "src/base/number.h"
#include "src/session/attach.h"
#include "src/session/pyirec.h"
#include "src/session/session.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Stacks with more bytes than this are read string by string. */
#define BODY_LIMIT ((size_t)16 * 1024 * 1024)

enum kind { KIND_RECORDS, KIND_NUMBER, KIND_CPU_TIME, KIND_TEXT, KIND_LIST, KIND_ATTACH };

struct key {
    const char *name;
    enum kind kind;
    int which; /* pyi_session_number or pyi_session_list */
    bool required;
};

/* In the order in which upstream looks for them: the first missing one is named. */
static const struct key keys[] = {
    {"frame_records", KIND_RECORDS, 0, true},
    {"start_time", KIND_NUMBER, PYI_SESSION_START_TIME, true},
    {"min_interval", KIND_NUMBER, PYI_SESSION_MIN_INTERVAL, false},
    {"max_interval", KIND_NUMBER, PYI_SESSION_MAX_INTERVAL, false},
    {"duration", KIND_NUMBER, PYI_SESSION_DURATION, true},
    {"sample_count", KIND_NUMBER, PYI_SESSION_SAMPLE_COUNT, true},
    {"start_call_stack", KIND_LIST, PYI_SESSION_START_CALL_STACK, true},
    {"target_description", KIND_TEXT, 0, true},
    {"cpu_time", KIND_CPU_TIME, PYI_SESSION_CPU_TIME, true},
    {"sys_path", KIND_LIST, PYI_SESSION_SYS_PATH, false},
    {"sys_prefixes", KIND_LIST, PYI_SESSION_SYS_PREFIXES, false},
    {"attach", KIND_ATTACH, 0, false},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

enum found { FOUND_NOT, FOUND_GOOD, FOUND_BAD };

/* The bytes of the stack read last: up to `end` they are the stack `node`. */
struct step {
    size_t end;
    uint32_t node;
};

struct loader {
    struct pyi_json_reader *reader;
    struct pyi_session *session;
    enum found found[KEYS];
    struct pyi_intern raws; /* frame infos as they are spelled in the file */
    uint32_t *frames;       /* by number in `raws` */
    size_t frame_capacity;
    struct pyi_strbuf decoded;
    struct pyi_strbuf body;
    struct step *steps;
    size_t step_count, step_capacity;
    int64_t attach_version;
    bool metadata; /* records are elsewhere */
};

/* ---- stacks -------------------------------------------------------------------------------- */

static int find_frame(struct loader *loader, struct pyi_text raw, uint32_t *out,
                      struct pyi_error *err)
{
    size_t known = loader->raws.count;
    uint32_t number = pyi_intern_add(&loader->raws, raw.data, raw.length);
    if (number == UINT32_MAX)
        return pyi_error_nomem(err);
    if (number < known) {
        *out = loader->frames[number];
        return 0;
    }
    pyi_strbuf_reset(&loader->decoded);
    pyi_json_decode(&loader->decoded, raw);
    if (loader->decoded.failed || !pyi_array_reserve(&loader->frames, &loader->frame_capacity,
                                                     known + 1, sizeof(*loader->frames)))
        return pyi_error_nomem(err);
    int code =
        pyi_session_intern_frame(loader->session, pyi_strbuf_get(&loader->decoded), out, err);
    if (!code)
        loader->frames[number] = *out;
    return code;
}

static void forget_body(struct loader *loader)
{
    pyi_strbuf_reset(&loader->body);
    loader->step_count = 0;
}

/* Leaves out what the stack has in common with the one before; gives the node it leads to. */
static int skip_known(struct loader *loader, uint32_t *node, struct pyi_error *err)
{
    *node = PYI_STACK_ROOT;
    if (!loader->step_count)
        return 0;
    size_t matched;
    int code =
        pyi_json_match(loader->reader, loader->body.data, loader->body.length, &matched, err);
    if (code)
        return code;
    size_t low = 0, high = loader->step_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (loader->steps[middle].end <= matched)
            low = middle + 1;
        else
            high = middle;
    }
    loader->step_count = low;
    loader->body.length = low ? loader->steps[low - 1].end : 0;
    if (low)
        *node = loader->steps[low - 1].node;
    pyi_json_jump(loader->reader, loader->body.length);
    return 0;
}

/* Remembers the bytes of the string just read. False: no memory. */
static bool note_step(struct loader *loader, uint32_t node)
{
    struct pyi_text lead = pyi_json_lead(loader->reader);
    struct pyi_text raw = pyi_json_raw(loader->reader);
    if (lead.length == SIZE_MAX || raw.length > BODY_LIMIT - loader->body.length) {
        forget_body(loader);
        return true;
    }
    pyi_strbuf_text(&loader->body, lead);
    pyi_strbuf_char(&loader->body, '"');
    pyi_strbuf_text(&loader->body, raw);
    pyi_strbuf_char(&loader->body, '"');
    if (loader->body.failed || !pyi_array_reserve(&loader->steps, &loader->step_capacity,
                                                  loader->step_count + 1, sizeof(*loader->steps)))
        return false;
    loader->steps[loader->step_count++] = (struct step){loader->body.length, node};
    return true;
}

/* The stack whose array just began; `*good` false when an element is no string. */
static int read_stack(struct loader *loader, uint32_t *out, bool *good, struct pyi_error *err)
{
    uint32_t node;
    int code = skip_known(loader, &node, err);
    /* A body that has been given up is not begun again in the middle of a stack. */
    bool noting = true;
    for (;;) {
        enum pyi_json_token token;
        if (!code)
            code = pyi_json_next(loader->reader, &token, err);
        if (code)
            return code;
        if (token == PYI_JSON_ARRAY_END)
            break;
        *good = token == PYI_JSON_STRING;
        if (!*good)
            return pyi_json_skip(loader->reader, token, err);
        uint32_t frame;
        code = find_frame(loader, pyi_json_raw(loader->reader), &frame, err);
        if (!code)
            code = pyi_session_push_frame(loader->session, node, frame, &node, err);
        if (!code && noting && !note_step(loader, node))
            code = pyi_error_nomem(err);
        noting = noting && loader->step_count;
    }
    *out = node;
    return 0;
}

/* ---- records ------------------------------------------------------------------------------- */

static int expect(struct loader *loader, enum pyi_json_token wanted, bool *good,
                  struct pyi_error *err)
{
    enum pyi_json_token token;
    int code = pyi_json_next(loader->reader, &token, err);
    if (!code)
        *good = token == wanted;
    return code;
}

/* `[STACK, SECONDS]`, whose begin was read. */
static int read_record(struct loader *loader, bool *good, struct pyi_error *err)
{
    uint32_t stack = PYI_STACK_ROOT;
    int code = expect(loader, PYI_JSON_ARRAY_BEGIN, good, err);
    if (!code && *good)
        code = read_stack(loader, &stack, good, err);
    if (!code && *good)
        code = expect(loader, PYI_JSON_NUMBER, good, err);
    struct pyi_number seconds = pyi_json_number(loader->reader);
    if (!code && *good)
        code = expect(loader, PYI_JSON_ARRAY_END, good, err);
    if (!code && *good)
        code = pyi_session_add_record(loader->session, stack, seconds, err);
    return code;
}

static int read_records(struct loader *loader, enum pyi_json_token token, bool *good,
                        struct pyi_error *err)
{
    *good = token == PYI_JSON_ARRAY_BEGIN;
    if (!*good)
        return pyi_json_skip(loader->reader, token, err);
    size_t outside = pyi_json_depth(loader->reader) - 1;
    int code = pyi_session_clear_records(loader->session, err);
    pyi_intern_deinit(&loader->raws);
    forget_body(loader);
    pyi_json_set_lazy(loader->reader, true);
    while (!code && *good) {
        code = pyi_json_next(loader->reader, &token, err);
        if (code || token == PYI_JSON_ARRAY_END)
            break;
        *good = token == PYI_JSON_ARRAY_BEGIN;
        if (*good)
            code = read_record(loader, good, err);
    }
    if (!code)
        code = pyi_json_leave(loader->reader, outside, err);
    pyi_json_set_lazy(loader->reader, false);
    return code;
}

/* ---- other keys ---------------------------------------------------------------------------- */

static int read_list(struct loader *loader, enum pyi_session_list which, enum pyi_json_token token,
                     bool *good, struct pyi_error *err)
{
    pyi_session_list_clear(loader->session, which);
    *good = token == PYI_JSON_ARRAY_BEGIN;
    if (!*good)
        return pyi_json_skip(loader->reader, token, err);
    size_t outside = pyi_json_depth(loader->reader) - 1;
    for (;;) {
        int code = pyi_json_next(loader->reader, &token, err);
        if (code || token == PYI_JSON_ARRAY_END)
            return code;
        *good = token == PYI_JSON_STRING;
        if (!*good)
            return pyi_json_leave(loader->reader, outside, err);
        code = pyi_session_list_append(loader->session, which, pyi_json_text(loader->reader), err);
        if (code)
            return code;
    }
}

/* Upstream takes null and whatever else is false for the integer 0. */
static bool is_python_false(const struct loader *loader, enum pyi_json_token token)
{
    return token == PYI_JSON_NULL || token == PYI_JSON_FALSE ||
           (token == PYI_JSON_NUMBER && pyi_json_number(loader->reader).value == 0);
}

static int read_number(struct loader *loader, const struct key *key, enum pyi_json_token token,
                       bool *good, struct pyi_error *err)
{
    struct pyi_number number = pyi_json_number(loader->reader);
    *good = token == PYI_JSON_NUMBER;
    if (key->kind == KIND_CPU_TIME && is_python_false(loader, token)) {
        number = pyi_number_integer(0);
        *good = true;
    }
    if (*good)
        pyi_session_set_number(loader->session, (enum pyi_session_number)key->which, number);
    return pyi_json_skip(loader->reader, token, err);
}

static int read_attach(struct loader *loader, enum pyi_json_token token, struct pyi_error *err)
{
    struct pyi_session *session = loader->session;
    session->attach = NULL;
    pyi_arena_free(&session->attach_arena);
    loader->attach_version = PYI_ATTACH_VERSION;
    /* Anything else cannot be ours. */
    if (token != PYI_JSON_OBJECT_BEGIN)
        return pyi_json_skip(loader->reader, token, err);
    return pyi_attach_read(loader->reader, &session->attach_arena, &session->attach,
                           &loader->attach_version, err);
}

static int read_value(struct loader *loader, const struct key *key, struct pyi_error *err)
{
    enum pyi_json_token token;
    int code = pyi_json_next(loader->reader, &token, err);
    if (code)
        return code;
    bool good = true;
    switch (key->kind) {
    case KIND_RECORDS:
        code = read_records(loader, token, &good, err);
        break;
    case KIND_NUMBER:
    case KIND_CPU_TIME:
        code = read_number(loader, key, token, &good, err);
        break;
    case KIND_LIST:
        code = read_list(loader, (enum pyi_session_list)key->which, token, &good, err);
        break;
    case KIND_ATTACH:
        code = read_attach(loader, token, err);
        break;
    case KIND_TEXT:
        good = token == PYI_JSON_STRING;
        code = good ? pyi_session_set_target_description(loader->session,
                                                         pyi_json_text(loader->reader), err)
                    : pyi_json_skip(loader->reader, token, err);
        break;
    }
    loader->found[key - keys] = good ? FOUND_GOOD : FOUND_BAD;
    return code;
}

static const struct key *find_key(struct pyi_text name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (pyi_text_equal(name, pyi_text(keys[i].name)))
            return &keys[i];
    }
    return NULL;
}

/* ---- whole files --------------------------------------------------------------------------- */

/* The object's keys up to the end of the input. */
static int read_keys(struct loader *loader, struct pyi_error *err)
{
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(loader->reader, &token, err);
        if (code || token == PYI_JSON_END)
            return code;
        if (token == PYI_JSON_OBJECT_END)
            continue;
        const struct key *key = find_key(pyi_json_text(loader->reader));
        code = key ? read_value(loader, key, err) : pyi_json_skip(loader->reader, token, err);
        if (code)
            return code;
    }
}

static int no_session(struct pyi_error *err, const char *name, const char *reason)
{
    int code = pyi_error_set(err, PYI_E_FORMAT, "%s: not a session file (%s)", name, reason);
    pyi_error_slug(err, "session-bad");
    return code;
}

static int check_keys(const struct loader *loader, const char *name, struct pyi_error *err)
{
    char reason[128];
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].required && !(loader->metadata && keys[i].kind == KIND_RECORDS) &&
            loader->found[i] == FOUND_NOT) {
            snprintf(reason, sizeof(reason), "missing key '%s'", keys[i].name);
            return no_session(err, name, reason);
        }
    }
    static const char *const wanted[] = {
        [KIND_RECORDS] = "a list of records", [KIND_NUMBER] = "a number",
        [KIND_CPU_TIME] = "a number",         [KIND_TEXT] = "a string",
        [KIND_LIST] = "a list of strings",    [KIND_ATTACH] = "an object",
    };
    for (size_t i = 0; i < KEYS; i++) {
        if (loader->found[i] == FOUND_BAD) {
            snprintf(reason, sizeof(reason), "'%s' is not %s", keys[i].name, wanted[keys[i].kind]);
            return no_session(err, name, reason);
        }
    }
    return 0;
}

static int check_attach(const struct loader *loader, const char *name, struct pyi_error *err)
{
    const struct pyi_attach *attach = loader->session->attach;
    if (!attach)
        return 0;
    if (loader->attach_version > PYI_ATTACH_VERSION) {
        char tool[64];
        int code = pyi_error_set(
            err, PYI_E_FORMAT, "%s: written by pyinstrument %s in a format newer than this program",
            name, pyi_text_safe(attach->tool, tool, sizeof(tool)));
        pyi_error_slug(err, "session-bad");
        return code;
    }
    if (loader->metadata)
        return 0;
    struct pyi_error inner = {0};
    if (pyi_attach_check(attach, pyi_session_record_count(loader->session), &inner) == 0)
        return 0;
    return no_session(err, name, inner.message);
}

static int read_object(struct loader *loader, const char *name, struct pyi_error *err)
{
    enum pyi_json_token token;
    int code = pyi_json_next(loader->reader, &token, err);
    if (code)
        return code;
    if (token == PYI_JSON_OBJECT_BEGIN)
        return read_keys(loader, err);
    /* Bad JSON is the first thing to say of a file, whatever else is wrong with it. */
    code = pyi_json_skip(loader->reader, token, err);
    if (!code)
        code = pyi_json_next(loader->reader, &token, err);
    return code ? code : no_session(err, name, "its top level is not an object");
}

/* Says of JSON errors what they mean here: where, with the reader's reason kept as the why. */
static int explain(const struct loader *loader, const char *name, int code, struct pyi_error *err)
{
    if (!err || err->slug[0] || (code != PYI_E_FORMAT && code != PYI_E_LIMIT))
        return code;
    if (code == PYI_E_FORMAT) {
        char why[sizeof(err->why)];
        memcpy(why, err->why, sizeof(why));
        char reason[64];
        snprintf(reason, sizeof(reason), "JSON error at byte %llu",
                 (unsigned long long)pyi_json_offset(loader->reader));
        no_session(err, name, reason);
        memcpy(err->why, why, sizeof(why));
    }
    pyi_error_slug(err, "session-bad");
    return code;
}

/* Takes over `reader`. */
static int load(struct pyi_json_reader *reader, const char *name, bool metadata,
                struct pyi_session **out, struct pyi_error *err)
{
    struct loader loader = {
        .reader = reader, .attach_version = PYI_ATTACH_VERSION, .metadata = metadata};
    int code = pyi_session_new(&loader.session, err);
    if (!code) {
        code = read_object(&loader, name, err);
        code = code ? explain(&loader, name, code, err) : check_keys(&loader, name, err);
    }
    if (!code)
        code = check_attach(&loader, name, err);
    pyi_intern_deinit(&loader.raws);
    free(loader.frames);
    free(loader.steps);
    pyi_strbuf_deinit(&loader.decoded);
    pyi_strbuf_deinit(&loader.body);
    pyi_json_reader_close(reader);
    if (code)
        pyi_session_free(loader.session);
    else
        *out = loader.session;
    return code;
}

/* The first bytes tell our own files from upstream's. */
static int read_start(int fd, const char *name, char start[PYI_PYIREC_MAGIC_SIZE], size_t *length,
                      struct pyi_error *err)
{
    *length = 0;
    while (*length < PYI_PYIREC_MAGIC_SIZE) {
        ssize_t got = read(fd, start + *length, PYI_PYIREC_MAGIC_SIZE - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pyi_error_os(err, errno, "cannot read %s", name);
        if (got == 0)
            break;
        *length += (size_t)got;
    }
    return 0;
}

int pyi_session_load(const char *path, struct pyi_session **out, struct pyi_error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    PYI_CLEANUP(pyi_cleanup_close) int own = -1;
    int fd = STDIN_FILENO;
    if (!standard_input) {
        fd = own = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (own < 0)
            return pyi_error_os(err, errno, "cannot open %s", path);
    }
    char start[PYI_PYIREC_MAGIC_SIZE];
    size_t length;
    int code = read_start(fd, name, start, &length, err);
    if (code)
        return code;
    if (pyi_pyirec_is(start, length))
        return pyi_pyirec_load(fd, (struct pyi_text){start, length}, name, out, err);
    struct pyi_json_reader *reader;
    code = pyi_json_reader_open_behind(start, length, fd, name, &reader, err);
    return code ? code : load(reader, name, false, out, err);
}

int pyi_session_from_json(const char *json, size_t length, struct pyi_session **out,
                          struct pyi_error *err)
{
    struct pyi_json_reader *reader;
    int code = pyi_json_reader_open_memory(json, length, "session", &reader, err);
    return code ? code : load(reader, "session", false, out, err);
}

int pyi_pyisession_metadata(const char *json, size_t length, struct pyi_session **out,
                            struct pyi_error *err)
{
    struct pyi_json_reader *reader;
    int code = pyi_json_reader_open_memory(json, length, "metadata", &reader, err);
    return code ? code : load(reader, "metadata", true, out, err);
}
