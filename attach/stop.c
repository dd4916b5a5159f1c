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

#include "attach/process.h"
#include "src/base/error.h"
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define QUEUED     50         /* deadlines for one that only waits for a processor */
#define LATE_MAX   16         /* threads remembered to have been late ... */
#define LATE_NS    250000000u /* ... and let be for so long */
#define LATE_ROUND 4          /* more in one piece of work: the rest is not tried */
#define TRAP_BIT   0xff00     /* of a wait status: the event */

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
    bool ordinary;  /* it runs with an ordinary priority, which nobody chose */
    pid_t tid;      /* stopped now, 0 none */
    int signal;     /* to be delivered when it goes on */
    uint64_t since; /* ns of the request */
    bool spent;     /* something can only be freed by ending the thread */
    /* being waited for; read by the thread that watches the deadline */
    _Atomic uint64_t waiting; /* ns since when, 0: not */
    pid_t waited_pid, waited;
    struct late {
        pid_t tid;
        uint64_t until;
    } late[LATE_MAX];
    size_t late_count;
    unsigned late_now; /* in the work under way */
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
    /* Only while it waits for a thread to stop it may be ended from outside. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    stopper->ordinary = sched_getscheduler(0) == SCHED_OTHER;
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
        stopper->counts.cpu = stopper->cpu_before + (double)now_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
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
    stopper->tid = 0;
    atomic_store(&stopper->waiting, 0);
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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stopper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
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

/* The thread waits for one that does not stop: nothing can make it return but its own end, which
 * also frees that one. */
static void give_up(struct pyi_stopper *stopper)
{
    struct late *late = &stopper->late[0];
    pthread_cancel(stopper->thread);
    pthread_join(stopper->thread, NULL);
    stopper->running = false;
    stopper->cpu_before = stopper->counts.cpu;
    stopper->counts.results[PYI_STOP_LATE]++;
    stopper->late_now++;
    for (size_t i = 1; stopper->late_count == LATE_MAX && i < LATE_MAX; i++)
        if (stopper->late[i].until < late->until)
            late = &stopper->late[i];
    if (stopper->late_count < LATE_MAX)
        late = &stopper->late[stopper->late_count++];
    *late = (struct late){stopper->waited, now_ns(CLOCK_MONOTONIC) + LATE_NS};
}

/* Either is in the queue for a processor, on a machine that has too few: it, and then it does not
 * stand still, or our own thread, which has not been told yet that it stopped. */
static bool is_on_its_way(const struct pyi_stopper *stopper)
{
    struct pyi_process_stat stat;
    return pyi_process_stat(PYI_PROC, stopper->waited_pid, stopper->waited, &stat, NULL) == 0 &&
           strchr("RtTZX", stat.state);
}

/* Waits for the work to be done; false when a thread was late and the work is cut off. */
static bool watch(struct pyi_stopper *stopper)
{
    const uint64_t patience = (uint64_t)(stopper->deadline * 1e9);
    uint64_t until = now_ns(CLOCK_MONOTONIC) + patience;
    while (stopper->order != ORDER_NONE) {
        const struct timespec at = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
        if (pthread_cond_timedwait(&stopper->changed, &stopper->lock, &at) != ETIMEDOUT)
            continue;
        uint64_t now = now_ns(CLOCK_MONOTONIC), since = atomic_load(&stopper->waiting);
        bool late = since && now - since >= patience;
        if (late && (now - since >= QUEUED * patience || !is_on_its_way(stopper)))
            return false;
        until = (since && !late ? since : now) + patience;
    }
    return true;
}

int pyi_stopper_run(struct pyi_stopper *stopper, int (*work)(void *context, struct pyi_error *err),
                    void *context, struct pyi_error *err)
{
    stopper->late_now = 0;
    for (;;) {
        int result = 0;
        if (!stopper->running)
            result = start_thread(stopper, err);
        if (result < 0)
            return result;
        pthread_mutex_lock(&stopper->lock);
        stopper->work = work;
        stopper->context = context;
        stopper->order = ORDER_WORK;
        pthread_cond_broadcast(&stopper->changed);
        bool done = watch(stopper);
        result = stopper->result;
        if (done && result < 0 && err)
            *err = stopper->error;
        pthread_mutex_unlock(&stopper->lock);
        if (!done) {
            give_up(stopper);
            continue; /* again, without that one */
        }
        if (stopper->spent)
            end_thread(stopper);
        return result;
    }
}

void pyi_stopper_counts(const struct pyi_stopper *stopper, struct pyi_stop_counts *out)
{
    *out = stopper->counts;
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* Waits until it has stopped; false when it has ended. WNOWAIT: neither the stop nor an end is
 * taken from anybody; an end may be that of a child of ours, whose status others wait for. Sleeping
 * in the kernel until the stop is what keeps it short: measured on a machine with as many busy
 * processes as cores, a thread that looked again and again lost its processor to one of them in
 * between, and the target stood still for 0.1 to 2 ms; this way for 50 us. */
static bool wait_for(struct pyi_stopper *stopper, pid_t pid, pid_t tid, int *signal)
{
    siginfo_t info;
    int result;
    stopper->waited_pid = pid;
    stopper->waited = tid;
    atomic_store(&stopper->waiting, stopper->since);
    do {
        info = (siginfo_t){0};
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        result = waitid(P_PID, (id_t)tid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    } while (result < 0 && errno == EINTR);
    atomic_store(&stopper->waiting, 0);
    if (result < 0 || (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED))
        return false;
    /* A stop without an event is a signal on its way to the thread: it must go on. Event stops
     * are our own request, or the process being stopped as a whole, which outlives our visit. */
    *signal = (info.si_status & TRAP_BIT) == 0 ? info.si_status & 0x7f : 0;
    return true;
}

static bool was_late(const struct pyi_stopper *stopper, pid_t tid)
{
    uint64_t now = stopper->late_count ? now_ns(CLOCK_MONOTONIC) : 0;
    if (stopper->late_now >= LATE_ROUND)
        return true;
    for (size_t i = 0; i < stopper->late_count; i++)
        if (stopper->late[i].tid == tid && now < stopper->late[i].until)
            return true;
    return false;
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

/* While something stands still for us nobody's work is more urgent than letting it go. Where that
 * is not permitted it takes longer on a busy machine, nothing else. */
static void hurry(const struct pyi_stopper *stopper, bool wanted)
{
    const struct sched_param priority = {.sched_priority = wanted ? 1 : 0};
    if (stopper->ordinary)
        (void)sched_setscheduler(0, wanted ? SCHED_RR : SCHED_OTHER, &priority);
}

static enum pyi_stop_result stop(struct pyi_stopper *stopper, pid_t pid, pid_t tid,
                                 struct pyi_registers *registers)
{
    int signal = 0;
    if (stopper->tid)
        return PYI_STOP_REFUSED;
    if (was_late(stopper, tid))
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
    if (!wait_for(stopper, pid, tid, &signal)) {
        stopper->spent = true;
        return PYI_STOP_ENDED;
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
    hurry(stopper, true);
    enum pyi_stop_result result = stop(stopper, pid, tid, registers);
    if (result != PYI_STOP_DONE)
        hurry(stopper, false);
    if (result != PYI_STOP_LATE) /* counted where it is noticed */
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
    hurry(stopper, false);
}
