"""Which shard of a sweep this process is: `I/N`, or as the batch system numbers its tasks."""

import os
import re
from typing import NamedTuple

from lanes.errors import RequestError, warn


class System(NamedTuple):
    """How a system numbers the tasks of a job, by environment variables.

    Attributes:
        name: of the system.
        task: the variable with the number of this task.
        tasks: the variable with how many there are; None if the system does not say it.
    """

    name: str
    task: str
    tasks: str | None


QUEUES = (
    System("Kubernetes", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),  # the count has to be set in the job's spec
    System("SkyPilot", "SKYPILOT_JOB_RANK", "SKYPILOT_NUM_JOBS"),
    System("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
    System("Google Batch", "BATCH_TASK_INDEX", "BATCH_TASK_COUNT"),
    System("PBS", "PBS_ARRAY_INDEX", None),
    System("Torque", "PBS_ARRAYID", None),
)
LAUNCHERS = (
    System("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    System("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    System("MPI", "PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI, Cray
)
ARRAY = "SLURM_ARRAY_TASK_ID"


def is_auto(text: str) -> bool:
    """Whether the batch system says which shard this is."""
    return text.partition("/")[0] == "auto"


def parse_shard(text: str) -> tuple[int, int]:
    """(I, N) of a shard, I from 0 to N - 1.

    Args:
        text: "I/N"; "auto", both numbers as the batch system says; or "auto/N", the task's number modulo N, which stays the
            same if a task is submitted again alone, and serves systems that do not say how many tasks there are.

    Raises RequestError for anything else, and where no batch system says the numbers.
    """
    if text == "auto":
        return _of_system()
    match = re.fullmatch(r"([0-9]{1,9}|auto)/([0-9]{1,9})", text)
    if match is None:
        raise RequestError(f"--shard is {text!r}: write I/N with I from 0 to N-1 (0/4), auto, or auto/N")
    count = int(match[2])
    if match[1] == "auto" and count:
        return _task() % count, count
    if match[1] == "auto" or int(match[1]) >= count:
        raise RequestError(f"--shard is {text!r}: I must be from 0 to N-1")
    return int(match[1]), count


def _of_system() -> tuple[int, int]:
    """The shard as the batch system says it."""
    rank, processes = _among_processes()
    if ARRAY in os.environ or "SLURM_JOB_ID" in os.environ:
        index, count = _in_array() if ARRAY in os.environ else (0, 1)
        _warn_without_launcher(processes)
        return index * processes + rank, count * processes
    for queue in QUEUES:
        if queue.task not in os.environ:
            continue
        if queue.tasks is None or queue.tasks not in os.environ:
            lacking = "does not say how many tasks there are" if queue.tasks is None else f"has not set {queue.tasks}"
            raise RequestError(
                f"--shard is 'auto' and {queue.name} {lacking}: write auto/N for N tasks, such as auto/8"
            )
        index, count = _number(queue.task), _number(queue.tasks)
        if index >= count:
            raise RequestError(
                f"--shard is 'auto', from {queue.task}={index} and {queue.tasks}={count}: the first must be below the second; "
                "write auto/N for N tasks"
            )
        return index, count
    if any(launcher.task in os.environ for launcher in LAUNCHERS):
        return rank, processes
    raise _nothing_set("auto")


def _among_processes() -> tuple[int, int]:
    """The rank of this process among those that srun or mpirun started together, and their number; (0, 1) without them."""
    for launcher in LAUNCHERS:
        if launcher.task in os.environ and launcher.tasks is not None and launcher.tasks in os.environ:
            rank, processes = _number(launcher.task), _number(launcher.tasks)
            if rank < processes and processes > 1:
                return rank, processes
    return 0, 1


def _in_array() -> tuple[int, int]:
    """A task's place in a Slurm array `first-last:step`; of a list of ids such as 1,3,7, in the range that they span."""
    task, count = _number(ARRAY), _number("SLURM_ARRAY_TASK_COUNT")
    first = _number("SLURM_ARRAY_TASK_MIN") if "SLURM_ARRAY_TASK_MIN" in os.environ else 0
    step = _number("SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in os.environ else 1
    last = _number("SLURM_ARRAY_TASK_MAX") if "SLURM_ARRAY_TASK_MAX" in os.environ else first + step * (count - 1)
    if not (first <= task <= last and count and step):
        raise RequestError(
            f"--shard is 'auto', from {ARRAY}={task} in an array of {count} from {first} to {last}: write auto/N for N tasks"
        )
    if last - first == step * (count - 1):
        return (task - first) // step, count
    return task - first, last - first + 1


def _warn_without_launcher(processes: int) -> None:
    """Warn of a Slurm job of several processes, of which the batch script starts one."""
    asked = os.environ.get("SLURM_NTASKS", "1")
    if processes == 1 and asked.isdecimal() and int(asked) > 1 and "SLURM_STEP_NUM_TASKS" not in os.environ:
        warn(
            f"note: SLURM_NTASKS is {asked}, but srun did not start this process, so it counts as the only one of its task: "
            "write srun before the command to start all"
        )


def _task() -> int:
    """The number of this task, as the batch system says it."""
    rank, processes = _among_processes()
    if ARRAY in os.environ:
        return _number(ARRAY) * processes + rank
    for system in (*QUEUES, *LAUNCHERS):
        if system.task in os.environ:
            return _number(system.task)
    raise _nothing_set("auto/N")


def _nothing_set(text: str) -> RequestError:
    names = ", ".join(system.name for system in (*QUEUES, *LAUNCHERS[1:]))
    return RequestError(
        f"--shard is {text!r} and no batch system says which shard this is (Slurm, {names}): write I/N, or set "
        f"{QUEUES[0].task} and {QUEUES[0].tasks}"
    )


def _number(variable: str) -> int:
    """A variable's whole number. Raises RequestError for anything else, and if it is not set."""
    text = os.environ.get(variable, "")
    if not (text.isascii() and text.isdecimal()):
        said = f"is {text!r}" if text else "is not set"
        raise RequestError(
            f"--shard is taken from {variable}, which {said}: it must be a whole number; write I/N instead"
        )
    return int(text)
