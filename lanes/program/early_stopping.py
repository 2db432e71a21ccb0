"""Early stopping: ends a run that no longer improves. Its state is scalar, so each lane of a pack decides on its own.

Formula: stop at the first epoch with epoch - marked_epoch >= patience, where an epoch is marked if its monitored value
(the validation loss by default) is below the last marked one by more than min_delta
Reference: Prechelt, Early Stopping, But When?, 1998; Morgan and Bourlard, 1990
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Scalar = jax.Array | float

# A patience that no run reaches: turns early stopping off for one lane of a program that has it on.
NEVER = 2**30


class Patience(NamedTuple):
    """State of early stopping: scalars only, one set per lane. Epochs count from 1."""

    marked: jax.Array  # float32, the last value that improved by more than min_delta
    marked_epoch: jax.Array  # int32, its epoch; 0: none yet
    stopped: jax.Array  # bool; once True, the state no longer changes


def init() -> Patience:
    """State before the first epoch."""
    return Patience(jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.bool_))


def update(
    state: Patience, value: Scalar, epoch: Scalar, patience: Scalar = NEVER, min_delta: Scalar = 0.0
) -> Patience:
    """State after `epoch` (from 1), which ended with `value` (lower is better).

    Neither NaN nor an equal value counts as an improvement. A run evaluated every k epochs updates at those epochs only;
    patience still counts epochs.

    Args:
      value: the monitored value, scalar, negated where higher is better.
      epoch: number of the epoch, scalar.
      patience: epochs without improvement before stopping, at least 1; `NEVER` never stops.
      min_delta: smallest improvement that counts, at least 0.
    """
    value, epoch = jnp.asarray(value, jnp.float32), jnp.asarray(epoch, jnp.int32)
    marks = ~state.stopped & (value < state.marked - min_delta)
    marked_epoch = jnp.where(marks, epoch, state.marked_epoch)
    waited = (epoch - marked_epoch).astype(jnp.float32)
    return Patience(
        marked=jnp.where(marks, value, state.marked),
        marked_epoch=marked_epoch,
        stopped=state.stopped | (waited >= jnp.asarray(patience, jnp.float32)),
    )
