/* SPDX-License-Identifier: BSD-3-Clause */
/* diff_text.c - a comparison for people: what got slower, what got faster, new and gone.
 *
 * In: two sessions. Out: a header that says what was compared and how, the functions that changed,
 * and the tree of the calls they are in. What stays within the noise of sampling is only counted,
 * so that two recordings of the same program print next to nothing. */
#include "src/render/diff/diff.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include "src/render/options.h"
#include "src/render/text.h"
#include <math.h>
#include <stdlib.h>

enum { FUNCTIONS_SHOWN = 10, DEEP = 30 };

struct report {
    struct pyi_output output;
    const struct pyi_diff *diff;
    struct pyi_diff_side base, now;
    bool unicode, color, share, show_all;
    int decimals;
    bool failed;
};

/* ---- figures ---- */

static void put_color(struct report *report, const char *codes)
{
    if (report->color)
        pyi_output_string(&report->output, codes);
}

static const char *color_of(enum pyi_diff_change change)
{
    switch (change) {
    case PYI_DIFF_MORE:
    case PYI_DIFF_FRESH:
        return "\033[31m";
    case PYI_DIFF_LESS:
    case PYI_DIFF_GONE:
        return "\033[32m";
    default:
        return "\033[2m";
    }
}

enum { VALUE_WIDTH = 9, DELTA_WIDTH = 11 };

static void put_right(struct report *report, const char *text, int width)
{
    pyi_output_format(&report->output, "%*s", width, text);
}

static void put_value(struct report *report, double seconds, double total)
{
    char digits[344];
    if (report->share) {
        pyi_number_fixed(total > 0 ? seconds / total * 100 : 0, 1, digits);
        strcat(digits, "%");
    } else {
        pyi_number_fixed(seconds, report->decimals, digits);
    }
    put_right(report, digits, VALUE_WIDTH);
}

/* "▲ +0.210" and the change as a part of what was; the glyph says what colour says. */
static void put_delta(struct report *report, const struct pyi_diff_figures *figures)
{
    char digits[344], text[360];
    const bool quiet = figures->change == PYI_DIFF_QUIET;
    const bool more = figures->delta > 0;
    pyi_number_fixed(fabs(figures->delta) * (report->share ? 100 : 1),
                     report->share ? 1 : report->decimals, digits);
    snprintf(text, sizeof(text), "%s%s%s", more ? "+" : "-", digits, report->share ? "%" : "");
    const char *glyph = quiet ? " " : report->unicode ? (more ? "▲" : "▼") : (more ? "^" : "v");
    pyi_output_format(&report->output, "  %s %*s ", glyph, DELTA_WIDTH - 2, text);
    if (quiet)
        put_right(report, "", 7);
    else if (figures->change == PYI_DIFF_FRESH || figures->change == PYI_DIFF_GONE)
        put_right(report, pyi_diff_word(figures->change), 7);
    else {
        const double base = report->share && report->base.total > 0
                                ? figures->base / report->base.total
                                : figures->base;
        const double percent = figures->delta / base * 100;
        if (percent < 999.5)
            snprintf(text, sizeof(text), "%+.0f%%", percent);
        else
            snprintf(text, sizeof(text), "x%.3g", percent / 100 + 1);
        put_right(report, text, 7);
    }
}

static void put_figures(struct report *report, const struct pyi_diff_figures *figures)
{
    put_color(report, color_of(figures->change));
    put_value(report, figures->base, report->base.total);
    put_value(report, figures->now, report->now.total);
    put_delta(report, figures);
    put_color(report, "\033[0m");
    pyi_output_string(&report->output, "  ");
}

static void put_name(struct report *report, const struct pyi_frame *frame)
{
    struct pyi_output *output = &report->output;
    struct pyi_text class_name = pyi_frame_class_name(frame), path = pyi_frame_short_path(frame);
    int64_t line;
    if (class_name.length) {
        pyi_text_put_name(output, class_name, false, true);
        pyi_output_char(output, '.');
    }
    pyi_text_put_name(output, pyi_frame_function(frame), false, true);
    if (path.length) {
        put_color(report, "\033[2m");
        pyi_output_string(output, "  ");
        pyi_text_put_name(output, path, false, true);
        if (pyi_frame_line(frame, &line) && line)
            pyi_output_format(output, ":%lld", (long long)line);
        put_color(report, "\033[0m");
    }
    pyi_output_char(output, '\n');
}

