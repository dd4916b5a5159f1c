/* SPDX-License-Identifier: BSD-3-Clause */
/* number.h - doubles as Python writes and reads them, whatever the locale. */
#ifndef PYI_BASE_NUMBER_H
#define PYI_BASE_NUMBER_H

#include <pyinstrument/types.h>

#define PYI_NUMBER_SIZE 40

static inline struct pyi_number pyi_number_double(double value)
{
    return (struct pyi_number){value, 0, false};
}
static inline struct pyi_number pyi_number_integer(int64_t value)
{
    return (struct pyi_number){(double)value, value, true};
}

/* repr(float): shortest decimal that reads back equal, "3.0", "1e-07", "1e+16", "nan", "inf".
 * JSON spelling for the last two: "NaN", "Infinity", "-Infinity". Returns the length. */
size_t pyi_number_repr(double value, char out[PYI_NUMBER_SIZE]);
size_t pyi_number_json(struct pyi_number number, char out[PYI_NUMBER_SIZE]);
/* "%.*f" with the exact binary value, correct rounding, '.' always; huge values in full:
 * `out` must hold 340 bytes. Not finite: "nan", "inf", "-inf". */
size_t pyi_number_fixed(double value, int decimals, char out[340]);
/* A JSON number or NaN, Infinity, -Infinity; the whole text must be one. */
bool pyi_number_parse(struct pyi_text text, struct pyi_number *out);
/* Python's float(text): surrounding blanks, sign, "inf", "nan", digits with '_' between. */
bool pyi_number_parse_float(struct pyi_text text, double *out);

/* A time for people: "1 ms", "100 us", "2.5 s"; returns `out`. */
const char *pyi_number_seconds(double seconds, char out[32]);

#endif
