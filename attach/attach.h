/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * attach.h - all that the rest of the program may know of a target process.
 *
 * Open a target, make one round after the other (each gives one stack per selected thread as
 * it stood at that moment), close it. Nothing here writes to the target, and it is stopped
 * only when the options say so. Stacks are facts: what they mean (time, sessions, trees) is decided elsewhere.
 */
#ifndef PYI_ATTACH_H
#define PYI_ATTACH_H

#include "src/base/log.h"
#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <sys/types.h>

struct pyi_target;

/** What a code object says; constant and valid until the target is closed. */
struct pyi_code {
    struct pyi_text name;     /* co_name */
    struct pyi_text filename; /* co_filename */
    int32_t first_line;       /* co_firstlineno */
    bool traceback_hide;      /* has a local variable __tracebackhide__ */
    uint32_t
        id; /* dense from 0, never used again: equal text at another address may have another */
};

/** One Python frame at one instant; as the last entry of a stack also a C function that the frame
 *  before it is calling: its file is "<built-in>" or "<extended>", its first line 0. */
struct pyi_stack_entry {
    const struct pyi_code *code;
    int32_t line;        /* line now executing, 0 unknown or a C function */
    uint32_t class_name; /* number for pyi_target_class_name(), 0 none */
    uint32_t edge;       /* 0: nothing speaks against the call from the entry below; else not proven
                            yet: number for pyi_target_edge_proven() */
    bool native; /* a C function by its own frame, its file a library: only with PYI_STOP_NATIVE */
};

/** One Python thread state, known from its first sight until the target is closed. */
struct pyi_thread {
    uint32_t index;       /* dense from 0 in order of first sight */
    uint64_t ident;       /* threading.get_ident() */
    pid_t tid;            /* kernel thread id in our pid namespace, 0 unknown */
    int64_t interpreter;  /* interpreter id, 0 is the main one */
    struct pyi_text name; /* from `threading`, else the kernel's name, else "Thread IDENT"; with
                             the interpreter's number when it is not the main one */
    bool is_main;         /* main thread of the main interpreter */
    bool alive;           /* seen in the latest round */
};

enum pyi_stack_status {
    PYI_STACK_NEW,  /* entries are valid */
    PYI_STACK_SAME, /* equal to this thread's stack of the previous round; entries are valid */
    PYI_STACK_LOST, /* could not be read in any consistent form; no entries */
};

/** One thread's stack in one round. */
struct pyi_stack {
    const struct pyi_thread *thread;
    enum pyi_stack_status status;
    /** Outermost first; scratch of the target, valid until the next round. May be empty: a
     *  thread without Python frames. */
    const struct pyi_stack_entry *entries;
    size_t depth;
    /** Leading entries equal to those of this thread's last delivered stack: interning can
     *  begin there. Of a SAME stack they may be fewer than all: a call above was proven since. */
    size_t common;
    bool truncated;   /* the depth limit cut the bottom off */
    bool verified;    /* every caller-callee edge is proven, not only plausible; never where
                         edges are not being proven, and then all `edge` are 0 */
    uint8_t attempts; /* 1: at the first read */
    /** The rest only when asked for at open; of a LOST stack nothing is known. */
    enum pyi_state state;
    bool holds_gil;
    bool raising; /* an exception is on its way or being handled */
    /** What stands above the last entry although it is no call: the garbage collector ("<GC>" in
     *  "<gc>"), then the system call in which the thread waits ("[recv tcp 10.0.0.5:5432]" in
     *  "<wait>"). Valid until the target is closed. */
    const struct pyi_code *marks[2];
    uint8_t mark_count;
};

/** One look at all selected threads. Storage of the target, valid until the next round. */
struct pyi_round {
    const struct pyi_stack *stacks;
    size_t count;
};

