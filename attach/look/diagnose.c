/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diagnose.c - the chain that leads to a readable interpreter, step by step, in words.
 *
 * Comes in: a pid. Goes out: one line per step up to the first that fails. Runs the very steps
 * of opening, so that it cannot disagree with an attach.
 */
#include "attach/target.h"
#include "attach/version.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <stdio.h>

static const char *state_word(char state)
{
    static const struct {
        char letter;
        const char *word;
    } words[] = {{'R', "running"}, {'S', "sleeping"},       {'D', "waiting for a device"},
                 {'T', "stopped"}, {'t', "traced"},         {'Z', "its first thread has ended"},
                 {'I', "idle"},    {0, "in no known state"}};
    size_t i = 0;
    while (words[i].letter && words[i].letter != state)
        i++;
    return words[i].word;
}

static void detail_process(const struct pyi_target *target, char *out, size_t size)
{
    const struct pyi_process_status *status = &target->status;
    struct pyi_strbuf command = {0};
    char safe[256];
    pyi_process_command(target->proc, target->reader, 200, &command);
    pyi_text_safe(pyi_strbuf_get(&command), safe, sizeof(safe));
    pyi_strbuf_deinit(&command);
    int used = snprintf(out, size, "%s, of user id %u, %s", status->name,
                        (unsigned)status->effective_uid, state_word(status->state));
    if (status->depth > 1 && used > 0 && (size_t)used < size)
        used += snprintf(out + used, size - (size_t)used, ", called %d inside its container",
                         (int)status->inner);
    if (safe[0] && used > 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, ": %s", safe);
}

static void detail_access(const struct pyi_target *target, char *out, size_t size)
{
    snprintf(
        out, size, "its memory may be read%s%s",
        pyi_memory_live_by_file(target->memory)
            ? " through /proc/PID/mem (process_vm_readv is refused, by a seccomp filter perhaps)"
            : "",
        target->status.tracer ? "; a debugger is attached, which does not matter" : "");
}

static void detail_program(const struct pyi_target *target, char *out, size_t size)
{
    struct pyi_strbuf root = {0};
    pyi_process_root(target->proc, target->reader, &root);
    snprintf(out, size, "64-bit, %zu files mapped%s%s", target->maps.file_count,
             root.length ? "; its files are under " : "", root.length ? root.data : "");
    pyi_strbuf_deinit(&root);
}

static void detail_runtime(const struct pyi_target *target, char *out, size_t size)
{
    if (target->runtime.address)
        snprintf(out, size, "_PyRuntime at 0x%llx, found through %s",
                 (unsigned long long)target->runtime.address, target->runtime.found);
    else
        snprintf(out, size, "found");
}

static void detail_version(const struct pyi_target *target, char *out, size_t size)
{
    char version[32];
    snprintf(out, size, "Python %s, %s build",
             pyi_version_format(target->runtime.hexversion, version),
             target->runtime.free_threaded ? "free-threaded"
             : target->runtime.debug       ? "debug"
                                           : "default");
}

static void detail_layout(const struct pyi_target *target, char *out, size_t size)
{
    snprintf(out, size, "its structures are known from: %s",
             target->python ? pyi_cpython_layout_source(target->python) : "a known row");
}

static void detail_threads(const struct pyi_target *target, char *out, size_t size)
{
    size_t alive = 0;
    const struct pyi_thread *thread;
    char name[64], first[80] = "";
    for (uint32_t i = 0; (thread = pyi_target_thread(target, i)); i++) {
        if (thread->alive && thread->is_main)
            snprintf(first, sizeof(first), ", %s first",
                     pyi_text_safe(thread->name, name, sizeof(name)));
        alive += thread->alive;
    }
    snprintf(out, size, "%zu Python thread%s%s (the process has %u in all)", alive,
             alive == 1 ? "" : "s", alive > 1 ? first : "", target->status.threads);
}

/* ---- steps ---- */

static int step_runtime(struct pyi_target *target, struct pyi_error *err)
{
    return pyi_open_runtime(target, pyi_open_deadline(target), err);
}

/* Was done together with finding the runtime. */
static int step_version(struct pyi_target *target, struct pyi_error *err)
{
    return 0;
}

static int step_layout(struct pyi_target *target, struct pyi_error *err)
{
    int code = pyi_open_python(target, pyi_open_deadline(target), err);
    return code < 0 ? code : pyi_open_info(target, err);
}

static int step_threads(struct pyi_target *target, struct pyi_error *err)
{
    struct pyi_round round = {0};
    for (int attempt = 0; attempt < 10; attempt++) {
        size_t lost = 0;
        int code = pyi_target_round(target, &round, err);
        if (code < 0)
            return code;
        for (size_t i = 0; i < round.count; i++)
            lost += round.stacks[i].status == PYI_STACK_LOST;
        if (lost < round.count || round.count == 0)
            return 0;
    }
    return pyi_error_set(err, PYI_E_FORMAT, "no stack of process %d could be read in ten attempts",
                         (int)target->pid);
}

static const struct {
    const char *name;
    int (*run)(struct pyi_target *target, struct pyi_error *err);
    void (*detail)(const struct pyi_target *target, char *out, size_t size);
} steps[] = {
    {"process", pyi_open_process, detail_process}, {"permission", pyi_open_access, detail_access},
    {"program", pyi_open_program, detail_program}, {"runtime", step_runtime, detail_runtime},
    {"version", step_version, detail_version},     {"layout", step_layout, detail_layout},
    {"threads", step_threads, detail_threads},
};
#define STEPS (sizeof(steps) / sizeof(*steps))

/* Two steps do more than their name says: their failure may belong to the next line. */
static size_t failed_step(size_t step, int code, const struct pyi_error *error)
{
    bool version = steps[step].run == step_runtime && code == PYI_E_VERSION;
    bool threads =
        steps[step].run == step_layout &&
        (strcmp(error->slug, "python-not-ready") == 0 || strcmp(error->slug, "python-unused") == 0);
    return version || threads ? step + 1 : step;
}

int pyi_target_diagnose(pid_t pid, const struct pyi_target_options *options,
                        struct pyi_diagnosis *out)
{
    *out = (struct pyi_diagnosis){.count = STEPS};
    for (size_t i = 0; i < STEPS; i++)
        out->checks[i] = (struct pyi_check){.name = steps[i].name, .result = 2};
    struct pyi_target *target = pyi_open_new(pid, options);
    if (!target)
        return pyi_error_nomem(&out->error);
    int code = 0;
    for (size_t i = 0; i < STEPS && code == 0; i++) {
        /* What succeeded after a retry has left the reason for that behind. */
        out->error = (struct pyi_error){0};
        code = steps[i].run(target, &out->error);
        size_t failed = code < 0 ? failed_step(i, code, &out->error) : STEPS;
        if (failed > i) {
            out->checks[i].result = 0;
            steps[i].detail(target, out->checks[i].detail, sizeof(out->checks[i].detail));
        }
        if (failed < STEPS) {
            out->checks[failed].result = 1;
            snprintf(out->checks[failed].detail, sizeof(out->checks[failed].detail), "%s",
                     out->error.message);
        }
    }
    pyi_target_close(target);
    if (code == 0)
        out->error = (struct pyi_error){0};
    return code;
}
