#include "harness/base/float_state.h"

#include <fenv.h>
#include <omp.h>

#include "tests/test.h"

TEST(float_state, what_a_call_changes_is_found_and_put_back)
{
    char what[96] = "";
    float_state_set();
    EXPECT_FALSE(float_state_changed(what, sizeof what));
    EXPECT_TRUE(float_state_restore_here() == NULL);
    ASSERT_EQ(0, fesetround(FE_UPWARD));
    EXPECT_CONTAINS(float_state_restore_here(), "rounding is not to nearest");
    EXPECT_EQ(FE_TONEAREST, fegetround());
    EXPECT_TRUE(float_state_restore_here() == NULL);
}

TEST(float_state, flags_of_exceptions_are_no_change)
{
    char what[96] = "";
    float_state_set();
    volatile float zero = 0, one = 1;
    volatile float infinite = one / zero;
    EXPECT_TRUE(infinite > 0 && fetestexcept(FE_DIVBYZERO));
    EXPECT_FALSE(float_state_changed(what, sizeof what));
}

TEST(float_state, every_thread_of_the_team_is_looked_at)
{
    char what[96] = "";
    const int before = omp_get_max_threads();
    omp_set_num_threads(3);
    float_state_set();
#pragma omp parallel
    if (omp_get_thread_num() == 2)
        fesetround(FE_DOWNWARD);
    EXPECT_EQ(FE_TONEAREST, fegetround());
    EXPECT_TRUE(float_state_changed(what, sizeof what));
    EXPECT_CONTAINS(what, "in 1 of 3 threads");
    EXPECT_FALSE(float_state_changed(what, sizeof what));
    omp_set_num_threads(before);
}

#ifdef __SSE__
#include <xmmintrin.h>

TEST(float_state, flushing_and_traps_have_words)
{
    char what[96] = "";
    float_state_set();
    _mm_setcsr(_mm_getcsr() | 0x8000);
    EXPECT_TRUE(float_state_changed(what, sizeof what));
    EXPECT_CONTAINS(what, "flush-to-zero is on");
    _mm_setcsr(_mm_getcsr() | 0x40);
    EXPECT_CONTAINS(float_state_restore_here(), "denormals are taken for zero");
    _mm_setcsr(_mm_getcsr() & ~0x200u); /* division by zero traps */
    EXPECT_CONTAINS(float_state_restore_here(), "exceptions of floating point");
}
#endif
