/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * follow.c - the processes of one recording: who they are, whose turn it is, when all is over.
 *
 * In: a first process, others that the user named, children as discover.c finds them. Out: one
 * round of each per tick, and their sessions. A new process is waiting until its Python can be
 * read; it may become one later (a shell that executes it) or never. Opening a process costs a
 * thousand times what a round costs, so it is done one at a time and within a budget.
 */
#include "src/record/follow/follow.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/record/follow/relatives.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS            1000000ull
#define PROC          "/proc"
#define FIRST_STEP    (1 * MS)   /* between attempts at a new process, growing with its age */
#define STEP_LIMIT    (20 * MS)  /* for one that is about to be a Python */
#define OTHER_STEP    (100 * MS) /* whether one that is none has become one, or has ended */
#define REFUSED_TIME  (50 * MS)  /* a refusal may come from an exec under way */
#define OPENING_BURST (200 * MS) /* of opening processes, in CPU time */
#define OPENING_SHARE 4          /* one part in so many of a core for it, in the long run */
#define TARGETS_LIMIT 1000       /* recorded at the same time, descriptors permitting */
#define TARGET_FILES  8          /* descriptors that a target may need */
#define FILES_OF_OURS 100
#define KCMP_SAME_VM  1 /* KCMP_VM of linux/kcmp.h */

/* ---- life ----------------------------------------------------------------------------------- */

static void free_relative(struct pyi_follow *follow, struct pyi_relative *relative)
{
    if (relative->recorder != follow->first)
        pyi_recorder_free(relative->recorder);
    free(relative);
}

static struct pyi_relative *add_relative(struct pyi_follow *follow, pid_t pid, uint64_t now)
{
    struct pyi_seen seen;
    if (!pyi_seen_read(PROC, pid, &seen))
        seen = (struct pyi_seen){0};
    struct pyi_relative *relative = calloc(1, sizeof(*relative));
    if (!relative || !pyi_array_reserve(&follow->living, &follow->capacity, follow->count + 1,
                                        sizeof(struct pyi_relative *))) {
        free(relative);
        return NULL;
    }
    *relative = (struct pyi_relative){.pid = pid,
                                      .parent = seen.parent,
                                      .start_ticks = seen.start_ticks,
                                      .since = now,
                                      .next = now};
    follow->living[follow->count++] = relative;
    return relative;
}

static size_t limit_of_targets(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < FILES_OF_OURS + TARGET_FILES)
        return 1;
    const size_t fit = (size_t)(files.rlim_cur - FILES_OF_OURS) / TARGET_FILES;
    return fit < TARGETS_LIMIT ? fit : TARGETS_LIMIT;
}

int pyi_follow_new(struct pyi_recorder *first, struct pyi_error *err)
{
    struct pyi_follow *follow = calloc(1, sizeof(*follow));
    if (!follow)
        return pyi_error_nomem(err);
    follow->first = first;
    follow->discovers = first->options.subprocesses;
    follow->end_detail = -1;
    pyi_discovery_init(&follow->discovery, PROC, first->started);
    pyi_budget_init(&follow->opening, OPENING_BURST, OPENING_SHARE, first->started);
    struct pyi_relative *relative = add_relative(follow, first->pid, 0);
    if (!relative) {
        pyi_follow_free(follow);
        return pyi_error_nomem(err);
    }
    relative->named = true;
    relative->recorder = first;
    relative->stage = PYI_STAGE_RECORDED; /* a launched one will be, before anything else happens */
    if (!first->target && !first->launched) {
        relative->stage = PYI_STAGE_OTHER;
        relative->recorder = NULL;
        follow->first_over = true;
    }
    first->among = true;
    first->follow = follow;
    return 0;
}

void pyi_follow_free(struct pyi_follow *follow)
{
    if (!follow)
        return;
    for (size_t i = 0; i < follow->count; i++)
        free_relative(follow, follow->living[i]);
    for (size_t i = 0; i < follow->finished_count; i++)
        pyi_session_free(follow->finished[i].session);
    pyi_discovery_deinit(&follow->discovery);
    free(follow->living);
    free(follow->finished);
    free(follow);
}

