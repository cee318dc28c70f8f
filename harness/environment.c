#include "harness/environment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "build_info.h"
#include "git_revision.h"
#include "harness/cpu.h"

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

json_t *environment_json(const struct device *device, int argc, char **argv)
{
    char device_text[DEVICE_TEXT_MAX], features[160], line[256], started[32], directory[PATH_MAX];
    device_format(device, device_text);
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
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:s, s:s, s:o, "
        "s:s}",
        "tool_version", NF4BENCH_VERSION, "git_revision", NF4BENCH_GIT_REVISION, "git_dirty",
        NF4BENCH_GIT_DIRTY, "compiler", NF4BENCH_COMPILER, "build_type", NF4BENCH_BUILD_TYPE, "build_flags",
        NF4BENCH_BUILD_FLAGS, "sanitizers", NF4BENCH_SANITIZERS, "started_utc", started, "device",
        device_text, "cpu_model", cpu_model(), "cpu_features",
        cpu_feature_names(cpu_features(), features, sizeof features), "cpu_governor",
        first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line, sizeof line), "cpu_count",
        (json_int_t)cpu_available(), "last_level_cache_bytes", (json_int_t)cpu_last_level_cache(),
        "memory_available_bytes", (json_int_t)cpu_memory_available(), "load_average_at_start", load[0],
        "system", system.sysname, "system_release", system.release, "argv", arguments(argc, argv),
        "directory", directory);
    return e;
}
