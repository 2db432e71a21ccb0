"""Device memory: how much is free, how much a compiled program takes, and whether an error says that it was too little."""

from pathlib import Path
from typing import Any

import jax

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
COPIES = 4  # of the parameters in a lane: current, best, and about two of the optimizer
STATES = 3  # of a pack at once: before a chunk, after it, and the one that is being saved
PART = 0.5  # of the free memory that the states of packs may take; the rest is for what programs compute


class NotEnoughMemoryError(MemoryError):
    """A compiled program takes more memory than its device has."""


def free(device: jax.Device) -> int | None:
    """Bytes that may still be taken on a device, None where nobody tells; host devices share the machine's."""
    if device.platform == "cpu":
        return _free_on_host()
    stats = device.memory_stats()
    return None if not stats or "bytes_limit" not in stats else stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def _free_on_host() -> int | None:
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    for limit, used in CGROUPS:  # a container or a batch job may have less than the machine
        try:
            found.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found, default=None)


def taken(program: Any) -> int:
    """Bytes that a call of a compiled program takes beside its arguments; 0 where the compiler does not tell."""
    try:
        stats = program.memory_analysis()
    except (AttributeError, NotImplementedError, RuntimeError):
        return 0
    if stats is None:
        return 0
    return int(stats.temp_size_in_bytes + stats.output_size_in_bytes - stats.alias_size_in_bytes)


def check(program: Any, device: jax.Device, sharers: int = 1) -> None:
    """Raise NotEnoughMemoryError where a call does not fit; `sharers` programs run at once in a host's memory.

    A CPU's allocator gives what there is not, and the process is killed when it is used: so this is asked before.
    """
    there = free(device)
    if there is None:
        return
    if device.platform == "cpu":
        there //= sharers
    if (asked := taken(program)) > there:
        raise NotEnoughMemoryError(
            f"{megabytes(asked)} are needed on {device.device_kind}, {megabytes(there)} are free"
        )


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory was too little, before or during a program (of a full disk, an OSError, it is not)."""
    return isinstance(error, MemoryError) or (
        not isinstance(error, OSError) and "RESOURCE_EXHAUSTED" in str(error)[:200]
    )


def most_lanes(parameters: int, device: jax.Device, sharers: int = 1) -> int:
    """Lanes of a pack whose states fit on a device, at least 1."""
    there = free(device)
    if there is None:
        return 2**30
    if device.platform == "cpu":
        there //= sharers
    return max(1, int(there * PART / (max(1, parameters) * 4 * COPIES * STATES)))


def megabytes(count: int) -> str:
    """`"1,234 MB"`."""
    return f"{count / 2**20:,.0f} MB"
