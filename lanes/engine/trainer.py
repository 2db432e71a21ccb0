"""Trains a pack from its first epoch, or its checkpoint, to its results: calls compiled programs, saves between chunks."""

import functools
import time
from typing import Any

import jax
import numpy as np

from lanes.data.loading import Dataset
from lanes.engine import order_tables, regrouping
from lanes.engine.checkpointing import Checkpointing, State
from lanes.engine.context import Context
from lanes.engine.final_evaluation import FinalEvaluation
from lanes.engine.pack_programs import arrays, unmeasured
from lanes.engine.regrouping import Seats
from lanes.engine.resident_epochs import ResidentEpochs
from lanes.engine.streamed_epochs import StreamedEpochs, evaluate_streamed
from lanes.plan.packs import Pack, numbers_of
from lanes.program.lane import Lane, Status
from lanes.program.over_lanes import Data
from lanes.program.places import Place
from lanes.storage import stops
from lanes.storage.rows import result_rows

Tree = Any
History = dict[str, np.ndarray]


class Interrupted(Exception):
    """The sweep is stopping; everything up to the last chunk is saved."""


class Trainer:
    """Trains packs at one place, with the programs and data that it shares with the other places.

    Attributes:
        steps: training steps executed so far, summed over running lanes.
        computed: the same, summed over all computed lanes: also those that ended but share a group with running ones.
    """

    def __init__(self, place: Place, context: Context):
        self.place, self.context, self.stage = place, context, context.stage
        self._checkpointing = Checkpointing(place, context)
        self._resident = ResidentEpochs(place, context)
        self._evaluation = FinalEvaluation(place, context)
        self._data: dict[int, Data] = {}
        self.steps = self.computed = 0

    def train(self, pack: Pack) -> None:
        """Train a pack to the end and hand its results to the writer, or to a rung and hand over its standings.

        Raises Interrupted if the sweep is stopping; errors of the programs pass through.
        """
        began = time.perf_counter()
        submit = self.context.writer.submit
        data = self._on_device(self.context.data_of(pack))
        numbers, slots = numbers_of(pack), order_tables.slots(pack)
        state, history, spent = self._checkpointing.resume(pack, numbers)
        home = now = regrouping.seats(self.place, np.arange(pack.size), numbers, slots)
        if "train" in data.splits:
            advance = self._resident.advancing(pack, data)
        else:
            advance = StreamedEpochs(pack, data, self.place, self.context).advance
        hosts = self.context.options.hosts
        last = hosts.agreed(self.stage.until or pack.epochs)
        self.context.progress.begin(pack, _epochs(pack, state))
        while _is_running((state := self._with_ends(pack, state, now)).lanes) and state.epoch < last:
            if hosts.agreed(self.context.stop.is_set()):
                raise Interrupted
            if state.partial is None:
                lanes, now = regrouping.regrouped(self.place, pack, state.lanes, now, numbers, slots)
                state = state._replace(lanes=lanes)
            before = state
            until = hosts.agreed(self.context.next_epoch(pack, state.epoch, pack.epochs))
            state, measured = advance(state, now, until)
            # Waits for the chunk; the writer fetches what it saves.
            epochs, measured = jax.device_get((state.lanes.epochs, measured))
            self._count(pack, before, state)
            positions = now.positions[pack.places]
            history = _joined(history, measured, positions, state.epoch - before.epoch)
            spent_now = spent + time.perf_counter() - began
            args = (pack, state, now, history, epochs[positions], spent_now)
            submit(self._checkpointing.save, *args, latest_of=pack.pack_id)
            self.context.chunk_ended(pack, _epochs(pack, before), _epochs(pack, state))
            if before.epoch < state.epoch < last and _is_running(state.lanes):
                status = np.asarray(state.lanes.status)[positions]
                fetch = functools.partial(_evaluated_variables, pack, state.lanes, positions)
                self.context.call_back(pack, state.epoch, status, history, epochs[positions], fetch)
        lanes = regrouping.moved(self.place, state.lanes, now.positions) if now is not home else state.lanes
        if history:
            ends = _ends(pack, lanes, "status", "epochs")
            fetch = functools.partial(_evaluated_variables, pack, lanes, pack.places)
            self.context.call_back(pack, state.epoch, ends["status"], history, ends["epochs"], fetch)
        if self.stage.until is not None:
            self._note_standings(pack, lanes, history)
        if hosts.agreed(self.stage.until is None) or not _is_running(lanes):
            metrics = self._evaluated(pack, lanes, home.numbers, data)
            if not hosts.leads:
                return  # process 0 has the whole history, and writes
            self._finish(pack, lanes, metrics, history, spent + time.perf_counter() - began)

    def _with_ends(self, pack: Pack, state: State, now: Seats) -> State:
        """The state after ending the lanes that a rung pruned, and those that are asked to end, at an epoch's end."""
        status = np.asarray(state.lanes.status)
        pruned = self.stage.cut(pack, state.epoch, status[now.positions])[now.order]
        ended = np.where(pruned, Status.PRUNED, status).astype(np.int32)
        if state.partial is None:
            asked = self.context.stops.cut(pack, state.epoch, ended[now.positions])
            for stop in self.context.stops.applied(pack, state.epoch, asked):
                self.context.writer.submit(stops.write, self.context.directory, stop)
            ended = np.where(asked[now.order], Status.STOPPED_EARLY, ended).astype(np.int32)
        ended = np.asarray(self.context.options.hosts.agreed(ended.tolist()), np.int32)
        if (ended == status).all():
            return state
        return state._replace(lanes=state.lanes._replace(status=self.place.split(ended)))

    def _count(self, pack: Pack, before: State, after: State) -> None:
        """Count the steps of a chunk: those of lanes still running, epoch by epoch, and those of all lanes in their groups."""
        per_epoch, total = pack.setup.steps_per_epoch, pack.setup.run.steps
        running = np.asarray(before.lanes.status) == Status.RUNNING
        groups = running.reshape(-1, pack.width)
        if after.epoch == before.epoch:
            self.steps += int(running.sum()) * (after.step - before.step)
            self.computed += int(groups.any(axis=1).sum()) * pack.width * (after.step - before.step)
        else:
            kept = np.asarray(after.lanes.epochs)
            # A diverging epoch is not kept; a length in steps may cut an epoch short.
            begun = kept + (running & (np.asarray(after.lanes.status) == Status.DIVERGED))
            ends = np.stack([kept, begun]) * per_epoch
            done = ((ends if total is None else ends.clip(max=total)) - before.epoch * per_epoch).clip(0)
            longest = done[1].reshape(groups.shape).max(axis=1)
            self.steps += int(done[0].sum()) - int(running.sum()) * before.step
            self.computed += (int(longest.sum()) - int(groups.any(axis=1).sum()) * before.step) * pack.width

    def _on_device(self, dataset: Dataset) -> Data:
        """The data set on the device: all splits or, if they do not fit, all but the training split, which is streamed."""
        if id(dataset) not in self._data:
            self._data.clear()  # one data set at a time: packs come sorted by signature
            is_held = dataset.nbytes <= self.context.options.data_bytes
            names = [name for name in dataset.splits() if name != "train" or is_held]
            self._data[id(dataset)] = self.place.shared(arrays(dataset, names))
        return self._data[id(dataset)]

    def _note_standings(self, pack: Pack, lanes: Lane, history: History) -> None:
        """Hand the standings of a pack's runs at the rung to the writer."""
        directory = self.context.directory
        rows = self.stage.standings(pack, _ends(pack, lanes, "status", "epochs"), history)
        self.context.writer.submit(directory.write_part, directory.rungs / str(self.stage.until), pack.pack_id, rows)

    def _evaluated(self, pack: Pack, lanes: Lane, numbers: Tree, data: Data) -> dict[str, History]:
        """Metrics [members] of each run's best epoch, by split and name; the curves already have those of validation."""
        best = _best(self.place, lanes)
        left = unmeasured(data)
        metrics: dict[str, History] = {}
        if left.splits:
            metrics = jax.device_get(self._evaluation(pack, best, numbers, left))
        if "train" not in left.splits:
            metrics = {"train": evaluate_streamed(pack, data, best, numbers, self.place, self.context), **metrics}
        return {split: {n: value[pack.places] for n, value in values.items()} for split, values in metrics.items()}

    def _finish(self, pack: Pack, lanes: Lane, metrics: dict[str, History], history: History, spent: float) -> None:
        """Hand a pack's results to the writer."""
        facts = {
            "seconds": spent / len(pack.members),
            "width": pack.width,
            "mapping": self.place.mapping,
            "device": self.place.kind,
            "calls": " ".join(self._checkpointing.calls(pack)),
        }
        ends = _ends(pack, lanes, "status", "epochs", "best_epoch", "diverged_step")
        rows = result_rows([member.run_id for member in pack.members], ends, history, metrics, facts)
        rows = [row | {"stopped_by": self.context.stops.by(row)} for row in rows]
        self.context.writer.submit(self._checkpointing.write_results, pack, rows)
        for run_id in self.context.stops.too_late(row["run_id"] for row in rows):
            self.context.writer.submit(stops.remove, self.context.directory, run_id)


