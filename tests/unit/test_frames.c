/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_frames.c - rounds over hand-made interpreters: true stacks, torn ones, hostile ones.
 */
#include "tests/unit/fake_scene.h"

#include <unistd.h>

static void test_stack(void **state)
{
    EVERY(scene, 0)
    {
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->status, PYI_STACK_NEW);
        assert_int_equal(stack->depth, 4);
        assert_int_equal(stack->common, 0);
        assert_false(stack->truncated);
        assert_string_equal(stack->entries[0].code->name.data, "<module>");
        assert_string_equal(stack->entries[3].code->name.data, "leaf");
        assert_string_equal(stack->entries[3].code->filename.data, "/srv/app.py");
        assert_int_equal(stack->entries[3].code->first_line, 40);
        assert_int_equal(stack->entries[3].line, 44);
        assert_string_equal(
            pyi_cpython_class_name(scene->python, stack->entries[2].class_name).data, "Server");
        assert_int_equal(stack->entries[1].class_name, 0);
        assert_true(stack->thread->is_main);
        assert_int_equal(stack->thread->ident, 4711);
        assert_string_equal(stack->thread->name.data, "MainThread");
    }
}

/* Nothing moves: one call per round, and the stack is the same. */
static void test_same(void **state)
{
    EVERY(scene, 0)
    {
        /* Names are asked for again in rounds 2, 4, 8, 16, ... */
        for (int i = 0; i < 20; i++)
            round_of(scene);
        uint64_t calls = scene->fake->memory.calls;
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->status, PYI_STACK_SAME);
        assert_int_equal(stack->depth, 4);
        assert_int_equal(stack->common, 4);
        assert_int_equal(stack->attempts, 1);
        assert_int_equal(scene->fake->memory.calls - calls, 1);
    }
}

static void test_common(void **state)
{
    EVERY(scene, 0)
    {
        round_of(scene);
        set_top(scene, 1);
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->status, PYI_STACK_NEW);
        assert_int_equal(stack->depth, 2);
        assert_true(stack->common <= 2);
        set_top(scene, 3);
        stack = round_of(scene);
        assert_int_equal(stack->depth, 4);
        assert_int_equal(stack->common, 2);
    }
}

/* Gives the leaf's code object `count` copies of its instructions, all absent but number 3. */
static pyi_addr give_copies(struct scene *scene, uint64_t count)
{
    struct fake *fake = scene->fake;
    pyi_addr array = fake_alloc(fake, 64), copy = fake_alloc(fake, 64);
    fake_u64(fake, array, count);
    fake_u64(fake, array + 8, scene->codes[3] + fake->layout->code_adaptive);
    fake_u64(fake, array + 8 + 8 * 3, copy);
    fake_u64(fake, scene->codes[3] + fake->layout->code_tlbc, array);
    return copy;
}

/* Free-threaded 3.14+: a thread may run a copy of the instructions; lines are told from there. */
static void test_copies_of_instructions(void **state)
{
    size_t tried = 0;
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        if (!pyi_has_field(l->code_tlbc))
            continue;
        tried++;
        for (int again = 0; again < 2; again++) { /* copies move when a thread joins */
            pyi_addr copy = give_copies(scene, 5);
            fake_i32(fake, scene->frames[3] + l->iframe_tlbc_index, 3);
            fake_u64(fake, scene->frames[3] + l->iframe_instr, copy + 2 * 10);
            const struct pyi_stack *stack = round_of(scene);
            assert_int_equal(stack->depth, 4);
            assert_int_equal(stack->entries[3].line, 43);
            /* A thread without one, and one that is newer than the array, run the shared one. */
            static const int others[] = {2, 4, 70};
            for (size_t i = 0; i < 3; i++) {
                fake_i32(fake, scene->frames[3] + l->iframe_tlbc_index, others[i]);
                set_instruction(scene, 3, 5);
                stack = round_of(scene);
                assert_int_equal(stack->depth, 4);
                assert_int_equal(stack->entries[3].line, 42);
            }
        }
        pyi_addr copy = give_copies(scene, 1 << 20);
        fake_i32(fake, scene->frames[3] + l->iframe_tlbc_index, 3);
        fake_u64(fake, scene->frames[3] + l->iframe_instr, copy + 2 * 10);
        assert_true(round_of(scene)->depth < 4);
    }
    assert_int_equal(tried, 2);
}

