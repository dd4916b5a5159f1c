/* SPDX-License-Identifier: BSD-3-Clause */
/* test_long.c - recordings that are long: written while made, summed up, divided, held back. */
#include "tests/unit/fake_target.inc"

#include "src/base/output.h"
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pyi-test-XXXXXX";
static char file_path[64];

static struct pyi_strbuf as_json(const struct pyi_session *session)
{
    struct pyi_strbuf out = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&out);
    assert_int_equal(pyi_session_to_json(session, true, &sink, NULL), 0);
    return out;
}

static void assert_same(const struct pyi_session *a, const struct pyi_session *b)
{
    struct pyi_strbuf first = as_json(a), second = as_json(b);
    assert_string_equal(first.data, second.data);
    pyi_strbuf_deinit(&first);
    pyi_strbuf_deinit(&second);
}

/* ---- written while recording ---------------------------------------------------------------- */

/* 40 seconds with calls that are never proven, threads that come and go and get names. */
static const char *const *long_script(void)
{
    static char lines[40001][64];
    static const char *script[40002];
    uint64_t draw = 3;
    for (size_t i = 0; i < 40000; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        unsigned value = (unsigned)(draw >> 40);
        snprintf(lines[i], sizeof(lines[i]), "%sM @%u m.1 %s.%u g.%u%s", value % 997 ? "" : "/50 ",
                 value % 7 == 0 ? 2 : 1, value % 13 ? "f" : "~x", value / 16 % 3, value / 64 % 5,
                 i % 3000 > 1500 ? " | A run.3" : "");
        script[i] = lines[i];
    }
    script[40000] = NULL;
    return script;
}

