/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sampler.c - measures the sampling engine alone on a running target.
 *
 * usage: sampler cost  PID SECONDS INTERVAL_NS RANGES    what a sample costs, beside a bare loop
 *        sampler states PID SECONDS INTERVAL_NS 2      the same beside the engine without states
 *        sampler check PID SECONDS INTERVAL_NS FILE      impossible stacks; FILE: see read_legal()
 *        sampler timer SECONDS INTERVAL_NS               a bare absolute sleep loop
 *        sampler run FILE COMMAND...                     what a program used, into FILE
 * INTERVAL_NS 0 means flat out. Prints one line of JSON. A sample counts as torn when what a session
 * would keep of it is impossible: calls that found no proof by the end are folded there, with all
 * above them; `raw` counts those that were impossible as delivered.
 */
#include "attach/attach.h"
#include "src/base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RANGES_MAX 512
#define NAMES_MAX  2048
#define UNKNOWN    UINT16_MAX

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* CPU seconds of a process, up to its last timer tick. */
static double cpu_of(pid_t pid)
{
    /* The kernel's number for "scheduled time of that process". */
    return seconds_of((clockid_t)(~(unsigned)pid << 3 | 2));
}

/* ---- pace ---------------------------------------------------------------------------------- */

struct pace {
    int64_t interval, next;
    double end;
    uint64_t ticks, missed;
};

static int64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct pace pace_begin(double seconds, int64_t interval)
{
    return (struct pace){
        .interval = interval, .next = nanoseconds(), .end = seconds_of(CLOCK_MONOTONIC) + seconds};
}

