"""Generated data sets: small problems with a known answer, seeded, sized by field, made on the host."""

import dataclasses

import numpy as np

from lanes.splits import Dataset, Split, check_dataset, cut, share, standardization

Arrays = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Generated:
    """What generated sets share: `examples(n, random)` makes (x, y), and the sizes below cut it in three.

    Args:
        n: number of examples in all.
        seed: of the examples; another seed is another draw of the same problem.
        test_fraction: of n; for testing.
        valid_fraction: of what is left, for validation; 0 for none.
        split_seed: of the (stratified) splitting.
        standardize: see `lanes.splits.standardization`.
    """

    n: int = 500
    seed: int = 0
    test_fraction: float = 0.2
    valid_fraction: float = 0.1
    split_seed: int = 0
    standardize: str = "none"

    def check(self) -> None:
        """Raises ValueError where a field is out of its range."""
        at_least("n", self.n, 3)
        share(self.n, self.test_fraction, "test_fraction")
        share(self.n, self.valid_fraction, "valid_fraction")

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        """n examples (x float32 or int32 [n, *features], y)."""
        raise NotImplementedError

    @property
    def task(self) -> str:
        """The data set's task."""
        return "classes"

    @property
    def outputs(self) -> int:
        """Classes, target dimension, or vocabulary."""
        return 2

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set."""
        del data_dir  # nothing is read
        self.check()
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, 0x6E7])))
        everything = Split(*self.examples(self.n, random))
        rest, test = cut(everything, self.test_fraction, self.split_seed, "test_fraction")
        train, valid = cut(rest, self.valid_fraction, self.split_seed)
        how = "none" if self.task == "tokens" else self.standardize
        offset, scale = standardization(train.x, how)
        name = type(self).__name__.lower()
        return check_dataset(Dataset(name, "1", train, valid, test, self.task, self.outputs, offset, scale))


def at_least(name: str, value: float, least: float) -> None:
    """Raises ValueError unless value ≥ least."""
    if not value >= least:
        raise ValueError(f"{name}={value}: must be at least {least}")


def _labels(n: int, classes: int) -> np.ndarray:
    """Classes 0 … classes - 1 in equal shares (the first ones get the remainder)."""
    return (np.arange(n) % classes).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Spirals(Generated):
    """Interleaved spirals in the plane, one per class (Lang and Witbrock, "Learning to tell two spirals apart", 1988).

    A point at t uniform in [0, 1] of class k lies at radius t and angle 2π (turns · t + k / classes), plus noise.

    Args:
        classes: number of arms, ≥ 2.
        turns: revolutions of each arm.
        noise: standard deviation added to both coordinates.
    """

    classes: int = 2
    turns: float = 1.5
    noise: float = 0.02
    standardize: str = "feature"

    def check(self) -> None:
        super().check()
        at_least("classes", self.classes, 2)
        at_least("noise", self.noise, 0)

    @property
    def outputs(self) -> int:
        return self.classes

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = _labels(n, self.classes)
        t = np.sqrt(random.random(n))  # evenly along the arm's length, roughly, instead of crowding the middle
        angle = 2 * np.pi * (self.turns * t + y / self.classes)
        x = np.stack([t * np.cos(angle), t * np.sin(angle)], 1) + self.noise * random.standard_normal((n, 2))
        return x.astype(np.float32), y


@dataclasses.dataclass(frozen=True)
class XOR(Generated):
    """Exclusive or: the four corners (±1, ±1) with noise; class 1 where the signs differ. No line separates it.

    Args:
        noise: standard deviation around the corners.
    """

    noise: float = 0.2

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        corner = _labels(n, 4)
        first, second = corner // 2, corner % 2
        centres = 2.0 * np.stack([first, second], 1) - 1
        x = centres + self.noise * random.standard_normal((n, 2))
        return x.astype(np.float32), (first ^ second).astype(np.int32)
