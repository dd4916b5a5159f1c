/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attach.c - the `attach` object of a session file: what upstream's format has no place for.
 *
 * One table per object says which keys it has, of which type and where they go; reading and
 * writing both follow it. Unknown keys and values of another type are skipped, missing ones
 * have the value zero or "". Pointers into the struct are checked against the session later,
 * because the object may come before the records.
 */
#include "src/session/attach.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include <stdlib.h>

enum kind {
    KIND_END,
    KIND_I64,
    KIND_U64,
    KIND_U32,
    KIND_SECONDS,
    KIND_BOOL,
    KIND_TEXT,
    KIND_VERSION,
    KIND_PROCESSES,
    KIND_THREADS,
    KIND_JUMPS,
    KIND_STATES,
    KIND_NOTES,
};

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
};

#define PROCESS(name, kind)                                                                        \
    {                                                                                              \
#name, kind, offsetof(struct pyi_attach_process, name)                                     \
    }
#define THREAD(name, kind)                                                                         \
    {                                                                                              \
#name, kind, offsetof(struct pyi_attach_thread, name)                                      \
    }
#define ATTACH(name, kind)                                                                         \
    {                                                                                              \
#name, kind, offsetof(struct pyi_attach, name)                                             \
    }

/* In the order of the file. */
static const struct field process_fields[] = {
    PROCESS(pid, KIND_I64),       PROCESS(parent, KIND_I64),  PROCESS(command, KIND_TEXT),
    PROCESS(python, KIND_TEXT),   PROCESS(build, KIND_TEXT),  PROCESS(runtime, KIND_TEXT),
    PROCESS(start, KIND_SECONDS), PROCESS(end, KIND_SECONDS), PROCESS(cpu, KIND_SECONDS),
    PROCESS(root, KIND_TEXT),     {NULL, KIND_END, 0},
};
static const struct field thread_fields[] = {
    THREAD(process, KIND_U32), THREAD(name, KIND_TEXT),     THREAD(ident, KIND_U64),
    THREAD(tid, KIND_I64),     THREAD(start, KIND_SECONDS), THREAD(first, KIND_U64),
    THREAD(records, KIND_U64), THREAD(samples, KIND_U64),   THREAD(idle, KIND_BOOL),
    THREAD(cpu, KIND_SECONDS), THREAD(jumps, KIND_JUMPS),   THREAD(states, KIND_STATES),
    {NULL, KIND_END, 0},
};
static const struct field attach_fields[] = {
    {"v", KIND_VERSION, 0},
    ATTACH(tool, KIND_TEXT),
    ATTACH(mode, KIND_TEXT),
    ATTACH(processes, KIND_PROCESSES),
    ATTACH(threads, KIND_THREADS),
    ATTACH(ticks, KIND_U64),
    ATTACH(verified, KIND_U64),
    ATTACH(retried, KIND_U64),
    ATTACH(truncated, KIND_U64),
    ATTACH(lost, KIND_U64),
    ATTACH(missed, KIND_U64),
    ATTACH(unobserved, KIND_SECONDS),
    ATTACH(profiler_cpu, KIND_SECONDS),
    ATTACH(stops, KIND_U64),
    ATTACH(stopped, KIND_SECONDS),
    ATTACH(notes, KIND_NOTES),
    {NULL, KIND_END, 0},
};