/** Running counts since open. */
struct pyi_target_stats {
    uint64_t rounds;
    uint64_t read_calls; /* system calls that read target memory, all purposes */
    uint64_t bytes_read;
    uint64_t mispredicted; /* stacks that needed a second call */
    uint64_t code_misses;  /* code objects read anew */
    uint64_t code_reused;  /* addresses found to hold another code object than before */
    uint64_t probes;       /* reads of /proc for the states of threads */
    /* Only where threads are stopped for their samples: */
    uint64_t stops;        /* times a thread was stopped */
    double stopped;        /* seconds threads were stopped, all together */
    double stopping_cpu;   /* CPU seconds of the thread of ours that stops them */
    uint64_t stop_late;    /* a thread did not stop in time */
    uint64_t stop_traced;  /* another tracer was there */
    uint64_t stop_refused; /* the kernel would not have it */
};

struct pyi_target_options {
    struct pyi_log log;
    double wait;                /* seconds to wait for an interpreter that is still starting */
    const char *libpython;      /* file that holds the runtime; NULL: search all mappings */
    const char *assume_version; /* "3.15" or NULL */
    const char
        *tool; /* what supports some versions and not others, "NAME VERSION"; NULL: no name */
    /** Which threads to sample; NULL: all. Asked once per thread and again when it is renamed. */
    bool (*select)(void *context, const struct pyi_thread *thread);
    void *select_context;
    enum pyi_c_labels c_labels; /* which C functions appear as the last entry of a stack */
    bool states;      /* look for the state of each thread in each round, and for what follows */
    bool waits;       /* name system calls also where a C function is the last entry */
    bool no_gc;       /* do not tell when the garbage collector runs */
    bool exceptions;  /* look whether an exception is active, 3.11+ */
    size_t max_depth; /* frames per stack, the bottom is cut beyond; 0: 200,000 */
    enum pyi_stop_mode stop; /* without effect on images */
};

/** What was found at open. Texts are borrowed until close. */
struct pyi_target_info {
    pid_t pid, parent;
    int major, minor, micro;
    struct pyi_text version; /* "3.14.10", with level and serial for pre-releases */
    struct pyi_text build;   /* "default", "free-threaded", "debug" */
    struct pyi_text found;  /* how the runtime was located, e.g. ".dynsym of /usr/bin/python3.11" */
    struct pyi_text layout; /* where offsets come from, e.g. "debug offsets" or "table 3.11" */
    struct pyi_text executable;       /* path as the target sees it */
    struct pyi_text root;             /* prefix under which its files are readable, "" for ours */
    const struct pyi_text *arguments; /* /proc/PID/cmdline */
    size_t argument_count;
    bool untested;     /* a build that nobody had at hand: free-threaded 3.14 and later */
    uint64_t runtime;  /* remote address of _PyRuntime */
    double start_time; /* Unix seconds at which the process started */
};

/** The sys module's words on where code lives. */
struct pyi_sysinfo {
    const struct pyi_text *path, *argv; /* str items only */
    size_t path_count, argv_count;
    struct pyi_text prefixes[4]; /* prefix, base_prefix, exec_prefix, base_exec_prefix */
    bool from_sys; /* false: sys could not be read, prefixes guessed from the executable */
};

/**
 * Opens a process. Errors: GONE (slug no-process, zombie), PERM (slug names the cause),
 * NOTPYTHON (not-python, kernel-thread, bits-32, not-cpython, no-symbols, python-not-ready,
 * python-unused), VERSION (version-old, version-new), FORMAT (its structures make no sense),
 * LIMIT, OS, NOMEM.
 */
int pyi_target_open(pid_t pid, const struct pyi_target_options *options, struct pyi_target **out,
                    struct pyi_error *err) PYI_MUST_CHECK;
/** Opens a recorded memory image (pyi_target_dump_image) in place of a process. */
int pyi_target_open_image(const char *path, const struct pyi_target_options *options,
                          struct pyi_target **out, struct pyi_error *err) PYI_MUST_CHECK;
/** Opens a core dump: every round gives the stacks of the moment it was made, no thread has a
 *  state. Errors: as above, and OS, FORMAT (core-bad), NOTPYTHON (core-no-python). */
