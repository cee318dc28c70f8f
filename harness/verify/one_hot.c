/*
 * one_hot: products, with a single 1 in each row of activations: an output is a single weight whatever the
 * order of summation. The positions are from every lane, vector slot and tile edge: a wrong index shows, and
 * the diagnosis names the weight that was taken, which it cannot for a sum. Under the executor, which is slow,
 * with few rows of activations, a part of the positions, drawn from the seed.
 */
#include <stdlib.h>

#include "harness/base/random.h"
#include "harness/verify/check_run.h"

enum {
    POSITIONS_MAX = 512,   /* at most */
    ONE_HOT_LAUNCHES = 16, /* under the executor, about: a launch has one position for each row of X */
};

/* Positions along the summed dimension: the first ones one by one (every lane and vector slot), the last ones
 * (the tail), both sides of every multiple of 1024 and power of two (tile edges), and some drawn from the
 * seed. */
static size_t choose_positions(size_t extent, uint64_t seed, size_t positions[POSITIONS_MAX])
{
    size_t count = 0;
    uint8_t *taken = calloc(extent, 1);
    if (!taken)
        return 0;
#define TAKE(at)                                                                                             \
    do {                                                                                                     \
        size_t where = (at);                                                                                 \
        if (where < extent && !taken[where] && count < POSITIONS_MAX) {                                      \
            taken[where] = 1;                                                                                \
            positions[count++] = where;                                                                      \
        }                                                                                                    \
    } while (0)
    for (size_t i = 0; i < 160; i++)
        TAKE(i);
    for (size_t i = 1; i <= 72; i++)
        TAKE(extent - i); /* wraps past the limit, and is refused, when the extent is smaller */
    for (size_t power = 128; power < extent; power *= 2)
        for (size_t i = 0; i < 2; i++)
            TAKE(power - 1 + i);
    for (size_t edge = 1024; edge < extent && count < POSITIONS_MAX - 128; edge += 1024)
        for (size_t i = 0; i < 2; i++)
            TAKE(edge - 1 + i);
    for (size_t i = 0; i < 128; i++)
        TAKE(random_u64(seed, RANDOM_POSITIONS, i) % extent);
#undef TAKE
    free(taken);
    return count;
}

/* Brings `wanted` positions drawn from the seed to the front; returns how many there are then. */
static size_t draw_positions(size_t *positions, size_t count, size_t wanted, uint64_t seed)
{
    for (size_t i = 0; i < wanted && i < count; i++) {
        size_t j = i + random_u64(seed, RANDOM_POSITIONS, POSITIONS_MAX + i) % (count - i),
               kept = positions[i];
        positions[i] = positions[j];
        positions[j] = kept;
    }
    return count < wanted ? count : wanted;
}

enum status check_one_hot(struct check_run *c)
{
    const struct problem *real = &c->operands->problem;
    struct operands o;
    TRY(first_weights(c, real->bias, &o));
    size_t positions[POSITIONS_MAX], extent = real->op == OP_GEMM ? real->k : real->n;
    size_t count = choose_positions(extent, real->seed, positions);
    if (real->m && device_slow(c->operands->device))
        count = draw_positions(positions, count, ONE_HOT_LAUNCHES * real->m, real->seed);
    const enum status s = count ? one_hot_run(c, &o, positions, count) : status_no_memory("verify");
    operands_release(&o);
    return s;
}
