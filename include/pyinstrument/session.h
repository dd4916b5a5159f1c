/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * session.h - a recording: metadata plus time-stamped stacks.
 *
 * A session knows nothing of processes: one read from a file and one just recorded are the
 * same thing. Stacks are interned: a record is the number of a node in a trie whose path to
 * the root is the stack, and the seconds to attribute to it.
 *
 * Frame info strings and identifiers (see pyisession(5)):
 *   FUNCTION U+0000 PATH U+0000 FIRST-LINE [U+0001 attribute]...
 */
#ifndef PYINSTRUMENT_SESSION_H
#define PYINSTRUMENT_SESSION_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>

struct pyi_session;
struct pyi_sink;

/** Trie node number of the empty stack. */
#define PYI_STACK_ROOT 0u

struct pyi_record {
    uint32_t stack;            /* trie node; PYI_STACK_ROOT for an empty stack */
    struct pyi_number seconds; /* time since the thread's previous record */
};

/** One process of a recording made by this program. Times in seconds after start_time. */
struct pyi_attach_process {
    int64_t pid, parent;
    struct pyi_text command, python, build, runtime, root;
    double start, end, cpu;
};

/** `record` does not begin where the one before it ended. */
struct pyi_attach_jump {
    uint64_t record; /* index counted within the thread's records */
    double seconds;  /* after start_time, at which it begins */
};

/** `records` consecutive records were in state `code`. */
struct pyi_attach_state {
    uint64_t records;
    enum pyi_state code;
};

/** One thread of a recording made by this program: which records are its, and what it is. */
struct pyi_attach_thread {
    uint32_t process; /* index into processes */
    struct pyi_text name;
    uint64_t ident; /* Python's thread ident */
    int64_t tid;    /* kernel thread id in our pid namespace, 0 unknown */
    double start;   /* seconds after start_time at which its first record begins */
    uint64_t first, records, samples;
    bool idle; /* never ran and never changed: text reports leave it out */
    double cpu;
    const struct pyi_attach_jump *jumps;
    size_t jump_count;
    const struct pyi_attach_state *states;
    size_t state_count;
};

/** The extra key `attach`: what upstream's format has no place for. */
struct pyi_attach {
    struct pyi_text tool, mode;
    const struct pyi_attach_process *processes;
    size_t process_count;
    const struct pyi_attach_thread *threads;
    size_t thread_count;
    uint64_t ticks, verified, retried, truncated, lost, missed, stops;
    double unobserved, profiler_cpu, stopped;
    const struct pyi_text *notes;
    size_t note_count;
};

/* ---- life ------------------------------------------------------------------------------ */

/**
 * Empty session: all numbers 0, min and max interval 0.001, empty texts, no records.
 * Errors: NOMEM. Free with pyi_session_free().
 */
PYI_API int pyi_session_new(struct pyi_session **out, struct pyi_error *err) PYI_MUST_CHECK;
/** Frees it and everything borrowed from it. NULL is fine. */
PYI_API void pyi_session_free(struct pyi_session *session);

/* ---- files ----------------------------------------------------------------------------- */

/**
 * Reads a .pyisession or .pyirec file; "-" is standard input. The file is streamed, never held
 * whole, but for a .pyirec that comes through a pipe.
 * Errors: OS (absent, unreadable), FORMAT (not JSON or a required key missing: the message
 * names byte or key), LIMIT, NOMEM.
 */
PYI_API int pyi_session_load(const char *path, struct pyi_session **out,
                             struct pyi_error *err) PYI_MUST_CHECK;
/** The same from memory; the text may hold NUL bytes only inside its length. */
PYI_API int pyi_session_from_json(const char *json, size_t length, struct pyi_session **out,
                                  struct pyi_error *err) PYI_MUST_CHECK;
/** As pyi_session_load() for .pyirec, from memory. Errors: FORMAT, LIMIT, NOMEM. */
PYI_API int pyi_session_from_pyirec(const void *bytes, size_t length, struct pyi_session **out,
                                    struct pyi_error *err) PYI_MUST_CHECK;
