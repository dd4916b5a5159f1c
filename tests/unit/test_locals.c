/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_locals.c - variables of a frame in a hand-made image: plain values, hostile ones, and a
 * frame that changes while it is read.
 */
#include "attach/cpython/cpython.h"
#include "attach/cpython/object.h"
#include "tests/unit/fake_python.h"

static const uint32_t versions[] = {0x030812f0, 0x030a0df0, 0x030b07f0, 0x030c01f0,
                                    0x030d00f0, 0x030e0af0, 0x030f02f0};
#define VERSIONS (sizeof(versions) / sizeof(versions[0]))
#define STATIC   UINT64_C(0)
#define HEAP     (UINT64_C(1) << 9)

/* One thread with one frame of one variable, "value". */
struct scene {
    struct fake *fake;
    struct pyi_cpython *python;
    pyi_addr frame, slot, names;
    char name[256], value[9000];
    size_t calls;
};

static void scene_init(struct scene *scene, uint32_t version)
{
    struct fake *fake = fake_new(version);
    const struct pyi_layout *l = fake->layout;
    *scene = (struct scene){.fake = fake, .python = fake_open(fake, FAKE_BASE, 0)};
    pyi_addr code = fake_code(fake, "f", "f.py", 1, "value");
    scene->frame = fake_alloc(fake, 600);
    struct pyi_tracked *thread = calloc(1, sizeof(*thread));
    struct pyi_frame *frame = calloc(1, sizeof(*frame));
    assert_true(thread && frame);
    *frame = (struct pyi_frame){.address = scene->frame, .code = code, .instruction = 4};
    thread->last = thread->room = frame;
    thread->last_count = thread->room_capacity = 1;
    struct pyi_threads *threads = &scene->python->threads;
    threads->items = calloc(1, sizeof(*threads->items));
    assert_non_null(threads->items);
    threads->items[0] = thread;
    threads->count = threads->capacity = 1;
    if (l->minor < 11) {
        fake_u64(fake, code + l->code_freevars, fake_tuple(fake, NULL, 0));
        fake_u64(fake, scene->frame + l->frameobject_code, code);
        fake_i32(fake, scene->frame + l->frameobject_lasti, 4);
        scene->slot = scene->frame + l->frameobject_localsplus;
        scene->names = code + l->code_varnames;
    } else {
        fake_u64(fake, scene->frame + l->iframe_code, code);
        fake_u64(fake, scene->frame + l->iframe_instr, 4);
        scene->slot = scene->frame + l->iframe_localsplus;
        scene->names = code + l->code_localsplusnames;
    }
}

static void scene_deinit(struct scene *scene)
{
    pyi_cpython_close(scene->python);
    free(scene->fake);
}

static void take(void *context, struct pyi_text name, struct pyi_text value)
{
    struct scene *scene = context;
    assert_int_equal(strlen(name.data), name.length);
    assert_int_equal(strlen(value.data), value.length);
    assert_true(name.length < sizeof(scene->name) && value.length < sizeof(scene->value));
    strcpy(scene->name, name.data);
    strcpy(scene->value, value.data);
    scene->calls++;
}

static int ask(struct scene *scene)
{
    scene->calls = 0;
    scene->name[0] = scene->value[0] = '\0';
    return pyi_cpython_locals(scene->python, 0, 0, take, scene, NULL);
}

static const char *show(struct scene *scene, uint64_t reference)
{
    fake_u64(scene->fake, scene->slot, reference);
    assert_int_equal(ask(scene), 0);
    assert_string_equal(scene->name, scene->calls ? "value" : "");
    return scene->value;
}

static pyi_addr list_of(struct fake *fake, const pyi_addr *items, size_t count)
{
    const struct pyi_layout *l = fake->layout;
    pyi_addr type = fake_type(fake, "list", PYI_TYPE_IS_LIST);
    pyi_addr at = fake_object(fake, type, 64), data = fake_alloc(fake, 8 * count + 8);
    for (size_t i = 0; i < count; i++)
        fake_u64(fake, data + 8 * i, items[i]);
    fake_u64(fake, at + l->var_size, count);
    fake_u64(fake, at + l->list_items, data);
    return at;
}

static pyi_addr int_of(struct fake *fake, const char *type, uint64_t value)
{
    pyi_addr at = fake_int(fake, value);
    fake_u64(fake, at + fake->layout->object_type, fake_type(fake, type, PYI_TYPE_IS_INT));
    return at;
}

