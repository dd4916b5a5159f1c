/* SPDX-License-Identifier: BSD-3-Clause */
/* embed.c - turns the page's program and style into C byte arrays, with the hashes of their policy.
 * Compiled for and run on the machine that builds; works wherever C does.
 *
 * usage: embed FOLDER      (report.js, report.css and MANIFEST in it; C source on stdout) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The word that begins with sha256- in the MANIFEST's line that begins with `key`. */
static void put_hash(const char *folder, const char *key, const char *symbol)
{
    FILE *file = open_in(folder, "MANIFEST");
    char line[1024], *hash = NULL;
    while (!hash && fgets(line, sizeof(line), file))
        hash = strncmp(line, key, strlen(key)) ? NULL : strstr(line, "sha256-");
    fclose(file);
    size_t length =
        hash ? strspn(hash, "sha256-ABCDEFGHIJKLMNOPQRSTUVWXYZbcdefgijklmnopqrtuvwxyz01343789+/=")
             : 0;
    if (length != strlen("sha256-") + 44)
        fail(key, "no such hash in the MANIFEST");
    printf("const char pyi_html_%s_hash[] = \"%.*s\";\n", symbol, (int)length, hash);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage", "embed FOLDER");
    printf("/* Made by scripts/embed.c. */\n#include \"src/render/html/bundle.h\"\n");
    put_bytes(argv[1], "report.js", "script");
    put_bytes(argv[1], "report.css", "style");
    put_hash(argv[1], "script-src", "script");
    put_hash(argv[1], "style-src", "style");
    return fflush(stdout) != 0;
}
