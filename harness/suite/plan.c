#include "harness/suite/plan.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/machine.h"
#include "harness/base/random.h"
#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/suite/expect.h"

/* True if `name` passes a list of globs: matches one without "!" (or there is none) and none with it. */
static bool globs_pass(const char *const *globs, size_t count, const char *name)
{
    bool any_positive = false, matched = false;
    for (size_t i = 0; i < count; i++) {
        if (globs[i][0] == '!') {
            if (fnmatch(globs[i] + 1, name, 0) == 0)
                return false;
        } else {
            any_positive = true;
            matched = matched || fnmatch(globs[i], name, 0) == 0;
        }
    }
    return matched || !any_positive;
}

/* Whether one of a list of globs is `name` itself. */
static bool globs_name(const char *const *globs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(globs[i], name) == 0)
            return true;
    return false;
}

/* Whether the command line and the case, if there is one, ask for this variant. */
static bool is_wanted(const struct plan_options *options, const struct suite_case *c, const char *name,
                      bool only_by_name)
{
    const char *const *globs = c ? (const char *const *)c->variants : NULL;
    size_t count = c ? c->variant_count : 0;
    return globs_pass(options->variants, options->variant_count, name) && globs_pass(globs, count, name) &&
           (!only_by_name || globs_name(options->variants, options->variant_count, name) ||
            globs_name(globs, count, name));
}

