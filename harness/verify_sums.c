/*
 * verify_sums.c: exact sums. Inputs for which every partial sum, in any order, is an fp32 number, so that the
 * whole product must have the right bits at any size; the oracle is 32-bit integer arithmetic.
 *
 * Units. Where weights are rounded to 16 bits before they are summed, the codebook's 16-bit values are
 * multiples of 2^-11 (bf16) or 2^-12 (fp16) and all 16 codes are used. Where they stay fp32, only -1, 0 and 1
 * (codes 0, 7, 15) are short enough. Scales are 1 or 2, activations 0 or +-1 with at most NONZERO_MAX that
 * are not 0, bias -4..4: |sum| <= 2000 * 2 * 4096 + 4 * 4096 < 2^24 units.
 * Tensor cores are exact here too: as all terms and partial sums are below 2^24 units, the grid to which a
 * block cuts its terms (reference/mma.h) is half a unit or finer.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/random.h"
#include "harness/verify_internal.h"

enum {
    NONZERO_MAX = 2000,
    WEIGHTS_MAX = 1 << 28, /* weights in the problem: outputs are left out beyond, never summands */
};

struct exact_sums {
    struct operands operands;
    int32_t *want; /* in units, without bias */
    int units_log2;
    int16_t value[NF4_CODES]; /* in units */
};

void exact_sums_free(struct exact_sums *e)
{
    if (!e)
        return;
    operands_release(&e->operands);
    free(e->want);
    free(e);
}

static float scale_of_block(const struct problem *p, size_t b)
{
    return random_u64(p->seed, RANDOM_SCALES, b) & 1 ? 2.0f : 1.0f;
}

static void fill(struct exact_sums *e, bool all_codes)
{
    struct operands *o = &e->operands;
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    size_t count = problem_weight_count(p), blocks = nf4_block_count(count, p->blocksize);
    uint8_t *packed = set->packed.data;
    static const uint8_t few[16] = {0, 7, 15, 0, 15, 7, 15, 0, 7, 0, 15, 15, 0, 7, 0, 15};
#pragma omp parallel for schedule(static)
    for (size_t byte = 0; byte < set->packed.size; byte++) {
        uint8_t r = (uint8_t)(random_u64(p->seed, RANDOM_CODES, byte) >> 40);
        packed[byte] = all_codes ? r : (uint8_t)(few[r >> 4] << 4 | few[r & 15]);
    }
    for (size_t b = 0; b < blocks; b++) {
        if (p->nested)
            ((uint8_t *)set->absmax_code.data)[b] = scale_of_block(p, b) == 2.0f ? 200 : 100;
        else
            ((float *)set->absmax.data)[b] = scale_of_block(p, b);
    }
    if (p->nested) {
        float *map = o->nested_map.data, *nested = set->nested_absmax.data;
        for (int i = 0; i < NESTED_MAP_SIZE; i++)
            map[i] = i < 128 ? 1.0f : 2.0f;
        for (size_t g = 0; g < nested_group_count(blocks); g++)
            nested[g] = 1.0f;
        o->nested_offset = 0.0f;
    }
    size_t extent = p->op == OP_GEMM ? p->k : p->n;
    for (size_t i = 0; i < p->m; i++) {
        size_t used = 0;
        /* Thinner for long sums, so that those that are not zero reach to the end. */
        uint64_t share =
            extent > 4 * (NONZERO_MAX - 200) ? (uint64_t)(NONZERO_MAX - 200) * 65536 / extent : 16384;
        for (size_t r = 0; r < extent; r++) {
            uint64_t draw = random_u64(p->seed, RANDOM_ACTIVATIONS, i * extent + r);
            bool on = (draw & 0xffff) < share && used < NONZERO_MAX;
            used += on;
            dtype_store(p->out, set->x.data, i * extent + r, !on ? 0.0f : draw >> 32 & 1 ? 1.0f : -1.0f);
        }
    }
    for (size_t j = 0; p->bias && j < p->n; j++)
        dtype_store(p->out, set->bias.data, j, (float)(random_u64(p->seed, RANDOM_BIAS, j) % 9) - 4.0f);
    operands_rehash(o);
}

/* The weights of elements [first, first + count) in units. */
static void decode(const struct exact_sums *e, size_t first, size_t count, int16_t *w)
{
    const struct problem *p = &e->operands.problem;
    const uint8_t *packed = e->operands.sets[0].packed.data;
    for (size_t i = 0; i < count;) {
        size_t block = (first + i) / p->blocksize, end = (block + 1) * p->blocksize - first;
        int16_t scale = (int16_t)scale_of_block(p, block);
        for (end = end < count ? end : count; i < end; i++)
            w[i] = (int16_t)(e->value[nf4_code_at(packed, first + i)] * scale);
    }
}

