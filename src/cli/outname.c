/* SPDX-License-Identifier: BSD-3-Clause */
/* Expands %p, %t and %% in the name of an outfile. Who calls decides whether they mean anything:
 * a single report keeps its name as given, since upstream knows no such signs. */
#include "src/cli/outname.h"

#include <string.h>
#include <time.h>

bool pyi_outname_by_process(const char *pattern)
{
    for (const char *at = pattern; (at = strchr(at, '%')) != NULL; at += at[1] ? 2 : 1)
        if (at[1] == 'p')
            return true;
    return false;
}

static void append_time(double start, struct pyi_strbuf *out)
{
    const time_t seconds = (time_t)start;
    struct tm parts;
    char text[32] = "";
    if (localtime_r(&seconds, &parts))
        strftime(text, sizeof(text), "%Y-%m-%dT%H-%M-%S", &parts);
    pyi_strbuf_string(out, text);
}

void pyi_outname_expand(const char *pattern, pid_t pid, double start, struct pyi_strbuf *out)
{
    for (const char *at = pattern; *at; at++) {
        const char sign = at[0] == '%' ? at[1] : '\0';
        if (sign == 'p')
            pyi_strbuf_format(out, "%d", (int)pid);
        else if (sign == 't')
            append_time(start, out);
        else
            pyi_strbuf_char(out, *at);
        at += sign == 'p' || sign == 't' || sign == '%';
    }
}
