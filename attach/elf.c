/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * elf.c - symbols and sections of an ELF file that a process has mapped.
 *
 * Comes in: a descriptor or the process's memory. Goes out: addresses. Read with small positioned
 * reads through the dynamic hash table: no file is mapped (it could be truncated under us) and
 * none is read whole when a symbol answers. Must not know which symbols matter.
 */
#include "attach/elf.h"
#include "attach/process.h"
#include "src/base/error.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SEGMENTS_MAX      64
#define SECTION_NAMES_MAX ((uint64_t)16 << 20)
#define TABLE_MAX         ((uint64_t)256 << 20) /* .symtab and its strings */
#define CHAIN_MAX         65536                 /* symbols of one hash bucket */
#define NAME_MAX_         256
#define PAGE              4096u

struct segment {
    uint64_t offset, address, file_size, memory_size;
    bool write, execute;
};

/* Where the dynamic section points, as addresses of the file. */
struct dynamic {
    bool read, valid;
    uint64_t symbols, strings, string_size, gnu_hash, hash;
};

struct pyi_elf {
    int fd;
    struct pyi_memory *memory; /* when fd < 0 */
    uint64_t base;             /* of file offset 0, memory only */
    uint64_t bias;
    uint16_t type;
    struct segment segments[SEGMENTS_MAX];
    size_t segment_count;
    uint64_t dynamic_address, dynamic_size;
    uint64_t note_address[8], note_size[8];
    size_t note_count;
    uint64_t section_offset;
    uint32_t section_count, section_names;
    bool sections_read;
    Elf64_Shdr *sections; /* section_count of them once read */
    char *names;
    uint64_t names_size;
    struct dynamic dynamic;
};

/* ---- reading ---- */

static bool read_file(const struct pyi_elf *elf, uint64_t offset, void *into, size_t length)
{
    if (elf->fd < 0 || offset > INT64_MAX - length)
        return false;
    for (size_t done = 0; done < length;) {
        ssize_t n = pread(elf->fd, (char *)into + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool pyi_elf_read(struct pyi_elf *elf, uint64_t address, void *into, size_t length)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct segment *segment = &elf->segments[i];
        uint64_t size = elf->fd >= 0 ? segment->file_size : segment->memory_size;
        if (address < segment->address || address - segment->address > size ||
            size - (address - segment->address) < length)
            continue;
        if (elf->fd >= 0)
            return read_file(elf, segment->offset + (address - segment->address), into, length);
        return pyi_memory_read(elf->memory, address + elf->bias, into, length, NULL) == 0;
    }
    return false;
}

/* ---- headers ---- */

static int check_ident(const unsigned char *ident, struct pyi_error *err)
{
    if (memcmp(ident, ELFMAG, SELFMAG) != 0)
        return pyi_error_set(err, PYI_E_FORMAT, "not an ELF file");
    if (ident[EI_CLASS] == ELFCLASS32) {
        pyi_error_set(err, PYI_E_FORMAT, "a 32-bit ELF file");
        pyi_error_slug(err, "bits-32");
        return PYI_E_FORMAT;
    }
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
        return pyi_error_set(err, PYI_E_FORMAT, "not a 64-bit little-endian ELF file");
    return 0;
}

static void take_segment(struct pyi_elf *elf, const Elf64_Phdr *header)
{
    bool wraps = header->p_memsz > UINT64_MAX - header->p_vaddr ||
                 header->p_filesz > INT64_MAX - (header->p_offset & INT64_MAX) ||
                 header->p_offset > INT64_MAX || header->p_filesz > header->p_memsz;
    if (wraps)
        return;
    if (header->p_type == PT_LOAD && elf->segment_count < SEGMENTS_MAX) {
        elf->segments[elf->segment_count++] = (struct segment){.offset = header->p_offset,
                                                               .address = header->p_vaddr,
                                                               .file_size = header->p_filesz,
                                                               .memory_size = header->p_memsz,
                                                               .write = header->p_flags & PF_W,
                                                               .execute = header->p_flags & PF_X};
    } else if (header->p_type == PT_DYNAMIC) {
        elf->dynamic_address = header->p_vaddr;
        elf->dynamic_size = header->p_filesz;
    } else if (header->p_type == PT_NOTE && elf->note_count < 8) {
        elf->note_address[elf->note_count] = header->p_vaddr;
        elf->note_size[elf->note_count++] = header->p_filesz;
    }
}

static bool read_start(const struct pyi_elf *elf, uint64_t offset, void *into, size_t length)
{
    if (elf->fd >= 0)
        return read_file(elf, offset, into, length);
    return offset <= UINT64_MAX - elf->base &&
           pyi_memory_read(elf->memory, elf->base + offset, into, length, NULL) == 0;
}

static int read_headers(struct pyi_elf *elf, struct pyi_error *err)
{
    Elf64_Ehdr header;
    if (!read_start(elf, 0, &header, sizeof(header)))
        return pyi_error_set(err, PYI_E_FORMAT, "shorter than an ELF header");
    int code = check_ident(header.e_ident, err);
    if (code < 0)
        return code;
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > 512)
        return pyi_error_set(err, PYI_E_FORMAT, "ELF program headers of unknown shape");
    elf->type = header.e_type;
    for (size_t done = 0; done < header.e_phnum; done += 16) {
        Elf64_Phdr block[16];
        size_t count = header.e_phnum - done < 16 ? header.e_phnum - done : 16;
        if (!read_start(elf, header.e_phoff + done * sizeof(*block), block, count * sizeof(*block)))
            return pyi_error_set(err, PYI_E_FORMAT, "ELF program headers end outside the file");
        for (size_t i = 0; i < count; i++)
            take_segment(elf, &block[i]);
    }
    if (elf->segment_count == 0)
        return pyi_error_set(err, PYI_E_FORMAT, "ELF file without a loadable segment");
    if (elf->fd >= 0 && header.e_shentsize == sizeof(Elf64_Shdr) && header.e_shnum > 0) {
        elf->section_offset = header.e_shoff;
        elf->section_count = header.e_shnum;
        elf->section_names = header.e_shstrndx;
    }
    return 0;
}

