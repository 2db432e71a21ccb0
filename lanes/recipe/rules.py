"""Learning rules: how a step finds its direction.

A rule is a frozen description called as `rule(problem, params, key) -> ((loss, aux), direction)`. The direction has the
structure of `params` and takes the place of the gradient in the optimizer: θ ← θ - η·direction goes downhill. Rules keep
no state. Below, B is the batch size, K the number of outputs, z [B, K] the outputs before the output unit, y the targets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from losses.pairs import name_of
from nets.rbm import RBM, contrastive_divergence

Params = Any
Result = tuple[tuple[jax.Array, Any], Params]


class Problem(NamedTuple):
    """What a rule sees of one step; the randomness of the step (dropout) is already bound into the functions.

    `loss`: params -> (scalar, aux). `outputs`: params -> z [B, K], set if the rule's `needs_outputs` is True.
    `targets`: int labels [B] or numbers [B, K]. `progress`: fraction of the run that is done, in [0, 1].
    """

    loss: Callable[[Params], tuple[jax.Array, Any]]
    outputs: Callable[[Params], jax.Array] | None = None
    targets: jax.Array | None = None
    progress: jax.Array | float = 0.0


@runtime_checkable
class RuleLike(Protocol):
    """Any rule, built in or user-defined. `needs_outputs`: it uses the net's outputs, not only the loss."""

    needs_outputs: ClassVar[bool]

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        """((loss, aux) at `params`, direction); `key` is the step's own, for rules that sample."""
        ...


@runtime_checkable
class ChecksRun(Protocol):
    """A rule that restricts the runs it can train."""

    def check_run(self, run: Any) -> None:
        """Raises ValueError, in one line, for a run that the rule cannot train."""
        ...


@dataclasses.dataclass(frozen=True)
class Rule(RuleLike):
    """Base of the rules."""

    needs_outputs: ClassVar[bool] = False

    @property
    def boundary(self) -> float | None:
        """The output z of one unit above which the rule takes its label for 1; None if the loss decides."""
        return None

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        """((loss, aux) at `params`, direction); `key` is the step's own, for rules that sample."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ValueError, in one line, for a field out of range."""


def gradient_of(value_of: Callable[[Params], jax.Array]) -> Callable[..., Params]:
    """The gradient of a loss as `optax.contrib.sam` calls it: with parameters, and an index that the batch does not need."""

    def gradient(params: Params, *_: Any) -> Params:
        return jax.grad(value_of)(params)

    return gradient


@dataclasses.dataclass(frozen=True)
class Gradient(Rule):
    """Backpropagation: the exact gradient of the loss.

    Formula: direction = ∂loss/∂θ
    Reference: Rumelhart, Hinton and Williams, Learning Representations by Back-propagating Errors, 1986
    """

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        del key
        return jax.value_and_grad(problem.loss, has_aux=True)(params)


@dataclasses.dataclass(frozen=True)
class PerceptronRule(Rule):
    """Rosenblatt's rule: each threshold unit moves by its error, and only on examples that it gets wrong; for one layer.

    Formula: direction = mean over B of xᵀ·(step(z) - y), step(z) = 1 if z >= 0 else 0, y in {0, 1} (labels: one-hot)
    Reference: Rosenblatt, The Perceptron: A Probabilistic Model, 1958
    """

    needs_outputs: ClassVar[bool] = True

    @property
    def boundary(self) -> float:
        return 0.0

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        del key
        return _from_error(problem, params, lambda z, y: (z >= 0).astype(z.dtype) - y)


# Output units of the delta rule: name -> (unit φ, derivative φ'(z) in terms of a = φ(z)).
UNITS: dict[str, tuple[Callable[[jax.Array], jax.Array], Callable[[jax.Array], jax.Array]]] = {
    "linear": (lambda z: z, jnp.ones_like),
    "sigmoid": (jax.nn.sigmoid, lambda a: a * (1.0 - a)),
    "tanh": (jnp.tanh, lambda a: 1.0 - a * a),
}


