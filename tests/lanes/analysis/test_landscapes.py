"""Losses along lines and over planes: closed forms, and what rescaling a ReLU net does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis import landscapes as l

T = np.linspace(-0.5, 1.5, 9)


def quadratic(params):
    return 0.5 * jnp.sum(params["a"] ** 2) + 3 * jnp.sum(params["b"])


def params(a, b):
    return {"a": jnp.asarray(a, jnp.float32), "b": jnp.asarray(b, jnp.float32)}


def test_a_quadratic_is_a_parabola_along_a_line():
    start, end = params([1.0, 0.0], [0.0]), params([-1.0, 2.0], [1.0])
    found = l.loss_along_line(quadratic, start, end, T)
    np.testing.assert_allclose(found, 0.5 * ((1 - 2 * T) ** 2 + (2 * T) ** 2) + 3 * T, rtol=1e-6)


def test_both_ends_of_a_line_are_exact_and_integers_stay():
    start, end = ({"w": jax.random.normal(key, (7,)), "n": jnp.int32(3)} for key in jax.random.split(jax.random.key(0)))
    at = l.loss_along_line(lambda p: {"w": p["w"], "n": p["n"]}, start, end, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(at["w"][::2], np.stack([start["w"], end["w"]]))
    assert at["n"].tolist() == [3, 3, 3]


def test_a_quadratic_over_a_plane():
    centre, first, second = params([0.0, 0.0], [0.0]), params([1.0, 0.0], [0.0]), params([0.0, 2.0], [1.0])
    a, b = np.meshgrid(T, T, indexing="ij")
    found = l.loss_over_plane(quadratic, centre, (first, second), T)
    np.testing.assert_allclose(found, 0.5 * (a**2 + 4 * b**2) + 3 * b, rtol=1e-6)


def test_nets_of_other_shapes_have_no_line_between_them():
    with pytest.raises(ValueError, match=r"the parameters differ: b is \[1\] in one and \[2\] in the other"):
        l.loss_along_line(quadratic, params([1.0], [1.0]), params([1.0], [1.0, 2.0]), T)
    with pytest.raises(ValueError, match=r"b is \[1\] in one and missing in the other"):
        l.check_same_shapes(params([1.0], [1.0]), {"a": jnp.ones(1)})


def relu_net(tree):
    x, y = jnp.linspace(-1, 1, 12).reshape(4, 3), jnp.arange(4.0)[:, None]
    h = jax.nn.relu(x @ tree["hidden"]["kernel"] + tree["hidden"]["bias"][None, :])
    return jnp.mean((h @ tree["output"]["kernel"] - y) ** 2)


def test_rescaling_relu_layers_does_not_change_the_landscape():
    keys = jax.random.split(jax.random.key(1), 5)
    net = {
        "hidden": {"kernel": jax.random.normal(keys[0], (3, 5)), "bias": jax.random.normal(keys[1], (5,))},
        "output": {"kernel": jax.random.normal(keys[2], (5, 1))},
    }
    scaled = {
        "hidden": {"kernel": net["hidden"]["kernel"] * 10, "bias": net["hidden"]["bias"] * 10},
        "output": {"kernel": net["output"]["kernel"] / 10},
    }
    planes = []
    for tree in (net, scaled):
        directions = tuple(l.filter_normalized_direction(tree, key) for key in keys[3:])
        planes.append(l.loss_over_plane(relu_net, tree, directions, T))
    np.testing.assert_allclose(planes[0], planes[1], rtol=2e-4)
    assert planes[0].std() > 0.1


@pytest.mark.parametrize(
    ("names", "shape", "outputs"),
    [(("kernel",), (3, 3, 2, 4), 3), (("weight", "kernel"), (4, 2, 3), 0), (("embedding",), (6, 3), 0)],
    ids=["outputs last", "outputs first", "rows"],
)
def test_each_filter_of_a_direction_is_as_long_as_the_net_s_own(names, shape, outputs):
    sizes = np.arange(1, 1 + shape[outputs]).reshape([-1 if axis == outputs else 1 for axis in range(len(shape))])
    leaf = (np.random.default_rng(0).normal(size=shape) * sizes).astype(np.float32)
    tree = leaf
    for name in names[::-1]:
        tree = {name: tree}
    direction = jax.tree.leaves(l.filter_normalized_direction({"layer": tree, "bias": jnp.ones(3)}, jax.random.key(3)))
    axes = tuple(axis for axis in range(len(shape)) if axis != outputs)
    np.testing.assert_array_equal(direction[0], np.zeros(3))
    np.testing.assert_allclose(np.sum(np.square(direction[1]), axes), np.sum(leaf**2, axes), rtol=1e-5)


def test_a_filter_of_zeros_stays_and_a_net_without_filters_is_refused():
    assert not l.filter_normalized_direction({"kernel": jnp.zeros((3, 2))}, jax.random.key(0))["kernel"].any()
    with pytest.raises(ValueError, match="no parameter has two axes or more"):
        l.filter_normalized_direction({"bias": jnp.ones(3)}, jax.random.key(0))


def test_the_barrier_is_above_the_line_between_the_ends():
    t = np.linspace(-1, 2, 13)
    assert l.loss_barrier(t, 4 * t * (1 - t) + 2 * t) == pytest.approx(1.0)
    assert l.loss_barrier(t, t**2) == 0  # convex
    assert l.loss_barrier(t, np.where(t == 0.5, np.nan, t)) == np.inf
    assert np.isnan(l.loss_barrier(t, np.where(t == 1.0, np.nan, t)))
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        l.loss_barrier([0.0, 0.5], [1.0, 1.0])