static int new_elf(int fd, struct pyi_memory *memory, uint64_t base, struct pyi_elf **out,
                   struct pyi_error *err)
{
    struct pyi_elf *elf = calloc(1, sizeof(*elf));
    if (!elf) {
        if (fd >= 0)
            close(fd);
        return pyi_error_nomem(err);
    }
    elf->fd = fd;
    elf->memory = memory;
    elf->base = base;
    int code = read_headers(elf, err);
    if (code < 0) {
        pyi_elf_close(elf);
        return code;
    }
    *out = elf;
    return 0;
}

int pyi_elf_open_fd(int fd, struct pyi_elf **out, struct pyi_error *err)
{
    return new_elf(fd, NULL, 0, out, err);
}

static uint64_t page_down(uint64_t value)
{
    return value & ~(uint64_t)(PAGE - 1);
}

int pyi_elf_open_memory(struct pyi_memory *memory, uint64_t base, struct pyi_elf **out,
                        struct pyi_error *err)
{
    struct pyi_elf *elf = NULL;
    int code = new_elf(-1, memory, base, &elf, err);
    if (code < 0)
        return code;
    elf->bias = base - page_down(elf->segments[0].address);
    *out = elf;
    return 0;
}

void pyi_elf_close(struct pyi_elf *elf)
{
    if (!elf)
        return;
    if (elf->fd >= 0)
        close(elf->fd);
    free(elf->sections);
    free(elf->names);
    free(elf);
}

