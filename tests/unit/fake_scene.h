/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fake_scene.h - a hand-made interpreter with one thread and four frames, for tests of rounds.
 */
#ifndef PYI_TESTS_FAKE_SCENE_H
#define PYI_TESTS_FAKE_SCENE_H

#include "attach/cpython/cpython.h"
#include "attach/cpython/python.h"
#include "tests/unit/fake_python.h"

#define FRAMES 4

/* One interpreter with one thread and FRAMES frames: a module and three functions. */
struct scene {
    struct fake *fake;
    struct pyi_cpython *python;
    pyi_addr runtime, interp, state, chunk, base;
    pyi_addr frames[FRAMES], codes[FRAMES]; /* outermost first */
    pyi_addr type;                          /* of self in frame 2 */
};

static inline void make_codes(struct scene *scene)
{
    static const char *const names[FRAMES] = {"<module>", "outer", "method", "leaf"};
    for (int i = 0; i < FRAMES; i++)
        scene->codes[i] =
            fake_code(scene->fake, names[i], "/srv/app.py", 10 * (i + 1), i == 2 ? "self" : NULL);
    scene->type = fake_type(scene->fake, "Server", 0);
}

static inline pyi_addr make_self(struct scene *scene)
{
    return fake_object(scene->fake, scene->type, 64);
}

/* 3.8 to 3.10. */
static inline void make_heap_frames(struct scene *scene)
{
    struct fake *fake = scene->fake;
    const struct pyi_layout *l = fake->layout;
    for (int i = 0; i < FRAMES; i++) {
        pyi_addr at = scene->frames[i] =
            fake_object(fake, fake->frame_type, l->frameobject_localsplus + 64);
        fake_u64(fake, at + l->frameobject_code, scene->codes[i]);
        fake_u64(fake, at + l->frameobject_back, i > 0 ? scene->frames[i - 1] : 0);
        fake_i32(fake, at + l->frameobject_lasti, l->minor == 10 ? 5 * i : 10 * i);
        if (pyi_has_field(l->frameobject_executing))
            *fake_at(fake, at + l->frameobject_executing) = 1;
    }
    fake_u64(fake, scene->frames[2] + l->frameobject_localsplus, make_self(scene));
    fake_u64(fake, scene->state + l->tstate_frame, scene->frames[FRAMES - 1]);
}

static inline void set_instruction(struct scene *scene, int frame, int unit)
{
    const struct pyi_layout *l = scene->fake->layout;
    fake_u64(scene->fake, scene->frames[frame] + l->iframe_instr,
             scene->codes[frame] + l->code_adaptive + 2 * (uint64_t)unit);
}

/* Free-threaded 3.14+, pycore_stackref.h: ordinary code slots are deferred references, tag 1. */
static inline uint64_t code_reference(const struct pyi_layout *l, pyi_addr code)
{
    return code != 0 && l->free_threaded && l->minor >= 14 ? code | 1 : code;
}

/* 3.11-3.13: `stacktop`, -1 while the frame runs. */
static inline void set_mark(struct scene *scene, int frame, int32_t mark)
{
    const struct pyi_layout *l = scene->fake->layout;
    if (l->minor >= 11 && l->minor <= 13)
        fake_i32(scene->fake, scene->frames[frame] + l->iframe_stacktop, mark);
}

/* 3.11+: three frames one behind the other on the data stack, all run by one evaluator call. */
static inline void make_stack_frames(struct scene *scene)
{
    struct fake *fake = scene->fake;
    const struct pyi_layout *l = fake->layout;
    size_t step = l->iframe_localsplus + 32;
    pyi_addr shim = 0;
    fake->used = (fake->used + 4095) & ~(size_t)4095;
    scene->chunk = fake_alloc(fake, 16384);
    fake_u64(fake, scene->chunk + l->chunk_size_field, 16384);
    if (l->minor >= 12) {
        shim = scene->base = fake_alloc(fake, 128);
        *fake_at(fake, shim + l->iframe_owner) = 3;
    }
    for (int i = 0; i < FRAMES; i++) {
        pyi_addr at = scene->frames[i] = scene->chunk + l->chunk_data + step * (size_t)i;
        fake_u64(fake, at + l->iframe_code, code_reference(l, scene->codes[i]));
        fake_u64(fake, at + l->iframe_previous, i > 0 ? scene->frames[i - 1] : shim);
        if (pyi_has_field(l->iframe_is_entry))
            *fake_at(fake, at + l->iframe_is_entry) = i == 0;
        set_instruction(scene, i, 5 * i + (i == 0));
        set_mark(scene, i, i == FRAMES - 1 ? -1 : 1);
    }
    fake_u64(fake, scene->frames[2] + l->iframe_localsplus, make_self(scene));
    fake_u64(fake, scene->state + l->tstate_datastack_chunk, scene->chunk);
    fake_u64(fake, scene->state + l->tstate_datastack_top, scene->frames[FRAMES - 1] + step);
    fake_u64(fake, scene->state + l->tstate_datastack_limit, scene->chunk + 16384);
    if (pyi_has_field(l->tstate_base_frame))
        fake_u64(fake, scene->state + l->tstate_base_frame, scene->base);
}

