/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reads.c - rounds over memory images whose n-th read fails, for every n.
 *
 * A read that brings nothing or too little costs stacks, never the recording; the next round is
 * whole again. A target that is gone is said to be gone, whichever read found out.
 */
#include "tests/fault/inject.h"

#include "attach/target.h"
#include "src/base/text.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fault/images.inc"

struct image {
    const void *bytes;
    size_t length;
};

enum step { STEP_OPEN, STEP_ROUND, STEP_SYSINFO, STEP_DONE };

static void require(bool good, enum step step, int code, const struct pyi_error *err)
{
    if (!good)
        fail_msg("read %llu%s of kind %d, step %d: %d '%s'",
                 (unsigned long long)inject.read_fail_at, inject.read_onwards ? " onwards" : "",
                 (int)inject.read_fault, (int)step, code, err->message);
}

/* The round after the fault is as good as without one. */
static void same(struct pyi_text found, struct pyi_text whole)
{
    size_t line = 0;
    for (size_t i = 0; i < whole.length && found.data[i] == whole.data[i]; i++)
        if (whole.data[i] == '\n')
            line = i + 1;
    if (!pyi_text_equal(found, whole))
        fail_msg("read %llu of kind %d: the next round has '%.60s' for '%.60s'",
                 (unsigned long long)inject.read_fail_at, (int)inject.read_fault, found.data + line,
                 whole.data + line);
}

/* Two rounds and sys; stops at the first failure. */
static enum step look(struct pyi_target *target, struct pyi_strbuf *out, int *code,
                      struct pyi_error *err)
{
    const struct pyi_sysinfo *sysinfo;
    for (int i = 0; i < 2; i++) {
        struct pyi_round round = {0};
        *code = pyi_target_round(target, &round, err);
        if (*code)
            return STEP_ROUND;
        pyi_strbuf_reset(out);
        images_spell(target, &round, false, out);
    }
    *code = pyi_target_sysinfo(target, &sysinfo, err);
    return *code ? STEP_SYSINFO : STEP_DONE;
}

/* What a failure may be called, by what failed and when. */
static void judge(enum step step, int code, const struct pyi_error *err)
{
    require(code == err->code && (code == 0 || err->message[0]), step, code, err);
    if (!inject.reads_failed)
        require(code == 0, step, code, err);
    else if (inject.read_fault == READ_GONE)
        require(code == PYI_E_GONE, step, code, err);
    else if (step == STEP_OPEN)
        require(code == PYI_E_FORMAT || code == PYI_E_NOTPYTHON || code == PYI_E_VERSION, step,
                code, err);
    else
        require(code == 0, step, code, err);
}

static void one(const struct image *image, const struct pyi_strbuf *whole)
{
    struct pyi_target *target = NULL;
    struct pyi_error err = {0};
    struct pyi_strbuf out = {0};
    int64_t live = inject.live;
    inject.reads = inject.reads_failed = 0;
    enum step step = STEP_OPEN;
    int code = pyi_target_open_image_bytes(image->bytes, image->length, NULL, &target, &err);
    if (code == 0)
        step = look(target, &out, &code, &err);
    judge(step, code, &err);
    uint64_t failed = inject.reads_failed, at = inject.read_fail_at;
    inject.read_fail_at = 0;
    if (step == STEP_DONE && whole) {
        (void)look(target, &out, &code, &err);
        inject.read_fail_at = at;
        require(code == 0, step, code, &err);
        same(pyi_strbuf_get(&out), pyi_strbuf_get(whole));
    }
    inject.read_fail_at = at;
    inject.reads_failed = failed;
    pyi_strbuf_deinit(&out);
    pyi_target_close(target);
    require(inject.live == live, step, (int)(inject.live - live),
            &(struct pyi_error){.message = "blocks left"});
}

static void undisturbed(const struct image *image, struct pyi_strbuf *whole)
{
    struct pyi_target *target = NULL;
    struct pyi_error err = {0};
    int code = pyi_target_open_image_bytes(image->bytes, image->length, NULL, &target, &err);
    assert_int_equal(code, 0);
    assert_int_equal(look(target, whole, &code, &err), STEP_DONE);
    pyi_target_close(target);
}

static void every_read(void *context, const void *bytes, size_t length)
{
    struct image image = {bytes, length};
    struct pyi_strbuf whole = {0};
    inject.read_fault = *(const enum read_fault *)context;
    inject.read_fail_at = 0;
    undisturbed(&image, &whole);
    /* Who is gone stays gone. */
    for (int onwards = inject.read_fault == READ_GONE; onwards < 2; onwards++) {
        inject.read_onwards = onwards;
        inject.read_fail_at = 0;
        do {
            inject.read_fail_at++;
            one(&image, onwards ? NULL : &whole);
        } while (inject.reads_failed);
        print_message("# %llu reads\n", (unsigned long long)inject.read_fail_at - 1);
        assert_true(inject.read_fail_at > 5);
    }
    pyi_strbuf_deinit(&whole);
}

static void over_images(enum read_fault fault)
{
    images_each(every_read, &fault);
}

static void nothing_arrives(void **state)
{
    over_images(READ_FAULT);
}

static void too_little_arrives(void **state)
{
    over_images(READ_SHORT);
}

static void target_is_gone(void **state)
{
    over_images(READ_GONE);
}

int main(void)
{
    char *root = getcwd(NULL, 0);
    if (!root || setenv("PYI_FIXTURES", root, 1))
        return 1;
    free(root);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_arrives),
        cmocka_unit_test(too_little_arrives),
        cmocka_unit_test(target_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
