/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_number.c - doubles in Python's spelling; every expected text came from CPython 3.11.
 *
 * Runs twice, the second time in a locale with a decimal comma when the system has one.
 */
#include "src/base/number.h"

#include "src/base/text.h"
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    double value;
    const char *repr;
} reprs[] = {
    {0x0.0p+0, "0.0"},
    {-0x0.0p+0, "-0.0"},
    {0x1.0000000000000p+0, "1.0"},
    {0x1.8000000000000p+1, "3.0"},
    {0x1.999999999999ap-4, "0.1"},
    {0x1.0624dd2f1a9fcp-10, "0.001"},
    {0x1.a36e2eb1c432dp-14, "0.0001"},
    {0x1.4f8b588e368f1p-17, "1e-05"},
    {0x1.ad7f29abcaf48p-24, "1e-07"},
    {0x1.d6f3454800000p+26, "123456789.125"},
    {0x1.c6bf526340000p+49, "1000000000000000.0"},
    {0x1.1c37937e08000p+53, "1e+16"},
    {0x1.c12218377de66p+46, "123456789012345.6"},
    {0x1.0000000000000p+53, "9007199254740992.0"},
    {0x1.0f0cf064dd592p+73, "1e+22"},
    {0x1.52d02c7e14af6p+76, "1e+23"},
    {0x0.0000000000001p-1022, "5e-324"},
    {0x1.0000000000000p-1022, "2.2250738585072014e-308"},
    {0x0.fffffffffffffp-1022, "2.225073858507201e-308"},
    {0x1.fffffffffffffp+1023, "1.7976931348623157e+308"},
    {0x1.0000000000000p-44, "5.684341886080802e-14"},
    {0x1.0000000000000p-1022, "2.2250738585072014e-308"},
    {0x1.0000000000000p+89, "6.189700196426902e+26"},
    {0x1.3333333333334p-2, "0.30000000000000004"},
    {0x1.954fc40100000p+30, "1700000000.25"},
    {0x1.fb49140a1644fp-55, "5.5e-17"},
    {-0x1.0c6f7a0b5ed8dp-22, "-2.5e-07"},
    {0x1.5555555555555p-2, "0.3333333333333333"},
    {0x1.5555555555555p-1, "0.6666666666666666"},
    {0x1.0aaaaaaaaaaabp+5, "33.333333333333336"},
    {0x1.1666666666666p+2, "4.35"},
    {0x1.3333333333333p-3, "0.15"},
    {0x1.5666666666666p+1, "2.675"},
    {0x1.b1ae4d6e2ef50p+69, "1e+21"},
    {0x1.56a95319d63e1p+63, "1.2345678901234567e+19"},
    {0x1.3000000000000p+3, "9.5"},
    {0x1.6bcc41e8fffffp+46, "99999999999999.98"},
    {0x1.1c37937e07fffp+53, "9999999999999998.0"},
    {0x1.a36e2eb1c432ep-14, "0.00010000000000000002"},
    {-0x1.1494c73cf256dp+475, "-1.0539756485530688e+143"},
    {-0x1.b5fab8f4d3e27p+438, "-1.2143721666352482e+132"},
    {-0x1.de805ec99108dp+128, "-6.360375184993316e+38"},
    {0x1.b48767734d7c1p+827, "1.526087629730313e+249"},
    {-0x1.445508201e2bdp+431, "-7.02551513787579e+129"},
    {0x1.d6b79965eda32p-246, "1.6260771785726701e-74"},
    {-0x1.c69292f45e678p+221, "-5.984009685093657e+66"},
    {0x1.b9e86830c71c2p+925, "4.8959585264576934e+278"},
    {-0x1.c67eda13ffe79p-557, "-3.7634144828029947e-168"},
    {0x1.91425cb008853p-261, "4.2301541954837196e-79"},
    {0x1.3edc618187993p+806, "5.315422088462547e+242"},
    {0x1.caf9c4dabb481p-443, "7.893354548061464e-134"},
    {-0x1.7d15f17362f25p-865, "-6.0511296129096725e-261"},
    {-0x1.ff9c0cf44dd3fp+575, "-2.471417988383651e+173"},
    {-0x1.b7f62b1852f27p-473, "-7.046717376279707e-143"},
    {-0x1.e86cb0ab8ab67p-633, "-5.352667702512672e-191"},
    {0x1.abd72fb710734p+599, "3.467443581611296e+180"},
    {0x1.778aaf6fa5db8p+832, "4.201212419249933e+250"},
    {-0x1.99753a7677796p-45, "-4.545896140860994e-14"},
    {-0x1.b0d389d95847ep-409, "-1.278808376866442e-123"},
    {-0x1.558a628518867p-519, "-7.773821756658801e-157"},
    {-0x1.a65d003d71684p+335, "-1.1547680013076696e+101"},
    {0x1.b938b8743feb6p-765, "8.88116792998917e-231"},
    {0x1.08a650f3ebdd3p-877, "1.0259476444142278e-264"},
    {-0x1.b2b8f30b17d0bp+531, "-1.1937126864956989e+160"},
    {-0x1.092253deffa38p-615, "-7.616900394922395e-186"},
    {-0x1.21cc007b37e14p+116, "-9.404446511312006e+34"},
    {0x1.7f61376c468aep+313, "2.4990667113411633e+94"},
    {-0x1.91e2370c6a5b8p-651, "-1.6800925191972358e-196"},
    {0x1.094ead7a94dedp-223, "7.688121853400444e-68"},
    {0x1.0334684e55160p-66, "1.3722183439346506e-20"},
    {0x1.d8474a3ea284dp+181, "5.654411402250841e+54"},
    {0x1.d0ea67ff12229p-1005, "5.2964948879303666e-303"},
    {0x1.1d2dfa9964aefp-675, "7.106101800028059e-204"},
    {-0x1.1149075139237p-389, "-8.466578551422606e-118"},
    {0x1.2a6b24735af1cp+643, "4.254739997646274e+193"},
    {-0x1.fe1daff666589p-814, "-1.82394811931708e-245"},
    {-0x1.2ec3ffee5a5b2p+745, "-2.1888367315112703e+224"},
    {0x1.cd2aad7185ddap-683, "4.48880712297644e-206"},
    {0x1.5cca7b53302fcp+17, "178580.96347620327"},
    {-0x1.ba2c250b601fcp+33, "-14836845078.750969"},
    {-0x1.c687a3acb6266p-971, "-8.89603834440535e-293"},
    {0x1.dd25a49fe85b0p-902, "5.512596216870721e-272"},
    {-0x1.a174f11fa2ac0p-765, "-8.402816815872519e-231"},
    {0x1.1192ec42b7170p-581, "1.3502284154461823e-175"},
    {0x1.8fbe466809a11p-582, "9.864696090544821e-176"},
    {0x1.89cb3d8b9b45cp+168, "5.755304411044234e+50"},
    {0x1.b8aaa62f28d1ap-750, "2.906520696062733e-226"},
    {0x1.2ef05f542441dp-954, "7.771400548145935e-288"},
    {-0x1.570eed8e94b15p-266, "-1.1301839483341071e-80"},
    {0x1.80bdf0023b682p-149, "2.1060089631924535e-45"},
    {-0x1.2a24135b00a54p+726, "-4.111104105007642e+218"},
    {0x1.50372e90794dfp-809, "3.846903957475949e-244"},
    {0x1.e5b4578511608p+514, "1.0175362681840425e+155"},
    {-0x1.a6a1dfaf8cda9p-168, "-4.4124872996083094e-51"},
    {0x1.7730f65bd9acbp+696, "4.818254424152078e+209"},
    {-0x1.5380e12b2a414p-752, "-5.59818787271577e-227"},
    {0x1.03fdda123f501p-210, "6.171919835623171e-64"},
    {-0x1.6d8f2c74c7ccfp-307, "-5.476576641333704e-93"},
    {0x1.e9bed45100358p+356, "2.8080761486268174e+107"},
    {0x1.6d825ed869560p-13, "0.00017428839670434026"},
    {0x1.5cbdc626d9846p-11, "0.0006651712509266959"},
    {0x1.f9741e91a8378p-10, "0.0019281524331875282"},
    {0x1.8d6e79d6146a5p-10, "0.0015160810339875177"},
    {0x1.eee499e02ad50p-13, "0.0002359833588391016"},
    {0x1.025b42ec07ae5p-11, "0.0004927758977862599"},
    {0x1.a7d1a5e91252fp-13, "0.00020209261791341015"},
    {0x1.f66c1a7afb127p-14, "0.0001197868058821534"},
    {0x1.a1de6a9ee1654p-10, "0.0015940430236879482"},
    {0x1.749e37fe94192p-12, "0.00035535625639673233"},
    {0x1.253b52bc795a0p-10, "0.0011185902832207897"},
    {0x1.d528b375e5e40p-11, "0.0008948497550020432"},
    {0x1.8fe4ea7b1e1b6p-12, "0.0003813688305807321"},
    {0x1.7fb92dc3d6e28p-10, "0.0014637884314287006"},
    {0x1.12a86aecdff02p-12, "0.0002619341674332394"},
    {0x1.517dfb3bf72ecp-10, "0.0012874302474223344"},
    {0x1.e8ab7fc8df754p-13, "0.0002330159752794112"},
    {0x1.b931b9d9d5065p-11, "0.000841511234492842"},
    {0x1.be69635417690p-12, "0.0004257313460181789"},
    {0x1.1ae689a896029p-11, "0.0005395899543811966"},
    {0x1.fd0be45876d7ep-10, "0.001941858112437383"},
    {0x1.a538110c38cb2p-10, "0.0016068230061641428"},
    {0x1.3eeb578d09883p-11, "0.000608290299741979"},
    {0x1.cfec95c3d8b56p-10, "0.0017697302254979417"},
    {0x1.b9e43051de979p-12, "0.0004214204428688788"},
    {0x1.9d6d4abff7577p-11, "0.0007885492741441087"},
    {0x1.bff086cf63cf7p-10, "0.001708753803402461"},
    {0x1.5081b93c56f2ap-10, "0.001283671313180921"},
    {0x1.a4d378eb1190ep-13, "0.00020066550436776586"},
    {0x1.0356e9bf29f3fp-9, "0.0019786033950203448"},
};

