#include "plots/mean.h"

#include <math.h>
#include <stdbool.h>

#include "harness/base/student.h"

struct mean mean_of(const struct mean_part *parts, size_t count)
{
    struct mean m = {NAN, NAN, NAN, 0, count};
    double sum = 0, squares = 0, lowest = INFINITY, highest = -INFINITY;
    bool unpaired = false;
    for (size_t i = 0, next; i < count; i = next) {
        double log_ratio = 0, log_lo = 0, log_hi = 0; /* sums over the parts of one shape */
        for (next = i; next < count && parts[next].shape == parts[i].shape; next++) {
            const struct paired_ratio *p = &parts[next].ratio;
            log_ratio += log(p->ratio);
            log_lo += p->count > 0 ? log(p->ci.lo) : NAN;
            log_hi += p->count > 0 ? log(p->ci.hi) : NAN;
        }
        /* Welford's: the spread of shapes is small beside their mean. */
        const double n = (double)(next - i), x = log_ratio / n, before = x - sum;
        lowest = fmin(lowest, log_lo / n);
        highest = fmax(highest, log_hi / n);
        unpaired = unpaired || isnan(log_lo) || isnan(log_hi);
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
