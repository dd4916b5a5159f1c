/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * symbols.h - functions of an ELF file by address.
 */
#ifndef PYI_ATTACH_NATIVE_SYMBOLS_H
#define PYI_ATTACH_NATIVE_SYMBOLS_H

#include "src/base/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pyi_symbols;

/**
 * All that is known of the functions of a file: its symbol tables, those of its debug file (by
 * build id, below `root` and below our own root), the compressed table some distributions put into
 * stripped files. Takes `fd` over. NULL on lack of memory; a file without symbols is an empty set.
 */
struct pyi_symbols *pyi_symbols_open(int fd, const char *root);
/** From a dynamic symbol table and its strings, copied out of a process. */
struct pyi_symbols *pyi_symbols_from_tables(const void *symbols, size_t symbol_bytes,
                                            const char *strings, size_t string_bytes);
void pyi_symbols_free(struct pyi_symbols *symbols);

/** Mangled name of the function that holds an address of the file, NULL when none is known to.
 *  Borrowed until free. */
const char *pyi_symbols_at(const struct pyi_symbols *symbols, uint64_t address);
/** Address of a function by its exact name, 0 when there is none. One pass over all. */
uint64_t pyi_symbols_find(const struct pyi_symbols *symbols, const char *name);
size_t pyi_symbols_count(const struct pyi_symbols *symbols);

/** Readable form of a symbol: versions and marks of cloned or split functions cut off, C++ names
 *  demangled without their parameters; at most `limit` bytes, which "..." tells. Bytes that are not
 *  UTF-8 become lone surrogates. */
void pyi_symbol_name(const char *symbol, size_t limit, struct pyi_strbuf *out);

#endif
