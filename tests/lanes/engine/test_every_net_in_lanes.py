"""The smallest net of every family, in lanes: it learns 32 examples beside a lane with another activation and
initializer, and its first three steps are bit-equal to those of the run alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from lanes import Dataset, Run, Split, load_curves, sweep
from lanes.describe import checks, runs
from lanes.program import initialization
from lanes.program.compiled import Programs
from lanes.program.step import Setup, Trained, train_step, transformation
from lanes.recipe.tasks_reconstructing import Elbo, Reconstruct
from lanes.storage.directory import existing
from lanes.storage.trained import find_run, variables_of

PROGRAMS = Programs()


@dataclasses.dataclass(frozen=True)
class Few:
    """32 examples: random bits with random classes, or tokens whose target is the sequence shifted by one."""

    shape: tuple[int, ...]
    kind: str = "classes"

    def load(self, data_dir: str | None = None) -> Dataset:
        del data_dir
        random = np.random.default_rng(0)
        x = random.integers(0, 2, (32, *self.shape)).astype(np.float32)
        y, outputs = random.integers(0, 3, 32).astype(np.int32), 3
        if self.kind == "binary":
            y, outputs = y[:, None].clip(0, 1).astype(np.float32), 1
        if self.kind == "tokens":
            x, outputs = random.integers(0, 4, (32, *self.shape)).astype(np.int32), 4
            y = np.roll(x, 1, axis=1)
            y[:, 0] = 0
        offset, scale = np.zeros((), np.float32), np.ones((), np.float32)
        return Dataset("few", "1", Split(x, y), None, None, self.kind, outputs, offset, scale, standardize="none")


@dataclasses.dataclass(frozen=True)
class Family:
    """A net, its examples, and its goal: the metric must fall below `goal` times the first step's loss.

    `train_loss` is that of the trained net in evaluation mode. The largest nets are judged by the `batch_loss` of their
    last step: in so few steps, the running statistics of batch normalization do not settle.
    """

    net: object
    shape: tuple[int, ...]
    goal: float = 0.1
    epochs: int = 400
    fields: dict = dataclasses.field(default_factory=dict)
    metric: str = "train_loss"
    kind: str = "classes"
    mine: object = nets.LeakyReLU(0.1)  # one lane's activation
    other: object = nets.LeakyReLU(0.3)  # the second lane's activation


AGAIN = {"task": Reconstruct(), "loss": "sigmoid_cross_entropy"}
IMAGE = (8, 8, 1)
FAMILIES = {
    "perceptron": Family(
        nets.Linear(threshold=True),
        (40,),
        kind="binary",
        fields={"rule": "perceptron_rule", "loss": "squared_error", "optimizer": "sgd", "learning_rate": 0.1},
    ),
    "adaline": Family(
        nets.Linear(),
        (40,),
        kind="binary",
        fields={"rule": "delta_rule", "loss": "squared_error", "optimizer": "sgd", "learning_rate": 0.05},
    ),
    "logistic_regression": Family(nets.Linear(), (40,), kind="binary", fields={"loss": "binary_cross_entropy"}),
    "softmax_regression": Family(nets.Linear(), (40,)),
    "mlp": Family(nets.MLP(widths=(32,)), (16,), mine="relu", other="tanh"),
    "rbf": Family(nets.RBF(centers=32), (16,), goal=0.2),
    "cnn": Family(nets.CNN(widths=(8, 8), windows=(3, 3)), (12, 1), epochs=150),
    "lenet5": Family(nets.LeNet5(widths=(16,)), (12, 12, 1), epochs=60),
    "alexnet": Family(
        nets.AlexNet(form="cifar", widths=(32,)), (8, 8, 3), goal=0.3, epochs=25, fields={"learning_rate": 1e-3}
    ),
    "nin": Family(nets.NIN(widths=(16,) * 8, norm="batch_norm"), IMAGE, epochs=60),
    "squeezenet": Family(nets.SqueezeNet(norm="batch_norm"), (16, 16, 1), epochs=12, metric="batch_loss"),
    # GoogLeNet takes two minutes to compile; its steps are tested in tests/nets/test_every_net.py.
    "resnet": Family(nets.ResNet(depth=8, width=8), IMAGE, epochs=60),
    "plain": Family(nets.ResNet(depth=8, width=8, residual=False), (16, 1), epochs=100),
    "wide_resnet": Family(nets.ResNet(depth=10, width=4, widen=2, form="wide"), IMAGE, epochs=40),
    "stochastic_depth": Family(nets.ResNet(depth=8, width=8, drop_path=0.3), (16, 1), goal=0.3, epochs=150),
    "fractalnet": Family(nets.FractalNet(widths=(8,), columns=2, drop_path=0.1), IMAGE, goal=0.3, epochs=150),
    "neocognitron": Family(nets.Neocognitron(planes=(8, 16), window=3), IMAGE, goal=0.3, epochs=200),
    "rnn": Family(nets.Recurrent(cell="rnn", widths=(16,)), (5, 2), goal=0.3),
    "lstm": Family(nets.Recurrent(cell="lstm", widths=(16,), head="each"), (6,), kind="tokens", goal=0.2),
    "gru": Family(nets.Recurrent(cell="gru", widths=(16,), bidirectional=True, head="all"), (5, 2), goal=0.3),
    "autoencoder": Family(nets.Autoencoder(widths=(32,), code=16), (12,), fields=AGAIN),
    "tied": Family(nets.Autoencoder(widths=(12,), code=12, tied=True), (12,), fields=AGAIN),
    "conv_autoencoder": Family(
        nets.Autoencoder(widths=(8, 16), code=32, convolutional=True), (5, 6, 1), goal=0.3, fields=AGAIN
    ),
    "vae": Family(nets.VAE(widths=(32,), code=12), (12,), fields={**AGAIN, "task": Elbo(mode="reconstruction")}),
    "conv_vae": Family(
        nets.VAE(widths=(16,), code=16, convolutional=True),
        (5, 6, 1),
        goal=0.4,
        fields={**AGAIN, "task": Elbo(mode="reconstruction")},
    ),
    "rbm": Family(
        nets.RBM(code=64), (12,), goal=0.5, fields={**AGAIN, "rule": "contrastive_divergence", "learning_rate": 0.03}
    ),
    "gan": Family(nets.GAN(latent=4, widths=(32,)), (12,), goal=0.3, fields={"task": "adversarial"}),
}


LINEAR = ("perceptron", "adaline", "logistic_regression", "softmax_regression", "rbf", "rbm")  # without an activation
LARGE = ("squeezenet", "alexnet")  # their steps in half precision are tested in tests/nets/test_every_net.py


def base(name: str) -> Run:
    family = FAMILIES[name]
    fields = {"learning_rate": 0.01, **family.fields}
    return Run(
        data=Few(family.shape, family.kind),
        net=family.net,
        batch_size=32,
        epochs=3,
        seed=1,
        activation=family.mine if name not in LINEAR else "relu",
        **fields,
    )


def lane_of(folder, run_id):
    (directory,) = existing([folder])
    row = find_run(directory, run_id)
    return variables_of(directory, row["pack"], [int(row["lane"])], "last")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_net_learns_in_a_pack_and_starts_as_it_does_alone(name, tmp_path):
    family, run = FAMILIES[name], base(name)
    activation = family.other if name not in LINEAR else "relu"
    other = dataclasses.replace(run, activation=activation, initializer="xavier_uniform", epochs=family.epochs)
    options = {"devices": 1, "width": 2, "quiet": True, "programs": PROGRAMS}
    table = sweep([run, other], tmp_path / "pack", **options)
    assert set(table["status"]) == {"done"}
    assert table["pack"].nunique() == 1
    curves = load_curves(tmp_path / "pack")
    (longer,) = table[table["epochs"] == family.epochs].to_dict("records")
    steps = curves[curves["run_id"] == longer["run_id"]]["batch_loss"].to_numpy()
    reached = {"train_loss": longer["train_loss"], "batch_loss": steps[-1]}[family.metric]
    assert reached < family.goal * steps[0]

    (alone,) = sweep([run], tmp_path / "alone", **options)["run_id"]
    jax.tree.map(np.testing.assert_array_equal, lane_of(tmp_path / "alone", alone), lane_of(tmp_path / "pack", alone))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in LARGE])
def test_a_step_in_bfloat16_is_finite(name):
    run = checks.resolved(dataclasses.replace(base(name), precision="bfloat16"))
    data = run.data.load()
    run = checks.check_with_data(run, data)
    features = data.train.x.shape[1:]
    setup = Setup(run, run.task.outputs(data.outputs, features), features, 32)

    def step(numbers, x, y):
        traced = runs.with_numbers(run, numbers)
        variables = initialization.initial_variables(setup, traced, (x, data.offset, data.scale))
        start = jnp.int32(0)
        optimizer = transformation(setup, traced, jnp.float32(1), start).init(variables["params"])
        state = Trained(variables["params"], variables["rest"], optimizer, ())
        return train_step(setup, traced, state, (x, y), jnp.float32(1), start)

    numbers = {path: jnp.asarray(value) for path, value in runs.numbers(run).items()}
    state, metrics = jax.jit(step)(numbers, jnp.asarray(data.train.x), jnp.asarray(data.train.y))
    assert bool(metrics.finite)
    assert all(leaf.dtype != jnp.bfloat16 and jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
