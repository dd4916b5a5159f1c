/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * recorder.h - record a running or a newly started Python program into a session.
 *
 * The target is never written to, and never stopped unless the options say so. One recorder is used by one thread;
 * only pyi_recorder_stop() may be called from another thread or from a signal handler.
 */
#ifndef PYINSTRUMENT_RECORDER_H
#define PYINSTRUMENT_RECORDER_H

#include <pyinstrument/error.h>
#include <pyinstrument/session.h>
#include <pyinstrument/types.h>
#include <sys/types.h>

struct pyi_recorder;
struct pyi_sink;

/** State of a recording, given to the progress callback and at the end. */
struct pyi_tally {
    double elapsed;      /* seconds since the first tick */
    double limit;        /* requested duration in seconds, 0 if none */
    uint64_t ticks;      /* rounds made */
    uint64_t samples;    /* stacks delivered, all threads */
    uint64_t verified;   /* of those, every edge proven; 0 while only structural checks are made */
    uint64_t retried;    /* of those, not at the first attempt */
    uint64_t truncated;  /* of those, cut */
    uint64_t lost;       /* no usable stack after all attempts */
    uint64_t missed;     /* deadlines skipped because the recorder was late */
    uint64_t read_calls; /* system calls that read target memory while sampling */
    uint64_t stops;      /* times the target was stopped */
    double stopped;      /* seconds the target was stopped */
    double unobserved;   /* seconds given to [unobserved] frames */
    double slowest;      /* longest interval that max_cpu led to, seconds; 0 none */
    double profiler_cpu; /* seconds of CPU the recorder used while sampling */
    uint64_t memory;     /* bytes held by the recording */
    size_t threads;      /* threads seen */
    size_t processes;    /* processes in which something was recorded, or which are recorded now */
    bool verifying;      /* whether `verified` means anything */
};

enum pyi_recording_end {
    PYI_END_NONE,     /* still running */
    PYI_END_DURATION, /* the time asked for is over */
    PYI_END_STOPPED,  /* pyi_recorder_stop() */
    PYI_END_EXIT,     /* the target ended by itself */
    PYI_END_SIGNAL,   /* ... by a signal */
    PYI_END_EXEC,     /* it became a program that is not Python */
};

struct pyi_recorder_options {
    double interval;    /* seconds between samples; <= 0 samples at 0.001 but is stored as given */
    double duration;    /* seconds; 0: until stopped or the target ends */
    const char *thread; /* glob on the name, kernel thread id in decimal, or "main"; NULL: all */
    const char *pyirec; /* file that is written while recording, see pyirec(5); NULL none */
    const char *target_description; /* NULL: made from the command line */
    bool aggregate;                 /* keep no timeline: one record per thread, stack and state */
    double max_cpu;                 /* share of a core above which it samples less often; 0: none */
    double wait;                    /* seconds to wait for a starting interpreter; default 2 */
    const char *libpython;          /* file that holds the runtime, NULL: search */
    const char *assume_version;     /* "3.15": use this layout whatever the target says; unsafe */
    enum pyi_c_labels c_labels;     /* default compatible */
    bool subprocesses;              /* record children now and later, and theirs, as well */
    enum pyi_mode mode;             /* which samples; default all */
    bool waits;                     /* name system calls also below C functions */
    bool no_gc;                     /* do not show the garbage collector */
    enum pyi_stop_mode stop;        /* default never */
    const char *dump_image;         /* write the memory one round touches to this file; NULL: no */
    /** Called from pyi_recorder_run() at most four times a second; NULL: never. */
    void (*progress)(void *context, const struct pyi_tally *tally);
    /** Debug lines by domain ("memory", "stack", ...), without newline; NULL: none. */
    void (*log)(void *context, const char *domain, const char *line);
    void *context;
};

/** Defaults: interval 0.001, wait 2, everything else zero. */
PYI_API void pyi_recorder_options_init(struct pyi_recorder_options *options);

/**
 * Opens a running process for recording. Options are copied. Errors: GONE (no such process),
 * PERM, NOTPYTHON, VERSION (also slug mode-version), LIMIT, OS, NOMEM; `slug` and `why` tell the cause.
 */
PYI_API int pyi_recorder_attach(pid_t pid, const struct pyi_recorder_options *options,
                                struct pyi_recorder **out, struct pyi_error *err) PYI_MUST_CHECK;

/**
 * Adds one more running process to a recording that was attached and has not been run: each is
 * recorded, the session has a level for the process (a frame `command (PID)`, path `<process>`), and
 * the recording ends when all have ended. Errors: as pyi_recorder_attach(), INVALID (too late, or
 * it is among them already); the recording is as before.
 */
PYI_API int pyi_recorder_add(struct pyi_recorder *recorder, pid_t pid,
                             struct pyi_error *err) PYI_MUST_CHECK;

