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
     *  (up to 3.10); 0 when unknown. */
    pid_t (*tid_of_ident)(void *context, uint64_t ident);
    /** The process itself, which is its first thread's id; 0 when unknown. */
    pid_t pid;
};

/** What runs at an address. One record per function; valid until close. */
struct pyi_function {
    struct pyi_text name; /* demangled; its start in the file, "0x1234", when it has no name */
    struct pyi_text path; /* of the file, as the target sees it; "[vdso]", "[anonymous]" */
    bool loop;            /* it runs Python frames: the interpreter's evaluation loop */
    const struct pyi_code *code; /* the caller's, NULL at first */
};

struct pyi_native_frame {
    uint64_t ip, sp;
    struct pyi_function *function;
};

/** A native stack cut at the evaluation loops, whose frames are left out. Part 0 lies below all
 *  Python frames, part i above the i-th run of them (1 is the outermost), each outermost first. */
struct pyi_native_parts {
    const struct pyi_native_frame *frames; /* all parts, one behind the other */
    const size_t *ends;                    /* of each part, as an index into frames */
    size_t count;                          /* parts: runs + 1 */
};

/** Taking each sample of a thread while it stands still. */
struct pyi_stopping {
    void *context;
    /** Stops the thread, and copies what `native` will need. False: it cannot be had now. */
    bool (*stop)(void *context, const struct pyi_thread *thread);
    void (*resume)(void *context);
    /** The native frames of the thread stopped last, given how many runs of Python frames it has.
     *  Called after `resume`. NULL: only Python frames are wanted. Errors: NOMEM. */
    int (*native)(void *context, size_t runs, struct pyi_native_parts *out, struct pyi_error *err);
};
/** Borrows `stopping`: from now on samples are exact, and need neither repair nor proof. */
void pyi_cpython_stop_threads(struct pyi_cpython *python, const struct pyi_stopping *stopping);

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
/** What the interpreter's own memory tells of a thread at the moment of its stack. */
struct pyi_activity {
    struct pyi_stack *stack;     /* of the round */
    bool moved;                  /* its frames are not those of its last stack or stand elsewhere */
    bool lock_known;             /* whether the next and the addresses mean anything */
    bool holds_lock;             /* the global lock of its interpreter */
    bool held_last;              /* nobody else has held it since this thread did */
    bool asks_for_lock;          /* it says itself that it waits for the lock, 3.15 */
    bool collecting;             /* it runs the garbage collector */
    bool raising;                /* an exception is active in it; only if asked for at open */
    uint64_t switches;           /* how often the lock went from one thread to another */
    pyi_addr wait_from, wait_to; /* on these addresses a thread waits for the lock */
};
/** Of the latest round, one for each of its stacks. */
const struct pyi_activity *pyi_cpython_activities(const struct pyi_cpython *python);
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
