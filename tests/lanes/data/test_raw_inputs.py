"""Raw inputs become what the training split holds, and anything unlike them is refused in one line."""

import numpy as np
import pandas as pd
import pytest

from lanes.data.loading import from_arrays, load_dataset
from lanes.data.raw_inputs import as_in_training
from lanes.data.readings import as_tokens

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 40)
VECTORS = RNG.normal(size=(40, 3)) * [1, 100, 1e-3] + [0, 5e3, 1]
TIMES = np.stack([1.7e9 + RNG.normal(size=40) * 3600, RNG.normal(size=40)], axis=1)  # unix times: beyond float32
IMAGES = RNG.integers(0, 256, (40, 4, 4, 1)).astype(np.uint8)
SERIES = RNG.normal(size=(40, 5, 2)).astype(np.float32)
TOKENS = RNG.integers(0, 7, (40, 6))


def seen(x, data):
    """What a net sees of the inputs of a split."""
    if x.dtype.kind == "i":
        return x
    return (x.astype(np.float32) - data.offset) * data.scale


@pytest.mark.parametrize(
    "x",
    [VECTORS, VECTORS.astype(np.float32), TIMES, TIMES.astype(np.int64), IMAGES, SERIES, VECTORS[:, 0], Y, Y == 1],
    ids=["vectors", "float32", "times", "int64", "bytes", "series", "one_feature", "integers", "booleans"],
)
def test_raw_inputs_are_seen_as_those_of_the_training_split(x):
    data = from_arrays(x, Y, valid_fraction=0, test_fraction=0)
    again = as_in_training(x, data)
    assert again.dtype == data.train.x.dtype
    order = [seen(part, data).reshape(len(Y), -1) for part in (again, data.train.x)]  # no split: nothing is shuffled
    np.testing.assert_array_equal(*order)
    assert np.abs(order[0].mean()) < 0.2 or x is Y or x.dtype == bool


def test_containers_of_other_libraries_are_read():
    data = from_arrays(VECTORS, Y, valid_fraction=0, test_fraction=0)
    frame = pd.DataFrame(VECTORS)
    np.testing.assert_array_equal(as_in_training(frame, data), data.train.x)
    np.testing.assert_array_equal(as_in_training(VECTORS.tolist(), data), data.train.x)


def test_tokens_of_any_length_are_read():
    data = as_tokens(from_arrays(TOKENS, Y, valid_fraction=0, test_fraction=0))
    assert as_in_training(TOKENS[:, :2].astype(np.uint16), data).dtype == np.int32
    with pytest.raises(ValueError, match="7"):
        as_in_training(TOKENS + 1, data)
    with pytest.raises(ValueError, match="x"):
        as_in_training(TOKENS + 0.5, data)


REFUSED = {
    "one example": (VECTORS, VECTORS[0], r"x has shape \[3\]: it must be a batch \[N, 3\]; for one example, x\[None\]"),
    "features": (VECTORS, VECTORS[:, :2], r"x has shape \[40, 2\], and arrays has examples of shape \[3\]"),
    "rank": (VECTORS, VECTORS[:, None], r"x has shape \[40, 1, 3\], and arrays has examples of shape \[3\]"),
    "not finite": (VECTORS, VECTORS * np.nan, r"inputs\[0, 0\] is nan"),
    "strings": (VECTORS, [["a", "b", "c"]], r"must be an array of numbers"),
    "beyond float32": (VECTORS, VECTORS * 1e300, r"beyond float32's range"),
    "unit images for bytes": (IMAGES, IMAGES / 255, r"x is float64, and arrays has bytes from 0 to 255"),
    "no bytes": (IMAGES, IMAGES.astype(int) - 1, r"integers from -1 to 254"),
    "bytes for images": (IMAGES / 255, IMAGES, r"x is uint8, and arrays has float32 inputs: convert it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unlike_the_training_split_is_refused(name):
    given, x, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        as_in_training(x, from_arrays(given, Y))
    assert "\n" not in str(caught.value)


def test_a_data_sets_own_inputs_are_read():
    data = load_dataset("digits")
    np.testing.assert_array_equal(as_in_training(data.test.x, data), data.test.x)