int pyi_elf_kind_fd(int fd, struct pyi_elf_kind *out, struct pyi_error *err)
{
    Elf32_Ehdr header; /* the members used lie at the same place in both classes */
    ssize_t n = pread(fd, &header, sizeof(header), 0);
    if (n < 0)
        return pyi_error_os(err, errno, "cannot read the program");
    if (n < (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        (header.e_ident[EI_CLASS] != ELFCLASS32 && header.e_ident[EI_CLASS] != ELFCLASS64))
        return pyi_error_set(err, PYI_E_FORMAT, "not an ELF file");
    *out = (struct pyi_elf_kind){.bits = header.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64,
                                 .machine = header.e_machine,
                                 .type = header.e_type};
    return 0;
}

const char *pyi_elf_machine_name(uint16_t machine)
{
    switch (machine) {
    case EM_386:
        return "i386";
    case EM_X86_64:
        return "x86-64";
    case EM_ARM:
        return "arm";
    case EM_AARCH64:
        return "aarch64";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390";
    default:
        return NULL;
    }
}

/* ---- where it is mapped ---- */

uint64_t pyi_elf_bias(const struct pyi_elf *elf)
{
    return elf->bias;
}

/* True when every executable segment is mapped executable from this file at this bias. */
static bool bias_fits(const struct pyi_elf *elf, const struct pyi_maps *maps, uint32_t file,
                      uint64_t bias)
{
    bool any = false;
    for (size_t i = 0; i < elf->segment_count; i++) {
        if (!elf->segments[i].execute)
            continue;
        const struct pyi_mapping *mapping = pyi_maps_at(maps, elf->segments[i].address + bias);
        if (!mapping || mapping->file != file || !mapping->execute)
            return false;
        any = true;
    }
    return any;
}

bool pyi_elf_locate(struct pyi_elf *elf, const struct pyi_maps *maps,
                    const struct pyi_mapped_file *file)
{
    uint32_t index = (uint32_t)(file - maps->files);
    const struct segment *first = &elf->segments[0];
    /* A program may also have mapped the same file as data: the copy whose code is executable
     * is the one that runs. */
    for (size_t i = file->first; i < maps->count; i++) {
        const struct pyi_mapping *mapping = &maps->mappings[i];
        if (mapping->file != index || mapping->offset != page_down(first->offset))
            continue;
        uint64_t bias = mapping->start - page_down(first->address);
        if (bias_fits(elf, maps, index, bias)) {
            elf->bias = bias;
            return true;
        }
    }
    return false;
}

/* ---- dynamic symbols ---- */

/* ld.so turns these into run-time addresses in memory (glibc; musl and static programs leave
 * them): what lies outside the file's own addresses has been relocated. */
static uint64_t unrelocated(const struct pyi_elf *elf, uint64_t address)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct segment *segment = &elf->segments[i];
        if (address >= segment->address && address - segment->address < segment->memory_size)
            return address;
    }
    return address - elf->bias;
}

static void read_dynamic(struct pyi_elf *elf)
{
    struct dynamic *dynamic = &elf->dynamic;
    dynamic->read = true;
    uint64_t count = elf->dynamic_size / sizeof(Elf64_Dyn);
    if (count > 4096)
        count = 4096;
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Dyn entry;
        if (!pyi_elf_read(elf, elf->dynamic_address + i * sizeof(entry), &entry, sizeof(entry)) ||
            entry.d_tag == DT_NULL)
            break;
        uint64_t value = entry.d_un.d_val;
        if (entry.d_tag == DT_SYMTAB)
            dynamic->symbols = unrelocated(elf, value);
        else if (entry.d_tag == DT_STRTAB)
            dynamic->strings = unrelocated(elf, value);
        else if (entry.d_tag == DT_STRSZ)
            dynamic->string_size = value;
        else if (entry.d_tag == DT_GNU_HASH)
            dynamic->gnu_hash = unrelocated(elf, value);
        else if (entry.d_tag == DT_HASH)
            dynamic->hash = unrelocated(elf, value);
    }
    dynamic->valid = dynamic->symbols && dynamic->strings && (dynamic->gnu_hash || dynamic->hash);
}

