"""Initializers: where the weights of a layer start.

Every entry of `INITIALIZERS` is called as Flax does, `(key, shape, dtype=float32) -> array`, with the shape of a
kernel: dense [in, out] or convolutional [*window, in, out]. fan_in = prod(window) * in is how many numbers a unit sums
up, fan_out = prod(window) * out how many units a number reaches. Kinds with parameters are small frozen descriptions,
whose float fields may be traced scalars when they are called: they look at them only in `check()`.

Two entries, `lsuv` and `zero_residual`, are more than a function of shape: after `init` has drawn all kernels, their
`transform(variables, net, x, key)` changes them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers as jax_initializers

Initializer = Callable[..., Array]
Shape = Sequence[int]
Variables = Mapping[str, Any]

RESIDUAL_END = "residual_out"  # how nets name (the start of) the last layer of a residual branch


def zeros(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """All weights zero: units stay equal, and behind a hidden layer no gradient arrives.

    Formula: w = 0
    Reference: Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986 (symmetry)
    """
    return jax_initializers.zeros(key, tuple(shape), dtype)


@dataclass(frozen=True)
class Constant:
    """All weights equal: the units of a layer never become different.

    Formula: w = c
    Reference: Rumelhart, Hinton and Williams, Learning internal representations by error propagation, 1986 (symmetry)
    """

    value: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        del key
        return jnp.full(tuple(shape), jnp.asarray(self.value, dtype))

    def check(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"`value` (={self.value}) must be a finite number: 0.01 is usual")


@dataclass(frozen=True)
class Uniform:
    """Uniform in an interval of half-width a around zero that does not know the fan.

    Formula: w ~ U(-a, a); variance a²/3
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, which replaces it by one that knows the fan
    """

    limit: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, tuple(shape), dtype, -1.0, 1.0) * jnp.asarray(self.limit, dtype)

    def check(self) -> None:
        _check_above_zero("limit", self.limit)


@dataclass(frozen=True)
class Normal:
    """Normal with a standard deviation σ that does not know the fan.

    Formula: w ~ N(0, σ²), not truncated
    Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep CNNs, 2012 (σ = 0.01)
    """

    std: float = 0.01

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jax.random.normal(key, tuple(shape), dtype) * jnp.asarray(self.std, dtype)

    def check(self) -> None:
        _check_above_zero("std", self.std)


# The normal forms are not truncated, as in the papers; jax.nn.initializers.he_normal and its like are, at two standard
# deviations (with the same variance).
def xavier_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ U(-a, a), a = √(6 / (fan_in + fan_out)); variance 2 / (fan_in + fan_out)
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(1.0, "fan_avg", "uniform", key, shape, dtype)


def xavier_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that is a compromise between the forward and the backward pass.

    Formula: w ~ N(0, 2 / (fan_in + fan_out)), not truncated
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010
    """
    return _scaled_to_fan(1.0, "fan_avg", "normal", key, shape, dtype)


def lecun_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that keeps the signal through linear units.

    Formula: w ~ U(-a, a), a = √(3 / fan_in); variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(1.0, "fan_in", "uniform", key, shape, dtype)


def lecun_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that keeps the signal through linear units; lectures after CS231n call it "Xavier".

    Formula: w ~ N(0, 1) / √fan_in, not truncated; variance 1 / fan_in
    Reference: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998
    """
    return _scaled_to_fan(1.0, "fan_in", "normal", key, shape, dtype)


def he_uniform(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Uniform with the variance that keeps the signal through rectifiers.

    Formula: w ~ U(-a, a), a = √(6 / fan_in); variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(2.0, "fan_in", "uniform", key, shape, dtype)


def he_normal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Normal with the variance that keeps the signal through rectifiers.

    Formula: w ~ N(0, 1) / √(fan_in / 2), not truncated; variance 2 / fan_in
    Reference: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015
    """
    return _scaled_to_fan(2.0, "fan_in", "normal", key, shape, dtype)


