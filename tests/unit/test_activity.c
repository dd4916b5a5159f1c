/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_activity.c - the lock's holder, the collector and exceptions, in hand-made interpreters.
 */
#include "attach/cpython/activity.h"
#include "tests/unit/fake_scene.h"

/* The scene's decoder anew, with states asked for. */
static void ask(struct scene *scene, bool no_gc)
{
    struct pyi_runtime where = {.address = scene->runtime};
    struct pyi_target_options options = {
        .states = true, .exceptions = scene->fake->layout->minor >= 11, .no_gc = no_gc};
    pyi_cpython_close(scene->python);
    scene->python = NULL;
    assert_int_equal(pyi_cpython_open_layout(&scene->fake->memory, &where, scene->fake->layout,
                                             &options, NULL, &scene->python, NULL),
                     0);
}

static const struct pyi_activity *activity_of(struct scene *scene)
{
    const struct pyi_stack *stack = round_of(scene);
    const struct pyi_activity *activity = pyi_cpython_activities(scene->python);
    assert_ptr_equal(activity->stack, stack);
    return activity;
}

/* Where the lock's record is; 3.12+ in a place of its own, or inside the interpreter. */
static pyi_addr place_lock(struct scene *scene, bool inside)
{
    const struct pyi_layout *l = scene->fake->layout;
    if (l->minor < 12)
        return scene->runtime + l->runtime_gil_last_holder - l->gil_last_holder;
    pyi_addr lock =
        inside ? scene->interp + l->interp_gc_collecting + 160 : fake_alloc(scene->fake, 256);
    fake_u64(scene->fake, scene->interp + l->interp_ceval_gil, lock);
    return lock;
}

static void set_lock(struct scene *scene, pyi_addr lock, pyi_addr holder, int locked,
                     uint64_t switches)
{
    const struct pyi_layout *l = scene->fake->layout;
    if (l->free_threaded)
        fake_i32(scene->fake, lock, 1); /* `enabled` */
    fake_u64(scene->fake, lock + l->gil_last_holder, holder);
    fake_i32(scene->fake, lock + l->gil_locked, locked);
    fake_u64(scene->fake, lock + l->gil_locked + 8, switches);
}

static void set_collecting(struct scene *scene, int on)
{
    const struct pyi_layout *l = scene->fake->layout;
    fake_i32(scene->fake,
             pyi_has_field(l->interp_gc_collecting) ? scene->interp + l->interp_gc_collecting
                                                    : scene->runtime + l->runtime_gc_collecting,
             on);
}

static void test_holder(void **state)
{
    EVERY(scene, 0)
    {
        pyi_addr lock = place_lock(scene, v % 2 == 0);
        ask(scene, false);
        set_lock(scene, lock, scene->state, 1, 7);
        round_of(scene);
        const struct pyi_activity *it = activity_of(scene);
        assert_true(it->lock_known);
        assert_true(it->holds_lock);
        assert_true(it->held_last);
        assert_int_equal(it->switches, 7);
        /* Behind `locked` (16) and the number of switches (24). */
        assert_int_equal(it->wait_from, lock + scene->fake->layout->gil_locked + 16);
        assert_true(it->wait_to > it->wait_from + 100);
        set_lock(scene, lock, scene->state, 0, 7); /* released: the last holder stays */
        it = activity_of(scene);
        assert_false(it->holds_lock);
        assert_true(it->held_last);
        set_lock(scene, lock, scene->state + 8, 1, 8);
        it = activity_of(scene);
        assert_false(it->holds_lock);
        assert_false(it->held_last);
        set_lock(scene, lock, scene->state, -1, 0); /* not made yet */
        assert_false(activity_of(scene)->holds_lock);
    }
}

/* States cost no call: everything lies in the one copy. */
static void test_one_call(void **state)
{
    EVERY(scene, 0)
    {
        pyi_addr lock = place_lock(scene, true);
        ask(scene, false);
        set_lock(scene, lock, scene->state, 1, 7);
        for (int i = 0; i < 20; i++)
            round_of(scene);
        uint64_t calls = scene->fake->memory.calls;
        assert_true(activity_of(scene)->holds_lock);
        assert_int_equal(scene->fake->memory.calls - calls, 1);
    }
}

static void test_moved(void **state)
{
    EVERY(scene, 0)
    {
        ask(scene, false);
        assert_true(activity_of(scene)->moved); /* never seen before */
        assert_false(activity_of(scene)->moved);
        set_top(scene, 1);
        assert_true(activity_of(scene)->moved);
        assert_false(activity_of(scene)->moved);
        set_top(scene, 3);
        assert_true(activity_of(scene)->moved);
        if (scene->fake->layout->minor >= 11) {
            set_instruction(scene, 3, 17); /* the same line */
            assert_true(activity_of(scene)->moved);
        }
    }
}

