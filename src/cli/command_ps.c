/* SPDX-License-Identifier: BSD-3-Clause */
/* --ps: the processes that run Python, and whether they can be profiled.
 *
 * The list comes in as attach/ found it; a table goes out, aligned by display width, or JSON with
 * one process on a line. CPU is the share of one core since the process started, as ps has it. */
#include "src/cli/commands.h"
#include "src/cli/terminal.h"

#include "attach/attach.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <cJSON.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMN_PID, COLUMN_USER, COLUMN_PYTHON, COLUMN_CPU, COLUMN_AGE, COLUMN_CAN, COLUMNS };

static const char *const titles[COLUMNS] = {"PID", "USER", "PYTHON", "CPU %", "AGE", "CAN PROFILE"};
static const bool rightwards[COLUMNS] = {
    [COLUMN_PID] = true, [COLUMN_CPU] = true, [COLUMN_AGE] = true};

struct row {
    struct pyi_strbuf cells[COLUMNS];
};

/* ---- words ----------------------------------------------------------------------------------- */

/* Name of a user, or the number. */
static void put_user(uid_t uid, struct pyi_strbuf *out)
{
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        pyi_strbuf_os_bytes(out, found->pw_name, strlen(found->pw_name));
    else
        pyi_strbuf_format(out, "%u", (unsigned)uid);
}

static double cpu_percent(const struct pyi_python_process *process)
{
    return process->age > 0 ? 100 * process->cpu / process->age : 0;
}

