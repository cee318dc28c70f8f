/*
 * exact_sums: products whose every partial sum, in any order, is an fp32 number, so that the whole result must
 * have the right bits at full size. A product that is dropped or doubled shows: no error bound can promise
 * that, and one_hot looks at one weight at a time. The oracle is 32-bit integer arithmetic.
 *
 * Units, NF4. Where weights are rounded to 16 bits before they are summed, the codebook's 16-bit values are
 * multiples of 2^-11 (bf16) or 2^-12 (fp16) and all 16 codes are used. Where they stay fp32, only -1, 0 and 1
 * (codes 0, 7, 15) are short enough. Scales are 1 or 2, activations 0 or +-1 with at most NONZERO_MAX that
 * are not 0, bias -4..4: |sum| <= 2000 * 2 * 4096 + 4 * 4096 < 2^24 units.
 * Others: a value is a small whole number; of fp8 and dense weights a half of one, chosen among a few.
 * Tensor cores are exact here too: as all terms and partial sums are below 2^24 units, the grid to which a
 * block cuts its terms (reference/mma.h) is half a unit or finer.
 */
#include <math.h>
#include <stdlib.h>

#include "harness/base/random.h"
#include "harness/verify/check_run.h"
#include "reference/fp8.h"
#include "reference/grouped_int4.h"

enum {
    NONZERO_MAX = 2000,
    WEIGHTS_MAX = 1 << 28, /* weights in the problem: outputs are left out beyond, never summands */
};

struct exact_sums {
    struct operands operands;
    int32_t *want; /* in units, without bias */
    int units_log2;
    struct contract values; /* by which a code has its value */
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

static void fill_codes(struct operands *o, bool all_codes)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    uint8_t *packed = set->packed.data;
    static const uint8_t few[16] = {0, 7, 15, 0, 15, 7, 15, 0, 7, 0, 15, 15, 0, 7, 0, 15};
    static const float small[16] = {0, 0.5f, 1, 1.5f, 2, 3, -0.5f, -1, -1.5f, -2, -3, 4, -4, 6, -6, 0};
    if (p->format.kind == FORMAT_DENSE) {
        for (size_t i = 0; i < problem_weight_count(p); i++)
            dtype_store(p->out, packed, i, small[random_u64(p->seed, RANDOM_CODES, i) >> 40 & 15]);
        return;
    }
#pragma omp parallel for schedule(static)
    for (size_t byte = 0; byte < set->packed.size; byte++) {
        uint8_t r = (uint8_t)(random_u64(p->seed, RANDOM_CODES, byte) >> 40);
        packed[byte] = p->format.kind == FORMAT_FP8 ? fp8_from_f32(small[r & 15])
                       : all_codes || p->format.kind != FORMAT_NF4
                           ? r
                           : (uint8_t)(few[r >> 4] << 4 | few[r & 15]);
    }
}

static void fill_scales(struct operands *o)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    const size_t blocks = problem_block_count(p);
    float *absmax = set->absmax.data, *map = o->nested_map.data, *nested = set->nested_absmax.data;
    for (size_t b = 0; b < blocks; b++) {
        const float scale = scale_of_block(p, b);
        if (p->format.nested)
            ((uint8_t *)set->absmax_code.data)[b] = scale == 2.0f ? 200 : 100;
        else if (set->absmax.size)
            absmax[b] = scale;
        else if (set->scale.size)
            ((uint16_t *)set->scale.data)[b] = f16_from_f32(scale);
        if (p->format.zeros) /* what every layout can store */
            ((uint8_t *)set->zero.data)[b] =
                (uint8_t)(1 + (random_u64(p->seed, RANDOM_SCALES, b) >> 8) % INT4_MAX);
    }
    /* Columns are out of order here and there, and of another group than those that kernels take at once: a full shuffle,
     * which the other checks have, leaves hardly any word with seven in order, and no run of columns that is. */
    if (p->format.act_order)
        operands_draw_groups(o, GROUPS_IN_PART);
    for (int i = 0; p->format.nested && i < NESTED_MAP_SIZE; i++)
        map[i] = i < 128 ? 1.0f : 2.0f;
    for (size_t g = 0; p->format.nested && g < nested_group_count(blocks); g++)
        nested[g] = 1.0f;
    o->nested_offset = 0.0f;
}