/* True when symbol number `index` is defined and has this name. */
static bool symbol_is(struct pyi_elf *elf, uint64_t index, const char *name, uint64_t *value)
{
    Elf64_Sym symbol;
    char found[NAME_MAX_];
    size_t length = strlen(name) + 1;
    if (length > sizeof(found) || index > UINT32_MAX ||
        !pyi_elf_read(elf, elf->dynamic.symbols + index * sizeof(symbol), &symbol,
                      sizeof(symbol)) ||
        symbol.st_shndx == SHN_UNDEF ||
        !pyi_elf_read(elf, elf->dynamic.strings + symbol.st_name, found, length) ||
        memcmp(found, name, length) != 0)
        return false;
    *value = symbol.st_value;
    return true;
}

static bool read_u32(struct pyi_elf *elf, uint64_t address, uint32_t *out)
{
    return pyi_elf_read(elf, address, out, sizeof(*out));
}

/* The GNU hash table: header of four words, a Bloom filter, buckets, one chain word a symbol
 * whose lowest bit ends its bucket. */
static bool find_gnu(struct pyi_elf *elf, const char *name, uint64_t *value)
{
    uint32_t hash = 5381, header[4], bucket;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        hash = hash * 33 + *c;
    uint64_t table = elf->dynamic.gnu_hash, filter;
    if (!pyi_elf_read(elf, table, header, sizeof(header)))
        return false;
    uint32_t buckets = header[0], first = header[1], filters = header[2], shift = header[3];
    if (!buckets || !filters || shift > 31)
        return false;
    uint64_t filter_at = table + sizeof(header) + (uint64_t)((hash / 64) % filters) * 8;
    if (!pyi_elf_read(elf, filter_at, &filter, 8) || !(filter >> (hash % 64) & 1) ||
        !(filter >> ((hash >> shift) % 64) & 1))
        return false;
    uint64_t buckets_at = table + sizeof(header) + (uint64_t)filters * 8;
    uint64_t chain_at = buckets_at + (uint64_t)buckets * 4;
    if (!read_u32(elf, buckets_at + (uint64_t)(hash % buckets) * 4, &bucket) || bucket < first)
        return false;
    for (uint64_t i = bucket; i < (uint64_t)bucket + CHAIN_MAX; i++) {
        uint32_t link;
        if (!read_u32(elf, chain_at + (i - first) * 4, &link))
            return false;
        if ((link | 1) == (hash | 1) && symbol_is(elf, i, name, value))
            return true;
        if (link & 1)
            return false;
    }
    return false;
}

static bool find_sysv(struct pyi_elf *elf, const char *name, uint64_t *value)
{
    uint32_t hash = 0, header[2], index;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        hash = (hash << 4) + *c;
        hash ^= (hash >> 24) & 0xf0;
        hash &= 0x0fffffff;
    }
    uint64_t table = elf->dynamic.hash;
    if (!pyi_elf_read(elf, table, header, sizeof(header)) || !header[0])
        return false;
    uint64_t chain_at = table + 8 + (uint64_t)header[0] * 4;
    if (!read_u32(elf, table + 8 + (uint64_t)(hash % header[0]) * 4, &index))
        return false;
    for (int steps = 0; index != 0 && index < header[1] && steps < CHAIN_MAX; steps++) {
        if (symbol_is(elf, index, name, value))
            return true;
        if (!read_u32(elf, chain_at + (uint64_t)index * 4, &index))
            return false;
    }
    return false;
}

bool pyi_elf_dynamic_symbol(struct pyi_elf *elf, const char *name, uint64_t *value)
{
    if (!elf->dynamic.read)
        read_dynamic(elf);
    if (!elf->dynamic.valid)
        return false;
    return elf->dynamic.gnu_hash ? find_gnu(elf, name, value) : find_sysv(elf, name, value);
}

/* ---- sections and static symbols ---- */

/* Section headers and their names, read once, when the first is asked for. */
static void read_sections(struct pyi_elf *elf)
{
    elf->sections_read = true;
    uint64_t size = (uint64_t)elf->section_count * sizeof(Elf64_Shdr);
    elf->sections = size ? malloc(size) : NULL;
    if (!elf->sections || !read_file(elf, elf->section_offset, elf->sections, size) ||
        elf->section_names >= elf->section_count)
        elf->section_count = 0;
    if (elf->section_count == 0)
        return;
    const Elf64_Shdr *names = &elf->sections[elf->section_names];
    if (names->sh_size > 0 && names->sh_size <= SECTION_NAMES_MAX &&
        (elf->names = malloc(names->sh_size)) &&
        read_file(elf, names->sh_offset, elf->names, names->sh_size))
        elf->names_size = names->sh_size;
}

