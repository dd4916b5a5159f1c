/* SPDX-License-Identifier: BSD-3-Clause */
/* test_outname.c - signs in the name of an outfile. */
#include "src/cli/outname.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void test_signs(void **state)
{
    static const struct {
        const char *pattern, *expected;
        bool by_process;
    } rows[] = {
        {"", "", false},
        {"plain.html", "plain.html", false},
        {"prof-%p.svg", "prof-4314.svg", true},
        {"%p%p", "43144314", true},
        {"%%p", "%p", false},
        {"%%%p", "%4314", true},
        {"%t.html", "2026-11-20T14-18-34.html", false},
        {"100%", "100%", false},
        {"%d%x", "%d%x", false},
        {"%t-%p-%%", "2026-11-20T14-18-34-4314-%", true},
    };
    setenv("TZ", "UTC0", 1);
    tzset();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_strbuf name = {0};
        pyi_outname_expand(rows[i].pattern, 4314, 1795184314.75, &name);
        assert_string_equal(pyi_strbuf_get(&name).data, rows[i].expected);
        assert_int_equal(pyi_outname_by_process(rows[i].pattern), rows[i].by_process);
        pyi_strbuf_deinit(&name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
