/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launch.c - a program as our child.
 *
 * The child is as a shell would have started it: streams, directory, environment, process group,
 * signal mask and dispositions are ours, untouched, so ^C of the terminal reaches it and means
 * to it what it means in a plain run. Descriptors of ours are close-on-exec. Knows nothing of
 * sampling.
 */
#include "src/record/launch.h"

#include "src/base/error.h"
#include "src/record/frames.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static ssize_t read_all(int fd, void *into, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, into, size);
        if (got >= 0 || errno != EINTR)
            return got;
    }
}

static _Noreturn void become(char *const argv[], int report)
{
    execvp(argv[0], argv);
    int failure = errno;
    ssize_t written = write(report, &failure, sizeof(failure));
    (void)written;
    _exit(127);
}

int pyi_child_start(struct pyi_child *child, char *const argv[], struct pyi_error *err)
{
    if (!argv || !argv[0] || !argv[0][0])
        return pyi_error_set(err, PYI_E_INVALID, "no program to start");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return pyi_error_os(err, errno, "pipe");
    pid_t pid = fork();
    if (pid < 0) {
        int failure = errno;
        close(ends[0]);
        close(ends[1]);
        return pyi_error_os(err, failure, "fork");
    }
    if (pid == 0)
        become(argv, ends[1]);
    close(ends[1]);
    /* End of file: the pipe was closed by a successful exec, so the new image is in place. */
    int failure = 0;
    ssize_t got = read_all(ends[0], &failure, sizeof(failure));
    close(ends[0]);
    if (got == (ssize_t)sizeof(failure)) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        char name[256];
        int code = pyi_error_set(err, PYI_E_OS, "cannot run %s: %s",
                                 pyi_text_safe(pyi_text(argv[0]), name, sizeof(name)),
                                 failure == ENOENT && !strchr(argv[0], '/') ? "not found in PATH"
                                                                            : strerror(failure));
        pyi_error_slug(err, "script-exec");
        if (err)
            err->os_errno = failure;
        return code;
    }
    *child = (struct pyi_child){.pid = pid};
    return 0;
}

bool pyi_child_ended(const struct pyi_child *child, int *status)
{
    if (child->collected) {
        *status = child->status;
        return true;
    }
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != child->pid)
        return false;
    if (info.si_code == CLD_EXITED)
        *status = (info.si_status & 0xff) << 8;
    else
        *status = (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return true;
}

int pyi_child_wait(struct pyi_child *child, int *status, struct pyi_error *err)
{
    while (!child->collected) {
        if (waitpid(child->pid, &child->status, 0) == child->pid)
            child->collected = true;
        else if (errno != EINTR)
            return pyi_error_os(err, errno, "waiting for process %d", (int)child->pid);
    }
    *status = child->status;
    return 0;
}

/* ---- which frames are the program's ---------------------------------------------------------- */

#define SIGHTINGS     2
#define SIGHTINGS_ODD 20
#define RUNPY_FRAMES  8 /* 3.8 to 3.15 have two; more is no start-up we know */

