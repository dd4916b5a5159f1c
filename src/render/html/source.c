/* SPDX-License-Identifier: BSD-3-Clause */
/* source.c - text of the functions that took time.
 *
 * In: call paths with their seconds. Out: parts of files, hottest functions first until there is a
 * megabyte. A function ends where the indentation of its first line comes back; nothing is parsed,
 * because the file may be another one than the one that ran. */
#include "src/render/html/source.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/render/html/file.h"
#include <stdlib.h>

enum { MOST_BYTES = 1 << 20, MARGIN = 3, MOST_LINES = 2000, MOST_DECORATORS = 50 };
#define LEAST_SHARE 0.005

void pyi_html_sources_deinit(struct pyi_html_sources *sources)
{
    free(sources->files);
    free(sources->parts);
    pyi_strbuf_deinit(&sources->text);
    *sources = (struct pyi_html_sources){0};
}

/* ---- which functions ---- */

struct hot {
    uint32_t function;
    double seconds;
};

/* A line that a function was seen to execute. */
struct seen {
    uint32_t function, line;
};

struct choice {
    const struct pyi_html_side *side;
    struct hot *hot; /* by time */
    size_t hot_count;
    struct seen *seen; /* by function and line */
    size_t seen_count;
};

static void choice_deinit(struct choice *choice)
{
    free(choice->hot);
    free(choice->seen);
}

static double self_of(const struct pyi_html_side *side, size_t node)
{
    return node < side->self_count ? side->self[node] : 0;
}

/* Seconds per function, calls within calls counted once. NULL: no memory. */
static double *times_of(const struct pyi_html_side *side)
{
    const struct pyi_html_tables *tables = side->tables;
    const size_t nodes = tables->node_count, functions = pyi_html_function_count(tables);
    struct place {
        double total;
        uint32_t first, next;
    };
    PYI_CLEANUP(pyi_cleanup_free) struct place *places = calloc(nodes + 1, sizeof(*places));
    PYI_CLEANUP(pyi_cleanup_free) uint32_t *open = calloc(functions + 1, sizeof(*open));
    double *times = calloc(functions + 1, sizeof(*times));
    if (!places || !open || !times) {
        free(times);
        return NULL;
    }
    /* Places are nodes + 1; place 0 is above all. */
    for (size_t i = nodes; i-- > 0;) {
        uint32_t parent = tables->nodes[i].parent;
        struct place *above = &places[parent == PYI_HTML_NONE ? 0 : (size_t)parent + 1];
        places[i + 1].total += self_of(side, i);
        above->total += places[i + 1].total;
        places[i + 1].next = above->first;
        above->first = (uint32_t)i + 1;
    }
    for (uint32_t at = places[0].first; at;) {
        const struct pyi_html_node *node = &tables->nodes[at - 1];
        if (!open[node->function]++)
            times[node->function] += places[at].total;
        uint32_t next = places[at].first;
        while (!next && at) {
            node = &tables->nodes[at - 1];
            open[node->function]--;
            next = places[at].next;
            at = node->parent == PYI_HTML_NONE ? 0 : node->parent + 1;
        }
        at = next;
    }
    return times;
}

static int compare_hot(const void *a, const void *b)
{
    const struct hot *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds > y->seconds ? -1 : 1;
    return (x->function > y->function) - (x->function < y->function);
}

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->function != y->function)
        return x->function < y->function ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

static bool is_wanted(const struct pyi_html_tables *tables, uint32_t function, bool all)
{
    const struct pyi_html_function *row = &tables->functions[function];
    struct pyi_text path = pyi_intern_text(&tables->paths, row->path);
    if (!path.length || path.data[0] == '<' || row->kind > PYI_HTML_STANDARD_LIBRARY)
        return false;
    return all || (row->flags & PYI_HTML_IS_APPLICATION);
}

static int choose(struct choice *choice, bool all, struct pyi_error *err)
{
    const struct pyi_html_side *side = choice->side;
    const struct pyi_html_tables *tables = side->tables;
    const size_t functions = pyi_html_function_count(tables);
    PYI_CLEANUP(pyi_cleanup_free) double *times = times_of(side);
    choice->hot = calloc(functions + 1, sizeof(*choice->hot));
    choice->seen = calloc(tables->node_count + 1, sizeof(*choice->seen));
    if (!times || !choice->hot || !choice->seen)
        return pyi_error_nomem(err);
    for (uint32_t i = 0; i < functions; i++) {
        if (!(times[i] > 0 && times[i] >= side->summary.total * LEAST_SHARE) ||
            !is_wanted(tables, i, all))
            times[i] = 0;
        else
            choice->hot[choice->hot_count++] = (struct hot){i, times[i]};
    }
    for (size_t i = 0; i < tables->node_count; i++) {
        const struct pyi_html_node *node = &tables->nodes[i];
        if (times[node->function] > 0 && node->line)
            choice->seen[choice->seen_count++] = (struct seen){node->function, node->line};
    }
    qsort(choice->hot, choice->hot_count, sizeof(*choice->hot), compare_hot);
    qsort(choice->seen, choice->seen_count, sizeof(*choice->seen), compare_seen);
    return 0;
}

