/* SPDX-License-Identifier: BSD-3-Clause */
/* test_modes.c - states in a recording's records, what modes leave out, marks above stacks. */
#include "tests/unit/fake_target.inc"

/* "2x1 1x3": two records in state 1, then one in state 3. */
static void assert_states(struct pyi_session *session, size_t thread, const char *expected)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_true(thread < attach->thread_count);
    const struct pyi_attach_thread *it = &attach->threads[thread];
    struct pyi_strbuf text = {0};
    uint64_t records = 0;
    for (size_t i = 0; i < it->state_count; i++) {
        pyi_strbuf_format(&text, "%s%dx%d", i ? " " : "", (int)it->states[i].records,
                          (int)it->states[i].code);
        records += it->states[i].records;
    }
    assert_string_equal(pyi_strbuf_get(&text).data, expected);
    assert_int_equal(records, it->records);
    pyi_strbuf_deinit(&text);
}

static struct pyi_session *session_of(const char *const *script, enum pyi_mode mode)
{
    const struct pyi_recorder_options options = {.interval = 0.001, .mode = mode};
    set_up(NULL);
    struct pyi_recorder *recorder = prepare(script, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_session *session = take(recorder);
    pyi_recorder_free(recorder);
    return session;
}

static void check_states(const char *const *script, enum pyi_mode mode, const char *records,
                         const char *states)
{
    struct pyi_session *session = session_of(script, mode);
    assert_session(session, records);
    assert_states(session, 0, states);
    pyi_session_free(session);
}

static void test_a_record_ends_where_the_state_changes(void **state)
{
    check_states((const char *[]){"M @1 m.1", "M @1 m.1", "M @1 m.1", "M @2 m.1", "M @2 m.1",
                                  "M @3 m.2", "M @3 m.3", NULL},
                 PYI_MODE_WALL,
                 "MainThread m.1=2\nMainThread m.1=2\nMainThread m.2=1\nMainThread m.3=1\n",
                 "1x1 1x2 2x3");
}

/* Nobody saw when the thread fell asleep: the sample answers for its own interval alone. */
static void test_a_gap_has_no_state(void **state)
{
    check_states((const char *[]){"M @1 m.1", "M @1 m.1", "/50 M @2 m.1", NULL}, PYI_MODE_WALL,
                 "MainThread m.1=1\nMainThread m.1=50\nMainThread m.1=1\n", "1x1 1x0 1x2");
    check_states((const char *[]){"M @1 m.1", "M @2 m.1", "/50 M @2 m.1", NULL}, PYI_MODE_WALL,
                 "MainThread m.1=52\n", "1x2");
    check_states((const char *[]){"M @1 m.1", "M @1 m.1", "/50 M @2w m.1", NULL}, PYI_MODE_WALL,
                 "MainThread m.1=1\nMainThread m.1 [unobserved]=50\nMainThread m.1 [futex]=1\n",
                 "1x1 1x0 1x2");
}

static void test_what_a_mode_leaves_out(void **state)
{
    static const char *const script[] = {"M @1g m.1 | A @3 r.1",  "M @1g m.1 | A @3 r.1",
                                         "M @1g m.2 | A @3 r.1",  "M @2 m.2 | A @1g r.2",
                                         "M @2 m.2 | A @1 r.2",   "M @0 m.2 | A @1gx r.2",
                                         "M @1gx m.3 | A @3 r.2", NULL};
    struct pyi_session *session = session_of(script, PYI_MODE_CPU);
    assert_session(session, "MainThread m.1=1\nMainThread m.2=1\nMainThread m.3=1\nworker r.2=3\n");
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_string_equal(attach->mode.data, "cpu");
    assert_int_equal(pyi_session_number(session, PYI_SESSION_SAMPLE_COUNT).integer, 6);
    assert_states(session, 0, "3x1");
    assert_int_equal(attach->threads[0].jump_count, 1);
    assert_int_equal(attach->threads[0].jumps[0].record, 2);
    assert_float_equal(attach->threads[0].jumps[0].seconds, 0.005, 1e-9);
    assert_float_equal(attach->threads[1].start, 0.002, 1e-9);
    pyi_session_free(session);
    session = session_of(script, PYI_MODE_GIL);
    assert_session(session, "MainThread m.1=1\nMainThread m.2=1\nMainThread m.3=1\n"
                            "worker r.2=1\nworker r.2=1\n");
    assert_string_equal(pyi_session_attach(session)->mode.data, "gil");
    pyi_session_free(session);
    session = session_of(script, PYI_MODE_EXCEPTION);
    assert_session(session, "MainThread m.3=1\nworker r.2=1\n");
    pyi_session_free(session);
}

/* What the target says is common with its last stack is not common with one that was left out. */
static void test_stacks_left_out_in_between(void **state)
{
    check_states((const char *[]){"M @1 m.1 f.1 g.1", "M @1 m.1 f.1 g.1", "M @2 m.1 x.1 y.1",
                                  "M @1 m.1 x.1 z.1", "M @2 k.1", "M @1 k.1 l.1", NULL},
                 PYI_MODE_CPU,
                 "MainThread m.1 f.1 g.1=1\nMainThread m.1 x.1 z.1=1\nMainThread k.1 l.1=1\n",
                 "3x1");
}

/* A stack that could not be read is nobody's: its time goes to the next, as without a mode. */
static void test_lost_in_a_mode(void **state)
{
    check_states(
        (const char *[]){"M @1 m.1", "M @1 m.1", "M ?", "M @1 m.2", "M ?", "M @2 m.3", NULL},
        PYI_MODE_CPU, "MainThread m.1=1\nMainThread m.2=3\n", "2x1");
}

/* Time nobody watched is of no kind, unless the thread stands where it stood, doing the same. */
static void test_a_gap_in_a_mode(void **state)
{
    check_states((const char *[]){"M @1 m.1", "M @1 m.1", "/50 M @1 m.2", "/50 M @1 m.2", NULL},
                 PYI_MODE_CPU, "MainThread m.1=1\nMainThread m.2=52\n", "2x1");
    check_states((const char *[]){"M @2 m.1", "/50 M @1 m.1", "M @1 m.1", NULL}, PYI_MODE_CPU,
                 "MainThread m.1=2\n", "1x1");
}

/* Marks stand above the stack, are not part of what it shares with the next one, and where a
 * report begins they are left out. */
static void test_marks(void **state)
{
    struct pyi_session *session =
        session_of((const char *[]){"M @2w m.1 f.1", "M @2w m.1 f.1", "M @1c m.1 f.1",
                                    "M @1 m.1 f.1", "M @2cw m.1 f.1", "M @2w m.1 f.1", NULL},
                   PYI_MODE_WALL);
    assert_session(session, "MainThread m.1 f.1 [futex]=1\nMainThread m.1 f.1 <GC>=1\n"
                            "MainThread m.1 f.1=1\nMainThread m.1 f.1 <GC> [futex]=1\n"
                            "MainThread m.1 f.1 [futex]=1\n");
    assert_states(session, 0, "1x2 2x1 2x2");
    pyi_session_free(session);
    session =
        session_of((const char *[]){"M @2w m.1", "M @2w m.1", "M @2w m.1", NULL}, PYI_MODE_WALL);
    assert_session(session, "MainThread m.1 [futex]=2\n");
    assert_start_stack(session, "MainThread;m;");
    pyi_session_free(session);
}

static void test_a_waiting_thread_is_idle_in_any_state(void **state)
{
    static const char *const script[] = {"M @1 m.1 | A @2w r.1", "M @1 m.1 | A @0w r.1",
                                         "M @1 m.1 | A @2w r.1", NULL};
    struct pyi_session *session = session_of(script, PYI_MODE_WALL);
    const struct pyi_attach *attach = pyi_session_attach(session);
    assert_true(attach->threads[1].idle);
    assert_states(session, 1, "1x0 1x2");
    pyi_session_free(session);
}

/* Records that become equal by folding are joined only in one state. */
static void test_folding_keeps_states(void **state)
{
    fake_verifying = true;
    struct pyi_recorder *recorder =
        record((const char *[]){"M @1 m.1", "M @1 m.1 ~a.1", "M @1 m.1 ~b.1", "M @2 m.1 ~c.1",
                                "M @2 m.1 ~d.1", "M @1 m.1 e.1", NULL});
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1 [truncated]=2\nMainThread m.1 [truncated]=2\n"
                            "MainThread m.1 e.1=1\n");
    assert_states(session, 0, "1x1 1x2 1x1");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_renaming_moves_marks(void **state)
{
    fake_names['A' - 'A'] = NULL;
    const struct pyi_recorder_options options = {.interval = 0.001};
    set_up(NULL);
    fake_names[0] = "Thread 65";
    struct pyi_recorder *recorder =
        prepare((const char *[]){"M @1 m.1 | A @2w r.1", "M @1 m.1 | A @2w r.1", NULL}, &options);
    assert_int_equal(pyi_recorder_run(recorder, NULL), 0);
    struct pyi_track *track = recorder->tracks[1];
    assert_int_equal(pyi_track_rename(track, &recorder->ledger, pyi_text("pool-1"), NULL), 0);
    track->present += MS; /* what is still to be given to the last stack */
    struct pyi_session *session = take(recorder);
    assert_session(session, "MainThread m.1=1\npool-1 r.1 [futex]=2\n");
    pyi_session_free(session);
    pyi_recorder_free(recorder);
}

static void test_exceptions_need_311(void **state)
{
    const struct pyi_recorder_options options = {.interval = 0.001, .mode = PYI_MODE_EXCEPTION};
    struct pyi_recorder *recorder = NULL;
    struct pyi_error error;
    fake_minor = 10;
    int code = pyi_recorder_attach(1234, &options, &recorder, &error);
    fake_minor = 14;
    assert_int_equal(code, PYI_E_VERSION);
    assert_string_equal(error.slug, "mode-version");
    assert_non_null(strstr(error.message, "from 3.11 on"));
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_record_ends_where_the_state_changes),
        TEST(test_a_gap_has_no_state),
        TEST(test_what_a_mode_leaves_out),
        TEST(test_stacks_left_out_in_between),
        TEST(test_lost_in_a_mode),
        TEST(test_a_gap_in_a_mode),
        TEST(test_marks),
        TEST(test_a_waiting_thread_is_idle_in_any_state),
        TEST(test_folding_keeps_states),
        TEST(test_renaming_moves_marks),
        TEST(test_exceptions_need_311),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
