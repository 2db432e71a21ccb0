"""Lists of runs: products of axes, axes side by side, alternatives, random and evenly spread samples.

Axes that belong together, such as a parameter of one optimizer, stand in a mapping of their own beside its alternatives:
`[{"optimizer": ["adam"], "optimizer.b1": [0.9, 0.95]}, {"optimizer": ["sgd"]}]`.
"""

import dataclasses
import itertools
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lanes.describe import runs
from lanes.describe.distributions import Distribution, HasQuantiles, as_choice
from lanes.describe.runs import Run
from lanes.errors import RequestError, unknown

Axes = Mapping[str, Any]  # values, or a distribution, by the path of a field
Point = dict[str, Any]  # one value by path
METHODS = ("random", "sobol", "latin_hypercube")


def grid(base: Run, /, *groups: Axes | Sequence[Axes], **axes: Iterable[Any]) -> list[Run]:
    """Every combination of the axes' values; the last axis varies fastest.

    `grid(BASE, learning_rate=[1e-3, 1e-2], seed=range(5))`; dotted paths go in a mapping:
    `grid(BASE, {"net.widths": [(64,), (64, 64)]}, seed=range(5))`. A list of mappings holds alternatives, each with its own
    axes: `grid(BASE, [{}, {"l2": [1e-4, 1e-3]}, {"weight_decay": [1e-2]}], seed=range(5))` has four runs for each seed.

    Args:
        base: the run that the others are changed from.
        groups: mappings of axes, and lists of alternative mappings.
        axes: further axes.

    Raises RequestError for an unknown field, an axis that is not a list of values or stands in two places.
    """
    read = _groups(groups, axes, _check_values)
    points = [[point for one in group for point in _product(one)] for group in read]
    return [_changed(base, parts, read) for parts in itertools.product(*points)]


def zipped(base: Run, paths: Axes | None = None, /, **axes: Iterable[Any]) -> list[Run]:
    """The axes' values side by side: the first of each, the second of each, …

    Raises RequestError if the axes differ in length, and as `grid`.
    """
    if paths is not None and not isinstance(paths, Mapping):
        raise RequestError("zipped takes one mapping of axes, not alternatives: use grid, or add the lists of runs")
    read = _groups((paths,), axes, _check_values)
    values = {name: list(items) for (one,) in read for name, items in one.items()}
    lengths = {name: len(items) for name, items in values.items()}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"zipped axes have lengths {lengths}: they must be equal; use grid for a product")
    return [_changed(base, [dict(zip(values, point))], read) for point in zip(*values.values())]


def sample(
    base: Run,
    count: int,
    /,
    *groups: Axes | Sequence[Axes],
    sample_seed: int = 0,
    method: str = "random",
    **axes: Distribution,
) -> list[Run]:
    """`count` points; each axis is a `uniform`, `log_uniform` or `choice`.

    `sample(BASE, 50, learning_rate=log_uniform(1e-4, 1e-1), activation=choice("relu", "tanh"))`. Of a list of alternative
    mappings one is drawn for each point, all equally likely:
    `[{"l2": log_uniform(1e-6, 1e-2)}, {"weight_decay": log_uniform(1e-4, 1)}]`.

    Args:
        base: the run that the others are changed from.
        count: number of points.
        groups: mappings of axes, and lists of alternative mappings.
        sample_seed: the same seed draws the same points. With "random" and "sobol", fewer points are the first of more.
        method: "random" draws each point by itself (Bergstra and Bengio 2012); "sobol" takes a scrambled Sobol sequence,
            and "latin_hypercube" one point in each of `count` slices of every axis, so that all axes are filled evenly
            (both by `scipy.stats.qmc`). The points of a Latin hypercube depend on `count`.
        axes: further axes.

    Raises RequestError for an axis that is none of these or stands in two places, an unknown field or method, and a wrong
    count.

    References: Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012; Owen, "Scrambling Sobol' and
    Niederreiter–Xing points", 1998; McKay, Beckman and Conover, "A comparison of three methods for selecting values of
    input variables in the analysis of output from a computer code", 1979.
    """
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 0:
        raise RequestError(f"sample takes {count!r} points: give a whole number, sample(BASE, 20, …)")
    if method not in METHODS:
        raise unknown("method of sample", method, METHODS)
    read = _groups(groups, axes, _check_distribution)
    if method == "random":
        generator = np.random.default_rng(sample_seed)
        points = ([_drawn(group, generator) for group in read] for _ in range(count))
    else:
        _check_quantiles(read, method)
        points = (_at(read, list(row)) for row in _spread(_dimensions(read), int(count), method, sample_seed))
    return [_changed(base, parts, read) for parts in points]


# ---- the points --------------------------------------------------------------------------------------------------


def _product(axes: Axes) -> list[Point]:
    """Every combination of the axes' values."""
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def _drawn(group: Sequence[Axes], generator: np.random.Generator) -> Point:
    """A point of one of the alternatives."""
    one = group[0] if len(group) == 1 else group[int(generator.integers(len(group)))]
    return {name: distribution.draw(generator) for name, distribution in one.items()}


