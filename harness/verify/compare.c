#include "harness/verify/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/random.h"

const uint32_t ulp_class_limits[ULP_CLASSES - 1] = {0, 1, 2, 4, 8, 16};

/* Spreads indices: those with the smallest rank are kept. */
static uint64_t rank(const struct mismatch *m)
{
    return random_mix(m->index);
}

static void keep(struct comparison *c, struct mismatch m)
{
    size_t at = c->kept_count;
    while (at > 0 && rank(&c->kept[at - 1]) > rank(&m))
        at--;
    if (at == MISMATCHES_KEPT)
        return;
    size_t moved = (c->kept_count < MISMATCHES_KEPT ? c->kept_count : MISMATCHES_KEPT - 1) - at;
    memmove(&c->kept[at + 1], &c->kept[at], moved * sizeof m);
    c->kept[at] = m;
    c->kept_count += c->kept_count < MISMATCHES_KEPT;
}

void compare_one(struct comparison *c, enum dtype t, uint32_t got, uint32_t want, bool ok, size_t index)
{
    uint32_t distance = dtype_bits_equal(t, got, want) ? 0 : dtype_ulp_distance(t, got, want);
    size_t class = 0;
    while (class < ULP_CLASSES - 1 && distance > ulp_class_limits[class])
        class ++;
    c->ulp[class]++;
    c->max_ulp = distance > c->max_ulp ? distance : c->max_ulp;
    c->compared++;
    if (ok)
        return;
    if (c->mismatches++ == 0 || index < c->first) {
        c->first = index;
        c->first_want = want;
        c->first_got = got;
    }
    c->odd_mismatches += index % 2;
    c->lanes |= UINT32_C(1) << index % 32;
    keep(c, (struct mismatch){index, want, got});
    c->last = index > c->last ? index : c->last;
}

void comparison_merge(struct comparison *into, const struct comparison *from)
{
    if (from->mismatches && (!into->mismatches || from->first < into->first)) {
        into->first = from->first;
        into->first_want = from->first_want;
        into->first_got = from->first_got;
    }
    into->compared += from->compared;
    into->mismatches += from->mismatches;
    into->odd_mismatches += from->odd_mismatches;
    into->lanes |= from->lanes;
    for (size_t i = 0; i < from->kept_count; i++)
        keep(into, from->kept[i]);
    into->max_ulp = from->max_ulp > into->max_ulp ? from->max_ulp : into->max_ulp;
    into->last = from->last > into->last ? from->last : into->last;
    for (int i = 0; i < ULP_CLASSES; i++)
        into->ulp[i] += from->ulp[i];
}

void compare_bits(struct comparison *c, enum dtype t, const void *got, const void *want, size_t count,
                  size_t base)
{
    enum { PIECE = 4096 }; /* equal pieces, which are nearly all, cost one memcmp */
    size_t size = dtype_size(t), pieces = (count + PIECE - 1) / PIECE;
#pragma omp parallel if (pieces > 16)
    {
        struct comparison mine = {0};
#pragma omp for schedule(static) nowait
        for (size_t piece = 0; piece < pieces; piece++) {
            size_t first = piece * PIECE, length = count - first < PIECE ? count - first : PIECE;
            const char *g = (const char *)got + first * size, *w = (const char *)want + first * size;
            if (memcmp(g, w, length * size) == 0) {
                mine.compared += length;
                mine.ulp[0] += length;
                continue;
            }
            for (size_t i = 0; i < length; i++) {
                uint32_t a = dtype_load_bits(t, g, i), b = dtype_load_bits(t, w, i);
                compare_one(&mine, t, a, b, dtype_bits_equal(t, a, b), base + first + i);
            }
        }
#pragma omp critical(comparison)
        comparison_merge(c, &mine);
    }
}

void error_sums_add(struct error_sums *e, double got, double want)
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

void describe_bits(enum dtype t, size_t index, uint32_t want, uint32_t got, char *text, size_t size)
{
    int digits = (int)dtype_size(t) * 2;
    snprintf(text, size, "element %zu: expected 0x%0*x (%.9g), got 0x%0*x (%.9g)", index, digits, want,
             (double)dtype_load(t, &want, 0), digits, got, (double)dtype_load(t, &got, 0));
}

void describe_weight(const struct contract *c, const struct quantized *w, size_t columns, size_t element,
                     char *text, size_t size)
{
    const size_t block = quantized_block_of(w, element), bits = format_code_bits(w->format, c->out);
    const struct quantized_block b = quantized_block_at(w, block, c->nested);
    const uint32_t code = quantized_code_at(c, w, element);
    const char *scale = w->format == FORMAT_NF4 ? "absmax" : "scale";
    char zero[32] = "", byte[48];
    snprintf(byte, sizeof byte, "byte %zu%s", element * bits / 8,
             bits != 4     ? ""
             : element % 2 ? ", low nibble"
                           : ", high nibble");
    if (w->format == FORMAT_INT4)
        snprintf(zero, sizeof zero, ", zero point %g", (double)b.zero);
    snprintf(text, size, "weight row %zu column %zu: block %zu, %s, code %u (%.9g), %s %.9g (0x%08x)%s",
             element / columns, element % columns, block, byte, code,
             (double)quantized_decode(c, code, b.zero), scale, (double)b.scale, f32_bits(b.scale), zero);
}
