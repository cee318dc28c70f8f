#include "plots/mean.h"

#include <math.h>
#include <stdbool.h>

#include "harness/base/student.h"

/* Sums over the parts of one shape. */
struct shape_sum {
    double log_ratio, log_lo, log_hi;
};

static double shape_mean(const struct mean_part *parts, size_t count, struct shape_sum *sum)
{
    *sum = (struct shape_sum){0};
    for (size_t i = 0; i < count; i++) {
        const struct paired_ratio *p = &parts[i].ratio;
        sum->log_ratio += log(p->ratio);
        sum->log_lo += p->count > 0 ? log(p->ci.lo) : NAN;
        sum->log_hi += p->count > 0 ? log(p->ci.hi) : NAN;
    }
    return sum->log_ratio / (double)count;
}

struct mean mean_of(const struct mean_part *parts, size_t count)
{
    struct mean m = {NAN, NAN, NAN, 0, count};
    struct shape_sum shape;
    double sum = 0, squares = 0, lowest = INFINITY, highest = -INFINITY;
    bool unpaired = false;
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && parts[next].shape == parts[i].shape;)
            next++;
        /* Welford's: the spread of shapes is small beside their mean. */
        const double x = shape_mean(parts + i, next - i, &shape), before = x - sum;
        lowest = fmin(lowest, shape.log_lo / (double)(next - i));
        highest = fmax(highest, shape.log_hi / (double)(next - i));
        unpaired = unpaired || isnan(shape.log_lo) || isnan(shape.log_hi);
        m.shapes++;
        sum += before / (double)m.shapes;
        squares += before * (x - sum);
    }
    if (m.shapes == 0)
        return m;
    m.ratio = exp(sum);
    if (m.shapes < MEAN_SHAPES) {
        m.lo = unpaired ? NAN : exp(lowest);
        m.hi = unpaired ? NAN : exp(highest);
        return m;
    }
    const double n = (double)m.shapes;
    const double half = student_quantile(0.975, n - 1) * sqrt(squares / (n - 1) / n);
    m.lo = exp(sum - half);
    m.hi = exp(sum + half);
    return m;
}
