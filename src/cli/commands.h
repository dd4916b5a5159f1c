/* SPDX-License-Identifier: BSD-3-Clause */
/* commands.h - one function per thing the program can do; each returns the exit status. */
#ifndef PYI_CLI_COMMANDS_H
#define PYI_CLI_COMMANDS_H

#include "src/cli/errors.h"

#include <pyinstrument/types.h>

struct cJSON;

/* --load and --load-prev */
int pyi_command_load(const struct pyi_console *console);
/* --list-prev */
int pyi_command_list(const struct pyi_console *console);
/* --pid */
int pyi_command_attach(const struct pyi_console *console);
/* a script, -m or -c */
int pyi_command_launch(const struct pyi_console *console);
/* --diagnose */
int pyi_command_diagnose(const struct pyi_console *console);
/* --self-check */
int pyi_command_selfcheck(const struct pyi_console *console);
/* --dump, with --pid */
int pyi_command_dump(const struct pyi_console *console);
/* --ps */
int pyi_command_ps(const struct pyi_console *console);

/* What --c-labels asks for. */
enum pyi_c_labels pyi_command_c_labels(const struct pyi_options *given);

/* A JSON string of a text from a target: ASCII only, so that no terminal can be steered by it.
 * NULL on lack of memory, which cJSON's functions take. */
struct cJSON *pyi_command_json_text(struct pyi_text text);

#endif
