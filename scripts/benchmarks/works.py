"""The works that are timed: what is trained, on which data, for how many steps."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from lanes import Run
from lanes.datasets import Dataset, load_dataset
from lanes.errors import RequestError
from nets import MLP, LeNet5, Recurrent

IMAGES = 8192  # training examples of the MNIST-shaped set: 64 steps of 128
SHOWN = 256  # in each of its other splits

Arrays = tuple[np.ndarray, np.ndarray]


@functools.cache
def images() -> dict[str, Arrays]:
    """MNIST where TFDS has it prepared, otherwise noise of its shape: uint8 [N, 28, 28, 1] and ten classes."""
    try:
        mnist = load_dataset("mnist")
        assert mnist.valid is not None
        assert mnist.test is not None
        splits = {"train": (mnist.train, IMAGES), "valid": (mnist.valid, SHOWN), "test": (mnist.test, SHOWN)}
        return {name: (np.array(split.x[:n]), np.array(split.y[:n])) for name, (split, n) in splits.items()}
    except (RequestError, OSError):
        return _noise()


def _noise() -> dict[str, Arrays]:
    random = np.random.default_rng(0)
    sizes = {"train": IMAGES, "valid": SHOWN, "test": SHOWN}
    return {
        name: (random.integers(0, 256, (n, 28, 28, 1), np.uint8), random.integers(0, 10, n, np.int32))
        for name, n in sizes.items()
    }


def series() -> dict[str, Arrays]:
    """The images as 28 steps of 28 features: float32 [N, 28, 28]."""
    return {name: (x[..., 0].astype(np.float32) / 255, y) for name, (x, y) in images().items()}


def source() -> str:
    """Which of the two the images are."""
    return "noise of MNIST's shape (no prepared MNIST was found)" if _is_noise() else "MNIST"


def _is_noise() -> bool:
    return np.array_equal(images()["valid"][0], _noise()["valid"][0])


@dataclasses.dataclass(frozen=True)
class Work:
    """One run's work, ours as a `Run` and the peers' by name.

    Attributes:
        run: what ours trains; an epoch is `steps` steps.
        steps: in an epoch.
        epochs: of a run.
    """

    name: str
    run: Run
    steps: int
    epochs: int = 1

    @property
    def data(self) -> Dataset:
        """The run's data set."""
        return load_dataset(self.run.data, train_examples=self.run.train_examples)

    def export(self, path: Path) -> None:
        """What peers train on, standardized beforehand: x, y, valid_x, valid_y."""
        data = self.data
        assert data.valid is not None

        arrays = {}
        for prefix, split in {"": data.train, "valid_": data.valid}.items():
            x = standardized(data, np.asarray(split.x))
            arrays[f"{prefix}x"] = x.reshape(len(x), -1) if isinstance(self.run.net, MLP) else x
            arrays[f"{prefix}y"] = np.asarray(split.y, np.int64)
        np.savez(path, **arrays)  # type: ignore[arg-type]


def standardized(data: Dataset, x: np.ndarray) -> np.ndarray:
    """x as a net sees it, float32."""
    return ((x.astype(np.float32) - data.offset) * data.scale).astype(np.float32)


def work(name: str, quick: bool = False) -> Work:
    """A work by its name; quick ones have fewer epochs and examples."""
    if name == "sweep":
        run = Run(data="digits", net=MLP(widths=(64, 64)), batch_size=32, epochs=2 if quick else 20)
        return Work(name, run, steps=44, epochs=run.epochs)
    net, data, batch, steps = {
        "mnist_mlp": (MLP(widths=(128, 128)), images, 128, 64),
        "lenet": (LeNet5(), images, 64, 16),
        "rnn": (Recurrent(cell="lstm", widths=(64,)), series, 64, 16),
    }[name]
    steps = 2 if quick else steps
    act = "tanh" if name == "rnn" else "relu"
    run = Run(data=data, net=net, activation=act, batch_size=batch, train_examples=batch * steps)
    return Work(name, run, steps)


def work_a_products(epochs: int, steps: int, evaluated: int) -> float:
    """Floating-point operations in the matrix products of one run of Work A.

    Args:
        epochs, steps: epochs, and steps of 32 examples in each.
        evaluated: validation examples after each epoch.
    """
    first, others = 64 * 64, 64 * 64 + 64 * 10  # multiply-adds for one example
    training = 2 * (2 * first + 3 * others)  # forward, weights' gradient, and inputs' gradient but for the first layer
    return epochs * (steps * 32 * training + evaluated * 2 * (first + others))
