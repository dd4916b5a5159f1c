/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * leaf_truth.c - test helper: what we say a stopped thread is doing, and what its native stack says.
 *
 * usage: leaf_truth PID TABLE SAMPLES
 * The target is fixtures/targets/leaf_truth.py, TABLE what it wrote. The main thread is stopped
 * every 1 to 5 ms; in the same stop the library is asked twice (compatible and extended labels)
 * and libunwind-ptrace walks the native stack. Two streams that share nothing but the process.
 *
 * The evaluation loop is found by watching: during the target's `calibrate` it is what runs. To
 * it belong the parts that its jumps enter in their middle: compilers split functions. Prints
 * "calibrated" then, and after the last sample one line for each:
 *     FUNCTION file COMPATIBLE EXTENDED CHAIN     (tabs between; "-" for none)
 * CHAIN is the functions between the innermost evaluation loop and the end of the stack, innermost
 * first, each NAME=LABEL|LABEL:how, where the labels are those of the C functions whose code begins
 * there, and how is
 *     E  it is the function we named
 *     T  the function we named (or, unless we named one, one that may stand under this Python
 *        function) gets there by jumps: it called it as its last act and left no frame
 *     -  neither
 */
#include "attach/attach.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libunwind-ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CHAIN            64
#define MAX_LABELS           12
#define CALIBRATION          40
#define MAX_FUNCTION         (1u << 20)
#define REACH_STEPS          3
#define REACH_LIMIT          256
#define STOP_DEADLINE        5.0
#define CALIBRATION_DEADLINE 30.0

/** A C function object of the target. */
struct known {
    uint64_t entry; /* where its code begins */
    char *label;
};
/** A label that may stand under a Python function. */
struct legal {
    char *function, *label;
};
struct extent {
    uint64_t from, to;
    char name[64];
};

/** Code of one mapped file and the sorted table of its functions. */
struct module {
    uint64_t start, end;    /* its code */
    uint64_t header, count; /* .eh_frame_hdr and the entries of its table */
};

static struct {
    pid_t pid;
    struct module modules[256];
    size_t module_count;
    int memory;
    struct known *known;
    size_t known_count;
    struct legal *legal;
    size_t legal_count;
    struct extent *extents; /* by start, as met */
    size_t extent_count;
    struct extent loop[16];
    size_t loop_count;
    unw_addr_space_t space;
    void *upt;
    const char *script;
} it;

