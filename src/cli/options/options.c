/* SPDX-License-Identifier: BSD-3-Clause */
/* Parser of the command line, driven by option_table.inc.
 *
 * Rules kept from upstream: options end at the first word that is none, at "--", or at -m and -c,
 * which take the rest; long names may be shortened as long as it is clear which one is meant,
 * and upstream's names are tried before ours, so that no shortening of theirs ever changes its
 * meaning; switches of one letter can be written together. getopt_long() cannot do the second. */
#include "src/cli/options/options.h"
#include "src/base/error.h"
#include "src/base/number.h"
#include "src/base/text.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct pyi_option table[PYI_OPTIONS] = {
#include "src/cli/options/option_table.inc"
};

static const char *const group_titles[PYI_GROUPS] = {
    [PYI_GROUP_PROFILE] = "What to profile", [PYI_GROUP_SAMPLING] = "Sampling",
    [PYI_GROUP_OUTPUT] = "Output",           [PYI_GROUP_FRAMES] = "Frames",
    [PYI_GROUP_DISPLAY] = "Display",         [PYI_GROUP_HELP] = "Help",
};

const struct pyi_option *pyi_option_at(enum pyi_option_id id)
{
    return &table[id];
}

const char *pyi_option_group_title(enum pyi_option_group group)
{
    return group_titles[group];
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Splits "1.5ms" before its unit and reads the number as Python's float() does. */
static bool number_and_unit(const char *text, double *value, const char **unit)
{
    size_t length = strlen(text);
    size_t end = length;
    double parsed;
    /* The longest beginning that is a number: "1e3" is one, "1min" is not beyond "1". */
    while (end > 0 && !pyi_number_parse_float((struct pyi_text){text, end}, &parsed))
        end--;
    if (end == 0 || !isfinite(parsed))
        return false;
    while (text[end] == ' ')
        end++;
    *value = parsed;
    *unit = text + end;
    return true;
}

struct unit {
    const char *name;
    double factor;
};

static bool scaled(const char *text, const struct unit *units, double *out)
{
    double value;
    const char *unit;
    if (!number_and_unit(text, &value, &unit))
        return false;
    for (const struct unit *row = units; row->name; row++) {
        if (strcasecmp(unit, row->name) == 0) {
            *out = value * row->factor;
            return isfinite(*out);
        }
    }
    return false;
}

bool pyi_seconds_parse(const char *text, double *seconds)
{
    static const struct unit units[] = {
        {"", 1},      {"s", 1},  {"ms", 1e-3}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6},
        {"ns", 1e-9}, {"m", 60}, {"min", 60},  {"h", 3600},  {NULL, 0},
    };
    return scaled(text, units, seconds);
}

bool pyi_rate_parse(const char *text, double *hertz)
{
    static const struct unit units[] = {
        {"", 1}, {"hz", 1}, {"khz", 1e3}, {"k", 1e3}, {"/s", 1}, {NULL, 0},
    };
    return scaled(text, units, hertz);
}

static bool pid_parse(const char *text, double *out)
{
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10)
        return false;
    long long pid = strtoll(text, NULL, 10);
    if (pid < 1 || pid > INT_MAX)
        return false;
    *out = (double)pid;
    return true;
}

static bool count_parse(const char *text, double *out)
{
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 7)
        return false;
    *out = (double)strtol(text, NULL, 10);
    return *out >= 1 && *out <= 1e6;
}

static bool share_parse(const char *text, double *out)
{
    static const struct unit units[] = {{"", 1}, {"%", 1}, {NULL, 0}};
    return scaled(text, units, out) && *out > 0;
}

