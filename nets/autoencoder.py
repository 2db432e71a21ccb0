"""Autoencoders: dense and convolutional (1-D to 3-D), tied, stochastic; and retrieval by binary codes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.convolution import HiddenConv, TransposedConvolution
from nets.dense import dense
from nets.layers import (
    Dropout,
    Factory,
    HiddenDense,
    Initializer,
    activated,
    flatten,
    hidden_fields,
    identity,
    is_off,
    kernel_default,
    pieces_of,
    rectifier,
)
from nets.normalization import check_norm
from nets.outputs import Outputs
from nets.shapes import check_form, check_positive

CODE_UNITS = ("identity", "activation", "sigmoid")
_STRIDE = 2  # of every convolution in the encoder


class Encoder(nn.Module):
    """x [B, …] → hidden layers → code [B, code].

    The layers are named like those of `MLP` ("hidden_0", …, the code being the last), so that the parameters fit
    `MLP(widths=(*widths, code))`: pretrain here, then fine-tune with labels there.

    Args:
        widths: units of the hidden layers, or channels of the convolutions of stride 2.
        code: numbers in the code.
        code_activation: factory of the code's activation.
        convolutional: whether the hidden layers are convolutions over x [B, *space, C].
        window: of the convolutions.
        activation, kernel_init, bias, norm, norm_position, dropout: of the hidden layers, as in `MLP`.
    """

    widths: tuple[int, ...]
    code: int
    code_activation: Factory = identity
    convolutional: bool = False
    window: int = 3
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = None
    norm_position: str = "before"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = {**hidden_fields(self), "dropout": self.dropout}
        h = x if self.convolutional else flatten(x)
        for layer, width in enumerate(self.widths):
            name = f"hidden_{layer}"
            if self.convolutional:
                h = HiddenConv(width, self.window, _STRIDE, name=name, **shared)(h, train=train)
            else:
                h = HiddenDense(width, name=name, **shared)(h, train=train)
        code = HiddenDense(self.code, self.code_activation, self.kernel_init, name=f"hidden_{len(self.widths)}")
        return code(flatten(h), train=train)


class HiddenTransposed(nn.Module):
    """A hidden transposed convolution of stride 2, cropped to `space`: [B, *space', C] → [B, *space, features]."""

    features: int
    window: int
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    norm: str | None = None
    norm_position: str = "before"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, space: tuple[int, ...], *, train: bool) -> jax.Array:
        features = self.features * pieces_of(self.activation)
        z = TransposedConvolution(features, self.window, _STRIDE, kernel_init=self.kernel_init, name="conv")(x)
        return activated(self, _cropped(z, space), train=train)


class TiedDense(nn.Module):
    """y = h Wᵀ + b with the kernel W [out, in] of another layer: h [B, in] → [B, out]. Owns only b."""

    @nn.compact
    def __call__(self, h: jax.Array, kernel: jax.Array) -> jax.Array:
        bias = self.param("bias", nn.initializers.zeros, (kernel.shape[0],))
        return h @ kernel.T + bias[None, :]


