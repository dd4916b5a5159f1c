/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion scripts for bash, zsh and fish, made from the option table.
 *
 * Options come from the table, formats from the renderers, stored sessions from --list-prev at
 * the moment of completion, process ids from the shell; behind the script's name files follow. */
#include "src/cli/options/options.h"

#include "src/base/text.h"

#include <pyinstrument/renderer.h>
#include <string.h>

/* One line "PID COMMAND" for each process that runs Python; see --ps. */
#define PYTHON_PROCESSES                                                                           \
    " --ps --json 2>/dev/null"                                                                     \
    " | sed -nE 's/^.\"pid\":([0-9]+),.*\"command\":\"(.*)\".,?$/\\1 \\2/p'"

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
    case PYI_COMPLETE_MODE:
        return "wall cpu gil exception";
    case PYI_COMPLETE_DOMAIN:
        return "all attach record";
    default:
        return NULL;
    }
}

/* Options of renderers that take one of a few words; all others are switches or numbers. */
struct choice {
    const char *key, *values;
};

static const struct choice choices[] = {
    {"time", "seconds percent_of_total"},
    {"flat_time", "self total"},
    {"header", "art compact"},
    {"colors", "upstream terminal"},
    {NULL, NULL},
};

static const struct choice *choice_of(const char *key)
{
    const struct choice *row = choices;
    while (row->key && strcmp(row->key, key) != 0)
        row++;
    return row->key ? row : NULL;
}

/* What -p can be given for a renderer: "flat", "time=seconds", ...; with blanks before each. A key
 * alone where the shell completes the value by itself. */
static void print_keys(FILE *stream, const struct pyi_renderer *renderer, bool with_values)
{
    for (size_t i = 0; renderer->options[i]; i++) {
        const struct choice *choice = choice_of(renderer->options[i]);
        if (!choice || !with_values) {
            fprintf(stream, " %s%s", renderer->options[i], choice ? "=" : "");
            continue;
        }
        struct pyi_text value;
        for (size_t n = 0; pyi_text_part(pyi_text(choice->values), ' ', n, &value); n++)
            fprintf(stream, " %s=%.*s", choice->key, (int)value.length, value.data);
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
        fputs("COMPREPLY=($(compgen -W \"$(\"$1\"" PYTHON_PROCESSES
              " | awk '{print $1}')\" -- \"$cur\"))",
              stream);
        break;
    case PYI_COMPLETE_RENDERER:
        fputs("COMPREPLY=($(compgen -W '", stream);
        print_renderers(stream);
        fputs("' -- \"$cur\"))", stream);
        break;
    case PYI_COMPLETE_RENDER_OPTION:
        fputs("compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W \"$keys\" -- \"$cur\"))",
              stream);
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

/* Walks over the words before the current one: knows then whether the program's name is among
 * them, and which format was asked for. */
static void bash_walk(FILE *stream)
{
    fputs("    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        word=${COMP_WORDS[i]}\n"
          "        case $word in\n"
          "        -r|--renderer) ((i++)); [[ ${COMP_WORDS[i]} == '=' ]] && ((i++))\n"
          "            format=${COMP_WORDS[i]} ;;\n"
          "        -p|--render-option) ((i++)); [[ ${COMP_WORDS[i]} == '=' ]] && ((i++))\n"
          "            [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i += 2)) ;;\n"
          "        ",
          stream);
    bool first = true;
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row) || !row->argument ||
            (row->flags & (PYI_OPTION_REST | PYI_OPTION_OPTIONAL)) || row->id == PYI_OPT_RENDERER ||
            row->id == PYI_OPT_RENDER_OPTION)
            continue;
        if (!first)
            fputc('|', stream);
        bash_pattern(stream, row);
        first = false;
    }
    fputs(") ((i++)); [[ ${COMP_WORDS[i]} == '=' ]] && ((i++)) ;;\n"
          "        -m|-c) ((i + 1 < COMP_CWORD)) && { compopt -o filenames 2>/dev/null;\n"
          "            COMPREPLY=($(compgen -f -- \"$cur\")); return; }; ((i++)) ;;\n"
          "        -*) [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i += 2)) ;;\n"
          "        *) compopt -o filenames 2>/dev/null\n"
          "           COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "        esac\n"
          "    done\n",
          stream);
}

