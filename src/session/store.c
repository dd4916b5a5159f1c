/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c - the directory of recent sessions, shared with upstream.
 *
 * In: sessions or identifiers. Out: files IDENTIFIER.pyisession, or .pyirec where that would be
 * large, at most eleven of them. The identifier is the local time at which the session began; sessions of the same second replace
 * each other, as upstream's do.
 */
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/invoker.h"
#include "src/base/output.h"
#include "src/base/text.h"
#include "src/session/session.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGEST_JSON  ((uint64_t)64 * 1000 * 1000) /* bytes; beyond it is our own format */
#define KEPT_SESSIONS 10

/* In the order in which they are looked for. */
enum suffix { SUFFIX_PYISESSION, SUFFIX_PYIREC, SUFFIXES };
static const char *const suffixes[SUFFIXES] = {".pyisession", ".pyirec"};

/* ---- names --------------------------------------------------------------------------------- */

static int append_home(struct pyi_strbuf *path, struct pyi_error *err)
{
    const char *home = pyi_invoker_home();
    if (!home)
        home = getenv("HOME");
    if (home) {
        pyi_strbuf_string(path, home);
        return 0;
    }
    struct passwd entry, *found = NULL;
    char scratch[4096];
    int failure = getpwuid_r(getuid(), &entry, scratch, sizeof(scratch), &found);
    if (!found)
        return pyi_error_os(err, failure ? failure : ENOENT, "cannot find the home directory");
    pyi_strbuf_string(path, found->pw_dir);
    return 0;
}

/* The directory, without a slash behind. */
static int find_directory(struct pyi_strbuf *path, struct pyi_error *err)
{
    const char *data = getenv("XDG_DATA_HOME");
    if (data && data[0]) {
        pyi_strbuf_string(path, data);
    } else {
        int code = append_home(path, err);
        if (code)
            return code;
        pyi_strbuf_string(path, "/.local/share");
    }
    pyi_strbuf_string(path, "/pyinstrument/reports");
    return path->failed ? pyi_error_nomem(err) : 0;
}

static int file_name(struct pyi_strbuf *path, const char *id, enum suffix suffix,
                     struct pyi_error *err)
{
    pyi_strbuf_char(path, '/');
    pyi_strbuf_string(path, id);
    pyi_strbuf_string(path, suffixes[suffix]);
    return path->failed ? pyi_error_nomem(err) : 0;
}

static int make_identifier(const struct pyi_session *session, char id[32], struct pyi_error *err)
{
    double start = floor(pyi_session_number(session, PYI_SESSION_START_TIME).value);
    struct tm parts;
    /* Beyond 2^55 seconds no year fits an int; NaN fails the comparison as well. */
    bool usable = fabs(start) < 36028797018963968.0;
    time_t seconds = usable ? (time_t)start : 0;
    char made[32];
    if (!usable || !localtime_r(&seconds, &parts) ||
        !strftime(made, sizeof(made), "%Y-%m-%dT%H-%M-%S", &parts))
        return pyi_error_set(err, PYI_E_INVALID, "the session's start time is no date");
    memcpy(id, made, sizeof(made));
    return 0;
}

/* Creates `path` and what is missing above it. */
static int make_directories(char *path, struct pyi_error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        int failure = mkdir(path, 0777) == 0 ? 0 : errno;
        struct stat status;
        if (failure && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))) {
            int code = pyi_error_os(err, failure, "cannot create %s", path);
            if (slash)
                *slash = '/';
            return code;
        }
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/* ---- listing ------------------------------------------------------------------------------- */

struct name {
    char *id;
    enum suffix suffix;
};

struct names {
    struct name *items;
    size_t count, capacity;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].id);
    free(names->items);
}

static int by_name(const void *a, const void *b)
{
    const struct name *left = a, *right = b;
    int order = strcmp(left->id, right->id);
    return order ? order : (int)left->suffix - (int)right->suffix;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

/* Length of the identifier a file is named by; 0 when it is no session. */
static size_t id_length(const char *file, enum suffix *suffix)
{
    size_t length = strlen(file);
    for (int i = 0; i < SUFFIXES; i++) {
        size_t size = strlen(suffixes[i]);
        if (length >= size && strcmp(file + length - size, suffixes[i]) == 0) {
            *suffix = (enum suffix)i;
            return length - size;
        }
    }
    return 0;
}

/* The directory's sessions, sorted. */
static int list_names(const char *path, struct names *names, struct pyi_error *err)
{
    PYI_CLEANUP(close_directory) DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? 0 : pyi_error_os(err, errno, "cannot read %s", path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        enum suffix suffix;
        size_t length = id_length(entry->d_name, &suffix);
        if (!length)
            continue;
        if (!pyi_array_reserve(&names->items, &names->capacity, names->count + 1,
                               sizeof(*names->items)))
            return pyi_error_nomem(err);
        char *id = strndup(entry->d_name, length);
        if (!id)
            return pyi_error_nomem(err);
        names->items[names->count++] = (struct name){id, suffix};
    }
    if (names->count)
        qsort(names->items, names->count, sizeof(*names->items), by_name);
    return 0;
}

static int remove_one(const char *directory, const char *id, enum suffix suffix,
                      struct pyi_error *err)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf path = {0};
    pyi_strbuf_string(&path, directory);
    int code = file_name(&path, id, suffix, err);
    if (!code)
        (void)!unlink(path.data);
    return code;
}

