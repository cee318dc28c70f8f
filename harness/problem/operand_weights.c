/*
 * problem/operand_weights.c: the weights of a problem: quantized by the reference from seeded numbers or from
 * a file's dense tensor, or a checkpoint's as they are.
 *
 * They are made in pieces, so that no dense copy of a large matrix is ever held.
 */
#include "harness/problem/operands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/safetensors.h"
#include "reference/fp8.h"
#include "reference/grouped_int4.h"
#include "reference/int4.h"

enum {
    PIECE = 4096 * 256 * 4, /* weights, about; a multiple of 256 of NF4's largest blocks */
};

/* ---- how well they fit ---- */

/* Sums for weight_fit, accumulated over pieces, of weights in one format. */
struct fit_sums {
    double signal, error, max;
};

static void add_fit(struct fit_sums *sums, const float *dense, const float *decoded, size_t count)
{
    double error = 0, signal = 0, max = 0;
#pragma omp parallel for reduction(+ : error, signal) reduction(max : max)
    for (size_t i = 0; i < count; i++) {
        double d = (double)dense[i] - (double)decoded[i];
        error += d * d;
        signal += (double)dense[i] * (double)dense[i];
        max = fabs(d) > max ? fabs(d) : max;
    }
    sums->signal += signal;
    sums->error += error;
    sums->max = fmax(sums->max, max);
}

/* Of the piece, and of absmax int4 at its blocksize. */
static void fit_piece(struct fit_sums *sums, struct fit_sums *int4, const float *dense,
                      const struct quantized *piece, float *scratch)
{
    const struct contract plain = {.format = piece->format, .op = OP_DEQUANT, .out = DTYPE_F32};
    quantized_dequantize(&plain, piece, scratch);
    add_fit(sums, dense, scratch, piece->count);
    int4_absmax_roundtrip(dense, piece->count, piece->blocksize, scratch);
    add_fit(int4, dense, scratch, piece->count);
}

/* Dense weights in a file; NULL pointers stand for synthetic ones. */
struct dense_source {
    const struct safetensors *file;
    const char *name;
};

static enum status read_piece(const struct operands *o, const struct dense_source *dense, size_t first,
                              size_t length, float *piece)
{
    if (dense)
        return weight_dense_part(dense->file, dense->name, first, length, piece);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < length; i++)
        piece[i] = 0.02f * random_normal(o->problem.seed, RANDOM_WEIGHTS, first + i);
    return STATUS_OK;
}

/* ---- quantizing a piece ---- */

/* Where a piece of the weights goes: arrays that begin with the piece's first element and block. */
struct piece {
    const float *dense;
    size_t count, blocksize, rows, columns;
    uint8_t *packed, *zero;
    float *absmax;
    uint16_t *scale;
    const uint32_t *group_of;
};

/* Symmetric, rounded to the nearest: scale = max|x| / most in fp16, and 1 for a block of zeros. */
static void quantize_symmetric(const struct piece *p, float most, bool fp8)
{
#pragma omp parallel for schedule(static)
    for (size_t b = 0; b < p->count / p->blocksize; b++) {
        const float *x = p->dense + b * p->blocksize;
        uint8_t *code = p->packed + b * p->blocksize;
        float largest = 0;
        for (size_t i = 0; i < p->blocksize; i++)
            largest = fmaxf(largest, fabsf(x[i]));
        p->scale[b] = f16_from_f32(largest / most);
        if (f16_to_f32(p->scale[b]) == 0)
            p->scale[b] = f16_from_f32(1);
        for (size_t i = 0; i < p->blocksize; i++) {
            const float y = x[i] / f16_to_f32(p->scale[b]);
            code[i] = fp8 ? fp8_from_f32(y) : (uint8_t)(int8_t)fminf(fmaxf(rintf(y), -most), most);
        }
    }
}

static bool quantize_int4(const struct piece *p)
{
    const size_t blocks = p->count / p->blocksize;
    struct grouped_int4 w = {.n = p->rows,
                             .k = p->columns,
                             .group = p->blocksize,
                             .q = malloc(p->count),
                             .zero = malloc(blocks),
                             .scale = p->scale,
                             .group_of = p->group_of};
    const bool ok = w.q && w.zero;
    if (ok) {
        int4_quantize(p->dense, !p->zero, &w);
        /* Not every layout can store a zero point of 0: such blocks, whose weights are all positive, are
         * moved up by one. */
        for (size_t i = 0; p->zero && i < p->count; i++)
            if (w.zero[i / p->columns * (p->columns / p->blocksize) + int4_group_of(&w, i % p->columns)] == 0)
                w.q[i] = w.q[i] < INT4_MAX ? w.q[i] + 1 : INT4_MAX;
        for (size_t b = 0; p->zero && b < blocks; b++)
            p->zero[b] = w.zero[b] ? w.zero[b] : 1;
        nf4_pack(w.q, p->count, p->packed);
        if (p->count % 2) /* an odd end: the nibble over is of no weight */
            p->packed[p->count / 2] &= 0xf0;
    }
    free(w.q);
    free(w.zero);
    return ok;
}

