/* SPDX-License-Identifier: BSD-3-Clause */
/* discover.h - processes that came into being since the last look.
 *
 * Reads /proc only: nobody is stopped, no event is subscribed to. */
#ifndef PYI_RECORD_DISCOVER_H
#define PYI_RECORD_DISCOVER_H

#include <pyinstrument/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time that may be spent: refilled at a constant rate, up to what a burst may cost. */
struct pyi_budget {
    int64_t left; /* ns; overdrawn by the last spending */
    int64_t burst;
    unsigned share; /* one part in so many */
    uint64_t refilled;
};
void pyi_budget_init(struct pyi_budget *budget, uint64_t burst, unsigned share, uint64_t now);
/* Whether there is anything left at `now`. */
bool pyi_budget_allows(struct pyi_budget *budget, uint64_t now);
static inline void pyi_budget_spend(struct pyi_budget *budget, uint64_t cost)
{
    budget->left -= (int64_t)cost;
}

struct pyi_discovery {
    const char *proc;   /* "/proc", or a folder that stands for it */
    int counter;        /* descriptor of loadavg, -1 none */
    int64_t newest;     /* highest process id looked at, -1 unknown */
    uint64_t next_scan; /* when all children are listed again, ns */
    struct pyi_budget budget;
    /* Ids handed out whose process was not to be seen (yet), and how often it was looked for. */
    struct {
        pid_t pid;
        unsigned looks;
    } unseen[128];
    size_t unseen_count;
};

/* What the caller knows of processes. */
struct pyi_discovery_ask {
    bool (*is_parent)(void *context, pid_t pid); /* it is of the recording: its children are, too */
    /* It is or was of the recording: who lives in its session is a descendant. */
    bool (*is_session)(void *context, pid_t session);
    /* Called for each process that was born of one; may be called again for a known one. Errors:
     * NOMEM. */
    int (*found)(void *context, pid_t pid, pid_t parent, struct pyi_error *err);
    /* The i-th process of the recording; 0 past the end. */
    pid_t (*parent_at)(void *context, size_t index);
    void *context;
};

/* What the kernel says of a process in one line. */
struct pyi_seen {
    pid_t parent, session;
    char state;           /* R S D T t Z X I */
    uint64_t start_ticks; /* since boot: tells one life of a number from another */
    char name[32];
};
/* False when there is no such process or thread. */
bool pyi_seen_read(const char *proc, pid_t pid, struct pyi_seen *out);

/* `proc` is borrowed. */
void pyi_discovery_init(struct pyi_discovery *discovery, const char *proc, uint64_t now);
void pyi_discovery_deinit(struct pyi_discovery *discovery);
/* Whether a look is due at `now`: something was started somewhere, or a while has passed. */
bool pyi_discovery_due(struct pyi_discovery *discovery, uint64_t now);
/* Looks. Errors: NOMEM, those of found(). */
int pyi_discovery_look(struct pyi_discovery *discovery, const struct pyi_discovery_ask *ask,
                       uint64_t now, struct pyi_error *err) PYI_MUST_CHECK;
/* The look took `cost` ns of CPU. */
static inline void pyi_discovery_spent(struct pyi_discovery *discovery, uint64_t cost)
{
    pyi_budget_spend(&discovery->budget, cost);
}

#endif
