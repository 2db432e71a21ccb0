#!/bin/bash
# One sweep as a Slurm array: every task trains its own packs of one directory, and is requeued until they have ended.
#
#   sbatch scripts/batch/slurm_gpu_array.sh experiments/quickstart.py runs/quickstart
#
# The directory must be on a file system that all nodes see. Tasks may be killed at any time; the same command resumes.
# Exit status of a task: 0 its shard has ended, 75 it stopped early with everything saved and has been requeued.
#SBATCH --job-name=lanes
#SBATCH --array=0-3
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

# Host memory (--mem): the data set, one pack's state in line for writing, and the compiler: 16 GB is ample for sets that
# fit a device. Device memory: JAX takes three quarters of the GPU when it starts; on a GPU of its own that is right. Where
# several tasks share one, set XLA_PYTHON_CLIENT_PREALLOCATE=false, or a fraction for each:
export XLA_PYTHON_CLIENT_PREALLOCATE="${XLA_PYTHON_CLIENT_PREALLOCATE:-true}"
export XLA_PYTHON_CLIENT_MEM_FRACTION="${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.75}"

experiment=${1:?the experiment file}
out=${2:?the directory of the sweep}
shift 2

# SIGTERM reaches this shell 60 s before the end: it is passed on, and the sweep saves and exits with 75 within 10 s.
srun --ntasks=1 .venv/bin/lanes sweep "$experiment" --out "$out" --shard auto "$@" &
sweep=$!
trap 'kill -TERM "$sweep"' TERM
wait "$sweep"
status=$?
if ((status > 128)); then # the wait was interrupted by the signal: the sweep is still saving
    wait "$sweep"
    status=$?
fi
if ((status == 75)); then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