@dataclasses.dataclass(frozen=True)
class DeltaRule(Rule):
    """Widrow and Hoff's rule for Adaline, and its form for a nonlinear output unit; for one layer.

    It descends E = ½·Σₖ(φ(z) - y)², averaged over the batch; without the ½ the direction would have a factor of 2.

    Formula: direction = mean over B of xᵀ·(φ(z) - y)·φ'(z); φ linear (Adaline), sigmoid or tanh
    Reference: Widrow and Hoff, Adaptive Switching Circuits, 1960
    """

    unit: str = "linear"
    needs_outputs: ClassVar[bool] = True

    @property
    def boundary(self) -> float:
        """Where φ(z) = ½, between the targets 0 and 1."""
        return {"linear": 0.5, "sigmoid": 0.0, "tanh": math.atanh(0.5)}[self.unit]

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        del key
        unit, derivative = UNITS[self.unit]

        def error(z: jax.Array, y: jax.Array) -> jax.Array:
            a = unit(z)
            return (a - y) * derivative(a)

        return _from_error(problem, params, error)

    def check(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"`unit` (={self.unit!r}) of delta_rule must be one of {', '.join(UNITS)}")


def _from_error(problem: Problem, params: Params, error: Callable[[jax.Array, jax.Array], jax.Array]) -> Result:
    """Pulls `error(z, y)` / B back from the outputs to the parameters."""
    if problem.outputs is None or problem.targets is None:
        raise ValueError("this rule got a problem without `outputs` and `targets`: it needs both")
    z, pull = jax.vjp(problem.outputs, params)
    (direction,) = pull(error(z, _targets(z, problem.targets)) / z.shape[0])
    return problem.loss(params), direction


def _targets(z: jax.Array, targets: jax.Array) -> jax.Array:
    """Targets as numbers in the shape of z [B, K]: labels become one-hot, or 0 and 1 for one output."""
    if targets.shape == z.shape:
        return targets.astype(z.dtype)
    if z.ndim == 2 and targets.shape == z.shape[:1]:
        if z.shape[1] == 1:
            return targets.astype(z.dtype)[:, None]
        if jnp.issubdtype(targets.dtype, jnp.integer):
            return jax.nn.one_hot(targets, z.shape[1], dtype=z.dtype)
    raise ValueError(
        f"targets of shape {targets.shape} do not fit outputs of shape {z.shape}: give labels [B] or [B, K]"
    )


@dataclasses.dataclass(frozen=True)
class Evolution(Rule):
    """OpenAI's evolution strategy: a search gradient from `pairs` antithetic perturbations, without backpropagation.

    With `shaped`, the 2·pairs losses are replaced by their centred ranks in [-½, ½] and the factor 1/σ is dropped, as in
    the authors' code: the direction no longer depends on the scale of the loss, nor on outliers (NaN ranks last).

    Formula: direction = 1/(2·n·σ)·Σᵢ (L(θ + σ·εᵢ) - L(θ - σ·εᵢ))·εᵢ, εᵢ ~ N(0, I), i = 1 … n = pairs
    Reference: Salimans et al., Evolution Strategies as a Scalable Alternative to Reinforcement Learning, 2017
    """

    pairs: int = 32
    sigma: float = 0.05
    shaped: bool = True

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        noise = _population(key, params, self.pairs)  # leaves [pairs, …]

        def loss_at(scale: jax.Array | float, draw: Params) -> jax.Array:
            return problem.loss(_perturbed(params, draw, scale))[0]

        up = jax.vmap(lambda draw: loss_at(self.sigma, draw))(noise)  # [pairs]
        down = jax.vmap(lambda draw: loss_at(-self.sigma, draw))(noise)
        if self.shaped:
            ranks = centred_ranks(jnp.concatenate([up, down]))
            weights = (ranks[: self.pairs] - ranks[self.pairs :]) / (2 * self.pairs)
        else:
            weights = (up - down) / (2 * self.pairs * self.sigma)
        return problem.loss(params), _weighted_sum(weights, noise)

    def check(self) -> None:
        if self.pairs < 1:
            raise ValueError(f"`pairs` (={self.pairs}) of evolution must be 1 or more")
        if not self.sigma > 0.0:
            raise ValueError(f"`sigma` (={self.sigma}) of evolution must be above 0")


