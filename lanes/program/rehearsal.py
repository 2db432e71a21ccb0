"""What a run's programs trace, tried on shapes before anything is compiled: initialization, a train step, evaluation.

It is the code that the programs consist of, with the traced numbers as tracers and the user's functions in it. Besides
what raises, it tells which numbers change nothing and which indices are out of range (`lanes.program.dataflow`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.program import initialization
from lanes.program import lane as lane_
from lanes.program.dataflow import OutOfRange, analyse, calls_host
from lanes.program.dataflow_rules import Value, union
from lanes.program.lane import Lane, Measured
from lanes.program.metrics import measure
from lanes.program.over_lanes import Data
from lanes.program.own_functions import watched
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, evaluated_params, standardize, train_step
from nets.activations import Learned, Widening
from nets.initializers_transforming import Transforming

Array = jax.Array
Tree = Any
TRACING = __file__  # the file whose functions are traced
Bounds = tuple[float, float]  # the smallest and the largest number of an array


class Rehearsal(NamedTuple):
    """What a rehearsal tells.

    Attributes:
        effective: the traced numbers that change what is trained or measured; "activation" and "initializer" if the net
            uses them.
        found: indices out of range.
    """

    effective: frozenset[str]
    found: Sequence[OutOfRange]


def rehearse_initialization(setup: Setup, numbers: Mapping[str, Any], examples: Tree) -> tuple[Tree, Rehearsal]:
    """The shapes of a run's initial variables, and which of its numbers they depend on."""

    calls: list[Any] = []

    def initial(numbers: Mapping[str, Any], examples: Tree) -> Tree:
        run = runs.with_numbers(setup.run, numbers)
        run = dataclasses.replace(run, initializer=_noting(run.initializer, calls))
        return initialization.initial_variables(setup, run, examples)

    numbers = dict(numbers)
    jaxpr, shapes = jax.make_jaxpr(initial, return_shape=True)(numbers, examples)
    inputs = [Value(1 << at) for at in range(len(jaxpr.in_avals))]
    outputs, found = analyse(jaxpr, inputs)
    used = ["initializer"] if calls else []
    return shapes, Rehearsal(frozenset([*used, *_names(sorted(numbers), 0, union(outputs))]), found)


def rehearse_training(
    setup: Setup, numbers: Mapping[str, Any], variables: Tree, data: Data, bounds: Mapping[str, Bounds]
) -> Rehearsal:
    """A train step, the evaluation of every split and the end of an epoch, of one lane.

    Args:
        setup: what is static.
        numbers: the traced numbers, or their shapes.
        variables: shapes of `{"params", "rest"}`.
        data: shapes of the splits, and how inputs are standardized.
        bounds: of the inputs ("x") and targets ("y"), where they are integers.
    """
    numbers = dict(numbers)

    def start(numbers: Tree, variables: Tree) -> Lane:
        run = runs.with_numbers(setup.run, numbers)
        return lane_.start(setup, run, variables["params"], variables["rest"], jnp.bool_(False))

    lane = jax.eval_shape(start, numbers, variables)
    batch = tuple(
        jax.ShapeDtypeStruct((setup.run.batch_size, *part.shape[1:]), part.dtype) for part in data.splits["train"]
    )
    gain, step = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)

    def epoch(
        numbers: Tree, gain: Array, lane: Lane, batch: tuple[Array, Array], data: Data, step: Array
    ) -> tuple[Lane, Tree]:
        run = watched(runs.with_numbers(setup.run, numbers))
        return _epoch(
            setup, dataclasses.replace(run, activation=_gained(run.activation, gain)), lane, batch, data, step
        )

    args = (numbers, gain, lane, batch, data, step)
    jaxpr, shapes = jax.make_jaxpr(epoch, return_shape=True)(*args)
    inputs = [Value(1 << at) for at in range(len(jaxpr.in_avals))]
    first = len(numbers) + 1 + len(jax.tree.leaves(lane))  # of the batch
    for at, part in enumerate(jax.tree_util.tree_leaves(("x", "y") * (1 + len(data.splits)))):
        if part in bounds:
            inputs[first + at] = Value(inputs[first + at].depends, *bounds[part], attained=True)
    outputs, found = analyse(jaxpr, inputs)
    if calls_host(jaxpr.jaxpr):  # the only functions that fail over lanes though they run alone
        lanes = [jax.ShapeDtypeStruct((2, *part.shape), part.dtype) for part in jaxpr.in_avals]
        jax.eval_shape(jax.vmap(jaxpr_as_fun(jaxpr)), *lanes)
    depends = _union_of_those_that_matter(outputs, shapes, first=len(numbers) + 1)
    return Rehearsal(frozenset(_names([*sorted(numbers), "activation"], 0, depends)), found)


