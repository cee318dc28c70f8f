#include "harness/cuda/image.h"

#include <string.h>

/* What a build without nvcc has; the generated table takes its place. */
__attribute__((weak)) const struct cuda_image cuda_images[] = {{NULL, NULL, NULL}};

const struct cuda_image *cuda_image_find(const char *source)
{
    for (const struct cuda_image *i = cuda_images; i->source; i++)
        if (strcmp(i->source, source) == 0)
            return i;
    return NULL;
}

uint64_t cuda_image_hash(const struct cuda_image *image)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = image->data; p < image->end; p++)
        h = (h ^ *p) * 0x100000001b3u;
    return h;
}
