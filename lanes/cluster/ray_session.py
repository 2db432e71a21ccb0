"""Trains packs on the workers of a Ray cluster: hands them out, takes their reports, and hands out again what is lost.

A worker is given a few packs at a time. Nothing but the plan and what is under way is held here.
"""

import collections
import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lanes.cluster import sent_files
from lanes.cluster.following import Following
from lanes.cluster.jobs import Job, SourceOf, job_of, sources_of
from lanes.cluster.messages import Report, Task
from lanes.cluster.parcels import wrap
from lanes.cluster.ray_connection import said
from lanes.cluster.ray_crew import Crew, Member
from lanes.cluster.waiting_packs import WaitingPacks
from lanes.engine.life import Life
from lanes.engine.options import Options
from lanes.engine.progress import Progress
from lanes.engine.requests import Plan
from lanes.engine.rungs import Stage
from lanes.engine.signals import StopOnSignal
from lanes.errors import ExitStatus
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled
from lanes.storage import compaction, records, stops
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory
from lanes.storage.rows import failed_rows

POLL_SECONDS = 0.5  # most time between looks for requests to stop
STOP_SECONDS = 20.0  # that workers have to save after a stop
LOSSES = 3  # workers that a pack may lose; one more, and it has failed
LONELY_SECONDS = 300.0  # without any worker, before the call ends


@dataclasses.dataclass(frozen=True)
class How:
    """How a cluster works for a sweep.

    Attributes:
        collects: whether this process writes the directory, which workers do not see.
        own_callbacks: how many of the first callbacks are the experiment's own.
    """

    collects: bool = False
    own_callbacks: int = 0