static enum status quantize_piece(const struct problem *problem, const struct piece *p)
{
    const enum format f = problem->format.kind;
    if (f == FORMAT_INT4 && !quantize_int4(p))
        return status_no_memory("weights");
    if (f == FORMAT_NF4)
        nf4_quantize(p->dense, p->count, p->blocksize, p->packed, p->absmax);
    if (f == FORMAT_INT8 || f == FORMAT_FP8)
        quantize_symmetric(p, f == FORMAT_FP8 ? FP8_MAX : 127, f == FORMAT_FP8);
    for (size_t i = 0; f == FORMAT_DENSE && i < p->count; i++)
        dtype_store(problem->out, p->packed, i, p->dense[i]);
    return STATUS_OK;
}

/* ---- all of them ---- */

static const uint8_t *at(const struct buffer *b, size_t bytes)
{
    return b->size ? (const uint8_t *)b->data + bytes : NULL;
}

/* GROUPS_IN_PART, in turns of 128 columns: the first 64 have one of eight that changes places, the next 32 have none, the last
 * 32 have one, which is the last, the first or a drawn one. */
enum { TURN = 128, EIGHTS = 8, ALONE = 96, TURN_MOVES = EIGHTS + 1 };

static size_t moved_count(const struct problem *p, enum group_order order)
{
    const size_t rest = p->k % TURN / 8;
    return order == GROUPS_SHUFFLED ? p->k : p->k / TURN * TURN_MOVES + (rest < EIGHTS ? rest : +EIGHTS);
}

/* The ith column that changes places. */
static size_t moved_column(const struct problem *p, enum group_order order, size_t i)
{
    if (order == GROUPS_SHUFFLED)
        return i;
    const size_t turn = i / TURN_MOVES, place = i % TURN_MOVES;
    const uint64_t drawn = random_u64(p->seed, RANDOM_GROUPS, p->k + i);
    if (place < EIGHTS)
        return turn * TURN + place * 8 + drawn % 8;
    const size_t alone[] = {31, 0, drawn % 32};
    return turn * TURN + ALONE + alone[turn % 3];
}

void operands_draw_groups(struct operands *o, enum group_order order)
{
    const struct problem *p = &o->problem;
    uint32_t *group_of = o->sets[0].group_of.data;
    for (size_t k = 0; k < p->k; k++)
        group_of[k] = (uint32_t)(k / p->format.blocksize);
    for (size_t i = moved_count(p, order); i-- > 1;) {
        const size_t j = random_u64(p->seed, RANDOM_GROUPS, i) % (i + 1);
        uint32_t *one = group_of + moved_column(p, order, i), *other = group_of + moved_column(p, order, j);
        const uint32_t swap = *one;
        *one = *other;
        *other = swap;
    }
}

/* Quantizes w piece by piece into the first set; NF4's absmax goes to `absmax`. */
static enum status quantize_weights(struct operands *o, const struct dense_source *dense, float *absmax)
{
    const struct problem *p = &o->problem;
    const struct operand_set *set = &o->sets[0];
    const size_t count = problem_weight_count(p);
    /* NF4's blocks go on from row to row; all others' pieces are whole rows, an even number of them. */
    const size_t rows = p->format.kind == FORMAT_NF4 ? 0 : p->k < PIECE / 2 ? PIECE / p->k / 2 * 2 : 2;
    const size_t step = rows ? rows * p->k : PIECE, longest = count < step ? count : step;
    float *piece = malloc(longest * sizeof *piece),
          *scratch = dense ? malloc(longest * sizeof *scratch) : NULL;
    enum status s = STATUS_OK;
    struct fit_sums sums = {0}, int4 = {0};
    if (!piece || (dense && !scratch))
        s = status_no_memory("weights");
    for (size_t first = 0; s == STATUS_OK && first < count; first += step) {
        const size_t length = count - first < step ? count - first : step,
                     block = first / p->format.blocksize;
        s = read_piece(o, dense, first, length, piece);
        if (s != STATUS_OK)
            break;
        const struct piece q = {
            .dense = piece,
            .count = length,
            .blocksize = p->format.blocksize,
            .rows = length / p->k,
            .columns = p->k,
            .packed = (uint8_t *)at(&set->packed, format_packed_bytes(p->format.kind, p->out, first)),
            .zero = (uint8_t *)at(&set->zero, block),
            .absmax = absmax ? absmax + block : NULL,
            .scale = (uint16_t *)(void *)at(&set->scale, 2 * block),
            .group_of = (const uint32_t *)(const void *)at(&set->group_of, 0)};
        s = quantize_piece(p, &q);
        if (s == STATUS_OK && dense && p->format.kind != FORMAT_DENSE) {
            const struct quantized t = {.format = p->format.kind,
                                        .count = length,
                                        .columns = p->k,
                                        .blocksize = p->format.blocksize,
                                        .packed = q.packed,
                                        .absmax = q.absmax,
                                        .scale = q.scale,
                                        .zero = q.zero,
                                        .group_of = q.group_of};
            fit_piece(&sums, &int4, piece, &t, scratch);
        }
    }
    if (dense && s == STATUS_OK && p->format.kind != FORMAT_DENSE)
        o->fit = (struct weight_fit){.sqnr_db = 10 * log10(sums.signal / sums.error),
                                     .max_abs_error = sums.max,
                                     .int4_sqnr_db = 10 * log10(sums.signal / int4.error),
                                     .int4_max_abs_error = int4.max};
    free(piece);
    free(scratch);
    return s;
}

