/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pyirec.c - fuzz target: any bytes as a session file of our own, and as what is in its blocks.
 *
 * What loads must be written, load again, and be the same session; the checksums, which no
 * fuzzer finds, are put right for the second half.
 */
#include "src/base/output.h"
#include "src/base/text.h"
#include "src/session/pyirec.h"

#include <stdlib.h>
#include <zlib.h>

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

static void load(const void *bytes, size_t length)
{
    struct pyi_session *session, *again;
    struct pyi_error err = {0};
    if (pyi_session_from_pyirec(bytes, length, &session, &err) != 0) {
        require(err.code < 0 && err.message[0]);
        return;
    }
    struct pyi_strbuf first = {0}, second = {0}, file = {0};
    struct pyi_sink sink = pyi_sink_strbuf(&file);
    spell(session, &first);
    require(pyi_session_to_pyirec(session, &sink, NULL) == 0);
    require(pyi_session_from_pyirec(file.data, file.length, &again, NULL) == 0);
    spell(again, &second);
    require(pyi_text_equal(pyi_strbuf_get(&first), pyi_strbuf_get(&second)));
    pyi_session_free(again);
    pyi_session_free(session);
    pyi_strbuf_deinit(&first);
    pyi_strbuf_deinit(&second);
    pyi_strbuf_deinit(&file);
}

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void append_block(struct pyi_strbuf *file, const void *bytes, size_t length, uint8_t flags)
{
    uint8_t header[PYI_PYIREC_HEADER_SIZE] = {0};
    put_u32(header, (uint32_t)length);
    put_u32(header + 4, (uint32_t)length);
    header[9] = flags;
    uLong sum = crc32(crc32(0, header, 12), bytes, (uInt)length);
    put_u32(header + 12, (uint32_t)sum);
    pyi_strbuf_append(file, header, sizeof(header));
    pyi_strbuf_append(file, bytes, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char metadata[] =
        "{\"start_time\": 1, \"duration\": 1, \"sample_count\": 1, \"start_call_stack\": [], "
        "\"target_description\": \"\", \"cpu_time\": 0, \"attach\": {\"v\": 1, \"processes\": "
        "[{}], \"threads\": [{}]}}";
    load(data, size);
    if (size > PYI_PYIREC_LARGEST)
        return 0;
    struct pyi_strbuf file = {0}, first = {0};
    unsigned char number[PYI_VARINT_LONGEST];
    pyi_strbuf_append(&file, PYI_PYIREC_MAGIC, PYI_PYIREC_MAGIC_SIZE);
    pyi_strbuf_char(&first, PYI_PYIREC_METADATA);
    pyi_strbuf_append(&first, number, pyi_varint_put(number, sizeof(metadata) - 1));
    pyi_strbuf_append(&first, metadata, sizeof(metadata) - 1);
    append_block(&file, first.data, first.length, PYI_PYIREC_COMPLETE);
    append_block(&file, data, size, PYI_PYIREC_COMPLETE | (size % 2 ? PYI_PYIREC_LAST : 0));
    load(file.data, file.length);
    pyi_strbuf_deinit(&first);
    pyi_strbuf_deinit(&file);
    return 0;
}
