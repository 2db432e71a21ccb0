#!/bin/bash
# One sweep as a Slurm array: each task trains its share of the packs in one directory, and is requeued until it is done.
#
#   sbatch scripts/batch/slurm_gpu_array.sh experiments/quickstart.py runs/quickstart
#
# The directory must be on a file system that all nodes share. Tasks may be killed at any time; the same command resumes.
# Any array will do (--array=0-6:2, --array=1,3,7). A task submitted again alone (--array=2) trains whatever nobody trains.
# Exit status of a task: 0 its shard has ended; 75 it stopped early, saved everything and is requeued, unless it was cancelled.
# Where preemption cancels jobs instead of requeueing them (PreemptMode=CANCEL), use slurm_chain.sh.
#SBATCH --job-name=lanes
#SBATCH --array=0-3
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

# Host memory (--mem): the data set, one pack's state waiting to be written, and the compiler; 16 GB is ample for sets that
# fit on a device. Device memory: JAX takes three quarters of the GPU at start, which suits a task with its own GPU. If
# tasks share a GPU, set XLA_PYTHON_CLIENT_PREALLOCATE=false, or give each a fraction:
export XLA_PYTHON_CLIENT_PREALLOCATE="${XLA_PYTHON_CLIENT_PREALLOCATE:-true}"
export XLA_PYTHON_CLIENT_MEM_FRACTION="${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.75}"

experiment=${1:?the experiment file}
out=${2:?the directory of the sweep}
shift 2

# Since Slurm 22.05 srun takes the processors of a task from this variable, not from the job.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

# Slurm sends SIGUSR1 to this shell 60 s before the time limit. The shell passes it on by srun; the sweep saves and exits with
# 75 within 10 s, and is requeued. SIGTERM says that Slurm ends the job itself: it requeues a job that it preempts, and one
# that was cancelled stays so. To srun it is passed on as SIGUSR1 too: on a SIGTERM srun kills the sweep.
requeue=yes
trap 'kill -USR1 "$!" 2>/dev/null' USR1
trap 'requeue=no; kill -USR1 "$!" 2>/dev/null' TERM
srun --ntasks=1 .venv/bin/lanes sweep "$experiment" --out "$out" --shard auto "$@" &
sweep=$!
wait "$sweep"
status=$?
while ((status > 128)) && kill -0 "$sweep" 2>/dev/null; do # a signal interrupted the wait, and the sweep is still saving
    wait "$sweep"
    status=$?
done
if ((status == 75)) && [[ $requeue == yes ]]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
