"""Series of unequal length: how their lengths are stated, that padding never counts, and what is refused."""

import numpy as np
import pytest

from lanes import Numbers, Tokens, from_arrays
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset
from lanes.data.readings import described

RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(1, 9, 40)
LENGTHS[0] = 8
SERIES = [RANDOM.normal(3.0, 2.0, (length, 2)) for length in LENGTHS]
SENTENCES = [RANDOM.integers(1, 6, length).tolist() for length in LENGTHS]
Y = np.array([int(series.sum() > 20) for series in SERIES])


def padded(items, value, steps=8):
    """The items as one array, with a value in their padding."""
    out = np.full((len(items), steps, *np.shape(items[0])[1:]), value)
    for row, item in zip(out, items):
        row[: len(item)] = item
    return out


STATED = {
    "a list": lambda: Numbers(SERIES),
    "an array of objects": lambda: Numbers(np.array(SERIES, dtype=object)),
    "lengths": lambda: Numbers(padded(SERIES, 77.0), lengths=LENGTHS),
    "a list of lengths": lambda: Numbers(padded(SERIES, -1e9), lengths=LENGTHS.tolist()),
    "lengths, and NaN": lambda: Numbers(padded(SERIES, np.nan), lengths=LENGTHS),
    "a padding value": lambda: Numbers(padded(SERIES, -5.0), padding=-5),
    "NaN as padding value": lambda: Numbers(padded(SERIES, np.nan), padding=float("nan")),
}


@pytest.mark.parametrize("how", STATED)
def test_the_same_series_are_the_same_data_however_they_are_padded(how):
    data = from_arrays(STATED[how](), Y, name="series")
    assert fingerprint(data) == fingerprint(from_arrays(Numbers(SERIES), Y, name="series"))
    assert data.padded
    assert data.train.x.shape == (32, 8, 2)
    lengths = (~np.isnan(data.train.x).any(-1)).sum(1)
    assert sorted(
        np.concatenate([lengths, *[(~np.isnan(s.x).any(-1)).sum(1) for s in (data.valid, data.test)]])
    ) == sorted(LENGTHS)
    assert "up to 8 × 2 numbers" in described(data)


def test_only_valid_steps_are_standardized():
    for how, axis in (("global", None), ("feature", 0)):
        data = from_arrays(Numbers(padded(SERIES, 1e9, 20), lengths=LENGTHS), Y, standardize=how)
        steps = data.train.x[~np.isnan(data.train.x).any(-1)]
        assert np.allclose(data.offset, steps.mean(axis), atol=1e-6)
        assert np.allclose(data.scale, 1 / steps.std(axis), atol=1e-6)
        few = data.first_examples(10, seed=0)
        steps = few.train.x[~np.isnan(few.train.x).any(-1)]
        assert np.allclose(few.offset, steps.mean(axis), atol=1e-6)


def test_numbers_far_from_0_are_standardized_before_they_are_float32():
    far = [series + 1.7e9 for series in SERIES]
    data = from_arrays(Numbers(far), Y)
    steps = data.steps(data.train.x)
    assert abs(steps.mean()) < 1e-5
    assert abs(steps.std() - 1) < 1e-5
    assert data.train.x.dtype == np.float32


def test_tokens_are_marked_and_padding_is_no_part_of_the_vocabulary():
    lists = from_arrays(Tokens(SENTENCES), Y, name="words")
    array = from_arrays(Tokens(padded(SENTENCES, 900), padding=900), Y, name="words")
    assert fingerprint(lists) == fingerprint(array)
    assert lists.vocabulary_size == 6
    assert lists.train.x.dtype == np.int32
    assert {int(x) for x in lists.train.x.ravel()} == {-1, 1, 2, 3, 4, 5}


