/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diagnose.c - the chain that leads to a readable interpreter, step by step, in words.
 *
 * Comes in: a pid. Goes out: one line per step up to the first that fails. Runs the very steps
 * of opening, so that it cannot disagree with an attach.
 */
#include "attach/target.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <stdio.h>

static void detail_process(const struct pyi_target *target, char *out, size_t size)
{
    const struct pyi_process_status *status = &target->status;
    struct pyi_strbuf command = {0};
    char safe[256];
    pyi_process_command(target->proc, target->pid, 200, &command);
    pyi_text_safe(pyi_strbuf_get(&command), safe, sizeof(safe));
    pyi_strbuf_deinit(&command);
    int used = snprintf(out, size, "%s, uid %u, state %c, %u thread%s", status->name,
                        (unsigned)status->effective_uid, status->state ? status->state : '?',
                        status->threads, status->threads == 1 ? "" : "s");
    if (status->depth > 1 && used > 0 && (size_t)used < size)
        used += snprintf(out + used, size - (size_t)used, ", %d in its own pid namespace",
                         (int)status->inner);
    if (safe[0] && used > 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, ": %s", safe);
}

static void detail_access(const struct pyi_target *target, char *out, size_t size)
{
    snprintf(out, size, "mappings and memory are readable%s",
             target->status.tracer ? "; another process traces it, which does not matter" : "");
}

static void detail_mappings(const struct pyi_target *target, char *out, size_t size)
{
    struct pyi_strbuf root = {0};
    pyi_process_root(target->proc, target->pid, &root);
    snprintf(out, size, "64-bit program; %zu mappings of %zu files%s%s", target->maps.count,
             target->maps.file_count, root.length ? "; its files are under " : "",
             root.length ? root.data : "");
    pyi_strbuf_deinit(&root);
}

static void detail_runtime(const struct pyi_target *target, char *out, size_t size)
{
    snprintf(out, size, "at 0x%llx, from %s", (unsigned long long)target->runtime.address,
             target->runtime.found);
}

static void detail_interpreter(const struct pyi_target *target, char *out, size_t size)
{
    snprintf(out, size, "Python %s, %s build; offsets: %s", target->info.version.data,
             target->info.build.data, target->info.layout.data);
}

static void detail_stacks(const struct pyi_target *target, char *out, size_t size)
{
    struct pyi_target_stats stats;
    size_t threads = 0, alive = 0;
    const struct pyi_thread *thread;
    while ((thread = pyi_target_thread(target, (uint32_t)threads))) {
        threads++;
        alive += thread->alive;
    }
    pyi_target_stats(target, &stats);
    snprintf(out, size, "%zu thread%s read with %llu calls since the start, %llu bytes", alive,
             alive == 1 ? "" : "s", (unsigned long long)stats.read_calls,
             (unsigned long long)stats.bytes_read);
}

/* ---- steps ---- */

static int step_runtime(struct pyi_target *target, struct pyi_error *err)
{
    return pyi_open_runtime(target, pyi_open_deadline(target), err);
}

static int step_interpreter(struct pyi_target *target, struct pyi_error *err)
{
    int code = pyi_open_python(target, pyi_open_deadline(target), err);
    return code < 0 ? code : pyi_open_info(target, err);
}

static int step_stacks(struct pyi_target *target, struct pyi_error *err)
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
    {"process", pyi_open_process, detail_process},
    {"permission", pyi_open_access, detail_access},
    {"mappings", pyi_open_program, detail_mappings},
    {"runtime", step_runtime, detail_runtime},
    {"interpreter", step_interpreter, detail_interpreter},
    {"stacks", step_stacks, detail_stacks},
};
#define STEPS (sizeof(steps) / sizeof(*steps))

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
        struct pyi_check *check = &out->checks[i];
        code = steps[i].run(target, &out->error);
        check->result = code < 0;
        if (code < 0)
            snprintf(check->detail, sizeof(check->detail), "%s", out->error.message);
        else
            steps[i].detail(target, check->detail, sizeof(check->detail));
    }
    pyi_target_close(target);
    return code;
}
