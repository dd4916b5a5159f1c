/* SPDX-License-Identifier: BSD-3-Clause */
/* test_memory_core.c - core dumps made here: memory from the core and from mapped files, which files
 * are believed, threads and arguments, dumps as gcore writes them, damaged ones. */
#include "attach/memory/memory_core.h"

#include "src/base/text.h"
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define TEXT 0x400000ull /* a file's first page, dumped; its second one is not */
#define DATA 0x600000ull /* anonymous */

struct made {
    char path[64], mapped[64];
    int fd, mapped_fd;
    struct pyi_strbuf notes;
    Elf64_Phdr headers[4];
    unsigned count;
};

static void u64(struct pyi_strbuf *out, uint64_t value)
{
    pyi_strbuf_append(out, &value, 8);
}

static void put_note(struct made *made, uint32_t type, const void *bytes, size_t length)
{
    const Elf64_Nhdr head = {.n_namesz = 5, .n_descsz = (uint32_t)length, .n_type = type};
    pyi_strbuf_append(&made->notes, &head, sizeof(head));
    pyi_strbuf_append(&made->notes, "CORE\0\0\0\0", 8);
    pyi_strbuf_append(&made->notes, bytes, length);
    while (made->notes.length % 4)
        pyi_strbuf_char(&made->notes, '\0');
}

static char page[4096], second[4096];

/* Files in memory, which have a path as long as they are open. */
static void begin(struct made *made)
{
    *made = (struct made){.fd = memfd_create("core", 0), .mapped_fd = memfd_create("file", 0)};
    snprintf(made->path, sizeof(made->path), "/proc/self/fd/%d", made->fd);
    snprintf(made->mapped, sizeof(made->mapped), "/proc/self/fd/%d", made->mapped_fd);
    memcpy(page, ELFMAG, SELFMAG);
    memset(page + SELFMAG, 'p', sizeof(page) - SELFMAG);
    memset(second, 's', sizeof(second));
    assert_int_equal(write(made->mapped_fd, page, sizeof(page)), sizeof(page));
    assert_int_equal(write(made->mapped_fd, second, sizeof(second)), sizeof(second));
}

static void put_threads(struct made *made, pid_t first, pid_t last)
{
    for (pid_t tid = first; tid <= last; tid++) {
        char status[336] = {0};
        memcpy(status + 32, &tid, 4);
        put_note(made, NT_PRSTATUS, status, sizeof(status));
    }
}

static void put_process(struct made *made, pid_t pid, const char *arguments)
{
    char info[136] = {0};
    pid_t parent = 1;
    memcpy(info + 24, &pid, 4);
    memcpy(info + 28, &parent, 4);
    memcpy(info + 56, arguments, strnlen(arguments, 80));
    put_note(made, NT_PRPSINFO, info, sizeof(info));
}

/* Two pages of the file at TEXT. */
static void put_files(struct made *made)
{
    struct pyi_strbuf list = {0};
    u64(&list, 1), u64(&list, 4096);
    u64(&list, TEXT), u64(&list, TEXT + 8192), u64(&list, 0);
    pyi_strbuf_append(&list, made->mapped, strlen(made->mapped) + 1);
    put_note(made, NT_FILE, list.data, list.length);
    pyi_strbuf_deinit(&list);
}

static void put_segment(struct made *made, uint64_t at, uint64_t kept, uint64_t size,
                        uint32_t flags)
{
    made->headers[made->count++] = (Elf64_Phdr){.p_type = PT_LOAD,
                                                .p_vaddr = at,
                                                .p_filesz = kept,
                                                .p_memsz = size,
                                                .p_flags = flags,
                                                .p_align = 4096};
}

