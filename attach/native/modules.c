/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * modules.c - the ELF files of a process: where their code is, how it unwinds, what it is called.
 *
 * In: mappings, memory, files. Out: unwind tables as copies, functions by address. Everything
 * comes from the target: sizes are bounded, offsets checked against what was copied.
 */
#include "attach/native/modules.h"

#include "attach/elf.h"
#include "attach/process.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEGMENTS_MAX  64
#define UNWIND_MAX    ((size_t)128 << 20)
#define DYNAMIC_MAX   65536
#define TABLES_MAX    ((size_t)64 << 20)
#define MODULES_MAX   8192
#define FUNCTIONS_MAX ((size_t)1 << 20) /* remembered addresses */
#define OLD_NS        UINT64_C(1000000000)
#define OLD_MISSED_NS UINT64_C(50000000)
#define LOOP_NAME     "_PyEval_EvalFrameDefault"
#define LOOP_CODE_MAX (1 << 20)
#define LOOP_JUMPS    3 /* jumps into its middle that make a function a part of the loop */

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void pyi_modules_init(struct pyi_modules *modules, const char *proc, pid_t pid,
                      struct pyi_memory *memory)
{
    struct pyi_strbuf root = {0};
    *modules = (struct pyi_modules){.proc = proc, .pid = pid, .memory = memory};
    pyi_process_root(proc, pid, &root);
    if (root.data && root.length < sizeof(modules->root))
        memcpy(modules->root, root.data, root.length + 1);
    pyi_strbuf_deinit(&root);
}

static void module_free(struct pyi_module *module)
{
    pyi_symbols_free(module->symbols);
    free(module->copy);
    free(module);
}

void pyi_modules_deinit(struct pyi_modules *modules)
{
    for (size_t i = 0; i < modules->count; i++)
        module_free(modules->items[i]);
    free(modules->items);
    pyi_maps_deinit(&modules->maps);
    pyi_map_deinit(&modules->functions);
    pyi_map_deinit(&modules->by_name);
    pyi_intern_deinit(&modules->texts);
    pyi_arena_free(&modules->arena);
}

/* ---- the list -------------------------------------------------------------------------------- */

static bool is_vdso(const struct pyi_mapping *mapping)
{
    return strcmp(mapping->path, "[vdso]") == 0;
}

/* Where the file behind an executable mapping begins: linkers put a read-only part first. */
static const struct pyi_mapping *first_part(const struct pyi_maps *maps, size_t at)
{
    const struct pyi_mapping *mapping = &maps->mappings[at];
    for (size_t i = at + 1; i-- > 0;) {
        const struct pyi_mapping *part = &maps->mappings[i];
        if (part->file == mapping->file && part->offset == 0)
            return part;
        if (part->file != mapping->file && part->file != PYI_NO_FILE)
            break;
    }
    return NULL;
}

static struct pyi_module *find_same(struct pyi_modules *modules, const struct pyi_module *like)
{
    for (size_t i = 0; i < modules->count; i++) {
        struct pyi_module *have = modules->items[i];
        if (have->start == like->start && have->end == like->end && have->base == like->base &&
            have->inode == like->inode && have->device == like->device)
            return have;
    }
    return NULL;
}

static struct pyi_text keep_path(struct pyi_modules *modules, const char *path)
{
    struct pyi_strbuf text = {0};
    pyi_strbuf_os_bytes(&text, path, strnlen(path, 4096));
    struct pyi_text bytes = pyi_strbuf_get(&text);
    uint32_t number =
        text.failed ? UINT32_MAX : pyi_intern_add(&modules->texts, bytes.data, bytes.length);
    pyi_strbuf_deinit(&text);
    return number == UINT32_MAX ? (struct pyi_text){0} : pyi_intern_text(&modules->texts, number);
}

