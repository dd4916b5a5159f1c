/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.c - which Python a name, a text or a version word means.
 *
 * Comes in: bytes. Goes out: version words and flags. Must not know where the bytes come from.
 */
#include "attach/version.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool skip(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

/* One or more digits, at most 255. */
static bool number(const char **at, const char *end, int *out)
{
    int value = 0;
    const char *p = *at;
    for (; p < end && isdigit((unsigned char)*p) && value <= 255; p++)
        value = value * 10 + (*p - '0');
    if (p == *at || value > 255)
        return false;
    *at = p;
    *out = value;
    return true;
}

bool pyi_version_from_name(const char *base_name, struct pyi_version_name *out)
{
    struct pyi_version_name name = {0};
    const char *at = base_name, *end = base_name + strlen(base_name);
    name.library = skip(&at, "libpython");
    if (!name.library && !skip(&at, "python"))
        return false;
    if (number(&at, end, &name.major)) {
        if (*at == '.' && isdigit((unsigned char)at[1])) {
            at++;
            if (!number(&at, end, &name.minor))
                return false;
        } else if (name.library) {
            return false;
        } else {
            name.major = 0;
        }
    } else if (name.library) {
        return false;
    }
    /* ABI flags: m pymalloc (until 3.7), u wide unicode (2.x), d debug, t free-threaded. */
    for (; *at == 'm' || *at == 'u' || *at == 'd' || *at == 't'; at++) {
        name.debug |= *at == 'd';
        name.free_threaded |= *at == 't';
    }
    name.debug |= !name.library && strcmp(at, "-dbg") == 0;
    if (name.library ? strncmp(at, ".so", 3) != 0 : isalpha((unsigned char)*at))
        return false;
    *out = name;
    return true;
}

bool pyi_version_parse(const char *text, size_t length, uint32_t *out)
{
    const char *at = text, *end = text + length;
    int major, minor, micro, level = 0xf, serial = 0;
    if (!number(&at, end, &major) || at == end || *at++ != '.' || !number(&at, end, &minor) ||
        at == end || *at++ != '.' || !number(&at, end, &micro))
        return false;
    if (at < end && (*at == 'a' || *at == 'b')) {
        level = *at++ == 'a' ? 0xa : 0xb;
        if (!number(&at, end, &serial))
            return false;
    } else if (end - at >= 2 && at[0] == 'r' && at[1] == 'c') {
        at += 2;
        level = 0xc;
        if (!number(&at, end, &serial))
            return false;
    }
    if (at < end && *at == '+')
        at++;
    if (at != end || serial > 15)
        return false;
    *out = (uint32_t)major << 24 | (uint32_t)minor << 16 | (uint32_t)micro << 8 |
           (uint32_t)level << 4 | (uint32_t)serial;
    return true;
}

const char *pyi_version_format(uint32_t hexversion, char out[32])
{
    const char *level = "";
    switch (hexversion >> 4 & 15) {
    case 0xa:
        level = "a";
        break;
    case 0xb:
        level = "b";
        break;
    case 0xc:
        level = "rc";
        break;
    }
    int length =
        snprintf(out, 32, "%d.%d.%d%s", PYI_VERSION_MAJOR_OF(hexversion),
                 PYI_VERSION_MINOR_OF(hexversion), PYI_VERSION_MICRO_OF(hexversion), level);
    if (*level)
        snprintf(out + length, 32 - (size_t)length, "%u", hexversion & 15);
    return out;
}

bool pyi_version_plausible(uint32_t hexversion)
{
    uint32_t level = hexversion >> 4 & 15;
    int major = PYI_VERSION_MAJOR_OF(hexversion), minor = PYI_VERSION_MINOR_OF(hexversion);
    return (major == 3 || (major == 2 && minor <= 7)) && minor < 64 &&
           PYI_VERSION_MICRO_OF(hexversion) < 100 && level >= 0xa;
}

size_t pyi_version_scan(const char *bytes, size_t length, int major, int minor, uint32_t *found,
                        size_t count, size_t max)
{
    char prefix[16];
    if (major)
        snprintf(prefix, sizeof(prefix), "%d.%d.", major, minor);
    else
        snprintf(prefix, sizeof(prefix), ".");
    size_t prefix_length = strlen(prefix), back = major ? 0 : 1;
    const char *end = bytes + length;
    for (const char *at = bytes; count < max && at < end; at++) {
        at = memmem(at, (size_t)(end - at), prefix, prefix_length);
        if (!at)
            break;
        if ((size_t)(at - bytes) < back)
            continue;
        const char *start = at - back;
        uint32_t version;
        size_t text_length = strnlen(start, (size_t)(end - start));
        /* Linkers merge a text into the tail of a longer one ("/opt/python-3.8.18"), so what
         * stands in front only must not be part of the number. */
        bool cut = start > bytes && (isalnum((unsigned char)start[-1]) || start[-1] == '.');
        if (cut || start + text_length == end || text_length > 16 ||
            !pyi_version_parse(start, text_length, &version) || !pyi_version_plausible(version))
            continue;
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known |= found[i] == version;
        if (!known)
            found[count++] = version;
    }
    return count;
}
