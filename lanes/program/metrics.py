"""Every metric of lanes on whole splits of a data set, in evaluation mode."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lanes.describe.runs import Run, metric_names
from lanes.program.over_lanes import Data, Numbers, Tree, per_run, split_batch
from lanes.program.perturbed import Changed, Perturbation, Victim, victim_of
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, apply, standardize, stream
from lanes.recipe.tasks_comparing import Compares, over_set
from lanes.recipe.tasks_predicting import View
from losses.metrics import is_over_set, name_of_metric
from nets import Outputs

Perturb = Callable[[Victim, tuple[Array, Array], tuple[Array, Array], Array], Changed]
BLOCK_NUMBERS = 2**20  # most input numbers in one block of an evaluation: bounds its memory
LEAST_ROWS = 64  # rows of a block, if the smallest split has fewer


def measure(
    setup: Setup,
    run: Run,
    variables: Tree,
    names: tuple[str, ...],
    data: Data,
    block_numbers: int = BLOCK_NUMBERS,
    least_rows: int = LEAST_ROWS,
    perturb: Perturb | None = None,
) -> dict[str, dict[str, Array]]:
    """Every metric of one run on whole splits, in evaluation mode: means over their examples, and metrics over a set.

    One loop covers the blocks of rows of all splits, so the program contains the net once. Metrics over a set need all
    predictions and targets of a split at once: N (K + 1) numbers for N examples of K classes, in each lane. `perturb` changes
    the inputs that the net sees, not what its outputs are compared with. Returns scalars by split and name.
    """
    splits = [data.splits[name] for name in names]
    counts = np.array([x.shape[0] for x, _ in splits])
    most = max(1, block_numbers // max(1, math.prod(setup.features)))
    rows = int(min(most, max(least_rows, counts.min())))
    split_of = np.concatenate([np.full(-(-count // rows), at) for at, count in enumerate(counts)])
    first = np.concatenate([np.arange(0, count, rows) for count in counts])

    def take(split: tuple[Array, Array]) -> Callable[[Array], tuple[Array, Array]]:
        return lambda rows: (split[0][rows], split[1][rows])

    def block(i: Array, sums: dict[str, Array]) -> tuple[dict[str, Array], Any]:
        at = jnp.asarray(split_of)[i]
        indices = jnp.asarray(first)[i] + jnp.arange(rows)
        inside = indices < jnp.asarray(counts)[at]
        x, y = split_batch(lax.switch(at, [take(split) for split in splits], jnp.where(inside, indices, 0)))
        # The same corruption for all runs and epochs, so that comparisons are paired.
        drawn = jax.random.fold_in(jax.random.key(0), i)
        view = _viewed(setup, run, variables, (x, y, data.offset, data.scale), drawn, perturb)

        def forward(key: Array) -> Outputs:
            passed = (setup, run, variables["params"], variables["rest"], view.inputs)
            return apply(*passed, train=False, keys={"sample": key})[0]

        outputs = forward(stream(run.seed, "sample"))
        values = run.task.measure(run, outputs, view, forward)
        if missing := [name for name in sums if name not in values]:
            raise ValueError(
                f"task {type(run.task).__name__} does not measure {', '.join(missing)}: leave them out of metrics"
            )
        after = {name: sums[name].at[at].add(jnp.sum(jnp.where(inside, values[name], 0.0))) for name in sums}
        return after, compared(run, outputs, view) if of_sets else None

    of_sets = {name_of_metric(metric) for metric in run.metrics if is_over_set(metric)}
    zeros = {name: jnp.zeros(len(splits)) for name in metric_names(run) if name not in of_sets}
    with jax.default_matmul_precision(run.matmul_precision):
        if not of_sets:
            sums = lax.fori_loop(0, len(first), lambda i, sums: block(i, sums)[0], zeros)
        else:
            sums, pairs = lax.scan(lambda sums, i: block(i, sums), zeros, jnp.arange(len(first)))
    out = {name: {metric: sums[metric][at] / int(counts[at]) for metric in sums} for at, name in enumerate(names)}
    if of_sets:
        for at, name in enumerate(names):
            out[name] |= over_set(run, *_of_split(pairs, split_of == at, counts[at]))
    return out


def _viewed(
    setup: Setup,
    run: Run,
    variables: Tree,
    split: tuple[Array, Array, Array, Array],
    drawn: Array,
    perturb: Perturb | None,
) -> View:
    """A block of examples, with their offset and scale, as the run's task sees it, changed by `perturb`."""
    x, y, *scaling = split
    view = run.task.view(standardize(x, *scaling), y, drawn)
    if perturb is None:
        return view
    victim = victim_of(setup, run, variables, split, drawn, {"sample": stream(run.seed, "sample")})
    seen = perturb(victim, (x, y), (scaling[0], scaling[1]), jax.random.fold_in(drawn, 1)).seen
    return view._replace(inputs=run.task.view(seen, y, drawn).inputs)


def _of_split(pairs: Any, inside: np.ndarray, count: int) -> list[Array]:
    """Predictions and targets [N, …] of a split, from those of all blocks, of which some are `inside` it."""
    where = np.flatnonzero(inside)
    return [part[where[0] : where[-1] + 1].reshape(-1, *part.shape[2:])[:count] for part in pairs]


def compared(run: Run, outputs: Outputs, view: View) -> tuple[Array, Array]:
    """Predictions and targets of a block, for metrics over a set."""
    task = run.task
    if not isinstance(task, Compares) or view.weight is not None:
        raise ValueError(
            f"task {type(task).__name__} has no predictions of whole examples for metrics over a set: leave them out of metrics"
        )
    return task.compared(run, outputs, view)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The evaluation program: metrics of lanes on all splits of a data set, of changed inputs with a perturbation."""

    setup: Setup
    width: int
    perturbation: Perturbation | None = None

    def __call__(
        self, variables: Tree, numbers: Numbers, data: Data, amounts: Mapping[str, Array] | None = None
    ) -> dict[str, dict[str, Array]]:
        """Metrics [P] by split and name; amounts are of the perturbation."""
        perturb = None if self.perturbation is None else functools.partial(self.perturbation, amounts=amounts or {})

        def measured(run: Run, variables: Tree) -> dict[str, dict[str, Array]]:
            return measure(self.setup, at_full(run), variables, tuple(data.splits), data, perturb=perturb)

        return per_run(measured, self.setup.run, self.width, numbers, variables)
