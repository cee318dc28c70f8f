#include "harness/verify/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <omp.h>

#include "harness/device/call.h"
#include "harness/verify/internal.h"
#include "reference/repack.h"

enum {
    PIECE = 4096 * 256 *
            2, /* elements dequantized by the reference at a time: whole blocks, whole nested groups */
    STATISTICS_OPERATIONS = 1 << 26, /* products that the fp64 statistics look at, at most */
    CONTRACTS_MAX = 64,
    EXACT_MAX = 16,
    DECODE_MAX = 4096,
};

/* A reference result, shared by all variants of one contract on one problem. */
struct pinned_result {
    struct contract contract;
    void *y;
};

/* fp64 results of the first rows of the problem, for statistics and bounds. */
struct exact_result {
    struct contract contract; /* as exact_key() makes it */
    size_t rows;              /* rows of W (gemm), or columns of W (gemmdx), covered */
    double *value, *magnitude;
};

struct decode_done {
    const struct kernel *kernel;
    size_t blocks, m; /* blocks: what kind */
};

struct verifier {
    struct problem problem; /* that the caches below belong to */
    bool has_problem;
    struct pinned_result pinned[CONTRACTS_MAX];
    size_t pinned_count;
    struct exact_result exact[EXACT_MAX];
    size_t exact_count;
    struct exact_sums *sums[2];
    struct decode_done decode[DECODE_MAX];
    size_t decode_count;
    uint64_t salt;      /* differs for every poisoning */
    enum status broken; /* not STATUS_OK: the device cannot be used, nothing further is to be verified */
};

struct verifier *verifier_new(void)
{
    return calloc(1, sizeof(struct verifier));
}

static void forget_problem(struct verifier *v)
{
    for (size_t i = 0; i < v->pinned_count; i++)
        free(v->pinned[i].y);
    v->pinned_count = 0;
    for (size_t i = 0; i < v->exact_count; i++) {
        free(v->exact[i].value);
        free(v->exact[i].magnitude);
    }
    v->exact_count = 0;
    for (int i = 0; i < 2; i++) {
        exact_sums_free(v->sums[i]);
        v->sums[i] = NULL;
    }
    v->has_problem = false;
}

void verifier_free(struct verifier *v)
{
    if (v)
        forget_problem(v);
    free(v);
}

bool verifier_decode_done(struct verifier *v, const struct kernel *k, size_t blocks, size_t m)
{
    for (size_t i = 0; i < v->decode_count; i++)
        if (v->decode[i].kernel == k && v->decode[i].blocks == blocks && v->decode[i].m == m)
            return true;
    if (v->decode_count < DECODE_MAX)
        v->decode[v->decode_count++] = (struct decode_done){k, blocks, m};
    return false;
}

/* ---- what every check uses ---- */

bool check_call(struct check *c, const struct operands *o, const void *prepared)
{
    char what[160];
    buffer_poison(&o->sets[0].out, ++c->verifier->salt);
    static struct call_fault fault; /* large */
    fault.status = STATUS_OK;
    if (!call_kernel(o, 0, c->kernel, prepared, &fault)) {
        if (fault.status != STATUS_OK)
            c->verifier->broken = status_fail(fault.status, "%s: %s", fault.device, fault.text);
        c->out->verdict = fault.skip      ? VERDICT_SKIPPED
                          : fault.ours    ? VERDICT_MISTRUSTED
                          : fault.endless ? VERDICT_TIMEOUT
                          : fault.crashed ? VERDICT_CRASHED
                                          : VERDICT_FAIL;
        snprintf(c->out->check, sizeof c->out->check, "%s", c->name);
        snprintf(c->out->reason, sizeof c->out->reason, "%s: %s, under --device %s", c->name, fault.word,
                 fault.device);
        snprintf(c->out->detail, sizeof c->out->detail, "%s", fault.text);
        return false;
    }
    if (operands_intact(o, 0, what, sizeof what))
        return true;
    c->out->verdict = VERDICT_FAIL;
    snprintf(c->out->check, sizeof c->out->check, "%s", c->name);
    snprintf(c->out->reason, sizeof c->out->reason, "%s: %s", c->name, what);
    /* Later variants must find whole inputs and canaries; the inputs themselves the caller makes again. */
    return false;
}