static void test_truncated(void **state)
{
    EVERY(scene, 2)
    {
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->depth, 2);
        assert_true(stack->truncated);
        assert_string_equal(stack->entries[1].code->name.data, "leaf");
    }
}

/* Before its first instruction a frame is not shown, from 3.11 on. */
static void test_not_started(void **state)
{
    EVERY(scene, 0)
    {
        if (scene->fake->layout->minor < 11)
            continue;
        set_instruction(scene, 3, 0);
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->depth, 3);
        assert_string_equal(stack->entries[2].code->name.data, "method");
    }
}

static void test_no_frames(void **state)
{
    EVERY(scene, 0)
    {
        pyi_addr head = scene->fake->layout->minor >= 15 ? scene->base : 0;
        set_head(scene, head);
        const struct pyi_stack *stack = round_of(scene);
        assert_int_equal(stack->status, PYI_STACK_NEW);
        assert_int_equal(stack->depth, 0);
    }
}

/* What contradicts itself is lost after the retries, or (3.11+) ends where it still holds; the
 * next good round is fine again. */
static void expect_broken_then_found(struct scene *scene)
{
    static const char *const names[FRAMES] = {"<module>", "outer", "method", "leaf"};
    const struct pyi_stack *stack = round_of(scene);
    if (stack->status == PYI_STACK_LOST) {
        assert_int_equal(stack->attempts, 1 + PYI_RETRIES);
    } else {
        for (size_t i = 0; i < stack->depth; i++)
            assert_string_equal(stack->entries[i].code->name.data, names[i]);
    }
    for (int i = 1; i < FRAMES; i++) {
        set_back(scene, i, scene->frames[i - 1]);
        set_code(scene, i, scene->codes[i]);
        if (scene->fake->layout->minor >= 11)
            set_instruction(scene, i, 5 * i);
    }
    set_head(scene, scene->frames[3]);
    stack = round_of(scene);
    assert_true(stack->status != PYI_STACK_LOST);
    assert_int_equal(stack->depth, 4);
}

static void test_cycle(void **state)
{
    EVERY(scene, 0)
    {
        round_of(scene);
        set_back(scene, 1, scene->frames[3]);
        expect_broken_then_found(scene);
    }
}

/* Also where no depth would end the walk: left to itself it takes all memory there is, and the
 * alarm ends the test. */
static void test_cycle_without_depth_limit(void **state)
{
    EVERY(scene, (size_t)1 << 40)
    {
        set_back(scene, 1, scene->frames[3]);
        alarm(3);
        assert_int_equal(round_of(scene)->status, PYI_STACK_LOST);
        set_back(scene, 1, scene->frames[1]);
        assert_int_equal(round_of(scene)->status, PYI_STACK_LOST);
        alarm(0);
    }
}

static void test_wild_pointers(void **state)
{
    static const pyi_addr wild[] = {1,
                                    0xfff8,
                                    UINT64_MAX,
                                    UINT64_MAX - 7,
                                    0x7eff00000000,
                                    FAKE_BASE + FAKE_SIZE - 8,
                                    FAKE_BASE + 3};
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        EVERY(scene, 0)
        {
            set_back(scene, 2, wild[i]);
            expect_broken_then_found(scene);
        }
        EVERY(scene, 0)
        {
            set_head(scene, wild[i]);
            expect_broken_then_found(scene);
        }
        EVERY(scene, 0)
        {
            set_code(scene, 1, wild[i]);
            expect_broken_then_found(scene);
        }
    }
}

static void test_not_code(void **state)
{
    EVERY(scene, 0)
    {
        set_code(scene, 3, make_self(scene));
        expect_broken_then_found(scene);
    }
}

static void test_instruction_outside(void **state)
{
    EVERY(scene, 0)
    {
        if (scene->fake->layout->minor < 11)
            continue;
        set_instruction(scene, 2, 4000);
        expect_broken_then_found(scene);
        set_instruction(scene, 2, -400);
        expect_broken_then_found(scene);
    }
}

