/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fake_python.h - a small process image made by hand, for tests of the decoders.
 *
 * One flat range of memory at FAKE_BASE with an allocator, functions that lay out objects as a
 * given layout says, and a memory back-end that reads it. No process is involved.
 */
#ifndef PYI_TESTS_FAKE_PYTHON_H
#define PYI_TESTS_FAKE_PYTHON_H

#include "attach/layout/layout.h"
#include "attach/cpython/python.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FAKE_BASE UINT64_C(0x7f0000100000)
#define FAKE_SIZE ((size_t)1 << 21)

struct fake {
    struct pyi_memory memory;
    uint8_t bytes[FAKE_SIZE];
    size_t used;
    const struct pyi_layout *layout;
    pyi_addr type_type, code_type, str_type, frame_type, cell_type;
    pyi_addr restless; /* word that grows by 2 with every read call: an instruction that moves on */
};

static inline int fake_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                            struct pyi_error *err)
{
    struct fake *fake = (struct fake *)memory;
    memory->calls++;
    uint64_t *moving =
        fake->restless ? (uint64_t *)(fake->bytes + (fake->restless - FAKE_BASE)) : NULL;
    for (size_t i = 0; i < count; i++)
        ranges[i].got = 0;
    for (size_t i = 0; i < count; i++) {
        struct pyi_range *range = &ranges[i];
        if (range->address < FAKE_BASE || range->address >= FAKE_BASE + FAKE_SIZE)
            return 0;
        size_t left = FAKE_BASE + FAKE_SIZE - range->address;
        range->got = range->length < left ? range->length : left;
        memcpy(range->into, fake->bytes + (range->address - FAKE_BASE), range->got);
        if (range->got < range->length)
            break;
    }
    if (moving != NULL)
        *moving += 2;
    return 0;
}

static inline void fake_close(struct pyi_memory *memory)
{
    (void)memory;
}

static const struct pyi_memory_ops fake_ops = {"fake", fake_read, fake_close};

static inline pyi_addr fake_alloc(struct fake *fake, size_t size)
{
    pyi_addr at = FAKE_BASE + fake->used;
    fake->used += (size + 47) & ~(size_t)15;
    assert_true(fake->used <= FAKE_SIZE);
    return at;
}

static inline uint8_t *fake_at(struct fake *fake, pyi_addr address)
{
    assert_true(address >= FAKE_BASE && address < FAKE_BASE + FAKE_SIZE);
    return fake->bytes + (address - FAKE_BASE);
}

static inline void fake_u64(struct fake *fake, pyi_addr address, uint64_t value)
{
    memcpy(fake_at(fake, address), &value, 8);
}

static inline void fake_i32(struct fake *fake, pyi_addr address, int32_t value)
{
    memcpy(fake_at(fake, address), &value, 4);
}

static inline pyi_addr fake_object(struct fake *fake, pyi_addr type, size_t size)
{
    pyi_addr at = fake_alloc(fake, size);
    if (pyi_has_field(fake->layout->object_refcnt))
        fake_u64(fake, at + fake->layout->object_refcnt, 1);
    fake_u64(fake, at + fake->layout->object_type, type);
    return at;
}

static inline pyi_addr fake_type(struct fake *fake, const char *name, uint64_t flags)
{
    const struct pyi_layout *l = fake->layout;
    pyi_addr at = fake_object(fake, fake->type_type, 1024);
    pyi_addr text = fake_alloc(fake, strlen(name) + 1);
    memcpy(fake_at(fake, text), name, strlen(name) + 1);
    fake_u64(fake, at + l->type_name, text);
    fake_u64(fake, at + l->type_flags, flags);
    fake_u64(fake, at + l->type_basicsize, l->object_size);
    return at;
}

/* `width` 1 with bytes below 128 makes the ASCII kind. */
static inline pyi_addr fake_str_wide(struct fake *fake, const void *units, size_t length, int width,
                                     bool ascii)
{
    const struct pyi_layout *l = fake->layout;
    size_t head = ascii ? l->ascii_size : l->compact_size;
    pyi_addr at = fake_object(fake, fake->str_type, head + (length + 1) * (size_t)width);
    fake_u64(fake, at + l->ascii_length, length);
    int shift = l->free_threaded && l->minor >= 14 ? 6 : 0; /* `interned` is wider there */
    fake_i32(fake, at + l->ascii_state,
             (width << 2 | 1 << 5 | ascii << 6) << shift | (l->minor < 12 ? 1 << 7 : 0));
    memcpy(fake_at(fake, at + head), units, length * (size_t)width);
    return at;
}

static inline pyi_addr fake_str(struct fake *fake, const char *text)
{
    return fake_str_wide(fake, text, strlen(text), 1, true);
}

static inline pyi_addr fake_bytes(struct fake *fake, const void *data, size_t length)
{
    pyi_addr at = fake_object(fake, fake->str_type, fake->layout->bytes_data + length + 1);
    fake_u64(fake, at + fake->layout->var_size, length);
    memcpy(fake_at(fake, at + fake->layout->bytes_data), data, length);
    return at;
}

