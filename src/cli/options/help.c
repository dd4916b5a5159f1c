/* SPDX-License-Identifier: BSD-3-Clause */
/* Help pages and the manual's list of options, both made from the option table.
 *
 * The short page lists upstream's options in upstream's order and the common ones of ours; the
 * long page lists all by group, with defaults. */
#include "src/cli/options/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TEXT_COLUMN = 26 };

const char *pyi_usage_line(void)
{
    return "Usage: pyinstrument [options] scriptfile [arg] ...";
}

int pyi_help_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    struct winsize size;
    if (width <= 0 && isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width <= 0)
        width = 80;
    if (width > 100)
        return 100;
    return width < 40 ? 40 : width;
}

/* "-o FILE, --outfile=FILE" */
static void option_words(const struct pyi_option *row, char *out, size_t size)
{
    const bool optional = row->flags & PYI_OPTION_OPTIONAL;
    int used = 0;
    if (row->letter)
        used = snprintf(out, size, "-%c%s%s", row->letter, row->argument ? " " : "",
                        row->argument ? row->argument : "");
    if (row->name && used >= 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, "%s--%s%s%s%s%s", row->letter ? ", " : "",
                 row->name, optional ? "[" : "", row->argument ? "=" : "",
                 row->argument ? row->argument : "", optional ? "]" : "");
}

/* Writes `text` in lines of at most `width` columns, later lines indented. */
static void print_wrapped(FILE *stream, const char *text, int column, int width)
{
    int room = width - TEXT_COLUMN;
    while (*text) {
        int length = (int)strlen(text);
        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
            if (length == 0)
                length = (int)strcspn(text, " ");
        }
        fprintf(stream, "%*s%.*s\n", TEXT_COLUMN - column, "", length, text);
        text += length;
        text += strspn(text, " ");
        column = 0;
    }
}

static void print_option(FILE *stream, const struct pyi_option *row, bool with_default, int width)
{
    char words[120], text[400];
    option_words(row, words, sizeof(words));
    if (with_default && row->fallback)
        snprintf(text, sizeof(text), "%s (default: %s)", row->text, row->fallback);
    else
        snprintf(text, sizeof(text), "%s", row->text);
    int column = fprintf(stream, "  %s", words);
    if (column > TEXT_COLUMN - 2) {
        fputc('\n', stream);
        column = 0;
    }
    print_wrapped(stream, text, column, width);
}

static void print_forms(FILE *stream)
{
    fprintf(stream, "%s\n", pyi_usage_line());
    fputs("       pyinstrument [options] -m module [arg] ...    (also -c code)\n"
          "       pyinstrument [options] --pid PID              a running process\n"
          "       pyinstrument [options] --load FILE            a saved session again\n"
          "       pyinstrument [options] --load-prev ID         a recent session again\n",
          stream);
}

static void print_common(FILE *stream, int width)
{
    fputs("\nOptions:\n", stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if ((row->flags & PYI_OPTION_UPSTREAM) && !(row->flags & PYI_OPTION_HIDDEN))
            print_option(stream, row, false, width);
    }
    fputs("\nMore options:\n", stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if ((row->flags & PYI_OPTION_COMMON) && !(row->flags & PYI_OPTION_HIDDEN))
            print_option(stream, row, false, width);
    }
    fputs("\nExamples:\n"
          "  pyinstrument app.py --port 8000           run a script and print where its time went\n"
          "  pyinstrument -d 30 --pid 1234             watch a running process for 30 seconds\n"
          "  pyinstrument -o out.json --pid 1234       the report as JSON into a file\n"
          "All options: pyinstrument --help-all   Manual: man pyinstrument\n",
          stream);
}

static void print_all(FILE *stream, int width)
{
    for (int group = 0; group < PYI_GROUPS; group++) {
        fprintf(stream, "\n%s:\n", pyi_option_group_title((enum pyi_option_group)group));
        for (int i = 0; i < PYI_OPTIONS; i++) {
            const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
            if ((int)row->group == group && !(row->flags & PYI_OPTION_HIDDEN))
                print_option(stream, row, true, width);
        }
    }
}

void pyi_help_print(FILE *stream, enum pyi_help_level level, int width)
{
    print_forms(stream);
    if (level == PYI_HELP_ALL)
        print_all(stream, width);
    else
        print_common(stream, width);
}

/* One option as an mdoc list item. */
static void print_man_option(FILE *stream, const struct pyi_option *row)
{
    fputs(".It", stream);
    if (row->letter) {
        fprintf(stream, " Fl %c", row->letter);
        if (row->argument)
            fprintf(stream, " Ar %s", row->argument);
    }
    if (row->name) {
        fprintf(stream, "%s Fl \\-%s", row->letter ? " ," : "", row->name);
        if (row->flags & PYI_OPTION_OPTIONAL)
            fprintf(stream, " Ns Op = Ns Ar %s", row->argument);
        else if (row->argument)
            fprintf(stream, " Ns = Ns Ar %s", row->argument);
    }
    fputc('\n', stream);
    fprintf(stream, "%c%s", toupper((unsigned char)row->text[0]), row->text + 1);
    if (row->fallback)
        fprintf(stream, ".\nDefault: %s", row->fallback);
    fputs(".\n", stream);
}

void pyi_man_options_print(FILE *stream)
{
    for (int group = 0; group < PYI_GROUPS; group++) {
        fprintf(stream, ".Ss %s\n.Bl -tag -width Ds\n",
                pyi_option_group_title((enum pyi_option_group)group));
        for (int i = 0; i < PYI_OPTIONS; i++) {
            const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
            if ((int)row->group == group && !(row->flags & PYI_OPTION_HIDDEN))
                print_man_option(stream, row);
        }
        fputs(".El\n", stream);
    }
}
