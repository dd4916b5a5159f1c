/* SPDX-License-Identifier: BSD-3-Clause */
/* text.c - the report for terminals: header, tree with folded groups, or flat table.
 *
 * In: a session and options. Out: upstream's bytes, with two exceptions that ordinary reports do
 * not show: control characters in names of the target are made visible, and idle threads of our
 * own recordings are left out and counted. `header=compact` and `colors=terminal` choose looks of
 * ours, which are the only ones to mark waiting, to shorten paths and to narrow deep indents.
 * Indented text of a deep tree is quadratic: it is streamed, only one indent is held. */
#include "src/render/text.h"
#include "src/render/rows.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/number.h"
#include "src/base/output.h"
#include "src/render/diff/diff.h"
#include "src/render/options.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* What is known of a group once somebody asked. */
struct group_facts {
    bool known, ignored;
    size_t hidden;
};

struct report {
    struct pyi_output output;
    const struct pyi_session *session;
    struct pyi_tree *tree;
    double total; /* the root's time */
    int decimals;
    bool unicode, color, percent, flat, flat_self, brief, show_all;
    bool compact; /* our header, and what goes with it */
    bool themed;  /* the terminal's own 16 colours instead of upstream's */
    bool waiting; /* frames that wait are marked */
    double states[4];
    size_t width;               /* columns lines should fit, 0 any */
    const char *host;           /* file names become links of this host, NULL no links */
    struct group_facts *groups; /* by group index */
    size_t group_capacity;
    bool failed;
};

static void report_deinit(struct report *report)
{
    pyi_tree_free(report->tree);
    free(report->groups);
}

/* ---- names and colours ---- */

static void put_name(struct report *report, struct pyi_text text)
{
    pyi_text_put_name(&report->output, text, false, report->compact);
}

static void put_color(struct report *report, const char *codes)
{
    if (report->color)
        pyi_output_string(&report->output, codes);
}

static const char *time_color(const struct report *report, double proportion)
{
    if (proportion > 0.6)
        return report->themed ? "\033[1;31m" : "\033[31m";
    if (proportion > 0.2)
        return "\033[33m";
    if (proportion > 0.05)
        return "\033[32m";
    return report->themed ? "\033[2m" : "\033[92m\033[2m";
}

static const char *name_color(const struct report *report, const struct pyi_frame *frame,
                              bool waits)
{
    if (!report->themed)
        return pyi_frame_is_application_code(frame) ? "\033[48;5;24m\033[38;5;15m" : "";
    if (waits)
        return "\033[36m";
    if (pyi_frame_is_synthetic_leaf(frame))
        return "\033[2m";
    return pyi_frame_is_application_code(frame) ? "\033[1m" : "";
}

/* ---- frame lines ---- */

/* Returns its columns. */
static size_t put_value(struct report *report, double time)
{
    char digits[340];
    put_color(report, time_color(report, report->total == 0 ? 1 : time / report->total));
    if (report->percent) {
        pyi_number_fixed(report->total == 0 ? 100 : time / report->total * 100, 1, digits);
        strcat(digits, "%");
    } else {
        pyi_number_fixed(time, report->decimals, digits);
    }
    pyi_output_string(&report->output, digits);
    put_color(report, "\033[0m");
    pyi_output_char(&report->output, ' ');
    return strlen(digits) + 1;
}

/* Begins a link to the frame's file. False: it has none that could be opened. */
static bool begin_link(struct report *report, const struct pyi_frame *frame, const char *line)
{
    struct pyi_text path = pyi_frame_file_path(frame);
    if (!report->host || !path.length || path.data[0] != '/')
        return false;
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf address = {0};
    pyi_strbuf_address_path(&address, path);
    pyi_output_format(&report->output, "\033]8;;file://%s%s%s%s\033\\", report->host,
                      pyi_strbuf_get(&address).data, *line ? "#" : "", *line ? line + 1 : "");
    report->failed = report->failed || address.failed;
    return true;
}

enum { LEAST_PATH = 12 }; /* columns of a path that are kept however narrow the terminal is */

