/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * memory_image.h - the memory one round touched, in a file.
 *
 * An image holds facts about the process, then byte ranges sorted by address that do not
 * overlap. All numbers are little-endian:
 *
 *      0  8 bytes  "PYIMAGE\n"
 *      8  u32      version, 1
 *     12  u32      number of facts
 *     16  u32      number of ranges
 *     20  u32      0
 *     24  facts    u32 kind, u32 length, `length` bytes each; enum pyi_image_fact; numbers are
 *                  u64, texts have no NUL; a reader passes over kinds it does not know
 *         ranges   u64 address, u64 length each
 *         bytes    of all ranges, one after the other; the file ends with them
 *
 * Where one address was read more than once the latest bytes are kept: a stack that was torn is
 * read again, and the last attempt is the one that was delivered.
 */
#ifndef PYI_ATTACH_MEMORY_IMAGE_H
#define PYI_ATTACH_MEMORY_IMAGE_H

#include "attach/memory/memory.h"
#include "attach/runtime.h"
#include "src/base/text.h"
#include <pyinstrument/types.h>

enum pyi_image_fact {
    PYI_IMAGE_PID = 1,
    PYI_IMAGE_PARENT = 2,
    PYI_IMAGE_RUNTIME = 3, /* address of _PyRuntime */
    PYI_IMAGE_VERSION = 4, /* PY_VERSION_HEX */
    PYI_IMAGE_FLAGS = 5,   /* 1 free-threaded, 2 debug, 4 has debug offsets */
    PYI_IMAGE_CODE_TYPE = 6,
    PYI_IMAGE_TYPE_TYPE = 7,
    PYI_IMAGE_FOUND = 8,
    PYI_IMAGE_EXECUTABLE = 9,
    PYI_IMAGE_ARGUMENT = 10,   /* once per argument, in order */
    PYI_IMAGE_START_TIME = 11, /* Unix seconds, an IEEE double */
    PYI_IMAGE_THREAD = 12,     /* u64 tid here, u64 tid as it sees itself, the kernel's name */
    PYI_IMAGE_ROOT = 13,
};

struct pyi_image_thread {
    pid_t tid, inner;
    struct pyi_text name;
};

/** What an image says besides memory. */
struct pyi_image_facts {
    pid_t pid, parent;
    struct pyi_runtime runtime;
    struct pyi_text executable, root;
    const struct pyi_text *arguments;
    size_t argument_count;
    const struct pyi_image_thread *threads;
    size_t thread_count;
    double start_time;
};

/** Opens an image file. `*facts` belongs to the memory and lives until it is closed. Errors:
 *  OS, FORMAT, LIMIT, NOMEM. */
int pyi_memory_open_image(const char *path, struct pyi_memory **out,
                          const struct pyi_image_facts **facts,
                          struct pyi_error *err) PYI_MUST_CHECK;
/** The same from bytes, which are copied. */
int pyi_memory_open_image_bytes(const void *bytes, size_t length, struct pyi_memory **out,
                                const struct pyi_image_facts **facts,
                                struct pyi_error *err) PYI_MUST_CHECK;

/** Collects what is read. */
struct pyi_image_recorder;
/** NULL on lack of memory. */
struct pyi_image_recorder *pyi_image_recorder_new(void);
void pyi_image_recorder_free(struct pyi_image_recorder *recorder);
/** For pyi_memory.tap; the context is the recorder. */
void pyi_image_recorder_tap(void *recorder, pyi_addr address, const void *bytes, size_t length);
/** Appends the image to `out`. Errors: NOMEM (also of earlier taps), LIMIT. */
int pyi_image_recorder_write(struct pyi_image_recorder *recorder,
                             const struct pyi_image_facts *facts, struct pyi_strbuf *out,
                             struct pyi_error *err) PYI_MUST_CHECK;

#endif
