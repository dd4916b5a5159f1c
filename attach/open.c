/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open.c - the steps that lead from a process id to a readable interpreter.
 *
 * Comes in: a pid. Goes out: a target ready for rounds, or the first step that failed, with its
 * cause. The same steps serve opening and diagnosing.
 */
#include "attach/access.h"
#include "attach/elf.h"
#include "attach/identify.h"
#include "attach/target.h"
#include "attach/version.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 65536

static double monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double pyi_open_deadline(const struct pyi_target *target)
{
    double wait = target->options.wait;
    return monotonic_now() + (wait > 0 && isfinite(wait) ? wait : 0);
}

/* Sleeps 1 ms, then longer each time up to 20 ms; false when the deadline has passed. */
static bool wait_a_little(double deadline, double *pause)
{
    double left = deadline - monotonic_now();
    if (left <= 0)
        return false;
    *pause = *pause == 0 ? 0.001 : *pause < 0.020 / 1.5 ? *pause * 1.5 : 0.020;
    double length = *pause < left ? *pause : left;
    struct timespec time = {.tv_sec = 0, .tv_nsec = (long)(length * 1e9)};
    nanosleep(&time, NULL);
    return true;
}

static const char *keep(struct pyi_target *target, const char *text, bool *failed)
{
    if (!text)
        return NULL;
    char *copy = pyi_arena_copy(&target->arena, text, strlen(text));
    *failed |= !copy;
    return copy;
}

struct pyi_target *pyi_open_new(pid_t pid, const struct pyi_target_options *options)
{
    struct pyi_target *target = calloc(1, sizeof(*target));
    if (!target)
        return NULL;
    target->proc = PYI_PROC;
    target->pid = target->reader = pid;
    target->mm = -1;
    bool failed = false;
    if (options) {
        target->options = *options;
        target->options.libpython = keep(target, options->libpython, &failed);
        target->options.assume_version = keep(target, options->assume_version, &failed);
        target->options.tool = keep(target, options->tool, &failed);
    }
    if (failed) {
        pyi_target_close(target);
        return NULL;
    }
    return target;
}

/* ---- process ---- */

/* proc(5): hidepid=2 takes other users' processes out of /proc, hidepid=1 closes their folders.
 * The number itself is no secret: kill() tells. */
static int hidden(const struct pyi_target *target, struct pyi_error *err)
{
    pyi_error_set(err, PYI_E_PERM, "process %d is hidden from you", (int)target->pid);
    pyi_error_slug(err, "hidden");
    pyi_error_why(err, "/proc does not show the processes of other users (mount option hidepid)");
    return PYI_E_PERM;
}

static int no_process(const struct pyi_target *target, struct pyi_error *err)
{
    if (target->pid > 0 && kill(target->pid, 0) < 0 && errno == EPERM)
        return hidden(target, err);
    pyi_error_set(err, PYI_E_GONE, "no process with PID %d", (int)target->pid);
    pyi_error_slug(err, "no-process");
    pid_t outer = target->pid > 0 ? pyi_process_find_inner(target->proc, target->pid) : 0;
    struct pyi_access_places here = pyi_access_here();
    if (outer)
        pyi_error_note(err, "the process that calls itself %d inside its container is here: %d",
                       (int)target->pid, (int)outer);
    else if (pyi_access_in_container(&here))
        pyi_error_note(err,
                       "PIDs inside a container differ from the host's; see pyinstrument --ps");
    return PYI_E_GONE;
}

int pyi_open_process(struct pyi_target *target, struct pyi_error *err)
{
    if (target->pid <= 0)
        return no_process(target, err);
    struct pyi_process_status *status = &target->status;
    int code = pyi_process_status(target->proc, target->pid, status, err);
    if (code == 0)
        code = pyi_process_stat(target->proc, target->pid, 0, &target->stat, err);
    if (code == PYI_E_GONE)
        return no_process(target, err);
    if (code == PYI_E_PERM)
        return hidden(target, err);
    if (code < 0)
        return code;
    target->reader = pyi_process_living_thread(target->proc, target->pid);
    if (target->reader == 0) {
        pyi_error_set(err, PYI_E_GONE,
                      "process %d has ended but its parent has not collected it (zombie)",
                      (int)target->pid);
        pyi_error_slug(err, "zombie");
        return PYI_E_GONE;
    }
    if (status->kernel_thread || (!status->has_memory && target->reader == target->pid &&
                                  (status->pid == 2 || status->parent == 2))) {
        pyi_error_set(err, PYI_E_NOTPYTHON, "process %d is a kernel thread", (int)target->pid);
        pyi_error_slug(err, "kernel-thread");
        return PYI_E_NOTPYTHON;
    }
    return 0;
}

