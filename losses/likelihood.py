"""Negative log-likelihoods of targets under a distribution whose parameters the net predicts."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from losses import shapes

Array = jax.Array

VARIANCES = ("log", "softplus")
SMALL = -15.0  # below it, log softplus(v) is v to the last digit of float32


@dataclasses.dataclass(frozen=True)
class GaussianNLL:
    """Negative log-likelihood, in nats, of D numbers under independent Gaussians whose mean and variance are both predicted.

    Predictions [..., 2 D] are D means, then D numbers v for the variances; targets are [..., D]. The sum runs over an
    example's numbers. It falls without bound where a target is hit exactly and the variance goes to 0.

    Args:
        variance: how v makes the variance: "log", σ² = e^v, or "softplus", σ² = log(1 + e^v).

    Formula: L = Σ_d ½ (log σ_d² + (y_d - μ_d)² / σ_d² + log 2π)
    Reference: Nix and Weigend, 1994; softplus: Lakshminarayanan, Pritzel and Blundell, 2017
    """

    variance: str = "log"

    def check(self) -> None:
        if self.variance not in VARIANCES:
            raise ValueError(f"variance={self.variance!r} of loss gaussian_nll must be one of {', '.join(VARIANCES)}")

    def moments(self, predictions: Array) -> tuple[Array, Array]:
        """Means and log-variances, each [..., D], of predictions [..., 2 D]."""
        if predictions.shape[-1:] == () or predictions.shape[-1] % 2:
            raise ValueError(
                f"gaussian_nll: predictions {predictions.shape} must have two numbers for each target, a mean and a variance"
            )
        mean, raw = jnp.split(predictions, 2, axis=-1)
        if self.variance == "log":
            return mean, raw
        small = raw < SMALL
        return mean, jnp.where(small, raw, jnp.log(jax.nn.softplus(jnp.where(small, 0, raw))))

    def predictions(self, mean: Array, variance: Array) -> Array:
        """The predictions [..., 2 D] that have these moments, [..., D]: the inverse of `moments`."""
        raw = jnp.log(variance) if self.variance == "log" else variance + jnp.log(-jnp.expm1(-variance))
        return jnp.concatenate([mean, raw], axis=-1)

    def __call__(self, predictions: Array, targets: Array) -> Array:
        mean, log_variance = self.moments(predictions)
        targets = targets[..., None] if targets.ndim == mean.ndim - 1 and mean.shape[-1] == 1 else targets
        if targets.shape != mean.shape:
            rule = "give two outputs for each target, its mean and its variance"
            raise shapes.mismatch("gaussian_nll", predictions, targets, rule)
        squares = (targets.astype(mean.dtype) - mean) ** 2
        hit = squares == 0  # then 0, also where 1 / σ² overflows
        terms = log_variance + squares * jnp.exp(-jnp.where(hit, 0, log_variance)) + math.log(2 * math.pi)
        return 0.5 * shapes.total(terms)
