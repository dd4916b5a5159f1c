/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - debug lines.
 *
 * In: a domain and a format. Out: one safe line through the caller's callback. Decides nothing
 * about where lines go or which domains are wanted, and never allocates.
 */
#include "src/base/log.h"

#include "src/base/text.h"
#include <stdio.h>

void pyi_log(const struct pyi_log *log, const char *domain, const char *format, ...)
{
    if (!log || !log->line)
        return;
    char raw[512];
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t used = (size_t)length < sizeof(raw) ? (size_t)length : sizeof(raw) - 1;
    log->line(log->context, domain,
              pyi_text_safe((struct pyi_text){raw, used}, line, sizeof(line)));
}
