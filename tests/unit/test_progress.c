/* SPDX-License-Identifier: BSD-3-Clause */
/* The progress line: its words, when it shows, and that it goes away. */
#include "src/cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void words_of_the_line(void **state)
{
    char line[240];
    struct pyi_tally tally = {
        .elapsed = 12.3, .limit = 60, .samples = 11982, .ticks = 11982, .memory = 3100000};
    pyi_progress_format(4314, &tally, 0, line, sizeof(line));
    assert_string_equal(line, "recording pid 4314   0:12 / 1:00  [###...............]"
                              "  11 982 samples  0.0 % missed  3.1 MB   Ctrl-C to stop");
    tally = (struct pyi_tally){
        .elapsed = 3787, .samples = 1186842, .ticks = 998, .missed = 2, .memory = 8400000};
    pyi_progress_format(4314, &tally, 0, line, sizeof(line));
    assert_non_null(strstr(line, "1:03:07  "));
    tally.processes = 1;
    pyi_progress_format(4314, &tally, 0, line, sizeof(line));
    assert_non_null(strstr(line, "recording pid 4314 "));
    tally.processes = 12;
    pyi_progress_format(4314, &tally, 0, line, sizeof(line));
    assert_non_null(strstr(line, "recording 12 processes "));
    tally.processes = 1;
    assert_non_null(strstr(line, "1 186 842 samples  0.2 % missed  8.4 MB"));
    pyi_progress_format(4314, &tally, 20, line, sizeof(line));
    assert_string_equal(line, "recording pid 4314  ");
    /* What does not fit is left out, not cut. */
    tally = (struct pyi_tally){
        .elapsed = 12.3, .limit = 60, .samples = 11982, .ticks = 11982, .memory = 3100000};
    pyi_progress_format(4314, &tally, 99, line, sizeof(line));
    assert_string_equal(line,
                        "recording pid 4314   0:12 / 1:00  11 982 samples  0.0 % missed  3.1 MB"
                        "   Ctrl-C to stop");
    pyi_progress_format(4314, &tally, 79, line, sizeof(line));
    assert_string_equal(line, "recording pid 4314   0:12 / 1:00  11 982 samples  0.0 % missed"
                              "   Ctrl-C to stop");
    pyi_progress_format(4314, &tally, 62, line, sizeof(line));
    assert_string_equal(line, "recording pid 4314   0:12 / 1:00  11 982 samples  0.0 % missed");
    /* Past the end the bar is full, not longer. */
    tally = (struct pyi_tally){.elapsed = 70, .limit = 60};
    pyi_progress_format(1, &tally, 0, line, sizeof(line));
    assert_non_null(strstr(line, "[##################]  0 samples  0.0 %"));
}

/* What a sequence of states prints. */
static char *shown(bool terminal, bool launched, const char *when, const double *times,
                   size_t count)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    struct pyi_progress progress;
    pyi_progress_init(&progress, stream, terminal, launched, when);
    progress.pid = 7;
    progress.width = 60;
    for (size_t i = 0; i < count; i++) {
        struct pyi_tally tally = {.elapsed = times[i]};
        pyi_progress_update(&progress, &tally);
    }
    pyi_progress_erase(&progress);
    pyi_progress_erase(&progress);
    fclose(stream);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void on_a_terminal_it_is_redrawn_and_erased(void **state)
{
    const double times[] = {0.25, 0.5};
    char *text = shown(true, false, NULL, times, 2);
    assert_int_equal(count_of(text, "\rrecording pid 7"), 2);
    assert_null(strchr(text, '\n'));
    assert_string_equal(text + strlen(text) - 4, "\r\x1b[K");
    assert_int_equal(count_of(text, "\x1b[K"), 3);
    free(text);
}

static void elsewhere_only_when_asked_for(void **state)
{
    const double times[] = {1, 9.9, 10.1, 15, 20.2};
    char *text = shown(false, false, NULL, times, 5);
    assert_string_equal(text, "");
    free(text);
    text = shown(false, false, "always", times, 5);
    assert_int_equal(count_of(text, "\n"), 2);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\r'));
    free(text);
    text = shown(true, false, "never", times, 5);
    assert_string_equal(text, "");
    free(text);
}

static void a_launched_program_has_its_peace(void **state)
{
    const double times[] = {1, 4.9, 5.1, 6};
    char *text = shown(true, true, NULL, times, 4);
    assert_string_equal(text, "");
    free(text);
    text = shown(true, true, "always", times, 4);
    assert_int_equal(count_of(text, "\rrecording"), 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_the_line),
        cmocka_unit_test(on_a_terminal_it_is_redrawn_and_erased),
        cmocka_unit_test(elsewhere_only_when_asked_for),
        cmocka_unit_test(a_launched_program_has_its_peace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