static const struct field *find_field(const struct field *fields, struct pyi_text key)
{
    for (; fields->key; fields++) {
        if (pyi_text_equal(key, pyi_text(fields->key)))
            return fields;
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct parser {
    struct pyi_json_reader *reader;
    struct pyi_arena *arena;
    int64_t version;
};

static int64_t to_i64(struct pyi_number number)
{
    if (number.is_integer)
        return number.integer;
    /* 2^63 as a double; NaN fails the comparisons. */
    bool fits = number.value >= -9223372036854775808.0 && number.value < 9223372036854775808.0;
    return fits ? (int64_t)number.value : 0;
}

static uint64_t to_u64(struct pyi_number number)
{
    if (number.is_integer)
        return number.integer < 0 ? 0 : (uint64_t)number.integer;
    bool fits = number.value >= 0 && number.value < 18446744073709551616.0;
    return fits ? (uint64_t)number.value : 0;
}

static void store_number(const struct field *field, char *object, struct pyi_number number)
{
    void *at = object + field->offset;
    uint64_t natural = to_u64(number);
    switch (field->kind) {
    case KIND_I64:
        *(int64_t *)at = to_i64(number);
        break;
    case KIND_U64:
        *(uint64_t *)at = natural;
        break;
    case KIND_U32:
        *(uint32_t *)at = natural < UINT32_MAX ? (uint32_t)natural : UINT32_MAX;
        break;
    case KIND_SECONDS:
        *(double *)at = number.value;
        break;
    default:
        break;
    }
}

static int copy_text(struct parser *parser, struct pyi_text *to, struct pyi_error *err)
{
    struct pyi_text text = pyi_json_text(parser->reader);
    const char *copy = pyi_arena_copy(parser->arena, text.data, text.length);
    if (!copy)
        return pyi_error_nomem(err);
    *to = (struct pyi_text){copy, text.length};
    return 0;
}

static int store_scalar(struct parser *parser, const struct field *field, char *object,
                        enum pyi_json_token token, struct pyi_error *err)
{
    struct pyi_number number = pyi_json_number(parser->reader);
    if (token == PYI_JSON_NUMBER && field->kind == KIND_VERSION)
        parser->version = to_i64(number);
    else if (token == PYI_JSON_NUMBER)
        store_number(field, object, number);
    else if (token == PYI_JSON_STRING && field->kind == KIND_TEXT)
        return copy_text(parser, (struct pyi_text *)(void *)(object + field->offset), err);
    else if (field->kind == KIND_BOOL)
        *(bool *)(object + field->offset) = token == PYI_JSON_TRUE;
    return pyi_json_skip(parser->reader, token, err);
}

/* Elements of an array while their number is not known. */
struct items {
    void *data;
    size_t count, capacity, size;
};

static void items_free(struct items *items)
{
    free(items->data);
}

static void *items_add(struct items *items)
{
    if (!pyi_array_reserve(&items->data, &items->capacity, items->count + 1, items->size))
        return NULL;
    char *item = (char *)items->data + items->count++ * items->size;
    memset(item, 0, items->size);
    return item;
}

static int items_keep(struct parser *parser, const struct items *items, const void *array,
                      size_t *count, struct pyi_error *err)
{
    if (!items->count)
        return 0;
    void *copy = pyi_arena_alloc(parser->arena, items->count * items->size);
    if (!copy)
        return pyi_error_nomem(err);
    memcpy(copy, items->data, items->count * items->size);
    memcpy((void *)(uintptr_t)array, &copy, sizeof(copy));
    *count = items->count;
    return 0;
}

/* The two numbers of a pair; what else stands in the array is skipped. */
static int read_pair(struct parser *parser, struct pyi_number pair[2], struct pyi_error *err)
{
    pair[0] = pair[1] = pyi_number_integer(0);
    for (size_t index = 0;; index++) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_ARRAY_END)
            return code;
        if (index < 2 && token == PYI_JSON_NUMBER)
            pair[index] = pyi_json_number(parser->reader);
        code = pyi_json_skip(parser->reader, token, err);
        if (code)
            return code;
    }
}

static void store_pair(struct items *items, enum kind kind, void *item,
                       const struct pyi_number pair[2])
{
    if (kind == KIND_JUMPS) {
        *(struct pyi_attach_jump *)item = (struct pyi_attach_jump){to_u64(pair[0]), pair[1].value};
        return;
    }
    uint64_t code = to_u64(pair[1]);
    *(struct pyi_attach_state *)item = (struct pyi_attach_state){
        to_u64(pair[0]),
        code <= PYI_STATE_GIL_WAIT ? (enum pyi_state)code : PYI_STATE_UNKNOWN,
    };
}

/* The elements of jumps, states or notes; the array's begin was read. */
static int read_simple_items(struct parser *parser, enum kind kind, struct items *items,
                             struct pyi_error *err)
{
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_ARRAY_END)
            return code;
        bool wanted = token == (kind == KIND_NOTES ? PYI_JSON_STRING : PYI_JSON_ARRAY_BEGIN);
        void *item = wanted ? items_add(items) : NULL;
        if (!wanted) {
            code = pyi_json_skip(parser->reader, token, err);
        } else if (!item) {
            code = pyi_error_nomem(err);
        } else if (kind == KIND_NOTES) {
            code = copy_text(parser, item, err);
        } else {
            struct pyi_number pair[2];
            code = read_pair(parser, pair, err);
            if (!code)
                store_pair(items, kind, item, pair);
        }
        if (code)
            return code;
    }
}

/* Reads the simple arrays of a thread or of the whole; `*array` and `*count` take the result. */
static int read_simple_array(struct parser *parser, enum kind kind, const void *array,
                             size_t *count, struct pyi_error *err)
{
    PYI_CLEANUP(items_free)
    struct items items = {.size = kind == KIND_NOTES   ? sizeof(struct pyi_text)
                                  : kind == KIND_JUMPS ? sizeof(struct pyi_attach_jump)
                                                       : sizeof(struct pyi_attach_state)};
    int code = read_simple_items(parser, kind, &items, err);
    return code ? code : items_keep(parser, &items, array, count, err);
}

