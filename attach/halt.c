/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * halt.c - rounds in which each thread stands still while it is sampled.
 *
 * In: a target and whether native frames are wanted. Out: the same rounds as ever, exact. Joins
 * what stops (stop.c), what reads Python frames (cpython/) and what unwinds native ones (native/);
 * knows nothing of how they do it.
 */
#include "attach/halt.h"

#include "attach/native/native.h"
#include "attach/stop.h"
#include "attach/target.h"
#include "src/base/error.h"
#include <stdlib.h>

struct pyi_halt {
    struct pyi_target *target;
    struct pyi_stopper *stopper;
    struct pyi_native *native; /* NULL: Python frames only */
    struct pyi_stopping stopping;
    bool copied; /* the native stack of the thread stopped last */
    struct pyi_round *round;
};

static bool stop(void *context, const struct pyi_thread *thread)
{
    struct pyi_halt *halt = context;
    struct pyi_registers registers;
    halt->copied = false;
    if (thread->tid <= 0 || pyi_stop_thread(halt->stopper, halt->target->pid, thread->tid,
                                            halt->native ? &registers : NULL) != PYI_STOP_DONE)
        return false;
    if (halt->native)
        halt->copied = pyi_native_copy(halt->native, &registers);
    return true;
}

static void resume(void *context)
{
    struct pyi_halt *halt = context;
    pyi_stop_resume(halt->stopper);
}

static int merge(void *context, size_t runs, struct pyi_native_parts *out, struct pyi_error *err)
{
    struct pyi_halt *halt = context;
    return halt->copied ? pyi_native_merge(halt->native, runs, out, err) : 0;
}

static int refuse_tracer(const struct pyi_target *target, pid_t tracer, struct pyi_error *err)
{
    struct pyi_strbuf name = {0};
    char safe[64];
    pyi_process_program(target->proc, tracer, &name);
    pyi_error_set(err, PYI_E_PERM, "process %d is being traced by %s (pid %d)", (int)target->pid,
                  name.length ? pyi_text_safe(pyi_strbuf_get(&name), safe, sizeof(safe))
                              : "another program",
                  (int)tracer);
    pyi_error_slug(err, "traced");
    pyi_strbuf_deinit(&name);
    return PYI_E_PERM;
}

/* Whether stopping works at all is better known before a recording than after it. */
static int try_once(void *context, struct pyi_error *err)
{
    struct pyi_halt *halt = context;
    const struct pyi_target *target = halt->target;
    if (pyi_stop_thread(halt->stopper, target->pid, target->reader, NULL) != PYI_STOP_REFUSED)
        return 0;
    pyi_error_set(err, PYI_E_PERM, "the threads of process %d may not be stopped",
                  (int)target->pid);
    pyi_error_slug(err, "stop-refused");
    return PYI_E_PERM;
}

int pyi_halt_open(struct pyi_target *target, struct pyi_halt **out, struct pyi_error *err)
{
    struct pyi_process_status status;
    int code = pyi_process_status(target->proc, target->reader, &status, err);
    if (code == 0 && status.tracer != 0)
        return refuse_tracer(target, status.tracer, err);
    if (code < 0)
        return code;
    struct pyi_halt *halt = calloc(1, sizeof(*halt));
    if (!halt)
        return pyi_error_nomem(err);
    halt->target = target;
    halt->stopping = (struct pyi_stopping){.context = halt, .stop = stop, .resume = resume};
    halt->stopper = pyi_stopper_new(0);
    code =
        halt->stopper ? pyi_stopper_run(halt->stopper, try_once, halt, err) : pyi_error_nomem(err);
    if (code == 0 && target->options.stop == PYI_STOP_NATIVE) {
        halt->stopping.native = merge;
        code = pyi_native_open(target->proc, target->pid, target->memory, &halt->native, err);
    }
    if (code < 0) {
        pyi_halt_close(halt);
        return code;
    }
    pyi_cpython_stop_threads(target->python, &halt->stopping);
    *out = halt;
    return 0;
}

void pyi_halt_close(struct pyi_halt *halt)
{
    if (!halt)
        return;
    pyi_stopper_free(halt->stopper);
    pyi_native_close(halt->native);
    free(halt);
}

static int round_in_stopper(void *context, struct pyi_error *err)
{
    struct pyi_halt *halt = context;
    return pyi_cpython_round(halt->target->python, halt->round, err);
}

int pyi_halt_round(struct pyi_halt *halt, struct pyi_round *out, struct pyi_error *err)
{
    halt->round = out;
    return pyi_stopper_run(halt->stopper, round_in_stopper, halt, err);
}

void pyi_halt_stats(const struct pyi_halt *halt, struct pyi_target_stats *out)
{
    struct pyi_stop_counts counts;
    if (!halt)
        return;
    pyi_stopper_counts(halt->stopper, &counts);
    out->stops = counts.results[PYI_STOP_DONE];
    out->stopped = counts.stopped;
    out->stopping_cpu = counts.cpu;
    out->stop_late = counts.results[PYI_STOP_LATE];
    out->stop_traced = counts.results[PYI_STOP_TRACED];
    out->stop_refused = counts.results[PYI_STOP_REFUSED];
}
