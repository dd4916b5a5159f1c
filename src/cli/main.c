/* SPDX-License-Identifier: BSD-3-Clause */
/* pyinstrument: reads the command line, picks the command, returns its status. */
#include "src/base/invoker.h"
#include "src/cli/commands.h"
#include "src/cli/options/options.h"
#include "src/cli/terminal.h"

#include <locale.h>
#include <pyinstrument.h>
#include <string.h>
#include <unistd.h>

/* What the command line can ask for; at most one of them. */
struct command {
    enum pyi_option_id trigger; /* PYI_OPTIONS: a script */
    int (*run)(const struct pyi_console *console);
};

static const struct command commands[] = {
    {PYI_OPT_LOAD, pyi_command_load},         {PYI_OPT_LOAD_PREV, pyi_command_load},
    {PYI_OPT_MODULE, pyi_command_launch},     {PYI_OPT_CODE, pyi_command_launch},
    {PYI_OPTIONS, pyi_command_launch},        {PYI_OPT_PID, pyi_command_attach},
    {PYI_OPT_DIAGNOSE, pyi_command_diagnose}, {PYI_OPT_LIST_PREV, pyi_command_list},
    {PYI_OPT_DUMP, pyi_command_dump},         {PYI_OPT_PS, pyi_command_ps},
    {PYI_OPT_CORE, pyi_command_dump},         {PYI_OPT_SELF_CHECK, pyi_command_selfcheck},
};

static bool asked_for(const struct pyi_options *options, const struct command *command)
{
    /* --core is a --dump of another thing, which may be said or not. */
    if (command->trigger == PYI_OPT_DUMP && pyi_options_given(options, PYI_OPT_CORE))
        return false;
    /* With --dump the process is what to look at, not what to record. */
    if (command->trigger == PYI_OPT_PID && pyi_options_given(options, PYI_OPT_DUMP))
        return false;
    if (command->trigger != PYI_OPTIONS)
        return pyi_options_given(options, command->trigger);
    return options->program_count > 0 && !pyi_options_given(options, PYI_OPT_MODULE) &&
           !pyi_options_given(options, PYI_OPT_CODE);
}

static int run_immediate(const struct pyi_options *options)
{
    switch (options->immediate) {
    case PYI_OPT_VERSION:
        printf("pyinstrument %s, renders as %s\n", PYI_VERSION, PYI_RENDERS_AS);
        break;
    case PYI_OPT_HELP_ALL:
        pyi_help_print(stdout, PYI_HELP_ALL, pyi_help_width(STDOUT_FILENO));
        break;
    case PYI_OPT_COMPLETIONS:
        pyi_completions_print(stdout, options->values[PYI_OPT_COMPLETIONS]);
        break;
    case PYI_OPT_PRINT_MAN_OPTIONS:
        pyi_man_options_print(stdout);
        break;
    default:
        pyi_help_print(stdout, PYI_HELP_COMMON, pyi_help_width(STDOUT_FILENO));
        break;
    }
    return fflush(stdout) == 0 ? PYI_EXIT_OK : PYI_EXIT_FAILURE;
}

static const char *name_of(enum pyi_option_id id, char out[40])
{
    if (id == PYI_OPTIONS)
        return "a script";
    const struct pyi_option *row = pyi_option_at(id);
    if (row->name)
        snprintf(out, 40, "--%s", row->name);
    else
        snprintf(out, 40, "-%c", row->letter);
    return out;
}

static int too_many(const struct pyi_console *console, const struct command *first,
                    const struct command *second)
{
    const bool upstream_only =
        second->trigger != PYI_OPT_PID && second->trigger != PYI_OPT_DIAGNOSE &&
        second->trigger != PYI_OPT_LIST_PREV && second->trigger != PYI_OPT_DUMP &&
        second->trigger != PYI_OPT_PS && second->trigger != PYI_OPT_CORE &&
        second->trigger != PYI_OPT_SELF_CHECK;
    if (upstream_only)
        return pyi_usage_print(console, "You can only specify one of --load, --load-prev, -m, or "
                                        "script arguments");
    char one[40], other[40];
    return pyi_usage_print(console, "%s cannot be combined with %s", name_of(second->trigger, one),
                           name_of(first->trigger, other));
}

/* A bare number where a process id was probably meant; 0 or the exit status. */
static int check_pid(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const char *pid = pyi_options_mistaken_pid(options);
    if (pid && options->program && pid == options->program[0])
        return pyi_usage_print(console, "there is no script %s; did you mean --pid %s?", pid, pid);
    if (pid)
        return pyi_usage_print(console, "-p sets an option of the renderer; did you mean --pid %s?",
                               pid);
    return 0;
}

