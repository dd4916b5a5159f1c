/* SPDX-License-Identifier: BSD-3-Clause */
/* tree.h - what the files of this folder share: frames, identifiers, groups, node operations.
 *
 * Frames are small because sessions make millions of them. What all frames of one code have in
 * common (split identifier, short path) is kept once per identifier. */
#ifndef PYI_TREE_TREE_H
#define PYI_TREE_TREE_H

#include "src/base/arena.h"
#include "src/base/hash.h"
#include <pyinstrument/frame.h>

enum pyi_synthetic {
    PYI_SYNTHETIC_NONE, /* a real frame */
    PYI_SYNTHETIC_AWAIT,
    PYI_SYNTHETIC_SELF,
    PYI_SYNTHETIC_OUT_OF_CONTEXT,
    PYI_SYNTHETIC_ROOT,
};

/* How far an identifier alone answers whether its code is the application's. */
enum pyi_origin { PYI_ORIGIN_LIBRARY, PYI_ORIGIN_APPLICATION, PYI_ORIGIN_AS_PARENT };

/* One distinct identifier, split once. */
struct pyi_identifier {
    struct pyi_tree *tree;
    struct pyi_text text, function, path, short_path;
    int64_t line;
    enum pyi_synthetic synthetic;
    enum pyi_origin origin;
    bool has_path, has_line, has_short_path;
    struct pyi_frame *seen;   /* aggregation: the child of ... */
    uint64_t seen_epoch;      /* ... the frame with this number that has the identifier */
    double observed, waiting; /* own seconds in a known state, and of those waiting */
    signed char hidden;       /* grouping: pattern verdict on the path, see processors.c */
};

/* One distinct frame info string: an identifier with a list of attributes. */
struct pyi_frame_info {
    struct pyi_identifier *identifier;
    uint32_t attribute_count;
    bool repeats;          /* the same attribute text twice, or too many to find out */
    uint32_t attributes[]; /* numbers in the tree's attribute texts, in order */
};

/* Seconds observed with each attribute, in order of first sight. */
struct pyi_attributes {
    uint32_t count, capacity;
    uint32_t index; /* number + 1 in the tree's attribute index; 0: few enough to be searched */
    struct {
        double seconds;
        uint32_t text;
    } items[];
};

struct pyi_frame {
    struct pyi_frame *parent, *first, *next;
    struct pyi_frame *previous; /* of the first child: the last one */
    double time, absorbed;
    const struct pyi_frame_info *info; /* the one that created the frame */
    /* While `own_attributes` is unset the attributes are those of `info`, each with the frame's
     * whole time: true for every frame seen with one info string only, that is for nearly all. */
    struct pyi_attributes *attributes;
    uint32_t group; /* number + 1, 0 none */
    uint32_t own_attributes : 1;
    uint32_t application : 1;          /* memo, valid while ... */
    uint32_t application_version : 30; /* ... this equals the tree's version */
};

struct pyi_frame_group {
    struct pyi_tree *tree;
    struct pyi_frame **members; /* may hold frames that have left: see `stale` */
    size_t count, capacity;     /* entries of `members` */
    size_t live;                /* members that have not left */
    bool stale;
    uint32_t index;
};

struct pyi_tree {
    struct pyi_session *session;
    struct pyi_arena arena;
    struct pyi_frame *root;
    struct pyi_frame *fresh; /* unused frames at the end of the last chunk */
    size_t fresh_count;
    struct pyi_intern identifier_texts, attribute_texts;
    struct pyi_identifier **identifiers; /* by number in identifier_texts */
    size_t identifier_capacity;
    const struct pyi_frame_info **infos; /* by the session's frame number; NULL not yet seen */
    size_t info_capacity;
    const struct pyi_frame_info *self_info;
    struct pyi_frame_group **groups;
    size_t group_count, group_capacity;
    struct pyi_map attribute_index; /* index << 32 | text -> place in the list */
    uint32_t indexed_count;
    struct pyi_map await_times; /* frame address -> bits of its await time, where not 0 */
    bool has_await;             /* some identifier is [await] */
    uint32_t version;           /* changes with every change of structure, 30 bits */
    uint64_t epoch;
    size_t idle_count;
};

/* ---- info.c: identifiers and info strings ---- */

/* The info of a string; NULL on lack of memory. */
const struct pyi_frame_info *pyi_tree_info(struct pyi_tree *tree, struct pyi_text text);
/* The identifier part of an info string: everything before the first U+0001. */
struct pyi_text pyi_info_identifier(struct pyi_text info);

/* ---- node.c: operations on frames ---- */

/* A frame without time or place; NULL on lack of memory. */
struct pyi_frame *pyi_frame_new(struct pyi_tree *tree, const struct pyi_frame_info *info);
static inline struct pyi_tree *pyi_frame_tree(const struct pyi_frame *frame)
{
    return frame->info->identifier->tree;
}
static inline bool pyi_frame_is_self(const struct pyi_frame *frame)
{
    return frame->info->identifier->synthetic == PYI_SYNTHETIC_SELF;
}
void pyi_frame_append(struct pyi_frame *parent, struct pyi_frame *child);
void pyi_frame_unlink(struct pyi_frame *frame);
/* Adds `seconds`, observed with `info`, to time and attributes. False: no memory. */
bool pyi_frame_record(struct pyi_frame *frame, const struct pyi_frame_info *info, double seconds);
/* Gives the frame an attribute list of its own. False: no memory. */
bool pyi_frame_own_attributes(struct pyi_frame *frame);
/* Value of the attribute observed longest among those that begin with `marker`. */
bool pyi_frame_query(const struct pyi_frame *frame, char marker, struct pyi_text *value);

enum pyi_replacement { PYI_REPLACE_WITH_CHILDREN, PYI_REPLACE_WITH_NOTHING };
/* Removes a frame that has a parent. */
void pyi_frame_delete(struct pyi_frame *frame, enum pyi_replacement replacement);
/* Adds `frame` to its sibling `into` and removes it. False: no memory, nothing changed. */
bool pyi_frame_combine(struct pyi_frame *frame, struct pyi_frame *into);
/* Successor of `frame` in depth-first order below `root`, leaving out its descendants. */
struct pyi_frame *pyi_frame_skip(const struct pyi_frame *root, const struct pyi_frame *frame);
/* Successor of `frame` in depth-first order below `root`. */
static inline struct pyi_frame *pyi_frame_step(const struct pyi_frame *root,
                                               const struct pyi_frame *frame)
{
    return frame->first ? frame->first : pyi_frame_skip(root, frame);
}
/* Computes await times again after a change. False: no memory. */
bool pyi_tree_update_await(struct pyi_tree *tree);
/* To be called when structure has changed: forgets memos. */
void pyi_tree_changed(struct pyi_tree *tree);

/* ---- group.c ---- */

/* New empty group; NULL on lack of memory. */
struct pyi_frame_group *pyi_group_new(struct pyi_tree *tree);
/* Moves a frame into a group. False: no memory. */
bool pyi_group_add(struct pyi_frame_group *group, struct pyi_frame *frame);
/* Takes a frame out of its group, if any; a group left with one member is dissolved. */
void pyi_group_leave(struct pyi_frame *frame);
void pyi_group_dissolve(struct pyi_frame_group *group);
void pyi_groups_free(struct pyi_tree *tree);

#endif