static void fail(const char *what)
{
    fprintf(stderr, "leaf_truth: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool peek(uint64_t address, void *out, size_t length)
{
    return pread(it.memory, out, length, (off_t)address) == (ssize_t)length;
}

static void *grow(void *list, size_t count, size_t size)
{
    if ((count & (count + 1)) == 0)
        list = realloc(list, 2 * (count + 1) * size);
    if (list == NULL)
        fail("memory");
    return list;
}

/* ---- what the target wrote ------------------------------------------------------------------- */

static int by_entry(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Include/cpython/methodobject.h, descrobject.h: m_ml at 16, d_method at 40 in every version;
 * Include/methodobject.h: PyMethodDef is name, function, flags. */
static void note_function(char *label, uint64_t object, char kind)
{
    uint64_t definition, entry;
    int32_t flags;
    if (!peek(object + (kind == 'b' ? 16 : 40), &definition, 8) ||
        !peek(definition + 8, &entry, 8) || !peek(definition + 16, &flags, 4))
        return;
    /* METH_COEXIST: the code of a slot, which the evaluator calls without any call of the program. */
    if (flags & 0x40)
        return;
    it.known = grow(it.known, it.known_count, sizeof(*it.known));
    it.known[it.known_count++] = (struct known){entry, strdup(label)};
}

static void read_table(const char *path)
{
    char line[4096];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail(path);
    while (fgets(line, sizeof(line), file) != NULL) {
        char *save = NULL, *field[4] = {0};
        for (int i = 0; i < 4; i++)
            field[i] = strtok_r(i == 0 ? line : NULL, "\t\n", &save);
        if (field[0] != NULL && field[0][0] == 'f' && field[3] != NULL) {
            note_function(field[1], strtoull(field[2], NULL, 10), field[3][0]);
        } else if (field[0] != NULL && field[0][0] == 'p' && field[2] != NULL) {
            it.legal = grow(it.legal, it.legal_count, sizeof(*it.legal));
            it.legal[it.legal_count++] = (struct legal){strdup(field[1]), strdup(field[2])};
        }
    }
    fclose(file);
    qsort(it.known, it.known_count, sizeof(*it.known), by_entry);
}

/* First of the C functions that begin at an address; count of them. */
static const struct known *known_at(uint64_t entry, size_t *count)
{
    size_t low = 0, high = it.known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (it.known[middle].entry < entry)
            low = middle + 1;
        else
            high = middle;
    }
    *count = 0;
    while (low + *count < it.known_count && it.known[low + *count].entry == entry)
        ++*count;
    return &it.known[low];
}

/* ---- unwinding ------------------------------------------------------------------------------- */

/* Exported by libunwind for such as us, declared in no installed header. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *table,
                                       unw_proc_info_t *info, int need_unwind_info, void *argument);

/* A file whose first page is mapped at `base`; `start` to `end` is code of it. */
static void note_module(uint64_t base, uint64_t start, uint64_t end)
{
    Elf64_Ehdr file;
    Elf64_Phdr part;
    uint64_t header = 0, bias = 0;
    uint8_t bytes[12];
    uint32_t count;
    bool first = true;
    if (!peek(base, &file, sizeof(file)) || memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
        it.module_count == 256)
        return;
    for (unsigned i = 0; i < file.e_phnum && i < 64; i++) {
        if (!peek(base + file.e_phoff + i * sizeof(part), &part, sizeof(part)))
            return;
        if (part.p_type == PT_LOAD && first) {
            bias = base - (part.p_vaddr & ~(uint64_t)4095);
            first = false;
        }
        if (part.p_type == PT_GNU_EH_FRAME)
            header = part.p_vaddr;
    }
    /* Version 1; the count is an u32, the table holds pairs of i32 relative to its header. */
    if (header == 0 || !peek(bias + header, bytes, sizeof(bytes)) || bytes[0] != 1 ||
        bytes[2] != 0x03 || bytes[3] != 0x3b)
        return;
    memcpy(&count, bytes + 8, 4);
    it.modules[it.module_count++] = (struct module){start, end, bias + header, count};
}

static void read_modules(void)
{
    char path[64], line[4096], name[4096], base_name[4096] = "";
    uint64_t base = 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)it.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail(path);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long start, end, offset;
        char rights[8];
        name[0] = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095[^\n]", &start, &end, rights, &offset,
                   name) < 5 ||
            (name[0] != '/' && strcmp(name, "[vdso]") != 0))
            continue;
        if (offset == 0 && strcmp(name, base_name) != 0) {
            base = start;
            snprintf(base_name, sizeof(base_name), "%s", name);
        }
        if (rights[2] == 'x' && strcmp(name, base_name) == 0)
            note_module(base, start, end);
    }
    fclose(file);
}

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info,
                          int need_unwind_info, void *argument)
{
    for (size_t i = 0; i < it.module_count; i++) {
        const struct module *module = &it.modules[i];
        if (ip < module->start || ip >= module->end)
            continue;
        unw_dyn_info_t table = {.format = UNW_INFO_FORMAT_REMOTE_TABLE,
                                .start_ip = module->start,
                                .end_ip = module->end,
                                .u.rti = {.segbase = module->header,
                                          .table_data = module->header + 12,
                                          .table_len = module->count * 8 / sizeof(unw_word_t)}};
        return UNW_OBJ(dwarf_search_unwind_table)(space, ip, &table, info, need_unwind_info,
                                                  argument);
    }
    return -UNW_ENOINFO;
}