/* Headers, notes, then the contents of the segments, each page from `contents`. */
static void finish(struct made *made, const char *const *contents)
{
    Elf64_Ehdr head = {.e_type = ET_CORE,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof(head),
                       .e_ehsize = sizeof(head),
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = (uint16_t)(made->count + 1)};
    memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_ident[EI_DATA] = ELFDATA2LSB;
    head.e_ident[EI_VERSION] = EV_CURRENT;
    uint64_t at = sizeof(head) + (made->count + 1) * sizeof(Elf64_Phdr);
    Elf64_Phdr notes = {
        .p_type = PT_NOTE, .p_offset = at, .p_filesz = made->notes.length, .p_align = 4};
    at += made->notes.length;
    assert_int_equal(write(made->fd, &head, sizeof(head)), sizeof(head));
    assert_int_equal(write(made->fd, &notes, sizeof(notes)), sizeof(notes));
    for (unsigned i = 0; i < made->count; i++) {
        made->headers[i].p_offset = at;
        at += made->headers[i].p_filesz;
        assert_int_equal(write(made->fd, &made->headers[i], sizeof(notes)), sizeof(notes));
    }
    assert_int_equal(write(made->fd, made->notes.data, made->notes.length), made->notes.length);
    for (unsigned i = 0; i < made->count; i++)
        if (made->headers[i].p_filesz)
            assert_int_equal(write(made->fd, contents[i], made->headers[i].p_filesz),
                             made->headers[i].p_filesz);
}

static void made_free(struct made *made)
{
    close(made->fd);
    close(made->mapped_fd);
    pyi_strbuf_deinit(&made->notes);
}

/* The usual dump: the file's first page, its second one left out, a page of data. */
static void make(struct made *made, const char *first_page)
{
    begin(made);
    put_process(made, 77, "python3 app.py ");
    put_threads(made, 77, 79);
    put_files(made);
    put_segment(made, DATA, 4096, 4096, PF_R | PF_W);
    put_segment(made, TEXT, 4096, 8192, PF_R | PF_X);
    finish(made, (const char *const[]){second, first_page});
}

static struct pyi_memory *open_core(const struct made *made, const struct pyi_core_facts **facts)
{
    struct pyi_memory *memory;
    struct pyi_error err = {0};
    if (pyi_memory_open_core(made->path, NULL, &memory, facts, &err))
        fail_msg("%s", err.message);
    return memory;
}

static void test_memory_and_facts(void **state)
{
    struct made made;
    const struct pyi_core_facts *facts;
    char bytes[16];
    make(&made, page);
    struct pyi_memory *memory = open_core(&made, &facts);
    assert_int_equal(facts->process.pid, 77);
    assert_int_equal(facts->process.parent, 1);
    assert_int_equal(facts->process.argument_count, 2);
    assert_string_equal(facts->process.arguments[1].data, "app.py");
    assert_int_equal(facts->process.thread_count, 3);
    assert_int_equal(facts->process.threads[2].tid, 79);
    assert_null(facts->missing);
    assert_int_equal(pyi_memory_read(memory, DATA + 5, bytes, 16, NULL), 0);
    assert_memory_equal(bytes, second, 16);
    /* From the core, over the edge into the file, to the end of what there is. */
    assert_int_equal(pyi_memory_read(memory, TEXT + 4096 - 8, bytes, 16, NULL), 0);
    assert_memory_equal(bytes, "ppppppppssssssss", 16);
    assert_int_equal(pyi_memory_read(memory, TEXT + 8192 - 8, bytes, 16, NULL), PYI_E_FAULT);
    assert_int_equal(pyi_memory_read(memory, DATA - 8, bytes, 16, NULL), PYI_E_FAULT);
    assert_int_equal(pyi_memory_read(memory, UINT64_MAX - 3, bytes, 16, NULL), PYI_E_FAULT);
    const struct pyi_mapping *mapping = pyi_maps_at(&facts->maps, TEXT + 4096);
    assert_non_null(mapping);
    assert_string_equal(mapping->path, made.mapped);
    assert_true(mapping->execute && !mapping->write);
    assert_non_null(pyi_maps_at(&facts->maps, DATA));
    pyi_memory_close(memory);
    made_free(&made);
}

