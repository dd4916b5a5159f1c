/* SPDX-License-Identifier: BSD-3-Clause */
/* test_launch.c - children and their status, the program's own frames, the headline. */
#include "src/record/launch.h"

#include "src/record/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- children ------------------------------------------------------------------------------- */

static int run_shell(const char *script)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    struct pyi_child child = {0};
    struct pyi_error err = {0};
    assert_int_equal(pyi_child_start(&child, argv, &err), 0);
    int status = -1, again = -1;
    assert_int_equal(pyi_child_wait(&child, &status, &err), 0);
    assert_int_equal(pyi_child_wait(&child, &again, &err), 0);
    assert_int_equal(status, again);
    return status;
}

static void test_status(void **state)
{
    int status = run_shell("exit 3");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    status = run_shell("kill -TERM $$");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_ended_without_collecting(void **state)
{
    char *argv[] = {"/bin/sh", "-c", "read line; exit 7", NULL};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(0);
    dup2(ends[0], 0);
    struct pyi_child child = {0};
    int code = pyi_child_start(&child, argv, NULL);
    dup2(saved, 0);
    close(saved);
    close(ends[0]);
    assert_int_equal(code, 0);
    int status = -1;
    assert_false(pyi_child_ended(&child, &status)); /* it waits for its standard input: ours */
    assert_int_equal(write(ends[1], "x\n", 2), 2);
    close(ends[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(pyi_child_ended(&child, &status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = -1;
    assert_int_equal(pyi_child_wait(&child, &status, NULL), 0); /* still there to be collected */
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_true(pyi_child_ended(&child, &status));
}

static void test_signal_status_without_collecting(void **state)
{
    char *argv[] = {"sh", "-c", "kill -KILL $$", NULL};
    struct pyi_child child = {0};
    assert_int_equal(pyi_child_start(&child, argv, NULL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    int early = -1, late = -2;
    assert_true(pyi_child_ended(&child, &early));
    assert_int_equal(pyi_child_wait(&child, &late, NULL), 0);
    assert_int_equal(early, late);
}

/* What an onlooker can tell, who may not collect it. */
static void test_ending_seen_from_outside(void **state)
{
    char *argv[] = {"sh", "-c", "read line; kill -TERM $$", NULL};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int saved = dup(0);
    dup2(ends[0], 0);
    struct pyi_child child = {0};
    int code = pyi_child_start(&child, argv, NULL);
    dup2(saved, 0);
    close(saved);
    close(ends[0]);
    assert_int_equal(code, 0);
    int fd = pyi_ending_watch(child.pid), status = -1;
    assert_false(pyi_ending_status(fd, child.pid, &status));
    close(ends[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(pyi_ending_status(fd, child.pid, &status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    int seen = status;
    assert_int_equal(pyi_child_wait(&child, &status, NULL), 0);
    assert_int_equal(status, seen);
    /* Collected: a kernel before 6.15 knows no more. */
    if (pyi_ending_status(fd, child.pid, &status))
        assert_int_equal(status, seen);
    if (fd >= 0)
        close(fd);
}

static void test_not_started(void **state)
{
    struct pyi_child child = {0};
    struct pyi_error err = {0};
    char *missing[] = {"no-such-program-anywhere", NULL};
    assert_int_equal(pyi_child_start(&child, missing, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOENT);
    assert_string_equal(err.slug, "script-exec");
    assert_string_equal(err.message, "cannot run no-such-program-anywhere: not found in PATH");
    char *folder[] = {"/", NULL};
    assert_int_equal(pyi_child_start(&child, folder, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, EACCES);
    assert_string_equal(err.message, "cannot run /: Permission denied");
    char *nothing[] = {NULL};
    assert_int_equal(pyi_child_start(&child, nothing, &err), PYI_E_INVALID);
    assert_int_equal(child.pid, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to collect */
}

/* The child sees the mask, ignored signals and descriptors a plain run would see. */
static void test_inherits(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigaction(SIGUSR1, &ignore, &old);
    /* bit 9 of the mask is SIGUSR1 */
    int status = run_shell("grep -q '^SigIgn:.*[2367abef]..$' /proc/self/status");
    sigaction(SIGUSR1, &old, NULL);
    assert_int_equal(WEXITSTATUS(status), 0);
    /* field 5 of /proc/PID/stat is the process group */
    status = run_shell("test \"$(cut -d' ' -f5 /proc/$$/stat)\" -eq "
                       "\"$(cut -d' ' -f5 /proc/$PPID/stat)\"");
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- frames --------------------------------------------------------------------------------- */

static struct pyi_code code_of(const char *name, const char *file)
{
    return (struct pyi_code){.name = pyi_text(name), .filename = pyi_text(file), .first_line = 1};
}

/* "name@file name@file", outermost first. */
struct built {
    struct pyi_stack stack;
    struct pyi_stack_entry entries[16];
    struct pyi_code codes[16];
    char words[512];
};

static const struct pyi_stack *build(struct built *built, const char *text)
{
    snprintf(built->words, sizeof(built->words), "%s", text);
    size_t depth = 0;
    for (char *rest = built->words, *word; (word = strsep(&rest, "|")) && *word; depth++) {
        char *name = strsep(&word, "@");
        built->codes[depth] = code_of(name, word);
        built->entries[depth] = (struct pyi_stack_entry){.code = &built->codes[depth], .line = 1};
    }
    built->stack = (struct pyi_stack){.entries = built->entries, .depth = depth};
    return &built->stack;
}

static int base_of(const char *text)
{
    struct built built;
    struct pyi_program program = {0};
    pyi_program_find(&program, build(&built, text)); /* a first sight may be a torn stack */
    return pyi_program_find(&program, &built.stack) ? (int)program.base : -1;
}

static void test_program_frames(void **state)
{
    assert_int_equal(base_of("<module>@/w/s.py"), 0);
    assert_int_equal(base_of("<module>@s.py|f@s.py"), 0);
    assert_int_equal(base_of("<module>@<string>"), 0);
    assert_int_equal(base_of("<module>@<stdin>|g@m.py"), 0);
    assert_int_equal(base_of("_run_module_as_main@<frozen runpy>|_run_code@<frozen runpy>|"
                             "<module>@/usr/lib/python3.13/json/tool.py|main@tool.py"),
                     2);
    assert_int_equal(base_of("_run_module_as_main@/usr/lib/python3.8/runpy.py|"
                             "_run_code@/usr/lib/python3.8/runpy.py|<module>@app/__main__.py"),
                     2);
}

static void test_start_up_frames(void **state)
{
    assert_int_equal(base_of(""), -1);
    assert_int_equal(base_of("_find_and_load@<frozen importlib._bootstrap>|<module>@site.py"), -1);
    assert_int_equal(base_of("<module>@<frozen importlib._bootstrap_external>"), -1);
    assert_int_equal(
        base_of("_run_module_as_main@<frozen runpy>|_get_module_details@<frozen runpy>|"
                "_find_and_load@<frozen importlib._bootstrap>|<module>@app/__init__.py"),
        -1);
    /* runpy used by the program itself */
    assert_int_equal(base_of("<module>@s.py|run_path@<frozen runpy>|_run_code@<frozen runpy>|"
                             "<module>@other.py"),
                     0);
    /* a function of the user's that happens to have that name */
    assert_int_equal(base_of("_run_module_as_main@/w/mine.py|_run_code@/w/mine.py|<module>@x.py"),
                     -1);
}

static void test_program_left(void **state)
{
    struct built built, other;
    struct pyi_program program = {.kind = PYI_PROGRAM_SCRIPT, .script = "w/s.py"};
    assert_true(pyi_program_find(&program, build(&built, "<module>@s.py|f@s.py")));
    assert_true(pyi_program_find(&program, build(&built, "<module>@s.py")));
    assert_false(pyi_program_find(&program, build(&other, "_shutdown@/usr/lib/threading.py")));
    assert_true(pyi_program_is_shutdown(&other.stack));
    assert_false(pyi_program_find(&program, build(&other, "<module>@t.py")));
    assert_false(pyi_program_is_shutdown(&other.stack));
    /* the same text at another address: the code object was read anew */
    assert_true(pyi_program_find(&program, build(&other, "<module>@s.py|g@s.py")));
}

/* How many times the stack must be seen before it is believed. */
static unsigned sightings(char *const argv[], int argument, const char *text)
{
    struct built built;
    struct pyi_program program;
    pyi_program_init(&program, argv, argument);
    build(&built, text);
    for (unsigned i = 1; i < 100; i++)
        if (pyi_program_find(&program, &built.stack))
            return i;
    return 0;
}

/* site.py alone: what is left of the start-up in a stack copied while it returns. */
static void test_program_expected(void **state)
{
    char **script = (char *[]){"python3", "-X", "dev", "w/s.py", "a", NULL};
    assert_int_equal(sightings(script, 4, "<module>@/home/u/w/s.py"), 1);
    assert_int_equal(sightings(script, 4, "<module>@w/s.py"), 1);
    assert_int_equal(sightings(script, 4, "<module>@/usr/lib/python3.8/site.py"), 20);
    assert_int_equal(sightings(script, 4,
                               "_run_module_as_main@<frozen runpy>|"
                               "_run_code@<frozen runpy>|<module>@w/s.py/__main__.py"),
                     1);
    char **code = (char *[]){"python3", "-c", "x()", "a", NULL};
    assert_int_equal(sightings(code, 3, "<module>@<string>"), 1);
    assert_int_equal(sightings(code, 3, "<module>@/usr/lib/python3.8/site.py"), 20);
    char **module = (char *[]){"python3", "-m", "app", NULL};
    assert_int_equal(sightings(module, 3, "<module>@/usr/lib/python3.8/site.py"), 20);
    assert_int_equal(sightings(module, 3,
                               "_run_module_as_main@<frozen runpy>|"
                               "_run_code@<frozen runpy>|<module>@app.py"),
                     1);
    char **unknown = (char *[]){"app", NULL};
    assert_int_equal(sightings(unknown, 1, "<module>@app.py"), 2);
    assert_int_equal(sightings(unknown, 1, "f@app.py"), 0);
    char **standard_input = (char *[]){"python3", "-", NULL};
    assert_int_equal(sightings(standard_input, 2, "<module>@<stdin>"), 2);
}

/* ---- headline ------------------------------------------------------------------------------- */

static void assert_headline(char *const argv[], int argument, const char *expected)
{
    struct pyi_strbuf text = {0};
    pyi_program_describe(&text, argv, argument);
    assert_string_equal(text.data, expected);
    pyi_strbuf_deinit(&text);
}

static void test_headline(void **state)
{
    assert_headline((char *[]){"python3", "./s.py", "a b", "--load", NULL}, 2,
                    "Program: ./s.py a b --load");
    assert_headline((char *[]){"python3", "-X", "dev", "s.py", NULL}, 4, "Program: s.py");
    assert_headline((char *[]){"python3", "-m", "json.tool", "x", NULL}, 3, "Program: json.tool x");
    assert_headline((char *[]){"python3", "-c", "print(1)", "x", NULL}, 3, "Program: -c x");
    assert_headline((char *[]){"python3", "-c", "print(1)", NULL}, 3, "Program: -c");
    assert_headline((char *[]){"python3", "-m", "app", "-c", "x", NULL}, 3, "Program: app -c x");
    assert_headline((char *[]){"app", NULL}, 1, "Program: app");
    assert_headline((char *[]){"app", NULL}, 99, "Program: app");
    assert_headline((char *[]){"app", "b", NULL}, -7, "Program: b");
    assert_headline((char *[]){"p", "\xff.py", NULL}, 2, "Program: \xed\xb3\xbf.py");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_ended_without_collecting),
        cmocka_unit_test(test_signal_status_without_collecting),
        cmocka_unit_test(test_ending_seen_from_outside),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_inherits),
        cmocka_unit_test(test_program_frames),
        cmocka_unit_test(test_start_up_frames),
        cmocka_unit_test(test_program_left),
        cmocka_unit_test(test_program_expected),
        cmocka_unit_test(test_headline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