/* Sleeps until the next deadline, leaving out those that passed. False at the end. */
static bool pace_tick(struct pace *pace)
{
    pace->ticks++;
    if (!pace->interval) /* flat out: the clock is looked at now and then */
        return (pace->ticks & 63) != 0 || seconds_of(CLOCK_MONOTONIC) < pace->end;
    pace->next += pace->interval;
    int64_t now = nanoseconds();
    if (pace->next <= now) {
        int64_t late = (now - pace->next) / pace->interval + 1;

        pace->missed += (uint64_t)late;
        pace->next += late * pace->interval;
    }
    struct timespec deadline = {pace->next / 1000000000, pace->next % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
    return (double)pace->next * 1e-9 < pace->end;
}

static double timer_loop(double seconds, int64_t interval, uint64_t *ticks)
{
    struct pace pace = pace_begin(seconds, interval);
    double begin = seconds_of(CLOCK_THREAD_CPUTIME_ID);

    while (pace_tick(&pace))
        ;
    *ticks = pace.ticks;
    return (seconds_of(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)pace.ticks * 1e6;
}

/* ---- a bare read --------------------------------------------------------------------------- */

/* Start of some writable memory of at least `length` bytes that has been written to. */
static uint64_t writable(pid_t pid, uint64_t length)
{
    char path[64], line[512];
    unsigned long long first = 0, last = 0, found = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (!found && fgets(line, sizeof(line), file)) {
        if (strstr(line, "[heap]") && sscanf(line, "%llx-%llx", &first, &last) == 2 &&
            last - first > length)
            found = first;
    }
    fclose(file);
    return found;
}

/* Microseconds of one call that reads a thread state and the top of a stack, and nothing more:
 * 256 bytes, then 2 KiB; with more ranges, that many of 64 bytes on pages of their own. */
static double bare_read(pid_t pid, double seconds, size_t ranges)
{
    static char buffer[RANGES_MAX * 2048];
    struct iovec local[RANGES_MAX], remote[RANGES_MAX];
    uint64_t base = writable(pid, 256 * 1024), calls = 0;

    if (!base)
        return -1;
    for (size_t i = 0; i < ranges; i++) {
        size_t length = ranges > 2 ? 64 : i == 0 ? 256 : 2048;

        local[i] = (struct iovec){buffer + i * 2048, length};
        remote[i] = (struct iovec){(char *)0 + base + i % 60 * 4096, length};
    }
    double end = seconds_of(CLOCK_MONOTONIC) + seconds;
    double begin = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    do {
        for (int i = 0; i < 64; i++, calls++) {
            if (process_vm_readv(pid, local, ranges, remote, ranges, 0) < 0)
                return -1;
        }
    } while (seconds_of(CLOCK_MONOTONIC) < end);
    return (seconds_of(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)calls * 1e6;
}

/* ---- what is possible ---------------------------------------------------------------------- */

struct judge {
    struct pyi_intern names;
    bool *legal; /* names.count x names.count */
    bool *root;
    uint16_t *by_code; /* code id + 1 to name; 0: not looked up yet */
    size_t codes;
    uint64_t *inclusive;
    uint64_t *stamp;
    uint64_t samples, torn, raw, folded, foreign_edges, edges;
    char first_torn[5][256];
    struct doubt *doubts;
    size_t doubt_count, doubt_capacity;
    uint32_t *numbers; /* of the calls in doubt, all samples */
    size_t number_count, number_capacity;
};

/* A sample with calls that were not proven when it was delivered, or an impossible one. */
struct doubt {
    size_t first, below, count; /* in `numbers`; the first `below` ones are under the bad call */
    bool bad;
    char text[256];
};

/* FILE: a line "N", N lines of names, then lines "CALLER CALLEE" by number; -1 as a caller: the
 * callee can stand at the bottom. */
static bool read_legal(const char *path, struct judge *judge)
{
    FILE *file = fopen(path, "r");
    char name[256];
    int count, caller, callee;

    if (!file)
        return false;
    bool good = fscanf(file, "%d", &count) == 1 && count > 0 && count < NAMES_MAX;
    for (int i = 0; good && i < count; i++)
        good = fscanf(file, "%255s", name) == 1 &&
               pyi_intern_add(&judge->names, name, strlen(name)) == (uint32_t)i;
    judge->legal = calloc((size_t)count * (size_t)count, sizeof(bool));
    judge->root = calloc((size_t)count, sizeof(bool));
    judge->inclusive = calloc((size_t)count, sizeof(uint64_t));
    judge->stamp = calloc((size_t)count, sizeof(uint64_t));
    good = good && judge->legal && judge->root && judge->inclusive && judge->stamp;
    while (good && fscanf(file, "%d %d", &caller, &callee) == 2) {
        good = caller >= -1 && caller < count && callee >= 0 && callee < count;
        if (good && caller < 0)
            judge->root[callee] = true;
        else if (good)
            judge->legal[caller * count + callee] = true;
    }
    fclose(file);
    return good;
}

static uint16_t name_of(struct judge *judge, const struct pyi_code *code)
{
    if (code->id >= judge->codes) {
        size_t wanted = code->id + 1024;
        uint16_t *grown = realloc(judge->by_code, wanted * sizeof(*grown));

        if (!grown)
            abort();
        memset(grown + judge->codes, 0, (wanted - judge->codes) * sizeof(*grown));
        judge->by_code = grown;
        judge->codes = wanted;
    }
    if (!judge->by_code[code->id]) {
        uint32_t found = pyi_intern_find(&judge->names, code->name.data, code->name.length);

        judge->by_code[code->id] = found == UINT32_MAX ? UNKNOWN : (uint16_t)(found + 1);
    }
    return judge->by_code[code->id] == UNKNOWN ? UNKNOWN : judge->by_code[code->id] - 1;
}

/* Room for one more element; the program ends when there is none. */
static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity * 2 + 1024;
    array = realloc(array, *capacity * size);
    if (!array)
        abort();
    return array;
}

/* `bad` SIZE_MAX: nothing impossible in it. */
static void note_doubt(struct judge *judge, const struct pyi_stack *stack, size_t bad)
{
    struct doubt doubt = {.first = judge->number_count, .bad = bad != SIZE_MAX};

    for (size_t i = 0; i < stack->depth; i++) {
        if (!stack->entries[i].edge)
            continue;
        judge->numbers =
            grown(judge->numbers, judge->number_count, &judge->number_capacity, sizeof(uint32_t));
        judge->numbers[judge->number_count++] = stack->entries[i].edge;
        doubt.count++;
        doubt.below += i <= bad;
    }
    if (doubt.bad) {
        const struct pyi_code *below = bad ? stack->entries[bad - 1].code : NULL;

        judge->raw++;
        snprintf(doubt.text, sizeof(doubt.text), "%.*s > %.*s at %zu of %zu",
                 below ? (int)below->name.length : 1, below ? below->name.data : "-",
                 (int)stack->entries[bad].code->name.length, stack->entries[bad].code->name.data,
                 bad, stack->depth);
    }
    if (!doubt.bad && !doubt.count)
        return;
    judge->doubts = grown(judge->doubts, judge->doubt_count, &judge->doubt_capacity, sizeof(doubt));
    judge->doubts[judge->doubt_count++] = doubt;
}

/* At the end the target knows what was proven. */
static void settle_doubts(struct judge *judge, const struct pyi_target *target)
{
    for (size_t i = 0; i < judge->doubt_count; i++) {
        const struct doubt *doubt = &judge->doubts[i];
        size_t at = 0;

        while (at < doubt->count &&
               pyi_target_edge_proven(target, judge->numbers[doubt->first + at]))
            at++;
        judge->folded += at < doubt->count;
        if (!doubt->bad || at < doubt->below)
            continue;
        if (judge->torn < 5)
            memcpy(judge->first_torn[judge->torn], doubt->text, sizeof(doubt->text));
        judge->torn++;
    }
}

static void judge_stack(struct judge *judge, const struct pyi_stack *stack)
{
    uint16_t caller = UNKNOWN;
    size_t bad = SIZE_MAX;

    judge->samples++;
    for (size_t i = 0; i < stack->depth; i++) {
        uint16_t callee = name_of(judge, stack->entries[i].code);

        if (callee != UNKNOWN && judge->stamp[callee] != judge->samples) {
            judge->stamp[callee] = judge->samples;
            judge->inclusive[callee]++;
        }
        if (i > 0) {
            judge->edges++;
            judge->foreign_edges += caller == UNKNOWN || callee == UNKNOWN;
        }
        bool good =
            callee == UNKNOWN ||
            (i == 0 ? judge->root[callee]
                    : caller == UNKNOWN || judge->legal[caller * judge->names.count + callee]);
        if (!good && bad == SIZE_MAX)
            bad = i;
        caller = callee;
    }
    if (bad != SIZE_MAX || !stack->verified)
        note_doubt(judge, stack, bad);
}

/* ---- slices -------------------------------------------------------------------------------- */

struct slice {
    uint64_t rounds, samples, lost, retried, same, verified, deepest, depths;
    double cpu, wall, target_cpu;
    struct pyi_target_stats before, after;
    uint64_t missed;
};

static void count_round(struct slice *slice, const struct pyi_round *round, struct judge *judge)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct pyi_stack *stack = &round->stacks[i];

        if (stack->status == PYI_STACK_LOST) {
            slice->lost++;
            continue;
        }
        slice->samples++;
        slice->retried += stack->attempts > 1;
        slice->same += stack->status == PYI_STACK_SAME;
        slice->verified += stack->verified;
        slice->depths += stack->depth;
        if (stack->depth > slice->deepest)
            slice->deepest = stack->depth;
        if (judge)
            judge_stack(judge, stack);
    }
}

