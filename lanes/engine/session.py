"""The threads of one call of a sweep: one per place, which takes packs in order, and one that writes."""

import collections
import contextlib
import threading
import time
from collections.abc import Collection, Sequence

from lanes.engine import first_programs
from lanes.engine.callbacks import CallbackError, Callbacks
from lanes.engine.compiling_ahead import Ahead, EvaluationAhead
from lanes.engine.context import Context
from lanes.engine.life import Life
from lanes.engine.options import Options
from lanes.engine.pack_programs import PackPrograms
from lanes.engine.progress import Progress
from lanes.engine.requests import Plan
from lanes.engine.rungs import Stage
from lanes.engine.signals import StopOnSignal
from lanes.engine.spent_programs import SpentPrograms
from lanes.engine.trainer import Interrupted, Trainer
from lanes.errors import ExitStatus
from lanes.plan.packs import Pack
from lanes.program import memory
from lanes.program.call_frames import with_room
from lanes.program.compiled import Compiled
from lanes.program.places import Place
from lanes.storage import compaction, records
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory
from lanes.storage.intact_files import stamp
from lanes.storage.rows import failed_rows
from lanes.storage.writer import Writer

CHUNK_GRACE = 6.0  # seconds that a running chunk may take after a stop; then it is abandoned
WRITING_GRACE = 8.5  # seconds after a stop until unfinished writing is abandoned too
POLL_SECONDS = 0.2  # interval between looks at packs that other workers hold


def waiting_line(claims: Claims, packs: Collection[Pack]) -> str:
    """`waiting for 2 packs that are trained by process 4711 on host`."""
    holders = sorted({claims.holder(pack.pack_id) for pack in packs})
    them = "a pack that is" if len(packs) == 1 else f"{len(packs)} packs that are"
    return f"waiting for {them} trained by {', '.join(holders[:4])}{', …' if len(holders) > 4 else ''}"


