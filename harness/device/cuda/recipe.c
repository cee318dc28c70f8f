#include "harness/device/cuda/recipe.h"

#include <stdio.h>
#include <string.h>

enum of { OF_ANY, OF_PLAIN, OF_NESTED, OF_PRODUCT, OF_NO_PRODUCT, OF_GEMM };

static const struct {
    const char *name;
    enum of of;
} words[RECIPE_WORD_COUNT] = {
#define X(word, type, of) {#word, OF_##of},
    RECIPE_WORD_MAP(X)
#undef X
};

const char *recipe_word_name(enum recipe_word word)
{
    return word < RECIPE_WORD_COUNT ? words[word].name : "a number";
}

const char *recipe_word_absent(enum recipe_word word, const struct contract *c)
{
    if (word >= RECIPE_WORD_COUNT)
        return NULL;
    bool product = op_is_product(c->op);
    switch (words[word].of) {
    case OF_ANY:
        return NULL;
    case OF_PLAIN:
        return op_is_repack(c->op)        ? "repack and unrepack have no scales"
               : c->nested != NESTED_NONE ? "a nested contract has absmax_code, nested_absmax, nested_map "
                                            "and nested_offset"
                                          : NULL;
    case OF_NESTED:
        return c->nested == NESTED_NONE ? "only contracts with twostep or fused have it" : NULL;
    case OF_PRODUCT:
        return product ? NULL : "only gemm and gemmdx have it";
    case OF_NO_PRODUCT:
        return product ? "the output of gemm and gemmdx is y" : NULL;
    case OF_GEMM:
        return c->op == OP_GEMM ? NULL : "only gemm has it";
    }
    return NULL;
}

void recipe_sizes(const struct problem *p, struct expression_name names[RECIPE_SIZES])
{
    size_t count = problem_weight_count(p);
    const struct expression_name all[RECIPE_SIZES] = {
        {"m", (int64_t)p->m},
        {"n", (int64_t)p->n},
        {"k", (int64_t)p->k},
        {"count", (int64_t)count},
        {"blocks", (int64_t)nf4_block_count(count, p->format.blocksize)},
        {"blocksize", (int64_t)p->format.blocksize},
    };
    memcpy(names, all, sizeof all);
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* What stands under a word in the arguments that our own variants get. */
static uint64_t value_of(enum recipe_word word, const struct problem *p, const union kernel_args *a)
{
    bool product = op_is_product(p->op), repack = op_is_repack(p->op);
    const struct weights *w = product ? &a->gemm.w : &a->dequant.w;
    struct expression_name sizes[RECIPE_SIZES];
    uint32_t bits;
    switch (word) {
    case RECIPE_packed:
        return address(repack ? a->repack.from : w->packed ? w->packed : product ? a->gemm.prepared : NULL);
    case RECIPE_absmax:
        return address(w->absmax);
    case RECIPE_absmax_code:
        return address(w->absmax_code);
    case RECIPE_nested_absmax:
        return address(w->nested_absmax);
    case RECIPE_nested_map:
        return address(w->nested_map);
    case RECIPE_nested_offset:
        memcpy(&bits, &w->nested_offset, sizeof bits);
        return bits;
    case RECIPE_x:
        return address(a->gemm.x);
    case RECIPE_bias:
        return address(a->gemm.bias);
    case RECIPE_y:
        return address(a->gemm.y);
    case RECIPE_out:
        return address(repack ? a->repack.to : a->dequant.out);
    case RECIPE_workspace:
        return address(a->gemm.workspace);
    default:
        recipe_sizes(p, sizes);
        for (size_t i = 0; i < RECIPE_SIZES; i++)
            if (strcmp(sizes[i].name, words[word].name) == 0)
                return (uint64_t)sizes[i].value;
        return 0;
    }
}

static const struct {
    size_t size;
    uint64_t max;
} types[] = {
    [RECIPE_POINTER] = {8, UINT64_MAX}, [RECIPE_F32] = {4, UINT64_MAX}, [RECIPE_I32] = {4, INT32_MAX},
    [RECIPE_U32] = {4, UINT32_MAX},     [RECIPE_I64] = {8, INT64_MAX},  [RECIPE_U64] = {8, UINT64_MAX},
};

static const char *resolve_parameters(const struct recipe *r, const struct problem *p,
                                      struct recipe_launch *out, char why[RECIPE_TEXT])
{
    for (out->count = 0; out->count < r->parameter_count; out->count++) {
        const struct recipe_parameter *from = &r->parameters[out->count];
        uint64_t *value = &out->values[out->count];
        *value = from->word == RECIPE_NUMBER ? from->number : value_of(from->word, p, &out->args);
        if (*value > types[from->type].max && from->word != RECIPE_NUMBER) {
            snprintf(why, RECIPE_TEXT, "parameter %zu: %s is %llu, which does not fit into %zu bytes",
                     out->count + 1, recipe_word_name(from->word), (unsigned long long)*value,
                     types[from->type].size);
            return why;
        }
        /* The low bytes of a word come first on every host that a GPU has. */
        out->parameters[out->count] = value;
        out->sizes[out->count] = types[from->type].size;
    }
    return NULL;
}

/* True, and *value; else `why` says what is wrong. */
static bool evaluate(const char *what, const char *text, const struct problem *p, int64_t min, int64_t max,
                     int64_t *value, char why[RECIPE_TEXT])
{
    struct expression_name sizes[RECIPE_SIZES];
    struct expression_fault fault;
    recipe_sizes(p, sizes);
    if (!expression_value(text, sizes, RECIPE_SIZES, value, &fault))
        snprintf(why, RECIPE_TEXT, "%s: %.80s: %s", what, text, fault.what);
    else if (*value < min || *value > max)
        snprintf(why, RECIPE_TEXT, "%s: %.80s is %lld, and must be from %lld to %lld", what, text,
                 (long long)*value, (long long)min, (long long)max);
    else
        return true;
    return false;
}

const char *recipe_resolve(const struct recipe *r, const struct operands *o, size_t i, bool repacked,
                           struct recipe_launch *out, char why[RECIPE_TEXT])
{
    static const char *const names[3] = {"grid along x", "grid along y", "grid along z"};
    const struct problem *p = &o->problem;
    int64_t value;
    memset(out, 0, sizeof *out);
    size_t size = operands_args(o, i, repacked, &out->args);
    out->launch.threads = r->threads;
    for (size_t d = 0; d < 3; d++) {
        if (!evaluate(names[d], r->grid[d], p, 1, d == 0 ? LAUNCH_BLOCKS_MAX : RECIPE_GRID_Y_MAX, &value,
                      why))
            return why;
        out->launch.grid[d] = (unsigned)value;
    }
    if (!evaluate("shared", r->shared, p, 0, INT32_MAX, &value, why))
        return why;
    out->launch.shared = (size_t)value;
    if (!r->takes_args)
        return resolve_parameters(r, p, out, why);
    out->parameters[0] = &out->args;
    out->sizes[0] = size;
    out->count = 1;
    return NULL;
}
