/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * version.h - which Python a name, a text or a version word means.
 *
 * Pure functions on bytes. A version word is PY_VERSION_HEX: 0x030e0af0 is 3.14.10 final.
 */
#ifndef PYI_ATTACH_VERSION_H
#define PYI_ATTACH_VERSION_H

#include <pyinstrument/types.h>

#define PYI_VERSION_MAJOR_OF(hex) ((int)((hex) >> 24))
#define PYI_VERSION_MINOR_OF(hex) ((int)((hex) >> 16 & 0xff))
#define PYI_VERSION_MICRO_OF(hex) ((int)((hex) >> 8 & 0xff))

/** What the name of an executable or library gives away. */
struct pyi_version_name {
    int major, minor; /* 0, 0: the name says Python but not which */
    bool library;
    bool debug, free_threaded;
};
/** Understands python, python3, python3.11d, python3.13t, python3.11-dbg,
 *  libpython3.13td.so.1.0 ...; not libpython3.so, the forwarding stub. */
bool pyi_version_from_name(const char *base_name, struct pyi_version_name *out);

/** "3.14.10", "3.15.0rc1", "3.12.1+" as a version word; the whole text must be one. */
bool pyi_version_parse(const char *text, size_t length, uint32_t *out);
/** The other way round; returns `out`. */
const char *pyi_version_format(uint32_t hexversion, char out[32]);
/** True for a word that can be a CPython's version. */
bool pyi_version_plausible(uint32_t hexversion);

/** Distinct versions that stand in `bytes` as texts, or tails of texts, ended by NUL, of any Python
 * when `major` is 0, else of major.minor; at most `max`. Adds to the `count` already in `found`. */
size_t pyi_version_scan(const char *bytes, size_t length, int major, int minor, uint32_t *found,
                        size_t count, size_t max);

#endif
