"""The arrays that people bring: taken as what they are, or refused in one line with what to write."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from lanes import Labels, Numbers, Split, Tokens, from_arrays
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset

N = 40
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 3))
Y = np.arange(N) % 2
TABLE = pd.DataFrame(X, columns=list("abc"))
TOKENS = RANDOM.integers(0, 5, (N, 6))
IMAGES = RANDOM.integers(0, 255, (N, 3, 12, 10)).astype(np.uint8)


def seen(data):
    """What a net sees of all splits, in no order."""
    parts = [(split.x.astype(np.float32) - data.offset) * data.scale for split in data.splits().values()]
    return np.sort(np.concatenate(parts), axis=0)


@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.float16),
        X > 0,
        (X * 100).astype(np.int8),
        jnp.asarray(X, jnp.float32),
        jnp.asarray(X, jnp.bfloat16),
        np.ma.masked_array(X),
        TABLE,
        TABLE > 0,
        pd.DataFrame({"a": Y * 7, "b": pd.array(np.arange(N), dtype="Int64")}),
        X[:, 0],
        pd.Series(X[:, 0]),
        X.tolist(),
        np.asfortranarray(X),
        X[::-1],
        Numbers(TOKENS),
    ],
    ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}",
)
def test_numbers_of_every_kind_are_standardized(x):
    plain = np.asarray(x.x if isinstance(x, Numbers) else x).astype(np.float64)
    plain = plain[:, None] if plain.ndim == 1 else plain
    data = from_arrays(x, Y, test_fraction=0, valid_fraction=0)
    np.testing.assert_allclose(seen(data), np.sort((plain - plain.mean(0)) / plain.std(0), 0), atol=1e-5)
    assert (data.task, data.tokens) == ("classes", 0)


REFUSED = {
    "masked": (np.ma.masked_less(X, 0), Y, r"x is a masked array with \d+ masked entries.*x\.filled"),
    "masked labels": (X, np.ma.masked_equal(Y, 0), r"y is a masked array .*y\.filled"),
    "sparse": (scipy.sparse.csr_array(X), Y, r"x is a sparse csr_array: write x\.toarray\(\)"),
    "sparse matrix": (scipy.sparse.coo_matrix(X), Y, r"x\.toarray"),
    "dates": (
        np.datetime64("2020-01-01") + np.arange(N),
        Y,
        r"count from a date: \(x - x\.min\(\)\) / np\.timedelta64",
    ),
    "durations": (np.arange(N).astype("m8[s]"), Y, r"choose a unit"),
    "complex": (X + 1j, Y, r"np\.stack\(\[x\.real, x\.imag\], -1\)"),
    "objects": (X.astype(object), Y, r"x is object\[40, 3\].*x\.astype\(float\)"),
    "ragged": ([[1, 2], [3]] * 20, Y, "x has rows of unequal length: for series, return lanes.Numbers"),
    "records": (np.zeros(N, [("a", float)]), Y, "structured_to_unstructured"),
    "names": (X, np.where(Y, "yes", "no"), r"np\.unique\(y, return_inverse=True\)\[1\]"),
    "names in a table": (X, pd.Series(["yes", "no"] * 20), r"np\.unique\(y, return_inverse=True\)\[1\]"),
    "text column": (TABLE.assign(c="s"), Y, r"x, column 'c', is object"),
    "categories": (TABLE.assign(c=pd.Categorical(["u", "v"] * 20)), Y, r"column 'c', holds categories.*\.cat\.codes"),
    "date column": (TABLE.assign(c=pd.Timestamp("2020")), Y, r"column 'c', is datetime64"),
    "missing": (TABLE.assign(c=pd.array([1, None] * 20, dtype="Int64")), Y, "column 'c', has 20 missing values"),
    "big and float columns": (
        TABLE.assign(t=2**60 + np.arange(N)),
        Y,
        "column 't', has integers up to 115292150460684",
    ),
    "categories as labels": (X, pd.Series(pd.Categorical(["u", "v"] * 20)), r"y holds categories: write y\.cat\.codes"),
    "missing labels": (X, pd.Series([0, None] * 20), r"targets\[1\] is nan"),
    "channels first": (IMAGES, Y, r"images of 3 × 12 pixels with 10 channels.*transpose\(0, 2, 3, 1\).*Numbers"),
    "grey first": (IMAGES[:, :1] / 255, Y, r"transpose\(0, 2, 3, 1\)"),
    "negative tokens": (Tokens(TOKENS - 1), Y, "hold token -1; tokens must be 0 or more"),
    "tokens with fractions": (Tokens(X), Y, "tokens of float64; they must be integers"),
    "vocabulary": (Tokens(TOKENS, vocabulary=3), Y, "hold token 4; tokens must be 0 … 2"),
    "coarse targets": (X, 1.7e9 + X[:, 0], "targets from 16999.* lose digits as float32: subtract an offset"),
    "huge targets": (X, 1e39 * X[:, 0], "lose digits as float32"),
    "identifiers": (X, 2**40 + RANDOM.integers(0, 99, N), "lose digits as float32.*np.unique"),
    "one number": (X, 3, "an axis of examples"),
    "no examples": (X[:0], Y[:0], "no training examples"),
    "stated classes": (X, Labels(Y * 3, classes=3), "label 3 found; labels must be 0 … 2"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_numbers_is_refused_in_one_line_with_the_remedy(kind):
    x, y, match = REFUSED[kind]
    with pytest.raises(ValueError, match=match) as caught:
        from_arrays(x, y, name="mine")
    assert "\n" not in str(caught.value)
    assert "mine" in str(caught.value)


@pytest.mark.parametrize(
    "x",
    [
        IMAGES.transpose(0, 2, 3, 1),
        Numbers(IMAGES),
        RANDOM.normal(size=(N, 3, 3, 8)),  # 3 × 3 patches of 8 channels
        RANDOM.normal(size=(N, 3, 100, 8)),  # 3 sensors, 100 steps, 8 channels
        RANDOM.normal(size=(N, 3, 8)),
        RANDOM.normal(size=(N, 1, 8, 8, 2)),
    ],
    ids=lambda x: str(np.shape(getattr(x, "x", x))),
)
def test_other_images_and_series_are_not_taken_for_channels_first(x):
    assert from_arrays(x, Y).train.x.shape[1:] == np.shape(getattr(x, "x", x))[1:]


def test_tokens_and_labels_are_stated_in_splits_too():
    def texts():
        return {
            "train": (Tokens(TOKENS), Labels(Y, classes=("no", "yes", "?"))),
            "test": (Tokens(TOKENS + 2), Labels(Y)),
        }

    data = load_dataset(texts)
    assert (data.tokens, data.outputs, data.classes) == (7, 3, ("no", "yes", "?"))
    np.testing.assert_array_equal(data.test.x, TOKENS + 2)
    with pytest.raises(ValueError, match="tokens are not standardized"):
        from_arrays(Tokens(TOKENS), Y, standardize="feature")


def test_splits_of_unlike_types_are_seen_alike():
    def mixed():
        return {"train": ((TOKENS * 20).astype(np.uint8), Y), "test": (TOKENS * 20.0, Y)}

    data = load_dataset(mixed)
    np.testing.assert_array_equal(data.train.x, data.test.x)


def test_a_class_may_be_missing_where_another_split_has_it():
    def rare():
        return {"train": (X, Y * 2), "test": (X, np.arange(N) % 3)}

    assert load_dataset(rare).outputs == 3
    few = load_dataset(lambda: (X, np.arange(N) // 4), train_examples=3)
    assert (few.task, few.outputs) == ("classes", 10)


def test_a_dataset_made_by_hand_is_converted_or_refused_never_narrowed():
    made = from_arrays(X, Y)

    def by_hand(x, y=made.train.y, task="classes", outputs=2):
        train = Split(x, y)
        data = dataclasses.replace(made, train=train, valid=None, test=None, task=task, outputs=outputs)
        return load_dataset(lambda: data).train

    rows = len(made.train)
    kept = by_hand(X[:rows], made.train.y.astype(np.int64))
    assert (kept.x.dtype, kept.y.dtype) == (np.float32, np.int32)
    assert by_hand(TOKENS[:rows]).x.dtype == np.int32
    assert by_hand(X[:rows], X[:rows], "real", 3).y.dtype == np.float32
    with pytest.raises(ValueError, match="as float32, and these lose"):
        by_hand(1.7e9 + X[:rows])
    with pytest.raises(ValueError, match="hold token 4294967296"):
        by_hand(TOKENS[:rows] + 2**32 - 4)
    with pytest.raises(ValueError, match="lose digits as float32"):
        by_hand(X[:rows], 1.7e9 + X[:rows], "real", 3)


def test_fingerprints_of_numbers_standardized_on_the_host_cover_every_digit():
    large, larger = (from_arrays(2**60 + 2**shift + np.arange(N), Y) for shift in (40, 41))
    assert (large.train.x == larger.train.x).all()
    assert fingerprint(large) != fingerprint(larger)
    assert fingerprint(from_arrays(2**60 + np.arange(N), Y)) == fingerprint(from_arrays(2**60 + np.arange(N), Y))
