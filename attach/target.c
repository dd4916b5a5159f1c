/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * target.c - a target from open to close: rounds, its fate, its images.
 *
 * Comes in: a pid or an image, then requests for rounds. Goes out: stacks, counts, and what
 * became of the process. A round looks at /proc only when something is odd or from time to time:
 * the address space that was opened tells by itself whether it still exists.
 */
#include "attach/target.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/output.h"
#include "src/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY    32 /* rounds between looks at an unsuspicious target */
#define LOOK_SOON     8  /* and at one without frames */
#define DUMP_ATTEMPTS 5

static int open_steps(struct pyi_target *target, struct pyi_error *err)
{
    double deadline = pyi_open_deadline(target);
    int code = pyi_open_process(target, err);
    if (code == 0)
        code = pyi_open_access(target, err);
    if (code == 0)
        code = pyi_open_program(target, err);
    if (code == 0)
        code = pyi_open_runtime(target, deadline, err);
    if (code == 0)
        code = pyi_open_python(target, deadline, err);
    if (code == 0)
        code = pyi_open_info(target, err);
    if (code == 0 && target->options.stop != PYI_STOP_NEVER)
        code = pyi_halt_open(target, &target->halt, err);
    pyi_maps_deinit(&target->maps);
    return code;
}

int pyi_target_open(pid_t pid, const struct pyi_target_options *options, struct pyi_target **out,
                    struct pyi_error *err)
{
    struct pyi_target *target = pyi_open_new(pid, options);
    if (!target)
        return pyi_error_nomem(err);
    int code = open_steps(target, err);
    if (code < 0) {
        pyi_target_close(target);
        return code;
    }
    *out = target;
    return 0;
}

int pyi_target_open_image(const char *path, const struct pyi_target_options *options,
                          struct pyi_target **out, struct pyi_error *err)
{
    struct pyi_target *target = pyi_open_new(0, options);
    if (!target)
        return pyi_error_nomem(err);
    int code = pyi_memory_open_image(path, &target->memory, &target->image, err);
    if (code == 0)
        code = pyi_open_image_rest(target, err);
    if (code < 0) {
        pyi_target_close(target);
        return code;
    }
    *out = target;
    return 0;
}

int pyi_target_open_image_bytes(const void *bytes, size_t length,
                                const struct pyi_target_options *options, struct pyi_target **out,
                                struct pyi_error *err)
{
    struct pyi_target *target = pyi_open_new(0, options);
    if (!target)
        return pyi_error_nomem(err);
    int code = pyi_memory_open_image_bytes(bytes, length, &target->memory, &target->image, err);
    if (code == 0)
        code = pyi_open_image_rest(target, err);
    if (code < 0) {
        pyi_target_close(target);
        return code;
    }
    *out = target;
    return 0;
}

void pyi_target_close(struct pyi_target *target)
{
    if (!target)
        return;
    pyi_halt_close(target->halt);
    pyi_cpython_close(target->python);
    pyi_facts_free(target->facts);
    pyi_sched_free(target->state);
    pyi_maps_deinit(&target->maps);
    pyi_memory_close(target->memory);
    if (target->mm >= 0)
        close(target->mm);
    free(target->lost);
    pyi_arena_free(&target->arena);
    free(target);
}

const struct pyi_target_info *pyi_target_info(const struct pyi_target *target)
{
    return &target->info;
}

bool pyi_target_edge_proven(const struct pyi_target *target, uint32_t edge)
{
    return pyi_cpython_edge_proven(target->python, edge);
}

struct pyi_text pyi_target_class_name(const struct pyi_target *target, uint32_t number)
{
    return pyi_cpython_class_name(target->python, number);
}

const struct pyi_thread *pyi_target_thread(const struct pyi_target *target, uint32_t index)
{
    return pyi_cpython_thread(target->python, index);
}

void pyi_target_stats(const struct pyi_target *target, struct pyi_target_stats *out)
{
    *out = (struct pyi_target_stats){.rounds = target->rounds,
                                     .read_calls = target->memory->calls,
                                     .bytes_read = target->memory->bytes,
                                     .probes = pyi_sched_probes(target->state)};
    pyi_cpython_stats(target->python, out);
    pyi_halt_stats(target->halt, out);
}

double pyi_target_thread_cpu(struct pyi_target *target, const struct pyi_thread *thread)
{
    return target->image ? -1 : pyi_sched_thread_cpu(target->state, thread->tid);
}

double pyi_target_cpu(struct pyi_target *target)
{
    return target->image ? -1 : pyi_sched_process_cpu(target->pid);
}

int pyi_target_locals(struct pyi_target *target, const struct pyi_thread *thread, size_t entry,
                      pyi_variable *each, void *context, struct pyi_error *err)
{
    return pyi_cpython_locals(target->python, thread->index, entry, each, context, err);
}

