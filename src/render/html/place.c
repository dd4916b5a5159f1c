/* SPDX-License-Identifier: BSD-3-Clause */
/* place.c - from a session's stacks to the page's call paths.
 *
 * In: numbers of stacks. Out: numbers of nodes, made on the way. Frames of processes and threads and
 * the start call stack above the default report's root become no nodes. Also decides what kind of
 * code a function is. */
#include "src/render/html/side.h"

#include "src/base/array.h"
#include "src/render/export.h"

/* ---- kinds ---- */

/* What an identifier alone says. */
struct origin {
    enum pyi_html_kind kind;
    unsigned flags;
    bool as_parent; /* code of <string> is what its caller is */
};

static bool ends_with(struct pyi_text text, const char *ending)
{
    size_t length = strlen(ending);
    return text.length >= length && !memcmp(text.data + text.length - length, ending, length);
}

/* Paths that name no file. */
static bool made_up(struct pyi_text path, enum pyi_html_kind *kind)
{
    static const struct {
        const char *path;
        enum pyi_html_kind kind;
    } rows[] = {
        {"<thread>", PYI_HTML_THREAD},   {"<process>", PYI_HTML_THREAD},
        {"<built-in>", PYI_HTML_NATIVE}, {"<wait>", PYI_HTML_WAITING},
        {"<gc>", PYI_HTML_GC},           {"<extended>", PYI_HTML_SYNTHETIC},
        {"<gap>", PYI_HTML_SYNTHETIC},   {"<truncated>", PYI_HTML_SYNTHETIC},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!pyi_text_equal(path, pyi_text(rows[i].path)))
            continue;
        *kind = rows[i].kind;
        return true;
    }
    return false;
}

static enum pyi_html_kind library_kind(struct pyi_text path)
{
    enum pyi_html_kind kind;
    if (made_up(path, &kind))
        return kind;
    /* CPython 3.x, Lib/importlib: its frozen modules, and the same as files. */
    if (pyi_text_starts_with(path, "<frozen importlib") ||
        pyi_text_contains(path, "/importlib/_bootstrap"))
        return PYI_HTML_IMPORT;
    if (pyi_text_starts_with(path, "<frozen "))
        return PYI_HTML_STANDARD_LIBRARY;
    if (ends_with(path, ".so") || pyi_text_contains(path, ".so."))
        return PYI_HTML_NATIVE;
    if (path.data[0] == '<' || pyi_text_contains(path, "/site-packages/") ||
        pyi_text_contains(path, "/dist-packages/"))
        return PYI_HTML_PACKAGE;
    return PYI_HTML_STANDARD_LIBRARY;
}

static struct origin origin_of(const struct pyi_session *session, struct pyi_text identifier,
                               struct pyi_text path)
{
    static const char *const leaves[] = {"[self]", "[await]", "[out-of-context]"};
    struct origin origin = {.kind = PYI_HTML_SYNTHETIC};
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        if (pyi_text_equal(identifier, pyi_text(leaves[i])))
            origin.flags = PYI_HTML_IS_LEAF;
    if (!path.length)
        return origin;
    if (pyi_session_is_library_path(session, path)) {
        origin.kind = library_kind(path);
        return origin;
    }
    if (path.data[0] != '<' || pyi_text_starts_with(path, "<ipython-input-")) {
        origin.kind = ends_with(path, ".so") ? PYI_HTML_NATIVE : PYI_HTML_APPLICATION;
        origin.flags = PYI_HTML_IS_APPLICATION;
        return origin;
    }
    origin.as_parent =
        pyi_text_equal(path, pyi_text("<string>")) || pyi_text_equal(path, pyi_text("<stdin>"));
    origin.kind = library_kind(path);
    return origin;
}

/* ---- functions ---- */

