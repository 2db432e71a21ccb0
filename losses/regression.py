"""Regression losses: predictions and targets of equal shape [B, ...] in, one number per example [B] out.

Integer labels become one-hot if the predictions have a class axis, so that squared error can classify.
Sums run over an example's outputs; the caller takes the mean (or the sum) over examples.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax

from losses import shapes

Array = jax.Array


@jax.custom_jvp
def magnitude(x: Array) -> Array:
    """|x| with gradient 0 at 0; the gradient of `jnp.abs` there is 1 and would push exact zeros away.

    Formula: |x|, d|x|/dx = 1 for x > 0, -1 for x < 0, 0 at 0
    Reference: introductory
    """
    return jnp.abs(x)


@magnitude.defjvp
def _magnitude_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (x_dot,) = primals, tangents
    return jnp.abs(x), jnp.where(x > 0, x_dot, jnp.where(x < 0, -x_dot, jnp.zeros_like(x_dot)))


def _errors(name: str, predictions: Array, targets: Array) -> Array:
    """ŷ - y, [B, K]."""
    predictions, targets = shapes.aligned(name, predictions, targets)
    return shapes.rows(predictions) - shapes.rows(targets)


def squared_error(predictions: Array, targets: Array) -> Array:
    """Squared Euclidean distance; ∂L/∂ŷ = 2 (ŷ - y), of which the delta rule drops the factor 2.

    Formula: L = ‖ŷ - y‖²
    Reference: Legendre, 1805
    """
    return shapes.total(optax.squared_error(_errors("squared_error", predictions, targets)))


def half_squared_error(predictions: Array, targets: Array) -> Array:
    """Half the squared distance, to be summed over examples; ∂L/∂ŷ = ŷ - y.

    Formula: L = ½ Σ (y - ŷ)²
    Reference: Rumelhart, Hinton and Williams, 1986
    """
    return 0.5 * squared_error(predictions, targets)


def half_mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Half the squared distance, to be averaged over n examples: 1/(2n) Σ ‖y - a‖².

    Formula: L = ½ ‖y - a‖², mean over examples
    Reference: Nielsen, 2015
    """
    return 0.5 * squared_error(predictions, targets)


def mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Squared error averaged over an example's m outputs.

    Formula: L = 1/m ‖ŷ - y‖²
    Reference: Gauss, 1809
    """
    return shapes.average(optax.squared_error(_errors("mean_squared_error", predictions, targets)))


def root_mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Root mean square over each example's m outputs; the gradient at a perfect example is 0.

    The RMSE of a batch or a data set is the root of the mean of `mean_squared_error`, not the mean of these roots:
    `metrics.root_mean_squared_error` computes it.

    Formula: L = √(1/m Σ_i (ŷ_i - y_i)²)
    Reference: Gauss, 1809
    """
    errors = _errors("root_mean_squared_error", predictions, targets)
    largest = jnp.max(jnp.abs(errors), axis=tuple(range(1, errors.ndim)), keepdims=True, initial=0)
    limits = jnp.finfo(errors.dtype)
    # Errors whose squares may overflow are divided by a power of two; others by 1, which changes nothing.
    overflows = (largest > math.sqrt(limits.max) / max(1, math.prod(errors.shape[1:]))) & (largest < jnp.inf)
    scale = jnp.where(overflows, jnp.asarray(2.0 ** (limits.maxexp * 5 // 8), errors.dtype), 1)
    squares = shapes.average(optax.squared_error(errors / scale))
    positive = squares > 0
    return scale.reshape(squares.shape) * jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def absolute_error(predictions: Array, targets: Array) -> Array:
    """L1 distance; its mean over examples is the mean absolute error (MAE, MAD). The gradient at 0 is 0.

    Formula: L = Σ_i |ŷ_i - y_i|
    Reference: Laplace, 1799
    """
    return shapes.total(magnitude(_errors("absolute_error", predictions, targets)))


def mean_absolute_error(predictions: Array, targets: Array) -> Array:
    """Absolute error averaged over an example's m outputs.

    Formula: L = 1/m Σ_i |ŷ_i - y_i|
    Reference: Laplace, 1799
    """
    return shapes.average(magnitude(_errors("mean_absolute_error", predictions, targets)))


def log_cosh(predictions: Array, targets: Array) -> Array:
    """Quadratic near 0, absolute far away, smooth everywhere; no overflow; ∂L/∂ŷ = tanh(ŷ - y).

    Formula: L = Σ_i log cosh(ŷ_i - y_i)
    Reference: Chen, Chen and Cohen, 2018
    """
    return shapes.total(optax.log_cosh(_errors("log_cosh", predictions, targets)))


@dataclasses.dataclass(frozen=True)
class Lp:
    """Sum of p-th powers (no root), p = 3 by default; the gradient at 0 is 0.

    Formula: L = Σ_i |ŷ_i - y_i|^p
    Reference: Gonin and Money, 1989
    """

    p: float = 3.0

    def check(self) -> None:
        if not self.p >= 1:
            raise ValueError(f"lp: p={self.p} must be 1 or more, as the loss is not convex below; 1 is absolute_error")

    def __call__(self, predictions: Array, targets: Array) -> Array:
        distances = jnp.abs(_errors("lp", predictions, targets))
        positive = distances > 0
        # The derivative of 0^(p-1) is not finite for p below 2: keep 0 out of the power.
        powers = jnp.where(positive, distances, 1) ** jnp.asarray(self.p, distances.dtype)
        return shapes.total(jnp.where(positive, powers, 0))


@dataclasses.dataclass(frozen=True)
class Huber:
    """Quadratic up to delta, absolute beyond it; delta 1 by default.

    Formula: L = Σ_i ½ e_i² where |e_i| ≤ δ, δ (|e_i| - ½ δ) elsewhere, e = ŷ - y
    Reference: Huber, 1964
    """

    delta: float = 1.0

    def check(self) -> None:
        if not self.delta > 0:
            raise ValueError(f"huber: delta={self.delta} must be above 0; 1.0 is usual")

    def __call__(self, predictions: Array, targets: Array) -> Array:
        errors = _errors("huber", predictions, targets)
        return shapes.total(optax.huber_loss(errors, delta=jnp.asarray(self.delta, errors.dtype)))
