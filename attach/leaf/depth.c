/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * depth.c - static depth of the value stack at call instructions.
 *
 * In: a code object's instructions and exception table. Out: its calls, each with operand and the
 * depth before it. CPython keeps no depth in memory while a frame runs before 3.14, so it is
 * followed along every way through the code. The second half reads those bytes from the target
 * and undoes what tracing and the JIT wrote over them. Must not know what a call is called.
 */
#include "attach/leaf/depth.h"

#include "attach/cpython/object.h"
#include "src/base/error.h"
#include <stdlib.h>

#define MAX_UNITS (1u << 20)
#define NO_DEPTH  (-1)
#define CONFLICT  (-2)

#define O(number, base_, caches_, shape_, a_, b_, jump_, flow_, way_, role_, name_)                \
    [number] = {.base = base_,                                                                     \
                .caches = caches_,                                                                 \
                .shape = PYI_SHAPE_##shape_,                                                       \
                .a = a_,                                                                           \
                .b = b_,                                                                           \
                .jump = jump_,                                                                     \
                .flow = PYI_FLOW_##flow_,                                                          \
                .way = PYI_WAY_##way_,                                                             \
                .role = PYI_ROLE_##role_,                                                          \
                .name = name_},
#include "attach/leaf/opcode_table.inc"
#undef O

const struct pyi_opcode *pyi_opcodes(int minor)
{
    static const struct pyi_opcode *const tables[] = {
        [8] = opcodes_3_8,   [9] = opcodes_3_9,   [10] = opcodes_3_10, [11] = opcodes_3_11,
        [12] = opcodes_3_12, [13] = opcodes_3_13, [14] = opcodes_3_14, [15] = opcodes_3_15,
    };
    return minor >= 0 && (size_t)minor < sizeof(tables) / sizeof(*tables) ? tables[minor] : NULL;
}

struct unit {
    const struct pyi_opcode *opcode; /* NULL: inside an inline cache */
    uint32_t operand;                /* prefixes applied */
    uint32_t first;                  /* first prefix, or itself */
    int16_t depth, other;
};

struct visit {
    uint32_t unit;
    int32_t depth;
};

struct flow {
    const struct pyi_opcode *table;
    int minor;
    struct unit *units;
    uint32_t count;
    struct visit *pending; /* each unit is visited at most once per depth it keeps */
    size_t pending_count;
};

/* ---- instructions ---------------------------------------------------------------------------- */

static int decode(struct flow *flow, const uint8_t *code, struct pyi_error *err)
{
    uint32_t operand = 0, first = 0;
    bool prefixed = false;
    for (uint32_t at = 0; at < flow->count;) {
        const struct pyi_opcode *opcode = &flow->table[flow->table[code[2 * (size_t)at]].base];
        if (opcode->name == NULL)
            return pyi_error_set(err, PYI_E_FORMAT, "instruction %u does not exist",
                                 code[2 * (size_t)at]);
        if (!prefixed) {
            operand = 0;
            first = at;
        }
        operand = operand << 8 | code[2 * (size_t)at + 1];
        flow->units[at] = (struct unit){opcode, operand, first, NO_DEPTH, NO_DEPTH};
        prefixed = opcode->role == PYI_ROLE_PREFIX;
        uint32_t next = at + 1 + opcode->caches;
        for (at++; at < next && at < flow->count; at++)
            flow->units[at] = (struct unit){.depth = NO_DEPTH, .other = NO_DEPTH};
    }
    return 0;
}

static int64_t effect(const struct pyi_opcode *opcode, uint32_t n)
{
    switch (opcode->shape) {
    case PYI_SHAPE_LINEAR:
        return opcode->a + (int64_t)opcode->b * n;
    case PYI_SHAPE_ODD:
        return opcode->a + (int64_t)opcode->b * (n & 1);
    case PYI_SHAPE_BITS:
        return opcode->a - __builtin_popcount(n & 15);
    case PYI_SHAPE_UNPACK:
        return (int64_t)(n & 255) + (n >> 8);
    case PYI_SHAPE_SLICE:
        return opcode->a + (n == 3 ? opcode->b : 0);
    case PYI_SHAPE_FORMAT:
        return opcode->a + (n & 4 ? opcode->b : 0);
    default:
        return INT16_MAX; /* ends the way */
    }
}