/* `used`: columns of the line before it. */
static void put_position(struct report *report, const struct pyi_frame *frame, size_t used)
{
    struct pyi_text path = pyi_frame_short_path(frame);
    int64_t number;
    char line[24] = "";
    if (!path.length)
        return;
    if (!pyi_frame_is_synthetic(frame) && pyi_frame_line(frame, &number) && number)
        snprintf(line, sizeof(line), ":%lld", (long long)number);
    put_color(report, "\033[2m");
    bool link = begin_link(report, frame, line);
    size_t room = report->width > used + strlen(line) ? report->width - used - strlen(line) : 0;
    room = room < LEAST_PATH ? LEAST_PATH : room;
    if (report->width && pyi_text_columns(path) > room) {
        pyi_output_string(&report->output, report->unicode ? "\u2026" : "...");
        path = pyi_text_tail(path, room - (report->unicode ? 1 : 3));
    }
    put_name(report, path);
    pyi_output_string(&report->output, line);
    if (link)
        pyi_output_string(&report->output, "\033]8;;\033\\");
    put_color(report, "\033[0m");
}

/* `used`: columns of the indent. */
static void put_frame(struct report *report, const struct pyi_frame *frame, double time,
                      size_t used)
{
    struct pyi_output *output = &report->output;
    struct pyi_text class_name = pyi_frame_class_name(frame), function = pyi_frame_function(frame);
    const bool waits = report->waiting && pyi_frame_is_waiting(frame);
    const char *suffix = waits ? " (waiting)" : "";
    used += put_value(report, time);
    put_color(report, name_color(report, frame, waits));
    if (class_name.length) {
        put_name(report, class_name);
        pyi_output_char(output, '.');
    }
    put_name(report, function);
    pyi_output_string(output, suffix);
    put_color(report, "\033[0m");
    pyi_output_string(output, "  ");
    if (report->width)
        used += pyi_text_columns(class_name) + (class_name.length > 0) +
                pyi_text_columns(function) + strlen(suffix) + 2;
    put_position(report, frame, used);
    pyi_output_char(output, '\n');
}

/* ---- groups ---- */

static bool is_significant(const struct report *report, const struct pyi_frame_group *group,
                           const struct pyi_frame *frame)
{
    return frame == pyi_group_root(group) || pyi_frame_self_time(frame) > 0.2 * report->total ||
           pyi_group_is_exit(group, frame);
}

/* Borrowed until the next call. */
static struct group_facts facts_of(struct report *report, const struct pyi_frame_group *group)
{
    struct group_facts facts = {.known = true};
    uint32_t index = pyi_group_index(group);
    size_t old = report->group_capacity;
    if (index < old && report->groups[index].known)
        return report->groups[index];
    const struct pyi_frame *member;
    for (size_t i = 0; (member = pyi_group_member(group, i)); i++)
        facts.hidden += !is_significant(report, group, member);
    facts.ignored = facts.hidden < 2;
    if (!pyi_array_reserve(&report->groups, &report->group_capacity, (size_t)index + 1,
                           sizeof(*report->groups))) {
        report->failed = true;
        return facts;
    }
    for (size_t i = old; i < report->group_capacity; i++)
        report->groups[i].known = false;
    return report->groups[index] = facts;
}

static bool is_shown(struct report *report, const struct pyi_frame *frame)
{
    const struct pyi_frame_group *group = pyi_frame_group(frame);
    return !group || facts_of(report, group).ignored || is_significant(report, group, frame);
}

/* The first part of a short path, which for most code is its package. */
static struct pyi_text library_of(const struct pyi_frame *frame)
{
    struct pyi_text path = pyi_frame_short_path(frame);
    for (size_t i = 0; i < path.length; i++)
        if (path.data[i] == '/' || path.data[i] == '\\' || path.data[i] == '.')
            path.length = i;
    return path;
}

enum { LIBRARIES_WIDTH = 40 };

/* Bytes of the first `characters` code points; the whole length when there are fewer. */
static size_t prefix_bytes(struct pyi_text text, size_t characters)
{
    size_t offset = 0;
    while (characters-- && offset < text.length)
        (void)pyi_text_next(text, &offset);
    return offset;
}