static void flip_codes(struct operands *o)
{
    struct operand_set *set = &o->sets[0];
    struct buffer *codes = o->problem.op == OP_UNREPACK ? &set->stored[LAYOUT_FRAGMENTS] : &set->packed;
    uint8_t *bytes = codes->data;
    for (size_t i = 0; i < codes->size; i++)
        bytes[i] ^= 0xff;
    operands_rehash(o);
}

enum status check_calls_on_other_codes(struct check *c, struct operands *o, bool *ok)
{
    void *prepared; /* no peer that dequantizes prepares anything */
    const bool stored = o->problem.op != OP_UNREPACK && kernel_layout(c->kernel) != LAYOUT_ROWS;
    flip_codes(o);
    enum status s = stored ? operands_prepare_for(o, 0, c->kernel, &prepared) : STATUS_OK;
    *ok = s == STATUS_OK && check_call(c, o, NULL);
    flip_codes(o);
    if (s == STATUS_OK && stored)
        s = operands_prepare_for(o, 0, c->kernel, &prepared);
    *ok = *ok && s == STATUS_OK && check_call(c, o, NULL);
    return s;
}

void check_failed(struct check *c, const struct comparison *cmp, const char *where, const char *cause,
                  size_t count)
{
    struct verification *out = c->out;
    enum dtype t = op_is_repack(c->kernel->contract.op) ? DTYPE_U8 : c->kernel->contract.out;
    const bool weights = c->kernel->contract.op == OP_DEQUANT;
    const char *lines[] = {where, cause, *cause ? "" : diagnose_values(cmp, t),
                           diagnose_places(cmp, weights ? c->operands->problem.format.blocksize : 0, count)};
    char first[160];
    size_t used = 0;
    describe_bits(t, cmp->first, cmp->first_want, cmp->first_got, first, sizeof first);
    out->verdict = VERDICT_FAIL;
    out->mismatches = cmp->mismatches;
    out->first_mismatch = (int64_t)cmp->first;
    snprintf(out->check, sizeof out->check, "%s", c->name);
    snprintf(out->reason, sizeof out->reason, "%s: %zu of %zu differ; %s", c->name, cmp->mismatches,
             cmp->compared, first);
    out->detail[0] = '\0';
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (*lines[i] && used < sizeof out->detail)
            used += (size_t)snprintf(out->detail + used, sizeof out->detail - used, "%s%s", used ? "\n" : "",
                                     lines[i]);
}

static size_t same_element(const void *context, size_t index)
{
    (void)context;
    return index;
}

void check_weights_failed(struct check *c, const struct comparison *cmp, const struct quantized *w,
                          size_t columns)
{
    const struct diagnose_weights d = {&c->kernel->contract, w, columns, same_element, NULL, NULL};
    char where[256];
    describe_weight(d.contract, w, columns, cmp->first, where, sizeof where);
    check_failed(c, cmp, where, diagnose_weights(cmp, &d), w->count);
}

/* ---- real data ---- */

/* Elements that the reference dequantizes at a time: of formats whose blocks begin with a row, whole rows, an
 * even number of them. */
static size_t piece_length(const struct quantized *w)
{
    if (w->format == FORMAT_NF4)
        return PIECE;
    return (w->columns < PIECE / 2 ? PIECE / w->columns / 2 * 2 : 2) * w->columns;
}

/* A piece of the weights that starts at element `first`, a multiple of piece_length(). */
static struct quantized tensor_piece(const struct quantized *w, size_t first, size_t count)
{
    struct quantized t = *w;
    size_t block = first / w->blocksize;
    t.count = count;
    t.packed += first * format_code_bits(w->format, DTYPE_F32) / 8; /* dense weights are not dequantized */
    if (t.absmax)
        t.absmax += block;
    if (t.scale)
        t.scale += block;
    if (t.zero)
        t.zero += block;
    if (t.nested.codes) {
        t.nested.codes += block;
        t.nested.nested_absmax += block / NESTED_BLOCKSIZE;
    }
    return t;
}

static void error_add(struct error_sums *e, double got, double want)
{
    double d = got - want;
    if (!isfinite(want) || !isfinite(got))
        return;
    e->squared_error += d * d;
    e->squared_value += want * want;
    e->error += d;
    e->max = fabs(d) > e->max ? fabs(d) : e->max;
    e->count++;
}

static void error_finish(const struct error_sums *e, struct verification *out)
{
    if (e->count == 0)
        return;
    out->max_abs_error = e->max;
    out->mean_error = e->error / (double)e->count;
    out->relative_frobenius_error = e->squared_value > 0 ? sqrt(e->squared_error / e->squared_value) : 0;
    out->output_sqnr_db = 10 * log10(e->squared_value / e->squared_error); /* infinite without an error */
}