/* ---- whom we know --------------------------------------------------------------------------- */

static struct pyi_relative *find(const struct pyi_follow *follow, pid_t pid)
{
    for (size_t i = 0; i < follow->count; i++)
        if (follow->living[i]->pid == pid && follow->living[i]->stage != PYI_STAGE_GONE)
            return follow->living[i];
    return NULL;
}

static bool is_parent(void *context, pid_t pid)
{
    return find(context, pid) != NULL;
}

static bool is_session(void *context, pid_t session)
{
    const struct pyi_follow *follow = context;
    const size_t past = follow->past_count < PYI_PAST_LIMIT ? follow->past_count : PYI_PAST_LIMIT;
    for (size_t i = 0; i < past; i++)
        if (follow->past[i] == session)
            return true;
    return find(follow, session) != NULL;
}

static pid_t parent_at(void *context, size_t index)
{
    const struct pyi_follow *follow = context;
    return index < follow->count ? follow->living[index]->pid : 0;
}

static int found(void *context, pid_t pid, pid_t parent, struct pyi_error *err)
{
    struct pyi_follow *follow = context;
    if (find(follow, pid) || pid == getpid())
        return 0;
    struct pyi_relative *relative = add_relative(follow, pid, follow->latest);
    if (!relative)
        return pyi_error_nomem(err);
    relative->parent = parent;
    return 0;
}

/* ---- a recording of one process ------------------------------------------------------------- */

/* A recorder like the first one, for another process; nothing is opened yet. */
static int new_member(const struct pyi_recorder *first, pid_t pid, struct pyi_recorder **out,
                      struct pyi_error *err)
{
    struct pyi_recorder_options options = first->options;
    options.progress = NULL;
    options.dump_image = NULL;
    options.target_description = NULL;
    options.subprocesses = false;
    int code = pyi_recorder_new(&options, out, err);
    if (code)
        return code;
    (*out)->clock = first->clock;
    (*out)->pid = pid;
    (*out)->among = true;
    return 0;
}

static int describe_member(struct pyi_recorder *recorder, struct pyi_error *err)
{
    pyi_strbuf_format(&recorder->description, "Process %d: %s", (int)recorder->pid,
                      recorder->processes[0].command.data);
    return recorder->description.failed ? pyi_error_nomem(err) : 0;
}

static int begin_member(struct pyi_follow *follow, struct pyi_relative *relative,
                        struct pyi_error *err)
{
    struct pyi_recorder *recorder = relative->recorder;
    int code = pyi_recorder_begin_attached(recorder, err);
    recorder->pace.missed = 0;
    relative->stage = PYI_STAGE_RECORDED;
    follow->recorded++;
    return code;
}

int pyi_follow_add(struct pyi_recorder *first, pid_t pid, struct pyi_error *err)
{
    struct pyi_follow *follow = first->follow;
    if (find(follow, pid))
        return pyi_error_set(err, PYI_E_INVALID, "process %d is recorded already", (int)pid);
    struct pyi_recorder *recorder = NULL;
    struct pyi_error failure = {0};
    int code = new_member(first, pid, &recorder, err);
    if (code)
        return code;
    code = pyi_recorder_open_target(recorder, first->options.wait, &failure);
    const bool parent_only = first->options.subprocesses && code == PYI_E_NOTPYTHON &&
                             strcmp(failure.slug, "not-python") == 0;
    if (!code)
        code = describe_member(recorder, &failure);
    if (code)
        pyi_recorder_free(recorder);
    if (code && !parent_only) {
        if (err)
            *err = failure;
        return code;
    }
    struct pyi_relative *relative = add_relative(follow, pid, 0);
    if (!relative) {
        if (!code)
            pyi_recorder_free(recorder);
        return pyi_error_nomem(err);
    }
    relative->named = true;
    relative->stage = code ? PYI_STAGE_OTHER : PYI_STAGE_RECORDED;
    relative->recorder = code ? NULL : recorder;
    return 0;
}

/* ---- endings -------------------------------------------------------------------------------- */

