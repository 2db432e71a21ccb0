"""A small generative adversarial net: generator and discriminator in one module."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.dense import dense
from nets.layers import Factory, HiddenDense, Initializer, flatten, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.outputs import Outputs
from nets.shapes import check_positive


class Generator(nn.Module):
    """Noise z [B, latent] → logits of examples [B, *shape]."""

    widths: tuple[int, ...]
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    norm: str | None = None
    norm_position: str = "before"

    @nn.compact
    def __call__(self, z: jax.Array, shape: tuple[int, ...], *, train: bool) -> jax.Array:
        h = z
        for layer, width in enumerate(self.widths):
            h = HiddenDense(width, name=f"hidden_{layer}", **hidden_fields(self))(h, train=train)
        h = dense(math.prod(shape), kernel_init=self.kernel_init, name="output")(h)
        return h.reshape(z.shape[0], *shape)


class Discriminator(nn.Module):
    """Examples x [B, …] → logits [B, 1] of being real."""

    widths: tuple[int, ...]
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        h = flatten(x)
        for layer, width in enumerate(self.widths):
            hidden = HiddenDense(width, dropout=self.dropout, name=f"hidden_{layer}", **hidden_fields(self))
            h = hidden(h, train=train)
        return dense(1, kernel_init=self.kernel_init, name="output")(h)


class GAN(nn.Module):
    """A generator and a discriminator trained against each other (Goodfellow et al. 2014), both dense.

    Parameters are kept under "generator" and "discriminator", so that each can have its own optimizer. `__call__` on
    examples x [B, …] draws z from the stream "sample" (zeros without it) and returns `Outputs`: prediction is the
    generated examples (shaped like x, through `squash`), latent is z, auxiliary is the discriminator's logits [B, 1]
    for x and for the generated examples.

    Args:
        latent: size of z, drawn from N(0, I).
        widths: hidden units of the generator; the discriminator has them in reverse.
        squash: "sigmoid" for examples in [0, 1], "tanh" for [-1, 1], "identity" for others.
        norm, norm_position: of the generator, as in `MLP`.
        activation, kernel_init, dropout: filled by the engine; dropout acts in the discriminator.
    """

    latent: int = 16
    widths: tuple[int, ...] = (64, 128)
    squash: str = "sigmoid"
    norm: str | None = None
    norm_position: str = "before"
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    def setup(self) -> None:
        shared: dict[str, Any] = {"activation": self.activation, "kernel_init": self.kernel_init}
        self.generator = Generator(self.widths, norm=self.norm, norm_position=self.norm_position, **shared)
        self.discriminator = Discriminator(self.widths[::-1], dropout=self.dropout, **shared)

    def __call__(self, x: jax.Array, *, train: bool) -> Outputs:
        key = self.make_rng("sample") if self.has_rng("sample") else None
        z = self.noise(key, x)
        fake = self.generate(z, x.shape[1:], train=train)
        verdicts = (self.discriminate(x, train=train), self.discriminate(fake, train=train))
        return Outputs(prediction=fake, latent=z, auxiliary=verdicts)

    def noise(self, key: jax.Array | None, x: jax.Array) -> jax.Array:
        """z [B, latent], with the batch size and dtype of x [B, …]; zeros if key is None."""
        shape = (x.shape[0], self.latent)
        return jnp.zeros(shape, x.dtype) if key is None else jax.random.normal(key, shape, x.dtype)

    def generate(self, z: jax.Array, shape: tuple[int, ...], *, train: bool) -> jax.Array:
        """Examples [B, *shape] from noise z [B, latent]."""
        return SQUASHES[self.squash](self.generator(z, shape, train=train))

    def discriminate(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [B, 1] of being real, for examples x [B, …]."""
        return self.discriminator(x, train=train)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse empty examples, sizes that are not positive, an unknown squash or norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_positive("latent and widths", (self.latent, *self.widths))
        check_positive("example shape", shape)
        check_norm(self.norm, self.norm_position)
        if self.squash not in SQUASHES:
            raise ValueError(f"squash {self.squash!r} is unknown: use one of {', '.join(SQUASHES)}")


def _identity(z: jax.Array) -> jax.Array:
    return z


SQUASHES = {"sigmoid": nn.sigmoid, "tanh": nn.tanh, "identity": _identity}