static int add_module(struct pyi_modules *modules, size_t at, struct pyi_error *err)
{
    const struct pyi_mapping *mapping = &modules->maps.mappings[at];
    const struct pyi_mapping *first = is_vdso(mapping) ? mapping : first_part(&modules->maps, at);
    if (!first || modules->count >= MODULES_MAX)
        return 0;
    struct pyi_module like = {.start = mapping->start,
                              .end = mapping->end,
                              .base = first->start,
                              .device = (uint64_t)mapping->major << 32 | mapping->minor,
                              .inode = mapping->inode};
    struct pyi_module *module = find_same(modules, &like);
    if (module) {
        module->seen = modules->readings;
        return 0;
    }
    like.path = keep_path(modules, mapping->path);
    like.seen = modules->readings;
    if (!like.path.data || !pyi_array_reserve(&modules->items, &modules->capacity,
                                              modules->count + 1, sizeof(*modules->items)))
        return pyi_error_nomem(err);
    module = malloc(sizeof(*module));
    if (!module)
        return pyi_error_nomem(err);
    *module = like;
    modules->items[modules->count++] = module;
    modules->changes++;
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct pyi_module *x = *(struct pyi_module *const *)a,
                            *y = *(struct pyi_module *const *)b;
    return (x->start > y->start) - (x->start < y->start);
}

static void forget_unseen(struct pyi_modules *modules)
{
    size_t kept = 0;
    for (size_t i = 0; i < modules->count; i++) {
        if (modules->items[i]->seen == modules->readings) {
            modules->items[kept++] = modules->items[i];
            continue;
        }
        module_free(modules->items[i]);
        modules->changes++;
    }
    modules->count = kept;
}

int pyi_modules_refresh(struct pyi_modules *modules, bool missed, struct pyi_error *err)
{
    struct pyi_maps fresh = {0};
    struct pyi_error reason;
    uint64_t now = monotonic_ns();
    if (modules->readings && now - modules->read_at < (missed ? OLD_MISSED_NS : OLD_NS))
        return 0;
    modules->read_at = now;
    int code = pyi_maps_read(modules->proc, modules->pid, &fresh, &reason);
    if (code == PYI_E_NOMEM)
        return pyi_error_nomem(err);
    if (code < 0)
        return 0; /* what becomes of the process is noticed elsewhere */
    pyi_maps_deinit(&modules->maps);
    modules->maps = fresh;
    modules->readings++;
    uint32_t before = modules->changes;
    code = 0;
    for (size_t i = 0; code == 0 && i < fresh.count; i++)
        if (fresh.mappings[i].execute &&
            (fresh.mappings[i].file != PYI_NO_FILE || is_vdso(&fresh.mappings[i])))
            code = add_module(modules, i, err);
    forget_unseen(modules);
    if (modules->count > 1)
        qsort(modules->items, modules->count, sizeof(*modules->items), by_start);
    if (modules->changes != before)
        pyi_map_clear(&modules->functions);
    return code;
}

/* ---- headers and unwind tables --------------------------------------------------------------- */

static bool read_exactly(struct pyi_memory *memory, uint64_t address, void *into, size_t length)
{
    return pyi_memory_read(memory, address, into, length, NULL) == 0;
}

/* Copies from the first of the two unwind sections to the end of their segment. */
static void copy_unwind(struct pyi_modules *modules, struct pyi_module *module, uint64_t header,
                        uint64_t segment_end)
{
    /* version, then how the three next numbers are written: 4-byte relative, 4-byte plain, 4-byte
     * relative to this header; nothing else is in use (LSB core, "Exception Frames"). */
    uint8_t head[12];
    if (!read_exactly(modules->memory, header, head, sizeof(head)) || head[0] != 1 ||
        head[1] != 0x1b || head[2] != 0x03 || head[3] != 0x3b)
        return;
    uint64_t frames = header + 4 + (uint64_t)(int64_t)pyi_load_i32(head + 4);
    uint64_t from = (frames < header ? frames : header) & ~(uint64_t)15;
    uint64_t count = pyi_load_u32(head + 8);
    if (frames < module->base || from >= segment_end || segment_end - from > UNWIND_MAX ||
        count > (segment_end - header - sizeof(head)) / 8)
        return;
    size_t length = segment_end - from;
    uint8_t *copy = malloc(length + 16);
    if (!copy || !read_exactly(modules->memory, from, copy, length)) {
        free(copy);
        return;
    }
    memset(copy + length, 0, 16);
    module->copy = copy;
    module->copy_at = from;
    module->copy_length = length;
    module->header = header;
    module->table = header + sizeof(head);
    module->table_count = count;
}

