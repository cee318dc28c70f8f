/*
 * one_hot: products, with a single 1 in each row of activations: an output is a single weight whatever the
 * order of summation. The positions are from every lane, vector slot and tile edge: a wrong index shows, and
 * the diagnosis names the weight that was taken, which it cannot for a sum. Under the executor, which is slow,
 * with few rows of activations, a part of the positions, drawn from the seed. There, mma80 once more with numbers so
 * small that their product is cut to zero.
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

/* Whether sums of tensor cores can end as -0, of which products of zeros, one step of them too many, make +0. Only
 * those of MMA_80 can; no GPU's bits are known there (tests/reference/mma.c), but the executor's are the model's. */
static bool cut_to_signed_zero(const struct check_run *c)
{
    const struct contract *contract = &c->kernel->contract;
    return contract->accumulation == ACC_MMA80 && contract->out == DTYPE_BF16 &&
           c->operands->device->kind == DEVICE_SIMT;
}

/* The scales of all blocks 2^-24 in size at most, and every bias -0, to which a sum of zero adds nothing. */
static void shrink_scales(struct operands *o)
{
    const struct operand_set *set = &o->sets[0];
    const float small = 0x1p-24f;
    for (size_t i = 0; i < set->absmax.size / sizeof(float); i++)
        ((float *)set->absmax.data)[i] = small;
    for (size_t i = 0; i < set->nested_absmax.size / sizeof(float); i++)
        ((float *)set->nested_absmax.data)[i] = small;
    o->nested_offset = 0;
    for (size_t i = 0; i < set->scale.size / sizeof(uint16_t); i++)
        ((uint16_t *)set->scale.data)[i] = f16_from_f32(small);
    for (size_t i = 0; i < set->bias.size / dtype_size(o->problem.out); i++)
        dtype_store(o->problem.out, set->bias.data, i, -0.0f);
}

/* One call with the smallest number of bf16 at places in the last block of the sum, which nothing follows. */
static enum status cut_sums(struct check_run *c, struct operands *o)
{
    enum { LAST = 8 };
    const struct problem *p = &o->problem;
    const size_t extent = p->op == OP_GEMM ? p->k : p->n, last = (extent - 1) % LAST + 1;
    size_t positions[LAST];
    for (size_t i = 0; i < last; i++)
        positions[i] = extent - 1 - i;
    shrink_scales(o);
    return one_hot_run(c, o, -0x1p-133f, positions, p->m < last ? p->m : last);
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
    enum status s = count ? one_hot_run(c, &o, 1, positions, count) : status_no_memory("verify");
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS && cut_to_signed_zero(c))
        s = cut_sums(c, &o);
    operands_release(&o);
    return s;
}
