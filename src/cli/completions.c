/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion scripts for bash, zsh and fish, made from the option table.
 *
 * Options come from the table, formats from the renderers, stored sessions from --list-prev at
 * the moment of completion, process ids from the shell; behind the script's name files follow. */
#include "src/cli/options.h"

#include <pyinstrument/renderer.h>
#include <string.h>

/* Process ids with Python in their command line; one line "PID COMMAND" each. */
#define PYTHON_PROCESSES "ps -eo pid=,args= 2>/dev/null | grep '[p]ython'"

static bool visible(const struct pyi_option *row)
{
    return !(row->flags & PYI_OPTION_HIDDEN);
}

static void print_renderers(FILE *stream)
{
    const struct pyi_renderer *row;
    for (size_t i = 0; (row = pyi_renderer_at(i)) != NULL; i++)
        fprintf(stream, "%s%s", i ? " " : "", row->name);
}

/* Words of a fixed list, NULL when the completion is not one. */
static const char *fixed_words(enum pyi_completion kind)
{
    switch (kind) {
    case PYI_COMPLETE_WHEN:
        return "always never auto";
    case PYI_COMPLETE_SHELL:
        return "bash zsh fish";
    case PYI_COMPLETE_LABELS:
        return "compatible extended none";
    case PYI_COMPLETE_DOMAIN:
        return "all attach record";
    default:
        return NULL;
    }
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_value(FILE *stream, enum pyi_completion kind)
{
    const char *words = fixed_words(kind);
    if (words) {
        fprintf(stream, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", words);
        return;
    }
    switch (kind) {
    case PYI_COMPLETE_FILE:
    case PYI_COMPLETE_SESSION_FILE:
        fputs("compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\"))", stream);
        break;
    case PYI_COMPLETE_STORED:
        fputs("COMPREPLY=($(compgen -W \"$(\"$1\" --list-prev 2>/dev/null)\" -- \"$cur\"))",
              stream);
        break;
    case PYI_COMPLETE_PID:
        fputs("COMPREPLY=($(compgen -W \"$(" PYTHON_PROCESSES
              " | awk '{print $1}')\" -- \"$cur\"))",
              stream);
        break;
    case PYI_COMPLETE_RENDERER:
        fputs("COMPREPLY=($(compgen -W '", stream);
        print_renderers(stream);
        fputs("' -- \"$cur\"))", stream);
        break;
    default:
        fputs("COMPREPLY=()", stream);
        break;
    }
}

static void bash_pattern(FILE *stream, const struct pyi_option *row)
{
    if (row->name && row->letter)
        fprintf(stream, "-%c|--%s", row->letter, row->name);
    else if (row->name)
        fprintf(stream, "--%s", row->name);
    else
        fprintf(stream, "-%c", row->letter);
}

static void print_bash(FILE *stream)
{
    fputs("# bash completion for pyinstrument\n"
          "_pyinstrument()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i word\n"
          "    # \"--option=value\" arrives as three words\n"
          "    [[ $cur == '=' ]] && cur=\n"
          "    [[ $prev == '=' && COMP_CWORD -ge 2 ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        word=${COMP_WORDS[i]}\n"
          "        case $word in\n"
          "        ",
          stream);
    bool first = true;
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row) || !row->argument || (row->flags & PYI_OPTION_REST))
            continue;
        if (!first)
            fputc('|', stream);
        bash_pattern(stream, row);
        first = false;
    }
    fputs(") ((i++)); [[ ${COMP_WORDS[i]} == '=' ]] && ((i++)) ;;\n"
          "        -m|-c) ((i + 1 < COMP_CWORD)) && { compopt -o filenames 2>/dev/null;\n"
          "            COMPREPLY=($(compgen -f -- \"$cur\")); return; }; ((i++)) ;;\n"
          "        -*) ;;\n"
          "        *) compopt -o filenames 2>/dev/null\n"
          "           COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "        esac\n"
          "    done\n"
          "    case $prev in\n",
          stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row) || !row->argument)
            continue;
        fputs("    ", stream);
        bash_pattern(stream, row);
        fputs(") ", stream);
        bash_value(stream, row->completion);
        fputs("; return ;;\n", stream);
    }
    fputs("    esac\n"
          "    if [[ $cur == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W '",
          stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row))
            continue;
        if (row->letter)
            fprintf(stream, "-%c ", row->letter);
        if (row->name)
            fprintf(stream, "--%s ", row->name);
    }
    fputs("' -- \"$cur\"))\n"
          "    else\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
          "    fi\n"
          "}\n"
          "complete -F _pyinstrument pyinstrument\n",
          stream);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* Inside '...[ ]:...': brackets, colons and quotes would end the field. */
