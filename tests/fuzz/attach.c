/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attach.c - fuzz target: any bytes as the value of a session's `attach` key.
 *
 * The session around it has four records of two threads. What is taken must point to records that
 * exist, be written, come back to the same bytes, and be fit for every report, also without the
 * idle threads.
 */
#include "src/base/output.h"
#include "src/base/text.h"
#include <pyinstrument/frame.h>
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS 4
static const char before[] =
    "{\"start_time\": 1700000000.25, \"duration\": 0.4, \"min_interval\": 0.001,"
    "\"max_interval\": 0.001, \"sample_count\": 4, \"start_call_stack\": [], \"cpu_time\": 0.1,"
    "\"target_description\": \"x\", \"sys_path\": [\"/p\"], \"sys_prefixes\": [\"/usr\"],"
    "\"frame_records\": ["
    "[[\"A\\u0000<thread>\\u00001\", \"f\\u0000/p/a.py\\u00001\\u0001l2\"], 0.1],"
    "[[\"A\\u0000<thread>\\u00001\", \"f\\u0000/p/a.py\\u00001\\u0001l3\"], 0.1],"
    "[[\"B\\u0000<thread>\\u00002\", \"g\\u0000/p/b.py\\u00001\\u0001l2\"], 0.1],"
    "[[\"B\\u0000<thread>\\u00002\"], 0.1]], \"attach\": ";

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

static void is_bounded(const struct pyi_attach *attach)
{
    for (size_t i = 0; attach && i < attach->thread_count; i++) {
        const struct pyi_attach_thread *thread = &attach->threads[i];
        require(thread->first <= RECORDS && thread->records <= RECORDS - thread->first);
        require(!thread->process || thread->process < attach->process_count);
    }
}

static void report(struct pyi_session *session)
{
    const struct pyi_renderer *renderer;
    for (size_t i = 0; (renderer = pyi_renderer_at(i)); i++) {
        struct pyi_strbuf out = {0};
        struct pyi_error err = {0};
        struct pyi_sink sink = pyi_sink_strbuf(&out);
        int code = pyi_render(renderer, session, NULL, &sink, &err);
        require(code == 0 || (code < 0 && err.code == code && err.message[0]));
        pyi_strbuf_deinit(&out);
    }
    struct pyi_tree *tree;
    if (pyi_tree_build(session, PYI_TREE_WITHOUT_IDLE, &tree, NULL) == 0) {
        require(pyi_tree_check(tree, NULL) == 0);
        pyi_tree_free(tree);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyi_strbuf text = {0};
    struct pyi_session *session, *both;
    pyi_strbuf_string(&text, before);
    pyi_strbuf_append(&text, data, size);
    pyi_strbuf_char(&text, '}');
    int code = pyi_session_from_json(text.data, text.length, &session, NULL);
    pyi_strbuf_deinit(&text);
    if (code)
        return 0;
    if (pyi_session_record_count(session) == RECORDS)
        is_bounded(pyi_session_attach(session));
    comes_back(session);
    report(session);
    if (pyi_session_combine(session, session, &both, NULL) == 0) {
        comes_back(both);
        pyi_session_free(both);
    }
    pyi_session_free(session);
    return 0;
}
