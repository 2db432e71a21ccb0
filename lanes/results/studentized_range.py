"""The studentized range: how far the largest and the smallest of K equal means lie apart, over their standard error.

It is SciPy's `scipy.stats.studentized_range`, computed from `scipy.special` alone: importing `scipy.stats` takes a second,
and each of its quantiles a fifth of one.
"""

import functools

import numpy as np
from scipy import special

POINTS = 128  # of the Gauss-Legendre quadratures
TAIL = 1e-13  # probability of a standard error beyond the ends of its integral
FARTHEST = 8.0  # of a normal number
ACCURACY = 1e-12  # of a quantile's probability
MOST_STEPS = 100


def quantile(probability: float, groups: int, degrees: float) -> float:
    """The quantile of the studentized range of K independent normal means, by regula falsi (Illinois).

    Args:
        probability: in (0, 1).
        groups: K, at least 2.
        degrees: ν, degrees of freedom of the standard error, at least 1.
    """

    def excess(q: float) -> float:
        return cumulative(q, groups, degrees) - probability

    low, high, last = 0.0, 1.0, 0.0
    below, above = -probability, excess(high)
    while above < 0:
        low, below, high = high, above, 2 * high
        above = excess(high)
    for _ in range(MOST_STEPS):
        q = (low * above - high * below) / (above - below)
        now = excess(q)
        if abs(now) < ACCURACY:
            break
        is_same_side = now * last > 0  # then the other end has stayed for two steps
        if now < 0:
            low, below, above = q, now, above / 2 if is_same_side else above
        else:
            high, above, below = q, now, below / 2 if is_same_side else below
        last = now
    return q


def cumulative(q: float, groups: int, degrees: float) -> float:
    """P(range ≤ q), for K groups and ν degrees of freedom.

    Formula: ∫ p(s) K ∫ φ(z) (Φ(z) - Φ(z - q s))^(K - 1) dz ds, where ν s² has the χ² distribution with ν degrees of freedom
    Reference: Lund and Lund, Algorithm AS 190: probabilities and upper quantiles for the studentized range, 1983
    """
    half = degrees / 2
    low, high = np.log(special.chdtri(degrees, np.array([1 - TAIL, TAIL])) / degrees) / 2
    # K numbers lie within a range w with a probability below w^(K - 1).
    low = max(low, np.log(TAIL) / (groups - 1) - np.log(q)) if q > 0 else low
    log_s, of_s = nodes(min(low, high), high)  # ds = s dlog(s)
    log_density = np.log(2) + half * np.log(half) - special.gammaln(half) + degrees * (log_s - np.exp(2 * log_s) / 2)
    z, of_z = nodes(-FARTHEST, FARTHEST)
    inside = special.ndtr(z) - special.ndtr(z - q * np.exp(log_s)[:, None])
    ranges = inside ** (groups - 1) @ (of_z * groups * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return float(ranges @ (of_s * np.exp(log_density)))


def nodes(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of a quadrature between two ends."""
    points, weights = _legendre()
    return (high - low) / 2 * points + (high + low) / 2, (high - low) / 2 * weights


@functools.cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(POINTS)