/**
 * Starts a program as our child, to be recorded by pyi_recorder_run() from its first own frame on.
 * `argv` is the complete command, argv[0] the interpreter (searched in PATH when it has no slash).
 * Standard streams, working directory, environment, process group, signal mask and ignored signals
 * are inherited: start it before changing any of them. `program_argument` is the index in argv of
 * the first word after the script, the module's name (behind a word "-m") or the code (behind a
 * word "-c"), for the description; it may be the index of the final NULL.
 * Errors: OS (slug script-exec: nothing was run), INVALID, NOMEM. Whether the program can be
 * profiled turns out in pyi_recorder_run().
 */
PYI_API int pyi_recorder_launch(char *const argv[], int program_argument,
                                const struct pyi_recorder_options *options,
                                struct pyi_recorder **out, struct pyi_error *err) PYI_MUST_CHECK;

/**
 * Samples until the duration is over, the target ends or pyi_recorder_stop() was called. For a
 * launched program it first waits for the interpreter and the program's module, and returns when
 * the main thread has left that module; the process may go on. Errors: OS, NOMEM, PERM, LIMIT;
 * what was recorded until then is still there. For a launched program also those of
 * pyi_recorder_attach(): it runs on, unprofiled, and pyi_recorder_wait() gives its status.
 */
PYI_API int pyi_recorder_run(struct pyi_recorder *recorder, struct pyi_error *err) PYI_MUST_CHECK;
/** Makes pyi_recorder_run() make a last round and return. For good; async-signal-safe. */
PYI_API void pyi_recorder_stop(struct pyi_recorder *recorder);

/** Closes the books and gives the session to the caller; once. Errors: NOMEM, INVALID (twice). */
PYI_API int pyi_recorder_take_session(struct pyi_recorder *recorder, struct pyi_session **out,
                                      struct pyi_error *err) PYI_MUST_CHECK;
/**
 * In place of the one session: one for each process, in order of appearance, without the level for
 * the process. The sessions and the array, `*count` long (at least 1), are the caller's to free.
 */
PYI_API int pyi_recorder_take_sessions(struct pyi_recorder *recorder, struct pyi_session ***out,
                                       size_t *count, struct pyi_error *err) PYI_MUST_CHECK;
/** A session of everything so far; sampling can go on. Errors: NOMEM. */
PYI_API int pyi_recorder_snapshot(struct pyi_recorder *recorder, struct pyi_session **out,
                                  struct pyi_error *err) PYI_MUST_CHECK;
/**
 * A session of everything so far, which is then forgotten: the recording goes on as if it began
 * now. For the progress callback. Errors: NOMEM, LIMIT, INVALID (with `pyirec`).
 */
PYI_API int pyi_recorder_roll(struct pyi_recorder *recorder, struct pyi_session **out,
                              struct pyi_error *err) PYI_MUST_CHECK;
PYI_API void pyi_recorder_tally(const struct pyi_recorder *recorder, struct pyi_tally *out);
/**
 * One line without newline that says how the recording went: "2,998 samples in 3.00 s: 2,998
 * checked (4 on retry), 0 truncated, 0 lost, 2 ticks missed; target never stopped; profiler used
 * 2.1 % of a core". Where threads were stopped it says how often and for how long in all. Errors: whatever the sink returned.
 */
PYI_API int pyi_tally_format(const struct pyi_tally *tally, const struct pyi_sink *sink,
                             struct pyi_error *err) PYI_MUST_CHECK;
/**
 * `detail`: exit status or signal number when known, else -1. May be NULL. For a launched program
 * whose process outlived its module it is known after pyi_recorder_wait().
 */
PYI_API enum pyi_recording_end pyi_recorder_end(const struct pyi_recorder *recorder, int *detail);
/** After PYI_END_EXEC the program that the target became, as it sees the path; else "". Borrowed
 *  until free; bytes of the path, not made safe to print. */
PYI_API struct pyi_text pyi_recorder_became(const struct pyi_recorder *recorder);
/**
 * How writing `pyirec` went: 0, or the error that ended it. Complete once the session was taken.
 * What was written before an error is under the file's name with .part behind.
 */
PYI_API int pyi_recorder_file(const struct pyi_recorder *recorder,
                              struct pyi_error *err) PYI_MUST_CHECK;
/** Process id of the target in our pid namespace. */
PYI_API pid_t pyi_recorder_pid(const struct pyi_recorder *recorder);

/**
 * Waits for a launched program, and forwards nothing: signals of the terminal reach it by
 * themselves. `status` as waitpid() gives it. Errors: INVALID (not launched), OS.
 */
PYI_API int pyi_recorder_wait(struct pyi_recorder *recorder, int *status,
                              struct pyi_error *err) PYI_MUST_CHECK;
/** Lets go of the target, which runs on; NULL is fine. A launched child is not waited for. */
PYI_API void pyi_recorder_free(struct pyi_recorder *recorder);

#endif
