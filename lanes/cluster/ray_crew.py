"""The workers of a Ray cluster: starting one for each seat, comparing what they are with the driver, ending them."""

import contextlib
import dataclasses
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

from lanes.cluster import sent_files
from lanes.cluster.messages import Facts
from lanes.cluster.ray_connection import connect, imported, said
from lanes.cluster.ray_nodes import Seat, seats
from lanes.cluster.ray_workers import Worker
from lanes.errors import RequestError, warn
from lanes.storage import conditions

START_SECONDS = 180.0  # for a worker to start, JAX's import included
LEAVE_SECONDS = 3.0
LOOK_SECONDS = 10.0  # interval between looks for nodes that have joined
PASSED = re.compile(r"JAX_|XLA_|LIBTPU_|NVIDIA_TF32|CUBLAS_|LANES_|TFDS_DATA_DIR|TF_CPP_MIN_LOG_LEVEL")


@dataclasses.dataclass
class Member:
    """A worker.

    Attributes:
        handle: Ray's.
        seat: where it is.
        facts: what it is.
        places: how many packs it trains at the same time.
        has_joined: whether it works for the sweep.
        into: where this process writes what the worker leaves; None for a worker that sees the directory.
    """

    handle: Any
    seat: Seat
    facts: Facts
    places: int
    has_joined: bool = False
    into: Path | None = None


