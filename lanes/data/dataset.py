"""What a data set is to the engine: arrays of three splits, their task, and how inputs are standardized."""

import dataclasses
import mmap
from collections.abc import Iterator

import numpy as np

TASKS = ("classes", "binary", "multilabel", "real", "tokens")
STANDARDIZATIONS = ("global", "feature", "unit", "none")
CHUNK_BYTES = 1 << 20  # arrays may be memory-mapped and larger than memory: they are walked in pieces of this size


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
    """A data set, ready for the engine. A net sees `(x.astype(float32) - offset) * scale`; tokens are left as they are.

    Attributes:
        name, version: identify it in results and caches.
        train, valid, test: the splits; the last two may be None.
        task: one of TASKS.
        outputs: number of classes, dimension of the target (1 for binary), or size of the vocabulary.
        offset, scale: float32, of shape () or of one example's features, from the training split only.
        classes: names of the outputs where they are known.
        vocabulary: for text, the character of each input token.
        standardize: how offset and scale were made, one of STANDARDIZATIONS; None where the user gave them.
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

    def splits(self) -> dict[str, Split]:
        """The splits there are, by name."""
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: what the data set takes when it lives on a device."""
        return sum(split.x.nbytes + split.y.nbytes for split in self.splits().values())

    def first_examples(self, n: int, seed: int) -> "Dataset":
        """With the first n training examples of one stratified order: smaller sets are parts of larger ones.

        Offset and scale are computed anew, from these examples only.

        Raises:
            ValueError: n is not in 1 … number of training examples.
        """
        if not 1 <= n <= len(self.train):
            raise ValueError(f"train_examples={n}: must be from 1 to {len(self.train)}, all that {self.name!r} has")
        train = self.train.take(stratified_order(self.train.y, seed)[:n])
        offset, scale = self.offset, self.scale
        if self.standardize is not None:
            offset, scale = standardization(train.x, self.standardize)
        return dataclasses.replace(self, train=train, offset=offset, scale=scale)


def stratified_order(y: np.ndarray, seed: int) -> np.ndarray:
    """A shuffled order of the examples whose every prefix, and every stretch, has about the classes' own proportions.

    The k-th member of a class of n members is put at (k + u) / n with u uniform in [0, 1), so a prefix of the fraction
    f holds f·n members of that class, give or take one. Targets that are not one class per example are merely shuffled.

    Returns:
        int64 [N], a permutation.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0x5B117])))
    order = generator.permutation(len(y))
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        return order
    place = np.empty(len(y))
    shuffled = np.asarray(y)[order]
    for label in np.unique(shuffled):
        members = np.flatnonzero(shuffled == label)
        place[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return order[np.argsort(place, kind="stable")]


def share(n: int, fraction: float, name: str) -> int:
    """Number of examples in a fraction of `n`; 0 only for the fraction 0, and never all of them."""
    if not 0 <= fraction < 1:
        raise ValueError(f"{name}={fraction}: must be at least 0 and below 1")
    count = round(n * fraction)
    if fraction and not 1 <= count < n:
        raise ValueError(
            f"{name}={fraction}: makes {count} of {n} examples, at least 1 must be on each side; change it"
        )
    return count


def cut(split: Split, fraction: float, seed: int, name: str = "valid_fraction") -> tuple[Split, Split | None]:
    """Cuts a stratified fraction off a split: (what is left, shuffled; what was cut off, or None for 0)."""
    count = share(len(split), fraction, name)
    if not count:
        return split, None
    order = stratified_order(split.y, seed)
    return split.take(order[count:]), split.take(order[:count])


def joined(first: Split, second: Split | None) -> Split:
    """One split of two."""
    if second is None:
        return first
    return Split(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))


def pieces(array: np.ndarray, piece_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
    """The array by rows, in pieces of about so many bytes; pages of a memory-mapped file are given back after each."""
    row = max(1, array[:1].nbytes)
    step = max(1, piece_bytes // row)
    for start in range(0, len(array), step):
        yield array[start : start + step]
        release(array)


def release(array: np.ndarray) -> None:
    """Gives a memory-mapped array's pages back to the system, so that a walk through it does not fill the memory."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def standardization(x: np.ndarray, how: str, piece_bytes: int = CHUNK_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale of the inputs, from the training split.

    Args:
        x: [N, *features], of any numeric type.
        how: "global" (one mean and standard deviation for all numbers), "feature" (one per feature; a feature that is
            constant in training is scaled to 0), "unit" (uint8 to 0 … 1), "none".
        piece_bytes: the pieces in which a large array is read.

    Returns:
        offset, scale: float32, of shape (), or of one example for "feature".

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
    # The second walk is about the mean: sums of squares would lose the digits of features far from 0.
    square = sum(np.square(piece - mean).sum(axes) for piece in pieces(x, piece_bytes)) / count
    deviation = np.sqrt(square)
    flat = deviation <= 1e-12 * np.maximum(1, np.abs(mean))
    scale = np.where(flat, 0, 1 / np.where(flat, 1, deviation))
    return np.asarray(mean, np.float32), np.asarray(scale, np.float32)


def check_dataset(data: Dataset) -> Dataset:
    """The data set itself, if its arrays fit together.

    Raises:
        ValueError: unequal lengths or shapes, an empty split, a number that is not finite, a label that is no class.
    """
    if data.task not in TASKS:
        raise ValueError(f"data set {data.name!r}: task={data.task!r} must be one of {', '.join(TASKS)}")
    features = data.train.x.shape[1:]
    for name, split in data.splits().items():
        where = f"data set {data.name!r}, split {name}"
        if len(split.x) != len(split.y):
            raise ValueError(f"{where}: {len(split.x)} inputs and {len(split.y)} targets; must be equally many")
        if not len(split.x):
            raise ValueError(f"{where}: is empty; must hold at least one example (leave it out, or cut less)")
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
            at = np.argwhere(bad)[0]
            index = (seen + int(at[0]), *map(int, at[1:]))
            value = piece[tuple(at)]
            raise ValueError(
                f"{where}: {what}[{', '.join(map(str, index))}] is {value}; must be finite: mend or drop it"
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
