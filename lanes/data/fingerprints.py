"""Fingerprints of data sets: they tell whether two loads gave the same arrays.

A fingerprint has a part for each split and one for the data set's form: task, outputs, names and standardization. Every
byte is covered, once (SHA-256, 1.5 GB/s where the processor has instructions for it). It is equal on all machines and for
all layouts of equal arrays. 64-bit integers count as the 32-bit ones that a device holds, unless they are larger. Inputs
that are standardized on the host count as they were given: the last digits of what becomes of them depend on the machine.
"""

import hashlib
import json
from typing import Any

import numpy as np

from lanes.data.dataset import Dataset, Split
from lanes.data.standardizing import pieces

FORM = "form"  # the part of everything beside the splits' arrays
DIGITS = 16  # hexadecimal, of each part
SHOWN = 8  # in messages


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and numbers; of a whole cached array, the one kept with the cache."""
    kept = getattr(array, "digest", None)
    if kept is not None:
        return kept
    wide = array.dtype.kind in "iu" and array.dtype.itemsize == 8
    fits = wide and all(-(2**31) <= int(end) < 2**31 for end in (array.min(initial=0), array.max(initial=0)))
    dtype = np.dtype("<i4") if fits else array.dtype.newbyteorder("<")
    if array.dtype == np.longdouble:
        dtype = np.dtype("<f8")  # its padding bytes are arbitrary
    total = hashlib.sha256(f"{dtype.str} {list(array.shape)}".encode())
    for piece in pieces(array):
        total.update(np.ascontiguousarray(piece, dtype).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def fingerprint(data: Dataset) -> str:
    """The fingerprint as one line: `train:0f2a… valid:… test:… form:…`, 16 hexadecimal digits each."""
    parts: dict[str, list[Any]] = {
        name: [data.origin, name] if data.origin else [digest(_inputs(data, split)), digest(split.y)]
        for name, split in data.splits().items()
    }
    # Computed offsets and scales follow from the training split and are left out: their last digits depend on the machine.
    scaling: Any = data.standardize
    if scaling is None:
        scaling = [digest(np.atleast_1d(np.asarray(number, np.float32))) for number in (data.offset, data.scale)]
    parts[FORM] = [data.task, int(data.outputs), [*map(str, data.classes)], [*map(str, data.vocabulary)], scaling]
    return " ".join(f"{name}:{_digits(part)}" for name, part in parts.items())


def _inputs(data: Dataset, split: Split) -> np.ndarray:
    return split.x if data.standardizer is None or split.raw is None else split.raw


def _digits(part: Any) -> str:
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()[:DIGITS]


def parts_of(text: Any) -> dict[str, str]:
    """The parts of a fingerprint; empty for anything that is none."""
    pairs = [part.partition(":") for part in text.split()] if isinstance(text, str) else []
    parts = {name: digits for name, _, digits in pairs}
    whole = FORM in parts and all(len(digits) == DIGITS for digits in parts.values())
    return parts if whole else {}


def difference(now: str, before: str, only: tuple[str, ...] = ()) -> str:
    """What differs between two fingerprints, in words: `train 0f2a77c1, before 9b31d8e4; also test`; empty if nothing does.

    Args:
        now, before: fingerprints.
        only: compare these parts, where both have them; () compares all.
    """
    new, old = parts_of(now), parts_of(before)
    compared = [name for name in only if name in new and name in old] if only else list(new | old)
    names = [name for name in compared if new.get(name) != old.get(name)]
    if not names:
        return ""
    digits, known = (parts.get(names[0], "missing")[:SHOWN] for parts in (new, old))
    return f"{names[0]} {digits}, before {known}" + (f"; also {', '.join(names[1:])}" if names[1:] else "")
