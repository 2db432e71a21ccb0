"""Several processes on this machine that run one sweep together, and comparisons of what they write."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lanes import load, load_curves

CHECKOUT = Path(__file__).parents[1]
FILE = """
import os
import time

from lanes import Blobs, Run, grid
from nets import MLP

# The first chunk is one epoch, after which LINGER seconds pass.
BASE = Run(data=Blobs(n=400, classes=3), net=MLP(widths=(8,)), batch_size=20, epochs=6, dropout=0.1)


def linger(reached):
    time.sleep(float(os.environ.get("LINGER", 0)))


CALLBACKS = (linger,)


def sweep() -> list[Run]:
    return grid(BASE, learning_rate=[1e-3, 3e-3])
"""
DATA = ("--mapping", "data", "--width", "1")
LANES = ("--mapping", "shard_map", "--width", "1")


def written(folder: Path) -> Path:
    """The folder, with the sweep in it."""
    (folder / "rates.py").write_text(FILE)
    return folder


class Job:
    """Processes of one command, each in a folder of its own or in the same one.

    Args:
        folder: where they run.
        count: how many.
        words: what follows the experiment file.
        prefixes: words before the command of each process, such as those that put it into a namespace.
        host: of the coordinator.
        devices: that each process has.
        further: words of a process alone, by its number.
        variables: of the environment.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        words: Sequence[object],
        *,
        prefixes: Sequence[Sequence[str]] = (),
        host: str = "127.0.0.1",
        devices: int = 1,
        further: dict[int, Sequence[str]] | None = None,
        **variables: str,
    ):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(CHECKOUT), **variables}
        port = free_port()
        self.logs = [folder / f"log-{port}-{index}" for index in range(count)]
        self.processes = []
        for index, log in enumerate(self.logs):
            joining = ["--coordinator", f"{host}:{port}", "--process-id", str(index), "--processes", str(count)]
            command = [sys.executable, "-m", "lanes.cli.main", "sweep", "rates.py", *map(str, words), "--no-report"]
            command += [*(joining if count > 1 else []), *(further or {}).get(index, ())]
            prefix = list(prefixes[index]) if prefixes else []
            with open(log, "wb") as out:
                self.processes.append(
                    subprocess.Popen([*prefix, *command], cwd=folder, env=environment, stdout=out, stderr=out)
                )

    def text(self, index: int) -> str:
        return self.logs[index].read_text(errors="replace")

    def statuses(self, seconds: float = 600) -> list[int]:
        """The exit statuses of all processes."""
        until = time.monotonic() + seconds
        try:
            return [process.wait(max(1.0, until - time.monotonic())) for process in self.processes]
        except subprocess.TimeoutExpired:
            pytest.fail("\n".join(map(self.text, range(len(self.processes)))))
        finally:
            for process in self.processes:
                process.kill()
                process.wait()

    def ends(self, status: int) -> None:
        """Wait for all processes, which end with this status."""
        found = self.statuses()
        assert set(found) == {status}, "\n".join(map(self.text, range(len(found))))

    def wait(self, what: Callable[[], object], seconds: float = 400) -> None:
        until = time.monotonic() + seconds
        while not what():
            if time.monotonic() > until or all(process.poll() is not None for process in self.processes):
                self.statuses(1)
                pytest.fail("\n".join(map(self.text, range(len(self.processes)))))
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def own_lines(text: str) -> list[str]:
    """The lines that are ours, without those of the libraries of JAX."""
    return [line for line in text.splitlines() if line.startswith(("error: ", "resume with: ", "note: "))]


def table(out: Path) -> pd.DataFrame:
    return load(out).drop(columns=["seconds", "calls", "device"]).set_index("run_id").sort_index()


def curves(out: Path) -> pd.DataFrame:
    return load_curves(out).sort_values(["run_id", "epoch"], ignore_index=True)


def are_equal(first: Path, second: Path) -> None:
    pd.testing.assert_frame_equal(table(first), table(second), check_exact=True)
    pd.testing.assert_frame_equal(curves(first), curves(second), check_exact=True)


def are_close(first: Path, second: Path) -> None:
    """Losses to 1e-4 of their value: gradients are sums in another order."""
    for read in (table, curves):
        left, right = (read(out).select_dtypes("number").drop(columns="valid_accuracy") for out in (first, second))
        losses = [name for name in left if "loss" in name]
        np.testing.assert_allclose(left[losses], right[losses], rtol=1e-4)
