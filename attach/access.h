/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * access.h - why the kernel refuses to let us read a process.
 *
 * The detection order is part of the contract: user, capability, user namespace, dumpable,
 * Yama, container, seccomp, security module. Every check is one read, and what is found is
 * data: a slug and its evidence.
 */
#ifndef PYI_ATTACH_ACCESS_H
#define PYI_ATTACH_ACCESS_H

#include <pyinstrument/error.h>
#include <pyinstrument/types.h>
#include <sys/types.h>

/** Where facts are read, replaceable so that a test can offer a machine of its own. */
struct pyi_access_places {
    const char *proc; /* folder that stands for /proc */
    const char *root; /* prefix of /run/.containerenv and /.dockerenv */
    const char *yama; /* file that holds kernel.yama.ptrace_scope */
    bool kubernetes;  /* KUBERNETES_SERVICE_HOST is set */
};
/** The places of this machine. */
struct pyi_access_places pyi_access_here(void);

enum pyi_access_cause {
    PYI_ACCESS_UNKNOWN,
    PYI_ACCESS_UID,
    PYI_ACCESS_YAMA,
    PYI_ACCESS_YAMA_ADMIN,
    PYI_ACCESS_YAMA_OFF,
    PYI_ACCESS_CONTAINER_CAP,
    PYI_ACCESS_CONTAINER_SECCOMP,
    PYI_ACCESS_LSM,
    PYI_ACCESS_USERNS,
    PYI_ACCESS_NOT_DUMPABLE,
    PYI_ACCESS_CAPABILITIES,
};

struct pyi_access {
    enum pyi_access_cause cause;
    const char *slug; /* static; "" when unknown */
    char why[512];    /* evidence, safe to print; "" when unknown */
};

/** Works out why reading `pid` was refused. Never fails: the cause may be unknown. */
void pyi_access_explain(const struct pyi_access_places *places, pid_t pid, struct pyi_access *out);

/** Fills `err` with a PERM error for a refusal of `what` ("process_vm_readv", "/proc/PID/maps");
 *  returns its code. GONE when the process has gone meanwhile. */
int pyi_access_error(const struct pyi_access_places *places, pid_t pid, const char *what,
                     int os_errno, struct pyi_error *err);

/** True when marks of a container are seen. */
bool pyi_access_in_container(const struct pyi_access_places *places);

#endif