def _best(place: Place, lanes: Lane) -> Tree:
    """The variables of each lane's best epoch at the place; the last ones if it has no best epoch."""
    has_best = (np.asarray(lanes.best_epoch) > 0) | (np.asarray(lanes.status) == Status.EMPTY)
    if has_best.all():
        return lanes.best
    last = {"params": lanes.trained.params, "rest": lanes.trained.rest}

    def pick(best: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.where(has_best.reshape((-1,) + (1,) * (best.ndim - 1)), best, last)

    return place.split(jax.tree.map(pick, *jax.device_get((lanes.best, last))))


def _evaluated_variables(pack: Pack, lanes: Lane, positions: np.ndarray) -> Tree:
    """The variables of a pack's members as they are evaluated, on the host [members, …]."""
    trained, average = lanes.trained, pack.members[0].run.average
    params = trained.params if average is None else jax.vmap(average.params)(trained.average)
    found = jax.device_get({**trained.rest, "params": params})
    return jax.tree.map(lambda leaf: np.asarray(leaf)[positions], found)


def _epochs(pack: Pack, state: State) -> float:
    """Epochs that a pack is trained, steps of one in progress included."""
    return state.epoch + state.step / pack.setup.steps_per_epoch


def _is_running(lanes: Lane) -> bool:
    return bool((np.asarray(lanes.status) == Status.RUNNING).any())


def _ends(pack: Pack, lanes: Lane, *names: str) -> dict[str, np.ndarray]:
    """Fields of a pack's lanes, for its members [members]."""
    return {name: np.asarray(getattr(lanes, name))[pack.places] for name in names}


def _joined(history: History, measured: History, positions: np.ndarray, count: int) -> History:
    """History [members, E], followed by the first `count` epochs of a chunk."""
    if not count:
        return history
    new = {name: np.asarray(values)[positions, :count] for name, values in measured.items()}
    return {name: np.concatenate([history[name], new[name]], axis=1) for name in new} if history else new
