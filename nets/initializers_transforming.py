"""Initializers that change the variables again once `init` has drawn all kernels.

They do so by a method `transform(variables, net, x, key) -> variables`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from nets.initializers_by_shape import Shape, he_normal, orthogonal

Variables = Mapping[str, Any]

RESIDUAL_END = "residual_out"  # prefix of the name of a residual branch's last layer


@runtime_checkable
class Transforming(Protocol):
    """An initializer that also changes what `init` has drawn."""

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """The variables that training starts from; x [B, …] is a batch."""
        ...


@dataclass(frozen=True)
class LSUV:
    """Layer-sequential unit variance: orthogonal, then scaled so that each layer's output on data has variance 1.

    Formula: W orthogonal; layer by layer W ← W / √Var(z), with z = W·h on a batch, over examples, positions and units
    Reference: Mishkin and Matas, All you need is a good init, 2015
    """

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return orthogonal(key, shape, dtype)

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """Scales every kernel by the variance of its layer's output on data, in one forward pass; jittable.

        Each layer that owns a `kernel` passes on its output as it will be after scaling, so the next layer is measured
        on its actual input. No iteration is needed, because z is linear in W (assumed of your own layers with a `kernel`
        too). Biases are left out of z. Layers with constant output (dead units before them) are left unchanged; so are
        recurrent cells, and all layers inside a lifted scan or map unless it has `variable_axes={"lsuv": 0, …}`, as
        blocks with stacked parameters should.

        Args:
            variables: the net's, as drawn by `init`.
            net: a module called as `net.apply(variables, x, train=False)`.
            x: a batch [B, …].
            key: for the net's random operations in evaluation.
        """
        rngs = {"dropout": key, "sample": key}
        with nn.intercept_methods(_pass_on_unit_variance):
            _, measured = net.apply(variables, x, train=False, rngs=rngs, mutable=[_FACTORS])
        factors = {_names(path)[1:-1]: leaf for path, leaf in _leaves(measured)}

        def scale(path: Any, leaf: Array) -> Array:
            collection, *owner, name = _names(path)
            factor = factors.get(tuple(owner)) if (collection, name) == ("params", "kernel") else None
            if factor is None:
                return leaf
            # Shape [], or the leading axes of the stack for layers of a lifted scan.
            return leaf * factor.astype(leaf.dtype).reshape(factor.shape + (1,) * (leaf.ndim - factor.ndim))

        return jax.tree_util.tree_map_with_path(scale, variables)


@dataclass(frozen=True)
class ZeroResidual:
    """he_normal, with the last layer of each residual branch at zero, so that each block starts as its shortcut.

    Formula: w ~ N(0, 2 / fan_in); W = 0 (or, if it is a normalization, γ = 0) at the end of a residual branch
    Reference: Goyal et al., Accurate, large minibatch SGD, 2017; Zhang, Dauphin and Ma, Fixup initialization, 2019
    """

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return he_normal(key, shape, dtype)

    def transform(self, variables: Variables, net: nn.Module, x: Array, key: Array) -> Variables:
        """Zeroes a parameter of each module whose name starts with `residual_out`; other nets are left unchanged.

        It is `scale` if the module has one, otherwise `kernel`: with both zero, neither would ever get a gradient.
        """
        del net, x, key
        ends = {_branch_end(path): "kernel" for path, _ in _leaves(variables)}
        ends.update({_branch_end(path): "scale" for path, _ in _leaves(variables) if _names(path)[-1] == "scale"})
        ends.pop((), None)

        def zero(path: Any, leaf: Array) -> Array:
            return jnp.zeros_like(leaf) if ends.get(_branch_end(path)) == _names(path)[-1] else leaf

        return jax.tree_util.tree_map_with_path(zero, variables)


@dataclass(frozen=True)
class ScaledTransformed:
    """An initializer with a `transform`, times a gain; made by `scaled`."""

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


_FACTORS = "lsuv"  # the collection of the layers' factors in LSUV's pass; nets with nn.scan name it
_FACTOR = "lsuv_factor"


def _pass_on_unit_variance(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    output = call(*args, **kwargs)
    layer = context.module
    owns_kernel = context.method_name == "__call__" and layer.has_variable("params", "kernel")
    # Inside a lifted scan or map that does not name the collection it is not mutable, so factors cannot leave it.
    if not (owns_kernel and isinstance(output, Array) and layer.is_mutable_collection(_FACTORS)):
        return output
    bias = layer.get_variable("params", "bias") if layer.has_variable("params", "bias") else jnp.zeros((), output.dtype)
    bias = jnp.broadcast_to(bias.astype(output.dtype), output.shape)
    if not layer.has_variable(_FACTORS, _FACTOR):  # a layer used twice keeps its first factor
        variance = jnp.var((output - bias).astype(jnp.promote_types(output.dtype, jnp.float32)))
        usable = variance > 0
        layer.put_variable(_FACTORS, _FACTOR, jnp.where(usable, jax.lax.rsqrt(jnp.where(usable, variance, 1)), 1))
    return (output - bias) * layer.get_variable(_FACTORS, _FACTOR).astype(output.dtype) + bias


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _names(path: Any) -> tuple[str, ...]:
    return tuple(str(getattr(entry, "key", entry)) for entry in path)


def _branch_end(path: Any) -> tuple[str, ...]:
    """The path down to the module that ends a residual branch; () if the parameter is under none."""
    names = _names(path)
    ends = [i for i, name in enumerate(names[:-1]) if name.startswith(RESIDUAL_END)]
    return names[: ends[0] + 1] if ends and names[0] == "params" else ()