/* The lines a function was seen on; their number in `*count`. */
static const struct seen *seen_of(const struct choice *choice, uint32_t function, size_t *count)
{
    size_t low = 0, high = choice->seen_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (choice->seen[middle].function < function)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < choice->seen_count && choice->seen[high].function == function;)
        high++;
    *count = high - low;
    return choice->seen + low;
}

/* ---- lines of a file ---- */

struct lines {
    struct pyi_html_text text;
    size_t *begin; /* of line i + 1; one more than there are lines */
    size_t count, capacity;
    unsigned char *wanted; /* by line */
};

static void lines_deinit(struct lines *lines)
{
    pyi_strbuf_deinit(&lines->text.bytes);
    free(lines->begin);
    free(lines->wanted);
}

static bool split_lines(struct lines *lines)
{
    struct pyi_text text = pyi_strbuf_get(&lines->text.bytes);
    for (size_t at = 0;;) {
        if (!pyi_array_reserve(&lines->begin, &lines->capacity, lines->count + 1,
                               sizeof(*lines->begin)))
            return false;
        lines->begin[lines->count] = at;
        if (at == text.length)
            break;
        lines->count++;
        const char *stop = memchr(text.data + at, '\n', text.length - at);
        at = stop ? (size_t)(stop - text.data) + 1 : text.length;
    }
    lines->wanted = calloc(lines->count + 2, 1);
    return lines->wanted != NULL;
}

static struct pyi_text line_at(const struct lines *lines, size_t line)
{
    struct pyi_text text = pyi_strbuf_get(&lines->text.bytes);
    size_t begin = lines->begin[line - 1], end = lines->begin[line];
    return (struct pyi_text){text.data + begin, end - begin};
}

