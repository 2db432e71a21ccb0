"""Penalties on what a net computes from a batch: hidden activations, the code, and the encoder's derivative."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from losses.penalties_on_weights import check_strength, summed, times
from losses.regression import magnitude

Array = jax.Array
Encode = Callable[[Array], Array]


def _hidden(name: str, hidden: Sequence[Array]) -> Sequence[Array]:
    if not hidden:
        raise ValueError(f"{name}: the net has no hidden activations: use a net with hidden layers")
    return hidden


@dataclasses.dataclass(frozen=True)
class ActivityL1:
    """Sparse activations: absolute values summed over units and layers, mean over the batch.

    Formula: λ Σ_i |h_i|
    Reference: Goodfellow, Bengio and Courville, 2016, section 14.2.1 (sparse autoencoder)
    """

    strength: float = 1e-4
    acts_on: ClassVar[str] = "activations"
    name: ClassVar[str] = "activity_l1"

    def check(self) -> None:
        check_strength(self.name, strength=self.strength)

    def __call__(self, hidden: Sequence[Array]) -> Array:
        hidden = _hidden(self.name, hidden)
        return times(self.strength, summed(hidden, magnitude) / hidden[0].shape[0])


@dataclasses.dataclass(frozen=True)
class ActivityKL:
    """Holds each unit's mean activation over the batch near rho; for units in (0, 1), such as sigmoid.

    Means outside [1e-6, 1 - 1e-6] are clipped to it: there the penalty is large and flat.

    Formula: λ Σ_j ρ log(ρ / ρ̂_j) + (1 - ρ) log((1 - ρ) / (1 - ρ̂_j)), ρ̂_j = mean_b h_bj
    Reference: Ng, 2011 (sparse autoencoder)
    """

    strength: float = 1e-3
    rho: float = 0.05
    acts_on: ClassVar[str] = "activations"
    name: ClassVar[str] = "activity_kl"

    def check(self) -> None:
        check_strength(self.name, strength=self.strength)
        if not 0 < self.rho < 1:
            raise ValueError(
                f"{self.name}: rho={self.rho} must lie between 0 and 1, as a mean activation; 0.05 is usual"
            )

    def __call__(self, hidden: Sequence[Array]) -> Array:
        def divergence(h: Array) -> Array:
            mean = jnp.clip(jnp.mean(h, axis=0), 1e-6, 1 - 1e-6)
            rho = jnp.asarray(self.rho, h.dtype)
            return rho * (jnp.log(rho) - jnp.log(mean)) + (1 - rho) * (jnp.log1p(-rho) - jnp.log1p(-mean))

        return times(self.strength, summed(_hidden(self.name, hidden), divergence))


@dataclasses.dataclass(frozen=True)
class CodeL1(ActivityL1):
    """`ActivityL1` on the code alone, leaving an autoencoder's other layers free.

    Formula: λ Σ_j |h_j|, h the code
    Reference: Goodfellow, Bengio and Courville, 2016, section 14.2.1 (sparse autoencoder)
    """

    acts_on: ClassVar[str] = "code"
    name: ClassVar[str] = "code_l1"


@dataclasses.dataclass(frozen=True)
class CodeKL(ActivityKL):
    """`ActivityKL` on the code alone, for a sigmoid code.

    Formula: λ Σ_j ρ log(ρ / ρ̂_j) + (1 - ρ) log((1 - ρ) / (1 - ρ̂_j)), ρ̂_j = mean_b h_bj, h the code
    Reference: Ng, 2011 (sparse autoencoder)
    """

    acts_on: ClassVar[str] = "code"
    name: ClassVar[str] = "code_kl"


def _pullback(name: str, encode: Encode, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    code, pullback = jax.vjp(encode, x)
    if code.ndim != 2:
        raise ValueError(f"{name}: encode must map {x.shape} to [B, M], got {code.shape}: flatten the code")
    return code, lambda cotangent: pullback(cotangent)[0]


@dataclasses.dataclass(frozen=True)
class Contractive:
    """Exact squared norm of the encoder's Jacobian: M backward passes, mean over the batch.

    `encode` must treat examples independently: no batch statistics.

    Formula: λ Σ_i ‖∇_x h_i‖² = λ ‖J‖²_F
    Reference: Rifai et al., 2011
    """

    strength: float = 1e-3
    acts_on: ClassVar[str] = "encoder"

    def check(self) -> None:
        check_strength("contractive", strength=self.strength)

    def __call__(self, encode: Encode, x: Array, key: Array | None = None) -> Array:  # noqa: ARG002
        code, pullback = _pullback("contractive", encode, x)

        def row(unit: Array) -> Array:  # ∇_x h_i of all examples at once, as they do not mix
            return pullback(jnp.broadcast_to(unit[None, :], code.shape))

        jacobian = jax.vmap(row)(jnp.eye(code.shape[1], dtype=code.dtype))  # [M, B, ...]
        return times(self.strength, summed([jacobian], jnp.square) / x.shape[0])


@dataclasses.dataclass(frozen=True)
class ContractiveHutchinson:
    """Unbiased estimate of the contractive penalty: one backward pass per probe instead of M.

    Formula: λ mean_v ‖Jᵀ v‖², the entries of v independent ±1, as E‖Jᵀ v‖² = ‖J‖²_F
    Reference: Hutchinson, 1990; Rifai et al., 2011
    """

    strength: float = 1e-3
    probes: int = 1
    acts_on: ClassVar[str] = "encoder"

    def check(self) -> None:
        check_strength("contractive_hutchinson", strength=self.strength)
        if self.probes < 1:
            raise ValueError(f"contractive_hutchinson: probes={self.probes} must be 1 or more; 1 is usual")

    def __call__(self, encode: Encode, x: Array, key: Array) -> Array:
        code, pullback = _pullback("contractive_hutchinson", encode, x)
        probes = jax.random.rademacher(key, (self.probes, *code.shape), dtype=code.dtype)
        rows = jax.vmap(pullback)(probes)  # [probes, B, ...]
        return times(self.strength, summed([rows], jnp.square) / (x.shape[0] * self.probes))
