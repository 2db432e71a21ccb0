"""FractalNet: very deep without residuals, by repeatedly joining columns of different depth."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.convolution import HiddenConv
from nets.dense import dense
from nets.layers import Dropout, Factory, Initializer, hidden_fields, is_off, kernel_default, rectifier
from nets.normalization import check_norm
from nets.pooling import global_average_pool, max_pool
from nets.shapes import check_positive


class FractalNet(nn.Module):
    """f_1(x) = conv(x), f_(c+1)(x) = join(f_c(f_c(x)), conv(x)), a block per stage (Larsson et al. 2017).

    A block of C columns has 2^C - 1 convolutions, 2^(C-1) of them on its longest path. A join is the mean of its
    inputs; each stage ends in 2×2 max pooling and the net in the mean over space. Input [B, *space, C], prediction
    [B, outputs]; dropout follows each stage.

    Args:
        widths: channels of the stages.
        columns: C.
        drop_path: rate at which a join drops each input, keeping at least one ("local", half of the steps); in the
            other half a single column, the same in all blocks, carries the signal ("global"). Off in evaluation; the
            plain number 0 leaves no trace in the program. 0.15 in the paper.
        norm, norm_position, bias: as in `MLP`, in every convolution.
        outputs, activation, kernel_init, dropout: filled by the engine.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    columns: int = 3
    drop_path: Any = 0.0
    norm: str | None = "batch_norm"
    norm_position: str = "before"
    bias: float = 0.0
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        drops = train and not is_off(self.drop_path)
        single = jax.random.randint(self.make_rng("dropout"), (), -self.columns, self.columns) if drops else None
        h = x
        for stage, width in enumerate(self.widths):
            h = self._block(h, stage, width, single, train)
            h = Dropout(self.dropout)(max_pool(h, 2, padding="SAME"), train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(global_average_pool(h))

    def _block(self, x: jax.Array, stage: int, width: int, single: jax.Array | None, train: bool) -> jax.Array:
        """Column c convolves every 2^(C-1-c) steps; columns that convolve at the same step are joined."""
        last = self.columns - 1
        starts = [x] * self.columns
        for step in range(1, 2**last + 1):
            due = [column for column in range(self.columns) if step % 2 ** (last - column) == 0]
            ends = []
            for column in due:
                name = f"stage_{stage}_column_{column}_conv_{step // 2 ** (last - column) - 1}"
                conv = HiddenConv(width, use_bias=self.norm is None, name=name, **hidden_fields(self))
                ends.append(conv(starts[column], train=train))
            joined = self._join(ends, due, single)
            for column in due:
                starts[column] = joined
        return starts[last]

    def _join(self, ends: list[jax.Array], columns: list[int], single: jax.Array | None) -> jax.Array:
        stacked = jnp.stack(ends)
        if single is None or len(ends) == 1:
            return stacked.mean(axis=0)
        local_key, spare_key = jax.random.split(self.make_rng("dropout"))
        kept = jax.random.bernoulli(local_key, 1 - jnp.asarray(self.drop_path, jnp.float32), (len(ends),))
        spare = jax.nn.one_hot(jax.random.randint(spare_key, (), 0, len(ends)), len(ends), dtype=bool)
        kept = jnp.where(kept.any(), kept, spare)
        alone = jnp.asarray(columns) == single  # in local steps `single` is negative and matches no column
        kept = jnp.where(alone.any(), alone, kept).astype(stacked.dtype)
        return jnp.tensordot(kept / kept.sum(), stacked, axes=1)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse examples that are not [*space, C], no columns, an unknown norm.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_positive("widths", self.widths)
        check_positive("columns", (self.columns,))
        check_norm(self.norm, self.norm_position)
        if not 2 <= len(shape) <= 4:
            raise ValueError(f"FractalNet takes examples [*space, C] with 1 to 3 dimensions of space, got {shape}")
        if min(shape[:-1]) < 2:
            raise ValueError(f"FractalNet needs sides of at least 2, got examples of shape {shape}")
        if isinstance(self.drop_path, (int, float)) and not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path {self.drop_path} must be in [0, 1): it is a probability of dropping")
