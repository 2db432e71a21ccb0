"""Conditions that runs are evaluated under besides the inputs as they are: attacks and corruptions at stated strengths."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lanes.data.loading import Dataset, Split
from lanes.describe.runs import Run
from lanes.errors import RequestError, unknown
from lanes.program.perturbed import ATTACKS, LEAST_LIKELY, Attacked, Corrupted, Perturbation
from lanes.recipe.augmentations import AUGMENTATIONS, Mixing
from lanes.recipe.augmentations_noise import AcceptsShape, Augmentation, SaltAndPepper
from lanes.recipe.tasks_classifying import Classify

UNITS = ("raw", "deviations")
NOISE = "noise"  # a shorter name of gaussian_noise
PGD_STEPS = 10
OF_EPSILON = 2.5  # the default step of PGD is this part of ε over the number of steps
CLASSES = ("classes", "binary")
FINEST = 1e-5  # of a range: how far an input may lie outside stated bounds, by rounding


class Condition(Protocol):
    """Inputs changed in one way, at one strength."""

    @property
    def name(self) -> str:
        """The end of its columns' names: fgsm_4, noise_0.2."""
        ...

    def check(self, run: Run, data: Dataset) -> None:
        """Raises RequestError where it has no meaning for a run on its data."""
        ...

    def perturbation(self, data: Dataset) -> Perturbation:
        """What changes the inputs, without its strengths: equal for all strengths of a kind."""
        ...

    def amounts(self, own: Dataset, evaluated: Split) -> dict[str, np.ndarray]:
        """The strengths, for a net trained on `own`, and the split that it is evaluated on."""
        ...


@dataclasses.dataclass(frozen=True)
class AttackAt:
    """An attack at one ε.

    Attributes:
        kind: one of ATTACKS.
        epsilon: in units of `unit`.
        unit: "raw", of the inputs as the data set has them (grey levels of images), or "deviations", of standardized inputs.
        target: the class to be got: its number or name, or "least_likely"; None raises the loss.
        steps, step_size: of pgd; None is PGD_STEPS, and OF_EPSILON · ε / steps.
        bounds: smallest and largest input, in raw units; None is the range of the training and the evaluated split: of all
            inputs, or of each feature where features are standardized apart.
    """

    kind: str
    epsilon: float
    unit: str = "raw"
    target: str | None = None
    steps: int | None = None
    step_size: float | None = None
    bounds: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        aim = "" if self.target is None else f"_to_{self.target}"
        return f"{self.kind}_{self.epsilon:g}{'sd' if self.unit == 'deviations' else ''}{aim}"

    def check(self, run: Run, data: Dataset) -> None:
        if data.holds_tokens:
            raise RequestError(f"--attack {self.kind} moves numbers by ε, and {data.name} holds tokens: leave it out")
        if data.padded:
            raise RequestError(f"--attack {self.kind}: {data.name} has series of unequal length: leave it out")
        if self.target is None:
            return
        if data.task not in CLASSES or not isinstance(run.task, Classify):
            raise RequestError(f"--target-class {self.target}: {data.name} has no classes to aim at: leave it out")
        if self.target != LEAST_LIKELY:
            self._class(data)

    def perturbation(self, data: Dataset) -> Perturbation:
        del data
        aim = "" if self.target is None else LEAST_LIKELY if self.target == LEAST_LIKELY else "class"
        return Attacked(self.kind, (self.steps or PGD_STEPS) if self.kind == "pgd" else 1, aim)

    def amounts(self, own: Dataset, evaluated: Split) -> dict[str, np.ndarray]:
        """Raises RequestError for inputs outside the stated bounds."""
        unit = _unit(own, self.unit)
        low, high = self._bounds(own, evaluated)
        size = OF_EPSILON * self.epsilon / (self.steps or PGD_STEPS) if self.step_size is None else self.step_size
        out = {"epsilon": self.epsilon * unit, "step_size": size * unit, "low": low, "high": high}
        if self.target not in (None, LEAST_LIKELY):
            out["target"] = np.asarray(self._class(own))
        return {name: np.asarray(value, np.float32) for name, value in out.items()}

    def _class(self, data: Dataset) -> int:
        names, count = data.classes, 2 if data.task == "binary" else data.outputs
        text = str(self.target)
        if text in names:
            return names.index(text)
        if not text.isdecimal() or int(text) >= count:
            raise RequestError(
                f"--target-class is {text!r}: it must be {LEAST_LIKELY} or a class of {data.name}, 0 to {count - 1}"
            )
        return int(text)

    def _bounds(self, own: Dataset, evaluated: Split) -> tuple[np.ndarray, np.ndarray]:
        apart = own.offset.ndim > 0 or (own.standardizer is not None and np.ndim(own.standardizer.mean) > 0)
        axis = 0 if apart else None
        arrays = [np.asarray(part.x) for part in (own.train, evaluated)]
        low = np.minimum(*(array.min(axis) for array in arrays))
        high = np.maximum(*(array.max(axis) for array in arrays))
        if self.bounds is None:
            return low, high
        stated = [np.asarray(bound, np.float64) for bound in self.bounds]
        if own.standardizer is not None:
            shape = (1, *own.train.x.shape[1:])
            stated = [own.standardizer(np.broadcast_to(bound, shape))[0] for bound in stated]
        slack = FINEST * np.abs(stated[1] - stated[0])
        if np.any(low < stated[0] - slack) or np.any(high > stated[1] + slack):
            raise RequestError(
                f"--bounds are {self.bounds[0]:g} and {self.bounds[1]:g}, and inputs of {own.name} lie outside: give the range "
                "of the inputs as the data set has them"
            )
        return stated[0], stated[1]


