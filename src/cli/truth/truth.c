/* SPDX-License-Identifier: BSD-3-Clause */
/* Compares recordings of the program of --self-check with its log and with its own rules.
 *
 * In: sessions, text. Out: numbers. Knows nothing of how they were made, and judges nothing. */
#include "src/cli/truth/truth.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define STEM   40 /* as in the program */
#define LEVELS 11

/* ---- what the program says ------------------------------------------------------------------ */

bool pyi_truth_is_hello(struct pyi_text line, struct pyi_truth_hello *out)
{
    char text[64];
    if (line.length >= sizeof(text))
        return false;
    memcpy(text, line.data, line.length);
    text[line.length] = '\0';
    *out = (struct pyi_truth_hello){0};
    return sscanf(text, "ready %u %u %u %15s", &out->major, &out->minor, &out->micro, out->build) ==
           4;
}

static struct pyi_truth_phase *phase_named(struct pyi_truth_shares *shares, struct pyi_text name,
                                           bool add)
{
    for (size_t i = 0; i < shares->count; i++)
        if (pyi_text_equal(pyi_text(shares->phases[i].name), name))
            return &shares->phases[i];
    if (!add || shares->count == PYI_TRUTH_PHASES || !name.length ||
        name.length >= sizeof(shares->phases[0].name))
        return NULL;
    struct pyi_truth_phase *phase = &shares->phases[shares->count++];
    memcpy(phase->name, name.data, name.length);
    return phase;
}

/* A stretch of time, in seconds since the start of the recording. */
struct span {
    double begin, end;
};

struct window {
    double duration, interval;
    struct span *gaps; /* nobody looked, in order */
    size_t gap_count, gap_capacity;
    size_t gap; /* the first that is not over when the log's current line begins */
};

/* How many points of the grid lie in [begin, end). */
static double points_of(const struct window *window, struct span span)
{
    double most = floor(window->duration / window->interval) + 1;
    double first = fmin(fmax(ceil(span.begin / window->interval), 0), most);
    double last = fmin(fmax(ceil(span.end / window->interval), 0), most);
    return last > first ? last - first : 0;
}

static double inside_of(const struct window *window, struct span span)
{
    return fmax(fmin(span.end, window->duration) - fmax(span.begin, 0), 0);
}

static void add_span(struct window *window, struct pyi_truth_phase *phase, struct span span)
{
    phase->logged += inside_of(window, span);
    phase->perfect += points_of(window, span) * window->interval;
    while (window->gap < window->gap_count && window->gaps[window->gap].end <= span.begin)
        window->gap++;
    for (size_t i = window->gap; i < window->gap_count && window->gaps[i].begin < span.end; i++) {
        const struct span both = {fmax(span.begin, window->gaps[i].begin),
                                  fmin(span.end, window->gaps[i].end)};
        if (both.begin >= both.end)
            continue;
        phase->logged -= inside_of(window, both);
        phase->perfect -= points_of(window, both) * window->interval;
    }
}

static int read_log(struct pyi_truth_shares *shares, struct pyi_text log, double start,
                    struct window *window, struct pyi_error *err)
{
    for (size_t line_number = 1; log.length; line_number++) {
        const char *newline = memchr(log.data, '\n', log.length);
        size_t length = newline ? (size_t)(newline - log.data) : log.length;
        char line[128], name[32];
        struct span span;
        snprintf(line, sizeof(line), "%.*s", (int)(length < sizeof(line) ? length : 0), log.data);
        struct pyi_truth_phase *phase = NULL;
        if (sscanf(line, "%31s %lf %lf", name, &span.begin, &span.end) == 3 &&
            span.begin <= span.end)
            phase = phase_named(shares, pyi_text(name), true);
        if (!phase)
            return pyi_error_set(err, PYI_E_FORMAT, "line %zu of the program's log is wrong",
                                 line_number);
        span.begin -= start;
        span.end -= start;
        add_span(window, phase, span);
        log.data += length + (newline != NULL);
        log.length -= length + (newline != NULL);
    }
    if (!shares->count)
        return pyi_error_set(err, PYI_E_FORMAT, "the program's log is empty");
    return 0;
}

/* ---- shares of time ------------------------------------------------------------------------- */

static struct pyi_text function_of(const struct pyi_session *session, uint32_t stack)
{
    struct pyi_text info = pyi_session_frame_info(session, pyi_session_stack_frame(session, stack));
    struct pyi_text name = {info.data, 0};
    (void)pyi_text_part(info, '\0', 0, &name);
    return name;
}

static double number(const struct pyi_session *session, enum pyi_session_number which)
{
    struct pyi_number value = pyi_session_number(session, which);
    return value.is_integer ? (double)value.integer : value.value;
}

static double seconds_of(const struct pyi_record *record)
{
    return record->seconds.is_integer ? (double)record->seconds.integer : record->seconds.value;
}

static int find_gaps(const struct pyi_session *session, struct window *window,
                     struct pyi_error *err)
{
    struct pyi_record record;
    double at = 0;
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        double seconds = seconds_of(&record);
        if (record.stack != PYI_STACK_ROOT &&
            pyi_text_equal(function_of(session, record.stack), pyi_text("[unobserved]"))) {
            if (!pyi_array_reserve(&window->gaps, &window->gap_capacity, window->gap_count + 1,
                                   sizeof(*window->gaps)))
                return pyi_error_nomem(err);
            window->gaps[window->gap_count++] = (struct span){at, at + seconds};
        }
        at += seconds;
    }
    return 0;
}

