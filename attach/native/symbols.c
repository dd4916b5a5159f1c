/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * symbols.c - symbol tables of ELF files as one list sorted by address.
 *
 * In: an open file, whatever it holds. Out: names by address. libelf is handed a descriptor and
 * reads with read(): a mapped file that is cut short under us would end us with SIGBUS. Must not
 * know processes or where a file is mapped.
 */
#include "attach/native/symbols.h"

#include "src/base/array.h"
#include <ctype.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <libiberty/demangle.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOLS_MAX ((size_t)4 << 20)
#define STRINGS_MAX ((size_t)512 << 20)
#define UNPACK_MAX  ((size_t)64 << 20)
#define ID_MAX      64
#define MANGLED_MAX 4096 /* longer symbols are shown as they are */

struct symbol {
    uint64_t address, size;
    uint32_t name;   /* offset into strings */
    uint8_t quality; /* of several at one address the highest is shown */
};

struct pyi_symbols {
    struct symbol *items;
    size_t count, capacity;
    char *strings;
    size_t string_count, string_capacity;
    bool failed; /* lack of memory */
};

/* ---- collecting ------------------------------------------------------------------------------ */

static uint8_t quality_of(const GElf_Sym *symbol)
{
    unsigned bind = GELF_ST_BIND(symbol->st_info), type = GELF_ST_TYPE(symbol->st_info);
    uint8_t quality = bind == STB_GLOBAL ? 3 : bind == STB_WEAK ? 2 : 1;
    return (uint8_t)(2 * quality + (type != STT_NOTYPE) + 8 * (symbol->st_size > 0));
}

/* Labels of assembly code have no type; names like $x and .L1 are marks of the tools. */
static bool is_function(const GElf_Sym *symbol, const char *name)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS || symbol->st_value == 0 ||
        !*name || *name == '$' || *name == '.')
        return false;
    return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

static void add(struct pyi_symbols *symbols, const GElf_Sym *symbol, const char *name)
{
    size_t length = strlen(name) + 1;
    if (symbols->count >= SYMBOLS_MAX || symbols->string_count + length > STRINGS_MAX)
        return;
    if (!pyi_array_reserve(&symbols->items, &symbols->capacity, symbols->count + 1,
                           sizeof(*symbols->items)) ||
        !pyi_array_reserve(&symbols->strings, &symbols->string_capacity,
                           symbols->string_count + length, 1)) {
        symbols->failed = true;
        return;
    }
    memcpy(symbols->strings + symbols->string_count, name, length);
    symbols->items[symbols->count++] = (struct symbol){.address = symbol->st_value,
                                                       .size = symbol->st_size,
                                                       .name = (uint32_t)symbols->string_count,
                                                       .quality = quality_of(symbol)};
    symbols->string_count += length;
}

/* Whether a symbol without type lies among code. */
static bool in_code(Elf *elf, const GElf_Sym *symbol)
{
    GElf_Shdr header;
    Elf_Scn *section = elf_getscn(elf, symbol->st_shndx);
    return GELF_ST_TYPE(symbol->st_info) != STT_NOTYPE ||
           (section && gelf_getshdr(section, &header) && header.sh_flags & SHF_EXECINSTR);
}

static void take_table(struct pyi_symbols *symbols, Elf *elf, Elf_Scn *section,
                       const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;
    for (size_t i = 0; i < count && i < SYMBOLS_MAX && !symbols->failed; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol))
            break;
        const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
        if (name && is_function(&symbol, name) && in_code(elf, &symbol))
            add(symbols, &symbol, name);
    }
}

/* ---- where else a file's symbols may be ------------------------------------------------------ */

struct extra {
    uint8_t id[ID_MAX];
    size_t id_length;
    uint8_t *packed; /* the compressed table, NULL none */
    size_t packed_length;
};

