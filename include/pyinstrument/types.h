/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * types.h - small value types shared by all public headers.
 */
#ifndef PYINSTRUMENT_TYPES_H
#define PYINSTRUMENT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
/** Marks what the shared library exports; everything else is hidden. */
#define PYI_API        __attribute__((visibility("default")))
#define PYI_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PYI_API
#define PYI_MUST_CHECK
#endif

/**
 * A borrowed run of bytes. Encoding: UTF-8 that may also hold lone surrogates U+D800..U+DFFF
 * as three bytes each (Python file names with undecodable bytes) and U+0000 (session
 * identifiers separate their parts by it). `data` is always followed by one NUL byte that
 * `length` does not count; it is never NULL.
 */
struct pyi_text {
    const char *data;
    size_t length; /* bytes */
};

/** Which C functions appear in stacks, below the Python frame that called them. */
enum pyi_c_labels {
    PYI_C_LABELS_COMPATIBLE, /* built-in functions and methods, as pyinstrument shows them */
    PYI_C_LABELS_EXTENDED,   /* also constructors, operators, imports and other calls into C */
    PYI_C_LABELS_NONE,
};

/** State of a thread at a sample (the `states` column of `attach`). */
enum pyi_state {
    PYI_STATE_UNKNOWN = 0,
    PYI_STATE_RUNNING = 1,
    PYI_STATE_WAITING = 2,
    PYI_STATE_GIL_WAIT = 3,
};

/** Which samples are recorded. */
enum pyi_mode {
    PYI_MODE_WALL,      /* all */
    PYI_MODE_CPU,       /* of threads that run */
    PYI_MODE_GIL,       /* of the thread that holds the global lock */
    PYI_MODE_EXCEPTION, /* of threads in which an exception is active; Python 3.11 and later */
};

/** Whether threads of the target are stopped for their samples. */
enum pyi_stop_mode {
    PYI_STOP_NEVER,
    PYI_STOP_BLOCKING, /* each thread, while its stack is read */
    PYI_STOP_NATIVE,   /* the same, and native frames are shown among the Python ones */
};

/**
 * A JSON number that remembers whether it was written as an integer, so that a loaded
 * session is written back to the same bytes. `value` is always set; `integer` only when
 * `is_integer` (integers outside int64_t are kept as doubles).
 */
struct pyi_number {
    double value;
    int64_t integer;
    bool is_integer;
};

#endif