/* Compares the dequantized elements [first, first + count) with `want`, by their place in W. */
static void compare_dequantized(const struct check *c, const struct operands *o, size_t first, size_t count,
                                const void *want, void *scratch, struct comparison *out)
{
    const enum dtype t = c->kernel->contract.out;
    const struct problem *p = &o->problem;
    const char *got = o->sets[0].out.data;
    if (!layout_transposed(kernel_layout(c->kernel))) {
        compare_bits(out, t, got + first * dtype_size(t), want, count, first);
        return;
    }
    for (size_t i = 0; i < count; i++)
        dtype_store(t, scratch, i, dtype_load(t, got, (first + i) % p->k * p->n + (first + i) / p->k));
    compare_bits(out, t, scratch, want, count, first);
}

enum status check_dequantized(struct check *c, const struct operands *o, struct comparison *cmp,
                              struct error_sums *errors)
{
    const struct contract *contract = &c->kernel->contract;
    const struct contract plain = {.format = contract->format, .op = OP_DEQUANT, .out = DTYPE_F32};
    const struct quantized w = operands_tensor(o, 0);
    const size_t step = piece_length(&w), longest = w.count < step ? w.count : step;
    void *want = malloc(longest * dtype_size(contract->out)),
         *scratch = malloc(longest * dtype_size(contract->out));
    enum status s = want && scratch ? STATUS_OK : status_fail(STATUS_MEMORY, "verify: out of memory");
    for (size_t first = 0; s == STATUS_OK && first < w.count; first += step) {
        const size_t count = w.count - first < step ? w.count - first : step;
        const struct quantized piece = tensor_piece(&w, first, count);
        quantized_dequantize(contract, &piece, want);
        compare_dequantized(c, o, first, count, want, scratch, cmp);
        for (size_t i = 0; errors && first == 0 && i < count; i++) {
            const struct quantized_block b =
                quantized_block_at(&piece, quantized_block_of(&piece, i), contract->nested);
            const size_t at = layout_transposed(kernel_layout(c->kernel))
                                  ? i % o->problem.k * o->problem.n + i / o->problem.k
                                  : i;
            error_add(errors, dtype_load(contract->out, o->sets[0].out.data, at),
                      (double)quantized_decode(&plain, quantized_code_at(&plain, &piece, i), b.zero) *
                          (double)b.scale);
        }
    }
    free(want);
    free(scratch);
    c->out->compared += cmp->compared;
    if (s == STATUS_OK && cmp->mismatches)
        check_weights_failed(c, cmp, &w, o->problem.k);
    return s;
}

static enum status real_dequant(struct check *c)
{
    struct error_sums errors = {0};
    void *prepared;
    enum status s = operands_prepare_for(c->operands, 0, c->kernel, &prepared);
    if (s != STATUS_OK || !check_call(c, c->operands, NULL))
        return s;
    s = check_dequantized(c, c->operands, &c->out->real, &errors);
    error_finish(&errors, c->out);
    return s;
}

/* Codes that are moved: of real weights all sixteen occur, so that a wrong place shows. */
static enum status real_repack(struct check *c)
{
    const struct operands *o = c->operands;
    const struct problem *p = &o->problem;
    size_t count = problem_output_count(p);
    uint8_t *want = malloc(count);
    void *prepared;
    enum status s = want ? operands_prepare_for(o, 0, c->kernel, &prepared)
                         : status_fail(STATUS_MEMORY, "verify: out of memory");
    struct operands same = *o; /* the buffers are as writable as they were */
    bool called = false;
    if (s == STATUS_OK)
        s = check_calls_on_other_codes(c, &same, &called);
    if (called) {
        struct comparison *real = &c->out->real;
        if (p->op == OP_REPACK)
            nf4_repack(o->sets[0].packed.data, p->n, p->k, want);
        else
            nf4_unrepack(o->sets[0].stored[LAYOUT_FRAGMENTS].data, p->n, p->k, want);
        compare_bits(real, DTYPE_U8, o->sets[0].out.data, want, count, 0);
        c->out->compared += real->compared;
        if (real->mismatches) {
            char where[128];
            size_t first = real->first;
            if (p->op == OP_REPACK)
                snprintf(where, sizeof where, "tile %zu, lane %zu, byte %zu", first / REPACKED_TILE_BYTES,
                         first % REPACKED_TILE_BYTES / REPACKED_LANE_BYTES, first % REPACKED_LANE_BYTES);
            else
                snprintf(where, sizeof where, "weights %zu and %zu of %zu x %zu", 2 * first, 2 * first + 1,
                         p->n, p->k);
            check_failed(c, real, where, "", count);
        }
    }
    free(want);
    return s;
}

