/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser of the command line: syntax, shortened names, values, and what ends the options. */
#include "src/cli/options/options.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS = 16 };

/* Parses words given up to NULL; argv[0] is added. */
static int parse(struct pyi_options *out, struct pyi_error *err, char **words)
{
    static char *argv[WORDS];
    int argc = 0;
    argv[argc++] = "pyinstrument";
    for (; *words; words++)
        argv[argc++] = *words;
    *err = (struct pyi_error){0};
    return pyi_options_parse(argc, argv, out, err);
}
#define WORDS_OF(...)                                                                              \
    (char *[])                                                                                     \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void options_end_at_the_script(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("-t", "s.py", "--load", "x", "-t")), 0);
    assert_int_equal(options.program_count, 4);
    assert_string_equal(options.program[0], "s.py");
    assert_string_equal(options.program[1], "--load");
    assert_false(pyi_options_given(&options, PYI_OPT_LOAD));
    assert_int_equal(options.count[PYI_OPT_TIMELINE], 1);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("--", "-t", "x")), 0);
    assert_string_equal(options.program[0], "-t");
    assert_false(pyi_options_given(&options, PYI_OPT_TIMELINE));
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-")), 0);
    assert_string_equal(options.program[0], "-");
    pyi_options_free(&options);
}

static void module_and_code_take_the_rest(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("-t", "-m", "json.tool", "-o", "x")), 0);
    assert_string_equal(options.values[PYI_OPT_MODULE], "json.tool");
    assert_int_equal(options.program_count, 2);
    assert_string_equal(options.program[0], "-o");
    assert_false(pyi_options_given(&options, PYI_OPT_OUTFILE));
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-tcprint(1)", "-c", "y")), 0);
    assert_string_equal(options.values[PYI_OPT_CODE], "print(1)");
    assert_int_equal(options.program_count, 2);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-mx")), 0);
    assert_int_equal(options.program_count, 0);
    assert_non_null(options.program);
    pyi_options_free(&options);
}

static void values_in_both_spellings(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error,
                           WORDS_OF("-oa", "--outfile=b", "--outfile", "c", "-to", "d=e", "-r",
                                    "json", "--load=", "--load", "-", "-i", "-1")),
                     0);
    assert_string_equal(options.values[PYI_OPT_OUTFILE], "d=e");
    assert_int_equal(options.count[PYI_OPT_OUTFILE], 4);
    assert_string_equal(options.values[PYI_OPT_RENDERER], "json");
    assert_int_equal(options.load_count, 2);
    assert_string_equal(options.loads[0], "");
    assert_string_equal(options.loads[1], "-");
    assert_float_equal(pyi_options_interval(&options), -1, 0);
    pyi_options_free(&options);
}

static void render_options_accumulate(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("-p", "a=1", "-pb", "--render-option=c=d=e")),
                     0);
    assert_int_equal(options.render_option_count, 3);
    assert_string_equal(options.render_options[0], "a=1");
    assert_string_equal(options.render_options[1], "b");
    assert_string_equal(options.render_options[2], "c=d=e");
    pyi_options_free(&options);
}

static void last_one_wins(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("--no-color", "--color")), 0);
    assert_true(options.order[PYI_OPT_COLOR] > options.order[PYI_OPT_NO_COLOR]);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("--rate", "100", "-i", "0.5")), 0);
    assert_float_equal(pyi_options_interval(&options), 0.5, 0);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-i", "0.5", "--rate", "100")), 0);
    assert_float_equal(pyi_options_interval(&options), 0.01, 1e-12);
    pyi_options_free(&options);
}

struct shortening {
    char *word;
    enum pyi_option_id id; /* PYI_OPTIONS: refused */
    const char *message;   /* part of it */
};

