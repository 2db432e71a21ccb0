"""One program over the devices of several hosts: joining them by `jax.distributed`, comparing what they ask for, ending together.

Process 0 decides, trains, and writes; the others (`lanes.cluster.taking_part`) do the same steps and write nothing.
"""

import contextlib
import ctypes
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from lanes.errors import ExitStatus, RequestError, printable
from lanes.program.hosts import ALONE, PREFIX, Hosts
from lanes.storage import conditions

JOIN_SECONDS = 300.0  # that a process waits for the others to start
PLAN_SECONDS = 1800.0  # that it waits for their plans: data may have to be read
SILENT_SECONDS = 25.0  # without a sign of life, after which a process is lost
BEAT_SECONDS = 1.0
SHARED_SECONDS = 10.0  # that a file may take to appear on other hosts
LEAVE_SECONDS = 20  # that processes wait for each other at the end


def join(coordinator: str | None, process: int | None, processes: int | None, patience: float = JOIN_SECONDS) -> Hosts:
    """Join the processes of a job; with all None, as the launcher says (Slurm, Open MPI, Kubernetes, TPU pods).

    Args:
        coordinator: HOST:PORT at which process 0 can be reached.
        process: number of this one.
        processes: how many there are.
        patience: seconds to wait for the others.

    Raises RequestError where they cannot be joined.
    """
    stated = {"--coordinator": coordinator, "--process-id": process, "--processes": processes}
    lacking = [name for name, value in stated.items() if value is None]
    if lacking and len(lacking) < len(stated):
        missing = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"
        raise RequestError(f"{missing}: write all of {', '.join(stated)}")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise RequestError(
            f"--process-id is {process} and --processes {processes}: it must be from 0 to {processes - 1}"
        )
    if coordinator is not None and processes != 1:
        _reach(coordinator, process == 0, patience)
    for name, value in (("jax_enable_preemption_service", False), ("jax_cpu_collectives_implementation", "gloo")):
        if name in jax.config.values:  # the service would take SIGTERM, which saves and stops
            jax.config.update(name, value)
    end = _end_on_abort()
    where = f" at {coordinator}" if coordinator else ""
    end(
        ExitStatus.WRONG_REQUEST,
        f"error: not all {processes or 'processes of the job'} processes have joined{where} within {patience:.0f} s: start all "
        "of them, with the same --coordinator and --processes",
    )
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method=None if coordinator is None else "deactivate",
            initialization_timeout=int(patience),
            shutdown_timeout_seconds=LEAVE_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise RequestError(_reason(error)) from None
    from jax._src.distributed import global_state  # as Orbax does: there is no public way to the store

    hosts = Hosts(jax.process_index(), jax.process_count(), global_state.client)
    if not hosts.several:
        return ALONE
    end(ExitStatus.STOPPED, f"error: process 0 of {hosts.count} is lost; {_again()}")
    if not hosts.leads:
        _hide_abort()
    watch = _Watch(hosts, end)
    hosts.lost = watch.wait
    threading.Thread(target=watch.work, name="lanes-hosts", daemon=True).start()
    return hosts


