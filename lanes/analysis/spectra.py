"""Singular values of a net: how many dimensions its layers use, and how its input's changes pass through depth."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lanes.analysis.layers import Net, layers

MOST_NUMBERS = 2**22  # in a Jacobian that is formed


class Rank(NamedTuple):
    """Of a layer's activations H [N, C], a row per example and position.

    Attributes:
        depth: position among the activations of the net, from 1.
        units: C.
        effective_rank: exp(-Σ p_i log p_i) of p_i = σ_i / Σ σ_j, the singular values σ of H (Roy and Vetterli, The effective
            rank, 2007): from 1 to min(N, C); 0 where H is 0.
        rank: number of singular values above max(N, C) ε σ_1, with ε of float32.
        top_share: σ_1² / Σ σ_i², the share of the largest in the sum of squares.
    """

    depth: Array
    units: Array
    effective_rank: Array
    rank: Array
    top_share: Array


def ranks(net: Net, params: Any, x: Array) -> dict[str, Rank]:
    """The ranks of each activation of a net by name, and those of its "output". It can be compiled.

    Activations are not centred.
    """
    found, output = layers(net, params, x, slopes=False)
    hidden = {**{name: layer.h for name, layer in found.items()}, "output": output}
    return {name: rank_of(h, depth) for depth, (name, h) in enumerate(hidden.items(), 1)}


def rank_of(h: Array, depth: int = 1) -> Rank:
    """The ranks of activations [N, …, C]."""
    rows = h.astype(jnp.float32).reshape(-1, h.shape[-1] if h.ndim > 1 else 1)
    values = singular_values(rows)
    tolerance = max(rows.shape) * jnp.finfo(jnp.float32).eps * values[0]
    return Rank(
        depth=jnp.asarray(depth),
        units=jnp.asarray(rows.shape[1]),
        effective_rank=effective_rank(values),
        rank=jnp.sum(values > tolerance),
        top_share=_share(values**2),
    )


def effective_rank(values: Array) -> Array:
    """exp(-Σ p log p) of p = σ / Σ σ, for singular values σ [K]; 0 if all are 0."""
    total = jnp.sum(values)
    p = values / jnp.where(total > 0, total, 1.0)
    return jnp.where(total > 0, jnp.exp(-jnp.sum(jax.scipy.special.xlogy(p, p))), 0.0)


def _share(squares: Array) -> Array:
    total = jnp.sum(squares)
    return squares[0] / jnp.where(total > 0, total, 1.0)


def singular_values(matrix: Array) -> Array:
    """The singular values of a matrix, largest first; of a tall one, those of its triangular factor."""
    if matrix.shape[0] > 2 * matrix.shape[1]:
        matrix = jnp.linalg.qr(matrix, mode="r")
    return jnp.linalg.svd(matrix, compute_uv=False)


class JacobianSpectrum(NamedTuple):
    """Of the derivatives J [C, F] of a layer's activations by the input, at single examples.

    Attributes:
        depth: position among the activations of the net, from 1.
        values: the min(C, F) singular values of each example's J, largest first [N, min(C, F)].
    """

    depth: Array
    values: Array


def jacobian_spectra(net: Net, params: Any, x: Array) -> dict[str, JacobianSpectrum]:
    """The singular values of input-output Jacobians through the depth of a net, at each of a few examples x [N, …].

    Saxe, McClelland and Ganguli (2014), Pennington, Schoenholz and Ganguli (2017). Layers of which a Jacobian has more than
    2^22 numbers are left out; the net's "output" is never. It can be compiled.
    """

    def of_example(example: Array) -> dict[str, Array]:
        found, output = layers(net, params, example[None], slopes=False)
        return {**{name: layer.h.reshape(-1) for name, layer in found.items()}, "output": output.reshape(-1)}

    features = math.prod(x.shape[1:])
    shapes = {name: math.prod(leaf.shape) for name, leaf in jax.eval_shape(of_example, x[0]).items()}
    order = list(_order(net, params, x[:1]))
    kept = [name for name in order if name == "output" or shapes[name] * features <= MOST_NUMBERS]

    def some(example: Array) -> dict[str, Array]:
        found = of_example(example)
        return {name: found[name] for name in kept}

    forwards = sum(shapes[name] for name in kept) > features
    derivatives = jax.lax.map((jax.jacfwd if forwards else jax.jacrev)(some), x)
    matrices = {name: leaf.reshape(len(x), shapes[name], features) for name, leaf in derivatives.items()}
    return {
        name: JacobianSpectrum(jnp.asarray(order.index(name) + 1), jax.vmap(jnp.linalg.svdvals)(matrix))
        for name, matrix in matrices.items()
    }


def _order(net: Net, params: Any, x: Array) -> list[str]:
    names: list[str] = []

    def look(x: Array) -> Array:
        found, output = layers(net, params, x, slopes=False)
        names[:] = [*found, "output"]
        return output

    jax.eval_shape(look, x)
    return names
