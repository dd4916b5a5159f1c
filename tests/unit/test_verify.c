/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_verify.c - stacks that changed while they were copied: cut, extended, begun again; and the
 * proof of calls.
 */
#include "tests/unit/fake_scene.h"

#define LAST (FRAMES - 1)

/* Frames of 3.11 and later tell their own top. */
#define MARKED(scene)                                                                              \
    EVERY(scene, 0)                                                                                \
    if (scene->fake->layout->minor >= 11)

static void expect_depth(struct scene *scene, size_t depth)
{
    static const char *const names[FRAMES] = {"<module>", "outer", "method", "leaf"};
    const struct pyi_stack *stack = round_of(scene);
    assert_true(stack->status != PYI_STACK_LOST);
    assert_int_equal(stack->attempts, 1);
    assert_int_equal(stack->depth, depth);
    for (size_t i = 0; i < depth; i++)
        assert_string_equal(stack->entries[i].code->name.data, names[i]);
}

/* The thread state still names the leaf; when the stack was copied a frame further down ran. */
static void test_cut_above_running(void **state)
{
    MARKED(scene)
    {
        if (scene->fake->layout->minor > 13)
            continue;
        set_mark(scene, 1, -1);
        expect_depth(scene, 2);
    }
}

/* From C code that called back a caller is marked as running too. */
static void test_keep_above_c(void **state)
{
    MARKED(scene)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        set_mark(scene, 1, l->minor > 13 ? 1 : -1);
        if (l->minor == 11) {
            *fake_at(fake, scene->frames[2] + l->iframe_is_entry) = 1;
        } else {
            pyi_addr shim = fake_alloc(fake, 128);
            *fake_at(fake, shim + l->iframe_owner) = 3;
            fake_u64(fake, shim + l->iframe_previous, scene->frames[1]);
            set_back(scene, 2, shim);
        }
        expect_depth(scene, 4);
        expect_depth(scene, 4);
    }
}

/* 3.14+: the code of a frame that returned is gone. */
static void test_emptied_code(void **state)
{
    MARKED(scene)
    {
        if (scene->fake->layout->minor < 14)
            continue;
        set_code(scene, 3, 0);
        expect_depth(scene, 3);
        set_code(scene, 2, 0);
        expect_depth(scene, 2);
    }
}

/* 3.13: the stack pointer of a frame that returned is zero; it says so only if it had locals. */
static void test_emptied_stack(void **state)
{
    MARKED(scene)
    {
        if (scene->fake->layout->minor != 13)
            continue;
        set_mark(scene, 3, 0);
        expect_depth(scene, 3);
        fake_i32(scene->fake, scene->codes[3] + scene->fake->layout->code_nlocalsplus, 0);
        pyi_cpython_close(scene->python);
        scene->python = fake_open(scene->fake, scene->runtime, 0);
        expect_depth(scene, 4);
    }
}

/* 3.11-3.13: a frame that does not run and stands on a RETURN_VALUE has returned. */
static void test_on_return(void **state)
{
    MARKED(scene)
    {
        const struct pyi_layout *l = scene->fake->layout;
        if (l->minor > 13)
            continue;
        *fake_at(scene->fake, scene->codes[3] + l->code_adaptive + 30) = l->minor == 13 ? 36 : 83;
        expect_depth(scene, 4); /* about to return, but still running */
        set_mark(scene, 3, 2);
        expect_depth(scene, 3);
    }
}

/* Calls made after the thread state was copied. */
static void test_extend(void **state)
{
    MARKED(scene)
    {
        set_head(scene, scene->frames[1]);
        expect_depth(scene, 4);
        set_head(scene, scene->frames[0]);
        expect_depth(scene, 4);
    }
}

static void test_extend_not_over_dead(void **state)
{
    MARKED(scene)
    {
        if (scene->fake->layout->minor >= 14)
            set_code(scene, 2, 0);
        else
            set_mark(scene, 3, 2); /* nothing above says that it runs */
        set_head(scene, scene->frames[1]);
        expect_depth(scene, 2);
    }
}

/* A frame that has not begun has called nobody, whatever the old bytes above it say. */
static void test_not_begun(void **state)
{
    MARKED(scene)
    {
        set_instruction(scene, 2, 0);
        expect_depth(scene, 2);
    }
}

/* The chain from the thread state cannot be walked, but the frames of the last sample stand. */
static void test_begin_again(void **state)
{
    MARKED(scene)
    {
        expect_depth(scene, 4);
        set_head(scene, 0x7eff00000000);
        expect_depth(scene, 4);
        set_instruction(scene, 3, 16);
        expect_depth(scene, 4);
        /* What is no longer as it was, and all above it, is not taken over. */
        if (scene->fake->layout->minor <= 13)
            set_mark(scene, 1, -1);
        set_code(scene, 2, scene->codes[2] + 8);
        expect_depth(scene, 2);
    }
}

static bool all_proven(const struct pyi_stack *stack)
{
    for (size_t i = 0; i < stack->depth; i++)
        if (stack->entries[i].edge != 0)
            return false;
    return true;
}

/* The waiting frame 2 at another call, and at no read where it was at the one before. */
static void set_restless(struct scene *scene, int unit)
{
    set_instruction(scene, 2, unit);
    scene->fake->restless = scene->frames[2] + scene->fake->layout->iframe_instr;
}

