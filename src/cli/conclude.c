/* SPDX-License-Identifier: BSD-3-Clause */
/* conclude.c - the end of a recording: its reports under their names, what is said about it.
 *
 * In: a recorder that has ended. Out: files, the store, the last line, warnings, an exit status. */
#include "src/cli/recording.h"

#include "src/cli/commands.h"
#include "src/base/error.h"
#include "src/base/text.h"
#include "src/cli/options/format_arguments.h"
#include "src/cli/interpreter.h"
#include "src/cli/notes.h"
#include "src/cli/outname.h"
#include "src/cli/progress.h"
#include "src/cli/report.h"
#include "src/cli/rolling.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const pyi_recording_modes[] = {[PYI_MODE_WALL] = "wall",
                                           [PYI_MODE_CPU] = "cpu",
                                           [PYI_MODE_GIL] = "gil",
                                           [PYI_MODE_EXCEPTION] = "exception"};

/* The name of the outfile is made of its pattern, for a session of this recording. */
void pyi_recording_name_outfile(struct pyi_recording *recording, const struct pyi_session *session)
{
    const char *pattern = recording->console->options->values[PYI_OPT_OUTFILE];
    if (!(recording->loop > 0))
        return;
    pyi_strbuf_reset(&recording->outfile);
    pyi_rolling_name(&recording->outfile, pattern, pyi_recorder_pid(recording->recorder),
                     pyi_session_number(session, PYI_SESSION_START_TIME).value);
    if (!recording->outfile.failed)
        recording->report.outfile = pyi_strbuf_get(&recording->outfile).data;
}

/* A file of --loop was written. */
void pyi_recording_count_outfile(struct pyi_recording *recording)
{
    struct pyi_error error = {0};
    if (recording->loop > 0 &&
        pyi_rolling_made(&recording->rolling, recording->report.outfile, &error))
        pyi_warning_print(recording->console, "%s", error.message);
}

/* The last line is about all files. */
void pyi_recording_add_tally(struct pyi_tally *sum, const struct pyi_tally *tally)
{
    sum->elapsed += tally->elapsed;
    sum->ticks += tally->ticks;
    sum->samples += tally->samples;
    sum->verified += tally->verified;
    sum->retried += tally->retried;
    sum->truncated += tally->truncated;
    sum->lost += tally->lost;
    sum->missed += tally->missed;
    sum->unobserved += tally->unobserved;
    sum->profiler_cpu += tally->profiler_cpu;
    sum->stops += tally->stops;
    sum->stopped += tally->stopped;
    if (tally->slowest > sum->slowest)
        sum->slowest = tally->slowest;
}

/* ---- the end shared by both kinds ------------------------------------------------------------ */

static struct pyi_recorded facts(const struct pyi_recording *recording)
{
    struct pyi_recorded out = {
        .interval = recording->options.interval,
        .mode = recording->options.mode == PYI_MODE_WALL
                    ? NULL
                    : pyi_recording_modes[recording->options.mode],
        .pid = pyi_recorder_pid(recording->recorder),
        .launched = recording->launched,
        .terminal = recording->terminal,
    };
    pyi_recorder_tally(recording->recorder, &out.tally);
    struct pyi_tally total = recording->total;
    pyi_recording_add_tally(&total, &out.tally);
    total.verifying = out.tally.verifying;
    total.threads = out.tally.threads;
    if (recording->rolled)
        out.tally = total;
    out.end = pyi_recorder_end(recording->recorder, &out.detail);
    out.became = pyi_recorder_became(recording->recorder);
    out.out_of_memory = pyi_oom_rose(&recording->memory);
    return out;
}

/* What -v adds: which interpreter it was and how it was found. */
static void print_details(const struct pyi_console *console, const struct pyi_session *session)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    for (size_t i = 0; attach && i < attach->process_count; i++) {
        const struct pyi_attach_process *process = &attach->processes[i];
        char command[200];
        pyi_note_print(console, "pid %d: %s; Python %s (%s), found in %s", (int)process->pid,
                       pyi_text_safe(process->command, command, sizeof(command)),
                       process->python.data, process->build.data, process->runtime.data);
    }
    for (size_t i = 0; attach && i < attach->note_count; i++)
        pyi_note_print(console, "%s", attach->notes[i].data);
}

