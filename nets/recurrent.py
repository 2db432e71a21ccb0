"""Recurrent nets: Elman, LSTM and GRU, stacked and bidirectional, for series and for tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.activations import tanh
from nets.dense import dense
from nets.layers import Dropout, Factory, Initializer, flatten, hyperbolic_tangent, kernel_default, pieces_of
from nets.lstm import LSTMCell
from nets.padding import without_padding
from nets.shapes import check_elementwise, check_form, check_positive

CELLS: dict[str, Callable[..., nn.RNNCellBase]] = {
    "rnn": nn.SimpleCell,  # h' = g(x W + h U + b) (Elman 1990)
    "lstm": nn.OptimizedLSTMCell,  # Hochreiter and Schmidhuber 1997, with forget gate; no peepholes
    "gru": nn.GRUCell,  # Cho et al. 2014, reset after the product with U
}
HEADS = ("last", "mean", "all", "each")
_orthogonal = nn.initializers.orthogonal()


class Recurrent(nn.Module):
    """A stack of recurrent layers and a linear readout.

    Input: a series [B, T, C] of floats, or tokens [B, T] of integers, which are embedded. Prediction: [B, outputs] with
    heads "last" (state after the last step: classifier, sequence-to-one regression), "mean" (over steps) and "all" (all
    steps' states side by side, as in MNIST-1D's GRU: 5,110 parameters with `cell="gru", widths=(6,),
    bidirectional=True`, on 40×1); [B, T, outputs] with "each" (next token; causal unless bidirectional).

    A layer has 4 (C H + H² + H) parameters as LSTM, 3 (C H + H² + H) + H as GRU, C H + H² + H as Elman cell.

    Args:
        cell: "rnn", "lstm" or "gru".
        widths: H of each layer, per direction.
        bidirectional: add a second cell that reads backwards; the layer's state is both states side by side.
        head: "last", "mean", "all" or "each".
        vocabulary: number of distinct tokens; defaults to `outputs` (next token), unused for series.
        embedding: width of the tokens' embedding.
        orthogonal: initialize recurrent kernels orthogonally; otherwise `kernel_init` draws them too (`identity_rnn`).
        outputs, activation, kernel_init, dropout, reads_padding: filled by the engine. The activation is that of the new
            state (the candidate; and the LSTM's output), tanh by default; gates are sigmoids. Dropout follows each layer.
    """

    cell: str = "lstm"
    widths: tuple[int, ...] = (64,)
    bidirectional: bool = False
    head: str = "last"
    vocabulary: int | None = None
    embedding: int = 32
    orthogonal: bool = True
    outputs: int = 10
    activation: Factory = hyperbolic_tangent
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0
    reads_padding: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, lengths: jax.Array | None = None) -> jax.Array:
        """Predict; `lengths` [B] are the numbers of valid steps, and later steps are ignored.

        With `reads_padding` they are found in x (`nets.without_padding`).
        """
        if self.reads_padding and lengths is None:
            x, lengths = without_padding(x)
        h = x
        if x.ndim == 2 and not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"Recurrent takes numbers as series [B, T, C], got {list(x.shape)}: give each step its axis of features, "
                "x[..., None]"
            )
        if jnp.issubdtype(x.dtype, jnp.integer):
            h = nn.Embed(self.vocabulary or self.outputs, self.embedding, name="embedding")(x)
        last = h[:, -1]
        for layer, width in enumerate(self.widths):
            h, last = self._layer(h, layer, width, lengths)
            if self.reads_padding and lengths is not None:
                h = jnp.where((jnp.arange(h.shape[1])[None, :] < lengths[:, None])[..., None], h, jnp.zeros_like(h))
            self.sow("intermediates", "hidden", h)
            h, last = (Dropout(self.dropout)(value, train=train) for value in (h, last))
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(self._summary(h, last, lengths))

    def _layer(self, x: jax.Array, layer: int, width: int, lengths: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """All states [B, T, H] and the state after the last step [B, H]; twice as wide if bidirectional."""
        states, ends = zip(
            *(
                self._direction(x, f"layer_{layer}_{name}", width, name == "backward", lengths)
                for name in (("forward", "backward") if self.bidirectional else ("forward",))
            ),
            strict=True,
        )
        return jnp.concatenate(states, axis=-1), jnp.concatenate(ends, axis=-1)

    def _direction(
        self, x: jax.Array, name: str, width: int, reverse: bool, lengths: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        activation = self.activation()
        standard = self.cell == "lstm" and activation in (tanh, nn.tanh)
        cell = (LSTMCell if standard else CELLS[self.cell])(
            width,
            activation_fn=activation,
            kernel_init=self.kernel_init,
            recurrent_kernel_init=_orthogonal if self.orthogonal else self.kernel_init,
            name=name,
        )
        zero = jnp.zeros((x.shape[0], width), x.dtype)
        carry = (zero, zero) if self.cell == "lstm" else zero
        rnn = nn.RNN(cell, reverse=reverse, keep_order=True, return_carry=True, name=f"{name}_scan")
        end, states = rnn(x, initial_carry=carry, seq_lengths=lengths)
        return states, end[1] if self.cell == "lstm" else end

    def _summary(self, h: jax.Array, last: jax.Array, lengths: jax.Array | None) -> jax.Array:
        if self.head == "each":
            return h
        if self.head == "last":
            return last
        if lengths is None:
            return flatten(h) if self.head == "all" else h.mean(axis=1)
        valid = (jnp.arange(h.shape[1])[None, :] < lengths[:, None])[..., None]
        h = jnp.where(valid, h, jnp.zeros_like(h))
        return flatten(h) if self.head == "all" else h.sum(axis=1) / jnp.maximum(lengths, 1)[:, None].astype(h.dtype)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a rank other than [T, C] or [T], unknown cells and heads, maxout.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_form("Recurrent", self.cell, tuple(CELLS))
        check_form("Recurrent", self.head, HEADS)
        check_positive("widths", self.widths)
        check_positive("vocabulary and embedding", (self.vocabulary or self.outputs, self.embedding))
        check_elementwise("Recurrent", pieces_of(self.activation))
        if len(shape) not in (1, 2):
            raise ValueError(
                f"Recurrent takes series [T, C] or tokens [T], got examples of shape {shape}: reshape them"
            )