static int access_memory(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                         void *argument)
{
    return !write && peek(address, value, sizeof(*value)) ? 0 : -UNW_EINVAL;
}

static unw_addr_space_t make_space(void)
{
    /* libunwind's own search in files does not find the table of a program that is not
     * position-independent. */
    static unw_accessors_t accessors;
    accessors = _UPT_accessors;
    accessors.find_proc_info = find_proc_info;
    accessors.access_mem = access_memory;
    unw_addr_space_t space = unw_create_addr_space(&accessors, 0);
    if (space != NULL)
        unw_set_caching_policy(space, UNW_CACHE_GLOBAL);
    return space;
}

static bool in_module(uint64_t address)
{
    for (size_t i = 0; i < it.module_count; i++)
        if (address >= it.modules[i].start && address < it.modules[i].end)
            return true;
    return false;
}

/* ---- functions of the target's code ---------------------------------------------------------- */

/* The function around an address, from the unwind table. */
static const struct extent *function_at(uint64_t address)
{
    size_t low = 0, high = it.extent_count;
    unw_proc_info_t info;
    unw_word_t offset;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (it.extents[middle].to <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < it.extent_count && it.extents[low].from <= address)
        return &it.extents[low];
    if (unw_get_proc_info_by_ip(it.space, address, &info, it.upt) < 0 || info.start_ip > address ||
        info.end_ip <= address)
        return NULL;
    it.extents = grow(it.extents, it.extent_count, sizeof(*it.extents));
    memmove(&it.extents[low + 1], &it.extents[low], (it.extent_count - low) * sizeof(*it.extents));
    it.extent_count++;
    it.extents[low] = (struct extent){.from = info.start_ip, .to = info.end_ip};
    struct extent *made = &it.extents[low];
    if (_UPT_get_proc_name(it.space, made->from, made->name, sizeof(made->name), &offset, it.upt) <
            0 ||
        offset != 0)
        snprintf(made->name, sizeof(made->name), "%#llx", (unsigned long long)made->from);
    return made;
}

/* Calls `each` with every address outside that the code of a function jumps to. A byte sequence
 * that merely looks like a jump leads nowhere in particular: callers demand starts of functions. */
static void each_jump(uint64_t from, uint64_t to, void (*each)(void *context, uint64_t target),
                      void *context)
{
    size_t length = to - from;
    uint8_t *code = length <= MAX_FUNCTION ? malloc(length) : NULL;
    if (code == NULL || !peek(from, code, length)) {
        free(code);
        return;
    }
    for (size_t i = 0; i + 5 <= length; i++) {
        size_t skip =
            code[i] == 0xe9                                                            ? 1
            : i + 6 <= length && code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80       ? 2
            : i + 6 <= length && code[i] == 0xff && code[i + 1] == 0x25 /* by table */ ? 2
                                                                                       : 0;
        int32_t distance;
        if (skip == 0)
            continue;
        memcpy(&distance, code + i + skip, 4);
        uint64_t target = from + i + skip + 4 + (uint64_t)(int64_t)distance;
        if (code[i] == 0xff && !peek(target, &target, 8))
            continue;
        if (target < from || target >= to)
            each(context, target);
    }
    free(code);
}

/** Functions that a function gets to by jumping. */
struct reach {
    uint64_t at[REACH_LIMIT];
    size_t count;
};

