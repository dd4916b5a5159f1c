/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * plan.c - what to read next as one vector, and finding things in what was read.
 *
 * In: ranges wanted, from the predictions of each thread. Out: local copies of them, made by one
 * system call as long as every range is mapped. Must not know what the bytes mean.
 */
#include "attach/cpython/plan.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

#define COPY_LIMIT     ((size_t)512 << 20)
#define PAGE           4096u
#define GIVE_UP_FAULTS 16 /* unmapped pieces per read: each costs one more call */

void pyi_copy_reset(struct pyi_copy *copy)
{
    copy->count = copy->done = copy->used = 0;
}

void pyi_copy_deinit(struct pyi_copy *copy)
{
    free(copy->pieces);
    free(copy->bytes);
    free(copy->ranges);
    free(copy->owners);
    *copy = (struct pyi_copy){0};
}

int pyi_copy_add(struct pyi_copy *copy, pyi_addr address, size_t length, size_t first,
                 size_t *index, struct pyi_error *err)
{
    size_t padded = (length + 15) & ~(size_t)15;
    if (length > COPY_LIMIT || copy->used + padded > COPY_LIMIT || address + length < address)
        return pyi_error_set(err, PYI_E_LIMIT, "too much to copy at once");
    if (!pyi_array_reserve(&copy->pieces, &copy->capacity, copy->count + 1,
                           sizeof(*copy->pieces)) ||
        !pyi_array_reserve(&copy->bytes, &copy->bytes_capacity, copy->used + padded, 1))
        return pyi_error_nomem(err);
    copy->pieces[copy->count] = (struct pyi_piece){.address = address,
                                                   .length = length,
                                                   .first = first < length ? first : 0,
                                                   .offset = copy->used};
    if (index != NULL)
        *index = copy->count;
    copy->count++;
    copy->used += padded;
    return 0;
}

static void put_range(struct pyi_copy *copy, size_t *count, size_t piece, size_t from, size_t to)
{
    const struct pyi_piece *p = &copy->pieces[piece];
    if (from >= to)
        return;
    copy->ranges[*count] = (struct pyi_range){
        .address = p->address + from, .length = to - from, .into = copy->bytes + p->offset + from};
    copy->owners[(*count)++] = piece;
}

/* One vectored read of the pieces from copy->done on; returns in `*next` the first piece to go
 * on with after an unmapped one. */
static int read_pending(struct pyi_copy *copy, struct pyi_memory *memory, size_t *next,
                        struct pyi_error *err)
{
    size_t need = (copy->count - copy->done) * 2, count = 0;
    if (!pyi_array_reserve(&copy->ranges, &copy->ranges_capacity, need, sizeof(*copy->ranges)) ||
        !pyi_array_reserve(&copy->owners, &copy->owners_capacity, need, sizeof(*copy->owners)))
        return pyi_error_nomem(err);
    for (size_t i = copy->done; i < copy->count; i++) {
        put_range(copy, &count, i, copy->pieces[i].first, copy->pieces[i].length);
        put_range(copy, &count, i, 0, copy->pieces[i].first);
        copy->pieces[i].complete = true;
    }
    int rc = pyi_memory_readv(memory, copy->ranges, count, err);
    *next = copy->count;
    size_t short_at = count;
    for (size_t i = 0; i < count; i++) {
        if (copy->ranges[i].got == copy->ranges[i].length && rc == 0)
            continue;
        copy->pieces[copy->owners[i]].complete = false;
        if (short_at == count)
            short_at = i;
    }
    if (short_at < count)
        *next = copy->owners[short_at] + 1;
    return rc;
}

int pyi_copy_read(struct pyi_copy *copy, struct pyi_memory *memory, struct pyi_error *err)
{
    for (int faults = 0; copy->done < copy->count && faults < GIVE_UP_FAULTS; faults++) {
        size_t next = 0;
        int rc = read_pending(copy, memory, &next, err);
        if (rc != 0 && rc != PYI_E_FAULT)
            return rc;
        copy->done = next;
    }
    for (; copy->done < copy->count; copy->done++)
        copy->pieces[copy->done].complete = false;
    return 0;
}

const uint8_t *pyi_copy_at(const struct pyi_copy *copy, size_t index, pyi_addr address,
                           size_t length)
{
    if (index >= copy->done)
        return NULL;
    const struct pyi_piece *piece = &copy->pieces[index];
    if (!piece->complete || address < piece->address || length > piece->length ||
        address - piece->address > piece->length - length)
        return NULL;
    return copy->bytes + piece->offset + (address - piece->address);
}

/* ---- places ---------------------------------------------------------------------------------- */

void pyi_places_deinit(struct pyi_places *places)
{
    free(places->items);
    *places = (struct pyi_places){0};
}

