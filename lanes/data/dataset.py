"""A data set as the engine sees it: the arrays of its splits, their task, and how inputs are standardized."""

import dataclasses
from typing import Any

import numpy as np

from lanes.data.label_noise import classes_of, noisy
from lanes.data.sequences import standardization_of_series, valid_steps
from lanes.data.standardizing import (
    STANDARDIZATIONS,
    Standardizer,
    check_fine,
    fitted,
    pieces,
    single,
    standardization,
    white,
)

TASKS = ("classes", "binary", "multilabel", "real", "tokens")


@dataclasses.dataclass(frozen=True)
class Split:
    """Arrays of one split on the host; they may be memory-mapped.

    Attributes:
        x: [N, *features]: uint8 images [N, H, W, C], float32 vectors [N, F] or series [N, T, C], int32 tokens [N, T].
        y: [N] int32 classes; float32 [N, ...] targets (binary: [N, 1] of 0 and 1; multilabel: [N, K] of 0 and 1);
            int32 [N, T] next tokens.
        raw: the inputs as they were given, where x is not: integers, and numbers that float32 cannot hold.
    """

    x: np.ndarray
    y: np.ndarray
    raw: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Split":
        """The split with these rows, in this order (a copy in memory)."""
        raw = None if self.raw is None else np.asarray(self.raw[rows])
        return Split(np.asarray(self.x[rows]), np.asarray(self.y[rows]), raw)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, ready for the engine. A net sees `(x.astype(float32) - offset) * scale`, or tokens as they are.

    Attributes:
        name, version: identify it in results and caches.
        train, valid, test: the splits; valid and test may be None.
        task: one of TASKS.
        outputs: number of classes, dimension of the target (1 for binary), or size of the vocabulary.
        offset, scale: float32, of shape () or of one example's features, from the training split only.
        classes: names of the outputs, if known.
        vocabulary: for text, the character of each input token.
        standardize: how offset and scale were computed, one of STANDARDIZATIONS; None if the user set them.
        origin: names what the arrays were computed from, for arrays whose last digits depend on the device; the
            fingerprint then covers it instead of the arrays.
        standardizer: what made x from `raw` on the host, if it did; offset and scale are then 0 and 1.
        tokens: number of distinct tokens, if the inputs are tokens and it is known; 0 otherwise.
        declared: whether what the targets are was stated; if not, the run's loss or task decides it.
        not_classes: why undeclared targets cannot be classes, in one line; empty if they can.
        clean: the training labels before label noise, if there is any.
        seeded: whether the description's `split_seed` decides which examples are in which split.
        padded: whether the inputs are series of unequal length, whose padding is NaN in numbers [N, T, C] and -1 in tokens
            [N, T] (`lanes.data.sequences`).
    """

    name: str
    version: str
    train: Split
    valid: Split | None
    test: Split | None
    task: str
    outputs: int
    offset: np.ndarray
    scale: np.ndarray
    classes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    standardize: str | None = None
    origin: str = ""
    standardizer: Standardizer | None = None
    tokens: int = 0
    declared: bool = True
    not_classes: str = ""
    seeded: bool = True
    clean: np.ndarray | None = None
    padded: bool = False

    @property
    def vocabulary_size(self) -> int | None:
        """Number of distinct tokens of the inputs; None if they are not tokens, or it is not known."""
        return (self.tokens or len(self.vocabulary) or None) if self.holds_tokens else None

    @property
    def is_ambiguous(self) -> bool:
        """Whether what the arrays are depends on the run: undeclared targets, integer inputs, or two classes."""
        integers = self.train.raw is not None and self.train.raw.dtype.kind in "iu"
        return not self.declared or integers or (self.task == "classes" and self.outputs == 2)

    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: the memory that the data set takes on a device."""
        return sum(split.x.nbytes + split.y.nbytes for split in self.splits().values())

    def first_examples(self, n: int, seed: int) -> "Dataset":
        """The data set with only the first n training examples of a stratified order; smaller sets nest in larger ones.

        Offset and scale are recomputed from these examples only.

        Raises:
            ValueError: n is not in 1 … number of training examples.
        """
        if not 1 <= n <= len(self.train):
            raise ValueError(
                f"train_examples={n}: must be from 1 to {len(self.train)}, the number that {self.name!r} has"
            )
        rows = stratified_order(self.train.y if self.clean is None else self.clean, seed)[:n]
        train = self.train.take(rows)
        few = dataclasses.replace(self, train=train, clean=None if self.clean is None else self.clean[rows])
        if self.standardize is None:
            return few
        if train.raw is not None and not self.holds_tokens:
            return few.standardized(self.standardize)
        offset, scale = few._standardization(train.x, self.standardize)
        return dataclasses.replace(few, offset=offset, scale=scale)

    def with_label_noise(self, rate: float, seed: int = 0) -> "Dataset":
        """The data set with symmetric label noise on its training split; validation and test labels stay as they are.

        Each training label is replaced with probability `rate` by a class drawn uniformly from all K, its own included (Zhang
        et al. 2017): in expectation the share rate (1 - 1/K) of labels changes. They are drawn once, from `seed`; a higher
        rate changes the same labels and further ones. Raises ValueError as `label_noise.classes_of`.
        """
        classes = classes_of(self.name, self.task, self.outputs, rate)
        if rate == 0:
            return self
        train = dataclasses.replace(self.train, y=noisy(self.train.y, classes, rate, seed))
        origin = self.origin and f"{self.origin} label_noise={rate!r} seed={seed}"
        return dataclasses.replace(self, train=train, clean=self.train.y, origin=origin, declared=True, seeded=True)

    def steps(self, x: np.ndarray) -> np.ndarray:
        """Inputs of a split without padding: x itself, or the valid steps [M, C] of series of unequal length."""
        return valid_steps(x) if self.padded else x

    def _standardization(self, x: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
        return standardization_of_series(x, how) if self.padded else standardization(x, how)

    def target_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the training targets, for each entry of an example's; 1 for a constant entry."""
        mean, inverse = standardization(self.train.y, "feature")
        return mean, np.where(inverse == 0, 1, 1 / np.where(inverse == 0, 1, inverse))

    @property
    def holds_tokens(self) -> bool:
        """Whether the inputs are integer tokens."""
        return self.train.x.dtype == np.int32

    def standardized(self, how: str) -> "Dataset":
        """The data set with its inputs as the engine takes them: standardized on the host where float32 needs it.

        Numbers become float32 and the net subtracts offset and multiplies by scale; bytes stay bytes. Where the mean of
        the training numbers lies more than 64 of their deviations from 0, or magnitudes are beyond 1e30 or 1e-30, that
        would lose digits: there x is standardized in float64 before it becomes float32. Each split's `raw` is kept where
        float32 does not hold it, as are integers.

        Raises:
            ValueError: `how` is unknown; or it is "none" or "unit", and float32 rounds the numbers visibly.
        """
        inputs = {name: split.x if split.raw is None else split.raw for name, split in self.splits().items()}
        train, host = inputs["train"], None
        if train.dtype != np.uint8:
            measured = fitted(self.steps(train), how if how == "global" else "feature")
            if how in ("global", "feature"):
                host = measured if measured.is_needed else None
            elif how in STANDARDIZATIONS:
                steps = {name: self.steps(x) for name, x in inputs.items()}
                check_fine(measured, steps, f"data set {self.name!r}: standardize={how!r} hands numbers over")
        made: dict[str, Any] = {}
        for name, split in self.splits().items():
            given = inputs[name]
            x = given if train.dtype == np.uint8 else single(given, self.name, name) if host is None else host(given)
            keeps = given.dtype.kind in "iu" or host is not None
            made[name] = dataclasses.replace(split, x=x, raw=given if keeps and x is not given else None)
        if host is not None:
            offset, scale = np.zeros((), np.float32), np.ones((), np.float32)
        else:
            offset, scale = self._standardization(made["train"].x, how)
            if how == "unit":
                scale = np.asarray(1 / white(train.dtype), np.float32)
        return dataclasses.replace(self, **made, offset=offset, scale=scale, standardize=how, standardizer=host)

    def seen_by(self, own: "Dataset") -> "Dataset":
        """This data set with its inputs standardized as those of `own`, on which a net was trained.

        Raises:
            ValueError: tokens beyond the net's vocabulary, series of unequal length for a net trained on equal ones, or numbers
            that float32 cannot hold as the net expects them.
        """
        if self is own:
            return own
        if self.padded and not own.padded:
            raise ValueError(
                f"{self.name} has series of unequal length, and the net was trained on series of one length"
            )
        if self.tokens > own.tokens > 0:
            raise ValueError(f"{self.name} has {self.tokens} tokens, and the net was trained with {own.tokens}")
        made: dict[str, Any] = {}
        for name, split in self.splits().items():
            x, given = split.x, split.x if split.raw is None else split.raw
            if own.standardizer is not None:
                x = own.standardizer(given)
            elif self.standardizer is not None:
                x = single(given, self.name, name)
            made[name] = dataclasses.replace(split, x=x)
        return dataclasses.replace(
            self, **made, offset=own.offset, scale=own.scale, standardize=None, standardizer=own.standardizer
        )


def stratified_order(y: np.ndarray, seed: int) -> np.ndarray:
    """A shuffled order of the examples in which every prefix, and every range, has about the overall class proportions.

    The k-th of the n members of a class gets the position (k + u) / n with u uniform in [0, 1), so a prefix of the
    fraction f holds f·n members of that class, give or take one. Targets other than one class per example are merely
    shuffled.

    Returns:
        int64 [N], a permutation.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0x5B117])))
    order = generator.permutation(len(y))
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        return order
    position = np.empty(len(y))
    shuffled = np.asarray(y)[order]
    for label in np.unique(shuffled):
        members = np.flatnonzero(shuffled == label)
        position[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return order[np.argsort(position, kind="stable")]


def share(n: int, fraction: float, name: str) -> int:
    """Number of examples in a fraction of `n`: 0 only for the fraction 0, and never all of them.

    Raises:
        ValueError: the fraction is not in [0, 1), or leaves no example on one side. `name` is the field named in it.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"{name}={fraction}: must be at least 0 and below 1")
    count = round(n * fraction)
    if fraction and not 1 <= count < n:
        raise ValueError(
            f"{name}={fraction}: selects {count} of {n} examples; at least 1 must be on each side: change it"
        )
    return count