int pyi_target_open_core(const char *path, const struct pyi_target_options *options,
                         struct pyi_target **out, struct pyi_error *err) PYI_MUST_CHECK;
void pyi_target_close(struct pyi_target *target);

const struct pyi_target_info *pyi_target_info(const struct pyi_target *target);
/** Reads sys; result owned by the target, later calls give the same. Errors: GONE, NOMEM; what
 *  cannot be read is empty. */
int pyi_target_sysinfo(struct pyi_target *target, const struct pyi_sysinfo **out,
                       struct pyi_error *err) PYI_MUST_CHECK;
/** The same read anew: a program changes its path as it runs. Earlier results stay readable. */
int pyi_target_refresh_sysinfo(struct pyi_target *target, const struct pyi_sysinfo **out,
                               struct pyi_error *err) PYI_MUST_CHECK;
/** Whether a call that was not proven when its stack was delivered is proven by now. */
bool pyi_target_edge_proven(const struct pyi_target *target, uint32_t edge);
/** Class name by number from a stack entry. */
struct pyi_text pyi_target_class_name(const struct pyi_target *target, uint32_t number);

/**
 * One look at all selected threads. Errors: GONE (the process ended, became another program
 * (see pyi_target_fate), or its interpreter is finalized), PERM, OS, NOMEM. Torn or unreadable
 * stacks are no error: they are LOST. A round in which not even the thread list could be read
 * delivers LOST for every thread known to be alive.
 */
int pyi_target_round(struct pyi_target *target, struct pyi_round *out,
                     struct pyi_error *err) PYI_MUST_CHECK;

enum pyi_target_fate {
    PYI_FATE_ALIVE,
    PYI_FATE_ENDED,     /* no such process, or a zombie */
    PYI_FATE_EXEC,      /* the same process runs another image now: open again or give up */
    PYI_FATE_FINALIZED, /* the interpreter is shutting down */
};
/** Looks at /proc; call after GONE. */
enum pyi_target_fate pyi_target_fate(struct pyi_target *target);

void pyi_target_stats(const struct pyi_target *target, struct pyi_target_stats *out);
/** Threads seen so far, by index; NULL past the end. */
const struct pyi_thread *pyi_target_thread(const struct pyi_target *target, uint32_t index);
/** CPU seconds (user + system) the thread used until now; -1 when unknown. One small read. */
double pyi_target_thread_cpu(struct pyi_target *target, const struct pyi_thread *thread);
/** CPU seconds of the whole process from its CPU clock; -1 when it is gone. */
double pyi_target_cpu(struct pyi_target *target);

/** Makes one full round and writes every byte it read, with what is needed to open it again,
 *  to a file. Errors: as pyi_target_round, OS. */
int pyi_target_dump_image(struct pyi_target *target, const char *path,
                          struct pyi_error *err) PYI_MUST_CHECK;

/* ---- looking without recording -------------------------------------------------------------- */

enum pyi_gil {
    PYI_GIL_UNKNOWN,
    PYI_GIL_OTHER,   /* neither of the next two */
    PYI_GIL_HOLDER,  /* holds it */
    PYI_GIL_WAITING, /* sleeps until it gets it */
};
/** What a thread is doing at one moment, as far as it can be read. */
struct pyi_thread_state {
    char run; /* as /proc has it: R on a CPU or ready, S asleep, D, T, t, Z; 0 unknown */
    enum pyi_gil gil;
    struct pyi_text wait; /* system call it waits in, "[read /var/log/x]", safe to print; or "" */
};
/** The states of threads of the latest round, read together; a dozen system calls per thread, so
 *  not for every sample. What cannot be read is unknown. */
void pyi_target_states(struct pyi_target *target, const struct pyi_thread *const *threads,
                       size_t count, struct pyi_thread_state *out);

