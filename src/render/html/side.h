/* SPDX-License-Identifier: BSD-3-Clause */
/* side.h - one session's stacks and records as rows of the page's tables. */
#ifndef PYI_RENDER_HTML_SIDE_H
#define PYI_RENDER_HTML_SIDE_H

#include "src/render/html/summary.h"
#include "src/render/html/tables.h"

/* One thread's runs, as the columns of the payload. */
struct pyi_html_lane {
    uint32_t process, name, function;
    uint64_t ident;
    int64_t tid;
    bool idle, counted; /* counted: records stand for as many samples as intervals fit in */
    double cpu;
    uint64_t start, samples, runs;                       /* start: microseconds */
    struct pyi_strbuf node, duration, count, gap, state; /* LEB128 */
    bool has_gap, has_state;
    /* while reading */
    const struct pyi_attach_thread *thread; /* NULL: of a session without `attach` */
    uint64_t record;                        /* index of the next one */
    size_t jump, states;
    uint64_t states_left;
    double seconds;            /* of all records so far */
    uint64_t written, skipped; /* microseconds: of the records, of the gaps */
    struct {
        bool open;
        uint32_t node, last_node;
        unsigned state;
        uint64_t micro, count, gap;
    } run;
    struct {
        unsigned code;
        uint64_t length;
    } repeat; /* of states, in runs */
};

struct pyi_html_process {
    int64_t pid;
    uint32_t command, function;
};

/* A trie node of the session. */
struct pyi_html_place {
    uint32_t node; /* below; a payload node + PYI_HTML_PLACED */
    uint32_t lane; /* trie node of the thread's frame, 0 none */
};
enum {
    PYI_HTML_UNKNOWN,
    PYI_HTML_STEM,  /* above the tree's root, on the start call stack */
    PYI_HTML_ABOVE, /* a thread's or a process's frame */
    PYI_HTML_PLACED,
};

/* A frame info string. */
struct pyi_html_info {
    bool known;
    uint32_t rows[3]; /* function + 1: of its only kind, or as application, package, library */
    uint32_t line;    /* executing */
};

struct pyi_html_side {
    struct pyi_session *session;
    const struct pyi_attach *attach;
    struct pyi_html_tables *tables;
    struct pyi_html_summary summary;
    double interval; /* seconds between samples */
    struct pyi_html_place *places;
    size_t place_capacity, place_count;
    struct pyi_html_info *infos;
    size_t info_capacity, info_count;
    uint32_t *path; /* scratch */
    size_t path_capacity;
    struct pyi_html_lane *lanes;
    size_t lane_count, lane_capacity;
    struct pyi_map lane_numbers; /* key -> lane */
    struct pyi_html_process *processes;
    size_t process_count, process_capacity;
    double *self; /* seconds by payload node, default report only; NULL: not wanted */
    size_t self_count;
};

/* First the call paths of a session, of every session on the page; then the records, for which
 * their number must be known. `with_self`: also seconds per node. Call deinit in any case. */
int pyi_html_side_place(struct pyi_html_side *side, struct pyi_session *session,
                        struct pyi_html_tables *tables, struct pyi_error *err) PYI_MUST_CHECK;
int pyi_html_side_read(struct pyi_html_side *side, bool with_self,
                       struct pyi_error *err) PYI_MUST_CHECK;
void pyi_html_side_deinit(struct pyi_html_side *side);

/* place.c: the payload node of a stack (node_count: none, the time is the thread's own) and the
 * trie node of its thread's frame. False: no memory. */
bool pyi_html_place(struct pyi_html_side *side, uint32_t stack, uint32_t *node, uint32_t *lane);
/* Function of the frame on top of a trie node that is a thread's or a process's. */
uint32_t pyi_html_frame_function(struct pyi_html_side *side, uint32_t stack, unsigned more_flags);

/* lane.c: adds a record to a lane; ends it after the last one. False: no memory. */
bool pyi_html_lane_add(struct pyi_html_lane *lane, uint32_t node, double seconds, double interval);
bool pyi_html_lane_end(struct pyi_html_lane *lane);
void pyi_html_lane_deinit(struct pyi_html_lane *lane);

#endif
