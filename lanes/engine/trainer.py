"""One pack from its first epoch, or its checkpoint, to its results: calls the compiled programs, observes between chunks."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.loading import Dataset
from lanes.engine import order_tables, regrouping
from lanes.engine.fresh_lanes import FreshLanes, quickly
from lanes.engine.order_tables import OrderTables
from lanes.engine.regrouping import Seats
from lanes.engine.rungs import Stage, gathered
from lanes.engine.streamed_epochs import StreamedEpochs, evaluate_streamed
from lanes.plan.packs import Pack, numbers_of
from lanes.program import lane
from lanes.program.chunks import Chunk
from lanes.program.compiled import Compiled
from lanes.program.epoch import Epoch, Partial
from lanes.program.lane import Lane, Status
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place
from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from lanes.storage.rows import curve_rows, history_of, result_rows

CHUNK_SECONDS = 5.0  # aimed at; what is lost at most to a kill, and how long an interrupt may take
CHUNK_STEPS = 4096  # most steps in a chunk of the smallest epochs: bounds the history and the table of orders
DATA_BYTES = 2 << 30  # a data set up to this size is held on the device, a larger one is streamed within as much
WHOLE = Stage()  # to the end
Tree = Any


class Interrupted(Exception):
    """The sweep was asked to stop; everything up to the last chunk is saved."""


def on_device(data: Dataset, place: Place, names: Iterable[str]) -> Data:
    """Splits of the data set on the place's devices."""
    splits = {name: (np.asarray(data.splits()[name].x), np.asarray(data.splits()[name].y)) for name in names}
    return place.shared(Data(splits, np.asarray(data.offset), np.asarray(data.scale)))


