"""One program for many activations: a switch on an index that all lanes of a group share.

The conditional is outside the `vmap` over lanes, so only the selected branch runs; a batched index would compute them
all. The branches are always the whole table, never the activations of one sweep, so a run's program does not depend on
the other runs of its sweep.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lanes.describe.runs import Run
from nets.activations import ACTIVATIONS, Learned, Widening

MOST_CALLS = 4  # a net that calls its activation more often compiles faster with the activation built in
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
class AnyActivation:
    """The activation at `index` in the table, with its parameter if it has one; both are traced."""

    index: float = 0.0
    parameter: float = 0.0

    def __call__(self, z: jax.Array) -> jax.Array:
        """g(z), with the shape and dtype of z."""
        return _any(jnp.asarray(self.index, jnp.int32), jnp.asarray(self.parameter, jnp.float32), z)


def _branch(entry: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
    name = _parameter(entry)
    return lambda parameter, z: entry(z) if name is None else dataclasses.replace(entry, **{name: parameter})(z)


@jax.custom_vjp
def _any(index: jax.Array, parameter: jax.Array, z: jax.Array) -> jax.Array:
    return lax.switch(index, [_branch(entry) for entry in BRANCHES.values()], parameter, z)


def _forward(index: jax.Array, parameter: jax.Array, z: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return _any(index, parameter, z), (index, parameter, z)


def _backward(saved: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[None, None, jax.Array]:
    """The gradient, recomputed from z: the derivative of a plain switch would save the residuals of every branch."""
    index, parameter, z = saved

    def pull(branch: Callable) -> Callable:
        return lambda parameter, z, cotangent: jax.vjp(lambda z: branch(parameter, z), z)[1](cotangent)[0]

    branches = [pull(_branch(entry)) for entry in BRANCHES.values()]
    return None, None, lax.switch(index, branches, parameter, z, cotangent)


_any.defvjp(_forward, _backward)


def shared(run: Run) -> Run:
    """The run with its activation as an index into the table; the run itself if the table lacks it."""
    for index, entry in enumerate(BRANCHES.values()):
        name = _parameter(entry)
        if run.activation is entry or (name is not None and type(run.activation) is type(entry)):
            parameter = 0.0 if name is None else float(getattr(run.activation, name))
            return dataclasses.replace(run, activation=AnyActivation(float(index), parameter))
    return run


def by_name(run: Run) -> Run:
    """The run as its program's signature describes it: an activation that is an index is named "any"."""
    return dataclasses.replace(run, activation="any") if isinstance(run.activation, AnyActivation) else run


INDEX = "activation.index"


def group_key(run: Run) -> float:
    """A key that must be equal for all lanes of a group."""
    return run.activation.index if isinstance(run.activation, AnyActivation) else 0.0