static void shortened_names(void **state)
{
    /* Upstream's meaning of every shortening survives our additions. */
    static const struct shortening rows[] = {
        {"--time", PYI_OPT_TIMELINE, NULL},
        {"--he", PYI_OPT_HELP, NULL},
        {"--i=1", PYI_OPT_INTERVAL, NULL},
        {"--c", PYI_OPT_COLOR, NULL},
        {"--v", PYI_OPT_VERSION, NULL},
        {"--o=x", PYI_OPT_OUTFILE, NULL},
        {"--ht", PYI_OPT_HTML, NULL},
        {"--f", PYI_OPT_FROM_PATH, NULL},
        {"--load=x", PYI_OPT_LOAD, NULL},
        {"--load-=x", PYI_OPT_LOAD_PREV, NULL},
        {"--show=x", PYI_OPT_SHOW, NULL},
        {"--hide=x", PYI_OPT_HIDE, NULL},
        {"--u", PYI_OPTIONS, "--unicode, --use-timing-thread"},
        {"--sho", PYI_OPTIONS, "ambiguous option --sho (--show, --show-regex, --show-all?)"},
        {"--lo", PYI_OPTIONS, "--load, --load-prev"},
        {"--t", PYI_OPTIONS, "--timeline, --target-description"},
        {"--h", PYI_OPTIONS, "ambiguous"},
        {"--", PYI_OPTIONS, NULL},
        /* What is nobody else's may be ours. */
        {"--lis", PYI_OPT_LIST_PREV, NULL},
        {"--pi=1", PYI_OPT_PID, NULL},
        {"--thr=main", PYI_OPT_THREAD, NULL},
        {"--help-", PYI_OPT_HELP_ALL, NULL},
        {"--j", PYI_OPTIONS, "--json, --json-errors"},
        {"--d=1", PYI_OPTIONS, "ambiguous"},
        {"--print", PYI_OPTIONS, "unknown option --print"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_options options;
        struct pyi_error error;
        int code = parse(&options, &error, WORDS_OF(rows[i].word));
        if (rows[i].id != PYI_OPTIONS) {
            if (code || !pyi_options_given(&options, rows[i].id))
                fail_msg("%s: %s", rows[i].word, error.message);
        } else if (rows[i].message) {
            assert_int_equal(code, PYI_E_INVALID);
            assert_string_equal(error.slug, "usage");
            if (!strstr(error.message, rows[i].message))
                fail_msg("%s: %s", rows[i].word, error.message);
        }
        pyi_options_free(&options);
    }
}

static void a_value_that_may_be_left_out(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("--color", "never")), 0);
    assert_null(options.values[PYI_OPT_COLOR]);
    assert_string_equal(options.program[0], "never");
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("--colo=never", "x.py")), 0);
    assert_string_equal(options.values[PYI_OPT_COLOR], "never");
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("--color=red")), PYI_E_INVALID);
    pyi_options_free(&options);
}

static void numbers_that_are_processes(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    char self[20];
    snprintf(self, sizeof(self), "%d", (int)getpid());
    assert_int_equal(parse(&options, &error, WORDS_OF(self)), 0);
    assert_string_equal(pyi_options_mistaken_pid(&options), self);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-p", self, "x.py")), 0);
    assert_string_equal(pyi_options_mistaken_pid(&options), self);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-p", "flat", "x.py", self)), 0);
    assert_null(pyi_options_mistaken_pid(&options));
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-c", self)), 0);
    assert_null(pyi_options_mistaken_pid(&options));
    pyi_options_free(&options);
}

static void refused_words(void **state)
{
    static const struct shortening rows[] = {
        {"--intervall=1", PYI_OPTIONS, "unknown option --intervall; did you mean --interval?"},
        {"--bogus-thing", PYI_OPTIONS, "unknown option --bogus-thing"},
        {"--subprocesses", PYI_OPTIONS, "unknown option --subprocesses"},
        {"-x", PYI_OPTIONS, "unknown option -x"},
        {"-s", PYI_OPTIONS, "unknown option -s"},
        {"--native=1", PYI_OPTIONS, "option --native takes no value"},
        {"--timeline=1", PYI_OPTIONS, "option --timeline takes no value"},
        {"--outfile", PYI_OPTIONS, "option --outfile needs a value: FILE"},
        {"-to", PYI_OPTIONS, "option --outfile needs a value: FILE"},
        {"-m", PYI_OPTIONS, "option -m needs a value: MODULE"},
        {"-iabc", PYI_OPTIONS, "option --interval needs a number of seconds"},
        {"-i1parsec", PYI_OPTIONS, "option --interval needs a number of seconds"},
        {"-inan", PYI_OPTIONS, "option --interval needs"},
        {"-iinf", PYI_OPTIONS, "option --interval needs"},
        {"-d0", PYI_OPTIONS, "option --duration needs a time above zero"},
        {"-d-3", PYI_OPTIONS, "option --duration needs a time above zero"},
        {"--rate=0", PYI_OPTIONS, "option --rate needs a rate above zero"},
        {"--pid=0", PYI_OPTIONS, "option --pid needs a process id"},
        {"--pid=-4", PYI_OPTIONS, "option --pid needs a process id"},
        {"--pid=12x", PYI_OPTIONS, "option --pid needs a process id"},
        {"--pid=99999999999", PYI_OPTIONS, "option --pid needs a process id"},
        {"--assume-version=3", PYI_OPTIONS, "option --assume-version needs a version"},
        {"--progress=now", PYI_OPTIONS, "always, never or auto"},
        {"--completions=tcsh", PYI_OPTIONS, "bash, zsh or fish"},
        {"-\xc3\xa4", PYI_OPTIONS, "unknown option"},
        {"--\x1b[31m", PYI_OPTIONS, "\\x1b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_options options;
        struct pyi_error error;
        assert_int_equal(parse(&options, &error, WORDS_OF(rows[i].word)), PYI_E_INVALID);
        if (!strstr(error.message, rows[i].message))
            fail_msg("%s: %s", rows[i].word, error.message);
        assert_null(strchr(error.message, '\x1b'));
        pyi_options_free(&options);
    }
}

static void help_ends_parsing(void **state)
{
    struct pyi_options options;
    struct pyi_error error;
    assert_int_equal(parse(&options, &error, WORDS_OF("-t", "--help", "--bogus")), 0);
    assert_int_equal(options.immediate, PYI_OPT_HELP);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("--bogus", "--help")), PYI_E_INVALID);
    pyi_options_free(&options);
    assert_int_equal(parse(&options, &error, WORDS_OF("-th")), 0);
    assert_int_equal(options.immediate, PYI_OPT_HELP);
    pyi_options_free(&options);
}

