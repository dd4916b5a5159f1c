/* SPDX-License-Identifier: BSD-3-Clause */
/* test_match.c - patterns as Python's re.match sees them, globs, hostile patterns. */
#include "src/tree/match.h"

#include "src/base/output.h"
#include <pyinstrument/frame.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <time.h>

enum { NO = 0, YES = 1, ERROR = 2 };

static int verdict(struct pyi_text pattern, struct pyi_text subject, struct pyi_error *err)
{
    struct pyi_pattern *compiled;
    bool match;
    *err = (struct pyi_error){0};
    if (pyi_pattern_new(pattern, &compiled, err))
        return ERROR;
    int code = pyi_pattern_match(compiled, subject, PYI_MATCH_START, &match, err);
    pyi_pattern_free(compiled);
    return code ? ERROR : match;
}

struct row {
    const char *pattern, *subject;
    int expected;
};

/* Every expectation was given by re.match of CPython 3.14. */
static const struct row rows[] = {
    {"", "anything", YES},
    {"a", "abc", YES},
    {"b", "abc", NO},     /* anchored at the start ... */
    {".*c", "abcd", YES}, /* ... but not at the end */
    {".*b", "a\nb", NO},
    {"(?s).*b", "a\nb", YES},
    {"a$", "a\n", YES},
    {"a\\Z", "a\n", NO},
    {"a\\z", "a", YES},
    {"a\\Z", "a", YES},
    {"(?m)a$", "a\nb", YES},
    {"a$", "a\nb", NO},
    {"a$", "a\r", NO},
    {".", "\r", YES},
    {"A", "a", NO},
    {"(?i)A", "a", YES},
    {"(?i:A)B", "aB", YES},
    {"(?i:A)B", "ab", NO},
    {"(?P<x>a)(?P=x)", "aa", YES},
    {"(a)\\1", "aa", YES},
    {"(a)\\2", "aa", ERROR},
    {"\\101", "A", YES},
    {"\\0", "", NO},
    {"[\\w.]+$", "a_1.", YES},
    {"[]a]", "]", YES},
    {"[^]a]", "]", NO},
    {"[a-]", "-", YES},
    {"[z-a]", "z", ERROR},
    {"[\\d-z]", "5", ERROR},
    {"[[:alpha:]]", "a]", YES}, /* a set of [ : a l p h and a bracket behind */
    {"[[:alpha:]]", "b]", NO},
    {"a{2}$", "aa", YES},
    {"a{,2}$", "aa", YES},
    {"a{,}$", "aaa", YES},
    {"a{}", "a{}", YES},
    {"a{x}", "a{x}", YES},
    {"a{ 2}", "a{ 2}", YES},
    {"a{2,1}", "a", ERROR},
    {"a**", "a", ERROR},
    {"a+?", "aa", YES},
    {"a++a", "aa", NO},
    {"(?>a*)a", "aa", NO},
    {"a{2}{3}", "aaaaaa", ERROR},
    {"*a", "a", ERROR},
    {"^*", "a", ERROR},
    {"(*ACCEPT)", "a", ERROR},
    {"(?R)", "a", ERROR},
    {"(?|a|b)", "a", ERROR},
    {"(?<x>a)", "a", ERROR},
    {"(?&x)", "a", ERROR},
    {"(?C1)", "a", ERROR},
    {"\\Qa", "a", ERROR},
    {"\\Ka", "a", ERROR},
    {"\\h", " ", ERROR},
    {"\\R", "\n", ERROR},
    {"\\v", "\v", YES},
    {"\\v", "\n", NO}, /* PCRE2's \v would match it */
    {"\\e", "\033", ERROR},
    {"\\x4", "\x04", ERROR},
    {"\\x41", "A", YES},
    {"\\u00e9", "\xc3\xa9", YES},
    {"\\U0001f600", "\xf0\x9f\x98\x80", YES},
    {"\\U00110000", "a", ERROR},
    {"\\/", "/", YES},
    {"\\", "\\", ERROR},
    {"(", "(", ERROR},
    {")", ")", ERROR},
    {"[", "[", ERROR},
    {"(?x) a b # c\n c", "abc", YES},
    {"(?x: a ) b", "a b", YES},
    {"a(?i)b", "ab", ERROR},
    {"(?i)(?m)B", "b", YES},
    {"(?-i:a)", "a", YES},
    {"(?L)a", "a", ERROR},
    {"(?u)a", "a", YES},
    {"(?#note)a", "a", YES},
    {"a(?#note)*", "aa", YES},
    {"(a)?(?(1)b|c)", "ab", YES},
    {"(a)?(?(1)b|c)", "c", YES},
    {"(?P<n>a)?(?(n)b|c)", "c", YES},
    {"(?=a)a", "a", YES},
    {"(?!a)a", "a", NO},
    {"(?<=a)b", "b", NO},
    {"(?<!a)b", "b", YES},
    {".*[/\\\\]x", "a\\x", YES},
    {"\\w+$", "\xc3\xa9", YES},
    {"\\d", "\xd9\xa3", YES}, /* an Arabic digit */
    {"\\S", "\xc2\xa0", NO},
    {".", "\xed\xb2\x80", YES}, /* a lone surrogate is one character */
    {"\xed\xb2\x80$", "\xed\xb2\x80", YES},
    {"\\udc80$", "\xed\xb2\x80", YES},
    {"\\udc81", "\xed\xb2\x80", NO},
    {"[\\udc80-\\udcff]$", "\xed\xb2\x81", YES},
};