/* ---- fate ---- */

enum space { SPACE_LIVES, SPACE_GONE, SPACE_UNKNOWN };

/* The descriptor belongs to the address space, not to the pid: reading gives end of file once
 * the last user of that space has ended or called exec. */
static enum space look_at_space(const struct pyi_target *target)
{
    char byte;
    if (target->mm < 0)
        return SPACE_UNKNOWN;
    ssize_t n = pread(target->mm, &byte, 1, (off_t)target->runtime.address);
    return n == 0 || (n < 0 && errno == ESRCH) ? SPACE_GONE : SPACE_LIVES;
}

enum pyi_target_fate pyi_target_fate(struct pyi_target *target)
{
    struct pyi_process_stat now;
    if (target->image)
        return PYI_FATE_ALIVE;
    if (pyi_process_stat(target->proc, target->pid, 0, &now, NULL) < 0 ||
        now.start_ticks != target->stat.start_ticks ||
        pyi_process_living_thread(target->proc, target->pid) == 0)
        return PYI_FATE_ENDED;
    enum space space = look_at_space(target);
    bool moved = space == SPACE_UNKNOWN && now.arg_start && target->stat.arg_start &&
                 now.arg_start != target->stat.arg_start;
    if (space == SPACE_GONE || moved) {
        /* A process on its way out has given its memory up but is no zombie yet: only after
         * exec is there a program again. */
        struct pyi_strbuf link = {0};
        bool program = pyi_process_link(target->proc, target->pid, "exe", &link, NULL) == 0;
        pyi_strbuf_deinit(&link);
        return program ? PYI_FATE_EXEC : PYI_FATE_ENDED;
    }
    bool finalizing = false;
    if (target->python && pyi_cpython_finalizing(target->python, &finalizing, NULL) == 0 &&
        finalizing)
        return PYI_FATE_FINALIZED;
    return PYI_FATE_ALIVE;
}

static void name_program(const struct pyi_target *target, char *out, size_t size)
{
    struct pyi_strbuf raw = {0}, text = {0};
    pyi_strbuf_char(&text, ' ');
    if (pyi_process_link(target->proc, target->pid, "exe", &raw, NULL) == 0 && raw.length)
        pyi_strbuf_os_bytes(&text, raw.data, raw.length);
    else
        pyi_strbuf_string(&text, "another program");
    pyi_text_safe(pyi_strbuf_get(&text), out, size);
    pyi_strbuf_deinit(&raw);
    pyi_strbuf_deinit(&text);
}

static int gone(const struct pyi_target *target, enum pyi_target_fate fate, struct pyi_error *err)
{
    static const char *const words[] = {[PYI_FATE_ALIVE] = "cannot be read any more",
                                        [PYI_FATE_ENDED] = "has ended",
                                        [PYI_FATE_EXEC] = "became",
                                        [PYI_FATE_FINALIZED] =
                                            "is ending: its interpreter is shutting down"};
    static const char *const slugs[] = {[PYI_FATE_ALIVE] = "",
                                        [PYI_FATE_ENDED] = "target-exit",
                                        [PYI_FATE_EXEC] = "target-exec",
                                        [PYI_FATE_FINALIZED] = "target-exit"};
    char program[256] = "";
    if (fate == PYI_FATE_EXEC)
        name_program(target, program, sizeof(program));
    pyi_error_set(err, PYI_E_GONE, "process %d %s%s", (int)target->pid, words[fate], program);
    pyi_error_slug(err, slugs[fate]);
    return PYI_E_GONE;
}

/* ---- rounds ---- */

/* Every thread known to be alive, LOST. */
static int round_of_lost(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err)
{
    size_t count = 0;
    const struct pyi_thread *thread;
    for (uint32_t i = 0; (thread = pyi_cpython_thread(target->python, i)); i++) {
        if (!thread->alive)
            continue;
        if (!pyi_array_reserve(&target->lost, &target->lost_capacity, count + 1,
                               sizeof(*target->lost)))
            return pyi_error_nomem(err);
        target->lost[count++] =
            (struct pyi_stack){.thread = thread, .status = PYI_STACK_LOST, .attempts = 1};
    }
    *out = (struct pyi_round){target->lost, count};
    return 0;
}

/* No stack has a frame: the target may be ending, or only waits in C code. */
static bool without_frames(const struct pyi_round *round)
{
    for (size_t i = 0; i < round->count; i++)
        if (round->stacks[i].status != PYI_STACK_LOST && round->stacks[i].depth > 0)
            return false;
    return true;
}

