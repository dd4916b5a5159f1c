/* SPDX-License-Identifier: BSD-3-Clause */
/* test_stacks.c - frame infos taken apart, the trie of stacks, and the encoding of records. */
#include "src/session/stacks.h"

#include "src/base/number.h"
#include "src/base/text.h"
#include "src/session/records.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define TEXT(literal) ((struct pyi_text){literal, sizeof(literal) - 1})

static void takes_frame_infos_apart(void **state)
{
    static const struct {
        struct pyi_text info, identifier;
        size_t count;
        const char *attributes[3];
    } rows[] = {
        {TEXT("f\0/a.py\0001"), TEXT("f\0/a.py\0001"), 0, {0}},
        {TEXT("f\0/a.py\0001\001cThing\001l11"), TEXT("f\0/a.py\0001"), 2, {"cThing", "l11"}},
        {TEXT("f\0/a.py\0001\001"), TEXT("f\0/a.py\0001"), 0, {0}},
        {TEXT("x\001\001"), TEXT("x"), 2, {"", ""}},
        {TEXT("x\001\001l2"), TEXT("x"), 2, {"", "l2"}},
        {TEXT("x\001l1\001l1\001"), TEXT("x"), 3, {"l1", "l1", ""}},
        {TEXT("\001h1"), TEXT(""), 1, {"h1"}},
        {TEXT(""), TEXT(""), 0, {0}},
    };
    struct pyi_stacks stacks;
    assert_true(pyi_stacks_init(&stacks));
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(pyi_stacks_frame(&stacks, rows[i].info), i);
        assert_int_equal(pyi_stacks_frame(&stacks, rows[i].info), i);
        const struct pyi_stack_frame *frame = &stacks.frames[i];
        assert_true(
            pyi_text_equal(pyi_stacks_identifier(&stacks, frame->identifier), rows[i].identifier));
        assert_true(pyi_text_equal(pyi_frame_info_identifier(rows[i].info), rows[i].identifier));
        assert_int_equal(frame->attribute_count, rows[i].count);
        for (size_t j = 0; j < rows[i].count; j++) {
            uint32_t attribute = stacks.attribute_lists[frame->attributes + j];
            assert_true(pyi_text_equal(pyi_stacks_attribute(&stacks, attribute),
                                       pyi_text(rows[i].attributes[j])));
        }
    }
    assert_int_equal(stacks.frames[0].identifier, stacks.frames[1].identifier);
    assert_int_equal(stacks.frames[3].identifier, stacks.frames[4].identifier);
    assert_int_equal(stacks.identifiers.count, 3);
    pyi_stacks_deinit(&stacks);
}

static void equal_stacks_have_equal_nodes(void **state)
{
    struct pyi_stacks stacks;
    assert_true(pyi_stacks_init(&stacks));
    assert_int_equal(stacks.nodes[PYI_STACK_ROOT].depth, 0);
    uint32_t frames[40], nodes[40][40];
    char info[16];
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(info, sizeof(info), "f%u", i);
        frames[i] = pyi_stacks_frame(&stacks, pyi_text(info));
    }
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            uint32_t outer = pyi_stacks_push(&stacks, PYI_STACK_ROOT, frames[i]);
            for (uint32_t j = 0; j < 40; j++) {
                uint32_t node = pyi_stacks_push(&stacks, outer, frames[j]);
                if (!round)
                    nodes[i][j] = node;
                assert_int_equal(node, nodes[i][j]);
                assert_int_equal(stacks.nodes[node].parent, outer);
                assert_int_equal(stacks.nodes[node].frame, frames[j]);
                assert_int_equal(stacks.nodes[node].depth, 2);
                assert_true(node > outer);
            }
        }
    }
    assert_int_equal(stacks.node_count, 1 + 40 + 40 * 40);
    pyi_stacks_deinit(&stacks);
}

static struct pyi_record record_at(uint32_t i)
{
    struct pyi_record record = {i * 2654435761u, pyi_number_double(i * 0.001)};
    if (i % 3 == 0)
        record.seconds = pyi_number_integer(i % 2 ? -(int64_t)i : (int64_t)i << 40);
    if (i == 9)
        record.seconds = pyi_number_integer(INT64_MIN);
    if (i == 12)
        record.seconds = pyi_number_integer(INT64_MAX);
    if (i == 10)
        record.stack = UINT32_MAX;
    return record;
}

static void records_come_back(void **state)
{
    struct pyi_records records = {0};
    struct pyi_record got;
    uint64_t cursor = 0;
    assert_false(pyi_records_next(&records, &cursor, &got));
    for (uint32_t i = 0; i < 50000; i++) {
        struct pyi_record record = record_at(i);
        assert_true(pyi_records_append(&records, &record));
        /* Reading goes on where it ended when more has come. */
        assert_true(pyi_records_next(&records, &cursor, &got));
        assert_int_equal(got.stack, record.stack);
        assert_false(pyi_records_next(&records, &cursor, &got));
    }
    assert_int_equal(records.count, 50000);
    cursor = 0;
    for (uint32_t i = 0; i < 50000; i++) {
        struct pyi_record record = record_at(i);
        assert_true(pyi_records_next(&records, &cursor, &got));
        assert_int_equal(got.stack, record.stack);
        assert_int_equal(got.seconds.is_integer, record.seconds.is_integer);
        assert_int_equal(got.seconds.integer, record.seconds.integer);
        assert_memory_equal(&got.seconds.value, &record.seconds.value, sizeof(double));
    }
    assert_false(pyi_records_next(&records, &cursor, &got));
    pyi_records_deinit(&records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_frame_infos_apart),
        cmocka_unit_test(equal_stacks_have_equal_nodes),
        cmocka_unit_test(records_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
