/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides colour and characters from the stream, the locale and the environment. Nothing here
 * prints; options given on the command line are weighed by the caller. */
#include "src/cli/terminal.h"
#include "src/base/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

struct pyi_surroundings pyi_surroundings_of(int fd)
{
    return (struct pyi_surroundings){
        .terminal = isatty(fd) == 1,
        .locale = setlocale(LC_CTYPE, NULL),
        .codeset = nl_langinfo(CODESET),
        .term = getenv("TERM"),
        .no_color = getenv("NO_COLOR"),
        .force_color = getenv("FORCE_COLOR"),
        .clicolor_force = getenv("CLICOLOR_FORCE"),
        .python_io_encoding = getenv("PYTHONIOENCODING"),
        .python_utf8 = getenv("PYTHONUTF8"),
        .python_coerce = getenv("PYTHONCOERCECLOCALE"),
    };
}

static bool is(const char *value, const char *word)
{
    return value && strcmp(value, word) == 0;
}

static bool names_utf(const char *encoding, size_t length)
{
    for (size_t i = 0; i + 3 <= length; i++) {
        if (strncasecmp(encoding + i, "utf", 3) == 0)
            return true;
    }
    return false;
}

bool pyi_surroundings_unicode(const struct pyi_surroundings *around)
{
    /* ENCODING:ERRORS, either part may be missing. */
    const char *wanted = around->python_io_encoding;
    if (wanted && strcspn(wanted, ":") > 0)
        return names_utf(wanted, strcspn(wanted, ":"));
    if (is(around->python_utf8, "1"))
        return true;
    if (is(around->locale, "C") || is(around->locale, "POSIX")) {
        /* Since 3.7 Python uses UTF-8 here (PEP 538, PEP 540) unless told not to, twice. */
        return !(is(around->python_utf8, "0") && is(around->python_coerce, "0"));
    }
    return around->codeset && names_utf(around->codeset, strlen(around->codeset));
}

static bool set(const char *value)
{
    return value && value[0] != '\0';
}

static bool forced(const char *value)
{
    return set(value) && strcmp(value, "0") != 0;
}

bool pyi_surroundings_report_color(const struct pyi_surroundings *around)
{
    if (set(around->no_color))
        return false;
    if (forced(around->force_color) || forced(around->clicolor_force))
        return true;
    return around->terminal;
}

bool pyi_surroundings_message_color(const struct pyi_surroundings *around)
{
    if (set(around->no_color))
        return false;
    if (forced(around->force_color) || forced(around->clicolor_force))
        return true;
    return around->terminal && !is(around->term, "dumb");
}

int pyi_terminal_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* By the tables of the C library's UTF-8 locale, whatever the user's is: our text is UTF-8. */
int pyi_text_columns(struct pyi_text text)
{
    static locale_t utf8;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    int columns = 0;
    for (size_t at = 0; at < text.length;) {
        uint32_t c = pyi_text_next(text, &at);
        int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);
        columns += width < 0 ? 1 : width;
    }
    if (before)
        uselocale(before);
    return columns;
}