static int64_t target_of(const struct flow *flow, uint32_t at)
{
    const struct unit *unit = &flow->units[at];
    /* Up to 3.9 operands of jumps count bytes. */
    int64_t distance = flow->minor <= 9 ? unit->operand / 2 : unit->operand;
    int64_t next = (int64_t)at + 1 + unit->opcode->caches;
    switch (unit->opcode->way) {
    case PYI_WAY_ABSOLUTE:
        return distance;
    case PYI_WAY_BACKWARD:
        return next - distance;
    default:
        return next + distance;
    }
}

/* ---- ways through the code ------------------------------------------------------------------- */

static void visit_later(struct flow *flow, int64_t at, int64_t depth)
{
    flow->pending[flow->pending_count++] = (struct visit){(uint32_t)at, (int32_t)depth};
}

/* `depth` CONFLICT: what came before is known in more than one depth. */
static void arrive(struct flow *flow, int64_t at, int64_t depth)
{
    if (at < 0 || at >= flow->count || depth < CONFLICT || depth == NO_DEPTH || depth >= INT16_MAX)
        return;
    struct unit *unit = &flow->units[at];
    if (unit->opcode == NULL || unit->depth == depth || unit->other == depth)
        return;
    if (unit->depth == NO_DEPTH && depth >= 0) {
        unit->depth = (int16_t)depth;
        visit_later(flow, at, depth);
    } else if (unit->other == NO_DEPTH) {
        /* 3.8: a `finally` body is entered with one or six values on the stack. Elsewhere the
         * compiler keeps depths equal, and a difference means that we are wrong. */
        unit->other = flow->minor == 8 ? (int16_t)depth : CONFLICT;
        visit_later(flow, at, unit->other);
    }
}

static void follow(struct flow *flow)
{
    while (flow->pending_count > 0) {
        struct visit visit = flow->pending[--flow->pending_count];
        const struct unit *unit = &flow->units[visit.unit];
        const struct pyi_opcode *opcode = unit->opcode;
        int64_t after = CONFLICT, taken = CONFLICT;
        if (visit.depth != CONFLICT) {
            after = visit.depth + effect(opcode, unit->operand);
            taken = after + opcode->jump;
            /* Below the bottom: not a depth, and not to be mistaken for a conflict. */
            after = after < 0 ? NO_DEPTH : after;
            taken = taken < 0 ? NO_DEPTH : taken;
        }
        if (opcode->flow == PYI_FLOW_END)
            continue;
        if (opcode->flow != PYI_FLOW_NEXT)
            arrive(flow, target_of(flow, visit.unit), taken);
        if (opcode->flow != PYI_FLOW_JUMP)
            arrive(flow, (int64_t)visit.unit + 1 + opcode->caches, after);
    }
}

/* Objects/exception_handling_notes.txt: groups of six bits, most significant first, bit 6 says
 * that more follow. False at the end of the table. */
