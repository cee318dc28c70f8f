#include "harness/measure/stop.h"

#include "tests/test.h"

enum { SAMPLES = 64 };
static const struct measure_settings settings = {
    .min_samples = 16, .max_samples = SAMPLES, .max_seconds = 2, .precision = 0.01};

/* A row of samples that alternate between 1 - spread and 1 + spread. */
static void fill(struct measure_row *r, double *samples, uint8_t *flags, size_t count, double spread)
{
    for (size_t i = 0; i < count; i++) {
        samples[i] = i % 2 ? 1 + spread : 1 - spread;
        flags[i] = 0;
    }
    r->samples = samples;
    r->flags = flags;
    r->sample_count = count;
}

TEST(stop, rounds_end_when_all_rows_are_precise_or_the_time_is_over)
{
    double samples[2][SAMPLES], scratch[2 * SAMPLES];
    uint8_t flags[2][SAMPLES];
    struct measure_row rows[2] = {{0}};
    const struct measure_group g = {.rows = rows, .row_count = 2};
    static const struct {
        size_t rounds;
        double elapsed_s, spread[2];
        bool ended, stops;
    } cases[] = {
        {8, 9, {0, 0}, false, false}, /* fewer than min_samples, whatever the time and the precision */
        {16, 0, {0.001, 0.001}, false, true},  /* all precise */
        {16, 0, {0.001, 0.5}, false, false},   /* one is not */
        {16, 0, {0.001, 0.5}, true, true},     /* but is out */
        {17, 0, {0.001, 0.001}, false, false}, /* no look in this round */
        {24, 0, {0.001, 0.001}, false, true},  {17, 1.9, {0.5, 0.5}, false, false},
        {17, 2, {0.5, 0.5}, false, true}, /* time */
        {SAMPLES, 0, {0.5, 0.5}, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_note("%zu", i);
        for (size_t row = 0; row < 2; row++)
            fill(&rows[row], samples[row], flags[row], cases[i].rounds, cases[i].spread[row]);
        rows[1].ended = cases[i].ended;
        EXPECT_EQ(cases[i].stops, stop_now(&settings, &g, cases[i].rounds, cases[i].elapsed_s, scratch));
    }
    test_note(NULL);
}

TEST(stop, excluded_samples_do_not_count_unless_all_are)
{
    double samples[SAMPLES], scratch[2 * SAMPLES];
    uint8_t flags[SAMPLES];
    struct measure_row r = {0};
    struct sample_summary summary;
    fill(&r, samples, flags, 32, 0.5);
    EXPECT_FALSE(stop_row_precise(&r, 0.01, scratch, &summary));
    for (size_t i = 0; i < 32; i += 2)
        flags[i] = SAMPLE_SLOWDOWN;
    EXPECT_TRUE(stop_row_precise(&r, 0.01, scratch, &summary));
    EXPECT_TRUE(summary.median == 1.5);
    for (size_t i = 0; i < 32; i++)
        flags[i] = SAMPLE_SLOWDOWN;
    EXPECT_FALSE(stop_row_precise(&r, 0.01, scratch, &summary));
}