/* A set whose table has four entries. */
static pyi_addr set_of(struct fake *fake, const char *type, pyi_addr first, pyi_addr deleted)
{
    pyi_addr at = fake_object(fake, fake_type(fake, type, STATIC), 64),
             table = fake_alloc(fake, 64);
    pyi_addr head = at + fake->layout->object_size;
    fake_u64(fake, head + 8, 1);
    fake_u64(fake, head + 16, 3);
    fake_u64(fake, head + 24, table);
    fake_u64(fake, table + 16, deleted);
    fake_u64(fake, table + 24, UINT64_MAX);
    fake_u64(fake, table + 32, first);
    fake_u64(fake, table + 40, 12345);
    return at;
}

static void test_plain_values(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct scene scene;
        scene_init(&scene, versions[v]);
        struct fake *fake = scene.fake;
        pyi_addr seven = int_of(fake, "int", 7), zero = int_of(fake, "int", 0);
        pyi_addr real = fake_object(fake, fake_type(fake, "float", STATIC), 32);
        double third = 1.0 / 3;
        memcpy(fake_at(fake, real + fake->layout->object_size), &third, 8);
        assert_string_equal(show(&scene, seven), "7");
        assert_string_equal(show(&scene, zero), "0");
        assert_string_equal(show(&scene, int_of(fake, "int", UINT64_C(18446744073709551615))),
                            "18446744073709551615");
        assert_string_equal(show(&scene, int_of(fake, "bool", 1)), "True");
        assert_string_equal(show(&scene, int_of(fake, "bool", 0)), "False");
        assert_string_equal(show(&scene, real), "0.3333333333333333");
        assert_string_equal(show(&scene, fake_str(fake, "it's\n\x1b")), "\"it's\\n\\x1b\"");
        assert_string_equal(show(&scene, list_of(fake, (pyi_addr[]){seven, zero}, 2)), "[7, 0]");
        assert_string_equal(show(&scene, list_of(fake, NULL, 0)), "[]");
        assert_string_equal(show(&scene, set_of(fake, "set", seven, zero)), "{7}");
        assert_string_equal(show(&scene, set_of(fake, "frozenset", seven, zero)), "frozenset({7})");
        assert_string_equal(
            show(&scene, fake_object(fake, fake_type(fake, "NoneType", STATIC), 16)), "None");
        pyi_addr thing = fake_object(fake, fake_type(fake, "a.b.Thing", HEAP), 16);
        char expected[64];
        snprintf(expected, sizeof(expected), "<Thing at 0x%llx>", (unsigned long long)thing);
        assert_string_equal(show(&scene, thing), expected);
        /* No value, and what a slot itself can hold. */
        assert_string_equal(show(&scene, 0), "");
        assert_int_equal(scene.calls, 0);
        if (fake->layout->minor >= 14) {
            assert_string_equal(show(&scene, 1), "");
            assert_string_equal(show(&scene, (uint64_t)-5 << 2 | 3), "-5");
            assert_string_equal(show(&scene, seven | 1), "7");
        }
        scene_deinit(&scene);
    }
}

/* A class of the program may be called like one of Python's own. */
static void test_other_types_of_the_same_name(void **state)
{
    struct scene scene;
    scene_init(&scene, 0x030c01f0);
    static const char *const names[] = {"set",  "frozenset", "float", "NoneType", "str",
                                        "list", "dict",      "tuple", "int",      "bytes"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        pyi_addr object = fake_object(scene.fake, fake_type(scene.fake, names[i], HEAP), 16);
        char expected[64];
        snprintf(expected, sizeof(expected), "<%s at 0x%llx>", names[i],
                 (unsigned long long)object);
        assert_string_equal(show(&scene, object), expected);
    }
    scene_deinit(&scene);
}