static bool is_runpy(const struct pyi_code *code)
{
    /* "<frozen runpy>" since 3.11, before that the path of Lib/runpy.py. */
    static const char tail[] = "/runpy.py";
    const struct pyi_text file = code->filename;
    if (pyi_text_equal(file, pyi_text("<frozen runpy>")))
        return true;
    return file.length >= sizeof(tail) - 1 &&
           memcmp(file.data + file.length - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0;
}

static bool is_module(const struct pyi_code *code)
{
    /* The interpreter runs its frozen importlib and zipimport the same way while it starts. */
    return pyi_text_equal(code->name, pyi_text("<module>")) &&
           !pyi_text_starts_with(code->filename, "<frozen ");
}

/* Index of the program's module in a stack of the main thread, or -1.
 *
 * `python FILE`, `-c` and standard input run the module's code directly (3.8 to 3.15,
 * Modules/main.c: pymain_run_file, pymain_run_command), so it is the outermost frame; imports of
 * the start-up (site, sitecustomize, encodings) have importlib's frames there. `-m`, directories
 * and zip files go through runpy: _run_module_as_main, then _run_code, which executes the
 * module's code. */
static ptrdiff_t find_module(const struct pyi_stack *stack)
{
    const struct pyi_stack_entry *entries = stack->entries;
    const struct pyi_code *below = NULL;
    size_t seen = 0;
    for (size_t i = 0; i < stack->depth && seen < RUNPY_FRAMES; i++) {
        const struct pyi_code *code = entries[i].code;
        if (entries[i].native)
            continue;
        if (seen == 0 && is_module(code))
            return (ptrdiff_t)i;
        if (seen == 0 &&
            (!pyi_text_equal(code->name, pyi_text("_run_module_as_main")) || !is_runpy(code)))
            return -1;
        if (below && pyi_text_equal(below->name, pyi_text("_run_code")) && is_runpy(below) &&
            pyi_text_equal(code->name, pyi_text("<module>")))
            return (ptrdiff_t)i;
        below = code;
        seen++;
    }
    return -1;
}

static bool has_last_part(struct pyi_text path, const char *script)
{
    const char *slash = strrchr(script, '/');
    const char *name = slash ? slash + 1 : script;
    size_t length = strlen(name);
    return length && path.length >= length &&
           memcmp(path.data + path.length - length, name, length) == 0;
}

/* How often a module must be seen in a row. A stack copied while the start-up returns from a
 * module (site, most likely) can have that module's frame alone. */
static unsigned sightings_needed(const struct pyi_program *program, const struct pyi_code *module,
                                 ptrdiff_t base)
{
    switch (program->kind) {
    case PYI_PROGRAM_SCRIPT: /* a directory or zip file goes through runpy */
        return base > 0 || has_last_part(module->filename, program->script) ? 1 : SIGHTINGS_ODD;
    case PYI_PROGRAM_CODE:
        return pyi_text_starts_with(module->filename, "<string") ? 1 : SIGHTINGS_ODD;
    case PYI_PROGRAM_MODULE:
        return base > 0 ? 1 : SIGHTINGS_ODD;
    case PYI_PROGRAM_UNKNOWN:
        break;
    }
    return SIGHTINGS;
}

bool pyi_program_find(struct pyi_program *program, const struct pyi_stack *stack)
{
    if (program->module && program->base < stack->depth &&
        stack->entries[program->base].code == program->module)
        return true;
    ptrdiff_t base = find_module(stack);
    if (base < 0) {
        program->candidate = NULL;
        return false;
    }
    const struct pyi_code *module = stack->entries[base].code;
    if (program->module) {
        if (!pyi_code_same(program->module, module))
            return false;
    } else {
        program->sightings = program->candidate == module ? program->sightings + 1 : 1;
        program->candidate = module;
        if (program->sightings < sightings_needed(program, module, base))
            return false;
    }
    program->module = module;
    program->base = (size_t)base;
    return true;
}

bool pyi_program_is_shutdown(const struct pyi_stack *stack)
{
    /* Lib/threading.py, called by wait_for_thread_shutdown() of Python/pylifecycle.c. */
    static const char tail[] = "threading.py";
    size_t first = 0;
    while (first < stack->depth && stack->entries[first].native)
        first++;
    if (first == stack->depth ||
        !pyi_text_equal(stack->entries[first].code->name, pyi_text("_shutdown")))
        return false;
    const struct pyi_text file = stack->entries[first].code->filename;
    return file.length >= sizeof(tail) - 1 &&
           memcmp(file.data + file.length - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0;
}

bool pyi_program_switches_stacks(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    PYI_CLEANUP(pyi_cleanup_fclose) FILE *maps = fopen(path, "re");
    if (!maps)
        return false;
    char line[4096];
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "greenlet"))
            return true;
    return false;
}

/* Index of the script, module name or code in argv; 0 when there is none. */
static int program_word(char *const argv[], int program_argument)
{
    int count = 0;
    while (argv[count])
        count++;
    int word = program_argument - 1;
    if (word < 1 || word >= count)
        word = count > 1 ? 1 : 0;
    return word;
}

void pyi_program_init(struct pyi_program *program, char *const argv[], int program_argument)
{
    *program = (struct pyi_program){0};
    int word = program_word(argv, program_argument);
    if (word == 0 || word != program_argument - 1)
        return;
    if (strcmp(argv[word - 1], "-c") == 0) {
        program->kind = PYI_PROGRAM_CODE;
    } else if (strcmp(argv[word - 1], "-m") == 0) {
        program->kind = PYI_PROGRAM_MODULE;
    } else if (argv[word][0] != '-') {
        program->kind = PYI_PROGRAM_SCRIPT;
        program->script = argv[word];
    }
}

void pyi_program_describe(struct pyi_strbuf *buffer, char *const argv[], int program_argument)
{
    int first = program_word(argv, program_argument);
    /* Upstream shows the module but not the code: sys.argv[0] is "-c" there. */
    if (first > 1 && strcmp(argv[first - 1], "-c") == 0)
        pyi_strbuf_string(buffer, "Program: -c");
    else {
        pyi_strbuf_string(buffer, "Program: ");
        pyi_strbuf_os_bytes(buffer, argv[first], strlen(argv[first]));
    }
    for (int i = first + 1; argv[first] && argv[i]; i++) {
        pyi_strbuf_char(buffer, ' ');
        pyi_strbuf_os_bytes(buffer, argv[i], strlen(argv[i]));
    }
}
