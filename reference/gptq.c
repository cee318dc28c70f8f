#include "reference/gptq.h"

bool gptq_fits(size_t n, size_t k)
{
    return n % 8 == 0 && k % 8 == 0;
}

bool gptq_pack(const struct grouped_int4 *w, enum gptq_version version, const struct gptq_tensors *out)
{
    const size_t groups = int4_group_count(w->k, w->group);
    const unsigned less = version == GPTQ_V1 ? 1 : 0;
    bool fits = true;
    for (size_t r = 0; r < w->k / 8; r++)
        for (size_t n = 0; n < w->n; n++)
            out->qweight[r * w->n + n] = int4_word(w->q + n * w->k + 8 * r, 1, NULL);
    for (size_t g = 0; g < groups; g++)
        for (size_t c = 0; c < w->n / 8; c++) {
            uint32_t word = 0;
            for (size_t i = 0; i < 8; i++) {
                const unsigned stored = w->zero[(8 * c + i) * groups + g] - less;
                fits = fits && stored <= INT4_MAX;
                word |= (uint32_t)(stored & 15) << (4 * i);
            }
            out->qzeros[g * (w->n / 8) + c] = word;
        }
    for (size_t g = 0; g < groups; g++)
        for (size_t n = 0; n < w->n; n++)
            out->scales[g * w->n + n] = w->scale[n * groups + g];
    for (size_t k = 0; k < w->k; k++)
        out->g_idx[k] = (uint32_t)int4_group_of(w, k);
    return fits;
}

void gptq_unpack(const struct gptq_tensors *t, enum gptq_version version, struct grouped_int4 *w)
{
    const size_t groups = int4_group_count(w->k, w->group);
    for (size_t n = 0; n < w->n; n++)
        for (size_t k = 0; k < w->k; k++)
            w->q[n * w->k + k] = (uint8_t)int4_nibble(t->qweight[k / 8 * w->n + n], k % 8);
    for (size_t n = 0; n < w->n; n++)
        for (size_t g = 0; g < groups; g++) {
            w->zero[n * groups + g] = (uint8_t)(int4_nibble(t->qzeros[g * (w->n / 8) + n / 8], n % 8) +
                                                (version == GPTQ_V1 ? 1 : 0));
            w->scale[n * groups + g] = t->scales[g * w->n + n];
        }
}
