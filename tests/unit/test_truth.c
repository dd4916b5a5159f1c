/* SPDX-License-Identifier: BSD-3-Clause */
/* The judge of --self-check: recordings laid out by hand, right ones and wrong ones. */
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/cli/truth/truth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START 1000.0

static struct pyi_session *session_of(double duration, double interval)
{
    struct pyi_session *session = NULL;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    pyi_session_set_number(session, PYI_SESSION_START_TIME, pyi_number_double(START));
    pyi_session_set_number(session, PYI_SESSION_DURATION, pyi_number_double(duration));
    pyi_session_set_number(session, PYI_SESSION_MIN_INTERVAL, pyi_number_double(interval));
    return session;
}

/* `names`: functions outermost first, NULL at the end. */
static void add(struct pyi_session *session, double seconds, const char *const *names)
{
    uint32_t stack = PYI_STACK_ROOT;
    for (; *names; names++) {
        char info[64];
        int length = snprintf(info, sizeof(info), "%s%c<string>%c1", *names, 0, 0);
        uint32_t frame;
        assert_int_equal(pyi_session_intern_frame(session, (struct pyi_text){info, (size_t)length},
                                                  &frame, NULL),
                         0);
        assert_int_equal(pyi_session_push_frame(session, stack, frame, &stack, NULL), 0);
    }
    assert_int_equal(pyi_session_add_record(session, stack, pyi_number_double(seconds), NULL), 0);
}
#define ADD(session, seconds, ...) add(session, seconds, (const char *const[]){__VA_ARGS__, NULL})

static void test_hello(void **state)
{
    struct pyi_truth_hello hello;
    assert_true(pyi_truth_is_hello(pyi_text("ready 3 13 2 free-threaded"), &hello));
    assert_int_equal(hello.minor, 13);
    assert_string_equal(hello.build, "free-threaded");
    assert_false(pyi_truth_is_hello(pyi_text("ready 3 13"), &hello));
    assert_false(pyi_truth_is_hello(pyi_text("Hello"), &hello));
    assert_false(pyi_truth_is_hello(pyi_text(""), &hello));
}

static void test_right_shares(void **state)
{
    struct pyi_session *session = session_of(10, 1);
    struct pyi_truth_shares shares;
    ADD(session, 4, "MainThread", "<module>", "calls", "inner");
    ADD(session, 6, "MainThread", "<module>", "sleep", "sleep");
    /* What lies before and behind the recording does not count. */
    struct pyi_text log = pyi_text("sleep 990 1000\ncalls 1000 1004\nsleep 1004 1010\n"
                                   "calls 1010 1020\n");
    assert_int_equal(pyi_truth_compare(session, log, &shares, NULL), 0);
    assert_int_equal(shares.count, 2);
    assert_float_equal(shares.worst, 0, 1e-9);
    assert_float_equal(shares.mean, 0, 1e-9);
    assert_float_equal(shares.asleep, 0.6, 1e-9);
    pyi_session_free(session);
}

static void test_wrong_shares(void **state)
{
    struct pyi_session *session = session_of(10, 1);
    struct pyi_truth_shares shares;
    ADD(session, 6, "MainThread", "<module>", "calls");
    ADD(session, 4, "MainThread", "<module>", "arithmetic");
    assert_int_equal(pyi_truth_compare(session, pyi_text("calls 1000 1004\narithmetic 1004 1010\n"),
                                       &shares, NULL),
                     0);
    assert_float_equal(shares.worst, 0.2, 1e-9);
    assert_float_equal(shares.mean, 0.2, 1e-9);
    pyi_session_free(session);
}

/* A perfect sampler looks at 1000, 1001, ...: eleven times in ten seconds. */
static void test_perfect(void **state)
{
    struct pyi_session *session = session_of(10, 1);
    struct pyi_truth_shares shares;
    ADD(session, 10, "MainThread", "calls");
    assert_int_equal(pyi_truth_compare(session,
                                       pyi_text("calls 1000 1004.5\nkey 1004.5 1004.9\n"
                                                "calls 1004.9 1010.5\n"),
                                       &shares, NULL),
                     0);
    assert_string_equal(shares.phases[1].name, "key");
    assert_float_equal(shares.phases[1].perfect, 0, 1e-9);
    assert_float_equal(shares.phases[0].perfect, 11, 1e-9);
    assert_float_equal(shares.phases[0].logged, 9.6, 1e-9);
    pyi_session_free(session);
}

static void test_unobserved_time_is_left_out(void **state)
{
    struct pyi_session *session = session_of(10, 1);
    struct pyi_truth_shares shares;
    ADD(session, 4, "MainThread", "<module>", "calls");
    ADD(session, 2, "MainThread", "<module>", "[unobserved]");
    ADD(session, 4, "MainThread", "<module>", "arithmetic");
    struct pyi_text log = pyi_text("calls 1000 1005\narithmetic 1005 1010\n");
    assert_int_equal(pyi_truth_compare(session, log, &shares, NULL), 0);
    assert_float_equal(shares.unobserved, 2, 1e-9);
    assert_float_equal(shares.seconds, 8, 1e-9);
    assert_float_equal(shares.worst, 0, 1e-9);
    pyi_session_free(session);
}

static void test_bad_logs(void **state)
{
    static const char *const logs[] = {"", "calls\n", "calls 5 1\n", "calls 1000 soon\n",
                                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee 1 2\n"};
    struct pyi_session *session = session_of(10, 1);
    struct pyi_truth_shares shares;
    ADD(session, 10, "MainThread");
    for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        assert_int_equal(pyi_truth_compare(session, pyi_text(logs[i]), &shares, NULL),
                         PYI_E_FORMAT);
    }
    pyi_session_free(session);
}

static void test_possible_calls(void **state)
{
    struct pyi_session *session = session_of(10, 0.5);
    struct pyi_truth_stacks stacks;
    ADD(session, 1.0, "MainThread", "<module>", "stacks", "stem_0", "stem_1", "stem_2");
    ADD(session, 0.5, "MainThread", "<module>", "[truncated]");
    ADD(session, 0.2, "stem_0", "stem_1");
    pyi_truth_count(session, &stacks);
    assert_int_equal(stacks.samples, 4);
    assert_int_equal(stacks.inside, 3);
    assert_int_equal(stacks.impossible, 0);
    assert_int_equal(stacks.deepest, 6);
    pyi_session_free(session);
}

static void test_impossible_calls(void **state)
{
    static const char *const wrong[][3] = {
        {"node_2_1", "node_3_1", NULL}, {"node_2_1", "node_4_2", NULL},
        {"stem_38", "node_0_0", NULL},  {"stem_39", "node_1_0", NULL},
        {"stem_4", "stem_6", NULL},     {"node_1_0", "stem_0", NULL},
        {"main", "node_0_0", NULL},     {"node_3_3", NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct pyi_session *session = session_of(10, 1);
        struct pyi_truth_stacks stacks;
        add(session, 1, wrong[i]);
        pyi_truth_count(session, &stacks);
        assert_int_equal(stacks.impossible, 1);
        assert_true(strstr(stacks.first, "called ") != NULL);
        pyi_session_free(session);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_right_shares),
        cmocka_unit_test(test_wrong_shares),
        cmocka_unit_test(test_perfect),
        cmocka_unit_test(test_unobserved_time_is_left_out),
        cmocka_unit_test(test_bad_logs),
        cmocka_unit_test(test_possible_calls),
        cmocka_unit_test(test_impossible_calls),
    };
    return cmocka_run_group_tests_name("truth", tests, NULL, NULL);
}
