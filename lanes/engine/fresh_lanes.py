"""Lanes before their first epoch: a small program draws variables by all initializers; one more makes optimizer states."""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack, stacked
from lanes.plan.planned import initializer_key, initializing
from lanes.program import initialization
from lanes.program.compiled import Compiled
from lanes.program.lane import Lane
from lanes.program.places import Place, cores
from lanes.storage import initial_weights

INITIALIZE = "initialize"
MOST_PARTS = 32  # in which LLVM compiles a program, as XLA has it
Tree = Any


def cheap_to_compile(place: Place, repetitive: bool = False) -> dict[str, Any]:
    """Compiler options for programs that run once per pack: on a CPU half the compile time or less, and no slower to run.

    LLVM compiles them in as many parts as there are cores, since each part costs.

    Args:
        place: where the program runs.
        repetitive: whether many of its kernels are equal, which XLA's fusion emitters compile once. Without the emitters,
            different kernels compile in less time.
    """
    if place.devices[0].platform != "cpu":
        return {}
    return {
        "xla_backend_optimization_level": 1,
        "xla_cpu_use_fusion_emitters": repetitive,
        "xla_cpu_parallel_codegen_split_count": min(cores(), MOST_PARTS),
    }


def is_repetitive(variables: Tree) -> bool:
    """Whether most kernels of lanes' variables [P, …] have a shape in common with others, as in a deep net of one width."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(variables["params"]) if len(leaf.shape) > 2]
    return len(shapes) > 2 * len(set(shapes))


def start_key(pack: Pack) -> tuple[Any, ...]:
    """The key of the program that makes a pack's lanes from their variables."""
    return "start", pack.signature, pack.size


class Drawing(NamedTuple):
    """Lanes whose variables are drawn by one program.

    Attributes:
        key: of the program.
        lanes: indices among the pack's members.
        runs: theirs, as the program sees them.
    """

    key: tuple[str, ...]
    lanes: list[int]
    runs: list[Run]


def _drawings(pack: Pack) -> list[Drawing]:
    """The programs that draw a pack's variables: one for all initializers that may share it, one for each other.

    If the pack's net is as wide as the widest of theirs, a program draws nets of all widths by the initializers that can be
    drawn as parts, and others a net of one size each.
    """
    widths = pack.members[0].sharing.widths
    found: dict[tuple[bool, str], dict[str, list[int]]] = {}
    for at, member in enumerate(pack.members):
        as_part = bool(widths) and initialization.may_draw_parts(member.run)
        key = initializer_key(member, without_widths=as_part)
        shared = initialization.may_share(member.run.initializer)
        program = initializer_key(member, without_initializer=True, without_widths=as_part) if shared else key
        found.setdefault((as_part, program), {}).setdefault(key, []).append(at)
    drawings = []
    for (as_part, _), by_initializer in found.items():
        keys = tuple(sorted(by_initializer))
        lanes = [at for key in keys for at in by_initializer[key]]
        alike = [initializing(pack.members[at].run) for at in lanes]
        if len(keys) > 1 or as_part:
            kinds = [initializing(pack.members[by_initializer[key][0]].run).initializer for key in keys]
            index = [i for i, key in enumerate(keys) for _ in by_initializer[key]]
            sizes = [_sizes(pack, run) if as_part else () for run in alike]
            alike = [
                initialization.sharing(run, kinds, i, own) for run, i, own in zip(alike, index, sizes, strict=True)
            ]
        if as_part:
            alike = [dataclasses.replace(run, net=run.net.clone(widths=widths)) for run in alike]
        drawings.append(Drawing((*keys, *map(str, widths)), lanes, alike))
    return drawings


def _drawn_by(pack: Pack, drawing: Drawing) -> tuple[Tree, np.ndarray, np.ndarray]:
    """What a program draws by: the runs' numbers [P], the lanes [P] that they are for, and how many they are."""
    count = len(drawing.lanes)
    indices = np.zeros(pack.size, np.int32)
    indices[:count] = pack.places[drawing.lanes]
    initial = stacked([initialization.initial_numbers(runs.numbers(run)) for run in drawing.runs], pack.size)
    return initial, indices, np.asarray(count, np.int32)


def _sizes(pack: Pack, run: Run) -> tuple[int, ...]:
    """Inputs, units of the hidden layers and outputs of a run's perceptron."""
    return math.prod(pack.setup.features), *run.net.widths, pack.setup.outputs


