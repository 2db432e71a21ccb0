"""Residual nets and their plain counterparts, in 1-D to 3-D: CIFAR, wide and ImageNet forms, stochastic depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.convolution import convolution
from nets.dense import dense
from nets.layers import Dropout, Factory, Initializer, is_off, kernel_default, pieces_of, rectifier
from nets.normalization import NORMALIZATIONS, check_norm
from nets.pooling import global_average_pool, max_pool
from nets.shapes import check_elementwise, check_form, check_positive


class _Form(NamedTuple):
    width: int  # channels of the first stage
    blocks: Callable[[int], tuple[int, ...]]  # depth → blocks a stage; raises ValueError
    preactivation: bool
    projection: bool  # shortcuts that change shape: 1×1 convolution, or subsampling padded by zero channels
    large_stem: bool  # 7×7 of stride 2 and a pool, or 3×3
    smallest: int  # side of the input


_IMAGENET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_BOTTLENECK_FROM = 50  # in the ImageNet form


def _cifar_blocks(depth: int) -> tuple[int, ...]:
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise ValueError(f"ResNet depth {depth} must be 6n+2 in form 'cifar': use {below} or {below + 6}")
    return ((depth - 2) // 6,) * 3


def _wide_blocks(depth: int) -> tuple[int, ...]:
    if depth < 10 or (depth - 4) % 6:
        below = max(10, depth - (depth - 4) % 6)
        raise ValueError(f"ResNet depth {depth} must be 6n+4 in form 'wide': use {below} or {below + 6}")
    return ((depth - 4) // 6,) * 3


def _imagenet_blocks(depth: int) -> tuple[int, ...]:
    if depth not in _IMAGENET:
        raise ValueError(f"ResNet depth {depth} must be {', '.join(map(str, _IMAGENET))} in form 'imagenet': use one")
    return _IMAGENET[depth]


FORMS: dict[str, _Form] = {
    "cifar": _Form(16, _cifar_blocks, False, False, False, 4),
    "wide": _Form(16, _wide_blocks, True, True, False, 4),
    "imagenet": _Form(64, _imagenet_blocks, False, True, True, 32),
}


def drop_path(x: jax.Array, rate: Any, key: jax.Array) -> jax.Array:
    """Drop a branch [B, …] for each example with probability `rate`; divide it by 1 - rate where it is kept.

    The inverted form of stochastic depth (Huang et al. 2016, who scale at evaluation), drawn per example.
    """
    keep = 1 - jnp.asarray(rate, jnp.float32)
    mask = jax.random.bernoulli(key, keep, (x.shape[0],) + (1,) * (x.ndim - 1))
    return jnp.where(mask, x / keep.astype(x.dtype), jnp.zeros_like(x))


class ResidualBlock(nn.Module):
    """x + F(x), F two 3×3 convolutions or a bottleneck of 1×1, 3×3, 1×1; x [B, *space, C] → [B, *space / stride, C'].

    The last layer of F is named "residual_out": its normalization, or its convolution if F ends in one
    (preactivation, or no normalization).

    Args:
        features: channels of the 3×3 convolutions.
        expansion: output channels divided by `features`: 1 for two 3×3 convolutions, 4 for the bottleneck.
        stride: stride of the (first) 3×3 convolution.
        residual: whether x is added.
        preactivation: normalization and activation before each convolution (He et al. 2016b), and dropout between.
        projection: use a 1×1 convolution where the shortcut changes shape, instead of zero channels.
        activation, kernel_init, norm, dropout: as in `ResNet`.
    """

    features: int
    expansion: int = 1
    stride: int = 1
    residual: bool = True
    preactivation: bool = False
    projection: bool = False
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    norm: str | None = "batch_norm"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, rate: Any, *, train: bool) -> jax.Array:
        branch, shortcut = self._preactivated(x, train) if self.preactivation else self._postactivated(x, train)
        if not self.residual:
            y = branch
        else:
            if train and not is_off(rate):
                branch = drop_path(branch, rate, self.make_rng("dropout"))
            y = shortcut + branch
        return y if self.preactivation else self._activated(y)

    def _postactivated(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        h, layers = x, self._layers()
        for index, (features, window, stride) in enumerate(layers):
            last = index == len(layers) - 1
            h = self._conv(
                "residual_out" if last and self.norm is None else f"conv_{index}", h, features, window, stride
            )
            h = self._normed("residual_out" if last else f"norm_{index}", h, train)
            h = h if last else self._activated(h)
        return h, self._shortcut(x, train) if self.residual else x

    def _preactivated(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        h, shortcut, layers = x, x, self._layers()
        for index, (features, window, stride) in enumerate(layers):
            h = self._activated(self._normed(f"norm_{index}", h, train))
            if index == 0 and self.residual and self._changes_shape(x):
                shortcut = self._shortcut(h, train)
            if index > 0:
                h = Dropout(self.dropout)(h, train=train)
            h = self._conv("residual_out" if index == len(layers) - 1 else f"conv_{index}", h, features, window, stride)
        return h, shortcut

    def _layers(self) -> list[tuple[int, int, int]]:
        """(features, window, stride) of each convolution."""
        if self.expansion == 1:
            return [(self.features, 3, self.stride), (self.features, 3, 1)]
        return [(self.features, 1, 1), (self.features, 3, self.stride), (self.features * self.expansion, 1, 1)]

    def _changes_shape(self, x: jax.Array) -> bool:
        return self.stride > 1 or x.shape[-1] != self.features * self.expansion

    def _shortcut(self, x: jax.Array, train: bool) -> jax.Array:
        if not self._changes_shape(x):
            return x
        features = self.features * self.expansion
        if self.projection:
            h = self._conv("shortcut_conv", x, features, 1, self.stride)
            return h if self.preactivation else self._normed("shortcut_norm", h, train)
        steps = (slice(None), *(slice(None, None, self.stride),) * (x.ndim - 2))
        return jnp.pad(x[steps], ((0, 0),) * (x.ndim - 1) + ((0, features - x.shape[-1]),))

    def _conv(self, name: str, x: jax.Array, features: int, window: int, stride: int) -> jax.Array:
        return convolution(
            features,
            window,
            x.ndim - 2,
            strides=stride,
            padding=window // 2,
            use_bias=self.norm is None,
            kernel_init=self.kernel_init,
            name=name,
        )(x)

    def _normed(self, name: str, x: jax.Array, train: bool) -> jax.Array:
        return x if self.norm is None else NORMALIZATIONS[self.norm](train=train, name=name)(x)

    def _activated(self, x: jax.Array) -> jax.Array:
        h = self.activation()(x)
        self.sow("intermediates", "hidden", h)
        return h


class ResNet(nn.Module):
    """Residual net (He, Zhang, Ren and Sun 2016) or, with `residual=False`, the plain net of the same layers.

    Input [B, *space, C] with one to three dimensions of space, prediction [B, outputs]. Parameters (kernels without
    biases, normalization's γ and β, the readout's bias; running statistics are not counted), for 3 channels:

    | form | depth | parameters |
    |---|---|---|
    | "cifar", 10 outputs | 20, 32, 44, 56, 110 | 269,722; 464,154; 658,586; 853,018; 1,727,962 |
    | "imagenet", 1,000 outputs | 18, 34 | 11,689,512; 21,797,672 |
    | "imagenet", bottlenecks | 50, 101, 152 | 25,557,032; 44,549,160; 60,192,808 |
    | "wide" 28, widen=10, 10 outputs | 28 | 36,479,194 |

    In form "cifar" (3×3 stem, three stages) a shortcut that changes shape subsamples and pads with zero channels (the
    paper's option A), so that plain and residual nets have equally many parameters; in "imagenet" (7×7 stem, four
    stages) and "wide" it is a 1×1 convolution (option B). "imagenet" has the stride in the 3×3 convolution of its
    bottlenecks. "wide" puts normalization and activation before each convolution (Zagoruyko and Komodakis 2016).

    The equal blocks of a stage are one scanned block, whose parameters are stacked along a leading axis
    ("stage_0_rest"), so that compile time grows with the stages and not with the depth.

    Args:
        depth: layers; 6n+2 in form "cifar", 6n+4 in "wide", 18, 34, 50, 101 or 152 in "imagenet".
        form: "cifar", "imagenet" or "wide".
        width: channels of the first stage and of the stem; defaults to 16, or 64 in "imagenet".
        widen: factor on the channels of all stages, but not of the stem.
        residual: whether there are shortcuts.
        drop_path: stochastic depth: the rate at which the last block is dropped, falling linearly towards the first
            (0.5 in Huang et al. 2016).
        norm: "batch_norm", "layer_norm", "group_norm" or None (the convolutions then have biases).
        unrolled: separate parameters for each block instead of stacked ones (for layer-wise initialization).
        outputs, activation, kernel_init, dropout: filled by the engine; dropout acts between the convolutions of a
            "wide" block, otherwise before the readout.
    """

    depth: int = 20
    form: str = "cifar"
    width: int | None = None
    widen: int = 1
    residual: bool = True
    drop_path: Any = 0.0
    norm: str | None = "batch_norm"
    unrolled: bool = False
    outputs: int = 10
    activation: Factory = rectifier
    kernel_init: Initializer = kernel_default
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        form = FORMS[self.form]
        h = self._stem(x, form, train)
        blocks = form.blocks(self.depth)
        for stage, count in enumerate(blocks):
            before = sum(blocks[:stage])
            rates = [self._rate(before + block, sum(blocks)) for block in range(count)]
            h = self._stage(h, stage, rates, form, train)
        if form.preactivation:
            h = self._activated(h, "norm_end", train)
        h = global_average_pool(h)
        if not form.preactivation:
            h = Dropout(self.dropout)(h, train=train)
        return dense(self.outputs, kernel_init=self.kernel_init, name="output")(h)

    def _stem(self, x: jax.Array, form: _Form, train: bool) -> jax.Array:
        window, stride = (7, 2) if form.large_stem else (3, 1)
        h = convolution(
            self.width or form.width,
            window,
            x.ndim - 2,
            strides=stride,
            padding=window // 2,
            use_bias=self.norm is None,
            kernel_init=self.kernel_init,
            name="stem",
        )(x)
        if form.preactivation:
            return h
        h = self._activated(h, "stem_norm", train)
        return max_pool(h, 3, 2, ((1, 1),) * (x.ndim - 2)) if form.large_stem else h

    def _stage(self, x: jax.Array, stage: int, rates: list[Any], form: _Form, train: bool) -> jax.Array:
        def block(name: str, stride: int) -> ResidualBlock:
            return ResidualBlock(
                features=(self.width or form.width) * self.widen * 2**stage,
                expansion=4 if form.large_stem and self.depth >= _BOTTLENECK_FROM else 1,
                stride=stride,
                residual=self.residual,
                preactivation=form.preactivation,
                projection=form.projection,
                activation=self.activation,
                kernel_init=self.kernel_init,
                norm=self.norm,
                dropout=self.dropout,
                name=name,
            )

        h = block(f"stage_{stage}_block_0", 2 if stage else 1)(x, rates[0], train=train)
        if self.unrolled:
            for index, rate in enumerate(rates[1:], 1):
                h = block(f"stage_{stage}_block_{index}", 1)(h, rate, train=train)
            return h
        return _scanned(block(f"stage_{stage}_rest", 1), h, rates[1:], train) if len(rates) > 1 else h

    def _rate(self, block: int, blocks: int) -> Any:
        return 0.0 if is_off(self.drop_path) else self.drop_path * ((block + 1) / blocks)

    def _activated(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        h = self.activation()(x if self.norm is None else NORMALIZATIONS[self.norm](train=train, name=name)(x))
        self.sow("intermediates", "hidden", h)
        return h

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a depth that the form lacks, examples too small or of a wrong rank, maxout, unknown names.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_form("ResNet", self.form, tuple(FORMS))
        form = FORMS[self.form]
        form.blocks(self.depth)
        check_norm(self.norm)
        check_positive("widen and width", (self.widen, self.width or form.width))
        check_elementwise("ResNet", pieces_of(self.activation))
        if not 2 <= len(shape) <= 4:
            raise ValueError(f"ResNet takes examples of shape [*space, C] with 1 to 3 dimensions of space, got {shape}")
        if min(shape[:-1]) < form.smallest:
            raise ValueError(f"ResNet in form {self.form!r} needs sides of at least {form.smallest}, got {shape}")
        if isinstance(self.drop_path, (int, float)) and not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path {self.drop_path} must be in [0, 1): it is a probability of dropping")


def _scanned(block: ResidualBlock, x: jax.Array, rates: list[Any], train: bool) -> jax.Array:
    """The block once per rate, each time with its own parameters and random draws."""
    off = all(is_off(rate) for rate in rates)

    def body(block: ResidualBlock, h: jax.Array, rate: Any) -> tuple[jax.Array, None]:
        return block(h, 0.0 if off else rate, train=train), None

    scan = nn.scan(
        body,
        variable_axes={"params": 0, "batch_stats": 0, "intermediates": 0},
        split_rngs={"params": True, "dropout": True},
        length=len(rates),
    )
    return scan(block, x, jnp.stack([jnp.asarray(rate, jnp.float32) for rate in rates]))[0]
