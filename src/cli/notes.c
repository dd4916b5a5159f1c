/* SPDX-License-Identifier: BSD-3-Clause */
/* Words about a recording: how it ended, its counts, and what went less well than asked for. Also
 * whether the kernel was out of memory meanwhile, which it counts per control group.
 *
 * Numbers come from the tally alone; every warning names the remedy. */
#include "src/cli/notes.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include "src/base/output.h"
#include "src/base/text.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>

static const double worth_a_word = 0.01;
static const double alarming = 0.2;
static const double mostly = 0.5;
enum { FEW = 20, MISSED_WORTH_A_WORD = 20, BRIEF = 5 /* intervals */ };

double pyi_interval_above(double interval)
{
    static const double steps[] = {1, 2, 5, 10};
    double decade = pow(10, floor(log10(interval)));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i] * decade > interval * 1.0001)
            return steps[i] * decade;
    }
    return 20 * decade;
}

static double effective(double interval)
{
    return interval > 0 ? interval : 0.001;
}

static double share(uint64_t part, uint64_t rest)
{
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}

/* ---- end and counts -------------------------------------------------------------------------- */

static void print_end(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    const int pid = (int)recorded->pid;
    const double after = recorded->tally.elapsed;
    if (recorded->tally.processes > 1 &&
        (recorded->end == PYI_END_EXIT || recorded->end == PYI_END_SIGNAL)) {
        pyi_note_print(console, "the last of %zu processes ended after %.1f s",
                       recorded->tally.processes, after);
        return;
    }
    switch (recorded->end) {
    case PYI_END_EXIT:
        if (recorded->detail >= 0)
            pyi_note_print(console, "process %d ended after %.1f s (exit %d)", pid, after,
                           recorded->detail);
        else
            /* Its parent was faster to collect it: how it ended nobody else can learn. */
            pyi_note_print(console, "process %d ended after %.1f s%s", pid, after,
                           recorded->out_of_memory ? " (out of memory killer?)" : "");
        break;
    case PYI_END_SIGNAL: {
        const char *name = recorded->detail > 0 ? sigabbrev_np(recorded->detail) : NULL;
        const bool memory = recorded->detail == SIGKILL && recorded->out_of_memory;
        pyi_note_print(console, "process %d was killed by %s%s after %.1f s%s", pid,
                       name ? "SIG" : "a signal", name ? name : "", after,
                       memory ? " (out of memory killer?)" : "");
        break;
    }
    case PYI_END_EXEC: {
        char safe[512];
        pyi_note_print(console, "process %d became %s after %.1f s; stopped sampling", pid,
                       recorded->became.length ? pyi_text_safe(recorded->became, safe, sizeof(safe))
                                               : "another program",
                       after);
        break;
    }
    case PYI_END_NONE:
    case PYI_END_DURATION:
    case PYI_END_STOPPED:
        break;
    }
}

void pyi_notes_print(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    const struct pyi_tally *tally = &recorded->tally;
    if (pyi_options_given(console->options, PYI_OPT_QUIET))
        return;
    /* A program's own death its user sees; that memory was short he does not. */
    if (!recorded->launched || (recorded->end == PYI_END_SIGNAL && recorded->out_of_memory))
        print_end(console, recorded);
    /* Upstream says nothing after a program it started: neither do we, as long as all is well
     * and nobody is looking. */
    const bool asked = recorded->terminal || pyi_options_given(console->options, PYI_OPT_VERBOSE);
    const bool flawed = tally->lost > 0 || tally->truncated > 0 || tally->unobserved > 0;
    const bool stopped = tally->stops > 0; /* promised otherwise */
    if (recorded->launched && !asked && !stopped && (!flawed || tally->samples == 0))
        return;
    struct pyi_strbuf line = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&line);
    if (pyi_tally_format(tally, &sink, NULL) == PYI_OK)
        fprintf(console->stream, "%s\n", pyi_strbuf_get(&line).data);
    pyi_strbuf_deinit(&line);
}

/* ---- warnings -------------------------------------------------------------------------------- */

static void warn_nothing(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    const struct pyi_tally *tally = &recorded->tally;
    const double interval = effective(recorded->interval);
    char ran[32], asked[32];
    /* What was looked at while it ended has failed for that reason. */
    const bool brief = recorded->launched && tally->elapsed < BRIEF * interval;
    if (tally->lost > 0 && !brief)
        pyi_warning_print(console, "no samples: %" PRIu64 " %s failed", tally->lost,
                          tally->lost == 1 ? "read of a stack" : "reads of stacks");
    else if (pyi_options_given(console->options, PYI_OPT_THREAD))
        pyi_warning_print(console, "no samples: no thread fits --thread %s",
                          console->options->values[PYI_OPT_THREAD]);
    else if (recorded->mode && tally->ticks > 0)
        pyi_warning_print(console, "no samples: in %s there were none that --mode=%s keeps",
                          pyi_number_seconds(tally->elapsed, ran), recorded->mode);
    else if (tally->elapsed < interval)
        pyi_warning_print(console,
                          "no samples: the program ran for %s, less than one interval (%s); "
                          "try -i %g",
                          pyi_number_seconds(tally->elapsed, ran),
                          pyi_number_seconds(interval, asked), interval / 10);
    else if (recorded->launched)
        pyi_warning_print(console,
                          "no samples: the program was over before the first one, after %s",
                          pyi_number_seconds(tally->elapsed, ran));
    else
        pyi_warning_print(console, "no samples: no Python code was running in %s",
                          pyi_number_seconds(tally->elapsed, ran));
}

