/* SPDX-License-Identifier: BSD-3-Clause */
/* test_tally.c - the line at the end of a recording. */
#include <pyinstrument/recorder.h>

#include "src/base/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void assert_line(const struct pyi_tally *tally, const char *expected)
{
    struct pyi_strbuf line = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&line);
    assert_int_equal(pyi_tally_format(tally, &sink, NULL), 0);
    assert_string_equal(line.data, expected);
    pyi_strbuf_deinit(&line);
}

static void test_verified(void **state)
{
    const struct pyi_tally tally = {
        .elapsed = 3.0,
        .samples = 2998,
        .verified = 2998,
        .retried = 4,
        .missed = 2,
        .profiler_cpu = 0.063,
        .verifying = true,
    };
    assert_line(&tally,
                "2,998 samples in 3.00 s: 2,998 verified (4 on retry), 0 truncated, 0 lost, "
                "2 ticks missed; target never stopped; profiler used 2.1 % of a core");
}

static void test_checked(void **state)
{
    const struct pyi_tally tally = {.elapsed = 0.5,
                                    .samples = 1,
                                    .truncated = 1,
                                    .lost = 12345,
                                    .missed = 1,
                                    .unobserved = 0.25};
    assert_line(&tally, "1 sample in 0.50 s: 1 checked, 1 truncated, 12,345 lost, 1 tick missed, "
                        "0.25 s unobserved; target never stopped; profiler used 0.0 % of a core");
}

static void test_stopped(void **state)
{
    const struct pyi_tally tally = {.elapsed = 1000,
                                    .samples = 1000000,
                                    .verified = 999999,
                                    .stops = 1234,
                                    .stopped = 0.0155,
                                    .profiler_cpu = 1,
                                    .verifying = true};
    assert_line(
        &tally,
        "1,000,000 samples in 1000.00 s: 999,999 verified, 0 truncated, 0 lost, 0 ticks "
        "missed; target stopped 1,234 times, 0.015 s in all; profiler used 0.1 % of a core");
}

/* Before the first tick nothing is divided by zero. */
static void test_empty(void **state)
{
    const struct pyi_tally tally = {0};
    assert_line(&tally, "0 samples in 0.00 s: 0 checked, 0 truncated, 0 lost, 0 ticks missed; "
                        "target never stopped; profiler used 0.0 % of a core");
}

static int refuse(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    return PYI_E_OS;
}

static void test_sink_failure(void **state)
{
    const struct pyi_tally tally = {0};
    const struct pyi_sink sink = {.write = refuse};
    assert_int_equal(pyi_tally_format(&tally, &sink, NULL), PYI_E_OS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verified),     cmocka_unit_test(test_checked),
        cmocka_unit_test(test_stopped),      cmocka_unit_test(test_empty),
        cmocka_unit_test(test_sink_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