@dataclasses.dataclass(frozen=True)
class MuLambda(Rule):
    """(μ/μ, λ) evolution strategy: draws λ children around the mean; the mean of the μ best is the next (sgd, rate 1).

    It keeps no state: in place of a self-adapted step size, σ falls from `sigma` to `sigma·final` with the progress of
    the run. A rate below 1 moves the mean only part of the way.

    Formula: direction = -σ/μ·Σ over the μ best of εᵢ, children θ + σ·εᵢ, i = 1 … λ, σ = sigma·final^progress
    Reference: Rechenberg, Evolutionsstrategie, 1973; Beyer and Schwefel, Evolution Strategies: An Introduction, 2002
    """

    parents: int = 8
    children: int = 32
    sigma: float = 0.05
    final: float = 0.1

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        noise = _population(key, params, self.children)  # leaves [children, …]
        sigma = self.sigma * jnp.asarray(self.final, jnp.float32) ** problem.progress
        losses = jax.vmap(lambda draw: problem.loss(_perturbed(params, draw, sigma))[0])(noise)  # [children]
        best = jnp.argsort(jnp.argsort(losses)) < self.parents  # NaN is never among the best
        weights = jnp.where(best, -sigma / self.parents, 0.0)
        return problem.loss(params), _weighted_sum(weights, noise)

    def check(self) -> None:
        if not 1 <= self.parents < self.children:
            raise ValueError(f"`parents` (={self.parents}) of mu_lambda must be 1 or more and below {self.children=}")
        if not self.sigma > 0.0 or not 0.0 < self.final <= 1.0:
            raise ValueError(f"mu_lambda needs `sigma` (={self.sigma}) above 0 and `final` (={self.final}) in (0, 1]")


@dataclasses.dataclass(frozen=True)
class ContrastiveDivergence(Rule):
    """CD-k for a restricted Boltzmann machine: contrasts the data with samples after k Gibbs steps; task reconstruct.

    The direction is not the gradient of the reported loss, which is the mean-field reconstruction error.

    Formula: direction = ∂/∂θ (mean F(v) - mean F(v_k)), F the free energy, v the batch in [0, 1], v_k after k Gibbs steps
    Reference: Hinton, Training Products of Experts by Minimizing Contrastive Divergence, 2002
    """

    k: int = 1

    def __call__(self, problem: Problem, params: Params, key: jax.Array) -> Result:
        if problem.targets is None:
            raise ValueError("contrastive_divergence got a problem without `targets`: it needs the data")
        v = problem.targets.reshape(problem.targets.shape[0], -1)
        direction, _ = contrastive_divergence(params, key, v, steps=self.k)
        return problem.loss(params), direction

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"`k` (={self.k}) of contrastive_divergence must be 1 or more")

    def check_run(self, run: Any) -> None:
        """Raises ValueError, in one line, unless the run trains an RBM to reconstruct its inputs."""
        if not isinstance(run.net, RBM):
            raise ValueError(
                f"rule contrastive_divergence is for net rbm, not {type(run.net).__name__}: use rule='gradient'"
            )
        if type(run.task).__name__ != "Reconstruct" or name_of(run.loss) != "sigmoid_cross_entropy":
            raise ValueError(
                "rule contrastive_divergence needs task='reconstruct' and loss='sigmoid_cross_entropy', for inputs in [0, 1]"
            )


def centred_ranks(losses: jax.Array) -> jax.Array:
    """Ranks of losses [n] scaled to [-½, ½], the lowest at -½; equal losses share a rank; NaN ranks with infinity."""
    losses = jnp.where(jnp.isnan(losses), jnp.inf, losses)
    below = jnp.sum(losses[None, :] < losses[:, None], axis=1, dtype=jnp.float32)
    equal = jnp.sum(losses[None, :] == losses[:, None], axis=1, dtype=jnp.float32) - 1.0
    return (below + 0.5 * equal) / max(losses.shape[0] - 1, 1) - 0.5


def _population(key: jax.Array, params: Params, size: int) -> Params:
    """Standard normal draws in the structure of params, each leaf stacked to [size, …]."""

    def draw(key: jax.Array, leaf: jax.Array) -> jax.Array:
        return jax.random.normal(key, (size, *leaf.shape), leaf.dtype)

    return jax.tree.map(draw, optax.tree.split_key_like(key, params), params)


def _perturbed(params: Params, noise: Params, scale: jax.Array | float) -> Params:
    return jax.tree.map(lambda p, e: p + jnp.asarray(scale, p.dtype) * e, params, noise)


def _weighted_sum(weights: jax.Array, noise: Params) -> Params:
    return jax.tree.map(lambda e: jnp.tensordot(weights.astype(e.dtype), e, axes=1), noise)


RULES: dict[str, Rule] = {
    "gradient": Gradient(),
    "perceptron_rule": PerceptronRule(),
    "delta_rule": DeltaRule(),
    "delta_rule_sigmoid": DeltaRule(unit="sigmoid"),
    "evolution": Evolution(),
    "mu_lambda": MuLambda(),
    "contrastive_divergence": ContrastiveDivergence(),
}
