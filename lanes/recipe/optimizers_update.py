"""How an optimizer's direction becomes a whole update: an Optax transformation, built inside the traced step.

An optimizer is a frozen description whose float fields may be tracers. `build(...)` chains, in this order: clipping of
the gradient's global norm, the optimizer's direction d, decoupled weight decay, and the learning rate:

    g ← g · min(1, clip / ‖g‖);   θ ← θ - learning_rate · (d(g) + weight_decay · θ)

`learning_rate` already includes the schedule and plateau factors, so that no optimizer state holds a schedule and nothing
recompiles when a number changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import optax

Scalar = jax.Array | float
Params = Any


@runtime_checkable
class OptimizerLike(Protocol):
    """Any optimizer, built in or user-defined.

    Where `needs_value` is True the transformation is called as `update(grads, state, params, value=loss, grad=grads,
    value_fn=loss_of_params)`.
    """

    needs_value: ClassVar[bool]

    def build(
        self,
        *,
        learning_rate: Scalar,
        momentum: Scalar | None = None,
        weight_decay: Scalar | None = None,
        mask: Callable[[Params], Any] | None = None,
        clip: Scalar | None = None,
        key: jax.Array | None = None,
        examples: Scalar | None = None,
    ) -> optax.GradientTransformationExtraArgs:
        """The whole update as an Optax transformation; see `Optimizer.build`."""
        ...


@runtime_checkable
class ChecksStrengths(Protocol):
    """An optimizer that checks its fields and the run's settings that it is combined with."""

    def check(
        self, *, momentum: float | None = None, weight_decay: float | None = None, clip: float | None = None
    ) -> None:
        """Raises ValueError, in one line, for a value out of range or without effect."""
        ...


@runtime_checkable
class ChecksBatch(Protocol):
    """An optimizer that restricts the batch size."""

    def check_batch(self, batch_size: int, examples: int) -> None:
        """Raises ValueError, in one line, for a wrong batch size; `examples` is the size of the training split."""
        ...


@runtime_checkable
class DecaysWeights(Protocol):
    """An optimizer with its own weight decay."""

    weight_decay: float


@dataclasses.dataclass(frozen=True)
class Optimizer(OptimizerLike):
    """Base of the optimizers: turns a direction into a whole update.

    `uses_momentum`: the run's `momentum` has an effect. `default_momentum`: used if the run sets none; None: no momentum.
    """

    uses_momentum: ClassVar[bool] = False
    needs_value: ClassVar[bool] = False
    default_momentum: ClassVar[float | None] = None

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        """The transformation from the gradient to the (positive) direction d."""
        raise NotImplementedError

    def build(
        self,
        *,
        learning_rate: Scalar,
        momentum: Scalar | None = None,
        weight_decay: Scalar | None = None,
        mask: Callable[[Params], Any] | None = None,
        clip: Scalar | None = None,
        key: jax.Array | None = None,
        examples: Scalar | None = None,
    ) -> optax.GradientTransformationExtraArgs:
        """The whole update as an Optax transformation; every number may be traced, while None means off and is static.

        Args:
          learning_rate: scalar, including the schedule and plateau factors.
          momentum: scalar; None means `default_momentum`. Ignored unless `uses_momentum`.
          weight_decay: scalar, decoupled.
          mask: params -> tree of bools, True where weights decay (kernels); None: everywhere.
          clip: largest global norm of the gradient, applied first.
          key: typed PRNG key of this step, for optimizers that add noise.
          examples: number of training examples, for the same optimizers.
        """
        del key, examples
        momentum = self.default_momentum if momentum is None else momentum
        parts = (*self._before(clip), self.direction(momentum), *self._after(learning_rate, weight_decay, mask))
        return _promoting(optax.chain(*parts))

    def _before(self, clip: Scalar | None) -> list[optax.GradientTransformation]:
        return [] if clip is None else [optax.clip_by_global_norm(clip)]

    def _decay(self, weight_decay: Scalar | None, mask: Callable | None) -> list[optax.GradientTransformation]:
        return [] if weight_decay is None else [optax.add_decayed_weights(weight_decay, mask)]

    def _after(
        self, learning_rate: Scalar, weight_decay: Scalar | None, mask: Callable | None
    ) -> list[optax.GradientTransformation]:
        return [*self._decay(weight_decay, mask), optax.scale_by_learning_rate(learning_rate)]

    def check(
        self, *, momentum: float | None = None, weight_decay: float | None = None, clip: float | None = None
    ) -> None:
        """Raises ValueError, in one line, for a field or a setting of the run that is out of range or has no effect."""
        name = type(self).__name__
        if momentum is not None and not self.uses_momentum:
            raise ValueError(
                f"`momentum` (={momentum}) has no meaning for {name}: leave it out, or use momentum, nesterov, rmsprop"
            )
        if momentum is not None and not 0.0 <= momentum < 1.0:
            raise ValueError(f"`momentum` (={momentum}) must be in [0, 1)")
        if weight_decay is not None and not weight_decay >= 0.0:
            raise ValueError(f"`weight_decay` (={weight_decay}) must be 0 or more")
        if clip is not None and not clip > 0.0:
            raise ValueError(f"`clip` (={clip}) must be above 0: it is the largest norm of the gradient")
        for field in dataclasses.fields(self):
            _check_field(name, field.name, getattr(self, field.name))


def _promoting(transformation: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """Lets Optax raise a traced float to its int32 count (b1ᵗ), which JAX's strict dtype promotion would refuse."""

    def update(updates: Params, state: Any, params: Params | None = None, **extra: Any) -> tuple[Params, Any]:
        with jax.numpy_dtype_promotion("standard"):
            return transformation.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(transformation.init, update)


def _check_field(optimizer: str, name: str, value: float) -> None:
    if name in ("b1", "b2", "decay") and not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` (={value}) of {optimizer} must be in [0, 1)")
    if name == "eps" and not value > 0.0:
        raise ValueError(f"`{name}` (={value}) of {optimizer} must be above 0")
    if name in ("initial", "temperature") and not value >= 0.0:
        raise ValueError(f"`{name}` (={value}) of {optimizer} must be 0 or more")
    if name in ("memory", "line_search_steps") and not value >= 1:
        raise ValueError(f"`{name}` (={value}) of {optimizer} must be 1 or more")
