import dataclasses
import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes import Run
from lanes.program.step import perturb
from lanes.recipe import augmentations as a
from lanes.recipe.augmentations import AUGMENTATIONS
from lanes.recipe.tasks_comparing import per_example
from losses import LOSSES

KEY = jnp.uint32(0)
SHAPES = {1: (6,), 2: (8, 2), 3: (6, 5, 3), 4: (4, 5, 6, 2)}


def batch(*shape, n=4, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(9).uniform(size=(n, *shape)), dtype)


def apply(augmentations, seed, x, y):
    """A batch as training sees it."""
    return perturb(Run(augment=tuple(augmentations), seed=seed), (x, y), jnp.int32(0))


def changed(augmentation, x, key=KEY):
    # Compiling the whole is cheaper than compiling each operation.
    return jax.jit(lambda key, x, y: apply([augmentation], key, x, y)[0])(key, x, np.eye(x.shape[0], dtype=np.float32))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_numbers_share_a_program_and_each_example_has_its_own_draw(name):
    augmentation, traces = AUGMENTATIONS[name], []
    augmentation.check()
    numbers = {
        f.name: v for f in dataclasses.fields(augmentation) if isinstance(v := getattr(augmentation, f.name), float)
    }
    shape = SHAPES[augmentation.ranks[0]]
    same = jnp.tile(batch(*shape, n=1), (16, *(1,) * len(shape)))
    different = batch(*shape, n=16)

    @jax.jit
    def go(key, x, numbers):
        traces.append(1)
        return changed(dataclasses.replace(augmentation, **numbers), x, key)

    usual = {k: jnp.float32(v) for k, v in numbers.items()}
    first = np.asarray(go(KEY, same, usual))
    np.testing.assert_array_equal(first, go(KEY, same, usual))
    if name not in ("mixup", "cutmix", "pca_jitter"):  # equal examples have nothing to mix, and no covariance
        assert len(np.unique(first.reshape(16, -1), axis=0)) > 1
    assert np.any(np.asarray(go(KEY, different, usual)) != different)
    if name not in ("mixup", "cutmix", "crop"):  # these have no zero strength
        nothing = go(KEY, different, {k: jnp.float32(0) for k in numbers})
        np.testing.assert_allclose(nothing, different, atol=2e-6)
    assert len(traces) == 1
    half = different.astype(jnp.bfloat16)
    assert jax.eval_shape(lambda key: changed(augmentation, half, key), KEY).dtype == jnp.bfloat16


@pytest.mark.parametrize(("name", "rank"), [(n, r) for n, aug in AUGMENTATIONS.items() for r in aug.ranks[1:]])
def test_every_accepted_rank_works(name, rank):
    x = batch(*SHAPES[rank])
    assert AUGMENTATIONS[name].accepts(SHAPES[rank]) is None
    assert jax.eval_shape(lambda key: changed(AUGMENTATIONS[name], x, key), KEY).shape == x.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_other_ranks_are_refused_in_one_line(name):
    augmentation = AUGMENTATIONS[name]
    for rank in {1, 2, 3, 4} - set(augmentation.ranks):
        reason = augmentation.accepts(SHAPES[rank])
        assert "leave it out" in reason
        assert "\n" not in reason
        with pytest.raises(ValueError, match="an example has shape"):
            changed(augmentation, batch(*SHAPES[rank]))
    with pytest.raises(ValueError, match="the batch is int32"):
        changed(augmentation, jnp.zeros((4, *SHAPES[augmentation.ranks[0]]), jnp.int32))
    text = inspect.getdoc(type(augmentation))
    assert "Formula: " in text
    assert "Reference: " in text


@pytest.mark.parametrize(
    ("augmentation", "rank"),
    [(a.Translate(0.0, whole=False), 2), (a.Translate(0.0, whole=False), 3), (a.Rotate(0.0), 4)],
)
def test_resampling_without_motion_changes_nothing(augmentation, rank):
    x = batch(*SHAPES[rank])
    np.testing.assert_allclose(changed(augmentation, x), x, atol=2e-6)


