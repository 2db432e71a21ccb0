"""One program for many activations: a switch on an index that all lanes of a group share.

The conditional stands outside the `vmap` over lanes, so only the chosen branch runs; a batched index would compute all.
The branches are always the whole table, never the activations of one sweep: a run's program does not depend on what it
is swept with.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lanes.runs import Run
from nets.activations import ACTIVATIONS

MOST_CALLS = 4  # a net that calls its activation more often compiles faster with the activation built in
_ALIASES = ("silu", "softmax")  # the same as swish; not elementwise


def _parameter(entry: Any) -> str | None:
    """The name of a description's only float field; None for a plain function."""
    return dataclasses.fields(entry)[0].name if dataclasses.is_dataclass(entry) else None


def _sharable(entry: Any) -> bool:
    if hasattr(entry, "module") or hasattr(entry, "pieces"):
        return False
    return not dataclasses.is_dataclass(entry) or len(dataclasses.fields(entry)) == 1


BRANCHES: dict[str, Callable] = {
    name: entry for name, entry in ACTIVATIONS.items() if name not in _ALIASES and _sharable(entry)
}


@dataclasses.dataclass(frozen=True)
class AnyActivation:
    """The activation that `index` says, with its parameter if it has one; both traced."""

    index: float = 0.0
    parameter: float = 0.0

    def __call__(self, z: jax.Array) -> jax.Array:
        """g(z), of the shape and dtype of z."""

        def branch(entry: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
            name = _parameter(entry)
            return lambda z, p: entry(z) if name is None else dataclasses.replace(entry, **{name: p})(z)

        index = jnp.asarray(self.index, jnp.int32)
        return lax.switch(index, [branch(entry) for entry in BRANCHES.values()], z, jnp.asarray(self.parameter))


def shared(run: Run) -> Run:
    """The run with its activation as an index into the table; the run itself where that is not possible."""
    for index, entry in enumerate(BRANCHES.values()):
        name = _parameter(entry)
        if run.activation is entry or (name is not None and type(run.activation) is type(entry)):
            parameter = 0.0 if name is None else float(getattr(run.activation, name))
            return dataclasses.replace(run, activation=AnyActivation(float(index), parameter))
    return run


INDEX = "activation.index"


def group_key(run: Run) -> float:
    """Lanes of a group must have equal keys."""
    return run.activation.index if isinstance(run.activation, AnyActivation) else 0.0
