/* SPDX-License-Identifier: BSD-3-Clause */
/* summary.c - the default report of a session, without its timeline.
 *
 * In: a session. Out: another one with one record per stack, from which the text renderer makes the
 * rows that show where scripts are blocked; and what the page needs to begin its tree where the
 * text report begins. It holds what differs between stacks, not between moments: sessions of
 * millions of records become trees of thousands of frames. */
#include "src/render/html/summary.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include <pyinstrument/renderer.h>
#include <stdlib.h>

enum { ROWS = 40, LINE_BYTES = 400, SHARES = 2000 };

/* ---- which threads ---- */

static int compare_spans(const void *a, const void *b)
{
    const struct pyi_html_span *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->thread > y->thread) - (x->thread < y->thread);
}

/* The first thread listed of a process is its main thread, which is always shown. */
static int find_spans(struct pyi_html_summary *summary, struct pyi_error *err)
{
    const struct pyi_attach *attach = pyi_session_attach(summary->session);
    PYI_CLEANUP(pyi_map_deinit) struct pyi_map seen = {0};
    size_t count = attach ? attach->thread_count : 0;
    if (!count)
        return 0;
    summary->spans = calloc(count, sizeof(*summary->spans));
    if (!summary->spans)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        struct pyi_html_span span = {thread->first, thread->first + thread->records, (uint32_t)i,
                                     thread->idle};
        uint64_t known;
        if (!pyi_map_get(&seen, thread->process, &known)) {
            span.idle = false;
            if (!pyi_map_put(&seen, thread->process, i))
                return pyi_error_nomem(err);
        }
        summary->idle_count += span.idle;
        if (span.end > span.first)
            summary->spans[summary->span_count++] = span;
    }
    qsort(summary->spans, summary->span_count, sizeof(*summary->spans), compare_spans);
    return 0;
}

const struct pyi_html_span *pyi_html_span_of(const struct pyi_html_summary *summary, size_t *cursor,
                                             uint64_t record)
{
    while (*cursor < summary->span_count && summary->spans[*cursor].end <= record)
        ++*cursor;
    if (*cursor == summary->span_count || summary->spans[*cursor].first > record)
        return NULL;
    return &summary->spans[*cursor];
}

/* ---- time per stack ---- */

struct sum {
    double seconds;
    bool seen;
};

/* From the session's numbers to those of the sums. */
struct adder {
    const struct pyi_session *from;
    struct pyi_session *to; /* holds stacks, no records yet */
    uint32_t *frames;       /* frame number -> number + 1 */
    size_t frame_capacity, frame_count;
    uint32_t *stacks; /* trie node -> trie node, 0 unknown */
    size_t stack_capacity, stack_count;
    struct sum *sums; /* by trie node of `to` */
    size_t sum_capacity, sum_count;
    uint32_t top; /* largest trie node of `to` that a record has; all up to it exist */
    uint32_t *path;
    size_t path_capacity;
    struct pyi_strbuf text;
};

static void adder_deinit(struct adder *adder)
{
    pyi_session_free(adder->to);
    free(adder->frames);
    free(adder->stacks);
    free(adder->sums);
    free(adder->path);
    pyi_strbuf_deinit(&adder->text);
}

/* Makes an array reach `number`; new elements are zero. */
static bool reach(void *array, size_t *capacity, size_t *count, size_t number, size_t size)
{
    char *bytes;
    if (number < *count)
        return true;
    if (!pyi_array_reserve(array, capacity, number + 1, size))
        return false;
    memcpy(&bytes, array, sizeof(bytes));
    memset(bytes + *count * size, 0, (*capacity - *count) * size);
    *count = *capacity;
    return true;
}

