"""A worker of a cluster: a Ray actor that trains the packs it is handed by the session of a single machine.

It keeps its programs, so each is compiled once in every worker. Ray calls `stop`, `standing` and `put` in other threads while
`train` runs. This file is imported by Ray before anything of JAX is.
"""

import contextlib
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lanes.cluster.messages import Facts, Files, Job, Parcel, Report, Sample, Task

if TYPE_CHECKING:
    from lanes.plan.packs import Pack


class Worker:
    """Trains on some of the devices of a node.

    Args:
        devices: how many; None for all that JAX finds there.
        mapping: of packs onto them.
    """

    def __init__(self, devices: int | None, mapping: str):
        import os

        from lanes.program.places import make_places, prepare_devices, select_devices

        # Ray narrows these to the CPUs that an actor asks for; elsewhere they are as the user has them.
        os.environ.pop("OMP_NUM_THREADS", None)
        prepare_devices()
        found = select_devices(None)
        self._places = make_places(found[: devices or len(found)], mapping)
        self._lines: list[str] = []
        self._scratch: Path | None = None
        self._until_left = contextlib.ExitStack()
        self._packs: list[str] = []  # of the last task
        self._said: dict[Any, float] = {}  # seconds by program, as reported

    def facts(self) -> Facts:
        """What this worker is."""
        import os

        from lanes.program import memory
        from lanes.storage.conditions import conditions

        devices = [device for place in self._places for device in place.devices]
        return Facts(
            platform.node(),
            os.getpid(),
            ".".join(map(str, sys.version_info[:2])),
            conditions(self._places),
            [(device.platform, device.device_kind, device.id, memory.free(device)) for device in devices],
        )

    def check(self, sample: Sample) -> str:
        """Why this worker cannot train what the driver can; "" if it can."""
        from lanes.cluster import sent_files
        from lanes.cluster.parcels import planned_again
        from lanes.errors import RequestError
        from lanes.plan.datasets import Datasets
        from lanes.plan.families import Families
        from lanes.storage.directory import Directory

        with tempfile.TemporaryDirectory(prefix="lanes-") as folder:
            sent_files.write(Path(folder), sample.files)
            directory, families = Directory(folder), Families(Datasets(sample.data_dir))
            try:
                for row, data in zip(sample.rows, sample.data, strict=True):
                    planned_again(row, data, directory, families)
            except RequestError as error:
                return str(error)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        return ""

    def sees(self, question: str, answer: str, text: str) -> bool:
        """Whether this worker reads `text` in the file `question`; answers by a file beside it."""
        with contextlib.suppress(OSError):
            if Path(question).read_text() == text:
                Path(answer).write_text(text[::-1])
                return True
        return False

    def join(self, job: Job, plan: Files) -> Files:
        """Begin to work for a sweep; returns what the driver writes into its directory, if it writes.

        Args:
            job: the sweep.
            plan: files of the directory, for a worker that does not see it.

        Raises RequestError if the directory is not the driver's.
        """
        from lanes.cluster import sent_files
        from lanes.engine.life import Life
        from lanes.engine.options import Options
        from lanes.errors import RequestError
        from lanes.plan.datasets import Datasets
        from lanes.plan.families import Families
        from lanes.program.compiled import Compiled, Programs
        from lanes.storage import calls
        from lanes.storage.directory import Directory
        from lanes.storage.provenance import Call

        out = Path(job.out)
        if job.collects:
            self._scratch = out = Path(self._until_left.enter_context(tempfile.TemporaryDirectory(prefix="lanes-")))
            sent_files.write(out, plan)
        self._directory = Directory(out, self._lines.append)
        if not out.is_dir() or self._directory.sweep != job.sweep:
            raise RequestError(f"{out} is not there on {platform.node()}, or is another sweep's")
        if job.collects:
            self._directory.create()
        self._options = Options(**{**job.options, "callbacks": self._callbacks(job), "quiet": True})
        self._datasets = Datasets(self._options.data_dir)
        self._families: Families = Families(self._datasets)
        self._compiled = Compiled(len(self._places), Programs())  # kept from task to task
        name = calls.begin(self._directory, Call(self._places, tuple(job.command)), cluster=True)
        self._life = self._until_left.enter_context(Life(self._directory, name))
        return self._call_file()

    def _call_file(self) -> Files:
        if self._scratch is None:
            return {}
        path = self._directory.calls / f"{self._life.call}.json"
        return {str(path.relative_to(self._scratch)): path.read_bytes()}

    def _callbacks(self, job: Job) -> Sequence[Any]:
        """The callbacks of the experiment, from its copy, and those that the options have besides."""
        from lanes.describe.experiment_files import load_module
        from lanes.storage.experiment_copies import modules_of

        further = tuple(job.options.get("callbacks", ()))
        if job.experiment is None:
            return further
        name, sha256, beside = job.experiment
        copied = modules_of(self._directory, beside)
        return *load_module(self._directory.path / name, sha256, copied).CALLBACKS, *further

    def train(self, task: Task) -> Report:
        """Train packs to the task's stage, or until this worker is asked to stop."""
        from lanes.cluster import sent_files
        from lanes.cluster.parcels import continued_of
        from lanes.engine.requests import Plan
        from lanes.engine.session import Session
        from lanes.errors import ExitStatus
        from lanes.storage import records

        began = time.perf_counter()
        if self._scratch is not None:
            sent_files.remove(self._directory, self._packs)
            sent_files.write(self._scratch, task.files)
            if task.stage.until is not None:
                (self._directory.rungs / str(task.stage.until)).mkdir(parents=True, exist_ok=True)
        self._packs = [parcel.pack for parcel in task.parcels]
        packs, refused = self._unwrapped(task.parcels)
        members = [member for pack in packs for member in pack.members]
        continued = {k: v for one in task.parcels for k, v in continued_of(one, self._directory).items()}
        plan = Plan(members, self._datasets, self._places, {}, continued=continued)
        session = Session(
            plan, self._directory, self._options, packs, task.stage, self._compiled, self._life, must_progress=False
        )
        status = session.train()
        stopped = session.stop.is_set() and not session.has_broken_callback
        narrowed = records.narrowed(self._directory) if self._scratch is not None else {}
        run_ids = [row["run_id"] for parcel in task.parcels for row in parcel.rows]
        files = {} if self._scratch is None else sent_files.of_packs(self._directory, self._packs, run_ids)
        return Report(
            stopped=stopped,
            interrupted=status == ExitStatus.STOPPED and not stopped,
            failures=session.failures,
            failed=sorted(session.failed),
            refused=refused,
            has_broken_callback=session.has_broken_callback,
            is_unwritable=session.unwritable is not None,
            steps=session.steps,
            computed=session.computed,
            compiled=self._newly_compiled(),
            seconds=time.perf_counter() - began,
            lines=self._new_lines(),
            narrowed={pack: width for pack, width in narrowed.items() if pack in self._packs},
            files=files,
        )

    def _unwrapped(self, parcels: Sequence[Parcel]) -> "tuple[list[Pack], dict[str, str]]":
        """The packs of parcels, and by name why others cannot be planned."""
        from lanes.cluster.parcels import unwrap

        packs, refused = [], {}
        for parcel in parcels:
            try:
                packs.append(unwrap(parcel, self._directory, self._families))
            except Exception as error:
                refused[parcel.pack] = f"{type(error).__name__}: {error} (on {platform.node()})"
        return packs, refused

    def _newly_compiled(self) -> Mapping[Any, float]:
        """Seconds spent on programs since the last report."""
        now = dict(self._compiled.seconds)
        new = {key: seconds - self._said.get(key, 0.0) for key, seconds in now.items()}
        self._said = now
        return {key: seconds for key, seconds in new.items() if seconds}

    def _new_lines(self) -> list[str]:
        lines = list(self._lines)
        del self._lines[: len(lines)]
        return lines

    def standing(self) -> list[tuple[str, float]]:
        """The packs that are being trained, and the epoch that each has reached."""
        found = self._life.standing()
        return [] if found is None else [(pack.pack_id, epoch) for pack, epoch, _ in found.under_way]

    def put(self, files: Files) -> None:
        """Add files to this worker's own copy of the directory."""
        from lanes.cluster import sent_files

        if self._scratch is not None:
            sent_files.write(self._scratch, files)

    def stop(self) -> None:
        """Save and stop after the chunk in progress; what is handed over later is not begun."""
        self._life.asked.set()

    def leave(self) -> Files:
        """End the work for a sweep; returns what the driver writes into its directory, if it writes."""
        from lanes.storage import calls

        with contextlib.suppress(OSError):
            calls.end(self._directory, self._life.call)
        files = self._call_file()
        self._until_left.close()
        return files
