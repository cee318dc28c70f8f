#include "harness/verify/diagnose.h"

#include <math.h>

#include "harness/verify/check_run.h"
#include "reference/dtype.h"

/* ---- bits ---- */

static uint32_t sign_bit(enum dtype t)
{
    return t == DTYPE_F32 ? 0x80000000u : 0x8000u;
}

static bool is_subnormal(enum dtype t, uint32_t bits)
{
    static const uint32_t smallest[] = {
        [DTYPE_F32] = 0x00800000, [DTYPE_F16] = 0x0400, [DTYPE_BF16] = 0x0080};
    uint32_t magnitude = bits & (sign_bit(t) - 1);
    return magnitude != 0 && magnitude < smallest[t];
}

static bool is_zero(enum dtype t, uint32_t bits)
{
    return (bits & (sign_bit(t) - 1)) == 0;
}

static bool all_flushed(const struct comparison *c, enum dtype t)
{
    for (size_t i = 0; i < c->kept_count; i++)
        if (!is_subnormal(t, c->kept[i].want) || !is_zero(t, c->kept[i].got))
            return false;
    return c->kept_count > 0;
}

/* ---- weights ---- */

static struct quantized_block block_at(const struct diagnose_weights *d, size_t block, enum nested how)
{
    const size_t blocks = nf4_block_count(d->w->count, d->w->blocksize);
    return block < blocks ? quantized_block_at(d->w, block, how) : (struct quantized_block){NAN, 0};
}

static uint32_t code_of(const struct diagnose_weights *d, size_t element)
{
    return element < d->w->count ? quantized_code_at(d->contract, d->w, element) : 7;
}

/* The output's bits. */
static uint32_t bits_of(const struct diagnose_weights *d, const struct contract *c, uint32_t code,
                        struct quantized_block b, size_t index)
{
    return dtype_value_bits(c->out, d->bias ? one_hot_of(c, code, b, d->bias(d->context, index))
                                            : quantized_weight(c, code, b));
}

/* If rows began blocks. */
static size_t block_by_row(const struct diagnose_weights *d, size_t element)
{
    const size_t row = element / d->columns, column = element % d->columns, size = d->w->blocksize;
    return row * (d->columns / size) + column / size;
}

static uint32_t other_decode_bits(const struct diagnose_weights *d, size_t element, size_t index)
{
    struct contract c = *d->contract;
    c.decode = c.decode == DECODE_OUT ? DECODE_F32 : DECODE_OUT;
    return bits_of(d, &c, code_of(d, element), block_at(d, quantized_block_of(d->w, element), c.nested),
                   index);
}

static struct quantized_block block_without_offset(const struct diagnose_weights *d, size_t block)
{
    struct quantized w = *d->w;
    struct diagnose_weights same = *d;
    w.nested.offset = 0;
    same.w = &w;
    return block_at(&same, block, d->contract->nested);
}

