/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linetable.c - fuzz target: any bytes as a line table of any format.
 *
 * First byte: format; next four: first line; the rest: the table. Aborts when the runs are not
 * ordered or an answer is not a line.
 */
#include "attach/cpython/linetable.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_line_run *runs = NULL;
    size_t count = 0;
    int32_t first_line;
    if (size < 5)
        return 0;
    memcpy(&first_line, data + 1, sizeof(first_line));
    if (pyi_linetable_decode(data[0] % 4, data + 5, size - 5, first_line, &runs, &count, NULL) != 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if ((i == 0 && runs[i].start != 0) || (i > 0 && runs[i].start <= runs[i - 1].start) ||
            runs[i].line < 0)
            abort();
        int32_t line = pyi_linetable_find(runs, count, runs[i].start, first_line);
        if (line != (runs[i].line > 0 ? runs[i].line : first_line))
            abort();
    }
    free(runs);
    return 0;
}
