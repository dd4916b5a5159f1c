/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stacks.h - the stacks of a session as numbers, so that nobody compares strings twice.
 *
 *   frame       number of a frame info string ("f NUL /a.py NUL 1 SOH cThing SOH l11")
 *   identifier  number of what stands before its first U+0001; equal code has equal numbers
 *   attribute   number of one of the strings between U+0001 marks ("cThing", "l11", "")
 *   node        number in the trie of stacks: (parent node, frame on top); 0 is the empty stack
 *
 * All numbers count from 0 without gaps in order of first sight and never change. A tree
 * builder keeps its per-identifier and per-attribute facts in plain arrays of
 * `identifiers.count` and `attributes.count` elements. A node's parent is always a smaller
 * number than the node.
 *
 * One record visited root to leaf, without strings:
 *     const struct pyi_stacks *stacks = pyi_session_stacks(session);
 *     uint32_t node = record.stack, depth = stacks->nodes[node].depth;
 *     for (uint32_t i = depth; i-- > 0; node = stacks->nodes[node].parent)
 *         path[i] = stacks->nodes[node].frame;
 *     for (uint32_t i = 0; i < depth; i++) {
 *         const struct pyi_stack_frame *frame = &stacks->frames[path[i]];
 *         ... frame->identifier, stacks->attribute_lists[frame->attributes + 0, 1, ...]
 *     }
 * (Two consecutive records share every frame up to their lowest common node.)
 */
#ifndef PYI_SESSION_STACKS_H
#define PYI_SESSION_STACKS_H

#include "src/base/hash.h"
#include <pyinstrument/session.h>

struct pyi_stack_frame {
    uint32_t identifier;
    uint32_t attributes; /* index of the first one in attribute_lists */
    uint32_t attribute_count;
};

struct pyi_stack_node {
    uint32_t parent, frame, depth; /* depth: number of frames, 0 for the root */
};

struct pyi_stacks {
    struct pyi_intern infos;       /* frame info strings, by frame */
    struct pyi_intern identifiers; /* by identifier */
    struct pyi_intern attributes;  /* by attribute */
    struct pyi_stack_frame *frames;
    size_t frame_capacity; /* infos.count of them are in use */
    /* Attribute numbers of all frames, one frame's after the other's, in the order written; one
     * that a frame has twice is here twice. */
    uint32_t *attribute_lists;
    size_t attribute_list_count, attribute_list_capacity;
    struct pyi_stack_node *nodes;
    size_t node_count, node_capacity;
    uint32_t *slots; /* open addressing over (parent, frame): node, 0 free */
    size_t slot_count;
};

/* Makes the root node. False: no memory. */
bool pyi_stacks_init(struct pyi_stacks *stacks);
void pyi_stacks_deinit(struct pyi_stacks *stacks);
/* UINT32_MAX on lack of memory or numbers. */
uint32_t pyi_stacks_frame(struct pyi_stacks *stacks, struct pyi_text info);
/* `parent` and `frame` must exist. UINT32_MAX on lack of memory or numbers. */
uint32_t pyi_stacks_push(struct pyi_stacks *stacks, uint32_t parent, uint32_t frame);

/* Borrowed from the session; grows only while the session is being filled. */
const struct pyi_stacks *pyi_session_stacks(const struct pyi_session *session);

static inline struct pyi_text pyi_stacks_identifier(const struct pyi_stacks *stacks,
                                                    uint32_t identifier)
{
    return pyi_intern_text(&stacks->identifiers, identifier);
}
static inline struct pyi_text pyi_stacks_attribute(const struct pyi_stacks *stacks,
                                                   uint32_t attribute)
{
    return pyi_intern_text(&stacks->attributes, attribute);
}
/* The identifier of a frame info string: what stands before its first U+0001. */
struct pyi_text pyi_frame_info_identifier(struct pyi_text info);

#endif
