"""What a net returns if its objective needs more than a prediction."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax


@flax.struct.dataclass
class Outputs:
    """A net's outputs, a pytree; an objective reads the fields it needs.

    A net whose only output is its prediction returns the bare array instead. Hidden activations are not part of it:
    they are sown in the collection "intermediates" under the name "hidden", which
    `net.apply(…, mutable=["intermediates"])` returns.
    """

    prediction: jax.Array  # logits [B, outputs] or [B, T, outputs], or a reconstruction shaped like the input
    latent: jax.Array | None = None  # [B, codes]: the code of an autoencoder, the sampled code of a VAE
    mean: jax.Array | None = None  # [B, codes]: mean of q(z|x)
    log_variance: jax.Array | None = None  # [B, codes]: log of the diagonal variance of q(z|x)
    auxiliary: tuple[jax.Array, ...] = ()  # logits [B, outputs] of auxiliary heads, in order from the input


def outputs_of(result: Any) -> Outputs:
    """Whatever a net returned, as `Outputs`: a bare array is a prediction."""
    return result if isinstance(result, Outputs) else Outputs(prediction=result)