/* All of them share one thread's CPU time: each gets its part of it. */
static void set_shares(struct pyi_follow *follow, struct pyi_recorder *recorder)
{
    const struct pyi_recorder *first = follow->first;
    const double rounds = (double)follow->ticks * (double)(follow->recorded ? follow->recorded : 1);
    if (rounds > 0)
        recorder->profiler_cpu =
            (uint64_t)((double)first->profiler_cpu * (double)recorder->ticks / rounds +
                       pyi_recorder_stops(recorder).stopping_cpu * 1e9);
    recorder->pace.missed = 0; /* deadlines are those of the first */
}

/* The recording of a process that is not the first is complete; it becomes a session. */
static int finish_member(struct pyi_follow *follow, struct pyi_relative *relative,
                         struct pyi_error *err)
{
    struct pyi_recorder *recorder = relative->recorder;
    pyi_recorder_close_books(recorder);
    pyi_recorder_close_target(recorder);
    set_shares(follow, recorder);
    int code = 0;
    if (!recorder->samples) {
        follow->brief++;
    } else if (!pyi_array_reserve(&follow->finished, &follow->finished_capacity,
                                  follow->finished_count + 1, sizeof(*follow->finished))) {
        code = pyi_error_nomem(err);
    } else {
        struct pyi_finished *finished = &follow->finished[follow->finished_count];
        *finished = (struct pyi_finished){.started = recorder->started, .pid = relative->pid};
        code = pyi_recorder_take_own(recorder, &finished->session, err);
        follow->finished_count += !code;
        pyi_follow_count(follow, recorder);
    }
    pyi_recorder_free(recorder);
    relative->recorder = NULL;
    return code;
}

/* Its recorder has come to an end. */
static int retire(struct pyi_follow *follow, struct pyi_relative *relative, uint64_t now,
                  struct pyi_error *err)
{
    struct pyi_recorder *recorder = relative->recorder, *first = follow->first;
    const enum pyi_recording_end end = recorder->end;
    int code = 0;
    if (relative->pid == first->pid) {
        follow->end = end;
        follow->end_detail = recorder->end_detail;
    }
    if (recorder == first) {
        pyi_recorder_close_books(first);
        pyi_recorder_close_target(first);
        follow->first_over = true;
        follow->first_ended = first->ended;
        first->end = PYI_END_NONE;
        first->ended = 0;
        relative->recorder = NULL;
    } else {
        code = finish_member(follow, relative, err);
    }
    if (follow->recorded)
        follow->recorded--;
    relative->stage = end == PYI_END_EXEC ? PYI_STAGE_WAITING : PYI_STAGE_OTHER;
    relative->replaced = end == PYI_END_EXEC;
    relative->since = relative->next = now;
    relative->program = 0;
    return code;
}

/* ---- a process that is new ------------------------------------------------------------------ */

/* Of the path of its program; 0 unknown. */
static uint64_t program_of(pid_t pid)
{
    char link[40], path[1024];
    snprintf(link, sizeof(link), PROC "/%d/exe", (int)pid);
    const ssize_t length = readlink(link, path, sizeof(path));
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (ssize_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)path[i]) * 1099511628211u;
    return length > 0 ? hash : 0;
}

/* Whether the process runs in its parent's memory: the moment between vfork() and exec. */
static bool is_clone(const struct pyi_relative *relative)
{
    return syscall(SYS_kcmp, relative->parent, relative->pid, KCMP_SAME_VM, 0UL, 0UL) == 0;
}

static void note_other(struct pyi_follow *follow, const char *name)
{
    char safe[64];
    follow->others++;
    pyi_text_safe(pyi_text(name), safe, sizeof(safe));
    const size_t used = strlen(follow->other_names);
    /* Each name once. */
    for (const char *at = follow->other_names; (at = strstr(at, safe)) != NULL; at++) {
        const char end = at[strlen(safe)];
        if ((at == follow->other_names || at[-1] == ' ') && (end == ',' || end == '\0'))
            return;
    }
    if (used + strlen(safe) + 3 > sizeof(follow->other_names)) {
        follow->truncated_names = true;
        return;
    }
    snprintf(follow->other_names + used, sizeof(follow->other_names) - used, "%s%s",
             used ? ", " : "", safe);
}

