/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * target.h - the inside of struct pyi_target, for the files that wire the parts together.
 */
#ifndef PYI_ATTACH_TARGET_H
#define PYI_ATTACH_TARGET_H

#include "attach/attach.h"
#include "attach/cpython/cpython.h"
#include "attach/facts.h"
#include "attach/halt.h"
#include "attach/maps.h"
#include "attach/memory/memory_image.h"
#include "attach/process.h"
#include "attach/runtime.h"
#include "attach/state.h"
#include "src/base/arena.h"

struct pyi_target {
    struct pyi_target_options options; /* strings copied into the arena */
    const char *proc;
    pid_t pid;
    pid_t reader; /* living thread through which it is read: `pid`, unless that one has ended */
    struct pyi_process_status status;
    struct pyi_process_stat stat; /* at open */
    struct pyi_memory *memory;
    int mm; /* /proc/PID/mem, only to notice that the address space is gone; -1 unknown */
    struct pyi_maps maps; /* only while opening */
    struct pyi_runtime runtime;
    struct pyi_facts *facts;
    struct pyi_thread_facts functions;
    struct pyi_cpython *python;
    struct pyi_sched *state;
    struct pyi_halt *halt;               /* NULL: nothing is stopped */
    const struct pyi_image_facts *image; /* NULL: a live process */
    struct pyi_target_info info;
    struct pyi_sysinfo sysinfo; /* when sys could not be read in full */
    const struct pyi_sysinfo *sysinfo_done;
    uint64_t rounds, last_look;
    struct pyi_stack *lost; /* for rounds in which nothing could be read */
    size_t lost_capacity;
    struct pyi_arena arena;
};

/* ---- steps of opening, in this order; each leaves the target fit for pyi_target_close() ---- */

/** Allocates; `options` may be NULL. NULL on lack of memory. */
struct pyi_target *pyi_open_new(pid_t pid, const struct pyi_target_options *options);
/** It exists, has not ended, is a program. GONE (no-process, zombie), NOTPYTHON (kernel-thread). */
int pyi_open_process(struct pyi_target *target, struct pyi_error *err) PYI_MUST_CHECK;
/** Mappings and memory may be read. PERM, GONE. */
int pyi_open_access(struct pyi_target *target, struct pyi_error *err) PYI_MUST_CHECK;
/** It is a program of our kind. NOTPYTHON (bits-32, arch). */
int pyi_open_program(struct pyi_target *target, struct pyi_error *err) PYI_MUST_CHECK;
/** Finds the runtime, waiting until `deadline` (monotonic seconds) while a Python is still
 *  being loaded. Errors of pyi_runtime_find(). */
int pyi_open_runtime(struct pyi_target *target, double deadline,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Opens the decoders and waits for the interpreter. NOTPYTHON (python-not-ready), VERSION,
 *  FORMAT, GONE. */
int pyi_open_python(struct pyi_target *target, double deadline,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** Fills the info. */
int pyi_open_info(struct pyi_target *target, struct pyi_error *err) PYI_MUST_CHECK;

/** What is left to do once memory and image facts are there. Errors: FORMAT, VERSION, NOMEM. */
int pyi_open_image_rest(struct pyi_target *target, struct pyi_error *err) PYI_MUST_CHECK;
/** pyi_target_open_image() from bytes, for tests and fuzzing. */
int pyi_target_open_image_bytes(const void *bytes, size_t length,
                                const struct pyi_target_options *options, struct pyi_target **out,
                                struct pyi_error *err) PYI_MUST_CHECK;

/** Monotonic seconds at which the waiting that the options allow ends. */
double pyi_open_deadline(const struct pyi_target *target);

#endif
