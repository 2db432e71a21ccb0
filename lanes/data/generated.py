"""The base of generated data sets: seeded on the host, sized by fields, split in three."""

import dataclasses
import re

import numpy as np

from lanes.data.dataset import Dataset, Split, check_dataset, cut, share
from lanes.data.label_noise import label_noise_field
from lanes.data.standardizing import standardization

Arrays = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Generated:
    """Base of generated sets: `examples(n, random)` makes (x, y), and the fractions below split them in three.

    Args:
        n: total number of examples.
        seed: seed of the examples; another seed is another draw of the same problem.
        test_fraction: fraction of n for testing.
        valid_fraction: fraction of the rest for validation; 0 for none.
        split_seed: seed of the (stratified) splits.
        standardize: see `lanes.data.standardizing.standardization`.
        binary: encode two classes as a single target of 0 or 1, for one output unit.
        label_noise: probability that a training label is drawn anew (`Dataset.with_label_noise`), by `split_seed`.
    """

    n: int = 500
    seed: int = dataclasses.field(default=0, metadata={"replicate": "seed"})
    test_fraction: float = 0.2
    valid_fraction: float = 0.1
    split_seed: int = dataclasses.field(default=0, metadata={"replicate": "seed"})
    standardize: str = "none"
    binary: bool = False
    label_noise: float = label_noise_field()

    def check(self) -> None:
        """Raises ValueError if a field is out of range."""
        at_least("n", self.n, 3)
        share(self.n, self.test_fraction, "test_fraction")
        share(self.n, self.valid_fraction, "valid_fraction")
        if self.binary and (self.kind, self.choices) != ("classes", 2):
            raise ValueError(f"binary=True: {type(self).__name__} does not have two classes: leave it out")

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        """n examples (x float32, int32 or uint8 [n, *features], y)."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """The task apart from `binary`: "classes", "real" or "tokens"."""
        return "classes"

    @property
    def choices(self) -> int:
        """Number of classes, dimension of the target, or size of the vocabulary."""
        return 2

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set."""
        del data_dir  # nothing is read
        self.check()
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, 0x6E7])))
        x, y = self.examples(self.n, random)
        rest, test = cut(Split(x, y), self.test_fraction, self.split_seed, "test_fraction")
        train, valid = cut(rest, self.valid_fraction, self.split_seed)
        how = "none" if self.kind == "tokens" else self.standardize
        offset, scale = standardization(train.x, how)
        data = check_dataset(
            Dataset(
                name=re.sub("(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower(),
                version="1",
                train=self._targeted(train),
                valid=valid and self._targeted(valid),
                test=test and self._targeted(test),
                task="binary" if self.binary else self.kind,
                outputs=1 if self.binary else self.choices,
                offset=offset,
                scale=scale,
                standardize=how,
                seeded=bool(self.test_fraction or self.valid_fraction),
            )
        )
        return data.with_label_noise(self.label_noise, self.split_seed)

    def _targeted(self, split: Split) -> Split:
        """The split with binary targets if `binary`; splits are stratified by class before."""
        return Split(split.x, split.y.astype(np.float32)[:, None]) if self.binary else split


def at_least(name: str, value: float, least: float) -> None:
    """Raises ValueError unless value ≥ least."""
    if not value >= least:
        raise ValueError(f"{name}={value}: must be at least {least}")


def class_labels(n: int, classes: int) -> np.ndarray:
    """int32 [n]: classes 0 … classes - 1 in equal shares (the first classes get the remainder)."""
    return (np.arange(n) % classes).astype(np.int32)


def polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points in the plane [N, 2] from polar coordinates [N]."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def around(points: np.ndarray, noise: float, random: np.random.Generator) -> np.ndarray:
    """The points with Gaussian noise of standard deviation `noise`, float32."""
    return (points + noise * random.standard_normal(points.shape)).astype(np.float32)


def corners(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs of 0 or 1 (int32 [N] each), with all four combinations equally often."""
    corner = class_labels(n, 4)
    return corner // 2, corner % 2
