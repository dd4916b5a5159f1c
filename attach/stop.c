/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stop.c - the only file that stops anything.
 *
 * In: a thread id. Out: that thread, halted, and its registers; later the same thread, running as
 * if nothing had been. What must hold: no option is set that would end or stop the target with us;
 * a signal that comes while a thread is stopped is delivered when it is let go; a process that was
 * stopped stays stopped; nobody's exit status is collected; no wait is without an end.
 */
#include "attach/stop.h"

#include "src/base/error.h"
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define SPIN_NS  60000  /* looks without sleeping: most threads stop within this */
#define NAP_NS   50000  /* then between looks */
#define STRAYS   64     /* threads that did not stop in time; one more ends the round */
#define TRAP_BIT 0xff00 /* of a wait status: the event */

enum order { ORDER_NONE, ORDER_WORK, ORDER_END };

struct pyi_stopper {
    double deadline;
    /* the hand-over */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running; /* there is a thread */
    enum order order;
    int (*work)(void *context, struct pyi_error *err);
    void *context;
    int result;
    struct pyi_error error;
    /* of the thread that stops */
    pid_t tid;      /* stopped now, 0 none */
    int signal;     /* to be delivered when it goes on */
    uint64_t since; /* ns of the request */
    pid_t strays[STRAYS];
    size_t stray_count;
    bool spent; /* something can only be freed by ending the thread */
    struct pyi_stop_counts counts;
    double cpu_before; /* of threads that have ended */
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- the thread that stops ------------------------------------------------------------------- */

static void *stopping_thread(void *argument)
{
    struct pyi_stopper *stopper = argument;
    pthread_mutex_lock(&stopper->lock);
    for (;;) {
        while (stopper->order == ORDER_NONE)
            pthread_cond_wait(&stopper->changed, &stopper->lock);
        if (stopper->order == ORDER_END)
            break;
        pthread_mutex_unlock(&stopper->lock);
        struct pyi_error error = {0};
        int result = stopper->work(stopper->context, &error);
        pyi_stop_resume(stopper);
        pthread_mutex_lock(&stopper->lock);
        stopper->result = result;
        stopper->error = error;
        stopper->counts.cpu =
            stopper->cpu_before + (double)now_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
        stopper->order = ORDER_NONE;
        pthread_cond_broadcast(&stopper->changed);
    }
    pthread_mutex_unlock(&stopper->lock);
    return NULL;
}

static int start_thread(struct pyi_stopper *stopper, struct pyi_error *err)
{
    sigset_t all, old;
    stopper->order = ORDER_NONE;
    stopper->spent = false;
    stopper->stray_count = 0;
    /* Signals are for the threads of the program we live in. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&stopper->thread, NULL, stopping_thread, stopper);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != 0)
        return pyi_error_os(err, code, "cannot start the thread that stops the target");
    stopper->running = true;
    return 0;
}

/* The kernel detaches from all that it had seized. */
static void end_thread(struct pyi_stopper *stopper)
{
    if (!stopper->running)
        return;
    pthread_mutex_lock(&stopper->lock);
    stopper->order = ORDER_END;
    pthread_cond_broadcast(&stopper->changed);
    pthread_mutex_unlock(&stopper->lock);
    pthread_join(stopper->thread, NULL);
    stopper->running = false;
    stopper->cpu_before = stopper->counts.cpu;
}

struct pyi_stopper *pyi_stopper_new(double deadline)
{
    struct pyi_stopper *stopper = calloc(1, sizeof(*stopper));
    if (!stopper)
        return NULL;
    stopper->deadline = deadline > 0 ? deadline : PYI_STOP_DEADLINE;
    pthread_mutex_init(&stopper->lock, NULL);
    pthread_cond_init(&stopper->changed, NULL);
    return stopper;
}

void pyi_stopper_free(struct pyi_stopper *stopper)
{
    if (!stopper)
        return;
    end_thread(stopper);
    pthread_cond_destroy(&stopper->changed);
    pthread_mutex_destroy(&stopper->lock);
    free(stopper);
}

int pyi_stopper_run(struct pyi_stopper *stopper, int (*work)(void *context, struct pyi_error *err),
                    void *context, struct pyi_error *err)
{
    if (!stopper->running) {
        int code = start_thread(stopper, err);
        if (code < 0)
            return code;
    }
    pthread_mutex_lock(&stopper->lock);
    stopper->work = work;
    stopper->context = context;
    stopper->order = ORDER_WORK;
    pthread_cond_broadcast(&stopper->changed);
    while (stopper->order != ORDER_NONE)
        pthread_cond_wait(&stopper->changed, &stopper->lock);
    int result = stopper->result;
    if (result < 0 && err)
        *err = stopper->error;
    pthread_mutex_unlock(&stopper->lock);
    if (stopper->spent)
        end_thread(stopper);
    return result;
}

void pyi_stopper_counts(const struct pyi_stopper *stopper, struct pyi_stop_counts *out)
{
    *out = stopper->counts;
}

/* ---- stopping -------------------------------------------------------------------------------- */

enum look { LOOK_RUNS, LOOK_STOPPED, LOOK_ENDED };

/* Whether it has stopped. WNOWAIT: neither the stop nor an end is taken from anybody; an end may
 * be that of a child of ours, whose status others wait for. */
static enum look look(pid_t tid, int *signal)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
        return errno == EINTR ? LOOK_RUNS : LOOK_ENDED;
    if (info.si_pid == 0)
        return LOOK_RUNS;
    if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
        return LOOK_ENDED;
    /* A stop without an event is a signal on its way to the thread: it must go on. Event stops
     * are our own request, or the process being stopped as a whole, which outlives our visit. */
    *signal = (info.si_status & TRAP_BIT) == 0 ? info.si_status & 0x7f : 0;
    return LOOK_STOPPED;
}

static void detach(pid_t tid, int signal)
{
    (void)ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
}

/* Those that came too late are let go at the first chance; the rest when this thread ends. */
static void free_strays(struct pyi_stopper *stopper)
{
    for (size_t i = 0; i < stopper->stray_count; i++) {
        int signal = 0;
        if (look(stopper->strays[i], &signal) == LOOK_STOPPED) {
            detach(stopper->strays[i], signal);
            stopper->strays[i--] = stopper->strays[--stopper->stray_count];
        }
    }
}

static void leave_astray(struct pyi_stopper *stopper, pid_t tid)
{
    stopper->spent = true;
    if (stopper->stray_count < STRAYS)
        stopper->strays[stopper->stray_count++] = tid;
}

static enum look wait_for(struct pyi_stopper *stopper, pid_t tid, int *signal)
{
    const uint64_t deadline = stopper->since + (uint64_t)(stopper->deadline * 1e9);
    for (;;) {
        enum look seen = look(tid, signal);
        if (seen != LOOK_RUNS)
            return seen;
        if (stopper->stray_count)
            free_strays(stopper);
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        if (now >= deadline)
            return LOOK_RUNS;
        if (now - stopper->since < SPIN_NS)
            sched_yield(); /* it may be waiting for this very processor */
        else
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
}

/* Why seizing was refused: a tracer that is there already looks the same as a lack of rights. */
static bool has_tracer(pid_t pid, pid_t tid)
{
    char path[64], line[256];
    int tracer = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (file)
        fclose(file);
    return tracer != 0;
}

static enum pyi_stop_result stop(struct pyi_stopper *stopper, pid_t pid, pid_t tid,
                                 struct pyi_registers *registers)
{
    int signal = 0;
    if (stopper->tid || stopper->stray_count == STRAYS)
        return PYI_STOP_REFUSED;
    /* One that we could not let go yet stands in the way of itself. */
    for (size_t i = 0; i < stopper->stray_count; i++)
        if (stopper->strays[i] == tid)
            return PYI_STOP_LATE;
    /* No options: PTRACE_O_EXITKILL would end the target with us. */
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
        if (errno == ESRCH)
            return PYI_STOP_ENDED;
        return errno == EPERM && has_tracer(pid, tid) ? PYI_STOP_TRACED : PYI_STOP_REFUSED;
    }
    stopper->since = now_ns(CLOCK_MONOTONIC);
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0) {
        stopper->spent = true; /* it ended just now; ending our thread lets it go */
        return PYI_STOP_ENDED;
    }
    switch (wait_for(stopper, tid, &signal)) {
    case LOOK_RUNS:
        leave_astray(stopper, tid);
        return PYI_STOP_LATE;
    case LOOK_ENDED:
        stopper->spent = true;
        return PYI_STOP_ENDED;
    case LOOK_STOPPED:
        break;
    }
    stopper->tid = tid;
    stopper->signal = signal;
    if (!registers)
        return PYI_STOP_DONE;
    struct iovec where = {&registers->kernel, sizeof(registers->kernel)};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &where) != 0 ||
        where.iov_len != sizeof(registers->kernel)) {
        pyi_stop_resume(stopper); /* killed while it stood still */
        return PYI_STOP_ENDED;
    }
    return PYI_STOP_DONE;
}

enum pyi_stop_result pyi_stop_thread(struct pyi_stopper *stopper, pid_t pid, pid_t tid,
                                     struct pyi_registers *registers)
{
    enum pyi_stop_result result = stop(stopper, pid, tid, registers);
    stopper->counts.results[result]++;
    return result;
}

void pyi_stop_resume(struct pyi_stopper *stopper)
{
    if (!stopper->tid)
        return;
    /* Fails only when it was killed meanwhile; then ending our thread gives it back. */
    if (ptrace(PTRACE_DETACH, stopper->tid, NULL, (void *)(intptr_t)stopper->signal) != 0)
        stopper->spent = true;
    stopper->tid = 0;
    stopper->counts.stopped += (double)(now_ns(CLOCK_MONOTONIC) - stopper->since) / 1e9;
}