/* Different libraries of the hidden members, joined until the width is exceeded: what comes
 * later is cut off anyway. */
static void collect_libraries(struct report *report, const struct pyi_frame_group *group,
                              struct pyi_strbuf *names)
{
    struct pyi_intern seen = {0};
    const struct pyi_frame *member;
    for (size_t i = 0; (member = pyi_group_member(group, i)); i++) {
        struct pyi_text library;
        if (is_significant(report, group, member) || !(library = library_of(member)).length)
            continue;
        size_t known = seen.count;
        uint32_t number = pyi_intern_add(&seen, library.data, library.length);
        names->failed = names->failed || number == UINT32_MAX;
        if (number < known)
            continue;
        if (names->length)
            pyi_strbuf_string(names, ", ");
        pyi_strbuf_text(names, library);
        struct pyi_text all = pyi_strbuf_get(names);
        if (prefix_bytes(all, LIBRARIES_WIDTH) < all.length)
            break;
    }
    pyi_intern_deinit(&seen);
}

static void put_group(struct report *report, const struct pyi_frame_group *group)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf names = {0};
    collect_libraries(report, group, &names);
    struct pyi_text text = pyi_strbuf_get(&names);
    bool cut = prefix_bytes(text, LIBRARIES_WIDTH) < text.length;
    if (cut)
        text.length = prefix_bytes(text, LIBRARIES_WIDTH - 3);
    pyi_output_string(&report->output, "   ");
    if (report->themed)
        put_color(report, "\033[2m");
    pyi_output_format(&report->output, "[%zu frames hidden]  ", facts_of(report, group).hidden);
    put_color(report, "\033[2m");
    put_name(report, text);
    if (cut)
        pyi_output_string(&report->output, "...");
    put_color(report, "\033[0m");
    pyi_output_char(&report->output, '\n');
    report->failed = report->failed || names.failed;
}

/* ---- tree ---- */

struct marks {
    const char *middle, *bar, *last, *none;
};

static const struct marks unicode_marks = {"├─ ", "│  ", "└─ ", "   "};
static const struct marks ascii_marks = {"|- ", "|  ", "`- ", "   "};
static const struct marks group_marks = {"      ", "      ", "      ", "      "};
static const struct marks hidden_marks = {"", "", "", ""};
/* Of our own look, for deep trees. */
static const struct marks narrow_unicode_marks = {"├", "│", "└", " "};
static const struct marks narrow_ascii_marks = {"|", "|", "`", " "};
enum { DEEP = 30 };

static const struct marks *marks_at(const struct report *report, size_t depth)
{
    if (report->compact && depth >= DEEP)
        return report->unicode ? &narrow_unicode_marks : &narrow_ascii_marks;
    return report->unicode ? &unicode_marks : &ascii_marks;
}

/* One frame whose children are being printed. */
struct level {
    const struct pyi_frame *next, *last_shown;
    const struct marks *marks;
    size_t indent; /* bytes of the indent that belong to it */
    bool last_passed;
};

struct walk {
    struct level *levels;
    size_t depth, capacity;
    struct pyi_strbuf indent;
};

static void walk_deinit(struct walk *walk)
{
    free(walk->levels);
    pyi_strbuf_deinit(&walk->indent);
}

/* Prints a frame, if it is shown, behind the current indent and `mark`, and makes it the
 * innermost level; its own indent is that with `bar`. */
