#include "harness/run/run.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "build_info.h"
#include "git_revision.h"
#include "harness/base/machine.h"
#include "harness/provider/plugins.h"

/* The first line of a small file, or "" when there is none. */
static const char *first_line(const char *path, char *line, int size)
{
    line[0] = '\0';
    FILE *f = fopen(path, "r");
    if (f) {
        if (!fgets(line, size, f))
            line[0] = '\0';
        fclose(f);
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static json_t *arguments(int argc, char **argv)
{
    json_t *list = json_array();
    for (int i = 0; list && i < argc; i++)
        json_array_append_new(list, json_string(argv[i]));
    return list;
}

/* "cuda:0 cuda:1", or the one device. */
static const char *device_words(const struct device *devices, size_t count, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && n < size; i++) {
        char one[DEVICE_TEXT_MAX];
        device_format(&devices[i], one);
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? " " : "", one);
    }
    return text;
}

/* null for what could not be read: NAN or negative. */
static json_t *known(double value)
{
    if (!(value >= 0))
        return json_null();
    return value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
}

/* What the rows do not say of the GPUs: a list of objects, empty without. */
static json_t *gpus(const struct device *devices, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        const struct gpu *g = &devices[i].gpu;
        const struct gpu_facts *f = &g->facts;
        if (devices[i].kind == DEVICE_CUDA)
            json_array_append_new(
                list,
                json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:b, s:i, s:s, s:o, "
                          "s:o, s:o, s:o, s:o, s:o}",
                          "number", g->ordinal, "name", g->name, "uuid", g->uuid, "bus_id", g->bus_id, "sm",
                          (int)g->sm, "sm_count", (int)g->sm_count, "l2_bytes", (json_int_t)g->l2_bytes,
                          "memory_bytes", (json_int_t)g->memory_bytes, "ecc", (int)g->ecc, "cuda_version",
                          g->driver, "driver_version", f->driver_version, "power_limit_w",
                          known(f->power_limit_w), "sm_mhz_max", known(f->sm_mhz_max), "sm_mhz_application",
                          known(f->sm_mhz_application), "persistence_mode", known(f->persistence), "mig_mode",
                          known(f->mig), "other_processes", known(f->other_processes)));
    }
    return list;
}

/* Of the file that this program is: tells two builds of one revision apart. "": it cannot be read. */
static const char *program_hash(char text[17])
{
    struct stat st;
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    text[0] = '\0';
    if (fd < 0)
        return text;
    void *bytes =
        fstat(fd, &st) == 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (bytes == MAP_FAILED)
        return text;
    /* Not bytes_hash(): its OpenMP team would be missing in the processes that are forked for the devices. */
    snprintf(text, 17, "%08lx%08llx", crc32_z(0, bytes, (size_t)st.st_size), (unsigned long long)st.st_size);
    munmap(bytes, (size_t)st.st_size);
    return text;
}

json_t *environment_json(const struct device *devices, size_t count, int argc, char **argv)
{
    char device_text[GPU_MAX * 16], features[160], line[256], started[32], directory[PATH_MAX], hash[17];
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    double load[3] = {0};
    strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    if (uname(&system) != 0)
        memset(&system, 0, sizeof system);
    if (getloadavg(load, 3) != 3)
        load[0] = -1;
    if (!getcwd(directory, sizeof directory))
        directory[0] = '\0';
    json_t *e = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:s, "
        "s:s, "
        "s:o, "
        "s:s, s:o}",
        "tool_version", NF4BENCH_VERSION, "program_hash", program_hash(hash), "git_revision",
        NF4BENCH_GIT_REVISION, "git_dirty", NF4BENCH_GIT_DIRTY, "compiler", NF4BENCH_COMPILER, "build_type",
        NF4BENCH_BUILD_TYPE, "build_flags", NF4BENCH_BUILD_FLAGS, "sanitizers", NF4BENCH_SANITIZERS,
        "started_utc", started, "device", device_words(devices, count, device_text, sizeof device_text),
        "gpus", gpus(devices, count), "cpu_model", cpu_model(), "cpu_features",
        cpu_feature_names(cpu_features(), features, sizeof features), "cpu_governor",
        first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line, sizeof line), "cpu_count",
        (json_int_t)cpu_available(), "last_level_cache_bytes", (json_int_t)cpu_last_level_cache(),
        "memory_available_bytes", (json_int_t)cpu_memory_available(), "load_average_at_start", load[0],
        "system", system.sysname, "system_release", system.release, "argv", arguments(argc, argv),
        "directory", directory, "plugins", plugins_json());
    return e;
}
