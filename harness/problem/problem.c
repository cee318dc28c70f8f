#include "harness/problem/problem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/quantized.h"
#include "reference/repack.h"

bool problem_format(const struct problem *p, char *text, size_t size)
{
    char m[32] = "", bias[16] = "", weights[96];
    if (op_is_product(p->op))
        snprintf(m, sizeof m, " m=%zu", p->m);
    if (p->op == OP_GEMM)
        snprintf(bias, sizeof bias, " bias=%d", p->bias);
    const struct weight_format *f = &p->format;
    if (f->kind == FORMAT_NF4)
        snprintf(weights, sizeof weights, " blocksize=%zu nested=%d", f->blocksize, f->nested);
    else if (f->kind == FORMAT_DENSE)
        snprintf(weights, sizeof weights, " format=dense");
    else if (f->kind == FORMAT_INT4)
        snprintf(weights, sizeof weights, " format=int4 blocksize=%zu zeros=%d actorder=%d", f->blocksize,
                 f->zeros, f->act_order);
    else
        snprintf(weights, sizeof weights, " format=%s blocksize=%zu", format_word(f->kind), f->blocksize);
    int length = snprintf(text, size, "%s %s%s n=%zu k=%zu%s%s seed=%llu weights=%s%s", op_word(p->op),
                          dtype_word(p->out), m, p->n, p->k, weights, bias, (unsigned long long)p->seed,
                          p->checkpoint ? "checkpoint:" : "", p->weights);
    return length > 0 && (size_t)length < size;
}

/* A decimal number that fits in 63 bits. */
static bool parse_count(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    *out = v;
    return end != text && *end == '\0' && errno == 0 && text[0] != '-' && text[0] != '+' && v <= INT64_MAX;
}

enum status problem_parse(const char *text, struct problem *out)
{
    struct problem p = {.format.blocksize = 64, .seed = 1};
    snprintf(p.weights, sizeof p.weights, "normal");
    char copy[PROBLEM_TEXT_MAX], *rest = copy;
    if (strlen(text) >= sizeof copy)
        return status_fail(STATUS_USAGE, "case is longer than %d characters: %s", PROBLEM_TEXT_MAX - 1, text);
    strcpy(copy, text);

    char *word = strtok_r(rest, " ", &rest);
    if (!word || !op_parse(word, &p.op))
        return status_fail(STATUS_USAGE,
                           "case '%s' does not begin with dequant, gemm, gemmdx, repack or unrepack", text);
    word = strtok_r(rest, " ", &rest);
    if (!word || !dtype_parse(word, &p.out))
        return status_fail(STATUS_USAGE, "case '%s': the second word is not f32, f16, bf16 or u8", text);
    uint64_t nested = 0, zeros = 0, act_order = 0, bias = 0, m = 0, n = 0, k = 0, blocksize = 64, seed = 1;
    const struct {
        const char *key;
        uint64_t *value;
        uint64_t max;
    } keys[] = {{"m", &m, 1 << 20},           {"n", &n, (uint64_t)1 << 31},
                {"k", &k, (uint64_t)1 << 31}, {"blocksize", &blocksize, (uint64_t)1 << 31},
                {"zeros", &zeros, 1},         {"actorder", &act_order, 1},
                {"nested", &nested, 1},       {"bias", &bias, 1},
                {"seed", &seed, INT64_MAX}};
    while ((word = strtok_r(rest, " ", &rest))) {
        char *equals = strchr(word, '=');
        if (!equals)
            return status_fail(STATUS_USAGE, "case '%s': '%s' is not key=value", text, word);
        *equals = '\0';
        if (strcmp(word, "weights") == 0) {
            /* The last key: a path may hold spaces. */
            const char *value = text + (equals + 1 - copy);
            p.checkpoint = strncmp(value, "checkpoint:", 11) == 0;
            value += p.checkpoint ? 11 : 0;
            if (strlen(value) >= sizeof p.weights)
                return status_fail(STATUS_USAGE, "case '%s': the name of the weights is too long", text);
            strcpy(p.weights, value);
            break;
        }
        if (strcmp(word, "format") == 0) {
            if (!format_parse(equals + 1, &p.format.kind))
                return status_fail(STATUS_USAGE,
                                   "case '%s': format=%s is none: nf4, int4, int8, fp8 or dense", text,
                                   equals + 1);
            continue;
        }
        size_t i = 0, count = sizeof keys / sizeof keys[0];
        while (i < count && strcmp(word, keys[i].key) != 0)
            i++;
        if (i == count || !parse_count(equals + 1, keys[i].value) || *keys[i].value > keys[i].max)
            return status_fail(STATUS_USAGE, "case '%s': '%s=%s' is not understood or out of range", text,
                               word, equals + 1);
    }
    p.m = m, p.n = n, p.k = k, p.format.nested = nested, p.format.zeros = zeros,
    p.format.act_order = act_order, p.bias = bias, p.seed = seed,
    p.format.blocksize = p.format.kind == FORMAT_DENSE ? k : blocksize;
    if (p.n == 0 || p.k == 0 || p.n > ((uint64_t)1 << 40) / p.k || (p.m != 0) != op_is_product(p.op) ||
        op_is_repack(p.op) != (p.out == DTYPE_U8) || (p.format.nested && op_is_repack(p.op)) ||
        (p.bias && p.op != OP_GEMM))
        return status_fail(
            STATUS_USAGE,
            "case '%s': n and k of 1 or more (n*k to 2^40), m for products only, bias for gemm "
            "only, u8 for repack and unrepack only, which have no nested",
            text);
    const char *fault = problem_weights_fault(&p);
    if (fault)
        return status_fail(STATUS_USAGE, "case '%s': format %s %s", text, format_word(p.format.kind), fault);
    *out = p;
    return STATUS_OK;
}