static int run_slice(struct pyi_target *target, double seconds, int64_t interval,
                     struct judge *judge, struct slice *out, struct pyi_error *err)
{
    pid_t pid = pyi_target_info(target)->pid;
    struct slice slice = {0};
    struct pyi_round round;
    int code;

    pyi_target_stats(target, &slice.before);
    slice.target_cpu = -cpu_of(pid);
    slice.wall = -seconds_of(CLOCK_MONOTONIC);
    slice.cpu = -seconds_of(CLOCK_THREAD_CPUTIME_ID);
    struct pace pace = pace_begin(seconds, interval);
    do {
        code = pyi_target_round(target, &round, err);
        if (code < 0)
            return code;
        slice.rounds++;
        count_round(&slice, &round, judge);
    } while (pace_tick(&pace));
    slice.cpu += seconds_of(CLOCK_THREAD_CPUTIME_ID);
    slice.wall += seconds_of(CLOCK_MONOTONIC);
    slice.target_cpu += cpu_of(pid);
    slice.missed = pace.missed;
    pyi_target_stats(target, &slice.after);
    *out = slice;
    return 0;
}

static void print_slice(const struct slice *slice)
{
    printf("\"rounds\": %llu, \"samples\": %llu, \"lost\": %llu, \"retried\": %llu, "
           "\"same\": %llu, \"verified\": %llu, \"deepest\": %llu, \"mean_depth\": %.2f, "
           "\"cpu\": %.9f, \"wall\": %.6f, \"target_cpu\": %.6f, \"missed\": %llu, "
           "\"calls\": %llu, \"mispredicted\": %llu",
           (unsigned long long)slice->rounds, (unsigned long long)slice->samples,
           (unsigned long long)slice->lost, (unsigned long long)slice->retried,
           (unsigned long long)slice->same, (unsigned long long)slice->verified,
           (unsigned long long)slice->deepest,
           (double)slice->depths / (double)(slice->samples ? slice->samples : 1), slice->cpu,
           slice->wall, slice->target_cpu, (unsigned long long)slice->missed,
           (unsigned long long)(slice->after.read_calls - slice->before.read_calls),
           (unsigned long long)(slice->after.mispredicted - slice->before.mispredicted));
}

/* Bare loop, engine, bare loop, engine, ...: five of each, so that both see the same weather. With
 * `plain` that is compared with instead. */
