/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * runtime.h - where the CPython runtime of a process is, and which CPython it is.
 *
 * The result is all that the decoders in cpython/ learn about files and symbols.
 */
#ifndef PYI_ATTACH_RUNTIME_H
#define PYI_ATTACH_RUNTIME_H

#include "attach/maps.h"
#include "attach/memory/memory.h"
#include "src/base/log.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

#define PYI_RUNTIME_COOKIE "xdebugpy" /* first bytes of _PyRuntime, 3.13+ */
#define PYI_RUNTIME_OLDEST 6          /* minor versions of Python 3 that can be read; and 2.7 */
#define PYI_RUNTIME_NEWEST 15
#define PYI_RUNTIME_RANGE  "2.7 and 3.6 to 3.15"

struct pyi_runtime {
    pyi_addr address;    /* _PyRuntime; 2.7 and 3.6, which have none: the variable interp_head */
    uint32_t hexversion; /* PY_VERSION_HEX: 0x030e0af0 is 3.14.10 final */
    bool free_threaded;  /* Py_GIL_DISABLED build */
    bool debug;          /* Py_DEBUG build, as far as the file name or symbols tell */
    bool debug_offsets;  /* the cookie "xdebugpy" stands at `address` */
    pyi_addr code_type;  /* PyCode_Type, 0 unknown */
    pyi_addr type_type;  /* PyType_Type, 0 unknown */
    bool running;        /* it had an interpreter when it was found, or may have had one */
    pyi_addr current;    /* 2.7 and 3.6: the variable _PyThreadState_Current, else 0 */
    char found[256];     /* how it was located, safe to print */
};

/** What the search may look at. All borrowed. */
struct pyi_runtime_search {
    const char *proc; /* the folder that stands for /proc */
    pid_t pid;
    struct pyi_memory *memory;
    const struct pyi_maps *maps;
    const char *executable;     /* path of the program where there is no process, else NULL */
    const char *libpython;      /* the file that holds the runtime, NULL: any */
    const char *assume_version; /* "3.15" or NULL */
    const char *tool;           /* for refusals, NULL: no name */
    bool brief;                 /* a refusal need not name descendants */
    struct pyi_log log;
};

/**
 * Finds the runtime: the executable, then mapped libpython, then any other mapped program
 * file. With several copies in one process the first that has an interpreter wins.
 * Errors: NOTPYTHON (not-python, not-cpython, no-symbols: looks like Python), VERSION
 * (version-old, version-new), GONE, PERM, OS, NOMEM.
 */
int pyi_runtime_find(const struct pyi_runtime_search *search, struct pyi_runtime *out,
                     struct pyi_error *err) PYI_MUST_CHECK;

/** True when names alone say that these mappings are a Python's. */
bool pyi_runtime_looks_like_python(const char *proc, pid_t pid, const struct pyi_maps *maps);

#define PYI_HEAD_CODE 48 /* bytes of the function that are looked at */
/** Decodes the machine code of PyInterpreterState_Head(), mapped at `address`, of x86-64 or aarch64:
 *  where the head pointer lies, and the runtime when the code names it (else 0). False for an
 *  unknown form. In list_head.c. */
bool pyi_runtime_decode_head(struct pyi_memory *memory, uint64_t address,
                             const unsigned char code[PYI_HEAD_CODE], uint64_t *head,
                             uint64_t *runtime);

#endif