static const struct {
    double value;
    int decimals;
    const char *text;
} fixed[] = {
    {0x1.0000000000000p-1, 0, "0"},
    {0x1.8000000000000p+0, 0, "2"},
    {0x1.4000000000000p+1, 0, "2"},
    {0x1.0000000000000p-3, 2, "0.12"},
    {0x1.8000000000000p-2, 2, "0.38"},
    {0x1.0f0cf064dd592p+73, 1, "10000000000000000000000.0"},
    {0x1.0c6f7a0b5ed8dp-22, 6, "0.000000"},
    {0x1.0c6f7a0b5ed8dp-21, 6, "0.000000"},
    {0x1.0020c49ba5e35p+0, 3, "1.000"},
    {0x1.0010624dd2f1bp+1, 3, "2.001"},
    {-0x0.0p+0, 3, "-0.000"},
    {-0x1.a36e2eb1c432dp-12, 3, "-0.000"},
    {0x1.954fc40100000p+30, 6, "1700000000.250000"},
    {0x1.5555555555555p-2, 20, "0.33333333333333331483"},
    {0x1.fffffffffffffp+1023, 3,
     "179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558632"
     "766878171540458953514382464234321326889464182768467546703537516986049910576551282076245490090"
     "389328944075868508455133942304583236903222948165808559332123348274797826204144723168738177180"
     "919299881250404026184124858368.000"},
    {0x0.0000000000001p-1022, 28, "0.0000000000000000000000000000"},
    {0x1.edd2f1a9fbe77p+6, 6, "123.456000"},
    {0x1.3fffffca501adp+3, 6, "10.000000"},
    {0x1.e847fffffef39p+19, 6, "999999.999999"},
    {0x1.0000000000000p+52, 6, "4503599627370496.000000"},
    {0x1.bc16d674ec800p+59, 6, "1000000000000000000.000000"},
    {0x1.158e460913d00p+63, 9, "10000000000000000000.000000000"},
};