static int cost(struct pyi_target *target, struct pyi_target *plain, double seconds,
                int64_t interval, size_t ranges, struct pyi_error *err)
{
    pid_t pid = pyi_target_info(target)->pid;
    struct slice slice;
    int code = run_slice(target, seconds, interval, NULL, &slice, err); /* learns the target */

    printf("{\"slices\": [");
    for (int i = 0; !code && i < 5; i++) {
        uint64_t ticks;
        double bare = plain      ? 0
                      : interval ? timer_loop(seconds, interval, &ticks)
                                 : bare_read(pid, seconds / 4, ranges);

        if (plain) {
            code = run_slice(plain, seconds, interval, NULL, &slice, err);
            bare = slice.cpu / (double)(slice.samples ? slice.samples : 1) * 1e6;
            if (code)
                break;
        }
        code = run_slice(target, seconds, interval, NULL, &slice, err);
        printf("%s{\"bare\": %.3f, ", i ? ", " : "", bare);
        print_slice(&slice);
        printf("}");
    }
    printf("]}\n");
    return code;
}

static int check(struct pyi_target *target, double seconds, int64_t interval, const char *path,
                 struct pyi_error *err)
{
    struct judge judge = {0};
    struct slice slice = {0};

    if (!read_legal(path, &judge)) {
        fprintf(stderr, "sampler: %s: not a list of calls\n", path);
        return PYI_E_FORMAT;
    }
    int code = run_slice(target, seconds, interval, &judge, &slice, err);
    settle_doubts(&judge, target);
    printf("{");
    print_slice(&slice);
    printf(", \"torn\": %llu, \"raw\": %llu, \"folded\": %llu, \"edges\": %llu, "
           "\"foreign_edges\": %llu, \"first_torn\": [",
           (unsigned long long)judge.torn, (unsigned long long)judge.raw,
           (unsigned long long)judge.folded, (unsigned long long)judge.edges,
           (unsigned long long)judge.foreign_edges);
    for (uint64_t i = 0; i < judge.torn && i < 5; i++)
        printf("%s\"%s\"", i ? ", " : "", judge.first_torn[i]);
    printf("], \"inclusive\": {");
    for (size_t i = 0; i < judge.names.count; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", pyi_intern_text(&judge.names, (uint32_t)i).data,
               (unsigned long long)judge.inclusive[i]);
    printf("}}\n");
    pyi_intern_deinit(&judge.names);
    free(judge.doubts);
    free(judge.numbers);
    free(judge.legal);
    free(judge.root);
    free(judge.by_code);
    free(judge.inclusive);
    free(judge.stamp);
    return code;
}

/* A child begins with the peak memory of the process that started it: that must be a small one. */
static int run(const char *path, char **command)
{
    struct rusage usage;
    int status;
    pid_t child = fork();

    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return 1;
    FILE *file = fopen(path, "w");
    if (!file)
        return 1;
    fprintf(file,
            "{\"user\": %.6f, \"system\": %.6f, \"peak\": %ld, \"status\": %d, "
            "\"switches\": %ld}\n",
            (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6,
            (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec * 1e-6,
            usage.ru_maxrss * 1024, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            usage.ru_nvcsw);
    return fclose(file) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "run"))
        return run(argv[2], argv + 3);
    prctl(PR_SET_TIMERSLACK, 1);
    if (argc == 4 && !strcmp(argv[1], "timer")) {
        uint64_t ticks;
        double each = timer_loop(atof(argv[2]), atoll(argv[3]), &ticks);

        printf("{\"cpu\": %.9f, \"ticks\": %llu}\n", each * 1e-6, (unsigned long long)ticks);
        return 0;
    }
    bool states = argc == 6 && !strcmp(argv[1], "states");
    bool costing = states || (argc == 6 && !strcmp(argv[1], "cost"));
    if (!costing && (argc != 6 || strcmp(argv[1], "check") != 0)) {
        fprintf(stderr, "usage: see the head of tests/bench/sampler.c\n");
        return 2;
    }
    struct pyi_target_options options = {0};
    struct pyi_target *target = NULL, *plain = NULL;
    struct pyi_error err = {0};
    int code = states ? pyi_target_open((pid_t)atoi(argv[2]), &options, &plain, &err) : 0;
    options.states = states;
    if (!code)
        code = pyi_target_open((pid_t)atoi(argv[2]), &options, &target, &err);
    if (!code) {
        size_t ranges = (size_t)atoi(argv[5]);

        if (costing)
            code = cost(target, plain, atof(argv[3]), atoll(argv[4]),
                        ranges < 2            ? 2
                        : ranges > RANGES_MAX ? RANGES_MAX
                                              : ranges,
                        &err);
        else
            code = check(target, atof(argv[3]), atoll(argv[4]), argv[5], &err);
    }
    pyi_target_close(target);
    pyi_target_close(plain);
    if (code)
        fprintf(stderr, "sampler: %s (%s)\n", err.message, err.why);
    return code ? 1 : 0;
}
