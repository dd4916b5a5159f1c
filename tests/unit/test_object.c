/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_object.c - str, int, bytes, sequences, dicts and attributes in a hand-made image.
 */
#include "attach/cpython/object.h"
#include "tests/unit/fake_python.h"

static const uint32_t versions[] = {0x030812f0, 0x030a0df0, 0x030b07f0, 0x030c01f0,
                                    0x030d00f0, 0x030e0af0, 0x030f02f0};
#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

static void expect_str(struct pyi_cpython *python, pyi_addr object, const char *expected)
{
    struct pyi_strbuf out = {0};
    assert_int_equal(pyi_object_str(python, object, 100, &out, NULL), 0);
    assert_string_equal(pyi_strbuf_get(&out).data, expected);
    pyi_strbuf_deinit(&out);
}

static void test_str_kinds(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct fake *fake = fake_new(versions[v]);
        struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
        static const uint16_t two[] = {0x4e2d, 0x6587, 0xdc80};
        static const uint32_t four[] = {0x1f600, 'x'};
        char longer[91];
        memset(longer, 'n', 90);
        longer[90] = '\0';
        expect_str(python, fake_str(fake, "plain"), "plain");
        expect_str(python, fake_str(fake, ""), "");
        expect_str(python, fake_str(fake, longer), longer);
        expect_str(python, fake_str_wide(fake, "caf\xe9", 4, 1, false), "caf\xc3\xa9");
        expect_str(python, fake_str_wide(fake, two, 3, 2, false),
                   "\xe4\xb8\xad\xe6\x96\x87\xed\xb2\x80");
        expect_str(python, fake_str_wide(fake, four, 2, 4, false), "\xf0\x9f\x98\x80x");
        pyi_cpython_close(python);
        free(fake);
    }
}

/* Up to 3.11: characters still in the wchar_t form. */
static void test_str_not_ready(void **state)
{
    struct fake *fake = fake_new(0x030b07f0);
    struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
    static const uint32_t wide[] = {'o', 'l', 'd'};
    pyi_addr units = fake_alloc(fake, sizeof(wide));
    pyi_addr object = fake_object(fake, fake->str_type, 80);
    memcpy(fake_at(fake, units), wide, sizeof(wide));
    fake_u64(fake, object + fake->layout->ascii_wstr, units);
    fake_u64(fake, object + fake->layout->compact_wstr_length, 3);
    expect_str(python, object, "old");
    /* Ready, but with its characters elsewhere. */
    fake_i32(fake, object + fake->layout->ascii_state, 4 << 2 | 1 << 7);
    fake_u64(fake, object + fake->layout->unicode_data, units);
    fake_u64(fake, object + fake->layout->ascii_length, 2);
    expect_str(python, object, "ol");
    pyi_cpython_close(python);
    free(fake);
}

static void test_str_hostile(void **state)
{
    struct fake *fake = fake_new(0x030c01f0);
    struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
    struct pyi_strbuf out = {0};
    pyi_addr huge = fake_str(fake, "abc");
    pyi_addr kind = fake_str(fake, "abc");
    fake_u64(fake, huge + fake->layout->ascii_length, UINT64_C(4) << 30);
    fake_i32(fake, kind + fake->layout->ascii_state, 3 << 2 | 1 << 5);
    assert_int_equal(pyi_object_str(python, huge, 4096, &out, NULL), PYI_E_LIMIT);
    fake_u64(fake, huge + fake->layout->ascii_length, UINT64_MAX);
    assert_int_equal(pyi_object_str(python, huge, SIZE_MAX, &out, NULL), PYI_E_TORN);
    assert_int_equal(pyi_object_str(python, kind, 4096, &out, NULL), PYI_E_TORN);
    assert_int_equal(pyi_object_str(python, 0, 4096, &out, NULL), PYI_E_TORN);
    assert_int_equal(pyi_object_str(python, UINT64_MAX - 7, 4096, &out, NULL), PYI_E_TORN);
    assert_int_equal(pyi_object_str(python, 0x7eff00000000, 4096, &out, NULL), PYI_E_FAULT);
    assert_int_equal(out.length, 0);
    pyi_strbuf_deinit(&out);
    pyi_cpython_close(python);
    free(fake);
}