static enum status pinned_reference(struct verifier *v, const struct contract *contract,
                                    const struct operands *o, const struct matmul *p, const void **y)
{
    for (size_t i = 0; i < v->pinned_count; i++) {
        if (contract_equal(&v->pinned[i].contract, contract)) {
            *y = v->pinned[i].y;
            return STATUS_OK;
        }
    }
    if (v->pinned_count == CONTRACTS_MAX)
        return status_fail(STATUS_INTERNAL, "verify: more than %d contracts in one group", CONTRACTS_MAX);
    void *made = malloc(problem_output_count(&o->problem) * dtype_size(contract->out));
    if (!made)
        return status_fail(STATUS_MEMORY, "verify: out of memory");
    if (!matmul_pinned(contract, p, made)) {
        char c_name[CONTRACT_NAME_MAX] = "a contract";
        contract_format(contract, c_name, sizeof c_name);
        free(made);
        return status_fail(STATUS_INTERNAL, "verify: %s has no reference", c_name);
    }
    v->pinned[v->pinned_count++] = (struct pinned_result){*contract, made};
    *y = made;
    return STATUS_OK;
}

/* fp64 results do not depend on the order of the sum. */
static struct contract exact_key(const struct contract *contract)
{
    struct contract key = *contract;
    if (key.accumulation != ACC_ANY)
        key.accumulation = ACC_CHAINS;
    key.chains = key.width = key.splits = 0;
    return key;
}

/* fp64 results of as many rows of W (gemm) as the budget allows, all of them for ACC_ANY, which is held to
 * them. */
static enum status exact_reference(struct verifier *v, const struct contract *contract,
                                   const struct operands *o, const struct matmul *p,
                                   const struct exact_result **out)
{
    struct contract key = exact_key(contract);
    for (size_t i = 0; i < v->exact_count; i++) {
        if (contract_equal(&v->exact[i].contract, &key)) {
            *out = &v->exact[i];
            return STATUS_OK;
        }
    }
    if (v->exact_count == EXACT_MAX)
        return status_fail(STATUS_INTERNAL, "verify: more than %d kinds of weights in one group", EXACT_MAX);
    struct matmul part = *p;
    struct quantized w = *p->w;
    if (o->problem.op == OP_GEMM && contract->accumulation != ACC_ANY) {
        size_t rows = STATISTICS_OPERATIONS / (p->m * p->k);
        part.n = rows < 1 ? 1 : rows < p->n ? rows : p->n;
        w.count = part.n * p->k;
        part.w = &w;
    }
    size_t columns = o->problem.op == OP_GEMM ? part.n : p->k, count = p->m * columns;
    double *value = malloc(count * sizeof(double)), *magnitude = malloc(count * sizeof(double));
    if (!value || !magnitude) {
        free(value);
        free(magnitude);
        return status_fail(STATUS_MEMORY, "verify: out of memory");
    }
    matmul_fp64(contract, &part, value, magnitude);
    v->exact[v->exact_count] = (struct exact_result){key, columns, value, magnitude};
    *out = &v->exact[v->exact_count++];
    return STATUS_OK;
}

static enum status real_product(struct check *c, const void *prepared)
{
    const struct operands *o = c->operands;
    const struct problem *p = &o->problem;
    const struct contract *contract = &c->kernel->contract;
    struct quantized w = operands_tensor(o, 0);
    struct matmul product = {.m = p->m,
                             .n = p->n,
                             .k = p->k,
                             .a = o->sets[0].x.data,
                             .bias = p->bias ? o->sets[0].bias.data : NULL,
                             .w = &w};
    struct comparison *real = &c->out->real;
    size_t row_length = p->op == OP_GEMM ? p->n : p->k, count = p->m * row_length;
    const void *want = NULL, *got = o->sets[0].out.data;
    const struct exact_result *exact = NULL;
    enum status s = STATUS_OK;
    if (contract->accumulation != ACC_ANY)
        s = pinned_reference(c->verifier, contract, o, &product, &want);
    if (s == STATUS_OK)
        s = exact_reference(c->verifier, contract, o, &product, &exact);
    if (s != STATUS_OK || !check_call(c, o, prepared))
        return s;

