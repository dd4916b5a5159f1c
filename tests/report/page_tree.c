/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * page_tree.c - test helper: the tree that the page's list of processors makes of a session.
 *
 * usage: page_tree SESSION [threshold=N] [hide=REGEX] [show=REGEX] [all]
 * One line of JSON per row, callers first: [depth, function, path, line, seconds, class, group].
 * The page's own model must give the same rows. Exit status 1 and a line on stderr on errors.
 */
#include "src/base/json_writer.h"
#include <inttypes.h>
#include <pyinstrument/frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_row(struct pyi_output *output, const struct pyi_frame *frame, int64_t depth)
{
    const struct pyi_frame_group *group = pyi_frame_group(frame);
    int64_t line;
    pyi_output_format(output, "[%" PRId64 ", ", depth);
    pyi_json_write_ascii(output, pyi_frame_function(frame));
    pyi_output_string(output, ", ");
    pyi_json_write_ascii(output, pyi_frame_file_path(frame));
    if (pyi_frame_line(frame, &line))
        pyi_output_format(output, ", %" PRId64, line);
    else
        pyi_output_string(output, ", null");
    pyi_output_format(output, ", %.17g, ", pyi_frame_time(frame));
    pyi_json_write_ascii(output, pyi_frame_class_name(frame));
    if (group)
        pyi_output_format(output, ", %u]\n", pyi_group_index(group));
    else
        pyi_output_string(output, ", null]\n");
}

static bool read_option(struct pyi_processor_options *options, char *text)
{
    if (!strncmp(text, "threshold=", 10)) {
        options->filter_threshold = strtod(text + 10, NULL);
    } else if (!strncmp(text, "hide=", 5)) {
        options->hide_regex = pyi_text(text + 5);
        options->has_hide_regex = true;
    } else if (!strncmp(text, "show=", 5)) {
        options->show_regex = pyi_text(text + 5);
        options->has_show_regex = true;
    } else if (!strcmp(text, "all")) {
        options->show_all = true;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct pyi_error err = {0};
    struct pyi_session *session;
    struct pyi_tree *tree;
    struct pyi_processor_options options;
    struct pyi_output output;
    int out = STDOUT_FILENO;
    const struct pyi_sink sink = pyi_sink_fd(&out);
    pyi_processor_options_init(&options);
    options.filter_threshold = 0.001;
    for (int i = 2; i < argc; i++)
        if (!read_option(&options, argv[i]))
            return 2;
    if (argc < 2)
        return 2;
    int code = pyi_session_load(argv[1], &session, &err);
    if (code) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    code = pyi_tree_build(session, PYI_TREE_WITHOUT_IDLE, &tree, &err);
    if (!code) {
        code = pyi_tree_process_list(tree, PYI_LIST_PAGE, &options, &err);
        pyi_output_init(&output, &sink);
        const struct pyi_frame *root = pyi_tree_root(tree);
        int64_t depth = 0;
        for (const struct pyi_frame *f = root; f && !code; f = pyi_frame_walk(root, f, &depth))
            put_row(&output, f, depth);
        int written = pyi_output_finish(&output, code ? NULL : &err);
        code = code ? code : written;
        pyi_tree_free(tree);
    }
    pyi_session_free(session);
    if (code)
        fprintf(stderr, "%s\n", err.message);
    return code ? 1 : 0;
}