static void load(struct pyi_modules *modules, struct pyi_module *module)
{
    Elf64_Ehdr file;
    Elf64_Phdr segments[SEGMENTS_MAX];
    uint64_t unwind = 0;
    bool first = false;
    module->loaded = true;
    if (!read_exactly(modules->memory, module->base, &file, sizeof(file)) ||
        memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_ident[EI_CLASS] != ELFCLASS64 ||
        file.e_phentsize != sizeof(Elf64_Phdr) || file.e_phnum == 0 ||
        file.e_phnum > SEGMENTS_MAX || file.e_phoff > 65536 ||
        !read_exactly(modules->memory, module->base + file.e_phoff, segments,
                      file.e_phnum * sizeof(*segments)))
        return;
    for (int i = 0; i < file.e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && !first) {
            /* The lowest segment; file offset 0 lies at `base`. */
            module->bias = module->base - (segments[i].p_vaddr - segments[i].p_offset);
            first = true;
        }
    }
    for (int i = 0; first && i < file.e_phnum; i++) {
        if (segments[i].p_type == PT_GNU_EH_FRAME)
            unwind = segments[i].p_vaddr;
        if (segments[i].p_type == PT_DYNAMIC) {
            module->dynamic = module->bias + segments[i].p_vaddr;
            module->dynamic_length = segments[i].p_memsz;
        }
    }
    module->known = first;
    for (int i = 0; unwind && i < file.e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type == PT_LOAD && unwind >= segment->p_vaddr &&
            unwind - segment->p_vaddr < segment->p_filesz &&
            segment->p_vaddr + segment->p_filesz > segment->p_vaddr)
            copy_unwind(modules, module, module->bias + unwind,
                        module->bias + segment->p_vaddr + segment->p_filesz);
    }
}

struct pyi_module *pyi_modules_at(struct pyi_modules *modules, uint64_t address)
{
    size_t low = 0, high = modules->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (modules->items[middle]->start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address >= modules->items[low - 1]->end)
        return NULL;
    struct pyi_module *module = modules->items[low - 1];
    if (!module->loaded)
        load(modules, module);
    return module;
}

/* ---- the unwind table ------------------------------------------------------------------------ */

static uint64_t entry_start(const struct pyi_module *module, uint64_t index)
{
    const uint8_t *at = module->copy + (module->table - module->copy_at) + 8 * index;
    return module->header + (uint64_t)(int64_t)pyi_load_i32(at);
}

/* Length of the function whose description the entry names: behind length, CIE pointer and start. */
static uint64_t entry_length(const struct pyi_module *module, uint64_t index)
{
    const uint8_t *at = module->copy + (module->table - module->copy_at) + 8 * index + 4;
    uint64_t record = module->header + (uint64_t)(int64_t)pyi_load_i32(at);
    if (record < module->copy_at || record - module->copy_at + 16 > module->copy_length)
        return 0;
    return pyi_load_u32(module->copy + (record - module->copy_at) + 12);
}

bool pyi_module_extent(const struct pyi_module *module, uint64_t address, struct pyi_extent *out)
{
    uint64_t low = 0, high = module->table_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_start(module, middle) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    uint64_t from = entry_start(module, low - 1), length = entry_length(module, low - 1);
    if (length == 0 || address - from >= length)
        return false;
    *out = (struct pyi_extent){from, from + length};
    return true;
}

/* ---- symbols --------------------------------------------------------------------------------- */

/* The dynamic symbols as the loader has them, for a file that cannot be opened any more. The table
 * has no length of its own; its strings follow it in every file that linkers make. */