/* The element whose code AWQ's word holds where the column would be if columns were in order. */
static size_t awq_in_order(const struct diagnose_weights *d, size_t element)
{
    static const size_t held[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    const size_t row = element / d->columns;
    return (row / 8 * 8 + held[row % 8]) * d->columns + element % d->columns;
}

static uint32_t through_f16_bits(const struct diagnose_weights *d, uint32_t code, struct quantized_block b)
{
    const struct contract plain = {.format = d->contract->format, .op = OP_DEQUANT, .out = d->contract->out};
    return dtype_value_bits(plain.out,
                            f16_to_f32(f16_from_f32(quantized_decode(&plain, code, b.zero) * b.scale)));
}

/* X(name, of which contracts, what the error would have written for element e, what a person reads). The first
 * that explains all mismatches is given. blocks_by_row: rows of other formats begin blocks, and are not wrong
 * for that. */
#define CAUSE_MAP(X)                                                                                         \
    X(other_nibble, ALL, BITS(e ^ 1, OWN),                                                                   \
      "swapped nibbles: each is what the other nibble of its byte gives")                                    \
    X(blocks_by_row, FORMAT(NF4), BITS(e, BLOCK(block_by_row(d, e))),                                        \
      "blocks counted by row: each has the scale that it would have if rows began blocks")                   \
    X(next_block, ALL, BITS(e, BLOCK(PLACE + 1)), "shifted block: each has the scale of the next block")     \
    X(previous_block, ALL, BITS(e, BLOCK(PLACE - 1)),                                                        \
      "shifted block: each has the scale of the block before")                                               \
    X(next_element, ALL, BITS(e + 1, BLOCK((e + 1) / d->w->blocksize)),                                      \
      "shifted by one: each is what the next element gives")                                                 \
    X(previous_element, ALL, BITS(e - 1, BLOCK((e - 1) / d->w->blocksize)),                                  \
      "shifted by one: each is what the element before gives")                                               \
    X(unscaled, ALL, BITS(e, WITH(1, OWN.zero)), "wrong scale: each is the codebook's value without absmax") \
    X(scaled_twice, ALL, BITS(e, WITH((OWN.scale) * (OWN.scale), OWN.zero)),                                 \
      "wrong scale: each is multiplied by absmax twice")                                                     \
    X(other_decode, ALL, other_decode_bits(d, e, m->index),                                                  \
      "the codebook is rounded to the output type first, or is not where it should be")                      \
    X(other_recovery, NESTED,                                                                                \
      BITS(e, block_at(d, PLACE, d->contract->nested == NESTED_FUSED ? NESTED_TWOSTEP : NESTED_FUSED)),      \
      "nested scales are recovered with one rounding for two, or two for one")                               \
    X(without_offset, NESTED, BITS(e, block_without_offset(d, PLACE)), "nested scales lack their offset")    \
    X(zero_above, FORMAT(INT4), BITS(e, WITH(OWN.scale, OWN.zero + 1)),                                      \
      "zero points are one too large: each is what the zero point + 1 gives")                                \
    X(zero_below, FORMAT(INT4), BITS(e, WITH(OWN.scale, OWN.zero - 1)),                                      \
      "zero points are one too small: version 1 of GPTQ stores them less 1")                                 \
    X(zero_ignored, FORMAT(INT4), BITS(e, WITH(OWN.scale, 8)), "zero points ignored: each is what 8 gives")  \
    X(groups_in_order, FORMAT(INT4), BITS(e, BLOCK(e / d->w->blocksize)),                                    \
      "g_idx ignored: each has the scale that it would have if groups were in order")                        \
    X(awq_order, FORMAT(INT4), BITS(awq_in_order(d, e), OWN),                                                \
      "AWQ's order of columns ignored: each has the code of the column that its nibble's place counts")      \
    X(through_f16, ALL, through_f16_bits(d, code_of(d, e), OWN),                                             \
      "rounded twice: each is rounded to fp16 on the way")

#define ALL                  true
#define FORMAT(name)         d->contract->format == FORMAT_##name
#define NESTED               d->contract->nested != NESTED_NONE
#define PLACE                quantized_block_of(d->w, e)
#define BLOCK(block)         block_at(d, block, d->contract->nested)
#define OWN                  BLOCK(PLACE)
#define WITH(scale, zero)    ((struct quantized_block){scale, zero})
#define BITS(element, block) bits_of(d, d->contract, code_of(d, element), block, m->index)
#define X(name, applies, bits, text)                                                                         \
    static bool name(const struct diagnose_weights *d, const struct mismatch *m)                             \
    {                                                                                                        \
        const size_t e = d->element(d->context, m->index);                                                   \
        return applies && bits == m->got;                                                                    \
    }
CAUSE_MAP(X)
#undef X

/* All mismatches are of one code, and other codes are among what was compared: else that says little. */
static bool one_code(const struct comparison *c, const struct diagnose_weights *d)
{
    if (c->kept_count < 4 || c->mismatches * 2 > c->compared)
        return false;
    uint32_t code = code_of(d, d->element(d->context, c->kept[0].index));
    for (size_t i = 1; i < c->kept_count; i++)
        if (code_of(d, d->element(d->context, c->kept[i].index)) != code)
            return false;
    return true;
}

const char *diagnose_weights(const struct comparison *c, const struct diagnose_weights *d)
{
    static const struct {
        bool (*explains)(const struct diagnose_weights *, const struct mismatch *);
        const char *text;
    } causes[] = {
#define X(name, applies, bits, text) {name, text},
        CAUSE_MAP(X)
#undef X
    };
    if (all_flushed(c, d->contract->out)) /* which a scale that is too small would give as well */
        return "";
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        size_t explained = 0;
        /* NaN says nothing of where it came from: what was not written is NaN as well. */
        while (explained < c->kept_count && !dtype_bits_nan(d->contract->out, c->kept[explained].got) &&
               causes[i].explains(d, &c->kept[explained]))
            explained++;
        if (explained && explained == c->kept_count)
            return causes[i].text;
    }
    return one_code(c, d) ? "wrong codebook: all are of one code" : "";
}

