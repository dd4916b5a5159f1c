/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memory.c - the live back-end reads ourselves, the image back-end reads what it recorded.
 */
#include "attach/memory/memory.h"
#include "attach/memory/memory_image.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGE 4096u

static struct pyi_memory *open_self(void)
{
    struct pyi_memory *memory = NULL;
    assert_int_equal(pyi_memory_open_live(getpid(), &memory, NULL), 0);
    return memory;
}

/* Three pages of which the last is not mapped. */
static unsigned char *two_pages_and_a_hole(void)
{
    unsigned char *bytes =
        mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    assert_int_equal(munmap(bytes + 2 * PAGE, PAGE), 0);
    for (size_t i = 0; i < 2 * PAGE; i++)
        bytes[i] = (unsigned char)(i * 7);
    return bytes;
}

static void test_live_stops_at_the_first_hole(void **state)
{
    unsigned char *bytes = two_pages_and_a_hole(), into[3][2 * PAGE];
    struct pyi_memory *memory = open_self();
    struct pyi_range ranges[] = {
        {(uintptr_t)bytes, 16, into[0], 99},
        {(uintptr_t)bytes + PAGE, 2 * PAGE, into[1], 99},
        {(uintptr_t)bytes, 16, into[2], 99},
    };
    assert_int_equal(pyi_memory_readv(memory, ranges, 3, NULL), 0);
    assert_int_equal(ranges[0].got, 16);
    assert_int_equal(ranges[1].got, PAGE);
    assert_int_equal(ranges[2].got, 0);
    assert_memory_equal(into[1], bytes + PAGE, PAGE);
    assert_int_equal(memory->calls, 1);
    assert_int_equal(memory->bytes, 16 + PAGE);
    struct pyi_error err = {0};
    assert_int_equal(pyi_memory_read(memory, (uintptr_t)bytes + PAGE, into[1], PAGE + 1, &err),
                     PYI_E_FAULT);
    assert_int_equal(pyi_memory_read(memory, (uintptr_t)bytes, into[1], 2 * PAGE, &err), 0);
    pyi_memory_close(memory);
    munmap(bytes, 2 * PAGE);
}

static void test_live_splits_long_vectors(void **state)
{
    enum { COUNT = IOV_MAX * 2 + 5 };
    static unsigned char from[COUNT], into[COUNT];
    static struct pyi_range ranges[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        from[i] = (unsigned char)(i * 13 + 1);
        ranges[i] = (struct pyi_range){(uintptr_t)&from[i], 1, &into[i], 0};
    }
    struct pyi_memory *memory = open_self();
    assert_int_equal(pyi_memory_readv(memory, ranges, COUNT, NULL), 0);
    assert_memory_equal(from, into, COUNT);
    assert_int_equal(memory->calls, 3);
    assert_int_equal(ranges[COUNT - 1].got, 1);
    pyi_memory_close(memory);
}

static void test_senseless_ranges_are_not_readable(void **state)
{
    char byte;
    struct pyi_memory *memory = open_self();
    struct pyi_range ranges[] = {
        {(uintptr_t)&byte, 1, &byte, 0},
        {UINT64_MAX - 3, 8, &byte, 99}, /* wraps around */
        {(uintptr_t)&byte, 1, &byte, 99},
    };
    assert_int_equal(pyi_memory_readv(memory, ranges, 3, NULL), 0);
    assert_int_equal(ranges[0].got, 1);
    assert_int_equal(ranges[1].got, 0);
    assert_int_equal(ranges[2].got, 0);
    struct pyi_range huge = {(uintptr_t)&byte, (size_t)1 << 40, &byte, 99};
    assert_int_equal(pyi_memory_readv(memory, &huge, 1, NULL), 0);
    assert_int_equal(huge.got, 0);
    assert_int_equal(pyi_memory_read(memory, 0xffffffffffff0000, &byte, 1, NULL), PYI_E_FAULT);
    assert_int_equal(pyi_memory_readv(memory, NULL, 0, NULL), 0);
    pyi_memory_close(memory);
}

static void test_no_such_process_is_gone(void **state)
{
    struct pyi_memory *memory = NULL;
    char byte;
    struct pyi_error err = {0};
    /* Above the largest pid the kernel gives out (PID_MAX_LIMIT, 4 Mi). */
    assert_int_equal(pyi_memory_open_live(0x7ffffff0, &memory, NULL), 0);
    assert_int_equal(pyi_memory_read(memory, 65536, &byte, 1, &err), PYI_E_GONE);
    assert_string_equal(err.slug, "no-process");
    pyi_memory_close(memory);
    assert_int_equal(pyi_memory_open_live(0, &memory, NULL), PYI_E_INVALID);
}

