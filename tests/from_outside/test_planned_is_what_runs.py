"""A user's own net, loss, metric, augmentation or schedule that cannot be trained ends in one line when it is planned."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes import Blobs, Metric, Run
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from nets import MLP, Dropout

OPTIONS = Options(devices=1, width=1, quiet=True)


def line():
    """40 points on a line: one number in, one number out."""
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    return x, 2 * x


def sentences():
    """Sequences of the tokens 0 … 6, each with the next token as its target."""
    tokens = (np.arange(30)[:, None] + np.arange(6)) % 7
    return tokens[:, :-1], tokens[:, 1:]


LINE: dict[str, Any] = {"data": line, "loss": "squared_error"}
SENTENCES: dict[str, Any] = {"data": sentences, "metrics": ()}
DROPPING: dict[str, Any] = {"dropout": 0.1}


def refusal(**fields) -> str:
    """The line with which a run is refused; "" if it is planned. Shapes are promoted as they are for a user."""
    run = Run(**{"data": Blobs(n=60, classes=3), "net": MLP(widths=(4,)), "batch_size": 8, "epochs": 1, **fields})
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        try:
            make_plan([run], OPTIONS)
        except RequestError as error:
            return str(error)
    return ""


# ---- losses and metrics --------------------------------------------------------------------------------------------


def variance_of_second(prediction, target):
    return (target[..., 0] - prediction[..., 0]) ** 2 * jnp.exp(-prediction[..., 1])


def third_target(prediction, target):
    return (prediction[..., 0] - target[..., 2]) ** 2


def pairwise(prediction, target):
    return (prediction[..., 0] - target) ** 2


def mean_of_batch(prediction, target):
    return jnp.mean((prediction - target) ** 2)


def mean_of_outputs(prediction, target):
    return jnp.mean((prediction - target) ** 2, axis=0)


def squares(prediction, target):
    return (prediction - target) ** 2


def meant(prediction, target):
    return (prediction - jnp.broadcast_to(target, prediction.shape)) ** 2


def sliced(prediction, target):
    return (prediction[..., :1] - target) ** 2 * jnp.exp(prediction[..., 1:]) + jnp.sum(
        prediction * jnp.arange(2.0), axis=-1
    )[:, None]


def as_python(prediction, target):
    return (prediction - target) ** 2 if float(jnp.mean(prediction)) > 0 else jnp.abs(prediction - target)


def misspelt(prediction, target):
    return jnp.mean((prediction - target) ** 2, axes=1)


def of_label(prediction, target):
    return -jnp.take_along_axis(prediction, target[:, None] + 1, axis=1)[:, 0]


class TwoOutputs(nn.Module):
    """Two outputs, whatever the data have."""

    outputs: int = 1

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(2)(x)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"loss": variance_of_second}, ("variance_of_second (line ", "index 1 of an axis of length 1")),
        ({"loss": third_target}, ("third_target (line ", "index 2 of an axis of length 1")),
        ({"loss": pairwise}, ("loss pairwise compares the prediction of every example", "(8, 8)")),
        ({"loss": mean_of_batch}, ("loss mean_of_batch returns an array of shape ()", "8 examples")),
        ({"loss": mean_of_outputs}, ("loss mean_of_outputs returns an array of shape (1,)",)),
        ({"loss": as_python}, ("as_python (line ", "use jnp.where")),
        ({"loss": misspelt}, ("misspelt (line ", "axes")),
        ({"loss": squares, "net": TwoOutputs()}, ("loss squares compares predictions (8, 2) with targets (8, 1)",)),
        ({"net": TwoOutputs()}, ("predictions (8, 2) do not fit targets (8, 1)",)),
        ({"metrics": (variance_of_second,)}, ("variance_of_second (line ", "index 1")),
        ({"metrics": (pairwise,)}, ("metric pairwise compares the prediction of every example",)),
        ({"metrics": (Metric(mean_of_batch, higher_is_better=False),)}, ("metric mean_of_batch returns an array",)),
    ],
)
def test_a_loss_or_metric_of_ones_own(fields, parts):
    found = refusal(**{**LINE, **fields})
    assert all(part in found for part in parts), found
    assert "\n" not in found


def on_host(prediction, target):
    del target
    shape = jax.ShapeDtypeStruct(prediction.shape[:1], jnp.float32)
    return jax.pure_callback(lambda p: np.sum(p, axis=-1), shape, prediction)


def on_host_in_turn(prediction, target):
    del target
    shape = jax.ShapeDtypeStruct(prediction.shape[:1], jnp.float32)
    return jax.pure_callback(lambda p: np.sum(p, axis=-1), shape, prediction, vmap_method="sequential")


def test_a_function_of_python_must_say_how_it_runs_over_lanes():
    assert "vmap_method" in refusal(metrics=(on_host,))
    assert refusal(metrics=(on_host_in_turn,)) == ""


@pytest.mark.parametrize("loss", [meant, sliced])
def test_two_outputs_and_one_target_where_that_is_meant(loss):
    assert refusal(**LINE, net=TwoOutputs()) != ""
    assert refusal(**{**LINE, "loss": loss}, net=TwoOutputs()) == ""


def test_labels_beyond_the_outputs():
    assert "of_label (line " in (found := refusal(loss=of_label))
    assert "index 3 of an axis of length 3" in found


# ---- nets ----------------------------------------------------------------------------------------------------------


class FlaxDropout(nn.Module):
    outputs: int = 10
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.outputs)(nn.Dropout(self.dropout, deterministic=not train)(x))


class OurDropout(nn.Module):
    outputs: int = 10
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.outputs)(Dropout(self.dropout)(x, train=train))


class FewEmbeddings(nn.Module):
    words: int = 7
    outputs: int = 7

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.outputs)(nn.Embed(self.words, 3)(x))


class Attention(nn.Module):
    outputs: int = 10
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        h = nn.Dense(4)(x)[:, None]
        layer = nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=self.dropout, deterministic=not train)
        return nn.Dense(self.outputs)(layer(h, h)[:, 0])


class FarUnit(nn.Module):
    outputs: int = 10

    @nn.compact
    def __call__(self, x, *, train):
        hidden = nn.relu(nn.Dense(4)(x))
        return nn.Dense(self.outputs)(hidden.at[:, 4].set(0.0) if train else hidden)


def test_a_net_of_ones_own():
    assert "use nets.Dropout(self.dropout)(x, train=train)" in refusal(net=FlaxDropout(), **DROPPING)
    assert refusal(net=FlaxDropout()) == ""
    assert "use nets.Dropout(self.dropout)(x, train=train)" in refusal(net=Attention(), **DROPPING)
    assert refusal(net=OurDropout(), **DROPPING) == ""
    assert "FarUnit.__call__ (line " in refusal(net=FarUnit())
    assert "index 6 of an axis of length 6" in refusal(net=FewEmbeddings(words=6), **SENTENCES)
    assert refusal(net=FewEmbeddings(words=7), **SENTENCES) == ""


# ---- augmentations, schedules, activations, penalties, initializers ------------------------------------------------


def first_feature(key, x, y):
    del key
    return x[:, :1], y


@dataclasses.dataclass(frozen=True)
class Halved:
    """A schedule that compares its traced number in Python."""

    after: float = 0.5
    adapts: ClassVar[bool] = False

    def __call__(self, step, horizon):
        del horizon
        return 0.5 if self.after < 1 and step > 3 else 1.0


def shifted(z):
    return z + jnp.arange(3.0)


@dataclasses.dataclass(frozen=True)
class OfLayer:
    """A penalty on a layer that the net may lack."""

    strength: float = 0.1
    acts_on: ClassVar[str] = "params"

    def __call__(self, params):
        return self.strength * jnp.sum(params["hidden_7"]["dense"]["kernel"])


def transposed(key, shape, dtype=jnp.float32):
    return jax.random.normal(key, shape[::-1], dtype)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"augment": (first_feature,), "net": OurDropout()}, "OurDropout.__call__ (line "),
        ({"schedule": Halved()}, "Halved.__call__ (line "),
        ({"activation": shifted}, "shifted (line "),
        ({"penalties": (OfLayer(),)}, "OfLayer.__call__ (line "),
        ({"initializer": transposed}, "cannot be built"),
    ],
)
def test_anything_else_of_ones_own(fields, where):
    assert where in refusal(**fields)
