/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * identify.h - which Python a found runtime is, and what a process is that has none.
 *
 * The second half of runtime.c; besides it open.c asks for the children of a process.
 */
#ifndef PYI_ATTACH_IDENTIFY_H
#define PYI_ATTACH_IDENTIFY_H

#include "attach/elf.h"
#include "attach/runtime.h"
#include "attach/version.h"

/** Symbols that are asked for. */
enum pyi_name {
    PYI_NAME_RUNTIME,
    PYI_NAME_HEAD,
    PYI_NAME_VERSION,
    PYI_NAME_CODE_TYPE,
    PYI_NAME_TYPE_TYPE,
    PYI_NAME_REF_DEBUG,   /* only in builds that count references for debugging */
    PYI_NAME_OLD_CURRENT, /* 2.7 and 3.6, which have no _PyRuntime */
    PYI_NAME_OLD_HEAD,    /* the same, file-local */
    PYI_NAMES,
};

/** One mapped program file and what it tells. Addresses are run-time addresses, 0 unknown. */
struct pyi_elf_image {
    struct pyi_elf *elf;
    uint32_t file;               /* index into the maps' files */
    uint64_t statics[PYI_NAMES]; /* of .symtab, without bias */
    bool statics_loaded;
    bool old;         /* a Python before 3.7 */
    uint64_t runtime; /* _PyRuntime */
    uint64_t head;    /* where the pointer to the first interpreter lies */
    const char *how;  /* how the runtime was found, static text */
};

/** Run-time address of a symbol, 0 when the file does not define it. */
uint64_t pyi_image_symbol(struct pyi_elf_image *image, enum pyi_name name);

/** Fills version, flavour and, when only the list head is known, the address. Errors:
 *  NOTPYTHON (no-symbols), VERSION (version-old, version-new), FORMAT. */
int pyi_identify_version(const struct pyi_runtime_search *search, struct pyi_elf_image *image,
                         struct pyi_runtime *runtime, struct pyi_error *err) PYI_MUST_CHECK;
/** Says what a process without a runtime is. Always NOTPYTHON. */
int pyi_identify_nothing(const struct pyi_runtime_search *search, struct pyi_error *err);

/** Puts descendants of a process in which a Python runs into the note of `err`, by number and
 *  command line. What we may not read goes by its names. */
void pyi_identify_children(const char *proc, pid_t pid, struct pyi_error *err);

#endif