def _unit(own: Dataset, unit: str) -> Any:
    """One unit of ε in the numbers that the splits hold, a number or one for each feature."""
    host = own.standardizer
    if unit == "deviations":
        scale = np.asarray(1.0 if host is not None else own.scale, np.float64)
        return np.where(scale == 0, 0, 1 / np.where(scale == 0, 1, scale))
    return 1.0 if host is None else host.scale / 2.0**host.exponent


@dataclasses.dataclass(frozen=True)
class CorruptionAt:
    """An augmentation at stated strengths, on standardized inputs as in training.

    Attributes:
        text: as it was stated, `noise=0.2` or `affine.shear=0.3,affine.degrees=5`; "" for a function.
        augmentation: the description, or a function (key, x, y) -> (x, y).
        ranged: whether salt and pepper are the smallest and the largest of the training inputs.
    """

    text: str
    augmentation: Any
    ranged: bool = False

    @property
    def name(self) -> str:
        return self.text.replace("=", "_").replace(",", "_")

    def check(self, run: Run, data: Dataset) -> None:
        del run
        if data.holds_tokens:
            raise RequestError(f"--corrupt {self.text} changes numbers, and {data.name} holds tokens: leave it out")
        if data.padded:
            raise RequestError(f"--corrupt {self.text}: {data.name} has series of unequal length: leave it out")
        if isinstance(self.augmentation, AcceptsShape):
            reason = self.augmentation.accepts(tuple(data.train.x.shape[1:]))
            if reason is not None:
                raise RequestError(f"--corrupt {self.text}: {reason}")

    def perturbation(self, data: Dataset) -> Perturbation:
        fields = self._floats()
        blank = dataclasses.replace(self.augmentation, **dict.fromkeys(fields, 0.0)) if fields else self.augmentation
        return Corrupted(blank, fields, data.task, data.outputs)

    def amounts(self, own: Dataset, evaluated: Split) -> dict[str, np.ndarray]:
        del evaluated
        out = {name: getattr(self.augmentation, name) for name in self._floats()}
        if self.ranged:
            x, offset, scale = np.asarray(own.train.x), own.offset, own.scale
            out |= {"low": ((x.min(0) - offset) * scale).min(), "high": ((x.max(0) - offset) * scale).max()}
        return {name: np.asarray(value, np.float32) for name, value in out.items()}

    def _floats(self) -> tuple[str, ...]:
        if not dataclasses.is_dataclass(self.augmentation):
            return ()
        named = (
            (field.name, getattr(self.augmentation, field.name)) for field in dataclasses.fields(self.augmentation)
        )
        return tuple(name for name, value in named if isinstance(value, float))


def corruptions(stated: Sequence[Any]) -> tuple[CorruptionAt, ...]:
    """The corruptions that texts `NAME=STRENGTH`, `NAME.FIELD=VALUE,…` or descriptions state, each once.

    Raises RequestError for an unknown name, and for a strength that is no number or out of range.
    """
    return tuple(dict.fromkeys(_corruption(one) if isinstance(one, str) else _described(one) for one in stated))


def _described(augmentation: Any) -> CorruptionAt:
    if not callable(augmentation):
        raise RequestError(f"corrupt has {augmentation!r}: give NAME=STRENGTH, or an augmentation such as Rotate(15.0)")
    if isinstance(augmentation, Augmentation):
        _checked(augmentation)
        return CorruptionAt(repr(augmentation), augmentation)
    return CorruptionAt(getattr(augmentation, "__name__", type(augmentation).__name__), augmentation)


