/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - fuzz target: any bytes as a session file.
 *
 * What loads must also be written, load again, and be written to the same bytes; every operation
 * on it must succeed or refuse.
 */
#include "src/base/output.h"
#include "src/base/text.h"
#include "src/session/stacks.h"
#include <pyinstrument/session.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void spell(const struct pyi_session *session, struct pyi_strbuf *out)
{
    struct pyi_sink sink = pyi_sink_strbuf(out);
    require(pyi_session_to_json(session, true, &sink, NULL) == 0);
}

static void comes_back(const struct pyi_session *session)
{
    struct pyi_strbuf first = {0}, second = {0};
    struct pyi_session *again;
    spell(session, &first);
    require(pyi_session_from_json(first.data, first.length, &again, NULL) == 0);
    spell(again, &second);
    require(pyi_text_equal(pyi_strbuf_get(&first), pyi_strbuf_get(&second)));
    pyi_session_free(again);
    pyi_strbuf_deinit(&first);
    pyi_strbuf_deinit(&second);
}

static void can_be_worked_on(struct pyi_session *session)
{
    struct pyi_session *made;
    if (pyi_session_combine(session, session, &made, NULL) == 0) {
        require(pyi_session_record_count(made) == 2 * pyi_session_record_count(session));
        pyi_session_free(made);
    }
    if (pyi_session_resample(session, 0.01, &made, NULL) == 0) {
        require(pyi_session_record_count(made) <= pyi_session_record_count(session));
        pyi_session_free(made);
    }
    const struct pyi_stacks *stacks = pyi_session_stacks(session);
    for (uint32_t i = 0; i < stacks->identifiers.count; i++) {
        struct pyi_text path;
        if (pyi_text_part(pyi_stacks_identifier(stacks, i), '\0', 1, &path))
            (void)pyi_session_shorten_path(session, path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_session *session;
    struct pyi_error err;
    if (pyi_session_from_json((const char *)data, size, &session, &err) != 0) {
        require(err.code < 0 && err.message[0]);
        return 0;
    }
    comes_back(session);
    can_be_worked_on(session);
    pyi_session_free(session);
    return 0;
}
