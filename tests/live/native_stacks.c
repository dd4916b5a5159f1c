/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * native_stacks.c - test helper: samples a process whose threads are stopped for it.
 *
 * usage: native_stacks PID blocking|native ROUNDS INTERVAL_US
 *            rounds; each different stack once, as JSON with how often it was seen, then counts
 *        native_stacks PID frames
 *            the native stack of the first thread, address by address, as the unwinder has it
 *        native_stacks PID bare ROUNDS
 *            seize, stop, resume, nothing else: what the machine itself takes
 * Exit status 1 and one line on stderr when the target refuses.
 */
#include "attach/attach.h"
#include "attach/memory/memory.h"
#include "attach/native/native.h"
#include "attach/stop.h"
#include "src/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACKS_MAX 20000

struct seen {
    char *text;
    unsigned long times;
};

static struct seen seen[STACKS_MAX];
static size_t seen_count;

static int fail(const struct pyi_error *error)
{
    fprintf(stderr, "native_stacks: %s: %s\n", error->slug, error->message);
    return 1;
}

static void put_text(struct pyi_strbuf *out, struct pyi_text text)
{
    pyi_strbuf_char(out, '"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\' || c < 0x20)
            pyi_strbuf_format(out, "\\u%04x", c);
        else
            pyi_strbuf_char(out, (char)c);
    }
    pyi_strbuf_char(out, '"');
}