/* ---- images ---- */

static void record(struct pyi_strbuf *out)
{
    struct pyi_image_recorder *recorder = pyi_image_recorder_new();
    assert_non_null(recorder);
    pyi_image_recorder_tap(recorder, 0x20ffe, "abcd", 4); /* across a page border */
    pyi_image_recorder_tap(recorder, 0x10000, "old", 3);
    pyi_image_recorder_tap(recorder, 0x21002, "ef", 2); /* joins the first */
    pyi_image_recorder_tap(recorder, 0x10001, "newer", 5);
    struct pyi_text arguments[] = {{"python3", 7}, {"", 0}, {"a b", 3}};
    struct pyi_image_thread threads[] = {{70, 7, {"worker", 6}}, {71, 8, {"", 0}}};
    struct pyi_image_facts facts = {.pid = 70,
                                    .parent = 1,
                                    .runtime = {.address = 0xa000,
                                                .hexversion = 0x030e0af0,
                                                .debug_offsets = true,
                                                .code_type = 5,
                                                .type_type = 6,
                                                .found = ".dynsym of /x"},
                                    .executable = {"/x", 2},
                                    .root = {"", 0},
                                    .arguments = arguments,
                                    .argument_count = 3,
                                    .threads = threads,
                                    .thread_count = 2,
                                    .start_time = 12.5};
    assert_int_equal(pyi_image_recorder_write(recorder, &facts, out, NULL), 0);
    pyi_image_recorder_free(recorder);
}

static void test_image_gives_back_what_was_read(void **state)
{
    struct pyi_strbuf bytes = {0};
    record(&bytes);
    struct pyi_memory *memory = NULL;
    const struct pyi_image_facts *facts = NULL;
    assert_int_equal(pyi_memory_open_image_bytes(bytes.data, bytes.length, &memory, &facts, NULL),
                     0);
    char into[16] = {0};
    assert_int_equal(pyi_memory_read(memory, 0x10000, into, 6, NULL), 0);
    assert_memory_equal(into, "onewer", 6);
    assert_int_equal(pyi_memory_read(memory, 0x20fff, into, 5, NULL), 0);
    assert_memory_equal(into, "bcdef", 5);
    assert_int_equal(pyi_memory_read(memory, 0x20fff, into, 6, NULL), PYI_E_FAULT);
    assert_int_equal(pyi_memory_read(memory, 0x20ffd, into, 1, NULL), PYI_E_FAULT);
    assert_int_equal(facts->pid, 70);
    assert_int_equal(facts->runtime.address, 0xa000);
    assert_int_equal(facts->runtime.hexversion, 0x030e0af0);
    assert_true(facts->runtime.debug_offsets);
    assert_false(facts->runtime.free_threaded);
    assert_string_equal(facts->runtime.found, ".dynsym of /x");
    assert_int_equal(facts->argument_count, 3);
    assert_string_equal(facts->arguments[2].data, "a b");
    assert_int_equal(facts->thread_count, 2);
    assert_int_equal(facts->threads[0].inner, 7);
    assert_string_equal(facts->threads[0].name.data, "worker");
    assert_true(facts->start_time == 12.5);
    pyi_memory_close(memory);
    pyi_strbuf_deinit(&bytes);
}

static void test_every_truncation_is_refused(void **state)
{
    struct pyi_strbuf bytes = {0};
    record(&bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        struct pyi_memory *memory = NULL;
        const struct pyi_image_facts *facts = NULL;
        struct pyi_error err = {0};
        assert_int_equal(pyi_memory_open_image_bytes(bytes.data, length, &memory, &facts, &err),
                         PYI_E_FORMAT);
        assert_null(memory);
    }
    pyi_strbuf_deinit(&bytes);
}

