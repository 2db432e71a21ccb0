"""The user's own losses and metrics, tried on shapes, and where in the user's files something happened."""

import dataclasses
import functools
import itertools
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

import losses
import nets
from lanes.describe.runs import Run
from losses import Metric
from losses.metrics import is_over_set, name_of_metric
from losses.pairs import name_of

# Whoever's function is the innermost outside these folders is the user's.
_NOT_THE_USERS = (
    str(Path(__file__).parents[1]),
    *(str(Path(package.__file__ or "").parent) for package in (losses, nets)),
    *(sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib")),
    "<frozen",
    "<string>",
)


def place_of(error: BaseException) -> str | None:
    """The user's function that raised or called what raised: `loss (line 7 of experiment.py)`; None if there is none."""
    frames = [
        (frame.f_code.co_filename, frame.f_code.co_qualname, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return _innermost(frames[::-1])


def place_of_equations(equations: Sequence[JaxprEqn], tracing: str) -> str | None:
    """The user's function that the last equation comes from, as `place_of`.

    Functions compiled by JAX are traced once, so what is inside them may be recorded for another caller: the outermost
    equation of the user's counts.

    Args:
        equations: the last one, after those that call the function it is in.
        tracing: the file whose functions were traced; who calls these is of no interest.
    """
    for equation in equations:
        recorded = equation.source_info.traceback
        recorded_frames: list[Any] = [] if recorded is None else list(recorded.frames)
        frames = [(frame.file_name, frame.function_name, frame.line_num) for frame in recorded_frames]
        own = list(itertools.takewhile(lambda frame: frame[0] != tracing, frames))
        if (place := _innermost(own)) is not None:
            return place
    return None


def _innermost(frames: Sequence[tuple[str, str, int]]) -> str | None:
    """The first frame (file, function, line) in a file of the user's."""
    for file, function, line in frames:
        if not file.startswith(_NOT_THE_USERS):
            return f"{function.replace('.<locals>', '')} (line {line} of {Path(file).name})"
    return None


def watched(run: Run) -> Run:
    """The run, whose own loss and metrics raise ValueError for shapes that would be compared or averaged wrongly."""
    free = run.outputs is not None
    loss = run.loss if name_of(run.loss) is not None else _watched("loss", run.loss, free)
    metrics = tuple(metric if isinstance(metric, str) else _watched_metric(metric, free) for metric in run.metrics)
    return dataclasses.replace(run, loss=loss, metrics=metrics)


def _watched_metric(metric: Any, free: bool) -> Any:
    if isinstance(metric, Metric):
        function = _watched("metric", metric.function, free, of_set=is_over_set(metric))
        return dataclasses.replace(metric, function=function)
    return _watched("metric", metric, free)


def _watched(kind: str, function: Callable[..., Any], free: bool, of_set: bool = False) -> Callable[..., Any]:
    """The function; with `free` outputs it may compare all outputs of an example with its one target."""
    name = getattr(function, "__name__", None) or type(function).__name__

    def call(prediction: jax.Array, target: jax.Array, *args: Any, **options: Any) -> Any:
        result = function(prediction, target, *args, **options)
        shape = getattr(result, "shape", ())
        if not of_set and shape[:1] != prediction.shape[:1]:
            raise ValueError(
                f"{kind} {name} returns an array of shape {tuple(shape)} for predictions {prediction.shape}: "
                f"it must return a number for each of the {prediction.shape[0]} examples, [B] or [B, …]"
            )
        traced = jax.make_jaxpr(lambda p, t: function(p, t, *args, **options))(prediction, target)
        meeting = _meeting(traced, len(prediction), free)
        if meeting is not None:
            raise ValueError(f"{kind} {name} {meeting}")
        return result

    call = functools.update_wrapper(call, function)
    if kind == "metric":
        call.__name__ = name_of_metric(function)
    return call


# ---- broadcasting between predictions and targets ------------------------------------------------------------------

PREDICTION, TARGET = 1, 2
UNARY = frozenset(
    [
        "neg",
        "abs",
        "sign",
        "exp",
        "exp2",
        "log",
        "log1p",
        "expm1",
        "tanh",
        "logistic",
        "sqrt",
        "rsqrt",
        "cbrt",
        "integer_pow",
        "square",
        "sin",
        "cos",
        "erf",
        "floor",
        "ceil",
        "round",
        "is_finite",
        "not",
        "convert_element_type",
        "stop_gradient",
        "copy",
        "reduce_precision",
    ]
)
BINARY = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "max",
        "min",
        "rem",
        "atan2",
        "nextafter",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "xor",
    ]
)
RESHAPING = frozenset(("reshape", "squeeze", "expand_dims", "broadcast_in_dim"))


class _Origin(NamedTuple):
    """Where a value comes from.

    Attributes:
        depends: PREDICTION, TARGET, both, or 0.
        whole: whether it holds one number for each number of that prediction or target, in their order.
    """

    depends: int = 0
    whole: bool = False


class _Meeting(NamedTuple):
    """A comparison of predictions with targets of another shape, and whether it mixes examples."""

    mixes: bool
    said: str


def _meeting(jaxpr: ClosedJaxpr, examples: int, free: bool) -> str | None:
    """What is wrong with how a function of (prediction, target) compares the two; None if nothing is."""
    found: list[_Meeting] = []
    origins = [_Origin(PREDICTION, True), _Origin(TARGET, True)]
    _follow(jaxpr.jaxpr, origins, examples, found)
    return next((meeting.said for meeting in found if meeting.mixes or not free), None)


def _follow(jaxpr: Jaxpr, inputs: Sequence[_Origin], examples: int, found: list[_Meeting]) -> list[_Origin]:
    origins: dict[Any, _Origin] = dict.fromkeys(jaxpr.constvars, _Origin())
    origins.update(zip(jaxpr.invars, inputs))

    def read(atom: Any) -> _Origin:
        return _Origin() if isinstance(atom, Literal) else origins[atom]

    for equation in jaxpr.eqns:
        args = [read(atom) for atom in equation.invars]
        name, params = equation.primitive.name, equation.params
        called = next((params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params), None)
        inner = called.jaxpr if isinstance(called, ClosedJaxpr) else called
        if isinstance(inner, Jaxpr) and len(inner.invars) == len(args) and name not in ("scan", "while"):
            origins.update(zip(equation.outvars, _follow(inner, args, examples, found)))
            continue
        if name in BINARY:
            _compare(equation, args, examples, found)
        depends = 0
        for origin in args:
            depends |= origin.depends
        whole = _keeps_whole(equation, args)
        origins.update((out, _Origin(depends, whole)) for out in equation.outvars)
    return [read(atom) for atom in jaxpr.outvars]


def _type(atom: Any) -> Any:
    """The shape and type of a value of a jaxpr."""
    return atom.aval


def _keeps_whole(equation: JaxprEqn, args: Sequence[_Origin]) -> bool:
    name, out = equation.primitive.name, _type(equation.outvars[0])
    of = [at for at, origin in enumerate(args) if origin.depends]
    if len(of) != 1 or not args[of[0]].whole or _type(equation.invars[of[0]]).size != out.size:
        return False
    return name in UNARY or name in BINARY or name in RESHAPING


def _compare(equation: JaxprEqn, args: Sequence[_Origin], examples: int, found: list[_Meeting]) -> None:
    (a, b), (left, right) = args, (_type(atom).shape for atom in equation.invars)
    if {a.depends, b.depends} != {PREDICTION, TARGET} or len(left) != len(right) or not left:
        return
    prediction, target = (left, right) if a.depends == PREDICTION else (right, left)
    out = _type(equation.outvars[0]).shape
    repeated = [size for size, n in zip(prediction, out) if size != n]
    matched = [size for size, n in zip(target, out) if size != n]
    if repeated and matched and out.count(examples) > 1:
        said = (
            f"compares the prediction of every example with the target of every other one, as shapes {prediction} and "
            f"{target} broadcast to {out}: give both the same shape, by target[..., 0] or prediction[..., 0]"
        )
        found.append(_Meeting(True, said))
    elif (repeated or matched) and a.whole and b.whole:
        said = (
            f"compares predictions {prediction} with targets {target}, so that one is repeated: give both the same "
            "shape, or write jnp.broadcast_to(…) if that is meant"
        )
        found.append(_Meeting(False, said))
