/* SPDX-License-Identifier: BSD-3-Clause */
/* array.h - growing arrays of any element type. */
#ifndef PYI_BASE_ARRAY_H
#define PYI_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/* Makes `*data` hold at least `need` elements of `size` bytes: grows by half or more, checks
 * for overflow, updates `*capacity`. `data` is the address of the typed pointer. False on lack
 * of memory, the old array stays valid. New elements are not cleared.
 *     if (!pyi_array_reserve(&items, &capacity, count + 1, sizeof(*items))) ... */
bool pyi_array_reserve(void *data, size_t *capacity, size_t need, size_t size);

#endif