def cut(split: Split, fraction: float, seed: int, name: str = "valid_fraction") -> tuple[Split, Split | None]:
    """Splits off a stratified fraction: (the rest, shuffled; the fraction, or None if it is 0)."""
    count = share(len(split), fraction, name)
    if not count:
        return split, None
    order = stratified_order(split.y, seed)
    return split.take(order[count:]), split.take(order[:count])


def joined(first: Split, second: Split | None) -> Split:
    """Both splits as one."""
    if second is None:
        return first
    raw = None if first.raw is None or second.raw is None else np.concatenate([first.raw, second.raw])
    return Split(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]), raw)


def check_dataset(data: Dataset) -> Dataset:
    """Returns the data set if its arrays are consistent.

    Raises:
        ValueError: unequal lengths or shapes, an empty split, a number that is not finite, a label that is not a class.
    """
    if data.task not in TASKS:
        raise ValueError(f"data set {data.name!r}: task={data.task!r} must be one of {', '.join(TASKS)}")
    features = data.train.x.shape[1:]
    for name, split in data.splits().items():
        where = f"data set {data.name!r}, split {name}"
        if len(split.x) != len(split.y):
            raise ValueError(
                f"{where}: {len(split.x)} inputs but {len(split.y)} targets; there must be as many of each"
            )
        if not len(split.x):
            raise ValueError(
                f"{where}: is empty; must hold at least one example: leave it out, or use smaller fractions"
            )
        if split.x.shape[1:] != features:
            raise ValueError(f"{where}: inputs of shape {split.x.shape[1:]}, must be {features} as in train")
        check_finite(data.steps(split.x), where, "inputs")
        check_finite(split.y, where, "targets")
        _check_targets(split, data.task, data.outputs, where)
    return data


