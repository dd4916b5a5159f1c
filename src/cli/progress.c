/* SPDX-License-Identifier: BSD-3-Clause */
/* Progress of a recording: elapsed time, samples, share missed, memory; and of a long report.
 *
 * The recorder calls at most four times a second; this file decides whether and how the state is
 * shown. It never appears in a file unless asked for, and is gone before anything else prints. */
#include "src/cli/progress.h"
#include "src/base/text.h"
#include "src/cli/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 18 };
static const double launched_silence = 5.0;
static const double line_every = 10.0;

void pyi_progress_init(struct pyi_progress *progress, FILE *stream, bool terminal, bool launched,
                       const char *when)
{
    const bool always = when && strcmp(when, "always") == 0;
    const bool never = when && strcmp(when, "never") == 0;
    *progress = (struct pyi_progress){
        .stream = stream,
        .terminal = terminal,
        .enabled = always || (!never && terminal && !launched),
        .from = launched ? launched_silence : 0,
    };
}

/* 186842 as "186 842" */
static void grouped(uint64_t value, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    int used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[used++] = ' ';
        out[used++] = digits[i];
    }
    out[used] = '\0';
}

static void clock_text(double seconds, char out[24])
{
    long whole = seconds > 0 ? (long)seconds : 0;
    if (whole >= 3600)
        snprintf(out, 24, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(out, 24, "%ld:%02ld", whole / 60, whole % 60);
}

/* " / 1:00  [####....]", blanks of the same width when there is no limit; without the bar " / 1:00"
 * and nothing. */
static void limit_text(const struct pyi_tally *tally, bool with_bar, char *out, size_t size)
{
    char limit[24], bar[BAR + 1];
    if (tally->limit <= 0) {
        snprintf(out, size, "%*s", with_bar ? BAR + 10 : 0, "");
        return;
    }
    clock_text(tally->limit, limit);
    if (!with_bar) {
        snprintf(out, size, " / %s", limit);
        return;
    }
    double share = tally->elapsed / tally->limit;
    int full = share <= 0 ? 0 : share >= 1 ? BAR : (int)(share * BAR);
    memset(bar, '#', (size_t)full);
    memset(bar + full, '.', (size_t)(BAR - full));
    bar[BAR] = '\0';
    snprintf(out, size, " / %-5s [%s]", limit, bar);
}

static double missed_share(const struct pyi_tally *tally)
{
    uint64_t due = tally->ticks + tally->missed;
    return due > 0 ? 100.0 * (double)tally->missed / (double)due : 0;
}

void pyi_progress_counts(const struct pyi_tally *tally, char *out, size_t size)
{
    char elapsed[24], samples[32];
    clock_text(tally->elapsed, elapsed);
    grouped(tally->samples, samples);
    snprintf(out, size, "%s samples, %s, %.1f %% missed", samples, elapsed, missed_share(tally));
}

void pyi_progress_format(pid_t pid, const struct pyi_tally *tally, int width, char *out,
                         size_t size)
{
    char elapsed[24], limit[64], samples[32], memory[32], who[40];
    clock_text(tally->elapsed, elapsed);
    grouped(tally->samples, samples);
    if (tally->processes > 1)
        snprintf(who, sizeof(who), "%zu processes", tally->processes);
    else
        snprintf(who, sizeof(who), "pid %d", (int)pid);
    /* On a narrow terminal the bar goes first, then the memory, last how to stop. */
    for (int left_out = 0; left_out < 4; left_out++) {
        limit_text(tally, left_out == 0, limit, sizeof(limit));
        snprintf(memory, sizeof(memory), "  %.1f MB", (double)tally->memory / 1e6);
        snprintf(out, size, "recording %s  %5s%s  %s samples  %.1f %% missed%s%s", who, elapsed,
                 limit, samples, missed_share(tally), left_out < 2 ? memory : "",
                 left_out < 3 ? "   Ctrl-C to stop" : "");
        if (width <= 0 || strlen(out) <= (size_t)width)
            return;
    }
    out[width] = '\0';
}

static void draw(struct pyi_progress *progress, const struct pyi_tally *tally)
{
    char line[240];
    /* The last column stays free: some terminals wrap when it is written. */
    int width =
        progress->width > 0 ? progress->width : pyi_terminal_width(fileno(progress->stream)) - 1;
    pyi_progress_format(progress->pid, tally, width, line, sizeof(line));
    fprintf(progress->stream, "\r%s\x1b[K", line);
    fflush(progress->stream);
    progress->drawn = true;
}

void pyi_progress_update(struct pyi_progress *progress, const struct pyi_tally *tally)
{
    if (!progress->enabled || tally->elapsed < progress->from)
        return;
    if (progress->terminal) {
        draw(progress, tally);
        return;
    }
    if (tally->elapsed - progress->written < line_every)
        return;
    char line[240];
    pyi_progress_format(progress->pid, tally, 0, line, sizeof(line));
    fprintf(progress->stream, "%s\n", line);
    fflush(progress->stream);
    progress->written = tally->elapsed;
}

void pyi_progress_erase(struct pyi_progress *progress)
{
    if (!progress->drawn)
        return;
    fputs("\r\x1b[K", progress->stream);
    fflush(progress->stream);
    progress->drawn = false;
}

/* ---- writing a report ------------------------------------------------------------------------ */

/* Before the first byte a large report takes its time too, inside the library: so an alarm shows
 * the line first. It is the only timer, and there is one report at a time. */
static struct {
    bool enabled;
    volatile sig_atomic_t drawn;
    char line[160]; /* "\rwriting FILE" */
    size_t length, bytes;
    double shown; /* time of the last redraw */
    struct sigaction old;
} writing;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void on_alarm(int signal_number)
{
    int failure = errno;
    (void)!write(STDERR_FILENO, writing.line, writing.length);
    writing.drawn = 1;
    errno = failure;
}

void pyi_writing_begin(bool enabled, const char *file)
{
    writing.enabled = enabled;
    writing.drawn = 0;
    writing.bytes = 0;
    writing.shown = 0;
    if (!enabled)
        return;
    char safe[120];
    pyi_text_safe(pyi_text(file), safe, sizeof(safe));
    writing.length = (size_t)snprintf(writing.line, sizeof(writing.line), "\rwriting %s", safe);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, &writing.old);
    const struct itimerval second = {.it_value = {.tv_sec = 1}};
    setitimer(ITIMER_REAL, &second, NULL);
}

void pyi_writing_advance(size_t bytes)
{
    writing.bytes += bytes;
    if (!writing.drawn || now() - writing.shown < 0.25)
        return;
    writing.shown = now();
    fprintf(stderr, "%s  %.1f MB\x1b[K", writing.line, (double)writing.bytes / 1e6);
    fflush(stderr);
}

void pyi_writing_end(void)
{
    if (!writing.enabled)
        return;
    const struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &writing.old, NULL);
    if (writing.drawn)
        fputs("\r\x1b[K", stderr);
    fflush(stderr);
    writing.enabled = false;
}