/* A call is proven when it is seen to stand still twice, at once where it does not move. */
static void test_agreeing_reads(void **state)
{
    MARKED(scene)
    {
        const struct pyi_stack *stack = round_of(scene);
        assert_true(stack->verified);
        assert_true(all_proven(stack));
        set_restless(scene, 12);
        stack = round_of(scene);
        assert_false(stack->verified);
        assert_int_equal(stack->entries[0].edge, 0);
        assert_int_equal(stack->entries[2].edge, 0);
        uint32_t edge = stack->entries[3].edge;
        assert_int_not_equal(edge, 0);
        assert_false(pyi_cpython_edge_proven(scene->python, edge));
        scene->fake->restless = 0;
        set_instruction(scene, 2, 12);
        stack = round_of(scene);
        assert_true(pyi_cpython_edge_proven(scene->python, edge));
        assert_true(stack->verified);
        assert_true(all_proven(stack));
        assert_false(pyi_cpython_edge_proven(scene->python, UINT32_MAX));
        assert_false(pyi_cpython_edge_proven(scene->python, 1000));
    }
}

/* The inline cache of a specialised call names the callee: one look is enough. */
static void test_inline_cache(void **state)
{
    static const uint8_t calls[] = {[11] = 23, [12] = 28, [13] = 177, [14] = 161, [15] = 164};
    for (int right = 0; right < 2; right++) {
        MARKED(scene)
        {
            struct fake *fake = scene->fake;
            const struct pyi_layout *l = fake->layout;
            /* Frame 2 stands on a call (3.11, 3.12: on its last cache word) of unit 6. */
            pyi_addr call = scene->codes[2] + l->code_adaptive + 12;
            *fake_at(fake, call) = calls[l->minor];
            fake_i32(fake, call + 4, 4242);
            set_instruction(scene, 2, 13); /* at another call until all is known and predicted */
            round_of(scene);
            set_restless(scene, l->minor == 11 ? 10 : l->minor == 12 ? 9 : 6);
            if (l->minor == 11) {
                pyi_addr function = fake_alloc(fake, 160);
                fake_u64(fake, function + 48, scene->codes[3]);
                fake_i32(fake, function + 128, right ? 4242 : 4243);
                fake_u64(fake, scene->frames[3], function);
            } else {
                fake_i32(fake, scene->codes[3] + l->code_version, right ? 4242 : 4243);
            }
            const struct pyi_stack *stack = round_of(scene);
            assert_int_equal(stack->entries[3].edge == 0, right);
            assert_int_equal(stack->entries[2].edge, 0);
        }
    }
}

/* Another code object at the callee's address: the proof of the old one does not count. */
static void test_reused_code_is_new(void **state)
{
    MARKED(scene)
    {
        const struct pyi_layout *l = scene->fake->layout;
        const struct pyi_stack *stack = round_of(scene);
        while (!stack->verified)
            stack = round_of(scene);
        fake_u64(scene->fake, scene->codes[3] + l->code_name, fake_str(scene->fake, "newcomer"));
        if (pyi_has_field(l->interp_code_generation))
            fake_u64(scene->fake, scene->interp + l->interp_code_generation, 1);
        set_restless(scene, 10);
        stack = round_of(scene);
        for (int i = 0; i < 4 && !pyi_has_field(l->interp_code_generation) &&
                        strcmp(stack->entries[3].code->name.data, "newcomer") != 0;
             i++) {
            set_restless(scene, 10);
            stack = round_of(scene);
        }
        assert_string_equal(stack->entries[3].code->name.data, "newcomer");
        assert_int_not_equal(stack->entries[3].edge, 0);
        assert_int_equal(stack->entries[2].edge, 0);
    }
}

/* A build whose frames carry no such marks: stacks are checked, not verified, and not cut. */
static void test_marks_do_not_hold(void **state)
{
    MARKED(scene)
    {
        if (scene->fake->layout->minor > 13)
            continue;
        set_mark(scene, 3, 5);
        for (int i = 0; i < 64; i++) { /* it must be seen to move */
            set_instruction(scene, 3, 12 + i % 2);
            round_of(scene);
        }
        const struct pyi_stack *stack = round_of(scene);
        assert_false(stack->verified);
        assert_true(all_proven(stack));
        set_mark(scene, 1, -1);
        assert_int_equal(round_of(scene)->depth, 4);
    }
}

static void test_old_versions_are_checked_only(void **state)
{
    EVERY(scene, 0)
    {
        if (scene->fake->layout->minor >= 11)
            continue;
        for (int i = 0; i < 4; i++) {
            const struct pyi_stack *stack = round_of(scene);
            assert_false(stack->verified);
            assert_true(all_proven(stack));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_above_running),
        cmocka_unit_test(test_keep_above_c),
        cmocka_unit_test(test_emptied_code),
        cmocka_unit_test(test_emptied_stack),
        cmocka_unit_test(test_on_return),
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_extend_not_over_dead),
        cmocka_unit_test(test_not_begun),
        cmocka_unit_test(test_begin_again),
        cmocka_unit_test(test_agreeing_reads),
        cmocka_unit_test(test_inline_cache),
        cmocka_unit_test(test_reused_code_is_new),
        cmocka_unit_test(test_marks_do_not_hold),
        cmocka_unit_test(test_old_versions_are_checked_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