static void print_outfile(const struct pyi_recording *recording, const struct pyi_tally *tally)
{
    const char *path = recording->report.outfile;
    struct stat info;
    if (!path || recording->launched || !recording->terminal ||
        pyi_options_given(recording->console->options, PYI_OPT_QUIET) || stat(path, &info) != 0)
        return;
    char safe[300], counts[120];
    pyi_progress_counts(tally, counts, sizeof(counts));
    fprintf(recording->console->stream, "%s  %.0f KB  (%s)\n",
            pyi_text_safe(pyi_text(path), safe, sizeof(safe)), (double)info.st_size / 1000, counts);
}

/* Asked twice to stop: no report, but nothing is lost either. */
static int keep(const struct pyi_console *console, struct pyi_session *session)
{
    char id[32];
    if (pyi_store_save(session, id, NULL) == PYI_OK)
        pyi_note_print(console, "no report; the recording is kept: pyinstrument --load-prev %s",
                       id);
    pyi_session_free(session);
    return PYI_EXIT_INTERRUPTED;
}

/* One report, into the file of its process if there is one for each. */
static int write_report(struct pyi_recording *recording, struct pyi_session *session)
{
    const char *pattern = recording->console->options->values[PYI_OPT_OUTFILE];
    const struct pyi_attach *attach = pyi_session_attach(session);
    const pid_t pid = attach && attach->process_count ? (pid_t)attach->processes[0].pid
                                                      : pyi_recorder_pid(recording->recorder);
    if (recording->several && recording->report.outfile) {
        pyi_strbuf_reset(&recording->outfile);
        pyi_outname_expand(pattern, pid, pyi_session_number(session, PYI_SESSION_START_TIME).value,
                           &recording->outfile);
        recording->report.outfile = pyi_strbuf_get(&recording->outfile).data;
    }
    pyi_recording_name_outfile(recording, session);
    return recording->options.pyirec
               ? pyi_report_streamed(recording->console, &recording->report, session,
                                     recording->recorder)
               : pyi_report_write(recording->console, &recording->report, session);
}

static int take_sessions(struct pyi_recording *recording, bool by_process,
                         struct pyi_session ***out, size_t *count, struct pyi_error *err)
{
    if (by_process)
        return pyi_recorder_take_sessions(recording->recorder, out, count, err);
    struct pyi_session **list = calloc(1, sizeof(struct pyi_session *));
    int code =
        list ? pyi_recorder_take_session(recording->recorder, list, err) : pyi_error_nomem(err);
    if (code) {
        free(list);
        return code;
    }
    *out = list;
    *count = 1;
    return 0;
}

static void free_sessions(struct pyi_session **sessions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pyi_session_free(sessions[i]);
    free(sessions);
}

/* Reports, counts, warnings. Returns our part of the exit status. */
int pyi_recording_conclude(struct pyi_recording *recording)
{
    const struct pyi_console *console = recording->console;
    const char *outfile = recording->report.outfile;
    struct pyi_session **sessions = NULL;
    size_t count = 0;
    struct pyi_error error = {0};
    const struct pyi_recorded recorded = facts(recording);
    const bool given_up = !recording->launched && pyi_interrupts > 1;
    const bool by_process = recording->several && outfile && pyi_outname_by_process(outfile);
    if (take_sessions(recording, by_process && !given_up, &sessions, &count, &error))
        return pyi_failure_print(console, &error, NULL);
    int status = given_up ? PYI_EXIT_INTERRUPTED : 0;
    recording->report.interrupts = recording->launched ? NULL : &pyi_interrupts;
    for (size_t i = 0; i < count && !status; i++) {
        status = write_report(recording, sessions[i]);
        if (!status)
            pyi_recording_count_outfile(recording);
        if (!status)
            print_outfile(recording, &recorded.tally);
    }
    if (status == PYI_EXIT_INTERRUPTED) {
        status = keep(console, sessions[0]);
        sessions[0] = NULL;
        free_sessions(sessions, count);
        return status;
    }
    pyi_notes_print(console, &recorded);
    for (size_t i = 0; i < count && pyi_options_given(console->options, PYI_OPT_VERBOSE); i++)
        print_details(console, sessions[i]);
    pyi_warnings_print(console, &recorded);
    free_sessions(sessions, count);
    if (!status && recorded.tally.samples == 0 && !recording->rolled)
        status = PYI_EXIT_NOTHING;
    return status;
}