static int read_thread_array(struct parser *parser, enum kind kind,
                             struct pyi_attach_thread *thread, struct pyi_error *err)
{
    if (kind == KIND_JUMPS)
        return read_simple_array(parser, kind, &thread->jumps, &thread->jump_count, err);
    return read_simple_array(parser, kind, &thread->states, &thread->state_count, err);
}

static void default_texts(const struct field *fields, char *object)
{
    for (; fields->key; fields++) {
        if (fields->kind == KIND_TEXT)
            *(struct pyi_text *)(void *)(object + fields->offset) = pyi_text("");
    }
}

/* A process or a thread whose begin was read. */
static int read_row(struct parser *parser, const struct field *fields, char *object,
                    struct pyi_error *err)
{
    default_texts(fields, object);
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_OBJECT_END)
            return code;
        const struct field *field = find_field(fields, pyi_json_text(parser->reader));
        code = pyi_json_next(parser->reader, &token, err);
        if (code)
            return code;
        bool array = field && (field->kind == KIND_JUMPS || field->kind == KIND_STATES);
        if (array && token == PYI_JSON_ARRAY_BEGIN)
            code = read_thread_array(parser, field->kind,
                                     (struct pyi_attach_thread *)(void *)object, err);
        else if (field && !array)
            code = store_scalar(parser, field, object, token, err);
        else
            code = pyi_json_skip(parser->reader, token, err);
        if (code)
            return code;
    }
}

static int read_rows(struct parser *parser, const struct field *fields, struct items *items,
                     struct pyi_error *err)
{
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_ARRAY_END)
            return code;
        /* Other values keep their place, because threads refer to processes by number. */
        void *item = items_add(items);
        if (!item)
            return pyi_error_nomem(err);
        default_texts(fields, item);
        code = token == PYI_JSON_OBJECT_BEGIN ? read_row(parser, fields, item, err)
                                              : pyi_json_skip(parser->reader, token, err);
        if (code)
            return code;
    }
}

static int read_array(struct parser *parser, enum kind kind, struct pyi_attach *attach,
                      struct pyi_error *err)
{
    if (kind == KIND_NOTES)
        return read_simple_array(parser, kind, &attach->notes, &attach->note_count, err);
    bool threads = kind == KIND_THREADS;
    PYI_CLEANUP(items_free)
    struct items items = {.size = threads ? sizeof(struct pyi_attach_thread)
                                          : sizeof(struct pyi_attach_process)};
    int code = read_rows(parser, threads ? thread_fields : process_fields, &items, err);
    if (code)
        return code;
    return threads ? items_keep(parser, &items, &attach->threads, &attach->thread_count, err)
                   : items_keep(parser, &items, &attach->processes, &attach->process_count, err);
}

static int read_top(struct parser *parser, struct pyi_attach *attach, struct pyi_error *err)
{
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_OBJECT_END)
            return code;
        const struct field *field = find_field(attach_fields, pyi_json_text(parser->reader));
        code = pyi_json_next(parser->reader, &token, err);
        if (code)
            return code;
        bool array = field && (field->kind == KIND_PROCESSES || field->kind == KIND_THREADS ||
                               field->kind == KIND_NOTES);
        if (array && token == PYI_JSON_ARRAY_BEGIN)
            code = read_array(parser, field->kind, attach, err);
        else if (field && !array)
            code = store_scalar(parser, field, (char *)attach, token, err);
        else
            code = pyi_json_skip(parser->reader, token, err);
        if (code)
            return code;
    }
}

int pyi_attach_read(struct pyi_json_reader *reader, struct pyi_arena *arena,
                    struct pyi_attach **out, int64_t *version, struct pyi_error *err)
{
    struct parser parser = {reader, arena, PYI_ATTACH_VERSION};
    struct pyi_attach *attach = pyi_arena_alloc(arena, sizeof(*attach));
    if (!attach)
        return pyi_error_nomem(err);
    default_texts(attach_fields, (char *)attach);
    int code = read_top(&parser, attach, err);
    if (code)
        return code;
    *out = attach;
    *version = parser.version;
    return 0;
}