def _corruption(text: str) -> CorruptionAt:
    values: dict[str, str] = {}
    names = []
    for part in text.split(","):
        path, equals, value = part.partition("=")
        name, _, field = path.strip().partition(".")
        if not equals or not name:
            raise RequestError(f"--corrupt is {text!r}: write NAME=STRENGTH, such as noise=0.2 or rotate=15")
        if field in values:
            raise RequestError(f"--corrupt is {text!r}: {part} stands twice")
        names.append(name)
        values[field] = value
    name = names[0]
    known = {**AUGMENTATIONS, NOISE: AUGMENTATIONS["gaussian_noise"]}
    if name not in known:
        raise unknown("augmentation", name, known)
    if set(names) != {name}:
        raise RequestError(f"--corrupt is {text!r}: one augmentation at a time; write them as words apart")
    kind: Any = known[name]
    fields = {field.name: getattr(kind, field.name) for field in dataclasses.fields(kind)}
    strengths = [field for field, value in fields.items() if not isinstance(value, bool)]
    if "" in values:
        if len(values) > 1 or (len(strengths) > 1 and not isinstance(kind, SaltAndPepper)):
            raise RequestError(
                f"--corrupt is {text!r}: {name} has several strengths; write "
                + ",".join(f"{name}.{field}={fields[field]:g}" for field in strengths[:2])
            )
        values = {strengths[0]: values[""]}
    if isinstance(kind, Augmentation) and len(strengths) > 1 and not isinstance(kind, SaltAndPepper):
        kind = dataclasses.replace(kind, **dict.fromkeys(strengths, 0.0))  # what is not stated is off
    for field in values:
        if field not in fields:
            raise unknown(f"field of {name}", field, fields)
    kind = dataclasses.replace(kind, **{field: _number(text, value, fields[field]) for field, value in values.items()})
    _checked(kind)
    return CorruptionAt(text, kind, isinstance(kind, SaltAndPepper) and not {"low", "high"} & set(values))


def _number(text: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value in ("True", "False"):
            return value == "True"
        raise RequestError(f"--corrupt is {text!r}: {value!r} must be True or False")
    try:
        number = float(value)
    except ValueError:
        raise RequestError(f"--corrupt is {text!r}: {value!r} is no number") from None
    if not math.isfinite(number) or (isinstance(default, int) and number != int(number)):
        raise RequestError(
            f"--corrupt is {text!r}: the strength must be a {'whole' if isinstance(default, int) else 'finite'} number"
        )
    return int(number) if isinstance(default, int) else number


def _checked(augmentation: Any) -> None:
    try:
        augmentation.check()
    except ValueError as error:
        raise RequestError(f"--corrupt: {error}") from None


def attacks(
    kind: str | None,
    epsilons: Sequence[float],
    unit: str,
    **options: Any,
) -> tuple[AttackAt, ...]:
    """An attack at each ε.

    Args:
        kind: one of ATTACKS; None for no attack.
        epsilons, unit: ε ≥ 0, in "raw" units or "deviations".
        options: fields `target`, `steps`, `step_size` and `bounds` of `AttackAt`; None where not stated.

    Raises RequestError for a value out of range, and for options without the attack that they belong to.
    """
    if kind is None:
        stated = {"--epsilon": epsilons, **{_option(name): value for name, value in options.items()}}
        for name, value in stated.items():
            if value not in (None, ()):
                raise RequestError(f"{name} belongs to an attack: add --attack {' or '.join(ATTACKS)}")
        return ()
    if kind not in ATTACKS:
        raise unknown("--attack", kind, ATTACKS)
    if unit not in UNITS:
        raise unknown("--epsilon-in", unit, UNITS)
    if not epsilons:
        raise RequestError(f"--attack {kind} needs --epsilon: how far an input may move, in raw units (grey levels)")
    for epsilon in epsilons:
        if not 0 <= epsilon < math.inf:
            raise RequestError(f"--epsilon is {epsilon:g}: it must be a finite number of 0 or more")
    for name in ("steps", "step_size"):
        value = options.get(name)
        if value is not None and kind != "pgd":
            raise RequestError(f"{_option(name)} belongs to pgd, and {kind} takes one step of ε: leave it out")
        if value is not None and not 0 < value < math.inf:
            raise RequestError(f"{_option(name)} is {value:g}: it must be above 0")
    bounds = options.get("bounds")
    if bounds is not None and not bounds[0] < bounds[1]:
        raise RequestError(f"--bounds are {bounds[0]:g} and {bounds[1]:g}: the first must be below the second")
    make = functools.partial(AttackAt, kind, unit=unit, **options)
    return tuple(dict.fromkeys(make(epsilon=epsilon) for epsilon in epsilons))


def _option(name: str) -> str:
    return {"target": "--target-class", "steps": "--attack-steps"}.get(name, f"--{name.replace('_', '-')}")


def is_mixing(condition: Condition) -> bool:
    """Whether a condition changes targets as well."""
    return isinstance(condition, CorruptionAt) and isinstance(condition.augmentation, Mixing)
