"""Averages of the parameters along a run: what is evaluated in place of the last iterate.

A description with `init(params) -> state`, `update(state, params, step, horizon) -> state` after each update (`step`
0-based, traced int32, `horizon` the run's number of steps) and `params(state) -> params`. Only parameters are averaged:
running statistics of batch normalization belong to the last iterate and want recomputing for the average.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Params = Any


@dataclasses.dataclass(frozen=True)
class Average:
    """What all averages share."""

    def init(self, params: Params) -> Any:
        """State before the first update."""
        raise NotImplementedError

    def update(self, state: Any, params: Params, step: jax.Array, horizon: jax.Array) -> Any:
        """State with the iterate `params` taken in."""
        raise NotImplementedError

    def params(self, state: Any) -> Params:
        """The average."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ValueError with one line if a field is out of range."""


@dataclasses.dataclass(frozen=True)
class EMA(Average):
    """Exponential moving average of the iterates, corrected for its start at zero (undefined before the first update).

    Formula: a ← decay·a + (1 - decay)·θ; average = a / (1 - decayᵗ)
    Reference: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; Kingma and Ba, 2014
    """

    decay: float = 0.999

    def init(self, params: Params) -> optax.EmaState:
        return optax.ema(self.decay).init(params)

    def update(self, state: optax.EmaState, params: Params, step: jax.Array, horizon: jax.Array) -> optax.EmaState:
        del step, horizon
        _, state = optax.ema(self.decay, debias=False).update(params, state)
        return state

    def params(self, state: optax.EmaState) -> Params:
        # Optax raises the float decay to its int32 count.
        with jax.numpy_dtype_promotion("standard"):
            return optax.tree.bias_correction(state.ema, self.decay, jnp.maximum(state.count, 1))

    def check(self) -> None:
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"`decay` (={self.decay}) of average ema must be in [0, 1)")


class Mean(NamedTuple):
    """State of a running mean."""

    taken: jax.Array  # int32, iterates taken in since the start
    average: Params


@dataclasses.dataclass(frozen=True)
class SWA(Average):
    """Stochastic weight averaging: the plain mean of the iterates from the fraction `start` of the run on.

    Every iterate counts (the paper takes one per epoch). Before the start the average is the last iterate. With
    `start=0` it is Polyak and Ruppert's average.

    Formula: average = mean of θ after the steps with step >= round(start·horizon)
    Reference: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018; Ruppert, 1988
    """

    start: float = 0.75

    def init(self, params: Params) -> Mean:
        return Mean(jnp.zeros((), jnp.int32), params)

    def update(self, state: Mean, params: Params, step: jax.Array, horizon: jax.Array) -> Mean:
        first = jnp.round(self.start * jnp.asarray(horizon, jnp.float32))
        taken = state.taken + (jnp.asarray(step, jnp.float32) >= first).astype(jnp.int32)
        weight = 1.0 / jnp.maximum(taken, 1).astype(jnp.float32)  # 1 before the start: the iterate itself

        def take_in(new: jax.Array, old: jax.Array) -> jax.Array:
            return optax.incremental_update(new, old, weight.astype(new.dtype))

        return Mean(taken, jax.tree.map(take_in, params, state.average))

    def params(self, state: Mean) -> Params:
        return state.average

    def check(self) -> None:
        if not 0.0 <= self.start < 1.0:
            raise ValueError(f"`start` (={self.start}) of average swa must be a fraction of the run in [0, 1)")


AVERAGES: dict[str, Average] = {
    "ema": EMA(),
    "polyak": SWA(start=0.0),
    "swa": SWA(),
}
