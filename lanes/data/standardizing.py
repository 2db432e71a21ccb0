"""Standardizing inputs: offset and scale from the training split, in float64, before anything becomes float32."""

import dataclasses
import mmap
from collections.abc import Iterator

import numpy as np

STANDARDIZATIONS = ("global", "feature", "unit", "none")
CHUNK_BYTES = 1 << 20  # arrays may be memory-mapped and larger than memory, so they are read in pieces of this size
ROUNDINGS = 4  # a range of so many roundings of the largest magnitude is no variation
FAR = 64.0  # deviations from 0; float32 resolves what lies nearer to 1e-5 of a deviation
COARSE = 1e-3  # of a deviation: the largest rounding error of numbers that are not standardized
EXTREME = 1e30  # magnitudes above it, or below its inverse, come near the ends of float32's range


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
            constant in training, up to rounding, is scaled to 0), "unit" (to 0 … 1: divides by 255, and unsigned
            integers by the largest of their type), "none".
        piece_bytes: size of the pieces in which large arrays are read.

    Returns:
        offset, scale: float32, of shape (), or of one example's shape for "feature".

    Raises:
        ValueError: `how` is not one of STANDARDIZATIONS.
    """
    if how not in STANDARDIZATIONS:
        raise ValueError(f"standardize={how!r}: must be one of {', '.join(STANDARDIZATIONS)}")
    if how in ("unit", "none"):
        return np.zeros((), np.float32), np.asarray(1 / white(x.dtype) if how == "unit" else 1, np.float32)
    axes = 0 if how == "feature" else None
    count = len(x) if how == "feature" else x.size
    mean = sum(piece.sum(axes, dtype=np.float64) for piece in pieces(x, piece_bytes)) / count
    # A second pass over squared deviations: plain sums of squares would cancel for features far from 0.
    square = sum(np.square(piece - mean).sum(axes) for piece in pieces(x, piece_bytes)) / count
    deviation = np.sqrt(square)
    flat = (deviation == 0) | _constant(x, axes, piece_bytes)
    scale = np.where(flat, 0, 1 / np.where(flat, 1, deviation))
    return np.asarray(mean, np.float32), np.asarray(scale, np.float32)


def white(dtype: np.dtype) -> float:
    """What "unit" divides by: the largest number of an unsigned type or of booleans, 255 for any other."""
    if dtype.kind == "b":
        return 1.0
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 255.0


def _constant(x: np.ndarray, axes: int | None, piece_bytes: int = CHUNK_BYTES) -> np.ndarray:
    """Where floats vary by no more than a few roundings of their magnitude, as a column of 0.1 + 0.2 and 0.3 does."""
    if x.dtype.kind != "f":
        return np.zeros((), bool)
    ends = [(piece.min(axes), piece.max(axes)) for piece in pieces(x, piece_bytes)]
    low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
    magnitude = np.maximum(np.abs(low), np.abs(high))
    # Halved, as the difference of the ends may be beyond the largest number.
    return np.asarray(high / 2 - low / 2 <= ROUNDINGS / 2 * np.finfo(x.dtype).eps * magnitude)


@dataclasses.dataclass(frozen=True, eq=False)
class Standardizer:
    """Standardizes numbers that float32 cannot hold, on the host: ((x - origin) / 2^exponent - mean) · scale.

    The origin is one of the training numbers, in their own type: integers are subtracted exactly whatever their size, and
    floats that lie close together lose nothing. The power of two keeps squares of floats in range.

    Attributes:
        origin, exponent, mean, scale: of shape (), or of one example's features.
        size: the largest absolute value over 2^exponent.
        flat: where the training numbers are constant up to rounding.
    """

    origin: np.ndarray
    exponent: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    size: np.ndarray
    flat: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """float32 of x's shape: what a net sees of the numbers x [N, *features]."""
        out = np.empty(x.shape, np.float32)
        start = 0
        for piece in pieces(x):
            out[start : start + len(piece)] = (differences(piece, self.origin, self.exponent) - self.mean) * self.scale
            start += len(piece)
        return out

    @property
    def is_needed(self) -> bool:
        """Whether float32 cannot do the same: the mean lies beyond FAR deviations from 0, or magnitudes are extreme."""
        centre = differences(self.origin, np.zeros((), self.origin.dtype), self.exponent) + self.mean
        return self.is_extreme or bool(np.any(~self.flat & (np.abs(centre) * self.scale > FAR)))

    @property
    def is_extreme(self) -> bool:
        """Whether numbers or their deviations come near the ends of float32's range."""
        with np.errstate(over="ignore", under="ignore"):
            largest = np.ldexp(self.size, self.exponent)
            deviation = np.ldexp(1 / np.where(self.flat, 1.0, self.scale), self.exponent)
        return bool(np.any((largest > EXTREME) | (~self.flat & (deviation < 1 / EXTREME))))

    @property
    def coarseness(self) -> np.ndarray:
        """The rounding error of float32 at the largest number, in deviations; 0 where the numbers are constant."""
        return np.where(self.flat, 0, self.size * self.scale * 2.0**-24)


