/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * modules.h - the ELF files of a process as far as unwinding needs them.
 *
 * Unwind tables are copied from the process itself, where the loader put them: no file has to be
 * found for that, so deleted libraries and other mount namespaces make no difference.
 */
#ifndef PYI_ATTACH_NATIVE_MODULES_H
#define PYI_ATTACH_NATIVE_MODULES_H

#include "attach/maps.h"
#include "attach/memory/memory.h"
#include "attach/native/native.h"
#include "attach/native/symbols.h"
#include "src/base/hash.h"

/** Run-time addresses of one function, as the unwind table has it. */
struct pyi_extent {
    uint64_t from, to;
};

#define PYI_LOOP_PARTS 8

struct pyi_module {
    uint64_t start, end; /* run-time addresses of its code */
    uint64_t base;       /* where the file begins in memory */
    uint64_t bias;       /* added to the file's addresses */
    struct pyi_text path;
    uint64_t device, inode; /* what it was made from; with base and end its identity */
    bool known;             /* headers were read */
    bool loaded;            /* unwind table was looked for */
    /* copy of the unwind sections */
    uint64_t copy_at;
    uint8_t *copy;
    size_t copy_length;
    uint64_t header;      /* run-time address of .eh_frame_hdr */
    uint64_t table;       /* of its table */
    uint64_t table_count; /* entries */
    uint64_t dynamic, dynamic_length;
    bool named; /* symbols were looked for */
    struct pyi_symbols *symbols;
    struct pyi_extent loop[PYI_LOOP_PARTS]; /* the evaluation loop and parts split off it */
    size_t loop_count;
    uint32_t seen; /* reading of the maps that last showed it */
};

struct pyi_modules {
    const char *proc;
    pid_t pid;
    struct pyi_memory *memory;
    struct pyi_maps maps;
    struct pyi_module **items; /* by start */
    size_t count, capacity;
    struct pyi_intern texts;
    struct pyi_map functions; /* address -> struct pyi_function * */
    struct pyi_map by_name;   /* name and path -> struct pyi_function * */
    struct pyi_arena arena;
    char root[64];
    uint64_t read_at; /* ns, monotonic, of the last reading of the maps */
    uint32_t readings;
    uint32_t changes; /* grows when a module came, went or was replaced */
};

void pyi_modules_init(struct pyi_modules *modules, const char *proc, pid_t pid,
                      struct pyi_memory *memory);
void pyi_modules_deinit(struct pyi_modules *modules);
/** Reads the mappings when they are older than a second, or than 50 ms when `missed`: something was
 *  not found in them. Errors: NOMEM, GONE. */
int pyi_modules_refresh(struct pyi_modules *modules, bool missed,
                        struct pyi_error *err) PYI_MUST_CHECK;
/** Module whose code holds an address, NULL none. Its unwind table is there when it has one. */
struct pyi_module *pyi_modules_at(struct pyi_modules *modules, uint64_t address);
/** Start and end of the function around an address, from the unwind table. */
bool pyi_module_extent(const struct pyi_module *module, uint64_t address, struct pyi_extent *out);
/** What runs at an address; NULL on lack of memory. */
struct pyi_function *pyi_modules_function(struct pyi_modules *modules, uint64_t address);

#endif
