/* SPDX-License-Identifier: BSD-3-Clause */
/* test_diff.c - two sessions compared: known differences, moved lines, what is new or gone, the
 * noise, recursion, sessions without samples, very deep stacks. */
#include <pyinstrument/diff.h>

#include "src/base/number.h"
#include "src/base/text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A session of one thread at 1 ms. */
static struct pyi_session *session_new(const char *description)
{
    struct pyi_session *session;
    assert_int_equal(pyi_session_new(&session, NULL), 0);
    assert_int_equal(pyi_session_set_target_description(session, pyi_text(description), NULL), 0);
    assert_int_equal(
        pyi_session_list_append(session, PYI_SESSION_SYS_PATH, pyi_text("/home/u"), NULL), 0);
    return session;
}

static void set_samples(struct pyi_session *session, int64_t samples)
{
    pyi_session_set_number(session, PYI_SESSION_SAMPLE_COUNT, pyi_number_integer(samples));
    pyi_session_set_number(session, PYI_SESSION_MAX_INTERVAL, pyi_number_double(0.001));
}

static uint32_t push(struct pyi_session *session, uint32_t parent, const char *function,
                     const char *path, int line)
{
    char info[200];
    int length = snprintf(info, sizeof(info), "%s%c%s%c%d", function, 0, path, 0, line);
    uint32_t frame, stack;
    assert_int_equal(
        pyi_session_intern_frame(session, (struct pyi_text){info, (size_t)length}, &frame, NULL),
        0);
    assert_int_equal(pyi_session_push_frame(session, parent, frame, &stack, NULL), 0);
    return stack;
}

/* `calls` is "a b;0.5 a;0.25": stacks of functions with their seconds. `line`: of every function,
 * `ident`: of the thread. */
static struct pyi_session *make(const char *description, const char *calls, int line,
                                const char *ident)
{
    struct pyi_session *session = session_new(description);
    double total = 0;
    while (*calls) {
        char thread[64], word[64];
        snprintf(thread, sizeof(thread), "MainThread%c<thread>%c%s", 0, 0, ident);
        uint32_t frame, stack;
        assert_int_equal(
            pyi_session_intern_frame(
                session,
                (struct pyi_text){thread, strlen("MainThread<thread>") + 2 + strlen(ident)}, &frame,
                NULL),
            0);
        assert_int_equal(pyi_session_push_frame(session, PYI_STACK_ROOT, frame, &stack, NULL), 0);
        for (; *calls != ';'; calls += *calls == ' ') {
            size_t length = strcspn(calls, " ;");
            snprintf(word, sizeof(word), "%.*s", (int)length, calls);
            stack = push(session, stack, word, "/home/u/a.py", line);
            calls += length;
        }
        char *end;
        double seconds = strtod(calls + 1, &end);
        calls = end + (*end == ' ');
        assert_int_equal(pyi_session_add_record(session, stack, pyi_number_double(seconds), NULL),
                         0);
        total += seconds;
    }
    set_samples(session, llround(total / 0.001));
    return session;
}

struct pair {
    struct pyi_session *base, *now;
    struct pyi_diff *diff;
};

static struct pair compare(struct pyi_session *base, struct pyi_session *now,
                           enum pyi_diff_mode mode)
{
    struct pair pair = {base, now, NULL};
    struct pyi_error err;
    if (pyi_diff_new(base, now, mode, 0, NULL, &pair.diff, &err))
        fail_msg("%s", err.message);
    return pair;
}

static void pair_free(struct pair *pair)
{
    pyi_diff_free(pair->diff);
    pyi_session_free(pair->base);
    pyi_session_free(pair->now);
}

static struct pair compare_calls(const char *base, const char *now, enum pyi_diff_mode mode)
{
    return compare(make("Program: a.py", base, 3, "11"), make("Program: a.py", now, 7, "22"), mode);
}

static bool is_named(const struct pyi_frame *frame, const char *name)
{
    return frame && pyi_text_equal(pyi_frame_function(frame), pyi_text(name));
}