class RaySession:
    """Stands in for `lanes.engine.session.Session`, with its attributes."""

    def __init__(
        self,
        crew: Crew,
        how: How,
        plan: Plan,
        directory: Directory,
        options: Options,
        todo: Sequence[Pack],
        stage: Stage,
        *of_call: Any,
    ):
        self.crew, self.how, self.plan, self.directory, self.options = crew, how, plan, directory, options
        self.todo, self.stage = list(todo), stage
        self._call = _Call(*of_call)
        self.waits, self.has_broken_callback = True, False
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.failed: set[str] = set()
        self.trained: set[str] = set()
        self.steps = self.computed = 0
        self._interrupted = self._is_unwritable = False
        self._losses: collections.Counter[str] = collections.Counter()
        self._tasks: dict[Any, tuple[int, list[Pack]]] = {}  # worker and packs, by what will hold the report
        self._joining: dict[Any, int] = {}  # worker, by what will hold its answer
        self._claims = Claims(directory.path)
        self._packs_done = 0
        self._plan: Any = None
        self._began = self._had_worker = time.monotonic()
        self._stopped_at = 0.0

    def train(self) -> ExitStatus:
        """Train every pack and return the exit status."""
        if not self.todo:
            return ExitStatus.DONE
        self._waiting = WaitingPacks(self.todo, most=compaction.PACKS - 1)
        self._source_of: SourceOf = sources_of(self.directory)
        self._job: Job = job_of(
            self.directory, self._call.life.call, self.options, self.how.collects, self.how.own_callbacks
        )
        self._asked_to_end = stops.names(self.directory) if self.how.collects else set()
        places = sum(member.places for member in self.crew.members.values())
        with (
            Progress(self.todo, max(1, places), self.options.quiet, self.stage.until) as progress,
            StopOnSignal(self.stop),
        ):
            self._following = Following(self.crew, progress)
            self._call.life.doing = "handing out packs"  # workers that see the directory say there how far they are
            if self.how.collects:
                self._call.life.follow(progress)
            try:
                self._hand_out_all()
            finally:
                self._claims.release_all()
                self._call.life.follow(None)
        if self._interrupted and not self._is_unwritable and not self.has_broken_callback:
            return ExitStatus.STOPPED
        return ExitStatus.FAILED if self.failures else ExitStatus.DONE

    def _hand_out_all(self) -> None:
        while self._waiting or self._tasks:
            self._look_for_stop()
            if self.stop.is_set():
                self._interrupted |= bool(self._waiting or self._tasks)
                if not self._tasks or time.monotonic() > self._stopped_at + STOP_SECONDS:
                    return
            else:
                self.crew.look()
                self.crew.welcome()
                self._hand_out()
                self._check_not_lonely()
            self._take_reports()
            self._following.look(dict(self._tasks.values()))

    def _look_for_stop(self) -> None:
        """Set `stop` once the call is asked to stop or its time is over, and tell the workers once."""
        limit, now = self.options.max_seconds, time.monotonic()
        if self._call.life.asked.is_set():
            self.stop.set()
        has_progressed = self.steps or self._packs_done or self._following.has_progressed
        if limit is not None and now > self._began + limit and (not self._call.must_progress or has_progressed):
            self.stop.set()
        if self.stop.is_set() and not self._stopped_at:
            self._stopped_at = now
            for number, _ in self._tasks.values():
                self.crew.members[number].handle.stop.remote()

    def _check_not_lonely(self) -> None:
        """End the call if there has been no worker for long."""
        now = time.monotonic()
        if self.crew.members:
            self._had_worker = now
        elif now > self._had_worker + LONELY_SECONDS or not self.crew.is_hiring:
            self.failures.append(
                "the cluster has no worker left; what has ended is saved: repeat this command once it has nodes again"
            )
            self.stop.set()

    # ---- handing out ---------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give a task to each worker that has none, once it has joined."""
        self._forward_requests()
        busy = {number for number, _ in self._tasks.values()} | set(self._joining.values())
        for number, member in list(self.crew.members.items()):
            if number in busy or not self._waiting:
                continue
            if not member.has_joined:
                self._joining[member.handle.join.remote(self._job, self._plan_files())] = number
                continue
            workers = max(1, len(self.crew.members))
            if packs := self._waiting.take(number, member.places, workers, self._is_free):
                self._send(number, member, packs)

    def _is_free(self, pack: Pack) -> bool:
        """Whether no other process trains a pack; workers that see the directory claim it themselves."""
        return not self.how.collects or self._claims.take(pack.pack_id)

    def _plan_files(self) -> Any:
        """Ray's reference to the files of the plan, which all workers share."""
        if self._plan is None:
            self._plan = self.crew.ray.put(sent_files.of_plan(self.directory) if self.how.collects else {})
        return self._plan

    def _send(self, number: int, member: Member, packs: list[Pack]) -> None:
        members = {one.run_id for pack in packs for one in pack.members}
        stage = dataclasses.replace(self.stage, cuts={k: v for k, v in self.stage.cuts.items() if k in members})
        continued = {} if self.how.collects else self.plan.continued
        names = [pack.pack_id for pack in packs]
        files = sent_files.of_packs(self.directory, names, sorted(members)) if self.how.collects else {}
        task = Task([wrap(pack, self._source_of, continued) for pack in packs], stage, files)
        self._tasks[member.handle.train.remote(task)] = number, packs

    def _forward_requests(self) -> None:
        """Pass requests that single runs end on to workers that do not see the directory."""
        if not self.how.collects:
            return
        if new := stops.names(self.directory) - self._asked_to_end:
            self._asked_to_end |= new
            files = sent_files.of_packs(self.directory, (), sorted(new))
            for member in self.crew.members.values():
                member.handle.put.remote(files)

    # ---- reports -------------------------------------------------------------------------------------------------

    def _take_reports(self) -> None:
        """Wait for the next answer, and take in all that there are."""
        awaited = [*self._tasks, *self._joining]
        if not awaited:
            time.sleep(POLL_SECONDS)
            return
        self.crew.ray.wait(awaited, num_returns=1, timeout=POLL_SECONDS)
        ready, _ = self.crew.ray.wait(awaited, num_returns=len(awaited), timeout=0)
        errors = self.crew.ray.exceptions
        for reference in ready:
            number, packs = self._tasks.pop(reference, (self._joining.pop(reference, -1), []))
            try:
                answer = self.crew.ray.get(reference)
            except errors.RayTaskError as error:  # raised by the worker, outside of the training of a pack
                self._fail(packs, said(error))
                self._lose(number, [], error, is_fit=bool(packs))
            except errors.RayError as error:
                self._lose(number, packs, error)
            else:
                self._take(number, packs, answer)

    def _take(self, number: int, packs: list[Pack], answer: Report | sent_files.Files) -> None:
        """Take in a worker's report, or the files of one that has joined; a disk that is full ends the call."""
        files = answer.files if isinstance(answer, Report) else answer
        try:
            if self.how.collects:
                sent_files.write(self.directory.path, files)
            if isinstance(answer, Report):
                self._note(number, packs, answer)
            else:
                self.crew.members[number].has_joined = True
                self.crew.members[number].into = self.directory.path if self.how.collects else None
        except OSError as error:
            self._is_unwritable = True
            self.failures.append(
                f"{self.directory.path} cannot be written: {error.strerror or error}; runs that had ended are kept: free space "
                "or fix the cause, then repeat this command"
            )
            self.stop.set()
        for pack in packs:
            self._claims.release(pack.pack_id)

    def _note(self, number: int, packs: list[Pack], report: Report) -> None:
        for line in report.lines:
            self.directory.warn(line)
        for pack_id, width in report.narrowed.items():
            records.narrow(self.directory, pack_id, width)
        self.steps += report.steps
        self.computed += report.computed
        for key, seconds in report.compiled.items():
            self._call.compiled.seconds[key] = self._call.compiled.seconds.get(key, 0.0) + seconds
            if key not in self._call.compiled.keys:
                self._call.compiled.keys.append(key)
        self._say_first(report.failures)
        self.failures += report.failures
        self.failed |= set(report.failed)
        self._fail([pack for pack in packs if pack.pack_id in report.refused], report.refused)
        self.has_broken_callback |= report.has_broken_callback
        self._is_unwritable |= report.is_unwritable
        self._interrupted |= report.interrupted
        if report.stopped or report.has_broken_callback or report.is_unwritable:
            self.stop.set()
        self.trained.update(member.run_id for pack in packs for member in pack.members)
        if report.stopped:
            return
        member = self.crew.members.get(number)
        self._waiting.note(packs[0].signature, report.seconds * (member.places if member else 1) / len(packs))
        before = self._packs_done
        self._packs_done += len(packs)
        self._following.done(number, packs)
        if before // compaction.PACKS != self._packs_done // compaction.PACKS:
            compaction.join_parts(self.directory)

    def _say_first(self, failures: Sequence[str]) -> None:
        """Say the first failure at once: others may follow for hours."""
        if failures and not self.failures and not self.options.quiet:
            self.directory.warn(f"first failure: {failures[0]}; other packs go on")

    def _fail(self, packs: Iterable[Pack], why: str | Mapping[str, str]) -> None:
        """Record that packs have failed which no worker could record."""
        for pack in packs:
            line = why if isinstance(why, str) else why[pack.pack_id]
            stated = f"pack {pack.pack_id} ({len(pack.members)} runs): {line}"
            self._say_first([stated])
            self.failures.append(stated)
            self.failed.add(pack.pack_id)
            rows = failed_rows([member.run_id for member in pack.members], line, self._call.life.call)
            with contextlib.suppress(OSError):
                self.directory.write_part(self.directory.results, pack.pack_id, rows)

    def _lose(self, number: int, packs: Sequence[Pack], error: Exception, is_fit: bool = True) -> None:
        """Go on without a worker; its packs are handed out again, a bounded number of times.

        A worker that is not fit could not begin: none is started on its node again.
        """
        member = self.crew.members.get(number)
        host = "a node" if member is None else member.facts.host
        self.directory.warn(f"note: a worker on {host} is lost ({said(error)}); others train its packs")
        if is_fit:
            self.crew.dismiss(number)
        else:
            self.crew.refuse(number)
        self._waiting.forget(number)
        self._following.lost(number)
        self._losses.update(pack.pack_id for pack in packs)
        for is_over, alike in itertools.groupby(packs, key=lambda pack: self._losses[pack.pack_id] > LOSSES):
            if is_over:
                self._fail(alike, f"lost {LOSSES + 1} workers one after another, the last with: {said(error)}")
                continue
            for pack in alike:
                self._claims.release(pack.pack_id)
                self._waiting.give_back(pack)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What the sessions of a call share, in the order of the arguments of `Session`."""

    compiled: Compiled
    life: Life
    must_progress: bool = True