static void test_another_file_is_not_read(void **state)
{
    struct made made;
    const struct pyi_core_facts *facts;
    char bytes[16], other[4096];
    memcpy(other, page, sizeof(other));
    other[100] ^= 1;
    make(&made, other);
    struct pyi_memory *memory = open_core(&made, &facts);
    assert_string_equal(facts->missing, made.mapped);
    assert_true(facts->missing_changed);
    assert_int_equal(pyi_memory_read(memory, TEXT + 4096, bytes, 16, NULL), PYI_E_FAULT);
    assert_int_equal(pyi_memory_read(memory, TEXT, bytes, 16, NULL), 0);
    pyi_memory_close(memory);
    made_free(&made);
}

/* gcore's form: what is left out has no header either. */
static void test_parts_that_are_not_listed(void **state)
{
    struct made made;
    const struct pyi_core_facts *facts;
    char bytes[16];
    begin(&made);
    put_process(&made, 77, "python3");
    put_files(&made);
    put_segment(&made, TEXT, 4096, 4096, PF_R);
    put_segment(&made, DATA, 4096, 4096, PF_R | PF_W);
    finish(&made, (const char *const[]){page, second});
    struct pyi_memory *memory = open_core(&made, &facts);
    assert_int_equal(pyi_memory_read(memory, TEXT + 4096, bytes, 16, NULL), 0);
    assert_memory_equal(bytes, second, 16);
    const struct pyi_mapping *mapping = pyi_maps_at(&facts->maps, TEXT + 5000);
    assert_non_null(mapping);
    assert_true(mapping->execute);
    assert_int_equal(mapping->offset, 4096);
    pyi_memory_close(memory);
    made_free(&made);
}

static void assert_refused(const char *path, int code)
{
    struct pyi_memory *memory;
    const struct pyi_core_facts *facts;
    struct pyi_error err = {0};
    assert_int_equal(pyi_memory_open_core(path, NULL, &memory, &facts, &err), code);
    if (code == PYI_E_FORMAT)
        assert_string_equal(err.slug, "core-bad");
}

static void test_refusals(void **state)
{
    struct made made;
    assert_refused("/nonexistent", PYI_E_OS);
    assert_refused("/dev/null", PYI_E_FORMAT);
    assert_refused("/proc/self/exe", PYI_E_FORMAT);
    begin(&made);
    finish(&made, NULL);
    assert_refused(made.path, PYI_E_FORMAT);
    made_free(&made);
}

/* Cut at every length and with every byte of the headers turned over: an answer, no crash. */
static void test_damage(void **state)
{
    struct made made;
    struct stat status;
    make(&made, page);
    assert_int_equal(fstat(made.fd, &status), 0);
    char *whole = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, made.fd, 0);
    assert_true(whole != MAP_FAILED);
    const size_t interesting = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr) + made.notes.length;
    int fd = memfd_create("damaged", 0);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < 2 * interesting; i++) {
        struct pyi_memory *memory;
        const struct pyi_core_facts *facts;
        char bytes[64], flipped = (char)(whole[i / 2] ^ 0xff);
        const size_t length = i % 2 ? i / 2 : (size_t)status.st_size;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, whole, length, 0), length);
        if (i % 2 == 0)
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(i / 2)), 1);
        if (pyi_memory_open_core(path, NULL, &memory, &facts, NULL) < 0)
            continue;
        for (size_t k = 0; k < facts->maps.count; k++)
            (void)!pyi_memory_read(memory, facts->maps.mappings[k].start, bytes, 64, NULL);
        pyi_memory_close(memory);
    }
    munmap(whole, (size_t)status.st_size);
    close(fd);
    made_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_and_facts),
        cmocka_unit_test(test_another_file_is_not_read),
        cmocka_unit_test(test_parts_that_are_not_listed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
