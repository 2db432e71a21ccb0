"""The variational autoencoder, dense or convolutional."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.autoencoder import Decoder, Encoder, check_coder
from nets.layers import Factory, Initializer, hidden_fields, kernel_default, rectifier
from nets.normalization import check_norm
from nets.outputs import Outputs


class VAE(nn.Module):
    """q(z|x) = N(μ(x), diag σ²(x)), z = μ + σ ε, p(x|z) by the decoder (Kingma and Welling 2014).

    Returns `Outputs`: prediction is the logits of p(x|z), shaped like the input; latent is z, mean is μ and
    log_variance is log σ², each [B, code]. ε is drawn from the stream "sample", in training and in evaluation; without
    that stream z = μ.

    Args:
        widths: hidden units of the encoder, mirrored by the decoder. Convolutional: channels of layers that each halve
            space.
        code: size of z.
        convolutional, window: as in `nets.autoencoder.Encoder`.
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (128,)
    code: int = 2
    convolutional: bool = False
    window: int = 3
    norm: str | None = None
    norm_position: str = "before"
    bias: float = 0.0
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    def setup(self) -> None:
        shared = {
            **hidden_fields(self),
            "convolutional": self.convolutional,
            "window": self.window,
            "dropout": self.dropout,
        }
        self.encoder = Encoder(self.widths, 2 * self.code, **shared)
        self.decoder = Decoder(self.widths, **shared)

    def __call__(self, x: jax.Array, *, train: bool) -> Outputs:
        mean, log_variance = self.encode(x, train=train)
        z = self.draw(mean, log_variance)
        prediction = self.decode(z, x.shape[1:], train=train)
        return Outputs(prediction=prediction, latent=z, mean=mean, log_variance=log_variance)

    def encode(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """μ and log σ², each [B, code], of x [B, …]."""
        mean, log_variance = jnp.split(self.encoder(x, train=train), 2, axis=-1)
        return mean, log_variance

    def draw(self, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        """z = μ + σ ε, the reparametrised sample; μ without a stream "sample"."""
        if not self.has_rng("sample"):
            return mean
        noise = jax.random.normal(self.make_rng("sample"), mean.shape, mean.dtype)
        return mean + jnp.exp(log_variance / 2) * noise

    def decode(self, z: jax.Array, shape: tuple[int, ...], *, train: bool = False) -> jax.Array:
        """Logits [B, *shape] of p(x|z) for z [B, code]; with z from N(0, I), samples of the model."""
        return self.decoder(z, shape, train=train)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse sizes that are not positive, a wrong rank, an unknown norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_coder("VAE", shape, self.widths, self.code, self.convolutional)
        check_norm(self.norm, self.norm_position)
