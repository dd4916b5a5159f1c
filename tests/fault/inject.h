/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inject.h - allocations and reads that fail on demand.
 *
 * The programs of this folder are linked with --wrap for every function that takes memory
 * (FAULT_WRAPS of the Makefile): the library's calls come here first. The arena's functions are
 * among them, so that each of its callers is refused once and not only the one that happened to
 * need a new block. What is taken and given back is counted, which finds a leak in any build.
 */
#ifndef PYI_TESTS_FAULT_INJECT_H
#define PYI_TESTS_FAULT_INJECT_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

enum read_fault {
    READ_FAULT, /* nothing arrives: not mapped */
    READ_SHORT, /* the last range that would arrive ends half way */
    READ_GONE,  /* the process has ended */
    READ_FAULTS,
};

struct inject {
    bool on;
    bool onwards;     /* all after `fail_at` fail too */
    uint64_t fail_at; /* counted from 1, 0: none */
    uint64_t count;   /* allocations asked for while on */
    uint64_t failed;
    int64_t live; /* blocks taken and not given back, counted always */

    uint64_t read_fail_at; /* the same for reads of a memory image */
    bool read_onwards;
    enum read_fault read_fault;
    uint64_t reads, reads_failed;
};
extern struct inject inject;

/** Lets allocation `at` fail, and all later ones too when `onwards`. 0: only counts. */
void inject_begin(uint64_t at, bool onwards);
void inject_end(void);
/** The latest refusal's callers on stderr, for addr2line. */
void inject_where(void);
/** cJSON takes its memory here too. */
void inject_into_cjson(void);

#endif
