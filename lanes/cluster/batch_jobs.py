"""Which shard of a sweep this process is: `I/N`, or as the batch system numbers the job."""

import os
import re

from lanes.errors import RequestError

# Environment variables of batch systems: (index, count, first index).
VARIABLES = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("SLURM_PROCID", "SLURM_NTASKS", None),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),  # Kubernetes indexed jobs; the count is set in the job's spec
)


def parse_shard(text: str) -> tuple[int, int]:
    """(I, N) from "I/N", with I from 0 to N-1, or for "auto" from the batch system's variables.

    Raises RequestError for anything else.
    """
    if text == "auto":
        return _from_environment()
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None:
        raise RequestError(f"--shard is {text!r}: write I/N with I from 0 to N-1 (0/4), or auto")
    return _checked(int(match[1]), int(match[2]), text)


def _from_environment() -> tuple[int, int]:
    for index, count, first in VARIABLES:
        if index in os.environ and count in os.environ:
            values = (os.environ[index], os.environ[count], os.environ.get(first, "0") if first else "0")
            text = f"auto, from {index}={values[0]} and {count}={values[1]}"
            if not all(value.isdecimal() for value in values):
                raise RequestError(f"--shard is {text!r}: these must be whole numbers; write I/N instead")
            return _checked(int(values[0]) - int(values[2]), int(values[1]), text)
    names = ", ".join(f"{index} and {count}" for index, count, _ in VARIABLES)
    raise RequestError(f"--shard is 'auto' and no batch system says which shard this is: set {names}, or write I/N")


def _checked(index: int, count: int, text: str) -> tuple[int, int]:
    if not 0 <= index < count:
        raise RequestError(f"--shard is {text!r}: I must be from 0 to N-1")
    return index, count
