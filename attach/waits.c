/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * waits.c - names for the system calls in which threads wait: "[read /var/log/x]".
 *
 * Comes in: what /proc/PID/task/TID/syscall said. Goes out: one name per call and what it waits
 * for. The file behind a descriptor is one readlink(); the ends of a socket are in the tables of
 * the target's network namespace, which are read as a whole, so not often and not far. Must not
 * know who waits, nor why it is asked.
 */
#include "attach/waits.h"

#include "attach/process.h"
#include "src/base/arena.h"
#include "src/base/array.h"
#include "src/base/hash.h"
#include "src/base/text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINKS_PER_ROUND 16   /* descriptors looked at */
#define NAMES_MAX       4096 /* different names of one target; a file that is in none has no own */
#define LABEL_LIMIT     200  /* bytes of a name */
#define TABLE_LIMIT     ((size_t)4 << 20) /* bytes of a table of sockets that are looked at */
#define SOCKETS_MAX     4096
#define SOCKETS_SPACING 0.1                  /* seconds between two readings of the tables ... */
#define SOCKETS_AGE     5.0                  /* ... and for how long what they said is believed */
#define FIRST_NUMBER    UINT32_C(0x80000000) /* of our code numbers: above those of real code */

/* ---- system calls ---------------------------------------------------------------------------- */

/* What stands behind the name. */
enum target {
    NOTHING,
    FILE_0, /* the file of the first argument */
    PEER_0, /* the same; of a socket the other end */
    OWN_0,  /* the same; of a socket our end */
};

/* Numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
 * Variants of a call have one name: what a user would call it. */
