/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_recorder.c - recordings of a target that follows a script, on a clock that follows too.
 *
 * The functions of attach.h are defined here, so the library's are not linked in. One line of a
 * script is one round: threads separated by "|", each a letter and its stack, outermost first,
 * as function.line. "M m.1 f.5 | A run.3" is two threads; "?" a lost stack; "^" ahead of the
 * frames one cut at the bottom; "/" ahead of the line a round that comes late by so many ms:
 * "/30 M m.1". Ahead of a line "!" somebody stops the recorder half way to that round.
 */
#include "attach/attach.h"
#include "src/base/text.h"
#include "src/record/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MS 1000000ull

/* ---- the clock
 * ------------------------------------------------------------------------------------ */

static uint64_t fake_time;
static const char *const *fake_script; /* lines; NULL at the end */
static size_t fake_line;

static uint64_t fake_now(struct pyi_clock *clock)
{
    return fake_time;
}

static double fake_wall(struct pyi_clock *clock)
{
    return 1700000000.25;
}

static uint64_t fake_cpu(struct pyi_clock *clock)
{
    return fake_time / 50;
}

static void fake_wait(struct pyi_clock *clock, uint64_t deadline)
{
    if (fake_script[fake_line] && fake_script[fake_line][0] == '!') {
        fake_time += (deadline - fake_time) / 2;
        pyi_clock_stop(clock);
        return;
    }
    if (fake_time < deadline)
        fake_time = deadline;
    const char *line = fake_script[fake_line];
    if (line && line[0] == '/')
        fake_time += strtoull(line + 1, NULL, 10) * MS;
}

/* ---- the target
 * ---------------------------------------------------------------------------------- */

#define CODES   64
#define THREADS 8
#define DEPTH   32

struct fake_stack {
    struct pyi_stack_entry entries[DEPTH];
    size_t depth;
    bool truncated, delivered;
};

static struct pyi_target {
    struct pyi_code codes[CODES];
    size_t code_count;
    struct pyi_thread threads[THREADS];
    struct fake_stack last[THREADS];
    size_t thread_count;
    struct pyi_stack stacks[THREADS];
    struct pyi_target_options options;
    struct pyi_target_info info;
    uint64_t reads;
    bool open;
} fake, fake_again; /* the second one is for a fresh look at sys */

static enum pyi_target_fate fake_fate;
static double fake_thread_cpu[THREADS]; /* per round */
static uint64_t fake_idents[26];        /* other than the letter */
static const char *fake_names[26];      /* of threads, by letter */
static const char *fake_file = "/w/s.py";
static int fake_round_code;
static int fake_opens_until_ready;
static bool fake_no_sys;

static struct pyi_text cat(const char *a, const char *b)
{
    static char pool[200][32];
    static size_t used;
    char *text = pool[used++ % 200];
    snprintf(text, 32, "%s%s", a, b);
    return pyi_text(text);
}

static const struct pyi_code *fake_code(const char *name)
{
    for (size_t i = 0; i < fake.code_count; i++)
        if (pyi_text_equal(fake.codes[i].name, pyi_text(name)))
            return &fake.codes[i];
    assert_true(fake.code_count < CODES);
    size_t id = fake.code_count++;
    fake.codes[id] = (struct pyi_code){
        .name = cat(name, ""),
        .filename = pyi_text(strncmp(name, "_run", 4) == 0 ? "<frozen runpy>"
                             : name[0] == '_'              ? "/lib/threading.py"
                                                           : fake_file),
        .first_line = 1,
        .traceback_hide = name[0] == 'h',
        .id = (uint32_t)id,
    };
    return &fake.codes[id];
}

static struct pyi_thread *fake_thread(char letter)
{
    for (size_t i = 0; i < fake.thread_count; i++)
        if (fake.threads[i].tid == letter)
            return &fake.threads[i];
    assert_true(fake.thread_count < THREADS);
    size_t index = fake.thread_count++;
    fake.threads[index] = (struct pyi_thread){
        .index = (uint32_t)index,
        .ident = fake_idents[letter - 'A'] ? fake_idents[letter - 'A'] : (uint64_t)letter,
        .tid = letter,
        .is_main = letter == 'M',
    };
    return &fake.threads[index];
}

int pyi_target_open(pid_t pid, const struct pyi_target_options *options, struct pyi_target **out,
                    struct pyi_error *err)
{
    if (!options->select) {
        assert_false(fake_again.open);
        fake_again.open = true;
        *out = &fake_again;
        return 0;
    }
    if (fake_opens_until_ready-- > 0) {
        if (err)
            snprintf(err->slug, sizeof(err->slug), "not-python");
        return PYI_E_NOTPYTHON;
    }
    static const struct pyi_text arguments[] = {{"python3", 7}, {"s p.py", 6}};
    fake = (struct pyi_target){
        .options = *options,
        .open = true,
        .info =
            {
                .pid = pid,
                .parent = 1,
                .version = pyi_text("3.14.10"),
                .build = pyi_text("default"),
                .found = pyi_text(".dynsym"),
                .layout = pyi_text("table"),
                .executable = pyi_text("/usr/bin/python3"),
                .root = pyi_text(""),
                .arguments = arguments,
                .argument_count = 2,
            },
    };
    *out = &fake;
    return 0;
}

