/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * paths.c - short forms of file paths, by upstream's rule.
 *
 * In: paths and the session's sys_path. Out: the form with the fewest pieces among the path
 * itself and its forms relative to each entry. Answers are kept, so that renderers may ask for
 * every frame. CPython 3.x, Lib/posixpath.py: abspath, normpath, relpath.
 */
#include "src/session/session.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void pyi_paths_deinit(struct pyi_paths *paths)
{
    pyi_intern_deinit(&paths->known);
    free(paths->answers);
    pyi_arena_free(&paths->arena);
    *paths = (struct pyi_paths){0};
}

/* ---- absolute paths ------------------------------------------------------------------------ */

/* Appends the pieces of `path` to `to`, "/" before each, with "." and ".." worked off; an
 * absolute path of no pieces is "". */
static void append_pieces(struct pyi_strbuf *to, struct pyi_text path)
{
    const char *at = path.data;
    const char *end = path.data + path.length;
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        struct pyi_text piece = {at, (size_t)((slash ? slash : end) - at)};
        at = slash ? slash + 1 : end;
        if (!piece.length || pyi_text_equal(piece, pyi_text(".")))
            continue;
        if (pyi_text_equal(piece, pyi_text(".."))) {
            while (to->length && to->data[--to->length] != '/')
                ;
            continue;
        }
        pyi_strbuf_char(to, '/');
        pyi_strbuf_text(to, piece);
    }
}

static void make_absolute(struct pyi_strbuf *to, const struct pyi_paths *paths,
                          struct pyi_text path)
{
    pyi_strbuf_reset(to);
    if (!path.length || path.data[0] != '/')
        append_pieces(to, paths->directory);
    append_pieces(to, path);
}

static struct pyi_text keep(struct pyi_paths *paths, struct pyi_text text)
{
    const char *copy = pyi_arena_copy(&paths->arena, text.data, text.length);
    return (struct pyi_text){copy, text.length};
}

/* The current directory as Python's os.getcwd() has it; stays without data when it is gone. */
static bool find_directory(struct pyi_paths *paths)
{
    PYI_CLEANUP(pyi_cleanup_free) char *directory = getcwd(NULL, 0);
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf text = {0};
    if (!directory)
        return errno != ENOMEM;
    pyi_strbuf_os_bytes(&text, directory, strlen(directory));
    paths->directory = keep(paths, pyi_strbuf_get(&text));
    return !text.failed && paths->directory.data;
}

/* False for a relative path while there is no current directory. */
static bool has_absolute(const struct pyi_paths *paths, struct pyi_text path)
{
    return paths->directory.data || (path.length && path.data[0] == '/');
}

static bool prepare(struct pyi_session *session)
{
    struct pyi_paths *paths = &session->paths;
    if (paths->ready)
        return true;
    size_t count = pyi_session_list_length(session, PYI_SESSION_SYS_PATH);
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf absolute = {0};
    paths->entries = count > SIZE_MAX / 2 / sizeof(*paths->entries)
                         ? NULL
                         : pyi_arena_alloc(&paths->arena, count * sizeof(*paths->entries));
    bool good = paths->entries && find_directory(paths);
    for (size_t i = 0; i < count && good; i++) {
        struct pyi_text entry = pyi_session_list_item(session, PYI_SESSION_SYS_PATH, i);
        if (!has_absolute(paths, entry))
            continue;
        make_absolute(&absolute, paths, entry);
        struct pyi_text kept = keep(paths, pyi_strbuf_get(&absolute));
        good = !absolute.failed && kept.data;
        paths->entries[paths->entry_count++] = kept;
    }
    if (!good) {
        pyi_paths_deinit(paths);
        return false;
    }
    paths->ready = true;
    return true;
}

/* ---- relative paths ------------------------------------------------------------------------ */

static size_t count_slashes(struct pyi_text text)
{
    size_t count = 0;
    const char *end = text.data + text.length;
    for (const char *at = text.data; (at = memchr(at, '/', (size_t)(end - at))); at++)
        count++;
    return count;
}

