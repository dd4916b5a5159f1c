/* SPDX-License-Identifier: BSD-3-Clause */
/* launch.h - starting a program as our child, and telling its own frames from those around it. */
#ifndef PYI_RECORD_LAUNCH_H
#define PYI_RECORD_LAUNCH_H

#include "attach/attach.h"
#include "src/base/text.h"
#include <pyinstrument/error.h>
#include <stdbool.h>
#include <sys/types.h>

/* A child process, 0 when there is none. */
struct pyi_child {
    pid_t pid;
    bool collected; /* waitpid() has returned `status`; the pid may belong to another now */
    int status;
};

/* Starts argv[0] (searched in PATH) with everything inherited. Returns when the new image runs.
 * Errors: OS (slug script-exec: it cannot be executed), INVALID (empty argv), NOMEM. */
int pyi_child_start(struct pyi_child *child, char *const argv[],
                    struct pyi_error *err) PYI_MUST_CHECK;
/* Whether it has ended, without collecting it: its clocks stay readable. `status` as waitpid()
 * gives it, when it has. */
bool pyi_child_ended(const struct pyi_child *child, int *status);
/* Waits for its end and collects it; later calls give the same status. Errors: OS. */
int pyi_child_wait(struct pyi_child *child, int *status, struct pyi_error *err) PYI_MUST_CHECK;

/* How the program's module can be told from other modules of the start-up. */
enum pyi_program_kind {
    PYI_PROGRAM_UNKNOWN,
    PYI_PROGRAM_SCRIPT, /* its file has the last part of the script's path */
    PYI_PROGRAM_CODE,   /* its file is "<string>" */
    PYI_PROGRAM_MODULE, /* runpy runs it */
};

/* The program's own frames in a stack of the main thread. */
struct pyi_program {
    enum pyi_program_kind kind;
    const char *script;               /* for PYI_PROGRAM_SCRIPT; the caller's */
    const struct pyi_code *module;    /* code of its module, NULL until it was found */
    size_t base;                      /* entries below the module's when last seen */
    const struct pyi_code *candidate; /* seen in the latest stack, not yet believed */
    unsigned sightings;
};

/* What to look for; argv and program_argument as for pyi_recorder_launch(). */
void pyi_program_init(struct pyi_program *program, char *const argv[], int program_argument);
/* Looks for the program's module in a stack and remembers it. False when it is not there: the
 * interpreter starts up, or the program has left it. While the module is being waited for, call
 * it for every stack: one that may be torn is believed when it is seen again. */
bool pyi_program_find(struct pyi_program *program, const struct pyi_stack *stack);
/* Whether the stack shows an interpreter past the program: it joins the remaining threads. */
bool pyi_program_is_shutdown(const struct pyi_stack *stack);
/* Whether the process has a library mapped that gives one thread several Python stacks. */
bool pyi_program_switches_stacks(pid_t pid);

/* "Program: script.py a b": the words from the script, module, or code on; see
 * pyi_recorder_launch(). */
void pyi_program_describe(struct pyi_strbuf *buffer, char *const argv[], int program_argument);

#endif
