/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory_image.c - memory that comes from a file: reading images, and recording them.
 *
 * Comes in: a file, or the reads of one round through the tap. Goes out: the same bytes at the
 * same addresses. An image may be anybody's bug report: every count, length and order is checked
 * before the first byte is believed. Must not know what the bytes mean.
 */
#include "attach/memory/memory_image.h"
#include "src/base/arena.h"
#include "src/base/array.h"
#include "src/base/error.h"
#include "src/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 24
#define FILE_MAX    ((uint64_t)1 << 30)
#define FACTS_MAX   100000u
#define RANGES_MAX  (1u << 22)
#define VERSION     1u
static const char magic[8] = "PYIMAGE\n";

/* ---- reading ---- */

struct stored {
    uint64_t address, length;
    const unsigned char *bytes;
};

struct image {
    struct pyi_memory memory;
    unsigned char *file;
    size_t size;
    struct stored *ranges;
    size_t range_count;
    struct pyi_image_facts facts;
    struct pyi_text *arguments;
    struct pyi_image_thread *threads;
    size_t argument_capacity, thread_capacity;
    struct pyi_arena arena;
};

/* The stored range that holds an address, NULL when none does. */
static const struct stored *stored_at(const struct image *image, uint64_t address)
{
    size_t low = 0, high = image->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct stored *range = &image->ranges[middle];
        if (range->address + (range->length - 1) < address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == image->range_count || image->ranges[low].address > address)
        return NULL;
    return &image->ranges[low];
}

static int image_read(struct pyi_memory *memory, struct pyi_range *ranges, size_t count,
                      struct pyi_error *err)
{
    const struct image *image = (const struct image *)memory;
    memory->calls++;
    for (size_t i = 0; i < count; i++) {
        struct pyi_range *range = &ranges[i];
        while (range->got < range->length) {
            uint64_t address = range->address + range->got;
            const struct stored *stored = stored_at(image, address);
            if (!stored)
                return 0;
            uint64_t skip = address - stored->address, left = stored->length - skip;
            size_t take = range->length - range->got;
            if (left < take)
                take = (size_t)left;
            memcpy((char *)range->into + range->got, stored->bytes + skip, take);
            range->got += take;
        }
    }
    return 0;
}

static void image_close(struct pyi_memory *memory)
{
    struct image *image = (struct image *)memory;
    free(image->file);
    free(image->ranges);
    free(image->arguments);
    free(image->threads);
    pyi_arena_free(&image->arena);
    free(image);
}

static const struct pyi_memory_ops image_ops = {
    .name = "image",
    .read = image_read,
    .close = image_close,
};

static int malformed(struct pyi_error *err, const char *what)
{
    return pyi_error_set(err, PYI_E_FORMAT, "not a usable memory image: %s", what);
}

static bool keep_text(struct image *image, const unsigned char *bytes, size_t length,
                      struct pyi_text *out)
{
    char *copy = pyi_arena_copy(&image->arena, bytes, length);
    if (!copy)
        return false;
    *out = (struct pyi_text){copy, length};
    return true;
}

static bool add_argument(struct image *image, const unsigned char *bytes, size_t length)
{
    struct pyi_image_facts *facts = &image->facts;
    if (!pyi_array_reserve(&image->arguments, &image->argument_capacity, facts->argument_count + 1,
                           sizeof(*image->arguments)) ||
        !keep_text(image, bytes, length, &image->arguments[facts->argument_count]))
        return false;
    facts->argument_count++;
    facts->arguments = image->arguments;
    return true;
}

static pid_t as_pid(uint64_t value)
{
    return value <= INT_MAX ? (pid_t)value : 0;
}

static bool add_thread(struct image *image, const unsigned char *bytes, size_t length)
{
    struct pyi_image_facts *facts = &image->facts;
    if (length < 16)
        return true;
    if (!pyi_array_reserve(&image->threads, &image->thread_capacity, facts->thread_count + 1,
                           sizeof(*image->threads)))
        return false;
    struct pyi_image_thread *thread = &image->threads[facts->thread_count];
    thread->tid = as_pid(pyi_load_u64(bytes));
    thread->inner = as_pid(pyi_load_u64(bytes + 8));
    if (!keep_text(image, bytes + 16, length - 16, &thread->name))
        return false;
    facts->thread_count++;
    facts->threads = image->threads;
    return true;
}