static void test_numbers(void **state)
{
    static const uint64_t values[] = {0, 1, 0x3fffffff, 0x40000000, 140000000000000, UINT64_MAX};
    for (size_t v = 0; v < VERSIONS; v++) {
        struct fake *fake = fake_new(versions[v]);
        struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            uint64_t value = 5;
            assert_int_equal(pyi_object_int(python, fake_int(fake, values[i]), &value, NULL), 0);
            assert_true(value == values[i]);
        }
        uint64_t value = 5;
        pyi_addr wide = fake_int(fake, 7);
        fake_u64(fake, wide + fake->layout->long_tag, UINT64_C(1) << 40);
        assert_int_equal(pyi_object_int(python, wide, &value, NULL), PYI_E_LIMIT);
        assert_true(value == 5);
        pyi_cpython_close(python);
        free(fake);
    }
}

static void test_sequences(void **state)
{
    struct fake *fake = fake_new(0x030e0af0);
    struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
    pyi_addr pair[] = {0x1000000, 0x2000000}, *items = NULL;
    uint8_t *bytes = NULL;
    size_t count = 0;
    pyi_addr tuple = fake_tuple(fake, pair, 2);
    pyi_addr data = fake_bytes(fake, "a\0b", 3);
    assert_int_equal(pyi_object_tuple(python, tuple, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(items[1] == pair[1]);
    free(items);
    items = NULL;
    assert_int_equal(pyi_object_tuple(python, tuple, 1, &items, &count, NULL), PYI_E_LIMIT);
    assert_null(items);
    assert_int_equal(pyi_object_bytestring(python, data, 10, &bytes, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_memory_equal(bytes, "a\0b", 3);
    free(bytes);
    fake_u64(fake, data + fake->layout->var_size, (uint64_t)-1);
    assert_int_equal(pyi_object_bytestring(python, data, 1 << 20, &bytes, &count, NULL),
                     PYI_E_LIMIT);
    pyi_cpython_close(python);
    free(fake);
}

/* ---- dicts ---- */

/* A keys object with `count` str entries; `values` NULL makes the entries' value slots null. */
static pyi_addr make_keys(struct fake *fake, const char *const *names, const pyi_addr *values,
                          size_t count, unsigned kind)
{
    const struct pyi_layout *l = fake->layout;
    pyi_addr keys = fake_alloc(fake, 1024);
    size_t stride = 24, key_at = 8, value_at = 16, indices = 8;
    if (l->minor < 11) {
        fake_u64(fake, keys + l->keys_size, 8);
    } else {
        *fake_at(fake, keys + l->keys_log2_index_bytes) = 3;
        *fake_at(fake, keys + l->keys_kind) = (uint8_t)kind;
        if (kind != 0) {
            stride = 16;
            key_at = 0;
            value_at = 8;
        }
    }
    fake_u64(fake, keys + l->keys_nentries, count);
    for (size_t i = 0; i < count; i++) {
        pyi_addr entry = keys + l->keys_indices + indices + i * stride;
        if (names[i] != NULL)
            fake_u64(fake, entry + key_at, fake_str(fake, names[i]));
        fake_u64(fake, entry + value_at, values != NULL ? values[i] : 0);
    }
    return keys;
}

static const char *const names[] = {"first", NULL, "third", "gone"};
static const pyi_addr values[] = {0x1111110, 0x2222220, 0x3333330, 0};

static void test_dict(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        for (unsigned kind = 0; kind < 2; kind++) {
            struct fake *fake = fake_new(versions[v]);
            struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
            pyi_addr dict = fake_object(fake, fake->str_type, 64);
            pyi_addr found[3] = {1, 1, 1};
            fake_u64(fake, dict + fake->layout->dict_keys, make_keys(fake, names, values, 4, kind));
            const char *const words[] = {"third", "gone", "first"};
            assert_int_equal(pyi_dict_find(python, dict, words, 3, found, NULL), 0);
            assert_true(found[0] == values[2] && found[1] == 0 && found[2] == values[0]);
            pyi_cpython_close(python);
            free(fake);
        }
    }
}

static void test_dict_split(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct fake *fake = fake_new(versions[v]);
        const struct pyi_layout *l = fake->layout;
        struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
        pyi_addr dict = fake_object(fake, fake->str_type, 64);
        pyi_addr split = fake_alloc(fake, 64), found[2];
        size_t skip = pyi_has_field(l->values_values) ? l->values_values : 0;
        fake_u64(fake, dict + l->dict_keys, make_keys(fake, names, NULL, 4, 2));
        fake_u64(fake, dict + l->dict_values, split);
        for (size_t i = 0; i < 4; i++)
            fake_u64(fake, split + skip + 8 * i, values[i]);
        const char *const words[] = {"third", "absent"};
        assert_int_equal(pyi_dict_find(python, dict, words, 2, found, NULL), 0);
        assert_true(found[0] == values[2] && found[1] == 0);
        pyi_cpython_close(python);
        free(fake);
    }
}

static void test_dict_hostile(void **state)
{
    for (size_t v = 0; v < VERSIONS; v++) {
        struct fake *fake = fake_new(versions[v]);
        const struct pyi_layout *l = fake->layout;
        struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
        pyi_addr dict = fake_object(fake, fake->str_type, 64), found;
        pyi_addr keys = make_keys(fake, names, values, 4, 0);
        const char *const words[] = {"first"};
        fake_u64(fake, dict + l->dict_keys, keys);
        fake_u64(fake, keys + l->keys_nentries, UINT64_C(1) << 40);
        assert_int_equal(pyi_dict_find(python, dict, words, 1, &found, NULL), PYI_E_TORN);
        fake_u64(fake, keys + l->keys_nentries, 4);
        if (l->minor >= 11)
            *fake_at(fake, keys + l->keys_log2_index_bytes) = 63;
        else
            fake_u64(fake, keys + l->keys_size, UINT64_C(1) << 63);
        assert_int_equal(pyi_dict_find(python, dict, words, 1, &found, NULL), PYI_E_TORN);
        assert_int_equal(pyi_dict_find(python, 0, words, 1, &found, NULL), PYI_E_TORN);
        pyi_cpython_close(python);
        free(fake);
    }
}

/* Instance attributes in every form the versions have. */
static void test_attributes(void **state)
{
    const char *const words[] = {"third"};
    for (size_t v = 0; v < VERSIONS; v++) {
        struct fake *fake = fake_new(versions[v]);
        const struct pyi_layout *l = fake->layout;
        struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
        pyi_addr found = 0, type, object;
        if (l->minor < 11) {
            type = fake_type(fake, "Plain", 0);
            object = fake_object(fake, type, 64);
            pyi_addr dict = fake_object(fake, fake->str_type, 64);
            fake_u64(fake, type + l->type_dictoffset, 16);
            fake_u64(fake, dict + l->dict_keys, make_keys(fake, names, values, 4, 0));
            fake_u64(fake, object + 16, dict);
        } else {
            type = fake_type(fake, "Managed", 1u << 4 | 1u << 2);
            fake_alloc(fake, 64);
            object = fake_object(fake, type, 256);
            fake_u64(fake, type + l->heaptype_cached_keys, make_keys(fake, names, NULL, 4, 2));
            pyi_addr split = object + 64;
            if (l->minor == 11)
                fake_u64(fake, object - 32, split);
            else if (l->minor == 12)
                fake_u64(fake, object - 24, split - 1);
            else
                fake_u64(fake, type + l->type_basicsize, 64);
            if (l->minor >= 13) {
                *fake_at(fake, split + l->values_valid) = 1;
                split += l->values_values;
            }
            for (size_t i = 0; i < 4; i++)
                fake_u64(fake, split + 8 * i, values[i]);
            if (l->minor == 12)
                fake_u64(fake, object - 24, (split - 1) | 1);
        }
        assert_int_equal(pyi_object_attributes(python, object, words, 1, &found, NULL), 0);
        assert_true(found == values[2]);
        pyi_cpython_close(python);
        free(fake);
    }
}

static void test_class_names(void **state)
{
    struct fake *fake = fake_new(0x030c01f0);
    struct pyi_cpython *python = fake_open(fake, FAKE_BASE, 0);
    const struct pyi_class *type;
    pyi_addr object = fake_object(fake, fake_type(fake, "collections.OrderedDict", 0), 16);
    assert_int_equal(pyi_object_class(python, object, &type, NULL), 0);
    assert_string_equal(pyi_cpython_class_name(python, type->name).data, "OrderedDict");
    /* The same address as another type: noticed when its time has come. */
    pyi_addr text = fake_alloc(fake, 16);
    memcpy(fake_at(fake, text), "Other", 6);
    fake_u64(fake, type->address + fake->layout->type_name, text);
    python->round += 100000;
    assert_int_equal(pyi_object_class(python, object, &type, NULL), 0);
    assert_string_equal(pyi_cpython_class_name(python, type->name).data, "Other");
    assert_string_equal(pyi_cpython_class_name(python, 0).data, "");
    assert_string_equal(pyi_cpython_class_name(python, 12345).data, "");
    pyi_cpython_close(python);
    free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_kinds),   cmocka_unit_test(test_str_not_ready),
        cmocka_unit_test(test_str_hostile), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sequences),   cmocka_unit_test(test_dict),
        cmocka_unit_test(test_dict_split),  cmocka_unit_test(test_dict_hostile),
        cmocka_unit_test(test_attributes),  cmocka_unit_test(test_class_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
