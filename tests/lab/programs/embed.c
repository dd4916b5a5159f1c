/* SPDX-License-Identifier: BSD-3-Clause */
/* A C program with a Python inside: embed SCRIPT runs the script. Linked with the shared library,
 * with the archive, statically, position independent or not: see shapes.py. */
#include <Python.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file)
        return 2;
    Py_InitializeEx(0);
    int result = PyRun_SimpleFileEx(file, argv[1], 1);
    return Py_FinalizeEx() < 0 || result != 0;
}
