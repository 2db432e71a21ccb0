"""Device memory: how much is free, how much a compiled program takes, and whether an error means that it ran out."""

import contextlib
import ctypes
from pathlib import Path
from typing import Any

import jax

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
COPIES = 4  # of the parameters in a lane: current, best, and about two in the optimizer
STATES = 3  # of a pack at once: before a chunk, after it, and the one being saved
PART = 0.5  # fraction of the free memory for the states of packs; the rest is for what programs compute


class NotEnoughMemoryError(MemoryError):
    """A compiled program takes more memory than its device has."""


def free(device: Any) -> int | None:
    """Free bytes on a device, None if unknown; host devices share the machine's memory."""
    if hasattr(device, "free_bytes"):  # of another process
        return device.free_bytes
    if device.platform == "cpu":
        return free_on_host()
    stats = device.memory_stats()
    return None if not stats or "bytes_limit" not in stats else stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def free_on_host() -> int | None:
    """Free bytes of the machine, or of the container or batch job; None if unknown."""
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
        except (OSError, ValueError):  # missing, or "max"
            continue
    return min(found, default=None)


def taken(program: Any) -> int:
    """Bytes that a call of a compiled program needs besides its arguments; 0 if the compiler does not say."""
    try:
        stats = program.memory_analysis()
    except (AttributeError, NotImplementedError, RuntimeError):
        return 0
    if stats is None:
        return 0
    return int(stats.temp_size_in_bytes + stats.output_size_in_bytes - stats.alias_size_in_bytes)


def check(needed: int, device: jax.Device, sharers: int = 1) -> None:
    """Raise NotEnoughMemoryError if a call that takes so many bytes does not fit; `sharers` run at once in a host's memory.

    CPU memory is overcommitted: the OOM killer strikes on first use, so check first.
    """
    available = free(device)
    if available is None:
        return
    if device.platform == "cpu":
        available //= sharers
    if needed > available:
        raise NotEnoughMemoryError(
            f"{megabytes(needed)} are needed on {device.device_kind}, {megabytes(available)} are free"
        )


def give_back() -> None:
    """Give freed memory of the host back to the system, which the C library's allocator (glibc's) would keep."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error means that memory ran out, before or during a program; a full disk, an OSError, does not count."""
    return isinstance(error, MemoryError) or (
        not isinstance(error, OSError) and "RESOURCE_EXHAUSTED" in str(error)[:200]
    )


def most_lanes(parameters: int, device: jax.Device, sharers: int = 1) -> int:
    """Lanes of a pack whose states fit on a device, at least 1."""
    available = free(device)
    if available is None:
        return 2**30
    if device.platform == "cpu":
        available //= sharers
    return max(1, int(available * PART / (max(1, parameters) * 4 * COPIES * STATES)))


def megabytes(count: int) -> str:
    """`"1,234 MB"`."""
    return f"{count / 2**20:,.0f} MB"
