/* SPDX-License-Identifier: BSD-3-Clause */
/* test_output.c - buffering, failing sinks, and files that appear whole or not at all. */
#include "src/base/output.h"

#include "src/base/error.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
    char directory[64];
    char path[128];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    snprintf(place->directory, sizeof(place->directory), "/tmp/pyi-test-XXXXXX");
    if (!mkdtemp(place->directory))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/report", place->directory);
    *state = place;
    return 0;
}

static size_t count_entries(const char *directory)
{
    size_t count = 0;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    int failed = rmdir(place->directory);
    free(place);
    return failed;
}

static void write_path(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_content(const char *path, const char *expected)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static void put(struct pyi_file *file, const char *text)
{
    struct pyi_sink sink = pyi_file_sink(file);
    assert_int_equal(sink.write(sink.context, text, strlen(text), NULL), 0);
}

static void collects_and_passes_on(void **state)
{
    struct pyi_strbuf got = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&got);
    struct pyi_output output;
    pyi_output_init(&output, &sink);
    char line[1000];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 200; i++)
        pyi_output_bytes(&output, line, sizeof(line));
    char *large = calloc(1, 300000);
    pyi_output_bytes(&output, large, 300000);
    free(large);
    pyi_output_format(&output, "%d%s", 7, "!");
    assert_true(got.length < output.total);
    assert_int_equal(pyi_output_finish(&output, NULL), 0);
    assert_int_equal(got.length, 500002);
    assert_string_equal(got.data + 500000, "7!");
    pyi_strbuf_deinit(&got);
}

static int refuse(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    ++*(int *)context;
    return pyi_error_set(err, PYI_E_OS, "no");
}

static void keeps_the_first_failure(void **state)
{
    int calls = 0;
    struct pyi_sink sink = {refuse, &calls};
    struct pyi_output output;
    struct pyi_error err = {0};
    pyi_output_init(&output, &sink);
    char *large = calloc(1, 100000);
    for (int i = 0; i < 5; i++)
        pyi_output_bytes(&output, large, 100000);
    free(large);
    pyi_output_format(&output, "x");
    assert_int_equal(pyi_output_finish(&output, &err), PYI_E_OS);
    assert_string_equal(err.message, "no");
    assert_int_equal(calls, 1);
}

static void reports_a_full_device(void **state)
{
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0) {
        print_message("/dev/full is missing\n");
        skip();
    }
    struct pyi_sink sink = pyi_sink_fd(&fd);
    struct pyi_output output;
    struct pyi_error err = {0};
    pyi_output_init(&output, &sink);
    pyi_output_string(&output, "text");
    assert_int_equal(pyi_output_finish(&output, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOSPC);
    close(fd);
}

static void file_appears_at_commit(void **state)
{
    struct place *place = *state;
    struct pyi_file *file;
    assert_int_equal(pyi_file_create(place->path, &file, NULL), 0);
    put(file, "new");
    assert_int_equal(access(place->path, F_OK), -1);
    assert_int_equal(pyi_file_commit(file, NULL), 0);
    assert_content(place->path, "new");
    assert_int_equal(count_entries(place->directory), 1);
}

static void old_file_survives(void **state)
{
    struct place *place = *state;
    write_path(place->path, "old");
    assert_int_equal(chmod(place->path, 0640), 0);
    struct pyi_file *file;
    assert_int_equal(pyi_file_create(place->path, &file, NULL), 0);
    put(file, "half");
    pyi_file_abandon(file);
    pyi_file_abandon(NULL);
    assert_content(place->path, "old");
    assert_int_equal(count_entries(place->directory), 1);
    assert_int_equal(pyi_file_create(place->path, &file, NULL), 0);
    put(file, "new");
    assert_int_equal(pyi_file_commit(file, NULL), 0);
    assert_content(place->path, "new");
    struct stat status;
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

/* A writable file in a folder that takes no new one. */
static void file_is_written_in_place(void **state)
{
    struct place *place = *state;
    struct pyi_file *file;
    const uid_t us = geteuid();
    write_path(place->path, "old and longer");
    assert_int_equal(chmod(place->path, 0666), 0);
    assert_int_equal(chmod(place->directory, 0555), 0);
    if (us == 0)
        assert_int_equal(seteuid(65534), 0);
    int created = pyi_file_create(place->path, &file, NULL);
    if (!created)
        pyi_file_abandon(file);
    char text[64] = "";
    FILE *kept = fopen(place->path, "r");
    size_t length = kept ? fread(text, 1, sizeof(text) - 1, kept) : 0;
    int committed = pyi_file_create(place->path, &file, NULL);
    if (!committed) {
        put(file, "new");
        committed = pyi_file_commit(file, NULL);
    }
    if (us == 0)
        assert_int_equal(seteuid(us), 0);
    assert_int_equal(chmod(place->directory, 0755), 0);
    assert_int_equal(created, 0);
    assert_non_null(kept);
    fclose(kept);
    assert_int_equal(length, strlen("old and longer"));
    assert_int_equal(committed, 0);
    assert_content(place->path, "new");
    assert_int_equal(count_entries(place->directory), 1);
}

static void links_stay_links(void **state)
{
    struct place *place = *state;
    char link[160];
    snprintf(link, sizeof(link), "%s/link", place->directory);
    write_path(place->path, "old");
    assert_int_equal(symlink("report", link), 0);
    struct pyi_file *file;
    assert_int_equal(pyi_file_create(link, &file, NULL), 0);
    put(file, "new");
    assert_int_equal(pyi_file_commit(file, NULL), 0);
    assert_content(place->path, "new");
    struct stat status;
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    unlink(link);
}

static void refuses_directories(void **state)
{
    struct place *place = *state;
    struct pyi_file *file;
    struct pyi_error err = {0};
    assert_int_equal(pyi_file_create(place->directory, &file, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, EISDIR);
    char below[160];
    snprintf(below, sizeof(below), "%s/absent/report", place->directory);
    assert_int_equal(pyi_file_create(below, &file, &err), PYI_E_OS);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(count_entries(place->directory), 0);
}

static void writes_special_files_directly(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    int reader = open(place->path, O_RDONLY | O_NONBLOCK);
    struct pyi_file *file;
    assert_int_equal(pyi_file_create(place->path, &file, NULL), 0);
    put(file, "text");
    char got[5] = "";
    assert_int_equal(read(reader, got, 4), 4);
    assert_string_equal(got, "text");
    assert_int_equal(pyi_file_commit(file, NULL), 0);
    close(reader);
}

/* What a shell redirected must be gone on with, at its offset, and not be replaced. */
static void writes_own_descriptors(void **state)
{
    struct place *place = *state;
    int fd = open(place->path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "ab", 2), 2);
    char path[32];
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    struct pyi_file *file;
    assert_int_equal(pyi_file_create(path, &file, NULL), 0);
    put(file, "cd");
    assert_int_equal(pyi_file_commit(file, NULL), 0);
    assert_content(place->path, "abcd");
    assert_int_equal(write(fd, "e", 1), 1);
    assert_content(place->path, "abcde");
    close(fd);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collects_and_passes_on),
        cmocka_unit_test(keeps_the_first_failure),
        cmocka_unit_test(reports_a_full_device),
        PLACED(file_appears_at_commit),
        PLACED(old_file_survives),
        PLACED(file_is_written_in_place),
        PLACED(links_stay_links),
        PLACED(refuses_directories),
        PLACED(writes_special_files_directly),
        PLACED(writes_own_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
