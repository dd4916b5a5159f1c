/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_core.c - reading a core dump.
 *
 * Comes in: an ELF file of type ET_CORE, from the kernel or from gcore. Goes out: its bytes by
 * address, its threads, its mappings. Where the core has left file contents out they come from the
 * mapped file, and only if the first page of it that the core does hold equals the file's: a core
 * may come from anywhere and must not make us read files it merely names.
 * Layouts of the notes: Linux, include/uapi/linux/elfcore.h and fs/binfmt_elf.c.
 */
#include "attach/memory/memory_core.h"
#include "src/base/arena.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SEGMENTS_MAX 1000000
#define FILES_MAX    1000000
#define THREADS_MAX  65536
#define PAGE         4096

struct segment {
    uint64_t start, end; /* addresses */
    uint64_t kept;       /* bytes that the core holds */
    uint64_t offset;     /* in the core */
    uint32_t flags;
};

/* Part of a file, as NT_FILE lists it. */
struct part {
    uint64_t start, end, offset;
    uint32_t file;
};

struct file {
    const char *path;
    int fd; /* -1: not to be used */
    uint32_t major, minor;
    uint64_t inode;
    bool tried;
};

struct core {
    struct pyi_memory memory;
    struct pyi_arena arena;
    int fd;
    struct segment *segments; /* by address */
    size_t segment_count, segment_capacity;
    struct part *parts; /* by address */
    size_t part_count, part_capacity;
    struct file *files;
    size_t file_count, file_capacity;
    struct pyi_image_thread *threads;
    size_t thread_count, thread_capacity;
    uint64_t program_headers; /* AT_PHDR: where the executable's lie, 0 unknown */
    struct pyi_core_facts facts;
};

static int bad(struct pyi_error *err, const char *what)
{
    pyi_error_set(err, PYI_E_FORMAT, "%s", what);
    pyi_error_slug(err, "core-bad");
    return PYI_E_FORMAT;
}

/* ---- reading ---- */

/* The last element that begins at or before the address. */
#define FIND(list, count, address)                                                                 \
    ({                                                                                             \
        size_t low = 0, high = (count);                                                            \
        while (low < high) {                                                                       \
            size_t middle = low + (high - low) / 2;                                                \
            if ((list)[middle].start <= (address))                                                 \
                low = middle + 1;                                                                  \
            else                                                                                   \
                high = middle;                                                                     \
        }                                                                                          \
        low ? &(list)[low - 1] : NULL;                                                             \
    })

/* As much as one source has, at most `length`; 0 when nobody has it. */
static size_t read_some(struct core *core, uint64_t address, void *into, size_t length)
{
    const struct segment *segment = FIND(core->segments, core->segment_count, address);
    const struct part *part = FIND(core->parts, core->part_count, address);
    int fd = -1;
    uint64_t at = 0, left = 0;
    if (segment && address - segment->start < segment->kept) {
        fd = core->fd;
        at = segment->offset + (address - segment->start);
        left = segment->kept - (address - segment->start);
    } else if (part && address < part->end) {
        fd = core->files[part->file].fd;
        at = part->offset + (address - part->start);
        left = part->end - address;
    }
    if (fd < 0 || at > INT64_MAX)
        return 0;
    ssize_t n = pread(fd, into, left < length ? left : length, (off_t)at);
    core->memory.calls++;
    return n > 0 ? (size_t)n : 0;
}

static int core_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                     struct pyi_error *err)
{
    struct core *core = (struct core *)memory;
    for (size_t i = 0; i < count; i++) {
        struct pyi_range *range = &ranges[i];
        while (range->got < range->length) {
            size_t n = read_some(core, range->address + range->got,
                                 (char *)range->into + range->got, range->length - range->got);
            if (n == 0)
                return 0;
            range->got += n;
        }
    }
    return 0;
}

static void core_close(struct pyi_memory *memory)
{
    struct core *core = (struct core *)memory;
    for (size_t i = 0; i < core->file_count; i++)
        if (core->files[i].fd >= 0)
            close(core->files[i].fd);
    if (core->fd >= 0)
        close(core->fd);
    pyi_maps_deinit(&core->facts.maps);
    pyi_arena_free(&core->arena);
    free(core->segments);
    free(core->parts);
    free(core->files);
    free(core->threads);
    free(core);
}

static const struct pyi_memory_ops core_ops = {
    .name = "core dump", .read = core_read, .close = core_close};

/* ---- notes ---- */

/* struct elf_prstatus of 64-bit machines: pr_pid at 32; struct elf_prpsinfo: pr_pid 24, pr_ppid 28,
 * pr_psargs 56 (80 bytes). */
enum { STATUS_PID = 32, INFO_PID = 24, INFO_PARENT = 28, INFO_ARGUMENTS = 56 };