/* Options that only --dump has, and those it has no use for. */
static int check_dump(const struct pyi_console *console, const struct command *command)
{
    static const enum pyi_option_id own[] = {PYI_OPT_LOCALS, PYI_OPT_REVERSE, PYI_OPT_FULL,
                                             PYI_OPT_REPEAT, PYI_OPT_EVERY};
    static const enum pyi_option_id others[] = {PYI_OPT_OUTFILE, PYI_OPT_RENDERER, PYI_OPT_DURATION,
                                                PYI_OPT_DUMP_IMAGE};
    const struct pyi_options *options = console->options;
    char name[40];
    const bool core = command->trigger == PYI_OPT_CORE;
    const bool dump = command->trigger == PYI_OPT_DUMP || core;
    for (size_t i = 0; !dump && i < sizeof(own) / sizeof(own[0]); i++) {
        if (pyi_options_given(options, own[i]))
            return pyi_usage_print(console, "%s needs --dump", name_of(own[i], name));
    }
    for (size_t i = 0; dump && i < sizeof(others) / sizeof(others[0]); i++) {
        if (pyi_options_given(options, others[i]))
            return pyi_usage_print(console, "%s cannot be combined with --dump",
                                   name_of(others[i], name));
    }
    if (core && pyi_options_given(options, PYI_OPT_REPEAT))
        return pyi_usage_print(console, "--repeat cannot be combined with --core, which is of one "
                                        "moment");
    if (dump && !core && !pyi_options_given(options, PYI_OPT_PID))
        return pyi_usage_print(console, "--dump needs --pid");
    if (pyi_options_given(options, PYI_OPT_EVERY) && !pyi_options_given(options, PYI_OPT_REPEAT))
        return pyi_usage_print(console, "--every needs --repeat");
    return 0;
}

/* Contradictions among options that are right one by one; 0 or the exit status. */
static int check_together(const struct pyi_console *console, const struct command *command)
{
    const struct pyi_options *options = console->options;
    if (command->trigger == PYI_OPT_MODULE && pyi_options_given(options, PYI_OPT_FROM_PATH))
        return pyi_usage_print(console, "--from-path cannot be combined with -m");
    if (pyi_options_given(options, PYI_OPT_NATIVE) &&
        options->order[PYI_OPT_NONBLOCKING] > options->order[PYI_OPT_BLOCKING])
        return pyi_usage_print(console, "--native stops threads, which --nonblocking forbids");
    if (options->count[PYI_OPT_PID] > 1)
        return pyi_usage_print(console, "--pid can be given once only");
    if (pyi_options_given(options, PYI_OPT_OPEN) && !pyi_options_given(options, PYI_OPT_OUTFILE))
        return pyi_usage_print(console, "--open needs --outfile, the file to be opened");
    if (pyi_options_given(options, PYI_OPT_JSON) && command->trigger != PYI_OPT_DIAGNOSE &&
        command->trigger != PYI_OPT_DUMP && command->trigger != PYI_OPT_CORE &&
        command->trigger != PYI_OPT_PS && command->trigger != PYI_OPT_SELF_CHECK)
        return pyi_usage_print(console,
                               "--json needs --diagnose, --dump, --core, --ps or --self-check");
    return check_dump(console, command);
}

static int run(const struct pyi_console *console)
{
    const struct pyi_options *options = console->options;
    const struct command *chosen = NULL;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!asked_for(options, &commands[i]))
            continue;
        if (chosen)
            return too_many(console, chosen, &commands[i]);
        chosen = &commands[i];
    }
    int status = check_pid(console);
    if (status)
        return status;
    if (!chosen) {
        pyi_help_print(stdout, PYI_HELP_COMMON, pyi_help_width(STDOUT_FILENO));
        return PYI_EXIT_USAGE;
    }
    status = check_together(console, chosen);
    return status ? status : chosen->run(console);
}

int main(int argc, char **argv)
{
    /* Only characters follow the locale; numbers are written and read as in C. */
    setlocale(LC_CTYPE, "");
    pyi_invoker_adopt();
    struct pyi_options options;
    struct pyi_error error = {0};
    struct pyi_surroundings around = pyi_surroundings_of(STDERR_FILENO);
    const struct pyi_console console = {
        .options = &options,
        .stream = stderr,
        .color = pyi_surroundings_message_color(&around),
    };
    int status;
    if (pyi_options_parse(argc, argv, &options, &error))
        status = pyi_usage_print(&console, "%s", error.message);
    else if (options.immediate != PYI_OPTIONS)
        status = run_immediate(&options);
    else
        status = run(&console);
    pyi_options_free(&options);
    return status;
}