def _dimensions(read: Sequence[Sequence[Axes]]) -> int:
    """Numbers in [0, 1) that make a point: one for the alternative, and those of the alternative with the most axes."""
    return sum((len(group) > 1) + max(map(len, group)) for group in read)


def _at(read: Sequence[Sequence[Axes]], row: list[float]) -> list[Point]:
    """The point of each group at these numbers in [0, 1); alternatives share the numbers of their axes."""
    points = []
    for group in read:
        one = group[0] if len(group) == 1 else group[min(int(row.pop(0) * len(group)), len(group) - 1)]
        width = max(map(len, group))
        points.append({name: axis.quantile(u) for (name, axis), u in zip(one.items(), row[:width])})
        row = row[width:]
    return points


def _spread(dimensions: int, count: int, method: str, seed: int) -> np.ndarray:
    """Evenly spread numbers in [0, 1) [count, dimensions]."""
    if not dimensions or not count:
        return np.zeros((count, dimensions))
    from scipy.stats import qmc  # only here, as it takes a second

    generator = np.random.default_rng(seed)
    if method == "latin_hypercube":
        return qmc.LatinHypercube(dimensions, seed=generator).random(count)
    # The first points of a power of two, in which the sequence is balanced.
    return qmc.Sobol(dimensions, seed=generator).random_base2((count - 1).bit_length())[:count]


# ---- reading the axes --------------------------------------------------------------------------------------------


def _groups(groups: Sequence[Any], axes: Axes, check: Any) -> list[list[Axes]]:
    """Each group as a list of alternatives, and each keyword as a group of one axis; values are lists."""
    read: list[list[Axes]] = []
    seen: set[str] = set()
    for group in (*(group for group in groups if group is not None), *({name: axes[name]} for name in axes)):
        alternatives = [group] if isinstance(group, Mapping) else group
        if not isinstance(alternatives, (list, tuple)) or not all(isinstance(one, Mapping) for one in alternatives):
            raise RequestError(
                f'axes are {group!r:.80}: write a mapping such as {{"net.widths": [(64,), (64, 64)]}}, or a list of such '
                "mappings as alternatives"
            )
        if not alternatives:
            raise RequestError("a list of alternatives is empty: leave it out, or write [{}] for none")
        names = {name for one in alternatives for name in one}
        if names & seen:
            raise RequestError(f"axis {sorted(names & seen)[0]} stands in two places: write it once")
        seen |= names
        read.append([{name: check(name, values) for name, values in one.items()} for one in alternatives])
    return read


def _check_values(name: str, values: Any) -> list[Any]:
    if isinstance(values, Distribution):
        remedy = repr(list(values.values))[:80] if hasattr(values, "values") else "[1e-4, 1e-3, 1e-2]"
        raise RequestError(
            f"axis {name} is {values!r:.80}, which sample draws from: here it is a list of values, {remedy}"
        )
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise RequestError(f"axis {name} is {values!r}: it must be a list of values, [{values!r}]")
    return list(values)


def _check_distribution(name: str, axis: Any) -> Distribution:
    if isinstance(axis, Distribution):
        return axis
    if isinstance(axis, (list, tuple, range, set, np.ndarray)) and len(axis):
        meant = f"to draw from these, write {as_choice(axis)}"
    elif isinstance(axis, (str, int, float)):
        meant = f"for one value, write choice({axis!r}), or set it in the base run"
    else:
        meant = "choose a distribution"
    raise RequestError(
        f"sample axis {name} is {axis!r:.80}: give uniform(a, b), log_uniform(a, b) or choice(…); {meant}"
    )


def _check_quantiles(read: Sequence[Sequence[Axes]], method: str) -> None:
    for name, axis in (item for group in read for one in group for item in one.items()):
        if not isinstance(axis, HasQuantiles):
            raise RequestError(
                f"sample axis {name} is {axis!r:.80}, which has no quantile(u): method {method!r} needs it; write the method, "
                "or choose method='random'"
            )


def _changed(base: Run, parts: Iterable[Point], read: Sequence[Sequence[Axes]]) -> Run:
    """The base run at a point."""
    point = {name: value for part in parts for name, value in part.items()}
    plain = {name: value for name, value in point.items() if name in runs.FIELDS}
    run = dataclasses.replace(base, **plain) if plain else base
    for name, value in point.items():
        if name not in plain:
            try:
                run = runs.set_field(run, name, value)
            except RequestError as error:
                raise RequestError(f"{error}{_hint(name, read)}") from None
    return run


def _hint(name: str, read: Sequence[Sequence[Axes]]) -> str:
    """What to write if a parameter stands beside an axis of which only some values have it."""
    head = name.partition(".")[0]
    varied = [one[head] for group in read for one in group if head in one]
    if head == name or not varied:
        return ""
    return (
        f"; if only some of the {head}s have it, write alternatives: "
        f'[{{"{head}": [those with it], "{name}": […]}}, {{"{head}": [the others]}}]'
    )