static int add_thread(struct core *core, const char *note, size_t size, struct pyi_error *err)
{
    if (size < STATUS_PID + 4 || core->thread_count >= THREADS_MAX)
        return 0;
    if (!pyi_array_reserve(&core->threads, &core->thread_capacity, core->thread_count + 1,
                           sizeof(*core->threads)))
        return pyi_error_nomem(err);
    const pid_t tid = pyi_load_i32(note + STATUS_PID);
    core->threads[core->thread_count++] = (struct pyi_image_thread){.tid = tid, .inner = tid};
    return 0;
}

static bool add_argument(struct core *core, const char *bytes, size_t length, struct pyi_text *out)
{
    struct pyi_strbuf text = {0};
    pyi_strbuf_os_bytes(&text, bytes, length);
    struct pyi_text view = pyi_strbuf_get(&text);
    char *copy = text.failed ? NULL : pyi_arena_copy(&core->arena, view.data, view.length);
    pyi_strbuf_deinit(&text);
    *out = (struct pyi_text){copy, view.length};
    return copy != NULL;
}

enum { ARGUMENTS_SIZE = 80 };

/* The kernel joins the arguments by blanks and cuts them; gcore keeps the first only. */
static int read_process(struct core *core, const char *note, size_t size, struct pyi_error *err)
{
    if (size < INFO_ARGUMENTS + ARGUMENTS_SIZE)
        return 0;
    struct pyi_image_facts *process = &core->facts.process;
    process->pid = pyi_load_i32(note + INFO_PID);
    process->parent = pyi_load_i32(note + INFO_PARENT);
    const char *at = note + INFO_ARGUMENTS, *end = at + strnlen(at, ARGUMENTS_SIZE);
    struct pyi_text *arguments = pyi_arena_alloc(&core->arena, ARGUMENTS_SIZE * sizeof(*arguments));
    if (!arguments)
        return pyi_error_nomem(err);
    process->arguments = arguments;
    process->argument_count = 0;
    while (at < end) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        const char *stop = blank ? blank : end;
        if (stop > at &&
            !add_argument(core, at, (size_t)(stop - at), &arguments[process->argument_count++]))
            return pyi_error_nomem(err);
        at = stop + 1;
    }
    return 0;
}

static void read_auxiliary(struct core *core, const char *note, size_t size)
{
    for (size_t at = 0; at + 16 <= size; at += 16)
        if (pyi_load_u64(note + at) == AT_PHDR)
            core->program_headers = pyi_load_u64(note + at + 8);
}

static int add_file(struct core *core, const char *path, size_t length, uint32_t *out,
                    struct pyi_error *err)
{
    /* Parts of one file stand together. */
    if (core->file_count) {
        const char *last = core->files[core->file_count - 1].path;
        if (strlen(last) == length && memcmp(last, path, length) == 0) {
            *out = (uint32_t)core->file_count - 1;
            return 0;
        }
    }
    char *copy = pyi_arena_copy(&core->arena, path, length);
    if (!copy || !pyi_array_reserve(&core->files, &core->file_capacity, core->file_count + 1,
                                    sizeof(*core->files)))
        return pyi_error_nomem(err);
    core->files[core->file_count] = (struct file){.path = copy, .fd = -1};
    *out = (uint32_t)core->file_count++;
    return 0;
}

/* u64 count, u64 page size, count times (start, end, offset in pages), then the names. */
static int read_files(struct core *core, const char *note, size_t size, struct pyi_error *err)
{
    if (size < 16)
        return 0;
    const uint64_t count = pyi_load_u64(note), page = pyi_load_u64(note + 8);
    if (count > FILES_MAX || count > (size - 16) / 24 || page == 0 || page > (1u << 24))
        return bad(err, "its list of mapped files is damaged");
    size_t at = 16 + (size_t)count * 24;
    for (size_t i = 0; i < count && at < size; i++) {
        const char *entry = note + 16 + i * 24;
        struct part part = {.start = pyi_load_u64(entry), .end = pyi_load_u64(entry + 8)};
        const size_t length = strnlen(note + at, size - at);
        if (__builtin_mul_overflow(pyi_load_u64(entry + 16), page, &part.offset) ||
            part.end <= part.start || length == size - at || length >= PATH_MAX)
            return bad(err, "its list of mapped files is damaged");
        int code = add_file(core, note + at, length, &part.file, err);
        if (code == 0 && !pyi_array_reserve(&core->parts, &core->part_capacity,
                                            core->part_count + 1, sizeof(*core->parts)))
            code = pyi_error_nomem(err);
        if (code < 0)
            return code;
        core->parts[core->part_count++] = part;
        at += length + 1;
    }
    return 0;
}

