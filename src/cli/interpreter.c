/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses the interpreter of a program we start: --python, else the script's first line when it
 * names a Python, else the active virtual environment, else python3 of PATH.
 *
 * The interpreter runs the program exactly as it would without us: options in a script's first
 * line are for those who execute the script, and are not passed on. */
#include "src/cli/interpreter.h"
#include "src/base/error.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_executable(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

bool pyi_path_search(const char *name, struct pyi_strbuf *out)
{
    if (strchr(name, '/')) {
        if (!is_executable(name))
            return false;
        pyi_strbuf_string(out, name);
        return true;
    }
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    struct pyi_strbuf candidate = {0};
    bool found = false;
    for (const char *part = path; name[0] && !found;) {
        size_t length = strcspn(part, ":");
        pyi_strbuf_reset(&candidate);
        pyi_strbuf_append(&candidate, part, length);
        pyi_strbuf_string(&candidate, length ? "/" : "./");
        pyi_strbuf_string(&candidate, name);
        found = !candidate.failed && is_executable(candidate.data);
        if (part[length] == '\0')
            break;
        part += length + 1;
    }
    if (found)
        pyi_strbuf_text(out, pyi_strbuf_get(&candidate));
    pyi_strbuf_deinit(&candidate);
    return found && !out->failed;
}

/* ---- first line of a script ------------------------------------------------------------------ */

static struct pyi_text next_word(struct pyi_text *rest)
{
    while (rest->length > 0 && (*rest->data == ' ' || *rest->data == '\t')) {
        rest->data++;
        rest->length--;
    }
    struct pyi_text word = {rest->data, 0};
    while (word.length < rest->length && word.data[word.length] != ' ' &&
           word.data[word.length] != '\t')
        word.length++;
    rest->data += word.length;
    rest->length -= word.length;
    return word;
}

static struct pyi_text base_name(struct pyi_text path)
{
    const char *slash = memrchr(path.data, '/', path.length);
    if (!slash)
        return path;
    return (struct pyi_text){slash + 1, path.length - (size_t)(slash + 1 - path.data)};
}

bool pyi_shebang_python(struct pyi_text line, char *out, size_t size)
{
    if (line.length < 2 || memcmp(line.data, "#!", 2) != 0)
        return false;
    const char *end = memchr(line.data, '\n', line.length);
    struct pyi_text rest = {line.data + 2, (end ? (size_t)(end - line.data) : line.length) - 2};
    if (rest.length > 0 && rest.data[rest.length - 1] == '\r')
        rest.length--;
    struct pyi_text word = next_word(&rest);
    if (pyi_text_equal(base_name(word), pyi_text("env"))) {
        /* env's own options and assignments come before the command. */
        do
            word = next_word(&rest);
        while (word.length > 0 && (word.data[0] == '-' || memchr(word.data, '=', word.length)));
    }
    struct pyi_text name = base_name(word);
    if (name.length < 6 || memcmp(name.data, "python", 6) != 0 || word.length >= size)
        return false;
    memcpy(out, word.data, word.length);
    out[word.length] = '\0';
    return true;
}

static bool from_shebang(const char *script, struct pyi_strbuf *out)
{
    char line[512], name[512];
    PYI_CLEANUP(pyi_cleanup_close)
    int fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
    if (length <= 0)
        return false;
    line[length] = '\0';
    /* One that is not installed here is no help: the next rule decides. */
    return pyi_shebang_python((struct pyi_text){line, (size_t)length}, name, sizeof(name)) &&
           pyi_path_search(name, out);
}

static bool from_environment(struct pyi_strbuf *out)
{
    const char *folder = getenv("VIRTUAL_ENV");
    if (!folder || !folder[0])
        return false;
    struct pyi_strbuf path = {0};
    pyi_strbuf_format(&path, "%s/bin/python", folder);
    bool found = !path.failed && pyi_path_search(path.data, out);
    pyi_strbuf_deinit(&path);
    return found;
}

void pyi_interpreter_choose(const struct pyi_options *options, const char *script,
                            struct pyi_strbuf *out)
{
    if (pyi_options_given(options, PYI_OPT_PYTHON)) {
        pyi_strbuf_string(out, options->values[PYI_OPT_PYTHON]);
        return;
    }
    if (script && from_shebang(script, out))
        return;
    if (from_environment(out))
        return;
    pyi_strbuf_string(out, "python3");
}

/* ---- the whole command ----------------------------------------------------------------------- */

static void add_word(struct pyi_strbuf *words, const char *word)
{
    if (words->length > 0)
        pyi_strbuf_char(words, ' ');
    pyi_strbuf_os_bytes(words, word, strlen(word));
}

int pyi_program_build(const struct pyi_options *options, const char *script,
                      struct pyi_program *out, struct pyi_error *err)
{
    *out = (struct pyi_program){.script = script};
    /* Interpreter, option and its value, arguments, NULL. */
    out->argv = calloc((size_t)options->program_count + 4, sizeof(*out->argv));
    pyi_interpreter_choose(options, script, &out->python);
    if (!out->argv || out->python.failed)
        return pyi_error_nomem(err);
    int count = 0, first = 0;
    out->argv[count++] = out->python.data;
    if (script) {
        out->argv[count++] = (char *)script;
        add_word(&out->words, options->program[0]);
        first = 1;
    } else {
        const bool module = pyi_options_given(options, PYI_OPT_MODULE);
        const char *value = options->values[module ? PYI_OPT_MODULE : PYI_OPT_CODE];
        out->argv[count++] = module ? "-m" : "-c";
        out->argv[count++] = (char *)value;
        add_word(&out->words, module ? value : "-c");
    }
    out->argument = count;
    for (int i = first; i < options->program_count; i++) {
        out->argv[count++] = options->program[i];
        add_word(&out->words, options->program[i]);
    }
    return out->words.failed ? pyi_error_nomem(err) : PYI_OK;
}

void pyi_program_deinit(struct pyi_program *program)
{
    free(program->argv);
    pyi_strbuf_deinit(&program->python);
    pyi_strbuf_deinit(&program->words);
    program->argv = NULL;
}
