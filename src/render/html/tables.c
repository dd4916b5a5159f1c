/* SPDX-License-Identifier: BSD-3-Clause */
/* tables.c - texts, functions and call paths of a page, each once, and how they are written.
 *
 * In: names and numbers. Out: their places in the tables, then the tables as columns. Knows nothing
 * of sessions. */
#include "src/render/html/tables.h"

#include "src/base/array.h"
#include <stdlib.h>

bool pyi_html_tables_init(struct pyi_html_tables *tables)
{
    *tables = (struct pyi_html_tables){0};
    return pyi_html_string(tables, pyi_text("")) == 0 && !tables->failed;
}

void pyi_html_tables_deinit(struct pyi_html_tables *tables)
{
    pyi_intern_deinit(&tables->strings);
    pyi_intern_deinit(&tables->paths);
    pyi_intern_deinit(&tables->known);
    pyi_map_deinit(&tables->places);
    pyi_map_deinit(&tables->children);
    free(tables->functions);
    free(tables->nodes);
}

static uint32_t number_of(struct pyi_html_tables *tables, struct pyi_intern *intern,
                          struct pyi_text text)
{
    uint32_t number = pyi_intern_add(intern, text.data, text.length);
    if (number != UINT32_MAX)
        return number;
    tables->failed = true;
    return 0;
}

uint32_t pyi_html_string(struct pyi_html_tables *tables, struct pyi_text text)
{
    return number_of(tables, &tables->strings, text);
}

/* "/usr/lib/x.py" is "/usr/lib/" and "x.py"; made-up paths in angle brackets are not split. */
static size_t directory_length(struct pyi_text path)
{
    const char *slash =
        path.length && path.data[0] != '<' ? memrchr(path.data, '/', path.length) : NULL;
    return slash ? (size_t)(slash - path.data) + 1 : 0;
}

uint32_t pyi_html_function(struct pyi_html_tables *tables, const struct pyi_html_name *name)
{
    size_t split = directory_length(name->path), known = tables->known.count;
    struct pyi_html_function function = {
        .name = pyi_html_string(tables, name->name),
        .directory = pyi_html_string(tables, (struct pyi_text){name->path.data, split}),
        .base = pyi_html_string(
            tables, (struct pyi_text){name->path.data + split, name->path.length - split}),
        .class_name = pyi_html_string(tables, name->class_name),
        .path = number_of(tables, &tables->paths, name->path),
        .kind = name->kind,
        .flags = name->flags,
        .line = name->line,
    };
    /* The key is the function itself, less its short path, which follows from the path. */
    uint32_t number = number_of(tables, &tables->known,
                                (struct pyi_text){(const char *)&function, sizeof(function)});
    if (tables->failed || number < known)
        return number;
    if (!pyi_array_reserve(&tables->functions, &tables->function_capacity, (size_t)number + 1,
                           sizeof(*tables->functions))) {
        tables->failed = true;
        return 0;
    }
    function.shortened = pyi_html_string(tables, name->shortened);
    tables->functions[number] = function;
    return number;
}

static uint64_t pair(uint32_t a, uint32_t b)
{
    return (uint64_t)a << 32 | b;
}

/* The node that is there already; `*key` is what a new one is to be remembered by. */
static uint32_t find_node(struct pyi_html_tables *tables, uint32_t parent, uint32_t function,
                          uint32_t line, uint64_t *key)
{
    uint64_t place, node;
    if (!pyi_map_get(&tables->places, pair(function, line), &place)) {
        place = tables->places.count;
        if (!pyi_map_put(&tables->places, pair(function, line), place))
            tables->failed = true;
    }
    /* Places are fewer than nodes, so that a key of all ones cannot be. */
    *key = pair(parent, (uint32_t)place);
    return pyi_map_get(&tables->children, *key, &node) ? (uint32_t)node : PYI_HTML_NONE;
}

