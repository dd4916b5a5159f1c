/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * standalone_driver.c - runs a fuzz target over files, in an ordinary build.
 *
 * Arguments are files and directories (without what lies deeper in them). Each file is one
 * input, in a heap block of exactly its size so that sanitizers see a byte read beyond it.
 * Status 1 when nothing could be read: a corpus that went missing is no success.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    int failed = !file || !data || fread(data, 1, size, file) != size;
    if (failed)
        fprintf(stderr, "%s: cannot be read\n", path);
    else
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    if (file)
        fclose(file);
    return failed;
}

static int run_directory(const char *path, size_t *count)
{
    DIR *directory = opendir(path);
    if (!directory) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096];
        struct stat status;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (stat(name, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        failed |= run_file(name, (size_t)status.st_size);
        ++*count;
    }
    closedir(directory);
    return failed;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) != 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            failed = 1;
        } else if (S_ISDIR(status.st_mode)) {
            failed |= run_directory(argv[i], &count);
        } else {
            failed |= run_file(argv[i], (size_t)status.st_size);
            count++;
        }
    }
    printf("%zu inputs\n", count);
    return failed || !count;
}
