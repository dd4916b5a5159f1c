/* SPDX-License-Identifier: BSD-3-Clause */
/* invoker.c - the user behind sudo, as its environment names him.
 *
 * In: SUDO_UID and SUDO_GID, and only when we are root: anybody else may say there what he likes.
 * Out: files created with that user's rights and in his name, so that what a report made with sudo
 * leaves behind can be read and deleted without. The file system's user id is a thread's own. */
#include "src/base/invoker.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

static struct {
    bool known;
    uid_t uid;
    gid_t gid;
    char *home;
} invoker;

static bool read_id(const char *name, unsigned *out)
{
    const char *text = getenv(name);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *out = (unsigned)value;
    return *end == '\0' && errno == 0 && value < (uid_t)-1;
}

void pyi_invoker_adopt(void)
{
    unsigned uid, gid;
    struct passwd entry, *found = NULL;
    char scratch[4096];
    if (geteuid() != 0 || getuid() != 0 || !read_id("SUDO_UID", &uid) ||
        !read_id("SUDO_GID", &gid) || uid == 0)
        return;
    invoker.known = true;
    invoker.uid = uid;
    invoker.gid = gid;
    if (getpwuid_r(uid, &entry, scratch, sizeof(scratch), &found) == 0 && found && !invoker.home)
        invoker.home = strdup(found->pw_dir);
}

const char *pyi_invoker_home(void)
{
    return invoker.known ? invoker.home : NULL;
}

struct pyi_guise pyi_guise_on(void)
{
    struct pyi_guise guise = {.worn = invoker.known};
    if (guise.worn) {
        /* The group first: afterwards we may not. */
        guise.gid = (gid_t)setfsgid(invoker.gid);
        guise.uid = (uid_t)setfsuid(invoker.uid);
    }
    return guise;
}

void pyi_guise_off(const struct pyi_guise *guise)
{
    if (!guise->worn)
        return;
    int failure = errno;
    setfsuid(guise->uid);
    setfsgid(guise->gid);
    errno = failure;
}

void pyi_guise_give(int fd)
{
    if (invoker.known)
        (void)!fchown(fd, invoker.uid, invoker.gid);
}
