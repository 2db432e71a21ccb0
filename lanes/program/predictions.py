"""Predictions of trained lanes on a whole split, their mean over lanes or dropout masks, and the metrics of both.

Probabilities are averaged: those of softmax or sigmoid if the loss takes logits, otherwise the values of the output unit.
The mean is computed in logarithms, so that a probability that is tiny for all members stays above zero.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lanes.describe.encoding import encode
from lanes.describe.runs import Run
from lanes.program.metrics import BLOCK_NUMBERS, compared
from lanes.program.over_lanes import Numbers, per_run
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, apply, build_net, standardize, stream
from lanes.recipe.tasks import PREDICTING
from lanes.recipe.tasks_classifying import Classify
from lanes.recipe.tasks_comparing import over_set
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import OUTPUT_UNITS, SET_METRICS, GaussianNLL, kind_of, name_of
from losses.metrics import is_over_set, name_of_metric
from nets import Dropout, Outputs
from nets.normalization import recomputed_statistics

Array = jax.Array
Tree = Any
Split = tuple[Array, Array, Array, Array]  # x [N, …], y [N, …], offset and scale of the training data
Parts = tuple[Array, ...]
INVERTED = ("softmax", "sigmoid", "tanh", "step")  # units whose mean is turned back into raw outputs
NATS = ("softmax_cross_entropy", "negative_log_likelihood")  # losses whose mean is in nats per token


# ---- means of predictions ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Mixture:
    """How predictions of an output unit are averaged: `parts` are summed over all members, then turned by `prediction`.

    Attributes:
        unit: its name in OUTPUT_UNITS, or the user's own function.
    """

    unit: str | Callable[[Array], Array]

    @property
    def _logarithmic(self) -> bool:
        return self.unit in ("softmax", "sigmoid")

    def parts(self, raw: Array) -> Parts:
        """What a member adds to the sum, from its raw outputs [N, …]: log-probabilities, or the prediction itself."""
        if self.unit == "softmax":
            return (jax.nn.log_softmax(raw, axis=-1),)
        if self.unit == "sigmoid":
            return jax.nn.log_sigmoid(raw), jax.nn.log_sigmoid(-raw)
        return ((OUTPUT_UNITS[self.unit] if isinstance(self.unit, str) else self.unit)(raw),)

    def add(self, a: Array, b: Array) -> Array:
        """The sum of two parts; logarithmic parts are added as probabilities."""
        return jnp.logaddexp(a, b) if self._logarithmic else a + b

    def mean(self, total: Parts, members: int) -> Parts:
        """The parts of the mean, from the sum of the members' parts."""
        return tuple(part - math.log(members) if self._logarithmic else part / members for part in total)

    def prediction(self, mean: Parts) -> Array:
        """The raw outputs that the unit maps to the mean; for a unit without an inverse, the mean itself."""
        if self.unit == "sigmoid":
            return mean[0] - mean[1]
        if self.unit == "tanh":
            return jnp.arctanh(mean[0])
        return mean[0] - 0.5 if self.unit == "step" else mean[0]  # the majority vote of steps is a step at 0.5

    def judged(self, run: Run) -> Run:
        """The run used to measure `prediction`: without its output unit if the mean already includes it."""
        return run if self.unit in INVERTED else dataclasses.replace(run, output=None)


@dataclasses.dataclass(frozen=True)
class Moments(Mixture):
    """The Gaussian with the mean and the variance of a mixture of Gaussians (Lakshminarayanan, Pritzel and Blundell, 2017).

    Attributes:
        loss: how predictions stand for a mean and a variance.
    """

    loss: GaussianNLL = GaussianNLL()

    def parts(self, raw: Array) -> Parts:
        """Mean, and mean square in a member's own deviations from it."""
        mean, log_variance = self.loss.moments(raw)
        return mean, jnp.exp(log_variance) + mean**2

    def prediction(self, mean: Parts) -> Array:
        """Predictions with these moments."""
        smallest = jnp.finfo(mean[0].dtype).eps * mean[1]
        return self.loss.predictions(mean[0], jnp.maximum(mean[1] - mean[0] ** 2, smallest))


