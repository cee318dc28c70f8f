#!/bin/bash
# A suite as a Slurm job array: a shard for each task, each resumed where it was when the task is requeued.
#
#   sbatch --array=1-8 suites/slurm/array.sh suites/models.yaml out/ --device cuda
#   nf4bench merge out/*.h5 -o whole.h5
#
# Every task runs on nodes of one kind: say so with sbatch's --constraint or --partition. NF4BENCH names the program
# (default: nf4bench on the PATH). Where a cluster's arrays do not start at 1, the task's number within the array counts.
#SBATCH --job-name=nf4bench
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu
if [ $# -lt 2 ] || [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    echo "usage: sbatch --array=1-N $0 SUITE FOLDER [OPTION of nf4bench run...]" >&2
    exit 2
fi
suite=$1 folder=$2
shift 2
program=${NF4BENCH:-nf4bench}
shard=$(((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN) / ${SLURM_ARRAY_TASK_STEP:-1} + 1))
file=$folder/shard-$shard-of-$SLURM_ARRAY_TASK_COUNT.h5
mkdir -p "$folder"
if [ -f "$file.journal" ]; then
    exec "$program" run --resume "$file"
elif [ -f "$file" ]; then
    echo "$file is complete"
else
    exec "$program" run "$suite" --shard "$shard/$SLURM_ARRAY_TASK_COUNT" -o "$file" "$@"
fi
