/* SPDX-License-Identifier: BSD-3-Clause */
/* Colour and characters: every rule of detection on facts made up for it. */
#include "src/cli/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void characters_follow_the_encoding(void **state)
{
    static const struct {
        struct pyi_surroundings around;
        bool unicode;
    } rows[] = {
        {{.locale = "en_US.UTF-8", .codeset = "UTF-8"}, true},
        {{.locale = "de_DE", .codeset = "ISO-8859-1"}, false},
        {{.locale = "C", .codeset = "ANSI_X3.4-1968"}, true},
        {{.locale = "POSIX", .codeset = "ANSI_X3.4-1968"}, true},
        {{.locale = "C", .codeset = "ANSI_X3.4-1968", .python_utf8 = "0"}, true},
        {{.locale = "C", .python_utf8 = "0", .python_coerce = "0"}, false},
        {{.locale = "de_DE", .codeset = "ISO-8859-1", .python_utf8 = "1"}, true},
        {{.locale = "de_DE", .codeset = "ISO-8859-1", .python_io_encoding = "utf8"}, true},
        {{.locale = "de_DE", .codeset = "ISO-8859-1", .python_io_encoding = "UTF-8:strict"}, true},
        {{.locale = "en_US.UTF-8", .codeset = "UTF-8", .python_io_encoding = "latin-1"}, false},
        {{.locale = "en_US.UTF-8", .codeset = "UTF-8", .python_io_encoding = "latin-1:utf"}, false},
        {{.locale = "en_US.UTF-8", .codeset = "UTF-8", .python_io_encoding = ":replace"}, true},
        {{.locale = "en_US.UTF-8", .codeset = "UTF-8", .python_io_encoding = ""}, true},
        {{.locale = "C", .python_utf8 = "1", .python_io_encoding = "ascii"}, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (pyi_surroundings_unicode(&rows[i].around) != rows[i].unicode)
            fail_msg("row %zu", i);
    }
}

static void colour_follows_the_terminal(void **state)
{
    static const struct {
        struct pyi_surroundings around;
        bool report, message;
    } rows[] = {
        {{.terminal = true, .term = "xterm"}, true, true},
        {{.terminal = false, .term = "xterm"}, false, false},
        {{.terminal = true, .term = "dumb"}, true, false},
        {{.terminal = true}, true, true},
        {{.terminal = true, .no_color = "1"}, false, false},
        {{.terminal = true, .no_color = ""}, true, true},
        {{.terminal = false, .clicolor_force = "1"}, true, true},
        {{.terminal = false, .force_color = "3"}, true, true},
        {{.terminal = false, .clicolor_force = "0"}, false, false},
        {{.terminal = false, .clicolor_force = ""}, false, false},
        {{.terminal = false, .clicolor_force = "1", .no_color = "1"}, false, false},
        {{.terminal = false, .term = "dumb", .clicolor_force = "1"}, true, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (pyi_surroundings_report_color(&rows[i].around) != rows[i].report)
            fail_msg("report, row %zu", i);
        if (pyi_surroundings_message_color(&rows[i].around) != rows[i].message)
            fail_msg("message, row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_follow_the_encoding),
        cmocka_unit_test(colour_follows_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