static void set_number(struct pyi_image_facts *facts, uint32_t kind, uint64_t value)
{
    switch (kind) {
    case PYI_IMAGE_PID:
        facts->pid = as_pid(value);
        break;
    case PYI_IMAGE_PARENT:
        facts->parent = as_pid(value);
        break;
    case PYI_IMAGE_RUNTIME:
        facts->runtime.address = value;
        break;
    case PYI_IMAGE_VERSION:
        facts->runtime.hexversion = (uint32_t)value;
        break;
    case PYI_IMAGE_FLAGS:
        facts->runtime.free_threaded = value & 1;
        facts->runtime.debug = value & 2;
        facts->runtime.debug_offsets = value & 4;
        break;
    case PYI_IMAGE_CODE_TYPE:
        facts->runtime.code_type = value;
        break;
    case PYI_IMAGE_TYPE_TYPE:
        facts->runtime.type_type = value;
        break;
    case PYI_IMAGE_START_TIME:
        memcpy(&facts->start_time, &value, sizeof(value));
        break;
    }
}

static bool take_fact(struct image *image, uint32_t kind, const unsigned char *bytes, size_t length)
{
    struct pyi_text text;
    switch (kind) {
    case PYI_IMAGE_ARGUMENT:
        return add_argument(image, bytes, length);
    case PYI_IMAGE_THREAD:
        return add_thread(image, bytes, length);
    case PYI_IMAGE_EXECUTABLE:
        return keep_text(image, bytes, length, &image->facts.executable);
    case PYI_IMAGE_ROOT:
        return keep_text(image, bytes, length, &image->facts.root);
    case PYI_IMAGE_FOUND:
        if (!keep_text(image, bytes, length, &text))
            return false;
        pyi_text_safe(text, image->facts.runtime.found, sizeof(image->facts.runtime.found));
        return true;
    default:
        if (length == 8)
            set_number(&image->facts, kind, pyi_load_u64(bytes));
        return true;
    }
}

static int read_facts(struct image *image, uint32_t count, size_t *at, struct pyi_error *err)
{
    if (count > FACTS_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "memory image with %u facts", count);
    for (uint32_t i = 0; i < count; i++) {
        if (image->size - *at < 8)
            return malformed(err, "facts end early");
        uint32_t kind = pyi_load_u32(image->file + *at),
                 length = pyi_load_u32(image->file + *at + 4);
        *at += 8;
        if (image->size - *at < length)
            return malformed(err, "a fact is longer than the file");
        if (!take_fact(image, kind, image->file + *at, length))
            return pyi_error_nomem(err);
        *at += length;
    }
    return 0;
}

static int read_ranges(struct image *image, uint32_t count, size_t at, struct pyi_error *err)
{
    if (count > RANGES_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "memory image with %u ranges", count);
    if ((image->size - at) / 16 < count)
        return malformed(err, "ranges end early");
    image->ranges = count ? calloc(count, sizeof(*image->ranges)) : NULL;
    if (count && !image->ranges)
        return pyi_error_nomem(err);
    const unsigned char *bytes = image->file + at + (size_t)count * 16;
    uint64_t left = image->size - at - (size_t)count * 16, last = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = pyi_load_u64(image->file + at + (size_t)i * 16);
        uint64_t length = pyi_load_u64(image->file + at + (size_t)i * 16 + 8);
        if (length == 0 || length > left || address > UINT64_MAX - length ||
            (i > 0 && address < last))
            return malformed(err, "ranges overlap, are unsorted or longer than the file");
        image->ranges[i] = (struct stored){address, length, bytes};
        bytes += length;
        left -= length;
        last = address + length;
    }
    image->range_count = count;
    return left ? malformed(err, "bytes behind the last range") : 0;
}

/* Takes `file` over, also on failure. */
static int open_image(unsigned char *file, size_t size, struct pyi_memory **out,
                      const struct pyi_image_facts **facts, struct pyi_error *err)
{
    struct image *image = calloc(1, sizeof(*image));
    if (!image) {
        free(file);
        return pyi_error_nomem(err);
    }
    image->memory.ops = &image_ops;
    image->file = file;
    image->size = size;
    image->facts.executable = image->facts.root = pyi_text("");
    size_t at = HEADER_SIZE;
    int code;
    if (size < HEADER_SIZE || memcmp(file, magic, sizeof(magic)) != 0)
        code = malformed(err, "wrong first bytes");
    else if (pyi_load_u32(file + 8) != VERSION)
        code = pyi_error_set(err, PYI_E_FORMAT, "memory image of version %u, not %u",
                             pyi_load_u32(file + 8), VERSION);
    else
        code = read_facts(image, pyi_load_u32(file + 12), &at, err);
    if (code == 0)
        code = read_ranges(image, pyi_load_u32(file + 16), at, err);
    if (code < 0) {
        image_close(&image->memory);
        return code;
    }
    *out = &image->memory;
    *facts = &image->facts;
    return 0;
}