static void fill(struct exact_sums *e, bool all_codes)
{
    struct operands *o = &e->operands;
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    fill_codes(o, all_codes);
    fill_scales(o);
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
static void decode(const struct exact_sums *e, const struct quantized *all, size_t first, size_t count,
                   int16_t *w)
{
    enum { SPAN = 512 };
    float value[SPAN];
    for (size_t done = 0; done < count; done += SPAN) {
        const size_t span = count - done < SPAN ? count - done : SPAN;
        quantized_span(&e->values, all, first + done, span, true, value);
        for (size_t i = 0; i < span; i++) {
            const size_t block = quantized_block_of(all, first + done + i);
            const float scale = all->format == FORMAT_DENSE ? 1 : scale_of_block(&e->operands.problem, block);
            w[done + i] = (int16_t)(ldexpf(value[i], e->units_log2) * scale);
        }
    }
}

static enum status integer_products(struct exact_sums *e)
{
    const struct problem *p = &e->operands.problem;
    size_t outputs = p->op == OP_GEMM ? p->n : p->k, extent = p->op == OP_GEMM ? p->k : p->n;
    const struct quantized all = operands_tensor(&e->operands, 0);
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
                decode(e, &all, n * p->k, p->k, w);
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
                decode(e, &all, n * p->k + first, length, w);
                for (size_t i = 0; i < p->m; i++)
                    for (size_t j = 0; x[i * p->n + n] && j < length; j++)
                        e->want[i * p->k + first + j] += x[i * p->n + n] * w[j];
            }
        }
    }
    free(x);
    return ok ? STATUS_OK : status_no_memory("verify");
}

static enum status make(const struct problem *real, bool all_codes, struct device *device,
                        struct exact_sums **out)
{
    struct problem p = *real;
    size_t *other = p.op == OP_GEMM ? &p.n : &p.k, extent = p.op == OP_GEMM ? p.k : p.n;
    if (*other > WEIGHTS_MAX / extent && *other > 256)
        *other = (WEIGHTS_MAX / extent / 256 + 1) * 256 + *other % 256;
    if (p.op == OP_GEMMDX && p.format.kind != FORMAT_NF4) {
        /* Rows are whole blocks; one that is a block, or whose blocks are scattered, stays whole. */
        const bool whole = p.format.act_order || p.format.blocksize == real->k;
        p.k = whole ? real->k : (p.k + p.format.blocksize - 1) / p.format.blocksize * p.format.blocksize;
    }
    struct exact_sums *e = calloc(1, sizeof *e);
    if (!e)
        return status_no_memory("verify");
    enum status s = operands_init_blank(&p, device, &e->operands);
    const bool nf4 = p.format.kind == FORMAT_NF4,
               halves = p.format.kind == FORMAT_FP8 || p.format.kind == FORMAT_DENSE;
    e->units_log2 = halves ? 1 : !nf4 || !all_codes ? 0 : p.out == DTYPE_BF16 ? 11 : 12;
    e->values = (struct contract){.format = p.format.kind,
                                  .op = p.op,
                                  .out = p.out,
                                  .decode = nf4 && all_codes ? DECODE_OUT : DECODE_F32};
    for (unsigned code = 0; s == STATUS_OK && nf4 && code < NF4_CODES; code++) {
        const float units = ldexpf(quantized_decode(&e->values, code, 0), e->units_log2);
        if ((float)(int16_t)units != units && (all_codes || code == 0 || code == 7 || code == 15))
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

enum status check_exact_sums(struct check_run *c)
{
    const struct contract *contract = &c->kernel->contract;
    bool all_codes = contract->format == FORMAT_NF4 && contract->out != DTYPE_F32 &&
                     (contract->scale == SCALE_WEIGHT || contract->decode == DECODE_OUT);
    struct exact_sums **made = &c->verifier->sums[all_codes];
    if (!*made)
        TRY(make(&c->operands->problem, all_codes, c->operands->device, made));
    struct exact_sums *e = *made;
    struct operands *o = &e->operands;
    const struct problem *p = &o->problem;
    bool called;
    TRY(check_prepared_call(c, o, &called));
    if (called) {
        size_t outputs = p->op == OP_GEMM ? p->n : p->k, count = p->m * outputs;
        struct comparison cmp = {0};
        for (size_t i = 0; i < count; i++) {
            double sum = ldexp((double)e->want[i], -e->units_log2);
            if (p->bias)
                sum += (double)dtype_load(p->out, o->sets[0].bias.data, i % outputs);
            uint32_t want = dtype_value_bits(p->out, (float)sum),
                     got = dtype_load_bits(p->out, o->sets[0].out.data, i);
            compare_one(&cmp, p->out, got, want, dtype_bits_equal(p->out, got, want), i);
        }
        check_product(c, &cmp, p->m, outputs, ": a sum that is exact in any order");
    } else {
        /* The next variant must not meet what this one wrote. */
        exact_sums_free(e);
        *made = NULL;
    }
    return STATUS_OK;
}
