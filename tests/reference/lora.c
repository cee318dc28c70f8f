/* Tests of reference/lora.c: a case worked out by hand, and Y + s X (B A)^T computed in the other
 * association. */
#include <math.h>
#include <stdlib.h>

#include "reference/matmul.h"
#include "tests/reference/random.h"
#include "tests/test.h"

TEST(lora, by_hand)
{
    /* X = [1 2 3; -1 0 4], A = [1 0 2; 0 -1 1], B = [1 0; 2 1; 0 3; -1 1], s = 0.5
     * X A^T = [7 1; 7 4]; (X A^T) B^T = [7 15 3 -6; 7 18 12 -3] */
    const float x[6] = {1, 2, 3, -1, 0, 4}, a[6] = {1, 0, 2, 0, -1, 1}, b[8] = {1, 0, 2, 1, 0, 3, -1, 1};
    const double want[8] = {13.5, 7.5, 1.5, -3.0, 3.5, 9.0, 6.0, 98.5};
    double y[8] = {10, 0, 0, 0, 0, 0, 0, 100};
    lora_fp64(DTYPE_F32, 2, 4, 3, 2, 0.5, x, a, b, y);
    for (int i = 0; i < 8; ++i) {
        test_note("element %d", i);
        EXPECT_TRUE(y[i] == want[i]); /* small integers: exact */
    }
}

TEST(lora, is_a_product_with_the_summed_weights)
{
    enum { M = 5, N = 33, K = 70, RANK = 9 };
    for (enum dtype t = 0; t < DTYPE_COUNT; ++t) {
        float x[M * K], a[RANK * K], b[N * RANK]; /* as wide as the widest type */
        double y[M * N], before[M * N];
        for (size_t i = 0; i < M * K; ++i)
            dtype_store(t, x, i, random_bell(91, i));
        for (size_t i = 0; i < RANK * K; ++i)
            dtype_store(t, a, i, random_bell(92, i));
        for (size_t i = 0; i < N * RANK; ++i)
            dtype_store(t, b, i, random_bell(93, i));
        for (size_t i = 0; i < M * N; ++i)
            y[i] = before[i] = (double)random_bell(94, i);
        lora_fp64(t, M, N, K, RANK, 1.75, x, a, b, y);
        double worst = 0;
        for (size_t m = 0; m < M; ++m)
            for (size_t n = 0; n < N; ++n) {
                double sum = 0;
                for (size_t k = 0; k < K; ++k) {
                    double weight = 0; /* (B A)[n, k] */
                    for (size_t r = 0; r < RANK; ++r)
                        weight +=
                            (double)dtype_load(t, b, n * RANK + r) * (double)dtype_load(t, a, r * K + k);
                    sum += (double)dtype_load(t, x, m * K + k) * weight;
                }
                worst = fmax(worst, fabs(before[m * N + n] + 1.75 * sum - y[m * N + n]));
            }
        test_note("%s: largest difference %g", dtype_word(t), worst);
        EXPECT_TRUE(worst <= 1e-11);
    }
    double y[1] = {3};
    const float nothing[1] = {0};
    lora_fp64(DTYPE_F32, 1, 1, 1, 0, 2.0, nothing, nothing, nothing, y);
    EXPECT_TRUE(y[0] == 3); /* rank 0 adds nothing */
}