uint32_t pyi_html_node(struct pyi_html_tables *tables, uint32_t parent, uint32_t function,
                       uint32_t line)
{
    uint64_t key = 0;
    uint32_t number =
        tables->shares ? find_node(tables, parent, function, line, &key) : PYI_HTML_NONE;
    if (number != PYI_HTML_NONE)
        return number;
    number = (uint32_t)tables->node_count;
    if (tables->node_count >= PYI_HTML_NONE - 4 ||
        !pyi_array_reserve(&tables->nodes, &tables->node_capacity, tables->node_count + 1,
                           sizeof(*tables->nodes)) ||
        (tables->shares && !pyi_map_put(&tables->children, key, number))) {
        tables->failed = true;
        return 0;
    }
    tables->nodes[tables->node_count++] = (struct pyi_html_node){parent, function, line};
    return number;
}

/* ---- writing ---- */

static void put_strings(const struct pyi_html_tables *tables, struct pyi_output *output)
{
    pyi_output_string(output, "\"strings\":[");
    for (uint32_t i = 0; i < tables->strings.count; i++) {
        if (i)
            pyi_output_char(output, ',');
        pyi_html_json_text(output, pyi_intern_text(&tables->strings, i));
    }
    pyi_output_char(output, ']');
}

static void put_functions(const struct pyi_html_tables *tables, struct pyi_output *output)
{
    static const struct {
        const char *key;
        size_t offset;
    } columns[] = {
        {"name", offsetof(struct pyi_html_function, name)},
        {"dir", offsetof(struct pyi_html_function, directory)},
        {"base", offsetof(struct pyi_html_function, base)},
        {"short", offsetof(struct pyi_html_function, shortened)},
        {"line", offsetof(struct pyi_html_function, line)},
        {"cls", offsetof(struct pyi_html_function, class_name)},
        {"kind", offsetof(struct pyi_html_function, kind)},
        {"flags", offsetof(struct pyi_html_function, flags)},
    };
    size_t count = pyi_html_function_count(tables);
    pyi_output_format(output, "\"funcs\":{\"n\":%zu", count);
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        struct pyi_html_column column;
        pyi_output_format(output, ",\"%s\":", columns[c].key);
        pyi_html_column_begin(&column, output);
        for (size_t i = 0; i < count; i++) {
            const struct pyi_html_function *function = &tables->functions[i];
            uint32_t number;
            memcpy(&number, (const char *)function + columns[c].offset, sizeof(number));
            bool line = columns[c].offset == offsetof(struct pyi_html_function, line);
            pyi_html_column_put(&column, line ? function->line : number);
        }
        pyi_html_column_end(&column);
    }
    pyi_output_char(output, '}');
}

static void put_nodes(const struct pyi_html_tables *tables, struct pyi_output *output)
{
    struct pyi_html_column column;
    pyi_output_format(output, "\"nodes\":{\"n\":%zu,\"parent\":", tables->node_count);
    pyi_html_column_begin(&column, output);
    for (size_t i = 0; i < tables->node_count; i++) {
        uint32_t parent = tables->nodes[i].parent;
        pyi_html_column_put(&column, parent == PYI_HTML_NONE ? 0 : i - parent);
    }
    pyi_html_column_end(&column);
    pyi_output_string(output, ",\"func\":");
    pyi_html_column_begin(&column, output);
    for (size_t i = 0; i < tables->node_count; i++)
        pyi_html_column_put(&column, tables->nodes[i].function);
    pyi_html_column_end(&column);
    pyi_output_string(output, ",\"line\":");
    pyi_html_column_begin(&column, output);
    for (size_t i = 0; i < tables->node_count; i++)
        pyi_html_column_put(&column, tables->nodes[i].line);
    pyi_html_column_end(&column);
    pyi_output_char(output, '}');
}

void pyi_html_tables_put(const struct pyi_html_tables *tables, struct pyi_output *output)
{
    put_strings(tables, output);
    pyi_output_char(output, ',');
    put_functions(tables, output);
    pyi_output_char(output, ',');
    put_nodes(tables, output);
}
