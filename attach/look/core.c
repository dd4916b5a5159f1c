/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core.c - a target that is a core dump: the steps of open.c, as far as there is no process.
 *
 * Comes in: a file. Goes out: a target whose rounds all give the same stacks, or why there is none.
 * It counts as an image: nothing asks /proc about a process that may be another one by now.
 */
#include "attach/memory/memory_core.h"
#include "attach/target.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <string.h>

/* No folder has this name: what is looked up there is not found. */
#define NO_PROC "/proc/self/fd/none"

/* What is only in a file that is not at hand reads as no Python, or as one without names. */
static int refuse(const struct pyi_core_facts *facts, const char *missing,
                  const struct pyi_error *reason, struct pyi_error *err)
{
    const bool nothing =
        reason->code == PYI_E_NOTPYTHON && strcmp(reason->slug, "not-cpython") != 0;
    char path[200];
    if (!err || (!missing && !nothing)) {
        if (err)
            *err = *reason;
        return reason->code;
    }
    if (!missing) {
        pyi_error_set(err, PYI_E_NOTPYTHON, "no Python is found in the core dump of process %d",
                      (int)facts->process.pid);
        pyi_error_slug(err, "core-no-python");
        return PYI_E_NOTPYTHON;
    }
    struct pyi_strbuf text = {0};
    pyi_strbuf_os_bytes(&text, missing, strlen(missing));
    pyi_error_set(err, PYI_E_NOTPYTHON,
                  "the core dump of process %d leaves out what is in %s, and that is %s",
                  (int)facts->process.pid, pyi_text_safe(pyi_strbuf_get(&text), path, sizeof(path)),
                  facts->missing_changed ? "another file now" : "not here");
    pyi_error_slug(err, "core-no-file");
    pyi_strbuf_deinit(&text);
    return PYI_E_NOTPYTHON;
}

/* The file the runtime is in, when it could not be used: it was given no device. */
static const char *unusable_file(const struct pyi_core_facts *facts, pyi_addr runtime)
{
    const struct pyi_mapping *mapping = pyi_maps_at(&facts->maps, runtime);
    return mapping && mapping->inode && !mapping->major && !mapping->minor ? mapping->path : NULL;
}

static int open_steps(struct pyi_target *target, const struct pyi_core_facts *facts,
                      struct pyi_error *err)
{
    struct pyi_runtime_search search = {.proc = target->proc,
                                        .pid = target->pid,
                                        .memory = target->memory,
                                        .maps = &facts->maps,
                                        .executable = facts->program,
                                        .assume_version = target->options.assume_version,
                                        .tool = target->options.tool,
                                        .log = target->options.log};
    struct pyi_error reason = {0};
    const char *missing = facts->missing;
    int code = pyi_runtime_find(&search, &target->runtime, &reason);
    if (code == 0 && (missing = unusable_file(facts, target->runtime.address)))
        code = PYI_E_NOTPYTHON;
    if (code == 0)
        code = pyi_open_python(target, 0, &reason);
    if (code < 0)
        return refuse(facts, code == PYI_E_NOTPYTHON ? missing : NULL, &reason, err);
    return pyi_open_info(target, err);
}

int pyi_target_open_core(const char *path, const struct pyi_target_options *options,
                         struct pyi_target **out, struct pyi_error *err)
{
    const struct pyi_core_facts *facts = NULL;
    struct pyi_target *target = pyi_open_new(0, options);
    if (!target)
        return pyi_error_nomem(err);
    int code = pyi_memory_open_core(path, target->options.libpython, &target->memory, &facts, err);
    if (code == 0) {
        target->proc = NO_PROC;
        target->image = &facts->process;
        target->pid = target->reader = facts->process.pid;
        code = open_steps(target, facts, err);
    }
    if (code < 0) {
        char safe[200];
        pyi_target_close(target);
        return pyi_error_prefix(err, code, "%s", pyi_text_safe(pyi_text(path), safe, sizeof(safe)));
    }
    *out = target;
    return 0;
}