/* Every single bit wrong: refused or read within bounds (the sanitizers watch). */
static void test_every_flipped_bit_is_survived(void **state)
{
    struct pyi_strbuf bytes = {0};
    record(&bytes);
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        struct pyi_memory *memory = NULL;
        const struct pyi_image_facts *facts = NULL;
        char into[64];
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        if (pyi_memory_open_image_bytes(bytes.data, bytes.length, &memory, &facts, NULL) == 0) {
            struct pyi_range ranges[] = {{0x10000, 64, into, 0}, {0x20ffe, 64, into, 0}};
            assert_int_equal(pyi_memory_readv(memory, ranges, 2, NULL), 0);
            pyi_memory_close(memory);
        }
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    pyi_strbuf_deinit(&bytes);
}

static size_t tapped;
static void count_tap(void *context, pyi_addr address, const void *bytes, size_t length)
{
    tapped += length;
}

static void test_tap_sees_only_what_arrived(void **state)
{
    unsigned char *bytes = two_pages_and_a_hole(), into[2 * PAGE];
    struct pyi_memory *memory = open_self();
    memory->tap = count_tap;
    struct pyi_range range = {(uintptr_t)bytes + PAGE, 2 * PAGE, into, 0};
    assert_int_equal(pyi_memory_readv(memory, &range, 1, NULL), 0);
    assert_int_equal(tapped, PAGE);
    pyi_memory_close(memory);
    munmap(bytes, 2 * PAGE);
}

static void test_pages_are_read_once(void **state)
{
    unsigned char *bytes = two_pages_and_a_hole(), into[2 * PAGE];
    struct pyi_memory *memory = open_self(), *pages = pyi_memory_new_pages(memory);
    const pyi_addr at = (uintptr_t)bytes;
    const pyi_addr wanted[] = {at + 100, at + PAGE, at + 5, at + 2 * PAGE};
    assert_non_null(pages);
    assert_int_equal(pyi_memory_load_pages(pages, wanted, 4, NULL), 0);
    assert_int_equal(memory->calls, 1);
    assert_int_equal(pyi_memory_read(pages, at + PAGE - 8, into, 16, NULL), 0);
    assert_memory_equal(into, bytes + PAGE - 8, 16);
    assert_int_equal(pyi_memory_read(pages, at, into, 2 * PAGE, NULL), 0);
    assert_memory_equal(into, bytes, 2 * PAGE);
    assert_int_equal(memory->calls, 1);
    /* What it keeps is as old as the first look, until it is told to forget. */
    bytes[3]++;
    assert_int_equal(pyi_memory_read(pages, at + 3, into, 1, NULL), 0);
    assert_int_equal((unsigned char)(into[0] + 1), bytes[3]);
    pyi_memory_forget_pages(pages);
    assert_int_equal(pyi_memory_read(pages, at + 3, into, 1, NULL), 0);
    assert_int_equal(into[0], bytes[3]);
    /* Across the end of the mapping: as much as there is. */
    struct pyi_range range = {at + PAGE, 2 * PAGE, into, 99};
    assert_int_equal(pyi_memory_readv(pages, &range, 1, NULL), 0);
    assert_int_equal(range.got, PAGE);
    assert_int_equal(pyi_memory_read(pages, at + 2 * PAGE - 1, into, 2, NULL), PYI_E_FAULT);
    pyi_memory_close(pages);
    pyi_memory_close(memory);
    munmap(bytes, 2 * PAGE);
}

static void test_pages_keep_nothing_from_a_tap(void **state)
{
    unsigned char *bytes = two_pages_and_a_hole(), into[16];
    struct pyi_memory *memory = open_self(), *pages = pyi_memory_new_pages(memory);
    assert_non_null(pages);
    memory->tap = count_tap;
    tapped = 0;
    assert_int_equal(pyi_memory_read(pages, (uintptr_t)bytes, into, 16, NULL), 0);
    assert_int_equal(tapped, 16);
    assert_int_equal(pyi_memory_read(pages, (uintptr_t)bytes, into, 16, NULL), 0);
    assert_int_equal(tapped, 32);
    pyi_memory_close(pages);
    pyi_memory_close(memory);
    munmap(bytes, 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_stops_at_the_first_hole),
        cmocka_unit_test(test_live_splits_long_vectors),
        cmocka_unit_test(test_senseless_ranges_are_not_readable),
        cmocka_unit_test(test_no_such_process_is_gone),
        cmocka_unit_test(test_image_gives_back_what_was_read),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_flipped_bit_is_survived),
        cmocka_unit_test(test_tap_sees_only_what_arrived),
        cmocka_unit_test(test_pages_are_read_once),
        cmocka_unit_test(test_pages_keep_nothing_from_a_tap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
