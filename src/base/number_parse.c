/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * number_parse.c - text into doubles, rounded as Python does, whatever the locale.
 *
 * Up to 19 digits and the powers of ten that occur are done exactly in 128 bits, everything
 * else by dividing big integers. strtod is not used because its decimal point is the locale's.
 * CPython 3.x: Python/dtoa.c, Objects/floatobject.c, Lib/json/scanner.py (the grammar).
 */
#include "src/base/number.h"

#include "src/base/bigint.h"
#include "src/base/text.h"
#include <math.h>

typedef unsigned __int128 wide;

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* A scanned decimal number: mantissa * 10^exponent, when `exact`; else digits were left out and
 * `text` (digits, '.' and '_' only) has to be read again. */
struct scan {
    bool negative, exact, is_integer;
    uint64_t mantissa;
    int64_t exponent;
    struct pyi_text text;
    int64_t written_exponent;
};

#define EXPONENT_LIMIT ((int64_t)1 << 50)

/* The double nearest to `mantissa` * 2^exponent plus something smaller than its lowest bit if
 * `more`; mantissa >= 2^63. */
static double assemble(uint64_t mantissa, int exponent, bool more)
{
    int top = exponent + 63; /* weight of the highest bit */
    if (top > 1023)
        return HUGE_VAL;
    int drop = top < -1022 ? 11 + (-1022 - top) : 11;
    if (drop > 64)
        return 0;
    uint64_t kept = drop == 64 ? 0 : mantissa >> drop;
    uint64_t half = (uint64_t)1 << (drop - 1);
    uint64_t rest = drop == 64 ? mantissa : mantissa & (half * 2 - 1);
    if (rest > half || (rest == half && (more || (kept & 1))))
        kept++;
    /* Rounding up to 2^53 makes the exponent one larger all by itself. */
    uint64_t biased = top < -1022 ? 0 : (uint64_t)(top + 1022);
    return double_of((biased << 52) + kept);
}

static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static uint64_t power5(int exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0)
        power *= 5;
    return power;
}

static int leading_zeros(wide value)
{
    uint64_t high = (uint64_t)(value >> 64);
    return high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)value);
}

static double assemble_wide(wide value, int exponent, bool more)
{
    int zeros = leading_zeros(value);
    value <<= zeros;
    return assemble((uint64_t)(value >> 64), exponent + 64 - zeros, more || (uint64_t)value != 0);
}

/* mantissa * 10^exponent for exponents of -27..27: 5^27 is the last below 2^63. */
static double from_small(uint64_t mantissa, int exponent)
{
    if (mantissa < (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22)
        return exponent < 0 ? (double)mantissa / exact_powers[-exponent]
                            : (double)mantissa * exact_powers[exponent];
    if (exponent >= 0)
        return assemble_wide((wide)mantissa * power5(exponent), exponent, false);
    int zeros = __builtin_clzll(mantissa);
    wide numerator = (wide)(mantissa << zeros) << 64;
    uint64_t divisor = power5(-exponent);
    wide quotient = numerator / divisor;
    return assemble_wide(quotient, exponent - zeros - 64, quotient * divisor != numerator);
}

/* Any digits: exact quotient of two big integers. More than 800 digits are never needed to see
 * on which side of a halfway point a number lies: those have at most 767. */
static double from_digits(struct pyi_text text, int64_t written_exponent)
{
    struct pyi_bigint number;
    pyi_bigint_set(&number, 0);
    int64_t exponent = written_exponent, count = 0;
    bool point = false, more = false;
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        point |= byte == '.';
        if (byte < '0' || byte > '9')
            continue;
        if (count < 800) {
            pyi_bigint_multiply_add(&number, 10, (uint32_t)(byte - '0'));
            count += number.count > 0;
            exponent -= point;
        } else {
            more |= byte != '0';
            exponent += !point;
        }
    }
    if (!number.count || count + exponent < -330)
        return 0;
    if (count + exponent > 310)
        return HUGE_VAL;
    struct pyi_bigint divisor;
    pyi_bigint_set(&divisor, 1);
    if (exponent >= 0)
        pyi_bigint_multiply_power10(&number, (size_t)exponent);
    else
        pyi_bigint_multiply_power10(&divisor, (size_t)-exponent);
    /* Long division, bit by bit, with number/divisor first brought between 1/2 and 2. */
    int shift = (int)pyi_bigint_bits(&number) - (int)pyi_bigint_bits(&divisor);
    if (shift > 0)
        pyi_bigint_shift_left(&divisor, (size_t)shift);
    else
        pyi_bigint_shift_left(&number, (size_t)-shift);
    uint64_t quotient = 0;
    int weight = shift;
    for (;;) {
        bool one = pyi_bigint_compare(&number, &divisor) >= 0;
        if (one)
            pyi_bigint_subtract(&number, &divisor);
        quotient = quotient << 1 | one;
        if (quotient >> 63)
            break;
        pyi_bigint_shift_left(&number, 1);
        weight--;
    }
    return assemble(quotient, weight, more || number.count);
}