static bool enter(struct report *report, struct walk *walk, const struct pyi_frame *frame,
                  const char *mark, const char *bar)
{
    struct pyi_output *output = &report->output;
    const struct marks *marks = &hidden_marks;
    const struct pyi_frame_group *group = pyi_frame_group(frame);
    bool shown = is_shown(report, frame);
    if (shown) {
        marks = marks_at(report, walk->depth);
        pyi_output_text(output, pyi_strbuf_get(&walk->indent));
        pyi_output_string(output, mark);
        size_t used = report->width ? pyi_text_columns(pyi_strbuf_get(&walk->indent)) +
                                          pyi_text_columns(pyi_text(mark))
                                    : 0;
        put_frame(report, frame, pyi_frame_time(frame), used);
    }
    pyi_strbuf_string(&walk->indent, bar);
    if (shown && group && frame == pyi_group_root(group) && !facts_of(report, group).ignored) {
        marks = &group_marks;
        pyi_output_text(output, pyi_strbuf_get(&walk->indent));
        put_group(report, group);
    }
    if (walk->indent.failed ||
        !pyi_array_reserve(&walk->levels, &walk->capacity, walk->depth + 1, sizeof(*walk->levels)))
        return false;
    struct level level = {
        .next = pyi_frame_first_child(frame), .marks = marks, .indent = walk->indent.length};
    for (const struct pyi_frame *child = level.next; child; child = pyi_frame_next(child))
        if (is_shown(report, child))
            level.last_shown = child;
    level.last_passed = !level.last_shown;
    walk->levels[walk->depth++] = level;
    return true;
}

static void put_tree(struct report *report, const struct pyi_frame *root)
{
    PYI_CLEANUP(walk_deinit) struct walk walk = {0};
    const char *margin = report->brief ? ".  " : "";
    bool fine = enter(report, &walk, root, margin, margin);
    while (fine && walk.depth && !report->output.code) {
        struct level *level = &walk.levels[walk.depth - 1];
        const struct pyi_frame *frame = level->next;
        if (!frame) {
            walk.depth--;
            continue;
        }
        level->next = pyi_frame_next(frame);
        level->last_passed = level->last_passed || frame == level->last_shown;
        const struct marks *marks = level->marks;
        bool last = level->last_passed;
        walk.indent.length = level->indent;
        fine = enter(report, &walk, frame, last ? marks->last : marks->middle,
                     last ? marks->none : marks->bar);
    }
    report->failed = report->failed || !fine;
}

/* ---- flat table ---- */

