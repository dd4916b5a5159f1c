/* SPDX-License-Identifier: BSD-3-Clause */
/* test_recorder.c - from stacks to records: where time goes, threads, selection, memory. */
#include "tests/unit/fake_target.inc"

/* ---- time and records ----------------------------------------------------------------------- */

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

/* ---- lost ----------------------------------------------------------------------------------- */

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
        struct pyi_lane_cursor cursor = {0};
        struct pyi_lane_item item;
        while (pyi_lane_next(&recorder->tracks[0]->lane, &cursor, &item, NULL))
            sum += item.time;
        assert_int_equal(sum, recorder->last_round - recorder->started);
        pyi_recorder_free(recorder);
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

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
    /* last seen in the second round, at 1 ms; seen again in the fifth */
    assert_float_equal(thread->jumps[0].seconds, 0.003, 1e-12);
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

/* ---- selection ------------------------------------------------------------------------------ */

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

/* ---- memory --------------------------------------------------------------------------------- */

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
    assert_int_equal(recorder->tracks[0]->lane.count, 60000);
    /* at most four bytes each, and what does not depend on their number */
    assert_true(tally.memory < 60000 * 4 + (1 << 17));
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
        TEST(test_memory),
        TEST(test_long_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
