"""The convolution of all nets, 1-D to 3-D, channels last; fast inside compiled loops on CPU too.

On CPU, XLA rewrites a convolution into the layout of its fast kernel (batch, space, channels; window, in, out) only
outside loop bodies, and the gradients that automatic differentiation produces are not in that layout: a training step
inside `lax.scan` then runs on a kernel ten times slower (jax issue 12868). `convolve` therefore writes its derivative so
that its transposes, which are the two gradients, come out as ordinary convolutions.

XLA's CPU backend has a second, faster kernel for 17 channels or more. A 2-D convolution with fewer treats f
neighbouring columns of the image as f times as many channels: x [B, H, W, C] becomes [B, H, W / f, f C] without moving
data, and the kernel, widened with zeros, computes f columns of the result at once. For LeNet-5 (28×28, batch 64, one
core, milliseconds): first convolution 0.70 instead of 3.85, second 0.45 instead of 0.87; the second's gradient with
respect to its input, as one matrix product, 0.95 instead of 3.06. With pooling's gradient from slices a whole step
takes 6.2 instead of 12.6.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from nets import convolution_as_product as as_product
from nets import kernel_gradients

Padding = str | Sequence[tuple[int, int]]


class _Settings(NamedTuple):
    window_strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    feature_group_count: int
    precision: Any

    @property
    def form(self) -> as_product.Form:
        return as_product.Form(*self[:4])


def convolve(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> jax.Array:
    """y[b, i, o] = Σ_{j, c} x[b, s i + d j - p, c] w[j, c, o], with the signature that `flax.linen.Conv` calls.

    The form is decided at trace time by `jax.default_backend()`: on CPU the form described above, on GPU a product with patches
    where that pays (`nets.convolution_as_product`), elsewhere plain `lax.conv_general_dilated`. (`lax.platform_dependent` would
    put all into every jaxpr, and the decision never changes a value: a CPU program traced where a GPU is the default is correct,
    only slower.)

    The derivative is a custom JVP, not a custom VJP, so forward mode, second derivatives, `vmap` and `linearize` work
    as for any function; only tangents that are evaluated rather than transposed are off the fast path.

    Args:
        lhs: x [B, *space, in].
        rhs: w [*window, in / groups, out].
        window_strides: s, a number per dimension.
        padding: "SAME", "VALID" or (low, high) per dimension.
        lhs_dilation: number of zeros between inputs, plus one (the stride of a transposed convolution); default 1.
        rhs_dilation: d; default 1.
        dimension_numbers: None, or the layout above; no other is supported.
        feature_group_count: groups of channels; with more than one, XLA's own gradients are used, which are slow.
        precision: as in `lax.conv_general_dilated`.

    Returns:
        y [B, *space', out].

    Raises:
        ValueError: any other layout.
    """
    rank = lhs.ndim - 2
    standard = _numbers("N*C", "*IO", "N*C", rank)
    if dimension_numbers is not None and dimension_numbers != standard:
        raise ValueError(f"convolve takes channels last and kernels [*window, in, out], got {dimension_numbers}")
    dilation = tuple(rhs_dilation or (1,) * rank)
    if isinstance(padding, str):
        window = [(size - 1) * d + 1 for size, d in zip(rhs.shape[:-2], dilation, strict=True)]
        padding = lax.padtype_to_pads(lhs.shape[1:-1], window, window_strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    inner = tuple(lhs_dilation or (1,) * rank)
    settings = _Settings(tuple(window_strides), pads, inner, dilation, feature_group_count, precision)
    if _AS_STATED.get() or feature_group_count > 1:
        return lax.conv_general_dilated(lhs, rhs, dimension_numbers=standard, **settings._asdict())
    if jax.default_backend() == "cpu":
        return _ordinary(settings, lhs, rhs)
    if jax.default_backend() == "gpu" and as_product.pays(lhs.shape, rhs.shape, settings.form):
        return as_product.convolved(lhs, rhs, settings.form, precision)
    return lax.conv_general_dilated(lhs, rhs, dimension_numbers=standard, **settings._asdict())


_AS_STATED: contextvars.ContextVar[bool] = contextvars.ContextVar("as_stated", default=False)


@contextlib.contextmanager
def as_stated() -> Iterator[None]:
    """Traces convolutions in their defining form instead of their fastest: for counting operations."""
    before = _AS_STATED.set(True)
    try:
        yield
    finally:
        _AS_STATED.reset(before)


def _numbers(lhs: str, rhs: str, out: str, rank: int) -> lax.ConvDimensionNumbers:
    """Layouts for a rank, where "*" stands for the spatial dimensions."""
    specs = tuple(spec.replace("*", "HWD"[:rank]) for spec in (lhs, rhs, out))
    ones = (1,) * (rank + 2)
    return lax.conv_dimension_numbers(ones, ones, specs)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _ordinary(settings: _Settings, lhs: jax.Array, rhs: jax.Array) -> jax.Array:
    fold = _columns_to_fold(settings, lhs, rhs)
    if fold > 1:
        y = _convolved(_unpadded(settings), _fold_columns(settings, lhs, rhs, fold), _fold_kernel(rhs, fold))
        return _unfold_columns(y, fold)
    more = _channels_to_add(rhs.shape, settings.lhs_dilation, settings)
    lhs, wide = _widened(lhs, rhs, more)
    return _convolved(settings, lhs, wide)[..., : rhs.shape[-1]]


def _convolved(settings: _Settings, lhs: jax.Array, rhs: jax.Array, kernel_layout: str = "*IO") -> jax.Array:
    numbers = _numbers("N*C", kernel_layout, "N*C", lhs.ndim - 2)
    return lax.conv_general_dilated(lhs, rhs, dimension_numbers=numbers, **settings._asdict())


def _ordinary_jvp(settings: _Settings, primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """y' = x' ∗ w + x ∗ w', each in the layout whose transpose is an ordinary convolution.

    JAX transposes a convolution by exchanging the two channel letters of each operand. The constant operand is
    therefore moved into exchanged order first, so that the transpose has it in the order that the fast kernel takes.
    """
    lhs, rhs = primals
    lhs_dot, rhs_dot = tangents
    y = _ordinary(settings, lhs, rhs)
    terms = []
    if not isinstance(lhs_dot, SymbolicZero):
        terms.append(_lhs_tangent(settings, lhs_dot, rhs))
    if not isinstance(rhs_dot, SymbolicZero):
        terms.append(_rhs_tangent(settings, lhs, rhs_dot))
    return y, functools.reduce(jnp.add, terms) if terms else jnp.zeros_like(y)


def _lhs_tangent(settings: _Settings, lhs_dot: jax.Array, rhs: jax.Array) -> jax.Array:
    """x' ∗ w, in the form whose transpose is the gradient with respect to x."""
    fold = _columns_to_fold(settings, lhs_dot, rhs)
    if fold == 1:
        # The transpose takes channels y's to x's, and exchanges the two kinds of strides.
        exchanged = (*rhs.shape[:-2], rhs.shape[-1], rhs.shape[-2])
        features, channels = _channels_to_add(exchanged, settings.window_strides, settings)
        lhs_dot, wide = _widened(lhs_dot, rhs, (channels, features))
        return _convolved(settings, lhs_dot, jnp.swapaxes(wide, -1, -2), "*OI")[..., : rhs.shape[-1]]
    if math.prod(lhs_dot.shape[1:-1]) >= 1.5 * math.prod(as_product.positions(lhs_dot.shape, rhs.shape, settings.form)):
        # Far fewer positions in y than in x: a matrix product from each costs less than a convolution onto all of x.
        return as_product.product(lhs_dot, rhs, settings.form, settings.precision)
    kernel = jnp.swapaxes(_fold_kernel(rhs, fold), -1, -2)
    y = _convolved(_unpadded(settings), _fold_columns(settings, lhs_dot, rhs, fold), kernel, "*OI")
    return _unfold_columns(y, fold)


def _rhs_tangent(settings: _Settings, lhs: jax.Array, rhs_dot: jax.Array) -> jax.Array:
    """x ∗ w', in the form whose transpose is the gradient with respect to w."""
    product = kernel_gradients.convolved(lhs, rhs_dot, settings.form, settings.precision)
    if product is not None:
        return product
    rank = lhs.ndim - 2
    space = tuple(range(rank))
    exchanged = jnp.swapaxes(lhs, 0, -1)  # [in, *space, B]
    tangent = rhs_dot.transpose(rank, *space, rank + 1)  # [in, *window, out]
    numbers = _numbers("C*N", "I*O", "*NC", rank)
    turned = lax.conv_general_dilated(exchanged, tangent, dimension_numbers=numbers, **settings._asdict())
    return turned.transpose(rank, *space, rank + 1)  # from [*space', B, out]


FEW = 16  # up to this number of channels XLA has only a slow kernel on CPU


def _channels_to_add(kernel: tuple[int, ...], lhs_dilation: tuple[int, ...], settings: _Settings) -> tuple[int, int]:
    """Channels of zeros to add to the inputs and outputs of a 2-D convolution that is not folded, so that it is fast.

    That is more than `FEW` outputs (1 → 16 channels of 28×28 with strides of 2, batch 64, one core: 0.35 ms in place of 1.1;
    16 → 16 of 32×32: 5.0 in place of 6.3; 1×1 windows without strides are a fast product as they are), and not an odd number of
    inputs where outputs are not many (3 → 32 of 32×32: 2.3 in place of 5.5).
    """
    *window, channels, features = kernel
    ones = (1,) * len(window)
    if len(window) != 2 or lhs_dilation != ones or settings.rhs_dilation != ones:
        return 0, 0
    product = math.prod(window) * math.prod(settings.window_strides) == 1
    more = 0
    if channels <= FEW and features <= FEW and not product:
        more = FEW + 1 - features
    odd = channels > 1 and channels % 2 == 1 and FEW < features + more <= 2 * FEW
    return int(odd), more


def _widened(x: jax.Array, w: jax.Array, more: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """x [B, H, W, C] and w [k, m, C, O] with more channels of zeros, (of C, of O)."""
    inputs, outputs = more
    if inputs:
        x = jnp.pad(x, (*((0, 0),) * (x.ndim - 1), (0, inputs)))
    return x, jnp.pad(w, (*((0, 0),) * (w.ndim - 2), (0, inputs), (0, outputs))) if inputs or outputs else w


def _columns_to_fold(settings: _Settings, lhs: jax.Array, rhs: jax.Array) -> int:
    """The number f of neighbouring columns of a 2-D image to turn into channels, for more than `FEW`; 1 for none.

    Worth it if there are few input and output channels; f divides the width of the result.
    """
    ones = (1, 1)
    simple = settings.window_strides == settings.lhs_dilation == settings.rhs_dilation == ones
    channels = rhs.shape[-2:]
    if lhs.ndim != 4 or not simple or max(channels) > FEW or math.prod(channels) > FEW**2 / 2:
        return 1
    width = as_product.positions(lhs.shape, rhs.shape, settings.form)[1]
    enough = (f for f in range(2, width + 1) if f * max(channels) > FEW and width % f == 0)
    fold = next(enough, 1)
    return fold if fold * max(channels) <= 4 * FEW else 1


def _unpadded(settings: _Settings) -> _Settings:
    return settings._replace(padding=((0, 0), (0, 0)))


def _fold_columns(settings: _Settings, x: jax.Array, rhs: jax.Array, fold: int) -> jax.Array:
    """x [B, H, W, C], padded, as [B, H', W' / f, f C]; W' has room for the folded kernel at every position."""
    rows, (low, _) = settings.padding
    columns = as_product.positions(x.shape, rhs.shape, settings.form)[1] + (_folded_window(rhs, fold) - 1) * fold
    x = jnp.pad(x, ((0, 0), rows, (low, columns - x.shape[2] - low), (0, 0)))
    return x.reshape(*x.shape[:2], columns // fold, fold * x.shape[3])


def _unfold_columns(y: jax.Array, fold: int) -> jax.Array:
    """[B, H, W / f, f O] -> [B, H, W, O]."""
    return y.reshape(*y.shape[:2], y.shape[2] * fold, y.shape[3] // fold)


def _folded_window(rhs: jax.Array, fold: int) -> int:
    return -(-(rhs.shape[1] + fold - 1) // fold)


def _fold_kernel(w: jax.Array, fold: int) -> jax.Array:
    """w [k, m, C, O] -> [k, q, f C, f O], whose entry (i, p, (a, c), (b, o)) is w[i, p f + a - b, c, o], or 0 outside w."""
    k, m, channels, features = w.shape
    q = _folded_window(w, fold)
    columns = q * fold
    # Rows of length columns + 1, concatenated and cut again into rows of length `columns`, shift by one per row.
    longer = jnp.pad(w, ((0, 0), (0, columns + 1 - m), (0, 0), (0, 0)))
    rows = jnp.broadcast_to(longer[:, None], (k, fold, columns + 1, channels, features))
    flat = rows.reshape(k, fold * (columns + 1), channels, features)[:, : fold * columns]
    shifted = flat.reshape(k, fold, q, fold, channels, features)  # i, b, p, a, c, o
    return shifted.transpose(0, 2, 3, 4, 1, 5).reshape(k, q, fold * channels, fold * features)


_ordinary.defjvp(_ordinary_jvp, symbolic_zeros=True)