def test_mirror_flips_left_to_right_at_its_probability():
    x = batch(2, 3, 1, n=2000)
    np.testing.assert_array_equal(changed(a.Mirror(1.0), x), x[:, :, ::-1])
    flipped = jnp.mean(jnp.all(changed(a.Mirror(0.3), x) == x[:, :, ::-1], axis=(1, 2, 3)).astype(jnp.float32))
    assert abs(flipped - 0.3) < 4 * np.sqrt(0.21 / 2000)
    volume = batch(2, 3, 4, 1)
    np.testing.assert_array_equal(changed(a.Mirror(1.0), volume), volume[:, :, :, ::-1])


@pytest.mark.parametrize("whole", [True, False])
def test_translate_moves_within_its_range_and_fills_with_zeros(whole):
    x = jnp.zeros((200, 11, 11, 1)).at[:, 5, 5, 0].set(1)
    moved = np.asarray(changed(a.Translate(0.2, whole=whole), x))[..., 0]
    np.testing.assert_allclose(moved.sum((1, 2)), 1, rtol=1e-5)  # the point is moved, not lost
    rows = (moved.sum(2) * np.arange(11)).sum(1) - 5
    columns = (moved.sum(1) * np.arange(11)).sum(1) - 5
    for offsets in (rows, columns):
        assert -2.21 < offsets.min() < -1.5
        assert 1.5 < offsets.max() < 2.21
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.3
    assert bool(jnp.all(changed(a.Translate(1.0), jnp.ones((20, 4, 4, 1))).min(axis=(1, 2, 3)) >= 0))


def test_translate_equals_a_shift_with_zeros():
    x = batch(7, 1, n=30)
    for before, after in zip(np.asarray(x)[..., 0], np.asarray(changed(a.Translate(0.5), x))[..., 0]):
        shifts = [
            np.concatenate([np.zeros(max(s, 0)), before[max(-s, 0) : 7 - max(s, 0)], np.zeros(max(-s, 0))])
            for s in range(-4, 5)
        ]
        assert any(np.array_equal(after, shift) for shift in shifts)


def test_time_shift_rolls_or_fills():
    x = batch(8, 2, n=30)
    rolls = {s: np.roll(np.asarray(x), s, axis=1) for s in range(-2, 3)}
    for i, after in enumerate(np.asarray(changed(a.TimeShift(0.25), x))):
        assert any(np.array_equal(after, roll[i]) for roll in rolls.values())
    filled = np.asarray(changed(a.TimeShift(0.25, wrap=False), jnp.ones((200, 8, 1))))
    assert set((filled == 0).sum((1, 2))) == {0, 1, 2}


def test_rotation_keeps_the_radius_and_stays_within_its_angle():
    x = jnp.zeros((100, 21, 21, 1)).at[:, 10, 17, 0].set(1)
    moved = np.asarray(changed(a.Rotate(45.0), x))[..., 0]
    mass = moved.sum((1, 2))
    row = (moved.sum(2) * np.arange(21)).sum(1) / mass - 10
    column = (moved.sum(1) * np.arange(21)).sum(1) / mass - 10
    np.testing.assert_allclose(np.hypot(row, column), 7, atol=0.4)
    angles = np.degrees(np.arctan2(row, column))
    assert 30 < np.abs(angles).max() < 47
    assert abs(angles.mean()) < 10


def test_rotation_in_three_dimensions_keeps_the_distance():
    x = jnp.zeros((30, 11, 11, 11, 1)).at[:, 5, 5, 9, 0].set(1)
    moved = np.asarray(changed(a.Rotate(60.0), x))[..., 0]
    positions = np.stack(np.meshgrid(*[np.arange(11) - 5] * 3, indexing="ij"))
    centre = np.einsum("nijk,dijk->nd", moved, positions) / moved.sum((1, 2, 3))[:, None]
    np.testing.assert_allclose(np.linalg.norm(centre, axis=1), 4, atol=0.5)
    assert centre.std(axis=0).min() > 0.1  # the axis is random


def test_affine_of_a_ramp_stays_a_ramp_without_perspective():
    ramp = jnp.broadcast_to(jnp.arange(15.0)[None, None, :, None], (8, 15, 15, 1))
    inner = np.asarray(changed(a.Affine(), ramp))[:, 5:10, 5:10, 0]
    second = np.diff(inner, n=2, axis=2)
    np.testing.assert_allclose(second, 0, atol=1e-3)
    bent = np.asarray(changed(a.Affine(perspective=0.3), ramp))[:, 5:10, 5:10, 0]
    assert np.abs(np.diff(bent, n=2, axis=2)).max() > 1e-2