static void note(const struct pyi_stack *stack)
{
    struct pyi_strbuf text = {0};
    pyi_strbuf_string(&text, "{\"thread\": ");
    put_text(&text, stack->thread->name);
    pyi_strbuf_format(&text, ", \"lost\": %s, \"verified\": %s, \"frames\": [",
                      stack->status == PYI_STACK_LOST ? "true" : "false",
                      stack->verified ? "true" : "false");
    for (size_t i = 0; i < stack->depth && stack->status != PYI_STACK_LOST; i++) {
        pyi_strbuf_string(&text, i ? ", [" : "[");
        put_text(&text, stack->entries[i].code->name);
        pyi_strbuf_string(&text, ", ");
        put_text(&text, stack->entries[i].code->filename);
        pyi_strbuf_format(&text, ", %d]", (int)stack->entries[i].line);
    }
    pyi_strbuf_string(&text, "]");
    char *made = pyi_strbuf_detach(&text);
    for (size_t i = 0; made && i < seen_count; i++) {
        if (strcmp(seen[i].text, made) == 0) {
            seen[i].times++;
            free(made);
            return;
        }
    }
    if (made && seen_count < STACKS_MAX)
        seen[seen_count++] = (struct seen){made, 1};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int sample(pid_t pid, enum pyi_stop_mode mode, int rounds, long interval)
{
    struct pyi_target *target;
    struct pyi_error error;
    struct pyi_target_stats before = {0}, after;
    const struct pyi_target_options options = {.wait = 2, .stop = mode};
    double *stops = calloc((size_t)rounds + 1, sizeof(*stops));
    size_t count = 0;
    if (!stops || pyi_target_open(pid, &options, &target, &error) < 0)
        return fail(&error);
    pyi_target_stats(target, &before);
    for (int i = 0; i < rounds; i++) {
        struct pyi_round round;
        if (pyi_target_round(target, &round, &error) < 0)
            return fail(&error);
        for (size_t k = 0; k < round.count; k++)
            note(&round.stacks[k]);
        pyi_target_stats(target, &after);
        if (after.stops > before.stops)
            stops[count++] =
                (after.stopped - before.stopped) / (double)(after.stops - before.stops);
        before = after;
        nanosleep(
            &(struct timespec){.tv_sec = interval / 1000000, .tv_nsec = interval % 1000000 * 1000},
            NULL);
    }
    qsort(stops, count, sizeof(*stops), compare);
    for (size_t i = 0; i < seen_count; i++)
        printf("%s, \"times\": %lu}\n", seen[i].text, seen[i].times);
    printf("{\"stops\": %llu, \"stopped\": %.6f, \"median\": %.9f, \"late\": %llu, \"traced\": "
           "%llu, \"refused\": %llu, \"cpu\": %.6f}\n",
           (unsigned long long)after.stops, after.stopped, count ? stops[count / 2] : 0,
           (unsigned long long)after.stop_late, (unsigned long long)after.stop_traced,
           (unsigned long long)after.stop_refused, after.stopping_cpu);
    free(stops);
    pyi_target_close(target);
    return 0;
}

struct visit {
    struct pyi_stopper *stopper;
    struct pyi_native *native;
    pid_t pid;
    int rounds;
    enum pyi_stop_result result;
};

static int stop_once(void *context, struct pyi_error *err)
{
    struct visit *visit = context;
    struct pyi_registers registers;
    visit->result = pyi_stop_thread(visit->stopper, visit->pid, visit->pid, &registers);
    if (visit->result == PYI_STOP_DONE && visit->native)
        pyi_native_copy(visit->native, &registers);
    pyi_stop_resume(visit->stopper);
    return 0;
}

static int frames(pid_t pid)
{
    struct pyi_error error = {0};
    struct pyi_memory *memory;
    struct visit visit = {.pid = pid, .stopper = pyi_stopper_new(0)};
    const struct pyi_native_frame *list;
    size_t count;
    bool complete;
    if (!visit.stopper || pyi_memory_open_live(pid, &memory, &error) < 0 ||
        pyi_native_open("/proc", pid, memory, &visit.native, &error) < 0 ||
        pyi_stopper_run(visit.stopper, stop_once, &visit, &error) < 0 ||
        visit.result != PYI_STOP_DONE ||
        pyi_native_unwind(visit.native, &list, &count, &complete, &error) < 0)
        return fail(&error);
    for (size_t i = 0; i < count; i++)
        printf("0x%llx %d %s %s\n", (unsigned long long)list[i].ip, list[i].function->loop,
               list[i].function->name.data, list[i].function->path.data);
    printf("%s\n", complete ? "complete" : "cut");
    pyi_native_close(visit.native);
    pyi_stopper_free(visit.stopper);
    pyi_memory_close(memory);
    return 0;
}

static int bare(pid_t pid, int rounds)
{
    struct pyi_error error = {0};
    struct visit visit = {.pid = pid, .stopper = pyi_stopper_new(0)};
    double *times = calloc((size_t)rounds + 1, sizeof(*times));
    struct pyi_stop_counts before = {0}, after;
    size_t count = 0;
    for (int i = 0; i < rounds && times && visit.stopper; i++) {
        if (pyi_stopper_run(visit.stopper, stop_once, &visit, &error) < 0)
            return fail(&error);
        pyi_stopper_counts(visit.stopper, &after);
        if (visit.result == PYI_STOP_DONE)
            times[count++] = after.stopped - before.stopped;
        before = after;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (count == 0)
        return fail(&error);
    qsort(times, count, sizeof(*times), compare);
    printf("{\"median\": %.9f, \"stops\": %zu}\n", times[count / 2], count);
    free(times);
    pyi_stopper_free(visit.stopper);
    return 0;
}

int main(int argc, char **argv)
{
    pid_t pid = argc > 1 ? (pid_t)atoi(argv[1]) : 0;
    if (argc == 5)
        return sample(pid, strcmp(argv[2], "native") == 0 ? PYI_STOP_NATIVE : PYI_STOP_BLOCKING,
                      atoi(argv[3]), atol(argv[4]));
    if (argc == 3 && strcmp(argv[2], "frames") == 0)
        return frames(pid);
    if (argc == 4 && strcmp(argv[2], "bare") == 0)
        return bare(pid, atoi(argv[3]));
    fprintf(stderr, "usage: see native_stacks.c\n");
    return 2;
}
