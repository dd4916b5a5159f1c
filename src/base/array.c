/* SPDX-License-Identifier: BSD-3-Clause */
/* array.c - growing arrays of any element type. */
#include "src/base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool pyi_array_reserve(void *data, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return true;
    size_t wanted = *capacity + *capacity / 2 + 8;
    if (wanted < need || wanted < *capacity)
        wanted = need;
    if (wanted > SIZE_MAX / 2 / size)
        return false;
    /* The typed pointer is read and written through memcpy: it may be of any pointer type. */
    void *old;
    memcpy(&old, data, sizeof(old));
    void *grown = realloc(old, wanted * size);
    if (!grown)
        return false;
    memcpy(data, &grown, sizeof(grown));
    *capacity = wanted;
    return true;
}
