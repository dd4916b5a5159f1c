/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * memory_core.h - the memory of a process that has crashed or was saved by gcore, from its core dump.
 *
 * A core holds what the process had written; what it only mapped from files is usually left out and
 * read from those files, as long as they are still the ones it ran with.
 */
#ifndef PYI_ATTACH_MEMORY_CORE_H
#define PYI_ATTACH_MEMORY_CORE_H

#include "attach/maps.h"
#include "attach/memory/memory.h"
#include "attach/memory/memory_image.h"

struct pyi_core_facts {
    struct pyi_image_facts process; /* its `runtime` is not known yet */
    struct pyi_maps maps;           /* of the process; files that cannot be used have inode 0 */
    const char *program;            /* path of the executable, NULL unknown */
    const char *missing;  /* the first program file that is not there or has changed, NULL */
    bool missing_changed; /* it is there, but another one */
};

/** Opens a core dump. `copy`: a file to be used for the mapped one of the same name, where that is
 *  not at its place; NULL none. `*facts` belongs to the memory and lives until it is closed. Errors:
 *  OS, FORMAT (slug core-bad: no core dump, of a 32-bit program, without memory), LIMIT, NOMEM. */
int pyi_memory_open_core(const char *path, const char *copy, struct pyi_memory **out,
                         const struct pyi_core_facts **facts, struct pyi_error *err) PYI_MUST_CHECK;

#endif
