/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unwind.c - libunwind over a copy of registers and stack.
 *
 * In: what was copied while the thread stood still, and the unwind tables of modules.c. Out:
 * addresses of calls, innermost first. libunwind asks for every word through functions of ours:
 * stack words come from the copy, tables from the modules' copies, so the target may run on.
 */
#include "attach/native/native.h"

#include "attach/native/modules.h"
#include "attach/native/native_state.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

#define RED_ZONE     128  /* bytes below the stack pointer a leaf function may use */
#define CACHED_STEPS 4096 /* addresses whose unwinding is remembered */

/* Exported for profilers, declared in no installed header: finds the description of an address in a
 * table given by address, reading it through the accessors. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *table,
                                       unw_proc_info_t *info, int need_unwind_info, void *argument);

/* ---- what libunwind asks --------------------------------------------------------------------- */

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info,
                          int need_unwind_info, void *argument)
{
    struct pyi_native *native = argument;
    const struct pyi_module *module = pyi_modules_at(&native->modules, ip);
    if (!module || module->table_count == 0)
        return -UNW_ENOINFO;
    unw_dyn_info_t table = {.format = UNW_INFO_FORMAT_REMOTE_TABLE,
                            .start_ip = module->start,
                            .end_ip = module->end,
                            .u.rti = {.segbase = module->header,
                                      .table_data = module->table,
                                      .table_len = module->table_count * 8 / sizeof(unw_word_t)}};
    return UNW_OBJ(dwarf_search_unwind_table)(space, ip, &table, info, need_unwind_info, argument);
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *argument)
{
}

static int dynamic_list(unw_addr_space_t space, unw_word_t *address, void *argument)
{
    return -UNW_ENOINFO;
}

/* `from` bytes into a copy of `length` that has a word to spare behind it. */
static bool word_of(const uint8_t *copy, size_t length, uint64_t at, uint64_t address,
                    unw_word_t *value)
{
    if (address < at || address - at >= length)
        return false;
    memcpy(value, copy + (address - at), sizeof(*value));
    return true;
}

static int access_memory(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                         void *argument)
{
    struct pyi_native *native = argument;
    if (write)
        return -UNW_EREADONLYREG;
    if (word_of(native->stack, native->stack_length, native->stack_at, address, value))
        return 0;
    const struct pyi_module *module = native->table_module;
    if (module && word_of(module->copy, module->copy_length, module->copy_at, address, value))
        return 0;
    for (size_t i = 0; i < native->modules.count; i++) {
        module = native->modules.items[i];
        if (module->copy &&
            word_of(module->copy, module->copy_length, module->copy_at, address, value)) {
            native->table_module = module;
            return 0;
        }
    }
    /* Instructions, to recognise signal frames and calls through tables: they do not change. */
    if (pyi_modules_at(&native->modules, address) &&
        pyi_memory_read(native->modules.memory, address, value, sizeof(*value), NULL) == 0)
        return 0;
    return -UNW_EINVAL;
}

static int access_register(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value,
                           int write, void *argument)
{
    const struct pyi_native *native = argument;
    const struct user_regs_struct *from = &native->registers.kernel;
    if (write)
        return -UNW_EREADONLYREG;
#if defined(__x86_64__)
    switch (number) {
    case UNW_X86_64_RAX:
        *value = from->rax;
        return 0;
    case UNW_X86_64_RDX:
        *value = from->rdx;
        return 0;
    case UNW_X86_64_RCX:
        *value = from->rcx;
        return 0;
    case UNW_X86_64_RBX:
        *value = from->rbx;
        return 0;
    case UNW_X86_64_RSI:
        *value = from->rsi;
        return 0;
    case UNW_X86_64_RDI:
        *value = from->rdi;
        return 0;
    case UNW_X86_64_RBP:
        *value = from->rbp;
        return 0;
    case UNW_X86_64_RSP:
        *value = from->rsp;
        return 0;
    case UNW_X86_64_R8:
        *value = from->r8;
        return 0;
    case UNW_X86_64_R9:
        *value = from->r9;
        return 0;
    case UNW_X86_64_R10:
        *value = from->r10;
        return 0;
    case UNW_X86_64_R11:
        *value = from->r11;
        return 0;
    case UNW_X86_64_R12:
        *value = from->r12;
        return 0;
    case UNW_X86_64_R13:
        *value = from->r13;
        return 0;
    case UNW_X86_64_R14:
        *value = from->r14;
        return 0;
    case UNW_X86_64_R15:
        *value = from->r15;
        return 0;
    case UNW_X86_64_RIP:
        *value = from->rip;
        return 0;
    default:
        return -UNW_EBADREG;
    }
#elif defined(__aarch64__)
    if (number >= UNW_AARCH64_X0 && number <= UNW_AARCH64_X30)
        *value = from->regs[number - UNW_AARCH64_X0];
    else if (number == UNW_AARCH64_SP)
        *value = from->sp;
    else if (number == UNW_AARCH64_PC)
        *value = from->pc;
    else
        return -UNW_EBADREG;
    return 0;
#else
    return -UNW_EBADREG;
#endif
}

static int access_float(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                        void *argument)
{
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *argument)
{
    return -UNW_EINVAL;
}

static int proc_name(unw_addr_space_t space, unw_word_t address, char *name, size_t size,
                     unw_word_t *offset, void *argument)
{
    return -UNW_ENOINFO;
}

/* ---- open, close ----------------------------------------------------------------------------- */

