/*
 * round.c: one round of a comparison, in a process that is this program anew: both libraries are loaded,
 * and each row's two sides are sampled in alternation.
 *
 * Its parent (rounds.c) writes the job to its stdin, one JSON object:
 *
 *   {"baseline": FILE, "candidate": FILE, "swap": false, "device": "cpu", "verify": false, "seed": "1",
 *    "samples": 20, "settle_seconds": 1.0, "slowdowns": [0],
 *    "rows": [{"case": TEXT, "variant": NAME, "regime": "cold", "threads": 2, "hash": HEX}, ...]}
 *
 * and reads lines of JSON from its stdout, one for each row in the order in which they are done:
 *
 *   {"row": 3, "us": [base, candidate, ...], "code": [HEX, HEX], "fault": ""}      timed: medians
 *   {"row": 3, "verdict": 1, "check": "", "reason": "", "detail": "", "hash": HEX}     with "verify": true
 *   {"error": MESSAGE, "status": 5}                                                 what ended it
 *
 * `us` has the baseline and then the candidate once for each of `slowdowns`, its samples longer by that
 * share. With "verify" the candidate's variants are verified, and nothing is timed. A variant that crashes or
 * hangs costs its rows alone: the fault, or the verdict, says so.
 */
#include "harness/gate/rounds.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "harness/base/machine.h"
#include "harness/base/random.h"
#include "harness/device/open.h"
#include "harness/measure/measure.h"
#include "harness/problem/operands.h"
#include "harness/problem/variant.h"
#include "harness/provider/plugins.h"
#include "harness/verify/verify.h"

struct round_row {
    const char *case_text, *variant;
    const struct kernel *base, *candidate;
    enum regime regime;
    unsigned threads;
    uint64_t hash;
};

struct round {
    FILE *out; /* to the parent */
    struct device *device;
    size_t device_count;
    bool verify;
    uint64_t seed;
    struct measure_settings settings;
    double slowdowns[GATE_SLOWDOWNS_MAX];
    size_t slowdown_count;
    struct round_row *rows;
    size_t row_count;
    size_t *order;
    struct verifier *verifier;
    struct measure_state measure;
};

/* ---- answers ---- */

static enum status answer(const struct round *r, json_t *object)
{
    bool ok = object && json_dumpf(object, r->out, JSON_COMPACT) == 0 && fputc('\n', r->out) == '\n' &&
              fflush(r->out) == 0;
    json_decref(object);
    return ok ? STATUS_OK : status_fail(STATUS_IO, "a round: its answer cannot be written");
}

static json_t *hash_json(uint64_t hash)
{
    return json_sprintf("%016llx", (unsigned long long)hash);
}

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* ---- the job ---- */

static enum status bad_job(const char *what)
{
    return status_fail(STATUS_INTERNAL, "a round: its job has no good %s", what);
}

