"""Optimizers: Optax's directions as frozen descriptions whose float fields may be tracers.

`lanes.recipe.optimizers_update` turns a direction d into a whole update. Below, g is the gradient, m and v are moments
that start at zero, t counts the updates from 1, and η is the learning rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from lanes.recipe.optimizers_update import Optimizer, Params, Scalar


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent.

    Formula: d = g
    Reference: Robbins and Monro, A Stochastic Approximation Method, 1951
    """

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.identity()


@dataclasses.dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with a heavy ball; the run's `momentum`, 0.9 by default.

    Formula: m ← momentum·m + g; d = m
    Reference: Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964
    """

    uses_momentum: ClassVar[bool] = True
    default_momentum: ClassVar[float | None] = 0.9

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        assert momentum is not None
        return optax.trace(momentum)


@dataclasses.dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's accelerated gradient, in the form that needs only the gradient at θ.

    Formula: m ← momentum·m + g; d = g + momentum·m
    Reference: Sutskever et al., On the Importance of Initialization and Momentum in Deep Learning, 2013; Nesterov, 1983
    """

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        assert momentum is not None
        return optax.trace(momentum, nesterov=True)


@dataclasses.dataclass(frozen=True)
class Adagrad(Optimizer):
    """Scales the rate of each weight by its accumulated squared gradients.

    Formula: v ← v + g² (v starts at `initial`); d = g / √(v + eps)
    Reference: Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011
    """

    initial: float = 0.0
    eps: float = 1e-7

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.scale_by_rss(initial_accumulator_value=self.initial, eps=self.eps)


