/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * facts.h - what only the operating system knows of the target's threads, for the decoders.
 */
#ifndef PYI_ATTACH_FACTS_H
#define PYI_ATTACH_FACTS_H

#include "attach/cpython/cpython.h"
#include "attach/memory/memory_image.h"
#include "attach/process.h"

struct pyi_facts;

/** Facts of a live process; borrows all. NULL on lack of memory. */
struct pyi_facts *pyi_facts_new(const char *proc, const struct pyi_process_status *status,
                                struct pyi_memory *memory);
/** Facts as an image recorded them. */
struct pyi_facts *pyi_facts_new_image(const struct pyi_image_facts *image,
                                      struct pyi_memory *memory);
void pyi_facts_free(struct pyi_facts *facts);
/** The functions the decoders call; valid until `facts` is freed. */
struct pyi_thread_facts pyi_facts_functions(struct pyi_facts *facts);

#endif
