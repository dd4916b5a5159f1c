/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * cpython.c - opens a runtime and makes rounds: one vectored read, then local work.
 *
 * In: readable memory, the runtime's address, the layout. Out: one stack per selected thread and
 * round. Must not know /proc, ELF files, or whether the memory is alive.
 */
#include "attach/cpython/cpython.h"

#include "attach/leaf/leaf.h"
#include "attach/cpython/activity.h"
#include "attach/cpython/object.h"
#include "attach/cpython/python.h"
#include "attach/cpython/verify.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define WINDOW_LIMIT 4096

struct pyi_text pyi_cpython_text(struct pyi_cpython *python, const struct pyi_strbuf *buffer)
{
    struct pyi_text text = pyi_strbuf_get(buffer);
    uint32_t number = pyi_intern_add(&python->texts, text.data, text.length);
    if (number == UINT32_MAX)
        return (struct pyi_text){0};
    return pyi_intern_text(&python->texts, number);
}

/* ---- open ------------------------------------------------------------------------------------ */

static void widen(pyi_addr *from, pyi_addr *to, uint32_t offset, size_t size)
{
    if (!pyi_has_field(offset))
        return;
    if (offset < *from)
        *from = offset;
    if (offset + size > *to)
        *to = offset + size;
}

/* The parts of interpreter and thread states that every round reads. */
static int set_windows(struct pyi_cpython *python, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    pyi_addr from = UINT64_MAX, to = 0;
    widen(&from, &to, layout->interp_next, 8);
    widen(&from, &to, layout->interp_id, 8);
    widen(&from, &to, layout->interp_threads_head, 8);
    widen(&from, &to, layout->interp_code_generation, 8);
    if (python->options.states) {
        widen(&from, &to, layout->interp_gc_collecting, 4);
        widen(&from, &to, layout->interp_gc_frame, 8);
    }
    python->interp_from = from;
    python->interp_length = to - from;
    /* Up to 3.11 the global lock lies behind the head of the list, in 3.8 the collector as well. */
    from = layout->runtime_interpreters_head;
    to = from + 8;
    if (python->options.states && pyi_has_field(layout->runtime_gil_last_holder)) {
        widen(&from, &to, layout->runtime_gil_last_holder, PYI_LOCK_SIZE);
        widen(&from, &to, layout->runtime_gc_collecting, 4);
    }
    python->runtime_length = 8;
    if (from == layout->runtime_interpreters_head && to - from <= WINDOW_LIMIT)
        python->runtime_length = to - from;
    from = 0;
    to = 0;
    const uint32_t fields[] = {
        layout->tstate_next,
        layout->tstate_interp,
        layout->tstate_frame,
        layout->tstate_current_frame,
        layout->tstate_base_frame,
        layout->tstate_thread_id,
        layout->tstate_id,
        layout->tstate_native_thread_id,
        layout->tstate_cframe,
        layout->tstate_datastack_chunk,
        layout->tstate_datastack_top,
        layout->tstate_datastack_limit,
        python->options.states ? layout->tstate_gil_requested : PYI_NO_FIELD,
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        widen(&from, &to, fields[i], 8);
    /* 3.11, 3.12: the outermost C-stack record lives inside the thread state. */
    if (!python->heap_frames && python->minor <= 12)
        widen(&from, &to, layout->tstate_size - 8, 8);
    if (python->options.exceptions && layout->minor >= 11) {
        widen(&from, &to, layout->tstate_current_exception, 8);
        widen(&from, &to, layout->tstate_exc_info, 8);
        /* The thread's own item stands behind the end of the data stack (3.11 to 3.15,
         * Include/cpython/pystate.h: exc_state). */
        widen(&from, &to, layout->tstate_datastack_limit, 32);
    }
    python->state_window = to;
    if (python->interp_length > WINDOW_LIMIT || python->state_window > WINDOW_LIMIT)
        return pyi_error_set(err, PYI_E_FORMAT, "layout of thread states makes no sense");
    return 0;
}

int pyi_cpython_open_layout(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                            const struct pyi_layout *layout,
                            const struct pyi_target_options *options,
                            const struct pyi_thread_facts *facts, struct pyi_cpython **out,
                            struct pyi_error *err)
{
    struct pyi_cpython *python = calloc(1, sizeof(*python));
    if (python == NULL)
        return pyi_error_nomem(err);
    python->memory = memory;
    python->runtime = *runtime;
    python->layout = *layout;
    if (options != NULL)
        python->options = *options;
    if (facts != NULL)
        python->facts = *facts;
    python->minor = layout->major == 2 ? PYI_PYTHON_2 : layout->minor;
    python->heap_frames = python->minor < 11;
    python->repair = !python->heap_frames && pyi_has_field(layout->iframe_stacktop);
    /* 3.14+, Include/internal/pycore_stackref.h: the low two bits of a reference are flags. */
    python->reference_mask = python->minor >= 14 ? ~UINT64_C(3) : ~UINT64_C(0);
    python->max_depth = python->options.max_depth != 0 ? python->options.max_depth : PYI_MAX_DEPTH;
    python->pages = pyi_memory_new_pages(memory);
    int rc = python->pages != NULL ? set_windows(python, err) : pyi_error_nomem(err);
    if (rc != 0) {
        pyi_cpython_close(python);
        return rc;
    }
    *out = python;
    return 0;
}

int pyi_cpython_open(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                     const struct pyi_target_options *options, const struct pyi_thread_facts *facts,
                     struct pyi_cpython **out, struct pyi_error *err)
{
    struct pyi_layout layout;
    char source[128];
    const char *assume = options != NULL ? options->assume_version : NULL;
    int rc = pyi_layout_read(memory, runtime, assume, &layout, source, err);
    struct pyi_cpython *python;
    if (rc == 0)
        rc = pyi_cpython_open_layout(memory, runtime, &layout, options, facts, &python, err);
    if (rc != 0)
        return rc;
    memcpy(python->source, source, sizeof(python->source));
    *out = python;
    return 0;
}

void pyi_cpython_stop_threads(struct pyi_cpython *python, const struct pyi_stopping *stopping)
{
    python->stopping = stopping;
    python->repair = false;
}

void pyi_cpython_close(struct pyi_cpython *python)
{
    if (python == NULL)
        return;
    pyi_memory_close(python->pages);
    pyi_threads_deinit(&python->threads);
    pyi_codes_deinit(&python->codes);
    pyi_classes_deinit(&python->classes);
    pyi_leaves_free(python->leaves);
    pyi_intern_deinit(&python->texts);
    pyi_edges_deinit(&python->edges);
    pyi_copy_deinit(&python->copy);
    pyi_copy_deinit(&python->again);
    pyi_arena_free(&python->arena);
    free(python->stacks);
    free(python->activities);
    free(python);
}

/* ---- state of the runtime -------------------------------------------------------------------- */

static int runtime_int(struct pyi_cpython *python, uint32_t field, int32_t *out,
                       struct pyi_error *err)
{
    uint8_t bytes[4];
    int rc = pyi_object_bytes(python, python->runtime.address + field, bytes, 4, err);
    if (rc == 0)
        *out = pyi_load_i32(bytes);
    return rc;
}

int pyi_cpython_started(struct pyi_cpython *python, bool *started, struct pyi_error *err)
{
    uint64_t interp = 0;
    int rc = pyi_object_word(
        python, python->runtime.address + python->layout.runtime_interpreters_head, &interp, err);
    if (rc == 0)
        *started = interp != 0;
    return rc;
}

int pyi_cpython_ready(struct pyi_cpython *python, bool *ready, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    int32_t initialized = 1;
    uint64_t interp = 0, state = 0;
    int rc = 0;
    if (pyi_has_field(layout->runtime_initialized))
        rc = runtime_int(python, layout->runtime_initialized, &initialized, err);
    if (rc == 0)
        rc = pyi_object_word(python, python->runtime.address + layout->runtime_interpreters_head,
                             &interp, err);
    if (rc == 0 && interp != 0)
        rc = pyi_object_word(python, interp + layout->interp_threads_head, &state, err);
    if (rc == 0)
        *ready = initialized != 0 && interp != 0 && state != 0;
    return rc;
}

int pyi_cpython_finalizing(struct pyi_cpython *python, bool *finalizing, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    uint64_t word = 0, interp = 0;
    uint8_t flag[4] = {0};
    int rc = 0;
    if (pyi_has_field(layout->runtime_finalizing))
        rc = pyi_object_word(python, python->runtime.address + layout->runtime_finalizing, &word,
                             err);
    if (rc == 0 && pyi_has_field(layout->runtime_interpreters_main))
        rc = pyi_object_word(python, python->runtime.address + layout->runtime_interpreters_main,
                             &interp, err);
    if (rc == 0 && interp != 0 && pyi_has_field(layout->interp_finalizing))
        rc = pyi_object_bytes(python, interp + layout->interp_finalizing, flag, 4, err);
    if (rc == 0)
        *finalizing = word != 0 || pyi_load_i32(flag) != 0;
    return rc;
}

/* ---- round ----------------------------------------------------------------------------------- */

static void ask_selection(struct pyi_cpython *python)
{
    const struct pyi_target_options *options = &python->options;
    for (size_t i = 0; i < python->threads.count; i++) {
        struct pyi_tracked *thread = python->threads.items[i];
        if (!thread->shown.alive || thread->asked)
            continue;
        bool selected =
            options->select == NULL || options->select(options->select_context, &thread->shown);
        thread->planned &= selected == thread->selected;
        thread->selected = selected;
        thread->asked = true;
    }
}

static int sample_all(struct pyi_cpython *python, struct pyi_round *out, struct pyi_error *err)
{
    size_t count = 0;
    if (!pyi_array_reserve(&python->stacks, &python->stack_capacity, python->threads.count + 1,
                           sizeof(*python->stacks)) ||
        !pyi_array_reserve(&python->activities, &python->activity_capacity,
                           python->threads.count + 1, sizeof(*python->activities)))
        return pyi_error_nomem(err);
    for (size_t i = 0; i < python->threads.count; i++) {
        struct pyi_tracked *thread = python->threads.items[i];
        if (!thread->shown.alive || !thread->selected)
            continue;
        struct pyi_stack *stack = &python->stacks[count];
        struct pyi_activity *activity = &python->activities[count++];
        int rc = pyi_verify_sample(python, thread, stack, err);
        if (rc != 0)
            return rc;
        pyi_activity_of(python, thread, activity);
        activity->stack = stack;
    }
    *out = (struct pyi_round){python->stacks, count};
    return 0;
}

int pyi_cpython_round(struct pyi_cpython *python, struct pyi_round *out, struct pyi_error *err)
{
    python->round++;
    pyi_copy_reset(&python->copy);
    int rc = pyi_threads_plan(python, err);
    if (rc == 0)
        rc = pyi_copy_read(&python->copy, python->memory, err);
    if (rc == 0)
        rc = pyi_threads_list(python, err);
    if (rc == 0)
        rc = pyi_threads_names(python, err);
    if (rc != 0)
        return rc;
    if (python->options.states)
        pyi_activity_read(python);
    ask_selection(python);
    return sample_all(python, out, err);
}

/* ---- sys -------------------------------------------------------------------------------------
 * Its paths, argv and prefixes; what is absent or of another type is left out. */

enum { WORD_PATH, WORD_ARGV, WORD_PREFIX, WORDS = WORD_PREFIX + 4 };
static const char *const sys_words[WORDS] = {"path",        "argv",        "prefix",
                                             "base_prefix", "exec_prefix", "base_exec_prefix"};

/* Empty when it cannot be had. */
static int read_str(struct pyi_cpython *python, pyi_addr object, struct pyi_text *out, bool *is_str,
                    struct pyi_error *err)
{
    const struct pyi_class *type;
    struct pyi_strbuf buffer = {0};
    *is_str = false;
    *out = pyi_text("");
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && pyi_is_text(python, type)) {
        rc = pyi_object_str(python, object, 65536, &buffer, err);
        if (rc == 0) {
            *out = pyi_cpython_text(python, &buffer);
            *is_str = out->data != NULL;
            rc = *is_str ? 0 : pyi_error_nomem(err);
        }
    }
    pyi_strbuf_deinit(&buffer);
    return pyi_is_fatal(rc) ? rc : 0;
}

