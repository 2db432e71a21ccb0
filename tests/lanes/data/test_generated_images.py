"""Shapeset-3×2: areas, angles, places, what hides what, and the shares of the classes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes.data.generated_images import ALONE, CLASSES, SIDE, ShapeSet
from lanes.data.loading import load_dataset

# Areas in squares of half the diameter of the circle around the regular shape; by an affine map they grow together.
AREA = [3 * np.sqrt(3) / 4, 2.0, np.pi]
SEEDS = st.integers(0, 2**32 - 1)
AT = np.arange(SIDE)
INVARIANTS = [1 / 108, 1 / 144, 1 / (16 * np.pi**2)]  # (μ20 μ02 - μ11²) / area⁴, the same under any affine map


def masks(shape, n, seed=0, **fields):
    """Pixels of n drawings of one kind of shape."""
    return ShapeSet(**fields).pixels(np.full(n, shape), np.random.default_rng(seed))


def moments(pixels):
    """Areas [N], centres [N, 2] as (column, row), and central second moments [N, 3]: along, across, mixed."""
    area = pixels.sum((1, 2)).astype(float)
    centre = np.stack([pixels.sum(1) @ AT, pixels.sum(2) @ AT], -1) / area[:, None]
    along, across = AT - centre[:, :1], AT - centre[:, 1:]
    mixed = np.einsum("nij,ni,nj->n", pixels, across, along)
    return area, centre, np.stack([(pixels.sum(1) * along**2).sum(1), (pixels.sum(2) * across**2).sum(1), mixed], -1)


def images(n, seed=0, **fields):
    """Images [N, 32, 32] and labels."""
    x, y = ShapeSet(**fields).examples(n, np.random.default_rng(seed))
    return x[..., 0], y


@pytest.mark.parametrize("shape", range(3))
def test_areas_follow_their_formulas(shape):
    for small, large in [(0.5, 0.5), (0.2, 0.8)]:
        counts = masks(shape, 2000, smallest=small, largest=large).sum((1, 2))
        expected = AREA[shape] * (SIDE / 2) ** 2 * ((small + large) / 2) ** 2  # both diameters are independent
        spread = counts.std() / np.sqrt(len(counts))
        assert counts.mean() == pytest.approx(expected, abs=max(4 * spread, 0.3))


@pytest.mark.parametrize(("shape", "invariant"), list(enumerate(INVARIANTS)))
def test_shapes_have_the_affine_invariant_of_their_kind(shape, invariant):
    area, _, (along, across, mixed) = (part.T for part in moments(masks(shape, 500, smallest=0.6, largest=0.9)))
    assert np.median((along * across - mixed**2) / area**4) == pytest.approx(invariant, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(shape=st.integers(0, 2), seed=SEEDS, smallest=st.floats(0.1, 0.4), share=st.floats(0, 1))
def test_every_shape_lies_inside_the_image_is_seen_and_is_convex(shape, seed, smallest, share):
    drawn = masks(shape, 12, seed, smallest=smallest, largest=smallest + share * (0.9 - smallest))
    assert drawn[:, 1:-1, 1:-1].any((1, 2)).all()
    assert not drawn[:, [0, -1]].any()
    assert not drawn[:, :, [0, -1]].any()
    for pixels in drawn[:2]:
        points = np.argwhere(pixels)
        middles = (points[:, None] + points[None]).reshape(-1, 2)
        whole = middles[(middles % 2 == 0).all(1)] // 2
        assert pixels[tuple(whole.T)].all()


def test_every_angle_is_as_frequent_as_any():
    for shape in range(3):
        _, _, (along, across, mixed) = (part.T for part in moments(masks(shape, 3000)))
        twice = np.arctan2(2 * mixed, along - across)  # twice the angle of the principal axis
        counts, _ = np.histogram(twice, bins=8, range=(-np.pi, np.pi))
        assert ((counts - 375) ** 2 / 375).sum() < 24.3  # chi-squared of 7 degrees, 0.1%


def test_places_are_uniform_over_what_is_left_by_the_size():
    _, centre, _ = moments(masks(2, 3000, smallest=0.25, largest=0.25))
    low, high = 1 + SIDE / 8 - 0.5, SIDE - 1 - SIDE / 8 - 0.5  # of a circle's centre, in pixels counted from 0
    assert centre.min() == pytest.approx(low, abs=0.3)
    assert centre.max() == pytest.approx(high, abs=0.3)
    np.testing.assert_allclose(centre.mean(0), (low + high) / 2, atol=0.3)
    np.testing.assert_allclose(centre.std(0), (high - low) / np.sqrt(12), rtol=0.03)
    assert abs(np.corrcoef(centre.T)[0, 1]) < 0.05


@settings(max_examples=10, deadline=None)
@given(overlap=st.floats(0, 1), seed=SEEDS)
def test_a_second_shape_hides_at_most_its_share_of_the_first(overlap, seed):
    x, y = images(180, seed, overlap=overlap, smallest=0.4, largest=0.4)
    ellipses = masks(2, 300, smallest=0.4, largest=0.4).sum((1, 2))
    seen = (x[y == 8] != x[y == 8][:, :1, :1]).sum((1, 2))  # a corner has the background's grey
    assert (seen >= (2 - overlap) * ellipses.min() - 1e-6).all()
    assert (seen <= 2 * ellipses.max()).all()


def test_more_may_be_hidden_where_more_is_allowed():
    def seen(overlap):
        x, y = images(1800, overlap=overlap, smallest=0.4, largest=0.4)
        return (x[y == 8] != x[y == 8][:, :1, :1]).sum((1, 2)).mean() / (np.pi * 6.4**2)

    assert seen(0.0) == pytest.approx(2, abs=0.02)
    assert seen(1.0) < seen(0.5) < seen(0.2) < 2


@pytest.mark.parametrize("n", [18, 180, 1000])
def test_classes_have_their_shares(n):
    _, y = images(n)
    shares = np.array([3, 3, 3, 2, 2, 2, 1, 1, 1]) / 18
    tolerance = 1e-9 if n % 18 == 0 else 3
    np.testing.assert_allclose(np.bincount(y, minlength=9), n * shares, atol=tolerance)
    data = load_dataset(ShapeSet(n=n))
    assert (data.classes, data.outputs, data.train.x.shape[1:]) == (CLASSES, 9, (32, 32, 1))
    assert data.train.x.dtype == np.uint8


def test_single_shapes_have_the_label_of_their_kind():
    x, y = images(1800, smallest=0.4, largest=0.9)
    for label, invariant in enumerate(INVARIANTS):
        pixels = x[y == label] != x[y == label][:, :1, :1]
        area, _, (along, across, mixed) = (part.T for part in moments(pixels))
        assert np.median((along * across - mixed**2) / area**4) == pytest.approx(invariant, rel=0.04)


def test_grey_levels_are_apart_and_half_of_the_images_inverted():
    x, y = images(1800)
    ground = x[:, 0, 0]
    levels = np.array([len(np.unique(image)) for image in x])
    assert (levels[y < 3] == 2).all()
    assert (levels[y >= 3] <= 3).all()
    bright = ground > 127
    assert bright.mean() == pytest.approx(0.5, abs=0.05)
    assert ground[~bright].max() <= 115 < 140 <= ground[bright].min()  # 0.45 and 0.55 of 255
    shape = np.where(x == ground[:, None, None], np.where(bright, 0, 255)[:, None, None], x)
    assert (shape[bright] <= 115).all()
    assert (shape[~bright] >= 140).all()


def test_the_images_of_a_seed_do_not_depend_on_how_they_are_split():
    whole, parts = ShapeSet(n=90), ShapeSet(n=90, test_fraction=0.5, valid_fraction=0.0)
    one, two = (
        np.sort(
            np.concatenate([split.x.reshape(-1, SIDE**2) for split in load_dataset(data).splits().values()]), axis=0
        )
        for data in (whole, parts)
    )
    np.testing.assert_array_equal(one, two)
    assert ALONE == 3
    other = load_dataset(dataclasses.replace(whole, seed=1))
    assert (other.train.x != load_dataset(whole).train.x).any()