static bool version_parse(const char *text)
{
    size_t major = strspn(text, "0123456789");
    if (major == 0 || major > 2 || text[major] != '.')
        return false;
    size_t minor = strspn(text + major + 1, "0123456789");
    return minor > 0 && minor <= 3 && text[major + 1 + minor] == '\0';
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

/* NULL when the value is right, else what it should have been. */
static const char *value_problem(enum pyi_option_value kind, const char *text, double *number)
{
    static const char *const when[] = {"always", "never", "auto", NULL};
    static const char *const shells[] = {"bash", "zsh", "fish", NULL};
    static const char *const labels[] = {"compatible", "extended", "none", NULL};
    static const char *const modes[] = {"wall", "cpu", "gil", "exception", NULL};
    switch (kind) {
    case PYI_VALUE_INTERVAL:
        return pyi_seconds_parse(text, number) ? NULL
                                               : "a number of seconds, or one with ms, us or s";
    case PYI_VALUE_DURATION:
        return pyi_seconds_parse(text, number) && *number > 0
                   ? NULL
                   : "a time above zero, such as 30, 30s, 5m or 1h";
    case PYI_VALUE_RATE:
        return pyi_rate_parse(text, number) && *number > 0
                   ? NULL
                   : "a rate above zero, such as 100, 500hz or 1khz";
    case PYI_VALUE_PID:
        return pid_parse(text, number) ? NULL : "a process id";
    case PYI_VALUE_COUNT:
        return count_parse(text, number) ? NULL : "a whole number from 1 to a million";
    case PYI_VALUE_SHARE:
        return share_parse(text, number) ? NULL : "a share of one core above zero, such as 5%";
    case PYI_VALUE_VERSION:
        return version_parse(text) ? NULL : "a version such as 3.15";
    case PYI_VALUE_WHEN:
        return is_one_of(text, when) ? NULL : "always, never or auto";
    case PYI_VALUE_SHELL:
        return is_one_of(text, shells) ? NULL : "bash, zsh or fish";
    case PYI_VALUE_LABELS:
        return is_one_of(text, labels) ? NULL : "compatible, extended or none";
    case PYI_VALUE_MODE:
        return is_one_of(text, modes) ? NULL : "wall, cpu, gil or exception";
    case PYI_VALUE_NONE:
    case PYI_VALUE_TEXT:
        break;
    }
    return NULL;
}

/* ---- finding an option ----------------------------------------------------------------------- */

static const struct pyi_option *find_letter(char letter)
{
    for (size_t i = 0; i < PYI_OPTIONS; i++) {
        if (table[i].letter && table[i].letter == letter)
            return &table[i];
    }
    return NULL;
}

static const struct pyi_option *find_exact(const char *name, size_t length)
{
    for (size_t i = 0; i < PYI_OPTIONS; i++) {
        const char *known = table[i].name;
        if (known && strlen(known) == length && memcmp(known, name, length) == 0)
            return &table[i];
    }
    return NULL;
}

/* Number of options of one kind (upstream's or ours) whose name begins so; `found` is the last. */
static size_t find_prefix(const char *name, size_t length, unsigned kind,
                          const struct pyi_option **found, struct pyi_strbuf *names)
{
    size_t count = 0;
    for (size_t i = 0; i < PYI_OPTIONS; i++) {
        const struct pyi_option *row = &table[i];
        if (!row->name || (row->flags & PYI_OPTION_UPSTREAM) != kind ||
            strncmp(row->name, name, length) != 0)
            continue;
        /* Hidden ones of ours are not reached by accident. */
        if (kind == 0 && (row->flags & PYI_OPTION_HIDDEN))
            continue;
        *found = row;
        pyi_strbuf_format(names, "%s--%s", count ? ", " : "", row->name);
        count++;
    }
    return count;
}

/* Edit distance of two short words, at most `limit` + 1. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t limit)
{
    enum { LONGEST = 40 };
    size_t b_length = strlen(b);
    if (a_length > LONGEST || b_length > LONGEST)
        return limit + 1;
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t insert = row[j] + 1, remove = row[j - 1] + 1;
            size_t best = insert < remove ? insert : remove;
            row[j] = change < best ? change : best;
        }
    }
    return row[b_length] <= limit ? row[b_length] : limit + 1;
}

size_t pyi_word_distance(const char *a, const char *b, size_t limit)
{
    return distance(a, strlen(a), b, limit);
}

static const struct pyi_option *nearest(const char *name, size_t length)
{
    const size_t limit = length < 5 ? 1 : 2;
    size_t best = limit + 1;
    const struct pyi_option *found = NULL;
    for (size_t i = 0; i < PYI_OPTIONS; i++) {
        if (!table[i].name || (table[i].flags & PYI_OPTION_HIDDEN))
            continue;
        size_t far = distance(name, length, table[i].name, limit);
        if (far < best) {
            best = far;
            found = &table[i];
        }
    }
    return found;
}

static int usage(struct pyi_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int usage(struct pyi_error *err, const char *format, ...)
{
    char message[400], safe[480];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    pyi_error_set(err, PYI_E_INVALID, "%s", pyi_text_safe(pyi_text(message), safe, sizeof(safe)));
    pyi_error_slug(err, "usage");
    return PYI_E_INVALID;
}

static int find_long(const char *name, size_t length, const struct pyi_option **out,
                     struct pyi_error *err)
{
    const struct pyi_option *found = find_exact(name, length);
    if (found) {
        *out = found;
        return PYI_OK;
    }
    static const unsigned kinds[] = {PYI_OPTION_UPSTREAM, 0};
    for (size_t i = 0; i < 2 && length > 0; i++) {
        struct pyi_strbuf names = {0};
        size_t count = find_prefix(name, length, kinds[i], &found, &names);
        char list[300];
        snprintf(list, sizeof(list), "%s", pyi_strbuf_get(&names).data);
        pyi_strbuf_deinit(&names);
        if (count > 1)
            return usage(err, "ambiguous option --%.*s (%s?)", (int)length, name, list);
        if (count == 1) {
            *out = found;
            return PYI_OK;
        }
    }
    const struct pyi_option *meant = nearest(name, length);
    if (meant)
        return usage(err, "unknown option --%.*s; did you mean --%s?", (int)length, name,
                     meant->name);
    return usage(err, "unknown option --%.*s", (int)length, name);
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct parser {
    struct pyi_options *out;
    int next;       /* index of the next word */
    unsigned clock; /* counts options seen */
    bool finished;
};