static void test_like_python(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_error err;
        int got = verdict(pyi_text(rows[i].pattern), pyi_text(rows[i].subject), &err);
        if (got != rows[i].expected)
            fail_msg("%s on %s: %d, not %d (%s)", rows[i].pattern, rows[i].subject, got,
                     rows[i].expected, err.message);
    }
}

/* Where we differ on purpose; listed in match.h. */
static void test_differences(void **state)
{
    static const struct row differences[] = {
        {"\\N{SPACE}", " ", ERROR}, {"(?a)\\w", "a", ERROR}, {"\\s", "\x1c", NO},
        {"a{70000}", "a", ERROR},   {"(a\\1)", "a", NO},
    };
    for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
        struct pyi_error err;
        assert_int_equal(
            verdict(pyi_text(differences[i].pattern), pyi_text(differences[i].subject), &err),
            differences[i].expected);
    }
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void test_hostile(void **state)
{
    struct pyi_error err;
    char subject[4097], nested[40001];
    memset(subject, 'a', sizeof(subject) - 1);
    memcpy(subject + sizeof(subject) - 2, "!", 2);
    double start = cpu_seconds();
    assert_int_equal(verdict(pyi_text("(a+)+$"), pyi_text(subject), &err), ERROR);
    assert_int_equal(err.code, PYI_E_LIMIT);
    (void)verdict(pyi_text("(a|aa)*c"), pyi_text(subject), &err);
    (void)verdict(pyi_text("(((((a{900}){900}){900}){900}){900})"), pyi_text(subject), &err);
    memset(nested, '(', sizeof(nested) - 1);
    nested[sizeof(nested) - 1] = '\0';
    assert_int_equal(verdict(pyi_text(nested), pyi_text("a"), &err), ERROR);
    for (size_t i = 0; i < 20000; i++)
        nested[20000 + i] = ')';
    assert_int_equal(verdict(pyi_text(nested), pyi_text("a"), &err), ERROR);
    assert_true(cpu_seconds() - start < 5);
    static char large[70000];
    memset(large, 'a', sizeof(large) - 1);
    assert_int_equal(verdict(pyi_text(large), pyi_text("a"), &err), ERROR);
    assert_int_equal(err.code, PYI_E_LIMIT);
}

static int glob_verdict(const char *glob, const char *subject)
{
    struct pyi_strbuf regex = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&regex);
    struct pyi_error err;
    assert_int_equal(pyi_glob_to_regex(pyi_text(glob), &sink, &err), 0);
    int got = verdict(pyi_strbuf_get(&regex), pyi_text(subject), &err);
    pyi_strbuf_deinit(&regex);
    return got;
}

static void test_globs(void **state)
{
    static const struct row globs[] = {
        {"*", "/a/b\nc", YES},
        {"", "", YES},
        {"", "a", NO},
        {"*/lib/*", "/usr/lib/x.py", YES},
        {"*.py", "/a/b.py", YES},
        {"*.py", "/a/b.pyc", NO},
        {"*.py", "/a.py/b", NO},
        {"*.py", "/a.py.py", YES},
        {"?.py", "a.py", YES},
        {"?.py", "ab.py", NO},
        {"A*", "a", NO},
        {"[ab]c", "bc", YES},
        {"[!ab]c", "bc", NO},
        {"[!ab]c", "cc", YES},
        {"[a-c]", "b", YES},
        {"[a-c]", "d", NO},
        {"[c-a]", "b", NO},
        {"[!c-a]", "b", YES},
        {"[]]", "]", YES},
        {"[!]]", "]", NO},
        {"[", "[", YES},
        {"[abc", "[abc", YES},
        {"[a-]", "-", YES},
        {"[-a]", "-", YES},
        {"[^a]", "a", YES},
        {"[^a]", "^", YES},
        {"[\\]", "\\", YES},
        {"a.b", "axb", NO},
        {"a+(b)$", "a+(b)$", YES},
        {"*a*b*c", "xaxbxc", YES},
        {"*a*b*c", "xaxcxb", NO},
        {"**a", "a", YES},
        {"a**", "abc", YES},
        {"\xc3\xa9?", "\xc3\xa9\xc3\xa9", YES},
        {"*ab", "aabab", YES},
        {"[&&]", "&", YES},
    };
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
        if (glob_verdict(globs[i].pattern, globs[i].subject) != globs[i].expected)
            fail_msg("%s on %s", globs[i].pattern, globs[i].subject);
    char subject[2001];
    memset(subject, 'a', sizeof(subject) - 1);
    subject[sizeof(subject) - 1] = '\0';
    assert_int_equal(glob_verdict("*a*a*a*a*a*a*a*a*a*a*b", subject), NO);
}

static void test_search(void **state)
{
    struct pyi_pattern *pattern;
    bool match;
    assert_int_equal(pyi_pattern_new(pyi_text("lib"), &pattern, NULL), 0);
    assert_int_equal(
        pyi_pattern_match(pattern, pyi_text("/usr/lib/x"), PYI_MATCH_ANYWHERE, &match, NULL), 0);
    assert_true(match);
    assert_int_equal(
        pyi_pattern_match(pattern, pyi_text("/usr/lib/x"), PYI_MATCH_START, &match, NULL), 0);
    assert_false(match);
    pyi_pattern_free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_python), cmocka_unit_test(test_differences),
        cmocka_unit_test(test_hostile),     cmocka_unit_test(test_globs),
        cmocka_unit_test(test_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
