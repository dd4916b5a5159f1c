/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * output.c - buffered output into a sink, and files that appear whole or not at all.
 *
 * Renderers write without looking at results: the first failure is kept and reported once by
 * pyi_output_finish(). A file is written under a temporary name in its own directory and
 * renamed at the end, so an old report survives a full disk and a killed run.
 */
#include "src/base/output.h"

#include "src/base/error.h"
#include "src/base/invoker.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (64 * 1024)

void pyi_output_init(struct pyi_output *output, const struct pyi_sink *sink)
{
    *output = (struct pyi_output){.sink = sink};
    output->buffer = malloc(BUFFER_SIZE);
    if (output->buffer)
        output->capacity = BUFFER_SIZE;
    else
        output->code = pyi_error_nomem(&output->error);
}

static void send(struct pyi_output *output, const void *bytes, size_t length)
{
    if (output->code || !length)
        return;
    output->code = output->sink->write(output->sink->context, bytes, length, &output->error);
}

static void flush(struct pyi_output *output)
{
    send(output, output->buffer, output->length);
    output->length = 0;
}

void pyi_output_bytes(struct pyi_output *output, const void *bytes, size_t length)
{
    if (output->code || !length)
        return;
    output->total += length;
    if (length > output->capacity - output->length)
        flush(output);
    if (length >= output->capacity) {
        send(output, bytes, length);
        return;
    }
    memcpy(output->buffer + output->length, bytes, length);
    output->length += length;
}

void pyi_output_string(struct pyi_output *output, const char *nul_terminated)
{
    pyi_output_bytes(output, nul_terminated, strlen(nul_terminated));
}

void pyi_output_text(struct pyi_output *output, struct pyi_text text)
{
    pyi_output_bytes(output, text.data, text.length);
}

void pyi_output_char(struct pyi_output *output, char byte)
{
    pyi_output_bytes(output, &byte, 1);
}

void pyi_output_format(struct pyi_output *output, const char *format, ...)
{
    if (output->code)
        return;
    struct pyi_strbuf text = {0};
    va_list arguments;
    va_start(arguments, format);
    pyi_strbuf_vformat(&text, format, arguments);
    va_end(arguments);
    if (text.failed)
        output->code = pyi_error_nomem(&output->error);
    else
        pyi_output_bytes(output, text.data, text.length);
    pyi_strbuf_deinit(&text);
}

int pyi_output_finish(struct pyi_output *output, struct pyi_error *err)
{
    flush(output);
    free(output->buffer);
    output->buffer = NULL;
    output->capacity = 0;
    if (output->code && err)
        *err = output->error;
    return output->code;
}

/* ---- sinks --------------------------------------------------------------------------------- */

static int write_strbuf(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct pyi_strbuf *buffer = context;
    pyi_strbuf_append(buffer, bytes, length);
    return buffer->failed ? pyi_error_nomem(err) : 0;
}

struct pyi_sink pyi_sink_strbuf(struct pyi_strbuf *buffer)
{
    return (struct pyi_sink){write_strbuf, buffer};
}

/* Returns 0 or errno. */
static int write_all(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        if (written == 0)
            return EIO;
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

static int write_fd(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    int failure = write_all(*(int *)context, bytes, length);
    return failure ? pyi_error_os(err, failure, "cannot write") : 0;
}

struct pyi_sink pyi_sink_fd(int *fd)
{
    return (struct pyi_sink){write_fd, fd};
}

/* ---- files --------------------------------------------------------------------------------- */

struct pyi_file {
    char *path;      /* final name, symbolic links resolved */
    char *temporary; /* NULL: written directly */
    int fd;
    bool ours;  /* made with our own rights: those of the user behind sudo were not enough */
    bool stale; /* written directly, and what the file held before is still in it */
};

static void file_free(struct pyi_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->temporary);
    free(file);
}

/* Mode bits a new file gets: those of the file it replaces, else what umask leaves. The mask is
 * read from /proc because umask() would change it for the whole process. */
