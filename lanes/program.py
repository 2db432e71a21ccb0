"""The compiled programs of one static signature: initialize lanes, train a chunk of epochs, evaluate.

A pack of P lanes goes through as G groups of `width` lanes: `lax.map` over the groups, `vmap` over a group's lanes
(width 1: neither, the plain step). Loops stand outside the `vmap`, so their conditions are not batched: a group whose
lanes have all ended costs nothing, and neither does padding.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lanes import lane as lane_
from lanes import runs
from lanes.lane import RUNNING, Lane, Measured
from lanes.runs import Run
from lanes.shared_activation import INDEX
from lanes.step import Setup, StepMetrics, Trained, apply, build_net, evaluated_params, standardize, stream, train_step
from nets import Outputs
from nets.initializers import scaled

Array = jax.Array
Tree = Any
Numbers = dict[str, Array]

BLOCK_NUMBERS = 2**20  # most input numbers in one block of an evaluation: bounds its memory
LEAST_ROWS = 64  # rows of a block, where the smallest split has fewer
INIT_EXAMPLES = 256  # training examples that data-dependent initializers see


class Data(NamedTuple):
    """The data set on the device: splits as (x [N, …], y [N, …]), and how inputs are standardized."""

    splits: dict[str, tuple[Any, Any]]
    offset: Any
    scale: Any


def apart(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """(numbers of each lane, numbers that a group of lanes has in common): what a switch depends on must not be batched."""
    common = {name: value[0] for name, value in numbers.items() if name == INDEX}
    return {name: value for name, value in numbers.items() if name not in common}, common


def over_lanes(function: Callable, width: int) -> Callable:
    """`function` of one lane, applied to trees with a leading lane axis: `vmap`, or at width 1 the function itself."""
    if width > 1:
        return jax.vmap(function)

    def alone(*trees: Tree) -> Tree:
        return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], trees)))

    return alone


def over_groups(function: Callable, width: int, *trees: Tree) -> Tree:
    """`function` of a group [width, …], over trees [P, …], one group after the other."""
    grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, width, *leaf.shape[1:]), trees)
    out = lax.map(lambda group: function(*group), grouped)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), out)


# ---- initialize --------------------------------------------------------------------------------------------------


INITIAL = ("activation", "initializer", "init_scale", "seed", "net")  # the fields that initial variables follow from
Examples = tuple[Any, Any, Any]  # raw inputs [N, …], offset, scale


def initial_numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The traced numbers that initial variables depend on."""
    return {name: value for name, value in numbers.items() if name.split(".")[0] in INITIAL}


def initialize(
    setup: Setup, variables: Tree, numbers: Numbers, places: Array, count: Array, examples: Examples
) -> Tree:
    """`variables` [P, …] with those of the lanes `places[:count]` drawn by the setup's initializer from `numbers[:count]`.

    One lane at a time, in a loop of traced length: a lane's draws depend on no other lane, and packs that mix
    initializers need one program for each initializer, not for each mixture.
    """

    def put(i: Array, variables: Tree) -> Tree:
        one = {name: value[i] for name, value in numbers.items()}
        new = initial_variables(setup, runs.with_numbers(setup.run, one), examples)
        return jax.tree.map(lambda all_, leaf: all_.at[places[i]].set(leaf), variables, new)

    return lax.fori_loop(0, count, put, variables)


def initial_variables(setup: Setup, run: Run, examples: Examples) -> Tree:
    """`{"params", "rest"}` of one run; the examples are what data-dependent initializers look at."""
    x = standardize(*(jnp.asarray(part) for part in examples))
    initializer = scaled(run.initializer, run.init_scale)
    net = build_net(setup, run, kernel_init=initializer)
    keys = {name: stream(run.seed, name) for name in ("dropout", "sample")}
    variables: Any = net.init({"params": stream(run.seed, "initialization"), **keys}, x[:1], train=False)
    variables = {name: tree for name, tree in variables.items() if name != "intermediates"}
    if hasattr(initializer, "transform"):
        variables = initializer.transform(variables, net, x, stream(run.seed, "transform"))
    return {"params": variables.pop("params"), "rest": variables}