def _reason(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "should be defined" in line or "must be defined" in line:
        return (
            "--hosts: no launcher says which processes there are (Slurm's srun, Open MPI, Kubernetes, a TPU pod): write "
            "--coordinator HOST:PORT --process-id I --processes N"
        )
    return f"--hosts: the processes cannot be joined ({line[:200]})"


def _reach(coordinator: str, is_first: bool, patience: float) -> None:
    """Wait until process 0 listens at the address; for process 0 itself, see that the address is this machine's and free.

    JAX ends a process that cannot reach the address without a word to us, so it is tried first.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RequestError(f"--coordinator is {coordinator!r}: write HOST:PORT of process 0, such as node1:12345")
    until = time.monotonic() + patience
    while True:
        try:
            if is_first:
                family, kind, protocol, _, address = socket.getaddrinfo(
                    host.strip("[]"), int(port), type=socket.SOCK_STREAM
                )[0]
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(address)
            else:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if is_first:
                raise RequestError(
                    f"--coordinator is {coordinator} and this is process 0, which cannot listen there "
                    f"({error.strerror or error}): write an address of process 0's host, and a free port"
                ) from None
            if time.monotonic() > until:
                raise RequestError(
                    f"--coordinator is {coordinator}, where nothing answers after {patience:.0f} s ({error.strerror or error}): "
                    "write the address of process 0, and start it too"
                ) from None
        time.sleep(0.2)


def _again() -> str:
    return "stopped; the last checkpoint is kept: start all processes again to resume"


class _Watch:
    """Sees that all processes are there; ends this one, with a line, if one is not.

    Args:
        hosts: the processes.
        end: sets how this process ends if JAX aborts it, as it does where process 0 is gone.
    """

    def __init__(self, hosts: Hosts, end: Callable[[int, str], None]):
        self._hosts, self._end = hosts, end
        self._seen: dict[int, tuple[str, float]] = {}
        self._waits = threading.Event()

    def work(self) -> None:
        """Say that this process is there, and look at the others."""
        hosts, beat = self._hosts, 0
        while True:
            with contextlib.suppress(Exception):  # without process 0 JAX ends this process
                hosts.client.key_value_set(f"{PREFIX}/beat/{hosts.index}", str(beat), allow_overwrite=True)
                beats = dict(hosts.client.key_value_dir_get(f"{PREFIX}/beat"))
                said = dict(hosts.client.key_value_dir_get(f"{PREFIX}/said"))
                self._look(beats, said)
            beat += 1
            time.sleep(BEAT_SECONDS)

    def _look(self, beats: Mapping[str, str], said: Mapping[str, str]) -> None:
        now, count = time.monotonic(), self._hosts.count
        for index in range(count):
            beat = beats.get(f"{PREFIX}/beat/{index}", "")
            if self._seen.get(index, ("", 0.0))[0] != beat or index not in self._seen:
                self._seen[index] = beat, now
            elif now > self._seen[index][1] + SILENT_SECONDS and index != self._hosts.index:
                _leave(ExitStatus.STOPPED, f"error: process {index} of {count} is lost; {_again()}")
        for key, text in said.items():
            if key.endswith("/stop"):
                self._hosts.asked.set()
            elif not self._waits.is_set() and f"/{self._hosts.index}/" not in key:
                _leave(ExitStatus.FAILED, f"error: {text}")

    def wait(self, error: BaseException) -> None:
        """After an error in this process: wait until it is clear whether another one is gone, in which case this one ends."""
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        text = f"process {self._hosts.index} of {self._hosts.count}: {type(error).__name__}: {line}"
        self._waits.set()
        time.sleep(SILENT_SECONDS + 3 * BEAT_SECONDS)
        self._end(ExitStatus.FAILED, f"error: {text}")
        if not self._hosts.leads:
            with contextlib.suppress(Exception):
                self._hosts.client.key_value_set(
                    f"{PREFIX}/said/{self._hosts.index}/failed", text, allow_overwrite=True
                )


def _leave(status: int, line: str) -> None:
    """Print a line and end this process at once: what it waits for may never come."""
    with contextlib.suppress(OSError):
        os.write(_STDERR[-1], (printable(line) + "\n").encode())
    os._exit(status)


_STDERR = [2]  # the last one is where our own lines go
_ABORTING = re.compile(rb"[EF]\d{4} .*(?:coordination_service_agent\.cc|client\.h):")


def _hide_abort() -> None:
    """Pass on what libraries print on standard error, except what JAX says as it aborts: a line of ours says it."""
    own = os.dup(2)
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)
    _STDERR.append(own)
    sys.stderr.flush()
    sys.stderr = open(own, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115

    def work() -> None:
        with open(read, "rb") as lines:
            for line in lines:
                if _ABORTING.match(line):
                    break
                with contextlib.suppress(OSError):
                    os.write(own, line)
            for line in lines:
                del line

    threading.Thread(target=work, name="lanes-stderr", daemon=True).start()


_HANDLERS: list[Any] = []  # C calls it, so it must not be freed


def _end_on_abort() -> Callable[[int, str], None]:
    """Take the signal with which JAX aborts a process that has lost process 0.

    Returns a function that sets the exit status and the line to print then.
    """
    ending: list[Any] = [ExitStatus.STOPPED, ""]

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(_: int) -> None:
        _leave(ending[0], ending[1])

    _HANDLERS.append(aborted)
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    library.signal(int(signal.SIGABRT), ctypes.cast(aborted, ctypes.c_void_p))

    def set_end(status: int, line: str) -> None:
        ending[:] = [status, line]

    return set_end


# ---- before anything starts --------------------------------------------------------------------------------------


@contextlib.contextmanager
def refusing(hosts: Hosts) -> Any:
    """Tell the other processes of a wrong request in the block, so that all of them end."""
    try:
        yield
    except RequestError as error:
        if hosts.several:
            hosts.gathered("facts", {"refused": str(error)}, PLAN_SECONDS)
        raise


def compare(hosts: Hosts, facts: Mapping[str, Any]) -> None:
    """Compare what the processes ask for and run on.

    Raises RequestError in all of them where one differs from process 0, or has refused its request.
    """
    found = hosts.gathered("facts", {**facts}, PLAN_SECONDS)
    for index, other in enumerate(found):
        if other is None:
            raise RequestError(f"process {index} of {hosts.count} has not planned its runs within {PLAN_SECONDS:.0f} s")
        if "refused" in other:
            raise RequestError(f"process {index} of {hosts.count}: {other['refused']}")
    for index, other in enumerate(found):
        if differ := conditions.differences(found[0], other):
            raise RequestError(
                f"process {index} of {hosts.count} differs from process 0: {conditions.text(differ)}; start all processes "
                "with the same command, code, data and versions"
            )


def check_shared(hosts: Hosts, out: Path) -> None:
    """Raise RequestError in all processes unless a file that process 0 makes beside `out` is seen by all; it is removed."""
    if not hosts.several:
        return
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.is_dir())
    probe, failure = folder / f".lanes-{secrets.token_hex(4)}", ""
    if hosts.leads:
        try:
            probe.touch(exist_ok=False)
        except OSError as error:
            failure = f"{folder} cannot be written: {error.strerror or error}"
    name, failure = hosts.agreed([str(probe), failure])
    try:
        seen = hosts.gathered("sees", bool(failure) or _appears(Path(name)), PLAN_SECONDS)
    finally:
        if hosts.leads:
            with contextlib.suppress(OSError):
                probe.unlink()
    if failure:
        raise RequestError(failure)
    if without := [str(index) for index, one in enumerate(seen) if not one]:
        raise RequestError(
            f"--out {out}: process {', '.join(without)} does not see what process 0 writes in {Path(name).parent}: choose a "
            "directory on a file system that all hosts share"
        )


def _appears(path: Path) -> bool:
    until = time.monotonic() + SHARED_SECONDS
    while not (found := path.exists()) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def leave(hosts: Hosts, status: int) -> int:
    """The status with which all processes end, once all are here: that of process 0."""
    if not hosts.several:
        return status
    if hosts.leads:
        hosts.begin({"ends": int(status)})
    with contextlib.suppress(Exception):
        hosts.gathered("leaves", True, LEAVE_SECONDS)
    with contextlib.suppress(Exception):
        jax.distributed.shutdown()
    return status
