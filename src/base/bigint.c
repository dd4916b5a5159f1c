/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bigint.c - exact integers of bounded size for the conversion of doubles.
 *
 * Results that would not fit are cut at the array's end instead of written past it; number.c
 * bounds its operands so that this does not happen.
 */
#include "src/base/bigint.h"

#include <string.h>

static void trim(struct pyi_bigint *number)
{
    while (number->count && !number->limbs[number->count - 1])
        number->count--;
}

static void push(struct pyi_bigint *number, uint32_t limb)
{
    if (limb && number->count < PYI_BIGINT_LIMBS)
        number->limbs[number->count++] = limb;
}

void pyi_bigint_set(struct pyi_bigint *number, uint64_t value)
{
    number->count = 2;
    number->limbs[0] = (uint32_t)value;
    number->limbs[1] = (uint32_t)(value >> 32);
    trim(number);
}

void pyi_bigint_multiply_add(struct pyi_bigint *number, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < number->count; i++) {
        carry += (uint64_t)number->limbs[i] * factor;
        number->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    push(number, (uint32_t)carry);
}

void pyi_bigint_multiply_power10(struct pyi_bigint *number, size_t exponent)
{
    for (; exponent >= 9; exponent -= 9)
        pyi_bigint_multiply_add(number, 1000000000u, 0);
    uint32_t rest = 1;
    while (exponent--)
        rest *= 10;
    if (rest > 1)
        pyi_bigint_multiply_add(number, rest, 0);
}

void pyi_bigint_shift_left(struct pyi_bigint *number, size_t bits)
{
    size_t whole = bits / 32;
    unsigned part = bits % 32;
    if (!number->count)
        return;
    if (part) {
        uint32_t carry = 0;
        for (size_t i = 0; i < number->count; i++) {
            uint32_t limb = number->limbs[i];
            number->limbs[i] = limb << part | carry;
            carry = limb >> (32 - part);
        }
        push(number, carry);
    }
    if (!whole || whole > PYI_BIGINT_LIMBS - number->count)
        return;
    memmove(number->limbs + whole, number->limbs, number->count * sizeof(number->limbs[0]));
    memset(number->limbs, 0, whole * sizeof(number->limbs[0]));
    number->count += whole;
}

int pyi_bigint_compare(const struct pyi_bigint *a, const struct pyi_bigint *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i-- > 0;) {
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    }
    return 0;
}

int pyi_bigint_compare_sum(const struct pyi_bigint *a, const struct pyi_bigint *b,
                           const struct pyi_bigint *c)
{
    /* The borrow of c - a - b, from the lowest limb up, and whether any difference was seen. */
    int64_t borrow = 0;
    bool differ = false;
    size_t count = a->count > b->count ? a->count : b->count;
    if (c->count > count)
        count = c->count;
    for (size_t i = 0; i < count; i++) {
        int64_t value = borrow;
        value += i < c->count ? c->limbs[i] : 0;
        value -= i < a->count ? a->limbs[i] : 0;
        value -= i < b->count ? b->limbs[i] : 0;
        differ |= (uint32_t)value != 0;
        borrow = value >> 32;
    }
    if (borrow < 0)
        return 1;
    return differ ? -1 : 0;
}

void pyi_bigint_subtract(struct pyi_bigint *a, const struct pyi_bigint *b)
{
    int64_t borrow = 0;
    for (size_t i = 0; i < a->count; i++) {
        int64_t value = borrow + a->limbs[i] - (i < b->count ? b->limbs[i] : 0);
        a->limbs[i] = (uint32_t)value;
        borrow = value >> 32;
    }
    trim(a);
}

size_t pyi_bigint_bits(const struct pyi_bigint *number)
{
    if (!number->count)
        return 0;
    uint32_t top = number->limbs[number->count - 1];
    return number->count * 32 - (size_t)__builtin_clz(top);
}

static bool bit(const struct pyi_bigint *number, size_t index)
{
    return index / 32 < number->count && (number->limbs[index / 32] >> index % 32 & 1);
}

static bool any_below(const struct pyi_bigint *number, size_t bits)
{
    for (size_t i = 0; i < number->count && i * 32 < bits; i++) {
        uint32_t limb = number->limbs[i];
        if (bits - i * 32 < 32)
            limb &= (1u << (bits - i * 32)) - 1;
        if (limb)
            return true;
    }
    return false;
}

void pyi_bigint_round_shift(struct pyi_bigint *number, size_t bits)
{
    if (!bits)
        return;
    bool up = bit(number, bits - 1) && (bit(number, bits) || any_below(number, bits - 1));
    size_t whole = bits / 32;
    unsigned part = bits % 32;
    size_t count = number->count > whole ? number->count - whole : 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t pair = number->limbs[i + whole];
        if (i + whole + 1 < number->count)
            pair |= (uint64_t)number->limbs[i + whole + 1] << 32;
        number->limbs[i] = (uint32_t)(pair >> part);
    }
    number->count = count;
    trim(number);
    if (up)
        pyi_bigint_multiply_add(number, 1, 1);
}

uint32_t pyi_bigint_divide(struct pyi_bigint *number, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = number->count; i-- > 0;) {
        rest = rest << 32 | number->limbs[i];
        number->limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    trim(number);
    return (uint32_t)rest;
}
