/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.c - why the kernel refuses to let us read a process.
 *
 * Comes in: a process that was refused. Goes out: one cause with its evidence. The rules are the
 * kernel's ptrace access check: all three user ids equal ours or CAP_SYS_PTRACE in the target's
 * user namespace; the target dumpable; its capabilities a subset of ours; then Yama and the
 * security modules. What to do about it is not decided here.
 */
#include "attach/access.h"
#include "attach/process.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAP_SYS_PTRACE_BIT 19

struct facts {
    const struct pyi_access_places *places;
    pid_t pid;
    struct pyi_process_status ours, theirs;
    bool container, capable, same_user;
};

struct pyi_access_places pyi_access_here(void)
{
    return (struct pyi_access_places){.proc = PYI_PROC,
                                      .root = "",
                                      .yama = "/proc/sys/kernel/yama/ptrace_scope",
                                      .kubernetes = getenv("KUBERNETES_SERVICE_HOST") != NULL};
}

static bool exists(const char *root, const char *path)
{
    char full[PATH_MAX];
    snprintf(full, sizeof(full), "%s%s", root, path);
    return access(full, F_OK) == 0;
}

bool pyi_access_in_container(const struct pyi_access_places *places)
{
    if (places->kubernetes || exists(places->root, "/run/.containerenv") ||
        exists(places->root, "/.dockerenv"))
        return true;
    static const char *const marks[] = {"docker", "kubepods", "libpod", "containerd", "lxc"};
    struct pyi_strbuf text = {0};
    bool found = false;
    if (pyi_process_read(places->proc, 0, "cgroup", 65536, &text, NULL) == 0 && text.length)
        for (size_t i = 0; i < sizeof(marks) / sizeof(*marks) && !found; i++)
            found = strstr(text.data, marks[i]) != NULL;
    pyi_strbuf_deinit(&text);
    return found;
}

/* ---- single facts ---- */

/* "www" (33) */
static const char *user_name(uid_t uid, char out[80])
{
    struct passwd entry, *found = NULL;
    char buffer[4096], name[48];
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found) {
        struct pyi_strbuf text = {0};
        pyi_strbuf_os_bytes(&text, found->pw_name, strlen(found->pw_name));
        pyi_text_safe(pyi_strbuf_get(&text), name, sizeof(name));
        pyi_strbuf_deinit(&text);
        snprintf(out, 80, "\"%s\" (%u)", name, (unsigned)uid);
    } else {
        snprintf(out, 80, "%u", (unsigned)uid);
    }
    return out;
}

/* Whether /proc/A/NAME and ours differ; -1 when one cannot be read. `link`: compare targets. */
static int differs_from_ours(const struct facts *facts, const char *name, bool link)
{
    struct pyi_strbuf theirs = {0}, ours = {0};
    int (*get)(const char *, pid_t, const char *, struct pyi_strbuf *, struct pyi_error *) =
        pyi_process_link;
    bool known;
    if (link)
        known = get(facts->places->proc, facts->pid, name, &theirs, NULL) == 0 &&
                get(facts->places->proc, 0, name, &ours, NULL) == 0;
    else
        known =
            pyi_process_read(facts->places->proc, facts->pid, name, 65536, &theirs, NULL) == 0 &&
            pyi_process_read(facts->places->proc, 0, name, 65536, &ours, NULL) == 0;
    int result = known ? !pyi_text_equal(pyi_strbuf_get(&theirs), pyi_strbuf_get(&ours)) : -1;
    pyi_strbuf_deinit(&theirs);
    pyi_strbuf_deinit(&ours);
    return result;
}

/* The link needs the very right that was refused; the map of user ids is open to all. */
static bool other_user_namespace(const struct facts *facts)
{
    int differs = differs_from_ours(facts, "ns/user", true);
    if (differs < 0)
        differs = differs_from_ours(facts, "uid_map", false);
    return differs > 0;
}

/* The kernel gives the files below /proc/PID of a process that is not dumpable to root; the
 * folder itself stays with the process's user. */
static bool not_dumpable(const struct facts *facts)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%d/status", facts->places->proc, (int)facts->pid);
    return stat(path, &status) == 0 && status.st_uid != facts->theirs.effective_uid;
}

static int yama_level(const struct facts *facts)
{
    PYI_CLEANUP(pyi_cleanup_fclose) FILE *file = fopen(facts->places->yama, "re");
    int level = 0;
    if (!file || fscanf(file, "%d", &level) != 1)
        return 0;
    return level;
}

/* A label that is not "unconfined" may deny it. */
static bool security_label(const struct facts *facts, char out[128])
{
    struct pyi_strbuf raw = {0}, text = {0};
    bool confined = false;
    if (pyi_process_read(facts->places->proc, 0, "attr/current", 4096, &raw, NULL) == 0) {
        size_t length = raw.length;
        while (length && (raw.data[length - 1] == '\n' || raw.data[length - 1] == 0))
            length--;
        pyi_strbuf_os_bytes(&text, raw.data, length);
        confined = length > 0 && strncmp(raw.data, "unconfined", 10) != 0 &&
                   !strstr(raw.data, "unconfined_t") && strncmp(raw.data, "kernel", 6) != 0;
        pyi_text_safe(pyi_strbuf_get(&text), out, 128);
    }
    pyi_strbuf_deinit(&raw);
    pyi_strbuf_deinit(&text);
    return confined;
}

/* ---- causes, in the order of the kernel's own check ---- */

static void found(struct pyi_access *out, enum pyi_access_cause cause, const char *slug)
{
    out->cause = cause;
    out->slug = slug;
}