static mode_t wanted_mode(const struct stat *old)
{
    if (old)
        return old->st_mode & 0777;
    mode_t mask = 022;
    PYI_CLEANUP(pyi_cleanup_fclose) FILE *status = fopen("/proc/self/status", "re");
    char line[128];
    while (status && fgets(line, sizeof(line), status)) {
        unsigned value;
        if (sscanf(line, "Umask: %o", &value) == 1) {
            mask = value & 0777;
            break;
        }
    }
    return 0666 & ~mask;
}

static int open_temporary(struct pyi_file *file, const struct stat *old, struct pyi_error *err)
{
    const char *slash = strrchr(file->path, '/');
    int directory = slash ? (int)(slash - file->path) + 1 : 0;
    /* A dot first, so that no pattern like *.pyisession sees half a file; the rest of the name
     * is not repeated, so that a name of full length still works. */
    if (asprintf(&file->temporary, "%.*s.pyinstrument-XXXXXX", directory, file->path) < 0) {
        file->temporary = NULL;
        return pyi_error_nomem(err);
    }
    file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd < 0) {
        int failure = errno;
        free(file->temporary);
        file->temporary = NULL;
        return pyi_error_os(err, failure, "cannot write %s", file->path);
    }
    /* Owner first: changing it clears bits. Where the file system or our rights do not allow
     * either, the file is still good. */
    if (old)
        (void)!fchown(file->fd, old->st_uid, old->st_gid);
    (void)!fchmod(file->fd, wanted_mode(old));
    return 0;
}

/* Number of the descriptor of ours that a path stands for, -1 for an ordinary path. */
static int own_descriptor(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    int fd = -1, used = 0;
    if ((sscanf(path, "/dev/fd/%d%n", &fd, &used) == 1 ||
         sscanf(path, "/proc/self/fd/%d%n", &fd, &used) == 1) &&
        !path[used])
        return fd;
    return -1;
}

static int open_direct(struct pyi_file *file, const char *path, struct pyi_error *err)
{
    /* Opening /dev/stdout anew would start at offset 0 of what a shell redirected it to. */
    int own = own_descriptor(path);
    file->fd = own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 3)
                        : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (file->fd < 0)
        return pyi_error_os(err, errno, "cannot write %s", path);
    file->path = strdup(path);
    return file->path ? 0 : pyi_error_nomem(err);
}

/* A file that can be written while nothing new can be put beside it: a read-only folder, a file
 * bind-mounted into a container. Its old contents stay until there is something new. */
static int open_in_place(struct pyi_file *file, struct pyi_error *err)
{
    file->fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (file->fd < 0)
        return pyi_error_os(err, errno, "cannot write %s", file->path);
    file->stale = true;
    return 0;
}

static bool folder_refuses(int os_errno)
{
    return os_errno == EACCES || os_errno == EPERM || os_errno == EROFS;
}

