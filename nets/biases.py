"""Initial biases: drawn after a net's `init`, in whatever library its layers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from nets.initializers_transforming import Transforming

BIAS, SCALE, WEIGHT, KERNEL = "bias", "scale", "weight", "kernel"


@runtime_checkable
class ByFanIn(Protocol):
    """An initializer whose draws of biases depend on the number of inputs of their units."""

    def biases(self, key: jax.Array, shape: tuple[int, ...], fan_in: Any, dtype: Any = jnp.float32, /) -> jax.Array:
        """Biases of the shape, of units with `fan_in` inputs."""
        ...


def with_biases(
    params: Mapping[str, Any], initializer: Callable[..., jax.Array], key: jax.Array, fan_ins: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """The parameters with every bias drawn by `initializer(key, shape, dtype)`; the other parameters are unchanged.

    One that is `ByFanIn` is also told the number of inputs, from the `kernel` [*window, in, out] beside the bias, or from
    `fan_ins`, by the name of a layer of the net, where these differ.

    A bias is a parameter named `bias`, of a layer without a `scale` (that of a normalization stays). Each has a key of its
    own, which depends on its place among the net's biases in the order of their names.

    Raises ValueError if the net has none, the initializer returns another shape, or is `ByFanIn` and a bias has no kernel.
    """
    count = 0

    def drawn(tree: Mapping[str, Any], layer: str = "") -> dict[str, Any]:
        nonlocal count
        out: dict[str, Any] = {}
        for name in sorted(tree):
            leaf = tree[name]
            if isinstance(leaf, Mapping):
                out[name] = drawn(leaf, layer or name)
            elif name == BIAS and _is_of_a_layer(tree):
                own = jax.random.fold_in(key, count)
                if isinstance(initializer, ByFanIn):
                    fan_in = fan_ins[layer] if layer in fan_ins else _fan_in(tree, leaf)
                    new = initializer.biases(own, leaf.shape, fan_in, leaf.dtype)
                else:
                    new = initializer(own, leaf.shape, leaf.dtype)
                if jnp.shape(new) != leaf.shape:
                    raise ValueError(
                        f"bias_initializer returns shape {jnp.shape(new)} for a bias of shape {leaf.shape}"
                    )
                out[name] = jnp.asarray(new, leaf.dtype)
                count += 1
            else:
                out[name] = leaf
        return {name: out[name] for name in tree}

    result = drawn(params)
    if not count:
        raise ValueError("bias_initializer is set, and the net has no parameter named bias: leave it out for this net")
    return result


def _fan_in(tree: Mapping[str, Any], bias: jax.Array) -> int:
    """The number of inputs of the units that a bias [*stack, out] belongs to."""
    kernel = tree.get(KERNEL)
    if kernel is None or isinstance(kernel, Mapping):
        raise ValueError(
            "bias_initializer depends on the number of inputs, and a bias of this net has no parameter named kernel beside "
            "it: use one of an array's shape alone, such as Uniform(0.1)"
        )
    return math.prod(kernel.shape[bias.ndim - 1 : -1])


def _is_of_a_layer(tree: Mapping[str, Any]) -> bool:
    """Whether the parameters beside a bias are not those of a normalization, whose gain is a `scale` or a plain `weight`."""
    weight = tree.get(WEIGHT)
    return SCALE not in tree and (weight is None or (isinstance(weight, Mapping) and KERNEL in weight))


def check_initializer(initializer: Any, name: str) -> None:
    """Raises ValueError, in one line, for an initializer that cannot draw a bias, as it needs a kernel's shape or data."""
    remedy = "use one of an array's shape alone, such as normal, Uniform(0.1), Constant(0.1), or a function (key, shape, dtype)"
    if isinstance(initializer, Transforming):
        raise ValueError(f"bias_initializer is {name}, which changes a net's kernels after they are drawn: {remedy}")
    if isinstance(initializer, ByFanIn):
        return
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        jax.eval_shape(lambda key: initializer(key, (3,), jnp.float32), key)
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"bias_initializer is {name}, which fails for the shape of a bias ({line:.100}): {remedy}"
        ) from error
