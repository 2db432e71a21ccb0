"""The restricted Boltzmann machine: free energy, Gibbs sampling, contrastive divergence."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from nets.layers import Initializer, flatten, kernel_default
from nets.outputs import Outputs
from nets.shapes import check_positive

Parameters = Mapping[str, jax.Array]


class RBM(nn.Module):
    """p(v, h) ∝ exp(v·b + h·c + vᵀ W h) over bits v [F] and h [code] (Smolensky 1986, Hinton 2002).

    Input [B, …] in [0, 1] is flattened. Returns `Outputs`: latent is p(h = 1 | v) [B, code], prediction is the logits
    of p(v = 1 | latent), shaped like the input: a mean-field reconstruction. Trained by `contrastive_divergence`, whose
    result has the structure of the parameters "kernel" [F, code], "visible_bias" [F], "hidden_bias" [code].

    Args:
        code: number of hidden units.
        kernel_init: filled by the engine; Hinton (2010) advises normal with σ = 0.01.
    """

    code: int = 64
    kernel_init: Initializer = kernel_default

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> Outputs:
        del train
        v = flatten(x)
        params = {
            "kernel": self.param("kernel", self.kernel_init, (v.shape[-1], self.code)),
            "visible_bias": self.param("visible_bias", nn.initializers.zeros, (v.shape[-1],)),
            "hidden_bias": self.param("hidden_bias", nn.initializers.zeros, (self.code,)),
        }
        h = nn.sigmoid(hidden_logits(params, v))
        self.sow("intermediates", "hidden", h)
        return Outputs(prediction=visible_logits(params, h).reshape(x.shape), latent=h)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse empty examples and codes.

        Raises:
            ValueError: with the value got and the rule.
        """
        check_positive("code", (self.code,))
        check_positive("example shape", shape)


def hidden_logits(params: Parameters, v: jax.Array) -> jax.Array:
    """Logits of p(h = 1 | v): v W + c, [B, F] → [B, code]."""
    return v @ params["kernel"] + params["hidden_bias"][None, :]


def visible_logits(params: Parameters, h: jax.Array) -> jax.Array:
    """Logits of p(v = 1 | h): h Wᵀ + b, [B, code] → [B, F]."""
    return h @ params["kernel"].T + params["visible_bias"][None, :]


def free_energy(params: Parameters, v: jax.Array) -> jax.Array:
    """F(v) = -v·b - Σ_j softplus(v W + c)_j, so that p(v) ∝ exp(-F(v)): [B, F] → [B]."""
    return -v @ params["visible_bias"] - nn.softplus(hidden_logits(params, v)).sum(axis=-1)


def sample_bits(key: jax.Array, logits: jax.Array) -> jax.Array:
    """Independent bits, 1 with probability σ(logits), in the dtype of the logits."""
    return jax.random.bernoulli(key, nn.sigmoid(logits)).astype(logits.dtype)


def gibbs_step(params: Parameters, key: jax.Array, v: jax.Array) -> jax.Array:
    """v → h ~ p(h | v) → v' ~ p(v | h): [B, F] → [B, F]."""
    hidden_key, visible_key = jax.random.split(key)
    h = sample_bits(hidden_key, hidden_logits(params, v))
    return sample_bits(visible_key, visible_logits(params, h))


def gibbs_chain(params: Parameters, key: jax.Array, v: jax.Array, steps: int) -> jax.Array:
    """`steps` Gibbs steps from v [B, F]."""
    return jax.lax.fori_loop(0, steps, lambda k, v: gibbs_step(params, jax.random.fold_in(key, k), v), v)


def contrastive_divergence(
    params: Parameters, key: jax.Array, v: jax.Array, steps: int = 1, chain: jax.Array | None = None
) -> tuple[dict[str, jax.Array], jax.Array]:
    """CD-k (Hinton 2002): the gradient of mean F(data) - mean F(samples after k Gibbs steps), the samples held fixed.

    Args:
        params: the net's {"kernel", "visible_bias", "hidden_bias"}.
        key: random key of the sampling.
        v: data [B, F] in [0, 1].
        steps: k.
        chain: where sampling starts, [B, F]; defaults to the data. Passing the samples of the previous call makes it
            persistent (PCD, Tieleman 2008).

    Returns:
        A gradient to descend, with the structure of `params`; and the samples [B, F].
    """
    samples = jax.lax.stop_gradient(gibbs_chain(params, key, v if chain is None else chain, steps))
    # The gradient of F in closed form: ∂F/∂W = -v σ(h)ᵀ, ∂F/∂b = -v, ∂F/∂c = -σ(h).
    return jax.tree.map(jnp.subtract, _mean_slopes(params, v), _mean_slopes(params, samples)), samples


def _mean_slopes(params: Parameters, v: jax.Array) -> dict[str, jax.Array]:
    h = nn.sigmoid(hidden_logits(params, v))
    kernel = -jnp.einsum("bf,bc->fc", v, h) / v.shape[0]
    return {"kernel": kernel, "visible_bias": -v.mean(axis=0), "hidden_bias": -h.mean(axis=0)}
