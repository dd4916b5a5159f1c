/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error.c - fills in struct pyi_error.
 *
 * In: a code and a format. Out: one printable line in the caller's record. Nothing here
 * allocates, so it can be used while sampling and after a failed allocation; whatever bytes a
 * target or a file put into the arguments come out escaped.
 */
#include "src/base/error.h"

#include "src/base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Formatted text before it is made safe; what exceeds it is cut. */
#define SCRATCH_SIZE 1024

static void fill_v(char *out, size_t size, const char *format, va_list arguments)
{
    char scratch[SCRATCH_SIZE];
    int length = vsnprintf(scratch, sizeof(scratch), format, arguments);
    if (length < 0) {
        out[0] = '\0';
        return;
    }
    size_t used = (size_t)length < sizeof(scratch) ? (size_t)length : sizeof(scratch) - 1;
    pyi_text_safe((struct pyi_text){scratch, used}, out, size);
}

static void begin(struct pyi_error *err, int code, int os_errno)
{
    err->code = code;
    err->os_errno = os_errno;
    err->slug[0] = '\0';
    err->why[0] = '\0';
    err->note[0] = '\0';
}

int pyi_error_set(struct pyi_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    va_list arguments;
    va_start(arguments, format);
    begin(err, code, 0);
    fill_v(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    return code;
}

static int code_of_errno(int os_errno)
{
    switch (os_errno) {
    case ESRCH:
        return PYI_E_GONE;
    case EPERM:
    case EACCES:
        return PYI_E_PERM;
    case ENOMEM:
        return PYI_E_NOMEM;
    case EFAULT:
        return PYI_E_FAULT;
    default:
        return PYI_E_OS;
    }
}

int pyi_error_os(struct pyi_error *err, int os_errno, const char *format, ...)
{
    int code = code_of_errno(os_errno);
    if (!err)
        return code;
    va_list arguments;
    va_start(arguments, format);
    begin(err, code, os_errno);
    fill_v(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    char scratch[128];
    const char *reason = strerror_r(os_errno, scratch, sizeof(scratch));
    size_t length = strlen(err->message);
    snprintf(err->message + length, sizeof(err->message) - length, ": %s", reason);
    return code;
}

int pyi_error_nomem(struct pyi_error *err)
{
    return pyi_error_set(err, PYI_E_NOMEM, "out of memory");
}

int pyi_error_prefix(struct pyi_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    char old[sizeof(err->message)];
    memcpy(old, err->message, sizeof(old));
    old[sizeof(old) - 1] = '\0';
    va_list arguments;
    va_start(arguments, format);
    fill_v(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    char joined[2 * sizeof(err->message) + 2];
    int length = snprintf(joined, sizeof(joined), "%s: %s", err->message, old);
    pyi_text_safe((struct pyi_text){joined, (size_t)length}, err->message, sizeof(err->message));
    return code;
}

void pyi_error_slug(struct pyi_error *err, const char *slug)
{
    if (err)
        snprintf(err->slug, sizeof(err->slug), "%s", slug);
}

void pyi_error_why(struct pyi_error *err, const char *format, ...)
{
    if (!err)
        return;
    va_list arguments;
    va_start(arguments, format);
    fill_v(err->why, sizeof(err->why), format, arguments);
    va_end(arguments);
}

void pyi_error_note(struct pyi_error *err, const char *format, ...)
{
    if (!err)
        return;
    va_list arguments;
    va_start(arguments, format);
    fill_v(err->note, sizeof(err->note), format, arguments);
    va_end(arguments);
}

const char *pyi_error_name(int code)
{
    switch (code) {
    case PYI_OK:
        return "success";
    case PYI_E_FAULT:
        return "address not mapped";
    case PYI_E_TORN:
        return "inconsistent data";
    case PYI_E_GONE:
        return "process ended";
    case PYI_E_PERM:
        return "permission denied";
    case PYI_E_VERSION:
        return "unsupported Python version";
    case PYI_E_NOTPYTHON:
        return "not a Python process";
    case PYI_E_FORMAT:
        return "malformed input";
    case PYI_E_LIMIT:
        return "limit exceeded";
    case PYI_E_NOMEM:
        return "out of memory";
    case PYI_E_OS:
        return "system call failed";
    case PYI_E_INVALID:
        return "invalid argument";
    default:
        return "unknown error";
    }
}

void pyi_cleanup_free(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}

void pyi_cleanup_close(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd);
    errno = saved;
    *fd = -1;
}

void pyi_cleanup_fclose(FILE **file)
{
    if (!*file)
        return;
    int saved = errno;
    fclose(*file);
    errno = saved;
    *file = NULL;
}