/* The only call path that ends in that function. */
static const struct pyi_diff_frame *path_to(const struct pair *pair, const char *name)
{
    const struct pyi_diff_frame *found = NULL;
    for (const struct pyi_diff_frame *f = pyi_diff_root(pair->diff); f;
         f = pyi_diff_walk(pair->diff, f, NULL))
        if (is_named(f->frame, name)) {
            assert_null(found);
            found = f;
        }
    assert_non_null(found);
    return found;
}

static const struct pyi_diff_function *function_of(const struct pair *pair, const char *name)
{
    const struct pyi_diff_function *function;
    for (size_t i = 0; (function = pyi_diff_function(pair->diff, i)); i++)
        if (is_named(function->frame, name))
            return function;
    fail_msg("no function %s", name);
    return NULL;
}

static void assert_figures(const struct pyi_diff_figures *figures, double base, double now,
                           enum pyi_diff_change change)
{
    assert_true(fabs(figures->base - base) < 1e-9);
    assert_true(fabs(figures->now - now) < 1e-9);
    assert_int_equal(figures->change, change);
}

static void test_known_differences(void **state)
{
    struct pair pair = compare_calls("m a;1 m b;1 m c;0.5 m;0.25",
                                     "m a;1.5 m b;0.5 m d;0.25 m;0.25", PYI_DIFF_TIME);
    assert_figures(&path_to(&pair, "a")->total, 1, 1.5, PYI_DIFF_MORE);
    assert_figures(&path_to(&pair, "b")->total, 1, 0.5, PYI_DIFF_LESS);
    assert_figures(&path_to(&pair, "c")->total, 0.5, 0, PYI_DIFF_GONE);
    assert_figures(&path_to(&pair, "d")->total, 0, 0.25, PYI_DIFF_FRESH);
    assert_figures(&path_to(&pair, "m")->self, 0.25, 0.25, PYI_DIFF_QUIET);
    assert_true(path_to(&pair, "m")->stirred);
    assert_figures(&pyi_diff_root(pair.diff)->total, 2.75, 2.5, PYI_DIFF_LESS);
    /* Largest change first, among children as among functions. */
    const struct pyi_diff_frame *child = path_to(&pair, "m")->first;
    for (; child->next; child = child->next)
        assert_true(fabs(child->total.delta) >= fabs(child->next->total.delta));
    for (size_t i = 1; pyi_diff_function(pair.diff, i); i++)
        assert_true(fabs(pyi_diff_function(pair.diff, i - 1)->self.delta) >=
                    fabs(pyi_diff_function(pair.diff, i)->self.delta));
    pair_free(&pair);
}

static void test_shares(void **state)
{
    /* Twice as long, the same parts but for c. */
    struct pair pair = compare_calls("m a;1 m b;1", "m a;2 m b;1.5 m c;0.5", PYI_DIFF_SHARE);
    assert_figures(&path_to(&pair, "a")->total, 1, 2, PYI_DIFF_QUIET);
    assert_figures(&path_to(&pair, "b")->total, 1, 1.5, PYI_DIFF_LESS);
    assert_true(fabs(path_to(&pair, "b")->total.delta + 0.125) < 1e-9);
    assert_figures(&path_to(&pair, "c")->total, 0, 0.5, PYI_DIFF_FRESH);
    pair_free(&pair);
}

static void test_noise_is_quiet(void **state)
{
    /* 1,000 samples against 1,060: two deviations are 91. */
    struct pair pair = compare_calls("m a;1 m b;0.009", "m a;1.06 m b;0.004", PYI_DIFF_TIME);
    assert_figures(&path_to(&pair, "a")->total, 1, 1.06, PYI_DIFF_QUIET);
    assert_figures(&path_to(&pair, "b")->total, 0.009, 0.004, PYI_DIFF_QUIET);
    assert_false(pyi_diff_root(pair.diff)->stirred);
    const double noise = path_to(&pair, "a")->total.noise;
    assert_true(noise >= 2 * sqrt(2060) * 0.001 - 1e-9 && noise < 4 * sqrt(2060) * 0.001);
    pair_free(&pair);
}