void pyi_target_close(struct pyi_target *target)
{
    if (!target)
        return;
    assert_true(target->open);
    memset(target, 0xee, sizeof(*target)); /* whatever still points here is wrong */
    target->open = false;
}

const struct pyi_target_info *pyi_target_info(const struct pyi_target *target)
{
    return &target->info;
}

int pyi_target_sysinfo(struct pyi_target *target, const struct pyi_sysinfo **out,
                       struct pyi_error *err)
{
    static const struct pyi_text path[] = {{"/w", 2}, {"/usr/lib", 8}, {"/late", 5}};
    static struct pyi_sysinfo info = {
        .path = path,
        .prefixes = {{"/usr", 4}, {"/usr", 4}, {"/usr", 4}, {"/usr", 4}},
        .from_sys = true,
    };
    if (target == &fake_again && fake_no_sys)
        return PYI_E_GONE;
    info.path_count = target == &fake_again ? 3 : 2;
    *out = &info;
    return 0;
}

struct pyi_text pyi_target_class_name(const struct pyi_target *target, uint32_t number)
{
    return number == 1 ? pyi_text("Thing") : pyi_text("");
}

static void parse_stack(char *text, struct fake_stack *stack)
{
    *stack = (struct fake_stack){.delivered = true};
    for (char *word; (word = strsep(&text, " "));) {
        if (!*word)
            continue;
        if (*word == '^') {
            stack->truncated = true;
            continue;
        }
        char *name = strsep(&word, ".");
        stack->entries[stack->depth++] = (struct pyi_stack_entry){
            .code = fake_code(name),
            .line = word ? atoi(word) : 0,
            .class_name = name[0] == 'T',
        };
    }
}

static bool entries_equal(const struct pyi_stack_entry *a, const struct pyi_stack_entry *b)
{
    return a->code == b->code && a->line == b->line && a->class_name == b->class_name;
}

static void deliver(struct pyi_thread *thread, char *text, struct pyi_stack *out)
{
    struct fake_stack *last = &fake.last[thread->index];
    *out = (struct pyi_stack){.thread = thread, .status = PYI_STACK_LOST, .attempts = 4};
    if (strchr(text, '?'))
        return;
    struct fake_stack now;
    parse_stack(text, &now);
    size_t common = 0;
    while (last->delivered && common < last->depth && common < now.depth &&
           entries_equal(&last->entries[common], &now.entries[common]))
        common++;
    bool same = last->delivered && common == last->depth && common == now.depth &&
                last->truncated == now.truncated;
    *last = now;
    out->status = same ? PYI_STACK_SAME : PYI_STACK_NEW;
    out->entries = last->entries;
    out->depth = last->depth;
    out->common = common;
    out->truncated = now.truncated;
    out->attempts = 1;
}

int pyi_target_round(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err)
{
    assert_true(target->open);
    target->reads++;
    if (fake_round_code)
        return fake_round_code;
    const char *line = fake_script[fake_line];
    if (!line || strcmp(line, "GONE") == 0) {
        fake_line += line != NULL;
        return PYI_E_GONE;
    }
    fake_line++;
    char text[1024];
    snprintf(text, sizeof(text), "%s",
             line[0] == '/' || line[0] == '!' ? strchr(line, ' ') + 1 : line);
    for (size_t i = 0; i < target->thread_count; i++)
        target->threads[i].alive = false;
    size_t count = 0;
    for (char *rest = text, *part; (part = strsep(&rest, "|"));) {
        part += strspn(part, " ");
        struct pyi_thread *thread = fake_thread(*part);
        const char *name = fake_names[*part - 'A'];
        thread->name = pyi_text(name ? name : "worker");
        thread->alive = true;
        if (!target->options.select ||
            target->options.select(target->options.select_context, thread))
            deliver(thread, part + 1, &target->stacks[count++]);
    }
    *out = (struct pyi_round){.stacks = target->stacks, .count = count};
    return 0;
}

enum pyi_target_fate pyi_target_fate(struct pyi_target *target)
{
    return fake_fate;
}

void pyi_target_stats(const struct pyi_target *target, struct pyi_target_stats *out)
{
    *out = (struct pyi_target_stats){.rounds = target->reads, .read_calls = target->reads};
}

const struct pyi_thread *pyi_target_thread(const struct pyi_target *target, uint32_t index)
{
    return index < target->thread_count ? &target->threads[index] : NULL;
}

double pyi_target_thread_cpu(struct pyi_target *target, const struct pyi_thread *thread)
{
    double rate = fake_thread_cpu[thread->index];
    return rate < 0 ? -1 : 100 + rate * (double)target->reads;
}

double pyi_target_cpu(struct pyi_target *target)
{
    return 7 + (double)fake_time / 4e9;
}

int pyi_target_dump_image(struct pyi_target *target, const char *path, struct pyi_error *err)
{
    return 0;
}