static const struct {
    const char *text;
    bool good;
    double value;
} floats[] = {
    {" 1.5 ", 1, 0x1.8000000000000p+0},
    {"\011\0121\013\014\015", 1, 0x1.0000000000000p+0},
    {"1_000.5", 1, 0x1.f440000000000p+9},
    {"1__0", 0, 0x0.0p+0},
    {"_1", 0, 0x0.0p+0},
    {"1_", 0, 0x0.0p+0},
    {"1_.5", 0, 0x0.0p+0},
    {"1._5", 0, 0x0.0p+0},
    {"1e1_0", 1, 0x1.2a05f20000000p+33},
    {"1e_1", 0, 0x0.0p+0},
    {".5", 1, 0x1.0000000000000p-1},
    {"5.", 1, 0x1.4000000000000p+2},
    {".", 0, 0x0.0p+0},
    {"+.5e3", 1, 0x1.f400000000000p+8},
    {"-inf", 1, -HUGE_VAL},
    {"+Infinity", 1, HUGE_VAL},
    {"INF", 1, HUGE_VAL},
    {"infinit", 0, 0x0.0p+0},
    {"1 2", 0, 0x0.0p+0},
    {"", 0, 0x0.0p+0},
    {"  ", 0, 0x0.0p+0},
    {"0x10", 0, 0x0.0p+0},
    {"1e", 0, 0x0.0p+0},
    {"\342\200\2031\343\200\200", 1, 0x1.0000000000000p+0},
    {"000.1", 1, 0x1.999999999999ap-4},
    {"+-1", 0, 0x0.0p+0},
    {"1_0.0_1e0_2", 1, 0x1.f480000000000p+9},
    {"- 1", 0, 0x0.0p+0},
    {"\0371", 0, 0x0.0p+0},
    {"\342\200\2131", 0, 0x0.0p+0},
    {"100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "00000000000000000000000000000000",
     1, HUGE_VAL},
    {"0."
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000000000000000000000000000000000000000000000000001",
     1, 0x0.0p+0},
    {"9007199254740993", 1, 0x1.0000000000000p+53},
    {"9007199254740993.0000000000000000000000000000001", 1, 0x1.0000000000001p+53},
    {"2.4703282292062327e-324", 1, 0x0.0p+0},
    {"2.4703282292062328e-324", 1, 0x0.0000000000001p-1022},
    {"1.7976931348623159e308", 1, HUGE_VAL},
    {"1.7976931348623158e308", 1, 0x1.fffffffffffffp+1023},
};

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void writes_and_reads_repr(void **state)
{
    for (size_t i = 0; i < sizeof(reprs) / sizeof(reprs[0]); i++) {
        char out[PYI_NUMBER_SIZE];
        assert_int_equal(pyi_number_repr(reprs[i].value, out), strlen(reprs[i].repr));
        assert_string_equal(out, reprs[i].repr);
        struct pyi_number number;
        assert_true(pyi_number_parse(pyi_text(reprs[i].repr), &number));
        assert_true(same(number.value, reprs[i].value));
        assert_false(number.is_integer);
    }
}