static void times_and_rates(void **state)
{
    static const struct {
        const char *text;
        double seconds; /* NAN: refused */
    } times[] = {
        {"30", 30},      {"30s", 30},   {"5m", 300},       {"1h", 3600}, {"1ms", 1e-3},
        {"100us", 1e-4}, {".5", 0.5},   {"1e-3", 1e-3},    {"2 s", 2},   {"1.5min", 90},
        {"-1", -1},      {"0", 0},      {"250ns", 250e-9}, {"", NAN},    {"s", NAN},
        {"1d", NAN},     {"1ms2", NAN}, {"nan", NAN},      {"inf", NAN}, {"1e400", NAN},
        {"--1", NAN},    {"1 2", NAN},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        double seconds = 0;
        bool good = pyi_seconds_parse(times[i].text, &seconds);
        if (good == isnan(times[i].seconds))
            fail_msg("'%s' accepted: %d", times[i].text, good);
        if (good)
            assert_float_equal(seconds, times[i].seconds, fabs(times[i].seconds) * 1e-9);
    }
    double hertz;
    assert_true(pyi_rate_parse("1khz", &hertz));
    assert_float_equal(hertz, 1000, 0);
    assert_true(pyi_rate_parse("500Hz", &hertz));
    assert_float_equal(hertz, 500, 0);
    assert_true(pyi_rate_parse("100", &hertz));
    assert_float_equal(hertz, 100, 0);
    assert_false(pyi_rate_parse("1ghz", &hertz));
}

static void table_is_in_order(void **state)
{
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        assert_int_equal(row->id, i);
        assert_true(row->name || row->letter);
        assert_non_null(row->text);
        assert_int_equal(row->argument != NULL, row->value != PYI_VALUE_NONE);
        for (int j = 0; j < i; j++) {
            const struct pyi_option *other = pyi_option_at((enum pyi_option_id)j);
            assert_true(!row->letter || row->letter != other->letter);
            assert_true(!row->name || !other->name || strcmp(row->name, other->name) != 0);
        }
    }
}

/* Everything a page prints, cut at the size of the buffer. */
static void page(enum pyi_help_level level, int width, char *out, size_t size)
{
    FILE *stream = fmemopen(out, size, "w");
    assert_non_null(stream);
    pyi_help_print(stream, level, width);
    fclose(stream);
}

static void help_pages(void **state)
{
    static char common[16384], all[16384];
    page(PYI_HELP_COMMON, 80, common, sizeof(common));
    page(PYI_HELP_ALL, 60, all, sizeof(all));
    assert_int_equal(strncmp(common, "Usage: pyinstrument [options] scriptfile [arg] ...\n", 51),
                     0);
    /* Upstream's options come in upstream's order. */
    const char *before = common;
    for (int i = 0; i <= PYI_OPT_USE_TIMING_THREAD; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (row->flags & PYI_OPTION_HIDDEN)
            continue;
        char word[40];
        snprintf(word, sizeof(word), row->name ? "--%s" : "  -%s",
                 row->name ? row->name : (char[]){row->letter, '\0'});
        const char *here = strstr(before, word);
        if (!here)
            fail_msg("%s is not in its place", word);
        before = here;
    }
    assert_null(strstr(common, "--html"));
    assert_null(strstr(all, "print-man-options"));
    for (int i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = pyi_option_at((enum pyi_option_id)i);
        if (row->name && !(row->flags & PYI_OPTION_HIDDEN) && !strstr(all, row->name))
            fail_msg("%s is not on the long page", row->name);
    }
    size_t from = (size_t)(strstr(all, "\n\n") - all);
    for (size_t length; all[from]; from += length + (all[from + length] != '\0')) {
        length = strcspn(all + from, "\n");
        if (length > 60)
            fail_msg("too wide: %.*s", (int)length, all + from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_end_at_the_script),
        cmocka_unit_test(module_and_code_take_the_rest),
        cmocka_unit_test(values_in_both_spellings),
        cmocka_unit_test(render_options_accumulate),
        cmocka_unit_test(last_one_wins),
        cmocka_unit_test(shortened_names),
        cmocka_unit_test(a_value_that_may_be_left_out),
        cmocka_unit_test(numbers_that_are_processes),
        cmocka_unit_test(refused_words),
        cmocka_unit_test(help_ends_parsing),
        cmocka_unit_test(times_and_rates),
        cmocka_unit_test(table_is_in_order),
        cmocka_unit_test(help_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
