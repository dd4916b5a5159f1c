/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * threads.c - interpreters and their thread states, with names.
 *
 * In: the runtime's address. Out: one record per thread state ever seen, who is alive, what each
 * is called. The lists are part of every round's copy, so that coming and going is noticed
 * without a call of its own. Must not know frames.
 */
#include "attach/cpython/threads.h"

#include "attach/cpython/activity.h"
#include "attach/cpython/frames.h"
#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define LIST_WINDOW   4096u
#define NAMES_SECONDS 1.0
#define LIST_ROUNDS   16 /* rounds between two looks at lists that seem to stay ... */
#define LIST_MOVING   16 /* ... and rounds for which they are followed after they changed */
#define NAMES_AT_ONCE 16 /* named threads whose names are read again in one round */
#define NAMES_EAGER   16 /* rounds in which a thread that has just appeared is asked for each time */
#define LONGEST_WAIT  10 /* rounds between two questions for one thread, as a power of two */

static int unreadable(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_FAULT, "thread list: %s", what);
}

static void tracked_free(struct pyi_tracked *thread)
{
    free(thread->chunks);
    pyi_places_deinit(&thread->places);
    pyi_places_deinit(&thread->objects);
    free(thread->frames);
    free(thread->room);
    pyi_join_deinit(&thread->join);
    free(thread->entries);
    free(thread->work);
    free(thread);
}

void pyi_threads_deinit(struct pyi_threads *threads)
{
    for (size_t i = 0; i < threads->count; i++)
        tracked_free(threads->items[i]);
    free(threads->items);
    free(threads->interps);
    free(threads->found);
    pyi_map_deinit(&threads->by_address);
    *threads = (struct pyi_threads){0};
}

int pyi_threads_plan(struct pyi_cpython *python, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_threads *threads = &python->threads;
    const bool states = python->options.states;
    int rc = 0;
    threads->listed = python->round % LIST_ROUNDS == 0 || python->round <= threads->list_until;
    threads->runtime_piece = PYI_NO_PIECE;
    if (threads->listed || (states && python->runtime_length > 8))
        rc =
            pyi_copy_add(&python->copy, python->runtime.address + layout->runtime_interpreters_head,
                         python->runtime_length, 0, &threads->runtime_piece, err);
    bool wanted = states || threads->listed || pyi_has_field(layout->interp_code_generation);
    for (size_t i = 0; rc == 0 && i < threads->interp_count; i++) {
        struct pyi_interp *interp = &threads->interps[i];
        interp->piece = PYI_NO_PIECE;
        if (wanted && interp->seen + 1 == python->round)
            rc = pyi_copy_add(&python->copy, interp->address + python->interp_from,
                              python->interp_length, 0, &interp->piece, err);
    }
    if (rc == 0)
        rc = pyi_activity_plan(python, err);
    for (size_t i = 0; rc == 0 && i < threads->count; i++) {
        struct pyi_tracked *thread = threads->items[i];
        thread->planned = thread->shown.alive;
        if (thread->planned)
            rc = pyi_frames_plan(python, thread, &python->copy,
                                 thread->selected && python->stopping == NULL, err);
    }
    return rc;
}

/* ---- following the lists --------------------------------------------------------------------- */

static int note_interp(struct pyi_cpython *python, pyi_addr address, size_t *index,
                       struct pyi_error *err)
{
    struct pyi_threads *threads = &python->threads;
    for (*index = 0; *index < threads->interp_count; ++*index)
        if (threads->interps[*index].address == address)
            return 0;
    if (threads->interp_count >= PYI_MAX_INTERPRETERS * 4 ||
        !pyi_array_reserve(&threads->interps, &threads->interp_capacity, threads->interp_count + 1,
                           sizeof(*threads->interps)))
        return pyi_error_nomem(err);
    threads->interps[threads->interp_count++] =
        (struct pyi_interp){.address = address, .id = -1, .piece = PYI_NO_PIECE};
    return 0;
}

