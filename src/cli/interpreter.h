/* SPDX-License-Identifier: BSD-3-Clause */
/* interpreter.h - which program to start, with which Python. */
#ifndef PYI_CLI_INTERPRETER_H
#define PYI_CLI_INTERPRETER_H

#include "src/base/text.h"
#include "src/cli/options/options.h"

/* Finds a command in PATH as a shell does; one with a slash is only checked. Appends the path.
 * False when there is no such executable file. */
bool pyi_path_search(const char *name, struct pyi_strbuf *out);
/* Name or path of the Python that a script's first line asks for, e.g. "python3" for
 * "#!/usr/bin/env python3". False when it asks for none. `line` need not end. */
bool pyi_shebang_python(struct pyi_text line, char *out, size_t size);

/* Name or path of the interpreter to start; `script` as below. Appends. */
void pyi_interpreter_choose(const struct pyi_options *options, const char *script,
                            struct pyi_strbuf *out);

/* Command that runs the program. */
struct pyi_program {
    char **argv;              /* interpreter, its options, script or value, arguments, NULL */
    int argument;             /* index of the program's own first argument */
    struct pyi_strbuf python; /* argv[0] */
    struct pyi_strbuf words;  /* what {args} stands for */
    const char *script;       /* NULL for -m and -c */
};

/* `script`: path that was found for it, NULL for -m and -c. Errors: NOMEM. */
int pyi_program_build(const struct pyi_options *options, const char *script,
                      struct pyi_program *out, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_program_deinit(struct pyi_program *program);

#endif
