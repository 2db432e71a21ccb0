"""The driver of a sweep on a Ray cluster: what stands in for this machine's devices and sessions, and checks beforehand."""

import dataclasses
import functools
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lanes.cluster.messages import Sample
from lanes.cluster.parcels import row_of
from lanes.cluster.ray_crew import Crew, Member
from lanes.cluster.ray_session import How, RaySession
from lanes.engine.requests import Plan
from lanes.errors import RequestError
from lanes.files import temporary_beside
from lanes.plan.planned import Planned
from lanes.program.places import Place, RemoteDevice
from lanes.storage.directory import Directory
from lanes.storage.experiment_copies import keep_copy

MOST_SAMPLES = 32  # runs that a worker plans to show that it has the driver's code


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of a cluster.

    Attributes:
        out: the directory.
        experiment: the file that the runs come from, if any.
        data_dir: where prepared TFDS sets are.
        own_callbacks: how many callbacks the experiment has.
        callbacks: how many there are in all.
    """

    out: Path
    experiment: Path | None = None
    data_dir: str | None = None
    own_callbacks: int = 0
    callbacks: int = 0


class Cluster:
    """A Ray cluster that trains, for `Options.elsewhere`.

    Args:
        address: "ray", "auto" or "ray://HOST:PORT".
        devices: of each worker; see `lanes.cluster.ray_nodes.seats`.
        mapping: of packs onto the devices of a worker.
        collects: whether this process writes the results, and workers need not see the directory.

    Raises RequestError if there is no such cluster, it has too few devices, or its workers differ from this process.
    """

    def __init__(self, address: str, devices: int | None, mapping: str, collects: bool = False):
        self.how, self.mapping = How(collects), mapping
        self.crew = Crew(address, devices, mapping)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.crew.close()

    @functools.cached_property
    def places(self) -> Sequence[Place]:
        """Those of the first worker."""
        devices = tuple(RemoteDevice(*about) for about in self.crew.first.facts.devices)
        if self.mapping == "local":
            return [Place((device,), self.mapping) for device in devices]
        return [Place(devices, self.mapping)]

    @functools.cached_property
    def conditions(self) -> Mapping[str, str]:
        """What the numbers of the first worker depend on besides the runs."""
        return self.crew.first.facts.conditions

    @property
    def count(self) -> int:
        """Places of all workers."""
        return max(1, sum(member.places for member in self.crew.members.values()))

    @property
    def session(self) -> Callable[..., RaySession]:
        """Makes what trains packs here."""
        return functools.partial(RaySession, self.crew, self.how)

    def check(self, plan: Plan, asked: Asked) -> None:
        """Raise RequestError if a worker has other code or data than this process, or does not see the directory."""
        one_of_each = {member.seat.node: member for member in self.crew.members.values()}.values()
        self.how = dataclasses.replace(self.how, own_callbacks=asked.own_callbacks)
        if self.how.collects:
            _check_collectable(plan, asked)
        else:
            self._check_shared(one_of_each, asked.out)
        sample = _sample(plan, asked.experiment, asked.data_dir)
        found = [(member, member.handle.check.remote(sample)) for member in one_of_each]
        for member, reference in found:
            if why := self.crew.ray.get(reference):
                raise RequestError(f"the worker on {member.facts.host} cannot train this: {why}")

    def _check_shared(self, members: Iterable[Member], out: Path) -> None:
        out = Path(os.path.abspath(out))
        above = next(path for path in (out, *out.parents) if path.is_dir())
        question, text = temporary_beside(above / "shared"), uuid.uuid4().hex
        try:
            question.write_text(text)
        except OSError as error:
            raise RequestError(f"--out {out} cannot be written ({error.strerror}): choose another directory") from None
        try:
            for member in members:
                answer = temporary_beside(above / "shared")
                self.crew.ray.get(member.handle.sees.remote(str(question), str(answer), text))
                seen = answer.is_file() and answer.read_text() == text[::-1]
                answer.unlink(missing_ok=True)
                if not seen:
                    raise RequestError(
                        f"--out {out} is not shared: the worker on {member.facts.host} does not see this machine's {above}; "
                        "choose a directory on a file system that all nodes share, or add --collect"
                    )
        finally:
            question.unlink(missing_ok=True)


def _check_collectable(plan: Plan, asked: Asked) -> None:
    """Raise RequestError for what workers cannot do that do not see this machine's directories."""
    reads = next((str(m.run.init_from) for m in plan.planned if m.run.init_from is not None), None)
    what = None if reads is None else f"init_from is {reads}"
    if asked.callbacks:
        what = f"{asked.callbacks} callbacks (CALLBACKS, --track) write into {asked.out}"
    if what is not None:
        raise RequestError(
            f"{what}, and with --collect workers do not see this machine's directories: leave --collect out, with --out on a "
            "file system that all nodes share"
        )


def _sample(plan: Plan, experiment: Path | None, data_dir: str | None) -> Sample:
    """One run of each program and data set, with copies of the experiment."""
    distinct: dict[Any, Planned] = {}
    for member in plan.planned:
        distinct.setdefault((member.signature, member.data.id, member.run.initializer), member)
    members = list(distinct.values())[:MOST_SAMPLES]
    with tempfile.TemporaryDirectory(prefix="lanes-") as folder:
        copy = keep_copy(Directory(folder), experiment, {})
        root = Path(folder)
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.py")}
    source = (None, None, None) if copy is None else (copy.name, copy.sha256, copy.beside)
    rows = [row_of(member, source) for member in members]
    return Sample(files, rows, [(member.data.id, member.data.fingerprint) for member in members], data_dir)
