"""Entropies and divergences, in nats: probabilities [..., K] or Gaussian parameters [..., M] in, [...] out."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import entr, xlogy

from losses import shapes

Array = jax.Array


def _same(name: str, p: Array, q: Array) -> None:
    if p.shape != q.shape:
        raise ValueError(f"{name}: shapes {p.shape} and {q.shape} differ: both must cover the same K outcomes")


def entropy(p: Array) -> Array:
    """Expected information of a distribution, with 0 log 0 = 0.

    Formula: H(P) = -Σ_k p_k log p_k
    Reference: Shannon, 1948
    """
    return jnp.sum(entr(p), axis=-1)


def cross_entropy(p: Array, q: Array) -> Array:
    """Nats needed to encode P with a code made for Q; infinite where p > 0 and q = 0.

    To train from logits use `classification.softmax_cross_entropy`, which cannot overflow.

    Formula: H(P, Q) = -Σ_k p_k log q_k
    Reference: Shannon, 1948
    """
    _same("cross_entropy", p, q)
    return -jnp.sum(xlogy(p, _without_zeros(p, q)), axis=-1)


def kl_divergence(p: Array, q: Array) -> Array:
    """Extra nats of encoding P with a code made for Q; 0 where they agree, infinite where p > 0 and q = 0.

    Formula: KL(P‖Q) = Σ_k p_k log(p_k / q_k) = H(P, Q) - H(P)
    Reference: Kullback and Leibler, 1951
    """
    _same("kl_divergence", p, q)
    return jnp.sum(xlogy(p, p) - xlogy(p, _without_zeros(p, q)), axis=-1)


def _without_zeros(p: Array, q: Array) -> Array:
    """q with 1 where both are 0, as the gradient of 0 log 0 in q is 0 and not 0 / 0."""
    return jnp.where((p == 0) & (q == 0), 1, q)


def kl_from_logits(predictions: Array, targets: Array) -> Array:
    """Divergence of softmax(logits) from the target distribution; ∂L/∂z = softmax(z) - y, as for cross-entropy.

    Formula: L = Σ_k y_k (log y_k - log softmax(z)_k)
    Reference: Kullback and Leibler, 1951
    """
    predictions, targets = shapes.aligned("kl_divergence", predictions, targets)
    log_targets = jnp.log(jnp.where(targets == 0, 1, targets))
    return jnp.sum(shapes.weighted(targets, log_targets - jax.nn.log_softmax(predictions, axis=-1)), axis=-1)


def entropy_from_logits(predictions: Array) -> Array:
    """Entropy of softmax(logits), the net's own uncertainty about an example.

    Formula: H = -Σ_k softmax(z)_k log softmax(z)_k
    Reference: Shannon, 1948
    """
    log_p = jax.nn.log_softmax(predictions, axis=-1)
    return -jnp.sum(shapes.weighted(jnp.exp(log_p), log_p), axis=-1)


def gaussian_kl(mean: Array, log_variance: Array) -> Array:
    """Divergence of a diagonal Gaussian from the standard normal, summed over the M latent dimensions.

    Formula: KL(N(μ, diag σ²)‖N(0, I)) = ½ Σ_i (μ_i² + σ_i² - 1 - log σ_i²)
    Reference: Kingma and Welling, 2014, appendix B
    """
    _same("gaussian_kl", mean, log_variance)
    # expm1 keeps the result exact near σ = 1, where e^v - 1 - v would cancel.
    return 0.5 * jnp.sum(mean**2 + jnp.expm1(log_variance) - log_variance, axis=-1)


def bits(nats: Array | float) -> Array | float:
    """Nats converted to bits.

    Formula: bits = nats / log 2
    Reference: Shannon, 1948
    """
    return nats / math.log(2)
