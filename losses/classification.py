"""Classification losses: logits in, one number per example out.

`predictions` are the net's raw outputs (logits z), never probabilities. `targets` are integer labels [...], one-hot
rows or distributions [..., K]. Sequences work too: logits [B, T, K] with labels [B, T] give losses [B, T].

A logit of -inf rules its class out: losses and gradients stay finite unless the target gives that class weight.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.custom_derivatives import SymbolicZero

from losses import shapes

Array = jax.Array


def one_hot(targets: Array, classes: int, dtype: Any = jnp.float32) -> Array:
    """Integer labels [...] as rows of an identity matrix [..., K].

    Formula: y_k = 1[k = label]
    Reference: introductory; coding classes as 1, 2, 3 instead would impose an order that they do not have.
    """
    return jax.nn.one_hot(targets, classes, dtype=dtype)


def smooth(targets: Array, alpha: float | Array) -> Array:
    """Label smoothing of one-hot rows or distributions [..., K]; alpha may be traced.

    Formula: y' = (1 - α) y + α / K
    Reference: Szegedy et al., 2016
    """
    return optax.smooth_labels(targets, jnp.asarray(alpha, targets.dtype))


def smooth_binary(targets: Array, alpha: float | Array) -> Array:
    """Label smoothing of binary targets in {0, 1}, the two-class case of `smooth`; alpha may be traced.

    Formula: y' = (1 - α) y + α / 2
    Reference: Szegedy et al., 2016
    """
    targets = targets if jnp.issubdtype(targets.dtype, jnp.floating) else targets.astype(jnp.float32)
    alpha = jnp.asarray(alpha, targets.dtype)
    return (1 - alpha) * targets + alpha / 2


def zero_one(predictions: Array, targets: Array) -> Array:
    """1 for a wrong label, 0 for the right one; its gradient is zero, so it measures but cannot train.

    Formula: L = 1[argmax_k z_k ≠ y]; with one output unit L = 1[1[z > 0] ≠ y]
    Reference: introductory; sometimes printed as 1[argmax = y], which is the accuracy.
    """
    predicted, true = shapes.labels("zero_one", predictions, targets)
    return (predicted != true).astype(predictions.dtype)


def binary_cross_entropy(predictions: Array, targets: Array) -> Array:
    """Cross-entropy of one logit per example, [...] or [..., 1], with targets in [0, 1].

    Formula: L = -y log σ(z) - (1 - y) log(1 - σ(z));  ∂L/∂z = σ(z) - y
    Reference: Cox, 1958 (logistic regression); sometimes printed without the minus sign.
    """
    if not shapes.is_single(predictions, targets):
        rule = "it takes one logit per example; use sigmoid_cross_entropy or softmax_cross_entropy"
        raise shapes.mismatch("binary_cross_entropy", predictions, targets, rule)
    predictions, targets = shapes.aligned("binary_cross_entropy", predictions, targets)
    losses = _of_each(predictions, targets)
    return losses[..., 0] if losses.ndim > 1 else losses


def sigmoid_cross_entropy(predictions: Array, targets: Array) -> Array:
    """Cross-entropy of K labels that are not mutually exclusive, summed over them: [B, ...] -> [B].

    Formula: L = Σ_k -y_k log σ(z_k) - (1 - y_k) log(1 - σ(z_k));  ∂L/∂z_k = σ(z_k) - y_k
    Reference: Bishop, 1995, chapter 6 (independent attributes)
    """
    if shapes.is_integer(targets) and targets.ndim < predictions.ndim and predictions.shape[-1] > 1:
        rule = "it takes one target in [0, 1] per output; use softmax_cross_entropy for labels"
        raise shapes.mismatch("sigmoid_cross_entropy", predictions, targets, rule)
    predictions, targets = shapes.aligned("sigmoid_cross_entropy", predictions, targets)
    return shapes.total(_of_each(shapes.rows(predictions), shapes.rows(targets)))


@jax.custom_jvp
def _of_each(logits: Array, targets: Array) -> Array:
    """The cross-entropy of each logit: (1 - y) max(z, 0) + y max(-z, 0) + log(1 + e^-|z|).

    Two logarithms of sigmoids, and what reverse differentiation makes of them, take twice as long.
    """
    linear = shapes.weighted(1 - targets, jnp.maximum(logits, 0)) + shapes.weighted(targets, jnp.maximum(-logits, 0))
    return linear + jnp.log1p(jnp.exp(-jnp.abs(logits)))


@functools.partial(_of_each.defjvp, symbolic_zeros=True)
def _slope_of_each(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    """∂L/∂z = σ(z) - y; ∂L/∂y = -z, left out where y does not depend on anything, since z may be infinite."""
    logits, targets = primals
    by_logits, by_targets = tangents
    slopes = []
    if not isinstance(by_logits, SymbolicZero):
        slopes.append((jax.nn.sigmoid(logits) - targets) * by_logits)
    if not isinstance(by_targets, SymbolicZero):
        slopes.append(-logits * by_targets)
    return _of_each(logits, targets), sum(slopes) if slopes else jnp.zeros_like(logits)


def softmax_cross_entropy(predictions: Array, targets: Array) -> Array:
    """Cross-entropy of logits [..., K] with integer labels [...], one-hot rows or distributions [..., K].

    Formula: L = -Σ_k y_k log softmax(z)_k = log Σ_k e^(z_k) - z_y;  ∂L/∂z = softmax(z) - y
    Reference: Bridle, 1990
    """
    if predictions.ndim == 0 or predictions.shape[-1] < 2:
        rule = "softmax of one output is always 1; use binary_cross_entropy"
        raise shapes.mismatch("softmax_cross_entropy", predictions, targets, rule)
    if shapes.is_integer(targets) and targets.shape == predictions.shape[:-1]:
        return optax.softmax_cross_entropy_with_integer_labels(predictions, targets)
    predictions, targets = shapes.aligned("softmax_cross_entropy", predictions, targets)
    return -jnp.sum(shapes.weighted(targets, jax.nn.log_softmax(predictions, axis=-1)), axis=-1)


def negative_log_likelihood(predictions: Array, targets: Array) -> Array:
    """Log-loss of hard labels: softmax of K logits, or Bernoulli of one.

    Formula: L = -log p(y | x), p = softmax(z), or p(1 | x) = σ(z) with one output unit
    Reference: Fisher, 1922 (maximum likelihood)
    """
    if shapes.is_single(predictions, targets):
        return binary_cross_entropy(predictions, targets)
    return softmax_cross_entropy(predictions, targets)


@dataclasses.dataclass(frozen=True)
class Hinge:
    """Multiclass hinge on scores [..., K] with integer labels or one-hot rows; margin 1 by default.

    Formula: L = Σ_{j≠y} max(0, f_j - f_y + margin)
    Reference: Weston and Watkins, 1999
    """

    margin: float = 1.0

    def check(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"hinge: margin={self.margin} must be above 0; 1.0 is usual")

    def __call__(self, predictions: Array, targets: Array) -> Array:
        if predictions.ndim == 0 or predictions.shape[-1] < 2:
            raise shapes.mismatch("hinge", predictions, targets, "it compares scores of two or more classes")
        predictions, targets = shapes.aligned("hinge", predictions, targets)
        target_score = jnp.sum(shapes.weighted(targets, predictions), axis=-1, keepdims=True)  # [..., 1]
        excess = jax.nn.relu(predictions - target_score + jnp.asarray(self.margin, predictions.dtype))
        excess = jnp.where(predictions == -jnp.inf, 0, excess)  # also of a true class that is ruled out
        return jnp.sum(shapes.weighted(1 - targets, excess), axis=-1)


@dataclasses.dataclass(frozen=True)
class Focal:
    """Cross-entropy that fades for examples already classified well; gamma 2 by default, 0 is cross-entropy.

    Softmax for logits [..., K], sigmoid for a single output unit.

    Formula: L = -Σ_k y_k (1 - p_k)^γ log p_k
    Reference: Lin et al., 2017
    """

    gamma: float = 2.0

    def check(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"focal: gamma={self.gamma} must be 0 or more; 2.0 is usual")

    def __call__(self, predictions: Array, targets: Array) -> Array:
        single = shapes.is_single(predictions, targets)
        predictions, targets = shapes.aligned("focal", predictions, targets)
        if single:
            # Two classes with logits (z, 0), or (0, -inf) for z = inf: one formula serves both.
            predictions = predictions if predictions.ndim > 1 else predictions[..., None]
            targets = targets.reshape(predictions.shape)
            certain = predictions == jnp.inf
            other = jnp.where(certain, -jnp.inf, jnp.zeros_like(predictions))
            predictions = jnp.concatenate([jnp.where(certain, 0, predictions), other], axis=-1)
            targets = jnp.concatenate([targets, 1 - targets], axis=-1)
        log_p = jax.nn.log_softmax(predictions, axis=-1)
        # 1 - p without cancellation; exactly 1, with a gradient of 0, where p is too small for its type.
        unlikely = log_p < math.log(jnp.finfo(log_p.dtype).tiny)
        rest = jnp.where(unlikely, 1, -jnp.expm1(log_p))
        positive = rest > 0
        # Where p rounds to 1 the term vanishes; the inner `where` keeps 0^(γ-1) out of the gradient.
        faded = jnp.where(positive, jnp.where(positive, rest, 1) ** jnp.asarray(self.gamma, rest.dtype), 0)
        return -jnp.sum(shapes.weighted(targets * faded, log_p), axis=-1)