/* Window of an interpreter state from the copy, else read into `buffer`. */
static int interp_bytes(struct pyi_cpython *python, size_t index, bool fresh,
                        uint8_t buffer[LIST_WINDOW], const uint8_t **out, struct pyi_error *err)
{
    const struct pyi_interp *interp = &python->threads.interps[index];
    pyi_addr at = interp->address + python->interp_from;
    *out = fresh ? NULL : pyi_copy_at(&python->copy, interp->piece, at, python->interp_length);
    if (*out != NULL)
        return 0;
    *out = buffer;
    return pyi_object_bytes(python, at, buffer, python->interp_length, err);
}

static int state_bytes(struct pyi_cpython *python, pyi_addr state, bool fresh,
                       uint8_t buffer[LIST_WINDOW], const uint8_t **out, struct pyi_error *err)
{
    uint64_t index;
    *out = NULL;
    if (!fresh && pyi_map_get(&python->threads.by_address, state, &index)) {
        struct pyi_tracked *thread = python->threads.items[index];
        if (thread->planned)
            *out = pyi_copy_at(&python->copy, thread->view.state, state, python->state_window);
    }
    if (*out != NULL)
        return 0;
    if (!pyi_addr_plausible(state))
        return unreadable(err, "impossible address");
    *out = buffer;
    return pyi_object_bytes(python, state, buffer, python->state_window, err);
}

/* Notes every thread state of one interpreter. */
static int list_states(struct pyi_cpython *python, size_t interp, pyi_addr head, bool fresh,
                       struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_threads *threads = &python->threads;
    uint8_t buffer[LIST_WINDOW];
    for (pyi_addr at = head; at != 0;) {
        const uint8_t *bytes;
        if (threads->found_count >= PYI_MAX_THREADS)
            return unreadable(err, "too many threads");
        int rc = state_bytes(python, at, fresh, buffer, &bytes, err);
        if (rc != 0)
            return rc;
        if (pyi_load_u64(bytes + layout->tstate_interp) != threads->interps[interp].address)
            return unreadable(err, "thread state of another interpreter");
        if (!pyi_array_reserve(&threads->found, &threads->found_capacity, threads->found_count + 1,
                               sizeof(*threads->found)))
            return pyi_error_nomem(err);
        bool native = pyi_has_field(layout->tstate_native_thread_id);
        bool unique = pyi_has_field(layout->tstate_id) && layout->tstate_id != 0;
        threads->found[threads->found_count++] = (struct pyi_found){
            .address = at,
            .interp = interp,
            .ident = pyi_load_u64(bytes + layout->tstate_thread_id),
            .native = native ? (int64_t)pyi_load_u64(bytes + layout->tstate_native_thread_id) : 0,
            .unique = unique ? pyi_load_u64(bytes + layout->tstate_id) : 0,
        };
        at = pyi_load_u64(bytes + layout->tstate_next);
    }
    return 0;
}

/* 2.7, 3.6: interpreters have no numbers. The list is newest first, and the main one, the last, is
 * number 0. Those not met before are the newest. */
static void number_interps(struct pyi_cpython *python)
{
    struct pyi_threads *threads = &python->threads;
    int64_t next = 0;
    for (size_t i = 0; i < threads->interp_count; i++)
        if (threads->interps[i].id >= next)
            next = threads->interps[i].id + 1;
    for (size_t i = threads->interp_count; i > 0; i--)
        if (threads->interps[i - 1].id < 0 && threads->interps[i - 1].seen == python->round)
            threads->interps[i - 1].id = next++;
}

