/* SPDX-License-Identifier: BSD-3-Clause */
/* options.c - the map of render options: setting with dotted keys, reading with Python's truth.
 *
 * In: KEY and VALUE texts as the command line's -p has them. Out: values for renderers. Values
 * are kept as cJSON trees, which no header shows; they are parsed by our own reader because it
 * takes exactly what Python's json module takes. */
#include "src/render/options.h"

#include "src/base/error.h"
#include "src/base/json_reader.h"
#include "src/base/text.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

struct pyi_render_options {
    cJSON *map;
    struct pyi_session *base; /* borrowed */
};

enum { NESTING = 64 };

int pyi_render_options_new(struct pyi_render_options **out, struct pyi_error *err)
{
    struct pyi_render_options *options = calloc(1, sizeof(*options));
    if (options)
        options->map = cJSON_CreateObject();
    if (!options || !options->map) {
        free(options);
        return pyi_error_nomem(err);
    }
    *out = options;
    return 0;
}

void pyi_render_options_free(struct pyi_render_options *options)
{
    if (!options)
        return;
    cJSON_Delete(options->map);
    free(options);
}

void pyi_render_options_set_base(struct pyi_render_options *options, struct pyi_session *base)
{
    options->base = base;
}

struct pyi_session *pyi_option_base(const struct pyi_render_options *options)
{
    return options ? options->base : NULL;
}

/* ---- values ---- */

static const cJSON *find(const struct pyi_render_options *options, const char *key)
{
    return options ? cJSON_GetObjectItemCaseSensitive(options->map, key) : NULL;
}

/* The last of equal keys wins, at the place of the first. */
static bool put(cJSON *map, const char *key, cJSON *value)
{
    cJSON *old = cJSON_GetObjectItemCaseSensitive(map, key);
    if (!old)
        return cJSON_AddItemToObject(map, key, value);
    return cJSON_ReplaceItemInObjectCaseSensitive(map, key, value);
}

static cJSON *value_of(const struct pyi_json_reader *reader, enum pyi_json_token token)
{
    switch (token) {
    case PYI_JSON_OBJECT_BEGIN:
        return cJSON_CreateObject();
    case PYI_JSON_ARRAY_BEGIN:
        return cJSON_CreateArray();
    case PYI_JSON_STRING:
        return cJSON_CreateString(pyi_json_text(reader).data);
    case PYI_JSON_NUMBER:
        return cJSON_CreateNumber(pyi_json_number(reader).value);
    case PYI_JSON_TRUE:
        return cJSON_CreateTrue();
    case PYI_JSON_FALSE:
        return cJSON_CreateFalse();
    default:
        return cJSON_CreateNull();
    }
}

struct parser {
    struct pyi_json_reader *reader;
    cJSON *open[NESTING]; /* containers being filled, outermost first */
    size_t depth;
    cJSON *top;
    char *key;
};

static int take_key(struct parser *parser, struct pyi_error *err)
{
    free(parser->key);
    parser->key = strdup(pyi_json_text(parser->reader).data);
    return parser->key ? 0 : pyi_error_nomem(err);
}

static int take_value(struct parser *parser, enum pyi_json_token token, struct pyi_error *err)
{
    bool opens = token == PYI_JSON_OBJECT_BEGIN || token == PYI_JSON_ARRAY_BEGIN;
    if (opens && parser->depth == NESTING)
        return pyi_error_set(err, PYI_E_LIMIT, "option value is nested too deeply");
    cJSON *value = value_of(parser->reader, token);
    if (!value)
        return pyi_error_nomem(err);
    cJSON *into = parser->depth ? parser->open[parser->depth - 1] : NULL;
    bool placed = true;
    if (!into)
        parser->top = value;
    else if (cJSON_IsObject(into))
        placed = put(into, parser->key, value);
    else
        placed = cJSON_AddItemToArray(into, value);
    if (!placed) {
        cJSON_Delete(value);
        return pyi_error_nomem(err);
    }
    if (opens)
        parser->open[parser->depth++] = value;
    return 0;
}

static int parse_tokens(struct parser *parser, struct pyi_error *err)
{
    for (;;) {
        enum pyi_json_token token;
        int code = pyi_json_next(parser->reader, &token, err);
        if (code || token == PYI_JSON_END)
            return code;
        if (token == PYI_JSON_KEY)
            code = take_key(parser, err);
        else if (token == PYI_JSON_OBJECT_END || token == PYI_JSON_ARRAY_END)
            parser->depth--;
        else
            code = take_value(parser, token, err);
        if (code)
            return code;
    }
}

/* FORMAT: the text is not JSON. */
static int parse(struct pyi_text text, cJSON **out, struct pyi_error *err)
{
    struct parser parser = {0};
    int code =
        pyi_json_reader_open_memory(text.data, text.length, "option value", &parser.reader, err);
    if (!code)
        code = parse_tokens(&parser, err);
    pyi_json_reader_close(parser.reader);
    free(parser.key);
    if (!code && !parser.top)
        code = pyi_error_set(err, PYI_E_FORMAT, "option value is empty");
    if (code)
        cJSON_Delete(parser.top);
    else
        *out = parser.top;
    return code;
}

