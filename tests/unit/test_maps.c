/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_maps.c - lines of /proc/PID/maps, ordinary and odd.
 */
#include "attach/maps.h"
#include "attach/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char text[] =
    "00400000-0041f000 r--p 00000000 fe:01 1234                               /usr/bin/python3.11\n"
    "0041f000-006c0000 r-xp 0001f000 fe:01 1234                               /usr/bin/python3.11\n"
    "006c0000-00700000 rw-p 002c0000 fe:01 1234                               /usr/bin/python3.11\n"
    "00700000-00710000 rw-p 00000000 00:00 0 \n"
    "01000000-01100000 rw-p 00000000 00:00 0                                  [heap]\n"
    "7f0000000000-7f0000001000 r--p 00000000 fe:01 99   /opt/a b/lib x.so (deleted)\n"
    "7f0000001000-7f0000002000 r-xp 00001000 fe:01 99   /opt/a b/lib x.so (deleted)\n"
    "7f0000003000-7f0000004000 r--s 00000000 00:05 7    /tmp/new\\012line\n"
    "7f0000004000-7f0000005000 r-xp 00000000 fe:02 1234 /usr/bin/python3.11\n"
    "7f0000005000-7f0000006000 rw-p 00000000 00:00 0\n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]";

static void test_lines_and_files(void **state)
{
    struct pyi_maps maps = {0};
    assert_int_equal(pyi_maps_parse(text, strlen(text), &maps, NULL), 0);
    assert_int_equal(maps.count, 11);
    assert_int_equal(maps.file_count, 4);
    assert_int_equal(maps.mappings[1].offset, 0x1f000);
    assert_true(maps.mappings[1].execute);
    assert_false(maps.mappings[1].write);
    assert_int_equal(maps.mappings[0].file, maps.mappings[2].file);
    assert_int_equal(maps.mappings[3].file, PYI_NO_FILE);
    assert_string_equal(maps.mappings[4].path, "[heap]");
    const struct pyi_mapped_file *gone = &maps.files[maps.mappings[5].file];
    assert_string_equal(gone->path, "/opt/a b/lib x.so");
    assert_true(gone->deleted);
    assert_true(gone->execute);
    assert_string_equal(maps.mappings[7].path, "/tmp/new\nline");
    assert_true(maps.mappings[7].shared);
    /* The same path on another device is another file. */
    assert_int_not_equal(maps.mappings[8].file, maps.mappings[0].file);
    assert_string_equal(maps.mappings[10].path, "[stack]");
    pyi_maps_deinit(&maps);
}

static void test_find_by_address(void **state)
{
    struct pyi_maps maps = {0};
    assert_int_equal(pyi_maps_parse(text, strlen(text), &maps, NULL), 0);
    assert_ptr_equal(pyi_maps_at(&maps, 0x400000), &maps.mappings[0]);
    assert_ptr_equal(pyi_maps_at(&maps, 0x41efff), &maps.mappings[0]);
    assert_ptr_equal(pyi_maps_at(&maps, 0x41f000), &maps.mappings[1]);
    assert_null(pyi_maps_at(&maps, 0x3fffff));
    assert_null(pyi_maps_at(&maps, 0x7f0000002000));
    assert_null(pyi_maps_at(&maps, UINT64_MAX));
    pyi_maps_deinit(&maps);
    assert_null(pyi_maps_at(&maps, 0));
}

static void test_malformed_lines(void **state)
{
    static const char *const lines[] = {
        "00400000 r--p 00000000 fe:01 1 /x",
        "00400000-00300000 r--p 00000000 fe:01 1 /x",
        "00400000-0041f000 r--p",
        "00400000-0041f000 r--p 00000000 fe:01",
        "g0400000-0041f000 r--p 00000000 fe:01 1 /x",
        "11111111111111111-22222222222222222 r--p 00000000 fe:01 1 /x",
        "00400000-0041f000 r--p 00000000 fe:01 12x /x",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct pyi_maps maps = {0};
        assert_int_equal(pyi_maps_parse(lines[i], strlen(lines[i]), &maps, NULL), PYI_E_FORMAT);
        assert_int_equal(maps.count, 0);
    }
    struct pyi_maps empty = {0};
    assert_int_equal(pyi_maps_parse("", 0, &empty, NULL), 0);
    assert_int_equal(empty.count, 0);
}

static void test_own_mappings(void **state)
{
    struct pyi_maps maps = {0};
    assert_int_equal(pyi_maps_read(PYI_PROC, getpid(), &maps, NULL), 0);
    const struct pyi_mapping *code = pyi_maps_at(&maps, (uintptr_t)test_own_mappings);
    const struct pyi_mapping *data = pyi_maps_at(&maps, (uintptr_t)text);
    assert_non_null(code);
    assert_non_null(data);
    assert_true(code->execute);
    assert_int_equal(code->file, data->file);
    pyi_maps_deinit(&maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_files),
        cmocka_unit_test(test_find_by_address),
        cmocka_unit_test(test_malformed_lines),
        cmocka_unit_test(test_own_mappings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
