/*
 * verify/decode.c: the checks that look at single weights: every code under every scale, and every position.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/verify/internal.h"

enum {
    DECODE_ELEMENTS_MAX = 1 << 24,   /* weights in the exhaustive problem, at most */
    DECODE_ELEMENTS_FEWER = 1 << 22, /* of formats with one list of scales: all of it with blocks up to 64 */
    POSITIONS_MAX = 512,             /* one-hot positions, at most */
    ONE_HOT_LAUNCHES = 16, /* under the executor, about: a launch has one position for each row of X */
    ROWS_MAX = 64,         /* of W in the exhaustive problem of gemmdx */
    ONE_HOT_OTHER = 128,   /* rows (gemm) or columns (gemmdx) of W in the one-hot problem, and the tail */
};

static float flush(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

/* The fp32 value of a weight in a sum, before anything else is added. */
static float weight_in_sum(const struct contract *c, uint32_t code, struct quantized_block b)
{
    if (c->scale == SCALE_WEIGHT)
        return quantized_weight(c, code, b);
    return quantized_decode(c, code, b.zero) * b.scale; /* 1 * c summed, then scaled: one rounding */
}

float one_hot_of(const struct contract *c, uint32_t code, struct quantized_block b, float bias)
{
    float v = weight_in_sum(c, code, b);
    /* The pair dot flushes what it sums (weights), not the IEEE fma that scales a block's sum. */
    if (c->denormals == DENORMALS_FLUSH && (c->accumulation == ACC_CHAINS || c->scale == SCALE_WEIGHT))
        v = flush(v);
    v += 0.0f; /* sums start at +0: a -0 is lost */
    return dtype_round(c->out, v + bias);
}

float one_hot_value(const struct contract *c, const struct quantized *w, size_t element, float bias)
{
    return one_hot_of(c, quantized_code_at(c, w, element),
                      quantized_block_at(w, quantized_block_of(w, element), c->nested), bias);
}

/* Whether 0 * (any weight of a block with this scale) is 0. Dense weights are finite here. */
static bool block_finite(const struct contract *c, float scale)
{
    if (c->format == FORMAT_DENSE)
        return true;
    return isfinite(c->scale == SCALE_WEIGHT ? dtype_round(c->out, format_value_max(c->format) * scale)
                                             : scale);
}

/* ---- lists of scales ---- */

static float stratified_f32(size_t i)
{
    static const uint32_t mantissas[] = {0, 1, 0x2aaaaa, 0x400000, 0x400001, 0x555555, 0x7fffff};
    enum { MANTISSAS = sizeof mantissas / sizeof mantissas[0] };
    return f32_from_bits((uint32_t)(i / MANTISSAS) << 23 |
                         mantissas[i % MANTISSAS]); /* sign and exponent: 0..511 */
}
enum { HALVES = 65536, STRATIFIED = 512 * 7, SCALES = 2 * HALVES + STRATIFIED };

static float listed_scale(size_t i)
{
    if (i < 65536)
        return f16_to_f32((uint16_t)i);
    return i < 131072 ? bf16_to_f32((uint16_t)i) : stratified_f32(i - 131072);
}

/* Entry b + phase of a list of `length` that is spread over `blocks` blocks, or runs around where it fits. */
static size_t list_place(size_t b, size_t blocks, size_t length, double phase)
{
    return blocks >= length ? b % length : (size_t)(((double)b + phase) / (double)blocks * (double)length);
}

/* Fills the scales of `blocks` blocks. NF4: of the list above; nested: every map entry in every group of 256
 * blocks, the group's scale from the stratified list. Others: all fp16 numbers, and every zero point that the
 * variant's layout can store. */
static void fill_scales(struct operands *o, size_t blocks, double phase, enum layout layout)
{
    struct operand_set *set = &o->sets[0];
    const struct problem *p = &o->problem;
    float *absmax = set->absmax.data, *nested = set->nested_absmax.data;
    uint8_t *codes = set->absmax_code.data, *zero = set->zero.data;
    uint16_t *scale = set->scale.data;
    unsigned least, most;
    layout_zero_range(layout, &least, &most);
    for (size_t b = 0; set->absmax.size && b < blocks; b++)
        absmax[b] = listed_scale(list_place(b, blocks, SCALES, phase));
    for (size_t b = 0; set->scale.size && b < blocks; b++)
        scale[b] = (uint16_t)list_place(b, blocks, HALVES, phase);
    for (size_t b = 0; p->format.zeros && b < blocks; b++)
        zero[b] = (uint8_t)(least + random_u64(p->seed, RANDOM_SCALES, b) % (most - least + 1));
    if (p->format.act_order)
        operands_draw_groups(o);
    if (!p->format.nested)
        return;
    size_t groups = nested_group_count(blocks);
    for (size_t b = 0; b < blocks; b++)
        codes[b] = (uint8_t)b;
    for (size_t g = 0; g < groups; g++)
        nested[g] = stratified_f32(list_place(g, groups, STRATIFIED, phase));
    o->nested_offset = 0.0123f;
}

/* Element i of the dense weights: all finite patterns of a 16-bit type, some of fp32. */
static uint32_t dense_bits(enum dtype t, size_t i)
{
    const uint32_t bits = t == DTYPE_F32 ? (uint32_t)i * 2654435761u : (uint32_t)i & 0xffff;
    const uint32_t infinity = t == DTYPE_F32 ? 0x7f800000 : t == DTYPE_F16 ? 0x7c00 : 0x7f80;
    return (bits & infinity) == infinity ? bits ^ (infinity & ~(infinity >> 1)) : bits;
}

static uint8_t byte_code(enum format f, size_t row, size_t column)
{
    const uint8_t code = (uint8_t)(64 * row + column);
    return f == FORMAT_FP8 && (code & 0x7f) == 0x7f ? code - 1 : code; /* a NaN spoils its sum */
}

static void fill_codes(struct operands *o)
{
    const struct problem *p = &o->problem;
    uint8_t *packed = o->sets[0].packed.data;
    const size_t count = problem_weight_count(p), k = p->k, bits = format_code_bits(p->format.kind, p->out);
    if (p->format.kind == FORMAT_DENSE) {
        for (size_t i = 0; i < count; i++) {
            const uint32_t word = dense_bits(p->out, i);
            memcpy(packed + i * bits / 8, &word, bits / 8);
        }
        return;
    }
    for (size_t byte = 0; byte < o->sets[0].packed.size; byte++) {
        unsigned code[2];
        for (size_t half = 0; half < 2; half++) {
            size_t i = 2 * byte + half, row = i / k, column = i % k;
            code[half] = i < count ? (row + column + column / 16) & 15 : 7;
        }
        packed[byte] =
            bits == 8 ? byte_code(p->format.kind, byte / k, byte % k) : (uint8_t)(code[0] << 4 | code[1]);
    }
}

/* ---- one-hot runs ---- */

/* An activation matrix with a single 1 per row, at positions[i]. */
static void set_one_hot(struct operands *o, const size_t *positions)
{
    size_t extent = o->problem.op == OP_GEMM ? o->problem.k : o->problem.n;
    memset(o->sets[0].x.data, 0, o->sets[0].x.size);
    for (size_t i = 0; i < o->problem.m; i++)
        dtype_store(o->problem.out, o->sets[0].x.data, i * extent + positions[i], 1.0f);
}

/* Which sums are free of weights that are not finite: one flag per row (gemm) or column (gemmdx) of W. */
static bool *finite_sums(const struct contract *c, const struct problem *p, const struct quantized *w)
{
    const size_t outputs = c->op == OP_GEMM ? p->n : p->k;
    bool *finite = malloc(outputs);
    if (!finite)
        return NULL;
    memset(finite, 1, outputs);
    for (size_t i = 0, last = SIZE_MAX, good = true; i < w->count; i++) {
        const size_t block = quantized_block_of(w, i);
        if (block != last)
            good = block_finite(c, quantized_block_at(w, block, c->nested).scale);
        last = block;
        if (!good)
            finite[c->op == OP_GEMM ? i / p->k : i % p->k] = false;
    }
    return finite;
}

/* What the outputs of a one-hot run show, for a diagnosis. */
struct shown {
    const struct problem *problem;
    const size_t *positions; /* of the 1 of each activation row */
    const void *bias;        /* or NULL */
};

static size_t shown_element(const void *context, size_t index)
{
    const struct shown *s = context;
    const struct problem *p = s->problem;
    size_t outputs = p->op == OP_GEMM ? p->n : p->k, i = index / outputs, j = index % outputs;
    return p->op == OP_GEMM ? j * p->k + s->positions[i] : s->positions[i] * p->k + j;
}

static float shown_bias(const void *context, size_t index)
{
    const struct shown *s = context;
    return s->bias ? dtype_load(s->problem->out, s->bias, index % s->problem->n) : 0.0f;
}

/* Runs the kernel on o (weights and bias filled) once per m positions and compares every output. */
static enum status run_one_hot(struct check *c, struct operands *o, const size_t *positions,
                               size_t position_count)
{
    const struct problem *p = &o->problem;
    const struct contract *contract = &c->kernel->contract;
    struct quantized w = operands_tensor(o, 0);
    size_t outputs = p->op == OP_GEMM ? p->n : p->k;
    const void *bias = p->bias ? o->sets[0].bias.data : NULL;
    struct matmul product = {.m = p->m, .n = p->n, .k = p->k, .a = o->sets[0].x.data, .bias = bias, .w = &w};
    size_t *now = malloc(p->m * sizeof *now);
    bool *finite = finite_sums(contract, p, &w);
    void *prepared = NULL;
    enum status s = now && finite ? STATUS_OK : status_fail(STATUS_MEMORY, "verify: out of memory");
    if (s == STATUS_OK)
        s = operands_prepare_for(o, 0, c->kernel, &prepared);
    for (size_t first = 0; first < position_count && s == STATUS_OK; first += p->m) {
        for (size_t i = 0; i < p->m; i++)
            now[i] = positions[(first + i) % position_count];
        set_one_hot(o, now);
        operands_rehash(o);
        if (!check_call(c, o, prepared))
            break;
        struct comparison all;
        comparison_init(&all);
#pragma omp parallel
        {
            struct comparison mine;
            comparison_init(&mine);
#pragma omp for schedule(static) nowait
            for (size_t j = 0; j < outputs; j++) {
                /* A sum spoiled by a non-finite weight is NaN or infinite by the contract's order; costly to
                 * follow, so every 16th is. */
                if (!finite[j] && (contract->accumulation == ACC_ANY || j % 16))
                    continue;
                for (size_t i = 0; i < p->m; i++) {
                    size_t element = p->op == OP_GEMM ? j * p->k + now[i] : now[i] * p->k + j;
                    float want = finite[j] ? one_hot_value(contract, &w, element,
                                                           bias ? dtype_load(p->out, bias, j) : 0.0f)
                                           : matmul_pinned_at(contract, &product, i, j);
                    uint32_t store = 0;
                    dtype_store(p->out, &store, 0, want);
                    uint32_t bits = dtype_load_bits(p->out, &store, 0);
                    uint32_t got = dtype_load_bits(p->out, o->sets[0].out.data, i * outputs + j);
                    compare_one(&mine, p->out, got, bits, dtype_bits_equal(p->out, got, bits),
                                i * outputs + j);
                }
            }
#pragma omp critical(one_hot)
            comparison_merge(&all, &mine);
        }
        c->out->compared += all.compared;
        if (all.mismatches) {
            const struct shown shown = {p, now, bias};
            const struct diagnose_weights d = {contract, &w, p->k, shown_element, shown_bias, &shown};
            size_t i = all.first / outputs;
            char where[320], weight[256];
            describe_weight(contract, &w, p->k, shown_element(&shown, all.first), weight, sizeof weight);
            snprintf(where, sizeof where, "activation row %zu is 1 at %zu only; %s", i, now[i], weight);
            check_failed(c, &all, where, diagnose_weights(&all, &d), p->m * outputs);
            break;
        }
    }
    if (c->kernel->unprepare)
        c->kernel->unprepare(prepared);
    free(finite);
    free(now);
    return s;
}

/* ---- the two checks ---- */

static size_t round_up(size_t v, size_t multiple)
{
    return multiple > 1 ? (v + multiple - 1) / multiple * multiple : v;
}

enum status check_exhaustive_decode(struct check *c)
{
    const struct problem *real = &c->operands->problem;
    const struct kernel *k = c->kernel;
    struct problem p = *real;
    p.bias = false;
    p.m = real->m < 16 ? real->m : 16;
    const bool slow = device_slow(c->operands->device), checked = c->operands->device->checked;
    /* Once per blocksize (under the executor once) and way of calling; the further ones, which may take other
     * paths, on a part. */
    const size_t kind = 4 * p.format.blocksize + 2 * p.format.zeros + p.format.act_order;
    bool seen = verifier_decode_done(c->verifier, k, slow ? 0 : kind, SIZE_MAX);
    if (verifier_decode_done(c->verifier, k, kind, p.m))
        return STATUS_OK;
    if (p.format.kind == FORMAT_DENSE)
        p.format.blocksize = 64; /* there are no scales: all numbers of the type, in rows */
    if (p.op == OP_GEMMDX && p.format.blocksize == real->k && (p.format.blocksize & (p.format.blocksize - 1)))
        p.format.blocksize =
            64; /* rows of several blocks are what shows them all, and these are powers of two */
    /* With act-order a row has several blocks, or there would be no order. */
    enum { ACT_ORDER_BLOCKS = 4 };
    const size_t across = p.format.act_order && p.format.blocksize != real->k ? ACT_ORDER_BLOCKS : 1;
    size_t width = round_up(across * p.format.blocksize, k->k_multiple),
           blocks = p.format.nested                 ? (size_t)STRATIFIED * 256
                    : p.format.kind == FORMAT_NF4   ? SCALES
                    : p.format.kind == FORMAT_DENSE ? HALVES / 64
                                                    : HALVES;
    blocks /= across; /* rows, from here on */
    const size_t elements = p.format.kind == FORMAT_NF4 ? DECODE_ELEMENTS_MAX : DECODE_ELEMENTS_FEWER;
    blocks = blocks > elements / width ? elements / width : blocks;
    /* A product shows one weight for each sum, too many sums for the executor; and under its checker bits are
     * not the point. These take a share of the scales, another one for each seed. */
    enum { SLOW_BLOCKS = 2048, CHECKED_PART = 16 };
    size_t share = 1;
    if (slow && real->op != OP_DEQUANT)
        share = blocks / (SLOW_BLOCKS / (checked ? CHECKED_PART : 1)) + 1;
    else if (slow && checked)
        share = CHECKED_PART;
    blocks /= (seen ? 16 : 1) * share;
    blocks = round_up(blocks, seen && slow ? 64 : 256);
    if (p.op == OP_GEMMDX) {
        /* One-hot over rows shows whole rows: 16 of them hold all blocks, or as many as the layout takes. */
        p.n = 16;
        while (p.n < ROWS_MAX && layout_inapplicable(kernel_layout(k), &p))
            p.n *= 2;
        p.k = blocks / p.n * width;
    } else {
        p.n = blocks;
        p.k = width;
    }
    if (p.format.kind == FORMAT_DENSE)
        p.format.blocksize = p.k;
    struct operands o;
    enum status s = operands_init_blank(&p, c->operands->device, &o);
    if (s != STATUS_OK)
        return s;
    fill_codes(&o);
    fill_scales(&o, problem_block_count(&o.problem), (double)(real->seed % share) / (double)share,
                kernel_layout(k));
    operands_rehash(&o);
    if (p.op == OP_DEQUANT) {
        struct comparison cmp;
        bool called = false;
        comparison_init(&cmp);
        s = check_calls_on_other_codes(c, &o, &called);
        if (called)
            s = check_dequantized(c, &o, &cmp, NULL);
    } else {
        size_t positions[ROWS_MAX], count = p.op == OP_GEMMDX ? p.n : p.k < 16 ? p.k : 16;
        for (size_t i = 0; i < count; i++)
            positions[i] = i;
        s = run_one_hot(c, &o, positions, count);
    }
    operands_release(&o);
    return s;
}

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

enum status first_weights(struct check *c, bool with_bias, struct operands *o)
{
    const struct operands *real = c->operands;
    struct problem p = real->problem;
    p.bias = with_bias;
    size_t *other = p.op == OP_GEMM ? &p.n : &p.k;
    const bool blocks_by_row = p.op == OP_GEMMDX && (c->kernel->whole_blocks || p.format.kind != FORMAT_NF4);
    /* One block a row, or blocks of scattered columns: rows stay whole. */
    const bool whole_rows = blocks_by_row && (p.format.act_order || p.format.blocksize == p.k);
    if (*other > 2 * ONE_HOT_OTHER && !whole_rows)
        *other = ONE_HOT_OTHER + *other % ONE_HOT_OTHER;
    if (blocks_by_row && !whole_rows)
        *other = round_up(*other, p.format.blocksize);
    enum status s = operands_init_blank(&p, c->operands->device, o);
    if (s != STATUS_OK)
        return s;
    struct operand_set *to = &o->sets[0], *from = &real->sets[0];
    const struct {
        struct buffer *to;
        const struct buffer *from;
    } parts[] = {{&to->packed, &from->packed},
                 {&to->absmax, &from->absmax},
                 {&to->absmax_code, &from->absmax_code},
                 {&to->nested_absmax, &from->nested_absmax},
                 {&to->scale, &from->scale},
                 {&to->zero, &from->zero},
                 {&to->group_of, &from->group_of}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        memcpy(parts[i].to->data, parts[i].from->data, parts[i].to->size);
    memcpy(o->nested_map.data, real->nested_map.data, o->nested_map.size);
    o->nested_offset = real->nested_offset;
    if (with_bias && real->problem.bias)
        memcpy(to->bias.data, from->bias.data, to->bias.size);
    return STATUS_OK;
}

enum status check_one_hot(struct check *c)
{
    const struct problem *real = &c->operands->problem;
    size_t *positions = malloc(POSITIONS_MAX * sizeof *positions);
    struct operands o;
    enum status s = first_weights(c, real->bias, &o);
    if (s != STATUS_OK) {
        free(positions);
        return s;
    }
    size_t extent = real->op == OP_GEMM ? real->k : real->n;
    size_t count = positions ? choose_positions(extent, real->seed, positions) : 0;
    if (real->m && device_slow(c->operands->device))
        count = draw_positions(positions, count, ONE_HOT_LAUNCHES * real->m, real->seed);
    s = count ? run_one_hot(c, &o, positions, count) : status_fail(STATUS_MEMORY, "verify: out of memory");
    operands_release(&o);
    free(positions);
    return s;
}
