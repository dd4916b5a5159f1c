/* SPDX-License-Identifier: BSD-3-Clause */
/* output.h - buffered output into a sink; files appear whole or not at all. */
#ifndef PYI_BASE_OUTPUT_H
#define PYI_BASE_OUTPUT_H

#include "src/base/text.h"
#include <pyinstrument/error.h>
#include <pyinstrument/renderer.h>
#include <pyinstrument/types.h>

/* Collects 64 KiB before it calls the sink. The first failure is kept: later writes do nothing
 * and pyi_output_finish() reports it, so renderers check once. */
struct pyi_output {
    const struct pyi_sink *sink;
    char *buffer;
    size_t length, capacity;
    uint64_t total; /* bytes written so far, buffered ones included */
    int code;       /* 0 or the first failure */
    struct pyi_error error;
};

void pyi_output_init(struct pyi_output *output, const struct pyi_sink *sink);
void pyi_output_bytes(struct pyi_output *output, const void *bytes, size_t length);
void pyi_output_string(struct pyi_output *output, const char *nul_terminated);
void pyi_output_text(struct pyi_output *output, struct pyi_text text);
void pyi_output_char(struct pyi_output *output, char byte);
void pyi_output_format(struct pyi_output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Flushes, frees the buffer, returns the first failure. */
int pyi_output_finish(struct pyi_output *output, struct pyi_error *err) PYI_MUST_CHECK;

/* ---- sinks ---- */

/* Appends to a string. */
struct pyi_sink pyi_sink_strbuf(struct pyi_strbuf *buffer);
/* Writes to a descriptor, continuing after short writes and EINTR. */
struct pyi_sink pyi_sink_fd(int *fd);

/* A file under a temporary name in the same directory until it is complete. A path that is not
 * a regular file (/dev/stdout, a FIFO) is written directly. So is an existing file that may be
 * written in a directory where no other may be made, and one that no other can be renamed over (a
 * mount point): it keeps its old contents until the first write, not until the last. */
struct pyi_file;
int pyi_file_create(const char *path, struct pyi_file **out, struct pyi_error *err) PYI_MUST_CHECK;
struct pyi_sink pyi_file_sink(struct pyi_file *file);
/* Flushes and renames over `path`; on failure the old file is still there, unless it had to be
 * written directly. Frees `file`. */
int pyi_file_commit(struct pyi_file *file, struct pyi_error *err) PYI_MUST_CHECK;
/* Removes the temporary file. NULL is fine. */
void pyi_file_abandon(struct pyi_file *file);

#endif
