/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * leaf.c - which C function the top frame is calling.
 *
 * In: the top frame of an accepted walk, its instructions and its value stack as copied. Out: one
 * record with the callee's qualified name, or none. Everything is told from memory: the current
 * instruction is a call, its callable stands on the value stack. In doubt there is no leaf, since
 * a wrong one misleads more than a missing one. Must not know what becomes of the answer.
 */
#include "attach/leaf/leaf.h"

#include "attach/leaf/callable.h"
#include "attach/leaf/depth.h"
#include "attach/cpython/object.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define KNOWN_LIMIT     65536 /* callables remembered; then all are forgotten */
#define TRUST_ROUNDS    256   /* rounds a module's function is believed without a look */
#define SELF_ROUNDS     64    /* the same for the type of an object a method is called on */
#define RETRY_ROUNDS    64    /* most rounds between two tries of unreadable code */
#define SELF_SURE       8 /* selves of one type in a row, after which one in so many is checked */
#define DULL            8 /* looks at a call, none a C function, after which one in so many is made */
#define MAX_FOLLOW      4 /* bound methods, partials, wrappers inside one another */
#define MAX_STACK_BYTES 65536
#define MAX_PREDICTED   8192
#define MAX_EXECUTORS   256

/** Calls of one code object. */
struct leaf_code {
    uint32_t version; /* of its entry */
    uint32_t retry;   /* not readable: round to try again */
    uint32_t wait;    /* rounds until then */
    bool known;
    struct pyi_calls calls;
};

/** Part of a frame as copied. */
struct window {
    const uint8_t *bytes; /* from the frame's start */
    size_t base;          /* offset of the first value-stack slot */
    size_t depth;         /* values on the stack */
    bool stored;          /* the evaluator stored its stack pointer: it is in the call */
};

void pyi_leaves_free(struct pyi_leaves *leaves)
{
    if (leaves == NULL)
        return;
    for (size_t i = 0; i < leaves->list_count; i++)
        free(leaves->list[i]->calls.sites);
    free(leaves->list);
    pyi_map_deinit(&leaves->codes);
    pyi_map_deinit(&leaves->callables);
    pyi_map_deinit(&leaves->names);
    pyi_map_deinit(&leaves->types);
    pyi_intern_deinit(&leaves->texts);
    pyi_arena_free(&leaves->code_arena);
    pyi_arena_free(&leaves->callable_arena);
    free(leaves);
}

/* ---- the calls of a code object -------------------------------------------------------------- */

static struct leaf_code *code_of(struct pyi_cpython *python, const struct pyi_code_entry *entry,
                                 struct pyi_error *err)
{
    struct pyi_leaves *leaves = python->leaves;
    uint64_t value;
    if (pyi_map_get(&leaves->codes, (uintptr_t)entry, &value))
        return (struct leaf_code *)(uintptr_t)value;
    struct leaf_code *leaf = pyi_arena_alloc(&leaves->code_arena, sizeof(*leaf));
    if (leaf == NULL ||
        !pyi_array_reserve(&leaves->list, &leaves->list_capacity, leaves->list_count + 1,
                           sizeof(struct leaf_code *)) ||
        !pyi_map_put(&leaves->codes, (uintptr_t)entry, (uintptr_t)leaf)) {
        pyi_error_nomem(err);
        return NULL;
    }
    leaves->list[leaves->list_count++] = leaf;
    leaf->version = entry->version - 1;
    return leaf;
}

/* The calls of the code object as it is now; `*out` NULL when they cannot be told. */
static int know_code(struct pyi_cpython *python, const struct pyi_code_entry *entry,
                     struct leaf_code **out, struct pyi_error *err)
{
    *out = NULL;
    struct leaf_code *leaf = code_of(python, entry, err);
    if (leaf == NULL)
        return PYI_E_NOMEM;
    bool same = leaf->version == entry->version;
    if (!same || (!leaf->known && python->round >= leaf->retry)) {
        /* A read that failed once is most likely good a moment later; one that keeps failing is
         * not worth a call in every round. */
        uint32_t wait = same && leaf->wait > 0 ? leaf->wait * 2 : 1;
        free(leaf->calls.sites);
        *leaf = (struct leaf_code){.version = entry->version,
                                   .wait = wait < RETRY_ROUNDS ? wait : RETRY_ROUNDS};
        int rc = pyi_calls_read(python, entry, pyi_leaf_extended(python), &leaf->calls, err);
        if (pyi_is_fatal(rc))
            return rc;
        leaf->known = rc == 0;
        leaf->retry = python->round + leaf->wait;
    }
    if (leaf->known)
        *out = leaf;
    return 0;
}

