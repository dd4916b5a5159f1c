/* SPDX-License-Identifier: BSD-3-Clause */
/* clock.h - time for the recorder: reading it, waiting for a deadline, being woken.
 *
 * A clock is a small object with functions, so that tests put their own in its place. All
 * times are nanoseconds of CLOCK_MONOTONIC. */
#ifndef PYI_RECORD_CLOCK_H
#define PYI_RECORD_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pyi_clock {
    uint64_t (*now)(struct pyi_clock *clock);
    double (*wall)(struct pyi_clock *clock);  /* Unix seconds */
    uint64_t (*cpu)(struct pyi_clock *clock); /* CPU time of the calling thread */
    /* Sleeps until `deadline` or until the clock is stopped, whichever comes first. */
    void (*wait)(struct pyi_clock *clock, uint64_t deadline);
    _Atomic uint32_t stopped; /* also the futex word that wait() sleeps on */
};

/* The system's clocks. */
void pyi_clock_init(struct pyi_clock *clock);
/* Ends a wait() under way and every later one, for good. Async-signal-safe, from any thread. */
void pyi_clock_stop(struct pyi_clock *clock);
bool pyi_clock_stopped(const struct pyi_clock *clock);

/* Lets the calling thread's timers fire on time instead of up to 50 us late. Returns the slack to
 * hand to pyi_clock_blunt(): a child started later would inherit it. */
unsigned long pyi_clock_sharpen(void);
void pyi_clock_blunt(unsigned long slack);

/* Deadlines on a fixed grid. */
struct pyi_pace {
    uint64_t interval;
    uint64_t next;   /* deadline of the coming tick */
    uint64_t missed; /* deadlines that passed without a tick */
};

/* Nanoseconds of an interval in seconds: 1 ms when it is not positive (or no number), at most
 * about 31 years. */
uint64_t pyi_pace_interval(double seconds);
void pyi_pace_start(struct pyi_pace *pace, uint64_t interval, uint64_t now);
/* After a tick: the next deadline that still lies ahead of `now`. Never two ticks in a row to
 * catch up. */
/* The interval to go on with when `used` of the `budget` was used at `interval`; never shorter than
 * `asked`. */
uint64_t pyi_pace_adapt(uint64_t interval, uint64_t asked, double used, double budget);
void pyi_pace_advance(struct pyi_pace *pace, uint64_t now);

#endif
