/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * number.c - doubles as Python writes them, whatever the locale.
 *
 * Everything is exact integer arithmetic: 128 bits wide for the numbers that occur, bigint.c
 * for the rest. printf is not used because its decimal point is the locale's.
 * CPython 3.x: Objects/floatobject.c, Python/dtoa.c (repr is the shortest decimal that reads
 * back equal, the closest of those; halfway cases go to the even digit).
 */
#include "src/base/number.h"

#include "src/base/bigint.h"
#include "src/base/text.h"
#include <math.h>
#include <stdio.h>

typedef unsigned __int128 wide;

/* A finite positive double: mantissa * 2^exponent. */
struct binary {
    uint64_t mantissa;
    int exponent;
    bool narrow_below; /* a power of two: its lower neighbour is half as far away */
};

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static struct binary take_apart(double value)
{
    uint64_t bits = bits_of(value);
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    int biased = (int)(bits >> 52 & 0x7ff);
    if (!biased)
        return (struct binary){fraction, -1074, false};
    return (struct binary){fraction | (uint64_t)1 << 52, biased - 1075, !fraction && biased > 1};
}

/* ---- shortest digits ----------------------------------------------------------------------- */

/* The digits of a positive number: 0.D1D2D3... * 10^point. */
struct decimal {
    char digits[18];
    int count, point;
};

/* State of the digit generation: the value is rest/scale * 10^point, and the decimals that read
 * back as it reach down by `below` and up by `above` (same unit). */
struct generator {
    struct pyi_bigint rest, scale, below, above;
    bool even; /* then both ends of that range read back as the value, too */
};

static void generator_start(struct generator *g, struct binary value)
{
    int up = value.exponent > 0 ? value.exponent : 0;
    int down = value.exponent < 0 ? -value.exponent : 0;
    int extra = value.narrow_below ? 2 : 1;
    pyi_bigint_set(&g->rest, value.mantissa);
    pyi_bigint_shift_left(&g->rest, (size_t)(up + extra));
    pyi_bigint_set(&g->scale, 1);
    pyi_bigint_shift_left(&g->scale, (size_t)(down + extra));
    pyi_bigint_set(&g->below, 1);
    pyi_bigint_shift_left(&g->below, (size_t)up);
    pyi_bigint_set(&g->above, 1);
    pyi_bigint_shift_left(&g->above, (size_t)(up + extra - 1));
    g->even = !(value.mantissa & 1);
}

static void generator_times10(struct generator *g)
{
    pyi_bigint_multiply_add(&g->rest, 10, 0);
    pyi_bigint_multiply_add(&g->below, 10, 0);
    pyi_bigint_multiply_add(&g->above, 10, 0);
}

/* Brings rest/scale (plus `above`) below 1 and as near to it as powers of ten allow; returns the
 * position of the decimal point. */
static int generator_scale(struct generator *g, struct binary value)
{
    int bits = 64 - __builtin_clzll(value.mantissa) + value.exponent;
    /* log10(2) from below, so that the estimate is right or one too small. */
    int point = (int)floor((bits - 1) * 0.30102999566398114);
    if (point >= 0) {
        pyi_bigint_multiply_power10(&g->scale, (size_t)point);
    } else {
        pyi_bigint_multiply_power10(&g->rest, (size_t)-point);
        pyi_bigint_multiply_power10(&g->below, (size_t)-point);
        pyi_bigint_multiply_power10(&g->above, (size_t)-point);
    }
    /* The range must end before 1: an upper end that still reads back would need a digit 10. */
    int limit = g->even ? 0 : 1;
    while (pyi_bigint_compare_sum(&g->rest, &g->above, &g->scale) >= limit) {
        pyi_bigint_multiply_add(&g->scale, 10, 0);
        point++;
    }
    return point;
}

