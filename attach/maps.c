/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maps.c - the mappings of a process, grouped by the file they come from.
 *
 * Comes in: the text of /proc/PID/maps. Goes out: mappings and files. Newer linkers put a
 * read-only segment first, so a file's lowest mapping is not its code; a file's name may hold
 * blanks, newlines (the kernel writes them as \012) and end in " (deleted)" by itself.
 */
#include "attach/maps.h"
#include "attach/process.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define MAPPINGS_MAX ((size_t)1 << 20)
#define TEXT_MAX     ((size_t)256 << 20)

static const char deleted_mark[] = " (deleted)";

/* Digits of `base` up to `stop`; advances behind it. */
static bool parse_number(const char **at, const char *end, unsigned base, char stop, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = *at;
    for (; p < end && *p != stop; p++) {
        unsigned digit;
        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            return false;
        if (digit >= base || value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    if (p == *at || p == end)
        return false;
    *at = p + 1;
    *out = value;
    return true;
}

/* Undoes \012; no other byte is escaped in this file. Returns the new length. */
static size_t unescape(char *path, size_t length)
{
    size_t to = 0;
    for (size_t from = 0; from < length; from++) {
        if (length - from >= 4 && memcmp(path + from, "\\012", 4) == 0) {
            path[to++] = '\n';
            from += 3;
        } else {
            path[to++] = path[from];
        }
    }
    path[to] = 0;
    return to;
}

static int parse_path(struct pyi_maps *maps, const char *at, const char *end,
                      struct pyi_mapping *mapping, bool *deleted, struct pyi_error *err)
{
    while (at < end && *at == ' ')
        at++;
    *deleted = false;
    mapping->path = "";
    if (at == end)
        return 0;
    char *path = pyi_arena_copy(&maps->arena, at, (size_t)(end - at));
    if (!path)
        return pyi_error_nomem(err);
    size_t length = unescape(path, (size_t)(end - at)), mark = sizeof(deleted_mark) - 1;
    if (length > mark && memcmp(path + length - mark, deleted_mark, mark) == 0) {
        *deleted = true;
        path[length - mark] = 0;
    }
    mapping->path = path;
    return 0;
}

/* start-end perms offset major:minor inode path */
static bool parse_fields(const char **cursor, const char *end, struct pyi_mapping *mapping)
{
    const char *at = *cursor;
    uint64_t major, minor;
    if (!parse_number(&at, end, 16, '-', &mapping->start) ||
        !parse_number(&at, end, 16, ' ', &mapping->end) || mapping->end <= mapping->start ||
        end - at < 5 || at[4] != ' ')
        return false;
    mapping->read = at[0] == 'r';
    mapping->write = at[1] == 'w';
    mapping->execute = at[2] == 'x';
    mapping->shared = at[3] == 's';
    at += 5;
    if (!parse_number(&at, end, 16, ' ', &mapping->offset) ||
        !parse_number(&at, end, 16, ':', &major) || !parse_number(&at, end, 16, ' ', &minor) ||
        major > UINT32_MAX || minor > UINT32_MAX)
        return false;
    mapping->major = (uint32_t)major;
    mapping->minor = (uint32_t)minor;
    /* The inode is the last field of an anonymous mapping: no blank behind it then. */
    uint64_t inode = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        inode = inode * 10 + (uint64_t)(*at - '0');
    mapping->inode = inode;
    *cursor = at;
    return at == end || *at == ' ';
}

static bool same_file(const struct pyi_mapped_file *file, const struct pyi_mapping *mapping)
{
    return file->inode == mapping->inode && file->major == mapping->major &&
           file->minor == mapping->minor && strcmp(file->path, mapping->path) == 0;
}

/* Index of the mapping's file. Lines of one file mostly follow each other; the map by inode
 * answers for the rest, and a plain search where two files share a key. */
static uint32_t find_file(const struct pyi_maps *maps, const struct pyi_map *index,
                          const struct pyi_mapping *mapping)
{
    uint64_t at;
    if (maps->file_count && same_file(&maps->files[maps->file_count - 1], mapping))
        return (uint32_t)(maps->file_count - 1);
    if (!pyi_map_get(index, mapping->inode, &at))
        return PYI_NO_FILE;
    if (same_file(&maps->files[at], mapping))
        return (uint32_t)at;
    for (size_t i = 0; i < maps->file_count; i++)
        if (same_file(&maps->files[i], mapping))
            return (uint32_t)i;
    return PYI_NO_FILE;
}

static bool enter_file(struct pyi_maps *maps, struct pyi_map *index, struct pyi_mapping *mapping,
                       bool deleted)
{
    mapping->file = PYI_NO_FILE;
    if (mapping->inode == 0)
        return true;
    uint32_t at = find_file(maps, index, mapping);
    if (at == PYI_NO_FILE) {
        if (!pyi_array_reserve(&maps->files, &maps->file_capacity, maps->file_count + 1,
                               sizeof(*maps->files)))
            return false;
        at = (uint32_t)maps->file_count++;
        maps->files[at] = (struct pyi_mapped_file){.path = mapping->path,
                                                   .inode = mapping->inode,
                                                   .major = mapping->major,
                                                   .minor = mapping->minor,
                                                   .first = (uint32_t)maps->count};
        if (!pyi_map_put(index, mapping->inode, at))
            return false;
    }
    maps->files[at].deleted |= deleted;
    maps->files[at].execute |= mapping->execute;
    mapping->file = at;
    return true;
}

static int parse_line(struct pyi_maps *maps, struct pyi_map *index, const char *at, const char *end,
                      struct pyi_error *err)
{
    struct pyi_mapping mapping = {0};
    bool deleted;
    if (maps->count >= MAPPINGS_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "more than %zu mappings", MAPPINGS_MAX);
    if (!parse_fields(&at, end, &mapping))
        return pyi_error_set(err, PYI_E_FORMAT, "malformed line %zu in maps", maps->count + 1);
    int code = parse_path(maps, at, end, &mapping, &deleted, err);
    if (code < 0)
        return code;
    if (!enter_file(maps, index, &mapping, deleted) ||
        !pyi_array_reserve(&maps->mappings, &maps->capacity, maps->count + 1, sizeof(mapping)))
        return pyi_error_nomem(err);
    maps->mappings[maps->count++] = mapping;
    return 0;
}

int pyi_maps_parse(const char *text, size_t length, struct pyi_maps *maps, struct pyi_error *err)
{
    struct pyi_map index = {0};
    struct pyi_maps fresh = {0};
    int code = 0;
    for (const char *at = text, *end = text + length; at < end && code == 0;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        if (line_end > at)
            code = parse_line(&fresh, &index, at, line_end, err);
        at = line_end + 1;
    }
    pyi_map_deinit(&index);
    if (code < 0) {
        pyi_maps_deinit(&fresh);
        return code;
    }
    pyi_maps_deinit(maps);
    *maps = fresh;
    return 0;
}

int pyi_maps_read(const char *proc, pid_t pid, struct pyi_maps *maps, struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    int code = pyi_process_read(proc, pid, "maps", TEXT_MAX, &text, err);
    if (code == 0)
        code = pyi_maps_parse(text.length ? text.data : "", text.length, maps, err);
    pyi_strbuf_deinit(&text);
    return code;
}

void pyi_maps_deinit(struct pyi_maps *maps)
{
    free(maps->mappings);
    free(maps->files);
    pyi_arena_free(&maps->arena);
    *maps = (struct pyi_maps){0};
}

const struct pyi_mapping *pyi_maps_at(const struct pyi_maps *maps, uint64_t address)
{
    size_t low = 0, high = maps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps->mappings[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < maps->count && maps->mappings[low].start <= address)
        return &maps->mappings[low];
    return NULL;
}

const char *pyi_maps_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