/* ---- the value stack ------------------------------------------------------------------------- */

/* Local bytes of the frame from its start; NULL when it is gone or has moved on. What the
 * prediction missed is read and predicted from now on. */
static int frame_window(struct pyi_cpython *python, struct pyi_tracked *thread,
                        const struct pyi_frame *frame, size_t length, const uint8_t **out,
                        struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_view *view = &thread->view;
    *out = NULL;
    if (length > MAX_STACK_BYTES)
        return 0;
    const uint8_t *bytes = pyi_view_find(view, frame->address, length, NULL);
    if (bytes == NULL) {
        size_t piece;
        if (frame->chunk == 0 && length <= MAX_PREDICTED &&
            !pyi_places_heat(&thread->places, frame->address, (uint32_t)length, python->round))
            return pyi_error_nomem(err);
        int rc = pyi_copy_add(view->copy, frame->address, length, 0, &piece, err);
        if (rc == 0)
            rc = pyi_copy_read(view->copy, python->memory, err);
        if (rc != 0)
            return pyi_is_fatal(rc) ? rc : 0;
        bytes = pyi_copy_at(view->copy, piece, frame->address, length);
        if (bytes == NULL)
            return 0;
    }
    bool same = python->heap_frames
                    ? pyi_load_i32(bytes + layout->frameobject_lasti) == frame->instruction &&
                          pyi_load_u64(bytes + layout->frameobject_code) == frame->code
                    : (int64_t)pyi_load_u64(bytes + layout->iframe_instr) == frame->instruction &&
                          (pyi_load_u64(bytes + layout->iframe_code) & python->reference_mask) ==
                              frame->code;
    *out = same ? bytes : NULL;
    return 0;
}

/* Up to 3.10 the value stack begins where f_valuestack points, inside the frame object. */
static int heap_base(struct pyi_cpython *python, struct pyi_tracked *thread,
                     const struct pyi_frame *frame, size_t *base, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const uint8_t *bytes;
    int rc = frame_window(python, thread, frame, layout->frameobject_localsplus + 8, &bytes, err);
    if (rc != 0 || bytes == NULL)
        return rc;
    pyi_addr at = pyi_load_u64(bytes + layout->frameobject_valuestack);
    if (at % 8 == 0 && at >= frame->address + layout->frameobject_localsplus &&
        at - frame->address < MAX_STACK_BYTES)
        *base = at - frame->address;
    return 0;
}

/* Sees the value stack as it stood before the call; `out->bytes` NULL when it cannot be told. */
static int see_stack(struct pyi_cpython *python, struct pyi_tracked *thread,
                     const struct leaf_code *code, const struct pyi_call_site *site,
                     struct window *out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    const struct pyi_frame *frame = &thread->frames[0];
    int rc = 0;
    *out = (struct window){0};
    if (python->heap_frames)
        rc = heap_base(python, thread, frame, &out->base, err);
    else if (code->calls.locals < PYI_MAX_LOCALS && code->calls.stack_size < PYI_MAX_LOCALS)
        out->base = layout->iframe_localsplus + 8 * (size_t)code->calls.locals;
    if (rc != 0 || out->base == 0)
        return rc;
    size_t depth = python->minor >= 14 ? code->calls.stack_size
                   : site->other > 0   ? (size_t)site->other
                   : site->depth > 0   ? (size_t)site->depth
                                       : 0;
    rc = frame_window(python, thread, frame, out->base + 8 * depth, &out->bytes, err);
    if (rc != 0 || out->bytes == NULL || python->minor < 14)
        return rc;
    /* 3.14+: the evaluator stores its stack pointer before it calls C code. Elsewhere it is out
     * of date; it then differs from the depth this call has, so we are not in the call. */
    pyi_addr top = pyi_load_u64(out->bytes + layout->iframe_stacktop);
    pyi_addr bottom = frame->address + out->base;
    bool within = top >= bottom && (top - bottom) % 8 == 0 && (top - bottom) / 8 <= depth;
    out->depth = within ? (top - bottom) / 8 : 0;
    out->stored = within && (site->depth < 0 || (size_t)site->depth == out->depth);
    if (!out->stored && site->depth > 0 && site->role == PYI_ROLE_CALL && site->operand == 1)
        out->depth = (size_t)site->depth;
    else if (!out->stored)
        out->bytes = NULL;
    return 0;
}

