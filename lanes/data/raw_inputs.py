"""Inputs as a user has them, as the net that was trained on a data set sees them."""

from typing import Any

import numpy as np

from lanes.data import given
from lanes.data.dataset import Dataset, check_finite, single
from lanes.data.given import Numbers, Tokens, as_array


def as_in_training(x: Any, own: Dataset) -> np.ndarray:
    """Raw inputs [N, …] as the splits of a data set hold theirs: bytes, float32 numbers or int32 tokens.

    The program then subtracts the data set's offset and multiplies by its scale.

    Raises ValueError, in one line, for inputs of another rank or dtype, that are not finite, or beyond the vocabulary.
    """
    x = as_array(x.x if isinstance(x, Tokens | Numbers) else x, "x")
    features = own.train.x.shape[1:]
    if x.ndim == 1 and features == (1,):
        x = x[:, None]
    if x.ndim == len(features):
        raise ValueError(
            f"x has shape {list(x.shape)}: it must be a batch [N, {_text(features)}]; for one example, x[None]"
        )
    varies = own.holds_tokens or (x.ndim > 2 and own.offset.ndim == 0 and own.standardizer is None)
    if x.ndim != 1 + len(features) or (not varies and x.shape[1:] != features):
        raise ValueError(f"x has shape {list(x.shape)}, and {own.name} has examples of shape [{_text(features)}]")
    if own.holds_tokens:
        return given.tokens(x, own.vocabulary_size, "x")
    if own.train.x.dtype == np.uint8:
        return _bytes(x, own)
    if x.dtype == np.uint8 and x.ndim > 2 and own.train.raw is None:
        raise ValueError(
            f"x is uint8, and {own.name} has {own.train.x.dtype} inputs: convert it as the training data were, as by x / 255"
        )
    check_finite(x, "x", "inputs")
    if own.standardizer is None:
        return single(x, own.name, "x")
    with np.errstate(over="ignore"):
        out = own.standardizer(x)
    if not np.isfinite(out).all():
        raise ValueError(
            f"x has numbers up to {np.abs(x).max():.3g}, beyond float32's range once standardized as {own.name}"
        )
    return out


def in_raw_units(x: Any, own: Dataset) -> np.ndarray:
    """Inputs as a net sees them, [N, …], in the units of the data set that it was trained on: what standardizing undoes.

    A feature that is constant in training, which a net sees as 0, has its constant. Tokens are unchanged.
    """
    x = np.asarray(x)
    if own.holds_tokens:
        return x
    seen = x.astype(np.float64)
    host = own.standardizer
    if host is None:
        return (_divided(seen, own.scale) + own.offset).astype(np.float32)
    return np.ldexp(_divided(seen, host.scale) + host.mean, host.exponent) + host.origin.astype(np.float64)


def _divided(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """x / scale, and 0 where the scale is 0."""
    flat = np.asarray(scale) == 0
    return np.where(flat, 0, x / np.where(flat, 1, np.asarray(scale, np.float64)))


def _bytes(x: np.ndarray, own: Dataset) -> np.ndarray:
    if x.dtype.kind not in "iu":
        raise ValueError(f"x is {x.dtype}, and {own.name} has bytes from 0 to 255: give these, as np.uint8")
    if x.size and not (int(x.min()) >= 0 and int(x.max()) <= 255):
        raise ValueError(f"x has integers from {x.min()} to {x.max()}, and {own.name} has bytes from 0 to 255")
    return x.astype(np.uint8, copy=False)


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
