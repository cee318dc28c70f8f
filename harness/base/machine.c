#include "harness/base/machine.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    unsigned bit;
    const char *name, *word;
} feature_names[] = {
    {CPU_AVX2, "AVX2", "avx2"},
    {CPU_FMA, "FMA", "fma"},
    {CPU_F16C, "F16C", "f16c"},
    {CPU_AVX512, "AVX-512 F+BW+DQ+VL", "avx512"},
    {CPU_AVX512_BF16, "AVX512_BF16", "avx512_bf16"},
};

unsigned cpu_features(void)
{
    unsigned have = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    have |= __builtin_cpu_supports("avx2") ? CPU_AVX2 : 0;
    have |= __builtin_cpu_supports("fma") ? CPU_FMA : 0;
    /* gcc 12 and clang 14 do not know "f16c" here; every AVX2 processor has it. */
    have |= __builtin_cpu_supports("avx2") ? CPU_F16C : 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        have |= CPU_AVX512;
    have |= (have & CPU_AVX512) && __builtin_cpu_supports("avx512bf16") ? CPU_AVX512_BF16 : 0;
#endif
    return have;
}

const char *cpu_feature_names(unsigned missing, char *buffer, size_t size)
{
    buffer[0] = '\0';
    for (size_t i = 0; i < sizeof feature_names / sizeof feature_names[0]; i++) {
        if (missing & feature_names[i].bit) {
            size_t used = strlen(buffer);
            snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", feature_names[i].name);
        }
    }
    return buffer;
}

const char *cpu_feature_parse(const char *words, unsigned *bits)
{
    *bits = 0;
    for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
        size_t length = strcspn(words, " "), i = 0, count = sizeof feature_names / sizeof feature_names[0];
        while (i < count &&
               (strlen(feature_names[i].word) != length || memcmp(feature_names[i].word, words, length) != 0))
            i++;
        if (i == count)
            return words;
        *bits |= feature_names[i].bit;
        words += length;
    }
    return NULL;
}

const char *cpu_model(void)
{
    static char model[128];
    if (model[0])
        return model;
    snprintf(model, sizeof model, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        return model;
    char line[512];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(model, sizeof model, "%s", colon);
        break;
    }
    fclose(f);
    return model;
}

size_t cpu_last_level_cache(void)
{
    /* From sysfs: glibc 2.36's sysconf() reports several times the size on some AMD processors. */
    size_t largest = 0;
    for (int index = 0; index < 8; index++) {
        char path[96];
        unsigned long size = 0;
        char unit = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        FILE *f = fopen(path, "r");
        if (!f)
            break;
        if (fscanf(f, "%lu%c", &size, &unit) == 2)
            size <<= unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
        fclose(f);
        largest = size > largest ? size : largest;
    }
    return largest ? largest : (size_t)32 << 20;
}

unsigned cpu_available(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    return 1;
}

size_t cpu_memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[256];
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib ? (size_t)kib << 10 : (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

void cpu_pin_threads(unsigned threads)
{
    /* The set as it was at the first call: the main thread is pinned to one processor after that. */
    static cpu_set_t allowed;
    static bool known = false;
    if (!known) {
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
            return;
        known = true;
    }
    omp_set_dynamic(0);
    omp_set_num_threads((int)threads);
#pragma omp parallel
    {
        int wanted = omp_get_thread_num() % CPU_COUNT(&allowed);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &allowed) || wanted-- > 0)
                continue;
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one,
                              &one); /* a refusal leaves the thread unpinned: no harm to bits */
            break;
        }
    }
}
