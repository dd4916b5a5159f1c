/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * cpython.h - the seam between finding a runtime (attach/) and decoding it (attach/cpython/).
 *
 * Comes in: a readable memory and the runtime's address and version. Goes out: rounds of stacks
 * as attach.h describes them. Must not know: /proc, ELF files, whether the memory is alive.
 */
#ifndef PYI_CPYTHON_H
#define PYI_CPYTHON_H

#include "attach/attach.h"
#include "attach/memory/memory.h"
#include "attach/runtime.h"
#include "src/base/text.h"

struct pyi_cpython;

/** Facts about threads that only the operating system has. Any function may be NULL. */
struct pyi_thread_facts {
    void *context;
    /** Thread id in our pid namespace of the id the target itself sees; 0 when there is none. */
    pid_t (*outer_tid)(void *context, int64_t inner_tid);
    /** The kernel's name of a thread; false when unknown. */
    bool (*comm)(void *context, pid_t tid, struct pyi_strbuf *out);
    /** Python's ident (pthread_self) to a kernel tid where the thread state does not hold it
     *  (3.8-3.10); 0 when unknown. */
    pid_t (*tid_of_ident)(void *context, uint64_t ident);
};

/** Borrowed pointers must outlive the object. Errors: VERSION (no layout), FORMAT (structures
 *  make no sense), FAULT, GONE, NOMEM. Reads the offsets, the interpreter list, nothing more. */
int pyi_cpython_open(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                     const struct pyi_target_options *options, const struct pyi_thread_facts *facts,
                     struct pyi_cpython **out, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_cpython_close(struct pyi_cpython *python);

/** True when there is, or is being made, an interpreter. Errors: FAULT, GONE. */
int pyi_cpython_started(struct pyi_cpython *python, bool *started,
                        struct pyi_error *err) PYI_MUST_CHECK;
/** True when the runtime is set up and at least one thread state exists. Errors: FAULT, GONE. */
int pyi_cpython_ready(struct pyi_cpython *python, bool *ready,
                      struct pyi_error *err) PYI_MUST_CHECK;
/** True when the runtime or the main interpreter is being torn down. */
int pyi_cpython_finalizing(struct pyi_cpython *python, bool *finalizing,
                           struct pyi_error *err) PYI_MUST_CHECK;
/** See pyi_target_round(); an unreadable interpreter list is FAULT, `target.c` decides what it
 * means. */
int pyi_cpython_round(struct pyi_cpython *python, struct pyi_round *out,
                      struct pyi_error *err) PYI_MUST_CHECK;
/** Makes the next pyi_cpython_sysinfo() read again; results so far stay valid. */
void pyi_cpython_forget_sysinfo(struct pyi_cpython *python);
int pyi_cpython_sysinfo(struct pyi_cpython *python, const struct pyi_sysinfo **out,
                        struct pyi_error *err) PYI_MUST_CHECK;

/** Of one thread: whether it holds the global lock, and the addresses on which one waits for it. */
struct pyi_gil_facts {
    bool known, holder;
    pyi_addr wait_from, wait_to;
};
/** For each thread; all threads of one interpreter see the same moment. */
void pyi_cpython_gil(struct pyi_cpython *python, const struct pyi_thread *const *threads,
                     size_t count, struct pyi_gil_facts *out);
/** See pyi_target_locals(). */
int pyi_cpython_locals(struct pyi_cpython *python, uint32_t thread, size_t entry,
                       pyi_variable *each, void *context, struct pyi_error *err) PYI_MUST_CHECK;

struct pyi_text pyi_cpython_class_name(const struct pyi_cpython *python, uint32_t number);
const struct pyi_thread *pyi_cpython_thread(const struct pyi_cpython *python, uint32_t index);
/** Adds its counts (code misses, mispredictions ...) to `out`. */
void pyi_cpython_stats(const struct pyi_cpython *python, struct pyi_target_stats *out);
/** See pyi_target_edge_proven(). */
bool pyi_cpython_edge_proven(const struct pyi_cpython *python, uint32_t edge);
/** One line on where offsets come from, e.g. "debug offsets 3.14 + built-in row 3.14.4-3.14.10". */
const char *pyi_cpython_layout_source(const struct pyi_cpython *python);

#endif