static const struct row {
    const char *name;
    long x86_64, aarch64;
    enum target target;
} rows[] = {
    {"read", 0, 63, FILE_0},
    {"write", 1, 64, FILE_0},
    {"poll", 7, -1, NOTHING},
    {"ioctl", 16, 29, FILE_0},
    {"pread", 17, 67, FILE_0},
    {"pwrite", 18, 68, FILE_0},
    {"readv", 19, 65, FILE_0},
    {"writev", 20, 66, FILE_0},
    {"select", 23, -1, NOTHING},
    {"pause", 34, -1, NOTHING},
    {"nanosleep", 35, 101, NOTHING},
    {"sendfile", 40, 71, FILE_0},
    {"connect", 42, 203, PEER_0},
    {"accept", 43, 202, OWN_0},
    {"send", 44, 206, PEER_0},
    {"recv", 45, 207, PEER_0},
    {"sendmsg", 46, 211, PEER_0},
    {"recvmsg", 47, 212, PEER_0},
    {"clone", 56, 220, NOTHING},
    {"vfork", 58, -1, NOTHING},
    {"wait4", 61, 260, NOTHING},
    {"semop", 65, 193, NOTHING},
    {"msgsnd", 69, 189, NOTHING},
    {"msgrcv", 70, 188, NOTHING},
    {"fcntl", 72, 25, FILE_0},
    {"flock", 73, 32, FILE_0},
    {"fsync", 74, 82, FILE_0},
    {"fdatasync", 75, 83, FILE_0},
    {"ftruncate", 77, 46, FILE_0},
    {"getdents", 78, -1, FILE_0},
    {"rt_sigtimedwait", 128, 137, NOTHING},
    {"rt_sigsuspend", 130, 133, NOTHING},
    {"sync", 162, 81, NOTHING},
    {"futex", 202, 98, NOTHING},
    {"io_getevents", 208, 4, NOTHING},
    {"getdents", 217, 61, FILE_0},
    {"semtimedop", 220, 192, NOTHING},
    {"fadvise", 221, 223, FILE_0},
    {"nanosleep", 230, 115, NOTHING}, /* clock_nanosleep */
    {"epoll_wait", 232, -1, NOTHING},
    {"mq_send", 242, 182, FILE_0},
    {"mq_receive", 243, 183, FILE_0},
    {"waitid", 247, 95, NOTHING},
    {"openat", 257, 56, NOTHING},
    {"select", 270, 72, NOTHING}, /* pselect6 */
    {"poll", 271, 73, NOTHING},   /* ppoll */
    {"splice", 275, 76, FILE_0},
    {"sync_file_range", 277, 84, FILE_0},
    {"epoll_wait", 281, 22, NOTHING}, /* epoll_pwait */
    {"fallocate", 285, 47, FILE_0},
    {"accept", 288, 242, OWN_0}, /* accept4 */
    {"preadv", 295, 69, FILE_0},
    {"pwritev", 296, 70, FILE_0},
    {"recvmmsg", 299, 243, PEER_0},
    {"sendmmsg", 307, 269, PEER_0},
    {"getrandom", 318, 278, NOTHING},
    {"copy_file_range", 326, 285, FILE_0},
    {"preadv2", 327, 286, FILE_0},
    {"pwritev2", 328, 287, FILE_0},
    {"io_pgetevents", 333, 292, NOTHING},
    {"io_uring_enter", 426, 426, NOTHING},
    {"clone3", 435, 435, NOTHING},
    {"openat2", 437, 437, NOTHING},
    {"epoll_wait", 441, 441, NOTHING}, /* epoll_pwait2 */
    {"futex", 449, 449, NOTHING},      /* futex_waitv */
    {"futex", 455, 455, NOTHING},      /* futex_wait */
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static long row_number(const struct row *row)
{
#if defined(__aarch64__)
    return row->aarch64;
#else
    return row->x86_64;
#endif
}

static const struct row *find_row(long number)
{
    for (size_t i = 0; i < ROWS; i++)
        if (row_number(&rows[i]) == number && number >= 0)
            return &rows[i];
    return NULL;
}

bool pyi_syscall_row(size_t index, const char **name, long *x86_64, long *aarch64)
{
    if (index >= ROWS)
        return false;
    *name = rows[index].name;
    *x86_64 = rows[index].x86_64;
    *aarch64 = rows[index].aarch64;
    return true;
}

const char *pyi_syscall_name(long number)
{
    const struct row *row = find_row(number);
    return row ? row->name : NULL;
}

/* Linux, fs/proc/base.c: proc_pid_syscall() writes "running"; or -1, stack and instruction
 * pointer; or the number and six arguments in hexadecimal, then the same two. */
void pyi_syscall_parse(const char *text, size_t length, struct pyi_syscall *out)
{
    char line[256];
    *out = (struct pyi_syscall){.kind = PYI_SYSCALL_UNKNOWN};
    if (length >= sizeof(line))
        length = sizeof(line) - 1;
    memcpy(line, text, length);
    line[length] = '\0';
    if (strncmp(line, "running", 7) == 0) {
        out->kind = PYI_SYSCALL_RUNNING;
        return;
    }
    char *at;
    long number = strtol(line, &at, 10);
    if (at == line || (*at != ' ' && *at != '\0' && *at != '\n'))
        return;
    if (number < 0) {
        out->kind = number == -1 ? PYI_SYSCALL_STALLED : PYI_SYSCALL_UNKNOWN;
        return;
    }
    for (int i = 0; i < 6; i++) {
        char *end;
        out->arguments[i] = strtoull(at, &end, 16);
        if (end == at)
            return;
        at = end;
    }
    out->number = number;
    out->kind = PYI_SYSCALL_BLOCKED;
}

bool pyi_syscall_is_futex(const struct pyi_syscall *call)
{
    const struct row *row = call->kind == PYI_SYSCALL_BLOCKED ? find_row(call->number) : NULL;
    return row && strcmp(row->name, "futex") == 0;
}

bool pyi_syscall_waits_on(const struct pyi_syscall *call, uint64_t from, uint64_t to)
{
    return pyi_syscall_is_futex(call) && call->arguments[0] >= from && call->arguments[0] < to;
}

/* ---- sockets --------------------------------------------------------------------------------- */

enum family { TCP, TCP6, UDP, UDP6, UNIX };
static const struct table {
    const char *file, *word;
    bool wide; /* addresses of 16 bytes */
} tables[] = {
    [TCP] = {"net/tcp", "tcp", false},    [TCP6] = {"net/tcp6", "tcp", true},
    [UDP] = {"net/udp", "udp", false},    [UDP6] = {"net/udp6", "udp", true},
    [UNIX] = {"net/unix", "unix", false},
};

struct end {
    uint8_t address[16];
    uint16_t port;
};

struct socket {
    uint64_t inode;
    enum family family;
    struct end own, peer;
    const char *path; /* of a unix socket, in the arena; NULL none */
};

struct pyi_waits {
    const char *proc;
    pid_t pid, tid;         /* the thread through which its files are looked at */
    struct pyi_strbuf root; /* where its file system begins, seen from ours; "/" unless chrooted */
    unsigned links;         /* left in this round */
    struct pyi_intern texts;
    struct pyi_code **codes; /* by number of the text */
    size_t code_capacity;
    struct pyi_arena code_arena;
    struct socket *sockets;
    size_t socket_count, socket_capacity;
    struct pyi_arena paths;
    double sockets_time; /* when the tables were read; 0 never */
};

static double now_seconds(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* "0100007F:1F90", the words of the address as the kernel's machine has them in memory. */
static bool parse_end(const char *text, bool wide, struct end *out)
{
    const size_t words = wide ? 4 : 1;
    *out = (struct end){0};
    for (size_t i = 0; i < words; i++) {
        char word[9] = "", *stop;
        memcpy(word, text + 8 * i, strnlen(text + 8 * i, 8));
        uint32_t value = (uint32_t)strtoul(word, &stop, 16);
        if (stop != word + 8)
            return false;
        memcpy(out->address + 4 * i, &value, 4);
    }
    if (text[8 * words] != ':')
        return false;
    char *stop;
    unsigned long port = strtoul(text + 8 * words + 1, &stop, 16);
    out->port = (uint16_t)port;
    return stop != text + 8 * words + 1 && *stop == '\0' && port <= UINT16_MAX;
}

/* The n-th word of a line that words are cut out of by NUL; NULL when there are not so many. */
static char *cut_words(char *line, char *words[], size_t count)
{
    char *rest = line;
    for (size_t i = 0; i < count; i++) {
        do {
            words[i] = strsep(&rest, " \t");
        } while (words[i] && *words[i] == '\0');
        if (!words[i])
            return NULL;
    }
    return rest ? rest : line + strlen(line);
}

/* Linux, net/ipv4/tcp_ipv4.c: get_tcp4_sock(), udp.c: udp4_format_sock() and their like for IPv6:
 * number, own end, peer, state, queues, timer, retransmissions, user, timeout, inode. */
static bool parse_inet(char *line, enum family family, struct socket *out)
{
    char *words[10];
    *out = (struct socket){.family = family};
    if (!cut_words(line, words, 10) || !parse_end(words[1], tables[family].wide, &out->own) ||
        !parse_end(words[2], tables[family].wide, &out->peer))
        return false;
    out->inode = strtoull(words[9], NULL, 10);
    return out->inode != 0;
}

/* Linux, net/unix/af_unix.c: unix_seq_show(): address, references, protocol, flags, type, state,
 * inode, and the name if there is one, "@" first when it is in no file system. */
static bool parse_unix(struct pyi_waits *waits, char *line, struct socket *out)
{
    char *words[7];
    *out = (struct socket){.family = UNIX};
    char *rest = cut_words(line, words, 7);
    if (!rest)
        return false;
    out->inode = strtoull(words[6], NULL, 10);
    rest += strspn(rest, " ");
    if (*rest)
        out->path = pyi_arena_copy(&waits->paths, rest, strnlen(rest, LABEL_LIMIT));
    return out->inode != 0;
}

static void take_line(struct pyi_waits *waits, char *line, enum family family)
{
    struct socket found;
    bool taken =
        family == UNIX ? parse_unix(waits, line, &found) : parse_inet(line, family, &found);
    if (taken && waits->socket_count < SOCKETS_MAX &&
        pyi_array_reserve(&waits->sockets, &waits->socket_capacity, waits->socket_count + 1,
                          sizeof(*waits->sockets)))
        waits->sockets[waits->socket_count++] = found;
}

/* As much of a table as is allowed, line by line; a line that does not fit is none. */
static void read_table(struct pyi_waits *waits, enum family family)
{
    char path[PATH_MAX], block[8192];
    snprintf(path, sizeof(path), "%s/%d/task/%d/%s", waits->proc, (int)waits->pid, (int)waits->tid,
             tables[family].file);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return;
    size_t held = 0, total = 0;
    bool skip = true; /* the first line is the heading */
    ssize_t n;
    while (total < TABLE_LIMIT && waits->socket_count < SOCKETS_MAX &&
           (n = read(fd, block + held, sizeof(block) - held)) > 0) {
        total += (size_t)n;
        held += (size_t)n;
        char *begin = block, *end;
        while ((end = memchr(begin, '\n', held - (size_t)(begin - block)))) {
            *end = '\0';
            if (!skip)
                take_line(waits, begin, family);
            skip = false;
            begin = end + 1;
        }
        held -= (size_t)(begin - block);
        memmove(block, begin, held);
        if (held == sizeof(block)) {
            held = 0;
            skip = true; /* the rest of an endless line */
        }
    }
    close(fd);
}

static void read_sockets(struct pyi_waits *waits, double now)
{
    waits->socket_count = 0;
    waits->sockets_time = now;
    pyi_arena_free(&waits->paths);
    for (enum family family = TCP; family <= UNIX; family++)
        read_table(waits, family);
}

static const struct socket *find_socket(struct pyi_waits *waits, uint64_t inode)
{
    double now = now_seconds();
    for (int pass = 0; pass < 2; pass++) {
        bool old = waits->sockets_time == 0 || now - waits->sockets_time > SOCKETS_AGE;
        for (size_t i = 0; !old && i < waits->socket_count; i++)
            if (waits->sockets[i].inode == inode)
                return &waits->sockets[i];
        if (pass > 0 || (waits->sockets_time != 0 && now - waits->sockets_time < SOCKETS_SPACING))
            return NULL;
        read_sockets(waits, now);
    }
    return NULL;
}

static bool is_set(const struct end *end)
{
    static const struct end none;
    return end->port != 0 || memcmp(end->address, none.address, sizeof(none.address)) != 0;
}

static void put_end(struct pyi_strbuf *out, const struct end *end, bool wide)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* IPv4 seen through IPv6 */
    char text[INET6_ADDRSTRLEN] = "";
    bool four = !wide || memcmp(end->address, mapped, sizeof(mapped)) == 0;
    inet_ntop(four ? AF_INET : AF_INET6, end->address + (four && wide ? sizeof(mapped) : 0), text,
              sizeof(text));
    pyi_strbuf_format(out, four ? "%s:%u" : "[%s]:%u", text, end->port);
}

static void put_socket(struct pyi_waits *waits, struct pyi_strbuf *out, uint64_t inode, bool peer)
{
    const struct socket *found = find_socket(waits, inode);
    if (!found) {
        pyi_strbuf_string(out, " socket");
        return;
    }
    const struct table *table = &tables[found->family];
    pyi_strbuf_format(out, " %s", table->word);
    if (found->family == UNIX) {
        if (found->path)
            pyi_strbuf_format(out, " %s", found->path);
        return;
    }
    const struct end *end = peer && is_set(&found->peer) ? &found->peer : &found->own;
    if (is_set(end)) {
        pyi_strbuf_char(out, ' ');
        put_end(out, end, table->wide);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A path as the target sees it: a link of /proc shows it as we do. */
static struct pyi_text path_inside(struct pyi_waits *waits, struct pyi_text path)
{
    char name[64];
    if (waits->root.length == 0) {
        snprintf(name, sizeof(name), "task/%d/root", (int)waits->tid);
        if (pyi_process_link(waits->proc, waits->pid, name, &waits->root, NULL) < 0 ||
            waits->root.length == 0)
            return path;
    }
    const size_t length = waits->root.length;
    if (length > 1 && path.length > length && path.data[length] == '/' &&
        memcmp(path.data, waits->root.data, length) == 0)
        return (struct pyi_text){path.data + length, path.length - length};
    return path;
}

/* What a link below /proc/PID/fd says: a path, "socket:[INODE]", "pipe:[INODE]",
 * "anon_inode:[eventfd]". */
static void put_file(struct pyi_waits *waits, struct pyi_strbuf *out, uint64_t fd, bool peer)
{
    char name[64];
    struct pyi_strbuf link = {0};
    if (fd > INT_MAX)
        return;
    snprintf(name, sizeof(name), "task/%d/fd/%d", (int)waits->tid, (int)fd);
    if (pyi_process_link(waits->proc, waits->pid, name, &link, NULL) == 0 && link.length) {
        if (strncmp(link.data, "socket:[", 8) == 0) {
            put_socket(waits, out, strtoull(link.data + 8, NULL, 10), peer);
        } else if (strncmp(link.data, "anon_inode:", 11) == 0) {
            const char *kind = link.data + 11 + strspn(link.data + 11, "[");
            pyi_strbuf_format(out, " %.*s", (int)strcspn(kind, "]"), kind);
        } else if (strncmp(link.data, "pipe:[", 6) == 0) {
            pyi_strbuf_string(out, " pipe");
        } else {
            pyi_strbuf_char(out, ' ');
            pyi_strbuf_text(out, path_inside(waits, pyi_strbuf_get(&link)));
        }
    }
    pyi_strbuf_deinit(&link);
}

static const struct pyi_code *code_of(struct pyi_waits *waits, struct pyi_text text)
{
    uint32_t number = pyi_intern_find(&waits->texts, text.data, text.length);
    if (number != UINT32_MAX)
        return waits->codes[number];
    if (waits->texts.count >= NAMES_MAX ||
        !pyi_array_reserve(&waits->codes, &waits->code_capacity, waits->texts.count + 1,
                           sizeof(*waits->codes)))
        return NULL;
    struct pyi_code *code = pyi_arena_alloc(&waits->code_arena, sizeof(*code));
    number = code ? pyi_intern_add(&waits->texts, text.data, text.length) : UINT32_MAX;
    if (number == UINT32_MAX)
        return NULL;
    *code = (struct pyi_code){.name = pyi_intern_text(&waits->texts, number),
                              .filename = pyi_text("<wait>"),
                              .id = FIRST_NUMBER + number};
    waits->codes[number] = code;
    return code;
}

const struct pyi_code *pyi_waits_name(struct pyi_waits *waits, pid_t tid,
                                      const struct pyi_syscall *call)
{
    const struct row *row = call->kind == PYI_SYSCALL_BLOCKED ? find_row(call->number) : NULL;
    if (!row)
        return NULL;
    struct pyi_strbuf text = {0};
    pyi_strbuf_format(&text, "[%s", row->name);
    if (row->target != NOTHING) {
        if (waits->links == 0) {
            pyi_strbuf_deinit(&text);
            return NULL;
        }
        waits->links--;
        waits->tid = tid;
        put_file(waits, &text, call->arguments[0], row->target != OWN_0);
    }
    char safe[LABEL_LIMIT];
    pyi_text_safe(pyi_strbuf_get(&text), safe, sizeof(safe) - 1);
    strcat(safe, "]");
    bool failed = text.failed;
    pyi_strbuf_deinit(&text);
    if (failed)
        return NULL;
    const struct pyi_code *code = code_of(waits, pyi_text(safe));
    if (code)
        return code;
    snprintf(safe, sizeof(safe), "[%s]", row->name);
    return code_of(waits, pyi_text(safe));
}

void pyi_waits_round(struct pyi_waits *waits)
{
    waits->links = LINKS_PER_ROUND;
}

struct pyi_waits *pyi_waits_new(const char *proc, pid_t pid)
{
    struct pyi_waits *waits = calloc(1, sizeof(*waits));
    if (!waits)
        return NULL;
    waits->proc = proc;
    waits->pid = pid;
    pyi_waits_round(waits);
    return waits;
}

void pyi_waits_free(struct pyi_waits *waits)
{
    if (!waits)
        return;
    pyi_intern_deinit(&waits->texts);
    pyi_arena_free(&waits->code_arena);
    pyi_arena_free(&waits->paths);
    pyi_strbuf_deinit(&waits->root);
    free(waits->codes);
    free(waits->sockets);
    free(waits);
}
