/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * error.h - error codes and the record that explains one failure.
 *
 * Every function that can fail returns 0 or a negative PYI_E_* code and takes a
 * `struct pyi_error *err` as its last parameter. The record belongs to the caller, may be
 * NULL, and is only written on failure. Out parameters are untouched on failure.
 */
#ifndef PYINSTRUMENT_ERROR_H
#define PYINSTRUMENT_ERROR_H

#include <pyinstrument/types.h>

enum pyi_error_code {
    PYI_OK = 0,
    PYI_E_FAULT = -1,     /* a remote address is not mapped: read again, then count as lost */
    PYI_E_TORN = -2,      /* remote data contradict themselves: the target moved while we read */
    PYI_E_GONE = -3,      /* the process or thread has ended: finish normally */
    PYI_E_PERM = -4,      /* the kernel refuses access; `why` names the cause found */
    PYI_E_VERSION = -5,   /* a Python we have no layout for */
    PYI_E_NOTPYTHON = -6, /* no CPython runtime in that process */
    PYI_E_FORMAT = -7,    /* a file or an option value is malformed */
    PYI_E_LIMIT = -8,     /* a bound on hostile input was exceeded */
    PYI_E_NOMEM = -9,
    PYI_E_OS = -10,      /* a system call failed; `os_errno` is set */
    PYI_E_INVALID = -11, /* the caller's arguments contradict the contract or each other */
};

/**
 * One failure, in words. All strings are NUL-terminated, cut at the array's size, and safe to
 * print: bytes that came from a target have been escaped.
 */
struct pyi_error {
    int code;          /* PYI_E_* */
    int os_errno;      /* errno of the failing system call, 0 if none */
    char slug[32];     /* stable name of the cause, e.g. "ptrace-yama"; empty if there is none */
    char message[512]; /* what failed, one line without a full stop */
    char why[512];     /* the detected cause, empty if unknown */
    char note[512];    /* further fact that helps, e.g. which child runs Python; may be empty */
};

/** Short English name of a code ("permission denied"); never NULL, static storage. */
PYI_API const char *pyi_error_name(int code);

#endif
