"""Learning-rate schedules: the factor on a run's learning rate at each step.

A schedule is a frozen description called as `schedule(step, horizon) -> factor`. `step` is the traced int32 number of
updates already made (0 for the first update), `horizon` the traced int32 number of updates in the whole run, `factor` a
float32 scalar. Warm-up is counted in steps; all other times are fractions of the horizon, so that they mean the same at
any batch size.

Optax's schedules do not serve: they compare their lengths in Python, which a traced horizon does not allow.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

Scalar = jax.Array | float


@runtime_checkable
class ScheduleLike(Protocol):
    """Any schedule, built in or user-defined.

    `adapts`: the factor also depends on the run's validation loss, through `init` and, once per epoch, `update`, as in
    `ReduceOnPlateau`.
    """

    adapts: ClassVar[bool]

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        """Factor (float32 scalar) at the 0-based `step` of `horizon` steps."""
        ...


@dataclasses.dataclass(frozen=True)
class Schedule(ScheduleLike):
    """Base of the schedules: a factor from step and horizon, and range checks before anything starts."""

    adapts: ClassVar[bool] = False

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        """Factor (float32 scalar) at the 0-based `step` of `horizon` steps."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ValueError, in one line, for a field out of range."""


def progress(step: jax.Array, horizon: jax.Array, start: Scalar = 0.0) -> jax.Array:
    """Fraction of the way from step `start` to step `horizon`, in [0, 1], float32."""
    length = jnp.maximum(_float(horizon) - start, 1.0)
    return jnp.clip((_float(step) - start) / length, 0.0, 1.0)


def ramp(step: jax.Array, warmup: Scalar) -> jax.Array:
    """Linear warm-up min(1, (step + 1) / warmup): not 0 at the first update, 1 at update number `warmup`."""
    return jnp.minimum(1.0, (_float(step) + 1.0) / jnp.maximum(_float(warmup), 1.0))


