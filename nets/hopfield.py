"""Hopfield's associative memory: Hebbian storage, recall, energy and capacity. Pure functions; states are ±1."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp


def store(patterns: jax.Array) -> jax.Array:
    """Hebbian storage (Hopfield 1982): W = 1/N Σ_p x_p x_pᵀ with zero diagonal.

    Args:
        patterns: [P, N] of ±1.

    Returns:
        W [N, N], symmetric.
    """
    units = patterns.shape[1]
    weights = jnp.einsum("pi,pj->ij", patterns, patterns) / units
    return weights * (1 - jnp.eye(units, dtype=weights.dtype))


def energy(weights: jax.Array, state: jax.Array) -> jax.Array:
    """E = -½ sᵀ W s: states [..., N] → [...]. Asynchronous updates never raise it."""
    return -0.5 * jnp.einsum("...i,ij,...j->...", state, weights, state)


def update(weights: jax.Array, state: jax.Array) -> jax.Array:
    """One synchronous step of all units: s' = sign(W s), unchanged where the field is 0; states [..., N]."""
    field = jnp.einsum("ij,...j->...i", weights, state)
    return jnp.where(field == 0, state, jnp.sign(field))


def sweep(weights: jax.Array, state: jax.Array, key: jax.Array) -> jax.Array:
    """One asynchronous pass: updates every unit once, in random order; state [N]."""

    def update_unit(state: jax.Array, unit: jax.Array) -> tuple[jax.Array, None]:
        field = weights[unit] @ state
        return state.at[unit].set(jnp.where(field == 0, state[unit], jnp.sign(field))), None

    return jax.lax.scan(update_unit, state, jax.random.permutation(key, state.shape[0]))[0]


def recall(
    weights: jax.Array, state: jax.Array, *, steps: int = 20, key: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Let a state relax to a stored pattern.

    Args:
        weights: W [N, N].
        state: s [N].
        steps: number of synchronous steps or asynchronous passes; a fixed point no longer changes.
        key: for asynchronous passes, whose energy never rises; None for synchronous steps, which may end in a
            two-cycle.

    Returns:
        The final state [N], and the energies [steps + 1] from the first state to the last.
    """

    def step(state: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        new = update(weights, state) if key is None else sweep(weights, state, jax.random.fold_in(key, index))
        return new, energy(weights, new)

    final, energies = jax.lax.scan(step, state, jnp.arange(steps))
    return final, jnp.concatenate([energy(weights, state)[None], energies])


@functools.partial(jax.jit, static_argnames=("units", "patterns", "steps"))
def _overlap(key: jax.Array, flipped: jax.Array, *, units: int, patterns: int, steps: int) -> jax.Array:
    """Mean overlap x·s / N between stored patterns and their recall from noisy copies."""
    pattern_key, flip_key, recall_key = jax.random.split(key, 3)
    x = jax.random.rademacher(pattern_key, (patterns, units), jnp.float32)
    noisy = jnp.where(jax.random.bernoulli(flip_key, flipped, x.shape), -x, x)
    weights = store(x)
    keys = jax.random.split(recall_key, patterns)
    recalled = jax.vmap(lambda s, k: recall(weights, s, steps=steps, key=k)[0])(noisy, keys)
    return (recalled * x).mean()


def capacity(
    key: jax.Array, units: int, loads: Sequence[float], *, flipped: float = 0.0, steps: int = 20, repeats: int = 1
) -> jax.Array:
    """How well random patterns are recalled at each load P / N; the overlap drops near 0.14 (Amit et al. 1985).

    Args:
        key: draws the patterns.
        units: N.
        loads: values of P / N.
        flipped: fraction of a pattern's units that are flipped before recall.
        steps: asynchronous passes.
        repeats: memories drawn for each load.

    Returns:
        Mean overlap [repeats, loads] with the stored patterns, 1 for perfect recall.

    Raises:
        ValueError: a load below one pattern.
    """
    counts = [round(load * units) for load in loads]
    if min(counts) < 1:
        raise ValueError(f"load {min(loads)} of {units} units holds no pattern: use at least {1 / units:.3g}")
    rows = [
        [
            _overlap(
                jax.random.fold_in(repeat_key, count), jnp.float32(flipped), units=units, patterns=count, steps=steps
            )
            for count in counts
        ]
        for repeat_key in jax.random.split(key, repeats)
    ]
    return jnp.array(rows)