@dataclasses.dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adagrad with a decaying memory and steps in the units of the weights; the paper's learning rate is 1.

    Formula: v ← decay·v + (1 - decay)·g²; d = g·√(u + eps)/√(v + eps); u ← decay·u + (1 - decay)·d²
    Reference: Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012
    """

    decay: float = 0.95
    eps: float = 1e-6

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.scale_by_adadelta(rho=self.decay, eps=self.eps)


@dataclasses.dataclass(frozen=True)
class RMSProp(Optimizer):
    """Divides the gradient by the root of its decaying mean square; followed by a heavy ball if the run sets `momentum`.

    Formula: v ← decay·v + (1 - decay)·g²; r = g / (√v + eps); d = r, or with momentum m ← momentum·m + r; d = m
    Reference: Tieleman and Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012
    """

    decay: float = 0.9
    eps: float = 1e-8
    uses_momentum: ClassVar[bool] = True

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        scale = optax.scale_by_rms(decay=self.decay, eps=self.eps, eps_in_sqrt=False)
        return scale if momentum is None else optax.chain(scale, optax.trace(momentum))


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Adapts the step to the first and second moments of the gradient, both corrected for their start at zero.

    Formula: m ← b1·m + (1 - b1)·g; v ← b2·v + (1 - b2)·g²; d = (m/(1 - b1ᵗ)) / (√(v/(1 - b2ᵗ)) + eps)
    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps)


@dataclasses.dataclass(frozen=True)
class AdamW(Adam):
    """Adam with the run's decoupled `weight_decay`; without one it is Adam.

    Formula: d as Adam; θ ← θ - η·(d + weight_decay·θ)
    Reference: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017
    """


@dataclasses.dataclass(frozen=True)
class Lion(Optimizer):
    """Steps along the sign of an interpolation of momentum and gradient; needs a rate 3 to 10 times below Adam's.

    Formula: d = sign(b1·m + (1 - b1)·g); then m ← b2·m + (1 - b2)·g
    Reference: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023
    """

    b1: float = 0.9
    b2: float = 0.99

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.scale_by_lion(b1=self.b1, b2=self.b2)


@dataclasses.dataclass(frozen=True)
class LAMB(Adam):
    """Adam whose step per tensor is scaled to that tensor's own norm.

    Formula: u = d of Adam + weight_decay·θ; θ ← θ - η·u·‖θ‖/‖u‖ per tensor (ratio 1 where either norm is 0)
    Reference: You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2019
    """

    eps: float = 1e-6

    def _after(
        self, learning_rate: Scalar, weight_decay: Scalar | None, mask: Callable | None
    ) -> list[optax.GradientTransformation]:
        # Unlike in the other optimizers, the decay is inside the trust ratio.
        decay = self._decay(weight_decay, mask)
        return [*decay, optax.scale_by_trust_ratio(), optax.scale_by_learning_rate(learning_rate)]


@dataclasses.dataclass(frozen=True)
class LBFGS(Optimizer):
    """Quasi-Newton: inverse Hessian from the last `memory` steps, line search on the loss of the whole training set.

    The learning rate is the first trial step of each line search (1 is natural), which then adapts it. Weight decay and
    clipping are refused, because the loss that the line search evaluates includes neither; use `l2` instead.

    Formula: d = H·g, H by the two-loop recursion over differences of θ and g; θ ← θ - s·η·d, s by the strong Wolfe conditions
    Reference: Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989
    """

    memory: int = 10
    line_search_steps: int = 20
    needs_value: ClassVar[bool] = True

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.scale_by_lbfgs(memory_size=self.memory)

    def _after(
        self, learning_rate: Scalar, weight_decay: Scalar | None, mask: Callable | None
    ) -> list[optax.GradientTransformation]:
        del weight_decay, mask
        search = optax.scale_by_zoom_linesearch(self.line_search_steps, initial_guess_strategy="one")
        return [optax.scale_by_learning_rate(learning_rate), search]

    def check(
        self, *, momentum: float | None = None, weight_decay: float | None = None, clip: float | None = None
    ) -> None:
        super().check(momentum=momentum, weight_decay=weight_decay, clip=clip)
        for name, value in (("weight_decay", weight_decay), ("clip", clip)):
            if value is not None:
                raise ValueError(f"`{name}` (={value}) does not go with lbfgs, whose line search cannot see it: use l2")

    def check_batch(self, batch_size: int, examples: int) -> None:
        """Raises ValueError for mini-batches: gradients of different batches give no estimate of the Hessian."""
        if batch_size != examples:
            raise ValueError(
                f"optimizer lbfgs needs the whole training split in each step, but batch_size is {batch_size} of {examples} "
                f"examples: set batch_size={examples}"
            )


@dataclasses.dataclass(frozen=True)
class SGLD(Optimizer):
    """Stochastic gradient Langevin dynamics: noisy gradient steps whose iterates are posterior samples.

    The loss must be the negative log likelihood averaged over the N `examples`; weight decay is then a Gaussian prior of
    precision N·weight_decay. At temperature T and small η the weights converge in distribution to p(θ) ∝ exp(-N·loss(θ)/T).

    Formula: θ ← θ - η·g + √(2·η·temperature/N)·ξ, ξ ~ N(0, 1) (the paper's ε is 2·η/N)
    Reference: Welling and Teh, Bayesian Learning via Stochastic Gradient Langevin Dynamics, 2011
    """

    temperature: float = 1.0

    def direction(self, momentum: Scalar | None) -> optax.GradientTransformation:
        del momentum
        return optax.identity()

    def build(
        self,
        *,
        learning_rate: Scalar,
        momentum: Scalar | None = None,
        weight_decay: Scalar | None = None,
        mask: Callable[[Params], Any] | None = None,
        clip: Scalar | None = None,
        key: jax.Array | None = None,
        examples: Scalar | None = None,
    ) -> optax.GradientTransformationExtraArgs:
        """As `Optimizer.build`; raises ValueError without `key` and `examples`."""
        if key is None or examples is None:
            raise ValueError("SGLD got no `key` or `examples`: it needs a key for this step and the number of examples")
        descent = super().build(
            learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay, mask=mask, clip=clip
        )
        rate = jnp.asarray(learning_rate)
        variance = 2.0 * rate * self.temperature / jnp.asarray(examples, rate.dtype)
        return optax.chain(descent, _added_noise(key, jnp.sqrt(variance)))


def _added_noise(key: jax.Array, scale: jax.Array) -> optax.GradientTransformation:
    """Adds scale·N(0, 1) to the updates; stateless, unlike `optax.add_noise`, because each step brings its own key."""

    def add(updates: Params, params: Params | None) -> Params:
        del params
        keys = optax.tree.split_key_like(key, updates)
        return jax.tree.map(
            lambda k, u: u + scale.astype(u.dtype) * jax.random.normal(k, u.shape, u.dtype), keys, updates
        )

    return optax.stateless(add)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": Momentum(),
    "nesterov": Nesterov(),
    "adagrad": Adagrad(),
    "adadelta": Adadelta(),
    "rmsprop": RMSProp(),
    "adam": Adam(),
    "adamw": AdamW(),
    "lion": Lion(),
    "lamb": LAMB(),
    "lbfgs": LBFGS(),
    "sgld": SGLD(),
}