static struct pyi_symbols *symbols_in_memory(struct pyi_modules *modules, struct pyi_module *module)
{
    uint64_t table = 0, strings = 0, size = 0;
    Elf64_Dyn entry;
    for (uint64_t at = 0; at + sizeof(entry) <= module->dynamic_length && at < DYNAMIC_MAX;
         at += sizeof(entry)) {
        if (!read_exactly(modules->memory, module->dynamic + at, &entry, sizeof(entry)) ||
            entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == DT_SYMTAB)
            table = entry.d_un.d_ptr;
        else if (entry.d_tag == DT_STRTAB)
            strings = entry.d_un.d_ptr;
        else if (entry.d_tag == DT_STRSZ)
            size = entry.d_un.d_val;
    }
    /* glibc has made these run-time addresses; musl and the vdso have not. */
    if (table < module->base)
        table += module->bias;
    if (strings < module->base)
        strings += module->bias;
    if (!table || strings <= table || size == 0 || size > TABLES_MAX ||
        strings - table > TABLES_MAX)
        return NULL;
    size_t length = strings - table;
    char *bytes = malloc(length + size);
    struct pyi_symbols *symbols = NULL;
    if (bytes && read_exactly(modules->memory, table, bytes, length) &&
        read_exactly(modules->memory, strings, bytes + length, size))
        symbols = pyi_symbols_from_tables(bytes, length, bytes + length, size);
    free(bytes);
    return symbols;
}

static const struct pyi_mapped_file *file_of(const struct pyi_modules *modules,
                                             const struct pyi_module *module)
{
    const struct pyi_mapping *mapping = pyi_maps_at(&modules->maps, module->start);
    return mapping && mapping->file != PYI_NO_FILE ? &modules->maps.files[mapping->file] : NULL;
}

/* Whether a byte sequence holds jumps from outside into the middle of other functions: the
 * compiler splits a function into a part that runs often and one that does not, and jumps between
 * them; nothing else is entered anywhere but at its start. */
static void find_split_parts(struct pyi_modules *modules, struct pyi_module *module,
                             struct pyi_extent loop)
{
#if defined(__x86_64__)
    struct pyi_extent part, parts[PYI_LOOP_PARTS];
    unsigned jumps[PYI_LOOP_PARTS] = {0};
    size_t length = loop.to - loop.from, count = 0;
    uint8_t *code = length <= LOOP_CODE_MAX ? malloc(length) : NULL;
    if (!code || !read_exactly(modules->memory, loop.from, code, length)) {
        free(code);
        return;
    }
    for (size_t i = 0; i + 6 <= length; i++) {
        size_t behind = code[i] == 0xe9                                   ? 5
                        : code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80 ? 6
                                                                          : 0;
        if (!behind)
            continue;
        uint64_t to =
            loop.from + i + behind + (uint64_t)(int64_t)pyi_load_i32(code + i + behind - 4);
        if ((to >= loop.from && to < loop.to) || to < module->start || to >= module->end ||
            !pyi_module_extent(module, to, &part) || part.from == to)
            continue;
        size_t k = 0;
        while (k < count && parts[k].from != part.from)
            k++;
        if (k == count && count < PYI_LOOP_PARTS)
            parts[count++] = part;
        if (k < count)
            jumps[k]++;
    }
    free(code);
    for (size_t k = 0; k < count && module->loop_count < PYI_LOOP_PARTS; k++)
        if (jumps[k] >= LOOP_JUMPS)
            module->loop[module->loop_count++] = parts[k];
#endif
}

static void name_module(struct pyi_modules *modules, struct pyi_module *module)
{
    const struct pyi_mapped_file *file = file_of(modules, module);
    int fd =
        file ? pyi_elf_open_file(modules->proc, modules->pid, modules->memory, &modules->maps, file)
             : -1;
    module->named = true;
    if (fd >= 0)
        module->symbols = pyi_symbols_open(fd, modules->root);
    if (module->known && (!module->symbols || pyi_symbols_count(module->symbols) == 0)) {
        pyi_symbols_free(module->symbols);
        module->symbols = symbols_in_memory(modules, module);
    }
    uint64_t loop = module->symbols ? pyi_symbols_find(module->symbols, LOOP_NAME) : 0;
    struct pyi_extent extent;
    if (loop && pyi_module_extent(module, module->bias + loop, &extent)) {
        module->loop[module->loop_count++] = extent;
        find_split_parts(modules, module, extent);
    }
}

