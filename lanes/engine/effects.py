"""Refuses settings that change nothing: a run that differs from another only in them would be the same run."""

import dataclasses
import functools
from collections.abc import Iterable, Set
from typing import Any

import jax

from lanes.describe import runs
from lanes.describe.columns import display_name
from lanes.describe.descriptions import is_description, item_of
from lanes.describe.runs import FIELDS, SWITCHED, Run
from lanes.errors import RequestError
from lanes.recipe.partials import parameters_of
from losses.penalties_on_weights import KERNEL_NAMES, MaxNorm
from nets.bridge import Bridged

ELSEWHERE = ("seed", "epochs", "patience", "min_delta")  # numbers that act outside initialization, step and evaluation
FILLED = {"activation": "activation", "initializer": "kernel_init", "init_scale": "kernel_init", "dropout": "dropout"}
ON_KERNELS = ("weight_decay", "l1", "l2")


def check_effects(run: Run, numbers: Iterable[str], initial: Set[str], training: Set[str], variables: Any) -> None:
    """Check that every setting that is not the default's changes what is trained or measured.

    Args:
        run: resolved.
        numbers: the paths of its traced numbers.
        initial: the numbers that its initial variables depend on.
        training: the numbers that its training and evaluation depend on; "activation" if the net uses it.
        variables: the shapes of its initial variables.

    Raises RequestError, naming the setting.
    """
    _check_layout(run)
    used = initial | training
    for name in ("activation", "initializer", *numbers):
        if name not in used and name not in ELSEWHERE and _is_set(run, name):
            raise RequestError(_message(run, name, used, variables))


def numbers_have_effect(numbers: Iterable[str], used: Set[str]) -> bool:
    """Whether `check_effects` would refuse no other values of the run's plain numbers, its descriptions being what they are."""
    return all("." in name or name in used or name in ELSEWHERE for name in numbers)


def _check_layout(run: Run) -> None:
    """Raise RequestError for a penalty on the weights into each unit, of kernels whose first axis are the units."""
    if isinstance(run.net, Bridged) and not run.net.inputs_first and any(isinstance(p, MaxNorm) for p in run.penalties):
        raise RequestError(
            f"MaxNorm limits the weights into each unit, of kernels [in, out], and those of net {type(run.net).__name__} are "
            "[out, in]: leave it out, or use a net of Flax"
        )


def _is_set(run: Run, path: str) -> bool:
    """Whether a setting differs from its default. A number of a penalty is set, because the penalty is."""
    head, *rest = path.split(".")
    if head in runs.SEVERAL:
        return True
    value, default = getattr(run, head), FIELDS[head].default
    if isinstance(default, str) and head in runs.TABLES:
        default = runs.TABLES[head][default]
    if len(rest) == 1 and is_description(value):
        defaults = {field.name: field.default for field in dataclasses.fields(value)}
        value, default = getattr(value, rest[0]), defaults[rest[0]]
    elif len(rest) == 1 and isinstance(value, functools.partial):
        parameter = parameters_of(value.func).get(rest[0])
        value, default = item_of(value, rest[0]), None if parameter is None else parameter.default
    return not (value is default or value == default)


def _message(run: Run, path: str, used: Set[str], variables: Any) -> str:
    head = path.split(".")[0]
    net, value = type(run.net).__name__, getattr(run, head)
    if head in SWITCHED:
        path = head
    if path in FILLED and not (path == "init_scale" and "initializer" in used):
        shown = display_name(value, runs.TABLES.get(head))
        field = FILLED[head]
        if _is_filled(run, head):
            return f"{head} is {shown}, and net {net} never uses its field {field} here: leave {head} out for this net"
        if isinstance(run.net, Bridged):
            redraw = ", or give redraw_kernels=True" if field == "kernel_init" else ""
            return (
                f"{head} is {shown}, and the constructor of net {net} has no argument {field}: leave {head} out for this "
                f"net, or add the argument, which is filled from the run{redraw}"
            )
        return (
            f"{head} is {shown}, and net {net} has no field {field}: leave {head} out for this net, or add the field, "
            "which is filled from the run"
        )
    if path == "init_scale":
        shown = display_name(run.initializer, runs.TABLES["initializer"])
        return f"init_scale is {value}, and it scales nothing that {shown} draws: leave it out"
    if path in ON_KERNELS:
        names = [
            str(getattr(at[-1], "key", at[-1])) for at, _ in jax.tree_util.tree_leaves_with_path(variables["params"])
        ]
        return (
            f"{path} is {value}, and net {net} has no parameter named {' or '.join(KERNEL_NAMES)} that it acts on "
            f"(got {', '.join(list(dict.fromkeys(names))[:4]) or 'none'}): rename them, or leave it out"
        )
    owner: Any = run
    for name in path.split("."):
        owner = item_of(owner, name)
    return f"{path} is {owner} and changes nothing in the training or evaluation of net {net}: leave it out"


def _is_filled(run: Run, name: str) -> bool:
    """Whether the net has the field that the engine fills from this setting."""
    return any(field.name == FILLED[name] for field in dataclasses.fields(run.net))