/* ---- header ---- */

static void put_side(struct report *report, const char *label, const struct pyi_session *session,
                     const struct pyi_diff_side *side)
{
    struct pyi_output *output = &report->output;
    char start[40], total[340];
    pyi_render_start_time(session, "%Y-%m-%d %H:%M:%S", start, sizeof(start));
    pyi_number_fixed(side->total, 3, total);
    pyi_output_format(output, "  %-5s %s %10s s %9.0f samples   ", label, start, total,
                      side->samples);
    pyi_text_put_name(output, pyi_session_target_description(session), false, true);
    pyi_output_char(output, '\n');
}

static void put_header(struct report *report, const struct pyi_session *base,
                       const struct pyi_session *now)
{
    pyi_output_char(&report->output, '\n');
    put_side(report, "base", base, &report->base);
    put_side(report, "new", now, &report->now);
    pyi_output_format(&report->output, "  compared: %s; what stays within the noise is %s\n\n",
                      report->share ? "shares of each total" : "seconds",
                      report->show_all ? "grey" : "left out");
}

static void put_titles(struct report *report, const char *title)
{
    put_color(report, "\033[1m");
    put_right(report, "base", VALUE_WIDTH);
    put_right(report, "new", VALUE_WIDTH);
    put_right(report, "change", DELTA_WIDTH + 2);
    pyi_output_format(&report->output, "          %s", title);
    put_color(report, "\033[0m");
    pyi_output_char(&report->output, '\n');
}

/* ---- functions ---- */

static size_t put_functions(struct report *report)
{
    const struct pyi_diff_function *function;
    size_t shown = 0, changed = 0;
    for (size_t i = 0; (function = pyi_diff_function(report->diff, i)); i++) {
        if (function->self.change == PYI_DIFF_QUIET || changed++ >= FUNCTIONS_SHOWN)
            continue;
        if (!shown++)
            put_titles(report, "own time of functions");
        put_figures(report, &function->self);
        put_name(report, function->frame);
    }
    if (changed > shown)
        pyi_output_format(&report->output, "%*s%zu more\n", VALUE_WIDTH * 2 + DELTA_WIDTH + 13, "",
                          changed - shown);
    if (shown)
        pyi_output_char(&report->output, '\n');
    return changed;
}

/* ---- tree ---- */