/* ---- callables ------------------------------------------------------------------------------- */

static bool identical(const struct pyi_layout *layout, const struct pyi_known_callable *it,
                      const uint8_t *header)
{
    return memcmp(header + layout->object_type, it->words, sizeof(it->words)) == 0;
}

static struct pyi_known_callable *remember_callable(struct pyi_leaves *leaves, pyi_addr address)
{
    if (leaves->callables.count >= KNOWN_LIMIT) {
        pyi_map_clear(&leaves->callables);
        pyi_arena_free(&leaves->callable_arena);
        leaves->callable_arena = (struct pyi_arena){0};
    }
    struct pyi_known_callable *it = pyi_arena_alloc(&leaves->callable_arena, sizeof(*it));
    return it != NULL && pyi_map_put(&leaves->callables, address, (uintptr_t)it) ? it : NULL;
}

/* Copies the header of the object at `address`; `*fresh` false: not needed, because the object is
 * known and was looked at lately. */
static int read_header(struct pyi_cpython *python, struct pyi_tracked *thread, pyi_addr address,
                       const struct pyi_known_callable *known, uint8_t header[PYI_CALLABLE_HEADER],
                       bool *fresh, struct pyi_error *err)
{
    const uint32_t size = pyi_leaf_header(python);
    const uint8_t *bytes = pyi_view_object(&thread->view, address, size);
    *fresh = true;
    if (bytes != NULL) {
        memcpy(header, bytes, size);
        return 0;
    }
    if (known != NULL && known->stable && python->round - known->checked < TRUST_ROUNDS) {
        *fresh = false;
        return 0;
    }
    return pyi_object_bytes(python, address, header, size, err);
}

/* The object that is called. `*out` NULL: it is a bound method, and `*call` what it stands for; or
 * it is of no interest, and `call->callable` is 0. */
static int look_at(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_call *call,
                   bool dull, struct pyi_known_callable **out, struct pyi_error *err)
{
    const struct pyi_layout *layout = &python->layout;
    struct pyi_leaves *leaves = python->leaves;
    struct pyi_known_callable *it = NULL;
    const struct pyi_class *type;
    uint8_t header[PYI_CALLABLE_HEADER] = {0};
    uint64_t value;
    bool fresh;
    *out = NULL;
    if (pyi_map_get(&leaves->callables, call->callable, &value))
        it = (struct pyi_known_callable *)(uintptr_t)value;
    if (it == NULL && dull) {
        call->callable = 0;
        return 0;
    }
    int rc = read_header(python, thread, call->callable, it, header, &fresh, err);
    if (rc == 0 && !(fresh && (it == NULL || !identical(layout, it, header)))) {
        it->checked = fresh ? python->round : it->checked;
        *out = it;
    } else if (rc == 0) {
        rc = pyi_classes_get(python, pyi_load_u64(header + layout->object_type), &type, err);
    }
    if (rc != 0 || *out != NULL)
        return rc;
    if (type->callable == PYI_CALLABLE_METHOD) {
        *call = (struct pyi_call){pyi_load_u64(header + layout->method_func),
                                  pyi_load_u64(header + layout->method_self)};
        return 0;
    }
    bool is_type = (type->flags & PYI_TYPE_IS_TYPE) != 0;
    if (type->callable == PYI_CALLABLE_OTHER && !is_type && !pyi_leaf_extended(python)) {
        call->callable = 0;
        return 0;
    }
    if (it == NULL)
        it = remember_callable(leaves, call->callable);
    if (it == NULL)
        return pyi_error_nomem(err);
    *it = (struct pyi_known_callable){.address = call->callable, .checked = python->round};
    rc = pyi_leaf_fill(python, it, type, header, err);
    if (rc == 0) {
        memcpy(it->words, header + layout->object_type, sizeof(it->words));
        /* What gives no leaf may be believed for long: if wrong, a leaf is missing for a while. */
        it->stable |= is_type || (it->label == NULL && it->kind != PYI_CALLABLE_OTHER);
    }
    if (rc != 0)
        it->stable = false; /* half filled: looked at anew next time, not believed */
    *out = rc == 0 ? it : NULL;
    return rc;
}

