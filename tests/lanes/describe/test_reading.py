"""What undeclared arrays are read as, by the run's loss, task and net."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes import Blobs, Labels, Run, Tokens, from_arrays
from lanes.describe import runs
from lanes.describe.reading import read_as
from nets import MLP

N = 40
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 3))
TWO, THREE = np.arange(N) % 2, np.arange(N) % 3
AGES = RANDOM.integers(18, 90, N)
CODES = RANDOM.integers(0, 5, (N, 6))
CE, BCE, SIGMOID, MSE = "softmax_cross_entropy", "binary_cross_entropy", "sigmoid_cross_entropy", "mean_squared_error"


def error(prediction, target):
    """A user's loss, of which it is not known what it takes."""
    return (prediction[:, 0] - target) ** 2


def read(x, y, **fields):
    run = runs.resolve(Run(net=fields.pop("net", MLP(widths=(2,))), **fields))
    return read_as(run, from_arrays(x, y, test_fraction=0, valid_fraction=0))


@pytest.mark.parametrize(
    ("y", "fields", "task", "outputs"),
    [
        (THREE, {"loss": CE}, "classes", 3),
        (THREE, {"loss": MSE}, "real", 1),
        (THREE, {"loss": MSE, "task": "classify"}, "classes", 3),
        (THREE, {"loss": MSE, "task": "integer_coded"}, "classes", 3),
        (THREE, {"loss": error}, "classes", 3),
        (THREE, {"loss": error, "task": "regress"}, "real", 1),
        (Labels(THREE), {"loss": MSE}, "classes", 3),
        (AGES, {"loss": "huber"}, "real", 1),
        (AGES[:, None], {"loss": MSE}, "real", 1),
        (AGES - 50, {"loss": MSE}, "real", 1),
        (2**20 + AGES, {"loss": MSE}, "real", 1),
        (TWO, {"loss": BCE}, "binary", 1),
        (TWO, {"loss": CE}, "classes", 2),
        (TWO > 0, {"loss": BCE}, "binary", 1),
        (TWO.astype(float), {"loss": BCE}, "binary", 1),
        (Labels(TWO), {"loss": BCE}, "binary", 1),
        (0 * TWO, {"loss": BCE}, "binary", 1),
        (0 * TWO + 1, {"loss": BCE}, "binary", 1),
        (TWO.astype(np.int8)[:, None], {"loss": BCE}, "binary", 1),
        (np.eye(3)[THREE], {"loss": CE}, "classes", 3),
        (np.eye(3, dtype=int)[THREE], {"loss": "focal"}, "classes", 3),
        (np.eye(3)[THREE], {"loss": MSE}, "real", 3),
        (np.eye(3)[THREE], {"loss": SIGMOID}, "multilabel", 3),
        ((X > 0).astype(int), {"loss": SIGMOID}, "multilabel", 3),
        (X, {"loss": MSE}, "real", 3),
    ],
)
def test_targets_are_what_the_loss_or_the_task_takes(y, fields, task, outputs):
    data = read(X, y, **fields)
    assert (data.task, data.outputs) == (task, outputs)
    given = np.asarray(y.y if isinstance(y, Labels) else y)
    if task == "classes":
        np.testing.assert_array_equal(data.train.y, given.argmax(1) if given.ndim > 1 else given)
    else:
        np.testing.assert_array_equal(data.train.y, given.reshape(N, -1).astype(np.float32))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (AGES, r"labels 22, .* without an example: number them by np\.unique"),
        (np.array([10001, 33109, 90210, 10001] * 10), "leave 90,208 of the classes 0 … 90210 without an example"),
        (TWO - 1, "label -1 found; labels must be 0 … 0"),
        (TWO.astype(float), r"float64\[40\] of whole numbers, and classes are integers: return y\.astype\(int\)"),
        (X[:, 0], "with fractions, and classes are integers: choose a regression loss"),
        (TWO[:, None], r"int64\[40, 1\], and classes are integers \[40\]: return y\[:, 0\]"),
        (np.full((N, 3), 1 / 3), r"if each row marks one class, return y\.argmax\(1\)"),
        (RANDOM.integers(0, 2, (N, 4, 4)), "there is one per example"),
    ],
)
def test_what_cannot_be_classes_is_refused_by_a_loss_of_classes(y, match):
    with pytest.raises(ValueError, match=match):
        read(X, y, loss=CE)
    assert read(X, y, loss=MSE).task == "real"