/* Deletes the oldest until ten are left. One that cannot be deleted stays. */
static int prune(const char *directory, struct pyi_error *err)
{
    PYI_CLEANUP(names_free) struct names names = {0};
    int code = list_names(directory, &names, err);
    for (size_t i = 0; !code && i + KEPT_SESSIONS < names.count; i++)
        code = remove_one(directory, names.items[i].id, names.items[i].suffix, err);
    return code;
}

/* ---- size ----------------------------------------------------------------------------------- */

static int count_bytes(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    uint64_t *left = context;
    if (length > *left)
        return pyi_error_set(err, PYI_E_LIMIT, "larger than asked for");
    *left -= length;
    return 0;
}

static int choose_suffix(const struct pyi_session *session, enum suffix *out, struct pyi_error *err)
{
    uint64_t left = LARGEST_JSON;
    const struct pyi_sink sink = {count_bytes, &left};
    struct pyi_error reason = {0};
    int code = pyi_session_to_json(session, true, &sink, &reason);
    *out = code ? SUFFIX_PYIREC : SUFFIX_PYISESSION;
    if (code && code != PYI_E_LIMIT && err)
        *err = reason;
    return code == PYI_E_LIMIT ? 0 : code;
}

/* ---- operations ---------------------------------------------------------------------------- */

static int write_session(const struct pyi_session *session, const char *path, enum suffix suffix,
                         struct pyi_error *err)
{
    return suffix == SUFFIX_PYIREC ? pyi_session_save_pyirec(session, path, err)
                                   : pyi_session_save(session, path, err);
}

static int save(const struct pyi_session *session, char id[32], struct pyi_error *err)
{
    char made[32];
    enum suffix suffix = SUFFIX_PYISESSION;
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf folder = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf path = {0};
    int code = make_identifier(session, made, err);
    if (!code)
        code = choose_suffix(session, &suffix, err);
    if (!code)
        code = find_directory(&folder, err);
    if (!code)
        code = make_directories(folder.data, err);
    if (!code)
        code = prune(folder.data, err);
    pyi_strbuf_text(&path, pyi_strbuf_get(&folder));
    if (!code)
        code = file_name(&path, made, suffix, err);
    if (!code)
        code = write_session(session, path.data, suffix, err);
    /* The same identifier names one session only. */
    if (!code)
        code = remove_one(folder.data, made,
                          suffix == SUFFIX_PYIREC ? SUFFIX_PYISESSION : SUFFIX_PYIREC, err);
    if (!code)
        memcpy(id, made, sizeof(made));
    return code;
}

int pyi_store_save(const struct pyi_session *session, char id[32], struct pyi_error *err)
{
    struct pyi_guise guise = pyi_guise_on();
    int code = save(session, id, err);
    pyi_guise_off(&guise);
    return code;
}

int pyi_store_load(const char *id, struct pyi_session **out, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf path = {0};
    int code = find_directory(&path, err);
    size_t directory = path.length;
    for (int i = 0; !code && i < SUFFIXES; i++) {
        struct pyi_error reason = {0};
        path.length = directory;
        code = file_name(&path, id, (enum suffix)i, err);
        if (code)
            break;
        code = pyi_session_load(path.data, out, &reason);
        if (code && reason.os_errno == ENOENT && i + 1 < SUFFIXES) {
            code = 0;
            continue;
        }
        if (code && err)
            *err = reason;
        return code;
    }
    return code;
}

int pyi_store_list(void (*each)(void *context, const char *id, const char *path), void *context,
                   struct pyi_error *err)
{
    PYI_CLEANUP(names_free) struct names names = {0};
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf path = {0};
    int code = find_directory(&path, err);
    if (!code)
        code = list_names(path.data, &names, err);
    size_t directory = path.length;
    for (size_t i = 0; !code && i < names.count; i++) {
        path.length = directory;
        code = file_name(&path, names.items[i].id, names.items[i].suffix, err);
        if (!code)
            each(context, names.items[i].id, path.data);
    }
    return code;
}
