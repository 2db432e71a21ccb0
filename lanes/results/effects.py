"""Main effects of an axis from matched pairs: runs that agree in all other axes and in the seed."""

import dataclasses

import pandas as pd

from lanes.results.axes import Axis
from lanes.results.comparisons import clustered_difference
from lanes.results.intervals import Interval


@dataclasses.dataclass(frozen=True)
class Effect:
    """The effect of a value of an axis against the axis's first value.

    Attributes:
        value, reference: labels.
        difference: of the metric, value - reference: the mean over matched pairs, with an interval over seeds.
        pairs: number of matched pairs.
    """

    value: str
    reference: str
    difference: Interval
    pairs: int


def effects(values: pd.Series, labels: pd.DataFrame, seeds: pd.Series, axis: Axis) -> list[Effect]:
    """The effects of an axis's values against its first one; values without a matched pair are left out.

    Two runs match if they differ in this axis only. Where not all combinations were run, or some have no value, means over
    all runs with a value compare unlike other axes; matched pairs do not.

    Args:
        values: a metric by run, NaN where a run has none.
        labels: the axes' labels by run.
        seeds: by run; pairs of the same seed are one replicate.
        axis: the axis; a sampled one has no matched pairs.
    """
    others = [labels[name] for name in labels if name != axis.name]
    keys = [column.rename(position) for position, column in enumerate(others)]
    table = values.groupby([*keys, seeds.rename("seed"), labels[axis.name].rename("value")]).mean().unstack("value")
    reference = axis.values[0]
    out = []
    for value in axis.values[1:]:
        if value in table and reference in table:
            difference, pairs = clustered_difference(table[reference], table[value], "seed")
            if pairs:
                out.append(Effect(value, reference, difference, pairs))
    return out
