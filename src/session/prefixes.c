/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefixes.c - where an interpreter says it is installed.
 *
 * In: the name of an interpreter, which is started. Out: four paths joined by NUL bytes. The
 * child gets ten seconds and 64 KiB; its standard input and error are /dev/null. This file is
 * the only one of the folder that knows of processes.
 */
#include "src/base/error.h"
#include "src/base/text.h"
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_LIMIT  65536
#define ANSWER_MILLIS 10000

extern char **environ;

static const char question[] =
    "import sys, os\n"
    "names = 'prefix', 'base_prefix', 'exec_prefix', 'base_exec_prefix'\n"
    "os.write(1, b'\\0'.join(os.fsencode(getattr(sys, name)) for name in names))\n";

/* Starts it with `pipe_end` as standard output. Returns errno. */
static int start(const char *python, int pipe_end, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure)
        return failure;
    failure = posix_spawnattr_init(&attributes);
    if (!failure) {
        char *const argv[] = {(char *)(uintptr_t)python, "-c", (char *)(uintptr_t)question, NULL};
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        failure = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (!failure)
            failure = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        if (!failure)
            failure = posix_spawn_file_actions_adddup2(&actions, pipe_end, 1);
        if (!failure)
            failure = posix_spawnp(pid, python, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

static int64_t now_millis(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads to the end. False when it takes too long or is too much. */
static bool read_answer(int fd, struct pyi_strbuf *answer)
{
    int64_t deadline = now_millis() + ANSWER_MILLIS;
    while (answer->length <= ANSWER_LIMIT && !answer->failed) {
        int64_t left = deadline - now_millis();
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&waiting, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        char bytes[4096];
        ssize_t got = read(fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        pyi_strbuf_append(answer, bytes, (size_t)got);
    }
    return false;
}

/* True when it ended by itself with status 0, or when somebody else has collected it. */
static bool collect(pid_t pid)
{
    int status;
    for (;;) {
        if (waitpid(pid, &status, 0) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (errno != EINTR)
            return errno == ECHILD;
    }
}

static size_t count_nul(struct pyi_text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == '\0';
    return count;
}

int pyi_session_current_sys_prefixes(const char *python, const struct pyi_sink *sink,
                                     struct pyi_error *err)
{
    const char *name = python ? python : "python3";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return pyi_error_os(err, errno, "cannot run %s", name);
    PYI_CLEANUP(pyi_cleanup_close) int from = ends[0];
    PYI_CLEANUP(pyi_cleanup_close) int to = ends[1];
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf answer = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf text = {0};
    pid_t pid;
    int failure = start(name, to, &pid);
    if (failure)
        return pyi_error_os(err, failure, "cannot run %s", name);
    pyi_cleanup_close(&to);
    bool answered = read_answer(from, &answer);
    if (!answered)
        kill(pid, SIGKILL);
    answered = collect(pid) && answered;
    pyi_strbuf_os_bytes(&text, pyi_strbuf_get(&answer).data, answer.length);
    if (answer.failed || text.failed)
        return pyi_error_nomem(err);
    if (!answered || count_nul(pyi_strbuf_get(&text)) != 3)
        return pyi_error_set(err, PYI_E_FORMAT, "%s did not say where it is installed", name);
    return sink->write(sink->context, text.data, text.length, err);
}
