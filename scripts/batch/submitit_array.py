"""One sweep as an array of Slurm jobs, submitted from Python by submitit (`pip install submitit` beside lanes).

.venv/bin/python scripts/batch/submitit_array.py experiments/quickstart.py runs/quickstart 4
"""

import subprocess
import sys

import submitit


def train(experiment: str, out: str, shard: str) -> int:
    """Train one shard, in a job of its own; 75 is a stop with everything saved."""
    return subprocess.run(
        [".venv/bin/lanes", "sweep", experiment, "--out", out, "--shard", shard], check=False
    ).returncode


if __name__ == "__main__":
    experiment, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    executor = submitit.AutoExecutor(folder=f"{out}-jobs")
    executor.update_parameters(timeout_min=240, gpus_per_node=1, cpus_per_task=4, mem_gb=16)
    shards = [f"{index}/{count}" for index in range(count)]
    jobs = executor.map_array(train, [experiment] * count, [out] * count, shards)
    print("exit statuses:", [job.result() for job in jobs])