static int read_note(struct core *core, uint32_t type, const char *note, size_t size,
                     struct pyi_error *err)
{
    switch (type) {
    case NT_PRSTATUS:
        return add_thread(core, note, size, err);
    case NT_PRPSINFO:
        return read_process(core, note, size, err);
    case NT_FILE:
        return read_files(core, note, size, err);
    case NT_AUXV:
        read_auxiliary(core, note, size);
        return 0;
    default:
        return 0;
    }
}

static int read_notes(struct core *core, Elf *elf, const GElf_Phdr *header, struct pyi_error *err)
{
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)header->p_offset, header->p_filesz,
                                          header->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    size_t at = 0, name, description;
    GElf_Nhdr note;
    int code = 0;
    while (data && code == 0 && (at = gelf_getnote(data, at, &note, &name, &description)) > 0)
        if (note.n_namesz == 5 && memcmp((char *)data->d_buf + name, "CORE", 5) == 0)
            code =
                read_note(core, note.n_type, (char *)data->d_buf + description, note.n_descsz, err);
    return code;
}

/* ---- segments ---- */

static int add_segment(struct core *core, const GElf_Phdr *header, struct pyi_error *err)
{
    if (header->p_memsz == 0 || header->p_vaddr > UINT64_MAX - header->p_memsz)
        return 0;
    if (core->segment_count >= SEGMENTS_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "it has more than %d parts", SEGMENTS_MAX);
    if (!pyi_array_reserve(&core->segments, &core->segment_capacity, core->segment_count + 1,
                           sizeof(*core->segments)))
        return pyi_error_nomem(err);
    core->segments[core->segment_count++] = (struct segment){
        .start = header->p_vaddr,
        .end = header->p_vaddr + header->p_memsz,
        .kept = header->p_filesz < header->p_memsz ? header->p_filesz : header->p_memsz,
        .offset = header->p_offset,
        .flags = header->p_flags};
    return 0;
}

static int compare_segments(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static int read_headers(struct core *core, Elf *elf, struct pyi_error *err)
{
    GElf_Ehdr kind;
    size_t count;
    if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &kind) || kind.e_type != ET_CORE)
        return bad(err, "it is no core dump");
    if (gelf_getclass(elf) != ELFCLASS64 || kind.e_ident[EI_DATA] != ELFDATA2LSB)
        return bad(err, "it is of a program that is not 64-bit and little-endian");
    if (elf_getphdrnum(elf, &count) != 0 || count > SEGMENTS_MAX)
        return bad(err, "its headers are damaged");
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(elf, (int)i, &header))
            return bad(err, "its headers are cut off");
        if (header.p_type == PT_LOAD)
            code = add_segment(core, &header, err);
        else if (header.p_type == PT_NOTE)
            code = read_notes(core, elf, &header, err);
    }
    if (code == 0 && core->segment_count == 0)
        return bad(err, "it holds no memory");
    if (code == 0)
        qsort(core->segments, core->segment_count, sizeof(*core->segments), compare_segments);
    if (code == 0 && core->part_count)
        qsort(core->parts, core->part_count, sizeof(*core->parts), compare_parts);
    return code;
}

/* ---- mapped files ---- */

/* Whether the file begins as the process's copy does. False also when the core has no copy. */
static bool is_the_same(struct core *core, int fd, uint64_t address)
{
    char ours[PAGE], theirs[PAGE];
    struct pyi_range range = {.address = address, .length = PAGE, .into = theirs};
    ssize_t n = pread(fd, ours, sizeof(ours), 0);
    return n == (ssize_t)sizeof(ours) && memcmp(ours, ELFMAG, SELFMAG) == 0 &&
           core_read(&core->memory, &range, 1, NULL) == 0 && range.got == PAGE &&
           memcmp(ours, theirs, sizeof(ours)) == 0;
}