/* A callee that does not begin where its caller ends belongs to another moment. */
static void test_frames_do_not_join(void **state)
{
    EVERY(scene, 0)
    {
        if (scene->fake->layout->minor < 11)
            continue;
        set_back(scene, 3, scene->frames[1]);
        expect_broken_then_found(scene);
    }
}

/* Another code object at a known address: seen at the latest on schedule. */
static void test_code_reused(void **state)
{
    EVERY(scene, 0)
    {
        const struct pyi_layout *l = scene->fake->layout;
        const struct pyi_stack *stack = round_of(scene);
        while (stack->entries[3].edge != 0) /* until its calls are proven */
            stack = round_of(scene);
        const struct pyi_code *before = stack->entries[3].code;
        fake_u64(scene->fake, scene->codes[3] + l->code_name, fake_str(scene->fake, "newcomer"));
        if (pyi_has_field(l->interp_code_generation))
            fake_u64(scene->fake, scene->interp + l->interp_code_generation, 1);
        stack = round_of(scene);
        for (int i = 0; i < 4 && !pyi_has_field(l->interp_code_generation) &&
                        strcmp(stack->entries[3].code->name.data, "newcomer") != 0;
             i++)
            stack = round_of(scene);
        assert_string_equal(stack->entries[3].code->name.data, "newcomer");
        assert_string_equal(before->name.data, "leaf");
        assert_int_equal(stack->common, 3);
        struct pyi_target_stats stats = {0};
        pyi_cpython_stats(scene->python, &stats);
        assert_int_equal(stats.code_reused, 1);
        assert_int_equal(stats.code_misses, 5);
    }
}

/* A code object whose strings claim 4 GiB makes its stack unreadable, nothing else. */
static void test_huge_name(void **state)
{
    EVERY(scene, 0)
    {
        const struct pyi_layout *l = scene->fake->layout;
        pyi_addr name = fake_str(scene->fake, "x");
        fake_u64(scene->fake, name + l->ascii_length, UINT64_C(1) << 32);
        fake_u64(scene->fake, scene->codes[1] + l->code_name, name);
        assert_int_equal(round_of(scene)->status, PYI_STACK_LOST);
    }
}

/* A method whose self is captured by an inner function. */
static void test_cell(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        pyi_addr cell = fake_object(fake, fake->cell_type, 64);
        fake_u64(fake, cell + l->cell_ref, make_self(scene));
        if (l->minor >= 11) {
            static const uint8_t kind = 0x60;
            fake_u64(fake, scene->codes[2] + l->code_localspluskinds, fake_bytes(fake, &kind, 1));
            fake_u64(fake, scene->frames[2] + l->iframe_localsplus, cell);
        } else {
            pyi_addr name = fake_str(fake, "self");
            fake_u64(fake, scene->codes[2] + l->code_cellvars, fake_tuple(fake, &name, 1));
            fake_u64(fake, scene->frames[2] + l->frameobject_localsplus, 0);
            fake_u64(fake, scene->frames[2] + l->frameobject_localsplus + 8, cell);
        }
        const struct pyi_stack *stack = round_of(scene);
        assert_string_equal(
            pyi_cpython_class_name(scene->python, stack->entries[2].class_name).data, "Server");
        /* An empty cell: no class, no failure. A frame at rest is looked at now and then only. */
        fake_u64(fake, cell + l->cell_ref, 0);
        stack = round_of(scene);
        for (int i = 0; i < 300 && stack->status == PYI_STACK_SAME; i++)
            stack = round_of(scene);
        assert_int_equal(stack->status, PYI_STACK_NEW);
        assert_int_equal(stack->entries[2].class_name, 0);
    }
}

