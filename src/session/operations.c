/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * operations.c - sessions made of sessions: combined, resampled, with other `attach` facts.
 *
 * In: sessions, unchanged. Out: a new one that shares nothing with them. The arithmetic is that
 * of upstream 5.1.2, in the same order, because the sums show in reports.
 */
#include "src/session/session.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include "src/session/attach.h"
#include <math.h>
#include <stdlib.h>

/* ---- numbers as Python adds them ------------------------------------------------------------ */

static struct pyi_number add(struct pyi_number a, struct pyi_number b)
{
    int64_t sum;
    if (a.is_integer && b.is_integer && !__builtin_add_overflow(a.integer, b.integer, &sum))
        return pyi_number_integer(sum);
    return pyi_number_double(a.value + b.value);
}

/* min(a, b) and max(a, b): the first of equals. */
static struct pyi_number smaller(struct pyi_number a, struct pyi_number b)
{
    return b.value < a.value ? b : a;
}

static struct pyi_number larger(struct pyi_number a, struct pyi_number b)
{
    return b.value > a.value ? b : a;
}

/* ---- parts --------------------------------------------------------------------------------- */

static bool contains(const struct pyi_session *session, enum pyi_session_list which,
                     struct pyi_text item)
{
    for (size_t i = 0; i < pyi_session_list_length(session, which); i++) {
        if (pyi_text_equal(pyi_session_list_item(session, which, i), item))
            return true;
    }
    return false;
}

static int copy_list(struct pyi_session *to, const struct pyi_session *from,
                     enum pyi_session_list which, bool only_new, struct pyi_error *err)
{
    int code = 0;
    for (size_t i = 0; i < pyi_session_list_length(from, which) && !code; i++) {
        struct pyi_text item = pyi_session_list_item(from, which, i);
        if (!only_new || !contains(to, which, item))
            code = pyi_session_list_append(to, which, item, err);
    }
    return code;
}

/* Numbers of the nodes and frames of one session in another. */
struct translation {
    const struct pyi_stacks *from;
    struct pyi_session *to;
    uint32_t *nodes; /* 0: not translated yet (the root is 0 in both) */
    uint32_t *path;
    size_t path_capacity;
};

static void translation_deinit(struct translation *translation)
{
    free(translation->nodes);
    free(translation->path);
}

static int translate(struct translation *translation, uint32_t node, uint32_t *out,
                     struct pyi_error *err)
{
    const struct pyi_stacks *from = translation->from;
    size_t count = 0;
    if (!pyi_array_reserve(&translation->path, &translation->path_capacity, from->nodes[node].depth,
                           sizeof(*translation->path)))
        return pyi_error_nomem(err);
    while (node && !translation->nodes[node]) {
        translation->path[count++] = node;
        node = from->nodes[node].parent;
    }
    uint32_t result = node ? translation->nodes[node] : PYI_STACK_ROOT;
    while (count) {
        uint32_t next = translation->path[--count];
        struct pyi_text info = pyi_intern_text(&from->infos, from->nodes[next].frame);
        uint32_t frame;
        int code = pyi_session_intern_frame(translation->to, info, &frame, err);
        if (!code)
            code = pyi_session_push_frame(translation->to, result, frame, &result, err);
        if (code)
            return code;
        translation->nodes[next] = result;
    }
    *out = result;
    return 0;
}

static int translation_init(struct translation *translation, const struct pyi_session *from,
                            struct pyi_session *to, struct pyi_error *err)
{
    *translation = (struct translation){.from = &from->stacks, .to = to};
    translation->nodes = calloc(from->stacks.node_count, sizeof(*translation->nodes));
    return translation->nodes ? 0 : pyi_error_nomem(err);
}

static int copy_records(struct pyi_session *to, const struct pyi_session *from,
                        struct pyi_error *err)
{
    PYI_CLEANUP(translation_deinit) struct translation translation;
    int code = translation_init(&translation, from, to, err);
    struct pyi_record record;
    uint64_t cursor = 0;
    while (!code && pyi_session_next_record(from, &cursor, &record)) {
        uint32_t stack = PYI_STACK_ROOT;
        code = translate(&translation, record.stack, &stack, err);
        if (!code)
            code = pyi_session_add_record(to, stack, record.seconds, err);
    }
    return code;
}

static int copy_metadata(struct pyi_session *to, const struct pyi_session *from,
                         struct pyi_error *err)
{
    for (int i = 0; i < PYI_SESSION_NUMBERS; i++)
        to->numbers[i] = from->numbers[i];
    int code = pyi_session_set_target_description(to, pyi_session_target_description(from), err);
    if (!code)
        code = copy_list(to, from, PYI_SESSION_START_CALL_STACK, false, err);
    if (!code)
        code = copy_list(to, from, PYI_SESSION_SYS_PATH, false, err);
    return code;
}

/* ---- attach -------------------------------------------------------------------------------- */

const struct pyi_attach *pyi_session_attach(const struct pyi_session *session)
{
    return session->attach;
}

int pyi_session_set_attach(struct pyi_session *session, const struct pyi_attach *attach,
                           struct pyi_error *err)
{
    struct pyi_arena arena = {0};
    struct pyi_attach *copy = NULL;
    if (attach) {
        copy = pyi_attach_copy(&arena, attach);
        if (!copy) {
            pyi_arena_free(&arena);
            return pyi_error_nomem(err);
        }
    }
    /* `attach` may be the session's own. */
    pyi_arena_free(&session->attach_arena);
    session->attach_arena = arena;
    session->attach = copy;
    return 0;
}