static int look(struct pyi_target *target, const struct pyi_round *round, struct pyi_error *err)
{
    bool odd = without_frames(round);
    if (target->rounds - target->last_look < (odd ? LOOK_SOON : LOOK_EVERY))
        return 0;
    target->last_look = target->rounds;
    if (!odd && look_at_space(target) == SPACE_LIVES)
        return 0;
    enum pyi_target_fate fate = pyi_target_fate(target);
    return fate == PYI_FATE_ALIVE ? 0 : gone(target, fate, err);
}

/* The thread we read through has ended, another one lives. */
static bool change_reader(struct pyi_target *target)
{
    pid_t living = target->image ? 0 : pyi_process_living_thread(target->proc, target->pid);
    if (living == 0 || living == target->reader)
        return false;
    target->reader = living;
    pyi_memory_live_thread(target->memory, living);
    return true;
}

static int one_round(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err)
{
    return target->halt ? pyi_halt_round(target->halt, out, err)
                        : pyi_cpython_round(target->python, out, err);
}

int pyi_target_round(struct pyi_target *target, struct pyi_round *out, struct pyi_error *err)
{
    struct pyi_round round = {0};
    struct pyi_error reason; /* not the caller's: what is unreadable may yet be no error */
    int code = one_round(target, &round, &reason);
    if (code == PYI_E_GONE && change_reader(target))
        code = one_round(target, &round, &reason);
    target->rounds++;
    if (code == 0 && !target->image)
        code = look(target, &round, &reason);
    if (code == 0) {
        if (target->options.states && !target->image)
            pyi_sched_round(target->state, pyi_cpython_activities(target->python), round.count,
                            target->options.waits);
        *out = round;
        return 0;
    }
    bool unreadable = code == PYI_E_FAULT || code == PYI_E_TORN || code == PYI_E_FORMAT;
    if (!unreadable && code != PYI_E_GONE) {
        if (err)
            *err = reason;
        return code;
    }
    enum pyi_target_fate fate = pyi_target_fate(target);
    if (fate == PYI_FATE_ALIVE && unreadable)
        return round_of_lost(target, out, err);
    return gone(target, fate, err);
}

/* ---- sys ---- */

/* dirname(dirname(executable)): where a Python of the usual layout is installed. No data when
 * memory ran out. */
static struct pyi_text prefix_of(struct pyi_target *target)
{
    struct pyi_text path = target->info.executable;
    size_t length = path.length;
    for (int parts = 0; parts < 2; parts++) {
        while (length > 0 && path.data[length - 1] != '/')
            length--;
        if (length > 0)
            length--;
    }
    return (struct pyi_text){pyi_arena_copy(&target->arena, path.data, length), length};
}

/* NULL on lack of memory. */
static const struct pyi_sysinfo *sysinfo_guess(struct pyi_target *target,
                                               const struct pyi_sysinfo *read)
{
    target->sysinfo = read ? *read : (struct pyi_sysinfo){0};
    target->sysinfo.from_sys = false;
    struct pyi_text prefix = prefix_of(target);
    if (!prefix.data)
        return NULL;
    for (int i = 0; i < 4; i++)
        if (!read || read->prefixes[i].length == 0)
            target->sysinfo.prefixes[i] = prefix;
    return &target->sysinfo;
}

int pyi_target_sysinfo(struct pyi_target *target, const struct pyi_sysinfo **out,
                       struct pyi_error *err)
{
    if (!target->sysinfo_done) {
        const struct pyi_sysinfo *read = NULL;
        struct pyi_error reason;
        int code = pyi_cpython_sysinfo(target->python, &read, &reason);
        if (code == PYI_E_GONE || code == PYI_E_NOMEM) {
            if (err)
                *err = reason;
            return code;
        }
        if (code < 0)
            read = NULL;
        target->sysinfo_done = read && read->from_sys ? read : sysinfo_guess(target, read);
        if (!target->sysinfo_done)
            return pyi_error_nomem(err);
    }
    *out = target->sysinfo_done;
    return 0;
}

int pyi_target_refresh_sysinfo(struct pyi_target *target, const struct pyi_sysinfo **out,
                               struct pyi_error *err)
{
    target->sysinfo_done = NULL;
    pyi_cpython_forget_sysinfo(target->python);
    return pyi_target_sysinfo(target, out, err);
}

/* ---- images ---- */

struct dump {
    struct pyi_target *target;
    struct pyi_image_recorder *recorder;
    struct pyi_cpython *python;
    struct pyi_strbuf names;
    bool complete;
};

