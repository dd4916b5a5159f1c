/* SPDX-License-Identifier: BSD-3-Clause */
/* truth.h - a recording of the program of --self-check against what that program knows of itself. */
#ifndef PYI_CLI_TRUTH_H
#define PYI_CLI_TRUTH_H

#include <pyinstrument/session.h>

/* The program, for `python -c`; its last argument is "shares" or "stacks". */
extern const char pyi_truth_program[];

/* What it says when it is about to begin: "ready 3 11 2 default\n"; nonzero when that is no such line. */
struct pyi_truth_hello {
    unsigned major, minor, micro;
    char build[16];
};
bool pyi_truth_is_hello(struct pyi_text line, struct pyi_truth_hello *out);

#define PYI_TRUTH_PHASES 16

/* One function of the program, in seconds of the recording. Time that the recording itself calls
 * unobserved, because the profiler had no processor, is left out everywhere. */
struct pyi_truth_phase {
    char name[32];
    double logged;   /* between begin and end in the program's own log */
    double perfect;  /* what samples without any error, on the same grid, would have given it */
    double recorded; /* what the recording gave it */
};

struct pyi_truth_shares {
    struct pyi_truth_phase phases[PYI_TRUTH_PHASES];
    size_t count;
    double seconds;      /* recorded and observed */
    double unobserved;   /* left out */
    double asleep;       /* share of the time that the program logged as sleep */
    double mean, worst;  /* differences of shares of time, recorded from logged */
    double perfect_mean; /* the mean a perfect sampler would have had */
};

/* `log`: lines "NAME BEGIN END" in seconds of the wall clock, in order. Errors: FORMAT, NOMEM. */
int pyi_truth_compare(const struct pyi_session *session, struct pyi_text log,
                      struct pyi_truth_shares *out, struct pyi_error *err) PYI_MUST_CHECK;

/* Samples of part "stacks" that show a call which that program does not have. */
struct pyi_truth_stacks {
    uint64_t samples, impossible;
    uint64_t inside; /* samples in which the tree of calls was seen at all */
    uint32_t deepest;
    char first[160]; /* the first impossible call, in words */
};
void pyi_truth_count(const struct pyi_session *session, struct pyi_truth_stacks *out);

#endif
