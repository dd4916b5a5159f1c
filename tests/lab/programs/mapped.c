/* SPDX-License-Identifier: BSD-3-Clause */
/* A process like the parent of mod_wsgi's: libpython is mapped, nobody started it.
 * mapped LIBRARY prints "ready" and waits. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2 || !dlopen(argv[1], RTLD_NOW))
        return 2;
    puts("ready");
    fflush(stdout);
    return getchar() != EOF;
}