/* A glob from the command line that names nothing is a typing error, not an empty run. */
static enum status check_globs(const struct plan_options *options)
{
    for (size_t g = 0; g < options->variant_count; g++) {
        const char *glob = options->variants[g] + (options->variants[g][0] == '!');
        size_t count = kernel_count();
        bool found = false;
        const char **names = malloc(count * sizeof *names);
        if (!names)
            return status_no_memory("plan");
        for (size_t i = 0; i < count; i++) {
            names[i] = kernel_at(i)->name;
            found = found || fnmatch(glob, names[i], 0) == 0;
        }
        const char *near = closest(glob, names, count);
        free(names);
        if (!found)
            return status_fail(STATUS_USAGE, "no variant matches '%s'%s%s%s; `nf4bench list` shows them all",
                               glob, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return STATUS_OK;
}

static void group_release(struct plan_group *g)
{
    for (size_t i = 0; i < g->row_count; i++)
        free(g->rows[i].skip);
    free(g->rows);
}

/* A plan that is being made. */
struct planner {
    struct plan *plan;
    const struct plan_options *options;
    const struct suite_case *of; /* whose groups are added, or NULL */
    size_t group_capacity, batch_capacity;
};

/* `array` with room for one more than `count`; NULL: no memory, and it is as it was. */
static void *with_room(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    const size_t more = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(array, more * size);
    *capacity = grown ? more : *capacity;
    return grown;
}

/* Adds the group `proto` with every variant that passes, if there is one. Takes nothing over from proto. */
static enum status add_group(struct planner *p, const struct plan_group *proto)
{
    struct plan *plan = p->plan;
    struct plan_group g = *proto;
    if (g.threads == 0)
        g.threads = cpu_available();
    g.rows = calloc(kernel_count(), sizeof *g.rows);
    if (!g.rows)
        return status_no_memory("plan");
    size_t runnable = 0;
    for (size_t i = 0; i < kernel_count(); i++) {
        const struct kernel *k = kernel_at(i);
        char reason[KERNEL_REASON_MAX];
        if (!kernel_belongs(k, plan->device) || !kernel_matches(k, &g.problem) ||
            !is_wanted(p->options, p->of, k->name, k->only_by_name))
            continue;
        const char *skip = kernel_unavailable(k, plan->device, reason);
        if (!skip)
            skip = kernel_inapplicable(k, &g.problem, reason);
        g.rows[g.row_count++] = (struct plan_row){k, skip ? strdup(skip) : NULL};
        runnable += !skip;
    }
    if (g.row_count == 0) {
        free(g.rows);
        return STATUS_OK;
    }
    enum status s = STATUS_OK;
    struct plan_group *groups =
        with_room(plan->groups, plan->group_count, &p->group_capacity, sizeof *groups);
    if (plan->row_count + g.row_count > PLAN_ROWS_MAX)
        s = status_fail(
            STATUS_LIMIT,
            "suite %s makes more than %d rows: give its axes fewer values, choose variants with -v, "
            "or split it into several suites",
            plan->suite->name, PLAN_ROWS_MAX);
    else if (!groups)
        s = status_no_memory("plan");
    if (groups)
        plan->groups = groups;
    if (s != STATUS_OK) {
        group_release(&g);
        return s;
    }
    struct plan_row *fitting = realloc(g.rows, g.row_count * sizeof *fitting);
    g.rows = fitting ? fitting : g.rows;
    g.expected_s = expect_seconds(&g, plan->device->kind, &plan->suite->measure, runnable);
    plan->groups[plan->group_count++] = g;
    plan->row_count += g.row_count;
    plan->expected_s += g.expected_s;
    return STATUS_OK;
}

/* Makes a batch of the groups that were added since the plan had `first_group` of them. */
static enum status end_batch(struct planner *p, size_t first_group)
{
    struct plan *plan = p->plan;
    if (plan->group_count == first_group)
        return STATUS_OK;
    struct plan_batch *batches =
        with_room(plan->batches, plan->batch_count, &p->batch_capacity, sizeof *batches);
    if (!batches)
        return status_no_memory("plan");
    plan->batches = batches;
    struct plan_batch *b = &plan->batches[plan->batch_count++];
    *b = (struct plan_batch){.first_group = first_group, .count = plan->group_count - first_group};
    for (size_t i = first_group; i < plan->group_count; i++) {
        b->row_count += plan->groups[i].row_count;
        b->expected_s += plan->groups[i].expected_s;
    }
    return STATUS_OK;
}

/* One product, or dequantization, with weights in each of the case's formats. */
static enum status add_formats(struct planner *p, const struct plan_group *proto)
{
    for (size_t i = 0; i < p->of->format_count; i++) {
        const struct weight_format *f = &p->of->formats[i];
        struct plan_group g = *proto;
        g.problem.format = *f;
        if (f->blocksize == 0)
            g.problem.format.blocksize = g.problem.k;
        if (f->kind == FORMAT_DENSE && !op_is_product(g.problem.op))
            continue; /* one list of formats for all operations: there is nothing to dequantize */
        const char *fault = problem_weights_fault(&g.problem);
        if (fault)
            return status_fail(STATUS_INPUT, "%s:%d: weights of %zu x %zu: format %s %s",
                               p->plan->suite->path, p->of->line, g.problem.n, g.problem.k,
                               format_word(f->kind), fault);
        TRY(add_group(p, &g));
    }
    return STATUS_OK;
}

/* The other axes of one case, in that order, over weights whose format is set, or all of the case's. */
static enum status add_axes(struct planner *p, const struct plan_group *proto, bool formats)
{
    const struct suite_case *c = p->of;
    for (unsigned out = 0; out <= DTYPE_U8; out++)
        for (size_t m = 0; m < c->m_count; m++)
            for (size_t bias = 0; bias < c->bias_count; bias++)
                for (size_t t = 0; t < c->thread_count; t++) {
                    struct plan_group g = *proto;
                    g.problem.out = (enum dtype)out;
                    g.problem.m = c->m[m];
                    g.problem.bias = c->bias[bias];
                    g.threads = c->threads[t];
                    const size_t first_group = p->plan->group_count;
                    TRY(formats ? add_formats(p, &g) : add_group(p, &g));
                    TRY(end_batch(p, first_group));
                }
    return STATUS_OK;
}

/* All axes of one case over one set of weights (proto's n, k and weights are set; `stored`: their format,
 * blocksize and nesting too). */
static enum status add_weights(struct planner *p, const struct plan_group *proto, bool stored)
{
    const struct suite_case *c = p->of;
    if (stored || c->formats)
        return add_axes(p, proto, !stored);
    for (size_t b = 0; b < c->blocksize_count; b++)
        for (size_t q = 0; q < c->nested_count; q++) {
            struct plan_group g = *proto;
            g.problem.format.blocksize = c->blocksize[b];
            g.problem.format.nested = c->nested[q];
            TRY(add_axes(p, &g, false));
        }
    return STATUS_OK;
}

static enum status add_file(struct planner *p, struct plan_group g)
{
    const struct suite_case *c = p->of;
    struct safetensors file;
    struct weight_info *weights = NULL;
    size_t count = 0;
    TRY(safetensors_open(c->weights, &file));
    enum status s = weight_list(&file, c->tensors, c->tensor_count, c->checkpoint, &weights, &count);
    for (size_t i = 0; i < count && s == STATUS_OK; i++) {
        const struct weight_info *w = &weights[i];
        struct problem *of = &g.problem;
        of->n = w->n;
        of->k = w->k;
        of->checkpoint = w->checkpoint;
        of->format = w->format;
        int length = snprintf(of->weights, sizeof of->weights, "%s:%s", c->weights, w->name);
        if (length < 0 || (size_t)length >= sizeof of->weights)
            s = status_fail(STATUS_LIMIT,
                            "%s: path and tensor name %s are longer than %d characters together", c->weights,
                            w->name, WEIGHTS_TEXT_MAX - 1);
        else
            s = add_weights(p, &g, w->checkpoint);
    }
    weight_list_free(weights, count);
    safetensors_release(&file);
    return s;
}

static enum status finish(struct plan *plan, enum status s)
{
    if (s == STATUS_OK && plan->group_count == 0)
        s = status_fail(STATUS_USAGE,
                        "%s: no variant for this device takes any of its cases; `nf4bench list` shows what "
                        "there is and where it runs",
                        plan->suite->path);
    for (size_t i = 0; i < plan->batch_count; i++) /* the array of groups grows no more */
        plan->batches[i].groups = &plan->groups[plan->batches[i].first_group];
    if (s != STATUS_OK)
        plan_release(plan);
    return s;
}

enum status plan_make(const struct suite *suite, const struct plan_options *options, struct plan *out)
{
    *out = (struct plan){.suite = suite, .device = options->device};
    struct planner p = {.plan = out, .options = options};
    enum status s = check_globs(options);
    for (size_t i = 0; i < suite->case_count && s == STATUS_OK; i++) {
        const struct suite_case *c = p.of = &suite->cases[i];
        struct plan_group proto = {.problem = {.op = c->op, .seed = options->seed, .weights = "normal"},
                                   .cold = options->measure && c->cold,
                                   .hot = options->measure && c->hot};
        if (c->weights)
            s = add_file(&p, proto);
        for (size_t j = 0; j < c->shape_count && s == STATUS_OK; j++) {
            proto.problem.n = c->shapes[j].n;
            proto.problem.k = c->shapes[j].k;
            s = add_weights(&p, &proto, false);
        }
    }
    return finish(out, s);
}

enum status plan_one(const struct suite *suite, const struct plan_group *group,
                     const struct plan_options *options, struct plan *out)
{
    *out = (struct plan){.suite = suite, .device = options->device};
    struct planner p = {.plan = out, .options = options};
    enum status s = check_globs(options);
    if (s == STATUS_OK)
        s = add_group(&p, group);
    if (s == STATUS_OK)
        s = end_batch(&p, 0);
    return finish(out, s);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = random_mix(h ^ (uint8_t)*text);
    return random_mix(h ^ 0x100);
}

enum status plan_leave_out(struct plan *p, const char *const *globs, size_t count)
{
    for (size_t i = 0; i < p->group_count; i++)
        for (size_t r = 0; r < p->groups[i].row_count; r++) {
            struct plan_row *row = &p->groups[i].rows[r];
            if (row->skip || globs_pass(globs, count, row->kernel->name))
                continue;
            row->skip = strdup("left out when the run was resumed (-v '!...')");
            if (!row->skip)
                return status_no_memory("run");
        }
    return STATUS_OK;
}

uint64_t plan_hash(const struct plan *p)
{
    const struct measure_settings *m = &p->suite->measure;
    char text[PROBLEM_TEXT_MAX + 64], device[DEVICE_TEXT_MAX];
    snprintf(text, sizeof text, "%zu %zu %.17g %.17g %.17g", m->min_samples, m->max_samples, m->max_seconds,
             m->precision, m->settle_seconds);
    uint64_t h = hash_text(p->group_count, text);
    device_format(p->device, device);
    h = hash_text(h, device);
    for (size_t b = 0; b < p->batch_count; b++)
        for (size_t i = 0; i < p->batches[b].count; i++) {
            const struct plan_group *g = &p->batches[b].groups[i];
            const uint64_t left_in_batch = p->batches[b].count - i;
            problem_format(&g->problem, text, sizeof text);
            h = hash_text(h, text);
            h = random_mix(h ^ (left_in_batch << 32 | (uint64_t)g->threads << 2 | (uint64_t)g->cold << 1 |
                                (uint64_t)g->hot));
            for (size_t r = 0; r < g->row_count; r++)
                h = hash_text(h, g->rows[r].kernel->name);
        }
    return h;
}

void plan_release(struct plan *p)
{
    for (size_t i = 0; i < p->group_count; i++)
        group_release(&p->groups[i]);
    free(p->groups);
    free(p->batches);
    p->groups = NULL;
    p->batches = NULL;
    p->group_count = p->batch_count = 0;
}
