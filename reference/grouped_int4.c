#include "reference/grouped_int4.h"

#include <math.h>

size_t int4_group_count(size_t k, size_t group)
{
    return (k + group - 1) / group;
}

size_t int4_group_of(const struct grouped_int4 *w, size_t k)
{
    return w->group_of ? w->group_of[k] : k / w->group;
}

struct value_range {
    float least, most; /* 0 lies within */
};

static struct value_range range_of_group(const struct grouped_int4 *w, const float *row, size_t group)
{
    struct value_range r = {0, 0};
    for (size_t k = 0; k < w->k; k++)
        if (int4_group_of(w, k) == group) {
            r.least = fminf(r.least, row[k]);
            r.most = fmaxf(r.most, row[k]);
        }
    return r;
}

static uint8_t clamped(float x)
{
    return (uint8_t)fminf(fmaxf(x, 0), INT4_MAX);
}

void int4_quantize(const float *x, bool symmetric, struct grouped_int4 *w)
{
    const size_t groups = int4_group_count(w->k, w->group);
#pragma omp parallel for schedule(static)
    for (size_t n = 0; n < w->n; n++) {
        const float *row = x + n * w->k;
        for (size_t g = 0; g < groups; g++) {
            const struct value_range r = range_of_group(w, row, g);
            const float span = symmetric ? 2 * fmaxf(-r.least, r.most) : r.most - r.least;
            const size_t at = n * groups + g;
            w->scale[at] = f16_from_f32(span / INT4_MAX);
            if (f16_to_f32(w->scale[at]) == 0)
                w->scale[at] = f16_from_f32(1);
            w->zero[at] =
                symmetric ? INT4_SYMMETRIC_ZERO : clamped(rintf(-r.least / f16_to_f32(w->scale[at])));
        }
        for (size_t k = 0; k < w->k; k++) {
            const size_t at = n * groups + int4_group_of(w, k);
            w->q[n * w->k + k] = clamped(rintf(row[k] / f16_to_f32(w->scale[at])) + (float)w->zero[at]);
        }
    }
}
