"""The work that is timed: which net, on which data, for how many steps."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from lanes import Run
from lanes.data.dataset import Dataset, Split
from lanes.data.loading import load_dataset
from lanes.errors import RequestError
from nets import MLP, NETS, LeNet5, inspection

IMAGES = 8192  # training examples of the MNIST-shaped set: 64 steps of 128
EVALUATED = 256  # examples in each other split

Arrays = tuple[np.ndarray, np.ndarray]


@functools.cache
def images() -> dict[str, Arrays]:
    """MNIST if TFDS has it prepared, otherwise noise of its shape: uint8 [N, 28, 28, 1] and ten classes."""
    try:
        mnist = load_dataset("mnist")
        assert mnist.valid is not None
        assert mnist.test is not None
        splits = {"train": (mnist.train, IMAGES), "valid": (mnist.valid, EVALUATED), "test": (mnist.test, EVALUATED)}
        return {name: (np.array(split.x[:n]), np.array(split.y[:n])) for name, (split, n) in splits.items()}
    except (RequestError, OSError):
        return _noise()


def _noise(shape: tuple[int, ...] = (28, 28, 1), examples: int = IMAGES) -> dict[str, Arrays]:
    random = np.random.default_rng(0)
    sizes = {"train": examples, "valid": EVALUATED, "test": EVALUATED}
    return {
        name: (random.integers(0, 256, (n, *shape), np.uint8), random.integers(0, 10, n, np.int32))
        for name, n in sizes.items()
    }


def series() -> dict[str, Arrays]:
    """The images as 28 steps of 28 features: float32 [N, 28, 28]."""
    return {name: (x[..., 0].astype(np.float32) / 255, y) for name, (x, y) in images().items()}


def pixels() -> Dataset:
    """The images with pixels in [0, 1], for nets that reproduce them."""
    train, valid, test = (Split(x, y.astype(np.int32)) for x, y in images().values())
    zero, scale = np.zeros((), np.float32), np.full((), 1 / 255, np.float32)
    return Dataset("pixels", "1", train, valid, test, "classes", 10, zero, scale, standardize="unit")


def colours() -> dict[str, Arrays]:
    """Noise in the shape of CIFAR-10: uint8 [N, 32, 32, 3] and ten classes."""
    return _noise((32, 32, 3), 512)


def source(run: Run) -> str:
    """Whether the run's examples are MNIST or noise."""
    if run.data is colours:
        return "noise of CIFAR-10's shape"
    return "noise of MNIST's shape (no prepared MNIST was found)" if _is_noise() else "MNIST"


def _is_noise() -> bool:
    return np.array_equal(images()["valid"][0], _noise()["valid"][0])


@dataclasses.dataclass(frozen=True)
class Work:
    """One run's work: a `Run` for lanes, a name for the peers.

    Attributes:
        name: the benchmark, and the peers' net.
        run: what lanes trains.
        steps: steps in an epoch.
        first: multiply-adds in an example's forward pass that have the example itself as a factor.
        epochs: epochs of a run.
    """

    name: str
    run: Run
    steps: int
    first: int
    epochs: int = 1

    @property
    def data(self) -> Dataset:
        """The run's data set."""
        return load_dataset(self.run.data, train_examples=self.run.train_examples)

    def export(self, path: Path) -> None:
        """Write what peers train on, already standardized: x, y, valid_x, valid_y."""
        data = self.data
        assert data.valid is not None

        arrays = {}
        for prefix, split in {"": data.train, "valid_": data.valid}.items():
            x = standardized(data, np.asarray(split.x))
            arrays[f"{prefix}x"] = x.reshape(len(x), -1) if isinstance(self.run.net, MLP) else x
            arrays[f"{prefix}y"] = np.asarray(split.y, np.int64)
        np.savez(path, **arrays)  # type: ignore[arg-type]


def standardized(data: Dataset, x: np.ndarray) -> np.ndarray:
    """x in float32, as a net sees it."""
    return ((x.astype(np.float32) - data.offset) * data.scale).astype(np.float32)


def work(name: str, quick: bool = False) -> Work:
    """The work of that name; quick work has fewer epochs and examples."""
    if name == "sweep":
        run = Run(data="digits", net=MLP(widths=(64, 64)), batch_size=32, epochs=2 if quick else 20)
        return Work(name, run, steps=44, first=64 * 64, epochs=run.epochs)
    run, steps, first = _larger(name)
    steps = 2 if quick else steps
    return Work(name, dataclasses.replace(run, train_examples=run.batch_size * steps), steps, first)


def _larger(name: str) -> tuple[Run, int, int]:
    """The run, its steps in an epoch, and the multiply-adds that have the example as a factor (`Work.first`)."""
    mlp = Run(data=images, net=MLP(widths=(128, 128)), batch_size=128)
    lenet = Run(data=images, net=LeNet5(), batch_size=64)
    lstm = Run(data=series, net=NETS["lstm"], activation="tanh", batch_size=64)
    resnet = Run(data=colours, net=NETS["resnet"], batch_size=64)
    coder = Run(data=pixels, net=NETS["vae"], task="elbo", loss="sigmoid_cross_entropy", batch_size=128)
    convolutional = dataclasses.replace(coder, net=NETS["conv_autoencoder"], task="reconstruct", batch_size=64)
    return {
        "mnist_mlp": (mlp, 64, 28 * 28 * 128),
        "lenet": (lenet, 16, 28 * 28 * 5 * 5 * 6),
        "rnn": (lstm, 16, 28 * 28 * 4 * 64),
        "gru": (dataclasses.replace(lstm, net=NETS["gru"]), 16, 28 * 28 * 3 * 64),
        "resnet20": (resnet, 4, 32 * 32 * 9 * 3 * 16),
        "vae": (coder, 64, 28 * 28 * 128),
        "conv_autoencoder": (convolutional, 16, 14 * 14 * 9 * 16),
    }[name]


def products(work: Work, evaluated: int = 0) -> float:
    """Floating-point operations in the matrix products and convolutions of one run.

    Args:
        work: a step is a forward pass, and a backward pass to every kernel and every input except the examples.
        evaluated: examples evaluated after each epoch.
    """
    forward = inspection.multiply_adds(work.run.net, work.data.train.x.shape[1:])
    step = work.run.batch_size * (3 * forward - work.first)
    return 2.0 * work.epochs * (work.steps * step + evaluated * forward)
