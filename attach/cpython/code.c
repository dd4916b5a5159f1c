/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * code.c - from a code object's address to its name, file, lines and frame shape.
 *
 * In: an address found in a frame. Out: a cached entry and the constant struct pyi_code that
 * leaves attach/. Code objects die and addresses are used again: an entry is compared with the
 * target on a schedule and whenever the interpreter says that a code object was freed (3.14+).
 */
#include "attach/cpython/code.h"

#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>

#define KNOWN_LIMIT     (1 << 20)
#define WINDOW_MAX      512
#define RECHECK_ROUNDS  1024 /* before 3.14: rounds an entry is believed without a look */
#define AGEING_LOOKS    8    /* entries looked at for the next old one */
#define MOVING_ROUNDS   64   /* rounds of care after the interpreter freed a code object */
#define MAX_COPIES      2048 /* of one code object's instructions, one per thread */
#define CAUTIOUS_ROUNDS 4096 /* rounds without such trust after an address was found reused */

/* co_flags, Include/cpython/code.h, the same in all versions. */
#define CODE_OPTIMIZED  0x0001
#define CODE_GENERATORS 0x02a0 /* generator, coroutine, asynchronous generator */

/* co_localspluskinds, 3.11+, Include/internal/pycore_code.h. */
#define KIND_LOCAL 0x20
#define KIND_CELL  0x40

static const char *const local_words[] = {"self", "cls", "__tracebackhide__"};
enum { WORD_SELF = 1, WORD_CLS = 2, WORD_HIDE = 3 };

void pyi_codes_deinit(struct pyi_codes *codes)
{
    for (size_t i = 0; i < codes->count; i++) {
        free(codes->entries[i]->lines);
        free(codes->entries[i]->leavings);
        free(codes->entries[i]->copies);
    }
    free(codes->entries);
    free(codes->pending);
    pyi_map_deinit(&codes->by_address);
    pyi_map_deinit(&codes->by_text);
    pyi_arena_free(&codes->arena);
    *codes = (struct pyi_codes){0};
}

static size_t field_end(size_t end, uint32_t offset, size_t size)
{
    return pyi_has_field(offset) && offset + size > end ? offset + size : end;
}

size_t pyi_codes_window(const struct pyi_cpython *python)
{
    const struct pyi_layout *layout = &python->layout;
    size_t end = field_end(0, layout->code_linetable, 8);
    end = field_end(end, layout->code_filename, 8);
    end = field_end(end, layout->code_name, 8);
    end = field_end(end, layout->code_code, 8);
    return field_end(end, layout->code_firstlineno, 4);
}

/* Length of the instructions: in the object's size (3.11+), else the co_code object stands for
 * it, a pointer that is as good for telling two code objects apart. */
static uint64_t size_word(const struct pyi_layout *layout, const uint8_t *window)
{
    return pyi_load_u64(
        window + (pyi_has_field(layout->code_adaptive) ? layout->var_size : layout->code_code));
}

void pyi_codes_check(struct pyi_cpython *python, struct pyi_code_entry *entry,
                     const uint8_t *window)
{
    const struct pyi_layout *layout = &python->layout;
    if (pyi_load_u64(window + layout->object_type) != python->codes.type ||
        pyi_load_u64(window + layout->code_name) != entry->name_at ||
        pyi_load_u64(window + layout->code_filename) != entry->filename_at ||
        pyi_load_u64(window + layout->code_linetable) != entry->linetable_at ||
        pyi_load_i32(window + layout->code_firstlineno) != entry->first_line ||
        size_word(layout, window) != entry->size_word)
        entry->valid = false;
    else
        pyi_codes_fresh(python, entry);
}

void pyi_codes_fresh(const struct pyi_cpython *python, struct pyi_code_entry *entry)
{
    entry->generation = python->generation;
    entry->checked = python->round;
}

void pyi_codes_generation(struct pyi_cpython *python, uint64_t generation)
{
    if (python->generation != generation)
        python->codes.cautious_until = python->round + MOVING_ROUNDS;
    python->generation = generation;
}

bool pyi_codes_stale(const struct pyi_cpython *python, const struct pyi_code_entry *entry)
{
    if (entry->generation != python->generation)
        return true;
    if (pyi_has_field(python->layout.interp_code_generation))
        return false;
    uint32_t age = python->round - entry->checked;
    return python->round < python->codes.cautious_until ? age > 0 : age > RECHECK_ROUNDS;
}