def test_two_classes_of_a_built_in_set_are_one_binary_target():
    run = runs.resolve(Run(data=Blobs(n=N), net="logistic_regression", loss=BCE))
    data, stated = Blobs(n=N).load(), Blobs(n=N, binary=True).load()
    np.testing.assert_array_equal(read_as(run, data).train.y, stated.train.y)
    assert read_as(runs.resolve(Run(loss=CE)), data) is data


# ---- tokens


class Embeds(nn.Module):
    """A net of a user's that looks its inputs up."""

    outputs: int = 2

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.outputs)(nn.Embed(5, 3)(self.codes(x)).mean(1))

    def codes(self, x):
        return x


class Casts(Embeds):
    def codes(self, x):
        return x[:, 1:].astype(jnp.int32)


class Pads(Embeds):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        kept = (x != 0).astype(jnp.float32)
        return nn.Dense(self.outputs)(kept * x.astype(jnp.float32))


class OneHot(Embeds):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.Dense(self.outputs)(jax.nn.one_hot(x, 5).mean(1))


class Weighs(Embeds):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        h = nn.Dense(4)(x)
        return nn.Dense(self.outputs)(h * (h > 0).astype(jnp.int32))


@pytest.mark.parametrize("net", ["gru", Embeds(), Casts(), OneHot(), Pads()], ids=str)
@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_integers_are_tokens_to_nets_that_look_them_up(net, dtype):
    data = read(CODES.astype(dtype), TWO, net=net)
    assert (data.train.x.dtype, data.vocabulary_size) == (np.int32, 5)
    np.testing.assert_array_equal(data.train.x, CODES)


@pytest.mark.parametrize("net", ["mlp", Weighs()], ids=str)
def test_integers_are_numbers_to_all_others(net):
    data = read(CODES, TWO, net=net)
    np.testing.assert_allclose(
        (data.train.x - data.offset) * data.scale, (CODES - CODES.mean(0)) / CODES.std(0), atol=1e-5
    )
    assert read(Tokens(CODES), TWO, net=net).holds_tokens


def test_next_tokens_are_numbers_for_a_regression_loss():
    text = read(CODES[:, :-1], CODES[:, 1:], net="gru")
    assert (text.task, text.outputs, text.holds_tokens) == ("tokens", 5, True)
    numbers = read(CODES[:, :-1], CODES[:, 1:], loss=MSE)
    assert (numbers.task, numbers.outputs, numbers.holds_tokens) == ("real", 5, False)


def test_a_vocabulary_that_is_too_small_is_refused():
    from nets import Recurrent

    with pytest.raises(ValueError, match=r"net\.vocabulary is 3, and arrays has tokens up to 4: it must be at least 5"):
        read(CODES, TWO, net=Recurrent(vocabulary=3))


def test_other_data_is_read_as_the_run_read_its_own():
    run = runs.resolve(Run(net=MLP(widths=(2,))))
    own = read_as(run, from_arrays(X, THREE))
    other = read_as(run, from_arrays(X + 5, TWO * 2, name="later"), own)
    assert (other.task, other.outputs) == ("classes", 3)
    seen = other.seen_by(own)
    assert (seen.offset is own.offset, seen.scale is own.scale) == (True, True)


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (2 * TWO - 1, "are -1 and 1: return (y == 1)"),
        (2.0 * TWO - 1, "are -1 and 1: return (y == 1)"),
        (TWO + 1, "are 1 and 2: return (y == 2)"),
        (0.5 * TWO, "are 0 and 0.5: return (y == 0.5)"),
        (np.eye(2)[TWO], "use softmax_cross_entropy"),
        (X[:, 0], "use squared_error"),
        (X, "several for each example"),
    ],
    ids=["signs", "float signs", "from one", "half", "rows", "numbers", "several"],
)
def test_what_is_not_0_and_1_is_refused_for_one_output_with_the_remedy(y, remedy):
    with pytest.raises(ValueError, match="takes targets of 0 and 1") as caught:
        read(X, y, loss=BCE)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)
