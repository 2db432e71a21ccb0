"""Local Ray clusters for tests, and drivers on them: processes of their own, so that they can be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

import lanes

STORE = 80 << 20  # bytes: the least that Ray allows is 75 MB
SECONDS = 240.0


@contextlib.contextmanager
def two_nodes() -> Iterator[object]:
    """A cluster of two nodes of one CPU each, on this machine."""
    from ray.cluster_utils import Cluster

    about = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=about)
    try:
        cluster.add_node(**about)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: object) -> None:
    """A second node, if it has been killed."""
    if len(cluster.worker_nodes) == 0:
        cluster.add_node(num_cpus=1, object_store_memory=STORE, include_dashboard=False)


def driver(cluster: object, *words: object, before: str = "", cwd: Path | None = None) -> subprocess.Popen:
    """`lanes WORDS` as a process, which finds the cluster by `--cluster auto`; `before` is code that it runs first."""
    code = textwrap.dedent(before) + "\nfrom lanes.cli.main import main; main()"
    environment = {**os.environ, "RAY_ADDRESS": cluster.address, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
    )


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a process, once it has ended."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def wait_for(what: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until something holds, while a process runs."""
    until = time.monotonic() + SECONDS
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing has come"
        time.sleep(0.05)


def parts(out: Path) -> int:
    """How many packs have results."""
    return len(list((out / "results").glob("*.parquet")))


def kill(process: subprocess.Popen) -> None:
    """Kill a driver at once."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def numbers(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table and the curves of a directory, without what is of the call and of the division into packs."""
    table = lanes.load(out).drop(columns=["seconds", "calls", "pack", "lane", "pack_shape"], errors="ignore")
    curves = lanes.load_curves(out).sort_values(["run_id", "epoch"], ignore_index=True)
    return table.set_index("run_id").sort_index(), curves


def assert_equal(out: Path, other: Path) -> None:
    """The numbers of two directories are equal, bit for bit."""
    for one, two in zip(numbers(out), numbers(other), strict=True):
        pd.testing.assert_frame_equal(one, two, check_exact=True)
