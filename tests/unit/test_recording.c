/* SPDX-License-Identifier: BSD-3-Clause */
/* test_recording.c - the session of a recording, how recordings end, launched programs. */
#include "tests/unit/fake_target.inc"

/* ---- the session ---------------------------------------------------------------------------- */

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

static void check_tally(const struct pyi_recorder *recorder, uint64_t verified, uint64_t truncated,
                        bool verifying)
{
    struct pyi_tally tally;
    pyi_recorder_tally(recorder, &tally);
    assert_int_equal(tally.verified, verified);
    assert_int_equal(tally.truncated, truncated);
    assert_int_equal(tally.verifying, verifying);
}

static const char *const doubtful[] = {
    "M m.1",         "M m.1 f.1 g.1", "M m.1 f.1 ~x.1 y.1", "M m.1 f.1 ~z.1",
    "M m.1 f.1 g.1", "M m.1 ~f.2",    "M m.1 f.2",          NULL};

/* What nobody proves by the end is folded; records that become equal are joined. */
static void test_folded(void **state)
{
    fake_verifying = true;
    struct pyi_recorder *recorder = record(doubtful);
    check_tally(recorder, 4, 2, true);
    struct pyi_session *copy = NULL;
    assert_int_equal(pyi_recorder_snapshot(recorder, &copy, NULL), 0);
    assert_session(copy, "MainThread m.1 f.1 g.1=1\nMainThread m.1 f.1 [truncated]=1\n"
                         "MainThread m.1 f.1 [truncated]=1\nMainThread m.1 f.1 g.1=1\n"
                         "MainThread m.1 f.2=2\n");
    pyi_session_free(copy);
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1 f.1 g.1=1\nMainThread m.1 f.1 [truncated]=2\n"
                            "MainThread m.1 f.1 g.1=1\nMainThread m.1 f.2=2\n");
    assert_int_equal(pyi_session_attach(session)->verified, 4);
    assert_int_equal(pyi_session_attach(session)->truncated, 2);
    check_tally(recorder, 4, 2, true);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_proven_by_the_end(void **state)
{
    fake_verifying = true;
    struct pyi_recorder *recorder = record(doubtful);
    fake_proven = true;
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1 f.1 g.1=1\nMainThread m.1 f.1 x.1 y.1=1\n"
                            "MainThread m.1 f.1 z.1=1\nMainThread m.1 f.1 g.1=1\n"
                            "MainThread m.1 f.2=2\n");
    assert_int_equal(pyi_session_attach(session)->verified, 6);
    assert_int_equal(pyi_session_attach(session)->truncated, 0);
    check_tally(recorder, 6, 0, true);
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

/* Where nobody tries to prove anything, nothing is called verified. */
static void test_checked_only(void **state)
{
    struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1 f.1", NULL});
    check_tally(recorder, 0, 0, false);
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

/* What was never tried on a real interpreter says so in its session. */
static void test_untested_build_is_noted(void **state)
{
    for (int untested = 0; untested <= 1; untested++) {
        fake_untested = untested;
        struct pyi_recorder *recorder = record((const char *[]){"M m.1", "M m.1", NULL});
        struct pyi_session *session = take(recorder);
        const struct pyi_attach *attach = pyi_session_attach(session);
        bool noted = false;
        for (size_t i = 0; i < attach->note_count; i++)
            noted |= strstr(attach->notes[i].data, "Python 3.14 was not tested") != NULL;
        assert_int_equal(noted, untested);
        pyi_session_free(session);
        pyi_recorder_free(recorder);
    }
    fake_untested = false;
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

/* ---- ends ----------------------------------------------------------------------------------- */

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

/* ---- launched ------------------------------------------------------------------------------- */

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

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_call_stack),
        TEST(test_truncated),
        TEST(test_folded),
        TEST(test_proven_by_the_end),
        TEST(test_checked_only),
        TEST(test_frame_text),
        TEST(test_hostile_names),
        TEST(test_metadata),
        TEST(test_untested_build_is_noted),
        TEST(test_paths_of_the_start),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
