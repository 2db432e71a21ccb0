"""What a run reads its data as: its task, its loss and its net decide what undeclared arrays mean."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from lanes.data import readings
from lanes.data.dataset import Dataset
from lanes.describe.runs import Run
from lanes.recipe.tasks_classifying import Classify, IntegerCoded, MultiLabel, NextToken
from lanes.recipe.tasks_regressing import Regress
from losses import kind_of, name_of
from nets.abilities import EmbedsTokens

# Operations whose result is still the input itself, for the question whether a net turns its input into integers.
SAME = ("reshape", "transpose", "slice", "squeeze", "broadcast_in_dim", "round", "floor", "ceil", "max", "min", "clamp")


def read_as(run: Run, data: Dataset, own: Dataset | None = None) -> Dataset:
    """The data set as a run reads it; `own` is the one that it was trained on, if this is another.

    Two classes are one binary target for a loss that takes only those. Undeclared integers are numbers for a regression loss
    or task and classes otherwise, one-hot rows are classes for a loss of classes, and 0 and 1 are binary or multilabel
    targets for their losses. Integer inputs are tokens where the net or the task reads tokens, and numbers otherwise.

    Raises:
        ValueError: undeclared targets that cannot be what the loss needs, or tokens beyond the net's vocabulary.
    """
    if own is not None and own.task == "classes" and readings.can_be_some_of(data, own.outputs):
        data = readings.as_some_of(data, own.outputs)
    data = _targets(run, data)
    if _reads_tokens(run, data):
        data = readings.as_tokens(data)
    stated = run.net.vocabulary if isinstance(run.net, EmbedsTokens) else None
    if stated is not None and (data.vocabulary_size or 0) > stated:
        raise ValueError(
            f"net.vocabulary is {stated}, and {data.name} has tokens up to {(data.vocabulary_size or 0) - 1}: it must be "
            f"at least {data.vocabulary_size}, or None for that of the data"
        )
    return data


def _targets(run: Run, data: Dataset) -> Dataset:
    """The data set with its targets as the run's task and loss read them."""
    kind, task = kind_of(run.loss), run.task
    accepts = ("classes",) if kind is None else kind.targets
    regression = kind is not None and "real" in accepts
    two = data.task == "classes" and data.outputs <= 2 and isinstance(task, Classify | MultiLabel | None)
    if two and "classes" not in accepts and "binary" in accepts:
        return readings.as_binary(data)
    if data.declared:
        return data
    if data.task in ("classes", "tokens"):
        return readings.as_real(data) if isinstance(task, Regress) or (task is None and regression) else data
    if data.task == "real" and (
        isinstance(task, Classify | IntegerCoded | MultiLabel) or (task is None and not regression)
    ):
        return _numbers_for_a_loss_of_classes(data, accepts, kind is not None, run)
    return data


def _numbers_for_a_loss_of_classes(data: Dataset, accepts: tuple[str, ...], known: bool, run: Run) -> Dataset:
    """Undeclared numbers as classes or labels, if they can be; `known` says whether what the loss accepts is known."""
    coded = isinstance(run.task, Classify | IntegerCoded)
    if ("classes" in accepts or coded) and readings.can_be_classes(data):
        return readings.as_classes(data) if known or coded else data
    if not isinstance(run.task, IntegerCoded) and readings.can_be_labels(data):
        if data.outputs == 1 and "binary" in accepts and "classes" not in accepts:
            return readings.as_binary(data)
        if data.outputs > 1 and "multilabel" in accepts:
            return readings.as_multilabel(data)
    if data.not_classes and "classes" in accepts and (known or coded):
        raise ValueError(data.not_classes)
    if known and "binary" in accepts and "classes" not in accepts and "real" not in accepts:
        raise ValueError(readings.why_not_binary(data, name_of(run.loss) or ""))
    return data


# ---- tokens ------------------------------------------------------------------------------------------------------


def _reads_tokens(run: Run, data: Dataset) -> bool:
    """Whether integer inputs that were not stated to be tokens are tokens to the run."""
    inputs = data.train.x if data.train.raw is None else data.train.raw
    if data.holds_tokens or inputs.dtype.kind not in "iu" or (data.declared and data.train.raw is None):
        return False
    shape = inputs.shape[1:]
    if isinstance(run.task, NextToken) or (isinstance(run.net, EmbedsTokens) and len(shape) == 1):
        return True
    if inputs.dtype == "uint8" and len(shape) != 1:
        return False
    return _needs_integers(run.net, tuple(shape))


@functools.lru_cache(maxsize=64)
def _needs_integers(net: Any, shape: tuple[int, ...]) -> bool:
    """Whether a net can be built for integers, and for numbers cannot or would take them for integers."""
    as_numbers = _traced(net, shape, jnp.float32)
    needs = as_numbers is None or _takes_for_integers(as_numbers.jaxpr)
    return needs and _traced(net, shape, jnp.int32) is not None


def _traced(net: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The operations of a net's initialization; None if it fails."""
    fields = {field.name for field in dataclasses.fields(net)}
    filled = {"outputs": 2, "activation": _tanh, "kernel_init": _zeros, "dropout": 0.0}
    try:
        built = net.clone(**{name: value for name, value in filled.items() if name in fields})
        keys = {name: jax.random.key(0) for name in ("params", "dropout", "sample")}
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # JAX only warns of the one-hot rows of floats
            return jax.make_jaxpr(lambda x: built.init(keys, x, train=False))(jax.ShapeDtypeStruct((2, *shape), dtype))
    except Exception:  # the user's net may raise anything; the dry run tells what
        return None


def _tanh() -> Callable[[jax.Array], jax.Array]:
    return jnp.tanh


def _zeros(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    del key
    return jnp.zeros(shape, dtype)


def _takes_for_integers(jaxpr: core.Jaxpr) -> bool:
    """Whether an input of the operations itself, not what a layer makes of it, becomes integers or is tested for equality.

    Once standardized, no number equals the code or the padding that it was.
    """
    inputs = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        direct = [isinstance(variable, core.Var) and variable in inputs for variable in equation.invars]
        if not any(direct):
            continue
        if equation.primitive.name in ("eq", "ne"):
            return True
        if equation.primitive.name == "convert_element_type":
            if jnp.issubdtype(equation.params["new_dtype"], jnp.integer):
                return True
        elif "jaxpr" in equation.params and all(direct):
            inner = getattr(equation.params["jaxpr"], "jaxpr", equation.params["jaxpr"])
            if _takes_for_integers(inner):
                return True
        if equation.primitive.name in (*SAME, "convert_element_type", "pjit", "jit"):
            inputs |= set(equation.outvars)
    return False
