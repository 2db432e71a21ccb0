"""Lanes before their first epoch: each initializer has a small program for variables; one more makes optimizer states."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lanes.describe import runs
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack, stacked
from lanes.plan.planned import initializer_key, initializing
from lanes.program import initialization
from lanes.program.compiled import Compiled
from lanes.program.lane import Lane
from lanes.program.places import Place
from lanes.storage import initial_weights

Tree = Any


def cheap_to_compile(place: Place) -> dict[str, Any]:
    """Compiler options for programs that run once per pack: on a CPU half the compile time, and no slower to run."""
    return {"xla_backend_optimization_level": 1} if place.devices[0].platform == "cpu" else {}


class FreshLanes:
    """Makes the lanes of packs at one place; finds their shapes without making them."""

    def __init__(self, place: Place, compiled: Compiled, datasets: Datasets):
        self.place, self.compiled, self.datasets = place, compiled, datasets
        self._shapes: dict[str, Tree] = {}

    def make(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Lane:
        """Fresh lanes; each initializer's program draws the lanes that use it, on the place's first device."""
        first = self.place.first
        shapes = self._variables(pack, numbers)
        variables = first.shared(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes))
        examples = first.shared(self._examples(pack))
        by_initializer: dict[str, list[int]] = {}
        for at, member in enumerate(pack.members):
            by_initializer.setdefault(initializer_key(member), []).append(at)  # index among the members
        for key, lanes in by_initializer.items():
            alike = [initializing(pack.members[at].run) for at in lanes]
            setup = dataclasses.replace(pack.setup, run=alike[0])
            indices = np.zeros(pack.size, np.int32)
            indices[: len(lanes)] = pack.places[lanes]
            initial = stacked([initialization.initial_numbers(runs.numbers(run)) for run in alike], pack.size)
            args = (variables, *first.shared((initial, indices, np.int32(len(lanes)))), examples)
            variables = self._call(
                ("initialize", key, pack.size), functools.partial(initialization.initialize, setup), args
            )
        sources = {int(lane): m.run.init_from for lane, m in zip(pack.places, pack.members) if m.run.init_from}
        if sources:
            variables = first.shared(initial_weights.replace(jax.device_get(variables), sources))
        empty = np.array([lane is None for lane in pack.lanes])
        args = (variables, *first.shared((numbers, empty)))
        begin = ("start", pack.signature, pack.size)
        return self.place.split(self._call(begin, functools.partial(initialization.start, pack.setup), args))

    def _call(self, key: Any, function: Callable, args: tuple[Any, ...]) -> Any:
        """Call a small one-device program, compiled for the place's first device."""
        first = self.place.first
        return self.compiled.get(key, first, function, 0, args, **cheap_to_compile(self.place))(*args)

    def _examples(self, pack: Pack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The input of data-dependent initializers: the first training examples, and how they are standardized."""
        data = self.datasets.of(pack.setup.run)
        return np.asarray(data.train.x[: initialization.INIT_EXAMPLES]), np.asarray(data.offset), np.asarray(data.scale)

    def _variables(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Tree:
        def of_lane(numbers: Tree, examples: Tree) -> Tree:
            return initialization.initial_variables(pack.setup, runs.with_numbers(pack.setup.run, numbers), examples)

        if pack.signature not in self._shapes:
            first = {name: value[0] for name, value in numbers.items()}
            self._shapes[pack.signature] = jax.eval_shape(of_lane, first, self._examples(pack))
        shapes = self._shapes[pack.signature]
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((pack.size, *s.shape), s.dtype), shapes)

    def shapes(self, pack: Pack, numbers: dict[str, np.ndarray]) -> Lane:
        """The shapes and types of fresh lanes, without making them."""
        variables = self._variables(pack, numbers)
        empty = jax.ShapeDtypeStruct((pack.size,), bool)
        return jax.eval_shape(functools.partial(initialization.start, pack.setup), variables, numbers, empty)
