/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * long.c - hours of recording in minutes: the recorder on a clock and a target that only count.
 *
 * usage: long timeline|aggregate|pyirec ROUNDS [FILE]    one thread, one sample per round at 1 kHz
 *        long load FILE                                  reads it and renders it as text
 * Prints "samples records memory-of-the-recording largest-rss-in-bytes cpu-seconds".
 *
 * The code watched is steady: 16 functions deep, a few hundred different stacks, of which the next
 * one is as often as not the last one; rounds come up to a tenth of a millisecond late.
 */
#define pyi_target_round pyi_target_round_of_script
#include "attach/attach.h"
int pyi_target_round(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err);
#include "tests/unit/fake_target.inc"
#undef pyi_target_round

#include "src/base/output.h"
#include <inttypes.h>
#include <pyinstrument/renderer.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { DEEP = 16, INNER = 6 };

static uint64_t rounds_left, draw = 1;
static uint32_t largest_rss_half; /* KiB at half time */

static unsigned next_draw(void)
{
    draw = draw * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(draw >> 40);
}

static uint32_t rss(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (uint32_t)used.ru_maxrss;
}

static void wait_late(struct pyi_clock *clock, uint64_t deadline)
{
    fake_time = deadline + next_draw() % 100000;
}

static uint64_t total;

int pyi_target_round(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err)
{
    static struct pyi_stack_entry entries[DEEP];
    static char names[DEEP][8];
    struct pyi_thread *thread = fake_thread('M');
    struct pyi_stack *stack = &target->stacks[0];
    if (!rounds_left--)
        return PYI_E_GONE;
    if (rounds_left == total / 2)
        largest_rss_half = rss();
    if (!entries[0].code) {
        for (int i = 0; i < DEEP; i++) {
            snprintf(names[i], sizeof(names[i]), "f%d", i);
            entries[i] = (struct pyi_stack_entry){.code = fake_code(names[i]), .line = 10};
        }
        *stack = (struct pyi_stack){.thread = thread, .entries = entries, .verified = true};
        thread->name = pyi_text("MainThread");
        thread->alive = true;
    }
    size_t common = DEEP;
    if (next_draw() % 2 || !stack->depth) {
        common = stack->depth ? (size_t)(DEEP - 1 - next_draw() % INNER) : 0;
        for (size_t i = common; i < DEEP; i++)
            entries[i].line = 10 + (int)(next_draw() % (i > DEEP - 3 ? 4 : 2));
    }
    stack->status = common == DEEP ? PYI_STACK_SAME : PYI_STACK_NEW;
    stack->common = common;
    stack->depth = DEEP;
    stack->attempts = 1;
    stack->state = PYI_STATE_RUNNING;
    *out = (struct pyi_round){.stacks = stack, .count = 1};
    return 0;
}

static void print(uint64_t samples, uint64_t records, uint64_t memory, uint32_t half)
{
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.3f\n", samples, records,
           memory, (uint64_t)half * 1024, (uint64_t)rss() * 1024, (double)clock() / CLOCKS_PER_SEC);
}

static int replay(const char *mode, const char *file)
{
    const struct pyi_recorder_options options = {
        .interval = 0.001,
        .aggregate = strcmp(mode, "aggregate") == 0,
        .pyirec = strcmp(mode, "pyirec") == 0 ? file : NULL,
    };
    (void)set_up(NULL);
    struct pyi_recorder *recorder = prepare(NULL, &options);
    recorder->clock.wait = wait_late;
    struct pyi_tally tally;
    if (pyi_recorder_run(recorder, NULL))
        return 1;
    pyi_recorder_tally(recorder, &tally);
    uint64_t records = recorder->tracks[0]->lane.count;
    struct pyi_session *session = NULL;
    struct pyi_error error = {0};
    if (options.pyirec && (pyi_recorder_take_session(recorder, &session, &error) ||
                           pyi_recorder_file(recorder, &error))) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    print(tally.samples, records, tally.memory, largest_rss_half);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
    return 0;
}

static int count_only(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    *(uint64_t *)context += length;
    return 0;
}

static int load(const char *file)
{
    struct pyi_session *session = NULL;
    struct pyi_render_options *options = NULL;
    struct pyi_error error = {0};
    uint64_t bytes = 0;
    const struct pyi_sink sink = {count_only, &bytes};
    if (pyi_session_load(file, &session, &error) || pyi_render_options_new(&options, &error) ||
        pyi_render(pyi_renderer_by_name("text"), session, options, &sink, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    print((uint64_t)pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).integer,
          pyi_session_record_count(session), bytes, 0);
    pyi_render_options_free(options);
    pyi_session_free(session);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "load") == 0)
        return load(argv[2]);
    if (argc < 3)
        return 2;
    total = rounds_left = strtoull(argv[2], NULL, 10);
    return replay(argv[1], argc > 3 ? argv[3] : NULL);
}