/* Decoders of their own, whose caches are empty, so that everything is read. */
static int dump_round(struct dump *dump, struct pyi_error *err)
{
    struct pyi_target *target = dump->target;
    const struct pyi_sysinfo *sysinfo;
    struct pyi_round round = {0};
    bool ready;
    int code = pyi_cpython_open(target->memory, &target->runtime, &target->options,
                                &target->functions, &dump->python, err);
    if (code == 0)
        code = pyi_cpython_ready(dump->python, &ready, err);
    if (code == 0)
        code = pyi_cpython_round(dump->python, &round, err);
    if (code < 0)
        return code;
    dump->complete = true;
    for (size_t i = 0; i < round.count; i++)
        dump->complete &= round.stacks[i].status != PYI_STACK_LOST;
    code = pyi_cpython_sysinfo(dump->python, &sysinfo, err);
    return code == PYI_E_GONE || code == PYI_E_NOMEM ? code : 0;
}

static int dump_attempt(struct dump *dump, struct pyi_error *err)
{
    struct pyi_memory *memory = dump->target->memory;
    pyi_image_recorder_free(dump->recorder);
    pyi_cpython_close(dump->python);
    dump->python = NULL;
    dump->complete = false;
    dump->recorder = pyi_image_recorder_new();
    if (!dump->recorder)
        return pyi_error_nomem(err);
    memory->tap = pyi_image_recorder_tap;
    memory->tap_context = dump->recorder;
    int code = dump_round(dump, err);
    memory->tap = NULL;
    return code;
}

/* The threads of the round with the names the kernel has for them. */
static int dump_threads(struct dump *dump, struct pyi_image_thread **out, size_t *count,
                        struct pyi_error *err)
{
    struct pyi_target *target = dump->target;
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_task *tasks = NULL;
    size_t found = 0;
    if (target->image) {
        *count = target->image->thread_count;
        *out = *count ? calloc(*count, sizeof(**out)) : NULL;
        if (*count && *out)
            memcpy(*out, target->image->threads, *count * sizeof(**out));
        return *count && !*out ? pyi_error_nomem(err) : 0;
    }
    int code = pyi_process_tasks(target->proc, target->pid, &tasks, &found, err);
    if (code < 0)
        return code;
    struct pyi_image_thread *threads = found ? calloc(found, sizeof(*threads)) : NULL;
    if (found && !threads)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < found; i++) {
        pyi_strbuf_reset(&dump->names);
        pyi_process_comm(target->proc, target->pid, tasks[i].tid, &dump->names);
        struct pyi_text name = pyi_strbuf_get(&dump->names);
        char *copy = pyi_arena_copy(&target->arena, name.data, name.length);
        threads[i] = (struct pyi_image_thread){
            tasks[i].tid, tasks[i].inner, {copy ? copy : "", copy ? name.length : 0}};
    }
    *out = threads;
    *count = found;
    return 0;
}

static int dump_write(struct dump *dump, const char *path, struct pyi_error *err)
{
    const struct pyi_target_info *info = &dump->target->info;
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_image_thread *threads = NULL;
    size_t thread_count = 0;
    int code = dump_threads(dump, &threads, &thread_count, err);
    if (code < 0)
        return code;
    struct pyi_image_facts facts = {.pid = info->pid,
                                    .parent = info->parent,
                                    .runtime = dump->target->runtime,
                                    .executable = info->executable,
                                    .root = info->root,
                                    .arguments = info->arguments,
                                    .argument_count = info->argument_count,
                                    .threads = threads,
                                    .thread_count = thread_count,
                                    .start_time = info->start_time};
    struct pyi_strbuf bytes = {0};
    struct pyi_file *file = NULL;
    code = pyi_image_recorder_write(dump->recorder, &facts, &bytes, err);
    if (code == 0)
        code = pyi_file_create(path, &file, err);
    if (code == 0) {
        struct pyi_sink sink = pyi_file_sink(file);
        struct pyi_output output;
        pyi_output_init(&output, &sink);
        pyi_output_bytes(&output, bytes.data, bytes.length);
        code = pyi_output_finish(&output, err);
        if (code == 0)
            code = pyi_file_commit(file, err);
        else
            pyi_file_abandon(file);
    }
    pyi_strbuf_deinit(&bytes);
    return code;
}

int pyi_target_dump_image(struct pyi_target *target, const char *path, struct pyi_error *err)
{
    struct dump dump = {.target = target};
    int code = 0;
    for (int attempt = 0; attempt < DUMP_ATTEMPTS && code == 0 && !dump.complete; attempt++) {
        code = dump_attempt(&dump, err);
        if (code == PYI_E_FAULT || code == PYI_E_TORN)
            code = attempt + 1 < DUMP_ATTEMPTS ? 0 : code;
    }
    if (code == 0)
        code = dump_write(&dump, path, err);
    pyi_image_recorder_free(dump.recorder);
    pyi_cpython_close(dump.python);
    pyi_strbuf_deinit(&dump.names);
    return code;
}