static bool is_hidden(struct pyi_text info)
{
    const char *mark = memchr(info.data, '\1', info.length), *end = info.data + info.length;
    for (; mark; mark = memchr(mark + 1, '\1', (size_t)(end - mark) - 1)) {
        size_t left = (size_t)(end - mark);
        if (left >= 3 && mark[1] == 'h' && mark[2] == '1' && (left == 3 || mark[3] == '\1'))
            return true;
    }
    return false;
}

/* Which of a function's rows: as what its caller is, it may be several kinds of code. */
enum variant { AS_APPLICATION, AS_PACKAGE, AS_LIBRARY };

static uint32_t function_of(struct pyi_html_side *side, uint32_t frame, enum variant variant,
                            unsigned more_flags)
{
    struct pyi_text info = pyi_session_frame_info(side->session, frame), identifier = info;
    struct pyi_export_info parts;
    pyi_export_split(info, &parts);
    (void)pyi_text_part(info, '\1', 0, &identifier);
    struct origin origin = origin_of(side->session, identifier, parts.path);
    struct pyi_html_name name = {
        .name = parts.function,
        .path = parts.path,
        .class_name = parts.class_name,
        .shortened =
            parts.path.length ? pyi_session_shorten_path(side->session, parts.path) : parts.path,
        .line = parts.first_line > 0 ? (uint64_t)parts.first_line : 0,
        .kind = origin.kind,
        .flags = origin.flags | more_flags,
    };
    if (is_hidden(info))
        name.flags |= PYI_HTML_IS_HIDDEN;
    if (origin.as_parent) {
        static const enum pyi_html_kind kinds[] = {PYI_HTML_APPLICATION, PYI_HTML_PACKAGE,
                                                   PYI_HTML_STANDARD_LIBRARY};
        name.kind = kinds[variant];
        name.flags |= variant == AS_APPLICATION ? PYI_HTML_IS_APPLICATION : 0;
    }
    return pyi_html_function(side->tables, &name);
}

uint32_t pyi_html_frame_function(struct pyi_html_side *side, uint32_t stack, unsigned more_flags)
{
    return function_of(side, pyi_session_stack_frame(side->session, stack), AS_LIBRARY, more_flags);
}

static struct pyi_html_info *info_at(struct pyi_html_side *side, uint32_t frame)
{
    if (frame >= side->info_count) {
        if (!pyi_array_reserve(&side->infos, &side->info_capacity, (size_t)frame + 1,
                               sizeof(*side->infos)))
            return NULL;
        memset(side->infos + side->info_count, 0,
               (side->info_capacity - side->info_count) * sizeof(*side->infos));
        side->info_count = side->info_capacity;
    }
    struct pyi_html_info *info = &side->infos[frame];
    if (info->known)
        return info;
    struct pyi_export_info parts;
    struct pyi_text text = pyi_session_frame_info(side->session, frame);
    pyi_export_split(text, &parts);
    info->line = parts.line > 0 && parts.line < UINT32_MAX ? (uint32_t)parts.line : 0;
    info->known = true;
    return info;
}

/* What the caller makes of code without a file: the tree's root is the application's. */
static enum variant variant_below(const struct pyi_html_side *side, uint32_t parent, uint32_t depth)
{
    const struct pyi_html_tables *tables = side->tables;
    if (parent == PYI_HTML_NONE) {
        bool is_root = side->summary.root_depth ? depth == side->summary.root_depth
                                                : depth == 1 && side->summary.single;
        return is_root ? AS_APPLICATION : AS_LIBRARY;
    }
    const struct pyi_html_function *caller = &tables->functions[tables->nodes[parent].function];
    if (caller->flags & PYI_HTML_IS_APPLICATION)
        return AS_APPLICATION;
    return caller->kind == PYI_HTML_PACKAGE ? AS_PACKAGE : AS_LIBRARY;
}

/* ---- nodes ---- */

