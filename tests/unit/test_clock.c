/* SPDX-License-Identifier: BSD-3-Clause */
/* test_clock.c - the grid of deadlines, and waiting that can be ended from anywhere. */
#include "src/record/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>
#include <cmocka.h>

#define MS 1000000ull

static void test_interval(void **state)
{
    assert_int_equal(pyi_pace_interval(0.001), MS);
    assert_int_equal(pyi_pace_interval(0.0001), MS / 10);
    assert_int_equal(pyi_pace_interval(0), MS);
    assert_int_equal(pyi_pace_interval(-5), MS);
    assert_int_equal(pyi_pace_interval(0.0 / 0.0), MS);
    assert_int_equal(pyi_pace_interval(1e-12), 1);
    assert_int_equal(pyi_pace_interval(1e300), 1000000000ull * 1000000000ull);
}

static void test_pace_on_time(void **state)
{
    struct pyi_pace pace;
    pyi_pace_start(&pace, MS, 100);
    assert_int_equal(pace.next, 100 + MS);
    pyi_pace_advance(&pace, 100 + MS + 30000);
    assert_int_equal(pace.next, 100 + 2 * MS); /* the grid does not drift with lateness */
    pyi_pace_advance(&pace, 100 + 3 * MS - 1);
    assert_int_equal(pace.next, 100 + 3 * MS);
    assert_int_equal(pace.missed, 0);
}

static void test_pace_late(void **state)
{
    struct pyi_pace pace;
    pyi_pace_start(&pace, MS, 0);
    pyi_pace_advance(&pace, 2 * MS); /* exactly at the next deadline: that one is missed */
    assert_int_equal(pace.missed, 1);
    assert_int_equal(pace.next, 3 * MS);
    pyi_pace_advance(&pace, 3 * MS + 5 * MS + MS / 2);
    assert_int_equal(pace.missed, 1 + 5);
    assert_int_equal(pace.next, 9 * MS);
}

/* Ticks made and ticks missed together are all deadlines, whatever the delays. */
static void test_pace_complete(void **state)
{
    struct pyi_pace pace;
    pyi_pace_start(&pace, MS, 0);
    uint64_t now = 0, ticks = 0, random = 1;
    while (now < 10000 * MS) {
        now = pace.next > now ? pace.next : now;
        ticks++;
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        now += random >> 42; /* up to 4.2 ms */
        pyi_pace_advance(&pace, now);
        assert_true(pace.next > now);
        assert_true(pace.next <= now + MS);
    }
    assert_int_equal(ticks + pace.missed, pace.next / MS - 1);
}

static void test_wait_reaches_deadline(void **state)
{
    struct pyi_clock clock;
    pyi_clock_init(&clock);
    uint64_t deadline = clock.now(&clock) + 2 * MS;
    clock.wait(&clock, deadline);
    assert_true(clock.now(&clock) >= deadline);
    clock.wait(&clock, deadline - MS); /* past: returns at once */
    assert_false(pyi_clock_stopped(&clock));
}

static void test_stop_before_wait(void **state)
{
    struct pyi_clock clock;
    pyi_clock_init(&clock);
    pyi_clock_stop(&clock);
    uint64_t begin = clock.now(&clock);
    clock.wait(&clock, begin + 3600 * 1000 * MS);
    assert_true(clock.now(&clock) < begin + 1000 * MS);
    assert_true(pyi_clock_stopped(&clock));
}

static void *stop_it(void *clock)
{
    pyi_clock_stop(clock);
    return NULL;
}

static void test_stop_from_thread(void **state)
{
    /* Many short races between going to sleep and being stopped: none may be lost. */
    for (int i = 0; i < 200; i++) {
        struct pyi_clock clock;
        pyi_clock_init(&clock);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_it, &clock), 0);
        uint64_t begin = clock.now(&clock);
        clock.wait(&clock, begin + 3600 * 1000 * MS);
        assert_true(clock.now(&clock) < begin + 10000 * MS);
        pthread_join(thread, NULL);
    }
}

static struct pyi_clock *signalled;

static void on_signal(int number)
{
    pyi_clock_stop(signalled);
}

static void on_other_signal(int number)
{
}

/* Runs the handler on this thread in the middle of the wait. */
static void arm(int number, void (*handler)(int), long delay_ns, timer_t *timer)
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(number, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, timer), 0);
    const struct itimerspec time = {.it_value = {0, delay_ns}};
    assert_int_equal(timer_settime(*timer, 0, &time, NULL), 0);
}

static void test_stop_from_handler(void **state)
{
    struct pyi_clock clock;
    pyi_clock_init(&clock);
    signalled = &clock;
    timer_t timer;
    arm(SIGUSR1, on_signal, 2000000, &timer);
    uint64_t begin = clock.now(&clock);
    clock.wait(&clock, begin + 3600 * 1000 * MS);
    assert_true(pyi_clock_stopped(&clock));
    timer_delete(timer);
}

/* A signal that means nothing to us does not shorten the wait. */
static void test_signal_does_not_end_wait(void **state)
{
    struct pyi_clock clock;
    pyi_clock_init(&clock);
    timer_t timer;
    arm(SIGUSR2, on_other_signal, 1000000, &timer);
    uint64_t deadline = clock.now(&clock) + 5 * MS;
    clock.wait(&clock, deadline);
    assert_true(clock.now(&clock) >= deadline);
    timer_delete(timer);
}

static void test_slack(void **state)
{
    int before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    unsigned long slack = pyi_clock_sharpen();
    assert_int_equal(slack, before);
    assert_int_equal(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 1);
    pyi_clock_blunt(slack);
    assert_int_equal(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_pace_on_time),
        cmocka_unit_test(test_pace_late),
        cmocka_unit_test(test_pace_complete),
        cmocka_unit_test(test_wait_reaches_deadline),
        cmocka_unit_test(test_stop_before_wait),
        cmocka_unit_test(test_stop_from_thread),
        cmocka_unit_test(test_stop_from_handler),
        cmocka_unit_test(test_signal_does_not_end_wait),
        cmocka_unit_test(test_slack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