class Decoder(nn.Module):
    """code [B, code] → the encoder's hidden layers in reverse → logits [B, *shape]; arguments as in `Encoder`."""

    widths: tuple[int, ...]
    convolutional: bool = False
    window: int = 3
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    bias: float = 0.0
    norm: str | None = None
    norm_position: str = "before"
    dropout: Any = 0.0

    @nn.compact
    def __call__(
        self, code: jax.Array, shape: tuple[int, ...], kernels: tuple[jax.Array, ...] = (), *, train: bool
    ) -> jax.Array:
        """Decode; `kernels` are the encoder's, to be used transposed, if weights are tied (dense, elementwise units)."""
        if self.convolutional:
            return self._convolutional(code, shape, train)
        h = code
        for layer, width in enumerate(self.widths[::-1]):
            if kernels:
                h = self.activation()(TiedDense(name=f"hidden_{layer}")(h, kernels[-1 - layer]))
                self.sow("intermediates", "hidden", h)
                h = Dropout(self.dropout)(h, train=train)
            else:
                hidden = HiddenDense(width, dropout=self.dropout, name=f"hidden_{layer}", **hidden_fields(self))
                h = hidden(h, train=train)
        if kernels:
            return TiedDense(name="output")(h, kernels[0]).reshape(-1, *shape)
        output = dense(math.prod(shape), kernel_init=self.kernel_init, name="output")
        return output(h).reshape(-1, *shape)

    def _convolutional(self, code: jax.Array, shape: tuple[int, ...], train: bool) -> jax.Array:
        spaces = [tuple(shape[:-1])]
        for _ in self.widths:
            spaces.append(tuple(-(-side // _STRIDE) for side in spaces[-1]))
        shared = hidden_fields(self)
        first = (*spaces[-1], self.widths[-1])
        h = HiddenDense(math.prod(first), name="hidden_0", **shared)(code, train=train).reshape(-1, *first)
        del shared["bias"]
        for layer, width in enumerate(self.widths[-2::-1], 1):
            name = f"hidden_{layer}"
            hidden = HiddenTransposed(width, self.window, dropout=self.dropout, name=name, **shared)
            h = hidden(h, spaces[-1 - layer], train=train)
        output = TransposedConvolution(shape[-1], self.window, _STRIDE, kernel_init=self.kernel_init, name="output")
        return _cropped(output(h), spaces[0])


def _cropped(x: jax.Array, space: tuple[int, ...]) -> jax.Array:
    return x[(slice(None), *(slice(side) for side in space))]


class Autoencoder(nn.Module):
    """x → code → reconstruction (Rumelhart et al. 1986; Hinton and Salakhutdinov 2006).

    Returns `Outputs`: prediction is the reconstruction before its output unit (logits), shaped like the input; latent
    is the code [B, code]. A linear one (`widths=()`, identity code) with squared error learns PCA's subspace. Sparse,
    contractive and denoising autoencoders are this net with a penalty or input noise.

    Args:
        widths: hidden units of the encoder, mirrored by the decoder. Convolutional: channels of layers that each halve
            space, undone by transposed convolutions.
        code: size of the code; larger than the input makes it overcomplete.
        code_unit: "identity", "activation" (the net's), or "sigmoid" (bits, for semantic hashing).
        code_noise: σ of Gaussian noise added to the code before its sigmoid, in training: drives the bits to 0 and 1
            (Salakhutdinov and Hinton 2009; σ = 4). With other units it makes the code stochastic.
        tied: the decoder's kernels are the encoder's transposed; dense only, with a code no larger than the input.
        convolutional, window: as in `Encoder`, in as many dimensions as the input has.
        norm, norm_position, bias: as in `MLP`, in every hidden layer.
        activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (128,)
    code: int = 32
    code_unit: str = "identity"
    code_noise: Any = 0.0
    tied: bool = False
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
        code_activation = self.activation if self.code_unit == "activation" else identity
        self.encoder = Encoder(self.widths, self.code, code_activation, **shared)
        self.decoder = Decoder(self.widths, **shared)

    def __call__(self, x: jax.Array, *, train: bool) -> Outputs:
        code = self.encode(x, train=train)
        return Outputs(prediction=self.decode(code, x.shape[1:], train=train), latent=code)

    def encode(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Codes [B, code] of x [B, …]."""
        code = self.encoder(x, train=train)
        if train and not is_off(self.code_noise):
            noise = jax.random.normal(self.make_rng("sample"), code.shape, code.dtype)
            code = code + jnp.asarray(self.code_noise, code.dtype) * noise
        return nn.sigmoid(code) if self.code_unit == "sigmoid" else code

    def decode(self, code: jax.Array, shape: tuple[int, ...], *, train: bool = False) -> jax.Array:
        """Reconstruction logits [B, *shape] of codes [B, code]."""
        kernels: tuple[jax.Array, ...] = ()
        if self.tied:
            layers = self.encoder.variables["params"]
            kernels = tuple(layers[f"hidden_{i}"]["dense"]["kernel"] for i in range(len(self.widths) + 1))
        return self.decoder(code, shape, kernels, train=train)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse codes too large for tied weights, layers that cannot be tied, a wrong rank, unknown names.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_coder("Autoencoder", shape, self.widths, self.code, self.convolutional)
        check_form("Autoencoder's code", self.code_unit, CODE_UNITS)
        check_norm(self.norm, self.norm_position)
        if self.tied:
            if self.convolutional or self.norm is not None or pieces_of(self.activation) != 1:
                raise ValueError("tied weights need dense layers with elementwise units and norm=None: set tied=False")
            if self.code > math.prod(shape):
                raise ValueError(
                    f"code {self.code} is larger than the {math.prod(shape)} inputs, and tied weights would only learn "
                    "to copy: use a smaller code or tied=False"
                )


def check_coder(net: str, shape: tuple[int, ...], widths: tuple[int, ...], code: int, convolutional: bool) -> None:
    """Refuse sizes that are not positive and, for convolutional nets, empty widths or a shape that is not [*space, C].

    Raises:
        ValueError: with the value got and the rule.
    """
    check_positive("widths and code", (*widths, code))
    check_positive("example shape", shape)
    if convolutional and not widths:
        raise ValueError(f"{net} has convolutional=True but no widths: give the channels of at least one layer")
    if convolutional and not 2 <= len(shape) <= 4:
        raise ValueError(f"{net} with convolutional=True takes [*space, C], 1 to 3 dimensions of space, got {shape}")


def bits(code: jax.Array) -> jax.Array:
    """Bits of sigmoid codes: code > ½."""
    return code > 0.5


def hamming_distances(queries: jax.Array, stored: jax.Array) -> jax.Array:
    """Number of differing bits: boolean queries [Q, code] and stored [N, code] → integers [Q, N].

    Semantic hashing retrieves the nearest codes in this distance (Salakhutdinov and Hinton 2009).
    """
    return (queries[:, None, :] != stored[None, :, :]).sum(axis=-1)