    struct error_sums errors = {0};
    double margin = 0, margin_bound = NAN;
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < exact->rows; j++) {
            size_t at = i * row_length + j;
            double value = exact->value[i * exact->rows + j],
                   magnitude = exact->magnitude[i * exact->rows + j];
            double y = dtype_load(contract->out, got, at);
            error_add(&errors, y, value);
            if (contract->accumulation != ACC_ANY)
                continue;
            double bound = matmul_bound(contract, p->op == OP_GEMM ? p->k : p->n, value, magnitude) +
                           c->kernel->extra_unit * magnitude;
            double error = fabs(y - value);
            if (!(error / bound <= margin)) {
                margin = error / bound;
                margin_bound = bound;
            }
            uint16_t half = 0;
            float single = (float)value;
            uint32_t bits = f32_bits(single);
            if (contract->out != DTYPE_F32) {
                dtype_store(contract->out, &half, 0, single);
                bits = half;
            }
            compare_one(real, contract->out, dtype_load_bits(contract->out, got, at), bits,
                        !isfinite(value) || error <= bound, at);
        }
    }
    error_finish(&errors, c->out);
    if (contract->accumulation == ACC_ANY) {
        c->out->bound_margin = margin;
        c->out->bound = margin_bound;
    } else
        compare_bits(real, contract->out, got, want, count, 0);
    c->out->compared += real->compared;
    if (real->mismatches) {
        char where[160];
        snprintf(where, sizeof where, "output row %zu column %zu of %zu x %zu", real->first / row_length,
                 real->first % row_length, p->m, row_length);
        check_failed(c, real, where, "", count);
    }
    return STATUS_OK;
}

/* An output that is nearly all zero, or has hardly any distinct values, would also come from a kernel that
 * did nothing. Looks at up to 4,096 elements spread over the output. */
static void check_vacuous(struct check *c)
{
    enum { LOOK = 4096, FEW = 4 };
    const struct operands *o = c->operands;
    enum dtype t = c->kernel->contract.out;
    size_t count = problem_output_count(&o->problem), step = count / LOOK + 1, zeros = 0, looked = 0,
           distinct = 0;
    uint32_t seen[FEW];
    /* Too small to say; what pads a tile says nothing either. */
    if (count < 64 || (op_is_repack(o->problem.op) && problem_weight_count(&o->problem) < 64))
        return;
    for (size_t i = 0; i < count; i += step, looked++) {
        uint32_t bits = dtype_load_bits(t, o->sets[0].out.data, i);
        zeros += dtype_load(t, o->sets[0].out.data, i) == 0;
        size_t j = 0;
        while (j < distinct && seen[j] != bits)
            j++;
        if (j == distinct && distinct < FEW)
            seen[distinct++] = bits;
    }
    if (zeros * 10 < looked * 9 && distinct == FEW)
        return;
    c->name = "vacuous";
    c->out->verdict = VERDICT_MISTRUSTED;
    snprintf(c->out->reason, sizeof c->out->reason,
             "the output proves little: %zu of %zu sampled elements are zero, %zu distinct values", zeros,
             looked, distinct);
}

/* Calls the kernel on `o`, operands of the problem, and holds the output against `first`. */
static enum status rerun(struct check *c, const struct operands *o, const char *how, const void *first)
{
    struct comparison again;
    void *prepared;
    enum status s = operands_prepare_for(o, 0, c->kernel, &prepared);
    if (s != STATUS_OK)
        return s;
    if (check_call(c, o, prepared)) {
        size_t count = problem_output_count(&o->problem);
        enum dtype t = op_is_repack(o->problem.op) ? DTYPE_U8 : c->kernel->contract.out;
        char where[160];
        comparison_init(&again);
        compare_bits(&again, t, o->sets[0].out.data, first, count, 0);
        c->out->compared += again.compared;
        snprintf(where, sizeof where, "the same inputs gave the right bits before; now %s", how);
        if (again.mismatches)
            check_failed(c, &again, where, "", count);
    }
    if (c->kernel->unprepare)
        c->kernel->unprepare(prepared);
    return s;
}

