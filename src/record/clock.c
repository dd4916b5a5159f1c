/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.c - the system's clocks behind struct pyi_clock, and the grid of deadlines.
 *
 * Waiting is one futex call with an absolute timeout; what is too short for that is waited for
 * awake, so that a recording that cannot keep up, or is asked for every microsecond, never sleeps. Measured at 1 kHz it costs the same as
 * clock_nanosleep(TIMER_ABSTIME) and less than ppoll() or a timerfd; and as the kernel compares
 * the word before it sleeps, a stop request cannot slip in between test and sleep.
 */
#include "src/record/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <math.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND   1000000000ull
#define SHORT_WAIT      10000 /* ns: sleeping takes more CPU than to keep looking at the clock */
#define LONGEST_BACKOFF NS_PER_SECOND

static uint64_t read_clock(clockid_t id)
{
    struct timespec time = {0, 0};
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static uint64_t system_now(struct pyi_clock *clock)
{
    return read_clock(CLOCK_MONOTONIC);
}

static double system_wall(struct pyi_clock *clock)
{
    struct timespec time = {0, 0};
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t system_cpu(struct pyi_clock *clock)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void system_wait(struct pyi_clock *clock, uint64_t deadline)
{
    const struct timespec at = {
        .tv_sec = (time_t)(deadline / NS_PER_SECOND),
        .tv_nsec = (long)(deadline % NS_PER_SECOND),
    };
    while (!pyi_clock_stopped(clock)) {
        uint64_t now = system_now(clock);
        if (now >= deadline)
            return;
        if (deadline - now <= SHORT_WAIT)
            continue;
        /* FUTEX_WAIT_BITSET takes its timeout as a point in CLOCK_MONOTONIC. Private futexes are
         * woken from any thread and from signal handlers of this process. */
        long result = syscall(SYS_futex, &clock->stopped, FUTEX_WAIT_BITSET_PRIVATE, 0, &at, NULL,
                              FUTEX_BITSET_MATCH_ANY);
        if (result != 0 && errno != EINTR)
            return; /* ETIMEDOUT: the deadline; EAGAIN: stopped */
    }
}

void pyi_clock_init(struct pyi_clock *clock)
{
    clock->now = system_now;
    clock->wall = system_wall;
    clock->cpu = system_cpu;
    clock->wait = system_wait;
    atomic_store(&clock->stopped, 0);
}

void pyi_clock_stop(struct pyi_clock *clock)
{
    int saved = errno;
    atomic_store(&clock->stopped, 1);
    syscall(SYS_futex, &clock->stopped, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

bool pyi_clock_stopped(const struct pyi_clock *clock)
{
    return atomic_load(&clock->stopped) != 0;
}

unsigned long pyi_clock_sharpen(void)
{
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    return slack > 0 ? (unsigned long)slack : 0;
}

void pyi_clock_blunt(unsigned long slack)
{
    prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0); /* 0: the thread's default */
}

uint64_t pyi_pace_interval(double seconds)
{
    const double longest = 1e9; /* seconds */
    if (!(seconds > 0))
        seconds = 0.001;
    if (seconds > longest)
        seconds = longest;
    double ns = nearbyint(seconds * 1e9);
    return ns < 1 ? 1 : (uint64_t)ns;
}

void pyi_pace_start(struct pyi_pace *pace, uint64_t interval, uint64_t now)
{
    pace->interval = interval;
    pace->next = now + interval;
    pace->missed = 0;
}

void pyi_pace_advance(struct pyi_pace *pace, uint64_t now)
{
    pace->next += pace->interval;
    if (pace->next > now)
        return;
    uint64_t skipped = (now - pace->next) / pace->interval + 1;
    pace->missed += skipped;
    pace->next += skipped * pace->interval;
}

/* Up at once, down half way to what should do, and not before there is room: what is near the
 * budget stays where it is. */
uint64_t pyi_pace_adapt(uint64_t interval, uint64_t asked, double used, double budget)
{
    const double room = 0.8, most = 4;
    double factor = budget > 0 ? used / budget : 1;
    if (factor > 1)
        factor = factor > most ? most : factor;
    else if (factor < room && interval > asked)
        factor = (1 + factor / room) / 2;
    else
        return interval;
    double next = (double)interval * factor;
    if (next <= (double)asked)
        return asked;
    return next > LONGEST_BACKOFF ? LONGEST_BACKOFF : (uint64_t)next;
}
