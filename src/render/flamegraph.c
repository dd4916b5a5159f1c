/* SPDX-License-Identifier: BSD-3-Clause */
/* flamegraph.c - a static SVG with one box per call path, wide as its time.
 *
 * In: a session and options. Out: one file that works without network: titles on hover, click on
 * "Search" marks names and sums their share. Names are only ever text content, never markup or
 * script; the script in the file is constant. Boxes thinner than a tenth of a pixel and levels
 * beyond a bound are left out. */
#include "src/render/rows.h"

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/number.h"
#include "src/base/output.h"
#include "src/render/export.h"

enum { WIDTH = 1200, MARGIN = 10, ROW = 17, TOP = 44, BOTTOM = 26, LEVELS = 2000 };

struct writer {
    struct pyi_output output;
    double total;
    struct pyi_strbuf name, safe;
};

static void writer_deinit(struct writer *writer)
{
    pyi_strbuf_deinit(&writer->name);
    pyi_strbuf_deinit(&writer->safe);
}

static const char script[] =
    "<script><![CDATA[\n"
    "(function () {\n"
    "  'use strict';\n"
    "  var svg = document.documentElement, found = document.getElementById('found');\n"
    "  var boxes = Array.prototype.slice.call(document.querySelectorAll('g.f'));\n"
    "  function search(text) {\n"
    "    var spans = [], sum = 0, end = -1, wanted = (text || '').toLowerCase();\n"
    "    boxes.forEach(function (g) {\n"
    "      var title = g.querySelector('title').textContent.toLowerCase();\n"
    "      var hit = wanted !== '' && title.indexOf(wanted) >= 0;\n"
    "      var box = g.querySelector('rect');\n"
    "      g.setAttribute('class', hit ? 'f hit' : 'f');\n"
    "      if (hit) spans.push([+box.getAttribute('x'), +box.getAttribute('width')]);\n"
    "    });\n"
    "    spans.sort(function (a, b) { return a[0] - b[0] || b[1] - a[1]; });\n"
    "    spans.forEach(function (s) {\n"
    "      var from = Math.max(s[0], end), to = s[0] + s[1];\n"
    "      if (to > from) { sum += to - from; end = to; }\n"
    "    });\n"
    "    found.textContent = wanted === '' ? '' :\n"
    "      'matched ' + (sum / +svg.getAttribute('data-width') * 100).toFixed(1) + ' %';\n"
    "  }\n"
    "  function ask() { search(window.prompt('Search for (empty: reset)', '')); }\n"
    "  document.getElementById('search').addEventListener('click', ask);\n"
    "  window.addEventListener('keydown', function (event) {\n"
    "    if (event.key === '/') { event.preventDefault(); ask(); }\n"
    "    if (event.key === 'Escape') search('');\n"
    "  });\n"
    "})();\n"
    "]]></script>\n";

/* ---- text ---- */

/* XML has no place for U+FFFE and U+FFFF either. */
static void put_xml(struct pyi_output *output, struct pyi_text text)
{
    for (size_t offset = 0; offset < text.length;) {
        size_t start = offset;
        uint32_t c = pyi_text_next(text, &offset);
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
            pyi_output_format(output, "&#%u;", c);
        else if (c == 0xfffe || c == 0xffff || (c >= 0xd800 && c <= 0xdfff))
            pyi_output_char(output, '?');
        else
            pyi_output_bytes(output, text.data + start, offset - start);
    }
}

static size_t count_characters(struct pyi_text text)
{
    size_t count = 0;
    for (size_t offset = 0; offset < text.length; count++)
        (void)pyi_text_next(text, &offset);
    return count;
}

/* As much of a name as fits; nothing when that would say nothing. */
static void put_label(struct pyi_output *output, struct pyi_text text, double width)
{
    size_t room = width > 24 ? (size_t)((width - 6) / 7) : 0;
    if (room < 3)
        return;
    bool cut = count_characters(text) > room;
    if (cut) {
        size_t offset = 0;
        for (size_t i = 0; i + 2 < room; i++)
            (void)pyi_text_next(text, &offset);
        text.length = offset;
    }
    put_xml(output, text);
    if (cut)
        pyi_output_string(output, "..");
}

static void put_number(struct pyi_output *output, const char *before, double value, int decimals)
{
    char digits[340];
    pyi_number_fixed(value, decimals, digits);
    pyi_output_string(output, before);
    pyi_output_string(output, digits);
}

/* ---- boxes ---- */

/* Warm for the application, grey-blue for libraries; the shade follows the file. */
static void put_color(struct pyi_output *output, const struct pyi_frame *frame)
{
    struct pyi_text path = pyi_frame_file_path(frame);
    unsigned shade = (unsigned)(pyi_hash_bytes(path.data, path.length) % 40);
    if (pyi_frame_is_application_code(frame))
        pyi_output_format(output, "rgb(%u,%u,%u)", 235, 120 + shade * 2, 60 + shade);
    else
        pyi_output_format(output, "rgb(%u,%u,%u)", 170 + shade, 185 + shade, 205 + shade);
}

