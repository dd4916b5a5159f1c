/* SPDX-License-Identifier: BSD-3-Clause */
/* html.c - one page that opens from disk, without network or server.
 *
 * In: a session, the page's program and style. Out: HTML with the data as JSON, which is not
 * executed, and a policy that lets nothing run but the program that was built in. Where scripts are
 * blocked the first rows of the text report show. */
#include "src/render/rows.h"

#include "src/base/error.h"
#include "src/render/html/bundle.h"
#include "src/render/html/payload.h"
#include <math.h>
#include <pyinstrument/diff.h>

enum { RECORDS_AT_MOST = 100000 };

static void put_blob(struct pyi_output *output, const unsigned char *bytes, size_t size)
{
    pyi_output_bytes(output, bytes, size);
}

static void put_head(struct pyi_output *output, const struct pyi_html_payload *payload)
{
    pyi_output_string(output,
                      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                      "script-src ");
    pyi_output_string(output, pyi_html_script_hashes);
    pyi_output_string(output, "; style-src ");
    pyi_output_string(output, pyi_html_style_hashes);
    pyi_output_string(output, "; img-src data: blob:; base-uri 'none'; form-action 'none'\">"
                              "<title>");
    pyi_html_markup_text(output, pyi_strbuf_get(&payload->title));
    pyi_output_string(output, "</title><meta name=\"viewport\" content=\"width=device-width, "
                              "initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><style>");
    put_blob(output, pyi_html_style, pyi_html_style_size);
    pyi_output_string(output, "</style></head>");
}

static void put_page(struct pyi_output *output, const struct pyi_html_payload *payload)
{
    put_head(output, payload);
    pyi_output_string(output, "<body><div id=\"app\"></div><pre id=\"static\">");
    pyi_html_markup_text(output, pyi_strbuf_get(&payload->text));
    pyi_output_string(output, "</pre><script type=\"application/json\" id=\"session\">");
    pyi_html_payload_put(payload, output);
    pyi_output_string(output, "</script><script>");
    put_blob(output, pyi_html_script, pyi_html_script_size);
    pyi_output_string(output, "</script></body></html>");
}

static enum pyi_html_source_choice choice_of(const struct pyi_render_options *options)
{
    if (!pyi_option_true(options, "source") || pyi_option_is(options, "source", "none"))
        return PYI_HTML_SOURCE_NONE;
    return pyi_option_is(options, "source", "all") ? PYI_HTML_SOURCE_ALL : PYI_HTML_SOURCE_APP;
}

/* How the page compares at first: as the text report would. */
static bool is_by_share(const struct pyi_session *session, const struct pyi_render_options *options)
{
    const struct pyi_session *base = pyi_option_base(options);
    if (!base || pyi_option_is(options, "diff", "time"))
        return false;
    return pyi_option_is(options, "diff", "share") ||
           pyi_diff_default_mode(base, session) == PYI_DIFF_SHARE;
}

static void cleanup_session(struct pyi_session **session)
{
    pyi_session_free(*session);
}

/* What upstream does to sessions of more records than its page can show, here on demand only. The
 * result is NULL when nothing was to be done. */
static int resample(struct pyi_session *session, const struct pyi_render_options *options,
                    struct pyi_session **out, struct pyi_strbuf *words, struct pyi_error *err)
{
    double interval;
    const uint64_t count = pyi_session_record_count(session);
    if (count <= RECORDS_AT_MOST || !pyi_option_number(options, "resample_interval", &interval) ||
        !(interval > 0))
        return 0;
    PYI_CLEANUP(cleanup_session) struct pyi_session *result = NULL;
    for (;; interval *= 2) {
        pyi_session_free(result);
        result = NULL;
        int code = pyi_session_resample(session, interval, &result, err);
        if (code)
            return code;
        if (pyi_session_record_count(result) <= RECORDS_AT_MOST || !isfinite(interval))
            break;
    }
    pyi_strbuf_format(words, "resampled from %llu to %llu samples, one in %g s, as asked",
                      (unsigned long long)count,
                      (unsigned long long)pyi_session_record_count(result), interval);
    *out = result;
    result = NULL;
    return words->failed ? pyi_error_nomem(err) : 0;
}

static void cleanup_payload(struct pyi_html_payload *payload)
{
    pyi_html_payload_deinit(payload);
}

static int render_html(struct pyi_session *session, const struct pyi_render_options *options,
                       const struct pyi_sink *sink, struct pyi_error *err)
{
    PYI_CLEANUP(cleanup_session) struct pyi_session *fewer = NULL;
    PYI_CLEANUP(pyi_strbuf_deinit) struct pyi_strbuf words = {0};
    PYI_CLEANUP(cleanup_payload) struct pyi_html_payload payload = {.title = {0}};
    struct pyi_output output;
    int code = resample(session, options, &fewer, &words, err);
    if (!code)
        code = pyi_html_payload_init(&payload, fewer ? fewer : session, pyi_option_base(options),
                                     choice_of(options), err);
    if (code)
        return code;
    payload.resampled = fewer ? pyi_strbuf_get(&words).data : NULL;
    payload.share = is_by_share(session, options);
    pyi_output_init(&output, sink);
    put_page(&output, &payload);
    code = pyi_output_finish(&output, err);
    bool failed = fewer && pyi_session_paths_failed(fewer);
    return !code && failed ? pyi_error_nomem(err) : code;
}

static int check_html(const struct pyi_render_options *options, struct pyi_error *err)
{
    static const char *const choices[] = {"none", "app", "all"};
    bool fine = !pyi_option_text(options, "source");
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        fine = fine || pyi_option_is(options, "source", choices[i]);
    return fine ? 0 : pyi_error_set(err, PYI_E_INVALID, "source must be none, app or all");
}

const struct pyi_renderer pyi_renderer_html = {
    .name = "html",
    .class_name = "HTMLRenderer",
    .extensions = (const char *const[]){".html", ".htm", NULL},
    .options = (const char *const[]){"show_all", "timeline", "resample_interval", "source", NULL},
    .flags = PYI_RENDERER_DIFF,
    .check = check_html,
    .render = render_html,
};
