/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core.c - fuzz target: any bytes as a core dump, opened and, when that works, looked through.
 */
#include "attach/attach.h"
#include "attach/memory/memory_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void look_through(struct pyi_memory *memory, const struct pyi_core_facts *facts)
{
    char bytes[64];
    uint64_t end = 0;
    for (size_t i = 0; i < facts->maps.count && i < 1000; i++) {
        const struct pyi_mapping *mapping = &facts->maps.mappings[i];
        require(mapping->start >= end && mapping->end > mapping->start);
        end = mapping->end;
        (void)!pyi_memory_read(memory, mapping->start, bytes, sizeof(bytes), NULL);
        (void)!pyi_memory_read(memory, mapping->end - 8, bytes, sizeof(bytes), NULL);
    }
    for (size_t i = 0; i < facts->process.argument_count; i++)
        require(facts->process.arguments[i].data[facts->process.arguments[i].length] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_memory *memory;
    const struct pyi_core_facts *facts;
    struct pyi_target *target;
    struct pyi_error err = {0};
    char path[40];
    int fd = memfd_create("core", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (pyi_memory_open_core(path, NULL, &memory, &facts, &err) == 0) {
        look_through(memory, facts);
        pyi_memory_close(memory);
    } else {
        require(err.code < 0 && err.message[0]);
    }
    if (pyi_target_open_core(path, NULL, &target, &err) == 0)
        pyi_target_close(target);
    else
        require(err.code < 0 && err.message[0]);
    close(fd);
    return 0;
}