/* One frame whose children are being printed. */
struct level {
    const struct pyi_diff_frame *next;
    size_t indent;      /* bytes of the indent that belong to it */
    size_t left, quiet; /* children still to be shown; those that are left out */
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

static bool is_shown(const struct report *report, const struct pyi_diff_frame *frame)
{
    return frame->stirred || report->show_all;
}

static bool enter(struct report *report, struct walk *walk, const struct pyi_diff_frame *frame)
{
    if (!pyi_array_reserve(&walk->levels, &walk->capacity, walk->depth + 1, sizeof(*walk->levels)))
        return false;
    struct level level = {.next = frame->first, .indent = walk->indent.length};
    for (const struct pyi_diff_frame *c = frame->first; c; c = c->next) {
        level.left += is_shown(report, c);
        level.quiet += !is_shown(report, c);
    }
    walk->levels[walk->depth++] = level;
    return true;
}

static void put_marks(struct report *report, const struct walk *walk, bool last)
{
    const bool deep = walk->depth > DEEP;
    const char *mark = report->unicode ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- ");
    const char *narrow = report->unicode ? (last ? "└" : "├") : (last ? "`" : "|");
    pyi_output_text(&report->output, pyi_strbuf_get(&walk->indent));
    if (walk->depth)
        pyi_output_string(&report->output, deep ? narrow : mark);
}

static void put_quiet(struct report *report, const struct walk *walk, size_t count)
{
    put_color(report, "\033[2m");
    pyi_output_format(&report->output, "%*s", VALUE_WIDTH * 2 + DELTA_WIDTH + 13, "");
    put_marks(report, walk, true);
    pyi_output_format(&report->output, "%zu without a change", count);
    put_color(report, "\033[0m");
    pyi_output_char(&report->output, '\n');
}

/* Goes on with the innermost level. False: no memory. */
static bool step(struct report *report, struct walk *walk)
{
    struct level *level = &walk->levels[walk->depth - 1];
    const struct pyi_diff_frame *frame = level->next;
    walk->indent.length = level->indent;
    if (!frame) {
        if (level->quiet)
            put_quiet(report, walk, level->quiet);
        walk->depth--;
        return true;
    }
    level->next = frame->next;
    if (!is_shown(report, frame))
        return true;
    const bool last = --level->left == 0 && !level->quiet;
    put_figures(report, &frame->total);
    put_marks(report, walk, last);
    put_name(report, frame->frame);
    const char *bar =
        walk->depth > DEEP ? (report->unicode ? "│" : "|") : (report->unicode ? "│  " : "|  ");
    pyi_strbuf_string(&walk->indent, !last ? bar : walk->depth > DEEP ? " " : "   ");
    return !walk->indent.failed && enter(report, walk, frame);
}

static void put_tree(struct report *report)
{
    PYI_CLEANUP(walk_deinit) struct walk walk = {0};
    const struct pyi_diff_frame *top = pyi_diff_top(report->diff);
    put_titles(report, "calls");
    if (top->frame) {
        put_figures(report, &top->total);
        put_name(report, top->frame);
    } else {
        put_figures(report, &top->total);
        pyi_output_string(&report->output, "[all]\n");
    }
    bool fine = enter(report, &walk, top);
    /* The first level has no indent of its own: marks begin with it. */
    while (fine && walk.depth && !report->output.code)
        fine = step(report, &walk);
    report->failed = report->failed || !fine;
}

/* ---- whole report ---- */

static void put_body(struct report *report)
{
    const struct pyi_diff_frame *root = pyi_diff_root(report->diff);
    size_t changed = put_functions(report);
    if (changed || root->stirred || report->show_all) {
        put_tree(report);
        pyi_output_char(&report->output, '\n');
        return;
    }
    char noise[340];
    pyi_number_fixed(root->total.noise * (report->share ? 100 : 1), report->share ? 1 : 3, noise);
    put_titles(report, "");
    put_figures(report, &root->total);
    pyi_output_format(
        &report->output,
        "[all]\n\n"
        "  No difference above the noise: two recordings of the same program would\n"
        "  differ as much (in all by %s%s). Longer ones show smaller differences.\n\n",
        noise, report->share ? " %" : " s");
}

int pyi_render_diff_text(struct pyi_session *session, const struct pyi_render_options *options,
                         const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_diff) struct pyi_diff *diff = NULL;
    int code = pyi_render_diff_new(session, options, &diff, err);
    if (code)
        return code;
    struct pyi_session *base = pyi_option_base(options);
    const double interval = fmin(pyi_session_number(session, PYI_SESSION_MAX_INTERVAL).value,
                                 pyi_session_number(base, PYI_SESSION_MAX_INTERVAL).value);
    struct report report = {
        .diff = diff,
        .base = pyi_diff_base_side(diff),
        .now = pyi_diff_new_side(diff),
        .unicode = pyi_option_true(options, "unicode"),
        .color = pyi_option_true(options, "color"),
        .share = pyi_diff_mode(diff) == PYI_DIFF_SHARE,
        .show_all = pyi_option_true(options, "show_all"),
        .decimals = (int)ceil(-log10(fmin(fmax(1e-6, interval), 1))),
    };
    pyi_output_init(&report.output, sink);
    put_header(&report, base, session);
    put_body(&report);
    code = pyi_output_finish(&report.output, err);
    return !code && report.failed ? pyi_error_nomem(err) : code;
}