static void test_stream_is_the_session(void **state)
{
    fake_verifying = true;
    const struct pyi_recorder_options options = {.interval = 0.001, .pyirec = file_path};
    struct pyi_recorder *recorder = prepare(long_script(), &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    char part[80];
    snprintf(part, sizeof(part), "%s.part", file_path);
    struct stat info;
    struct pyi_session *cut, *whole, *session;
    assert_int_equal(pyi_session_load(part, &cut, NULL), 0);
    assert_true(pyi_session_is_cut(cut));
    session = take(recorder);
    assert_int_equal(pyi_recorder_file(recorder, NULL), 0);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_equal(pyi_session_load(file_path, &whole, NULL), 0);
    assert_int_equal(stat(file_path, &info), 0);
    assert_true(info.st_size <= 4 * 40000);
    assert_false(pyi_session_is_cut(whole));
    assert_same(session, whole);
    /* At most the last five seconds are missing from what was there before the end. */
    double all = pyi_session_number(whole, PYI_SESSION_DURATION).value;
    double there = pyi_session_number(cut, PYI_SESSION_DURATION).value;
    assert_true(all > 40 && there < all && there > all - 5.5);
    const struct pyi_attach *a = pyi_session_attach(cut), *b = pyi_session_attach(whole);
    assert_int_equal(a->thread_count, b->thread_count);
    assert_true(a->truncated > 0 && a->threads[0].records > b->threads[0].records / 2);
    pyi_session_free(cut);
    pyi_session_free(whole);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
    unlink(file_path);
}

/* What is there already may be what is left of another recording. */
static void test_stream_keeps_others(void **state)
{
    char part[80], second[80];
    snprintf(part, sizeof(part), "%s.part", file_path);
    snprintf(second, sizeof(second), "%s.part-2", file_path);
    FILE *other = fopen(part, "w");
    fputs("other", other);
    fclose(other);
    const struct pyi_recorder_options options = {.interval = 0.001, .pyirec = file_path};
    struct pyi_recorder *recorder = prepare((const char *[]){"M m.1", "M m.2", NULL}, &options);
    assert_int_equal(access(second, F_OK), 0);
    pyi_recorder_free(recorder); /* nothing was recorded: nothing stays */
    assert_int_not_equal(access(second, F_OK), 0);
    assert_int_equal(access(part, F_OK), 0);
    unlink(part);
}

/* ---- sums only ------------------------------------------------------------------------------ */

static void test_aggregate(void **state)
{
    const struct pyi_recorder_options options = {.interval = 0.001, .aggregate = true};
    struct pyi_recorder *recorder =
        prepare((const char *[]){"M m.1", "M @1 m.1 f.1 | A r.1", "M @1 m.1 g.1 | A r.1",
                                 "M @1 m.1 f.1 | A r.1", "M @2 m.1 f.1", "M @1 m.1 f.1 | A r.2",
                                 "M @1 m.1 g.1", NULL},
                &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1 f.1=3\nMainThread m.1 g.1=2\nMainThread m.1 f.1=1\n"
                            "worker r.1=3\nworker r.2=1\n");
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_int_equal(attach->threads[0].records, 3);
    assert_int_equal(attach->threads[0].state_count, 2);
    assert_int_equal(attach->threads[0].states[1].code, PYI_STATE_WAITING);
    assert_int_equal(attach->threads[1].jump_count, 0);
    assert_int_equal(attach->note_count, 1);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static uint64_t memory_of(const char *const *script)
{
    set_up(NULL);
    const struct pyi_recorder_options options = {.interval = 0.001, .aggregate = true};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    pyi_recorder_free(recorder);
    return tally.memory;
}

static void test_aggregate_does_not_grow(void **state)
{
    const char *const *script = long_script();
    uint64_t whole = memory_of(script), half = memory_of(script + 20000);
    assert_true(whole <= half + half / 20);
}

/* ---- divided -------------------------------------------------------------------------------- */

static struct pyi_recorder *rolling;
static struct pyi_session *rolled[8];
static size_t roll_count;

static void roll_each_second(void *context, const struct pyi_tally *tally)
{
    if (tally->elapsed >= 1 && roll_count < 8)
        assert_int_equal(pyi_recorder_roll(rolling, &rolled[roll_count++], NULL), 0);
}

static void test_roll(void **state)
{
    static const char *script[4002];
    for (size_t i = 0; i < 4001; i++)
        script[i] = i < 1500 ? (i % 2 ? "M m.1 f.1 | A r.1" : "M m.1 f.2 | A r.1")
                             : (i % 2 ? "M m.1 f.3" : "M m.1 f.4");
    script[4001] = NULL;
    const struct pyi_recorder_options options = {.interval = 0.001, .progress = roll_each_second};
    rolling = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(rolling, NULL), 0);
    struct pyi_session *last = take(rolling);
    assert_in_range(roll_count, 3, 4);
    double sum = pyi_session_number(last, PYI_SESSION_DURATION).value;
    uint64_t samples = (uint64_t)pyi_session_number(last, PYI_SESSION_SAMPLE_COUNT).integer;
    for (size_t i = 0; i < roll_count; i++) {
        const struct pyi_attach *attach = pyi_session_attach(rolled[i]);
        double duration = pyi_session_number(rolled[i], PYI_SESSION_DURATION).value;
        double time = 0;
        struct pyi_record record;
        uint64_t cursor = 0;
        for (uint64_t j = 0; j < attach->threads[0].records; j++) {
            assert_true(pyi_session_next_record(rolled[i], &cursor, &record));
            time += record.seconds.value;
        }
        assert_float_equal(time, duration, 1e-6);
        assert_float_equal(duration, 1, 0.3);
        assert_int_equal(attach->thread_count, i < 2 ? 2 : 1);
        assert_int_equal(pyi_session_list_length(rolled[i], PYI_SESSION_START_CALL_STACK), 3);
        sum += duration;
        samples += (uint64_t)pyi_session_number(rolled[i], PYI_SESSION_SAMPLE_COUNT).integer;
        pyi_session_free(rolled[i]);
    }
    assert_float_equal(sum, 4, 0.02);
    assert_in_range(samples, 4000 + 1490, 4000 + 1501);
    pyi_session_free(last);
    pyi_recorder_free(rolling);
}

/* ---- held back ------------------------------------------------------------------------------ */

static void test_adapt(void **state)
{
    assert_int_equal(pyi_pace_adapt(1000, 1000, 0.05, 0.05), 1000);
    assert_int_equal(pyi_pace_adapt(1000, 1000, 0.01, 0.05), 1000);
    assert_int_equal(pyi_pace_adapt(1000, 1000, 0.10, 0.05), 2000);
    assert_int_equal(pyi_pace_adapt(1000, 1000, 0.90, 0.05), 4000);
    assert_int_equal(pyi_pace_adapt(2000, 1000, 0.045, 0.05), 2000); /* near enough */
    assert_int_equal(pyi_pace_adapt(2000, 1000, 0.02, 0.05), 1500);
    assert_int_equal(pyi_pace_adapt(1100, 1000, 0.00, 0.05), 1000);
    assert_int_equal(pyi_pace_adapt(900000000, 1000, 1, 0.05), 1000000000);
}

/* The fake recorder uses two percent of its time whatever it does. */
static void test_budget(void **state)
{
    static const char *script[3002];
    for (size_t i = 0; i < 3001; i++)
        script[i] = "M m.1";
    script[3001] = NULL;
    const struct pyi_recorder_options options = {.interval = 0.001, .duration = 3, .max_cpu = 0.01};
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    assert_true(tally.slowest > 0.1 && tally.slowest <= 1);
    assert_true(tally.ticks < 1500);
    struct pyi_session *session = take(recorder);
    assert_float_equal(pyi_session_number(session, PYI_SESSION_MIN_INTERVAL).value, 0.001, 0);
    assert_float_equal(pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value, tally.slowest,
                       0);
    struct pyi_strbuf line = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&line);
    assert_int_equal(pyi_tally_format(&tally, &sink, NULL), 0);
    assert_non_null(strstr(line.data, "held back"));
    pyi_strbuf_deinit(&line);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static int enter(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    snprintf(file_path, sizeof(file_path), "%s/x.pyirec", folder);
    return 0;
}

static int leave(void **state)
{
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stream_is_the_session, set_up),
        cmocka_unit_test_setup(test_stream_keeps_others, set_up),
        cmocka_unit_test_setup(test_aggregate, set_up),
        cmocka_unit_test_setup(test_aggregate_does_not_grow, set_up),
        cmocka_unit_test_setup(test_roll, set_up),
        cmocka_unit_test(test_adapt),
        cmocka_unit_test_setup(test_budget, set_up),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