static bool read_group(const uint8_t *bytes, size_t length, size_t *at, uint64_t *out)
{
    uint64_t value = 0;
    for (int i = 0; i < 6 && *at < length; i++) {
        uint8_t byte = bytes[(*at)++];
        value = value << 6 | (byte & 63);
        if (!(byte & 64)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static void enter_handlers(struct flow *flow, const uint8_t *bytes, size_t length)
{
    uint64_t start, size, target, word;
    for (size_t at = 0;
         read_group(bytes, length, &at, &start) && read_group(bytes, length, &at, &size) &&
         read_group(bytes, length, &at, &target) && read_group(bytes, length, &at, &word);) {
        /* depth << 1 | whether the instruction's index is pushed; then the exception itself */
        arrive(flow, (int64_t)(target & UINT32_MAX), (int64_t)(word >> 1) + 1 + (word & 1));
        follow(flow);
    }
}

/* ---- result ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct unit *unit, bool operations)
{
    return unit->opcode != NULL && (unit->opcode->role >= PYI_ROLE_CALL_FUNCTION ||
                                    (operations && unit->opcode->role == PYI_ROLE_OPERATION));
}

static void put_site(const struct unit *unit, uint32_t at, struct pyi_call_site *out)
{
    int16_t low = unit->depth, high = unit->other;
    if (high == CONFLICT)
        low = high = NO_DEPTH;
    if (high != NO_DEPTH && high < low) {
        low = unit->other;
        high = unit->depth;
    }
    *out = (struct pyi_call_site){.first = unit->first,
                                  .at = at,
                                  .operand = unit->operand,
                                  .depth = low,
                                  .other = high,
                                  .role = unit->opcode->role,
                                  .opcode = unit->opcode->base};
}

static int collect(const struct flow *flow, bool operations, struct pyi_call_site **sites,
                   size_t *count, struct pyi_error *err)
{
    size_t wanted = 0;
    for (uint32_t at = 0; at < flow->count; at++)
        wanted += is_wanted(&flow->units[at], operations);
    struct pyi_call_site *list = malloc((wanted + 1) * sizeof(*list));
    if (list == NULL)
        return pyi_error_nomem(err);
    size_t put = 0;
    for (uint32_t at = 0; at < flow->count; at++)
        if (is_wanted(&flow->units[at], operations))
            put_site(&flow->units[at], at, &list[put++]);
    *sites = list;
    *count = put;
    return 0;
}

int pyi_call_sites(int minor, const uint8_t *code, size_t length, const uint8_t *handlers,
                   size_t handlers_length, bool operations, struct pyi_call_site **sites,
                   size_t *count, struct pyi_error *err)
{
    struct flow flow = {.table = pyi_opcodes(minor), .minor = minor};
    if (flow.table == NULL || length / 2 > MAX_UNITS)
        return pyi_error_set(err, PYI_E_FORMAT, "no table of instructions for this code");
    flow.count = (uint32_t)(length / 2);
    PYI_CLEANUP(pyi_cleanup_free)
    struct unit *units = malloc((flow.count + 1) * sizeof(*units));
    PYI_CLEANUP(pyi_cleanup_free)
    struct visit *pending = malloc((2 * (size_t)flow.count + 2) * sizeof(*pending));
    if (units == NULL || pending == NULL)
        return pyi_error_nomem(err);
    flow.units = units;
    flow.pending = pending;
    int rc = decode(&flow, code, err);
    if (rc != 0)
        return rc;
    /* 3.10, Python/ceval.c: GEN_START pops what the first send() put there. */
    bool sent = flow.count > 0 && units[0].opcode->role == PYI_ROLE_GENERATOR_START;
    arrive(&flow, 0, sent ? 1 : 0);
    follow(&flow);
    enter_handlers(&flow, handlers, handlers_length);
    return collect(&flow, operations, sites, count, err);
}

const struct pyi_call_site *pyi_call_site_at(const struct pyi_call_site *sites, size_t count,
                                             uint32_t unit, bool prefixes)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sites[middle].at < unit)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return NULL;
    const struct pyi_call_site *site = &sites[low];
    return site->at == unit || (prefixes && site->first <= unit) ? site : NULL;
}

/* ---- where a call keeps what it calls -------------------------------------------------------- */

struct values {
    const uint8_t *at;
    size_t depth;
    int minor;
};

/* The object in a slot, 0 when there is none. */
static pyi_addr slot(const struct values *values, int64_t index)
{
    if (index < 0 || (uint64_t)index >= values->depth)
        return 0;
    uint64_t word = pyi_load_u64(values->at + 8 * (size_t)index);
    if (values->minor < 14)
        return word;
    /* Include/internal/pycore_stackref.h: two bits of tag, 3 is a small integer. */
    return (word & 3) == 3 ? 0 : word & ~(uint64_t)3;
}

