#!/bin/bash
# One sweep as a chain of Slurm arrays, where preemption cancels jobs (PreemptMode=CANCEL) or jobs may not requeue themselves.
#
#   scripts/batch/slurm_chain.sh 5 experiments/quickstart.py runs/quickstart
#
# Submits the array 5 times. Each link starts when the one before has ended with anything but success, and resumes what it left;
# once a link has succeeded, Slurm removes the others. To cancel a chain, cancel all that are printed. Options of sbatch stand in
# SBATCH_OPTIONS.
set -euo pipefail
links=${1:?the number of links}
shift
script=$(dirname "$0")/slurm_gpu_array.sh
read -ra options <<<"${SBATCH_OPTIONS:-}"

job=$(sbatch --parsable --no-requeue "${options[@]}" "$script" "$@")
echo "$job"
for ((link = 1; link < links; link++)); do
    job=$(sbatch --parsable --no-requeue --kill-on-invalid-dep=yes --dependency="afternotok:${job%%;*}" "${options[@]}" "$script" "$@")
    echo "$job"
done
