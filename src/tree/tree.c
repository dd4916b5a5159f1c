/* SPDX-License-Identifier: BSD-3-Clause */
/* tree.c - builds the frame tree of a session and trims its stem.
 *
 * In: a session's records. Out: one tree in one arena. Sums are made in record order, frame by
 * frame, without shortcuts that would change their last digit; what is saved is only the looking
 * up: stacks are trie nodes, so a record's stack is compared with the previous one from the top
 * down until the nodes are the same. */
#include "src/tree/tree.h"
#include <pyinstrument/frame.h>

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/text.h"
#include <stdlib.h>

/* Where the last record's stack stands: open[i] is its frame at depth i, open[0] the root. */
struct open {
    struct pyi_frame *frame;
    const struct pyi_frame_info *info; /* recorded last */
    uint32_t node;
};

struct builder {
    struct pyi_tree *tree;
    struct open *open;
    size_t count, capacity;
    uint32_t *path; /* scratch: nodes of the current stack, index = depth - 1 */
    size_t path_capacity;
};

static void builder_deinit(struct builder *builder)
{
    free(builder->open);
    free(builder->path);
}

static const struct pyi_frame_info *info_of(struct pyi_tree *tree, uint32_t number)
{
    if (number < tree->info_capacity && tree->infos[number])
        return tree->infos[number];
    size_t old = tree->info_capacity;
    if (!pyi_array_reserve(&tree->infos, &tree->info_capacity, (size_t)number + 1,
                           sizeof(*tree->infos)))
        return NULL;
    for (size_t i = old; i < tree->info_capacity; i++)
        tree->infos[i] = NULL;
    tree->infos[number] = pyi_tree_info(tree, pyi_session_frame_info(tree->session, number));
    return tree->infos[number];
}

static bool is_leaf_only(const struct pyi_frame_info *info)
{
    enum pyi_synthetic kind = info->identifier->synthetic;
    return kind != PYI_SYNTHETIC_NONE && kind != PYI_SYNTHETIC_ROOT;
}

/* A new frame below the innermost open one, which becomes open itself. */
static int push(struct builder *builder, const struct pyi_frame_info *info, struct pyi_error *err)
{
    struct pyi_frame *parent = builder->open[builder->count - 1].frame;
    if (is_leaf_only(parent->info)) {
        char name[64];
        struct pyi_text function = parent->info->identifier->function;
        return pyi_error_set(err, PYI_E_FORMAT, "Cannot add children to a leaf-only frame: %s",
                             pyi_text_safe(function, name, sizeof(name)));
    }
    if (!pyi_array_reserve(&builder->open, &builder->capacity, builder->count + 1,
                           sizeof(*builder->open)))
        return pyi_error_nomem(err);
    struct pyi_frame *frame = pyi_frame_new(builder->tree, info);
    if (!frame)
        return pyi_error_nomem(err);
    pyi_frame_append(parent, frame);
    builder->open[builder->count++] = (struct open){frame, info, PYI_STACK_ROOT};
    return 0;
}

/* Brings the open frames in line with a stack. Frames stay open as long as identifiers agree. */
static int align(struct builder *builder, uint32_t stack, struct pyi_error *err)
{
    struct pyi_session *session = builder->tree->session;
    size_t depth = stack == PYI_STACK_ROOT ? 0 : pyi_session_stack_depth(session, stack);
    if (!pyi_array_reserve(&builder->path, &builder->path_capacity, depth, sizeof(*builder->path)))
        return pyi_error_nomem(err);
    size_t same = depth;
    for (uint32_t node = stack; same; same--) {
        if (same < builder->count && builder->open[same].node == node)
            break;
        builder->path[same - 1] = node;
        node = pyi_session_stack_parent(session, node);
    }
    for (size_t at = same + 1; at <= depth; at++) {
        uint32_t node = builder->path[at - 1];
        const struct pyi_frame_info *info =
            info_of(builder->tree, pyi_session_stack_frame(session, node));
        if (!info)
            return pyi_error_nomem(err);
        if (at < builder->count && builder->open[at].frame->info->identifier != info->identifier)
            builder->count = at;
        if (at >= builder->count) {
            int code = push(builder, info, err);
            if (code)
                return code;
        }
        builder->open[at].info = info;
        builder->open[at].node = node;
    }
    if (builder->count > depth + 1)
        builder->count = depth + 1;
    return 0;
}

static int add_record(struct builder *builder, const struct pyi_record *record,
                      struct pyi_error *err)
{
    double seconds = record->seconds.value;
    int code = align(builder, record->stack, err);
    if (code)
        return code;
    for (size_t i = 0; i < builder->count; i++) {
        struct open *open = &builder->open[i];
        if (!open->frame->own_attributes && open->info == open->frame->info)
            open->frame->time += seconds;
        else if (!pyi_frame_record(open->frame, open->info, seconds))
            return pyi_error_nomem(err);
    }
    struct pyi_frame *last = builder->open[builder->count - 1].frame;
    if (is_leaf_only(last->info))
        return 0;
    struct pyi_frame *self = pyi_frame_new(builder->tree, builder->tree->self_info);
    if (!self)
        return pyi_error_nomem(err);
    self->time = seconds;
    pyi_frame_append(last, self);
    return 0;
}