/** The session in our own format, see pyirec(5). Errors: NOMEM, LIMIT, the sink's. */
PYI_API int pyi_session_to_pyirec(const struct pyi_session *session, const struct pyi_sink *sink,
                                  struct pyi_error *err) PYI_MUST_CHECK;
/** As pyi_session_save(), in our own format. */
PYI_API int pyi_session_save_pyirec(const struct pyi_session *session, const char *path,
                                    struct pyi_error *err) PYI_MUST_CHECK;
/** It was read from a .pyirec file whose end is missing: the recorder was killed, the disk was
 *  full, or the file is damaged. What stands before is there. */
PYI_API bool pyi_session_is_cut(const struct pyi_session *session);
/** Writes to a temporary name beside `path`, then renames. Errors: OS, NOMEM. */
PYI_API int pyi_session_save(const struct pyi_session *session, const char *path,
                             struct pyi_error *err) PYI_MUST_CHECK;
/** Writes the mapping; without `with_records` the last keys frame_records and attach are left out.
 */
PYI_API int pyi_session_to_json(const struct pyi_session *session, bool with_records,
                                const struct pyi_sink *sink, struct pyi_error *err) PYI_MUST_CHECK;

/* ---- operations ------------------------------------------------------------------------ */

/** New session: the earlier one's records, then the other's. Inputs are unchanged. Errors: NOMEM.
 */
PYI_API int pyi_session_combine(const struct pyi_session *a, const struct pyi_session *b,
                                struct pyi_session **out, struct pyi_error *err) PYI_MUST_CHECK;
/**
 * New session with one record per `interval` seconds of accumulated time (upstream 5.1.2's
 * arithmetic, remainder carried although already emitted). Errors: INVALID (interval <= 0), NOMEM.
 */
PYI_API int pyi_session_resample(const struct pyi_session *session, double interval,
                                 struct pyi_session **out, struct pyi_error *err) PYI_MUST_CHECK;
/**
 * prefix, base_prefix, exec_prefix, base_exec_prefix of an interpreter, which is started for
 * the answer (`python` NULL: python3 of PATH). `sink` gets the four joined by NUL bytes.
 * Errors: OS (cannot be started), FORMAT (did not answer).
 */
PYI_API int pyi_session_current_sys_prefixes(const char *python, const struct pyi_sink *sink,
                                             struct pyi_error *err) PYI_MUST_CHECK;

/* ---- metadata: numbers as in the file, texts borrowed until the next set or free --------- */

enum pyi_session_number {                           /* in file order */
                          PYI_SESSION_START_TIME,   /* Unix seconds */
                          PYI_SESSION_DURATION,     /* seconds */
                          PYI_SESSION_MIN_INTERVAL, /* seconds */
                          PYI_SESSION_MAX_INTERVAL, /* seconds */
                          PYI_SESSION_SAMPLE_COUNT,
                          PYI_SESSION_CPU_TIME, /* seconds */
                          PYI_SESSION_NUMBERS
};
PYI_API struct pyi_number pyi_session_number(const struct pyi_session *session,
                                             enum pyi_session_number which);
PYI_API void pyi_session_set_number(struct pyi_session *session, enum pyi_session_number which,
                                    struct pyi_number value);
PYI_API struct pyi_text pyi_session_target_description(const struct pyi_session *session);
PYI_API int pyi_session_set_target_description(struct pyi_session *session, struct pyi_text text,
                                               struct pyi_error *err) PYI_MUST_CHECK;

enum pyi_session_list {
    PYI_SESSION_START_CALL_STACK, /* frame info strings, outermost first */
    PYI_SESSION_SYS_PATH,
    PYI_SESSION_SYS_PREFIXES,
    PYI_SESSION_LISTS
};
PYI_API size_t pyi_session_list_length(const struct pyi_session *session,
                                       enum pyi_session_list which);
PYI_API struct pyi_text pyi_session_list_item(const struct pyi_session *session,
                                              enum pyi_session_list which, size_t index);
PYI_API int pyi_session_list_append(struct pyi_session *session, enum pyi_session_list which,
                                    struct pyi_text item, struct pyi_error *err) PYI_MUST_CHECK;

