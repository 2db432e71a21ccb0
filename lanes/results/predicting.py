"""Predictions of a trained run for inputs as the user has them."""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.dataset import Dataset
from lanes.data.raw_inputs import as_in_training
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.plan.planned import setup_of
from lanes.program.natural import predicted
from lanes.program.step import apply, standardize, stream
from lanes.storage.directory import existing
from lanes.storage.trained import Variables, run_and_variables

BATCH = 512
BATCH_NUMBERS = 1 << 22  # most input numbers in a batch


def predict(
    directory: str | os.PathLike[str],
    run_id: str,
    x: Any,
    *,
    epoch: str = "best",
    data_dir: str | None = None,
    trust: bool = True,
) -> np.ndarray:
    """What a trained run predicts for raw inputs: they are standardized by the statistics of its training split.

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it.
        x: [N, …], as the data set has its inputs before they are standardized: numbers, bytes or tokens.
        epoch: "best" or "last".
        data_dir: where prepared TFDS sets are; the statistics come from the run's data, which must be as in training.
        trust: False refuses to execute the directory's copy of the experiment, which is code.

    Returns:
        float32 [N, …]: class probabilities [N, K] for a cross-entropy (of one output, [N, 1], that of class 1), targets in the
        units of the data for a regression (a Gaussian likelihood: means and standard deviations [N, 2 D]), otherwise what
        the output unit makes of the outputs. A net that reconstructs gives standardized inputs.

    Raises RequestError as `lanes.restore` does, and for inputs that are not like those of the training split.
    """
    (opened,) = existing([directory])
    run, data, variables = run_and_variables(opened, run_id, epoch, data_dir, trust)
    try:
        inputs = as_in_training(x, data)
    except ValueError as error:
        raise RequestError(f"run {run_id}: {error}") from None
    forward = _forward(run, data, variables)
    if inputs.shape[1:] != data.train.x.shape[1:]:
        try:
            jax.eval_shape(forward, inputs[:1])
        except Exception as error:  # whatever the net raises
            shapes = f"{list(inputs.shape)}, and {data.name} has examples of shape {list(data.train.x.shape[1:])}"
            raise RequestError(
                f"run {run_id}: x has shape {shapes}, and net {type(run.net).__name__} takes no other"
            ) from error
    return _batched(forward, inputs)


def _forward(run: Run, data: Dataset, variables: Variables) -> Callable[[Any], jax.Array]:
    """x [B, …], as the data set's splits hold it -> predictions [B, …]."""
    setup = setup_of(run, data)
    rest = {name: part for name, part in variables.items() if name != "params"}
    keys = {"sample": stream(run.seed, "sample")}
    offset, scale = jnp.asarray(data.offset), jnp.asarray(data.scale)

    def forward(x: Any) -> jax.Array:
        with jax.default_matmul_precision(run.matmul_precision):
            seen = standardize(jnp.asarray(x), offset, scale)
            outputs, _, _ = apply(setup, run, variables["params"], rest, seen, train=False, keys=keys)
            return predicted(run, outputs.prediction)

    return forward


def _batched(forward: Callable[[Any], jax.Array], x: np.ndarray) -> np.ndarray:
    """Predictions by one program: the last batch is padded."""
    rows = max(1, min(BATCH, len(x), BATCH_NUMBERS // max(1, x[:1].size)))
    if not len(x):
        shape = jax.eval_shape(forward, jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)).shape
        return np.zeros((0, *shape[1:]), np.float32)
    compiled, out = jax.jit(forward), []
    for first in range(0, len(x), rows):
        part = x[first : first + rows]
        filled = np.concatenate([part, np.repeat(part[:1], rows - len(part), axis=0)])
        out.append(np.asarray(compiled(filled), np.float32)[: len(part)])
    return np.concatenate(out)
