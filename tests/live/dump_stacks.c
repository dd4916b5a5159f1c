/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * dump_stacks.c - test helper: opens a process, makes rounds, prints the last one as JSON.
 *
 * usage: dump_stacks PID ROUNDS [compatible|extended|none]
 * A C function at the end of a stack is printed apart from it, as "leaf".
 * Strings are written as the bytes they are (UTF-8, lone surrogates as three bytes); only what
 * JSON demands is escaped. Exit status 1 and one line on stderr when the target refuses.
 */
#include "attach/attach.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_text(struct pyi_text text)
{
    putchar('"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = text.data[i];

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_list(const char *key, const struct pyi_text *items, size_t count)
{
    printf("\"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            printf(", ");
        print_text(items[i]);
    }
    printf("]");
}

static bool same_entry(const struct pyi_stack_entry *a, const struct pyi_stack_entry *b)
{
    return a->code == b->code && a->line == b->line && a->class_name == b->class_name;
}

static bool is_c_function(const struct pyi_stack_entry *entry)
{
    return strcmp(entry->code->filename.data, "<built-in>") == 0 ||
           strcmp(entry->code->filename.data, "<extended>") == 0;
}

/* Equal neighbours become one entry with a count, as in the target's own report. */
static void print_entries(const struct pyi_target *target, const struct pyi_stack *stack)
{
    size_t i = 0, depth = stack->depth;

    if (depth > 0 && is_c_function(&stack->entries[depth - 1])) {
        const struct pyi_code *leaf = stack->entries[--depth].code;

        printf("\"leaf\": [");
        print_text(leaf->name);
        printf(", ");
        print_text(leaf->filename);
        printf(", %d, %d], ", leaf->first_line, stack->entries[depth].line);
    } else {
        printf("\"leaf\": null, ");
    }
    printf("\"stack\": [");
    while (i < depth) {
        const struct pyi_stack_entry *entry = &stack->entries[i];
        size_t count = 1;

        while (i + count < depth && same_entry(entry, &stack->entries[i + count]))
            count++;
        printf(i > 0 ? ", [" : "[");
        print_text(entry->code->name);
        printf(", ");
        print_text(entry->code->filename);
        printf(", %d, %d, ", entry->code->first_line, entry->line);
        if (entry->class_name != 0)
            print_text(pyi_target_class_name(target, entry->class_name));
        else
            printf("null");
        printf(", %s, %zu]", entry->code->traceback_hide ? "true" : "false", count);
        i += count;
    }
    printf("]");
}

static void print_round(const struct pyi_target *target, const struct pyi_round *round)
{
    printf("\"threads\": [");
    for (size_t i = 0; i < round->count; i++) {
        const struct pyi_stack *stack = &round->stacks[i];
        const struct pyi_thread *thread = stack->thread;

        printf("%s{\"name\": ", i > 0 ? ", " : "");
        print_text(thread->name);
        printf(", \"ident\": %llu, \"tid\": %d, \"interpreter\": %lld, \"main\": %s, ",
               (unsigned long long)thread->ident, (int)thread->tid, (long long)thread->interpreter,
               thread->is_main ? "true" : "false");
        printf("\"index\": %u, \"status\": %d, \"truncated\": %s, \"verified\": %s, ",
               thread->index, (int)stack->status, stack->truncated ? "true" : "false",
               stack->verified ? "true" : "false");
        print_entries(target, stack);
        printf("}");
    }
    printf("]");
}

static int print_facts(struct pyi_target *target, struct pyi_error *err)
{
    const struct pyi_target_info *info = pyi_target_info(target);
    const struct pyi_sysinfo *sys;
    int result = pyi_target_sysinfo(target, &sys, err);

    if (result < 0)
        return result;
    printf("{\"version\": ");
    print_text(info->version);
    printf(", \"build\": ");
    print_text(info->build);
    printf(", \"found\": ");
    print_text(info->found);
    printf(", \"layout\": ");
    print_text(info->layout);
    printf(", \"sys\": {\"known\": %s, ", sys->from_sys ? "true" : "false");
    print_list("path", sys->path, sys->path_count);
    printf(", ");
    print_list("argv", sys->argv, sys->argv_count);
    printf(", ");
    print_list("prefixes", sys->prefixes, 4);
    printf("}, ");
    return 0;
}

/* One target from open to close. Prints JSON on success. */
static int dump(pid_t pid, unsigned long rounds, enum pyi_c_labels labels, struct pyi_error *err)
{
    struct pyi_target_options options = {.c_labels = labels};
    struct pyi_target *target;
    struct pyi_round round = {0};
    struct pyi_target_stats first = {0}, last = {0};
    unsigned long lost = 0, changed = 0;
    int result = pyi_target_open(pid, &options, &target, err);

    if (result < 0)
        return result;
    for (unsigned long i = 0; i < rounds; i++) {
        result = pyi_target_round(target, &round, err);
        if (result < 0)
            break;
        for (size_t s = 0; s < round.count; s++) {
            lost += round.stacks[s].status == PYI_STACK_LOST;
            changed += i > 0 && round.stacks[s].status == PYI_STACK_NEW;
        }
        /* Steady state: the third round has seen every code object and prediction. */
        if (i == 2)
            pyi_target_stats(target, &first);
    }
    pyi_target_stats(target, &last);
    if (result == 0)
        result = print_facts(target, err);
    if (result == 0) {
        print_round(target, &round);
        printf(", \"rounds\": %lu, \"lost\": %lu, \"changed\": %lu, \"steady_calls\": %llu, "
               "\"steady_bytes\": %llu}\n",
               rounds, lost, changed, (unsigned long long)(last.read_calls - first.read_calls),
               (unsigned long long)(last.bytes_read - first.bytes_read));
    }
    pyi_target_close(target);
    return result;
}

int main(int argc, char **argv)
{
    struct pyi_error err = {0};

    enum pyi_c_labels labels = PYI_C_LABELS_COMPATIBLE;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: dump_stacks PID ROUNDS [LABELS]\n");
        return 2;
    }
    if (argc == 4 && strcmp(argv[3], "extended") == 0)
        labels = PYI_C_LABELS_EXTENDED;
    else if (argc == 4 && strcmp(argv[3], "none") == 0)
        labels = PYI_C_LABELS_NONE;
    if (dump((pid_t)strtol(argv[1], NULL, 10), strtoul(argv[2], NULL, 10), labels, &err) < 0) {
        fprintf(stderr, "%d %s: %s (%s)\n", err.code, err.slug, err.message, err.why);
        return 1;
    }
    return 0;
}