/* "-o" or "--outfile", as it should appear in messages. */
static const char *shown_name(const struct pyi_option *row, char out[40])
{
    if (row->name)
        snprintf(out, 40, "--%s", row->name);
    else
        snprintf(out, 40, "-%c", row->letter);
    return out;
}

static void add_pid(struct pyi_options *out, pid_t pid)
{
    for (size_t i = 0; i < out->pid_count; i++)
        if (out->pids[i] == pid)
            return;
    out->pids[out->pid_count++] = pid;
}

static int take(struct parser *parser, const struct pyi_option *row, const char *value, int at,
                struct pyi_error *err)
{
    struct pyi_options *out = parser->out;
    char name[40];
    if (row->argument && value) {
        const char *expected = value_problem(row->value, value, &out->numbers[row->id]);
        if (expected)
            return usage(err, "option %s needs %s, not '%s'", shown_name(row, name), expected,
                         value);
    }
    out->values[row->id] = value;
    out->order[row->id] = ++parser->clock;
    out->count[row->id]++;
    out->position[row->id] = at;
    if (row->id == PYI_OPT_LOAD)
        out->loads[out->load_count++] = value;
    if (row->id == PYI_OPT_PID)
        add_pid(out, (pid_t)out->numbers[row->id]);
    if (row->id == PYI_OPT_RENDER_OPTION)
        out->render_options[out->render_option_count++] = value;
    if (row->flags & PYI_OPTION_IMMEDIATE) {
        out->immediate = row->id;
        parser->finished = true;
    }
    return PYI_OK;
}

/* -m and -c: their value and everything behind it belong to the program. */
static void take_rest(struct parser *parser, int first)
{
    parser->out->program = parser->out->argv + first;
    parser->out->program_count = parser->out->argc - first;
    parser->finished = true;
}

static int need_value(struct parser *parser, const struct pyi_option *row, const char **value,
                      struct pyi_error *err)
{
    char name[40];
    if (parser->next >= parser->out->argc)
        return usage(err, "option %s needs a value: %s", shown_name(row, name), row->argument);
    *value = parser->out->argv[parser->next++];
    return PYI_OK;
}