static void put_box(struct writer *writer, const struct pyi_frame *frame, double x, double width,
                    int64_t level)
{
    struct pyi_output *output = &writer->output;
    int64_t y = TOP + level * ROW;
    pyi_strbuf_reset(&writer->name);
    pyi_export_name(frame, &writer->name);
    struct pyi_text name = pyi_export_safe(pyi_strbuf_get(&writer->name), &writer->safe);
    pyi_output_string(output, "<g class=\"f\"><title>");
    put_xml(output, name);
    put_number(output, ", ", pyi_frame_time(frame), 3);
    put_number(output, " s, ", pyi_frame_time(frame) / writer->total * 100, 1);
    put_number(output, " %</title><rect x=\"", x, 2);
    put_number(output, "\" width=\"", width, 2);
    pyi_output_format(output, "\" y=\"%lld\" height=\"%d\" rx=\"1\" fill=\"", (long long)y,
                      ROW - 1);
    put_color(output, frame);
    put_number(output, "\"/><text x=\"", x + 3, 2);
    pyi_output_format(output, "\" y=\"%lld\">", (long long)y + 12);
    pyi_strbuf_reset(&writer->name);
    pyi_export_function(frame, &writer->name);
    put_label(output, pyi_export_safe(pyi_strbuf_get(&writer->name), &writer->safe), width);
    pyi_output_string(output, "</text></g>\n");
}

static bool is_drawn(const struct writer *writer, const struct pyi_frame *frame, int64_t level)
{
    double width = pyi_frame_time(frame) / writer->total * (WIDTH - 2 * MARGIN);
    return width >= 0.1 && level < LEVELS &&
           !pyi_text_equal(pyi_frame_identifier(frame), pyi_text("[self]"));
}

/* Next frame in depth-first order without going below `frame`. */
static const struct pyi_frame *pass_over(const struct pyi_frame *root,
                                         const struct pyi_frame *frame, int64_t *level)
{
    for (; frame != root; frame = pyi_frame_parent(frame), --*level)
        if (pyi_frame_next(frame))
            return pyi_frame_next(frame);
    return NULL;
}

static int64_t count_levels(const struct writer *writer, const struct pyi_frame *root)
{
    int64_t level = 0, most = 0;
    for (const struct pyi_frame *frame = root; frame;) {
        bool drawn = is_drawn(writer, frame, level);
        if (drawn && level >= most)
            most = level + 1;
        if (drawn && pyi_frame_first_child(frame))
            frame = pyi_frame_walk(root, frame, &level);
        else
            frame = pass_over(root, frame, &level);
    }
    return most;
}

/* Boxes of one level begin where their left neighbour ends: x is the sum of what came before. */
static void put_boxes(struct writer *writer, const struct pyi_frame *root)
{
    double scale = (WIDTH - 2 * MARGIN) / writer->total;
    double x[LEVELS + 1] = {MARGIN};
    int64_t level = 0;
    for (const struct pyi_frame *frame = root; frame && !writer->output.code;) {
        double width = pyi_frame_time(frame) * scale;
        bool drawn = is_drawn(writer, frame, level);
        if (drawn)
            put_box(writer, frame, x[level], width, level);
        if (drawn && pyi_frame_first_child(frame)) {
            x[level + 1] = x[level];
            x[level] += width;
            frame = pyi_frame_walk(root, frame, &level);
        } else {
            x[level] += width;
            frame = pass_over(root, frame, &level);
        }
    }
}

static void put_head(struct writer *writer, const struct pyi_session *session, int64_t levels)
{
    struct pyi_output *output = &writer->output;
    long long height = TOP + levels * ROW + BOTTOM;
    pyi_output_format(output,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n"
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%d\" "
                      "height=\"%lld\" viewBox=\"0 0 %d %lld\" data-width=\"%d\">\n<style>\n"
                      "text { font: 12px monospace; fill: #111; pointer-events: none }\n"
                      "#search { pointer-events: auto; cursor: pointer }\n"
                      "g.f:hover rect { stroke: #000 }\ng.hit rect { fill: #c3f }\n</style>\n"
                      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" "
                      "y=\"24\">",
                      WIDTH, height, WIDTH, height, WIDTH - 2 * MARGIN, MARGIN);
    put_label(output, pyi_export_safe(pyi_session_target_description(session), &writer->safe),
              WIDTH - 280);
    pyi_output_format(output,
                      "</text>\n<text id=\"search\" x=\"%d\" y=\"24\">Search</text>\n"
                      "<text id=\"found\" x=\"%d\" y=\"24\"></text>\n",
                      WIDTH - 60, WIDTH - 220);
}

static int render_flamegraph(struct pyi_session *session, const struct pyi_render_options *options,
                             const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_tree) struct pyi_tree *tree = NULL;
    int code =
        pyi_render_tree(session, options, PYI_TREE_WITHOUT_IDLE, PYI_LIST_EXPORT, &tree, err);
    if (code)
        return code;
    PYI_CLEANUP(writer_deinit) struct writer writer = {0};
    const struct pyi_frame *root = pyi_tree_root(tree);
    writer.total = root && pyi_frame_time(root) > 0 ? pyi_frame_time(root) : 1;
    pyi_output_init(&writer.output, sink);
    put_head(&writer, session, root ? count_levels(&writer, root) : 1);
    if (root)
        put_boxes(&writer, root);
    else
        pyi_output_format(&writer.output,
                          "<text x=\"%d\" y=\"%d\">No samples were recorded.</text>\n", MARGIN,
                          TOP + 12);
    pyi_output_string(&writer.output, script);
    pyi_output_string(&writer.output, "</svg>\n");
    code = pyi_output_finish(&writer.output, err);
    return !code && (writer.name.failed || writer.safe.failed) ? pyi_error_nomem(err) : code;
}

const struct pyi_renderer pyi_renderer_flamegraph = {
    .name = "flamegraph",
    .class_name = "FlamegraphRenderer",
    .extensions = (const char *const[]){".svg", NULL},
    .options = pyi_export_options,
    .flags = PYI_RENDERER_TREE | PYI_RENDERER_OURS,
    .render = render_flamegraph,
};