def test_splits_are_padded_to_one_length():
    def make():
        return {
            "train": (Numbers([[1.0, 2.0], [3.0]]), [0, 1]),
            "valid": (Numbers([[1.0], [2.0, 3.0, 4.0]]), [0, 1]),
            "test": (Numbers(np.ones((2, 4))), [0, 1]),  # of one length
        }

    data = load_dataset(make)
    assert [split.x.shape for split in data.splits().values()] == [(2, 4, 1)] * 3
    assert not np.isnan(data.test.x).any()


def test_lists_of_equal_length_are_features_as_before():
    data = from_arrays(Numbers([[1.0, 2.0], [3.0, 4.0]]), [0, 1], valid_fraction=0, test_fraction=0)
    assert not data.padded
    assert data.train.x.shape == (2, 2)


def zeros(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (lambda: Numbers(zeros(40, 8, 2), lengths=LENGTHS[:5]), r"integers \[40\]"),
        (lambda: Numbers(zeros(40, 8, 2), lengths=LENGTHS + 0.0), "must be integers"),
        (
            lambda: Numbers(zeros(40, 8, 2), lengths=np.where(np.arange(40) == 3, 9, 1)),
            r"lengths\[3\] is 9; .* from 1 to 8",
        ),
        (lambda: Numbers(zeros(40, 8, 2), lengths=np.zeros(40, int)), r"lengths\[0\] is 0"),
        (lambda: Numbers(zeros(40, 8, 2), lengths=LENGTHS, padding=0), "leave one of them out"),
        (lambda: Numbers(zeros(40, 8, 2), padding=0), r"\[0\] is padding throughout"),
        (lambda: Tokens([[0, 0, 1, 2]] * 40, padding=0), "pad at the end"),
        (lambda: Numbers(zeros(40, 8, 2), padding="0"), "must be the number"),
        (lambda: Numbers(zeros(40), padding=0), r"which series \[N, T, C\] have"),
        (lambda: Tokens(zeros(40, 8, 2).astype(int), lengths=LENGTHS), r"which tokens \[N, T\] have"),
        (lambda: Numbers([*SERIES[:-1], []]), r"x\[39\] has no step"),
        (lambda: Numbers([*SERIES[:-1], np.zeros((3, 5))]), "one C"),
        (lambda: Numbers(SERIES, lengths=LENGTHS), "leave these out"),
        (lambda: Numbers([*SERIES[:-1], np.array([[1.0, np.nan]] * 3)]), "is nan; must be finite"),
        (lambda: Tokens([*SENTENCES[:-1], [1, -2]]), "hold token -2"),
        (lambda: SERIES, "return lanes.Numbers or lanes.Tokens of them"),
    ],
)
def test_what_is_refused(x, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_arrays(x(), Y)
    assert "\n" not in str(caught.value)


def test_targets_for_each_step_are_refused():
    with pytest.raises(ValueError, match="one target for each series"):
        from_arrays(Tokens(padded(SENTENCES, 0), lengths=LENGTHS), padded(SENTENCES, 0))
    with pytest.raises(ValueError, match="says nothing of lengths"):
        load_dataset(lambda: {"train": (Numbers(SERIES), Y), "test": (padded(SERIES, 0.0), Y)})


def test_as_many_targets_as_steps_are_targets_of_the_series():
    one_hot = from_arrays(Tokens([[1, 2], [3]] * 10), np.eye(2)[[0, 1] * 10])
    assert (one_hot.task, one_hot.padded) == ("real", True)  # classes for a loss of classes
    assert from_arrays(Numbers([[1.0, 2.0], [3.0]] * 10), RANDOM.normal(size=(20, 2))).outputs == 2


def test_a_net_of_series_of_one_length_does_not_see_unequal_ones():
    own = from_arrays(padded(SERIES, 0.0), Y)
    with pytest.raises(ValueError, match="trained on series of one length"):
        from_arrays(Numbers(SERIES), Y).seen_by(own)
    assert from_arrays(padded(SERIES, 0.0), Y).seen_by(from_arrays(Numbers(SERIES), Y)).train.x.shape == (32, 8, 2)
