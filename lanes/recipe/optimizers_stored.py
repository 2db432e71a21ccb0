"""Any Optax transformation as a program can call it: with a state of plain arrays and the extra arguments that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lanes.recipe.optimizers_update import Params
from lanes.recipe.partials import parameters_of
from lanes.recipe.rules import gradient_of

INJECTED = (optax.InjectHyperparamsState, optax.InjectStatefulHyperparamsState)


def with_extra(made: Any) -> Callable[..., Any]:
    """The update of a transformation, or of a wrapper such as `optax.MultiSteps`, with the extra arguments that it takes."""
    parameters = parameters_of(made.update)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    def update(updates: Params, state: Any, params: Params | None = None, **extra: Any) -> tuple[Params, Any]:
        state = _with_numbers_of_step(state, made, params)
        value_of = extra.get("value_fn")
        if value_of is not None:
            # Optax's line searches refuse further arguments that `value_fn` does not take.
            def value_fn(params: Params, obj_fn: Any = None, grad_fn: Any = None) -> jax.Array:
                del obj_fn, grad_fn
                return value_of(params)

            extra |= {"value_fn": value_fn, "obj_fn": value_of, "grad_fn": gradient_of(value_of)}
        taken = {name: item for name, item in extra.items() if takes_any or name in parameters}
        return made.update(updates, state, params, **taken)

    return update


def _with_numbers_of_step(state: Any, made: Any, params: Params) -> Any:
    """The state with the numbers of `optax.inject_hyperparams` as the factory got them in this step: the rate changes."""
    if not any(isinstance(node, INJECTED) for node in jax.tree.leaves(state, is_leaf=_is_injected)):
        return state

    def renewed(old: Any, new: Any) -> Any:
        return old._replace(hyperparams=new.hyperparams) if isinstance(old, INJECTED) else old

    return jax.tree.map(renewed, state, made.init(params), is_leaf=_is_injected)


def _is_injected(node: Any) -> bool:
    return isinstance(node, INJECTED)


def stored(transformation: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The transformation with a state of plain arrays, which a checkpoint can keep: random keys become their data.

    Dtypes are promoted as Optax expects, which JAX's strict mode would refuse.
    """

    def init(params: Params) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return jax.tree.map(_array, transformation.init(params))

    def update(updates: Params, state: Any, params: Params | None = None, **extra: Any) -> tuple[Params, Any]:
        with jax.numpy_dtype_promotion("standard"):
            state = _with_keys(state, transformation, params)
            updates, state = transformation.update(updates, state, params, **extra)
            return updates, jax.tree.map(_array, state)

    return optax.GradientTransformationExtraArgs(init, update)


def _with_keys(state: Any, transformation: optax.GradientTransformation, params: Params) -> Any:
    """A state of plain arrays with its random keys, where the transformation's own initial state has keys."""
    kinds: list[Any] = []

    def collect(params: Params) -> None:
        leaves = map(jnp.asarray, jax.tree.leaves(transformation.init(params)))
        kinds.extend(jax.random.key_impl(leaf) if _is_key(leaf) else None for leaf in leaves)

    jax.eval_shape(collect, params)
    leaves, structure = jax.tree.flatten(state)
    keyed = [leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind) for leaf, kind in zip(leaves, kinds)]
    return jax.tree.unflatten(structure, keyed)


def _array(leaf: Any) -> jax.Array:
    leaf = jnp.asarray(leaf)
    return (
        jax.random.key_data(leaf) if _is_key(leaf) else jax.lax.convert_element_type(leaf, leaf.dtype)
    )  # not weakly typed


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
