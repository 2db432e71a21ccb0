"""Checks of a run before anything starts; each error is one line with the value, the rule and the remedy."""

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lanes.data.loading import Dataset
from lanes.describe import checks_of_metrics, descriptions, following, outputs, pairs, representable, runs
from lanes.describe.columns import display_name
from lanes.describe.padding import check_padded
from lanes.describe.runs import FIELDS, Run, is_off
from lanes.errors import RequestError, unknown
from lanes.recipe.augmentations_noise import AcceptsShape, AugmentationLike
from lanes.recipe.averages import AverageLike
from lanes.recipe.optimizers_own import optimizer_of
from lanes.recipe.optimizers_update import ChecksBatch, ChecksStrengths, DecaysWeights, OptimizerLike
from lanes.recipe.rules import ChecksRun, RuleLike
from lanes.recipe.schedules import ScheduleLike
from lanes.recipe.schedules_own import schedule_of
from lanes.recipe.tasks_predicting import TaskLike
from losses import OUTPUT_UNITS, fits, fits_smoothing, fits_targets
from losses.outputs import OutputUnit
from losses.pairs import Loss
from losses.penalties import Penalty
from nets.abilities import ChecksExamples, Net
from nets.activations import Activation
from nets.initializers import Initializer

AT_LEAST_ZERO = ("l1", "l2", "weight_decay", "input_noise", "min_delta", "init_scale")
AT_LEAST_ONE = ("batch_size", "epochs", "steps", "eval_every", "patience", "train_examples", "outputs")
# The protocol of each field that holds a function, a description or a net; data sets are checked when they load.
PARTS: dict[str, type] = {
    "data": object,
    "net": Net,
    "output": OutputUnit,
    "activation": Activation,
    "initializer": Initializer,
    "bias_initializer": Initializer,
    "task": TaskLike,
    "loss": Loss,
    "rule": RuleLike,
    "optimizer": OptimizerLike,
    "schedule": ScheduleLike,
    "penalties": Penalty,
    "augment": AugmentationLike,
    "average": AverageLike,
}
# How a part is read that may also be a plain function.
READ: dict[str, Callable[[Any], Any]] = {"optimizer": optimizer_of, "schedule": schedule_of}
PRECISIONS = ("float32", "bfloat16")
MATMUL_PRECISIONS = ("default", "high", "highest")


@runtime_checkable
class Checked(Protocol):
    """A description that checks its own fields."""

    def check(self) -> None:
        """Raises ValueError, in one line, for a field out of range."""
        ...


def check_types(run: Run) -> Run:
    """The run with NumPy numbers converted to Python's.

    Raises RequestError for a field of the wrong type.
    """
    hints = descriptions.type_hints(Run)
    following.check_places(run)
    changed = {
        name: _plain(name, getattr(run, name), hints[name])
        for name in FIELDS
        if not (name in runs.SWITCHED and following.stands_for_number(getattr(run, name)))
    }
    return dataclasses.replace(run, **changed)


def check_type(name: str, value: Any) -> Any:
    """The value of a field of a run, as in `check_types`."""
    return _plain(name, value, descriptions.type_hints(Run)[name])


def _plain(name: str, value: Any, annotation: Any) -> Any:
    kinds = _kinds(annotation)
    if Any in kinds or (value is None and type(None) in kinds):
        return value
    if isinstance(value, (bool, np.bool_)):
        if bool in kinds:
            return bool(value)
    elif int in kinds and isinstance(value, numbers.Integral):
        return int(value)
    elif float in kinds and isinstance(value, numbers.Real):
        return float(value)
    elif tuple in kinds and isinstance(value, (list, tuple)):
        return tuple(value)
    elif str in kinds and isinstance(value, str):
        return value
    raise RequestError(f"{name} is {value!r} of type {type(value).__name__}: it must be {_type_text(annotation)}")