/* A method's name goes by the type of the object it is called on. Where every object so far was
 * of the type that defines the method, only some are looked at. */
static int label_for_self(struct pyi_cpython *python, struct pyi_known_callable *it, pyi_addr self,
                          const struct pyi_code **leaf, struct pyi_error *err)
{
    const struct pyi_class *type;
    struct pyi_text qualifier;
    *leaf = it->label;
    if (it->plain || self == 0)
        return 0;
    if (self == it->last_self && python->round - it->last_round < SELF_ROUNDS) {
        *leaf = it->last_label;
        return 0;
    }
    if (it->confirmed >= SELF_SURE && it->confirmed++ % SELF_SURE != 0)
        return 0;
    int rc = pyi_leaf_type_of(python, self, &type, err);
    if (rc != 0)
        return pyi_is_fatal(rc) ? rc : 0;
    it->confirmed = type->address == it->owner ? it->confirmed + 1 : 0;
    if (type->address != it->owner && type->address != it->heir) {
        /* The object may be gone since the stack was copied, and another may be in its place. */
        bool heir = false;
        rc = pyi_leaf_inherits(python, type, it->owner, &heir, err);
        if (rc != 0 || !heir)
            return pyi_is_fatal(rc) ? rc : 0;
        it->heir = type->address;
    }
    if (type->address != it->owner) {
        rc = pyi_leaf_qualified(python, type, &qualifier, err);
        if (rc == 0)
            rc = pyi_leaf_label(python, qualifier, it->name, "", false, leaf, err);
        if (rc != 0)
            return rc;
    }
    it->last_self = self;
    it->last_round = python->round;
    it->last_label = *leaf;
    return 0;
}

/* `dull`: what is not known need not be looked at. */
static int name_call(struct pyi_cpython *python, struct pyi_tracked *thread, struct pyi_call call,
                     bool dull, const struct pyi_code **leaf, struct pyi_error *err)
{
    for (int i = 0; i < MAX_FOLLOW; i++) {
        struct pyi_known_callable *it;
        if (!pyi_addr_plausible(call.callable))
            return 0;
        int rc = look_at(python, thread, &call, dull, &it, err);
        if (rc != 0)
            return rc;
        if (it == NULL)
            continue;
        /* What may be freed at any time is compared in every sample, as part of its one read. */
        if (!it->stable && it->label != NULL &&
            !pyi_places_use(&thread->objects, call.callable, pyi_leaf_header(python),
                            python->round))
            return pyi_error_nomem(err);
        *leaf = it->label;
        return it->kind == PYI_CALLABLE_DESCRIPTOR
                   ? label_for_self(python, it, call.self, leaf, err)
                   : 0;
    }
    return 0;
}

/* ---- one frame ------------------------------------------------------------------------------- */

static int open_leaves(struct pyi_cpython *python, struct pyi_error *err)
{
    struct pyi_leaves *leaves = calloc(1, sizeof(*leaves));
    if (leaves == NULL)
        return pyi_error_nomem(err);
    python->leaves = leaves;
    const char *paths[] = {"<built-in>", "<extended>"};
    struct pyi_text *texts[] = {&leaves->built_in, &leaves->extended};
    for (int i = 0; i < 2; i++) {
        uint32_t number = pyi_intern_add(&python->texts, paths[i], strlen(paths[i]));
        if (number == UINT32_MAX)
            return pyi_error_nomem(err);
        *texts[i] = pyi_intern_text(&python->texts, number);
    }
    return 0;
}