/* ---- values ---- */

const char *diagnose_values(const struct comparison *c, enum dtype t)
{
    size_t nan = 0, zero_sign = 0, truncated = 0, away = 0, zero = 0, negated = 0, infinite = 0;
    if (t == DTYPE_U8 || c->kept_count == 0)
        return "";
    for (size_t i = 0; i < c->kept_count; i++) {
        uint32_t got = c->kept[i].got, want = c->kept[i].want, sign = sign_bit(t), below = sign - 1;
        nan += dtype_bits_nan(t, got) && !dtype_bits_nan(t, want);
        zero_sign += is_zero(t, got) && is_zero(t, want);
        zero += is_zero(t, got);
        truncated += got + 1 == want && (got & sign) == (want & sign);
        away += got == want + 1 && (got & sign) == (want & sign);
        negated += got == (want ^ sign) && !is_zero(t, want);
        infinite += (got & below) < (want & below) && dtype_bits_nan(t, (want & below) + 1) &&
                    !dtype_bits_nan(t, want);
    }
    size_t all = c->kept_count;
    return nan == all          ? "NaN where a number belongs: not written, or computed from what was not"
           : zero_sign == all  ? "zeros of the other sign"
           : all_flushed(c, t) ? "denormals flushed to zero"
           : negated == all    ? "the other sign"
           : zero == all       ? "zero where another number belongs"
           : infinite == all   ? "infinities became large numbers"
           : truncated == all  ? "truncated: each is the next number toward zero"
           : away == all       ? "each is the next number away from zero"
                               : "";
}

/* ---- places ---- */

const char *diagnose_places(const struct comparison *c, size_t blocksize, size_t count)
{
    enum { WARP = 32 };
    size_t span = c->mismatches ? c->last - c->first + 1 : 0;
    if (c->mismatches == 0)
        return "";
    if (c->mismatches == count)
        return "every element differs";
    if (c->mismatches == 1)
        return c->last == count - 1 ? "the last element differs" : "one element differs";
    if (c->mismatches == span && c->last == count - 1 && span < count / 2)
        return "the tail differs";
    if (c->mismatches > 4 && (c->lanes & (c->lanes - 1)) == 0)
        return "one lane of each warp: every 32nd element";
    if (c->mismatches > 4 && (c->odd_mismatches == 0 || c->odd_mismatches == c->mismatches))
        return c->odd_mismatches ? "only odd elements differ" : "only even elements differ";
    if (c->mismatches > 1 && c->first / WARP == c->last / WARP)
        return "one warp: all lie within 32 elements that begin at a multiple of 32";
    if (blocksize && c->mismatches == span && c->first % blocksize == 0 && span % blocksize == 0)
        return span == blocksize ? "one whole block differs" : "a run of whole blocks differs";
    if (blocksize && c->first / blocksize == c->last / blocksize)
        return "one block differs";
    if (c->mismatches == span)
        return "a run of elements without a gap";
    if (c->first >= count / 2)
        return "only the second half differs";
    return "";
}