static int list_once(struct pyi_cpython *python, bool fresh, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_threads *threads = &python->threads;
    pyi_addr at = python->runtime.address + layout->runtime_interpreters_head;
    uint8_t word[8], buffer[LIST_WINDOW];
    const uint8_t *bytes = fresh ? NULL : pyi_copy_at(&python->copy, threads->runtime_piece, at, 8);
    threads->found_count = 0;
    uint64_t generation = 0;
    if (bytes == NULL) {
        int rc = pyi_object_bytes(python, at, word, sizeof(word), err);
        if (rc != 0)
            return rc;
        bytes = word;
    }
    at = pyi_load_u64(bytes);
    for (size_t count = 0; at != 0; count++) {
        size_t index;
        if (count >= PYI_MAX_INTERPRETERS || !pyi_addr_plausible(at))
            return unreadable(err, "interpreters make no sense");
        int rc = note_interp(python, at, &index, err);
        if (rc == 0)
            rc = interp_bytes(python, index, fresh, buffer, &bytes, err);
        if (rc != 0)
            return rc;
        struct pyi_interp *interp = &threads->interps[index];
        if (pyi_has_field(layout->interp_id))
            interp->id = (int64_t)pyi_load_u64(bytes + layout->interp_id - python->interp_from);
        interp->seen = python->round;
        if (pyi_has_field(layout->interp_code_generation))
            generation +=
                pyi_load_u64(bytes + layout->interp_code_generation - python->interp_from);
        at = pyi_load_u64(bytes + layout->interp_next - python->interp_from);
        rc = list_states(python, index,
                         pyi_load_u64(bytes + layout->interp_threads_head - python->interp_from),
                         fresh, err);
        if (rc != 0)
            return rc;
    }
    if (!pyi_has_field(layout->interp_id))
        number_interps(python);
    pyi_codes_generation(python, generation);
    return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static pid_t outer_tid(const struct pyi_cpython *python, int64_t inner, uint64_t ident)
{
    const struct pyi_thread_facts *facts = &python->facts;
    if (inner > 0 && facts->outer_tid != NULL)
        return facts->outer_tid(facts->context, inner);
    if (inner <= 0 && ident != 0 && facts->tid_of_ident != NULL)
        return facts->tid_of_ident(facts->context, ident);
    return 0;
}

/* 2.7, 3.6: the interpreter keeps the main thread's ident in a file-local variable; the process's
 * first thread stands in for it. */
static bool is_main(struct pyi_cpython *python, const struct pyi_found *found, pid_t tid)
{
    uint64_t ident = 0;
    if (python->threads.interps[found->interp].id != 0)
        return false;
    if (!pyi_has_field(python->layout.runtime_main_thread))
        return tid != 0 && tid == python->facts.pid;
    if (pyi_has_field(python->layout.runtime_main_thread) &&
        pyi_object_word(python, python->runtime.address + python->layout.runtime_main_thread,
                        &ident, NULL) != 0)
        ident = 0;
    return ident != 0 && ident == found->ident;
}

static int add_thread(struct pyi_cpython *python, const struct pyi_found *found,
                      struct pyi_error *err)
{
    struct pyi_threads *threads = &python->threads;
    if (!pyi_array_reserve(&threads->items, &threads->capacity, threads->count + 1,
                           sizeof(*threads->items)))
        return pyi_error_nomem(err);
    struct pyi_tracked *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return pyi_error_nomem(err);
    if (!pyi_map_put(&threads->by_address, found->address, threads->count)) {
        free(thread);
        return pyi_error_nomem(err);
    }
    pid_t tid = outer_tid(python, found->native, found->ident);
    thread->shown = (struct pyi_thread){
        .index = (uint32_t)threads->count,
        .ident = found->ident,
        .tid = tid,
        .interpreter = threads->interps[found->interp].id,
        .name = pyi_text(""),
        .is_main = is_main(python, found, tid),
        .alive = true,
    };
    thread->address = found->address;
    thread->unique = found->unique;
    thread->interp = found->interp;
    thread->seen = python->round;
    threads->items[threads->count++] = thread;
    return 0;
}

/* The record of a thread state that is still the same thread. */
static struct pyi_tracked *find_thread(struct pyi_cpython *python, const struct pyi_found *found)
{
    uint64_t index;
    if (!pyi_map_get(&python->threads.by_address, found->address, &index))
        return NULL;
    struct pyi_tracked *thread = python->threads.items[index];
    if (thread->interp != found->interp || thread->unique != found->unique ||
        thread->shown.ident != found->ident)
        return NULL;
    /* Gone for a round and back: the list was torn, if its counter says that it is the same state;
     * without one it is another. */
    return thread->shown.alive || found->unique != 0 ? thread : NULL;
}

/* Up to 3.11 a new state carries its creator's ident until its own thread runs (3.11,
 * Python/pystate.c: new_threadstate(); Modules/_threadmodule.c: thread_run()). Lists are newest
 * first, so its creator's state comes later. What else the state holds is no help: its memory may
 * have been another state's. An embedder's second state of one thread in one interpreter is left
 * out with it. */
static bool is_unborn(const struct pyi_threads *threads, size_t index)
{
    const struct pyi_found *state = &threads->found[index];
    for (size_t i = index + 1; i < threads->found_count; i++)
        if (threads->found[i].ident == state->ident && threads->found[i].interp == state->interp)
            return true;
    return false;
}

static uint32_t next_time(const struct pyi_cpython *python, uint32_t *failed)
{
    uint32_t wait = 1u << (*failed < LONGEST_WAIT ? *failed : LONGEST_WAIT);
    ++*failed;
    return python->round + wait;
}

/* A thread that starts may be in the interpreter's list before the kernel's list of tasks that
 * we have shows it, and its C library's descriptor before its id is in there. */
static void find_tid_again(struct pyi_cpython *python, struct pyi_tracked *thread,
                           const struct pyi_found *found)
{
    if (thread->shown.tid != 0 || thread->tid_retry > python->round)
        return;
    thread->shown.tid = outer_tid(python, found->native, found->ident);
    thread->tid_retry = next_time(python, &thread->tid_failed);
    /* Threads are also selected by their id. */
    if (thread->shown.tid != 0) {
        thread->asked = false;
        thread->shown.is_main |= is_main(python, found, thread->shown.tid);
    }
}

int pyi_threads_list(struct pyi_cpython *python, struct pyi_error *err)
{
    struct pyi_threads *threads = &python->threads;
    if (pyi_join_lists_stay(python))
        return 0;
    if (!threads->listed)
        threads->list_until = python->round + LIST_MOVING;
    int rc = list_once(python, false, err);
    /* A list that changed while it was copied: follow it link by link. */
    for (int i = 0; i < PYI_RETRIES && rc != 0 && !pyi_is_fatal(rc); i++)
        rc = list_once(python, true, err);
    if (rc != 0)
        return pyi_is_fatal(rc) ? rc : PYI_E_FAULT;
    /* Newest first in the target: oldest first here, so that the main thread is number 0. */
    for (size_t i = threads->found_count; i > 0; i--) {
        struct pyi_found *found = &threads->found[i - 1];
        struct pyi_tracked *thread = find_thread(python, found);
        found->thread = thread;
        if (thread != NULL) {
            thread->seen = python->round;
            find_tid_again(python, thread, found);
            continue;
        }
        /* Not bound to a thread yet: it shows up once it is. */
        if (found->ident == 0 || is_unborn(threads, i - 1))
            continue;
        rc = add_thread(python, found, err);
        if (rc != 0)
            return rc;
        found->thread = threads->items[threads->count - 1];
    }
    for (size_t i = 0; i < threads->count; i++)
        threads->items[i]->shown.alive = threads->items[i]->seen == python->round;
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static double now_seconds(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int set_name(struct pyi_cpython *python, struct pyi_tracked *thread,
                    const struct pyi_strbuf *base, struct pyi_error *err)
{
    struct pyi_strbuf full = {0};
    pyi_strbuf_text(&full, pyi_strbuf_get(base));
    if (thread->shown.interpreter != 0)
        pyi_strbuf_format(&full, " (interpreter %" PRId64 ")", thread->shown.interpreter);
    struct pyi_text name = full.failed ? (struct pyi_text){0} : pyi_cpython_text(python, &full);
    pyi_strbuf_deinit(&full);
    if (name.data == NULL)
        return pyi_error_nomem(err);
    if (!pyi_text_equal(name, thread->shown.name)) {
        thread->shown.name = name;
        thread->asked = false;
    }
    return 0;
}

/* What a thread is called that `threading` does not know. */
static int set_other_name(struct pyi_cpython *python, struct pyi_tracked *thread,
                          struct pyi_error *err)
{
    const struct pyi_thread_facts *facts = &python->facts;
    struct pyi_strbuf name = {0};
    /* The main thread gets the name it will have once `threading` is imported: a name that
     * changes in the middle would split its records in two. */
    if (thread->shown.is_main)
        pyi_strbuf_string(&name, "MainThread");
    else if (thread->shown.tid != 0 && facts->comm != NULL)
        facts->comm(facts->context, thread->shown.tid, &name);
    if (name.length == 0)
        pyi_strbuf_format(&name, "Thread %" PRIu64, thread->shown.ident);
    int rc = set_name(python, thread, &name, err);
    pyi_strbuf_deinit(&name);
    return rc;
}

/* Reads one Thread object: _name (2.7, Lib/threading.py: a private attribute of that class), and
 * up to 3.10 its kernel id. */
static int name_thread(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr object,
                       struct pyi_error *err)
{
    const char *const words[] = {python->minor == PYI_PYTHON_2 ? "_Thread__name" : "_name",
                                 "_native_id"};
    pyi_addr values[2];
    int rc = pyi_object_attributes(python, object, words, 2, values, err);
    if (rc != 0)
        return rc;
    uint64_t native;
    if (thread->shown.tid == 0 && values[1] != 0 &&
        pyi_object_int(python, values[1], &native, NULL) == 0) {
        thread->shown.tid = outer_tid(python, (int64_t)native, 0);
        thread->asked &= thread->shown.tid == 0;
    }
    if (values[0] == 0)
        return 0;
    struct pyi_strbuf name = {0};
    rc = pyi_object_str(python, values[0], PYI_MAX_NAME, &name, err);
    if (rc == 0)
        rc = set_name(python, thread, &name, err);
    thread->named |= rc == 0;
    pyi_strbuf_deinit(&name);
    return rc;
}

/* Namespace of `threading` in one interpreter, 0 while it is not imported. */
static int find_threading(struct pyi_cpython *python, struct pyi_interp *interp,
                          struct pyi_error *err)
{
    static const char *const words[] = {"threading"};
    uint64_t modules;
    pyi_addr module = 0;
    int rc =
        pyi_object_word(python, interp->address + python->layout.interp_modules, &modules, err);
    if (rc == 0)
        rc = pyi_dict_find(python, modules, words, 1, &module, err);
    if (rc == 0 && module != 0)
        rc = pyi_object_word(python, module + python->layout.module_dict, &interp->threading_dict,
                             err);
    return rc;
}

/* Living threads of one interpreter by ident -> index. */
static bool map_idents(const struct pyi_threads *threads, size_t interp, struct pyi_map *out)
{
    for (size_t i = 0; i < threads->count; i++) {
        const struct pyi_tracked *thread = threads->items[i];
        if (thread->shown.alive && thread->interp == interp && thread->shown.ident != UINT64_MAX &&
            !pyi_map_put(out, thread->shown.ident, i))
            return false;
    }
    return true;
}

/* Names those who have none yet, and when `again` a few of the others, in turn. An item that
 * cannot be read is only its own thread's loss. */
static int name_items(struct pyi_cpython *python, struct pyi_interp *interp,
                      const struct pyi_dict_item *items, size_t count, const struct pyi_map *idents,
                      bool again, struct pyi_error *err)
{
    size_t renewed = 0, start = count > 0 ? interp->names_next % count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct pyi_dict_item *item = &items[(start + i) % count];
        uint64_t ident, index;
        int rc = pyi_object_int(python, item->key, &ident, err);
        if (rc == 0 && ident != UINT64_MAX && pyi_map_get(idents, ident, &index)) {
            struct pyi_tracked *thread = python->threads.items[index];
            if (thread->named && (!again || renewed >= NAMES_AT_ONCE))
                continue;
            if (thread->named && ++renewed == NAMES_AT_ONCE)
                interp->names_next = start + i + 1;
            rc = name_thread(python, thread, item->value, err);
        }
        if (pyi_is_fatal(rc))
            return rc;
    }
    return 0;
}

/* The int keys and Thread objects of a dict: what every look at them begins with. */
static int load_items(struct pyi_cpython *python, const struct pyi_dict_item *items, size_t count,
                      struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *addresses = malloc((2 * count + 1) * sizeof(pyi_addr));
    if (addresses == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        addresses[2 * i] = items[i].key;
        addresses[2 * i + 1] = items[i].value;
    }
    return pyi_memory_load_pages(python->pages, addresses, 2 * count, err);
}

/* threading._active: int -> Thread. */
static int name_interp(struct pyi_cpython *python, size_t index, bool again, struct pyi_error *err)
{
    static const char *const words[] = {"_active"};
    struct pyi_interp *interp = &python->threads.interps[index];
    PYI_CLEANUP(pyi_cleanup_free) struct pyi_dict_item *items = NULL;
    size_t count = 0;
    pyi_addr active = 0;
    int rc = interp->threading_dict == 0 ? find_threading(python, interp, err) : 0;
    if (rc != 0 || interp->threading_dict == 0)
        return rc;
    rc = pyi_dict_find(python, interp->threading_dict, words, 1, &active, err);
    if (rc == 0 && active != 0)
        rc = pyi_dict_items(python, active, &items, &count, err);
    if (rc != 0)
        interp->threading_dict = 0;
    if (rc == 0)
        rc = load_items(python, items, count, err);
    if (rc != 0)
        return rc;
    struct pyi_map idents = {0};
    rc = map_idents(&python->threads, index, &idents)
             ? name_items(python, interp, items, count, &idents, again, err)
             : pyi_error_nomem(err);
    pyi_map_deinit(&idents);
    return rc;
}

/* Names for those that have none from `threading`, and when to ask it again: a thread appears in
 * the interpreter's list before it appears in `threading`, by some milliseconds when others want
 * the lock too. A thread that lives for one request has its work soon after, so it is asked for
 * in every round at first. */
static int name_rest(struct pyi_cpython *python, struct pyi_error *err)
{
    for (size_t i = 0; i < python->threads.count; i++) {
        struct pyi_tracked *thread = python->threads.items[i];
        if (!thread->shown.alive || thread->named)
            continue;
        if (thread->shown.name.length == 0) {
            int rc = set_other_name(python, thread, err);
            if (rc != 0)
                return rc;
        }
        if (thread->name_retry > python->round)
            continue;
        if (thread->name_asked < NAMES_EAGER) {
            thread->name_asked++;
            thread->name_retry = python->round + 1;
        } else {
            thread->name_retry = next_time(python, &thread->name_failed);
        }
    }
    return 0;
}

static bool someone_waits(const struct pyi_cpython *python, size_t interp)
{
    for (size_t i = 0; i < python->threads.count; i++) {
        const struct pyi_tracked *thread = python->threads.items[i];
        if (thread->interp == interp && thread->shown.alive && !thread->named &&
            thread->name_retry <= python->round)
            return true;
    }
    return false;
}

static int name_all(struct pyi_cpython *python, struct pyi_error *err)
{
    struct pyi_threads *threads = &python->threads;
    double now = now_seconds();
    for (size_t i = 0; i < threads->interp_count; i++) {
        struct pyi_interp *interp = &threads->interps[i];
        if (interp->seen != python->round)
            continue;
        bool again = now - interp->names_time >= NAMES_SECONDS;
        if (!again && !someone_waits(python, i))
            continue;
        if (again)
            interp->names_time = now;
        int rc = name_interp(python, i, again, err);
        if (pyi_is_fatal(rc))
            return rc;
    }
    return 0;
}

int pyi_threads_names(struct pyi_cpython *python, struct pyi_error *err)
{
    bool waiting = python->threads.listed || python->round <= python->threads.list_until;
    for (size_t i = 0; !waiting && i < python->threads.interp_count; i++)
        waiting = someone_waits(python, i);
    if (!waiting)
        return 0;
    /* Hundreds of small objects that lie close together: page by page. */
    struct pyi_memory *memory = python->memory;
    pyi_memory_forget_pages(python->pages);
    python->memory = python->pages;
    int rc = name_all(python, err);
    python->memory = memory;
    return rc != 0 ? rc : name_rest(python, err);
}