static void test_one_sample_is_no_difference(void **state)
{
    struct pair pair = compare_calls("m a;1", "m a;1 m b;0.001", PYI_DIFF_TIME);
    assert_figures(&path_to(&pair, "b")->total, 0, 0.001, PYI_DIFF_QUIET);
    pair_free(&pair);
}

static void test_recursion_counts_once(void **state)
{
    struct pair pair = compare_calls("m r r r;1", "m r r r;2", PYI_DIFF_TIME);
    const struct pyi_diff_function *function = function_of(&pair, "r");
    assert_figures(&function->total, 1, 2, PYI_DIFF_MORE);
    assert_figures(&function->self, 1, 2, PYI_DIFF_MORE);
    pair_free(&pair);
}

static void test_empty_sides(void **state)
{
    struct pair pair = compare(session_new("Program: a"), session_new("Program: a"), PYI_DIFF_TIME);
    assert_null(pyi_diff_root(pair.diff)->first);
    assert_null(pyi_diff_function(pair.diff, 0));
    pair_free(&pair);
    pair = compare(session_new("Program: a"), make("Program: a", "m a;1", 3, "1"), PYI_DIFF_SHARE);
    assert_figures(&path_to(&pair, "a")->total, 0, 1, PYI_DIFF_FRESH);
    pair_free(&pair);
    pair = compare(make("Program: a", "m a;1", 3, "1"), session_new("Program: a"), PYI_DIFF_TIME);
    assert_figures(&path_to(&pair, "a")->total, 1, 0, PYI_DIFF_GONE);
    pair_free(&pair);
}

static void test_processes_match_without_their_numbers(void **state)
{
    struct pyi_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        sessions[i] = session_new("Process 1: a");
        uint32_t stack = push(sessions[i], PYI_STACK_ROOT, i ? "worker (77)" : "worker (5)",
                              "<process>", i ? 77 : 5);
        stack = push(sessions[i], stack, "f", "/home/u/a.py", 1);
        assert_int_equal(
            pyi_session_add_record(sessions[i], stack, pyi_number_double(i ? 3 : 1), NULL), 0);
        set_samples(sessions[i], i ? 3000 : 1000);
    }
    struct pair pair = compare(sessions[0], sessions[1], PYI_DIFF_TIME);
    assert_figures(&path_to(&pair, "f")->total, 1, 3, PYI_DIFF_MORE);
    pair_free(&pair);
}

static void test_depth(void **state)
{
    struct pyi_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        sessions[i] = session_new("Program: a");
        uint32_t stack = PYI_STACK_ROOT;
        for (int depth = 0; depth < 100000; depth++)
            stack = push(sessions[i], stack, "f", "/home/u/a.py", 1);
        assert_int_equal(pyi_session_add_record(sessions[i], stack, pyi_number_double(1 + i), NULL),
                         0);
        set_samples(sessions[i], 1000 * (1 + i));
    }
    struct pair pair = compare(sessions[0], sessions[1], PYI_DIFF_TIME);
    assert_figures(&function_of(&pair, "f")->total, 1, 2, PYI_DIFF_MORE);
    pair_free(&pair);
}

static void test_default_mode(void **state)
{
    struct pyi_session *launched = session_new("Program: a.py"),
                       *attached = session_new("Process 7: a.py");
    assert_int_equal(pyi_diff_default_mode(launched, launched), PYI_DIFF_TIME);
    assert_int_equal(pyi_diff_default_mode(launched, attached), PYI_DIFF_SHARE);
    assert_int_equal(pyi_diff_default_mode(attached, launched), PYI_DIFF_SHARE);
    pyi_session_free(launched);
    pyi_session_free(attached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_differences),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_noise_is_quiet),
        cmocka_unit_test(test_one_sample_is_no_difference),
        cmocka_unit_test(test_recursion_counts_once),
        cmocka_unit_test(test_empty_sides),
        cmocka_unit_test(test_processes_match_without_their_numbers),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_default_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
