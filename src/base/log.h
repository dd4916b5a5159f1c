/* SPDX-License-Identifier: BSD-3-Clause */
/* log.h - debug lines by domain, through a callback given at open. */
#ifndef PYI_BASE_LOG_H
#define PYI_BASE_LOG_H

struct pyi_log {
    void (*line)(void *context, const char *domain, const char *line); /* NULL: silent */
    void *context;
};

/* Does nothing when the log has no callback; lines are cut at 512 bytes and made safe. */
void pyi_log(const struct pyi_log *log, const char *domain, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
