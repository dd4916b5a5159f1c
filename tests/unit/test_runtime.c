/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_runtime.c - versions out of names and texts, the list head out of machine code, and what
 * is said of processes that run no Python.
 */
#include "attach/runtime.h"
#include "attach/process.h"
#include "attach/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool python, library, debug, free_threaded;
        int major, minor;
    } rows[] = {
        {"python3.11", true, false, false, false, 3, 11},
        {"python3.11d", true, false, true, false, 3, 11},
        {"python3.11-dbg", true, false, true, false, 3, 11},
        {"python3.13t", true, false, false, true, 3, 13},
        {"python3.13td", true, false, true, true, 3, 13},
        {"python2.7", true, false, false, false, 2, 7},
        {"python3", true, false, false, false, 0, 0},
        {"python", true, false, false, false, 0, 0},
        {"libpython3.8.so.1.0", true, true, false, false, 3, 8},
        {"libpython3.7m.so.1.0", true, true, false, false, 3, 7},
        {"libpython3.15td.so", true, true, true, true, 3, 15},
        {"libpython3.so", false, false, false, false, 0, 0}, /* only forwards */
        {"libpython.so", false, false, false, false, 0, 0},
        {"libpython3.8.a", false, false, false, false, 0, 0},
        {"pythonista", false, false, false, false, 0, 0},
        {"sleep", false, false, false, false, 0, 0},
        {"", false, false, false, false, 0, 0},
        {"python3.999999999999999", false, false, false, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pyi_version_name name = {0};
        if (pyi_version_from_name(rows[i].name, &name) != rows[i].python)
            fail_msg("%s", rows[i].name);
        assert_int_equal(name.library, rows[i].library);
        assert_int_equal(name.debug, rows[i].debug);
        assert_int_equal(name.free_threaded, rows[i].free_threaded);
        assert_int_equal(name.major, rows[i].major);
        assert_int_equal(name.minor, rows[i].minor);
    }
}

static void test_texts_and_words(void **state)
{
    static const struct {
        const char *text, *back;
        uint32_t word;
    } rows[] = {
        {"3.14.10", "3.14.10", 0x030e0af0},   {"3.15.0rc1", "3.15.0rc1", 0x030f00c1},
        {"3.15.0a5", "3.15.0a5", 0x030f00a5}, {"3.12.1+", "3.12.1", 0x030c01f0},
        {"2.7.18", "2.7.18", 0x020712f0},
    };
    char out[32];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint32_t word = 0;
        assert_true(pyi_version_parse(rows[i].text, strlen(rows[i].text), &word));
        assert_int_equal(word, rows[i].word);
        assert_string_equal(pyi_version_format(word, out), rows[i].back);
        assert_true(pyi_version_plausible(word));
    }
    static const char *const wrong[] = {"",       "3",       "3.8",       "3.8.",
                                        "3.8.1x", "3.8.1rc", "3.8.1rc99", "a.b.c",
                                        "3..1",   "3.8.300", " 3.8.1",    "3.8.1 "};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint32_t word = 7;
        if (pyi_version_parse(wrong[i], strlen(wrong[i]), &word))
            fail_msg("\"%s\"", wrong[i]);
        assert_int_equal(word, 7);
    }
    assert_false(pyi_version_plausible(0));
    assert_false(pyi_version_plausible(0xffffffff));
    assert_false(pyi_version_plausible(0x030e0a00)); /* no such level */
}

static void test_scan(void **state)
{
    static const char bytes[] = "x\0003.8.18\0/opt/Python-3.8.18\0003.2.0\00013.8.7\0v3.8.9\0"
                                "3.8.5 (main)\0002.7.18\0003.8.99999999999999999999\0003.8.4";
    uint32_t found[8];
    assert_int_equal(pyi_version_scan(bytes, sizeof(bytes), 3, 8, found, 0, 8), 2);
    assert_int_equal(found[0], 0x030812f0);
    assert_int_equal(found[1], 0x030804f0);
    /* Without the last NUL the last text has no end. */
    assert_int_equal(pyi_version_scan(bytes, sizeof(bytes) - 1, 3, 8, found, 0, 8), 1);
    assert_int_equal(pyi_version_scan(bytes, sizeof(bytes), 0, 0, found, 0, 8), 4);
    assert_int_equal(pyi_version_scan(bytes, sizeof(bytes), 0, 0, found, 0, 1), 1);
    assert_int_equal(pyi_version_scan(bytes, 0, 0, 0, found, 0, 8), 0);
    assert_int_equal(pyi_version_scan(".", 1, 0, 0, found, 0, 8), 0);
}

