/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * memory.h - reading another process's memory, whatever it comes from.
 *
 * One const row of operations per back-end: a live process (memory_live.c), a recorded image
 * (memory_image.c), and pages kept of another one (memory.c). Decoders above never know which one they read. Addresses are
 * integers: a remote address must not be mistaken for a pointer of ours.
 */
#ifndef PYI_ATTACH_MEMORY_H
#define PYI_ATTACH_MEMORY_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <string.h>
#include <sys/types.h>

typedef uint64_t pyi_addr;

/** A remote range and where its bytes go. */
struct pyi_range {
    pyi_addr address;
    size_t length;
    void *into;
    size_t got; /* set by the read: bytes that arrived, from the start of the range */
};

struct pyi_memory;

struct pyi_memory_ops {
    const char *name;
    /** Reads the ranges in order, in as few system calls as can be; stops at the first byte that
     *  is not readable and leaves `got` of it and all later ranges short. Errors only when
     *  nothing more can be read from this target at all: GONE, PERM, OS. */
    int (*read)(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                struct pyi_error *err);
    void (*close)(struct pyi_memory *memory);
};

struct pyi_memory {
    const struct pyi_memory_ops *ops;
    uint64_t calls; /* system calls made for reading */
    uint64_t bytes;
    /** When set, every range that arrived is also given here (image recording). */
    void (*tap)(void *context, pyi_addr address, const void *bytes, size_t length);
    void *tap_context;
};

int pyi_memory_open_live(pid_t pid, struct pyi_memory **out, struct pyi_error *err) PYI_MUST_CHECK;
/** True for a live memory that is read through /proc/PID/mem, the system call being refused. */
bool pyi_memory_live_by_file(const struct pyi_memory *memory);
/** Reads through another thread of the same process from now on: one that has ended has no
 *  memory any more. Only for a live memory. */
void pyi_memory_live_thread(struct pyi_memory *memory, pid_t tid);
void pyi_memory_close(struct pyi_memory *memory);

/** Vectored read; see pyi_memory_ops.read. More ranges than the kernel takes at once are split. */
int pyi_memory_readv(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                     struct pyi_error *err) PYI_MUST_CHECK;
/** Exactly `length` bytes or FAULT. */
int pyi_memory_read(struct pyi_memory *memory, pyi_addr address, void *into, size_t length,
                    struct pyi_error *err) PYI_MUST_CHECK;

/**
 * A memory that reads `under` in whole pages and keeps them, for one walk over many small objects
 * that lie close together: as many calls as pages instead of one per object. What it keeps is as
 * old as the first look: forget it before every walk. While `under` has a tap it keeps nothing.
 * `under` must outlive it. NULL on lack of memory; closed with pyi_memory_close().
 */
struct pyi_memory *pyi_memory_new_pages(struct pyi_memory *under);
/** Reads the pages of all addresses that it does not have yet, as one vector. What is not mapped
 *  is no error. Errors: GONE, PERM, OS. */
int pyi_memory_load_pages(struct pyi_memory *pages, const pyi_addr *addresses, size_t count,
                          struct pyi_error *err) PYI_MUST_CHECK;
void pyi_memory_forget_pages(struct pyi_memory *pages);

/** Little-endian loads from a local copy, which may start anywhere. The targets are little-endian
 *  as we are: a 64-bit reader reads only its own machine's processes. */
static inline uint64_t pyi_load_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint32_t pyi_load_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline int32_t pyi_load_i32(const void *at)
{
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

#endif
