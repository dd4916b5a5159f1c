/* SPDX-License-Identifier: BSD-3-Clause */
/* json_writer.h - JSON text into an output, with Python's spelling. */
#ifndef PYI_BASE_JSON_WRITER_H
#define PYI_BASE_JSON_WRITER_H

#include "src/base/output.h"
#include <pyinstrument/types.h>

/* A quoted string, everything outside U+0020..U+007E escaped (json.dumps). */
void pyi_json_write_ascii(struct pyi_output *output, struct pyi_text text);
/* A quoted string, only `"`, `\` and characters below U+0020 escaped; the rest as raw bytes,
 * U+DC80..U+DCFF as the byte they stand for. */
void pyi_json_write_raw(struct pyi_output *output, struct pyi_text text);
void pyi_json_write_number(struct pyi_output *output, struct pyi_number number);
/* "%f" */
void pyi_json_write_fixed(struct pyi_output *output, double value);

#endif