/* ---- machine code ---- */

#define GOT_AT      0x402000u
#define GOT_CONTENT 0x7f0012340000u

static uint64_t got_at = GOT_AT, got_content = GOT_CONTENT;

static int got_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                    struct pyi_error *err)
{
    const uint64_t content = got_content;
    if (ranges[0].address == got_at && ranges[0].length == sizeof(content)) {
        memcpy(ranges[0].into, &content, sizeof(content));
        ranges[0].got = sizeof(content);
    }
    return 0;
}
static const struct pyi_memory_ops got_ops = {.name = "got", .read = got_read};

static void test_list_head_out_of_code(void **state)
{
    /* The function lies at 0x401000; 0x402000 is 0xff9 behind the 7-byte load, 0xff5 behind one
     * that follows an end-branch. */
    static const struct {
        unsigned char code[PYI_HEAD_CODE];
        bool known;
        uint64_t head, runtime;
    } rows[] = {
        {{0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0, 0xc3}, true, 0x402000, 0},
        {{0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8b, 0x05, 0xf5, 0x0f, 0, 0, 0xc3}, true, 0x402000, 0},
        {{0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0, 0x48, 0x8b, 0x40, 0x28, 0xc3},
         true,
         GOT_CONTENT + 0x28,
         GOT_CONTENT},
        {{0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0, 0x48, 0x8b, 0x80, 0x78, 0x02, 0, 0, 0xc3},
         true,
         GOT_CONTENT + 0x278,
         GOT_CONTENT},
        {{0x48, 0x8d, 0x05, 0xf9, 0x0f, 0, 0, 0x48, 0x8b, 0x40, 0x28, 0xc3},
         true,
         0x402028,
         0x402000},
        {{0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0, 0x48, 0x8b, 0x40, 0x28, 0x90}, false, 0, 0},
        {{0x48, 0x8b, 0x05, 0, 0x10, 0, 0, 0x48, 0x8b, 0x40, 0x28, 0xc3}, false, 0, 0},
        {{0x55, 0x48, 0x89, 0xe5}, false, 0, 0},
        {{0}, false, 0, 0},
    };
    struct pyi_memory memory = {.ops = &got_ops};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint64_t head = 0, runtime = 0;
        bool known = pyi_runtime_decode_head(&memory, 0x401000, rows[i].code, &head, &runtime);
        if (known != rows[i].known || head != rows[i].head || runtime != rows[i].runtime)
            fail_msg("row %zu: %d %llx %llx", i, known, (unsigned long long)head,
                     (unsigned long long)runtime);
    }
}

/* Debian's arm64 builds: python2.7 2.7.18 and python3.9 of bullseye, python3.11 and libpython3.11 of
 * bookworm, python3.13, libpython3.13, python3.15 and libpython3.15 of sid (3.13.18, 3.15.2). Where
 * the runtime is, and the offset of its list of interpreters, is known from the files' symbols. */
