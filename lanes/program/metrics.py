"""Every metric of lanes on whole splits of a data set, in evaluation mode."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lanes.describe.runs import Run, metric_names
from lanes.program.over_lanes import Data, Numbers, Tree, per_run, split_batch
from lanes.program.step import Setup, apply, standardize, stream
from nets import Outputs

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
) -> dict[str, dict[str, Array]]:
    """Every metric of one run on whole splits: means over their examples, in evaluation mode, in blocks of rows.

    One loop covers the blocks of all splits, so the program contains the net once. Returns scalars by split and name.
    """
    splits = [data.splits[name] for name in names]
    counts = np.array([x.shape[0] for x, _ in splits])
    most = max(1, block_numbers // max(1, math.prod(setup.features)))
    rows = int(min(most, max(least_rows, counts.min())))
    split_of = np.concatenate([np.full(-(-count // rows), at) for at, count in enumerate(counts)])
    first = np.concatenate([np.arange(0, count, rows) for count in counts])

    def take(split: tuple[Array, Array]) -> Callable[[Array], tuple[Array, Array]]:
        return lambda rows: (split[0][rows], split[1][rows])

    def block(i: Array, sums: dict[str, Array]) -> dict[str, Array]:
        at = jnp.asarray(split_of)[i]
        indices = jnp.asarray(first)[i] + jnp.arange(rows)
        inside = indices < jnp.asarray(counts)[at]
        x, y = split_batch(lax.switch(at, [take(split) for split in splits], jnp.where(inside, indices, 0)))
        # The same corruption for all runs and epochs, so that comparisons are paired.
        view = run.task.view(standardize(x, data.offset, data.scale), y, jax.random.fold_in(jax.random.key(0), i))

        def forward(key: Array) -> Outputs:
            passed = (setup, run, variables["params"], variables["rest"], view.inputs)
            return apply(*passed, train=False, keys={"sample": key})[0]

        values = run.task.measure(run, forward(stream(run.seed, "sample")), view, forward)
        if missing := [name for name in sums if name not in values]:
            raise ValueError(
                f"task {type(run.task).__name__} does not measure {', '.join(missing)}: leave them out of metrics"
            )
        return {name: sums[name].at[at].add(jnp.sum(jnp.where(inside, values[name], 0.0))) for name in sums}

    zeros = {name: jnp.zeros(len(splits)) for name in metric_names(run)}
    with jax.default_matmul_precision(run.matmul_precision):
        sums = lax.fori_loop(0, len(first), block, zeros)
    return {name: {metric: sums[metric][at] / int(counts[at]) for metric in sums} for at, name in enumerate(names)}


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The evaluation program: metrics of lanes on all splits of a data set."""

    setup: Setup
    width: int

    def __call__(self, variables: Tree, numbers: Numbers, data: Data) -> dict[str, dict[str, Array]]:
        """Metrics [P] by split and name."""

        def measured(run: Run, variables: Tree) -> dict[str, dict[str, Array]]:
            return measure(self.setup, run, variables, tuple(data.splits), data)

        return per_run(measured, self.setup.run, self.width, numbers, variables)
