/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_leaf.c - the C function on top of a hand-made stack of one frame, in every version.
 */
#include "attach/cpython/cpython.h"
#include "attach/leaf/depth.h"
#include "attach/cpython/python.h"
#include "tests/unit/fake_python.h"

#define AT 15 /* unit of the call in a code object of 20 units */

struct scene {
    struct fake *fake;
    struct pyi_cpython *python;
    pyi_addr state, frame, code, stack; /* stack: address of the lowest value */
    pyi_addr builtin_type, function_type, list_type, list;
    int depth; /* values before the call */
};

static uint8_t opcode(int minor, const char *name)
{
    const struct pyi_opcode *table = pyi_opcodes(minor);
    for (int i = 0; i < 256; i++)
        if (table[i].name != NULL && strcmp(table[i].name, name) == 0)
            return (uint8_t)i;
    fail_msg("3.%d has no %s", minor, name);
    return 0;
}

/* NOPs, as many constants as the call needs, the call without arguments, its caches. */
static void write_code(struct scene *scene)
{
    struct fake *fake = scene->fake;
    int minor = fake->layout->minor;
    const char *call = minor < 11 ? "CALL_FUNCTION" : minor == 11 ? "PRECALL" : "CALL";
    uint8_t code[40] = {0};
    for (int i = 0; i < 20; i++)
        code[2 * i] = opcode(minor, "NOP");
    scene->depth = minor < 11 ? 1 : 2;
    for (int i = 1; i <= scene->depth; i++)
        code[2 * (AT - i)] = opcode(minor, "LOAD_CONST");
    code[2 * AT] = opcode(minor, call);
    if (minor < 11) {
        fake_u64(fake, scene->code + fake->layout->code_code, fake_bytes(fake, code, 40));
        return;
    }
    memcpy(fake_at(fake, scene->code + fake->layout->code_adaptive), code, 40);
    fake_u64(fake, scene->code + fake->layout->code_exceptiontable, fake_bytes(fake, "", 0));
}

static void make_heap_frame(struct scene *scene)
{
    struct fake *fake = scene->fake;
    const struct pyi_layout *l = fake->layout;
    scene->frame = fake_object(fake, fake->frame_type, l->frameobject_localsplus + 64);
    scene->stack = scene->frame + l->frameobject_localsplus + 8;
    fake_u64(fake, scene->frame + l->frameobject_code, scene->code);
    fake_u64(fake, scene->frame + l->frameobject_valuestack, scene->stack);
    fake_i32(fake, scene->frame + l->frameobject_lasti, l->minor == 10 ? AT : 2 * AT);
    if (pyi_has_field(l->frameobject_executing))
        *fake_at(fake, scene->frame + l->frameobject_executing) = 1;
    fake_u64(fake, scene->state + l->tstate_frame, scene->frame);
}

static void make_stack_frame(struct scene *scene)
{
    struct fake *fake = scene->fake;
    const struct pyi_layout *l = fake->layout;
    fake->used = (fake->used + 4095) & ~(size_t)4095;
    pyi_addr chunk = fake_alloc(fake, 16384), shim = fake_alloc(fake, 128);
    pyi_addr record = fake_alloc(fake, 32);
    *fake_at(fake, shim + l->iframe_owner) = 3;
    scene->frame = chunk + l->chunk_data;
    scene->stack = scene->frame + l->iframe_localsplus + 8;
    fake_u64(fake, chunk + l->chunk_size_field, 16384);
    fake_u64(fake, scene->frame + l->iframe_code, scene->code);
    fake_u64(fake, scene->frame + l->iframe_previous, l->minor >= 12 ? shim : 0);
    fake_u64(fake, scene->frame + l->iframe_instr, scene->code + l->code_adaptive + 2 * AT);
    if (l->minor <= 13) /* the mark of a frame that runs */
        fake_i32(fake, scene->frame + l->iframe_stacktop, -1);
    if (l->minor >= 14)
        fake_u64(fake, scene->frame + l->iframe_stacktop,
                 scene->stack + 8 * (pyi_addr)scene->depth);
    if (pyi_has_field(l->iframe_is_entry))
        *fake_at(fake, scene->frame + l->iframe_is_entry) = 1;
    fake_u64(fake, scene->state + l->tstate_datastack_chunk, chunk);
    fake_u64(fake, scene->state + l->tstate_datastack_top, scene->stack + 24);
    fake_u64(fake, scene->state + l->tstate_datastack_limit, chunk + 16384);
    if (pyi_has_field(l->tstate_base_frame))
        fake_u64(fake, scene->state + l->tstate_base_frame, shim);
    if (pyi_has_field(l->tstate_current_frame)) {
        fake_u64(fake, scene->state + l->tstate_current_frame, scene->frame);
    } else {
        fake_u64(fake, scene->state + l->tstate_cframe, record);
        fake_u64(fake, record + l->cframe_current_frame, scene->frame);
    }
}