static int parse_long(struct parser *parser, const char *word, struct pyi_error *err)
{
    const int at = parser->next - 1;
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct pyi_option *row = NULL;
    int code = find_long(name, length, &row, err);
    if (code)
        return code;
    const char *value = equals ? equals + 1 : NULL;
    if (!row->argument && value)
        return usage(err, "option --%s takes no value", row->name);
    if (row->argument && !value && !(row->flags & PYI_OPTION_OPTIONAL)) {
        code = need_value(parser, row, &value, err);
        if (code)
            return code;
    }
    return take(parser, row, value, at, err);
}

static int parse_short(struct parser *parser, const char *word, struct pyi_error *err)
{
    const int at = parser->next - 1;
    for (const char *letter = word + 1; *letter && !parser->finished; letter++) {
        const struct pyi_option *row = find_letter(*letter);
        if (!row && (unsigned char)*letter >= 0x80)
            return usage(err, "unknown option %s", word);
        if (!row)
            return usage(err, "unknown option -%c", *letter);
        if (!row->argument) {
            int code = take(parser, row, NULL, at, err);
            if (code)
                return code;
            continue;
        }
        const char *value = letter + 1;
        if (*value == '\0') {
            int code = need_value(parser, row, &value, err);
            if (code)
                return code;
        }
        int code = take(parser, row, value, at, err);
        if (code)
            return code;
        if (row->flags & PYI_OPTION_REST)
            take_rest(parser, parser->next);
        break;
    }
    return PYI_OK;
}

int pyi_options_parse(int argc, char *const *argv, struct pyi_options *out, struct pyi_error *err)
{
    *out = (struct pyi_options){.argc = argc, .argv = argv, .immediate = PYI_OPTIONS};
    size_t words = argc > 0 ? (size_t)argc : 1;
    out->loads = calloc(words, sizeof(*out->loads));
    out->pids = calloc(words, sizeof(*out->pids));
    /* Bundles cannot hold two -p, so no option occurs more often than there are words. */
    out->render_options = calloc(words, sizeof(*out->render_options));
    if (!out->loads || !out->pids || !out->render_options)
        return pyi_error_nomem(err);
    struct parser parser = {.out = out, .next = 1};
    while (!parser.finished && parser.next < argc) {
        const char *word = argv[parser.next];
        if (word[0] != '-' || word[1] == '\0')
            break;
        parser.next++;
        if (strcmp(word, "--") == 0)
            break;
        int code =
            word[1] == '-' ? parse_long(&parser, word, err) : parse_short(&parser, word, err);
        if (code)
            return code;
    }
    if (!out->program && out->immediate == PYI_OPTIONS && parser.next < argc)
        take_rest(&parser, parser.next);
    return PYI_OK;
}

void pyi_options_free(struct pyi_options *options)
{
    if (!options)
        return;
    free(options->loads);
    free(options->pids);
    options->pids = NULL;
    free(options->render_options);
    options->loads = NULL;
    options->render_options = NULL;
}

static bool is_living_process(const char *text)
{
    char path[40];
    double pid;
    if (!pid_parse(text, &pid))
        return false;
    snprintf(path, sizeof(path), "/proc/%s", text);
    return access(path, F_OK) == 0;
}

const char *pyi_options_mistaken_pid(const struct pyi_options *options)
{
    struct stat info;
    for (size_t i = 0; i < options->render_option_count; i++) {
        if (is_living_process(options->render_options[i]))
            return options->render_options[i];
    }
    const bool is_script = options->program_count > 0 && !options->order[PYI_OPT_MODULE] &&
                           !options->order[PYI_OPT_CODE];
    if (is_script && is_living_process(options->program[0]) &&
        stat(options->program[0], &info) != 0)
        return options->program[0];
    return NULL;
}

double pyi_options_interval(const struct pyi_options *options)
{
    unsigned interval = options->order[PYI_OPT_INTERVAL], rate = options->order[PYI_OPT_RATE];
    if (interval == 0 && rate == 0)
        return 0.001;
    return interval > rate ? options->numbers[PYI_OPT_INTERVAL]
                           : 1 / options->numbers[PYI_OPT_RATE];
}
