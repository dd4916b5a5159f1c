/* SPDX-License-Identifier: BSD-3-Clause */
/* Several copies of Python in one process: several LIBRARY... -- LIBRARY SCRIPT
 * Loads the first ones and never starts them ("-" stands before one that is started and then left
 * alone); runs the script with the last. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *load(const char *path, int flags)
{
    void *library = dlopen(path, flags);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    return library;
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        const char *path = argv[at] + (argv[at][0] == '-');
        void *library = argv[at][0] == '-' ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW)
                                           : load(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            return 2;
        void (*start)(int) = (void (*)(int))dlsym(library, "Py_InitializeEx");
        if (argv[at][0] == '-' && start)
            start(0);
    }
    if (argc - at != 3)
        return 2;
    void *library = load(argv[at + 1], RTLD_NOW | RTLD_GLOBAL);
    int (*run)(int, char **) =
        library ? (int (*)(int, char **))dlsym(library, "Py_BytesMain") : NULL;
    return run ? run(2, argv + at + 1) : 2;
}