static enum status integer_products(struct exact_sums *e)
{
    const struct problem *p = &e->operands.problem;
    size_t outputs = p->op == OP_GEMM ? p->n : p->k, extent = p->op == OP_GEMM ? p->k : p->n;
    e->want = calloc(p->m * outputs, sizeof *e->want);
    int16_t *x = malloc(p->m * extent * sizeof *x);
    bool ok = e->want && x;
    for (size_t i = 0; ok && i < p->m * extent; i++)
        x[i] = (int16_t)dtype_load(p->out, e->operands.sets[0].x.data, i);
    if (ok && p->op == OP_GEMM) {
#pragma omp parallel reduction(&& : ok)
        {
            int16_t *w = malloc(p->k * sizeof *w);
            ok = w != NULL;
#pragma omp for schedule(static)
            for (size_t n = 0; n < p->n; n++) {
                if (!w)
                    continue;
                decode(e, n * p->k, p->k, w);
                for (size_t i = 0; i < p->m; i++) {
                    int32_t sum = 0;
                    for (size_t r = 0; r < p->k; r++)
                        sum += (int32_t)x[i * p->k + r] * w[r];
                    e->want[i * p->n + n] = sum;
                }
            }
            free(w);
        }
    } else if (ok) {
        enum { STRIPE = 1024 }; /* columns at a time, so that threads share nothing */
#pragma omp parallel for schedule(static)
        for (size_t first = 0; first < p->k; first += STRIPE) {
            size_t length = p->k - first < STRIPE ? p->k - first : STRIPE;
            int16_t w[STRIPE];
            for (size_t n = 0; n < p->n; n++) {
                decode(e, n * p->k + first, length, w);
                for (size_t i = 0; i < p->m; i++)
                    for (size_t j = 0; x[i * p->n + n] && j < length; j++)
                        e->want[i * p->k + first + j] += x[i * p->n + n] * w[j];
            }
        }
    }
    free(x);
    return ok ? STATUS_OK : status_fail(STATUS_MEMORY, "verify: out of memory");
}

static enum status make(const struct problem *real, bool all_codes, struct device *device,
                        struct exact_sums **out)
{
    struct problem p = *real;
    size_t *other = p.op == OP_GEMM ? &p.n : &p.k, extent = p.op == OP_GEMM ? p.k : p.n;
    if (*other > WEIGHTS_MAX / extent && *other > 256)
        *other = (WEIGHTS_MAX / extent / 256 + 1) * 256 + *other % 256;
    struct exact_sums *e = calloc(1, sizeof *e);
    if (!e)
        return status_fail(STATUS_MEMORY, "verify: out of memory");
    enum status s = operands_init_blank(&p, device, &e->operands);
    if (s != STATUS_OK) {
        free(e);
        return s;
    }
    e->units_log2 = !all_codes ? 0 : p.out == DTYPE_BF16 ? 11 : 12;
    for (unsigned code = 0; code < NF4_CODES; code++) {
        float v = all_codes ? dtype_round(p.out, nf4_value(code)) : nf4_value(code);
        float units = ldexpf(v, e->units_log2);
        e->value[code] = (int16_t)units;
        if ((float)e->value[code] != units && (all_codes || code == 0 || code == 7 || code == 15))
            s = status_fail(STATUS_INTERNAL, "exact sums: code %u is no multiple of 2^-%d", code,
                            e->units_log2);
    }
    if (s == STATUS_OK) {
        fill(e, all_codes);
        s = integer_products(e);
    }
    if (s != STATUS_OK) {
        exact_sums_free(e);
        return s;
    }
    *out = e;
    return STATUS_OK;
}

enum status check_exact_sums(struct check *c, struct exact_sums *cache[2])
{
    const struct contract *contract = &c->kernel->contract;
    bool all_codes =
        contract->out != DTYPE_F32 && (contract->scale == SCALE_WEIGHT || contract->decode == DECODE_OUT);
    if (!cache[all_codes]) {
        enum status s = make(&c->operands->problem, all_codes, c->operands->device, &cache[all_codes]);
        if (s != STATUS_OK)
            return s;
    }
    struct exact_sums *e = cache[all_codes];
    struct operands *o = &e->operands;
    const struct problem *p = &o->problem;
    void *prepared;
    enum status s = operands_prepare_for(o, 0, c->kernel, &prepared);
    if (s != STATUS_OK)
        return s;
    if (check_call(c, o, prepared)) {
        size_t outputs = p->op == OP_GEMM ? p->n : p->k, count = p->m * outputs;
        struct comparison cmp;
        comparison_init(&cmp);
        for (size_t i = 0; i < count; i++) {
            double sum = ldexp((double)e->want[i], -e->units_log2);
            uint32_t store = 0;
            if (p->bias)
                sum += (double)dtype_load(p->out, o->sets[0].bias.data, i % outputs);
            dtype_store(p->out, &store, 0, (float)sum);
            uint32_t want = dtype_load_bits(p->out, &store, 0),
                     got = dtype_load_bits(p->out, o->sets[0].out.data, i);
            compare_one(&cmp, p->out, got, want, dtype_bits_equal(p->out, got, want), i);
        }
        c->out->compared += cmp.compared;
        if (cmp.mismatches) {
            char where[256];
            snprintf(where, sizeof where,
                     "output row %zu column %zu of %zu x %zu: a sum that is exact in any order",
                     cmp.first / outputs, cmp.first % outputs, p->m, outputs);
            check_failed(c, &cmp, where, "", count);
        }
    } else {
        /* The next variant must not meet what this one wrote. */
        exact_sums_free(e);
        cache[all_codes] = NULL;
    }
    if (c->kernel->unprepare)
        c->kernel->unprepare(prepared);
    return STATUS_OK;
}