static struct scene *scene_new(uint32_t version)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    struct fake *fake = scene->fake = fake_new(version);
    const struct pyi_layout *l = fake->layout;
    pyi_addr runtime = fake_alloc(fake, 4096), interp = fake_alloc(fake, 16384);
    scene->state = fake_alloc(fake, 4096);
    fake_u64(fake, runtime + l->runtime_interpreters_head, interp);
    fake_u64(fake, interp + l->interp_threads_head, scene->state);
    fake_u64(fake, scene->state + l->tstate_interp, interp);
    fake_u64(fake, scene->state + l->tstate_thread_id, 4711);
    scene->code = fake_code(fake, "caller", "/srv/app.py", 10, NULL);
    write_code(scene);
    if (l->minor < 11)
        make_heap_frame(scene);
    else
        make_stack_frame(scene);
    scene->builtin_type = fake_type(fake, "builtin_function_or_method", 0);
    scene->function_type = fake_type(fake, "function", 0);
    scene->list_type = fake_type(fake, "list", UINT64_C(1) << 25);
    scene->list = fake_object(fake, scene->list_type, 64);
    scene->python = fake_open(fake, runtime, 0);
    return scene;
}

static void scene_free(struct scene *scene)
{
    pyi_cpython_close(scene->python);
    free(scene->fake);
    free(scene);
}

static pyi_addr definition(struct scene *scene, const char *name)
{
    pyi_addr text = fake_alloc(scene->fake, strlen(name) + 1 + 128);
    pyi_addr at = fake_alloc(scene->fake, 32);
    memcpy(fake_at(scene->fake, text), name, strlen(name) + 1);
    fake_u64(scene->fake, at, text);
    return at;
}

static pyi_addr builtin(struct scene *scene, const char *name, pyi_addr self)
{
    const struct pyi_layout *l = scene->fake->layout;
    pyi_addr at = fake_object(scene->fake, scene->builtin_type, 64);
    fake_u64(scene->fake, at + l->cfunction_ml, definition(scene, name));
    fake_u64(scene->fake, at + l->cfunction_self, self);
    return at;
}

static void put_callable(struct scene *scene, pyi_addr callable)
{
    int minor = scene->fake->layout->minor;
    bool behind_null = minor == 11 || minor == 12;
    if (scene->depth == 2)
        fake_u64(scene->fake, scene->stack + (behind_null ? 0 : 8), 0);
    fake_u64(scene->fake, scene->stack + (behind_null ? 8 : 0), callable);
}

/* Makes a round; NULL when there is no leaf. */
static const struct pyi_code *leaf_of(struct scene *scene, enum pyi_stack_status status)
{
    struct pyi_round round = {0};
    assert_int_equal(pyi_cpython_round(scene->python, &round, NULL), 0);
    assert_int_equal(round.count, 1);
    const struct pyi_stack *stack = &round.stacks[0];
    assert_int_equal(stack->status, status);
    assert_string_equal(stack->entries[0].code->name.data, "caller");
    assert_true(stack->depth == 1 || stack->depth == 2);
    assert_true(status == PYI_STACK_NEW || stack->common == stack->depth);
    if (stack->depth == 1)
        return NULL;
    assert_int_equal(stack->entries[1].line, 0);
    assert_int_equal(stack->entries[1].code->first_line, 0);
    assert_string_equal(stack->entries[1].code->filename.data, "<built-in>");
    return stack->entries[1].code;
}

static const uint32_t versions[] = {0x030812f0, 0x030912f0, 0x030a0df0, 0x030b07f0,
                                    0x030c01f0, 0x030d00f0, 0x030e0af0, 0x030f02f0};
#define EVERY(scene)                                                                               \
    for (size_t v = 0; v < sizeof(versions) / sizeof(versions[0]); v++)                            \
        for (struct scene *scene = scene_new(versions[v]); scene != NULL;                          \
             scene_free(scene), scene = NULL)

/* A function of a module is named bare, and costs no call of its own once it is known. */
static void test_function(void **state)
{
    EVERY(scene)
    {
        put_callable(scene, builtin(scene, "sleep", 0));
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "sleep");
        for (int i = 0; i < 20; i++)
            assert_string_equal(leaf_of(scene, PYI_STACK_SAME)->name.data, "sleep");
        uint64_t calls = scene->fake->memory.calls;
        assert_non_null(leaf_of(scene, PYI_STACK_SAME));
        assert_int_equal(scene->fake->memory.calls - calls, 1);
    }
}

