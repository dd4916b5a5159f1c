/* SPDX-License-Identifier: BSD-3-Clause */
/* export.c - what formats for other tools share.
 *
 * In: frames and trees. Out: display names, and the threads of a tree with what the session
 * knows of each. Knows no format. */
#include "src/render/export.h"

#include "src/base/error.h"
#include "src/base/number.h"
#include <math.h>

const char *const pyi_export_options[] = {"show_all", "timeline", "processor_options", NULL};

void pyi_export_function(const struct pyi_frame *frame, struct pyi_strbuf *out)
{
    struct pyi_text class_name = pyi_frame_class_name(frame);
    if (class_name.length) {
        pyi_strbuf_text(out, class_name);
        pyi_strbuf_char(out, '.');
    }
    pyi_strbuf_text(out, pyi_frame_function(frame));
}

void pyi_export_name(const struct pyi_frame *frame, struct pyi_strbuf *out)
{
    struct pyi_text path = pyi_frame_short_path(frame);
    int64_t line;
    pyi_export_function(frame, out);
    if (!path.length || pyi_frame_is_synthetic(frame))
        return;
    pyi_strbuf_string(out, " (");
    pyi_strbuf_text(out, path);
    if (pyi_frame_line(frame, &line) && line)
        pyi_strbuf_format(out, ":%lld", (long long)line);
    pyi_strbuf_char(out, ')');
}

static bool has_path(const struct pyi_frame *frame, const char *path)
{
    return pyi_text_equal(pyi_frame_file_path(frame), pyi_text(path));
}

/* Frames that may stand above a thread. */
static bool is_above(const struct pyi_frame *frame)
{
    return has_path(frame, "<process>") ||
           (pyi_frame_is_synthetic(frame) && !pyi_frame_is_synthetic_leaf(frame));
}

const struct pyi_attach_thread *pyi_export_thread(const struct pyi_session *session,
                                                  struct pyi_text name, int64_t ident,
                                                  struct pyi_text process, int64_t pid)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    for (size_t i = 0; attach && i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        if (thread->ident != (uint64_t)ident || !pyi_text_equal(thread->name, name))
            continue;
        if (!process.length || thread->process >= attach->process_count)
            return thread;
        /* One process may have been several programs. */
        const struct pyi_attach_process *row = &attach->processes[thread->process];
        if (row->pid == pid && pyi_text_starts_with(process, row->command.data))
            return thread;
    }
    return NULL;
}

static void describe(const struct pyi_session *session, struct pyi_lane *lane)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    const struct pyi_frame *above = pyi_frame_parent(lane->frame);
    int64_t ident = 0, pid = 1;
    lane->name = pyi_frame_function(lane->frame);
    lane->process_name = pyi_text("");
    if (above && has_path(above, "<process>")) {
        lane->process_name = pyi_frame_function(above);
        (void)pyi_frame_line(above, &pid);
    }
    (void)pyi_frame_line(lane->frame, &ident);
    const struct pyi_attach_thread *thread =
        pyi_export_thread(session, lane->name, ident, lane->process_name, pid);
    if (thread && thread->process < attach->process_count)
        pid = attach->processes[thread->process].pid;
    lane->process = pid;
    lane->thread = thread && thread->tid ? thread->tid : ident;
    lane->start = thread ? thread->start : 0;
}

bool pyi_export_next_lane(const struct pyi_session *session, const struct pyi_tree *tree,
                          struct pyi_lane *lane)
{
    const struct pyi_frame *root = pyi_tree_root(tree), *frame = root;
    if (lane->frame) { /* what comes after the lane's whole subtree */
        for (frame = lane->frame; frame != root && !pyi_frame_next(frame);)
            frame = pyi_frame_parent(frame);
        frame = frame == root ? NULL : pyi_frame_next(frame);
    }
    while (frame && is_above(frame) && pyi_frame_first_child(frame))
        frame = pyi_frame_first_child(frame);
    if (!frame)
        return false;
    lane->frame = frame;
    describe(session, lane);
    return true;
}