static void take_note(Elf_Scn *section, struct extra *extra)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t at = 0, name_at, content_at;
    GElf_Nhdr note;
    while (data && (at = gelf_getnote(data, at, &note, &name_at, &content_at)) > 0) {
        const char *base = data->d_buf;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(base + name_at, "GNU", 4) == 0 && note.n_descsz > 1 && note.n_descsz <= ID_MAX) {
            memcpy(extra->id, base + content_at, note.n_descsz);
            extra->id_length = note.n_descsz;
        }
    }
}

static void take_packed(Elf_Scn *section, struct extra *extra)
{
    Elf_Data *data = elf_rawdata(section, NULL);
    if (!data || !data->d_buf || data->d_size == 0 || data->d_size > UNPACK_MAX || extra->packed)
        return;
    extra->packed = malloc(data->d_size);
    if (!extra->packed)
        return;
    memcpy(extra->packed, data->d_buf, data->d_size);
    extra->packed_length = data->d_size;
}

/* `extra` NULL: only the symbols are wanted. */
static void take_file(struct pyi_symbols *symbols, Elf *elf, struct extra *extra)
{
    size_t names;
    GElf_Shdr header;
    if (!elf || elf_kind(elf) != ELF_K_ELF || elf_getshdrstrndx(elf, &names) != 0)
        return;
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section; section = elf_nextscn(elf, section)) {
        if (!gelf_getshdr(section, &header))
            continue;
        if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
            take_table(symbols, elf, section, &header);
        else if (extra && header.sh_type == SHT_NOTE)
            take_note(section, extra);
        else if (extra && header.sh_type == SHT_PROGBITS) {
            const char *name = elf_strptr(elf, names, header.sh_name);
            if (name && strcmp(name, ".gnu_debugdata") == 0)
                take_packed(section, extra);
        }
    }
}

static void take_descriptor(struct pyi_symbols *symbols, int fd, struct extra *extra)
{
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    take_file(symbols, elf, extra);
    elf_end(elf);
    close(fd);
}

static bool take_debug_file(struct pyi_symbols *symbols, const char *root,
                            const struct extra *extra)
{
    char path[PATH_MAX];
    struct stat status;
    int length =
        snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%02x/", root, extra->id[0]);
    if (length < 0 || (size_t)length + 2 * ID_MAX + 8 > sizeof(path))
        return false;
    for (size_t i = 1; i < extra->id_length; i++)
        length += sprintf(path + length, "%02x", extra->id[i]);
    strcpy(path + length, ".debug");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return false;
    }
    take_descriptor(symbols, fd, NULL);
    return true;
}

static void take_unpacked(struct pyi_symbols *symbols, const struct extra *extra)
{
    uint64_t memory = UNPACK_MAX;
    size_t in = 0, out = 0, size = 16 * extra->packed_length + 65536;
    if (size > UNPACK_MAX)
        size = UNPACK_MAX;
    char *bytes = malloc(size);
    if (!bytes)
        return;
    if (lzma_stream_buffer_decode(&memory, 0, NULL, extra->packed, &in, extra->packed_length,
                                  (uint8_t *)bytes, &out, size) == LZMA_OK) {
        Elf *elf = elf_memory(bytes, out);
        take_file(symbols, elf, NULL);
        elf_end(elf);
    }
    free(bytes);
}

