"""Optimizers of the user's own: any Optax factory with an argument `learning_rate`.

A factory is a named function, a `functools.partial` of one, or a frozen description that is called. It is called inside
the traced step, as `factory(learning_rate=η)`, where η is a traced scalar that includes the factors of the schedule.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jax.extend import core

from lanes.recipe.optimizers_stored import stored, with_extra
from lanes.recipe.optimizers_update import OptimizerLike, Params, Scalar
from lanes.recipe.partials import arguments_of, bound_arguments, parameters_of, read_in_python, with_arguments

EXAMPLE = "def mine(learning_rate): return optax.chain(optax.clip(1.0), optax.adam(learning_rate))"


@dataclasses.dataclass(frozen=True)
class FromFactory(OptimizerLike):
    """The optimizer that a factory makes, with the run's `clip` before it and its `weight_decay` after it.

    With u the factory's update for the clipped gradient, θ ← θ + u - learning_rate · weight_decay · θ; weight decay acts on
    kernels only. The factory's transformation is called with `value`, `grad` and `value_fn`, as Optax's line searches and
    `optax.contrib.reduce_on_plateau` need, and with `obj_fn` and `grad_fn` (the value and the gradient at other parameters,
    for the step's batch) as `optax.contrib.sophia` and `optax.contrib.sam` do.

    Attributes:
        factory: called as `factory(learning_rate=η)`.
    """

    factory: Callable[..., Any]
    needs_value: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The factory's name."""
        return name_of(self.factory)

    @property
    def weight_decay(self) -> float:
        """The factory's own weight decay, bound or by default; 0 if it has no such argument."""
        own = parameters_of(self.factory).get("weight_decay")
        return 0.0 if own is None or own.default is inspect.Parameter.empty else own.default

    def build(
        self,
        *,
        learning_rate: Scalar,
        momentum: Scalar | None = None,
        weight_decay: Scalar | None = None,
        mask: Callable[[Params], Any] | None = None,
        clip: Scalar | None = None,
        key: jax.Array | None = None,
        examples: Scalar | None = None,
    ) -> optax.GradientTransformationExtraArgs:
        """The whole update as an Optax transformation; see `Optimizer.build`.

        Raises TypeError if the factory returns anything but an Optax transformation.
        """
        del momentum, key, examples
        with jax.numpy_dtype_promotion("standard"):
            made = self.factory(learning_rate=learning_rate)
        if not (callable(getattr(made, "init", None)) and callable(getattr(made, "update", None))):
            raise TypeError(f"returns {type(made).__name__}: it must return an Optax transformation")
        made = optax.with_extra_args_support(optax.GradientTransformationExtraArgs(made.init, with_extra(made)))
        parts = [made]
        if clip is not None:
            parts.insert(0, optax.clip_by_global_norm(clip))
        if weight_decay is not None:
            parts.append(optax.add_decayed_weights(-learning_rate * weight_decay, mask))
        return stored(optax.chain(*parts))

    def check(
        self, *, momentum: float | None = None, weight_decay: float | None = None, clip: float | None = None
    ) -> None:
        """Raises ValueError, in one line, for a setting of the run that is out of range or has no effect."""
        arguments = parameters_of(self.factory)
        for name, value in (("momentum", momentum), ("weight_decay", weight_decay)):
            if value is not None and (name == "momentum" or name in arguments):
                raise ValueError(
                    f"`{name}` (={value}) of the run does not reach {self.name}, which gets the learning rate only: bind it, "
                    f"functools.partial({self.name}, {name}={value})"
                    + ("" if name in arguments else f", if {self.name} has such an argument")
                )
        if weight_decay is not None and not weight_decay >= 0.0:
            raise ValueError(f"`weight_decay` (={weight_decay}) must be 0 or more")
        if clip is not None and not clip > 0.0:
            raise ValueError(f"`clip` (={clip}) must be above 0: it is the largest norm of the gradient")

    def check_update(self, params: Params, varies: bool = True) -> None:
        """Trace one update on the shapes `params`, with a traced learning rate and traced arguments.

        Args:
            params: shapes.
            varies: whether the schedule changes the learning rate; if not, the rate may reach the initial state alone, as
                that of `optax.rprop` does.

        Raises ValueError, in one line, if the factory or its update fails, if the learning rate does not reach the update,
        or if the update changes the structure of the state.
        """
        number = jax.ShapeDtypeStruct((), jnp.float32)
        floats = [name for name, item in arguments_of(self.factory).items() if isinstance(item, float)]
        numbers = dict.fromkeys(set(floats) - static_arguments(self.factory), number)

        def build(rate: jax.Array, numbers: Mapping[str, jax.Array]) -> optax.GradientTransformationExtraArgs:
            return FromFactory(with_arguments(self.factory, numbers)).build(learning_rate=rate)

        def step(rate: jax.Array, numbers: Mapping[str, jax.Array], params: Params, state: Any) -> tuple[Any, Any]:
            optimizer = build(rate, numbers)
            return optimizer.update(params, state, params, value=jnp.zeros(()), grad=params, value_fn=_norm)

        try:
            started, state = jax.make_jaxpr(
                lambda rate, more, params: build(rate, more).init(params), return_shape=True
            )(number, numbers, params)
            traced, (updates, after) = jax.make_jaxpr(step, return_shape=True)(number, numbers, params, state)
        except jax.errors.ConcretizationTypeError as error:
            also = "".join(f", {name}" for name in sorted(numbers))
            raise ValueError(
                f"optimizer {self.name} takes learning_rate{also} as a Python number ({type(error).__name__}): it is traced, "
                "each run has its own; use jnp.where or jax.lax.cond in place of `if`"
            ) from error
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise ValueError(f"optimizer {self.name} raises {type(error).__name__}: {line}") from error
        if jax.tree.map(_kind, state) != jax.tree.map(_kind, after):
            raise ValueError(
                f"optimizer {self.name} changes the shapes or dtypes of its state in an update: init must return them as "
                "update does"
            )
        if _depends(traced.jaxpr, len(jax.tree.leaves(updates))):
            return
        if not _depends(started.jaxpr, len(started.out_avals)):
            raise ValueError(
                f"the learning rate does not reach the update of optimizer {self.name}: use the argument learning_rate in "
                "it as it is"
            )
        if varies:
            raise ValueError(
                f"optimizer {self.name} reads the learning rate at the start only, so the schedule changes nothing: leave "
                "the schedule out"
            )


def static_arguments(value: Any) -> frozenset[str]:
    """The floats of a factory, bound by a partial or fields of a description, that it reads in Python: they are static."""
    if not callable(value) or isinstance(value, OptimizerLike):
        return frozenset()
    return read_in_python(value, _updates, _makes)


_TRIED: Params = {
    "layer": {"kernel": jax.ShapeDtypeStruct((3, 2), jnp.float32), "bias": jax.ShapeDtypeStruct((2,), jnp.float32)}
}


def _updates(factory: Any, traced: tuple[str, ...]) -> bool:
    """Whether the factory makes and updates with these arguments traced, for parameters of a dense layer."""

    def step(rate: jax.Array, params: Params, numbers: Mapping[str, jax.Array]) -> Any:
        optimizer = FromFactory(with_arguments(factory, numbers)).build(learning_rate=rate)
        state = optimizer.init(params)
        return optimizer.update(params, state, params, value=jnp.zeros(()), grad=params, value_fn=_norm)

    return _works(step, traced, _TRIED)


def _makes(factory: Any, traced: tuple[str, ...]) -> bool:
    """Whether the factory can be called with these arguments traced."""

    def make(rate: jax.Array, params: Params, numbers: Mapping[str, jax.Array]) -> None:
        del params
        FromFactory(with_arguments(factory, numbers)).build(learning_rate=rate)

    return _works(make, traced, _TRIED)


def _works(function: Callable[..., Any], traced: tuple[str, ...], params: Params) -> bool:
    number = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        jax.eval_shape(function, number, params, dict.fromkeys(traced, number))
    except Exception:  # whatever the user's function raises
        return False
    return True


def optimizer_of(value: Any) -> Any:
    """An optimizer as it is, and a factory as the optimizer that it makes; anything else is returned unchanged.

    Raises ValueError, in one line, for a factory that cannot be called with a learning rate alone.
    """
    if not callable(value) or isinstance(value, (OptimizerLike, type)):
        return value
    arguments = parameters_of(value)
    is_function = inspect.isroutine(value) or isinstance(value, functools.partial)
    if isinstance(value, functools.partial):
        bound = bound_arguments(value)
        if "learning_rate" in bound:
            raise ValueError(
                f"optimizer {name_of(value)} binds learning_rate={bound['learning_rate']!r}: leave it out, and set the run's "
                "learning_rate"
            )
    if "learning_rate" not in arguments:
        if not is_function:
            return value
        raise ValueError(
            f"optimizer {name_of(value)} has no argument named learning_rate, which the run's learning rate goes into: "
            f"write a factory, {EXAMPLE}"
        )
    empty = inspect.Parameter.empty
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [n for n, p in arguments.items() if n != "learning_rate" and p.default is empty and p.kind not in kinds]
    if missing or arguments["learning_rate"].kind is inspect.Parameter.POSITIONAL_ONLY:
        raise ValueError(
            f"optimizer {name_of(value)} cannot be called as {name_of(value)}(learning_rate=…)"
            + (f": bind {', '.join(missing)} by functools.partial" if missing else "")
        )
    return FromFactory(value)


_INJECTING = getattr(optax.inject_hyperparams(optax.sgd), "__code__", None)  # of what wraps the factory


def refusal(value: Any) -> str | None:
    """Why a value cannot be an optimizer: it is an Optax transformation already, whose learning rate is fixed."""
    injected = getattr(value, "__wrapped__", None)
    if inspect.isfunction(value) and getattr(value, "__code__", None) is _INJECTING:
        name = name_of(injected)
        return (
            f"optimizer is optax.inject_hyperparams({name}), which has no identity to resume by: give {name} itself, whose "
            "numbers are traced in any case"
        )
    if callable(value) or not (hasattr(value, "init") and hasattr(value, "update")):
        return None
    return (
        "optimizer is an Optax transformation, whose learning rate is fixed: give the factory, optimizer=optax.adam, with "
        f"the run's learning_rate; or a function of your own, {EXAMPLE}"
    )


def name_of(factory: Any) -> str:
    """The name of a function, of the function of a partial, or of the type of a description."""
    if isinstance(factory, functools.partial):
        return name_of(factory.func)
    return getattr(factory, "__name__", type(factory).__name__)


def _norm(params: Params) -> jax.Array:
    return optax.tree.norm(params)


def _kind(leaf: Any) -> tuple[Any, Any]:
    return leaf.shape, leaf.dtype


def _depends(jaxpr: core.Jaxpr, outputs: int) -> bool:
    """Whether any of the first `outputs` results may depend on the first input."""
    reached = {jaxpr.invars[0]}
    for equation in jaxpr.eqns:
        if any(not isinstance(v, core.Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    return any(not isinstance(v, core.Literal) and v in reached for v in jaxpr.outvars[:outputs])
