"""What a net sees of numbers of any type and size, against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes import from_arrays
from lanes.data.loading import load_dataset
from lanes.data.standardizing import standardization

N, F = 12, 2
LABELS = np.arange(N) % 2
INTEGERS = ("int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64", "longdouble")


def whole(x, name="x", **options):
    """x as the training split of a data set without others."""
    return from_arrays(x, LABELS, name=name, valid_fraction=0, test_fraction=0, **options)


def seen(data, split="train"):
    """What a net sees: the program's float32 arithmetic."""
    x = data.splits()[split].x
    return (x.astype(np.float32) - data.offset) * data.scale


def exact(column):
    """The column standardized in rational arithmetic, and whether it varies beyond rounding."""
    values = [
        Fraction(*number.as_integer_ratio()) if column.dtype.kind == "f" else Fraction(int(number)) for number in column
    ]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    largest, spread = max(map(abs, values)), max(values) - min(values)
    eps = Fraction(float(np.finfo(column.dtype).eps)) if column.dtype.kind == "f" else Fraction(0)
    if not variance or spread <= 4 * eps * largest:
        return np.zeros(len(column)), spread > 2 * eps * largest
    numerator, denominator = variance.numerator, variance.denominator
    shift = (numerator.bit_length() - denominator.bit_length()) // 2 * 2  # square roots of numbers near 1
    scaled = variance / Fraction(2) ** shift
    deviation = Fraction(math.sqrt(scaled)) * Fraction(2) ** (shift // 2)
    return np.array([float((value - mean) / deviation) for value in values]), False


@st.composite
def columns(draw):
    """A column of one of many types: an offset of any size, and deviations of any size around it."""
    dtype = np.dtype(draw(st.sampled_from(INTEGERS + FLOATS)))
    seeds = np.random.default_rng(draw(st.integers(0, 10**6)))
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low = draw(st.integers(info.min, info.max))
        high = min(info.max, low + draw(st.sampled_from([0, 1, 5, 300, 2**20, 2**40, 2**63])))
        return np.array([low + int(u * (high - low)) for u in seeds.random(N)], dtype)
    largest = int(np.finfo(dtype).maxexp) if dtype != np.longdouble else 1024
    offset = draw(st.sampled_from([0.0, 1.0, -1e3, 1e6, 1.7e9, 1e15])) if largest > 16 else 2.0
    power = draw(st.integers(-min(largest, 1060), largest - 4))
    unit = np.ldexp(dtype.type(1), power)
    with np.errstate(over="ignore", under="ignore"):
        x = (dtype.type(offset) + seeds.normal(size=N).astype(dtype)) * unit
    return np.where(np.isfinite(x), x, dtype.type(0)).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(columns())
def test_a_net_sees_float64_standardization_of_any_numbers(column):
    expected, borderline = exact(column)
    if borderline:
        return  # constant by one rounding, not by another
    data = whole(np.stack([column, column[::-1]], 1))
    np.testing.assert_allclose(seen(data)[:, 0], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(seen(data)[::-1, 1], seen(data)[:, 0])


def test_columns_of_unlike_size_are_each_seen():
    random = np.random.default_rng(0)
    x = random.normal(size=(N, 4)) * [1e-30, 1e100, 1.0, 1e-3] + [0, 0, 0, 1e5]
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(seen(whole(x)), z, atol=2e-5)


def test_a_column_that_varies_by_rounding_only_is_constant():
    x = np.stack([np.where(LABELS, 0.1 + 0.2, 0.3), 1e9 + 1e-3 * LABELS], 1)
    assert np.ptp(x[:, 0]) > 0
    np.testing.assert_array_equal(seen(whole(x))[:, 0], 0)
    np.testing.assert_allclose(seen(whole(x))[:, 1], np.where(LABELS, 1, -1), rtol=1e-3)
    offset, scale = standardization(np.float32([[1e-20], [3e-20]]), "feature")
    np.testing.assert_allclose((np.float32([1e-20, 3e-20]) - offset) * scale, [-1, 1], rtol=1e-5)


def test_wide_numbers_stay_comparable_in_subsets_other_splits_and_other_data():
    times = 1.7e9 + np.arange(40.0)[:, None]

    def logs():
        return {"train": (times[:20], np.arange(20) % 2), "test": (times[20:], np.arange(20) % 2)}

    data = load_dataset(logs)
    mean, deviation = times[:20].mean(), times[:20].std()
    np.testing.assert_allclose(seen(data, "test"), (times[20:] - mean) / deviation, rtol=1e-5)
    few = load_dataset(logs, train_examples=5)
    kept = few.train.raw
    np.testing.assert_allclose(seen(few), (kept - kept.mean()) / kept.std(), atol=1e-5)
    np.testing.assert_allclose(seen(few, "test"), (times[20:] - kept.mean()) / kept.std(), rtol=1e-5)
    later = whole(times[:N] + 7200.5).seen_by(data)
    np.testing.assert_allclose(np.sort(seen(later), 0), (times[:N] + 7200.5 - mean) / deviation, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "how", "expected"),
    [("int64", "global", None), ("int64", "none", "as given"), ("uint8", "unit", 255), ("uint16", "unit", 65535)],
)
def test_a_stated_standardization_is_obeyed_for_integers(dtype, how, expected):
    x = np.random.default_rng(0).integers(0, 200, (N, 3)).astype(dtype)
    got = seen(whole(x, standardize=how))
    divided = x if expected == "as given" else x / expected if expected else (x - x.mean()) / x.std()
    np.testing.assert_allclose(np.sort(got, 0), np.sort(divided, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "how", "match"),
    [
        (1.7e9 + np.arange(N), "none", "as float32, and these lose .* of their deviation"),
        (1e300 * np.arange(N), "unit", "near the ends of its range"),
        (2**53 + np.arange(N), "none", "as float32, and these lose"),
    ],
)
def test_numbers_that_float32_rounds_are_not_handed_over_as_they_are(x, how, match):
    with pytest.raises(ValueError, match=match):
        whole(x, standardize=how)