def test_crop_is_a_window_of_the_padded_image():
    x = batch(4, 4, 1, n=40)
    padded = np.pad(np.asarray(x), [(0, 0), (1, 1), (1, 1), (0, 0)])
    offsets = set()
    for before, after in zip(padded, np.asarray(changed(a.Crop(1), x))):
        offsets |= {(i, j) for i in range(3) for j in range(3) if np.array_equal(after, before[i : i + 4, j : j + 4])}
    assert len(offsets) == 9


def test_contrast_and_brightness():
    x = batch(6, 5, 3, n=50)
    stretched = np.asarray(changed(a.Contrast(0.5), x))
    np.testing.assert_allclose(stretched.mean((1, 2)), np.asarray(x).mean((1, 2)), rtol=1e-5)
    ratio = stretched.std((1, 2)) / np.asarray(x).std((1, 2))
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-4)
    assert 0.5 <= ratio.min() < 0.7
    assert 1.3 < ratio.max() <= 1.5
    shift = np.asarray(changed(a.Brightness(0.5), x) - x)
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-6)
    assert 0.3 < np.abs(shift).max() <= 0.5


def test_pca_jitter_has_the_covariance_of_the_eigenvector_form():
    mixing = np.array([[1.0, 0.5, 0.2], [0.0, 0.7, 0.1], [0.0, 0.0, 0.3]])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4000, 2, 2, 3)) @ mixing, jnp.float32)
    offsets = np.asarray(changed(a.PCAJitter(0.5), x) - x)
    np.testing.assert_allclose(offsets, np.broadcast_to(offsets[:, :1, :1], offsets.shape), atol=1e-6)
    values, axes = np.linalg.eigh(np.cov(np.asarray(x).reshape(-1, 3).T, bias=True))
    expected = 0.25 * axes @ np.diag(values**2) @ axes.T
    np.testing.assert_allclose(np.cov(offsets[:, 0, 0].T), expected, atol=0.06 * expected.max())
    assert "use Brightness" in a.PCAJitter().accepts((8, 8, 1))


def test_noise_has_its_rate():
    x = 0.5 + 0.0 * batch(100, n=100)
    np.testing.assert_allclose(np.std(changed(a.GaussianNoise(0.2), x)), 0.2, rtol=0.05)
    assert np.mean(np.asarray(changed(a.MaskingNoise(0.3), x)) == 0) == pytest.approx(0.3, abs=0.02)
    salted = np.asarray(changed(a.SaltAndPepper(0.2, low=-1.0, high=2.0), x))
    assert set(np.unique(salted)) == {-1.0, 0.5, 2.0}
    for value in (-1.0, 2.0):
        assert np.mean(salted == value) == pytest.approx(0.1, abs=0.02)


def test_cutout_zeroes_one_box_of_its_size():
    holes = np.asarray(changed(a.Cutout(0.5), jnp.ones((300, 8, 8, 2)))) == 0
    assert (holes.all(-1) == holes.any(-1)).all()  # all channels
    holes = holes[..., 0]
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    np.testing.assert_array_equal(holes.sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == 4
    assert holes.any((1, 2)).all()


def test_mixup_mixes_inputs_and_targets_alike():
    x, y = batch(3, n=64), jnp.eye(64)
    mixed, targets = jax.jit(lambda x, y: apply([a.Mixup(1.0)], KEY, x, y))(x, y)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed, targets @ x, rtol=1e-5)
    assert int((targets > 0).sum(1).max()) == 2
    share = np.diag(np.asarray(targets))
    assert share.mean() == pytest.approx(0.5, abs=0.2)
    with pytest.raises(ValueError, match="make them one-hot first"):
        apply([a.Mixup()], KEY, x, jnp.arange(64))