/* cls counts only when it is a type. */
static void test_cls(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        pyi_addr name = fake_str(fake, "cls");
        uint32_t field = l->minor >= 11 ? l->code_localsplusnames : l->code_varnames;
        uint32_t slot = l->minor >= 11 ? l->iframe_localsplus : l->frameobject_localsplus;
        fake_u64(fake, scene->codes[2] + field, fake_tuple(fake, &name, 1));
        assert_int_equal(round_of(scene)->entries[2].class_name, 0);
        fake_u64(fake, scene->frames[2] + slot, scene->type);
        const struct pyi_stack *stack = round_of(scene);
        assert_string_equal(
            pyi_cpython_class_name(scene->python, stack->entries[2].class_name).data, "Server");
    }
}

static void test_thread_list(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        struct pyi_round round;
        round_of(scene);
        pyi_addr second = fake_alloc(fake, 4096);
        fake_u64(fake, second + l->tstate_interp, scene->interp);
        fake_u64(fake, second + l->tstate_thread_id, 4712);
        fake_u64(fake, second + l->tstate_next, scene->state);
        fake_u64(fake, scene->interp + l->interp_threads_head, second);
        assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
        assert_int_equal(round.count, 2);
        assert_int_equal(round.stacks[1].thread->index, 1);
        assert_string_equal(round.stacks[1].thread->name.data, "Thread 4712");
        assert_false(round.stacks[1].thread->is_main);
        fake_u64(fake, scene->interp + l->interp_threads_head, scene->state);
        round_of(scene);
        assert_false(pyi_cpython_thread(scene->python, 1)->alive);
        /* A list that bites its tail is refused, not followed for ever. */
        fake_u64(fake, scene->state + l->tstate_next, scene->state);
        assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), PYI_E_FAULT);
        fake_u64(fake, scene->state + l->tstate_next, 0);
        fake_u64(fake, scene->interp + l->interp_next, scene->interp);
        assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), PYI_E_FAULT);
    }
}

/* Up to 3.11 a new thread state has its creator's ident until its thread runs. */
static void test_unborn_thread(void **state)
{
    EVERY(scene, 0)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        struct pyi_round round;
        if (l->minor > 11)
            continue;
        round_of(scene);
        pyi_addr second = fake_alloc(fake, 4096);
        fake_u64(fake, second + l->tstate_interp, scene->interp);
        fake_u64(fake, second + l->tstate_thread_id, 4711);
        fake_u64(fake, second + l->tstate_next, scene->state);
        if (pyi_has_field(l->tstate_cframe))
            fake_u64(fake, second + l->tstate_cframe, second + l->tstate_size - 64);
        fake_u64(fake, scene->interp + l->interp_threads_head, second);
        assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
        assert_int_equal(round.count, 1);
        fake_u64(fake, second + l->tstate_thread_id, 4712);
        assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
        assert_int_equal(round.count, 2);
        assert_int_equal(round.stacks[1].thread->ident, 4712);
        assert_false(round.stacks[1].thread->is_main);
    }
}

/* Every word of the image's stack part overwritten in turn: any answer will do, no crash. */
static void test_garbage_words(void **state)
{
    static const uint64_t garbage[] = {0, 1, UINT64_MAX, 0x8000000000000000, FAKE_BASE + 8};
    EVERY(scene, 100)
    {
        struct pyi_round round;
        pyi_addr from = scene->frames[0] - 64, to = from + 1200;
        for (pyi_addr at = from; at < to; at += 8)
            for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
                uint64_t old = pyi_load_u64(fake_at(scene->fake, at));
                fake_u64(scene->fake, at, garbage[i]);
                assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
                fake_u64(scene->fake, at, old);
            }
        assert_int_equal(round_of(scene)->depth, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_common),
        cmocka_unit_test(test_copies_of_instructions),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_no_frames),
        cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_cycle_without_depth_limit),
        cmocka_unit_test(test_wild_pointers),
        cmocka_unit_test(test_not_code),
        cmocka_unit_test(test_instruction_outside),
        cmocka_unit_test(test_frames_do_not_join),
        cmocka_unit_test(test_code_reused),
        cmocka_unit_test(test_huge_name),
        cmocka_unit_test(test_cell),
        cmocka_unit_test(test_cls),
        cmocka_unit_test(test_thread_list),
        cmocka_unit_test(test_unborn_thread),
        cmocka_unit_test(test_garbage_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