def start(setup: Setup, variables: Tree, numbers: Numbers, empty: Array) -> Lane:
    """Lanes [P] before their first epoch."""

    def one(variables: Tree, numbers: Numbers, empty: Array) -> Lane:
        run = runs.with_numbers(setup.run, numbers)
        return lane_.start(setup, run, variables["params"], variables["rest"], empty)

    return jax.vmap(one)(variables, numbers, empty)


# ---- evaluate ----------------------------------------------------------------------------------------------------


def measure(setup: Setup, run: Run, variables: Tree, names: tuple[str, ...], data: Data) -> dict[str, dict[str, Array]]:
    """Every metric of one run on whole splits: means over their examples, in evaluation mode, in blocks of rows.

    One loop goes over the blocks of all splits, so that the net stands once in the program. Returns scalars by split
    and name.
    """
    splits = [data.splits[name] for name in names]
    counts = np.array([x.shape[0] for x, _ in splits])
    most = max(1, BLOCK_NUMBERS // max(1, math.prod(setup.features)))
    rows = int(min(most, max(LEAST_ROWS, counts.min())))
    split_of = np.concatenate([np.full(-(-count // rows), at) for at, count in enumerate(counts)])
    first = np.concatenate([np.arange(0, count, rows) for count in counts])

    def take(split: tuple[Array, Array]) -> Callable[[Array], tuple[Array, Array]]:
        return lambda places: (split[0][places], split[1][places])

    def block(i: Array, sums: dict[str, Array]) -> dict[str, Array]:
        at = jnp.asarray(split_of)[i]
        places = jnp.asarray(first)[i] + jnp.arange(rows)
        inside = places < jnp.asarray(counts)[at]
        x, y = lax.switch(at, [take(split) for split in splits], jnp.where(inside, places, 0))
        # One corruption for all runs and epochs: comparisons are paired.
        view = run.task.view(standardize(x, data.offset, data.scale), y, jax.random.fold_in(jax.random.key(0), i))

        def forward(key: Array) -> Outputs:
            passed = (setup, run, variables["params"], variables["rest"], view.inputs)
            return apply(*passed, train=False, keys={"sample": key})[0]

        values = run.task.measure(run, forward(stream(run.seed, "sample")), view, forward)
        return {name: sums[name].at[at].add(jnp.sum(jnp.where(inside, values[name], 0.0))) for name in sums}

    zeros = {name: jnp.zeros(len(splits)) for name in metric_names(run)}
    with jax.default_matmul_precision(run.matmul_precision):
        sums = lax.fori_loop(0, len(first), block, zeros)
    return {name: {metric: sums[metric][at] / int(counts[at]) for metric in sums} for at, name in enumerate(names)}


def metric_names(run: Run) -> tuple[str, ...]:
    """What is measured: the loss, the task's metrics, the run's further ones."""
    return ("loss", *dict.fromkeys((*run.task.metrics, *run.metrics)))


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The evaluating program: metrics of lanes on all splits of a data set."""

    setup: Setup
    width: int

    def __call__(self, variables: Tree, numbers: Numbers, data: Data) -> dict[str, dict[str, Array]]:
        """Metrics [P] by split and name."""

        def group(variables: Tree, numbers: Numbers) -> dict[str, dict[str, Array]]:
            each, common = apart(numbers)

            def one(variables: Tree, numbers: Numbers) -> dict[str, dict[str, Array]]:
                run = runs.with_numbers(self.setup.run, numbers | common)
                return measure(self.setup, run, variables, tuple(data.splits), data)

            return over_lanes(one, self.width)(variables, each)

        return over_groups(group, self.width, variables, numbers)


# ---- train -------------------------------------------------------------------------------------------------------


class Partial(NamedTuple):
    """An epoch that is under way: what its steps made so far, and the sums of what they told, of lanes [P]."""

    trained: Trained
    loss: Array
    penalty: Array
    bad: Array  # the first step, counted from 1, that was not finite; 0: none


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a group of lanes: begin, steps, close. The loops around it are those of the programs below.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
    """

    setup: Setup
    width: int

    def begin(self, lanes: Lane) -> Partial:
        """Before the first step."""
        count = lanes.status.shape[0]
        return Partial(lanes.trained, jnp.zeros(count), jnp.zeros(count), jnp.zeros(count, jnp.int32))

    def run_of(self, common: Numbers) -> Callable[[Numbers], Run]:
        """From a lane's numbers to its run, with the numbers that the group has in common."""
        return lambda numbers: runs.with_numbers(self.setup.run, numbers | common)

    def step(
        self, partial: Partial, numbers: Numbers, factors: Array, batches: tuple[Any, ...], batch: Callable, at: Array
    ) -> Partial:
        """Step number `at` of the run; `batch` makes a lane's standardized batch from its part of `batches` [width, …]."""
        each, common = apart(numbers)
        run_of = self.run_of(common)

        def one(trained: Trained, numbers: Numbers, factor: Array, *part: Array) -> tuple[Trained, StepMetrics]:
            return train_step(self.setup, run_of(numbers), trained, batch(*part), factor, at)

        trained, told = over_lanes(one, self.width)(partial.trained, each, factors, *batches)
        bad = jnp.where((partial.bad == 0) & ~told.finite, at + 1, partial.bad)
        return Partial(trained, partial.loss + told.loss, partial.penalty + told.penalty, bad)

    def steps(self, number: Array) -> Any:
        """Steps in epoch `number`: fewer in the last one where the run's length is given in steps."""
        whole, total = self.setup.steps_per_epoch, self.setup.run.steps
        return whole if total is None else jnp.minimum(whole, total - number * whole)

    def close(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes after epoch `number`, and what was measured, NaN where the epoch was not kept."""
        each, common = apart(numbers)
        run_of = self.run_of(common)
        steps = jnp.asarray(self.steps(number), jnp.float32)
        loss, penalty = (total / jnp.asarray(steps, jnp.float32) for total in (partial.loss, partial.penalty))

        def is_due(numbers: Numbers) -> Array:
            run = run_of(numbers)
            last = number + 1 >= lane_.length(self.setup, run)
            return jnp.asarray(((number + 1) % run.eval_every == 0) | last)

        due = over_lanes(is_due, self.width)(each)
        valid = self._validate(partial.trained, each, run_of, data, due)

        def one(lane: Lane, numbers: Numbers, trained: Trained, seen: Measured) -> Lane:
            run = run_of(numbers)
            last = number + 1 >= lane_.length(self.setup, run)
            return lane_.close_epoch(run, lane, trained, seen, last, validated="valid" in data.splits)

        measured = Measured(loss, penalty, partial.bad, valid, due)
        after = over_lanes(one, self.width)(lanes, each, partial.trained, measured)
        kept = (lanes.status == RUNNING) & (partial.bad == 0)
        history = {"batch_loss": loss, "penalty": penalty, **{f"valid_{name}": value for name, value in valid.items()}}
        return after, {name: jnp.where(kept, value, jnp.nan) for name, value in history.items()}

    def metrics(self, data: Data) -> tuple[str, ...]:
        """Names in the history."""
        return ("batch_loss", "penalty", *(f"valid_{name}" for name in self._valid_metrics(data)))

    def _valid_metrics(self, data: Data) -> tuple[str, ...]:
        return metric_names(self.setup.run) if "valid" in data.splits else ()

    def _validate(
        self, trained: Trained, numbers: Numbers, run_of: Callable[[Numbers], Run], data: Data, due: Array
    ) -> dict[str, Array]:
        """Validation metrics [width] of the lanes that are due, NaN for the others."""
        names = self._valid_metrics(data)
        if not names:
            return {}

        def one(trained: Trained, numbers: Numbers) -> dict[str, Array]:
            run = run_of(numbers)
            variables = {"params": evaluated_params(run, trained), "rest": trained.rest}
            return measure(self.setup, run, variables, ("valid",), data)["valid"]

        def nothing() -> dict[str, Array]:
            return {name: jnp.full(self.width, jnp.nan) for name in names}

        def everything() -> dict[str, Array]:
            return over_lanes(one, self.width)(trained, numbers)

        if self.setup.run.eval_every == 1:
            return everything()
        values = lax.cond(jnp.any(due), everything, nothing)
        return {name: jnp.where(due, value, jnp.nan) for name, value in values.items()}


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The training program where the data set is on the device: `count` epochs from epoch `first` on, for a pack of lanes.

    Attributes:
        setup, width: as in `Epoch`.
        longest: most epochs in one call; the history has room for so many.
    """

    setup: Setup
    width: int
    longest: int

    def __call__(
        self, lanes: Lane, numbers: Numbers, slots: Array, orders: Array, data: Data, first: Array, count: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes [P] after the chunk, and the history: each metric [P, longest], NaN where nothing was measured.

        Args:
            lanes: [P], before.
            numbers: the runs' traced numbers [P].
            slots: [P], each lane's row in `orders`.
            orders: [S, longest, steps per epoch · B] indices of training examples, one row for each distinct seed.
            data: the data set.
            first: number of the first epoch, from 0.
            count: epochs to train, at most `longest`.
        """
        one, size, whole = Epoch(self.setup, self.width), self.setup.run.batch_size, self.setup.steps_per_epoch
        x, y = data.splits["train"]

        def batch(places: Array) -> tuple[Array, Array]:
            return standardize(x[places], data.offset, data.scale), y[places]

        def group(lanes: Lane, numbers: Numbers, slots: Array) -> tuple[Lane, dict[str, Array]]:
            def going(carry: tuple[Array, Lane, Any]) -> Array:
                return (carry[0] < count) & jnp.any(carry[1].status == RUNNING)

            def epoch(carry: tuple[Array, Lane, Any]) -> tuple[Array, Lane, Any]:
                at, lanes, history = carry
                number, order = first + at, orders[:, at]

                def step(i: Array, partial: Partial) -> Partial:
                    places = lax.dynamic_slice_in_dim(order, i * size, size, axis=1)[slots]
                    return one.step(partial, numbers, lanes.plateau.factor, (places,), batch, number * whole + i)

                partial = lax.fori_loop(0, one.steps(number), step, one.begin(lanes))
                lanes, measured = one.close(lanes, partial, numbers, data, number)
                return at + 1, lanes, {name: history[name].at[:, at].set(measured[name]) for name in history}

            history = {name: jnp.full((self.width, self.longest), jnp.nan) for name in one.metrics(data)}
            _, lanes, history = lax.while_loop(going, epoch, (jnp.int32(0), lanes, history))
            return lanes, history

        return over_groups(group, self.width, lanes, numbers, slots)


@dataclasses.dataclass(frozen=True)
class Block:
    """The training program where batches are streamed: some steps of one epoch, for a pack of lanes."""

    setup: Setup
    width: int

    def __call__(
        self,
        partial: Partial,
        factors: Array,
        numbers: Numbers,
        slots: Array,
        x: Array,
        y: Array,
        data: Data,
        at: Array,
        count: Array,
    ) -> Partial:
        """The epoch under way [P] after `count` more steps, the first of which is step `at` of the run.

        Args:
            partial: [P], before.
            factors: [P], of the plateau schedule.
            numbers: [P].
            slots: [P], each lane's row in the batches.
            x, y: [k, S, B, …] raw batches of k steps for S distinct seeds, of which `count` are trained on.
            data: how inputs are standardized; no splits.
            at: number of the step, from 0.
            count: at most k.
        """
        one = Epoch(self.setup, self.width)

        def batch(x: Array, y: Array) -> tuple[Array, Array]:
            return standardize(x, data.offset, data.scale), y

        def group(partial: Partial, factors: Array, numbers: Numbers, slots: Array) -> Partial:
            def step(i: Array, partial: Partial) -> Partial:
                return one.step(partial, numbers, factors, (x[i][slots], y[i][slots]), batch, at + i)

            return lax.fori_loop(0, count, step, partial)

        return over_groups(group, self.width, partial, factors, numbers, slots)


@dataclasses.dataclass(frozen=True)
class Close:
    """The program that ends an epoch whose batches were streamed."""

    setup: Setup
    width: int

    def __call__(
        self, lanes: Lane, partial: Partial, numbers: Numbers, data: Data, number: Array
    ) -> tuple[Lane, dict[str, Array]]:
        """Lanes [P] after epoch `number`, and what was measured, each metric [P, 1]; `data` holds the validation split."""
        one = Epoch(self.setup, self.width)

        def group(lanes: Lane, partial: Partial, numbers: Numbers) -> tuple[Lane, dict[str, Array]]:
            return one.close(lanes, partial, numbers, data, number)

        lanes, measured = over_groups(group, self.width, lanes, partial, numbers)
        return lanes, {name: value[:, None] for name, value in measured.items()}