/* ---- access ---- */

static int refused(const struct pyi_target *target, const char *what, int os_errno,
                   struct pyi_error *err)
{
    struct pyi_access_places here = pyi_access_here();
    return pyi_access_error(&here, target->pid, what, os_errno, err);
}

/* One byte of the first mapping that holds ordinary memory. */
static int read_one_byte(struct pyi_target *target, struct pyi_error *err)
{
    for (size_t i = 0; i < target->maps.count; i++) {
        const struct pyi_mapping *mapping = &target->maps.mappings[i];
        if (!mapping->read || mapping->path[0] == '[')
            continue;
        unsigned char byte;
        int code = pyi_memory_read(target->memory, mapping->start, &byte, 1, err);
        return code == PYI_E_FAULT ? 0 : code;
    }
    return 0;
}

int pyi_open_access(struct pyi_target *target, struct pyi_error *err)
{
    struct pyi_error reason = {0};
    int code = pyi_maps_read(target->proc, target->reader, &target->maps, &reason);
    if (code == PYI_E_PERM)
        return refused(target, "/proc/PID/maps", reason.os_errno, err);
    if (code == 0 && !target->memory)
        code = pyi_memory_open_live(target->reader, &target->memory, &reason);
    if (code == 0)
        code = read_one_byte(target, &reason);
    if (code == PYI_E_PERM)
        return refused(target, "process_vm_readv and /proc/PID/mem", reason.os_errno, err);
    if (code < 0) {
        if (err)
            *err = reason;
        return code;
    }
    char path[64];
    snprintf(path, sizeof(path), "%s/%d/mem", target->proc, (int)target->reader);
    if (target->mm < 0)
        target->mm = open(path, O_RDONLY | O_CLOEXEC);
    return 0;
}

/* ---- program ---- */

int pyi_open_program(struct pyi_target *target, struct pyi_error *err)
{
    char path[64];
    struct pyi_elf_kind kind;
    snprintf(path, sizeof(path), "%s/%d/exe", target->proc, (int)target->reader);
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pyi_elf_kind_fd(fd, &kind, NULL) < 0)
        return 0; /* the mappings may still tell */
    if (kind.bits == 32) {
        const char *machine = pyi_elf_machine_name(kind.machine);
        pyi_error_set(err, PYI_E_NOTPYTHON,
                      "process %d is a 32-bit program (ELF32 %s); this build of pyinstrument is "
                      "64-bit",
                      (int)target->pid, machine ? machine : "of another machine");
        pyi_error_slug(err, "bits-32");
        pyi_error_note(err, "a 32-bit build can profile it");
        return PYI_E_NOTPYTHON;
    }
    struct pyi_strbuf program = {0};
    char safe[64];
    pyi_process_program(target->proc, target->reader, &program);
    pyi_text_safe(pyi_strbuf_get(&program), safe, sizeof(safe));
    pyi_strbuf_deinit(&program);
    if (strncmp(safe, "qemu-", 5) == 0 && strncmp(safe, "qemu-system", 11) != 0) {
        pyi_error_set(err, PYI_E_NOTPYTHON,
                      "process %d runs under %s; attach from inside the emulated system",
                      (int)target->pid, safe);
        pyi_error_slug(err, "arch");
        return PYI_E_NOTPYTHON;
    }
    return 0;
}

/* ---- runtime ---- */

int pyi_open_runtime(struct pyi_target *target, double deadline, struct pyi_error *err)
{
    double pause = 0;
    for (;;) {
        struct pyi_runtime_search search = {.proc = target->proc,
                                            .pid = target->reader,
                                            .memory = target->memory,
                                            .maps = &target->maps,
                                            .libpython = target->options.libpython,
                                            .assume_version = target->options.assume_version,
                                            .tool = target->options.tool,
                                            .log = target->options.log};
        struct pyi_error reason = {0};
        int code = pyi_runtime_find(&search, &target->runtime, &reason);
        /* The loader may not have mapped libpython yet. */
        bool early = code == PYI_E_NOTPYTHON && strcmp(reason.slug, "no-symbols") == 0;
        if (code == 0 || !early || !wait_a_little(deadline, &pause)) {
            if (code < 0 && err)
                *err = reason;
            return code;
        }
        code = pyi_maps_read(target->proc, target->reader, &target->maps, err);
        if (code < 0)
            return code;
    }
}

