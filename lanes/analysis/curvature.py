"""Curvature of a loss: extreme eigenvalues of its Hessian and the share of negative ones, without forming the matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

Tree = Any
Product = Callable[[np.ndarray], np.ndarray]  # v [P] -> H v [P]

DENSE = 1024  # up to so many parameters the matrix is formed
FLAT = {"dense": 1e-4, "lanczos": 1e-2}  # of the largest |λ|: eigenvalues this small count as zero
PROBES, STEPS = 8, 64
BASIS_NUMBERS = 2**27  # most numbers in a Lanczos basis


class Curvature(NamedTuple):
    """The spectrum of a symmetric matrix H [P, P].

    Attributes:
        largest, smallest: eigenvalues.
        negative: share of the P eigenvalues below -flat.
        positive: share above flat.
        error: one standard error of `negative` over the random probes; 0 where the spectrum is exact.
        flat: eigenvalues from -flat to flat count as zero: 1e-4 max|λ| where the spectrum is exact, otherwise 1e-2 max|λ|,
            which 64 steps resolve.
        method: "dense" or "lanczos".
    """

    largest: float
    smallest: float
    negative: float
    positive: float
    error: float
    flat: float
    method: str


def hessian_product(loss: Callable[[Tree], Array], params: Tree, v: Array) -> Array:
    """H v [P], for the Hessian H of a loss at parameters of P numbers: the derivative of the gradient along v (Pearlmutter 1994).

    Costs about two gradients. It can be compiled.
    """
    flat, unravel = ravel_pytree(params)

    def gradient(flat: Array) -> Array:
        return ravel_pytree(jax.grad(loss)(unravel(flat)))[0]

    return jax.jvp(gradient, (flat,), (v.astype(flat.dtype),))[1]


def curvature(product: Product, size: int, seed: int = 0) -> Curvature:
    """The curvature of a symmetric matrix H [P, P], given as a function v -> H v.

    Up to 1024 parameters the matrix is formed by P products. Beyond, the extreme eigenvalues come from Lanczos iterations
    with restarts (ARPACK, `scipy.sparse.linalg.eigsh`), the shares from stochastic Lanczos quadrature: 8 probes of 64 steps
    (Ubaru, Chen and Saad, 2017; Ghorbani, Krishnan and Xiao, 2019). They are NaN where the basis would take over 2^27
    numbers.

    Args:
        product: H v.
        size: P.
        seed: of the probes.
    """
    if size <= DENSE:
        matrix = np.stack([product(row) for row in np.eye(size)])
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        flat = FLAT["dense"] * float(np.abs(values).max())
        shares = float((values < -flat).mean()), float((values > flat).mean())
        return Curvature(float(values[-1]), float(values[0]), *shares, 0.0, flat, "dense")
    largest, smallest = extreme_eigenvalues(product, size, seed)
    flat = FLAT["lanczos"] * max(abs(largest), abs(smallest))
    steps = min(STEPS, size)
    if steps * size > BASIS_NUMBERS:
        return Curvature(largest, smallest, np.nan, np.nan, np.nan, flat, "lanczos")
    negative, positive = [], []
    for key in np.random.SeedSequence(seed).spawn(PROBES):
        values, weights = quadrature(product, np.random.default_rng(key).standard_normal(size), steps)
        negative.append(weights[values < -flat].sum())
        positive.append(weights[values > flat].sum())
    error = float(np.std(negative, ddof=1) / np.sqrt(PROBES))
    return Curvature(largest, smallest, float(np.mean(negative)), float(np.mean(positive)), error, flat, "lanczos")


def extreme_eigenvalues(product: Product, size: int, seed: int = 0, tolerance: float = 1e-4) -> tuple[float, float]:
    """(largest, smallest) eigenvalue of a symmetric matrix, to a relative tolerance; NaN where ARPACK finds none."""
    operator = LinearOperator((size, size), matvec=lambda v: product(v.reshape(-1)), dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(size)
    if not np.any(product(start)):
        return 0.0, 0.0

    def at(end: str) -> float:
        try:
            return float(eigsh(operator, k=1, which=end, v0=start, tol=tolerance, return_eigenvectors=False)[0])
        except ArpackError:
            return np.nan

    return at("LA"), at("SA")


def quadrature(product: Product, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights [m ≤ steps] of Gauss quadrature for the spectral density of a symmetric matrix seen from a vector.

    The weights sum to 1; averaged over random vectors, those of the nodes in an interval estimate the share of eigenvalues
    in it. Lanczos's recurrence with full reorthogonalization, which ends early in an invariant subspace.
    """
    basis = np.zeros((steps, start.size))
    basis[0] = start / np.linalg.norm(start)
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    count = steps
    for at in range(steps):
        w = np.array(product(basis[at]), np.float64)
        diagonal[at] = w @ basis[at]
        for _ in range(2):
            w -= basis[: at + 1].T @ (basis[: at + 1] @ w)
        beside[at] = np.linalg.norm(w)
        scale = max(np.abs(diagonal[: at + 1]).max(), beside[: at + 1].max())
        if at + 1 == steps or beside[at] <= 1e-10 * scale:
            count = at + 1
            break
        basis[at + 1] = w / beside[at]
    matrix = np.diag(diagonal[:count]) + np.diag(beside[: count - 1], 1) + np.diag(beside[: count - 1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors[0] ** 2
