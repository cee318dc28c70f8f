/*
 * exhaustive_decode: all 16 codes under every fp16 and bf16 value of absmax and fp32 values from every binade,
 * denormal, infinite and NaN included; nested: every map entry under scales of every binade; other formats:
 * every code, every fp16 scale and every zero point that the layout can store. A decode error anywhere in the
 * codebook or in the rounding shows: real weights have few of these scales. Products get at single weights
 * with one-hot activations (one_hot_run.c); under the executor, which is slow, with a share of the scales,
 * another one for each seed.
 */
#include <string.h>

#include "harness/base/random.h"
#include "harness/verify/check_run.h"

enum {
    DECODE_ELEMENTS_MAX = 1 << 24,   /* weights in the exhaustive problem, at most */
    DECODE_ELEMENTS_FEWER = 1 << 22, /* of formats with one list of scales: all of it with blocks up to 64 */
    ROWS_MAX = 64,                   /* of W in the exhaustive problem of gemmdx */
};

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
void decode_fill_scales(struct operands *o, size_t blocks, double phase, enum layout layout)
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
        operands_draw_groups(o, GROUPS_SHUFFLED);
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

void decode_fill_codes(struct operands *o)
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

static size_t round_up(size_t v, size_t multiple)
{
    return multiple > 1 ? (v + multiple - 1) / multiple * multiple : v;
}

size_t kind_of_blocks(const struct problem *p)
{
    return 4 * p->format.blocksize + 2 * p->format.zeros + p->format.act_order;
}

/* Whether the variant has passed on this kind of blocks with this m. */
bool is_decoded(const struct verifier *v, const struct kernel *k, size_t blocks, size_t m)
{
    for (size_t i = 0; i < v->decoded_count; i++)
        if (v->decoded[i].kernel == k && v->decoded[i].blocks == blocks && v->decoded[i].m == m)
            return true;
    return false;
}

void remember_decoded(struct verifier *v, const struct kernel *k, size_t blocks, size_t m)
{
    if (!is_decoded(v, k, blocks, m) && v->decoded_count < DECODED_MAX)
        v->decoded[v->decoded_count++] = (struct decoded_variant){k, blocks, m};
}

enum status decoded_right(struct check_run *c, struct operands *o, size_t count, bool anywhere)
{
    const struct problem *p = &o->problem;
    if (p->op == OP_DEQUANT) {
        struct comparison cmp = {0};
        bool called = false;
        TRY(check_calls_on_other_codes(c, o, &called));
        return called ? check_dequantized(c, o, &cmp, NULL) : STATUS_OK;
    }
    size_t positions[ROWS_MAX];
    for (size_t i = 0; i < count; i++)
        positions[i] =
            anywhere ? random_u64(p->seed, RANDOM_POSITIONS, i) % (p->op == OP_GEMMDX ? p->n : p->k) : i;
    return one_hot_run(c, o, 1, positions, count);
}

enum status check_exhaustive_decode(struct check_run *c)
{
    const struct problem *real = &c->operands->problem;
    const struct kernel *k = c->kernel;
    struct problem p = *real;
    p.bias = false;
    p.m = real->m < 16 ? real->m : 16;
    const bool slow = device_slow(c->operands->device), checked = c->operands->device->checked;
    /* Once per blocksize (under the executor once) and way of calling; the further ones, which may take other
     * paths, on a part. */
    const size_t kind = kind_of_blocks(&p);
    const size_t every_m = slow ? 0 : kind, m = p.m;
    const bool seen = is_decoded(c->verifier, k, every_m, SIZE_MAX);
    if (is_decoded(c->verifier, k, kind, m))
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
    TRY(operands_init_blank(&p, c->operands->device, &o));
    decode_fill_codes(&o);
    decode_fill_scales(&o, problem_block_count(&o.problem), (double)(real->seed % share) / (double)share,
                kernel_layout(k));
    operands_rehash(&o);
    enum status s = decoded_right(c, &o, p.op == OP_GEMMDX ? p.n : p.k < 16 ? p.k : 16, false);
    operands_release(&o);
    /* Only a PASS holds for other problems: a variant that failed here fails on each of them. */
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS) {
        remember_decoded(c->verifier, k, every_m, SIZE_MAX);
        remember_decoded(c->verifier, k, kind, m);
    }
    return s;
}