def longest_chunk(pack: Pack) -> int:
    """Epochs that the training program has room for in one call: follows from the signature alone."""
    return max(1, min(256, CHUNK_STEPS // pack.setup.steps_per_epoch))


def _epochs(pack: Pack) -> int:
    """Of its longest run."""
    return max(int(lane.length(pack.setup, member.run)) for member in pack.members)


def training_key(pack: Pack) -> tuple[Any, ...]:
    """Packs of equal keys are trained by one program."""
    return "train", pack.signature, pack.width, pack.size, pack.seeds


PARTIAL = "partial"  # what a checkpoint calls an epoch under way


class State(NamedTuple):
    """Where a pack is: its lanes after whole epochs, and of the epoch under way (streamed) what its steps made so far."""

    lanes: Lane
    epoch: int
    partial: Partial | None = None
    step: int = 0


class Trainer:
    """Trains packs at one place, with the programs and data that it shares with the other places.

    Attributes:
        steps: training steps executed so far, of all lanes that were running.
        computed: the same of all lanes that were computed, ended ones beside running ones included.
    """

    def __init__(
        self,
        place: Place,
        compiled: Compiled,
        directory: Directory,
        data_of: Callable[[Pack], Dataset],
        submit: Callable[..., None],
        stop: threading.Event,
        told: Callable[[Pack, int], None],
        data_bytes: int = DATA_BYTES,
        stage: Stage = WHOLE,
    ):
        self.place, self.compiled, self.directory = place, compiled, directory
        self.data_of, self.submit, self.stop, self.told = data_of, submit, stop, told
        self.data_bytes, self.stage = data_bytes, stage
        self._data: dict[int, Data] = {}
        self._orders = OrderTables(place)
        self._epoch_seconds: dict[str, float] = {}
        self._fresh = FreshLanes(place, compiled, data_of)
        self.steps = self.computed = 0

    def train(self, pack: Pack) -> None:
        """Train a pack to its end and hand its results to the writer; or to a rung, and hand over where its runs stand.

        Raises Interrupted when asked to stop; whatever the programs raise passes through.
        """
        began = time.perf_counter()
        dataset = self.data_of(pack)
        data = self._on_device(dataset)
        numbers, slots = numbers_of(pack), order_tables.slots(pack)
        state, history, spent = self._resume(pack, numbers)
        home = now = regrouping.seats(self.place, np.arange(pack.size), numbers, slots)
        advance = self._streaming(pack, dataset, data) or self._resident(pack, data)
        total = _epochs(pack)
        last = self.stage.until or total
        while self._running((state := self._pruned(pack, state, now)).lanes) and state.epoch < last:
            if self.stop.is_set():
                raise Interrupted
            if state.partial is None:
                lanes, now = regrouping.regrouped(self.place, pack, state.lanes, now, numbers, slots)
                state = state._replace(lanes=lanes)
            before = state
            state, measured = advance(state, now, self.stage.next_epoch(pack, state.epoch, total))
            # Waits for the chunk; what is saved is fetched by the writer.
            epochs, measured = jax.device_get((state.lanes.epochs, measured))
            self._count(pack, before, state)
            places = now.positions[pack.places]
            history = _joined(history, measured, places, state.epoch - before.epoch)
            spent_now = spent + time.perf_counter() - began
            self.submit(self._save, pack, state, now, history, epochs[places], spent_now)
            self.told(pack, state.epoch)
        lanes = regrouping.moved(self.place, state.lanes, now.positions) if now is not home else state.lanes
        if self.stage.until is not None:
            ends = {name: np.asarray(getattr(lanes, name))[pack.places] for name in ("status", "epochs")}
            rows = self.stage.standings(pack, ends, history)
            self.submit(self.directory.write_part, self.directory.rungs / str(self.stage.until), pack.pack_id, rows)
        if self.stage.until is None or not self._running(lanes):
            self._finish(pack, lanes, home.numbers, data, history, spent + time.perf_counter() - began)

    def _pruned(self, pack: Pack, state: State, now: Seats) -> State:
        """The state with the lanes ended that a rung decided against."""
        status = np.asarray(state.lanes.status)
        cut = self.stage.cut(pack, state.epoch, status[now.positions])[now.order]
        if not cut.any():
            return state
        pruned = self.place.split(np.where(cut, Status.PRUNED, status).astype(np.int32))
        return state._replace(lanes=state.lanes._replace(status=pruned))

    def _count(self, pack: Pack, before: State, after: State) -> None:
        """Add the steps of a chunk: of the lanes that were still running, epoch by epoch; and of all lanes of their groups."""
        each, whole = pack.setup.steps_per_epoch, pack.setup.run.steps
        running = np.asarray(before.lanes.status) == Status.RUNNING
        groups = running.reshape(-1, pack.width)
        if after.epoch == before.epoch:
            self.steps += int(running.sum()) * (after.step - before.step)
            self.computed += int(groups.any(axis=1).sum()) * pack.width * (after.step - before.step)
        else:
            kept = np.asarray(after.lanes.epochs)
            # A diverging epoch is not kept.
            begun = kept + (running & (np.asarray(after.lanes.status) == Status.DIVERGED))
            ends = np.stack([kept, begun]) * each  # an epoch may be cut short where the length is given in steps
            done = ((ends if whole is None else ends.clip(max=whole)) - before.epoch * each).clip(0)
            longest = done[1].reshape(groups.shape).max(axis=1)
            self.steps += int(done[0].sum()) - int(running.sum()) * before.step
            self.computed += (int(longest.sum()) - int(groups.any(axis=1).sum()) * before.step) * pack.width

    def _resident(self, pack: Pack, data: Data) -> Callable[[State, Seats, int], tuple[State, dict[str, Any]]]:
        """Chunks of whole epochs by the program that has the data set on the device."""
        chunk: Callable | None = None

        def advance(state: State, seats: Seats, total: int) -> tuple[State, dict[str, Any]]:
            nonlocal chunk
            chunk = chunk or self._chunk_program(pack, state.lanes, seats.numbers, data)
            longest = longest_chunk(pack)
            count = self._chunk_length(pack, min(total - state.epoch, longest - state.epoch % longest))
            table = self._orders.table(pack, longest, state.epoch, _epochs(pack))
            before = time.perf_counter()
            first = jnp.int32(state.epoch), jnp.int32(count)
            lanes, measured = chunk(state.lanes, seats.numbers, seats.slots, table, data, *first)
            jax.block_until_ready(lanes.status)
            self._epoch_seconds[pack.signature] = (time.perf_counter() - before) / count
            return State(lanes, state.epoch + count), measured

        return advance

    def _streaming(
        self, pack: Pack, dataset: Dataset, data: Data
    ) -> Callable[[State, Seats, int], tuple[State, dict[str, Any]]] | None:
        """Chunks of some seconds from streamed batches; None where the training split is on the device."""
        if "train" in data.splits:
            return None
        epochs = StreamedEpochs(
            pack, dataset, order_tables.seeds(pack), self.place, self.compiled, data, self.data_bytes
        )

        def advance(state: State, seats: Seats, total: int) -> tuple[State, dict[str, Any]]:
            del total
            until = time.monotonic() + CHUNK_SECONDS
            partial, step = state.partial, state.step
            if partial is None:
                partial, step = epochs.begin(state.lanes), 0
            partial, step, ended = epochs.advance(
                partial,
                state.lanes,
                seats.numbers,
                seats.slots,
                state.epoch,
                step,
                lambda: time.monotonic() > until,
            )
            if not ended:
                return State(state.lanes, state.epoch, partial, step), {}
            lanes, measured = epochs.close(state.lanes, partial, seats.numbers, state.epoch)
            return State(lanes, state.epoch + 1), measured

        return advance

    # ---- begin ---------------------------------------------------------------------------------------------------

    def _resume(self, pack: Pack, numbers: dict[str, np.ndarray]) -> tuple[State, dict[str, np.ndarray], float]:
        """(state, history, seconds spent): from the pack's checkpoint and curves, from those of the packs that its lanes
        were in before, or from the start."""
        folder = self.directory.checkpoints / pack.pack_id
        while (found := checkpoints.load(folder, self.directory.warn)) is not None:
            number, leaves = found
            curves = self.directory.read_part(self.directory.curves, pack.pack_id)
            if number <= pack.setup.steps_per_epoch or (curves is not None and self._complete(curves, pack, leaves)):
                return self._restored(pack, numbers, number, leaves, curves)
            self.directory.warn(f"pack {pack.pack_id}: its curves are missing or damaged: it is trained again")
            checkpoints.set_aside(folder / str(number))
        moved = gathered(self.directory, pack, self.stage.sources)
        if moved is not None and self._complete(moved[2], pack, moved[1]):
            self.submit(self._write, pack, *moved)
            return self._restored(pack, numbers, *moved)
        return State(self._fresh.make(pack, numbers), 0), {}, 0.0

    def _restored(
        self, pack: Pack, numbers: dict[str, np.ndarray], number: int, leaves: dict[str, np.ndarray], curves: Any
    ) -> tuple[State, dict[str, np.ndarray], float]:
        """The state that was saved under a number, with the history that belongs to it."""
        epoch, step = divmod(number, pack.setup.steps_per_epoch + 1)
        shapes = self._fresh.shapes(pack, numbers)
        lanes = self.place.split(checkpoints.unflatten(shapes, leaves))
        partial = None
        if step:
            like = {PARTIAL: jax.eval_shape(Epoch(pack.setup, pack.width).begin, shapes)}
            partial = self.place.split(checkpoints.unflatten(like, leaves)[PARTIAL])
        run_ids = [member.run_id for member in pack.members]
        history = history_of(curves, run_ids, epoch) if epoch and curves is not None else {}
        return State(lanes, epoch, partial, step), history, float(leaves["spent"])

    def _complete(self, curves: Any, pack: Pack, leaves: dict[str, np.ndarray]) -> bool:
        counts = curves["run_id"].value_counts()
        return all(counts.get(m.run_id, 0) >= leaves["epochs"][at] for at, m in zip(pack.places, pack.members))

    # ---- chunks --------------------------------------------------------------------------------------------------

    def compile(self, pack: Pack) -> None:
        """Compile a pack's training program ahead of its turn, from shapes alone; streamed packs wait for theirs."""
        dataset = self.data_of(pack)
        if dataset.nbytes > self.data_bytes:
            return
        numbers = numbers_of(pack)
        splits = {name: (np.asarray(split.x), np.asarray(split.y)) for name, split in dataset.splits().items()}
        data = self.place.like(Data(splits, np.asarray(dataset.offset), np.asarray(dataset.scale)), split=False)
        lanes = self.place.like(self._fresh.shapes(pack, numbers), split=True)
        self._chunk_program(pack, lanes, self.place.like(numbers, split=True), data)

    def _chunk_program(self, pack: Pack, lanes: Lane, numbers: Tree, data: Data) -> Callable:
        longest = longest_chunk(pack)
        slots = self.place.like(order_tables.slots(pack), split=True)
        table = self.place.like(jax.ShapeDtypeStruct(order_tables.shape(pack, longest), np.int32), split=False)
        args = (lanes, numbers, slots, table, data, jnp.int32(0), jnp.int32(0))
        function = Chunk(pack.setup, pack.width, longest)
        return self.compiled.get(training_key(pack), self.place, function, 3, args)

    def _chunk_length(self, pack: Pack, left: int) -> int:
        """Whole epochs for the next call; one where the program's speed is not known yet."""
        seconds = self._epoch_seconds.get(pack.signature)
        wanted = 1 if seconds is None else int(CHUNK_SECONDS / max(seconds, 1e-6))
        return max(1, min(wanted, left, longest_chunk(pack)))

    def _running(self, lanes: Lane) -> bool:
        return bool((np.asarray(lanes.status) == Status.RUNNING).any())

    def _on_device(self, dataset: Dataset) -> Data:
        """The splits that fit on the device: all of them, or all but the training split, which is streamed then."""
        if id(dataset) not in self._data:
            self._data.clear()  # one data set at a time: packs come sorted by signature
            held = [name for name in dataset.splits() if name != "train" or dataset.nbytes <= self.data_bytes]
            self._data[id(dataset)] = on_device(dataset, self.place, held)
        return self._data[id(dataset)]

    # ---- end -----------------------------------------------------------------------------------------------------

    def _save(
        self, pack: Pack, state: State, seats: Seats, history: dict[str, np.ndarray], epochs: np.ndarray, spent: float
    ) -> None:
        """What a chunk left, lanes as planned; runs in the writer's thread."""
        run_ids = [member.run_id for member in pack.members]
        rows = curve_rows(run_ids, history, epochs) if history else None
        leaves = checkpoints.flatten(jax.device_get(state.lanes))
        if state.partial is not None:
            leaves |= checkpoints.flatten({PARTIAL: jax.device_get(state.partial)})
        positions = seats.positions
        leaves = {name: leaf[positions] for name, leaf in leaves.items()} | {"spent": np.asarray(spent, np.float64)}
        self._write(pack, state.epoch * (pack.setup.steps_per_epoch + 1) + state.step, leaves, rows)

    def _write(self, pack: Pack, number: int, leaves: dict[str, np.ndarray], curves: Any) -> None:
        """Curves, then the checkpoint that relies on them."""
        if curves is not None:
            self.directory.write_part(self.directory.curves, pack.pack_id, curves)
        checkpoints.save(self.directory.checkpoints / pack.pack_id, number, leaves)

    def _finish(
        self, pack: Pack, lanes: Lane, numbers: Tree, data: Data, history: dict[str, np.ndarray], spent: float
    ) -> None:
        best = self._best(lanes)
        splits = {name: split for name, split in data.splits.items() if name != "valid"}
        args = (best, numbers, data._replace(splits=splits))
        key = ("evaluate", pack.signature, pack.width, pack.size, tuple(splits))
        # pmap takes no options, and must equal shard_map bit for bit.
        options = quickly(self.place) if self.place.mapping == "local" else {}
        evaluate = Evaluate(pack.setup, pack.width)
        metrics = (
            jax.device_get(self.compiled.get(key, self.place, evaluate, 2, args, **options)(*args)) if splits else {}
        )
        if "train" not in splits:
            dataset = self.data_of(pack)
            streamed = evaluate_streamed(dataset, pack, self.place, self.compiled, best, numbers, data)
            metrics = {"train": streamed, **metrics}
        names = ("status", "epochs", "best_epoch", "diverged_step")
        ends = {name: np.asarray(getattr(lanes, name))[pack.places] for name in names}
        metrics = {split: {n: value[pack.places] for n, value in values.items()} for split, values in metrics.items()}
        facts = {
            "seconds": spent / len(pack.members),
            "width": pack.width,
            "mapping": self.place.mapping,
            "device": self.place.kind,
        }
        rows = result_rows([member.run_id for member in pack.members], ends, history, metrics, facts)
        self.submit(self.directory.write_part, self.directory.results, pack.pack_id, rows)

    @staticmethod
    @jax.jit
    def _best(lanes: Lane) -> Tree:
        """The variables of each lane's best epoch; the last ones where no epoch was the best."""
        has_best = lanes.best_epoch > 0

        def pick(best: Any, last: Any) -> Any:
            return jnp.where(has_best.reshape((-1,) + (1,) * (best.ndim - 1)), best, last)

        last = {"params": lanes.trained.params, "rest": lanes.trained.rest}
        return jax.tree.map(pick, lanes.best, last)


def _joined(
    history: dict[str, np.ndarray], measured: dict[str, np.ndarray], places: np.ndarray, count: int
) -> dict[str, np.ndarray]:
    """History [members, E] with the first `count` epochs of a chunk after it."""
    if not count:
        return history
    new = {name: np.asarray(values)[places, :count] for name, values in measured.items()}
    return {name: np.concatenate([history[name], new[name]], axis=1) for name in new} if history else new
