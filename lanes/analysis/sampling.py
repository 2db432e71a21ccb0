"""Sampling from trained models: text from a next-token net, examples from a generative one."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from nets import outputs_of
from nets.abilities import DrawsCodes, Generates

Array = jax.Array


def sample_text(
    net: nn.Module, variables: Any, prompt: Array, length: int, temperature: float = 1.0, key: Array | None = None
) -> Array:
    """`length` tokens that a next-token net writes after `prompt`, each drawn from softmax(logits / temperature).

    Runs the whole text through the net for every token, so any causal net will do: its logits [B, T, K] at a step must
    not depend on later steps.

    Args:
        net, variables: from `lanes.restore` or `lanes.train`.
        prompt: int [P], at least one token.
        length: tokens to write, 1 or more.
        temperature: 0 always takes the likeliest token, 1 samples from the model, above 1 flattens the distribution.
        key: random key; not needed at temperature 0.

    Returns:
        int32 [length].

    Raises:
        ValueError: an empty prompt, a length below 1, a negative temperature, or no key for a positive one.
    """
    prompt = jnp.asarray(prompt, jnp.int32)
    if prompt.ndim != 1 or not prompt.size:
        raise ValueError(f"sample_text: prompt of shape {prompt.shape} must be [P] with one token or more")
    if length < 1:
        raise ValueError(f"sample_text: length={length} must be 1 or more")
    if temperature < 0:
        raise ValueError(f"sample_text: temperature={temperature} must be 0 or more")
    if key is None and temperature > 0:
        raise ValueError(f"sample_text: temperature={temperature} draws and needs a key: give jax.random.key(0)")
    key = jax.random.key(0) if key is None else key
    text = jnp.concatenate([prompt, jnp.zeros(length, jnp.int32)])
    written = _write(net, temperature == 0, prompt.size, variables, text, jnp.float32(temperature or 1), key)
    return written[prompt.size :]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _write(
    net: nn.Module, likeliest: bool, begin: int, variables: Any, text: Array, temperature: Array, key: Array
) -> Array:
    def append(t: Array, text: Array) -> Array:
        logits = outputs_of(net.apply(variables, text[None, :], train=False)).prediction[0, t - 1].astype(jnp.float32)
        drawn = jax.random.categorical(jax.random.fold_in(key, t), logits / temperature)
        return text.at[t].set(jnp.argmax(logits).astype(jnp.int32) if likeliest else drawn.astype(jnp.int32))

    return jax.lax.fori_loop(begin, text.size, append, text)


def sample_prior(net: nn.Module, variables: Any, shape: tuple[int, ...], count: int, key: Array) -> Array:
    """`count` examples [count, *shape] that a VAE or GAN generates from z ~ N(0, I).

    A VAE returns the logits (or means) of p(x|z), to which the output unit is still to be applied; a GAN, examples.

    Args:
        net, variables: from `lanes.restore` or `lanes.train`.
        shape: shape of one example.
        count: number of examples.
        key: random key.

    Raises:
        ValueError: a net that cannot generate.
    """
    if isinstance(net, Generates):
        z = jax.random.normal(key, (count, net.latent))
        return jnp.asarray(net.apply(variables, z, shape, train=False, method="generate"))
    if isinstance(net, DrawsCodes):
        return jnp.asarray(net.apply(variables, jax.random.normal(key, (count, net.code)), shape, method="decode"))
    raise ValueError(f"sample_prior: {type(net).__name__} has no prior to draw from: use a vae or a gan")
