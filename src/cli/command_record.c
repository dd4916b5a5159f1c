/* SPDX-License-Identifier: BSD-3-Clause */
/* Records a running process (--pid) or a program we start, then reports.
 *
 * Order: everything that can be refused is refused before anything is started or recorded; then
 * the recorder runs; then the report, the counts and warnings; last the exit status, which for a
 * program we started is the program's own, down to the signal that ended it. */
#include "src/cli/commands.h"
#include "src/base/error.h"
#include "src/base/text.h"
#include "src/cli/options/format_arguments.h"
#include "src/cli/interpreter.h"
#include "src/cli/notes.h"
#include "src/cli/outname.h"
#include "src/cli/progress.h"
#include "src/cli/report.h"
#include "src/cli/recording.h"
#include "src/cli/rolling.h"

#include <dirent.h>
#include <fcntl.h>
#include <pyinstrument/recorder.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- signals --------------------------------------------------------------------------------- */

/* A handler has no other way to reach its recording; there is one per process. */
volatile sig_atomic_t pyi_interrupts;
static struct pyi_recorder *volatile current;
static volatile sig_atomic_t child;

/* Attached: the first stops the recording, the second gives up the report as well, the third ends
 * us where we stand. */
static void on_stop(int signal_number)
{
    pyi_interrupts++;
    if (pyi_interrupts > 2)
        _exit(PYI_EXIT_INTERRUPTED);
    if (current)
        pyi_recorder_stop(current);
}

/* Attached: the report so far is wanted; the recorder's own thread makes it. */
static volatile sig_atomic_t interim;

static void on_interim(int signal_number)
{
    interim = 1;
}

/* Launched: the terminal has sent it to the program as well, which decides what comes of it. */
static void on_terminal(int signal_number)
{
}

/* Launched: meant for the program, as in a run without us. */
static void on_forward(int signal_number)
{
    if (child > 0)
        kill((pid_t)child, signal_number);
}

