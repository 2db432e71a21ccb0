"""Dunnett's many-to-one comparisons: how far the largest of k differences from one baseline goes by chance.

It is computed from `scipy.special` as `studentized_range` is, since SciPy's own (`scipy.stats.dunnett`) is for independent
groups of equal variance and integrates by sampling.
"""

import functools

import numpy as np
from scipy import special

from lanes.results.studentized_range import FARTHEST, TAIL, nodes


@functools.lru_cache(maxsize=1024)
def quantile(probability: float, comparisons: int, degrees: float, correlation: float) -> float:
    """c with P(max |Tᵢ| ≤ c) = probability, for k Student's t numbers with a common standard error, equally correlated.

    A larger correlation has a smaller c, so the smallest of unlike correlations is on the safe side (Šidák, On multivariate
    normal probabilities of rectangles, 1968).

    Args:
        probability: in (0, 1).
        comparisons: k, at least 1.
        degrees: ν, degrees of freedom of the standard error, at least 1.
        correlation: of two differences, in [0, 1): v₀ / (v₀ + v) for a baseline of variance v₀ and others of variance v.
    """
    from scipy import optimize  # only where a baseline is compared

    if comparisons == 1:
        return float(special.stdtrit(degrees, (1 + probability) / 2))
    high = float(special.stdtrit(degrees, 1 - (1 - probability) / (2 * comparisons)))  # Bonferroni
    low = float(special.stdtrit(degrees, (1 + probability) / 2))
    at = lambda c: cumulative(c, comparisons, degrees, correlation) - probability  # noqa: E731
    return float(optimize.brentq(at, low, high * 1.01, xtol=1e-10))


def cumulative(c: float, comparisons: int, degrees: float, correlation: float) -> float:
    """P(max |Tᵢ| ≤ c).

    Formula: ∫ p(s) ∫ φ(z) (Φ((c s + √ρ z) / √(1 - ρ)) - Φ((-c s + √ρ z) / √(1 - ρ)))^k dz ds, where ν s² has the χ²
    distribution with ν degrees of freedom
    Reference: Dunnett, A multiple comparison procedure for comparing several treatments with a control, 1955
    """
    half = degrees / 2
    low, high = np.log(special.chdtri(degrees, np.array([1 - TAIL, TAIL])) / degrees) / 2
    log_s, of_s = nodes(float(low), float(high))  # ds = s dlog(s)
    log_density = np.log(2) + half * np.log(half) - special.gammaln(half) + degrees * (log_s - np.exp(2 * log_s) / 2)
    z, of_z = nodes(-FARTHEST, FARTHEST)
    reach, shift = c * np.exp(log_s)[:, None], np.sqrt(correlation) * z
    rest = np.sqrt(1 - correlation)
    inside = special.ndtr((reach + shift) / rest) - special.ndtr((shift - reach) / rest)
    given_s = inside**comparisons @ (of_z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return float(given_s @ (of_s * np.exp(log_density)))
