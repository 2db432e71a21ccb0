"""`outputs`: as many as a loss of the user's own needs, and refused where it contradicts."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from lanes import Blobs, RequestError, Run, Sine
from lanes.describe.identity import run_id
from lanes.describe.runs import metric_names
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.recipe.augmentations import Mixup
from nets import MLP

LEVELS = (0.1, 0.5, 0.9)


def pinball(prediction, target):
    """Quantiles of one target."""
    error = target - prediction
    levels = jnp.asarray(LEVELS)[None]
    return jnp.sum(jnp.maximum(levels * error, (levels - 1) * error), axis=1)


def crossing(prediction, target):
    """Compares every example with every other one."""
    with jax.numpy_rank_promotion("allow"):
        return jnp.mean((prediction[:, 0] - target) ** 2, axis=0)


def abstaining(prediction, target):
    """Cross-entropy of three classes, and a fourth output for none of them."""
    from losses import softmax_cross_entropy

    rows = target if target.ndim == 2 else jnp.eye(3)[target]
    return softmax_cross_entropy(prediction, jnp.concatenate([0.9 * rows, jnp.full((len(rows), 1), 0.1)], axis=1))


BASE = Run(data=Sine(n=60), net=MLP(widths=(4,)), loss=pinball, outputs=3, batch_size=8, epochs=1)
CLASSES = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), loss=abstaining, outputs=4, batch_size=8, epochs=1)


def planned(run):
    return make_plan([run], Options(devices=1)).planned[0]


def test_the_net_has_as_many_and_the_tasks_metrics_are_left_out():
    assert planned(BASE).setup.outputs == 3
    member = planned(dataclasses.replace(CLASSES, augment=(Mixup(0.2),)))
    assert (member.setup.outputs, member.setup.classes) == (4, 3)
    assert metric_names(member.run) == ("loss",)
    assert metric_names(planned(dataclasses.replace(CLASSES, metrics=("accuracy",))).run) == ("loss", "accuracy")


def test_no_outputs_is_the_run_that_it_was():
    run = Run(data=Blobs(n=60), net=MLP(widths=(4,)))
    assert run_id(run) == run_id(dataclasses.replace(run, outputs=None)) != run_id(dataclasses.replace(run, outputs=5))


@pytest.mark.parametrize(
    ("run", "fields", "words"),
    [
        (BASE, {"loss": "mean_squared_error"}, "loss mean_squared_error needs 1"),
        (CLASSES, {"loss": "softmax_cross_entropy"}, "loss softmax_cross_entropy needs 3"),
        (BASE, {"outputs": 1}, "anyway"),
        (BASE, {"outputs": 0}, "at least 1"),
        (BASE, {"outputs": 2.0}, "int"),
        (BASE, {"task": "gaussian_likelihood", "loss": "gaussian_nll"}, "needs 2"),
        (CLASSES, {"task": "reconstruct"}, "needs 2"),
        (CLASSES, {"label_smoothing": 0.1}, "label_smoothing"),
        (BASE, {"loss": crossing}, "of every other one"),
    ],
    ids=["squared", "softmax", "same", "zero", "float", "gaussian", "reconstruct", "smoothing", "crossing"],
)
def test_what_contradicts_is_refused(run, fields, words):
    with pytest.raises(RequestError, match=words) as caught:
        planned(dataclasses.replace(run, **fields))
    assert "\n" not in str(caught.value)