/* Columns before the first character; false for lines without code. */
static bool indent_of(struct pyi_text line, size_t *columns, char *first)
{
    size_t i = 0;
    for (*columns = 0; i < line.length && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
        *columns = line.data[i] == '\t' ? (*columns / 8 + 1) * 8 : *columns + 1;
    if (i == line.length || strchr("\r\n\f#", line.data[i]))
        return false;
    *first = line.data[i];
    return true;
}

static bool begins_definition(struct pyi_text line)
{
    size_t i = 0;
    while (i < line.length && (line.data[i] == ' ' || line.data[i] == '\t'))
        i++;
    struct pyi_text rest = {line.data + i, line.length - i};
    return pyi_text_starts_with(rest, "def ") || pyi_text_starts_with(rest, "async ") ||
           pyi_text_starts_with(rest, "class ") || pyi_text_starts_with(rest, "cdef ") ||
           pyi_text_starts_with(rest, "cpdef ");
}

/* Last line of the function that begins at `first`, with its decorators. */
static size_t end_of(const struct lines *lines, size_t first)
{
    size_t base = 0, columns = 0, start = first;
    char letter;
    while (start < lines->count && start - first < MOST_DECORATORS &&
           !begins_definition(line_at(lines, start)))
        start++;
    if (!begins_definition(line_at(lines, start)) ||
        !indent_of(line_at(lines, start), &base, &letter))
        return first;
    size_t last = start;
    for (size_t line = start + 1; line <= lines->count && line - first < MOST_LINES; line++) {
        if (!indent_of(line_at(lines, line), &columns, &letter))
            continue;
        if (columns <= base && !strchr(")]}", letter))
            break;
        last = line;
    }
    return last;
}

static void want(struct lines *lines, size_t first, size_t last)
{
    first = first > MARGIN ? first - MARGIN : 1;
    last = last + MARGIN < lines->count ? last + MARGIN : lines->count;
    for (size_t line = first; line <= last; line++)
        lines->wanted[line] = 1;
}

static void want_function(struct lines *lines, const struct choice *choice, uint32_t function)
{
    const struct pyi_html_tables *tables = choice->side->tables;
    const struct pyi_html_function *row = &tables->functions[function];
    struct pyi_text name = pyi_intern_text(&tables->strings, row->name);
    bool defined = name.length && name.data[0] != '<'; /* no <module>, <lambda>, <genexpr> */
    size_t count;
    const struct seen *seen = seen_of(choice, function, &count);
    if (defined && row->line >= 1 && row->line <= lines->count)
        want(lines, row->line, end_of(lines, row->line));
    for (size_t i = 0; i < count; i++)
        if (seen[i].line <= lines->count)
            want(lines, seen[i].line, seen[i].line);
}

/* ---- parts ---- */

static bool add_part(struct pyi_html_sources *sources, struct pyi_html_file *file,
                     const struct lines *lines, size_t first, size_t last)
{
    size_t begin = lines->begin[first - 1], length = lines->begin[last] - begin;
    if (!pyi_array_reserve(&sources->parts, &sources->part_capacity, sources->part_count + 1,
                           sizeof(*sources->parts)))
        return false;
    sources->parts[sources->part_count++] =
        (struct pyi_html_part){(uint32_t)first, sources->text.length, length};
    pyi_strbuf_append(&sources->text, pyi_strbuf_get(&lines->text.bytes).data + begin, length);
    file->part_count++;
    return !sources->text.failed;
}

static bool add_parts(struct pyi_html_sources *sources, struct pyi_html_file *file,
                      const struct lines *lines)
{
    for (size_t first = 1; first <= lines->count; first++) {
        if (!lines->wanted[first])
            continue;
        size_t last = first;
        while (last < lines->count && lines->wanted[last + 1])
            last++;
        size_t length = lines->begin[last] - lines->begin[first - 1];
        if (sources->text.length + length > MOST_BYTES)
            file->reason = "more than 1 MB of source text: the rest is left out";
        else if (!add_part(sources, file, lines, first, last))
            return false;
        first = last;
    }
    return true;
}

/* The file below the root of a process that was recorded, as it was or is. */
static const char *read_file(const struct pyi_html_side *side, struct pyi_text path,
                             struct pyi_html_text *out, double *begun)
{
    const struct pyi_attach *attach = side->attach;
    *begun = pyi_session_number(side->session, PYI_SESSION_START_TIME).value;
    if (!attach || !attach->process_count)
        return pyi_html_file_read(pyi_text(""), path, out);
    const char *reason = NULL;
    for (size_t i = 0; i < attach->process_count && i < 64; i++) {
        pyi_strbuf_reset(&out->bytes);
        reason = pyi_html_file_read(attach->processes[i].root, path, out);
        if (!reason || out->bytes.failed)
            return reason;
    }
    return reason;
}

static int add_file(struct pyi_html_sources *sources, const struct choice *choice, size_t hottest,
                    unsigned char *done, struct pyi_error *err)
{
    const struct pyi_html_tables *tables = choice->side->tables;
    uint32_t path = tables->functions[choice->hot[hottest].function].path, first = 0;
    PYI_CLEANUP(lines_deinit) struct lines lines = {0};
    double begun;
    if (!pyi_array_reserve(&sources->files, &sources->file_capacity, sources->file_count + 1,
                           sizeof(*sources->files)))
        return pyi_error_nomem(err);
    while (tables->functions[first].path != path)
        first++;
    struct pyi_html_file *file = &sources->files[sources->file_count++];
    *file = (struct pyi_html_file){.function = first, .first_part = sources->part_count};
    file->reason =
        read_file(choice->side, pyi_intern_text(&tables->paths, path), &lines.text, &begun);
    done[path] = 1;
    if (lines.text.bytes.failed)
        return pyi_error_nomem(err);
    if (file->reason)
        return 0;
    file->stale = lines.text.modified > begun;
    if (!split_lines(&lines))
        return pyi_error_nomem(err);
    for (size_t i = hottest; i < choice->hot_count; i++)
        if (tables->functions[choice->hot[i].function].path == path)
            want_function(&lines, choice, choice->hot[i].function);
    return add_parts(sources, file, &lines) ? 0 : pyi_error_nomem(err);
}

int pyi_html_sources_read(struct pyi_html_sources *sources, const struct pyi_html_side *side,
                          bool all, struct pyi_error *err)
{
    PYI_CLEANUP(choice_deinit) struct choice choice = {.side = side};
    const struct pyi_html_tables *tables = side->tables;
    PYI_CLEANUP(pyi_cleanup_free)
    unsigned char *done = calloc(tables->paths.count + 1, 1); /* by path */
    int code = done ? choose(&choice, all, err) : pyi_error_nomem(err);
    for (size_t i = 0; i < choice.hot_count && !code; i++)
        if (!done[tables->functions[choice.hot[i].function].path])
            code = add_file(sources, &choice, i, done, err);
    return code;
}

void pyi_html_sources_put(const struct pyi_html_sources *sources, struct pyi_output *output)
{
    struct pyi_text text = pyi_strbuf_get(&sources->text);
    pyi_output_string(output, ",\"source\":{");
    for (size_t i = 0; i < sources->file_count; i++) {
        const struct pyi_html_file *file = &sources->files[i];
        pyi_output_format(output, "%s\"%u\":{\"parts\":[", i ? "," : "", file->function);
        for (size_t k = 0; k < file->part_count; k++) {
            const struct pyi_html_part *part = &sources->parts[file->first_part + k];
            pyi_output_format(output, "%s{\"first\":%u,\"text\":", k ? "," : "", part->first);
            pyi_html_json_text(output, (struct pyi_text){text.data + part->begin, part->length});
            pyi_output_char(output, '}');
        }
        pyi_output_format(output, "],\"stale\":%s,\"reason\":", file->stale ? "true" : "false");
        if (file->reason)
            pyi_html_json_text(output, pyi_text(file->reason));
        else
            pyi_output_string(output, "null");
        pyi_output_char(output, '}');
    }
    pyi_output_char(output, '}');
}