static void test_list_head_out_of_arm_code(void **state)
{
    static const struct {
        uint64_t address, got, runtime, offset;
        uint32_t code[12];
        bool names_runtime;
    } rows[] = {
        {0x66394, 0, 0x34e7b0, 0, {0x90001740, 0xf943d800, 0xd65f03c0}, false},
        {0x67be30, 0, 0x918890, 32, {0xb00014e0, 0xf9445800, 0xd65f03c0}, false},
        {0x68d910, 0, 0xa36008, 40, {0xb0001d40, 0xf9401800, 0xd65f03c0}, false},
        {0x775c68, 0, 0xab78a8, 632, {0xd503245f, 0xd0001a00, 0xf9459000, 0xd65f03c0}, false},
        {0x80a370,
         0,
         0xc13ca0,
         936,
         {0xd503233f, 0xa9bf7bfd, 0xd0002040, 0x910003fd, 0xa8c17bfd, 0xd50323bf, 0xf9402400,
          0xd65f03c0},
         false},
        {0x2a3820, 0x61fcc0, 0x726f80, 40, {0x90001be0, 0xf9466000, 0xf9401400, 0xd65f03c0}, true},
        {0x2f21f0,
         0x6dfc80,
         0x728bc8,
         632,
         {0xd503245f, 0xb0001f60, 0xf9464000, 0xf9413c00, 0xd65f03c0},
         true},
        {0x3ca350,
         0x87fa40,
         0x8d4fd0,
         936,
         {0xd503245f, 0xb00025a0, 0xf9452000, 0xd503233f, 0xa9bf7bfd, 0x910003fd, 0xf941d400,
          0xa8c17bfd, 0xd50323bf, 0xd65f03c0},
         true},
    };
    struct pyi_memory memory = {.ops = &got_ops};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint64_t head = 0, runtime = 0;
        unsigned char code[PYI_HEAD_CODE];
        memcpy(code, rows[i].code, sizeof(code)); /* both machines are little-endian */
        got_at = rows[i].got;
        got_content = rows[i].runtime;
        if (!pyi_runtime_decode_head(&memory, rows[i].address, code, &head, &runtime) ||
            head != rows[i].runtime + rows[i].offset ||
            runtime != (rows[i].names_runtime ? rows[i].runtime : 0))
            fail_msg("row %zu: %llx %llx", i, (unsigned long long)head,
                     (unsigned long long)runtime);
        /* No instruction may be missing or another one. */
        for (size_t at = 0; at < 12 && rows[i].code[at] != 0; at++) {
            if (rows[i].code[at] == 0xd503245f || rows[i].code[at] == 0xd503233f)
                continue;
            memcpy(code, rows[i].code, sizeof(code));
            memset(code + 4 * at, 0, 4);
            assert_false(pyi_runtime_decode_head(&memory, rows[i].address, code, &head, &runtime));
        }
    }
    got_at = GOT_AT;
    got_content = GOT_CONTENT;
}

/* ---- no Python ---- */

static void test_this_process_is_not_python(void **state)
{
    struct pyi_memory *memory = NULL;
    struct pyi_maps maps = {0};
    assert_int_equal(pyi_memory_open_live(getpid(), &memory, NULL), 0);
    assert_int_equal(pyi_maps_read(PYI_PROC, getpid(), &maps, NULL), 0);
    struct pyi_runtime_search search = {
        .proc = PYI_PROC, .pid = getpid(), .memory = memory, .maps = &maps};
    struct pyi_runtime runtime = {.address = 77};
    struct pyi_error err = {0};
    assert_int_equal(pyi_runtime_find(&search, &runtime, &err), PYI_E_NOTPYTHON);
    assert_string_equal(err.slug, "not-python");
    assert_non_null(strstr(err.message, "test_runtime"));
    assert_int_equal(runtime.address, 77);
    assert_false(pyi_runtime_looks_like_python(PYI_PROC, getpid(), &maps));
    search.libpython = "/usr/lib/libpython3.11.so.1.0";
    assert_int_equal(pyi_runtime_find(&search, &runtime, &err), PYI_E_NOTPYTHON);
    assert_string_equal(err.slug, "no-symbols");
    pyi_maps_deinit(&maps);
    pyi_memory_close(memory);
}

static void test_other_implementations(void **state)
{
    static const char *const rows[][2] = {
        {"7f0000000000-7f0000001000 r-xp 00000000 fe:01 99 /opt/pypy/libpypy3.9-c.so\n", "PyPy"},
        {"7f0000000000-7f0000001000 r-xp 00000000 fe:01 99 /opt/g/libpythonvm.so\n", "GraalPy"},
    };
    struct pyi_memory memory = {.ops = &got_ops};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pyi_maps maps = {0};
        struct pyi_runtime runtime;
        struct pyi_error err = {0};
        assert_int_equal(pyi_maps_parse(rows[i][0], strlen(rows[i][0]), &maps, NULL), 0);
        struct pyi_runtime_search search = {
            .proc = "/nonexistent", .pid = 70, .memory = &memory, .maps = &maps};
        assert_int_equal(pyi_runtime_find(&search, &runtime, &err), PYI_E_NOTPYTHON);
        assert_string_equal(err.slug, "not-cpython");
        assert_non_null(strstr(err.message, rows[i][1]));
        pyi_maps_deinit(&maps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts_and_words),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_list_head_out_of_code),
        cmocka_unit_test(test_list_head_out_of_arm_code),
        cmocka_unit_test(test_this_process_is_not_python),
        cmocka_unit_test(test_other_implementations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
