"""Functional analysis of variance of a complete grid: how much of a metric's variance each axis and pair of axes explains.

The metric f of the combinations is the sum of a constant, an effect of each axis, one of each pair of axes beyond these, and
so on, all orthogonal; the variances of the parts add up to that of f. Every combination counts alike.

Formula: f_U(x_U) = mean of f over the other axes - Σ_{W ⊂ U} f_W(x_W), V_U = mean of f_U², share of U = V_U / V, with V the
variance of f over the combinations (divisor their number). With the same number of runs in each combination V_U / V is the sum
of squares of U in an analysis of variance over that of all combinations.

References: Sobol, Sensitivity estimates for nonlinear mathematical models, 1993; Hooker, Generalized functional ANOVA
diagnostics, 2007; Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter importance, 2014
"""

import itertools

import numpy as np

Term = tuple[int, ...]


def variances(values: np.ndarray, order: int = 2) -> dict[Term, np.ndarray]:
    """V_U of each set U of up to `order` axes, and of all axes together under `()`, which is V.

    Args:
        values: [S, n₁, …, n_A]: the metric of each combination of A axes, S times over.
        order: the most axes of a set.

    Returns:
        An array [S] for each set, named by the positions of its axes.
    """
    axes = range(values.ndim - 1)
    effects: dict[Term, np.ndarray] = {(): values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)}
    out: dict[Term, np.ndarray] = {(): ((values - effects[()]) ** 2).mean(axis=tuple(range(1, values.ndim)))}
    for size in range(1, order + 1):
        for term in itertools.combinations(axes, size):
            rest = tuple(axis + 1 for axis in axes if axis not in term)
            effect = values.mean(axis=rest, keepdims=True)
            for smaller in range(size):
                for inner in itertools.combinations(term, smaller):
                    effect = effect - effects[inner]
            effects[term] = effect
            out[term] = (effect**2).mean(axis=tuple(range(1, values.ndim)))
    return out


def totals(values: np.ndarray) -> dict[Term, np.ndarray]:
    """The variance that each axis has a part in, alone or with others: V - V of the means over this axis [S].

    Reference: Homma and Saltelli, Importance measures in sensitivity analysis of nonlinear models, 1996
    """
    out: dict[Term, np.ndarray] = {}
    for axis in range(values.ndim - 1):
        out[(axis,)] = values.var(axis=axis + 1).mean(axis=tuple(range(1, values.ndim - 1)))
    return out


def degrees(shape: tuple[int, ...], term: Term) -> int:
    """Degrees of freedom of a set of axes with this many values each: the product of their numbers less one."""
    return int(np.prod([shape[axis] - 1 for axis in term]))


def jackknife_deviation(whole: float, left_out: np.ndarray) -> float:
    """The standard deviation of the jackknife's pseudo-values S θ - (S - 1) θ₍₋ₛ₎, NaN for one seed; over √S it is that of θ.

    Reference: Tukey, Bias and confidence in not-quite large samples, 1958

    Args:
        whole: θ, of all S seeds.
        left_out: [S], θ₍₋ₛ₎ of all seeds but one.
    """
    count = len(left_out)
    return float((count * whole - (count - 1) * left_out).std(ddof=1)) if count > 1 else float("nan")
