/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * park.c - remembers which stacks rest on a call that is not proven.
 *
 * In: stacks as they are interned, with the number of their unproven call. Out: which of them
 * still lack proof. Knows nothing of how calls are proven, of time, and of what becomes of a
 * stack without proof.
 */
#include "src/record/park.h"

#include "src/base/array.h"
#include "src/base/error.h"
#include <stdlib.h>
#include <string.h>

/* State of a stack: 0 never noted, else the edge it rests on, or one of these. A stack is proven
 * by any one of its samples, for good. Edge numbers stay far below. */
#define PROVEN   (UINT32_MAX - 1)
#define DOUBTFUL (UINT32_MAX - 2) /* the target that could tell is gone */

static bool is_parked(uint32_t state)
{
    return state != 0 && state != PROVEN;
}

static int make_room(struct pyi_park *park, uint32_t stack, struct pyi_error *err)
{
    size_t need = (size_t)stack + 1;
    if (need <= park->count)
        return 0;
    if (!pyi_array_reserve(&park->states, &park->capacity, need, sizeof(*park->states)))
        return pyi_error_nomem(err);
    memset(park->states + park->count, 0, (need - park->count) * sizeof(*park->states));
    park->count = need;
    return 0;
}

static uint32_t asked(const struct pyi_target *target, uint32_t state)
{
    if (!is_parked(state) || state == DOUBTFUL || !target)
        return state;
    return pyi_target_edge_proven(target, state) ? PROVEN : state;
}

int pyi_park_note(struct pyi_park *park, const struct pyi_target *target, uint32_t stack,
                  uint32_t edge, struct pyi_error *err)
{
    int code = make_room(park, stack, err);
    if (code)
        return code;
    uint32_t *state = &park->states[stack];
    if (*state == PROVEN)
        return 0;
    if (!*state && edge)
        park->parked++;
    *state = asked(target, *state);
    if (*state != PROVEN)
        *state = edge ? edge : PROVEN;
    return 0;
}

int pyi_park_copy(struct pyi_park *park, uint32_t from, uint32_t to, struct pyi_error *err)
{
    if (from >= park->count || !park->states[from])
        return 0;
    int code = make_room(park, to, err);
    if (code)
        return code;
    if (park->states[to] != PROVEN)
        park->states[to] = park->states[from];
    return 0;
}

int pyi_park_count(struct pyi_park *park, uint32_t stack, struct pyi_error *err)
{
    uint64_t count = 0;
    pyi_map_get(&park->samples, stack, &count);
    if (!pyi_map_put(&park->samples, stack, count + 1))
        return pyi_error_nomem(err);
    park->sample_count++;
    return 0;
}

void pyi_park_ask(struct pyi_park *park, const struct pyi_target *target, bool last)
{
    if (!park->parked)
        return;
    for (size_t i = 0; i < park->count; i++) {
        park->states[i] = asked(target, park->states[i]);
        if (last && is_parked(park->states[i]))
            park->states[i] = DOUBTFUL;
    }
}

bool pyi_park_doubts(const struct pyi_park *park, uint32_t stack)
{
    return stack < park->count && is_parked(park->states[stack]);
}

void pyi_park_deinit(struct pyi_park *park)
{
    free(park->states);
    pyi_map_deinit(&park->samples);
    *park = (struct pyi_park){0};
}
