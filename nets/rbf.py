"""Radial basis function networks: hidden units that respond to the distance from a centre."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.dense import dense
from nets.layers import Dropout, Initializer, flatten, kernel_default
from nets.shapes import check_form, check_positive

# Functions of q = ‖x - c‖² / σ².
BASES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gaussian": lambda q: jnp.exp(-q / 2),
    "inverse_quadratic": lambda q: 1 / (1 + q),
    "inverse_multiquadric": lambda q: jax.lax.rsqrt(1 + q),
    "multiquadric": lambda q: jnp.sqrt(1 + q),
}


def squared_distances(x: jax.Array, centers: jax.Array) -> jax.Array:
    """‖x_b - c_j‖² for x [B, F] and centers [M, F]: [B, M], as ‖x‖² - 2 x·c + ‖c‖², clipped at 0."""
    product = jnp.einsum("bf,mf->bm", x, centers)
    return jnp.maximum((x**2).sum(axis=1)[:, None] - 2 * product + (centers**2).sum(axis=1)[None, :], 0)


class RBF(nn.Module):
    """h_j = φ(‖x - c_j‖² / σ_j²), prediction = h W + b (Broomhead and Lowe 1988).

    Hidden units respond to a distance instead of an inner product. Input [B, …] is flattened to [B, F]. Trained by
    gradient (centres, widths and readout), or directly by `fit`.

    Args:
        centers: number of hidden units.
        basis: φ, a name in `BASES`.
        normalized: divide the h_j of an example by their sum (Moody and Darken 1989).
        outputs, kernel_init, dropout: filled by the engine; kernel_init draws W. Centres are initialized from the
            standard normal and widths at √F, which suits standardised inputs.
    """

    centers: int = 64
    basis: str = "gaussian"
    normalized: bool = False
    outputs: int = 10
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = flatten(x)
        features = x.shape[-1]
        centers = self.param("centers", nn.initializers.normal(1.0), (self.centers, features))
        log_widths = self.param("log_widths", nn.initializers.constant(0.5 * math.log(features)), (self.centers,))
        h = self.hidden(x, centers, log_widths)
        self.sow("intermediates", "hidden", h)
        h = Dropout(self.dropout)(h, train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def hidden(self, x: jax.Array, centers: jax.Array, log_widths: jax.Array) -> jax.Array:
        """Hidden activations [B, M] of flat inputs [B, F], for centers [M, F] and log_widths [M]."""
        h = BASES[self.basis](squared_distances(x, centers) * jnp.exp(-2 * log_widths)[None, :])
        return h / (h.sum(axis=1, keepdims=True) + jnp.finfo(h.dtype).tiny) if self.normalized else h

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse empty examples, no centres, an unknown basis.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_form("RBF", self.basis, tuple(BASES))
        check_positive("centers", (self.centers,))
        check_positive("example shape", shape)


def k_means(key: jax.Array, x: jax.Array, centers: int, rounds: int = 20) -> jax.Array:
    """Centres [M, F] of x [N, F] by rounds of Lloyd's algorithm; a centre without examples does not move.

    Centres start at examples drawn one after another, with probability proportional to the squared distance from the
    nearest drawn before (k-means++, Arthur and Vassilvitskii 2007).

    Raises:
        ValueError: more centres than examples.
    """
    if centers > x.shape[0]:
        raise ValueError(f"{centers} centers from {x.shape[0]} examples: use at most as many centers as examples")

    def round_(_: int, c: jax.Array) -> jax.Array:
        member = jax.nn.one_hot(squared_distances(x, c).argmin(axis=1), centers, dtype=x.dtype)  # [N, M]
        count = member.sum(axis=0)[:, None]
        return jnp.where(count > 0, jnp.einsum("nm,nf->mf", member, x) / jnp.maximum(count, 1), c)

    first_key, key = jax.random.split(key)

    def spread(index: int, c: jax.Array) -> jax.Array:
        # Centres not drawn yet still hold the first example, which leaves the smallest distances unchanged.
        gap = squared_distances(x, c).min(axis=1)
        return c.at[index].set(x[jax.random.categorical(jax.random.fold_in(key, index), jnp.log(gap))])

    first = x[jax.random.randint(first_key, (), 0, x.shape[0])]
    start = jax.lax.fori_loop(1, centers, spread, jnp.broadcast_to(first, (centers, x.shape[1])))
    return jax.lax.fori_loop(0, rounds, round_, start)


def fit(net: RBF, key: jax.Array, x: jax.Array, targets: jax.Array, ridge: float = 1e-6) -> dict[str, Any]:
    """Fit without gradients: centres by k-means, widths from their spacing, readout by least squares.

    σ = d_max / √(2 M), d_max the largest distance between centres; W, b = argmin ‖H W + b - Y‖² + ridge N ‖W‖².

    Args:
        net: with `outputs` equal to the number of target columns.
        key: draws the initial centres of k-means.
        x: inputs [N, …].
        targets: Y [N, outputs], one-hot for classes.
        ridge: keeps the system solvable.

    Returns:
        Variables of the net.
    """
    flat = flatten(x)
    centers = k_means(key, flat, net.centers)
    spread = jnp.sqrt(squared_distances(centers, centers).max() / (2 * net.centers))
    log_widths = jnp.full((net.centers,), jnp.log(jnp.maximum(spread, jnp.finfo(x.dtype).tiny)), x.dtype)
    params = {"centers": centers, "log_widths": log_widths}
    h = net.hidden(flat, centers, log_widths)
    h_mean, y_mean = h.mean(axis=0), targets.mean(axis=0)
    h_centred = h - h_mean[None, :]
    gram = h_centred.T @ h_centred + ridge * x.shape[0] * jnp.eye(net.centers, dtype=x.dtype)
    kernel = jnp.linalg.solve(gram, h_centred.T @ (targets - y_mean[None, :]))
    return {"params": {**params, "output": {"kernel": kernel, "bias": y_mean - h_mean @ kernel}}}