/* Another leaf makes another stack, and its caller is common to both. */
static void test_change(void **state)
{
    EVERY(scene)
    {
        assert_null(leaf_of(scene, PYI_STACK_NEW));
        put_callable(scene, builtin(scene, "sleep", 0));
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "sleep");
        put_callable(scene, builtin(scene, "sorted", 0));
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "sorted");
        put_callable(scene, 0);
        assert_null(leaf_of(scene, PYI_STACK_NEW));
    }
}

/* A bound method may be freed and its address used again at once: every round compares. */
static void test_reused_method(void **state)
{
    EVERY(scene)
    {
        pyi_addr method = builtin(scene, "append", scene->list);
        put_callable(scene, method);
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "list.append");
        assert_string_equal(leaf_of(scene, PYI_STACK_SAME)->name.data, "list.append");
        fake_u64(scene->fake, method + scene->fake->layout->cfunction_ml,
                 definition(scene, "clear"));
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "list.clear");
    }
}

/* What stands there is no C function: a Python function, a result, rubbish. */
static void test_no_function(void **state)
{
    EVERY(scene)
    {
        const pyi_addr others[] = {fake_object(scene->fake, scene->function_type, 128),
                                   scene->list,
                                   scene->list_type,
                                   12,
                                   UINT64_C(0x7fffffff0000),
                                   0};
        assert_null(leaf_of(scene, PYI_STACK_NEW));
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
            put_callable(scene, others[i]);
            assert_null(leaf_of(scene, PYI_STACK_SAME));
        }
    }
}

/* 3.14+: a stored stack pointer that is not this call's is out of date. */
static void test_stale_pointer(void **state)
{
    EVERY(scene)
    {
        const struct pyi_layout *l = scene->fake->layout;
        if (l->minor < 14)
            continue;
        put_callable(scene, builtin(scene, "sleep", 0));
        fake_u64(scene->fake, scene->stack + 16, builtin(scene, "wrong", 0));
        for (int depth = -3; depth < 5; depth++) {
            fake_u64(scene->fake, scene->frame + l->iframe_stacktop,
                     scene->stack + 8 * (pyi_addr)(int64_t)depth);
            const struct pyi_code *leaf = leaf_of(
                scene, depth == 2 || depth == 3 || depth == -3 ? PYI_STACK_NEW : PYI_STACK_SAME);
            assert_true((leaf != NULL) == (depth == 2));
        }
    }
}

/* 3.14+: list.append needs no stored stack pointer, but nothing else does without. */
static void test_list_append(void **state)
{
    EVERY(scene)
    {
        struct fake *fake = scene->fake;
        const struct pyi_layout *l = fake->layout;
        if (l->minor < 14)
            continue;
        uint8_t *code = fake_at(fake, scene->code + l->code_adaptive);
        for (int i = 1; i <= 3; i++)
            code[2 * (AT - i)] = opcode(l->minor, "LOAD_CONST");
        code[2 * AT + 1] = 1;
        pyi_addr type = fake_type(fake, "method_descriptor", 0);
        pyi_addr append = fake_object(fake, type, 64), pop = fake_object(fake, type, 64);
        fake_u64(fake, append + l->descr_type, scene->list_type);
        fake_u64(fake, append + l->methoddescr_method, definition(scene, "append"));
        fake_u64(fake, pop + l->descr_type, scene->list_type);
        fake_u64(fake, pop + l->methoddescr_method, definition(scene, "pop"));
        fake_u64(fake, scene->frame + l->iframe_stacktop, scene->stack);
        fake_u64(fake, scene->stack, append);
        fake_u64(fake, scene->stack + 8, scene->list | 1);
        fake_u64(fake, scene->stack + 16, scene->list);
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "list.append");
        fake_u64(fake, scene->stack, pop);
        assert_null(leaf_of(scene, PYI_STACK_NEW));
        fake_u64(fake, scene->frame + l->iframe_stacktop, scene->stack + 24);
        assert_string_equal(leaf_of(scene, PYI_STACK_NEW)->name.data, "list.pop");
    }
}

static void test_none(void **state)
{
    EVERY(scene)
    {
        scene->python->options.c_labels = PYI_C_LABELS_NONE;
        put_callable(scene, builtin(scene, "sleep", 0));
        assert_null(leaf_of(scene, PYI_STACK_NEW));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function),      cmocka_unit_test(test_change),
        cmocka_unit_test(test_reused_method), cmocka_unit_test(test_no_function),
        cmocka_unit_test(test_stale_pointer), cmocka_unit_test(test_list_append),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
