#include "harness/problem/image.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a build without nvcc has; the generated table takes its place. */
__attribute__((weak)) const struct cuda_image cuda_images[] = {{NULL, NULL, NULL}};

/* Never moved, so that pointers handed out stay good. */
struct added {
    struct cuda_image image;
    struct added *next;
};
static struct added *added;

const struct cuda_image *cuda_image_find(const char *source)
{
    for (const struct cuda_image *i = cuda_images; i->source; i++)
        if (strcmp(i->source, source) == 0)
            return i;
    for (const struct added *a = added; a; a = a->next)
        if (strcmp(a->image.source, source) == 0)
            return &a->image;
    return NULL;
}

enum status cuda_image_add(const char *source, const void *data, size_t size)
{
    if (cuda_image_find(source))
        return status_fail(STATUS_INPUT, "device code %s: there is already some of that name", source);
    struct added *a = malloc(sizeof *a);
    if (!a)
        return status_no_memory("device code %s", source);
    *a = (struct added){{source, data, (const unsigned char *)data + size}, added};
    added = a;
    return STATUS_OK;
}

/* The layout of a fatbin is nobody's promise, that of the ELF files in it is: they are looked for by their
 * first bytes. They are not compressed (cmake/CudaKernels.cmake). */
struct code {
    const unsigned char *begin, *end;
    unsigned sm;
};

enum { MACHINE_CUDA = 190, ABI_SM_AT_8 = 8 /* from this version on the number stands at bit 8 of e_flags */ };

/* Whether an ELF file of CUDA begins at `p`, and where its section .text.<entry> is. */
static bool find_text(const unsigned char *p, const unsigned char *end, const char *entry, struct code *out)
{
    Elf64_Ehdr h;
    Elf64_Shdr names, section;
    size_t size = (size_t)(end - p);
    if (size < sizeof h || memcmp(p, ELFMAG, SELFMAG) != 0)
        return false;
    memcpy(&h, p, sizeof h);
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != MACHINE_CUDA || h.e_shentsize != sizeof section ||
        h.e_shoff > size || (size - h.e_shoff) / sizeof section < h.e_shnum || h.e_shstrndx >= h.e_shnum)
        return false;
    out->sm = h.e_ident[EI_ABIVERSION] >= ABI_SM_AT_8 ? h.e_flags >> 8 & 0xff : h.e_flags & 0xff;
    const unsigned char *sections = p + h.e_shoff;
    memcpy(&names, sections + h.e_shstrndx * sizeof names, sizeof names);
    if (names.sh_offset > size || names.sh_size > size - names.sh_offset)
        return false;
    char wanted[256];
    int length = snprintf(wanted, sizeof wanted, ".text.%s", entry);
    for (size_t i = 0; i < h.e_shnum; i++) {
        memcpy(&section, sections + i * sizeof section, sizeof section);
        if (section.sh_name >= names.sh_size || (size_t)length >= names.sh_size - section.sh_name ||
            memcmp(p + names.sh_offset + section.sh_name, wanted, (size_t)length + 1) != 0)
            continue;
        if (section.sh_offset > size || section.sh_size > size - section.sh_offset)
            return false;
        out->begin = p + section.sh_offset;
        out->end = out->begin + section.sh_size;
        return true;
    }
    return false;
}

bool cuda_image_hash_entry(const struct cuda_image *image, const char *entry, unsigned sm, uint64_t *hash)
{
    struct code code;
    unsigned best = 0;
    /* First which architecture it is, then the code of all ELF files of that. */
    for (int pass = 0; pass < 2; pass++)
        for (const unsigned char *p = image->data; (p = memmem(p, (size_t)(image->end - p), ELFMAG, SELFMAG));
             p++) {
            if (!find_text(p, image->end, entry, &code))
                continue;
            if (pass == 0 && code.sm / 10 == sm / 10 && code.sm <= sm && code.sm > best)
                best = code.sm;
            for (const unsigned char *c = code.begin; pass == 1 && code.sm == best && c < code.end; c++)
                *hash = (*hash ^ *c) * 0x100000001b3u;
        }
    return best != 0;
}
