"""Early stopping: when a run has stopped getting better, decided by scalars so that every lane of a pack decides alone.

Formula: stop at the first epoch with epoch - marked_epoch >= patience, where an epoch is marked if its validation loss
is below the last marked one by more than min_delta
Reference: Prechelt, Early Stopping, But When?, 1998; Morgan and Bourlard, 1990
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Scalar = jax.Array | float

# A traced patience that no run reaches: early stopping off in a program that has it on.
NEVER = 2**30


class Patience(NamedTuple):
    """State of early stopping: scalars only, one set per lane. Epochs count from 1.

    `best` and `best_epoch` are the lowest value and the earliest epoch that had it, however small the gain: what the
    results table reports. `marked` is the last value that gained more than `min_delta`: what patience is counted from.
    """

    best: jax.Array  # float32
    best_epoch: jax.Array  # int32, 0: none yet
    marked: jax.Array  # float32
    marked_epoch: jax.Array  # int32
    stopped: jax.Array  # bool; once True nothing changes any more


def init() -> Patience:
    """State before the first epoch."""
    worst, none = jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
    return Patience(worst, none, worst, none, jnp.zeros((), jnp.bool_))


def update(
    state: Patience, value: Scalar, epoch: Scalar, patience: Scalar = NEVER, min_delta: Scalar = 0.0
) -> Patience:
    """State after `epoch` (from 1), which ended with `value` (lower is better).

    NaN never counts as an improvement; improvement is strict, so the earliest of equal epochs is the best.
    A run that is evaluated every k epochs calls this at those epochs only: patience stays in epochs.

    Args:
      value: validation loss, scalar.
      epoch: number of the epoch, scalar.
      patience: epochs without improvement after which to stop, at least 1; `NEVER` to go on.
      min_delta: smallest gain that counts, at least 0.
    """
    value, epoch = jnp.asarray(value, jnp.float32), jnp.asarray(epoch, jnp.int32)
    going = ~state.stopped
    better = going & (value < state.best)
    marks = going & (value < state.marked - min_delta)
    marked_epoch = jnp.where(marks, epoch, state.marked_epoch)
    waited = (epoch - marked_epoch).astype(jnp.float32)
    return Patience(
        best=jnp.where(better, value, state.best),
        best_epoch=jnp.where(better, epoch, state.best_epoch),
        marked=jnp.where(marks, value, state.marked),
        marked_epoch=marked_epoch,
        stopped=state.stopped | (waited >= jnp.asarray(patience, jnp.float32)),
    )
