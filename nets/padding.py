"""Padding of series of unequal length, as a data set marks it: NaN in numbers, -1 in tokens."""

import jax
import jax.numpy as jnp


def without_padding(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The series with 0 in their padding, and their lengths.

    Args:
        x: numbers [B, T, C], NaN where padded, or tokens [B, T], -1 where padded; padding follows the valid steps.

    Returns:
        x with 0 in place of its padding, and int32 [B], the number of valid steps of each series.
    """
    if jnp.issubdtype(x.dtype, jnp.integer):
        valid = x >= 0
        return jnp.where(valid, x, jnp.zeros_like(x)), valid.sum(axis=1, dtype=jnp.int32)
    valid = ~jnp.isnan(x).any(axis=-1)
    return jnp.where(valid[..., None], x, jnp.zeros_like(x)), valid.sum(axis=1, dtype=jnp.int32)