def mixture_of(run: Run, outputs: int) -> Mixture | None:
    """How a run's predictions are averaged; None for a task that does not predict the targets of its data set."""
    if type(run.task) not in map(type, PREDICTING.values()):
        return None
    if isinstance(run.loss, GaussianNLL):
        return Moments("identity", run.loss)
    kind = kind_of(run.loss)
    if kind is not None and kind.from_logits:
        single = outputs == 1 and "sigmoid" in kind.units
        return Mixture("sigmoid" if single else kind.units[0])
    if run.output is None:
        return Mixture("identity")
    return Mixture(next((name for name, unit in OUTPUT_UNITS.items() if unit is run.output), run.output))


# ---- programs over lanes -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Predict:
    """The prediction program of one static signature: parts [P, N, …] and metrics [P] of lanes.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
        mixture: how passes are averaged.
        passes: passes with dropout on; None is one pass with dropout off.
        judged: whether to compute the metrics of the mean over passes.
        set_metrics: metrics of the whole split to compute: names in SET_METRICS.
    """

    setup: Setup
    width: int
    mixture: Mixture
    passes: int | None
    judged: bool
    set_metrics: tuple[str, ...]

    def __call__(self, variables: Tree, numbers: Numbers, split: Split) -> tuple[Parts, dict[str, Array]]:
        """Parts and metrics of lanes, from their variables [P, …] and numbers [P]."""

        def predicted(run: Run, variables: Tree) -> tuple[Parts, dict[str, Array]]:
            return self._predict(run, variables, split)

        return per_run(predicted, self.setup.run, self.width, numbers, variables)

    def _predict(self, run: Run, variables: Tree, split: Split) -> tuple[Parts, dict[str, Array]]:
        """Parts and metrics of one run."""

        def parts(at: Any) -> Parts:
            return self.mixture.parts(self._raw(run, variables, split, stream(run.seed, "dropout", at)))

        def further(at: Array, total: Parts) -> Parts:
            return tuple(map(self.mixture.add, total, parts(at)))

        with jax.default_matmul_precision(run.matmul_precision):
            passes = self.passes or 1
            total = parts(0)
            total = lax.fori_loop(1, passes, further, total) if passes > 1 else total
            mean = self.mixture.mean(total, passes)
            metrics = judge(self.mixture, run, mean, split) if self.judged else {}
            metrics |= {name: set_metric(name, self.mixture, run, mean, split) for name in self.set_metrics}
        return mean, metrics

    def _raw(self, run: Run, variables: Tree, split: Split, key: Array) -> Array:
        """Raw outputs [N, …] of one pass, in blocks of rows."""
        x, y, offset, scale = split
        count = x.shape[0]
        rows = max(16, min(count, BLOCK_NUMBERS // max(1, x[0].size)))
        keys = {"sample": stream(run.seed, "sample"), "dropout": key}

        def block(at: Array) -> Array:
            here = jnp.minimum(at * rows + jnp.arange(rows), count - 1)
            # The same corruption for all runs and passes, so that comparisons are paired.
            view = run.task.view(
                standardize(x[here], offset, scale), y[here], jax.random.fold_in(jax.random.key(0), at)
            )
            of_block = {name: jax.random.fold_in(key, at) for name, key in keys.items()}
            passed = (self.setup, run, variables["params"], variables["rest"], view.inputs)
            with nn.intercept_methods(dropout_on) if self.passes is not None else contextlib.nullcontext():
                return apply(*passed, train=False, keys=of_block)[0].prediction

        raw = lax.map(block, jnp.arange(-(-count // rows)))
        return raw.reshape(-1, *raw.shape[2:])[:count]


def dropout_on(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """A Flax interceptor that turns dropout on and leaves the rest of the net in evaluation mode."""
    if isinstance(context.module, Dropout) and context.method_name == "__call__":
        kwargs = {**kwargs, "train": True}
    return next_call(*args, **kwargs)


def has_dropout(setup: Setup, run: Run) -> bool:
    """Whether dropout has any effect on the run's net: whether it has a `nets.Dropout` with a rate above 0, or a traced one."""
    rates = []

    def look(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Dropout):
            rates.append(context.module.rate)
        return next_call(*args, **kwargs)

    keys = {name: jax.random.key(0) for name in ("params", "dropout", "sample")}
    with nn.intercept_methods(look):
        net = build_net(setup, run)
        jax.eval_shape(lambda: net.init(keys, jnp.zeros((1, *setup.features)), train=False))
    return any(not isinstance(rate, (int, float)) or rate > 0 for rate in rates)


def judge(mixture: Mixture, run: Run, mean: Parts, split: Split) -> dict[str, Array]:
    """Every metric of a mean prediction on the whole split."""
    x, y, offset, scale = split
    view = run.task.view(standardize(x, offset, scale), y, jax.random.key(0))
    outputs = Outputs(prediction=mixture.prediction(mean))
    judged = mixture.judged(at_full(run))
    values = run.task.measure(judged, outputs, view, lambda _: outputs)
    metrics = {name: jnp.mean(value) for name, value in values.items()}
    if any(map(is_over_set, run.metrics)):
        metrics |= over_set(judged, *compared(judged, outputs, view))
    return metrics


def set_metrics_of(run: Run, task: str, outputs: int) -> tuple[str, ...]:
    """The metrics of a whole split (SET_METRICS) that apply to a run on data of this task and that it does not measure itself."""
    named = () if run.outputs is not None else _set_metrics_of(run, task, outputs)
    return tuple(name for name in named if name not in map(name_of_metric, run.metrics))


def _set_metrics_of(run: Run, task: str, outputs: int) -> tuple[str, ...]:
    if type(run.task) in (Regress, GaussianLikelihood) and task == "real":
        return ("root_mean_squared_error", "r_squared")
    if type(run.task) is Classify and (outputs == 1 if task == "binary" else outputs == 2 and task == "classes"):
        return ("auroc",)
    if task == "tokens" and name_of(run.loss) in NATS and mixture_of(run, outputs) is not None:
        return ("perplexity",)
    return ()


def set_metric(name: str, mixture: Mixture, run: Run, mean: Parts, split: Split) -> Array:
    """A metric of the whole split (SET_METRICS) of a mean prediction."""
    x, y, offset, scale = split
    raw, run = mixture.prediction(mean), mixture.judged(run)
    if name == "perplexity":
        return SET_METRICS[name](judge(mixture, run, mean, split)["loss"])
    if name == "auroc":
        return SET_METRICS[name](raw[:, 0] if raw.shape[-1] == 1 else raw[:, 1] - raw[:, 0], y.reshape(-1))
    view = run.task.view(standardize(x, offset, scale), y, jax.random.key(0))
    return SET_METRICS[name](*run.task.compared(run, Outputs(prediction=raw), view))


def recompute(setup: Setup, width: int, variables: Tree, numbers: Numbers, train: Split) -> Tree:
    """Variables [P, …] with batch-norm statistics of the whole training split, in batches of the run's size.

    The last, incomplete batch is left out. Dropout is off, as in evaluation.
    """

    def recomputed(run: Run, variables: Tree) -> Tree:
        run = dataclasses.replace(run, dropout=0.0)
        net, size = build_net(setup, run), run.batch_size
        keys = {name: stream(run.seed, name) for name in ("dropout", "sample")}
        x, _, offset, scale = train

        def batch(at: Array) -> Tree:
            rows = standardize(lax.dynamic_slice_in_dim(x, at * size, size), offset, scale)
            return recomputed_statistics(net, {"params": variables["params"], **variables["rest"]}, [rows], keys)

        return {"rest": {**variables["rest"], "batch_stats": _joined(lax.map(batch, jnp.arange(x.shape[0] // size)))}}

    return {**variables, **per_run(recomputed, setup.run, width, numbers, variables)}


def _joined(statistics: Tree) -> Tree:
    """The statistics of a union of batches, from theirs [n, C]: Var = E[Var] + Var[E]."""

    def union(of_layer: Tree) -> Tree:
        mean, var = of_layer["mean"], of_layer["var"]
        return {"mean": mean.mean(axis=0), "var": var.mean(axis=0) + mean.var(axis=0)}

    return jax.tree.map(union, statistics, is_leaf=lambda node: set(node) == {"mean", "var"})


def comparable(run: Run, split: str) -> str:
    """A key that is equal for runs whose predictions may be averaged: same examples, task, loss and output unit."""
    names = ("data", "task", "loss", "output", *(() if split == "test" else ("valid_fraction", "train_examples")))
    return str([encode(getattr(run, name)) for name in names])
