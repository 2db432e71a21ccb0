"""The stages of one call of a sweep: to each rung of its halving, where all runs wait for each other, then to the end."""

import dataclasses
import threading
import time
from collections.abc import Sequence

from lanes.describe.halving import Halving
from lanes.engine import first_programs
from lanes.engine.elsewhere import Trains
from lanes.engine.life import Life
from lanes.engine.options import Options
from lanes.engine.requests import Plan
from lanes.engine.rungs import WHOLE, Rungs, Stage
from lanes.engine.session import Session, waiting_line
from lanes.engine.signals import StopOnSignal
from lanes.errors import ExitStatus
from lanes.plan import shards
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled
from lanes.storage import calls
from lanes.storage.claims import Claims, have_locks
from lanes.storage.directory import Directory

POLL_SECONDS = 0.5  # interval between looks at the progress of other shards


class Stages:
    """Trains packs stage by stage.

    Attributes:
        packs: the packs of all runs.
        life: this call's, whose name results keep.
        sessions: one per stage that had packs to train.
        compiled: the programs of all stages.
        failures: one line for each pack that failed, for failed writing, and for a rung that waits for other shards.
    """

    def __init__(
        self,
        plan: Plan,
        directory: Directory,
        options: Options,
        halving: Halving | None,
        packs: Sequence[Pack],
        life: Life,
        compiled: Compiled,
    ):
        self.plan, self.directory, self.options, self.packs, self.life = plan, directory, options, list(packs), life
        self.compiled = compiled
        self.sessions: list[Trains] = []
        self.failures: list[str] = []
        self._began = time.monotonic()
        self._failed: set[str] = set()
        self.rungs = None if halving is None else Rungs(directory, halving, plan.planned)

    def train(self) -> ExitStatus:
        """Train all stages and return the exit status."""
        rungs = self.rungs
        if rungs is None:
            return self._train(self._unended(), WHOLE)
        for rung in rungs.halving.rungs:
            status = self._to_rung(rungs, rung)
            if status != ExitStatus.DONE:
                return status
        status = self._train(self._unended(), rungs.stage(None))
        return ExitStatus.FAILED if status == ExitStatus.DONE and self.failures else status

    def _to_rung(self, rungs: Rungs, rung: int) -> ExitStatus:
        """Train to a rung that is not decided yet, wait for other workers, and decide."""
        if rungs.read(rung) is None:
            stage = rungs.stage(rung)
            awaited = {pack.pack_id for pack in rungs.awaited(rung, self.packs)}
            unended = {p.pack_id for p in self._unended() if not stage.has_reached(self.directory, p)}
            status = self._train([p for p in self.packs if p.pack_id in awaited | unended], stage)
            if status == ExitStatus.STOPPED or self._has_broken_callback():
                return status
            if self._still_awaited(rungs, rung):
                return ExitStatus.FAILED if status == ExitStatus.FAILED else ExitStatus.STOPPED
        decision = rungs.decide(rung)
        if not self.options.quiet:
            kept, ranked = len(decision["kept"]), len(decision["values"])
            self.directory.warn(f"epoch {rung}: {kept} of {ranked} runs go on, by {rungs.halving.metric}")
        return ExitStatus.DONE

    def _train(self, todo: Sequence[Pack], stage: Stage) -> ExitStatus:
        """Train the packs of this call's shard, and then, if it helps, those of others that nobody trains."""
        shard = self.options.shard
        own = list(todo) if shard is None else shards.part(self.packs, todo, *shard)
        status = self._session(own, stage)
        mine = {pack.pack_id for pack in own}
        others = [pack for pack in todo if pack.pack_id not in mine]
        if status == ExitStatus.DONE and others and self._helps():
            status = self._session(others, stage, waits=False)
        return status

    def _session(self, packs: Sequence[Pack], stage: Stage, waits: bool = True) -> ExitStatus:
        progressed = any(session.steps for session in self.sessions)
        packs = first_programs.in_order(self.plan, packs)
        options = self._options_now()
        elsewhere = self.options.elsewhere
        if elsewhere is None:
            session: Trains = Session(
                self.plan, self.directory, options, packs, stage, self.compiled, self.life, not progressed
            )
        else:
            session = elsewhere.session(
                self.plan, self.directory, options, packs, stage, self.compiled, self.life, not progressed
            )
        session.waits = waits
        self.sessions.append(session)
        status = session.train()
        self.failures += session.failures
        self._failed |= session.failed
        return (
            ExitStatus.STOPPED
            if session.stop.is_set() and status == ExitStatus.DONE and stage.until is not None
            else status
        )

    def _helps(self) -> bool:
        """Whether other shards write into this directory, and can see by locks which packs are trained here."""
        if not self.options.helps_shards or self.options.shard is None or not have_locks(self.directory.path):
            return False
        mine = [None, list(self.options.shard)]
        return any(found.get("shard") not in mine for found in calls.read_all(self.directory))

    def _has_broken_callback(self) -> bool:
        return any(session.has_broken_callback for session in self.sessions)

    def _options_now(self) -> Options:
        """The options with the rest of the time limit."""
        limit = self.options.max_seconds
        if limit is None:
            return self.options
        return dataclasses.replace(self.options, max_seconds=limit - (time.monotonic() - self._began))

    def _unended(self) -> list[Pack]:
        """Packs with unfinished runs or lost files, except those that failed in this call."""
        ended = self.directory.ended()
        lacking = self.directory.lacking(pack.pack_id for pack in self.packs)
        return [
            pack
            for pack in self.packs
            if pack.pack_id not in self._failed
            and (pack.pack_id in lacking or any(member.run_id not in ended for member in pack.members))
        ]

    def _still_awaited(self, rungs: Rungs, rung: int) -> list[Pack]:
        """Wait for other workers; return the packs still missing once nobody trains them, and note their shards."""
        claims, stop, idle, has_said = (
            Claims(self.directory.path),
            threading.Event(),
            time.monotonic(),
            self.options.quiet,
        )
        with StopOnSignal(stop):
            while awaited := rungs.awaited(rung, self.packs):
                now = time.monotonic()
                if held := [pack for pack in awaited if _is_held(claims, pack)]:
                    idle = now
                    if not has_said:
                        self.directory.warn(waiting_line(claims, held))
                    has_said = True
                limit = self._options_now().max_seconds
                over = stop.is_set() or self.life.asked.is_set() or (limit is not None and limit < 0)
                if self.options.shard is None or over or now > idle + self.options.wait_seconds:
                    break
                stop.wait(POLL_SECONDS)
        if awaited and self.options.shard is not None:
            missing = {member.run_id for pack in awaited for member in pack.members}
            ended = {planned.run_id for planned in self.plan.planned} - missing
            names = list(shards.waiting(self.packs, ended, self.options.shard[1]))
            them = "it" if len(names) == 1 else "them"
            self.failures.append(
                f"waiting at epoch {rung} for {', '.join(names)}: run {them}, then repeat this command"
            )
        return awaited


def _is_held(claims: Claims, pack: Pack) -> bool:
    """Whether another worker holds a pack."""
    if not claims.take(pack.pack_id):
        return True
    claims.release(pack.pack_id)
    return False
