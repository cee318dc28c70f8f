#include "results/unlike.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

const char *unlike_timed_device(const struct result_set *s, const char *device)
{
    for (size_t i = 0; i < s->row_count; i++)
        if (s->rows[i].sample_count && s->rows[i].verdict != VERDICT_NONE &&
            (!device || strcmp(s->rows[i].device, device) == 0))
            return s->rows[i].device;
    return NULL;
}

/* Root attributes that change times without a change of the code. */
static const char *const telling[] = {"cpu_model",    "cpu_count",  "cpu_governor",
                                      "cpu_features", "compiler",   "build_type",
                                      "build_flags",  "sanitizers", "system_release"};
/* And what of each GPU does. */
static const char *const telling_gpu[] = {"uuid",       "driver_version",     "cuda_version", "power_limit_w",
                                          "sm_mhz_max", "sm_mhz_application", "mig_mode",     "ecc"};

static void put_unlike(FILE *out, const char *what, const char *base, const char *now)
{
    if (base && now && strcmp(base, now) != 0)
        fprintf(out, "%s: %s, then %s\n", what, base, now);
}

static void compare_gpus(FILE *out, const char *base, const char *now)
{
    json_t *a = base ? json_loads(base, 0, NULL) : NULL, *b = now ? json_loads(now, 0, NULL) : NULL;
    size_t count = json_array_size(a) < json_array_size(b) ? json_array_size(a) : json_array_size(b);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof telling_gpu / sizeof telling_gpu[0]; k++) {
            char what[64];
            char *x = json_dumps(json_object_get(json_array_get(a, i), telling_gpu[k]), JSON_ENCODE_ANY);
            char *y = json_dumps(json_object_get(json_array_get(b, i), telling_gpu[k]), JSON_ENCODE_ANY);
            snprintf(what, sizeof what, "GPU %zu %s", i, telling_gpu[k]);
            put_unlike(out, what, x, y);
            free(x);
            free(y);
        }
    json_decref(a);
    json_decref(b);
}

char *unlike_text(const struct result_set *base, const struct result_set *now)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        put_unlike(out, telling[i], result_set_attribute(base, telling[i]),
                   result_set_attribute(now, telling[i]));
    compare_gpus(out, result_set_attribute(base, "gpus"), result_set_attribute(now, "gpus"));
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