static void note_refusal(struct pyi_follow *follow, const struct pyi_relative *relative,
                         const struct pyi_error *failure)
{
    char safe[400];
    if (follow->refusals++ < PYI_REFUSALS_NOTED)
        pyi_recorder_note(follow->first, "child process %d was not recorded: %s",
                          (int)relative->pid,
                          pyi_text_safe(pyi_text(failure->message), safe, sizeof(safe)));
}

static void give_up(struct pyi_relative *relative, uint64_t now)
{
    relative->stage = PYI_STAGE_OTHER;
    relative->program = program_of(relative->pid);
    relative->next = now + OTHER_STEP;
}

/* What a failure to open it means. */
static int refused(struct pyi_follow *follow, struct pyi_relative *relative, uint64_t now,
                   const struct pyi_seen *seen, const struct pyi_error *failure,
                   struct pyi_error *err)
{
    const uint64_t age = now - relative->since;
    const bool ready_soon =
        strcmp(failure->slug, "python-not-ready") == 0 || strcmp(failure->slug, "no-symbols") == 0;
    if (failure->code == PYI_E_NOMEM)
        return pyi_error_nomem(err);
    if (failure->code == PYI_E_GONE)
        return 0;
    if (ready_soon || age < REFUSED_TIME) {
        const uint64_t step = FIRST_STEP + age / 4;
        relative->next = now + (step < STEP_LIMIT ? step : STEP_LIMIT);
        if (strcmp(failure->slug, "not-python") == 0)
            relative->program = program_of(relative->pid);
        return 0;
    }
    if (strcmp(failure->slug, "not-python") == 0)
        note_other(follow, seen->name);
    else
        note_refusal(follow, relative, failure);
    if (relative->replaced && relative->pid == follow->first->pid && !follow->first->became.data)
        follow->first->became = pyi_recorder_program(follow->first);
    give_up(relative, now);
    return 0;
}

static void note_replaced(struct pyi_follow *follow, const struct pyi_relative *relative,
                          uint64_t now)
{
    char safe[512];
    if (relative->replaced)
        pyi_recorder_note(
            follow->first, "process %d became %s after %.1f s", (int)relative->pid,
            pyi_text_safe(relative->recorder->processes[0].command, safe, sizeof(safe)),
            (double)(now - follow->first->started) / 1e9);
}

static int open_relative(struct pyi_follow *follow, struct pyi_relative *relative,
                         const struct pyi_seen *seen, uint64_t now, struct pyi_error *err)
{
    struct pyi_recorder *recorder = NULL;
    struct pyi_error failure = {0};
    if (follow->recorded >= follow->target_limit) {
        follow->crowded++;
        give_up(relative, now);
        return 0;
    }
    int code = new_member(follow->first, relative->pid, &recorder, err);
    if (code)
        return code;
    code = pyi_recorder_open_target(recorder, 0, &failure);
    if (!code)
        code = describe_member(recorder, &failure);
    if (code) {
        pyi_recorder_free(recorder);
        return refused(follow, relative, now, seen, &failure, err);
    }
    relative->recorder = recorder;
    note_replaced(follow, relative, now);
    return begin_member(follow, relative, err);
}

/* A process without a recorder: has it ended, has it become a Python? `*opened`: it cost time. */
static int look_at(struct pyi_follow *follow, struct pyi_relative *relative, uint64_t now,
                   bool *opened, struct pyi_error *err)
{
    struct pyi_seen seen;
    if (!pyi_seen_read(PROC, relative->pid, &seen) || seen.state == 'Z' || seen.state == 'X' ||
        seen.start_ticks != relative->start_ticks) {
        follow->brief += relative->stage == PYI_STAGE_WAITING && !relative->replaced;
        relative->stage = PYI_STAGE_GONE;
        return 0;
    }
    const uint64_t program = relative->program ? program_of(relative->pid) : 0;
    if (relative->stage == PYI_STAGE_OTHER &&
        (!relative->program || program == relative->program)) {
        relative->next = now + OTHER_STEP;
        return 0;
    }
    if (relative->stage == PYI_STAGE_OTHER) {
        relative->stage = PYI_STAGE_WAITING;
        relative->since = now;
    } else if (relative->program && program == relative->program &&
               now - relative->since < REFUSED_TIME) {
        relative->next = now + FIRST_STEP + (now - relative->since) / 4;
        return 0;
    }
    relative->program = 0;
    if (is_clone(relative)) {
        relative->next = now + FIRST_STEP;
        return 0;
    }
    *opened = true;
    return open_relative(follow, relative, &seen, now, err);
}

