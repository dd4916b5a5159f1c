/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bias.c - whether the engine finds the target where stops at random moments find it.
 *
 * usage: bias PID SECONDS INTERVAL_NS KEY      KEY: "depth" or "name" of the innermost function
 * Slices in turn: the engine, a reference, the engine, ... The reference stops each thread and reads
 * it at rest; between two stops the target is left alone for a random 30 to 150 us of its own CPU
 * time, because one that has not run since is found where it was. Prints one line of JSON: the total
 * variation distance of the engine's histogram from the reference's, and the same of two halves of
 * the reference (`floor`) and of the engine (`own`), made of every other slice.
 */
#include "attach/attach.h"
#include "src/base/hash.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define KEYS     4096
#define SLICES   40
#define SPACE    30e-6 /* seconds the target runs at least between two stops */
#define SPACE_TO 150e-6
#define PATIENCE 2e-3 /* seconds of waiting for a target that does not run */

/* Two histograms each: of the even slices and of the odd ones. */
struct histogram {
    double counts[2][KEYS];
    double totals[2];
    uint64_t lost;
};

static struct histogram engine, reference;
static struct pyi_intern names;
static bool by_name;

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        return -1;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The kernel's numbers for "scheduled time of that thread" and "of that process". */
static clockid_t clock_of(pid_t id, bool thread)
{
    return (clockid_t)(~(unsigned)id << 3 | (thread ? 6u : 2u));
}

