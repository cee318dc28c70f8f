/*
 * reference_problem.h: a product of seeded numbers for the reference tests, with plain and nested weights.
 */
#ifndef NF4BENCH_TESTS_REFERENCE_PROBLEM_H
#define NF4BENCH_TESTS_REFERENCE_PROBLEM_H

#include <stdlib.h>

#include "reference/matmul.h"
#include "tests/reference/random.h"
#include "tests/test.h"

struct problem {
    struct matmul matmul; /* p->w is `plain` or `nested`, as the contract says */
    struct quantized plain, nested;
    size_t reduced, outputs; /* extents of the sum and of a row of the output */
    void *y;                 /* [m, outputs], of the contract's type */
    uint8_t *packed, *codes; /* what the tensors point to */
    float *absmax, *nested_absmax, *map;
    void *a, *bias;
};

/* A contract by its name; an unknown one is a bug of the test. */
static inline struct contract contract_of(const char *name)
{
    struct contract c = {0};
    (void)test_check(contract_parse(name, &c, NULL), __FILE__, __LINE__, name);
    return c;
}

/* Allocates and fills a problem for contract c. Release it with problem_release. */
static inline struct problem problem_new(const struct contract *c, size_t m, size_t n, size_t k,
                                         size_t blocksize, bool bias, uint64_t seed)
{
    struct problem p = {.reduced = c->op == OP_GEMMDX ? n : k, .outputs = c->op == OP_GEMMDX ? k : n};
    const size_t count = n * k, blocks = nf4_block_count(count, blocksize);

    float *w = malloc((count + 1) * sizeof *w);
    for (size_t i = 0; i < count; ++i)
        w[i] = 0.05f * random_bell(seed, i);
    p.packed = malloc(nf4_packed_bytes(count) + 1);
    p.absmax = malloc((blocks + 1) * sizeof *p.absmax);
    nf4_quantize(w, count, blocksize, p.packed, p.absmax);
    free(w);

    p.map = malloc(NESTED_MAP_SIZE * sizeof *p.map);
    p.codes = malloc(blocks + 1);
    p.nested_absmax = malloc((nested_group_count(blocks) + 1) * sizeof *p.nested_absmax);
    nested_dynamic_map(p.map);
    float offset = nested_quantize(p.absmax, blocks, p.map, p.codes, p.nested_absmax);

    p.a = malloc((m * p.reduced + 1) * sizeof(float));
    for (size_t i = 0; i < m * p.reduced; ++i)
        dtype_store(c->out, p.a, i, random_bell(seed + 1, i));
    if (bias) {
        p.bias = malloc((n + 1) * sizeof(float));
        for (size_t i = 0; i < n; ++i)
            dtype_store(c->out, p.bias, i, random_bell(seed + 2, i));
    }
    p.y = calloc(m * p.outputs + 1, sizeof(float));

    p.plain =
        (struct quantized){.count = count, .blocksize = blocksize, .packed = p.packed, .absmax = p.absmax};
    p.nested = (struct quantized){
        .count = count,
        .blocksize = blocksize,
        .packed = p.packed,
        .nested = {.codes = p.codes, .nested_absmax = p.nested_absmax, .map = p.map, .offset = offset}};
    p.matmul = (struct matmul){.m = m, .n = n, .k = k, .a = p.a, .bias = p.bias};
    return p;
}

static inline void problem_release(struct problem *p)
{
    free(p->packed);
    free(p->codes);
    free(p->absmax);
    free(p->nested_absmax);
    free(p->map);
    free(p->a);
    free(p->bias);
    free(p->y);
    *p = (struct problem){0};
}

/* Runs contract c into p->y. */
static inline bool problem_run(const struct contract *c, struct problem *p)
{
    p->matmul.w = c->nested == NESTED_NONE ? &p->plain : &p->nested;
    return matmul_pinned(c, &p->matmul, p->y);
}

#endif