static int file_open(struct pyi_file *file, const char *path, struct pyi_error *err)
{
    struct stat old, link;
    bool exists = stat(path, &old) == 0;
    if (exists && S_ISDIR(old.st_mode))
        return pyi_error_os(err, EISDIR, "cannot write %s", path);
    bool dangling = !exists && lstat(path, &link) == 0;
    if (dangling || own_descriptor(path) >= 0 || (exists && !S_ISREG(old.st_mode)))
        return open_direct(file, path, err);
    /* An existing file that must not be written is not replaced behind its owner's back. */
    if (exists && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        return pyi_error_os(err, errno, "cannot write %s", path);
    /* The rename shall replace the file a link points to and not the link. */
    file->path = exists ? realpath(path, NULL) : strdup(path);
    if (!file->path)
        return exists ? pyi_error_os(err, errno, "cannot write %s", path) : pyi_error_nomem(err);
    struct pyi_error reason = {0};
    int code = open_temporary(file, exists ? &old : NULL, &reason);
    if (code && exists && folder_refuses(reason.os_errno))
        return open_in_place(file, err);
    if (code && err)
        *err = reason;
    return code;
}

/* As the user behind sudo, in whose folder the file most likely lies; what only root may write is
 * written by root, and given to that user when it is new. */
static int open_for_invoker(struct pyi_file *file, const char *path, struct pyi_error *err)
{
    struct pyi_error reason = {0};
    struct stat old;
    struct pyi_guise guise = pyi_guise_on();
    int code = file_open(file, path, &reason);
    pyi_guise_off(&guise);
    if (code && guise.worn && folder_refuses(reason.os_errno)) {
        const bool exists = stat(path, &old) == 0;
        free(file->path);
        *file = (struct pyi_file){.fd = -1, .ours = true};
        code = file_open(file, path, &reason);
        if (!code && !exists)
            pyi_guise_give(file->fd);
    }
    if (code && err)
        *err = reason;
    return code;
}

int pyi_file_create(const char *path, struct pyi_file **out, struct pyi_error *err)
{
    struct pyi_file *file = calloc(1, sizeof(*file));
    if (!file)
        return pyi_error_nomem(err);
    file->fd = -1;
    int code = open_for_invoker(file, path, err);
    if (code) {
        file_free(file);
        return code;
    }
    *out = file;
    return 0;
}

static int drop_old(struct pyi_file *file, struct pyi_error *err)
{
    if (file->stale && ftruncate(file->fd, 0) != 0)
        return pyi_error_os(err, errno, "cannot write %s", file->path);
    file->stale = false;
    return 0;
}

static int write_file(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct pyi_file *file = context;
    int code = drop_old(file, err);
    if (code)
        return code;
    int failure = write_all(file->fd, bytes, length);
    return failure ? pyi_error_os(err, failure, "cannot write %s", file->path) : 0;
}

struct pyi_sink pyi_file_sink(struct pyi_file *file)
{
    return (struct pyi_sink){write_file, file};
}

/* Copies the finished temporary file over the contents of the final one; 0 or an errno. */
static int copy_over(const struct pyi_file *file)
{
    char block[65536];
    PYI_CLEANUP(pyi_cleanup_close) int from = open(file->temporary, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno;
    PYI_CLEANUP(pyi_cleanup_close)
    int to = open(file->path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
    if (to < 0)
        return errno;
    for (;;) {
        ssize_t length = read(from, block, sizeof(block));
        if (length < 0 && errno == EINTR)
            continue;
        int failure = length < 0 ? errno : write_all(to, block, (size_t)length);
        if (failure || length == 0)
            return failure;
    }
}

/* Over a mount point and, in a folder like /tmp, over somebody else's file nothing is renamed. */
static int replace_final(const struct pyi_file *file, struct pyi_error *err)
{
    if (rename(file->temporary, file->path) == 0)
        return 0;
    int failure = errno;
    if (failure == EBUSY || folder_refuses(failure)) {
        int second = copy_over(file);
        failure = second == ENOENT ? failure : second;
        unlink(file->temporary);
    }
    return failure ? pyi_error_os(err, failure, "cannot write %s", file->path) : 0;
}

int pyi_file_commit(struct pyi_file *file, struct pyi_error *err)
{
    int code = drop_old(file, err);
    int fd = file->fd;
    file->fd = -1;
    if (close(fd) != 0 && errno != EINTR && !code)
        code = pyi_error_os(err, errno, "cannot write %s", file->path);
    struct pyi_guise guise = {.worn = false};
    if (!file->ours)
        guise = pyi_guise_on();
    if (!code && file->temporary)
        code = replace_final(file, err);
    if (code && file->temporary)
        unlink(file->temporary);
    pyi_guise_off(&guise);
    file_free(file);
    return code;
}

void pyi_file_abandon(struct pyi_file *file)
{
    if (!file)
        return;
    if (file->temporary)
        unlink(file->temporary);
    file_free(file);
}