def _kinds(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if union else (annotation,)
    return tuple(typing.get_origin(kind) or kind for kind in kinds)


def _type_text(annotation: Any) -> str:
    return str(annotation).replace("<class '", "").replace("'>", "").replace("typing.", "")


def resolved(run: Run) -> Run:
    """The run with its types and ranges checked and its names resolved.

    Raises RequestError, in one line, for anything wrong with the run that does not depend on its data set.
    """
    run = runs.resolve(check_types(run))
    check_parts(run)
    following.check(run)
    flat = runs.flat(run)
    check_ranges(flat)
    check_kinds(flat)
    check_rounded(run)
    return run


def check_rounded(run: Run) -> None:
    """Raise RequestError for a number that is in its range, but not as the float32 or int32 that the program takes."""
    rounded = representable.check_numbers(run)
    if rounded is run:
        return
    try:
        check_ranges(runs.flat(rounded))
        check_kinds(runs.flat(rounded))
    except RequestError as error:
        raise RequestError(f"as float32, {error}") from None


def check_parts(run: Run) -> None:
    """Raise RequestError for a value that its field cannot hold (a schedule as optimizer) or with a field of the wrong type."""
    for name in PARTS:
        values = getattr(run, name) if name in runs.SEVERAL else (getattr(run, name),)
        for value in values:
            if value is None:
                continue
            if isinstance(value, type):
                raise RequestError(f"{name} is the class {value.__name__}: give an instance, {value.__name__}(…)")
            read = _call(functools.partial(READ[name], value)) if name in READ else value
            if not isinstance(read, PARTS[name]):
                lacking = [member for member in _members(PARTS[name]) if not hasattr(value, member)]
                raise RequestError(
                    f"{name} is {display_name(value)}, which has no {' or '.join(lacking)}: use one of "
                    f"{', '.join(sorted(runs.TABLES[name])[:4])}, … or an object with the same members"
                )
            _check_fields(name, value)


def _members(protocol: type) -> list[str]:
    """The members that a protocol requires, in the order of their definition."""
    return [name for name in {**vars(protocol), **protocol.__annotations__} if name == "__call__" or name[0] != "_"]


def _check_fields(path: str, value: Any) -> None:
    """Check the types of a description's plain fields, including those of inner descriptions."""
    if not descriptions.is_description(value):
        return
    kind: Any = type(value)
    hints = descriptions.type_hints(kind)
    for name in descriptions.fields_of(value):
        item, annotation = getattr(value, name), hints.get(name, Any)
        scheduled = following.stands_for_number(item)
        if not scheduled and set(_kinds(annotation)) <= {bool, int, float, str, tuple, type(None)}:
            _plain(f"{path}.{name}", item, annotation)
        for inner in item if isinstance(item, tuple) else (item,):
            _check_fields(f"{path}.{name}", inner)


def check_ranges(run: Run) -> None:
    """Raise RequestError for a number out of its range."""
    for name in (*runs.TRACED, *runs.SWITCHED):
        value = getattr(run, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(f"{name} is {value}: it must be a finite number")
    for name in AT_LEAST_ZERO:
        if getattr(run, name) < 0:
            raise RequestError(f"{name} is {getattr(run, name)}: it must be at least 0")
    for name in AT_LEAST_ONE:
        value = getattr(run, name)
        if value is not None and value < 1:
            raise RequestError(
                f"{name} is {value}: it must be at least 1"
                + (", or None for off" if FIELDS[name].default is None else "")
            )
    if run.learning_rate <= 0:
        raise RequestError(f"learning_rate is {run.learning_rate}: it must be above 0")
    if not 0 <= run.dropout < 1:
        raise RequestError(f"dropout is {run.dropout}: it is the probability of dropping and must be in [0, 1)")
    if not 0 <= run.label_smoothing < 1:
        raise RequestError(f"label_smoothing is {run.label_smoothing}: it must be in [0, 1)")
    if run.valid_fraction is not None and not 0 <= run.valid_fraction < 1:
        raise RequestError(f"valid_fraction is {run.valid_fraction}: it must be in [0, 1)")
    if not 0 <= run.seed < 2**32:
        raise RequestError(f"seed is {run.seed}: it must be from 0 to 2^32 - 1")
    for name, valid in (("precision", PRECISIONS), ("matmul_precision", MATMUL_PRECISIONS)):
        if getattr(run, name) not in valid:
            raise unknown(name, getattr(run, name), valid)
    if run.min_delta != FIELDS["min_delta"].default and is_off(run, "patience"):
        raise RequestError(
            f"min_delta is {run.min_delta} and patience is None: it has no effect; set patience, or leave it out"
        )
    checks_of_metrics.check_metrics(run)


def check_kinds(run: Run) -> None:
    """Raise RequestError for parameters out of range, and for settings that do not make sense together."""
    if not is_off(run, "l2") and not is_off(run, "weight_decay"):
        raise RequestError(
            f"l2 is {run.l2} and weight_decay is {run.weight_decay}: both shrink the weights; set one of them to 0"
        )
    optimizer, schedule = optimizer_of(run.optimizer), schedule_of(run.schedule)
    decay = optimizer.weight_decay if isinstance(optimizer, DecaysWeights) else 0
    if not is_off(run, "l2") and decay:
        raise RequestError(f"l2 is {run.l2} and the optimizer's own weight_decay is {decay}: set one of them to 0")
    for name in runs.TABLES:
        values = getattr(run, name) if name in runs.SEVERAL else (getattr(run, name),)
        for value in values:
            if name not in ("data", "net", "optimizer", "schedule", "metrics") and isinstance(value, Checked):
                _call(value.check)
    if isinstance(schedule, Checked):
        _call(schedule.check)
    if isinstance(optimizer, ChecksStrengths):
        strengths = {name: runs.strength(run, name) for name in ("momentum", "weight_decay", "clip")}
        _call(functools.partial(optimizer.check, **strengths))
    pairs.check_biases(run)
    output = _output_name(run)
    if output is not None:
        _refuse(fits(output, run.loss))
    if not is_off(run, "label_smoothing"):
        _refuse(fits_smoothing(run.loss))
    set_by_user = [
        name for name in ("outputs", "activation", "kernel_init", "dropout", "reads_padding") if _was_set(run.net, name)
    ]
    if set_by_user:
        raise RequestError(
            f"net {type(run.net).__name__} sets {', '.join(set_by_user)}: the engine fills these; set the fields of Run instead"
        )
    if not is_off(run, "dropout") and not any(field.name == "dropout" for field in dataclasses.fields(run.net)):
        raise RequestError(
            f"dropout is {run.dropout} and net {type(run.net).__name__} has no field dropout: set it to 0, or add the field"
        )


def _was_set(net: Any, name: str) -> bool:
    fields = {field.name: field for field in dataclasses.fields(net)}
    return name in fields and getattr(net, name) != fields[name].default


def _output_name(run: Run) -> str | None:
    return next((name for name, unit in OUTPUT_UNITS.items() if unit is run.output), None)


def check_with_data(run: Run, data: Dataset) -> Run:
    """The run with its task filled in, checked against its data set.

    Raises RequestError, in one line, for fields that do not fit the data: a batch larger than the training split, a loss for
    other targets, an augmentation or a net for other shapes.
    """
    run = _call(functools.partial(outputs.with_task, run, data))
    examples = len(data.train)
    if run.batch_size > examples:
        raise RequestError(
            f"batch_size is {run.batch_size} and {data.name} has {examples} training examples: it must be at most that"
        )
    representable.check_length(run, examples)
    for flat in following.at_extremes(run, examples // run.batch_size):
        check_ranges(flat)
        check_kinds(flat)
    check_padded(run, data)
    pairs.check_data_settings(run, data)
    targets = _call(functools.partial(run.task.targets, data.task))
    if not any(fits_targets(kind, run.loss) is None for kind in targets):
        _refuse(fits_targets(targets[0], run.loss))
    _call(functools.partial(run.task.check_data, run, data))
    checks_of_metrics.check_targets(run, targets)
    checks_of_metrics.check_monitor(run, data)
    if isinstance(run.rule, ChecksRun):
        _call(functools.partial(run.rule.check_run, run))
    if isinstance(run.optimizer, ChecksBatch):
        _call(functools.partial(run.optimizer.check_batch, run.batch_size, examples))
    for augmentation in run.augment:
        if isinstance(augmentation, AcceptsShape):
            _refuse(augmentation.accepts(tuple(data.train.x.shape[1:])))
    if isinstance(run.net, ChecksExamples):
        _call(functools.partial(run.net.check, tuple(data.train.x.shape[1:])))
    _call(functools.partial(outputs.check, run, data))
    return _call(functools.partial(outputs.fitted, run, data))


def _call(check: Any) -> Any:
    try:
        return check()
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(str(error)) from None


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise RequestError(reason)
