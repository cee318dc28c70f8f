#include "reference/awq.h"

/* Column of the group of eight that nibble i holds. */
static const unsigned order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
/* And the nibble that holds column j. */
static const unsigned place[8] = {0, 4, 1, 5, 2, 6, 3, 7};

static bool zeros_fit(const struct grouped_int4 *w)
{
    for (size_t i = 0; i < w->n * int4_group_count(w->k, w->group); i++)
        if (w->zero[i] > INT4_MAX)
            return false;
    return true;
}

/* ---- GEMM ---- */

bool awq_gemm_fits(const struct grouped_int4 *w)
{
    return w->n % 8 == 0 && !w->group_of;
}

bool awq_gemm_pack(const struct grouped_int4 *w, const struct awq_tensors *out)
{
    const size_t groups = int4_group_count(w->k, w->group), across = w->n / 8;
    for (size_t c = 0; c < across; c++) {
        for (size_t k = 0; k < w->k; k++)
            out->qweight[k * across + c] = int4_word(w->q + 8 * c * w->k + k, w->k, order);
        for (size_t g = 0; g < groups; g++)
            out->qzeros[g * across + c] = int4_word(w->zero + 8 * c * groups + g, groups, order);
    }
    for (size_t g = 0; g < groups; g++)
        for (size_t n = 0; n < w->n; n++)
            out->scales[g * w->n + n] = w->scale[n * groups + g];
    return zeros_fit(w);
}

void awq_gemm_unpack(const struct awq_tensors *t, struct grouped_int4 *w)
{
    const size_t groups = int4_group_count(w->k, w->group), across = w->n / 8;
    for (size_t n = 0; n < w->n; n++) {
        for (size_t k = 0; k < w->k; k++)
            w->q[n * w->k + k] = (uint8_t)int4_nibble(t->qweight[k * across + n / 8], place[n % 8]);
        for (size_t g = 0; g < groups; g++) {
            w->zero[n * groups + g] = (uint8_t)int4_nibble(t->qzeros[g * across + n / 8], place[n % 8]);
            w->scale[n * groups + g] = t->scales[g * w->n + n];
        }
    }
}

/* ---- GEMV ---- */

bool awq_gemv_fits(const struct grouped_int4 *w)
{
    return w->k % 8 == 0 && !w->group_of && (w->group == 32 || w->group == 64 || w->group % 128 == 0);
}

size_t awq_gemv_width(size_t k, size_t group)
{
    const size_t factor = group >= 128 ? 1 : group == 64 ? 2 : 4;
    const size_t words = (int4_group_count(k, group) + 7) / 8;
    return (words + factor - 1) / factor * factor;
}

bool awq_gemv_pack(const struct grouped_int4 *w, const struct awq_tensors *out)
{
    const size_t groups = int4_group_count(w->k, w->group), width = awq_gemv_width(w->k, w->group);
    for (size_t n = 0; n < w->n; n++) {
        for (size_t c = 0; c < w->k / 8; c++)
            out->qweight[n * (w->k / 8) + c] = int4_word(w->q + n * w->k + 8 * c, 1, NULL);
        for (size_t c = 0; c < width; c++) {
            uint32_t word = 0;
            for (size_t i = 0; i < 8 && 8 * c + i < groups; i++)
                word |= (uint32_t)(w->zero[n * groups + 8 * c + i] & 15) << (4 * i);
            out->qzeros[n * width + c] = word;
        }
        for (size_t g = 0; g < 8 * width; g++)
            out->scales[n * 8 * width + g] = g < groups ? w->scale[n * groups + g] : 0;
    }
    return zeros_fit(w);
}

void awq_gemv_unpack(const struct awq_tensors *t, struct grouped_int4 *w)
{
    const size_t groups = int4_group_count(w->k, w->group), width = awq_gemv_width(w->k, w->group);
    for (size_t n = 0; n < w->n; n++) {
        for (size_t k = 0; k < w->k; k++)
            w->q[n * w->k + k] = (uint8_t)int4_nibble(t->qweight[n * (w->k / 8) + k / 8], k % 8);
        for (size_t g = 0; g < groups; g++) {
            w->zero[n * groups + g] = (uint8_t)int4_nibble(t->qzeros[n * width + g / 8], g % 8);
            w->scale[n * groups + g] = t->scales[n * 8 * width + g];
        }
    }
}
