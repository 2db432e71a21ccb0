"""Penalties against overfitting: terms added to the loss, and transformations of the weights.

What a penalty acts on (`acts_on`) fixes its signature:

- "params": `(params) -> scalar`; only kernels and embeddings, never biases, normalization or a PReLU's slope;
- "activations": `(hidden) -> scalar`, hidden a list of arrays [B, ...]; mean over the batch;
- "code": the same for the net's code [B, M] alone, or for its last hidden layer if it has no code;
- "encoder": `(encode, x, key) -> scalar`, encode: x [B, ...] -> h [B, M]; mean over the batch;
- "projection": `(params) -> params`, after the update;
- "weights": `(params, key) -> params`, before the forward pass.

The value returned includes the strength, which may be traced.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

from losses.penalties_on_activations import (
    ActivityKL,
    ActivityL1,
    CodeKL,
    CodeL1,
    Contractive,
    ContractiveHutchinson,
)
from losses.penalties_on_weights import L1, L2, ElasticNet, MaxNorm, WeightNoise


@runtime_checkable
class Penalty(Protocol):
    """Any penalty, ours or the user's own: `acts_on` says how it is called."""

    acts_on: ClassVar[str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What `acts_on` says above."""
        ...


PENALTIES: dict[str, Penalty] = {
    "l1": L1(),
    "l2": L2(),
    "elastic_net": ElasticNet(),
    "activity_l1": ActivityL1(),
    "activity_kl": ActivityKL(),
    "code_l1": CodeL1(),
    "code_kl": CodeKL(),
    "contractive": Contractive(),
    "contractive_hutchinson": ContractiveHutchinson(),
    "max_norm": MaxNorm(),
    "weight_noise": WeightNoise(),
}