/* ---- idle threads ---- */

struct span {
    uint64_t first, end;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Record ranges of the idle threads, in order; their number in tree->idle_count. The first thread
 * listed of a process is its main thread, which is always shown. */
static int idle_spans(struct pyi_tree *tree, struct span **out, struct pyi_error *err)
{
    const struct pyi_attach *attach = pyi_session_attach(tree->session);
    if (!attach || !attach->thread_count)
        return 0;
    PYI_CLEANUP(pyi_map_deinit) struct pyi_map seen = {0};
    PYI_CLEANUP(pyi_cleanup_free) struct span *spans = calloc(attach->thread_count, sizeof(*spans));
    if (!spans)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        struct span span = {thread->first, thread->first + thread->records};
        uint64_t ignored;
        if (!pyi_map_get(&seen, thread->process, &ignored)) {
            if (!pyi_map_put(&seen, thread->process, i))
                return pyi_error_nomem(err);
        } else if (thread->idle && span.end >= span.first) {
            spans[tree->idle_count++] = span;
        }
    }
    qsort(spans, tree->idle_count, sizeof(*spans), compare_spans);
    *out = spans;
    spans = NULL;
    return 0;
}

static int add_records(struct builder *builder, const struct span *left_out, size_t count,
                       struct pyi_error *err)
{
    struct pyi_record record;
    uint64_t cursor = 0, index = 0;
    for (; pyi_session_next_record(builder->tree->session, &cursor, &record); index++) {
        while (count && left_out->end <= index) {
            left_out++;
            count--;
        }
        if (count && left_out->first <= index)
            continue;
        int code = add_record(builder, &record, err);
        if (code)
            return pyi_error_prefix(err, code, "record %llu", (unsigned long long)index);
    }
    return 0;
}

/* ---- whole trees ---- */

static int build(struct pyi_tree *tree, unsigned flags, struct pyi_error *err)
{
    const struct pyi_frame_info *root_info = pyi_tree_info(tree, pyi_text("[root]"));
    tree->self_info = pyi_tree_info(tree, pyi_text("[self]"));
    if (!root_info || !tree->self_info)
        return pyi_error_nomem(err);
    PYI_CLEANUP(builder_deinit) struct builder builder = {.tree = tree};
    PYI_CLEANUP(pyi_cleanup_free) struct span *spans = NULL;
    if (!pyi_array_reserve(&builder.open, &builder.capacity, 64, sizeof(*builder.open)))
        return pyi_error_nomem(err);
    if (flags & PYI_TREE_WITHOUT_IDLE) {
        int code = idle_spans(tree, &spans, err);
        if (code)
            return code;
    }
    struct pyi_frame *root = pyi_frame_new(tree, root_info);
    if (!root)
        return pyi_error_nomem(err);
    builder.open[builder.count++] = (struct open){root, root_info, PYI_STACK_ROOT};
    int code = add_records(&builder, spans, tree->idle_count, err);
    if (code || !root->first)
        return code;
    tree->root = root;
    if (!root->first->next) {
        tree->root = root->first;
        pyi_frame_unlink(tree->root);
    }
    return 0;
}

/* Descends along the start call stack as long as nothing else happened beside it. */
static void trim_stem(struct pyi_tree *tree)
{
    struct pyi_session *session = tree->session;
    size_t length = pyi_session_list_length(session, PYI_SESSION_START_CALL_STACK), next = 0;
    struct pyi_frame *frame = tree->root;
    for (struct pyi_frame *candidate = frame; candidate && next < length; next++) {
        struct pyi_text info = pyi_session_list_item(session, PYI_SESSION_START_CALL_STACK, next);
        if (!pyi_text_equal(pyi_info_identifier(info), pyi_frame_identifier(candidate)))
            break;
        frame = candidate;
        bool single = frame->first && !frame->first->next;
        candidate = single && pyi_frame_self_time(frame) == 0 ? frame->first : NULL;
    }
    pyi_frame_unlink(frame);
    tree->root = frame;
}

/* What only building needs. */
static void drop_scratch(struct pyi_tree *tree)
{
    free(tree->infos);
    tree->infos = NULL;
    tree->info_capacity = 0;
}

int pyi_tree_build(struct pyi_session *session, unsigned flags, struct pyi_tree **out,
                   struct pyi_error *err)
{
    struct pyi_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return pyi_error_nomem(err);
    tree->session = session;
    tree->version = 1;
    int code = build(tree, flags, err);
    drop_scratch(tree);
    if (!code && tree->root && !(flags & PYI_TREE_KEEP_STEM))
        trim_stem(tree);
    if (!code && !pyi_tree_update_await(tree))
        code = pyi_error_nomem(err);
    if (code) {
        pyi_tree_free(tree);
        return code;
    }
    *out = tree;
    return 0;
}

void pyi_tree_free(struct pyi_tree *tree)
{
    if (!tree)
        return;
    pyi_groups_free(tree);
    pyi_map_deinit(&tree->attribute_index);
    pyi_map_deinit(&tree->await_times);
    pyi_intern_deinit(&tree->identifier_texts);
    pyi_intern_deinit(&tree->attribute_texts);
    free(tree->identifiers);
    free(tree->infos);
    pyi_arena_free(&tree->arena);
    free(tree);
}