/* The str items of a list; other objects are legal there and skipped. */
static int read_list(struct pyi_cpython *python, pyi_addr object, const struct pyi_text **out,
                     size_t *count, struct pyi_error *err)
{
    const struct pyi_class *type;
    PYI_CLEANUP(pyi_cleanup_free) pyi_addr *items = NULL;
    size_t found = 0;
    *count = 0;
    if (object == 0)
        return 0;
    int rc = pyi_object_class(python, object, &type, err);
    if (rc == 0 && !(type->flags & PYI_TYPE_IS_LIST))
        return 0;
    if (rc == 0)
        rc = pyi_object_list(python, object, PYI_MAX_LIST, &items, &found, err);
    if (rc != 0)
        return pyi_is_fatal(rc) ? rc : 0;
    struct pyi_text *texts = pyi_arena_alloc(&python->arena, (found + 1) * sizeof(*texts));
    if (texts == NULL)
        return pyi_error_nomem(err);
    for (size_t i = 0; i < found; i++) {
        bool is_str;
        rc = read_str(python, items[i], &texts[*count], &is_str, err);
        if (rc != 0)
            return rc;
        *count += is_str;
    }
    *out = texts;
    return 0;
}

/* 2.7, 3.6: nothing names it, it is the last of the list. */
int pyi_cpython_main_interpreter(struct pyi_cpython *python, pyi_addr *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    bool named = pyi_has_field(layout->runtime_interpreters_main);
    uint32_t field = named ? layout->runtime_interpreters_main : layout->runtime_interpreters_head;
    pyi_addr next;
    int rc = pyi_object_word(python, python->runtime.address + field, &next, err);
    *out = next;
    for (int i = 0; rc == 0 && !named && next != 0 && i < PYI_MAX_INTERPRETERS; i++) {
        *out = next;
        rc = pyi_object_word(python, *out + layout->interp_next, &next, err);
    }
    return rc;
}

