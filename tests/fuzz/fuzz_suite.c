/* Any bytes as a suite, as models.yaml, and (what follows the last NUL) as an --axis assignment. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/models.h"
#include "harness/suite/suite.h"
#include "reference/nf4.h"

static void require(bool ok)
{
    if (!ok)
        __builtin_trap();
}

/* What later stages rely on. */
static void check(const struct suite *s)
{
    require(s->path && s->name && *s->name && s->case_count);
    require(s->measure.min_samples && s->measure.min_samples <= s->measure.max_samples);
    require(s->measure.precision > 0 && s->measure.max_seconds > 0 && s->measure.settle_seconds >= 0);
    for (size_t i = 0; i < s->case_count; i++) {
        const struct suite_case *c = &s->cases[i];
        require(c->m_count && c->blocksize_count && c->nested_count && c->bias_count && c->thread_count);
        require(c->cold || c->hot);
        require((c->weights != NULL) == (c->shape_count == 0));
        require((c->weights != NULL) == (c->tensor_count != 0));
        require(c->weights || !c->checkpoint);
        for (size_t j = 0; j < c->m_count; j++)
            require(c->op == OP_DEQUANT ? c->m_count == 1 && !c->m[j] : c->m[j] && c->m[j] <= 1 << 20);
        for (size_t j = 0; j < c->blocksize_count; j++)
            require(nf4_blocksize_valid(c->blocksize[j]));
        for (size_t j = 0; j < c->shape_count; j++)
            require(c->shapes[j].n && c->shapes[j].k && c->shapes[j].n * c->shapes[j].k <= (size_t)1 << 40);
        for (size_t j = 0; j < c->variant_count; j++)
            require(*c->variants[j] != '\0');
        require(c->op == OP_GEMM || (c->bias_count == 1 && !c->bias[0]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memrchr(data, '\0', size) : NULL;
    size_t text_size = nul ? (size_t)(nul - data) : size;
    struct suite s;
    struct models m;
    enum status status =
        suite_parse((const char *)data, text_size, NF4BENCH_SOURCE_DIR "/suites/fuzz.yaml", &s);
    if (status == STATUS_OK)
        check(&s);
    else
        require(!s.cases && !s.case_count && !s.name && *status_message());
    if (status == STATUS_OK && nul) {
        char *assignment = strndup((const char *)nul + 1, size - text_size - 1);
        if (assignment && suite_override(&s, assignment) != STATUS_OK)
            require(*status_message() != '\0');
        check(&s);
        free(assignment);
    }
    suite_release(&s);
    if (models_parse((const char *)data, text_size, "models.yaml", &m) == STATUS_OK)
        require(m.model_count > 0);
    models_release(&m);
    return 0;
}