/* ---- running a script
 * ------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    fake_again = (struct pyi_target){0};
    fake_time = 5000 * MS;
    fake_line = 0;
    fake_fate = PYI_FATE_ENDED;
    fake_round_code = 0;
    fake_opens_until_ready = 0;
    fake_no_sys = false;
    fake_file = "/w/s.py";
    for (size_t i = 0; i < THREADS; i++)
        fake_thread_cpu[i] = 0;
    for (size_t i = 0; i < 26; i++) {
        fake_names[i] = NULL;
        fake_idents[i] = 0;
    }
    fake_names['M' - 'A'] = "MainThread";
    return 0;
}

static struct pyi_recorder *prepare(const char *const *script,
                                    const struct pyi_recorder_options *options)
{
    struct pyi_recorder *recorder = NULL;
    fake_script = script;
    assert_int_equal(pyi_recorder_attach(1234, options, &recorder, NULL), 0);
    recorder->clock.now = fake_now;
    recorder->clock.wall = fake_wall;
    recorder->clock.cpu = fake_cpu;
    recorder->clock.wait = fake_wait;
    recorder->started = fake_time;
    return recorder;
}

static struct pyi_recorder *record(const char *const *script)
{
    struct pyi_recorder *recorder = prepare(script, NULL);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    return recorder;
}

/* "M m.1 f.5=3 ..." one line per record: the thread's name, functions with lines, milliseconds. */
static void describe_stack(const struct pyi_session *session, uint32_t stack,
                           struct pyi_strbuf *out)
{
    uint32_t path[DEPTH + 4];
    size_t depth = 0;
    for (; stack != PYI_STACK_ROOT; stack = pyi_session_stack_parent(session, stack))
        path[depth++] = pyi_session_stack_frame(session, stack);
    while (depth) {
        struct pyi_text info = pyi_session_frame_info(session, path[--depth]);
        struct pyi_text name;
        pyi_text_part(info, '\0', 0, &name);
        pyi_strbuf_text(out, name);
        const char *line = memmem(info.data, info.length, "\x01l", 2);
        if (line)
            pyi_strbuf_format(out, ".%d", atoi(line + 2));
        pyi_strbuf_char(out, depth ? ' ' : '=');
    }
}

static void assert_session(struct pyi_session *session, const char *expected)
{
    struct pyi_strbuf text = {0};
    struct pyi_record record;
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        describe_stack(session, record.stack, &text);
        pyi_strbuf_format(&text, "%g\n", record.seconds.value * 1000);
    }
    assert_string_equal(pyi_strbuf_get(&text).data, expected);
    pyi_strbuf_deinit(&text);
}

static struct pyi_session *take(struct pyi_recorder *recorder)
{
    struct pyi_session *session = NULL;
    assert_int_equal(pyi_recorder_take_session(recorder, &session, NULL), 0);
    return session;
}

