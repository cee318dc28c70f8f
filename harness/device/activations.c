#include "harness/device/activations.h"

#include "harness/base/random.h"

/* Of `count` numbers from the ith on, up to 64, those whose bit is set. */
static void change(enum dtype t, void *x, size_t i, size_t count, uint64_t bits)
{
    for (size_t j = 0; j < count && t == DTYPE_F32; j++)
        ((uint32_t *)x)[i + j] ^= (uint32_t)(bits >> j & 1) << 31;
    for (size_t j = 0; j < count && t != DTYPE_F32; j++)
        ((uint16_t *)x)[i + j] ^= (uint16_t)((bits >> j & 1) << 15);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void activations_change(const struct problem *p, void *x, uint64_t salt, size_t call)
{
    const size_t all = problem_input_count(p), reduced = problem_reduced(p);
    for (size_t i = 0; i < all && call == 0; i += 64)
        change(p->out, x, i, smaller(64, all - i), random_u64(salt, RANDOM_SIGNS, i));
    if (call == 0 || all == 0)
        return;
    const uint64_t bits = random_u64(salt, RANDOM_ORDER, call);
    const size_t places = (reduced + ACTIVATIONS_BETWEEN - 1) / ACTIVATIONS_BETWEEN,
                 first = bits % places * ACTIVATIONS_BETWEEN;
    for (size_t row = 0; row < p->m; row++) /* the first of them always */
        change(p->out, x, row * reduced + first, smaller(ACTIVATIONS_BETWEEN, reduced - first),
               bits >> (16 + row % 32) | 1);
}