/* Python/ceval.c and Python/bytecodes.c of each version. */
struct pyi_call pyi_call_find(int minor, const struct pyi_call_site *site, const uint8_t *stack,
                              size_t depth)
{
    struct values values = {stack, depth, minor};
    int64_t top = (int64_t)depth, n = site->operand;
    int64_t at = 0, self = -1;
    switch (site->role) {
    case PYI_ROLE_CALL_FUNCTION:
        at = top - n - 1;
        self = n > 0 ? at + 1 : -1;
        break;
    case PYI_ROLE_CALL_FUNCTION_KW: /* names of keywords on top */
        at = top - n - 2;
        self = n > 0 ? at + 1 : -1;
        break;
    case PYI_ROLE_CALL_EX: /* 3.13 added a null, 3.14 made room for keywords in every case */
        at = top - (minor >= 14 ? 4 : (minor == 13 ? 3 : 2) + (n & 1));
        break;
    default:
        if (site->role != PYI_ROLE_CALL_METHOD && minor >= 13) {
            /* callable, self or null, arguments, names of keywords for CALL_KW */
            at = top - n - (site->role == PYI_ROLE_CALL_KW ? 3 : 2);
            self = at + 1;
            if (slot(&values, self) == 0)
                self = n > 0 ? at + 2 : -1;
            break;
        }
        /* method, self, arguments; or null, callable, arguments */
        at = top - n - 2;
        self = at + 1;
        if (slot(&values, at) == 0) {
            at++;
            self = n > 0 ? at + 1 : -1;
        }
    }
    return (struct pyi_call){slot(&values, at), slot(&values, self)};
}

/* ---- in the target --------------------------------------------------------------------------- */

/** What hooks replaced, per unit; read when the first hook is met. */
struct hooks {
    bool read;
    uint8_t *lines, *instructions; /* heap, NULL when the interpreter has none */
    size_t line_start, line_width;
    uint64_t executors;
};

static int read_array(struct pyi_cpython *python, pyi_addr field, size_t length, uint8_t **out,
                      struct pyi_error *err)
{
    uint64_t address = 0;
    int rc = pyi_object_word(python, field, &address, err);
    if (rc != 0 || address == 0)
        return rc;
    uint8_t *bytes = malloc(length + 1);
    if (bytes == NULL)
        return pyi_error_nomem(err);
    rc = pyi_object_bytes(python, address, bytes, length, err);
    if (rc == 0)
        *out = bytes;
    else
        free(bytes);
    return rc;
}

static int read_hooks(struct pyi_cpython *python, pyi_addr code, size_t units, struct hooks *hooks,
                      struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t monitoring = 0;
    int rc = 0;
    hooks->read = true;
    if (pyi_has_field(layout->code_monitoring))
        rc = pyi_object_word(python, code + layout->code_monitoring, &monitoring, err);
    if (rc == 0 && monitoring != 0)
        rc = read_array(python, monitoring + layout->monitoring_lines, 2 * units + 1, &hooks->lines,
                        err);
    if (rc == 0 && monitoring != 0)
        rc = read_array(python, monitoring + layout->monitoring_instructions, units,
                        &hooks->instructions, err);
    if (rc == 0 && pyi_has_field(layout->code_executors))
        rc = pyi_object_word(python, code + layout->code_executors, &hooks->executors, err);
    if (rc != 0 || hooks->lines == NULL)
        return rc;
    /* Include/cpython/code.h: two bytes per unit, the opcode first; since 3.14 and late 3.13
     * releases behind a byte that counts bytes per unit. Without that byte the first is an opcode
     * of unit 0: none (0) or what a code object may begin with, all of them far above 5. */
    bool counted = units > 0 && hooks->lines[0] >= 2 && hooks->lines[0] <= 5;
    hooks->line_start = counted;
    hooks->line_width = counted ? hooks->lines[0] : 2;
    if (python->minor >= 14 && !counted)
        return pyi_error_set(err, PYI_E_TORN, "line hooks of unknown shape");
    if (hooks->line_width == 2)
        return 0;
    free(hooks->lines);
    hooks->lines = NULL;
    return read_array(python, monitoring + layout->monitoring_lines,
                      hooks->line_start + hooks->line_width * units, &hooks->lines, err);
}

/* Opcode and operand of a unit that has an executor in its place. */
static int undo_executor(struct pyi_cpython *python, const struct hooks *hooks, uint8_t *unit,
                         struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t executor = 0;
    if (hooks->executors == 0)
        return pyi_error_set(err, PYI_E_TORN, "executor without its list");
    int rc = pyi_object_word(
        python, hooks->executors + layout->executors_items + 8 * (pyi_addr)unit[1], &executor, err);
    /* Include/internal/pycore_optimizer.h: _PyVMData begins with opcode and oparg. */
    return rc != 0 ? rc
                   : pyi_object_bytes(python, executor + layout->executor_vm_data, unit, 2, err);
}

