"""A data set as the engine sees it: the arrays of its splits, their task, and how inputs are standardized."""

import dataclasses
import mmap
from collections.abc import Iterator

import numpy as np

TASKS = ("classes", "binary", "multilabel", "real", "tokens")
STANDARDIZATIONS = ("global", "feature", "unit", "none")
CHUNK_BYTES = 1 << 20  # arrays may be memory-mapped and larger than memory, so they are read in pieces of this size


@dataclasses.dataclass(frozen=True)
class Split:
    """Arrays of one split on the host; they may be memory-mapped.

    Attributes:
        x: [N, *features]: uint8 images [N, H, W, C], float32 vectors [N, F] or series [N, T, C], int32 tokens [N, T].
        y: [N] int32 classes; float32 [N, ...] targets (binary: [N, 1] of 0 and 1; multilabel: [N, K] of 0 and 1);
            int32 [N, T] next tokens.
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Split":
        """The split with these rows, in this order (a copy in memory)."""
        return Split(np.asarray(self.x[rows]), np.asarray(self.y[rows]))


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
        seeded: whether the description's `split_seed` decides which examples are in which split.
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
    seeded: bool = True

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
        train = self.train.take(stratified_order(self.train.y, seed)[:n])
        offset, scale = self.offset, self.scale
        if self.standardize is not None:
            offset, scale = standardization(train.x, self.standardize)
        return dataclasses.replace(self, train=train, offset=offset, scale=scale)


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
    return Split(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))


def pieces(array: np.ndarray, piece_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
    """The array along its rows in pieces of about `piece_bytes`; releases a memory-mapped file's pages after each."""
    row = max(1, array[:1].nbytes)
    step = max(1, piece_bytes // row)
    for start in range(0, len(array), step):
        yield array[start : start + step]
        release(array)


def release(array: np.ndarray) -> None:
    """Returns a memory-mapped array's pages to the system, so that reading all of it does not fill the memory."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def standardization(x: np.ndarray, how: str, piece_bytes: int = CHUNK_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale of the inputs, from the training split.

    Args:
        x: [N, *features], of any numeric type.
        how: "global" (one mean and standard deviation over all numbers), "feature" (one per feature; a feature that is
            constant in training is scaled to 0), "unit" (uint8 to 0 … 1), "none".
        piece_bytes: size of the pieces in which large arrays are read.

    Returns:
        offset, scale: float32, of shape (), or of one example's shape for "feature".

    Raises:
        ValueError: `how` is not one of STANDARDIZATIONS.
    """
    if how not in STANDARDIZATIONS:
        raise ValueError(f"standardize={how!r}: must be one of {', '.join(STANDARDIZATIONS)}")
    if how in ("unit", "none"):
        return np.zeros((), np.float32), np.asarray(1 / 255 if how == "unit" else 1, np.float32)
    axes = 0 if how == "feature" else None
    count = len(x) if how == "feature" else x.size
    mean = sum(piece.sum(axes, dtype=np.float64) for piece in pieces(x, piece_bytes)) / count
    # A second pass over squared deviations: plain sums of squares would cancel for features far from 0.
    square = sum(np.square(piece - mean).sum(axes) for piece in pieces(x, piece_bytes)) / count
    deviation = np.sqrt(square)
    flat = deviation <= 1e-12 * np.maximum(1, np.abs(mean))
    scale = np.where(flat, 0, 1 / np.where(flat, 1, deviation))
    return np.asarray(mean, np.float32), np.asarray(scale, np.float32)


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
        _check_finite(split.x, where, "inputs")
        _check_finite(split.y, where, "targets")
        _check_targets(split, data.task, data.outputs, where)
    return data


def _check_finite(array: np.ndarray, where: str, what: str) -> None:
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