/* ---- functions ------------------------------------------------------------------------------- */

static struct pyi_function *share(struct pyi_modules *modules, struct pyi_text name,
                                  struct pyi_text path, bool loop)
{
    uint64_t value;
    struct {
        const char *name, *path;
        uint64_t loop;
    } identity = {name.data, path.data, loop};
    uint64_t key = pyi_hash_bytes(&identity, sizeof(identity)) >> 1;
    while (pyi_map_get(&modules->by_name, key, &value)) {
        struct pyi_function *have = (struct pyi_function *)(uintptr_t)value;
        if (have->name.data == name.data && have->path.data == path.data && have->loop == loop)
            return have;
        key = (key + 1) & (UINT64_MAX >> 1);
    }
    struct pyi_function *function = pyi_arena_alloc(&modules->arena, sizeof(*function));
    if (!function || !pyi_map_put(&modules->by_name, key, (uintptr_t)function))
        return NULL;
    *function = (struct pyi_function){.name = name, .path = path, .loop = loop};
    return function;
}

static bool in_loop(const struct pyi_module *module, uint64_t address, const char *symbol)
{
    for (size_t i = 0; i < module->loop_count; i++)
        if (address >= module->loop[i].from && address < module->loop[i].to)
            return true;
    /* 3.14+ built with tail calls: one function per instruction (Python/ceval_macros.h). */
    return symbol && (strncmp(symbol, "_TAIL_CALL_", 11) == 0 ||
                      strncmp(symbol, LOOP_NAME, strlen(LOOP_NAME)) == 0);
}

static struct pyi_function *describe(struct pyi_modules *modules, struct pyi_module *module,
                                     uint64_t address)
{
    struct pyi_strbuf name = {0};
    struct pyi_extent extent;
    if (!module) /* code made while running: in an interpreter it runs Python frames */
        pyi_strbuf_string(&name, "[generated code]");
    if (module && !module->named)
        name_module(modules, module);
    const char *symbol =
        module && module->symbols ? pyi_symbols_at(module->symbols, address - module->bias) : NULL;
    if (symbol)
        pyi_symbol_name(symbol, PYI_NATIVE_NAME, &name);
    else if (module)
        pyi_strbuf_format(&name, "0x%llx",
                          (unsigned long long)((pyi_module_extent(module, address, &extent)
                                                    ? extent.from
                                                    : address & ~(uint64_t)0xfff) -
                                               module->bias));
    struct pyi_text text = pyi_strbuf_get(&name);
    uint32_t number =
        name.failed ? UINT32_MAX : pyi_intern_add(&modules->texts, text.data, text.length);
    bool loop = !module || in_loop(module, address, symbol);
    pyi_strbuf_deinit(&name);
    struct pyi_text path = module ? module->path : keep_path(modules, "[anonymous]");
    if (number == UINT32_MAX || !path.data)
        return NULL;
    return share(modules, pyi_intern_text(&modules->texts, number), path, loop);
}

struct pyi_function *pyi_modules_function(struct pyi_modules *modules, uint64_t address)
{
    uint64_t known;
    if (pyi_map_get(&modules->functions, address, &known))
        return (struct pyi_function *)(uintptr_t)known;
    struct pyi_module *module = pyi_modules_at(modules, address);
    struct pyi_function *function = describe(modules, module, address);
    if (modules->functions.count >= FUNCTIONS_MAX)
        pyi_map_clear(&modules->functions);
    if (!function || !pyi_map_put(&modules->functions, address, (uintptr_t)function))
        return NULL;
    return function;
}
