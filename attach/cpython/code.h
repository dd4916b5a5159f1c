/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * code.h - code objects by address, remembered and checked.
 */
#ifndef PYI_CPYTHON_CODE_H
#define PYI_CPYTHON_CODE_H

#include "attach/attach.h"
#include "attach/cpython/linetable.h"
#include "attach/memory/memory.h"
#include "src/base/arena.h"
#include "src/base/hash.h"

struct pyi_cpython;

/** The first local variable's name, as far as it matters. */
enum pyi_first_local { PYI_FIRST_OTHER, PYI_FIRST_SELF, PYI_FIRST_CLS };

/** What becomes of a frame that stands at an instruction. */
enum pyi_leaving { PYI_LEAVING_NOT, PYI_LEAVING_RETURNS, PYI_LEAVING_RAISES };

/** One code object of the target, by address. Its place in memory never changes; its contents do
 *  when the address is found to hold another code object, and then `version` grows. */
struct pyi_code_entry {
    pyi_addr address;
    const struct pyi_code *code; /* NULL: an internal trampoline that has no name */
    uint32_t version;
    bool valid;          /* false: read again before use */
    uint64_t generation; /* the interpreters' code generation it was last compared at */
    uint32_t checked;    /* round of the last comparison */

    /* What tells one code object from another at the same address. */
    pyi_addr name_at, filename_at, linetable_at;
    uint64_t size_word;
    int32_t first_line;

    pyi_addr start;   /* first instruction, 3.11+ */
    pyi_addr *copies; /* free-threaded 3.14+: of the copies that threads run, 0 none */
    size_t copy_count;
    uint64_t length;         /* bytes of instructions */
    uint32_t frame_words;    /* words of a frame on the data stack, 3.11+ */
    int32_t first_traceable; /* instruction index before which a frame counts as not started */
    enum pyi_first_local first_local;
    bool first_is_cell; /* 3.11+: slot 0 may hold a cell */
    int32_t cell_slot;  /* up to 3.10: slot of the cell of the first local, -1 none */

    bool is_generator;     /* runs when it is resumed, always from another frame */
    bool has_locals;       /* 3.11+: a waiting frame's stack pointer is never 0 */
    uint32_t code_version; /* 3.12+: 0 none */
    uint8_t *leavings;     /* 3.11-3.13: enum pyi_leaving of each instruction, two bits each */

    struct pyi_line_run *lines;
    size_t line_count;
    int64_t last_offset; /* the latest answer, kept because loops ask again */
    int32_t last_line;
};

/** Zero-initialise. */
struct pyi_codes {
    struct pyi_map by_address; /* struct pyi_code_entry * as integer */
    struct pyi_map by_text;    /* hash of name, file and line -> struct pyi_code * */
    struct pyi_code_entry **entries;
    size_t count, capacity;
    struct pyi_code_entry **pending; /* scratch of a comparison */
    size_t pending_capacity;
    size_t oldest; /* rotates over the entries: where to look for those not compared for long */
    struct pyi_arena arena;
    uint32_t next_id;
    pyi_addr type; /* PyCode_Type, given or learned */
    uint64_t misses, reused;
    uint32_t cautious_until; /* round; the program has been seen to reuse code addresses */
};

void pyi_codes_deinit(struct pyi_codes *codes);
/** The code object at an address, read when it is not known or no longer valid. Errors: TORN (no
 *  code object), FAULT, LIMIT, and fatal. */
int pyi_codes_get(struct pyi_cpython *python, pyi_addr address, struct pyi_code_entry **out,
                  struct pyi_error *err) PYI_MUST_CHECK;
/** The constant record for a name, file, line and mark; texts must be interned in
 *  `python->texts`. Errors: NOMEM. */
int pyi_codes_share(struct pyi_cpython *python, struct pyi_text name, struct pyi_text file,
                    int32_t first_line, bool hide, const struct pyi_code **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** Bytes of a code object that pyi_codes_check() compares, from its start. */
size_t pyi_codes_window(const struct pyi_cpython *python);
/** Compares a fresh copy of the window; a difference makes the entry invalid. */
void pyi_codes_check(struct pyi_cpython *python, struct pyi_code_entry *entry,
                     const uint8_t *window);
/** Notes the interpreters' code generation in this round. */
void pyi_codes_generation(struct pyi_cpython *python, uint64_t generation);
/** Notes that an entry is as the target has it now. */
void pyi_codes_fresh(const struct pyi_cpython *python, struct pyi_code_entry *entry);
/** Whether an entry must be compared before this round may use it: when a code object was freed
 *  since (3.14+ counts that), else from time to time, else in every round while the program is
 *  known to free code objects. */
bool pyi_codes_stale(const struct pyi_cpython *python, const struct pyi_code_entry *entry);
/** 3.11+: where the instructions begin that a frame runs: free-threaded 3.14+ gives each thread a
 *  numbered copy of them. `instruction` is one of them and tells whether what is known still holds.
 *  Errors: as pyi_codes_get(). */
int pyi_codes_start(struct pyi_cpython *python, struct pyi_code_entry *entry, int32_t copy,
                    pyi_addr instruction, pyi_addr *start, struct pyi_error *err) PYI_MUST_CHECK;
/** 3.11-3.13: how the instruction at a byte offset leaves the frame. Reads the instructions once.
 *  Errors: as pyi_codes_get(). */
int pyi_codes_leaving(struct pyi_cpython *python, struct pyi_code_entry *entry, int64_t offset,
                      enum pyi_leaving *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Next entry that will soon have to be compared, from a rotating look at a few; NULL none. */
struct pyi_code_entry *pyi_codes_ageing(struct pyi_cpython *python);
/** Line at a byte offset from the first instruction. */
int32_t pyi_codes_line(struct pyi_code_entry *entry, int64_t offset);

#endif