static void test_hostile_values(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct scene scene;
        scene_init(&scene, versions[v]);
        struct fake *fake = scene.fake;
        const struct pyi_layout *l = fake->layout;
        pyi_addr cycle = list_of(fake, (pyi_addr[]){0, 0, 0, 0, 0, 0, 0, 0}, 8);
        uint64_t items;
        memcpy(&items, fake_at(fake, cycle + l->list_items), 8);
        for (size_t i = 0; i < 8; i++)
            fake_u64(fake, items + 8 * i, cycle);
        const char *text = show(&scene, cycle);
        assert_true(strlen(text) < 1000 && strncmp(text, "[[[[...], ", 10) == 0);
        fake_u64(fake, cycle + l->var_size, (uint64_t)-1);
        assert_string_equal(show(&scene, cycle), "<unreadable>");
        fake_u64(fake, cycle + l->var_size, UINT64_C(1) << 40);
        assert_non_null(strstr(show(&scene, cycle), "more]"));
        fake_u64(fake, cycle + l->list_items, 0x7eff00000000);
        assert_string_equal(show(&scene, cycle), "<unreadable>");
        pyi_addr broken = set_of(fake, "set", cycle, 0);
        fake_u64(fake, broken + l->object_size + 16, 6);
        assert_string_equal(show(&scene, broken), "<unreadable>");
        fake_u64(fake, broken + l->object_size + 16, UINT64_MAX);
        assert_string_equal(show(&scene, broken), "<unreadable>");
        pyi_addr number = int_of(fake, "int", 7);
        fake_i32(fake, number + l->long_digits, -1);
        assert_string_equal(show(&scene, number), "<unreadable>");
        fake_u64(fake, number + l->long_tag, UINT64_MAX / 2);
        assert_string_equal(show(&scene, number), "<unreadable>");
        fake_u64(fake, number + l->long_tag, l->minor >= 12 ? 1000 << 3 : 1000);
        assert_string_equal(show(&scene, number), "<int of 30000 bits>");
        fake_u64(fake, number + l->object_type, 0x7eff00000000);
        assert_string_equal(show(&scene, number), "<unreadable>");
        pyi_addr string = fake_str(fake, "abc");
        fake_u64(fake, string + l->ascii_length, UINT64_MAX);
        assert_string_equal(show(&scene, string), "<unreadable>");
        scene_deinit(&scene);
    }
}

static void test_a_frame_that_changed(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct scene scene;
        scene_init(&scene, versions[v]);
        const struct pyi_layout *l = scene.fake->layout;
        pyi_addr code = scene.frame + (l->minor < 11 ? l->frameobject_code : l->iframe_code);
        assert_string_equal(show(&scene, int_of(scene.fake, "int", 7)), "7");
        fake_u64(scene.fake, code, FAKE_BASE + 4096);
        assert_int_equal(ask(&scene), PYI_E_TORN);
        assert_int_equal(scene.calls, 0);
        assert_int_equal(pyi_cpython_locals(scene.python, 0, 1, take, &scene, NULL), PYI_E_INVALID);
        assert_int_equal(pyi_cpython_locals(scene.python, 1, 0, take, &scene, NULL), PYI_E_INVALID);
        scene_deinit(&scene);
    }
}

/* Names are texts of the program, too. */
static void test_hostile_names(void **state)
{
    struct scene scene;
    scene_init(&scene, 0x030d00f0);
    struct fake *fake = scene.fake;
    char longer[301];
    memset(longer, 'n', 300);
    longer[300] = '\0';
    fake_u64(fake, scene.slot, int_of(fake, "int", 7));
    pyi_addr name = fake_str_wide(fake, "a\0b\0", 4, 1, true);
    fake_u64(fake, scene.names, fake_tuple(fake, &name, 1));
    assert_int_equal(ask(&scene), 0);
    assert_string_equal(scene.name, "a?b?");
    name = fake_str(fake, longer);
    fake_u64(fake, scene.names, fake_tuple(fake, &name, 1));
    assert_int_equal(ask(&scene), 0);
    assert_int_equal(strlen(scene.name), 80);
    name = 0x7eff00000000;
    fake_u64(fake, scene.names, fake_tuple(fake, &name, 1));
    assert_int_equal(ask(&scene), 0);
    assert_int_equal(scene.calls, 0);
    scene_deinit(&scene);
}

/* Any bytes at all: it ends, stays within its bounds and delivers whole texts. */
static void test_random_bytes(void **state)
{
    uint64_t seed = 88172645463325252u;
    for (size_t v = 0; v < VERSIONS; v++) {
        struct scene scene;
        scene_init(&scene, versions[v]);
        struct fake *fake = scene.fake;
        pyi_addr seven = int_of(fake, "int", 7), text = fake_str(fake, "text");
        pyi_addr set = set_of(fake, "set", seven, text);
        pyi_addr inner = list_of(fake, (pyi_addr[]){seven, text, set}, 3);
        pyi_addr outer = list_of(fake, (pyi_addr[]){inner, set, inner, text, seven}, 5);
        fake_u64(fake, scene.slot, outer);
        for (int i = 0; i < 3000; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            uint8_t *byte = &fake->bytes[seed % fake->used];
            uint8_t old = *byte;
            *byte = (uint8_t)(seed >> 40);
            scene.python->round += 1000; /* types are read anew */
            int rc = ask(&scene);
            assert_true(rc <= 0 && scene.calls <= 64);
            *byte = old;
        }
        scene_deinit(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_values),   cmocka_unit_test(test_other_types_of_the_same_name),
        cmocka_unit_test(test_hostile_values), cmocka_unit_test(test_a_frame_that_changed),
        cmocka_unit_test(test_hostile_names),  cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
