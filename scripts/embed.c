/* SPDX-License-Identifier: BSD-3-Clause */
/* embed.c - turns the page's program and style into C byte arrays, with the hashes of their policy.
 * Compiled for and run on the machine that builds; works wherever C does.
 *
 * usage: embed FOLDER      (page.js, page.css and MANIFEST in it; C source on stdout) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789+/=";

static void fail(const char *name, const char *what)
{
    fprintf(stderr, "embed: %s: %s\n", name, what);
    exit(1);
}

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path, "cannot be read; make report-bundle makes it");
    return file;
}

static void put_bytes(const char *folder, const char *name, const char *symbol)
{
    FILE *file = open_in(folder, name);
    size_t size = 0;
    printf("const unsigned char pyi_html_%s[] = {", symbol);
    for (int byte; (byte = getc(file)) != EOF; size++)
        printf("%s%d,", size % 32 ? "" : "\n", byte);
    printf("\n};\nconst size_t pyi_html_%s_size = %zu;\n", symbol, size);
    if (!size || ferror(file))
        fail(name, "is empty or cannot be read");
    fclose(file);
}

/* The quoted hashes of the MANIFEST's line that begins with `key`: of the script or the style itself, and of what
 * the script unfolds, in no order that matters. */
static void put_hashes(const char *folder, const char *key, const char *symbol)
{
    enum { EACH = sizeof("'sha256-'") - 1 + 44 };
    FILE *file = open_in(folder, "MANIFEST");
    char line[1024], *words = NULL;
    while (!words && fgets(line, sizeof(line), file))
        words = strncmp(line, key, strlen(key)) ? NULL : line + strlen(key) + 1;
    fclose(file);
    size_t length = words ? strcspn(words, "\n") : 0, count = 0, at = 0;
    for (; at < length; at += EACH + 1, count++)
        if (strncmp(words + at, "'sha256-", 8) || strspn(words + at + 8, BASE64) != 44 ||
            words[at + EACH - 1] != '\'')
            fail(key, "is followed by what is no hash in the MANIFEST");
    if (count != 2 || length != 2 * EACH + 1)
        fail(key, "has not two hashes in the MANIFEST");
    printf("const char pyi_html_%s_hashes[] = \"%.*s\";\n", symbol, (int)length, words);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage", "embed FOLDER");
    printf("/* Made by scripts/embed.c. */\n#include \"src/render/html/bundle.h\"\n");
    put_bytes(argv[1], "page.js", "script");
    put_bytes(argv[1], "page.css", "style");
    put_hashes(argv[1], "script-src", "script");
    put_hashes(argv[1], "style-src", "style");
    return fflush(stdout) != 0;
}