static bool is_hook(const struct pyi_opcode *opcode)
{
    return opcode->role >= PYI_ROLE_LINE_HOOK && opcode->role <= PYI_ROLE_EXECUTOR;
}

/* Puts back what stood in unit `at` (two bytes, `unit`) before hooks were written over it. A line
 * hook may cover an instruction hook. */
static int undo_hooks(struct pyi_cpython *python, const struct hooks *hooks,
                      const struct pyi_opcode *table, size_t at, uint8_t *unit,
                      struct pyi_error *err)
{
    if (table[unit[0]].role == PYI_ROLE_LINE_HOOK && hooks->lines != NULL && hooks->line_width != 0)
        unit[0] = hooks->lines[hooks->line_start + at * hooks->line_width];
    if (table[unit[0]].role == PYI_ROLE_INSTRUCTION_HOOK && hooks->instructions != NULL)
        unit[0] = hooks->instructions[at];
    int rc = 0;
    if (table[unit[0]].role == PYI_ROLE_EXECUTOR)
        rc = undo_executor(python, hooks, unit, err);
    if (rc == 0 && is_hook(&table[unit[0]]))
        rc = pyi_error_set(err, PYI_E_TORN, "hook without its original");
    return rc;
}

static int clean_code(struct pyi_cpython *python, pyi_addr code, uint8_t *bytes, size_t length,
                      struct pyi_error *err)
{
    const struct pyi_opcode *table = pyi_opcodes(python->minor);
    struct hooks hooks = {0};
    int rc = table == NULL ? pyi_error_set(err, PYI_E_FORMAT, "no table of instructions") : 0;
    for (size_t at = 0; rc == 0 && at < length / 2;) {
        uint8_t *unit = bytes + 2 * at;
        if (is_hook(&table[unit[0]])) {
            if (!hooks.read)
                rc = read_hooks(python, code, length / 2, &hooks, err);
            if (rc == 0)
                rc = undo_hooks(python, &hooks, table, at, unit, err);
        }
        at += 1 + table[table[unit[0]].base].caches;
    }
    free(hooks.lines);
    free(hooks.instructions);
    return rc;
}

int pyi_calls_read(struct pyi_cpython *python, const struct pyi_code_entry *entry, bool operations,
                   struct pyi_calls *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    pyi_addr start = entry->start;
    uint64_t table = 0;
    uint8_t word[4];
    struct pyi_calls calls = {0};
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *handlers = NULL;
    size_t handlers_length = 0;
    int rc = 0;
    if (entry->length > PYI_MAX_LINETABLE)
        return pyi_error_set(err, PYI_E_LIMIT, "code too long");
    if (python->heap_frames) {
        start = entry->size_word + layout->bytes_data;
    } else {
        rc = pyi_object_bytes(python, entry->address + layout->code_nlocalsplus, word, 4, err);
        calls.locals = rc == 0 ? pyi_load_u32(word) : 0;
        if (rc == 0)
            rc = pyi_object_bytes(python, entry->address + layout->code_stacksize, word, 4, err);
        calls.stack_size = rc == 0 ? pyi_load_u32(word) : 0;
        if (rc == 0)
            rc = pyi_object_word(python, entry->address + layout->code_exceptiontable, &table, err);
        if (rc == 0)
            rc = pyi_object_bytestring(python, table, PYI_MAX_LINETABLE, &handlers,
                                       &handlers_length, err);
    }
    PYI_CLEANUP(pyi_cleanup_free) uint8_t *bytes = malloc(entry->length + 1);
    if (bytes == NULL)
        return pyi_error_nomem(err);
    if (rc == 0)
        rc = pyi_object_bytes(python, start, bytes, entry->length, err);
    if (rc == 0)
        rc = clean_code(python, entry->address, bytes, entry->length, err);
    if (rc != 0)
        return rc;
    rc = pyi_call_sites(python->minor, bytes, entry->length, handlers, handlers_length, operations,
                        &calls.sites, &calls.count, err);
    if (rc == 0)
        *out = calls;
    return rc;
}
