/* SPDX-License-Identifier: BSD-3-Clause */
/* error.h - filling in struct pyi_error, and cleanup by scope. */
#ifndef PYI_BASE_ERROR_H
#define PYI_BASE_ERROR_H

#include <pyinstrument/error.h>
#include <stdio.h>

/* All of these accept err == NULL and return `code`, so that a failure is one statement:
 *     return pyi_error_set(err, PYI_E_FORMAT, "line table ends inside an entry"); */
int pyi_error_set(struct pyi_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failed system call: the code follows from errno (ESRCH GONE; EPERM, EACCES
 * PERM; ENOMEM NOMEM; EFAULT FAULT; else OS) and ": STRERROR" is appended. */
int pyi_error_os(struct pyi_error *err, int os_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int pyi_error_nomem(struct pyi_error *err);
/* Context on the way up: puts "TEXT: " in front of the message; returns `code` unchanged. */
int pyi_error_prefix(struct pyi_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Further facts, set after the message. */
void pyi_error_slug(struct pyi_error *err, const char *slug);
void pyi_error_why(struct pyi_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pyi_error_note(struct pyi_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* PYI_CLEANUP(pyi_cleanup_free) char *text = NULL; */
#define PYI_CLEANUP(function) __attribute__((cleanup(function)))
void pyi_cleanup_free(void *pointer_to_pointer);
void pyi_cleanup_close(int *fd); /* closes when >= 0 */
void pyi_cleanup_fclose(FILE **file);

#endif
