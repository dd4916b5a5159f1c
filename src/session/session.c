/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - a recording in memory: metadata, lists, stacks and records.
 *
 * In: setters and appends, from the file reader or the recorder. Out: getters for trees and
 * renderers. Must not know of files, processes or time.
 */
#include "src/session/session.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include <stdlib.h>

/* ---- life ---------------------------------------------------------------------------------- */

int pyi_session_new(struct pyi_session **out, struct pyi_error *err)
{
    struct pyi_session *session = calloc(1, sizeof(*session));
    if (!session || !pyi_stacks_init(&session->stacks)) {
        free(session);
        return pyi_error_nomem(err);
    }
    for (size_t i = 0; i < PYI_SESSION_NUMBERS; i++)
        session->numbers[i] = pyi_number_integer(0);
    session->numbers[PYI_SESSION_MIN_INTERVAL] = pyi_number_double(0.001);
    session->numbers[PYI_SESSION_MAX_INTERVAL] = pyi_number_double(0.001);
    *out = session;
    return 0;
}

void pyi_session_free(struct pyi_session *session)
{
    if (!session)
        return;
    pyi_strbuf_deinit(&session->target_description);
    for (size_t i = 0; i < PYI_SESSION_LISTS; i++)
        free(session->lists[i].items);
    pyi_arena_free(&session->texts);
    pyi_stacks_deinit(&session->stacks);
    pyi_records_deinit(&session->records);
    pyi_arena_free(&session->attach_arena);
    pyi_paths_deinit(&session->paths);
    free(session);
}

/* ---- metadata ------------------------------------------------------------------------------ */

struct pyi_number pyi_session_number(const struct pyi_session *session,
                                     enum pyi_session_number which)
{
    return session->numbers[which];
}

void pyi_session_set_number(struct pyi_session *session, enum pyi_session_number which,
                            struct pyi_number value)
{
    session->numbers[which] = value;
}

struct pyi_text pyi_session_target_description(const struct pyi_session *session)
{
    return pyi_strbuf_get(&session->target_description);
}

int pyi_session_set_target_description(struct pyi_session *session, struct pyi_text text,
                                       struct pyi_error *err)
{
    struct pyi_strbuf copy = {0};
    pyi_strbuf_text(&copy, text);
    if (copy.failed) {
        pyi_strbuf_deinit(&copy);
        return pyi_error_nomem(err);
    }
    pyi_strbuf_deinit(&session->target_description);
    session->target_description = copy;
    return 0;
}

size_t pyi_session_list_length(const struct pyi_session *session, enum pyi_session_list which)
{
    return session->lists[which].count;
}

struct pyi_text pyi_session_list_item(const struct pyi_session *session,
                                      enum pyi_session_list which, size_t index)
{
    const struct pyi_text_list *list = &session->lists[which];
    return index < list->count ? list->items[index] : pyi_text("");
}

int pyi_session_list_append(struct pyi_session *session, enum pyi_session_list which,
                            struct pyi_text item, struct pyi_error *err)
{
    struct pyi_text_list *list = &session->lists[which];
    if (!pyi_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof(*list->items)))
        return pyi_error_nomem(err);
    const char *copy = pyi_arena_copy(&session->texts, item.data, item.length);
    if (!copy)
        return pyi_error_nomem(err);
    list->items[list->count++] = (struct pyi_text){copy, item.length};
    if (which == PYI_SESSION_SYS_PATH && session->paths.ready)
        pyi_paths_deinit(&session->paths);
    return 0;
}

void pyi_session_list_clear(struct pyi_session *session, enum pyi_session_list which)
{
    session->lists[which].count = 0;
    if (which == PYI_SESSION_SYS_PATH && session->paths.ready)
        pyi_paths_deinit(&session->paths);
}

/* ---- stacks and records -------------------------------------------------------------------- */

const struct pyi_stacks *pyi_session_stacks(const struct pyi_session *session)
{
    return &session->stacks;
}

int pyi_session_intern_frame(struct pyi_session *session, struct pyi_text info, uint32_t *out,
                             struct pyi_error *err)
{
    uint32_t frame = pyi_stacks_frame(&session->stacks, info);
    if (frame == UINT32_MAX)
        return pyi_error_nomem(err);
    *out = frame;
    return 0;
}

int pyi_session_push_frame(struct pyi_session *session, uint32_t parent, uint32_t frame,
                           uint32_t *out, struct pyi_error *err)
{
    if (parent >= session->stacks.node_count || frame >= session->stacks.infos.count)
        return pyi_error_set(err, PYI_E_INVALID, "no such stack or frame");
    uint32_t node = pyi_stacks_push(&session->stacks, parent, frame);
    if (node == UINT32_MAX && session->stacks.node_count >= UINT32_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "more than 4,294,967,294 different stacks");
    if (node == UINT32_MAX)
        return pyi_error_nomem(err);
    *out = node;
    return 0;
}

int pyi_session_add_record(struct pyi_session *session, uint32_t stack, struct pyi_number seconds,
                           struct pyi_error *err)
{
    if (stack >= session->stacks.node_count)
        return pyi_error_set(err, PYI_E_INVALID, "no such stack");
    struct pyi_record record = {stack, seconds};
    return pyi_records_append(&session->records, &record) ? 0 : pyi_error_nomem(err);
}

int pyi_session_clear_records(struct pyi_session *session, struct pyi_error *err)
{
    struct pyi_stacks empty;
    if (!pyi_stacks_init(&empty))
        return pyi_error_nomem(err);
    pyi_stacks_deinit(&session->stacks);
    session->stacks = empty;
    pyi_records_deinit(&session->records);
    return 0;
}

bool pyi_session_is_cut(const struct pyi_session *session)
{
    return session->cut;
}

uint64_t pyi_session_record_count(const struct pyi_session *session)
{
    return session->records.count;
}

bool pyi_session_next_record(const struct pyi_session *session, uint64_t *cursor,
                             struct pyi_record *out)
{
    return pyi_records_next(&session->records, cursor, out);
}

uint32_t pyi_session_stack_frame(const struct pyi_session *session, uint32_t stack)
{
    return session->stacks.nodes[stack].frame;
}

uint32_t pyi_session_stack_parent(const struct pyi_session *session, uint32_t stack)
{
    return session->stacks.nodes[stack].parent;
}

uint32_t pyi_session_stack_depth(const struct pyi_session *session, uint32_t stack)
{
    return session->stacks.nodes[stack].depth;
}

struct pyi_text pyi_session_frame_info(const struct pyi_session *session, uint32_t frame)
{
    return pyi_intern_text(&session->stacks.infos, frame);
}