static const struct kernel *find(const struct kernel *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static enum status read_rows(json_t *list, const struct kernel *const sides[2], const size_t counts[2],
                             struct round *r)
{
    r->row_count = json_array_size(list);
    r->rows = calloc(r->row_count + 1, sizeof *r->rows);
    r->order = calloc(r->row_count + 1, sizeof *r->order);
    if (!r->rows || !r->order)
        return status_no_memory("a round");
    for (size_t i = 0; i < r->row_count; i++) {
        const char *regime, *hash;
        int threads;
        struct round_row *row = &r->rows[i];
        if (json_unpack(json_array_get(list, i), "{s:s, s:s, s:s, s:i, s:s}", "case", &row->case_text,
                        "variant", &row->variant, "regime", &regime, "threads", &threads, "hash",
                        &hash) != 0 ||
            threads <= 0)
            return bad_job("row");
        row->regime = strcmp(regime, "hot") == 0 ? REGIME_HOT : REGIME_COLD;
        row->threads = (unsigned)threads;
        row->hash = strtoull(hash, NULL, 16);
        row->base = find(sides[0], counts[0], row->variant);
        row->candidate = find(sides[1], counts[1], row->variant);
        if (!row->candidate || (!row->base && !r->verify))
            return bad_job("variant");
        r->order[i] = i;
    }
    return STATUS_OK;
}

static enum status read_job(const json_t *job, struct round *r)
{
    static const char *const labels[2] = {"baseline", "candidate"};
    const bool swap = json_is_true(json_object_get(job, "swap"));
    const json_t *slowdowns = json_object_get(job, "slowdowns");
    const char *device = json_string_value(json_object_get(job, "device"));
    const char *seed = json_string_value(json_object_get(job, "seed"));
    struct kernel *sides[2] = {NULL, NULL};
    size_t counts[2];
    struct device asked;
    if (!device || !seed || json_array_size(slowdowns) > GATE_SLOWDOWNS_MAX)
        return bad_job("device, seed or list of slowdowns");
    r->verify = json_is_true(json_object_get(job, "verify"));
    r->seed = strtoull(seed, NULL, 10);
    r->slowdown_count = json_array_size(slowdowns);
    for (size_t i = 0; i < r->slowdown_count; i++)
        r->slowdowns[i] = json_number_value(json_array_get(slowdowns, i));
    r->settings = measure_defaults();
    r->settings.min_samples = r->settings.max_samples =
        (size_t)json_integer_value(json_object_get(job, "samples"));
    r->settings.settle_seconds = json_number_value(json_object_get(job, "settle_seconds"));
    /* Which is loaded first decides where each lies in memory. */
    for (int i = 0; i < 2; i++) {
        const int side = i ^ swap;
        const char *path = json_string_value(json_object_get(job, labels[side]));
        if (!path)
            return bad_job("library");
        TRY(plugin_side_load(path, labels[side], &sides[side], &counts[side]));
    }
    TRY(device_parse(device, &asked));
    TRY(read_rows(json_object_get(job, "rows"), (const struct kernel *const *)sides, counts, r));
    return device_open(&asked, &r->device, &r->device_count);
}

/* ---- the work ---- */

static enum status verify_row(struct round *r, size_t i, const struct operands *o)
{
    struct verification v;
    TRY(verify(r->verifier, r->rows[i].candidate, o, &v));
    return answer(r, json_pack("{s:I, s:i, s:s, s:s, s:s, s:o}", "row", (json_int_t)i, "verdict",
                               (int)v.verdict, "check", v.check, "reason", v.reason, "detail", v.detail,
                               "hash", hash_json(v.output_hash)));
}

static json_t *code_json(const struct kernel *k, const struct measure_row *m)
{
    return m->code.code_hash ? hash_json(m->code.code_hash) : json_string(k->code_hash ? k->code_hash : "");
}

/* The sides of one row, sampled in alternation. */
static enum status time_row(struct round *r, size_t i, const struct operands *o)
{
    const struct round_row *row = &r->rows[i];
    const size_t sides = 1 + r->slowdown_count;
    struct measure_group g = {.problems = &o,
                              .problem_count = 1,
                              .regime = row->regime,
                              .no_ceilings = true,
                              .variant_count = sides};
    g.rows = calloc(sides + CEILING_COUNT, sizeof *g.rows);
    if (!g.rows)
        return status_no_memory("a round");
    for (size_t side = 0; side < sides; side++) {
        g.rows[side].kernel = side ? row->candidate : row->base;
        g.rows[side].output_hash = row->hash;
        g.rows[side].slowdown = side ? r->slowdowns[side - 1] : 0;
    }
    enum status s = measure_group(&r->measure, &r->settings, &g,
                                  random_u64(r->seed, RANDOM_ORDER, ~(uint64_t)i), NULL, NULL);
    if (s == STATUS_OK) {
        json_t *us = json_array();
        const char *fault = "";
        for (size_t side = 0; side < sides; side++) {
            json_array_append_new(us, number_or_null(g.rows[side].summary.median));
            if (g.rows[side].fault[0])
                fault = g.rows[side].fault;
        }
        s = answer(r, json_pack("{s:I, s:o, s:[o, o], s:s, s:b, s:o}", "row", (json_int_t)i, "us", us, "code",
                                code_json(row->base, &g.rows[0]), code_json(row->candidate, &g.rows[1]),
                                "fault", fault, "fault_of_baseline", g.rows[0].fault[0] != '\0', "timer_us",
                                number_or_null(r->measure.timer_overhead_us)));
    }
    measure_group_release(&g);
    return s;
}

static bool same_operands(const struct round_row *a, const struct round_row *b)
{
    return strcmp(a->case_text, b->case_text) == 0 && a->threads == b->threads;
}

/* The rows at these positions of the order, which share their operands. */
static enum status do_rows(struct round *r, size_t begin, size_t end)
{
    const struct round_row *first = &r->rows[r->order[begin]];
    struct operands o = {0};
    struct problem p;
    bool cold = false;
    for (size_t i = begin; i < end; i++)
        cold = cold || (!r->verify && r->rows[r->order[i]].regime == REGIME_COLD);
    r->device->threads = first->threads;
    enum status s = problem_parse(first->case_text, &p);
    if (s == STATUS_OK)
        s = operands_init(
            &p, cold && r->device->kind == DEVICE_CPU ? operands_cold_copies(&p, operands_set_bytes(&p)) : 1,
            r->device, &o);
    for (size_t i = begin; i < end && s == STATUS_OK; i++) {
        const size_t row = r->order[i];
        s = r->verify ? verify_row(r, row, &o) : time_row(r, row, &o);
    }
    operands_release(&o);
    return s;
}

/* Rows of the same operands stay together; these groups, and the rows in each, come in random order. */
static void shuffle(struct round *r)
{
    uint64_t *key = calloc(r->row_count + 1, sizeof *key);
    for (size_t i = 0; key && i < r->row_count; i++) {
        size_t group = i;
        for (size_t j = 0; j < i && group == i; j++)
            if (same_operands(&r->rows[i], &r->rows[j]))
                group = j;
        key[i] = random_u64(r->seed, RANDOM_ORDER, group) << 16 |
                 (random_u64(r->seed, RANDOM_POSITIONS, i) & 0xffff);
    }
    for (size_t i = 1; key && i < r->row_count; i++) /* few rows */
        for (size_t j = i; j > 0 && key[r->order[j]] < key[r->order[j - 1]]; j--) {
            const size_t swap = r->order[j];
            r->order[j] = r->order[j - 1];
            r->order[j - 1] = swap;
        }
    free(key);
}

static enum status work(struct round *r)
{
    r->verifier = verifier_new();
    enum status s = r->verifier ? STATUS_OK : status_no_memory("a round");
    for (size_t begin = 0, end; begin < r->row_count && s == STATUS_OK; begin = end) {
        for (end = begin + 1; end < r->row_count; end++)
            if (!same_operands(&r->rows[r->order[begin]], &r->rows[r->order[end]]))
                break;
        s = do_rows(r, begin, end);
    }
    verifier_free(r->verifier);
    device_stop(r->device);
    return s;
}

int gate_round_main(void)
{
    struct round r = {.out = fdopen(dup(STDOUT_FILENO), "w")};
    json_error_t error;
    /* What a library prints is for people. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (!r.out)
        return status_exit_code(STATUS_IO);
    json_t *job = json_loadf(stdin, 0, &error);
    enum status s = job ? read_job(job, &r) : bad_job(error.text);
    if (s == STATUS_OK) {
        shuffle(&r);
        s = work(&r);
    }
    if (s != STATUS_OK &&
        answer(&r, json_pack("{s:s, s:i}", "error", status_message(), "status", (int)s)) != STATUS_OK)
        fprintf(stderr, "nf4bench: %s\n", status_message());
    return status_exit_code(s);
}
