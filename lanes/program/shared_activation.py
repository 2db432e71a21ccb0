"""One program for several activations: a switch on an index that all lanes of a group share, or that each lane has.

A group's index is outside the `vmap` over lanes, so only the selected branch runs: on a CPU. An index of each lane makes a
selection of the switch: every branch is computed, in the kernel of the layer, and a group may hold any activations. The
branches are those that the program needs, which its directory records; with an index of the group no number depends on which
others there are.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lanes.describe.runs import Run, SharedRun
from nets.activations import ACTIVATIONS, Learned, Widening

_LEFT_OUT = ("silu", "softmax")  # silu equals swish; softmax is not elementwise


def _parameter(entry: Any) -> str | None:
    """The name of a description's single field; None for a plain function."""
    return dataclasses.fields(entry)[0].name if dataclasses.is_dataclass(entry) else None


def _sharable(entry: Any) -> bool:
    if isinstance(entry, (Learned, Widening)):
        return False
    return not dataclasses.is_dataclass(entry) or len(dataclasses.fields(entry)) == 1


BRANCHES: dict[str, Callable] = {
    name: entry for name, entry in ACTIVATIONS.items() if name not in _LEFT_OUT and _sharable(entry)
}


@dataclasses.dataclass(frozen=True)
class Units:
    """A number of units, which is traced."""

    count: float


@dataclasses.dataclass(frozen=True)
class AnyActivation:
    """The activation at `index` of `branches`, with its parameter if it has one; both numbers are traced.

    Attributes:
        branches: names in BRANCHES.
        index: position in `branches`.
        parameter: the value of the activation's field.
        units: how many of its units each hidden layer has; those that follow give 0. All of them if it is empty.
    """

    branches: tuple[str, ...]
    index: float = 0.0
    parameter: float = 0.0
    units: tuple[Units, ...] = ()

    def of_layer(self, layer: int) -> Callable[[jax.Array], jax.Array]:
        """The activation of the hidden layer of this number, from 0."""
        return _Cut(self, self.units[layer].count) if self.units else self

    def __call__(self, z: jax.Array) -> jax.Array:
        """g(z), with the shape and dtype of z."""
        return _any(self.branches, jnp.asarray(self.index, jnp.int32), jnp.asarray(self.parameter, jnp.float32), z)


@dataclasses.dataclass(frozen=True)
class _Cut:
    """An activation of the first `count` units, a traced number, and 0 for those that follow."""

    activation: AnyActivation
    count: Any

    def __call__(self, z: jax.Array) -> jax.Array:
        units = jnp.arange(z.shape[-1], dtype=jnp.float32)
        return jnp.where(units < self.count, self.activation(z), jnp.zeros((), z.dtype))


def _branch(entry: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
    name = _parameter(entry)
    return lambda parameter, z: entry(z) if name is None else dataclasses.replace(entry, **{name: parameter})(z)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _any(branches: tuple[str, ...], index: jax.Array, parameter: jax.Array, z: jax.Array) -> jax.Array:
    return lax.switch(index, [_branch(BRANCHES[name]) for name in branches], parameter, z)


# Cotangents of z from those of y = g(z) and the activation's parameter: y says what an exponential would have to find again.
# JAX 0.10 computes the derivatives of the functions themselves in this order, later versions otherwise (6e-8 apart).
_OF_VALUE: dict[str, Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]] = {
    "sigmoid": lambda steepness, _z, y, cotangent: steepness * (cotangent * (y * (1 - y))),
    "tanh": lambda _parameter, _z, y, cotangent: cotangent * (1 - y) + cotangent * (1 - y) * y,
    "elu": lambda alpha, z, y, cotangent: jnp.where(z > 0, cotangent, cotangent * (y + alpha)),
}


def _forward(
    branches: tuple[str, ...], index: jax.Array, parameter: jax.Array, z: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    y = _any(branches, index, parameter, z)
    return y, (index, parameter, z, y)


def _backward(
    branches: tuple[str, ...], saved: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[None, None, jax.Array]:
    """The gradient, from z or y: the derivative of a plain switch would save the residuals of every branch."""
    index, parameter, z, y = saved

    def pull(name: str) -> Callable:
        branch = _branch(BRANCHES[name])

        def of_argument(parameter: jax.Array, z: jax.Array, _: jax.Array, cotangent: jax.Array) -> jax.Array:
            return jax.vjp(lambda z: branch(parameter, z), z)[1](cotangent)[0]

        def of_value(parameter: jax.Array, z: jax.Array, y: jax.Array, cotangent: jax.Array) -> jax.Array:
            return _OF_VALUE[name](parameter.astype(y.dtype), z, y, cotangent)

        return of_value if name in _OF_VALUE else of_argument

    return None, None, lax.switch(index, [pull(name) for name in branches], parameter, z, y, cotangent)


_any.defvjp(_forward, _backward)


def with_parameter(branches: Sequence[str]) -> Any:
    """The first of the activations of `branches` that has a parameter; None if none has."""
    return next((BRANCHES[name] for name in branches if _parameter(BRANCHES[name]) is not None), None)


_BY_TYPE = {type(entry): name for name, entry in BRANCHES.items() if _parameter(entry) is not None}
_BY_ID = {id(entry): name for name, entry in BRANCHES.items() if _parameter(entry) is None}


def branch_of(activation: Any) -> str | None:
    """The name of the branch that computes an activation; None for one that no branch does, such as the user's own."""
    return _BY_TYPE.get(type(activation)) or _BY_ID.get(id(activation))


def shared(activation: Any, branches: tuple[str, ...], units: Sequence[int] = ()) -> AnyActivation:
    """The activation as a position in `branches`, which must have a branch for it, for layers of which it has these units."""
    name = branch_of(activation)
    assert name is not None
    field = _parameter(BRANCHES[name])
    parameter = 0.0 if field is None else float(getattr(activation, field))
    held = tuple(Units(float(count)) for count in units)
    return AnyActivation(branches, float(branches.index(name)), parameter, held)


INDEX = "activation.index"


def is_of_group(run: Run) -> bool:
    """Whether the lanes of a group must have the same activation, at one index."""
    return isinstance(run.activation, AnyActivation) and not (isinstance(run, SharedRun) and run.batched)


def group_key(run: Run) -> float:
    """A key that must be equal for all lanes of a group."""
    return run.activation.index if is_of_group(run) else 0.0
