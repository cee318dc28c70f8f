#include "harness/base/call_state.h"

#include <fenv.h>
#include <omp.h>

#include "tests/test.h"

TEST(call_state, what_a_call_changes_is_found_and_put_back)
{
    char what[96] = "";
    const struct call_state s = call_state_set(0);
    EXPECT_FALSE(call_state_changed(&s, what, sizeof what));
    EXPECT_TRUE(call_state_restore_here() == NULL);
    ASSERT_EQ(0, fesetround(FE_UPWARD));
    EXPECT_CONTAINS(call_state_restore_here(), "rounding is not to nearest");
    EXPECT_EQ(FE_TONEAREST, fegetround());
    EXPECT_TRUE(call_state_restore_here() == NULL);
}

TEST(call_state, flags_of_exceptions_are_no_change)
{
    char what[96] = "";
    const struct call_state s = call_state_set(0);
    volatile float zero = 0, one = 1;
    volatile float infinite = one / zero;
    EXPECT_TRUE(infinite > 0 && fetestexcept(FE_DIVBYZERO));
    EXPECT_FALSE(call_state_changed(&s, what, sizeof what));
}

TEST(call_state, every_thread_of_the_team_is_looked_at)
{
    char what[96] = "";
    const int before = omp_get_max_threads();
    omp_set_num_threads(3);
    const struct call_state s = call_state_set(0);
#pragma omp parallel
    if (omp_get_thread_num() == 2)
        fesetround(FE_DOWNWARD);
    EXPECT_EQ(FE_TONEAREST, fegetround());
    EXPECT_TRUE(call_state_changed(&s, what, sizeof what));
    EXPECT_CONTAINS(what, "in 1 of 3 threads");
    EXPECT_FALSE(call_state_changed(&s, what, sizeof what));
    omp_set_num_threads(before);
}

TEST(call_state, settings_of_openmp_are_put_back)
{
    char what[96] = "";
    const int threads = omp_get_max_threads(), levels = omp_get_max_active_levels();
    const struct call_state s = call_state_set(0);
    omp_set_num_threads(threads + 3);
    EXPECT_TRUE(call_state_changed(&s, what, sizeof what));
    EXPECT_CONTAINS(what, "OpenMP has");
    EXPECT_EQ(threads, omp_get_max_threads());
    omp_set_max_active_levels(levels + 1);
    EXPECT_TRUE(call_state_changed(&s, what, sizeof what));
    EXPECT_EQ(levels, omp_get_max_active_levels());
    EXPECT_FALSE(call_state_changed(&s, what, sizeof what));
}

TEST(call_state, threads_beyond_the_present_number_are_looked_at)
{
    char what[96] = "";
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    const struct call_state s = call_state_set(2);
#pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 1)
        fesetround(FE_UPWARD);
    EXPECT_TRUE(call_state_changed(&s, what, sizeof what));
    EXPECT_CONTAINS(what, "in 1 of 2 threads");
    omp_set_num_threads(before);
}

#ifdef __SSE__
#include <xmmintrin.h>

TEST(call_state, flushing_and_traps_have_words)
{
    char what[96] = "";
    const struct call_state s = call_state_set(0);
    _mm_setcsr(_mm_getcsr() | 0x8000);
    EXPECT_TRUE(call_state_changed(&s, what, sizeof what));
    EXPECT_CONTAINS(what, "flush-to-zero is on");
    _mm_setcsr(_mm_getcsr() | 0x40);
    EXPECT_CONTAINS(call_state_restore_here(), "denormals are taken for zero");
    _mm_setcsr(_mm_getcsr() & ~0x200u); /* division by zero traps */
    EXPECT_CONTAINS(call_state_restore_here(), "exceptions of floating point");
}
#endif