/* Quantizes (dense, or synthetic where it is NULL) and, for a nested problem, quantizes the scales. */
static enum status make_weights(struct operands *o, const struct dense_source *dense)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    if (p->format.act_order)
        operands_draw_groups(o, GROUPS_SHUFFLED);
    if (!p->format.nested)
        return quantize_weights(o, dense, set->absmax.size ? set->absmax.data : NULL);
    size_t blocks = problem_block_count(p);
    float *absmax = malloc(blocks * sizeof *absmax);
    if (!absmax)
        return status_no_memory("absmax");
    enum status s = quantize_weights(o, dense, absmax);
    if (s == STATUS_OK)
        o->nested_offset = nested_quantize(absmax, blocks, o->nested_map.data, set->absmax_code.data,
                                           set->nested_absmax.data);
    free(absmax);
    return s;
}

static void copy_part(struct buffer *to, const void *from)
{
    if (to->size)
        memcpy(to->data, from, to->size);
}

/* Copies a stored tensor; sizes were checked by weight_checkpoint against its own shape, here against ours.
 */
static enum status copy_checkpoint(struct operands *o, const struct quantized *t)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    if (t->format != p->format.kind || t->count != problem_weight_count(p) || t->columns != p->k ||
        t->blocksize != p->format.blocksize ||
        (p->format.kind == FORMAT_NF4 && (t->absmax == NULL) != p->format.nested) ||
        (t->zero != NULL) != p->format.zeros || (t->group_of != NULL) != p->format.act_order)
        return status_fail(
            STATUS_INPUT, "%s: the tensor is not the %s of %zu x %zu, blocksize %zu%s%s%s that was asked for",
            p->weights, format_word(p->format.kind), p->n, p->k, p->format.blocksize,
            p->format.nested ? ", nested" : "", p->format.zeros ? ", with zero points" : "",
            p->format.act_order ? ", with act-order" : "");
    copy_part(&set->packed, t->packed);
    copy_part(&set->scale, t->scale);
    copy_part(&set->zero, t->zero);
    copy_part(&set->group_of, t->group_of);
    copy_part(&set->absmax, t->absmax);
    copy_part(&set->absmax_code, t->nested.codes);
    copy_part(&set->nested_absmax, t->nested.nested_absmax);
    copy_part(&o->nested_map, t->nested.map);
    o->nested_offset = t->nested.offset;
    return STATUS_OK;
}

static enum status load_weights(struct operands *o)
{
    const struct problem *p = &o->problem;
    char path[WEIGHTS_TEXT_MAX];
    snprintf(path, sizeof path, "%s", p->weights);
    /* The tensor's name is what follows the last colon: tensor names have none, paths may. */
    char *colon = strrchr(path, ':');
    if (!colon)
        return status_fail(STATUS_USAGE, "weights=%s: neither 'normal' nor FILE:TENSOR", p->weights);
    *colon = '\0';
    const char *name = colon + 1;
    struct safetensors file;
    enum status s = STATUS_OK;
    TRY(safetensors_open(path, &file));
    if (p->checkpoint) {
        struct quantized t;
        void *owned = NULL;
        s = weight_checkpoint(&file, name, &t, &owned);
        if (s == STATUS_OK)
            s = copy_checkpoint(o, &t);
        free(owned);
    } else {
        const struct safetensor *tensor = safetensors_find(&file, name);
        if (tensor && tensor->count != problem_weight_count(p))
            s = status_fail(STATUS_INPUT, "%s: the tensor has %zu elements, not %zu x %zu", p->weights,
                            tensor->count, p->n, p->k);
        else
            s = make_weights(o, &(struct dense_source){&file, name});
    }
    safetensors_release(&file);
    return s;
}

enum status operands_make_weights(struct operands *o)
{
    return strcmp(o->problem.weights, "normal") == 0 ? make_weights(o, NULL) : load_weights(o);
}