static void sleep_until(double when)
{
    struct timespec deadline = {(time_t)when, (long)((when - floor(when)) * 1e9)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
}

static uint32_t key_of(const struct pyi_stack *stack)
{
    if (!by_name || !stack->depth)
        return (uint32_t)(stack->depth < KEYS ? stack->depth : KEYS - 1);
    const struct pyi_text name = stack->entries[stack->depth - 1].code->name;
    uint32_t key = pyi_intern_add(&names, name.data, name.length);
    return key < KEYS ? key : KEYS - 1;
}

static int look(struct pyi_target *target, struct histogram *histogram, int half,
                struct pyi_error *err)
{
    struct pyi_round round;
    int code = pyi_target_round(target, &round, err);

    for (size_t i = 0; !code && i < round.count; i++) {
        if (round.stacks[i].status == PYI_STACK_LOST) {
            histogram->lost++;
            continue;
        }
        histogram->counts[half][key_of(&round.stacks[i])]++;
        histogram->totals[half]++;
    }
    return code;
}

static int engine_slice(struct pyi_target *target, double seconds, double interval, int half,
                        struct pyi_error *err)
{
    double next = seconds_of(CLOCK_MONOTONIC), end = next + seconds;
    int code = 0;

    while (!code && next < end) {
        code = look(target, &engine, half, err);
        double now = seconds_of(CLOCK_MONOTONIC);
        next += interval;
        if (next < now) /* late: leave out what has passed */
            next += ceil((now - next) / interval) * interval;
        sleep_until(next);
    }
    return code;
}

static int reference_slice(struct pyi_target *target, pid_t tid, double seconds, int half,
                           struct pyi_error *err)
{
    double end = seconds_of(CLOCK_MONOTONIC) + seconds;
    int code = 0;

    while (!code && seconds_of(CLOCK_MONOTONIC) < end) {
        double space = SPACE + (SPACE_TO - SPACE) * drand48();
        double ran = seconds_of(clock_of(tid, true)) + space;
        double patience = seconds_of(CLOCK_MONOTONIC) + PATIENCE;

        do
            sleep_until(seconds_of(CLOCK_MONOTONIC) + space);
        while (seconds_of(clock_of(tid, true)) < ran && seconds_of(CLOCK_MONOTONIC) < patience);
        code = look(target, &reference, half, err);
    }
    return code;
}

/* Total variation distance of two histograms given as counts. */
static double distance(const double *a, double all_a, const double *b, double all_b)
{
    double sum = 0;

    for (size_t i = 0; i < KEYS; i++)
        sum += fabs(a[i] / fmax(all_a, 1) - b[i] / fmax(all_b, 1));
    return sum / 2;
}

static double halves(const struct histogram *histogram)
{
    return distance(histogram->counts[0], histogram->totals[0], histogram->counts[1],
                    histogram->totals[1]);
}

static void whole(const struct histogram *histogram, double out[KEYS])
{
    for (size_t i = 0; i < KEYS; i++)
        out[i] = histogram->counts[0][i] + histogram->counts[1][i];
}

/* The three keys that differ most, engine minus reference. */
static void print_worst(const double *a, double all_a, const double *b, double all_b)
{
    bool shown[KEYS] = {false};

    for (int n = 0; n < 3; n++) {
        size_t worst = 0;
        double most = -1;

        for (size_t i = 0; i < KEYS; i++) {
            double off = fabs(a[i] / all_a - b[i] / all_b);
            if (!shown[i] && off > most) {
                most = off;
                worst = i;
            }
        }
        shown[worst] = true;
        if (by_name && worst < names.count)
            printf("%s[\"%s\"", n ? ", " : "", pyi_intern_text(&names, (uint32_t)worst).data);
        else
            printf("%s[\"%zu\"", n ? ", " : "", worst);
        printf(", %.4f, %.4f]", a[worst] / all_a, b[worst] / all_b);
    }
}

static void print_result(double wall, double cpu)
{
    static double ours[KEYS], theirs[KEYS];
    double all_ours = fmax(engine.totals[0] + engine.totals[1], 1);
    double all_theirs = fmax(reference.totals[0] + reference.totals[1], 1);

    whole(&engine, ours);
    whole(&reference, theirs);
    printf(
        "{\"tvd\": %.5f, \"floor\": %.5f, \"own\": %.5f, \"samples\": %.0f, \"stops\": %.0f, "
        "\"lost\": %llu, \"lost_stops\": %llu, \"wall\": %.3f, \"target_cpu\": %.3f, \"worst\": [",
        distance(ours, all_ours, theirs, all_theirs), halves(&reference), halves(&engine), all_ours,
        all_theirs, (unsigned long long)engine.lost, (unsigned long long)reference.lost, wall, cpu);
    print_worst(ours, all_ours, theirs, all_theirs);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    if (argc != 5 || (strcmp(argv[4], "depth") && strcmp(argv[4], "name"))) {
        fprintf(stderr, "usage: see the head of tests/bench/bias.c\n");
        return 2;
    }
    const pid_t pid = (pid_t)atoi(argv[1]);
    const double seconds = atof(argv[2]), interval = atof(argv[3]) * 1e-9;
    struct pyi_target_options options = {.c_labels = PYI_C_LABELS_NONE};
    struct pyi_target *running = NULL, *stopped = NULL;
    struct pyi_error err = {0};

    by_name = !strcmp(argv[4], "name");
    prctl(PR_SET_TIMERSLACK, 1);
    int code = pyi_target_open(pid, &options, &running, &err);
    options.stop = PYI_STOP_BLOCKING;
    if (!code)
        code = pyi_target_open(pid, &options, &stopped, &err);
    /* What the engine has to learn about the target it learns before. */
    if (!code)
        code = engine_slice(running, 0.3, interval, 0, &err);
    memset(&engine, 0, sizeof(engine));
    double wall = 0, cpu = 0;
    for (int i = 0; !code && i < SLICES; i++) {
        double begin = seconds_of(CLOCK_MONOTONIC), used = seconds_of(clock_of(pid, false));

        code = engine_slice(running, seconds / SLICES / 2, interval, i & 1, &err);
        cpu += seconds_of(clock_of(pid, false)) - used;
        wall += seconds_of(CLOCK_MONOTONIC) - begin;
        if (!code)
            code = reference_slice(stopped, pid, seconds / SLICES / 2, i & 1, &err);
    }
    if (code)
        fprintf(stderr, "bias: %s (%s)\n", err.message, err.why);
    else
        print_result(wall, cpu);
    pyi_target_close(running);
    pyi_target_close(stopped);
    pyi_intern_deinit(&names);
    return code ? 1 : 0;
}