def _float(x: Scalar) -> jax.Array:
    return jnp.asarray(x, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Constant(Schedule):
    """Leaves the learning rate as it is.

    Formula: factor = 1
    Reference: Robbins and Monro, A Stochastic Approximation Method, 1951 (whose proof requires decay)
    """

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        del step, horizon
        return jnp.ones((), jnp.float32)


@dataclasses.dataclass(frozen=True)
class Step(Schedule):
    """Multiplies the rate by `factor` at each fraction of the run in `at`.

    Formula: factor ** #{a in at: step >= round(a·horizon)}
    Reference: He et al., Deep Residual Learning for Image Recognition, 2015 (0.1 at half and three quarters)
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        # Rounded to whole steps: in float32, 0.1·horizon may land on either side of the intended step.
        milestones = jnp.round(jnp.asarray(self.at, jnp.float32) * _float(horizon))  # [milestones]
        passed = jnp.sum(_float(step) >= milestones, dtype=jnp.int32)
        return _float(self.factor) ** _float(passed)

    def check(self) -> None:
        if not all(0.0 <= a <= 1.0 for a in self.at) or list(self.at) != sorted(self.at):
            raise ValueError(f"`at` (={self.at}) of schedule step must be rising fractions of the run in [0, 1]")
        if not 0.0 < self.factor <= 1.0:
            raise ValueError(f"`factor` (={self.factor}) of schedule step must be in (0, 1]")


@dataclasses.dataclass(frozen=True)
class Exponential(Schedule):
    """Decays by the same ratio each step, down to `final` at the end of the run.

    Formula: final ** (step / horizon)
    Reference: Darken and Moody, Note on Learning Rate Schedules for Stochastic Optimization, 1990
    """

    final: float = 0.01

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        return _float(self.final) ** progress(step, horizon)

    def check(self) -> None:
        if not 0.0 < self.final <= 1.0:
            raise ValueError(f"`final` (={self.final}) of schedule exponential must be in (0, 1]")


@dataclasses.dataclass(frozen=True)
class Linear(Schedule):
    """Linear warm-up over `warmup` steps, then a straight line from 1 to `final`.

    Formula: min(1, (step + 1)/warmup) · (1 - (1 - final)·t), t = (step - warmup)/(horizon - warmup) clipped to [0, 1]
    Reference: Goyal et al., Accurate, Large Minibatch SGD, 2017 (warm-up); Devlin et al., BERT, 2018 (linear decay)
    """

    final: float = 0.0
    warmup: float = 0.0

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        t = progress(step, horizon, self.warmup)
        return ramp(step, self.warmup) * (1.0 - (1.0 - self.final) * t)

    def check(self) -> None:
        _check_decay("linear", self.final, self.warmup)


@dataclasses.dataclass(frozen=True)
class Cosine(Schedule):
    """Linear warm-up over `warmup` steps, then half a cosine from 1 to `final`, without restarts.

    Formula: min(1, (step + 1)/warmup) · (final + (1 - final)·(1 + cos(π·t))/2), t as in `Linear`
    Reference: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2016
    """

    final: float = 0.0
    warmup: float = 0.0

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        t = progress(step, horizon, self.warmup)
        return ramp(step, self.warmup) * (self.final + (1.0 - self.final) * 0.5 * (1.0 + jnp.cos(jnp.pi * t)))

    def check(self) -> None:
        _check_decay("cosine", self.final, self.warmup)


@dataclasses.dataclass(frozen=True)
class Warmup(Schedule):
    """Linear warm-up over `warmup` steps, then constant.

    Formula: min(1, (step + 1)/warmup)
    Reference: Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017
    """

    warmup: float = 100.0

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        del horizon
        return ramp(step, self.warmup)

    def check(self) -> None:
        _check_decay("warmup", 0.0, self.warmup)


@dataclasses.dataclass(frozen=True)
class Ramp(Schedule):
    """Straight from 0 at the fraction `start` of the run to 1 at the fraction `end`: for a strength that comes in late.

    Formula: (t - start)/(end - start) clipped to [0, 1], t = step / horizon; a jump to 1 at `start` if `end` is `start`
    Reference: Bowman et al., Generating Sentences from a Continuous Space, 2015 (annealing of a penalty)
    """

    start: float = 0.0
    end: float = 1.0

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        t = _float(step) / jnp.maximum(_float(horizon), 1.0)
        length = _float(self.end) - self.start
        rising = jnp.clip((t - self.start) / jnp.where(length > 0, length, 1.0), 0.0, 1.0)
        return jnp.where(length > 0, rising, (t >= self.start).astype(jnp.float32))

    def check(self) -> None:
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise ValueError(
                f"`start` (={self.start}) and `end` (={self.end}) of schedule ramp must be fractions of the run, 0 ≤ start ≤ end "
                "≤ 1"
            )


def _check_decay(name: str, final: float, warmup: float) -> None:
    if not 0.0 <= final <= 1.0:
        raise ValueError(
            f"`final` (={final}) of schedule {name} must be in [0, 1]: it is a factor of the learning rate"
        )
    if not warmup >= 0.0:
        raise ValueError(f"`warmup` (={warmup}) of schedule {name} must be a number of steps, 0 or more")


class Plateau(NamedTuple):
    """State of `ReduceOnPlateau`: scalars only, one set per lane."""

    factor: jax.Array  # float32, multiplier of the learning rate
    best: jax.Array  # float32, lowest validation loss so far
    bad: jax.Array  # int32, epochs since the last improvement, not counted while cooling down
    cooling: jax.Array  # int32, epochs of cool-down left


@dataclasses.dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Multiplies the rate by `factor` whenever validation loss has not improved for `patience` epochs.

    Each run decides by its own validation loss, or by what it monitors, negated where higher is better: `state = init()` at
    the start, `state = update(state, valid_loss)` after each epoch (or each evaluation, which then counts as an epoch); the
    multiplier is `state.factor`, never below `floor`.
    An improvement is valid_loss < best - min_delta, which is False for NaN. After a reduction, `cooldown` epochs pass
    before bad epochs count again. Patience counts as in early stopping.

    Formula: factor ** (number of reductions); reduce after `patience` epochs in a row without improvement
    Reference: He et al., Deep Residual Learning for Image Recognition, 2015
    """

    factor: float = 0.1
    patience: float = 5.0
    min_delta: float = 0.0
    cooldown: float = 0.0
    floor: float = 0.0
    adapts: ClassVar[bool] = True

    def __call__(self, step: jax.Array, horizon: jax.Array) -> jax.Array:
        """Always 1: the plateau factor comes from the state, not from the step."""
        del step, horizon
        return jnp.ones((), jnp.float32)

    def init(self) -> Plateau:
        """State before the first epoch."""
        zero = jnp.zeros((), jnp.int32)
        return Plateau(jnp.ones((), jnp.float32), jnp.full((), jnp.inf, jnp.float32), zero, zero)

    def update(self, state: Plateau, valid_loss: jax.Array) -> Plateau:
        """State after an epoch that ended with `valid_loss` (scalar)."""
        valid_loss = _float(valid_loss)
        improved = valid_loss < state.best - self.min_delta  # False for NaN
        cooling = jnp.maximum(state.cooling - 1, 0)
        bad = jnp.where(improved | (state.cooling > 0), 0, state.bad + 1)
        reduce = (bad > 0) & (_float(bad) >= self.patience)
        return Plateau(
            factor=jnp.where(reduce, jnp.maximum(state.factor * self.factor, self.floor), state.factor),
            best=jnp.where(improved, valid_loss, state.best),
            bad=jnp.where(reduce, 0, bad),
            cooling=jnp.where(reduce, jnp.asarray(self.cooldown, jnp.int32), cooling),
        )

    def check(self) -> None:
        if not 0.0 < self.factor < 1.0:
            raise ValueError(f"`factor` (={self.factor}) of schedule reduce_on_plateau must be in (0, 1)")
        if not self.patience >= 1.0:
            raise ValueError(f"`patience` (={self.patience}) of schedule reduce_on_plateau must be 1 epoch or more")
        for name in ("min_delta", "cooldown"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"`{name}` (={getattr(self, name)}) of schedule reduce_on_plateau must be 0 or more")
        if not 0.0 <= self.floor <= 1.0:
            raise ValueError(f"`floor` (={self.floor}) of schedule reduce_on_plateau must be in [0, 1]")


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "step": Step(),
    "exponential": Exponential(),
    "linear": Linear(),
    "cosine": Cosine(),
    "warmup": Warmup(),
    "warmup_cosine": Cosine(warmup=100.0),
    "ramp": Ramp(),
    "reduce_on_plateau": ReduceOnPlateau(),
}
