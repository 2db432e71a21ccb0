"""Statistics of a net's activations: mean, standard deviation, saturated and dead shares, histogram."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from lanes.analysis.layers import Layer, Net, layers

BINS = 40
SATURATED = 0.01  # of the largest derivative


class ActivationStatistics(NamedTuple):
    """Of one layer's activations h = g(z), [N, …, C], on N examples.

    A number is saturated where |g'(z)| < 0.01 max |g'|, the maximum over z from -8 to 8 and over what occurs: |tanh z| > 0.995,
    a sigmoid below 0.0025 or above 0.9975, a ReLU at 0. NaN where g has no derivative of its own at each place (softmax,
    maxout), or none but 0 (a step).

    Attributes:
        depth: position among the activations of the net, from 1.
        units: C.
        mean, std, smallest, largest: over all numbers.
        zero: share of the numbers that are 0.
        saturated: share of the numbers that are saturated.
        dead: share of the C units that are 0, or saturated, at all positions of all examples.
        counts: numbers in each of BINS equal bins between smallest and largest [BINS].
    """

    depth: Array
    units: Array
    mean: Array
    std: Array
    smallest: Array
    largest: Array
    zero: Array
    saturated: Array
    dead: Array
    counts: Array


def activation_statistics(net: Net, params: Any, x: Array) -> dict[str, ActivationStatistics]:
    """The statistics of each activation of a net by name, and those of its "output". It can be compiled.

    Args:
        net: a function of parameters and a batch that returns an array [N, …].
        params: its parameters.
        x: the batch [N, …].
    """
    found, output = layers(net, params, x)
    found["output"] = Layer(output, None, None)
    return {name: statistics(layer, depth) for depth, (name, layer) in enumerate(found.items(), 1)}


def statistics(layer: Layer, depth: int = 1) -> ActivationStatistics:
    """The statistics of one layer."""
    h = layer.h.astype(jnp.float32)
    h = h.reshape(-1, h.shape[-1] if h.ndim > 1 else 1)
    zero = h == 0
    saturated, flat = jnp.asarray(jnp.nan), jnp.zeros_like(zero)
    if layer.slope is not None and layer.steepest is not None:
        flat = jnp.abs(layer.slope.astype(jnp.float32)).reshape(h.shape) < SATURATED * layer.steepest
        saturated = jnp.where(layer.steepest > 0, jnp.mean(flat, dtype=jnp.float32), jnp.nan)
    mean, smallest, largest = jnp.mean(h), jnp.min(h), jnp.max(h)
    dead = jnp.all(zero, axis=0) | jnp.all(flat, axis=0)
    return ActivationStatistics(
        depth=jnp.asarray(depth),
        units=jnp.asarray(h.shape[-1]),
        mean=mean,
        std=jnp.sqrt(jnp.mean((h - mean) ** 2)),
        smallest=smallest,
        largest=largest,
        zero=jnp.mean(zero, dtype=jnp.float32),
        saturated=saturated,
        dead=jnp.mean(dead, dtype=jnp.float32),
        counts=_counts(h, smallest, largest),
    )


def _counts(h: Array, smallest: Array, largest: Array) -> Array:
    """How many of the numbers are in each of BINS equal bins from the smallest to the largest; NaN is in none."""
    width = jnp.where(largest > smallest, largest - smallest, 1.0)
    bins = jnp.clip(jnp.floor((h - smallest) / width * BINS), 0, BINS - 1)
    inside = jnp.isfinite(h)
    return jnp.zeros(BINS, jnp.int32).at[jnp.where(inside, bins, 0).astype(jnp.int32)].add(inside.astype(jnp.int32))
