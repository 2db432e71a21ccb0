"""Tasks without labels: to reproduce the input (reconstruct, denoise, impute) or to model it (elbo, adversarial)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lanes.recipe.tasks_comparing import per_example
from lanes.recipe.tasks_predicting import Again, Array, Task, Tree, View
from losses import kind_of
from losses.distribution import gaussian_kl
from nets import Outputs
from nets.abilities import Discriminates, Generates
from nets.layers import is_off

EVERY = ("classes", "binary", "multilabel", "real")
MODES = ("both", "reconstruction", "divergence")
REFERENCES = 256  # how many examples the energy distance compares each example with
RANGE_SLACK = 1e-6


@dataclasses.dataclass(frozen=True)
class Reconstruct(Task):
    """Reproduces the input, as an autoencoder does; the labels are ignored.

    Use `squared_error` for standardized inputs, and `sigmoid_cross_entropy`, the negative Bernoulli log-likelihood in nats
    per example, for inputs in [0, 1] (`Digits(standardize="unit")`, `TFDS("mnist", standardize="unit")`). Both sum over the
    features; `mean_squared_error` averages them. A prediction [B, F] is reshaped to the input's shape, so that any net with
    as many outputs as features can be the autoencoder.

    With a `corruption` it is denoising (Vincent et al., 2010): the net sees x', the target is x.
    """

    accepts: ClassVar[tuple[str, ...]] = EVERY

    def targets(self, data_task: str) -> tuple[str, ...]:
        if data_task not in self.accepts:
            raise ValueError(
                f"task {type(self).__name__.lower()} is for numbers, but the data set holds {data_task}: use task next_token"
            )
        return ("real", "multilabel")

    def outputs(self, outputs: int, features: tuple[int, ...]) -> int:
        del outputs
        return math.prod(features)

    def check_data(self, run: Any, data: Any) -> None:
        super().check_data(run, data)
        name = type(self).__name__.lower()
        if not is_off(run.input_noise):
            raise ValueError(
                f"input_noise is {run.input_noise}, and task {name} would have to reproduce the noise: "
                "use task Reconstruct(corruption=GaussianNoise(…))"
            )
        kind = kind_of(run.loss)
        if kind is not None and kind.from_logits and not in_unit_range(data):
            raise ValueError(
                f"task {name} with a cross-entropy needs inputs in [0, 1], and those of {data.name} are not: set "
                "standardize='unit' in the data, or use loss='squared_error'"
            )

    def view(self, x: Array, y: Array, key: Array) -> View:
        del y
        return View(self.corrupted(x, key), x)

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        return per_example(run, shaped_like(prediction, view.target), view.target, train)

    def compared(self, run: Any, outputs: Outputs, view: View) -> tuple[Array, Array]:
        prediction = shaped_like(outputs.prediction, view.target)
        return super().compared(run, outputs.replace(prediction=prediction), view)  # type: ignore[attr-defined]


@dataclasses.dataclass(frozen=True)
class Impute(Reconstruct):
    """Predicts hidden entries from the others: each is hidden with probability `rate`; the loss is the mean over them.

    Formula: L = Σ_i m_i ℓ(x̂_i, x_i) / Σ_i m_i, m_i ~ Bernoulli(rate); the net sees (1 - m) x + m · fill
    Reference: Pathak et al., 2016 (context encoders); ℓ, the loss per entry, is the run's

    Args:
        rate: probability that an entry is hidden, in (0, 1).
        fill: value that the net sees in its place; 0 is the mean of standardized inputs.
    """

    rate: float = 0.3
    fill: float = 0.0

    def check(self) -> None:
        super().check()
        if not 0 < self.rate < 1:
            raise ValueError(f"rate={self.rate} of task impute must be above 0 and below 1")

    def view(self, x: Array, y: Array, key: Array) -> View:
        del y
        hidden = jax.random.uniform(key, x.shape) < self.rate
        filled = jnp.where(hidden, jnp.asarray(self.fill, x.dtype), self.corrupted(x, jax.random.fold_in(key, 1)))
        return View(filled, x, hidden.astype(x.dtype))

    def data_term(self, run: Any, prediction: Array, view: View, train: bool) -> Array:
        prediction = shaped_like(prediction, view.target)
        # With each entry as an example of one feature, any loss is a loss per entry.
        entries = per_example(run, prediction.reshape(-1, 1), view.target.reshape(-1, 1), train)
        entries, weight = (part.reshape(view.target.shape[0], -1) for part in (entries, jnp.asarray(view.weight)))
        return jnp.sum(entries * weight, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)


@dataclasses.dataclass(frozen=True)
class Elbo(Reconstruct):
    """The negative evidence lower bound of a variational autoencoder, in nats per example.

    Formula: L = -log p(x|z) + β KL(q(z|x) ‖ N(0, I)), z ~ q(z|x); -log p(x|z) is the run's loss:
        `sigmoid_cross_entropy` for Bernoulli pixels, `half_squared_error` for a Gaussian of variance 1 (without its constant)
    Reference: Kingma and Welling, 2014; β: Higgins et al., 2017; the bound from K samples: Burda et al., 2016

    Args:
        beta: β, weight of the divergence.
        mode: "both" terms, or only "reconstruction" or "divergence".
        samples: K of `importance_bound` = log 1/K Σ_k p(x, z_k) / q(z_k|x), a tighter bound on log p(x) that evaluation
            reports in addition to `reconstruction`, `divergence` and `elbo` (their negative sum), at the cost of K more
            passes; 0: not reported.
    """

    beta: float = 1.0
    mode: str = "both"
    samples: int = 0
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {
        "reconstruction": False,
        "divergence": False,
        "elbo": True,
        "importance_bound": True,
    }

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("reconstruction", "divergence", "elbo", *(("importance_bound",) if self.samples else ()))

    def check(self) -> None:
        super().check()
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r} of task elbo must be one of {', '.join(MODES)}")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f"beta={self.beta} of task elbo must be a finite number of 0 or more")
        if self.samples < 0:
            raise ValueError(f"samples={self.samples} of task elbo must be 0 or more")

    def losses(self, run: Any, outputs: Outputs, view: View, train: bool) -> Array:
        reconstruction, divergence = self._terms(run, outputs, view, train)
        if self.mode == "both":
            return reconstruction + self.beta * divergence
        return reconstruction if self.mode == "reconstruction" else divergence

    def _terms(self, run: Any, outputs: Outputs, view: View, train: bool) -> tuple[Array, Array]:
        _, mean, log_variance = _code(outputs)
        return self.data_term(run, outputs.prediction, view, train), gaussian_kl(mean, log_variance)

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        reconstruction, divergence = self._terms(run, outputs, view, train=False)
        values = {
            "loss": self.losses(run, outputs, view, train=False),
            "reconstruction": reconstruction,
            "divergence": divergence,
            "elbo": -(reconstruction + divergence),
            **self.table_metrics(run, outputs, view),
        }
        if self.samples:
            values["importance_bound"] = self._importance_bound(run, view, again)
        return values

    def _importance_bound(self, run: Any, view: View, again: Again) -> Array:
        def log_weight(key: Array) -> Array:
            outputs = again(key)
            # The factors 2π of the normal densities cancel: z and μ have the same number of entries.
            z, mean, log_variance = _code(outputs)
            deviation = (z - mean) * jnp.exp(-log_variance / 2)
            log_ratio = 0.5 * jnp.sum(deviation**2 + log_variance - z**2, axis=-1)
            return log_ratio - self.data_term(run, outputs.prediction, view, train=False)

        keys = jax.random.split(jax.random.key(0), self.samples)
        return jax.nn.logsumexp(jax.lax.map(log_weight, keys), axis=0) - math.log(self.samples)


def _code(outputs: Outputs) -> tuple[Array, Array, Array]:
    """z, μ and log σ², each [B, M]."""
    if outputs.latent is None or outputs.mean is None or outputs.log_variance is None:
        raise ValueError("task elbo needs a net that returns mean and log_variance of a code, such as vae")
    return outputs.latent, outputs.mean, outputs.log_variance


@dataclasses.dataclass(frozen=True)
class Adversarial(Task):
    """A generative adversarial net: generator and discriminator step at the same time, each descending its own loss.

    The discriminator's loss is the cross-entropy of real against generated examples, the generator's the non-saturating
    one. Both use the run's optimizer: their parameters are disjoint, so that moments kept per parameter are separate, and
    `generator_rate` scales the generator's learning rate. (A global norm, as of `clip`, is taken over both.)

    Formula: L_D = -log D(x) - log(1 - D(G(z))), L_G = -log D(G(z)), z ~ N(0, I)
    Reference: Goodfellow et al., 2014

    Evaluation reports both losses and, as the loss that selects the best epoch, the energy distance
    2 E|x - g| - E|x - x'| - E|g - g'| between data and generated examples (Székely and Rizzo, 2013), which is 0 if they
    have the same distribution; the run's `loss` is not used.

    Args:
        generator_rate: ratio of the generator's learning rate to the discriminator's.
    """

    generator_rate: float = 1.0
    accepts: ClassVar[tuple[str, ...]] = EVERY
    players: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"discriminator_loss": False, "generator_loss": False}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("discriminator_loss", "generator_loss")

    def check(self) -> None:
        super().check()
        if not (math.isfinite(self.generator_rate) and self.generator_rate > 0):
            raise ValueError(f"generator_rate={self.generator_rate} of task adversarial must be above 0")

    def targets(self, data_task: str) -> tuple[str, ...]:
        if data_task not in self.accepts:
            raise ValueError(
                f"task adversarial is for numbers, but the data set holds {data_task}: use task next_token"
            )
        return ("real", "classes", "binary", "multilabel")

    def check_data(self, run: Any, data: Any) -> None:
        super().check_data(run, data)
        if not (isinstance(run.net, Generates) and isinstance(run.net, Discriminates)):
            raise ValueError(
                f"task adversarial needs a net with a generator and a discriminator, such as gan: {type(run.net).__name__} "
                "has none"
            )
        if type(run.rule).__name__ != "Gradient":
            raise ValueError("task adversarial has two losses and needs rule='gradient'")

    def view(self, x: Array, y: Array, key: Array) -> View:
        del y
        return View(self.corrupted(x, key), x)

    def player_losses(self, player: str, outputs: Outputs) -> Array:
        real, fake = (verdict[:, 0] for verdict in outputs.auxiliary)
        if player == "generator":
            return jax.nn.softplus(-fake)
        return jax.nn.softplus(-real) + jax.nn.softplus(fake)

    def paced(self, updates: Tree) -> Tree:
        return {**updates, "generator": jax.tree.map(lambda u: self.generator_rate * u, updates["generator"])}

    def measure(self, run: Any, outputs: Outputs, view: View, again: Again) -> dict[str, Array]:
        del run, again
        losses = {f"{player}_loss": self.player_losses(player, outputs) for player in self.players}
        return {"loss": energy_distance(view.target, outputs.prediction), **losses}


def energy_distance(x: Array, g: Array) -> Array:
    """2 |x - g| - |x - x'| - |g - g'| per example [B], averaged over the first REFERENCES examples as partners."""
    x, g = x.reshape(x.shape[0], -1), g.reshape(g.shape[0], -1)

    def mean_distance(a: Array, b: Array) -> Array:
        square = jnp.sum(a**2, axis=1)[:, None] + jnp.sum(b**2, axis=1)[None, :] - 2 * a @ b.T
        return jnp.mean(jnp.sqrt(jnp.maximum(square, 0)), axis=1)

    between = mean_distance(x, g[:REFERENCES]) + mean_distance(g, x[:REFERENCES])
    return between - mean_distance(x, x[:REFERENCES]) - mean_distance(g, g[:REFERENCES])


def shaped_like(prediction: Array, target: Array) -> Array:
    """The prediction [B, …] in the shape of the target.

    Raises ValueError if the number of entries differs.
    """
    if prediction.size != target.size:
        raise ValueError(
            f"the task compares with the input: predictions {prediction.shape} must have as many entries as "
            f"{target.shape}; use a net that reconstructs its input, such as autoencoder"
        )
    return prediction.reshape(target.shape)


def in_unit_range(data: Any) -> bool:
    """Whether the standardized training inputs of a data set all lie in [0, 1]."""
    if data.standardize in ("global", "feature"):
        return False  # of mean 0
    bytes_as_unit = data.train.x.dtype == "uint8" and data.standardize == "unit"
    low, high = (0.0, 255.0) if bytes_as_unit else (float(data.train.x.min()), float(data.train.x.max()))
    ends = ((end - data.offset) * data.scale for end in (low, high))
    return all(((end >= -RANGE_SLACK) & (end <= 1 + RANGE_SLACK)).all() for end in ends)


__all__ = ["MODES", "Adversarial", "Elbo", "Impute", "Reconstruct", "energy_distance"]
