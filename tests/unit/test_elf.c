/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_elf.c - symbols of our own program and C library, from files and from memory, against
 * what the dynamic linker says; and damaged files.
 */
#include "attach/elf.h"
#include "attach/process.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    struct pyi_memory *memory;
    struct pyi_maps maps;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    *state = fixture;
    return !fixture || pyi_memory_open_live(getpid(), &fixture->memory, NULL) < 0 ||
           pyi_maps_read(PYI_PROC, getpid(), &fixture->maps, NULL) < 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    pyi_memory_close(fixture->memory);
    pyi_maps_deinit(&fixture->maps);
    free(fixture);
    return 0;
}

static const struct pyi_mapped_file *file_of(const struct fixture *fixture, const void *address)
{
    const struct pyi_mapping *mapping = pyi_maps_at(&fixture->maps, (uintptr_t)address);
    assert_non_null(mapping);
    assert_int_not_equal(mapping->file, PYI_NO_FILE);
    return &fixture->maps.files[mapping->file];
}

static struct pyi_elf *open_file_of(const struct fixture *fixture, const void *address,
                                    const char **how)
{
    struct pyi_elf *elf = NULL;
    assert_int_equal(pyi_elf_open_mapped(PYI_PROC, getpid(), fixture->memory, &fixture->maps,
                                         file_of(fixture, address), &elf, how, NULL),
                     0);
    return elf;
}

/* Data, because a function's address may be that of a stub. */
static void test_dynamic_symbols_of_the_c_library(void **state)
{
    const void *environment = dlsym(RTLD_DEFAULT, "_libc_intl_domainname");
    const char *how = NULL;
    uint64_t value = 0;
    assert_non_null(environment);
    struct pyi_elf *elf = open_file_of(*state, environment, &how);
    assert_true(pyi_elf_dynamic_symbol(elf, "_libc_intl_domainname", &value));
    assert_int_equal(value + pyi_elf_bias(elf), (uintptr_t)environment);
    assert_false(pyi_elf_dynamic_symbol(elf, "_PyRuntime", &value));
    assert_false(pyi_elf_dynamic_symbol(elf, "", &value));
    uint8_t id[64];
    size_t id_length = pyi_elf_build_id(elf, id);
    assert_true(id_length == 0 || id_length >= 8);

    /* The same answers from the loaded copy, which the dynamic linker has relocated. */
    const struct fixture *fixture = *state;
    const struct pyi_mapped_file *file = file_of(fixture, environment);
    struct pyi_elf *loaded = NULL;
    uint64_t again = 0;
    uint8_t id_again[64];
    assert_int_equal(pyi_elf_open_memory(fixture->memory, fixture->maps.mappings[file->first].start,
                                         &loaded, NULL),
                     0);
    assert_int_equal(pyi_elf_bias(loaded), pyi_elf_bias(elf));
    assert_true(pyi_elf_dynamic_symbol(loaded, "_libc_intl_domainname", &again));
    assert_int_equal(again, value);
    assert_false(pyi_elf_dynamic_symbol(loaded, "_PyRuntime", &again));
    assert_false(pyi_elf_has_sections(loaded));
    assert_int_equal(pyi_elf_build_id(loaded, id_again), id_length);
    assert_memory_equal(id, id_again, id_length);
    pyi_elf_close(loaded);
    pyi_elf_close(elf);
}

int pyi_test_elf_variable = 1234567;
static const char marker[] = "constant of test_elf";

static void test_static_symbols_and_sections_of_ourselves(void **state)
{
    const char *how = NULL;
    struct pyi_elf *elf = open_file_of(*state, marker, &how);
    assert_string_equal(how, "exe link");
    static const char *const names[] = {"no_such_symbol", "pyi_test_elf_variable"};
    uint64_t values[] = {5, 5};
    assert_int_equal(pyi_elf_static_symbols(elf, names, values, 2), 1);
    assert_int_equal(values[0], 5);
    assert_int_equal(values[1] + pyi_elf_bias(elf), (uintptr_t)&pyi_test_elf_variable);
    struct pyi_elf_section section;
    assert_true(pyi_elf_section(elf, ".rodata", &section));
    uint64_t at = (uintptr_t)marker - pyi_elf_bias(elf);
    assert_true(at >= section.address && at - section.address < section.size);
    char bytes[sizeof(marker)];
    assert_true(pyi_elf_read(elf, at, bytes, sizeof(bytes)));
    assert_memory_equal(bytes, marker, sizeof(marker));
    assert_false(pyi_elf_section(elf, ".symtab", &section)); /* not in memory */
    assert_false(pyi_elf_section(elf, ".none", &section));
    assert_false(pyi_elf_read(elf, UINT64_MAX - 3, bytes, 8));
    pyi_elf_close(elf);
}