/* A signal that was ignored when we started stays ignored, for us and for the program. */
static void catch_signal(int number, void (*handler)(int), bool even_if_ignored)
{
    struct sigaction old, action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (!even_if_ignored && sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return;
    sigaction(number, &action, NULL);
}

static void catch_launched(void)
{
    catch_signal(SIGINT, on_terminal, false);
    catch_signal(SIGQUIT, on_terminal, false);
    catch_signal(SIGTERM, on_forward, false);
    catch_signal(SIGHUP, on_forward, false);
    catch_signal(SIGUSR1, on_forward, false);
    catch_signal(SIGUSR2, on_forward, false);
}

static void catch_attached(void)
{
    catch_signal(SIGINT, on_stop, true);
    catch_signal(SIGTERM, on_stop, true);
    catch_signal(SIGHUP, on_stop, false);
    catch_signal(SIGUSR1, on_interim, true);
    /* A reader that goes away must not take the recording with it. */
    catch_signal(SIGPIPE, SIG_IGN, true);
    /* Nor a file that may not grow: writing then fails, and what was recorded goes elsewhere. */
    catch_signal(SIGXFSZ, SIG_IGN, true);
}

/* Ends us as the program ended, so that who started us sees no difference. */
static int die_by(int number)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    fflush(NULL);
    signal(number, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
    return 128 + number;
}

static int status_of(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        return die_by(WTERMSIG(wait_status));
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : PYI_EXIT_FAILURE;
}

/* ---- callbacks of the recorder --------------------------------------------------------------- */

static void report_interim(struct pyi_recording *recording)
{
    struct pyi_session *session = NULL;
    struct pyi_error error = {0};
    pyi_progress_erase(&recording->progress);
    if (pyi_recorder_snapshot(recording->recorder, &session, &error)) {
        pyi_warning_print(recording->console, "no report so far: %s", error.message);
        return;
    }
    pyi_recording_name_outfile(recording, session);
    struct pyi_report report = recording->report;
    if (recording->several && report.outfile)
        report.outfile = NULL; /* its name waits for processes and times */
    pyi_report_interim(recording->console, &report, session);
    pyi_session_free(session);
}

/* One file of --loop is complete. What cannot be written is said, and the recording goes on. */
static void roll(struct pyi_recording *recording)
{
    struct pyi_session *session = NULL;
    struct pyi_error error = {0};
    struct pyi_tally tally;
    pyi_progress_erase(&recording->progress);
    pyi_recorder_tally(recording->recorder, &tally);
    if (pyi_recorder_roll(recording->recorder, &session, &error)) {
        pyi_warning_print(recording->console, "no new file: %s", error.message);
        return;
    }
    pyi_recording_name_outfile(recording, session);
    pyi_recording_add_tally(&recording->total, &tally);
    recording->rolled++;
    if (!pyi_report_write(recording->console, &recording->report, session))
        pyi_recording_count_outfile(recording);
    pyi_session_free(session);
}

static void on_progress(void *context, const struct pyi_tally *tally)
{
    struct pyi_recording *recording = context;
    if (interim && recording->recorder) {
        interim = 0;
        report_interim(recording);
    }
    pyi_progress_update(&recording->progress, tally);
    if (recording->loop > 0 && tally->elapsed >= recording->loop && recording->recorder)
        roll(recording);
}

static bool wants_domain(const char *list, const char *domain)
{
    struct pyi_text part;
    for (size_t i = 0; pyi_text_part(pyi_text(list), ',', i, &part); i++) {
        if (pyi_text_equal(part, pyi_text("all")) || pyi_text_equal(part, pyi_text(domain)))
            return true;
    }
    return false;
}

static void on_log(void *context, const char *domain, const char *line)
{
    struct pyi_recording *recording = context;
    const struct pyi_console *console = recording->console;
    if (!wants_domain(console->options->values[PYI_OPT_DEBUG], domain))
        return;
    pyi_progress_erase(&recording->progress);
    fprintf(console->stream, "pyinstrument: %s: %s\n", domain, line);
}

/* ---- set-up shared by both kinds ------------------------------------------------------------- */

enum pyi_c_labels pyi_command_c_labels(const struct pyi_options *given)
{
    const char *word = given->values[PYI_OPT_C_LABELS];
    if (word == NULL || strcmp(word, "compatible") == 0)
        return PYI_C_LABELS_COMPATIBLE;
    return strcmp(word, "extended") == 0 ? PYI_C_LABELS_EXTENDED : PYI_C_LABELS_NONE;
}

/* -g is another word for --mode=gil: the later one counts. */
static enum pyi_mode mode(const struct pyi_options *given)
{
    if (given->order[PYI_OPT_GIL] > given->order[PYI_OPT_MODE])
        return PYI_MODE_GIL;
    const char *word = given->values[PYI_OPT_MODE];
    for (size_t i = 0; word && i < sizeof(pyi_recording_modes) / sizeof(pyi_recording_modes[0]);
         i++)
        if (strcmp(word, pyi_recording_modes[i]) == 0)
            return (enum pyi_mode)i;
    return PYI_MODE_WALL;
}

/* A file of our own format is written as the recording goes. What is no ordinary file, or a link
 * to one, gets all of it at the end. */
static bool is_streamed(const struct pyi_report *report)
{
    struct stat info;
    return report->outfile && strcmp(report->renderer->name, "pyirec") == 0 &&
           (lstat(report->outfile, &info) != 0 || S_ISREG(info.st_mode));
}

static void set_up(struct pyi_recording *recording)
{
    const struct pyi_options *given = recording->console->options;
    struct pyi_recorder_options *options = &recording->options;
    pyi_recorder_options_init(options);
    options->interval = pyi_options_interval(given);
    if (pyi_options_given(given, PYI_OPT_DURATION))
        options->duration = given->numbers[PYI_OPT_DURATION];
    if (given->order[PYI_OPT_THREAD] > given->order[PYI_OPT_ALL_THREADS])
        options->thread = given->values[PYI_OPT_THREAD];
    if (pyi_options_given(given, PYI_OPT_WAIT))
        options->wait = given->numbers[PYI_OPT_WAIT];
    options->libpython = given->values[PYI_OPT_LIBPYTHON];
    options->assume_version = given->values[PYI_OPT_ASSUME_VERSION];
    options->c_labels = pyi_command_c_labels(given);
    options->mode = mode(given);
    options->waits = pyi_options_given(given, PYI_OPT_WAITS);
    options->no_gc = pyi_options_given(given, PYI_OPT_NO_GC);
    options->stop = pyi_options_given(given, PYI_OPT_NATIVE) ? PYI_STOP_NATIVE
                    : given->order[PYI_OPT_BLOCKING] > given->order[PYI_OPT_NONBLOCKING]
                        ? PYI_STOP_BLOCKING
                        : PYI_STOP_NEVER;
    options->aggregate = pyi_options_given(given, PYI_OPT_AGGREGATE);
    if (pyi_options_given(given, PYI_OPT_MAX_CPU))
        options->max_cpu = given->numbers[PYI_OPT_MAX_CPU] / 100;
    if (pyi_options_given(given, PYI_OPT_LOOP))
        recording->loop = given->numbers[PYI_OPT_LOOP];
    if (pyi_options_given(given, PYI_OPT_MAX_FILES))
        recording->rolling.most = (size_t)given->numbers[PYI_OPT_MAX_FILES];
    options->dump_image = given->values[PYI_OPT_DUMP_IMAGE];
    options->subprocesses = pyi_options_given(given, PYI_OPT_SUBPROCESSES);
    recording->several = options->subprocesses || given->pid_count > 1;
    /* Several processes become one session only at the end. */
    if (!options->aggregate && !recording->several && !(recording->loop > 0) &&
        is_streamed(&recording->report))
        options->pyirec = recording->report.outfile;
    options->context = recording;
    options->progress = on_progress;
    if (pyi_options_given(given, PYI_OPT_DEBUG))
        options->log = on_log;
    recording->terminal = isatty(STDERR_FILENO) == 1;
    const bool quiet = pyi_options_given(given, PYI_OPT_QUIET);
    const char *when = given->values[PYI_OPT_PROGRESS];
    pyi_progress_init(&recording->progress, recording->console->stream, recording->terminal,
                      recording->launched,
                      when    ? when
                      : quiet ? "never"
                              : NULL);
    recording->report.progress = recording->terminal && recording->progress.enabled;
    recording->report.recorded = true;
}

/* Options that do not go together; 0 or the exit status. */
static int check_long(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const char *outfile = options->values[PYI_OPT_OUTFILE];
    const bool loop = pyi_options_given(options, PYI_OPT_LOOP);
    if (pyi_options_given(options, PYI_OPT_MAX_FILES) && !loop)
        return pyi_usage_print(console, "--max-files goes with --loop");
    if (loop && !outfile)
        return pyi_usage_print(console, "--loop needs -o with %%t in the name, such as "
                                        "-o prof-%%p-%%t.pyisession");
    if (loop && (pyi_options_given(options, PYI_OPT_SUBPROCESSES) || options->pid_count > 1))
        return pyi_usage_print(console,
                               "--loop is of one process: it goes neither with -s nor with "
                               "several --pid");
    if (loop && pyi_rolling_problem(outfile))
        return pyi_usage_print(console, "--loop cannot make names of -o %s: %s", outfile,
                               pyi_rolling_problem(outfile));
    if (loop && options->numbers[PYI_OPT_LOOP] < 1)
        return pyi_usage_print(console, "--loop takes at least a second");
    if (pyi_options_given(options, PYI_OPT_AGGREGATE) &&
        pyi_options_given(options, PYI_OPT_TIMELINE))
        return pyi_usage_print(console, "--aggregate keeps no order of time for --timeline");
    return 0;
}

/* The headline: --target-description, else `standard` (NULL: left to the recorder). */
static int describe(struct pyi_recording *recording, struct pyi_text args, const char *standard)
{
    const char *template = recording->console->options->values[PYI_OPT_TARGET_DESCRIPTION];
    struct pyi_error error = {0};
    if (!template)
        template = standard;
    if (!template)
        return 0;
    if (!pyi_format_arguments(pyi_text(template), args, &recording->description, &error)) {
        recording->options.target_description = pyi_strbuf_get(&recording->description).data;
        return 0;
    }
    if (strcmp(error.slug, "usage") == 0)
        return pyi_usage_print(recording->console, "%s", error.message);
    return pyi_failure_print(recording->console, &error, "description-bad");
}

/* Returns 0 when there is something to report, else the exit status. What was recorded before a
 * failure is still worth its report. */
static int run_recorder(struct pyi_recording *recording)
{
    struct pyi_error error = {0};
    struct pyi_tally tally;
    recording->progress.pid = pyi_recorder_pid(recording->recorder);
    int code = pyi_recorder_run(recording->recorder, &error);
    pyi_progress_erase(&recording->progress);
    if (!code)
        return 0;
    int status = pyi_failure_print(recording->console, &error, NULL);
    pyi_recorder_tally(recording->recorder, &tally);
    return tally.samples > 0 ? 0 : status;
}

static void let_go(struct pyi_recording *recording)
{
    current = NULL;
    pyi_recorder_free(recording->recorder);
    pyi_report_deinit(&recording->report);
    pyi_strbuf_deinit(&recording->description);
    pyi_strbuf_deinit(&recording->outfile);
    pyi_rolling_deinit(&recording->rolling);
}

/* Each process needs some descriptors. The program must not inherit this. */
static void allow_files(const struct pyi_recording *recording)
{
    struct rlimit files;
    if (!recording->several || getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* ---- --pid ----------------------------------------------------------------------------------- */

/* The command line of a process, for {args}; empty when it cannot be read. */
static void read_command(pid_t pid, struct pyi_strbuf *out)
{
    char path[40], words[4096];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, words, sizeof(words)) : -1;
    while (length > 0 && words[length - 1] == '\0')
        length--;
    for (ssize_t i = 0; i < length; i++) {
        if (words[i] == '\0')
            words[i] = ' ';
    }
    if (length > 0)
        pyi_strbuf_os_bytes(out, words, (size_t)length);
}

/* Whatever can be refused is refused before anything is recorded. One of several may have ended
 * meanwhile. */
static int open_all(struct pyi_recording *recording, const pid_t *pids, size_t count)
{
    const struct pyi_console *console = recording->console;
    struct pyi_error error = {0};
    for (size_t i = 0; i < count; i++) {
        int code = recording->recorder ? pyi_recorder_add(recording->recorder, pids[i], &error)
                                       : pyi_recorder_attach(pids[i], &recording->options,
                                                             &recording->recorder, &error);
        if (code == PYI_E_GONE && count > 1)
            pyi_warning_print(console, "%s; it is left out", error.message);
        else if (code)
            return pyi_failure_print(console, &error, NULL);
    }
    return recording->recorder ? 0 : pyi_failure_print(console, &error, NULL);
}

static int attach(struct pyi_recording *recording)
{
    const struct pyi_console *console = recording->console;
    const struct pyi_options *options = console->options;
    const pid_t pid = options->pids[0];
    struct pyi_strbuf command = {0};
    read_command(pid, &command);
    int status = describe(recording, pyi_strbuf_get(&command), NULL);
    pyi_strbuf_deinit(&command);
    if (status)
        return status;
    allow_files(recording);
    status = open_all(recording, options->pids, options->pid_count);
    if (status)
        return status;
    current = recording->recorder;
    pyi_oom_watch(&recording->memory, "/proc", "/sys/fs/cgroup", pid);
    catch_attached();
    status = run_recorder(recording);
    if (!status)
        status = pyi_recording_conclude(recording);
    return status == PYI_EXIT_PIPE ? die_by(SIGPIPE) : status;
}

int pyi_command_attach(const struct pyi_console *console)
{
    struct pyi_recording recording = {.console = console};
    int status = check_long(console);
    if (!status)
        status = pyi_report_prepare(console, &recording.report);
    if (!status) {
        set_up(&recording);
        status = attach(&recording);
    }
    let_go(&recording);
    return status;
}

/* ---- launching ------------------------------------------------------------------------------- */

/* A name in the same folder that was probably meant. */
static void suggest_script(const struct pyi_console *console, const char *script)
{
    const char *slash = strrchr(script, '/');
    const char *name = slash ? slash + 1 : script;
    struct pyi_strbuf folder = {0};
    pyi_strbuf_append(&folder, script, (size_t)(name - script));
    DIR *entries = opendir(folder.length ? folder.data : ".");
    size_t best = 3;
    char found[256] = "";
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        size_t far = pyi_word_distance(name, entry->d_name, 2);
        if (far < best && entry->d_name[0] != '.') {
            best = far;
            snprintf(found, sizeof(found), "%s", entry->d_name);
        }
    }
    if (entries)
        closedir(entries);
    if (found[0]) {
        char safe[300];
        pyi_strbuf_string(&folder, found);
        fprintf(console->stream, "  note: did you mean %s?\n",
                pyi_text_safe(pyi_strbuf_get(&folder), safe, sizeof(safe)));
    }
    pyi_strbuf_deinit(&folder);
}

/* Finds the script; upstream's words, known to scripts, when it is not there. */
static int find_script(const struct pyi_console *console, struct pyi_strbuf *path)
{
    const struct pyi_options *options = console->options;
    const bool from_path = pyi_options_given(options, PYI_OPT_FROM_PATH);
    const char *script = options->program[0];
    struct stat info;
    if (from_path && pyi_path_search(script, path))
        return 0;
    if (!from_path && stat(script, &info) == 0) {
        pyi_strbuf_string(path, script);
        return 0;
    }
    if (pyi_options_given(options, PYI_OPT_JSON_ERRORS))
        return pyi_failure_say(console, "script-missing", "program %s not found%s!", script,
                               from_path ? " in PATH" : "");
    fprintf(console->stream, "Error: program %s not found%s!\n", script,
            from_path ? " in PATH" : "");
    if (!from_path)
        suggest_script(console, script);
    return PYI_EXIT_FAILURE;
}

/* Waits until the program has ended, at most `seconds`. It stays to be collected. */
static void wait_a_while(pid_t pid, double seconds)
{
    const struct timespec pause = {0, 2000000};
    for (int i = 0; i < (int)(seconds / 0.002); i++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
            return;
        nanosleep(&pause, NULL);
    }
}

/* The program's own output comes first. Into a pipe or file Python writes it when it ends, and
 * also a traceback follows the end of the main module: so the report waits for the end of the
 * process, unless other threads keep it alive, or it was to be watched for a while only. */
static void let_program_finish(const struct pyi_recording *recording)
{
    if (pyi_recorder_end(recording->recorder, NULL) == PYI_END_DURATION)
        return;
    const bool shares_output = !recording->report.outfile && isatty(STDOUT_FILENO) != 1;
    wait_a_while(pyi_recorder_pid(recording->recorder), shares_output ? 10.0 : 0.5);
}

static int collect(struct pyi_recording *recording, int ours)
{
    int wait_status = 0;
    struct pyi_error error = {0};
    if (pyi_recorder_wait(recording->recorder, &wait_status, &error))
        return pyi_failure_print(recording->console, &error, NULL);
    const int theirs = status_of(wait_status);
    const bool failed = ours != 0 && ours != PYI_EXIT_NOTHING && ours != PYI_EXIT_PIPE;
    return theirs == 0 && failed ? PYI_EXIT_FAILURE : theirs;
}

static int launch(struct pyi_recording *recording, const struct pyi_program *program)
{
    const struct pyi_console *console = recording->console;
    struct pyi_error error = {0};
    catch_launched();
    if (pyi_recorder_launch(program->argv, program->argument, &recording->options,
                            &recording->recorder, &error))
        return pyi_failure_print(console, &error, NULL);
    child = (sig_atomic_t)pyi_recorder_pid(recording->recorder);
    allow_files(recording);
    /* After the start, because the program inherits what is ignored. */
    catch_signal(SIGPIPE, SIG_IGN, true);
    catch_signal(SIGXFSZ, SIG_IGN, true);
    pyi_oom_watch(&recording->memory, "/proc", "/sys/fs/cgroup", (pid_t)child);
    int ours = run_recorder(recording);
    if (!ours) {
        let_program_finish(recording);
        /* A ^C from here on means us. */
        catch_signal(SIGINT, SIG_DFL, false);
        ours = pyi_recording_conclude(recording);
        catch_signal(SIGINT, on_terminal, false);
    }
    return collect(recording, ours);
}

int pyi_command_launch(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const bool is_script =
        !pyi_options_given(options, PYI_OPT_MODULE) && !pyi_options_given(options, PYI_OPT_CODE);
    struct pyi_recording recording = {.console = console, .launched = true};
    struct pyi_program program = {0};
    struct pyi_strbuf script = {0};
    struct pyi_error error = {0};
    int status = check_long(console);
    if (!status)
        status = pyi_report_prepare(console, &recording.report);
    if (!status && is_script)
        status = find_script(console, &script);
    if (!status) {
        set_up(&recording);
        if (pyi_program_build(options, is_script ? script.data : NULL, &program, &error))
            status = pyi_failure_print(console, &error, NULL);
    }
    if (!status)
        status = describe(&recording, pyi_strbuf_get(&program.words), "Program: {args}");
    if (!status)
        status = launch(&recording, &program);
    pyi_program_deinit(&program);
    pyi_strbuf_deinit(&script);
    let_go(&recording);
    return status;
}
