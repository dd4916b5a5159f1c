/* SPDX-License-Identifier: BSD-3-Clause */
/* pstats.c - a marshalled table for Python's pstats tools.
 *
 * In: a session and options. Out: the smallest marshal encoding that every Python 3 reads. Sums
 * are made in tree order; call counts are unknown to a sampler and always -1. */
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/output.h"
#include "src/render/options.h"
#include <stdlib.h>

enum { NONE = UINT32_MAX };

/* One function; its callers are a chain in order of first sight. */
struct entry {
    const struct pyi_frame *frame; /* names it */
    double self, total;
    uint32_t first_caller, last_caller;
};

struct caller {
    double self, total;
    uint32_t parent, next;
};

struct table {
    struct pyi_intern keys; /* number = entry */
    struct entry *entries;
    size_t entry_capacity;
    struct caller *callers;
    size_t caller_count, caller_capacity;
    struct pyi_map caller_numbers; /* entry << 32 | parent's entry -> caller */
};

static void table_deinit(struct table *table)
{
    pyi_intern_deinit(&table->keys);
    pyi_map_deinit(&table->caller_numbers);
    free(table->entries);
    free(table->callers);
}

static int64_t line_of(const struct pyi_frame *frame)
{
    int64_t line = 0;
    return pyi_frame_line(frame, &line) ? line : 0;
}

/* Number of the frame's entry, made when new; NONE on lack of memory. */
static uint32_t find_entry(struct table *table, const struct pyi_frame *frame)
{
    struct pyi_strbuf key = {0};
    pyi_strbuf_text(&key, pyi_frame_file_path(frame));
    pyi_strbuf_char(&key, '\0');
    pyi_strbuf_format(&key, "%lld", (long long)line_of(frame));
    pyi_strbuf_char(&key, '\0');
    pyi_strbuf_text(&key, pyi_frame_function(frame));
    struct pyi_text text = pyi_strbuf_get(&key);
    size_t known = table->keys.count;
    uint32_t number = key.failed ? NONE : pyi_intern_add(&table->keys, text.data, text.length);
    pyi_strbuf_deinit(&key);
    if (number == NONE || number < known)
        return number;
    if (!pyi_array_reserve(&table->entries, &table->entry_capacity, (size_t)number + 1,
                           sizeof(*table->entries)))
        return NONE;
    table->entries[number] =
        (struct entry){.frame = frame, .first_caller = NONE, .last_caller = NONE};
    return number;
}

static struct caller *find_caller(struct table *table, uint32_t entry, uint32_t parent)
{
    uint64_t key = (uint64_t)entry << 32 | parent, number;
    if (pyi_map_get(&table->caller_numbers, key, &number))
        return &table->callers[number];
    number = table->caller_count;
    if (number >= NONE ||
        !pyi_array_reserve(&table->callers, &table->caller_capacity, table->caller_count + 1,
                           sizeof(*table->callers)) ||
        !pyi_map_put(&table->caller_numbers, key, number))
        return NULL;
    struct entry *owner = &table->entries[entry];
    table->callers[table->caller_count++] = (struct caller){.parent = parent, .next = NONE};
    if (owner->last_caller == NONE)
        owner->first_caller = (uint32_t)number;
    else
        table->callers[owner->last_caller].next = (uint32_t)number;
    owner->last_caller = (uint32_t)number;
    return &table->callers[number];
}

static int add_frame(struct table *table, const struct pyi_frame *frame, struct pyi_error *err)
{
    uint32_t number = find_entry(table, frame);
    if (number == NONE)
        return pyi_error_nomem(err);
    double self = pyi_frame_self_time(frame), total = pyi_frame_time(frame);
    table->entries[number].self += self;
    table->entries[number].total += total;
    const struct pyi_frame *parent = pyi_frame_parent(frame);
    if (!parent)
        return 0;
    uint32_t parent_number = find_entry(table, parent);
    struct caller *caller =
        parent_number == NONE ? NULL : find_caller(table, number, parent_number);
    if (!caller)
        return pyi_error_nomem(err);
    caller->self += self;
    caller->total += total;
    return 0;
}

