/* SPDX-License-Identifier: BSD-3-Clause */
/* outname.h - names of outfiles with the process or the time in them. */
#ifndef PYI_CLI_OUTNAME_H
#define PYI_CLI_OUTNAME_H

#include "src/base/text.h"
#include <stdbool.h>
#include <sys/types.h>

/* Whether each process gets a file of its own: `pattern` contains %p. */
bool pyi_outname_by_process(const char *pattern);
/* Appends `pattern` with %p as the process id, %t as local time of `start` (Unix seconds) in the
 * form of a stored session's identifier, %% as %. Anything else stays as it is. */
void pyi_outname_expand(const char *pattern, pid_t pid, double start, struct pyi_strbuf *out);

#endif