/* ---- python ---- */

/* A program that has the library mapped, like the first process of a web server whose workers
 * run Python, may never start it. A program called python will. */
static bool is_unused(const struct pyi_target *target)
{
    struct pyi_strbuf program = {0};
    struct pyi_version_name name;
    bool started = true;
    pyi_process_program(target->proc, target->reader, &program);
    bool python = program.length && pyi_version_from_name(program.data, &name);
    pyi_strbuf_deinit(&program);
    return !python && target->python && pyi_cpython_started(target->python, &started, NULL) == 0 &&
           !started;
}

static int not_ready(const struct pyi_target *target, struct pyi_error *err)
{
    if (!target->image && is_unused(target)) {
        pyi_error_set(err, PYI_E_NOTPYTHON,
                      "process %d (%s) has loaded Python but has not started it", (int)target->pid,
                      target->status.name);
        pyi_error_slug(err, "python-unused");
        pyi_error_why(err, "no interpreter in the runtime found through %s", target->runtime.found);
        pyi_identify_children(target->proc, target->pid, err);
        return PYI_E_NOTPYTHON;
    }
    pyi_error_set(err, PYI_E_NOTPYTHON, "Python in process %d has not finished starting",
                  (int)target->pid);
    pyi_error_slug(err, "python-not-ready");
    return PYI_E_NOTPYTHON;
}

/* The decoders and whether the interpreter is up; structures that make no sense may be ones
 * that are still being set up. */
static int try_python(struct pyi_target *target, bool *ready, struct pyi_error *err)
{
    int code = 0;
    *ready = false;
    if (!target->python)
        code = pyi_cpython_open(target->memory, &target->runtime, &target->options,
                                &target->functions, &target->python, err);
    if (code == 0)
        code = pyi_cpython_ready(target->python, ready, err);
    return code;
}

/* The decoders know versions, not processes: whose version it is, and what we support. */
static void refuse_version(const struct pyi_target *target, const struct pyi_error *reason,
                           struct pyi_error *err)
{
    char version[32];
    const char *tool = target->options.tool ? target->options.tool : "this program";
    if (!err)
        return;
    *err = *reason;
    pyi_error_set(err, reason->code, "process %d runs Python %s%s; %s supports " PYI_RUNTIME_RANGE,
                  (int)target->pid, pyi_version_format(target->runtime.hexversion, version),
                  target->runtime.free_threaded ? "t" : "", tool);
    pyi_error_slug(err, reason->slug);
    pyi_error_note(err, "%s", reason->note);
    if (reason->why[0])
        pyi_error_why(err, "%s; %s", reason->message, reason->why);
    else
        pyi_error_why(err, "%s", reason->message);
}

static bool may_change(int code)
{
    return code == 0 || code == PYI_E_FAULT || code == PYI_E_TORN || code == PYI_E_FORMAT;
}

/* A runtime found while the loader was still at work was found without its types: their
 * objects were not relocated yet. Now that the interpreter runs they are there. */
static int find_types_again(struct pyi_target *target, double deadline, struct pyi_error *err)
{
    int code = pyi_maps_read(target->proc, target->reader, &target->maps, err);
    if (code == 0)
        code = pyi_open_runtime(target, deadline, err);
    if (code < 0)
        return code;
    pyi_cpython_close(target->python);
    target->python = NULL;
    bool ready;
    return try_python(target, &ready, err);
}

int pyi_open_python(struct pyi_target *target, double deadline, struct pyi_error *err)
{
    if (!target->facts)
        target->facts = target->image
                            ? pyi_facts_new_image(target->image, target->memory)
                            : pyi_facts_new(target->proc, &target->status, target->memory);
    if (!target->state)
        target->state = pyi_sched_new(target->proc, target->pid);
    if (!target->facts || !target->state)
        return pyi_error_nomem(err);
    target->functions = pyi_facts_functions(target->facts);
    double pause = 0;
    for (;;) {
        struct pyi_error reason = {0};
        bool ready;
        int code = try_python(target, &ready, &reason);
        if (code == 0 && ready)
            return pause > 0 && !target->runtime.code_type ? find_types_again(target, deadline, err)
                                                           : 0;
        if (may_change(code) && !target->image && wait_a_little(deadline, &pause))
            continue;
        if (code == 0 || code == PYI_E_FAULT || code == PYI_E_TORN)
            return target->image && code < 0
                       ? pyi_error_set(err, PYI_E_FORMAT, "%s", reason.message)
                       : not_ready(target, err);
        if (code == PYI_E_VERSION && reason.slug[0])
            refuse_version(target, &reason, err);
        else if (err)
            *err = reason;
        return code;
    }
}

