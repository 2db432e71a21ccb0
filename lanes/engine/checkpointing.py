"""A pack's state between chunks: saved after each of them, and restored by whoever resumes the sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lanes.engine.context import Context
from lanes.engine.fresh_lanes import FreshLanes
from lanes.engine.regrouping import Seats
from lanes.plan.packs import Pack
from lanes.program.epoch import Epoch, Partial
from lanes.program.lane import Lane
from lanes.program.places import Place
from lanes.storage import checkpoints, finished, seals
from lanes.storage.rows import curve_rows, history_of
from lanes.storage.seals import SPENT, Mark

PARTIAL = "partial"  # what a checkpoint calls the epoch in progress


class State(NamedTuple):
    """A pack's state: lanes at the last epoch boundary and, when streaming, the epoch in progress and its steps so far."""

    lanes: Lane
    epoch: int
    partial: Partial | None = None
    step: int = 0


class Checkpointing:
    """Reads and writes the checkpoints of packs at one place."""

    def __init__(self, place: Place, context: Context):
        self.place, self.context = place, context
        self.fresh = FreshLanes(place, context.compiled, context.shapes)
        self._calls: dict[str, tuple[str, ...]] = {}  # of earlier calls, by pack

    def resume(self, pack: Pack, numbers: dict[str, np.ndarray]) -> tuple[State, dict[str, np.ndarray], float]:
        """(state, history, seconds spent): from the pack's checkpoint and curves, or from the start.

        With several processes, process 0 reads or draws it, and the others receive the state.
        """
        hosts = self.context.options.hosts
        if not hosts.several:
            return self._resumed(pack, numbers)
        state, history, spent = self._resumed(pack, numbers) if hosts.leads else (None, {}, 0.0)
        told = hosts.agreed(state and (state.epoch, state.step, state.partial is not None))
        return self._received(pack, numbers, state, told), history, spent

    def _received(self, pack: Pack, numbers: dict[str, np.ndarray], own: State | None, told: list[Any]) -> State:
        """Process 0's state, which is `own` there, on the devices of all processes."""
        epoch, step, has_partial = told
        shapes = self.context.shapes.lanes(pack, numbers)
        like: tuple[Any, ...] = (shapes,)
        if has_partial:
            like += (jax.eval_shape(Epoch(pack.setup, pack.width).begin, shapes),)
        if own is None:
            tree: Any = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        else:
            tree = jax.device_get((own.lanes, own.partial) if has_partial else (own.lanes,))
        parts = self.place.split(self.context.options.hosts.shared(tree))
        return State(parts[0], epoch, parts[1] if has_partial else None, step)

    def _resumed(self, pack: Pack, numbers: dict[str, np.ndarray]) -> tuple[State, dict[str, np.ndarray], float]:
        directory = self.context.directory
        path = directory.checkpoints / pack.pack_id
        while (found := directory.load_checkpoint(pack.pack_id)) is not None:
            number, leaves = found
            self._calls[pack.pack_id] = checkpoints.calls_of(path / str(number))
            own = checkpoints.mark(path / str(number), directory.sweep)
            at = directory.marks(directory.curves).get(pack.pack_id)
            curves = directory.read_part(directory.curves, pack.pack_id)
            if not self._fits(pack, numbers, leaves):
                directory.warn(f"pack {pack.pack_id}: checkpoint {number} has other arrays than its pack: set aside")
            elif not _is_possible(pack, number, leaves):
                directory.warn(f"pack {pack.pack_id}: checkpoint {number} has lanes beyond its epoch: set aside")
            elif number <= pack.setup.steps_per_epoch or (
                curves is not None and _agree(at, own) and _is_complete(curves, pack, leaves)
            ):
                return self._restored(pack, numbers, number, leaves, curves)
            else:
                directory.warn(
                    f"pack {pack.pack_id}: its curves are missing, damaged or of another state, so it is trained again"
                )
            checkpoints.set_aside(path / str(number))
        self._calls.pop(pack.pack_id, None)
        return self._going_on(pack, numbers) or (State(self.fresh.make(pack, numbers), 0), {}, 0.0)

    def calls(self, pack: Pack) -> tuple[str, ...]:
        """The calls that have trained a pack, this one last."""
        return *(name for name in self._calls.get(pack.pack_id, ()) if name != self.context.call), self.context.call

    def _fits(self, pack: Pack, numbers: dict[str, np.ndarray], leaves: dict[str, np.ndarray]) -> bool:
        """Whether a checkpoint has the arrays of a pack's lanes."""
        shapes = finished.shapes_of(self.context.shapes.lanes(pack, numbers))
        return SPENT in leaves and all(name in leaves and leaves[name].shape == s.shape for name, s in shapes.items())

    def _going_on(
        self, pack: Pack, numbers: dict[str, np.ndarray]
    ) -> tuple[State, dict[str, np.ndarray], float] | None:
        """Where a pack goes on whose runs continue finished ones; None for all other packs."""
        sources = [self.context.continued.get(member.run_id) for member in pack.members]
        found = [source for source in sources if source is not None]
        if not found:
            return None
        going = (
            finished.going_on(pack, found, self.context.shapes.lanes(pack, numbers))
            if len(found) == len(sources)
            else None
        )
        if going is None:
            self.context.directory.warn(
                f"pack {pack.pack_id}: the state of the finished runs is missing or damaged, so it is trained from the start"
            )
            return None
        return State(self.place.split(going.lanes), going.epoch), going.history, 0.0

    def save(
        self, pack: Pack, state: State, seats: Seats, history: dict[str, np.ndarray], epochs: np.ndarray, spent: float
    ) -> None:
        """Write the state after a chunk, with lanes in their planned order; runs in the writer's thread.

        Args:
            pack: the pack being trained.
            state: after the chunk, still on the devices.
            seats: the position of each lane.
            history: curves [members, E].
            epochs: number of epochs that each member has completed.
            spent: training time so far, in seconds.
        """
        rows = curve_rows([member.run_id for member in pack.members], history, epochs) if history else None
        leaves = checkpoints.flatten(jax.device_get(state.lanes))
        if state.partial is not None:
            leaves |= checkpoints.flatten({PARTIAL: jax.device_get(state.partial)})
        positions = seats.positions
        leaves = {name: leaf[positions] for name, leaf in leaves.items()} | {SPENT: np.asarray(spent, np.float64)}
        self._write(pack, state.epoch * (pack.setup.steps_per_epoch + 1) + state.step, leaves, rows)

    def write_results(self, pack: Pack, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the results of an ended pack, of the state in its checkpoint; runs in the writer's thread, after `save`."""
        directory = self.context.directory
        numbers = checkpoints.numbers_in(directory.checkpoints / pack.pack_id)
        path = directory.checkpoints / pack.pack_id / str(max(numbers, default=0))
        directory.write_part(
            directory.results, pack.pack_id, rows, {pack.pack_id: checkpoints.mark(path, directory.sweep)}
        )

    def _restored(
        self, pack: Pack, numbers: dict[str, np.ndarray], number: int, leaves: dict[str, np.ndarray], curves: Any
    ) -> tuple[State, dict[str, np.ndarray], float]:
        """The state saved under a number, with its history."""
        epoch, step = divmod(number, pack.setup.steps_per_epoch + 1)
        shapes = self.context.shapes.lanes(pack, numbers)
        lanes = self.place.split(checkpoints.unflatten(shapes, leaves))
        partial = None
        if step:
            like = {PARTIAL: jax.eval_shape(Epoch(pack.setup, pack.width).begin, shapes)}
            partial = self.place.split(checkpoints.unflatten(like, leaves)[PARTIAL])
        run_ids = [member.run_id for member in pack.members]
        history = history_of(curves, run_ids, epoch) if epoch and curves is not None else {}
        return State(lanes, epoch, partial, step), history, float(leaves[SPENT])

    def _write(self, pack: Pack, number: int, leaves: dict[str, np.ndarray], curves: Any) -> None:
        """Write the curves, then the checkpoint that relies on them. The first checkpoint of all is read back once.

        Raises OSError if it cannot be read back: a sweep that cannot be resumed or evaluated must not train on.
        """
        directory = self.context.directory
        folder = directory.checkpoints / pack.pack_id
        mark = seals.mark_of(number, leaves)
        if curves is not None:
            directory.write_part(directory.curves, pack.pack_id, curves, {pack.pack_id: mark})
        epoch = number // (pack.setup.steps_per_epoch + 1)
        directory.save_checkpoint(pack.pack_id, mark, epoch, leaves, self.calls(pack))
        if not self.context.readable.is_set():
            found = checkpoints.read(folder, directory.sweep)
            if found is None or found[1].keys() != leaves.keys():
                raise OSError(f"{folder / str(number)} was written and cannot be read back: choose another --out")
            self.context.readable.set()


def _is_possible(pack: Pack, number: int, leaves: dict[str, np.ndarray]) -> bool:
    """Whether no lane is further than the checkpoint's epoch, which is one of the pack's."""
    return int(np.max(leaves["epochs"])) <= number // (pack.setup.steps_per_epoch + 1) <= pack.epochs


def _agree(curves: Mark | None, checkpoint: Mark | None) -> bool:
    """Whether curves can be those that a checkpoint relies on: of its state, or of a later one, after a kill between the two."""
    if curves is None or checkpoint is None:
        return False
    return curves.number > checkpoint.number or curves == checkpoint


def _is_complete(curves: Any, pack: Pack, leaves: dict[str, np.ndarray]) -> bool:
    """Whether the curves reach the checkpoint's epoch."""
    counts = curves["run_id"].value_counts()
    return all(counts.get(m.run_id, 0) >= leaves["epochs"][at] for at, m in zip(pack.places, pack.members))
