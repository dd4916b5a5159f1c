/* SPDX-License-Identifier: BSD-3-Clause */
/* format_arguments.h - the headline of a report from a template such as "Program: {args}". */
#ifndef PYI_CLI_FORMAT_ARGUMENTS_H
#define PYI_CLI_FORMAT_ARGUMENTS_H

#include "src/base/text.h"
#include <pyinstrument/error.h>

/* Appends the template with `args` put in, by the rules of Python's str.format() for one text
 * named args. Errors: INVALID with slug "usage" for a name that does not exist, slug
 * "description-bad" for everything Python would raise another error for; NOMEM. */
int pyi_format_arguments(struct pyi_text template, struct pyi_text args, struct pyi_strbuf *out,
                         struct pyi_error *err) PYI_MUST_CHECK;

#endif