static inline pyi_addr fake_tuple(struct fake *fake, const pyi_addr *items, size_t count)
{
    pyi_addr at = fake_object(fake, fake->str_type, fake->layout->tuple_items + 8 * count);
    fake_u64(fake, at + fake->layout->var_size, count);
    for (size_t i = 0; i < count; i++)
        fake_u64(fake, at + fake->layout->tuple_items + 8 * i, items[i]);
    return at;
}

static inline pyi_addr fake_int(struct fake *fake, uint64_t value)
{
    const struct pyi_layout *l = fake->layout;
    pyi_addr at = fake_object(fake, fake->str_type, 64);
    size_t digits = 0;
    for (uint64_t rest = value; rest != 0; rest >>= 30)
        fake_i32(fake, at + l->long_digits + 4 * digits++, (int32_t)(rest & 0x3fffffff));
    fake_u64(fake, at + l->long_tag, l->minor >= 12 ? digits << 3 | (digits == 0) : digits);
    return at;
}

/* A code object of 20 instructions, five lines each on consecutive lines from first_line + 1. */
static inline pyi_addr fake_code(struct fake *fake, const char *name, const char *file,
                                 int32_t first_line, const char *local)
{
    static const uint8_t locations[] = {0xdb, 0, 0, 0xdb, 0, 0, 0xdb, 0, 0, 0xdb, 0, 0, 0xdb, 0, 0};
    static const uint8_t steps[] = {0, 1, 10, 1, 10, 1, 10, 1};
    static const uint8_t ranges[] = {10, 1, 10, 1, 10, 1, 10, 1};
    const struct pyi_layout *l = fake->layout;
    pyi_addr at = fake_object(fake, fake->code_type, 1024);
    pyi_addr local_name = local != NULL ? fake_str(fake, local) : 0;
    fake_u64(fake, at + l->code_name, fake_str(fake, name));
    fake_u64(fake, at + l->code_filename, fake_str(fake, file));
    fake_i32(fake, at + l->code_firstlineno, first_line);
    fake_i32(fake, at + l->code_flags, local != NULL ? 3 : 0);
    if (l->minor < 11) {
        uint8_t code[40] = {0};
        fake_u64(fake, at + l->code_linetable,
                 fake_bytes(fake, l->minor == 10 ? ranges : steps, sizeof(steps)));
        fake_u64(fake, at + l->code_code, fake_bytes(fake, code, sizeof(code)));
        fake_u64(fake, at + l->code_varnames, fake_tuple(fake, &local_name, local != NULL));
        fake_u64(fake, at + l->code_cellvars, fake_tuple(fake, NULL, 0));
        fake_i32(fake, at + l->code_nlocals, local != NULL);
        return at;
    }
    uint8_t kind = 0x20;
    fake_u64(fake, at + l->code_linetable, fake_bytes(fake, locations, sizeof(locations)));
    fake_u64(fake, at + l->var_size, 20);
    fake_u64(fake, at + l->code_localsplusnames, fake_tuple(fake, &local_name, local != NULL));
    fake_u64(fake, at + l->code_localspluskinds, fake_bytes(fake, &kind, local != NULL));
    fake_i32(fake, at + l->code_firsttraceable, 1);
    if (pyi_has_field(l->code_framesize))
        fake_i32(fake, at + l->code_framesize, (int32_t)l->iframe_localsplus / 8 + 4);
    fake_i32(fake, at + l->code_nlocalsplus, 1);
    fake_i32(fake, at + l->code_stacksize, 3);
    return at;
}

#define FAKE_FREE_THREADED 0x80000000u /* in a version: that build of it */

static inline struct fake *fake_new(uint32_t hexversion)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->memory.ops = &fake_ops;
    fake->layout =
        pyi_layout_row(hexversion & ~FAKE_FREE_THREADED, (hexversion & FAKE_FREE_THREADED) != 0);
    assert_non_null(fake->layout);
    fake->type_type = fake_type(fake, "type", UINT64_C(1) << 31);
    fake_u64(fake, fake->type_type + fake->layout->object_type, fake->type_type);
    fake->code_type = fake_type(fake, "code", 0);
    fake->str_type = fake_type(fake, "str", UINT64_C(1) << 28);
    fake->frame_type = fake_type(fake, "frame", 0);
    fake->cell_type = fake_type(fake, "cell", 0);
    return fake;
}

/* A decoder over the image, with `runtime` as the address of the runtime structure. */
static inline struct pyi_cpython *fake_open(struct fake *fake, pyi_addr runtime, size_t max_depth)
{
    struct pyi_runtime where = {.address = runtime};
    struct pyi_target_options options = {.max_depth = max_depth};
    struct pyi_cpython *python = NULL;
    assert_int_equal(
        pyi_cpython_open_layout(&fake->memory, &where, fake->layout, &options, NULL, &python, NULL),
        0);
    return python;
}

#endif
