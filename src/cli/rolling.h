/* SPDX-License-Identifier: BSD-3-Clause */
/* rolling.h - the files of --loop: their names, and which of them are kept. */
#ifndef PYI_CLI_ROLLING_H
#define PYI_CLI_ROLLING_H

#include "src/base/text.h"
#include <pyinstrument/error.h>
#include <sys/types.h>

/* Names this run has made, oldest first. Zero-initialise; `most` 0 keeps all. */
struct pyi_rolling {
    size_t most;
    char **names;
    size_t count, capacity;
};

/* NULL when a name can be made of the pattern and no two of them are equal, else what is wrong. */
const char *pyi_rolling_problem(const char *pattern);
/* %p: process id, %t: local time of `start` (Unix seconds) as stored sessions are named, %%. */
void pyi_rolling_name(struct pyi_strbuf *out, const char *pattern, pid_t pid, double start);
/* A file of that name was made: removes the oldest beyond `most`. Errors: NOMEM; OS when one could
 * not be removed. */
int pyi_rolling_made(struct pyi_rolling *rolling, const char *name,
                     struct pyi_error *err) PYI_MUST_CHECK;
void pyi_rolling_deinit(struct pyi_rolling *rolling);

#endif
