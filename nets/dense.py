"""The dense layer of all nets, whose kernel's gradient is fast on CPUs also where kernels or batches are small."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.custom_derivatives import SymbolicZero

FEW = 32  # outputs, up to which the transposed product is faster for batches of any size
SHARE = 0.8  # of the inputs and, above `FEW`, of the batch: what outputs may be for it to be faster
EXPONENT_BITS = 9  # one more than float32 has, so that nothing is rounded; with 8 XLA leaves the operation out
MATRICES = (((1,), (0,)), ((), ()))  # the dimension numbers of a product of matrices
SMALL = 4096  # numbers of x and of s, up to which a product of xᵀ written down is faster
BLOCK = 64  # inputs and outputs by which it gives the same bits
# Where a product of sᵀ written down gives the same bits: from two such blocks of inputs, up to this batch and numbers of x.
NARROW_BLOCK, NARROW_BATCH, NARROW_SIZE = 16, 256, 2**15


def dense(features: int, *, kernel_init: Callable[..., jax.Array], name: str, **fields: Any) -> nn.Dense:
    """A `flax.linen.Dense` over `product`: x [B, …, F] → x W + b [B, …, features].

    Args:
        features: outputs.
        kernel_init: initializer of W [F, features].
        name: name of the layer's parameters.
        fields: others of `flax.linen.Dense`.
    """
    return nn.Dense(features, kernel_init=kernel_init, dot_general=product, name=name, **fields)


def product(lhs: jax.Array, rhs: jax.Array, dimension_numbers: Any, precision: Any = None, **options: Any) -> jax.Array:
    """`lax.dot_general`; a small kernel's gradient is computed in another form on a CPU, for most shapes to the same bits.

    On CPUs the product xᵀ s of inputs and slopes, [F, B] by [B, O], is a call of a library that takes as long for 2 outputs as
    for 16. Its transpose sᵀ x takes a half to a tenth of that, and gains something up to 0.8 B outputs. Where x and s are small,
    the library of forward products is faster than the other, given sᵀ or xᵀ as arrays: 0.4 to 0.9 of the time of sᵀ x, 0.8 to
    0.95 of that of xᵀ s (docs/performance.md). As in `nets.fast_convolution.convolve`, the form is decided at trace time by
    `jax.default_backend()`, and has a custom JVP.

    Args:
        lhs: x; as a matrix [B, F] it may take another form.
        rhs: W [F, O].
        dimension_numbers, precision, options: as in `lax.dot_general`.
    """
    matrices = dimension_numbers == MATRICES and lhs.dtype == rhs.dtype == jnp.float32 and not options
    if matrices and jax.default_backend() == "cpu":
        form = _form(lhs.shape[0], *rhs.shape)
        if form is not None:
            return _formed(form, precision, lhs, rhs)
    return lax.dot_general(lhs, rhs, dimension_numbers, precision=precision, **options)


def _form(batch: int, inputs: int, outputs: int) -> Callable[..., jax.Array] | None:
    """The form in which a kernel's gradient is faster than as xᵀ s; None if it is in neither."""
    if 1 < outputs <= SHARE * inputs and outputs <= max(FEW, SHARE * batch):
        blocks, rest = divmod(inputs, NARROW_BLOCK)
        is_small = batch <= NARROW_BATCH and batch * inputs <= NARROW_SIZE and outputs <= FEW
        return _transposed_of_slopes if is_small and blocks > 1 and rest == 0 else _transposed
    if batch * max(inputs, outputs) <= SMALL and inputs % BLOCK == outputs % BLOCK == 0:
        return _written_down
    return None


def _transposed(lhs: jax.Array, rhs: jax.Array, precision: Any) -> jax.Array:
    """x (Wᵀ)ᵀ, whose transpose is (sᵀ x)ᵀ. XLA would make it xᵀ s again, were it not for what changes no number.

    `lax.optimization_barrier` does not do: it goes late, and a small product in a layout that XLA cannot compile is left (seen
    with jaxlib 0.10.2: the process is aborted).
    """
    return lax.dot_general(lhs, _turned(rhs), (((1,), (1,)), ((), ())), precision=precision)


def _transposed_of_slopes(lhs: jax.Array, rhs: jax.Array, precision: Any) -> jax.Array:
    """((Wᵀ) xᵀ)ᵀ, whose transpose is (sᵀ x)ᵀ with an array for sᵀ, the product kept in its form as in `_transposed`."""
    outputs = lax.dot_general(_turned(rhs), lhs, (((1,), (1,)), ((), ())), precision=precision)
    return lax.optimization_barrier(outputs).T


def _turned(kernel: jax.Array) -> jax.Array:
    """Wᵀ, whose gradient XLA does not turn back before it is computed."""
    return lax.reduce_precision(kernel.T, exponent_bits=EXPONENT_BITS, mantissa_bits=23)


def _written_down(lhs: jax.Array, rhs: jax.Array, precision: Any) -> jax.Array:
    """(xᵀ)ᵀ W, whose transpose is xᵀ s with an array for xᵀ. XLA would read x instead, through a `lax.reduce_precision` also."""
    return lax.dot_general(lax.optimization_barrier(lhs.T), rhs, (((0,), (0,)), ((), ())), precision=precision)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _formed(_form: Callable[..., jax.Array], precision: Any, lhs: jax.Array, rhs: jax.Array) -> jax.Array:
    return lax.dot_general(lhs, rhs, MATRICES, precision=precision)


def _formed_jvp(
    form: Callable[..., jax.Array], precision: Any, primals: tuple[Any, Any], tangents: tuple[Any, Any]
) -> tuple[jax.Array, Any]:
    """y' = x' W + x W', the second in the form whose transpose is wanted."""
    lhs, rhs = primals
    lhs_dot, rhs_dot = tangents
    y = _formed(form, precision, lhs, rhs)
    terms = []
    if not isinstance(lhs_dot, SymbolicZero):
        terms.append(lax.dot_general(lhs_dot, rhs, MATRICES, precision=precision))
    if not isinstance(rhs_dot, SymbolicZero):
        terms.append(form(lhs, rhs_dot, precision))
    return y, functools.reduce(jnp.add, terms) if terms else jnp.zeros_like(y)


_formed.defjvp(_formed_jvp, symbolic_zeros=True)
