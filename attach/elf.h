/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * elf.h - symbols and sections of an ELF file that a process has mapped.
 *
 * The bytes come from the file or, where no path leads to it any more, from the process's own
 * copy. Both are hostile: every offset and count is checked before it is used.
 */
#ifndef PYI_ATTACH_ELF_H
#define PYI_ATTACH_ELF_H

#include "attach/maps.h"
#include "attach/memory/memory.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

struct pyi_elf;

/** What the first bytes of an ELF file say. */
struct pyi_elf_kind {
    uint8_t bits;     /* 32 or 64 */
    uint16_t machine; /* EM_* */
    uint16_t type;    /* ET_* */
};

/** Takes the descriptor over, also on failure. Errors: FORMAT (not ELF, not 64-bit
 *  little-endian, headers out of bounds; slug bits-32 for the class), OS, NOMEM. */
int pyi_elf_open_fd(int fd, struct pyi_elf **out, struct pyi_error *err) PYI_MUST_CHECK;
/** From the process's memory: `base` is where file offset 0 is mapped. There are no section
 *  headers then, so only dynamic symbols are found. Borrows `memory`. */
int pyi_elf_open_memory(struct pyi_memory *memory, uint64_t base, struct pyi_elf **out,
                        struct pyi_error *err) PYI_MUST_CHECK;
/** The file behind a mapped one, wherever it can be opened: the process's exe link, its
 *  map_files, its root, the plain path; a file found by path must be the mapped one. In the end
 *  the process's memory. The bias is set. `how` says which (static text). */
int pyi_elf_open_mapped(const char *proc, pid_t pid, struct pyi_memory *memory,
                        const struct pyi_maps *maps, const struct pyi_mapped_file *file,
                        struct pyi_elf **out, const char **how,
                        struct pyi_error *err) PYI_MUST_CHECK;
/** Only the file, opened the same ways; -1 when nothing leads to it. The caller closes it. */
int pyi_elf_open_file(const char *proc, pid_t pid, struct pyi_memory *memory,
                      const struct pyi_maps *maps, const struct pyi_mapped_file *file);
void pyi_elf_close(struct pyi_elf *elf);

/** Kind of the program behind an open descriptor. Errors: FORMAT, OS. */
int pyi_elf_kind_fd(int fd, struct pyi_elf_kind *out, struct pyi_error *err) PYI_MUST_CHECK;
/** "i386", "x86-64", "aarch64"...; "machine N" is not made up: NULL when unknown. */
const char *pyi_elf_machine_name(uint16_t machine);

/** Added to the file's addresses to get run-time addresses; 0 until one of the two is called. */
uint64_t pyi_elf_bias(const struct pyi_elf *elf);
/** Works the bias out from the mappings of `file`. False when they do not fit the segments. */
bool pyi_elf_locate(struct pyi_elf *elf, const struct pyi_maps *maps,
                    const struct pyi_mapped_file *file);

/** Value of a defined dynamic symbol, looked up through the hash table. */
bool pyi_elf_dynamic_symbol(struct pyi_elf *elf, const char *name, uint64_t *value);
/** Values of defined symbols of .symtab, in one pass; what is not there keeps its value. Returns
 *  how many were found. */
size_t pyi_elf_static_symbols(struct pyi_elf *elf, const char *const *names, uint64_t *values,
                              size_t count);

struct pyi_elf_section {
    uint64_t address, size;
};
/** False when section headers are missing or not readable. */
bool pyi_elf_has_sections(struct pyi_elf *elf);
/** A section that occupies memory, by name. */
bool pyi_elf_section(struct pyi_elf *elf, const char *name, struct pyi_elf_section *out);
/** The largest read-only segment range searched for constants: .rodata, else the segments
 *  without write permission, one per `index`. */
bool pyi_elf_constants(struct pyi_elf *elf, size_t index, struct pyi_elf_section *out);
/** Bytes at a file's address, from the file's contents. False when not all are there. */
bool pyi_elf_read(struct pyi_elf *elf, uint64_t address, void *into, size_t length);
/** GNU build id; its length, 0 when there is none. */
size_t pyi_elf_build_id(struct pyi_elf *elf, uint8_t out[64]);

#endif
