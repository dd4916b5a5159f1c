/* SPDX-License-Identifier: BSD-3-Clause */
/* bigint.h - just enough exact integer arithmetic for number.c; never allocates.
 *
 * Every operand there stays below 2^8192: the largest is a decimal of 801 digits times a power
 * of ten below 10^1200. */
#ifndef PYI_BASE_BIGINT_H
#define PYI_BASE_BIGINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PYI_BIGINT_LIMBS 260

struct pyi_bigint {
    size_t count;                     /* limbs in use, the highest is not 0 */
    uint32_t limbs[PYI_BIGINT_LIMBS]; /* lowest first; only `count` are initialised */
};

void pyi_bigint_set(struct pyi_bigint *number, uint64_t value);
void pyi_bigint_multiply_add(struct pyi_bigint *number, uint32_t factor, uint32_t addend);
void pyi_bigint_multiply_power10(struct pyi_bigint *number, size_t exponent);
void pyi_bigint_shift_left(struct pyi_bigint *number, size_t bits);
/* -1, 0, 1 */
int pyi_bigint_compare(const struct pyi_bigint *a, const struct pyi_bigint *b);
/* compare(a + b, c) */
int pyi_bigint_compare_sum(const struct pyi_bigint *a, const struct pyi_bigint *b,
                           const struct pyi_bigint *c);
/* a -= b, where a >= b */
void pyi_bigint_subtract(struct pyi_bigint *a, const struct pyi_bigint *b);
size_t pyi_bigint_bits(const struct pyi_bigint *number);
/* number >>= bits, rounded half to even */
void pyi_bigint_round_shift(struct pyi_bigint *number, size_t bits);
/* number /= divisor; returns the remainder */
uint32_t pyi_bigint_divide(struct pyi_bigint *number, uint32_t divisor);

#endif
