/* SPDX-License-Identifier: BSD-3-Clause */
/* info.c - frame info strings taken apart: identifier, function, path, line, attributes.
 *
 * In: the session's strings. Out: one pyi_frame_info per string, one pyi_identifier per distinct
 * identifier, both in the tree's arena. Knows the grammar of pyisession(5), nothing of frames. */
#include "src/tree/tree.h"

#include "src/base/array.h"
#include "src/base/text.h"

enum { COMPARABLE = 16 }; /* so many attributes are compared with each other */

struct pyi_text pyi_info_identifier(struct pyi_text info)
{
    const char *mark = memchr(info.data, '\1', info.length);
    if (mark)
        info.length = (size_t)(mark - info.data);
    return info;
}

static bool is_blank(unsigned char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1c && byte <= 0x1f);
}

/* Python's int(text) for ASCII digits: blanks around, a sign, single '_' between digits. */
static bool parse_line(struct pyi_text text, int64_t *out)
{
    const char *p = text.data, *end = p + text.length;
    while (p < end && is_blank((unsigned char)*p))
        p++;
    while (end > p && is_blank((unsigned char)end[-1]))
        end--;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    int64_t value = 0;
    bool digit_before = false;
    for (; p < end; p++) {
        if (*p == '_' && digit_before) {
            digit_before = false;
            continue;
        }
        if (*p < '0' || *p > '9')
            return false;
        digit_before = true;
        /* Counted down, so that the smallest integer fits. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *p - '0', &value))
            return false;
    }
    if (!digit_before || (!negative && value == INT64_MIN))
        return false;
    *out = negative ? value : -value;
    return true;
}

static enum pyi_synthetic synthetic_kind(struct pyi_text text)
{
    if (!text.length || text.data[0] != '[')
        return PYI_SYNTHETIC_NONE;
    if (pyi_text_equal(text, pyi_text("[self]")))
        return PYI_SYNTHETIC_SELF;
    if (pyi_text_equal(text, pyi_text("[await]")))
        return PYI_SYNTHETIC_AWAIT;
    if (pyi_text_equal(text, pyi_text("[out-of-context]")))
        return PYI_SYNTHETIC_OUT_OF_CONTEXT;
    if (pyi_text_equal(text, pyi_text("[root]")))
        return PYI_SYNTHETIC_ROOT;
    return PYI_SYNTHETIC_NONE;
}

static enum pyi_origin origin_of(const struct pyi_identifier *identifier,
                                 const struct pyi_session *session)
{
    struct pyi_text path = identifier->path;
    if (identifier->synthetic || !path.length || pyi_session_is_library_path(session, path))
        return PYI_ORIGIN_LIBRARY;
    if (path.data[0] != '<')
        return PYI_ORIGIN_APPLICATION;
    if (pyi_text_starts_with(path, "<ipython-input-"))
        return PYI_ORIGIN_APPLICATION;
    if (pyi_text_equal(path, pyi_text("<string>")) || pyi_text_equal(path, pyi_text("<stdin>")))
        return PYI_ORIGIN_AS_PARENT;
    return PYI_ORIGIN_LIBRARY;
}

static struct pyi_identifier *split(struct pyi_tree *tree, struct pyi_text text)
{
    struct pyi_identifier *identifier = pyi_arena_alloc(&tree->arena, sizeof(*identifier));
    if (!identifier)
        return NULL;
    identifier->tree = tree;
    identifier->text = text;
    identifier->function = identifier->path = pyi_text("");
    identifier->synthetic = synthetic_kind(text);
    (void)pyi_text_part(text, '\0', 0, &identifier->function);
    identifier->has_path = pyi_text_part(text, '\0', 1, &identifier->path);
    struct pyi_text line;
    if (pyi_text_part(text, '\0', 2, &line))
        identifier->has_line = parse_line(line, &identifier->line);
    identifier->origin = origin_of(identifier, tree->session);
    if (identifier->synthetic == PYI_SYNTHETIC_AWAIT)
        tree->has_await = true;
    return identifier;
}

static struct pyi_identifier *find_identifier(struct pyi_tree *tree, struct pyi_text text)
{
    size_t known = tree->identifier_texts.count;
    uint32_t number = pyi_intern_add(&tree->identifier_texts, text.data, text.length);
    if (number == UINT32_MAX)
        return NULL;
    if (number < known && number < tree->identifier_capacity && tree->identifiers[number])
        return tree->identifiers[number];
    size_t old = tree->identifier_capacity;
    if (!pyi_array_reserve(&tree->identifiers, &tree->identifier_capacity, (size_t)number + 1,
                           sizeof(*tree->identifiers)))
        return NULL;
    for (size_t i = old; i < tree->identifier_capacity; i++)
        tree->identifiers[i] = NULL;
    tree->identifiers[number] = split(tree, pyi_intern_text(&tree->identifier_texts, number));
    return tree->identifiers[number];
}

const struct pyi_frame_info *pyi_tree_info(struct pyi_tree *tree, struct pyi_text text)
{
    struct pyi_text identifier = pyi_info_identifier(text);
    struct pyi_text rest = {text.data + identifier.length, text.length - identifier.length};
    size_t count = 0;
    if (rest.length > 1) /* a mark with nothing behind it means no attributes */
        for (size_t i = 0; i < rest.length; i++)
            count += rest.data[i] == '\1';
    if (count > UINT32_MAX)
        return NULL;
    struct pyi_frame_info *info =
        pyi_arena_alloc(&tree->arena, sizeof(*info) + count * sizeof(info->attributes[0]));
    if (!info)
        return NULL;
    info->identifier = find_identifier(tree, identifier);
    if (!info->identifier)
        return NULL;
    if (!count)
        return info;
    const char *p = rest.data + 1, *end = rest.data + rest.length;
    for (size_t i = 0; i < count; i++) {
        const char *mark = memchr(p, '\1', (size_t)(end - p));
        size_t length = (size_t)((mark ? mark : end) - p);
        uint32_t number = pyi_intern_add(&tree->attribute_texts, p, length);
        if (number == UINT32_MAX)
            return NULL;
        info->repeats = info->repeats || count > COMPARABLE;
        for (uint32_t j = 0; j < info->attribute_count && !info->repeats; j++)
            info->repeats = info->attributes[j] == number;
        info->attributes[info->attribute_count++] = number;
        p = mark ? mark + 1 : end;
    }
    return info;
}