static bool string_equals(const char *strings, uint64_t size, uint32_t at, const char *name)
{
    size_t length = strlen(name) + 1;
    return at < size && size - at >= length && memcmp(strings + at, name, length) == 0;
}

static const Elf64_Shdr *section_named(struct pyi_elf *elf, const char *name)
{
    if (!elf->sections_read)
        read_sections(elf);
    for (uint32_t i = 1; i < elf->section_count; i++)
        if (string_equals(elf->names, elf->names_size, elf->sections[i].sh_name, name))
            return &elf->sections[i];
    return NULL;
}

bool pyi_elf_has_sections(struct pyi_elf *elf)
{
    if (!elf->sections_read)
        read_sections(elf);
    return elf->section_count > 0 && elf->names_size > 0;
}

bool pyi_elf_section(struct pyi_elf *elf, const char *name, struct pyi_elf_section *out)
{
    const Elf64_Shdr *section = section_named(elf, name);
    if (!section || !(section->sh_flags & SHF_ALLOC))
        return false;
    *out = (struct pyi_elf_section){section->sh_addr, section->sh_size};
    return true;
}

bool pyi_elf_constants(struct pyi_elf *elf, size_t index, struct pyi_elf_section *out)
{
    if (pyi_elf_section(elf, ".rodata", out))
        return index == 0;
    for (size_t i = 0; i < elf->segment_count; i++) {
        if (elf->segments[i].write)
            continue;
        if (index-- == 0) {
            *out = (struct pyi_elf_section){elf->segments[i].address, elf->segments[i].file_size};
            return true;
        }
    }
    return false;
}

/* All of a table of the file; NULL when it is not there in full. The caller frees. */
static char *read_table(struct pyi_elf *elf, const Elf64_Shdr *section)
{
    struct stat status;
    if (section->sh_size == 0 || section->sh_size > TABLE_MAX || section->sh_type == SHT_NOBITS ||
        fstat(elf->fd, &status) < 0 || (uint64_t)status.st_size < section->sh_size)
        return NULL;
    char *bytes = malloc(section->sh_size);
    if (bytes && !read_file(elf, section->sh_offset, bytes, section->sh_size)) {
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

size_t pyi_elf_static_symbols(struct pyi_elf *elf, const char *const *names, uint64_t *values,
                              size_t count)
{
    const Elf64_Shdr *table = section_named(elf, ".symtab");
    if (!table || table->sh_link >= elf->section_count)
        return 0;
    const Elf64_Shdr *strings = &elf->sections[table->sh_link];
    PYI_CLEANUP(pyi_cleanup_free) char *symbols = read_table(elf, table);
    PYI_CLEANUP(pyi_cleanup_free) char *text = read_table(elf, strings);
    if (!symbols || !text)
        return 0;
    size_t found = 0;
    for (uint64_t at = 0; table->sh_size - at >= sizeof(Elf64_Sym) && found < count;
         at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, symbols + at, sizeof(symbol));
        if (symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0)
            continue;
        for (size_t i = 0; i < count; i++) {
            if (string_equals(text, strings->sh_size, symbol.st_name, names[i])) {
                values[i] = symbol.st_value;
                found++;
            }
        }
    }
    return found;
}

size_t pyi_elf_build_id(struct pyi_elf *elf, uint8_t out[64])
{
    for (size_t i = 0; i < elf->note_count; i++) {
        uint64_t at = 0, size = elf->note_size[i];
        while (size >= 16 && at <= size - 16) {
            uint32_t head[4]; /* name size, description size, type, first four bytes of the name */
            if (!pyi_elf_read(elf, elf->note_address[i] + at, head, sizeof(head)))
                break;
            if (head[0] == 4 && head[2] == NT_GNU_BUILD_ID && memcmp(&head[3], "GNU", 4) == 0 &&
                head[1] > 0 && head[1] <= 64 &&
                pyi_elf_read(elf, elf->note_address[i] + at + 16, out, head[1]))
                return head[1];
            at += 12 + (((uint64_t)head[0] + 3) & ~3ULL) + (((uint64_t)head[1] + 3) & ~3ULL);
        }
    }
    return 0;
}

/* ---- opening the right file ---- */

/* True when the file at `fd` is the mapped one: by device and inode, or, where a stacked file
 * system shows another device number, by inode and equal first page. */
static bool is_mapped_file(int fd, struct pyi_memory *memory, const struct pyi_maps *maps,
                           const struct pyi_mapped_file *file)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_ino != file->inode)
        return false;
    if (major(status.st_dev) == file->major && minor(status.st_dev) == file->minor)
        return true;
    const struct pyi_mapping *first = &maps->mappings[file->first];
    unsigned char ours[PAGE], theirs[PAGE];
    ssize_t n = pread(fd, ours, sizeof(ours), 0);
    return first->offset == 0 && n == (ssize_t)sizeof(ours) &&
           pyi_memory_read(memory, first->start, theirs, sizeof(theirs), NULL) == 0 &&
           memcmp(ours, theirs, sizeof(ours)) == 0;
}

