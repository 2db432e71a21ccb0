"""Where a bridge stores the leaves of a user's module, and what it checks of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.outputs import Outputs

STATE = "state"  # the collection of arrays that are not trained
KERNELS = ("kernel", "embedding")  # names of the parameters that penalties and weight decay act on
Names = tuple[str, ...]  # a path in nested dictionaries
Leaves = dict[Names, Any]


def named(path: Names, leaf: Any, trains: bool) -> Names:
    """Where a leaf is stored: kernels end in `kernel`, which is what penalties and weight decay look for.

    A parameter is a kernel if it has two axes or more and is not called bias or scale.
    """
    if any("." in name for name in path):
        raise ValueError(f"{path} has a dot in a name: checkpoints join names by dots, so rename it")
    is_kernel = trains and leaf.ndim >= 2 and path[-1] not in ("bias", "scale")
    return (*path, "kernel") if is_kernel and path[-1] not in KERNELS else path


def nested(leaves: Leaves) -> dict[str, Any]:
    """Leaves by path as nested dictionaries."""
    out: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, last = path
        at = out
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = leaf
    return out


def at(tree: Any, path: Names) -> Any:
    """The leaf of nested dictionaries at a path."""
    return functools.reduce(lambda inner, name: inner[name], path, tree)


def store(net: nn.Module, collection: str, leaves: Leaves) -> None:
    """Write leaves into a collection of the running net's variables."""
    for name, tree in nested(leaves).items():
        net.put_variable(collection, name, tree)


def store_state(net: nn.Module, before: Leaves, after: Leaves) -> None:
    """Write the state after a pass.

    Raises:
        ValueError: an array of another shape than before, or of numbers that its integers cannot hold.
    """
    for path, new in after.items():
        old = before[path]
        narrowed = jnp.issubdtype(new.dtype, jnp.inexact) and not jnp.issubdtype(old.dtype, jnp.inexact)
        if new.shape != old.shape or narrowed:
            raise ValueError(
                f"{'.'.join(path)} of {type(net).__name__} is {old.dtype} {old.shape} before a pass and {new.dtype} {new.shape} "
                "after it: it must keep its shape and type"
            )
    store(net, STATE, after)


def checked(net: nn.Module, result: Any) -> Any:
    """What the user's module returned, an array or `Outputs`; the numbers [B] of a single output as [B, 1].

    Raises:
        ValueError: anything else.
    """
    if not isinstance(result, (jax.Array, Outputs)):
        raise ValueError(
            f"{type(net).__name__} returns {type(result).__name__}: it must return an array, or nets.Outputs"
        )
    if isinstance(result, jax.Array) and result.ndim < 2:
        outputs = getattr(net, "outputs", 1)
        if outputs != 1 or result.ndim == 0:
            raise ValueError(
                f"{type(net).__name__} returns an array of shape {result.shape} for a batch: it must be [B, {outputs}]"
            )
        return result[:, None]
    return result


def check_trained(net: nn.Module, params: Leaves) -> None:
    """Raises ValueError for a module without parameters."""
    if not params:
        raise ValueError(
            f"{type(net).__name__} has no parameters to train: they are nnx.Param in NNX, float arrays in Equinox"
        )


def draws(net: nn.Module, train: bool) -> jax.Array:
    """The random key of a pass: of dropout in training, of samples in evaluation; a constant one if it has none."""
    for name in ("dropout", "sample") if train else ("sample", "dropout"):
        if net.has_rng(name):
            return net.make_rng(name)
    return jax.random.key(0)


def refuse_keys(paths: Iterable[tuple[Names, Any]]) -> None:
    """Raises ValueError for random keys among arrays that are kept: every step would use the same."""
    for path, leaf in paths:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise ValueError(f"{'.'.join(path)} is a random key: take keys when the module is called, or keep nnx.Rngs")