int pyi_export_timeline(struct pyi_session *session, struct pyi_tree **out, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    struct pyi_processor_options options;
    pyi_processor_options_init(&options);
    options.timeline = true;
    int code = pyi_tree_build(session, PYI_TREE_KEEP_STEM, &tree, err);
    if (!code)
        code = pyi_tree_process_list(tree, PYI_LIST_EXPORT, &options, err);
    if (code)
        return code;
    *out = tree;
    tree = NULL;
    return 0;
}

static int64_t integer_of(struct pyi_text text)
{
    struct pyi_number number;
    char digits[32]; /* the parser wants a text with a NUL behind */
    if (text.length >= sizeof(digits))
        return 0;
    memcpy(digits, text.data, text.length);
    digits[text.length] = '\0';
    bool fine = pyi_number_parse((struct pyi_text){digits, text.length}, &number);
    return fine && number.is_integer ? number.integer : 0;
}

void pyi_export_split(struct pyi_text info, struct pyi_export_info *out)
{
    struct pyi_text identifier, part;
    *out = (struct pyi_export_info){pyi_text(""), pyi_text(""), pyi_text(""), 0, 0};
    if (!pyi_text_part(info, '\1', 0, &identifier))
        return;
    (void)pyi_text_part(identifier, '\0', 0, &out->function);
    (void)pyi_text_part(identifier, '\0', 1, &out->path);
    if (pyi_text_part(identifier, '\0', 2, &part))
        out->first_line = integer_of(part);
    const char *p = identifier.data + identifier.length, *end = info.data + info.length;
    while (p < end) {
        const char *mark = memchr(p + 1, '\1', (size_t)(end - p) - 1);
        part = (struct pyi_text){p + 1, (size_t)((mark ? mark : end) - p) - 1};
        if (part.length > 1 && part.data[0] == 'c' && !out->class_name.length)
            out->class_name = (struct pyi_text){part.data + 1, part.length - 1};
        if (part.length > 1 && part.data[0] == 'l' && !out->line)
            out->line = integer_of((struct pyi_text){part.data + 1, part.length - 1});
        p = mark ? mark : end;
    }
}

uint32_t pyi_export_lane_node(const struct pyi_session *session, uint32_t stack)
{
    uint32_t first = stack, lane = PYI_STACK_ROOT;
    for (uint32_t node = stack; node != PYI_STACK_ROOT;
         node = pyi_session_stack_parent(session, node)) {
        struct pyi_text info =
            pyi_session_frame_info(session, pyi_session_stack_frame(session, node));
        struct pyi_text path;
        uint32_t depth = pyi_session_stack_depth(session, node);
        /* At most a process stands above a thread. */
        if (depth <= 2 && pyi_text_part(info, '\0', 1, &path) &&
            pyi_text_equal(path, pyi_text("<thread>")))
            lane = node;
        first = node;
    }
    return lane == PYI_STACK_ROOT ? first : lane;
}

static bool put_begin(struct pyi_map *begins, uint64_t record, double seconds)
{
    uint64_t bits;
    if (!isfinite(seconds) || record == UINT64_MAX)
        return true;
    memcpy(&bits, &seconds, sizeof(bits));
    return pyi_map_put(begins, record, bits);
}

bool pyi_export_begins(const struct pyi_session *session, struct pyi_map *out)
{
    const struct pyi_attach *attach = pyi_session_attach(session);
    for (size_t i = 0; attach && i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        if (thread->records && !put_begin(out, thread->first, thread->start))
            return false;
        for (size_t j = 0; j < thread->jump_count; j++)
            if (thread->jumps[j].record < thread->records &&
                !put_begin(out, thread->first + thread->jumps[j].record, thread->jumps[j].seconds))
                return false;
    }
    return true;
}

bool pyi_export_begin_of(const struct pyi_map *begins, uint64_t record, double *seconds)
{
    uint64_t bits;
    if (!pyi_map_get(begins, record, &bits))
        return false;
    memcpy(seconds, &bits, sizeof(bits));
    return true;
}

struct pyi_text pyi_export_safe(struct pyi_text text, struct pyi_strbuf *scratch)
{
    pyi_strbuf_reset(scratch);
    pyi_strbuf_safe(scratch, text, PYI_TEXT_STRICT);
    return pyi_strbuf_get(scratch);
}