def _epoch(
    setup: Setup, run: Run, lane: Lane, batch: tuple[Array, Array], data: Data, step: Array
) -> tuple[Lane, Tree]:
    """The lane after an epoch of one step, and the metrics of every split."""
    x, y = batch
    seen = standardize(x, data.offset, data.scale), y
    trained, metrics = train_step(setup, run, lane.trained, seen, lane.plateau.factor, step)
    variables = {"params": evaluated_params(run, trained), "rest": trained.rest}
    values = measure(setup, at_full(run), variables, tuple(data.splits), data)
    last = step + 1 >= lane_.length(setup, run)
    due = jnp.asarray(((step + 1) % run.eval_every == 0) | last)
    measured = Measured(metrics.loss, metrics.penalty, jnp.int32(0), values.get("valid", {}), due)
    return lane_.close_epoch(run, lane, trained, measured, last, validated="valid" in data.splits), values


def reads_length(setup: Setup, numbers: Mapping[str, Any], lane: Lane, batch: Tree) -> bool:
    """Whether a train step depends on the run's length in epochs, as one of a schedule to the end of the run does.

    Args:
        setup: what is static.
        numbers: the traced numbers, or their shapes.
        lane: shapes of a lane.
        batch: shapes of standardized x [B, …] and y [B, …].
    """
    numbers = dict(numbers)

    def step(numbers: Tree, lane: Lane, batch: Tree, at: Array) -> Tree:
        run = runs.with_numbers(setup.run, numbers)
        return train_step(setup, run, lane.trained, batch, lane.plateau.factor, at)[0]

    jaxpr = jax.make_jaxpr(step)(numbers, lane, batch, jax.ShapeDtypeStruct((), jnp.int32))
    outputs, _ = analyse(jaxpr, [Value(1 << at) for at in range(len(jaxpr.in_avals))])
    return "epochs" in _names(sorted(numbers), 0, union(outputs))


def _union_of_those_that_matter(outputs: Sequence[Value], shapes: tuple[Lane, Tree], first: int) -> int:
    """What the metrics, the parameters and the end of a run depend on, directly or through other state.

    Args:
        outputs: what is known of the lane after an epoch, and of its metrics.
        shapes: their shapes.
        first: index of the lane before the epoch among the inputs.
    """
    lane, _ = shapes
    count = len(jax.tree.leaves(lane))
    numbered = jax.tree.unflatten(jax.tree.structure(lane), range(count))
    direct = numbered.trained.params, numbered.best, numbered.status
    matter = {*jax.tree.leaves(direct), *range(count, len(outputs))}
    while True:
        depends = union([outputs[at] for at in matter])
        more = {at for at in range(count) if depends >> (first + at) & 1} - matter
        if not more:
            return depends
        matter |= more


def _names(names: Sequence[str], first: int, depends: int) -> list[str]:
    return [name for at, name in enumerate(names, first) if depends >> at & 1]


# ---- whether the initializer is called, and the activation used --------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Noting:
    """An initializer that notes that it is called."""

    initializer: Any
    calls: list[Any]

    def __call__(self, key: Array, shape: Any, dtype: Any = jnp.float32) -> Array:
        self.calls.append(shape)
        return self.initializer(key, shape, dtype)


class _NotingTransforming(_Noting):
    def transform(self, variables: Tree, net: Any, x: Array, key: Array) -> Tree:
        return self.initializer.transform(variables, net, x, key)


def _noting(initializer: Any, calls: list[Any]) -> Any:
    return (_NotingTransforming if isinstance(initializer, Transforming) else _Noting)(initializer, calls)


def _times(gain: Array, h: Array) -> Array:
    return h * gain.astype(h.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class _Gained:
    """An activation times a traced number."""

    activation: Any
    gain: Array

    def __call__(self, z: Array) -> Array:
        return _times(self.gain, self.activation(z))


class _GainedWidening(_Gained):
    @property
    def pieces(self) -> int:
        return self.activation.pieces


class _GainedLearned(_Gained):
    def module(self) -> Any:
        module = self.activation.module()
        return lambda z: _times(self.gain, module(z))


def _gained(activation: Any, gain: Array) -> Any:
    kind = _Gained
    if isinstance(activation, Widening):
        kind = _GainedWidening
    elif isinstance(activation, Learned):
        kind = _GainedLearned
    return kind(activation, gain)


def shapes_of(split: Any) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """The shapes of a split's x and y, as the device holds them."""
    return tuple(  # type: ignore[return-value]
        jax.ShapeDtypeStruct(part.shape, jax.dtypes.canonicalize_dtype(part.dtype)) for part in (split.x, split.y)
    )


def bounds_of(splits: Sequence[Any]) -> dict[str, Bounds]:
    """The smallest and the largest number of all inputs, and of all targets, where they are integers."""
    out: dict[str, Bounds] = {}
    for name in ("x", "y"):
        parts = [getattr(split, name) for split in splits]
        if all(part.dtype == np.int32 and part.size for part in parts):
            out[name] = float(min(part.min() for part in parts)), float(max(part.max() for part in parts))
    return out