static void shortest_exact(struct binary value, struct decimal *out)
{
    struct generator g;
    generator_start(&g, value);
    out->point = generator_scale(&g, value);
    out->count = 0;
    for (;;) {
        generator_times10(&g);
        int digit = 0;
        while (pyi_bigint_compare(&g.rest, &g.scale) >= 0) {
            pyi_bigint_subtract(&g.rest, &g.scale);
            digit++;
        }
        int under = pyi_bigint_compare(&g.rest, &g.below);
        int over = pyi_bigint_compare_sum(&g.rest, &g.above, &g.scale);
        bool low = g.even ? under <= 0 : under < 0;
        bool high = g.even ? over >= 0 : over > 0;
        if (low && high) {
            int half = pyi_bigint_compare_sum(&g.rest, &g.rest, &g.scale);
            high = half > 0 || (half == 0 && (digit & 1));
        }
        out->digits[out->count++] = (char)('0' + digit + high);
        /* 17 digits tell any two doubles apart. */
        if (low || high || out->count == 17)
            return;
    }
}

/* The same in 128 bits, for values whose scale fits: 2^-60 <= value < 2^53. */
static bool shortest_small(struct binary value, struct decimal *out)
{
    int down = -value.exponent;
    if (down < 0 || down > 112 || value.narrow_below || value.mantissa < (uint64_t)1 << 52)
        return false;
    wide rest = (wide)value.mantissa << 1;
    wide scale = (wide)1 << (down + 1);
    wide reach = 1;
    bool even = !(value.mantissa & 1);
    int point = 0;
    while (even ? rest + reach >= scale : rest + reach > scale) {
        scale *= 10;
        point++;
    }
    while (even ? (rest + reach) * 10 < scale : (rest + reach) * 10 <= scale) {
        rest *= 10;
        reach *= 10;
        point--;
    }
    out->point = point;
    out->count = 0;
    for (;;) {
        rest *= 10;
        reach *= 10;
        int digit = 0;
        while (rest >= scale) {
            rest -= scale;
            digit++;
        }
        bool low = even ? rest <= reach : rest < reach;
        bool high = even ? rest + reach >= scale : rest + reach > scale;
        if (low && high)
            high = rest * 2 > scale || (rest * 2 == scale && (digit & 1));
        out->digits[out->count++] = (char)('0' + digit + high);
        if (low || high || out->count == 17)
            return true;
    }
}

/* ---- writing ------------------------------------------------------------------------------- */

static size_t put_string(char *out, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length + 1);
    return length;
}

static size_t put_positional(const struct decimal *number, char *out)
{
    char *at = out;
    if (number->point <= 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = number->point; i < 0; i++)
            *at++ = '0';
    }
    for (int i = 0; i < number->count; i++) {
        if (i && i == number->point)
            *at++ = '.';
        *at++ = number->digits[i];
    }
    if (number->point >= number->count) {
        for (int i = number->count; i < number->point; i++)
            *at++ = '0';
        *at++ = '.';
        *at++ = '0';
    }
    return (size_t)(at - out);
}

static size_t put_scientific(const struct decimal *number, char *out)
{
    char *at = out;
    *at++ = number->digits[0];
    if (number->count > 1) {
        *at++ = '.';
        memcpy(at, number->digits + 1, (size_t)number->count - 1);
        at += number->count - 1;
    }
    int exponent = number->point - 1;
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (size >= 100)
        *at++ = (char)('0' + size / 100);
    *at++ = (char)('0' + size / 10 % 10);
    *at++ = (char)('0' + size % 10);
    return (size_t)(at - out);
}

static size_t write_double(double value, const char *nan, const char *infinity, char *out)
{
    if (isnan(value))
        return put_string(out, nan);
    size_t length = 0;
    if (signbit(value))
        out[length++] = '-';
    value = fabs(value);
    if (isinf(value))
        return length + put_string(out + length, infinity);
    if (value == 0)
        return length + put_string(out + length, "0.0");
    struct decimal number;
    struct binary binary = take_apart(value);
    if (!shortest_small(binary, &number))
        shortest_exact(binary, &number);
    if (number.point > -4 && number.point <= 16)
        length += put_positional(&number, out + length);
    else
        length += put_scientific(&number, out + length);
    out[length] = '\0';
    return length;
}

