/*
 * main.c: the only place that ends the process. Commands: cli.h.
 */
#include "harness/cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