/* ---- the list -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->quality != y->quality ? (int)y->quality - (int)x->quality
                                    : (x->name > y->name) - (x->name < y->name);
}

static struct pyi_symbols *sorted(struct pyi_symbols *symbols)
{
    size_t kept = 0;
    if (symbols->failed) {
        pyi_symbols_free(symbols);
        return NULL;
    }
    if (symbols->count > 1)
        qsort(symbols->items, symbols->count, sizeof(*symbols->items), compare);
    for (size_t i = 0; i < symbols->count; i++)
        if (kept == 0 || symbols->items[kept - 1].address != symbols->items[i].address)
            symbols->items[kept++] = symbols->items[i];
    symbols->count = kept;
    return symbols;
}

struct pyi_symbols *pyi_symbols_open(int fd, const char *root)
{
    struct extra extra = {0};
    struct pyi_symbols *symbols = calloc(1, sizeof(*symbols));
    if (!symbols) {
        close(fd);
        return NULL;
    }
    elf_version(EV_CURRENT);
    take_descriptor(symbols, fd, &extra);
    if (extra.id_length && !take_debug_file(symbols, root, &extra) && *root)
        take_debug_file(symbols, "", &extra);
    if (extra.packed)
        take_unpacked(symbols, &extra);
    free(extra.packed);
    return sorted(symbols);
}

struct pyi_symbols *pyi_symbols_from_tables(const void *table, size_t symbol_bytes,
                                            const char *strings, size_t string_bytes)
{
    struct pyi_symbols *symbols = calloc(1, sizeof(*symbols));
    if (!symbols)
        return NULL;
    if (string_bytes == 0 || strings[string_bytes - 1] != '\0')
        return symbols;
    for (size_t i = 0; i < symbol_bytes / sizeof(Elf64_Sym) && !symbols->failed; i++) {
        Elf64_Sym raw;
        memcpy(&raw, (const char *)table + i * sizeof(raw), sizeof(raw));
        GElf_Sym symbol = {.st_name = raw.st_name,
                           .st_info = raw.st_info,
                           .st_shndx = raw.st_shndx,
                           .st_value = raw.st_value,
                           .st_size = raw.st_size};
        if (raw.st_name < string_bytes && GELF_ST_TYPE(raw.st_info) != STT_NOTYPE &&
            is_function(&symbol, strings + raw.st_name))
            add(symbols, &symbol, strings + raw.st_name);
    }
    return sorted(symbols);
}

void pyi_symbols_free(struct pyi_symbols *symbols)
{
    if (!symbols)
        return;
    free(symbols->items);
    free(symbols->strings);
    free(symbols);
}

const char *pyi_symbols_at(const struct pyi_symbols *symbols, uint64_t address)
{
    size_t low = 0, high = symbols->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->items[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct symbol *symbol = &symbols->items[low - 1];
    /* Without a size it reaches up to the next one: code written in assembly. */
    if (symbol->size && address - symbol->address >= symbol->size)
        return NULL;
    return symbols->strings + symbol->name;
}

uint64_t pyi_symbols_find(const struct pyi_symbols *symbols, const char *name)
{
    for (size_t i = 0; i < symbols->count; i++)
        if (strcmp(symbols->strings + symbols->items[i].name, name) == 0)
            return symbols->items[i].address;
    return 0;
}

size_t pyi_symbols_count(const struct pyi_symbols *symbols)
{
    return symbols->count;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Where the compiler's marks begin: .cold and .part.0 are pieces of a function, .isra.0,
 * .constprop.1 and .lto_priv.2 the same function in another form, @ begins a version. */
static size_t plain_length(const char *symbol)
{
    static const char *const marks[] = {".cold",     ".part.",      ".isra.",  ".constprop.",
                                        ".lto_priv", ".localalias", ".llvm.",  ".warm",
                                        ".hot",      ".unlikely",   ".__uniq."};
    size_t length = strcspn(symbol, "@");
    for (size_t i = 1; i < length; i++)
        for (size_t k = 0; symbol[i] == '.' && k < sizeof(marks) / sizeof(*marks); k++)
            if (strncmp(symbol + i, marks[k], strlen(marks[k])) == 0)
                return i;
    return length;
}

void pyi_symbol_name(const char *symbol, size_t limit, struct pyi_strbuf *out)
{
    size_t length = plain_length(symbol);
    char mangled[MANGLED_MAX], *plain = NULL;
    if (length > 2 && length < sizeof(mangled) && symbol[0] == '_' && symbol[1] == 'Z') {
        memcpy(mangled, symbol, length);
        mangled[length] = '\0';
        plain = cplus_demangle_v3(mangled, DMGL_NO_OPTS);
    }
    const char *name = plain ? plain : symbol;
    if (plain)
        length = strlen(plain);
    if (length <= limit) {
        pyi_strbuf_os_bytes(out, name, length);
    } else {
        pyi_strbuf_os_bytes(out, name, limit - 3);
        pyi_strbuf_string(out, "...");
    }
    free(plain);
}