def orthogonal(key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
    """Orthonormal columns, or rows where there are fewer of them, uniformly distributed.

    A convolutional kernel is taken as the matrix [prod(window) * in, out]. It goes through a QR decomposition: make it
    in a small program of its own.

    Formula: WᵀW = I where fan_in >= out, WWᵀ = I else; mean square 1 / max(fan_in, out)
    Reference: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning, 2013
    """
    draw = jax_initializers.orthogonal()
    if jnp.dtype(dtype).itemsize >= 4:
        return draw(key, tuple(shape), dtype)
    return draw(key, tuple(shape), jnp.float32).astype(dtype)  # there is no QR decomposition of half precision


@dataclass(frozen=True)
class Sparse:
    """Exactly k incoming weights of each unit are not zero, or all where the fan-in is smaller.

    Formula: k weights of each unit, drawn without replacement, ~ N(0, σ²), σ = 1; all others 0; variance σ² k / fan_in
    Reference: Martens, Deep learning via Hessian-free optimization, 2010
    """

    k: int = 15
    std: float = 1.0

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        _check_kernel("sparse", shape)
        matrix = (math.prod(shape[:-1]), shape[-1])  # [fan_in, out]
        value_key, place_key = jax.random.split(key)
        chosen = jnp.argsort(jax.random.bits(place_key, matrix), axis=0) < self.k  # a permutation for each unit
        values = jax.random.normal(value_key, matrix, dtype) * jnp.asarray(self.std, dtype)
        return jnp.where(chosen, values, jnp.zeros_like(values)).reshape(tuple(shape))

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"`k` (={self.k}) must be at least 1: 15 is usual")
        _check_above_zero("std", self.std)


