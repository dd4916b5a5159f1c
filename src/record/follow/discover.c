/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * discover.c - finding children without being told of them.
 *
 * The kernel hands out process ids in order, and the last number of /proc/loadavg is the one it
 * handed out last (Linux, fs/proc/loadavg.c: of our pid namespace; ids of namespaces below are
 * handed out in it as well). So one short read from a kept descriptor says whether anything was
 * started anywhere since the last tick, and the numbers in between say what. Numbers start again
 * from low ones, loadavg may be faked or hidden, and a machine may start more than we can look
 * at: so all children of all known processes are listed every now and then, too.
 * A number is handed out before its process can be seen (kernel/fork.c, copy_process()), so what
 * is not there is looked for again.
 */
#include "src/record/follow/discover.h"

#include "attach/attach.h"
#include "src/base/error.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS              1000000ull
#define SCAN_TIME       (100 * MS) /* between lists of all children where loadavg says what is new */
#define BLIND_SCAN_TIME (5 * MS)   /* where it does not */
#define RANGE_LIMIT     64         /* new numbers looked at one by one */
#define LOOKS           3          /* at a number without a process */
#define BURST           (30 * MS)  /* of looking, in CPU time */
#define SHARE           25         /* at most 1/25 of a core for looking */

void pyi_budget_init(struct pyi_budget *budget, uint64_t burst, unsigned share, uint64_t now)
{
    *budget = (struct pyi_budget){
        .left = (int64_t)burst, .burst = (int64_t)burst, .share = share, .refilled = now};
}

bool pyi_budget_allows(struct pyi_budget *budget, uint64_t now)
{
    if (now > budget->refilled) {
        const uint64_t more = (now - budget->refilled) / budget->share;
        budget->left =
            more > (uint64_t)budget->burst || budget->left + (int64_t)more > budget->burst
                ? budget->burst
                : budget->left + (int64_t)more;
        budget->refilled = now;
    }
    return budget->left > 0;
}

void pyi_discovery_init(struct pyi_discovery *discovery, const char *proc, uint64_t now)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/loadavg", proc);
    *discovery = (struct pyi_discovery){
        .proc = proc, .counter = open(path, O_RDONLY | O_CLOEXEC), .newest = -1};
    pyi_budget_init(&discovery->budget, BURST, SHARE, now);
}

void pyi_discovery_deinit(struct pyi_discovery *discovery)
{
    pyi_cleanup_close(&discovery->counter);
}

/* The id handed out last, -1 unknown. */
static int64_t newest_pid(const struct pyi_discovery *discovery)
{
    char text[128];
    ssize_t length =
        discovery->counter >= 0 ? pread(discovery->counter, text, sizeof(text) - 1, 0) : -1;
    if (length <= 0)
        return -1;
    text[length] = '\0';
    const char *blank = strrchr(text, ' ');
    long long pid = blank ? strtoll(blank, NULL, 10) : 0;
    return pid > 0 ? pid : -1;
}

bool pyi_discovery_due(struct pyi_discovery *discovery, uint64_t now)
{
    if (!pyi_budget_allows(&discovery->budget, now))
        return false;
    return discovery->unseen_count || now >= discovery->next_scan ||
           newest_pid(discovery) != discovery->newest;
}

bool pyi_seen_read(const char *proc, pid_t pid, struct pyi_seen *out)
{
    char path[300], line[512];
    snprintf(path, sizeof(path), "%s/%d/stat", proc, (int)pid);
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
    if (length <= 0)
        return false;
    line[length] = '\0';
    /* The name may hold blanks and parentheses. */
    const char *open_at = strchr(line, '('), *rest = strrchr(line, ')');
    if (!open_at || !rest || rest < open_at)
        return false;
    int parent = 0, session = 0;
    unsigned long long start = 0;
    char state = '?';
    /* Fields 3 to 6 and 22, see proc(5). */
    if (sscanf(rest + 1,
               " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &parent, &session, &start) != 4)
        return false;
    *out = (struct pyi_seen){
        .parent = parent, .session = session, .state = state, .start_ticks = start};
    snprintf(out->name, sizeof(out->name), "%.*s", (int)(rest - open_at - 1), open_at + 1);
    return true;
}

static bool is_process(const char *proc, pid_t pid)
{
    char path[300], text[1024];
    snprintf(path, sizeof(path), "%s/%d/status", proc, (int)pid);
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (length <= 0)
        return false;
    text[length] = '\0';
    const char *group = strstr(text, "\nTgid:");
    return group && strtoll(group + 6, NULL, 10) == pid;
}

/* A process whose parent has ended belongs to the one that looks after orphans; the session it
 * lives in still tells whose it was. `*seen`: there is such a process or thread. */
static int look_at(const struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                   pid_t pid, bool *seen, struct pyi_error *err)
{
    struct pyi_seen stat;
    *seen = pyi_seen_read(discovery->proc, pid, &stat);
    if (!*seen)
        return 0;
    bool ours =
        ask->is_parent(ask->context, stat.parent) || ask->is_session(ask->context, stat.session);
    return ours && is_process(discovery->proc, pid)
               ? ask->found(ask->context, pid, stat.parent, err)
               : 0;
}

static int look_at_unseen(struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                          struct pyi_error *err)
{
    size_t kept = 0;
    int code = 0;
    for (size_t i = 0; i < discovery->unseen_count && !code; i++) {
        bool seen = false;
        code = look_at(discovery, ask, discovery->unseen[i].pid, &seen, err);
        if (!seen && ++discovery->unseen[i].looks < LOOKS)
            discovery->unseen[kept++] = discovery->unseen[i];
    }
    discovery->unseen_count = kept;
    return code;
}

static int look_at_new(struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                       int64_t first, int64_t last, struct pyi_error *err)
{
    const size_t room = sizeof(discovery->unseen) / sizeof(discovery->unseen[0]);
    for (int64_t pid = first; pid <= last; pid++) {
        bool seen = false;
        int code = look_at(discovery, ask, (pid_t)pid, &seen, err);
        if (code)
            return code;
        if (seen || discovery->unseen_count == room)
            continue;
        discovery->unseen[discovery->unseen_count].pid = (pid_t)pid;
        discovery->unseen[discovery->unseen_count++].looks = 1;
    }
    return 0;
}

static int scan(const struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                struct pyi_error *err)
{
    /* What is found is added behind: its children are listed as well. */
    pid_t parent;
    for (size_t i = 0; (parent = ask->parent_at(ask->context, i)) != 0; i++) {
        PYI_CLEANUP(pyi_cleanup_free) pid_t *children = NULL;
        size_t count = 0;
        int code = pyi_children(discovery->proc, parent, &children, &count, err);
        for (size_t j = 0; j < count && !code; j++)
            code = ask->found(ask->context, children[j], parent, err);
        if (code)
            return code;
    }
    return 0;
}

int pyi_discovery_look(struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                       uint64_t now, struct pyi_error *err)
{
    const int64_t newest = newest_pid(discovery), before = discovery->newest;
    int code = look_at_unseen(discovery, ask, err);
    discovery->newest = newest;
    if (code)
        return code;
    if (newest >= 0 && before >= 0 && newest > before && newest - before <= RANGE_LIMIT)
        code = look_at_new(discovery, ask, before + 1, newest, err);
    else if (newest != before)
        discovery->next_scan = 0;
    if (code || now < discovery->next_scan)
        return code;
    discovery->next_scan = now + (newest >= 0 ? SCAN_TIME : BLIND_SCAN_TIME);
    return scan(discovery, ask, err);
}