struct pyi_code_entry *pyi_codes_ageing(struct pyi_cpython *python)
{
    struct pyi_codes *codes = &python->codes;
    for (size_t i = 0; i < AGEING_LOOKS && i < codes->count; i++) {
        struct pyi_code_entry *entry = codes->entries[codes->oldest++ % codes->count];
        if (entry->valid && python->round - entry->checked > RECHECK_ROUNDS / 2)
            return entry;
    }
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The type must be the code type: its address is given by a symbol, or it is learned from the
 * first type that says it is called "code". */
static int check_type(struct pyi_cpython *python, pyi_addr type, struct pyi_error *err)
{
    struct pyi_codes *codes = &python->codes;
    if (codes->type == 0 && python->runtime.code_type != 0)
        codes->type = python->runtime.code_type;
    if (codes->type == 0) {
        const struct pyi_class *class;
        int rc = pyi_classes_get(python, type, &class, err);
        if (rc != 0)
            return rc;
        if (!class->is_code)
            return pyi_error_set(err, PYI_E_TORN, "not a code object");
        codes->type = type;
    }
    return codes->type == type ? 0 : pyi_error_set(err, PYI_E_TORN, "not a code object");
}

/* 3.11+: one tuple of names and one byte of kind for each. */
static int read_locals(struct pyi_cpython *python, struct pyi_code_entry *entry,
                       const uint8_t *window, bool *hide, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *names = NULL;
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *kinds = NULL;
    size_t count = 0, kind_count = 0;
    int rc = pyi_object_tuple(python, pyi_load_u64(window + layout->code_localsplusnames),
                              PYI_MAX_LOCALS, &names, &count, err);
    if (rc == 0)
        rc = pyi_object_bytestring(python, pyi_load_u64(window + layout->code_localspluskinds),
                                   PYI_MAX_LOCALS, &kinds, &kind_count, err);
    if (rc != 0)
        return rc;
    if (kind_count < count)
        return pyi_error_set(err, PYI_E_TORN, "locals without kinds");
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *which = malloc(count + 1);
    if (which == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_match(python, names, count, local_words, 3, which, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        if (which[i] == WORD_HIDE && kinds[i] & KIND_LOCAL)
            *hide = true;
    /* Parameters and locals come first, so entry 0 is the first local or there is none. */
    if (count > 0 && kinds[0] & KIND_LOCAL && which[0] != 0 && which[0] != WORD_HIDE)
        entry->first_local = which[0] == WORD_SELF ? PYI_FIRST_SELF : PYI_FIRST_CLS;
    entry->first_is_cell = count > 0 && kinds[0] & KIND_CELL;
    return 0;
}

/* Up to 3.10 a captured parameter lives in a cell behind the locals, and co_cellvars says in
 * which one. */
static int find_cell(struct pyi_cpython *python, struct pyi_code_entry *entry,
                     const uint8_t *window, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *cells = NULL;
    size_t count = 0;
    int32_t locals = pyi_load_i32(window + layout->code_nlocals);
    int rc = pyi_object_tuple(python, pyi_load_u64(window + layout->code_cellvars), PYI_MAX_LOCALS,
                              &cells, &count, err);
    if (rc != 0)
        return rc;
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *which = malloc(count + 1);
    if (which == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_match(python, cells, count, local_words, 2, which, err);
    uint8_t wanted = entry->first_local == PYI_FIRST_SELF ? WORD_SELF : WORD_CLS;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (which[i] == wanted && locals >= 0 && locals < PYI_MAX_LOCALS)
            entry->cell_slot = locals + (int32_t)i;
    return rc;
}

static int read_locals_old(struct pyi_cpython *python, struct pyi_code_entry *entry,
                           const uint8_t *window, bool *hide, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *names = NULL;
    size_t count = 0;
    int rc = pyi_object_tuple(python, pyi_load_u64(window + python->layout.code_varnames),
                              PYI_MAX_LOCALS, &names, &count, err);
    if (rc != 0)
        return rc;
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *which = malloc(count + 1);
    if (which == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_match(python, names, count, local_words, 3, which, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (which[i] == WORD_HIDE)
            *hide = true;
    if (rc == 0 && count > 0 && (which[0] == WORD_SELF || which[0] == WORD_CLS)) {
        entry->first_local = which[0] == WORD_SELF ? PYI_FIRST_SELF : PYI_FIRST_CLS;
        rc = find_cell(python, entry, window, err);
    }
    return rc;
}

static int read_lines(struct pyi_cpython *python, struct pyi_code_entry *entry,
                      struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *table = NULL;
    size_t length = 0;
    int rc =
        pyi_object_bytestring(python, entry->linetable_at, PYI_MAX_LINETABLE, &table, &length, err);
    if (rc != 0)
        return rc;
    enum pyi_linetable_format format = python->minor >= 11             ? PYI_LINETABLE_LOCATIONS
                                       : python->minor == 10           ? PYI_LINETABLE_RANGES
                                       : python->minor == PYI_PYTHON_2 ? PYI_LINETABLE_UNSIGNED
                                                                       : PYI_LINETABLE_LNOTAB;
    return pyi_linetable_decode(format, table, length, entry->first_line, &entry->lines,
                                &entry->line_count, err);
}

/* The record that leaves attach/: one per name, file, line and mark, so that a program that
 * compiles the same text for ever does not fill our memory. */
int pyi_codes_share(struct pyi_cpython *python, struct pyi_text name, struct pyi_text file,
                    int32_t first_line, bool hide, const struct pyi_code **out,
                    struct pyi_error *err)
{
    struct pyi_codes *codes = &python->codes;
    struct {
        const char *name, *file;
        int32_t line, hide;
    } identity = {name.data, file.data, first_line, hide};
    uint64_t key = pyi_hash_bytes(&identity, sizeof(identity)) >> 1, value;
    while (pyi_map_get(&codes->by_text, key, &value)) {
        const struct pyi_code *code = (const struct pyi_code *)(uintptr_t)value;
        if (code->name.data == name.data && code->filename.data == file.data &&
            code->first_line == first_line && code->traceback_hide == hide) {
            *out = code;
            return 0;
        }
        key = (key + 1) & (UINT64_MAX >> 1);
    }
    struct pyi_code *code = pyi_arena_alloc(&codes->arena, sizeof(*code));
    if (code == NULL || !pyi_map_put(&codes->by_text, key, (uintptr_t)code))
        return pyi_error_nomem(err);
    *code = (struct pyi_code){.name = name,
                              .filename = file,
                              .first_line = first_line,
                              .traceback_hide = hide,
                              .id = codes->next_id++};
    *out = code;
    return 0;
}

static int read_text(struct pyi_cpython *python, pyi_addr object, struct pyi_text *out,
                     struct pyi_error *err)
{
    struct pyi_strbuf buffer = {0};
    int rc = pyi_object_str(python, object, PYI_MAX_NAME, &buffer, err);
    if (rc == 0) {
        *out = pyi_cpython_text(python, &buffer);
        if (out->data == NULL)
            rc = pyi_error_nomem(err);
    }
    pyi_strbuf_deinit(&buffer);
    return rc;
}

static int read_shape(struct pyi_cpython *python, struct pyi_code_entry *entry,
                      const uint8_t *window, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    if (!pyi_has_field(layout->code_adaptive)) {
        uint64_t length;
        if (!pyi_addr_plausible(entry->size_word))
            return pyi_error_set(err, PYI_E_TORN, "code object without code");
        int rc = pyi_object_word(python, entry->size_word + layout->var_size, &length, err);
        entry->length = length;
        return rc;
    }
    entry->start = entry->address + layout->code_adaptive;
    entry->length = entry->size_word * 2;
    entry->first_traceable = pyi_load_i32(window + layout->code_firsttraceable);
    int64_t words = 0;
    if (pyi_has_field(layout->code_framesize)) {
        words = pyi_load_i32(window + layout->code_framesize);
    } else {
        /* 3.11, pycore_frame.h: locals, stack and the fixed part before the locals. */
        words = (int64_t)pyi_load_i32(window + layout->code_nlocalsplus) +
                pyi_load_i32(window + layout->code_stacksize) + layout->iframe_localsplus / 8;
    }
    if (entry->size_word > (UINT64_C(1) << 31) || words <= 0 || words > PYI_MAX_CHUNK / 8)
        return pyi_error_set(err, PYI_E_TORN, "code object of absurd size");
    entry->frame_words = (uint32_t)words;
    entry->has_locals = pyi_has_field(layout->code_nlocalsplus) &&
                        pyi_load_i32(window + layout->code_nlocalsplus) > 0;
    return 0;
}

/* Everything behind the type check. */
static int fill(struct pyi_cpython *python, struct pyi_code_entry *entry, const uint8_t *window,
                struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    entry->name_at = pyi_load_u64(window + layout->code_name);
    entry->filename_at = pyi_load_u64(window + layout->code_filename);
    entry->linetable_at = pyi_load_u64(window + layout->code_linetable);
    entry->first_line = pyi_load_i32(window + layout->code_firstlineno);
    entry->size_word = size_word(layout, window);
    entry->cell_slot = -1;
    entry->last_offset = INT64_MIN;
    pyi_codes_fresh(python, entry);
    int rc = read_shape(python, entry, window, err);
    if (rc != 0)
        return rc;
    /* 3.12+, Python/specialize.c: the trampoline that calls __init__ has a code object without
     * names; its frames never count as started. */
    if (entry->name_at == 0 && python->minor >= 12)
        return 0;
    struct pyi_text name, file;
    bool hide = false;
    entry->is_generator = (pyi_load_i32(window + layout->code_flags) & CODE_GENERATORS) != 0;
    rc = read_text(python, entry->name_at, &name, err);
    if (rc == 0)
        rc = read_text(python, entry->filename_at, &file, err);
    /* Modules and class bodies keep their variables in a dict. */
    if (rc == 0 && pyi_load_i32(window + layout->code_flags) & CODE_OPTIMIZED)
        rc = python->minor >= 11 ? read_locals(python, entry, window, &hide, err)
                                 : read_locals_old(python, entry, window, &hide, err);
    if (rc == 0)
        rc = read_lines(python, entry, err);
    if (rc == 0)
        rc = pyi_codes_share(python, name, file, entry->first_line, hide, &entry->code, err);
    return rc;
}

static int load(struct pyi_cpython *python, pyi_addr address, struct pyi_code_entry *out,
                struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint8_t window[WINDOW_MAX];
    size_t size = pyi_has_field(layout->code_adaptive) ? layout->code_adaptive : layout->code_size;
    if (!pyi_addr_plausible(address))
        return pyi_error_set(err, PYI_E_TORN, "no code object");
    if (size > sizeof(window) || pyi_codes_window(python) > size)
        return pyi_error_set(err, PYI_E_FORMAT, "layout of code objects makes no sense");
    int rc = pyi_object_bytes(python, address, window, size, err);
    if (rc == 0)
        rc = check_type(python, pyi_load_u64(window + layout->object_type), err);
    if (rc != 0)
        return rc;
    *out = (struct pyi_code_entry){.address = address};
    rc = fill(python, out, window, err);
    if (rc != 0) {
        free(out->lines);
        return rc == PYI_E_FORMAT ? PYI_E_TORN : rc;
    }
    out->valid = true;
    python->codes.misses++;
    return 0;
}

static int add(struct pyi_cpython *python, const struct pyi_code_entry *fresh,
               struct pyi_code_entry **out, struct pyi_error *err)
{
    struct pyi_codes *codes = &python->codes;
    struct pyi_code_entry *entry = pyi_arena_alloc(&codes->arena, sizeof(*entry));
    if (codes->count >= KNOWN_LIMIT)
        return pyi_error_set(err, PYI_E_LIMIT, "too many code objects");
    if (entry == NULL ||
        !pyi_array_reserve(&codes->entries, &codes->capacity, codes->count + 1,
                           sizeof(*codes->entries)) ||
        !pyi_map_put(&codes->by_address, fresh->address, (uintptr_t)entry))
        return pyi_error_nomem(err);
    *entry = *fresh;
    codes->entries[codes->count++] = entry;
    *out = entry;
    return 0;
}

int pyi_codes_get(struct pyi_cpython *python, pyi_addr address, struct pyi_code_entry **out,
                  struct pyi_error *err)
{
    struct pyi_codes *codes = &python->codes;
    struct pyi_code_entry *entry = NULL;
    uint64_t value;
    if (pyi_map_get(&codes->by_address, address, &value)) {
        entry = (struct pyi_code_entry *)(uintptr_t)value;
        if (entry->valid) {
            *out = entry;
            return 0;
        }
    }
    struct pyi_code_entry fresh;
    int rc = load(python, address, &fresh, err);
    if (rc != 0)
        return rc;
    if (entry == NULL) {
        rc = add(python, &fresh, out, err);
        if (rc != 0)
            free(fresh.lines);
        return rc;
    }
    codes->reused++;
    codes->cautious_until = python->round + CAUTIOUS_ROUNDS;
    free(entry->lines);
    free(entry->leavings);
    free(entry->copies);
    fresh.version = entry->version + 1;
    *entry = fresh;
    *out = entry;
    return 0;
}

/* _PyCodeArray, 3.14, Include/cpython/code.h: a count and as many pointers. The first is the copy
 * inside the code object; a thread without one of its own has null and runs that. */
static int read_copies(struct pyi_cpython *python, struct pyi_code_entry *entry,
                       struct pyi_error *err)
{
    uint64_t array, count = 0;
    free(entry->copies);
    entry->copies = NULL;
    entry->copy_count = 0;
    int rc = pyi_object_word(python, entry->address + python->layout.code_tlbc, &array, err);
    if (rc == 0 && array != 0)
        rc = pyi_object_word(python, array, &count, err);
    if (rc != 0)
        return rc;
    if (count > MAX_COPIES)
        return pyi_error_set(err, PYI_E_TORN, "too many copies of instructions");
    pyi_addr *copies = malloc((count + 1) * sizeof(*copies));
    if (copies == NULL)
        return pyi_error_nomem(err);
    if (count > 0)
        rc = pyi_object_bytes(python, array + 8, copies, count * sizeof(*copies), err);
    if (rc != 0) {
        free(copies);
        return rc;
    }
    entry->copies = copies;
    entry->copy_count = count;
    return 0;
}

int pyi_codes_start(struct pyi_cpython *python, struct pyi_code_entry *entry, int32_t copy,
                    pyi_addr instruction, pyi_addr *start, struct pyi_error *err)
{
    *start = entry->start;
    if (copy <= 0 || !pyi_has_field(python->layout.code_tlbc))
        return 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        pyi_addr known = (size_t)copy < entry->copy_count ? entry->copies[copy] : 0;
        *start = known != 0 ? known : entry->start;
        if (instruction - *start < entry->length)
            return 0;
        int rc = attempt == 0 ? read_copies(python, entry, err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Opcodes that pop the frame, Include/opcode.h (3.11, 3.12) and opcode_ids.h (3.13): RETURN_VALUE,
 * RETURN_CONST, RETURN_GENERATOR and the forms that sys.monitoring puts in their place. */
static bool leaves_frame(int minor, uint8_t opcode)
{
    switch (minor) {
    case 11:
        return opcode == 83 || opcode == 75;
    case 12:
        return opcode == 83 || opcode == 121 || opcode == 75 || opcode == 242 || opcode == 247;
    case 13:
        return opcode == 36 || opcode == 103 || opcode == 35 || opcode == 239 || opcode == 240;
    }
    return false;
}

/* RAISE_VARARGS and RERAISE; the interpreter pushes no frame from there. */
static bool raises(int minor, uint8_t opcode)
{
    return minor <= 12 ? opcode == 130 || opcode == 119 : opcode == 101 || opcode == 102;
}

/* Two bits per instruction. */
static int read_leavings(struct pyi_cpython *python, struct pyi_code_entry *entry,
                         struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *bytes = malloc(entry->length + 1);
    uint8_t *bits = calloc(entry->length / 8 + 1, 1);
    int rc = bytes != NULL && bits != NULL
                 ? pyi_object_bytes(python, entry->start, bytes, entry->length, err)
                 : pyi_error_nomem(err);
    if (rc != 0) {
        free(bits);
        return rc;
    }
    for (size_t i = 0; i + 1 < entry->length; i += 2) {
        unsigned what = leaves_frame(python->minor, bytes[i]) ? PYI_LEAVING_RETURNS
                        : raises(python->minor, bytes[i])     ? PYI_LEAVING_RAISES
                                                              : PYI_LEAVING_NOT;
        bits[i / 8] |= (uint8_t)(what << (i & 6));
    }
    entry->leavings = bits;
    return 0;
}

int pyi_codes_leaving(struct pyi_cpython *python, struct pyi_code_entry *entry, int64_t offset,
                      enum pyi_leaving *out, struct pyi_error *err)
{
    *out = PYI_LEAVING_NOT;
    if (offset < 0 || (uint64_t)offset >= entry->length || entry->length > PYI_MAX_LINETABLE)
        return 0;
    int rc = entry->leavings == NULL ? read_leavings(python, entry, err) : 0;
    if (rc == 0)
        *out = (enum pyi_leaving)(entry->leavings[offset / 8] >> (offset & 6) & 3);
    return rc;
}

int32_t pyi_codes_line(struct pyi_code_entry *entry, int64_t offset)
{
    if (offset != entry->last_offset) {
        entry->last_line =
            pyi_linetable_find(entry->lines, entry->line_count, offset, entry->first_line);
        entry->last_offset = offset;
    }
    return entry->last_line;
}