static void warn_few(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    /* A script that is over in no time is no news to who started it. */
    if (recorded->launched && !recorded->terminal &&
        !pyi_options_given(console->options, PYI_OPT_VERBOSE))
        return;
    const double finer = effective(recorded->interval) / 10;
    pyi_warning_print(console,
                      "only %" PRIu64 " samples, too few for shares to mean much; try %s%g",
                      recorded->tally.samples, finer >= 1e-5 ? "-i " : "a longer run than ",
                      finer >= 1e-5 ? finer : recorded->tally.elapsed);
}

static void warn_missed(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    const struct pyi_tally *tally = &recorded->tally;
    const double interval = effective(recorded->interval);
    const double missed = share(tally->missed, tally->ticks);
    char asked[32];
    /* Upstream's user has not asked for such a word after each run on a busy machine. */
    const bool asked_for = !recorded->launched || recorded->terminal ||
                           pyi_options_given(console->options, PYI_OPT_VERBOSE);
    if (tally->slowest > 0)
        return; /* fewer were asked for than the interval says */
    if (missed <= (asked_for ? worth_a_word : alarming) || tally->missed < MISSED_WORTH_A_WORD)
        return;
    /* Who was late: we, busy reading, or the scheduler, because others were running? */
    const bool our_work = tally->profiler_cpu > mostly * tally->elapsed;
    char reason[80] = "other work kept the machine busy";
    if (our_work)
        snprintf(reason, sizeof(reason), "an interval of %s is too short here",
                 pyi_number_seconds(interval, asked));
    const char *calmer = our_work ? "" : ", or again when the machine is less busy";
    if (missed > alarming && tally->elapsed > 0)
        pyi_warning_print(console,
                          "sampling lagged: %.0f of %.0f samples/s reached, %s; try -i %g%s%s",
                          (double)tally->ticks / tally->elapsed, 1 / interval, reason,
                          pyi_interval_above(interval / (1 - missed)),
                          our_work && tally->threads > 1 ? " or --thread" : "", calmer);
    else
        pyi_warning_print(console, "%.1f %% of samples missed: %s; try -i %g%s", 100 * missed,
                          reason, pyi_interval_above(interval), calmer);
}

static void warn_unread(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    const struct pyi_tally *tally = &recorded->tally;
    const double lost = share(tally->lost, tally->samples);
    if (lost > alarming)
        pyi_warning_print(console,
                          "%.0f %% of stacks could not be read (the process changes them too "
                          "fast); try -i %g, or --thread for fewer at a time",
                          100 * lost, pyi_interval_above(effective(recorded->interval)));
    else if (lost > worth_a_word)
        pyi_warning_print(console, "%.1f %% of stacks could not be read", 100 * lost);
    const double cut = tally->samples ? (double)tally->truncated / (double)tally->samples : 0;
    if (cut > worth_a_word)
        pyi_warning_print(console, "%.1f %% of stacks are truncated: part of them was not certain",
                          100 * cut);
}

void pyi_warnings_print(const struct pyi_console *console, const struct pyi_recorded *recorded)
{
    if (recorded->tally.samples == 0) {
        warn_nothing(console, recorded);
        return;
    }
    if (recorded->tally.samples < FEW)
        warn_few(console, recorded);
    warn_missed(console, recorded);
    warn_unread(console, recorded);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* Path of the control group from a line of /proc/PID/cgroup, NULL when the line is of another
 * hierarchy: "4:memory:/path" of the old kind, "0::/path" of the new one. */
static const char *group_path(char *line, bool old)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return NULL;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    struct pyi_text part;
    for (size_t i = 0; pyi_text_part(pyi_text(controllers + 1), ',', i, &part); i++) {
        if (pyi_text_equal(part, pyi_text(old ? "memory" : "")))
            return path;
    }
    return NULL;
}

/* The number behind "oom_kill" in a counter's file, -1 when there is none. */
static long long read_kills(const char *path)
{
    PYI_CLEANUP(pyi_cleanup_fclose) FILE *file = fopen(path, "re");
    char line[128];
    long long kills = -1;
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "oom_kill %lld", &kills) == 1)
            break;
    }
    return kills;
}

void pyi_oom_watch(struct pyi_oom_watch *watch, const char *proc, const char *cgroup, pid_t pid)
{
    *watch = (struct pyi_oom_watch){.kills = -1};
    for (int old = 1; old >= 0 && watch->kills < 0; old--) {
        char path[80], line[400];
        snprintf(path, sizeof(path), "%s/%d/cgroup", proc, (int)pid);
        PYI_CLEANUP(pyi_cleanup_fclose) FILE *file = fopen(path, "re");
        while (file && watch->kills < 0 && fgets(line, sizeof(line), file)) {
            const char *group = group_path(line, old);
            if (!group)
                continue;
            snprintf(watch->counter, sizeof(watch->counter),
                     old ? "%s/memory%s/memory.oom_control" : "%s%s/memory.events", cgroup, group);
            watch->kills = read_kills(watch->counter);
        }
    }
}

bool pyi_oom_rose(const struct pyi_oom_watch *watch)
{
    return watch->kills >= 0 && read_kills(watch->counter) > watch->kills;
}