@dataclass(frozen=True)
class IdentityRNN:
    """Kernels with as many inputs as outputs start as the identity times `scale`, others small and normal.

    For recurrent kernels with rectifiers: the state is kept as it is. In a convolution the identity stands in the
    middle of the window. An input kernel that happens to be square becomes the identity too.

    Formula: W = scale · I where in = out; w ~ N(0, σ²), σ = 0.001, else
    Reference: Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015
    """

    scale: float = 1.0
    std: float = 0.001

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        _check_kernel("identity_rnn", shape)
        *window, inputs, outputs = shape
        if inputs != outputs:
            return jax.random.normal(key, tuple(shape), dtype) * jnp.asarray(self.std, dtype)
        middle = tuple((size - 1) // 2 for size in window)
        identity = jnp.eye(inputs, dtype=dtype) * jnp.asarray(self.scale, dtype)
        return jnp.zeros(tuple(shape), dtype).at[middle].set(identity) if window else identity

    def check(self) -> None:
        if not math.isfinite(self.scale):
            raise ValueError(f"`scale` (={self.scale}) must be a finite number: 1.0 is usual")
        _check_above_zero("std", self.std)


@dataclass(frozen=True)
class LSUV:
    """Layer-sequential unit variance: orthogonal, then each layer scaled so that its output on data has variance 1.

    Formula: W orthogonal; layer by layer W ← W / √Var(z), with z = W·h on a batch, over examples, positions and units
    Reference: Mishkin and Matas, All you need is a good init, 2015
    """

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return orthogonal(key, shape, dtype)

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """Scales every kernel by data, in one pass; jittable.

        In the pass each layer that owns a `kernel` hands on its output as it will be after scaling, so that the next
        one is measured on what it will really see: no iteration is needed, because z is linear in W (layers of your
        own with a `kernel` are taken to be so). Biases are left out of z. Layers with a constant output (dead units
        before them) stay as they are; so do recurrent cells, and all layers inside a lifted scan or map unless it has
        `variable_axes={"lsuv": 0, …}`, as blocks whose parameters are stacked should.

        Args:
            variables: of `net`, as drawn by `init`.
            net: a module called as `net.apply(variables, x, train=False)`.
            x: a batch [B, …].
            key: for what is random in the net in evaluation.
        """
        rngs = {"dropout": key, "sample": key}
        with nn.intercept_methods(_hand_on_unit_variance):
            _, measured = net.apply(variables, x, train=False, rngs=rngs, mutable=[_FACTORS])
        factors = {_names(path)[1:-1]: leaf for path, leaf in _leaves(measured)}

        def scale(path: Any, leaf: Array) -> Array:
            collection, *owner, name = _names(path)
            factor = factors.get(tuple(owner)) if (collection, name) == ("params", "kernel") else None
            if factor is None:
                return leaf
            # [] for a layer; with the leading axes of the stack for the layers of a lifted scan
            return leaf * factor.astype(leaf.dtype).reshape(factor.shape + (1,) * (leaf.ndim - factor.ndim))

        return jax.tree_util.tree_map_with_path(scale, variables)


@dataclass(frozen=True)
class ZeroResidual:
    """he_normal, and the last layer of each residual branch starts at zero: each block starts as its shortcut.

    Formula: w ~ N(0, 2 / fan_in); W = 0 (or, where it is a normalization, γ = 0) at the end of a residual branch
    Reference: Goyal et al., Accurate, large minibatch SGD, 2017; Zhang, Dauphin and Ma, Fixup initialization, 2019
    """

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return he_normal(key, shape, dtype)

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """Sets to zero the parameters under modules whose name starts with `residual_out`; other nets stay as they are.

        Under one such module that is `scale` where there is one, else `kernel`: with both zero, neither would ever get
        a gradient.
        """
        del net, x, key
        ends = {_branch_end(path): "kernel" for path, _ in _leaves(variables)}
        ends.update({_branch_end(path): "scale" for path, _ in _leaves(variables) if _names(path)[-1] == "scale"})
        ends.pop((), None)

        def zero(path: Any, leaf: Array) -> Array:
            return jnp.zeros_like(leaf) if ends.get(_branch_end(path)) == _names(path)[-1] else leaf

        return jax.tree_util.tree_map_with_path(zero, variables)


@dataclass(frozen=True)
class Scaled:
    """An initializer times a gain, which may be a traced scalar. Made by `scaled`."""

    initializer: Initializer
    gain: Any

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return self.initializer(key, shape, dtype) * jnp.asarray(self.gain, dtype)


@dataclass(frozen=True)
class ScaledTransformed:
    """An initializer with a `transform`, times a gain. Made by `scaled`."""

    initializer: Any
    gain: Any

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return self.initializer(key, shape, dtype)

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """The initializer's own transformation, then every parameter named `kernel` times the gain."""
        variables = self.initializer.transform(variables, net, x, key)

        def scale(path: Any, leaf: Array) -> Array:
            names = _names(path)
            return leaf * jnp.asarray(self.gain, leaf.dtype) if (names[0], names[-1]) == ("params", "kernel") else leaf

        return jax.tree_util.tree_map_with_path(scale, variables)


def scaled(initializer: Initializer, gain: Any) -> Scaled | ScaledTransformed:
    """`initializer` with all its weights multiplied by `gain`, a number or a traced scalar.

    For an initializer with a `transform` the gain comes after it: `lsuv` would undo one that came before.
    """
    return (ScaledTransformed if hasattr(initializer, "transform") else Scaled)(initializer, gain)


_FACTORS = "lsuv"  # the collection in which LSUV's pass leaves each layer's factor; nets with nn.scan name it
_FACTOR = "lsuv_factor"


def _hand_on_unit_variance(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    output = call(*args, **kwargs)
    layer = context.module
    owns_kernel = context.method_name == "__call__" and layer.has_variable("params", "kernel")
    # Inside a lifted scan or map that does not name the collection, it is not mutable: no number gets out of there.
    if not (owns_kernel and isinstance(output, Array) and layer.is_mutable_collection(_FACTORS)):
        return output
    bias = layer.get_variable("params", "bias") if layer.has_variable("params", "bias") else jnp.zeros((), output.dtype)
    bias = jnp.broadcast_to(bias.astype(output.dtype), output.shape)
    if not layer.has_variable(_FACTORS, _FACTOR):  # else: a layer used twice keeps its first factor
        variance = jnp.var((output - bias).astype(jnp.promote_types(output.dtype, jnp.float32)))
        usable = variance > 0
        layer.put_variable(_FACTORS, _FACTOR, jnp.where(usable, jax.lax.rsqrt(jnp.where(usable, variance, 1)), 1))
    return (output - bias) * layer.get_variable(_FACTORS, _FACTOR).astype(output.dtype) + bias


def _scaled_to_fan(scale: float, mode: Any, distribution: Any, key: Array, shape: Shape, dtype: Any) -> Array:
    return jax_initializers.variance_scaling(scale, mode, distribution)(key, tuple(shape), dtype)


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _names(path: Any) -> tuple[str, ...]:
    return tuple(str(getattr(entry, "key", entry)) for entry in path)


def _branch_end(path: Any) -> tuple[str, ...]:
    """The path down to the module that ends a residual branch; () where the parameter is under none."""
    names = _names(path)
    ends = [i for i, name in enumerate(names[:-1]) if name.startswith(RESIDUAL_END)]
    return names[: ends[0] + 1] if ends and names[0] == "params" else ()


def _check_kernel(name: str, shape: Shape) -> None:
    if len(shape) < 2:
        raise ValueError(f"the shape (={tuple(shape)}) for `{name}` must be a kernel's, [..., in, out]: not for a bias")


def _check_above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` (={value}) must be finite and above 0: for zero weights use `zeros`")


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "constant": Constant(),
    "uniform_0.01": Uniform(limit=0.01),
    "uniform_0.1": Uniform(limit=0.1),
    "normal": Normal(),
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "orthogonal": orthogonal,
    "sparse": Sparse(),
    "identity_rnn": IdentityRNN(),
    "lsuv": LSUV(),
    "zero_residual": ZeroResidual(),
}
