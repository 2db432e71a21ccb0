"""Penalties on weights, added to the loss or applied to the weights; they act on kernels and embeddings only."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from losses.regression import magnitude

Array = jax.Array

KERNEL_NAMES = ("kernel", "embedding")


def is_kernel(path: Sequence[Any], names: tuple[str, ...] = KERNEL_NAMES) -> bool:
    """Whether the leaf at this path of a parameter tree is a weight that penalties act on."""
    last = path[-1] if path else None
    return getattr(last, "key", getattr(last, "name", None)) in names


def kernels(params: Any) -> list[Array]:
    """The weights that penalties act on: leaves whose last key is `kernel` or `embedding`.

    Raises ValueError if there are none: a penalty on nothing would look like a penalty that does not help.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    found = [leaf for path, leaf in leaves if is_kernel(path)]
    if not found:
        got = ", ".join(jax.tree_util.keystr(path) for path, _ in leaves[:4]) or "nothing"
        raise ValueError(f"no parameter is named kernel or embedding (got {got}): rename it, or write a penalty for it")
    return found


def summed(leaves: Sequence[Array], term: Callable[[Array], Array]) -> Array:
    """Σ term over all leaves, in float32 or wider: a long sum in bfloat16 would stop growing."""
    wide = jnp.float64 if any(leaf.dtype == jnp.float64 for leaf in leaves) else jnp.float32
    sums = [total(term(leaf.astype(wide))) for leaf in leaves]
    return sum(sums[1:], sums[0])


def total(x: Array) -> Array:
    """Σ x, over the first axis first: on CPU this takes 0.4 times as long as a single sum over all axes."""
    return jnp.sum(jnp.sum(x, axis=0) if x.ndim else x)


def times(strength: float | Array, value: Array) -> Array:
    """strength · value in the precision of the value."""
    return jnp.asarray(strength, value.dtype) * value


def check_strength(name: str, **values: float) -> None:
    """Raises ValueError, in one line, for a strength that is no finite number of 0 or more."""
    for field, value in values.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"{name}: {field}={value} must be a finite number of 0 or more; 0 switches it off")


def l1(params: Any) -> Array:
    """Sum of absolute weights; the gradient is the sign of the weight, and 0 at 0.

    Formula: Σ |w|
    Reference: Tibshirani, 1996 (lasso)
    """
    return summed(kernels(params), magnitude)


def l2(params: Any) -> Array:
    """Sum of squared weights, without a factor ½: the gradient is 2w.

    Formula: Σ w²
    Reference: Hoerl and Kennard, 1970 (ridge)
    """
    return summed(kernels(params), jnp.square)


@dataclasses.dataclass(frozen=True)
class L1:
    """Drives weights to exactly zero, and so selects features.

    Formula: λ Σ |w|
    Reference: Tibshirani, 1996 (lasso)
    """

    strength: float = 1e-4
    acts_on: ClassVar[str] = "params"

    def check(self) -> None:
        check_strength("l1", strength=self.strength)

    def __call__(self, params: Any) -> Array:
        return times(self.strength, l1(params))


@dataclasses.dataclass(frozen=True)
class L2:
    """Shrinks weights; the gradient is 2λw. A strength quoted for the convention λ/2 Σ w² must be halved.

    Formula: λ Σ w²
    Reference: Hoerl and Kennard, 1970 (ridge); Krogh and Hertz, 1992
    """

    strength: float = 1e-4
    acts_on: ClassVar[str] = "params"

    def check(self) -> None:
        check_strength("l2", strength=self.strength)

    def __call__(self, params: Any) -> Array:
        return times(self.strength, l2(params))


@dataclasses.dataclass(frozen=True)
class ElasticNet:
    """L1 and L2 at once: selects like L1 and keeps correlated weights together like L2.

    Formula: λ₁ Σ |w| + λ₂ Σ w²
    Reference: Zou and Hastie, 2005
    """

    l1: float = 1e-4
    l2: float = 1e-4
    acts_on: ClassVar[str] = "params"

    def check(self) -> None:
        check_strength("elastic_net", l1=self.l1, l2=self.l2)

    def __call__(self, params: Any) -> Array:
        return times(self.l1, l1(params)) + times(self.l2, l2(params))


@dataclasses.dataclass(frozen=True)
class MaxNorm:
    """After each update, scales a unit's incoming weights back to the limit if their norm exceeds it.

    A kernel is [in, out] or [*window, in, out]; the norm runs over all axes but the last. Embeddings are left alone.

    Formula: w_j ← w_j min(1, c / ‖w_j‖)
    Reference: Srebro and Shraibman, 2005; Srivastava et al., 2014
    """

    limit: float = 3.0
    acts_on: ClassVar[str] = "projection"

    def check(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"max_norm: limit={self.limit} must be above 0; 3 or 4 is usual")

    def __call__(self, params: Any) -> Any:
        def project(path: Sequence[Any], w: Array) -> Array:
            if not is_kernel(path, ("kernel",)):
                return w
            limit = jnp.asarray(self.limit, w.dtype)
            norms = jnp.sqrt(jnp.sum(w**2, axis=tuple(range(w.ndim - 1)), keepdims=True))
            # Weights within the limit must not change by a single bit.
            return jnp.where(norms > limit, w * (limit / jnp.maximum(norms, limit)), w)

        return jax.tree_util.tree_map_with_path(project, params)


@dataclasses.dataclass(frozen=True)
class WeightNoise:
    """Gaussian noise on kernels and embeddings, drawn afresh for each training forward pass.

    Formula: w ← w + σ n, n ~ N(0, 1)
    Reference: Graves, 2011
    """

    std: float = 0.01
    acts_on: ClassVar[str] = "weights"

    def check(self) -> None:
        check_strength("weight_noise", std=self.std)

    def __call__(self, params: Any, key: Array) -> Any:
        leaves, tree = jax.tree_util.tree_flatten_with_path(params)
        noisy = [
            w + jnp.asarray(self.std, w.dtype) * jax.random.normal(jax.random.fold_in(key, i), w.shape, w.dtype)
            if is_kernel(path)
            else w
            for i, (path, w) in enumerate(leaves)
        ]
        return jax.tree_util.tree_unflatten(tree, noisy)