static bool explain_user(const struct facts *facts, struct pyi_access *out)
{
    if (facts->same_user || facts->capable)
        return false;
    if (facts->ours.effective_uid == 0 && facts->container) {
        found(out, PYI_ACCESS_CONTAINER_CAP, "container-cap");
        snprintf(out->why, sizeof(out->why), "this container has no CAP_SYS_PTRACE");
        return true;
    }
    char theirs[80], ours[80];
    found(out, PYI_ACCESS_UID, "ptrace-uid");
    snprintf(out->why, sizeof(out->why), "it belongs to user %s, you are %s%s",
             user_name(facts->theirs.effective_uid, theirs),
             user_name(facts->ours.effective_uid, ours),
             facts->ours.effective_uid == 0 ? " without CAP_SYS_PTRACE" : "");
    return true;
}

static bool explain_target(const struct facts *facts, struct pyi_access *out)
{
    if (other_user_namespace(facts)) {
        found(out, PYI_ACCESS_USERNS, "userns");
        snprintf(out->why, sizeof(out->why), "the process lives in another user namespace");
        return true;
    }
    if (facts->capable)
        return false;
    if (not_dumpable(facts)) {
        found(out, PYI_ACCESS_NOT_DUMPABLE, "not-dumpable");
        snprintf(out->why, sizeof(out->why),
                 "the process is not dumpable (set-user-ID program or it asked for this)");
        return true;
    }
    if (facts->theirs.cap_permitted & ~facts->ours.cap_permitted) {
        if (facts->container) {
            found(out, PYI_ACCESS_CONTAINER_CAP, "container-cap");
            snprintf(out->why, sizeof(out->why), "this container has no CAP_SYS_PTRACE");
        } else {
            found(out, PYI_ACCESS_CAPABILITIES, "ptrace-caps");
            snprintf(out->why, sizeof(out->why),
                     "it has capabilities that you lack, and you have no CAP_SYS_PTRACE");
        }
        return true;
    }
    return false;
}

static bool explain_yama(const struct facts *facts, struct pyi_access *out)
{
    int level = yama_level(facts);
    if (level >= 3) {
        found(out, PYI_ACCESS_YAMA_OFF, "ptrace-yama-off");
        snprintf(out->why, sizeof(out->why),
                 "kernel.yama.ptrace_scope is %d: nobody may attach until reboot", level);
    } else if (level == 2 && !facts->capable) {
        found(out, PYI_ACCESS_YAMA_ADMIN, "ptrace-yama-admin");
        snprintf(out->why, sizeof(out->why),
                 "kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may attach");
    } else if (level == 1 && !facts->capable) {
        found(out, PYI_ACCESS_YAMA, "ptrace-yama");
        snprintf(out->why, sizeof(out->why),
                 "kernel.yama.ptrace_scope is 1: only a parent may attach, and you are not its "
                 "parent");
    } else {
        return false;
    }
    return true;
}

static void explain_rest(const struct facts *facts, struct pyi_access *out)
{
    char label[128];
    if (facts->ours.seccomp == 2) {
        found(out, PYI_ACCESS_CONTAINER_SECCOMP, "container-seccomp");
        snprintf(out->why, sizeof(out->why), "%s seccomp profile refuses process_vm_readv",
                 facts->container ? "the container's" : "our own");
    } else if (security_label(facts, label)) {
        found(out, PYI_ACCESS_LSM, "lsm");
        snprintf(out->why, sizeof(out->why), "the security label \"%s\" we run under denies ptrace",
                 label);
    }
}

void pyi_access_explain(const struct pyi_access_places *places, pid_t pid, struct pyi_access *out)
{
    struct facts facts = {.places = places, .pid = pid};
    *out = (struct pyi_access){.cause = PYI_ACCESS_UNKNOWN, .slug = ""};
    if (pyi_process_status(places->proc, pid, &facts.theirs, NULL) < 0 ||
        pyi_process_status(places->proc, 0, &facts.ours, NULL) < 0)
        return;
    uid_t us = facts.ours.effective_uid;
    facts.same_user =
        facts.theirs.uid == us && facts.theirs.effective_uid == us && facts.theirs.saved_uid == us;
    facts.capable = facts.ours.cap_effective >> CAP_SYS_PTRACE_BIT & 1;
    facts.container = pyi_access_in_container(places);
    if (explain_user(&facts, out) || explain_target(&facts, out) || explain_yama(&facts, out))
        return;
    explain_rest(&facts, out);
}

int pyi_access_error(const struct pyi_access_places *places, pid_t pid, const char *what,
                     int os_errno, struct pyi_error *err)
{
    struct pyi_process_status status;
    int code = pyi_process_status(places->proc, pid, &status, err);
    if (code < 0)
        return code;
    struct pyi_access access;
    pyi_access_explain(places, pid, &access);
    if (access.cause == PYI_ACCESS_UID) {
        pyi_error_set(err, PYI_E_PERM, "cannot read process %d: %s", (int)pid, access.why);
        access.why[0] = 0;
    } else {
        char reason[64];
        pyi_error_set(err, PYI_E_PERM, "cannot read memory of process %d (%s, uid %u): %s",
                      (int)pid, status.name, (unsigned)status.effective_uid,
                      strerror_r(os_errno, reason, sizeof(reason)));
    }
    if (err)
        err->os_errno = os_errno;
    if (access.slug[0])
        pyi_error_slug(err, access.slug);
    if (access.why[0])
        pyi_error_why(err, "%s", access.why);
    pyi_error_note(err, "refused: %s", what);
    return PYI_E_PERM;
}
