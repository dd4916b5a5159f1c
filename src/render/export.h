/* SPDX-License-Identifier: BSD-3-Clause */
/* export.h - what formats for other tools share: complete trees, names of frames, lanes. */
#ifndef PYI_RENDER_EXPORT_H
#define PYI_RENDER_EXPORT_H

#include "src/base/hash.h"
#include "src/base/text.h"
#include "src/render/options.h"

/* Options every format of ours takes, whether or not they mean anything to it. */
extern const char *const pyi_export_options[];

/* "Class.function (short/path.py:LINE)". */
void pyi_export_name(const struct pyi_frame *frame, struct pyi_strbuf *out);
/* "Class.function". */
void pyi_export_function(const struct pyi_frame *frame, struct pyi_strbuf *out);

/* One thread: the frame every stack of a thread begins with, or the root when there is none. */
struct pyi_lane {
    const struct pyi_frame *frame;
    struct pyi_text name;
    int64_t process, thread;      /* kernel's numbers where the session has them */
    struct pyi_text process_name; /* the process's frame; "" when there is none */
    double start;                 /* seconds after the session's start */
};

/* What `attach` knows of a thread; NULL nothing. `process` is the name of the process's frame, "" when
 * there is none, and `pid` its line: a forked child's threads have the idents of its parent's. */
const struct pyi_attach_thread *pyi_export_thread(const struct pyi_session *session,
                                                  struct pyi_text name, int64_t ident,
                                                  struct pyi_text process, int64_t pid);

/* First lane with `*lane` zeroed, then the next ones; false at the end. Every frame of the tree
 * that stands above the lanes ([root], processes) is passed over. */
bool pyi_export_next_lane(const struct pyi_session *session, const struct pyi_tree *tree,
                          struct pyi_lane *lane);

/* Complete tree of the session in time order, [self] frames side by side joined. */
int pyi_export_timeline(struct pyi_session *session, struct pyi_tree **out,
                        struct pyi_error *err) PYI_MUST_CHECK;

/* A frame info string taken apart; texts are borrowed from it, absent ones are empty. */
struct pyi_export_info {
    struct pyi_text function, path, class_name;
    int64_t first_line, line; /* 0 unknown */
};
void pyi_export_split(struct pyi_text info, struct pyi_export_info *out);
/* The trie node that begins the thread of a stack: its thread frame, or the stack's first frame.
 * The stack must not be empty. */
uint32_t pyi_export_lane_node(const struct pyi_session *session, uint32_t stack);

/* When records of threads begin that do not begin where the one before them ended: the first of
 * each thread and those behind a jump. Record's index -> bits of the seconds after start_time.
 * False on lack of memory. */
bool pyi_export_begins(const struct pyi_session *session, struct pyi_map *out);
/* Whether the record is one of those; `*seconds` is then its begin. */
bool pyi_export_begin_of(const struct pyi_map *begins, uint64_t record, double *seconds);

/* Text made safe for formats that want valid UTF-8 without controls; borrowed from `scratch`. */
struct pyi_text pyi_export_safe(struct pyi_text text, struct pyi_strbuf *scratch);

#endif