int pyi_attach_check(const struct pyi_attach *attach, uint64_t record_count, struct pyi_error *err)
{
    for (size_t i = 0; i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        if (thread->process && thread->process >= attach->process_count)
            return pyi_error_set(err, PYI_E_FORMAT, "thread %zu belongs to no process", i);
        if (thread->first > record_count || thread->records > record_count - thread->first)
            return pyi_error_set(err, PYI_E_FORMAT, "thread %zu has records that do not exist", i);
        for (size_t j = 0; j < thread->jump_count; j++) {
            /* A jump may come last: the thread was seen again, but no sample of it. */
            if (thread->jumps[j].record > thread->records)
                return pyi_error_set(err, PYI_E_FORMAT, "thread %zu jumps where no record is", i);
        }
    }
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void write_seconds(struct pyi_output *output, double seconds)
{
    pyi_json_write_number(output, pyi_number_double(seconds));
}

static void write_thread_array(struct pyi_output *output, const struct pyi_attach_thread *thread,
                               enum kind kind)
{
    pyi_output_char(output, '[');
    for (size_t i = 0; kind == KIND_JUMPS && i < thread->jump_count; i++) {
        pyi_output_format(output, "%s[%llu, ", i ? ", " : "",
                          (unsigned long long)thread->jumps[i].record);
        write_seconds(output, thread->jumps[i].seconds);
        pyi_output_char(output, ']');
    }
    for (size_t i = 0; kind == KIND_STATES && i < thread->state_count; i++)
        pyi_output_format(output, "%s[%llu, %d]", i ? ", " : "",
                          (unsigned long long)thread->states[i].records,
                          (int)thread->states[i].code);
    pyi_output_char(output, ']');
}

static void write_value(struct pyi_output *output, const struct field *field, const char *object)
{
    const void *at = object + field->offset;
    switch (field->kind) {
    case KIND_VERSION:
        pyi_output_format(output, "%d", PYI_ATTACH_VERSION);
        break;
    case KIND_I64:
        pyi_output_format(output, "%lld", (long long)*(const int64_t *)at);
        break;
    case KIND_U64:
        pyi_output_format(output, "%llu", (unsigned long long)*(const uint64_t *)at);
        break;
    case KIND_U32:
        pyi_output_format(output, "%u", *(const uint32_t *)at);
        break;
    case KIND_SECONDS:
        write_seconds(output, *(const double *)at);
        break;
    case KIND_BOOL:
        pyi_output_string(output, *(const bool *)at ? "true" : "false");
        break;
    case KIND_TEXT:
        pyi_json_write_ascii(output, *(const struct pyi_text *)at);
        break;
    default:
        write_thread_array(output, (const struct pyi_attach_thread *)(const void *)object,
                           field->kind);
    }
}

static void write_row(struct pyi_output *output, const struct field *fields, const char *object)
{
    pyi_output_char(output, '{');
    for (const struct field *field = fields; field->key; field++) {
        pyi_output_format(output, "%s\"%s\": ", field == fields ? "" : ", ", field->key);
        write_value(output, field, object);
    }
    pyi_output_char(output, '}');
}

static void write_array(struct pyi_output *output, const struct pyi_attach *attach, enum kind kind)
{
    pyi_output_char(output, '[');
    for (size_t i = 0; kind == KIND_PROCESSES && i < attach->process_count; i++) {
        pyi_output_string(output, i ? ", " : "");
        write_row(output, process_fields, (const char *)&attach->processes[i]);
    }
    for (size_t i = 0; kind == KIND_THREADS && i < attach->thread_count; i++) {
        pyi_output_string(output, i ? ", " : "");
        write_row(output, thread_fields, (const char *)&attach->threads[i]);
    }
    for (size_t i = 0; kind == KIND_NOTES && i < attach->note_count; i++) {
        pyi_output_string(output, i ? ", " : "");
        pyi_json_write_ascii(output, attach->notes[i]);
    }
    pyi_output_char(output, ']');
}

void pyi_attach_write(struct pyi_output *output, const struct pyi_attach *attach)
{
    pyi_output_char(output, '{');
    for (const struct field *field = attach_fields; field->key; field++) {
        pyi_output_format(output, "%s\"%s\": ", field == attach_fields ? "" : ", ", field->key);
        if (field->kind == KIND_PROCESSES || field->kind == KIND_THREADS ||
            field->kind == KIND_NOTES)
            write_array(output, attach, field->kind);
        else
            write_value(output, field, (const char *)attach);
    }
    pyi_output_char(output, '}');
}

/* ---- copying ------------------------------------------------------------------------------- */

/* Copies of the texts of one object, in place. */
static bool own_texts(struct pyi_arena *arena, const struct field *fields, char *object)
{
    for (; fields->key; fields++) {
        if (fields->kind != KIND_TEXT)
            continue;
        struct pyi_text *text = (struct pyi_text *)(void *)(object + fields->offset);
        text->data = pyi_arena_copy(arena, text->data, text->length);
        if (!text->data)
            return false;
    }
    return true;
}

/* The array with `more` elements behind it, NULL on lack of memory. */
static void *joined(struct pyi_arena *arena, const void *array, size_t count, const void *more,
                    size_t more_count, size_t size)
{
    if (count > SIZE_MAX / 4 / size || more_count > SIZE_MAX / 4 / size)
        return NULL;
    char *copy = pyi_arena_alloc(arena, (count + more_count) * size);
    if (!copy)
        return NULL;
    if (count)
        memcpy(copy, array, count * size);
    if (more_count)
        memcpy(copy + count * size, more, more_count * size);
    return copy;
}

/* Times of the copy are `seconds` later. */
static bool own_thread(struct pyi_arena *arena, struct pyi_attach_thread *thread, double seconds)
{
    struct pyi_attach_jump *jumps =
        joined(arena, thread->jumps, thread->jump_count, NULL, 0, sizeof(*jumps));
    thread->states =
        joined(arena, thread->states, thread->state_count, NULL, 0, sizeof(*thread->states));
    for (size_t i = 0; jumps && i < thread->jump_count; i++)
        jumps[i].seconds += seconds;
    thread->start += seconds;
    thread->jumps = jumps;
    return jumps && thread->states && own_texts(arena, thread_fields, (char *)thread);
}

static bool join_processes(struct pyi_arena *arena, struct pyi_attach *attach,
                           const struct pyi_attach *later, double seconds)
{
    struct pyi_attach_process *all = joined(arena, attach->processes, attach->process_count,
                                            later->processes, later->process_count, sizeof(*all));
    if (!all)
        return false;
    for (size_t i = 0; i < later->process_count; i++) {
        struct pyi_attach_process *process = &all[attach->process_count + i];
        process->start += seconds;
        process->end += seconds;
        if (!own_texts(arena, process_fields, (char *)process))
            return false;
    }
    attach->processes = all;
    return true;
}

static bool join_threads(struct pyi_arena *arena, struct pyi_attach *attach,
                         const struct pyi_attach *later, uint64_t records, double seconds)
{
    struct pyi_attach_thread *all = joined(arena, attach->threads, attach->thread_count,
                                           later->threads, later->thread_count, sizeof(*all));
    if (!all)
        return false;
    for (size_t i = 0; i < later->thread_count; i++) {
        struct pyi_attach_thread *thread = &all[attach->thread_count + i];
        thread->process += (uint32_t)attach->process_count;
        thread->first += records;
        if (!own_thread(arena, thread, seconds))
            return false;
    }
    attach->threads = all;
    attach->thread_count += later->thread_count;
    return true;
}

static bool join_notes(struct pyi_arena *arena, struct pyi_attach *attach,
                       const struct pyi_attach *later)
{
    struct pyi_text *all = joined(arena, attach->notes, attach->note_count, later->notes,
                                  later->note_count, sizeof(*all));
    if (!all)
        return false;
    for (size_t i = 0; i < later->note_count; i++) {
        struct pyi_text *note = &all[attach->note_count + i];
        note->data = pyi_arena_copy(arena, note->data, note->length);
        if (!note->data)
            return false;
    }
    attach->notes = all;
    attach->note_count += later->note_count;
    return true;
}

bool pyi_attach_join(struct pyi_arena *arena, struct pyi_attach *attach,
                     const struct pyi_attach *later, uint64_t records, double seconds)
{
    if (!join_processes(arena, attach, later, seconds) ||
        !join_threads(arena, attach, later, records, seconds) || !join_notes(arena, attach, later))
        return false;
    attach->process_count += later->process_count;
    attach->ticks += later->ticks;
    attach->verified += later->verified;
    attach->retried += later->retried;
    attach->truncated += later->truncated;
    attach->lost += later->lost;
    attach->missed += later->missed;
    attach->stops += later->stops;
    attach->unobserved += later->unobserved;
    attach->profiler_cpu += later->profiler_cpu;
    attach->stopped += later->stopped;
    return true;
}

struct pyi_attach *pyi_attach_copy(struct pyi_arena *arena, const struct pyi_attach *attach)
{
    struct pyi_attach *copy = pyi_arena_alloc(arena, sizeof(*copy));
    if (!copy)
        return NULL;
    copy->tool = attach->tool;
    copy->mode = attach->mode;
    if (!own_texts(arena, attach_fields, (char *)copy) ||
        !pyi_attach_join(arena, copy, attach, 0, 0))
        return NULL;
    return copy;
}
