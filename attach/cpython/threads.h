/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * threads.h - interpreters, thread states, and what is remembered of each between rounds.
 */
#ifndef PYI_CPYTHON_THREADS_H
#define PYI_CPYTHON_THREADS_H

#include "attach/attach.h"
#include "attach/cpython/code.h"
#include "attach/cpython/join.h"
#include "attach/cpython/plan.h"
#include "src/base/hash.h"

struct pyi_cpython;

#define PYI_CHECKS_MAX 8 /* code objects compared in one copy of a thread */

/** One frame of a walk, as read and as understood. */
struct pyi_frame {
    pyi_addr address, code;
    int64_t instruction; /* 3.11+: remote address; before: f_lasti */
    pyi_addr slot;       /* first local, tag bits cleared; 0 null or not an object */
    pyi_addr start;      /* 3.11+: where the instructions it runs begin, see pyi_codes_start() */
    int32_t copy;        /* free-threaded 3.14+: number of its thread's copy of them */
    uint32_t chunk;      /* 1 + number of the data-stack chunk it lies in, 0 elsewhere */
    uint8_t owner;
    bool from_c;       /* its caller is reached through C code */
    bool hidden;       /* not started yet: the interpreter does not show it either */
    bool sure;         /* nothing of it has changed since the last accepted sample */
    bool running;      /* 3.11-3.13: marked as executing; it waits in no Python call */
    bool emptied;      /* 3.13: its stack was given back */
    bool raises;       /* 3.11-3.13: stands at a raise, to be left or to handle it itself */
    pyi_addr previous; /* link to the caller, 3.11+ */
    struct pyi_code_entry *entry;
    uint32_t entry_version;
    uint32_t edge;     /* of the call from the frame below, see edges.h; 0 proven */
    pyi_addr function; /* 3.11: the function that runs here */
    int32_t line;
    uint32_t class_name;
    uint32_t shown; /* visible frames up to and including this one */
    uint32_t owed;  /* edge of hidden frames that the next visible one answers for */
    bool clean;     /* every call up to here is proven */
};

/** A data-stack chunk as the last samples saw it. */
struct pyi_chunk {
    pyi_addr address;
    size_t size; /* 0 unknown */
    size_t used; /* bytes to read */
};

/** A thread state and the memory its samples look at. Heap, one per thread ever seen. */
struct pyi_tracked {
    struct pyi_thread shown;
    pyi_addr address;
    uint64_t unique; /* counter in the thread state, tells reused addresses apart */
    size_t interp;   /* index into pyi_threads.interps */
    bool asked, selected, named;
    uint32_t seen;                  /* round it was last found in the lists */
    uint32_t name_failed;           /* how often threading did not know it yet */
    uint32_t name_asked;            /* times it was asked in a row when it was new */
    uint32_t name_retry;            /* round to ask again */
    uint32_t tid_failed, tid_retry; /* the same for the kernel's id */
    size_t window;                  /* bytes of the thread state to read */

    struct pyi_chunk *chunks; /* newest first */
    size_t chunk_count, chunk_capacity;
    uint32_t chunk_decay; /* round after which `used` of the newest may shrink */
    struct pyi_places places, objects;
    size_t next_check; /* rotates over the frames whose code is compared */
    struct pyi_code_entry *checks[PYI_CHECKS_MAX];

    struct pyi_view view;
    bool planned; /* view belongs to this round */

    struct pyi_frame *frames, *last; /* top first: of this walk, of the last accepted one */
    size_t frame_count, frame_capacity, last_count;
    struct pyi_frame *room; /* `last` is its end: what stands stays where it is */
    size_t room_capacity;
    struct pyi_join join;
    bool truncated, last_truncated;
    bool from_shim;                  /* 3.12+: above the top frame stands an entry from C */
    const struct pyi_code *leaf;     /* C function the top frame is inside, NULL none */
    struct pyi_stack_entry *entries; /* outermost first, as delivered */
    struct pyi_stack_entry *work;    /* with native frames: the next ones, being made */
    size_t depth, entry_capacity, work_capacity;
    bool delivered, lost;
    bool moved; /* since the last stack that could be read */
};

struct pyi_interp {
    pyi_addr address;
    int64_t id;
    uint64_t generation;
    uint32_t seen;
    size_t piece;            /* in the round's copy */
    pyi_addr threading_dict; /* namespace of its `threading` module, 0 not found yet */
    double names_time;       /* of the last look at all names; seconds, monotonic */
    size_t names_next;       /* rotates over threads when there are many */
    /* Of activity.c: its global lock, and what was seen of it and of the collector. */
    pyi_addr lock; /* 0 not known yet */
    size_t lock_piece;
    uint32_t lock_round;
    bool lock_known, collecting;
    pyi_addr lock_holder, lock_last, gc_frame;
    uint64_t lock_switches;
};

/** What a walk along the lists found of one thread state. */
struct pyi_found {
    struct pyi_tracked *thread; /* NULL: none, or nobody yet */
    pyi_addr address;
    size_t interp;
    uint64_t ident, unique;
    int64_t native;
};

/** Zero-initialise. */
struct pyi_threads {
    struct pyi_interp *interps;
    size_t interp_count, interp_capacity;
    struct pyi_tracked **items;
    size_t count, capacity;
    struct pyi_map by_address; /* newest record of a thread-state address -> index */
    size_t runtime_piece;
    struct pyi_found *found; /* of the last round that followed the lists */
    size_t found_count, found_capacity;
    bool listed;         /* this round's copy holds the lists */
    uint32_t list_until; /* lists are in every copy up to this round: they have just changed */
};

void pyi_threads_deinit(struct pyi_threads *threads);
/** Adds the lists themselves and every known thread state to the round's copy. */
int pyi_threads_plan(struct pyi_cpython *python, struct pyi_error *err) PYI_MUST_CHECK;
/** Follows the lists inside the copy, reads what is new, marks who is alive. Errors: FAULT (the
 *  lists could not be read), and fatal. */
int pyi_threads_list(struct pyi_cpython *python, struct pyi_error *err) PYI_MUST_CHECK;
/** Brings names up to date where there is a reason to. Only fatal errors. */
int pyi_threads_names(struct pyi_cpython *python, struct pyi_error *err) PYI_MUST_CHECK;

#endif
