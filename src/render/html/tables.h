/* SPDX-License-Identifier: BSD-3-Clause */
/* tables.h - what the page's threads refer to: texts, functions, call paths, each once. */
#ifndef PYI_RENDER_HTML_TABLES_H
#define PYI_RENDER_HTML_TABLES_H

#include "src/base/hash.h"
#include "src/render/html/escape.h"
#include <pyinstrument/session.h>

/* What kind of code a function is; the page has a colour for each. */
enum pyi_html_kind {
    PYI_HTML_APPLICATION,
    PYI_HTML_PACKAGE,
    PYI_HTML_STANDARD_LIBRARY,
    PYI_HTML_NATIVE,
    PYI_HTML_IMPORT,
    PYI_HTML_GC,
    PYI_HTML_WAITING,
    PYI_HTML_THREAD, /* threads and processes */
    PYI_HTML_SYNTHETIC,
};

enum pyi_html_flags {
    PYI_HTML_IS_APPLICATION = 1, /* by the session's own rule */
    PYI_HTML_IS_HIDDEN = 2,      /* __tracebackhide__ */
    PYI_HTML_IS_LEAF = 4,        /* [self], [await], [out-of-context] */
    PYI_HTML_IS_IDLE = 8,        /* a thread that reports leave out */
};

enum { PYI_HTML_NONE = UINT32_MAX };

/* One function: texts are numbers in `strings`. `path` is what `directory` and `base` make. */
struct pyi_html_function {
    uint32_t name, directory, base, class_name, shortened;
    uint32_t path;
    uint32_t kind, flags;
    uint64_t line; /* its first; of a thread its ident */
};

/* One call path: a parent, a function and the line it executes. */
struct pyi_html_node {
    uint32_t parent, function, line; /* parent PYI_HTML_NONE: outermost */
};

struct pyi_html_tables {
    struct pyi_intern strings; /* number 0 is "" */
    struct pyi_intern paths;   /* full paths, not written */
    struct pyi_intern known;   /* keys of functions */
    struct pyi_html_function *functions;
    size_t function_capacity;
    struct pyi_html_node *nodes;
    size_t node_count, node_capacity;
    bool shares;           /* equal nodes become one: a second session over the same tables */
    struct pyi_map places; /* then: function << 32 | line -> place; parent << 32 | place -> node */
    struct pyi_map children;
    bool failed; /* memory or numbers ran out; checked once */
};

bool pyi_html_tables_init(struct pyi_html_tables *tables);
void pyi_html_tables_deinit(struct pyi_html_tables *tables);
/* Number of a text; on failure 0 and `failed`. */
uint32_t pyi_html_string(struct pyi_html_tables *tables, struct pyi_text text);
/* Number of a function; texts are interned, `shortened` is of the first that asked. */
struct pyi_html_name {
    struct pyi_text name, path, class_name, shortened;
    uint64_t line;
    enum pyi_html_kind kind;
    unsigned flags;
};
uint32_t pyi_html_function(struct pyi_html_tables *tables, const struct pyi_html_name *name);
uint32_t pyi_html_node(struct pyi_html_tables *tables, uint32_t parent, uint32_t function,
                       uint32_t line);
static inline size_t pyi_html_function_count(const struct pyi_html_tables *tables)
{
    return tables->known.count;
}

/* "strings", "funcs" and "nodes" of the payload, without commas around them. */
void pyi_html_tables_put(const struct pyi_html_tables *tables, struct pyi_output *output);

#endif