/* The call the frame stands at, NULL when it stands elsewhere. */
static struct pyi_call_site *site_of(const struct pyi_cpython *python,
                                     const struct pyi_frame *frame, const struct leaf_code *code)
{
    int64_t unit = python->minor >= 11   ? (frame->instruction - (int64_t)frame->start) / 2
                   : python->minor == 10 ? frame->instruction
                                         : frame->instruction / 2;
    if (unit < 0 || unit > UINT32_MAX)
        return NULL;
    const struct pyi_call_site *site =
        pyi_call_site_at(code->calls.sites, code->calls.count, (uint32_t)unit, python->heap_frames);
    return site != NULL ? &code->calls.sites[site - code->calls.sites] : NULL;
}

static int decode(struct pyi_cpython *python, struct pyi_tracked *thread,
                  const struct pyi_code **leaf, struct pyi_error *err)
{
    struct leaf_code *code;
    struct window window;
    int rc = know_code(python, thread->frames[0].entry, &code, err);
    if (rc != 0 || code == NULL)
        return rc;
    struct pyi_call_site *site = site_of(python, &thread->frames[0], code);
    if (site == NULL || (site->depth < 0 && python->minor < 14))
        return 0;
    if (site->role == PYI_ROLE_OPERATION) {
        char name[64];
        snprintf(name, sizeof(name), "[%s]", pyi_opcodes(python->minor)[site->opcode].name);
        return pyi_leaf_label(python, (struct pyi_text){"", 0}, pyi_text(name), "", true, leaf,
                              err);
    }
    rc = see_stack(python, thread, code, site, &window, err);
    if (rc != 0 || window.bytes == NULL)
        return rc;
    /* Both before the first is looked at: reading may move the copy `window` points into. */
    struct pyi_call first = {0}, second = {0};
    if (python->minor < 14)
        window.depth = (size_t)site->depth;
    first = pyi_call_find(python->minor, site, window.bytes + window.base, window.depth);
    if (python->minor < 14 && site->other >= 0) {
        window.depth = (size_t)site->other;
        second = pyi_call_find(python->minor, site, window.bytes + window.base, window.depth);
    }
    /* Where no C function was ever called, what stands there is mostly what a Python function
     * returned: an object never seen before, not worth a read in every sample. */
    bool dull = !site->lively && site->dull >= DULL && site->dull++ % DULL != 0;
    rc = name_call(python, thread, first, dull, leaf, err);
    if (rc == 0 && *leaf == NULL && second.callable != 0)
        rc = name_call(python, thread, second, dull, leaf, err);
    site->lively |= *leaf != NULL;
    /* 3.14+, Python/bytecodes.c, CALL_LIST_APPEND: the evaluator does it itself and stores no stack
     * pointer. What else stands there with another one is only about to be called. */
    if (python->minor >= 14 && !window.stored && *leaf != NULL &&
        !pyi_text_equal((*leaf)->name, pyi_text("list.append")))
        *leaf = NULL;
    if (site->dull < DULL)
        site->dull++;
    else if (site->dull == UINT8_MAX)
        site->dull = DULL;
    return rc;
}

int pyi_leaf_find(struct pyi_cpython *python, struct pyi_tracked *thread,
                  const struct pyi_code **leaf, struct pyi_error *err)
{
    *leaf = NULL;
    /* An entry from C, or a frame that has not begun, means that a call is being made or left. */
    if (python->options.c_labels == PYI_C_LABELS_NONE || thread->frame_count == 0 ||
        thread->from_shim || thread->frames[0].hidden || thread->frames[0].entry->code == NULL)
        return 0;
    int rc = python->leaves == NULL ? open_leaves(python, err) : 0;
    if (rc == 0)
        rc = decode(python, thread, leaf, err);
    if (rc != 0)
        *leaf = NULL;
    return pyi_is_fatal(rc) ? rc : 0;
}