def check_finite(array: np.ndarray, where: str, what: str) -> None:
    """Raises ValueError, naming the first, for a number that is not finite."""
    if not np.issubdtype(array.dtype, np.floating):
        return
    seen = 0
    for piece in pieces(array):
        bad = ~np.isfinite(piece)
        if bad.any():
            first = np.argwhere(bad)[0]
            index = (seen + int(first[0]), *map(int, first[1:]))
            value = piece[tuple(first)]
            raise ValueError(
                f"{where}: {what}[{', '.join(map(str, index))}] is {value}; must be finite: fix it or drop the example"
            )
        seen += len(piece)


def _check_targets(split: Split, task: str, outputs: int, where: str) -> None:
    y = split.y
    if task in ("classes", "tokens"):
        shape = (len(split.x),) if task == "classes" else split.x.shape[:2]
        if not np.issubdtype(y.dtype, np.integer) or y.shape != shape:
            raise ValueError(
                f"{where}: targets are {y.dtype}{list(y.shape)}; task {task!r} needs integers {list(shape)}"
            )
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= outputs:
            bad = low if low < 0 else high
            raise ValueError(f"{where}: label {bad} found; labels must be 0 … {outputs - 1}: number the classes from 0")
    elif task in ("binary", "multilabel"):
        if y.shape != (len(split.x), outputs):
            raise ValueError(
                f"{where}: targets of shape {list(y.shape)}; task {task!r} needs [{len(split.x)}, {outputs}]"
            )
        bad_values = y[(y != 0) & (y != 1)]
        if bad_values.size:
            raise ValueError(f"{where}: target {bad_values[0]} found; task {task!r} needs 0 or 1")
    elif y.ndim < 2 or y.shape[1] != outputs:
        raise ValueError(f"{where}: targets of shape {list(y.shape)}; task 'real' needs [{len(split.x)}, {outputs}, …]")
