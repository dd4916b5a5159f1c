/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * maps.h - the mappings of a process, grouped by the file they come from.
 */
#ifndef PYI_ATTACH_MAPS_H
#define PYI_ATTACH_MAPS_H

#include "src/base/arena.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <sys/types.h>

#define PYI_NO_FILE UINT32_MAX

/** One line of /proc/PID/maps. */
struct pyi_mapping {
    uint64_t start, end, offset;
    uint64_t inode; /* 0: no file */
    uint32_t major, minor;
    uint32_t file; /* index into files or PYI_NO_FILE */
    bool read, write, execute, shared;
    const char *path; /* raw bytes, escapes undone, without " (deleted)"; "" anonymous */
};

/** One file; a second file under the same path or a second path of the same file is another. */
struct pyi_mapped_file {
    const char *path;
    uint64_t inode;
    uint32_t major, minor;
    bool deleted;
    bool execute;   /* some part is mapped executable */
    uint32_t first; /* mapping with the lowest address */
};

/** Zero-initialise. */
struct pyi_maps {
    struct pyi_mapping *mappings; /* by address, as the kernel lists them */
    size_t count, capacity;
    struct pyi_mapped_file *files; /* by lowest address */
    size_t file_count, file_capacity;
    struct pyi_arena arena;
};

/** Parses the text of a maps file. Errors: FORMAT, LIMIT, NOMEM; `maps` is then empty. */
int pyi_maps_parse(const char *text, size_t length, struct pyi_maps *maps,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** Reads and parses. Errors: GONE, PERM, OS and those of parsing. */
int pyi_maps_read(const char *proc, pid_t pid, struct pyi_maps *maps,
                  struct pyi_error *err) PYI_MUST_CHECK;
void pyi_maps_deinit(struct pyi_maps *maps);

/** The mapping an address lies in, NULL when it is not mapped. */
const struct pyi_mapping *pyi_maps_at(const struct pyi_maps *maps, uint64_t address);
/** Part of a path behind its last slash. */
const char *pyi_maps_base_name(const char *path);

#endif
