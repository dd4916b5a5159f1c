/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * depth.h - the call instructions of a code object and how high the value stack stands at each.
 *
 * What instructions do is in opcode_table.inc.
 */
#ifndef PYI_CPYTHON_DEPTH_H
#define PYI_CPYTHON_DEPTH_H

#include "attach/cpython/code.h"
#include <pyinstrument/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Effect of an instruction with operand n on the depth, with parameters a and b. */
enum pyi_opcode_shape {
    PYI_SHAPE_UNKNOWN, /* no such instruction, or a form of another one */
    PYI_SHAPE_LINEAR,  /* a + b n */
    PYI_SHAPE_ODD,     /* a + b (n & 1) */
    PYI_SHAPE_BITS,    /* a - number of bits set in n & 15 */
    PYI_SHAPE_UNPACK,  /* (n & 255) + (n >> 8) */
    PYI_SHAPE_SLICE,   /* a, and b more when n is 3 */
    PYI_SHAPE_FORMAT,  /* a, and b more when n & 4 */
};
enum pyi_opcode_flow { PYI_FLOW_NEXT, PYI_FLOW_BRANCH, PYI_FLOW_JUMP, PYI_FLOW_END };
enum pyi_opcode_way { PYI_WAY_FORWARD, PYI_WAY_BACKWARD, PYI_WAY_ABSOLUTE };
enum pyi_opcode_role {
    PYI_ROLE_OTHER,
    PYI_ROLE_OPERATION, /* may run C code without being a call */
    PYI_ROLE_PREFIX,    /* EXTENDED_ARG */
    PYI_ROLE_GENERATOR_START,
    PYI_ROLE_LINE_HOOK, /* written over an instruction that is kept elsewhere: */
    PYI_ROLE_INSTRUCTION_HOOK,
    PYI_ROLE_EXECUTOR,
    PYI_ROLE_CALL_FUNCTION, /* calls, by where they keep the callable: */
    PYI_ROLE_CALL_FUNCTION_KW,
    PYI_ROLE_CALL_METHOD,
    PYI_ROLE_CALL_EX,
    PYI_ROLE_CALL,
    PYI_ROLE_CALL_KW,
};

struct pyi_opcode {
    uint8_t base;   /* the instruction it is a form of, itself for most */
    uint8_t caches; /* units of inline cache behind it */
    uint8_t shape;
    int8_t a, b;
    int8_t jump; /* what is added to the effect when the jump is taken */
    uint8_t flow, way, role;
    const char *name; /* NULL: no such opcode */
};

/** 256 rows for a minor version of Python 3, NULL when it is not known. */
const struct pyi_opcode *pyi_opcodes(int minor);

/** A call (or operation). Units are code units of two bytes from the first instruction. */
struct pyi_call_site {
    uint32_t first, at; /* its first EXTENDED_ARG; the instruction itself */
    uint32_t operand;
    int16_t depth; /* before it, -1 not known (never reached, or the ways to it disagree) */
    int16_t other; /* 3.8 only: a second depth that is possible, the larger one; -1 none */
    uint8_t role, opcode;
    uint8_t dull; /* of leaf.c: looks at it so far ... */
    bool lively;  /* ... and whether one has found a C function */
};

/**
 * Finds the calls in code that has no hooks in it, ordered by place. `handlers` is the exception
 * table of 3.11+, else empty. `operations`: also the instructions that are merely operations.
 * `*sites` gets a heap array. Errors: FORMAT (an instruction that does not exist: torn or not
 * this version's), NOMEM.
 */
int pyi_call_sites(int minor, const uint8_t *code, size_t length, const uint8_t *handlers,
                   size_t handlers_length, bool operations, struct pyi_call_site **sites,
                   size_t *count, struct pyi_error *err) PYI_MUST_CHECK;
/** The site an instruction pointer stands at, NULL when it is none. `prefixes`: standing at the
 *  EXTENDED_ARG before it counts too (up to 3.10 the index stays there). */
const struct pyi_call_site *pyi_call_site_at(const struct pyi_call_site *sites, size_t count,
                                             uint32_t unit, bool prefixes);

/** What stands on the value stack where a call keeps it; 0 where there is no object. */
struct pyi_call {
    pyi_addr callable, self; /* self: what a method is called on, else the first argument */
};
/** `stack` holds `depth` words, the lowest first, as they stood before the call. */
struct pyi_call pyi_call_find(int minor, const struct pyi_call_site *site, const uint8_t *stack,
                              size_t depth);

/** What a code object of the target calls. */
struct pyi_calls {
    struct pyi_call_site *sites; /* heap */
    size_t count;
    uint32_t locals, stack_size; /* co_nlocalsplus, co_stacksize; 3.11+ */
};
/** Reads a code object's instructions, as they were before hooks of tracing, monitoring and the
 *  JIT. Errors: as pyi_call_sites, FAULT, TORN, LIMIT, and fatal. */
int pyi_calls_read(struct pyi_cpython *python, const struct pyi_code_entry *entry, bool operations,
                   struct pyi_calls *out, struct pyi_error *err) PYI_MUST_CHECK;

#endif
