/* SPDX-License-Identifier: BSD-3-Clause */
/* Words about a recording: which remedy, and whether the kernel's count of out-of-memory kills rose.
 * The control groups are made of files. */
#include "src/cli/notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pyi-notes-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (char *slash = strchr(path + 5, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void watch(struct pyi_oom_watch *out)
{
    char proc[100], cgroup[100];
    snprintf(proc, sizeof(proc), "%s/proc", folder);
    snprintf(cgroup, sizeof(cgroup), "%s/cgroup", folder);
    pyi_oom_watch(out, proc, cgroup, 42);
}

static void counts_of_both_kinds(void **state)
{
    static const struct {
        const char *groups, *counter, *before, *after;
    } kinds[] = {
        {"0::/a/b\n", "cgroup/a/b/memory.events", "low 0\noom 1\noom_kill 3\n",
         "low 0\noom 2\noom_kill 4\n"},
        {"5:cpu,memory:/old\n0::/a\n", "cgroup/memory/old/memory.oom_control",
         "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
         "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct pyi_oom_watch seen;
        write_file("proc/42/cgroup", kinds[i].groups);
        write_file(kinds[i].counter, kinds[i].before);
        watch(&seen);
        assert_false(pyi_oom_rose(&seen));
        write_file(kinds[i].counter, kinds[i].after);
        /* The process has gone meanwhile. */
        write_file("proc/42/cgroup", "");
        assert_true(pyi_oom_rose(&seen));
    }
}

static void unknown_counts_never_rise(void **state)
{
    struct pyi_oom_watch seen;
    static const char *const groups[] = {"", "0::/nowhere\n", "nonsense\n", ":\n",
                                         "1:name=systemd:/\n"};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        write_file("proc/42/cgroup", groups[i]);
        watch(&seen);
        assert_false(pyi_oom_rose(&seen));
    }
    /* A counter that was there and is gone. */
    write_file("proc/42/cgroup", "0::/c\n");
    write_file("cgroup/c/memory.events", "oom_kill 1\n");
    watch(&seen);
    write_file("cgroup/c/memory.events", "");
    assert_false(pyi_oom_rose(&seen));
}

/* What is said on stderr about a recording. */
static char *said(struct pyi_recorded recorded)
{
    struct pyi_options options = {0};
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    const struct pyi_console console = {.options = &options, .stream = stream};
    pyi_warnings_print(&console, &recorded);
    pyi_notes_print(&console, &recorded);
    fclose(stream);
    return text;
}

static void expect(struct pyi_recorded recorded, const char *wanted, const char *unwanted)
{
    char *text = said(recorded);
    assert_non_null(strstr(text, wanted));
    if (unwanted)
        assert_null(strstr(text, unwanted));
    free(text);
}

static void missed_samples_have_a_reason(void **state)
{
    struct pyi_recorded recorded = {.interval = 0.001, .pid = 7};
    recorded.tally = (struct pyi_tally){.elapsed = 1,
                                        .ticks = 961,
                                        .missed = 39,
                                        .samples = 961,
                                        .threads = 1,
                                        .profiler_cpu = 0.02};
    expect(recorded,
           "3.9 % of samples missed: other work kept the machine busy; try -i 0.002, or again when "
           "the machine is less busy\n",
           "too short");
    recorded.tally.profiler_cpu = 0.9;
    expect(recorded,
           "3.9 % of samples missed: an interval of 1 ms is too short here; try -i 0.002\n",
           "less busy");
    recorded.tally.missed = 961;
    recorded.tally.threads = 3;
    expect(recorded,
           "sampling lagged: 961 of 1000 samples/s reached, an interval of 1 ms is too short here; "
           "try "
           "-i 0.005 or --thread\n",
           NULL);
    recorded.tally.missed = 9;
    char *text = said(recorded);
    assert_null(strstr(text, "warning"));
    free(text);
}

static void lack_of_memory_is_said(void **state)
{
    struct pyi_recorded recorded = {
        .interval = 0.001, .pid = 7, .end = PYI_END_SIGNAL, .detail = 9, .out_of_memory = true};
    recorded.tally = (struct pyi_tally){.elapsed = 3.2, .ticks = 100, .samples = 100};
    expect(recorded, "process 7 was killed by SIGKILL after 3.2 s (out of memory killer?)\n", NULL);
    recorded.launched = true;
    expect(recorded, "process 7 was killed by SIGKILL after 3.2 s (out of memory killer?)\n", NULL);
    recorded.out_of_memory = false;
    char *text = said(recorded);
    assert_null(strstr(text, "killed"));
    free(text);
    recorded.launched = false;
    recorded.detail = 15;
    recorded.out_of_memory = true;
    expect(recorded, "was killed by SIGTERM after 3.2 s\n", "memory");
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_both_kinds),
        cmocka_unit_test(unknown_counts_never_rise),
        cmocka_unit_test(missed_samples_have_a_reason),
        cmocka_unit_test(lack_of_memory_is_said),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) != 0 || failed;
}