static int place_compare(const void *a, const void *b)
{
    const struct pyi_place *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static struct pyi_place *place_find(struct pyi_places *places, pyi_addr address)
{
    if (places->dirty)
        pyi_places_trim(places, 0);
    size_t low = 0, high = places->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (places->items[middle].address == address)
            return &places->items[middle];
        if (places->items[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool place_append(struct pyi_places *places, pyi_addr address, uint32_t length,
                         uint32_t round)
{
    if (!pyi_array_reserve(&places->items, &places->capacity, places->count + 1,
                           sizeof(*places->items)))
        return false;
    places->items[places->count++] =
        (struct pyi_place){.address = address, .length = length, .round = round};
    places->dirty = true;
    return true;
}

bool pyi_places_use(struct pyi_places *places, pyi_addr address, uint32_t length, uint32_t round)
{
    /* While several are being added the list is not sorted again for each: doubles are merged
     * by the next trim. */
    struct pyi_place *place = places->dirty ? NULL : place_find(places, address);
    if (place == NULL)
        return place_append(places, address, length, round);
    place->round = round;
    if (place->length < length)
        place->length = length;
    return true;
}

bool pyi_places_heat(struct pyi_places *places, pyi_addr address, uint32_t length, uint32_t round)
{
    struct pyi_place *place = place_find(places, address);
    if (place == NULL) {
        if (!place_append(places, address, length, round))
            return false;
        place = &places->items[places->count - 1];
    }
    place->round = place->hot = round;
    if (place->length < length)
        place->length = length;
    return true;
}

void pyi_places_trim(struct pyi_places *places, uint32_t oldest)
{
    if (places->dirty)
        qsort(places->items, places->count, sizeof(*places->items), place_compare);
    size_t kept = 0;
    for (size_t i = 0; i < places->count; i++) {
        struct pyi_place place = places->items[i];
        struct pyi_place *last = kept > 0 ? &places->items[kept - 1] : NULL;
        if (last != NULL && last->address == place.address) {
            if (last->round < place.round)
                last->round = place.round;
            if (last->hot < place.hot)
                last->hot = place.hot;
            if (last->length < place.length)
                last->length = place.length;
        } else {
            places->items[kept++] = place;
        }
    }
    places->count = kept;
    kept = 0;
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].round >= oldest)
            places->items[kept++] = places->items[i];
    places->count = kept;
    places->dirty = false;
}

int pyi_places_plan(struct pyi_places *places, uint32_t since, struct pyi_copy *copy, size_t *first,
                    size_t *count, struct pyi_error *err)
{
    if (places->dirty)
        pyi_places_trim(places, 0);
    *first = copy->count;
    for (size_t i = 0; i < places->count;) {
        if (places->items[i].hot < since) {
            i++;
            continue;
        }
        pyi_addr begin = places->items[i].address;
        pyi_addr end = begin + places->items[i].length;
        for (i++; i < places->count; i++) {
            const struct pyi_place *place = &places->items[i];
            if (place->hot < since)
                continue;
            /* Less than a page between them: no page is touched that holds neither. */
            if (place->address > end && place->address - end >= PAGE)
                break;
            if (place->address + place->length > end)
                end = place->address + place->length;
        }
        int rc = pyi_copy_add(copy, begin, end - begin, 0, NULL, err);
        if (rc != 0)
            return rc;
    }
    *count = copy->count - *first;
    return 0;
}

/* ---- views ----------------------------------------------------------------------------------- */

/* Among pieces [first, first + count), sorted by address and disjoint. */
static const uint8_t *find_sorted(const struct pyi_copy *copy, size_t first, size_t count,
                                  pyi_addr address, size_t length, size_t *piece)
{
    size_t low = first, high = first + count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (copy->pieces[middle].address <= address)
            low = middle;
        else
            high = middle;
    }
    if (count == 0)
        return NULL;
    *piece = low;
    return pyi_copy_at(copy, low, address, length);
}

static const uint8_t *find_extra(const struct pyi_view *view, pyi_addr address, size_t length,
                                 size_t *piece)
{
    for (size_t i = view->copy->done; i > view->extras; i--) {
        const uint8_t *found = pyi_copy_at(view->copy, i - 1, address, length);
        if (found != NULL) {
            *piece = i - 1;
            return found;
        }
    }
    return NULL;
}

const uint8_t *pyi_view_find(struct pyi_view *view, pyi_addr address, size_t length, size_t *piece)
{
    size_t at = view->hint;
    /* The next frame of a chain is mostly in the same piece. */
    const uint8_t *found = at != PYI_NO_PIECE ? pyi_copy_at(view->copy, at, address, length) : NULL;
    for (size_t i = 0; found == NULL && i < view->chunk_count; i++) {
        at = view->chunks + i;
        found = pyi_copy_at(view->copy, at, address, length);
    }
    if (found == NULL)
        found = find_sorted(view->copy, view->places, view->place_count, address, length, &at);
    if (found == NULL) {
        at = view->state;
        found = pyi_copy_at(view->copy, at, address, length);
    }
    if (found == NULL)
        found = find_extra(view, address, length, &at);
    if (found != NULL) {
        view->hint = at;
        if (piece != NULL)
            *piece = at;
    }
    return found;
}

const uint8_t *pyi_view_object(struct pyi_view *view, pyi_addr address, size_t length)
{
    size_t at;
    const uint8_t *found =
        find_sorted(view->copy, view->objects, view->object_count, address, length, &at);
    return found != NULL ? found : find_extra(view, address, length, &at);
}
