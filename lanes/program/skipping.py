"""What a group of lanes skips if a field that takes time in each step is off in all of them, in a program that has it on.

Its conditions are one for the group, outside the `vmap` over lanes; a batched program (`lanes.program.sharing`) never skips. In a
group that does not skip, the field changes nothing in the lanes that have it off, to the bit: a lane's numbers do not depend on
its neighbours.
"""

import contextlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lanes.describe import runs
from lanes.describe.runs import Run
from nets import Dropout

Array = jax.Array
Tree = Any
COSTLY = ("dropout", "input_noise", "clip")  # switched fields that take time


def dropout(run: Run) -> contextlib.AbstractContextManager[Any]:
    """A context in which the net's dropout layers of the run's rate draw their masks only if a lane of the group needs it."""
    if not runs.may_be_neutral(run, "dropout"):
        return contextlib.nullcontext()

    def intercept(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, Dropout) and context.method_name == "__call__" and module.rate is run.dropout:
            return module.skipping(args[0], drops=runs.is_any_on(run, "dropout"))
        return next_call(*args, **kwargs)

    return nn.intercept_methods(intercept)


def noised(run: Run, x: Array, key: Array) -> Array:
    """x plus Gaussian noise of the run's standard deviation."""

    def noise(x: Array) -> Array:
        return x + run.input_noise * jax.random.normal(key, x.shape, x.dtype)

    if not runs.may_be_neutral(run, "input_noise"):
        return noise(x)
    # -0 + 0 is 0, so even a noise of 0 is left out.
    return jax.lax.cond(
        runs.is_any_on(run, "input_noise"), lambda x: jnp.where(run.input_noise > 0, noise(x), x), lambda x: x, x
    )


def clipped(run: Run, direction: Tree) -> Tree:
    """The direction with its global norm clipped, which optimizers do first, where some runs clip and others do not."""

    def clip(direction: Tree) -> Tree:
        with jax.numpy_dtype_promotion("standard"):
            changed, _ = optax.clip_by_global_norm(run.clip).update(direction, optax.EmptyState())
        is_off = ~runs.is_not_neutral("clip", run.clip)  # a norm that overflows is not below an infinite limit
        return jax.tree.map(lambda new, old: jnp.where(is_off, old, new), changed, direction)

    return jax.lax.cond(runs.is_any_on(run, "clip"), clip, lambda direction: direction, direction)
