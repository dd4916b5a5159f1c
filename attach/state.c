/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.c - what the scheduler knows of the target's threads.
 *
 * Comes in: thread ids, and what the interpreter's memory says of each thread. Goes out: CPU
 * seconds; running, waiting, waiting for the global lock, and in which system call. Reading a file
 * that is kept open costs a tenth of opening it, so files stay open, but only so many: the limit
 * on descriptors belongs to the process we live in.
 *
 * A thread that holds the lock and has moved since the last round runs; that costs nothing. Any
 * other is asked for by one read of /proc/PID/task/TID/syscall: it runs, or sleeps in a call. The
 * call tells the lock from other sleep: who wants the lock sleeps in futex() on the lock's own
 * condition.
 */
#include "attach/state.h"
#include "attach/process.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FILES_LEAST    16
#define FILES_MOST     512
#define KEEP_READS     4096 /* a file used within so many reads is not closed for another */
#define PROBES_RESTING 64   /* per round, of threads that were found waiting and have not moved; */
#define REST_SHARE     4 /* they are asked again after a fourth of the rounds they have rested, */
#define REST_MOST      8 /* at most after so many */

/* ---- files kept open ------------------------------------------------------------------------- */

enum { FILE_SCHEDSTAT, FILE_SYSCALL, FILE_KINDS };
static const char *const file_names[FILE_KINDS] = {"schedstat", "syscall"};

struct open_file {
    uint64_t key;  /* thread and kind; UINT64_MAX free */
    uint64_t used; /* count of reads at its last use */
    int fd;
};

/* What is remembered of a thread between rounds, by its index. */
struct seen {
    enum pyi_state state;
    uint64_t switches;           /* of the lock, then */
    uint32_t rested;             /* rounds for which it has been found waiting without moving */
    uint32_t skipped;            /* of these, since it was last asked for */
    bool known;                  /* `state` is from a read since the thread last moved */
    bool named;                  /* `name` belongs to `call` */
    struct pyi_syscall call;     /* in which it was found */
    const struct pyi_code *name; /* NULL: it has none */
};

struct pyi_sched {
    const char *proc;
    pid_t pid;
    struct open_file *files;
    size_t file_count, file_most;
    struct pyi_map by_key; /* -> index of the file */
    uint64_t reads;
    struct pyi_waits *waits;
    struct seen *seen;
    size_t seen_count, seen_capacity;
    uint64_t probes;
    size_t next_resting; /* stack with which the next round begins to ask threads at rest */
};

/* A quarter of what our process may have open. */
static size_t files_allowed(void)
{
    struct rlimit limit;
    size_t most = FILES_MOST;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < most)
        most = (size_t)limit.rlim_cur / 4;
    return most < FILES_LEAST ? FILES_LEAST : most;
}

struct pyi_sched *pyi_sched_new(const char *proc, pid_t pid)
{
    struct pyi_sched *state = calloc(1, sizeof(*state));
    if (!state)
        return NULL;
    state->proc = proc;
    state->pid = pid;
    state->file_most = files_allowed();
    state->files = calloc(state->file_most, sizeof(*state->files));
    state->waits = pyi_waits_new(proc, pid);
    if (!state->files || !state->waits) {
        pyi_sched_free(state);
        return NULL;
    }
    return state;
}

void pyi_sched_free(struct pyi_sched *state)
{
    if (!state)
        return;
    for (size_t i = 0; i < state->file_count; i++)
        if (state->files[i].key != UINT64_MAX)
            close(state->files[i].fd);
    free(state->files);
    pyi_map_deinit(&state->by_key);
    pyi_waits_free(state->waits);
    free(state->seen);
    free(state);
}

static uint64_t key_of(pid_t tid, int kind)
{
    return (uint64_t)(uint32_t)tid << 1 | (uint64_t)kind;
}

/* A place for one more: a free one, or that of the file not used for longest; NULL when all are
 * in steady use, because then each would push out one that is wanted next. */
static struct open_file *place_for(struct pyi_sched *state)
{
    if (state->file_count < state->file_most)
        return &state->files[state->file_count++];
    struct open_file *oldest = &state->files[0];
    for (size_t i = 0; i < state->file_count; i++) {
        struct open_file *file = &state->files[i];
        if (file->key == UINT64_MAX)
            return file;
        if (file->used < oldest->used)
            oldest = file;
    }
    if (state->reads - oldest->used < KEEP_READS)
        return NULL;
    close(oldest->fd);
    oldest->key = UINT64_MAX;
    return oldest;
}

static void keep_file(struct pyi_sched *state, uint64_t key, int fd)
{
    struct open_file *file = place_for(state);
    if (file && pyi_map_put(&state->by_key, key, (uint64_t)(file - state->files))) {
        *file = (struct open_file){.key = key, .used = state->reads, .fd = fd};
        return;
    }
    if (file)
        file->key = UINT64_MAX;
    close(fd);
}

