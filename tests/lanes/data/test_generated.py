"""Generated sets: sizes, seeds, shapes, and the defining property of each."""

import dataclasses
import math

import numpy as np
import pytest

from lanes.data.generated_sets import (
    XOR,
    Adding,
    Blobs,
    Circles,
    ConvexRegions,
    Copy,
    Gates,
    Generated,
    Moons,
    Parity,
    Polynomial,
    ShapeSet,
    Sine,
    Spirals,
)
from lanes.data.loading import DATASETS, load_dataset

ALL = {name: description for name, description in DATASETS.items() if isinstance(description, Generated)}


def everything(description):
    """All examples of a set, regardless of split."""
    splits = load_dataset(description).splits().values()
    return np.concatenate([split.x for split in splits]), np.concatenate([split.y for split in splits])


def test_all_generated_sets_are_in_the_table():
    expected = "spirals moons circles blobs xor parity gates convex_regions sine polynomial adding copy shape_set"
    assert set(ALL) == set(expected.split())


@pytest.mark.parametrize("name", ALL)
def test_sets_are_seeded_named_and_sized_by_field(name):
    description = dataclasses.replace(ALL[name], n=100)
    data = load_dataset(description)
    assert data.name == name
    assert [len(split) for split in data.splits().values()] == [72, 8, 20]
    np.testing.assert_array_equal(data.train.x, load_dataset(description).train.x)
    other = load_dataset(dataclasses.replace(description, seed=1))
    assert (data.train.x != other.train.x).any()
    assert load_dataset(description, valid_fraction=0).valid is None
    assert len(load_dataset(description, valid_fraction=0.5).train) == 40
    assert hash(description) == hash(dataclasses.replace(description))


@pytest.mark.parametrize("name", ALL)
def test_every_field_changes_the_data(name):
    description = dataclasses.replace(ALL[name], n=64)
    changed = {"gate": "nor", "binary": True, "symbols": 5}
    for field in dataclasses.fields(description):
        value = getattr(description, field.name)
        if field.name == "standardize":
            changed["standardize"] = "feature" if value == "global" else "global"
        if field.name == "binary" and description.choices != 2:
            continue
        if field.name == "standardize" and description.kind == "tokens":
            continue
        if field.name == "label_noise" and description.kind != "classes":
            continue
        by = (
            value / 2 or 0.5
            if isinstance(value, float)
            else changed.get(field.name, value + 1 if not isinstance(value, str) else value)
        )
        before, after = load_dataset(description), load_dataset(dataclasses.replace(description, **{field.name: by}))
        same = all(
            np.array_equal(getattr(before.train, part), getattr(after.train, part)) for part in ("x", "y")
        ) and np.array_equal(before.offset, after.offset)
        assert not same, field.name


@pytest.mark.parametrize("name", [name for name, item in ALL.items() if item.kind == "classes" and item.choices == 2])
def test_binary_targets_encode_the_same_examples(name):
    classes, binary = load_dataset(ALL[name]), load_dataset(dataclasses.replace(ALL[name], binary=True))
    np.testing.assert_array_equal(classes.train.x, binary.train.x)
    np.testing.assert_array_equal(classes.train.y[:, None].astype(np.float32), binary.train.y)
    assert (binary.task, binary.outputs) == ("binary", 1)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (Spirals(n=2), "n=2: must be at least 3"),
        (Spirals(noise=-1.0), "noise=-1.0: must be at least 0"),
        (Spirals(noise=float("nan")), "noise=nan: must be at least 0"),
        (Spirals(classes=3, binary=True), "binary=True: Spirals does not have two classes"),
        (Sine(binary=True), "binary=True: Sine does not have two classes"),
        (Circles(factor=1.0), "factor=1.0: must be above 0 and below 1"),
        (ConvexRegions(regions=5), "regions=5: must be from 1 to 4"),
        (Gates(gate="xnor"), "gate='xnor': must be one of and, or, nor, nand"),
        (Parity(bits=4, n=17), "n=17: there are only 16 strings of bits=4"),
        (Adding(length=1), "length=1: must be at least 2"),
        (Copy(delay=0), "delay=0: must be at least 1"),
        (ShapeSet(overlap=1.5), "overlap=1.5: must be from 0 to 1"),
        (ShapeSet(largest=1.0), "smallest=0.2, largest=1.0: must be from 0.1 to 0.4, and from there to 0.9"),
        (ShapeSet(binary=True), "binary=True: ShapeSet does not have two classes"),
        (Moons(test_fraction=1.0), "test_fraction=1.0: must be at least 0 and below 1"),
        (Moons(n=5, valid_fraction=0.01), "valid_fraction=0.01: selects 0 of 5 examples"),
    ],
)
def test_fields_out_of_range_are_refused(description, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        load_dataset(description)


def test_spirals_without_noise_lie_on_their_arms():
    x, y = everything(Spirals(noise=0.0, classes=3, turns=1.0))
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    turns = (angle / (2 * math.pi) - radius - y / 3) % 1
    np.testing.assert_allclose(np.minimum(turns, 1 - turns), 0, atol=1e-5)


def test_moons_and_circles_without_noise_lie_on_circles():
    x, y = everything(Moons(noise=0.0))
    centre = np.where(y[:, None] == 0, [0, 0], [1, 0.5])
    np.testing.assert_allclose(np.linalg.norm(x - centre, axis=1), 1, atol=1e-6)
    x, y = everything(Circles(noise=0.0, factor=0.3))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.where(y == 0, 1, 0.3), atol=1e-6)