static int open_checked(const char *path, struct pyi_memory *memory, const struct pyi_maps *maps,
                        const struct pyi_mapped_file *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && !is_mapped_file(fd, memory, maps, file)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int open_any(const char *proc, pid_t pid, struct pyi_memory *memory,
                    const struct pyi_maps *maps, const struct pyi_mapped_file *file,
                    const char **how)
{
    const struct pyi_mapping *first = &maps->mappings[file->first];
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%d/exe", proc, (int)pid);
    *how = "exe link";
    int fd = open_checked(path, memory, maps, file);
    if (fd >= 0)
        return fd;
    /* These links lead to the mapped file itself, whatever happened to its name. */
    snprintf(path, sizeof(path), "%s/%d/map_files/%llx-%llx", proc, (int)pid,
             (unsigned long long)first->start, (unsigned long long)first->end);
    *how = "map_files";
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    if (file->path[0] != '/')
        return -1;
    int length = snprintf(path, sizeof(path), "%s/%d/root%s", proc, (int)pid, file->path);
    *how = "path in its root";
    if (length < (int)sizeof(path) && (fd = open_checked(path, memory, maps, file)) >= 0)
        return fd;
    *how = "path";
    return open_checked(file->path, memory, maps, file);
}

int pyi_elf_open_file(const char *proc, pid_t pid, struct pyi_memory *memory,
                      const struct pyi_maps *maps, const struct pyi_mapped_file *file)
{
    const char *how;
    return open_any(proc, pid, memory, maps, file, &how);
}

int pyi_elf_open_mapped(const char *proc, pid_t pid, struct pyi_memory *memory,
                        const struct pyi_maps *maps, const struct pyi_mapped_file *file,
                        struct pyi_elf **out, const char **how, struct pyi_error *err)
{
    struct pyi_elf *elf = NULL;
    int fd = open_any(proc, pid, memory, maps, file, how);
    if (fd >= 0) {
        int code = pyi_elf_open_fd(fd, &elf, err);
        if (code < 0)
            return code;
        if (pyi_elf_locate(elf, maps, file)) {
            *out = elf;
            return 0;
        }
        pyi_elf_close(elf);
        return pyi_error_set(err, PYI_E_FORMAT, "mapped in a way that does not fit its segments");
    }
    const struct pyi_mapping *first = &maps->mappings[file->first];
    if (first->offset != 0)
        return pyi_error_set(err, PYI_E_FORMAT, "neither the file nor its start is readable");
    *how = "memory of the process";
    int code = pyi_elf_open_memory(memory, first->start, &elf, err);
    if (code == 0)
        *out = elf;
    return code;
}