/* True when the file at that path is the mapped one; it then serves what the core leaves out. */
static bool use_file(struct core *core, const struct part *part, const char *path, bool *there)
{
    struct file *file = &core->files[part->file];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *there = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (*there && is_the_same(core, fd, part->start)) {
        file->fd = fd;
        file->inode = status.st_ino;
        file->major = major(status.st_dev);
        file->minor = minor(status.st_dev);
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* `part` is that with the file's beginning. */
static void try_file(struct core *core, const struct part *part, const char *copy)
{
    struct file *file = &core->files[part->file];
    bool there = false, ignored;
    file->tried = true;
    if (file->path[0] != '/' || use_file(core, part, file->path, &there))
        return;
    if (copy && strcmp(pyi_maps_base_name(copy), pyi_maps_base_name(file->path)) == 0 &&
        use_file(core, part, copy, &ignored))
        return;
    char head[SELFMAG];
    struct pyi_range range = {.address = part->start, .length = SELFMAG, .into = head};
    const bool program = core_read(&core->memory, &range, 1, NULL) == 0 && range.got == SELFMAG &&
                         memcmp(head, ELFMAG, SELFMAG) == 0;
    if (program && !core->facts.missing) {
        core->facts.missing = file->path;
        core->facts.missing_changed = there;
    }
}

static void try_files(struct core *core, const char *copy)
{
    for (size_t i = 0; i < core->part_count; i++) {
        const struct part *part = &core->parts[i];
        if (part->offset == 0 && !core->files[part->file].tried)
            try_file(core, part, copy);
        if (core->program_headers >= part->start && core->program_headers < part->end)
            core->facts.program = core->files[part->file].path;
    }
}

/* ---- mappings ---- */

static void put_path(struct pyi_strbuf *text, const char *path)
{
    for (; *path; path++)
        if (*path == '\n')
            pyi_strbuf_string(text, "\\012");
        else
            pyi_strbuf_char(text, *path);
}

/* The line that /proc/PID/maps had for it: that text has a parser. */
static void put_mapping(const struct core *core, uint64_t start, uint64_t end, uint32_t flags,
                        struct pyi_strbuf *text)
{
    const struct part *part = FIND(core->parts, core->part_count, start);
    const struct file *file = part && start < part->end ? &core->files[part->file] : NULL;
    const uint64_t inode = !file ? 0 : file->inode ? file->inode : (uint64_t)part->file + 1;
    pyi_strbuf_format(text, "%llx-%llx %c%c%cp %08llx %02x:%02x %llu", (unsigned long long)start,
                      (unsigned long long)end, flags & PF_R ? 'r' : '-', flags & PF_W ? 'w' : '-',
                      flags & PF_X ? 'x' : '-',
                      (unsigned long long)(file ? part->offset + start - part->start : 0),
                      file ? file->major : 0, file ? file->minor : 0, (unsigned long long)inode);
    if (file) {
        pyi_strbuf_char(text, ' ');
        put_path(text, file->path);
    }
    pyi_strbuf_char(text, '\n');
}

/* gcore does not even list what it leaves out: the parts of files between two segments. Program
 * code is what is most often left out, so they count as executable. */
static void put_left_out(const struct core *core, uint64_t from, uint64_t to, size_t *part,
                         struct pyi_strbuf *text)
{
    for (; *part < core->part_count && core->parts[*part].start < to; ++*part) {
        const struct part *p = &core->parts[*part];
        const uint64_t start = p->start > from ? p->start : from, end = p->end < to ? p->end : to;
        if (start < end)
            put_mapping(core, start, end, PF_R | PF_X, text);
        if (p->end > to)
            break;
    }
}

static int make_maps(struct core *core, struct pyi_error *err)
{
    struct pyi_strbuf text = {0};
    uint64_t end = 0;
    size_t part = 0;
    for (size_t i = 0; i < core->segment_count; i++) {
        const struct segment *segment = &core->segments[i];
        if (segment->start < end)
            continue; /* overlaps the one before it */
        put_left_out(core, end, segment->start, &part, &text);
        put_mapping(core, segment->start, segment->end, segment->flags, &text);
        end = segment->end;
    }
    put_left_out(core, end, UINT64_MAX, &part, &text);
    int code = text.failed ? pyi_error_nomem(err)
                           : pyi_maps_parse(text.data, text.length, &core->facts.maps, err);
    pyi_strbuf_deinit(&text);
    return code;
}

static int finish(struct core *core, const char *copy, struct pyi_error *err)
{
    struct pyi_image_facts *process = &core->facts.process;
    struct stat status;
    try_files(core, copy);
    int code = make_maps(core, err);
    if (code < 0)
        return code;
    process->threads = core->threads;
    process->thread_count = core->thread_count;
    process->executable = pyi_text(core->facts.program ? core->facts.program : "");
    process->root = pyi_text("");
    /* When it was started is not in a core; when it ended is in the file's date. */
    if (fstat(core->fd, &status) == 0)
        process->start_time = (double)status.st_mtim.tv_sec;
    return 0;
}

int pyi_memory_open_core(const char *path, const char *copy, struct pyi_memory **out,
                         const struct pyi_core_facts **facts, struct pyi_error *err)
{
    struct core *core = calloc(1, sizeof(*core));
    if (!core)
        return pyi_error_nomem(err);
    core->memory.ops = &core_ops;
    core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int code = 0;
    if (core->fd < 0)
        code = pyi_error_os(err, errno, "cannot open it");
    Elf *elf = NULL;
    if (code == 0 &&
        (elf_version(EV_CURRENT) == EV_NONE || !(elf = elf_begin(core->fd, ELF_C_READ, NULL))))
        code = bad(err, "it is no core dump");
    if (code == 0)
        code = read_headers(core, elf, err);
    elf_end(elf);
    if (code == 0)
        code = finish(core, copy, err);
    if (code < 0) {
        core_close(&core->memory);
        return code;
    }
    *facts = &core->facts;
    *out = &core->memory;
    return 0;
}