static void test_collector(void **state)
{
    EVERY(scene, 0)
    {
        const struct pyi_layout *l = scene->fake->layout;
        pyi_addr lock = place_lock(scene, true);
        ask(scene, false);
        set_lock(scene, lock, scene->state, 1, 7);
        round_of(scene);
        assert_false(activity_of(scene)->collecting);
        set_collecting(scene, 1);
        assert_true(activity_of(scene)->collecting);
        /* Another thread has the lock: this one does not collect. */
        set_lock(scene, lock, scene->state + 8, 1, 8);
        assert_false(activity_of(scene)->collecting);
        set_lock(scene, lock, scene->state, 1, 9);
        if (pyi_has_field(l->interp_gc_frame)) {
            fake_u64(scene->fake, scene->interp + l->interp_gc_frame, scene->frames[FRAMES - 1]);
            assert_true(activity_of(scene)->collecting);
            /* A finalizer runs. */
            fake_u64(scene->fake, scene->interp + l->interp_gc_frame, scene->frames[1]);
            assert_false(activity_of(scene)->collecting);
            fake_u64(scene->fake, scene->interp + l->interp_gc_frame, 0);
        }
        ask(scene, true);
        round_of(scene);
        assert_false(activity_of(scene)->collecting);
        set_collecting(scene, 0);
    }
}

static void set_item(struct scene *scene, pyi_addr item, pyi_addr value, pyi_addr previous)
{
    fake_u64(scene->fake, item, value);
    fake_u64(scene->fake, item + 8, previous);
}

static void test_exceptions(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        if (l->minor < 11)
            continue;
        pyi_addr none = fake_object(fake, fake_type(fake, "NoneType", 0), 16);
        pyi_addr error = fake_object(fake, fake_type(fake, "ValueError", 0), 64);
        pyi_addr own = scene->state + l->tstate_datastack_limit + 8;
        pyi_addr generator = fake_alloc(fake, 64);
        ask(scene, false);
        fake_u64(fake, scene->state + l->tstate_exc_info, own);
        assert_false(activity_of(scene)->raising);
        set_item(scene, own, none, 0);
        assert_false(activity_of(scene)->raising);
        set_item(scene, own, error, 0);
        assert_true(activity_of(scene)->raising);
        /* In a generator that handles none, called where one is handled; and the reverse. */
        set_item(scene, generator, none, own);
        fake_u64(fake, scene->state + l->tstate_exc_info, generator);
        assert_true(activity_of(scene)->raising);
        set_item(scene, own, none, 0);
        assert_false(activity_of(scene)->raising);
        set_item(scene, generator, error, own);
        assert_true(activity_of(scene)->raising);
        /* On its way. */
        set_item(scene, generator, 0, own);
        assert_false(activity_of(scene)->raising);
        fake_u64(fake, scene->state + l->tstate_current_exception, error);
        assert_true(activity_of(scene)->raising);
    }
}

/* A chain that bites its tail, and one that leads nowhere. */
static void test_hostile_chains(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        if (l->minor < 11)
            continue;
        pyi_addr a = fake_alloc(fake, 64), b = fake_alloc(fake, 64);
        ask(scene, false);
        set_item(scene, a, 0, b);
        set_item(scene, b, 0, a);
        fake_u64(fake, scene->state + l->tstate_exc_info, a);
        round_of(scene);
        uint64_t calls = fake->memory.calls;
        assert_false(activity_of(scene)->raising);
        assert_true(fake->memory.calls - calls <= 80);
        fake_u64(fake, scene->state + l->tstate_exc_info, 0xfffffffffffffff0);
        assert_false(activity_of(scene)->raising);
        fake_u64(fake, scene->state + l->tstate_exc_info, 8);
        assert_false(activity_of(scene)->raising);
    }
}

/* Where the lock's pointer leads nowhere, nothing is known of it, and stacks are read as ever. */
static void test_hostile_lock(void **state)
{
    static const uint64_t places[] = {0, 8, 0xffffffffffffff00, FAKE_BASE + FAKE_SIZE - 8,
                                      FAKE_BASE - 4096};
    EVERY(scene, 0)
    {
        const struct pyi_layout *l = scene->fake->layout;
        if (!pyi_has_field(l->interp_ceval_gil))
            continue;
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            fake_u64(scene->fake, scene->interp + l->interp_ceval_gil, places[i]);
            ask(scene, false);
            for (int j = 0; j < 3; j++) {
                const struct pyi_activity *it = activity_of(scene);
                assert_int_equal(it->stack->depth, 4);
                assert_false(it->lock_known);
                assert_false(it->holds_lock);
            }
        }
    }
}

static void test_asks_for_the_lock(void **state)
{
    EVERY(scene, 0)
    {
        const struct pyi_layout *l = scene->fake->layout;
        pyi_addr lock = place_lock(scene, true);
        ask(scene, false);
        set_lock(scene, lock, scene->state + 8, 1, 7);
        assert_false(activity_of(scene)->asks_for_lock);
        if (!pyi_has_field(l->tstate_gil_requested))
            continue;
        fake_i32(scene->fake, scene->state + l->tstate_gil_requested, 1);
        assert_true(activity_of(scene)->asks_for_lock);
        set_lock(scene, lock, scene->state, 1, 8); /* it has it already */
        assert_false(activity_of(scene)->asks_for_lock);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holder),       cmocka_unit_test(test_one_call),
        cmocka_unit_test(test_moved),        cmocka_unit_test(test_collector),
        cmocka_unit_test(test_exceptions),   cmocka_unit_test(test_hostile_chains),
        cmocka_unit_test(test_hostile_lock), cmocka_unit_test(test_asks_for_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