static void add_reached(void *context, uint64_t target)
{
    struct reach *reach = context;
    const struct extent *function = function_at(target);
    uint8_t stub[16];
    /* A stub of the procedure linkage table: the jump through its slot stands in it. */
    for (size_t i = 0; peek(target, stub, sizeof(stub)) && i < 8; i++) {
        int32_t distance;
        if (stub[i] != 0xff || stub[i + 1] != 0x25)
            continue;
        memcpy(&distance, stub + i + 2, 4);
        uint64_t slot = target + i + 6 + (uint64_t)(int64_t)distance;
        if (peek(slot, &target, 8))
            function = function_at(target);
        break;
    }
    if (function == NULL)
        return;
    for (size_t i = 0; i < reach->count; i++)
        if (reach->at[i] == function->from)
            return;
    if (reach->count < REACH_LIMIT)
        reach->at[reach->count++] = function->from;
}

/** What was found out about one C function. */
static struct memo {
    uint64_t entry;
    struct reach reach;
} * memos;
static size_t memo_count;

static bool reaches(uint64_t entry, uint64_t target)
{
    size_t m = 0;
    while (m < memo_count && memos[m].entry != entry)
        m++;
    if (m == memo_count) {
        struct reach found = {{entry}, 1};
        size_t done = 0;
        for (int step = 0; step < REACH_STEPS; step++)
            for (size_t end = found.count; done < end; done++) {
                const struct extent *function = function_at(found.at[done]);
                if (function != NULL) {
                    struct extent copy = *function;
                    each_jump(copy.from, copy.to, add_reached, &found);
                }
            }
        memos = grow(memos, memo_count, sizeof(*memos));
        memos[memo_count++] = (struct memo){entry, found};
    }
    for (size_t i = 0; i < memos[m].reach.count; i++)
        if (memos[m].reach.at[i] == target)
            return true;
    return false;
}

/* Last component: a method's first word is the type of the object it is called on. */
static const char *bare(const char *label)
{
    const char *dot = strrchr(label, '.');
    return dot != NULL ? dot + 1 : label;
}

static bool label_reaches(const char *label, uint64_t target, bool exactly)
{
    for (size_t i = 0; i < it.known_count; i++)
        if (strcmp(bare(it.known[i].label), bare(label)) == 0 &&
            (exactly ? it.known[i].entry == target : reaches(it.known[i].entry, target)))
            return true;
    return false;
}

/* ---- the evaluation loop --------------------------------------------------------------------- */

static bool in_loop(const struct extent *function)
{
    for (size_t i = 0; i < it.loop_count; i++)
        if (it.loop[i].from == function->from)
            return true;
    return strncmp(function->name, "_PyEval_EvalFrameDefault", 24) == 0;
}

/** Jumps into the middle of other functions. */
struct parts {
    struct extent part[8];
    unsigned jumps[8];
    size_t count;
};

static void add_part(void *context, uint64_t target)
{
    struct parts *parts = context;
    const struct extent *function = function_at(target);
    if (function == NULL || function->from == target)
        return;
    for (size_t i = 0; i < parts->count; i++)
        if (parts->part[i].from == function->from) {
            parts->jumps[i]++;
            return;
        }
    if (parts->count < 8) {
        parts->jumps[parts->count] = 1;
        parts->part[parts->count++] = *function;
    }
}

static void take_loop(const uint64_t *seen, size_t count)
{
    size_t best = 0, votes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        for (size_t k = 0; k < count; k++)
            same += seen[k] == seen[i];
        if (same > votes) {
            votes = same;
            best = i;
        }
    }
    const struct extent *body = function_at(seen[best]);
    struct parts parts = {0};
    if (body == NULL || votes < count / 2) {
        errno = 0;
        for (size_t i = 0; i < count; i++) {
            const struct extent *function = function_at(seen[i]);
            fprintf(stderr, "%#llx %s\n", (unsigned long long)seen[i],
                    function != NULL ? function->name : "unknown");
        }
        fail("the evaluation loop was not recognised");
    }
    it.loop[it.loop_count++] = *body;
    each_jump(it.loop[0].from, it.loop[0].to, add_part, &parts);
    for (size_t i = 0; i < parts.count && it.loop_count < 16; i++)
        if (parts.jumps[i] >= 3)
            it.loop[it.loop_count++] = parts.part[i];
}

