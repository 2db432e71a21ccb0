"""Permutation importance of a random forest: how much of a metric's variance axes explain where there is no complete grid.

A forest is fitted to part of the runs, and the values of an axis are exchanged between the runs that it has not seen. Half of
what this adds to the squared error, over the variance of the metric, is the axis's total share of the variance, with all that
it shares with others; of two axes exchanged together, what the sum of their own shares exceeds the common one by is the share
that both have a part in.

References: Breiman, Random forests, 2001; Gregorutti, Michel and Saint-Pierre, Correlation and variable importance in random
forests, 2017; Liu and Owen, Estimating mean dimensionality of analysis of variance decompositions, 2006
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

TREES = 64
FOLDS = 4
REPEATS = 5  # exchanges of each set of axes

Term = tuple[int, ...]


def permutation_shares(
    axes: Sequence[np.ndarray], values: np.ndarray, seed: int = 0
) -> tuple[dict[Term, float], float]:
    """The total share of each axis, and of each pair the share that both have a part in; and R² on runs not seen.

    Args:
        axes: of each axis the values by run [N], numbers (NaN where a run lacks it) or text.
        values: the metric [N], finite, not all equal.
        seed: of the forest, the folds and the exchanges.

    Returns:
        The shares by the positions of the axes, and the share of the variance that the forest explains out of its folds.
    """
    from sklearn.ensemble import RandomForestRegressor  # a second to import
    from sklearn.model_selection import KFold

    blocks = [_columns(axis) for axis in axes]
    terms = [term for size in (1, 2) for term in itertools.combinations(range(len(axes)), size)]
    added = dict.fromkeys(terms, 0.0)
    error, generator = 0.0, np.random.default_rng(seed)
    for fitted, unseen in KFold(FOLDS, shuffle=True, random_state=seed).split(values):
        forest = RandomForestRegressor(TREES, random_state=seed, min_samples_leaf=1)
        forest.fit(np.concatenate([block[fitted] for block in blocks], axis=1), values[fitted])
        tests, count = [np.concatenate([block[unseen] for block in blocks], axis=1)], len(unseen)
        for term in terms:
            for _ in range(REPEATS):
                other = generator.permutation(unseen)
                exchanged = [block[other if at in term else unseen] for at, block in enumerate(blocks)]
                tests.append(np.concatenate(exchanged, axis=1))
        errors = (forest.predict(np.concatenate(tests)).reshape(len(tests), count) - values[unseen]) ** 2
        sums = errors.sum(axis=1)
        error += sums[0]
        for at, term in enumerate(terms):
            added[term] += sums[1 + at * REPEATS : 1 + (at + 1) * REPEATS].mean() - sums[0]
    spread = float(((values - values.mean()) ** 2).sum())
    halves = {term: float(sum_ / (2 * spread)) for term, sum_ in added.items()}
    pairs = {term: halves[term[:1]] + halves[term[1:]] - half for term, half in halves.items() if len(term) == 2}
    return halves | pairs, 1 - float(error) / spread


def _columns(axis: np.ndarray) -> np.ndarray:
    """An axis as columns of numbers: itself, or one column for each value of text."""
    if axis.dtype.kind in "fiu":
        largest = np.finfo(np.float32).max  # the forest's trees hold float32
        return np.clip(axis.astype(float), -largest, largest)[:, None]
    return pd.get_dummies(pd.Series(axis).astype(str)).to_numpy(dtype=float)
