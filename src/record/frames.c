/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frames.c - frame info strings of recorded frames.
 *
 * In: entries of a target's stacks. Out: frame numbers of a session. A code object has many
 * lines and, as a method, several classes, so the first map names the function (code and
 * class) and the second one its line; both keys fit 64 bits.
 */
#include "src/record/frames.h"

#include "src/base/error.h"

static void append_name(struct pyi_strbuf *buffer, struct pyi_text name)
{
    size_t start = 0;
    for (size_t i = 0; i < name.length; i++) {
        if ((unsigned char)name.data[i] > 1)
            continue;
        pyi_strbuf_append(buffer, name.data + start, i - start);
        pyi_strbuf_string(buffer, "\xef\xbf\xbd");
        start = i + 1;
    }
    pyi_strbuf_append(buffer, name.data + start, name.length - start);
}

void pyi_frames_identifier(struct pyi_strbuf *buffer, struct pyi_text function,
                           struct pyi_text path, int64_t line)
{
    append_name(buffer, function);
    pyi_strbuf_char(buffer, '\0');
    append_name(buffer, path);
    pyi_strbuf_char(buffer, '\0');
    pyi_strbuf_format(buffer, "%lld", (long long)line);
}

void pyi_frames_thread(struct pyi_strbuf *buffer, struct pyi_text name, uint64_t ident)
{
    append_name(buffer, name);
    pyi_strbuf_append(buffer, "\0<thread>\0", 10);
    pyi_strbuf_format(buffer, "%llu", (unsigned long long)ident);
}

static int intern_entry(struct pyi_frames *frames, struct pyi_session *session,
                        const struct pyi_target *target, const struct pyi_stack_entry *entry,
                        uint32_t *out, struct pyi_error *err)
{
    struct pyi_strbuf *text = &frames->scratch;
    const struct pyi_code *code = entry->code;
    pyi_strbuf_reset(text);
    pyi_frames_identifier(text, code->name, code->filename, code->first_line);
    if (entry->class_name) {
        struct pyi_text name = pyi_target_class_name(target, entry->class_name);
        if (name.length) {
            pyi_strbuf_string(text, "\x01"
                                    "c");
            append_name(text, name);
        }
    }
    if (entry->line >= 1)
        pyi_strbuf_format(text, "\x01l%d", (int)entry->line);
    if (code->traceback_hide)
        pyi_strbuf_string(text, "\x01h1");
    if (text->failed)
        return pyi_error_nomem(err);
    return pyi_session_intern_frame(session, pyi_strbuf_get(text), out, err);
}

static int function_number(struct pyi_frames *frames, const struct pyi_stack_entry *entry,
                           uint32_t *out, struct pyi_error *err)
{
    uint64_t key = (uint64_t)entry->code->id << 32 | entry->class_name;
    uint64_t found = 0;
    if (pyi_map_get(&frames->functions, key, &found)) {
        *out = (uint32_t)found;
        return 0;
    }
    if (!pyi_map_put(&frames->functions, key, frames->function_count))
        return pyi_error_nomem(err);
    *out = frames->function_count++;
    return 0;
}

int pyi_frames_get(struct pyi_frames *frames, struct pyi_session *session,
                   const struct pyi_target *target, const struct pyi_stack_entry *entry,
                   uint32_t *out, struct pyi_error *err)
{
    uint32_t function = 0;
    int code = function_number(frames, entry, &function, err);
    if (code)
        return code;
    uint32_t line = entry->line >= 1 ? (uint32_t)entry->line : 0;
    uint64_t key = (uint64_t)function << 32 | line;
    uint64_t found = 0;
    if (pyi_map_get(&frames->lines, key, &found)) {
        *out = (uint32_t)found;
        return 0;
    }
    uint32_t number = 0;
    code = intern_entry(frames, session, target, entry, &number, err);
    if (code)
        return code;
    if (!pyi_map_put(&frames->lines, key, number))
        return pyi_error_nomem(err);
    *out = number;
    return 0;
}

void pyi_frames_reset(struct pyi_frames *frames)
{
    pyi_map_clear(&frames->functions);
    pyi_map_clear(&frames->lines);
    frames->function_count = 0;
}

void pyi_frames_deinit(struct pyi_frames *frames)
{
    pyi_map_deinit(&frames->functions);
    pyi_map_deinit(&frames->lines);
    pyi_strbuf_deinit(&frames->scratch);
    *frames = (struct pyi_frames){0};
}

bool pyi_code_same(const struct pyi_code *a, const struct pyi_code *b)
{
    if (a == b)
        return true;
    return a->first_line == b->first_line && pyi_text_equal(a->name, b->name) &&
           pyi_text_equal(a->filename, b->filename);
}