/* ---- one sample ------------------------------------------------------------------------------ */

/* Starts of the functions on the native stack, innermost first, up to the evaluation loop. */
static size_t native_chain(struct extent chain[MAX_CHAIN], bool whole, bool *ended)
{
    unw_cursor_t cursor;
    size_t count = 0;
    *ended = false;
    if (unw_init_remote(&cursor, it.space, it.upt) < 0)
        return 0;
    for (bool exact = true; count < MAX_CHAIN;) {
        unw_word_t ip;
        if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || ip == 0)
            break;
        const struct extent *function = function_at(exact ? ip : ip - 1);
        if (function == NULL) {
            /* Code in no file is the JIT's, which stands for the loop. */
            *ended = !in_module(exact ? ip : ip - 1);
            break;
        }
        if (!whole && in_loop(function)) {
            *ended = true;
            break;
        }
        chain[count++] = *function;
        if (whole)
            break;
        exact = unw_is_signal_frame(&cursor) > 0;
        if (unw_step(&cursor) <= 0)
            break;
    }
    return count;
}

/** What the library says. */
struct answer {
    char function[128], file[16], label[128];
};

static void ask(struct pyi_target *target, struct answer *out)
{
    struct pyi_round round;
    struct pyi_error err = {0};
    snprintf(out->function, sizeof(out->function), "-");
    snprintf(out->file, sizeof(out->file), "-");
    snprintf(out->label, sizeof(out->label), "-");
    if (pyi_target_round(target, &round, &err) < 0) {
        fprintf(stderr, "leaf_truth: %s\n", err.message);
        exit(1);
    }
    for (size_t i = 0; i < round.count; i++) {
        const struct pyi_stack *stack = &round.stacks[i];
        size_t depth = stack->depth;
        if (!stack->thread->is_main || depth == 0)
            continue;
        const struct pyi_stack_entry *top = &stack->entries[depth - 1];
        if (top->code->filename.data[0] == '<' && top->code->first_line == 0 && depth > 1) {
            snprintf(out->label, sizeof(out->label), "%s%s",
                     strcmp(top->code->filename.data, "<extended>") == 0 ? "+" : "",
                     top->code->name.data);
            top--;
        }
        const char *slash = strrchr(top->code->filename.data, '/');
        snprintf(out->function, sizeof(out->function), "%s", top->code->name.data);
        snprintf(out->file, sizeof(out->file), "%s",
                 slash != NULL && strcmp(slash + 1, it.script) == 0 ? "own" : "other");
    }
}

/* How a native function relates to our answer, or to what our answer could have been. */
static char relation(const struct answer *compatible, uint64_t from)
{
    if (compatible->label[0] != '-')
        return label_reaches(compatible->label, from, true)    ? 'E'
               : label_reaches(compatible->label, from, false) ? 'T'
                                                               : '-';
    for (size_t i = 0; i < it.legal_count; i++)
        if (strcmp(it.legal[i].function, compatible->function) == 0 &&
            label_reaches(it.legal[i].label, from, false))
            return 'T';
    return '-';
}

static void print_sample(const struct answer *compatible, const struct answer *extended,
                         const struct extent *chain, size_t count, bool ended)
{
    printf("%s\t%s\t%s\t%s\t", compatible->function, compatible->file, compatible->label,
           extended->label);
    if (!ended)
        printf("?"); /* no evaluation loop on the stack: the unwinding failed */
    else if (count == 0)
        printf("-");
    for (size_t i = 0; ended && i < count; i++) {
        size_t same;
        const struct known *known = known_at(chain[i].from, &same);
        printf("%s%s=", i > 0 ? " " : "", chain[i].name);
        for (size_t k = 0; k < same && k < MAX_LABELS; k++)
            printf("%s%s", k > 0 ? "|" : "", known[k].label);
        printf(":%c", relation(compatible, chain[i].from));
    }
    printf("\n");
}