class Crew:
    """The workers of a cluster.

    Args:
        address: "ray", "auto" or "ray://HOST:PORT".
        devices: of each worker; see `seats`.
        mapping: of packs onto the devices of a worker.

    Attributes:
        ray: the package.
        members: the workers that are ready, by a number of their own.

    Raises RequestError if there is no such cluster, it has too few devices, or its workers differ from this process.
    """

    def __init__(self, address: str, devices: int | None, mapping: str):
        self._devices, self._mapping = devices, mapping
        self.members: dict[int, Member] = {}
        self._starting: dict[Any, tuple[Any, Seat, float]] = {}  # by what will hold a worker's facts
        self._refused: set[str] = set()  # nodes
        self._numbers = iter(range(2**31))
        self._looked = time.monotonic()
        self.ray = imported(address)
        connect(self.ray, address)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def first(self) -> Member:
        """The first of the workers."""
        return next(iter(self.members.values()))

    def _begin(self) -> None:
        """Start a worker on every seat and wait until they are ready."""
        for seat in seats(self.ray.nodes(), self._devices, self._mapping, _is_cpu_only()):
            self._start(seat)
        until = time.monotonic() + START_SECONDS
        while self._starting and (not self.members or time.monotonic() < until):
            if time.monotonic() > until:
                raise RequestError(
                    f"no worker could be started within {START_SECONDS:.0f} s: the cluster's devices are in use, or its nodes "
                    "do not answer; see `ray status`"
                )
            self.welcome(1.0, raises=True)
        if self._starting:
            warn(f"note: {len(self._starting)} workers have not started yet; they join as they do")

    def _start(self, seat: Seat) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        resources: dict[str, Any] = {
            "num_cpus": seat.devices if seat.kind == "CPU" else 0,
            "num_gpus": seat.devices if seat.kind == "GPU" else 0,
        }
        if seat.kind == "TPU":
            resources["resources"] = {"TPU": seat.devices}
        passed = {name: value for name, value in os.environ.items() if PASSED.match(name)}
        actor = self.ray.remote(Worker).options(
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=8,
            scheduling_strategy=NodeAffinitySchedulingStrategy(seat.node, soft=False),
            runtime_env={"env_vars": passed} if passed else None,
            **resources,
        )
        handle = actor.remote(seat.devices, self._mapping)
        self._starting[handle.facts.remote()] = handle, seat, time.monotonic()

    def welcome(self, seconds: float = 0.0, raises: bool = False) -> list[int]:
        """Take in workers that have become ready; returns their numbers.

        Args:
            seconds: to wait for one.
            raises: whether one that cannot train is an error; otherwise it is left out, with a line.

        Raises RequestError for a worker that differs from this process.
        """
        if not self._starting:
            return []
        ready, _ = self.ray.wait(list(self._starting), num_returns=len(self._starting), timeout=seconds)
        new = []
        for reference in ready:
            handle, seat, _ = self._starting.pop(reference)
            try:
                facts = self._facts(reference, seat)
            except RequestError as error:
                self.ray.kill(handle)
                self._refused.add(seat.node)
                if raises:
                    raise
                warn(f"note: {error}; its node is left out")
                continue
            number = next(self._numbers)
            places = len(facts.devices) if self._mapping == "local" else 1
            self.members[number] = Member(handle, seat, facts, places)
            new.append(number)
        return new

    def _facts(self, reference: Any, seat: Seat) -> Facts:
        """What a new worker is. Raises RequestError if it could not start, or differs from this process."""
        try:
            facts: Facts = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            raise RequestError(f"the worker on {seat.host} cannot start: {said(error)}") from None
        if (seat.kind == "CPU") != (facts.devices[0][0] == "cpu"):
            raise RequestError(
                f"the worker on {seat.host} has {seat.kind} devices, and JAX finds {facts.devices[0][0]} there: install JAX "
                "for them on that node, or set JAX_PLATFORMS=cpu"
            )
        if len(facts.devices) < seat.devices:
            raise RequestError(
                f"the worker on {seat.host} has {seat.devices} devices of Ray's, and JAX finds {len(facts.devices)} there: "
                "start that node with as many as it has"
            )
        own = {"python": ".".join(map(str, sys.version_info[:2])), "code": conditions.code(), **conditions.libraries()}
        there = {"python": facts.python, **facts.conditions}
        names = [name for name in own if name not in conditions.DRIVERS]
        pairs = {name: (own[name], str(there.get(name, "none"))) for name in names}
        if differ := conditions.differences(*({n: p[at] for n, p in pairs.items()} for at in (0, 1))):
            raise RequestError(
                f"the worker on {facts.host} differs from {platform.node()}: {conditions.text(differ)}; install the same "
                "versions, and the same code of lanes, on all nodes"
            )
        if self.members and (differ := conditions.differences(self.first.facts.conditions, facts.conditions)):
            warn(
                f"note: numbers may differ between {self.first.facts.host} and {facts.host}: {conditions.text(differ)}"
            )
        return facts

    def look(self) -> None:
        """From time to time, start workers where seats have become free, as on nodes that have joined."""
        if time.monotonic() < self._looked + LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        taken = [member.seat for member in self.members.values()] + [seat for _, seat, _ in self._starting.values()]
        with contextlib.suppress(RequestError):  # no node is left: wait
            for seat in seats(self.ray.nodes(), self._devices, self._mapping, _is_cpu_only()):
                if seat in taken:
                    taken.remove(seat)
                elif seat.node not in self._refused:
                    self._start(seat)

    def dismiss(self, number: int) -> None:
        """End a worker that is lost or not needed."""
        member = self.members.pop(number, None)
        if member is not None:
            with contextlib.suppress(Exception):
                self.ray.kill(member.handle)

    @property
    def is_hiring(self) -> bool:
        """Whether further workers may come: some are starting, or there are nodes that have not been refused."""
        return bool(self._starting) or any(
            node["Alive"] and node["NodeID"] not in self._refused for node in self.ray.nodes()
        )

    def refuse(self, number: int) -> None:
        """End a worker that cannot work here; none is started on its node again."""
        if number in self.members:
            self._refused.add(self.members[number].seat.node)
        self.dismiss(number)

    def close(self) -> None:
        """End all workers and leave the cluster."""
        leaving = {one.handle.leave.remote(): one for one in self.members.values() if one.has_joined}
        with contextlib.suppress(Exception):
            ready, _ = (
                self.ray.wait(list(leaving), num_returns=len(leaving), timeout=LEAVE_SECONDS) if leaving else ([], [])
            )
            for reference in ready:
                if (into := leaving[reference].into) is not None:
                    sent_files.write(into, self.ray.get(reference))
        handles = [member.handle for member in self.members.values()]
        handles += [handle for handle, _, _ in self._starting.values()]
        for handle in handles:
            with contextlib.suppress(Exception):
                self.ray.kill(handle)
        self.members.clear()
        self._starting.clear()
        with contextlib.suppress(Exception):
            self.ray.shutdown()


def _is_cpu_only() -> bool:
    return os.environ.get("JAX_PLATFORMS", "").lower() == "cpu"
