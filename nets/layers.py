"""Layers that all families share: dropout, and a hidden dense layer with all its options.

A net's field `activation` is a factory, called once per layer, which returns the function or module applied there (so
each layer has its own learned slope). A factory with a property `pieces` (maxout) widens the layer by that factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.activations import Layered, Widening
from nets.dense import dense
from nets.dropout import DropoutKind, is_without_effect
from nets.masks import kept
from nets.normalization import NORMALIZATIONS

Factory = Callable[[], Callable[[jax.Array], jax.Array]]
Initializer = Callable[..., jax.Array]

_lecun_normal = nn.initializers.lecun_normal()


def kernel_default(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """The default initializer of kernels: truncated normal with variance 1 / fan-in (LeCun et al. 1998).

    A named function, unlike what Flax returns, so that a net with it can be pickled.
    """
    return _lecun_normal(key, tuple(shape), dtype)


def rectifier() -> Callable[[jax.Array], jax.Array]:
    """The default activation: max(0, z)."""
    return nn.relu


def identity() -> Callable[[jax.Array], jax.Array]:
    """The activation of linear layers: z."""
    return _identity


def _identity(z: jax.Array) -> jax.Array:
    return z


def hyperbolic_tangent() -> Callable[[jax.Array], jax.Array]:
    """The default activation of recurrent nets: tanh z."""
    return nn.tanh


def pieces_of(activation: Factory) -> int:
    """How many features a layer needs before this activation for each one after it (1 except for maxout)."""
    return int(activation.pieces) if isinstance(activation, Widening) else 1


def of_layer(value: Any, layer: int) -> Any:
    """The activation or initializer of the layer of this number, from 0, of a net where it may differ from layer to layer."""
    return value.of_layer(layer) if isinstance(value, Layered) else value


def hidden_fields(net: Any) -> dict[str, Any]:
    """The fields that a net passes on to its hidden layers; a field it lacks keeps the layer's default."""
    names = ("activation", "kernel_init", "bias", "norm", "norm_position")
    return {name: getattr(net, name) for name in names if hasattr(net, name)}


def is_off(rate: Any) -> bool:
    """Whether a rate is the plain number 0; a traced rate may be 0 at run time, but its layer stays in the program."""
    return isinstance(rate, (int, float)) and rate == 0


def flatten(x: jax.Array) -> jax.Array:
    """[B, …] → [B, F]."""
    return x.reshape(x.shape[0], -1)


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014): x / (1 - p) with probability 1 - p, else 0; in evaluation x.

    p is the rate of dropping, not of keeping. Unlike `flax.linen.Dropout` it may be traced, so a sweep over rates
    compiles once.

    Args:
        rate: p in [0, 1), a number or a traced scalar; the plain number 0 leaves no trace in the program. Or a kind of
            dropout, such as `GaussianDropout(p)`.
        shared: axes along which all positions share a draw, for instance (1, 2) to drop whole channels of images.
    """

    rate: Any = 0.0
    shared: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if not train or is_without_effect(self.rate):
            return x
        if isinstance(self.rate, DropoutKind):
            return self.rate.dropped(self.make_rng("dropout"), x, self._drawn(x))
        return self.skipping(x, drops=None)

    def _drawn(self, x: jax.Array) -> tuple[int, ...]:
        """The shape of the draws for x."""
        return tuple(1 if axis in self.shared else size for axis, size in enumerate(x.shape))

    def skipping(self, x: jax.Array, drops: Any) -> jax.Array:
        """The layer in training, which draws its mask only if the traced `drops` is True; None always draws.

        At rate 0 both ways give x, to the bit.
        """
        rate = jnp.asarray(self.rate, jnp.float32)
        keep = 1 - rate
        shape = self._drawn(x)

        def draw(layer: Dropout) -> jax.Array:
            return kept(layer.make_rng("dropout"), rate, shape)

        def none(_: Dropout) -> jax.Array:
            return jnp.ones(shape, bool)

        mask = draw(self) if drops is None else nn.cond(drops, draw, none, self, variables=False, rngs="dropout")
        # At rate 1 nothing is kept, and 0 / 0 would poison the gradient.
        scale = jnp.where(keep > 0, 1 / jnp.where(keep > 0, keep, 1), 0).astype(x.dtype)
        return jnp.where(mask, x * scale, jnp.zeros_like(x))


def activated(layer: Any, z: jax.Array, *, train: bool) -> jax.Array:
    """What follows a linear map: normalization before or after the activation, then dropout.

    z [B, …, C * pieces] → h [B, …, C]; h before dropout is sown as "hidden" in the collection "intermediates".
    Call it once, inside the compact method of `layer`, which then owns the normalization's parameters ("norm").

    Args:
        layer: a module with the fields `activation` (factory), `norm` (name in NORMALIZATIONS, or None),
            `norm_position` ("before" or "after" the activation) and `dropout` (rate after the activation).
        z: values before the activation.
        train: whether to normalize with the batch's own statistics and to apply dropout.
    """
    if layer.norm is not None and layer.norm_position == "before":
        z = NORMALIZATIONS[layer.norm](train=train, name="norm")(z)
    h = layer.activation()(z)
    if layer.norm is not None and layer.norm_position == "after":
        h = NORMALIZATIONS[layer.norm](train=train, name="norm")(h)
    layer.sow("intermediates", "hidden", h)
    return Dropout(layer.dropout)(h, train=train)


class HiddenDense(nn.Module):
    """A hidden dense layer: x [B, …, F] → dropout(g(norm(x W + b))) [B, …, features]; "hidden" is sown before dropout.

    Args:
        features: units after the activation.
        activation, norm, norm_position, dropout: as in `activated`.
        kernel_init: initializer of W [F, features * pieces].
        bias: initial value of b.
    """

    features: int
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = None
    norm_position: str = "before"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        features = self.features * pieces_of(self.activation)
        bias_init = nn.initializers.constant(self.bias)
        z = dense(features, kernel_init=self.kernel_init, bias_init=bias_init, name="dense")(x)
        return activated(self, z, train=train)