/* Length of the leading pieces that two normalised paths have in common. */
static size_t common_pieces(struct pyi_text a, struct pyi_text b)
{
    size_t shortest = a.length < b.length ? a.length : b.length;
    size_t i = 0, whole = 0;
    for (; i < shortest && a.data[i] == b.data[i]; i++) {
        if (a.data[i] == '/')
            whole = i;
    }
    bool a_ends = i == a.length || a.data[i] == '/';
    bool b_ends = i == b.length || b.data[i] == '/';
    return a_ends && b_ends ? i : whole;
}

struct relative {
    size_t up;            /* number of ".." */
    struct pyi_text rest; /* "/" before each piece */
    size_t pieces;        /* of the written form */
};

static struct relative relate(struct pyi_text entry, struct pyi_text path)
{
    size_t common = common_pieces(entry, path);
    struct relative relative = {
        .up = count_slashes((struct pyi_text){entry.data + common, entry.length - common}),
        .rest = {path.data + common, path.length - common},
    };
    relative.pieces = relative.up + count_slashes(relative.rest);
    if (!relative.pieces)
        relative.pieces = 1; /* "." */
    return relative;
}

static void spell(struct pyi_strbuf *to, const struct relative *relative)
{
    for (size_t i = 0; i < relative->up; i++)
        pyi_strbuf_string(to, i ? "/.." : "..");
    if (relative->rest.length)
        pyi_strbuf_append(to, relative->rest.data + !relative->up,
                          relative->rest.length - !relative->up);
    if (!to->length)
        pyi_strbuf_char(to, '.');
}

/* Into `to`, which has failed when memory ran out; false when the path itself is shortest. */
static bool shorten(const struct pyi_paths *paths, struct pyi_text path, struct pyi_strbuf *to)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf absolute = {0};
    if (!has_absolute(paths, path))
        return false;
    make_absolute(&absolute, paths, path);
    size_t pieces = count_slashes(path) + 1;
    struct relative best = {0};
    bool found = false;
    for (size_t i = 0; i < paths->entry_count && !absolute.failed; i++) {
        struct relative relative = relate(paths->entries[i], pyi_strbuf_get(&absolute));
        if (relative.pieces >= pieces)
            continue;
        best = relative;
        pieces = relative.pieces;
        found = true;
    }
    to->failed = absolute.failed;
    if (found)
        spell(to, &best);
    return found;
}

/* A new answer; no data when memory ran out. */
static struct pyi_text answer_for(struct pyi_paths *paths, struct pyi_text path)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf text = {0};
    struct pyi_text none = {NULL, 0}, answer = none;
    bool shorter = shorten(paths, path, &text);
    if (shorter && !text.failed)
        answer = keep(paths, pyi_strbuf_get(&text));
    if (text.failed || (shorter && !answer.data) ||
        !pyi_array_reserve(&paths->answers, &paths->answer_capacity, (size_t)paths->known.count + 1,
                           sizeof(*paths->answers)))
        return none;
    uint32_t number = pyi_intern_add(&paths->known, path.data, path.length);
    if (number == UINT32_MAX)
        return none;
    return paths->answers[number] = shorter ? answer : pyi_intern_text(&paths->known, number);
}

struct pyi_text pyi_session_shorten_path(struct pyi_session *session, struct pyi_text path)
{
    struct pyi_paths *paths = &session->paths;
    if (!memchr(path.data, '/', path.length))
        return path;
    if (!prepare(session)) {
        paths->failed = true;
        return path;
    }
    uint32_t number = pyi_intern_find(&paths->known, path.data, path.length);
    if (number != UINT32_MAX)
        return paths->answers[number];
    struct pyi_text answer = answer_for(paths, path);
    paths->failed = paths->failed || !answer.data;
    return answer.data ? answer : path;
}

bool pyi_session_paths_failed(struct pyi_session *session)
{
    bool failed = session->paths.failed;
    session->paths.failed = false;
    return failed;
}

bool pyi_session_is_library_path(const struct pyi_session *session, struct pyi_text path)
{
    size_t count = pyi_session_list_length(session, PYI_SESSION_SYS_PREFIXES);
    for (size_t i = 0; i < count; i++) {
        struct pyi_text prefix = pyi_session_list_item(session, PYI_SESSION_SYS_PREFIXES, i);
        if (prefix.length <= path.length && !memcmp(prefix.data, path.data, prefix.length))
            return true;
    }
    return false;
}
