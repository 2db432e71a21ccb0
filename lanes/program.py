"""The compiled programs of one static signature: initialize lanes, train a chunk of epochs, evaluate.

A pack of P lanes goes through as G groups of `width` lanes: `lax.map` over the groups, `vmap` over a group's lanes
(width 1: neither, the plain step). Loops stand outside the `vmap`, so their conditions are not batched: a group whose
lanes have all ended costs nothing, and neither does padding.
"""

import dataclasses
import functools
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


def evaluate(setup: Setup, width: int, variables: Tree, numbers: Numbers, data: Data) -> dict[str, dict[str, Array]]:
    """Metrics [P] of lanes by split and name, on all splits of `data`."""

    def group(variables: Tree, numbers: Numbers) -> dict[str, dict[str, Array]]:
        each, common = apart(numbers)

        def one(variables: Tree, numbers: Numbers) -> dict[str, dict[str, Array]]:
            run = runs.with_numbers(setup.run, numbers | common)
            return measure(setup, run, variables, tuple(data.splits), data)

        return over_lanes(one, width)(variables, each)

    return over_groups(group, width, variables, numbers)


# ---- train -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The training program: `count` epochs from epoch `first` on, for a pack of lanes.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
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

        def group(lanes: Lane, numbers: Numbers, slots: Array) -> tuple[Lane, dict[str, Array]]:
            return self._train_group(lanes, numbers, slots, orders, data, first, count)

        return over_groups(group, self.width, lanes, numbers, slots)

    def _train_group(
        self, lanes: Lane, numbers: Numbers, slots: Array, orders: Array, data: Data, first: Array, count: Array
    ) -> tuple[Lane, dict[str, Array]]:
        numbers, common = apart(numbers)
        run_of = functools.partial(self._run, common=common)
        metrics = ("batch_loss", "penalty", *(f"valid_{name}" for name in self._valid_metrics(data)))
        history = {name: jnp.full((self.width, self.longest), jnp.nan) for name in metrics}

        def going(carry: tuple[Array, Lane, Any]) -> Array:
            return (carry[0] < count) & jnp.any(carry[1].status == RUNNING)

        def epoch(carry: tuple[Array, Lane, Any]) -> tuple[Array, Lane, Any]:
            at, lanes, history = carry
            lanes, measured = self._epoch(lanes, numbers, run_of, slots, orders[:, at], data, first + at)
            history = {name: history[name].at[:, at].set(measured[name]) for name in history}
            return at + 1, lanes, history

        _, lanes, history = lax.while_loop(going, epoch, (jnp.int32(0), lanes, history))
        return lanes, history

    def _run(self, numbers: Numbers, common: Numbers) -> Run:
        return runs.with_numbers(self.setup.run, numbers | common)

    def _epoch(
        self,
        lanes: Lane,
        numbers: Numbers,
        run_of: Callable[[Numbers], Run],
        slots: Array,
        order: Array,
        data: Data,
        number: Array,
    ) -> tuple[Lane, dict[str, Array]]:
        """One epoch of a group; `order` [S, steps · B]."""
        setup, size = self.setup, self.setup.run.batch_size
        each = functools.partial(over_lanes, width=self.width)
        x, y = data.splits["train"]
        factors = lanes.plateau.factor

        def step(i: Array, carry: tuple[Trained, Array, Array, Array]) -> tuple[Trained, Array, Array, Array]:
            trained, loss, penalty, bad = carry
            places = lax.dynamic_slice_in_dim(order, i * size, size, axis=1)[slots]
            at = number * setup.steps_per_epoch + i

            def one(trained: Trained, numbers: Numbers, places: Array, factor: Array) -> tuple[Trained, StepMetrics]:
                batch = standardize(x[places], data.offset, data.scale), y[places]
                return train_step(setup, run_of(numbers), trained, batch, factor, at)

            trained, told = each(one)(trained, numbers, places, factors)
            bad = jnp.where((bad == 0) & ~told.finite, at + 1, bad)
            return trained, loss + told.loss, penalty + told.penalty, bad

        steps = self._steps(number)
        zero = jnp.zeros(self.width)
        begin = (lanes.trained, zero, zero, jnp.zeros(self.width, jnp.int32))
        trained, loss, penalty, bad = lax.fori_loop(0, steps, step, begin)
        loss, penalty = loss / steps, penalty / steps
        due = each(lambda numbers: self._due(run_of(numbers), number))(numbers)
        valid = self._validate(trained, numbers, run_of, data, due)

        def close(lane: Lane, numbers: Numbers, trained: Trained, seen: Measured) -> Lane:
            run = run_of(numbers)
            last = number + 1 >= lane_.length(setup, run)
            return lane_.close_epoch(run, lane, trained, seen, last, validated="valid" in data.splits)

        after = each(close)(lanes, numbers, trained, Measured(loss, penalty, bad, valid, due))
        kept = (lanes.status == RUNNING) & (bad == 0)
        history = {"batch_loss": loss, "penalty": penalty, **{f"valid_{name}": value for name, value in valid.items()}}
        return after, {name: jnp.where(kept, value, jnp.nan) for name, value in history.items()}

    def _steps(self, number: Array) -> Any:
        """Steps in epoch `number`: fewer in the last one where the run's length is given in steps."""
        whole, total = self.setup.steps_per_epoch, self.setup.run.steps
        return whole if total is None else jnp.minimum(whole, total - number * whole)

    def _due(self, run: Run, number: Array) -> Array:
        last = number + 1 >= lane_.length(self.setup, run)
        return jnp.asarray(((number + 1) % run.eval_every == 0) | last)

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
