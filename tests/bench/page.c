/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * page.c - makes a session of a given size in memory and times the page that is made of it.
 *
 * usage: page SAMPLES NODES RUNS ROUNDS [FILE [SESSION]]
 * Prints one line: bytes of the page, median seconds, kilobytes of the session, kilobytes more at the
 * highest. The order of stacks is random, which is the worst for columns of differences: real
 * programs go from a stack to one near by. The same numbers give the same session every time.
 */
#include <pyinstrument.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FUNCTIONS = 1000, LINES = 6, DEPTH = 46, PATHS = 4 };

static uint64_t seed = 20261120;

static uint32_t choose(uint32_t count)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % count);
}

static void check(int code, const struct pyi_error *err)
{
    if (!code)
        return;
    fprintf(stderr, "page: %s\n", err->message);
    exit(1);
}

static struct pyi_text text_of(const char *words)
{
    return (struct pyi_text){words, strlen(words)};
}

static uint32_t frame_of(struct pyi_session *session, uint32_t function, uint32_t line)
{
    static const char *const paths[PATHS] = {
        "/home/user/service/app/orders_%02u.py", "/usr/lib/python3.13/codec/core%02u.py",
        "/usr/lib/python3/dist-packages/render_%02u.py", "/home/user/service/lib/schema%02u.py"};
    char path[80], info[200];
    struct pyi_error err;
    uint32_t frame = 0;
    snprintf(path, sizeof(path), paths[function % PATHS], function % 37);
    int length =
        snprintf(info, sizeof(info), "search_by_key_%u%c%s%c%u%s%cl%u", function, '\0', path, '\0',
                 10 + function, function % 3 ? "\1cSearch" : "", '\1', 11 + function + line);
    check(pyi_session_intern_frame(session, (struct pyi_text){info, (size_t)length}, &frame, &err),
          &err);
    return frame;
}

/* A trie of `count` nodes below one thread; each function calls few others, as programs do. */
static uint32_t *make_nodes(struct pyi_session *session, uint32_t count)
{
    struct pyi_error err;
    uint32_t *nodes = calloc(count + 1, sizeof(*nodes)), made = 1, frame = 0;
    static const char thread[] = "MainThread\0<thread>\0140234567891";
    check(pyi_session_intern_frame(session, (struct pyi_text){thread, sizeof(thread) - 1}, &frame,
                                   &err),
          &err);
    check(pyi_session_push_frame(session, PYI_STACK_ROOT, frame, &nodes[0], &err), &err);
    while (made <= count) {
        /* Mostly deeper from a recent one, so that stacks have tens of frames. */
        uint32_t near = made > 64 ? made - 1 - choose(64) : choose(made);
        uint32_t parent = nodes[choose(4) ? near : choose(made)];
        if (pyi_session_stack_depth(session, parent) >= DEPTH)
            continue;
        uint32_t before = nodes[made - 1];
        frame = frame_of(session, choose(FUNCTIONS), choose(LINES));
        check(pyi_session_push_frame(session, parent, frame, &nodes[made], &err), &err);
        made += nodes[made] > before; /* not one that was there already */
    }
    return nodes;
}

/* Every node once, in an order without order, and then again. */
static uint32_t order_of(uint32_t number, uint32_t count)
{
    return (uint32_t)(number % count * UINT64_C(2654435761) % count);
}

static struct pyi_session *make_session(uint32_t samples, uint32_t count, uint32_t runs)
{
    struct pyi_session *session = NULL;
    struct pyi_error err;
    check(pyi_session_new(&session, &err), &err);
    uint32_t *nodes = make_nodes(session, count), node = 0, last = 0, next = 0;
    for (uint32_t i = 0; i < samples; i++) {
        /* `runs` of the samples have another stack than the one before. */
        if ((uint64_t)i * runs / samples != (uint64_t)(i - 1) * runs / samples || i == 0)
            for (last = node; node == last;)
                node = 1 + order_of(next++, count);
        double seconds = 0.001 + choose(9000) / 1e8;
        struct pyi_number number = {.value = seconds};
        check(pyi_session_add_record(session, nodes[node], number, &err), &err);
    }
    free(nodes);
    struct pyi_number total = {.value = samples * 0.00105};
    pyi_session_set_number(session, PYI_SESSION_DURATION, total);
    total = (struct pyi_number){samples, samples, true};
    pyi_session_set_number(session, PYI_SESSION_SAMPLE_COUNT, total);
    check(pyi_session_set_target_description(session, text_of("Program: service.py"), &err), &err);
    check(pyi_session_list_append(session, PYI_SESSION_SYS_PREFIXES, text_of("/usr"), &err), &err);
    check(
        pyi_session_list_append(session, PYI_SESSION_SYS_PATH, text_of("/home/user/service"), &err),
        &err);
    return session;
}

struct taker {
    uint64_t bytes;
    FILE *file;
};

static int take(void *context, const void *bytes, size_t length, struct pyi_error *err)
{
    struct taker *taker = context;
    taker->bytes += length;
    return taker->file && fwrite(bytes, 1, length, taker->file) != length ? PYI_E_OS : 0;
}

/* Kilobytes at the highest, of this program alone: getrusage() counts what started it as well. */
static long peak(void)
{
    char line[200];
    long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmHWM: %ld", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes;
}

static double cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const long empty = peak();
    struct pyi_session *session =
        make_session((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
    const long held = peak();
    double times[100];
    int rounds = atoi(argv[4]) < 100 ? atoi(argv[4]) : 100;
    struct taker taker = {0};
    struct pyi_error err = {0};
    long most = 0; /* of the first page: later ones begin with what the allocator has kept */
    for (int i = 0; i < rounds; i++) {
        struct pyi_sink sink = {take, &taker};
        taker = (struct taker){.file = i == 0 && argc > 5 ? fopen(argv[5], "wb") : NULL};
        double begin = cpu();
        check(pyi_render(pyi_renderer_by_name("html"), session, NULL, &sink, &err), &err);
        times[i] = cpu() - begin;
        most = i == 0 ? peak() : most;
        if (taker.file)
            fclose(taker.file);
    }
    qsort(times, (size_t)rounds, sizeof(times[0]), compare);
    printf("%llu %.4f %ld %ld\n", (unsigned long long)taker.bytes, times[rounds / 2], held - empty,
           most - held);
    if (argc > 6)
        check(pyi_session_save(session, argv[6], &err), &err);
    pyi_session_free(session);
    return 0;
}