/* Outermost: "sleep" is also the name of the C function that the phase calls. */
static struct pyi_truth_phase *phase_of(struct pyi_truth_shares *shares,
                                        const struct pyi_session *session, uint32_t stack)
{
    struct pyi_truth_phase *found = NULL;
    for (; stack != PYI_STACK_ROOT; stack = pyi_session_stack_parent(session, stack)) {
        struct pyi_truth_phase *phase = phase_named(shares, function_of(session, stack), false);
        if (phase)
            found = phase;
    }
    return found;
}

static void add_records(struct pyi_truth_shares *shares, const struct pyi_session *session)
{
    struct pyi_record record;
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        if (record.stack != PYI_STACK_ROOT &&
            pyi_text_equal(function_of(session, record.stack), pyi_text("[unobserved]"))) {
            shares->unobserved += seconds_of(&record);
            continue;
        }
        struct pyi_truth_phase *phase = phase_of(shares, session, record.stack);
        shares->seconds += seconds_of(&record);
        if (phase)
            phase->recorded += seconds_of(&record);
    }
}

int pyi_truth_compare(const struct pyi_session *session, struct pyi_text log,
                      struct pyi_truth_shares *out, struct pyi_error *err)
{
    struct pyi_truth_shares shares = {0};
    struct window window = {.duration = number(session, PYI_SESSION_DURATION),
                            .interval = number(session, PYI_SESSION_MIN_INTERVAL)};
    if (!(window.duration > 0) || !(window.interval > 0))
        return pyi_error_set(err, PYI_E_FORMAT, "the recording has no duration");
    int code = find_gaps(session, &window, err);
    if (!code)
        code = read_log(&shares, log, number(session, PYI_SESSION_START_TIME), &window, err);
    free(window.gaps);
    if (code)
        return code;
    add_records(&shares, session);
    if (!(shares.seconds > 0))
        return pyi_error_set(err, PYI_E_FORMAT, "nothing was observed");
    for (size_t i = 0; i < shares.count; i++) {
        struct pyi_truth_phase *phase = &shares.phases[i];
        double logged = phase->logged / shares.seconds;
        double error = fabs(phase->recorded / shares.seconds - logged);
        shares.mean += error / (double)shares.count;
        shares.perfect_mean +=
            fabs(phase->perfect / shares.seconds - logged) / (double)shares.count;
        shares.worst = fmax(shares.worst, error);
        if (strcmp(phase->name, "sleep") == 0)
            shares.asleep = logged;
    }
    *out = shares;
    return 0;
}

/* ---- possible calls ------------------------------------------------------------------------- */

/* A function of the tree: `level` -1 and its number for the forty below it. */
struct place {
    int level, index;
};

static bool place_of(struct pyi_text name, struct place *out)
{
    char text[32];
    if (name.length >= sizeof(text))
        return false;
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    out->level = -1;
    if (sscanf(text, "stem_%d", &out->index) == 1)
        return true;
    return sscanf(text, "node_%d_%d", &out->level, &out->index) == 2;
}

/* Whether the program has this call; every function has one caller. */
static bool possible(const struct place *caller, const struct place *callee)
{
    if (callee->level < 0)
        return callee->index == 0
                   ? !caller
                   : caller && caller->level < 0 && caller->index == callee->index - 1;
    if (callee->level == 0)
        return caller && caller->level < 0 && caller->index == STEM - 1;
    return caller && caller->level == callee->level - 1 && caller->index == callee->index / 2;
}

/* Looks at the stack from its top; true when it shows an impossible call. */
static bool is_impossible(const struct pyi_session *session, uint32_t stack, bool *inside,
                          char *words, size_t size)
{
    for (uint32_t at = stack; at != PYI_STACK_ROOT;) {
        uint32_t below = pyi_session_stack_parent(session, at);
        struct place callee, caller;
        if (place_of(function_of(session, at), &callee)) {
            bool known = below != PYI_STACK_ROOT && place_of(function_of(session, below), &caller);
            *inside = true;
            if (!possible(known ? &caller : NULL, &callee)) {
                struct pyi_text from = below ? function_of(session, below) : pyi_text("the bottom");
                struct pyi_text to = function_of(session, at);
                snprintf(words, size, "%.*s called %.*s", (int)from.length, from.data,
                         (int)to.length, to.data);
                return true;
            }
        }
        at = below;
    }
    return false;
}

void pyi_truth_count(const struct pyi_session *session, struct pyi_truth_stacks *out)
{
    struct pyi_record record;
    const double interval = number(session, PYI_SESSION_MIN_INTERVAL);
    *out = (struct pyi_truth_stacks){0};
    for (uint64_t cursor = 0; pyi_session_next_record(session, &cursor, &record);) {
        bool inside = false;
        char words[sizeof(out->first)];
        /* Samples that were equal are one record. */
        double count = interval > 0 ? fmax(1, round(seconds_of(&record) / interval)) : 1;
        out->samples += (uint64_t)fmin(count, 1e12);
        uint32_t depth = record.stack ? pyi_session_stack_depth(session, record.stack) : 0;
        if (depth > out->deepest)
            out->deepest = depth;
        if (is_impossible(session, record.stack, &inside, words, sizeof(words))) {
            if (!out->impossible)
                memcpy(out->first, words, sizeof(words));
            out->impossible++;
        }
        if (inside)
            out->inside += (uint64_t)fmin(count, 1e12);
    }
}
