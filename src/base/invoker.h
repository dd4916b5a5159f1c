/* SPDX-License-Identifier: BSD-3-Clause */
/* invoker.h - whose files we write: under sudo not root's but those of the user who asked. */
#ifndef PYI_BASE_INVOKER_H
#define PYI_BASE_INVOKER_H

#include <stdbool.h>
#include <sys/types.h>

/* Called once by a program (a library does not decide this): from now on files belong to the user
 * who ran sudo. Without effect when we are not root or not under sudo. */
void pyi_invoker_adopt(void);
/* Home directory of that user, NULL when there is none; borrowed for good. */
const char *pyi_invoker_home(void);

/* The calling thread acts on files as that user, until the guise is taken off again. */
struct pyi_guise {
    bool worn;
    uid_t uid; /* before */
    gid_t gid;
};
struct pyi_guise pyi_guise_on(void);
void pyi_guise_off(const struct pyi_guise *guise);
/* Gives a file to that user that had to be created as root. */
void pyi_guise_give(int fd);

#endif