static enum status check_reruns(struct check *c)
{
    enum { ELSEWHERE_MAX = 1 << 20 }; /* weights, for operands that are made once more */
    const struct operands *o = c->operands;
    struct device *d = o->device;
    size_t size = o->sets[0].out.size;
    void *first = malloc(size);
    if (!first)
        return status_fail(STATUS_MEMORY, "verify: out of memory");
    memcpy(first, o->sets[0].out.data, size);
    int threads = omp_get_max_threads();
    if (d->kind == DEVICE_CPU)
        omp_set_num_threads(1);
    enum status s = rerun(c, o,
                          d->kind == DEVICE_CPU    ? "another call, with one thread, does not"
                          : d->kind == DEVICE_SIMT ? "another schedule does not"
                                                   : "another launch does not",
                          first);
    omp_set_num_threads(threads);
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS && d->kind == DEVICE_CUDA) {
        d->beside = true;
        s = rerun(c, o, "a launch on another stream, beside other kernels, does not", first);
        d->beside = false;
    }
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS && !device_slow(d) &&
        problem_weight_count(&o->problem) <= ELSEWHERE_MAX) {
        struct operands elsewhere;
        s = operands_init(&o->problem, 1, o->device, &elsewhere);
        if (s == STATUS_OK) {
            s = rerun(c, &elsewhere, "a call on operands at other addresses does not", first);
            operands_release(&elsewhere);
        }
    }
    memcpy(o->sets[0].out.data, first, size);
    free(first);
    return s;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum status verify(struct verifier *v, const struct kernel *k, const struct operands *o,
                   struct verification *out)
{
    double start = now_s();
    *out = (struct verification){.verdict = VERDICT_PASS, .first_mismatch = -1};
    out->max_abs_error = out->relative_frobenius_error = out->mean_error = out->bound_margin = out->bound =
        out->output_sqnr_db = NAN;
    comparison_init(&out->real);
    if (!v->has_problem || !problem_equal(&v->problem, &o->problem)) {
        forget_problem(v);
        v->problem = o->problem;
        v->has_problem = true;
    }
    struct check c = {.verifier = v, .kernel = k, .operands = o, .out = out};
    const struct quantized weights = operands_tensor(o, 0);
    const char *unfit = layout_unfit(kernel_layout(k), &weights);
    if (unfit) {
        out->verdict = VERDICT_SKIPPED;
        snprintf(out->reason, sizeof out->reason, "%s", unfit);
        return STATUS_OK;
    }
    bool product = op_is_product(k->contract.op), repack = op_is_repack(k->contract.op);
    void *prepared = NULL;
    enum status s = STATUS_OK;

    /* A peer that rounds its scales has no single weight with the right bits; exact_sums, whose scales are
     * powers of two, and the bound hold it. */
    bool weights_exact = k->extra_unit == 0 && !repack;
    c.name = "exhaustive_decode";
    if (weights_exact)
        s = check_exhaustive_decode(&c);
    if (s == STATUS_OK && product && weights_exact && out->verdict == VERDICT_PASS) {
        c.name = "one_hot";
        s = check_one_hot(&c);
    }
    if (s == STATUS_OK && product && out->verdict == VERDICT_PASS) {
        c.name = "exact_sums";
        s = check_exact_sums(&c, v->sums);
    }
    if (s == STATUS_OK && out->verdict == VERDICT_PASS && k->contract.op == OP_GEMM &&
        k->contract.out != DTYPE_F32 && k->contract.accumulation != ACC_ANY && !k->no_bias) {
        c.name = "cancelling_sums";
        s = check_cancelling_sums(&c);
    }
    if (s == STATUS_OK && out->verdict == VERDICT_PASS) {
        c.name = "real_data";
        if (repack) {
            s = real_repack(&c);
        } else if (!product) {
            s = real_dequant(&c);
        } else {
            s = operands_prepare_for(o, 0, k, &prepared);
            if (s == STATUS_OK)
                s = real_product(&c, prepared);
            if (k->unprepare)
                k->unprepare(prepared);
        }
    }
    if (s == STATUS_OK && out->verdict == VERDICT_PASS) {
        check_vacuous(&c);
        snprintf(out->check, sizeof out->check, "%s", c.name);
        out->output_hash = bytes_hash(o->sets[0].out.data, o->sets[0].out.size);
    }
    if (s == STATUS_OK && out->verdict == VERDICT_PASS &&
        (k->contract.accumulation != ACC_ANY || k->deterministic)) {
        c.name = "reruns";
        s = check_reruns(&c);
        if (out->verdict == VERDICT_PASS)
            snprintf(out->check, sizeof out->check, "%s", c.name);
    }
    out->seconds = now_s() - start;
    return s == STATUS_OK ? v->broken : s;
}