int pyi_native_open(const char *proc, pid_t pid, struct pyi_memory *memory, struct pyi_native **out,
                    struct pyi_error *err)
{
    static unw_accessors_t accessors = {.find_proc_info = find_proc_info,
                                        .put_unwind_info = put_unwind_info,
                                        .get_dyn_info_list_addr = dynamic_list,
                                        .access_mem = access_memory,
                                        .access_reg = access_register,
                                        .access_fpreg = access_float,
                                        .resume = resume,
                                        .get_proc_name = proc_name};
    struct pyi_native *native = calloc(1, sizeof(*native));
    if (!native)
        return pyi_error_nomem(err);
    pyi_modules_init(&native->modules, proc, pid, memory);
    native->stack = malloc(PYI_NATIVE_STACK + sizeof(unw_word_t));
    native->space = unw_create_addr_space(&accessors, 0);
    if (!native->stack || !native->space) {
        pyi_native_close(native);
        return pyi_error_nomem(err);
    }
    /* What was found for an address is kept: the same calls are made over and over. */
    unw_set_caching_policy(native->space, UNW_CACHE_GLOBAL);
    unw_set_cache_size(native->space, CACHED_STEPS, 0);
    int code = pyi_modules_refresh(&native->modules, false, err);
    if (code < 0) {
        pyi_native_close(native);
        return code;
    }
    *out = native;
    return 0;
}

void pyi_native_close(struct pyi_native *native)
{
    if (!native)
        return;
    if (native->space)
        unw_destroy_addr_space(native->space);
    pyi_modules_deinit(&native->modules);
    free(native->stack);
    free(native->frames);
    free(native->order);
    free(native->part_of);
    free(native->ends);
    free(native);
}

/* ---- copy ------------------------------------------------------------------------------------ */

static uint64_t stack_pointer(const struct pyi_registers *registers)
{
#if defined(__x86_64__)
    return registers->kernel.rsp;
#else
    return registers->kernel.sp;
#endif
}

/* Bytes from `from` to the end of the stack it lies in. Stacks that grow on demand begin lower
 * than the mappings said when they were read, but end where they ended. */
static size_t live_bytes(const struct pyi_native *native, uint64_t from)
{
    const struct pyi_maps *maps = &native->modules.maps;
    size_t low = 0, high = maps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps->mappings[middle].end <= from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == maps->count)
        return PYI_NATIVE_STACK;
    const struct pyi_mapping *mapping = &maps->mappings[low];
    if (from < mapping->start && strcmp(mapping->path, "[stack]") != 0)
        return PYI_NATIVE_STACK;
    size_t length = mapping->end - from;
    return length < PYI_NATIVE_STACK ? length : PYI_NATIVE_STACK;
}

bool pyi_native_copy(struct pyi_native *native, const struct pyi_registers *registers)
{
    native->registers = *registers;
    native->stack_at = (stack_pointer(registers) - RED_ZONE) & ~(uint64_t)15;
    struct pyi_range range = {native->stack_at, live_bytes(native, native->stack_at), native->stack,
                              0};
    native->stack_length = 0;
    if (pyi_memory_readv(native->modules.memory, &range, 1, NULL) < 0 || range.got < 2 * RED_ZONE)
        return false;
    native->stack_length = range.got;
    memset(native->stack + range.got, 0, sizeof(unw_word_t));
    return true;
}

/* ---- unwinding ------------------------------------------------------------------------------- */

static int push(struct pyi_native *native, uint64_t ip, uint64_t sp, bool exact,
                struct pyi_error *err)
{
    if (!pyi_array_reserve(&native->frames, &native->frame_capacity, native->frame_count + 1,
                           sizeof(*native->frames)))
        return pyi_error_nomem(err);
    /* A return address may lie behind its function's end, when the call never returns. */
    struct pyi_function *function = pyi_modules_function(&native->modules, exact ? ip : ip - 1);
    if (!function)
        return pyi_error_nomem(err);
    native->frames[native->frame_count++] = (struct pyi_native_frame){ip, sp, function};
    return 0;
}

/* One unwinding; `*missed`: it came to an address in no known mapping. */
static int unwind(struct pyi_native *native, bool *complete, bool *missed, struct pyi_error *err)
{
    unw_cursor_t cursor;
    int step = 1, code = 0;
    bool exact = true; /* the innermost frame stands at the instruction itself */
    native->frame_count = 0;
    *complete = *missed = false;
    if (native->changes != native->modules.changes) {
        unw_flush_cache(native->space, 0, 0);
        native->changes = native->modules.changes;
        native->table_module = NULL;
    }
    if (unw_init_remote(&cursor, native->space, native) < 0)
        return 0;
    while (code == 0 && step > 0 && native->frame_count < PYI_NATIVE_DEPTH) {
        unw_word_t ip = 0, sp = 0;
        if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || unw_get_reg(&cursor, UNW_REG_SP, &sp) < 0)
            break;
        if (ip == 0) {
            *complete = native->frame_count > 0;
            break;
        }
        const struct pyi_module *module = pyi_modules_at(&native->modules, exact ? ip : ip - 1);
        code = push(native, ip, sp, exact, err);
        if (!module) {
            *missed = true;
            break;
        }
        exact = unw_is_signal_frame(&cursor) > 0;
        step = unw_step(&cursor);
        *complete = step == 0;
    }
    return code;
}

int pyi_native_unwind(struct pyi_native *native, const struct pyi_native_frame **frames,
                      size_t *count, bool *complete, struct pyi_error *err)
{
    bool missed = false;
    int code = pyi_modules_refresh(&native->modules, false, err);
    if (code == 0)
        code = unwind(native, complete, &missed, err);
    if (code == 0 && missed) {
        /* A library loaded a moment ago, or code made while running. */
        uint32_t before = native->modules.changes;
        code = pyi_modules_refresh(&native->modules, true, err);
        if (code == 0 && native->modules.changes != before)
            code = unwind(native, complete, &missed, err);
    }
    *frames = native->frames;
    *count = native->frame_count;
    return code;
}