/* ---- stopping -------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void stop(void)
{
    int status;
    double limit = now() + STOP_DEADLINE;
    if (ptrace(PTRACE_INTERRUPT, it.pid, 0, 0) < 0)
        fail("interrupt");
    for (;;) {
        pid_t done = waitpid(it.pid, &status, __WALL | WNOHANG);
        if (done < 0 || (done == it.pid && !WIFSTOPPED(status)))
            fail("the target ended");
        if (done == it.pid && status >> 16 == PTRACE_EVENT_STOP)
            return;
        if (done == it.pid && ptrace(PTRACE_CONT, it.pid, 0, WSTOPSIG(status)) < 0)
            fail("continue");
        if (now() > limit) {
            errno = ETIMEDOUT;
            fail("stop");
        }
        if (done == 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
}

static void pause_randomly(unsigned *seed)
{
    long ns = 1000000 + (long)(rand_r(seed) % 4000) * 1000;
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static struct pyi_target *open_target(enum pyi_c_labels labels)
{
    struct pyi_target_options options = {.c_labels = labels};
    struct pyi_target *target;
    struct pyi_error err = {0};
    if (pyi_target_open(it.pid, &options, &target, &err) < 0) {
        fprintf(stderr, "leaf_truth: %s: %s\n", err.slug, err.message);
        exit(1);
    }
    return target;
}

int main(int argc, char **argv)
{
    char path[64];
    struct extent chain[MAX_CHAIN];
    struct answer compatible, extended;
    uint64_t seen[CALIBRATION];
    unsigned seed = 20260101;
    size_t calibrated = 0;
    bool ended;
    if (argc != 4) {
        fprintf(stderr, "usage: leaf_truth PID TABLE SAMPLES\n");
        return 2;
    }
    it.pid = (pid_t)strtol(argv[1], NULL, 10);
    it.script = "leaf_truth.py";
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)it.pid);
    it.memory = open(path, O_RDONLY | O_CLOEXEC);
    if (it.memory < 0)
        fail(path);
    read_table(argv[2]);
    read_modules();
    it.space = make_space();
    it.upt = _UPT_create(it.pid);
    if (it.space == NULL || it.upt == NULL)
        fail("libunwind");
    struct pyi_target *plain = open_target(PYI_C_LABELS_COMPATIBLE);
    struct pyi_target *ours = open_target(PYI_C_LABELS_EXTENDED);
    if (ptrace(PTRACE_SEIZE, it.pid, 0, 0) < 0)
        fail("seize");
    double limit = now() + CALIBRATION_DEADLINE;
    for (long left = strtol(argv[3], NULL, 10); left > 0;) {
        if (it.loop_count == 0 && now() > limit) {
            errno = ETIMEDOUT;
            fail("calibration");
        }
        pause_randomly(&seed);
        stop();
        ask(plain, &compatible);
        ask(ours, &extended);
        if (it.loop_count == 0) {
            if (native_chain(chain, true, &ended) > 0 &&
                strcmp(compatible.function, "calibrate") == 0)
                seen[calibrated++] = chain[0].from;
            if (calibrated == CALIBRATION) {
                take_loop(seen, calibrated);
                printf("calibrated\n");
                fflush(stdout);
            }
        } else {
            size_t count = native_chain(chain, false, &ended);
            if (strcmp(compatible.function, "calibrate") != 0) {
                print_sample(&compatible, &extended, chain, count, ended);
                left--;
            }
        }
        if (ptrace(PTRACE_CONT, it.pid, 0, 0) < 0)
            fail("continue");
    }
    if (fflush(stdout) != 0)
        fail("output");
    stop();
    ptrace(PTRACE_DETACH, it.pid, 0, 0);
    pyi_target_close(ours);
    pyi_target_close(plain);
    return 0;
}
