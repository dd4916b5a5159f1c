/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * python.h - the state shared by the decoders of one interpreter process.
 *
 * Private to attach/cpython/. Every count, length and chain that comes from the target has its
 * bound here.
 */
#ifndef PYI_CPYTHON_PYTHON_H
#define PYI_CPYTHON_PYTHON_H

#include "attach/cpython/classes.h"
#include "attach/cpython/code.h"
#include "attach/cpython/cpython.h"
#include "attach/cpython/edges.h"
#include "attach/layout/layout.h"
#include "attach/cpython/plan.h"
#include "attach/cpython/threads.h"
#include "src/base/arena.h"
#include "src/base/hash.h"

#define PYI_MAX_INTERPRETERS 256
#define PYI_MAX_THREADS      8192
#define PYI_MAX_DEPTH        200000
#define PYI_MAX_NAME         4096 /* characters of a function, class, thread or file name */
#define PYI_MAX_LINETABLE    (1 << 20)
#define PYI_MAX_CHUNK        (16 << 20)
#define PYI_MAX_CHUNKS       4096
#define PYI_MAX_DICT         65536
#define PYI_MAX_LOCALS       16384
#define PYI_MAX_LIST         4096
#define PYI_RETRIES          3
#define PYI_PYTHON_2         0  /* 2.7 as a minor version: older than all of Python 3 */
#define PYI_MARK_ROUNDS      8  /* every so many rounds the places in use are marked ... */
#define PYI_FORGET_ROUNDS    16 /* ... and those not marked for so long are forgotten */
#define PYI_KEEP_ROUNDS      64 /* the same for places that only whole reads use */

struct pyi_cpython {
    struct pyi_memory *memory;
    struct pyi_memory *pages; /* the same, page by page; for names */
    struct pyi_runtime runtime;
    struct pyi_layout layout;
    struct pyi_target_options options;
    struct pyi_thread_facts facts;
    const struct pyi_stopping *stopping; /* NULL: nothing is stopped */
    char source[128];
    int minor;               /* of Python 3; PYI_PYTHON_2 for 2.7 */
    bool heap_frames;        /* up to 3.10: a chain of frame objects */
    pyi_addr reference_mask; /* clears the tag bits of a stack reference */
    size_t max_depth;
    size_t state_window;  /* bytes of a thread state every sample needs */
    pyi_addr interp_from; /* window of an interpreter state, relative to it */
    size_t interp_length;
    size_t runtime_length; /* of the runtime, from the head of the list of interpreters on */
    pyi_addr none;         /* the object None, 0 not met yet */

    struct pyi_intern texts; /* every name ever delivered */
    struct pyi_codes codes;
    struct pyi_classes classes;
    struct pyi_threads threads;
    struct pyi_edges edges;
    struct pyi_leaves *leaves; /* of leaf.c, NULL until the first call is looked at */

    struct pyi_copy copy;  /* of the round */
    struct pyi_copy again; /* of one thread that has to be read once more */
    struct pyi_stack *stacks;
    size_t stack_capacity;
    struct pyi_activity *activities; /* of the same threads */
    size_t activity_capacity;
    uint32_t round;
    uint64_t generation; /* sum of the interpreters' code generations, 3.14+ */

    unsigned unicode_width; /* 2.7: bytes per character of unicode, 0 not asked yet */
    uint64_t mispredicted;
    bool repair;                     /* stacks tell their own top and are mended by it, 3.11+ */
    uint32_t marks_seen, marks_held; /* samples whose top showed its mark, of those looked at */
    struct pyi_sysinfo *sysinfo;
    struct pyi_arena arena;
};

/** As pyi_cpython_open() with the layout given. */
int pyi_cpython_open_layout(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                            const struct pyi_layout *layout,
                            const struct pyi_target_options *options,
                            const struct pyi_thread_facts *facts, struct pyi_cpython **out,
                            struct pyi_error *err) PYI_MUST_CHECK;

static inline bool pyi_has_field(uint32_t offset)
{
    return offset != PYI_NO_FIELD;
}

/** Failures after which nothing more can be read, or that are ours. */
static inline bool pyi_is_fatal(int code)
{
    return code == PYI_E_GONE || code == PYI_E_PERM || code == PYI_E_OS || code == PYI_E_NOMEM;
}

/** Address of the main interpreter. */
int pyi_cpython_main_interpreter(struct pyi_cpython *python, pyi_addr *out,
                                 struct pyi_error *err) PYI_MUST_CHECK;
/** Text interned for the life of the object; `data` is NULL on lack of memory. */
struct pyi_text pyi_cpython_text(struct pyi_cpython *python, const struct pyi_strbuf *buffer);

#endif