class Session:
    """Trains the packs `todo` at every place of a plan, to the end or to a rung.

    Attributes:
        failures: one line for each pack that failed, and one if writing failed.
        failed: identities of the packs that failed.
        steps, computed: training steps executed, as counted by `Trainer`.
        trained: identities of the runs trained in this session.
        life: the call's, whose name results keep.
        has_broken_callback: whether a callback raised, after which nothing more is trained.
        must_progress: whether the time limit waits until a first chunk has ended.
        waits: whether packs that other workers hold are waited for, or left to them.
        unwritable: why the directory cannot be written; None if it can.
    """

    def __init__(
        self,
        plan: Plan,
        directory: Directory,
        options: Options,
        todo: Sequence[Pack],
        stage: Stage,
        compiled: Compiled,
        life: Life,
        must_progress: bool = True,
    ):
        self.plan, self.directory, self.options, self.todo, self.stage = plan, directory, options, list(todo), stage
        self.life, self.must_progress, self.waits = life, must_progress, True
        self.has_broken_callback = False
        self.compiled = compiled
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.failed: set[str] = set()
        self.steps = self.computed = 0
        self.trained: set[str] = set()
        self._waiting = collections.deque(todo)
        self._begun: dict[Place, Pack] = {}  # the pack that each place is at
        self._spent = SpentPrograms(compiled, todo)
        self._guard = threading.Lock()
        self._interrupted = self._has_said = False
        self._claims = Claims(directory.path)
        self._stopped_at = 0.0
        self.unwritable: OSError | None = None
        self._narrowed = records.narrowed(directory)  # width by pack, if memory allowed no more
        self._fitting: dict[str, int] = {}  # the same by signature, found in this session
        self._plan_stamp: object = ""  # of the table of runs, when it was last read
        self._forgotten: set[str] = set()  # runs that had left it
        self._packs: set[str] = set()  # that were in it

    def train(self) -> ExitStatus:
        """Train every pack and return the exit status."""
        if not self.todo:
            return ExitStatus.DONE
        self._writer = Writer()
        until, quiet = self.stage.until, self.options.quiet
        with (
            Progress(self.todo, len(self.plan.places), quiet, until, self.compiled) as self._progress,
            StopOnSignal(self.stop),
        ):
            self.life.follow(self._progress)
            context = Context(
                directory=self.directory,
                datasets=self.plan.datasets,
                compiled=self.compiled,
                writer=self._writer,
                progress=self._progress,
                stop=self.stop,
                options=self.options,
                call=self.life.call,
                stage=self.stage,
                stops=self.life.stops,
                callbacks=Callbacks(self.options.callbacks, self.directory.path),
                continued=self.plan.continued,
                variables=self.plan.variables,
            )
            trainers = [Trainer(place, context) for place in self.plan.places]
            threads = [
                threading.Thread(
                    target=with_room, args=(self._work, trainer), name=f"lanes-place-{number}", daemon=True
                )
                for number, trainer in enumerate(trainers)
            ]
            compiling = [PackPrograms(place, context) for place in self.plan.places]
            with contextlib.ExitStack() as background:
                self._heed()
                if not (self.options.hosts.several or self.stop.is_set()):  # several compile in the same order
                    packs, is_new = [self._fitted(pack) for pack in self.todo], self._is_new(self.todo[0])
                    first_programs.begin(self.plan, self.options, self.compiled, packs, is_new)
                    background.enter_context(Ahead(compiling, self._under_way, self._upcoming))
                for thread in threads:
                    thread.start()
                if self.stage.until is None and not self.options.hosts.several:
                    background.enter_context(EvaluationAhead(compiling, self._under_way, self._upcoming))
                self._wait(threads, trainers)
            self._finish_writing()
            self._claims.release_all()
            self.life.follow(None)
        if self._interrupted and self.unwritable is None and not self.has_broken_callback:
            return ExitStatus.STOPPED
        return ExitStatus.FAILED if self.failures else ExitStatus.DONE

    def _wait(self, threads: Sequence[threading.Thread], trainers: Sequence[Trainer]) -> None:
        """Wait until every thread has ended; after a stop, at most `CHUNK_GRACE` seconds more.

        The time limit does not stop a call before its first chunk, or repeated short calls would never get beyond compiling.
        """
        limit = self.options.max_seconds
        began = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.05)
            now = time.monotonic()
            self._heed()
            over = limit is not None and now > began + limit
            if over and (not self.must_progress or self.trained or any(trainer.steps for trainer in trainers)):
                self.stop.set()
            if self.stop.is_set():
                self._stopped_at = self._stopped_at or now
                if now > self._stopped_at + CHUNK_GRACE:
                    self._interrupted = True  # a chunk or a compilation is abandoned; the last checkpoint remains
                    break

    def _heed(self) -> None:
        """Stop if this call, or one of its hosts, has been asked to."""
        if self.life.asked.is_set() or self.options.hosts.asked.is_set():
            self.stop.set()

    def _finish_writing(self) -> None:
        """Wait until everything is written, after a stop not for long; note what cannot be."""
        try:
            if not self._writer.close(self._time_for_writing()):
                self._interrupted = True
                self.directory.warn("writing was not finished in time: of packs under way, earlier checkpoints remain")
        except OSError as error:
            self.unwritable = error
        if self.unwritable is not None:
            self.failures.append(
                f"{self.directory.path} cannot be written: {self.unwritable.strerror or self.unwritable}; runs that had "
                "ended are kept: free space or fix the cause, then repeat this command"
            )

    def _time_for_writing(self) -> float | None:
        return max(0.5, self._stopped_at + WRITING_GRACE - time.monotonic()) if self._stopped_at else None

    def _under_way(self) -> dict[Place, Pack]:
        with self._guard:
            return dict(self._begun)

    def _upcoming(self) -> list[Pack]:
        with self._guard:
            return list(self._waiting)

    def _work(self, trainer: Trainer) -> None:
        try:
            while (pack := self._next_pack()) is not None:
                try:
                    if not self.stage.has_reached(self.directory, pack):
                        self._progress.take(pack)
                        self._train(trainer, pack)
                        self.trained.update(member.run_id for member in pack.members)
                    self._writer.submit(self._after, pack)
                    self._progress.pack_done(pack)
                    self._release(trainer.place, pack)
                except Interrupted:
                    self._interrupted = True
                    break
                except CallbackError as error:
                    self._break(error)
                    break
                except Exception as error:
                    if self._writer.has_failed:
                        break  # reported once, at the end
                    self.options.hosts.lost(error)
                    self._fail(pack, error)
                    self._release(trainer.place, pack)
                    if self.options.hosts.several:
                        break  # the other processes may be in the middle of the pack
        except OSError as error:  # of a claim
            self.unwritable = error
        finally:
            with self._guard:
                self.steps += trainer.steps
                self.computed += trainer.computed

    def _release(self, place: Place, pack: Pack) -> None:
        """Give back what an ended pack was the last to need; at a rung packs go on with their programs."""
        with self._guard:
            self._begun.pop(place, None)
        if self.stage.until is None:
            self._spent.ended(pack)

    def _train(self, trainer: Trainer, pack: Pack) -> None:
        """Train a pack, at a smaller width if its own does not fit into memory."""
        if pack.pack_id in self._narrowed:
            pack = self._fitted(pack)
        elif pack.width > self._fitting.get(pack.signature, pack.width) and not self._is_begun(pack):
            pack = self._narrow(pack, self._fitting[pack.signature])
        while True:
            with self._guard:
                self._begun[trainer.place] = pack
            try:
                self.options.hosts.begin(pack.told())
                return trainer.train(pack)
            except Exception as error:
                if not memory.is_exhausted(error) or pack.width == 1:
                    raise
            pack = self._narrow(pack)  # outside the handler, which keeps the failed program's arrays alive

    def _fitted(self, pack: Pack) -> Pack:
        """The pack at the width at which it is recorded to fit into memory."""
        return pack.narrowed(self._narrowed[pack.pack_id]) if pack.pack_id in self._narrowed else pack

    def _is_begun(self, pack: Pack) -> bool:
        return (self.directory.checkpoints / pack.pack_id).exists()

    def _is_new(self, pack: Pack) -> bool:
        return not self._is_begun(pack) and not any(m.run_id in self.plan.continued for m in pack.members)

    def _narrow(self, pack: Pack, width: int | None = None) -> Pack:
        """The pack at a smaller width, which is recorded, so that whoever resumes the pack uses it too."""
        smaller = pack.narrowed(width)
        self._fitting[pack.signature] = smaller.width
        records.narrow(self.directory, pack.pack_id, smaller.width)
        self.directory.warn(
            f"pack {pack.pack_id}: too little memory for width {pack.width}; trained at width {smaller.width}"
        )
        return smaller

    def _next_pack(self) -> Pack | None:
        """Claim the next pack that no other worker holds, waiting for held ones if asked to; None when no pack is left."""
        while not self.stop.is_set():
            with self._guard:
                for _ in range(len(self._waiting)):
                    pack = self._waiting.popleft()
                    if not self._claims.take(pack.pack_id):
                        self._waiting.append(pack)
                    elif self._is_planned(pack):
                        return pack
                    else:
                        self._claims.release(pack.pack_id)
                if not self._waiting or not self.waits:
                    return None
                self._say_whom_we_wait_for()
            self.stop.wait(POLL_SECONDS)
        self._interrupted |= bool(self._waiting)
        return None

    def _is_planned(self, pack: Pack) -> bool:
        """Whether a pack has not been divided meanwhile, and none of its runs forgotten; says so in a line."""
        if self._plan_stamp != (now := stamp(self.directory.runs_file)):
            self._plan_stamp = now
            table = self.directory.read_runs(["run_id", "pack"])
            planned, self._packs = set(table.get("run_id", ())), set(table.get("pack", ()))
            asked = {member.run_id for one in self.todo for member in one.members}
            self._forgotten = asked - planned if planned else set()  # none where the table cannot be read
        if gone := [member for member in pack.members if member.run_id in self._forgotten]:
            self._interrupted = True
            self.directory.warn(
                f"pack {pack.pack_id}: {len(gone)} of its {len(pack.members)} runs have been forgotten meanwhile: repeat this "
                "command to train the others, and these if they are asked for"
            )
        elif self._packs and pack.pack_id not in self._packs:
            self._interrupted = True
            self.directory.warn(
                f"pack {pack.pack_id} has been divided among the workers of a cluster meanwhile: repeat this command to train "
                "what they leave"
            )
            return False
        return not gone

    def _say_whom_we_wait_for(self) -> None:
        """Say once which processes train the packs that are left."""
        if self._has_said or self.options.quiet:
            return
        self._has_said = True
        self.directory.warn(waiting_line(self._claims, self._waiting))

    def _after(self, pack: Pack) -> None:
        """Release a pack's claim, in the writer's thread, once everything of the pack is written."""
        self._claims.release(pack.pack_id)
        done = self._progress.packs_done
        if done and done % compaction.PACKS == 0:
            compaction.join_parts(self.directory)

    def _break(self, error: CallbackError) -> None:
        """Save and stop, once for all callbacks that raise."""
        with self._guard:
            if not self.has_broken_callback:
                self.failures.append(
                    f"callback {error}; stopped, everything saved: mend the callback or leave it out, then repeat this command"
                )
            self.has_broken_callback = True
        self.stop.set()

    def _fail(self, pack: Pack, error: Exception) -> None:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.failed.add(pack.pack_id)
        self.failures.append(f"pack {pack.pack_id} ({len(pack.members)} runs): {type(error).__name__}: {line}")
        rows = failed_rows([member.run_id for member in pack.members], line, self.life.call)
        with contextlib.suppress(OSError):
            self._writer.submit(self.directory.write_part, self.directory.results, pack.pack_id, rows)
            self._writer.submit(self._claims.release, pack.pack_id)
