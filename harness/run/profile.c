#include "harness/run/run.h"

#include <stdio.h>
#include <string.h>

#include "harness/device/call.h"
#include "harness/problem/operands.h"

static void print_commands(const struct problem *p, const struct kernel *k, const struct device *d)
{
    char text[PROBLEM_TEXT_MAX], device[DEVICE_TEXT_MAX], command[2048];
    problem_format(p, text, sizeof text);
    device_format(d, device);
    snprintf(command, sizeof command,
             "nf4bench verify --case '%s' --variant %s --device '%s' --profile %s%s%s", text, k->name, device,
             k->name, k->option ? " " : "", k->option ? k->option : "");
    printf("nsys profile --trace=cuda,nvtx -o %s %s\n", k->name, command);
    printf("ncu --target-processes all --set full --kernel-name 'regex:^%s' -o %s %s\n", k->name, k->name,
           command);
}

static enum status launch(const struct problem *p, const struct kernel *k, struct device *d)
{
    static struct call_fault fault; /* large */
    struct operands o;
    TRY(operands_init(p, 1, d, &o));
    enum status s = operands_prepare_for(&o, 0, k);
    if (s == STATUS_OK && !call_kernel(&o, 0, k, &fault))
        s = status_fail(fault.ours ? STATUS_DEVICE : STATUS_WRONG, "%s: %s: %s", k->name, fault.word,
                        fault.text);
    operands_release(&o);
    return s;
}

enum status profile_row(const struct plan *plan, const char *variant)
{
    const char *skip = NULL;
    if (plan->device->kind != DEVICE_CUDA)
        return status_fail(STATUS_USAGE, "--profile is for a GPU: --device cuda");
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct plan_group *g = &plan->groups[i];
        for (size_t r = 0; r < g->row_count; r++) {
            if (strcmp(g->rows[r].kernel->name, variant) != 0)
                continue;
            if (g->rows[r].skip) {
                skip = g->rows[r].skip;
                continue;
            }
            TRY(launch(&g->problem, g->rows[r].kernel, plan->device));
            print_commands(&g->problem, g->rows[r].kernel, plan->device);
            return STATUS_OK;
        }
    }
    return status_fail(STATUS_USAGE, "--profile %s: %s", variant, skip ? skip : "no such row is planned");
}
