/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * runtime.h - where the CPython runtime of a process is, and which CPython it is.
 *
 * The result is all that the decoders in cpython/ learn about files and symbols.
 */
#ifndef PYI_ATTACH_RUNTIME_H
#define PYI_ATTACH_RUNTIME_H

#include "attach/memory.h"
#include <pyinstrument/types.h>

struct pyi_runtime {
    pyi_addr address;    /* _PyRuntime */
    uint32_t hexversion; /* PY_VERSION_HEX: 0x030e0af0 is 3.14.10 final */
    bool free_threaded;  /* Py_GIL_DISABLED build */
    bool debug;          /* Py_DEBUG build, as far as the file name or symbols tell */
    bool debug_offsets;  /* the cookie "xdebugpy" stands at `address` */
    pyi_addr code_type;  /* PyCode_Type, 0 unknown */
    pyi_addr type_type;  /* PyType_Type, 0 unknown */
    char found[256];     /* how it was located, safe to print */
};

#endif