static uint32_t new_node(struct pyi_html_side *side, uint32_t frame, uint32_t parent,
                         uint32_t depth)
{
    struct pyi_html_info *info = info_at(side, frame);
    if (!info || side->tables->failed)
        return PYI_HTML_NONE;
    enum variant variant = variant_below(side, parent, depth);
    if (!info->rows[variant])
        info->rows[variant] = function_of(side, frame, variant, 0) + 1;
    if (side->tables->failed)
        return PYI_HTML_NONE;
    uint32_t node = pyi_html_node(side->tables, parent, info->rows[variant] - 1, info->line);
    return side->tables->failed ? PYI_HTML_NONE : node;
}

static bool has_path(struct pyi_text identifier, const char *path)
{
    struct pyi_text part;
    return pyi_text_part(identifier, '\0', 1, &part) && pyi_text_equal(part, pyi_text(path));
}

static bool on_stem(const struct pyi_html_side *side, struct pyi_text identifier, uint32_t depth)
{
    struct pyi_text start;
    if (depth >= side->summary.root_depth)
        return false;
    start = pyi_session_list_item(side->session, PYI_SESSION_START_CALL_STACK, depth - 1);
    (void)pyi_text_part(start, '\1', 0, &start);
    return pyi_text_equal(identifier, start);
}

/* Place of a stack whose parent has one. */
static bool place_one(struct pyi_html_side *side, uint32_t stack, uint32_t parent,
                      struct pyi_html_place *out)
{
    const struct pyi_html_place *above = parent ? &side->places[parent] : NULL;
    uint32_t depth = pyi_session_stack_depth(side->session, stack);
    uint32_t frame = pyi_session_stack_frame(side->session, stack);
    uint32_t caller =
        above && above->node >= PYI_HTML_PLACED ? above->node - PYI_HTML_PLACED : PYI_HTML_NONE;
    struct pyi_html_place place = {.lane = above ? above->lane : 0};
    if (caller == PYI_HTML_NONE) {
        struct pyi_text identifier = pyi_session_frame_info(side->session, frame);
        (void)pyi_text_part(identifier, '\1', 0, &identifier);
        /* At most a process stands above a thread. */
        bool thread = !place.lane && depth <= 2 && has_path(identifier, "<thread>");
        bool process = depth == 1 && has_path(identifier, "<process>");
        bool stem = (!above || above->node == PYI_HTML_STEM) && on_stem(side, identifier, depth);
        if (thread)
            place.lane = stack;
        place.node = stem ? PYI_HTML_STEM : thread || process ? PYI_HTML_ABOVE : PYI_HTML_UNKNOWN;
    }
    if (place.node == PYI_HTML_UNKNOWN) {
        uint32_t node = new_node(side, frame, caller, depth);
        if (node == PYI_HTML_NONE)
            return false;
        place.node = node + PYI_HTML_PLACED;
    }
    *out = place;
    return true;
}

bool pyi_html_place(struct pyi_html_side *side, uint32_t stack, uint32_t *node, uint32_t *lane)
{
    size_t depth = 0;
    *node = (uint32_t)side->tables->node_count;
    *lane = 0;
    if (!stack)
        return true;
    if (stack >= side->place_count) {
        if (!pyi_array_reserve(&side->places, &side->place_capacity, (size_t)stack + 1,
                               sizeof(*side->places)))
            return false;
        memset(side->places + side->place_count, 0,
               (side->place_capacity - side->place_count) * sizeof(*side->places));
        side->place_count = side->place_capacity;
    }
    uint32_t at = stack;
    for (; at && !side->places[at].node; at = pyi_session_stack_parent(side->session, at)) {
        if (!pyi_array_reserve(&side->path, &side->path_capacity, depth + 1, sizeof(*side->path)))
            return false;
        side->path[depth++] = at;
    }
    while (depth) {
        uint32_t next = side->path[--depth];
        if (!place_one(side, next, at, &side->places[next]))
            return false;
        at = next;
    }
    if (side->places[stack].node >= PYI_HTML_PLACED)
        *node = side->places[stack].node - PYI_HTML_PLACED;
    *lane = side->places[stack].lane;
    return true;
}