/* A frame info string without the line that was executing and without empty attributes. */
static void without_line(struct pyi_text info, struct pyi_strbuf *out)
{
    struct pyi_text part;
    pyi_strbuf_reset(out);
    const char *mark = memchr(info.data, '\1', info.length), *end = info.data + info.length;
    pyi_strbuf_append(out, info.data, mark ? (size_t)(mark - info.data) : info.length);
    while (mark) {
        const char *next = memchr(mark + 1, '\1', (size_t)(end - mark) - 1);
        part = (struct pyi_text){mark, (size_t)((next ? next : end) - mark)};
        if (part.length > 1 && part.data[1] != 'l')
            pyi_strbuf_text(out, part);
        mark = next;
    }
}

static int add_frame(struct adder *adder, uint32_t number, uint32_t *out, struct pyi_error *err)
{
    if (!reach(&adder->frames, &adder->frame_capacity, &adder->frame_count, number,
               sizeof(*adder->frames)))
        return pyi_error_nomem(err);
    if (!adder->frames[number]) {
        uint32_t frame = 0;
        without_line(pyi_session_frame_info(adder->from, number), &adder->text);
        if (adder->text.failed)
            return pyi_error_nomem(err);
        int code = pyi_session_intern_frame(adder->to, pyi_strbuf_get(&adder->text), &frame, err);
        if (code)
            return code;
        adder->frames[number] = frame + 1;
    }
    *out = adder->frames[number] - 1;
    return 0;
}

static int add_stack(struct adder *adder, uint32_t stack, uint32_t *out, struct pyi_error *err)
{
    size_t depth = 0;
    if (!reach(&adder->stacks, &adder->stack_capacity, &adder->stack_count, stack,
               sizeof(*adder->stacks)))
        return pyi_error_nomem(err);
    for (; stack && !adder->stacks[stack]; stack = pyi_session_stack_parent(adder->from, stack)) {
        if (!pyi_array_reserve(&adder->path, &adder->path_capacity, depth + 1,
                               sizeof(*adder->path)))
            return pyi_error_nomem(err);
        adder->path[depth++] = stack;
    }
    uint32_t result = stack ? adder->stacks[stack] : PYI_STACK_ROOT;
    while (depth) {
        uint32_t frame = 0;
        stack = adder->path[--depth];
        int code = add_frame(adder, pyi_session_stack_frame(adder->from, stack), &frame, err);
        if (!code)
            code = pyi_session_push_frame(adder->to, result, frame, &result, err);
        if (code)
            return code;
        adder->stacks[stack] = result;
    }
    *out = result;
    return 0;
}

static int add_records(struct adder *adder, struct pyi_html_summary *summary, struct pyi_error *err)
{
    struct pyi_record record;
    size_t span = 0;
    uint64_t cursor = 0;
    for (uint64_t i = 0; pyi_session_next_record(adder->from, &cursor, &record); i++) {
        const struct pyi_html_span *owner = pyi_html_span_of(summary, &span, i);
        uint32_t stack = PYI_STACK_ROOT;
        if (owner && owner->idle)
            continue;
        int code = add_stack(adder, record.stack, &stack, err);
        if (code)
            return code;
        if (!reach(&adder->sums, &adder->sum_capacity, &adder->sum_count, stack,
                   sizeof(*adder->sums)))
            return pyi_error_nomem(err);
        adder->sums[stack].seconds += record.seconds.value;
        adder->sums[stack].seen = true;
        if (stack > adder->top)
            adder->top = stack;
        summary->total += record.seconds.value;
    }
    return 0;
}

/* ---- where the tree begins ---- */

static struct pyi_text identifier_of(const struct pyi_session *session, uint32_t stack)
{
    uint32_t frame = pyi_session_stack_frame(session, stack);
    struct pyi_text identifier = pyi_session_frame_info(session, frame);
    (void)pyi_text_part(identifier, '\1', 0, &identifier);
    return identifier;
}

/* The tree builder goes down the start call stack as long as nothing else happened beside it: that
 * far all stacks agree with it. */
