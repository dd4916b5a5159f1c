/* SPDX-License-Identifier: BSD-3-Clause */
/* rolling.c - names of the files of --loop, and the end of the oldest.
 *
 * In: a pattern, a process, a time. Out: names; files that this run made and that are too many are
 * removed. What other runs made is left alone. */
#include "src/cli/rolling.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/invoker.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const char *pyi_rolling_problem(const char *pattern)
{
    bool dated = false;
    for (const char *at = pattern; (at = strchr(at, '%')); at += 2) {
        if (!at[1] || !strchr("pt%", at[1]))
            return "only %p, %t and %% can stand in it";
        dated |= at[1] == 't';
    }
    return dated ? NULL : "without %t in it every file would replace the one before";
}

static void append_time(struct pyi_strbuf *out, double start)
{
    char text[32];
    struct tm parts;
    bool usable = fabs(start) < 1e15;
    time_t seconds = usable ? (time_t)floor(start) : 0;
    if (localtime_r(&seconds, &parts) && strftime(text, sizeof(text), "%Y-%m-%dT%H-%M-%S", &parts))
        pyi_strbuf_string(out, text);
}

void pyi_rolling_name(struct pyi_strbuf *out, const char *pattern, pid_t pid, double start)
{
    for (const char *at = pattern; *at; at++) {
        if (*at != '%') {
            pyi_strbuf_char(out, *at);
            continue;
        }
        at++;
        if (*at == 'p')
            pyi_strbuf_format(out, "%d", (int)pid);
        else if (*at == 't')
            append_time(out, start);
        else
            pyi_strbuf_char(out, '%');
    }
}

static int forget_oldest(struct pyi_rolling *rolling, struct pyi_error *err)
{
    char *name = rolling->names[0];
    struct pyi_guise guise = pyi_guise_on();
    int failure = unlink(name) == 0 ? 0 : errno;
    pyi_guise_off(&guise);
    int code = 0;
    if (failure && failure != ENOENT)
        code = pyi_error_os(err, failure, "cannot remove %s", name);
    free(name);
    memmove(rolling->names, rolling->names + 1, --rolling->count * sizeof(*rolling->names));
    return code;
}

int pyi_rolling_made(struct pyi_rolling *rolling, const char *name, struct pyi_error *err)
{
    /* Two in one second: the second took the first one's place. */
    if (rolling->count && strcmp(rolling->names[rolling->count - 1], name) == 0)
        return 0;
    if (!pyi_array_reserve(&rolling->names, &rolling->capacity, rolling->count + 1,
                           sizeof(*rolling->names)))
        return pyi_error_nomem(err);
    char *copy = strdup(name);
    if (!copy)
        return pyi_error_nomem(err);
    rolling->names[rolling->count++] = copy;
    int code = 0;
    while (rolling->most && rolling->count > rolling->most && !code)
        code = forget_oldest(rolling, err);
    return code;
}

void pyi_rolling_deinit(struct pyi_rolling *rolling)
{
    for (size_t i = 0; i < rolling->count; i++)
        free(rolling->names[i]);
    free(rolling->names);
    *rolling = (struct pyi_rolling){0};
}
