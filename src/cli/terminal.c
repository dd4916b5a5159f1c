/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides colour and characters from the stream, the locale and the environment, and starts the
 * web browser. Nothing here prints; options given on the command line are weighed by the caller. */
#include "src/cli/terminal.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

int pyi_terminal_rows(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

/* ---- browser --------------------------------------------------------------------------------- */

enum { WORDS = 32, MOMENTS = 50 };

/* "file://" and the absolute path, everything unusual escaped. */
static bool file_address(const char *path, struct pyi_strbuf *out)
{
    char *absolute = realpath(path, NULL);
    pyi_strbuf_string(out, "file://");
    if (absolute)
        pyi_strbuf_address_path(out, pyi_text(absolute));
    const bool fine = absolute && !out->failed;
    free(absolute);
    return fine;
}

/* A command of BROWSER taken apart at blanks; the address goes where "%s" stands, else last. */
static void split_command(char *command, char *address, char *words[WORDS + 2])
{
    size_t count = 0;
    bool placed = false;
    char *rest = NULL;
    for (char *word = strtok_r(command, " \t", &rest); word && count < WORDS;
         word = strtok_r(NULL, " \t", &rest)) {
        const bool here = strcmp(word, "%s") == 0;
        words[count++] = here ? address : word;
        placed = placed || here;
    }
    if (!placed)
        words[count++] = address;
    words[count] = NULL;
}

/* In the new process: nothing of ours stays open, and it outlives us. */
static void become_browser(char *const words[], int report)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        (void)!dup2(null, fd);
    setsid();
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execvp(words[0], words);
    int failure = errno;
    (void)!write(report, &failure, sizeof(failure));
    _exit(127);
}

/* 0, or errno of the start, or -1 when it ended at once with a failure. */
static int start_browser(char *const words[])
{
    int report[2], failure = 0;
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0)
        become_browser(words, report[1]);
    if (pid < 0)
        failure = errno;
    close(report[1]);
    if (!failure && read(report[0], &failure, sizeof(failure)) != sizeof(failure))
        failure = 0;
    close(report[0]);
    const struct timespec moment = {0, 20000000};
    int status = 0;
    for (int i = 0; pid > 0 && i < MOMENTS; i++) {
        if (waitpid(pid, &status, WNOHANG) != 0)
            break;
        nanosleep(&moment, NULL);
    }
    return failure ? failure : status ? -1 : 0;
}

int pyi_browser_open(const char *path, struct pyi_error *err)
{
    const char *wanted = getenv("BROWSER");
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf address = {0};
    PYI_CLEANUP(pyi_cleanup_free) char *commands = strdup(set(wanted) ? wanted : "xdg-open");
    if (!commands || !file_address(path, &address))
        return pyi_error_nomem(err);
    int code = PYI_E_OS;
    char *rest = NULL;
    for (char *command = strtok_r(commands, ":", &rest); command;
         command = strtok_r(NULL, ":", &rest)) {
        char *words[WORDS + 2], name[100];
        split_command(command, address.data, words);
        pyi_text_safe(pyi_text(words[0]), name, sizeof(name));
        int failure = start_browser(words);
        if (!failure)
            return PYI_OK;
        code = failure > 0 ? pyi_error_os(err, failure, "cannot start the browser %s", name)
                           : pyi_error_set(err, PYI_E_OS, "the browser %s failed", name);
    }
    return code;
}
