/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list_head.c - where PyInterpreterState_Head() looks, out of its machine code.
 *
 * Comes in: the first bytes of the function, which every CPython exports (2.7-3.15, pystate.c:
 * "return _PyRuntime.interpreters.head", before 3.7 "return interp_head"). Goes out: the address of
 * the pointer it returns, and of the runtime when the code names that. Both machines are tried:
 * what one takes for such a function the other does not. Must not know files or processes.
 */
#include "attach/runtime.h"

#include <string.h>

/* ---- x86-64 ---------------------------------------------------------------------------------- */

/* A load relative to the next instruction; or the runtime's address, from the GOT or computed, and
 * a load with a displacement. */
static bool decode_x86(struct pyi_memory *memory, uint64_t address,
                       const unsigned char code[PYI_HEAD_CODE], uint64_t *head, uint64_t *runtime)
{
    const unsigned char *at = code;
    static const unsigned char end_branch[] = {0xf3, 0x0f, 0x1e, 0xfa};
    if (memcmp(at, end_branch, sizeof(end_branch)) == 0)
        at += sizeof(end_branch);
    bool load = at[0] == 0x48 && at[1] == 0x8b && at[2] == 0x05;
    bool compute = at[0] == 0x48 && at[1] == 0x8d && at[2] == 0x05;
    if (!load && !compute)
        return false;
    uint64_t place = address + (uint64_t)(at - code) + 7 + (uint64_t)(int64_t)pyi_load_i32(at + 3);
    at += 7;
    if (load && at[0] == 0xc3) {
        *head = place;
        *runtime = 0;
        return true;
    }
    int64_t displacement;
    if (at[0] == 0x48 && at[1] == 0x8b && at[2] == 0x40 && at[4] == 0xc3)
        displacement = (int8_t)at[3];
    else if (at[0] == 0x48 && at[1] == 0x8b && at[2] == 0x80 && at[7] == 0xc3)
        displacement = pyi_load_i32(at + 3);
    else
        return false;
    unsigned char pointer[8];
    if (load) {
        if (pyi_memory_read(memory, place, pointer, sizeof(pointer), NULL) < 0)
            return false;
        place = pyi_load_u64(pointer);
    }
    *runtime = place;
    *head = place + (uint64_t)displacement;
    return true;
}

/* ---- aarch64 --------------------------------------------------------------------------------- */

/* What a register holds. */
struct held {
    enum { NOTHING, ADDRESS, LOADED } kind; /* LOADED: what stands at `value` */
    uint64_t value;
};

struct arm {
    struct pyi_memory *memory;
    struct held registers[32];
    uint64_t runtime;
};

/* Instructions of the frame and of pointer authentication, which do not matter: hints; stp, ldp of
 * x29 and x30 on the stack; mov x29, sp. */
static bool is_frame_work(uint32_t word)
{
    return (word & 0xfffff01f) == 0xd503201f || (word & 0xfec07fff) == 0xa8807bfd ||
           (word & 0xfec07fff) == 0xa8c07bfd || word == 0x910003fd;
}

/* One instruction at `address`; false when it is none that such a function has. */
static bool step(struct arm *arm, uint64_t address, uint32_t word)
{
    unsigned to = word & 31, from = word >> 5 & 31, number = word >> 10 & 0xfff;
    const struct held source = arm->registers[from];
    if ((word & 0x9f000000) == 0x90000000) { /* adrp */
        int64_t pages = (int64_t)((word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3));
        pages -= (pages & 1 << 20) << 1;
        arm->registers[to] =
            (struct held){ADDRESS, (address & ~UINT64_C(4095)) + ((uint64_t)pages << 12)};
        return true;
    }
    if ((word & 0xffc00000) == 0x91000000 && source.kind == ADDRESS) { /* add, immediate */
        arm->registers[to] = (struct held){ADDRESS, source.value + number};
        arm->runtime = source.value + number;
        return true;
    }
    if ((word & 0xffc00000) != 0xf9400000) /* ldr, 64 bits, unsigned offset */
        return is_frame_work(word);
    uint64_t base = source.value;
    unsigned char pointer[8];
    if (source.kind == NOTHING)
        return false;
    if (source.kind == LOADED) { /* from the GOT */
        if (pyi_memory_read(arm->memory, base, pointer, sizeof(pointer), NULL) < 0)
            return false;
        base = arm->runtime = pyi_load_u64(pointer);
    }
    arm->registers[to] = (struct held){LOADED, base + 8 * (uint64_t)number};
    return true;
}

static bool decode_arm(struct pyi_memory *memory, uint64_t address,
                       const unsigned char code[PYI_HEAD_CODE], uint64_t *head, uint64_t *runtime)
{
    struct arm arm = {.memory = memory};
    for (size_t at = 0; at < PYI_HEAD_CODE; at += 4) {
        uint32_t word = pyi_load_u32(code + at);
        /* ret, retaa */
        if (word == 0xd65f03c0 || word == 0xd65f0bff) {
            *head = arm.registers[0].value;
            *runtime = arm.runtime;
            return arm.registers[0].kind == LOADED;
        }
        if (!step(&arm, address + at, word))
            return false;
    }
    return false;
}

bool pyi_runtime_decode_head(struct pyi_memory *memory, uint64_t address,
                             const unsigned char code[PYI_HEAD_CODE], uint64_t *head,
                             uint64_t *runtime)
{
    uint64_t found_head, found_runtime;
    if (!decode_x86(memory, address, code, &found_head, &found_runtime) &&
        !decode_arm(memory, address, code, &found_head, &found_runtime))
        return false;
    *head = found_head;
    *runtime = found_runtime;
    return true;
}