/* Records `script` and compares the records; the session is for further questions. */
static void check(const char *const *script, const char *expected)
{
    struct pyi_recorder *recorder = record(script);
    struct pyi_session *session = take(recorder);
    assert_session(session, expected);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* ---- time and records
 * ------------------------------------------------------------------------------ */

static void test_weights_and_merging(void **state)
{
    /* The first round only sets the scene; equal neighbours are one record. */
    check((const char *[]){"M m.1", "M m.1", "M m.1 f.5", "M m.1 f.5", "M m.1 f.6", "M m.1", NULL},
          "MainThread m.1=1\n"
          "MainThread m.1 f.5=2\n"
          "MainThread m.1 f.6=1\n"
          "MainThread m.1=1\n");
}

static void test_late_ticks_weigh_more(void **state)
{
    const char *const script[] = {"M m.1", "M m.1", "/3 M m.2", "M m.3", NULL};
    struct pyi_recorder *recorder = record(script);
    struct pyi_session *session = take(recorder);
    /* 3 ms late: three deadlines are skipped, the next one comes a full interval later */
    assert_session(session, "MainThread m.1=1\nMainThread m.2=4\nMainThread m.3=1\n");
    assert_int_equal(pyi_session_attach(session)->missed, 3);
    assert_int_equal(pyi_session_attach(session)->ticks, 3);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_gap_same_stack(void **state)
{
    check((const char *[]){"M m.1 f.5", "M m.1 f.5", "/100 M m.1 f.5", "M m.1 f.5", NULL},
          "MainThread m.1 f.5=103\n");
}

static void test_gap_other_stack(void **state)
{
    /* f moved to another line: it is common, what it called is not */
    check((const char *[]){"M m.1 f.5 g.7", "M m.1 f.5 g.7", "/100 M m.1 f.6 g.7", NULL},
          "MainThread m.1 f.5 g.7=1\n"
          "MainThread m.1 f [unobserved]=100\n"
          "MainThread m.1 f.6 g.7=1\n");
    set_up(NULL);
    check((const char *[]){"M m.1 f.5 g.7", "/100 M m.1 h.6", NULL},
          "MainThread m.1 [unobserved]=100\n"
          "MainThread m.1 h.6=1\n");
    set_up(NULL);
    check((const char *[]){"M m.1 f.5", "/100 M m.1", NULL},
          "MainThread m.1 [unobserved]=100\nMainThread m.1=1\n");
    set_up(NULL);
    check((const char *[]){"M m.1", "/100 M m.1 f.5", NULL},
          "MainThread m.1 [unobserved]=100\nMainThread m.1 f.5=1\n");
    set_up(NULL);
    check((const char *[]){"M m.1", "/100 M x.1", NULL},
          "MainThread [unobserved]=100\nMainThread x.1=1\n");
}

static void test_gap_boundary(void **state)
{
    /* ten intervals late is still the sample's own time */
    check((const char *[]){"M m.1", "/10 M m.2", NULL}, "MainThread m.2=11\n");
    set_up(NULL);
    check((const char *[]){"M m.1", "/11 M m.2", NULL},
          "MainThread m [unobserved]=11\nMainThread m.2=1\n");
}

static void test_gap_is_reported(void **state)
{
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "/100 M m.2", NULL});
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    assert_float_equal(tally.unobserved, 0.1, 1e-12);
    struct pyi_session *session = take(recorder);
    assert_float_equal(pyi_session_attach(session)->unobserved, 0.1, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* ---- lost
 * ------------------------------------------------------------------------------------------ */

static void test_lost_time_goes_to_next(void **state)
{
    struct pyi_recorder *recorder =
        record((const char *[]){"M m.1", "M m.1", "M ?", "M ?", "M m.2", NULL});
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\nMainThread m.2=3\n");
    assert_int_equal(pyi_session_attach(session)->lost, 2);
    assert_int_equal(pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).integer, 2);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_long_lost_stretch_is_a_gap(void **state)
{
    const char *script[24] = {"M m.1 f.5", "M m.1 f.5"};
    for (size_t i = 2; i < 22; i++)
        script[i] = "M ?";
    script[22] = "M m.1 g.5";
    check(script, "MainThread m.1 f.5=1\n"
                  "MainThread m.1 [unobserved]=20\n"
                  "MainThread m.1 g.5=1\n");
}

static void test_lost_at_the_end(void **state)
{
    check((const char *[]){"M m.1", "M m.1", "M ?", "M ?", NULL}, "MainThread m.1=3\n");
    const char *script[24] = {"M m.1", "M m.1"};
    for (size_t i = 2; i < 23; i++)
        script[i] = "M ?";
    set_up(NULL);
    check(script, "MainThread m.1=1\nMainThread [unobserved]=21\n");
    set_up(NULL);
    check((const char *[]){"M ?", "M ?", "M ?", NULL}, "MainThread [unobserved]=2\n");
}

/* Whatever happens: a thread's times add up to the time it was watched. */
static void test_sum_is_duration(void **state)
{
    static char lines[400][64];
    static const char *script[401];
    uint64_t random = 42;
    for (size_t round = 0; round < 20; round++) {
        set_up(NULL);
        for (size_t i = 0; i < 400; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            unsigned draw = (unsigned)(random >> 40);
            char late[16] = "";
            if (draw % 17 == 0)
                snprintf(late, sizeof(late), "/%u ", draw / 17 % 30);
            if (draw % 5 == 0)
                snprintf(lines[i], 64, "%sM ?", late);
            else
                snprintf(lines[i], 64, "%sM %s m.%u f.%u g.1", late, draw % 11 ? "" : "^",
                         draw / 5 % 2, draw / 10 % 3);
            script[i] = lines[i];
        }
        script[400] = NULL;
        struct pyi_recorder *recorder = record(script);
        assert_int_equal(pyi_track_settle(recorder->tracks[0], &recorder->ledger, NULL), 0);
        uint64_t sum = 0;
        for (size_t i = 0; i < recorder->tracks[0]->count; i++)
            sum += pyi_track_time(recorder->tracks[0], i);
        assert_int_equal(sum, recorder->last_round - recorder->started);
        pyi_recorder_free(recorder);
    }
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static void test_threads_in_order(void **state)
{
    fake_names['A' - 'A'] = "alpha";
    struct pyi_recorder *recorder = record((const char *[]){
        "A r.1 | M m.1", "A r.1 | M m.1", "A r.2 | M m.1 | B r.1", "A r.2 | M m.2 | B r.1", NULL});
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=2\n"
                            "MainThread m.2=1\n"
                            "alpha r.1=1\n"
                            "alpha r.2=2\n"
                            "worker r.1=2\n");
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_int_equal(attach->thread_count, 3);
    assert_string_equal(attach->threads[0].name.data, "MainThread");
    assert_int_equal(attach->threads[1].first, 2);
    assert_int_equal(attach->threads[1].records, 2);
    assert_int_equal(attach->threads[1].samples, 3);
    assert_int_equal(attach->threads[2].first, 4);
    assert_int_equal(attach->threads[2].tid, 'B');
    /* B came between the first and the second tick: its first sample has a round's time */
    assert_float_equal(attach->threads[2].start, 0.001, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_thread_away_and_back(void **state)
{
    struct pyi_recorder *recorder =
        record((const char *[]){"M m.1 | A r.1", "M m.1 | A r.1", "M m.1", "M m.1", "M m.1 | A r.1",
                                "M m.1 | A r.1", NULL});
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=5\nworker r.1=1\nworker r.1=2\n");
    const struct pyi_attach_thread *thread = &pyi_session_attach(session)->threads[1];
    assert_int_equal(thread->jump_count, 1);
    assert_int_equal(thread->jumps[0].record, 1);
    assert_float_equal(thread->jumps[0].seconds, 0.002, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_new_thread_after_gap(void **state)
{
    /* nobody knows when in the gap it began: it is given one interval */
    check((const char *[]){"M m.1", "/100 M m.1 | A r.1", NULL},
          "MainThread m.1=101\nworker r.1=1\n");
}

static void test_late_name(void **state)
{
    fake_names['A' - 'A'] = "Thread 65"; /* its ident: threading does not know it yet */
    struct pyi_recorder *recorder =
        prepare((const char *[]){"M m.1", "M m.1 | A r.1 f.1", "M m.1 | A r.1 g.1", NULL}, NULL);
    /* the name arrives with the last round */
    struct pyi_round round;
    assert_int_equal(pyi_recorder_begin_attached(recorder, NULL), 0);
    fake_time += MS;
    assert_int_equal(pyi_target_round(recorder->target, &round, NULL), 0);
    assert_int_equal(pyi_recorder_take_round(recorder, &round, fake_time, true, NULL), 0);
    pyi_pace_advance(&recorder->pace, fake_time);
    fake_names['A' - 'A'] = "pool-1";
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=2\npool-1 r.1 f.1=1\npool-1 r.1 g.1=1\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_name_stays(void **state)
{
    fake_names['A' - 'A'] = "first";
    struct pyi_recorder *recorder =
        prepare((const char *[]){"M m.1 | A r.1", "M m.1 | A r.1", "M m.1 | A r.1", NULL}, NULL);
    assert_int_equal(pyi_recorder_begin_attached(recorder, NULL), 0);
    fake_names['A' - 'A'] = "second";
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=2\nfirst r.1=2\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* A program that never imported threading: its main thread has only the kernel's name. */
static void test_main_without_name(void **state)
{
    fake_names['M' - 'A'] = "Thread 77";
    check((const char *[]){"M m.1", "M m.1", NULL}, "MainThread m.1=1\n");
}

static void test_idle(void **state)
{
    static const char *script[1200];
    for (size_t i = 0; i < 1100; i++)
        script[i] = i == 600 ? "M w.1 | A w.1 | B w.1 | C w.2 | D w.1"
                             : "M w.1 | A w.1 | B w.1 | C w.1 | D w.1";
    script[1100] = NULL;
    fake_thread_cpu[2] = 0.001; /* B runs without leaving its stack */
    fake_thread_cpu[4] = -1;    /* of D nobody knows */
    struct pyi_recorder *recorder = record(script);
    struct pyi_session *session = take(recorder);
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_false(attach->threads[0].idle); /* the main thread never is */
    assert_true(attach->threads[1].idle);
    assert_false(attach->threads[2].idle);
    assert_true(attach->threads[2].cpu > 0.9);
    assert_false(attach->threads[3].idle);
    assert_false(attach->threads[4].idle);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* ---- selection
 * ------------------------------------------------------------------------------------ */

static void check_selection(const char *wanted, const char *expected)
{
    set_up(NULL);
    fake_names['A' - 'A'] = "pool-1";
    fake_names['B' - 'A'] = "pool-2";
    const struct pyi_recorder_options options = {.interval = 0.001, .thread = wanted};
    struct pyi_recorder *recorder =
        prepare((const char *[]){"M m.1 | A r.1 | B r.1", "M m.1 | A r.1 | B r.1", NULL}, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, expected);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_selection(void **state)
{
    check_selection("main", "MainThread m.1=1\n");
    check_selection("Main*", "MainThread m.1=1\n");
    check_selection("pool-?", "pool-1 r.1=1\npool-2 r.1=1\n");
    check_selection("66", "pool-2 r.1=1\n"); /* the thread id of B */
    check_selection("none", "");
}

/* ---- the session
 * ---------------------------------------------------------------------------------- */

static void assert_start_stack(struct pyi_session *session, const char *expected)
{
    struct pyi_strbuf text = {0};
    size_t length = pyi_session_list_length(session, PYI_SESSION_START_CALL_STACK);
    for (size_t i = 0; i < length; i++) {
        struct pyi_text item = pyi_session_list_item(session, PYI_SESSION_START_CALL_STACK, i);
        struct pyi_text name;
        pyi_text_part(item, '\0', 0, &name);
        assert_null(memchr(item.data, '\x01', item.length));
        pyi_strbuf_text(&text, name);
        pyi_strbuf_char(&text, ';');
    }
    assert_string_equal(pyi_strbuf_get(&text).data, expected);
    pyi_strbuf_deinit(&text);
}

static void check_start_stack(const char *const *script, const char *expected)
{
    set_up(NULL);
    struct pyi_recorder *recorder = record(script);
    struct pyi_session *session = take(recorder);
    assert_start_stack(session, expected);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_start_call_stack(void **state)
{
    check_start_stack((const char *[]){"M a.1 b.1 c.1", "M a.1 b.2 c.1", "M a.1 b.3 d.1", NULL},
                      "MainThread;a;b;");
    check_start_stack((const char *[]){"M a.1", "M a.1 b.1", "M a.1 b.1", NULL},
                      "MainThread;a;b;"); /* the first look is no sample */
    check_start_stack((const char *[]){"M a.1", "M a.1 b.1", "M c.1 b.1", NULL}, "MainThread;");
    check_start_stack((const char *[]){"M a.1", "M a.1 b.1", "M ^ b.1", NULL}, "MainThread;");
    check_start_stack((const char *[]){"M a.1", NULL}, "");
    /* other threads do not count */
    check_start_stack((const char *[]){"A r.1 | M a.1 b.1", "A r.1 | M a.1 b.1", NULL},
                      "MainThread;a;b;");
}

static void test_truncated(void **state)
{
    struct pyi_recorder *recorder =
        record((const char *[]){"M m.1", "M ^ f.1 g.1", "M ^ f.1 g.1", "M f.1 g.1", NULL});
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread [truncated] f.1 g.1=2\nMainThread f.1 g.1=1\n");
    assert_int_equal(pyi_session_attach(session)->truncated, 2);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_frame_text(void **state)
{
    struct pyi_recorder *recorder = record((const char *[]){"M hide.0", "M hide.3 T.4", NULL});
    struct pyi_session *session = take(recorder);
    struct pyi_record item;
    uint64_t cursor = 0;
    assert_true(pyi_session_next_record(session, &cursor, &item));
    struct pyi_text top =
        pyi_session_frame_info(session, pyi_session_stack_frame(session, item.stack));
    static const char method[] = "T\0/w/s.py\0001\001cThing\001l4";
    assert_int_equal(top.length, sizeof(method) - 1);
    assert_memory_equal(top.data, method, sizeof(method) - 1);
    uint32_t below = pyi_session_stack_parent(session, item.stack);
    struct pyi_text hide = pyi_session_frame_info(session, pyi_session_stack_frame(session, below));
    static const char hidden[] = "hide\0/w/s.py\0001\001l3\001h1";
    assert_int_equal(hide.length, sizeof(hidden) - 1);
    assert_memory_equal(hide.data, hidden, sizeof(hidden) - 1);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* Separators inside names of the target must not make up further parts. */
static void test_hostile_names(void **state)
{
    struct pyi_strbuf text = {0};
    pyi_frames_identifier(&text, (struct pyi_text){"a\0b", 3}, (struct pyi_text){"\1x", 2}, 3);
    assert_int_equal(text.length, 3 + 2 + 1 + 3 + 1 + 1 + 1);
    assert_memory_equal(text.data,
                        "a\xef\xbf\xbd"
                        "b\0\xef\xbf\xbdx\0"
                        "3",
                        text.length);
    pyi_strbuf_deinit(&text);
}

static void test_metadata(void **state)
{
    const struct pyi_recorder_options options = {.interval = 0, .duration = 0.0035};
    static const char *const script[] = {"M m.1", "M m.1", "M m.1", "M m.2",
                                         "M m.3", "M m.4", NULL};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    int detail = 0;
    assert_int_equal(pyi_recorder_end(recorder, &detail), PYI_END_DURATION);
    assert_int_equal(detail, -1);
    struct pyi_session *session = take(recorder);
    /* the last tick comes with the end: nothing is left over */
    assert_session(session, "MainThread m.1=2\nMainThread m.2=1\nMainThread m.3=0.5\n");
    assert_float_equal(pyi_session_number(session, PYI_SESSION_START_TIME).value, 1700000000.25, 0);
    assert_float_equal(pyi_session_number(session, PYI_SESSION_DURATION).value, 0.0035, 1e-12);
    assert_float_equal(pyi_session_number(session, PYI_SESSION_MIN_INTERVAL).value, 0, 0);
    assert_float_equal(pyi_session_number(session, PYI_SESSION_CPU_TIME).value, 0.0035 / 4, 1e-9);
    assert_true(pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).is_integer);
    assert_int_equal(pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).integer, 4);
    assert_string_equal(pyi_session_target_description(session).data,
                        "Process 1234: python3 's p.py'");
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_SYS_PATH), 3); /* as at the end */
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_SYS_PREFIXES), 4);
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_int_equal(attach->process_count, 1);
    assert_string_equal(attach->processes[0].python.data, "3.14.10");
    assert_float_equal(attach->processes[0].end, 0.0035, 1e-12);
    assert_float_equal(attach->profiler_cpu, 0.0035 / 50, 1e-9);
    assert_int_equal(attach->stops, 0);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_paths_of_the_start(void **state)
{
    fake_no_sys = true; /* gone at the end */
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1", NULL});
    struct pyi_session *session = take(recorder);
    assert_int_equal(pyi_session_list_length(session, PYI_SESSION_SYS_PATH), 2);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* A thread state that still carries its creator's ident is not a second thread of that name. */
static void test_unborn_thread(void **state)
{
    fake_idents['A' - 'A'] = 'M';
    struct pyi_recorder *recorder = prepare(
        (const char *[]){"M m.1 | A", "M m.1 | A", "M m.1 | A r.1", "M m.1 | A r.1", NULL}, NULL);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    assert_int_equal(recorder->track_count, 1);
    pyi_recorder_free(recorder);
}

static void test_take_once(void **state)
{
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1", NULL});
    struct pyi_session *session = take(recorder), *second = NULL;
    assert_int_equal(pyi_recorder_take_session(recorder, &second, NULL), PYI_E_INVALID);
    assert_int_equal(pyi_recorder_snapshot(recorder, &second, NULL), PYI_E_INVALID);
    assert_null(second);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static struct pyi_session *snapshot;
static struct pyi_recorder *observed;
static unsigned progress_calls;

static void take_snapshot(void *context, const struct pyi_tally *tally)
{
    progress_calls++;
    assert_true(tally->samples > 0);
    if (!snapshot)
        assert_int_equal(pyi_recorder_snapshot(observed, &snapshot, NULL), 0);
}

static void test_snapshot_while_recording(void **state)
{
    static const char *script[1002];
    for (size_t i = 0; i < 1001; i++)
        script[i] = i < 100 ? "M m.1 f.1 | A r.1" : "M m.1 g.1 | A r.1";
    const struct pyi_recorder_options options = {.interval = 0.001, .progress = take_snapshot};
    observed = prepare(script, &options);
    progress_calls = 0;
    assert_int_equal(pyi_recorder_run(observed, NULL), 0);
    assert_in_range(progress_calls, 3, 4); /* one second, at most four times a second */
    assert_session(snapshot, "MainThread m.1 f.1=99\nMainThread m.1 g.1=151\nworker r.1=250\n");
    struct pyi_session *session = take(observed);
    assert_session(session, "MainThread m.1 f.1=99\nMainThread m.1 g.1=901\nworker r.1=1000\n");
    pyi_session_free(session);
    pyi_session_free(snapshot);
    snapshot = NULL;
    pyi_recorder_free(observed);
}

/* ---- ends
 * ------------------------------------------------------------------------------------------ */

static void test_stop_makes_a_last_round(void **state)
{
    struct pyi_recorder *recorder =
        record((const char *[]){"M m.1", "M m.1", "! M m.2", "M m.3", NULL});
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_STOPPED);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\nMainThread m.2=0.5\n");
    assert_float_equal(pyi_session_number(session, PYI_SESSION_DURATION).value, 0.0015, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_target_ends(void **state)
{
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1", NULL});
    int detail = 0;
    assert_int_equal(pyi_recorder_end(recorder, &detail), PYI_END_EXIT);
    assert_int_equal(detail, -1);
    struct pyi_session *session = take(recorder);
    /* what ran after the last sample is in the duration and in no record */
    assert_session(session, "MainThread m.1=1\n");
    assert_float_equal(pyi_session_number(session, PYI_SESSION_DURATION).value, 0.002, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_unreadable_for_a_moment(void **state)
{
    fake_fate = PYI_FATE_ALIVE;
    const char *const script[] = {"M m.1", "M m.1", "GONE", "GONE", "M m.2", "M m.2", NULL};
    const struct pyi_recorder_options options = {.interval = 0.001, .duration = 0.005};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_DURATION);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\nMainThread m.2=4\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_unreadable_for_good(void **state)
{
    fake_fate = PYI_FATE_ALIVE;
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1", NULL});
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_EXIT);
    assert_true(recorder->last_round + 2000 * MS > fake_time);
    assert_int_equal(recorder->note_count, 1);
    pyi_recorder_free(recorder);
}

static void test_exec_of_python(void **state)
{
    fake_fate = PYI_FATE_EXEC;
    const char *const script[] = {"M m.1", "M m.1", "GONE", "M n.1", "M n.1", "M n.1", NULL};
    const struct pyi_recorder_options options = {.interval = 0.001, .duration = 0.004};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_DURATION);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\nMainThread n.1=2\n");
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_int_equal(attach->process_count, 2);
    assert_int_equal(attach->threads[1].process, 1);
    assert_float_equal(attach->processes[0].end, 0.002, 1e-12);
    assert_float_equal(attach->processes[1].start, 0.002, 1e-12);
    assert_int_equal(attach->note_count, 1);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_exec_of_something_else(void **state)
{
    fake_fate = PYI_FATE_EXEC;
    struct pyi_recorder *recorder = prepare((const char *[]){"M m.1", "M m.1", "GONE", NULL}, NULL);
    fake_opens_until_ready = 1 << 20;
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_EXEC);
    assert_float_equal((double)(recorder->ended - recorder->started) / MS, 2, 1e-9);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_refused_in_mid_recording(void **state)
{
    const char *const script[] = {"M m.1", "M m.1", NULL};
    struct pyi_recorder *recorder = prepare(script, NULL);
    assert_int_equal(pyi_recorder_begin_attached(recorder, NULL), 0);
    fake_round_code = PYI_E_PERM;
    assert_int_equal(pyi_recorder_run(recorder, NULL), PYI_E_PERM);
    struct pyi_session *session = take(recorder); /* what there was is still there */
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* ---- launched
 * ------------------------------------------------------------------------------------- */

/* As pyi_recorder_launch() leaves it, without a child. */
static struct pyi_recorder *prepare_launched(const char *const *script)
{
    struct pyi_recorder *recorder = prepare(script, NULL);
    pyi_recorder_close_target(recorder);
    recorder->process_count = 0;
    recorder->launched = true;
    recorder->child = (struct pyi_child){.pid = -2};
    recorder->program = (struct pyi_program){.kind = PYI_PROGRAM_SCRIPT, .script = "s.py"};
    return recorder;
}

static void test_launched_begins_and_ends_with_module(void **state)
{
    struct pyi_recorder *recorder = prepare_launched((const char *[]){
        "M i.1", "M i.2 <module>.1", "M", "M <module>.1", "M <module>.1 f.1",
        "M <module>.2 | A r.1", "M _shutdown.1 | A r.1", "M _shutdown.1 | A r.1", "M m.1", NULL});
    fake_opens_until_ready = 3;
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    assert_int_equal(pyi_recorder_end(recorder, NULL), PYI_END_EXIT);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread <module>.1 f.1=1\nMainThread <module>.2=1\nworker r.1=1\n");
    assert_start_stack(session, "MainThread;<module>;");
    /* it ended in the first round outside */
    assert_float_equal(pyi_session_number(session, PYI_SESSION_DURATION).value, 0.003, 1e-12);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_launched_strips_runpy(void **state)
{
    struct pyi_recorder *recorder = prepare_launched((const char *[]){
        "M _run_module_as_main.1 _get.2", "M _run_module_as_main.1 _run_code.2 <module>.1",
        "M _run_module_as_main.1 _run_code.2 <module>.1 f.3",
        "M _run_module_as_main.1 _run_code.2 <module>.2", NULL});
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread <module>.1 f.3=1\nMainThread <module>.2=1\n");
    assert_start_stack(session, "MainThread;<module>;");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_launched_single_stray_stack(void **state)
{
    /* one stack without the module is not believed; its time is not lost */
    struct pyi_recorder *recorder = prepare_launched((const char *[]){
        "M <module>.1", "M <module>.1", "M x.1", "M <module>.1", "M <module>.2", NULL});
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread <module>.1=3\nMainThread <module>.2=1\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_launched_main_not_shown(void **state)
{
    struct pyi_recorder *recorder = prepare_launched(
        (const char *[]){"M <module>.1 | A r.1", "M <module>.1 | A r.1", "M _shutdown.1 | A r.1",
                         "M _shutdown.1 | A r.1", "M _shutdown.1 | A r.1", NULL});
    recorder->options.thread = "worker";
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "worker r.1=1\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* ---- memory
 * -------------------------------------------------------------------------------------- */

/* 60 s at 1 kHz in which no two neighbours are equal. */
static void test_memory(void **state)
{
    static const char *script[60002];
    for (size_t i = 0; i < 60001; i++)
        script[i] = i % 2 ? "M a.1 b.1 c.1" : "M a.1 b.2 c.1";
    script[60001] = NULL;
    struct pyi_recorder *recorder = record(script);
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    assert_int_equal(tally.samples, 60000);
    assert_int_equal(recorder->tracks[0]->count, 60000);
    assert_true(tally.memory < 1 << 20);
    pyi_recorder_free(recorder);
}

static void test_long_records(void **state)
{
    const struct pyi_recorder_options options = {.interval = 3, .duration = 12};
    const char *const script[] = {"M m.1", "M m.1", "M m.1", "M m.2", "M m.2", NULL};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=6000\nMainThread m.2=6000\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_weights_and_merging),
        TEST(test_late_ticks_weigh_more),
        TEST(test_gap_same_stack),
        TEST(test_gap_other_stack),
        TEST(test_gap_boundary),
        TEST(test_gap_is_reported),
        TEST(test_lost_time_goes_to_next),
        TEST(test_long_lost_stretch_is_a_gap),
        TEST(test_lost_at_the_end),
        TEST(test_sum_is_duration),
        TEST(test_threads_in_order),
        TEST(test_thread_away_and_back),
        TEST(test_new_thread_after_gap),
        TEST(test_late_name),
        TEST(test_name_stays),
        TEST(test_main_without_name),
        TEST(test_idle),
        TEST(test_selection),
        TEST(test_start_call_stack),
        TEST(test_truncated),
        TEST(test_frame_text),
        TEST(test_hostile_names),
        TEST(test_metadata),
        TEST(test_paths_of_the_start),
        TEST(test_unborn_thread),
        TEST(test_take_once),
        TEST(test_snapshot_while_recording),
        TEST(test_stop_makes_a_last_round),
        TEST(test_target_ends),
        TEST(test_unreadable_for_a_moment),
        TEST(test_unreadable_for_good),
        TEST(test_exec_of_python),
        TEST(test_exec_of_something_else),
        TEST(test_refused_in_mid_recording),
        TEST(test_launched_begins_and_ends_with_module),
        TEST(test_launched_strips_runpy),
        TEST(test_launched_single_stray_stack),
        TEST(test_launched_main_not_shown),
        TEST(test_memory),
        TEST(test_long_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