/* Beginning of a file of a thread, not ended by NUL; -1 when it cannot be read. */
static ssize_t read_file(struct pyi_sched *state, pid_t tid, int kind, char *into, size_t size)
{
    const uint64_t key = key_of(tid, kind);
    uint64_t at;
    char path[PATH_MAX];
    state->reads++;
    /* The map remembers places that others have taken since. */
    if (pyi_map_get(&state->by_key, key, &at) && state->files[at].key == key) {
        struct open_file *file = &state->files[at];
        ssize_t n = pread(file->fd, into, size, 0);
        file->used = state->reads;
        if (n > 0)
            return n;
        close(file->fd);
        file->key = UINT64_MAX; /* its thread ended; its id may be another's by now */
    }
    snprintf(path, sizeof(path), "%s/%d/task/%d/%s", state->proc, (int)state->pid, (int)tid,
             file_names[kind]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = pread(fd, into, size, 0);
    if (n > 0)
        keep_file(state, key, fd);
    else
        close(fd);
    return n > 0 ? n : -1;
}

/* ---- CPU seconds ----------------------------------------------------------------------------- */

/* First number of schedstat: nanoseconds spent on a CPU. */
static double parse_schedstat(const char *text)
{
    char *end;
    unsigned long long nanoseconds = strtoull(text, &end, 10);
    return end == text ? -1 : (double)nanoseconds / 1e9;
}

double pyi_sched_thread_cpu(struct pyi_sched *state, pid_t tid)
{
    char text[128];
    struct pyi_process_stat stat;
    if (tid <= 0)
        return -1;
    ssize_t n = read_file(state, tid, FILE_SCHEDSTAT, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    double seconds = parse_schedstat(text);
    if (seconds >= 0)
        return seconds;
    /* Kernels without schedstat. */
    return pyi_process_stat(state->proc, state->pid, tid, &stat, NULL) < 0 ? -1 : stat.cpu;
}

double pyi_sched_process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec now;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
        return -1;
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* Kernels that do not tell system calls still tell who sleeps. */
static void call_from_stat(struct pyi_sched *state, pid_t tid, struct pyi_syscall *out)
{
    struct pyi_process_stat stat;
    if (pyi_process_stat(state->proc, state->pid, tid, &stat, NULL) < 0)
        return;
    if (stat.state == 'R')
        out->kind = PYI_SYSCALL_RUNNING;
    else if (stat.state && strchr("SDTt", stat.state))
        out->kind = PYI_SYSCALL_ASLEEP;
}

void pyi_sched_syscall(struct pyi_sched *state, pid_t tid, struct pyi_syscall *out)
{
    char text[256];
    *out = (struct pyi_syscall){.kind = PYI_SYSCALL_UNKNOWN};
    if (tid <= 0)
        return;
    ssize_t n = read_file(state, tid, FILE_SYSCALL, text, sizeof(text));
    if (n > 0)
        pyi_syscall_parse(text, (size_t)n, out);
    else
        call_from_stat(state, tid, out);
}

const struct pyi_code *pyi_sched_wait_name(struct pyi_sched *state, pid_t tid,
                                           const struct pyi_syscall *call)
{
    pyi_waits_round(state->waits);
    return pyi_waits_name(state->waits, tid, call);
}

static struct seen *seen_of(struct pyi_sched *state, uint32_t index)
{
    if (!pyi_array_reserve(&state->seen, &state->seen_capacity, (size_t)index + 1,
                           sizeof(*state->seen)))
        return NULL;
    for (; state->seen_count <= index; state->seen_count++)
        state->seen[state->seen_count] = (struct seen){0};
    return &state->seen[index];
}

/* Who wants the lock sleeps on a futex, and nowhere else. Where the lock is not known, or the
 * kernel does not tell what a sleeper sleeps on, one who may be waiting for the lock is in neither
 * state. */
static enum pyi_state state_in(const struct pyi_syscall *call, const struct pyi_activity *activity)
{
    switch (call->kind) {
    case PYI_SYSCALL_RUNNING:
        return PYI_STATE_RUNNING;
    case PYI_SYSCALL_STALLED:
        return PYI_STATE_WAITING;
    case PYI_SYSCALL_BLOCKED:
        if (!activity->lock_known && pyi_syscall_is_futex(call))
            return PYI_STATE_UNKNOWN;
        return pyi_syscall_waits_on(call, activity->wait_from, activity->wait_to)
                   ? PYI_STATE_GIL_WAIT
                   : PYI_STATE_WAITING;
    case PYI_SYSCALL_ASLEEP:
        return activity->lock_known && activity->holds_lock ? PYI_STATE_WAITING : PYI_STATE_UNKNOWN;
    case PYI_SYSCALL_UNKNOWN:
        break;
    }
    return PYI_STATE_UNKNOWN;
}

static bool same_call(const struct pyi_syscall *a, const struct pyi_syscall *b)
{
    return a->kind == b->kind && a->number == b->number && a->arguments[0] == b->arguments[0] &&
           a->arguments[1] == b->arguments[1];
}

/* Who waits for the lock is woken every few milliseconds, and when it is free; on a busy machine
 * that is long before a CPU is. To go on, the lock would have had to come to it, and, as it has not
 * got it now, to leave again: two switches. */
static bool still_waits(const struct seen *seen, const struct pyi_activity *activity)
{
    return seen->known && seen->state == PYI_STATE_GIL_WAIT && !activity->moved &&
           activity->lock_known && !activity->holds_lock && !activity->held_last &&
           activity->switches - seen->switches <= 1;
}

static void probe(struct pyi_sched *state, const struct pyi_activity *activity, struct seen *seen)
{
    struct pyi_syscall call;
    state->probes++;
    pyi_sched_syscall(state, activity->stack->thread->tid, &call);
    enum pyi_state found = state_in(&call, activity);
    if (found == PYI_STATE_RUNNING && still_waits(seen, activity))
        found = PYI_STATE_GIL_WAIT;
    seen->state = found;
    seen->switches = activity->switches;
    seen->named &= !activity->moved && same_call(&call, &seen->call);
    seen->call = call;
    seen->known = true;
    seen->skipped = 0;
}

/* Found waiting, and not moved since: by far the most of many threads. */
static bool rests(const struct seen *seen, const struct pyi_activity *activity)
{
    return seen->known && !activity->moved && seen->state == PYI_STATE_WAITING;
}

/* A thread that begins to run is seen to move, but for one that goes on inside a C function; and
 * the longer it has waited, the less does it matter to notice that a little late. */
static uint32_t rounds_to_skip(const struct seen *seen)
{
    uint32_t rounds = seen->rested / REST_SHARE;
    return rounds < REST_MOST ? rounds : REST_MOST;
}

/* The system call as a mark, looked up once for as long as the thread stays in it. */
static void add_wait(struct pyi_sched *state, struct pyi_stack *stack, struct seen *seen)
{
    if (!seen->named) {
        seen->name = pyi_waits_name(state->waits, stack->thread->tid, &seen->call);
        seen->named = seen->name || !pyi_syscall_name(seen->call.number);
    }
    if (seen->name)
        stack->marks[stack->mark_count++] = seen->name;
}

static bool ends_in_c(const struct pyi_stack *stack)
{
    struct pyi_text file =
        stack->depth > 0 ? stack->entries[stack->depth - 1].code->filename : pyi_text("");
    return pyi_text_equal(file, pyi_text("<built-in>")) ||
           pyi_text_equal(file, pyi_text("<extended>"));
}

void pyi_sched_round(struct pyi_sched *state, const struct pyi_activity *activities, size_t count,
                     bool always)
{
    static const struct pyi_code collector = {
        .name = {"<GC>", 4}, .filename = {"<gc>", 4}, .id = UINT32_MAX};
    size_t due = PROBES_RESTING, last = 0;
    pyi_waits_round(state->waits);
    for (size_t i = 0; i < count; i++) {
        const struct pyi_activity *activity = &activities[i];
        struct pyi_stack *stack = activity->stack;
        struct seen *seen = seen_of(state, stack->thread->index);
        if (!seen || stack->status == PYI_STACK_LOST)
            continue;
        stack->holds_gil = activity->holds_lock;
        stack->raising = activity->raising;
        if (activity->moved && activity->holds_lock) {
            *seen = (struct seen){.state = PYI_STATE_RUNNING};
        } else if (activity->asks_for_lock) {
            *seen = (struct seen){.state = PYI_STATE_GIL_WAIT};
        } else if (rests(seen, activity)) {
            /* The next few in turn, so that their number does not matter; the others are what
             * they were. */
            seen->rested++;
            if (++seen->skipped > rounds_to_skip(seen) && i >= state->next_resting && due > 0) {
                due--;
                last = i + 1;
                probe(state, activity, seen);
            }
        } else {
            seen->rested = 0;
            probe(state, activity, seen);
        }
        stack->state = seen->state;
        if (activity->collecting)
            stack->marks[stack->mark_count++] = &collector;
        if (stack->state == PYI_STATE_WAITING && (always || !ends_in_c(stack)))
            add_wait(state, stack, seen);
    }
    state->next_resting = due > 0 ? 0 : last;
}

uint64_t pyi_sched_probes(const struct pyi_sched *state)
{
    return state->probes;
}