def drawing_keys(pack: Pack) -> set[tuple[Any, ...]]:
    """What the keys of the programs that draw a pack's variables begin with."""
    return {(INITIALIZE, drawing.key) for drawing in _drawings(pack)}


class LaneShapes:
    """The shapes of fresh lanes, traced once for all places and for the threads that compile ahead.

    Args:
        datasets: the data sets of the runs.
        variables: shapes of one lane's variables, by signature, as far as they are known.
    """

    def __init__(self, datasets: Datasets, variables: Mapping[str, Tree] = {}):
        self._datasets = datasets
        self._guard = threading.Lock()
        self._variables = dict(variables)
        self._lanes: dict[tuple[str, int], Lane] = {}

    def variables(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Tree:
        """The variables of a pack's lanes [P, …]."""

        def of_lane(numbers: Tree, examples: Tree) -> Tree:
            return initialization.initial_variables(pack.setup, runs.with_numbers(pack.setup.run, numbers), examples)

        with self._guard:
            if pack.signature not in self._variables:
                first = {name: value[0] for name, value in numbers.items()}
                self._variables[pack.signature] = jax.eval_shape(of_lane, first, self.examples(pack))
        one = self._variables[pack.signature]
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((pack.size, *s.shape), s.dtype), one)

    def lanes(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Lane:
        """The lanes themselves."""
        variables, key = self.variables(pack, numbers), (pack.signature, pack.size)
        with self._guard:
            if key not in self._lanes:
                empty = jax.ShapeDtypeStruct((pack.size,), bool)
                start = functools.partial(initialization.start, pack.setup)
                self._lanes[key] = jax.eval_shape(start, variables, numbers, empty)
        return self._lanes[key]

    def examples(self, pack: Pack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The input of data-dependent initializers: the first training examples, and how they are standardized."""
        data = self._datasets.of(pack.setup.run)
        return np.asarray(data.train.x[: initialization.INIT_EXAMPLES]), np.asarray(data.offset), np.asarray(data.scale)


class FreshLanes:
    """Makes the lanes of packs at one place."""

    def __init__(self, place: Place, compiled: Compiled, shapes: LaneShapes):
        self.place, self.compiled, self._shapes = place, compiled, shapes

    def compile(self, pack: Pack, numbers: dict[str, np.ndarray], traced: Callable[[], None] | None) -> None:
        """Compile the programs that draw a pack's variables, from shapes alone; calls `traced` once the first is traced."""
        shapes = self._shapes.variables(pack, numbers)
        for drawing in _drawings(pack):
            args = shapes, *_drawn_by(pack, drawing), self._shapes.examples(pack)
            self._drawing(pack, drawing, self.place.first.like(args, split=False), traced=traced)

    def make(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Lane:
        """Fresh lanes, drawn on the place's first device by one program, or two if some initializers have their own."""
        first = self.place.first
        shapes = self._shapes.variables(pack, numbers)
        variables = first.shared(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes))
        examples = first.shared(self._shapes.examples(pack))
        for drawing in _drawings(pack):
            args = (variables, *first.shared(_drawn_by(pack, drawing)), examples)
            variables = self._drawing(pack, drawing, args)(*args)
        sources = {int(lane): m.run.init_from for lane, m in zip(pack.places, pack.members) if m.run.init_from}
        if sources:
            variables = first.shared(initial_weights.replace(jax.device_get(variables), sources))
        empty = np.array([lane is None for lane in pack.lanes])
        args = (variables, *first.shared((numbers, empty)))
        start = functools.partial(initialization.start, pack.setup)
        return self.place.split(self._program(start_key(pack), start, args)(*args))

    def _drawing(self, pack: Pack, drawing: Drawing, args: tuple[Any, ...], **about: Any) -> Callable:
        """The program of a drawing; the arguments may be shapes."""
        setup = dataclasses.replace(pack.setup, run=drawing.runs[0])
        draw, key = functools.partial(initialization.initialize, setup), (INITIALIZE, drawing.key, pack.size)
        return self._program(key, draw, args, is_repetitive(args[0]), **about)

    def _program(
        self, key: Any, function: Callable, args: tuple[Any, ...], repetitive: bool = False, **about: Any
    ) -> Callable:
        """A small one-device program, compiled for the place's first device."""
        first, options = self.place.first, cheap_to_compile(self.place, repetitive)
        return self.compiled.get(key, first, function, 0, args, stored=True, **about, **options)
