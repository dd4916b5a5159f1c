/* SPDX-License-Identifier: BSD-3-Clause */
/* file.c - reads a source file whose name a profiled program has chosen.
 *
 * In: a name. Out: its bytes, or why not. The name may be anything: a device, a pipe nobody writes
 * to, a link out of a container, somebody's secrets. */
#include "src/render/html/file.h"

#include "src/base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 4 << 20 };

static const char unreadable[] = "the file cannot be read";

/* Names as the system has them: undecodable bytes as they were. */
static void put_path(struct pyi_strbuf *out, struct pyi_text path)
{
    for (size_t at = 0; at < path.length;) {
        size_t begin = at;
        uint32_t c = pyi_text_next(path, &at);
        if (c >= 0xdc80 && c <= 0xdcff)
            pyi_strbuf_char(out, (char)(c - 0xdc00));
        else
            pyi_strbuf_append(out, path.data + begin, at - begin);
    }
}

/* Links are followed as the program followed them: from its root. */
static int open_below(const char *root, const char *path)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct open_how how = {.flags = (uint64_t)flags,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    PYI_CLEANUP(pyi_cleanup_close) int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return (int)fd;
    /* Linux before 5.6, or a filter that does not know the call: then no link at the end. */
    return openat(folder, path + strspn(path, "/"), flags | O_NOFOLLOW);
}

static bool ends_with(struct pyi_text text, const char *ending)
{
    size_t length = strlen(ending);
    return text.length > length && !memcmp(text.data + text.length - length, ending, length);
}

/* By its name, or by a first line that names an interpreter. */
static bool looks_like_python(struct pyi_text path, struct pyi_text bytes)
{
    static const char *const endings[] = {".py", ".pyw", ".pyx", ".pyi"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (ends_with(path, endings[i]))
            return true;
    const char *end = memchr(bytes.data, '\n', bytes.length);
    struct pyi_text first = {bytes.data, end ? (size_t)(end - bytes.data) : bytes.length};
    return pyi_text_starts_with(first, "#!") && pyi_text_contains(first, "python");
}

static const char *read_all(int fd, struct pyi_strbuf *out)
{
    char block[16384];
    for (;;) {
        ssize_t got = read(fd, block, sizeof(block));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? unreadable : NULL;
        pyi_strbuf_append(out, block, (size_t)got);
        if (out->length > MOST)
            return "the file is larger than 4 MB";
    }
}

const char *pyi_html_file_read(struct pyi_text root, struct pyi_text path,
                               struct pyi_html_text *out)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf folder = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf name = {0};
    struct stat info;
    if (!path.length || path.data[0] != '/')
        return "the path is relative";
    put_path(&folder, root);
    put_path(&name, path);
    out->bytes.failed = folder.failed || name.failed;
    if (out->bytes.failed)
        return unreadable;
    PYI_CLEANUP(pyi_cleanup_close)
    int fd = open_below(folder.length ? folder.data : "/", pyi_strbuf_get(&name).data);
    if (fd < 0 || fstat(fd, &info) != 0)
        return unreadable;
    if (!S_ISREG(info.st_mode))
        return "it is not a regular file";
    if (info.st_size > MOST)
        return "the file is larger than 4 MB";
    out->modified = (double)info.st_mtim.tv_sec + (double)info.st_mtim.tv_nsec / 1e9;
    const char *reason = read_all(fd, &out->bytes);
    if (!reason && !looks_like_python(path, pyi_strbuf_get(&out->bytes)))
        reason = "it does not look like Python source";
    return reason;
}