static int join_attach(struct pyi_session *to, const struct pyi_session *a,
                       const struct pyi_session *b, struct pyi_error *err)
{
    int code = pyi_session_set_attach(to, a->attach, err);
    if (code || !b->attach)
        return code;
    if (!to->attach) {
        static const struct pyi_attach empty = {.tool = {"", 0}, .mode = {"", 0}};
        struct pyi_attach named = empty;
        named.tool = b->attach->tool;
        named.mode = b->attach->mode;
        code = pyi_session_set_attach(to, &named, err);
        if (code)
            return code;
    }
    double later =
        b->numbers[PYI_SESSION_START_TIME].value - a->numbers[PYI_SESSION_START_TIME].value;
    bool joined = pyi_attach_join(&to->attach_arena, to->attach, b->attach,
                                  pyi_session_record_count(a), later);
    return joined ? 0 : pyi_error_nomem(err);
}

/* ---- combine ------------------------------------------------------------------------------- */

static int combine_into(struct pyi_session *to, const struct pyi_session *a,
                        const struct pyi_session *b, struct pyi_error *err)
{
    static const enum pyi_session_number sums[] = {PYI_SESSION_DURATION, PYI_SESSION_SAMPLE_COUNT,
                                                   PYI_SESSION_CPU_TIME};
    int code = copy_metadata(to, a, err);
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
        to->numbers[sums[i]] = add(a->numbers[sums[i]], b->numbers[sums[i]]);
    to->numbers[PYI_SESSION_MIN_INTERVAL] =
        smaller(a->numbers[PYI_SESSION_MIN_INTERVAL], b->numbers[PYI_SESSION_MIN_INTERVAL]);
    to->numbers[PYI_SESSION_MAX_INTERVAL] =
        larger(a->numbers[PYI_SESSION_MAX_INTERVAL], b->numbers[PYI_SESSION_MAX_INTERVAL]);
    if (!code)
        code = copy_list(to, b, PYI_SESSION_SYS_PATH, true, err);
    if (!code)
        code = copy_list(to, a, PYI_SESSION_SYS_PREFIXES, true, err);
    if (!code)
        code = copy_list(to, b, PYI_SESSION_SYS_PREFIXES, true, err);
    if (!code)
        code = copy_records(to, a, err);
    if (!code)
        code = copy_records(to, b, err);
    if (!code)
        code = join_attach(to, a, b, err);
    return code;
}

int pyi_session_combine(const struct pyi_session *a, const struct pyi_session *b,
                        struct pyi_session **out, struct pyi_error *err)
{
    bool swap = a->numbers[PYI_SESSION_START_TIME].value > b->numbers[PYI_SESSION_START_TIME].value;
    struct pyi_session *session;
    int code = pyi_session_new(&session, err);
    if (code)
        return code;
    code = combine_into(session, swap ? b : a, swap ? a : b, err);
    if (code)
        pyi_session_free(session);
    else
        *out = session;
    return code;
}

/* ---- resample ------------------------------------------------------------------------------ */

/* x % y of Python for y > 0: the result has the sign of y. */
static double modulo(double x, double y)
{
    double rest = fmod(x, y);
    return rest < 0 ? rest + y : rest;
}

static int resample_records(struct pyi_session *to, const struct pyi_session *from, double interval,
                            struct pyi_error *err)
{
    PYI_CLEANUP(translation_deinit) struct translation translation;
    int code = translation_init(&translation, from, to, err);
    double sum = 0;
    struct pyi_record record;
    uint64_t cursor = 0;
    while (!code && pyi_session_next_record(from, &cursor, &record)) {
        sum += record.seconds.value;
        if (!(sum >= interval))
            continue;
        uint32_t stack = PYI_STACK_ROOT;
        code = translate(&translation, record.stack, &stack, err);
        if (!code)
            code = pyi_session_add_record(to, stack, pyi_number_double(sum), err);
        sum = modulo(sum, interval);
    }
    return code;
}

int pyi_session_resample(const struct pyi_session *session, double interval,
                         struct pyi_session **out, struct pyi_error *err)
{
    if (!(interval > 0))
        return pyi_error_set(err, PYI_E_INVALID, "the interval must be more than 0 seconds");
    struct pyi_session *result;
    int code = pyi_session_new(&result, err);
    if (code)
        return code;
    code = copy_metadata(result, session, err);
    if (!code)
        code = copy_list(result, session, PYI_SESSION_SYS_PREFIXES, false, err);
    if (!code)
        code = resample_records(result, session, interval, err);
    if (code) {
        pyi_session_free(result);
        return code;
    }
    /* `attach` counts records, which are others now: it is left out. */
    result->numbers[PYI_SESSION_MIN_INTERVAL] = pyi_number_double(interval);
    result->numbers[PYI_SESSION_MAX_INTERVAL] = pyi_number_double(interval);
    result->numbers[PYI_SESSION_SAMPLE_COUNT] =
        pyi_number_integer((int64_t)pyi_session_record_count(result));
    *out = result;
    return 0;
}