/* Names of the chosen format's options, and the values of those that take one of a few. */
static void bash_keys(FILE *stream)
{
    const struct pyi_renderer *renderer;
    fputs("    case $format in\n", stream);
    for (size_t i = 0; (renderer = pyi_renderer_at(i)) != NULL; i++) {
        fprintf(stream, "    %s) keys='", renderer->name);
        print_keys(stream, renderer, false);
        fputs("' ;;\n", stream);
    }
    fputs("    esac\n"
          "    if [[ $joined ]]; then\n"
          "        case $prev in\n",
          stream);
    for (const struct choice *row = choices; row->key; row++)
        fprintf(stream, "        %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
                row->key, row->values);
    fputs("        esac\n"
          "    fi\n",
          stream);
}

static void bash_values(FILE *stream)
{
    fputs("    case $prev in\n", stream);
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (!visible(row) || !row->argument)
            continue;
        const bool optional = row->flags & PYI_OPTION_OPTIONAL;
        fputs("    ", stream);
        bash_pattern(stream, row);
        fputs(optional ? ") if [[ $joined ]]; then " : ") ", stream);
        bash_value(stream, row->completion);
        fputs(optional ? "; return; fi ;;\n" : "; return ;;\n", stream);
    }
    fputs("    esac\n", stream);
}

static void print_bash(FILE *stream)
{
    fputs("# bash completion for pyinstrument\n"
          "_pyinstrument()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local i word joined= format=text keys=\n"
          "    # \"--option=value\" arrives as three words\n"
          "    [[ $cur == '=' ]] && { cur=; joined=1; }\n"
          "    [[ $prev == '=' && COMP_CWORD -ge 2 ]] && { prev=${COMP_WORDS[COMP_CWORD-2]}; "
          "joined=1; }\n",
          stream);
    bash_walk(stream);
    bash_keys(stream);
    bash_values(stream);
    fputs("    if [[ $cur == -* ]]; then\n"
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
    fputs(row->flags & PYI_OPTION_OPTIONAL ? "::" : ":", stream);
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
    case PYI_COMPLETE_RENDER_OPTION:
        fputs("_pyinstrument_keys", stream);
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
        fprintf(stream, "    '%s--%s%s%s[", repeat, row->name, row->argument ? "=" : "",
                row->flags & PYI_OPTION_OPTIONAL ? "-" : "");
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
          "    found=(${(f)\"$(pyinstrument" PYTHON_PROCESSES
          " | sed -E 's/^ *([0-9]+) +(.*)$/\\1:\\2/')\"})\n"
          "    _describe -V 'Python process' found\n"
          "}\n"
          "_pyinstrument_keys()\n"
          "{\n"
          "    local -a keys\n"
          "    case ${opt_args[-r]:-${opt_args[--renderer]:-text}} in\n",
          stream);
    const struct pyi_renderer *renderer;
    for (size_t i = 0; (renderer = pyi_renderer_at(i)) != NULL; i++) {
        fprintf(stream, "    %s) keys=(", renderer->name);
        print_keys(stream, renderer, true);
        fputs(" ) ;;\n", stream);
    }
    fputs("    esac\n"
          "    compadd -- $keys\n"
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
        fprintf(stream, " %s -a '%s'", row->flags & PYI_OPTION_OPTIONAL ? "-f" : "-x", words);
        return;
    }
    switch (row->completion) {
    case PYI_COMPLETE_RENDER_OPTION:
        fputs(" -x -a '(__pyinstrument_keys)'", stream);
        break;
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
          "    pyinstrument" PYTHON_PROCESSES " | string replace -r '^ *(\\d+) +(.*)$' '$1\\t$2'\n"
          "end\n"
          "function __pyinstrument_keys\n"
          "    set -l words (commandline -opc)\n"
          "    set -l format text\n"
          "    for i in (seq (count $words))\n"
          "        if contains -- $words[$i] -r --renderer; and test $i -lt (count $words)\n"
          "            set format $words[(math $i + 1)]\n"
          "        end\n"
          "    end\n"
          "    switch $format\n",
          stream);
    const struct pyi_renderer *renderer;
    for (size_t i = 0; (renderer = pyi_renderer_at(i)) != NULL; i++) {
        fprintf(stream, "        case %s\n            printf '%%s\\n'", renderer->name);
        print_keys(stream, renderer, true);
        fputc('\n', stream);
    }
    fputs("    end\n"
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