/* The dict of sys has been seen torn only while the program assigns to it: a few more tries. */
static int find_words(struct pyi_cpython *python, pyi_addr values[WORDS], struct pyi_error *err)
{
    int rc = PYI_E_FAULT;
    for (int i = 0; i <= PYI_RETRIES && rc != 0 && (i == 0 || !pyi_is_fatal(rc)); i++) {
        pyi_addr interp;
        uint64_t dict;
        rc = pyi_cpython_main_interpreter(python, &interp, err);
        if (rc == 0)
            rc = pyi_object_word(python, interp + python->layout.interp_sysdict, &dict, err);
        if (rc == 0)
            rc = pyi_dict_find(python, dict, sys_words, WORDS, values, err);
    }
    return rc;
}

int pyi_cpython_sysinfo(struct pyi_cpython *python, const struct pyi_sysinfo **out,
                        struct pyi_error *err)
{
    if (python->sysinfo != NULL) {
        *out = python->sysinfo;
        return 0;
    }
    pyi_addr values[WORDS] = {0};
    struct pyi_sysinfo *info = pyi_arena_alloc(&python->arena, sizeof(*info));
    if (info == NULL)
        return pyi_error_nomem(err);
    int rc = find_words(python, values, err);
    if (pyi_is_fatal(rc))
        return rc;
    info->from_sys = rc == 0 && values[WORD_PREFIX] != 0;
    rc = read_list(python, values[WORD_PATH], &info->path, &info->path_count, err);
    if (rc == 0)
        rc = read_list(python, values[WORD_ARGV], &info->argv, &info->argv_count, err);
    for (int i = 0; rc == 0 && i < 4; i++) {
        bool is_str;
        rc = read_str(python, values[WORD_PREFIX + i], &info->prefixes[i], &is_str, err);
    }
    if (rc != 0)
        return rc;
    python->sysinfo = info;
    *out = info;
    return 0;
}

/* ---- what others ask ------------------------------------------------------------------------- */

struct pyi_text pyi_cpython_class_name(const struct pyi_cpython *python, uint32_t number)
{
    if (number == 0 || number > python->classes.names.count)
        return pyi_text("");
    return pyi_intern_text(&python->classes.names, number - 1);
}

void pyi_cpython_forget_sysinfo(struct pyi_cpython *python)
{
    python->sysinfo = NULL;
}

const struct pyi_thread *pyi_cpython_thread(const struct pyi_cpython *python, uint32_t index)
{
    return index < python->threads.count ? &python->threads.items[index]->shown : NULL;
}

void pyi_cpython_stats(const struct pyi_cpython *python, struct pyi_target_stats *out)
{
    out->mispredicted += python->mispredicted;
    out->code_misses += python->codes.misses;
    out->code_reused += python->codes.reused;
}

bool pyi_cpython_edge_proven(const struct pyi_cpython *python, uint32_t edge)
{
    return pyi_edges_proven(&python->edges, edge);
}

const char *pyi_cpython_layout_source(const struct pyi_cpython *python)
{
    return python->source;
}
