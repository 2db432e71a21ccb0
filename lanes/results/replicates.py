"""What follows the seed: each seed's own pretrained run, or its own draw of the data, belongs to the replicate.

`combination_id` identifies a run apart from its seed and from the fields that the seed may carry with it: references to trained
runs (`init_from`, `Encoded.source`), which count as the combination of that run, and the seeds of data sets. If these are
one-to-one with the seed in every combination, they are no axis; otherwise (five sources for each seed, or two seeds for each
source) they are one like any other field.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

COMBINATION = "combination_id"


def by_replicate(runs: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """`lanes.load`'s table with one value for all that the seeds of a combination bring: `runs/first:*:encoder`.

    Args:
        runs: the table; without the columns `combination_id` and `seed` it is returned as it is.
        fields: the columns that describe a run.
    """
    if COMBINATION not in runs or "seed" not in runs or not runs[COMBINATION].notna().any():
        return runs
    keys = runs[COMBINATION].where(runs[COMBINATION].notna(), runs["run_id"])
    if "dir" in runs:
        keys = keys.astype(str) + " " + runs["dir"].astype(str)
    if keys.is_unique:
        return runs
    changed = {}
    for name in fields:
        if name != "seed" and _varies_within(runs[name], keys) and _one_to_one(runs[name], runs["seed"], keys):
            changed[name] = _classes(runs[name], keys)
    return runs.assign(**changed) if changed else runs


def _varies_within(column: pd.Series, keys: pd.Series) -> bool:
    return column.nunique(dropna=False) > 1 and bool((column.groupby(keys).nunique(dropna=False) > 1).any())


def _one_to_one(column: pd.Series, seeds: pd.Series, keys: pd.Series) -> bool:
    """Whether, in each group within which the column varies, each seed has its own value."""
    pairs = pd.DataFrame({"key": keys, "value": column, "seed": seeds}).drop_duplicates()
    counts = pairs.groupby("key").agg(
        value=("value", lambda values: values.nunique(dropna=False)), seed=("seed", "nunique"), pairs=("seed", "size")
    )
    varying = counts[counts["value"] > 1]
    return bool(((varying["value"] == varying["pairs"]) & (varying["seed"] == varying["pairs"])).all())


def _classes(column: pd.Series, keys: pd.Series) -> pd.Series:
    """The column with values that stand for each other, as they occur in one combination, under one name."""
    parent: dict[object, object] = {}

    def root(value: object) -> object:
        while parent.setdefault(value, value) != value:
            value = parent[value]
        return value

    cells = column.astype(object)
    for _, values in cells.dropna().groupby(keys, sort=False):
        first, *others = pd.unique(values)
        for other in others:
            parent[root(other)] = root(first)
    members: dict[object, list[object]] = {}
    for value in pd.unique(cells.dropna()):
        members.setdefault(root(value), []).append(value)
    names = {value: values[0] if len(values) == 1 else _name(values) for value, values in members.items()}
    if len(set(map(str, names.values()))) < len(names):
        names = {value: f"{name} (from {members[value][0]})" for value, name in names.items()}
    return pd.Series([names[root(v)] if v == v and v is not None else None for v in cells], column.index, dtype=object)


def _name(values: list[object]) -> str:
    """What values that follow the seed have in common: `runs/first:*:encoder`."""
    if all(isinstance(value, (int, float, np.number)) for value in values):
        return "one per seed"
    texts = list(map(str, values))
    start = _common_start(texts)
    end = _common_start(text[len(start) :][::-1] for text in texts)[::-1]
    return f"{start}*{end}"


def _common_start(texts: Iterable[str]) -> str:
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)
