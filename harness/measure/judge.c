#include "harness/measure/judge.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double overhead_factor = 10;   /* a sample is to be as many times the timer's overhead */
static const double cold_ratio_least = 1.5; /* of the self-test */
static const double excluded_share = 0.2;
static const double ceiling_tolerance = 1.02;
static const double cpu_least_bytes =
    4 << 20; /* of a ceiling on a CPU: of fewer, starting the threads decides */
/* Of bytes in the cache a row may be faster than a ceiling that goes about it in another way, but not by this. */
static const double hot_tolerance = 2, hot_least_bytes = 256 << 10;

void judge_flags(struct record *r)
{
    double sample_us = r->median_us * (double)r->calls_per_sample;
    r->overhead_limited = sample_us < overhead_factor * r->timer_overhead_us;
    r->cold_not_achieved = r->regime == REGIME_COLD && r->cold_ratio < cold_ratio_least;
    r->primary = 1;
}

static enum verdict judge_hot(const struct record *r, const struct judge_ceiling *ceiling, char *reason, size_t size)
{
    if (r->regime != REGIME_HOT || ceiling->bytes < hot_least_bytes || !(r->ceiling_fraction_lo > hot_tolerance))
        return VERDICT_PASS;
    snprintf(reason, size, "%.2f us of bytes in the cache is %.3g times as fast as the %s ceiling there", r->median_us,
             r->ceiling_fraction, ceiling->word);
    return VERDICT_SUSPECT;
}

enum verdict judge_gpu_times(const struct record *r, const struct judge_ceiling *ceiling, char *reason,
                             size_t size)
{
    uint64_t rounds = r->sample_count - r->retried_count;
    double fastest = ceiling->median_us * r->format_bytes / (ceiling_tolerance * ceiling->bytes);
    if ((double)r->excluded_count > excluded_share * (double)rounds) {
        snprintf(reason, size, "%llu of %llu samples under a slowdown of the GPU",
                 (unsigned long long)r->excluded_count, (unsigned long long)rounds);
        return VERDICT_UNSTABLE;
    }
    /* Of fewer bytes, what stays in the cache decides: for the row and for the ceiling, not by the same
     * share. */
    bool beyond_cache = r->format_bytes > 2 * (double)r->device_cache_bytes;
    if (r->regime == REGIME_COLD && beyond_cache && r->median_us < fastest) {
        snprintf(reason, size, "%.2f us, and moving its bytes as fast as the %s ceiling takes %.2f us",
                 r->median_us, ceiling->word, fastest);
        return VERDICT_SUSPECT;
    }
    return judge_hot(r, ceiling, reason, size);
}

enum verdict judge_cpu_times(const struct record *r, const struct judge_ceiling *ceiling, char *reason,
                             size_t size)
{
    /* The ceiling's bytes alone: what else the row moves, a CPU may move beside them. */
    if (r->regime == REGIME_COLD && ceiling->bytes >= cpu_least_bytes &&
        r->ceiling_fraction_lo > ceiling_tolerance && r->median_us < ceiling->min_us / ceiling_tolerance) {
        snprintf(reason, size,
                 "%.2f us is %.3g times as fast as the %s ceiling (95 %% interval from %.3g on)",
                 r->median_us, r->ceiling_fraction, ceiling->word, r->ceiling_fraction_lo);
        return VERDICT_SUSPECT;
    }
    return judge_hot(r, ceiling, reason, size);
}

static struct record *in_regime(const struct record *of, enum regime regime, struct record *rows,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].regime == regime && strcmp(rows[i].variant, of->variant) == 0 &&
            strcmp(rows[i].case_key, of->case_key) == 0)
            return &rows[i];
    return NULL;
}

void judge_primary(struct record *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct record *cold = &rows[i], *hot;
        if (cold->regime != REGIME_COLD || !(hot = in_regime(cold, REGIME_HOT, rows, count)))
            continue;
        cold->primary = !cold->overhead_limited && !cold->cold_not_achieved;
        hot->primary = !cold->primary;
    }
}