/* "12s", "5m03s", "2h05m", "3d04h" */
static void put_age(double seconds, struct pyi_strbuf *out)
{
    long long whole = (long long)seconds;
    if (whole < 60)
        pyi_strbuf_format(out, "%llds", whole);
    else if (whole < 3600)
        pyi_strbuf_format(out, "%lldm%02llds", whole / 60, whole % 60);
    else if (whole < 86400)
        pyi_strbuf_format(out, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    else
        pyi_strbuf_format(out, "%lldd%02lldh", whole / 86400, whole / 3600 % 24);
}

static const char *slug_of(const struct pyi_error *error)
{
    return error->slug[0] ? error->slug : "other";
}

/* Whether the advice for this cause is to do it as root. */
static bool sudo_helps(const struct pyi_error *error)
{
    const struct pyi_error_row *row = pyi_error_row_find(error->slug);
    if (geteuid() == 0 || !row)
        return false;
    return (row->tries[0] && strncmp(row->tries[0], "{sudo}", 6) == 0) ||
           (row->tries[1] && strncmp(row->tries[1], "{sudo}", 6) == 0);
}

static const char *verdict(const struct pyi_error *error)
{
    return error->code == 0 ? "yes" : sudo_helps(error) ? "sudo" : "no";
}

/* ---- table ----------------------------------------------------------------------------------- */

static void fill_row(const struct pyi_python_process *process, struct row *row)
{
    struct pyi_strbuf user = {0};
    put_user(process->uid, &user);
    pyi_strbuf_format(&row->cells[COLUMN_PID], "%d", (int)process->pid);
    pyi_strbuf_safe(&row->cells[COLUMN_USER], pyi_strbuf_get(&user), PYI_TEXT_STRICT);
    pyi_strbuf_string(&row->cells[COLUMN_PYTHON], process->version[0] ? process->version : "?");
    pyi_strbuf_format(&row->cells[COLUMN_CPU], "%.1f", cpu_percent(process));
    put_age(process->age, &row->cells[COLUMN_AGE]);
    pyi_strbuf_string(&row->cells[COLUMN_CAN], verdict(&process->error));
    if (process->error.code && !sudo_helps(&process->error))
        pyi_strbuf_format(&row->cells[COLUMN_CAN], " (%s)", slug_of(&process->error));
    pyi_strbuf_deinit(&user);
}

static void put_cell(struct pyi_strbuf *out, struct pyi_text text, int width, bool right)
{
    int blanks = width - (int)pyi_text_columns(text);
    for (int i = 0; right && i < blanks; i++)
        pyi_strbuf_char(out, ' ');
    pyi_strbuf_text(out, text);
    for (int i = 0; !right && i < blanks; i++)
        pyi_strbuf_char(out, ' ');
    pyi_strbuf_string(out, "  ");
}

/* The command in what is left of a terminal's line; in full elsewhere. */
static void put_command(struct pyi_strbuf *out, const char *command, int room)
{
    struct pyi_strbuf safe = {0};
    pyi_strbuf_safe(&safe, pyi_text(command), PYI_TEXT_STRICT);
    struct pyi_text text = pyi_strbuf_get(&safe);
    const bool cut = room > 0 && (int)pyi_text_columns(text) > room;
    size_t end = 0;
    for (int columns = 0; cut && end < text.length;) {
        size_t next = end;
        pyi_text_next(text, &next);
        columns += (int)pyi_text_columns((struct pyi_text){text.data + end, next - end});
        if (columns > room - 3)
            break;
        end = next;
    }
    pyi_strbuf_text(out, cut ? (struct pyi_text){text.data, end} : text);
    pyi_strbuf_string(out, cut ? "...\n" : "\n");
    pyi_strbuf_deinit(&safe);
}

static bool print_table(const struct pyi_python_process *list, size_t count)
{
    int widths[COLUMNS], before = 0;
    bool fine = true;
    PYI_CLEANUP(pyi_cleanup_free) struct row *rows = calloc(count + 1, sizeof(*rows));
    if (!rows)
        return false;
    for (int c = 0; c < COLUMNS; c++) {
        pyi_strbuf_string(&rows[0].cells[c], titles[c]);
        widths[c] = (int)strlen(titles[c]);
    }
    for (size_t i = 1; i <= count; i++) {
        fill_row(&list[i - 1], &rows[i]);
        for (int c = 0; c < COLUMNS; c++) {
            int width = (int)pyi_text_columns(pyi_strbuf_get(&rows[i].cells[c]));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (int c = 0; c < COLUMNS; c++)
        before += widths[c] + 2;
    int room = isatty(STDOUT_FILENO) ? pyi_terminal_width(STDOUT_FILENO) - before : 0;
    if (isatty(STDOUT_FILENO) && room < 10)
        room = 10;
    struct pyi_strbuf out = {0};
    for (size_t i = 0; i <= count; i++) {
        for (int c = 0; c < COLUMNS; c++) {
            put_cell(&out, pyi_strbuf_get(&rows[i].cells[c]), widths[c], rightwards[c]);
            fine &= !rows[i].cells[c].failed;
            pyi_strbuf_deinit(&rows[i].cells[c]);
        }
        put_command(&out, i ? list[i - 1].command : "COMMAND", i ? room : 0);
    }
    fine &= !out.failed;
    fwrite(pyi_strbuf_get(&out).data, 1, out.length, stdout);
    pyi_strbuf_deinit(&out);
    return fine;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The command comes last: shells take lines apart for completion. */
static char *process_line(const struct pyi_python_process *process)
{
    struct pyi_strbuf user = {0};
    put_user(process->uid, &user);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "pid", process->pid);
    cJSON_AddItemToObject(object, "user", pyi_command_json_text(pyi_strbuf_get(&user)));
    cJSON_AddNumberToObject(object, "uid", process->uid);
    if (process->version[0])
        cJSON_AddStringToObject(object, "python", process->version);
    cJSON_AddNumberToObject(object, "cpu_percent", (int)(cpu_percent(process) * 10 + 0.5) / 10.0);
    cJSON_AddNumberToObject(object, "age", (double)(long long)process->age);
    cJSON_AddStringToObject(object, "can_profile", verdict(&process->error));
    if (process->error.code) {
        cJSON_AddStringToObject(object, "code", slug_of(&process->error));
        cJSON_AddItemToObject(object, "message",
                              pyi_command_json_text(pyi_text(process->error.message)));
    }
    cJSON_AddItemToObject(object, "command", pyi_command_json_text(pyi_text(process->command)));
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    pyi_strbuf_deinit(&user);
    return text;
}

static bool print_json(const struct pyi_python_process *list, size_t count)
{
    bool fine = true;
    puts("[");
    for (size_t i = 0; i < count; i++) {
        char *text = process_line(&list[i]);
        fine &= text != NULL;
        printf("%s%s\n", text ? text : "null", i + 1 < count ? "," : "");
        cJSON_free(text);
    }
    puts("]");
    return fine;
}

int pyi_command_ps(const struct pyi_console *console)
{
    struct pyi_error error = {0};
    struct pyi_python_process *list = NULL;
    size_t count = 0;
    int code = pyi_processes_list(&list, &count, &error);
    if (code < 0)
        return pyi_failure_print(console, &error, NULL);
    const bool json = pyi_options_given(console->options, PYI_OPT_JSON);
    if (!(json ? print_json(list, count) : print_table(list, count)))
        code = pyi_error_nomem(&error);
    else if (fflush(stdout) != 0)
        code = pyi_error_os(&error, errno, "cannot write to standard output");
    pyi_processes_free(list, count);
    return code < 0 ? pyi_failure_print(console, &error, NULL) : PYI_EXIT_OK;
}