def fitted(x: np.ndarray, how: str) -> Standardizer:
    """The standardizer of training inputs x [N, *features], of any integer or floating type; `how` "global" or "feature"."""
    axes = 0 if how == "feature" else None
    count = len(x) if how == "feature" else x.size
    origin = np.asarray(x[0] if how == "feature" else x.reshape(-1)[0])
    ends = [(piece.min(axes), piece.max(axes)) for piece in pieces(x)]
    low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
    size, exponent = np.asarray(0.0), np.zeros(np.shape(low), int)
    largest = np.maximum(np.abs(low.astype(np.longdouble)), np.abs(high.astype(np.longdouble)))
    if x.dtype.kind == "f":
        exponent = np.frexp(largest)[1].astype(int)
    size = np.ldexp(largest, -exponent).astype(np.float64)
    mean = sum(differences(piece, origin, exponent).sum(axes) for piece in pieces(x)) / count
    square = sum(np.square(differences(piece, origin, exponent) - mean).sum(axes) for piece in pieces(x)) / count
    deviation = np.sqrt(square)
    flat = (deviation == 0) | _constant(x, axes)
    scale = np.where(flat, 0, 1 / np.where(flat, 1, deviation))
    return Standardizer(origin, exponent, np.asarray(mean), scale, size, flat)


def differences(x: np.ndarray, origin: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """(x - origin) / 2^exponent in float64; exact for integers of any size but for the last rounding."""
    if x.dtype.kind in "iu" and origin.dtype.kind in "iu" and np.result_type(x, origin).kind in "iu":
        x, origin = (part.astype(np.result_type(x, origin)) for part in (x, origin))
        above = x >= origin
        x, origin = x.astype(np.uint64), origin.astype(np.uint64)  # their difference is exact modulo 2^64
        return np.where(above, x - origin, origin - x).astype(np.float64) * np.where(above, 1.0, -1.0)
    wide = np.result_type(np.float64, x.dtype, origin.dtype)
    return (np.ldexp(x.astype(wide), -exponent) - np.ldexp(origin.astype(wide), -exponent)).astype(np.float64)


def single(x: np.ndarray, name: str, split: str) -> np.ndarray:
    """Numbers as float32.

    Raises:
        ValueError: a finite one is beyond its range.
    """
    with np.errstate(over="ignore"):
        out = x.astype(np.float32, copy=False)
    if out is not x and x.dtype.kind == "f" and (~np.isfinite(out) & np.isfinite(x)).any():
        largest = float(np.abs(x[np.isfinite(x)]).max())
        raise ValueError(
            f"data set {name!r}, split {split}: numbers up to {largest:.3g} are beyond float32's range: standardize them, "
            "or choose another unit"
        )
    return out


def check_fine(measured: Standardizer, inputs: dict[str, np.ndarray], what: str) -> None:
    """Raises ValueError, beginning with `what`, for inputs that float32 rounds by over a thousandth of their deviation."""
    with np.errstate(over="ignore", under="ignore"):
        exact = all((x.astype(np.float32) == x).all() for x in inputs.values())
    rounding = float(np.max(measured.coarseness, initial=0))
    if not exact and (rounding > COARSE or measured.is_extreme):
        problem = "are near the ends of its range" if measured.is_extreme else f"lose {rounding:.2g} of their deviation"
        raise ValueError(
            f"{what} as float32, and these {problem}: use from_arrays with standardize='feature', or subtract an offset"
        )