static void test_another_file_under_the_path_is_not_taken(void **state)
{
    const char *how = NULL;
    struct fixture *fixture = *state;
    const struct pyi_mapped_file *file = file_of(fixture, marker);
    struct pyi_mapped_file *forged = &fixture->maps.files[file - fixture->maps.files];
    forged->inode++;
    struct pyi_elf *elf = NULL;
    struct pyi_error err = {0};
    int code = pyi_elf_open_mapped("/nonexistent", getpid(), fixture->memory, &fixture->maps,
                                   forged, &elf, &how, &err);
    assert_int_equal(code, 0);
    assert_string_equal(how, "memory of the process");
    pyi_elf_close(elf);
}

/* ---- damaged files ---- */

static int memory_file(const void *bytes, size_t length)
{
    int fd = memfd_create("elf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    return fd;
}

static void use(const unsigned char *bytes, size_t length)
{
    struct pyi_elf *elf = NULL;
    static const char *const names[] = {"_PyRuntime", "main"};
    uint64_t value, values[2];
    struct pyi_elf_section section;
    uint8_t id[64];
    if (pyi_elf_open_fd(memory_file(bytes, length), &elf, NULL) < 0)
        return;
    pyi_elf_dynamic_symbol(elf, "main", &value);
    pyi_elf_static_symbols(elf, names, values, 2);
    for (size_t i = 0; i < 4; i++)
        pyi_elf_constants(elf, i, &section);
    pyi_elf_build_id(elf, id);
    pyi_elf_close(elf);
}

static void test_damaged_files_are_survived(void **state)
{
    static unsigned char bytes[65536], copy[65536];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t length = pread(fd, bytes, sizeof(bytes), 0);
    close(fd);
    assert_true(length > 4096);
    for (size_t cut = 0; cut < 2048; cut += 3)
        use(bytes, cut);
    use(bytes, (size_t)length);
    uint32_t random = 12345;
    for (int round = 0; round < 300; round++) {
        memcpy(copy, bytes, (size_t)length);
        for (int i = 0; i < 8; i++) {
            random = random * 1103515245 + 12345;
            copy[(random >> 8) % 1024] = (unsigned char)random;
        }
        memcpy(copy, bytes, 20); /* keep it an ELF file */
        use(copy, (size_t)length);
    }
}

static void test_kinds(void **state)
{
    Elf32_Ehdr header = {.e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = EM_386};
    struct pyi_elf_kind kind;
    struct pyi_elf *elf = NULL;
    struct pyi_error err = {0};
    header.e_ident[EI_CLASS] = ELFCLASS32;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    int fd = memory_file(&header, sizeof(header));
    assert_int_equal(pyi_elf_kind_fd(fd, &kind, NULL), 0);
    assert_int_equal(kind.bits, 32);
    assert_string_equal(pyi_elf_machine_name(kind.machine), "i386");
    close(fd);
    assert_int_equal(pyi_elf_open_fd(memory_file(&header, sizeof(header)), &elf, &err),
                     PYI_E_FORMAT);
    close(memory_file("#!/bin/sh", 9));
    fd = memory_file("#!/bin/sh and more than one header of text follows here....", 59);
    assert_int_equal(pyi_elf_kind_fd(fd, &kind, NULL), PYI_E_FORMAT);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dynamic_symbols_of_the_c_library, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_static_symbols_and_sections_of_ourselves, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_another_file_under_the_path_is_not_taken, set_up,
                                        tear_down),
        cmocka_unit_test(test_damaged_files_are_survived),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
