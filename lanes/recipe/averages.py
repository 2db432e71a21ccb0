"""Averages of the parameters along a run, which are evaluated in place of the last iterate.

An average is a frozen description with `init(params) -> state`, `update(state, params, step, horizon) -> state` after
each update (`step` 0-based, traced int32; `horizon` the number of steps of the run) and `params(state) -> params`. Only
parameters are averaged: the running statistics of batch normalization belong to the last iterate and should be
recomputed for the average.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

Params = Any


@runtime_checkable
class AverageLike(Protocol):
    """Any average, built in or user-defined."""

    def init(self, params: Params) -> Any:
        """State before the first update."""
        ...

    def update(self, state: Any, params: Params, step: jax.Array, horizon: jax.Array) -> Any:
        """State after including the iterate `params`; `step` is 0-based, `horizon` the number of steps."""
        ...

    def params(self, state: Any) -> Params:
        """The average."""
        ...


@runtime_checkable
class ReadsOptimizer(Protocol):
    """An average that the optimizer keeps in its own state: it takes the place of `update`."""

    def of_optimizer(self, params: Params, state: Any) -> Params:
        """The average, from the parameters and the state of the optimizer after an update."""
        ...


def averaged(
    average: AverageLike | None, state: Any, params: Params, optimizer_state: Any, step: jax.Array, horizon: jax.Array
) -> Any:
    """The average's state after an update; unchanged without an average."""
    if average is None:
        return state
    if isinstance(average, ReadsOptimizer):
        return average.of_optimizer(params, optimizer_state)
    return average.update(state, params, step, horizon)


@dataclasses.dataclass(frozen=True)
class Average(AverageLike):
    """Base of the averages."""

    def check(self) -> None:
        """Raises ValueError, in one line, for a field out of range."""


class Mean(NamedTuple):
    """State of a weighted mean of iterates."""

    taken: jax.Array  # int32, iterates included so far
    average: Params


def _blend(weight: jax.Array, new: Params, old: Params) -> Params:
    """weight·new + (1 - weight)·old, each leaf in its own precision."""
    return jax.tree.map(lambda n, o: optax.incremental_update(n, o, weight.astype(n.dtype)), new, old)


@dataclasses.dataclass(frozen=True)
class EMA(Average):
    """Exponential moving average of the iterates, corrected for the bias towards its start.

    Equal to a / (1 - decayᵗ) with a ← decay·a + (1 - decay)·θ from a = 0, but written as a running mean, which loses no
    digits in that division. Before the first update it is the initial parameters.

    Formula: average ← average + w·(θ - average), w = (1 - decay) / (1 - decayᵗ), t from 1
    Reference: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; Kingma and Ba, 2014
    """

    decay: float = 0.999

    def init(self, params: Params) -> Mean:
        return Mean(jnp.zeros((), jnp.int32), params)

    def update(self, state: Mean, params: Params, step: jax.Array, horizon: jax.Array) -> Mean:
        del step, horizon
        taken = state.taken + 1
        decay = jnp.asarray(self.decay, jnp.float32)
        weight = (1.0 - decay) / (1.0 - decay ** taken.astype(jnp.float32))
        return Mean(taken, _blend(weight, params, state.average))

    def params(self, state: Mean) -> Params:
        return state.average

    def check(self) -> None:
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"`decay` (={self.decay}) of average ema must be in [0, 1)")


@dataclasses.dataclass(frozen=True)
class SWA(Average):
    """Stochastic weight averaging: the plain mean of the iterates after the fraction `start` of the run.

    Every iterate counts (the paper takes one per epoch). Before the start the average is the last iterate; with
    `start=0` it is the average of Polyak and Ruppert.

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
        return Mean(taken, _blend(weight, params, state.average))

    def params(self, state: Mean) -> Params:
        return state.average

    def check(self) -> None:
        if not 0.0 <= self.start < 1.0:
            raise ValueError(f"`start` (={self.start}) of average swa must be a fraction of the run in [0, 1)")


@dataclasses.dataclass(frozen=True)
class ScheduleFree(Average):
    """The average that a schedule-free optimizer of `optax.contrib` keeps, at which its paper evaluates.

    The gradient is taken at y, which are the parameters of the run, between the average x and the iterate z.

    Formula: x = (y - (1 - b1)·z) / b1
    Reference: Defazio et al., The Road Less Scheduled, 2024
    """

    def init(self, params: Params) -> Params:
        return params

    def update(self, state: Params, params: Params, step: jax.Array, horizon: jax.Array) -> Params:
        del params, step, horizon
        return state

    def params(self, state: Params) -> Params:
        return state

    def of_optimizer(self, params: Params, state: Any) -> Params:
        """The average; raises ValueError for the state of an optimizer that is not schedule-free."""
        kind = optax.contrib.ScheduleFreeState
        found = [node for node in jax.tree.leaves(state, is_leaf=_is_schedule_free) if isinstance(node, kind)]
        if len(found) != 1:
            raise ValueError(
                "average is schedule_free and the optimizer keeps no such average: use optax.contrib.schedule_free_adamw, or "
                "another optimizer in optax.contrib.schedule_free"
            )
        with jax.numpy_dtype_promotion("standard"):
            return optax.contrib.schedule_free_eval_params(found[0], params)


def _is_schedule_free(node: Any) -> bool:
    return isinstance(node, optax.contrib.ScheduleFreeState)


AVERAGES: dict[str, Average] = {
    "ema": EMA(),
    "polyak": SWA(start=0.0),
    "swa": SWA(),
    "schedule_free": ScheduleFree(),
}
