/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * elf.c - fuzz target: any bytes as an ELF file, read as a file and as a loaded copy.
 */
#include "attach/elf.h"
#include "attach/version.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE 0x7f0000000000u

/* The input, mapped at BASE. */
struct mapped {
    struct pyi_memory memory;
    const uint8_t *data;
    size_t size;
};

static int mapped_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                       struct pyi_error *err)
{
    const struct mapped *mapped = (const struct mapped *)memory;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].address < BASE || ranges[i].address - BASE >= mapped->size)
            return 0;
        size_t at = ranges[i].address - BASE, left = mapped->size - at;
        ranges[i].got = left < ranges[i].length ? left : ranges[i].length;
        memcpy(ranges[i].into, mapped->data + at, ranges[i].got);
        if (ranges[i].got < ranges[i].length)
            return 0;
    }
    return 0;
}
static const struct pyi_memory_ops mapped_ops = {.name = "mapped", .read = mapped_read};

static void use(struct pyi_elf *elf)
{
    static const char *const names[] = {"_PyRuntime", "PyInterpreterState_Head", "PyType_Type"};
    uint64_t values[3] = {0};
    struct pyi_elf_section section;
    uint8_t id[64];
    for (size_t i = 0; i < 3; i++)
        pyi_elf_dynamic_symbol(elf, names[i], &values[i]);
    pyi_elf_static_symbols(elf, names, values, 3);
    pyi_elf_section(elf, ".PyRuntime", &section);
    for (size_t i = 0; pyi_elf_constants(elf, i, &section) && i < 8; i++) {
        char *bytes = section.size < 1 << 20 ? malloc(section.size + 1) : NULL;
        uint32_t found[4];
        if (bytes && pyi_elf_read(elf, section.address, bytes, section.size))
            pyi_version_scan(bytes, section.size, 0, 0, found, 0, 4);
        free(bytes);
    }
    pyi_elf_build_id(elf, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_elf *elf = NULL;
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (pyi_elf_open_fd(fd, &elf, NULL) == 0) {
        use(elf);
        pyi_elf_close(elf);
    }
    struct mapped mapped = {.memory = {.ops = &mapped_ops}, .data = data, .size = size};
    if (pyi_elf_open_memory(&mapped.memory, BASE, &elf, NULL) == 0) {
        use(elf);
        pyi_elf_close(elf);
    }
    return 0;
}