static int find_root(const struct adder *adder, struct pyi_html_summary *summary,
                     struct pyi_error *err)
{
    const struct pyi_session *to = adder->to;
    size_t length = pyi_session_list_length(adder->from, PYI_SESSION_START_CALL_STACK);
    PYI_CLEANUP(pyi_cleanup_free)
    uint32_t *agree = calloc((size_t)adder->top + 1, sizeof(*agree));
    if (!agree)
        return pyi_error_nomem(err);
    struct pyi_text outermost = {NULL, 0};
    uint32_t least = UINT32_MAX;
    bool single = adder->top && !adder->sums[0].seen;
    for (uint32_t stack = 1; stack <= adder->top; stack++) {
        uint32_t parent = pyi_session_stack_parent(to, stack);
        uint32_t depth = pyi_session_stack_depth(to, stack);
        /* At depth 1 as well: nothing disagrees yet. */
        struct pyi_text identifier =
            agree[parent] == depth - 1 ? identifier_of(to, stack) : pyi_text("");
        if (depth == 1 && !outermost.data)
            outermost = identifier;
        single = single && (depth > 1 || pyi_text_equal(identifier, outermost));
        agree[stack] = agree[parent];
        if (agree[parent] == depth - 1 && depth <= length) {
            struct pyi_text start =
                pyi_session_list_item(adder->from, PYI_SESSION_START_CALL_STACK, depth - 1);
            (void)pyi_text_part(start, '\1', 0, &start);
            agree[stack] += pyi_text_equal(identifier, start);
        }
        if (adder->sums[stack].seen && agree[stack] < least)
            least = agree[stack];
    }
    summary->single = single;
    summary->root_depth = single && least != UINT32_MAX ? least : 0;
    return 0;
}

/* ---- the session of sums ---- */

static int copy_facts(struct pyi_session *to, const struct pyi_session *from, struct pyi_error *err)
{
    for (int i = 0; i < PYI_SESSION_NUMBERS; i++)
        pyi_session_set_number(to, (enum pyi_session_number)i,
                               pyi_session_number(from, (enum pyi_session_number)i));
    int code = pyi_session_set_target_description(to, pyi_session_target_description(from), err);
    for (int list = 0; list < PYI_SESSION_LISTS; list++) {
        size_t length = pyi_session_list_length(from, (enum pyi_session_list)list);
        for (size_t i = 0; i < length && !code; i++) {
            struct pyi_text item = pyi_session_list_item(from, (enum pyi_session_list)list, i);
            code = pyi_session_list_append(to, (enum pyi_session_list)list, item, err);
        }
    }
    return code;
}

struct branch {
    double total; /* seconds of the stack and of all above it */
    uint32_t first, next;
};

static int put_sum(const struct adder *adder, uint32_t stack, double seconds, struct pyi_error *err)
{
    struct pyi_number number = {.value = seconds};
    return pyi_session_add_record(adder->to, stack, number, err);
}

/* Records in depth-first order, so that no frame begins twice. What a stack with next to no time
 * calls is not told apart: a row of the report stands for twenty times as much, and a session
 * may have more such stacks than there is memory for a tree of them. */
static int put_sums(const struct adder *adder, double least, struct pyi_error *err)
{
    struct pyi_session *to = adder->to;
    PYI_CLEANUP(pyi_cleanup_free)
    struct branch *branches = calloc((size_t)adder->top + 1, sizeof(*branches));
    if (!branches)
        return pyi_error_nomem(err);
    for (uint32_t stack = adder->top; stack > 0; stack--) {
        uint32_t parent = pyi_session_stack_parent(to, stack);
        branches[stack].total += adder->sums[stack].seconds;
        branches[parent].total += branches[stack].total;
        branches[stack].next = branches[parent].first;
        branches[parent].first = stack;
    }
    for (uint32_t stack = 0;;) {
        const struct sum *sum = &adder->sums[stack];
        bool whole = stack && branches[stack].total < least;
        double seconds = whole ? branches[stack].total : sum->seconds;
        int code = whole || sum->seen ? put_sum(adder, stack, seconds, err) : 0;
        if (code)
            return code;
        uint32_t next = whole ? 0 : branches[stack].first;
        while (!next && stack) {
            next = branches[stack].next;
            stack = pyi_session_stack_parent(to, stack);
        }
        if (!next)
            return 0;
        stack = next;
    }
}