const char *problem_weights_fault(const struct problem *p)
{
    const struct weight_format *f = &p->format;
    const bool nf4 = f->kind == FORMAT_NF4, int4 = f->kind == FORMAT_INT4;
    if (!format_blocksize_valid(f->kind, f->blocksize, p->k))
        return nf4 ? "has a blocksize that is a power of two from 32 to 4096"
                   : "has a blocksize that is k, or a power of two from 32 that divides k";
    if (f->nested && !nf4)
        return "has no nested scales";
    if ((f->zeros || f->act_order) && !int4)
        return "has no zeros and no actorder";
    if (f->kind == FORMAT_DENSE && !op_is_product(p->op))
        return "is for products";
    if (!nf4 && op_is_repack(p->op))
        return "is not what is repacked";
    return NULL;
}

bool problem_equal(const struct problem *a, const struct problem *b)
{
    return a->op == b->op && a->out == b->out && weight_format_equal(&a->format, &b->format) &&
           a->m == b->m && a->n == b->n && a->k == b->k && a->bias == b->bias &&
           a->checkpoint == b->checkpoint && a->seed == b->seed && strcmp(a->weights, b->weights) == 0;
}

size_t problem_weight_count(const struct problem *p)
{
    return p->n * p->k;
}

size_t problem_output_count(const struct problem *p)
{
    return p->op == OP_GEMM       ? p->m * p->n
           : p->op == OP_GEMMDX   ? p->m * p->k
           : p->op == OP_REPACK   ? nf4_repacked_bytes(p->n, p->k)
           : p->op == OP_UNREPACK ? problem_packed_bytes(p)
                                  : p->n * p->k;
}

size_t problem_reduced(const struct problem *p)
{
    return p->op == OP_GEMM ? p->k : p->op == OP_GEMMDX ? p->n : 0;
}

size_t problem_input_count(const struct problem *p)
{
    return p->m * problem_reduced(p);
}

size_t problem_packed_bytes(const struct problem *p)
{
    return format_packed_bytes(p->format.kind, p->out, problem_weight_count(p));
}

size_t problem_block_count(const struct problem *p)
{
    return nf4_block_count(problem_weight_count(p), p->format.blocksize);
}

size_t problem_scale_bytes(const struct problem *p)
{
    const size_t blocks = problem_block_count(p);
    if (op_is_repack(p->op) || p->format.kind == FORMAT_DENSE)
        return 0; /* they stay where they are, or there are none */
    if (p->format.kind == FORMAT_NF4)
        return p->format.nested ? blocks + 4 * nested_group_count(blocks) : 4 * blocks;
    return (2 + (size_t)p->format.zeros) * blocks + (p->format.act_order ? 4 * p->k : 0);
}

size_t problem_format_bytes(const struct problem *p)
{
    size_t size = dtype_size(p->out);
    if (p->op == OP_UNREPACK)
        return nf4_repacked_bytes(p->n, p->k) + problem_packed_bytes(p);
    return problem_packed_bytes(p) + problem_scale_bytes(p) +
           size * (problem_input_count(p) + problem_output_count(p) + (p->bias ? p->n : 0));
}