int pyi_memory_open_image_bytes(const void *bytes, size_t length, struct pyi_memory **out,
                                const struct pyi_image_facts **facts, struct pyi_error *err)
{
    if (length > FILE_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "memory image larger than 1 GiB");
    unsigned char *copy = malloc(length + 1);
    if (!copy)
        return pyi_error_nomem(err);
    if (length)
        memcpy(copy, bytes, length);
    return open_image(copy, length, out, facts, err);
}

int pyi_memory_open_image(const char *path, struct pyi_memory **out,
                          const struct pyi_image_facts **facts, struct pyi_error *err)
{
    PYI_CLEANUP(pyi_cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return pyi_error_os(err, errno, "cannot open memory image %s", path);
    if (!S_ISREG(status.st_mode))
        return pyi_error_set(err, PYI_E_FORMAT, "%s is not a regular file", path);
    if ((uint64_t)status.st_size > FILE_MAX)
        return pyi_error_set(err, PYI_E_LIMIT, "memory image larger than 1 GiB");
    size_t size = (size_t)status.st_size, done = 0;
    unsigned char *file = malloc(size + 1);
    if (!file)
        return pyi_error_nomem(err);
    while (done < size) {
        ssize_t n = read(fd, file + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(file);
            return pyi_error_os(err, errno, "cannot read memory image %s", path);
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return open_image(file, done, out, facts, err);
}

/* ---- recording ---- */

#define PAGE 4096u

/* One page and which of its bytes were read. */
struct page {
    uint64_t number;
    unsigned char bytes[PAGE];
    uint64_t known[PAGE / 64];
};

struct pyi_image_recorder {
    struct page **pages;
    size_t count, capacity;
    struct pyi_map index; /* page number to place in pages */
    bool failed;
};

struct pyi_image_recorder *pyi_image_recorder_new(void)
{
    return calloc(1, sizeof(struct pyi_image_recorder));
}

void pyi_image_recorder_free(struct pyi_image_recorder *recorder)
{
    if (!recorder)
        return;
    for (size_t i = 0; i < recorder->count; i++)
        free(recorder->pages[i]);
    free(recorder->pages);
    pyi_map_deinit(&recorder->index);
    free(recorder);
}

static struct page *page_of(struct pyi_image_recorder *recorder, uint64_t number)
{
    uint64_t at;
    if (pyi_map_get(&recorder->index, number, &at))
        return recorder->pages[at];
    struct page *page = NULL;
    if (!pyi_array_reserve(&recorder->pages, &recorder->capacity, recorder->count + 1,
                           sizeof(struct page *)) ||
        !(page = calloc(1, sizeof(*page))) ||
        !pyi_map_put(&recorder->index, number, recorder->count)) {
        free(page);
        recorder->failed = true;
        return NULL;
    }
    page->number = number;
    recorder->pages[recorder->count++] = page;
    return page;
}

void pyi_image_recorder_tap(void *context, pyi_addr address, const void *bytes, size_t length)
{
    struct pyi_image_recorder *recorder = context;
    const unsigned char *from = bytes;
    while (length > 0 && !recorder->failed) {
        size_t in_page = address % PAGE, take = PAGE - in_page < length ? PAGE - in_page : length;
        struct page *page = page_of(recorder, address / PAGE);
        if (!page)
            return;
        memcpy(page->bytes + in_page, from, take);
        for (size_t i = in_page; i < in_page + take; i++)
            page->known[i / 64] |= (uint64_t)1 << (i % 64);
        address += take;
        from += take;
        length -= take;
    }
}

static int compare_pages(const void *a, const void *b)
{
    const struct page *left = *(struct page *const *)a, *right = *(struct page *const *)b;
    return (left->number > right->number) - (left->number < right->number);
}

static bool is_known(const struct page *page, size_t at)
{
    return page->known[at / 64] >> (at % 64) & 1;
}

static void put_u32(struct pyi_strbuf *out, uint32_t value)
{
    pyi_strbuf_append(out, &value, sizeof(value));
}

static void put_u64(struct pyi_strbuf *out, uint64_t value)
{
    pyi_strbuf_append(out, &value, sizeof(value));
}

struct fact_writer {
    struct pyi_strbuf *out;
    uint32_t count;
};

static void put_fact(struct fact_writer *writer, uint32_t kind, const void *bytes, size_t length)
{
    put_u32(writer->out, kind);
    put_u32(writer->out, (uint32_t)length);
    pyi_strbuf_append(writer->out, bytes, length);
    writer->count++;
}

static void put_number(struct fact_writer *writer, uint32_t kind, uint64_t value)
{
    put_fact(writer, kind, &value, sizeof(value));
}

static uint32_t put_facts(const struct pyi_image_facts *facts, struct pyi_strbuf *out)
{
    struct fact_writer writer = {out, 0};
    const struct pyi_runtime *runtime = &facts->runtime;
    uint64_t start_time;
    memcpy(&start_time, &facts->start_time, sizeof(start_time));
    put_number(&writer, PYI_IMAGE_PID, (uint64_t)facts->pid);
    put_number(&writer, PYI_IMAGE_PARENT, (uint64_t)facts->parent);
    put_number(&writer, PYI_IMAGE_RUNTIME, runtime->address);
    put_number(&writer, PYI_IMAGE_VERSION, runtime->hexversion);
    put_number(
        &writer, PYI_IMAGE_FLAGS,
        (uint64_t)(runtime->free_threaded | runtime->debug << 1 | runtime->debug_offsets << 2));
    put_number(&writer, PYI_IMAGE_CODE_TYPE, runtime->code_type);
    put_number(&writer, PYI_IMAGE_TYPE_TYPE, runtime->type_type);
    put_number(&writer, PYI_IMAGE_START_TIME, start_time);
    put_fact(&writer, PYI_IMAGE_FOUND, runtime->found, strlen(runtime->found));
    put_fact(&writer, PYI_IMAGE_EXECUTABLE, facts->executable.data, facts->executable.length);
    put_fact(&writer, PYI_IMAGE_ROOT, facts->root.data, facts->root.length);
    for (size_t i = 0; i < facts->argument_count; i++)
        put_fact(&writer, PYI_IMAGE_ARGUMENT, facts->arguments[i].data, facts->arguments[i].length);
    for (size_t i = 0; i < facts->thread_count; i++) {
        const struct pyi_image_thread *thread = &facts->threads[i];
        put_u32(out, PYI_IMAGE_THREAD);
        put_u32(out, (uint32_t)(16 + thread->name.length));
        put_u64(out, (uint64_t)thread->tid);
        put_u64(out, (uint64_t)thread->inner);
        pyi_strbuf_text(out, thread->name);
        writer.count++;
    }
    return writer.count;
}

/* Adjacent known bytes as ranges, across pages; the bytes themselves go to `bytes`. */
static uint32_t put_ranges(const struct pyi_image_recorder *recorder, struct pyi_strbuf *table,
                           struct pyi_strbuf *bytes)
{
    uint64_t start = 0, end = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < recorder->count; i++) {
        const struct page *page = recorder->pages[i];
        for (size_t at = 0; at < PAGE; at++) {
            if (!is_known(page, at))
                continue;
            uint64_t address = page->number * PAGE + at;
            if (count == 0 || address != end) {
                if (count > 0) {
                    put_u64(table, start);
                    put_u64(table, end - start);
                }
                start = address;
                count++;
            }
            end = address + 1;
            pyi_strbuf_append(bytes, &page->bytes[at], 1);
        }
    }
    if (count > 0) {
        put_u64(table, start);
        put_u64(table, end - start);
    }
    return count;
}

int pyi_image_recorder_write(struct pyi_image_recorder *recorder,
                             const struct pyi_image_facts *facts, struct pyi_strbuf *out,
                             struct pyi_error *err)
{
    if (recorder->count > 1)
        qsort(recorder->pages, recorder->count, sizeof(*recorder->pages), compare_pages);
    pyi_map_clear(&recorder->index);
    struct pyi_strbuf table = {0}, bytes = {0}, fact_bytes = {0};
    uint32_t fact_count = put_facts(facts, &fact_bytes);
    uint32_t range_count = put_ranges(recorder, &table, &bytes);
    for (size_t i = 0; i < recorder->count; i++)
        if (!pyi_map_put(&recorder->index, recorder->pages[i]->number, i))
            recorder->failed = true;
    int code = 0;
    if (recorder->failed || table.failed || bytes.failed || fact_bytes.failed)
        code = pyi_error_nomem(err);
    else if (fact_count > FACTS_MAX || range_count > RANGES_MAX || bytes.length > FILE_MAX / 2)
        code = pyi_error_set(err, PYI_E_LIMIT, "too much memory for one image");
    if (code == 0) {
        pyi_strbuf_append(out, magic, sizeof(magic));
        put_u32(out, VERSION);
        put_u32(out, fact_count);
        put_u32(out, range_count);
        put_u32(out, 0);
        pyi_strbuf_text(out, pyi_strbuf_get(&fact_bytes));
        pyi_strbuf_text(out, pyi_strbuf_get(&table));
        pyi_strbuf_text(out, pyi_strbuf_get(&bytes));
        if (out->failed)
            code = pyi_error_nomem(err);
    }
    pyi_strbuf_deinit(&table);
    pyi_strbuf_deinit(&bytes);
    pyi_strbuf_deinit(&fact_bytes);
    return code;
}