size_t pyi_number_repr(double value, char out[PYI_NUMBER_SIZE])
{
    return write_double(value, "nan", "inf", out);
}

size_t pyi_number_json(struct pyi_number number, char out[PYI_NUMBER_SIZE])
{
    if (number.is_integer)
        return (size_t)snprintf(out, PYI_NUMBER_SIZE, "%lld", (long long)number.integer);
    return write_double(number.value, "NaN", "Infinity", out);
}

/* ---- fixed decimals ------------------------------------------------------------------------ */

#define MAX_DECIMALS 28 /* sign, 309 digits, point and these fill the 340 bytes */

/* `digits` (most significant first) with a point before the last `decimals`, zeros in front. */
static size_t put_fixed(const char *digits, int count, int decimals, char *out)
{
    char *at = out;
    int whole = count - decimals;
    if (whole <= 0)
        *at++ = '0';
    for (int i = 0; i < whole; i++)
        *at++ = digits[i];
    if (decimals) {
        *at++ = '.';
        for (int i = whole; i < count; i++)
            *at++ = i < 0 ? '0' : digits[i];
    }
    *at = '\0';
    return (size_t)(at - out);
}

static uint64_t power10(int exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

/* The rounded value times 10^decimals, when 128 bits are enough for the exact product and 64 for
 * the result. */
static bool scaled_small(struct binary value, int decimals, uint64_t *out)
{
    int down = -value.exponent;
    if (decimals > 18 || down < 0)
        return false;
    wide product = (wide)value.mantissa * power10(decimals);
    if (down > 115) { /* below 2^-2: the product has at most 53 + 60 bits */
        *out = 0;
        return true;
    }
    wide whole = product >> down;
    wide rest = product - (whole << down);
    wide half = down ? (wide)1 << (down - 1) : 0;
    if (whole >> 63)
        return false;
    bool up = down && (rest > half || (rest == half && (whole & 1)));
    *out = (uint64_t)whole + up;
    return true;
}

static int digits_of_u64(uint64_t value, char out[20])
{
    char reversed[20];
    int count = 0;
    for (; value; value /= 10)
        reversed[count++] = (char)('0' + value % 10);
    for (int i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

static int digits_of_bigint(struct pyi_bigint *number, char out[340])
{
    char reversed[360];
    int count = 0;
    while (number->count && count < 350) {
        uint32_t part = pyi_bigint_divide(number, 1000000000u);
        for (int i = 0; i < 9; i++, part /= 10)
            reversed[count++] = (char)('0' + part % 10);
    }
    while (count && reversed[count - 1] == '0')
        count--;
    for (int i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

size_t pyi_number_fixed(double value, int decimals, char out[340])
{
    if (isnan(value))
        return put_string(out, "nan");
    size_t length = 0;
    if (signbit(value))
        out[length++] = '-';
    if (isinf(value))
        return length + put_string(out + length, "inf");
    if (decimals < 0)
        decimals = 0;
    if (decimals > MAX_DECIMALS)
        decimals = MAX_DECIMALS;
    struct binary binary = take_apart(fabs(value));
    char digits[340];
    uint64_t small;
    if (scaled_small(binary, decimals, &small))
        return length + put_fixed(digits, digits_of_u64(small, digits), decimals, out + length);
    struct pyi_bigint big;
    pyi_bigint_set(&big, binary.mantissa);
    pyi_bigint_multiply_power10(&big, (size_t)decimals);
    if (binary.exponent >= 0)
        pyi_bigint_shift_left(&big, (size_t)binary.exponent);
    else
        pyi_bigint_round_shift(&big, (size_t)-binary.exponent);
    return length + put_fixed(digits, digits_of_bigint(&big, digits), decimals, out + length);
}

const char *pyi_number_seconds(double seconds, char out[32])
{
    if (seconds < 0.001)
        snprintf(out, 32, "%.3g us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(out, 32, "%.3g ms", seconds * 1e3);
    else
        snprintf(out, 32, "%.3g s", seconds);
    return out;
}