/** Gets one variable. Both texts are free of NUL and valid during the call only. */
typedef void pyi_variable(void *context, struct pyi_text name, struct pyi_text value);
/**
 * The variables of entry `entry` (0 the outermost) of a thread's stack in the latest round, in the
 * order of the code object, at most 64; values as repr() would begin them, bounded in length and
 * depth. Modules and class bodies have none. Errors: TORN, FAULT (the frame has returned since),
 * INVALID (no such entry), and those after which reading ends.
 */
int pyi_target_locals(struct pyi_target *target, const struct pyi_thread *thread, size_t entry,
                      pyi_variable *each, void *context, struct pyi_error *err) PYI_MUST_CHECK;

/** One variable of one call. */
struct pyi_look_variable {
    size_t entry; /* index into the stack's entries */
    struct pyi_text name, value;
};
/** One thread, looked at once. */
struct pyi_look_thread {
    const struct pyi_thread *thread; /* NULL: not there in this look */
    struct pyi_stack_entry *entries; /* outermost first */
    size_t depth, capacity;
    bool read;       /* entries are valid */
    bool consistent; /* they are proven, or two reads in a row agree on them */
    bool truncated;  /* the depth limit cut the bottom off */
    struct pyi_thread_state state;
    struct pyi_look_variable *variables;
    size_t variable_count, variable_capacity;
};
enum pyi_look_locals {
    PYI_LOOK_NO_LOCALS,
    PYI_LOOK_LOCALS_FOLDED, /* of equal calls that follow each other only the innermost */
    PYI_LOOK_LOCALS,
};
/** Looks of one target, by index of the thread. */
struct pyi_look;
/** NULL on lack of memory. Must be freed before the target is closed. */
struct pyi_look *pyi_look_new(struct pyi_target *target);
void pyi_look_free(struct pyi_look *look);
/**
 * Reads every selected thread until its stack (and, if asked, its variables) is consistent: for at
 * most `seconds`, but at least twice. The result is borrowed and valid until the next look. Errors:
 * as pyi_target_round().
 */
int pyi_look_again(struct pyi_look *look, double seconds, enum pyi_look_locals locals,
                   const struct pyi_look_thread **threads, size_t *count,
                   struct pyi_error *err) PYI_MUST_CHECK;
/** Whether entry `at` is the same call on the same line as the one it makes. */
static inline bool pyi_look_repeats(const struct pyi_look_thread *thread, size_t at)
{
    const struct pyi_stack_entry *a = &thread->entries[at], *b = a + 1;
    return at + 1 < thread->depth && a->code == b->code && a->line == b->line &&
           a->class_name == b->class_name;
}

/** One process that runs Python, or looks so from outside. */
struct pyi_python_process {
    pid_t pid;
    uid_t uid;
    char version[32];       /* "" unknown */
    double cpu;             /* seconds of CPU since it started */
    double age;             /* seconds since it started */
    char *command;          /* arguments quoted as a shell would need them; NUL-terminated */
    struct pyi_error error; /* why it cannot be profiled; code 0: it can */
};
/** All processes of our pid namespace that run Python, by pid. Names decide first, then the
 *  program's symbols, so that others are passed over cheaply. Errors: OS, NOMEM. */
int pyi_processes_list(struct pyi_python_process **out, size_t *count,
                       struct pyi_error *err) PYI_MUST_CHECK;
void pyi_processes_free(struct pyi_python_process *list, size_t count);

/** One step of the chain that leads to a readable interpreter. */
struct pyi_check {
    const char *name; /* "process", "permission", "mappings", "runtime", "version", ... */
    int result;       /* 0 passed, 1 failed, 2 not reached */
    char detail[512]; /* what was found, safe to print */
};
#define PYI_CHECKS 16
struct pyi_diagnosis {
    struct pyi_check checks[PYI_CHECKS];
    size_t count;
    struct pyi_error error; /* of the failed step; code 0 when all passed */
};
/** Runs every check in order up to a first round of stacks. Always fills `out`; the return value
 *  is `out->error.code`. */
int pyi_target_diagnose(pid_t pid, const struct pyi_target_options *options,
                        struct pyi_diagnosis *out);

#endif
