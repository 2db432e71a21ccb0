"""Judging predictions on a whole split: every metric, and which class is decided for."""

import jax
import jax.numpy as jnp

from lanes.describe.runs import Run
from lanes.program.metrics import compared
from lanes.program.mixtures import Mixture, Parts, mixture_of
from lanes.program.scheduled import at_full
from lanes.program.step import standardize
from lanes.recipe.tasks_classifying import Classify, IntegerCoded, MultiLabel, NextToken
from lanes.recipe.tasks_comparing import as_compared, options_of, over_set, per_row, threshold
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import OUTPUT_UNITS, SET_METRICS, kind_of, name_of
from losses.metrics import is_over_set, name_of_metric, top_k
from nets import Outputs

Array = jax.Array
Split = tuple[Array, Array, Array, Array]  # x [N, …], y [N, …], offset and scale of the training data
NATS = ("softmax_cross_entropy", "negative_log_likelihood")  # losses whose mean is in nats per token
TOP = "top_"  # top_5: whether the true class is among the 5 likeliest


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
    """The metrics of a whole split that apply to a run on data of this task and that it does not measure itself.

    They are names in SET_METRICS, and `top_5` for more than five classes.
    """
    named = () if run.outputs is not None else _set_metrics_of(run, task, outputs)
    return tuple(name for name in named if name not in map(name_of_metric, run.metrics))


def _set_metrics_of(run: Run, task: str, outputs: int) -> tuple[str, ...]:
    if type(run.task) in (Regress, GaussianLikelihood) and task == "real":
        return ("root_mean_squared_error", "r_squared")
    of_five = ("top_5",) if type(run.task) in (Classify, NextToken) and outputs > 5 else ()
    if type(run.task) is Classify and task in ("binary", "classes"):
        ranks = outputs == (1 if task == "binary" else 2) or gives_probabilities(run)
        return (*of_five, *(("auroc",) if ranks else ()))
    if task == "tokens" and name_of(run.loss) in NATS and mixture_of(run, outputs) is not None:
        return (*of_five, "perplexity")
    return of_five


def set_metric(name: str, mixture: Mixture, run: Run, mean: Parts, split: Split) -> Array:
    """A metric of the whole split, a name in SET_METRICS or `top_K`, of a mean prediction."""
    x, y, offset, scale = split
    raw, run = mixture.prediction(mean), mixture.judged(run)
    if name == "perplexity":
        return SET_METRICS[name](judge(mixture, run, mean, split)["loss"])
    if name == "auroc" and not jnp.issubdtype(y.dtype, jnp.integer) and raw.shape[-1] == 1:
        return SET_METRICS[name](raw[:, 0], y.reshape(-1))
    view = run.task.view(standardize(x, offset, scale), y, jax.random.key(0))
    pair = run.task.compared(run, Outputs(prediction=raw), view)
    if name.startswith(TOP):
        return jnp.mean(per_row(top_k(*pair, k=int(name.removeprefix(TOP)))))
    return SET_METRICS[name](*pair, **options_of(run, name))


def gives_probabilities(run: Run) -> bool:
    """Whether a run's predictions, as `natural.predicted` gives them, are known to be probabilities."""
    kind = kind_of(run.loss)
    if kind is not None and kind.from_logits:
        return kind.units != ("identity",)
    return run.output in (OUTPUT_UNITS["softmax"], OUTPUT_UNITS["sigmoid"])


def decides(run: Run) -> bool:
    """Whether a run decides for classes or labels."""
    return type(run.task) in (Classify, NextToken, MultiLabel, IntegerCoded) and run.outputs is None


def decisions(run: Run, raw: Array) -> Array:
    """The classes, int32 [N, …], that raw outputs [N, …, K] decide for, as accuracy counts them; labels [N, K] of 0 and 1."""
    prediction = as_compared(run, raw)
    if isinstance(run.task, IntegerCoded):
        return jnp.round(prediction[..., 0]).astype(jnp.int32)
    if isinstance(run.task, MultiLabel):
        return (prediction > threshold(run)).astype(jnp.int32)
    if prediction.shape[-1] == 1:
        return (prediction[..., 0] > threshold(run)).astype(jnp.int32)
    return jnp.argmax(prediction, axis=-1).astype(jnp.int32)