static int add_up(struct pyi_html_summary *summary, struct pyi_error *err)
{
    PYI_CLEANUP(adder_deinit) struct adder adder = {.from = summary->session};
    int code = pyi_session_new(&adder.to, err);
    if (!code)
        code = copy_facts(adder.to, adder.from, err);
    if (!code)
        code = add_records(&adder, summary, err);
    if (code)
        return code;
    if (adder.sum_count)
        code = find_root(&adder, summary, err);
    if (!code && adder.sum_count)
        code = put_sums(&adder, summary->total / SHARES, err);
    if (code)
        return code;
    summary->added_up = adder.to;
    adder.to = NULL;
    return 0;
}

int pyi_html_summary_init(struct pyi_html_summary *summary, const struct pyi_session *session,
                          struct pyi_error *err)
{
    *summary = (struct pyi_html_summary){.session = session};
    int code = find_spans(summary, err);
    return code ? code : add_up(summary, err);
}

void pyi_html_summary_deinit(struct pyi_html_summary *summary)
{
    pyi_session_free(summary->added_up);
    free(summary->spans);
    *summary = (struct pyi_html_summary){0};
}

/* ---- text ---- */

/* Takes the lines of a report until there are enough; long ones are cut. */
struct page {
    struct pyi_strbuf *text;
    size_t lines, column; /* lines left; bytes of the current one */
    bool cut, full;
};

static int take_lines(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct page *page = context;
    const char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        if (page->lines == 0) {
            page->full = true;
            return pyi_error_set(err, PYI_E_LIMIT, "the summary is full");
        }
        if (at[i] == '\n') {
            page->lines--;
            page->column = 0;
            page->cut = false;
        } else if (page->cut) {
            continue;
        } else if (page->column++ >= LINE_BYTES && (at[i] & 0xc0) != 0x80) {
            /* Before a character, not inside one. */
            pyi_strbuf_string(page->text, "\xe2\x80\xa6");
            page->cut = true;
            continue;
        }
        pyi_strbuf_char(page->text, at[i]);
    }
    return page->text->failed ? pyi_error_nomem(err) : 0;
}

static size_t count_lines(struct pyi_text text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == '\n';
    return count;
}

int pyi_html_summary_text(struct pyi_html_summary *summary, struct pyi_strbuf *out,
                          struct pyi_error *err)
{
    struct pyi_render_options *options = NULL;
    struct pyi_error reason = {0};
    /* Above the tree: five lines of header, the description, an empty line. */
    size_t above = count_lines(pyi_session_target_description(summary->session)) + 6;
    struct page page = {.text = out, .lines = ROWS + above};
    struct pyi_sink sink = {take_lines, &page};
    int code = pyi_render_options_new(&options, err);
    if (!code)
        code = pyi_render_options_set(options, "unicode", "true", err);
    if (!code) {
        code = pyi_render(pyi_renderer_by_name("text"), summary->added_up, options, &sink, &reason);
        if (page.full)
            code = 0;
        else if (code && err)
            *err = reason;
    }
    pyi_render_options_free(options);
    pyi_session_free(summary->added_up);
    summary->added_up = NULL;
    if (code)
        return code;
    if (page.full)
        pyi_strbuf_format(out, "(the first %d rows)\n", ROWS);
    if (summary->idle_count)
        pyi_strbuf_format(out, "%zu idle thread%s not shown\n", summary->idle_count,
                          summary->idle_count == 1 ? "" : "s");
    return out->failed ? pyi_error_nomem(err) : 0;
}