static int look_at_all(struct pyi_follow *follow, struct pyi_error *err)
{
    struct pyi_clock *clock = &follow->first->clock;
    bool opened = false;
    for (size_t i = 0; i < follow->count && !opened; i++) {
        struct pyi_relative *relative = follow->living[i];
        const uint64_t now = clock->now(clock);
        if (relative->stage == PYI_STAGE_RECORDED || relative->stage == PYI_STAGE_GONE ||
            now < relative->next)
            continue;
        if (relative->stage == PYI_STAGE_WAITING && !pyi_budget_allows(&follow->opening, now))
            continue;
        const uint64_t before = clock->cpu(clock);
        int code = look_at(follow, relative, now, &opened, err);
        if (code)
            return code;
        if (opened)
            pyi_budget_spend(&follow->opening, clock->cpu(clock) - before);
    }
    return 0;
}

static int discover(struct pyi_follow *follow, uint64_t now, struct pyi_error *err)
{
    if (!follow->discovers || !pyi_discovery_due(&follow->discovery, now))
        return 0;
    struct pyi_clock *clock = &follow->first->clock;
    const struct pyi_discovery_ask ask = {.is_parent = is_parent,
                                          .is_session = is_session,
                                          .found = found,
                                          .parent_at = parent_at,
                                          .context = follow};
    const uint64_t before = clock->cpu(clock);
    int code = pyi_discovery_look(&follow->discovery, &ask, now, err);
    pyi_discovery_spent(&follow->discovery, clock->cpu(clock) - before);
    return code;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

int pyi_follow_begin(struct pyi_recorder *first, struct pyi_error *err)
{
    struct pyi_follow *follow = first->follow;
    int code = 0;
    follow->target_limit = limit_of_targets();
    follow->latest = follow->began = first->started;
    follow->recorded = first->target != NULL;
    for (size_t i = 0; i < follow->count && !code; i++) {
        struct pyi_relative *relative = follow->living[i];
        relative->since = relative->next = first->started;
        if (relative->recorder && relative->recorder != first)
            code = begin_member(follow, relative, err);
    }
    return code;
}

static void drop_gone(struct pyi_follow *follow)
{
    size_t kept = 0;
    for (size_t i = 0; i < follow->count; i++) {
        struct pyi_relative *relative = follow->living[i];
        if (relative->stage != PYI_STAGE_GONE) {
            follow->living[kept++] = relative;
            continue;
        }
        follow->past[follow->past_count++ % PYI_PAST_LIMIT] = relative->pid;
        free_relative(follow, relative);
    }
    follow->count = kept;
}

/* Whether there is anything left to wait for. */
static bool is_over(const struct pyi_follow *follow)
{
    const struct pyi_recorder *first = follow->first;
    int status = 0;
    if (first->launched && follow->first_over && pyi_child_ended(&first->child, &status))
        return true;
    if (!follow->first_over)
        return false;
    for (size_t i = 0; i < follow->count; i++) {
        const struct pyi_relative *relative = follow->living[i];
        if (relative->stage == PYI_STAGE_RECORDED || relative->stage == PYI_STAGE_WAITING)
            return false;
        /* A program that never was Python, named by the user, may yet start some. */
        if (relative->named && relative->stage == PYI_STAGE_OTHER && !relative->recorder &&
            (relative->pid != first->pid || !first->process_count) && follow->discovers)
            return false;
    }
    return true;
}

static void set_interval(struct pyi_follow *follow, struct pyi_recorder *recorder)
{
    const uint64_t asked = pyi_pace_interval(recorder->options.interval);
    const uint64_t kept = 2 * follow->tick_cost;
    recorder->ledger.interval = kept > asked ? kept : asked;
}

static void end_first(struct pyi_follow *follow, uint64_t now)
{
    struct pyi_recorder *first = follow->first;
    pyi_recorder_count_cpu(first);
    if (!first->launched && follow->end_detail < 0 &&
        (follow->end == PYI_END_NONE || follow->end == PYI_END_EXIT)) {
        first->among = false; /* nobody is kept waiting any more */
        pyi_recorder_finish_exit(first, now);
        return;
    }
    first->end = follow->end == PYI_END_NONE ? PYI_END_EXIT : follow->end;
    first->end_detail = follow->end_detail;
    first->ended = now;
}

int pyi_follow_tick(struct pyi_recorder *first, uint64_t now, struct pyi_error *err)
{
    struct pyi_follow *follow = first->follow;
    struct pyi_clock *clock = &first->clock;
    const uint64_t before = follow->latest;
    follow->ticks++;
    follow->latest = now;
    int code = 0;
    for (size_t i = 0; i < follow->count && !code; i++) {
        struct pyi_relative *relative = follow->living[i];
        struct pyi_recorder *recorder = relative->recorder;
        if (relative->stage != PYI_STAGE_RECORDED)
            continue;
        set_interval(follow, recorder);
        const uint64_t turn = i ? clock->now(clock) : now;
        code = pyi_recorder_tick(recorder, turn, err);
        if (!code && recorder->end != PYI_END_NONE)
            code = retire(follow, relative, turn, err);
    }
    const uint64_t cost = clock->now(clock) - now;
    follow->tick_cost = (7 * follow->tick_cost + cost) / 8;
    if (!code)
        code = discover(follow, now, err);
    if (!code)
        code = look_at_all(follow, err);
    drop_gone(follow);
    if (!code && is_over(follow))
        end_first(follow, follow->recorded ? now : before);
    return code;
}

uint64_t pyi_follow_pause(const struct pyi_recorder *first, uint64_t begun, uint64_t done)
{
    /* Many processes would fill the whole interval, and us a whole core: half of one at most. */
    return first->follow->tick_cost > first->ledger.interval / 2 ? done + (done - begun) : done;
}

void pyi_follow_upkeep(struct pyi_recorder *first, uint64_t now)
{
    const struct pyi_follow *follow = first->follow;
    for (size_t i = 0; i < follow->count; i++)
        if (follow->living[i]->stage == PYI_STAGE_RECORDED && follow->living[i]->recorder != first)
            pyi_recorder_upkeep(follow->living[i]->recorder, now);
}

/* ---- the end -------------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
    const struct pyi_finished *one = a, *other = b;
    return one->started < other->started ? -1 : one->started > other->started;
}

int pyi_follow_close(struct pyi_recorder *first, struct pyi_error *err)
{
    struct pyi_follow *follow = first->follow;
    const uint64_t now = first->ended ? first->ended : first->clock.now(&first->clock);
    int code = 0;
    if (follow->ended)
        return 0;
    follow->ended = now;
    pyi_recorder_count_cpu(first);
    for (size_t i = 0; i < follow->count && !code; i++) {
        struct pyi_relative *relative = follow->living[i];
        if (relative->stage == PYI_STAGE_WAITING && !relative->replaced)
            follow->brief++;
        if (relative->stage != PYI_STAGE_RECORDED || relative->recorder == first)
            continue;
        follow->cut += first->launched && follow->first_over;
        pyi_recorder_finish(relative->recorder, PYI_END_STOPPED, -1, now);
        code = finish_member(follow, relative, err);
        relative->stage = PYI_STAGE_OTHER;
    }
    if (follow->finished_count)
        qsort(follow->finished, follow->finished_count, sizeof(*follow->finished), by_start);
    pyi_follow_write_notes(follow);
    if (follow->first_over && follow->first_ended)
        first->ended = follow->first_ended;
    return code;
}