/* ---- setting ---- */

/* Takes `value`, which may be NULL after a failed allocation. */
static int set(struct pyi_render_options *options, const char *key, cJSON *value,
               struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_free) char *path = value ? strdup(key) : NULL;
    if (!path) {
        cJSON_Delete(value);
        return pyi_error_nomem(err);
    }
    cJSON *map = options->map;
    char *part = path;
    for (char *dot = strchr(part, '.'); dot; dot = strchr(part, '.')) {
        *dot = '\0';
        map = cJSON_GetObjectItemCaseSensitive(map, part);
        if (!cJSON_IsObject(map)) {
            char name[64];
            cJSON_Delete(value);
            return pyi_error_set(err, PYI_E_INVALID, "option %s: there is no map '%s'", key,
                                 pyi_text_safe(pyi_text(part), name, sizeof(name)));
        }
        part = dot + 1;
    }
    if (put(map, part, value))
        return 0;
    cJSON_Delete(value);
    return pyi_error_nomem(err);
}

static cJSON *raw_text(const char *text)
{
    struct pyi_strbuf buffer = {0};
    pyi_strbuf_os_bytes(&buffer, text, strlen(text));
    cJSON *value = buffer.failed ? NULL : cJSON_CreateString(pyi_strbuf_get(&buffer).data);
    pyi_strbuf_deinit(&buffer);
    return value;
}

int pyi_render_options_set(struct pyi_render_options *options, const char *key, const char *value,
                           struct pyi_error *err)
{
    if (!value)
        return set(options, key, cJSON_CreateTrue(), err);
    cJSON *parsed = NULL;
    int code = parse(pyi_text(value), &parsed, err);
    if (code == PYI_E_FORMAT)
        parsed = raw_text(value);
    else if (code)
        return code;
    return set(options, key, parsed, err);
}

int pyi_render_options_set_text(struct pyi_render_options *options, const char *key,
                                const char *value, struct pyi_error *err)
{
    return set(options, key, value ? raw_text(value) : cJSON_CreateNull(), err);
}

/* ---- reading ---- */

static bool is_true(const cJSON *value)
{
    if (!value || cJSON_IsNull(value) || cJSON_IsFalse(value))
        return false;
    if (cJSON_IsNumber(value))
        return value->valuedouble != 0;
    if (cJSON_IsString(value))
        return value->valuestring[0] != '\0';
    return cJSON_IsTrue(value) || value->child;
}

bool pyi_option_true(const struct pyi_render_options *options, const char *key)
{
    return is_true(find(options, key));
}

bool pyi_option_is(const struct pyi_render_options *options, const char *key, const char *text)
{
    const char *value = pyi_option_text(options, key);
    return value && !strcmp(value, text);
}

bool pyi_option_present(const struct pyi_render_options *options, const char *key)
{
    return find(options, key) != NULL;
}

const char *pyi_option_text(const struct pyi_render_options *options, const char *key)
{
    const cJSON *value = find(options, key);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static bool number_of(const cJSON *value, double *out)
{
    if (!cJSON_IsNumber(value) && !cJSON_IsBool(value))
        return false;
    *out = cJSON_IsNumber(value) ? value->valuedouble : cJSON_IsTrue(value);
    return true;
}

bool pyi_option_number(const struct pyi_render_options *options, const char *key, double *out)
{
    return number_of(find(options, key), out);
}

const char *pyi_option_name(const struct pyi_render_options *options, size_t index)
{
    const cJSON *item = options ? options->map->child : NULL;
    while (item && index--)
        item = item->next;
    return item ? item->string : NULL;
}

static int pattern_of(const cJSON *map, const char *key, struct pyi_text *text, bool *present,
                      struct pyi_error *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(map, key);
    if (!value || cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsString(value))
        return pyi_error_set(err, PYI_E_FORMAT, "processor option %s must be a text", key);
    *text = pyi_text(value->valuestring);
    *present = true;
    return 0;
}

int pyi_option_processors(const struct pyi_render_options *options,
                          struct pyi_processor_options *out, struct pyi_error *err)
{
    struct pyi_processor_options result;
    pyi_processor_options_init(&result);
    result.show_all = pyi_option_true(options, "show_all");
    result.timeline = pyi_option_true(options, "timeline");
    const cJSON *map = find(options, "processor_options");
    if (is_true(map)) {
        if (!cJSON_IsObject(map))
            return pyi_error_set(err, PYI_E_FORMAT, "processor_options must be a map");
        const cJSON *threshold = cJSON_GetObjectItemCaseSensitive(map, "filter_threshold");
        if (threshold && !number_of(threshold, &result.filter_threshold))
            return pyi_error_set(err, PYI_E_FORMAT,
                                 "processor option filter_threshold must be a number");
        int code = pattern_of(map, "hide_regex", &result.hide_regex, &result.has_hide_regex, err);
        if (!code)
            code = pattern_of(map, "show_regex", &result.show_regex, &result.has_show_regex, err);
        if (code)
            return code;
    }
    *out = result;
    return 0;
}