struct row {
    const struct pyi_frame *frame; /* last one visited: it gives class and place */
    double value;
    size_t place;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Self times are summed; of total times the last one visited stays, as upstream has it. */
static bool collect_rows(const struct report *report, const struct pyi_frame *root,
                         struct pyi_intern *identifiers, struct row **rows)
{
    size_t capacity = 0;
    for (const struct pyi_frame *f = root; f; f = pyi_frame_walk(root, f, NULL)) {
        struct pyi_text identifier = pyi_frame_identifier(f);
        size_t known = identifiers->count;
        uint32_t number = pyi_intern_add(identifiers, identifier.data, identifier.length);
        if (number == UINT32_MAX ||
            !pyi_array_reserve(rows, &capacity, (size_t)number + 1, sizeof(**rows)))
            return false;
        struct row *row = &(*rows)[number];
        if (number >= known)
            *row = (struct row){.place = number};
        row->frame = f;
        row->value = report->flat_self ? row->value + pyi_frame_self_time(f) : pyi_frame_time(f);
    }
    return true;
}

static void put_flat(struct report *report, const struct pyi_frame *root)
{
    struct pyi_intern identifiers = {0};
    struct row *rows = NULL;
    if (collect_rows(report, root, &identifiers, &rows)) {
        qsort(rows, identifiers.count, sizeof(*rows), compare_rows);
        for (size_t i = 0; i < identifiers.count; i++)
            if (report->show_all || rows[i].value / report->total > 0.001)
                put_frame(report, rows[i].frame, rows[i].value, 0);
    } else {
        report->failed = true;
    }
    pyi_intern_deinit(&identifiers);
    free(rows);
}

/* ---- whole reports ---- */

static void put_body(struct report *report)
{
    const struct pyi_frame *root = pyi_tree_root(report->tree);
    const char *margin = report->brief ? ".  " : "";
    size_t idle = pyi_tree_idle_count(report->tree);
    if (!root)
        pyi_output_format(&report->output, "%sNo samples were recorded.\n", margin);
    else if (report->flat)
        put_flat(report, root);
    else
        put_tree(report, root);
    if (idle)
        pyi_output_format(&report->output, "%s%zu idle thread%s not shown, --idle shows %s\n",
                          margin, idle, idle == 1 ? "" : "s", idle == 1 ? "it" : "them");
}

/* As many decimals as the interval has. */
static int decimals_for(const struct pyi_session *session)
{
    double interval = pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value;
    return (int)ceil(-log10(fmin(fmax(1e-9, interval), 1)));
}

static int render_text(struct pyi_session *session, const struct pyi_render_options *options,
                       const struct pyi_sink *sink, struct pyi_error *err)
{
    if (pyi_option_base(options))
        return pyi_render_diff_text(session, options, sink, err);
    PYI_CLEANUP(report_deinit)
    struct report report = {
        .session = session,
        .decimals = decimals_for(session),
        .unicode = pyi_option_true(options, "unicode"),
        .color = pyi_option_true(options, "color"),
        .percent = pyi_option_is(options, "time", "percent_of_total"),
        .flat = pyi_option_true(options, "flat"),
        .flat_self = !pyi_option_present(options, "flat_time") ||
                     pyi_option_is(options, "flat_time", "self"),
        .brief = pyi_option_true(options, "short_mode"),
        .show_all = pyi_option_true(options, "show_all"),
        .compact = pyi_option_is(options, "header", "compact"),
        .themed = pyi_option_is(options, "colors", "terminal"),
    };
    double width;
    if (pyi_option_number(options, "width", &width) && width >= 1 && width < 1e6)
        report.width = (size_t)width;
    char host[HOST_NAME_MAX + 1] = "";
    if (pyi_option_true(options, "hyperlinks") && gethostname(host, sizeof(host) - 1) == 0)
        report.host = host;
    unsigned flags = pyi_option_true(options, "idle") ? 0 : PYI_TREE_WITHOUT_IDLE;
    int code = pyi_render_tree(session, options, flags, PYI_LIST_TEXT, &report.tree, err);
    if (code)
        return code;
    report.themed =
        report.themed || (report.compact && !pyi_option_is(options, "colors", "upstream"));
    report.waiting = report.themed || report.compact;
    if (report.waiting) {
        code = pyi_tree_read_states(report.tree, report.states, err);
        if (code)
            return code;
    }
    const struct pyi_frame *root = pyi_tree_root(report.tree);
    report.total = root ? pyi_frame_time(root) : 0;
    pyi_output_init(&report.output, sink);
    if (report.brief) {
        pyi_text_brief_header(&report.output, session);
        put_body(&report);
        pyi_output_string(&report.output, ".  \n");
        pyi_text_dots(&report.output, 53);
        pyi_output_string(&report.output, "\n\n");
    } else if (report.compact) {
        pyi_text_compact_header(&report.output, session, report.states);
        put_body(&report);
    } else {
        pyi_text_header(&report.output, session);
        put_body(&report);
        pyi_output_char(&report.output, '\n');
    }
    code = pyi_output_finish(&report.output, err);
    return !code && report.failed ? pyi_error_nomem(err) : code;
}

static int check_choice(const struct pyi_render_options *options, const char *key, const char *a,
                        const char *b, struct pyi_error *err)
{
    if (!pyi_option_present(options, key) || pyi_option_is(options, key, a) ||
        pyi_option_is(options, key, b))
        return 0;
    return pyi_error_set(err, PYI_E_INVALID, "%s must be %s or %s", key, a, b);
}

static int check_text(const struct pyi_render_options *options, struct pyi_error *err)
{
    if (pyi_option_true(options, "flat") && pyi_option_true(options, "timeline"))
        return pyi_error_set(err, PYI_E_INVALID, "Cannot use timeline and flat options together.");
    int code = check_choice(options, "header", "art", "compact", err);
    return code ? code : check_choice(options, "colors", "upstream", "terminal", err);
}

const struct pyi_renderer pyi_renderer_text = {
    .name = "text",
    .class_name = "ConsoleRenderer",
    .extensions = (const char *const[]){".txt", NULL},
    .options = (const char *const[]){"show_all", "timeline", "processor_options", "unicode",
                                     "color", "flat", "time", "flat_time", "short_mode", "idle",
                                     "header", "colors", "width", "hyperlinks", NULL},
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_TEXT | PYI_RENDERER_DIFF,
    .check = check_text,
    .render = render_text,
};