static inline void set_head(struct scene *scene, pyi_addr head)
{
    struct fake *fake = scene->fake;
    const struct pyi_layout *l = fake->layout;
    if (l->minor < 11) {
        fake_u64(fake, scene->state + l->tstate_frame, head);
    } else if (pyi_has_field(l->tstate_current_frame)) {
        fake_u64(fake, scene->state + l->tstate_current_frame, head);
    } else {
        pyi_addr record = fake_alloc(fake, 32);
        fake_u64(fake, scene->state + l->tstate_cframe, record);
        fake_u64(fake, record + l->cframe_current_frame, head);
    }
}

static inline struct scene *scene_new(uint32_t version, size_t max_depth)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    struct fake *fake = scene->fake = fake_new(version);
    const struct pyi_layout *l = fake->layout;
    scene->runtime = fake_alloc(fake, 4096);
    scene->interp = fake_alloc(fake, 16384);
    scene->state = fake_alloc(fake, 4096);
    fake_u64(fake, scene->runtime + l->runtime_interpreters_head, scene->interp);
    if (pyi_has_field(l->runtime_main_thread))
        fake_u64(fake, scene->runtime + l->runtime_main_thread, 4711);
    fake_u64(fake, scene->interp + l->interp_threads_head, scene->state);
    fake_u64(fake, scene->state + l->tstate_interp, scene->interp);
    fake_u64(fake, scene->state + l->tstate_thread_id, 4711);
    make_codes(scene);
    if (l->minor < 11)
        make_heap_frames(scene);
    else
        make_stack_frames(scene);
    set_head(scene, scene->frames[FRAMES - 1]);
    scene->python = fake_open(fake, scene->runtime, max_depth);
    return scene;
}

static inline void scene_free(struct scene *scene)
{
    pyi_cpython_close(scene->python);
    free(scene->fake);
    free(scene);
}

static const struct pyi_stack *round_of(struct scene *scene)
{
    struct pyi_round round = {0};
    assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
    assert_int_equal(round.count, 1);
    return &round.stacks[0];
}

/* No free-threaded 3.14 or 3.15 was at hand: their rows are made from headers, and these tests are
 * all that runs the decoders on them. */
static const uint32_t versions[] = {0x030710f0,
                                    0x030812f0,
                                    0x030912f0,
                                    0x030a0df0,
                                    0x030b07f0,
                                    0x030c01f0,
                                    0x030d00f0,
                                    0x030e0af0,
                                    0x030f02f0,
                                    FAKE_FREE_THREADED | 0x030d05f0,
                                    FAKE_FREE_THREADED | 0x030e0af0,
                                    FAKE_FREE_THREADED | 0x030f02f0};
#define EVERY(scene, depth)                                                                        \
    for (size_t v = 0; v < sizeof(versions) / sizeof(versions[0]); v++)                            \
        for (struct scene *scene = scene_new(versions[v], depth); scene != NULL;                   \
             scene_free(scene), scene = NULL)

static inline void set_back(struct scene *scene, int frame, pyi_addr back)
{
    const struct pyi_layout *l = scene->fake->layout;
    uint32_t field = l->minor < 11 ? l->frameobject_back : l->iframe_previous;
    fake_u64(scene->fake, scene->frames[frame] + field, back);
}

static inline void set_code(struct scene *scene, int frame, pyi_addr code)
{
    const struct pyi_layout *l = scene->fake->layout;
    uint32_t field = l->minor < 11 ? l->frameobject_code : l->iframe_code;
    fake_u64(scene->fake, scene->frames[frame] + field, code_reference(l, code));
}

/* The stack as the interpreter leaves it when frame `top` is the one that runs. */
static inline void set_top(struct scene *scene, int top)
{
    for (int i = 0; i < FRAMES; i++) {
        set_mark(scene, i, i == top ? -1 : 1);
        if (scene->fake->layout->minor >= 14)
            set_code(scene, i, i <= top ? scene->codes[i] : 0);
    }
    set_head(scene, scene->frames[top]);
}

#endif