/* All frames but synthetic ones below the root; those are leaves, or a [root] of a strange file. */
static int fill(struct table *table, const struct pyi_frame *root, struct pyi_error *err)
{
    const struct pyi_frame *frame = root;
    while (frame) {
        bool skipped = frame != root && pyi_frame_is_synthetic(frame);
        int code = skipped ? 0 : add_frame(table, frame, err);
        if (code)
            return code;
        const struct pyi_frame *next = skipped ? NULL : pyi_frame_first_child(frame);
        for (; !next && frame != root; frame = pyi_frame_parent(frame))
            next = pyi_frame_next(frame);
        frame = next;
    }
    return 0;
}

/* ---- marshal ---- */

static void put_little(struct pyi_output *output, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        pyi_output_char(output, (char)(value >> 8 * i));
}

static void put_integer(struct pyi_output *output, int64_t value)
{
    if (value >= INT32_MIN && value <= INT32_MAX) {
        pyi_output_char(output, 'i');
        put_little(output, (uint64_t)value, 4);
        return;
    }
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    int32_t digits = 0;
    for (uint64_t rest = magnitude; rest; rest >>= 15)
        digits++;
    pyi_output_char(output, 'l');
    put_little(output, (uint64_t)(value < 0 ? -digits : digits), 4);
    for (; digits > 0; digits--, magnitude >>= 15)
        put_little(output, magnitude & 0x7fff, 2);
}

static void put_float(struct pyi_output *output, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    pyi_output_char(output, 'g');
    put_little(output, bits, 8);
}

static void put_text(struct pyi_output *output, struct pyi_text text)
{
    pyi_output_char(output, 'u');
    put_little(output, text.length, 4);
    pyi_output_text(output, text);
}

static void put_tuple(struct pyi_output *output, int items)
{
    pyi_output_char(output, ')');
    pyi_output_char(output, (char)items);
}

static void put_key(struct pyi_output *output, const struct entry *entry)
{
    put_tuple(output, 3);
    put_text(output, pyi_frame_file_path(entry->frame));
    put_integer(output, line_of(entry->frame));
    put_text(output, pyi_frame_function(entry->frame));
}

static void put_sums(struct pyi_output *output, int items, double self, double total)
{
    put_tuple(output, items);
    put_integer(output, -1);
    put_integer(output, -1);
    put_float(output, self);
    put_float(output, total);
}

static void put_table(struct pyi_output *output, const struct table *table)
{
    pyi_output_char(output, '{');
    for (size_t i = 0; i < table->keys.count; i++) {
        const struct entry *entry = &table->entries[i];
        put_key(output, entry);
        put_sums(output, 5, entry->self, entry->total);
        pyi_output_char(output, '{');
        for (uint32_t at = entry->first_caller; at != NONE; at = table->callers[at].next) {
            const struct caller *caller = &table->callers[at];
            put_key(output, &table->entries[caller->parent]);
            put_sums(output, 4, caller->self, caller->total);
        }
        pyi_output_char(output, '0');
    }
    pyi_output_char(output, '0');
}

static int render_pstats(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    PYI_CLEANUP(table_deinit) struct table table = {0};
    int code = pyi_render_tree(session, options, 0, PYI_LIST_PSTATS, &tree, err);
    if (!code && pyi_tree_root(tree))
        code = fill(&table, pyi_tree_root(tree), err);
    if (code)
        return code;
    struct pyi_output output;
    pyi_output_init(&output, sink);
    put_table(&output, &table);
    return pyi_output_finish(&output, err);
}

const struct pyi_renderer pyi_renderer_pstats = {
    .name = "pstats",
    .class_name = "PstatsRenderer",
    .extensions = (const char *const[]){".pstats", NULL},
    .options = (const char *const[]){"show_all", "timeline", "processor_options", NULL},
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_BINARY,
    .render = render_pstats,
};
