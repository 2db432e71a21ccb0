#!/bin/bash
# One large net over the GPUs of several nodes: srun starts a process for each GPU, and together they run one program.
#
#   sbatch scripts/batch/slurm_large_net.sh experiments/quickstart.py runs/large --only seed=0
#
# Each batch is split over all GPUs, so their number must divide batch_size. The directory must be on a file system that all
# nodes share. Every process must see all GPUs of its node (--gres, no --gpus-per-task): JAX takes one for each.
#SBATCH --job-name=lanes-large
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=4
#SBATCH --mem=64G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

experiment=${1:?the experiment file}
out=${2:?the directory of the sweep}
shift 2
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

# Signals as in slurm_gpu_array.sh. If a process is lost, the others end with 75 and srun reports the lost one's status, which is
# above 128: the job is requeued then too, a few times at most.
requeue=yes
trap 'kill -USR1 "$!" 2>/dev/null' USR1
trap 'requeue=no; kill -USR1 "$!" 2>/dev/null' TERM
srun .venv/bin/lanes sweep "$experiment" --out "$out" --hosts --mapping data "$@" &
job=$!
wait "$job"
status=$?
while ((status > 128)) && kill -0 "$job" 2>/dev/null; do
    wait "$job"
    status=$?
done
if ((status == 75 || (status > 128 && ${SLURM_RESTART_COUNT:-0} < 5))) && [[ $requeue == yes ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