@pytest.mark.parametrize("shape", [(12, 1), (8, 6, 2), (4, 5, 6, 1)], ids=len)
def test_cutmix_pastes_one_box_of_the_partner_and_mixes_the_target_by_its_area(shape):
    n = 32
    x, y = batch(*shape, n=n), jnp.eye(n)
    mixed, targets = (np.asarray(part) for part in jax.jit(lambda x, y: apply([a.CutMix()], KEY, x, y))(x, y))
    kept = (mixed == np.asarray(x)).all(-1)
    for i in range(n):
        others = np.flatnonzero(np.delete(targets[i], i))
        assert len(others) <= 1
        np.testing.assert_allclose(targets[i, i], kept[i].mean() if len(others) else 1, atol=1e-6)
        if len(others):
            partner = int(others[0]) + (others[0] >= i)
            np.testing.assert_array_equal(mixed[i], np.where(kept[i][..., None], x[i], x[partner]))
            sides = [len(np.unique(axis)) for axis in np.nonzero(~kept[i])]
            assert np.prod(sides) == (~kept[i]).sum()  # one box
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert 0.4 < np.diag(targets).mean() < 0.9  # the box has a mean area of ½, less what the border cuts off


def test_mixing_is_the_formula_for_binary_targets_and_any_alpha():
    """λ and partners drawn by JAX, mixed by NumPy; one program for all values of alpha."""
    x, y, programs = batch(3, n=8), (jnp.arange(8)[:, None] % 2).astype(jnp.float32), []

    @jax.jit
    def go(alpha):
        programs.append(1)
        return a.Mixup(alpha)(jax.random.key(5), x, y)

    for alpha in (1e-3, 0.2, 8.0):
        to_share, to_partner = jax.random.split(jax.random.key(5))
        share = np.asarray(jax.random.beta(to_share, alpha, alpha, (8,)), float)[:, None]
        partner = np.asarray(jax.random.permutation(to_partner, 8))
        for values, mixed in zip((x, y), go(alpha)):
            values = np.asarray(values, float)
            np.testing.assert_allclose(mixed, share * values + (1 - share) * values[partner], atol=1e-6)
    assert len(programs) == 1


def test_each_augmentation_of_a_chain_has_its_own_stream():
    x, y = jnp.zeros((2, 500)), jnp.eye(2)
    twice, _ = apply([a.GaussianNoise(1.0), a.GaussianNoise(1.0)], KEY, x, y)
    assert np.std(twice) == pytest.approx(np.sqrt(2), rel=0.1)  # equal draws would give 2
    same, targets = apply([], KEY, x, y)
    assert same is x
    assert targets is y


@pytest.mark.parametrize(
    "wrong",
    [
        a.Mirror(1.5),
        a.Translate(-0.1),
        a.Rotate(200.0),
        a.Affine(stretch=1.0),
        a.Affine(perspective=0.5),
        a.Crop(0),
        a.GaussianNoise(-1.0),
        a.MaskingNoise(float("nan")),
        a.SaltAndPepper(low=1.0, high=0.0),
        a.Mixup(0.0),
        a.CutMix(float("nan")),
        a.CutMix(float("inf")),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused_in_one_line(wrong):
    with pytest.raises(ValueError, match="must") as error:
        wrong.check()
    assert "\n" not in str(error.value)


def test_training_mixes_classes_as_rows_of_weights():
    x, y = jax.random.normal(jax.random.key(0), (64, 4)), jnp.arange(64) % 3
    run = Run(augment=(a.Mixup(1.0),), seed=3)
    mixed, rows = perturb(run, (x, y), jnp.int32(0), classes=3)
    _, expected = perturb(run, (x, jnp.eye(3)[y]), jnp.int32(0))
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-6)
    assert mixed.shape == x.shape
    plain = perturb(Run(augment=(a.GaussianNoise(),)), (x, y), jnp.int32(0), classes=3)[1]
    np.testing.assert_array_equal(plain, y)
    smoothed = types.SimpleNamespace(loss=LOSSES["softmax_cross_entropy"], output=None, label_smoothing=0.3)
    logits = jax.random.normal(jax.random.key(1), (64, 3))
    by_hand = -jnp.sum((0.7 * rows + 0.1) * jax.nn.log_softmax(logits), axis=1)
    np.testing.assert_allclose(per_example(smoothed, logits, rows, train=True), by_hand, rtol=1e-5)