static void zsh_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stream);
        else if (strchr("[]:\\", *text))
            fprintf(stream, "\\%c", *text);
        else
            fputc(*text, stream);
    }
}

static void zsh_value(FILE *stream, const struct pyi_option *row)
{
    fputc(':', stream);
    zsh_text(stream, row->argument);
    fputc(':', stream);
    const char *words = fixed_words(row->completion);
    if (words) {
        fprintf(stream, "(%s)", words);
        return;
    }
    switch (row->completion) {
    case PYI_COMPLETE_FILE:
        fputs("_files", stream);
        break;
    case PYI_COMPLETE_SESSION_FILE:
        fputs("_files -g \"*.pyisession\"", stream);
        break;
    case PYI_COMPLETE_STORED:
        fputs("{compadd -- ${(f)\"$(pyinstrument --list-prev 2>/dev/null)\"}}", stream);
        break;
    case PYI_COMPLETE_PID:
        fputs("_pyinstrument_pids", stream);
        break;
    case PYI_COMPLETE_RENDERER:
        fputc('(', stream);
        print_renderers(stream);
        fputc(')', stream);
        break;
    default:
        fputc(' ', stream);
        break;
    }
}

static void zsh_option(FILE *stream, const struct pyi_option *row)
{
    const char *repeat = row->id == PYI_OPT_RENDER_OPTION || row->id == PYI_OPT_LOAD ? "*" : "";
    if (row->name && row->letter)
        fprintf(stream, "    '%s'{-%c%s,--%s%s}'[", *repeat ? "*" : "", row->letter,
                row->argument ? "+" : "", row->name, row->argument ? "=" : "");
    else if (row->name)
        fprintf(stream, "    '%s--%s%s[", repeat, row->name, row->argument ? "=" : "");
    else
        fprintf(stream, "    '-%c%s[", row->letter, row->argument ? "+" : "");
    zsh_text(stream, row->text);
    fputc(']', stream);
    if (row->argument)
        zsh_value(stream, row);
    fputs("' \\\n", stream);
}

static void print_zsh(FILE *stream)
{
    fputs("#compdef pyinstrument\n"
          "_pyinstrument_pids()\n"
          "{\n"
          "    local -a found\n"
          "    found=(${(f)\"$(" PYTHON_PROCESSES " | sed -E 's/^ *([0-9]+) +(.*)$/\\1:\\2/')\"})\n"
          "    _describe -V 'Python process' found\n"
          "}\n"
          "_arguments -s -S -A '-*' \\\n",
          stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (visible(row) && !(row->flags & PYI_OPTION_REST))
            zsh_option(stream, row);
    }
    /* The rest of the line is the program's own: any file completes there. */
    fputs("    '(-)-m+[run a module]:module: ' \\\n"
          "    '(-)-c+[run code]:code: ' \\\n"
          "    '1:script:_files' \\\n"
          "    '*::argument:_files'\n",
          stream);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
}

static void fish_value(FILE *stream, const struct pyi_option *row)
{
    const char *words = fixed_words(row->completion);
    if (words) {
        fprintf(stream, " -x -a '%s'", words);
        return;
    }
    switch (row->completion) {
    case PYI_COMPLETE_FILE:
    case PYI_COMPLETE_SESSION_FILE:
        fputs(" -r -F", stream);
        break;
    case PYI_COMPLETE_STORED:
        fputs(" -x -a '(pyinstrument --list-prev 2>/dev/null)'", stream);
        break;
    case PYI_COMPLETE_PID:
        fputs(" -x -a '(__pyinstrument_pids)'", stream);
        break;
    case PYI_COMPLETE_RENDERER:
        fputs(" -x -a '", stream);
        print_renderers(stream);
        fputc('\'', stream);
        break;
    default:
        fputs(" -x", stream);
        break;
    }
}

static void print_fish(FILE *stream)
{
    fputs("# fish completion for pyinstrument\n"
          "function __pyinstrument_pids\n"
          "    " PYTHON_PROCESSES " | string replace -r '^ *(\\d+) +(.*)$' '$1\\t$2'\n"
          "end\n",
          stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row))
            continue;
        fputs("complete -c pyinstrument", stream);
        if (row->letter)
            fprintf(stream, " -s %c", row->letter);
        if (row->name)
            fprintf(stream, " -l %s", row->name);
        if (row->argument)
            fish_value(stream, row);
        fputs(" -d '", stream);
        fish_text(stream, row->text);
        fputs("'\n", stream);
    }
}

void pyi_completions_print(FILE *stream, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        print_bash(stream);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(stream);
    else
        print_fish(stream);
}