static double scan_value(const struct scan *scan)
{
    double value = 0;
    if (!scan->exact)
        value = from_digits(scan->text, scan->written_exponent);
    else if (scan->mantissa && scan->exponent >= -27 && scan->exponent <= 27)
        value = from_small(scan->mantissa, (int)scan->exponent);
    else if (scan->mantissa)
        value = from_digits(scan->text, scan->written_exponent);
    return scan->negative ? -value : value;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Digits at `*at`, with single '_' between them if allowed; false when there is none. */
static bool scan_digits(struct scan *scan, struct pyi_text text, size_t *at, bool underscores,
                        bool fraction)
{
    size_t begin = *at;
    while (*at < text.length) {
        char byte = text.data[*at];
        bool joint = underscores && byte == '_' && *at > begin && text.data[*at - 1] != '_' &&
                     *at + 1 < text.length && is_digit(text.data[*at + 1]);
        if (!is_digit(byte) && !joint)
            break;
        *at += 1;
        if (joint)
            continue;
        if (scan->mantissa > (UINT64_MAX - 9) / 10) {
            scan->exact &= byte == '0' && fraction;
            continue;
        }
        scan->mantissa = scan->mantissa * 10 + (uint64_t)(byte - '0');
        scan->exponent -= fraction;
    }
    return *at > begin;
}

static bool scan_exponent(struct scan *scan, struct pyi_text text, size_t *at, bool underscores)
{
    bool negative = *at < text.length && text.data[*at] == '-';
    if (*at < text.length && (text.data[*at] == '-' || text.data[*at] == '+'))
        *at += 1;
    size_t begin = *at;
    int64_t value = 0;
    while (*at < text.length) {
        char byte = text.data[*at];
        bool joint = underscores && byte == '_' && *at > begin && text.data[*at - 1] != '_' &&
                     *at + 1 < text.length && is_digit(text.data[*at + 1]);
        if (!is_digit(byte) && !joint)
            break;
        if (!joint && value < EXPONENT_LIMIT)
            value = value * 10 + (byte - '0');
        *at += 1;
    }
    scan->written_exponent = negative ? -value : value;
    scan->exponent += scan->written_exponent;
    return *at > begin;
}

static bool parse_json_digits(struct pyi_text text, size_t at, struct scan *scan)
{
    size_t begin = at;
    scan->exact = scan->is_integer = true;
    if (!scan_digits(scan, text, &at, false, false))
        return false;
    if (text.data[begin] == '0' && at - begin > 1)
        return false;
    if (at < text.length && text.data[at] == '.') {
        at++;
        scan->is_integer = false;
        if (!scan_digits(scan, text, &at, false, true))
            return false;
    }
    scan->text = (struct pyi_text){text.data + begin, at - begin};
    if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        scan->is_integer = false;
        if (!scan_exponent(scan, text, &at, false))
            return false;
    }
    return at == text.length;
}

static bool fits_int64(const struct scan *scan)
{
    uint64_t limit = (uint64_t)INT64_MAX + scan->negative;
    return scan->is_integer && scan->exact && scan->mantissa <= limit;
}

bool pyi_number_parse(struct pyi_text text, struct pyi_number *out)
{
    if (text.length && (text.data[0] == 'N' || text.data[0] == 'I')) {
        bool nan = pyi_text_equal(text, pyi_text("NaN"));
        if (!nan && !pyi_text_equal(text, pyi_text("Infinity")))
            return false;
        *out = pyi_number_double(nan ? (double)NAN : HUGE_VAL);
        return true;
    }
    struct scan scan = {.negative = text.length && text.data[0] == '-'};
    if (pyi_text_equal(text, pyi_text("-Infinity"))) {
        *out = pyi_number_double(-HUGE_VAL);
        return true;
    }
    if (!parse_json_digits(text, scan.negative, &scan))
        return false;
    if (fits_int64(&scan))
        *out = pyi_number_integer((int64_t)(scan.negative ? -scan.mantissa : scan.mantissa));
    else
        *out = pyi_number_double(scan_value(&scan));
    return true;
}

/* ---- Python's float() ---------------------------------------------------------------------- */

/* CPython 3.x, Objects/unicodeobject.c: white space outside ASCII becomes a blank, and what is
 * stripped then is C's isspace(). */
static bool is_blank(uint32_t code_point)
{
    return (code_point >= 0x09 && code_point <= 0x0d) || code_point == 0x20 || code_point == 0x85 ||
           code_point == 0xa0 || code_point == 0x1680 ||
           (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 ||
           code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f ||
           code_point == 0x3000;
}

static struct pyi_text strip(struct pyi_text text)
{
    size_t begin = 0, end = 0, at = 0;
    bool inside = false;
    while (at < text.length) {
        size_t here = at;
        if (is_blank(pyi_text_next(text, &at)))
            continue;
        begin = inside ? begin : here;
        inside = true;
        end = at;
    }
    return (struct pyi_text){text.data + begin, end - begin};
}

static bool is_word(struct pyi_text text, const char *lower)
{
    size_t length = strlen(lower);
    if (text.length != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((text.data[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

static bool parse_float_digits(struct pyi_text text, struct scan *scan)
{
    size_t at = 0;
    scan->exact = true;
    bool digits = scan_digits(scan, text, &at, true, false);
    if (at < text.length && text.data[at] == '.') {
        at++;
        digits |= scan_digits(scan, text, &at, true, true);
    }
    if (!digits)
        return false;
    scan->text = (struct pyi_text){text.data, at};
    if (at < text.length && (text.data[at] | 0x20) == 'e') {
        at++;
        if (!scan_exponent(scan, text, &at, true))
            return false;
    }
    return at == text.length;
}

bool pyi_number_parse_float(struct pyi_text text, double *out)
{
    text = strip(text);
    struct scan scan = {0};
    if (text.length && (text.data[0] == '-' || text.data[0] == '+')) {
        scan.negative = text.data[0] == '-';
        text = (struct pyi_text){text.data + 1, text.length - 1};
    }
    double special = 0;
    if (is_word(text, "inf") || is_word(text, "infinity"))
        special = HUGE_VAL;
    else if (is_word(text, "nan"))
        special = (double)NAN;
    else if (!parse_float_digits(text, &scan))
        return false;
    else
        special = fabs(scan_value(&scan));
    *out = scan.negative ? -special : special;
    return true;
}