def test_the_lowest_error_on_blobs_follows_its_formula():
    x, y = everything(Blobs(n=40_000, distance=2.0))
    wrong = np.mean((x[:, 0] < 0) != y)  # centres at +1 and -1
    assert wrong == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=0.005)
    x, y = everything(Blobs(n=40_000, classes=5, distance=3.0))
    centres = np.stack([x[y == label].mean(0) for label in range(5)])
    np.testing.assert_allclose(np.linalg.norm(centres - np.roll(centres, 1, 0), axis=1), 3, atol=0.06)


@pytest.mark.parametrize("regions", [1, 2, 3, 4])
def test_convex_regions_are_balanced_and_a_single_region_is_convex(regions):
    description = ConvexRegions(regions=regions, n=400, sides=6)
    x, y = everything(description)
    assert y.mean() == 0.5
    np.testing.assert_array_equal(description.inside(x.astype(np.float64)), y)
    inside = x[y == 1].astype(np.float64)
    middles = (inside[:, None] + inside[None]) / 2
    share = description.inside(middles.reshape(-1, 2)).mean()
    assert share == 1 if regions == 1 else share < 0.9


def test_xor_is_not_linearly_separable_and_gates_are():
    for description, best in [
        (XOR(noise=0.0), 0.75),
        *((Gates(gate=gate, noise=0.0), 1) for gate in ("and", "or", "nor", "nand")),
    ]:
        x, y = everything(description)
        angles = np.linspace(0, 2 * np.pi, 73)
        scores = x @ np.stack([np.cos(angles), np.sin(angles)])
        cuts = np.linspace(-2, 2, 41) + 0.01
        accuracy = ((scores[..., None] > cuts) == y[:, None, None]).mean(0).max()
        assert accuracy == pytest.approx(best, abs=0.01)


def test_gates_follow_their_truth_tables():
    for gate, table in {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nor": [1, 0, 0, 0], "nand": [1, 1, 1, 0]}.items():
        x, y = everything(Gates(gate=gate, noise=0.0))
        number = (2 * x[:, 0] + x[:, 1]).astype(int)
        np.testing.assert_array_equal(y, np.array(table)[number])


@pytest.mark.parametrize("bits", [8, 40])
def test_parity_strings_are_distinct_and_one_flip_changes_the_class(bits):
    x, y = everything(Parity(bits=bits, n=256))
    assert len(np.unique(x, axis=0)) == 256
    np.testing.assert_array_equal((np.prod(-x, axis=1) < 0), y == 1)


def test_sine_and_polynomial_without_noise_follow_their_functions():
    x, y = everything(Sine(noise=0.0, cycles=1.5))
    np.testing.assert_allclose(y, np.sin(3 * np.pi * x), atol=2e-6)
    x, y = everything(Polynomial(noise=0.0, degree=3))
    np.testing.assert_allclose(y, 4 * x**3 - 3 * x, atol=2e-6)
    x, y = everything(Polynomial(noise=0.3, n=20_000))
    assert np.std(y - (4 * x**3 - 3 * x)) == pytest.approx(0.3, rel=0.03)


def test_adding_marks_a_number_in_each_half_and_sums_them():
    x, y = everything(Adding(n=4000, length=11))
    values, marks = x[..., 0], x[..., 1]
    np.testing.assert_array_equal(marks[:, :5].sum(1), 1)
    np.testing.assert_array_equal(marks[:, 5:].sum(1), 1)
    np.testing.assert_allclose(y[:, 0], (values * marks).sum(1), rtol=1e-6)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.05)


def test_copy_repeats_the_symbols_after_the_mark():
    x, y = everything(Copy(n=300, symbols=4, length=3, delay=6))
    assert x.shape == y.shape == (300, 12)
    np.testing.assert_array_equal(y[:, 9:], x[:, :3])
    assert set(np.unique(x[:, :3])) == {1, 2, 3, 4}
    np.testing.assert_array_equal(x[:, 8], 5)
    assert not y[:, :9].any()
    assert not x[:, 3:8].any()
    assert not x[:, 9:].any()
    assert load_dataset(Copy(symbols=4)).outputs == 6
