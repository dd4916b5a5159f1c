/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * native.h - the native stack of a stopped thread, by function and library.
 *
 * Two steps, because a thread must not stand still for longer than copying takes: its registers
 * and the live part of its stack are copied while it is stopped; unwinding, naming and merging
 * work on the copy while it runs on.
 */
#ifndef PYI_ATTACH_NATIVE_H
#define PYI_ATTACH_NATIVE_H

#include "attach/cpython/cpython.h"
#include "attach/memory/memory.h"
#include "attach/stop.h"
#include <pyinstrument/types.h>

#define PYI_NATIVE_STACK (256u << 10) /* bytes copied at most */
#define PYI_NATIVE_DEPTH 4096         /* frames followed at most */
#define PYI_NATIVE_NAME  512          /* characters of a function's name */

struct pyi_native;

/** Borrows `memory` and `proc`. Errors: NOMEM, OS (the unwinder does not know this machine). */
int pyi_native_open(const char *proc, pid_t pid, struct pyi_memory *memory, struct pyi_native **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
void pyi_native_close(struct pyi_native *native);

/** The thread is stopped: copies what unwinding will need. False when its stack cannot be read. */
bool pyi_native_copy(struct pyi_native *native, const struct pyi_registers *registers);
/** Unwinds the copy: innermost first. `*complete`: up to the thread's first function. Borrowed
 *  until the next call. Errors: NOMEM, GONE. What cannot be unwound is cut. */
int pyi_native_unwind(struct pyi_native *native, const struct pyi_native_frame **frames,
                      size_t *count, bool *complete, struct pyi_error *err) PYI_MUST_CHECK;
/** Unwinds the copy and cuts it at `runs` runs of Python frames, each entered from C. Borrowed
 *  until the next call. Errors: as above. */
int pyi_native_merge(struct pyi_native *native, size_t runs, struct pyi_native_parts *out,
                     struct pyi_error *err) PYI_MUST_CHECK;

#endif