/** The `attach` object, NULL for sessions of upstream's. Borrowed. */
PYI_API const struct pyi_attach *pyi_session_attach(const struct pyi_session *session);
/** Deep copy of `attach` into the session; NULL removes it. Errors: NOMEM. */
PYI_API int pyi_session_set_attach(struct pyi_session *session, const struct pyi_attach *attach,
                                   struct pyi_error *err) PYI_MUST_CHECK;

/* ---- stacks and records ------------------------------------------------------------------ */

/** Interns a frame info string; equal strings have equal numbers. Errors: NOMEM, LIMIT. */
PYI_API int pyi_session_intern_frame(struct pyi_session *session, struct pyi_text info,
                                     uint32_t *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Node of `parent`'s stack with one more frame on top. Errors: NOMEM, LIMIT. */
PYI_API int pyi_session_push_frame(struct pyi_session *session, uint32_t parent, uint32_t frame,
                                   uint32_t *out, struct pyi_error *err) PYI_MUST_CHECK;
/** Appends a record. Errors: NOMEM. */
PYI_API int pyi_session_add_record(struct pyi_session *session, uint32_t stack,
                                   struct pyi_number seconds, struct pyi_error *err) PYI_MUST_CHECK;

PYI_API uint64_t pyi_session_record_count(const struct pyi_session *session);
/**
 * Visits records in order. Start with `*cursor` 0; returns false at the end. Sessions are not
 * changed between calls of one walk.
 */
PYI_API bool pyi_session_next_record(const struct pyi_session *session, uint64_t *cursor,
                                     struct pyi_record *out);
/** Frame info number on top of a node's stack; the node must not be PYI_STACK_ROOT. */
PYI_API uint32_t pyi_session_stack_frame(const struct pyi_session *session, uint32_t stack);
PYI_API uint32_t pyi_session_stack_parent(const struct pyi_session *session, uint32_t stack);
PYI_API uint32_t pyi_session_stack_depth(const struct pyi_session *session, uint32_t stack);
/** The frame info string of a number from pyi_session_stack_frame(); borrowed until free. */
PYI_API struct pyi_text pyi_session_frame_info(const struct pyi_session *session, uint32_t frame);

/* ---- paths ------------------------------------------------------------------------------- */

/**
 * Shortest of the path and its forms relative to each sys_path entry (upstream's rule).
 * The result is memoised and borrowed until free. On lack of memory the path itself.
 */
PYI_API struct pyi_text pyi_session_shorten_path(struct pyi_session *session, struct pyi_text path);
/**
 * True when lack of memory made such an answer the path itself since this was asked last. A
 * report made from it would be wrong, so pyi_render() fails then.
 */
PYI_API bool pyi_session_paths_failed(struct pyi_session *session);

/**
 * The path lies below one of the session's sys_prefixes: its code is a library's, by upstream's
 * rule.
 */
PYI_API bool pyi_session_is_library_path(const struct pyi_session *session, struct pyi_text path);

/* ---- store of recent sessions ------------------------------------------------------------ */

/**
 * Stores it under its identifier (local start time) after pruning to 10 older ones; `id` gets
 * the identifier. Directory: $XDG_DATA_HOME/pyinstrument/reports, else
 * ~/.local/share/pyinstrument/reports, shared with upstream. The file is a .pyisession, or a
 * .pyirec when that would take more than 64 MB. Errors: OS, NOMEM.
 */
PYI_API int pyi_store_save(const struct pyi_session *session, char id[32],
                           struct pyi_error *err) PYI_MUST_CHECK;
/** Errors: OS with os_errno ENOENT when there is no such identifier, else as pyi_session_load(). */
PYI_API int pyi_store_load(const char *id, struct pyi_session **out,
                           struct pyi_error *err) PYI_MUST_CHECK;
/** Calls `each` for every stored identifier, oldest first. A missing directory is no error. */
PYI_API int pyi_store_list(void (*each)(void *context, const char *id, const char *path),
                           void *context, struct pyi_error *err) PYI_MUST_CHECK;

#endif