/* ---- info ---- */

static bool keep_os_bytes(struct pyi_target *target, const char *bytes, size_t length,
                          struct pyi_text *out)
{
    struct pyi_strbuf text = {0};
    pyi_strbuf_os_bytes(&text, bytes, length);
    struct pyi_text view = pyi_strbuf_get(&text);
    char *copy = text.failed ? NULL : pyi_arena_copy(&target->arena, view.data, view.length);
    *out = (struct pyi_text){copy ? copy : "", copy ? view.length : 0};
    pyi_strbuf_deinit(&text);
    return copy != NULL;
}

static bool read_arguments(struct pyi_target *target)
{
    struct pyi_strbuf raw = {0};
    bool fine = true;
    size_t count = 0, next = 0;
    if (pyi_process_read(target->proc, target->reader, "cmdline", (size_t)8 << 20, &raw, NULL) < 0)
        raw.length = 0;
    for (size_t at = 0; at < raw.length && count < ARGUMENTS_MAX; count++)
        at += strnlen(raw.data + at, raw.length - at) + 1;
    struct pyi_text *arguments =
        count ? pyi_arena_alloc(&target->arena, count * sizeof(*arguments)) : NULL;
    fine = count == 0 || arguments;
    for (size_t at = 0; fine && next < count; next++) {
        size_t length = strnlen(raw.data + at, raw.length - at);
        fine = keep_os_bytes(target, raw.data + at, length, &arguments[next]);
        at += length + 1;
    }
    target->info.arguments = arguments;
    target->info.argument_count = fine ? count : 0;
    pyi_strbuf_deinit(&raw);
    return fine;
}

static bool live_info(struct pyi_target *target)
{
    struct pyi_target_info *info = &target->info;
    struct pyi_strbuf text = {0};
    info->pid = target->pid;
    info->parent = target->status.parent;
    info->start_time = pyi_process_start_time(target->stat.start_ticks);
    if (pyi_process_link(target->proc, target->reader, "exe", &text, NULL) < 0)
        pyi_strbuf_reset(&text);
    bool fine = keep_os_bytes(target, text.data ? text.data : "", text.length, &info->executable);
    pyi_strbuf_reset(&text);
    pyi_process_root(target->proc, target->reader, &text);
    fine = fine && keep_os_bytes(target, text.data ? text.data : "", text.length, &info->root) &&
           read_arguments(target);
    pyi_strbuf_deinit(&text);
    return fine;
}

static void image_info(struct pyi_target *target)
{
    struct pyi_target_info *info = &target->info;
    info->pid = target->image->pid;
    info->parent = target->image->parent;
    info->start_time = target->image->start_time;
    info->executable = target->image->executable;
    info->root = target->image->root;
    info->arguments = target->image->arguments;
    info->argument_count = target->image->argument_count;
}

int pyi_open_info(struct pyi_target *target, struct pyi_error *err)
{
    struct pyi_target_info *info = &target->info;
    const struct pyi_runtime *runtime = &target->runtime;
    char version[32];
    pyi_version_format(runtime->hexversion, version);
    info->major = PYI_VERSION_MAJOR_OF(runtime->hexversion);
    info->minor = PYI_VERSION_MINOR_OF(runtime->hexversion);
    info->micro = PYI_VERSION_MICRO_OF(runtime->hexversion);
    info->build = pyi_text(runtime->free_threaded ? "free-threaded"
                           : runtime->debug       ? "debug"
                                                  : "default");
    /* Their offsets are from headers, and the tests run on memory made from those. */
    info->untested = runtime->free_threaded && info->major == 3 && info->minor >= 14;
    info->found = pyi_text(runtime->found);
    info->layout = pyi_text(pyi_cpython_layout_source(target->python));
    info->runtime = runtime->address;
    bool fine = keep_os_bytes(target, version, strlen(version), &info->version);
    if (target->image)
        image_info(target);
    else
        fine = live_info(target) && fine;
    return fine ? 0 : pyi_error_nomem(err);
}

int pyi_open_image_rest(struct pyi_target *target, struct pyi_error *err)
{
    target->pid = target->image->pid;
    target->runtime = target->image->runtime;
    int code = pyi_open_python(target, 0, err);
    return code < 0 ? code : pyi_open_info(target, err);
}