static void writes_fixed(void **state)
{
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        char out[340];
        assert_int_equal(pyi_number_fixed(fixed[i].value, fixed[i].decimals, out),
                         strlen(fixed[i].text));
        assert_string_equal(out, fixed[i].text);
    }
    char out[340];
    pyi_number_fixed(-1.7976931348623157e308, 1000, out);
    assert_int_equal(strlen(out), 339);
    pyi_number_fixed((double)NAN, 3, out);
    assert_string_equal(out, "nan");
    pyi_number_fixed(-HUGE_VAL, 3, out);
    assert_string_equal(out, "-inf");
}

static void reads_floats(void **state)
{
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        double value = 0;
        if (pyi_number_parse_float(pyi_text(floats[i].text), &value) != floats[i].good)
            fail_msg("\"%s\" was %s", floats[i].text, floats[i].good ? "refused" : "accepted");
        if (floats[i].good && !same(value, floats[i].value))
            fail_msg("\"%s\" gave %a", floats[i].text, value);
    }
    double value = 0;
    assert_true(pyi_number_parse_float(pyi_text("-nan"), &value));
    assert_true(isnan(value));
}

static void keeps_integers(void **state)
{
    static const struct {
        const char *in, *out;
        bool integer;
    } rows[] = {
        {"0", "0", true},
        {"-0", "0", true},
        {"-0.0", "-0.0", false},
        {"1e2", "100.0", false},
        {"9223372036854775807", "9223372036854775807", true},
        {"-9223372036854775808", "-9223372036854775808", true},
        {"9223372036854775808", "9.223372036854776e+18", false},
        {"NaN", "NaN", false},
        {"Infinity", "Infinity", false},
        {"-Infinity", "-Infinity", false},
        {"1e400", "Infinity", false},
        {"-1e-400", "-0.0", false},
        {"1e99999999999999999999", "Infinity", false},
        {"0e99999999999999999999", "0.0", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pyi_number number;
        char out[PYI_NUMBER_SIZE];
        assert_true(pyi_number_parse(pyi_text(rows[i].in), &number));
        assert_int_equal(number.is_integer, rows[i].integer);
        pyi_number_json(number, out);
        assert_string_equal(out, rows[i].out);
    }
    assert_int_equal(pyi_number_repr(-HUGE_VAL, (char[PYI_NUMBER_SIZE]){0}), 4);
}

/* Halfway between two doubles, and the least bit above: the decimals that need all digits. */
static void rounds_halfway_cases(void **state)
{
    /* 2^54 + 2 lies between 2^54 (even) and 2^54 + 4. */
    struct pyi_number number;
    assert_true(pyi_number_parse(pyi_text("18014398509481986.0"), &number));
    assert_true(same(number.value, 0x1p54));
    struct pyi_strbuf text = {0};
    pyi_strbuf_string(&text, "18014398509481986.");
    for (int i = 0; i < 2000; i++)
        pyi_strbuf_char(&text, '0');
    assert_true(pyi_number_parse(pyi_strbuf_get(&text), &number));
    assert_true(same(number.value, 0x1p54));
    pyi_strbuf_char(&text, '1');
    assert_true(pyi_number_parse(pyi_strbuf_get(&text), &number));
    assert_true(same(number.value, 0x1p54 + 4));
    pyi_strbuf_deinit(&text);
}

static int use_comma(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setlocale(LC_ALL, names[i]))
            break;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_repr), cmocka_unit_test(writes_fixed),
        cmocka_unit_test(reads_floats),          cmocka_unit_test(keeps_integers),
        cmocka_unit_test(rounds_halfway_cases),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, use_comma, NULL);
}
